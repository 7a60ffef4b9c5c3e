"""Hypotheses a second on one core: every family at three thresholds, beside a naive loop timed in the same run.

python benchmarks/families.py [--quick] [--only NAME ...] [--json FILE]"""

from __future__ import annotations

import argparse
import ctypes
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import common

from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.recipes import Recipe, recipe, recipes
from prng_mpi.search import Search
from prng_mpi.statistics import need_for

MODULUS = 1000
THRESHOLDS = (1.0, 0.5, 0.05)
# Draws of the window, largest skip.
SHAPES = ((30, 0), (100, 16))
START = 10**9
CHECKED = 1024
LANGUAGES = (
    "java.nextInt",
    "python.randrange",
    "numpy.RandomState.randint",
    "php71.mt_rand",
    "orig.lcg32",
    "orig.java_lcg",
)
QUICK = ("xorshift32.mod", "java.nextInt", "mt19937.mod")


@dataclass(frozen=True)
class Loop:
    """A function of loop.c with its parameters; `same_as`: the recipe that gives the same outputs."""

    function: str
    label: str
    same_as: str
    params: tuple[int, int, int] = (0, 0, 0)


LOOPS = {
    "xorshift32": Loop("xorshift32", "xorshift32", "xorshift32.mod"),
    "lcg": Loop("lcg32", "LCG 2^32", "lcg.mod", (1664525, 1013904223, 0)),
    "orig.lcg32": Loop("lcg32", "LCG 2^31-1", "orig.lcg32", (1103515245, 12345, 2**31 - 1)),
    "java": Loop("java", "java", "orig.java_lcg", (0x5DEECE66D, 11, 0)),
    "pcg32": Loop("pcg32", "pcg32", "orig.pcg32", (0, 1442695040888963407, 0)),
    "mt19937": Loop("mt19937", "mt19937", "mt19937.mod"),
}
# Families without a loop of their own; the others are held against the cheapest loop, xorshift32.
RELATED = {"minstd": "orig.lcg32", "minstd0": "orig.lcg32", "ansi_lcg": "lcg"}


@dataclass(frozen=True)
class Figure:
    """One cell: medians over the rounds. Rates per second of CPU time; ratio: seeds/s over those of the loop."""

    recipe: str
    loop: str
    draws: int
    skip_max: int
    threshold: float
    need: int
    seeds_per_second: float
    hypotheses_per_second: float
    loop_seeds_per_second: float
    ratio: float
    ratio_low: float
    ratio_high: float


def loop_library() -> ctypes.CDLL:
    """loop.c, compiled as the anchor was."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "loop.so"
        source = common.HERE / "loop.c"
        subprocess.run(["cc", "-O3", "-march=native", "-shared", "-fPIC", "-o", target, source], check=True)
        return ctypes.CDLL(str(target))


def run_loop(library: ctypes.CDLL, loop: Loop, search: Search, start: int, count: int) -> list[tuple[int, int]]:
    """(seed, skip) of the loop's survivors among `count` seeds."""
    params = (ctypes.c_uint64 * 3)(*loop.params)
    seeds, skips = np.zeros(count, np.uint64), np.zeros(count, np.uint32)
    k = len(search.draws)
    found = getattr(library, loop.function)(
        ctypes.c_uint64(start), ctypes.c_uint32(count), ctypes.c_void_p(search.draws.ctypes.data), ctypes.c_uint32(k),
        ctypes.c_uint32(search.skips[0]), ctypes.c_uint32(search.skips[1]),
        ctypes.c_float(float(np.float32(search.need) / np.float32(k))), params,
        ctypes.c_void_p(seeds.ctypes.data), ctypes.c_void_p(skips.ctypes.data),
    )  # fmt: skip
    return [(int(a), int(b)) for a, b in zip(seeds[:found], skips[:found], strict=True)]


def planted(what: Recipe, threshold: float, k: int, skip_max: int) -> tuple[Search, int]:
    """A search whose window one seed in the middle of the checked ones matches on exactly `need` draws, at the middle
    skip; its other draws are uniform, so all other seeds meet nothing but chance."""
    need, seed, skip = need_for(threshold, k), START + CHECKED // 2, skip_max // 2
    rng = np.random.default_rng(k)
    blank = Search(what, MODULUS, np.zeros(k, np.uint32), 0, k)
    reference = CpuDevice(what, "reference")
    outputs = reference.outputs(blank, np.array([seed], np.uint64), skip, (k - 1) * (skip + 1) + 1)[0, :: skip + 1]
    window = outputs.copy()
    spoilt = rng.permutation(k)[: k - need]
    window[spoilt] = (window[spoilt] + rng.integers(1, MODULUS, len(spoilt))) % MODULUS
    return Search(what, MODULUS, np.ascontiguousarray(window, np.uint32), 0, need, (0, skip_max)), seed


