"""Floor 2: the farm. Root hands out chunks over point-to-point messages, every rank computes, root commits results.

The main thread of each rank speaks MPI and sleeps between looks; a second thread computes, so that root's own device
works like any other and no rank is deaf while it computes. No collective is called from here on: one dead rank would
hold up all."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from prng_mpi import memory
from prng_mpi.comm import KILLED, Comm, Message, Tag
from prng_mpi.errors import ExitCode, PrngError
from prng_mpi.profiles import profile
from prng_mpi.scheduler import Event, Lease, Scheduler

Hits = npt.NDArray[np.void]
# Everything in [start, stop), or None if `stopped` answered True before the end: hits, or what else a step has ranks do.
# Where a farm has `told`, its two values stand in for start and stop.
Compute = Callable[[Any, Any, Callable[[], bool]], Any]
# The answer to what an Auditor attached to a lease, or None if `stopped` answered True before the end.
Examine = Callable[[Any, Callable[[], bool]], Any]

# How long a rank sleeps between looks at its messages: where some device may wait for the answer, and where nothing is near, since
# each look takes time from a device that computes on the same core.
NAP, LULL = 0.001, 0.01
# How long the last checks of the devices may take when all is searched.
CLOSING = 10.0
# Seconds without work after which a rank gives back memory: a host rests longer between two batches of jobs.
REST = 1.0


@dataclass(frozen=True)
class Card:
    """What a rank says of itself when its device is ready."""

    rank: int
    host: str
    device_kind: str
    device: str
    why: str
    weight: float
    token_lost: bool = False


@dataclass(frozen=True)
class Finished:
    """A chunk that a device is through with: hits, or None and why not; seconds on the device.

    blame: whether an error speaks against the rank; hits may come with one that does not; memory: bytes that its host then
    had available, 0 where nobody looked."""

    lease: int
    hits: Any
    seconds: float
    error: str | None
    blame: bool = True
    answers: tuple[Any, ...] = ()
    memory: float = 0.0


@dataclass(frozen=True)
class Conviction:
    """A rank whose device computes wrongly, and why; the ranges that it is no longer believed, and their hits."""

    rank: int
    reason: str
    ranges: tuple[tuple[int, int], ...]
    hits: int


class Auditor(Protocol):
    """Who holds devices' work against what is known; see audits.py."""

    def attach(self, lease: Lease, card: Card) -> tuple[Any, ...]:
        """What to examine after a lease."""

    def heard(self, lease: Lease, card: Card, done: Finished, alone: bool) -> list[Conviction]:
        """Judge a result before it is taken. alone: whether no other rank is there to do anything again."""

    def closing(self, number: int, card: Card) -> tuple[Lease | None, tuple[Any, ...]]:
        """When all is searched: the lease by whose end a rank still has to show that it is right, under this number, which is
        below 0, and what to examine; no lease where there is nothing."""

    def dropped(self, lease: Lease) -> None:
        """A lease ended without a result."""

    def doubted(self) -> list[tuple[int, int]]:
        """Ranges that are done, but not well enough: to be done again."""

    def settle(self) -> list[Conviction]:
        """Judge what is left."""


class WorkFailed(PrngError):
    """The work itself failed, wherever it is done; `content` is for whom it was done for."""

    def __init__(self, reason: str, content: Any = None) -> None:
        super().__init__(reason)
        self.content = content


