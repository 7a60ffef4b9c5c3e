"""Floor 3: the sieve. Which seeds, at which skip and offset, give the window's draws, and would chance give as many?

mpirun -np 4 python -m prng_mpi.sieve --draws draws.json --recipe java.nextInt --skip-max 16"""

from __future__ import annotations

import functools
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TextIO

import numpy as np
import numpy.typing as npt

from prng_mpi import audits, config, devices, findings, hybrid, kernels, memory, runs, spaces, step, windows
from prng_mpi import comm as comms
from prng_mpi.audits import Auditor
from prng_mpi.comm import Comm
from prng_mpi.config import option, parse_size
from prng_mpi.devices import invert, lift
from prng_mpi.devices.base import Device
from prng_mpi.devices.lift import LANE_LOOKS, lane_seconds
from prng_mpi.devices.team import share_of_cores
from prng_mpi.display import Display, duration, farewell, say, wind_up
from prng_mpi.errors import DeviceError, ExitCode, PrngError, UsageError
from prng_mpi.farm import UNFINISHED, Card, Compute, End, Examine, Farm, Finished, serve
from prng_mpi.history import History, read_history
from prng_mpi.ledger import Ledger, gaps, identity_hash
from prng_mpi.profiles import profile, weight
from prng_mpi.recipes import Recipe, recipe
from prng_mpi.scheduler import Lease, Policy, Scheduler
from prng_mpi.search import Search
from prng_mpi.spaces import Space
from prng_mpi.startup import Load, in_turn
from prng_mpi.statistics import Plan, format_count
from prng_mpi.store import EventLog, chunk_table, payload_hash, rank_table, write_json, write_results
from prng_mpi.windows import Later

# Without --seed-end a recipe with a larger seed space is searched to here.
DEFAULT_SEED_END = 2**32
METHODS = ("auto", "lanes", "lift", "invert")
# Lanes that take longer than this, roughly, give way to a method that does not.
PATIENCE = 30.0
# Seconds of a core without squares that nobody waits for: most of a year of 26 GPUs that are each worth fifty such cores.
HOPELESS_SECONDS = 3e10
# How much slower than one core of the forecasts a device may be before its first lease runs out.
SLOWEST = 30.0


