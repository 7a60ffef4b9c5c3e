"""Floor 1: devices. They alone own cupy and the C compiler; `open_device` is the one door."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

from prng_mpi.devices.base import Device, known_answers
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import Recipe
from prng_mpi.search import PLAIN, Form, Search, both_ways, in_form

KINDS = ("auto", "cuda", "rocm", "cpu", "emulated")

__all__ = ["KINDS", "Device", "Devices", "choose", "open_device"]


def choose(kind: str, exists: Callable[[str], bool] = lambda path: Path(path).exists()) -> tuple[str, str]:
    """(kind, why): what `auto` stands for on this host, found without touching a GPU runtime."""
    if kind != "auto":
        return kind, f"--device {kind}"
    found = [(k, path) for k, path in (("cuda", "/dev/nvidiactl"), ("rocm", "/dev/kfd")) if exists(path)]
    if not found:
        return "cpu", "auto: no /dev/nvidiactl and no /dev/kfd on this host"
    gpu, path = found[0]
    if importlib.util.find_spec("cupy") is None:
        return "cpu", f"auto: {path} is there but cupy is not installed (pip install 'prng_mpi[{gpu}]' to use the GPU)"
    return gpu, f"auto: {path}"


def open_device(
    kind: str, recipe: Recipe, local_rank: int, method: str = "lanes", form: Form = PLAIN, threads: int = 1
) -> Device:
    """Open a device of that kind for a recipe, GPU number `local_rank` of the host, and hold it against known answers.
    threads: of a CPU's lanes.

    Raises DeviceError if it can't be opened or computes wrongly; there is no fallback to another kind."""
    if method == "lift":
        from prng_mpi.devices.lift import LiftDevice

        device: Device = LiftDevice(recipe)
    elif method == "invert":
        from prng_mpi.devices.invert import InvertDevice

        device = InvertDevice(recipe)
    elif kind == "cpu" and threads > 1:
        from prng_mpi.devices.team import CpuTeam

        device = CpuTeam(recipe, form, threads)
    elif kind in ("cpu", "emulated"):
        from prng_mpi.devices.cpu import CpuDevice

        device = CpuDevice(recipe, kind, form)
    else:
        from prng_mpi.devices.gpu import GpuDevice

        device = GpuDevice(recipe, kind, local_rank, form)
    if device.check() == 0:
        raise DeviceError(f"recipe {recipe.name} has no known answers, so {device.name} can't prove itself")
    if both_ways(form):
        _check_behind(device)
    return device


class Devices:
    """The devices of a rank whose work needs several programs: each is opened when it is first needed, and kept."""

    def __init__(self, kind: str, local_rank: int, threads: int = 1) -> None:
        """As of `open_device`."""
        self._kind, self._local_rank, self._threads = kind, local_rank, threads
        self._opened: dict[tuple[str, Form], Device] = {}

    def of(self, search: Search) -> Device:
        """The device that can do a search. Raises DeviceError."""
        key = (search.recipe.name, search.form)
        if key not in self._opened:
            self._opened[key] = open_device(
                self._kind, search.recipe, self._local_rank, form=search.form, threads=self._threads
            )
        return self._opened[key]

    def close(self) -> None:
        """Give back what they hold."""
        for device in self._opened.values():
            device.close()


def _check_behind(device: Device) -> None:
    """Hold outputs before the seeded state against those of the plain build, which the tests hold against real runtimes."""
    from prng_mpi.devices.cpu import CpuDevice

    plain = CpuDevice(device.recipe, "reference", device.form)
    for seed, modulus, _, _ in known_answers(device.recipe):
        search = in_form(Search(device.recipe, modulus, np.zeros(1, np.uint32), 0, 1), device.form)
        seeds = np.array([seed], np.uint64)
        # Past all words of the largest state.
        if (device.outputs(search, seeds, -1300, 1310) != plain.outputs(search, seeds, -1300, 1310)).any():
            raise DeviceError(
                f"{device.name} computes recipe {device.recipe.name} wrongly: outputs before seed {seed} differ from the plain "
                "build's; it is not used"
            )
