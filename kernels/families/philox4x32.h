/*---
title = "Philox4x32-10: key = seed, 128-bit counter from 0, all four words in order"
source = "J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC11"
verified = "randomgen 2.5.1"
algebra = "counter"
lane_bits = 64
word_bits = 32
seed_bits = 64
words_at_once = 4
known = [
    [42, [2632642643, 2012563771, 314527917, 1463989207, 4242219303]],
    [4294967297, [2714744177, 753884053, 3575498877, 49995687, 3907783342]],
]
known_at = [[42, 9999, 3055876107]]
---*/

#include "philox.h"

/* at: the next output's index, block at / 4, word at % 4; ready when `out` is that block. */
typedef struct { w32 key[2], out[4]; u64 at; u32 ready; } state;

/* Indices below 0 have the counters below 2^128, so the sign of `at` goes through all four words. */
FN void philox_block(state *g) {
    u32 rest = -(u32)(g->at >> 63);
    philox4x32_10(g->out, g->at >> 2 | (u64)rest << 62, rest, g->key);
    g->ready = 1;
}

FN word philox_word(const state *g, u32 word) {
    return word & 2 ? (word & 1 ? g->out[3] : g->out[2]) : (word & 1 ? g->out[1] : g->out[0]);
}

FN void seed(state *g, wseed z, const u64 *param) {
    g->key[0] = low(z);
    g->key[1] = high(z);
    g->at = 0;
    g->ready = 0;
}

FN word next(state *g) {
    u32 word = (u32)g->at & 3;
    if (!g->ready || word == 0) philox_block(g);
    g->at++;
    return philox_word(g, word);
}

FN jump jump_by(u64 n, const u64 *param) {
    jump j = {1, n};
    return j;
}

FN void leap(state *g, jump j) {
    g->at += j.c;
    g->ready = 0;
}

/* `out` is the block of the output before `at` after a step ahead, and of that at `at` after one back: the same unless
   this step enters a block from its end. */
FN word prev(state *g) {
    u32 word = (u32)--g->at & 3;
    if (!g->ready || word == 3) philox_block(g);
    return philox_word(g, word);
}