@dataclass(frozen=True)
class SieveOptions:
    """Hold every seed of a range against a window of draws, under every skip and offset, beside what chance gives."""

    STEP: ClassVar[str] = "sieve"

    draws: str = option("", "draw history: JSON, CSV or text; - reads standard input", metavar="FILE", section="Data")
    sessions: tuple[str, ...] = option((), "keep the draws of these sessions only", metavar="NAME", section="Data")
    modulus: int = option(1000, "draws are in [0, M)", metavar="M", section="Data")
    window_start: int = option(0, "history index of the window's first draw", minimum=0, section="Data")
    window: int | None = option(
        None, "draws in the window (k); not set: 30, or half of what there is", minimum=1, metavar="K", section="Data"
    )
    recipe: str = option(
        "", "what made the draws; python -m prng_mpi lists recipes", metavar="NAME", section="Hypotheses"
    )
    param: dict[str, int] = option({}, "a parameter of the recipe's family", section="Hypotheses")
    seed_start: int | None = option(None, "first seed; not set: 0", minimum=0, section="Hypotheses")
    seed_end: int | None = option(
        None, "end of the seeds, excluded; not set: the recipe's seed space, at most 2**32", section="Hypotheses"
    )
    seeds: str = option(
        "", "instead of both: A:B, bits:N, unix:FROM..TO, unix-ms:FROM..TO, day-ms, unix*pid:FROM..TO (also + and ^)",
        metavar="SPACE", section="Hypotheses",
    )  # fmt: skip
    direction: str = option(
        "forward",
        "forward: draws from the window's start on; reverse: draws before it, newest first, by running the generator backwards; "
        "both: one seed, skip and offset explains both; turned: the window turned round, which no seed explains: a null",
        choices=windows.DIRECTIONS,
        section="Hypotheses",
    )
    hybrid: str | None = option(
        None, "the skip may differ before every draw: a strategy, which gives a range of skips and how many draws in a row may be missed",
        choices=hybrid.STRATEGIES, section="Hypotheses",
    )  # fmt: skip
    max_misses: int | None = option(
        None, "hybrid: draws in a row that may be missed; not set: the strategy's", minimum=0, section="Hypotheses"
    )
    skip_min: int | None = option(
        None,
        "least skip: outputs discarded before every draw; not set: 0, or the strategy's",
        minimum=0,
        section="Hypotheses",
    )
    skip_max: int | None = option(
        None, "largest skip; not set: the least, or the strategy's", minimum=0, section="Hypotheses"
    )
    offset_min: int = option(0, "least offset: outputs discarded once, at the start", minimum=0, section="Hypotheses")
    offset_max: int | None = option(None, "largest offset; not set: the least", minimum=0, section="Hypotheses")
    threshold: float = option(1.0, "least share of the window's draws that a survivor matches", section="Hypotheses")
    max_survivors: float = option(
        1e6, "refuse a filter from which chance alone would leave more seeds than this", minimum=0, section="Hypotheses"
    )
    method: str = option(
        "auto",
        "lanes: every seed against the window; lift: low bits of the state first (power-of-two LCGs); invert: from the draws back to seeds (32-bit states)",
        choices=METHODS,
        section="Devices",
    )
    device: str = option("auto", "what computes", choices=devices.KINDS, section="Devices")
    threads: int | None = option(
        None, "threads of a rank on a CPU; not set: its share of the cores it may use", minimum=1, section="Devices"
    )
    profile: Path | None = option(
        None, "bench.json of a bench: speeds to start from", metavar="FILE", section="Devices"
    )
    require_gpu: bool = option(False, "refuse to compute on a CPU", section="Devices")
    chunk_seconds: float = option(1.0, "a chunk is what a rank does in this time", minimum=0.001, section="Devices")
    lease_margin: float = option(30.0, "seconds past three times its expected time after which a chunk is given to another rank",
                                 minimum=0.1, section="Devices")  # fmt: skip
    audit_share: float = option(
        0.01, "share of the devices' time for checking them: planted seeds, audits on a second device; 0: none",
        minimum=0, maximum=1, section="Devices",
    )  # fmt: skip
    memory_reserve: float = option(
        1.5e9, "memory of each host to leave alone; ranks that it would take, but for the first, get no device",
        parse=parse_size, metavar="SIZE", section="Devices",
    )  # fmt: skip
    startup_timeout: float = option(120.0, "seconds for one device to start", minimum=1, section="Devices")
    output_dir: Path | None = option(
        None, "folder of the run; not set: results/RECIPE-SEARCH", metavar="DIR", section="Run"
    )
    resume: bool = option(False, "insist that the folder holds this search already", section="Run")
    time_limit: float | None = option(
        None,
        "stop handing out after this time (90, 10m, 3h), finish what runs, exit 4",
        parse=config.parse_seconds,
        metavar="TIME",
        section="Run",
    )
    dry_run: bool = option(False, "print the plan and exit; no device is touched", section="Run")
    show_config: bool = option(False, "print every value and where it comes from, and exit", section="Run")
    json: bool = option(False, "print summary.json at the end; all else goes to stderr", section="Run")


@dataclass(frozen=True)
class Job:
    """A sieve that is ready to start: what every rank needs, and what root says of it."""

    search: Search
    start: int
    end: int
    later: Later
    plan: Plan
    identity: dict[str, Any]
    folder: Path
    config: str
    method: str
    miss: float
    measured: dict[str, float]
    space: Space

    @property
    def seeds(self) -> int:
        return self.end - self.start


