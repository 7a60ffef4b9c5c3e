"""What it costs to check the devices while they search: runs with audits and without, in turn, on one core. Goal: at most 2 %.

Two figures. *CPU time* of whole runs of the same search with and without audits; a busy machine disturbs it by some per cent,
so the quotient is that of the medians, with the range of the quotients of neighbours. *Share*: CPU time that the checks
themselves took within the runs, on the device and on root, over that of the search; it is exact but for what caches lose.

python benchmarks/protection.py [--rounds N] [--seconds S]"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common

GOAL = 0.02
# The searches: a fast recipe whose lanes are squares, a slow one, and one with thousands of survivors.
SEARCHES = {
    "java.nextInt, all of 30 draws, 17 skips": ("java.nextInt", 2**32, ("--window", 30, "--skip-max", 16)),
    "java.nextInt, 2 of 8 draws, 9 skips": ("java.nextInt", 2**32, ("--window", 8, "--threshold", 0.25, "--skip-max", 8, "--max-survivors", 1e9)),
    "mt19937.mod, 15 of 30 draws, 17 skips": ("mt19937.mod", 2**32, ("--window", 30, "--threshold", 0.5, "--skip-max", 16)),
}  # fmt: skip
# The sieve; it counts CPU time of threads in the checks, and of the process. Root's thread and the device's are apart.
DRIVER = """
import json, os, sys, threading, time
from prng_mpi import audits, sieve, step

spent, lock = {"checks": 0.0, "audits": 0}, threading.Lock()

def timed(owner, name):
    whole = getattr(owner, name)
    inside = threading.local()
    def wrapped(*a, **k):
        began = time.thread_time()
        try:
            return whole(*a, **k)
        finally:
            with lock:
                spent["checks"] += time.thread_time() - began
    setattr(owner, name, wrapped)

honest = audits.examine
def examine(*a, **k):
    began = time.thread_time()
    # What root examines itself is within what is counted below.
    ours = threading.current_thread().name == "device"
    answer = honest(*a, **k)
    with lock:
        spent["checks"] += (time.thread_time() - began) * ours
        spent["audits"] += ours
    return answer
audits.examine = examine
for name in ("attach", "heard", "closing"):
    timed(audits.Auditor, name)
search = sieve._lead
def lead(*a, **k):
    began = time.process_time()
    code = search(*a, **k)
    spent["cpu"] = time.process_time() - began
    open(os.environ["SPENT"], "w").write(json.dumps(spent))
    return code
sieve._lead = lead
step.main(sieve.SieveOptions, sieve.prepare, sieve.run)
"""


def run(recipe: str, end: int, search: tuple[object, ...], seconds: float, share: float) -> dict[str, float]:
    """A run of so many seconds: CPU time a seed, and what of it the checks took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        driver, spent = folder / "driver.py", folder / "spent.json"
        driver.write_text(DRIVER)
        words = [
            *(sys.executable, driver, "--draws", common.draws(folder), "--recipe", recipe, "--seed-end", end, *search),
            *("--method", "lanes", "--device", "cpu", "--threads", 1, "--time-limit", seconds, "--audit-share", share),
            *("--output-dir", folder / "run"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(common.TOP / "src"), "SPENT": str(spent)}
        done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1, 4):
            raise SystemExit(done.stdout + done.stderr)
        summary, told = json.loads((folder / "run/summary.json").read_text()), json.loads(spent.read_text())
        return {**told, "each": told["cpu"] / summary["seeds_done"], "chunks": len(summary["devices"]),
                "checked": summary["trust"]["checks"].get("audit", 0)}  # fmt: skip


def measure(recipe: str, end: int, search: tuple[object, ...], rounds: int, seconds: float) -> dict[str, Any]:
    """Rounds of a run with audits and one without."""
    on, off = [], []
    for number in range(rounds):
        # Whichever comes second finds a warmer machine.
        for share in (0.01, 0.0) if number % 2 else (0.0, 0.01):
            (on if share else off).append(run(recipe, end, search, seconds, share))
    quotients = [a["each"] / b["each"] - 1 for a, b in zip(on, off, strict=True)]
    return {
        "cost": statistics.median(a["each"] for a in on) / statistics.median(b["each"] for b in off) - 1,
        "least": min(quotients),
        "most": max(quotients),
        "share": sum(a["checks"] for a in on) / sum(a["cpu"] for a in on),
        "audits": sum(a["checked"] for a in on),
        "seconds": sum(a["cpu"] for a in on),
    }


def main() -> None:
    """Measure, print a table, and fail where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs of each search")
    parser.add_argument("--seconds", type=float, default=12, help="length of a run")
    given = parser.parse_args()
    print(f"{common.machine()}\n", flush=True)
    rows, missed = [], False
    for name, (recipe, end, search) in SEARCHES.items():
        got = measure(recipe, end, search, given.rounds, given.seconds)
        missed |= got["share"] > GOAL
        rows.append((name, f"{got['share']:.2%}", f"{got['cost']:+.2%}", f"{got['least']:+.1%} to {got['most']:+.1%}",
                     got["audits"], f"{got['seconds']:.0f} s"))  # fmt: skip
    print(common.table(("search", "share of CPU time", "cost, whole runs", "of neighbours", "audits", "in"), rows))
    if missed:
        raise SystemExit(f"the checks take more than {GOAL:.0%}")


if __name__ == "__main__":
    main()
