/*---
title = "LCG modulo 2^bits with multiplier a and increment c; a word is the state >> shift"
source = "D. E. Knuth, The Art of Computer Programming 2, 3.2.1; defaults: Numerical Recipes, ranqd1"
verified = "libstdc++ 12"
algebra = "affine modulo 2^bits"
lane_bits = 64
word_bits = 64
seed_bits = "bits"
word_max = "2**(bits - shift) - 1"
invertible = "a % 2"
known = [
    [42, [1083814273, 378494188, 2479403867, 955863294, 1613448261]],
    [4294967295, [1012239698, 806866057, 579071060, 2709482403, 3082116262]],
]
known_at = [[42, 9999, 3558957562]]
[params]
a = 1664525
c = 1013904223
bits = 32
shift = 0
[affine]
bits = "bits"
a = "a"
c = "c"
shift = "shift"
seed_xor = { seed = 0 }
---*/

#include "affine.h"

/* Neighbouring seeds differ by a sum in their states: see square.h. A word is made of the state after its step. */
#define ADDS 1

typedef struct { w64 x; u64 a, c, mask, shift; } state;

FN void seed(state *g, wseed z, const u64 *param) {
    g->x = z;
    g->a = param[0];
    g->c = param[1];
    g->mask = ~0ull >> (64 - param[2]);
    g->shift = param[3];
}

FN word next(state *g) {
    g->x = g->x * g->a + g->c;
    return (g->x & g->mask) >> g->shift;
}

FN jump jump_by(u64 n, const u64 *param) { return affine_power(param[0], param[1], n); }

FN void leap(state *g, jump j) { g->x = g->x * j.a + j.c; }

/* The inverse multiplier depends on parameters only, so it leaves every loop. An even multiplier has none. */
FN word prev(state *g) {
    w64 x = g->x;
    leap(g, affine_back(g->a, g->c));
    return (x & g->mask) >> g->shift;
}
