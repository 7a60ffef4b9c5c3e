"""The scorer's study: what is planted shows as it should, histories without a plant rank by chance, the optimum is one, and step 3
obeys it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import support
from prng_mpi import devices, full_scoring
from prng_mpi.farm import WorkFailed
from prng_mpi.features import Scorer, scorer_from
from prng_mpi.recipes import recipe
from prng_mpi.scorer_meta import KINDS, Ground, Plant, Planted, Runner, Space, Trial, plant, plants_of
from prng_mpi.store import open_scores
from scoring_cases import SEED, SKIP, scoring, sieve, some
from support import Ended, planted, until, write_draws

SMALL = Scorer((7, 8), (1,), (50, 100), 1.0)


class Run(support.Run):
    STEP = "scorer_meta"


# -- planted histories ----------------------------------------------------------------------------------------------------


def what(**more: Any) -> Plant:
    values: dict[str, Any] = {
        "seed": 1, "row": 0, "kind": "all", "share": 1.0, "first": 0, "modulus": 0, "lag": 0, "noise": 5,
    }  # fmt: skip
    return Plant(**values | more)


def test_a_plant_shows_where_it_should() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    decoy, stream = rng.integers(0, 1000, (2, 500)).astype(np.int32)
    assert (plant(decoy, stream, what()) == stream).all()
    recent = plant(decoy, stream, what(first=400)) == stream
    assert recent[400:].all() and recent[:400].sum() < 10
    residue = plant(decoy, stream, what(modulus=8))
    assert (residue % 8 == stream % 8).all() and (residue // 8 == decoy // 8).all()
    assert (plant(decoy, stream, what(lag=3))[:-3] == stream[3:]).all()
    assert (plant(decoy, stream, what(lag=-3))[3:] == stream[:-3]).all()
    some_ = plant(decoy, stream, what(share=0.2))
    assert 60 < (some_ == stream).sum() < 150 and ((some_ == stream) | (some_ == decoy)).all()
    assert (plant(decoy, stream, what(share=0.0)) == decoy).all()


def ground(plants: int = 40, history: int = 900) -> Ground:
    read = some(support.uniform(4, history, 1000), 48)
    return Ground(read, plants_of(plants, 3, read, history), plants_of(plants, 4, read, history), 60.0)


def test_plants_repeat_and_are_of_all_kinds() -> None:
    made = ground()
    assert made.plants == ground().plants and made.plants != made.fresh
    assert [each.kind for each in made.plants[:4]] == list(KINDS) and len({each.seed for each in made.plants}) == 40
    assert all(1000 % each.modulus == 0 for each in made.plants if each.modulus)
    assert all((each.first > 30) == (each.kind == "recent") for each in made.plants)
    assert all(0 < each.share < 1 for each in made.plants)


def rank(made: Ground, scorer: Scorer, decoys: bool = False, plants: tuple[Plant, ...] | None = None) -> Any:
    device = devices.open_device("cpu", recipe("java.nextInt"), 0)
    return Planted(made, device, plants or made.plants).ranks(scorer, decoys)


def test_histories_without_a_plant_rank_by_chance_and_strong_plants_first() -> None:
    made = ground()
    assert abs(rank(made, SMALL, decoys=True).mean() - 0.5) < 5 / np.sqrt(12 * 40)
    strong = [replace(each, share=min(1.0, 12 * each.share)) for each in made.plants if each.kind in ("all", "recent")]
    assert rank(made, SMALL, plants=tuple(strong)).min() == 1.0
    assert rank(made, SMALL).mean() > 0.6


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("step", Scorer((7, 8), tuple(range(1, 11)), (50, 100), 1.0), SMALL),
        ("residue", Scorer((5, 8), (1,), (50, 100), 1.0), Scorer((11, 13), (1,), (50, 100), 1.0)),
        ("recent", SMALL, Scorer((7, 8), (1,), (600, 800), 1.0)),
    ],
)
def test_each_parameter_finds_what_it_is_for(kind: str, right: Scorer, wrong: Scorer) -> None:
    made = ground(160)
    own = tuple(replace(each, share=min(1.0, 1.5 * each.share)) for each in made.plants if each.kind == kind)
    ranks = [rank(made, scorer, plants=own) for scorer in (right, wrong)]
    assert (ranks[0] - ranks[1]).mean() > 2 * (ranks[0] - ranks[1]).std() / np.sqrt(len(own))


def test_a_trial_tells_both_objectives_and_gives_up_in_time() -> None:
    made, trial = ground(4), Trial(3, 7, 8, 1, 50, 2, 1.0)
    assert trial.scorer == SMALL
    outcome = Runner(made, "cpu", 0)(3, trial, lambda: False)
    assert outcome is not None and outcome.result["trial"] == asdict(trial)
    assert (
        outcome.result["planted"] == rank(made, SMALL).mean()
        and outcome.result["decoy"] == rank(made, SMALL, True).mean()
    )
    assert Runner(made, "cpu", 0)(3, trial, lambda: True) is None
    with pytest.raises(WorkFailed, match="not through after 0 s"):
        Runner(replace(made, patience=0.0), "cpu", 0)(3, trial, lambda: False)


class Ends:
    """Suggests the least or the greatest of everything."""

    def __init__(self, last: bool) -> None:
        self.last = last

    def suggest_int(self, name: str, low: int, high: int, log: bool = False) -> int:
        assert low <= high
        return high if self.last else low

    suggest_float = suggest_int


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("modulus", [8, 10, 1000])
def test_every_corner_of_the_space_is_a_scorer(last: bool, modulus: int) -> None:
    chosen = Space(modulus).choose(5, Ends(last))
    assert chosen.number == 5 and scorer_from(chosen.scorer.to_json()) == chosen.scorer


# -- the step ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("found")
    draws = write_draws(folder, planted(SEED, 900, SKIP, 0.3))
    return sieve(
        folder / "sieve", draws, "--threshold", 0.05, "--seed-start", SEED - 9000, "--seed-end", SEED + 9000
    ), draws


def study(found: tuple[Path, Path], folder: Path, *more: object) -> list[object]:
    size = ("--trials", 12, "--batch", 4, "--plants", 12, "--chance", 16)
    return ["--survivors", found[0], "--draws", found[1], "--device", "cpu", *size, "--output-dir", folder, *more]


def run(argv: list[object], np_: int | None = None) -> Ended:
    return Run(argv, np_).wait(200)


def test_the_optimum_is_what_step_3_computes_with(found: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "one"
    ended = run(study(found, folder))
    assert (ended.code, ended.summary["trials_done"], ended.summary["warning"]) == (0, 12, ""), ended.stderr
    with h5py.File(folder / "results.h5") as file:
        rows, scorer = file["trials"][:], scorer_from(file.attrs["scorer"])
    best = Trial(**ended.summary["best"]["trial"])
    assert rows["objective"][best.number] == rows["objective"].max() == ended.summary["best"]["objective"]
    fresh = ended.summary["fresh"]
    assert scorer == (best.scorer if fresh["optimum"] > fresh["defaults"] else Scorer())
    assert (rows["objective"] == rows["planted"] - rows["decoy"]).all() and (rows["objective"] > 0).sum() > 6
    assert np.abs(rows["decoy"] - 0.5).max() < 5 / np.sqrt(12 * 12)
    # Killed, and on two ranks: the same trials.
    with Run(study(found, tmp_path / "two"), 2) as killed:
        until(lambda: len(list((tmp_path / "two" / "trials").glob("*.json"))) >= 3, 100, "no trials done")
        killed.kill()
    again = run(study(found, tmp_path / "two"), 2)
    assert again.summary["payload_hash"] == ended.summary["payload_hash"], again.stderr
    # Another optimum gives other columns.
    other = best.scorer if scorer == Scorer() else scorer
    with h5py.File(folder / "results.h5", "r+") as file:
        file.attrs["scorer"] = other.to_json()
    scored = full_scoring_run(scoring(found, tmp_path / "scored", "--scorer", folder, "--spans", 1))
    assert scored.code == 0, scored.stderr
    scores = open_scores(tmp_path / "scored")
    assert json.loads(scores.attributes["identity"])["scorer_hash"] == ended.summary["payload_hash"]
    assert scorer_from(scores.attributes["scorer"]) == other != Scorer()
    assert {f"residue_{m}_match" for m in other.moduli} <= {*scores.names, *scored.summary["dropped"]}
    assert f"match_ahead_{other.lags[-1]}" in {*scores.names, *scored.summary["dropped"]}


def full_scoring_run(argv: list[object]) -> Ended:
    class Scoring(support.Run):
        STEP = full_scoring.ScoringOptions.STEP

    return Scoring(argv).wait(200)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--survivors DIR is missing"),
        (["--survivors", "FOUND"], "--draws FILE is missing"),
        (["--survivors", "FOUND", "--draws", "DRAWS", "--trials", 0], "is below the least allowed"),
    ],
)  # fmt: skip
def test_bad_input_starts_nothing(flags: list[object], said: str, found: tuple[Path, Path], tmp_path: Path) -> None:
    words = {"FOUND": found[0], "DRAWS": found[1]}
    ended = run([words.get(str(flag), flag) for flag in flags] + ["--output-dir", tmp_path / "run"])
    assert ended.code == 2 and said in ended.stderr and len(ended.complaints) == 1
    assert not (tmp_path / "run").exists()
