"""Floor 0: a search, what every seed is held against: recipe, window, skips, offsets, need."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import kernels
from prng_mpi.errors import UsageError
from prng_mpi.observations import Observations
from prng_mpi.recipes import Recipe
from prng_mpi.spaces import Space
from prng_mpi.statistics import Plan, plan_evidence

# `search` in kernels/mapping.h, field by field.
SEARCH = np.dtype(
    [
        (name, "<u8")
        for name in (
            *("modulus", "magic32", "magic64", "bits", "mask", "limit", "power_of_two"),
            *("least", "share", "magic_share"),
            *("inverse", "twos", "quotient", "unit"),
            *("draws", "need", "skip_min", "skip_max", "offset_min", "offset_max", "window_start"),
            *("stride", "first", "positions", "reach", "shifts"),
            *("ahead", "behind", "need_behind", "positions_behind", "misses", "events"),
            *("clock", "pid", "pid_bits"),
        )
    ]
    + [("param", "<u8", (4,))]
)

# Outputs a rank may keep per seed: 64 MiB on a CPU with sixteen lanes.
MAX_POSITIONS = 2**20
# Outputs a glance may keep, and about how many seeds it is at: 10 MiB at most.
MAX_REACH = 2**14
GROUP_SEEDS = 128
# Chance that words are refused more often than a glance allows for: of a search of 2^32 seeds one seed in 230 searches, seldom its truth.
PASSED_OVER = 1e-12
# Buckets of values in which a hybrid sieve looks for draws: a word of bits at least, 16 KiB of heads at most.
MIN_BUCKETS = 32
MAX_BUCKETS = 4096
_NO_ITEM = 0xFFFFFFFF

# What the program of a search defines; see kernels/platform.h. Nothing for the plain one: consecutive draws ahead, all
# known, at a constant skip, over an interval of seeds.
Form = tuple[str, ...]
PLAIN: Form = ()
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


def both_ways(form: Form) -> bool:
    """Whether a program also makes outputs before the seeded state."""
    return "LOOKS" in form or "HYBRID" in form


@dataclass(frozen=True, eq=False)
class Side:
    """Draws on one side of a boundary between two calls, ahead of it or behind, nearest first.

    draws: '<u4' (k,), each draw's value, or the least that it may be. need: least matches of a survivor. calls: '<i8'
    (k, 2), least and greatest distance of a draw's call: ahead 1 is the call after the boundary, behind 0 is the one
    before it; where they differ, any number of outputs from the least to the most that the calls can take may lie between. low, high: '<u4' (n,), ranges of values, both ends included; those of draw i are first[i] to
    first[i + 1] - 1; first: '<i8' (k + 1,)."""

    draws: npt.NDArray[np.uint32]
    need: int
    calls: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    low: npt.NDArray[np.uint32]
    high: npt.NDArray[np.uint32]
    behind: bool = False

    @property
    def exact(self) -> bool:
        """Whether every draw is one value."""
        return len(self.low) == len(self.draws) and bool((self.low == self.high).all())

    def accepts(self, values: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Whether values[i] can be draw i: bool (k,)."""
        each = np.repeat(values, np.diff(self.first))
        inside = (each >= self.low) & (each <= self.high)
        return np.asarray(np.logical_or.reduceat(inside, self.first[:-1])) if len(values) else np.zeros(0, bool)

    @property
    def fixed(self) -> bool:
        """Whether it is known how many calls lie between draws."""
        return bool((self.calls[:, 0] == self.calls[:, 1]).all())

    @property
    def plain(self) -> bool:
        """Whether these are consecutive calls ahead whose values are known."""
        return self.exact and self.fixed and bool((self.calls[:, 0] == np.arange(1, len(self.draws) + 1)).all())


def side(draws: npt.ArrayLike, need: int, *, behind: bool = False) -> Side:
    """Consecutive draws of known value, nearest to the boundary first."""
    values = np.array(draws, np.uint32)
    calls = np.repeat(np.arange(len(values), dtype=np.int64)[:, None] + (not behind), 2, axis=1)
    return Side(values, need, calls, np.arange(len(values) + 1), values, values, behind)


def side_of(draws: npt.NDArray[np.uint32], known: Observations | None, need: int, *, behind: bool = False) -> Side:
    """A side of draws of which that much is known, nearest to the boundary first; None: the value, of consecutive draws."""
    if known is None:
        return side(draws, need, behind=behind)
    gaps = np.stack([known.gap_min, known.gap_max], axis=1)
    calls = np.cumsum(gaps + 1, axis=0) - behind
    return Side(draws, need, calls, known.first, known.low, known.high, behind)


