"""From mpirun to the first chunk done: 26 ranks, however few the cores. Goal: at most 10 s, compiling included.

python benchmarks/start.py [--ranks N] [--json FILE]"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import common

from prng_mpi.ledger import Ledger

GOAL_SECONDS = 10.0
# Long enough for the last of the ranks to have done a chunk.
TIME_LIMIT = 20.0


@dataclass(frozen=True)
class Phases:
    """Seconds after mpirun was started. plan: root has read the inputs and opened the run, before MPI starts; device: its
    kernel is compiled and has given the known answers, on the first and the last rank; chunk: done, likewise."""

    kernel_cache: str
    ranks: int
    plan: float
    first_device: float
    last_device: float
    first_chunk: float
    last_chunk: float
    wall: float


def start(ranks: int, cache: Path, label: str) -> Phases:
    """One run with that kernel cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # More seeds than all ranks can do: the time limit ends the run.
        program = [
            *("-m", "prng_mpi.sieve", "--draws", common.draws(folder), "--recipe", "java.nextInt", "--window", 100),
            *(
                "--skip-max",
                16,
                "--threshold",
                0.5,
                "--seed-end",
                2**48,
                "--time-limit",
                TIME_LIMIT,
                "--device",
                "cpu",
                "--method",
                "lanes",
            ),
            *("--output-dir", folder / "run"),
        ]
        began, clock = time.time(), time.monotonic()
        with common.ranks(ranks, program, XDG_CACHE_HOME=str(cache)) as process:
            while process.poll() is None and not (folder / "run/ledger.sqlite").exists():
                time.sleep(0.01)
            plan = time.time() - began
            common.finish(process, allowed=(4,))
        wall = time.monotonic() - clock
        lines = [json.loads(line) for line in (folder / "run/events.jsonl").read_text().splitlines()]
        ledger = Ledger.peek(folder / "run/ledger.sqlite")
        done = [a for a in ledger.attempts() if a.outcome == "done" and a.seconds is not None]
        ledger.close()

    def at(kind: str) -> list[float]:
        return [
            datetime.datetime.fromisoformat(line["time"]).timestamp() - began for line in lines if line["kind"] == kind
        ]

    ready = at("device_ready")
    if len(ready) < ranks:
        raise SystemExit(f"only {len(ready)} of {ranks} ranks have a device")
    first: dict[int, float] = {}
    for a in done:
        first[a.rank] = min(first.get(a.rank, 1e9), a.issued + (a.seconds or 0.0) - began)
    if len(first) < ranks:
        print(f"only {len(first)} of {ranks} ranks did a chunk in {TIME_LIMIT:.0f} s", file=sys.stderr)
    return Phases(
        label, ranks, plan, min(ready), max(ready), min(first.values()), max(first.values()), wall
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=26)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    about = common.machine()
    print(about, "\n")
    with tempfile.TemporaryDirectory() as cache:
        rows = [start(arguments.ranks, Path(cache), label) for label in ("empty", "filled by the run before")]
    header = ["kernel cache", "plan", "first device", "first chunk", "last device", "all a chunk", "goal"]
    cells = [
        [
            row.kernel_cache,
            *(f"{x:.1f}" for x in (row.plan, row.first_device, row.first_chunk, row.last_device, row.last_chunk)),
            f"{'PASS' if row.first_chunk <= GOAL_SECONDS else 'over'} (first chunk at most {GOAL_SECONDS:.0f} s)",
        ]
        for row in rows
    ]
    print(f"{arguments.ranks} ranks on {os.cpu_count()} cores, seconds after mpirun\n\n{common.table(header, cells)}")
    common.write_json(arguments.json, about, [asdict(row) for row in rows])
    sys.exit(any(row.first_chunk > GOAL_SECONDS for row in rows))


if __name__ == "__main__":
    main()
