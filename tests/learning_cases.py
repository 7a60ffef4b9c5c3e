"""Scored survivors for the tests of learning: real streams of java.util.Random beside a history, a few plain features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from prng_mpi.pools import Stock
from prng_mpi.records import CUT, SURVIVOR
from prng_mpi.store import Scores, write_scores

MODULUS, SKIP = 1000, 3
NAMES = ("match_rate", "recent_rate", "mod8_rate", "mod125_rate", "mean", "spread")
TRUE_SEED = 2_345_678


def history(draws: int, planted: bool, seed: int) -> np.ndarray:
    """Draws of a java.util.Random, three calls before each, of which 30 % are replaced; or nothing but noise: '<u4' (draws,)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    noise = rng.integers(0, MODULUS, draws).astype(np.uint32)
    if not planted:
        return noise
    stream = stock(np.array([TRUE_SEED]), noise).predicted(np.array([0]), 0, draws)[0]
    return np.where(rng.random(draws) < 0.3, noise, stream)


def stock(seeds: np.ndarray, draws: np.ndarray) -> Stock:
    """Survivors of these seeds."""
    survivors = np.zeros(len(seeds), SURVIVOR)
    survivors["seed"], survivors["skip"] = seeds, SKIP
    return Stock("java.nextInt", MODULUS, {}, survivors, draws)


def scores(
    folder: Path, planted: bool, survivors: int = 300, cuts: int = 5, span: int = 200, used: int = 600, seed: int = 1
) -> Scores:
    """A full_scoring's results.h5 in `folder`, and its history beside it: so many survivors at so many cuts, `used` draws before
    the first of them and `span` in each label. The true seed, where it is planted, stands in the middle."""
    folder.mkdir(parents=True, exist_ok=True)
    total = used + span * (cuts - 1)
    draws = history(total, planted, seed)
    (folder / "draws.json").write_text(json.dumps(draws.tolist()))
    seeds = np.random.Generator(np.random.PCG64(seed + 1)).choice(2**22, survivors, replace=False)
    if planted:
        seeds[survivors // 2] = TRUE_SEED
    own = stock(seeds, draws)
    streams = own.predicted(np.arange(survivors), 0, total)
    right, ends = streams == draws, used + span * np.arange(cuts)
    when = np.zeros(cuts, CUT)
    when["used_end"] = when["label_start"] = ends
    when["label_end"] = np.append(ends[1:], total)
    features = np.zeros((cuts, survivors, len(NAMES)), np.float32)
    for cut, end in enumerate(ends):
        p, d = streams[:, :end], draws[:end]
        columns = (
            right[:, :end], right[:, end - 200 : end], p % 8 == d % 8, p % 125 == d % 125, p / MODULUS,
        )  # fmt: skip
        features[cut, :, :5] = np.stack([each.mean(axis=1) for each in columns], axis=1)
        features[cut, :, 5] = p.std(axis=1)
    labels = np.stack([right[:, a:b].sum(axis=1) for a, b in zip(ends, when["label_end"].astype(int), strict=True)])
    made = Scores(
        folder / "results.h5", own.survivors, when, NAMES, ("share",) * len(NAMES), features, ("entropy",),
        np.zeros((cuts, 1), np.float32), labels.astype(np.uint32),
        {
            "recipe": "java.nextInt", "modulus": MODULUS, "params": {}, "schema_hash": "0", "identity": {"step": "full_scoring"},
            "config": f"draws = {json.dumps(str(folder / 'draws.json'))}\n",
        },
    )  # fmt: skip
    write_scores(made)
    return made
