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
    u64 slots, depth, shift, scale, turn, bound, bits, seed_xor;
    const u64 *positions;
    const u32 *looks;
    u32 *room;
    u64 marked;
} square;

#if LANES > 1 && defined(HINT) && (defined(ADDS) || defined(XORS))
#define SQUARE 1

#if LANE_BITS == 64
#define PARTS 2
typedef u32 full __attribute__((vector_size(8 * LANES)));
typedef w64 core;
typedef u64 core1;
FN core all_core(u64 x) { return all64(x); }
FN w32 low_half(core x) { return low(x); }
#else
#define PARTS 1
typedef w32 full;
typedef w32 core;
typedef u32 core1;
FN core all_core(u64 x) { return all32((u32)x); }
FN w32 low_half(core x) { return x; }
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

/* Bit i: whether lane i of a is more than that of b. */
FN u32 any_more(full a, full b) {
#if SIDE == 16 && defined(__AVX512F__)
    return _mm512_cmpgt_epu32_mask((__m512i)a, (__m512i)b);
#else
    full more = (full)(a > b);
    u32 bits = 0;
    for (u32 i = 0; i < SIDE; i++) bits |= (more[i] & 1) << i;
    return bits;
#endif
}

FN full turn_right(full x, full n) {
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

FN full greater(full a, full b) {
#if SIDE == 16 && defined(__AVX512F__)
    return (full)_mm512_max_epu32((__m512i)a, (__m512i)b);
#elif SIDE == 8 && defined(__AVX2__)
    return (full)_mm256_max_epu32((__m256i)a, (__m256i)b);
#else
    full mask = (full)(a > b);
    return (a & mask) | (b & ~mask);
#endif
}

#if PARTS == 2
/* The low, or the high, halves of two cores: two lanes of the first, two of the second, and so on. */
FN full lows(core a, core b) {
#if SIDE == 16 && defined(__AVX512F__)
    return (full)_mm512_shuffle_ps((__m512)a, (__m512)b, 0x88);
#elif SIDE == 8 && defined(__AVX2__)
    return (full)_mm256_shuffle_ps((__m256)a, (__m256)b, 0x88);
#else
    full x = (full)a, y = (full)b;
    return (full){x[0], x[2], y[0], y[2]};
#endif
}

FN full highs(core a, core b) {
#if SIDE == 16 && defined(__AVX512F__)
    return (full)_mm512_shuffle_ps((__m512)a, (__m512)b, 0xdd);
#elif SIDE == 8 && defined(__AVX2__)
    return (full)_mm256_shuffle_ps((__m256)a, (__m256)b, 0xdd);
#else
    full x = (full)a, y = (full)b;
    return (full){x[1], x[3], y[1], y[3]};
#endif
}
#endif

/* Bit i: whether block i of a row has some of these lanes. */
FN u32 blocks_with(u32 lanes) { return PARTS == 2 ? !!(lanes & 0x3333) | !!(lanes & 0xcccc) << 1 : !!lanes; }

/* What a slot holds. NARROW: the low half of scale times the state; WIDE: the state, moved so that the field begins at bit 32;
   PLAIN: what SHOWN makes words of. A multiple of the state steps as the state does, with as many times the increment. */
enum { NARROW, WIDE, PLAIN };

FN core1 times(u32 mode, const square *sq) {
    return mode == NARROW ? (core1)sq->scale : mode == WIDE ? (core1)1 << (32 - sq->shift) : 1;
}

FN void begin_parts(u32 mode, state *g, const wseed *z, const search *q, const square *sq) {
    EACH_PART {
        SEEDING(&g[part], z[part], q->param);
#ifdef ADDS
        if (mode != PLAIN) g[part].x *= times(mode, sq);
#endif
    }
}

#ifdef SHOWN
#define BY_MODE(sq, function, ...) function(PLAIN, __VA_ARGS__)
#define WORDS_OF(a, b) SHOWN(a, b)
#else
#define BY_MODE(sq, function, ...) (PARTS == 2 && (sq)->shift ? function(WIDE, __VA_ARGS__) : function(NARROW, __VA_ARGS__))
#define WORDS_OF(a, b) all_full(0)
#endif

/* Seeds that are looked through for refusals together. */
#define REGION (1ull << 20)

/* Words of `room`: for each slot its columns, its rows and a jump; then a bit for each block of a region. */
u64 square_words(u64 slots) { return (2 * PARTS * SIDE + 4) * slots + REGION / (SIDE * SIDE); }

FN full *columns_of(const square *sq) { return (full *)sq->room; }
FN full *rows_of(const square *sq) { return columns_of(sq) + PARTS * sq->slots; }
FN jump *jumps_of(const square *sq) { return (jump *)(rows_of(sq) + PARTS * sq->slots); }
FN u32 *refusals_of(const square *sq) { return (u32 *)(jumps_of(sq) + sq->slots); }

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

/* Jumps to all slots, and their columns by the seeds 0 .. SIDE - 1; how many. */
FN u64 make_columns(u32 mode, const search *q, const square *sq) {
    state g[PARTS];
    core x[PARTS];
    wseed z[PARTS];
#ifdef ADDS
    for (u32 n = 0; n < sq->slots; n++) {
        jump j = jump_by(n ? sq->positions[n] - sq->positions[n - 1] : sq->positions[0] + ADDS, q->param);
        j.c *= times(mode, sq);
        jumps_of(sq)[n] = j;
    }
#endif
    EACH_PART z[part] = seeds_from(part * LANES);
    begin_parts(mode, g, z, q, sq);
    for (u32 n = 0; n < sq->slots; n++) {
        full *column = columns_of(sq) + PARTS * n;
        walk(g, x, n, sq);
        core1 first = LANE(x[0], 0);
        EACH_PART ((core *)column)[part] = APART(x[part], all_core(first));
#if PARTS == 2
        if (mode == NARROW) *column = lows(((core *)column)[0], ((core *)column)[1]);
#endif
    }
    return sq->slots;
}


FN void make_row(u32 mode, state *g, u32 n, const square *sq) {
    full *row = rows_of(sq) + PARTS * n;
    core x[PARTS];
    walk(g, x, n, sq);
    EACH_PART {
        if (mode == NARROW) ((w32 *)row)[part] = low_half(x[part]);
        else ((core *)row)[part] = x[part];
    }
}

#if defined(STRAIN) && defined(ADDS)
typedef unsigned __int128 u128;

/* The least t < end with low <= a t mod m <= high, where 0 < low <= high < m; else `end`. Euclid's algorithm on (m, a): a t passes
   the interval in each round of m or hits it, so the question is which round. */
static u64 first_within(u128 m, u128 a, u128 low, u128 high, u64 end) {
    if (a == 0) return end;
    if (2 * a > m) return first_within(m, m - a, m - high, m - low, end);
    u128 t = (low + a - 1) / a;
    if (t * a > high) {
        u64 rounds = first_within(a, m % a, a - 1 - (high - 1) % a, a - 1 - (low - 1) % a, end);
        if (rounds == end) return end;
        t = (low + m * rounds + a - 1) / a;
    }
    return t < end ? (u64)t : end;
}

/* For each square of the region that begins with seed `start`, the blocks in which some call refuses a word up to the last slot. */
static void mark_refusals(u64 start, const search *q, const square *sq) {
    u64 up = 64 - sq->shift - sq->bits, width = -((q->limit + 1) << (64 - sq->bits)), last = sq->positions[sq->slots - 1];
    u64 swap = sq->seed_xor & (REGION - 1), begun = (start ^ sq->seed_xor) & ~(REGION - 1);
    u32 *blocks = refusals_of(sq);
    for (u32 i = 0; i < REGION / (SIDE * SIDE); i++) blocks[i] = 0;
    for (u64 p = 0; p <= last && width; p++) {
        jump to = jump_by(p + ADDS, q->param);
        u64 a = to.a << up, x = ((begun * to.a + to.c) << up) + width;
        for (u64 t = 0; t < REGION; t++, x += a) {
            /* Refused are the topmost `width` states, which x has put lowest. */
            u64 ahead = x < width ? 0 : first_within((u128)1 << 64, a, -x, -x + width - 1, REGION - t);
            t += ahead;
            x += a * ahead;
            u64 seed = t ^ swap;
            if (t < REGION) blocks[seed / (SIDE * SIDE)] |= 1u << seed / LANES % (SIDE * PARTS);
        }
    }
}
#endif

/* Before the first square of a call. */
FN void begin_squares(const search *q, const square *sq) { BY_MODE(sq, make_columns, q, sq); }

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
    return turn_right(t, all_full((u32)sq->turn));
}

