"""CUDA and ROCm devices through CuPy. Alone owns cupy, and imports it only after the environment is set."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi.devices.base import Device, Hits, Outputs
from prng_mpi.devices.cpu import CpuDevice, launch_memory, outputs_record, sieve_jumps
from prng_mpi.devices.tuning import Shape, Tuner
from prng_mpi.errors import DeviceError
from prng_mpi.profiles import profile
from prng_mpi.recipes import Recipe
from prng_mpi.records import HIT
from prng_mpi.search import PLAIN, Form, Search

# (threads of a block, blocks of a processor): multiples of 64, as no kernel depends on the width of a warp or wavefront.
SHAPES = ((128, 16), (256, 8), (64, 32), (256, 4), (128, 4))
MEMORY_SHARE = 0.8
# Share of the allowed memory that the kept outputs of all threads may take together.
BUFFER_SHARE = 0.5


def binding(kind: str, local_rank: int, environ: Mapping[str, str]) -> dict[str, str]:
    """What shows a process one GPU only, with the vendor's environment; what `environ` has set is respected.

    ROCR_VISIBLE_DEVICES is the one ROCm obeys before it touches every GPU of the host. Raises DeviceError."""
    vendor = {key: environ.get(key, value) for key, value in profile(kind).environment.items()}
    visible = "CUDA_VISIBLE_DEVICES" if kind == "cuda" else "ROCR_VISIBLE_DEVICES"
    given = [part for part in environ.get(visible, "").split(",") if part]
    if given and local_rank >= len(given):
        raise DeviceError(
            f"local rank {local_rank} has no GPU: {visible} names {len(given)}; start as many ranks as GPUs on each host"
        )
    return {**vendor, visible: given[local_rank] if given else str(local_rank)}


@functools.cache
def bind(kind: str, local_rank: int) -> None:
    """Show this process one GPU only. Must come before the GPU library's import; once, as it then names one."""
    os.environ.update(binding(kind, local_rank, os.environ))


