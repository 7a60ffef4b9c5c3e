"""The pipeline: what runs and what is done, how it ends, what it refuses; over scripts in place of mpirun, and over mpirun."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import planted
import truths
from prng_mpi import config, page, pipeline, report, spawn, step
from prng_mpi.errors import ExitCode, UsageError
from prng_mpi.pipeline import STAGES, PipelineOptions
from support import TOP, environment, events, uniform, until, write_draws

NAMES = [stage.name for stage in STAGES]
# What a step says of itself in these tests, unless one has it say something else.
SUMMARIES: dict[str, dict[str, Any]] = {
    "window_optimizer": {"verdict": "found", "best": {"objective": 9.0, "survivor": None, "sieve": [
        "--seeds", "0:1000", "--recipe", "java.nextInt", "--window", "20", "--skip-max", "3", "--threshold", "0.5"]},
        "decoys": {"best_objective": 0.1}},
    "sieve": {"verdict": "found", "survivors": 12, "expected_by_chance": 11.0, "best": None},
    "full_scoring": {"features": 3, "survivors": 12, "best": {"seed": 1, "matches": 2, "draws": 3, "log10_E": -4.0}},
    "adaptive_meta": dict.fromkeys(("pool_size", "width", "depth", "epochs", "trials"), 4),
    "anti_overfit": {"verdict": "signal", "gate": "open", "chosen": "lightgbm", "pool": {
        "size": 2, "hits": 9, "draws": 10, "by_chance": 0.1, "log10_p": -9.0}},
}  # fmt: skip
# A launch script of a step: notes its call, does what a file of its name says, writes its product and then its summary.
SCRIPT = """#!/usr/bin/env bash
here=$(dirname "$0")
name=$(basename "$0" .sh)
if [ $name = supervise ]; then name=$1; while [ "$1" != --output-dir ]; do shift; done; out=$2; fi
echo "$name HOSTFILE=$HOSTFILE NP=$NP" >> $here/calls
echo "$name is at work"
if [ -e $here/$name.do ]; then . $here/$name.do; fi
if [ $name != doctor ]; then
    cp $here/$name.h5 $out/results.h5
    cp $here/$name.json $out/summary.json
fi
exit ${code:-0}
"""


@dataclass
class Rig:
    """A folder of launch scripts that stand in for the real ones, and a pipeline over them."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def run_folder(self) -> Path:
        return self.folder / "run"

    def says(self, name: str, code: int = 0, **more: Any) -> None:
        """What summary a step leaves, and its exit code."""
        said = SUMMARIES.get(name, {}) | {"exit_code": code, "payload_hash": name} | more
        (self.folder / "launch" / f"{name}.json").write_text(json.dumps(said))
        self.does(name, f"code={code}")

    def does(self, name: str, text: str) -> None:
        (self.folder / "launch" / f"{name}.do").write_text(text)

    def __call__(self, *argv: object, **params: Any) -> tuple[int, str]:
        """(exit code, what it printed) of a pipeline."""
        words = [
            "--draws",
            self.folder / "draws.json",
            "--recipe",
            "java.nextInt",
            "--output-dir",
            self.run_folder,
            "--pool",
            0,
        ]
        given = ["--params", json.dumps(params)] if params else []
        options = config.load(PipelineOptions, [str(word) for word in (*words, *given, *argv)], environ={}).value
        code = pipeline.run(options)
        return int(code), self.capsys.readouterr().out

    @property
    def started(self) -> list[str]:
        """The steps that were started since this was last asked, in order; the doctor is no step."""
        calls = self.folder / "launch" / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return [word for line in lines if (word := line.split()[0]) != "doctor"]

    @property
    def summary(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.run_folder / "summary.json").read_text())
        return content


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rig:
    made = Rig(tmp_path, capsys)
    launch = tmp_path / "launch"
    launch.mkdir()
    for name in ("supervise", "doctor"):
        (launch / f"{name}.sh").write_text(SCRIPT)
        (launch / f"{name}.sh").chmod(0o755)
    for name in NAMES:
        (launch / f"{name}.h5").write_text(name)
        made.says(name)
    write_draws(tmp_path, uniform(1, 100, 1000))
    monkeypatch.setattr(pipeline, "_launch", lambda: launch)
    monkeypatch.setattr(pipeline, "NAP", 0.01)
    monkeypatch.setattr(step, "listen_for_signals", lambda _: None)
    return made


