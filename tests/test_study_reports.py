"""Reports of studies and models: the verdict is the step's, figures show its tables, and what is measured beside luck is so."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import support
from prng_mpi import learning, page, report, runs, store
from prng_mpi.errors import UsageError
from prng_mpi.figures import Figure
from prng_mpi.page import Page
from report_cases import Reader, assert_shown, assert_whole, needs_chromium, table
from scoring_cases import SEED, SKIP, sieve
from support import TOP, planted, uniform, write_draws
from test_anti_overfit import Run as Learning
from test_anti_overfit import cases

JAVA = [each["draw"] for each in json.loads((TOP / "examples" / "java_nextint.json").read_text())]
FIRST = 195_936_000
# Fits that take no time: what a survivor has in one feature, taken for a model's prediction.
QUICK = """
import hashlib, io
from dataclasses import asdict
import numpy as np
from prng_mpi import memory, models
from prng_mpi.course import Outcome
class Quick(anti_overfit.Runner):
    def __call__(self, number, fit, stopped):
        place = list(models.LEARNERS).index(fit.model)
        said = {"trial": asdict(fit), "failed": "", "rounds": 9, "objective": 12.0 - 10 * place, "r2": 0.1, "fit_r2": 0.5, "seconds": 0.01,
                "device": "cpu", "version": "1", "base": 0.001, "importance": np.cos(place + np.arange(self._ground.features.shape[2])).tolist()}
        files = {}
        if fit.final:
            z = self._ground.features[list(self._ground.final)][:, :, place].astype(float)
            content = io.BytesIO()
            np.save(content, np.minimum(0.7, 0.001 * np.exp(0.6 * z)))
            files = {f"models/{fit.model}.npy": content.getvalue()}
            said["files"] = {f"{fit.model}.npy": hashlib.sha256(content.getvalue()).hexdigest()}
        return Outcome(number, said, files)
anti_overfit.Runner = Quick
"""
NAMES = ("found", "null", "stopped", "scorer", "signal", "noise", "unlooked")


class Optimizer(support.Run):
    STEP = "window_optimizer"


class Scorer(support.Run):
    STEP = "scorer_meta"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Studies by what came of them."""
    base = tmp_path_factory.mktemp("studies")
    space = ("--window-start", "0:60", "--skip", "0:6", "--offset", "0:63", "--direction", "forward", "--study-seed", 2)
    common = ("--recipe", "java.nextInt", "--device", "cpu", *space)
    argv: dict[str, list[object]] = {
        "found": ["--draws", write_draws(base / "f", uniform(3, 37, 1000) + JAVA), "--trials", 20, "--seed-start", FIRST, "--seed-end", FIRST + 1000],
        "null": ["--draws", write_draws(base / "n", uniform(3, 200, 1000)), "--trials", 20, "--seed-end", 5000, "--window", "4:8", "--threshold", 0.3],
    }  # fmt: skip
    argv["stopped"] = [*argv["null"], "--time-limit", 0]
    codes = {name: Optimizer([*common, *more, "--output-dir", base / name]).wait().code for name, more in argv.items()}
    draws = write_draws(base / "s", planted(SEED, 700, SKIP, 0.3))
    survivors = sieve(base / "sieve", draws, "--threshold", 0.05, "--seed-start", SEED - 4000, "--seed-end", SEED)
    size = ("--trials", 8, "--batch", 4, "--plants", 8, "--chance", 12, "--device", "cpu")
    codes["scorer"] = (
        Scorer(["--survivors", survivors, "--draws", draws, *size, "--output-dir", base / "scorer"]).wait().code
    )
    for name, kind, more in (("signal", True, ()), ("noise", False, ()), ("unlooked", False, ("--time-limit", 0))):
        made = base / ("made" if kind else "other")
        if not made.exists():
            cases(made, kind)
        words = ["--scores", made / "scores", "--plan", made / "plan", "--trials", 4, "--device", "cpu", *more]
        codes[name] = Learning([*words, "--memory-reserve", 0, "--output-dir", base / name], patch=QUICK).wait().code
    assert codes == {"found": 0, "null": 1, "stopped": 4, "scorer": 0, "signal": 0, "noise": 1, "unlooked": 4}
    return {name: base / name for name in NAMES}


