"""Floor 3: identify. Which recipes can have made these draws? A short search of each, by the strongest method there is time
for; what can't be is said, and what would settle the rest.

python -m prng_mpi.identify draws.json --modulus 1000"""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from prng_mpi import config, devices, findings, kernels, statistics, step, windows
from prng_mpi.comm import Comm
from prng_mpi.config import option
from prng_mpi.devices import invert, lift
from prng_mpi.devices.gf2 import Gf2Device, View, draws_needed, view
from prng_mpi.devices.lift import lane_seconds
from prng_mpi.devices.predict import Predictor
from prng_mpi.display import columns, duration, say
from prng_mpi.errors import ExitCode, PrngError, UsageError
from prng_mpi.history import History, cut_window, read_history
from prng_mpi.ledger import merge
from prng_mpi.recipes import Recipe, recipe, recipes
from prng_mpi.records import HIT
from prng_mpi.search import MAX_POSITIONS, Search
from prng_mpi.shares import share
from prng_mpi.siblings import hint, siblings
from prng_mpi.statistics import format_count, format_log10
from prng_mpi.windows import Asked, Later

# Seeds that a short search may go through; more than any does in its time.
MOST_SEEDS = 2**48
# A program that is seeded by its clock starts before its first draw, and not long before.
BEFORE, AFTER = 7 * 86400, 86400
# Pairs of draws that may disagree about a bit that repeats, for some draws may be wrong.
MOST_UNLIKE = 0.2
# A seed that misses more than the rest of the draws is right in part only.
MOST_RIGHT = 0.9
# Seconds to solve for MT19937's state at one skip, as measured on one core; it goes with the square of the state.
SOLVE_SECONDS, SOLVE_BITS = 2.5, 19937
SOLVE_SPARE = 100
STEPS_BACK = 2**16
# A method that misses a true seed more often says so.
MISS_SAID = 1e-4
# What an offset weighs beside the bits of a seed.
OFFSET_BITS = 8
# Draws that a sibling is held against; more say nothing new.
WHOLE_MOST = 200
# Seconds without a word from any rank; core-seconds that nobody waits for.
SILENCE = 900.0
HOPELESS = 3e10
# Searches to propose where nothing is found, the shortest first.
PROPOSALS = 5


@dataclass(frozen=True)
class IdentifyOptions:
    """Which recipes can have made these draws: python -m prng_mpi.identify FILE. Each is searched for a short while."""

    STEP: ClassVar[str] = "identify"

    draws: str = option("", "draw history: JSON, CSV or text; - reads standard input", metavar="FILE", section="Data")
    sessions: tuple[str, ...] = option((), "keep the draws of these sessions only", metavar="NAME", section="Data")
    modulus: int = option(1000, "draws are in [0, M)", minimum=2, maximum=2**32, metavar="M", section="Data")
    recipe: tuple[str, ...] = option(
        (), "these recipes and their siblings only; not set: all", metavar="NAME", section="Hypotheses"
    )
    skip_min: int = option(0, "least skip: outputs discarded before every draw", minimum=0, section="Hypotheses")
    skip_max: int = option(3, "largest skip", minimum=0, section="Hypotheses")
    offset_min: int = option(0, "least offset: outputs discarded once, at the start", minimum=0, section="Hypotheses")
    offset_max: int = option(3, "largest offset", minimum=0, section="Hypotheses")
    threshold: float = option(
        0.5, "least share of the draws that a seed matches; a method that takes too long for it asks for more",
        section="Hypotheses",
    )  # fmt: skip
    seconds_per_recipe: float = option(1.0, "time for each recipe on one core", minimum=0.01, section="Run")
    show_config: bool = option(False, "print every value and where it comes from, and exit", section="Run")
    json: bool = option(False, "print all as JSON", section="Run")


@dataclass(frozen=True)
class Task:
    """A short search. search: its window are the first draws; later: those after them; whole: both as one window, as far
    as a sibling is held against them; method: lanes, lift, invert or solve; ranges: seeds [start, stop) that lanes go through in turn while there is time; names: of recipes that are the
    same but for the name, the first stands for all."""

    search: Search
    later: Later
    whole: Search
    threshold: float
    method: str
    ranges: tuple[tuple[int, int], ...]
    names: tuple[str, ...]

    @property
    def limit(self) -> int:
        return self.search.recipe.seed_limit(self.search.params)