class Worker:
    """The thread that computes one chunk at a time. When it has had no work for REST seconds it gives back what its allocators keep;
    rest: of its device."""

    def __init__(
        self, compute: Compute, rest: Callable[[], None] = lambda: None, examine: Examine | None = None
    ) -> None:
        self._compute, self._rest, self._examine = compute, rest, examine
        # Not SimpleQueue: a get that is woken for nothing near the end of its timeout waits for ever (CPython 3.11, _queuemodule.c).
        self._todo: queue.Queue[tuple[int, Any, Any, tuple[Any, ...]] | None] = queue.Queue()
        self._done: queue.Queue[Finished] = queue.Queue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="device", daemon=True)
        self._thread.start()

    def submit(self, lease: int, start: Any, stop: Any, probes: tuple[Any, ...] = ()) -> None:
        """Compute [start, stop) next, and examine some probes after it."""
        self._todo.put((lease, start, stop, probes))

    def take(self, wait: float = 0.0) -> Finished | None:
        """A chunk that is through, within `wait` seconds, or None."""
        try:
            return self._done.get(wait > 0, wait)
        except queue.Empty:
            return None

    def stop(self, wait: float = 5.0) -> bool:
        """Give up what is being computed, at the end of its slice; True if the thread ended within `wait` seconds."""
        self._stopped.set()
        self._todo.put(None)
        self._thread.join(wait)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        chunk = self._todo.get()
        while chunk is not None:
            lease, start, stop, probes = chunk
            hits, answers, error, blame, began, seconds = None, (), None, True, time.perf_counter(), None
            try:
                hits = self._compute(start, stop, self._stopped.is_set)
                seconds = time.perf_counter() - began
                answers = tuple(self._examine(probe, self._stopped.is_set) for probe in probes if self._examine)
                if hits is None or None in answers:
                    error = "stopped"
            except WorkFailed as e:
                hits, error, blame = e.content, str(e), False
            except PrngError as e:
                error = str(e)
            # Whatever goes wrong on a device is a failed chunk that root hears of, never a silent rank.
            except Exception as e:  # noqa: BLE001
                error = f"{type(e).__name__}: {e}"
            seconds = time.perf_counter() - began if seconds is None else seconds
            self._done.put(Finished(lease, hits, seconds, error, blame, answers, memory.available()))
            # Nothing may hold on to the answer while the thread waits.
            del hits, answers
            chunk = self._next()

    def _next(self) -> tuple[int, Any, Any, tuple[Any, ...]] | None:
        try:
            return self._todo.get(timeout=REST)
        except queue.Empty:
            pass
        try:
            self._rest()
            memory.give_back()
        # A thread that ends would be a silent rank.
        except Exception as e:  # noqa: BLE001
            print(f"prng_mpi: memory was not given back: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
        return self._todo.get()


def _outside(lease: Lease, hits: Hits | None) -> str:
    """Why a device's answer can't be one to its chunk; empty if it can."""
    if hits is None:
        return "no result"
    strays = hits["seed"][(hits["seed"] < lease.start) | (hits["seed"] > lease.stop - 1)]
    return f"it reports seed {strays[0]}, which is not in its chunk" if len(strays) else ""


def serve(
    comm: Comm,
    compute: Compute | None,
    introduction: Card | str,
    rest: Callable[[], None] = lambda: None,
    examine: Examine | None = None,
) -> None:
    """What every rank but root does until root says stop: introduce itself, compute what it is given, report.

    introduction: its card, or why it has no device; then it only waits for the end. rest: as of `Worker`."""
    if isinstance(introduction, str) or compute is None:
        comm.send(0, Tag.UNREADY, introduction)
        while (message := comm.poll(0)) is None or message.tag is not Tag.STOP:
            if message:
                _heed(comm, message)
            else:
                time.sleep(10 * NAP)
        return
    worker, leases = Worker(compute, rest, examine), 0
    comm.send(0, Tag.READY, introduction)
    while True:
        busy = False
        if message := comm.poll(0):
            _heed(comm, message)
            if message.tag is Tag.STOP:
                worker.stop()
                return
            # A token that was given up may still come.
            if message.tag is Tag.CHUNK:
                worker.submit(*message.content)
                leases += 1
            busy = True
        if done := worker.take(0 if busy else LULL if leases else NAP):
            comm.send(0, Tag.RESULT if done.error is None else Tag.FAILED, done)
            leases -= 1


def _heed(comm: Comm, message: Message) -> None:
    """Without root a rank has nobody to compute for. Who was killed on this host may have left a trace here alone."""
    if message.tag is Tag.LOST:
        comm.die(ExitCode.ABORTED, f"root is gone: {message.content}")
    if message.tag is Tag.WHY:
        rank, pid = message.content
        comm.send(0, Tag.WHY, (rank, comm.watch.cause(pid, 0.0)))


class End(Enum):
    """Why the farm stopped."""

    COMPLETE = "complete"
    GAPS = "gaps"
    TIME_LIMIT = "time limit"
    DRAINED = "drained"
    INTERRUPTED = "interrupted"
    NO_DEVICE = "no device"
    LOST = "lost ranks"


# The exit code of a run that left something undone; ABORTED for an end that is not here.
UNFINISHED = {
    End.GAPS: ExitCode.GAPS,
    End.TIME_LIMIT: ExitCode.TIME_LIMIT,
    End.DRAINED: ExitCode.STOPPED,
    End.NO_DEVICE: ExitCode.NO_DEVICE,
    End.LOST: ExitCode.LOST_HOSTS,
}


@dataclass
class RankState:
    """What root knows of one rank, for the display and the result."""

    card: Card | None = None
    trouble: str = ""
    lost: str = ""
    chunks: int = 0
    retried: int = 0
    failed: int = 0
    audits: int = 0
    seeds: int = 0
    hits: int = 0
    seconds: float = 0.0
    since: float = 0.0
    given: float | None = None

    def idle(self, now: float) -> float:
        """Share of the time since it was ready that it did not compute; a chunk that runs counts from when it was given."""
        if self.card is None or now <= self.since:
            return 0.0
        busy = self.seconds + (now - self.given if self.given is not None else 0.0)
        return max(0.0, 1 - busy / (now - self.since))


@dataclass
class State:
    """The farm as root sees it now; the display draws it. memory: bytes available on each host when it was last heard of."""

    ranks: dict[int, RankState]
    began: float
    hits: int = 0
    events: list[Event] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)


