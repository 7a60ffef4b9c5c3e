/*---
title = "Math.random() 2^53 of V8 14.6: as v8, but both state words are added"
source = "V8, src/numbers/math-random.cc since commit 0596ead5b04f, as Node.js 26.10 shows it"
verified = "Node.js 26"
algebra = "linear over GF(2), 128 bits, scrambled output"
lane_bits = 64
word_bits = 64
seed_bits = 64
word_max = "2**53 - 1"
seeding_looks = { seed = 64 }
known = [
    [42, [5548128305970074, 2876992649523495, 7902320761047063, 2836286082770425, 4522594453692758]],
    ["0xffffffffffffffff", [4742579756025988, 7909461261487191, 4958727979229750, 401717823137961, 1624015383516795]],
]
known_at = [[42, 9999, 5917632604138260]]
---*/

#include "pool.h"

FN word sum53(pair s) { return (s.a + s.b) >> 11; }

FN word next(state *g) { return sum53(serve(g)); }

FN word prev(state *g) { return sum53(unserve(g)); }
