/* x modulo the prime 2^31 - 1. */
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
