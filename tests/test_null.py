"""Where nothing is planted: counts of survivors are chance's, in every mode, nothing is found, and what is said of chance is
right: against enumeration, and against outputs that are random indeed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from prng_mpi import hybrid
from prng_mpi.recipes import recipe
from prng_mpi.search import Search, Side, side
from prng_mpi.statistics import chance_per_seed, joint_tails, z_score
from side_cases import device, fits, varying
from support import uniform
from test_directions import Outcome, sieved

# Not java.nextInt: its output -1 shows the upper bits of the seed itself, the same for 65 536 neighbours, so that the counts
# of a short range behind the boundary spread far more than chance.
RECIPES = ("pcg32.mod", "mt19937.mod", "xorshift32.mod", "python.random", "php71.mt_rand")
HISTORIES = range(20)
BOUNDARY = 30


def _null(history: int, modulus: int, direction: str, seeds: int, **asked: Any) -> Outcome:
    """A history that no generator made, held against the seeds of a recipe."""
    which = recipe(RECIPES[history % len(RECIPES)])
    draws = uniform(1000 + history, 60, modulus)
    return sieved(
        which,
        draws,
        (history * seeds, (history + 1) * seeds),
        modulus=modulus,
        start=BOUNDARY,
        direction=direction,
        **asked,
    )


def _by_chance(outcome: Outcome) -> bool:
    return abs(z_score(len(outcome.hits), outcome.plan.expected_survivors, outcome.plan.sigma)) < 5


@pytest.fixture(autouse=True)
def short_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their larger errors are part of what a plan says."""
    monkeypatch.setattr(hybrid, "PAIRS", 2e6)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "both"])
def test_one_skip_gives_chance_counts_and_no_finding(direction: str, history: int) -> None:
    # Both sides have to hold, so each may be looser.
    threshold = 0.25 if direction == "both" else 0.375
    outcome = _null(history, 20, direction, 5000, k=8, threshold=threshold, skips=(0, 4), offsets=(0, 2))
    assert outcome.plan.expected_survivors > 150 and _by_chance(outcome)
    assert outcome.judged().verdict in ("chance", "candidate")


# Modulus, draws and threshold at which some of a hundred seeds survive.
LOOSE = {
    "strict_continuous": (100, 6, 0.5),
    "aggressive_reseed": (100, 6, 0.5),
    "balanced_hybrid": (200, 6, 0.5),
    "lenient_continuous": (400, 4, 0.5),
    "extreme_tolerance": (1000, 4, 0.5),
}


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("name", hybrid.STRATEGIES)
def test_a_skip_that_varies_gives_chance_counts(name: str, history: int) -> None:
    strategy, (modulus, k, threshold) = hybrid.STRATEGIES[name], LOOSE[name]
    asked = {"skips": strategy.skips, "misses": strategy.misses, "offsets": (0, history % 2)}
    outcome = _null(history, modulus, ("forward", "reverse")[history % 2], 8000, k=k, threshold=threshold, **asked)
    assert outcome.plan.chance.kind == "sampled"
    assert outcome.plan.expected_survivors > 80 and _by_chance(outcome)
    # The bound, of which E is made, is above.
    assert outcome.plan.log10_E > np.log10(outcome.plan.expected_survivors - 5 * outcome.plan.sigma)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("name", hybrid.STRATEGIES)
def test_a_skip_that_varies_gives_no_finding(name: str, history: int) -> None:
    strategy = hybrid.STRATEGIES[name]
    asked = {"k": 12, "skips": strategy.skips, "misses": strategy.misses}
    # What most of the best chance survivors reach, and one more.
    for threshold in (0.4, 0.5):
        direction = ("forward", "reverse", "both")[history % 3]
        outcome = _null(history, 5000, direction, 1000, threshold=threshold, **asked)
        assert len(outcome.hits) <= outcome.plan.expected_survivors + 5 * max(1, outcome.plan.sigma)
        assert outcome.judged().verdict in ("chance", "candidate")


