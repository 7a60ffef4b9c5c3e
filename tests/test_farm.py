"""The farm, its workers and the start-up token, with messages and time that the tests make."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from prng_mpi import farm
from prng_mpi.comm import KILLED, Message, Tag
from prng_mpi.errors import DeviceError
from prng_mpi.farm import Card, End, Farm, Finished, Worker, WorkFailed, serve
from prng_mpi.memory import Cause
from prng_mpi.records import HIT
from prng_mpi.scheduler import Lease, Policy, Scheduler
from prng_mpi.startup import Load, in_turn
from support import until

SEEDS = 100_000
# Every seed that this divides is a survivor.
EVERY = 1000


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def hits(start: int, stop: int) -> Any:
    seeds = np.arange(-(-start // EVERY) * EVERY, stop, EVERY)
    found = np.zeros(len(seeds), HIT)
    found["seed"] = seeds
    return found


def compute(start: int, stop: int, stopped: Callable[[], bool]) -> Any:
    return None if stopped() else hits(start, stop)


def card(rank: int, weight: float = 1.0) -> Card:
    return Card(rank, "host", "cpu", f"device {rank}", "asked", weight)


# What a rank makes of a chunk: seconds until it answers, hits or None, and why not; None: it never answers.
Answer = tuple[float, Any, str | None] | None


def honest(speed: float) -> Callable[[int, int], Answer]:
    return lambda start, stop: ((stop - start) / speed, hits(start, stop), None)


@dataclass
class Rank:
    """A rank of the fake job: when it reports (None: never), what it says, how it answers each chunk, when it is killed."""

    answer: Callable[[int, int], Answer] = field(default_factory=lambda: honest(10_000))
    ready: float | None = 0.0
    refusal: str = ""
    lost: float | None = None
    host: str = "host"
    cause: Cause = field(default_factory=lambda: Cause("killed by signal 9 (no sign of the OOM killer)"))


class FakeComm:
    """Root's end of a job whose other ranks are scripts."""

    rank = 0

    def __init__(self, clock: Clock, ranks: list[Rank]) -> None:
        self.clock, self.ranks = clock, ranks
        self.size = len(ranks) + 1
        self.chunks: list[tuple[float, int, int, int]] = []
        self.stopped: list[int] = []
        self.asked: list[tuple[int, int, int]] = []
        self.hosts = ["root's", *(rank.host for rank in ranks)]
        self.pids = {number: 1000 + number for number in range(1, self.size)}
        self._due: list[tuple[float, int, Message]] = []
        for number, rank in enumerate(ranks, 1):
            if rank.ready is not None:
                tag = Tag.UNREADY if rank.refusal else Tag.READY
                self._post(rank.ready, Message(number, tag, rank.refusal or card(number)))
            if rank.lost is not None:
                self._post(rank.lost, Message(number, Tag.LOST, KILLED))

    def name(self, rank: int) -> str:
        return f"rank {rank} on host"

    def _post(self, due: float, message: Message) -> None:
        self._due.append((due, len(self._due), message))
        self._due.sort(key=lambda entry: entry[:2])

    def send(self, dest: int, tag: Tag, content: Any = None) -> None:
        if tag is Tag.STOP:
            self.stopped.append(dest)
            return
        if tag is Tag.WHY:
            rank, pid = content
            self.asked.append((dest, rank, pid))
            self._post(self.clock() + 0.01, Message(dest, tag, (rank, self.ranks[rank - 1].cause)))
            return
        assert tag is Tag.CHUNK
        lease, start, stop = content
        self.chunks.append((self.clock(), dest, start, stop))
        answer = self.ranks[dest - 1].answer(start, stop)
        lost = self.ranks[dest - 1].lost
        if answer is not None and (lost is None or self.clock() + answer[0] < lost):
            seconds, found, error = answer
            # Work that failed by itself brings something along, a device that failed brings nothing.
            done = Finished(lease, found, seconds, error, blame=not (error and found is not None))
            message = Message(dest, Tag.FAILED if error else Tag.RESULT, done)
            self._post(self.clock() + seconds, message)

    def poll(self, source: int | None = None, tag: Tag | None = None) -> Message | None:
        return self._due.pop(0)[2] if self._due and self._due[0][0] <= self.clock() else None


