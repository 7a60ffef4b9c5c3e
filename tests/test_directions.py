"""A seed in the middle of a history is found by every recipe in every direction, at one skip and at skips that vary; and
what the two directions together are worth."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from conftest import GPU
from prng_mpi import findings, hybrid, kernels, windows
from prng_mpi.errors import UsageError
from prng_mpi.history import History
from prng_mpi.recipes import Recipe, recipe, recipes
from prng_mpi.search import Search
from prng_mpi.statistics import Plan, log10_tails, need_for
from side_cases import device, stream
from support import uniform

KINDS = ("cpu", *([pytest.param(GPU, marks=pytest.mark.gpu)] if GPU else []))
SEEDS = 300
PATTERN = (5, 5, 7, 7, 3, 3)
WINDOW = 12


def planted(
    which: Recipe, modulus: int, seed: int, *, skips: tuple[int, ...], offset: int, before: int, after: int
) -> list[int]:
    """Draws of calls 1 - before .. after of a seed. Outputs discarded before a call repeat `skips`, call 1 having the first."""
    at, places = offset - 1, [offset - 1]
    for call in range(1, after + 1):
        at += skips[(call - 1) % len(skips)] + 1
        places.append(at)
    at = offset - 1
    for call in range(0, 1 - before, -1):
        at -= skips[(call - 1) % len(skips)] + 1
        places.insert(0, at)
    places = places[-(before + after) :]
    row = stream(which, modulus, seed, places[0], places[-1] - places[0] + 1)
    return [row[place - places[0]] for place in places]


def history_of(draws: list[int]) -> History:
    values = np.array(draws, np.uint32)
    return History(values, None, None, "a test", 0, np.arange(len(draws), dtype=np.uint32))


@dataclass(frozen=True)
class Outcome:
    search: Search
    plan: Plan
    hits: npt.NDArray[np.void]
    later: windows.Later

    @property
    def seeds(self) -> set[int]:
        return set(self.hits["seed"].tolist())

    def judged(self) -> findings.Findings:
        return findings.judge(self.search, self.plan, self.hits, self.later, 1.0)


def sieved(which: Recipe, draws: list[int], seeds: tuple[int, int], kind: str = "cpu", **asked: Any) -> Outcome:
    """As the step does it: what is asked of a history, over seeds [first, end)."""
    given = {"threshold": 1.0, "k": None, "skips": (0, 0), "offsets": (0, 0), "misses": None, "direction": "forward"}
    search, later = windows.search(which, {}, history_of(draws), windows.Asked(**(given | asked)))
    count = seeds[1] - seeds[0]
    plan = search.plan(asked.get("threshold", 1.0), count) if search.misses is None else hybrid.plan(search, count)
    hits = device(kind, which, search.form).sieve(search, *seeds)
    return Outcome(search, plan, hits, later)


# ------------------------------------------------------------------------------------------------------------- the matrix


def _hidden(name: str, what: str) -> tuple[int, tuple[int, int]]:
    """A seed and the range it is in; random, and the same in every run."""
    dice, which = random.Random(f"{name} {what}"), recipe(name)
    start = dice.randrange(min(which.seed_limit(which.params({})), 2**40) - SEEDS)
    return start + dice.randrange(SEEDS), (start, start + SEEDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "both"])
@pytest.mark.parametrize("name", sorted(recipes()))
def test_a_seed_in_the_middle_of_a_history_is_found(name: str, direction: str, kind: str) -> None:
    which, (seed, seeds) = recipe(name), _hidden(name, direction)
    skip, offset = seed % 4, seed % 3
    draws = planted(which, 1000, seed, skips=(skip,), offset=offset, before=30, after=40)
    assert len(draws) == 70
    if _refuses_to_turn_back(which, draws, direction):
        return
    # What stands before a seed whose step has no inverse is no output.
    draws = [min(d, 999) for d in draws]
    outcome = sieved(
        which, draws, seeds, kind, modulus=1000, start=30, k=WINDOW, direction=direction, skips=(0, 4), offsets=(0, 3)
    )
    found = outcome.judged()
    best = found.best
    assert best is not None and found.verdict == "found"
    assert (best["seed"], best["skip"], best["offset"]) == (seed, skip, offset)
    assert best["matches"] == outcome.search.k == WINDOW * (1 + (direction == "both"))
    assert best["heldout"] == best["heldout_matches"] == (30 if direction == "reverse" else 40) - WINDOW
    assert best["confirmed"] and best["verified"]
    more = planted(which, 1000, seed, skips=(skip,), offset=offset, before=0, after=40 + findings.PREDICT)
    assert best["next_outputs"] == more[40:]
    assert outcome.plan.expected_survivors < 1e-20


def _path(direction: str, k: int) -> list[int]:
    """The skips of PATTERN as findings tell them, from the boundary outwards; before call 0 nothing is discarded, as the
    offset ends there."""
    ahead, behind = ([PATTERN[i % 6] for i in range(k)], [0, *(PATTERN[-1 - i % 6] for i in range(k - 1))])
    return {"forward": ahead, "reverse": behind, "both": ahead + behind}[direction]


def _refuses_to_turn_back(which: Recipe, draws: list[int], direction: str) -> bool:
    """Whether a recipe's step has no inverse, so that all directions but forward are refused."""
    if kernels.family(which.family).invertible(which.params({})) or direction == "forward":
        return False
    with pytest.raises(UsageError, match="can't run backwards"):
        sieved(which, [d % 1000 for d in draws], (0, 10), modulus=1000, start=30, k=WINDOW, direction=direction)
    return True


