/* Invert: where the word is the whole state, only the states whose word is a draw modulo M are looked at, about one in M.
   Each is led back to the seed, and the seeds' hits are counted. A survivor that misses at most B draws matches at least
   `least` of any B + `least` draws, so `scan` = B + `least` of them are enough to name every candidate; each candidate is
   then held against the whole window.

   Host only. One (skip, offset) a call: `first` leads from the seed to the word of draw 0, `stride` from one draw's word to
   the next. */

#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef u8 w8 __attribute__((vector_size(64)));
typedef u32 w32 __attribute__((vector_size(64)));
typedef u64 w64 __attribute__((vector_size(64)));
typedef u32 near32 __attribute__((vector_size(64), aligned(4)));

typedef struct { u64 seed; u32 matches, pad; } inverted;
typedef struct { inverted *out; u64 room, found; } list;

static void add(list *l, u64 seed, u32 matches) {
    if (l->found < l->room) l->out[l->found] = (inverted){seed, matches, 0};
    l->found++;
}

static u8 *aligned(u8 *memory) { return (u8 *)(((uintptr_t)memory + 63) & ~(uintptr_t)63); }

static u64 least64(u64 a, u64 b) { return a < b ? a : b; }

/* ------------------------------------------------------------------------------- state -> a state + c (mod n), n <= 2^32

   Draw i is shown by the words d + M t, t < count, so by the seeds base + step t (mod n). In the order of the seed, the next
   one is reached by one of three steps (three-distance theorem; V. T. Sós, 1958): `up` adds up_t to t, `down` takes down_t
   off, each the least way ahead that keeps t in [0, count), and where neither does, both together. So each draw is a stream
   of ascending seeds, as the primes are in a segmented sieve of Eratosthenes, and sixteen draws run side by side. */

typedef struct { u64 a, c; } affine;
typedef struct {
    u64 states, modulus, draws, need, scan, least, part;
    affine first, stride;
    /* 1 / first.a and 1 / stride.a (mod states) */
    u64 first_back, stride_back;
} modular;

/* Sixteen draws: t, the seed from the block's beginning, and the steps; t at or above `top` can't go up. */
typedef struct { w32 t, at, up_t, up_s, down_t, down_s, top; } streams;

/* Beyond any block, and twice that is still below 2^32. */
#define FAR (1u << 30)
/* Groups of sixteen after which a count of eight bits is cut back to `least`, which is at most 15. */
#define FULL 15

/* Put lane i at the least `ahead` + step t (mod n) that any t < count gives; find the steps on the way.

   Records of step t (mod n) from above and from below are found as in a continued fraction: the next one is the sum of
   the last two, and one side's records are taken many at a time. The least value sinks by each record that fits. */
