/* What MT19937 and its variant in PHP share: the state, its seeding (mt19937ar.c, init_genrand) and the tempering. */

#define MT_N 624u
#define MT_M 397u
#define MT_A 1812433253u
#define MT_MIX(x, factor) (((x) ^ (x) >> 30) * (factor))
#define MT_STEP(x, i) (MT_MIX(x, MT_A) + (i))

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

FN word mt_temper(w32 y) {
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

#if LANES > 1
/* Seedings side by side, since one chain alone waits for its multiplications: 4 instructions on ports that take 4 a cycle, 8.8
   cycles until the next. Ten whole states fit a core's second cache, twenty-four chains its registers. */
#define TEAM 10
#define GROUP 24
#define EACH _Pragma("GCC unroll 16") for (u32 b = 0; b < TEAM; b++)
FN void team_seed(state *team, const wseed *z) {
    w32 x[TEAM];
    EACH {
        seed(&team[b], z[b], 0);
        team[b].seeded = MT_N;
        x[b] = team[b].mt[0];
    }
    for (u32 i = 1; i < MT_N; i++) EACH team[b].mt[i] = x[b] = MT_STEP(x[b], i);
}
#endif

#if LANES > 1 && SEED_BITS == 32 && !defined(CLOCK_TIMES_PID)
/* The first outputs need words of the seeding alone, no twisted ones: output p needs words p, p + 1 and p + 397. So where
   all that matter come before output BRIEF, just their words leave the registers, and outputs are had in any order. */
#define BRIEF (MT_N - MT_M)
#define BRIEF_NEAR(words, p) (words)[(p) * GROUP + b]
#define BRIEF_FAR(words, reach, p) (words)[((reach) + 1 + (p)) * GROUP + b]
#define BRIEF_OUTPUT(words, reach, p)                                                                             \
    mt_temper(mt_twist(BRIEF_NEAR(words, p), BRIEF_NEAR(words, (p) + 1), BRIEF_FAR(words, reach, p)))

/* Every fourth addition can wait for the next one. Where 4 divides i and x = u + i, u the product, the next step multiplies

       x ^ x >> 30  =  (u ^ u >> 30) + i

   by a and adds i + 1, so it may as well add a i + i + 1 to a (u ^ u >> 30). That is wrong only where adding i carries into the
   top two bits, which is where x mod 2^30 < i. A step can be undone, so the seeds of those x are few and known. */
#define MT_FOUR_STEPS(x, i)                                                                                       \
    do {                                                                                                          \
        ALL x[b] = MT_STEP(x[b], 0);                                                                              \
        ALL x[b] = MT_STEP(x[b], MT_A * (i) + (i) + 1);                                                           \
        ALL x[b] = MT_STEP(x[b], (i) + 2);                                                                        \
        ALL x[b] = MT_STEP(x[b], (i) + 3);                                                                        \
    } while (0)

#define MT_A_INVERSE 2520285293u
/* The seeds that a brief seeding may get wrong, in no order; how many there are. out: room for them, or NULL. */
u32 exceptions(u32 *out) {
    u32 n = 0, fours = MT_M / 4 - 1;
    for (u32 i = 4 * fours; out && i; i--) {
        for (u32 low = 0; low < i && i % 4 == 0; low++)
            for (u32 top = 0; top < 4; top++) out[n++] = top << 30 | low;
        for (u32 j = 0; j < n; j++) {
            u32 x = (out[j] - i) * MT_A_INVERSE;
            out[j] = x ^ x >> 30;
        }
    }
    return 8 * fours * (fours + 1);
}

/* The words for those from `from` to reach - 1. */
#define BRIEF_SEEDING(words, start, from, reach)                                                                  \
    do {                                                                                                          \
        u32 i = 1;                                                                                                \
        w32 x[GROUP];                                                                                             \
        ALL BRIEF_NEAR(words, 0) = x[b] = seeds_from((start) + b * LANES);                                        \
        for (; i < (from); i++) ALL x[b] = MT_STEP(x[b], i);                                                      \
        for (; i <= (reach); i++) ALL BRIEF_NEAR(words, i) = x[b] = MT_STEP(x[b], i);                             \
        for (; i % 4; i++) ALL x[b] = MT_STEP(x[b], i);                                                           \
        for (; i + 4 <= MT_M; i += 4) MT_FOUR_STEPS(x, i);                                                        \
        for (; i < MT_M + (from); i++) ALL x[b] = MT_STEP(x[b], i);                                               \
        for (; i < MT_M + (reach); i++) ALL BRIEF_FAR(words, reach, i - MT_M) = x[b] = MT_STEP(x[b], i);          \
    } while (0)
#endif
