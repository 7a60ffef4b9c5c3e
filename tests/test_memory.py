"""Host memory: what is there, who may start in it, and whom the kernel killed for lack of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prng_mpi import memory
from prng_mpi.admission import room_for
from simulated import memory_group
from support import events, run_sieve, uniform, write_draws

SAID = (
    "6,1,5,-;python invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
    "6,2,6,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task=python,pid=4711,uid=1000\n"
    "3,3,7,-;Out of memory: Killed process 4711 (python3 -u x) total-vm:9000000kB, anon-rss:1500000kB, file-rss:12kB, UID:1000\n"
    "6,4,8,-;oom_reaper: reaped process 4711 (python3), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB\n"
)
IN_A_GROUP = "Memory cgroup out of memory: Killed process 4711 (lua) total-vm:9kB, anon-rss:2000000kB, file-rss:0kB\n"
NO_SIGN = "killed by signal 9 (no sign of the OOM killer)"


@pytest.mark.parametrize(
    ("pid", "log", "killed", "text", "most"),
    [
        (4711, SAID, None, "killed by the OOM killer, rss 1536 MB", 4),
        (4711, IN_A_GROUP, 1, "killed by the OOM killer, rss 2048 MB", 3),
        # A container's numbers are not those of the kernel's log, and its cgroup counts.
        (12, SAID, 1, "killed by the OOM killer, rss 1536 MB", 4),
        (12, None, 1, "killed by the OOM killer", 1),
        # Somebody else's process was killed.
        (12, SAID, 0, NO_SIGN, None),
        (12, SAID, None, NO_SIGN, None),
        (12, "usb 1-1: new device", 0, NO_SIGN, None),
        (12, None, 0, NO_SIGN, None),
    ],
)  # fmt: skip
def test_a_killed_process_is_explained(
    pid: int, log: str | None, killed: int | None, text: str, most: int | None
) -> None:
    assert memory.cause(pid, log, killed, 6.2e9) == memory.Cause(text, most)


def test_who_may_read_nothing_is_told_so() -> None:
    assert "not known" in memory.cause(12, None, None, 6.2e9).text


def test_one_process_at_least_has_room() -> None:
    assert memory.cause(4711, SAID, None, 1e9).most == 1


# -- a real one -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A memory cgroup of 64 MB."""
    with memory_group(64 << 20) as folder:
        yield folder


ENTER = "import os, sys\nopen(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
HOG = "held = []\nwhile True: held.append(bytearray(os.urandom(1 << 20)))"
RANK = """
import contextlib, signal
from prng_mpi import memory, spawn
before = memory.kills()
with contextlib.closing(memory.Watch()) as watch:
    done = spawn.run([sys.executable, '-c', sys.argv[2]])
    print(done.status == -signal.SIGKILL, memory.available() < 64 << 20, memory.total() == 64 << 20, watch.cause(done.pid, 0))
"""


