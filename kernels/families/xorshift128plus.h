/*---
title = "xorshift128+, shifts 23 18 5, seeded by splitmix64"
source = "S. Vigna, Further scramblings of Marsaglia's xorshift generators, J. Comput. Appl. Math. 315, 2017"
verified = "npm xorshift 1.2.0"
algebra = "linear over GF(2), 128 bits, scrambled output"
lane_bits = 64
word_bits = 64
seed_bits = 64
known = [
    [42, ["0xe6c71559e2525f98", "0xb058533f2de1e247", "0xb9ce3f9922d00c78", "0xe388dbc5079ed02b", "0xf13f58b2dfa8a228"]],
    [4294967297, [5921773157803740544, "0xf54367ff952d9619", "0xe434f0be1dab32be", "0xeab3dca61a5f048d", "0xa6d3e069c965c818"]],
]
known_at = [[42, 9999, "0xcf122b555ea9eafa"]]
---*/

#include "mix.h"
#include "shifts.h"

typedef struct { w64 a, b; } state;

FN void seed(state *g, wseed z, const u64 *param) {
    g->a = splitmix64(&z);
    g->b = splitmix64(&z);
}

FN word next(state *g) {
    w64 x = g->a, y = g->b, result = x + y;
    g->a = y;
    x ^= x << 23;
    g->b = x ^ y ^ x >> 18 ^ y >> 5;
    return result;
}

FN word prev(state *g) {
    w64 y = g->a, x = unshift_right64(g->b ^ y ^ y >> 5, 18);
    g->a = unshift_left64(x, 23);
    g->b = y;
    return g->a + g->b;
}
