/* A glance at squares of seeds, for families whose algebra ties the states of neighbours together. Seeds start + r SIDE + j
   (r, j < SIDE, start a multiple of SIDE) differ from start + r SIDE in their lowest bits only, so their states do by something
   that depends on j alone:

       state of start + r SIDE + j at output p   =   row_p[r]  JOIN  column_p[j]

   where JOIN is a sum (affine modulo a power of two) or an exclusive or (linear over GF(2)). Columns are made once a call, rows
   once a square by the family's own text, and what is left to each seed is to join two numbers, however far the outputs are
   apart. A square keeps only the outputs that some hypothesis looks at, its slots; `depth` is how many looks of a hypothesis it has.

   A family says ADDS (and has `leap`; its state is x) or XORS (of its words). Without SHOWN a word is the field of `bits` bits
   that begins at bit `shift` of the state, and is kept so that a multiplication (by `scale`), a rotation (by `turn`) and a compare
   (with `bound`) tell whether it is d modulo M: see hint32. What lies above the field is garbage that `scale` moves out. */

typedef struct {
    u64 slots, depth, shift, scale, turn, bound;
    const u64 *positions;
    const u32 *looks;
    u32 *room;
} square;

#if LANES > 1 && defined(HINT) && (defined(ADDS) || defined(XORS))
#define SQUARE 1

#if LANE_BITS == 64
#define PARTS 2
typedef u32 full __attribute__((vector_size(8 * LANES)));
typedef w64 core;
typedef u64 core1;
FN core all_core(u64 x) { return all64(x); }
#else
#define PARTS 1
typedef w32 full;
typedef w32 core;
typedef u32 core1;
FN core all_core(u64 x) { return all32((u32)x); }
#endif
#define SIDE (PARTS * LANES)
#define EACH_PART _Pragma("GCC unroll 2") for (u32 part = 0; part < PARTS; part++)
#define EACH_ROW _Pragma("GCC unroll 16") for (u32 r = 0; r < SIDE; r++)

#ifdef ADDS
#define JOIN(a, b) ((a) + (b))
#define APART(a, b) ((a) - (b))
#else
#define JOIN(a, b) ((a) ^ (b))
#define APART(a, b) ((a) ^ (b))
#endif

FN full all_full(u32 x) { return (full){} + x; }

/* Whether some lane has more than n. */
FN u32 any_more(full x, u32 n) {
#if SIDE == 16 && defined(__AVX512F__)
    return _mm512_cmpgt_epu32_mask((__m512i)x, _mm512_set1_epi32((int)n));
#else
    full more = (full)(x > n);
    u32 bits = 0;
    for (u32 i = 0; i < SIDE; i++) bits |= more[i];
    return bits;
#endif
}

FN full turn_right(full x, u32 n) {
#if SIDE == 16 && defined(__AVX512F__)
    return (full)_mm512_rorv_epi32((__m512i)x, _mm512_set1_epi32((int)n));
#else
    return x >> n | x << (-n & 31);
#endif
}

FN full turn_right_by(full x, full n) {
#if SIDE == 16 && defined(__AVX512F__)
    return (full)_mm512_rorv_epi32((__m512i)x, (__m512i)n);
#else
    return x >> n | x << (-n & 31u);
#endif
}

FN full count_at_most(full n, full a, full b) {
#if SIDE == 16 && defined(__AVX512F__)
    return (full)_mm512_mask_add_epi32((__m512i)n, _mm512_cmple_epu32_mask((__m512i)a, (__m512i)b), (__m512i)n,
                                       _mm512_set1_epi32(1));
#else
    return n - (full)(a <= b);
#endif
}

FN full lesser(full a, full b) {
#if SIDE == 16 && defined(__AVX512F__)
    return (full)_mm512_min_epu32((__m512i)a, (__m512i)b);
#elif SIDE == 8 && defined(__AVX2__)
    return (full)_mm256_min_epu32((__m256i)a, (__m256i)b);
#else
    full mask = (full)(a > b);
    return (b & mask) | (a & ~mask);
#endif
}

FN full greater(full a, full b) { return ~lesser(~a, ~b); }

