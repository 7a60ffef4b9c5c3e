"""Vectors from CPython's `random` module: MT19937 keyed by an integer (init_by_array), randrange, random."""

import platform
import random
from collections.abc import Callable

SEEDS = [0, 1, 42, 12345, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 0xDEADBEEFCAFEBABE, 2**64 - 1]
KNOWN_KEY = (0x456 << 96) | (0x345 << 64) | (0x234 << 32) | 0x123


def emit(name: str, seed: int, modulus: int | None, nth: int | None, outputs: list[int]) -> None:
    fields = ["case", name, seed, "-" if modulus is None else modulus, "-" if nth is None else nth]
    print(*fields, " ".join(map(str, outputs)), sep="\t")


def recipe(name: str, moduli: list[int], draw: Callable[[int], int]) -> None:
    for n in moduli:
        for seed in SEEDS:
            random.seed(seed)
            emit(name, seed, n, None, [draw(n) for _ in range(64)])


def main() -> None:
    runtime = f"{platform.python_implementation()} {platform.python_version()}"
    print("source", "mt19937_by_array", f"{runtime}, random.seed(int) and getrandbits(32)", sep="\t")
    print("source", "python.randrange", f"{runtime}, random.randrange", sep="\t")
    print("source", "python.random", f"{runtime}, random.random", sep="\t")

    # mt19937ar.out, published with the generator: init_by_array({0x123, 0x234, 0x345, 0x456}).
    random.seed(KNOWN_KEY)
    assert [random.getrandbits(32) for _ in range(5)] == [1067595299, 955945823, 477289528, 4107218783, 4228976476]

    for seed in SEEDS:
        random.seed(seed)
        words = [random.getrandbits(32) for _ in range(10_000)]
        emit("mt19937_by_array", seed, None, words[-1], words[:16])
    recipe("python.randrange", [1000, 1024, 10, 6, 2**31 + 1, 2**32 - 1], random.randrange)
    recipe("python.random", [1000, 1024, 37], lambda n: int(random.random() * n))


main()
