"""Vectors from NumPy and randomgen: pcg32, philox4x32-10, sfc64, xoshiro256**, and NumPy's own generators and calls.

They are also second witnesses for three of the replaced system's families.
Usage: pypi.py JDK_LINES, the output of Jdk.java: its splitmix64 outputs are the xoshiro256** seeding.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import randomgen

SEEDS32 = [0, 1, 42, 12345, 2**31, 2**32 - 1]
SEEDS64 = [*SEEDS32, 2**32 + 1, 0xDEADBEEFCAFEBABE, 2**64 - 1]
NUMPY = f"NumPy {np.__version__}"
RANDOMGEN = f"randomgen {randomgen.__version__}"


def emit(name: str, seed: int, modulus: int | str, nth: int | str, outputs: list[int]) -> None:
    print("case", name, seed, modulus, nth, " ".join(str(int(v)) for v in outputs), sep="\t")


def family(name: str, seed: int, words: list[int]) -> None:
    emit(name, seed, "-", words[9_999], words[:16])


def philox(key: int, counter: int, count: int) -> list[int]:
    """Words x0..x3 of successive Philox4x32-10 blocks, the first made from `counter`."""
    # The library adds one to the counter before it makes a block.
    generator = randomgen.Philox(key=key, counter=(counter - 1) % 2**128, number=4, width=32)
    return [int(v) for v in generator.random_raw(count)]


def sfc64_from(state: list[int], count: int, discard: int = 0) -> list[int]:
    """NumPy's sfc64 stepping from a, b, c, counter."""
    generator = np.random.SFC64(0)
    whole = generator.state
    whole["state"]["state"] = np.array(state, dtype=np.uint64)
    generator.state = whole
    return [int(v) for v in generator.random_raw(discard + count)[discard:]]


def pcg32_from(state: int, increment: int, count: int) -> list[int]:
    """randomgen's pcg32 stepping."""
    generator = randomgen.PCG32(0)
    whole = generator.state
    whole["state"] = {"state": state, "inc": increment}
    generator.state = whole
    return [int(v) for v in generator.random_raw(count)]


def pcg32(seed: int, sequence: int, count: int) -> list[int]:
    """pcg32_srandom_r: from state 0 step, add the seed, step. (randomgen's own constructor hashes the seed.)"""
    increment = 2 * sequence + 1
    generator = randomgen.PCG32(0)
    whole = generator.state
    whole["state"] = {"state": 0, "inc": increment}
    generator.state = whole
    generator.random_raw(1)
    stepped = generator.state["state"]["state"]
    return pcg32_from((stepped + seed) % 2**64, increment, count + 1)[1:]


def xoshiro256ss(words: list[int], count: int) -> list[int]:
    generator = randomgen.Xoshiro256(0)
    state = generator.state
    state["s"] = np.array(words, dtype=np.uint64)
    generator.state = state
    return [int(v) for v in generator.random_raw(count)]


def splitmix(lines: Path) -> dict[int, list[int]]:
    """Seed -> first splitmix64 outputs, as the JDK made them."""
    rows = (line.split("\t") for line in lines.read_text().splitlines())
    return {int(row[2]): [int(v) for v in row[5].split()] for row in rows if row[:2] == ["case", "splitmix64"]}


def bounded(name: str, seeds: list[int], moduli: list[int], draws: Callable[[int, int, int], Any]) -> None:
    """A recipe's cases; draws(seed, modulus, count) are the library's."""
    for n in moduli:
        for seed in seeds:
            emit(name, seed, n, "-", [int(v) for v in draws(seed, n, 64)])


