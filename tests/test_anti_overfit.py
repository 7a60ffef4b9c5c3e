"""Learning as a run: one look at the test, a gate that opens for a planted stream and for nothing else, trials that are killed."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.lib.recfunctions import repack_fields

import learning_cases
import support
from learning_cases import SKIP, TRUE_SEED, WINDOW
from prng_mpi import anti_overfit, learning, store
from prng_mpi.config import load
from prng_mpi.errors import IntegrityError, UsageError
from prng_mpi.models import LEARNERS
from support import TOP, Ended, environment, events, java_draws, until

HEAVY = ("torch", "lightgbm", "xgboost", "catboost", "cupy")
# Every rank tells what it has imported when its part is over.
TELL = """
import sys
from pathlib import Path
honest = anti_overfit.run
def run(comm, o, plan):
    try:
        return honest(comm, o, plan)
    finally:
        text = " ".join(m for m in %r if m in sys.modules)
        Path(o.output_dir, f"modules{comm.rank}").write_text(text)
anti_overfit.run = run
"""
# In a folder of PYTHONPATH: what a fresh process does before it fits. `first`: whether it is the first of them all.
FATE = """
import json, os, signal, sys
from pathlib import Path
def first():
    try:
        os.close(os.open(Path(__file__).parent / "first", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False
if sys.orig_argv[1:3] == ["-m", "prng_mpi.models"]:
    request = json.loads(Path(sys.orig_argv[3]).read_text())
    if %s:
        os.kill(os.getpid(), signal.SIGKILL)
"""


class Run(support.Run):
    STEP = "anti_overfit"
    OPTIONS = "LearnOptions"


def plan_of(scores: Path, folder: Path) -> Path:
    """A plan for scores, made in this process."""
    from prng_mpi import adaptive_meta, comm

    argv = ["--scores", str(scores), "--output-dir", str(folder)]
    loaded = load(adaptive_meta.AdaptiveOptions, argv, {})
    made = adaptive_meta.prepare(loaded)
    rank: Any = type("Root", (), {"rank": 0})()
    assert adaptive_meta.run(rank, loaded.value, made) == 0 and comm is not None
    return folder


def study(made: Path, folder: Path, *more: object) -> list[object]:
    """A small study of the scores and the plan in a folder."""
    flags = ("--trials", 4, "--device", "cpu", "--memory-reserve", 0, "--output-dir", folder)
    return ["--scores", made / "scores", "--plan", made / "plan", *flags, *more]


def cases(folder: Path, planted: bool, **more: Any) -> Path:
    learning_cases.scores(folder / "scores", planted, **{"survivors": 120, "span": 120, "used": 400, **more})
    plan_of(folder / "scores", folder / "plan")
    return folder


def table(folder: Path, name: str = "trials") -> Any:
    """A table of results.h5, of trials without what differs from run to run."""
    with h5py.File(folder / "results.h5") as file:
        rows = file[name][:]
    return repack_fields(rows[[column for column in rows.dtype.names if column != "seconds"]])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cases(tmp_path_factory.mktemp("made"), True)


@pytest.fixture(scope="module")
def calm(made: Path) -> tuple[Ended, Path]:
    """The study of a planted stream on two ranks, where nothing disturbs it."""
    folder = made / "calm"
    return Run(study(made, folder), 2, TELL % (HEAVY,)).wait(200), folder


def test_a_planted_stream_opens_the_gate(calm: tuple[Ended, Path]) -> None:
    ended, folder = calm
    assert ended.code == 0 and "OPEN" in ended.stdout, ended.stderr
    summary = ended.summary
    assert (summary["verdict"], summary["gate"], summary["test_looks"], summary["failed"]) == ("signal", "open", 1, [])
    assert set(summary["models"]) == set(LEARNERS) and summary["pool"]["log10_p"] < -50
    score = table(folder, "scores")
    best = learning.ranking(score["score"])[0], learning.ranking(score["tested"])[0]
    assert score["seed"][list(best)].tolist() == [TRUE_SEED] * 2
    assert 0.3 < score["score"][best[0]] < 1
    chosen = summary["models"][summary["chosen"]]
    assert chosen["objective"] == max(each["objective"] for each in summary["models"].values())
    # One of 120 permutations puts the labels of the true seed where they belong.
    assert chosen["r2"] > 0.5 and chosen["r2_p"] <= 0.02 and chosen["overfit_ratio"] > 0
    metrics = table(folder, "metrics")
    row = metrics[metrics["chosen"] == 1]
    assert row["model"].astype(str).tolist() == [summary["chosen"]] and row["error"][0] < row["mean_error"][0]


def test_each_model_runs_by_itself_and_no_rank_loads_its_library(calm: tuple[Ended, Path]) -> None:
    _, folder = calm
    assert [(folder / f"modules{rank}").read_text() for rank in (0, 1)] == ["", ""]
    rows = table(folder)
    assert rows["model"].astype(str).tolist() == [*LEARNERS, *LEARNERS] and rows["final"].tolist() == [0] * 4 + [1] * 4
    assert (
        not rows["failed"].astype(bool).any()
        and len({event["rank"] for event in events(folder) if event["kind"] == "trial_done"}) == 2
    )
    # A final fit repeats its trial before it goes on.
    np.testing.assert_allclose(rows["objective"][:4], rows["objective"][4:])


def test_what_a_run_leaves(calm: tuple[Ended, Path], made: Path) -> None:
    ended, folder = calm
    card = json.loads((folder / "models" / "card.json").read_text())
    scores = store.open_scores(made / "scores")
    assert card["data"]["scores_hash"] == scores.content_hash and card["data"]["schema_hash"] == "0"
    assert card["data"]["labels"] == {"fit": [[400, 520], [520, 640]], "choose": [[640, 760]], "test": [[760, 880]]}
    assert card["models"]["xgboost"]["version"] and card["versions"]["optuna"] and card["gate"] == "open"
    for name in LEARNERS:
        assert {path.name for path in (folder / "models").glob(f"{name}.*")} == set(card["files"][name])
    # The pool's hits are those of the labels, each draw once.
    rows = learning.ranking(table(folder, "scores")["tested"])[: ended.summary["pool"]["size"]]
    assert scores.labels[3][rows].max() <= ended.summary["pool"]["hits"] <= scores.labels[3][rows].sum()
    importance = table(folder, "importance")
    assert len(importance) == 4 * len(scores.names)
    mine = importance[importance["model"].astype(str) == ended.summary["chosen"]]
    assert mine["feature"][np.argmax(mine["log10_lost"])].decode() in (
        "match_rate",
        "recent_rate",
        "mod8_rate",
        "mod125_rate",
    )
    assert ET.parse(folder / "importance.svg").getroot().tag.endswith("svg")
    groups = table(folder, "calibration")
    own = groups[groups["model"].astype(str) == ended.summary["chosen"]]
    assert own["hits"].sum() == scores.labels[3].sum() and own["last"][-1] == 120
    assert events(folder)[-1]["kind"] == "final"


def test_killed_trials_and_runs_change_nothing(calm: tuple[Ended, Path], made: Path, tmp_path: Path) -> None:
    """The process of a trial is killed, then the whole run, then it goes on: the same trials, the same gate, no second look."""
    folder = tmp_path / "run"
    (tmp_path / "sitecustomize.py").write_text(FATE % "first()")
    path = f"{tmp_path}:{TOP / 'src'}"
    with Run(study(made, folder), 2, PYTHONPATH=path) as run:
        until(lambda: len(list((folder / "trials").glob("*.json"))) >= 3, 150, "no trials done")
        run.kill()
    assert not (folder / "test.json").exists() and not (folder / "summary.json").exists()
    reasons = [event["detail"] for event in events(folder) if event["kind"] == "failed"]
    assert len(reasons) == 1 and "killed by signal 9" in reasons[0], reasons
    ended = Run(study(made, folder, "--resume"), 2).wait(200)
    assert ended.code == 0 and "were done before" in ended.stdout, ended.stderr
    for name in ("trials", "scores", "metrics", "calibration"):
        assert table(folder, name).tobytes() == table(calm[1], name).tobytes(), name
    assert ended.summary["payload_hash"] == calm[0].summary["payload_hash"]
    assert (folder / "test.json").read_text() == (calm[1] / "test.json").read_text()
    # Again: nothing is fitted, and the one look stands.
    again = Run(study(made, folder)).wait(100)
    assert again.code == 0 and again.summary["pool"] == ended.summary["pool"]
    started = [event["trial"] for event in events(folder) if event["kind"] == "trial_started"]
    assert set(started) == set(range(8)) and len(started) <= 8 + 1 + 2, "one was killed, then two with the run"
    kept = json.loads((folder / "test.json").read_text())
    (folder / "test.json").write_text(json.dumps(kept | {"chosen": "another"}))
    assert Run(study(made, folder)).wait(100).code == 9


def test_noise_is_no_signal_and_a_trial_that_always_dies_leaves_the_others(tmp_path: Path) -> None:
    made = cases(tmp_path / "made", False)
    (tmp_path / "sitecustomize.py").write_text(FATE % "request['model'] == 'lightgbm'")
    log = "Out of memory: Killed process %d (python) total-vm:1kB, anon-rss:900000kB, file-rss:0kB"
    patch = f"from prng_mpi import memory\nmemory.Watch.cause = lambda self, pid, reserve: memory.cause(pid, {log!r} % pid, 1, 1.5e9)"
    argv = study(made, tmp_path / "run", "--models", "lightgbm,xgboost", "--trials", 2)
    ended = Run(argv, 2, patch, PYTHONPATH=f"{tmp_path}:{TOP / 'src'}").wait(200)
    assert ended.code == 1 and "CLOSED, no signal" in ended.stdout, ended.stderr
    summary = ended.summary
    assert (summary["verdict"], summary["gate"], set(summary["models"])) == ("no signal", "closed", {"xgboost"})
    first, last = summary["failed"]
    assert (
        first.startswith("trial 0: rank ")
        and "KILLED: trial 0 (lightgbm) was killed by the OOM killer, rss 922 MB" in first
    )
    assert last == "lightgbm: no trial of lightgbm ended well"
    assert "limits: max_per_host=1 from now on" in [event.get("text") for event in events(tmp_path / "run")]
    for name in ("r2", "auc", "spearman"):
        values = summary["models"]["xgboost"]
        assert values[f"{name}_low"] <= values[name] <= values[f"{name}_high"]
    assert summary["pool"]["log10_p"] > -3
    refused = predict("--models", tmp_path / "run")
    assert refused.returncode == 1 and "its gate is closed" in refused.stderr and refused.stdout == ""


# -- predict, with what was learned -------------------------------------------------------------------------------------------


def predict(*argv: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prng_mpi.predict", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=TOP, timeout=120, check=False)


def test_a_pool_predicts_the_draws_that_come(calm: tuple[Ended, Path], made: Path, tmp_path: Path) -> None:
    ended, folder = calm
    argv = ("--models", folder, "--count", 5, "--output-dir", tmp_path / "run")
    done = predict(*argv, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    history = json.loads((made / "scores" / "draws.json").read_text())
    total, size = len(history), ended.summary["pool"]["size"]
    firsts = [row["value"] for row in told["pool"] if row["place"] == 0]
    assert firsts == java_draws(TRUE_SEED, total + 5, SKIP)[total:]
    assert told["first_ranked"]["seed"] == TRUE_SEED and told["draw"] == total
    head = [row for row in told["pool"] if row["draw"] == total]
    assert len(head) == len({row["value"] for row in head}) == told["values"] <= size
    assert sum(row["survivors"] for row in head) == size
    probabilities = [row["probability"] for row in head]
    assert (
        probabilities == sorted(probabilities, reverse=True) and 0.3 < probabilities[0] < 1 and sum(probabilities) <= 1
    )
    assert told["probability"] == pytest.approx(sum(probabilities)) and told["chance"] == pytest.approx(
        len(head) / 1000
    )
    # The draws of the test, which did not rank it; the plant is right in 70 of 100.
    past = told["backtest"]
    assert (past["hits"], past["draws"], past["first"]) == (ended.summary["pool"]["hits"], 120, 760)
    for interval in (past["interval"], past["first_ranked_interval"]):
        assert interval[0] < 0.7 < interval[1]
    assert past["random_pools"] == 199 and past["random_median"] <= 5 and past["by_chance"] < 5
    rows = table(tmp_path / "run", "pool")
    assert rows["value"].tolist() == [row["value"] for row in told["pool"]]
    said = predict(*argv)
    assert said.returncode == 0 and f"number {total}: one of {len(head)} values" in said.stdout, said.stderr
    other = predict(*argv[:2], "--count", 6, *argv[4:])
    assert other.returncode == 2 and "holds another" in other.stderr


def test_a_pool_brings_its_own_stream_and_needs_a_study_that_is_through(
    calm: tuple[Ended, Path], made: Path, tmp_path: Path
) -> None:
    for flag in ("--seed", "--from"):
        both = predict("--models", calm[1], flag, 3)
        assert both.returncode == 2 and f"brings its own {flag}" in both.stderr
    short = Run(study(made, tmp_path / "run", "--time-limit", 0)).wait(100)
    assert (
        short.code == 4
        and "the test was not looked at" in short.stdout
        and not (tmp_path / "run" / "test.json").exists()
    )
    early = predict("--models", tmp_path / "run")
    assert early.returncode == 2 and "the study is not through" in early.stderr
    wrong = predict("--models", made / "plan")
    assert wrong.returncode == 2 and "finished anti_overfit" in wrong.stderr


def test_a_host_with_memory_for_one_fit_has_one_rank_fit(made: Path, tmp_path: Path) -> None:
    patch = "from prng_mpi import memory\nmemory.available = lambda: 2.2e9"
    argv = study(made, tmp_path / "run", "--models", "xgboost", "--trials", 1, "--memory-reserve", "1.5 GB")
    ended = Run(argv, 2, patch).wait(100)
    assert ended.code == 0 and "a fit takes about 500 MB: 1 of its ranks fit models" in ended.stdout, ended.stderr
    assert {event["rank"] for event in events(tmp_path / "run") if event["kind"] == "trial_done"} == {0}


@pytest.mark.slow
def test_a_hundred_trials_on_four_ranks_within_the_default_limits(made: Path, tmp_path: Path) -> None:
    """Killed on the way and resumed, they are those of an undisturbed run."""
    argv = study(made, tmp_path / "calm", "--trials", 100)
    argv[argv.index("--memory-reserve") + 1] = "1.5 GB"
    ended = Run(argv, 4).wait(1200)
    assert (ended.code, ended.summary["trials_done"]) == (0, 104), ended.stderr
    assert "limits: max_per_host=6 cooldown=5.0 s (step 5)" in ended.stdout
    argv[argv.index(tmp_path / "calm")] = tmp_path / "run"
    with Run(argv, 4) as run:
        until(lambda: len(list((tmp_path / "run" / "trials").glob("*.json"))) >= 40, 600, "no trials done")
        run.kill()
    again = Run(argv, 4).wait(1200)
    assert again.code == 0 and table(tmp_path / "run").tobytes() == table(tmp_path / "calm").tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_histories_of_noise_have_no_signal(seed: int, tmp_path: Path) -> None:
    made = cases(tmp_path / "made", False, seed=seed, survivors=1000, span=300, used=1000)
    ended = Run(study(made, tmp_path / "run", "--trials", 16), 2).wait(600)
    assert (ended.code, ended.summary["verdict"]) == (1, "no signal"), ended.stderr
    measures = [(each, name) for each in ended.summary["models"].values() for name in ("r2", "auc", "spearman")]
    assert sum(not each[f"{name}_low"] <= each[name] <= each[f"{name}_high"] for each, name in measures) <= 3
    assert predict("--models", tmp_path / "run").returncode == 1


# -- in this process ----------------------------------------------------------------------------------------------------------


def prepared(made: Path, folder: Path, *more: object) -> anti_overfit.Plan:
    argv = [str(word) for word in study(made, folder, *more)]
    return anti_overfit.prepare(load(anti_overfit.LearnOptions, argv, {}))


def test_no_fit_can_see_the_labels_of_the_test(made: Path, tmp_path: Path) -> None:
    plan = prepared(made, tmp_path / "run")
    scores = store.open_scores(made / "scores")
    assert (plan.split.fit, plan.split.judge, plan.split.test, plan.split.now) == ((0, 1), 2, 3, 4)
    assert plan.ground.hits.tobytes() == scores.labels[:3].tobytes() and len(plan.ground.draws) == 3
    assert plan.ground.final == (3, 4) and plan.streams.window == (0, WINDOW)


def test_the_plan_of_step_4_is_what_is_done(made: Path, tmp_path: Path) -> None:
    planned = store.open_attributes(made / "plan", "adaptive_meta")
    argv = ["--scores", str(made / "scores"), "--plan", str(made / "plan"), "--output-dir", str(tmp_path / "run")]
    plan = anti_overfit.prepare(load(anti_overfit.LearnOptions, argv, {}))
    names = ("pool_size", "width", "depth", "epochs", "trials")
    assert [getattr(plan, name) for name in names] == [int(planned[name]) for name in names]
    assert [each for each in LEARNERS if each in plan.models] == list(plan.models) == list(LEARNERS)


def test_other_inputs_are_refused(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = cases(tmp_path / "other", True, seed=9)
    with pytest.raises(UsageError, match="was planned for other scores"):
        prepared(made, tmp_path / "run", "--plan", other / "plan")
    with pytest.raises(UsageError, match="does not hold the window"):
        prepared(made, tmp_path / "run", "--draws", support.write_draws(tmp_path, support.uniform(1, 880, 1000)))
    longer = [*json.loads((made / "scores" / "draws.json").read_text()), 5]
    with pytest.raises(UsageError, match="is not what"):
        prepared(made, tmp_path / "run", "--draws", support.write_draws(tmp_path, longer))
    monkeypatch.setattr(anti_overfit.models, "missing", lambda name: f"{name} is missing" if name == "catboost" else "")
    with pytest.raises(UsageError, match="catboost is missing"):
        prepared(made, tmp_path / "run", "--models", "xgboost,catboost")
    assert prepared(made, tmp_path / "rest").models == ("neural_net", "lightgbm", "xgboost")


def test_a_changed_prediction_is_not_believed(calm: tuple[Ended, Path], made: Path) -> None:
    _, folder = calm
    plan = prepared(made, folder)
    result = {"files": {"xgboost.npy": "00"}, "trial": {"number": 6}}
    with pytest.raises(IntegrityError, match=r"xgboost.npy is not what the final fit left: remove .*0006.json"):
        anti_overfit._predictions(plan, "xgboost", result)