class Record:
    """The log of a farm, kept in lists; write: what a commit waits for."""

    def __init__(self, write: Callable[[], None] = lambda: None) -> None:
        self.write = write
        self.leases: list[Lease] = []
        self.committed: list[tuple[int, int, int]] = []
        self.seeds: list[int] = []
        self.endings: list[tuple[int, str, str]] = []
        self.kinds: list[str] = []

    def issued(self, lease: Lease, card: Card) -> None:
        assert card.rank == lease.rank
        self.leases.append(lease)

    def commit(self, lease: Lease, card: Card, finished: Finished) -> None:
        assert finished.hits is not None
        self.write()
        self.committed.append((lease.start, lease.stop, lease.rank))
        self.seeds += [int(seed) for seed in finished.hits["seed"]]

    def ended(self, lease: Lease, outcome: str, finished: Finished | None, reason: str) -> None:
        self.endings.append((lease.rank, outcome, reason))

    def event(self, kind: str, **fields: Any) -> None:
        self.kinds.append(kind)


@dataclass
class Job:
    """A farm that ran over scripts, and all that came of it."""

    farm: Farm
    comm: FakeComm
    log: Record
    end: End
    clock: Clock

    def covered(self) -> list[tuple[int, int]]:
        return sorted({(start, stop) for start, stop, _ in self.log.committed})

    def assert_all_once(self) -> None:
        at = 0
        for start, stop in self.covered():
            assert start == at
            at = stop
        assert at == SEEDS
        assert len(self.log.committed) == len(self.covered())
        assert sorted(self.log.seeds) == list(range(0, SEEDS, EVERY))


def lead(
    monkeypatch: pytest.MonkeyPatch,
    ranks: list[Rank],
    requests: Callable[[float], int] = lambda now: 0,
    limit: float | None = None,
    startup: float = 60.0,
    disk: float = 0.0,
    **policy: Any,
) -> Job:
    """Run a farm over scripts to its end. Root has no device of its own here. disk: seconds that a commit takes."""
    clock = Clock()
    monkeypatch.setattr(farm, "time", SimpleNamespace(sleep=clock.sleep))
    comm, log = FakeComm(clock, ranks), Record(lambda: clock.sleep(disk))
    scheduler = Scheduler([(0, SEEDS)], Policy(**{"lease_margin": 5.0, **policy}))
    one = Farm(comm, scheduler, log, lambda state: None, lambda: requests(clock()), clock)  # type: ignore[arg-type]
    end = one.lead(None, "root looks on", limit, startup)
    return Job(one, comm, log, end, clock)


def test_every_seed_is_searched_once_and_fast_ranks_get_more(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(honest(8000)), Rank(honest(2000)), Rank(honest(4000), ready=2.5)])
    job.assert_all_once()
    assert job.end is End.COMPLETE
    # The best that these speeds allow is 8.6 s.
    assert job.clock() < 10
    states = job.farm.state.ranks
    assert states[1].seeds > 2.5 * states[2].seeds > 0
    assert sum(states[rank].seeds for rank in (1, 2, 3)) == SEEDS
    assert sum(states[rank].hits for rank in (1, 2, 3)) == job.farm.state.hits == SEEDS // EVERY
    assert all(states[rank].idle(job.clock()) < 0.1 for rank in (1, 2, 3))
    assert job.farm.dismiss()
    assert job.comm.stopped == [1, 2, 3]


def test_a_failed_chunk_is_done_by_another_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[int] = []

    def once(start: int, stop: int) -> Answer:
        if failed or start == 0:
            return honest(5000)(start, stop)
        failed.append(start)
        return 0.1, None, "out of memory"

    job = lead(monkeypatch, [Rank(once), Rank(honest(5000))], backoff=0.5)
    job.assert_all_once()
    assert job.end is End.COMPLETE
    assert job.log.endings == [(1, "failed", "out of memory")]
    assert [rank for start, _, rank in job.log.committed if start == failed[0]] == [2]
    assert (job.farm.state.ranks[1].failed, job.farm.state.ranks[1].trouble) == (1, "")