class Log(Protocol):
    """Who keeps what happens: the ledger and the event log."""

    def issued(self, lease: Lease, card: Card) -> None: ...

    def commit(self, lease: Lease, card: Card, finished: Finished) -> None: ...

    def ended(self, lease: Lease, outcome: str, finished: Finished | None, reason: str) -> None: ...

    def event(self, kind: str, **fields: Any) -> None: ...


class Farm:
    """Root's side of the farm; `lead` runs it to its end."""

    def __init__(
        self,
        comm: Comm,
        scheduler: Scheduler,
        log: Log,
        show: Callable[[State], None],
        requests: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        check: Callable[[Lease, Any], str] = _outside,
        told: Callable[[Lease], tuple[Any, Any]] = lambda lease: (lease.start, lease.stop),
        auditor: Auditor | None = None,
        examine: Examine | None = None,
    ) -> None:
        """show: called often, draws when it wants; requests: how often the user asked to stop (1 drain, 2 at once);
        check: why an answer can't be one to its lease, empty if it can; told: what a rank is told of a lease; auditor: of work
        whose result is HIT (n,); examine: what it asks of root's own device."""
        self.comm, self.scheduler, self.log, self.show, self.requests, self.clock = (
            comm,
            scheduler,
            log,
            show,
            requests,
            clock,
        )
        self._check, self._told, self._auditor, self._examine = check, told, auditor, examine
        self.state = State({rank: RankState() for rank in range(comm.size)}, clock())
        self._leases: dict[int, Lease] = {}
        self._idle: set[int] = set()
        self._convicted: dict[int, str] = {}
        # Until when the last checks may take, and how many there were.
        self._deadline: float | None = None
        self._closings = 0
        self._worker: Worker | None = None

    def lead(
        self,
        compute: Compute | None,
        introduction: Card | str,
        limit: float | None,
        startup: float,
        rest: Callable[[], None] = lambda: None,
    ) -> End:
        """Hand out until nothing is left or someone says stop. limit: seconds from now after which nothing new is handed
        out; startup: seconds that ranks without a device have to report before the run gives up; rest: as of `Worker`."""
        began, end = self.clock(), End.COMPLETE
        if compute is not None and isinstance(introduction, Card):
            self._worker = Worker(compute, rest, self._examine)
        self._introduce(0, introduction)
        while True:
            busy = self._listen()
            now = self.clock()
            for event in self.scheduler.expire(now):
                self._note(event)
            if end is End.COMPLETE and limit is not None and now - began >= limit:
                end = End.TIME_LIMIT
                self.scheduler.drain()
            if self.requests() and end is not End.INTERRUPTED:
                if self.requests() == 1 and end is not End.DRAINED:
                    end = End.DRAINED
                    self.log.event("drain", reason="asked to stop; chunks that run are finished first")
                    self.scheduler.drain()
                elif self.requests() > 1:
                    end = End.INTERRUPTED
            busy |= self._hand_out(now)
            self.show(self.state)
            if end is End.INTERRUPTED or (self.scheduler.finished and not self._close(now)):
                break
            if self.scheduler.stuck and not self._settle(now) and not (self._starting() and now - began < startup):
                return End.LOST if self.lost else End.NO_DEVICE
            if not busy:
                self._rest()
        if end is End.COMPLETE and self.scheduler.remaining:
            end = End.GAPS
        return end

    def dismiss(self, patience: float = 30.0) -> bool:
        """Tell every rank to end; False if some rank will never hear it.

        A rank that is still starting its device hears it afterwards, if that takes at most `patience` seconds."""
        for rank in range(1, self.comm.size):
            self.comm.send(rank, Tag.STOP)
        ended = self._worker.stop() if self._worker else True
        deadline = self.clock() + patience
        while (starting := self._starting()) and self.clock() < deadline:
            if not self._listen():
                time.sleep(NAP)
        return ended and not starting and not self.scheduler.silent

    @property
    def lost(self) -> dict[int, str]:
        """Why each rank that is gone is gone, ascending."""
        return {rank: state.lost for rank, state in self.state.ranks.items() if state.lost}

    @property
    def refused(self) -> list[str]:
        """Why each rank without a device, or one that is set aside, computes nothing."""
        return [state.trouble for state in self.state.ranks.values() if state.trouble]

    def _starting(self) -> bool:
        return any(state.card is None and not state.trouble and not state.lost for state in self.state.ranks.values())

    def _lose(self, rank: int, reason: str) -> None:
        # Its last words may come after MPI's report.
        card = self.state.ranks[rank].card
        device = card.device if card else "no device yet"
        self.state.ranks[rank].lost = f"{self.comm.name(rank)} ({device}): {reason}"
        self._idle.discard(rank)
        for lease in [lease for lease in self._leases.values() if lease.id < 0 and lease.rank == rank]:
            del self._leases[lease.id]
        for event in self.scheduler.lost(rank, reason, self.clock()):
            self._note(event)
        near = [other for other, state in self._beside(rank) if state.card or state.trouble]
        if reason == KILLED and near == [0]:
            self._explain(rank, self.comm.watch.cause(self.comm.pids[rank], 0.0))
        elif reason == KILLED and near:
            self.comm.send(near[-1], Tag.WHY, (rank, self.comm.pids[rank]))

    def _beside(self, rank: int) -> list[tuple[int, RankState]]:
        """The ranks of a rank's host that live."""
        host = self.comm.hosts[rank]
        return [(n, r) for n, r in self.state.ranks.items() if n != rank and self.comm.hosts[n] == host and not r.lost]

    def _explain(self, rank: int, cause: memory.Cause) -> None:
        """A rank of its host tells why a rank was killed: worth repeating where its host had no memory for it."""
        if cause.most is None:
            return
        fit = max(1, min(cause.most, sum(state.card is not None for _, state in self._beside(rank))))
        reason = f"{cause.text}; set slots={fit} for {self.comm.hosts[rank]} in the hostfile"
        self.state.ranks[rank].lost = self.state.ranks[rank].lost.removesuffix(KILLED) + reason
        self.log.event("killed_for_memory", rank=rank, detail=f"rank {rank}: {reason}")

    def _introduce(self, rank: int, introduction: Card | str) -> None:
        state, now = self.state.ranks[rank], self.clock()
        if isinstance(introduction, str):
            state.trouble = introduction
            self.log.event("device_refused", rank=rank, reason=introduction)
            return
        state.card, state.since = introduction, now
        self.log.event("device_ready", **vars(introduction))
        if self.scheduler.admission:
            delay = profile(introduction.device_kind).delay
            self.scheduler.admission.join(rank, introduction.host, delay)
        for event in self.scheduler.join(rank, introduction.weight, now):
            self._note(event)
        self._idle.add(rank)

    def _listen(self) -> bool:
        busy = False
        # Where the disk is slower than ranks answer there is always another message: limits, requests and root's own device
        # would wait for ever.
        for _ in range(self.comm.size):
            if (message := self.comm.poll()) is None:
                break
            busy = True
            if message.tag in (Tag.READY, Tag.UNREADY):
                self._introduce(message.source, message.content)
            elif message.tag in (Tag.RESULT, Tag.FAILED):
                self._finished(message.source, message.content)
            elif message.tag is Tag.LOST:
                self._lose(message.source, message.content)
            elif message.tag is Tag.WHY:
                self._explain(*message.content)
        if self._worker and (done := self._worker.take()):
            busy = True
            self._finished(0, done)
        return busy

    def _rest(self) -> None:
        """Sleep for a moment, or until root's own device is through with a chunk."""
        # Speeds are known to some percent.
        due = [lease.issued + 0.95 * (lease.expected_seconds or 0.0) for lease in self._leases.values() if lease.rank]
        nap = min(LULL, max(NAP, min(due, default=self.clock() + LULL) - self.clock()))
        if self._worker is None:
            time.sleep(nap)
        elif done := self._worker.take(nap):
            self._finished(0, done)

    def _finished(self, rank: int, done: Finished) -> None:
        now, state, card = self.clock(), self.state.ranks[rank], self.state.ranks[rank].card
        assert card is not None
        lease, events = self._leases.pop(done.lease), list[Event]()
        state.seconds += done.seconds + sum(answer.seconds for answer in done.answers)
        state.given = None
        if done.memory:
            self.state.memory[card.host] = done.memory
        reason = done.error or self._check(lease, done.hits)
        if self._auditor and (reason or rank in self._convicted):
            self._auditor.dropped(lease)
        if lease.id < 0:
            self._hear(lease, card, done if not reason else None, (), now)
        elif rank in self._convicted:
            # Whatever it says, nobody listens any more.
            events = self.scheduler.dismissed(rank, done.lease, now)
            self.log.ended(lease, "withdrawn", done, self._convicted[rank])
        elif reason:
            state.failed += 1
            events = self.scheduler.failed(rank, done.lease, reason, now, done.blame)
            self.log.ended(lease, "failed", done, reason)
        elif done.hits is not None:
            accepted, events = self.scheduler.done(rank, done.lease, done.seconds, now)
            # The device goes on while its result is judged, and the disk takes it.
            self._go_on(rank, now)
            self._hear(lease, card, done, ((lease.start, lease.stop),) if accepted else (), now)
            if rank in self._convicted:
                self.log.ended(lease, "withdrawn", done, self._convicted[rank])
            else:
                self._take(lease, card, done, accepted)
        for event in events:
            self._note(event)
        self._go_on(rank, now)

    def _hear(
        self, lease: Lease, card: Card, done: Finished | None, taken: tuple[tuple[int, int], ...], now: float
    ) -> None:
        """Have a result judged. taken: its range, if that counts as done, though the log does not have it yet."""
        if self._auditor is None or done is None or card.rank in self._convicted:
            return
        alone = not set(self.scheduler.live) - {card.rank}
        convictions = self._auditor.heard(lease, card, done, alone)
        self._convict([replace(c, ranges=(*c.ranges, *taken)) if c.rank == card.rank else c for c in convictions], now)
        self.state.ranks[card.rank].audits += len(done.answers) if card.rank not in self._convicted else 0

    def _take(self, lease: Lease, card: Card, done: Finished, accepted: bool) -> None:
        """Put a result where it stays."""
        state = self.state.ranks[card.rank]
        # A dropped copy goes to the ledger as well, which holds it against the one it has.
        self.log.commit(lease, card, done)
        if accepted:
            state.chunks += 1
            state.retried += lease.attempt > 1
            state.seeds += lease.seeds
            found = len(done.hits) if isinstance(done.hits, np.ndarray) else 0
            state.hits += found
            self.state.hits += found

    def _go_on(self, rank: int, now: float) -> None:
        """A rank that has nothing to do, unless it was set aside, gets what there is."""
        if rank in self.scheduler.live and self.state.ranks[rank].given is None:
            self._idle.add(rank)
            self._hand_out(now)

    def _close(self, now: float) -> bool:
        """When all is searched every device is checked a last time; whether that goes on or leaves something to do."""
        if self._auditor is None:
            return False
        if ranges := self._auditor.doubted():
            for event in self.scheduler.again(ranges, now):
                self._note(event)
            return True
        if self._deadline is None:
            self._deadline = now + CLOSING
        for rank in sorted(self._idle & set(self.scheduler.live)):
            card = self.state.ranks[rank].card
            assert card is not None
            lease, probes = self._auditor.closing(-1 - self._closings, card)
            if lease is not None:
                self._closings += 1
                self._give(rank, lease, (lease.start, lease.start), probes, now)
        if now < self._deadline and any(number < 0 for number in self._leases):
            return True
        self._deadline = None
        return self._settle(now)

    def _settle(self, now: float) -> bool:
        """Judge what no result will bring to an end; whether that leaves something to do."""
        return self._convict(self._auditor.settle(), now) if self._auditor else False

    def _convict(self, convictions: list[Conviction], now: float) -> bool:
        """Ranks are no longer believed: what they did is to be done again. Whether there was one."""
        for c in convictions:
            self._convicted[c.rank] = c.reason
            self._idle.discard(c.rank)
            state = self.state.ranks[c.rank]
            state.hits, self.state.hits = state.hits - c.hits, self.state.hits - c.hits
            state.chunks, state.failed = max(0, state.chunks - len(c.ranges)), state.failed + len(c.ranges)
            for event in self.scheduler.convict(c.rank, c.ranges, c.reason, now):
                self._note(event)
        return bool(convictions)

    def _hand_out(self, now: float) -> bool:
        if not self.scheduler.available:
            return False
        busy = False
        for rank in sorted(self._idle):
            if rank not in self.scheduler.live:
                self._idle.discard(rank)
                continue
            lease = self.scheduler.next(rank, now)
            if lease is None:
                continue
            busy = True
            card = self.state.ranks[rank].card
            assert card is not None
            self.log.issued(lease, card)
            probes = self._auditor.attach(lease, card) if self._auditor else ()
            self._give(rank, lease, self._told(lease), probes, now)
        return busy

    def _give(self, rank: int, lease: Lease, told: tuple[Any, Any], probes: tuple[Any, ...], now: float) -> None:
        self._idle.discard(rank)
        self._leases[lease.id] = lease
        self.state.ranks[rank].given = now
        chunk = (lease.id, *told, *((probes,) if probes else ()))
        if rank == 0 and self._worker:
            self._worker.submit(*chunk)
        else:
            self.comm.send(rank, Tag.CHUNK, chunk)

    def _note(self, event: Event) -> None:
        self.state.events.append(event)
        if event.kind in ("expired", "lost") and event.lease:
            self.log.ended(event.lease, event.kind, None, event.detail)
            if self._auditor:
                self._auditor.dropped(event.lease)
        if event.kind == "set_aside":
            self.state.ranks[event.rank].trouble = event.detail
        self.log.event(event.kind, rank=event.rank, detail=event.detail)
