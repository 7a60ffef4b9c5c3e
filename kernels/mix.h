/* splitmix64 as a seed expander: advances z, returns its mix. G. L. Steele, D. Lea, C. H. Flood, Fast splittable
   pseudorandom number generators, OOPSLA 2014; constants of variant 13 as in JDK 17 java/util/SplittableRandom.java. */
FN w64 splitmix64(w64 *z) {
    *z += 0x9E3779B97F4A7C15ull;
    w64 x = *z;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}
