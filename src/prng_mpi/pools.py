"""Floor 2: pools: what several survivors together say of a draw, held against draws that had no part in choosing them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from prng_mpi import learning
from prng_mpi.devices import open_device
from prng_mpi.history import History
from prng_mpi.learning import Counts, PoolHits
from prng_mpi.streams import Streams

# Random pools beside a chosen one.
RANDOM_POOLS = 199


def chances(streams: Streams, first: int, count: int) -> npt.NDArray[np.float64]:
    """The chance that a random output equals each of draws first to first + count - 1, (count,); exact for the recipe."""
    search = streams.search()
    return search.recipe.chances(streams.history.draws[first : first + count], streams.modulus, search.params)


def predicted(streams: Streams, rows: npt.NDArray[np.int64], first: int, count: int) -> Counts:
    """What survivors `rows` (k,) give as draws first to first + count - 1, which may lie past the history's end: '<u4' (k, count)."""
    search = streams.search()
    device = open_device("cpu", search.recipe, 0, form=search.form)
    return np.asarray(streams.outputs(device, streams.survivors[rows], first, first + count), np.uint32)


def held_against(streams: Streams, rows: npt.NDArray[np.int64], first: int, count: int) -> PoolHits:
    """A pool of survivors `rows` (k,) against draws first to first + count - 1; see `learning.pool_hits`."""
    draws = streams.history.draws[first : first + count]
    return learning.pool_hits(predicted(streams, rows, first, count), draws, chances(streams, first, count))


def random_pools(streams: Streams, k: int, first: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Hits of RANDOM_POOLS pools of k survivors drawn at random, against the same draws: (RANDOM_POOLS,)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    pools = np.stack([rng.choice(len(streams.survivors), k, replace=False) for _ in range(RANDOM_POOLS)])
    used, place = np.unique(pools, return_inverse=True)
    right = predicted(streams, used, first, count) == streams.history.draws[first : first + count]
    return np.asarray(right[place.reshape(pools.shape)].any(axis=1).sum(axis=1))


def kept(
    survivors: npt.NDArray[np.void],
    draws: Counts,
    recipe: str,
    modulus: int,
    given: dict[str, int],
    window: tuple[int, int, int],
) -> Streams:
    """Streams as a result file has them. survivors: rows with seed, skip, offset; window: boundary, draws behind it and ahead."""
    history = History(draws, None, None, "a result file", 0, np.arange(len(draws), dtype=np.uint32))
    return Streams(survivors, recipe, modulus, given, history, *window, payload_hash="")
