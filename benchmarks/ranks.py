"""Two ranks against one, a thread each, on two cores: the same 2^32 seeds through mpirun, in turn. Goal: at least 1.95 times as fast.

python benchmarks/ranks.py [--rounds N] [--json FILE]"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import common

GOAL, RANKS = 1.95, (1, 2)


def search(ranks: int, folder: Path) -> dict[str, float]:
    """One run of some 15 s on one rank. seconds: what the search itself took; wall: all of mpirun; busy: the cores that all
    processes of this host kept busy meanwhile, more than the ranks where the machine is shared."""
    run = folder / f"run{time.monotonic_ns()}"
    program = [
        *("-m", "prng_mpi.sieve", "--draws", common.draws(folder), "--recipe", "xorshift32.mod", "--window", 30),
        *(
            "--skip-max",
            3,
            "--threshold",
            0.5,
            "--method",
            "lanes",
            "--device",
            "cpu",
            "--threads",
            1,
            "--output-dir",
            run,
        ),
    ]
    busy, began = cpu_seconds(), time.monotonic()
    with common.ranks(ranks, program) as process:
        common.finish(process, allowed=(0, 1))
    wall = time.monotonic() - began
    summary = json.loads((run / "summary.json").read_text())
    if summary["seeds_done"] != 2**32 or len(summary["idle_share"]) != ranks:
        raise SystemExit(f"{ranks} ranks: {summary['seeds_done']} seeds done by {len(summary['idle_share'])}")
    return {"seconds": summary["wall_seconds"], "wall": wall, "busy": (cpu_seconds() - busy) / wall}


def cpu_seconds() -> float:
    """CPU seconds of all processes of this host since its start."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    about = common.machine()
    print(about, "\n")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(arguments.rounds):
            one, two = (search(ranks, Path(name)) for ranks in RANKS)
            rows.append({f"{key}_{n}": run[key] for n, run in zip(RANKS, (one, two), strict=True) for key in run})
            rows[-1] |= {"ratio": one["seconds"] / two["seconds"], "wall_ratio": one["wall"] / two["wall"]}
    cells = [[number, *(f"{value:.2f}" for value in row.values())] for number, row in enumerate(rows, 1)]
    print(common.table(["round", *rows[0]], cells))
    ratio = statistics.median(row["ratio"] for row in rows)
    print(f"\nmedian of the searches' ratios {ratio:.2f}, {'PASS' if ratio >= GOAL else 'below'}: goal {GOAL}")
    common.write_json(arguments.json, about, rows)


if __name__ == "__main__":
    main()
