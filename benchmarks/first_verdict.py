"""A new user's way from the clone to a verdict: environment, MPI, compiling, search. Goal: at most five minutes.

python benchmarks/first_verdict.py [--json FILE]

Clones this checkout's last commit, runs its launch/demo.sh with neither pip's cache nor compiled kernels, and reads the verdict."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common

GOAL_SECONDS = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    about = common.machine()
    print(about, "\n")
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "prng_mpi"
        # What an environment that is in use would lend.
        lent = ("VIRTUAL_ENV", "PYTHONPATH", "VENV", "NP", "HOSTFILE")
        own = {key: value for key, value in os.environ.items() if key not in lent}
        own |= {"PIP_NO_CACHE_DIR": "1", "XDG_CACHE_HOME": str(Path(name) / "cache")}
        began = time.monotonic()
        subprocess.run(["git", "clone", "-q", f"file://{common.TOP}", clone], check=True)
        cloned = time.monotonic()
        subprocess.run([clone / "launch/setup.sh", "mpi"], check=True, env=own)
        ready = time.monotonic()
        done = subprocess.run([clone / "launch/demo.sh"], env=own, capture_output=True, text=True, check=False)
        ended = time.monotonic()
    if done.returncode != 0 or "FOUND" not in done.stdout:
        raise SystemExit(f"{done.stdout}{done.stderr}\nthe demo ended with {done.returncode} and no find")
    row = {"clone": cloned - began, "environment": ready - cloned, "verdict": ended - ready, "all": ended - began}
    cells = [f"{row[key]:.1f}" for key in row]
    goal = f"{'PASS' if row['all'] <= GOAL_SECONDS else 'over'} (at most {GOAL_SECONDS:.0f} s)"
    print(f"Seconds, one after the other\n\n{common.table([*row, 'goal'], [[*cells, goal]])}")
    common.write_json(arguments.json, about, [row])
    sys.exit(row["all"] > GOAL_SECONDS)


if __name__ == "__main__":
    main()
