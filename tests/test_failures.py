"""What may happen to a rank, on one host, under `mpirun --with-ft ulfm` as launch/env.sh starts it: docs/failures.md lists all.

A lost rank's seeds go to others and the result is that of an undisturbed run; nothing hangs; the reason is said."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import campaign
from prng_mpi.ledger import Ledger
from support import (
    INJECT,
    TOP,
    ULFM,
    Ended,
    Run,
    assert_same,
    done_chunks,
    endless,
    environment,
    events,
    mpirun,
    run_sieve,
    searching,
    small,
    uniform,
    until,
    write_draws,
)


def ulfm_missing() -> str:
    """Why this MPI can't do without a lost rank; empty if it can. Asked as launch/env.sh asks."""
    info = Path(mpirun()).with_name("ompi_info")
    found = shutil.which("ompi_info") if not info.exists() else str(info)
    told = subprocess.run([found], capture_output=True, text=True, check=False).stdout if found else ""
    return "" if "FT MPI support: yes" in told else "this MPI has no ULFM, so a killed rank ends the job"


needs_ulfm = pytest.mark.skipif(bool(ulfm_missing()), reason=ulfm_missing() or "-")
both_ways = pytest.mark.parametrize(
    "ulfm", [pytest.param(True, marks=needs_ulfm), pytest.param(False, marks=pytest.mark.slow)]
)
# Every rank's chunks take their time, so that a signal from outside hits a rank at work.
SLOWLY = INJECT + "def wrong(calls): time.sleep(0.02)\n"
HOST = re.escape(socket.gethostname())
NAMED = rf"rank 1 on {HOST} \(.+, \d+ lanes\): "


def slowly(tmp_path: Path, *more: object) -> list[object]:
    """The small search for ranks that are SLOWLY, in fewer chunks: a few seconds."""
    return small(tmp_path, "run", "--chunk-seconds", 0.1, *more)


def lost_ranks(folder: Path) -> list[int]:
    return [event["rank"] for event in events(folder) if event["kind"] == "lost"]


# -- exceptions ---------------------------------------------------------------------------------------------------------

BROKEN = {
    "while it serves": "from prng_mpi import farm\nhonest_take = farm.Worker.take\ndef take(self, *wait):\n"
    "    if rank == 1 and len(calls) > 1: raise RuntimeError('injected')\n    return honest_take(self, *wait)\nfarm.Worker.take = take",
    "at its start": "honest_bcast = comms.Comm.bcast\ndef bcast(self, content):\n    got = honest_bcast(self, content)\n"
    "    if self.rank == 1 and isinstance(got, tuple): raise RuntimeError('injected')\n    return got\ncomms.Comm.bcast = bcast",
}  # fmt: skip


