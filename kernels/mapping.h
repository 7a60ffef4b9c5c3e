/* From the words of a generator to a value in [0, M): what the called library does between its generator and its
   caller. `take` makes one raw value of WORDS words; a mapping turns it into `value` and answers which lanes accept
   it. A lane that rejects takes the next raw value. Constants that depend on M come from the host in `search`. */

typedef struct {
    /* the mapping */
    u64 modulus, magic32, magic64, bits, mask, limit, power_of_two;
    /* x mod M can be d where (x - d) inverse, turned right by twos, is at most quotient (M = odd 2^twos) */
    u64 inverse, twos, quotient;
    /* the window and the hypotheses of each seed */
    u64 draws, need, skip_min, skip_max, offset_min, offset_max, window_start;
    /* how the outputs are made: jumping along (stride) or once for all hypotheses, into `positions` slots that begin
       with output `first` */
    u64 stride, first, positions;
    /* lanes only: how many outputs the glance at a group goes through before it leaves the rest to the full sieve; 0: no glance */
    u64 reach;
    /* draws on both sides of the boundary (sides.h): where each side stands in the table, what the second needs, slots for
       outputs before the seeded state; hybrid: misses in a row, events that a side can have at most */
    u64 ahead, behind, need_behind, positions_behind, misses, events;
    /* seeds that are a clock times a process id */
    u64 clock, pid, pid_bits;
    u64 param[4];
} search;

/* The seeds of indices start, start + 1, ...: an index is a seed, or a time above the bits of a process id. */
FN wseed seeds_at(u64 start, const search *q) {
#ifdef CLOCK_TIMES_PID
    wseed i = seeds_from(start);
    wseed time = (i >> (u32)q->pid_bits) + all_seeds(q->clock), pid = (i & all_seeds((1ull << q->pid_bits) - 1)) + all_seeds(q->pid);
    return time * pid & all_seeds(0xffffffffu);
#else
    return seeds_from(start);
#endif
}

#if WORDS == 2 || WORD_BITS == 64
typedef w64 raw;
#else
typedef w32 raw;
#endif

FN raw take(state *g) {
#if WORDS == 2
    w64 a = wide(next(g)), b = wide(next(g));
#ifdef LOW_WORD_FIRST
    return b << 32 | a;
#else
    return a << 32 | b;
#endif
#else
    return next(g);
#endif
}

#ifdef BOTH_WAYS
/* The raw value before the last: the later word comes first. */
FN raw take_back(state *g) {
#if WORDS == 2
    w64 b = wide(prev(g)), a = wide(prev(g));
#ifdef LOW_WORD_FIRST
    return b << 32 | a;
#else
    return a << 32 | b;
#endif
#else
    return prev(g);
#endif
}
#endif

/* x mod M by a reciprocal that is at most one too small (2 <= M <= 2^32; magic = floor(2^b / M)). */
FN w32 reduce32(w32 x, const search *q) {
    u32 m = (u32)q->modulus;
#ifdef SCALAR
    return m ? x % m : x;
#else
    w32 r = x - mul_high32(x, (u32)q->magic32) * m;
    return least(r, r - m);
#endif
}

FN w32 reduce64(w64 x, const search *q) {
#ifdef SCALAR
    return (u32)(x % q->modulus);
#else
    w64 r = x - mul_high64(x, q->magic64) * q->modulus;
    return low(least64(r, r - q->modulus));
#endif
}

/* Whether x mod M can be d: a multiplication in place of a division (H. S. Warren, Hacker's Delight, 10-17). True for a
   few x below d as well, so a hint only says where to look closer; it adds one to the lane's hopes. A mapping's `refuses` says which lanes reject. */
FN w32 hint32(w32 hopes, w32 x, u32 d, const search *q) {
    u32 inverse = (u32)q->inverse;
    return count_upto(hopes, turn_right32(x * inverse - d * inverse, (u32)q->twos), all32((u32)q->quotient));
}

