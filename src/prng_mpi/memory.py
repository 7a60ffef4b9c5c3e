"""Floor 1: host memory: how much there is, whether one more rank may start in it, and whether its lack killed a process.

Linux tells: /proc/meminfo, the memory cgroup (v1 or v2) that a container or a batch system put this process into, and the
kernel's log. All sizes are bytes; 0 stands for what nobody says."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from prng_mpi import spawn
from prng_mpi.admission import room_for
from prng_mpi.config import format_size
from prng_mpi.errors import DeviceError

T = TypeVar("T")

CGROUPS = Path("/sys/fs/cgroup")
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
# What the files of a memory cgroup are called in v2 and in v1: its limit, what it uses, the part of that which files in the
# page cache take and give back, and where processes that the out-of-memory killer ended are counted.
_FILES = (
    ("memory.max", "memory.current", "inactive_file", "memory.events"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control"),
)
_KILLED = re.compile(r"Killed process (\d+) \(.*?\).*?anon-rss:(\d+)kB")


def meminfo() -> dict[str, float]:
    """/proc/meminfo: bytes by name."""
    try:
        pairs = (line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return {name: 1024.0 * int(rest.split()[0]) for name, rest in pairs}
    except (OSError, ValueError, LookupError):
        return {}


def cgroups() -> list[Path]:
    """The folders of this process's memory cgroup and of those around it, innermost first."""
    try:
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return []
    for _, controllers, path in lines:
        if "memory" in controllers.split(",") or not controllers:
            top = CGROUPS / controllers.replace("name=", "")
            # In a container the path may be that of the host, while only the container's own group is mounted.
            inside = (top / path.lstrip("/")).relative_to(top)
            found = [f for f in (top / inside, *(top / parent for parent in inside.parents)) if _counters(f)]
            if found:
                return list(dict.fromkeys(found))
    return []


def _counters(folder: Path) -> tuple[str, str, str, str] | None:
    return next((names for names in _FILES if (folder / names[3]).exists()), None)


def _lines(path: Path) -> dict[str, str]:
    """A file of names and values; empty where it can't be read."""
    with contextlib.suppress(OSError):
        words = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
        return {name: value for name, value in (pair for pair in words if len(pair) == 2)}
    return {}


def available() -> float:
    """Bytes that new processes may take on this host, or in its container."""
    rooms = [meminfo().get("MemAvailable", 0.0)]
    for folder in cgroups():
        limit, used, files, _ = _counters(folder) or _FILES[0]
        with contextlib.suppress(OSError, ValueError):
            free = float((folder / limit).read_text()) - float((folder / used).read_text())
            rooms.append(max(0.0, free) + float(_lines(folder / "memory.stat").get(files, 0)))
    return min(rooms)


def total() -> float:
    """Bytes of memory of this host, or of its container."""
    sizes = [meminfo().get("MemTotal", 0.0)]
    for folder in cgroups():
        with contextlib.suppress(OSError, ValueError):
            sizes.append(float((folder / (_counters(folder) or _FILES[0])[0]).read_text()))
    return min(sizes)


def resident() -> float:
    """Bytes of memory that this process occupies."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        return 1024.0 * int(_lines(Path("/proc/self/status"))["VmRSS:"].split()[0])
    return 0.0


# -- between batches --------------------------------------------------------------------------------------------------


def give_back() -> None:
    """Return to the system what this process's allocators keep of memory that nobody uses any more."""
    gc.collect()
    # glibc's; other C libraries keep little.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def may_drop_page_cache() -> bool:
    """Whether this process may have the kernel forget the files it has in memory: root's alone, and no container's."""
    return os.access(DROP_CACHES, os.W_OK)


def drop_page_cache() -> None:
    """Have the kernel forget the files that it keeps in memory. Raises OSError where that is not allowed."""
    DROP_CACHES.write_text("1\n")


# -- one more rank? ---------------------------------------------------------------------------------------------------


