/*---
title = "xorshift64, shifts 13 7 17; the state is the seed"
source = "G. Marsaglia, Xorshift RNGs, J. Stat. Softw. 8(14), 2003, page 4"
verified = "the paper's text re-typed, values of others' libraries"
algebra = "linear over GF(2), 64 bits"
lane_bits = 64
word_bits = 64
seed_bits = 64
known = [
    [42, [45454805674, "0xa00aaafdf80202bf", "0x8b13399cd1d1497a", 2899061411254629736, 5661411637479084162]],
    [4294967297, [4648317628107071553, 3751587580307903553, "0x9d819246fd822e29", 1174442255719432245, 5799663207609767541]],
]
known_at = [[42, 9999, 431680743991400072]]

[linear]
bits = 64
---*/

#include "shifts.h"

typedef struct { w64 x; } state;

FN void seed(state *g, wseed z, const u64 *param) { g->x = z; }

FN word next(state *g) {
    g->x ^= g->x << 13;
    g->x ^= g->x >> 7;
    g->x ^= g->x << 17;
    return g->x;
}

FN word prev(state *g) {
    w64 x = g->x;
    g->x = unshift_right64(unshift_left64(x, 17), 7);
    g->x = unshift_left64(g->x, 13);
    return x;
}
