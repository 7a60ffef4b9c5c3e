/*---
title = "JavaScriptCore's Math.random() 2^53: xorshift128+ 23 17 26, the sum's low 53 bits"
source = "WebKit, Source/WTF/wtf/WeakRandom.h"
verified = "WebKitGTK 2.50"
algebra = "linear over GF(2), 128 bits, scrambled output"
lane_bits = 64
word_bits = 64
seed_bits = 32
word_max = "2**53 - 1"
known = [
    [42, [352324271, 2955487607955550, 5910974865689588, 5912417633220208, 2974525380103914]],
    [4294967295, [9006928143290304, 8919512673918855, 4328189405929358, 8989879129083839, 147636227149809]],
]
known_at = [[42, 9999, 5062541881997343]]
---*/

#include "browser.h"

typedef struct { pair s; } state;

/* Both words are the seed, 1 in place of 0, and one step is made. */
FN void seed(state *g, wseed z, const u64 *param) {
    w64 x = wide(z);
    g->s.a = g->s.b = pick64(above64(x, all64(0)), x, all64(1));
    pair_next(&g->s);
}

FN word low53(const pair *s) { return (s->a + s->b) & 0x1fffffffffffffull; }

FN word next(state *g) {
    pair_next(&g->s);
    return low53(&g->s);
}

FN word prev(state *g) {
    word x = low53(&g->s);
    pair_prev(&g->s);
    return x;
}