@dataclass
class Seats:
    """What the start-up token carries along the ranks of a host. need: the most that one of them took to start; full: why
    no more of them start, empty while there is room."""

    need: float = 0.0
    full: str = ""

    def refusal(self, host: str, place: int, ranks: int, free: float, reserve: float) -> str:
        """Why the rank at that place (from 0) of a host's so many ranks may not start now; empty if it may.

        The first always starts: what it takes is the measure for the others."""
        if place and not self.full and (room_for(free, reserve, max(self.need, 1.0)) == 0):
            self.full = (
                f"memory: {host} has {format_size(free)} available, {format_size(reserve)} is kept, and a rank takes {format_size(self.need)}: "
                f"{place} of {ranks} ranks compute; free some memory, or lower --memory-reserve"
            )
        return self.full

    def start(self, work: Callable[[], T], extra: float = 0.0) -> T:
        """Do what starts a rank and learn what it takes; extra: bytes that its work will take later."""
        before = resident()
        done = work()
        self.need = max(self.need, resident() - before + extra)
        return done


# -- who was killed? --------------------------------------------------------------------------------------------------


def kills() -> int | None:
    """How many processes of this one's cgroup the kernel's out-of-memory killer has ended; None where nobody counts."""
    for folder in cgroups()[:1]:
        with contextlib.suppress(ValueError, KeyError):
            return int(_lines(folder / (_counters(folder) or _FILES[0])[3])["oom_kill"])
    return None


@dataclass(frozen=True)
class Cause:
    """Why a process ended by signal 9, in words, and how many such processes the host has room for, None where the
    out-of-memory killer did not do it."""

    text: str
    most: int | None = None


def cause(pid: int, log: str | None, killed: int | None, usable: float) -> Cause:
    """Whether the kernel's out-of-memory killer ended a process.

    log: what the kernel has said since it was started; killed: how many processes its cgroup has counted since; None
    where it can't be known; usable: bytes that such processes may have in all."""
    victims = {int(number): 1024.0 * int(rss) for number, rss in _KILLED.findall(log or "")}
    if pid not in victims and not killed:
        if log is None and killed is None:
            return Cause(
                "killed by signal 9; whether by the OOM killer is not known, as this user may not read the kernel log"
            )
        return Cause("killed by signal 9 (no sign of the OOM killer)")
    # In a container the kernel's log has the numbers of the host, and the cgroup's count alone is to be trusted.
    rss = victims.get(pid) or next(reversed(victims.values()), 0.0)
    most = max(1, room_for(usable, 0.0, rss) or 1)
    return Cause(f"killed by the OOM killer{f', rss {rss / 1e6:.0f} MB' if rss else ''}", most)


class Watch:
    """What the kernel does to processes for lack of memory, from now on. Make it before the process starts, ask it once after
    each that was killed, then close it."""

    def __init__(self) -> None:
        self._since, self._killed, self._log, self._heard = time.time(), kills(), -1, ""
        with contextlib.suppress(OSError):
            self._log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self._log, 0, os.SEEK_END)

    def cause(self, pid: int, reserve: float) -> Cause:
        """Why that process ended by signal 9; reserve: bytes of memory that such processes should leave."""
        before, now = self._killed, kills()
        more = None if before is None or now is None else now - before
        found = cause(pid, self._said(), more, total() - reserve)
        if more and found.most is not None:
            # The count of this one must not speak for the next.
            self._killed = (before or 0) + 1
        return found

    def close(self) -> None:
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _said(self) -> str | None:
        """What the kernel has said since: its own device, else the journal."""
        if self._log < 0:
            return _journal(self._since)
        self._heard += "".join(f"{record}\n" for record in _records(self._log))
        return self._heard


def _records(log: int) -> Iterable[str]:
    """The messages that /dev/kmsg has left, one a read."""
    while True:
        try:
            yield os.read(log, 1 << 16).decode(errors="replace")
        except BlockingIOError:
            return
        # EPIPE: older messages were overwritten; it goes on with what is left.
        except BrokenPipeError:
            continue
        except OSError:
            return


def _journal(since: float) -> str | None:
    try:
        done = spawn.run(
            ["journalctl", "--dmesg", "--quiet", "--no-pager", "--output=cat", f"--since=@{since:.0f}"], 10
        )
    except DeviceError:
        # Who starts programs for this rank may have been killed as well.
        return None
    # A user who may not read it gets a hint in place of messages, and status 0 or 1.
    return done.output if done.status == 0 and "Hint:" not in done.output else None


def kernel_log() -> str:
    """Where this user can read the kernel's messages: a device, a program, or nowhere (empty)."""
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
        return "/dev/kmsg"
    return "journalctl" if _journal(time.time() - 60) is not None else ""
