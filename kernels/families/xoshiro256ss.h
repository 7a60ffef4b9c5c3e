/*---
title = "xoshiro256**, seeded by splitmix64"
source = "D. Blackman, S. Vigna, Scrambled linear pseudorandom number generators, ACM TOMS 47(4), 2021"
verified = "PHP 8.2, randomgen 2.5.1"
algebra = "linear over GF(2), 256 bits, scrambled output"
lane_bits = 64
word_bits = 64
seed_bits = 64
seeding_looks = { seed_lua = 10 }
known = [
    [42, [1546998764402558742, 6990951692964543102, "0xae17533239e499a1", "0xecb8ad4703b360a1", "0xfde6dc7fe2ec5e64"]],
    [4294967297, [2514794820299227868, "0x89b053be299bd377", 6813143042545712551, "0xfc36eff7d15bdd5a", 8874640373245623594]],
]
known_at = [[42, 9999, "0xeed6344df08981a9"]]
---*/

#include "mix.h"
#include "xoshiro256.h"

typedef struct { w64 s[4]; } state;

FN void seed(state *g, wseed z, const u64 *param) {
    for (u32 i = 0; i < 4; i++) g->s[i] = splitmix64(&z);
}

FN word next(state *g) {
    w64 *s = g->s, sum = s[1] * 5, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = ROTL64(s[3], 45);
    return ROTL64(sum, 7) * 9;
}

/* Lua's: the seed is the first word, the others are 255, 0, 0; 16 words are discarded. Lua 5.4, lmathlib.c setseed. */
FN void seed_lua(state *g, wseed z, const u64 *param) {
    g->s[0] = z;
    g->s[1] = all64(255);
    g->s[2] = g->s[3] = all64(0);
    for (u32 i = 0; i < 16; i++) next(g);
}

FN word prev(state *g) {
    xoshiro256_back(g->s);
    w64 sum = g->s[1] * 5;
    return ROTL64(sum, 7) * 9;
}
