"""Floor 3: the pipeline. Steps 1 to 6 one after another in one folder, each a job of its own; only what changed runs again.

python -m prng_mpi.pipeline --draws draws.json --recipe java.nextInt --np 2 --params '{"trials": 120}'

It holds no MPI and no GPU library: it starts `launch/supervise.sh STEP` and believes the summary.json of each step's folder."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import prng_mpi
from prng_mpi import config, hybrid, kernels, spaces, spawn, step, windows
from prng_mpi.admission import limits_of, step_named
from prng_mpi.config import option, parse_seconds
from prng_mpi.display import duration, on_terminal, say
from prng_mpi.errors import EXIT_MEANINGS, ExitCode, IntegrityError, PrngError, UsageError, suggestion
from prng_mpi.history import read_history
from prng_mpi.ledger import Ledger, identity_hash
from prng_mpi.recipes import recipe
from prng_mpi.statistics import STRONG_LOG10, format_count, format_log10, need_for
from prng_mpi.store import EventLog, write_json, write_text
from prng_mpi.windows import Asked

# What another start with the same options need not do again.
COMPLETE = (ExitCode.FOUND, ExitCode.NOTHING_FOUND)
# What it goes on from as it is.
RESUMABLE = (ExitCode.ABORTED, ExitCode.TIME_LIMIT, ExitCode.STOPPED, ExitCode.LOST_HOSTS)
# Seconds: between looks at a step; between lines where there is no terminal; for a step to end in good order once it was
# asked to, and at once; for the doctor.
NAP, LINE_SECONDS, DRAIN, END, DOCTOR_SECONDS = 0.2, 60.0, 120.0, 30.0, 600.0
# Options that the pipeline gives itself, and sections whose options change no result.
GIVEN = ("output_dir", "resume", "dry_run", "show_config", "json")
FLAGS = ("draws", "modulus", "recipe")
NO_RESULT = ("Devices", "Run")
# What the optimum of step 1 says in place of a plain parameter.
OPTIMUM = ("recipe", "param", "sessions", "window_start", "window", "direction", "hybrid", "max_misses", "skip_min", "skip_max",
           "offset_min", "offset_max", "threshold", "seeds", "seed_start", "seed_end")  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """A step of the pipeline.

    number: as users say it; inputs: options that name folders of earlier steps; spare: those of them that it can do without;
    tells: its exit code tells signal from noise; gate: and where there is none, the later steps have nothing to learn;
    packages: that root must have, A|B is either."""

    number: str
    name: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    spare: tuple[str, ...] = ()
    tells: bool = False
    gate: bool = False
    packages: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.number}-{self.name}"

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed here."""
        return [
            words.replace("|", " or ")
            for words in self.packages
            if not any(importlib.util.find_spec(name) for name in words.split("|"))
        ]


STAGES = (
    Stage("1", "window_optimizer", tells=True, gate=True, packages=("optuna",)),
    Stage("2", "sieve", tells=True),
    Stage("2.5", "scorer_meta", {"survivors": "sieve"}, packages=("optuna",)),
    Stage("3", "full_scoring", {"survivors": "sieve", "optimizer": "window_optimizer", "scorer": "scorer_meta"}, ("optimizer", "scorer")),
    Stage("4", "adaptive_meta", {"scores": "full_scoring"}),
    Stage("5", "anti_overfit", {"scores": "full_scoring", "plan": "adaptive_meta"}, tells=True, gate=True,
          packages=("optuna", "matplotlib", "torch|lightgbm|xgboost|catboost")),
    Stage("6", "predict", {"models": "anti_overfit"}),
)  # fmt: skip
NAMES = {word: place for place, stage in enumerate(STAGES) for word in (stage.number, stage.name)}


def _place(text: str) -> str:
    if text not in NAMES:
        raise ValueError(f"{text!r} is no step{suggestion(text, NAMES)}; there are {', '.join(map(str, STAGES))}")
    return text


