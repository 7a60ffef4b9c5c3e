"""Outputs of one seed at any distance on the host's CPU, forward and back. See kernels/predict.h."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from prng_mpi import kernels
from prng_mpi.devices.base import Outputs, known_answers
from prng_mpi.devices.cpu import build, pointer, processor
from prng_mpi.errors import DeviceError, UsageError
from prng_mpi.recipes import Recipe
from prng_mpi.search import Search

# Outputs stepped over between two looks at `stopped`, and before the first forecast.
SLICE, FIRST_SLICE = 1 << 24, 1 << 17
# A longer way is refused.
PATIENCE = 300.0
# Outputs are counted in 64 bits, and each may take two words.
FARTHEST = 2**61

State = npt.NDArray[np.uint64]


class Predictor:
    """The outputs of a recipe's seeds in [0, M), one seed at a time, by the plain build. Raises UsageError for a modulus
    or a parameter that the recipe does not take."""

    def __init__(self, recipe: Recipe, modulus: int, given: dict[str, int] | None = None) -> None:
        self.recipe, self.modulus = recipe, modulus
        # The kernel's `search` also holds what the mapping needs.
        self._record = Search(recipe, modulus, np.zeros(1, np.uint32), 0, 1, given=given or {}).record()
        self._param = np.ascontiguousarray(self._record["param"][0])
        self._library = ctypes.CDLL(str(build(recipe.text("predict.h"), "reference")))
        for name in ("state_bytes", "walk", "make"):
            getattr(self._library, name).restype = ctypes.c_uint64
        self.invertible = kernels.family(recipe.family).invertible(recipe.params(given or {}))
        self.jumps = hasattr(self._library, "jump_over")
        self.name = f"{processor()}, plain"

    def outputs(
        self,
        seed: int,
        first: int,
        count: int,
        stride: int = 1,
        patience: float = PATIENCE,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Outputs | None:
        """Outputs first, first + stride, ... of a seed: '<u4' (count,). Index 0 is the first after seeding, -1 the one
        before it. None if `stopped()` said so. Raises UsageError where the way there takes more than `patience` seconds,
        or the call rejects all there is."""
        if not -FARTHEST < first < FARTHEST or not first + count * stride < FARTHEST:
            raise UsageError(f"output {first} and {count} more, {stride} apart, are out of reach: indices end at 2^61")
        if first < 0 and not self.invertible:
            raise UsageError(
                f"recipe {self.recipe.name} with these parameters can't go back to output {first}: two of its states step to one"
            )
        state = np.zeros(int(self._library.state_bytes()) // 8 + 1, np.uint64)
        self._library.begin(pointer(state), ctypes.c_uint64(seed), pointer(self._param))
        out = np.zeros(count, np.uint32)
        between = 0 if self.jumps else (count - 1) * (stride - 1)
        if not self._move(state, seed, first, between, patience, stopped):
            return None
        if stride == 1:
            self._whole(self._make(state, out), count, seed)
            return out
        for i in range(count):
            rest = 0 if self.jumps else (count - 1 - i) * (stride - 1)
            if i and not self._move(state, seed, stride - 1, rest, patience, stopped):
                return None
            self._whole(self._make(state, out[i : i + 1]), 1, seed)
        return out

    def _make(self, state: State, out: Outputs) -> int:
        count = ctypes.c_uint64(len(out))
        return int(self._library.make(pointer(state), count, pointer(self._record), pointer(out)))

    def _whole(self, made: int, asked: int, seed: int) -> None:
        if made < asked:
            raise UsageError(
                f"recipe {self.recipe.name} with modulus {self.modulus} rejects every value of seed {seed} from some output on"
            )

    def _move(
        self, state: State, seed: int, distance: int, later: int, patience: float, stopped: Callable[[], bool]
    ) -> bool:
        """Lead a state over that many outputs, back if negative; later: outputs to step over after that. False if stopped."""
        left, back = abs(distance), ctypes.c_uint32(distance < 0)
        far = ctypes.c_uint64(left)
        if left and self.jumps and self._library.jump_over(pointer(state), far, back, pointer(self._param)):
            return True
        began, done, size = time.perf_counter(), 0, FIRST_SLICE
        while left:
            if stopped():
                return False
            size = min(size, left)
            walked = int(self._library.walk(pointer(state), ctypes.c_uint64(size), back, pointer(self._record)))
            self._whole(walked, size, seed)
            left, done = left - size, done + size
            rate = done / max(time.perf_counter() - began, 1e-9)
            if (left + later) / rate > patience:
                why = "rejects values" if self.recipe.map.rejects else "has no jump that way"
                raise UsageError(
                    f"these outputs of recipe {self.recipe.name} are too far: it {why}, so {left + later:.1e} outputs are stepped "
                    f"over, {rate:.1e} a second, in {(left + later) / rate / 60:.0f} minutes; ask for some within "
                    f"{rate * patience:.0e} of the seed"
                )
            size = SLICE
        return True

    def check(self) -> int:
        """Hold the predictor against the recipe's known answers, and back from them; how many outputs agreed. Raises
        DeviceError."""
        agreed = 0
        for seed, modulus, first, expected in known_answers(self.recipe):
            other = Predictor(self.recipe, modulus)
            # From before the seed, so that back is held against forward too.
            before = 3 if self.invertible else 0
            got = other.outputs(seed, first - before, before + len(expected))
            if got is None or got[before:].tolist() != list(expected):
                raise DeviceError(
                    f"{self.name} computes recipe {self.recipe.name} wrongly from seed {seed}; it is not used"
                )
            agreed += len(expected)
        return agreed
