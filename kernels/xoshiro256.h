#include "shifts.h"

/* The step of both xoshiro256 undone: s[3] gives s3 ^ s1 and with it s0; s[1] ^ s[2] is s1 ^ s1 << 17. */
FN void xoshiro256_back(w64 *s) {
    w64 both = ROTL64(s[3], 19), sum = s[1] ^ s[2];
    s[0] ^= both;
    s[2] = s[1] ^ s[0];
    s[1] = unshift_left64(sum, 17);
    s[2] ^= s[1];
    s[3] = both ^ s[1];
}
