"""Floor 1: MPI. Alone owns mpi4py; without a launcher a run is one rank and needs no MPI at all.

No collective is called: one rank that is killed or stopped would hold up all others. Where MPI can survive a lost rank
(ULFM, `mpirun --with-ft ulfm`), its loss is a message, Tag.LOST; elsewhere the launcher ends the job."""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

from prng_mpi import segment
from prng_mpi.memory import Watch

# What launchers put into the environment of each rank, before MPI starts: (rank, size).
_LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)
# What `mpirun --with-ft ulfm` says to its ranks; as a setting of one's own it does nothing.
_ULFM = "OMPI_MCA_mpi_ft_enable"
# Seconds: for MPI to start, which waits for every rank and root's inputs; for ranks to say hello after it; to take what root
# shares; to say farewell; to do so where the job is aborted.
START, HELLO, SHARE, FAREWELL, GRACE = 600, 30.0, 5.0, 15.0, 1.0
# Bytes a second at which large inputs reach a rank at least, before it is taken to be one that never has them.
SLOWEST = 1e7
# Seconds between looks while waiting for other ranks.
_NAP = 0.002
# What MPI reports of a rank that is gone without a word.
KILLED = "its process was killed"


class Tag(IntEnum):
    """What a message says."""

    TOKEN = 1
    READY = 2
    UNREADY = 3
    CHUNK = 4
    RESULT = 5
    FAILED = 6
    STOP = 7
    # The start and the end of a job, which `Comm` keeps to itself.
    HELLO = 8
    SHARED = 9
    FAREWELL = 10
    # The source is gone, and the content says why: its own last words, or KILLED, which is all that MPI reports.
    LOST = 11
    # Root asks a rank why another of its host was killed, (rank, pid), and is told, (rank, memory.Cause).
    WHY = 12
    # Of large inputs, which `Comm` keeps to itself: what a rank wants, where its host has them, their bytes, and that it has them.
    WANT = 13
    SEGMENT = 14
    PIECE = 15
    HELD = 16


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


def last_word(code: int) -> None:
    """Leave root's exit code where the launch script looks: mpirun's own is 0 after a dead host, and 1 after a signal."""
    path = os.environ.get("PRNG_MPI_EXIT")
    # The file is on mpirun's host, which may not be root's.
    if path and Path(path).parent.is_dir():
        Path(path).write_text(f"{int(code)}\n")


