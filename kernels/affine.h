/* Algebra of the families whose state steps by x -> a x + c: n steps are again one such map, so the generator
   jumps over any number of outputs at the price of one. F. B. Brown, "Random number generation with arbitrary
   strides", Trans. Am. Nucl. Soc. 71 (1994). */

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

/* The same modulo the prime 2^31 - 1; a, c and x below 2^32. */
#define M31 0x7fffffffull
FN u64 fold31(u64 x) {
    x = (x & M31) + (x >> 31);
    x = (x & M31) + (x >> 31);
    return x >= M31 ? x - M31 : x;
}

FN w64 fold31_lanes(w64 x) {
    x = (x & M31) + (x >> 31);
    x = (x & M31) + (x >> 31);
    return least64(x, x - M31);
}

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