@dataclass(frozen=True)
class PipelineOptions:
    """Run steps 1 to 6 on a draw history: which window has evidence, which seeds survive there, and do they predict?"""

    STEP: ClassVar[str] = "pipeline"

    draws: Path | None = option(None, "draw history: JSON, CSV or text", metavar="FILE", section="Data")
    modulus: int = option(1000, "draws are in [0, M)", metavar="M", section="Data")
    recipe: tuple[str, ...] = option((), "what may have made the draws", metavar="NAME", section="Data")
    start_step: str = option("1", "first step, by number or name", parse=_place, metavar="STEP", section="Steps")
    end_step: str = option("6", "last step", parse=_place, metavar="STEP", section="Steps")
    params: str = option(
        "", "options of the steps: a JSON object, or a TOML file; those in a table of a step's name are for that step, the others for "
        "every step that has them", metavar="PARAMS", section="Steps",
    )  # fmt: skip
    pool: float = option(
        1e4, "step 2 lowers the threshold of step 1's optimum until chance alone leaves about so many seeds, to be compared with; "
        "0: leave it", minimum=0, maximum=1e6, section="Steps",
    )  # fmt: skip
    go_on: bool = option(False, "go on where a step finds no signal, to see what models make of noise", section="Steps")
    hostfile: Path | None = option(
        None, "the hostfile that mpirun gets; not set: this host", metavar="FILE", env="HOSTFILE", section="Ranks"
    )
    np: int | None = option(
        None, "ranks; not set: one for each slot or core", minimum=1, env="NP", metavar="N", section="Ranks"
    )
    time_limit: float | None = option(
        None, "stop a step that takes longer (90, 10m, 3h) in good order, exit 4; the same command resumes", parse=parse_seconds,
        metavar="TIME", section="Run",
    )  # fmt: skip
    output_dir: Path | None = option(
        None, "folder of all steps; not set: results/pipeline-DRAWS", metavar="DIR", section="Run"
    )
    dry_run: bool = option(False, "say what would run, and exit", section="Run")
    show_config: bool = option(False, "print every value and where it comes from, and exit", section="Run")


@dataclass(frozen=True)
class Ground:
    """What all steps share. draws: hash of their file; plain: raw parameters for every step that has them; tables: those of
    one step; source: where they stand."""

    o: PipelineOptions
    folder: Path
    draws: str
    plain: dict[str, Any]
    tables: dict[str, dict[str, Any]]
    source: str

    def of(self, stage: Stage) -> Path:
        return self.folder / str(stage)

    def given(self, name: str, taken: tuple[str, ...] = ()) -> dict[str, Any]:
        """Values of a step's options as the user gave them; plain parameters in `taken` are not for it. Raises UsageError."""
        known = {entry.name: entry for entry in config.describe(step.options_of(name))}
        plain = {key: raw for key, raw in self.plain.items() if key in settable(name) and key not in taken}
        values = config.judge(step.options_of(name), plain, f"{self.source}, for {name}")
        if "draws" in known:
            values["draws"] = self.o.draws if known["draws"].leaf is Path else str(self.o.draws)
        # What reads earlier results knows these from there.
        if name in NAMES and not STAGES[NAMES[name]].inputs:
            values["modulus"] = self.o.modulus
            if "recipe" not in taken and self.o.recipe:
                values["recipe"] = self.o.recipe if known["recipe"].shape == "list" else _one(self.o.recipe, name)
        return values | self.own(name)

    def own(self, name: str) -> dict[str, Any]:
        """Values that the user gave to one step alone. Raises UsageError."""
        return config.judge(step.options_of(name), self.tables.get(name, {}), f"{self.source}: [{name}]")


def _one(recipes: tuple[str, ...], name: str) -> str:
    if len(recipes) > 1:
        raise UsageError(
            f"{name} searches for one recipe: name one of {', '.join(recipes)}, or start with step 1, which chooses"
        )
    return recipes[0]


def settable(name: str) -> set[str]:
    """Options of a step that are the user's to set by --params."""
    inputs = STAGES[NAMES[name]].inputs if name in NAMES else {}
    return {entry.name for entry in config.describe(step.options_of(name))} - {*GIVEN, *FLAGS, *inputs}