class GpuDevice(Device):
    """One GPU, one rank. Launches stay far under the 2 s after which a display's watchdog, or a user, loses patience."""

    slice_seconds = 0.5
    first_slice = 1 << 26

    def __init__(self, recipe: Recipe, kind: str, local_rank: int, form: Form = PLAIN) -> None:
        super().__init__(recipe, form)
        self.kind = kind
        # The host's build makes the jump table; it also proves the compiler before the GPU is touched.
        self._host = CpuDevice(recipe, "reference", form)
        bind(kind, local_rank)
        try:
            import cupy
        except ImportError as e:
            raise DeviceError(f"--device {kind} needs cupy ({e}): pip install 'prng_mpi[{kind}]'") from e
        self._cupy: Any = cupy
        # Loading and launching a kernel fail as the driver's errors, copies and synchronisation as the runtime's.
        self._failures: tuple[type[Exception], ...] = (
            cupy.cuda.runtime.CUDARuntimeError,
            cupy.cuda.driver.CUDADriverError,
            cupy.cuda.memory.OutOfMemoryError,
        )
        try:
            if not cupy.cuda.is_available():
                raise DeviceError(f"no {kind} GPU answers as number {local_rank} of this host; --device cpu needs none")
            hip = bool(cupy.cuda.runtime.is_hip)
            if hip != (kind == "rocm"):
                raise DeviceError(f"--device {kind}, but the installed cupy is for {'rocm' if hip else 'cuda'}")
            properties = cupy.cuda.runtime.getDeviceProperties(0)
            self.name = properties["name"].decode()
            self._processors = int(properties["multiProcessorCount"])
            limit = int(properties["totalGlobalMem"] * MEMORY_SHARE)
            cupy.get_default_memory_pool().set_limit(size=limit)
            self._buffer_limit = int(limit * BUFFER_SHARE)
            options = ("--std=c++17",) if kind == "cuda" else ("-std=c++17",)
            self.tuner = Tuner(SHAPES, launch_memory(self.name, recipe.text("sieve.h", form)))
            module = cupy.RawModule(code=recipe.text("sieve.h", form), options=options)
            self._sieve_kernel = module.get_function("sieve_grid")
            self._outputs_kernel = module.get_function("outputs_grid")
        except (*self._failures, cupy.cuda.compiler.CompileException) as e:
            raise DeviceError(f"GPU {local_rank} of this host can't be used: {e}") from e

    @property
    def _shape(self) -> Shape:
        assert self.tuner is not None
        return self.tuner.shape

    @property
    def xp(self) -> Any:
        return self._cupy

    def close(self) -> None:
        self._last = None
        self._cupy.get_default_memory_pool().free_all_blocks()
        self._cupy.get_default_pinned_memory_pool().free_all_blocks()

    def _blocks(self, slots: int, wanted: int) -> int:
        """Blocks of a launch: enough to fill the GPU, never more than the buffer's memory or the work allows."""
        threads, each = self._shape
        most = self._processors * each
        fits = self._buffer_limit // (slots * 4 * threads)
        if fits < 1:
            raise DeviceError(f"{self.name} has no room for {slots} words a thread: narrow the skips or the window")
        return max(1, min(most, fits, -(-wanted // threads)))

    def _upload(self, array: npt.NDArray[Any]) -> Any:
        # cupy has no record types; the kernel reads the bytes.
        return self._cupy.asarray(np.ascontiguousarray(array).view(np.uint8).reshape(-1))

    def _prepared(self, search: Search) -> tuple[Any, Any, Any, int, Any]:
        if self._last is None or self._last[0] is not search or self._last[1] != self._shape:
            self._last = None
            slots = 1 if search.stride else search.slots
            blocks = self._blocks(slots, self._wanted)
            jumps = self._host.jump_table(search, sieve_jumps(search))
            buffer = self._cupy.empty(slots * blocks * self._shape[0], np.uint32)
            table = self._cupy.asarray(search.table())
            self._last = (
                search,
                self._shape,
                self._upload(search.record()),
                table,
                self._upload(jumps),
                blocks,
                buffer,
            )
        prepared: tuple[Any, Any, Any, int, Any] = self._last[2:]
        return prepared

    def _sieve(self, search: Search, start: int, count: int, capacity: int) -> tuple[int, Hits]:
        cupy = self._cupy
        try:
            record, table, jumps, blocks, buffer = self._prepared(search)
            hits = cupy.empty(capacity * HIT.itemsize, np.uint8)
            found = cupy.zeros(1, np.uint64)
            arguments = (
                record,
                table,
                jumps,
                np.uint64(start),
                np.uint64(count),
                hits,
                np.uint64(capacity),
                found,
                buffer,
            )
            self._sieve_kernel((blocks,), (self._shape[0],), arguments)
            total = int(found.get()[0])
            return total, hits.get().view(HIT)[: min(total, capacity)]
        except self._failures as e:
            raise DeviceError(f"{self.name}: the launch over seeds {start} to {start + count - 1} failed: {e}") from e

    def _outputs(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> Outputs:
        try:
            result: Outputs = self._launch_outputs(search, seeds, first, count).get().reshape(len(seeds), count)
            return result
        except self._failures as e:
            raise DeviceError(f"{self.name}: the launch over {len(seeds)} seeds failed: {e}") from e

    def outputs_there(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> Any:
        return self._launch_outputs(search, seeds, first, count).reshape(len(seeds), count)

    def _launch_outputs(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> Any:
        """The outputs of each seed, one seed after the other, on the device."""
        cupy = self._cupy
        try:
            record, slots = outputs_record(search, first, count, self.form)
            jumps = self._upload(self._host.jump_table(search, [(max(first, 0), max(first, 0) + 1)]))
            blocks = self._blocks(slots, len(seeds))
            buffer = cupy.empty(slots * blocks * self._shape[0], np.uint32)
            out = cupy.zeros(len(seeds) * count, np.uint32)
            sizes = (np.uint64(len(seeds)), np.int64(first), np.uint64(count))
            there = cupy.asarray(np.ascontiguousarray(seeds, np.uint64))
            arguments = (self._upload(record), jumps, there, *sizes, out, buffer)
            self._outputs_kernel((blocks,), (self._shape[0],), arguments)
            return out
        except self._failures as e:
            raise DeviceError(f"{self.name}: the launch over {len(seeds)} seeds failed: {e}") from e
