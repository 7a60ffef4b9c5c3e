"""The constants that Go's math/rand mixes into its seeding: print kernels/cooked607.h.

They are what Go's gen_cooked.go prints after days: the ring of its own lagged Fibonacci generator, seeded by 1, after 7.8e12
steps. Here those are one multiplication: u[n + 607] = u[n] + u[n + 334] is linear, so N steps are the polynomial x^N modulo
x^607 - x^334 - 1, over the integers modulo 2^64."""

import numpy as np
import numpy.typing as npt

LENGTH, TAP, STEPS = 607, 273, 7_800_000_000_000
Words = npt.NDArray[np.uint64]

HEAD = """/* The constants of Go's seeding: its generator's own ring after 7.8e12 steps, made by tests/vectors/make/cooked607.py. */
TABLE u64 cooked607[607] = {
"""


def begun() -> Words:
    """u[0] to u[606]: entry i of the ring is u[333 - i modulo 607]."""
    x, ring = 1, []
    for i in range(-20, LENGTH):
        x = 48271 * x % (2**31 - 1)
        if i >= 0:
            y = 48271 * x % (2**31 - 1)
            z = 48271 * y % (2**31 - 1)
            ring.append(x << 20 ^ y << 10 ^ z)
            x = z
    return np.array([ring[(LENGTH - TAP - 1 - n) % LENGTH] for n in range(LENGTH)], np.uint64)


def product(a: Words, b: Words) -> Words:
    """Of two polynomials, modulo x^607 - x^334 - 1."""
    c = np.convolve(a, b)
    while len(c) > LENGTH:
        high = c[LENGTH:]
        c = np.append(c[:LENGTH], np.zeros(max(0, len(high) - TAP), np.uint64))
        c[: len(high)] += high
        c[LENGTH - TAP : LENGTH - TAP + len(high)] += high
    return c


def table() -> Words:
    """The 607 constants."""
    power, square, n = np.eye(1, LENGTH, dtype=np.uint64)[0], np.eye(1, LENGTH, 1, dtype=np.uint64)[0], STEPS
    while n:
        power = product(power, square) if n & 1 else power
        square, n = product(square, square), n >> 1
    u = begun()
    for n in range(LENGTH):
        u = np.append(u, u[n : n + 1] + u[n + LENGTH - TAP])
    after = np.array([(power * u[j : j + LENGTH]).sum(dtype=np.uint64) for j in range(LENGTH)])
    return np.array([after[(LENGTH - TAP - 1 - i - STEPS) % LENGTH] for i in range(LENGTH)])


def header() -> str:
    """kernels/cooked607.h."""
    words = [f"0x{int(word):016x}ull," for word in table()]
    lines = ["    " + " ".join(words[i : i + 5]) for i in range(0, LENGTH, 5)]
    return HEAD + "\n".join(lines) + "\n};\n"


if __name__ == "__main__":
    print(header(), end="")
