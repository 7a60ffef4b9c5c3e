/*---
title = "V8's Math.random() 2^53: xorshift128+ 23 17 26, by pools of 64 served backwards, seeded by MurmurHash3"
source = "V8 13.6, src/numbers/math-random.cc, src/base/utils/random-number-generator.h"
verified = "Node.js 24"
algebra = "linear over GF(2), 128 bits"
lane_bits = 64
word_bits = 64
seed_bits = 64
word_max = "2**53 - 1"
seeding_looks = { seed = 64 }
known = [
    [42, [7150917156811074, 4733274747453412, 3169046013593650, 8674439323917766, 4855354384515984]],
    ["0xffffffffffffffff", [8976480819309942, 7940179696918241, 6025747537052500, 3383169540826452, 7248045097431335]],
]
known_at = [[42, 9999, 5312775826920628]]
---*/

#include "pool.h"

FN word next(state *g) { return serve(g).a >> 11; }

FN word prev(state *g) { return unserve(g).a >> 11; }
