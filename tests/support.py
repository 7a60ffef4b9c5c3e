"""What the end-to-end tests share: start the sieve as a user does, look into its folder, end it from outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

TOP = Path(__file__).resolve().parents[1]

# What launch/env.sh sets: any user, more ranks than cores, messages over host memory.
MPI_ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl": "self,sm,tcp",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": "slot:oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
}
# A variable that every process of one run inherits, so that its leftovers can be told from those of other runs.
MARK = "SIEVE_TEST_RUN"


@dataclass(frozen=True)
class Ended:
    """How a run ended; `summary` is its summary.json, empty where there is none; `seconds` of wall time."""

    code: int
    stdout: str
    stderr: str
    summary: dict[str, Any]
    seconds: float

    @property
    def complaints(self) -> list[str]:
        """The lines of stderr that this program says in its own name."""
        return [line for line in self.stderr.splitlines() if line.startswith("prng_mpi: ")]


def mpirun() -> str:
    """The mpirun that belongs to this Python, else the first of PATH."""
    ours = Path(sys.executable).with_name("mpirun")
    return str(ours) if ours.exists() else "mpirun"


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what a launcher or a user's configuration put there."""
    foreign = ("OMPI_COMM_", "OMPI_MCA_", "PMIX_", "PMI_", "PRTE_", "PRNG_MPI_", "SLURM_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    path = os.pathsep.join(p for p in (str(TOP / "src"), os.environ.get("PYTHONPATH", "")) if p)
    return {**kept, **MPI_ENVIRONMENT, "PYTHONPATH": path, **more}


class Run:
    """A step in a process group of its own, alone or under mpirun. `patch` is Python to run in every rank before."""

    STEP = "sieve"

    def __init__(
        self, argv: Sequence[object], np: int | None = None, patch: str = "", stdin: str | None = None, **env: str
    ) -> None:
        call = ["-m", f"prng_mpi.{self.STEP}"]
        if patch:
            main = f"step.main({self.STEP}.{self.STEP.capitalize()}Options, {self.STEP}.prepare, {self.STEP}.run)"
            call = ["-c", f"from prng_mpi import {self.STEP}, step\n{patch}\n{main}"]
        launcher = [mpirun(), "-np", str(np)] if np else []
        words = [str(word) for word in argv]
        self.folder = Path(words[words.index("--output-dir") + 1]) if "--output-dir" in words else None
        self.mark = uuid.uuid4().hex
        # A killed mpirun leaves its session folder behind, and a later one with the same process id trips over it.
        self._scratch = Path(tempfile.mkdtemp(prefix="run"))
        own = {MARK: self.mark, "TMPDIR": str(self._scratch), "OMPI_MCA_btl_sm_backing_directory": str(self._scratch)}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*launcher, sys.executable, *call, *words],
            env=environment(**own, **env),
            cwd=TOP,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._input = stdin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
            self.process.communicate()

    def wait(self, timeout: float = 60) -> Ended:
        """Wait for the end. Kills the whole run and fails where that takes longer than `timeout` seconds."""
        try:
            out, err = self.process.communicate(self._input, timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"no end after {timeout} s\nstdout: {out}\nstderr: {err}") from None
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
        summary = self.folder / "summary.json" if self.folder else None
        content = json.loads(summary.read_text()) if summary and summary.is_file() else {}
        return Ended(self.process.returncode, out, err, content, time.monotonic() - self.began)

    def kill(self) -> None:
        """SIGKILL to the process group; then no rank of it is left."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        until(lambda: not self.processes(), 10, "processes of the killed run live on")
        shutil.rmtree(self._scratch, ignore_errors=True)

    def processes(self) -> list[int]:
        """Ids of the processes of this run that live, whatever their group."""
        return with_environment(f"{MARK}={self.mark}")

    def rank(self, number: int) -> int:
        """The process of that rank under mpirun."""
        family = set(self.processes()) & set(with_environment(f"OMPI_COMM_WORLD_RANK={number}"))
        # A rank's helper has its environment and is its child.
        (first,) = (pid for pid in family if parent(pid) not in family)
        return first


def with_environment(word: str) -> list[int]:
    """Ids of the living processes that were started with `word` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            # A zombie has an empty environment.
            if entry.name.isdigit() and word.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def parent(pid: int) -> int:
    """The process that started another."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def run_sieve(
    argv: Sequence[object],
    np: int | None = None,
    timeout: float = 60,
    patch: str = "",
    stdin: str | None = None,
    **env: str,
) -> Ended:
    """Run `python -m prng_mpi.sieve ARGV` to its end, under `mpirun -np NP` where np is given."""
    return Run(argv, np, patch, stdin, **env).wait(timeout)


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true answer of `condition`; fails with `what` if there is none for so long."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
    return answer


def events(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of events.jsonl, as they are at this moment."""
    path = folder / "events.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def survivors(folder: Path) -> Any:
    """/survivors of results.h5: SURVIVOR (n,)."""
    import h5py

    with h5py.File(folder / "results.h5") as file:
        return file["survivors"][:]


def uniform(seed: int, count: int, modulus: int) -> list[int]:
    """Draws that no generator under test made."""
    return [int(d) for d in np.random.Generator(np.random.PCG64(seed)).integers(0, modulus, count)]


def write_draws(folder: Path, draws: Sequence[int]) -> Path:
    """A draw history as a JSON list in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "draws.json"
    path.write_text(json.dumps([int(d) for d in draws]))
    return path
