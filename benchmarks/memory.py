"""Peak memory of CPU sieve ranks: the kernel's high-water mark of each rank of `mpirun -np 2`. Goal: at most 100 MB.

python benchmarks/memory.py [--ranks N] [--seconds S] [--json FILE]"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
import time
from pathlib import Path

import common

GOAL_MB = 100.0
RECIPES = ("java.nextInt", "mt19937.mod")


def high_water(pid: int) -> float:
    """Peak resident memory of a process in MB (10^6 bytes); 0 if it is gone."""
    with contextlib.suppress(OSError):
        if match := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
            return int(match.group(1)) * 1024 / 1e6
    return 0.0


def peaks(recipe: str, ranks: int, seconds: float) -> dict[int, float]:
    """Rank -> peak in MB, looked at until the rank is gone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = [
            *("-m", "prng_mpi.sieve", "--draws", common.draws(folder), "--recipe", recipe, "--window", 100),
            *(
                "--skip-max",
                16,
                "--threshold",
                0.5,
                "--seed-end",
                2**32,
                "--time-limit",
                seconds,
                "--device",
                "cpu",
                "--method",
                "lanes",
            ),
            *("--output-dir", folder / "run"),
        ]
        highest: dict[int, float] = {}
        with common.ranks(ranks, program) as process:
            found: dict[int, int] = {}
            while process.poll() is None:
                if len(found) < ranks:
                    found |= common.rank_processes(str(folder / "run"))
                for rank, pid in found.items():
                    highest[rank] = max(highest.get(rank, 0.0), high_water(pid))
                # The last peak comes when root writes results.h5, a fraction of a second before it ends.
                time.sleep(0.01)
            common.finish(process, allowed=(0, 1, 4))
        return highest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long the ranks compute")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    about = common.machine()
    print(about, "\n")
    found = [
        (recipe, rank, peak)
        for recipe in RECIPES
        for rank, peak in sorted(peaks(recipe, arguments.ranks, arguments.seconds).items())
    ]
    cells = [(recipe, rank, f"{peak:.1f}", "PASS" if peak <= GOAL_MB else "over") for recipe, rank, peak in found]
    print(common.table(["recipe", "rank", "peak MB", f"at most {GOAL_MB:.0f}"], cells))
    common.write_json(
        arguments.json, about, [dict(zip(("recipe", "rank", "peak_mb"), row, strict=True)) for row in found]
    )
    sys.exit(any(peak > GOAL_MB for _, _, peak in found))


if __name__ == "__main__":
    main()
