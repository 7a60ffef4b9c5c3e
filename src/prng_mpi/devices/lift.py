"""The lift on the host's CPU: all seeds of a power-of-two LCG by their low bits first. See kernels/lift.h."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from prng_mpi import kernels, statistics
from prng_mpi.devices.base import NOT_PLAIN, Device, Forecast, Hits, Outputs
from prng_mpi.devices.cpu import CpuDevice, build, pointer, processor
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import Recipe
from prng_mpi.records import HIT
from prng_mpi.search import Search

_LIFT = np.dtype(
    [(name, "<u8") for name in ("bits", "shift", "modulus", "draws", "need", "seed_xor")]
    + [(name, "<u8") for name in ("first_a", "first_c", "stride_a", "stride_c")]
)
_FOUND = np.dtype([("seed", "<u8"), ("matches", "<u4"), ("pad", "<u4")])
_AFFINE = np.dtype([("a", "<u8"), ("c", "<u8")])

# As measured on one core: looks at low parts, at completions, of the lanes, and of them by squares, in a second; seconds to
# check a survivor.
# How much of a search may be lost to rejected words.
LOW_LOOKS = 8e9
HIGH_LOOKS = 3e9
LANE_LOOKS = 4e9
LOOKS_SLOWER = 4.0
HYBRID_SLOWER = 8.0
SQUARE_LOOKS = 2e10
SURVIVOR = 6e-6
MISS_MOST = 1e-2
MAX_LOW_BITS = 28
# These divide the high 31 bits of a word, and reject.
JAVA = ("java", "java_range")


def forecast(search: Search) -> Forecast:
    """What a lift would cost. The low bits of a random state match a draw with chance 2^-twos."""
    if search.form:
        return Forecast(NOT_PLAIN)
    recipe, m, k = search.recipe, search.modulus, len(search.draws)
    algebra = kernels.family(recipe.family).affine(search.params, recipe.seeding)
    if algebra is None or recipe.mapping not in ("mod", *JAVA):
        return Forecast("the family is no power-of-two LCG whose outputs are taken modulo M")
    twos = (m & -m).bit_length() - 1
    size = algebra.shift + (recipe.mapping in JAVA) + twos
    if not twos or m >> twos < 3:
        return Forecast(f"modulus {m} is not even, or a power of two")
    if size > min(MAX_LOW_BITS, algebra.bits - 1) or m.bit_length() > 31:
        return Forecast(f"a draw depends on {size} low bits of the state")
    reject = 2**31 % m / 2**31 if recipe.mapping in JAVA else 0.0
    miss = -math.expm1((search.positions + search.first) * math.log1p(-reject))
    if miss > MISS_MOST:
        return Forecast(f"calls reject words so often that {miss:.1%} of the seeds would be missed")
    tails = 10.0 ** statistics.log10_tails(np.full(k, 2.0**-twos))
    # Each survivor of the low stage has (its low matches - need + 1) anchors; those by chance, and one that is true, of
    # whose wrong draws some match by their low bits.
    odd, extra = m >> twos, (k - search.need) * 2.0**-twos
    anchors = search.per_seed * 2.0**size * float(tails[search.need :].sum()) + extra + 1
    completions = anchors * 2.0 ** (algebra.bits - size) / odd
    # A block of 32 goes on until none of it can match; where the odd part is small that takes several looks.
    high_looks = completions * (extra + 1.2 + math.log(32) / math.log(odd))
    true = search.per_seed * 2.0**algebra.bits * 10.0 ** float(statistics.log10_tails(search.chances())[search.need])
    low_looks = search.per_seed * 2.0**size * (k - search.need + 1.2)
    return Forecast("", low_looks / LOW_LOOKS + high_looks / HIGH_LOOKS + true * SURVIVOR, miss)


def lane_seconds(search: Search, seeds: int, squares: bool = False) -> float:
    """Roughly what the lanes of one core take for a search over so many seeds; squares: where the algebra allows, by squares."""
    looks = SQUARE_LOOKS if squares and search.square is not None else LANE_LOOKS
    seeding = kernels.family(search.recipe.family).seeding_looks.get(search.recipe.seeding, 0)
    if search.misses is not None:
        return seeds * (seeding + search.looks) / LANE_LOOKS * HYBRID_SLOWER
    # A side that survives is rare, so the draws behind are looked at where they are the only ones.
    first = search.sides[0]
    slower = 1.0 if search.reach else LOOKS_SLOWER
    return seeds * (seeding + slower * search.per_seed * (len(first.draws) - first.need + 1.0)) / looks


class LiftDevice(Device):
    """Finds what CpuDevice finds over any range of seeds, at a cost that does not depend on the range."""

    kind = "cpu"

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        text = (kernels.folder() / "lift.h").read_text()
        self._library = ctypes.CDLL(str(build(text, "cpu")))
        self._library.low_parts.restype = ctypes.c_uint64
        self._library.complete.restype = ctypes.c_uint64
        self._plain = CpuDevice(recipe, "reference")
        self.name = f"{processor()}, lift"

    def fits(self, search: Search) -> bool:
        """Whether a search can be lifted, and known answers in a moment."""
        ahead = forecast(search)
        return not ahead.why_not and ahead.seconds < 1

    def _outputs(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> Outputs:
        return self._plain.outputs(search, seeds, first, count)

    def _sieve(self, search: Search, start: int, count: int, capacity: int) -> tuple[int, Hits]:
        raise DeviceError("a lift is not sliced")

    def sieve(self, search: Search, start: int, stop: int, stopped: Callable[[], bool] = lambda: False) -> Hits | None:
        """As Device.sieve. Candidates are found by their low bits; the plain build says what they are."""
        seeds: set[int] = set()
        for s in range(search.skips[0], search.skips[1] + 1):
            for o in range(search.offsets[0], search.offsets[1] + 1):
                if stopped():
                    return None
                seeds.update(self._candidates(search, s, o, start, stop))
        parts = [np.zeros(0, HIT)]
        for seed in sorted(seeds):
            part = self._plain.sieve(search, seed, seed + 1)
            if part is not None:
                parts.append(part)
        return np.concatenate(parts)

    def _candidates(self, search: Search, s: int, o: int, start: int, stop: int) -> list[int]:
        algebra = kernels.family(self.recipe.family).affine(search.params, self.recipe.seeding)
        why_not = forecast(search).why_not
        if algebra is None or why_not:
            raise DeviceError(f"this search can't be lifted: {why_not}")
        k = len(search.draws)
        first, stride = (kernels.affine_power(algebra.a, algebra.c, n, 2**64) for n in (o + s + 1, s + 1))
        record = np.zeros(1, _LIFT)
        record["bits"], record["modulus"], record["draws"] = algebra.bits, search.modulus, k
        record["shift"] = algebra.shift + (self.recipe.mapping in JAVA)
        record["need"], record["seed_xor"] = search.need, algebra.seed_xor
        record["first_a"], record["first_c"] = first
        record["stride_a"], record["stride_c"] = stride
        draws = np.ascontiguousarray(search.draws, np.uint32)
        room = 1 << 12
        while True:
            lows = np.zeros(room, np.uint32)
            found = int(self._library.low_parts(pointer(record), pointer(draws), pointer(lows), ctypes.c_uint64(room)))
            if found <= room:
                break
            room = found
        maps, picked = np.zeros(k, _AFFINE), np.zeros(k, np.uint32)
        seeds: list[int] = []
        out = np.zeros(1 << 12, _FOUND)
        for low in lows[:found]:
            while True:
                n = int(
                    self._library.complete(
                        *(pointer(record), pointer(draws), ctypes.c_uint64(int(low)), pointer(out)),
                        *(ctypes.c_uint64(len(out)), pointer(maps), pointer(picked)),
                    )
                )
                if n <= len(out):
                    break
                out = np.zeros(n, _FOUND)
            # Seeds that agree in the bits of the state are one state, and each of them is a survivor.
            for seed in set(out["seed"][:n].tolist()):
                period = 1 << algebra.bits
                seeds += range(seed + -(-max(start - seed, 0) // period) * period, stop, period)
        return seeds
