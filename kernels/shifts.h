/* Undoing x ^= x >> n and x ^= x << n. With S for the shift, 1 + S has the inverse 1 + S + S^2 + ... over GF(2), which
   ends where S^k is 0 and is the product (1 + S)(1 + S^2)(1 + S^4) ...: shifts by n, 2n, 4n, ... */
FN w32 unshift_right32(w32 x, u32 n) {
    for (; n < 32; n *= 2) x ^= x >> n;
    return x;
}

FN w32 unshift_left32(w32 x, u32 n) {
    for (; n < 32; n *= 2) x ^= x << n;
    return x;
}

FN w64 unshift_right64(w64 x, u32 n) {
    for (; n < 64; n *= 2) x ^= x >> n;
    return x;
}

FN w64 unshift_left64(w64 x, u32 n) {
    for (; n < 64; n *= 2) x ^= x << n;
    return x;
}