def generators() -> None:
    """What `numpy.random` offers since 1.17, seeded by an integer through SeedSequence."""
    for seed in SEEDS64:
        family("pcg64", seed, [int(v) for v in np.random.PCG64(seed).random_raw(10_000)])
        family("philox4x64", seed, [int(v) for v in np.random.Philox(seed).random_raw(10_000)])
    # One that rejects a third of the words, and the largest.
    integers, scaled = [6, 1000, 1024, 1431655766, 2**31 + 1, 2**32], [6, 1000, 1024, 4194319, 2**32]
    rngs: dict[str, Callable[[int], np.random.Generator]] = {
        "default_rng": np.random.default_rng,
        "Philox": lambda seed: np.random.Generator(np.random.Philox(seed)),
        "SFC64": lambda seed: np.random.Generator(np.random.SFC64(seed)),
    }
    for name, rng in rngs.items():
        bounded(f"numpy.{name}.integers", SEEDS64, integers, lambda seed, n, k, rng=rng: rng(seed).integers(n, size=k))
        bounded(f"numpy.{name}.random", SEEDS64, scaled, lambda seed, n, k, rng=rng: rng(seed).random(k) * n)
        for seed in SEEDS32:
            one_by_one = rng(seed)
            emit(f"numpy.{name}.integers", seed, 1000, "-", [int(one_by_one.integers(1000)) for _ in range(64)])
    legacy = np.random.RandomState
    bounded("numpy.RandomState.random_sample", SEEDS32, scaled, lambda seed, n, k: legacy(seed).random_sample(k) * n)


def main(lines: Path) -> None:
    sources = {
        "pcg32": f"{RANDOMGEN}, PCG32 stepped from the seeding of pcg32_srandom_r(seed, 54)",
        "philox4x32": f"{RANDOMGEN}, Philox(number=4, width=32)",
        "sfc64": f"{NUMPY}, SFC64 stepped from PractRand's seeding",
        "xoshiro256ss": f"{RANDOMGEN}, Xoshiro256 from splitmix64 outputs",
        "numpy.RandomState.randint": f"{NUMPY}, RandomState.randint, default dtype",
        "pcg64": f"{NUMPY}, PCG64(seed).random_raw",
        "philox4x64": f"{NUMPY}, Philox(seed).random_raw",
        "numpy.default_rng.integers": f"{NUMPY}, Generator.integers, default dtype",
        "numpy.Philox.integers": f"{NUMPY}, Generator.integers, default dtype",
        "numpy.SFC64.integers": f"{NUMPY}, Generator.integers, default dtype",
        "numpy.default_rng.random": f"{NUMPY}, Generator.random",
        "numpy.Philox.random": f"{NUMPY}, Generator.random",
        "numpy.SFC64.random": f"{NUMPY}, Generator.random",
        "numpy.RandomState.random_sample": f"{NUMPY}, RandomState.random_sample",
        "orig.pcg32": f"{RANDOMGEN}, PCG32 from the described state",
        "orig.philox4x32": f"{RANDOMGEN}, Philox(number=4, width=32), word 0 of each block",
        "orig.sfc64": f"{NUMPY}, SFC64 from the described state",
    }
    for name, text in sources.items():
        print("source", name, text, sep="\t")

    # Random123's kat_vectors, philox4x32 10.
    assert philox(0, 0, 4) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox(2**64 - 1, 2**128 - 1, 4) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    counter = 0x03707344_13198A2E_85A308D3_243F6A88
    assert philox(0x299F31D0_A4093822, counter, 4) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]

    seeding = splitmix(lines)
    for seed in SEEDS64:
        family("pcg32", seed, pcg32(seed, 54, 10_000))
        family("philox4x32", seed, philox(seed, 0, 10_000))
        # PractRand: a = b = c = seed, counter = 1, twelve outputs discarded.
        family("sfc64", seed, sfc64_from([seed, seed, seed, 1], 10_000, discard=12))
        family("xoshiro256ss", seed, xoshiro256ss(seeding[seed][:4], 10_000))
        family("orig.philox4x32", seed, philox(seed, 0, 40_000)[::4])
        family("orig.sfc64", seed, sfc64_from([seed, 0x9E3779B97F4A7C15, 0x6A09E667F3BCC908, 1], 10_000))
    for seed in SEEDS32:
        family("orig.pcg32", seed, pcg32_from(seed, 1442695040888963407, 10_000))
    for n in [1000, 1024, 10, 6, 2**31 + 1]:
        for seed in SEEDS32:
            emit("numpy.RandomState.randint", seed, n, "-", list(np.random.RandomState(seed).randint(0, n, size=64)))
            one_by_one = np.random.RandomState(seed)
            again = [int(one_by_one.randint(0, n)) for _ in range(64)]
            emit("numpy.RandomState.randint", seed, n, "-", again)
    generators()


main(Path(sys.argv[1]))
