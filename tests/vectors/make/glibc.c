/* Vectors from the C library of GNU: rand, lrand48, drand48. */
#define _DEFAULT_SOURCE
#include <gnu/libc-version.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef unsigned long long u64;

static const u64 seeds[] = {0, 1, 42, 12345, 2147483647u, 2147483648u, 2147483649u, 4294967295u};
/* Powers of two, a prime, the largest: 2^31 values of rand and lrand48, what an int holds of a scaled double. */
static const u64 moduli[] = {6, 1000, 1024, 4194319, 2147483647, 2147483648u};

static u64 rand_word(void) { return (u64)rand(); }
static u64 drand48_word(void) { return (u64)ldexp(drand48(), 48); }

static u64 rand_modulo(u64 n) { return (u64)rand() % n; }
static u64 rand_scaled(u64 n) { return (u64)(rand() / (RAND_MAX + 1.0) * (double)n); }
static u64 lrand48_modulo(u64 n) { return (u64)lrand48() % n; }
static u64 drand48_scaled(u64 n) { return (u64)(drand48() * (double)n); }

static void begin(u64 seed) {
    srand((unsigned)seed);
    srand48((long)seed);
}

static void family(const char *name, const char *what, u64 (*word)(void)) {
    printf("source\t%s\tglibc %s, %s\n", name, gnu_get_libc_version(), what);
    for (unsigned s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        u64 first[16], last = 0;
        begin(seeds[s]);
        for (int i = 0; i < 10000; i++) {
            last = word();
            if (i < 16) first[i] = last;
        }
        printf("case\t%s\t%llu\t-\t%llu\t", name, seeds[s], last);
        for (int i = 0; i < 16; i++) printf("%llu%c", first[i], i < 15 ? ' ' : '\n');
    }
}

static void recipe(const char *name, const char *what, u64 (*draw)(u64)) {
    printf("source\t%s\tglibc %s, %s\n", name, gnu_get_libc_version(), what);
    for (unsigned m = 0; m < sizeof moduli / sizeof *moduli; m++)
        for (unsigned s = 0; s < sizeof seeds / sizeof *seeds; s++) {
            begin(seeds[s]);
            printf("case\t%s\t%llu\t%llu\t-\t", name, seeds[s], moduli[m]);
            for (int i = 0; i < 64; i++) printf("%llu%c", draw(moduli[m]), i < 63 ? ' ' : '\n');
        }
}

int main(void) {
    family("glibc_rand", "srand, rand", rand_word);
    family("drand48", "srand48, drand48 2^48", drand48_word);
    recipe("glibc.rand", "srand, rand", rand_modulo);
    recipe("glibc.rand_scaled", "srand, rand", rand_scaled);
    recipe("glibc.lrand48", "srand48, lrand48", lrand48_modulo);
    recipe("glibc.drand48", "srand48, drand48", drand48_scaled);
}
