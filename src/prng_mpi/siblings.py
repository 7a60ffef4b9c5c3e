"""Floor 2: sibling recipes. They seed one generator alike and differ in what they make of its words, so a seed that is
right under the wrong one of them can match some draws, and all of them under the right one."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, replace
from typing import Any

from prng_mpi import statistics
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.recipes import Recipe, recipes
from prng_mpi.search import Search

# Fields of a recipe that decide its words, and those that only name, bound or test it.
_WORDS = ("family", "seeding", "fixed")
_LABELS = ("name", "title", "verified", "known", "_seed_bits", "max_modulus")


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


def hold(search: Search, which: Recipe, seed: int) -> Sibling | None:
    """A seed under another recipe, at the best of a search's skips and offsets. None where that recipe does not take the
    modulus or the seed."""
    if not 2 <= search.modulus <= which.map.max_modulus or seed >= which.seed_limit(which.params(search.given)):
        return None
    # A call that rejects is elsewhere in the stream than one that does not, so its best offset may be another.
    ahead, behind = (s and replace(s, need=1) for s in (search.ahead, search.behind))
    other = replace(search, recipe=which, need=1, ahead=ahead, behind=behind, space=None)
    hits = CpuDevice(which, "reference", other.form).sieve(other, seed, seed + 1)
    assert hits is not None
    if not len(hits):
        return Sibling(which.name, search.skips[0], search.offsets[0], 0, search.k, 0.0)
    skip, offset, matches = (int(hits[0][name]) for name in ("skip", "offset", "matches"))
    tails = statistics.log10_tails(other.chances())
    return Sibling(which.name, skip, offset, matches, search.k, float(tails[matches]))


def hint(search: Search, seed: int) -> str:
    """Which sibling explains more of a search's draws than its own recipe, and more than chance; empty where none does, and
    for a skip that varies."""
    own = hold(search, search.recipe, seed) if search.misses is None else None
    others = [held for r in siblings(search.recipe) if own and (held := hold(search, r, seed))]
    if own is None or not others:
        return ""
    best = min(others, key=lambda held: held.log10_p)
    looks = math.log10(len(others) * search.per_seed)
    if best.matches <= own.matches or best.log10_p + looks > statistics.STRONG_LOG10:
        return ""
    return f"right state, wrong mapping: try recipe {best.recipe} ({best.matches} of {best.draws})"
