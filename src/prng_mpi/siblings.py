"""Floor 2: sibling recipes. They seed one generator alike and differ in what they make of its words, so a seed that is
right under the wrong one of them can match some draws, and all of them under the right one."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import statistics
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.recipes import Recipe, recipes
from prng_mpi.search import Search

# Draws that a sibling is held against; more say nothing new.
MOST_DRAWS = 200

# Fields of a recipe that decide its words, and those that only name or test it.
_WORDS = ("family", "seeding", "fixed")
_LABELS = ("name", "title", "verified", "known", "_seed_bits")


@dataclass(frozen=True)
class Sibling:
    """The best that a seed does under a recipe: its skip, offset, matches of so many draws; log10_p that chance does as
    well at one skip and offset."""

    recipe: str
    skip: int
    offset: int
    matches: int
    draws: int
    log10_p: float


def siblings(of: Recipe) -> list[Recipe]:
    """Recipes of the same family, seeding and parameters that map words to values, or order them, in another way; one of
    those that are the same but for the name."""

    def parts(r: Recipe) -> tuple[list[Any], list[Any]]:
        """What makes a recipe's words, and what it makes of them."""
        rest = [getattr(r, f.name) for f in dataclasses.fields(r) if f.name not in (*_WORDS, *_LABELS)]
        return [getattr(r, name) for name in _WORDS], rest

    words, made = parts(of)
    found: list[Recipe] = []
    for r in recipes().values():
        same, other = parts(r)
        if same == words and other != made and all(other != parts(f)[1] for f in found):
            found.append(r)
    return found


def hold(search: Search, which: Recipe, seed: int, draws: npt.NDArray[np.uint32]) -> Sibling | None:
    """A seed of a search under another recipe, at the best of the search's skips and offsets. draws: '<u4' (n,), from the
    window's first on. None where that recipe does not take the modulus or the seed."""
    draws = draws[:MOST_DRAWS]
    if not 2 <= search.modulus <= which.map.max_modulus or seed >= which.seed_limit(which.params(search.given)):
        return None
    # A call that rejects is elsewhere in the stream than one that does not, so its best offset may be another.
    other = dataclasses.replace(search, recipe=which, draws=draws, need=1)
    hits = CpuDevice(which, "reference").sieve(other, seed, seed + 1)
    assert hits is not None
    if not len(hits):
        return Sibling(which.name, search.skips[0], search.offsets[0], 0, len(draws), 0.0)
    skip, offset, matches = (int(hits[0][name]) for name in ("skip", "offset", "matches"))
    tails = statistics.log10_tails(other.chances())
    return Sibling(which.name, skip, offset, matches, len(draws), float(tails[matches]))


def hint(search: Search, seed: int, draws: npt.NDArray[np.uint32]) -> str:
    """Which sibling explains more of the draws than the search's own recipe, and more than chance; empty where none does."""
    own = hold(search, search.recipe, seed, draws)
    others = [held for r in siblings(search.recipe) if (held := hold(search, r, seed, draws))]
    if own is None or not others:
        return ""
    best = min(others, key=lambda held: held.log10_p)
    looks = math.log10(len(others) * search.per_seed)
    if best.matches <= own.matches or best.log10_p + looks > statistics.STRONG_LOG10:
        return ""
    return f"right state, wrong mapping: try recipe {best.recipe} ({best.matches} of {best.draws})"
