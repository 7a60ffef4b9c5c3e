"""What the tests of both directions and of varying skips share: the meaning of kernels/sides.h as plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_cases import u64
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.recipes import Recipe
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
