"""The whole seed space of 48-bit LCGs by their low bits: seconds of one core for each skip.

python benchmarks/lift.py [--json FILE]"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import common
from families import planted, seconds

from prng_mpi.devices.lift import LiftDevice
from prng_mpi.recipes import recipe

RECIPES = ("java.nextInt", "orig.java_lcg")
THRESHOLDS = (1.0, 0.7, 0.5, 0.3)
DRAWS, SKIP_MAX, SPACE = 100, 16, 2**48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about = common.machine()
    print(about, "\n")
    rows = []
    for name in RECIPES:
        device = LiftDevice(recipe(name))
        for threshold in THRESHOLDS:
            search, seed = planted(recipe(name), threshold, DRAWS, SKIP_MAX)
            found = device.sieve(search, 0, SPACE)
            if found is None or [seed] != found["seed"].tolist():
                raise SystemExit(f"{name}, threshold {threshold}: the lift finds {found}, not the planted seed {seed}")
            took = statistics.median(seconds(lambda: device.sieve(search, 0, SPACE)) for _ in range(5))  # noqa: B023
            rows.append({"recipe": name, "threshold": threshold, "seconds": took, "per_skip": took / search.per_seed})
    cells = [[name, *(f"{row['per_skip'] * 1e3:.3g} ms" for row in rows if row["recipe"] == name)] for name in RECIPES]
    print(f"All 2^48 seeds, {DRAWS} draws, one of the skips 0 to {SKIP_MAX}; the planted seed alone is found\n")
    print(common.table(["recipe", *(f"threshold {t:g}" for t in THRESHOLDS)], cells))
    common.write_json(arguments.json, about, rows)


if __name__ == "__main__":
    main()
