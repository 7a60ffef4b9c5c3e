#include "affine.h"

/* Ten rounds over the counter (block, rest, rest): Random123, philox.h. The counter is one for all lanes, so are the
   products of the first round; rest is 0 or ~0. */
FN void philox4x32_10(w32 *out, u64 block, u32 rest, const w32 *key) {
    u64 first_a = (block & 0xffffffffu) * 0xD2511F53u, first_b = rest ? 0xffffffffull * 0xCD9E8D57u : 0;
    w32 k0 = key[0], k1 = key[1];
    w32 x0 = k0 ^ ((u32)(first_b >> 32) ^ (u32)(block >> 32)), x1 = all32((u32)first_b);
    w32 x2 = k1 ^ ((u32)(first_a >> 32) ^ rest), x3 = all32((u32)first_a);
    for (u32 round = 1; round < 10; round++) {
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
        w64 a = mul_low(wide(x0), all64(0xD2511F53u)), b = mul_low(wide(x2), all64(0xCD9E8D57u));
        x0 = high(b) ^ x1 ^ k0;
        x1 = low(b);
        x2 = high(a) ^ x3 ^ k1;
        x3 = low(a);
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}
