/* Recovery: the state of a generator that is linear over GF(2), from the bits of draws that are linear too.

   STATE_BITS unknowns are the bits of the state's words, after the STATE_UNUSED lowest; the state's struct begins with its
   words, and all words 0 stay 0. Bits shift .. shift + bits - 1 of each raw value are the lowest bits of a draw, so each
   draw gives `bits` equations. Their rows are made by running the generator from unit vectors, one in each lane.

   A matrix lies in strips of 512 columns, all rows of a strip one after the other; the last bit of the last strip is the
   right-hand side. Row (draw * bits + b) is bit b of a draw. Host only. */

typedef u64 strip __attribute__((vector_size(64)));
#define STRIP 512
#define STRIPS ((STATE_BITS + STRIP) / STRIP)
#define STATE_WORDS ((STATE_UNUSED + STATE_BITS + WORD_BITS - 1) / WORD_BITS)
#define RIGHT(row) ((row)[7] >> 63)

typedef struct { u64 shift, bits, first, stride, draws; } view;

u64 words_of_state(void) { return STATE_WORDS; }

/* A generator past its seeding, so that its words may be read and set. */
static void begin(state *g, u64 z) {
    const u64 param[4] = {0};
#if SEED_BITS > 32
    SEEDING(g, all64(z), param);
#else
    SEEDING(g, all32((u32)z), param);
#endif
#ifdef MT_N
    mt_chain(g, MT_N);
#endif
}

static void set_words(state *g, const u64 *words) {
    begin(g, 0);
    for (u64 i = 0; i < STATE_WORDS; i++)
#if WORD_BITS == 64
        ((word *)g)[i] = all64(words[i]);
#else
        ((word *)g)[i] = all32((u32)words[i]);
#endif
}

/* The words of a seed's state. */
void seeded(u64 z, u64 *words) {
    static state g;
    begin(&g, z);
    for (u64 i = 0; i < STATE_WORDS; i++) words[i] = LANE(((word *)&g)[i], 0);
}

/* The next value that the recipe gives its caller. */
static u32 value_of(state *g, const search *q) {
    w32 value;
    for (;;)
        if (LANE(MAPPING(take(g), &value, q), 0)) return LANE(value, 0);
}

/* Values first, first + stride, ... of a state: `count` of them. */
void values(const search *q, const u64 *words, u64 first, u64 stride, u64 count, u32 *out) {
    static state g;
    set_words(&g, words);
    for (u64 i = 0; i < first; i++) value_of(&g, q);
    for (u64 i = 0; i < count; i++) {
        out[i] = value_of(&g, q);
        for (u64 j = 1; j < stride && i + 1 < count; j++) value_of(&g, q);
    }
}

/* Bit n of each lane. */
static inline u64 bit_of_lanes(raw r, u32 n) {
#if defined(__AVX512F__) && LANES == 16 && WORDS == 1 && WORD_BITS == 32
    return _mm512_test_epi32_mask((__m512i)r, _mm512_set1_epi32((int)(1u << n)));
#elif defined(__AVX512F__) && LANES == 8 && WORD_BITS == 64
    return _mm512_test_epi64_mask((__m512i)r, _mm512_set1_epi64((long long)(1ull << n)));
#else
    u64 mask = 0;
    for (u32 l = 0; l < LANES; l++) mask |= (u64)(LANE(r, l) >> n & 1) << l;
    return mask;
#endif
}

/* The equations of draws first, first + stride, ... of the raw values: matrix of STRIPS * draws * bits strips. */
void equations(const view *v, const u32 *draws, u64 *matrix) {
    enum { PARTS = 64 / LANES };
    static state g[PARTS];
    u64 rows = v->draws * v->bits;
    for (u64 column = 0; column < STRIPS * STRIP; column += 64) {
        u64 *out = matrix + column / STRIP * rows * 8 + column / 64 % 8;
        u64 end = column + 64 == STRIPS * STRIP;
        for (u32 p = 0; p < PARTS; p++) {
            begin(&g[p], 0);
            word *words = (word *)&g[p];
            for (u64 i = 0; i < STATE_WORDS; i++) words[i] ^= words[i];
            for (u32 l = 0; l < LANES; l++) {
                u64 unknown = column + p * LANES + l, bit = unknown + STATE_UNUSED;
                if (unknown < STATE_BITS) LANE(words[bit / WORD_BITS], l) |= 1ull << bit % WORD_BITS;
            }
            for (u64 i = 0; i < v->first; i++) take(&g[p]);
        }
        for (u64 i = 0; i < v->draws; i++) {
            raw r[PARTS];
            for (u32 p = 0; p < PARTS; p++) {
                r[p] = take(&g[p]);
                for (u64 j = 1; j < v->stride; j++) take(&g[p]);
            }
            for (u32 b = 0; b < v->bits; b++, out += 8) {
                u64 mask = end ? (u64)(draws[i] >> b & 1) << 63 : 0;
                for (u32 p = 0; p < PARTS; p++) mask |= bit_of_lanes(r[p], v->shift + b) << p * LANES;
                *out = mask;
            }
        }
    }
}

