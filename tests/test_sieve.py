"""The sieve step on one rank: planted seeds are found and continued, and where nothing is planted chance is what comes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prng_mpi import config, findings, sieve
from prng_mpi.comm import Comm
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.recipes import Recipe, recipe, recipes
from prng_mpi.search import Search
from prng_mpi.sieve import SieveOptions
from prng_mpi.statistics import need_for, plan_evidence, poisson_interval
from support import TOP, survivors, uniform, write_draws

REAL_DRAWS = TOP / "examples" / "tx_pick3_morning.json"
WINDOW, HELDOUT = 20, 15
SEEDS = 20_000


def prepare(*argv: object) -> tuple[SieveOptions, sieve.Job]:
    loaded = config.load(SieveOptions, [str(word) for word in argv], environ={})
    return loaded.value, sieve.prepare(loaded)


def search(*argv: object) -> tuple[sieve.Job, dict[str, Any]]:
    """The whole step in this process: its job and its summary.json."""
    options, job = prepare(*argv)
    code = sieve.run(Comm(), options, job)
    summary = json.loads((job.folder / "summary.json").read_text())
    assert summary["exit_code"] == code
    return job, summary


# -- planted seeds ------------------------------------------------------------------------------------------------


def java_bits(seed: int) -> Callable[[int], int]:
    """java.util.Random.next, by the text of its documentation."""
    state = (seed ^ 0x5DEECE66D) & (2**48 - 1)

    def bits(count: int) -> int:
        nonlocal state
        state = (state * 0x5DEECE66D + 0xB) & (2**48 - 1)
        return state >> (48 - count)

    return bits


def java_next_int(seed: int, modulus: int) -> Iterator[int]:
    bits = java_bits(seed)
    while True:
        value = bits(31)
        if modulus & (modulus - 1) == 0:
            yield modulus * value >> 31
        elif value - value % modulus + modulus - 1 < 2**31:
            yield value % modulus


def java_next_double(seed: int, modulus: int) -> Iterator[int]:
    bits = java_bits(seed)
    while True:
        yield int(((bits(26) << 27) + bits(27)) * 2.0**-53 * modulus)


def python_randrange(seed: int, modulus: int) -> Iterator[int]:
    rng = random.Random(seed)
    while True:
        yield rng.randrange(modulus)


def python_random(seed: int, modulus: int) -> Iterator[int]:
    rng = random.Random(seed)
    while True:
        yield int(rng.random() * modulus)


def numpy_randint(seed: int, modulus: int) -> Iterator[int]:
    rng = np.random.RandomState(seed)
    while True:
        yield int(rng.randint(modulus))


def mt19937_mod(seed: int, modulus: int) -> Iterator[int]:
    rng = np.random.RandomState(seed)
    while True:
        yield int(rng.randint(2**32, dtype=np.uint32)) % modulus


# What made the draws, where this Python has it; the other recipes' outputs are proven by vectors.
RUNTIMES: dict[str, Callable[[int, int], Iterator[int]]] = {
    "java.nextInt": java_next_int,
    "java.nextDouble": java_next_double,
    "python.randrange": python_randrange,
    "python.random": python_random,
    "numpy.RandomState.randint": numpy_randint,
    "mt19937.mod": mt19937_mod,
    "orig.mt19937": mt19937_mod,
}


def outputs(chosen: Recipe, seed: int, modulus: int, count: int) -> list[int]:
    """The first outputs of a seed, each mapped to [0, modulus)."""
    if chosen.name in RUNTIMES:
        return list(islice(RUNTIMES[chosen.name](seed, modulus), count))
    any_search = Search(chosen, modulus, np.zeros(1, np.uint32), 0, 1)
    made = CpuDevice(chosen, "reference").outputs(any_search, np.array([seed], np.uint64), 0, count)
    return [int(value) for value in made[0]]


@dataclass(frozen=True)
class Plant:
    """A seed, and where it is hidden: seeds [start, end), skips 0 to 6, offsets 0 to 4, `before` draws of others."""

    seed: int
    start: int
    end: int
    skip: int
    offset: int
    modulus: int
    before: int


def plant(chosen: Recipe, place: str) -> Plant:
    """A hidden seed at that place of a range; the choice is random, and the same in every run."""
    dice = random.Random(f"{chosen.name} {place}")
    limit = chosen.seed_limit(chosen.params({}))
    start = {
        "first": dice.randrange(limit - SEEDS),
        # The range ends where the recipe's seeds end, up to 2**64.
        "last": limit - SEEDS,
        # Seeds of more than 32 bits: one half of the range is below 2**32, the other above.
        "inner": 2**32 - SEEDS // 2 if limit > 2**32 else dice.randrange(limit - SEEDS),
    }[place]
    at = {"first": 0, "last": SEEDS - 1, "inner": dice.randrange(1, SEEDS - 1)}[place]
    modulus = {"first": 1000, "last": 1024, "inner": 37}[place]
    before = dice.randrange(1, 9) if place == "inner" else 0
    return Plant(start + at, start, start + SEEDS, dice.randrange(7), dice.randrange(5), modulus, before)


@pytest.mark.parametrize("place", ["first", "last", "inner"])
@pytest.mark.parametrize("name", sorted(recipes()))
def test_planted_seed_is_found_and_continued(name: str, place: str, tmp_path: Path) -> None:
    p = plant(recipe(name), place)
    count = WINDOW + HELDOUT + findings.PREDICT
    stream = outputs(recipe(name), p.seed, p.modulus, p.offset + p.skip + (count - 1) * (p.skip + 1) + 1)
    planted = stream[p.offset + p.skip :: p.skip + 1]
    draws = uniform(7, p.before, p.modulus) + planted[: WINDOW + HELDOUT]

    job, summary = search(
        "--draws", write_draws(tmp_path, draws), "--recipe", name, "--modulus", p.modulus, "--device", "cpu",
        "--method", "lanes", "--seed-start", p.start, "--seed-end", p.end, "--skip-max", 6, "--offset-max", 4,
        "--window-start", p.before, "--window", WINDOW, "--output-dir", tmp_path / "run",
    )  # fmt: skip

    rows = {int(row["seed"]): row for row in survivors(job.folder)}
    assert p.seed in rows, f"{p} is not among {len(rows)} survivors"
    row = rows[p.seed]
    assert (row["skip"], row["offset"], row["window_start"]) == (p.skip, p.offset, p.before)
    assert (row["matches"], row["draws"], row["verified"]) == (WINDOW, WINDOW, 1)
    assert (summary["verdict"], summary["exit_code"]) == ("found", 0)
    assert summary["seeds_done"] == summary["seeds_asked"] == SEEDS
    # Several seeds may share a state; whichever is named, its stream is the planted one.
    assert summary["best"]["next_outputs"] == planted[WINDOW + HELDOUT :]
    assert summary["best"]["heldout_matches"] == HELDOUT
    assert (summary["best"]["matches"], summary["best"]["verified"]) == (WINDOW, True)


def test_all_seeds_of_java_are_within_reach(tmp_path: Path) -> None:
    """2**48 seeds are too many to look at one by one, so by itself the sieve takes another way."""
    seed, count = 2**47 + 20240229, WINDOW + HELDOUT + findings.PREDICT
    planted = outputs(recipe("java.nextInt"), seed, 1000, 3 * count)[2::3]
    job, summary = search(
        "--draws", write_draws(tmp_path, planted[: WINDOW + HELDOUT]), "--recipe", "java.nextInt", "--device", "cpu",
        "--seed-end", 2**48, "--skip-min", 2, "--window", WINDOW, "--output-dir", tmp_path / "run",
    )  # fmt: skip
    assert job.method != "lanes"
    assert (summary["verdict"], summary["seeds_done"], summary["survivors"]) == ("found", 2**48, 1)
    assert (summary["best"]["seed"], summary["best"]["skip"], summary["best"]["offset"]) == (seed, 2, 0)
    assert summary["best"]["next_outputs"] == planted[WINDOW + HELDOUT :]


def test_a_find_that_later_draws_contradict_is_not_called_found(tmp_path: Path) -> None:
    planted = outputs(recipe("java.nextInt"), 4242, 1000, WINDOW)
    draws = write_draws(tmp_path, planted + uniform(3, HELDOUT, 1000))
    _, summary = search(
        "--draws", draws, "--recipe", "java.nextInt", "--seed-end", 10_000, "--window", WINDOW, "--output-dir", tmp_path / "run"
    )  # fmt: skip
    assert (summary["best"]["seed"], summary["best"]["confirmed"], summary["verdict"]) == (4242, False, "strong")
    assert summary["exit_code"] == 0


def test_partial_matches_and_ties(tmp_path: Path) -> None:
    """Four of twenty draws are not the generator's; the seed survives at 0.8, and no looser."""
    planted = outputs(recipe("java.nextInt"), 777, 1000, WINDOW)
    for at in (0, 5, 11, 19):
        planted[at] = (planted[at] + 1) % 1000
    draws = write_draws(tmp_path, planted)
    common = ("--draws", draws, "--recipe", "java.nextInt", "--seed-end", 2000, "--window", WINDOW, "--skip-max", 3)
    _, kept = search(*common, "--threshold", 0.8, "--output-dir", tmp_path / "kept")
    assert (kept["best"]["seed"], kept["best"]["matches"], kept["best"]["skip"]) == (777, 16, 0)
    assert kept["best"]["heldout"] == 0
    _, none = search(*common, "--threshold", 0.85, "--output-dir", tmp_path / "none")
    assert (none["survivors"], none["best"], none["verdict"], none["exit_code"]) == (0, None, "chance", 1)


