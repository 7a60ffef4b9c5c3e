"""xorshift64 and xorshift64*, re-typed from the papers: no runtime at hand carries them.

G. Marsaglia, "Xorshift RNGs", J. Stat. Softw. 8(14), 2003, page 4: x ^= x << 13; x ^= x >> 7; return x ^= x << 17, with
the default seed 88172645463325252.

S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", ACM Trans. Math. Softw. 42(4),
article 30 (2016), arXiv:1402.6246, the suggested xorshift64* generator in C: x ^= x >> 12; x ^= x << 25; x ^= x >> 27;
return x * 2685821657736338717.
"""

from collections.abc import Iterator
from itertools import islice

MASK = 2**64 - 1
SEEDS = [1, 42, 12345, 1234567, 2**31, 2**32 - 1, 2**32 + 1, 0xDEADBEEFCAFEBABE, 2**64 - 1]
MARSAGLIA = 88172645463325252


def xorshift64(x: int) -> Iterator[int]:
    while True:
        x ^= (x << 13) & MASK
        x ^= x >> 7
        x ^= (x << 17) & MASK
        yield x


def xorshift64star(x: int) -> Iterator[int]:
    while True:
        x ^= x >> 12
        x ^= (x << 25) & MASK
        x ^= x >> 27
        yield x * 2685821657736338717 & MASK


def main() -> None:
    for name in ("xorshift64", "xorshift64star"):
        print("source", name, "paper text, re-typed", sep="\t")
    # Rosetta Code, "Pseudo-random numbers/Xorshift star": upper halves of the outputs of seed 1234567.
    upper = [word >> 32 for word in islice(xorshift64star(1234567), 5)]
    assert upper == [3540625527, 2750739987, 4037983143, 1993361440, 3809424708]
    # As others' libraries test theirs, from Marsaglia's default seed.
    assert list(islice(xorshift64(MARSAGLIA), 3)) == [8748534153485358512, 3040900993826735515, 3453997556048239312]
    for name, generator, seeds in (
        ("xorshift64", xorshift64, [*SEEDS, MARSAGLIA]),
        ("xorshift64star", xorshift64star, SEEDS),
    ):
        for seed in seeds:
            words = list(islice(generator(seed), 10_000))
            print("case", name, seed, "-", words[-1], " ".join(map(str, words[:16])), sep="\t")


main()
