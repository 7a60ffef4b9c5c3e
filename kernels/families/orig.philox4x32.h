/*---
title = "Philox4x32-10 of the replaced system: the first word of each block only"
source = "the replaced system; three of four words are thrown away"
verified = "randomgen 2.5.1, first words"
algebra = "counter"
lane_bits = 64
word_bits = 32
seed_bits = 64
known = [
    [42, [2632642643, 4242219303, 3547071013, 3133604981, 1401955260]],
    [4294967297, [2714744177, 3907783342, 1177111764, 2779217670, 3770195039]],
]
known_at = [[42, 9999, 2658381735]]
---*/

#include "philox.h"

typedef struct { w32 key[2]; u64 at; } state;

FN void seed(state *g, wseed z, const u64 *param) {
    g->key[0] = low(z);
    g->key[1] = high(z);
    g->at = 0;
}

FN word next(state *g) {
    w32 out[4];
    philox4x32_10(out, g->at & 0xffffffffu, 0, g->key);
    g->at++;
    return out[0];
}

FN jump jump_by(u64 n, const u64 *param) {
    jump j = {1, n};
    return j;
}

FN void leap(state *g, jump j) { g->at += j.c; }

/* The counter is one word of 32 bits, so the block before 0 is 2^32 - 1. */
FN word prev(state *g) {
    g->at--;
    w32 out[4];
    philox4x32_10(out, g->at & 0xffffffffu, 0, g->key);
    return out[0];
}