@pytest.mark.parametrize("stray", [lambda start, stop: start - 1, lambda start, stop: stop])
def test_a_seed_outside_its_chunk_is_a_failure_not_a_result(
    monkeypatch: pytest.MonkeyPatch, stray: Callable[[int, int], int]
) -> None:
    def liar(start: int, stop: int) -> Answer:
        found = np.zeros(1, HIT)
        found["seed"] = stray(start, stop) if start else stop
        return 0.1, found, None

    job = lead(monkeypatch, [Rank(liar), Rank(honest(5000))], backoff=0.1)
    job.assert_all_once()
    assert {rank for _, _, rank in job.log.committed} == {2}
    assert all("not in its chunk" in reason for _, _, reason in job.log.endings)
    assert "set_aside" in job.log.kinds


def test_a_result_without_hits_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(lambda start, stop: (0.1, None, None)), Rank(honest(5000))], backoff=0.1)
    job.assert_all_once()
    assert job.log.endings[0] == (1, "failed", "no result")


def test_a_silent_rank_loses_its_chunk_and_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(lambda start, stop: None), Rank(honest(5000))])
    job.assert_all_once()
    assert job.end is End.COMPLETE
    assert [(rank, outcome) for rank, outcome, _ in job.log.endings] == [(1, "expired")]
    assert job.farm.scheduler.silent == (1,)
    assert not job.farm.dismiss(patience=1)


def test_a_late_result_goes_to_the_ledger_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [True]

    def late(start: int, stop: int) -> Answer:
        if slow.pop() if slow else False:
            return 14.0, hits(start, stop), None
        return honest(2000)(start, stop)

    job = lead(monkeypatch, [Rank(late), Rank(honest(4000))], lease_margin=5.0)
    assert job.end is End.COMPLETE
    assert sum(stop - start for start, stop in job.covered()) == SEEDS
    first = [rank for start, _, rank in job.log.committed if start == job.comm.chunks[0][2]]
    assert sorted(first) == [1, 2]
    assert job.farm.state.hits == SEEDS // EVERY
    assert {"expired", "late_discarded"} <= set(job.log.kinds)
    # It was back, and worked on.
    assert job.farm.state.ranks[1].chunks > 0
    assert job.farm.dismiss()


def test_a_rank_that_fails_three_chunks_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(lambda start, stop: (0.1, None, "it burns")), Rank(honest(5000))], backoff=0.1)
    job.assert_all_once()
    assert [rank for _, rank, _, _ in job.comm.chunks].count(1) == 3
    assert "failed 3 chunks" in job.farm.state.ranks[1].trouble
    assert job.farm.dismiss()


def test_a_chunk_that_fails_everywhere_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    def trap(start: int, stop: int) -> Answer:
        return (0.1, None, "trapped") if start == 0 else honest(5000)(start, stop)

    job = lead(monkeypatch, [Rank(trap), Rank(trap)], backoff=0.1)
    assert job.end is End.GAPS
    ((start, stop, reasons),) = job.farm.scheduler.parked
    assert (start, len(reasons)) == (0, 2)
    assert job.covered()[0][0] == stop
    assert job.covered()[-1][1] == SEEDS


def test_work_that_fails_by_itself_costs_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(lambda start, stop: (0.1, [1], "bad work")), Rank(honest(5000))], backoff=0.1)
    assert job.end is End.COMPLETE and job.farm.scheduler.set_aside == {}
    job.assert_all_once()
    assert sum(rank == 1 for rank, _, _ in job.log.endings) > 3


def test_all_ranks_set_aside_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = [Rank(lambda start, stop: (0.1, None, "it burns")) for _ in range(2)]
    job = lead(monkeypatch, ranks, backoff=0.1)
    assert (job.end, job.log.committed) == (End.NO_DEVICE, [])
    assert all(job.farm.state.ranks[rank].trouble for rank in (1, 2))


