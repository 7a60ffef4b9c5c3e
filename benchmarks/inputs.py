"""Memory of a host whose ranks share a large history: the sum over its ranks of what each holds, and of its part of what they
share (PSS), with the inputs once on the host and, beside it, a copy in each rank.

python benchmarks/inputs.py [--ranks N] [--megabytes M] [--json FILE]"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

import common

# Above what ranks hold without inputs, times the size of these: one for all, and a tenth for what comes with it.
GOAL = 1.1
# A step whose inputs are a history, and whose ranks read all of it and say what memory they hold.
DRIVER = """
import re, sys, time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import numpy as np
from prng_mpi import segment, step
from prng_mpi.config import option
from prng_mpi.errors import ExitCode
from prng_mpi.history import History

@dataclass(frozen=True)
class Options:
    STEP: ClassVar[str] = "inputs"
    draws: int = option(0, "draws of 4 bytes")
    copies: bool = option(False, "a copy in each rank")
    show_config: bool = option(False, "-")

def prepare(loaded):
    n = loaded.value.draws
    return History(np.arange(n, dtype=np.uint32) % 1000, None, None, "made", 0, np.zeros(0, np.uint32))

def refuse(*_):
    raise OSError("asked for copies")

if "--copies" in sys.argv:
    segment.make = refuse

def run(comm, o, history):
    assert int(history.draws.sum(dtype=np.int64)) == sum(range(1000)) * o.draws // 1000
    # PSS depends on how many map a page: all must have read theirs before anyone looks.
    time.sleep(5)
    held = re.search(r"Pss: +(\\d+) kB", Path("/proc/self/smaps_rollup").read_text())
    print(f"rank {comm.rank} holds {held.group(1)} kB", file=sys.stderr, flush=True)
    time.sleep(3)
    return ExitCode.FOUND

step.main(Options, prepare, run)
"""


def held(ranks: int, megabytes: int, *options: str) -> list[float]:
    """MB that each rank holds, with a history of so many MB."""
    with tempfile.TemporaryDirectory() as name:
        driver = Path(name) / "driver.py"
        driver.write_text(DRIVER)
        with common.ranks(ranks, [driver, "--draws", megabytes * 250_000, *options]) as process:
            said = common.finish(process, allowed=(0,))
    return [int(kb) * 1024 / 1e6 for kb in re.findall(r"holds (\d+) kB", said)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    about = common.machine()
    print(about, "\n")
    cases = {
        "none": (0,),
        "one for the host": (arguments.megabytes,),
        "one for each rank": (arguments.megabytes, "--copies"),
    }
    rows = []
    for name, (size, *options) in cases.items():
        each = held(arguments.ranks, size, *options)
        if len(each) != arguments.ranks:
            raise SystemExit(f"{len(each)} of {arguments.ranks} ranks said what they hold")
        rows.append({"inputs": name, "ranks": len(each), "inputs_mb": size, "host_mb": sum(each)})
    base = rows[0]["host_mb"]
    times = {row["inputs"]: (row["host_mb"] - base) / arguments.megabytes for row in rows[1:]}
    cells = [
        (row["inputs"], f"{row['host_mb']:.0f}", f"{times[row['inputs']]:.2f} x" if row["inputs"] in times else "")
        for row in rows
    ]
    print(f"{arguments.ranks} ranks on one host, a history of {arguments.megabytes} MB\n")
    print(common.table(["copies of the inputs", "MB of all ranks", "above none"], cells))
    common.write_json(arguments.json, about, rows)
    sys.exit(times["one for the host"] > GOAL)


if __name__ == "__main__":
    main()