/* Whether some seed of the square matches draw d at slot n. */
FN u32 any_match(u32 mode, u32 n, u32 d, const square *sq) {
    looked at = look_at(mode, columns_of(sq) + PARTS * n, d, sq);
    full least = all_full(~0u);
    EACH_ROW least = lesser(least, residue(mode, rows_of(sq) + PARTS * n, r, at, sq));
    return any_more(all_full((u32)sq->bound) + 1, least);
}

/* Bit i: whether block i of the square that begins with seed `start` may hold a survivor; `promised`: which do anyway. */
FN u32 promising_blocks(u32 mode, u64 start, const search *q, const u32 *draws, const square *sq, u32 promised) {
    u32 k = (u32)q->draws, need = (u32)q->need, depth = (u32)sq->depth, have = 0;
    u32 hypotheses = (u32)((q->skip_max - q->skip_min + 1) * (q->offset_max - q->offset_min + 1));
    /* A row that was just stored is slow to load, so rows are made some looks before they are wanted, if they are. */
    u32 ahead = need < k ? 8 : 1;
    const u32 *looks = sq->looks;
    full hopes[SIDE], most;
    state g[PARTS];
    wseed z[PARTS];
    EACH_PART z[part] = rows_from(start + part * LANES * SIDE, SIDE);
    begin_parts(mode, g, z, q, sq);
    for (u32 h = 0; h < hypotheses; h++, looks += depth) {
        for (; have <= looks[0]; have++) make_row(mode, g, have, sq);
        /* Nearly all seeds that must match every draw fail at the first. */
        if (need == k && !any_match(mode, looks[0], draws[0], sq)) continue;
        EACH_ROW hopes[r] = all_full(0);
        for (u32 i = 0;;) {
            u32 n = looks[i];
            if (have <= n)
                for (u32 end = n + ahead < sq->slots ? n + ahead : (u32)sq->slots; have < end; have++) make_row(mode, g, have, sq);
            looked at = look_at(mode, columns_of(sq) + PARTS * n, draws[i], sq);
            EACH_ROW hopes[r] = count_at_most(hopes[r], residue(mode, rows_of(sq) + PARTS * n, r, at, sq),
                                              all_full((u32)sq->bound));
            u32 left = k - ++i;
            if (left < need) {
                most = hopes[0];
                EACH_ROW most = greater(most, hopes[r]);
                if (!any_more(most, all_full(need - left - 1))) break;
            }
            if (i == depth) {
                EACH_ROW promised |= blocks_with(any_more(hopes[r], all_full(need - left - 1))) << r * PARTS;
                break;
            }
        }
    }
    return promised;
}

/* How many of `squares` squares from seed `start` on hold no survivor, up to the first that may; its blocks. */
FN u64 pass_as(u32 mode, u64 start, u64 squares, const search *q, const u32 *draws, square *sq, u32 *blocks) {
    *blocks = 0;
    for (u64 passed = 0; passed < squares; passed++, start += SIDE * SIDE) {
        u32 refused = 0;
#if defined(STRAIN) && defined(ADDS)
        if (start / REGION + 1 != sq->marked) {
            sq->marked = start / REGION + 1;
            mark_refusals(start / REGION * REGION, q, sq);
        }
        refused = refusals_of(sq)[start % REGION / (SIDE * SIDE)];
#endif
        *blocks = promising_blocks(mode, start, q, draws, sq, refused);
        if (*blocks) return passed;
    }
    return squares;
}

static __attribute__((noinline)) u64 pass_squares(u64 start, u64 squares, const search *q, const u32 *draws, square *sq,
                                                  u32 *blocks) {
    const search local = *q;
    square here = *sq;
    u64 passed = BY_MODE(sq, pass_as, start, squares, &local, draws, &here, blocks);
    sq->marked = here.marked;
    return passed;
}
#endif