@dataclass(frozen=True)
class Job:
    """All short searches, and why the other recipes have none."""

    tasks: list[Task]
    excluded: dict[str, str]
    looks: int


@dataclass(frozen=True)
class Outcome:
    """What came of a task. searched: in words; done: seeds; best: as findings.weigh gives it, seed None for a state that
    no seed is known of; hint: a sibling that explains more; error: why it could not be searched."""

    searched: str = ""
    done: int = 0
    best: dict[str, Any] | None = None
    verdict: str = "nothing"
    hint: str = ""
    error: str = ""
    hypotheses: int = 0

    @property
    def log10_E(self) -> float:  # noqa: N802
        return float(self.best["log10_E"]) if self.best else math.inf

    @property
    def strong(self) -> bool:
        return self.log10_E <= statistics.STRONG_LOG10

    @property
    def matched(self) -> int:
        return int(self.best["matches"] + self.best["heldout_matches"]) if self.best else 0

    @property
    def compared(self) -> int:
        return int(self.best["draws"] + self.best["heldout"]) if self.best else 0


def prepare(loaded: config.Loaded[IdentifyOptions]) -> Job:
    """Read the draws, choose how to search each recipe, or why not to. Raises UsageError; step.Done."""
    o = loaded.value
    if not o.draws:
        raise UsageError("name the draw history: python -m prng_mpi.identify FILE (- reads standard input)")
    statistics.need_for(o.threshold, 1)
    for name, low, high in (("skip", o.skip_min, o.skip_max), ("offset", o.offset_min, o.offset_max)):
        if low > high:
            raise UsageError(f"--{name}-min {low} --{name}-max {high}: needs min <= max")
    groups = _groups(o)
    history = read_history(o.draws, o.sessions, partial=True)
    # Draws that are not below the modulus are refused here, for all recipes.
    cut_window(history, 0, 1, o.modulus)
    clock, tasks, excluded = _clock(history), [], {}
    for names in groups:
        task = _task(o, names, history, clock, len(groups))
        if isinstance(task, Task):
            tasks.append(task)
        else:
            excluded[" ".join(names)] = task
    rows = [
        ("data", f"{history.source}: {len(history.draws)} draws in [0, {o.modulus})"
         + (f"; {history.dropped} of other sessions left out" if history.dropped else "")),
        ("hypotheses", f"{len(tasks)} recipes, skips {o.skip_min} to {o.skip_max}, offsets {o.offset_min} to {o.offset_max}; {len(excluded)} excluded"),
    ]  # fmt: skip
    if clock:
        rows.append(("clock", f"seeds {clock[0]} to {clock[1] - 1} first: unix seconds before the first draw"))
    say(sys.stderr if o.json else sys.stdout, rows)
    return Job(tasks, excluded, len(groups))


def _groups(o: IdentifyOptions) -> list[tuple[str, ...]]:
    """Names of the recipes to look at; those that differ in nothing but the name together, the replaced system's last."""
    asked = [recipe(name) for name in o.recipe]
    chosen = {r.name: r for first in asked for r in (first, *siblings(first))} or recipes()
    groups: dict[Any, list[str]] = {}
    for r in sorted(chosen.values(), key=lambda r: r.name.startswith("orig.")):
        same = (r.source, r.seed_limit(r.params({})), tuple(r.params({}).items()))
        groups.setdefault(same, []).append(r.name)
    return [tuple(names) for names in groups.values()]


def _clock(history: History) -> tuple[int, int] | None:
    """Unix seconds [start, stop) in which a program that made the draws may have been seeded; None without dates."""
    if history.dates is None:
        return None
    try:
        moment = datetime.fromisoformat(history.dates[0])
        first = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except ValueError:
        first = int(float(history.dates[0]))
    # Numbers may count anything; as seconds since 1970 these are years from 1973 on.
    return (first - BEFORE, first + AFTER) if 10**8 <= first < 2**32 else None


