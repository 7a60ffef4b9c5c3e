"""Devices that go bad on the way: after some healthy chunks a CPU device drops lanes, flips bits, or forgets its last block.

`corrupt` spoils one device; PATCH does so with the devices of one rank of a run, before the step."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from prng_mpi.devices.cpu import CpuDevice, build

LANES, BITS, BLOCK = "5 % of lanes dropped", "one bit in 1e-3 outputs", "last block missing"
FAULTS = (LANES, BITS, BLOCK)
# Threads of the launch that is imagined, those of them that do nothing, and seeds of a block.
THREADS, BLOCK_SEEDS = 1000, 32
DEAD = np.random.default_rng(1).permutation(THREADS)[: THREADS // 20]
# Chunks are at least so long; probes and known answers don't come by `sieve`, or are shorter.
CHUNK = 500
# After each output that a sieve or `outputs` makes: bit 3 is turned in one of a thousand, which ones no two launches share.
FLIP = (
    "{ static u32 salt; w32 h = (value + (salt += 0x9e3779b9u)) * 2654435761u; h = (h ^ h >> 15) * 2246822519u;"
    " value ^= above(all32(4294967u), h) & 8u; }"
)


def flipping(text: str) -> str:
    """A kernel text that turns a bit in a thousandth of all outputs."""
    drawn = ("MAPPING(draw_raw(t), &value, q);", "MAPPING(take(&g), &value, q);")
    assert all(line in text for line in drawn)
    for line in drawn:
        text = text.replace(line, line + FLIP)
    return text


def corrupt(device: CpuDevice, fault: str, healthy: int) -> None:
    """Spoil a device after so many chunks."""
    honest_sieve, honest_slice, honest_outputs = device.sieve, device._sieve, device._outputs
    bad = (
        ctypes.CDLL(str(build(flipping(device.recipe.text("sieve.h", device.form)), "cpu"))) if fault == BITS else None
    )
    done = 0

    def sieve(search: Any, start: int, stop: int, *more: Any) -> Any:
        nonlocal done
        done += stop - start >= CHUNK
        if bad is not None and done > healthy:
            device._library = bad
        return honest_sieve(search, start, stop, *more)

    def one_slice(search: Any, start: int, count: int, capacity: int) -> Any:
        found, hits = honest_slice(search, start, count, capacity)
        if done <= healthy or found > capacity or fault == BITS:
            return found, hits
        at = hits["seed"] - np.uint64(start)
        kept = ~np.isin(at % THREADS, DEAD) if fault == LANES else at < (count - 1) // BLOCK_SEEDS * BLOCK_SEEDS
        return int(kept.sum()), hits[kept]

    def outputs(search: Any, seeds: Any, first: int, count: int) -> Any:
        out = honest_outputs(search, seeds, first, count)
        if done > healthy and fault == LANES:
            out[np.isin(np.arange(len(seeds)) % THREADS, DEAD)] = 0
        if done > healthy and fault == BLOCK:
            out[(len(seeds) - 1) // BLOCK_SEEDS * BLOCK_SEEDS :] = 0
        return out

    device.sieve, device._sieve, device._outputs = sieve, one_slice, outputs  # type: ignore[method-assign]


# Before the step, in every rank: CORRUPT is "fault;healthy chunks;rank". Chunks take their time, so that every rank has some.
PATCH = """
import os, sys, time
sys.path.insert(0, "tests")
from corrupt import corrupt
from prng_mpi.comm import launched
from prng_mpi.devices.cpu import CpuDevice
fault, healthy, where = os.environ.get("CORRUPT", ";0;-1").split(";")
honest, honest_init = CpuDevice.sieve, CpuDevice.__init__
def slow(self, search, start, stop, *more):
    if stop - start >= 500:
        time.sleep(4e-6 * (stop - start))
    return honest(self, search, start, stop, *more)
def init(self, recipe, kind="cpu", *more):
    honest_init(self, recipe, kind, *more)
    if kind == "cpu" and (launched() or (0, 1))[0] == int(where):
        corrupt(self, fault, int(healthy))
CpuDevice.sieve, CpuDevice.__init__ = slow, init
"""
