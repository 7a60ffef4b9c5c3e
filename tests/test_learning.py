"""What learning rests on, held against other libraries, against simulation, and against luck."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from prng_mpi import learning
from prng_mpi.errors import UsageError
from prng_mpi.records import CUT
from prng_mpi.statistics import log10_tails

CHANCE, DRAWS = 1 / 1000, 400


def cuts(*rows: tuple[int, int, int, int]) -> Any:
    return np.array([*rows], CUT)


GOOD = ((0, 100, 100, 150), (0, 150, 150, 200), (0, 200, 200, 250), (0, 250, 260, 300), (0, 300, 300, 300))


def test_the_last_labels_are_the_test_and_those_before_them_the_choice() -> None:
    assert learning.split(cuts(*GOOD)) == learning.Split((0, 1), 2, 3, 4)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((GOOD[0], GOOD[1], GOOD[4]), "at least three with labels"),
        (GOOD[:4], "a last one without"),
        ((*GOOD[:2], (0, 200, 190, 250), *GOOD[3:]), "that the features have seen"),
        ((*GOOD[:3], (0, 240, 240, 300), GOOD[4]), "labels overlap"),
    ],
)
def test_splits_that_leak_are_refused(rows: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        learning.split(cuts(*rows))


def luck(seed: int, n: int = 800) -> tuple[np.random.Generator, Any, Any]:
    """Predictions that know nothing, and labels by chance."""
    rng = np.random.default_rng(seed)
    return rng, rng.beta(2, 2000, n), rng.binomial(DRAWS, CHANCE, n).astype(np.uint32)


def test_the_gain_is_the_likelihood_ratio_and_an_honest_probability_gains_most() -> None:
    rng, p, hits = luck(1)
    draws = np.full(len(p), DRAWS)
    ratio = stats.binom.logpmf(hits, DRAWS, p) - stats.binom.logpmf(hits, DRAWS, 0.002)
    assert learning.gain(p, hits, draws, 0.002) == pytest.approx(ratio.sum() / np.log(10))
    assert learning.gain(np.full(len(p), 0.002), hits, draws, 0.002) == pytest.approx(0, abs=1e-9)
    true = rng.uniform(0, 0.02, 5000)
    seen = rng.binomial(DRAWS, true)
    gains = [learning.gain(true * factor, seen, np.full(5000, DRAWS), 0.01) for factor in (0.7, 0.9, 1.0, 1.1, 1.4)]
    assert max(gains) == gains[2] > 0
    # One surprise costs much, and not everything.
    assert -1000 < learning.gain([0.0], [40], [DRAWS], 0.01) < -100


def test_measures_are_those_of_other_libraries() -> None:
    _, p, hits = luck(2)
    p = p.round(4)
    found = learning.judge(p, hits, DRAWS, 0.0012, CHANCE, 20, 0)
    assert found.spearman.value == pytest.approx(stats.spearmanr(p, hits).statistic)
    above = hits > DRAWS * CHANCE
    wins = stats.mannwhitneyu(p[above], p[~above]).statistic / (above.sum() * (~above).sum())
    assert found.auc.value == pytest.approx(wins)
    share = hits / DRAWS
    assert found.r2.value == pytest.approx(1 - ((share - p) ** 2).sum() / ((share - 0.0012) ** 2).sum())
    assert found.r2.value == pytest.approx(learning.r_squared(p, hits, np.full(len(p), DRAWS), 0.0012))
    assert found.top.value == hits[np.argsort(-p, kind="stable")[:20]].sum()
    np.testing.assert_array_equal(learning.ranks(p), stats.rankdata(p))


def test_nulls_lie_inside_the_band_of_permutations_and_their_p_values_are_even() -> None:
    """60 measures, one of a hundred of which may lie outside; so many p-values below 0.1 as there should be."""
    found = [
        learning.judge(p, hits, DRAWS, CHANCE, CHANCE, 20, seed)
        for seed in range(20)
        for _, p, hits in [luck(100 + seed)]
    ]
    measures = [getattr(each, name) for each in found for name in ("r2", "auc", "spearman")]
    assert sum(not m.low <= m.value <= m.high for m in measures) <= 4
    assert 1 <= sum(m.p <= 0.1 for m in measures) <= 15
    assert all(each.r2.value < 0 for each in found), "no better than the mean"


def test_one_stream_among_hundreds_stands_out() -> None:
    _, p, hits = luck(3)
    p[77], hits[77] = 0.7, 280
    found = learning.judge(p, hits, DRAWS, CHANCE, CHANCE, 5, 0)
    assert found.r2.value > 0.95 > found.r2.high and found.r2.p <= 0.01
    assert found.top.value >= 280 > found.top.high and found.top.p <= 0.02
    assert found.log10_gain > 500 and learning.ranking(p)[0] == 77


def test_nothing_to_rank_is_no_error() -> None:
    flat, zeros = np.full(30, 0.001), np.zeros(30, np.uint32)
    found = learning.judge(flat, zeros, DRAWS, 0.0, CHANCE, 5, 0)
    assert (found.r2.value, found.auc.value, found.spearman.value, found.top.value) == (0.0, 0.5, 0.0, 0.0)
    assert found.top.p == found.auc.p == 1.0


def test_calibration_by_rank() -> None:
    rng = np.random.default_rng(4)
    true = np.sort(rng.uniform(0, 0.02, 2000))[::-1]
    hits = rng.binomial(DRAWS, true).astype(np.uint32)
    honest, bold = learning.calibration("a", true, hits, DRAWS), learning.calibration("a", true * 1.5, hits, DRAWS)
    assert list(zip(honest["first"], honest["last"], strict=True)) == [
        (1, 1),
        (2, 10),
        (11, 100),
        (101, 1000),
        (1001, 2000),
    ]
    assert honest["hits"].sum() == hits.sum() and honest["observed"][0] == pytest.approx(hits[0] / DRAWS)
    assert ((honest["low"] <= honest["hits"]) & (honest["hits"] <= honest["high"])).all()
    assert not ((bold["low"] <= bold["hits"]) & (bold["hits"] <= bold["high"])).any(where=bold["last"] > 50)


def test_effective_rank() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(5000, 6))
    assert learning.effective_rank(x) == pytest.approx(6, abs=0.05)
    assert learning.effective_rank(x[:, [0, 0, 0]]) == pytest.approx(1)
    assert learning.effective_rank(x[:, [0, 0, 1, 1]]) == pytest.approx(2, abs=0.02)
    assert learning.effective_rank(np.ones((9, 3))) == 0
    assert learning.effective_rank(np.hstack([x, np.ones((5000, 2))]) * [1, 10, 1, 1e3, 1, 1, 1, 1]) == pytest.approx(
        6, abs=0.05
    )


def test_features_are_compared_within_their_cut() -> None:
    rng = np.random.default_rng(9)
    trait = rng.normal(size=(1, 50, 3))
    drifted = (trait * [[[1]], [[0.1]], [[5]]] + [[[0]], [[7]], [[-3]]]).astype(np.float32)
    drifted[:, :, 2] = [[1.0], [2.0], [3.0]]
    scaled = learning.within_cuts(drifted)
    for cut in scaled:
        np.testing.assert_allclose(cut, scaled[0], atol=1e-5)
    np.testing.assert_allclose(scaled[0, :, 0], stats.zscore(trait[0, :, 0]), atol=1e-5)
    assert (scaled[:, :, 2] == 0).all() and scaled.dtype == np.float32
    # What another survivor is at another cut says nothing here.
    other = drifted.copy()
    other[2] += rng.normal(size=other[2].shape).astype(np.float32)
    assert learning.within_cuts(other)[:2].tobytes() == scaled[:2].tobytes()


def test_a_pool_hits_a_draw_once_however_many_name_it() -> None:
    rng = np.random.default_rng(6)
    draws = rng.integers(0, 1000, 300).astype(np.uint32)
    streams = rng.integers(0, 1000, (4, 300)).astype(np.uint32)
    streams[:, :30] = (draws[:30] + np.arange(4)[:, None]) % 1000
    p = np.full(300, 1 / 1000)
    one, twice = learning.pool_hits(streams, draws, p), learning.pool_hits(np.repeat(streams, 5, axis=0), draws, p)
    assert one.hits >= 30 and (one.sizes == twice.sizes).all() and one.log10_p == twice.log10_p
    distinct = np.array([len(set(column)) for column in streams.T])
    assert (one.sizes == distinct).all() and one.chance == pytest.approx(distinct.sum() / 1000)
    same = learning.pool_hits(streams[:1], draws, p)
    assert same.log10_p == pytest.approx(float(log10_tails(p)[same.hits]))
    assert same.log10_p == pytest.approx(stats.binom.logsf(same.hits - 1, 300, 1 / 1000) / np.log(10))


def test_the_gate_opens_by_luck_no_more_often_than_it_says() -> None:
    """Pools of streams that have most of their values in common, in 3000 histories: a sum over them would be far too wide."""
    rng = np.random.default_rng(7)
    low = 0
    for _ in range(3000):
        stream = rng.integers(0, 50, 60)
        streams = np.where(rng.random((12, 60)) < 0.8, stream, rng.integers(0, 50, (12, 60))).astype(np.uint32)
        found = learning.pool_hits(streams, rng.integers(0, 50, 60).astype(np.uint32), np.full(60, 1 / 50))
        low += found.log10_p <= -2
    # 30 at most on average; a discrete p-value stays below that.
    assert 5 <= low <= 45


def test_equal_predictions_are_one_value() -> None:
    p = np.array([0.7, 0.001, 0.001, 0.001])
    values, probability = learning.merged(np.array([5, 9, 9, 5], np.uint32), p, 0.001)
    assert values.tolist() == [5, 9]
    # Who knows nothing adds nothing, however many there are of them.
    assert probability == pytest.approx([0.7, 0.001 * (1 - 0.7) / (1 - 0.001)])
    blind = learning.merged(np.array([8, 3, 8], np.uint32), np.full(3, 0.0009), 0.001)
    assert blind[0].tolist() == [3, 8] and blind[1] == pytest.approx([0.001, 0.001])
    both = learning.merged(np.array([3, 3], np.uint32), np.array([0.5, 0.5]), 0.0)
    assert both[1] == pytest.approx([0.75])
    sure = learning.merged(np.array([1, 2], np.uint32), np.array([0.9, 0.9]), 0.0)
    assert sure[1] == pytest.approx([0.495, 0.495]), "no draw has two values"


def test_merged_probabilities_come_true() -> None:
    """Streams of which one knows the draw with its probability, the others by chance."""
    rng, told, right = np.random.default_rng(8), 0.0, 0
    for _ in range(4000):
        draw = rng.integers(0, 20)
        names = rng.integers(0, 20, 6)
        if rng.random() < 0.4:
            names[2] = draw
        p = np.full(6, 0.05)
        p[2] = 0.05 + 0.4 * 0.95
        values, probability = learning.merged(names.astype(np.uint32), p, 0.05)
        told, right = told + probability.sum(), right + (draw in values)
    assert right / 4000 == pytest.approx(told / 4000, abs=0.02)
