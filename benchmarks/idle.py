"""Idle share of ranks whose starting weights are wrong by 6: two equal ranks, of which rank 1 claims to be 6 times as
fast. Goal: at most 3 % over 60 s.

python benchmarks/idle.py [--seconds S] [--json FILE]"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import common

GOAL_SHARE = 0.03
# The sieve, but for what rank 1 says of itself.
DRIVER = """
import os
from prng_mpi import sieve, step

honest = sieve.weight

def boasting(kind, name, measured):
    return honest(kind, name, measured) * (6 if os.environ["OMPI_COMM_WORLD_RANK"] == "1" else 1)

sieve.weight = boasting
step.main(sieve.SieveOptions, sieve.prepare, sieve.run)
"""


def idle_shares(seconds: float) -> tuple[dict[int, float], int]:
    """(rank -> idle share from its device's start to the end of the run, seeds done)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        driver = folder / "driver.py"
        driver.write_text(DRIVER)
        program = [
            *(driver, "--draws", common.draws(folder), "--recipe", "mt19937.mod", "--window", 100, "--skip-max", 16),
            *("--threshold", 0.5, "--time-limit", seconds, "--device", "cpu", "--output-dir", folder / "run"),
        ]
        with common.ranks(2, program) as process:
            common.finish(process, allowed=(4,))
        summary = json.loads((folder / "run/summary.json").read_text())
        weights = {
            event["rank"]: event["weight"]
            for event in map(json.loads, (folder / "run/events.jsonl").read_text().splitlines())
            if event["kind"] == "device_ready"
        }
        if round(weights[1] / weights[0], 6) != 6:
            raise SystemExit(f"the weights are {weights}, not wrong by 6")
        return {int(rank): share for rank, share in summary["idle_share"].items()}, summary["seeds_done"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    about = common.machine()
    print(about, "\n")
    shares, seeds = idle_shares(arguments.seconds)
    rows = [{"rank": rank, "idle_share": share, "seconds": arguments.seconds} for rank, share in sorted(shares.items())]
    cells = [
        (row["rank"], f"{row['idle_share']:.2%}", "PASS" if row["idle_share"] <= GOAL_SHARE else "over") for row in rows
    ]
    print(f"mt19937.mod, {arguments.seconds:g} s, weights 1 : 6, devices 1 : 1, {seeds:,} seeds\n")
    print(common.table(["rank", "idle", f"at most {GOAL_SHARE:.0%}"], cells))
    common.write_json(arguments.json, about, rows)
    sys.exit(any(row["idle_share"] > GOAL_SHARE for row in rows))


if __name__ == "__main__":
    main()