# ------------------------------------------------------------------------------------------------ the bound of varying skips


def _side(gaps: list[tuple[int, int]], need: int, *, behind: bool, modulus: int) -> Side:
    """Draws 0, 1, 0, ... with that many unknown calls before each."""
    draws = np.arange(len(gaps), dtype=np.uint32) % modulus
    calls = np.cumsum(np.array(gaps, np.int64) + 1, axis=0) - behind
    return Side(draws, need, calls, np.arange(len(gaps) + 1), draws, draws, behind)


def _chains(reach: Any, misses: int, k: int) -> Iterator[list[tuple[int, int]]]:
    """Every set of matches that some path has: (draw, output) of each, by going through all of them."""
    events = [(i, y) for i in range(k) for y in range(reach[i][0], reach[i][1] + 1)]
    for size in range(1, k + 1):
        for chain in itertools.combinations(events, size):
            steps = [(*a, *b) for a, b in itertools.pairwise(chain)]
            near = all(0 < i - j <= misses + 1 for j, _, i, _ in steps)
            apart = all(reach[i][0] - reach[j][0] <= y - x <= reach[i][1] - reach[j][1] for j, x, i, y in steps)
            if near and apart and chain[0][0] <= misses and k - 1 - chain[-1][0] <= misses:
                yield list(chain)


TINY = [
    ([(0, 0)] * 2, (0, 1), 0, False),
    ([(0, 0)] * 3, (0, 1), 1, False),
    ([(0, 0)] * 3, (0, 2), 0, False),
    ([(0, 0)] * 4, (0, 1), 1, True),
    ([(0, 1), (0, 0), (1, 1)], (0, 1), 1, False),
    ([(0, 0), (0, 2), (0, 0)], (1, 1), 2, True),
    ([(1, 1), (0, 1)], (1, 2), 1, True),
]


@pytest.mark.parametrize(("gaps", "skips", "misses", "behind"), TINY)
def test_the_expected_number_of_paths_is_that_of_enumeration(
    gaps: list[tuple[int, int]], skips: tuple[int, int], misses: int, behind: bool
) -> None:
    """Over all streams of a fair coin: how many sets of matches there are, and how often the best path has m."""
    one, k = _side(gaps, 1, behind=behind, modulus=2), len(gaps)
    sides = {"behind": one} if behind else {"ahead": one}
    search = Search(recipe("xorshift32.mod"), 2, np.zeros(0, np.uint32), 0, 0, skips, (0, 0), misses=misses, **sides)  # type: ignore[arg-type]
    reach = search.reach_of(one)
    width = int(reach.max()) + 1
    streams = np.array(list(itertools.product((0, 1), repeat=width)), np.uint32)
    mean, best = np.zeros(k + 1), np.zeros(k + 1)
    chains = list(_chains(reach.tolist(), misses, k))
    first, count = hybrid.span(search)
    found, _ = hybrid.best_matches(
        np.pad(streams, [(0, 0), (0, count - width)]) if count > width else streams, first, search
    )
    for row, matches in zip(streams, found, strict=True):
        outputs = row[::-1] if behind else row
        held = [c for c in chains if all(fits(one, i, int(outputs[y])) for i, y in c)]
        for c in held:
            mean[len(c)] += 1
        assert matches == max(map(len, held), default=0)
        assert matches == varying(search, {first + i: int(v) for i, v in enumerate(row)})[0]
        best[: matches + 1] += 1
    p = np.full(k, 0.5)
    sizes = hybrid.side_expectations(p, reach, misses)
    assert np.asarray(sizes[1:], float) == pytest.approx(mean[1:] / len(streams), rel=1e-12)
    tails = 10.0 ** joint_tails([(sizes, 0)])
    assert (tails[1:] >= best[1:] / len(streams) - 1e-12).all()
    # All k matches by the one path that there is: no bound but the chance itself.
    if (reach[:, 0] == reach[:, 1]).all():
        assert tails[k] == pytest.approx(best[k] / len(streams))