@pytest.mark.parametrize("what", ["import os\n" + HOG, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"])
def test_the_real_out_of_memory_killer_is_recognised(small_group: Path, what: str) -> None:
    # The program takes the group's memory, so the kernel's choice is the largest of its processes.
    done = subprocess.run(
        [sys.executable, "-c", ENTER + RANK, str(small_group), what],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith("True True True"), done.stdout
    assert ("killed by the OOM killer, rss" if "HOG" in what or "held" in what else NO_SIGN) in done.stdout


# -- between batches --------------------------------------------------------------------------------------------------

SCATTERED = """
import numpy as np
from prng_mpi import memory
# Blocks too small for a mapping of their own, of which every hundredth stays.
held = [np.ones(8000) for _ in range(1500)]
kept, held = held[::100], None
before = memory.resident()
memory.give_back()
print(before - memory.resident())
"""


def test_memory_that_allocators_keep_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", SCATTERED], capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) > 50e6


# -- seats ------------------------------------------------------------------------------------------------------------


def test_room_is_what_is_free_above_the_reserve() -> None:
    assert room_for(6.1e9, 1.5e9, 0.6e9) == 7
    assert room_for(1e9, 1.5e9, 0.6e9) == 0
    assert room_for(0.0, 1.5e9, 0.6e9) is None


def test_ranks_start_as_long_as_the_memory_lasts() -> None:
    seats, free, refusals = memory.Seats(), 6.1e9, []
    for place in range(8):
        refusals.append(seats.refusal("rig-6600", place, 8, free, 1.5e9))
        if not refusals[-1]:
            free -= 0.7e9
            seats.need = 0.7e9
    assert refusals[:6] == [""] * 6
    assert refusals[6].startswith(
        "memory: rig-6600 has 1.9 GB available, 1.5 GB is kept, and a rank takes 700 MB: 6 of 8 ranks compute"
    )
    # Who comes later hears the same, even if something was freed meanwhile.
    assert refusals[7] == refusals[6] == seats.refusal("rig-6600", 7, 8, 64e9, 1.5e9)


def test_the_first_rank_of_a_host_always_starts_and_unknown_memory_refuses_nobody() -> None:
    assert memory.Seats().refusal("a", 0, 8, 1.0, 1.5e9) == ""
    assert memory.Seats(1e9).refusal("a", 1, 8, 0.0, 1.5e9) == ""
    # A lost token tells no need; below the reserve there is none for anybody.
    assert "1 of 8 ranks" in memory.Seats().refusal("a", 1, 8, 1e9, 1.5e9)


def test_what_a_rank_takes_is_measured() -> None:
    seats = memory.Seats()
    held = seats.start(lambda: bytearray(os.urandom(50 << 20)), 7e6)
    assert len(held) == 50 << 20 and 50e6 < seats.need < 100e6
    seats.start(lambda: None)
    assert seats.need > 50e6


def test_sizes_of_this_host() -> None:
    assert 0 < memory.available() <= memory.total()
    assert 1e6 < memory.resident() < memory.total()
    assert memory.kernel_log() in ("/dev/kmsg", "journalctl", "")
    # Nothing that this process does: it is only looked at.
    assert memory.Watch().cause(os.getpid(), 0.0).most is None


def test_a_host_short_of_memory_runs_fewer_ranks_and_says_so_before_the_search(tmp_path: Path) -> None:
    """The memory of the host ends after two of three ranks; the whole search is done by those."""
    patch = (
        "from prng_mpi import memory\nfrom prng_mpi.comm import launched\n"
        "memory.available = lambda: 1.6e9 - 0.045e9 * launched()[0]\n"
        "memory.resident = iter([0, 5e7] * 9).__next__"
    )
    argv = ["--draws", write_draws(tmp_path, uniform(3, 30, 1000)), "--recipe", "xorshift32.mod", "--seed-end", 2**20]
    ended = run_sieve([*argv, "--device", "cpu", "--method", "lanes", "--output-dir", tmp_path / "run"], 3, patch=patch)
    assert ended.code == 1 and ended.summary["seeds_done"] == 2**20, ended.stderr
    why = "memory: HOST has 1.51 GB available, 1.5 GB is kept, and a rank takes 50 MB: 2 of 3 ranks compute"
    (refused,) = ended.summary["refused"]
    host = refused.split()[3].rstrip(":")
    assert refused.startswith(f"rank 2 on {host}: {why.replace('HOST', host)}")
    assert ended.stdout.index("2 of 3 ranks compute") < ended.stdout.index("searched")
    # Whoever may take all of it says so.
    argv[-1] = 2**16
    ended = run_sieve(
        [*argv, "--device", "cpu", "--output-dir", tmp_path / "all", "--memory-reserve", "1 GB"], 3, patch=patch
    )
    assert ended.summary["refused"] == []
    assert [event["kind"] for event in events(tmp_path / "all")].count("device_ready") == 3