def prepare(loaded: config.Loaded[SieveOptions]) -> Job:
    """Read the inputs, weigh the search against chance, say so. Raises UsageError, or IntegrityError for a damaged
    ledger; step.Done after a dry run."""
    o = loaded.value
    if not o.draws:
        raise UsageError("--draws FILE is missing: name the draw history (- reads standard input)")
    if not o.recipe:
        raise UsageError("--recipe NAME is missing: name what made the draws; python -m prng_mpi lists recipes")
    chosen = recipe(o.recipe)
    chosen.check_modulus(o.modulus)
    history = read_history(o.draws, o.sessions, partial=True)
    limit = chosen.seed_limit(chosen.params(o.param))
    seeds = spaces.chosen(o.seeds, o.seed_start, o.seed_end, limit, DEFAULT_SEED_END, chosen.name)
    search, later = _search(o, chosen, history)
    if seeds.pids is not None:
        search = replace(search, space=seeds)
    start, end = (seeds.start, seeds.end) if seeds.identity else (0, seeds.size)
    plan = hybrid.plan_of(search, o.threshold, seeds.hypotheses)
    method, miss, reason = _method(o, search, end - start)
    measured = _measured(o.profile, o.recipe)
    identity = {**search.identity(), "seeds": [start, end]}
    name = identity_hash(identity)[:8]
    folder = o.output_dir or Path("results") / f"{o.recipe}-{name}"
    job = Job(search, start, end, later, plan, identity, folder, config.to_toml(o), method, miss, measured, seeds)
    _say_plan(job, o, history, reason)
    if plan.expected_survivors > o.max_survivors:
        raise UsageError(
            f"this filter is hopeless: {plan.sentence()}, more than --max-survivors {o.max_survivors:g}; raise --threshold, "
            f"lengthen --window{f' to {plan.draws_needed} draws' if plan.draws_needed else ''}, or raise --max-survivors"
        )
    if o.dry_run:
        raise step.Done(ExitCode.FOUND)
    # Another search, a damaged ledger, a folder that can't be written: refused before anything starts.
    Ledger.open(folder / "ledger.sqlite", identity, resume=o.resume).close()
    return job


def _search(o: SieveOptions, chosen: Recipe, history: History) -> tuple[Search, Later]:
    """The search that the options ask for, and what the history holds besides. Raises UsageError."""
    strategy = hybrid.STRATEGIES[o.hybrid] if o.hybrid else None
    if strategy is None and o.max_misses is not None:
        raise UsageError("--max-misses is for a skip that varies: add --hybrid STRATEGY")
    low, high = strategy.skips if strategy else (0, o.skip_min or 0)
    low = o.skip_min if o.skip_min is not None else low
    if o.skip_max is None and low > high:
        raise UsageError(f"--skip-min {low} is above {high}, the largest skip of {o.hybrid}: give --skip-max as well")
    misses = None if strategy is None else strategy.misses if o.max_misses is None else o.max_misses
    asked = windows.Asked(
        modulus=o.modulus,
        threshold=o.threshold,
        start=o.window_start,
        k=o.window,
        direction=o.direction,
        skips=(low, o.skip_max if o.skip_max is not None else high),
        offsets=(o.offset_min, o.offset_min if o.offset_max is None else o.offset_max),
        misses=misses,
    )
    return windows.search(chosen, o.param, history, asked)


