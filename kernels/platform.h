/* One kernel text for the host's C compiler, NVRTC and hipRTC.

   A generator is written for lanes: w32 and w64 hold LANES unsigned words, one per seed, and + - * & | ^ ~ << >>
   work on all of them. On a GPU a lane is a thread (LANES = 1, plain integers); on a CPU the compiler's vector
   extension makes a lane one element of a vector register. All lanes of a block run the same steps, so control flow
   may depend on plain integers only, never on a lane.

   The program that builds a source sets, before this file: LANE_BITS (32 or 64, the widest arithmetic of the
   family), WORD_BITS, SEED_BITS, WORDS; LOOKS or HYBRID for a sieve that is no plain one; CLOCK_TIMES_PID for
   such seeds; SCALAR for the plain reference build, EMULATE for the GPU text on a host. */

#if defined(__CUDACC_RTC__) || defined(__HIPCC_RTC__) || defined(__CUDACC__) || defined(__HIP__)
#define GPU 1
#endif

#if defined(GPU) || defined(EMULATE)
#define GRID 1
#endif

#if defined(LOOKS) || defined(HYBRID)
#define BOTH_WAYS 1
#endif

/* What a GPU reads through this comes from its constant or read-only cache, since nothing that it writes may change it. */
#define RESTRICT __restrict__

#ifdef GPU
#define FN static __device__ __forceinline__
#define KERNEL extern "C" __global__ void
#define TABLE static __constant__ const
#define UNROLL _Pragma("unroll")
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
#else
#define FN static inline __attribute__((always_inline))
#define TABLE static const
#define UNROLL _Pragma("GCC unroll 32")
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
#endif

#if defined(GRID) || defined(SCALAR)
#define LANES 1
#elif defined(__AVX512F__) && defined(__AVX512DQ__)
#define LANES (512 / LANE_BITS)
#elif defined(__AVX2__)
#define LANES (256 / LANE_BITS)
#else
#define LANES (128 / LANE_BITS)
#endif

#if LANES == 1

typedef u32 w32;
typedef u64 w64;
FN w32 all32(u32 x) { return x; }
FN w64 all64(u64 x) { return x; }
FN w32 low(w64 x) { return (u32)x; }
FN w32 high(w64 x) { return (u32)(x >> 32); }
FN w64 wide(w32 x) { return x; }
FN w32 equal(w32 a, w32 b) { return a == b ? ~0u : 0u; }
FN w32 above(w32 a, w32 b) { return a > b ? ~0u : 0u; }
FN w64 above64(w64 a, w64 b) { return a > b ? ~0ull : 0ull; }
FN w32 upto(w32 a, w32 b) { return a <= b ? ~0u : 0u; }
FN w32 upto64(w64 a, w64 b) { return a <= b ? ~0u : 0u; }
FN u32 any(w32 mask) { return mask; }
typedef double f64_lanes;
FN f64_lanes real(w64 x) { return (double)x; }
FN f64_lanes nearest(w64 x) { return (double)x; }
FN w32 whole(f64_lanes x) { return (u32)x; }
FN w32 scaled(w64 x, double factor) { return (u32)((double)x * factor); }
FN w32 scaled_twice(w64 x, double unit, double factor) { return (u32)((double)x * unit * factor); }
FN w32 divided_scaled(w64 x, double by, double factor) { return (u32)((double)x / by * factor); }
FN w32 scaled_single(w32 x, float factor) { return (u32)((float)x * factor); }
FN f64_lanes smaller(f64_lanes a, double b) { return a < b ? a : b; }
#ifdef GPU
FN w64 bits_of(f64_lanes x) { return (u64)__double_as_longlong(x); }
#else
FN w64 bits_of(f64_lanes x) { union { double x; u64 bits; } both = {x}; return both.bits; }
#endif
FN w32 ramp32(void) { return 0; }
FN w64 ramp64(void) { return 0; }
#define LANE(x, i) (x)

#else

#if defined(__x86_64__)
#include <immintrin.h>
#endif
typedef u32 w32 __attribute__((vector_size(4 * LANES)));
typedef u64 w64 __attribute__((vector_size(8 * LANES)));
typedef long long i64_lanes __attribute__((vector_size(8 * LANES)));
typedef double f64_lanes __attribute__((vector_size(8 * LANES)));
typedef int i32_lanes __attribute__((vector_size(4 * LANES)));
typedef float f32_lanes __attribute__((vector_size(4 * LANES)));
FN w32 all32(u32 x) { return (w32){} + x; }
FN w64 all64(u64 x) { return (w64){} + x; }
FN w32 low(w64 x) { return __builtin_convertvector(x, w32); }
FN w32 high(w64 x) { return __builtin_convertvector(x >> 32, w32); }
FN w64 wide(w32 x) { return __builtin_convertvector(x, w64); }
FN w32 equal(w32 a, w32 b) { return (w32)(a == b); }
FN w32 above(w32 a, w32 b) { return (w32)(a > b); }
FN w64 above64(w64 a, w64 b) { return (w64)(a > b); }
FN w32 upto(w32 a, w32 b) { return (w32)(a <= b); }
FN w32 upto64(w64 a, w64 b) { return low((w64)(a <= b)); }
/* x < 2^53, so the conversion is exact and only what follows rounds, each operation on its own, as in the languages that
   scale a double. */