# -- what runs ----------------------------------------------------------------------------------------------------------


def test_all_steps_in_order_each_in_its_folder(rig: Rig) -> None:
    code, said = rig()
    assert (code, rig.started) == (0, NAMES)
    assert [each["state"] for each in rig.summary["steps"]] == ["done"] * len(STAGES)
    for stage in STAGES:
        folder = rig.run_folder / f"{stage.number}-{stage.name}"
        assert {"summary.json", "results.h5", "log.txt", "pipeline.toml"} <= {path.name for path in folder.iterdir()}
        assert str(folder / "log.txt") in said
    kinds = [event["kind"] for event in events(rig.run_folder)]
    assert kinds == ["start", *["step_started", "step_ended"] * len(STAGES), "final"]
    assert (rig.summary["verdict"], rig.summary["exit_code"]) == ("signal", 0)
    assert "SIGNAL: step 5-anti_overfit: gate open: 9 of 10 draws" in said


def test_its_report_has_the_steps_and_links_to_theirs(rig: Rig) -> None:
    rig()
    (rig.run_folder / "2-sieve" / "report.html").write_text("")
    made = report.compose(rig.run_folder)
    text = page.html(made)
    assert (made.label, made.tone, made.title) == ("signal", "found", "A signal")
    assert "gate open: 9 of 10 draws" in made.sentences[0]
    assert re.findall(r'href="([^"]*)"', text) == ["2-sieve/report.html"]
    for stage in STAGES:
        assert f">{stage.name}</td>" in text
    # Of steps that have a report those that are not written are named with the command.
    commands = re.findall(r"prng_mpi.report ([^<]*)", text)
    assert [Path(each).name for each in commands] == ["1-window_optimizer", "2.5-scorer_meta", "5-anti_overfit"]


def test_only_some_steps(rig: Rig) -> None:
    rig("--end-step", 2)
    assert rig.started == ["window_optimizer", "sieve"]
    rig("--start-step", "sieve", "--end-step", 2, chunk_seconds=2)
    assert rig.started == []
    rig("--start-step", 2, "--end-step", 2, max_survivors=1e5)
    assert rig.started == ["sieve"]


def test_what_is_unchanged_is_not_run_again(rig: Rig) -> None:
    rig()
    assert rig.started == NAMES
    code, said = rig()
    assert (code, rig.started, said.count(" unchanged: ")) == (0, [], len(STAGES))
    # Devices and limits change no result.
    rig(chunk_seconds=2, device="cpu", time_limit="3h")
    assert rig.started == []
    rig(sieve={"threshold": 0.4})
    assert rig.started == ["sieve"]
    aside = [path.name for path in (rig.run_folder / "earlier").iterdir()]
    assert len(aside) == 1 and aside[0].startswith("2-sieve-")


def test_other_results_of_a_step_run_those_that_read_them(rig: Rig) -> None:
    rig()
    rig.says("sieve", payload_hash="another")
    rig.started  # noqa: B018
    rig(sieve={"threshold": 0.4})
    # These wrote what they had written before, so step 4 has nothing to do.
    assert rig.started == ["sieve", "scorer_meta", "full_scoring"]


def test_another_history_needs_another_folder(rig: Rig) -> None:
    rig("--end-step", 1)
    write_draws(rig.folder, uniform(2, 100, 1000))
    with pytest.raises(UsageError, match="draws"):
        rig("--end-step", 1)


def test_a_summary_that_a_kill_cut_off_is_no_end(rig: Rig) -> None:
    rig()
    rig.started  # noqa: B018
    (rig.run_folder / "2-sieve" / "summary.json").unlink()
    rig()
    assert rig.started == ["sieve"]
    assert not (rig.run_folder / "earlier").exists()