def _method(o: SieveOptions, search: Search, seeds: int) -> tuple[str, float, str]:
    """(method, chance that it misses a true seed, why this one). Raises UsageError for one that can't be.

    Lanes run on every rank, the others on one core of one; that is weighed in."""
    _, size = comms.launched() or (0, 1)
    kind, _ = devices.choose(o.device)
    # Ranks of one host share its cores; more than one rank is taken to be one a core.
    threads = (o.threads or share_of_cores(size)) if kind == "cpu" else 1
    fast = float(threads) if kind in ("cpu", "emulated") else profile(kind).outputs_per_second / LANE_LOOKS
    lanes = lane_seconds(search, seeds, squares=kind == "cpu") / (fast * size)
    lifted, inverted = lift.forecast(search), invert.forecast(search, seeds)
    whys = {"lanes": "", "lift": lifted.why_not, "invert": inverted.why_not}
    if whys.get(o.method):
        raise UsageError(f"--method {o.method}: {whys[o.method]}; use --method lanes")
    times = {"lanes": lanes, "lift": max(PATIENCE, lifted.seconds), "invert": max(PATIENCE, inverted.seconds)}
    method = o.method if o.method != "auto" else min((m for m in METHODS[1:] if not whys[m]), key=lambda m: times[m])
    ranks = f"on {size} rank{'s' if size > 1 else ''}"
    beside = f"on one core, lanes {ranks} {duration(lanes)}"
    if method == "lanes" and lane_seconds(search, seeds) > HOPELESS_SECONDS:
        linear = kernels.family(search.recipe.family).linear is not None
        instead = (
            "python -m prng_mpi.recover solves for its state"
            if linear
            else "narrow the seeds to a clock, a pid or a counter"
        )
        raise UsageError(
            f"{format_count(float(seeds))} seeds of recipe {search.recipe.name} are out of reach, about {format_count(lanes / 3.2e7)} years {ranks} "
            f"(lift: {lifted.why_not or duration(lifted.seconds)}; invert: {inverted.why_not or duration(inverted.seconds)}); {instead}"
        )
    if method == "lift":
        reason = f"low bits of the state first, roughly {duration(lifted.seconds)} {beside}"
        if lifted.miss:
            reason += f"; a seed whose calls reject a word in the window is missed, chance {lifted.miss:.1e}"
        return method, lifted.miss, reason
    if method == "invert":
        return (
            method,
            0.0,
            f"the states that show each draw, led back to seeds, roughly {duration(inverted.seconds)} {beside}; {config.format_size(inverted.memory)}",
        )
    return method, 0.0, f"every seed is held against the window, roughly {duration(lanes)} {ranks}"


