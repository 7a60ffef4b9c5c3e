"""Invert on the host's CPU: the states that show a draw, led back to their seeds and counted. See kernels/invert.h."""

from __future__ import annotations

import ctypes
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prng_mpi import kernels
from prng_mpi.devices.base import NOT_PLAIN, Device, Forecast, Hits, Outputs
from prng_mpi.devices.cpu import CpuDevice, build, pointer, processor
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import Recipe
from prng_mpi.records import HIT
from prng_mpi.search import Search

_FOUND = np.dtype([("seed", "<u8"), ("matches", "<u4"), ("pad", "<u4")])
_MODULAR = np.dtype(
    [(name, "<u8") for name in ("states", "modulus", "draws", "need", "scan", "least", "part")]
    + [(name, "<u8") for name in ("first_a", "first_c", "stride_a", "stride_c", "first_back", "stride_back")]
)
_LINEAR = np.dtype(
    [(name, "<u8") for name in ("modulus", "draws", "need", "scan", "least")]
    + [(name, "<u8") for name in ("part", "part_bits", "bucket_bits", "capacity")]
    + [(name, "<u4", (32,)) for name in ("first", "stride", "first_back", "stride_back")]
)

# Seconds on one core, as measured. Of the affine method: a hit, a seed (its count cleared and looked at), a draw put on
# its way. Of the linear one: a hit looked at, for each part; a hit of the part sorted and counted. Of both: a draw of a
# candidate, a survivor held against the plain build.
AFFINE_HIT, AFFINE_SEED, AFFINE_PLACE = 1e-9, 2e-11, 2e-6
LINEAR_LOOK, LINEAR_HIT, LINEAR_SEED = 1.6e-10, 3e-9, 2e-11
DRAW, SURVIVOR = 6e-9, 1.5e-5

# Seeds between two looks at `stopped`; what invert_modular takes at most.
BLOCK = 2**29
# Hits kept at once by the linear method; seeds of a part and of a bucket, as powers of two.
ROOM = 60 << 20
PART_BITS, BUCKET_BITS = 30, 19
MAX_LEAST = 15

Seeds = npt.NDArray[np.uint64]
Columns = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """Draws to enumerate, hits among them that make a candidate, candidates expected by chance of one seed."""

    scan: int
    least: int
    candidates: float


def plan(search: Search) -> Plan:
    """A survivor misses at most B = k - need draws, so it has at least `least` hits among any B + `least`. Each draw more
    costs its hits and leaves fewer candidates."""
    k, chance = len(search.draws), 1 / search.modulus
    misses = k - search.need

    def cost(p: Plan) -> float:
        return p.scan * chance * AFFINE_HIT + p.candidates * (misses + 2) * DRAW

    plans = [Plan(misses + n, n, _tail(misses + n, chance, n)) for n in range(1, min(search.need, MAX_LEAST) + 1)]
    return min(plans, key=cost)


def _tail(n: int, p: float, least: int) -> float:
    """P(a binomial of n, p is at least `least`), as a Poisson number."""
    mean, term, below = n * p, math.exp(-n * p), 0.0
    for i in range(least):
        below += term
        term *= mean / (i + 1)
    # Where the difference is lost to rounding, the first term is the tail.
    return max(1 - below, term)


