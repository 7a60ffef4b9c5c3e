"""php71.mt_rand beside php_mt_seed, one core each: CPU time of the same 2^28 seeds, in turn, and the same seeds found.

python benchmarks/anchor.py PATH/php_mt_seed [--rounds N] [--json FILE]"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import common
import numpy as np
from families import seconds

from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.recipes import recipe
from prng_mpi.search import Search

# The anchor says where it is every 2^28 seeds.
SEEDS, PLANTED, MODULUS = 2**28, 123_456_789, 1000
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Work:
    """Three draws of mt_rand(0, 999); `goal`: how often faster than the anchor."""

    label: str
    goal: float
    skips: tuple[int, int] = (0, 0)
    offset: int = 0


WORK = (
    Work("three draws", 3.2),
    Work("three draws after ten skipped outputs", 8, offset=10),
    Work("three draws, skips 0 to 16 in one pass; the anchor once for each skip", 35, skips=(0, 16)),
)


def anchor(command: str, draws: list[int], skip: int, offset: int) -> tuple[float, set[int]]:
    """(CPU seconds of the anchor for the first 2^28 seeds of PHP 5.2.1 and later, its PHP 7.1 seeds among them)."""
    ignored = ["0", "0", "0", "0"]
    arguments = ignored * offset
    for d in draws:
        arguments += ignored * skip + [str(d), str(d), "0", str(MODULUS - 1)]
    # To a terminal it says at once what it finds.
    ours, its = os.openpty()
    process = subprocess.Popen(
        [command, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=its, stderr=its
    )
    os.close(its)
    said, began = b"", 0.0
    try:
        while part := os.read(ours, 65536):
            said += part
            # Older versions of PHP are searched first; that is not our work.
            mine = said.partition(b"5.2.1+")[2]
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            cpu = (int(fields[11]) + int(fields[12])) / _TICKS
            if b"trying 0x10000000" in mine:
                found = re.findall(rb"= (\d+) \(PHP 7.1.0\+\)", mine)
                return cpu - began, {int(seed) for seed in found}
            if b"trying 0x00000000" in mine and not began:
                began = cpu
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    raise SystemExit(f"{command} ended before 2^28 seeds: {said.decode(errors='replace')[-300:]}")


def measure(work: Work, command: str, rounds: int) -> dict[str, object]:
    """One row: seconds of both, medians of the rounds; the ratio is the median of the rounds' ratios."""
    what = recipe("php71.mt_rand")
    device, skip = CpuDevice(what), work.skips[1] // 2
    blank = Search(what, MODULUS, np.zeros(3, np.uint32), 0, 3)
    outputs = device.outputs(blank, np.array([PLANTED], np.uint64), work.offset + skip, 2 * skip + 3)[0]
    draws = np.ascontiguousarray(outputs[:: skip + 1], np.uint32)
    search = Search(what, MODULUS, draws, 0, 3, work.skips, (work.offset, work.offset))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        hits = []
        ours.append(seconds(lambda: hits.append(device.sieve(search, 0, SEEDS))))  # noqa: B023
        runs = [anchor(command, draws.tolist(), s, work.offset) for s in range(work.skips[0], work.skips[1] + 1)]
        theirs.append(sum(took for took, _ in runs))
        expected, found = set().union(*(seeds for _, seeds in runs)), set(hits[0]["seed"].tolist())
        if expected != found or PLANTED not in found:
            raise SystemExit(f"{work.label}: the anchor finds {sorted(expected)}, the sieve {sorted(found)}")
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {
        "work": work.label,
        "goal": work.goal,
        "ours_seconds": statistics.median(ours),
        "anchor_seconds": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", metavar="PHP_MT_SEED")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about = common.machine()
    print(about, "\n")
    rows = [measure(work, arguments.command, arguments.rounds) for work in WORK]
    cells = [
        (r["work"], f"{r['anchor_seconds']:.1f} s", f"{r['ours_seconds']:.2f} s", f"{r['ratio']:.2f}", r["goal"])
        for r in rows
    ]
    print(common.table(["work, 2^28 seeds", "php_mt_seed", "sieve", "ratio", "goal"], cells))
    common.write_json(arguments.json, about, rows)


if __name__ == "__main__":
    main()
