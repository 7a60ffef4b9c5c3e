/*---
title = "MT19937-64, init_genrand64 (std::mt19937_64)"
source = "T. Nishimura, Tables of 64-bit Mersenne Twisters, ACM TOMACS 10(4), 2000; mt19937-64.c, 2004"
verified = "libstdc++ 12"
algebra = "linear over GF(2), 19937 bits"
lane_bits = 64
word_bits = 64
seed_bits = 64
seeding_looks = { seed = 150 }
known = [
    [42, ["0xc151df7d6ee5e2d6", "0xa3978fb9b92502a8", "0xc08c967f0e5e7b0a", 2513787319205155662, "0xe73ca28e4d361955"]],
    [4294967297, [7570832083502817898, "0x809c17d0b30238f2", 1683674492095684172, 8389313343758010265, "0xda88f402fdb87dc5"]],
]
known_at = [[42, 9999, "0x83a8ba941acb9cc7"]]
---*/

#define MT64_N 312u
#define MT64_M 156u
#define MT64_A 0xB5026F5AA96619E9ull
#define MT64_HIGH 0xffffffff80000000ull

/* The last 312 words of the recurrence; the next one takes the place `at`. seeded: how many words the seeding chain has
   reached; output p needs words p, p + 1 and p + 156 only. */
typedef struct { w64 mt[MT64_N]; u32 at, seeded; } state;

FN void mt64_chain(state *g, u32 upto) {
    for (; g->seeded < upto; g->seeded++) {
        w64 x = g->mt[g->seeded - 1];
        g->mt[g->seeded] = (x ^ x >> 62) * 6364136223846793005ull + g->seeded;
    }
}

FN void seed(state *g, wseed z, const u64 *param) {
    g->mt[0] = z;
    g->seeded = 1;
    g->at = 0;
}

FN word mt64_temper(w64 y) {
    y ^= y >> 29 & 0x5555555555555555ull;
    y ^= y << 17 & 0x71D67FFFEDA60000ull;
    y ^= y << 37 & 0xFFF7EEE000000000ull;
    return y ^ y >> 43;
}

FN word next(state *g) {
    u32 p = g->at, after = p + 1 == MT64_N ? 0 : p + 1, far = p + MT64_M < MT64_N ? p + MT64_M : p + MT64_M - MT64_N;
    mt64_chain(g, p + MT64_M < MT64_N ? p + MT64_M + 1 : MT64_N);
    w64 y = (g->mt[p] & MT64_HIGH) | (g->mt[after] & ~MT64_HIGH);
    g->mt[p] = g->mt[far] ^ y >> 1 ^ (-(y & 1u) & MT64_A);
    g->at = after;
    return mt64_temper(g->mt[p]);
}

/* The twist undone, as in mt19937.h: its matrix has the top bit, so twist(y) shows y's lowest bit there. */
FN word prev(state *g) {
    mt64_chain(g, MT64_N);
    u32 after = g->at, p = after ? after - 1 : MT64_N - 1, far = p + MT64_M < MT64_N ? p + MT64_M : p + MT64_M - MT64_N;
    w64 last = g->mt[p], twisted = last ^ g->mt[far], odd = twisted >> 63;
    w64 y = (twisted ^ (-odd & MT64_A)) << 1 | odd;
    g->mt[p] = y & MT64_HIGH;
    g->mt[after] = (g->mt[after] & MT64_HIGH) | (y & ~MT64_HIGH);
    g->at = p;
    return mt64_temper(last);
}