# -- parameters ---------------------------------------------------------------------------------------------------------


def stored(rig: Rig, folder: str) -> Any:
    name = folder.partition("-")[2]
    return config.from_toml(step.options_of(name), (rig.run_folder / folder / "pipeline.toml").read_text())


def test_the_optimum_goes_to_the_sieve_and_own_parameters_go_before_it(rig: Rig) -> None:
    rig("--modulus", 1000, threshold="0.3:0.6", sieve={"skip_max": 7})
    asked = stored(rig, "2-sieve")
    assert (asked.seeds, asked.window, asked.threshold, asked.skip_max) == ("0:1000", 20, 0.5, 7)
    assert stored(rig, "1-window_optimizer").threshold == "0.3:0.6"


def test_parameters_from_toml_are_typed_as_the_steps_type_them(rig: Rig) -> None:
    path = rig.folder / "params.toml"
    path.write_text('trials = 120\nseed_end = "2**20"\n[window_optimizer]\nskip = "0:3"\n[pipeline]\nnp = 3\n')
    rig("--params", path, "--end-step", 1)
    asked = stored(rig, "1-window_optimizer")
    assert (asked.trials, asked.seed_end, asked.skip) == (120, 2**20, "0:3")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ('{"trails": 3}', "no step has an option trails to set .did you mean 'trials'"),
        ('{"trials": "many"}', "--params, for window_optimizer: trials: 'many' is not an integer"),
        ('{"trials": 1.5}', "trials: '1.5' is not an integer"),
        ('{"siev": {"threshold": 1}}', "there is no step siev .did you mean 'sieve'"),
        ('{"sieve": {"treshold": 1}}', "unknown key 'treshold' .did you mean 'threshold'"),
        ('{"output_dir": "x"}', "no step has an option output_dir to set"),
        ('{"recipe": "x"}', "recipe has a flag of its own, --recipe"),
        ('{"anti_overfit": {"scores": "x"}}', "scores is the pipeline's to give"),
        ('{"sieve": {"draws": "x"}}', "draws is the pipeline's to give"),
        ("{trials: 3}", "no JSON object and no TOML file"),
        ("none.toml", "neither a JSON object nor a file that can be read"),
    ],
)
def test_parameters_that_are_refused(params: str, said: str, rig: Rig) -> None:
    with pytest.raises(UsageError, match=said):
        rig("--params", params)
    assert rig.started == []
    assert not rig.run_folder.exists()


def test_one_name_may_be_an_option_here_and_an_input_there(rig: Rig) -> None:
    rig(models=["lightgbm"])
    assert stored(rig, "5-anti_overfit").models == ("lightgbm",)
    assert stored(rig, "6-predict").models == rig.run_folder / "5-anti_overfit"


def test_a_sieve_alone_has_one_recipe(rig: Rig) -> None:
    with pytest.raises(UsageError, match="searches for one recipe"):
        rig("--start-step", 2, "--recipe", "java.nextInt,lcg.mod")
    code, _ = rig("--start-step", 2, "--end-step", 2, window=20)
    assert (code, rig.summary["verdict"], stored(rig, "2-sieve").recipe) == (0, "signal", "java.nextInt")


def test_ranks_and_hosts_are_passed_on(rig: Rig) -> None:
    rig("--np", 3, "--hostfile", rig.folder / "hosts", "--end-step", 1)
    calls = (rig.folder / "launch" / "calls").read_text().splitlines()
    assert calls == [f"{name} HOSTFILE={rig.folder}/hosts NP=3" for name in ("doctor", "window_optimizer")]