FN f64_lanes real(w64 x) { return __builtin_convertvector((i64_lanes)x, f64_lanes); }
FN w32 whole(f64_lanes x) { return low((w64)__builtin_convertvector(x, i64_lanes)); }
FN w32 scaled(w64 x, double factor) { return whole(real(x) * factor); }
FN w32 scaled_twice(w64 x, double unit, double factor) { return whole(real(x) * unit * factor); }
FN w32 divided_scaled(w64 x, double by, double factor) { return whole(real(x) / by * factor); }
/* The same with a float, for x < 2^24. */
FN w32 scaled_single(w32 x, float factor) {
    return (w32)__builtin_convertvector(__builtin_convertvector((i32_lanes)x, f32_lanes) * factor, i32_lanes);
}
/* The double nearest to any 64 bits. */
FN f64_lanes nearest(w64 x) { return __builtin_convertvector(x, f64_lanes); }
FN f64_lanes smaller(f64_lanes a, double b) {
    w64 less = (w64)(a < b);
    return (f64_lanes)(((w64)a & less) | ((w64)((f64_lanes){} + b) & ~less));
}
FN w64 bits_of(f64_lanes x) { return (w64)x; }
static const u32 ramp[16] __attribute__((aligned(64))) = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
FN w32 ramp32(void) { return *(const w32 *)ramp; }
FN w64 ramp64(void) { return wide(ramp32()); }
#define LANE(x, i) ((x)[i])

/* A branch on "some lane": one instruction where the compiler offers it. */
FN u32 any(w32 mask) {
#if defined(__AVX512F__) && LANES == 16
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask);
#elif defined(__AVX2__) && LANES == 8
    return (u32)_mm256_movemask_epi8((__m256i)mask);
#else
    u32 bits = 0;
    for (u32 i = 0; i < LANES; i++) bits |= mask[i];
    return bits;
#endif
}

#endif

FN w32 pick(w32 mask, w32 yes, w32 no) {
#if LANES == 16 && defined(__AVX512F__)
    return (w32)_mm512_ternarylogic_epi32((__m512i)mask, (__m512i)yes, (__m512i)no, 0xca);
#else
    return (yes & mask) | (no & ~mask);
#endif
}

/* x ^ value in the lanes where y is odd. */
FN w32 xor_where_odd(w32 x, w32 y, u32 value) {
#if LANES == 16 && defined(__AVX512F__)
    return (w32)_mm512_mask_xor_epi32((__m512i)x, _mm512_test_epi32_mask((__m512i)y, _mm512_set1_epi32(1)), (__m512i)x,
                                      _mm512_set1_epi32((int)value));
#else
    return x ^ (-(y & 1u) & value);
#endif
}

FN w64 pick64(w64 mask, w64 yes, w64 no) { return (yes & mask) | (no & ~mask); }
FN w32 least(w32 a, w32 b) {
#if LANES == 16 && defined(__AVX512F__)
    return (w32)_mm512_min_epu32((__m512i)a, (__m512i)b);
#elif LANES == 8 && defined(__AVX2__)
    return (w32)_mm256_min_epu32((__m256i)a, (__m256i)b);
#else
    return pick(above(a, b), b, a);
#endif
}
FN w32 most(w32 a, w32 b) {
#if LANES == 16 && defined(__AVX512F__)
    return (w32)_mm512_max_epu32((__m512i)a, (__m512i)b);
#elif LANES == 8 && defined(__AVX2__)
    return (w32)_mm256_max_epu32((__m256i)a, (__m256i)b);
#else
    return pick(above(a, b), a, b);
#endif
}
FN w64 least64(w64 a, w64 b) { return pick64(above64(a, b), b, a); }
#define ROTL32(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#define ROTL64(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

/* x factor + term, rounded twice: never one instruction that rounds once. */
FN f64_lanes times_plus(f64_lanes x, double factor, double term) {
#if defined(__CUDACC_RTC__) || defined(__CUDACC__)
    return __dadd_rn(__dmul_rn(x, factor), term);
#else
#ifdef GPU
#pragma clang fp contract(off)
#endif
    return x * factor + term;
#endif
}

/* n + 1 in the lanes where a is at most b. */
FN w32 count_upto(w32 n, w32 a, w32 b) {
#if LANES == 16 && defined(__AVX512F__)
    return (w32)_mm512_mask_add_epi32((__m512i)n, _mm512_cmple_epu32_mask((__m512i)a, (__m512i)b), (__m512i)n,
                                      _mm512_set1_epi32(1));
#elif LANES == 8 && defined(__AVX512VL__)
    return (w32)_mm256_mask_add_epi32((__m256i)n, _mm256_cmple_epu32_mask((__m256i)a, (__m256i)b), (__m256i)n,
                                      _mm256_set1_epi32(1));
#else
    return n - upto(a, b);
#endif
}

