/*---
title = "splitmix64"
source = "G. L. Steele, D. Lea, C. H. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014"
verified = "JDK 17"
algebra = "counter, mixed output"
lane_bits = 64
word_bits = 64
seed_bits = 64
known = [
    [42, ["0xbdd732262feb6e95", 2949826092126892291, 5139283748462763858, 6349198060258255764, 701532786141963250]],
    [4294967297, [2324861979054413167, 3596911178749327377, "0xdd1573f64cbd37a8", "0xf108b76a50a72ab7", "0xf4db60fecbc62505"]],
]
known_at = [[42, 9999, 7128470787262806925]]
---*/

#include "mix.h"
#include "affine.h"

typedef struct { w64 z; } state;

FN void seed(state *g, wseed z, const u64 *param) { g->z = z; }

FN word next(state *g) { return splitmix64(&g->z); }

FN jump jump_by(u64 n, const u64 *param) { return affine_power(1, 0x9E3779B97F4A7C15ull, n); }

FN void leap(state *g, jump j) { g->z += j.c; }

/* The mix of z is what a step from the state before z gives. */
FN word prev(state *g) {
    w64 z = g->z -= 0x9E3779B97F4A7C15ull;
    return splitmix64(&z);
}
