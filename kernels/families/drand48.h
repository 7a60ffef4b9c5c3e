/*---
title = "drand48: 48-bit LCG, state = seed 2^16 + 0x330E; a word is the state >> shift"
source = "IEEE Std 1003.1, drand48; Perl 5.36, util.c Perl_drand48_init_r"
verified = "glibc 2.36"
algebra = "affine modulo 2^48"
lane_bits = 64
word_bits = 64
seed_bits = 32
word_max = "2**(48 - shift) - 1"
known = [
    [42, [209565157052673, 96461890741112, 31267727288867, 118877848363762, 22830765018389]],
    [4294967295, [84449734643969, 12754057978744, 100747238713891, 113981722288882, 165821865561365]],
]
known_at = [[42, 9999, 84086901184286]]
[params]
shift = 0
---*/

#include "affine.h"

#define DRAND48_A 0x5DEECE66Dull

typedef struct { w64 x; u64 shift; } state;

FN void seed(state *g, wseed z, const u64 *param) {
    g->x = wide(z) << 16 | 0x330E;
    g->shift = param[0];
}

FN word drand48_word(state *g) { return (g->x & 0xffffffffffffull) >> g->shift; }

FN word next(state *g) {
    g->x = g->x * DRAND48_A + 11u;
    return drand48_word(g);
}

FN jump jump_by(u64 n, const u64 *param) { return affine_power(DRAND48_A, 11, n); }

FN void leap(state *g, jump j) { g->x = g->x * j.a + j.c; }

FN word prev(state *g) {
    word x = drand48_word(g);
    leap(g, affine_back(DRAND48_A, 11));
    return x;
}
