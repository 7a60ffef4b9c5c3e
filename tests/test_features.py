"""Features: each is what its formula says, on any array library; columns that say nothing are named."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import signal, stats

from prng_mpi import analysis, features
from prng_mpi.errors import UsageError
from prng_mpi.features import Scorer, View, dropped, measure, registry, schema, schema_hash, scorer_from

M, N, T, K, BEHIND = 1000, 12, 480, 30, 10
SCORER = Scorer((7, 8), (1, 4), (40, 100), 1.5)


def streams(seed: int = 3) -> tuple[Any, Any]:
    """Streams (N, T) and draws (T,) that agree now and then, some of them one draw apart."""
    rng = np.random.Generator(np.random.PCG64(seed))
    p, d = rng.integers(0, M, (N, T)).astype(np.int32), rng.integers(0, M, T).astype(np.int32)
    p = np.where(rng.random((N, T)) < 0.1, d, p)
    p[:, 1:] = np.where(rng.random((N, T - 1)) < 0.05, d[:-1], p[:, 1:])
    return np.ascontiguousarray(p), d


@pytest.fixture(scope="module")
def columns() -> dict[str, Any]:
    p, d = streams()
    table = registry(SCORER, M, True)
    values = measure(table, View(p, d, K, BEHIND, M, SCORER))
    assert values.shape == (N, len(table)) and values.dtype == np.float32 and np.isfinite(values).all()
    return dict(zip((f.name for f in table), values.T.astype(np.float64), strict=True))


@functools.cache
def expected() -> dict[str, Any]:
    """Features by their formulas, from other libraries or the long way."""
    p, d = streams()
    p, d = p.astype(int), d.astype(int)
    equal, after, apart = p == d, p[:, K:] == d[K:], (p - d) % M
    c = np.cos(2 * np.pi * (p - d) / M)
    halves = 0.5 ** ((T - 1 - np.arange(T)) / 40)
    text = np.vectorize(lambda v: f"{v:03d}")
    pt, dt = text(p), text(d)
    means = c[:, T - 12 * 40 :].reshape(N, 12, 40).mean(axis=2)
    z = stats.zscore(p, axis=1)
    power = np.stack([signal.periodogram(row[-480:])[1][1:] for row in z])
    # All frequencies have equal weight; scipy counts all but the highest of an even length twice.
    power[:, -1] *= 2
    power /= power.mean(axis=1, keepdims=True)
    walk = np.cumsum(z, axis=1) / np.sqrt(T)

    def divergence(m: int) -> Any:
        share = [(np.bincount(row % m, minlength=m) + 0.5) / (T + m / 2) for row in (*p, d)]
        return [stats.entropy(row, share[-1]) for row in share[:-1]]

    return {
        "match_window": equal[:, :K].mean(axis=1), "match_after": after.mean(axis=1), "match_all": equal.mean(axis=1),
        "match_recent_40": equal[:, -40:].mean(axis=1),
        "match_evidence": -stats.binom.logsf(after.sum(axis=1) - 1, T - K, 1 / M) / np.log(10),
        "match_decayed": equal @ halves / halves.sum(),
        "match_age": [(T - 1 - np.flatnonzero(row)[-1]) / T for row in equal],
        "match_near": (np.minimum(apart, M - apart) <= 10)[:, K:].mean(axis=1),
        "match_ahead_1": (p[:, K + 1 :] == d[K:-1]).mean(axis=1), "match_behind_4": (p[:, K:-4] == d[K + 4 :]).mean(axis=1),
        "residue_8_match": (p % 8 == d % 8).mean(axis=1), "residue_7_match": (p % 7 == d % 7).mean(axis=1),
        "residue_8_coherence": np.abs(np.exp(2j * np.pi * (p - d) / 8).mean(axis=1)),
        "residue_7_coherence": np.abs(np.exp(2j * np.pi * (p - d) / 7).mean(axis=1)),
        "residue_1000_coherence": np.abs(np.exp(2j * np.pi * (p - d) / M).mean(axis=1)),
        "residue_8_kl": divergence(8), "residue_1000_kl": divergence(M),
        "digit_100": (p // 100 == d // 100).mean(axis=1), "digit_1": (p % 10 == d % 10).mean(axis=1),
        "digits_front": (p // 10 == d // 10).mean(axis=1), "digits_back": (p % 100 == d % 100).mean(axis=1),
        "digits_box": [np.mean([sorted(a) == sorted(b) for a, b in zip(row, dt, strict=True)]) for row in pt],
        "bit_0": (p % 2 == d % 2).mean(axis=1), "bit_9": (p // 512 == d // 512).mean(axis=1),
        "stability_40_std": means.std(axis=1), "stability_40_min": means.min(axis=1), "stability_40_last": means[:, -1],
        "stability_40_trend": [np.polyfit(np.linspace(0, 1, 12), row, 1)[0] for row in means],
        "stability_100_hits": equal[:, 80:].reshape(N, 4, 100).mean(axis=2).max(axis=1),
        "stream_mean": p.mean(axis=1), "stream_std": p.std(axis=1), "stream_skewness": stats.skew(p, axis=1),
        "stream_kurtosis": stats.kurtosis(p, axis=1, fisher=False), "error_mean": np.abs(p - d).mean(axis=1),
        "error_circular": np.minimum(apart, M - apart).mean(axis=1), "agreement_mean": c[:, K:].mean(axis=1),
        "correlation": [stats.pearsonr(row, d)[0] for row in p],
        "correlation_steps": [stats.pearsonr(np.diff(row), np.diff(d))[0] for row in p],
        "spectrum_peak": power.max(axis=1), "spectrum_second": np.sort(power, axis=1)[:, -2],
        "spectrum_entropy": stats.entropy(power, axis=1) / np.log(power.shape[1]),
        "spectrum_low": power[:, :24].mean(axis=1),
        "shift_peak": [max(z[i] @ np.roll(stats.zscore(d), s) for s in range(T)) / np.sqrt(T) for i in range(N)],
        "autocorrelation_3": (z[:, 3:] * z[:, :-3]).sum(axis=1) / T,
        "agreement_autocorrelation_2": analysis.autocorrelation(c, 2)[0][:, 1],
        "walk_most": np.abs(walk).max(axis=1), "walk_mean": np.abs(walk).mean(axis=1),
        "match_side_behind": equal[:, :BEHIND].mean(axis=1), "match_side_ahead": equal[:, BEHIND:K].mean(axis=1),
        "match_side_least": np.minimum(equal[:, :BEHIND].mean(axis=1), equal[:, BEHIND:K].mean(axis=1)),
    }  # fmt: skip


@pytest.mark.parametrize("name", expected())
def test_a_feature_is_what_its_formula_says(name: str, columns: dict[str, Any]) -> None:
    assert columns[name] == pytest.approx(np.asarray(expected()[name]), rel=2e-3, abs=2e-5)


def test_the_score_adds_what_channels_have_above_the_floor(columns: dict[str, Any]) -> None:
    p, d = streams()
    p, d = p[:, K:].astype(int), d[K:].astype(int)
    size = T - K
    channels = [(p == d, 1 / M), *((p[:, -w:] == d[-w:], 1 / M) for w in SCORER.windows)]
    # 1000 = 125 x 8 = 142 x 7 + 6: residue 6 of 7 is rarer by one value.
    classes = np.bincount(np.arange(M) % 7) / M
    channels += [(p % 8 == d % 8, 1 / 8), (p % 7 == d % 7, float(classes[d % 7].mean()))]
    for lag in SCORER.lags:
        channels += [(p[:, lag:] == d[: size - lag], 1 / M), (p[:, : size - lag] == d[lag:], 1 / M)]
    z = [(m.sum(axis=1) - m.shape[1] * q) / np.sqrt(m.shape[1] * q * (1 - q)) for m, q in channels]
    assert columns["score"] == pytest.approx(np.maximum(np.array(z) - SCORER.floor, 0).sum(axis=0), rel=1e-4)


def test_torch_gives_the_same_without_a_copy() -> None:
    torch = pytest.importorskip("torch")
    p, d = streams()
    there = torch.from_dlpack(p)
    assert there.data_ptr() == p.ctypes.data
    table = registry(SCORER, M, True)
    values = [measure(table, View(each, d, K, BEHIND, M, SCORER)) for each in (p, there)]
    # Sums in another order may cross 0 at another draw.
    apart = np.abs(values[0] - values[1]) / (1e-3 + np.abs(values[0]))
    for j, feature in enumerate(table):
        assert apart[:, j].max() < (0.3 if feature.name == "walk_crossings" else 0.01), feature.name


@pytest.mark.parametrize("modulus", [2, 10, 997, 65536])
def test_every_modulus_has_features(modulus: int) -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    p, d = rng.integers(0, modulus, (5, 200)).astype(np.int32), rng.integers(0, modulus, 200)
    scorer = Scorer((2, 3), (1,), (20, 60))
    assert np.isfinite(measure(registry(scorer, modulus, False), View(p, d, 8, 0, modulus, scorer))).all()
    names, values = features.of_history(d, modulus, scorer)
    assert len(names) == len(values) and np.isfinite(values).all()


def test_names_are_unique_and_the_hash_is_of_all_that_they_mean() -> None:
    rows = schema(SCORER, M, True)
    assert len({row["name"] for row in rows}) == len(rows) and all(row["formula"] for row in rows)
    assert {row["of"] for row in rows} == {"survivor", "history"}
    hashes = {
        schema_hash(schema(s, M, b)) for s in (SCORER, replace(SCORER, floor=1.0), Scorer()) for b in (True, False)
    }
    assert len(hashes) == 6 and schema_hash(rows) == schema_hash(schema(SCORER, M, True))
    names, _ = features.of_history(streams()[1], M, SCORER)
    assert list(names) == [row["name"] for row in rows if row["of"] == "history"]


def test_columns_that_say_nothing_are_named() -> None:
    rng = np.random.Generator(np.random.PCG64(2))
    a, b = rng.normal(size=(2, 500)).astype(np.float32)
    one_true = b.copy()
    a[7] = one_true[7] = 1e6
    table = np.stack([a, np.full(500, 3.3, np.float32), -2 * a + 1, one_true, np.float32(1e-4) * one_true], axis=1)
    # One true seed makes no twins of columns that are not.
    assert dropped(("a", "b", "c", "d", "e"), table) == {"b": "constant", "c": "as a", "e": "as d"}
    assert dropped(("a", "b", "c", "d", "e"), table[:20]) == {}


def test_a_scorer_is_kept_as_text() -> None:
    assert scorer_from(SCORER.to_json()) == SCORER
    for wrong in ('{"moduli": [8, 8]}', '{"lags": []}', '{"windows": [1]}', '{"floor": -1}', '{"depth": 3}', "[]", "x"):
        with pytest.raises(UsageError, match="scorer"):
            scorer_from(wrong)