FN w32 count_upto64(w32 n, w64 a, w64 b) {
#if LANES == 8 && defined(__AVX512F__) && defined(__AVX512VL__)
    return (w32)_mm256_mask_add_epi32((__m256i)n, _mm512_cmple_epu64_mask((__m512i)a, (__m512i)b), (__m256i)n,
                                      _mm256_set1_epi32(1));
#else
    return n - upto64(a, b);
#endif
}

FN w32 turn_right32(w32 x, u32 n) {
#if LANES == 16 && defined(__AVX512F__)
    return (w32)_mm512_rorv_epi32((__m512i)x, _mm512_set1_epi32((int)n));
#elif LANES == 8 && defined(__AVX512VL__)
    return (w32)_mm256_rorv_epi32((__m256i)x, _mm256_set1_epi32((int)n));
#else
    return x >> n | x << (-n & 31);
#endif
}

FN w64 turn_right64(w64 x, u32 n) {
#if LANES == 8 && defined(__AVX512F__)
    return (w64)_mm512_rorv_epi64((__m512i)x, _mm512_set1_epi64((long long)n));
#else
    return x >> n | x << (-n & 63);
#endif
}

/* The low halves of two words multiplied to 64 bits. */
FN w64 mul_low(w64 a, w64 b) {
#if LANES == 8 && defined(__AVX512F__)
    return (w64)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif LANES == 4 && defined(__AVX2__)
    return (w64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
    return (a & 0xffffffffull) * (b & 0xffffffffull);
#endif
}

/* floor(x * y / 2^32) */
FN w32 mul_high32(w32 x, u32 y) {
#if LANES == 1
    return (u32)(((u64)x * y) >> 32);
#elif LANES == 16 && defined(__AVX512F__)
    __m512i even = _mm512_mul_epu32((__m512i)x, _mm512_set1_epi32((int)y));
    __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)x, 32), _mm512_set1_epi32((int)y));
    return (w32)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
#elif LANES == 8 && defined(__AVX2__)
    __m256i even = _mm256_mul_epu32((__m256i)x, _mm256_set1_epi32((int)y));
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)x, 32), _mm256_set1_epi32((int)y));
    return (w32)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
    return high(wide(x) * y);
#endif
}

/* floor(x * y / 2^64), from four products of halves. */
FN w64 mul_high64(w64 x, u64 y) {
#ifdef GPU
    return __umul64hi(x, y);
#else
    w64 y_low = all64(y & 0xffffffffull), y_high = all64(y >> 32), x_high = x >> 32;
    w64 middle = mul_low(x_high, y_low) + (mul_low(x, y_low) >> 32);
    w64 other = mul_low(x, y_high) + (middle & 0xffffffffull);
    return mul_low(x_high, y_high) + (middle >> 32) + (other >> 32);
#endif
}

/* The lanes, as bits, whose x modulo `size` (a power of two, at least 32) is in a set of bits. */
FN u32 members(const u32 *set, w32 x, u32 size) {
#if LANES > 1 && defined(__AVX512F__)
#if LANES == 16
    __m512i wide = (__m512i)x;
#else
    __m512i wide = _mm512_zextsi256_si512((__m256i)x);
#endif
    __m512i at = _mm512_and_si512(_mm512_srli_epi32(wide, 5), _mm512_set1_epi32((int)(size / 32 - 1)));
    __m512i words = size <= 1024 ? _mm512_permutex2var_epi32(_mm512_loadu_si512(set), at, _mm512_loadu_si512(set + 16))
                                 : _mm512_i32gather_epi32(at, set, 4);
    __m512i bit = _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_and_si512(wide, _mm512_set1_epi32(31)));
    return _mm512_test_epi32_mask(words, bit) & ((1u << LANES) - 1);
#else
    u32 bits = 0;
    for (u32 lane = 0; lane < LANES; lane++) {
        u32 value = LANE(x, lane) & (size - 1);
        bits |= (set[value >> 5] >> (value & 31) & 1) << lane;
    }
    return bits;
#endif
}

/* Place of the lowest bit of x, which is not 0. */
FN u32 lowest_bit(u32 x) {
#ifdef GPU
    return (u32)__ffs((int)x) - 1;
#else
    return (u32)__builtin_ctz(x);
#endif
}

#if WORD_BITS == 64
typedef w64 word;
#else
typedef w32 word;
#endif

#if SEED_BITS > 32
typedef w64 wseed;
FN wseed all_seeds(u64 x) { return all64(x); }
FN wseed seeds_from(u64 start) { return all64(start) + ramp64(); }
FN wseed rows_from(u64 start, u32 step) { return all64(start) + ramp64() * step; }
FN u64 first_seed(wseed z) { return LANE(z, 0); }
#else
typedef w32 wseed;
FN wseed all_seeds(u64 x) { return all32((u32)x); }
FN wseed seeds_from(u64 start) { return all32((u32)start) + ramp32(); }
FN wseed rows_from(u64 start, u32 step) { return all32((u32)start) + ramp32() * step; }
FN u64 first_seed(wseed z) { return LANE(z, 0); }
#endif
