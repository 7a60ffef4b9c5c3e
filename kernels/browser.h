/* xorshift128+ with shifts 23, 17, 26, as the engines of browsers step it: S. Vigna, Further scramblings of Marsaglia's
   xorshift generators, 2014; V8, src/base/utils/random-number-generator.h; WebKit, Source/WTF/wtf/WeakRandom.h. */
#include "shifts.h"

typedef struct { w64 a, b; } pair;

FN void pair_next(pair *s) {
    w64 x = s->a, y = s->b;
    x ^= x << 23;
    s->a = y;
    s->b = x ^ x >> 17 ^ y ^ y >> 26;
}

FN void pair_prev(pair *s) {
    w64 y = s->a, x = s->b ^ y ^ y >> 26;
    s->a = unshift_left64(unshift_right64(x, 17), 23);
    s->b = y;
}