def _finds_the_pattern(name: str, direction: str, strategy: hybrid.Strategy, kind: str) -> None:
    """At a modulus so large that no other output shows a draw."""
    which, (seed, seeds) = recipe(name), _hidden(name, f"{direction} {strategy}")
    modulus = min(10**6, which.map.max_modulus)
    draws = planted(which, modulus, seed, skips=PATTERN, offset=3, before=30, after=40)
    if _refuses_to_turn_back(which, draws, direction):
        return
    # What stands before a seed whose step has no inverse is no output.
    draws = [min(d, modulus - 1) for d in draws]
    outcome = sieved(
        which, draws, seeds, kind, modulus=modulus, start=30, k=WINDOW, direction=direction, skips=strategy.skips,
        offsets=(3, 3), misses=strategy.misses,
    )  # fmt: skip
    found = outcome.judged()
    best = found.best
    assert best is not None and found.verdict == "found"
    assert (best["seed"], best["offset"], best["matches"]) == (seed, 3, outcome.search.k)
    assert best["path"] == _path(direction, WINDOW)
    assert best["heldout"] == best["heldout_matches"] == (30 if direction == "reverse" else 40) - WINDOW
    assert found.paths is not None
    row = found.paths.row.tolist().index(found.survivors["seed"].tolist().index(seed))
    assert found.paths.skips[row].tolist() == best["path"] and found.paths.matched[row].all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "both"])
