"""Floor 2: what the folder of a run says of it, while it goes on or after; `status`, `coverage` and `report` read it.

Nothing is changed and no lock is taken, so a run is never disturbed, and any number may look."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import spaces, statistics
from prng_mpi.errors import IntegrityError, UsageError
from prng_mpi.ledger import Attempt, Audited, Chunk, Ledger, gaps, identity_hash, running_pid
from prng_mpi.progress import (
    RECENT,
    SETTLED,
    STRETCHES,
    Device,
    Floats,
    Forecast,
    Progress,
    forecast,
    shares,
    spread,
)  # fmt: skip

# A lease that is older than this many seconds, and than this many times the rank's longest chunk, is late.
LATE_SECONDS, LATE_TIMES = 30.0, 3.0


@dataclass(frozen=True)
class Trouble:
    """Something that went wrong, how often, and what to do about it."""

    what: str
    count: int
    todo: str


@dataclass(frozen=True)
class Run:
    """The folder of a run as it is at `now` (Unix seconds).

    start: the newest start record of the event log, {} if there is none; events: those since; pid: of the process that
    holds the folder, None if none does; asked: the range of seeds (of a batch: job numbers; of a study: numbers of trials)."""

    folder: Path
    now: float
    identity: dict[str, Any]
    asked: tuple[int, int]
    unit: str
    done: tuple[tuple[int, int], ...]
    chunks: tuple[Chunk, ...]
    attempts: tuple[Attempt, ...]
    audits: tuple[Audited, ...]
    unchecked: tuple[Chunk, ...]
    hits: npt.NDArray[np.void]
    start: dict[str, Any]
    events: tuple[dict[str, Any], ...]
    summary: dict[str, Any] | None
    pid: int | None

    @property
    def search(self) -> str:
        """The hash of the search's identity."""
        return identity_hash(self.identity)

    @property
    def n_asked(self) -> int:
        return self.asked[1] - self.asked[0]

    @property
    def n_done(self) -> int:
        return sum(stop - start for start, stop in self.done)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        return gaps(self.done, *self.asked)

    @property
    def seeds(self) -> npt.NDArray[np.uint64]:
        """The seed of each hit; where a space of several parts was searched, a hit has an index of it."""
        if "space" not in self.identity:
            return np.asarray(self.hits["seed"])
        return np.asarray(spaces.space(self.identity["space"]).seed(self.hits["seed"]))

    @property
    def state(self) -> str:
        """ "running", "killed", or how the run ended in the words of its final record: "complete", "drained", ..."""
        if self.pid is not None:
            return "running"
        last = self.events[-1] if self.events else {}
        return str(last.get("reason", "killed")) if last.get("kind") == "final" else "killed"

    @property
    def began(self) -> float:
        """When the newest run began, Unix seconds."""
        return datetime.fromisoformat(self.start["time"]).timestamp() if self.start else self.now

    @property
    def ended(self) -> float:
        """Unix seconds of the last that is known of it; now, while it goes on."""
        if self.pid is not None:
            return self.now
        return datetime.fromisoformat(self.events[-1]["time"]).timestamp() if self.events else self.began

    @property
    def memory(self) -> dict[str, list[tuple[float, float]]]:
        """Of each host (seconds since the newest run began, bytes available)."""
        seen: dict[str, list[tuple[float, float]]] = {}
        for event in self.events:
            for host, available in event.get("memory_available", {}).items():
                seen.setdefault(host, []).append((event["elapsed"], available))
        return seen

    @property
    def newest(self) -> list[Attempt]:
        """Attempts of the newest run."""
        return [a for a in self.attempts if a.issued >= self.began]


def read(folder: Path) -> Run:
    """Look into the folder of a run.

    Raises:
        UsageError: it is not the folder of a run.
        IntegrityError: its ledger can't be trusted.
    """
    path = folder / "ledger.sqlite"
    if not path.is_file():
        raise UsageError(f"{folder} holds no run: {path.name} is not there; name the --output-dir of one")
    pid = running_pid(path)
    with Ledger.peek(path) as ledger:
        identity, attempts = ledger.identity, tuple(ledger.attempts())
        done, chunks, hits = tuple(ledger.done()), tuple(ledger.chunks()), ledger.hits()
        audits, unchecked = tuple(ledger.audits()), tuple(ledger.unchecked())
    start, events = _events(folder / "events.jsonl")
    asked, unit = _asked(identity, start, folder)
    return Run(
        folder, time.time(), identity, asked, unit, done, chunks, attempts, audits, unchecked, hits, start, tuple(events),
        summary(folder / "summary.json"), pid,
    )  # fmt: skip