def test_the_pool_is_what_chance_leaves(tmp_path: Path) -> None:
    draws = write_draws(tmp_path, planted.noisy(200))
    sieve = step.options_of("sieve")
    options = sieve(
        draws=str(draws), recipe="java.nextInt", seeds="0:4000000", window=50, skip_max=5, offset_max=9, threshold=0.6
    )
    for pool in (10, 10_000):
        threshold = pipeline.loosened(options, pool)
        history = pipeline.read_history(draws)
        asked = pipeline.Asked(1000, threshold, 0, 50, "forward", (0, 5), (0, 9), None)
        search = pipeline.windows.search(pipeline.recipe("java.nextInt"), {}, history, asked)[0]
        assert pool / 10 < search.plan(threshold, 4_000_000).expected_survivors < pool * 10
    # Never above the optimum's own, which has what it found.
    assert pipeline.loosened(options, 1e-90) == 0.6


# -- how it ends --------------------------------------------------------------------------------------------------------


def test_no_signal_is_an_end(rig: Rig) -> None:
    rig.says("window_optimizer", 1, verdict="chance")
    code, said = rig()
    assert (code, rig.started) == (1, ["window_optimizer"])
    assert "NO SIGNAL: step 1-window_optimizer" in said and "--go-on" in said
    assert rig.summary["verdict"] == "no signal"
    assert [each["state"] for each in rig.summary["steps"]][1:] == ["not run"] * (len(STAGES) - 1)


def test_go_on_over_no_signal(rig: Rig) -> None:
    rig.says("window_optimizer", 1, verdict="chance")
    # The sieve finds what many trials have chosen, so it is no witness.
    assert rig("--go-on", "--end-step", 4)[0] == 1
    assert rig("--go-on")[0] == 0
    assert rig.started == NAMES
    # The last gate has the last word.
    rig.says("anti_overfit", 1, verdict="no signal", gate="closed")
    code, _ = rig("--go-on", anti_overfit={"trials": 3})
    assert (code, rig.summary["verdict"]) == (1, "no signal")
    assert rig.started == ["anti_overfit"]
    assert rig(anti_overfit={"trials": 3})[1].count("NO SIGNAL: step 1-") == 1


def test_steps_that_tell_nothing_give_no_verdict(rig: Rig) -> None:
    rig()
    assert rig("--start-step", 3, "--end-step", 4)[0] == 0
    assert rig.summary["verdict"] == "done"


def test_a_second_look_at_the_test_is_told(rig: Rig) -> None:
    rig.does("anti_overfit", "touch $out/test.json")
    assert "looks at the same draws" not in rig()[1]
    said = rig(anti_overfit={"trials": 3})[1]
    assert "2 looks at the same draws" in said and rig.summary["test_looks"] == 2


def test_every_look_counts(rig: Rig) -> None:
    pool = SUMMARIES["anti_overfit"]["pool"]
    rig.says("anti_overfit", pool=pool | {"log10_p": -3.2})
    assert rig()[0] == 0
    # Step 1 looked in vain before.
    rig.says("window_optimizer", 1, verdict="chance")
    code, said = rig("--go-on", window_optimizer={"trials": 3})
    assert code == 1 and "finds no more than chance gives in 2 looks" in said
    rig.says("anti_overfit", pool=pool | {"log10_p": -3.4})
    assert rig("--go-on", window_optimizer={"trials": 3}, anti_overfit={"trials": 3})[0] == 0


def test_without_a_survivor_there_is_nothing_to_learn_from(rig: Rig) -> None:
    rig.says("sieve", 1, survivors=0, verdict="chance")
    assert rig()[0] == 1
    assert rig.started == NAMES[:2]


@pytest.mark.parametrize("code", [2, 3, 5, 6, 7, 8, 9])
def test_the_first_failed_step_is_the_end_and_says_why(code: int, rig: Rig) -> None:
    rig.does("sieve", f"echo 'prng_mpi: the disk is full'; echo; exit {code}")
    ended, said = rig()
    assert (ended, rig.started) == (code, NAMES[:2])
    assert "the disk is full" in said and "UNFINISHED" in said
    assert "before it SIGNAL, step 1-window_optimizer: best objective 9.0" in said
    assert [each["state"] for each in rig.summary["steps"]][:2] == ["done", "failed"]
    assert events(rig.run_folder)[-1]["exit_code"] == code
    # The same command goes on there.
    rig.does("sieve", "")
    assert rig()[0] == 0
    assert rig.started == NAMES[1:]


