/* A family of 64-bit words as one of 32-bit words: of each word the low half, then the high one. What follows sees its
   state, its seeding and its steps under the family's names. */
#ifdef HALVES

/* second: whether the next half is the high one, of `whole`; ahead: whether g has stepped over `whole` already, as it has
   after a step ahead and has not after one back. */
typedef struct { state g; w64 whole; u32 second, ahead; } halves;

FN void halves_seed(halves *h, wseed z, const u64 *param) {
    SEEDING(&h->g, z, param);
    h->second = h->ahead = 0;
}

FN w32 halves_next(halves *h) {
    if (h->second) {
        if (!h->ahead) next(&h->g);
        h->second = 0;
        return high(h->whole);
    }
    h->whole = next(&h->g);
    h->second = h->ahead = 1;
    return low(h->whole);
}

FN w32 halves_prev(halves *h) {
    if (h->second) {
        if (h->ahead) prev(&h->g);
        h->second = 0;
        return low(h->whole);
    }
    h->whole = prev(&h->g);
    h->second = 1;
    h->ahead = 0;
    return high(h->whole);
}

#undef SEEDING
#undef WORD_BITS
#define SEEDING halves_seed
#define WORD_BITS 32
#define state halves
#define word w32
#define next halves_next
#define prev halves_prev

#endif
