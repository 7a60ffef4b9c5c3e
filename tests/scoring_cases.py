"""What the tests of scoring share: a planted java.util.Random, its survivors made by hand or by a sieve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import support
from prng_mpi.history import History
from prng_mpi.records import SURVIVOR
from prng_mpi.streams import Streams

# Of the planted java.util.Random; its draws have this skip and share of noise.
SEED, SKIP, NOISE = 2_345_678, 3, 0.3


def some(draws: Any, count: int, boundary: int = 0, behind: int = 0, seed: int = 1) -> Streams:
    """Survivors as chance gives them, the true one first, and a window of 30 draws."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = np.zeros(count, SURVIVOR)
    rows["seed"], rows["skip"], rows["offset"] = (
        rng.integers(0, 2**48, count),
        rng.integers(0, 6, count),
        rng.integers(0, 3, count),
    )
    rows[0]["seed"], rows[0]["skip"], rows[0]["offset"] = SEED, SKIP, (SKIP + 1) * boundary
    values = np.array(draws, np.uint32)
    history = History(values, None, None, "test", 0, np.arange(len(values), dtype=np.uint32))
    return Streams(rows, "java.nextInt", 1000, {}, history, boundary, behind, 30, "")


def sieve(folder: Path, draws: Path, *more: object) -> Path:
    filters = ("--recipe", "java.nextInt", "--window", 40, "--skip-max", 5, "--device", "cpu", *more)
    ended = support.run_sieve(["--draws", draws, *filters, "--output-dir", folder])
    assert ended.code in (0, 1), ended.stderr
    return folder


def scoring(found: tuple[Path, Path], folder: Path, *more: object) -> list[object]:
    return ["--survivors", found[0], "--draws", found[1], "--device", "cpu", "--output-dir", folder, *more]