#if PARTS == 2
/* The low, or the high, halves of two cores, in an order that is always the same. */
FN full lows(core a, core b) {
#if SIDE == 16 && defined(__AVX512F__)
    return (full)_mm512_shuffle_ps((__m512)a, (__m512)b, 0x88);
#elif SIDE == 8 && defined(__AVX2__)
    return (full)_mm256_shuffle_ps((__m256)a, (__m256)b, 0x88);
#else
    return __builtin_shufflevector((full)a, (full)b, 0, 2, 4, 6);
#endif
}

FN full highs(core a, core b) {
#if SIDE == 16 && defined(__AVX512F__)
    return (full)_mm512_shuffle_ps((__m512)a, (__m512)b, 0xdd);
#elif SIDE == 8 && defined(__AVX2__)
    return (full)_mm256_shuffle_ps((__m256)a, (__m256)b, 0xdd);
#else
    return __builtin_shufflevector((full)a, (full)b, 1, 3, 5, 7);
#endif
}
#endif

/* What a slot holds. NARROW: the low half of the state, times scale; WIDE: the state, moved so that the field begins at bit 32;
   PLAIN: what SHOWN makes words of. */
enum { NARROW, WIDE, PLAIN };

#ifdef SHOWN
#define BY_MODE(sq, function, ...) function(PLAIN, __VA_ARGS__)
#define WORDS_OF(a, b) SHOWN(a, b)
#else
#define BY_MODE(sq, function, ...) (PARTS == 2 && (sq)->shift ? function(WIDE, __VA_ARGS__) : function(NARROW, __VA_ARGS__))
#define WORDS_OF(a, b) all_full(0)
#endif

/* 64-byte lines or less of `room`: for each slot a jump, its columns, its rows. */
u32 square_words(void) { return 4 + 2 * PARTS * SIDE; }

FN jump *jumps_of(const square *sq) { return (jump *)sq->room; }
FN full *columns_of(const square *sq) { return (full *)(sq->room + 4 * ((sq->slots + 3) / 4) * 4); }
FN full *rows_of(const square *sq) { return columns_of(sq) + PARTS * sq->slots; }

/* From what slot n - 1 is made of to what slot n is. */
FN void walk(state *g, core *x, u32 n, const square *sq) {
#ifdef ADDS
    jump over = jumps_of(sq)[n];
    EACH_PART {
        leap(&g[part], over);
        x[part] = g[part].x;
    }
#else
    u64 steps = sq->positions[n] - (n ? sq->positions[n - 1] : -1ull);
    for (u64 i = 0; i < steps; i++) EACH_PART x[part] = next(&g[part]);
#endif
}

FN u32 make_columns(u32 mode, const search *q, const square *sq) {
    state g[PARTS];
    core x[PARTS];
    EACH_PART SEEDING(&g[part], seeds_from(part * LANES), q->param);
    for (u32 n = 0; n < sq->slots; n++) {
        full *column = columns_of(sq) + PARTS * n;
        walk(g, x, n, sq);
        core1 first = LANE(x[0], 0);
        EACH_PART {
            core c = APART(x[part], all_core(first));
            ((core *)column)[part] = mode == WIDE ? c << (32 - (u32)sq->shift) : c;
        }
#if PARTS == 2
        if (mode == NARROW) *column = lows(((core *)column)[0], ((core *)column)[1]);
#endif
        if (mode == NARROW) *column = *column * (u32)sq->scale;
    }
    return 0;
}

FN void make_row(u32 mode, state *g, u32 n, const square *sq) {
    full *row = rows_of(sq) + PARTS * n;
    core x[PARTS];
    walk(g, x, n, sq);
    EACH_PART {
        if (mode == NARROW) ((w32 *)row)[part] =
#if PARTS == 2
            low(x[part]) * (u32)sq->scale;
#else
            x[part] * (u32)sq->scale;
#endif
        else ((core *)row)[part] = mode == WIDE ? x[part] << (32 - (u32)sq->shift) : x[part];
    }
}

