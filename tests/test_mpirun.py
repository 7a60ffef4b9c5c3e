"""The sieve under mpirun, started as a user does: same result for any ranks, faults and kills; every end is orderly."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import campaign
from prng_mpi.ledger import Ledger
from support import (
    INJECT,
    SEEDS,
    Ended,
    Run,
    assert_same,
    done_chunks,
    endless,
    events,
    run_sieve,
    searching,
    small,
    until,
    write_draws,
)


@pytest.mark.parametrize(
    ("np_", "more"),
    [
        (1, ("--chunk-seconds", 0.1)),
        (2, ("--chunk-seconds", 0.1)),
        (2, ("--chunk-seconds", 0.002)),
        (4, ("--chunk-seconds", 0.01)),
        (4, ("--chunk-seconds", 1)),
        (None, ("--device", "emulated", "--chunk-seconds", 1)),
        (2, ("--device", "emulated", "--chunk-seconds", 0.1)),
    ],
)
def test_same_payload_for_any_ranks_chunks_and_device(
    np_: int | None, more: tuple[object, ...], calm: tuple[Ended, Any], tmp_path: Path
) -> None:
    ended = run_sieve(small(tmp_path, "run", *more), np_, patch=INJECT)
    assert_same(ended, tmp_path / "run", calm)
    assert ended.complaints == []
    with Ledger.peek(tmp_path / "run" / "ledger.sqlite") as ledger:
        chunks = ledger.chunks()
    assert {chunk.rank for chunk in chunks} == set(range(np_ or 1))
    assert sum(chunk.hits for chunk in chunks) == len(calm[1])


def test_planted_seed_on_two_ranks(tmp_path: Path) -> None:
    # new java.util.Random(20240229).nextInt(1000), forty times.
    state, planted = (20240229 ^ 0x5DEECE66D) & (2**48 - 1), []
    while len(planted) < 60:
        state = (state * 0x5DEECE66D + 0xB) & (2**48 - 1)
        planted.append((state >> 17) % 1000)
    draws = write_draws(tmp_path, planted[:40])
    ended = run_sieve(
        ["--draws", draws, "--recipe", "java.nextInt", "--seed-end", 2**25, "--output-dir", tmp_path / "run"], np=2
    )
    assert (ended.code, ended.summary["verdict"]) == (0, "found")
    assert ended.summary["best"]["seed"] == 20240229
    assert ended.summary["best"]["next_outputs"] == planted[40:]
    assert "FOUND" in ended.stdout and "20240229" in ended.stdout


def test_killed_four_times(tmp_path: Path) -> None:
    outcome = campaign.campaign(tmp_path, kills=4, seed=11, np=2, seeds=2**25)
    assert sum(outcome.killed.values()) == 4
    assert outcome.killed["searching"] >= 1


# -- devices that fail ------------------------------------------------------------------------------------------------


def test_exception_on_one_rank_costs_a_retry(calm: tuple[Ended, Any], tmp_path: Path) -> None:
    patch = INJECT + "def wrong(calls):\n    if rank == 1 and calls == 2: raise RuntimeError('injected')"
    ended = run_sieve(small(tmp_path, "run"), np=2, patch=patch)
    assert_same(ended, tmp_path / "run", calm)
    with Ledger.peek(tmp_path / "run" / "ledger.sqlite") as ledger:
        (failed,) = (attempt for attempt in ledger.attempts() if attempt.outcome == "failed")
        again = [attempt for attempt in ledger.attempts() if attempt.start == failed.start and attempt != failed]
    assert (failed.rank, failed.reason) == (1, "RuntimeError: injected")
    assert [(attempt.rank, attempt.attempt, attempt.outcome) for attempt in again] == [(0, 2, "done")]
    assert ended.summary["refused"] == []


def test_rank_that_always_fails_is_set_aside(calm: tuple[Ended, Any], tmp_path: Path) -> None:
    patch = INJECT + "def wrong(calls):\n    if rank == 1: raise RuntimeError('injected')"
    ended = run_sieve(small(tmp_path, "run"), np=2, patch=patch)
    assert_same(ended, tmp_path / "run", calm)
    assert "rank 1 failed 3 chunks" in ended.stdout
    assert [event["rank"] for event in events(tmp_path / "run") if event["kind"] == "set_aside"] == [1]
    (refused,) = ended.summary["refused"]
    assert "rank 1" in refused


def test_all_ranks_always_fail(tmp_path: Path) -> None:
    ended = run_sieve(
        small(tmp_path, "run"), np=2, patch=INJECT + "def wrong(calls):\n    raise RuntimeError('injected')"
    )
    # Either chunk after chunk is parked, or the last device is set aside; never a search that counts as done.
    assert ended.code in (6, 7), ended.stderr
    assert ended.summary["seeds_done"] == 0
    assert ended.summary["gaps"] == [[0, SEEDS]]


def test_rank_that_hangs_is_not_waited_for(calm: tuple[Ended, Any], tmp_path: Path) -> None:
    patch = INJECT + "def wrong(calls):\n    if rank == 1 and calls == 2: time.sleep(600)"
    ended = run_sieve(small(tmp_path, "run", "--lease-margin", 1), np=2, patch=patch, timeout=30)
    assert_same(ended, tmp_path / "run", calm)
    assert len(ended.complaints) == 1 and "never answered" in ended.complaints[0]
    assert "expired" in {event["kind"] for event in events(tmp_path / "run")}


@pytest.mark.parametrize("ranks", ["{1}", "{0}", "{0, 1}"])
def test_device_that_computes_wrongly_is_not_used(ranks: str, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    patch = f"""
from prng_mpi.comm import launched
from prng_mpi.devices.cpu import CpuDevice
honest = CpuDevice._outputs
def bent(self, *arguments):
    return honest(self, *arguments) ^ (self.kind == "cpu" and launched()[0] in {ranks})
