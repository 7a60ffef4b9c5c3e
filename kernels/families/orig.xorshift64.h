/*---
title = "xorshift64 of the replaced system: the multiplied word is written back into the state"
source = "the replaced system; deviates from xorshift64*, which multiplies the output only"
verified = "description of the replaced system"
algebra = "none"
lane_bits = 64
word_bits = 64
seed_bits = 64
known = [
    [42, [6255019084209693600, "0xd8840e208e332b2b", "0xdb8049bf07b26a0a", 3582986960528580676, "0xb7dd023c764890c5"]],
    [4294967297, ["0x84e9495afd4c80bd", 2179137574021307313, "0xcc2430eac90f2b8f", 4301408539909161842, 4126757350655808752]],
]
known_at = [[42, 9999, "0xb807dfed31ff0441"]]
---*/

#include "shifts.h"

typedef struct { w64 x; } state;

FN void seed(state *g, wseed z, const u64 *param) { g->x = z; }

FN word next(state *g) {
    g->x ^= g->x >> 12;
    g->x ^= g->x << 25;
    g->x ^= g->x >> 27;
    g->x *= 0x2545F4914F6CDD1Dull;
    return g->x;
}

/* 0x59071D96D81ECD35 * 0x2545F4914F6CDD1D = 1 modulo 2^64. */
FN word prev(state *g) {
    w64 x = g->x;
    g->x = unshift_left64(unshift_right64(x * 0x59071D96D81ECD35ull, 27), 25);
    g->x = unshift_right64(g->x, 12);
    return x;
}