FN w32 hint64(w32 hopes, w64 x, u32 d, const search *q) {
    return count_upto64(hopes, turn_right64(x * q->inverse - d * q->inverse, (u32)q->twos), all64(q->quotient));
}

#if WORDS == 1
#if WORD_BITS == 64
/* x % M */
FN w32 map_mod(raw x, w32 *value, const search *q) {
    *value = reduce64(x, q);
    return all32(~0u);
}

FN w32 map_mod_hint(w32 hopes, raw x, u32 d, const search *q) { return hint64(hopes, x, d, q); }
#else
FN w32 map_mod_hint(w32 hopes, raw x, u32 d, const search *q) { return hint32(hopes, x, d, q); }

/* x % M */
FN w32 map_mod(raw x, w32 *value, const search *q) {
    *value = reduce32(x, q);
    return all32(~0u);
}

/* java.util.Random.nextInt(M): next(31); a power of two takes the high bits, else u % M, again while
   u - r + (M - 1) overflows 31 bits, that is while u is above the last full multiple. JDK 17, java/util/Random.java. */
FN w32 map_java(raw x, w32 *value, const search *q) {
    w32 u = x >> 1;
    if (q->power_of_two) {
        *value = u >> (u32)(31 - q->bits);
        return all32(~0u);
    }
    *value = reduce32(u, q);
    return upto(u, all32((u32)q->limit));
}

FN w32 map_java_hint(w32 hopes, raw x, u32 d, const search *q) {
    if (q->power_of_two) return hopes - equal(x >> (u32)(32 - q->bits), all32(d));
    return hint32(hopes, x >> 1, d, q);
}

FN w32 map_java_refuses(raw x, const search *q) { return above(x, all32((u32)q->limit << 1 | 1)); }

/* The top bit_length(M) bits, again while >= M: CPython 3.11, Lib/random.py _randbelow_with_getrandbits. */
FN w32 map_top_bits(raw x, w32 *value, const search *q) {
    *value = x >> (u32)(32 - q->bits);
    return above(all32((u32)q->modulus), *value);
}

/* The low bits under the smallest mask that covers M - 1, again while above M - 1: numpy 2, _legacy_distributions
   and bounded integers with masked rejection, 32-bit case. */
FN w32 map_masked(raw x, w32 *value, const search *q) {
    *value = x & (u32)q->mask;
    return ~above(*value, all32((u32)(q->modulus - 1)));
}

/* Low bits for a power of two, else x % M, again while x is above the last full multiple: php 7.1 and later,
   ext/standard/mt_rand.c rand_range32. */
FN w32 map_php(raw x, w32 *value, const search *q) {
    if (q->power_of_two) {
        *value = x & (u32)(q->modulus - 1);
        return all32(~0u);
    }
    *value = reduce32(x, q);
    return upto(x, all32((u32)q->limit));
}

FN w32 map_php_hint(w32 hopes, raw x, u32 d, const search *q) {
    if (q->power_of_two) return hopes - equal(x & (u32)(q->modulus - 1), all32(d));
    return hint32(hopes, x, d, q);
}

FN w32 map_php_refuses(raw x, const search *q) { return above(x, all32((u32)q->limit)); }
#endif
#else
#define UNIT53 (1.0 / 9007199254740992.0)
/* (int)(random() * M), random() = ((a >> 5) 2^26 + (b >> 6)) 2^-53: CPython 3.11, Modules/_randommodule.c. */
FN w32 map_unit_27_26(raw x, w32 *value, const search *q) {
    w64 u = (x >> 37) << 26 | (x & 0xffffffffull) >> 6;
    *value = scaled(u, UNIT53 * (double)q->modulus);
    return all32(~0u);
}

/* (int)(nextDouble() * M), nextDouble() = (next(26) 2^27 + next(27)) 2^-53: JDK 17, java/util/Random.java. */
FN w32 map_unit_26_27(raw x, w32 *value, const search *q) {
    w64 u = (x >> 38) << 27 | (x & 0xffffffffull) >> 5;
    *value = scaled(u, UNIT53 * (double)q->modulus);
    return all32(~0u);
}
#endif
