"""Two ranks against one, a thread each, on two cores: the same 2^32 seeds through mpirun, in turn. Goal: at least 1.95 times as fast.

python benchmarks/ranks.py [--rounds N] [--json FILE]"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import common

GOAL = 1.95


def search(ranks: int, folder: Path, at_once: int = 1) -> dict[str, float]:
    """2^32 seeds by one run, or shared by several at once that know nothing of each other: 11 s on one core. seconds: what the
    longest search itself took; wall: all of mpirun; busy: the cores that all processes of this host kept busy meanwhile, more
    than the ranks where the machine is shared."""
    share = 2**32 // at_once
    runs = [folder / f"run{time.monotonic_ns()}.{n}" for n in range(at_once)]
    busy, began = cpu_seconds(), time.monotonic()
    processes: list[subprocess.Popen[str]] = []
    with contextlib.ExitStack() as stack:
        for n, run in enumerate(runs):
            options = "--recipe xorshift32.mod --window 30 --skip-max 3 --threshold 0.5 --method lanes --device cpu --threads 1"
            options += f" --seeds {n * share}:{(n + 1) * share} --output-dir {run} --draws {common.draws(folder)}"
            processes.append(stack.enter_context(common.ranks(ranks, ["-m", "prng_mpi.sieve", *options.split()])))
        for process in processes:
            common.finish(process, allowed=(0, 1))
    wall = time.monotonic() - began
    summaries = [json.loads((run / "summary.json").read_text()) for run in runs]
    for summary in summaries:
        if summary["seeds_done"] != share or len(summary["idle_share"]) != ranks:
            raise SystemExit(f"{ranks} ranks: {summary['seeds_done']} seeds done by {len(summary['idle_share'])}")
    seconds = max(summary["wall_seconds"] for summary in summaries)
    return {"seconds": seconds, "wall": wall, "busy": (cpu_seconds() - busy) / wall}


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
            one, two, apart = search(1, Path(name)), search(2, Path(name)), search(1, Path(name), at_once=2)
            rows.append(
                {f"{key}_{n}": run[key] for n, run in (("1", one), ("2", two), ("apart", apart)) for key in run}
            )
            rows[-1] |= {"ratio": one["seconds"] / two["seconds"], "wall_ratio": one["wall"] / two["wall"]}
            rows[-1] |= {"possible": one["seconds"] / apart["seconds"]}
    cells = [[number, *(f"{value:.2f}" for value in row.values())] for number, row in enumerate(rows, 1)]
    print(common.table(["round", *rows[0]], cells))
    ratio = statistics.median(row["ratio"] for row in rows)
    possible = statistics.median(row["possible"] for row in rows)
    print(f"\nmedian of the searches' ratios {ratio:.2f}, {'PASS' if ratio >= GOAL else 'below'}: goal {GOAL}")
    print(f"two runs of one rank that know nothing of each other, half the seeds each: {possible:.2f}")
    common.write_json(arguments.json, about, rows)


if __name__ == "__main__":
    main()
