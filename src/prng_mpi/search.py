"""Floor 0: a search, what every seed is held against: recipe, window, skips, offsets, need."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import kernels
from prng_mpi.errors import UsageError
from prng_mpi.recipes import Recipe

# `search` in kernels/mapping.h, field by field.
SEARCH = np.dtype(
    [
        (name, "<u8")
        for name in (
            *("modulus", "magic32", "magic64", "bits", "mask", "limit", "power_of_two"),
            *("inverse", "twos", "quotient"),
            *("draws", "need", "skip_min", "skip_max", "offset_min", "offset_max", "window_start"),
            *("stride", "first", "positions", "reach"),
        )
    ]
    + [("param", "<u8", (4,))]
)

# Outputs a rank may keep per seed: 64 MiB on a CPU with sixteen lanes.
MAX_POSITIONS = 2**20
# Outputs a glance may keep, and about how many seeds it is at: 8 MiB at most.
MAX_REACH = 2**14
GROUP_SEEDS = 128
# Outputs that a square of seeds keeps, 5 MiB at most, looks at them, and seeds of one of its rows.
MAX_SLOTS = 2**14
MAX_LOOKS = 2**20
SIDE_SEEDS = 16


@dataclass(frozen=True)
class Square:
    """What kernels/square.h wants to know. positions: outputs that hypotheses look at, '<u8' ascending; looks: which of
    them, '<u4' (hypotheses, depth); shift, bits, seed_xor: the field and the seeding; scale, turn, bound: see there."""

    positions: npt.NDArray[np.uint64]
    looks: npt.NDArray[np.uint32]
    shift: int
    scale: int
    turn: int
    bound: int
    bits: int
    seed_xor: int


@dataclass(frozen=True)
class Search:
    """draws: '<u4' (k,); skips, offsets: (least, largest), both included; need: least matches of a survivor."""

    recipe: Recipe
    modulus: int
    draws: npt.NDArray[np.uint32]
    window_start: int
    need: int
    skips: tuple[int, int] = (0, 0)
    offsets: tuple[int, int] = (0, 0)
    given: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recipe.check_modulus(self.modulus)
        for name, (low, high) in (("skip", self.skips), ("offset", self.offsets)):
            if not 0 <= low <= high < 2**31:
                raise UsageError(f"--{name}-min {low} --{name}-max {high}: needs 0 <= min <= max < 2^31")
        if not self.stride and self.positions > MAX_POSITIONS:
            raise UsageError(
                f"skips to {self.skips[1]}, offsets to {self.offsets[1]} and {len(self.draws)} draws need {self.positions} "
                f"outputs of each seed at once, more than {MAX_POSITIONS}: narrow the ranges or shorten --window"
            )
        # One jump over each skip, and one to each first output.
        jumps = self.n_skips + self.skips[1] + self.offsets[1] - self.first + 1
        if self.stride and jumps > 2 * MAX_POSITIONS:
            raise UsageError(
                f"skips {self.skips[0]} to {self.skips[1]} and offsets {self.offsets[0]} to {self.offsets[1]} need {jumps} "
                f"jumps at hand, more than {2 * MAX_POSITIONS}: narrow the ranges"
            )

    @property
    def params(self) -> dict[str, int]:
        return self.recipe.params(self.given)

    @property
    def n_skips(self) -> int:
        return self.skips[1] - self.skips[0] + 1

    @property
    def n_offsets(self) -> int:
        return self.offsets[1] - self.offsets[0] + 1

    @property
    def per_seed(self) -> int:
        """Hypotheses of each seed."""
        return self.n_skips * self.n_offsets

    @property
    def first(self) -> int:
        """The first output any hypothesis looks at."""
        return self.skips[0] + self.offsets[0]

    @property
    def positions(self) -> int:
        """Outputs from `first` to the last any hypothesis can look at, or from 0 where the family can't jump."""
        return self._span(len(self.draws)) + (0 if self.jumps else self.first)

    def _span(self, depth: int) -> int:
        return self.skips[1] + self.offsets[1] + (depth - 1) * (self.skips[1] + 1) + 1 - self.first

    @property
    def jumps(self) -> bool:
        """Whether outputs can be jumped over: the family's algebra allows it and no call takes a varying number of words."""
        return "#define HAS_JUMP" in self.recipe.source and not self.recipe.map.rejects

    @property
    def stride(self) -> bool:
        """Whether each hypothesis jumps along its own outputs; else outputs are made once, in order, for all of them.

        Steps of generator and mapping decide: a hypothesis looks at about k - need + 1 draws; an output that is kept
        costs a step once and a load and a compare, a third of a step, at each look."""
        if not self.jumps:
            return False
        depth = min(len(self.draws), len(self.draws) - self.need + 1)
        looks = self.per_seed * depth
        # A counter's block of words is made whole, also for one of them.
        steps = looks * kernels.family(self.recipe.family).words_at_once
        return self._span(len(self.draws)) > MAX_POSITIONS or steps <= self._span(depth) + looks / 3

    @property
    def reach(self) -> int:
        """Outputs that the glance of a CPU device at a group of seeds goes through; 0 where it is not worth one.

        Nearly all seeds fail within k - need + 1 draws. A call that rejects is looked at closely, so the glance is of
        use only where hardly any group holds one that does."""
        if self.recipe.map.bits is None and self.recipe.map.rejects:
            return 0
        depth = min(len(self.draws), len(self.draws) - self.need + 3)
        reach = min(self._span(depth) + (0 if self.jumps else self.first), MAX_REACH)
        return reach if self._refused(reach) * GROUP_SEEDS < 0.1 else 0

    def _field(self) -> tuple[int, int, int] | None:
        """(first bit, bits, seed's xor) of what is divided by M: of the state if the family is affine, else of the word; None
        where it is no field of at most 32 bits that the glance at squares understands."""
        family, mapping = kernels.family(self.recipe.family), self.recipe.map
        # Java's next(31) is a word less its lowest bit; of a power of two it takes the high bits.
        cut = family.word_bits - (mapping.bits or family.word_bits)
        if cut and self.modulus & (self.modulus - 1) == 0:
            return None
        if "#define SHOWN(" in self.recipe.source:
            return None if mapping.rejects else (0, 32, 0)
        affine = family.affine(self.params, self.recipe.seeding)
        if affine is None:
            return None
        shift, bits = affine.shift + cut, affine.bits - affine.shift - cut
        return (shift, bits, affine.seed_xor) if shift <= 32 and bits <= 32 else None

    @functools.cached_property
    def square(self) -> Square | None:
        """How a CPU device glances at squares of seeds; None where the algebra or the search does not allow it."""
        declared = "#define ADDS" in self.recipe.source or "#define XORS" in self.recipe.source
        field = self._field() if declared and self.recipe.map.hint else None
        depth = min(len(self.draws), len(self.draws) - self.need + 3)
        if field is None or self.per_seed * depth > MAX_LOOKS:
            return None
        s, o, i = np.ogrid[self.skips[0] : self.skips[1] + 1, self.offsets[0] : self.offsets[1] + 1, :depth]
        positions, looks = np.unique((o + s + i * (s + 1)).astype(np.uint64), return_inverse=True)
        outputs = int(positions[-1]) + 1
        # Words that calls refuse are looked for at every output.
        if len(positions) > MAX_SLOTS or (self.recipe.map.rejects and outputs > MAX_REACH):
            return None
        if self._refused(outputs) * SIDE_SEEDS > 0.1:
            return None
        m, (shift, bits, seed_xor) = self.modulus, field
        twos = (m & -m).bit_length() - 1
        return Square(
            positions=positions,
            looks=looks.reshape(-1, depth).astype(np.uint32),
            shift=shift,
            scale=(pow(m >> twos, -1, 2**32) << (32 - bits)) % 2**32,
            turn=(twos + 32 - bits) % 32,
            bound=(2**bits - 1) // m,
            bits=bits,
            seed_xor=seed_xor,
        )

    def _refused(self, outputs: int) -> float:
        """About how often a call refuses a word among so many of a seed's outputs."""
        bits = self.recipe.map.bits
        return outputs * (2**bits % self.modulus) / 2**bits if bits else 0.0

    def chances(self, draws: npt.NDArray[np.uint32] | None = None) -> npt.NDArray[np.float64]:
        """P(a random output equals the draw), shape (k,)."""
        return self.recipe.chances(self.draws if draws is None else draws, self.modulus, self.params)

    def record(self) -> npt.NDArray[np.void]:
        """The kernel's `search`, shape (1,)."""
        m, jumps = self.modulus, self.jumps
        # A word, and of it what the mapping divides: all, or Java's next(31).
        word = kernels.family(self.recipe.family).word_bits
        bits = self.recipe.map.bits or word
        twos = (m & -m).bit_length() - 1
        values = {
            "modulus": m,
            "magic32": 2**32 // m,
            "magic64": 2**64 // m,
            "bits": m.bit_length() - (m & (m - 1) == 0 and self.recipe.mapping == "java"),
            "mask": (1 << (m - 1).bit_length()) - 1,
            # The largest value below the last full multiple of M.
            "limit": 2**bits - 2**bits % m - 1,
            "inverse": pow(m >> twos, -1, 2**word),
            "twos": twos % word,
            "quotient": (2**bits - 1) // m,
            "power_of_two": m & (m - 1) == 0,
            "draws": len(self.draws),
            "need": self.need,
            "skip_min": self.skips[0],
            "skip_max": self.skips[1],
            "offset_min": self.offsets[0],
            "offset_max": self.offsets[1],
            "window_start": self.window_start,
            "stride": self.stride,
            "first": self.first if jumps else 0,
            "positions": 1 if self.stride else self.positions,
            "reach": self.reach,
        }
        record = np.zeros(1, SEARCH)
        for key, value in values.items():
            record[key] = value
        for i, value in enumerate(self.params.values()):
            record["param"][0, i] = value
        return record

    def identity(self) -> dict[str, Any]:
        """What makes two searches the same one; a ledger belongs to exactly one identity."""
        return {
            "recipe": self.recipe.name,
            "params": self.params,
            "kernel": kernels.digest(self.recipe.source),
            "modulus": self.modulus,
            "draws": [int(d) for d in self.draws],
            "window_start": self.window_start,
            "need": self.need,
            "skips": list(self.skips),
            "offsets": list(self.offsets),
        }
