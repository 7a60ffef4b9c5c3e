/*---
title = "LuaJIT's combined Tausworthe generator, period 2^223; a word is the low 52 bits"
source = "P. L'Ecuyer, Tables of maximally equidistributed combined LFSR generators, Math. Comp. 68(225), 1999; LuaJIT 2.1, lj_prng.c"
verified = "LuaJIT 2.1.0-beta3"
algebra = "linear over GF(2), 223 bits, seeded by floating point"
lane_bits = 64
word_bits = 64
seed_bits = 32
word_max = "2**52 - 1"
seeding_looks = { seed = 15 }
known = [
    [42, [4305798324805102, 40332985297928, 2425641189060588, 1955072573156514, 3241353740699571]],
    [4294967295, [4480720684284367, 4384956076947662, 2625856796414988, 117967266687452, 1974018912713414]],
]
known_at = [[42, 9999, 2923037296069341]]
---*/

typedef struct { w64 x[4]; } state;

/* Bits n to n + 63 of x[n + k] = x[n] + x[n + q], the first on top, become bits n + s to n + s + 63; what lies below the
   top k bits is not looked at. */
FN w64 lfsr_ahead(w64 x, u32 k, u32 q, u32 s) { return (x << q ^ x) >> (k - s) | (x & ~0ull << (64 - k)) << s; }

/* The way back, s at most q. */
FN w64 lfsr_back(w64 x, u32 k, u32 q, u32 s) {
    return x >> s | ((x << (k - s) ^ x << (q - s)) & ~0ull << (64 - s));
}

FN word tausworthe_word(const state *g) {
    return (g->x[0] ^ g->x[1] ^ g->x[2] ^ g->x[3]) & 0xfffffffffffffull;
}

FN word next(state *g) {
    g->x[0] = lfsr_ahead(g->x[0], 63, 31, 18);
    g->x[1] = lfsr_ahead(g->x[1], 58, 19, 28);
    g->x[2] = lfsr_ahead(g->x[2], 55, 24, 7);
    g->x[3] = lfsr_ahead(g->x[3], 47, 21, 8);
    return tausworthe_word(g);
}

FN word prev(state *g) {
    word x = tausworthe_word(g);
    g->x[0] = lfsr_back(g->x[0], 63, 31, 18);
    /* 28 bits in two goes. */
    g->x[1] = lfsr_back(lfsr_back(g->x[1], 58, 19, 19), 58, 19, 9);
    g->x[2] = lfsr_back(g->x[2], 55, 24, 7);
    g->x[3] = lfsr_back(g->x[3], 47, 21, 8);
    return x;
}

/* x -> pi x + e gives four doubles, whose bits are the components; ten words are discarded. */
FN void seed(state *g, wseed z, const u64 *param) {
    f64_lanes x = real(wide(z));
    for (u32 i = 0; i < 4; i++) {
        x = times_plus(x, 3.14159265358979323846, 2.7182818284590452354);
        g->x[i] = bits_of(x);
    }
    for (u32 i = 0; i < 10; i++) next(g);
}
