"""The tests of randomness: calibrated on random data, decisive on data that fails each, right in their tails."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

from prng_mpi import analysis
from prng_mpi.errors import UsageError

ROWS, SAMPLES = 2000, 2048


def uniform(modulus: int, seed: int = 1, rows: int = ROWS, samples: int = SAMPLES) -> Any:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, modulus, (rows, samples)).astype(np.uint32)


def autocorrelation(outputs: Any, modulus: int) -> analysis.Statistic:
    return analysis.autocorrelation(outputs, 8)[1]


def grid(outputs: Any, modulus: int) -> analysis.Statistic:
    return analysis.grid_correlation(outputs, 4)[1]


ALL: dict[str, Callable[..., analysis.Statistic]] = {**analysis.TESTS, "autocorrelation": autocorrelation, "grid": grid}


@pytest.mark.parametrize("modulus", [2, 3, 10, 1000, 1001, 2**31 - 1])
@pytest.mark.parametrize("name", ALL)
def test_p_values_of_random_data_are_uniform(name: str, modulus: int) -> None:
    p = ALL[name](uniform(modulus, seed=modulus % 97), modulus).p
    assert p.shape == (ROWS,) and bool(((p >= 0) & (p <= 1)).all())
    # Counts are integers, so p has steps; of its distances to uniform a thousandth is that alone.
    assert scipy.stats.kstest(p, "uniform").pvalue > 1e-3


def biased(modulus: int) -> Any:
    """Every value, low ones more often."""
    x = uniform(modulus, 2, 20)
    return np.where(uniform(2, 3, 20) == 0, x // 2, x)


def sticky(modulus: int) -> Any:
    """Fair values that stay on their side of the middle too often."""
    side = np.cumsum(uniform(10, 4, 20) < 3, axis=1) % 2
    return (uniform(modulus // 2, 5, 20) + side * (modulus // 2)).astype(np.uint32)


def paired(modulus: int) -> Any:
    """Each second value repeats the part of the first: fair alone, never as pairs."""
    x = uniform(modulus, 6, 20)
    x[:, 1::2] = np.where(uniform(3, 7, 20, SAMPLES // 2) == 0, x[:, ::2], x[:, 1::2])
    return x


def periodic(modulus: int) -> Any:
    """A low value exactly every fourth time: the right share, the wrong gaps."""
    x = modulus // 4 + uniform(modulus - modulus // 4, 8, 20)
    x[:, ::4] = uniform(modulus // 4, 9, 20, SAMPLES // 4)
    return x


def echoed(modulus: int) -> Any:
    """An echo five values later, every third time."""
    x = uniform(modulus, 10, 20).astype(np.int64)
    x[:, 5:] = np.where(uniform(3, 11, 20, SAMPLES - 5) == 0, x[:, :-5], x[:, 5:])
    return x.astype(np.uint32)


def striped(modulus: int) -> Any:
    """Columns 0 and 3 of a grid of four go together."""
    x = uniform(modulus, 12, 20)
    x[:, 3::4] = np.where(uniform(3, 13, 20, SAMPLES // 4) == 0, x[:, ::4], x[:, 3::4])
    return x


FAILING = {
    "chi_square": biased, "runs": sticky, "serial": paired, "gap": periodic, "autocorrelation": echoed, "grid": striped,
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_data_that_fails_a_test_fails_it(name: str) -> None:
    p = ALL[name](FAILING[name](1000), 1000).p
    assert p.max() < 1e-6


@pytest.mark.parametrize("name", ["chi_square", "runs", "serial", "gap", "autocorrelation", "grid"])
def test_a_constant_sequence_fails_each_test(name: str) -> None:
    outputs = np.zeros((3, SAMPLES), np.uint32)
    assert ALL[name](outputs, 1000).p.max() < 1e-6


def test_each_row_is_judged_by_itself() -> None:
    outputs = uniform(1000, 14, 50)
    outputs[17] = biased(1000)[0]
    for name, test in ALL.items():
        together = test(outputs, 1000)
        alone = np.array([test(outputs[i : i + 1], 1000).p[0] for i in range(len(outputs))])
        assert np.allclose(together.p, alone, rtol=1e-12), name
    assert analysis.chi_square(outputs, 1000).p.argmin() == 17


def test_chi_square_is_scipys() -> None:
    outputs = uniform(10, 15, 5)
    counts = np.stack([np.bincount(row, minlength=10) for row in outputs])
    theirs = scipy.stats.chisquare(counts, axis=1)
    ours = analysis.chi_square(outputs, 10)
    assert np.allclose(ours.value, theirs.statistic) and np.allclose(ours.p, theirs.pvalue, rtol=1e-12)


def test_runs_counts_runs() -> None:
    # 50 runs of two: expected 51 of 100, variance 50 * 49 / 99.
    z = analysis.runs(np.tile(np.array([[0, 0, 9, 9]], np.uint32), 25), 10).value
    assert z[0] == pytest.approx((50 - 51) / np.sqrt(50 * 49 / 99))


def test_correlations_are_numpys() -> None:
    outputs = uniform(1000, 16, 4)
    r, _ = analysis.autocorrelation(outputs, 3)
    x = outputs[2] - outputs[2].mean()
    assert r[2] == pytest.approx([np.dot(x[k:], x[:-k]) / np.dot(x, x) for k in (1, 2, 3)])
    g, _ = analysis.grid_correlation(outputs, 5)
    rows = SAMPLES // 5
    assert np.allclose(g[2], np.corrcoef(outputs[2, : rows * 5].reshape(rows, 5).T))


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 28, 255, 1000, 5000])
def test_chi_square_tail(degrees: int) -> None:
    x = np.concatenate([[0.0, 1e-6], np.linspace(0.01, 4, 200) * degrees, degrees + np.array([100.0, 1000.0])])
    ours, theirs = analysis.chi_square_tail(x, degrees), scipy.special.chdtrc(degrees, x)
    assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-13)
    assert analysis.chi_square_tail(np.inf, degrees) == 0.0


def test_holm() -> None:
    # The classical example: 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made to ascend.
    adjusted = analysis.holm([[0.01, 0.04], [0.03, 0.005]])
    assert np.allclose(adjusted, [[0.03, 0.06], [0.06, 0.02]])
    assert analysis.holm([0.9, 0.8]).tolist() == [1.0, 1.0] and analysis.holm([]).shape == (0,)


def test_holm_holds_its_promise_on_random_data() -> None:
    """Of 400 families of four dependent tests at 5 % about 20 or fewer have any rejection."""
    outputs = uniform(1000, 17, 400)
    p = np.stack([test(outputs, 1000).p for test in analysis.TESTS.values()], axis=1)
    assert sum(bool((analysis.holm(row) <= 0.05).any()) for row in p) < 20 + 5 * 4.4


@pytest.mark.parametrize("call", [
    lambda x: analysis.chi_square(x[:, :99], 10), lambda x: analysis.autocorrelation(x[:, :100], 11),
    lambda x: analysis.autocorrelation(x, 0), lambda x: analysis.grid_correlation(x, 1),
    lambda x: analysis.grid_correlation(x[:, :100], 5),
])  # fmt: skip
def test_too_few_samples_are_refused(call: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match="samples"):
        call(uniform(10, 1, 2))


def test_a_device_library_needs_no_more_than_these_functions() -> None:
    """Stands in for cupy, which has all of them."""
    names = ("arange", "bincount", "int64", "matmul", "minimum", "nonzero")
    xp = SimpleNamespace(**{name: getattr(np, name) for name in names}, asnumpy=np.array)
    outputs = uniform(1000, 18, 30)
    for test in analysis.TESTS.values():
        assert test(outputs, 1000, xp).p.tolist() == test(outputs, 1000).p.tolist()
    for ours, theirs in zip(
        analysis.autocorrelation(outputs, 3, xp), analysis.autocorrelation(outputs, 3), strict=True
    ):
        assert np.array_equal(getattr(ours, "p", ours), getattr(theirs, "p", theirs))
    assert (analysis.grid_correlation(outputs, 3, xp)[0] == analysis.grid_correlation(outputs, 3)[0]).all()
