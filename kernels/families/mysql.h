/*---
title = "MySQL's RAND(seed): two additive congruential words modulo 2^30 - 1"
source = "MySQL 5.7 and MariaDB 10.11, mysys/my_rnd.c; sql/item_func.cc, Item_func_rand::seed_random"
verified = "MariaDB 10.11"
algebra = "affine modulo 2^30 - 1"
lane_bits = 32
word_bits = 32
seed_bits = 32
word_max = "2**30 - 2"
invertible = "0"
known = [
    [42, [711795283, 162826652, 826231090, 421450058, 702298876]],
    [4294967295, [971776424, 397444807, 145636619, 609590530, 463559180]],
]
known_at = [[42, 9999, 777970910]]
---*/

typedef struct { w32 a, b; } state;

#define M30 0x3fffffffu

/* x mod 2^30 - 1 */
FN w32 fold30(w32 x) {
    x = (x & M30) + (x >> 30);
    return least(x, x - M30);
}

FN void seed(state *g, wseed z, const u64 *param) {
    g->a = fold30(z * 0x10001u + 55555555u);
    g->b = fold30(z * 0x10000001u);
}

FN word next(state *g) {
    g->a = fold30(g->a * 3u + g->b);
    g->b = fold30(g->a + g->b + 33u);
    return g->a;
}

/* 3 divides 2^30 - 1, so a state has three predecessors or none: this goes to the least of three. 0xAAAAAAAB * 3 = 1
   modulo 2^32. */
FN word prev(state *g) {
    w32 x = g->a;
    g->b = fold30(g->b + 2u * M30 - x - 33u);
    g->a = fold30(x + M30 - g->b) * 0xAAAAAAABu;
    return x;
}
