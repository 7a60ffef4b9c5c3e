"""What ranks say to each other: mpirun -np 2 python -m pytest --only-mpi tests/test_mpi.py, and again with 4."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prng_mpi import segment
from prng_mpi.comm import Comm, Tag
from prng_mpi.farm import Card, End, Farm, Finished, serve
from prng_mpi.records import HIT
from prng_mpi.scheduler import Lease, Policy, Scheduler
from prng_mpi.startup import in_turn
from support import until

pytestmark = pytest.mark.mpi(min_size=2)


@pytest.fixture(scope="module")
def whole_job() -> Comm:
    return Comm()


@pytest.fixture
def comm(whole_job: Comm) -> Iterator[Comm]:
    """The job's connection; what a test leaves unread is no concern of the next one."""
    from mpi4py import MPI

    MPI.COMM_WORLD.Barrier()
    yield whole_job
    MPI.COMM_WORLD.Barrier()
    # On one host everything sent before the barrier arrives in a moment.
    quiet = time.monotonic() + 0.05
    while time.monotonic() < quiet:
        if whole_job.poll():
            quiet = time.monotonic() + 0.05
    MPI.COMM_WORLD.Barrier()


def gather(content: Any) -> list[Any]:
    """What every rank gives, on every rank."""
    from mpi4py import MPI

    everyone: list[Any] = MPI.COMM_WORLD.allgather(content)
    return everyone


def wait_for(comm: Comm, source: int | None = None, tag: Tag | None = None) -> Any:
    return until(lambda: comm.poll(source, tag), 20, f"nothing from {source} with {tag}")


def test_place_of_each_rank(comm: Comm) -> None:
    assert gather(comm.rank) == list(range(comm.size))
    # All of these tests run on one host.
    assert comm.local_ranks == list(range(comm.size))
    assert comm.local_rank == comm.rank
    assert len(set(gather(comm.host))) == 1


def test_everyone_has_what_root_has(comm: Comm) -> None:
    content = {"draws": np.arange(1000, dtype=np.uint32), "name": "java.nextInt"} if comm.rank == 0 else None
    got = comm.bcast(content)
    assert (got["name"], int(got["draws"].sum())) == ("java.nextInt", 499500)


