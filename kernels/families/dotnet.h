/*---
title = "Seeded System.Random of .NET: a subtractive generator with lags 55 and 34"
source = ".NET Framework 4.8, mscorlib/system/random.cs; .NET 6, System.Private.CoreLib, Random.Net5CompatImpl.cs"
verified = "Mono 6.8, .NET Core 3.1"
algebra = "linear modulo 2^31 - 1"
lane_bits = 32
word_bits = 32
seed_bits = 31
word_max = "2**31 - 2"
seeding_looks = { seed = 200 }
known = [
    [42, [1434747710, 302596119, 269548474, 1122627734, 361709742]],
    [2147483647, [1559595546, 1755192844, 1649316172, 1198642031, 442452829]],
]
known_at = [[42, 9999, 969724870]]
---*/

#define LAG 55u
#define MBIG 0x7fffffffu

/* s[i] is SeedArray[i], s[0] SeedArray[55]; at: inext, 55 as 0. D. E. Knuth, The Art of Computer Programming 2, 3.6, but the
   second index begins at 21 where Knuth has 31. */
typedef struct { w32 s[LAG]; u32 at; } state;

FN u32 around(u32 i) { return i >= LAG ? i - LAG : i; }

/* A difference of 32-bit integers, with 2^31 - 1 added where it is below 0. */
FN w32 positive(w32 d) { return d + (-(d >> 31) & MBIG); }

/* A negative seed is its absolute value, and -2^31 is 2^31 - 1. */
FN void seed(state *g, wseed z, const u64 *param) {
    w32 x = 161803398u - z, y = all32(1);
    g->s[0] = x;
    for (u32 i = 1, at = 21; i < LAG; i++, at = around(at + 21)) {
        g->s[at] = y;
        y = positive(x - y);
        x = g->s[at];
    }
    for (u32 round = 0; round < 4; round++)
        for (u32 i = 1; i <= LAG; i++) {
            u32 at = around(i);
            g->s[at] = positive(g->s[at] - g->s[around(at + 31)]);
        }
    g->at = 0;
}

FN word next(state *g) {
    u32 at = around(g->at + 1);
    w32 d = g->s[at] - g->s[around(at + 21)];
    /* 2^31 - 1 itself becomes 2^31 - 2. */
    d = positive(d - (equal(d, all32(MBIG)) & 1u));
    g->s[at] = d;
    g->at = at;
    return d;
}

/* Exact but for the value 2^31 - 1, one of 2^31, which a seeding may leave and a step shows as 0 or 2^31 - 2. */
FN word prev(state *g) {
    u32 at = g->at;
    w32 d = g->s[at], sum = d + g->s[around(at + 21)];
    g->s[at] = least(sum, sum - MBIG);
    g->at = around(at + LAG - 1);
    return d;
}
