"""The four models, each in a process of its own: they find a stream, repeat themselves, and are kept whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prng_mpi import learning, memory, models
from prng_mpi.farm import WorkFailed
from prng_mpi.fits import Fit, Ground, Runner
from prng_mpi.models import LEARNERS, Request
from support import environment

PARAMS = {
    "width": 8.0,
    "depth": 2.0,
    "dropout": 0.0,
    "rate": 0.1,
    "decay": 1e-5,
    "l2": 1.0,
    "columns": 1.0,
    "leaf": 0.3,
}
SPAN, SURVIVORS, TRUE = 300, 200, 40
# In the fresh process: what the file gives is what was predicted.
RELOAD = """
import sys, numpy as np
from pathlib import Path
from prng_mpi import models
name, folder = sys.argv[1], Path(sys.argv[2])
learner = models.LEARNERS[name](1, "cpu")
learner.load(folder / f"{name}{learner.suffix}")
kept, features = np.load(folder / f"{name}.npy"), np.load(folder / "features.npy")
for predictions, cut in zip(kept, (3, 4)):
    np.testing.assert_allclose(learner.predict(features[cut]), predictions, rtol=1e-5)
"""
# Final fits to the features and labels of several nulls, one after the other.
NULLS = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from prng_mpi import models
name, params = sys.argv[1], eval(sys.argv[2])
for folder in map(Path, sys.argv[3:]):
    models.carry_out(models.Request(name, params, 30, (0, 1), 2, (3, 4), 7, 1, "cpu", str(folder), str(folder)))
"""
HISTORIES = 6


def ground(seed: int = 1, planted: bool = True) -> Ground:
    """Match rates of survivors, one of which is right in 70 of 100 draws, beside two columns of noise; labels of three cuts."""
    rng = np.random.default_rng(seed)
    rate = np.full(SURVIVORS, 1 / 1000)
    rate[TRUE] = 0.7 if planted else 1 / 1000
    features = rng.normal(size=(5, SURVIVORS, 4)).astype(np.float32)
    features[:, :, 0] = rng.binomial(1000, rate, (5, SURVIVORS)) / 1000
    features[:, :, 2] = 5.0
    hits = rng.binomial(SPAN, rate, (3, SURVIVORS)).astype(np.uint32)
    return Ground(features, hits, np.full(3, float(SPAN)), (0, 1), 2, (3, 4), 7, 60.0)


def lay(ground_: Ground, folder: Path) -> Path:
    """A folder with the rows of a ground, as a process finds them."""
    folder.mkdir(exist_ok=True)
    for name in ("features", "hits", "draws"):
        np.save(folder / f"{name}.npy", getattr(ground_, name))
    return folder


@pytest.mark.parametrize("name", LEARNERS)
def test_of_noise_no_model_learns_anything(name: str, tmp_path: Path) -> None:
    """On labels by chance R^2, AUC and rank correlation are those of permuted labels, and what is ranked first hits no more."""
    folders = [lay(ground(seed, planted=False), tmp_path / str(seed)) for seed in range(HISTORIES)]
    subprocess.run([sys.executable, "-c", NULLS, name, repr(fit(name).params), *folders], check=True, env=environment())
    outside, opened = 0, 0
    for seed, folder in enumerate(folders):
        p = np.load(folder / f"{name}.npy")[0]
        rng = np.random.default_rng([99, seed])
        hits = rng.binomial(SPAN, 1 / 1000, SURVIVORS).astype(np.uint32)
        found = learning.judge(p, hits, SPAN, 1 / 1000, 1 / 1000, 10, seed)
        outside += sum(not m.low <= m.value <= m.high for m in (found.r2, found.auc, found.spearman))
        opened += found.top.p <= 0.01
        assert found.r2.value < 0.05 and p.max() < 0.1
    # 18 measures, of which one in a hundred may lie outside.
    assert outside <= 1 and opened <= 1


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner_ = Runner(ground(), "cpu", 0, 1, 0.0)
    yield runner_
    runner_.close()


def fit(name: str, final: bool = False) -> Fit:
    return Fit(3, name, PARAMS | ({"rate": 0.01} if name == "neural_net" else {}), 60, final)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_finds_the_stream_and_is_kept(name: str, runner: Runner, tmp_path: Path) -> None:
    outcome = runner(3, fit(name, True), lambda: False)
    assert outcome is not None
    said, files = outcome.result, outcome.files
    assert said["objective"] > 100 and said["r2"] > 0.1 and 1 <= said["rounds"] <= 60 and said["device"] == "cpu"
    # What carries the gain is the match rate; a column that is constant carries nothing.
    assert np.argmax(said["importance"]) == 0 and said["importance"][2] == 0 and said["importance"][0] > 100
    kept = {f"models/{name}{LEARNERS[name].suffix}", f"models/{name}.npy"}
    assert set(files) == kept | (set() if name == "neural_net" else {f"models/{name}.bins.npy"})
    for path, content in files.items():
        (tmp_path / Path(path).name).write_bytes(content)
    predictions = np.load(tmp_path / f"{name}.npy")
    assert predictions.shape == (2, SURVIVORS) and (
        learning.ranking(predictions[0])[0],
        learning.ranking(predictions[1])[0],
    ) == (TRUE, TRUE)
    assert 0.05 < predictions[0, TRUE] < 0.95 and np.median(predictions) < 0.02
    lay(ground(), tmp_path)
    subprocess.run([sys.executable, "-c", RELOAD, name, tmp_path], check=True, env=environment())


