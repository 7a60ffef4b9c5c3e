"""What the tests of both directions and of varying skips share: the meaning of kernels/sides.h as plain loops."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from kernel_cases import mapping_recipe, u64
from prng_mpi.devices.base import Device
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.recipes import Recipe, recipe
from prng_mpi.records import HIT
from prng_mpi.search import Form, Search, Side

_opened: dict[tuple[str, str, Form], Any] = {}


def device(kind: str, which: Recipe, form: Form) -> Any:
    """A device of that kind with the program of a recipe in that form, opened once."""
    key = (kind, which.name, form)
    if key not in _opened:
        if kind in ("cuda", "rocm"):
            from prng_mpi.devices.gpu import GpuDevice

            _opened[key] = GpuDevice(which, kind, 0, form)
        else:
            _opened[key] = CpuDevice(which, kind, form)
    return _opened[key]


def stream(
    which: Recipe, modulus: int, seed: int, first: int, count: int, given: dict[str, int] | None = None
) -> list[int]:
    """Outputs first .. first + count - 1 of a seed, by the plain build."""
    search = Search(which, modulus, np.zeros(1, np.uint32), 0, 1, given=given or {})
    row: list[int] = device("reference", which, ("LOOKS",)).outputs(search, u64([seed]), first, count)[0].tolist()
    return row


def fits(s: Side, i: int, value: int) -> bool:
    """Whether a value can be draw i."""
    return any(int(s.low[r]) <= value <= int(s.high[r]) for r in range(s.first[i], s.first[i + 1]))


def span_of(search: Search) -> tuple[int, int]:
    """An output before, and one after, all that the search can look at."""
    far = max(int(s.calls.max()) for s in search.sides) * (search.skips[1] + 1) + search.offsets[1] + 2
    return -far, far


def constant(search: Search, outputs: dict[int, int]) -> tuple[int, int, int]:
    """(matches, skip, offset) of the best hypothesis of a seed whose outputs are given by index; no matches: none survives."""
    best = (0, 0, 0)
    for s in range(search.skips[0], search.skips[1] + 1):
        for o in range(search.offsets[0], search.offsets[1] + 1):
            total = 0
            for one in search.sides:
                sign = -1 if one.behind else 1
                at = [o - 1 + sign * int(one.calls[i, 0]) * (s + 1) for i in range(len(one.draws))]
                matches = sum(fits(one, i, outputs[a]) for i, a in enumerate(at))
                if matches < one.need:
                    break
                total += matches
            else:
                if total > best[0]:
                    best = (total, s, o)
    return best


def varying(search: Search, outputs: dict[int, int]) -> tuple[int, int]:
    """(matches, offset) of a seed's best path: all paths, draw by draw, as a table of the most matches by output of the last
    draw and by how many draws in a row were missed."""
    best = (0, 0)
    for o in range(search.offsets[0], search.offsets[1] + 1):
        total = 0
        for one in search.sides:
            matches = _paths(search, one, outputs, o)
            if matches < one.need:
                break
            total += matches
        else:
            if total > best[0]:
                best = (total, o)
    return best


def _paths(search: Search, one: Side, outputs: dict[int, int], o: int) -> int:
    least, most = search.skips
    # (distance of the last draw's output, misses in a row): most matches. Distances from the boundary, of call 0.
    table = {(0, 0): 0}
    before = np.zeros(2, np.int64)
    for i in range(len(one.draws)):
        calls = one.calls[i] - before
        before = one.calls[i]
        after: dict[tuple[int, int], int] = {}
        for (place, missed), matches in table.items():
            for apart in range(int(calls[0]) * (least + 1), int(calls[1]) * (most + 1) + 1):
                at = place + apart
                hit = fits(one, i, outputs[o - 1 - at if one.behind else o - 1 + at])
                key = (at, 0 if hit else missed + 1)
                if key[1] <= (search.misses or 0):
                    after[key] = max(after.get(key, 0), matches + hit)
        table = after
    return max(table.values(), default=0)


def expected(search: Search, start: int, stop: int) -> npt.NDArray[np.void]:
    """What a sieve over [start, stop) must find, HIT (n,)."""
    low, high = span_of(search)
    hits = []
    for seed in range(start, stop):
        row = stream(search.recipe, search.modulus, seed, low, high - low + 1, search.given)
        outputs = dict(zip(range(low, high + 1), row, strict=True))
        if search.misses is None:
            matches, skip, offset = constant(search, outputs)
        else:
            (matches, offset), skip = varying(search, outputs), 0
        if matches >= search.least:
            hits.append((seed, skip, offset, search.window_start, matches))
    return np.array(hits, HIT)


# ------------------------------------------------------------------------------------------------------- cases to sieve

LOW_FIRST = "mapping.unit_27_26.low"


def recipe_named(name: str) -> Recipe:
    """A recipe, or the one of which no language is here: two words, the low one first."""
    return mapping_recipe("unit_27_26", low_first=True) if name == LOW_FIRST else recipe(name)


@dataclass(frozen=True)
class SideCase:
    """A sieve over [start, start + count) whose sides some seed of the range really gives, but for some draws.

    ahead, behind: draws of each side; gaps: most unknown calls before a draw; short: matches that a side may lack;
    wild: share of draws that the seed does not give; vague: share known as a range or a set only; slices: seeds in one
    launch; mix: what is random."""

    recipe: str
    modulus: int
    ahead: int
    behind: int
    skips: tuple[int, int] = (0, 0)
    offsets: tuple[int, int] = (0, 0)
    misses: int | None = None
    start: int = 0
    count: int = 40
    gaps: int = 0
    short: int = 0
    wild: float = 0.1
    vague: float = 0.3
    slices: int = 4096
    mix: int = 1

    def search(self) -> Search:
        rng, which = np.random.Generator(np.random.PCG64(self.mix)), recipe_named(self.recipe)
        seed = self.start + int(rng.integers(self.count))
        offset = int(rng.integers(*self.offsets, endpoint=True))
        skip = None if self.misses is not None else int(rng.integers(*self.skips, endpoint=True))
        sides = [
            self._side(rng, which, seed, offset, skip, behind=behind)
            if (self.behind if behind else self.ahead)
            else None
            for behind in (False, True)
        ]
        return Search(
            which, self.modulus, np.zeros(0, np.uint32), 7, 0, self.skips, self.offsets, {}, *sides, self.misses
        )

    def _side(
        self, rng: np.random.Generator, which: Recipe, seed: int, offset: int, skip: int | None, *, behind: bool
    ) -> Side:
        """What the seed gives along a path from the boundary, whose skips are random where `skip` is None."""
        k = self.behind if behind else self.ahead
        gaps = np.sort(rng.integers(0, self.gaps + 1, (k, 2)) * (rng.random((k, 1)) < 0.4), axis=1)
        if skip is not None:
            gaps[:, 1] = gaps[:, 0]
        turns = [int(rng.integers(*gap, endpoint=True)) + 1 for gap in gaps]
        # The call right behind the boundary is call 0.
        turns[0] -= behind
        away = np.cumsum([
            sum(int(rng.integers(*self.skips, endpoint=True)) if skip is None else skip for _ in range(n)) + n for n in turns
        ])  # fmt: skip
        at = offset - 1 + (-away if behind else away)
        low = int(min(at.min(), 0))
        row = stream(which, self.modulus, seed, low, int(at.max()) - low + 1)
        words = [self._known(rng, row[a - low]) for a in at]
        bounds = np.array([bound for word in words for bound in word], np.uint32)
        first = np.cumsum([0, *map(len, words)])
        return Side(
            draws=bounds[first[:-1], 0],
            need=max(1, k - int(rng.integers(0, self.short + 1))),
            calls=np.cumsum(gaps + 1, axis=0) - behind,
            first=first,
            low=bounds[:, 0].copy(),
            high=bounds[:, 1].copy(),
            behind=behind,
        )

    def _known(self, rng: np.random.Generator, value: int) -> list[tuple[int, int]]:
        """Ranges that hold the value, or some other one."""
        if rng.random() < self.wild:
            value = int(rng.integers(self.modulus))
        if rng.random() >= self.vague:
            return [(value, value)]
        if rng.random() < 0.5:
            return [(max(0, value - int(rng.integers(3))), min(self.modulus - 1, value + int(rng.integers(3))))]
        return [(v, v) for v in sorted({value, *rng.integers(0, self.modulus, 2).tolist()})]

    def hits(self, device: Device, search: Search) -> npt.NDArray[np.void]:
        """What a device finds."""
        with mock.patch.multiple(device, first_slice=self.slices * search.looks, slice_seconds=0.0):
            hits = device.sieve(search, self.start, self.start + self.count)
        assert hits is not None
        return hits

    @functools.cached_property
    def expected(self) -> tuple[Search, npt.NDArray[np.void]]:
        search = self.search()
        return search, expected(search, self.start, self.start + self.count)
