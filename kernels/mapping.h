/* From the words of a generator to a value in [0, M): what the called library does between its generator and its
   caller. `take` makes one raw value of WORDS words; a mapping turns it into `value` and answers which lanes accept
   it. A lane that rejects takes the next raw value. Constants that depend on M come from the host in `search`. */

#include "halves.h"

typedef struct {
    /* the mapping */
    u64 modulus, magic32, magic64, bits, mask, limit, power_of_two;
    /* the family's least word; how many words each value has where the called function divides, and floor(2^32 / that) */
    u64 least, share, magic_share;
    /* x mod M can be d where (x - d) inverse, turned right by twos, is at most quotient (M = odd 2^twos) */
    u64 inverse, twos, quotient;
    /* where a value rises with its word: 2^32 times how many values of the word's lead each has */
    u64 unit;
    /* the window and the hypotheses of each seed */
    u64 draws, need, skip_min, skip_max, offset_min, offset_max, window_start;
    /* how the outputs are made: jumping along (stride) or once for all hypotheses, into `positions` slots that begin
       with output `first` */
    u64 stride, first, positions;
    /* lanes only: how many outputs the glance at a group goes through before it leaves the rest to the full sieve; 0: no glance */
    u64 reach, shifts;
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

#if WORDS == 2
/* A raw value of two words, in the order in which they were made. */
FN raw joined(w64 a, w64 b) {
#ifdef LOW_WORD_FIRST
    return b << 32 | a;
#else
    return a << 32 | b;
#endif
}
#endif

FN raw take(state *g) {
#if WORDS == 2
    w64 a = wide(next(g)), b = wide(next(g));
    return joined(a, b);
#else
    return next(g);
#endif
}

/* The raw value before the last: the later word comes first. */
FN raw take_back(state *g) {
#if WORDS == 2
    w64 b = wide(prev(g)), a = wide(prev(g));
    return joined(a, b);
#else
    return prev(g);
#endif
}

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
   few x below d as well, so a hint only says where to look closer; it adds one to the lane's hopes. A mapping that rejects a word does so where its
   `strain` is above the limit. */
FN w32 hint32(w32 hopes, w32 x, u32 d, const search *q) {
    u32 inverse = (u32)q->inverse;
    return count_upto(hopes, turn_right32(x * inverse - d * inverse, (u32)q->twos), all32((u32)q->quotient));
}

FN w32 hint64(w32 hopes, w64 x, u32 d, const search *q) {
    return count_upto64(hopes, turn_right64(x * q->inverse - d * q->inverse, (u32)q->twos), all64(q->quotient));
}

/* How far a lead may lie from where exact arithmetic puts it: Singles round their 24 bits, the rest moves it by a few. */
#define SLACK 1024u

/* Whether a value that rises with its word can be d, told by the word's lead, its high bits: those lie between d and d + 1
   times unit 2^-32, give or take the slack. True for a few words beside them as well. */
FN w32 hint_rising(w32 hopes, w32 lead, u32 d, const search *q) {
    u32 from = (u32)((u64)d * q->unit >> 32);
    from = from > SLACK ? from - SLACK : 0;
    return count_upto(hopes, lead - from, all32((u32)(q->unit >> 32) + 2 * SLACK));
}

#ifdef LEAD
#define HINT(hopes, x, d, q) hint_rising(hopes, LEAD(x), d, q)
#endif

#define UNIT53 (1.0 / 9007199254740992.0)
#define UNIT31 (1.0 / 2147483648.0)
#define UNIT24 (1.0f / 16777216.0f)

#if WORDS == 1
#if WORD_BITS == 64
/* x % M */
FN w32 map_mod(raw x, w32 *value, const search *q) {
    *value = reduce64(x, q);
    return all32(~0u);
}

FN w32 map_mod_hint(w32 hopes, raw x, u32 d, const search *q) { return hint64(hopes, x, d, q); }

/* Math.floor(Math.random() * M) of a word of 53 bits, Math.random() = word 2^-53: V8 13.6,
   src/base/utils/random-number-generator.h; WebKit, Source/WTF/wtf/WeakRandom.h. */
FN w32 map_unit53(raw x, w32 *value, const search *q) {
    *value = scaled(x, UNIT53 * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_unit53_lead(raw x) { return low(x >> 21); }

/* The same where Math.random() has 52 bits, the mantissa of a number from 1 to 2: V8 12.4, the same file. */
FN w32 map_unit52(raw x, w32 *value, const search *q) {
    *value = scaled(x >> 1, 2 * UNIT53 * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_unit52_lead(raw x) { return low(x >> 21); }

/* (word M) >> 32 of a word of 32 bits: Delphi, System.pas, Random. */
FN w32 map_multiply(raw x, w32 *value, const search *q) {
    *value = low(x * q->modulus >> 32);
    return all32(~0u);
}

FN w32 map_multiply_lead(raw x) { return low(x); }

/* Int(Rnd * M) of a word of 24 bits, Rnd = word 2^-24: a Single times an Integer is a Single, [MS-VBAL] 5.6.9.3. */
FN w32 map_single24(raw x, w32 *value, const search *q) {
    *value = scaled_single(low(x), UNIT24 * (float)q->modulus);
    return all32(~0u);
}

FN w32 map_single24_lead(raw x) { return low(x) << 8; }
/* (int)(random() * M), random() = (x >> 11) 2^-53: numpy 2, random/src/distributions, next_double of each bit generator. */
FN w32 map_top53(raw x, w32 *value, const search *q) {
    *value = scaled(x >> 11, UNIT53 * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_top53_lead(raw x) { return high(x); }

/* (int)(u * M), u = word 2^-48 or word 2^-52: C's drand48() and Perl's, util.c Perl_drand48_r; LuaJIT's math.random(),
   lib_math.c. */
FN w32 map_scaled48(raw x, w32 *value, const search *q) {
    *value = scaled(x, 32 * UNIT53 * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_scaled48_lead(raw x) { return low(x >> 16); }

FN w32 map_scaled52(raw x, w32 *value, const search *q) {
    *value = scaled(x, 2 * UNIT53 * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_scaled52_lead(raw x) { return low(x >> 20); }

/* As map_masked, of a 64-bit word: Lua 5.4, lmathlib.c project. */
FN w32 map_masked(raw x, w32 *value, const search *q) {
    *value = low(x) & (u32)q->mask;
    return ~above(*value, all32((u32)(q->modulus - 1)));
}

/* The high half of x M, again while the low half is below 2^64 mod M: libstdc++ 12, bits/uniform_int_dist.h _S_nd. */
FN w32 map_lemire64(raw x, w32 *value, const search *q) {
    *value = low(mul_high64(x, q->modulus));
    return upto64(all64(~q->limit), x * q->modulus);
}

/* Int63() >> 32; low bits for a power of two, else u % M, again while u is above the last full multiple: Go 1.19,
   math/rand/rand.go Int31n, which Intn calls. */
FN w32 map_go(raw x, w32 *value, const search *q) {
    w32 u = high(x) & 0x7fffffffu;
    if (q->power_of_two) {
        *value = u & (u32)(q->modulus - 1);
        return all32(~0u);
    }
    *value = reduce32(u, q);
    return upto(u, all32((u32)q->limit));
}

FN w32 map_go_hint(w32 hopes, raw x, u32 d, const search *q) { return hint32(hopes, high(x) & 0x7fffffffu, d, q); }

FN w32 map_go_strain(raw x, const search *q) { return high(x) & 0x7fffffffu; }
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

FN w32 map_java_strain(raw x, const search *q) { return x >> 1; }

/* java.util.Random.nextInt(a, a + M): a power of two takes the low bits of nextInt(), else as nextInt(M). JDK 17,
   jdk/internal/util/random/RandomSupport.java, boundedNextInt. */
FN w32 map_java_range(raw x, w32 *value, const search *q) {
    if (q->power_of_two) {
        *value = x & (u32)(q->modulus - 1);
        return all32(~0u);
    }
    return map_java(x, value, q);
}

FN w32 map_java_range_hint(w32 hopes, raw x, u32 d, const search *q) {
    if (q->power_of_two) return hopes - equal(x & (u32)(q->modulus - 1), all32(d));
    return hint32(hopes, x >> 1, d, q);
}

FN w32 map_java_range_strain(raw x, const search *q) { return map_java_strain(x, q); }

/* (int)(nextFloat() * M), nextFloat() = next(24) 2^-24 and both floats: JDK 17, java/util/Random.java. */
FN w32 map_single24(raw x, w32 *value, const search *q) {
    *value = scaled_single(x >> 8, UNIT24 * (float)q->modulus);
    return all32(~0u);
}

FN w32 map_single24_lead(raw x) { return x; }

/* (x >> 1) % M: mt_rand() % M in PHP, whose mt_rand() is (x >> 1). ext/standard/mt_rand.c. */
FN w32 map_mod31(raw x, w32 *value, const search *q) {
    *value = reduce32(x >> 1, q);
    return all32(~0u);
}

FN w32 map_mod31_hint(w32 hopes, raw x, u32 d, const search *q) { return hint32(hopes, x >> 1, d, q); }

/* mt_rand(0, M - 1) = M ((x >> 1) 2^-31): PHP 7.0, ext/standard/php_rand.h, RAND_RANGE; since 7.1 in MT_RAND_PHP mode. */
FN w32 map_php52(raw x, w32 *value, const search *q) {
    *value = scaled(wide(x >> 1), UNIT31 * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_php52_lead(raw x) { return x; }

/* (int)(Sample() * M), Sample() = word (1 / (2^31 - 1)), both products rounded: .NET Framework 4.8,
   mscorlib/system/random.cs. */
FN w32 map_dotnet(raw x, w32 *value, const search *q) {
    *value = scaled_twice(wide(x), 1.0 / 2147483647.0, (double)q->modulus);
    return all32(~0u);
}

FN w32 map_dotnet_lead(raw x) { return x; }

/* FLOOR(RAND() * M), RAND() = word / (2^30 - 1), both rounded: MariaDB 10.11, mysys/my_rnd.c. */
FN w32 map_mysql(raw x, w32 *value, const search *q) {
    *value = divided_scaled(wide(x), 1073741823.0, (double)q->modulus);
    return all32(~0u);
}

FN w32 map_mysql_lead(raw x) { return x; }

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

FN w32 map_php_hint(w32 hopes, raw x, u32 d, const search *q) { return hint32(hopes, x, d, q); }

FN w32 map_php_strain(raw x, const search *q) { return x; }

/* The high half of x M, again while the low half is below 2^32 mod M (D. Lemire, Fast random integer generation in an
   interval, ACM TOMACS 29(1), 2019), which of a power of two is the high bits: libstdc++ 12, bits/uniform_int_dist.h
   _S_nd; numpy 2, random/src/distributions/distributions.c. */
FN w32 map_lemire(raw x, w32 *value, const search *q) {
    if (q->power_of_two) {
        *value = x >> (u32)(33 - q->bits);
        return all32(~0u);
    }
    *value = mul_high32(x, (u32)q->modulus);
    return ~above(all32(~(u32)q->limit), x * (u32)q->modulus);
}

FN w32 map_lemire_hint(w32 hopes, raw x, u32 d, const search *q) {
    if (q->power_of_two) return hopes - equal(x >> (u32)(33 - q->bits), all32(d));
    return hopes - equal(mul_high32(x, (u32)q->modulus), all32(d));
}

FN w32 map_lemire_strain(raw x, const search *q) { return ~(x * (u32)q->modulus); }

/* (int)(rand() / (RAND_MAX + 1.0) * M) of C on glibc; Lua 5.3, lmathlib.c math_random. */
FN w32 map_scaled31(raw x, w32 *value, const search *q) {
    *value = scaled(wide(x), UNIT31 * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_scaled31_lead(raw x) { return x; }

/* floor((rand() % RAND_MAX) / RAND_MAX * M): Lua 5.1, lmathlib.c math_random. */
FN w32 map_rand_max(raw x, w32 *value, const search *q) {
    *value = divided_scaled(wide(least(x, x - 0x7fffffffu)), 2147483647.0, (double)q->modulus);
    return all32(~0u);
}

FN w32 map_rand_max_lead(raw x) { return least(x, x - 0x7fffffffu); }

/* (x - least word) / share, again while M or more: libstdc++ 12, bits/uniform_int_dist.h, downscaling. */
FN w32 map_divided(raw x, w32 *value, const search *q) {
    w32 u = x - (u32)q->least;
    w32 v = mul_high32(u, (u32)q->magic_share);
    /* The reciprocal is at most one too small. */
    *value = v - upto(all32((u32)q->share), u - v * (u32)q->share);
    return above(all32((u32)q->modulus), *value);
}
#endif
#else
/* (int)(random() * M), random() = ((a >> 5) 2^26 + (b >> 6)) 2^-53: CPython 3.11, Modules/_randommodule.c. */
FN w32 map_unit_27_26(raw x, w32 *value, const search *q) {
    w64 u = (x >> 37) << 26 | (x & 0xffffffffull) >> 6;
    *value = scaled(u, UNIT53 * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_unit_27_26_lead(w32 high_word) { return high_word; }

/* (int)(nextDouble() * M), nextDouble() = (next(26) 2^27 + next(27)) 2^-53: JDK 17, java/util/Random.java. */
FN w32 map_unit_26_27(raw x, w32 *value, const search *q) {
    w64 u = (x >> 38) << 27 | (x & 0xffffffffull) >> 5;
    *value = scaled(u, UNIT53 * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_unit_26_27_lead(w32 high_word) { return high_word; }

/* (int)(canonical() * M), canonical() = (a + b 2^32) 2^-64 for words a, b, rounded to a double, and the double below 1
   in place of 1: libstdc++ 12, bits/random.tcc generate_canonical. */
FN w32 map_canonical(raw x, w32 *value, const search *q) {
    f64_lanes u = smaller(nearest(x) * (1.0 / 18446744073709551616.0), 1 - UNIT53);
    *value = whole(u * (double)q->modulus);
    return all32(~0u);
}

FN w32 map_canonical_lead(w32 high_word) { return high_word; }
#endif