# -- chance -------------------------------------------------------------------------------------------------------

CHANCE_RECIPES = ("java.nextInt", "mt19937.mod", "xorshift32.mod", "python.randrange")


def count_survivors(
    name: str, draws: Any, need: int, modulus: int, skips: tuple[int, int], start: int, end: int, offset: int = 0
) -> np.ndarray:
    """Seeds in [start, end) that survive, sorted."""
    chosen = recipe(name)
    one = Search(chosen, modulus, np.array(draws, np.uint32), 0, need, skips, (offset, offset))
    hits = CpuDevice(chosen).sieve(one, start, end)
    assert hits is not None
    return np.asarray(hits["seed"])


@pytest.mark.parametrize("history", range(20))
def test_random_histories_give_chance_counts_and_no_finding(history: int, tmp_path: Path) -> None:
    modulus, seeds, skips = 100, 2**15, (0, 16)
    draws = np.array(uniform(history, 40, modulus), np.uint32)
    for name in CHANCE_RECIPES:
        plan = plan_evidence(
            recipe(name).chances(draws[:8], modulus, {}), draws[:8], 0.25, seeds=seeds, skips=skips, offsets=(0, 0)
        )
        assert plan.expected_survivors > 1000
        found = len(count_survivors(name, draws[:8], plan.need, modulus, skips, history * seeds, (history + 1) * seeds))
        assert abs(found - plan.expected_survivors) <= 5 * plan.sigma, name
    name = CHANCE_RECIPES[history % len(CHANCE_RECIPES)]
    job, summary = search(
        "--draws", write_draws(tmp_path, draws), "--modulus", modulus, "--recipe", name, "--window", 8, "--threshold", 0.5,
        "--skip-max", 16, "--seed-start", history * seeds, "--seed-end", (history + 1) * seeds, "--output-dir", tmp_path / "run",
    )  # fmt: skip
    assert abs(summary["survivors"] - job.plan.expected_survivors) <= 5 * max(job.plan.sigma, 1)
    assert summary["expected_by_chance"] == pytest.approx(job.plan.expected_survivors)
    assert summary["verdict"] in ("chance", "candidate")
    assert summary["exit_code"] == 1


