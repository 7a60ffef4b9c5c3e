"""Scored survivors for the tests of learning: real streams of java.util.Random beside a history, a few plain features."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from prng_mpi.history import read_history
from prng_mpi.ledger import canonical_json
from prng_mpi.pools import kept, predicted
from prng_mpi.records import CUT, SURVIVOR
from prng_mpi.store import Scores, chunk_table, payload_hash, rank_table, write_results, write_scores
from prng_mpi.streams import Streams
from support import planted as planted_draws
from support import uniform, write_draws

MODULUS, SKIP, WINDOW = 1000, 3, 20
NAMES = ("match_rate", "recent_rate", "mod8_rate", "mod125_rate", "mean", "spread")
TRUE_SEED = 2_345_678


def streams(seeds: np.ndarray, draws: np.ndarray) -> Streams:
    """Survivors of these seeds, found in the first WINDOW draws."""
    survivors = np.zeros(len(seeds), SURVIVOR)
    survivors["seed"], survivors["skip"] = seeds, SKIP
    return kept(survivors, draws, "java.nextInt", MODULUS, {}, (0, 0, WINDOW))


def sieve(folder: Path, own: Streams) -> str:
    """The folder of a sieve that these survivors came from; its payload hash."""
    folder.mkdir()
    identity = {
        "recipe": "java.nextInt", "modulus": MODULUS, "window_start": 0, "params": {}, "draws": own.history.draws[:WINDOW].tolist(),
    }  # fmt: skip
    found = payload_hash(own.survivors, "0")
    none = np.zeros(0)
    write_results(
        folder / "results.h5", own.survivors, chunk_table([]), rank_table([], []), histogram=(none, none, none),
        attributes={"identity": canonical_json(identity), "identity_hash": "0", "payload_hash": found, "config": ""},
    )  # fmt: skip
    return found


def scores(
    folder: Path, planted: bool, survivors: int = 300, cuts: int = 5, span: int = 200, used: int = 600, seed: int = 1
) -> Scores:
    """A full_scoring's results.h5 in `folder`, and its history beside it: so many survivors at so many cuts, `used` draws before
    the first of them and `span` in each label. TRUE_SEED is among them where it is planted."""
    folder.mkdir(parents=True, exist_ok=True)
    total = used + span * (cuts - 1)
    draws = read_history(
        write_draws(folder, planted_draws(TRUE_SEED, total, SKIP, 0.3) if planted else uniform(seed, total, MODULUS))
    ).draws
    seeds = np.random.Generator(np.random.PCG64(seed + 1)).choice(2**22, survivors, replace=False)
    if planted:
        seeds[survivors // 2] = TRUE_SEED
    # In their order, as a sieve has them.
    own = streams(np.sort(seeds), draws)
    outputs = predicted(own, np.arange(survivors), 0, total)
    right, ends = outputs == draws, used + span * np.arange(cuts)
    when = np.zeros(cuts, CUT)
    when["used_end"] = when["label_start"] = ends
    when["label_end"] = np.append(ends[1:], total)
    features = np.zeros((cuts, survivors, len(NAMES)), np.float32)
    for cut, end in enumerate(ends):
        p, d = outputs[:, :end], draws[:end]
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
            "config": "".join(f"{name} = {json.dumps(str(folder / place))}\n" for name, place in
                              (("survivors", "sieve"), ("draws", "draws.json"))),
            "survivors_hash": sieve(folder / "sieve", own), "data_hash": hashlib.sha256(draws.tobytes()).hexdigest(),
        },
    )  # fmt: skip
    write_scores(made)
    return made
