/*---
title = "pcg32 (XSH RR 64/32), pcg32_srandom(seed, sequence)"
source = "M. E. O'Neill, PCG: A family of simple fast space-efficient statistically good algorithms, HMC-CS-2014-0905"
verified = "randomgen 2.5.1"
algebra = "affine modulo 2^64, permuted output"
lane_bits = 64
word_bits = 32
seed_bits = 64
known = [
    [42, [2707161783, 2068313097, 3122475824, 2211639955, 3215226955]],
    [4294967297, [1039341908, 3601253395, 3490669160, 1528938324, 3986586453]],
]
known_at = [[42, 9999, 2663748717]]
[params]
sequence = 54
---*/

#include "affine.h"

#define PCG_A 6364136223846793005ull

/* Neighbouring seeds differ by a sum in their states: see square.h. A word is made of the state after no step. */
#define ADDS 0

typedef struct { w64 x; u64 c; } state;

#if LANES > 1
#define SHOWN(a, b) (turn_right(lows((a >> 18 ^ a) >> 27, (b >> 18 ^ b) >> 27), highs(a, b) >> 27))
#endif

FN void seed(state *g, wseed z, const u64 *param) {
    g->c = param[0] << 1 | 1;
    g->x = (z + g->c) * PCG_A + g->c;
}

/* The seed is the state itself. */
FN void seed_raw(state *g, wseed z, const u64 *param) {
    g->c = param[0] << 1 | 1;
    g->x = z;
}

FN word pcg_word(w64 x) {
    w32 word = low((x >> 18 ^ x) >> 27), turn = low(x >> 59);
    return word >> turn | word << (-turn & 31u);
}

/* The output is made of the old state. */
FN word next(state *g) {
    w64 x = g->x;
    g->x = x * PCG_A + g->c;
    return pcg_word(x);
}

FN jump jump_by(u64 n, const u64 *param) { return affine_power(PCG_A, param[0] << 1 | 1, n); }

FN void leap(state *g, jump j) { g->x = g->x * j.a + j.c; }

FN word prev(state *g) {
    leap(g, affine_back(PCG_A, g->c));
    return pcg_word(g->x);
}
