"""Invert over the whole seed space of 32-bit states: seconds of one core for each skip, beside the naive loop of the same
run at 100 draws and skips 0 to 16.

python benchmarks/invert.py [--json FILE]"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import common
import numpy as np
from families import LOOPS, loop_library, planted, run_loop, seconds

from prng_mpi.devices.invert import InvertDevice
from prng_mpi.recipes import recipe
from prng_mpi.search import Search

# Recipe, draws, skips 0 to, threshold; the last is the replaced system's headline.
WORK = (
    ("xorshift32.mod", 100, 16, 0.5),
    ("xorshift32.mod", 100, 16, 0.05),
    ("lcg.mod", 100, 16, 0.5),
    ("lcg.mod", 100, 16, 0.05),
    ("orig.lcg32", 512, 20, 0.01),
)
CLUSTER = 2.08e6
SPACE, LOOP_SEEDS, ROUNDS = 2**32, 1500, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about = common.machine()
    print(about, "\n")
    library, rows = loop_library(), []
    for name, k, skip_max, threshold in WORK:
        what = recipe(name)
        search, seed = planted(what, threshold, k, skip_max)
        # The planted seed's skip stands for all: each costs the same.
        skip = skip_max // 2
        one = Search(what, search.modulus, search.draws, 0, search.need, (skip, skip))
        device = InvertDevice(what)
        found = device.sieve(one, 0, SPACE)
        if found is None or seed not in found["seed"]:
            raise SystemExit(f"{name}, {k} draws: the planted seed {seed} is not found")
        loop = LOOPS["orig.lcg32" if name == "orig.lcg32" else name.removesuffix(".mod")]
        took, naive = [], []
        for _ in range(ROUNDS):
            naive.append(seconds(lambda: run_loop(library, loop, search, 1, LOOP_SEEDS)) / LOOP_SEEDS)  # noqa: B023
            took.append(seconds(lambda: device.sieve(one, 0, SPACE)))  # noqa: B023
        rate = SPACE / (statistics.median(took) * (skip_max + 1))
        ratio = statistics.median(n * SPACE / (t * (skip_max + 1)) for n, t in zip(naive, took, strict=True))
        row = {"recipe": name, "draws": k, "skip_max": skip_max, "threshold": threshold, "survivors": len(found)}
        rows.append(row | {"seconds": statistics.median(took), "seeds_per_second": rate, "ratio": ratio})
    cells = [
        [
            f"{r['recipe']}, {r['draws']} draws, skips 0 to {r['skip_max']}, threshold {r['threshold']:g}",
            f"{r['seconds']:.2f} s", f"{r['seeds_per_second'] / 1e6:,.0f}", f"{r['ratio']:,.0f}",
            f"{r['seeds_per_second'] / CLUSTER:.1f}" if r["draws"] == 512 else "",
        ]
        for r in rows
    ]  # fmt: skip
    print("All 2^32 seeds, one skip measured; 10^6 seeds/s are over all skips; the planted seed is found\n")
    print(common.table(["work", "each skip", "10^6 seeds/s", "x the loop", "x 26 GPUs of the replaced system"], cells))
    common.write_json(arguments.json, about, rows)
    assert np.isfinite([r["ratio"] for r in rows]).all()


if __name__ == "__main__":
    main()
