"""Floor 3: full scoring, step 3 of the pipeline. What is seen of each survivor up to a cut in time, and what came after it.

mpirun -np 4 python -m prng_mpi.full_scoring --survivors results/java.nextInt-1a2b3c4d --draws draws.json"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from prng_mpi import config, devices, features, memory, statistics, step, store, streams
from prng_mpi.comm import Comm
from prng_mpi.config import RunOptions, option, parse_size
from prng_mpi.devices.team import share_of_cores
from prng_mpi.display import Display, duration, farewell, rate, say, wind_up
from prng_mpi.errors import DeviceError, ExitCode, IntegrityError, PrngError, UsageError
from prng_mpi.farm import UNFINISHED, Card, Compute, End, Farm, Finished, State, serve
from prng_mpi.features import LEAST_DRAWS, Feature, Scorer, Skip, View
from prng_mpi.history import read_history
from prng_mpi.ledger import Ledger, gaps, identity_hash, merge
from prng_mpi.profiles import profile, weight
from prng_mpi.progress import Progress
from prng_mpi.records import CUT, HIT
from prng_mpi.scheduler import Lease, Policy, Scheduler
from prng_mpi.startup import Load, in_turn
from prng_mpi.statistics import format_log10
from prng_mpi.store import EventLog, Scores, write_json, write_scores
from prng_mpi.streams import Streams

# Values (survivors times draws) that are looked at together: what a core's cache holds; a card wants more at once.
CORE_VALUES, CARD_VALUES = 1 << 18, 1 << 25
# Bytes that the features take for each of these values while they are made.
VALUE_BYTES = 64
ARRAYS = ("auto", "numpy", "torch")


@dataclass(frozen=True)
class ScoringOptions(RunOptions):
    """Lay each survivor's stream beside the draws up to several cuts, and count its hits after them."""

    STEP: ClassVar[str] = "full_scoring"

    survivors: Path | None = option(None, "folder of the sieve", metavar="DIR", section="Data")
    draws: str = option("", "draw history of that sieve: JSON, CSV or text", metavar="FILE", section="Data")
    optimizer: Path | None = option(
        None, "folder of the window optimiser that led to the sieve; labels come after all draws that it has seen",
        metavar="DIR", section="Data",
    )  # fmt: skip
    scorer: Path | None = option(
        None, "folder of scorer_meta, whose optimum gives the features' parameters", metavar="DIR", section="Data"
    )
    spans: int = option(4, "labelled cuts: spans of later draws of one length", minimum=1, section="Data")
    device: str = option("auto", "what makes the streams", choices=devices.KINDS, section="Devices")
    arrays: str = option(
        "auto", "what computes features; auto: numpy on a CPU, where torch is no faster, torch on a card", choices=ARRAYS,
        section="Devices",
    )  # fmt: skip
    threads: int | None = option(
        None,
        "threads of a CPU rank; not set: its share of the host's cores",
        minimum=1,
        maximum=1024,
        section="Devices",
    )
    chunk_seconds: float = option(2.0, "a chunk is what a rank does in this time", minimum=0.001, section="Devices")
    memory_reserve: float = option(
        1.5e9, "memory that each host keeps free; what is above it bounds the survivors that a rank looks at at once",
        parse=parse_size, metavar="SIZE", section="Devices",
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Plan:
    """A scoring that is ready to start. cuts: (C, of CUT)."""

    streams: Streams
    cuts: npt.NDArray[np.void]
    scorer: Scorer
    identity: dict[str, Any]
    folder: Path
    config: str


@dataclass(frozen=True, eq=False)
class Scored:
    """Survivors [start, start + n): features f4 (C, n, F), labels '<u4' (C, n)."""

    start: int
    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint32]


# -- the plan ----------------------------------------------------------------------------------------------------------


def cuts_of(window: tuple[int, int], draws: int, seen: int, spans: int) -> npt.NDArray[np.void]:
    """The moments at which survivors are scored: CUT (spans + 1,).

    Labels are `spans` spans of one length, as long as can be, that end with the history's `draws`; the first begins after
    the draws [0, seen) that earlier steps have looked at, and leaves a span between it and the window [first, end), in which
    features can tell those by chance from others. Raises UsageError where too few draws are left."""
    first, end = window
    length = (draws - seen) // spans if draws > seen else 0
    if draws - spans * length - end < length:
        length = (draws - end) // (spans + 1)
    start = draws - spans * length
    if length < 1 or start - first < LEAST_DRAWS:
        raise UsageError(
            f"{draws} draws, a window that ends at {end} and {seen} draws seen by earlier steps leave {max(start - first, 0)} draws to "
            f"score by and {spans} spans of {max(length, 0)} draws to label: at least {LEAST_DRAWS} and 1 are needed; give a longer "
            "history, or fewer --spans"
        )
    ends = start + length * np.arange(spans + 1)
    cuts = np.zeros(spans + 1, CUT)
    cuts["used_start"], cuts["used_end"], cuts["label_start"] = first, ends, ends
    cuts["label_end"] = np.minimum(ends + length, draws)
    return cuts


