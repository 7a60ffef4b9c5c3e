/*---
title = "Philox4x64-10, key by NumPy's SeedSequence(seed), 256-bit counter from 1, all four words in order"
source = "J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC11"
verified = "NumPy 2.4"
algebra = "counter"
lane_bits = 64
word_bits = 64
seed_bits = 64
words_at_once = 4
seeding_looks = { seed = 30 }
known = [
    [42, [1587852024645073290, 2611271723512893552, 4982337093617253890, "0xdfc0f20c3c4b5bca", 3138981475030020977]],
    [4294967297, ["0xceb7ce02bafeca16", 2961464874935675902, "0xf1b3ced51afd838a", 5623908403312765491, "0xfb3dd5eea832fbb2"]],
]
known_at = [[42, 9999, 1241098158718587808]]
---*/

#include "affine.h"
#include "seedsequence.h"

/* at: the next output, word at % 4 of block at / 4, where the counter is the block; held: the block that `out` has. */
typedef struct { w64 key[2], out[4]; u64 at, held; } state;

#define NO_BLOCK (1ull << 63)

FN void seed(state *g, wseed z, const u64 *param) {
    seed_sequence(g->key, 2, z);
    g->at = 4;
    g->held = NO_BLOCK;
}

/* Ten rounds over the counter, whose upper words are 0, or all ones before block 0: Random123, philox.h. */
FN void philox4x64_10(w64 *out, u64 block, const w64 *key) {
    w64 x0 = all64(block), x1 = all64(-(block >> 63)), x2 = x1, x3 = x1, k0 = key[0], k1 = key[1];
    for (u32 round = 0; round < 10; round++) {
        w64 a = mul_high64(x0, 0xD2E7470EE14C6C93ull), b = mul_high64(x2, 0xCA5A826395121157ull);
        x0 *= 0xD2E7470EE14C6C93ull;
        x2 *= 0xCA5A826395121157ull;
        w64 y0 = b ^ x1 ^ k0, y2 = a ^ x3 ^ k1;
        x1 = x2;
        x3 = x0;
        x0 = y0;
        x2 = y2;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

FN word philox4x64_word(state *g, u64 at) {
    u64 block = (u64)((long long)at >> 2);
    if (g->held != block) {
        philox4x64_10(g->out, block, g->key);
        g->held = block;
    }
    return at & 2 ? (at & 1 ? g->out[3] : g->out[2]) : (at & 1 ? g->out[1] : g->out[0]);
}

FN word next(state *g) { return philox4x64_word(g, g->at++); }

FN word prev(state *g) { return philox4x64_word(g, --g->at); }

FN jump jump_by(u64 n, const u64 *param) {
    jump j = {1, n};
    return j;
}

FN void leap(state *g, jump j) { g->at += j.c; }