@pytest.mark.parametrize("refused", ["", "attach", "make"])
def test_large_inputs_are_held_once_on_a_host(
    refused: str, comm: Comm, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def closed(*_: Any) -> Any:
        raise PermissionError("not here")

    if refused:
        monkeypatch.setattr(segment, refused, closed)
    monkeypatch.setattr(segment, "PIECE", 1 << 20)
    draws = np.arange(700_000, dtype=np.uint32) * np.uint32(2654435761)
    grid = np.arange(400_000, dtype=np.float64).reshape(1000, 400).T
    content = {"draws": draws, "grid": grid, "few": np.arange(9), "name": "java.nextInt"}
    got = comm.bcast(content if comm.rank == 0 else None)
    assert (got["name"], got["few"].tolist()) == ("java.nextInt", list(range(9)))
    assert (got["draws"] == draws).all() and (got["grid"] == grid).all() and got["grid"].shape == (400, 1000)
    assert got["few"].flags.writeable and not got["draws"].flags.writeable and not got["grid"].flags.writeable
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:prng_mpi" in line]
    # It has no name that could be left behind.
    assert all(words[-1] == "(deleted)" for words in maps)
    inodes = gather({(device, inode) for _, _, _, device, inode, *_ in maps})
    said = capfd.readouterr().err
    if refused:
        # Root alone has mapped what root made, if it could.
        assert bool(inodes[0]) == (refused == "attach") and not set.union(*inodes[1:])
        assert ("has its own copy of the inputs, 6 MB: " in said and "not here" in said) == (comm.rank > 0)
    else:
        assert len(set.union(*inodes)) == 1
        assert said == ""


def test_messages_of_any_size_arrive_once_and_in_order(comm: Comm) -> None:
    others = [rank for rank in range(comm.size) if rank != comm.rank]
    hits = np.zeros(200_000, HIT)
    hits["seed"] = comm.rank
    for other in others:
        comm.send(other, Tag.CHUNK, (comm.rank, "first"))
        comm.send(other, Tag.RESULT, hits)
        comm.send(other, Tag.CHUNK, (comm.rank, "second"))
    for other in others:
        result = wait_for(comm, other, Tag.RESULT)
        assert (result.source, result.tag, len(result.content)) == (other, Tag.RESULT, 200_000)
        assert (result.content["seed"] == other).all()
        assert wait_for(comm, other).content == (other, "first")
        assert wait_for(comm, tag=Tag.CHUNK, source=other).content == (other, "second")
        assert comm.poll(other) is None


def test_poll_leaves_other_messages_alone(comm: Comm) -> None:
    if comm.rank == 1:
        comm.send(0, Tag.TOKEN)
        comm.send(0, Tag.READY, "here")
    if comm.rank == 0:
        assert wait_for(comm, 1, Tag.READY).content == "here"
        assert comm.poll(1, Tag.READY) is None
        assert comm.poll(1, Tag.TOKEN) is not None


def timed(work: Callable[[], Any] = lambda: None, seconds: float = 0.1) -> Callable[[], tuple[float, float]]:
    """Work that takes so long and says when it began and ended, by the clock that all ranks of a host share."""

    def run() -> tuple[float, float]:
        began = time.monotonic()
        work()
        time.sleep(seconds)
        return began, time.monotonic()

    return run


def test_devices_start_one_after_another(comm: Comm) -> None:
    span, lost = in_turn(comm, timed(), delay=0.15, timeout=20)
    spans = gather(span)
    assert gather(lost) == [False] * comm.size
    for before, after in itertools.pairwise(spans):
        assert after[0] - before[1] >= 0.15


def test_device_that_fails_passes_the_token_on(comm: Comm) -> None:
    def work() -> tuple[float, float]:
        if comm.rank == 0:
            raise RuntimeError("no GPU answers")
        return timed()()

    began, answer = time.monotonic(), None
    try:
        answer = in_turn(comm, work, delay=0.05, timeout=20)
    except RuntimeError:
        assert comm.rank == 0
    assert gather(answer and answer[1]) == [None] + [False] * (comm.size - 1)
    assert time.monotonic() - began < 10


def test_lost_token_is_replaced(comm: Comm) -> None:
    # The first rank hangs: it neither starts nor passes.
    began = time.monotonic()
    answer = in_turn(comm, timed(seconds=0.02), delay=0.02, timeout=0.5) if comm.rank else None
    lost = gather(answer and answer[1])
    assert lost == [None, True] + [False] * (comm.size - 2)
    spans = gather(answer and answer[0])[1:]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    if comm.rank:
        assert spans[0][0] - began >= 0.4


class Count:
    """A farm's log that keeps who did what."""

    def __init__(self) -> None:
        self.done: list[tuple[int, int, int]] = []
        self.seeds: list[int] = []
        self.endings: list[tuple[int, str, str]] = []

    def issued(self, lease: Lease, card: Card) -> None:
        pass

    def commit(self, lease: Lease, card: Card, finished: Finished) -> None:
        assert finished.hits is not None
        self.done.append((lease.start, lease.stop, lease.rank))
        self.seeds += [int(seed) for seed in finished.hits["seed"]]

    def ended(self, lease: Lease, outcome: str, finished: Finished | None, reason: str) -> None:
        self.endings.append((lease.rank, outcome, reason))

    def event(self, kind: str, **fields: Any) -> None:
        pass


@pytest.mark.parametrize("failing", [False, True])
def test_farm_covers_each_seed_once(comm: Comm, failing: bool) -> None:
    seeds, calls = 200_000, [0]

    def compute(start: int, stop: int, stopped: Callable[[], bool]) -> Any:
        calls[0] += 1
        if failing and comm.rank == 1 and calls[0] == 2:
            raise RuntimeError("injected")
        time.sleep((stop - start) / 200_000)
        hits = np.zeros(len(range(-start % 100, stop - start, 100)), HIT)
        hits["seed"] = np.arange(start + -start % 100, stop, 100)
        return hits

    card = Card(comm.rank, comm.host, "cpu", "toy", "test", 1.0)
    if comm.rank:
        serve(comm, compute, card)
    else:
        log = Count()
        policy = Policy(chunk_seconds=0.05, tail_seconds=0.01, backoff=0.05)
        farm = Farm(comm, Scheduler([(0, seeds)], policy), log, lambda state: None, lambda: 0)
        assert farm.lead(compute, card, None, 20) is End.COMPLETE
        assert farm.dismiss()
        at = 0
        for start, stop, _ in sorted(log.done):
            assert start == at
            at = stop
        assert at == seeds
        assert sorted(log.seeds) == list(range(0, seeds, 100))
        assert {rank for _, _, rank in log.done} == set(range(comm.size))
        assert log.endings == ([(1, "failed", "RuntimeError: injected")] if failing else [])
    assert gather(calls[0] > 0) == [True] * comm.size