/* Before the first square of a call. */
FN void begin_squares(const search *q, const square *sq) {
#ifdef ADDS
    for (u32 n = 0; n < sq->slots; n++)
        jumps_of(sq)[n] = jump_by(n ? sq->positions[n] - sq->positions[n - 1] : sq->positions[0] + ADDS, q->param);
#endif
    BY_MODE(sq, make_columns, q, sq);
}

/* The columns of a slot, with its draw in them where that can be. */
typedef struct { core part[PARTS]; full narrow; u32 off; } looked;

FN looked look_at(u32 mode, const full *column, u32 d, const square *sq) {
    u32 off = d * (u32)sq->scale;
    looked at;
    if (mode == NARROW) at.narrow = *column - off;
    EACH_PART {
        at.part[part] = ((core *)column)[part];
        if (mode == WIDE) at.part[part] -= (core1)((u64)d << 32);
    }
    at.off = off;
    return at;
}

/* At most `bound` where output and draw agree, for the seeds of row r. */
FN full residue(u32 mode, const full *row, u32 r, looked at, const square *sq) {
    full t;
    if (mode == NARROW) t = at.narrow + ((const u32 *)row)[r];
    else {
        core x = all_core(((const core1 *)row)[r]);
#if PARTS == 2
        if (mode == WIDE) t = highs(x + at.part[0], x + at.part[1]) * (u32)sq->scale;
        else
#endif
            t = WORDS_OF(JOIN(x, at.part[0]), JOIN(x, at.part[PARTS - 1])) * (u32)sq->scale - at.off;
    }
    return turn_right(t, (u32)sq->turn);
}

/* Bit r: whether a survivor may be among the seeds of row r of the square that begins with seed `start`. */
FN u32 promising_rows(u32 mode, u64 start, const search *q, const u32 *draws, const square *sq) {
    u32 k = (u32)q->draws, need = (u32)q->need, depth = (u32)sq->depth, bound = (u32)sq->bound, have = 0, promised = 0;
    u32 hypotheses = (u32)((q->skip_max - q->skip_min + 1) * (q->offset_max - q->offset_min + 1));
    const u32 *looks = sq->looks;
    full hopes[SIDE], most;
    state g[PARTS];
    EACH_PART SEEDING(&g[part], rows_from(start + part * LANES * SIDE, SIDE), q->param);
    for (u32 h = 0; h < hypotheses; h++, looks += depth) {
        EACH_ROW hopes[r] = all_full(0);
        for (u32 i = 0;;) {
            u32 n = looks[i], d = draws[i];
            for (; have <= n; have++) make_row(mode, g, have, sq);
            const full *row = rows_of(sq) + PARTS * n;
            looked at = look_at(mode, columns_of(sq) + PARTS * n, d, sq);
            if (need == k && i == 0) {
                /* Nearly all that must match every draw fail at the first. */
                full least = all_full(~0u);
                EACH_ROW least = lesser(least, residue(mode, row, r, at, sq));
                if (!any_more(~least, ~bound - 1)) break;
            }
            EACH_ROW hopes[r] = count_at_most(hopes[r], residue(mode, row, r, at, sq), all_full(bound));
            u32 left = k - ++i;
            if (left < need) {
                most = hopes[0];
                EACH_ROW most = greater(most, hopes[r]);
                if (!any_more(most, need - left - 1)) break;
            }
            if (i == depth) {
                EACH_ROW promised |= (u32)(left >= need || any_more(hopes[r], need - left - 1)) << r;
                break;
            }
        }
    }
    return promised;
}

/* How many of `squares` squares from seed `start` on hold no survivor, up to the first that may; its rows. */
FN u64 pass_as(u32 mode, u64 start, u64 squares, const search *q, const u32 *draws, const square *sq, u32 *rows) {
    u64 passed = 0;
    for (*rows = 0; passed < squares; passed++)
        if ((*rows = promising_rows(mode, start + passed * SIDE * SIDE, q, draws, sq))) break;
    return passed;
}

static __attribute__((noinline)) u64 pass_squares(u64 start, u64 squares, const search *q, const u32 *draws, const square *sq,
                                                  u32 *rows) {
    const search local = *q;
    const square here = *sq;
    return BY_MODE(sq, pass_as, start, squares, &local, draws, &here, rows);
}
#endif