@needs_ulfm
@pytest.mark.parametrize("when", BROKEN)
def test_exception_on_a_rank_costs_that_rank(when: str, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    patch = INJECT + "from prng_mpi import comm as comms\n" + BROKEN[when]
    ended = run_sieve(small(tmp_path, "run"), np=2, patch=patch, ulfm=True, timeout=30)
    assert_same(ended, tmp_path / "run", calm)
    device = r"\(.+, \d+ lanes\)" if when == "while it serves" else r"\(no device yet\)"
    said = rf"rank 1 on {HOST} {device}: RuntimeError: injected"
    (lost,) = ended.summary["lost"]
    assert re.match(said, lost)
    assert re.search(rf"^lost +{said}", ended.stdout, re.MULTILINE)
    assert re.search(said, "\n".join(ended.stderr.splitlines()[-5:]))


@pytest.mark.parametrize("ulfm", [pytest.param(True, marks=needs_ulfm), False])
def test_exception_on_root_ends_the_job_and_is_named(ulfm: bool, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    patch = "def show(*_): raise RuntimeError('injected')\nsieve.Display.show = show"
    ended = run_sieve(small(tmp_path, "run"), np=2, patch=patch, ulfm=ulfm, timeout=20)
    assert ended.code == 3
    said = rf"prng_mpi: rank 0 on {HOST} \(.+, \d+ lanes\): RuntimeError: injected; the same command resumes"
    # Without ULFM mpirun has its say about the abort after ours.
    tail = [line for line in ended.stderr.splitlines() if not MPIRUN_SAYS.match(line)][-5:]
    assert any(re.fullmatch(said, line) for line in tail), ended.stderr
    assert_same(run_sieve(small(tmp_path, "run"), np=2, ulfm=ulfm), tmp_path / "run", calm)


MPIRUN_SAYS = re.compile(r"-{20}|MPI_ABORT| *Proc:| *Errorcode:|NOTE:|You may|exactly when|$|\[.*\]|.*help message")


# -- killed ranks -------------------------------------------------------------------------------------------------------


@needs_ulfm
@pytest.mark.parametrize(("np_", "victims"), [(2, [1]), (4, [1, 3])])
def test_killed_ranks_cost_their_chunks_only(
    np_: int, victims: list[int], calm: tuple[Ended, Any], tmp_path: Path
) -> None:
    with Run(slowly(tmp_path), np_, SLOWLY, ulfm=True) as run:
        until(lambda: searching(tmp_path / "run"), 30, "no search")
        for rank in victims:
            os.kill(run.rank(rank), signal.SIGKILL)
        ended = run.wait(30)
    assert_same(ended, tmp_path / "run", calm)
    assert sorted(lost_ranks(tmp_path / "run")) == victims
    assert len(ended.summary["lost"]) == len(victims)
    assert re.search(rf"^lost +{NAMED}its process was killed", ended.stdout, re.MULTILINE)
    with Ledger.peek(tmp_path / "run" / "ledger.sqlite") as ledger:
        lost = [attempt for attempt in ledger.attempts() if attempt.outcome == "lost"]
        assert {attempt.rank for attempt in lost} <= set(victims)
        assert {attempt.start for attempt in lost} <= {
            attempt.start for attempt in ledger.attempts() if attempt not in lost
        }


@pytest.mark.slow
@needs_ulfm
def test_all_but_root_killed(calm: tuple[Ended, Any], tmp_path: Path) -> None:
    with Run(slowly(tmp_path), 3, SLOWLY, ulfm=True) as run:
        until(lambda: searching(tmp_path / "run"), 30, "no search")
        for rank in (1, 2):
            os.kill(run.rank(rank), signal.SIGKILL)
        assert_same(run.wait(30), tmp_path / "run", calm)


@needs_ulfm
def test_no_device_left_but_lost_ones_is_lost_hosts(tmp_path: Path) -> None:
    patch = SLOWLY + "honest_open = sieve.devices.open_device\n" + (
        "def open_device(*a):\n    if rank == 0: raise sieve.DeviceError('root has none')\n    return honest_open(*a)\n"
        "sieve.devices.open_device = open_device"
    )  # fmt: skip
    with Run(slowly(tmp_path), 2, patch, ulfm=True) as run:
        until(lambda: searching(tmp_path / "run"), 30, "no search")
        os.kill(run.rank(1), signal.SIGKILL)
        ended = run.wait(20)
    assert (ended.code, ended.summary["end"]) == (8, "lost ranks")


@needs_ulfm
@pytest.mark.parametrize("where", ["before its hello", "before its device"])
def test_rank_killed_while_it_starts(where: str, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    kill = "if comms.launched()[0] == 1: os.kill(os.getpid(), 9)"
    patch = INJECT + "import os\nfrom prng_mpi import comm as comms\n" + (
        f"honest_send = comms.Comm.send\ndef send(*a):\n    {kill}\n    honest_send(*a)\ncomms.Comm.send = send"
        if where == "before its hello"
        else f"def in_turn(*a, honest=sieve.in_turn, **k):\n    {kill}\n    return honest(*a, **k)\nsieve.in_turn = in_turn"
    )  # fmt: skip
    ended = run_sieve(small(tmp_path, "run"), np=3, patch=patch, ulfm=True, timeout=30)
    assert_same(ended, tmp_path / "run", calm)
    assert lost_ranks(tmp_path / "run") == [1]


@needs_ulfm
def test_bench_and_doctor_name_a_lost_rank_recover_and_identify_do_its_part(tmp_path: Path) -> None:
    patch = "import os\nfrom prng_mpi import comm as comms, step\nhonest_send = comms.Comm.send\n" + (
        "def send(self, to, tag, *content):\n    if self.rank == 1 and tag is comms.Tag.RESULT: os.kill(os.getpid(), 9)\n"
        "    honest_send(self, to, tag, *content)\ncomms.Comm.send = send\n"
    )

    def under_mpirun(name: str, options: str, *argv: object) -> subprocess.CompletedProcess[str]:
        main = f"from prng_mpi import {name} as it\n{patch}step.main(it.{options}, it.prepare, it.run)"
        call = [mpirun(), *ULFM, "-np", "2", sys.executable, "-c", main, *(str(word) for word in argv)]
        return subprocess.run(
            call, env=environment(), cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip

    rows = ("--recipes", "lcg.mod", "--seconds", 0.1, "--device", "cpu", "--output-dir", tmp_path / "bench")
    measured = under_mpirun("bench", "BenchOptions", *rows)
    assert measured.returncode == 0, measured.stderr
    assert "rank 1: its process was killed" in measured.stdout

    draws = write_draws(tmp_path, uniform(3, 400, 1000))
    search = ("--draws", draws, "--family", "xorshift64", "--skip-max", 5, "--output-dir", tmp_path / "recover")
    recovered = under_mpirun("recover", "RecoverOptions", *search)
    assert recovered.returncode == 1, recovered.stderr
    assert "rank 1 on" in recovered.stderr and "is lost: its process was killed" in recovered.stderr
    assert json.loads((tmp_path / "recover" / "summary.json").read_text())["exit_code"] == 1

    brief = ("--recipe", "pcg32.mod,minstd.mod,xorshift32.mod", "--seconds-per-recipe", 0.05, "--json")
    identified = under_mpirun("identify", "IdentifyOptions", "--draws", draws, *brief)
    assert "rank 1 on" in identified.stderr and "is lost: its process was killed" in identified.stderr
    assert {"pcg32.mod", "minstd.mod", "xorshift32.mod"} <= {
        row["recipe"] for row in json.loads(identified.stdout)["results"]
    }

    examined = under_mpirun("doctor", "DoctorOptions", "--device", "cpu", "--startup-timeout", 300)
    assert examined.returncode == 2, examined.stderr
    assert "rank 1 never reported" in examined.stdout


# -- root ---------------------------------------------------------------------------------------------------------------


@needs_ulfm
def test_root_killed_loses_chunks_in_flight_only(tmp_path: Path) -> None:
    with Run(endless(tmp_path), np=3, ulfm=True) as run:
        root = until(lambda: searching(tmp_path / "run"), 30, "no search")
        os.kill(root, signal.SIGKILL)
        ended = run.wait(20)
        until(lambda: not run.processes(), 10, "ranks live on")
    assert ended.summary == {}
    assert "root is gone" in ended.stderr
    done = sum(chunk.stop - chunk.start for chunk in done_chunks(tmp_path / "run"))
    again = run_sieve(endless(tmp_path, "--time-limit", 0.5), np=2, ulfm=True)
    assert (again.code, again.summary["seeds_done"] > done > 0) == (4, True)


@needs_ulfm
def test_launch_script_never_takes_a_killed_root_for_a_result(tmp_path: Path) -> None:
    call = [TOP / "launch" / "sieve.sh", *endless(tmp_path)]
    run = subprocess.Popen(
        [str(word) for word in call], env=environment(NP="2"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        os.kill(until(lambda: searching(tmp_path / "run"), 60, "no search"), signal.SIGKILL)
        _, err = run.communicate(timeout=30)
    finally:
        run.kill()
    assert run.returncode == 3
    assert "root never said how it ended" in err


# -- ranks that do not answer -------------------------------------------------------------------------------------------


@both_ways
def test_stopped_rank_is_not_waited_for(ulfm: bool, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    with Run(slowly(tmp_path, "--lease-margin", 0.5), 3, SLOWLY, ulfm=ulfm) as run:
        until(lambda: searching(tmp_path / "run"), 30, "no search")
        os.kill(run.rank(1), signal.SIGSTOP)
        ended = run.wait(30)
        until(lambda: not run.processes(), 10, "the stopped rank lives on")
    assert_same(ended, tmp_path / "run", calm)
    assert "expired" in {event["kind"] for event in events(tmp_path / "run")}
    assert [line for line in ended.complaints if "never answered" in line]


@both_ways
@pytest.mark.parametrize("when", ["hello", "farewell"])
def test_rank_stopped_at_the_start_or_the_end(ulfm: bool, when: str, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    stop = f"if rank == 1 and a[2] is comms.Tag.{when.upper()}: os.kill(os.getpid(), signal.SIGSTOP)"
    patch = (
        INJECT
        + "import os, signal\nfrom prng_mpi import comm as comms\ncomms.HELLO = comms.SHARE = comms.FAREWELL = 1.0\n"
        f"honest_send = comms.Comm.send\ndef send(*a):\n    {stop}\n    honest_send(*a)\ncomms.Comm.send = send\n"
        "def lead(*a, honest=sieve.Farm.lead):\n    return honest(*a[:-1], 3.0)\nsieve.Farm.lead = lead\n"
        "def dismiss(self, honest=sieve.Farm.dismiss):\n    return honest(self, 1.0)\nsieve.Farm.dismiss = dismiss"
    )
    ended = run_sieve(small(tmp_path, "run"), np=3, patch=patch, ulfm=ulfm, timeout=30)
    assert_same(ended, tmp_path / "run", calm)
    (said,) = ended.complaints
    assert "never answered" in said
    assert when == "hello" or re.search(rf"rank 1 on {HOST} never", said)


def test_slow_rank_gets_little_and_is_not_waited_for(calm: tuple[Ended, Any], tmp_path: Path) -> None:
    patch = INJECT + "def wrong(calls): time.sleep(0.02 if rank != 1 else 0.2)\n"
    ended = run_sieve(slowly(tmp_path), np=3, patch=patch)
    assert_same(ended, tmp_path / "run", calm)
    seeds = [0, 0, 0]
    for chunk in done_chunks(tmp_path / "run"):
        seeds[chunk.rank] += chunk.stop - chunk.start
    assert 0 < seeds[1] < min(seeds[0], seeds[2]) / 2


# -- root's host --------------------------------------------------------------------------------------------------------


def test_clock_that_jumps_changes_nothing(calm: tuple[Ended, Any], tmp_path: Path) -> None:
    # Hours ahead and back at every look. Leases, limits and timeouts run by the monotonic clock.
    patch = SLOWLY + (
        "import itertools\nhonest_time, jumps = time.time, itertools.count()\n"
        "time.time = lambda: honest_time() + 40000 * (-1) ** next(jumps)"
    )
    ended = run_sieve(slowly(tmp_path, "--time-limit", "1h"), np=2, patch=patch)
    assert_same(ended, tmp_path / "run", calm)
    assert not {"expired", "lost"} & {event["kind"] for event in events(tmp_path / "run")}
    assert 0 < ended.summary["wall_seconds"] < 60


def mounting_missing() -> str:
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return (
        ""
        if tried.returncode == 0
        else f"a small disk needs a mount of its own, which is refused: {tried.stderr.strip()}"
    )


@pytest.mark.skipif(bool(mounting_missing()), reason=mounting_missing() or "-")
def test_full_disk_stops_resumable_and_more_room_lets_it_go_on(calm: tuple[Ended, Any], tmp_path: Path) -> None:
    disk, python = tmp_path / "disk", sys.executable
    disk.mkdir()
    words = " ".join(f"'{word}'" for word in small(tmp_path, "disk/run"))
    script = f"""
mount -t tmpfs -o size=200k tmpfs {disk}
{python} -m prng_mpi.sieve {words}; echo "first $?"
mount -o remount,size=64m {disk}
{python} -m prng_mpi.sieve {words}; echo "second $?"
cp -r {disk}/run {tmp_path}/run
"""
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )  # fmt: skip
    assert "first 3" in done.stdout and "second 1" in done.stdout, done.stdout + done.stderr
    complaint = next(line for line in done.stderr.splitlines() if line.startswith("prng_mpi: "))
    assert "free some space, then give the same command again" in complaint
    again = run_sieve(small(tmp_path, "run"))
    assert_same(again, tmp_path / "run", calm)


@pytest.mark.skipif(bool(mounting_missing()), reason=mounting_missing() or "-")
def test_read_only_folder_is_refused_before_anything_starts(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    words = " ".join(f"'{word}'" for word in small(tmp_path, "disk/run"))
    script = f"mount -t tmpfs -o ro tmpfs {disk} && {sys.executable} -m prng_mpi.sieve {words}"
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 2
    assert re.search(
        r"prng_mpi: can't write to the folder .*Read-only file system.*choose another --output-dir", done.stderr
    )


def test_torn_last_write_costs_one_chunk(calm: tuple[Ended, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Run(slowly(tmp_path), 2, SLOWLY) as run:
        until(lambda: searching(folder, 8), 30, "no search")
        run.kill()
    whole = len(done_chunks(folder))
    # What a crash of the machine may leave: the last page of the log half written, the last line of the events too.
    for path in (folder / "ledger.sqlite-wal", folder / "events.jsonl"):
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size - 100)
    with Ledger.peek(folder / "ledger.sqlite") as ledger:
        assert whole - 1 <= len(ledger.chunks()) <= whole
    assert_same(run_sieve(small(tmp_path, "run"), np=2), folder, calm)


# -- all of it, by chance -----------------------------------------------------------------------------------------------


@needs_ulfm
def test_twenty_faults(tmp_path: Path) -> None:
    assert sum(campaign.faults(tmp_path, runs=20, seed=5).values()) == 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
@needs_ulfm
def test_two_hundred_faults(tmp_path: Path) -> None:
    met = campaign.faults(tmp_path, runs=200, seed=6)
    assert sum(met.values()) == 200
    assert set(met) == {"kill", "stop", "raise", "full"}
