"""Floor 0: who gets which seeds, as a state machine without I/O, clock, MPI or randomness.

Seeds are Python ints in half-open ranges inside [0, 2**64]; `now` is monotonic seconds, given by the caller.
The caller's loop: `expire(now)`, then `next(rank, now)` for every idle rank while `available`, then sleep until a
message or `wake(now)`.

A range once cut is a chunk and keeps its bounds for good. It is queued, leased, parked or done, and is accepted once.

- A chunk *failed* when a device said so: it waits (exponential back-off) and avoids that rank.
- A lease that *expired* or whose rank was *lost* says nothing certain of the chunk: it is queued again at once and
  avoids that rank. It still uses up an attempt, so that a chunk which kills or hangs every rank is parked in the end.
- A rank whose lease expired is silent: it gets nothing until it reports (`done`, `failed` or `join`).

Sizes: a moving average of the measured seeds/s, with a guided tail after Polychronopoulos and Kuck, "Guided
self-scheduling", IEEE Trans. Comput. C-36 (1987), here weighted by speed.

With an `Admission` the numbers of `todo` are not seeds but jobs: each is a chunk of its own, leased for its own time, and
handed out only where and when the admission lets it.
"""

from __future__ import annotations

import heapq
import itertools
import math
import operator
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from prng_mpi.admission import Admission
from prng_mpi.errors import UsageError

# Sums of speeds and weights are kept in whole millionths: integers never drift, whoever joins or leaves.
_UNIT = 1_000_000
_LIGHTEST, _HEAVIEST = 1 / _UNIT, float(_UNIT)
# A device time below this is below what a clock around a kernel can tell.
_SHORTEST = 1e-6


@dataclass(frozen=True)
class Policy:
    """How ranges are cut, timed and retried. Times in seconds, sizes in seeds; UsageError on an impossible value."""

    # A chunk is what a rank does in this time, at most the ceiling, at least `min_chunk` seeds.
    chunk_seconds: float = 1.0
    min_chunk: int = 500
    max_chunk_seconds: float = 10.0
    # Towards the end chunks shrink to no less than this time: shorter ones cost more messages than they save waiting.
    tail_seconds: float = 0.02
    # Weight of the newest measurement; a chunk is at most `growth` times the largest this rank has finished.
    alpha: float = 0.3
    growth: int = 8
    # deadline = issued + lease_factor * expected + lease_margin; the margin doubles while the rank is unmeasured.
    lease_factor: float = 3.0
    lease_margin: float = 30.0
    attempts: int = 3
    backoff: float = 5.0
    backoff_max: float = 300.0
    # A chunk that failed on so many ranks is parked; a rank that failed so many different chunks is set aside.
    park_devices: int = 2
    quarantine: int = 3

    def __post_init__(self) -> None:
        for name in ("chunk_seconds", "max_chunk_seconds", "lease_factor", "lease_margin"):
            _require(name, getattr(self, name), 0 < getattr(self, name) < math.inf, "above 0 and finite")
        for name in ("min_chunk", "attempts", "park_devices", "quarantine"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        _require("alpha", self.alpha, 0 < self.alpha <= 1, "above 0 and at most 1")
        _require("growth", self.growth, self.growth >= 2, "at least 2")
        _require("backoff", self.backoff, 0 <= self.backoff <= self.backoff_max < math.inf, "from 0 to backoff_max")
        _require(
            "tail_seconds", self.tail_seconds, 0 <= self.tail_seconds <= self.chunk_seconds, "from 0 to chunk_seconds"
        )
        fits = self.chunk_seconds <= self.max_chunk_seconds
        _require("chunk_seconds", self.chunk_seconds, fits, "at most max_chunk_seconds")


@dataclass(frozen=True)
class Lease:
    """Seeds [start, stop) in the hands of one rank until `deadline`; `attempt` counts from 1; times in seconds."""

    id: int
    start: int
    stop: int
    rank: int
    attempt: int
    issued: float
    deadline: float
    expected_seconds: float | None

    @property
    def seeds(self) -> int:
        """Number of seeds in the lease."""
        return self.stop - self.start


@dataclass(frozen=True)
class Event:
    """Something people should see.

    kind: 'failed', 'expired', 'lost' (what happened to a lease or rank), 'retry', 'parked', 'done_elsewhere', 'again' (what
    becomes of its chunk), 'set_aside', 'back', 'ignored' (what becomes of the rank), 'late_accepted',
    'late_discarded', 'unknown' (a report on a lease that is not open).
    """

    kind: str
    lease: Lease | None
    rank: int
    detail: str


class _ChunkState(Enum):
    QUEUED = 1
    LEASED = 2
    PARKED = 3
    DONE = 4


class _RankState(Enum):
    LIVE = 1
    SILENT = 2
    SET_ASIDE = 3
    LOST = 4


@dataclass(eq=False)
class _Chunk:
    start: int
    stop: int
    state: _ChunkState | None = None
    lease: Lease | None = None
    attempts: int = 0
    failures: int = 0
    failed_on: set[int] = field(default_factory=set)
    avoid: set[int] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)


