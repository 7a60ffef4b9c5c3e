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

from prng_mpi.ledger import Chunk, Ledger, running_pid

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
# As launch/env.sh starts ranks where MPI can do without a lost one.
ULFM = ("--with-ft", "ulfm")
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
    """A step in a process group of its own: alone, under mpirun -np NP (`ulfm`: as launch/env.sh starts it, where lost ranks
    are survived), or after the words of `launcher`. `patch` is Python to run in every rank before."""

    STEP = "sieve"
    # Not set: the step's name with a capital.
    OPTIONS = ""

    def __init__(
        self,
        argv: Sequence[object],
        np: int | None = None,
        patch: str = "",
        stdin: str | None = None,
        ulfm: bool = False,
        launcher: Sequence[object] = (),
        **env: str,
    ) -> None:
        call = ["-m", f"prng_mpi.{self.STEP}"]
        if patch:
            main = f"step.main({self.STEP}.{self.OPTIONS or self.STEP.capitalize() + 'Options'}, {self.STEP}.prepare, {self.STEP}.run)"
            call = ["-c", f"from prng_mpi import {self.STEP}, step\n{patch}\n{main}"]
        start = [mpirun(), *(ULFM if ulfm else ()), "-np", str(np)] if np else [str(word) for word in launcher]
        words = [str(word) for word in argv]
        self.folder = Path(words[words.index("--output-dir") + 1]) if "--output-dir" in words else None
        self.mark = uuid.uuid4().hex
        # A killed mpirun leaves its session folder behind, and a later one with the same process id trips over it.
        self._scratch = Path(tempfile.mkdtemp(prefix="run"))
        self._word = self._scratch / "exit"
        own = {MARK: self.mark, "TMPDIR": str(self._scratch), "OMPI_MCA_btl_sm_backing_directory": str(self._scratch)}
        own |= {"PRNG_MPI_EXIT": str(self._word)} if ulfm or launcher else {}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*start, sys.executable, *call, *words],
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
            # As launch/env.sh does: a lost rank leaves mpirun's own code without meaning.
            code = int(self._word.read_text()) if self._word.exists() else self.process.returncode
            shutil.rmtree(self._scratch, ignore_errors=True)
        summary = self.folder / "summary.json" if self.folder else None
        content = json.loads(summary.read_text()) if summary and summary.is_file() else {}
        return Ended(code, out, err, content, time.monotonic() - self.began)

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
    ulfm: bool = False,
    launcher: Sequence[object] = (),
    **env: str,
) -> Ended:
    """Run `python -m prng_mpi.sieve ARGV` to its end, started as `Run` says."""
    return Run(argv, np, patch, stdin, ulfm, launcher, **env).wait(timeout)


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


def java_draws(seed: int, count: int, skip: int, modulus: int = 1000) -> list[int]:
    """nextInt(modulus) of java.util.Random(seed) as its documentation has it, `skip` calls before each draw."""
    state = (seed ^ 0x5DEECE66D) & (1 << 48) - 1
    draws = []
    for _ in range(count):
        for _ in range(skip + 1):
            while True:
                state = (state * 0x5DEECE66D + 11) & (1 << 48) - 1
                bits = state >> 17
                value = bits % modulus
                # The last range that is not whole is rejected.
                if bits - value + modulus - 1 < 1 << 31:
                    break
        draws.append(value)
    return draws


def planted(seed: int, count: int, skip: int, noise: float) -> list[int]:
    """Draws of java.util.Random, a share of which are replaced by others."""
    rng = np.random.Generator(np.random.PCG64(seed))
    other, wrong = rng.integers(0, 1000, count), rng.random(count) < noise
    return [int(o) if w else d for d, o, w in zip(java_draws(seed, count, skip), other, wrong, strict=True)]


def write_draws(folder: Path, draws: Sequence[int]) -> Path:
    """A draw history as a JSON list in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "draws.json"
    path.write_text(json.dumps([int(d) for d in draws]))
    return path


# -- a small search, and what may happen to it ---------------------------------------------------------------------------

SEEDS = 2**19


# Runs in every rank before the step. Devices take their time, so that every rank has a part in a small search;
# `wrong(calls)` says what goes wrong with the rank's chunk of that number, counted from 1.
INJECT = """
import time
from dataclasses import dataclass
from prng_mpi.comm import launched
from prng_mpi.devices.cpu import CpuDevice
@dataclass(frozen=True)
class Impatient(sieve.Policy):
    backoff: float = 0.2
sieve.Policy = Impatient
rank, honest, calls = (launched() or (0, 1))[0], CpuDevice.sieve, []
def slow(self, search, start, stop, stopped=lambda: False):
    # Known answers and single survivors are looked at in ranges of a few seeds.
    if stop - start >= 500:
        calls.append(start)
        wrong(len(calls))
        time.sleep(2e-6 * (stop - start))
    return honest(self, search, start, stop, stopped)
CpuDevice.sieve = slow
def wrong(calls):
    pass
"""


def small(tmp_path: Path, name: str, *more: object) -> list[object]:
    """A search of a fraction of a second with thousands of survivors by chance, in tens of chunks."""
    draws = write_draws(tmp_path, uniform(5, 40, 200))
    filters = ("--modulus", 200, "--window", 8, "--threshold", 0.25, "--skip-max", 8)
    run = ("--seed-end", SEEDS, "--method", "lanes", "--chunk-seconds", 0.01, "--output-dir", tmp_path / name)
    return ["--draws", draws, "--recipe", "java.nextInt", "--device", "cpu", *filters, *run, *more]


def endless(tmp_path: Path, *more: object) -> list[object]:
    """A search that nobody waits for."""
    return small(tmp_path, "run", "--recipe", "mt19937.mod", "--threshold", 1, "--seed-end", 2**32, *more)


def assert_same(ended: Ended, folder: Path, calm: tuple[Ended, Any]) -> None:
    """A complete run with the result of the undisturbed one."""
    assert ended.code == 1, ended.stderr
    assert (ended.summary["seeds_done"], ended.summary["gaps"]) == (SEEDS, [])
    assert ended.summary["payload_hash"] == calm[0].summary["payload_hash"]
    assert survivors(folder).tobytes() == calm[1].tobytes()


def searching(folder: Path, chunks: int = 4) -> int | None:
    """The process id of root once so many chunks are done."""
    if "device_ready" not in {event["kind"] for event in events(folder)}:
        return None
    return running_pid(folder / "ledger.sqlite") if len(done_chunks(folder)) >= chunks else None


def done_chunks(folder: Path) -> list[Chunk]:
    """The chunks that the ledger of a folder holds."""
    with Ledger.peek(folder / "ledger.sqlite") as view:
        return view.chunks()
