"""What every device does, whatever computes: sieve a range in bounded slices, give outputs, prove itself."""

from __future__ import annotations

import itertools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import kernels
from prng_mpi.devices.tuning import Tuner
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import Recipe
from prng_mpi.records import HIT
from prng_mpi.search import PLAIN, Form, Search, in_form

# No slice crosses a multiple of this: seedings may depend on the high half of the seed (CPython's integer keys).
BOUNDARY = 2**32

Hits = npt.NDArray[np.void]
Outputs = npt.NDArray[np.uint32]
JUMP = np.dtype([("a", "<u8"), ("c", "<u8")])


# Why lift and invert can't do a search whose program is not the plain one.
NOT_PLAIN = "only consecutive draws ahead, all known, at a constant skip, over an interval of seeds"


@dataclass(frozen=True)
class Forecast:
    """Whether a method can do a search (an empty `why_not`), and then: roughly its seconds on one core, the chance that a
    true seed is missed because its calls reject a word within the window, bytes of a rank's memory."""

    why_not: str
    seconds: float = math.inf
    miss: float = 0.0
    memory: float = 0.0


class Device(ABC):
    """One device, opened, with the program of one recipe.

    slice_seconds: how long one launch should take; a stop request is seen between slices. first_slice: outputs that the
    first launch, of unknown speed, may have to look at."""

    kind: str
    name: str
    tuner: Tuner | None = None
    slice_seconds = 0.25
    first_slice = 1 << 17

    def __init__(self, recipe: Recipe, form: Form = PLAIN) -> None:
        """form: of the searches that its program can do."""
        self.recipe, self.form = recipe, form
        self._rate = 0.0
        self._capacity = 1024
        # What is prepared for the search of the last launch, and seeds that a launch needs room for at most.
        self._last: Any = None
        self._wanted = 1 << 62

    @abstractmethod
    def _sieve(self, search: Search, start: int, count: int, capacity: int) -> tuple[int, Hits]:
        """All of one slice: (survivors found, the first `capacity` of them in any order)."""

    @abstractmethod
    def _outputs(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> Outputs:
        """See `outputs`."""

    def close(self) -> None:
        """Give back what the device holds; what it needs it takes anew when it is used again."""
        return None

    def outputs(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> Outputs:
        """Outputs first .. first + count - 1 of each seed, in [0, M): '<u4', shape (n, count). A device whose form is not
        plain also gives those before the seeded state, which have negative indices: `first` may be negative."""
        return self._outputs(search, np.ascontiguousarray(seeds, np.uint64), first, count)

    @property
    def xp(self) -> Any:
        """The array library of `outputs_there`."""
        return np

    def outputs_there(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> Any:
        """As `outputs`, in the device's own memory where it has one."""
        return self.outputs(search, seeds, first, count)

    def sieve(self, search: Search, start: int, stop: int, stopped: Callable[[], bool] = lambda: False) -> Hits | None:
        """Every survivor in [start, stop), sorted by seed: HIT (n,). None if `stopped()` said so before the end.

        Raises DeviceError if the device fails; a failed launch is never counted as searched."""
        # The first launch of a device is sized by the work a seed can be at most.
        first = max(1, self.first_slice // search.looks)
        parts = [np.zeros(0, HIT)]
        at = start
        while at < stop:
            if stopped():
                return None
            size = int(self._rate * self.slice_seconds) or first
            size = min(max(size, 1), stop - at, BOUNDARY - at % BOUNDARY)
            began = time.perf_counter()
            hits = self._slice(search, at, size)
            seconds = max(time.perf_counter() - began, 1e-6)
            if self.tuner and size >= int(self._rate * self.slice_seconds / 2) > 0:
                # Launches that are still growing, and the last of a range, say little.
                self.tuner.measured(self.tuner.shape, size / seconds)
            # Launches grow at most fourfold, so that one wrong clock reading can't make one of minutes.
            self._rate = size / seconds if not self._rate else min(size / seconds, 4 * self._rate)
            parts.append(hits)
            at += size
        return np.concatenate(parts)

    def once(self, search: Search, start: int, stop: int) -> Hits:
        """As `sieve`, of a range so short that one launch does it, and any other search of the device's form: what the device
        has prepared for its own search and learned of its speed stays as it is."""
        kept = self._last, self._wanted
        try:
            self._last, self._wanted = None, stop - start
            edges = [start, *range(start - start % BOUNDARY + BOUNDARY, stop, BOUNDARY), stop]
            parts = [self._slice(search, low, high - low) for low, high in itertools.pairwise(edges)]
        finally:
            self._last, self._wanted = kept
        return np.concatenate(parts)

    def _slice(self, search: Search, at: int, size: int) -> Hits:
        """Every survivor of one launch, sorted by seed."""
        found, hits = self._sieve(search, at, size, self._capacity)
        if found > self._capacity:
            # The counter counts past the end of the list, so an overflow is seen, and the slice done once more.
            # Kept, with some room, for the slices to come.
            self._capacity = found + found // 4
            found, hits = self._sieve(search, at, size, self._capacity)
        if search.space:
            hits = hits[search.space.real(hits["seed"])]
        # A CPU gives them in order already, which costs this kind of sort next to nothing.
        return hits[np.argsort(hits["seed"], kind="stable")]

    def fits(self, search: Search) -> bool:
        """Whether this device is meant for such a search."""
        return True

    def check(self) -> int:
        """Hold the device against the recipe's known answers; how many outputs agreed.

        Outputs must be those of the real runtime, and a sieve over a few seeds around a known one must find exactly
        that seed. Raises DeviceError naming the first disagreement."""
        agreed = 0
        for seed, modulus, first, expected in known_answers(self.recipe):
            window = np.array(expected, np.uint32)
            search = in_form(Search(self.recipe, modulus, window, 0, len(window), (0, 0), (first, first)), self.form)
            if not self.fits(search):
                continue
            got = self.outputs(search, np.array([seed], np.uint64), first, len(window))[0]
            if (got != window).any():
                at = int(np.argmax(got != window))
                raise DeviceError(
                    f"{self.name} computes recipe {self.recipe.name} wrongly: seed {seed}, modulus {modulus}, output "
                    f"{first + at} is {got[at]}, known answer {window[at]}; it is not used"
                )
            agreed += len(window)
            low, high = max(0, seed - 21), min(self.recipe.seed_limit(search.params), seed + 22)
            if search.space and high > search.space.size:
                continue
            hits = self.sieve(search, low, high)
            found = [] if hits is None else [int(h["seed"]) for h in hits if h["matches"] == len(window)]
            if seed not in found or (len(window) >= 4 and len(found) > 2):
                raise DeviceError(
                    f"{self.name} sieves recipe {self.recipe.name} wrongly: among seeds {low} to {high - 1} it finds "
                    f"{found}, not {seed}; it is not used"
                )
        self._rate = 0.0
        return agreed


def known_answers(recipe: Recipe) -> list[tuple[int, int, int, tuple[int, ...]]]:
    """(seed, modulus, first output's index, outputs): the recipe's own, or for `.mod` recipes the family's words."""
    if recipe.known:
        return [(seed, modulus, 0, outputs) for seed, modulus, outputs in recipe.known]
    family = kernels.family(recipe.family)
    answers = []
    # 2^32 shows a word's low half; the largest prime below it mixes in the high half; 1000 is what people use.
    for modulus in (2**32, 4294967291, 1000):
        answers += [(seed, modulus, 0, tuple(w % modulus for w in words)) for seed, words in family.known]
        answers += [(seed, modulus, at, (word % modulus,)) for seed, at, word in family.known_at]
    return answers
