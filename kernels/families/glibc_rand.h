/*---
title = "glibc rand(): additive feedback r[i-3] + r[i-31], the low bit dropped"
source = "glibc 2.36, stdlib/random_r.c (TYPE_3)"
verified = "glibc 2.36"
algebra = "linear modulo 2^32, the low bit of a word hidden"
lane_bits = 32
word_bits = 32
seed_bits = 32
word_max = "2**31 - 1"
seeding_looks = { seed = 30, seed_and_discard = 30 }
known = [
    [42, [71876166, 708592740, 1483128881, 907283241, 442951012]],
    [4294967295, [254925627, 1205188300, 366127624, 1401405153, 76053476]],
]
known_at = [[42, 9999, 48510282]]
---*/

#define RAND_N 31u

/* The last 31 words of the recurrence; the next one takes the place `at`. */
typedef struct { w32 r[RAND_N]; u32 at; } state;

FN word next(state *g) {
    u32 p = g->at;
    g->r[p] += g->r[p < 3 ? p + RAND_N - 3 : p - 3];
    g->at = p + 1 == RAND_N ? 0 : p + 1;
    return g->r[p] >> 1;
}

FN word prev(state *g) {
    u32 p = g->at ? g->at - 1 : RAND_N - 1;
    w32 x = g->r[p];
    g->r[p] = x - g->r[p < 3 ? p + RAND_N - 3 : p - 3];
    g->at = p;
    return x >> 1;
}

/* x mod 2^31 - 1 */
FN w32 rand_fold(w32 x) {
    x = (x & 0x7fffffffu) + (x >> 31);
    return least(x, x - 0x7fffffffu);
}

/* a x mod 2^31 - 1, both below that. */
FN w32 rand_times(w32 x, u32 a) {
    w32 y = x * a;
    y = (y & 0x7fffffffu) + (mul_high32(x, a) << 1 | y >> 31);
    return least(y, y - 0x7fffffffu);
}

/* 31 words of the chain 16807 x mod 2^31 - 1, which takes the seed for an int, 0 for 1; ten times around the ring, 310
   words, are discarded. Each word of the chain is made of the seed, so that none waits for another. */
FN void seed(state *g, wseed z, const u64 *param) {
    w32 r[RAND_N], x = z - equal(z, all32(0));
    r[0] = x;
    /* A negative int is the unsigned word less 2^32, and 2^32 is 2 modulo 2^31 - 1. */
    x = rand_fold(x - (x >> 31 << 1));
    u32 power = 1;
    UNROLL for (u32 i = 1; i < RAND_N; i++) {
        power = (u32)((u64)power * 16807u % 0x7fffffffu);
        r[i] = rand_times(x, power);
    }
    for (u32 round = 0; round < 10; round++) {
        UNROLL for (u32 i = 3; i < RAND_N; i++) r[i] += r[i - 3];
        for (u32 i = 0; i < 3; i++) r[i] += r[i + RAND_N - 3];
    }
    for (u32 i = 0; i < RAND_N; i++) g->r[i] = r[i];
    g->at = 3;
}

/* As Lua 5.3 does, which throws the first number away. */
FN void seed_and_discard(state *g, wseed z, const u64 *param) {
    seed(g, z, param);
    next(g);
}
