/* The lift: every seed of a power-of-two LCG, low bits first.

   state -> a state + c (mod 2^bits); an output shows u = state >> shift, and a draw is u mod M with M = odd 2^twos. Then
   draw mod 2^twos is decided by the low L = shift + twos bits of the state, which step among themselves. So all 2^L low
   parts are held against the window first; the few that can still reach `need` are completed: if draw i matches, the high
   part is h0 + odd t for some t, and all of those are tried. Of the draws whose low bits match, any (their number - need + 1)
   hold at least one true match, so anchoring on that many misses nothing.

   Host only. One (skip, offset) a call: `first` leads from the seed's state to the state that shows draw 0, `stride` from
   one draw's state to the next. A seed's state is seed ^ seed_xor. */

#if defined(__x86_64__)
#include <immintrin.h>
#endif
typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { u64 a, c; } affine;
typedef struct { u64 seed; u32 matches; u32 pad; } lifted;

typedef struct {
    u64 bits, shift, modulus, draws, need, seed_xor;
    affine first, stride;
} lift;

#define LANES 8
#define BLOCKS 4
typedef u32 w32 __attribute__((vector_size(64)));
typedef u64 w64 __attribute__((vector_size(8 * LANES)));

static affine then(affine f, affine g) { return (affine){g.a * f.a, g.a * f.c + g.c}; }

/* The inverse of an odd number modulo 2^64, by Newton's iteration; each step doubles the bits that are right. */
static u64 inverse_of(u64 odd) {
    u64 x = odd;
    for (int i = 0; i < 6; i++) x *= 2 - odd * x;
    return x;
}

static affine back(affine f) {
    u64 a = inverse_of(f.a);
    return (affine){a, -a * f.c};
}

static u64 inverse_mod(u64 a, u64 m) {
    u64 x = 1;
    a %= m;
    if (m == 1) return 0;
    /* m is small (an odd part of a modulus), a search is cheaper than a proof. */
    for (x = 1; x < m; x++)
        if (a * x % m == 1) break;
    return x;
}

static u32 some32(w32 mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask);
#else
    u32 bits = 0;
    for (int i = 0; i < 16; i++) bits |= mask[i];
    return bits;
#endif
}

static u32 some64(w64 mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask);
#else
    u64 bits = 0;
    for (int i = 0; i < LANES; i++) bits |= mask[i];
    return bits != 0;
#endif
}

/* Low parts of the state at draw 0 that match at least `need` draws modulo 2^twos; their number, at most `room` written. */
u64 low_parts(const lift *q, const u32 *draws, u32 *out, u64 room) {
    u32 k = (u32)q->draws, twos = (u32)__builtin_ctzll(q->modulus), size = (u32)q->shift + twos;
    u32 keep = size == 32 ? ~0u : (1u << size) - 1, misses_allowed = k - (u32)q->need;
    u32 a = (u32)q->stride.a, c = (u32)q->stride.c;
    u64 found = 0, total = 1ull << size;
    w32 ramp;
    for (int i = 0; i < 16; i++) ramp[i] = i;
    for (u64 base = 0; base < total; base += 16 * BLOCKS) {
        w32 x[BLOCKS], misses[BLOCKS];
        for (int b = 0; b < BLOCKS; b++) {
            x[b] = ramp + (u32)(base + 16 * b);
            misses[b] = (w32){};
        }
        u32 alive = 1;
        for (u32 i = 0; i < k && alive; i++) {
            /* What is left after the draw's bits are taken off must end in zeros where the draw shows. */
            u32 d = draws[i] << q->shift, shown = (keep >> q->shift) << q->shift;
            w32 lives = {};
            for (int b = 0; b < BLOCKS; b++) {
                misses[b] -= (w32)(((x[b] ^ d) & shown) != 0);
                lives |= (w32)(misses[b] <= misses_allowed);
                x[b] = x[b] * a + c;
            }
            if (i >= misses_allowed) alive = some32(lives);
        }
        if (!alive) continue;
        for (int b = 0; b < BLOCKS; b++)
            for (int l = 0; l < 16; l++) {
                u64 low = base + 16 * b + l;
                if (low < total && misses[b][l] <= misses_allowed) {
                    if (found < room) out[found] = (u32)low;
                    found++;
                }
            }
    }
    return found;
}