def test_a_script_that_a_signal_ends_is_aborted(rig: Rig) -> None:
    rig.does("sieve", "kill -9 $$")
    assert rig()[0] == ExitCode.ABORTED


def test_a_step_has_its_time(rig: Rig) -> None:
    rig.does("window_optimizer", "trap 'exit 5' INT; while true; do sleep 0.05; done")
    began = time.monotonic()
    code, said = rig("--time-limit", 0.5)
    assert code == ExitCode.TIME_LIMIT and time.monotonic() - began < 5
    assert "until" in said and "TIME LIMIT" in said


def test_a_step_that_hears_nothing_is_ended(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "DRAIN", 0.2)
    monkeypatch.setattr(pipeline, "END", 0.2)
    rig.does("window_optimizer", "trap '' INT TERM; while true; do sleep 0.05; done")
    assert rig("--time-limit", 0.2)[0] == ExitCode.ABORTED


# -- before it starts ---------------------------------------------------------------------------------------------------


def test_what_the_doctor_finds_is_told_and_may_stop_it(rig: Rig) -> None:
    rig.does("doctor", "echo 'warn  shm  old segments'; code=6")
    code, said = rig("--end-step", 1)
    assert code == 0 and "old segments" in said
    rig.started  # noqa: B018
    rig.does("doctor", "echo 'STOP  versions  rig1 is older'; code=2")
    code, said = rig()
    assert (code, rig.started) == (2, [])
    assert "rig1 is older" in said


def test_a_package_that_is_missing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"step 1-window_optimizer needs optuna.*mpi,models"):
        rig()
    with pytest.raises(UsageError, match=r"step 5-anti_overfit needs .*torch or lightgbm"):
        rig("--start-step", 5)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--draws", "none.json"), "none.json"),
        (("--draws", "-"), "must be a file"),
        (("--start-step", 6, "--end-step", 1), "comes after"),
        (("--start-step", 6), "needs the results of step 5-anti_overfit"),
    ],
)
def test_what_is_refused_before_anything_starts(argv: tuple[object, ...], said: str, rig: Rig) -> None:
    with pytest.raises(UsageError, match=said):
        rig(*argv)
    assert rig.started == []


def test_a_step_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"'siev' is no step .did you mean 'sieve'"):
        config.load(PipelineOptions, ["--end-step", "siev"], environ={})


def test_a_dry_run_starts_nothing(rig: Rig) -> None:
    code, said = rig("--dry-run")
    assert (code, rig.started, rig.run_folder.exists()) == (0, [], False)
    assert all(f"{stage.name}" in said for stage in STAGES) and "max_per_host" in said
    assert said.count("would run") == len(STAGES)
    rig("--end-step", 2)
    said = rig("--dry-run")[1]
    assert (said.count("inputs unchanged"), said.count("would run")) == (2, len(STAGES) - 2)


# -- as a process -------------------------------------------------------------------------------------------------------


def start(rig: Rig, *argv: object) -> subprocess.Popen[str]:
    """The pipeline as a process of its own, over the scripts of a rig."""
    words = ["--draws", rig.folder / "draws.json", "--recipe", "java.nextInt", "--output-dir", rig.run_folder, *argv]
    patch = (
        "from pathlib import Path; from prng_mpi import pipeline, step\n"
        f"pipeline._launch = lambda: Path({str(rig.folder / 'launch')!r})\nstep.alone(pipeline.PipelineOptions, pipeline.run)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", patch, *map(str, words)], env=environment(), cwd=TOP, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def test_ctrl_c_drains_the_step_and_ends_the_pipeline(rig: Rig) -> None:
    rig.does("window_optimizer", f"trap 'exit 5' INT; touch {rig.folder}/up; while true; do sleep 0.05; done")
    with start(rig) as process:
        until((rig.folder / "up").exists, 20, "not started")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == ExitCode.STOPPED
    assert rig.summary["exit_code"] == ExitCode.STOPPED
    assert "stopped by the user" in rig.summary["steps"][0]["statement"]


