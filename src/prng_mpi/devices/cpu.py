"""The CPU device: the kernel text through the host's C compiler, seeds in vector registers. It is the reference.

Three builds of one text: `cpu` (vector lanes), `reference` (plain integers, for checking), `emulated` (the GPU's text,
its grid as loops, so that it is tested where no GPU is)."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from prng_mpi import spawn
from prng_mpi.devices.base import JUMP, Device, Hits, Outputs
from prng_mpi.devices.tuning import Shape, Tuner
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import Recipe
from prng_mpi.records import HIT
from prng_mpi.search import PLAIN, Form, Search, both_ways

_BUILDS: dict[str, list[str]] = {
    "cpu": ["-O3"],
    "reference": ["-O2", "-DSCALAR"],
    "emulated": ["-O2", "-DEMULATE"],
}
_FLAGS = ["-march=native", "-mprefer-vector-width=512", "-std=gnu11", "-ffp-contract=off", "-fno-strict-aliasing", "-w"]


def cache_folder() -> Path:
    """Where compiled kernels are kept: $XDG_CACHE_HOME/prng_mpi, or a folder of this user in the temporary directory."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for place in (base / "prng_mpi", Path(tempfile.gettempdir()) / f"prng_mpi-{os.getuid()}"):
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        # Code is loaded from here, so nobody else may write to it.
        if os.access(place, os.W_OK) and place.stat().st_uid == os.getuid():
            return place
    raise DeviceError("no writable folder for compiled kernels: set XDG_CACHE_HOME to one")


def processor() -> str:
    """The processor's name, or its architecture."""
    return _cpuinfo("model name") or platform.machine()


def _cpuinfo(key: str) -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def launch_memory(device: str, text: str) -> Path:
    """Where the launch shape is kept that suits a program on a device."""
    return cache_folder() / f"launch-{hashlib.sha256(repr((device, text)).encode()).hexdigest()[:24]}.json"