#define BIT(row, c) ((row)[(c) / 64] >> (c) % 64 & 1)
#define BYTE(row, c) (((const unsigned char *)&(row))[(c) / 8])

/* Sums of any of eight rows: table[v] is that of the rows whose bits are set in v. */
static void sums(const strip *rows, const u32 *which, u32 count, strip *table) {
    table[0] = (strip){};
    for (u32 n = 1; n < 1u << count; n++)
        table[n] = table[n & (n - 1)] ^ rows[which[__builtin_ctz(n)]];
}

/* One strip brought to triangular form; rows are reduced within the strip only, and `combos` tells what each row is the
   sum of: bit t stands for what pivot row t was before. live[0 .. width) become the pivot rows. Answers how many columns
   have a pivot. Four Russians: V. L. Arlazarov et al., Soviet Math. Dokl. 11 (1970) 1209; eight columns at a time. */
static u64 panel(strip *m, strip *combos, u32 *live, u64 count, u64 width) {
    strip table[256], combined[256];
    for (u64 i = 0; i < count; i++) combos[live[i]] = (strip){};
    for (u64 c = 0; c < width; c += 8) {
        u32 group = width - c < 8 ? width - c : 8;
        u32 *pivot = live + c;
        for (u32 j = 0; j < group; j++) {
            u64 i = c + j;
            u32 needs = 0;
            for (; i < count; i++) {
                /* What the pivots so far would make of the row's byte; theirs is a unit matrix in their columns. */
                u32 byte = BYTE(m[live[i]], c), left = needs = byte & ((1u << j) - 1);
                for (; left; left &= left - 1) byte ^= BYTE(m[pivot[__builtin_ctz(left)]], c);
                if (byte >> j & 1) break;
            }
            if (i == count) return c + j;
            u32 row = live[i];
            for (; needs; needs &= needs - 1) {
                m[row] ^= m[pivot[__builtin_ctz(needs)]];
                combos[row] ^= combos[pivot[__builtin_ctz(needs)]];
            }
            combos[row][(c + j) / 64] ^= 1ull << (c + j) % 64;
            for (u32 t = 0; t < j; t++)
                if (BIT(m[pivot[t]], c + j)) {
                    m[pivot[t]] ^= m[row];
                    combos[pivot[t]] ^= combos[row];
                }
            live[i] = live[c + j];
            live[c + j] = row;
        }
        sums(m, pivot, group, table);
        sums(combos, pivot, group, combined);
        for (u64 i = c + group; i < count; i++) {
            u32 row = live[i], byte = BYTE(m[row], c) & ((1u << group) - 1);
            m[row] ^= table[byte];
            combos[row] ^= combined[byte];
        }
    }
    return width;
}

/* A later strip brought up to date: each row becomes the sum that `combos` tells. Only a last strip has fewer than STRIP
   unknowns, and none follows it. */
static void follow(strip *m, const strip *combos, const u32 *live, u64 count, strip (*tables)[256]) {
    /* So few tables at a time that they stay in the cache. */
    enum { CHUNK = 8 };
    for (u32 i = 0; i < STRIP / 8; i++) sums(m, live + 8 * i, 8, tables[i]);
    for (u32 i = 0; i < STRIP; i++) m[live[i]] = (strip){};
    for (u32 c = 0; c < STRIP / 8; c += CHUNK)
        for (u64 i = 0; i < count; i++) {
            const unsigned char *picks = (const unsigned char *)&combos[live[i]] + c;
            strip sum = m[live[i]];
            for (u32 n = 0; n < CHUNK; n++) sum ^= tables[c + n][picks[n]];
            m[live[i]] = sum;
        }
}

/* Solve the equations in place: how many columns from the first have a pivot; `columns` of them means one solution, else
   there is none or there are many, and the rest is not computed. pivots (columns): the row that settled each unknown;
   solution: the unknowns; contradictions: rows left over that say 0 = 1. live (rows), combos (rows), tables (64): room. */
