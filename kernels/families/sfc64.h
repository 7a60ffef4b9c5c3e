/*---
title = "sfc64, a = b = c = seed, 12 warm-up rounds"
source = "C. Doty-Humphrey, PractRand 0.94, RNG/sfc.cpp"
verified = "NumPy 2.4"
algebra = "none"
lane_bits = 64
word_bits = 64
seed_bits = 64
seeding_looks = { seed_sequenced = 20 }
known = [
    [42, ["0x8523e80b9315250f", 7993095875549472148, 7611607860230059198, "0x9a1855d54732c668", 3025130052202411035]],
    [4294967297, ["0xea6c5671c4d75950", "0xf3cd847f18f73513", "0xc860ca69525f9566", "0xec73d7ea6e6680d7", "0xdf45a491df44a7c6"]],
]
known_at = [[42, 9999, "0xd2c5177e14edfb37"]]
---*/

#include "seedsequence.h"
#include "shifts.h"

typedef struct { w64 a, b, c; u64 counter; } state;

FN word next(state *g) {
    w64 sum = g->a + g->b + g->counter++;
    g->a = g->b ^ g->b >> 11;
    g->b = g->c + (g->c << 3);
    g->c = ROTL64(g->c, 24) + sum;
    return sum;
}

FN void seed(state *g, wseed z, const u64 *param) {
    g->a = g->b = g->c = z;
    g->counter = 1;
    for (u32 i = 0; i < 12; i++) next(g);
}

/* The replaced system's: a = seed, fixed b and c, no warm-up. */
FN void seed_first_word(state *g, wseed z, const u64 *param) {
    g->a = z;
    g->b = all64(0x9E3779B97F4A7C15ull);
    g->c = all64(0x6A09E667F3BCC908ull);
    g->counter = 1;
}

/* NumPy's: a, b, c by SeedSequence, 12 warm-up rounds. NumPy 2, numpy/random/src/sfc64/sfc64.h. */
FN void seed_sequenced(state *g, wseed z, const u64 *param) {
    w64 words[3];
    seed_sequence(words, 3, z);
    g->a = words[0];
    g->b = words[1];
    g->c = words[2];
    g->counter = 1;
    for (u32 i = 0; i < 12; i++) next(g);
}

/* b = 9 c, and 0x8E38E38E38E38E39 * 9 = 1 modulo 2^64. */
FN word prev(state *g) {
    w64 b = unshift_right64(g->a, 11), c = g->b * 0x8E38E38E38E38E39ull, sum = g->c - ROTL64(c, 24);
    g->a = sum - b - --g->counter;
    g->b = b;
    g->c = c;
    return sum;
}