def test_a_killed_pipeline_leaves_no_step_behind(rig: Rig) -> None:
    rig.does("window_optimizer", f"echo $$ > {rig.folder}/up; while true; do sleep 0.05; done")
    with start(rig) as process:
        until(lambda: (rig.folder / "up").exists() and (rig.folder / "up").read_text(), 20, "not started")
        process.kill()
    pid = int((rig.folder / "up").read_text())
    until(lambda: not Path(f"/proc/{pid}").exists(), 5, "the step lives on")
    assert not (rig.run_folder / "summary.json").exists()


def test_it_holds_no_mpi_and_no_gpu_library() -> None:
    heavy = "mpi4py cupy torch optuna lightgbm xgboost catboost matplotlib h5py"
    code = (
        "import sys\nfrom prng_mpi import pipeline, step\n"
        "for name in ['doctor', *(s.name for s in pipeline.STAGES)]: step.options_of(name)\n"
        f"print(*[m for m in {heavy!r}.split() if m in sys.modules])"
    )
    done = spawn.run([sys.executable, "-c", code], env=environment())
    assert (done.status, done.output.strip()) == (0, "")


# -- over mpirun ----------------------------------------------------------------------------------------------------------


def over_mpirun(folder: Path, draws: list[int], *words: object, **params: Any) -> spawn.Finished:
    """A small pipeline as a user starts it, on two ranks; seeds around the planted one."""
    seeds = f"{planted.SEED - 10_000}:{planted.SEED + 10_000}"
    given = {
        "seeds": seeds, "device": "cpu", "direction": ["forward"],
        "window_optimizer": {"trials": 6, "window": "30:40", "window_start": "0", "skip": "3", "threshold": "0.5"},
        "scorer_meta": {"trials": 4, "plants": 8, "chance": 16},
        "anti_overfit": {"trials": 2, "models": ["lightgbm"]},
    } | params  # fmt: skip
    flags = ["--draws", write_draws(folder, draws), "--recipe", "java.nextInt", "--np", 2, "--output-dir", folder / "run", "--pool", 50,
             "--params", json.dumps(given), *words]  # fmt: skip
    return spawn.run([sys.executable, "-m", "prng_mpi.pipeline", *map(str, flags)], 250, environment())


def test_a_planted_seed_through_all_steps(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    done = over_mpirun(tmp_path, planted.noisy(900))
    assert done.status == 0, done.output
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["verdict"] == "signal" and {each["state"] for each in summary["steps"]} == {"done"}
    predicted = json.loads((tmp_path / "run" / "6-predict" / "summary.json").read_text())
    low, high = predicted["backtest"]["first_ranked_interval"]
    assert predicted["first_ranked"]["seed"] == planted.SEED and low < 0.7 < high
    look = spawn.run(
        [sys.executable, "-m", "prng_mpi.status", str(tmp_path / "run" / "5-anti_overfit")], env=environment()
    )
    assert look.status == 0 and "3 of 3 trials" in look.output
    again = over_mpirun(tmp_path, planted.noisy(900))
    assert again.output.count(" unchanged: ") == len(STAGES)


def test_noise_through_all_steps(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    done = over_mpirun(tmp_path, uniform(3, 900, 1000), "--go-on")
    assert done.status == ExitCode.NOTHING_FOUND, done.output
    steps = json.loads((tmp_path / "run" / "summary.json").read_text())["steps"]
    told = {each["name"]: each["exit_code"] for each in steps}
    assert (told["window_optimizer"], told["anti_overfit"], told["predict"]) == (1, 1, 1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_planted_seed_among_ten_thousand(tmp_path: Path) -> None:
    draws = write_draws(tmp_path, planted.noisy())
    passed = truths.through(draws, tmp_path / "run", params=truths.PARAMS)
    assert truths.planted_failures(passed) == [], passed.output
