"""Floor 1: starts programs. Alone owns fork: after MPI has started, a helper forked before does it.

A fork of a process that holds an MPI or a GPU runtime is undefined with some transports, so a rank forks one small
helper first; the helper starts compilers (and whatever else a step runs) and sends back status and output."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Finished:
    """A program that ended: its status (negative: minus the signal) and stdout and stderr together."""

    status: int
    output: str


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies: no orphans after a lost daemon (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(argv: list[str], timeout: float) -> Finished:
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finished(-signal.SIGKILL, f"no end after {timeout:.0f} s")
    except OSError as e:
        return Finished(127, f"{argv[0]}: {e.strerror}")
    return Finished(done.returncode, done.stdout.decode(errors="replace"))


def _serve(channel: socket.socket) -> None:
    die_with_parent()
    # Ctrl-C and what mpirun passes on reach the whole process group; the rank decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with channel.makefile("rw") as stream:
        for line in stream:
            request = json.loads(line)
            done = _run(request["argv"], request["timeout"])
            stream.write(json.dumps({"status": done.status, "output": done.output}) + "\n")
            stream.flush()


_helper: socket.socket | None = None


def start_helper() -> None:
    """Fork the helper. Call once, before MPI and before any GPU library."""
    global _helper  # noqa: PLW0603
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        try:
            _serve(theirs)
        finally:
            os._exit(0)
    theirs.close()
    _helper = ours


def run(argv: list[str], timeout: float = 120.0) -> Finished:
    """Run a program to its end, through the helper where there is one."""
    if _helper is None:
        return _run(argv, timeout)
    with _helper.makefile("rw") as stream:
        stream.write(json.dumps({"argv": argv, "timeout": timeout}) + "\n")
        stream.flush()
        answer = json.loads(stream.readline())
    return Finished(answer["status"], answer["output"])
