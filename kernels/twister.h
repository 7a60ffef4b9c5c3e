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
#define FIRST_WORDS (MT_N - MT_M)
/* Sixteen chains hide the latency of a step: 4 instructions on ports that take 4 a cycle, 8.8 cycles until the next. */
#define GROUP 16
/* The seedings of a group, step by step side by side: one chain alone waits for its multiplications. For a short reach
   only the words that outputs from..reach - 1 need leave the registers. */
#define GROUP_SEEDING(g, start, from, reach)                                                                      \
    do {                                                                                                          \
        u32 near = (reach) < FIRST_WORDS ? (from) : 0, head = (reach) < FIRST_WORDS ? (reach) + 1 : MT_N;           \
        u32 end = (reach) < FIRST_WORDS ? MT_M + (reach) : MT_N, i = 1;                                             \
        w32 x[GROUP];                                                                                             \
        ALL {                                                                                                     \
            x[b] = seeds_from((start) + b * LANES);                                                               \
            mt_begin(&g[b], x[b]);                                                                                \
            g[b].seeded = MT_N;                                                                                   \
        }                                                                                                         \
        for (; i < near; i++) ALL x[b] = MT_STEP(x[b], i);                                                        \
        for (; i < head; i++) ALL g[b].mt[i] = x[b] = MT_STEP(x[b], i);                                           \
        for (; i < MT_M + near && i < end; i++) ALL x[b] = MT_STEP(x[b], i);                                      \
        for (; i < end; i++) ALL g[b].mt[i] = x[b] = MT_STEP(x[b], i);                                            \
    } while (0)
/* Output p of a group's seed, for p below FIRST_WORDS: no twisted word is needed, so they come in any order and leave the
   state as it was. */
#define WORD_AT(g, p) mt_temper(mt_twist((g)->mt[p], (g)->mt[(p) + 1], (g)->mt[(p) + MT_M]))
#endif

FN word mt_temper(w32 y) {
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}