u64 solve(strip *matrix, u64 rows, u64 columns, u32 *live, strip *combos, strip (*tables)[256], u32 *pivots,
          strip *solution, u64 *contradictions) {
    u64 strips = (columns + STRIP) / STRIP, count = rows;
    for (u64 i = 0; i < rows; i++) live[i] = i;
    for (u64 s = 0; s * STRIP < columns; s++) {
        u64 width = columns - s * STRIP < STRIP ? columns - s * STRIP : STRIP;
        u64 got = panel(matrix + s * rows, combos, live, count, width);
        if (got < width) return s * STRIP + got;
        for (u64 t = s + 1; t < strips; t++) follow(matrix + t * rows, combos, live, count, tables);
        for (u64 i = 0; i < width; i++) pivots[s * STRIP + i] = live[i];
        live += width;
        count -= width;
    }
    const strip *last = matrix + (strips - 1) * rows;
    *contradictions = 0;
    for (u64 i = 0; i < count; i++) *contradictions += RIGHT(last[live[i]]);
    for (u64 s = 0; s < strips; s++) solution[s] = (strip){};
    for (u64 c = columns; c--;) {
        u32 row = pivots[c];
        strip sum = {};
        for (u64 s = c / STRIP; s < strips; s++) sum ^= matrix[s * rows + row] & solution[s];
        u64 bits = RIGHT(last[row]);
        for (u32 i = 0; i < 8; i++) bits += __builtin_popcountll(sum[i]);
        solution[c / STRIP][c % STRIP / 64] |= (bits & 1) << c % 64;
    }
    return columns;
}

#if STATE_BITS <= 128 && STATE_UNUSED == 0
#if STATE_BITS <= 64
typedef u64 equation;
#define LOAD(row) ((row)[0])
#define FIRST(e) (u32) __builtin_ctzll(e)
#define ODD(e) (__builtin_popcountll(e) & 1)
#else
typedef unsigned __int128 equation;
#define LOAD(row) ((equation)(row)[1] << 64 | (row)[0])
#define FIRST(e) (u32)((u64)(e) ? __builtin_ctzll((u64)(e)) : 64 + __builtin_ctzll((u64)((e) >> 64)))
#define ODD(e) ((__builtin_popcountll((u64)(e)) + __builtin_popcountll((u64)((e) >> 64))) & 1)
#endif

typedef struct { equation rows[STATE_BITS], have; unsigned char right[STATE_BITS]; u32 rank; } basis;

/* Takes an equation in. Answers 1 if it contradicts those before it. */
static inline u32 adopt(basis *b, equation e, u32 right) {
    /* A pivot row has no bit below its own, so what is left to clear is above. */
    for (equation todo = e & b->have; todo;) {
        u32 z = FIRST(todo);
        e ^= b->rows[z];
        right ^= b->right[z];
        todo = e & b->have & ~(((equation)2 << z) - 1);
    }
    if (!e) return right;
    u32 z = FIRST(e);
    b->rows[z] = e;
    b->right[z] = right;
    b->have |= (equation)1 << z;
    b->rank++;
    return 0;
}

/* How many draws a state matches, or 0 if fewer than need. */
static u32 matches_of(const search *q, const view *v, const u32 *draws, const u64 *words) {
    state g;
    set_words(&g, words);
    u32 misses = 0;
    for (u64 i = 0; i < v->first; i++) value_of(&g, q);
    for (u64 i = 0; i < v->draws; i++) {
        misses += value_of(&g, q) != draws[i];
        if (misses > v->draws - q->need) return 0;
        for (u64 j = 1; j < v->stride && i + 1 < v->draws; j++) value_of(&g, q);
    }
    return v->draws - misses;
}

/* Information-set decoding (E. Prange, IRE Trans. IT 8 (1962) 5): random draws, until they settle the state or contradict
   each other; a state that matches `need` draws of all is the answer. Answers how many sets were tried, 0 where all
   equations together leave the state open. words: the state; used (draws): 1 for those that settled it; matches: 0 if
   none was found. order (draws): room. */
