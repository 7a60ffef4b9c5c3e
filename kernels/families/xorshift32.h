/*---
title = "xorshift32, shifts 13 17 5"
source = "G. Marsaglia, Xorshift RNGs, J. Stat. Softw. 8(14), 2003"
verified = "JDK 17"
algebra = "linear over GF(2), 32 bits"
lane_bits = 32
word_bits = 32
seed_bits = 32
known = [
    [42, [11355432, 2836018348, 476557059, 3648046016, 3759983556]],
    [4294967295, [253983, 4228382207, 1958451267, 4056713434, 2049502865]],
]
known_at = [[42, 9999, 2938535467]]

[linear]
bits = 32
---*/

#include "shifts.h"

/* Neighbouring seeds differ by an exclusive or in their words: see square.h. */
#define XORS 1
#define SHOWN(a, b) (a)

typedef struct { w32 x; } state;

FN void seed(state *g, wseed z, const u64 *param) { g->x = z; }

FN word next(state *g) {
    g->x ^= g->x << 13;
    g->x ^= g->x >> 17;
    g->x ^= g->x << 5;
    return g->x;
}

FN word prev(state *g) {
    w32 x = g->x;
    g->x = unshift_right32(unshift_left32(x, 5), 17);
    g->x = unshift_left32(g->x, 13);
    return x;
}
