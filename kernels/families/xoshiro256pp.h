/*---
title = "xoshiro256++, seeded by splitmix64"
source = "D. Blackman, S. Vigna, Scrambled linear pseudorandom number generators, ACM TOMS 47(4), 2021"
verified = "JDK 17"
algebra = "linear over GF(2), 256 bits, scrambled output"
lane_bits = 64
word_bits = 64
seed_bits = 64
known = [
    [42, ["0xd0764d4f4476689f", 5881210131331364753, "0xfbe07cfb0c24ed8c", "0xb37d9f600cd835b8", "0xcb231c3874846a73"]],
    [4294967297, ["0xa8ea920710623b93", "0xa0ebbad3be24032b", 9007757698832682653, 4686167216816603088, "0x9b58e37d29ebcfd8"]],
]
known_at = [[42, 9999, "0xabe37b7688f13ec1"]]
---*/

#include "mix.h"
#include "xoshiro256.h"

typedef struct { w64 s[4]; } state;

FN void seed(state *g, wseed z, const u64 *param) {
    for (u32 i = 0; i < 4; i++) g->s[i] = splitmix64(&z);
}

/* The replaced system's: the seed is the first word, the others are constants. */
FN void seed_first_word(state *g, wseed z, const u64 *param) {
    g->s[0] = z;
    g->s[1] = all64(0x9E3779B97F4A7C15ull);
    g->s[2] = all64(0x6A09E667F3BCC908ull);
    g->s[3] = all64(0xBB67AE8584CAA73Bull);
}

FN word next(state *g) {
    w64 *s = g->s, sum = s[0] + s[3], first = s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = ROTL64(s[3], 45);
    return ROTL64(sum, 23) + first;
}

FN word prev(state *g) {
    xoshiro256_back(g->s);
    w64 sum = g->s[0] + g->s[3];
    return ROTL64(sum, 23) + g->s[0];
}