def prepare(loaded: config.Loaded[ScoringOptions]) -> Plan:
    """Read the inputs, say the plan. Raises UsageError, IntegrityError for a damaged input; step.Done after a dry run."""
    o = loaded.value
    if o.survivors is None:
        raise UsageError("--survivors DIR is missing: name the folder of a sieve")
    if not o.draws:
        raise UsageError("--draws FILE is missing: name the draw history that the sieve was given")
    read = streams.read(o.survivors, o.draws)
    if read.modulus > features.MODULUS_MOST:
        raise UsageError(f"draws below {read.modulus} have no features; they may be below {features.MODULUS_MOST}")
    scorer, scorer_hash = _scorer(o.scorer)
    seen, optimizer_hash = _seen(o.optimizer, o.draws, read)
    cuts = cuts_of(read.window, len(read.history.draws), seen, o.spans)
    schema = features.schema(scorer, read.modulus, bool(read.behind))
    identity = {
        "step": o.STEP, "survivors": len(read.survivors), "payload_hash": read.payload_hash, "scorer": asdict(scorer),
        "scorer_hash": scorer_hash, "optimizer_hash": optimizer_hash, "recipe": read.recipe, "params": read.given,
        "modulus": read.modulus, "draws": read.history.digest, "cuts": cuts.tolist(),
        "schema_hash": features.schema_hash(schema),
    }  # fmt: skip
    folder = o.output_dir or Path("results") / f"full_scoring-{identity_hash(identity)[:8]}"
    plan = Plan(read, cuts, scorer, identity, folder, config.to_toml(o))
    _say_plan(plan, o, len(schema))
    if o.dry_run:
        raise step.Done(ExitCode.FOUND)
    Ledger.open(folder / "ledger.sqlite", identity, resume=o.resume).close()
    return plan


def _scorer(folder: Path | None) -> tuple[Scorer, str]:
    """The parameters that scorer_meta found, and its payload hash; without it the defaults."""
    if folder is None:
        return Scorer(), ""
    attributes = store.open_attributes(folder, "scorer_meta")
    return features.scorer_from(attributes["scorer"]), str(attributes["payload_hash"])


def _seen(folder: Path | None, draws: str, read: Streams) -> tuple[int, str]:
    """How many draws of the streams' history the window optimiser's trials saw, and its payload hash. Raises UsageError where
    its history is another."""
    if folder is None:
        return 0, ""
    attributes = store.open_attributes(folder, "window_optimizer")
    identity, whole = json.loads(attributes["identity"]), read_history(draws)
    if identity["draws"] != whole.digest:
        raise UsageError(f"{folder} optimised another history than {draws}: name the one that led to this sieve")
    # Held out were the last draws of all sessions; the history of the streams may be of some.
    size = len(whole.draws)
    seen = whole.records[: size - math.floor(identity["holdout"] * size)][-1]
    return int(np.searchsorted(read.history.records, seen, "right")), str(attributes["payload_hash"])


def _say_plan(plan: Plan, o: ScoringOptions, columns: int) -> None:
    read, s = plan.streams, plan.scorer
    spans = ", ".join(f"{c['label_start']} to {c['label_end'] - 1}" for c in plan.cuts[:-1])
    say(sys.stdout, [
        ("scoring", f"{len(read.survivors)} survivors of {o.survivors}  [{identity_hash(plan.identity)[:8]}]"),
        ("streams", f"{read.recipe}, modulus {read.modulus}, aligned with {len(read.history.draws)} draws, window {read.window[0]} to {read.window[1] - 1}"),
        ("features", f"{columns} columns at {len(plan.cuts)} cuts; moduli {list(s.moduli)}, lags {list(s.lags)}, windows {list(s.windows)}, floor {s.floor:g}"
         + ("" if o.scorer else " (defaults; --scorer names an optimum)")),
        ("labels", f"hits among draws {spans}; by chance 1 in {read.modulus}"),
        ("results", str(plan.folder)),
    ])  # fmt: skip


