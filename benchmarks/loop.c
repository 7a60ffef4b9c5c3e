/* The naive sieve as the replaced system wrote it, the unit that families.py measures everything against: for each
   seed and skip seed again, step one output at a time, test three modulo lanes, never stop early, keep the best rate.
   Parameters come at run time, as they did there. */

#include <stdint.h>

typedef uint32_t u32;
typedef uint64_t u64;
typedef struct { u64 a, c, m; } params;

#define SIEVE(NAME, STATE, SEED, NEXT)                                                                                 \
    u32 NAME(u64 start, u32 seeds, const u32 *draws, u32 k, u32 skip_min, u32 skip_max, float threshold,               \
             const params *p, u64 *found, u32 *found_skip) {                                                          \
        u32 survivors = 0;                                                                                             \
        for (u32 n = 0; n < seeds; n++) {                                                                              \
            float best = 0;                                                                                            \
            u32 best_skip = 0;                                                                                         \
            for (u32 skip = skip_min; skip <= skip_max; skip++) {                                                      \
                STATE g;                                                                                               \
                SEED(&g, start + n);                                                                                   \
                for (u32 s = 0; s < skip; s++) NEXT(&g, p);                                                            \
                u32 matches = 0;                                                                                       \
                for (u32 i = 0; i < k; i++) {                                                                          \
                    u32 out = NEXT(&g, p);                                                                             \
                    if (out % 1000 == draws[i] % 1000 && out % 8 == draws[i] % 8 && out % 125 == draws[i] % 125)       \
                        matches++;                                                                                     \
                    for (u32 s = 0; s < skip; s++) NEXT(&g, p);                                                        \
                }                                                                                                      \
                float rate = (float)matches / (float)k;                                                                \
                if (rate > best) {                                                                                     \
                    best = rate;                                                                                       \
                    best_skip = skip;                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
            if (best >= threshold) {                                                                                   \
                found[survivors] = start + n;                                                                          \
                found_skip[survivors++] = best_skip;                                                                   \
            }                                                                                                          \
        }                                                                                                              \
        return survivors;                                                                                              \
    }

static inline void seed32(u32 *g, u64 z) { *g = (u32)z; }
static inline void seed64(u64 *g, u64 z) { *g = z; }

static inline u32 next_xorshift32(u32 *g, const params *p) {
    *g ^= *g << 13;
    *g ^= *g >> 17;
    *g ^= *g << 5;
    return *g;
}

static inline u32 next_lcg32(u32 *g, const params *p) {
    *g = p->m ? (u32)((p->a * *g + p->c) % p->m) : (u32)p->a * *g + (u32)p->c;
    return *g;
}

static inline u32 next_java(u64 *g, const params *p) {
    *g = (p->a * *g + p->c) & 0xFFFFFFFFFFFFull;
    return (u32)(*g >> 16);
}

static inline u32 next_pcg32(u64 *g, const params *p) {
    u64 old = *g;
    *g = old * 6364136223846793005ull + p->c;
    u32 word = (u32)((old >> 18 ^ old) >> 27), turn = (u32)(old >> 59);
    return word >> turn | word << (-turn & 31);
}

typedef struct { u32 mt[624], at; } twister;

static inline void seed_mt19937(twister *g, u64 z) {
    g->mt[0] = (u32)z;
    for (u32 i = 1; i < 624; i++) g->mt[i] = 1812433253u * (g->mt[i - 1] ^ g->mt[i - 1] >> 30) + i;
    g->at = 624;
}

static u32 twisted(u32 high, u32 low, u32 far) {
    u32 y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return far ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
}

static inline u32 next_mt19937(twister *g, const params *p) {
    if (g->at == 624) {
        u32 i = 0;
        for (; i < 227; i++) g->mt[i] = twisted(g->mt[i], g->mt[i + 1], g->mt[i + 397]);
        for (; i < 623; i++) g->mt[i] = twisted(g->mt[i], g->mt[i + 1], g->mt[i - 227]);
        g->mt[623] = twisted(g->mt[623], g->mt[0], g->mt[396]);
        g->at = 0;
    }
    u32 y = g->mt[g->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

SIEVE(xorshift32, u32, seed32, next_xorshift32)
SIEVE(lcg32, u32, seed32, next_lcg32)
SIEVE(java, u64, seed64, next_java)
SIEVE(pcg32, u64, seed64, next_pcg32)
SIEVE(mt19937, twister, seed_mt19937, next_mt19937)
