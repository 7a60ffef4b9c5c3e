/*---
title = "lcg32 of the replaced system: 1103515245 x + 12345 modulo the prime 2^31 - 1"
source = "the replaced system; the constants belong to modulus 2^31 (see ansi_lcg)"
verified = "description of the replaced system"
algebra = "affine modulo 2^31 - 1"
lane_bits = 64
word_bits = 32
seed_bits = 32
word_max = "2**31 - 2"
known = [
    [42, [1250496048, 1310387594, 1622543901, 519131292, 937264594]],
    [4294967295, [1103527590, 944465040, 1695244727, 1008001095, 235077491]],
]
known_at = [[42, 9999, 979755733]]

[modular]
modulus = "2**31 - 1"
a = 1103515245
c = 12345
seedings = ["seed"]
---*/

#include "affine.h"

typedef struct { w64 x; } state;

/* The seed is not reduced; the first step does that. */
FN void seed(state *g, wseed z, const u64 *param) { g->x = wide(z); }

FN word next(state *g) {
    g->x = fold31_lanes(g->x * 1103515245u + 12345u);
    return low(g->x);
}

FN jump jump_by(u64 n, const u64 *param) { return affine_power31(1103515245u, 12345u, n); }

FN void leap(state *g, jump j) { g->x = fold31_lanes(g->x * j.a + j.c); }

/* 2104886853 * 1103515245 = 1 and 1871412062 = -2104886853 * 12345 modulo 2^31 - 1. The seed itself may be no value that a step gives:
   before the first step it stands for its residue, which is output -1. */
FN word prev(state *g) {
    w64 x = fold31_lanes(g->x);
    g->x = fold31_lanes(x * 2104886853u + 1871412062u);
    return low(x);
}