def test_refused_devices_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(refusal="no GPU"), Rank(refusal="no GPU either", ready=3)], startup=100)
    assert job.end is End.NO_DEVICE
    assert 3 <= job.clock() < 4
    assert [job.farm.state.ranks[rank].trouble for rank in range(3)] == ["root looks on", "no GPU", "no GPU either"]
    assert job.log.kinds == ["device_refused"] * 3
    assert job.farm.dismiss()


def test_a_rank_that_starts_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(refusal="no GPU"), Rank(honest(50_000), ready=50)], startup=60)
    job.assert_all_once()
    assert (job.end, job.comm.chunks[0][0] >= 50) == (End.COMPLETE, True)


def test_a_rank_that_never_starts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(ready=None)], startup=60)
    assert job.end is End.NO_DEVICE
    assert 60 <= job.clock() < 61
    assert not job.farm.dismiss(patience=2)
    assert 62 <= job.clock() < 64
    # It may hear it after all.
    assert job.comm.stopped == [1]


def test_a_rank_that_starts_during_the_farewell_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(honest(50_000)), Rank(ready=12)])
    job.assert_all_once()
    assert job.clock() < 12
    assert job.farm.dismiss(patience=30)
    assert job.comm.stopped == [1, 2]
    assert [rank for _, rank, _, _ in job.comm.chunks].count(2) == 0


def test_rank_killed_for_memory_is_explained_by_one_of_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = Rank(honest(5000), lost=1.0, host="rig1", cause=Cause("killed by the OOM killer, rss 900 MB", 4))
    quiet = Rank(honest(5000), lost=1.5, host="rig1")
    # One that has no device of its own may know as well; who is alone on its host leaves no witness.
    ranks = [killed, quiet, Rank(honest(2000), host="rig1"), Rank(refusal="no GPU", host="rig1")]
    job = lead(monkeypatch, [*ranks, Rank(honest(5000), lost=1.0, host="rig2")])
    job.assert_all_once()
    assert job.comm.asked == [(4, 1, 1001), (4, 2, 1002)]
    lost = job.farm.lost
    # Two of its host compute on.
    assert lost[1].endswith("killed by the OOM killer, rss 900 MB; set slots=2 for rig1 in the hostfile")
    assert lost[2].endswith(KILLED) and lost[5].endswith(KILLED)
    assert job.log.kinds.count("killed_for_memory") == 1


def test_drain_finishes_what_runs_and_hands_out_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(honest(5000)), Rank(honest(2000))], requests=lambda now: int(now >= 3))
    assert job.end is End.DRAINED
    assert "drain" in job.log.kinds
    assert 0 < len(job.log.committed) == len(job.comm.chunks)
    assert all(when <= 3.01 for when, _, _, _ in job.comm.chunks)
    assert 3 <= job.clock() < 5
    assert 0 < job.farm.scheduler.seeds_done < SEEDS


def test_the_second_request_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = [Rank(honest(500)), Rank(honest(200))]
    job = lead(monkeypatch, ranks, requests=lambda now: int(now >= 0.5) + int(now >= 0.8))
    assert job.end is End.INTERRUPTED
    assert 0.8 <= job.clock() < 0.9
    assert len(job.log.committed) < len(job.comm.chunks)


def test_time_limit_finishes_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(honest(5000))], limit=4.0)
    assert job.end is End.TIME_LIMIT
    assert 4 <= job.clock() < 6
    assert len(job.log.committed) == len(job.comm.chunks)
    assert all(when <= 4.01 for when, _, _, _ in job.comm.chunks)
    # One that is not reached leaves no trace.
    assert lead(monkeypatch, [Rank(honest(5000))], limit=400.0).end is End.COMPLETE


