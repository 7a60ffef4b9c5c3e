"""Floor 3: the window optimiser, step 1 of the pipeline. Which window, skips, threshold, direction and recipe have evidence?

mpirun -np 4 python -m prng_mpi.window_optimizer --draws draws.json --recipe java.nextInt --trials 100"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from prng_mpi import config, devices, hybrid, kernels, spaces, statistics, step, study, trials, windows
from prng_mpi.admission import limits_of
from prng_mpi.comm import Comm
from prng_mpi.config import option, parse_int, parse_seconds
from prng_mpi.course import Conclusion, Course, StudyOptions, Terms, lead
from prng_mpi.devices.team import share_of_cores
from prng_mpi.display import say
from prng_mpi.errors import ExitCode, UsageError
from prng_mpi.farm import Card, serve
from prng_mpi.history import History, read_history
from prng_mpi.ledger import Ledger, canonical_json, identity_hash
from prng_mpi.recipes import recipe
from prng_mpi.statistics import format_count, format_log10
from prng_mpi.trials import CONSTANT, Ground, Look, Runner, Trial

# E of 1: what says less is no evidence, and there is nothing to learn from it.
TEACHES = 0.0
# The pipeline's step, whose limits hold.
STEP_NUMBER = 1
DEFAULT_SEED_END = 10_000_000
# Of the decoys' best E: real draws have to be so much better.
ABOVE_LOG10 = 3.0
ALL = "all"

N = TypeVar("N", int, float)
Range = tuple[N, N]

# One row of results.h5: the trial, what it saw in the real draws, and the objective in the decoy.
TRIAL = np.dtype(
    [
        ("number", "<u4"), ("recipe", "S32"), ("session", "S32"), ("direction", "S8"), ("strategy", "S24"),
        ("window", "<u4"), ("window_start", "<u4"), ("skip_min", "<u4"), ("skip_max", "<u4"), ("offset_max", "<u4"),
        ("threshold", "<f8"), ("objective", "<f8"), ("decoy_objective", "<f8"), ("hypotheses", "<f8"), ("draws", "<u4"),
        ("need", "<u4"), ("matches", "<u4"), ("seed", "<u8"), ("skip", "<u4"), ("offset", "<u4"), ("log10_p1", "<f8"),
        ("log10_E", "<f8"), ("decoy_matches", "<u4"), ("seconds", "<f8"), ("note", "S96"),
    ]
)  # fmt: skip
COLUMNS = (
    "one row for each trial; objective: -log10 E of the best survivor, E counting the hypotheses of all trials planned; "
    "decoy_objective: the same in the draws shuffled; matches 0: no survivor; hypotheses: of this trial; seconds on the device"
)


@dataclass(frozen=True)
class OptimizerOptions(StudyOptions):
    """Try windows and what may have made them, guided by the evidence of earlier trials, each beside a decoy."""

    STEP: ClassVar[str] = "window_optimizer"

    draws: str = option("", "draw history: JSON, CSV or text; - reads standard input", metavar="FILE", section="Data")
    modulus: int = option(1000, "draws are in [0, M)", metavar="M", section="Data")
    holdout: float = option(
        0.2, "share of the history, its last draws, that no trial sees and that confirms the best", minimum=0.0, maximum=0.9,
        section="Data",
    )  # fmt: skip
    recipe: tuple[str, ...] = option((), "what may have made the draws; one fixes it", metavar="NAME", section="Space")
    sessions: tuple[str, ...] = option(
        (),
        f"draws of which session, {ALL} for those of all; not set: {ALL} and each one",
        metavar="NAME",
        section="Space",
    )
    direction: tuple[str, ...] = option(
        ("forward", "reverse", "both"), "as in the sieve", choices=windows.DIRECTIONS[:3], section="Space"
    )
    window: str = option(
        "8:60", "draws in the window, on each side: one number, or least:most", metavar="K", section="Space"
    )
    window_start: str = option(
        "", "index, among the draws of the session, of the first draw after the window's boundary; not set: any, often the first",
        metavar="I", section="Space",
    )  # fmt: skip
    skip: str = option("0:16", "skips: a trial takes a range of these", metavar="S", section="Space")
    hybrid: tuple[str, ...] = option(
        (CONSTANT,), f"strategies of a skip that varies, which give the skips; {CONSTANT}: a constant skip",
        choices=(CONSTANT, *hybrid.STRATEGIES), section="Space",
    )  # fmt: skip
    offset: str = option("0:15", "a trial takes offsets 0 to one of these", metavar="O", section="Space")
    threshold: str = option("0.2:0.7", "least share of the window's draws that a survivor matches", section="Space")
    seed_start: int | None = option(None, "first seed; not set: 0", minimum=0, section="Seeds")
    seed_end: int | None = option(
        None,
        f"end of the seeds, excluded; not set: the recipe's seed space, at most {DEFAULT_SEED_END}",
        section="Seeds",
    )
    seeds: str = option("", "instead of both: a space, as in the sieve", metavar="SPACE", section="Seeds")
    trials: int = option(100, "trials, all of which E counts", minimum=1, section="Study")
    max_survivors: float = option(
        1e5,
        "a trial from which chance alone would leave more seeds than this is not searched",
        minimum=1,
        section="Study",
    )
    trial_timeout: float = option(3600.0, "time for a trial", parse=parse_seconds, metavar="TIME", section="Study")
    device: str = option("auto", "what computes", choices=devices.KINDS, section="Devices")


@dataclass(frozen=True)
class Space:
    """What a study chooses from; ranges have both ends. sizes: draws of each session that trials may see."""

    recipes: tuple[str, ...]
    sizes: dict[str, int]
    directions: tuple[str, ...]
    strategies: tuple[str, ...]
    window: Range[int]
    start: Range[int]
    skip: Range[int]
    offset: Range[int]
    threshold: Range[float]

    def windows(self, session: str, direction: str) -> Range[int]:
        """Least and most draws of a window that fits. Raises UsageError if none does."""
        size, (low, high) = self.sizes[session], self.start
        most = min(high, size) if direction == "reverse" else size - max(low, direction == "both")
        if most < self.window[0]:
            raise UsageError(
                f"no window of {self.window[0]} draws fits {size} draws (session {session}, direction {direction}, window "
                f"start {low} to {min(high, size)}; the held-out draws are not among them): shorten --window, or change --window-start"
            )
        return self.window[0], min(self.window[1], most)

    def starts(self, session: str, direction: str, window: int) -> Range[int]:
        """The boundaries at which a window of so many draws fits."""
        size, (low, high) = self.sizes[session], self.start
        if direction == "reverse":
            return max(low, window), min(high, size)
        return max(low, direction == "both"), min(high, size - window)

    def choose(self, number: int, trial: Any) -> Trial:
        """A trial, from the suggestions of an optuna Trial."""
        name = trial.suggest_categorical("recipe", self.recipes)
        session = trial.suggest_categorical("session", tuple(self.sizes))
        direction = trial.suggest_categorical("direction", self.directions)
        strategy = trial.suggest_categorical("strategy", self.strategies)
        window = trial.suggest_int("window", *self.windows(session, direction))
        first, last = self.starts(session, direction, window)
        # A history begins where its generator was seeded more often than at any one place within.
        anywhere = direction != "forward" or first == last or trial.suggest_categorical("anywhere", (False, True))
        start = trial.suggest_int("window_start", first, last) if anywhere else first
        if strategy == CONSTANT:
            # The greatest first: so a small skip is in more of the ranges than a large one.
            high = trial.suggest_int("skip_max", *self.skip)
            skips = trial.suggest_int("skip_min", self.skip[0], high), high
        else:
            skips = hybrid.STRATEGIES[strategy].skips
        offset = trial.suggest_int("offset_max", *self.offset)
        threshold = round(trial.suggest_float("threshold", *self.threshold), 2)
        return Trial(number, name, session, direction, strategy, window, start, *skips, offset, threshold)

    def check(self, ground: Ground) -> None:
        """Raises UsageError where a recipe, session or direction has no search at all."""
        for name in self.recipes:
            for session in self.sizes:
                for direction in self.directions:
                    least = self.windows(session, direction)[0]
                    start = self.starts(session, direction, least)[0]
                    trial = Trial(0, name, session, direction, CONSTANT, least, start, 0, 0, 0, 1.0)
                    trial.search(ground.histories[session], ground.modulus)


@dataclass(frozen=True, eq=False)
class Plan:
    """A study that is ready to start. heldout: '<u4' draws of each session that no trial sees."""

    space: Space
    ground: Ground
    heldout: dict[str, npt.NDArray[np.uint32]]
    identity: dict[str, Any]
    folder: Path
    config: str


def prepare(loaded: config.Loaded[OptimizerOptions]) -> Plan:
    """Read the inputs, say the plan. Raises UsageError, IntegrityError for a damaged ledger; step.Done after a dry run."""
    o = loaded.value
    if not o.draws:
        raise UsageError("--draws FILE is missing: name the draw history (- reads standard input)")
    if not o.recipe:
        raise UsageError(
            "--recipe NAME[,NAME] is missing: name what may have made the draws; python -m prng_mpi lists recipes"
        )
    version = study.version()
    history = read_history(o.draws)
    seen, heldout = _split(history, o.sessions, o.holdout)
    chosen = [recipe(name) for name in dict.fromkeys(o.recipe)]
    seeds = {
        r.name: spaces.chosen(o.seeds, o.seed_start, o.seed_end, r.seed_limit(r.params({})), DEFAULT_SEED_END, r.name)
        for r in chosen
    }
    ground = Ground(seen, seeds, o.modulus, o.trials, o.study_seed, o.max_survivors, o.trial_timeout)
    space = Space(
        recipes=tuple(seeds), sizes={session: len(part.draws) for session, part in seen.items()},
        directions=tuple(dict.fromkeys(o.direction)), strategies=tuple(dict.fromkeys(o.hybrid)),
        window=_range(o.window, "--window", parse_int, 1, 2**20),
        start=_range(o.window_start or f"0:{len(history.draws)}", "--window-start", parse_int, 0, 2**32),
        skip=_range(o.skip, "--skip", parse_int, 0, 2**31 - 1),
        offset=_range(o.offset, "--offset", parse_int, 0, 2**31 - 1),
        threshold=_range(o.threshold, "--threshold", float, 0.01, 1.0),
    )  # fmt: skip
    space.check(ground)
    identity = {
        "step": o.STEP, "space": asdict(space), "seeds": {name: asdict(each) for name, each in seeds.items()},
        "draws": history.digest, "sessions": _digest(history.sessions),
        "modulus": o.modulus, "holdout": o.holdout, "trials": o.trials, "batch": o.batch,
        "study_seed": o.study_seed, "max_survivors": o.max_survivors, "optuna": version,
        "kernels": {r.name: kernels.digest(r.text("sieve.h", ())) for r in chosen},
    }  # fmt: skip
    folder = o.output_dir or Path("results") / f"window_optimizer-{identity_hash(identity)[:8]}"
    plan = Plan(space, ground, heldout, identity, folder, config.to_toml(o))
    _say_plan(plan, o)
    if o.dry_run:
        raise step.Done(ExitCode.FOUND)
    Ledger.open(folder / "ledger.sqlite", identity, resume=o.resume).close()
    return plan


def _digest(sessions: tuple[str, ...] | None) -> str:
    return hashlib.sha256(canonical_json(sessions).encode()).hexdigest()


def _split(
    history: History, sessions: tuple[str, ...], share: float
) -> tuple[dict[str, History], dict[str, npt.NDArray[np.uint32]]]:
    """By session the draws that trials see and those held out, which come after one moment for all. Raises UsageError."""
    names = history.sessions or ()
    known = tuple(dict.fromkeys(names))
    wanted = sessions or (ALL, *(known if len(known) > 1 else ()))
    for name in wanted:
        if name != ALL and name not in known:
            there = ", ".join(known) or "no sessions"
            raise UsageError(f"--sessions {name}: {history.source} has {there}; {ALL} takes every draw")
    cut = len(history.draws) - math.floor(share * len(history.draws))
    seen, heldout = {}, {}
    for name in dict.fromkeys(wanted):
        kept = np.array([name in (ALL, each) for each in names], bool) if names else np.ones(len(history.draws), bool)
        early = kept & (np.arange(len(kept)) < cut)
        source = history.source if name == ALL else f"{history.source} ({name})"
        seen[name] = replace(
            history, draws=history.draws[early], records=history.records[early], dates=None, sessions=None, source=source,
            dropped=int((~kept).sum()),
        )  # fmt: skip
        heldout[name] = history.draws[kept & ~early]
    return seen, heldout


def _range(text: str, flag: str, number: Callable[[str], N], least: N, most: N) -> Range[N]:
    """N or LOW:HIGH, both ends included. Raises UsageError."""
    low, colon, high = text.partition(":")
    try:
        ends = number(low), number(high if colon else low)
    except ValueError as e:
        raise UsageError(f"{flag} {text}: write one number, or least:most ({e})") from None
    if not least <= ends[0] <= ends[1] <= most:
        raise UsageError(f"{flag} {text}: needs {least} <= least <= most <= {most}")
    return ends


def _say_plan(plan: Plan, o: OptimizerOptions) -> None:
    space, ground = plan.space, plan.ground
    sizes = ", ".join(f"{name} {count} and {len(plan.heldout[name])}" for name, count in space.sizes.items())
    rows = [
        ("study", f"{o.trials} trials in batches of {o.batch}, seed {o.study_seed}  [{identity_hash(plan.identity)[:8]}]"),
        ("data", f"{o.draws}: draws that trials see, and later ones that confirm the best: {sizes}"),
        *(("seeds", f"{name}: {space_.text}, {format_count(space_.hypotheses)}") for name, space_ in ground.seeds.items()),
        ("space", f"window {_ends(space.window)}, window start {_ends(space.start)}, skips {_ends(space.skip)}, offsets to "
         f"{_ends(space.offset)}, threshold {_ends(space.threshold)}, {' '.join(space.directions)}, strategy {' '.join(space.strategies)}"),
        ("objective", f"-log10 E of the best survivor, its hypotheses counted {o.trials} times; each search runs on a decoy, too"),
    ]  # fmt: skip
    say(sys.stdout, rows)
    limits = limits_of(STEP_NUMBER)
    print(f"limits: {limits}", flush=True)
    rest = f"at most {limits.max_in_all} at once; no cool-down on a host with more than {o.memory_reserve / 1e9:g} GB available"
    say(sys.stdout, [("", rest), ("results", str(plan.folder))])


def _ends(bounds: Range[Any]) -> str:
    return f"{bounds[0]}" if bounds[0] == bounds[1] else f"{bounds[0]} to {bounds[1]}"


def run(comm: Comm, o: OptimizerOptions, plan: Plan) -> ExitCode:
    """Every rank's part; root's exit code."""
    kind, why = devices.choose(o.device)
    work = Runner(plan.ground, kind, comm.local_rank, share_of_cores(len(comm.local_ranks)))
    comm.device = kind
    card = Card(comm.rank, comm.host, kind, kind, why, 1.0)
    if comm.rank:
        serve(comm, work, card, work.rest)
        return ExitCode.FOUND
    return lead(comm, o, _terms(plan), work, card, lambda course: _conclude(plan, course), work.rest)


def _words(t: Trial) -> str:
    skips = f"skips {t.skip_min} to {t.skip_max}" if t.strategy == CONSTANT else t.strategy
    return (
        f"{t.recipe}, {t.direction}, {t.window} draws at {t.window_start} of session {t.session}, {skips}, offsets to "
        f"{t.offset_max}, threshold {t.threshold}"
    )


def _terms(plan: Plan) -> Terms[Trial]:
    return Terms(
        step=STEP_NUMBER, folder=plan.folder, identity=plan.identity, config=plan.config, trials=plan.identity["trials"],
        batch=plan.identity["batch"], seed=plan.ground.study_seed, teaches=TEACHES, choose=plan.space.choose, words=_words,
        objectives=lambda result: {"objective": result["real"]["objective"], "decoy_objective": result["decoy"]["objective"]},
        row=_row, dtype=TRIAL, columns=COLUMNS,
    )  # fmt: skip


def _row(result: dict[str, Any]) -> tuple[Any, ...]:
    """A row of TRIAL."""
    real, decoy = result["real"], result["decoy"]
    values = {**real, **result["trial"], "log10_E": -real["objective"], "decoy_objective": decoy["objective"],
              "decoy_matches": decoy["matches"], "seconds": result["seconds"]}  # fmt: skip
    return tuple(v.encode() if isinstance(v := values[name], str) else v for name in TRIAL.names or ())


def sieve_flags(t: Trial, seeds: spaces.Space) -> list[str]:
    """The flags of a sieve that looks for what a trial did in the same draws, among the same seeds, and keeps all survivors."""
    values = {
        "seeds": seeds.text,
        "recipe": t.recipe, "direction": t.direction, "window": t.window, "window-start": t.window_start,
        "skip-min": t.skip_min, "skip-max": t.skip_max, "offset-max": t.offset_max, "threshold": t.threshold,
    } | ({} if t.session == ALL else {"sessions": t.session}) | ({} if t.strategy == CONSTANT else {"hybrid": t.strategy})  # fmt: skip
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def above_decoys(real: float, decoys: float) -> bool:
    """Whether the best of the real draws stands out of the decoys' best, both -log10 E. If it were one of them, their E
    would have a ratio of x or more with a chance of about 1 / (1 + x)."""
    return real - decoys >= ABOVE_LOG10


def _conclude(plan: Plan, course: Course[Trial]) -> Conclusion:
    """Confirm the best trial and tell it."""
    summary: dict[str, Any] = {"verdict": "chance", "best": None, "decoys": None, "warning": ""}
    said: list[tuple[str, str]] = []
    if best := course.best():
        more, said = _weigh(plan, course, best[0])
        summary |= more
    strong = summary["verdict"] in ("strong", "found")
    heldout = {name: len(draws) for name, draws in plan.heldout.items()}
    return Conclusion(
        ExitCode.FOUND if strong else ExitCode.NOTHING_FOUND, summary | {"looks": plan.ground.looks, "heldout": heldout}, said,
        {"verdict": summary["verdict"], "looks": plan.ground.looks},
    )  # fmt: skip


_VERDICTS = {
    "found": "FOUND: the seed explains the window and draws that no trial has seen",
    "strong": "STRONG: not chance under the model; later draws would confirm it",
    "candidate": "NO SIGNAL beyond chance: one such survivor in so many trials is no surprise",
    "chance": "NO SIGNAL: no more than luck gives",
}


def _weigh(plan: Plan, course: Course[Trial], number: int) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What the summary says of the best trial and of the decoys, and the same in words."""
    result = course.results[number]
    look, trial = Look(**result["real"]), Trial(**result["trial"])
    worst = course.best("decoy_objective")
    assert worst is not None
    above = above_decoys(look.objective, worst[1])
    verdict, found = "chance", None
    lines = [("best", f"trial {number}: {_words(trial)}")] if look.matches else []
    if look.matches:
        # Looked at once, at the study's end.
        heldout = plan.heldout[trial.session][: None if course.complete else 0]
        found = trials.confirmed(trial, look, plan.ground, heldout)
        verdict = statistics.verdict(found["log10_E"], found["confirmed"], found["verified"])
        lines.append((
            "", f"seed {look.seed} ({look.seed:#x}), skip {look.skip}, offset {look.offset}: {look.matches} of {look.draws} draws, "
            f"E = {format_log10(-look.objective)} over {plan.ground.looks} trials"
        ))  # fmt: skip
        if found["heldout"]:
            p = format_log10(found["heldout_log10_p"])
            lines.append(
                ("held out", f"{found['heldout_matches']} of {found['heldout']} later draws, by chance p = {p}")
            )
    else:
        lines.append(("best", "no trial has a survivor that chance would not give to each of them"))
    warning = ""
    if not above:
        warning = "objective equal on decoys: the optimiser fits noise"
        # What shuffled draws give as well is no evidence, whatever the model says.
        verdict = min(verdict, "candidate", key=("chance", "candidate", "strong", "found").index)
    means = {name: float(np.mean([*course.objectives(name).values()])) for name in ("objective", "decoy_objective")}
    lines.append(("decoys", f"best objective {look.objective:.1f} in the real draws, {worst[1]:.1f} in decoys"))
    lines += [("warning", warning)] if warning else []
    noise = not above and look.objective >= -statistics.STRONG_LOG10
    lines.append(("verdict", "NO SIGNAL: shuffled draws give as much" if noise else _VERDICTS[verdict]))
    summary = {
        "verdict": verdict, "warning": warning,
        "best": {"trial": asdict(trial), "objective": look.objective, "look": asdict(look), "survivor": found,
                 "sieve": sieve_flags(trial, plan.ground.seeds[trial.recipe])},
        "decoys": {
            "best_objective": worst[1], "best_trial": worst[0], "mean_objective": means["decoy_objective"],
            "real_mean_objective": means["objective"], "real_above": above,
            "evidence_from": max(-statistics.STRONG_LOG10, worst[1] + ABOVE_LOG10),
        },
    }  # fmt: skip
    return summary, lines


if __name__ == "__main__":
    step.main(OptimizerOptions, prepare, run)
