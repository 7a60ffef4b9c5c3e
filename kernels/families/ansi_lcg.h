/*---
title = "ANSI C LCG modulo 2^31, the whole state out"
source = "ISO/IEC 9899:1990, 7.10.2.2 (constants 1103515245, 12345); glibc random_r TYPE_0"
verified = "GSL 2.7.1"
algebra = "affine modulo 2^31"
lane_bits = 32
word_bits = 32
seed_bits = 32
word_max = "2**31 - 1"
known = [
    [42, [1250496027, 1116302264, 1000676753, 1668674806, 908095735]],
    [4294967295, [1043980748, 288979989, 646343466, 1751031067, 571035320]],
]
known_at = [[42, 9999, 934946010]]
[affine]
bits = 31
a = 1103515245
c = 12345
shift = 0
seed_xor = { seed = 0 }
---*/

#include "affine.h"

/* Neighbouring seeds differ by a sum in their states: see square.h. A word is made of the state after its step. */
#define ADDS 1

typedef struct { w32 x; } state;

FN void seed(state *g, wseed z, const u64 *param) { g->x = z; }

FN word next(state *g) {
    g->x = g->x * 1103515245u + 12345u;
    return g->x & 0x7fffffffu;
}

FN jump jump_by(u64 n, const u64 *param) { return affine_power(1103515245u, 12345u, n); }

FN void leap(state *g, jump j) { g->x = g->x * (u32)j.a + (u32)j.c; }

FN word prev(state *g) {
    w32 x = g->x;
    leap(g, affine_back(1103515245u, 12345u));
    return x & 0x7fffffffu;
}
