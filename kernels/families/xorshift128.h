/*---
title = "xorshift128 (xor128), x = seed, the other words as published"
source = "G. Marsaglia, Xorshift RNGs, J. Stat. Softw. 8(14), 2003, page 5"
verified = "npm seedrandom 3.0.5"
algebra = "linear over GF(2), 128 bits"
lane_bits = 32
word_bits = 32
seed_bits = 32
known = [
    [42, [88621792, 3266972369, 1291538080, 23469191, 1182662921]],
    [4294967295, [88675426, 3267058771, 1291458594, 23546373, 1287693391]],
]
known_at = [[42, 9999, 244368623]]

[linear]
bits = 128
---*/

#include "shifts.h"

/* Neighbouring seeds differ by an exclusive or in their words: see square.h. */
#define XORS 1
#define SHOWN(a, b) (a)

typedef struct { w32 x, y, z, w; } state;

FN void seed(state *g, wseed z, const u64 *param) {
    g->x = z;
    g->y = all32(362436069u);
    g->z = all32(521288629u);
    g->w = all32(88675123u);
}

FN word next(state *g) {
    w32 t = g->x ^ g->x << 11;
    g->x = g->y;
    g->y = g->z;
    g->z = g->w;
    g->w ^= g->w >> 19 ^ t ^ t >> 8;
    return g->w;
}

/* The last word is w ^ w >> 19 ^ t ^ t >> 8 of the w before it, which is z now. */
FN word prev(state *g) {
    w32 last = g->w, t = unshift_right32(last ^ g->z ^ g->z >> 19, 8);
    g->w = g->z;
    g->z = g->y;
    g->y = g->x;
    g->x = unshift_left32(t, 11);
    return last;
}