@pytest.mark.parametrize("ranks", [1, 5])
def test_a_disk_slower_than_the_ranks_stops_nothing(ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = [Rank(honest(10_000)) for _ in range(ranks)]
    job = lead(
        monkeypatch,
        fast,
        limit=1.0,
        disk=0.1,
        chunk_seconds=0.01,
        max_chunk_seconds=0.01,
        tail_seconds=0.0,
        min_chunk=1,
    )
    assert job.end is End.TIME_LIMIT and job.clock() < 1 + 0.1 * 3 * ranks
    asked = lead(monkeypatch, fast, lambda now: now > 1, disk=0.1, chunk_seconds=0.01, tail_seconds=0.0, min_chunk=1)
    assert asked.end is End.DRAINED and asked.clock() < 1 + 0.1 * 3 * ranks


def test_nothing_to_do_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(farm, "time", SimpleNamespace(sleep=clock.sleep))
    comm = FakeComm(clock, [Rank()])
    one = Farm(comm, Scheduler([]), Record(), lambda state: None, lambda: 0, clock)  # type: ignore[arg-type]
    assert one.lead(None, "root looks on", None, 60) is End.COMPLETE
    assert (clock(), comm.chunks) == (0.0, [])


# -- a rank's own side ----------------------------------------------------------------------------------------------


def test_root_computes_too() -> None:
    log = Record()
    comm = SimpleNamespace(size=1, poll=lambda: None)
    one = Farm(comm, Scheduler([(0, SEEDS)]), log, lambda state: None, lambda: 0)  # type: ignore[arg-type]
    assert one.lead(compute, card(0), None, 10) is End.COMPLETE
    assert sorted(log.seeds) == list(range(0, SEEDS, EVERY))
    assert one.dismiss()


def take(worker: Worker) -> Finished:
    deadline = time.monotonic() + 10
    while (done := worker.take()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return done


def test_worker_rests_once_after_work_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(farm, "REST", 0.05)
    rests: list[float] = []

    def rest() -> None:
        rests.append(time.monotonic())
        if len(rests) == 2:
            raise OSError("not allowed")

    worker = Worker(compute, rest)
    time.sleep(0.2)
    # Who has done nothing has nothing to give back.
    assert rests == []
    for number, expected in ((0, 1), (1, 2), (2, 3)):
        worker.submit(number, 0, 10)
        assert take(worker).error is None
        until(lambda count=expected: len(rests) == count, 5, "no rest")  # type: ignore[misc]
        time.sleep(0.15)
        assert len(rests) == expected
    assert worker.stop()
    assert capsys.readouterr().err == "prng_mpi: memory was not given back: OSError: not allowed\n"


def test_worker_turns_every_exception_into_an_answer() -> None:
    def moody(start: int, stop: int, stopped: Callable[[], bool]) -> Any:
        if start == 1:
            raise DeviceError("the fan stands still")
        if start == 2:
            raise ZeroDivisionError("division by zero")
        if start == 4:
            raise WorkFailed("no such file", "what is left of it")
        return compute(start, stop, stopped)

    worker = Worker(moody)
    for lease, start in enumerate((1, 2, 3, 4)):
        worker.submit(lease, start, 5000)
    first, second, third, fourth = (take(worker) for _ in range(4))
    assert (first.lease, first.hits, first.error, first.blame) == (0, None, "the fan stands still", True)
    assert (second.lease, second.error, second.blame) == (1, "ZeroDivisionError: division by zero", True)
    assert (fourth.hits, fourth.error, fourth.blame) == ("what is left of it", "no such file", False)
    assert third.error is None
    assert third.hits is not None and list(third.hits["seed"]) == [1000, 2000, 3000, 4000]
    assert third.seconds >= 0
    # Whatever became of the work, root hears what memory its host has.
    assert min(each.memory for each in (first, second, third, fourth)) > 1e6
    assert worker.stop()


def test_worker_stops_between_slices() -> None:
    running = threading.Event()

    def endless(start: int, stop: int, stopped: Callable[[], bool]) -> Any:
        running.set()
        while not stopped():
            time.sleep(0.001)

    worker = Worker(endless)
    worker.submit(7, 0, SEEDS)
    assert running.wait(10)
    assert worker.stop()
    assert take(worker).error == "stopped"


def test_worker_that_hangs_is_told_apart() -> None:
    release = threading.Event()
    worker = Worker(lambda start, stop, stopped: release.wait(30))  # type: ignore[arg-type, return-value]
    worker.submit(0, 0, 1)
    assert not worker.stop(wait=0.1)
    release.set()


class Script:
    """A rank's end of a job: root's messages come as they are due, what is sent is kept."""

    rank = 1

    def __init__(self, *messages: tuple[Tag, Any]) -> None:
        self.todo = deque(messages)
        self.sent: list[tuple[int, Tag, Any]] = []
        self.open = 0

    def send(self, dest: int, tag: Tag, content: Any = None) -> None:
        self.sent.append((dest, tag, content))
        self.open -= tag in (Tag.RESULT, Tag.FAILED)

    def poll(self, source: int | None = None, tag: Tag | None = None) -> Message | None:
        # Root stops nobody who computes.
        if not self.todo or (self.open and self.todo[0][0] is Tag.STOP):
            return None
        self.open += self.todo[0][0] is Tag.CHUNK
        return Message(0, *self.todo.popleft())


def test_serve_introduces_itself_computes_and_stops() -> None:
    def moody(start: int, stop: int, stopped: Callable[[], bool]) -> Any:
        if start == 5000:
            raise DeviceError("the fan stands still")
        return compute(start, stop, stopped)

    comm = Script((Tag.CHUNK, (4, 0, 5000)), (Tag.CHUNK, (5, 5000, 9000)), (Tag.STOP, None))
    serve(comm, moody, card(1))  # type: ignore[arg-type]
    ready, result, failed = comm.sent
    assert ready == (0, Tag.READY, card(1))
    assert (result[0], result[1], result[2].lease) == (0, Tag.RESULT, 4)
    assert list(result[2].hits["seed"]) == [0, 1000, 2000, 3000, 4000]
    assert (failed[1], failed[2].lease, failed[2].error) == (Tag.FAILED, 5, "the fan stands still")


@pytest.mark.parametrize("given", [compute, None])
def test_serve_without_a_device_says_why_and_waits(given: Any) -> None:
    comm = Script((Tag.STOP, None))
    serve(comm, given, "no GPU")  # type: ignore[arg-type]
    assert comm.sent == [(0, Tag.UNREADY, "no GPU")]


# -- lost ranks -----------------------------------------------------------------------------------------------------


def test_a_lost_rank_costs_its_chunk_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(), Rank(lost=3.0)])
    job.assert_all_once()
    assert job.end is End.COMPLETE
    assert job.farm.lost == {2: "rank 2 on host (device 2): its process was killed"}
    assert [(rank, outcome) for rank, outcome, _ in job.log.endings] == [(2, "lost")]
    assert not [at for at, rank, _, _ in job.comm.chunks if rank == 2 and at > 3.0]
    assert job.farm.dismiss()


