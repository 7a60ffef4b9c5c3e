/* Vectors from the GNU Scientific Library: its `rand` is the ANSI C example generator, whole 31-bit state out;
   its minstd (16807) and mt19937 are second witnesses. */
#include <gsl/gsl_rng.h>
#include <gsl/gsl_version.h>
#include <stdio.h>

static void family(const char *name, const gsl_rng_type *type, const unsigned long *seeds, int count) {
    printf("source\t%s\tGSL %s, gsl_rng_%s\n", name, gsl_version, type->name);
    for (int k = 0; k < count; k++) {
        unsigned long first[16], v = 0;
        gsl_rng *r = gsl_rng_alloc(type);
        gsl_rng_set(r, seeds[k]);
        for (int i = 0; i < 10000; i++) {
            v = gsl_rng_get(r);
            if (i < 16) first[i] = v;
        }
        printf("case\t%s\t%lu\t-\t%lu\t", name, seeds[k], v);
        for (int i = 0; i < 16; i++) printf("%s%lu", i ? " " : "", first[i]);
        printf("\n");
        gsl_rng_free(r);
    }
}

int main(void) {
    const unsigned long seeds[] = {1, 42, 12345, 1ul << 31, 0xFFFFFFFFul, 5489, 0};
    family("ansi_lcg", gsl_rng_rand, seeds, 7);
    /* GSL replaces seed 0 by its own default in these two, and its minstd does not reduce large seeds. */
    family("minstd0", gsl_rng_minstd, seeds, 3);
    family("mt19937", gsl_rng_mt19937, seeds, 6);
    return 0;
}