def _asked(identity: dict[str, Any], start: dict[str, Any], folder: Path) -> tuple[tuple[int, int], str]:
    if "trials" in identity:
        return (0, int(start.get("trials", identity["trials"]))), "trials"
    if "seeds" in identity:
        first, end = identity["seeds"]
        return (int(first), int(end)), "seeds"
    if "jobs" in identity:
        return (0, int(identity["jobs"])), "jobs"
    if "survivors" in identity:
        return (0, int(identity["survivors"])), "survivors"
    if inside := sorted(folder.glob("*/ledger.sqlite"), key=lambda path: path.stat().st_mtime):
        raise UsageError(f"{folder} is of a pipeline: name the folder of one of its steps, such as {inside[-1].parent}")
    raise UsageError(f"{folder} is of a step that has no progress to show: its results are in summary.json")


def _events(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The newest start record, and what came after it. A line that a kill cut off, or that is being written, is left out."""
    start: dict[str, Any] = {}
    events: list[dict[str, Any]] = []
    if not path.is_file():
        return start, events
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            break
        try:
            record = json.loads(line)
            if record["kind"] == "start":
                start, events = record, []
            else:
                events.append(record)
        except (ValueError, LookupError, TypeError) as error:
            raise IntegrityError(f"{path}, line {number}, is no event ({error}); the ledger beside it is the record of truth: "
                                 "move events.jsonl away and look again") from error  # fmt: skip
    return start, events


def summary(path: Path) -> dict[str, Any] | None:
    """What a summary.json says, None where there is none. Raises IntegrityError."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"{path} can't be read ({error}); give the run's command again to rewrite it") from error


# -- how far it is --------------------------------------------------------------------------------------------------


def failed(attempt: Attempt) -> bool:
    """Whether a device was given a chunk in vain; what the end of a run took with it says nothing of a device."""
    return attempt.outcome not in (None, "done", "duplicate", "lost")


def finished(attempts: Iterable[Attempt]) -> tuple[Floats, Floats, Floats]:
    """Of the attempts that gave a result: when each began and ended (Unix seconds), and its seeds; three arrays (n,)."""
    rows = [(a.issued, a.issued + (a.seconds or 0.0), a.stop - a.start) for a in attempts if a.outcome == "done"]
    begin, end, seeds = np.array(rows, np.float64).reshape(-1, 3).T
    return begin, end, seeds


def progress(run: Run) -> Progress:
    """How far it is, how fast now, and how long the rest takes; the speed is that of the last minutes."""
    newest = run.newest
    # What was issued before the oldest open lease is through, so up to there the past is whole.
    leases = [a.issued for a in newest if a.outcome is None]
    until = max(min(leases, default=run.now), run.now - 60)
    since = max(run.began, until - RECENT, *(a.issued for a in newest[:1]))
    speed, rest = None, None
    if run.pid is not None and until > since:
        edges = np.linspace(since, until, STRETCHES + 1)
        rates = spread(*finished(newest), edges) / np.diff(edges)
        speed = float(rates.mean())
        rest = forecast(run.n_asked - run.n_done, rates)
        if until - since < SETTLED:
            rest = Forecast(rest.seconds)
    share = run.n_done / run.n_asked
    expected, sigma = run.start.get("expected_by_chance"), run.start.get("sigma")
    return Progress(
        run.unit, run.n_asked, run.n_done, run.ended - run.began, int(run.start.get("n_hypotheses", 0)) // run.n_asked,
        speed, rest, len(run.hits), None if expected is None else expected * share,
        None if sigma is None else sigma * share**0.5, _devices(run, since, until),
    )  # fmt: skip


def _devices(run: Run, since: float, until: float) -> tuple[Device, ...]:
    """A line for each rank of the newest run, and for each (rank, host, device) of earlier ones."""
    live = run.pid is not None
    ready = {e["rank"]: e for e in run.events if e["kind"] == "device_ready"}
    refused = {e["rank"]: e["reason"] for e in run.events if e["kind"] == "device_refused"}
    keys = {(rank, e["host"], e["device"]): None for rank, e in sorted(ready.items())}
    keys |= {(a.rank, a.host, a.device): None for a in run.attempts}
    mine: dict[tuple[int, str, str], list[Attempt]] = {key: [] for key in keys}
    for a in run.attempts:
        mine[a.rank, a.host, a.device].append(a)
    current = {rank: (rank, e["host"], e["device"]) for rank, e in ready.items()}
    speeds: dict[int, float] = {}
    for rank, key in current.items() if live and until > since else ():
        done = spread(*finished(a for a in mine[key] if a.issued >= run.began), (since, until))
        speeds[rank] = float(done[0]) / (until - since)
    parts = shares(speeds, {rank: e["weight"] for rank, e in ready.items() if speeds.get(rank)})
    # What comes after the last chunk is no device's idleness.
    through = run.now if live else max((a.issued + (a.seconds or 0.0) for a in run.newest), default=run.ended)
    checks = Counter((a.rank, a.host, a.device) for a in run.audits if a.outcome == "passed")
    devices = []
    for key, own in mine.items():
        rank, here = key[0], current.get(key[0]) == key
        busy = sum(a.seconds or 0.0 for a in own if a.issued >= run.began)
        since_ready = through - datetime.fromisoformat(ready[rank]["time"]).timestamp() if here else 0.0
        open_lease = next((a for a in own if a.outcome is None), None)
        busy += run.now - open_lease.issued if open_lease else 0.0
        devices.append(Device(
            rank, key[1], key[2], _condition(run, rank, own, open_lease) if here else "earlier run" if live else "ended",
            speeds.get(rank) or None if here else None, parts.get(rank) if here else None,
            max(0.0, 1 - busy / since_ready) if since_ready > 0 else None,
            sum(a.outcome == "done" for a in own), sum(a.outcome == "done" and a.attempt > 1 for a in own),
            sum(failed(a) for a in own), sum(a.seconds or 0.0 for a in own), checks[key],
        ))  # fmt: skip
    devices += [Device(rank, "", "", f"NOT USED: {why}") for rank, why in refused.items()]
    return tuple(sorted(devices, key=lambda d: d.rank))


def _condition(run: Run, rank: int, own: list[Attempt], open_lease: Attempt | None) -> str:
    for event in reversed(run.events):
        if event.get("rank") == rank and event["kind"] in ("set_aside", "lost"):
            return "SET ASIDE" if event["kind"] == "set_aside" else "LOST"
    last = max(own, key=lambda a: (a.run, a.lease), default=None)
    if last is not None and last.outcome == "expired":
        return "SILENT"
    if run.pid is None:
        return "ended"
    if open_lease is None:
        return "idle"
    longest = max((a.seconds or 0.0 for a in own if a.outcome == "done"), default=0.0)
    age = run.now - open_lease.issued
    return "LATE" if longest and age > max(LATE_SECONDS, LATE_TIMES * longest) else "run"


# -- how far it is to be trusted --------------------------------------------------------------------------------------


def trust(audits: Iterable[Audited], chunks: Iterable[Chunk], unchecked: Iterable[Chunk]) -> dict[str, Any]:
    """How strongly the devices' work is checked, as plain values; of what counts nothing is of chunks that were withdrawn.

    checks: passed, by kind; caught: what each device that is set aside was caught by; devices: that have done chunks; seeds, and
    seeds_unchecked: those that no passed audit or re-run of their device came after; unnoticed: chance that a device with each of
    statistics.FAULTS went through all its checks, of the device that was checked least; unnoticed_at_last: through its last one."""
    work = {(c.start, c.rank, c.host, c.device): c.stop - c.start for c in chunks}
    passed = [a for a in audits if a.outcome == "passed" and (a.start, a.rank, a.host, a.device) in work]
    by_device: dict[tuple[int, str, str], list[Audited]] = {key[1:]: [] for key in work}
    for a in passed:
        by_device[a.rank, a.host, a.device].append(a)
    whole = [_unnoticed(own) for own in by_device.values()]
    last = [_unnoticed([a for a in own if a.kind == "audit"][-1:]) for own in by_device.values()]
    return {
        "checks": dict(Counter(a.kind for a in passed)),
        "caught": [
            f"rank {a.rank} on {a.host} ({a.device}), {a.kind} of seeds {a.start} to {a.stop - 1} held against {a.other}: {a.reason}"
            for a in audits
            if a.outcome == "caught"
        ],
        "devices": len(by_device),
        "seeds": sum(work.values()),
        "seeds_unchecked": sum(c.stop - c.start for c in unchecked),
        "unnoticed": {kind: max((w[kind] for w in whole), default=1.0) for kind in statistics.FAULTS},
        "unnoticed_at_last": {kind: max((w[kind] for w in last), default=1.0) for kind in statistics.FAULTS},
    }


def _unnoticed(own: Sequence[Audited]) -> dict[str, float]:
    return statistics.unnoticed(sum(a.seen for a in own), sum(a.values for a in own), any(a.end for a in own))


def trust_lines(t: dict[str, Any]) -> list[str]:
    """The same in words."""
    if not t["seeds"]:
        return []
    if not t["checks"]:
        return ["no device was checked after its start; the survivors were, by the plain build"]
    many = {"canary": "canaries", "audit": "audits", "re-run": "re-runs"}
    counts = ", ".join(f"{n} {many[kind] if n != 1 else kind}" for kind, n in sorted(t["checks"].items()))
    devices = f"{t['devices']} device{'s' if t['devices'] != 1 else ''}"
    some = "all" if not t["seeds_unchecked"] else f"{1 - t['seeds_unchecked'] / t['seeds']:.2%} of the"
    rows = [f"{counts} of {devices} passed; {some} seeds were done before the last audit of their device"]
    for kind, text in statistics.FAULTS.items():
        ever, last = (_chance(t[key][kind]) for key in ("unnoticed", "unnoticed_at_last"))
        rows.append(f"chance that a device passed with {text}: {ever}, by its last audit alone {last}")
    return rows


def _chance(p: float) -> str:
    return "0" if p == 0 else statistics.format_log10(math.log10(p)) if p < 0.01 else f"{p:.2g}"


# -- what went wrong --------------------------------------------------------------------------------------------------

_TODO = {
    "failed": "its chunks went to other ranks; where this repeats, look at that host's driver and memory",
    "expired": "its chunks went to other ranks; see whether that host still answers",
    "lost": "its chunks went to other ranks; see whether that host still answers",
    "killed_for_memory": "its chunks went to other ranks; give its host that many slots, or more memory",
    "parked": "the same command tries these seeds again; where they fail again, with --device cpu",
    "set_aside": "look at that device's driver, memory and temperature; the same command uses it again",
    "refused": "correct what it says, then give the same command again",
    "differs": "one of two devices computes wrongly: leave out the one named and search in another folder",
    "withdrawn": "its chunks are done again by others; leave that device out, and look at its memory and temperature",
    "odd_count": "its last chunk is done again elsewhere; nothing is wrong if no device was caught",
    "killed": "nothing that was done is lost; the same command goes on from here",
    "open": "the same command goes on from here",
}


def troubles(run: Run) -> list[Trouble]:
    """What went wrong in all runs of this search, most frequent first, and what to do."""
    seen: Counter[tuple[str, str]] = Counter()
    for a in run.attempts:
        where = f"rank {a.rank} on {a.host or 'an unnamed host'} ({a.device or 'device unknown'})"
        if a.outcome == "failed":
            seen["failed", f"{where} failed: {a.reason}"] += 1
        elif a.outcome == "expired":
            seen["expired", f"{where} gave no answer in time"] += 1
        elif a.outcome == "withdrawn":
            seen["withdrawn", f"{where} computed wrongly: {a.reason}"] += 1
        elif a.outcome == "differs":
            seen["differs", f"{where}, seeds {a.start} to {a.stop - 1}: {a.reason}"] += 1
    for event in run.events:
        if event["kind"] in ("parked", "set_aside", "lost", "killed_for_memory"):
            seen[event["kind"], str(event["detail"])] += 1
        elif event["kind"] == "odd_count":
            seen[
                "odd_count",
                f"rank {event['rank']} has {event['survivors']} survivors, by chance {event['least']} to {event['most']}",
            ] += 1
        elif event["kind"] == "device_refused":
            seen["refused", f"rank {event['rank']} has no device: {event['reason']}"] += 1
    if run.state in ("killed", "aborted", "interrupted"):
        error = run.events[-1].get("error", "") if run.events else ""
        seen["killed", f"the run was {run.state}{f': {error}' if error else ''}"] += 1
    elif run.pid is None and run.gaps:
        seen["open", f"the run ended before all was searched ({run.state})"] += 1
    return [Trouble(what, count, _TODO[kind]) for (kind, what), count in seen.most_common()]


def best(run: Run) -> dict[str, Any] | None:
    """The hit with most matches, as the summary ranks them: seed, skip, offset, matches, draws, log10_E (None where the run
    did not say what chance gives)."""
    if not len(run.hits):
        return None
    if run.summary is not None:
        return run.summary.get("best")
    first = np.argsort(-run.hits["matches"].astype(np.int64), kind="stable")[0]
    values = {"seed": int(run.seeds[first])} | {
        name: int(run.hits[first][name]) for name in ("skip", "offset", "matches")
    }
    return values | {"draws": run.start.get("draws"), "log10_E": log10_e(run.start, values["matches"])}


def log10_e(start: dict[str, Any], matches: int) -> float | None:
    """log10 E of a hypothesis with so many matches in the search that a start record describes."""
    tails, hypotheses = start.get("log10_p1"), start.get("n_hypotheses")
    if tails is None or not hypotheses or tails[matches] is None:
        return None
    return float(tails[matches]) + math.log10(hypotheses)
