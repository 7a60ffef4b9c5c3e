"""Generators of Windows languages, re-typed from published text: no runtime at hand carries them.

MSVC's rand: Microsoft's C runtime (UCRT), rand.cpp: state = state 214013 + 2531011 modulo 2^32, returns bits 16 to 30.
Delphi's Random(n): System.pas: RandSeed = RandSeed 134775813 + 1 modulo 2^32, returns (RandSeed n) >> 32.
VBA's Rnd: Microsoft Knowledge Base 231847: x = (x 1140671485 + 12820163) modulo 2^24, returns x / 2^24, a Single; the
product with an Integer is a Single too ([MS-VBAL] 5.6.9.3). A program begins with x = 327680.
"""

import struct
from collections.abc import Callable, Iterator
from itertools import islice


def lcg(a: int, c: int, bits: int) -> Callable[[int], Iterator[int]]:
    def states(x: int) -> Iterator[int]:
        while True:
            x = (x * a + c) % 2**bits
            yield x

    return states


def single(x: float) -> float:
    """The nearest number of 32 bits."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


MSVC, DELPHI, VBA = lcg(214013, 2531011, 32), lcg(134775813, 1, 32), lcg(1140671485, 12820163, 24)
SEEDS31 = [0, 1, 42, 12345, 2**30, 2**31 - 1]
SEEDS32 = [0, 1, 42, 12345, 2**31, 2**32 - 1]
SEEDS24 = [0, 1, 42, 12345, 327680, 2**23, 2**24 - 1]
# name -> states, value of a state, seeds, moduli
RECIPES = {
    "msvc.rand": (MSVC, lambda x, n: (x >> 16 & 0x7FFF) % n, SEEDS31, [1000, 1024, 10, 6, 32767, 32768]),
    "delphi.Random": (DELPHI, lambda x, n: x * n >> 32, SEEDS32, [1000, 1024, 6, 2**30 + 1, 2**31 - 1]),
    # The product of a Single below 1 and an Integer is exact in 64 bits, so it is rounded once.
    "vba.Rnd": (VBA, lambda x, n: int(single(x / 2**24 * n)), SEEDS24, [1000, 1024, 6, 32767]),
}


def main() -> None:
    # What every program shows that never seeds: srand(1), RandSeed = 0, x = 327680.
    assert [x >> 16 & 0x7FFF for x in islice(MSVC(1), 6)] == [41, 18467, 6334, 26500, 19169, 15724]
    assert [x * 100 >> 32 for x in islice(DELPHI(0), 10)] == [0, 3, 86, 20, 27, 67, 31, 16, 37, 42]
    shown = [f"{x / 2**24:.7g}" for x in islice(VBA(327680), 10)]
    assert shown[:5] == ["0.7055475", "0.533424", "0.5795186", "0.2895625", "0.301948"]
    assert shown[5:] == ["0.7747401", "0.01401764", "0.7607236", "0.81449", "0.7090379"]
    for name, (states, value, seeds, moduli) in RECIPES.items():
        print("source", name, "published text, re-typed", sep="\t")
        for n in moduli:
            for seed in seeds:
                draws = [value(x, n) for x in islice(states(seed), 64)]
                print("case", name, seed, n, "-", " ".join(map(str, draws)), sep="\t")


main()
