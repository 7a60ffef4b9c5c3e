"""The planner: what it measures, that its plan follows what it measured, and that the next step has it from its file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import stats

import learning_cases
from prng_mpi.adaptive_meta import (
    CERTAIN,
    GOOD,
    WORSE,
    Measured,
    depth_of,
    epochs_of,
    measure,
    plan,
    pool_of,
    trials_of,
    width_of,
)
from prng_mpi.store import open_tables, write_scores
from support import TOP, environment

USUAL = Measured(10_000, 60, 30.0, 40_000, 20_000, 3500, 500, 1e-3, 5000.0)


def test_what_is_measured(tmp_path: Path) -> None:
    scores = learning_cases.scores(tmp_path, planted=True, survivors=60, span=100, used=300)
    found = measure(scores, 1000)
    assert (found.survivors, found.features, found.rows, found.used, found.span) == (60, 6, 120, 600, 100)
    assert (found.events, found.judged, found.chance) == (int(scores.labels[:2].sum()), 6.0, 1e-3)
    assert 1 < found.rank < 6
    # Labels of the choice and of the test say nothing to a plan.
    labels = scores.labels.copy()
    labels[2:] += 7
    assert measure(replace(scores, labels=labels), 1000) == found


def weakest(m: Measured, k: int) -> float:
    """The least share of hits with which a stream of so many survivors stands among the first k, and k open the gate."""
    luck = m.survivors * stats.binom.sf(np.arange(-1, m.used), m.used, m.chance)
    place = np.flatnonzero(luck <= max(k - 1, 0.5))[0]
    gate = next(h for h in range(m.span + 2) if stats.binom.sf(h - 1, m.span, k * m.chance) <= 1e-3)
    return max(place / m.used, (gate - m.span * (k - 1) * m.chance) / m.span)


@pytest.mark.parametrize(
    "m", [USUAL, replace(USUAL, used=200, survivors=10**6), replace(USUAL, span=100), replace(USUAL, chance=0.02)]
)
def test_the_pool_is_the_largest_that_still_sees_a_stream(m: Measured) -> None:
    k = pool_of(m)
    # No pool names more than half of the values.
    shares = [weakest(m, each) for each in range(1, min(2 * k, round(0.5 / m.chance)) + 1)]
    assert shares[k - 1] <= WORSE * min(shares) < min(shares[k:], default=1.0)


def test_the_pool_follows_survivors_spans_and_chance() -> None:
    assert pool_of(replace(USUAL, survivors=3)) == 3
    short = replace(USUAL, used=200)
    assert pool_of(replace(short, survivors=10**7)) > pool_of(replace(short, survivors=10**6)) > pool_of(USUAL)
    assert pool_of(replace(USUAL, chance=0.1)) < pool_of(USUAL) < pool_of(replace(USUAL, span=60))
    assert pool_of(replace(USUAL, survivors=1)) == 1


def test_the_network_follows_the_rank_and_the_hits() -> None:
    assert [width_of(replace(USUAL, rank=rank)) for rank in (1.0, 4.0, 4.1, 12.0, 30.0)] == [8, 8, 16, 16, 64]
    depths = [depth_of(replace(USUAL, events=events), 16) for events in (10, 13_000, 16_000, 10**7)]
    assert depths == [1, 2, 3, 4]
    # A layer more would leave fewer than ten hits for a parameter.
    assert 10 * ((60 * 16 + 2 * 16 + 1) + 16 * 17) <= 13_000 < 10 * ((60 * 16 + 2 * 16 + 1) + 2 * 16 * 17)


def test_epochs_and_trials_follow_rows_and_labels() -> None:
    epochs = [epochs_of(replace(USUAL, rows=rows)) for rows in (100, 40_000, 400_000, 10**8)]
    assert epochs[0] == 500 and epochs == sorted(epochs, reverse=True) and epochs[-1] == 10
    assert epochs_of(replace(USUAL, chance=0.1)) < epochs_of(USUAL)
    trials = [trials_of(replace(USUAL, judged=judged)) for judged in (0.0, 10.0, 100.0, 5000.0)]
    assert trials[0] == 5 and trials == sorted(trials) and len(set(trials)) == 4
    assert 1 - (1 - GOOD) ** trials[-1] >= CERTAIN > 1 - (1 - GOOD) ** (trials[-1] - 1)


def adaptive_meta(*argv: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prng_mpi.adaptive_meta", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=TOP, timeout=60, check=False)


def test_the_plan_stands_in_its_file_and_changes_with_the_scores(tmp_path: Path) -> None:
    capacities = []
    for survivors in (60, 400):
        folder = tmp_path / f"scores{survivors}"
        scores = learning_cases.scores(folder, planted=True, survivors=survivors, span=100, used=300)
        done = adaptive_meta("--scores", folder, "--output-dir", tmp_path / f"plan{survivors}")
        assert done.returncode == 0, done.stderr
        tables, attributes = open_tables(tmp_path / f"plan{survivors}", "adaptive_meta")
        capacity = asdict(plan(measure(scores, 1000)))
        assert {name: int(attributes[name]) for name in capacity} == capacity
        assert attributes["scores_hash"] == scores.content_hash
        assert dict(zip(tables["capacity"]["name"].astype(str), tables["capacity"]["value"], strict=True)) == capacity
        assert {name.decode() for name in tables["measured"]["name"]} == set(asdict(USUAL))
        capacities.append(capacity)
    assert capacities[0]["trials"] < capacities[1]["trials"]
    # The same again is the same; other scores do not belong into the folder.
    again = adaptive_meta("--scores", tmp_path / "scores60", "--output-dir", tmp_path / "plan60", "--resume")
    assert again.returncode == 0, again.stderr
    other = adaptive_meta("--scores", tmp_path / "scores400", "--output-dir", tmp_path / "plan60")
    assert other.returncode == 2 and "another" in other.stderr


def test_bad_input(tmp_path: Path) -> None:
    missing = adaptive_meta()
    assert missing.returncode == 2 and "--scores DIR is missing" in missing.stderr
    scores = learning_cases.scores(tmp_path / "few", planted=False, survivors=20, cuts=3, span=50, used=300)
    few = adaptive_meta("--scores", scores.path, "--output-dir", tmp_path / "run")
    assert few.returncode == 2 and "at least three with labels" in few.stderr and not (tmp_path / "run").exists()
    with h5py.File(scores.path, "r+") as file:
        del file["labels"]
    torn = adaptive_meta("--scores", scores.path)
    assert torn.returncode == 9 and "can't be trusted" in torn.stderr
    write_scores(scores)
    assert adaptive_meta("--scores", scores.path, "--dry-run").returncode == 2