def test_a_rank_lost_while_it_starts_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(), Rank(ready=None, lost=1.0)], startup=1000)
    assert job.end is End.COMPLETE
    assert job.farm.lost == {2: "rank 2 on host (no device yet): its process was killed"}
    before = job.clock()
    assert job.farm.dismiss()
    assert job.clock() == before


def test_all_devices_lost_is_no_missing_device(monkeypatch: pytest.MonkeyPatch) -> None:
    job = lead(monkeypatch, [Rank(lost=2.0), Rank(lost=3.0)])
    assert job.end is End.LOST
    assert sum(stop - start for start, stop in job.covered()) < SEEDS


# -- start-up token -------------------------------------------------------------------------------------------------


class Host:
    """One rank's view of its host: tokens arrive at set times, and MPI reports ranks that are gone."""

    def __init__(
        self,
        clock: Clock,
        rank: int,
        ranks: list[int],
        tokens: dict[int, float] | None = None,
        gone: Collection[int] = (),
    ) -> None:
        self.clock, self.rank, self.local_ranks = clock, rank, ranks
        self.local_rank = ranks.index(rank)
        self.tokens, self.gone = tokens or {}, gone
        self.passed: list[tuple[float, int]] = []
        self.content: object = None

    def send(self, dest: int, tag: Tag, content: object = None) -> None:
        assert tag is Tag.TOKEN
        self.content = content
        self.passed.append((self.clock(), dest))

    def poll(self, source: int | None = None, tag: Tag | None = None) -> Message | None:
        assert source is not None and tag is Tag.TOKEN
        if source in self.gone:
            return Message(source, Tag.LOST, "its process was killed")
        if self.tokens.get(source, np.inf) > self.clock():
            return None
        del self.tokens[source]
        return Message(source, tag, self.content)


