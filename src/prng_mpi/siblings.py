"""Floor 2: sibling recipes. They seed one generator alike and differ in what they make of its words, so a seed that is
right under the wrong one of them can match some draws, and all of them under the right one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prng_mpi import statistics
from prng_mpi.devices.predict import Predictor
from prng_mpi.recipes import Recipe, recipes
from prng_mpi.search import Search


@dataclass(frozen=True)
class Sibling:
    """What a seed gives under another recipe: matches of so many draws, log10_p that chance gives as many."""

    recipe: str
    matches: int
    draws: int
    log10_p: float


def siblings(of: Recipe) -> list[Recipe]:
    """Recipes of the same family, seeding and parameters that map words to values, or order them, in another way."""

    def made(r: Recipe) -> tuple[str, bool]:
        return r.mapping, r.low_first

    found: dict[tuple[str, bool], Recipe] = {}
    for r in recipes().values():
        if (r.family, r.seeding, r.fixed) == (of.family, of.seeding, of.fixed) and made(r) != made(of):
            found.setdefault(made(r), r)
    return list(found.values())


def hold(search: Search, seed: int, skip: int, offset: int, draws: npt.NDArray[np.uint32]) -> list[Sibling]:
    """The seed of a search under every sibling of its recipe, best first. draws: '<u4' (n,), from the window's first on.

    Siblings that do not take the modulus or the seed are left out."""
    held = []
    for other in siblings(search.recipe):
        params = other.params(search.given)
        if not 2 <= search.modulus <= other.map.max_modulus or seed >= other.seed_limit(params):
            continue
        outputs = Predictor(other, search.modulus, search.given).outputs(seed, offset + skip, len(draws), skip + 1)
        assert outputs is not None
        matches = int((outputs == draws).sum())
        tails = statistics.log10_tails(other.chances(draws, search.modulus, params))
        held.append(Sibling(other.name, matches, len(draws), float(tails[matches])))
    return sorted(held, key=lambda s: s.log10_p)


def hint(search: Search, seed: int, skip: int, offset: int, draws: npt.NDArray[np.uint32], matches: int) -> str:
    """What a sibling says where it explains more of the draws than the `matches` of the search's own recipe, and chance
    does not; else nothing."""
    held = hold(search, seed, skip, offset, draws)
    if held and held[0].matches > matches and held[0].log10_p + math.log10(len(held)) <= statistics.STRONG_LOG10:
        best = held[0]
        return f"right state, wrong mapping: try recipe {best.recipe} ({best.matches} of {best.draws})"
    return ""