@pytest.mark.parametrize("name", sorted(recipes()))
def test_a_skip_that_varies_is_found_with_its_path(name: str, direction: str, kind: str) -> None:
    _finds_the_pattern(name, direction, hybrid.STRATEGIES["strict_continuous"], kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("strategy", hybrid.STRATEGIES)
@pytest.mark.parametrize("name", ["java.nextInt", "mt19937.mod", "python.random"])
def test_every_strategy_finds_the_pattern(name: str, strategy: str, direction: str, kind: str) -> None:
    _finds_the_pattern(name, direction, hybrid.STRATEGIES[strategy], kind)


@pytest.mark.parametrize("direction", ["forward", "reverse", "both"])
def test_a_path_may_miss_draws_and_says_which(direction: str) -> None:
    which, seed = recipe("java.nextInt"), 4321
    draws = planted(which, 10**6, seed, skips=PATTERN, offset=0, before=30, after=40)
    # Three in a row, and the draws next to the boundary.
    wrong = [29, 30, 36, 37, 38, 21, 22]
    for at in wrong:
        draws[at] = (draws[at] + 1) % 10**6
    strategy = hybrid.STRATEGIES["strict_continuous"]
    asked = {
        "modulus": 10**6,
        "start": 30,
        "k": WINDOW,
        "direction": direction,
        "skips": strategy.skips,
        "threshold": 0.6,
    }
    found = sieved(which, draws, (4200, 4500), **asked, misses=3).judged()
    assert found.best is not None and found.paths is not None
    assert (found.best["seed"], found.verdict) == (seed, "found")
    sides = {"forward": [range(30, 42)], "reverse": [range(29, 17, -1)]}
    indices = [i for side in sides.get(direction, [*sides["forward"], *sides["reverse"]]) for i in side]
    assert found.paths.matched[0].tolist() == [i not in wrong for i in indices]
    assert found.best["matches"] == sum(i not in wrong for i in indices)
    # One miss in a row is not enough for three.
    assert not len(sieved(which, draws, (4200, 4500), **asked, misses=1).hits)


def test_the_smallest_offset_names_a_path_that_several_begin() -> None:
    which, seed = recipe("java.nextInt"), 777
    draws = planted(which, 10**6, seed, skips=PATTERN, offset=2, before=1, after=30)
    found = sieved(
        which, draws, (700, 1000), modulus=10**6, start=1, k=WINDOW, skips=(0, 10), offsets=(0, 3), misses=3
    ).judged()
    assert found.best is not None
    assert (found.best["seed"], found.best["offset"]) == (seed, 0)
    assert found.best["path"] == [7, *_path("forward", WINDOW)[1:]]


# ---------------------------------------------------------------------------------------- what both directions are worth

# A seed among chance survivors: modulus, draws a side, loose thresholds, seeds.
LOOSE, THRESHOLDS, MANY = 10, (0.2, 0.3, 0.4, 0.5, 0.6), 40_000


@pytest.fixture(scope="module")
def noisy() -> tuple[list[int], int]:
    """A history whose draws are a seed's but for one in five."""
    seed, dice = 12_345, random.Random(5)
    draws = planted(recipe("xorshift32.mod"), LOOSE, seed, skips=(2,), offset=1, before=20, after=20)
    for at in dice.sample(range(20), 3) + dice.sample(range(20, 40), 3):
        draws[at] = (draws[at] + 1) % LOOSE
    return draws, seed


def _loose(draws: list[int], direction: str, threshold: float, skips: tuple[int, int], offset: int = 1) -> Outcome:
    return sieved(
        recipe("xorshift32.mod"), draws, (0, MANY), modulus=LOOSE, start=20, k=20, direction=direction, threshold=threshold,
        skips=skips, offsets=(offset, offset),
    )  # fmt: skip


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_noise_collapses_and_truth_stays(noisy: tuple[list[int], int], threshold: float) -> None:
    draws, seed = noisy
    forward, reverse, both = (_loose(draws, way, threshold, (2, 2)) for way in ("forward", "reverse", "both"))
    for outcome in (forward, reverse, both):
        assert seed in outcome.seeds
        assert abs(len(outcome.hits) - 1 - outcome.plan.expected_survivors) <= 5 * outcome.plan.sigma + 1
    # One hypothesis a seed: it survives both where it survives each.
    assert both.seeds == forward.seeds & reverse.seeds
    product = forward.plan.chance.p * reverse.plan.chance.p
    assert both.plan.chance.p == pytest.approx(product)
    assert len(both.hits) - 1 <= MANY * product + 5 * (MANY * product) ** 0.5 + 1
    assert len(both.hits) < max(2, 0.4 * min(len(forward.hits), len(reverse.hits)))


@pytest.mark.parametrize("threshold", THRESHOLDS[1:])
def test_noise_collapses_over_many_hypotheses_too(noisy: tuple[list[int], int], threshold: float) -> None:
    draws, seed = noisy
    forward, reverse, both = (_loose(draws, way, threshold, (0, 7)) for way in ("forward", "reverse", "both"))
    for outcome in (forward, reverse, both):
        assert seed in outcome.seeds
        assert abs(len(outcome.hits) - 1 - outcome.plan.expected_survivors) <= 5 * outcome.plan.sigma + 1
    # The same skip and offset has to survive both, which is rarer than that each side has one.
    assert both.seeds <= forward.seeds & reverse.seeds
    assert len(both.hits) < max(2, 0.5 * min(len(forward.hits), len(reverse.hits)))


def test_a_turned_window_never_keeps_the_planted_seed(noisy: tuple[list[int], int]) -> None:
    draws, seed = noisy
    kept = [seed in _loose(draws, "turned", threshold, (0, 7)).seeds for threshold in THRESHOLDS]
    # At a fifth of the draws chance alone keeps most seeds.
    assert kept[2:] == [False] * 3
    for name in recipes():
        which, (hidden, seeds) = recipe(name), _hidden(name, "turned")
        clean = planted(which, 1000, hidden, skips=(1,), offset=0, before=0, after=40)
        asked = {"modulus": 1000, "start": 0, "k": 20, "skips": (0, 4), "threshold": 0.2}
        assert hidden in sieved(which, clean, seeds, **asked).seeds
        assert hidden not in sieved(which, clean, seeds, **asked, direction="turned").seeds


@pytest.mark.parametrize("threshold", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("name", ["java.nextInt", "minstd.mod"])
def test_evidence_multiplies_where_it_is_independent(name: str, threshold: float) -> None:
    """Draws behind and ahead are other outputs, so the tails of both sides multiply; a turned window is the same draws."""
    which, draws = recipe(name), uniform(3, 40, 700)
    asked = {"modulus": 700, "start": 15, "k": 20, "threshold": threshold, "skips": (0, 3)}
    one = {way: sieved(which, draws, (0, 50), **asked, direction=way) for way in windows.DIRECTIONS}
    ahead, behind = np.array(draws[15:35], np.uint32), np.array(draws[14::-1], np.uint32)
    tails = {
        way: log10_tails(which.chances(side, 700, {}))[need_for(threshold, len(side))]
        for way, side in (("forward", ahead), ("reverse", behind), ("turned", ahead[::-1]))
    }
    for way, log10_p1 in tails.items():
        assert len(one[way].search.sides) == 1
        assert one[way].plan.log10_p1 == pytest.approx(log10_p1)
        assert one[way].plan.log10_E == pytest.approx(log10_p1 + np.log10(4 * 50))
    assert one["both"].plan.log10_p1 == pytest.approx(tails["forward"] + tails["reverse"])
    assert one["both"].plan.log10_E == pytest.approx(tails["forward"] + tails["reverse"] + np.log10(4 * 50))
    assert one["both"].plan.best_log10_E == pytest.approx(
        sum(float(np.log10(which.chances(side, 700, {})).sum()) for side in (ahead, behind)) + np.log10(4 * 50)
    )


def test_identities_differ_between_directions_and_strategies() -> None:
    draws, texts = uniform(3, 40, 700), []
    asked = {"modulus": 700, "start": 20, "k": 10, "skips": (0, 10)}
    for misses in (None, 3, 7):
        for way in windows.DIRECTIONS:
            given = windows.Asked(**{"threshold": 1.0, "offsets": (0, 0), "misses": misses, "direction": way, **asked})
            search, _ = windows.search(recipe("java.nextInt"), {}, history_of(draws), given)
            texts.append(search.identity())
    assert all(a != b for i, a in enumerate(texts) for b in texts[:i])