u64 decode(const search *q, const view *v, const u32 *draws, const u64 *matrix, u64 most, u64 mix, u64 *words,
           unsigned char *used, u32 *order, u64 *matches) {
    u64 k = v->draws;
    basis whole = {.rank = 0};
    for (u64 i = 0; i < k * v->bits; i++) adopt(&whole, LOAD(matrix + 8 * i), 0);
    *matches = 0;
    if (whole.rank < STATE_BITS) return 0;
    for (u64 i = 0; i < k; i++) order[i] = i;
    for (u64 trial = 1; trial <= most; trial++) {
        basis b;
        b.have = 0;
        b.rank = 0;
        u32 wrong = 0;
        u64 i = 0;
        for (; i < k && b.rank < STATE_BITS && !wrong; i++) {
            mix ^= mix << 13;
            mix ^= mix >> 7;
            mix ^= mix << 17;
            u64 other = i + (u64)((unsigned __int128)mix * (k - i) >> 64);
            u32 draw = order[other];
            order[other] = order[i];
            order[i] = draw;
            for (u32 n = 0; n < v->bits && b.rank < STATE_BITS && !wrong; n++)
                wrong = adopt(&b, LOAD(matrix + 8 * (draw * v->bits + n)), draws[draw] >> n & 1);
        }
        if (b.rank < STATE_BITS) continue;
        equation x = 0;
        for (u32 z = STATE_BITS; z--;) x |= (equation)(ODD(b.rows[z] & x) ^ b.right[z]) << z;
        for (u32 n = 0; n < STATE_WORDS; n++) words[n] = (u64)(x >> n * WORD_BITS) & ~0ull >> (64 - WORD_BITS);
        *matches = matches_of(q, v, draws, words);
        if (!*matches) continue;
        for (u64 n = 0; n < k; n++) used[order[n]] = n < i;
        return trial;
    }
    return most;
}
#endif

#ifdef MT_N
static u32 mixed(u32 x) { return x ^ x >> 30; }

/* Whether a state's words are those of init_genrand, and of which seed. Nothing depends on the low bits of word 0. */
static u32 from_genrand(const u32 *x, u64 *z) {
    for (u32 i = 2; i < MT_N; i++)
        if (x[i] != mixed(x[i - 1]) * 1812433253u + i) return 0;
    /* The inverse of the multiplier by Newton's iteration, as in lift.h; `mixed` is its own inverse. */
    u32 inverse = 1812433253u;
    for (u32 n = 0; n < 5; n++) inverse *= 2 - 1812433253u * inverse;
    *z = mixed((x[1] - 1) * inverse);
    return x[0] >> 31 == (u32)*z >> 31;
}

/* What init_by_array's first pass left in word i >= 3, then what it added there: key[j] + j; begun: init_genrand's words. */
static u32 first_pass(const u32 *x, u32 i) { return (x[i] + i) ^ mixed(x[i - 1]) * 1566083941u; }
static u32 added(const u32 *x, const u32 *begun, u32 i) {
    return first_pass(x, i) - (begun[i] ^ mixed(first_pass(x, i - 1)) * 1664525u);
}

/* Whether the words are those of init_by_array with a key of one or two words, which CPython makes of a seed below 2^64. */
static u32 from_array(const u32 *x, const u32 *begun, u64 *z) {
    u32 even = added(x, begun, 4), odd = added(x, begun, 5);
    for (u32 i = 6; i < MT_N; i++)
        if (added(x, begun, i) != (i % 2 ? odd : even)) return 0;
    *z = even == odd ? odd : (u64)(even - 1) << 32 | odd;
    return 1;
}

/* Whether a state comes from a seeding, *back words ago, at most `most`: 1, init_genrand; 2, init_by_array; 0, neither. The
   words are steps of one recurrence, run backward here. room: 624 + most words. */
u32 unseed(const u64 *words, u64 most, u32 *room, u64 *z, u64 *back) {
    u32 *x = room + most, begun[MT_N] = {19650218u};
    for (u32 i = 1; i < MT_N; i++) begun[i] = mixed(begun[i - 1]) * 1812433253u + i;
    for (u32 i = 0; i < MT_N; i++) x[i] = (u32)words[i];
    for (*back = 0;; x--, ++*back) {
        if (x[2] == mixed(x[1]) * 1812433253u + 2 && from_genrand(x, z)) return 1;
        if (added(x, begun, 6) == added(x, begun, 8) && from_array(x, begun, z)) return 2;
        if (*back == most) return 0;
        /* x[623] = x[396] ^ y >> 1 ^ (y & 1) A, y = high bit of x[-1] and the rest of x[0]; the high bit of A tells y & 1.
           The step before settled the high bit of x[0]. */
        u32 y = x[623] ^ x[396], odd = y >> 31;
        y = (y ^ (-odd & 0x9908B0DFu)) << 1 | odd;
        x[0] = (x[0] & 0x80000000u) | (y & 0x7fffffffu);
        x[-1] = y & 0x80000000u;
    }
}
#endif
