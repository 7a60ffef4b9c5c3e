"""Floor 3: recover. The state of a generator that is linear over GF(2), from its draws and not from a seed.

mpirun -np 4 python -m prng_mpi.recover --draws draws.json --family mt19937 --modulus 1000 --skip-max 16"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from prng_mpi import config, kernels, statistics, step
from prng_mpi.comm import Comm
from prng_mpi.config import option
from prng_mpi.devices.gf2 import Attempt, Gf2Device, View, draws_needed, trials_needed, view
from prng_mpi.display import duration, say
from prng_mpi.errors import ExitCode, IntegrityError, UsageError
from prng_mpi.findings import PREDICT
from prng_mpi.history import History, Window, cut_window, read_history
from prng_mpi.ledger import identity_hash
from prng_mpi.recipes import Recipe, recipe
from prng_mpi.shares import share
from prng_mpi.statistics import format_count, format_log10
from prng_mpi.store import write_json
from prng_mpi.windows import HELDOUT_MOST

# Draws that a default window leaves to confirm a find, and draws beyond those needed that it takes.
HELDOUT = 30
SPARE = 1000
# States of more bits need so many draws that a random set of them never is all right.
MOST_BITS_WITH_WRONG = 128
# More than this chance that some call took a second value, and the equations are about other draws.
MISS_MOST = 0.5
# How far back from the state a seeding is looked for.
STEPS_BACK = 2**20


@dataclass(frozen=True)
class RecoverOptions:
    """Solve for a generator's state from the bits of the draws that are linear in it; no seed is assumed."""

    STEP: ClassVar[str] = "recover"

    draws: str = option("", "draw history: JSON, CSV or text; - reads standard input", metavar="FILE", section="Data")
    sessions: tuple[str, ...] = option((), "keep the draws of these sessions only", metavar="NAME", section="Data")
    modulus: int = option(1000, "draws are in [0, M)", metavar="M", section="Data")
    window_start: int = option(0, "history index of the window's first draw", minimum=0, section="Data")
    window: int | None = option(
        None, "draws in the window (k); not set: what there is, less a few to confirm a find", minimum=1, metavar="K",
        section="Data",
    )  # fmt: skip
    family: str = option("", "a linear generator; draws are its output % M", metavar="NAME", section="Hypotheses")
    recipe: str = option("", "or a recipe, such as php71.mt_rand", metavar="NAME", section="Hypotheses")
    skip_min: int = option(0, "least skip: outputs discarded before every draw", minimum=0, section="Hypotheses")
    skip_max: int | None = option(None, "largest skip; not set: the least", minimum=0, section="Hypotheses")
    offset: int = option(0, "outputs discarded once, between the state and the first skip", minimum=0,
                         section="Hypotheses")  # fmt: skip
    max_wrong: float = option(
        0.0, "largest share of the window's draws that are wrong", minimum=0, maximum=1, section="Hypotheses"
    )
    miss: float = option(
        1e-3, "chance to miss a state, where that many draws are wrong", minimum=1e-12, maximum=0.999,
        section="Hypotheses",
    )  # fmt: skip
    max_trials: float = option(
        1e7, "refuse to try more random sets of draws than this at a skip", minimum=1, section="Hypotheses"
    )
    answer_timeout: float = option(
        3600.0, "seconds without a word from any rank after which the run is ended", minimum=1, section="Run"
    )
    output_dir: Path | None = option(
        None, "folder of the run; not set: results/recover-RECIPE-SEARCH", metavar="DIR", section="Run"
    )
    dry_run: bool = option(False, "print the plan and exit", section="Run")
    show_config: bool = option(False, "print every value and where it comes from, and exit", section="Run")
    json: bool = option(False, "print summary.json at the end; all else goes to stderr", section="Run")


