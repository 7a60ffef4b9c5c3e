/* Algebra of the families whose state steps by x -> a x + c: n steps are again one such map, so the generator
   jumps over any number of outputs at the price of one. F. B. Brown, "Random number generation with arbitrary
   strides", Trans. Am. Nucl. Soc. 71 (1994). */

#include "fold31.h"

#define HAS_JUMP 1
typedef struct { u64 a, c; } jump;

/* n steps of x -> a x + c modulo 2^64, which holds for every smaller power of two as well. */
FN jump affine_power(u64 a, u64 c, u64 n) {
    jump j = {1, 0};
    for (; n; n >>= 1) {
        if (n & 1) {
            j.c = j.c * a + c;
            j.a = j.a * a;
        }
        c = c * a + c;
        a = a * a;
    }
    return j;
}

/* One step back, where a is odd. The inverse of a by Newton's iteration: a is its own inverse modulo 8, and each step
   doubles the bits that are right. */
FN jump affine_back(u64 a, u64 c) {
    u64 inverse = a;
    for (u32 i = 0; i < 5; i++) inverse *= 2 - a * inverse;
    jump j = {inverse, -inverse * c};
    return j;
}

/* The same modulo the prime 2^31 - 1; a and c below 2^32. */
FN jump affine_power31(u64 a, u64 c, u64 n) {
    jump j = {1, 0};
    for (; n; n >>= 1) {
        if (n & 1) {
            j.c = fold31(j.c * a + c);
            j.a = fold31(j.a * a);
        }
        c = fold31(c * a + c);
        a = fold31(a * a);
    }
    return j;
}
