"""Floor 1: starts programs. Alone owns fork: after MPI has started, a helper forked before does it.

A fork of a process that holds an MPI or a GPU runtime is undefined with some transports, so a rank forks one small
helper first; the helper starts compilers (and whatever else a step runs) and sends back status and output. A program
runs in a session of its own, and nothing of it outlives its end, its time, the wish to stop it, or its rank."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from prng_mpi.errors import DeviceError

PR_SET_PDEATHSIG = 1
# What is kept of a program's output: the end of it.
OUTPUT_MOST = 1 << 20
# Seconds between a program's polite and its forced end, and between looks at a program.
GRACE = 2.0
NAP = 0.02

# What launchers tell the ranks they start; a program that has it takes itself for a rank of this job.
_LAUNCHER = ("OMPI_", "PMIX_", "PMI_", "PMI2_", "PRTE_", "MPI_", "MPIR_", "MPIEXEC_", "I_MPI_", "HYDRA_", "HYDI_", "MV2_",
             "PALS_", "ALPS_", "FLUX_", "SLURM_STEP", "SLURM_TASK", "SLURM_SRUN", "SLURM_LAUNCH", "SLURM_PMI", "SLURM_MPI",
             "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_GTIDS", "SLURM_UMASK",
             "SLURM_CPU_BIND", "SLURM_DISTRIBUTION")  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """A program that ended: its status (negative: minus the signal), and the end of stdout and stderr together.

    timed_out, stopped: it was killed because its time was up, or on request. pid: what its number was, 0 if it never started."""

    status: int
    output: str
    timed_out: bool = False
    stopped: bool = False
    pid: int = field(default=0, compare=False)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel for a signal to this process when its parent dies: no orphans after a lost daemon (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def without_launcher(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what MPI launchers put there."""
    return {name: value for name, value in environ.items() if not name.startswith(_LAUNCHER)}


def _run(
    argv: list[str],
    timeout: float,
    env: Mapping[str, str] | None,
    stopped: Callable[[], bool],
    before: Callable[[], None] | None = None,
) -> Finished:
    """Run to the end, or until its time is up or `stopped` says so, asked every NAP seconds. before: runs in the new
    process first, where this one has a single thread."""
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
            start_new_session=True, preexec_fn=before,  # noqa: PLW1509
        )  # fmt: skip
    except OSError as e:
        return Finished(127, f"{argv[0]}: {e.strerror}")
    assert process.stdout is not None
    pipe, output, deadline, late, stop = process.stdout.fileno(), b"", time.monotonic() + timeout, False, False
    # Its end counts, not that of the pipe, which programs that it left behind may hold.
    while process.poll() is None and not (late or stop):
        if data := _read(pipe, NAP):
            output = (output + data)[-OUTPUT_MOST:]
        elif data is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(NAP)
        late, stop = time.monotonic() >= deadline, stopped()
    ended = process.poll() is not None
    _end(process, 0.0 if ended else GRACE)
    while data := _read(pipe, 0):
        output = (output + data)[-OUTPUT_MOST:]
    process.stdout.close()
    return Finished(
        process.returncode, output.decode(errors="replace"), late and not ended, stop and not ended, process.pid
    )


def _read(pipe: int, wait: float) -> bytes | None:
    """What the pipe has, or has within `wait` seconds: None for nothing, empty at its end."""
    return os.read(pipe, 1 << 16) if select.select([pipe], [], [], wait)[0] else None


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """End whatever is left of a program's group: after `grace` seconds by force."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if grace:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Lines:
    """One end of a socket between rank and helper: a line is a message."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel, self._buffer = channel, b""

    def ready(self, wait: float) -> bool:
        """Whether a line, or the other's end, is there or comes within `wait` seconds."""
        return b"\n" in self._buffer or bool(select.select([self._channel], [], [], wait)[0])

    def read(self) -> str | None:
        """The next line, None when the other end is gone."""
        while b"\n" not in self._buffer:
            try:
                data = self._channel.recv(1 << 16)
            except ConnectionError:
                return None
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def write(self, line: str) -> None:
        self._channel.sendall(line.encode() + b"\n")


def _serve(lines: _Lines) -> None:
    # Ctrl-C and what mpirun passes on reach the whole process group; the rank decides what they mean.
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
        # Not SIG_IGN, which programs would inherit.
        signal.signal(number, lambda *_: None)
    # While a program runs the rank sends nothing but the wish to stop it, and is heard when it dies.
    while (line := lines.read()) is not None:
        request = json.loads(line)
        if request:
            done = _run(request["argv"], request["timeout"], request["env"], lambda: lines.ready(0), die_with_parent)
            lines.write(json.dumps(asdict(done)))


_helper: _Lines | None = None


def start_helper() -> None:
    """Fork the helper, once. Call before MPI, before any GPU library and before any thread."""
    global _helper  # noqa: PLW0603
    if _helper is not None:
        return
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        try:
            _serve(_Lines(theirs))
        except ConnectionError:
            # Its rank is gone, and what ran for it was ended.
            pass
        finally:
            os._exit(0)
    theirs.close()
    _helper = _Lines(ours)


def run(
    argv: list[str],
    timeout: float = 120.0,
    env: Mapping[str, str] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Finished:
    """Run a program to its end, through the helper where there is one. env: its whole environment, not set: ours.

    Raises DeviceError if the helper was killed: then this rank can start nothing more."""
    if _helper is None:
        return _run(argv, timeout, env, stopped)
    answer = None
    with contextlib.suppress(ConnectionError):
        _helper.write(json.dumps({"argv": argv, "timeout": timeout, "env": None if env is None else dict(env)}))
        while not _helper.ready(5 * NAP):
            if stopped():
                _helper.write("null")
                break
        answer = _helper.read()
    if not answer:
        raise DeviceError("the helper that starts programs for this rank was killed, likely out of memory")
    return Finished(**json.loads(answer))
