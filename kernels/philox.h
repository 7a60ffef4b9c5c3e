#include "affine.h"

/* Ten rounds over the counter (block, 0): Random123, philox.h. */
FN void philox4x32_10(w32 *out, u64 block, const w32 *key) {
    w32 x0 = all32((u32)block), x1 = all32((u32)(block >> 32)), x2 = all32(0), x3 = all32(0), k0 = key[0], k1 = key[1];
    for (u32 round = 0; round < 10; round++) {
        w64 a = mul_low(wide(x0), all64(0xD2511F53u)), b = mul_low(wide(x2), all64(0xCD9E8D57u));
        x0 = high(b) ^ x1 ^ k0;
        x1 = low(b);
        x2 = high(a) ^ x3 ^ k1;
        x3 = low(a);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}