static void place(streams *g, u32 i, u64 n, u64 step, u64 count, u64 ahead) {
    u64 up_t = 1, up_s = step, down_t = 1, down_s = n - step, t = 0;
    if (count > 1) {
        u64 times = least64(ahead / down_s, count - 1);
        t += times;
        ahead -= times * down_s;
        while (up_t + down_t < count) {
            if (up_s > down_s) {
                times = least64((up_s - 1) / down_s, (count - 1 - up_t) / down_t);
                up_t += times * down_t;
                up_s -= times * down_s;
                continue;
            }
            times = least64((down_s - 1) / up_s, (count - 1 - down_t) / up_t);
            for (;;) {
                u64 j = ahead >= down_s ? 0 : (down_s - ahead + up_s - 1) / up_s;
                if (j > times) break;
                u64 record_t = down_t + j * up_t, record_s = down_s - j * up_s;
                u64 fit = least64(ahead / record_s, (count - 1 - t) / record_t);
                if (!fit) break;
                t += fit * record_t;
                ahead -= fit * record_s;
            }
            down_t += times * up_t;
            down_s -= times * up_s;
        }
    } else
        up_s = down_s = n;
    g->t[i] = t;
    g->at[i] = count ? least64(ahead, FAR) : FAR;
    g->up_t[i] = up_t;
    g->up_s[i] = least64(up_s, FAR);
    g->down_t[i] = down_t;
    g->down_s[i] = least64(down_s, FAR);
    g->top[i] = count - up_t;
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

static w8 cut(w8 x, w8 most) {
    w8 above = (w8)(x > most);
    return (x & ~above) | (most & above);
}

/* Count the seeds from .. from + n - 1 of sixteen draws; counts[n] takes what draws that are through count. */
static void run(streams *g, u32 from, u32 n, u8 *counts) {
    w32 t = g->t, at = g->at - from, up_t = g->up_t, up_s = g->up_s, down_t = g->down_t, down_s = g->down_s, top = g->top;
    for (;;) {
        w32 on = (w32)(at < n), seen = (at & on) | (n & ~on);
        if (!some32(on)) break;
        u32 index[16] __attribute__((aligned(64)));
        *(w32 *)index = seen;
        for (int i = 0; i < 16; i++) counts[index[i]]++;
        w32 up = on & (w32)(t < down_t), down = on & (w32)(t >= top);
        t += (up & up_t) - (down & down_t);
        at += (up & up_s) + (down & down_s);
    }
    g->t = t;
    g->at = at + from;
}

static u32 modular_matches(const modular *q, const u32 *draws, u64 state) {
    u32 matches = 0, left = (u32)q->draws;
    u64 x = (state * q->first.a + q->first.c) % q->states;
    for (u32 i = 0; left + matches >= q->need && left; i++, left--) {
        matches += (u32)x % q->modulus == draws[i];
        x = (x * q->stride.a + q->stride.c) % q->states;
    }
    return matches;
}

/* States low .. high - 1 (at most 2^29 of them) that match at least `need` draws, ascending; their number, at most `room`
   written. memory: 64 + 512 ((scan + 15) / 16) + part + 256 bytes. */
u64 invert_modular(const modular *q, const u32 *draws, u64 low, u64 high, inverted *out, u64 room, u8 *memory) {
    u64 n = q->states, a = q->first.a, c = q->first.c, back = q->first_back;
    u32 groups = ((u32)q->scan + 15) / 16, length = (u32)(high - low);
    streams *all = (streams *)aligned(memory);
    u8 *counts = (u8 *)(all + groups);
    for (u32 i = 0; i < groups * 16; i++) {
        u64 d = i < q->scan ? draws[i] : n, base = back * ((d + n - c) % n) % n;
        u64 step = back * (q->modulus % n) % n, count = d < n ? (n - 1 - d) / q->modulus + 1 : 0;
        place(all + i / 16, i % 16, n, step, count, (base + n - low) % n);
        a = a * q->stride.a % n;
        c = (c * q->stride.a + q->stride.c) % n;
        back = back * q->stride_back % n;
    }
    list l = {out, room, 0};
    w8 least = (w8){} + (u8)q->least;
    for (u32 from = 0; from < length; from += (u32)q->part) {
        u32 m = (u32)least64(q->part, length - from);
        memset(counts, 0, q->part + 256);
        for (u32 g = 0; g < groups; g++) {
            run(all + g, from, m, counts);
            if (g % FULL == FULL - 1 && g + 1 < groups)
                for (w8 *p = (w8 *)counts; p < (w8 *)(counts + m); p++) *p = cut(*p, least);
        }
        counts[m] = 0;
        for (u32 at = 0; at < m; at += 256) {
            const w8 *p = (const w8 *)(counts + at);
            if (!some32((w32)((p[0] >= least) | (p[1] >= least) | (p[2] >= least) | (p[3] >= least)))) continue;
            for (u32 i = at; i < at + 256 && i < m; i++) {
                if (counts[i] < q->least) continue;
                u32 matches = modular_matches(q, draws, low + from + i);
                if (matches >= q->need) add(&l, low + from + i, matches);
            }
        }
    }
    return l.found;
}

/* --------------------------------------------------------------------------- state -> L state, linear over GF(2), 32 bits

   The hits lie anywhere, so those of one part of the seeds (all with the same high bits) are sorted into buckets that a
   cache holds, and then counted. A word is high 2^16 + low: its residue is the sum of two, its seed the exclusive or of two,
   so with the seeds of all lows in order of their residue, the hits of one high are a stretch of that table. */

#define HALF 65536u
#define STAGE 4096

typedef struct {
    u64 modulus, draws, need, scan, least;
    /* the part: seeds whose bits from part_bits on are `part`; buckets of 2^bucket_bits seeds, room for `capacity` hits */
    u64 part, part_bits, bucket_bits, capacity;
    /* columns: from seed to the word of draw 0, from one word to the next, and the ways back */
    u32 first[32], stride[32], first_back[32], stride_back[32];
} linear;

typedef struct { u32 of[4][256]; } table;

static u32 apply(const u32 *columns, u32 x) {
    u32 y = 0;
    for (; x; x &= x - 1) y ^= columns[__builtin_ctz(x)];
    return y;
}

static void tabulate(table *t, const u32 *columns) {
    for (int byte = 0; byte < 4; byte++)
        for (u32 x = 0; x < 256; x++) t->of[byte][x] = apply(columns + 8 * byte, x);
}

static u32 look(const table *t, u32 x) {
    return t->of[0][x & 255] ^ t->of[1][x >> 8 & 255] ^ t->of[2][x >> 16 & 255] ^ t->of[3][x >> 24];
}

typedef struct {
    u32 *fill, *hits;
    w32 *line;
    u32 shift, mask, overflow;
    u64 capacity;
    u32 stage[STAGE + 32];
} sorter;

/* A bucket's hits are gathered to a cache line before they are written; lines that are not read soon pass by the cache. */
static void sort_staged(sorter *s, u32 n) {
    for (u32 i = 0; i < n; i++) {
        u32 x = s->stage[i], b = (x & s->mask) >> s->shift, p = s->fill[b]++;
        ((u32 *)(s->line + b))[p & 15] = x;
        if ((p & 15) != 15) continue;
        if (p >= s->capacity) {
            s->overflow = 1;
            s->fill[b] = 0;
            continue;
        }
        w32 *to = (w32 *)(s->hits + b * s->capacity + (p - 15));
#if defined(__AVX512F__)
        _mm512_stream_si512((__m512i *)to, (__m512i)s->line[b]);
#else
        *to = s->line[b];
#endif
    }
}

/* Put at `to` those of the first n elements of x (of all, where n is larger) that lie in the part; their number. */
static u32 keep(u32 *to, w32 x, u32 n, u32 part_bits, u32 part) {
#if defined(__AVX512F__)
    w32 high = x >> part_bits;
    __mmask16 bits = _mm512_cmpeq_epi32_mask((__m512i)high, _mm512_set1_epi32((int)part)) & (n < 16 ? (1u << n) - 1 : 0xffff);
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(bits, (__m512i)x));
    return (u32)__builtin_popcount(bits);
#else
    u32 kept = 0;
    for (u32 i = 0; i < 16 && i < n; i++) {
        to[kept] = x[i];
        kept += x[i] >> part_bits == part;
    }
    return kept;
#endif
}

