"""Several cores of a host as one CPU device: a thread each, all in the compiled kernel, which needs no interpreter."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from prng_mpi.devices.base import Device, Hits, Outputs
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import Recipe
from prng_mpi.search import PLAIN, Form, Search

T = TypeVar("T")


def share_of_cores(ranks: int) -> int:
    """Cores that this process may use, shared among so many ranks of the host; at least one."""
    return max(1, len(os.sched_getaffinity(0)) // ranks)


class CpuTeam(Device):
    """A range is cut into a part for each thread; parts come back in order, so hits are those of one device."""

    kind = "cpu"

    def __init__(self, recipe: Recipe, form: Form = PLAIN, threads: int = 2) -> None:
        super().__init__(recipe, form)
        self._members = [CpuDevice(recipe, "cpu", form) for _ in range(threads)]
        self._pool = self._threads()
        self.name = f"{self._members[0].name}, {threads} threads"

    def close(self) -> None:
        self._pool.shutdown()
        self._pool = self._threads()

    def _threads(self) -> ThreadPoolExecutor:
        """A thread for each member; they start with the first work."""
        return ThreadPoolExecutor(len(self._members), thread_name_prefix="device")

    def _outputs(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> Outputs:
        return self._members[0].outputs(search, seeds, first, count)

    def _sieve(self, search: Search, start: int, count: int, capacity: int) -> tuple[int, Hits]:
        raise DeviceError("a team's members slice for themselves")

    def sieve(self, search: Search, start: int, stop: int, stopped: Callable[[], bool] = lambda: False) -> Hits | None:
        """As Device.sieve."""
        parts = self._each(start, stop, lambda member, low, high: member.sieve(search, low, high, stopped))
        found = [part for part in parts if part is not None]
        return np.concatenate(found) if len(found) == len(parts) else None

    def once(self, search: Search, start: int, stop: int) -> Hits:
        """As Device.once; each member has a part."""
        return np.concatenate(self._each(start, stop, lambda member, low, high: member.once(search, low, high)))

    def _each(self, start: int, stop: int, part: Callable[[CpuDevice, int, int], T]) -> list[T]:
        """What each member makes of its part of a range, in order."""
        n = len(self._members)
        bounds = [start + (stop - start) * i // n for i in range(n + 1)]
        futures = [
            self._pool.submit(part, member, low, high)
            for member, low, high in zip(self._members, bounds[:-1], bounds[1:], strict=True)
        ]
        # One that fails does not end the others, and none may still compute when the next chunk comes.
        wait(futures)
        return [future.result() for future in futures]
