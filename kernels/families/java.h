/*---
title = "java.util.Random: 48-bit LCG, scrambled seed, a word is next(32)"
source = "JDK 17, java/util/Random.java"
verified = "JDK 17"
algebra = "affine modulo 2^48"
lane_bits = 64
word_bits = 32
seed_bits = 48
known = [
    [42, [3124862261, 234785527, 2934422497, 205897768, 1325939940]],
    [4294967297, [3568162163, 256875736, 2756054639, 154990994, 1961872636]],
]
known_at = [[42, 9999, 2873405070]]
[affine]
bits = 48
a = 0x5DEECE66D
c = 11
shift = 16
seed_xor = { seed = 0x5DEECE66D, seed_raw = 0 }
---*/

#include "affine.h"

/* Neighbouring seeds differ by a sum in their states: see square.h. A word is made of the state after its step. */
#define ADDS 1

typedef struct { w64 x; } state;

FN void seed(state *g, wseed z, const u64 *param) { g->x = z ^ 0x5DEECE66Dull; }

/* Without the scramble: the state is the seed. */
FN void seed_raw(state *g, wseed z, const u64 *param) { g->x = z; }

FN word next(state *g) {
    g->x = g->x * 0x5DEECE66Dull + 11u;
    return low(g->x >> 16);
}

FN jump jump_by(u64 n, const u64 *param) { return affine_power(0x5DEECE66Dull, 11, n); }

FN void leap(state *g, jump j) { g->x = g->x * j.a + j.c; }

FN word prev(state *g) {
    w64 x = g->x;
    leap(g, affine_back(0x5DEECE66Dull, 11));
    return low(x >> 16);
}
