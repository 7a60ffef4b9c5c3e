/*---
title = "Go's math/rand: additive lagged Fibonacci x[i-607] + x[i-273], seeded by an LCG; seeds equal modulo 2^31 - 1 are one"
source = "Go 1.19, math/rand/rng.go, gen_cooked.go"
verified = "Go 1.19.8"
algebra = "linear modulo 2^64"
lane_bits = 64
word_bits = 64
seed_bits = 32
seeding_looks = { seed = 10 }
known = [
    [0, [8717895732742165505, 2259404117704393152, 6050128673802995827, "0x86f4bd2ae8eea562", "0xaf0d18fb750b2d4a"]],
    [42, ["0xafbf64b1967f8c53", "0x8872b44b9fbb971b", 5571782338101878760, 1926012586526624009, "0x859bd7df529ddd09"]],
    [4294967295, [5577006791947779410, 8674665223082153551, "0xd5104dc76695721d", "0xb80704bb7b4d7c03", 3916589616287113937]],
]
known_at = [[42, 9999, 7855488943752453772]]
---*/

#include "cooked607.h"
#include "fold31.h"

#define ALFG_N 607u
#define ALFG_TAP 273u
/* 48271^n modulo 2^31 - 1: n = 20 + 3 (607 - 273 - 1), 20 + 3 606 and -3. */
#define ALFG_FEED_AT 605303330u
#define ALFG_TAP_AT 1344849213u
#define ALFG_BACK 856800417u

/* Words before `feed` and `tap` make the next, in place of the first. seeded: for how many steps the ring is seeded; entry
   i takes the seed's chain after 20 + 3 i steps, which feed and tap hold for the entries that the next step asks for. */
typedef struct { w64 ring[ALFG_N], feed_chain, tap_chain; u32 feed, tap, seeded; } state;

FN w64 alfg_times(w64 x, u32 a) { return fold31_lanes(mul_low(x, all64(a))); }

FN w64 alfg_entry(w64 x, u32 i) {
    w64 a = alfg_times(x, 48271u), b = alfg_times(a, 48271u);
    return a << 40 ^ b << 20 ^ alfg_times(b, 48271u) ^ cooked607[i];
}

/* Outputs reach down from the middle and from the end, so a short window never pays for the whole ring. */
FN void alfg_fill(state *g, u32 upto) {
    for (; g->seeded < upto; g->seeded++) {
        u32 feed = ALFG_N - ALFG_TAP - 1 - g->seeded, tap = ALFG_N - 1 - g->seeded;
        g->ring[feed] = alfg_entry(g->feed_chain, feed);
        g->feed_chain = alfg_times(g->feed_chain, ALFG_BACK);
        if (g->seeded >= ALFG_TAP) continue;
        g->ring[tap] = alfg_entry(g->tap_chain, tap);
        g->tap_chain = alfg_times(g->tap_chain, ALFG_BACK);
    }
}

/* The seed modulo 2^31 - 1, and 89482311 in place of 0. */
FN void seed(state *g, wseed z, const u64 *param) {
    w64 x = fold31_lanes(wide(z));
    x = pick64(above64(x, all64(0)), x, all64(89482311u));
    g->feed_chain = alfg_times(x, ALFG_FEED_AT);
    g->tap_chain = alfg_times(x, ALFG_TAP_AT);
    g->feed = ALFG_N - ALFG_TAP;
    g->tap = g->seeded = 0;
}

FN word next(state *g) {
    if (g->seeded < ALFG_N - ALFG_TAP) alfg_fill(g, g->seeded + 1);
    g->feed = (g->feed ? g->feed : ALFG_N) - 1;
    g->tap = (g->tap ? g->tap : ALFG_N) - 1;
    return g->ring[g->feed] += g->ring[g->tap];
}

FN word prev(state *g) {
    alfg_fill(g, ALFG_N - ALFG_TAP);
    w64 x = g->ring[g->feed];
    g->ring[g->feed] = x - g->ring[g->tap];
    g->feed = g->feed + 1 == ALFG_N ? 0 : g->feed + 1;
    g->tap = g->tap + 1 == ALFG_N ? 0 : g->tap + 1;
    return x;
}
