"""What a run costs beside its devices: the CPU time of whole ranks, from the first chunk to the end, less that of the threads that
compute, in each second of the run, and which part takes it. On a quiet machine that is the share of the sieve's throughput which
leases, ledger, events, messages and all else cost a rank with one core. Goal: at most 2 %.

python benchmarks/overhead.py [--ranks N] [--seconds S] [--json FILE]"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import common

GOAL_SHARE = 0.02
# What is on top of these: messages, the farm's loop, and everything that has no name here.
PARTS = ("ledger", "events", "screen", "results")
# The sieve with a meter on its parts. What it does beside computing it does so often a second or a chunk (of a second), so CPU
# time a second hardly depends on who else uses the machine.
DRIVER = """
import json, sys, threading, time
from prng_mpi import sieve, step
from prng_mpi.comm import Comm
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.ledger import Ledger
from prng_mpi.store import EventLog

spent, began = {}, []

def meter(owner, name, what, thread="MainThread"):
    whole = getattr(owner, name)
    def metered(*arguments, **named):
        if threading.current_thread().name != thread:
            return whole(*arguments, **named)
        if thread == "device" and not began:
            began.extend((time.process_time(), time.perf_counter()))
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            return whole(*arguments, **named)
        finally:
            each = spent.setdefault(what, [0.0, 0.0])
            each[0] += time.thread_time() - cpu
            each[1] += time.perf_counter() - wall
    setattr(owner, name, metered)

meter(CpuDevice, "sieve", "device", "device")
for name in ("issue", "commit", "outcome"):
    meter(Ledger, name, "ledger")
meter(EventLog, "write", "events")
meter(sieve.Display, "show", "screen")
meter(sieve, "_conclude", "results")
finish = Comm.finish

def told(self, code, alone=False):
    if began:
        whole = [time.process_time() - began[0], time.perf_counter() - began[1]]
        print("METER", json.dumps({"rank": self.rank, "whole": whole, **spent}), file=sys.stderr, flush=True)
    finish(self, code, alone)

Comm.finish = told
step.main(sieve.SieveOptions, sieve.prepare, sieve.run)
"""


def metered(ranks: int, seconds: float) -> list[dict[str, object]]:
    """Of each rank [CPU seconds, wall seconds]: whole, device, and the parts that it has."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        driver = folder / "driver.py"
        driver.write_text(DRIVER)
        program = [
            *(driver, "--draws", common.draws(folder), "--recipe", "java.nextInt", "--window", 100, "--skip-max", 16),
            *("--threshold", 0.5, "--seed-end", 2**40, "--method", "lanes", "--threads", 1),
            *("--time-limit", seconds, "--device", "cpu", "--output-dir", folder / "run"),
        ]
        with common.ranks(ranks, program) as process:
            said = common.finish(process, allowed=(4,))
    found = [json.loads(line.partition("METER ")[2]) for line in said.splitlines() if "METER " in line]
    if len(found) != ranks:
        raise SystemExit(f"{len(found)} of {ranks} ranks said what they spent")
    return sorted(found, key=lambda row: row["rank"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    about = common.machine()
    print(about, "\n")
    rows = metered(arguments.ranks, arguments.seconds)
    cells = []
    for row in rows:
        (cpu, wall), (device, _) = row["whole"], row["device"]
        named = [row.get(part, [0.0, 0.0])[0] for part in PARTS]
        shares = [device, *named, cpu - device - sum(named), cpu - device]
        cells.append([row["rank"], f"{wall:.1f}", *(f"{share / wall:.2%}" for share in shares)])
    share = sum(row["whole"][0] - row["device"][0] for row in rows) / sum(row["whole"][1] for row in rows)
    print("java.nextInt, 100 draws, skips 0 to 16, chunks of 1 s; CPU time of each second\n")
    print(common.table(["rank", "seconds", "device", *PARTS, "messages and all else", "beside the device"], cells))
    print(f"\nall ranks: {share:.2%}, {'PASS' if share <= GOAL_SHARE else 'over'} (at most {GOAL_SHARE:.0%})")
    common.write_json(arguments.json, about, rows)
    sys.exit(share > GOAL_SHARE)


if __name__ == "__main__":
    main()
