"""What the tests of kernels share: devices by kind, the stored vectors, and the sieve's meaning as plain loops."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from prng_mpi import devices
from prng_mpi.devices.base import Device
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.recipes import Recipe, recipe, recipes
from prng_mpi.records import HIT
from prng_mpi.search import Search

VECTORS = {
    path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "vectors").glob("*.json"))
}
# The whole low half of a word, the largest prime below it, and what people use.
MODULI = (2**32, 4294967291, 1000)


def gpu_kind() -> str | None:
    """cuda or rocm where this host has such a GPU and cupy; no GPU library is loaded to find out."""
    kind, _ = devices.choose("auto")
    return kind if kind in ("cuda", "rocm") and importlib.util.find_spec("cupy") else None


_opened: dict[tuple[str, str], Device] = {}


def opened(kind: str, which: Recipe) -> Device:
    """A device of that kind with the program of a recipe, opened once."""
    key = (kind, which.name)
    if key not in _opened:
        if kind in ("cuda", "rocm"):
            from prng_mpi.devices.gpu import GpuDevice

            _opened[key] = GpuDevice(which, kind, 0)
        else:
            _opened[key] = CpuDevice(which, kind)
    return _opened[key]


def recipe_of(name: str) -> Recipe:
    """The recipe whose outputs, at some modulus, are those of a vectors file."""
    if name == "mt19937_by_array":
        # A seeding which only recipes that reject or scale use; here its words are seen as they are.
        return dataclasses.replace(recipe("python.randrange"), name=name, mapping="mod", known=())
    return recipe(name if name in recipes() else f"{name}.mod")


def search_of(
    which: Recipe, modulus: int, given: dict[str, int] | None = None, draws: Any = (0,), **rest: Any
) -> Search:
    """A search with little in it, for its mapping and parameters."""
    rest = {"need": len(draws), "window_start": 0, **rest}
    return Search(which, modulus, np.array(draws, np.uint32), given=given or {}, **rest)


def u64(values: Any) -> npt.NDArray[np.uint64]:
    return np.array(values, np.uint64)


@contextlib.contextmanager
def strategy(stride: bool | None) -> Iterator[None]:
    """Let every search jump along (True, where its recipe can) or make its outputs once (False); None: as it chooses."""
    if stride is None:
        yield
        return
    with mock.patch.object(Search, "stride", property(lambda self: stride and self.jumps)):
        yield


def expected_hits(search: Search, start: int, stop: int) -> npt.NDArray[np.void]:
    """What a sieve over [start, stop) must find, by the definition, HIT (n,): output o + s + i (s + 1) is draw i, the
    best hypothesis has most matches, then the smallest skip, then offset. Outputs are those of the plain build."""
    draws, k = [int(d) for d in search.draws], len(search.draws)
    last = search.offsets[1] + search.skips[1] + (k - 1) * (search.skips[1] + 1)
    device, hits = opened("reference", search.recipe), []
    for at in range(start, stop, 4096):
        seeds = [*range(at, min(at + 4096, stop))]
        rows = device.outputs(search, u64(seeds), 0, last + 1).tolist()
        for seed, row in zip(seeds, rows, strict=True):
            best = (0, 0, 0)
            for s in range(search.skips[0], search.skips[1] + 1):
                for o in range(search.offsets[0], search.offsets[1] + 1):
                    matches = sum(row[o + s + i * (s + 1)] == draws[i] for i in range(k))
                    if matches > best[0]:
                        best = (matches, s, o)
            if best[0] >= search.need:
                hits.append((seed, best[1], best[2], search.window_start, best[0]))
    return np.array(hits, HIT)


def patchwork(case: Case) -> list[int]:
    """Draws that seeds of the range really give: at least `need` by one seed under one hypothesis, the others by either of
    two seeds under either of two hypotheses, so that at any modulus some seed survives and some nearly do."""
    rng, which = np.random.Generator(np.random.PCG64(case.mix)), recipe(case.recipe)
    seeds = u64([case.start + int(n) for n in rng.integers(0, case.count, 2)])
    if case.planted is not None:
        seeds[0] = case.planted
    where = [[int(rng.integers(*bounds, endpoint=True)) for bounds in (case.skips, case.offsets)] for _ in range(2)]
    last = max(o + s + (case.k - 1) * (s + 1) for s, o in where)
    rows = opened("reference", which).outputs(search_of(which, case.modulus), seeds, 0, last + 1)
    true, draws = {int(i) for i in rng.permutation(case.k)[: case.need]}, []
    for i in range(case.k):
        seed, hypothesis = (0, 0) if i in true else rng.integers(0, 2, 2)
        s, o = where[hypothesis]
        draws.append(int(rows[seed][o + s + i * (s + 1)]))
    return draws


@dataclasses.dataclass(frozen=True)
class Case:
    """A sieve over [start, start + count) with draws by `patchwork`; slice_seeds: how many in one launch; planted:
    the seed that surely survives; square: whether a CPU may glance at squares."""

    recipe: str
    modulus: int
    k: int
    need: int
    skips: tuple[int, int] = (0, 0)
    offsets: tuple[int, int] = (0, 0)
    start: int = 0
    count: int = 300
    stride: bool | None = None
    slice_seeds: int = 4096
    mix: int = 1
    planted: int | None = None
    square: bool = True

    def search(self) -> Search:
        ranges: dict[str, Any] = {"skips": self.skips, "offsets": self.offsets}
        return search_of(
            recipe(self.recipe), self.modulus, draws=patchwork(self), need=self.need, window_start=7, **ranges
        )

    def hits(self, device: Device, search: Search) -> npt.NDArray[np.void]:
        """What a device finds."""
        work = self.slice_seeds * search.per_seed * self.k
        squares = contextlib.nullcontext() if self.square else mock.patch.object(Search, "square", None)
        # One that has not looked for its square yet: what it once found it keeps.
        search = dataclasses.replace(search)
        with strategy(self.stride), squares, mock.patch.multiple(device, first_slice=work, slice_seconds=0.0):
            hits = device.sieve(search, self.start, self.start + self.count)
        assert hits is not None
        return hits

    @functools.cached_property
    def expected(self) -> tuple[Search, npt.NDArray[np.void]]:
        search = self.search()
        return search, expected_hits(search, self.start, self.start + self.count)


# Chosen so that each limb of the sieve is moved: with and without jumps, rejection that parts the lanes, ties, early
# ends, ranges that end between lanes, groups and slices, the last seed, and both sides of 2^32.
CASES = (
    Case("java.mod", 1000, 8, 5, (0, 4), (0, 3), stride=True),
    Case("java.mod", 1000, 8, 5, (2, 4), (5, 9), stride=False),
    Case("lcg.mod", 10, 6, 3, (0, 2), (0, 2), stride=True),
    Case("pcg32.mod", 3, 9, 7, (0, 1), (0, 3), stride=True, start=2**32 - 150),
    Case("pcg32.mod", 2, 1, 1, (0, 3), (0, 3), stride=False, start=2**64 - 300),
    Case("philox4x32.mod", 8, 5, 4, (3, 5), (1, 2), start=2**32 - 33),
    Case("minstd.mod", 1000, 8, 6, (0, 3), (2, 4)),
    Case("ansi_lcg.mod", 2**32, 4, 2, (0, 6), (0, 0), start=2**32 - 300),
    Case("mt19937.mod", 1000, 6, 3, (1, 3), (0, 3)),
    Case("mt19937.mod", 1000, 12, 12, (0, 0), (0, 0), count=1500),
    Case("mt19937.mod", 1000, 3, 3, count=1500),
    Case("mt19937.mod", 10, 5, 4, (60, 62), (220, 222), count=200),
    Case("mt19937.mod", 1000, 5, 4, (30, 31), (220, 222), count=700),
    Case("mt19937.mod", 1000, 3, 3, (0, 0), (250, 250), start=2**32 - 900, count=900, planted=2**32 - 700),
    Case("mt19937.mod", 7, 3, 3, (110, 111), (620, 624), count=40),
    Case("xorshift32.mod", 2, 3, 1, (0, 1), (0, 1), count=5000),
    Case("xorshift32.mod", 125, 6, 4, (0, 3), (0, 3), count=2000, slice_seeds=77),
    Case("xorshift32.mod", 1000, 6, 6, (3, 3), (2, 2), count=2000),
    Case("java.nextInt", 1000, 5, 4, (4, 4), (1, 1), count=1000),
    Case("xorshift64star.mod", 4294967291, 5, 3, (0, 3), (0, 3), start=2**32 - 100),
    Case("xoshiro256ss.mod", 24, 7, 4, (0, 2), (0, 2), count=700),
    Case("splitmix64.mod", 6, 1, 1, (0, 7), (0, 0), count=129),
    Case("sfc64.mod", 1000, 3, 3, (0, 0), (0, 0), count=1),
    Case("orig.java_lcg", 1000, 8, 4, (0, 15), (0, 0), count=400),
    Case("java.nextInt", 1000, 7, 4, (0, 3), (0, 3), start=2**48 - 300),
    Case("java.nextInt", 2**30 + 1, 6, 3, (0, 2), (0, 2)),
    Case("java.nextInt", 2**30, 6, 2, (0, 2), (0, 2)),
    Case("java.nextInt", 2**31 - 1, 6, 3, (0, 2), (1, 2), count=500),
    Case("java.nextDouble", 1000, 7, 4, (0, 3), (0, 3)),
    Case("java.nextDouble", 37, 7, 4, (0, 3), (1, 3), stride=False),
    Case("python.randrange", 1024, 6, 3, (0, 2), (0, 2), start=2**32 - 60, count=120),
    Case("python.randrange", 2**31 + 1, 6, 3, (0, 2), (0, 2), start=2**64 - 100, count=100),
    Case("python.random", 1000, 5, 3, (0, 2), (0, 2), start=2**32 - 20, count=60),
    Case("numpy.RandomState.randint", 2**31 + 1, 6, 3, (1, 2), (0, 2)),
    Case("numpy.RandomState.randint", 1000, 6, 3, (0, 2), (0, 2), start=2**32 - 130, count=130),
    Case("php71.mt_rand", 2**31 + 1, 6, 3, (0, 2), (0, 2)),
    Case("php71.mt_rand", 1000, 8, 7, (0, 2), (0, 2), count=1000),
    Case("php71.mt_rand", 8, 8, 5, (0, 2), (0, 2), count=260),
    Case("java17.nextIntRange", 1000, 8, 6, (0, 2), (0, 2), count=800),
    Case("java17.nextIntRange", 1024, 8, 6, (0, 2), (0, 2), start=2**48 - 300),
    Case("java.nextFloat", 1000, 8, 6, (0, 2), (0, 2), count=500),
    Case("php71.mt_rand_mod", 1000, 8, 6, (0, 2), (0, 2), start=2**32 - 900, count=900),
    Case("php52.mt_rand", 1000, 8, 6, (0, 2), (0, 2), count=500),
    Case("php52.mt_rand_mod", 6, 12, 10, (0, 2), (220, 232), count=400),
    # Offsets on both sides of a pool's end.
    Case("v8_12.random", 37, 8, 6, (0, 1), (55, 66), start=2**64 - 90, count=90),
    Case("v8_14.random", 1000, 5, 4, (0, 2), (0, 63), count=60),
    Case("jsc.random", 1000, 8, 6, (0, 3), (0, 3), start=2**32 - 300),
    Case("ruby.rand", 1000, 6, 4, (0, 2), (0, 2), count=200),
    Case("dotnet.Next", 1000, 8, 6, (0, 3), (50, 53), start=2**31 - 300),
    Case("mysql.RAND", 100, 8, 6, (0, 3), (0, 3), start=2**32 - 300),
    Case("msvc.rand", 1000, 8, 6, (0, 3), (0, 3), start=2**31 - 300),
    Case("delphi.Random", 1000, 8, 6, (0, 3), (0, 3), start=2**32 - 300, stride=False),
    Case("vba.Rnd", 10, 9, 7, (0, 3), (0, 3), start=2**24 - 300),
    Case("numpy.default_rng.integers", 1431655766, 6, 3, (0, 2), (0, 3), start=2**32 - 100),
    Case("numpy.Philox.integers", 1000, 6, 5, (1, 2), (0, 2), start=2**64 - 200, count=200),
    Case("numpy.SFC64.integers", 1024, 6, 5, (0, 2), (3, 4)),
    Case("numpy.Philox.random", 37, 7, 4, (0, 3), (1, 3)),
    Case("libstdcxx.mt19937.uniform_int", 1431655766, 5, 3, (0, 2), (0, 2), start=2**32 - 130, count=130),
    Case("libstdcxx.mt19937.uniform_real", 1000, 5, 3, (0, 2), (0, 2), count=150),
    Case("libstdcxx.mt19937_64.uniform_int", 1000, 5, 3, (0, 2), (150, 158), start=2**32 - 60, count=120),
    Case("libstdcxx.default_random_engine.uniform_int", 2**30 + 1, 6, 3, (0, 2), (0, 2)),
    Case("glibc.rand", 1000, 8, 5, (0, 3), (0, 40), count=1500),
    Case("glibc.rand_scaled", 4_194_319, 4, 3, (0, 2), (0, 2), start=2**32 - 150, count=150),
    Case("glibc.lrand48", 24, 8, 6, (0, 4), (0, 3), stride=True),
    Case("perl.rand", 10, 6, 5, (0, 2), (0, 2), start=2**32 - 300),
    Case("go.Intn", 2**30 + 1, 5, 3, (0, 2), (0, 2), start=2**31 - 150),
    Case("go.Intn", 1000, 6, 6, (1, 1), (0, 1), count=1000),
    Case("go.Intn", 8, 6, 5, (100, 101), (0, 2), count=100),
    Case("lua51.random", 1000, 5, 3, (0, 2), (0, 2)),
    Case("lua54.random", 2**31 + 1, 6, 3, (0, 2), (0, 2), start=2**64 - 300),
    Case("luajit.random", 1000, 5, 3, (0, 2), (0, 2)),
    # Squares: every bit of a quotient, both kinds of field, rows that are flagged one by one; and the same recipes without.
    Case("xorshift32.mod", 2**31 + 1, 4, 4, count=700),
    Case("ansi_lcg.mod", 2**30 + 1, 4, 4, (0, 2), (0, 1), start=2**31 - 300, count=900),
    Case("lcg.mod", 2**31 + 1, 5, 5, (1, 3), (2, 2), start=2**32 - 1000, count=1000),
    Case("java.mod", 2**31 + 1, 6, 5, (0, 2), start=2**33 - 400, count=1200),
    Case("java.nextInt", 24, 9, 6, (0, 3), (0, 2), start=2**40 + 77, count=1200),
    Case("orig.pcg32", 1000, 9, 7, (0, 3), start=1000, count=1500),
    Case("xorshift128.mod", 125, 7, 5, (0, 3), start=2**31 - 700, count=1500, slice_seeds=601),
    Case("java.mod", 1000, 8, 5, (0, 4), (0, 3), stride=True, square=False),
    Case("java.nextInt", 1000, 5, 4, (4, 4), (1, 1), count=1000, square=False),
    Case("lcg.mod", 10, 6, 3, (0, 2), (0, 2), stride=True, square=False),
    Case("xorshift32.mod", 125, 6, 4, (0, 3), (0, 3), count=2000, square=False),
    Case("xorshift32.mod", 1000, 6, 6, (3, 3), (2, 2), count=2000, square=False),
    # Seeds whose second word is rejected, at moduli where one of 25,000 is.
    Case("java.nextInt", 200_000, 5, 5, start=5370, count=320, planted=5625),
    Case("java.nextInt", 200_000, 5, 5, start=5370, count=320, planted=5625, square=False),
    Case("php71.mt_rand", 300_000, 5, 5, start=14_500, count=512, planted=14_561),
    Case("libstdcxx.mt19937.uniform_int", 300_000, 5, 5, start=20_300, count=512, planted=20_387),
    # Their third or fourth word is rejected, which is before the window; where that is rare, the draws are looked for one later.
    Case("php71.mt_rand", 100_000, 5, 5, offsets=(10, 10), start=7_300, count=512, planted=7_445),
    Case("php71.mt_rand", 1000, 5, 5, offsets=(10, 10), start=1_472_500, count=512, planted=1_472_677),
    # A seed whose brief seeding would go wrong at step 200.
    Case("php71.mt_rand", 1000, 5, 5, offsets=(10, 10), start=3_049_294_400, count=512, planted=3_049_294_475),
    # Teams of blocks that are seeded side by side, by keys of one word and of two, and what is left of a range after them.
    Case("python.randrange", 1000, 5, 4, (0, 1), (0, 1), start=2**32 - 340, count=340),
    Case("python.randrange", 1000, 5, 4, (0, 1), (0, 1), start=2**32 + 77, count=330),
    Case("python.random", 1000, 5, 4, (0, 1), (0, 1), start=2**33 - 400, count=400),
    Case("numpy.RandomState.randint", 1000, 6, 4, (0, 2), (0, 2), count=530, slice_seeds=353),
    Case("ruby.rand", 2, 4, 3, count=400),
    # Values that rise with their word: one hypothesis and several, short windows and long ones, first and last values.
    Case("php52.mt_rand", 1000, 5, 5, count=1500),
    Case("php52.mt_rand", 2**31, 3, 3, offsets=(4, 4), start=2**32 - 1500, count=1500),
    Case("php52.mt_rand", 6, 9, 8, (0, 2), (0, 60), count=700),
    Case("ruby.rand_float", 1000, 5, 5, (1, 1), (2, 2), count=1500),
    Case("ruby.rand_float", 37, 7, 6, (0, 3), (0, 50), count=700),
    Case("ruby.rand_float", 37, 7, 6, (0, 1), (110, 112), count=700),
    Case("numpy.RandomState.random_sample", 2**32, 3, 3, (0, 1), count=700),
    Case("libstdcxx.mt19937.uniform_real", 1000, 5, 5, offsets=(3, 3), count=1500),
    Case("libstdcxx.mt19937.uniform_real", 2, 12, 11, (0, 2), (0, 1), count=700),
    Case("java.nextFloat", 2**24, 4, 3, (0, 2), (0, 2), count=1500),
    Case("java.nextDouble", 1000, 5, 5, count=1500),
    Case("v8_14.random", 1000, 5, 5, offsets=(70, 70), count=1500),
    Case("jsc.random", 10, 7, 6, (0, 3), (0, 3), count=1500),
    Case("dotnet.Next", 2**31 - 1, 4, 4, count=1500),
    Case("mysql.RAND", 1000, 5, 5, (0, 1), count=1500),
    Case("delphi.Random", 1000, 5, 5, count=1500),
    Case("delphi.Random", 10, 7, 6, (0, 2), (0, 2), stride=True, count=1500),
    Case("vba.Rnd", 100, 5, 5, count=1500),
    Case("glibc.rand_scaled", 1000, 5, 5, (0, 1), count=1500),
    Case("perl.rand", 1000, 5, 5, count=1500),
    Case("luajit.random", 1000, 5, 5, (0, 1), count=1500),
    Case("lua51.random", 1000, 5, 5, (0, 1), count=1500),
    Case("numpy.Philox.random", 1000, 5, 5, count=1500),
)


# ----------------------------------------------------------------------------------- mappings at the bounds of rejection

# (mapping, moduli): primes and powers of two beside each other, and the ends of what the called function takes.
MAPPED = {
    "mod": (2, 3, 1000, 2**31, 2**32 - 5, 2**32 - 1, 2**32),
    "java": (2, 3, 6, 1000, 1024, 2**30, 2**30 + 1, 2**31 - 1),
    "top_bits": (2, 3, 6, 1000, 1024, 2**31, 2**31 + 1, 2**32 - 1),
    "masked": (2, 3, 6, 1000, 1024, 2**31, 2**31 + 1, 2**32 - 1, 2**32),
    "php": (2, 3, 6, 1000, 1024, 2**31, 2**31 + 1, 2**32 - 1, 2**32),
    "java_range": (2, 3, 6, 1000, 1024, 2**30, 2**30 + 1, 2**31 - 1),
    "mod31": (2, 3, 6, 1000, 1024, 2**30 + 1, 2**31 - 1, 2**31),
    "php52": (2, 3, 37, 1000, 1024, 2**30 + 1, 2**31 - 1, 2**31),
    "single24": (2, 3, 37, 1000, 1024, 2**20 + 3, 2**24 - 1, 2**24),
    "vba": (2, 3, 37, 1000, 1024, 2**15 - 1),
    "unit52": (2, 3, 37, 1000, 1024, 2**31 + 1, 2**32 - 1, 2**32),
    "unit53": (2, 3, 37, 1000, 1024, 2**31 + 1, 2**32 - 1, 2**32),
    "dotnet": (2, 3, 37, 1000, 1024, 2**30 + 1, 2**31 - 1),
    "mysql": (2, 3, 37, 1000, 1024, 2**30 - 1, 2**30 + 1, 2**31 - 1),
    "multiply": (2, 3, 37, 1000, 1024, 2**31 + 1, 2**32 - 1, 2**32),
    "unit_27_26": (2, 3, 37, 1000, 2**31 + 1, 2**32),
    "unit_26_27": (2, 3, 37, 1000, 2**31 - 1),
    "lemire": (2, 3, 6, 1000, 1024, 1431655766, 2**31, 2**31 + 1, 2**32 - 1, 2**32),
    "lemire64": (2, 3, 6, 1000, 1024, 1431655766, 2**31, 2**31 + 1, 2**32 - 1, 2**32),
    "divided": (2, 3, 6, 1000, 1024, 2**30, 2**30 + 1, 2**31 - 2),
    "go": (2, 3, 6, 1000, 1024, 2**30, 2**30 + 1, 2**31 - 1),
    "canonical": (2, 3, 37, 1000, 2**31 - 1, 2**31),
    "top53": (2, 3, 37, 1000, 2**31 + 1, 2**32),
    "scaled31": (2, 3, 37, 1000, 4_194_319, 2**31 - 1, 2**31),
    "scaled48": (2, 3, 37, 1000, 4_194_319, 2**31 + 1, 2**32),
    "scaled52": (2, 3, 37, 1000, 4_194_319, 2**31 + 1, 2**32),
    "rand_max": (2, 3, 37, 1000, 4_194_319, 2**31 - 1),
}
_WORD = 2**32 - 1
# Mappings of 64-bit words of which so many bits are used, and of words below 2^31 - 1.
NARROW = {
    **{"vba": 24, "unit52": 53, "unit53": 53, "multiply": 32, "scaled48": 48, "scaled52": 52},
    **{"top53": 64, "lemire64": 64, "go": 64},
}
BELOW_PRIME = ("dotnet", "mysql")
_PRIME = 2**31 - 1
# Mappings of words of 32 bits that mean those below some number only.
_BELOW = {"scaled31": 2**31, "rand_max": 2 * _PRIME}


def mapping_recipe(mapping: str, low_first: bool = False) -> Recipe:
    """A mapping after xorshift32, whose first word can be anything but 0: its step is undone by `seed_of`. One of other
    words comes after x -> 5 x + 1 or after minstd."""
    name = f"mapping.{mapping}{'.low' * low_first}"
    if mapping in NARROW:
        fixed = {"a": 5, "c": 1, "bits": NARROW[mapping], "shift": 0}
        return dataclasses.replace(recipe("lcg.mod"), name=name, mapping=mapping, fixed=fixed)
    if mapping in BELOW_PRIME:
        return dataclasses.replace(recipe("minstd.mod"), name=name, mapping=mapping, known=())
    return dataclasses.replace(recipe("xorshift32.mod"), name=name, mapping=mapping, low_first=low_first)


def _step(x: int, mapping: str) -> int:
    if mapping in NARROW:
        return (5 * x + 1) % 2 ** NARROW[mapping]
    if mapping in BELOW_PRIME:
        return x * 48271 % _PRIME
    x ^= x << 13 & _WORD
    x ^= x >> 17
    return x ^ (x << 5 & _WORD)


def seed_of(word: int, mapping: str = "mod") -> int:
    """The seed whose first word, where a `mapping_recipe` has this mapping, this is."""
    x = word
    if mapping in NARROW:
        size = 2 ** NARROW[mapping]
        x = (word - 1) * pow(5, -1, size) % size
    elif mapping in BELOW_PRIME:
        x = word * pow(48271, -1, _PRIME) % _PRIME
    else:
        for _ in range(7):
            x = word ^ (x << 5 & _WORD)
        x ^= x >> 17
        x = x ^ (x << 13 & _WORD) ^ (x << 26 & _WORD)
    assert _step(x, mapping) == word
    return x


def _java(m: int, w: int) -> int | None:
    # JDK 17, Random.nextInt: while (u - r + (M - 1) < 0), in 32-bit arithmetic.
    u = w >> 1
    if m & (m - 1) == 0:
        return m * u >> 31
    return None if u - u % m + m - 1 >= 2**31 else u % m


def _top_bits(m: int, w: int) -> int | None:
    # CPython 3.11, random._randbelow_with_getrandbits
    value = w >> 32 - m.bit_length()
    return None if value >= m else value


def _masked(m: int, w: int) -> int | None:
    # NumPy's masked rejection: the smallest 2^bits - 1 that covers M - 1.
    mask = next(2**bits - 1 for bits in range(33) if 2**bits - 1 >= m - 1)
    return None if w & mask > m - 1 else w & mask


def _php(m: int, w: int) -> int | None:
    # php_mt_rand_range32: a power of two takes the low bits.
    rejected = m & (m - 1) != 0 and w > _WORD - _WORD % m - 1
    return None if rejected else w % m


def _single(m: int, w: int) -> int:
    # Both factors are exact in 24 bits, and so is their product in a double: it is rounded once, to a single.
    return int(struct.unpack("f", struct.pack("f", w / 2**24 * m))[0])


def _lemire(m: int, w: int, bits: int = 32) -> int | None:
    # NumPy's and libstdc++'s: threshold = -range % range, in arithmetic of that many bits.
    product = w * m
    return None if product % 2**bits < -m % 2**bits % m else product >> bits


def _divided(m: int, w: int) -> int | None:
    # libstdc++'s downscaling, of words 0 .. 2^32 - 1.
    scaling = _WORD // m
    return None if w >= scaling * m else w // scaling


def _go(m: int, w: int) -> int | None:
    # math/rand: Int63 is the word without its top bit, Int31 the upper half of that.
    v = (w & 2**63 - 1) >> 32
    if m & (m - 1) == 0:
        return v & m - 1
    return None if v > 2**31 - 1 - 2**31 % m else v % m


def _canonical(m: int, high: int, low: int) -> int:
    # generate_canonical sums doubles, the low word first; nextafter(1, 0) stands for 1.
    real = (low + high * 4294967296.0) / 18446744073709551616.0
    return int(min(real, 1 - 2.0**-53) * m)


# What each language's own text makes of a raw word, or of two; None: it takes the next.
VALUES: dict[str, Callable[..., int | None]] = {
    "mod": lambda m, w: w % m,
    "java": _java,
    "top_bits": _top_bits,
    "masked": _masked,
    "php": _php,
    "java_range": lambda m, w: w % m if m & (m - 1) == 0 else _java(m, w),
    "mod31": lambda m, w: (w >> 1) % m,
    "php52": lambda m, w: int((m - 1 + 1.0) * ((w >> 1) / (2147483647 + 1.0))),
    "single24": lambda m, w: _single(m, w >> 8),
    "vba": _single,
    "unit52": lambda m, w: int(((w >> 1) / 2**52) * m),
    "unit53": lambda m, w: int((w / 2**53) * m),
    "dotnet": lambda m, w: int((w * (1.0 / 2147483647)) * m),
    "mysql": lambda m, w: int((w / 1073741823.0) * m),
    "multiply": lambda m, w: w * m // 2**32,
    "unit_27_26": lambda m, a, b: int(((a >> 5) * 67108864.0 + (b >> 6)) * (1.0 / 9007199254740992.0) * m),
    "unit_26_27": lambda m, a, b: int((((a >> 6) << 27) + (b >> 5)) * 2.0**-53 * m),
    "lemire": _lemire,
    "lemire64": lambda m, w: _lemire(m, w, 64),
    "divided": _divided,
    "go": _go,
    "canonical": _canonical,
    "top53": lambda m, w: int((w >> 11) * (1.0 / 9007199254740992.0) * m),
    "scaled31": lambda m, w: int(w / (2147483647 + 1.0) * m),
    "scaled48": lambda m, w: int(math.ldexp(w, -48) * m),
    "scaled52": lambda m, w: int((1 + w * 2.0**-52 - 1.0) * m),
    "rand_max": lambda m, w: int(w % 2147483647 / 2147483647 * m),
}


def mapped(which: Recipe, modulus: int, seed: int, count: int) -> list[int]:
    """The first outputs of a `mapping_recipe`, by Python."""
    x, values = seed, list[int]()
    while len(values) < count:
        words = []
        for _ in range(which.map.words):
            x = _step(x, which.mapping)
            words.append(x)
        # The words as the mapping sees them: the high one first.
        value = VALUES[which.mapping](modulus, *(words[::-1] if which.low_first else words))
        values += [] if value is None else [value]
    return values


def mapping_seeds(mapping: str, m: int) -> list[int]:
    """Seeds whose first word lies at the bounds where a mapping begins to reject, at the ends, and in between."""
    limits = [
        2**32 - 2**32 % m,
        2 * (2**31 - 2**31 % m),
        *((n << 32 - (m - 1).bit_length()) & _WORD for n in (m - 1, m)),
    ]
    near = {limit + step for limit in limits for step in (-2, -1, 0, 1, 2)}
    low = {n for base in (0, 2**20, 2**31) for n in range(base + m - 2, base + m + 3)} if m < 2**31 else set()
    words = near | low | {1, 2, m - 1, m, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 0x9E3779B9, 0x12345678}
    end = _PRIME if mapping in BELOW_PRIME else _BELOW.get(mapping, 2 ** NARROW.get(mapping, 32))
    # Go divides the high half.
    words |= {word << 32 | 7 for word in near} if mapping == "go" else set()
    # Where a word's share of the whole gives the value, the words at which the next one begins.
    words |= {value * end // m + step for value in (1, m // 2, m - 1) for step in (-1, 0, 1, 2)} | {end - 1}
    # Where two roundings differ from one.
    words |= set(range(1, end, end // 2000)) if mapping in (*BELOW_PRIME, "rand_max") else set()
    return [seed_of(word, mapping) for word in sorted(words) if 0 < word < end]


def wrong_mappings(device: Device, moduli: tuple[int, ...]) -> list[str]:
    """Where a device with a `mapping_recipe` differs from Python."""
    which, wrong = device.recipe, []
    for m in moduli:
        seeds = mapping_seeds(which.mapping, m)
        rows = device.outputs(search_of(which, m), u64(seeds), 0, 3)
        for seed, row in zip(seeds, rows.tolist(), strict=True):
            if row != (right := mapped(which, m, seed, 3)):
                wrong.append(
                    f"{which.name}, modulus {m}, first word {_step(seed, which.mapping)}: {row} instead of {right}"
                )
    return wrong
