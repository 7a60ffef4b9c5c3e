/* V8's Math.random: states are made by pools of 64 and served from a pool's last to its first. V8 12.4,
   src/numbers/math-random.cc. No pool is kept here: the states of one are made again by stepping back from its end. */

#include "browser.h"

#define POOL 64u

/* end: the last state of the pool that is served, or is served up; at: the state that is served next; left: how many. */
typedef struct { pair end, at; u32 left; } state;

/* The finalizer of MurmurHash3, A. Appleby. */
FN w64 murmur(w64 x) {
    x = (x ^ x >> 33) * 0xFF51AFD7ED558CCDull;
    x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53ull;
    return x ^ x >> 33;
}

FN void seed(state *g, wseed z, const u64 *param) {
    g->end.a = murmur(z);
    g->end.b = murmur(~z);
    g->at = g->end;
    g->left = 0;
}

FN pair serve(state *g) {
    if (!g->left) {
        for (u32 i = 0; i < POOL; i++) pair_next(&g->end);
        g->at = g->end;
        g->left = POOL;
    }
    pair s = g->at;
    pair_prev(&g->at);
    g->left--;
    return s;
}

/* Undoes `serve`. A pool that is taken back whole leaves the one before it served up. */
FN pair unserve(state *g) {
    if (!g->left) {
        g->at = g->end;
        for (u32 i = 0; i < POOL; i++) pair_prev(&g->at);
    }
    pair_next(&g->at);
    pair s = g->at;
    if (++g->left == POOL) {
        for (u32 i = 0; i < POOL; i++) pair_prev(&g->end);
        g->left = 0;
    }
    return s;
}