def _task(
    o: IdentifyOptions, names: tuple[str, ...], history: History, clock: tuple[int, int] | None, looks: int
) -> Task | str:
    """How to search a recipe in the time there is, or why it needs no search, as the end of a sentence."""
    chosen = recipe(names[0])
    if why_not := _impossible(o, chosen, history):
        return why_not
    n, chances = usable(history), _chances(o, chosen, history)
    skips, offsets, limit = (o.skip_min, o.skip_max), (o.offset_min, o.offset_max), chosen.seed_limit(chosen.params({}))
    # Of draws that say more or less, what one of them says on average.
    p = float(np.exp(np.log(chances).mean()))
    hypotheses = min(limit, MOST_SEEDS) * (skips[1] - skips[0] + 1) * (offsets[1] - offsets[0] + 1) * looks
    strong = statistics.draws_needed(1.0, p, hypotheses)
    if strong is None or strong > n:
        least = f"{strong} draws" if strong else "more draws than anyone has"
        return f"{n} draws can't tell it from chance: E < 1e-3 takes {least}"
    # Draws that a sibling is held against: all but those that no rank has room for.
    most = min(n, WHOLE_MOST, max(1, (MAX_POSITIONS - offsets[1]) // (skips[1] + 1) - 1))
    whole, _ = _search(o, chosen, history, 1.0, most, skips, offsets)
    if k := _solvable(o, chosen, history):
        search, later = _search(o, chosen, history, 1.0, k, skips, (0, 0))
        return Task(search, later, whole, 1.0, "solve", (), names)

    def windowed(threshold: float) -> tuple[Search, Later] | None:
        """The least window that decides and leaves draws to confirm; None where there are too few for it."""
        k = statistics.draws_needed(threshold, p, hypotheses, log10_below=statistics.FOUND_LOG10)
        confirm = statistics.draws_needed(1.0, p, 1, log10_below=statistics.CONFIRM_LOG10) or 0
        if k is None or k + confirm > n:
            if threshold < 1:
                return None
            k = min(k or n, n)
        return _search(o, chosen, history, threshold, k, skips, offsets)

    first: Task | None = None
    # From what is asked for to all draws, a tenth at a time: the first threshold at which the whole seed space takes no longer
    # than there is, else the seeds there is time for.
    thresholds = [o.threshold, *(t / 10 for t in range(1, 11) if t / 10 > o.threshold)]
    for threshold in thresholds:
        cut = windowed(threshold)
        if cut is None:
            continue
        methods = {"lift": lift.forecast(cut[0]).seconds, "invert": invert.forecast(cut[0], limit).seconds}
        methods["lanes"] = lane_seconds(cut[0], limit)
        method = min(methods, key=lambda m: methods[m])
        ranges = ((0, limit),)
        if methods[method] <= o.seconds_per_recipe:
            return Task(*cut, whole, threshold, method, ranges, names)
        if first is None:
            near = ((clock[0], min(clock[1], limit)),) if clock and clock[0] < limit else ()
            first = Task(*cut, whole, threshold, "lanes", near + ranges, names)
    assert first is not None
    return first


def usable(history: History) -> int:
    """Draws before the first gap that may be of several lengths: at a constant skip those after it stand nowhere."""
    return len(history.draws) if history.partial is None else history.partial.fixed


def _search(
    o: IdentifyOptions, chosen: Recipe, history: History, threshold: float, k: int, skips: tuple[int, int],
    offsets: tuple[int, int],
) -> tuple[Search, Later]:  # fmt: skip
    return windows.search(chosen, {}, history, Asked(o.modulus, threshold, 0, k, "forward", skips, offsets, None))


def _chances(o: IdentifyOptions, chosen: Recipe, history: History) -> npt.NDArray[np.float64]:
    """P(a random output can be each draw), shape (n,)."""
    k = min(usable(history), MAX_POSITIONS)
    return _search(o, chosen, history, 1.0, k, (0, 0), (0, 0))[0].chances()


def _impossible(o: IdentifyOptions, chosen: Recipe, history: History) -> str:
    """Why no seed of a recipe gives these draws, as the end of a sentence; empty where one may."""
    if not 2 <= o.modulus <= chosen.map.max_modulus:
        return f"the call takes a range of 2 to {chosen.map.max_modulus}, not {o.modulus}"
    chances = _chances(o, chosen, history)
    if not chances.all():
        i = int(np.argmin(chances))
        return f"it never gives {history.partial.text(i) if history.partial else history.draws[i]}, which is draw {i}"
    return _unlike(chosen, o.modulus, history)


def _unlike(chosen: Recipe, modulus: int, history: History) -> str:
    """Where the draws lack a repetition that a recipe's outputs have: the lowest bit of an LCG's words repeats soon, and a
    draw shows it where the modulus is even."""
    algebra, draws = kernels.family(chosen.family).affine(chosen.params({}), chosen.seeding), history.draws
    if algebra is None or history.partial or chosen.mapping != "mod" or modulus % 2 or not algebra.a % 2:
        return ""
    period = 2 << algebra.shift
    if len(draws) < 2 * period or len(draws) < 20:
        return ""
    unlike = int(((draws[period:] ^ draws[:-period]) & 1).sum())
    if unlike <= MOST_UNLIKE * (len(draws) - period):
        return ""
    return f"its outputs are odd and even with period {period}; here {unlike} of {len(draws) - period} draws break it"


def _solvable(o: IdentifyOptions, chosen: Recipe, history: History) -> int:
    """Draws of the window from which to solve for a recipe's state, which needs no seed; 0 where the draws or the time do not
    suffice."""
    seen, linear, n = view(chosen, o.modulus), kernels.family(chosen.family).linear, len(history.draws)
    if not isinstance(seen, View) or linear is None or history.partial:
        return 0
    k = draws_needed(linear.bits, seen.bits)
    if k > n or _solve_seconds(linear.bits) * (o.skip_max - o.skip_min + 1) > o.seconds_per_recipe:
        return 0
    # Where a call may take a second value, the equations are about other draws from there on.
    if -math.expm1(k * (o.skip_max + 1) * math.log1p(-seen.refuses)) > 1e-2:
        return 0
    # Half of what is over makes the solution certain, the other half confirms it.
    return k + min(SOLVE_SPARE, (n - k) // 2)


def _solve_seconds(bits: int) -> float:
    return 0.01 + SOLVE_SECONDS * (bits / SOLVE_BITS) ** 2


def run(comm: Comm, o: IdentifyOptions, job: Job) -> ExitCode:
    """Every rank's part: the tasks are shared among the ranks; root's exit code."""
    began = time.monotonic()
    outcomes = share(
        comm, job.tasks, lambda task: _attempt(o, task, job.looks), name=lambda task: f"recipe {task.names[0]}",
        done=lambda _: "recipes", patience=SILENCE, remedy="give fewer ranks", out=sys.stderr,
    )  # fmt: skip
    if comm.rank:
        return ExitCode.FOUND
    return _conclude(o, job, outcomes, time.monotonic() - began)


def _attempt(o: IdentifyOptions, task: Task, looks: int) -> Outcome:
    """The short search of one recipe."""
    try:
        outcome = _solve(task, looks) if task.method == "solve" else _sieve(o, task, looks)
        best = outcome.best
        if outcome.strong and best and best["seed"] is not None and outcome.matched < outcome.compared:
            return dataclasses.replace(outcome, hint=hint(task.whole, best["seed"]))
        return outcome
    except PrngError as error:
        return Outcome(error=str(error))


def _sieve(o: IdentifyOptions, task: Task, looks: int) -> Outcome:
    """Seeds held against the window: all of them, or those there is time for."""
    search, limit = task.search, task.limit
    device = devices.open_device("cpu", search.recipe, 0, task.method, search.form)
    parts, searched, began = [], [], time.monotonic()
    for number, (start, stop) in enumerate(task.ranges):
        # Each range may take its share of the time; what one leaves is for the next.
        until = began + o.seconds_per_recipe * (number + 1) / len(task.ranges)
        at, size = start, stop - start if task.method != "lanes" else 1 << 12
        while at < stop and (at == start or time.monotonic() < until):
            end, before = min(at + size, stop), time.monotonic()
            hits = device.sieve(search, at, end)
            assert hits is not None
            parts.append(hits)
            # A tenth of the time at once, at most four times what went before.
            rate = (end - at) / max(time.monotonic() - before, 1e-6)
            at, size = end, max(1, min(4 * size, int(rate * o.seconds_per_recipe / 10)))
        searched.append((start, at))
    covered = merge(searched)
    seeds = sum(stop - start for start, stop in covered)
    hits = np.unique(np.concatenate([*parts, np.zeros(0, HIT)]))
    hits = hits[np.lexsort((hits["seed"], _length(hits), -hits["matches"].astype(np.int64)))]
    plan = search.plan(task.threshold, seeds, looks)
    found = findings.judge(search, plan, hits, task.later, 1.0)
    what = f"all {_power(limit)} seeds" if seeds == limit else f"seeds {', '.join(f'{a}:{b}' for a, b in covered)}"
    miss = lift.forecast(search).miss if task.method == "lift" else 0.0
    method = f"{task.method}, misses a seed with chance {miss:.1e}" if miss > MISS_SAID else task.method
    verdict: str = found.verdict if found.best else "nothing"
    return Outcome(f"{what} ({method})", seeds, found.best, verdict, hypotheses=plan.n_hypotheses)


def _length(hits: npt.NDArray[np.void]) -> npt.NDArray[np.float64]:
    """Bits that a hypothesis takes to say, (n,). Where a seed is a state, those it leads to are seeds of the same stream at a
    lesser offset; people and clocks give short ones, and more often begin at offset 0."""
    bits = np.ceil(np.log2(hits["seed"].astype(np.float64) + 1))
    return np.asarray(bits + OFFSET_BITS * (hits["offset"] > 0) + hits["offset"])


def _power(n: int) -> str:
    return f"2^{n.bit_length() - 1}" if n & (n - 1) == 0 and n > 1024 else format_count(n)


def _solve(task: Task, looks: int) -> Outcome:
    """The state that gives the window, at each skip, and its seed where there is one."""
    search, chosen = task.search, task.search.recipe
    device, plain, seen = Gf2Device(chosen), Gf2Device(chosen, "reference"), view(chosen, search.modulus)
    if not device.check():
        raise UsageError(f"recipe {chosen.name} has no known answers, so {device.name} can't prove itself")
    assert isinstance(seen, View)
    heldout = task.later.seen.draws
    k, tries = len(search.draws), range(search.skips[0], search.skips[1] + 1)
    nothing = Outcome("all states (solve)", task.limit, hypotheses=len(tries) * looks)
    for skip in tries:
        stride = skip + 1
        attempt = device.solve(
            search.modulus, seen, search.draws, skip, stride, draws_needed(device.unknowns, seen.bits)
        )
        if attempt.words is None or attempt.used is None or attempt.matches < k:
            continue
        stream = plain.values(search.modulus, attempt.words, skip, stride, k + len(heldout))
        if (stream[:k] != search.draws).any():
            raise PrngError(f"the plain build does not give what {device.name} found for {chosen.name} at skip {skip}")
        matched = int((stream[k:] == heldout).sum())
        log10_p1 = float(statistics.log10_tails(search.chances()[~attempt.used])[-1])
        log10_heldout = statistics.confirmation(search.chances(heldout), matched) if len(heldout) else 0.0
        log10_E = log10_p1 + math.log10(nothing.hypotheses)  # noqa: N806
        best = {
            **{
                "seed": None,
                "skip": skip,
                "offset": 0,
                "matches": k,
                "draws": k,
                "log10_p1": log10_p1,
                "log10_E": log10_E,
            },
            **{"heldout": len(heldout), "heldout_matches": matched, "heldout_log10_p": log10_heldout, "verified": True},
            "confirmed": log10_heldout <= statistics.CONFIRM_LOG10,
            **_seeded(task, device, attempt.words, skip),
        }
        verdict = statistics.verdict(log10_E, bool(best["confirmed"]), True)
        return dataclasses.replace(nothing, best=best, verdict=verdict)
    return nothing


def _seeded(task: Task, device: Gf2Device, words: npt.NDArray[np.uint64], skip: int) -> dict[str, Any]:
    """The seed and offset of a solved state, where a seed of the recipe itself leads to it."""
    search, chosen = task.search, task.search.recipe
    found = device.unseed(words, STEPS_BACK)
    if found is None or found[0] >= task.limit:
        return {}
    seed, offset = found[0], found[2] // chosen.map.words
    stream = Predictor(chosen, search.modulus).outputs(seed, offset + skip, len(search.draws), skip + 1)
    return {"seed": seed, "offset": offset} if stream is not None and (stream == search.draws).all() else {}


def _conclude(o: IdentifyOptions, job: Job, outcomes: list[Outcome], wall: float) -> ExitCode:
    """Rank what was found, tell it, and what would settle the rest; the exit code."""

    def rank(i: int) -> tuple[bool, int, float, int]:
        # Recipes that explain the draws go by how many, then as they are listed; the others by E.
        outcome = outcomes[i]
        return (not outcome.strong, -outcome.matched, 0.0, i) if outcome.strong else (True, 0, outcome.log10_E, i)

    order = sorted(range(len(outcomes)), key=rank)
    leader = next((i for i in order[:1] if outcomes[i].strong), None)
    verdicts = {i: _verdict(o, job, outcomes, i, leader) for i in order}
    proposals = _proposals(o, job, outcomes, leader)
    code = ExitCode.NOTHING_FOUND if leader is None else ExitCode.FOUND
    if o.json:
        told = [_plain(job.tasks[i], outcomes[i], verdicts[i]) for i in order]
        print(json.dumps({
            **{"draws": o.draws, "modulus": o.modulus, "results": told, "excluded": job.excluded},
            **{"next": proposals, "wall_seconds": wall, "exit_code": int(code)},
        }, indent=1), flush=True)  # fmt: skip
        return code
    rows = [("recipe", "searched", "to finish", "best seed", "matches", "E", "verdict")]
    for i in order:
        task, outcome, best = job.tasks[i], outcomes[i], outcomes[i].best
        rest = _rest(task, outcome)
        left = "" if not rest else duration(rest) if rest < HOPELESS else "out of reach"
        seed, matches, e = "", "", ""
        if best:
            where = f"skip {best['skip']}, offset {best['offset']}"
            seed = f"{best['seed']}, {where}" if best["seed"] is not None else f"a state, {where}"
            matches, e = f"{outcome.matched} of {outcome.compared}", format_log10(outcome.log10_E)
        rows.append((task.names[0], outcome.searched, left, seed, matches, e, verdicts[i][1]))
    print("\n".join(columns(rows)))
    reasons: dict[str, list[str]] = {}
    for names, why in job.excluded.items():
        reasons.setdefault(why, []).append(names)
    ends = [("excluded", f"{', '.join(names)}: {why}") for why, names in reasons.items()]
    ends += [("the same", " = ".join(task.names)) for task in job.tasks if len(task.names) > 1]
    ends.append(("searched", f"{len(outcomes)} recipes in {duration(wall)}, {len(job.excluded)} excluded"))
    say(sys.stdout, [*ends, *(("next", text) for text in proposals)])
    return code


def _verdict(o: IdentifyOptions, job: Job, outcomes: list[Outcome], i: int, leader: int | None) -> tuple[str, str]:
    """What is said of a recipe: a word, and the same in full."""
    outcome, task = outcomes[i], job.tasks[i]
    if outcome.error or outcome.hint:
        return ("failed", f"not searched: {outcome.error}") if outcome.error else ("sibling", outcome.hint)
    if outcome.strong and outcome.matched < MOST_RIGHT * outcome.compared:
        # V8's two ways to make a double agree half of the time.
        return "partial", "right in part: the state under a mapping that is not here, or a skip that varies"
    if leader is not None and i != leader:
        best, first = outcomes[leader], job.tasks[leader].names[0]
        if outcome.strong and outcome.matched == outcome.compared == best.matched:
            return "same", f"gives the same draws as {first}"
        # Who names a recipe wants to hear that it was the wrong one of a family.
        near = {r.name for r in siblings(task.search.recipe)}
        if near & set(job.tasks[leader].names) and set(o.recipe) & set(task.names):
            return (
                "sibling",
                f"right generator, wrong mapping: try recipe {first} ({best.matched} of {best.compared})",
            )
    return outcome.verdict, outcome.verdict


def _rest(task: Task, outcome: Outcome) -> float:
    """Seconds that the seeds which are left take on one core, where all draws must match; 0 if there are none."""
    if outcome.done == task.limit or outcome.error:
        return 0.0
    search, rest = task.search, task.limit - outcome.done
    if search.plain:
        search = dataclasses.replace(search, need=search.k)
    return min(lane_seconds(search, rest), lift.forecast(search).seconds, invert.forecast(search, rest).seconds)


def _plain(task: Task, outcome: Outcome, said: tuple[str, str]) -> dict[str, Any]:
    return {
        "recipe": task.names[0],
        "same_as": list(task.names[1:]),
        "method": task.method,
        "searched": outcome.searched,
        "seeds_done": outcome.done,
        "seeds": task.limit,
        "seconds_to_finish": _rest(task, outcome),
        "n_hypotheses": outcome.hypotheses,
        "verdict": said[0],
        "said": said[1],
        "best": outcome.best,
    }


def _proposals(o: IdentifyOptions, job: Job, outcomes: list[Outcome], leader: int | None) -> list[str]:
    """Command lines: to confirm what was found, or to finish the searches that take least, each with its time."""
    data = ["--draws", o.draws, "--modulus", str(o.modulus)]
    for session in o.sessions:
        data += ["--sessions", session]

    def command(name: str, *words: object) -> str:
        return shlex.join(["python", "-m", f"prng_mpi.{name}", *map(str, words)])

    if leader is not None and (best := outcomes[leader].best):
        task = job.tasks[leader]
        which = ["--recipe", task.names[0]]
        where = ["--skip-min", best["skip"], "--skip-max", best["skip"]]
        if best["seed"] is None:
            return [command("recover", *data, *which, *where)]
        where += ["--offset-min", best["offset"], "--offset-max", best["offset"]]
        seeds = ["--seed-start", best["seed"], "--seed-end", best["seed"] + 1, "--threshold", o.threshold]
        place = ["--seed", best["seed"], "--skip", best["skip"], "--offset", best["offset"]]
        found = [command("sieve", *data, *which, *seeds, *where)]
        if task.later.next_call is None:
            return found
        return [*found, command("predict", *which, *data[2:4], *place, "--from", task.later.next_call - 1)]
    ranges = [
        "--skip-min",
        o.skip_min,
        "--skip-max",
        o.skip_max,
        "--offset-min",
        o.offset_min,
        "--offset-max",
        o.offset_max,
    ]
    ways: list[tuple[float, str]] = []
    for task, outcome in zip(job.tasks, outcomes, strict=True):
        seconds, search = _rest(task, outcome), task.search
        if 0 < seconds < HOPELESS:
            whole = ["--recipe", task.names[0], "--window", search.k, "--seed-end", task.limit]
            ways.append((seconds, f"{command('sieve', *data, *whole, *ranges)}  # {duration(seconds)} on one core"))
    texts = [text for _, text in sorted(ways)[:PROPOSALS]]
    if len(ways) > PROPOSALS:
        texts.append(
            f"and {len(ways) - PROPOSALS} more that take longer; a larger --seconds-per-recipe finishes them too"
        )
    return texts


def arguments(argv: Sequence[str]) -> list[str]:
    """The flags, of a command line whose first word may be the history."""
    return ["--draws", *argv] if argv and (not argv[0].startswith("-") or argv[0] == "-") else list(argv)


if __name__ == "__main__":
    step.main(IdentifyOptions, prepare, run, arguments(sys.argv[1:]))
