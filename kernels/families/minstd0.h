/*---
title = "minstd0, multiplier 16807 (std::minstd_rand0)"
source = "S. K. Park, K. W. Miller, Random number generators: good ones are hard to find, CACM 31(10), 1988"
verified = "libstdc++ 12, GSL 2.7.1"
algebra = "affine modulo 2^31 - 1"
lane_bits = 64
word_bits = 32
seed_bits = 32
word_min = "1"
word_max = "2**31 - 2"
known = [
    [42, [705894, 1126542223, 1579310009, 565444343, 807934826]],
    [4294967295, [16807, 282475249, 1622650073, 984943658, 1144108930]],
]
known_at = [[42, 9999, 882285790]]

[modular]
modulus = "2**31 - 1"
a = 16807
c = 0
seedings = ["seed"]
zero = 1
---*/

#include "affine.h"

typedef struct { w64 x; } state;

/* As std::linear_congruential_engine: the seed modulo 2^31 - 1, and 1 in place of 0. */
FN void seed(state *g, wseed z, const u64 *param) {
    w64 x = fold31_lanes(wide(z));
    g->x = pick64(above64(x, all64(0)), x, all64(1));
}

FN word next(state *g) {
    g->x = fold31_lanes(g->x * 16807u);
    return low(g->x);
}

FN jump jump_by(u64 n, const u64 *param) { return affine_power31(16807u, 0, n); }

FN void leap(state *g, jump j) { g->x = fold31_lanes(g->x * j.a); }

/* 1407677000 * 16807 = 1 modulo 2^31 - 1. */
FN word prev(state *g) {
    w64 x = g->x;
    g->x = fold31_lanes(x * 1407677000u);
    return low(x);
}
