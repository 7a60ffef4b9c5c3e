"""xorshift64*, re-typed from the paper: no runtime at hand carries it.

S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", ACM Trans. Math. Softw. 42(4),
article 30 (2016), arXiv:1402.6246, the suggested xorshift64* generator in C: x ^= x >> 12; x ^= x << 25; x ^= x >> 27;
return x * 2685821657736338717.
"""

from collections.abc import Iterator
from itertools import islice

MASK = 2**64 - 1
SEEDS = [1, 42, 12345, 1234567, 2**31, 2**32 - 1, 2**32 + 1, 0xDEADBEEFCAFEBABE, 2**64 - 1]


def xorshift64star(x: int) -> Iterator[int]:
    while True:
        x ^= x >> 12
        x ^= (x << 25) & MASK
        x ^= x >> 27
        yield x * 2685821657736338717 & MASK


def main() -> None:
    print("source", "xorshift64star", "paper text, re-typed", sep="\t")
    # Rosetta Code, "Pseudo-random numbers/Xorshift star": upper halves of the outputs of seed 1234567.
    upper = [word >> 32 for word in islice(xorshift64star(1234567), 5)]
    assert upper == [3540625527, 2750739987, 4037983143, 1993361440, 3809424708]
    for seed in SEEDS:
        words = list(islice(xorshift64star(seed), 10_000))
        print("case", "xorshift64star", seed, "-", words[-1], " ".join(map(str, words[:16])), sep="\t")


main()
