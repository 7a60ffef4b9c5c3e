"""Survivors scored a second on one core, against the replaced system's cluster of 26 GPUs.

python benchmarks/scoring.py [--survivors N] [--json FILE]"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import common
import numpy as np

from prng_mpi.features import Scorer, registry
from prng_mpi.full_scoring import ARRAYS, Plan, Scoring, cuts_of
from prng_mpi.history import History
from prng_mpi.records import SURVIVOR
from prng_mpi.streams import Streams

# Its figures: survivors, seconds, GPUs, columns of its feature table of which so many were constant or another one again.
REPLACED = {"survivors": 98_172, "seconds": 313, "gpus": 26, "columns": 91, "idle": 27}
DRAWS, SEEN, WINDOW, SKIP = 5000, 4000, 40, 3
SHAPES = {"4000 draws, labels from 1000, and the end": (SEEN, 1), "four labelled cuts and the end": (0, 4)}


def streams(count: int) -> Streams:
    """Survivors of java.util.Random as chance gives them."""
    rng = np.random.Generator(np.random.PCG64(1))
    rows = np.zeros(count, SURVIVOR)
    rows["seed"], rows["skip"] = rng.integers(0, 2**48, count), SKIP
    draws = rng.integers(0, 1000, DRAWS).astype(np.uint32)
    return Streams(rows, "java.nextInt", 1000, {}, History(draws, None, None, "", 0, draws), 0, 0, WINDOW, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survivors", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    o = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about, rows = common.machine(), []
    read, scorer = streams(o.survivors), Scorer()
    columns = len(registry(scorer, 1000, False))
    goal = REPLACED["survivors"] / REPLACED["seconds"]
    for shape, (seen, spans) in SHAPES.items():
        plan = Plan(read, cuts_of(read.window, DRAWS, seen, spans), scorer, {}, Path(), "")
        for arrays in ARRAYS[1:]:
            work = Scoring(plan, "cpu", 0, 1, arrays, 0.0, 1)
            # Compiled, loaded, and the tables made.
            assert work(0, 64, lambda: False) is not None
            began = time.process_time()
            assert work(0, o.survivors, lambda: False) is not None
            speed = o.survivors / (time.process_time() - began)
            rows.append({
                "shape": shape, "arrays": arrays, "cuts": len(plan.cuts), "columns": columns, "survivors_per_second": speed,
                "ratio": speed / goal,
            })  # fmt: skip
    print(
        f"{about}\n\njava.nextInt, skip {SKIP}, {DRAWS} draws, {o.survivors} survivors, {columns} columns at each cut, one core, CPU time."
    )
    print(
        f"Replaced system: {REPLACED['columns']} columns, {REPLACED['idle']} of them constant or twins, {REPLACED['gpus']} GPUs: {goal:.0f} survivors/s.\n"
    )
    print(common.table(
        ("cuts", "arrays", "survivors/s", "columns/s", "times the 26 GPUs"),
        [(f"{r['cuts']}: {r['shape']}", r["arrays"], f"{r['survivors_per_second']:.0f}",
          f"{r['survivors_per_second'] * columns * r['cuts']:.2g}", f"{r['ratio']:.1f}") for r in rows],
    ))  # fmt: skip
    common.write_json(o.json, about, rows)


if __name__ == "__main__":
    main()
