/*---
title = "MT19937, init_genrand"
source = "M. Matsumoto, T. Nishimura, Mersenne Twister, ACM TOMACS 8(1), 1998; mt19937ar.c, 2002"
verified = "libstdc++ 12, GSL 2.7.1"
algebra = "linear over GF(2), 19937 bits"
lane_bits = 32
word_bits = 32
seed_bits = 32
seeding_looks = { seed = 30, seed_by_array = 200 }
known = [
    [42, [1608637542, 3421126067, 4083286876, 787846414, 3143890026]],
    [4294967295, [419326371, 479346978, 3918654476, 2416749639, 3388880820]],
]
known_at = [[42, 9999, 1399405940]]

[linear]
bits = 19937
unused = 31
---*/

#include "twister.h"

#if SEED_BITS > 32
/* init_by_array with the key CPython makes of an integer: one 32-bit word, or two from 2^32 on. The host never lets a
   block cross a multiple of 2^32, so the first lane's key length is everyone's. */
FN void seed_by_array(state *g, wseed z, const u64 *param) {
    u32 words = first_seed(z) >> 32 ? 2 : 1;
    w32 key[2] = {low(z), high(z)};
    mt_begin(g, all32(19650218u));
    mt_chain(g, MT_N);
    u32 i = 1, j = 0;
    for (u32 n = 0; n < MT_N; n++) {
        g->mt[i] = (g->mt[i] ^ MT_MIX(g->mt[i - 1], 1664525u)) + key[j] + j;
        if (++i == MT_N) {
            g->mt[0] = g->mt[MT_N - 1];
            i = 1;
        }
        if (++j == words) j = 0;
    }
    for (u32 n = 0; n < MT_N - 1; n++) {
        g->mt[i] = (g->mt[i] ^ MT_MIX(g->mt[i - 1], 1566083941u)) - i;
        if (++i == MT_N) {
            g->mt[0] = g->mt[MT_N - 1];
            i = 1;
        }
    }
    g->mt[0] = all32(0x80000000u);
}

#if LANES > 1
FN void team_seed_by_array(state *team, const wseed *z) {
    u32 words = first_seed(z[0]) >> 32 ? 2 : 1, c = 19650218u;
    w32 x[TEAM], key[2][TEAM];
    EACH {
        mt_begin(&team[b], all32(0x80000000u));
        team[b].seeded = MT_N;
        x[b] = all32(c);
        key[0][b] = low(z[b]);
        key[1][b] = high(z[b]) + 1;
    }
    /* The words that init_genrand leaves are the same for all seeds. */
    for (u32 i = 1; i < MT_N; i++) {
        const w32 *k = key[(i - 1) % words];
        c = MT_STEP(c, i);
        EACH team[b].mt[i] = x[b] = (c ^ MT_MIX(x[b], 1664525u)) + k[b];
    }
    EACH team[b].mt[1] = x[b] = (team[b].mt[1] ^ MT_MIX(x[b], 1664525u)) + key[(MT_N - 1) % words][b];
    for (u32 i = 2; i < MT_N; i++) EACH team[b].mt[i] = x[b] = (team[b].mt[i] ^ MT_MIX(x[b], 1566083941u)) - i;
    EACH team[b].mt[1] = (team[b].mt[1] ^ MT_MIX(x[b], 1566083941u)) - 1;
}
#endif
#endif

FN w32 mt_twist(w32 x, w32 after, w32 far) {
    w32 y = pick(all32(0x80000000u), x, after);
    return xor_where_odd(far ^ y >> 1, y, 0x9908B0DFu);
}

/* The twist, one word at a time. */
FN word next(state *g) {
    u32 p = g->at, after = p + 1 == MT_N ? 0 : p + 1, far = p + MT_M < MT_N ? p + MT_M : p + MT_M - MT_N;
    if (g->seeded < MT_N) mt_chain(g, p + MT_M < MT_N ? p + MT_M + 1 : MT_N);
    g->mt[p] = mt_twist(g->mt[p], g->mt[after], g->mt[far]);
    g->at = after;
    return mt_temper(g->mt[p]);
}

/* The twist undone, one word at a time. The word made last is x[p + 397] ^ twist(y), where y has the top bit of the x[p]
   that it replaced and the low 31 bits of x[p + 1]; twist(y) shows y's lowest bit on top, for 0x9908B0DF has it and
   y >> 1 has not. The low bits of x[p] itself come back with the step before, which needs them first.

   So the low bits of mt[0] are no part of a seeded state: output -624, the only one made of them, has those that the
   recurrence asks for, whether or not outputs were made before, and not the seed's. Outputs -1 to -623 are the words of
   the seeding. */
FN word prev(state *g) {
    mt_chain(g, MT_N);
    u32 after = g->at, p = after ? after - 1 : MT_N - 1, far = p + MT_M < MT_N ? p + MT_M : p + MT_M - MT_N;
    w32 last = g->mt[p], twisted = last ^ g->mt[far], odd = twisted >> 31;
    w32 y = (twisted ^ (-odd & 0x9908B0DFu)) << 1 | odd;
    g->mt[p] = y & 0x80000000u;
    g->mt[after] = (g->mt[after] & 0x80000000u) | (y & 0x7fffffffu);
    g->at = p;
    return mt_temper(last);
}
