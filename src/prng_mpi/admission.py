"""Floor 0: which job may start where and when, as a state machine without I/O or clock.

A job of a pipeline step starts a process with a GPU runtime and gigabytes of host memory. On hosts of eight GPUs and 7.7 GB
too many of them at once have frozen drivers and called the kernel's out-of-memory killer, so each step has limits:

- So many of them run at once in all, and on one host. Among jobs of several steps on a host the strictest counts.
- A host works in batches of as many jobs as may run there at once. After a batch it rests: all of them must have ended
  and a cool-down must have passed. Where the host last reported more available memory than the reserve there is nothing
  to recover from, and it goes on without a rest.
- What starts a GPU runtime on a host starts at least the device profile's delay after the one before.

Jobs without limits run inside their rank, one at a time, on the device that it holds; only their rank's first start is
delayed. All times are seconds by the caller's clock, memory is bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# Steps by the words that jobs, scripts and job files of the pipeline are named with.
STEPS = {
    "window_optimizer": 1,
    "scorer_trial": 2,
    "scorer_meta": 2,
    "full_scoring": 3,
    "adaptive_meta": 4,
    "anti_overfit": 5,
    "predict": 6,
}


@dataclass(frozen=True)
class Limits:
    """Of the jobs of one step: how many run at once on a host and in all, and how long a host rests between batches."""

    step: int | None
    max_per_host: int = 6
    cooldown: float = 5.0
    max_in_all: int = 20

    def __str__(self) -> str:
        name = "other jobs" if self.step is None else f"step {self.step}"
        return f"max_per_host={self.max_per_host} cooldown={self.cooldown:.1f} s ({name})"


def limits_of(step: int | None) -> Limits:
    """A step's limits; None stands for script jobs of no step. Full scoring (3) takes six times the memory of the others."""
    return Limits(step, 2, 10.0) if step == 3 else Limits(step)


def step_named(text: str) -> int | None:
    """The step that a name speaks of, or None."""
    return next((step for word, step in STEPS.items() if word in text), None)


def room_for(free: float, reserve: float, need: float) -> int | None:
    """How many processes that need so much memory each fit into what is free above the reserve; None where nobody knows."""
    return max(0, int((free - reserve) // need)) if free and need else None


@dataclass(eq=False)
class _Host:
    """running: limits of the job each rank runs; batch: limited jobs started since the last rest; most: jobs that its
    memory has proved too small for more than, None as long as it has not."""

    delay: float
    running: dict[int, Limits | None] = field(default_factory=dict)
    batch: int = 0
    free_since: float = 0.0
    next_start: float = 0.0
    memory: float | None = None
    most: int | None = None

    @property
    def limited(self) -> list[Limits]:
        return [limits for limits in self.running.values() if limits]


class Admission:
    """names, limits, patience: of each job its name, its limits or None for one that runs inside its rank, and the seconds
    it may take; reserve: bytes of available memory above which a host needs no rest."""

    def __init__(
        self, names: Sequence[str], limits: Sequence[Limits | None], patience: Sequence[float], reserve: float
    ) -> None:
        self._names, self._limits, self._patience, self._reserve = names, limits, patience, reserve
        self._groups = {value: number for number, value in enumerate(dict.fromkeys(limits))}
        self._hosts: dict[str, _Host] = {}
        self._host_of: dict[int, str] = {}
        self._opened: set[int] = set()

    def join(self, rank: int, host: str, delay: float) -> None:
        """A rank reports from a host, where `delay` seconds must pass between two starts of a GPU runtime."""
        self._host_of[rank] = host
        known = self._hosts.setdefault(host, _Host(delay))
        known.delay = max(known.delay, delay)

    def name(self, job: int) -> str:
        """A job's name."""
        return self._names[job]

    def group(self, job: int) -> int:
        """A number that jobs of the same limits share."""
        return self._groups[self._limits[job]]

    def patience(self, job: int) -> float:
        """Seconds that a job may take."""
        return self._patience[job]

    def admits(self, rank: int, job: int, now: float) -> bool:
        """Whether that rank may start that job now."""
        limits, host = self._limits[job], self._hosts[self._host_of[rank]]
        if self._starts_runtime(rank, limits) and now < host.next_start:
            return False
        if limits is None:
            return True
        running = host.limited
        if len(running) >= min([limits.max_per_host, *(other.max_per_host for other in running)]):
            return False
        if host.most is not None and len(running) >= host.most:
            return False
        in_all = [other for each in self._hosts.values() for other in each.limited]
        if len(in_all) >= min([limits.max_in_all, *(other.max_in_all for other in in_all)]):
            return False
        return host.batch < limits.max_per_host or self._rested(host, limits, now)

    def started(self, rank: int, job: int, now: float) -> None:
        """A rank was given a job that it was admitted to."""
        limits, host = self._limits[job], self._hosts[self._host_of[rank]]
        if self._starts_runtime(rank, limits):
            host.next_start = now + host.delay
        if limits is None:
            self._opened.add(rank)
        else:
            if host.batch >= limits.max_per_host:
                host.batch = len(host.limited)
            host.batch += 1
        host.running[rank] = limits

    def ended(self, rank: int, now: float) -> None:
        """What a rank ran has ended, well or not."""
        host = self._hosts.get(self._host_of.get(rank, ""))
        if host and host.running.pop(rank, None) and not host.limited:
            host.free_since = now

    def measured(self, rank: int, memory: float) -> None:
        """A rank reports the available memory of its host, in bytes."""
        self._hosts[self._host_of[rank]].memory = memory

    def limit(self, rank: int, most: int) -> None:
        """From now on at most so many limited jobs run on a rank's host: one was killed there for lack of memory."""
        host = self._hosts[self._host_of[rank]]
        host.most = min(most, host.most or most)

    def resting(self, now: float) -> dict[str, float]:
        """Seconds of cool-down left, of each host that rests: to the first start that then may be."""
        left = {}
        for name, host in self._hosts.items():
            rests = [
                host.free_since + limits.cooldown - now
                for limits in self._groups
                if limits and host.batch >= limits.max_per_host and not self._rested(host, limits, now)
            ]
            if rests and not host.limited:
                left[name] = min(rests)
        return left

    def wake(self, now: float) -> float | None:
        """The next moment at which time alone may admit a job, or None."""
        starts = [host.next_start for host in self._hosts.values() if host.next_start > now]
        return min([*starts, *(now + seconds for seconds in self.resting(now).values())], default=None)

    def _starts_runtime(self, rank: int, limits: Limits | None) -> bool:
        return limits is not None or rank not in self._opened

    def _rested(self, host: _Host, limits: Limits, now: float) -> bool:
        if host.memory is not None and host.memory > self._reserve:
            return True
        return not host.limited and now >= host.free_since + limits.cooldown
