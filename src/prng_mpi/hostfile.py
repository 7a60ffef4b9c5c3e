"""Floor 1: the hosts that mpirun starts ranks on: the lines of its hostfile, and logins as it makes them."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prng_mpi import spawn
from prng_mpi.errors import UsageError

# Seconds for a host to take a connection.
CONNECT = 5.0


@dataclass(frozen=True)
class Line:
    """A host of the hostfile, how many ranks it takes, and the line that says so."""

    host: str
    slots: int
    text: str


def read(path: Path) -> list[Line]:
    """The lines of an Open MPI hostfile, in order. Raises UsageError for a file that is none."""
    try:
        texts = [text.split("#")[0].strip() for text in path.read_text().splitlines()]
    except (OSError, ValueError) as e:
        raise UsageError(f"the hostfile {path} can't be read ({e}); name the file that mpirun gets") from e
    lines = []
    for text in filter(None, texts):
        host, *words = text.split()
        slots = next((word.partition("=")[2] for word in words if word.startswith("slots=")), "1")
        if not slots.isdecimal() or int(slots) == 0:
            raise UsageError(f"{path}: {text}: slots={slots} is no number of ranks")
        lines.append(Line(host, int(slots), text))
    if not lines:
        raise UsageError(f"{path} names no host; write a line `HOST slots=GPUS` for each")
    return lines


def is_here(host: str) -> bool:
    """Whether it is this host, whose ranks mpirun starts without a login."""
    here = socket.gethostname()
    return host in ("localhost", here, here.partition(".")[0])


def ask(host: str, command: str, environ: Mapping[str, str], seconds: float) -> spawn.Finished:
    """What a host answers to a command that it is given as mpirun gives one: by the same agent, without questions.

    environ: where mpirun's choice of the agent would stand. seconds: for all of it; the status is negative then."""
    # Several may stand there, the first of which is taken.
    agent = environ.get("PRTE_MCA_plm_ssh_agent", "ssh").split(":")[0].split()
    if shutil.which(agent[0]) is None:
        return spawn.Finished(127, f"there is no program {agent[0]}")
    if os.path.basename(agent[0]) == "ssh":
        agent += ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT:.0f}", "-o", "StrictHostKeyChecking=yes"]
    return spawn.run([*agent, host, command], seconds)