# -- a rank's part -------------------------------------------------------------------------------------------------------


class Scoring:
    """Scores ranges of survivors on a rank's device, as a farm's Compute."""

    def __init__(
        self, plan: Plan, kind: str, local_rank: int, threads: int, arrays: str, reserve: float, ranks: int
    ) -> None:
        """threads: of a CPU; reserve: bytes of the host's memory to leave, shared among its ranks. Raises DeviceError."""
        self._plan, read = plan, plan.streams
        # Before torch: on ROCm its libraries keep others from compiling kernels.
        open_ = functools.partial(devices.open_device, kind, recipe=read.search().recipe, form=read.search().form)
        workers = threads if kind == "cpu" else 1
        self._devices = [open_(local_rank=local_rank) for _ in range(workers)]
        self.name = self._devices[0].name + (f", {workers} threads" if workers > 1 else "")
        self._carry = _carrier(arrays if arrays != "auto" else "numpy" if self._devices[0].xp is np else "torch")
        draws = len(read.history.draws) - int(plan.cuts["used_start"][0])
        room = max(memory.available() - reserve, 1e8) / ranks / workers / VALUE_BYTES
        values = CORE_VALUES if self._devices[0].xp is np else CARD_VALUES
        self._rows = max(1, int(min(values, room)) // draws)
        self._registry = features.registry(plan.scorer, read.modulus, bool(read.behind))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="device")

    def __call__(self, start: int, stop: int, stopped: Callable[[], bool]) -> Scored | None:
        """Survivors [start, stop); None if `stopped` said so. Raises DeviceError, UsageError."""
        bounds = [(at, min(at + self._rows, stop)) for at in range(start, stop, self._rows)]
        many = len(self._devices)
        parts = [
            self._pool.submit(self._some, device, bounds[i::many], stopped) for i, device in enumerate(self._devices)
        ]
        made = [scored for part in parts for scored in part.result()]
        if sum(scored.labels.shape[1] for scored in made) < stop - start:
            return None
        made.sort(key=lambda scored: scored.start)
        return Scored(
            start, np.concatenate([s.features for s in made], axis=1), np.concatenate([s.labels for s in made], axis=1)
        )

    def _some(self, device: devices.Device, bounds: list[tuple[int, int]], stopped: Callable[[], bool]) -> list[Scored]:
        """Those ranges that are done before `stopped` says so."""
        made = []
        for low, high in bounds:
            if stopped():
                break
            made.append(self._block(device, low, high))
        return made

    def _block(self, device: devices.Device, low: int, high: int) -> Scored:
        read, cuts = self._plan.streams, self._plan.cuts
        first, k, d = int(cuts["used_start"][0]), read.behind + read.ahead, read.history.draws
        p = self._carry(read.outputs(device, read.survivors[low:high], first, len(d)))
        seen, labels = [], []
        for cut in cuts:
            used, start, stop = (int(cut[name]) - first for name in ("used_end", "label_start", "label_end"))
            # The view is made of draws before the cut, so that no feature can know a later one.
            view = View(p[:, :used], d[first : first + used], k, read.behind, read.modulus, self._plan.scorer)
            seen.append(features.measure(self._registry, view))
            hits = p[:, start:stop] == view.put(d[first + start : first + stop].astype(np.int32))
            labels.append(features.host(hits).sum(axis=1, dtype=np.uint32))
        return Scored(low, np.stack(seen), np.stack(labels))


def _carrier(arrays: str) -> Callable[[Any], Any]:
    """What hands a device's array to the library that computes features, where it lies, without a copy."""
    if arrays == "numpy":
        return features.host
    import torch
    from torch.utils.dlpack import from_dlpack

    # Ranks share their host's cores, and threads of this one are at work beside each other.
    torch.set_num_threads(1)
    return from_dlpack


def run(comm: Comm, o: ScoringOptions, plan: Plan) -> ExitCode:
    """Every rank's part; root's exit code."""
    kind, why = devices.choose(o.device)
    load = Load(memory.Seats())
    work: Scoring | None = None
    introduction: Card | str
    try:
        opened, lost = in_turn(
            comm, lambda: _start(comm, o, plan, kind, load.content), profile(kind).delay, o.startup_timeout, load=load
        )
        work, comm.device = opened, opened.name
        introduction = Card(comm.rank, comm.host, kind, opened.name, why, weight(kind, opened.name, {}), lost)
    except PrngError as e:
        introduction = f"rank {comm.rank} on {comm.host}: {e}"
    if comm.rank:
        serve(comm, work, introduction)
        return ExitCode.FOUND
    return _lead(comm, o, plan, work, introduction)