def forecast(search: Search, seeds: int) -> Forecast:
    """What inverting a search over so many seeds would cost."""
    if search.form:
        return Forecast(NOT_PLAIN)
    recipe, m = search.recipe, search.modulus
    family = kernels.family(recipe.family)
    algebra = family.modular(search.params, recipe.seeding)
    if recipe.mapping != "mod" or recipe.map.words != 1:
        return Forecast("draws are not the words modulo M")
    p = plan(search)
    survivors = search.per_seed * seeds * _tail(len(search.draws), 1 / m, search.need)
    checks = (
        search.per_seed * seeds * p.candidates * DRAW * (len(search.draws) - search.need + 2) + survivors * SURVIVOR
    )
    if algebra is not None:
        n = algebra.modulus
        if n > 2**32 or math.gcd(algebra.a, n) != 1:
            return Forecast("the state has more than 32 bits, or two states lead to one")
        states = min(seeds, n)
        work = states * (p.scan / m * AFFINE_HIT + AFFINE_SEED) + (1 + states // BLOCK) * p.scan * AFFINE_PLACE
        return Forecast("", search.per_seed * work + checks, memory=_modular_memory(m, p))
    if family.linear is None or family.linear.bits != 32 or family.word_bits != 32 or recipe.seeding != "seed":
        return Forecast("the state is not known to be the word, or not to step by an affine or linear map")
    bits = _part_bits(m, p, seeds)
    hits, parts = p.scan * 2**32 / m, -(-seeds >> bits)
    work = hits * parts * LINEAR_LOOK + hits * parts * 2.0 ** (bits - 32) * LINEAR_HIT + (parts << bits) * LINEAR_SEED
    return Forecast("", search.per_seed * work + checks, memory=_linear_memory(bits, _capacity(m, p, bits)))


def _modular_part(modulus: int) -> int:
    """Seeds counted at once: in the first cache, or in the second where a draw has few hits."""
    return 1 << min(max(15, (24 * modulus).bit_length()), 19)


def _modular_memory(modulus: int, p: Plan) -> int:
    return 64 + 512 * ((p.scan + 15) // 16) + _modular_part(modulus) + 256


def _bucket_bits(bits: int) -> int:
    return min(bits, BUCKET_BITS)


def _capacity(modulus: int, p: Plan, bits: int) -> int:
    """Room for the hits of a bucket: more than chance gives, but never more than there can be."""
    seeds = 2 ** _bucket_bits(bits)
    mean = seeds * p.scan / modulus
    return -(-int(min(mean + 6 * math.sqrt(mean) + 256, seeds * p.scan)) // 16) * 16 + 16


def _part_bits(modulus: int, p: Plan, seeds: int) -> int:
    """Parts as large as their hits' room allows, or as the search is."""
    bits = min(PART_BITS, max((seeds - 1).bit_length(), 16))
    while bits > 16 and _capacity(modulus, p, bits) << (bits - _bucket_bits(bits)) > ROOM:
        bits -= 1
    return bits


def _linear_memory(bits: int, capacity: int) -> int:
    buckets = 1 << (bits - _bucket_bits(bits))
    return 64 + (68 + 4 * capacity) * buckets + (1 << _bucket_bits(bits)) + 4 * (2**16 + 32)


class InvertDevice(Device):
    """Finds what CpuDevice finds over any range of seeds, by the hits of the draws."""

    kind = "cpu"

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        text = (kernels.folder() / "invert.h").read_text()
        self._library = ctypes.CDLL(str(build(text, "cpu")))
        self._library.invert_modular.restype = ctypes.c_uint64
        self._library.invert_linear.restype = ctypes.c_uint64
        self._plain = CpuDevice(recipe, "reference")
        self._memory = np.zeros(0, np.uint8)
        self._found = np.zeros(1 << 12, _FOUND)
        self.name = f"{processor()}, invert"

    def fits(self, search: Search) -> bool:
        """Whether a search can be inverted."""
        return not forecast(search, 1).why_not

    def _outputs(self, search: Search, seeds: Seeds, first: int, count: int) -> Outputs:
        return self._plain.outputs(search, seeds, first, count)

    def _sieve(self, search: Search, start: int, count: int, capacity: int) -> tuple[int, Hits]:
        raise DeviceError("an inverted search is not sliced")

    def sieve(self, search: Search, start: int, stop: int, stopped: Callable[[], bool] = lambda: False) -> Hits | None:
        """As Device.sieve. Each (skip, offset) by itself; the plain build says what a candidate is."""
        why_not = forecast(search, max(stop - start, 1)).why_not
        if why_not:
            raise DeviceError(f"this search can't be inverted: {why_not}")
        parts = [np.zeros(0, HIT)]
        for s in range(search.skips[0], search.skips[1] + 1):
            for o in range(search.offsets[0], search.offsets[1] + 1):
                one = dataclasses.replace(search, skips=(s, s), offsets=(o, o))
                for seeds in self._candidates(one, start, stop):
                    parts += [self._plain._sieve(one, int(seed), 1, 1)[1] for seed in np.unique(seeds)]
                    if stopped():
                        return None
        return _best(np.concatenate(parts))

    def _candidates(self, search: Search, start: int, stop: int) -> Iterator[Seeds]:
        """Seeds of [start, stop) that can survive, of a search with one skip and one offset, in any order."""
        if start >= stop:
            return
        algebra = kernels.family(self.recipe.family).modular(search.params, self.recipe.seeding)
        if algebra is None:
            yield from self._linear(search, start, stop)
            return
        n = algebra.modulus
        for low, high in _states(start, stop, n):
            states = self._modular(search, algebra, low, high)
            for home in range(start // n * n, stop, n):
                seeds = states + np.uint64(home)
                yield seeds[(seeds >= start) & (seeds < stop)]
        if algebra.zero is not None:
            # These are not led back to by their state.
            yield np.arange(-(-start // n) * n, stop, n, dtype=np.uint64)

    def _room(self, size: int) -> npt.NDArray[np.uint8]:
        if len(self._memory) < size:
            self._memory = np.zeros(0, np.uint8)
            self._memory = np.zeros(size, np.uint8)
        return self._memory

    def _all(self, call: Callable[[npt.NDArray[np.void]], int]) -> Seeds | None:
        """The seeds that `call` writes, asked once more with room for all of them; None if it says that it failed."""
        found = call(self._found)
        if found == 2**64 - 1:
            return None
        if found > len(self._found):
            self._found = np.zeros(found + found // 4, _FOUND)
            found = call(self._found)
        return self._found["seed"][:found].copy()

    def _modular(self, search: Search, algebra: kernels.Modular, low: int, high: int) -> Seeds:
        n, p, draws = algebra.modulus, plan(search), np.ascontiguousarray(search.draws, np.uint32)
        s, o = search.skips[0], search.offsets[0]
        first, stride = (
            kernels.affine_power(algebra.a, algebra.c, o + s + 1, algebra.modulus),
            kernels.affine_power(algebra.a, algebra.c, s + 1, algebra.modulus),
        )
        record = np.zeros(1, _MODULAR)
        record["states"], record["modulus"], record["draws"], record["need"] = (
            n,
            search.modulus,
            len(draws),
            search.need,
        )
        record["scan"], record["least"], record["part"] = p.scan, p.least, _modular_part(search.modulus)
        record["first_a"], record["first_c"], record["first_back"] = *first, pow(first[0], -1, n)
        record["stride_a"], record["stride_c"], record["stride_back"] = *stride, pow(stride[0], -1, n)
        memory = self._room(_modular_memory(search.modulus, p))

        def call(found: npt.NDArray[np.void]) -> int:
            return int(
                self._library.invert_modular(
                    *(pointer(record), pointer(draws), ctypes.c_uint64(low), ctypes.c_uint64(high)),
                    *(pointer(found), ctypes.c_uint64(len(found)), pointer(memory)),
                )
            )

        states = self._all(call)
        assert states is not None
        return states

    def _linear(self, search: Search, start: int, stop: int) -> Iterator[Seeds]:
        p, draws, record = plan(search), np.ascontiguousarray(search.draws, np.uint32), self._maps(search)
        record["modulus"], record["draws"], record["need"] = search.modulus, len(draws), search.need
        record["scan"], record["least"] = p.scan, p.least
        bits = _part_bits(search.modulus, p, stop - start)
        capacity, at = _capacity(search.modulus, p, bits), start

        def call(found: npt.NDArray[np.void]) -> int:
            return int(
                self._library.invert_linear(
                    *(pointer(record), pointer(draws), pointer(found), ctypes.c_uint64(len(found))), pointer(memory)
                )
            )

        while at < stop:
            record["part"], record["part_bits"], record["bucket_bits"] = at >> bits, bits, _bucket_bits(bits)
            record["capacity"] = capacity
            memory = self._room(_linear_memory(bits, capacity))
            seeds = self._all(call)
            if seeds is None:
                # Hits that crowd into few buckets. Half as many buckets, each of twice the room; a last one holds all.
                if bits > BUCKET_BITS:
                    bits, capacity = bits - 1, 2 * capacity
                else:
                    capacity = (p.scan << bits) + 16
                continue
            yield seeds[(seeds >= start) & (seeds < stop)]
            at = (at >> bits) + 1 << bits

    def _maps(self, search: Search) -> npt.NDArray[np.void]:
        """The columns of _LINEAR, from the family's own words: the first two of each seed that is one bit."""
        plain = dataclasses.replace(search, modulus=2**32)
        words = self._plain.outputs(plain, np.uint64(1) << np.arange(32, dtype=np.uint64), 0, 2)
        to_first = tuple(words[:, 0].tolist())
        step = _after(tuple(words[:, 1].tolist()), _inverse(to_first))
        s, o = search.skips[0], search.offsets[0]
        first, stride = _after(_matrix_power(step, o + s), to_first), _matrix_power(step, s + 1)
        record = np.zeros(1, _LINEAR)
        record["first"], record["stride"] = first, stride
        record["first_back"], record["stride_back"] = _inverse(first), _inverse(stride)
        return record


def _best(hits: Hits) -> Hits:
    """Of each seed the hit with most matches; of those the one of the smallest skip, then offset. Sorted by seed."""
    order = np.lexsort((hits["offset"], hits["skip"], -hits["matches"].astype(np.int64), hits["seed"]))
    hits = hits[order]
    return hits[np.append(True, hits["seed"][1:] != hits["seed"][:-1])] if len(hits) else hits


def _states(start: int, stop: int, n: int) -> Iterator[tuple[int, int]]:
    """The states of seeds [start, stop), modulo n, as ranges of at most BLOCK."""
    low, length = (0, n) if stop - start >= n else (start % n, stop - start)
    for a, b in ((low, min(low + length, n)), (0, low + length - n)):
        for at in range(a, b, BLOCK):
            yield at, min(at + BLOCK, b)


# Matrices over GF(2), 32 x 32, as their columns: bit j of column i.


def _apply(columns: Sequence[int], x: int) -> int:
    y = 0
    for i, column in enumerate(columns):
        if x >> i & 1:
            y ^= column
    return y


def _after(second: Columns, first: Columns) -> Columns:
    return tuple(_apply(second, column) for column in first)


def _matrix_power(step: Columns, n: int) -> Columns:
    result: Columns = tuple(1 << i for i in range(len(step)))
    while n:
        if n & 1:
            result = _after(step, result)
        step, n = _after(step, step), n >> 1
    return result


def _inverse(columns: Columns) -> Columns:
    """Raises DeviceError for a map that is no bijection."""
    size = len(columns)
    # Each pair: a map's value, and what it is the value of; brought to single bits by elimination.
    pairs = [(column, 1 << i) for i, column in enumerate(columns)]
    for bit in range(size):
        at = next((i for i in range(bit, size) if pairs[i][0] >> bit & 1), None)
        if at is None:
            raise DeviceError("this generator's words are no bijection of its seeds, so it can't be inverted")
        pairs[bit], pairs[at] = pairs[at], pairs[bit]
        value, of = pairs[bit]
        pairs = [(v ^ value, x ^ of) if i != bit and v >> bit & 1 else (v, x) for i, (v, x) in enumerate(pairs)]
    return tuple(of for _, of in pairs)