def check(device: CpuDevice, search: Search, seed: int, library: ctypes.CDLL) -> None:
    """The lanes must find what the reference build finds, the planted seed among it, and so must the naive loop of the
    same generator. Raises SystemExit if not: a wrong sieve has no speed."""
    stop = START + CHECKED
    expected = CpuDevice(search.recipe, "reference").sieve(search, START, stop)
    got = device.sieve(search, START, stop)
    label = f"{search.recipe.name}, {len(search.draws)} draws, need {search.need}"
    assert got is not None
    assert expected is not None
    if not np.array_equal(got, expected):
        raise SystemExit(f"{label}: the lanes find {got}, the reference build {expected}")
    row = got[got["seed"] == seed]
    if len(row) != 1 or row["matches"][0] < search.need:
        raise SystemExit(f"{label}: the planted seed {seed} is not among {got}")
    for loop in LOOPS.values():
        if loop.same_as == search.recipe.name:
            naive = run_loop(library, loop, search, START, CHECKED)
            if naive != [(int(h["seed"]), int(h["skip"])) for h in got]:
                raise SystemExit(f"{label}: the naive loop finds {naive}, the lanes {got}")


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def sized(work: Callable[[int], object], target: float, most: int) -> int:
    """How many seeds take about `target` seconds."""
    count = 64
    while count < most:
        took = seconds(lambda: work(count))  # noqa: B023
        if took > target / 4:
            return max(64, min(most, int(count * target / took)))
        count *= 4
    return most


def measure(what: Recipe, library: ctypes.CDLL, rounds: int, target: float) -> list[Figure]:
    """All shapes and thresholds of one recipe; each round times the loop, then every threshold."""
    device = CpuDevice(what)
    figures = []
    own = LOOPS[RELATED.get(what.family, what.family if what.family in LOOPS else "xorshift32")]
    for k, skip_max in SHAPES:
        searches = []
        for threshold in THRESHOLDS:
            search, seed = planted(what, threshold, k, skip_max)
            check(device, search, seed, library)
            searches.append(search)
        most = what.seed_limit(searches[0].params) - START

        def sieve(search: Search, count: int) -> object:
            return device.sieve(search, START, START + count)

        def naive(count: int, search: Search = searches[0]) -> object:
            return run_loop(library, own, search, START, count)

        counts = [sized(functools.partial(sieve, s), target, most) for s in searches]
        loop_count = sized(naive, target, 2**24)
        loop_rates: list[float] = []
        rates: list[list[float]] = [[] for _ in searches]
        for _ in range(rounds):
            loop_rates.append(loop_count / seconds(lambda: naive(loop_count)))  # noqa: B023
            for search, count, mine in zip(searches, counts, rates, strict=True):
                mine.append(count / seconds(lambda: sieve(search, count)))  # noqa: B023
        for threshold, search, mine in zip(THRESHOLDS, searches, rates, strict=True):
            ratios = [rate / loop for rate, loop in zip(mine, loop_rates, strict=True)]
            rate = statistics.median(mine)
            figures.append(
                Figure(
                    what.name, own.label, k, skip_max, threshold, search.need, rate, rate * search.per_seed,
                    statistics.median(loop_rates), statistics.median(ratios), min(ratios), max(ratios),
                )
            )  # fmt: skip
    return figures


def short(value: float) -> str:
    """Three digits: 0.0123, 1.23, 12.3, 1,230."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def report(figures: list[Figure]) -> str:
    """A table for each shape: million hypotheses a second, and how often that is the naive loop."""
    parts = []
    for k, skip_max in SHAPES:
        header = ["recipe", *(f"threshold {t:g}" for t in THRESHOLDS), "loop", "loop's rate"]
        rows = []
        for name in dict.fromkeys(f.recipe for f in figures):
            mine = [f for f in figures if (f.recipe, f.draws, f.skip_max) == (name, k, skip_max)]
            cells = [f"{short(f.hypotheses_per_second / 1e6)} (x {short(f.ratio)})" for f in mine]
            rows.append([name, *cells, mine[0].loop, short(mine[0].loop_seeds_per_second * (skip_max + 1) / 1e6)])
        title = f"{k} draws, skip 0" if not skip_max else f"{k} draws, skips 0 to {skip_max}"
        parts.append(f"**{title}**, 10^6 hypotheses/s on one core (times the loop's)\n\n{common.table(header, rows)}")
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}, three rounds")
    parser.add_argument("--only", nargs="+", metavar="RECIPE", help="these recipes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there, too")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about = common.machine()
    print(about, "\n")
    everything = (*(name for name in recipes() if name.endswith(".mod")), *LANGUAGES)
    names = arguments.only or (QUICK if arguments.quick else everything)
    library, figures = loop_library(), []
    for name in names:
        figures += measure(recipe(name), library, 3 if arguments.quick else 5, 0.1)
        print(f"{name} done", file=sys.stderr)
    print(report(figures))
    common.write_json(arguments.json, about, [asdict(f) for f in figures])


if __name__ == "__main__":
    main()
