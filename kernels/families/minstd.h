/*---
title = "minstd, multiplier 48271 (std::minstd_rand)"
source = "S. K. Park, K. W. Miller, P. K. Stockmeyer, Technical correspondence, CACM 36(7), 1993"
verified = "libstdc++ 12"
algebra = "affine modulo 2^31 - 1"
lane_bits = 64
word_bits = 32
seed_bits = 32
word_min = "1"
word_max = "2**31 - 2"
known = [
    [42, [2027382, 1226992407, 551494037, 961371815, 1404753842]],
    [4294967295, [48271, 182605794, 1291394886, 1914720637, 2078669041]],
]
known_at = [[42, 9999, 1736893025]]

[modular]
modulus = "2**31 - 1"
a = 48271
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
    g->x = fold31_lanes(g->x * 48271u);
    return low(g->x);
}

FN jump jump_by(u64 n, const u64 *param) { return affine_power31(48271u, 0, n); }

FN void leap(state *g, jump j) { g->x = fold31_lanes(g->x * j.a); }

/* 1899818559 * 48271 = 1 modulo 2^31 - 1. */
FN word prev(state *g) {
    w64 x = g->x;
    g->x = fold31_lanes(x * 1899818559u);
    return low(x);
}
