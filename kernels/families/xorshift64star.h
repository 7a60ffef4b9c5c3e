/*---
title = "xorshift64*, shifts 12 25 27; the state is the seed"
source = "S. Vigna, An experimental exploration of Marsaglia's xorshift generators, scrambled, ACM TOMS 42(4), 2016"
verified = "the paper's text re-typed, Rosetta Code's values"
algebra = "linear over GF(2), 64 bits, scrambled output"
lane_bits = 64
word_bits = 64
seed_bits = 64
known = [
    [42, [6255019084209693600, "0xc841eb53ebbb2dda", "0xca466be0c9980276", "0xf1acc7334a7b70df", "0xc3af4dd7fb900a06"]],
    [4294967297, ["0x84e9495afd4c80bd", "0xfe84504fef5b9b2d", "0xd5143da59f38da31", "0xf6ac8d04c3f626b7", "0xd3e8f52914ec1ebc"]],
]
known_at = [[42, 9999, 7813316581406370626]]
---*/

#include "shifts.h"

typedef struct { w64 x; } state;

FN void seed(state *g, wseed z, const u64 *param) { g->x = z; }

FN word next(state *g) {
    g->x ^= g->x >> 12;
    g->x ^= g->x << 25;
    g->x ^= g->x >> 27;
    return g->x * 0x2545F4914F6CDD1Dull;
}

FN word prev(state *g) {
    w64 x = g->x;
    g->x = unshift_left64(unshift_right64(x, 27), 25);
    g->x = unshift_right64(g->x, 12);
    return x * 0x2545F4914F6CDD1Dull;
}