@dataclass(frozen=True)
class Task:
    """A step that is ready to start. text: its options as TOML; fingerprint: of all that its results depend on."""

    stage: Stage
    folder: Path
    text: str
    fingerprint: str


@dataclass
class Told:
    """What became of a step. state: unchanged (done before), done, failed, or not run; reason: why it failed."""

    stage: Stage
    state: str = "not run"
    code: ExitCode | None = None
    reason: str = ""
    seconds: float = 0.0
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def ends(self) -> bool:
        """Whether there is no signal, and so nothing to learn for later steps."""
        return self.stage.gate and self.code is ExitCode.NOTHING_FOUND

    @property
    def barren(self) -> bool:
        """Whether it was to leave survivors, and left none."""
        return self.code in COMPLETE and self.summary.get("survivors") == 0


# -- before anything starts -----------------------------------------------------------------------------------------------


def prepare(o: PipelineOptions) -> tuple[Ground, list[Stage]]:
    """Read what was asked for, and refuse here what a step would refuse later. Raises UsageError."""
    if o.draws is None:
        raise UsageError("--draws FILE is missing: name the draw history")
    if str(o.draws) == "-":
        raise UsageError("--draws -: several steps read the draws, so they must be a file")
    first, last = NAMES[o.start_step], NAMES[o.end_step]
    if first > last:
        raise UsageError(f"--start-step {o.start_step} comes after --end-step {o.end_step}")
    chosen = list(STAGES[first : last + 1])
    read_history(o.draws, partial=True)
    digest = hashlib.sha256(o.draws.read_bytes()).hexdigest()
    plain, tables, source = _parameters(o.params)
    folder = o.output_dir or Path("results") / f"pipeline-{digest[:8]}"
    ground = Ground(o, folder, digest, plain, tables, source)
    if first == 0 and not o.recipe:
        raise UsageError(
            "--recipe NAME[,NAME] is missing: name what may have made the draws; python -m prng_mpi lists recipes"
        )
    for name in ("doctor", *(stage.name for stage in chosen)):
        ground.given(name, OPTIMUM if name == "sieve" and _has_optimum(ground, chosen) else ())
    for stage in chosen:
        if stage.missing:
            raise UsageError(
                f"step {stage} needs {', '.join(stage.missing)}, not installed here; launch/setup.sh mpi,models installs it"
            )
        for before in (STAGES[NAMES[name]] for key, name in stage.inputs.items() if key not in stage.spare):
            if before not in chosen and _summary(ground.of(before)).get("exit_code") not in COMPLETE:
                raise UsageError(
                    f"step {stage} needs the results of step {before}, and {ground.of(before)} has none: start there"
                )
    if not _launch().is_dir():
        raise UsageError(f"the launch scripts are not at {_launch()}; use a checkout or an installation that has them")
    return ground, chosen