@dataclass(frozen=True)
class Job:
    """A recovery that is ready to start. need: draws of the window that the state must match; solve_draws: how many give
    the equations where all must match; trials: sets of draws to try at a skip, 1 where all are used at once; rejected:
    chance that a call took a second value."""

    recipe: Recipe
    modulus: int
    seen: View
    window: Window
    skips: tuple[int, int]
    offset: int
    need: int
    solve_draws: int
    trials: int
    rejected: float
    identity: dict[str, Any]
    folder: Path

    @property
    def exact(self) -> bool:
        return self.need == len(self.window.draws)

    @property
    def tries(self) -> range:
        return range(self.skips[0], self.skips[1] + 1)

    def chance(self, draws: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
        """A bound on P(a random output equals a draw), the same for each, shape (k,)."""
        p = self.recipe.chances(draws, self.modulus, self.recipe.params({}))
        return np.full(len(draws), p.max(initial=0.0))


def prepare(loaded: config.Loaded[RecoverOptions]) -> Job:
    """Read the inputs, refuse what can't be solved with what would work, say the plan. Raises UsageError; step.Done."""
    o = loaded.value
    if not o.draws:
        raise UsageError("--draws FILE is missing: name the draw history (- reads standard input)")
    if bool(o.family) == bool(o.recipe):
        raise UsageError(
            "name what made the draws: either --family NAME or --recipe NAME; python -m prng_mpi lists them"
        )
    chosen = recipe(o.recipe or f"{kernels.family(o.family).name}.mod")
    chosen.check_modulus(o.modulus)
    seen = _seen(chosen, o.modulus)
    skips = (o.skip_min, o.skip_min if o.skip_max is None else o.skip_max)
    if not o.skip_min <= skips[1] < 2**31:
        raise UsageError(f"--skip-min {skips[0]} --skip-max {skips[1]}: needs min <= max < 2^31")
    bits = _bits(chosen)
    _rejected(seen, math.ceil(bits / seen.bits), skips, o.offset, chosen)
    history = read_history(o.draws, o.sessions)
    window = _window(history, o, bits, seen)
    k = len(window.draws)
    need = statistics.need_for(str(1 - Fraction(str(o.max_wrong))), k) if o.max_wrong < 1 else 0
    if need < 1:
        raise UsageError(f"--max-wrong {o.max_wrong} leaves no draw that is right; give less than 1")
    trials = 1 if need == k else _trials(o, chosen, seen, k, need)
    rejected = _rejected(seen, k, skips, o.offset, chosen)
    identity = {
        **{"recipe": chosen.name, "modulus": o.modulus, "draws": [int(d) for d in window.draws], "need": need},
        **{"window_start": window.start, "skips": list(skips), "offset": o.offset, "trials": trials},
        "kernel": kernels.digest(chosen.text("gf2.h")),
    }
    name = identity_hash(identity)[:8]
    folder = o.output_dir or Path("results") / f"recover-{chosen.name}-{name}"
    most = draws_needed(bits, seen.bits)
    job = Job(chosen, o.modulus, seen, window, skips, o.offset, need, most, trials, rejected, identity, folder)
    _say_plan(job, o, history)
    if o.dry_run:
        raise step.Done(ExitCode.FOUND)
    _claim(folder, identity)
    return job


def _bits(chosen: Recipe) -> int:
    linear = kernels.family(chosen.family).linear
    assert linear is not None
    return linear.bits


def _seen(chosen: Recipe, modulus: int) -> View:
    """What the draws show. Raises UsageError with what would work."""
    seen = view(chosen, modulus)
    if isinstance(seen, View):
        return seen
    fam = kernels.family(chosen.family)
    if fam.linear is None:
        lift = " --method lift" if fam.affine(chosen.params({}), chosen.seeding) else ""
        raise UsageError(
            f"{seen}, so its state can't be solved for; search its seeds: "
            f"python -m prng_mpi.sieve --recipe {chosen.name}{lift}"
        )
    raise UsageError(
        f"--modulus {modulus} with recipe {chosen.name}: {seen}; search its seeds: "
        f"python -m prng_mpi.sieve --recipe {chosen.name}"
    )


def _window(history: History, o: RecoverOptions, bits: int, seen: View) -> Window:
    """The window that was asked for, or all draws but a few. Raises UsageError if it can't settle the state."""
    k = o.window
    least = math.ceil(bits / seen.bits)
    if k is None:
        rest = max(1, len(history.draws) - o.window_start)
        k = max(1, min(rest - max(0, min(HELDOUT, rest - least - 4)), draws_needed(bits, seen.bits) + SPARE))
    window = cut_window(history, o.window_start, k, o.modulus)
    if k < least + 4:
        raise UsageError(
            f"{k} draws can't settle a state of {bits} bits, of which a draw mod {o.modulus} shows {seen.bits}: it takes "
            f"{draws_needed(bits, seen.bits)} draws, never fewer than {least}; give a longer history or --window"
        )
    return window


def _trials(o: RecoverOptions, chosen: Recipe, seen: View, k: int, need: int) -> int:
    """How many sets of draws to try at a skip. Raises UsageError where it is hopeless."""
    bits = _bits(chosen)
    per_set = math.ceil(bits / seen.bits)
    if bits > MOST_BITS_WITH_WRONG:
        raise UsageError(
            f"--max-wrong {o.max_wrong}: a state of {bits} bits needs about {per_set} draws that are all right; cut them "
            "out with --window-start and --window, and set --max-wrong 0"
        )
    # A wrong draw shows the right bits where it differs by a multiple of 2^bits.
    luck = max(0.0, (o.modulus / 2**seen.bits - 1) / (o.modulus - 1))

    def trials(wrong: int) -> float:
        return trials_needed(k, k - wrong, per_set + 1, luck, o.miss)

    if (count := trials(k - need)) <= o.max_trials:
        return int(count)
    most = max((wrong for wrong in range(k - need) if trials(wrong) <= o.max_trials), default=0)
    raise UsageError(
        f"--max-wrong {o.max_wrong}: it takes {format_count(count)} random sets of {per_set + 1} of the {k} draws to "
        f"miss a state with chance {o.miss:g}, more than --max-trials {o.max_trials:g}; {most} wrong draws of {k} would do "
        f"(--max-wrong {math.floor(100 * most / k) / 100:g})"
    )


def _rejected(seen: View, k: int, skips: tuple[int, int], offset: int, chosen: Recipe) -> float:
    """Chance that a call of the largest skip took a second value. Raises UsageError if that is likely at the least."""

    def chance(skip: int) -> float:
        return -math.expm1((offset + k * (skip + 1)) * math.log1p(-seen.refuses))

    if seen.refuses and chance(skips[0]) > MISS_MOST:
        raise UsageError(
            f"calls of recipe {chosen.name} reject a value with chance {seen.refuses:.2g}, so with chance "
            f"{chance(skips[0]):.2g} {k} draws are not where the equations say; search its "
            f"seeds: python -m prng_mpi.sieve --recipe {chosen.name}"
        )
    return chance(skips[1]) if seen.refuses else 0.0


def _claim(folder: Path, identity: dict[str, Any]) -> None:
    """Make the folder. Raises UsageError if it can't be written or holds the result of another run."""
    path = folder / "summary.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if json.loads(path.read_text()).get("identity_hash") != identity_hash(identity):
                raise UsageError(f"{folder} holds the result of another search; name another --output-dir")
            # A run without a summary did not finish; an older one must not speak for this one.
            path.unlink()
        elif any(folder.iterdir()):
            raise UsageError(f"{folder} holds other files; name another --output-dir")
        # A folder that can't be written is found out now and not after the work.
        (folder / "probe").touch()
        (folder / "probe").unlink()
    except OSError as error:
        raise UsageError(f"--output-dir {folder}: it can't be written: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no summary ({error}); name another --output-dir") from error


def _say_plan(job: Job, o: RecoverOptions, history: History) -> None:
    k, bits, shown = len(job.window.draws), _bits(job.recipe), job.seen.bits
    rows = [
        ("search", f"{job.recipe.name}, modulus {job.modulus}: {job.recipe.title}  [{identity_hash(job.identity)[:8]}]"),
        ("data", f"{history.source}: draws {job.window.start} to {job.window.start + k - 1} of {len(history.draws)}, "
         f"{len(job.window.heldout)} held out to confirm"
         + (f"; {history.dropped} of other sessions left out" if history.dropped else "")),
        ("state", f"{bits} bits, of which a draw shows {shown}: {math.ceil(bits / shown)} draws at least"),
        ("hypotheses", f"skips {job.skips[0]} to {job.skips[1]}, offset {job.offset}, a state matches {job.need} of {k} draws"),
    ]  # fmt: skip
    if job.exact:
        rows.append(("method", "solve: the equations of the draws have one solution, or contradict each other"))
        if k < job.solve_draws:
            rows.append(("method", f"{k} draws may leave the state open at some skips; {job.solve_draws} never did"))
    else:
        rows.append(("method", f"decode: up to {format_count(job.trials)} random sets of draws at each skip; a state with "
                     f"{k - job.need} wrong draws is missed with chance {o.miss:g}"))  # fmt: skip
    if job.rejected:
        rows.append(
            ("method", f"a call takes a second value somewhere with chance {job.rejected:.1e}; then it is missed")
        )
    spare = k - math.ceil(bits / shown)
    p = format_log10(float(np.log10(job.chance(job.window.draws)[0])))
    rows.append(
        ("chance", f"a state is held against about {spare} draws that it was not solved from; p = {p} for each")
    )
    rows.append(("results", str(job.folder)))
    say(sys.stderr if o.json else sys.stdout, rows)


def run(comm: Comm, o: RecoverOptions, job: Job) -> ExitCode:
    """Every rank's part: skip number i goes to rank i mod size; root's exit code."""
    began = time.monotonic()
    device = Gf2Device(job.recipe)
    if not device.check():
        raise UsageError(f"recipe {job.recipe.name} has no known answers, so {device.name} can't prove itself")

    def work(skip: int) -> tuple[Attempt, float]:
        at = time.monotonic()
        return attempt_at(device, job, skip), time.monotonic() - at

    def done(results: Collection[tuple[Attempt, float]]) -> str:
        return f"skips, {sum(attempt.matches >= job.need for attempt, _ in results)} with a state"

    results = share(
        comm, job.tries, work, name="skip {}".format, done=done, patience=o.answer_timeout,
        remedy="raise --answer-timeout", out=sys.stderr if o.json else sys.stdout,
    )  # fmt: skip
    if comm.rank:
        return ExitCode.FOUND
    return _conclude(o, job, device, dict(zip(job.tries, results, strict=True)), time.monotonic() - began, comm.size)


def attempt_at(device: Gf2Device, job: Job, skip: int) -> Attempt:
    """What the window says of one skip."""
    first, stride, draws = job.offset + skip, skip + 1, job.window.draws
    if job.exact:
        return device.solve(job.modulus, job.seen, draws, first, stride, job.solve_draws)
    # Any number that is not 0, the same on any rank.
    mix = (skip + 1) * 0x9E3779B97F4A7C15 % 2**64 or 1
    return device.decode(job.modulus, job.seen, draws, first, stride, job.need, job.trials, mix)


@dataclass(frozen=True)
class _Found:
    """A state at one skip, weighed: log10_p over the draws it was not solved from; heldout the same after the window."""

    skip: int
    attempt: Attempt
    unused: int
    unused_matches: int
    log10_p: float
    log10_E: float  # noqa: N815


def _weigh(device: Gf2Device, job: Job, skip: int, attempt: Attempt, looks: int) -> _Found:
    assert attempt.words is not None and attempt.used is not None
    draws = job.window.draws
    same = device.values(job.modulus, attempt.words, job.offset + skip, skip + 1, len(draws)) == draws
    unused = ~attempt.used
    matched = int((same & unused).sum())
    log10_p = float(statistics.log10_tails(job.chance(draws[unused]))[matched])
    return _Found(skip, attempt, int(unused.sum()), matched, log10_p, log10_p + math.log10(looks))


def _best(job: Job, device: Gf2Device, found: _Found) -> tuple[dict[str, Any], statistics.Verdict]:
    """A find checked by the plain build and held against the draws after the window, as plain values; the verdict."""
    assert found.attempt.words is not None
    plain, words = Gf2Device(job.recipe, "reference"), found.attempt.words
    first, stride, k = job.offset + found.skip, found.skip + 1, len(job.window.draws)
    if int((plain.values(job.modulus, words, first, stride, k) == job.window.draws).sum()) != found.attempt.matches:
        raise IntegrityError(
            f"the plain build does not find what {device.name} found at skip {found.skip}: one of them computes wrongly"
        )
    heldout = job.window.heldout[:HELDOUT_MOST]
    after = plain.values(job.modulus, words, first + k * stride, stride, len(job.window.heldout) + PREDICT)
    matched = int((after[: len(heldout)] == heldout).sum())
    log10_p = statistics.confirmation(job.chance(heldout), matched) if len(heldout) else 0.0
    confirmed = log10_p <= statistics.CONFIRM_LOG10
    seed = device.unseed(words, STEPS_BACK)
    best = {
        "skip": found.skip,
        "offset": job.offset,
        "window_start": job.window.start,
        "matches": found.attempt.matches,
        "draws": k,
        "unused": found.unused,
        "unused_matches": found.unused_matches,
        "log10_p1": found.log10_p,
        "log10_E": found.log10_E,
        "verified": True,
        "heldout": len(heldout),
        "heldout_matches": matched,
        "heldout_log10_p": log10_p,
        "confirmed": confirmed,
        "state": [f"{int(word):#0{device.word_bits // 4 + 2}x}" for word in words],
        # So many low bits of the first word have no say in any output, and stand there as 0.
        "state_unused_bits": device.unused,
        "seed": seed[0] if seed else None,
        "seeding": seed[1] if seed else None,
        "words_since_seed": seed[2] if seed else None,
        "next_outputs": [int(v) for v in after[-PREDICT:]],
    }
    return best, statistics.verdict(found.log10_E, confirmed, True)


def _conclude(
    o: RecoverOptions,
    job: Job,
    device: Gf2Device,
    results: dict[int, tuple[Attempt, float]],
    wall: float,
    ranks: int,
) -> ExitCode:
    """Judge all skips, write summary.json, tell it; the exit code."""
    out = sys.stderr if o.json else sys.stdout
    k = len(job.window.draws)
    looks = max(1, sum(attempt.tried for attempt, _ in results.values()))
    found = sorted(
        (_weigh(device, job, skip, a, looks) for skip, (a, _) in results.items() if a.matches >= job.need),
        key=lambda f: (f.log10_E, f.skip),
    )
    # What a state that is solved for by luck must still match.
    settled = min(k, math.ceil(device.unknowns / job.seen.bits))
    tail = statistics.log10_tails(job.chance(job.window.draws)[settled:])
    log10_expected = float(tail[max(0, job.need - settled)]) + math.log10(looks)
    still_open = {skip: a.settled for skip, (a, _) in sorted(results.items()) if a.settled < a.unknowns}
    best, verdict = _best(job, device, found[0]) if found else (None, "chance")
    strong = best is not None and best["log10_E"] <= statistics.STRONG_LOG10
    code = ExitCode.FOUND if strong else ExitCode.GAPS if still_open else ExitCode.NOTHING_FOUND
    summary = {
        "verdict": verdict,
        "exit_code": int(code),
        "end": "gaps" if still_open else "exhausted",
        "recipe": job.recipe.name,
        "modulus": job.modulus,
        "method": "solve" if job.exact else "decode",
        "skips_asked": list(job.skips),
        "skips_done": len(results) - len(still_open),
        "gaps": list(still_open),
        "n_hypotheses": looks,
        "missed_by_method": job.rejected if job.exact else 1 - (1 - o.miss) * (1 - job.rejected),
        "survivors": len(found),
        "survivors_at": [f.skip for f in found],
        "expected_by_chance": 10.0**log10_expected,
        "best": best,
        "state": best["state"] if best else None,
        "next_outputs": best["next_outputs"] if best else None,
        "identity_hash": identity_hash(job.identity),
        "wall_seconds": wall,
        "device_seconds": sum(seconds for _, seconds in results.values()),
        "devices": [device.name],
        "ranks": ranks,
    }
    write_json(job.folder / "summary.json", summary)
    sets = "" if job.exact else f", {format_count(looks)} sets of draws"
    rows = [("searched", f"{len(results) - len(still_open)} of {len(job.tries)} skips{sets}, in {duration(wall)}")]
    for skip, settled in list(still_open.items())[:5]:
        rows.append(("gap", f"skip {skip}: the draws leave the state open after {settled} of {device.unknowns} bits; "
                     f"{job.solve_draws} draws would do"))  # fmt: skip
    rows.append(("states", f"{len(found)}, where chance alone gives {format_log10(log10_expected)}"))
    if best is not None:
        rows += _tell(best)
    rows.append(("verdict", _VERDICTS[verdict] if best else _NOTHING[bool(still_open)]))
    say(out, [*rows, ("results", f"{job.folder}/summary.json")])
    if o.json:
        print((job.folder / "summary.json").read_text(), end="", flush=True)
    return code


_VERDICTS = {
    "found": "FOUND: the state explains the window and draws that it was not chosen by",
    "strong": "STRONG: not chance under the model; more draws after the window would confirm it",
    "candidate": "CANDIDATE: one such state is no surprise; it needs more draws",
    "chance": "CHANCE: no more than luck gives; more draws would tell",
}
_NOTHING = {
    False: "NOTHING FOUND: at each skip the draws contradict every state",
    True: "NOTHING so far: some skips are open, they need more draws",
}


def _tell(best: dict[str, Any]) -> list[tuple[str, str]]:
    words = best["state"]
    rows = [
        ("best", f"skip {best['skip']}: {best['matches']} of {best['draws']} draws; of {best['unused']} it was not solved from "
         f"{best['unused_matches']}, E = {format_log10(best['log10_E'])}"),
        ("state", f"{' '.join(words[:4])}{f' ... {len(words)} words, all in summary.json' if len(words) > 4 else ''}"),
    ]  # fmt: skip
    if best["seed"] is not None:
        rows.append(
            (
                "seed",
                f"{best['seed']} ({best['seed']:#x}) by {best['seeding']}, {best['words_since_seed']} words before the state",
            )
        )
    if best["heldout"]:
        p = format_log10(best["heldout_log10_p"])
        rows.append(("held out", f"{best['heldout_matches']} of {best['heldout']} later draws, by chance p = {p}"))
    if best["log10_E"] <= statistics.STRONG_LOG10:
        rows.append(("next", " ".join(map(str, best["next_outputs"]))))
    return rows


if __name__ == "__main__":
    step.main(RecoverOptions, prepare, run)