@pytest.mark.parametrize("name", CHANCE_RECIPES)
@pytest.mark.parametrize(("window", "threshold", "seeds"), [(8, 0.25, 2**19), (8, 0.1, 2**14), (30, 0.2, 2**16)])
def test_real_draws_give_chance_counts_and_no_finding(
    name: str, window: int, threshold: float, seeds: int, tmp_path: Path
) -> None:
    job, summary = search(
        "--draws", REAL_DRAWS, "--recipe", name, "--window", window, "--threshold", threshold, "--skip-max", 16,
        "--seed-end", seeds, "--output-dir", tmp_path / "run",
    )  # fmt: skip
    assert abs(summary["survivors"] - job.plan.expected_survivors) <= 5 * job.plan.sigma + 1e-3
    assert summary["verdict"] in ("chance", "candidate")
    assert summary["exit_code"] == 1
    assert summary["best"] is None or not summary["best"]["confirmed"]


# What chance gave the replaced system on uniform draws: window, threshold, skips, seeds searched here, need, share.
REPLACED = [
    (2, 0.25, (7, 63), 1_000_000, 1, 0.1078),
    (2, 0.25, (0, 250), 200_000, 1, 0.3948),
    (4, 0.25, (8, 72), 500_000, 1, 0.2290),
    (8, 0.25, (5, 56), 1_000_000, 2, 1.449e-3),
    (8, 0.49, (5, 56), 1_000_000, 4, 3.6e-9),
    (10, 0.25, (0, 16), 1_000_000, 3, 2.0e-6),
    (244, 0.012, (3, 29), 20_000, 3, 0.05257),
    (512, 0.01, (0, 20), 20_000, 6, 3.31e-4),
]


@pytest.mark.parametrize(("window", "threshold", "skips", "seeds", "need", "share"), REPLACED)
def test_settings_of_the_replaced_system_give_its_chance_counts(
    window: int, threshold: float, skips: tuple[int, int], seeds: int, need: int, share: float
) -> None:
    draws = uniform(2026, window, 1000)
    assert need_for(threshold, window) == need
    low, high = poisson_interval(seeds * share)
    assert low <= len(count_survivors("orig.java_lcg", draws, need, 1000, skips, 0, seeds)) <= high


def test_best_settings_of_the_replaced_system_on_100_000_seeds() -> None:
    low, high = poisson_interval(22_847)[0], poisson_interval(23_077)[1]
    counts = [
        len(count_survivors("orig.java_lcg", uniform(history, 4, 1000), 1, 1000, (8, 72), 0, 100_000))
        for history in range(5)
    ]
    assert all(low <= count <= high for count in counts), counts


def test_turned_window_of_the_replaced_system_is_no_second_filter() -> None:
    """Its `reverse` pass held the window against the forward stream backwards. Of all seeds 5.2 % pass both."""
    seeds, draws = 500_000, uniform(14, 2, 1000)
    forward, turned = (
        # Its one offset moved the window and the generator.
        count_survivors("orig.java_lcg", window, 1, 1000, (7, 63), 0, seeds, offset=14)
        for window in (draws, draws[::-1])
    )
    both = len(np.intersect1d(forward, turned))
    low, high = poisson_interval(0.052 * seeds)
    assert 0.98 * low <= both <= 1.02 * high
    assert both > 4 * len(forward) * len(turned) / seeds