def _parameters(text: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]], str]:
    """(plain parameters, those in tables of steps, where they stand). Raises UsageError."""
    source = "--params" if text.lstrip().startswith("{") or not text else text
    try:
        # Decimals, since a float would lose digits of an integer written as 4.3e18.
        if source == "--params":
            data = json.loads(text or "{}", parse_float=Decimal)
        else:
            data = tomllib.loads(Path(text).read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise UsageError(
            f"--params {text} is neither a JSON object nor a file that can be read ({error.strerror})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source}: it is no JSON object and no TOML file: {error}") from error
    names = [stage.name for stage in STAGES]
    tables = {key: data.pop(key) for key in ["doctor", *names] if isinstance(data.get(key), dict)}
    # The pipeline's own table is for --config, which may name the same file.
    if isinstance(data.get(PipelineOptions.STEP), dict):
        del data[PipelineOptions.STEP]
    plain = {key.replace("-", "_"): raw for key, raw in data.items()}
    known = set().union(*(settable(name) for name in names))
    for key, raw in plain.items():
        if key in FLAGS:
            raise UsageError(f"{source}: {key} has a flag of its own, --{key}")
        if isinstance(raw, dict) and key not in known:
            raise UsageError(f"{source}: there is no step {key}{suggestion(key, names)}; there are {', '.join(names)}")
        if key not in known:
            raise UsageError(
                f"{source}: no step has an option {key} to set{suggestion(key, known)}; remove or correct it"
            )
    for name, table in tables.items():
        every = {entry.name for entry in config.describe(step.options_of(name))}
        for key in table:
            if key.replace("-", "_") in every - settable(name):
                raise UsageError(f"{source}: [{name}] {key} is the pipeline's to give")
    return plain, tables, source


def _has_optimum(ground: Ground, chosen: list[Stage]) -> bool:
    return STAGES[0] in chosen or "exit_code" in _summary(ground.of(STAGES[0]))


def _launch() -> Path:
    """The launch scripts of a checkout or an installation, which lie beside the kernels."""
    return kernels.folder().parent / "launch"


def _summary(folder: Path) -> dict[str, Any]:
    """What summary.json says, {} where there is none. Raises IntegrityError."""
    try:
        return dict(json.loads((folder / "summary.json").read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(
            f"{folder}/summary.json can't be read ({error}): move {folder} away, and the step runs anew"
        ) from error


def examine(ground: Ground) -> bool:
    """Have the doctor look at the hosts, tell what it warns of. Raises UsageError where a run would go wrong."""
    path = ground.folder / "doctor"
    words = config.to_toml(step.options_of("doctor")(**ground.given("doctor") | {"output_dir": path}))
    path.mkdir(parents=True, exist_ok=True)
    write_text(path / "pipeline.toml", words)
    log, begun = path / "log.txt", time.monotonic()
    log.unlink(missing_ok=True)
    process = _start(ground.o, ["bash", str(_launch() / "doctor.sh"), "--config", str(path / "pipeline.toml")], log)
    code = _watch(process, begun, DOCTOR_SECONDS, log, "doctor")
    said = log.read_text(errors="replace").splitlines()
    say(sys.stdout, [("doctor", line) for line in said if line.startswith("warn")])
    if code not in (ExitCode.FOUND, ExitCode.GAPS):
        found = [line for line in said if line.startswith("STOP")] or [_last(log)]
        raise UsageError("; ".join(found) + f"; nothing was started, the doctor's log is {log}")
    return True


# -- one step -------------------------------------------------------------------------------------------------------------


def task(ground: Ground, stage: Stage) -> Task:
    """A step with its options and the hash of its inputs. Raises UsageError, IntegrityError."""
    options, folder = step.options_of(stage.name), ground.of(stage)
    optimum = _summary(ground.of(STAGES[0])) if stage.name == "sieve" else {}
    values = ground.given(stage.name, OPTIMUM if optimum else ())
    if optimum:
        flags = config.load(options, optimum["best"]["sieve"], environ={})
        own = ground.own(stage.name)
        values |= {name: getattr(flags.value, name) for name, origin in flags.origins.items() if origin == "flag"} | own
        if ground.o.pool and "threshold" not in own:
            values["threshold"] = loosened(options(**values), ground.o.pool)
    known = config.describe(options)
    folders = {name: ground.of(STAGES[NAMES[before]]) for name, before in stage.inputs.items()}
    inputs = {name: path for name, path in folders.items() if name not in stage.spare or _content(path)}
    ready = options(**values | inputs)
    # The paths of inputs don't count, what they hold does.
    neutral = {
        entry.name: entry.default for entry in known if entry.section in NO_RESULT or entry.name in (*inputs, "draws")
    }
    identity = {
        "step": stage.name, "program": prng_mpi.__version__, "options": config.to_toml(replace(ready, **neutral)),
        "draws": ground.draws, "inputs": {name: _content(path) for name, path in inputs.items()},
    }  # fmt: skip
    # What is not set is left to the step, which may refuse to be told twice.
    unset = config.to_toml(options()).splitlines()
    text = "".join(f"{line}\n" for line in config.to_toml(ready).splitlines() if line not in unset)
    return Task(stage, folder, text, identity_hash(identity))


def _content(folder: Path) -> str:
    """A hash of a step's results, '' where there are none yet."""
    if not (folder / "results.h5").exists():
        return ""
    said = _summary(folder).get("payload_hash")
    return str(said or hashlib.sha256((folder / "results.h5").read_bytes()).hexdigest())


def loosened(o: Any, pool: float) -> float:
    """The threshold, at most that of a sieve's options, at which chance alone leaves nearest to `pool` seeds."""
    chosen = recipe(o.recipe)
    history = read_history(o.draws, o.sessions, partial=True)
    varies = hybrid.STRATEGIES[o.hybrid].misses if o.hybrid else None
    seeds = spaces.space(o.seeds).hypotheses

    def left(threshold: float) -> float:
        asked = Asked(o.modulus, threshold, o.window_start, o.window, o.direction, (o.skip_min or 0, o.skip_max or 0),
                      (o.offset_min, o.offset_max or o.offset_min), varies)  # fmt: skip
        found = windows.search(chosen, o.param, history, asked)[0]
        expected = hybrid.plan_of(found, threshold, seeds).expected_survivors
        return abs(math.log(max(expected, 1e-300) / pool))

    threshold = float(o.threshold)
    off = left(threshold)
    for least in range(need_for(threshold, o.window) - 1, 0, -1):
        # Just below least of k, so that its text means that for any k.
        lower = round((least - 0.5) / o.window, 6)
        if (further := left(lower)) >= off:
            break
        threshold, off = lower, further
    return threshold


def unchanged(task: Task) -> bool:
    """Whether a step is done, from the same inputs."""
    return _stamp(task.folder) == task.fingerprint and _summary(task.folder).get("exit_code") in COMPLETE


def _stamp(folder: Path) -> str:
    try:
        return str(json.loads((folder / "pipeline.json").read_text())["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def clear(task: Task) -> Path | None:
    """Make way for a step: a folder of other inputs is moved aside, to where it answers."""
    aside = None
    if task.folder.exists() and _stamp(task.folder) != task.fingerprint:
        name = f"{task.stage}-{_stamp(task.folder)[:8] or 'unknown'}"
        top = task.folder.parent / "earlier"
        taken = [n for n in range(10_000) if (top / f"{name}{f'-{n}' if n else ''}").exists()]
        aside = top / f"{name}{f'-{max(taken) + 1}' if taken else ''}"
        top.mkdir(exist_ok=True)
        os.replace(task.folder, aside)
    task.folder.mkdir(parents=True, exist_ok=True)
    write_text(task.folder / "pipeline.toml", task.text)
    write_json(task.folder / "pipeline.json", {"fingerprint": task.fingerprint})
    return aside


def perform(ground: Ground, task: Task, told: Told, events: EventLog) -> None:
    """Run a step to its end and note what became of it."""
    o, name, log, begun = ground.o, task.stage.name, task.folder / "log.txt", time.monotonic()
    if aside := clear(task):
        say(sys.stdout, [("", f"{task.folder} had other inputs and is now {aside}")])
    size = log.stat().st_size if log.exists() else 0
    now = datetime.now().astimezone()
    until = f", until {now + timedelta(seconds=o.time_limit):%H:%M:%S}" if o.time_limit else ""
    say(sys.stdout, [(f"step {task.stage.number}", f"{name} since {now:%H:%M:%S}{until}, log {log}")])
    events.write("step_started", step=name, fingerprint=task.fingerprint, folder=str(task.folder), log=str(log))
    words = ["bash", str(_launch() / "supervise.sh"), name, "--config", str(task.folder / "pipeline.toml")]
    process = _start(o, [*words, "--output-dir", str(task.folder)], log)
    told.code = _watch(process, begun, o.time_limit, log, f"step {task.stage.number} {name}")
    told.seconds = time.monotonic() - begun
    if told.code in COMPLETE:
        told.state, told.summary = "done", _summary(task.folder)
    else:
        told.state, told.reason = "failed", _last(log, size, EXIT_MEANINGS[told.code])


def _start(o: PipelineOptions, words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a launch script. It hears of this process's end, and of no Ctrl-C but through it."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(config.ENV_PREFIX)}
    for name in ("HOSTFILE", "NP"):
        mine.pop(name, None)
    ranks = {"HOSTFILE": str(o.hostfile) if o.hostfile else "", "NP": str(o.np) if o.np else ""}
    with open(log, "ab") as file:
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            env={"VENV": sys.prefix, **mine, **ranks}, preexec_fn=lambda: spawn.die_with_parent(signal.SIGTERM),  # noqa: PLW1509
        )  # fmt: skip


def _watch(process: subprocess.Popen[bytes], begun: float, limit: float | None, log: Path, name: str) -> ExitCode:
    """Wait for the end of a launch script, show where it is; its code. It is stopped when its time is up or the user asks."""
    asked, late, ends, line = 0, False, math.inf, begun + LINE_SECONDS
    screen = on_terminal(sys.stdout)
    while process.poll() is None:
        time.sleep(NAP)
        now = time.monotonic()
        late = late or bool(limit and now - begun >= limit)
        if (wanted := min(max(step.requests(), int(late) + int(now > ends)), 2)) > asked:
            asked = wanted
            process.send_signal(signal.SIGINT if asked == 1 else signal.SIGTERM)
            ends = min(ends, now + DRAIN) if asked == 1 else now + END
        if asked == 2 and now > ends:
            process.kill()
        if screen:
            print(
                f"\r\x1b[K{name} {duration(now - begun)}: {_last(log)}"[: shutil.get_terminal_size()[0] + 3],
                end="",
                flush=True,
            )
        elif now >= line:
            line = now + LINE_SECONDS
            say(sys.stdout, [("", f"{duration(now - begun)}: {_last(log)}")])
    if screen:
        print("\r\x1b[K", end="", flush=True)
    code = process.returncode
    if late and code in (ExitCode.STOPPED, ExitCode.ABORTED) and not step.requests():
        return ExitCode.TIME_LIMIT
    # Killed by a signal, or by a shell that could not start it.
    return ExitCode(code) if code in set(ExitCode) else ExitCode.ABORTED


def _last(log: Path, start: int = 0, meaning: str = "") -> str:
    """The last complaint in a log from byte `start` on, else what the end means, else the last line."""
    with open(log, "rb") as file:
        file.seek(max(start, log.stat().st_size - 20_000))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    complaints = [line.removeprefix("prng_mpi: ") for line in lines if line.startswith("prng_mpi: ")]
    return (complaints or [meaning] * bool(meaning) or lines or ["nothing yet"])[-1]


# -- all of them ----------------------------------------------------------------------------------------------------------


def run(o: PipelineOptions) -> ExitCode:
    """Run the steps. Raises UsageError before anything is started."""
    ground, chosen = prepare(o)
    _say_plan(ground, chosen)
    if o.dry_run:
        done = True
        for stage in chosen:
            done = done and unchanged(task(ground, stage))
            say(sys.stdout, [(f"step {stage.number}", "is done, its inputs unchanged" if done else "would run")])
        return ExitCode.FOUND
    step.listen_for_signals(0)
    began, told = time.monotonic(), [Told(stage) for stage in chosen]
    identity = {"step": o.STEP, "draws": ground.draws, "modulus": o.modulus}
    with Ledger.open(ground.folder / "ledger.sqlite", identity), EventLog(ground.folder / "events.jsonl") as events:
        (ground.folder / "summary.json").unlink(missing_ok=True)
        events.write("start", steps=[str(stage) for stage in chosen], config=config.to_toml(o))
        examined = False
        for each in told:
            try:
                ready = task(ground, each.stage)
                if unchanged(ready):
                    each.state, each.summary = "unchanged", _summary(ready.folder)
                    each.code = ExitCode(each.summary["exit_code"])
                else:
                    # The first that starts anything.
                    examined = examined or examine(ground)
                    perform(ground, ready, each, events)
            except PrngError as error:
                each.state, each.code, each.reason = "failed", ExitCode(error.exit_code), str(error)
            events.write("step_ended", step=each.stage.name, state=each.state, exit_code=each.code, reason=each.reason)
            say(sys.stdout, [(f"step {each.stage.number}", f"{each.stage.name} {each.state}: {statement(each)}")])
            if each.code not in COMPLETE or (each.ends and not o.go_on) or each.barren:
                break
        code = _conclude(ground, told, time.monotonic() - began)
        events.close({"reason": "complete" if code in COMPLETE else code.name.lower(), "exit_code": int(code)})
    return code


def _say_plan(ground: Ground, chosen: list[Stage]) -> None:
    o = ground.o
    where = f"{o.hostfile}" if o.hostfile else "this host"
    rows = [
        ("pipeline", f"{chosen[0].number} to {chosen[-1].number}, {o.np or 'all'} ranks on {where}"),
        ("data", f"{o.draws}, modulus {o.modulus}"),
    ]
    for stage in chosen:
        rows.append((f"step {stage.number}", f"{stage.name}; limits: {limits_of(step_named(stage.name))}"))
    say(sys.stdout, [*rows, ("results", str(ground.folder))])


def statement(told: Told) -> str:
    """A step's end in a line."""
    s, code = told.summary, told.code
    if code is None:
        return "not run"
    if told.state == "failed":
        return f"{code.name.replace('_', ' ')} (exit {int(code)}): {told.reason}"
    verdict = str(s.get("verdict") or "done").upper()
    return f"{verdict}; {_words(told)}" if _words(told) else verdict


def _words(told: Told) -> str:
    return TELL[told.stage.name](told.summary)


def _optimum_words(s: dict[str, Any]) -> str:
    best, decoys = s.get("best"), s.get("decoys")
    if not best or not decoys:
        return ""
    text = f"best objective {best['objective']:.1f}, in decoys {decoys['best_objective']:.1f}"
    found = best.get("survivor") or {}
    if s.get("verdict") in ("found", "strong"):
        text += f"; {found.get('heldout_matches')} of {found.get('heldout')} later draws match"
    return text


def _sieve_words(s: dict[str, Any]) -> str:
    text = f"{format_count(s['survivors'])} survivors, by chance {format_count(float(s['expected_by_chance'] or 0))}"
    best = s.get("best")
    return f"{text}; best seed {best['seed']}, skip {best['skip']}, {best['matches']} matches" if best else text


def _scorer_words(s: dict[str, Any]) -> str:
    fresh = s.get("fresh")
    if not fresh:
        return ""
    text = f"planted seeds stand above {fresh['optimum']:.1%} of chance survivors, with the defaults above {fresh['defaults']:.1%}"
    return text + (f"; {s['warning']}" if s["warning"] else "")


def _scoring_words(s: dict[str, Any]) -> str:
    best = s["best"]
    return (
        f"{s['features']} features of {s['survivors']} survivors; seed {best['seed']} matches {best['matches']} of {best['draws']} draws "
        f"after the window, E = {format_log10(best['log10_E'])}"
    )


def _planner_words(s: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {s[name]}" for name in ("pool_size", "width", "depth", "epochs", "trials")
    )


def _learning_words(s: dict[str, Any]) -> str:
    pool = s["pool"]
    return (
        f"gate {s['gate']}: {pool['hits']} of {pool['draws']} draws of the test are in the pool of {pool['size']} that {s['chosen']} ranks "
        f"first, by chance {pool['by_chance']:.2g}, p = {format_log10(pool['log10_p'])}"
    )


def _prediction_words(s: dict[str, Any]) -> str:
    past = s.get("backtest")
    if not past:
        return ""
    first, (low, high) = s["likeliest"][0], past["first_ranked_interval"]
    return (
        f"draw {s['draw']} is {first['value']} with probability {first['probability']:.3g}, and one of {s['values']} values with "
        f"{s['probability']:.3g}, by chance {s['chance']:.3g}; on the test the first-ranked seed {s['first_ranked']['seed']} was right "
        f"{past['first_ranked_hits']} times of {past['draws']} (95 % interval {low:.1%} to {high:.1%})"
    )


TELL: dict[str, Callable[[dict[str, Any]], str]] = {
    "window_optimizer": _optimum_words, "sieve": _sieve_words, "scorer_meta": _scorer_words, "full_scoring": _scoring_words, "adaptive_meta": _planner_words,
    "anti_overfit": _learning_words, "predict": _prediction_words,
}  # fmt: skip


def _stands(told: Told, counted: int) -> bool:
    """Whether what a step found is still strong where so many looks are counted; step 1 has counted its own."""
    pool = told.summary.get("pool")
    return pool is None or float(pool["log10_p"]) + math.log10(counted) <= STRONG_LOG10


def looks(ground: Ground) -> int:
    """How often the test of step 5 was looked at in this folder, with whatever models."""
    learn = next(stage for stage in STAGES if stage.name == "anti_overfit")
    return len([*(ground.folder / "earlier").glob(f"{learn}-*/test.json"), *ground.of(learn).glob("test.json")])


def _conclude(ground: Ground, told: list[Told], wall: float) -> ExitCode:
    """Write summary.json, tell how it ended and where the evidence stands; the exit code."""
    ran = [each for each in told if each.code is not None]
    # What step 1 has chosen among many trials does not count as found once more by step 2.
    found = [STAGES[1]] if _summary(ground.of(STAGES[0])) else []
    tellers = [each for each in ran if each.stage.tells and each.code in COMPLETE and each.stage not in found]
    last = ran[-1]
    assert last.code is not None
    code, verdict, words = ExitCode.FOUND, "done", "none of these steps tells signal from noise"
    many = looks(ground)
    # Each gate that found nothing was a look, too.
    counted = max(many, 1) + sum(each.code is ExitCode.NOTHING_FOUND for each in tellers[:-1])
    if tellers and tellers[-1].code is ExitCode.FOUND and _stands(tellers[-1], counted):
        verdict, words = "signal", f"step {tellers[-1].stage}: {_words(tellers[-1])}"
    elif tellers:
        code, verdict = ExitCode.NOTHING_FOUND, "no signal"
        words = f"step {tellers[-1].stage} finds no more than chance gives"
        words += f" in {counted} looks" if tellers[-1].code is ExitCode.FOUND else ""
        if last.ends and last is not told[-1]:
            words += ", and models fitted to noise show noise, so the later steps did not run (--go-on runs them)"
    if last.barren:
        code, verdict, words = ExitCode.NOTHING_FOUND, "no signal", "no seed survived"
    if last.code not in COMPLETE:
        before = f"; before it {verdict.upper()}, {words}" if tellers else ""
        code, verdict = last.code, "unfinished"
        mended = "" if code in RESUMABLE else "once that is mended, "
        words = f"step {last.stage} is not through; {mended}the same command goes on from there{before}"
    words = f"{verdict.upper()}: {words}"
    rows = [(f"step {each.stage.number}", f"{each.stage.name}: {statement(each)}") for each in told]
    if many > 1 and any(each.stage.name == "anti_overfit" for each in ran):
        rows.append(
            ("test", f"{many} looks at the same draws, with other options or inputs: its p counts {many} times")
        )
    steps = [
        {
            "number": each.stage.number, "name": each.stage.name, "folder": str(ground.of(each.stage)), "state": each.state,
            "exit_code": None if each.code is None else int(each.code), "statement": statement(each), "seconds": each.seconds,
        }
        for each in told
    ]  # fmt: skip
    summary = {
        "verdict": verdict, "exit_code": int(code), "statement": words, "steps": steps, "test_looks": many, "wall_seconds": wall,
    }  # fmt: skip
    write_json(ground.folder / "summary.json", summary)
    say(sys.stdout, [("", ""), *rows, ("verdict", words), ("results", str(ground.folder))])
    return code


if __name__ == "__main__":
    step.alone(PipelineOptions, run)