/* Every state that completes `low` (at draw 0) to at least `need` matches, as the seed below 2^bits that leads to it; their
   number, at most `room` written. A seed may come several times, once for each anchor. `maps`, `picked` hold k entries each. */
u64 complete(const lift *q, const u32 *draws, u64 low, lifted *out, u64 room, affine *maps, u32 *picked) {
    u32 k = (u32)q->draws, need = (u32)q->need, twos = (u32)__builtin_ctzll(q->modulus);
    u64 mask = ~0ull >> (64 - q->bits), odd = q->modulus >> twos, size = q->shift + twos, highs = 1ull << (q->bits - size);
    /* The draws whose low bits match, and the state's low part at each. */
    u32 n = 0;
    affine at = {1, 0};
    for (u32 i = 0; i < k; i++) {
        u64 x = (at.a * low + at.c) & ((1ull << size) - 1);
        maps[i] = at;
        if (((x >> q->shift) ^ draws[i]) % (1ull << twos) == 0) picked[n++] = i;
        at = then(at, q->stride);
    }
    if (n < need) return 0;
    u64 found = 0, inverse_twos = inverse_mod((1ull << twos) % odd, odd), misses_allowed = n - need;
    u64 inverse_odd = inverse_of(odd), most = mask >> q->shift;
    affine seed_of = back(q->first);
    w64 ramp64 = {0, 1, 2, 3, 4, 5, 6, 7};
    for (u32 anchor = 0; anchor <= misses_allowed; anchor++) {
        u32 i = picked[anchor];
        u64 low_i = (maps[i].a * low + maps[i].c) & ((1ull << size) - 1), c = (low_i >> q->shift) % odd;
        u64 high = (draws[i] % odd + odd - c) % odd * inverse_twos % odd;
        affine home = back(maps[i]);
        u64 first = high << size | low_i, step = odd << size, count = high < highs ? (highs - 1 - high) / odd + 1 : 0;
        for (u64 t = 0; t < count; t += LANES * BLOCKS) {
            w64 misses[BLOCKS] = {};
            u32 alive = 1, seen = 0;
            for (u32 j = 0; j < n && alive; j++) {
                if (j == anchor) continue;
                /* From the anchor's state to this draw's. */
                affine to = then(home, maps[picked[j]]);
                u64 d = draws[picked[j]], base = to.a * (first + t * step) + to.c, add = to.a * step;
                w64 lives = {};
                for (int b = 0; b < BLOCKS; b++) {
                    /* The low bits match already, so u - d is a multiple of 2^twos, and of M where it is one of odd. */
                    w64 u = ((((ramp64 + (u64)(b * LANES)) * add + base) & mask) >> q->shift);
                    w64 quotient = (u - d) * inverse_odd;
                    misses[b] -= (w64)(quotient > most / odd);
                    lives |= (w64)(misses[b] <= misses_allowed);
                }
                seen++;
                if (seen > misses_allowed) alive = some64(lives);
            }
            if (!alive) continue;
            for (int b = 0; b < BLOCKS; b++)
                for (int l = 0; l < LANES; l++) {
                    u64 index = t + b * LANES + l;
                    if (index >= count || misses[b][l] > misses_allowed) continue;
                    u64 x = home.a * (first + index * step) + home.c, y = x;
                    u32 matches = 0;
                    for (u32 m = 0; m < k; m++) {
                        matches += ((y & mask) >> q->shift) % q->modulus == draws[m];
                        y = y * q->stride.a + q->stride.c;
                    }
                    u64 seed = ((seed_of.a * x + seed_of.c) & mask) ^ q->seed_xor;
                    if (matches < need) continue;
                    if (found < room) out[found] = (lifted){seed, matches, 0};
                    found++;
                }
        }
    }
    return found;
}
