/*---
title = "pcg64 (XSL RR 128/64), state and increment by NumPy's SeedSequence(seed)"
source = "M. E. O'Neill, PCG: A family of simple fast space-efficient statistically good algorithms, HMC-CS-2014-0905"
verified = "NumPy 2.4"
algebra = "affine modulo 2^128, permuted output"
lane_bits = 64
word_bits = 64
seed_bits = 64
seeding_looks = { seed = 20 }
known = [
    [42, ["0xc621fbcd16d92688", 8095878257575067585, "0xdbcd12c26eda1624", "0xb286b60e1600888d", 1737265434024182251]],
    [4294967297, [6121965077920697375, "0x9ca536eb5cb7fa6a", "0x81f436c89e9256f8", 2883192456884352549, "0xcdd505e0e49b105f"]],
]
known_at = [[42, 9999, 8871182615581145608]]
---*/

#include "seedsequence.h"

#define PCG64_A_HIGH 0x2360ED051FC65DA4ull
#define PCG64_A_LOW 0x4385DF649FCCF645ull

/* Two halves of the state x, and of the increment c, which depends on the seed. */
typedef struct { w64 x_high, x_low, c_high, c_low; } state;

/* x -> a x modulo 2^128 */
FN void pcg64_multiply(state *g, u64 a_high, u64 a_low) {
    g->x_high = mul_high64(g->x_low, a_low) + g->x_high * a_low + g->x_low * a_high;
    g->x_low *= a_low;
}

/* x -> x + y modulo 2^128 */
FN void pcg64_add(state *g, w64 y_high, w64 y_low) {
    g->x_low += y_low;
    g->x_high += y_high - above64(y_low, g->x_low);
}

FN word pcg64_word(const state *g) {
    w64 x = g->x_high ^ g->x_low, turn = g->x_high >> 58;
    return x >> turn | x << (-turn & 63u);
}

FN word next(state *g) {
    pcg64_multiply(g, PCG64_A_HIGH, PCG64_A_LOW);
    pcg64_add(g, g->c_high, g->c_low);
    return pcg64_word(g);
}

/* The multiplier is the inverse of the other, modulo 2^128. */
FN word prev(state *g) {
    word x = pcg64_word(g);
    g->x_high -= g->c_high - above64(g->c_low, g->x_low);
    g->x_low -= g->c_low;
    pcg64_multiply(g, 0x07DDA22B93979860ull, 0x98ABC8B0716EAC8Dull);
    return x;
}

/* pcg_setseq_128_srandom: from state 0 a step, the seed added, a step. */
FN void seed(state *g, wseed z, const u64 *param) {
    w64 words[4];
    seed_sequence(words, 4, z);
    g->c_high = words[2] << 1 | words[3] >> 63;
    g->c_low = words[3] << 1 | 1;
    g->x_high = g->c_high;
    g->x_low = g->c_low;
    pcg64_add(g, words[0], words[1]);
    next(g);
}
