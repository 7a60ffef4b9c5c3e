"""Floor 1: MPI. Alone owns mpi4py; without a launcher a run is one rank and needs no MPI at all."""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NoReturn

# What launchers put into the environment of each rank, before MPI starts: (rank, size).
_LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


class Tag(IntEnum):
    """What a message says."""

    TOKEN = 1
    READY = 2
    UNREADY = 3
    CHUNK = 4
    RESULT = 5
    FAILED = 6
    STOP = 7


@dataclass(frozen=True)
class Message:
    """A message that arrived: who sent it, what it says, and its content."""

    source: int
    tag: Tag
    content: Any


def launched() -> tuple[int, int] | None:
    """(rank, size) as the launcher gave them, before MPI starts; None without a launcher."""
    for rank, size in _LAUNCHERS:
        if rank in os.environ and size in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return None


def library() -> str:
    """The name and version of the MPI library, once a Comm has started it."""
    from mpi4py import MPI

    return str(MPI.Get_library_version().split(",")[0].strip())


class Comm:
    """One rank's connection to the others. Only the thread that made it may use it.

    rank, size: of the job; host: this host's name; local_rank, local_ranks: this rank's place among the ranks of its
    host, and their ranks in the job, ascending."""

    def __init__(self) -> None:
        self.host = socket.gethostname()
        self._world: Any = None
        self._pending: list[Any] = []
        self.rank, self.size, self.local_rank, self.local_ranks = 0, 1, 0, [0]
        if launched() is None:
            return
        # Finalize is called by `finish`: at exit it would wait for ranks that are gone.
        import mpi4py

        mpi4py.rc.finalize = False
        # Threads compute, but only the main thread speaks MPI.
        mpi4py.rc.thread_level = "funneled"
        from mpi4py import MPI

        self._mpi = MPI
        self._world = MPI.COMM_WORLD
        self.rank, self.size = self._world.rank, self._world.size
        local = self._world.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank = local.rank
        self.local_ranks = local.allgather(self.rank)
        local.Free()

    def bcast(self, content: Any) -> Any:
        """Root's content, on every rank."""
        return content if self._world is None else self._world.bcast(content, 0)

    def send(self, dest: int, tag: Tag, content: Any = None) -> None:
        """Send without waiting for the receiver."""
        self._pending = [request for request in self._pending if not request.Test()]
        self._pending.append(self._world.isend(content, dest, tag))

    def poll(self, source: int | None = None, tag: Tag | None = None) -> Message | None:
        """The next message that has arrived, of that source and tag where given, or None; never waits."""
        if self._world is None:
            return None
        status = self._mpi.Status()
        where = self._mpi.ANY_SOURCE if source is None else source
        what = self._mpi.ANY_TAG if tag is None else int(tag)
        if not self._world.iprobe(where, what, status):
            # A large message that was sent goes out only while its sender is inside MPI.
            self._pending = [request for request in self._pending if not request.Test()]
            return None
        content = self._world.recv(None, status.source, status.tag)
        return Message(status.source, Tag(status.tag), content)

    def finish(self, code: int, alone: bool = False) -> NoReturn:
        """End this rank; root's code becomes mpirun's. `alone`: some ranks will never answer, so end the job at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        if self._world is not None:
            if alone:
                # mpirun drops what it has not read of a rank's last words by then.
                time.sleep(0.3)
                self._world.Abort(code)
            while self._pending:
                self._pending = [request for request in self._pending if not request.Test()]
            self._mpi.Finalize()
            if self.rank:
                code = 0
            elif code:
                # mpirun complains at length of a rank that fails while others live, and not of the last one.
                time.sleep(0.3)
        os._exit(code)

    def abort(self, code: int) -> NoReturn:
        """End the whole job at once."""
        self.finish(code, alone=True)