@pytest.mark.parametrize("unequal", [False, True])
def test_expected_paths_of_unequal_draws(unequal: bool) -> None:
    reach, misses = np.array([[0, 2], [1, 5], [3, 7]]), 1
    p = np.array([0.5, 0.1, 0.3]) if unequal else np.full(3, 0.25)
    expected = np.zeros(4)
    for chain in _chains(reach.tolist(), misses, 3):
        expected[len(chain)] += np.prod([p[i] for i, _ in chain])
    assert np.asarray(hybrid.side_expectations(p, reach, misses)[1:], float) == pytest.approx(expected[1:])


@pytest.mark.parametrize("direction", ["ahead", "behind", "both"])
@pytest.mark.parametrize(
    ("modulus", "k", "need", "skips", "misses", "offsets"),
    [(20, 5, 3, (0, 2), 1, (0, 0)), (50, 6, 3, (0, 5), 2, (0, 2)), (9, 4, 4, (1, 3), 0, (1, 1)), (100, 8, 3, (2, 9), 3, (0, 1))],
)  # fmt: skip
def test_the_bound_is_above_what_random_outputs_give(
    direction: str, modulus: int, k: int, need: int, skips: tuple[int, int], misses: int, offsets: tuple[int, int]
) -> None:
    draws, seeds = uniform(6, 2 * k, modulus), 6000
    sides = {
        "ahead": side(draws[:k], need) if direction != "behind" else None,
        "behind": side(draws[k:], need, behind=True) if direction != "ahead" else None,
    }
    search = Search(
        recipe("java.nextInt"), modulus, np.zeros(0, np.uint32), 0, 0, skips, offsets, misses=misses, **sides
    )  # type: ignore[arg-type]
    first, width = hybrid.span(search)
    outputs = np.random.default_rng(77).integers(0, modulus, (seeds, width)).astype(np.uint32)
    matches, _ = hybrid.best_matches(outputs, first, search)
    plan = hybrid.plan(search, seeds)
    for m in range(search.least, search.k + 1):
        survived, bound = int((matches >= m).sum()), min(1.0, 10.0 ** plan.tails[m] * search.n_offsets)
        assert survived <= seeds * bound + 5 * (seeds * bound) ** 0.5 + 1
    assert (
        abs(z_score(int((matches > 0).sum()), plan.expected_survivors, max(plan.sigma, 1))) < 5
        or plan.chance.kind == "bound"
    )


# ----------------------------------------------------------------------------------------- one skip, both sides of a boundary


def _simulated(
    draws: list[int], calls: list[int], sides: list[tuple[int, int]], weights: Any, skips: tuple[int, int],
    offsets: tuple[int, int], seeds: int,
) -> int:  # fmt: skip
    """Survivors among rows of a random stream, every hypothesis tried one by one on each side."""
    far = max(map(abs, calls)) * (skips[1] + 1) + offsets[1] + 1
    stream = np.random.default_rng(2024).choice(len(weights), (seeds, 2 * far + 1), p=weights).astype(np.int16)
    alive = np.zeros(seeds, bool)
    for skip, offset in itertools.product(range(skips[0], skips[1] + 1), range(offsets[0], offsets[1] + 1)):
        at = far + offset - 1 + np.array(calls) * (skip + 1)
        same, begin = stream[:, at] == np.array(draws, np.int16), 0
        holds = np.ones(seeds, bool)
        for k, need in sides:
            holds &= same[:, begin : begin + k].sum(axis=1) >= need
            begin += k
        alive |= holds
    return int(alive.sum())


FLAT, STEEP = np.full(25, 0.04), np.arange(1, 21) / 210.0


