"""Floor 2: pools: what several survivors together say of a draw, held against draws that had no part in choosing them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prng_mpi import learning
from prng_mpi.devices import open_device
from prng_mpi.learning import Counts, PoolHits
from prng_mpi.recipes import recipe
from prng_mpi.search import PLAIN, Search

# Random pools beside a chosen one.
RANDOM_POOLS = 199


@dataclass(frozen=True, eq=False)
class Stock:
    """Survivors, and whose streams they are: recipe, modulus, and the parameters that a user gave. survivors: rows with seed,
    skip, offset, window_start, (N,); draws: '<u4' (T,) the history that they were found in."""

    recipe: str
    modulus: int
    given: dict[str, int]
    survivors: npt.NDArray[np.void]
    draws: Counts

    @property
    def search(self) -> Search:
        """The streams' search, of no draw in particular."""
        return Search(recipe(self.recipe), self.modulus, np.zeros(1, np.uint32), 0, 1, given=self.given)

    def chances(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """The chance that a random output equals each of those draws, (count,); exact for the recipe."""
        return self.search.recipe.chances(self.draws[first : first + count], self.modulus, self.search.params)

    def predicted(self, rows: npt.NDArray[np.int64], first: int, count: int) -> Counts:
        """What survivors `rows` (k,) give for draws first to first + count - 1 of the history, which may lie past its end: '<u4'
        (k, count). Draw i is output o + s + (i - w) (s + 1) of a seed whose window starts at w."""
        chosen = self.survivors[rows]
        stream = np.zeros((len(rows), count), np.uint32)
        places = np.stack([chosen[name].astype(np.int64) for name in ("skip", "offset", "window_start")], axis=1)
        groups = np.unique(places, axis=0)
        at = groups[:, 1] + groups[:, 0] + (first - groups[:, 2]) * (groups[:, 0] + 1)
        form = ("LOOKS",) if (at < 0).any() else PLAIN
        device = open_device("cpu", self.search.recipe, 0, form=form)
        for group, output in zip(groups, at.tolist(), strict=True):
            own, stride = (places == group).all(axis=1), int(group[0]) + 1
            outputs = device.outputs(self.search, chosen["seed"][own], output, (count - 1) * stride + 1)
            stream[own] = outputs[:, ::stride]
        return stream


def held_against(stock: Stock, rows: npt.NDArray[np.int64], first: int, count: int) -> PoolHits:
    """A pool of survivors `rows` (k,) against draws first to first + count - 1; see `learning.pool_hits`."""
    draws = stock.draws[first : first + count]
    return learning.pool_hits(stock.predicted(rows, first, count), draws, stock.chances(first, count))


def random_pools(stock: Stock, k: int, first: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Hits of RANDOM_POOLS pools of k survivors drawn at random, against the same draws: (RANDOM_POOLS,)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    pools = np.stack([rng.choice(len(stock.survivors), k, replace=False) for _ in range(RANDOM_POOLS)])
    used, place = np.unique(pools, return_inverse=True)
    right = stock.predicted(used, first, count) == stock.draws[first : first + count]
    return np.asarray(right[place.reshape(pools.shape)].any(axis=1).sum(axis=1))