def start(host: Host, clock: Clock, work_seconds: float = 2.0, delay: float = 3.0, timeout: float = 10.0) -> Any:
    def work() -> float:
        began = clock()
        clock.sleep(work_seconds)
        return began

    return in_turn(host, work, delay, timeout, clock, clock.sleep)


def test_the_first_rank_of_a_host_starts_at_once_and_passes_on_after_the_delay() -> None:
    clock = Clock()
    host = Host(clock, 4, [4, 6, 9])
    assert start(host, clock) == (0.0, False)
    assert host.passed == [(5.0, 6), (5.0, 9)]


def test_a_rank_waits_for_the_token_and_the_last_passes_none() -> None:
    clock = Clock()
    host = Host(clock, 9, [4, 6, 9], {6: 7.0})
    began, lost = start(host, clock)
    assert (began, lost) == (pytest.approx(7.0, abs=0.01), False)
    # Nobody to pass it to, and no delay either.
    assert host.passed == []
    assert clock() == pytest.approx(9.0, abs=0.01)


def test_a_rank_that_is_gone_is_not_waited_for() -> None:
    clock = Clock()
    host = Host(clock, 9, [4, 6, 9, 11], {4: 1.0}, gone={6})
    assert start(host, clock) == (pytest.approx(1.0, abs=0.01), False)
    assert host.passed == [(pytest.approx(6.0, abs=0.01), 11)]


def test_all_before_are_gone() -> None:
    clock = Clock()
    assert start(Host(clock, 9, [4, 6, 9], gone={4, 6}), clock) == (0.0, False)


@pytest.mark.parametrize(("rank", "given_up"), [(6, 13.0), (9, 26.0), (11, 39.0)])
def test_a_lost_token_is_replaced_and_later_ranks_wait_longer(rank: int, given_up: float) -> None:
    clock = Clock()
    host = Host(clock, rank, [4, 6, 9, 11])
    began, lost = start(host, clock)
    assert (began, lost) == (pytest.approx(given_up, abs=0.01), True)
    assert [dest for _, dest in host.passed] == {6: [9, 11], 9: [11], 11: []}[rank]


def test_behind_a_hung_rank_the_others_still_start_one_after_another() -> None:
    """The first hangs for ever; the second replaces the token; each later one gets that one in time."""
    ranks, tokens, starts = [0, 1, 2, 3], dict[int, float](), []
    for rank in ranks[1:]:
        clock = Clock()
        host = Host(clock, rank, ranks, {rank - 1: tokens[rank]} if rank in tokens else {})
        starts.append(start(host, clock))
        tokens |= {dest: when for when, dest in host.passed}
    assert [lost for _, lost in starts] == [True, False, False]
    assert [began for began, _ in starts] == [pytest.approx(t, abs=0.05) for t in (13.0, 18.0, 23.0)]


def test_work_that_fails_passes_the_token_on() -> None:
    clock = Clock()
    host = Host(clock, 0, [0, 1])

    def work() -> None:
        raise DeviceError("no GPU answers")

    with pytest.raises(DeviceError, match="no GPU answers"):
        in_turn(host, work, 3.0, 10.0, clock, clock.sleep)
    assert host.passed == [(3.0, 1)]


def test_the_token_carries_what_each_rank_leaves() -> None:
    seen, content = list[Any](), None
    for rank in range(3):
        clock = Clock()
        host = Host(clock, rank, [0, 1, 2], {rank - 1: 1.0} if rank else {})
        host.content, load = content, Load(["own"])

        def work(load: Load = load) -> None:
            seen.append(list(load.content))
            load.content.append("more")

        in_turn(host, work, 3.0, 10.0, clock, clock.sleep, load)
        content = host.content
    assert seen == [["own"], ["own", "more"], ["own", "more", "more"]]