@dataclass(eq=False)
class _Rank:
    weight: float
    state: _RankState
    speed: float | None = None
    largest: int = 0
    lease: Lease | None = None
    failed: dict[int, str] = field(default_factory=dict)


class Scheduler:
    """Hands the seeds of `todo` (disjoint sorted half-open ranges inside [0, 2**64]) to ranks, each accepted once.

    `next`, `done` and `failed` cost O(log n). Raises UsageError for a bad `todo` or weight, ValueError when the
    caller breaks the protocol (a rank that never joined, a second lease for a rank).
    """

    def __init__(
        self, todo: Iterable[tuple[int, int]], policy: Policy | None = None, admission: Admission | None = None
    ) -> None:
        self.policy, self.admission = policy or Policy(), admission
        # Still uncut, last range first, so that cutting is at the cheap end of the list; by group of the admission.
        ranges = _checked(todo)
        self._fresh = {0: ranges[::-1]} if admission is None else _by_group(ranges, admission)
        self._fresh_seeds = sum(stop - start for start, stop in ranges)
        self._total = self._fresh_seeds
        self._done_seeds = 0
        self._chunks: dict[int, _Chunk] = {}
        self._tally: Counter[_ChunkState] = Counter()
        # (due, number of the entry, chunk): waiting for its time, and due.
        self._waiting: list[tuple[float, int, _Chunk]] = []
        self._ready: list[tuple[float, int, _Chunk]] = []
        self._entries = 0
        # Leases that were neither reported nor forgotten, expired ones too; deadlines of all that were issued.
        self._open: dict[int, tuple[Lease, _Chunk]] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._next_id = 0
        self._ranks: dict[int, _Rank] = {}
        self._live: set[int] = set()
        self._set_aside: dict[int, tuple[str, ...]] = {}
        # Over live ranks, in _UNITs: speed and weight of the measured, weight of the others.
        self._hot_speed = self._hot_weight = self._cold_weight = 0
        self._drained = False

    # -- what ranks report --------------------------------------------------------------------------------------

    def join(self, rank: int, weight: float, now: float) -> list[Event]:
        """A rank reports its device ready; `weight` is its profile's speed relative to the others (1e-6 to 1e6).

        A silent rank is back, a live one gets the new weight; one that is lost or set aside stays so ('ignored').
        """
        if not _LIGHTEST <= weight <= _HEAVIEST:
            rule = f"from {_LIGHTEST:g} to {_HEAVIEST:g}"
            raise UsageError(f"rank {rank}: profile weight {weight!r} must be {rule}; correct its profile")
        r = self._ranks.get(rank)
        if r is None:
            self._ranks[rank] = r = _Rank(weight, _RankState.SILENT)
            self._move(rank, r, _RankState.LIVE)
            return []
        if r.state in (_RankState.LOST, _RankState.SET_ASIDE):
            return [Event("ignored", None, rank, f"rank {rank} reports ready but is {_words(r.state)}")]
        back = r.state is _RankState.SILENT
        self._move(rank, r, _RankState.SILENT)
        r.weight = weight
        self._move(rank, r, _RankState.LIVE)
        return [Event("back", None, rank, f"rank {rank} reports again")] if back else []

    def next(self, rank: int, now: float) -> Lease | None:
        """The next range for an idle rank: a due retry it may have, else a fresh piece; None if there is nothing.

        None too after `drain` and for a rank that is silent, set aside or lost.
        """
        r = self._known(rank)
        if r.lease is not None:
            raise ValueError(f"rank {rank} asks for seeds while it holds lease {r.lease.id}; report that one first")
        if self._drained or r.state is not _RankState.LIVE:
            return None
        self._promote(now)
        chunk = self._retry_for(rank, now) or self._cut(r, rank, now)
        return None if chunk is None else self._issue(chunk, rank, r, now)

    def done(self, rank: int, lease_id: int, seconds: float, now: float) -> tuple[bool, list[Event]]:
        """A rank finished a lease in `seconds` of device time. True: take its result, the range is now done.

        False: the range was done before, drop the result. A late result counts if its range is not yet done, even
        one from a rank since lost. Every known lease is a measurement, unless `seconds` is negative or not finite.
        """
        found = self._report(rank, lease_id, now)
        if isinstance(found, Event):
            return False, [found]
        lease, chunk = found
        self._measure(self._ranks[rank], rank, lease.seeds, seconds)
        if chunk.state is _ChunkState.DONE:
            return False, [Event("late_discarded", lease, rank, f"{self._name(lease)} was done before; result dropped")]
        late = chunk.lease is not lease
        self._set(chunk, _ChunkState.DONE)
        del self._chunks[chunk.start]
        self._done_seeds += lease.seeds
        if late:
            return True, [Event("late_accepted", lease, rank, f"{self._name(lease)} came after its lease ended; taken")]
        return True, []

    def failed(self, rank: int, lease_id: int, reason: str, now: float, blame: bool = True) -> list[Event]:
        """A rank's device failed on a lease: the chunk is retried later elsewhere, or parked; the rank may go.

        A rank that failed too many chunks is set aside, unless it is not to `blame`. A late failure counts against
        chunk and rank as well, but does not take the chunk from who has it now.
        """
        found = self._report(rank, lease_id, now)
        if isinstance(found, Event):
            return [found]
        lease, chunk = found
        events = [Event("failed", lease, rank, f"{self._name(lease)}: {reason}")]
        chunk.failures += 1
        chunk.failed_on.add(rank)
        if chunk.lease is lease:
            delay = min(self.policy.backoff * 2.0 ** min(chunk.failures - 1, 100), self.policy.backoff_max)
            events.append(self._requeue(chunk, lease, reason, now, delay))
        else:
            self._note(chunk, rank, reason)
            if chunk.state is _ChunkState.QUEUED and (why := self._hopeless(chunk)):
                events.append(self._park(chunk, lease, why))
        return events + self._blame(rank, chunk, reason) if blame else events

    def lost(self, rank: int, reason: str, now: float) -> list[Event]:
        """A rank is gone for good: it gets nothing more and its range is queued again at once.

        That costs the chunk an attempt but is no failure on a device. A result still under way is taken by `done`.
        """
        r = self._ranks.setdefault(rank, _Rank(1.0, _RankState.SILENT))
        if r.state is _RankState.LOST:
            return []
        self._move(rank, r, _RankState.LOST)
        if self.admission:
            self.admission.ended(rank, now)
        events = [Event("lost", r.lease, rank, f"rank {rank} is lost: {reason}")]
        return events + self._take_back(r, f"lost: {reason}", now)

    def convict(self, rank: int, ranges: Iterable[tuple[int, int]], reason: str, now: float) -> list[Event]:
        """A rank's device computes wrongly: it gets nothing more, and its lease and `ranges` that it has done, in this run or
        an earlier one, are queued again for others. What it still reports is for `dismissed`."""
        r = self._known(rank)
        if r.state is not _RankState.LOST:
            self._move(rank, r, _RankState.SET_ASIDE)
        self._set_aside[rank] = (reason,)
        again = self._undo(ranges, now, avoid={rank}, reasons=[f"rank {rank}: {reason}"])
        detail = f"rank {rank} computes wrongly and gets nothing more; {again} seeds that it has done are searched again ({reason})"
        return [Event("set_aside", None, rank, detail), *self._take_back(r, reason, now)]

    def again(self, ranges: Iterable[tuple[int, int]], now: float) -> list[Event]:
        """Ranges that were done before are queued again, though no rank is to blame."""
        seeds = self._undo(ranges, now)
        return [
            Event(
                "again", None, -1, f"{seeds} seeds of a run that was cut off before it checked them are searched again"
            )
        ]

    def _undo(self, ranges: Iterable[tuple[int, int]], now: float, **more: Any) -> int:
        """Queue ranges that are done; how many seeds."""
        seeds = 0
        for start, stop in ranges:
            self._chunks[start] = chunk = _Chunk(start, stop, **{key: copy(value) for key, value in more.items()})
            self._queue(chunk, now)
            seeds += stop - start
        self._done_seeds -= seeds
        return seeds

    def dismissed(self, rank: int, lease_id: int, now: float) -> list[Event]:
        """A rank that is not believed reports on a lease, whatever it says; its range is in other hands."""
        found = self._report(rank, lease_id, now)
        return [found] if isinstance(found, Event) else []

    def expire(self, now: float) -> list[Event]:
        """Take back every lease whose deadline is not after `now`; its rank is silent until it reports again."""
        self._promote(now)
        events = []
        while (deadline := self._deadline()) is not None and deadline <= now:
            lease, _ = self._open[heapq.heappop(self._deadlines)[1]]
            r = self._ranks[lease.rank]
            if r.state is _RankState.LIVE:
                self._move(lease.rank, r, _RankState.SILENT)
            silent = now - lease.issued
            events.append(Event("expired", lease, lease.rank, f"{self._name(lease)}: no report for {silent:.0f} s"))
            events += self._take_back(r, f"no report for {silent:.0f} s", now)
        return events

    def drain(self) -> None:
        """Hand out nothing more; what is in flight may still come in."""
        self._drained = True

    # -- what people and the caller's loop ask ------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Seeds of `todo`."""
        return self._total

    @property
    def seeds_done(self) -> int:
        """Seeds whose result was accepted."""
        return self._done_seeds

    @property
    def remaining(self) -> int:
        """Seeds not done: uncut, queued, in flight and parked."""
        return self._total - self._done_seeds

    @property
    def in_flight(self) -> tuple[Lease, ...]:
        """Leases held now whose range is not done: no expired one, and none that a late result overtook."""
        return tuple(c.lease for c in self._chunks.values() if c.state is _ChunkState.LEASED and c.lease is not None)

    @property
    def available(self) -> bool:
        """Whether `next` may have something at once for some live rank; worth asking for the idle ones."""
        return not self._drained and bool(self._live) and (any(self._fresh.values()) or _top(self._ready) is not None)

    @property
    def finished(self) -> bool:
        """Nothing in flight, and nothing to hand out (all done or parked) or no more to be handed out (drained).

        Not true merely because no rank is live: see `stuck`.
        """
        nothing_left = not any(self._fresh.values()) and not self._tally[_ChunkState.QUEUED]
        return not self._tally[_ChunkState.LEASED] and (self._drained or nothing_left)

    @property
    def stuck(self) -> bool:
        """Not finished, nothing in flight, and no live rank: only a `join` or the report of a silent rank can help."""
        return not self.finished and not self._tally[_ChunkState.LEASED] and not self._live

    @property
    def live(self) -> tuple[int, ...]:
        """Ranks that may be given seeds, ascending."""
        return tuple(sorted(self._live))

    @property
    def silent(self) -> tuple[int, ...]:
        """Ranks whose lease expired and that have not reported since, ascending."""
        return tuple(sorted(rank for rank, r in self._ranks.items() if r.state is _RankState.SILENT))

    @property
    def parked(self) -> list[tuple[int, int, tuple[str, ...]]]:
        """(start, stop, reasons) of every chunk that was given up, ascending."""
        parked = (c for c in self._chunks.values() if c.state is _ChunkState.PARKED)
        return sorted((c.start, c.stop, tuple(c.reasons)) for c in parked)

    @property
    def set_aside(self) -> dict[int, tuple[str, ...]]:
        """For each rank that failed too many chunks, why each failed."""
        return dict(self._set_aside)

    @property
    def queued(self) -> list[tuple[int, int]]:
        """Ranges that nobody has and that are still to be handed out, ascending: uncut ones and retries."""
        retries = ((c.start, c.stop) for c in self._chunks.values() if c.state is _ChunkState.QUEUED)
        return sorted([*self._uncut, *retries])

    def gaps(self) -> list[tuple[int, int]]:
        """Ranges not done (queued, in flight, parked), ascending, touching ones merged."""
        return list(_merged(sorted([*self._uncut, *((c.start, c.stop) for c in self._chunks.values())])))

    def speed(self, rank: int) -> float | None:
        """Measured seeds/s of a rank (moving average), None before its first result."""
        return self._known(rank).speed

    @property
    def total_speed(self) -> float:
        """Seeds/s of all live ranks, the unmeasured ones by weight; 0.0 before the first result."""
        if not self._hot_weight:
            return 0.0
        return self._hot_speed * (self._hot_weight + self._cold_weight) / self._hot_weight / _UNIT

    def wake(self, now: float) -> float | None:
        """The next moment that changes something by time alone (a retry falls due, a lease ends), or None.

        A moment that has passed unhandled by `expire` or `next` is returned as it is, so that none is missed.
        """
        moments = [self._deadline(), _top(self._waiting), self.admission.wake(now) if self.admission else None]
        return min((t for t in moments if t is not None), default=None)

    @property
    def _uncut(self) -> list[tuple[int, int]]:
        return [piece for ranges in self._fresh.values() for piece in ranges]

    # -- ranks --------------------------------------------------------------------------------------------------

    def _known(self, rank: int) -> _Rank:
        try:
            return self._ranks[rank]
        except KeyError:
            raise ValueError(f"rank {rank} never joined; call join() first") from None

    def _move(self, rank: int, r: _Rank, state: _RankState) -> None:
        """Give a rank its state; the sums over live ranks follow."""
        for value, sign in ((r.state, -1), (state, 1)):
            if value is _RankState.LIVE:
                self._count(r, sign)
        r.state = state
        if state is _RankState.LIVE:
            self._live.add(rank)
        else:
            self._live.discard(rank)

    def _count(self, r: _Rank, sign: int) -> None:
        weight = sign * _units(r.weight)
        if r.speed is None:
            self._cold_weight += weight
        else:
            self._hot_weight += weight
            self._hot_speed += sign * _units(r.speed)

    def _measure(self, r: _Rank, rank: int, seeds: int, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            return
        # What starting costs tells on small chunks: one of twice the size of any before tells more than those.
        before = None if seeds >= 2 * r.largest else r.speed
        r.largest = max(r.largest, seeds)
        rate = seeds / max(seconds, _SHORTEST)
        # Out of the sums with the old speed and in again with the new one.
        state = r.state
        self._move(rank, r, _RankState.SILENT)
        r.speed = rate if before is None else before + self.policy.alpha * (rate - before)
        self._move(rank, r, state)

    def _estimate(self, r: _Rank) -> float | None:
        """Seeds/s: measured, else what the measured live ranks do per weight, else unknown."""
        if r.speed is not None:
            return r.speed
        return r.weight * self._hot_speed / self._hot_weight if self._hot_weight else None

    def _share(self, r: _Rank) -> float:
        """A live rank's part of the total speed; by weight alone while nobody is measured."""
        speed = self._estimate(r)
        if speed is None:
            return min(1.0, _units(r.weight) / self._cold_weight)
        return min(1.0, speed / self.total_speed)

    def _blame(self, rank: int, chunk: _Chunk, reason: str) -> list[Event]:
        r = self._ranks[rank]
        # The same chunk counts once: a bad chunk must not cost the only device.
        r.failed.setdefault(chunk.start, f"[{chunk.start}, {chunk.stop}): {reason}")
        if len(r.failed) < self.policy.quarantine or r.state is not _RankState.LIVE:
            return []
        self._move(rank, r, _RankState.SET_ASIDE)
        self._set_aside[rank] = tuple(r.failed.values())
        return [
            Event(
                "set_aside",
                None,
                rank,
                f"rank {rank} failed {len(r.failed)} chunks and gets no more; the last: {reason}",
            )
        ]

    # -- leases -------------------------------------------------------------------------------------------------

    def _issue(self, chunk: _Chunk, rank: int, r: _Rank, now: float) -> Lease:
        speed = self._estimate(r)
        expected = None if speed is None else (chunk.stop - chunk.start) / speed
        if self.admission:
            deadline = now + self.admission.patience(chunk.start) + self.policy.lease_margin
            self.admission.started(rank, chunk.start, now)
        else:
            margin = self.policy.lease_margin * (2 if r.speed is None else 1)
            deadline = now + self.policy.lease_factor * (expected or 0.0) + margin
        chunk.attempts += 1
        lease = Lease(self._next_id, chunk.start, chunk.stop, rank, chunk.attempts, now, deadline, expected)
        self._next_id += 1
        r.lease = lease
        self._set(chunk, _ChunkState.LEASED, lease)
        self._open[lease.id] = (lease, chunk)
        heapq.heappush(self._deadlines, (deadline, lease.id))
        return lease

    def _report(self, rank: int, lease_id: int, now: float) -> tuple[Lease, _Chunk] | Event:
        """Close a lease that its rank reports on; a silent rank is back. An 'unknown' event if it is not open."""
        r = self._known(rank)
        lease, chunk = self._open.get(lease_id, (None, None))
        if lease is None or chunk is None or lease.rank != rank:
            return Event("unknown", lease, rank, f"rank {rank} reports on lease {lease_id}, which it does not hold")
        del self._open[lease_id]
        # Only now has the rank's work ended: an expired lease may well go on there.
        if self.admission:
            self.admission.ended(rank, now)
        if r.lease is lease:
            r.lease = None
        if r.state is _RankState.SILENT:
            self._move(rank, r, _RankState.LIVE)
        return lease, chunk

    def _deadline(self) -> float | None:
        """The earliest deadline of a lease that is held; drops those of leases that are not."""
        while self._deadlines:
            deadline, lease_id = self._deadlines[0]
            lease, _ = self._open.get(lease_id, (None, None))
            if lease is not None and self._ranks[lease.rank].lease is lease:
                return deadline
            heapq.heappop(self._deadlines)
        return None

    def _take_back(self, r: _Rank, reason: str, now: float) -> list[Event]:
        """End the lease of a rank that does not answer; it stays open, for its result may still come."""
        lease, r.lease = r.lease, None
        if lease is None:
            return []
        chunk = self._open[lease.id][1]
        if chunk.lease is not lease:
            return [Event("done_elsewhere", lease, lease.rank, f"{self._name(lease)} was done by another rank before")]
        return [self._requeue(chunk, lease, reason, now, 0.0)]

    # -- chunks -------------------------------------------------------------------------------------------------

    def _set(self, chunk: _Chunk, state: _ChunkState, lease: Lease | None = None) -> None:
        if chunk.state is not None:
            self._tally[chunk.state] -= 1
        self._tally[state] += 1
        chunk.state, chunk.lease = state, lease

    def _cut(self, r: _Rank, rank: int, now: float) -> _Chunk | None:
        """A new chunk from the front of what is uncut and admitted."""
        fronts = sorted((ranges[-1], ranges) for ranges in self._fresh.values() if ranges)
        fresh = next((ranges for (start, _), ranges in fronts if self._admitted(rank, start, now)), None)
        if fresh is None:
            return None
        start, stop = fresh.pop()
        cut = start + 1 if self.admission else min(stop, start + self._size(r))
        if cut < stop:
            fresh.append((cut, stop))
        self._fresh_seeds -= cut - start
        chunk = self._chunks[start] = _Chunk(start, cut)
        return chunk

    def _size(self, r: _Rank) -> int:
        p = self.policy
        if r.speed is None:
            size = p.min_chunk * round(r.weight)
        else:
            size = min(int(r.speed * p.chunk_seconds), p.growth * r.largest)
        guided = int(self._fresh_seeds * self._share(r) / 2)
        if (speed := self._estimate(r)) is not None:
            guided = max(guided, int(speed * p.tail_seconds))
            # The ceiling matters for a first chunk only: min_chunk * weight may be much where seeds are dear.
            size = min(size, int(speed * p.max_chunk_seconds))
        return max(min(size, guided), p.min_chunk)

    def _requeue(self, chunk: _Chunk, lease: Lease, reason: str, now: float, delay: float) -> Event:
        self._note(chunk, lease.rank, reason)
        if why := self._hopeless(chunk):
            return self._park(chunk, lease, why)
        self._queue(chunk, now, delay)
        attempt = f"attempt {chunk.attempts + 1} of {self.policy.attempts}"
        return Event("retry", lease, lease.rank, f"{self._name(lease)} again in {delay:g} s, {attempt}")

    def _queue(self, chunk: _Chunk, now: float, delay: float = 0.0) -> None:
        self._set(chunk, _ChunkState.QUEUED)
        self._entries += 1
        heapq.heappush(self._waiting if delay > 0 else self._ready, (now + delay, self._entries, chunk))

    def _hopeless(self, chunk: _Chunk) -> str:
        if len(chunk.failed_on) >= self.policy.park_devices:
            return f"failed on {len(chunk.failed_on)} ranks"
        return f"{chunk.attempts} attempts" if chunk.attempts >= self.policy.attempts else ""

    def _park(self, chunk: _Chunk, lease: Lease, why: str) -> Event:
        self._set(chunk, _ChunkState.PARKED)
        return Event("parked", lease, lease.rank, f"{self._range(chunk.start, chunk.stop)} given up: {why}")

    def _name(self, lease: Lease) -> str:
        return f"rank {lease.rank}, {self._range(lease.start, lease.stop)}, attempt {lease.attempt}"

    def _range(self, start: int, stop: int) -> str:
        return f"job {self.admission.name(start)}" if self.admission else f"seeds [{start}, {stop})"

    def _note(self, chunk: _Chunk, rank: int, reason: str) -> None:
        chunk.avoid.add(rank)
        chunk.reasons.append(f"rank {rank}: {reason}")

    def _promote(self, now: float) -> None:
        while (due := _top(self._waiting)) is not None and due <= now:
            heapq.heappush(self._ready, heapq.heappop(self._waiting))

    def _admitted(self, rank: int, start: int, now: float) -> bool:
        return self.admission is None or self.admission.admits(rank, start, now)

    def _retry_for(self, rank: int, now: float) -> _Chunk | None:
        """The first due retry that this rank may have; those it may not have stay where they are."""
        kept = []
        chunk = None
        while _top(self._ready) is not None:
            entry = heapq.heappop(self._ready)
            if self._may_have(rank, entry[2]) and self._admitted(rank, entry[2].start, now):
                chunk = entry[2]
                break
            kept.append(entry)
        for entry in kept:
            heapq.heappush(self._ready, entry)
        return chunk

    def _may_have(self, rank: int, chunk: _Chunk) -> bool:
        """Best a rank that never had the chunk; else one it did not fail on; else any that is live."""
        if rank not in chunk.avoid:
            return True
        return self._live <= (chunk.failed_on if rank in chunk.failed_on else chunk.avoid)


def _top(queue: list[tuple[float, int, _Chunk]]) -> float | None:
    """The due time of the first chunk still queued; drops those that a late report has settled."""
    while queue:
        if queue[0][2].state is _ChunkState.QUEUED:
            return queue[0][0]
        heapq.heappop(queue)
    return None


def _merged(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    last: tuple[int, int] | None = None
    for start, stop in ranges:
        if last is not None and start == last[1]:
            last = (last[0], stop)
            continue
        if last is not None:
            yield last
        last = (start, stop)
    if last is not None:
        yield last


def _by_group(ranges: list[tuple[int, int]], admission: Admission) -> dict[int, list[tuple[int, int]]]:
    """The ranges cut where the group changes, last first, by group."""
    groups: dict[int, list[tuple[int, int]]] = {}
    for start, stop in reversed(ranges):
        for group, run in itertools.groupby(reversed(range(start, stop)), admission.group):
            jobs = list(run)
            groups.setdefault(group, []).append((jobs[-1], jobs[0] + 1))
    return groups


def _checked(todo: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    # operator.index: numpy integers become Python ints, which do not overflow at 2**64.
    ranges = [(operator.index(start), operator.index(stop)) for start, stop in todo]
    end = 0
    for start, stop in ranges:
        if not end <= start < stop <= 1 << 64:
            raise UsageError(
                f"seeds to do: [{start}, {stop}) is empty, outside [0, 2**64), or not after the range before it; "
                "give disjoint ascending ranges, end excluded"
            )
        end = stop
    return ranges


def _units(value: float) -> int:
    return max(1, round(value * _UNIT))


def _words(state: _RankState) -> str:
    return state.name.lower().replace("_", " ")


def _require(name: str, value: float, holds: bool, rule: str) -> None:
    if not holds:
        raise UsageError(f"scheduler policy: {name} = {value!r} must be {rule}")