def _measured(path: Path | None, name: str) -> dict[str, float]:
    """Outputs/s by device name, as a bench measured them for this recipe's lanes. Raises UsageError."""
    if path is None:
        return {}
    try:
        rows = json.loads(path.read_text())["rows"]
        wanted = [row for row in rows if row.get("method") == "lanes" and row["recipe"] == name]
        return {row["device"]: float(row["outputs_per_second"]) for row in reversed(wanted)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise UsageError(f"--profile {path} is no bench.json ({e}); make one with python -m prng_mpi.bench") from e


def _say_plan(job: Job, o: SieveOptions, history: History, reason: str) -> None:
    s, plan = job.search, job.plan
    rows = [
        ("search", f"{s.recipe.name}, modulus {s.modulus}: {s.recipe.title}  [{identity_hash(job.identity)[:8]}]"),
        ("data", _data(job, history)),
        ("seeds", _seed_words(job)),
        ("hypotheses", _hypotheses(s)),
    ]
    if s.behind is not None and s.offsets[0] == 0:
        rows.append(
            (
                "note",
                "output -1 may be nearly the seed itself, so that neighbouring seeds share it and survive together",
            )
        )
    if o.direction == "turned":
        rows.append(
            ("null", "the window is turned round, so what survives is chance; the replaced system called this reverse")
        )
    rows += [("chance", line) for line in plan.lines()]
    rows.append(("method", f"{job.method}: {reason}"))
    if job.method == "lanes":
        # A hypothesis looks at about k - need + 1 outputs before it is hopeless.
        outputs = job.seeds * (s.per_seed * (s.k - s.least + 1.0) if s.misses is None else s.looks)
        times = "".join(f"{duration(outputs / speed)} on one {name}, " for name, speed in job.measured.items())
        each = config.format_size(60e6 + _work_memory(job))
        rows.append(("work", f"{times}{o.chunk_seconds:g} s chunks, about {each} of memory a rank"))
    rows.append(("results", str(job.folder)))
    say(sys.stderr if o.json else sys.stdout, rows)


def _data(job: Job, history: History) -> str:
    """Which draws are explained, and which are kept."""
    s, parts = job.search, []
    for one in s.sides:
        n, w = len(one.draws), s.window_start
        parts.append(f"draws {w - 1} back to {w - n}" if one.behind else f"draws {w} to {w + n - 1}")
    text = f"{history.source}: {' and '.join(parts)} of {len(history.draws)}, {len(job.later.seen.draws)} held out to confirm"
    partly = sum(
        int((one.high[one.first[:-1]] != one.low[one.first[:-1]]).sum() + len(one.low) - len(one.draws))
        for one in s.sides
    )
    text += f"; {partly} of them known in part" if partly else ""
    return text + (f"; {history.dropped} of other sessions left out" if history.dropped else "")


def _seed_words(job: Job) -> str:
    """Which seeds are searched."""
    space = job.space
    if not space.identity:
        return f"{space.text}: {format_count(space.hypotheses)} pairs of a time and a process id"
    named = (
        f" ({space.text}{f', {space.note}' if space.note else ''})" if space.text != f"{job.start}:{job.end}" else ""
    )
    return f"{job.start} to {job.end - 1}: {format_count(job.seeds)}{named}"


def _hypotheses(s: Search) -> str:
    """Skips and offsets, and what survives."""
    needs = " and ".join(f"{one.need} of {len(one.draws)} draws{' behind' if one.behind else ''}" for one in s.sides)
    if s.misses is None:
        return (
            f"skips {s.skips[0]} to {s.skips[1]}, offsets {s.offsets[0]} to {s.offsets[1]}, a match on {needs} survives"
        )
    return (
        f"any skip of {s.skips[0]} to {s.skips[1]} before each draw, at most {s.misses} misses in a row, "
        f"offsets {s.offsets[0]} to {s.offsets[1]}, a path with {needs} survives"
    )


def _work_memory(job: Job) -> float:
    """Bytes that a rank's work takes besides what its start took."""
    if job.method != "lanes":
        return 0.0
    return 0.0 if job.search.stride else 64.0 * job.search.slots


def run(comm: Comm, o: SieveOptions, job: Job) -> ExitCode:
    """Every rank's part; root's exit code."""
    kind, why = devices.choose(o.device)
    load = Load(memory.Seats())
    work: Compute | None = None
    examine: Examine | None = None
    introduction: Card | str
    try:
        if o.require_gpu and kind in ("cpu", "emulated"):
            raise DeviceError(f"--require-gpu, but this rank would compute on {kind} ({why})")
        if job.method != "lanes":
            kind, why = "cpu", f"{job.method} runs on the host"
        threads = (o.threads or share_of_cores(len(comm.local_ranks))) if kind == "cpu" else 1
        opened, lost = in_turn(
            comm,
            lambda: _start(comm, o, job, kind, threads, load.content),
            profile(kind).delay,
            o.startup_timeout,
            load=load,
        )
        device: Device = opened
        comm.device = device.name
        introduction = Card(
            comm.rank, comm.host, kind, device.name, why, weight(kind, device.name, job.measured) * threads, lost
        )
        work = functools.partial(device.sieve, job.search)
        examine = functools.partial(audits.examine, device, job.search)
    except PrngError as e:
        introduction = f"rank {comm.rank} on {comm.host}: {e}"
    if comm.rank:
        serve(comm, work, introduction, examine=examine)
        return ExitCode.FOUND
    return _lead(comm, o, job, work, introduction, examine)


def _start(comm: Comm, o: SieveOptions, job: Job, kind: str, threads: int, seats: memory.Seats) -> Device:
    """This rank's device, open and proven. Raises DeviceError, also where its host has no memory for one more."""
    place, ranks = comm.local_rank, len(comm.local_ranks)
    if refusal := seats.refusal(comm.host, place, ranks, memory.available(), o.memory_reserve):
        raise DeviceError(refusal)
    return seats.start(
        lambda: devices.open_device(kind, job.search.recipe, place, job.method, job.search.form, threads),
        threads * _work_memory(job),
    )


def _least_seconds(job: Job) -> float:
    """Roughly what the smallest chunk takes on one core."""
    if job.method == "lift":
        return lift.forecast(job.search).seconds
    if job.method == "invert":
        return invert.forecast(job.search, job.seeds).seconds
    return lane_seconds(job.search, Policy.min_chunk)


class _Log:
    """Puts what the farm tells into the ledger and the event log."""

    def __init__(self, ledger: Ledger, events: EventLog) -> None:
        self.ledger, self.events = ledger, events

    def issued(self, lease: Lease, card: Card) -> None:
        self.ledger.issue(
            lease.id, lease.start, lease.stop, lease.rank, host=card.host, device=card.device, attempt=lease.attempt
        )

    def commit(self, lease: Lease, card: Card, finished: Finished) -> None:
        assert finished.hits is not None
        self.ledger.commit(
            lease.start, lease.stop, lease.rank, finished.hits, lease=lease.id, host=card.host, device=card.device,
            attempt=lease.attempt, seconds=finished.seconds,
        )  # fmt: skip

    def ended(self, lease: Lease, outcome: str, finished: Finished | None, reason: str) -> None:
        self.ledger.outcome(lease.id, outcome, seconds=finished.seconds if finished else None, reason=reason)

    def event(self, kind: str, **fields: Any) -> None:
        self.events.write(kind, **fields)


def _lead(
    comm: Comm, o: SieveOptions, job: Job, compute: Compute | None, introduction: Card | str, examine: Examine | None
) -> ExitCode:
    began = time.monotonic()
    out = sys.stderr if o.json else sys.stdout
    with Ledger.open(job.folder / "ledger.sqlite", job.identity, resume=o.resume) as ledger:
        before, todo = ledger.seeds_done(), gaps(ledger.done(), job.start, job.end)
        with EventLog(job.folder / "events.jsonl") as events:
            # A run without a summary did not finish; an older one must not speak for this one.
            (job.folder / "summary.json").unlink(missing_ok=True)
            events.write(
                "start", search=identity_hash(job.identity), seeds_asked=job.seeds, seeds_done=before, ranks=comm.size,
                n_hypotheses=job.plan.n_hypotheses, expected_by_chance=job.plan.expected_survivors, sigma=job.plan.sigma,
                draws=job.search.k, need=job.search.least, log10_p1=list(job.plan.tails),
                title=job.search.recipe.title, method=job.method, config=job.config,
            )  # fmt: skip
            if before:
                rest = f"{format_count(job.seeds - before)} to go" if todo else "nothing is left to search"
                say(out, [("resumed", f"{format_count(before)} seeds were done before, {rest}")])
            # These methods cost nearly the same for any range, so the whole range is one chunk.
            least = Policy.min_chunk if job.method == "lanes" else job.seeds
            policy = Policy(
                min_chunk=least,
                chunk_seconds=o.chunk_seconds,
                max_chunk_seconds=max(Policy.max_chunk_seconds, o.chunk_seconds),
                tail_seconds=min(Policy.tail_seconds, o.chunk_seconds),
                lease_margin=max(o.lease_margin, SLOWEST * _least_seconds(job)),
            )
            scheduler = Scheduler(todo, policy)
            display = Display(
                scheduler,
                job.seeds,
                job.search.per_seed,
                job.plan.expected_survivors,
                (before, sum(chunk.hits for chunk in ledger.chunks())),
                out,
                events.write,
                job.plan.sigma,
                step.looks,
            )
            farm = Farm(
                comm,
                scheduler,
                _Log(ledger, events),
                display.show,
                step.requests,
                auditor=_auditor(o, job, ledger, events),
                examine=examine,
            )
            patience = o.startup_timeout * len(comm.local_ranks) + 60
            end = farm.lead(compute, introduction, o.time_limit, patience)
            heard = wind_up(farm, end, display, events, out)
            wall = time.monotonic() - began
            code = _conclude(job, ledger, end, farm, wall, ledger.seeds_done() - before, out)
            events.close({"reason": end.value, "exit_code": int(code)})
    if o.json:
        print((job.folder / "summary.json").read_text(), end="", flush=True)
    farewell(farm, end, heard, code, "no device is left to search with")
    return code


def _auditor(o: SieveOptions, job: Job, ledger: Ledger, events: EventLog) -> Auditor | None:
    """Who checks the devices. The other methods are one chunk, over which a probe would take as long as the search."""
    if not o.audit_share or job.method != "lanes":
        return None
    chance = job.plan.chance
    known = chance.p if chance.kind in ("exact", "sampled") else None
    return Auditor(job.search, o.audit_share, ledger, known, events.write)


def _conclude(job: Job, ledger: Ledger, end: End, farm: Farm, wall: float, fresh: int, out: TextIO) -> ExitCode:
    """Judge what the ledger holds, write the product files, tell it; the exit code."""
    done = ledger.seeds_done()
    left, share = gaps(ledger.done(), job.start, job.end), done / job.seeds
    hits = ledger.hits()
    found = findings.judge(job.search, job.plan, hits, job.later, share)
    if found.best is not None and (meaning := _meaning(job, hits, found.best["seed"])):
        found.best["meaning"] = meaning
    searched = ExitCode.FOUND if found.strong else ExitCode.NOTHING_FOUND
    code = UNFINISHED.get(end, ExitCode.ABORTED) if left else searched
    chunks, attempts = ledger.chunks(), ledger.attempts()
    identity = identity_hash(job.identity)
    payload = payload_hash(found.survivors, identity)
    states = farm.state.ranks
    refused, lost = farm.refused, list(farm.lost.values())
    trust = runs.trust(ledger.audits(), chunks, ledger.unchecked())
    parked = [f"seeds {start} to {stop - 1}: {'; '.join(why)}" for start, stop, why in farm.scheduler.parked]
    summary = {
        "verdict": found.verdict,
        "exit_code": int(code),
        "end": end.value,
        "seeds_asked": job.seeds,
        "seeds_done": done,
        "gaps": left,
        "n_hypotheses": job.plan.n_hypotheses,
        "method": job.method,
        "missed_by_method": job.miss,
        "survivors": len(found.survivors),
        "expected_by_chance": found.expected,
        "z": found.z,
        "best": found.best,
        "payload_hash": payload,
        "wall_seconds": wall,
        "device_seconds": sum(chunk.seconds for chunk in chunks),
        "devices": sorted({chunk.device for chunk in chunks}),
        "idle_share": {str(rank): state.idle(farm.clock()) for rank, state in states.items() if state.card},
        "refused": refused,
        "lost": lost,
        "parked": parked,
        "trust": trust,
    }
    attributes = {
        "recipe": job.search.recipe.name,
        "config": job.config,
        "n_hypotheses": job.plan.n_hypotheses,
        "expected_by_chance": found.expected,
        "identity": json.dumps(job.identity, sort_keys=True),
        "identity_hash": identity,
        "payload_hash": payload,
        "trust": trust,
        "kernel_digest": kernels.digest(job.search.recipe.text("sieve.h", job.search.form)),
        **step.provenance(),
    }
    matches, observed, by_chance = findings.histogram(job.search, job.plan, found, share)
    write_results(
        job.folder / "results.h5", found.survivors, chunk_table(chunks), rank_table(chunks, attempts),
        histogram=(matches, observed, by_chance), paths=_path_tables(found), attributes=attributes,
    )  # fmt: skip
    write_json(job.folder / "summary.json", summary)
    rows = findings.lines(job.search, job.plan, found, job.seeds, left, fresh, wall)
    rows += [("caught", text) for text in trust["caught"]] + [("trust", text) for text in runs.trust_lines(trust)]
    rows += [("not used", text) for text in refused] + [("parked", text) for text in parked]
    rows += [("lost", text) for text in lost]
    rows += [
        ("differs", f"seeds {a.start} to {a.stop - 1}, rank {a.rank}: {a.reason}")
        for a in attempts
        if a.outcome == "differs"
    ]
    if left:
        rows.append(("ended", f"{end.value}; the same command goes on from here"))
    say(out, [*rows, ("results", f"{job.folder}/results.h5")])
    return code


def _meaning(job: Job, hits: npt.NDArray[np.void], seed: int) -> str:
    """What a seed of a named space stands for: a time, or a time and a process id; empty where it says it all itself."""
    if job.space.identity:
        return job.space.describe(job.space.index(seed))
    own = hits["seed"][job.space.seed(hits["seed"]) == seed]
    return "; ".join(job.space.describe(int(index)) for index in own[:3])


def _path_tables(found: findings.Findings) -> dict[str, npt.NDArray[Any]] | None:
    if found.paths is None:
        return None
    return {"survivor": found.paths.row, "skips": found.paths.skips, "matched": found.paths.matched}


if __name__ == "__main__":
    step.main(SieveOptions, prepare, run)