CpuDevice._outputs = bent
"""
    ended = run_sieve(small(tmp_path, "run"), np=2, patch=patch)
    bad = sorted(eval(ranks))
    assert [text.split(" on ")[0] for text in ended.summary["refused"]] == [f"rank {rank}" for rank in bad]
    assert all("java.nextInt wrongly: seed 42" in text for text in ended.summary["refused"])
    if len(bad) == 1:
        assert_same(ended, tmp_path / "run", calm)
        return
    assert (ended.code, len(ended.complaints), ended.summary["seeds_done"]) == (7, 1, 0)
    assert "wrongly: seed 42" in ended.complaints[0]


def test_survivors_that_the_plain_build_denies_are_no_result(tmp_path: Path) -> None:
    patch = """
import numpy as np
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.records import HIT
honest = CpuDevice.sieve
def inventive(self, search, start, stop, stopped=lambda: False):
    hits = honest(self, search, start, stop, stopped)
    return hits if stop - start < 500 else np.concatenate([hits, np.array([(stop - 1, 0, 0, 0, 8)], HIT)])
CpuDevice.sieve = inventive
"""
    ended = run_sieve(small(tmp_path, "run", "--audit-share", 0), np=2, patch=patch)
    assert ended.code == 9
    assert len(ended.complaints) == 1 and "computed wrongly" in ended.complaints[0]
    assert ended.summary == {}
    assert not (tmp_path / "run" / "results.h5").exists()
    assert events(tmp_path / "run")[-1]["kind"] == "final"


# Whatever breaks outside a device's work ends the job, and soon: each is patched into every rank.
BROKEN = {
    "rank 1 serves": "def serve(*_, **__): raise RuntimeError('injected')\nsieve.serve = serve",
    "root shows": "def show(*_): raise RuntimeError('injected')\nsieve.Display.show = show",
}


@pytest.mark.parametrize("what", ["rank 1 serves", "root shows"])
def test_exception_outside_the_work_ends_the_job(what: str, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    ended = run_sieve(small(tmp_path, "run"), np=2, patch=BROKEN[what], timeout=20)
    assert ended.code == 3, ended.stderr
    assert "RuntimeError: injected" in ended.stderr
    assert len(ended.complaints) == 1 and "resumes" in ended.complaints[0]
    assert_same(run_sieve(small(tmp_path, "run"), np=2), tmp_path / "run", calm)


def test_rank_killed_from_outside_ends_the_job_resumable(tmp_path: Path) -> None:
    assert run_sieve(endless(tmp_path, "--time-limit", 0.5), np=2).summary["seeds_done"] > 0
    chunks = len(done_chunks(tmp_path / "run"))
    with Run(endless(tmp_path), np=2) as run:
        until(lambda: searching(tmp_path / "run", chunks + 2), 30, "no search")
        os.kill(run.rank(1), signal.SIGKILL)
        ended = run.wait(20)
        until(lambda: not run.processes(), 10, "ranks live on")
    # Neither of the codes of a search that is through, and no summary that speaks for an earlier run.
    assert ended.code not in (0, 1)
    assert ended.summary == {}
    again = run_sieve(endless(tmp_path, "--time-limit", 0.5), np=2)
    assert again.code == 4, again.stderr


# -- ends that people ask for -------------------------------------------------------------------------------------------


def test_time_limit_stops_and_the_same_command_goes_on(tmp_path: Path) -> None:
    done = 0
    for attempt in range(2):
        ended = run_sieve(endless(tmp_path, "--time-limit", 1), np=2)
        assert (ended.code, ended.summary["end"]) == (4, "time limit"), ended.stderr
        assert ended.summary["seeds_done"] > done
        assert sum(stop - start for start, stop in ended.summary["gaps"]) == 2**32 - ended.summary["seeds_done"]
        assert ended.summary["wall_seconds"] < 3
        assert ("resumed" in ended.stdout) == (attempt == 1)
        assert events(tmp_path / "run")[-1]["exit_code"] == 4
        done = ended.summary["seeds_done"]


@pytest.mark.parametrize(("np_", "number"), [(None, signal.SIGINT), (2, signal.SIGUSR1), (2, signal.SIGINT)])
def test_first_request_finishes_what_runs(np_: int | None, number: signal.Signals, tmp_path: Path) -> None:
    with Run(endless(tmp_path), np=np_) as run:
        os.kill(until(lambda: searching(tmp_path / "run"), 30, "no search"), number)
        ended = run.wait(20)
    assert (ended.code, ended.summary["end"]) == (5, "drained"), ended.stderr
    with Ledger.peek(tmp_path / "run" / "ledger.sqlite") as ledger:
        assert {attempt.outcome for attempt in ledger.attempts()} == {"done"}
        assert ledger.seeds_done() == ended.summary["seeds_done"] > 0
    again = run_sieve(endless(tmp_path, "--time-limit", 0.5), np_)
    assert (again.code, again.summary["seeds_done"] > ended.summary["seeds_done"]) == (4, True)


def stuck(folder: Path) -> bool:
    """Whether some chunk has been computed for half a second."""
    with Ledger.peek(folder / "ledger.sqlite") as view:
        return any(a.outcome is None and a.issued < time.time() - 0.5 for a in view.attempts())


@pytest.mark.parametrize("np_", [None, 2])
def test_second_request_stops_at_once(np_: int | None, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    patch = INJECT + "def wrong(calls):\n    if calls > 2: time.sleep(600)"
    with Run(small(tmp_path, "run"), np_, patch) as run:
        root = until(lambda: searching(tmp_path / "run", 2), 30, "no search")
        until(lambda: stuck(tmp_path / "run"), 10, "no chunk takes long")
        os.kill(root, signal.SIGINT)
        until(lambda: "drain" in {event["kind"] for event in events(tmp_path / "run")}, 10, "the request is not heard")
        time.sleep(0.7)
        assert run.process.poll() is None
        os.kill(root, signal.SIGINT)
        ended = run.wait(10)
    assert (ended.code, ended.summary) == (3, {})
    last = events(tmp_path / "run")[-1]
    assert (last["kind"], last["exit_code"]) == ("final", 3)
    with Ledger.peek(tmp_path / "run" / "ledger.sqlite") as ledger:
        done = ledger.seeds_done()
        assert {attempt.outcome for attempt in ledger.attempts()} == {"done", "lost"}
    assert 0 < done < SEEDS
    assert_same(run_sieve(small(tmp_path, "run"), np_), tmp_path / "run", calm)