@functools.cache
def composed(folder: Path) -> Page:
    return report.compose(folder)


def drawn(folder: Path) -> dict[str, Figure]:
    return {figure.name: figure for figure in composed(folder).figures}


def written(folder: Path) -> str:
    return page.html(composed(folder))


@pytest.mark.parametrize("name", ["found", "null", "scorer", "signal", "noise"])
def test_the_page_is_whole_and_needs_nothing_else(name: str, folders: dict[str, Path]) -> None:
    assert_whole(written(folders[name]))
    for figure in drawn(folders[name]).values():
        assert figure.note.startswith("If nothing is") and len(table(figure)) >= 2


@needs_chromium
@pytest.mark.parametrize("name", ["found", "scorer", "signal"])
def test_in_a_browser(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    assert_shown(written(folders[name]), tmp_path)


@pytest.mark.parametrize(
    ("name", "verdict", "title", "words"),
    [
        ("found", "found", "A window with a seed is found", ("195936478", "Of 25 later draws", "501 411 974", "prng_mpi.sieve --draws")),
        ("null", "chance", "No signal", ("evidence begins at", "A true seed", "the optimiser fits noise")),
        ("stopped", "chance", "trial is done, so far", ("0 of 20 trials are done", "the same command goes on")),
        ("scorer", "", "", ("On freshly planted seeds", "the defaults", "by chance 0 ±")),
        ("signal", "signal", "A signal: the gate is open", ("Of 120 draws of the test", "p = 0.001", "a survivor that gives every draw")),
        ("noise", "no signal", "No signal: the gate is closed", ("would have opened the gate", "chosen before, on other draws")),
        ("unlooked", "unfinished", "No verdict yet, so far", ("the test was not looked at",)),
    ],
)  # fmt: skip
def test_the_verdict_comes_first_and_is_the_step_s(
    name: str, verdict: str, title: str, words: tuple[str, ...], folders: dict[str, Path]
) -> None:
    text = written(folders[name])
    read, said = Reader(text), json.loads((folders[name] / "summary.json").read_text())
    assert verdict in read.verdict and title in read.text
    assert read.verdict == said.get("verdict", read.verdict) or name == "unlooked"
    assert text.index("data-verdict") < text.find("<figure>") or "<figure>" not in text
    for word in words:
        assert word in read.text, word
    if said.get("best") and "look" in said["best"]:
        look = said["best"]["look"]
        assert f"{look['matches']} of {look['draws']} draws" in read.text


def test_trials_are_shown_beside_their_decoys(folders: dict[str, Path]) -> None:
    for name in ("found", "null"):
        rows, _ = store.open_tables(folders[name], "window_optimizer")
        shown, trials = table(drawn(folders[name])["history"]), rows["trials"]
        assert (
            shown["objective"] == trials["objective"].tolist() and shown["decoy"] == trials["decoy_objective"].tolist()
        )
        assert shown["best"] == np.maximum.accumulate(trials["objective"]).tolist()
        # Evidence is E of 0.001 or less, three powers of ten above the best decoy.
        assert shown["line"][0] == pytest.approx(max(3, trials["decoy_objective"].max() + 3))
        assert (max(shown["objective"]) > shown["line"][0]) == (name == "found")
    # A search for a true seed shows what it would have shown: of 20 draws in a thousand, far below what luck gives.
    true = next(line for line in composed(folders["null"]).sentences if "A true seed" in line)
    assert -16 < np.log10(float(true.rsplit("=", 1)[1].rstrip("."))) < 0


def test_the_scorer_s_decoys_are_what_nothing_planted_ranks(folders: dict[str, Path]) -> None:
    rows, _ = store.open_tables(folders["scorer"], "scorer_meta")
    said, shown = (
        json.loads((folders["scorer"] / "summary.json").read_text()),
        table(drawn(folders["scorer"])["history"]),
    )
    assert shown["decoy"] == pytest.approx((rows["trials"]["decoy"] - 0.5).tolist())
    assert shown["line"][0] == said["fresh"]["defaults"]
    importance = table(drawn(folders["scorer"])["parameters"])
    assert {"floor", "window", "lag_most"} <= set(importance["parameter"])
    rho = stats.spearmanr(rows["trials"]["floor"], rows["trials"]["objective"]).statistic
    assert importance["real"][importance["parameter"].index("floor")] == pytest.approx(abs(rho))


def test_models_stand_beside_what_permuted_labels_give(folders: dict[str, Path]) -> None:
    for name in ("signal", "noise"):
        rows, _ = store.open_tables(folders[name], "anti_overfit")
        shown = drawn(folders[name])
        assert list(shown) == ["models", "roc", "calibration", "importance", "history", "chunks"]
        compared, metrics = table(shown["models"]), rows["metrics"]
        assert compared["model"][0] == metrics["model"][metrics["chosen"] == 1][0].decode()
        assert sorted(compared["r2_high"]) == sorted(metrics["r2_high"].tolist())
        # The area under the curve is the AUC that the step measured.
        curve = table(shown["roc"])
        for row in metrics:
            own = np.array(curve["model"]) == row["model"].decode()
            x, y = (np.array(curve[of])[own] for of in ("false_positive_rate", "true_positive_rate"))
            assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
            assert np.trapezoid(y, x) == pytest.approx(row["auc"])
        groups = table(shown["calibration"])
        chosen = rows["calibration"][rows["calibration"]["model"] == compared["model"][0].encode()]
        assert groups["hits"] == chosen["hits"].tolist() and groups["low"] == chosen["low"].tolist()
    # The true seed is by itself the first group.
    first = table(drawn(folders["signal"])["calibration"])
    assert first["last"][0] == 1 and first["hits"][0] > 50 and first["low"][0] <= first["hits"][0] <= first["high"][0]


def test_a_study_that_was_killed_has_no_verdict(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for path in folders["null"].iterdir():
        if path.is_file() and path.name != "summary.json":
            (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match=r"20 of 20 trials done: .* the same command goes on from here"):
        report.compose(tmp_path / "run")


def test_the_folder_of_a_study_says_how_far_it_is(folders: dict[str, Path]) -> None:
    for name, asked, done in (("found", 20, 20), ("stopped", 20, 0), ("signal", 8, 8), ("scorer", 8, 8)):
        run = runs.read(folders[name])
        assert (run.unit, run.n_asked, run.n_done) == ("trials", asked, done)


# -- measures -------------------------------------------------------------------------------------------------------------


def test_association_of_numbers_and_of_words() -> None:
    rng = np.random.default_rng(4)
    numbers, words = rng.integers(0, 9, 60), rng.choice(["a", "b", "c"], 60)
    objective = np.round(rng.normal(size=60), 1)
    found = learning.association(numbers, objective, 0)
    assert found.value == pytest.approx(abs(stats.spearmanr(numbers, objective).statistic))
    h = stats.kruskal(*(objective[words == word] for word in "abc")).statistic
    assert learning.association(words, objective, 0).value ** 2 * 59 == pytest.approx(h)
    assert learning.association(numbers, -(numbers**3.0), 0).p == 0.001
    assert learning.association(words, np.ones(60), 0).value == 0
    # Under the null p is uniform: of forty about two are below 0.05.
    low = sum(learning.association(rng.permutation(60), objective, 1).p < 0.05 for _ in range(40))
    assert low <= 7


def test_roc_takes_ties_in_one_step_and_stays_small() -> None:
    p, hits = np.array([0.1, 0.3, 0.1, 0.2]), np.array([0, 2, 1, 0], np.uint32)
    rows = learning.roc("m", p, hits, 10, 0.05)
    assert rows[["ranked", "positive"]].tolist() == [(0, 0), (1, 1), (2, 1), (4, 2)]
    rng = np.random.default_rng(1)
    many = learning.roc("m", rng.random(20_000), rng.poisson(1.0, 20_000).astype(np.uint32), 1000, 0.001)
    assert len(many) <= learning.POINTS + 1 and many["ranked"][-1] == 20_000