/* All hits of one draw within the part. home: from the draw's word to the seed; seeds: room for 2^16 + 16. */
static void hits_of(sorter *s, const linear *q, u32 draw, const table *home, u32 *seeds) {
    u32 m = (u32)least64(q->modulus, 1ull << 31), each = HALF / m, rest = HALF % m, at = 0;
    for (u32 r = 0; r < m && r < HALF; r++)
        for (u32 low = r; low < HALF; low += m) seeds[at++] = home->of[0][low & 255] ^ home->of[1][low >> 8];
    u32 staged = 0, bits = (u32)q->part_bits, part = (u32)q->part;
    u64 r = draw, less = HALF % q->modulus;
    for (u32 high = 0; high < HALF; high++, r = r >= less ? r - less : r + q->modulus - less) {
        u32 n = each + (r < rest);
        if (!n) continue;
        const u32 *from = seeds + r * each + least64(r, rest);
        w32 base = (w32){} + look(home, high << 16);
        for (u32 i = 0; i < n; i += 16) {
            w32 x = (w32) * (const near32 *)(from + i) ^ base;
            staged += keep(s->stage + staged, x, n - i, bits, part);
            if (staged < STAGE) continue;
            sort_staged(s, staged);
            staged = 0;
        }
    }
    sort_staged(s, staged);
}

static u32 linear_matches(const linear *q, const u32 *draws, const table *first, const table *stride, u32 seed) {
    u32 matches = 0, left = (u32)q->draws, x = look(first, seed);
    for (u32 i = 0; left + matches >= q->need && left; i++, left--) {
        matches += x % q->modulus == draws[i];
        x = look(stride, x);
    }
    return matches;
}

/* Seeds of the part that match at least `need` draws, in any order and maybe more than once; their number, at most `room`
   written, or ~0 where the hits of a bucket are more than `capacity` (a multiple of 16). With B = 2^(part_bits - bucket_bits)
   buckets, memory: 64 + 68 B + 2^bucket_bits + 4 (2^16 + 32) + 4 B capacity bytes. */
u64 invert_linear(const linear *q, const u32 *draws, inverted *out, u64 room, u8 *memory) {
    sorter s;
    table home, first, stride;
    u64 buckets = 1ull << (q->part_bits - q->bucket_bits);
    u8 *p = aligned(memory), *counts;
    s.line = (w32 *)p, p += 64 * buckets;
    s.hits = (u32 *)p, p += 4 * buckets * q->capacity;
    counts = p, p += 1ull << q->bucket_bits;
    u32 *seeds = (u32 *)p;
    p += 4 * (HALF + 32);
    s.fill = (u32 *)p;
    s.overflow = 0;
    s.capacity = q->capacity;
    s.shift = (u32)q->bucket_bits;
    s.mask = (1u << q->part_bits) - 1;
    memset(s.fill, 0, 4 * buckets);
    u32 back[32];
    memcpy(back, q->first_back, sizeof back);
    for (u32 i = 0; i < q->scan && !s.overflow; i++) {
        tabulate(&home, back);
        hits_of(&s, q, draws[i], &home, seeds);
        for (int b = 0; b < 32; b++) back[b] = look(&home, q->stride_back[b]);
    }
    if (s.overflow) return ~0ull;
    tabulate(&first, q->first);
    tabulate(&stride, q->stride);
    list l = {out, room, 0};
    for (u64 b = 0; b < buckets; b++) {
        const u32 *hits = s.hits + b * q->capacity, *line = (const u32 *)(s.line + b);
        u32 n = s.fill[b], whole = n & ~15u, mask = (1u << q->bucket_bits) - 1;
        memset(counts, 0, 1ull << q->bucket_bits);
        for (u32 i = 0; i < n; i++) {
            u32 x = i < whole ? hits[i] : line[i & 15];
            /* A count that has gone once round the eight bits was here before. */
            if (++counts[x & mask] != q->least) continue;
            u32 matches = linear_matches(q, draws, &first, &stride, x);
            if (matches >= q->need) add(&l, x, matches);
        }
    }
    return l.found;
}