def test_the_same_request_gives_the_same_fit(runner: Runner) -> None:
    first, again = (runner(3, fit("catboost"), lambda: False) for _ in range(2))
    assert first is not None and again is not None
    for name in ("objective", "r2", "fit_r2", "rounds"):
        assert first.result[name] == again.result[name]


def killed(script: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runner: Runner) -> WorkFailed:
    """How a fit fails that such a script stands in for."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(WorkFailed) as caught:
        runner(3, fit("xgboost"), lambda: False)
    assert caught.value.content.result["failed"] == str(caught.value)
    return caught.value


def test_a_fit_without_memory_is_named_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runner: Runner) -> None:
    log = "Out of memory: Killed process %d (python) total-vm:1kB, anon-rss:900000kB, file-rss:0kB"
    monkeypatch.setattr(memory.Watch, "cause", lambda self, pid, reserve: memory.cause(pid, log % pid, 1, 2e9))
    failure = killed("kill -9 $$", monkeypatch, tmp_path, runner)
    assert str(failure) == "KILLED: trial 3 (xgboost) was killed by the OOM killer, rss 922 MB; set max_per_host = 2"
    assert failure.content.result["max_per_host"] == 2


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -TERM $$", "was killed by SIGTERM"),
        ("echo no such column; exit 3", "ended with status 3 (no such column)"),
    ],
)
def test_other_ends_are_named(
    script: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runner: Runner
) -> None:
    assert said in str(killed(script, monkeypatch, tmp_path, runner))


def test_a_fit_may_take_so_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runner_ = Runner(replace(ground(), patience=0.2), "cpu", 0, 1, 0.0)
    assert "had no end after 0.2 s" in str(killed("sleep 30", monkeypatch, tmp_path, runner_))
    runner_.close()


def test_a_fit_sees_one_gpu_and_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRNG_MPI_TRIALS", "7")
    for kind, visible in (("cuda", "CUDA_VISIBLE_DEVICES"), ("rocm", "ROCR_VISIBLE_DEVICES")):
        runner_ = Runner(ground(), kind, 1, 3, 0.0)
        (tmp_path / kind).mkdir()
        names = f"{visible} OMP_NUM_THREADS OPENBLAS_NUM_THREADS HSA_OVERRIDE_GFX_VERSION PRNG_MPI_TRIALS"
        script = f"for name in {names}; do eval echo $name=\\$$name; done | tr '\\n' ' '; exit 1"
        said = str(killed(script, monkeypatch, tmp_path / kind, runner_))
        assert f"{visible}=1 OMP_NUM_THREADS=3 OPENBLAS_NUM_THREADS=3" in said and said.endswith("PRNG_MPI_TRIALS=)")
        assert ("HSA_OVERRIDE_GFX_VERSION=10.3.0" in said) == (kind == "rocm")
        runner_.close()


def test_a_gpu_that_is_not_there_is_no_reason_to_take_the_cpu(tmp_path: Path) -> None:
    """Nothing falls back in silence: the process says so and ends as one without a device."""
    lay(ground(), tmp_path)
    for name in ("neural_net", "xgboost"):
        request = Request(name, PARAMS, 3, (0, 1), 2, None, 1, 1, "cuda", str(tmp_path), str(tmp_path))
        (tmp_path / "request.json").write_text(json.dumps(asdict(request)))
        done = subprocess.run(
            [sys.executable, "-m", "prng_mpi.models", tmp_path / "request.json"], capture_output=True, text=True,
            env=environment(CUDA_VISIBLE_DEVICES=""), check=False,
        )  # fmt: skip
        assert done.returncode == 7 and "--device cpu" in done.stderr and not (tmp_path / "result.json").exists()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not models.missing("lightgbm")
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    assert models.missing("neural_net") == "neural_net needs torch: pip install 'prng-mpi[models]'"


class Middle:
    """Suggests the middle of everything, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def suggest_float(self, name: str, low: float, high: float, log: bool = False) -> float:
        self.asked.append(name)
        return (low * high) ** 0.5 if log else (low + high) / 2

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self.suggest_float(name, low, high))


def test_each_model_has_parameters_of_its_own() -> None:
    asked: list[str] = []
    for name in LEARNERS:
        middle: Any = Middle()
        found = models.suggest(name, middle, 33, 3)
        assert all(isinstance(value, float) for value in found.values())
        asked += middle.asked
    assert len(asked) == len(set(asked)) and all(any(word.startswith(name) for name in LEARNERS) for word in asked)
    narrow: Any = type("Low", (Middle,), {"suggest_int": lambda self, name, low, high: low})()
    assert models.suggest("neural_net", narrow, 33, 3)["width"] == 16.0