@pytest.mark.parametrize(
    ("draws", "calls", "sides", "weights", "skips", "offsets"),
    [
        ([3, 17, 8], [0, -1, -2], [(3, 1)], FLAT, (0, 4), (0, 3)),
        ([3, 17, 8, 1], [0, -1, -2, -3], [(4, 2)], FLAT, (0, 4), (0, 0)),
        ([5, 5, 5, 5], [0, -1, -3, -5], [(4, 2)], FLAT, (0, 3), (0, 5)),
        ([19, 2, 18, 2, 7], [-1, -2, -4, -5, -6], [(5, 2)], STEEP, (0, 3), (1, 5)),
        ([3, 17, 8, 1], [1, 2, 5, 9], [(4, 2)], FLAT, (0, 4), (0, 2)),
        ([3, 17, 8, 1], [1, 2, 0, -1], [(2, 1), (2, 1)], FLAT, (0, 4), (0, 3)),
        ([5, 5, 5, 5, 5], [1, 2, 3, 0, -1], [(3, 1), (2, 1)], FLAT, (0, 3), (0, 4)),
        ([19, 2, 18, 2, 7, 19], [1, 2, 3, 0, -2, -3], [(3, 1), (3, 2)], STEEP, (0, 2), (0, 4)),
        ([1, 0, 1, 1, 0, 0, 1, 0], [1, 2, 3, 4, 0, -1, -2, -3], [(4, 3), (4, 4)], np.array([0.5, 0.5]), (0, 2), (0, 2)),
        ([19, 18], [1, 0], [(1, 1), (1, 1)], STEEP, (0, 0), (0, 0)),
    ],
)  # fmt: skip
def test_chance_per_seed_of_both_sides_against_a_random_stream(
    draws: list[int],
    calls: list[int],
    sides: list[tuple[int, int]],
    weights: Any,
    skips: tuple[int, int],
    offsets: tuple[int, int],
) -> None:
    seeds, need = 40_000, sum(least for _, least in sides)
    observed = _simulated(draws, calls, sides, weights, skips, offsets, seeds)
    chance = chance_per_seed(
        weights[draws], need, draws, skips=skips, offsets=offsets, seeds=seeds, calls=calls, sides=sides
    )
    expected = seeds * chance.p
    sigma = np.hypot(np.sqrt(expected * (1 - chance.p)), expected * chance.relative_error)
    assert chance.kind in ("exact", "sampled")
    assert expected > 30 and abs(z_score(observed, expected, float(sigma))) < 5


def test_draws_known_in_part_survive_as_often_as_their_ranges_say() -> None:
    """At one hypothesis exactly so; at several, whose outputs are shared, no more often."""
    first, low, high = np.array([0, 2, 3, 4]), np.array([1, 7, 2, 0], np.uint32), np.array([3, 7, 9, 4], np.uint32)
    one = Side(low[first[:-1]], 2, np.array([[1, 1], [3, 3], [4, 4]]), first, low, high)
    which, draws = recipe("java.nextInt"), np.zeros(0, np.uint32)
    p = np.array([4, 8, 5]) / 10
    exact = p[0] * p[1] * (1 - p[2]) + p[0] * (1 - p[1]) * p[2] + (1 - p[0]) * p[1] * p[2] + p.prod()
    for ranges, kind in (((0, 0), "exact"), ((0, 3), "bound")):
        search = Search(which, 10, draws, 0, 0, ranges, (0, 0), ahead=one)
        plan = search.plan(0.6, 5000)
        assert (plan.need, plan.chance.kind) == (2, kind)
        assert 10**plan.log10_p1 == pytest.approx(exact)
        assert search.chances() == pytest.approx(p)
        found = _survivors(search, 5000)
        if kind == "exact":
            assert abs(z_score(found, plan.expected_survivors, plan.sigma)) < 5
        else:
            assert found <= plan.expected_survivors + 5 * plan.sigma


def _survivors(search: Search, seeds: int) -> int:
    return len(device("cpu", search.recipe, search.form).sieve(search, 0, seeds))