class Comm:
    """One rank's connection to the others. Only the thread that made it may use it.

    rank, size: of the job; host: this host's name; hosts: of each rank, empty for one that never said; local_rank,
    local_ranks: this rank's place among the ranks of its host, and their ranks in the job, ascending; lost: why each rank
    that is gone is gone; device: what this rank computes with, for its last words; pids: at root, the process of each rank
    that said hello; watch: what the kernel does to this host's processes since this rank started."""

    def __init__(self) -> None:
        self.host = socket.gethostname()
        self.rank, self.size, self.lost, self.device = 0, 1, dict[int, str](), "no device yet"
        self._world: Any = None
        self._pending: list[Any] = []
        self._news: deque[Message] = deque()
        self._gone: set[int] = set()
        # The large inputs, for ranks that still want them: their parts, where this host has them, and why it has not.
        self._parts, self._alone = list[memoryview](), ""
        self._address: segment.Address | None = None
        self._held: set[int] = set()
        self._survives = False
        self.hosts, self.pids, self.watch = [self.host], dict[int, int](), Watch()
        if launched() is not None:
            self._connect()
        self.local_ranks = [rank for rank, host in enumerate(self.hosts) if host == self.host]
        self.local_rank = self.local_ranks.index(self.rank)

    def _connect(self) -> None:
        # `finish` ends MPI: at exit it would wait for ranks that are gone.
        import mpi4py

        mpi4py.rc.finalize = False
        # Threads compute, but only the main thread speaks MPI.
        mpi4py.rc.thread_level = "funneled"
        # A rank that is killed on the way would keep all others in here, beyond the reach of Python.
        signal.alarm(START)
        from mpi4py import MPI

        signal.alarm(0)
        self._mpi, self._mpi_lost = MPI, (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING)
        self._world = MPI.COMM_WORLD
        self.rank, self.size = self._world.rank, self._world.size
        self._survives = os.environ.get(_ULFM, "0") == "1"
        try:
            self._meet()
        # The others are in here too, and would wait for ever.
        except Exception as e:  # noqa: BLE001
            self.die(3, f"{type(e).__name__}: {e}")

    def _meet(self) -> None:
        """Every rank learns the hosts of all: each tells root, and root tells everyone."""
        if self.rank:
            self.send(0, Tag.HELLO, (self.host, os.getpid()))
            self.hosts = self.bcast(None)
            # Root does not wait for a late one.
            self.hosts[self.rank] = self.host
            return
        self.hosts = [self.host, *[""] * (self.size - 1)]
        self._wait(self._all_here, HELLO)
        self.bcast(self.hosts)

    def bcast(self, content: Any) -> Any:
        """Root's content, on every rank; root goes on when all have it, or soon. Its large arrays are held once on each host,
        read-only: one rank of a host has them from root, and the others map that rank's memory."""
        if self.size == 1:
            return content
        self._held.clear()
        if self.rank:
            head, sizes = self._from_root()
            return segment.unpack(head, self._take(sizes) if sizes else [])
        head, self._parts = segment.pack(content)
        sizes = [part.nbytes for part in self._parts]
        if sizes and len(self.local_ranks) > 1:
            mine = self._segment(sizes)
            if mine.address is not None:
                mine.fill(self._parts)
                self._parts = mine.parts()
        if sizes:
            content = segment.unpack(head, self._parts)
        for rank in range(1, self.size):
            self.send(rank, Tag.SHARED, (head, sizes))
        # What is large goes out only while root is inside MPI, and it may not be for long after this.
        self._wait(self._all_hold if sizes else self._sent, _patience(sizes))
        return content

    def send(self, dest: int, tag: Tag, content: Any = None) -> None:
        """Send without waiting for the receiver; to one that is gone, nothing is sent."""
        self._progress()
        if dest not in self.lost:
            try:
                self._pending.append(self._world.isend(content, dest, tag))
            except self._mpi.Exception as error:
                self._notice(error)

    def poll(self, source: int | None = None, tag: Tag | None = None) -> Message | None:
        """The next message that has arrived, of that source and tag where given, or None; never waits.

        The loss of a rank is told once to who asks for no source, and whenever asked to who asks for that rank."""
        if self._world is None:
            return None
        if message := self._receive(source, tag):
            return message
        if source in self.lost:
            return Message(source, Tag.LOST, self.lost[source])
        return self._news.popleft() if source is None and self._news else None

    def finish(self, code: int, alone: bool = False) -> NoReturn:
        """End this rank; root's code becomes the job's. `alone`: some ranks will never answer, so end the job at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        if self._world is not None and self.rank:
            self._leave(code, alone)
        if self._world is not None:
            self._leave_last(code, alone)
        last_word(code)
        os._exit(code)

    def abort(self, code: int) -> NoReturn:
        """End the whole job at once."""
        self.finish(code, alone=True)

    def die(self, code: int, cause: str) -> NoReturn:
        """End a rank that can't go on, with its last words: where MPI survives it and it is not root, the job goes on."""
        print(f"prng_mpi: rank {self.rank} on {self.host} ({self.device}): {cause}", file=sys.stderr, flush=True)
        if self._survives and self.rank:
            self.send(0, Tag.LOST, cause)
            self._wait(self._sent, 1.0)
        self.abort(code)

    # -- ends -----------------------------------------------------------------------------------------------------

    def _leave(self, code: int, alone: bool) -> NoReturn:
        """The end of a rank that is not root."""
        if alone and self._survives:
            # Of all ends of a process MPI reports this one alone to the others.
            os.kill(os.getpid(), signal.SIGKILL)
        if alone:
            # Or mpirun drops what it has not read of our last words.
            time.sleep(0.3)
            self._world.Abort(code)
        self.send(0, Tag.FAREWELL)
        # What root has not taken yet is lost with this process, and root may be busy for long.
        self._wait(self._sent, math.inf)
        if not self._survives:
            self._mpi.Finalize()
        os._exit(0)

    def _leave_last(self, code: int, alone: bool) -> None:
        """Root's end: when all others are gone; else it ends the job over them."""
        if alone and self._survives:
            # Who listens ends in good order, and mpirun's exit code is ours.
            for rank in range(1, self.size):
                self.send(rank, Tag.STOP)
            alone = not self._wait(self._all_gone, GRACE)
        elif not alone and not self._wait(self._all_gone, FAREWELL):
            gone = self._gone | self.lost.keys()
            missing = ", ".join(self.name(rank) for rank in range(1, self.size) if rank not in gone)
            print(f"prng_mpi: {missing} never answered; the job is ended for them", file=sys.stderr, flush=True)
            alone = True
        if not alone:
            if not self._survives:
                self._mpi.Finalize()
            if code:
                # mpirun complains at length of a rank that fails while others live, and not of the last one.
                time.sleep(0.3)
            return
        # Or mpirun drops what it has not read of our last words.
        time.sleep(0.3)
        if not self._survives:
            self._world.Abort(code)
        # MPI_Abort never ends where ranks may be lost. mpirun's exit code is 1 after SIGTERM, which would say that nothing
        # was found, unless someone reads our last word.
        last_word(code)
        os.kill(os.getppid(), signal.SIGTERM if "PRNG_MPI_EXIT" in os.environ else signal.SIGKILL)
        time.sleep(5)

    # -- large inputs ---------------------------------------------------------------------------------------------

    def _take(self, sizes: Sequence[int]) -> list[memoryview]:
        """The large parts of what root shares, each of so many bytes."""
        keeper, seconds = self.local_ranks[0], _patience(sizes)
        if keeper == self.rank:
            self._parts = self._fetch(self._segment(sizes))
            self.send(0, Tag.HELD)
            # Devices start next, which takes long, and who starts one is deaf.
            self._wait(self._all_hold, seconds)
            return self._parts
        try:
            parts = segment.attach(sizes, self._address_at(keeper, 2 * seconds)).parts()
        except OSError as e:
            text = f"rank {self.rank} on {self.host} has its own copy of the inputs, {sum(sizes) / 1e6:.0f} MB: {e}"
            print(f"prng_mpi: {text}", file=sys.stderr, flush=True)
            parts = self._fetch(segment.private(sizes))
        self.send(0, Tag.HELD)
        return parts

    def _segment(self, sizes: Sequence[int]) -> segment.Segment:
        """Memory for the parts, which the others of this host can map where the system allows it."""
        try:
            mine = segment.make(sizes)
        except OSError as e:
            mine, self._alone = segment.private(sizes), f"{self.name(self.rank)} can't share its own ({e})"
        self._address = mine.address
        return mine

    def _fetch(self, mine: segment.Segment) -> list[memoryview]:
        """Have root send the parts."""
        self.send(0, Tag.WANT, "pieces")
        for piece in segment.pieces(mine.views()):
            request = self._world.Irecv([piece, self._mpi.BYTE], 0, int(Tag.PIECE))
            while not self._complete(request):
                time.sleep(_NAP)
            if 0 in self.lost:
                self.die(3, f"root is gone: {self.lost[0]}")
        return mine.parts()

    def _address_at(self, keeper: int, seconds: float) -> segment.Address:
        """Where a rank of this host has the parts. Raises OSError where it can't say."""
        self.send(keeper, Tag.WANT, "address")
        deadline = time.monotonic() + seconds
        while (message := self.poll(keeper, Tag.SEGMENT)) is None and time.monotonic() < deadline:
            time.sleep(_NAP)
        if message is None or message.tag is Tag.LOST:
            raise OSError(f"{self.name(keeper)} {'is gone' if message else 'did not answer'}")
        address, why = message.content
        if address is None:
            raise OSError(why)
        return tuple(address)

    def _all_hold(self) -> bool:
        """Whether every rank that should have the parts from this one has told so, or is gone: of root all, else its host's."""
        near = self.local_ranks if self.rank else range(self.size)
        wanted = {rank for rank in near if rank != self.rank and self.hosts[rank]}
        self._receive(None, Tag.HELD)
        return self._sent() and wanted <= self._held | self.lost.keys()

    def _supply(self, rank: int, what: str) -> None:
        """A rank wants the parts, or only to know where on this host they are."""
        if what == "address":
            self.send(rank, Tag.SEGMENT, (self._address, self._alone))
            if self.rank:
                # Root alone sends the parts, and hears in the end.
                self._held.add(rank)
            return
        for piece in segment.pieces(self._parts):
            self._pending.append(self._world.Isend([piece, self._mpi.BYTE], rank, int(Tag.PIECE)))

    # -- messages -------------------------------------------------------------------------------------------------

    def name(self, rank: int) -> str:
        """rank 3 on rig1"""
        return f"rank {rank}{f' on {self.hosts[rank]}' if self.hosts[rank] else ''}"

    def _from_root(self) -> Any:
        """What root shares next. Ends this rank where root is gone."""
        while (message := self.poll(0, Tag.SHARED)) is None:
            time.sleep(_NAP)
        if message.tag is Tag.LOST:
            self.die(3, f"root is gone: {message.content}")
        return message.content

    def _all_here(self) -> bool:
        while message := self._receive(None, Tag.HELLO):
            self.hosts[message.source], self.pids[message.source] = message.content
        return all(host or rank in self.lost for rank, host in enumerate(self.hosts))

    def _all_gone(self) -> bool:
        # What else still comes is too late.
        while self._receive(None, None):
            pass
        return len(self._gone | self.lost.keys()) == self.size - 1

    def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            time.sleep(_NAP)
        return True

    def _sent(self) -> bool:
        self._progress()
        return not self._pending

    def _receive(self, source: int | None, tag: Tag | None) -> Message | None:
        where = self._mpi.ANY_SOURCE if source is None else source
        what = self._mpi.ANY_TAG if tag is None else int(tag)
        status = self._mpi.Status()
        if self._parts and tag is not None and tag is not Tag.WANT:
            # Who waits for large inputs must not wait for us to look at messages of any kind.
            self._receive(None, Tag.WANT)
        try:
            # Open MPI takes in what came only after it has looked, so the second look is the one that sees it.
            while any(self._world.iprobe(where, what, status) for _ in range(2)):
                message = Message(status.source, Tag(status.tag), self._world.recv(None, status.source, status.tag))
                if message.tag is Tag.LOST:
                    self.lost[message.source] = message.content
                if message.tag is Tag.WANT:
                    self._supply(message.source, message.content)
                elif message.tag is Tag.HELD:
                    self._held.add(message.source)
                elif message.tag is Tag.FAREWELL:
                    self._gone.add(message.source)
                else:
                    return message
        except self._mpi.Exception as error:
            self._notice(error)
        # A large message that was sent goes out only while its sender is inside MPI.
        self._progress()
        return None

    def _progress(self) -> None:
        self._pending = [request for request in self._pending if not self._complete(request)]

    def _complete(self, request: Any) -> bool:
        try:
            return bool(request.Test())
        except self._mpi.Exception as error:
            self._notice(error)
            return True

    def _notice(self, error: Any) -> None:
        """MPI reports an error: learn which ranks are gone. Raises one that says something else."""
        if not self._survives or error.Get_error_class() not in self._mpi_lost:
            raise error
        # Acknowledged, it is not reported again to each look at messages from any rank.
        self._world.Ack_failed()
        failed = self._world.Get_failed()
        for rank in failed.Translate_ranks(None, self._world.group):
            if rank not in self.lost:
                self.lost[rank] = KILLED
                self._news.append(Message(rank, Tag.LOST, self.lost[rank]))


def _patience(sizes: Sequence[int]) -> float:
    """Seconds in which every rank has what root shares, of so many large bytes."""
    return SHARE + sum(sizes) / SLOWEST