def build(text: str, kind: str) -> Path:
    """The shared library of a kernel text, compiled at first use. Raises DeviceError with the compiler's words.

    The cache key holds everything that decides the code: text, flags, compiler and the processor's features, so hosts
    with a shared home directory never load each other's code. Several ranks may build at once: each renames its own."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise DeviceError("no C compiler (cc) on this host: install gcc or clang, or set CC")
    real = Path(compiler).resolve()
    stat = real.stat()
    flags = [*_FLAGS, *_BUILDS[kind]]
    features = _cpuinfo("flags") or platform.machine()
    key = hashlib.sha256(repr((text, flags, str(real), stat.st_size, stat.st_mtime_ns, features)).encode()).hexdigest()
    library = cache_folder() / f"{kind}-{key[:24]}.so"
    if library.exists():
        return library
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        path = Path(folder) / "kernel.c"
        path.write_text(text)
        target = path.with_suffix(".so")
        done = spawn.run([compiler, *flags, "-shared", "-fPIC", "-o", str(target), str(path)])
        if done.status:
            raise DeviceError(
                f"{compiler} can't compile the kernel ({kind}), status {done.status}: {done.output.strip()}"
            )
        target.rename(library)
    return library


def pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    """Where an array begins, for a C function; the pointer keeps the array alive."""
    return array.ctypes.data_as(ctypes.c_void_p)


def _aligned(buffer: npt.NDArray[np.uint32], words: int) -> tuple[npt.NDArray[np.uint32], ctypes.c_void_p]:
    """A buffer of at least so many words, the one given if it is large enough, and where it is aligned to 64 bytes, as
    vector stores want it."""
    if len(buffer) < words + 16:
        buffer = np.zeros(words + 16, np.uint32)
    return buffer, ctypes.c_void_p((buffer.ctypes.data + 63) & ~63)


# `square` in kernels/square.h, field by field.
SQUARE = np.dtype(
    [
        (name, "<u8")
        for name in (
            *("slots", "depth", "shift", "scale", "turn", "bound", "bits", "seed_xor"),
            *("positions", "looks", "room", "marked"),
        )
    ]
)


class CpuDevice(Device):
    """kind: a key of the three builds above."""

    # Launch shapes of the emulated GPU.
    shapes: ClassVar[tuple[Shape, ...]] = ((5, 3), (8, 2), (3, 7))

    def __init__(self, recipe: Recipe, kind: str = "cpu", form: Form = PLAIN) -> None:
        super().__init__(recipe, form)
        self.kind = kind
        text = recipe.text("sieve.h", form)
        self._library = ctypes.CDLL(str(build(text, kind)))
        # The GPU text has no jump table maker; the reference build of the same source makes it.
        self._scalar = self._library if kind != "emulated" else ctypes.CDLL(str(build(text, "reference")))
        self.lanes = 1 if kind == "emulated" else int(self._library.lanes())
        self.name = f"{processor()}, {self.lanes} lanes" if kind == "cpu" else f"{processor()}, {kind}"
        self._exceptions = self._seeds_unlike_their_glance()
        if kind == "emulated":
            self.tuner = Tuner(self.shapes, launch_memory(self.name, text))
        self._buffer = np.zeros(0, np.uint32)
        self._group_buffer = np.zeros(0, np.uint32)
        self._square_buffer = np.zeros(0, np.uint32)

    def _seeds_unlike_their_glance(self) -> npt.NDArray[np.uint32]:
        """Seeds that the glance at a group does not see as they are, ascending: see kernels/twister.h."""
        if not hasattr(self._library, "exceptions"):
            return np.zeros(0, np.uint32)
        seeds = np.zeros(int(self._library.exceptions(None)), np.uint32)
        self._library.exceptions(pointer(seeds))
        seeds.sort()
        return seeds

    def jump_table(self, search: Search, ranges: list[tuple[int, int]]) -> npt.NDArray[np.void]:
        """Jumps over n outputs for n in each [low, high), one after the other: JUMP (n,)."""
        return jump_table(self._scalar, search, ranges)

    def _prepared(self, search: Search) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint32], npt.NDArray[np.void]]:
        # A chunk is many slices of one search, and a search many chunks: make its arrays once.
        if self._last is None or self._last[0] is not search:
            jumps = self.jump_table(search, sieve_jumps(search))
            self._last = (search, search.record(), search.table(), jumps)
        prepared: tuple[npt.NDArray[np.void], npt.NDArray[np.uint32], npt.NDArray[np.void]] = self._last[1:]
        return prepared

    def _grid(self) -> tuple[int, int]:
        """(blocks, threads of each) of an emulated launch."""
        assert self.tuner is not None
        threads, blocks = self.tuner.shape
        return blocks, threads

    def _slots(self, slots: int) -> ctypes.c_void_p:
        threads = math.prod(self.tuner.shape) if self.tuner else self.lanes
        self._buffer, address = _aligned(self._buffer, slots * threads)
        return address

    def _group_slots(self, reach: int) -> ctypes.c_void_p:
        glances = hasattr(self._library, "group_words")
        words = self._library.group_words(ctypes.c_uint64(reach)) if glances else 0
        self._group_buffer, address = _aligned(self._group_buffer, words)
        return address

    def _square(self, search: Search) -> npt.NDArray[np.void]:
        """The kernel's `square`, shape (1,); no slots where this build or this search has none."""
        record = np.zeros(1, SQUARE)
        square = search.square if self.kind == "cpu" and hasattr(self._library, "square_words") else None
        if square is not None:
            slots = len(square.positions)
            self._square_buffer, room = _aligned(
                self._square_buffer, self._library.square_words(ctypes.c_uint64(slots))
            )
            values = dict(vars(square), slots=slots, depth=square.looks.shape[1], room=room.value, marked=0)
            values |= {key: getattr(square, key).ctypes.data for key in ("positions", "looks")}
            record[0] = tuple(values[key] for key in SQUARE.names or ())
        return record

    def _sieve(self, search: Search, start: int, count: int, capacity: int) -> tuple[int, Hits]:
        record, table, jumps = self._prepared(search)
        hits, found = np.zeros(capacity, HIT), np.zeros(1, np.uint64)
        buffer = self._slots(1 if search.stride else search.slots)
        arguments = (
            *(pointer(record), pointer(table), pointer(jumps), ctypes.c_uint64(start), ctypes.c_uint64(count)),
            *(pointer(hits), ctypes.c_uint64(capacity), pointer(found), buffer),
        )
        if self.kind == "emulated":
            self._library.sieve_emulated(*self._grid(), *arguments)
        else:
            room = self._group_slots(int(record["reach"][0]))
            exceptions = (pointer(self._exceptions), ctypes.c_uint64(len(self._exceptions)))
            self._library.sieve(*arguments, room, pointer(self._square(search)), *exceptions)
        return int(found[0]), hits[: min(int(found[0]), capacity)]

    def _outputs(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> Outputs:
        record, slots = outputs_record(search, first, count, self.form)
        jumps = self.jump_table(search, [(max(first, 0), max(first, 0) + 1)])
        out = np.zeros((len(seeds), count), np.uint32)
        arguments = (
            *(pointer(record), pointer(jumps), pointer(seeds), ctypes.c_uint64(len(seeds)), ctypes.c_int64(first)),
            *(ctypes.c_uint64(count), pointer(out), self._slots(slots)),
        )
        if self.kind == "emulated":
            self._library.outputs_emulated(*self._grid(), *arguments)
        else:
            self._library.outputs(*arguments)
        return out


def sieve_jumps(search: Search) -> list[tuple[int, int]]:
    """Which jumps `sieve_block` of kernels/sieve.h wants: over each skip, then to each first output."""
    last = search.skips[1] + search.offsets[1] if search.stride else search.first
    return [(search.skips[0], search.skips[1] + 1), (search.first, last + 1)]


def outputs_record(search: Search, first: int, count: int, form: Form) -> tuple[npt.NDArray[np.void], int]:
    """The kernel's `search` for `outputs`, and the slots that it takes: all it makes, from output 0 where the family can't
    jump or outputs are made both ways."""
    record = search.record()
    behind = max(0, -first)
    if not both_ways(form):
        record["positions"] = count if search.jumps else first + count
        return record, int(record["positions"][0])
    record["positions"], record["positions_behind"] = max(0, first + count), behind
    return record, max(0, first + count) + behind + count


def jump_table(library: ctypes.CDLL, search: Search, ranges: list[tuple[int, int]]) -> npt.NDArray[np.void]:
    """Jumps over n outputs for n in each [low, high), one after the other: JUMP (n,); empty where the family can't."""
    if not search.jumps:
        return np.zeros(1, JUMP)
    record = search.record()
    param = np.ascontiguousarray(record["param"][0])
    tables = []
    for low, high in ranges:
        table = np.zeros(high - low, JUMP)
        library.jump_table(pointer(param), ctypes.c_uint64(low), ctypes.c_uint64(high - low), pointer(table))
        tables.append(table)
    return np.concatenate(tables)
