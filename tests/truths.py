"""Histories whose truth is known through the whole pipeline: a planted seed is to be found, and nothing in draws of chance.

python tests/truths.py --planted
python tests/truths.py --random 10 --real draws.json

Prints a row of a Markdown table for each history as it ends. Draws of chance go on past each gate, so that the last step is seen
as well. Exits with 1 where a truth was missed."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import planted
from prng_mpi.errors import ExitCode
from support import TOP, environment, uniform, write_draws

# What a planted seed is found with, and what chance is given; studies of chance are small, since there are many.
PARAMS = {"window_optimizer": {"trials": 24, "seed_end": 8_000_000}, "device": "cpu"}
SMALL = {
    "window_optimizer": {"trials": 16, "seed_end": 1_000_000}, "scorer_meta": {"trials": 8, "plants": 32}, "anti_overfit": {"trials": 8},
    "device": "cpu",
}  # fmt: skip
COLUMNS = ("history", "draws", "step 1: objective, decoys", "survivors, chance", "step 5: pool, p", "AUC (luck)", "R^2 (luck)",
           "step 6", "verdict", "seconds")  # fmt: skip


@dataclass(frozen=True)
class Passed:
    """A history that has been through: exit code, folder of the pipeline, and seconds."""

    code: int
    folder: Path
    seconds: float
    output: str

    def said(self, name: str) -> dict[str, Any]:
        """The summary of a step, {} where it did not run."""
        found = list(self.folder.glob(f"*-{name}/summary.json"))
        return dict(json.loads(found[0].read_text())) if found else {}


def through(
    draws: Path, folder: Path, *words: object, params: dict[str, Any] | None = None, timeout: float = 3600
) -> Passed:
    """Run the pipeline on a history, on two ranks."""
    given = ["--draws", draws, "--recipe", "java.nextInt", "--np", 2, "--output-dir", folder, *words]
    command = [
        sys.executable,
        "-m",
        "prng_mpi.pipeline",
        *map(str, given),
        "--params",
        json.dumps(PARAMS | (params or {})),
    ]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=TOP, env=environment(), timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )  # fmt: skip
    return Passed(done.returncode, folder, time.monotonic() - began, done.stdout)


def row(name: str, count: int, passed: Passed) -> list[str]:
    """What the steps said of a history."""
    first, sieve, learnt, last = (
        passed.said(step) for step in ("window_optimizer", "sieve", "anti_overfit", "predict")
    )
    best, decoys = first["best"]["objective"], first["decoys"]["best_objective"]
    cells = [name, str(count), f"{best:.1f}, {decoys:.1f}"]
    cells.append(f"{sieve['survivors']}, {sieve['expected_by_chance']:.0f}" if sieve else "-")
    if learnt:
        pool, model = learnt["pool"], learnt["models"][learnt["chosen"]]
        cells.append(f"{pool['hits']} of {pool['draws']}, {10 ** max(pool['log10_p'], -300):.2g}")
        cells += [f"{model[m]:.4f} ({model[f'{m}_low']:.4f} to {model[f'{m}_high']:.4f})" for m in ("auc", "r2")]
    else:
        cells += ["-"] * 3
    cells.append(last.get("verdict", "-"))
    if past := last.get("backtest"):
        low, high = past["first_ranked_interval"]
        cells[-1] += (
            f": seed {last['first_ranked']['seed']} first, {past['first_ranked_hits']} of {past['draws']} ({low:.1%} to {high:.1%})"
        )
    return [
        *cells,
        json.loads((passed.folder / "summary.json").read_text())["verdict"],
        f"{passed.seconds:.0f}",
    ]


def planted_failures(passed: Passed) -> list[str]:
    """What is wrong with how a history with a planted seed went through."""
    last = passed.said("predict")
    if passed.code != ExitCode.FOUND or "backtest" not in last:
        return [f"exit code {passed.code}"]
    low, high = last["backtest"]["first_ranked_interval"]
    wrong = (
        [] if last["first_ranked"]["seed"] == planted.SEED else [f"seed {last['first_ranked']['seed']} is ranked first"]
    )
    return wrong if low <= 0.7 <= high else [*wrong, f"hit rate {low:.1%} to {high:.1%}, and not 70 %"]


def null_failures(passed: Passed) -> list[str]:
    """What is wrong with how a history of chance went through."""
    first, learnt = passed.said("window_optimizer"), passed.said("anti_overfit")
    wrong = []
    if passed.code != ExitCode.NOTHING_FOUND:
        wrong.append(f"exit code {passed.code}")
    if first.get("exit_code") != ExitCode.NOTHING_FOUND or first["decoys"]["real_above"]:
        wrong.append("step 1 finds a signal")
    if learnt.get("gate") != "closed":
        wrong.append(f"the gate is {learnt.get('gate')}")
    for name, model in learnt.get("models", {}).items():
        wrong += [f"{m} of {name} is above luck" for m in ("auc", "r2") if model[m] > model[f"{m}_high"]]
    if passed.said("predict").get("exit_code") == ExitCode.FOUND:
        wrong.append("step 6 predicts")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--planted", action="store_true", help="a java.util.Random with 30 %% of its draws replaced")
    parser.add_argument("--random", type=int, default=0, help="so many histories of chance, of --draws draws")
    parser.add_argument("--draws", type=int, default=1500, help="draws of a random history")
    parser.add_argument("--real", type=Path, action="append", default=[], help="a history that is taken for chance")
    parser.add_argument("--folder", type=Path, default=None)
    o = parser.parse_args()
    top = o.folder or Path(tempfile.mkdtemp(prefix="truths"))
    os.makedirs(top, exist_ok=True)
    print(f"in {top}\n\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
    bad = []
    if o.planted:
        passed = through(write_draws(top / "planted", planted.noisy()), top / "planted" / "run", params=PARAMS)
        print(f"| {' | '.join(row('planted', len(planted.DRAWS), passed))} |", flush=True)
        bad += [f"planted: {text}" for text in planted_failures(passed)]
    chance = [
        (f"random {n}", write_draws(top / f"random{n}", uniform(1000 + n, o.draws, 1000))) for n in range(o.random)
    ]
    for name, path in [*((path.stem, path) for path in o.real), *chance]:
        passed = through(path, top / name.replace(" ", "") / "run", "--go-on", "--pool", 2000, params=SMALL)
        count = len(json.loads(path.read_text()))
        print(f"| {' | '.join(row(name, count, passed))} |", flush=True)
        bad += [f"{name}: {text}" for text in null_failures(passed)]
    print("\n" + "\n".join(bad or ["every truth was told"]))
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
