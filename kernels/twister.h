/* What MT19937 and its variant in PHP share: the state, its seeding (mt19937ar.c, init_genrand) and the tempering. */

#define MT_N 624u
#define MT_M 397u
#define MT_STEP(x, i) (((x) ^ (x) >> 30) * 1812433253u + (i))

/* seeded: how many words the seeding chain has reached. Output p needs words p, p + 1 and p + 397 only, so the chain
   runs just ahead of the outputs and a short window never pays for all 624. */
typedef struct { w32 mt[MT_N]; u32 at, seeded; } state;

FN void mt_chain(state *g, u32 upto) {
    w32 x = g->mt[g->seeded - 1];
    for (u32 i = g->seeded; i < upto; i++) {
        x = MT_STEP(x, i);
        g->mt[i] = x;
    }
    if (g->seeded < upto) g->seeded = upto;
}

FN void mt_begin(state *g, w32 z) {
    g->mt[0] = z;
    g->seeded = 1;
    g->at = 0;
}

FN void seed(state *g, wseed z, const u64 *param) {
#if SEED_BITS > 32
    mt_begin(g, low(z));
#else
    mt_begin(g, z);
#endif
}

#if LANES > 1 && SEED_BITS == 32
#define HAS_GROUP_SEEDING 1
/* Sixteen chains hide the latency of a step: 4 instructions on ports that take 4 a cycle, 8.8 cycles until the next. */
#define GROUP 16
/* The seedings of a group, step by step side by side: one chain alone waits for its multiplications. For a short reach
   the words between those that the outputs need stay in registers. */
#define GROUP_SEEDING(g, start, reach)                                                                            \
    do {                                                                                                          \
        u32 head = (reach) < MT_N - MT_M ? (reach) + 1 : MT_N, end = (reach) < MT_N - MT_M ? MT_M + (reach) : MT_N; \
        w32 x[GROUP];                                                                                             \
        ALL {                                                                                                     \
            x[b] = seeds_from((start) + b * LANES);                                                               \
            mt_begin(&g[b], x[b]);                                                                                \
            g[b].seeded = MT_N;                                                                                   \
        }                                                                                                         \
        u32 i = 1;                                                                                                \
        for (; i < head; i++) ALL g[b].mt[i] = x[b] = MT_STEP(x[b], i);                                           \
        for (; i < MT_M && i < end; i++) ALL x[b] = MT_STEP(x[b], i);                                             \
        for (; i < end; i++) ALL g[b].mt[i] = x[b] = MT_STEP(x[b], i);                                            \
    } while (0)
#endif

FN word mt_temper(w32 y) {
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}