def _start(comm: Comm, o: ScoringOptions, plan: Plan, kind: str, seats: memory.Seats) -> Scoring:
    """This rank's device, open and proven. Raises DeviceError, also where its host has no memory for one more."""
    place, ranks = comm.local_rank, len(comm.local_ranks)
    if refusal := seats.refusal(comm.host, place, ranks, memory.available(), o.memory_reserve):
        raise DeviceError(refusal)
    threads = o.threads or share_of_cores(ranks)
    return seats.start(
        lambda: Scoring(plan, kind, place, threads, o.arrays, o.memory_reserve, ranks), CORE_VALUES * VALUE_BYTES
    )


# -- root's part -----------------------------------------------------------------------------------------------------------


class Parts:
    """What is scored, a farm's Log: a file for each range of survivors, put there whole by one rename before the ledger says
    that the range is done."""

    def __init__(self, plan: Plan, ledger: Ledger, events: EventLog) -> None:
        """Raises IntegrityError where the files are not those that the ledger speaks of."""
        self.plan, self._ledger, self._events = plan, ledger, events
        self._folder = plan.folder / "parts"
        self._folder.mkdir(exist_ok=True)
        ranges = [self._read(path)[0] for path in self._folder.glob("*.npz")]
        for start, stop in ranges:
            # A kill came between the two.
            if gaps(ledger.done(), start, stop):
                ledger.commit(start, stop, 0, np.zeros(0, HIT))
        self.done = merge(ranges)
        if self.done != ledger.done():
            raise IntegrityError(
                f"{self._folder} has lost some parts of this scoring: remove {plan.folder} and score again"
            )

    def _read(self, path: Path) -> tuple[tuple[int, int], Scored]:
        try:
            start, stop = map(int, path.stem.split("-"))
            with np.load(path) as file:
                scored = Scored(start, file["features"], file["labels"])
            if reason := self.wrong(start, stop, scored):
                raise ValueError(reason)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise IntegrityError(
                f"{path} is no part of this scoring ({error}): remove {self.plan.folder} and score again"
            ) from error
        return (start, stop), scored

    def wrong(self, start: int, stop: int, scored: Scored) -> str:
        """Why an answer can't be that to a range; empty if it can."""
        c, n = len(self.plan.cuts), stop - start
        if scored.start != start or scored.labels.shape != (c, n) or scored.features.shape[:2] != (c, n):
            return "its answer is not one to its survivors"
        return "" if np.isfinite(scored.features).all() else "some features are no numbers"

    def scored(self, names: tuple[str, ...]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
        """All that is done: features f4 (C, N, F), on disk, and labels '<u4' (C, N)."""
        c, n = len(self.plan.cuts), len(self.plan.streams.survivors)
        table = np.memmap(self.plan.folder / "features.tmp", np.float32, "w+", shape=(c, n, len(names)))
        labels = np.zeros((c, n), np.uint32)
        for path in self._folder.glob("*.npz"):
            (start, stop), scored = self._read(path)
            table[:, start:stop], labels[:, start:stop] = scored.features, scored.labels
        return table, labels

    def issued(self, lease: Lease, card: Card) -> None:
        self._ledger.issue(
            lease.id, lease.start, lease.stop, lease.rank, host=card.host, device=card.device, attempt=lease.attempt
        )

    def commit(self, lease: Lease, card: Card, finished: Finished) -> None:
        scored: Scored = finished.hits
        store.write_arrays(
            self._folder / f"{lease.start:010d}-{lease.stop:010d}.npz", features=scored.features, labels=scored.labels
        )
        self._ledger.commit(
            lease.start, lease.stop, lease.rank, np.zeros(0, HIT), lease=lease.id, host=card.host, device=card.device,
            attempt=lease.attempt, seconds=finished.seconds,
        )  # fmt: skip

    def ended(self, lease: Lease, outcome: str, finished: Finished | None, reason: str) -> None:
        self._ledger.outcome(lease.id, outcome, seconds=finished.seconds if finished else None, reason=reason)

    def event(self, kind: str, **fields: Any) -> None:
        self._events.write(kind, **fields)


class ScoringDisplay(Display):
    """The screen of a scoring: survivors are what is counted, and chance gives none."""

    def progress(self, state: State, now: float) -> Progress:
        return replace(super().progress(state, now), unit="survivors", expected=None, sigma=None)


def _lead(comm: Comm, o: ScoringOptions, plan: Plan, compute: Compute | None, introduction: Card | str) -> ExitCode:
    began, asked = time.monotonic(), len(plan.streams.survivors)
    with (
        Ledger.open(plan.folder / "ledger.sqlite", plan.identity, resume=o.resume) as ledger,
        EventLog(plan.folder / "events.jsonl") as events,
    ):
        # A run without a summary did not finish; an older one must not speak for this one.
        (plan.folder / "summary.json").unlink(missing_ok=True)
        parts = Parts(plan, ledger, events)
        todo = gaps(parts.done, 0, asked)
        before = asked - sum(stop - start for start, stop in todo)
        events.write(
            "start",
            search=identity_hash(plan.identity),
            survivors=asked,
            survivors_done=before,
            ranks=comm.size,
            config=plan.config,
        )
        if before:
            say(sys.stdout, [("resumed", f"{before} of {asked} survivors were scored before")])
        scheduler = Scheduler(todo, Policy(
            min_chunk=16, chunk_seconds=o.chunk_seconds, max_chunk_seconds=max(Policy.max_chunk_seconds, o.chunk_seconds),
            tail_seconds=min(Policy.tail_seconds, o.chunk_seconds), lease_margin=60.0,
        ))  # fmt: skip
        display = ScoringDisplay(scheduler, asked, 1, 0.0, (before, 0), sys.stdout, events.write, looks=step.looks)
        farm = Farm(
            comm, scheduler, parts, display.show, step.requests,
            check=lambda lease, scored: parts.wrong(lease.start, lease.stop, scored),
        )  # fmt: skip
        end = farm.lead(compute, introduction, o.time_limit, o.startup_timeout * len(comm.local_ranks) + 60)
        heard = wind_up(farm, end, display, events, sys.stdout)
        code = _conclude(
            plan, parts, ledger, end, farm, (asked - before - scheduler.remaining, time.monotonic() - began)
        )
        events.close({"reason": end.value, "exit_code": int(code)})
    farewell(farm, end, heard, code, "no device is left to score with")
    return code


def _conclude(plan: Plan, parts: Parts, ledger: Ledger, end: End, farm: Farm, pace: tuple[int, float]) -> ExitCode:
    """Put the parts together, write the product files, tell it; the exit code. pace: survivors scored now, and seconds."""
    left = farm.scheduler.remaining
    refused, lost = farm.refused, list(farm.lost.values())
    parked = [f"survivors {start} to {stop - 1}: {'; '.join(why)}" for start, stop, why in farm.scheduler.parked]
    code = UNFINISHED.get(end, ExitCode.ABORTED) if left else ExitCode.FOUND
    seconds = sum(chunk.seconds for chunk in ledger.chunks())
    summary = {
        "exit_code": int(code), "end": end.value, "survivors": len(plan.streams.survivors), "left": left, "parked": parked,
        "refused": refused, "lost": lost, "wall_seconds": pace[1], "device_seconds": seconds,
    }  # fmt: skip
    speed = f", {rate(pace[0] / pace[1])}survivors/s" if pace[0] else ""
    said = [("scored", f"{pace[0]} survivors at {len(plan.cuts)} cuts in {duration(pace[1])}{speed}")]
    if not left:
        more, lines = _put_together(plan, parts)
        summary |= more
        said += lines
    write_json(plan.folder / "summary.json", summary)
    for key, texts in (("parked", parked), ("not used", refused), ("lost", lost)):
        said += [(key, text) for text in texts]
    if left:
        said.append(("ended", f"{end.value}; {left} survivors are left, the same command goes on from here"))
    say(sys.stdout, [*said, ("results", f"{plan.folder}/results.h5" if not left else str(plan.folder))])
    return code


def _put_together(plan: Plan, parts: Parts) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Write results.h5; what the summary says of it, and the same in words."""
    read, cuts, d = plan.streams, plan.cuts, plan.streams.history.draws
    registry = features.registry(plan.scorer, read.modulus, bool(read.behind))
    names = tuple(feature.name for feature in registry)
    table, labels = parts.scored(names)
    best = _best(plan, table[-1], names)
    skips = np.stack([f.function(read.survivors["skip"], read.survivors["offset"]) for f in features.SKIPS], axis=1)
    columns: list[Feature | Skip] = [*registry, *features.SKIPS]
    names = tuple(column.name for column in columns)
    # Of what the first cut knows: no later draw has a say in what is kept.
    gone = features.dropped(names, np.concatenate([table[0], skips.astype(np.float32)], axis=1))
    kept = [j for j, name in enumerate(names) if name not in gone]
    own, more = [j for j in kept if j < len(registry)], [j - len(registry) for j in kept if j >= len(registry)]
    whole = np.memmap(plan.folder / "kept.tmp", np.float32, "w+", shape=(*labels.shape, len(kept)))
    for c in range(len(cuts)):
        whole[c, :, : len(own)], whole[c, :, len(own) :] = table[c][:, own], skips[:, more]
    past = [features.of_history(d[cut["used_start"] : cut["used_end"]], read.modulus, plan.scorer) for cut in cuts]
    schema = features.schema(plan.scorer, read.modulus, bool(read.behind))
    left, identity = tuple(names[j] for j in kept), identity_hash(plan.identity)
    payload = labels_hash(identity, left, labels)
    scores = Scores(
        plan.folder / "results.h5", read.survivors, cuts, left, tuple(columns[j].unit for j in kept),
        whole, past[0][0], np.stack([values for _, values in past]), labels,
        {
            "config": plan.config, "identity": plan.identity, "identity_hash": identity, "payload_hash": payload,
            "schema": schema, "schema_hash": plan.identity["schema_hash"], "dropped": gone, "data_hash": plan.identity["draws"],
            "recipe": read.recipe, "modulus": read.modulus, "params": read.given, "scorer": plan.scorer.to_json(),
            "survivors_hash": read.payload_hash, "optimizer_hash": plan.identity["optimizer_hash"],
            "scorer_hash": plan.identity["scorer_hash"], **step.provenance(),
        },
    )  # fmt: skip
    write_scores(scores)
    for name in ("features.tmp", "kept.tmp"):
        (plan.folder / name).unlink()
    chance = [float((cut["label_end"] - cut["label_start"]) / read.modulus) for cut in cuts[:-1]]
    means = labels[:-1].mean(axis=1).tolist()
    summary = {
        "features": len(kept), "dropped": gone, "labels_mean": means, "labels_by_chance": chance, "best": best,
        "payload_hash": payload,
    }  # fmt: skip
    lines = [
        ("features", f"{len(kept)} of {len(names)} columns of survivors, {len(past[0][0])} of the history"),
        *(("", f"left out: {name}, {why}") for name, why in gone.items()),
        ("labels", "; ".join(f"{mean:.3g} hits a survivor, by chance {by:.3g}" for mean, by in zip(means, chance, strict=True))),
        ("best", f"seed {best['seed']} matches {best['matches']} of {best['draws']} draws after the window, "
                 f"E = {format_log10(best['log10_E'])} among {len(read.survivors)} survivors"),
    ]  # fmt: skip
    return summary, lines


def _best(plan: Plan, table: npt.NDArray[np.float32], names: tuple[str, ...]) -> dict[str, Any]:
    """The survivor that matches most after the window, which did not choose it, and what chance says of that."""
    read, used = plan.streams, len(plan.streams.history.draws) - plan.streams.window[1]
    rates = table[:, names.index("match_after")]
    row = int(rates.argmax())
    matches = round(float(rates[row]) * used)
    log10_p = float(statistics.log10_tails(np.full(used, 1 / read.modulus))[matches])
    survivor = read.survivors[row]
    return {
        "row": row, "seed": int(survivor["seed"]), "skip": int(survivor["skip"]), "offset": int(survivor["offset"]),
        "matches": matches, "draws": used, "log10_E": log10_p + float(np.log10(len(read.survivors))),
    }  # fmt: skip


def labels_hash(identity: str, names: tuple[str, ...], labels: npt.NDArray[np.uint32]) -> str:
    """Hex SHA-256 over what was asked, the columns kept and the labels, which do not depend on a device's rounding as features
    do: the same for any number of ranks, after any kills."""
    digest = hashlib.sha256(f"prng_mpi scores 1 {identity} {' '.join(names)}\n".encode())
    digest.update(np.ascontiguousarray(labels, "<u4").tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    step.main(ScoringOptions, prepare, run)
