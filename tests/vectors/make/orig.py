"""The replaced system's 11 families, from the description of that system, section 1.2: fixed skip, GPU semantics.

Each function yields the raw output words of a seed (skip 0, offset 0), before any reduction to a draw. Plain Python
integers, so that nothing here shares text or word size with the kernels under test.
"""

from collections.abc import Callable, Iterator
from itertools import count, islice

M32 = 2**32 - 1
M48 = 2**48 - 1
M64 = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
SQRT2 = 0x6A09E667F3BCC908
SQRT3 = 0xBB67AE8584CAA73B
SEEDS32 = [0, 1, 42, 12345, 2**31, 2**32 - 1]
SEEDS64 = [*SEEDS32, 2**32 + 1, 0xDEADBEEFCAFEBABE, 2**64 - 1]

SEEDS = {"u32": SEEDS32, "u64": SEEDS64}


def rotl64(x: int, k: int) -> int:
    return (x << k | x >> 64 - k) & M64


def xorshift32(seed: int) -> Iterator[int]:
    """Marsaglia 13/17/5; seed 0 stays 0."""
    x = seed
    while True:
        x ^= x << 13 & M32
        x ^= x >> 17
        x ^= x << 5 & M32
        yield x


def xorshift64(seed: int) -> Iterator[int]:
    """The multiplication is written back into the state; the whole state is the output."""
    x = seed
    while True:
        x ^= x >> 12
        x ^= x << 25 & M64
        x ^= x >> 27
        x = x * 0x2545F4914F6CDD1D & M64
        yield x


def xorshift128(seed: int) -> Iterator[int]:
    x, y, z, w = seed, 362436069, 521288629, 88675123
    while True:
        t = x ^ (x << 11 & M32)
        x, y, z = y, z, w
        w = w ^ w >> 19 ^ t ^ t >> 8
        yield w


def minstd(seed: int) -> Iterator[int]:
    state = seed % (2**31 - 1) or 1
    while True:
        state = 48271 * state % (2**31 - 1)
        yield state


def lcg32(seed: int) -> Iterator[int]:
    """Modulus 2147483647, not 2^31; the seed is not reduced."""
    state = seed
    while True:
        state = (1103515245 * state + 12345) % 2147483647
        yield state


def java_lcg(seed: int) -> Iterator[int]:
    """No scramble of the seed; bits 16..47 as an unsigned word."""
    state = seed & M48
    while True:
        state = 0x5DEECE66D * state + 11 & M48
        yield state >> 16 & M32


def pcg32(seed: int) -> Iterator[int]:
    """The seed is the state; XSH-RR of the state before the step."""
    state = seed
    while True:
        word = (state >> 18 ^ state) >> 27 & M32
        turn = state >> 59
        yield (word >> turn | word << (32 - turn) % 32) & M32
        state = state * 6364136223846793005 + 1442695040888963407 & M64


def mt19937(seed: int) -> Iterator[int]:
    """init_genrand."""
    x = [seed]
    for i in range(1, 624):
        x.append(1812433253 * (x[-1] ^ x[-1] >> 30) + i & M32)
    while True:
        for i in range(624):
            y = x[i] & 0x80000000 | x[(i + 1) % 624] & 0x7FFFFFFF
            x[i] = x[(i + 397) % 624] ^ y >> 1 ^ (0x9908B0DF if y & 1 else 0)
        for word in x:
            y = word ^ word >> 11
            y ^= y << 7 & 0x9D2C5680
            y ^= y << 15 & 0xEFC60000
            yield y ^ y >> 18


def xoshiro256pp_state(s0: int, s1: int, s2: int, s3: int) -> Iterator[int]:
    while True:
        yield rotl64(s0 + s3 & M64, 23) + s0 & M64
        t = s1 << 17 & M64
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = rotl64(s3, 45)


def xoshiro256pp(seed: int) -> Iterator[int]:
    return xoshiro256pp_state(seed, GOLDEN, SQRT2, SQRT3)


def philox_block(key: tuple[int, int], counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & M32, p0 >> 32 ^ c3 ^ k1, p0 & M32
        k0, k1 = k0 + 0x9E3779B9 & M32, k1 + 0xBB67AE85 & M32
    return c0, c1, c2, c3


def philox4x32(seed: int) -> Iterator[int]:
    """Word 0 of one block per output; the counter is the 32-bit output index."""
    return (philox_block((seed & M32, seed >> 32), (i & M32, 0, 0, 0))[0] for i in count())


def sfc64(seed: int) -> Iterator[int]:
    """No warm-up."""
    a, b, c, counter = seed, GOLDEN, SQRT2, 1
    while True:
        out = a + b + counter & M64
        counter += 1
        a, b, c = b ^ b >> 11, c + (c << 3) & M64, rotl64(c, 24) + out & M64
        yield out


FAMILIES: dict[str, tuple[str, Callable[[int], Iterator[int]]]] = {
    "xorshift32": ("u32", xorshift32),
    "xorshift64": ("u64", xorshift64),
    "xorshift128": ("u32", xorshift128),
    "minstd": ("u32", minstd),
    "lcg32": ("u32", lcg32),
    "java_lcg": ("u64", java_lcg),
    "pcg32": ("u32", pcg32),
    "mt19937": ("u32", mt19937),
    "xoshiro256pp": ("u64", xoshiro256pp),
    "philox4x32": ("u64", philox4x32),
    "sfc64": ("u64", sfc64),
}


def first(outputs: Iterator[int], n: int = 1) -> list[int]:
    return list(islice(outputs, n))


def check() -> None:
    """The values which the description gives as verified."""
    assert first(xorshift32(2463534242)) == [723471715]
    assert first(xorshift128(123456789)) == [3701687786]
    assert first(minstd(1), 10_000)[-1] == 399268537
    assert first(java_lcg(42)) == [16159453]
    assert first(pcg32(2**32 - 1)) == [31] and first(pcg32(42)) == [0]
    assert first(mt19937(5489)) == [3499211612]
    assert first(xoshiro256pp_state(1, 2, 3, 4), 2) == [41943041, 58720359]
    assert first(philox4x32(0)) == [0x6627E8D5]
    assert first(sfc64(7)) == [7 + GOLDEN + 1]


def main() -> None:
    check()
    for family, (width, generate) in FAMILIES.items():
        print("source", f"orig.{family}", "description of the replaced system, 1.2", sep="\t")
        for seed in SEEDS[width]:
            words = first(generate(seed), 10_000)
            print("case", f"orig.{family}", seed, "-", words[-1], " ".join(map(str, words[:16])), sep="\t")


main()
