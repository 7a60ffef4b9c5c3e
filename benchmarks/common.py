"""What the benchmarks share: the machine's line, tables, runs under mpirun, their processes."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
TOP = HERE.parent


def machine() -> str:
    """One line: processor, cores, compiler, versions, load and date."""
    info = dict(
        (key.strip(), value.strip())
        for key, _, value in (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    )
    vectors = next((name for flag, name in (("avx512dq", "AVX-512"), ("avx2", "AVX2")) if flag in info["flags"]), "")
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return (
        f"{info['model name']} (family {info['cpu family']}, model {info['model']}), {vectors}, {os.cpu_count()} cores; "
        f"{compiler}; numpy {np.__version__}; load {os.getloadavg()[0]:.1f} at the start; {datetime.date.today()}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table; all but the first column to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def write_json(path: Path | None, about: str, rows: Sequence[dict[str, Any]]) -> None:
    """The machine and the rows, where a path is given."""
    if path:
        path.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")


def draws(folder: Path, count: int = 100) -> Path:
    """A history of uniform draws in [0, 1000) as a JSON file."""
    path = folder / "draws.json"
    path.write_text(json.dumps(np.random.default_rng(1).integers(0, 1000, count).tolist()))
    return path


@contextlib.contextmanager
def ranks(count: int, program: Sequence[object], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`python PROGRAM...` on `count` ranks through launch/env.sh; killed if it still runs at the end of the block."""
    script = '. "$0" && run_ranks python "$@"'
    process = subprocess.Popen(
        ["bash", "-c", script, TOP / "launch/env.sh", *map(str, program)],
        env={**os.environ, "NP": str(count), "PYTHONPATH": str(TOP / "src"), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        # The shell passes SIGTERM on to mpirun, which ends its ranks.
        if process.poll() is None:
            process.terminate()
            process.wait()


def finish(process: subprocess.Popen[str], allowed: Sequence[int]) -> str:
    """Wait for a run; what it printed. Raises SystemExit with the end of that if its exit code is not an allowed one."""
    said, _ = process.communicate()
    if process.returncode not in allowed:
        raise SystemExit("\n".join([*said.splitlines()[-20:], f"the run ended with exit code {process.returncode}"]))
    return said


def rank_processes(mark: str) -> dict[int, int]:
    """Process ids of the ranks of a run: rank -> pid. `mark` is an argument that only this run has."""
    found: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            if mark.encode() not in (entry / "cmdline").read_bytes():
                continue
            for word in (entry / "environ").read_bytes().split(b"\0"):
                if word.startswith(b"OMPI_COMM_WORLD_RANK="):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    found[int(entry.name)] = (int(word.partition(b"=")[2]), parent)
    # A rank's forked helper has the same arguments, and a rank as its parent.
    return {rank: pid for pid, (rank, parent) in found.items() if parent not in found}
