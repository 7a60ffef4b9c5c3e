/*---
title = "MT19937 with the twist of PHP 5.2.1 to 7.0, init_genrand"
source = "PHP 7.0, ext/standard/mt_rand.c: twist takes the lowest bit of the wrong word"
verified = "PHP 8.2, MT_RAND_PHP"
algebra = "linear over GF(2), 19937 bits"
lane_bits = 32
word_bits = 32
seed_bits = 32
seeding_looks = { seed = 30 }
known = [
    [42, [2708878986, 3421126067, 4083286876, 3496116194, 1173626502]],
    [4294967295, [419326371, 3792022478, 3918654476, 1855669931, 929684824]],
]
known_at = [[42, 9999, 268742361]]
---*/

#include "twister.h"

FN w32 mt_twist(w32 x, w32 after, w32 far) {
    w32 y = pick(all32(0x80000000u), x, after & ~1u);
    return xor_where_odd(far ^ y >> 1, x, 0x9908B0DFu);
}

FN word next(state *g) {
    u32 p = g->at, after = p + 1 == MT_N ? 0 : p + 1, far = p + MT_M < MT_N ? p + MT_M : p + MT_M - MT_N;
    if (g->seeded < MT_N) mt_chain(g, p + MT_M < MT_N ? p + MT_M + 1 : MT_N);
    g->mt[p] = mt_twist(g->mt[p], g->mt[after], g->mt[far]);
    g->at = after;
    return mt_temper(g->mt[p]);
}

/* The word made last is x[p + 397] ^ y >> 1 ^ (0x9908B0DF where x[p] is odd): it shows the top and the lowest bit of x[p]
   and bits 1 to 30 of x[p + 1]. Bits 1 to 30 of x[p] come back with the step before, which needs them first. */
FN word prev(state *g) {
    mt_chain(g, MT_N);
    u32 after = g->at, p = after ? after - 1 : MT_N - 1, far = p + MT_M < MT_N ? p + MT_M : p + MT_M - MT_N;
    w32 last = g->mt[p], twisted = last ^ g->mt[far], odd = twisted >> 31;
    w32 y = (twisted ^ (-odd & 0x9908B0DFu)) << 1;
    g->mt[p] = (y & 0x80000000u) | odd;
    g->mt[after] = (g->mt[after] & 0x80000001u) | (y & 0x7ffffffeu);
    g->at = p;
    return mt_temper(last);
}
