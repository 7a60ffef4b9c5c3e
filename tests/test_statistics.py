"""Evidence against scipy, exact fractions, enumeration, simulation and the worked numbers of the replaced system."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm, poisson

from prng_mpi.errors import UsageError
from prng_mpi.statistics import (
    CONFIRM_LOG10,
    chance_per_seed,
    confirmation,
    draws_needed,
    expected_histogram,
    expected_survivors,
    format_count,
    format_log10,
    log10_tails,
    need_for,
    plan_evidence,
    poisson_interval,
    verdict,
    z_score,
)

PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def uniform(k: int, modulus: int = 1000) -> np.ndarray:
    return np.full(k, 1 / modulus)


# --- need -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "k", "need"),
    [(0.7, 10, 7), (0.1, 30, 3), (0.482, 4, 2), (0.157, 4, 1), (1, 6, 6), ("1.0", 6, 6), (0.012, 244, 3), (1e-9, 5, 1),
     (np.float64(0.7), 10, 7), ("0.55", 20, 11), (0.07, 100, 7)],
)  # fmt: skip
def test_need_is_exact_in_the_decimal_text(threshold: float, k: int, need: int) -> None:
    assert need_for(threshold, k) == need


@pytest.mark.parametrize("threshold", [0, -0.1, 1.0000001, math.nan, math.inf, "half", "1/0"])
def test_bad_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold"):
        need_for(threshold, 10)


def test_empty_window_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        need_for(0.5, 0)


# --- tails ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 7, 100, 1000])
@pytest.mark.parametrize("p", [1e-6, 1e-3, 0.1, 0.5, 0.99])
def test_binomial_tails_equal_scipy(k: int, p: float) -> None:
    theirs = binom.logsf(np.arange(k + 1) - 1, k, p) / math.log(10)
    ours = log10_tails(np.full(k, p))
    sound = theirs > -300
    assert sound.sum() > 1
    np.testing.assert_allclose(ours[sound], theirs[sound], rtol=1e-9, atol=1e-12)


def test_binomial_tails_below_the_smallest_double() -> None:
    k = 1000
    for m in (97, 98, 500, 1000):
        log10 = math.log10(sum(math.comb(k, j) * 999 ** (k - j) for j in range(m, k + 1))) - 3 * k
        assert log10_tails(uniform(k))[m] == pytest.approx(log10, abs=1e-8)
    assert log10_tails(uniform(k))[k] == pytest.approx(-3000, abs=1e-8)


def test_poisson_binomial_tails_below_the_smallest_double() -> None:
    p = np.repeat([1e-3, 1e-4], 500)
    assert log10_tails(p)[1000] == pytest.approx(-3500, abs=1e-8)


def brute_pmf(p: list[float]) -> np.ndarray:
    pmf = np.zeros(len(p) + 1)
    for hits in itertools.product((0, 1), repeat=len(p)):
        pmf[sum(hits)] += math.prod(q if hit else 1 - q for q, hit in zip(p, hits, strict=True))
    return pmf


@pytest.mark.parametrize("p", [[0.1, 0.5, 0.9], [0.0, 0.3, 1.0, 0.2], [1e-3, 2e-3, 0.5, 0.7, 0.1], [1.0, 1.0], [0.0]])
def test_poisson_binomial_equals_enumeration(p: list[float]) -> None:
    pmf = brute_pmf(p)
    np.testing.assert_allclose(10 ** log10_tails(p), pmf[::-1].cumsum()[::-1], rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(expected_histogram(p, 10**6), pmf * 1e6, rtol=1e-12, atol=1e-300)


def test_poisson_binomial_joins_the_binomial() -> None:
    nearly = np.full(60, 0.01)
    nearly[7] *= 1 + 1e-13
    np.testing.assert_allclose(log10_tails(nearly), log10_tails(np.full(60, 0.01)), rtol=1e-10)


@settings(max_examples=60, deadline=None)
@given(p=PROBABILITIES, index=st.integers(0, 11), more=st.floats(0, 1))
def test_tails_decrease_in_m_and_grow_with_p(p: list[float], index: int, more: float) -> None:
    tails = log10_tails(p)
    assert tails[0] == 0
    assert np.all(tails[1:] <= tails[:-1])
    raised = list(p)
    at = index % len(p)
    raised[at] += (1 - p[at]) * more
    assert np.all(log10_tails(raised) >= tails - 1e-9)


@settings(max_examples=60, deadline=None)
@given(p=PROBABILITIES, n_hyp=st.integers(0, 2**64))
def test_histogram_holds_every_hypothesis(p: list[float], n_hyp: int) -> None:
    assert expected_histogram(p, n_hyp).sum() == pytest.approx(n_hyp, rel=1e-9)
    assert expected_histogram(p, n_hyp).shape == (len(p) + 1,)


@pytest.mark.parametrize("p", [[-0.1], [1.1], [math.nan], [[0.5]]])
def test_bad_probabilities_are_refused(p: list[float]) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        log10_tails(p)


# --- expected survivors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        (2, 0.25, (7, 63), 1, 107_800, 4.6e8, 1e-3),
        (2, 0.25, (0, 250), 1, 394_800, 1.7e9, 1e-3),
        (4, 0.25, (8, 72), 1, 229_000, 9.8e8, 1e-3),
        (8, 0.25, (5, 56), 2, 1_449, 6.2e6, 2e-3),
        (8, 0.49, (5, 56), 4, 0.0036, 16, 0.02),
        (10, 0.25, (0, 16), 3, 2.0, 8.7e3, 0.02),
        (244, 0.012, (3, 29), 3, 52_570, 2.3e8, 6e-3),
        (512, 0.01, (0, 20), 6, 331, 1.4e6, 5e-3),
        (1024, 0.01, (0, 20), 11, 0.26, 1.1e3, 0.03),
        (30, 0.25, (0, 20), 8, 1.2e-10, 5e-7, 0.05),
        (50, 0.15, (0, 250), 8, 1.3e-7, 6e-4, 0.08),
        (5, 1, (0, 20), 5, 2.1e-8, 9e-5, 0.01),
    ],
)
def test_the_replaced_systems_settings(row: tuple[int, float, tuple[int, int], int, float, float, float]) -> None:
    k, threshold, skips, need, per_million, per_2_32, rel = row
    draws = np.random.default_rng(7).choice(1000, k, replace=k > 1000)
    plan = plan_evidence(uniform(k), draws, threshold, seeds=2**32, skips=skips, offsets=(0, 0))
    assert plan.need == need
    assert plan.chance.p * 1e6 == pytest.approx(per_million, rel=rel)
    assert plan.expected_survivors == pytest.approx(per_2_32, rel=0.08)


@pytest.mark.parametrize(
    "row",
    [
        (4, 2, 2**32, 242, 6.2e6, 0.01),
        (4, 2, 5_000_000, 242, 7_245, 5e-3),
        (4, 1, 1, 242, 0.62, 0.01),
        (8, 2, 2**32, 242, 2.9e7, 0.02),
        (16, 4, 2**32, 242, 1.87e3, 0.01),
        (30, 8, 2**32, 242, 6e-6, 0.05),
        (4, 4, 2**32, 242, 1.04, 0.01),
        (4, 4, 2**48, 1, 281, 0.01),
        (6, 6, 2**32, 242, 1e-6, 0.05),
        (5, 5, 2**48, 21, 5.9, 0.01),
    ],
)
def test_worked_numbers(row: tuple[int, int, int, int, float, float]) -> None:
    k, need, seeds, skips, expected, rel = row
    found = expected_survivors(uniform(k), need, range(k), skips=(5, 4 + skips), offsets=(0, 0), seeds=seeds)
    assert found == pytest.approx(expected, rel=rel)


def simulate(
    draws: list[int], need: int, weights: np.ndarray, *, skips: tuple[int, int], offsets: tuple[int, int], seeds: int
) -> int:
    """Survivors among `seeds` rows of a real random stream, every hypothesis tried one by one."""
    k = len(draws)
    length = offsets[1] + skips[1] + (k - 1) * (skips[1] + 1) + 1
    stream = np.random.default_rng(2024).choice(len(weights), (seeds, length), p=weights).astype(np.int16)
    alive = np.zeros(seeds, bool)
    for skip in range(skips[0], skips[1] + 1):
        for offset in range(offsets[0], offsets[1] + 1):
            at = offset + skip + np.arange(k) * (skip + 1)
            matches = (stream[:, at] == np.array(draws, np.int16)).sum(axis=1)
            alive |= matches >= need
    return int(alive.sum())


FLAT = np.full(25, 0.04)
STEEP = np.arange(1, 21) / 210.0


@pytest.mark.parametrize(
    ("draws", "need", "weights", "skips", "offsets"),
    [
        ([3, 17, 8], 1, FLAT, (0, 4), (0, 0)),
        ([3, 17, 8], 1, FLAT, (1, 3), (2, 6)),
        ([3, 3, 8, 3], 1, FLAT, (0, 3), (0, 5)),
        ([3, 17, 8], 1, STEEP, (0, 2), (0, 3)),
        ([3, 17, 8, 1], 2, FLAT, (0, 4), (0, 0)),
        ([3, 17, 8, 1], 2, FLAT, (0, 4), (1, 8)),
        ([5, 5, 5, 5], 2, FLAT, (0, 3), (0, 7)),
        ([19, 2, 18, 2, 7], 2, STEEP, (0, 3), (0, 5)),
        ([1, 0, 1, 1, 0, 0, 1, 0], 7, np.array([0.5, 0.5]), (0, 3), (0, 4)),
        ([1, 0, 1, 1, 0, 1, 1, 1], 7, np.array([0.3, 0.7]), (0, 2), (0, 3)),
    ],
)
def test_expected_survivors_against_a_random_stream(
    draws: list[int], need: int, weights: np.ndarray, skips: tuple[int, int], offsets: tuple[int, int]
) -> None:
    seeds = 60_000
    observed = simulate(draws, need, weights, skips=skips, offsets=offsets, seeds=seeds)
    chance = chance_per_seed(weights[draws], need, draws, skips=skips, offsets=offsets, seeds=seeds)
    expected = seeds * chance.p
    sigma = math.hypot(math.sqrt(expected * (1 - chance.p)), expected * chance.relative_error)
    assert chance.kind == ("exact" if need == 1 else "sampled")
    assert chance.relative_error < 0.01
    assert abs(z_score(observed, expected, sigma)) < 5
    assert sigma < 0.05 * expected


def test_shared_outputs_are_counted_once() -> None:
    # Ten offsets compare one draw with ten outputs, not with more, however many skips lead to the same output.
    chance = chance_per_seed([0.1], 1, [4], skips=(0, 9), offsets=(0, 9), seeds=1)
    assert chance.p == pytest.approx(1 - 0.9**19, rel=1e-12)


def test_one_match_of_every_value_is_certain() -> None:
    assert expected_survivors([0.5, 0.5], 1, [0, 1], skips=(0, 1), offsets=(0, 3), seeds=9) == 9


def test_one_match_with_offsets_equals_enumeration_of_outputs() -> None:
    draws, p, skips, offsets = [2, 0, 2], [0.25, 0.5, 0.25], (0, 2), (1, 3)
    compared: dict[int, set[int]] = {}
    for skip, offset, i in itertools.product(range(3), range(1, 4), range(3)):
        compared.setdefault(offset + skip + i * (skip + 1), set()).add(draws[i])
    weight = {2: 0.25, 0: 0.5}
    none = math.prod(1 - sum(weight[v] for v in values) for values in compared.values())
    chance = chance_per_seed(p, 1, draws, skips=skips, offsets=offsets, seeds=1)
    assert chance.p == pytest.approx(1 - none, rel=1e-12)


def test_small_and_oversized_searches_fall_back_to_independence() -> None:
    deep = chance_per_seed(uniform(30), 20, range(30), skips=(0, 20), offsets=(0, 3), seeds=2**32)
    assert deep.kind == "independent"
    assert deep.log10_p == pytest.approx(log10_tails(uniform(30))[20] + math.log10(84), abs=1e-9)
    wide = chance_per_seed(uniform(4), 2, range(4), skips=(0, 999), offsets=(0, 999), seeds=2**32)
    assert wide.kind == "independent"
    assert wide.p == pytest.approx(1 - (1 - binom.sf(1, 4, 1e-3)) ** 1e6, rel=1e-6)
    many = chance_per_seed(np.full(4, 1e-9), 1, range(4), skips=(0, 10**5), offsets=(0, 0), seeds=10)
    assert many.kind == "independent"
    assert many.p == pytest.approx(4e-9 * (10**5 + 1), rel=1e-3)


def test_same_arguments_give_the_same_number() -> None:
    args = (uniform(8), 2, [1, 2, 3, 4, 5, 6, 7, 1])
    first, second = (chance_per_seed(*args, skips=(5, 56), offsets=(0, 3), seeds=10**6) for _ in range(2))
    assert first == second
    assert first.kind == "sampled"


def test_impossible_and_certain_draws() -> None:
    assert expected_survivors([0.0, 0.5], 2, [0, 1], skips=(0, 3), offsets=(0, 3), seeds=100) == 0
    assert expected_survivors([1.0, 1.0], 2, [5, 5], skips=(0, 999), offsets=(0, 999), seeds=100) == 100


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"skips": (3, 2)}, "skips from 3 to 2"),
        ({"offsets": (-1, 2)}, "offsets from -1 to 2"),
        ({"p": [0.5]}, "one for each draw"),
        ({"p": [0.5, 0.4, 0.1]}, "equal draws need equal"),
        ({"p": [0.7, 0.7, 0.5]}, "at most 1 in sum"),
        ({"need": 4}, "4 matches of 3"),
        ({"need": 0}, "0 matches of 3"),
    ],
)
def test_bad_searches_are_refused(change: dict[str, object], words: str) -> None:
    given = {"p": [0.2, 0.2, 0.1], "need": 2, "draws": [7, 7, 8], "skips": (0, 1), "offsets": (0, 1), "seeds": 10}
    with pytest.raises(UsageError, match=words):
        chance_per_seed(**(given | change))  # type: ignore[arg-type]


# --- plan -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_hyp", "k"), [(2**32, 5), (2**32 * 242, 6), (2**48, 6), (2**48 * 242, 7), (2**64, 8)])
def test_draws_needed_when_all_must_match(n_hyp: int, k: int) -> None:
    assert draws_needed(1.0, 1e-3, n_hyp) == k == math.ceil((math.log2(n_hyp) + math.log2(1000)) / math.log2(1000))


@pytest.mark.parametrize("threshold", [0.3, 0.482, 0.7])
@pytest.mark.parametrize("p", [1e-3, 0.1])
def test_draws_needed_is_the_least(threshold: float, p: float) -> None:
    n_hyp = 2**32
    log10_e = [binom.logsf(need_for(threshold, k) - 1, k, p) / math.log(10) + math.log10(n_hyp) for k in range(1, 400)]
    assert draws_needed(threshold, p, n_hyp) == next(k for k, value in enumerate(log10_e, 1) if value < -3)


def test_draws_needed_where_no_window_is_enough() -> None:
    assert draws_needed(0.1, 0.1, 2**32) is None
    assert draws_needed(1.0, 1.0, 1) is None
    assert draws_needed(1.0, 1e-3, 2**64, limit=7) is None


def test_plan_of_a_decisive_search() -> None:
    plan = plan_evidence(uniform(30), range(30), 0.25, seeds=2**32, skips=(5, 246), offsets=(0, 0), looks=10)
    assert (plan.skips, plan.offsets, plan.k, plan.need) == (242, 1, 30, 8)
    assert plan.n_hypotheses == 2**32 * 242 * 10
    assert plan.log10_p1 == pytest.approx(binom.logsf(7, 30, 1e-3) / math.log(10), abs=1e-9)
    assert plan.log10_E == pytest.approx(plan.log10_p1 + math.log10(2**32 * 2420), abs=1e-9)
    assert plan.best_log10_E == pytest.approx(-90 + math.log10(2**32 * 2420), abs=1e-9)
    np.testing.assert_allclose(plan.log10_E_at([8, 30]), [plan.log10_E, plan.best_log10_E])
    # The looks widen what E counts, not what this one run leaves.
    assert plan.expected_survivors == pytest.approx(6e-6, rel=0.05)
    assert any("30 of 30 draws would have E = 1e-77" in line for line in plan.lines())
    assert plan.sentence() == "chance alone would leave 6e-6 seeds"


def test_plan_speaks_of_survivors() -> None:
    plan = plan_evidence(uniform(4), range(4), 0.482, seeds=5_000_000, skips=(5, 246), offsets=(0, 0))
    words = plan.sentence().removesuffix(" seeds").split(" leave ")[1].split(" +- ")
    assert int(words[0].replace(" ", "")) == pytest.approx(7_245, abs=25)
    assert int(words[1]) == pytest.approx(85, abs=2)
    assert f"needs a window of {plan.draws_needed} draws" in plan.lines()[-1]
    hopeless = plan_evidence([0.5, 0.5], [0, 1], 0.5, seeds=100, skips=(0, 0), offsets=(0, 0))
    assert hopeless.draws_needed is None
    assert "no window up to 20 000 draws" in hopeless.lines()[-1]


def test_spread_of_a_loose_filter_is_binomial() -> None:
    plan = plan_evidence([0.5], [0], 1, seeds=400, skips=(0, 0), offsets=(0, 0))
    assert (plan.expected_survivors, plan.sigma) == (pytest.approx(200), pytest.approx(10))


def test_spread_holds_the_sampling_error() -> None:
    plan = plan_evidence(uniform(8), range(8), 0.25, seeds=2**32, skips=(5, 56), offsets=(0, 9))
    assert plan.chance.kind == "sampled"
    poisson_part = plan.expected_survivors * (1 - plan.chance.p)
    assert plan.sigma**2 == pytest.approx(poisson_part + (plan.expected_survivors * plan.chance.relative_error) ** 2)
    assert plan.sigma > 1.5 * math.sqrt(poisson_part)


def test_no_spread_among_samples_is_not_called_exact() -> None:
    chance = chance_per_seed(uniform(8), 4, range(8), skips=(5, 56), offsets=(0, 0), seeds=2**32)
    assert chance.kind == "sampled"
    assert 0 < chance.relative_error <= 0.1 / math.sqrt(15)


def test_draws_needed_of_a_plan_is_for_the_mean_probability() -> None:
    plan = plan_evidence([0.1, 0.3], [0, 1], 1, seeds=2**20, skips=(0, 9), offsets=(0, 4), looks=3)
    assert plan.draws_needed == draws_needed(1, 0.2, 2**20 * 50 * 3)


def test_plan_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to search"):
        plan_evidence([0.5], [0], 1, seeds=0, skips=(0, 0), offsets=(0, 0))


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log10_e", "confirmed", "verified", "word"),
    [
        (None, True, True, "chance"),
        (math.nan, True, True, "chance"),
        (0.1, True, True, "chance"),
        (0.0, True, True, "candidate"),
        (-2.99, True, True, "candidate"),
        (-3.0, True, True, "strong"),
        (-5.99, True, True, "strong"),
        (-6.0, True, True, "found"),
        (-60.0, False, True, "strong"),
        (-60.0, True, False, "strong"),
    ],
)
def test_verdict_ladder(log10_e: float | None, confirmed: bool, verified: bool, word: str) -> None:
    assert verdict(log10_e, confirmed, verified) == word


def test_confirmation_is_the_tail_of_the_draws_held_out() -> None:
    assert confirmation(uniform(10), 2) == pytest.approx(math.log10(binom.sf(1, 10, 1e-3)))
    assert confirmation(uniform(10), 3) <= CONFIRM_LOG10 < confirmation(uniform(10), 2)
    assert confirmation([], 0) == 0
    with pytest.raises(UsageError, match="11 matches"):
        confirmation(uniform(10), 11)


# --- numbers for people -----------------------------------------------------------------------------------------------


def test_z_score() -> None:
    assert z_score(130, 100) == 3
    assert z_score(70, 100, 15) == -2
    assert z_score(0, 0) == 0
    assert z_score(1, 0) == math.inf


@pytest.mark.parametrize("expected", [0, 1e-6, 0.3, 5, 579.6, 9_999, 10_001, 1e6])
@pytest.mark.parametrize("sigmas", [2, 5])
def test_poisson_interval_equals_scipy(expected: float, sigmas: float) -> None:
    low, high = poisson_interval(expected, sigmas)
    outside = norm.sf(sigmas)
    slack = 0 if expected <= 1e4 else 1
    assert abs(low - poisson.ppf(outside, expected)) <= slack or (expected == 0 and low == 0)
    assert abs(high - poisson.isf(outside, expected)) <= slack
    assert low <= expected <= high or expected < 1


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (7245, "7 245"), (7245.4, "7 245"), (4_294_967_296, "4 294 967 296"), (6.225e6, "6.2e6"), (85.4, "85"),
     (0.12, "0.12"), (9e-5, "9e-5"), (1e-300, "1e-300"), (999_999.9, "1e6"), (999.7, "1 000"), (math.inf, "inf")],
)  # fmt: skip
def test_format_count(number: float, text: str) -> None:
    assert format_count(number) == text


@pytest.mark.parametrize(
    ("log10", "text"),
    [(-78, "1e-78"), (-78.3, "5e-79"), (-10_000, "1e-10000"), (math.log10(7245), "7 245"), (6.79, "6.2e6"),
     (-0.92, "0.12"), (-78.0001, "1e-78"), (12.99999, "1e13"), (-math.inf, "0")],
)  # fmt: skip
def test_format_log10(log10: float, text: str) -> None:
    assert format_log10(log10) == text
