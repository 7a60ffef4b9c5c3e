"""Floor 2: fits of models as a farm's work: each in a fresh process under the rank's helper, with the rank's GPU and its share of
the cores. The rank itself imports no library of them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi.course import Outcome
from prng_mpi.farm import WorkFailed
from prng_mpi.models import Request
from prng_mpi.router import run_program, script_environment

# What libraries of numbers take for the number of threads.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Where a run keeps what final fits leave.
MODELS = "models"


@dataclass(frozen=True)
class Fit:
    """A model with its parameters, fitted for so many trees or epochs at most, 0 where none is known to go well; final: on all rows
    before the test, to be kept."""

    number: int
    model: str
    params: dict[str, float]
    rounds: int
    final: bool = False


@dataclass(frozen=True, eq=False)
class Ground:
    """What all fits share. features: '<f4' (C, N, F) of all cuts, comparable between them; hits: u4 (c, N), of draws f8 (c,), of the cuts before the test
    only, so that no fit can see those; fit, judge, final: cuts to learn on, to choose on, to predict; seed: of all fits; patience:
    seconds of one."""

    features: npt.NDArray[np.float32]
    hits: npt.NDArray[np.uint32]
    draws: npt.NDArray[np.float64]
    fit: tuple[int, ...]
    judge: int
    final: tuple[int, ...]
    seed: int
    patience: float

    @property
    def memory(self) -> float:
        """About how many bytes a fit takes: a library, its copies of the rows and what it makes of them."""
        return 5e8 + 6.0 * self.features.nbytes


class Runner:
    """Runs fits, as a farm's Compute that is told (number, fit). Make it before any device is opened: it looks at the
    environment. Close it, or its folder stays."""

    def __init__(self, ground: Ground, kind: str, local_rank: int, threads: int, reserve: float) -> None:
        """kind: of device, not 'auto'; threads: of a fit; reserve: bytes of memory that fits should leave. Raises DeviceError if
        the rank has no GPU of its own."""
        self._ground, self._kind, self._threads, self._reserve = ground, kind, threads, reserve
        self._environment = script_environment(os.environ, kind, local_rank) | dict.fromkeys(THREADS, str(threads))
        self._data: Path | None = None

    def close(self) -> None:
        """Remove what lies on this host's disk."""
        if self._data:
            shutil.rmtree(self._data, ignore_errors=True)

    def _there(self) -> Path:
        """The folder with the rows, which all fits of this rank map from there."""
        if self._data is None:
            self._data = Path(tempfile.mkdtemp(prefix="prng_mpi-"))
            for name in ("features", "hits", "draws"):
                np.save(self._data / f"{name}.npy", getattr(self._ground, name))
        return self._data

    def __call__(self, number: int, fit: Fit, stopped: Callable[[], bool]) -> Outcome | None:
        """The outcome of a fit; None if `stopped` said so. Raises WorkFailed, with the outcome, where its process failed."""
        ground, data, began = self._ground, self._there(), time.monotonic()
        head: dict[str, Any] = {"trial": asdict(fit)}
        if not fit.rounds:
            return Outcome(number, head | {"failed": f"no trial of {fit.model} ended well", "seconds": 0.0})
        with tempfile.TemporaryDirectory(dir=data) as place:
            folder = Path(place)
            request = Request(
                fit.model, fit.params, fit.rounds, ground.fit, ground.judge, ground.final if fit.final else None, ground.seed,
                self._threads, self._kind, str(data), place,
            )  # fmt: skip
            (folder / "request.json").write_text(json.dumps(asdict(request)))
            argv = [sys.executable, "-m", "prng_mpi.models", str(folder / "request.json")]
            name = f"{'the final fit' if fit.final else f'trial {number}'} ({fit.model})"
            done, failure = run_program(argv, name, ground.patience, self._environment, self._reserve, stopped)
            if done.stopped:
                return None
            if failure:
                why = f"{failure.mode}: {failure.reason}"
                raise WorkFailed(why, Outcome(number, head | failure.more | {"failed": why}))
            said = json.loads((folder / "result.json").read_text())
            files = {f"{MODELS}/{each}": (folder / each).read_bytes() for each in said.get("files", {})}
        said["seconds"] = time.monotonic() - began
        return Outcome(number, head | {"failed": ""} | said, files)
