/* numpy.random.SeedSequence(z): the 32-bit words of z, low first, hashed into a pool of four words, and from the pool as
   many words as wanted. NumPy 2, numpy/random/bit_generator.pyx, after M. E. O'Neill's randutils, seed_seq_fe. */
FN w32 seed_hash(w32 x, u32 *constant, u32 factor) {
    x ^= *constant;
    *constant *= factor;
    x *= *constant;
    return x ^ x >> 16;
}

FN void seed_sequence(w64 *out, u32 words, w64 z) {
    w32 pool[4] = {low(z), high(z), all32(0), all32(0)};
    u32 c = 0x43B0D7E5u;
    for (u32 i = 0; i < 4; i++) pool[i] = seed_hash(pool[i], &c, 0x931E8875u);
    for (u32 from = 0; from < 4; from++)
        for (u32 to = 0; to < 4; to++) {
            if (from == to) continue;
            w32 x = pool[to] * 0xCA01F9DDu - seed_hash(pool[from], &c, 0x931E8875u) * 0x4973F715u;
            pool[to] = x ^ x >> 16;
        }
    c = 0x8B51F9DDu;
    for (u32 i = 0; i < words; i++) {
        w64 x = wide(seed_hash(pool[2 * i & 3], &c, 0x58F38DEDu));
        out[i] = wide(seed_hash(pool[(2 * i | 1) & 3], &c, 0x58F38DEDu)) << 32 | x;
    }
}