def head(s: Side, k: int) -> Side:
    """The k nearest draws of a side, or all if it has less."""
    k = min(k, len(s.draws))
    end = s.first[k]
    return replace(s, draws=s.draws[:k], calls=s.calls[:k], first=s.first[: k + 1], low=s.low[:end], high=s.high[:end])


@dataclass(frozen=True, eq=False)
class Search:
    """What every seed is held against. Call u of a window is output o - 1 + u (s + 1); u = 1, 2, ... from the boundary
    before the window's first draw on, 0, -1, ... before it.

    draws: '<u4' (k,), consecutive and known, the window of a plain search; need: least matches of a survivor. skips, offsets:
    (least, largest), both included. ahead, behind: the sides of a search that is not plain, which has no draws of its own.
    misses: None for a constant skip; else every skip of the range may stand before every draw, and a path may miss at most so
    many draws in a row. space: None where seeds are searched by value; else a hit's seed is an index of that space, clock
    times process id."""

    recipe: Recipe
    modulus: int
    draws: npt.NDArray[np.uint32]
    window_start: int
    need: int
    skips: tuple[int, int] = (0, 0)
    offsets: tuple[int, int] = (0, 0)
    given: dict[str, int] = field(default_factory=dict)
    ahead: Side | None = None
    behind: Side | None = None
    misses: int | None = None
    space: Space | None = None

    def __post_init__(self) -> None:
        self.recipe.check_modulus(self.modulus)
        for name, (low, high) in (("skip", self.skips), ("offset", self.offsets)):
            if not 0 <= low <= high < 2**31:
                raise UsageError(f"--{name}-min {low} --{name}-max {high}: needs 0 <= min <= max < 2^31")
        if self.misses is None and not all(s.fixed for s in self.sides):
            raise UsageError("the number of calls between some draws is not known, so the skip varies: add --hybrid")
        if self.behind is not None and not kernels.family(self.recipe.family).invertible(self.params):
            raise UsageError(
                f"recipe {self.recipe.name} can't run backwards with these parameters: use --direction forward"
            )
        if not self.stride and self.slots > MAX_POSITIONS:
            raise UsageError(
                f"skips to {self.skips[1]}, offsets to {self.offsets[1]} and {self.k} draws need {self.slots} "
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
    def sides(self) -> tuple[Side, ...]:
        """The sides that have draws, the one ahead first."""
        return tuple(s for s in self._both_sides if len(s.draws))

    @functools.cached_property
    def _both_sides(self) -> tuple[Side, Side]:
        if self.ahead is None and self.behind is None:
            return side(self.draws, self.need), side([], 0, behind=True)
        return self.ahead or side([], 0), self.behind or side([], 0, behind=True)

    @property
    def k(self) -> int:
        """Draws of both sides."""
        return sum(len(s.draws) for s in self.sides)

    @property
    def least(self) -> int:
        """Matches that a survivor has at least, of both sides."""
        return sum(s.need for s in self.sides)

    @property
    def form(self) -> Form:
        """What its program defines."""
        sides = () if self.plain else ("LOOKS",) if self.misses is None else ("HYBRID",)
        return sides if self.space is None else (*sides, "CLOCK_TIMES_PID")

    @property
    def plain(self) -> bool:
        """Whether the window is consecutive draws ahead, all known, at a constant skip."""
        return self.ahead is None and self.behind is None and self.misses is None

    @property
    def n_skips(self) -> int:
        return self.skips[1] - self.skips[0] + 1

    @property
    def n_offsets(self) -> int:
        return self.offsets[1] - self.offsets[0] + 1

    @property
    def per_seed(self) -> int:
        """Hypotheses of each seed; the best path at an offset is one."""
        return self.n_offsets * (self.n_skips if self.misses is None else 1)

    @property
    def first(self) -> int:
        """The first output that is kept: the first any hypothesis looks at, or 0 where outputs are made in both ways."""
        return self.skips[0] + self.offsets[0] if self.plain else 0

    def reach_of(self, s: Side) -> npt.NDArray[np.int64]:
        """Least and greatest distance of each draw's output from the offset's, shape (k, 2): ahead draw i is one of outputs
        o + reach[i, 0] to o + reach[i, 1], behind one of o - 1 - reach[i, 1] to o - 1 - reach[i, 0]."""
        return np.asarray(s.calls * (np.array(self.skips) + 1) - (not s.behind))

    @property
    def positions(self) -> int:
        """Outputs from `first` to the last any hypothesis can look at, or from 0 where the family can't jump."""
        if not self.plain:
            return max(1, self.offsets[1] + int(self.reach_of(self._both_sides[0]).max(initial=-1)) + 1)
        return self._span(len(self.draws)) + (0 if self.jumps else self.first)

    @property
    def positions_behind(self) -> int:
        """Outputs before the seeded state that some hypothesis can look at."""
        return max(0, int(self.reach_of(self._both_sides[1]).max(initial=-1)) + 1 - self.offsets[0])

    @property
    def events(self) -> int:
        """Outputs that can be some draw, each counted with each such draw, of the side where they are most; hybrid only."""
        if self.misses is None:
            return 0
        return max(int((np.diff(self.reach_of(s), axis=1) + self.n_offsets).sum()) for s in self.sides)

    @property
    def slots(self) -> int:
        """Words that a rank keeps for each of the seeds it is at."""
        return self.positions + self.positions_behind + 3 * self.events * len(self.sides)

    def _span(self, depth: int) -> int:
        return self.skips[1] + self.offsets[1] + (depth - 1) * (self.skips[1] + 1) + 1 - self.first

    def plan(self, threshold: float, seeds: int, looks: int = 1) -> Plan:
        """What chance alone makes of this search at a constant skip over `seeds` seeds."""
        sides = self.sides
        signed = [s.calls[:, 0] * (-1 if s.behind else 1) for s in sides]
        return plan_evidence(
            self.chances(), np.concatenate([s.draws for s in sides]), threshold, seeds=seeds, skips=self.skips,
            offsets=self.offsets, looks=looks, calls=None if self.plain else np.concatenate(signed),
            sides=[len(s.draws) for s in sides], known=all(s.exact for s in sides),
        )  # fmt: skip

    @property
    def looks(self) -> int:
        """Looks at outputs that a seed may take at most, roughly; a hybrid sieve's take longer."""
        if self.misses is not None:
            return 4 * (self.positions + self.positions_behind)
        return self.per_seed * self.k

    @property
    def jumps(self) -> bool:
        """Whether outputs can be jumped over: the family's algebra allows it and no call takes a varying number of words."""
        return "#define HAS_JUMP" in self.recipe.source and not self.recipe.map.rejects

    @property
    def stride(self) -> bool:
        """Whether each hypothesis jumps along its own outputs; else outputs are made once, in order, for all of them.

        Steps of generator and mapping decide: a hypothesis looks at about k - need + 1 draws; an output that is kept
        costs a step once and a load and a compare, a third of a step, at each look."""
        if not self.jumps or not self.plain:
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
        if (self.recipe.map.bits is None and self.recipe.map.rejects) or not self._glance:
            return 0
        k, need = (len(s.draws), s.need) if (s := self.ahead) is not None else (len(self.draws), self.need)
        depth = min(k, k - need + 3)
        reach = min(self._span(depth) + (0 if self.jumps else self.first) + self.shifts, MAX_REACH)
        return reach if self._refused(reach) * GROUP_SEEDS < 0.1 else 0

    @property
    def shifts(self) -> int:
        """How many words refused before the window the glance at a single hypothesis allows for; 0: it looks for them.

        A seed with more of them is passed over, and has a chance of at most PASSED_OVER."""
        before = self.skips[0] + self.offsets[0]
        if self.per_seed > 1 or not self._refused(before):
            return 0
        # As many refused words as a Poisson variable of this mean; half the words before the window cost as much to look at.
        return next((n for n in range(1, before // 3) if self._refused(before + n) ** (n + 1) <= PASSED_OVER), 0)

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
        divided = self.recipe.mapping in ("mod", "mod31", "java", "java_range") and not self.recipe.halves
        field = self._field() if declared and divided and not self.form else None
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
        bits, rejects = self.recipe.map.bits, self.recipe.map.rejects
        return outputs * (2**bits % self.modulus) / 2**bits if bits and rejects else 0.0

    @property
    def _glance(self) -> bool:
        """Whether the draws ahead are such as the glance at a group can look at."""
        return self.plain or (self.misses is None and self.ahead is not None and self.ahead.plain)

    def chances(self, draws: npt.NDArray[np.uint32] | None = None) -> npt.NDArray[np.float64]:
        """P(a random output matches the draw), shape (k,): of all draws, the side ahead first, or of others of known value."""
        if draws is not None:
            return self.recipe.chances(draws, self.modulus, self.params)
        return np.concatenate([self.side_chances(s) for s in self.sides])

    def side_chances(self, s: Side) -> npt.NDArray[np.float64]:
        """P(a random output can be the draw), shape (k,)."""
        if s.exact:
            return self.recipe.chances(s.draws, self.modulus, self.params)
        ranges = self.recipe.between(s.low, s.high, self.modulus, self.params)
        return np.asarray(np.minimum(np.add.reduceat(ranges, s.first[:-1]), 1.0))

    def table(self) -> npt.NDArray[np.uint32]:
        """What the kernel reads of the draws: '<u4' (n,). See kernels/sides.h."""
        if self.plain:
            return np.ascontiguousarray(self.draws, np.uint32)
        return np.concatenate([self._both_sides[0].draws, *self._both_packed])

    @functools.cached_property
    def _both_packed(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        ahead, behind = self._both_sides
        return self._packed(ahead), self._packed(behind)

    def _packed(self, s: Side) -> npt.NDArray[np.uint32]:
        """A side as `side_at` of kernels/sides.h reads it: nine words of header, then the arrays it names."""
        buckets = (
            min(max(1 << (self.modulus - 1).bit_length(), MIN_BUCKETS), MAX_BUCKETS) if self.misses is not None else 1
        )
        reach = s.calls if self.misses is None else self.reach_of(s)
        lists: list[list[int]] = [[] for _ in range(buckets)]
        for i in range(len(s.draws) if self.misses is not None else 0):
            for r in range(s.first[i], s.first[i + 1]):
                low, high = int(s.low[r]), int(s.high[r])
                for value in range(low, min(high, low + buckets - 1) + 1):
                    if not (own := lists[value % buckets]) or own[-1] != i:
                        own.append(i)
        heads, items = np.zeros(buckets, np.int64), [_NO_ITEM]
        for bucket, own in enumerate(lists):
            if own:
                heads[bucket] = len(items)
                items += [*own, _NO_ITEM]
        bits = np.packbits(heads > 0, bitorder="little")
        # Room for the two registers that hold the bits of few buckets.
        members = np.zeros(max(len(bits), 128) // 4, "<u4")
        members.view(np.uint8)[: len(bits)] = bits
        bounds = np.stack([s.low, s.high - s.low], axis=1).reshape(-1)
        arrays = [reach[:, 0], reach[:, 1], s.first, bounds, np.concatenate([heads, members]), np.array(items)]
        starts = 9 + np.cumsum([0] + [len(a) for a in arrays[:-1]])
        return np.concatenate([np.array([len(s.draws), s.need, buckets, *starts]), *arrays]).astype(np.uint32)

    def record(self) -> npt.NDArray[np.void]:
        """The kernel's `search`, shape (1,)."""
        m, jumps = self.modulus, self.jumps
        ahead, behind = self._both_sides
        # A word, and of it what the mapping divides: all, or Java's next(31).
        word = self.recipe.word_bits
        bits = self.recipe.map.bits or word
        twos = (m & -m).bit_length() - 1
        least, most = kernels.family(self.recipe.family).word_range(self.params)
        # As libstdc++ counts, one word too few; a range of M itself is not divided.
        share = max(1, (most - least) // m)
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
            "unit": ((self.recipe.map.leads or 0) << 32) // m,
            "power_of_two": m & (m - 1) == 0,
            "least": least,
            "share": share,
            "magic_share": min(2**32 // share, 2**32 - 1),
            "draws": len(ahead.draws),
            "need": ahead.need,
            "skip_min": self.skips[0],
            "skip_max": self.skips[1],
            "offset_min": self.offsets[0],
            "offset_max": self.offsets[1],
            "window_start": self.window_start,
            "stride": self.stride,
            "first": self.first if jumps else 0,
            "positions": 1 if self.stride else self.positions,
            "reach": self.reach,
            "shifts": self.shifts,
            "ahead": len(ahead.draws),
            "behind": len(ahead.draws) + (0 if self.plain else len(self._both_packed[0])),
            "need_behind": behind.need,
            "positions_behind": self.positions_behind,
            "misses": self.misses or 0,
            "events": self.events,
            "clock": self.space.start if self.space else 0,
            "pid": self.space.pids[0] if self.space and self.space.pids else 0,
            "pid_bits": self.space.bits if self.space else 0,
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
            "kernel": kernels.digest(self.recipe.text("sieve.h", self.form)),
            "modulus": self.modulus,
            "draws": [int(d) for d in self.draws],
            "window_start": self.window_start,
            "need": self.need,
            "skips": list(self.skips),
            "offsets": list(self.offsets),
        } | self._more_identity()

    def _more_identity(self) -> dict[str, Any]:
        """What only a search that is not plain has."""
        sides = {
            name: {"need": s.need} | {key: getattr(s, key).tolist() for key in ("calls", "first", "low", "high")}
            for name, s in (("ahead", self.ahead), ("behind", self.behind))
            if s is not None
        }
        misses = {} if self.misses is None else {"misses": self.misses}
        return sides | misses | ({} if self.space is None else {"space": self.space.text})


def in_form(search: Search, form: Form) -> Search:
    """A plain search as one whose program is of that form, which finds the same; a hybrid one where it has one skip."""
    if "CLOCK_TIMES_PID" in form:
        # Each time is a seed, at process id 1.
        search = replace(search, space=Space("", 0, 2**32, (1, 1)))
    if not both_ways(form):
        return search
    ahead = side(search.draws, search.need)
    return replace(search, draws=ahead.draws[:0], need=0, ahead=ahead, misses=0 if "HYBRID" in form else None)
