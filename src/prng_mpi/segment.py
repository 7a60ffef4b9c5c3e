"""Floor 1: large inputs, once per host: memory that one rank fills and the others of its host map, read-only.

A shared segment has no name in any file system (memfd_create): the kernel takes it back with the last process that holds it,
however that ends, and a small /dev/shm is no limit. Others open it through /proc, by the process that made it."""

from __future__ import annotations

import itertools
import mmap
import os
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# An array of so many bytes is large; smaller ones travel with the rest of what they belong to.
LARGE = 1 << 20
# Bytes of a message: far below what fits into MPI's counts.
PIECE = 1 << 26
# Parts start at multiples of this, as arrays of any type may.
_ALIGN = 64

# Where a segment can be opened on its host: process, file descriptor, and device, number and size of what must be there.
Address = tuple[int, int, int, int, int]


def pack(content: Any) -> tuple[bytes, list[memoryview]]:
    """An object as bytes, but for its contiguous large arrays, whose memory comes beside them, uncopied, in order and
    read-only."""
    parts: list[memoryview] = []

    def inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes >= LARGE:
            parts.append(view.toreadonly())
        return view.nbytes < LARGE

    return pickle.dumps(content, protocol=5, buffer_callback=inside), parts


def unpack(head: bytes, parts: Iterable[memoryview]) -> Any:
    """The object again; its large arrays are views of the parts, and as writable as these."""
    return pickle.loads(head, buffers=parts)


def pieces(views: Iterable[memoryview]) -> Iterator[memoryview]:
    """The same memory in messages."""
    for view in views:
        yield from (view[at : at + PIECE] for at in range(0, view.nbytes, PIECE))


@dataclass(frozen=True, eq=False)
class Segment:
    """Memory for parts of these sizes (bytes); address: where others open it, None where it is this rank's alone."""

    sizes: Sequence[int]
    memory: mmap.mmap
    address: Address | None

    def views(self) -> list[memoryview]:
        """Each part, to be filled."""
        whole = memoryview(self.memory)
        return [whole[start : start + size] for start, size in zip(_starts(self.sizes), self.sizes, strict=False)]

    def fill(self, parts: Sequence[memoryview]) -> None:
        """Copy the parts into it."""
        for there, part in zip(self.views(), parts, strict=True):
            there[:] = part

    def parts(self) -> list[memoryview]:
        """Each part, read-only."""
        return [view.toreadonly() for view in self.views()]


def _starts(sizes: Sequence[int]) -> list[int]:
    """Where each part starts, and where all end."""
    return list(itertools.accumulate((-(-size // _ALIGN) * _ALIGN for size in sizes), initial=0))


def make(sizes: Sequence[int]) -> Segment:
    """A segment for the ranks of this host. Raises OSError where the system has none to give."""
    if not hasattr(os, "memfd_create"):
        raise OSError("this system has no memfd_create")
    size, fd = _starts(sizes)[-1], os.memfd_create("prng_mpi")
    os.ftruncate(fd, size)
    stat = os.fstat(fd)
    # The descriptor stays open for those who come late.
    return Segment(sizes, mmap.mmap(fd, size), (os.getpid(), fd, stat.st_dev, stat.st_ino, size))


def private(sizes: Sequence[int]) -> Segment:
    """The same for this rank alone."""
    return Segment(sizes, mmap.mmap(-1, _starts(sizes)[-1]), None)


def attach(sizes: Sequence[int], address: Address) -> Segment:
    """The segment that another rank of this host made. Raises OSError where it can't be opened from here."""
    pid, number, *there = address
    fd = os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY)
    try:
        stat = os.fstat(fd)
        # Where ranks have process numbers of their own (containers), this may be anything.
        if [stat.st_dev, stat.st_ino, stat.st_size] != there:
            raise OSError(f"process {pid} is another one here")
        return Segment(sizes, mmap.mmap(fd, stat.st_size, prot=mmap.PROT_READ), None)
    finally:
        os.close(fd)
