"""Floor 0: what a person may know of a call: its value, a set or range that holds it, or nothing but that it was made.

The words: `123`; `{1,5,9}` one of these; `[3,9]` both ends included; `>7` `>=7` `<7` `<=7`; `?` an unknown call, `?x5` five
unknown calls, `?x2..6` two to six of them. White space may stand around every number and comma inside."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Room for every modulus up to 2**32.
DRAW_LIMIT = 1 << 32

# Twenty digits are past every valid draw, and far below the length that int() refuses.
_N = r"\s*[0-9]{1,20}\s*"
_WORD = re.compile(
    rf"(?P<exact>{_N})|\{{(?P<set>{_N}(?:,{_N})*)\}}|\[(?P<range>{_N},{_N})\]|(?P<compare>[<>]=?{_N})"
    r"|(?P<calls>\?(?:x[0-9]{1,20}(?:\.\.[0-9]{1,20})?)?)"
)
# A blank, or a comma with blanks around it, ends a word; those within brackets or after a comparison do not.
_SPLIT = re.compile(r"((?:\{[^{}]*\}|\[[^\[\]]*\]|[<>]=?\s+|[^\s,])*)(?:\s*,\s*|\s+|$)")

Ranges = tuple[tuple[int, int], ...]


class Seen(NamedTuple):
    """A word that is not one value: ascending disjoint ranges (low, high), both ends included, that hold it; or no range,
    and how many unknown calls it stands for (least, most)."""

    ranges: Ranges
    calls: tuple[int, int] = (0, 0)


UNKNOWN = Seen((), (1, 1))


def split(text: str) -> list[str]:
    """The words of a text, between white space or commas."""
    if not text:
        return []
    if not any(mark in text for mark in "{[<>"):
        return re.split(r"\s*,\s*|\s+", text)
    # The last match is the empty one at the end of the text.
    return _SPLIT.findall(text)[:-1]


def one_of(values: Iterable[int]) -> int | Seen:
    """The word for a set of values. Raises ValueError, a clause that goes on from 'draw X ', if none or one out of range."""
    ranges: list[tuple[int, int]] = []
    for value in sorted(set(values)):
        if not 0 <= value < DRAW_LIMIT:
            raise ValueError(f"holds {value}, which is not an integer in [0, 2**32)")
        if ranges and ranges[-1][1] == value - 1:
            ranges[-1] = (ranges[-1][0], value)
        else:
            ranges.append((value, value))
    if not ranges:
        raise ValueError("is an empty set")
    return _between(*ranges[0]) if len(ranges) == 1 else Seen(tuple(ranges))


@functools.lru_cache(maxsize=1 << 16)
def parse(word: str) -> int | Seen:
    """What a word says. Raises ValueError, a clause that goes on from 'draw X '."""
    match = _WORD.fullmatch(word)
    if match is None:
        raise ValueError("is not an integer in [0, 2**32), nor {1,5}, [3,9], >7 or ?")
    form, numbers = match.lastgroup, [int(digits) for digits in re.findall("[0-9]+", word)]
    if form == "calls":
        least, most = (numbers[0], numbers[-1]) if numbers else (1, 1)
        if not (least <= most < DRAW_LIMIT and most):
            raise ValueError("is not 1 to 2**32 - 1 unknown calls, the least number first")
        return Seen((), (least, most))
    if form == "exact" and numbers[0] < DRAW_LIMIT:
        return numbers[0]
    if max(numbers) >= DRAW_LIMIT:
        what = "is" if form == "exact" else f"holds {max(numbers)}, which is"
        raise ValueError(f"{what} not an integer in [0, 2**32)")
    if form == "set":
        return one_of(numbers)
    if form == "range":
        if numbers[0] > numbers[1]:
            raise ValueError("is a range that ends before it starts")
        return _between(*numbers)
    strict = "=" not in word
    low, high = (numbers[0] + strict, DRAW_LIMIT - 1) if ">" in word else (0, numbers[0] - strict)
    if low > high:
        raise ValueError("leaves no value in [0, 2**32)")
    return _between(low, high)


def _between(low: int, high: int) -> int | Seen:
    return low if low == high else Seen(((low, high),))


@dataclass(frozen=True, eq=False)
class Observations:
    """What is known of n draws in time order.

    first: '<i8' (n+1,); low, high: '<u4' (first[n],). Draw i is in one of the ranges low[j] to high[j], both included,
    first[i] <= j < first[i+1], at least one, ascending and apart. gap_min, gap_max: '<i8' (n,), least and most unknown
    calls between the draw before, or the start, and this one."""

    first: npt.NDArray[np.int64]
    low: npt.NDArray[np.uint32]
    high: npt.NDArray[np.uint32]
    gap_min: npt.NDArray[np.int64]
    gap_max: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        for array in (self.first, self.low, self.high, self.gap_min, self.gap_max):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.gap_min)

    @property
    def lowest(self) -> npt.NDArray[np.uint32]:
        """The least value that each draw may have, the value itself where it is exact: '<u4' (n,)."""
        return self.low[self.first[:-1]]

    @property
    def exact(self) -> npt.NDArray[np.bool_]:
        """Whether each draw is one value: bool (n,)."""
        single: npt.NDArray[np.bool_] = (np.diff(self.first) == 1) & (self.lowest == self.high[self.first[:-1]])
        return single

    @property
    def fixed(self) -> int:
        """How many draws stand before the first gap that may be of several lengths."""
        varying = np.flatnonzero(self.gap_min != self.gap_max)
        return int(varying[0]) if varying.size else len(self)

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """Calls from the first one, unknown or not, to each of the first `fixed` draws: '<i8' (fixed,)."""
        return np.cumsum(self.gap_min[: self.fixed]) + np.arange(self.fixed)

    def clipped(self, modulus: int) -> Observations:
        """Without values that are not below modulus. Each draw must have one that is, else ValueError."""
        if (self.lowest >= np.uint64(modulus)).any():
            raise ValueError("a draw has no value below the modulus")
        kept = self.low < np.uint64(modulus)
        first = _offsets(kept)[self.first]
        high = np.minimum(self.high[kept], np.uint32(modulus - 1))
        return Observations(first, self.low[kept], high, self.gap_min, self.gap_max)

    def cut(self, start: int, stop: int) -> Observations:
        """Draws start .. stop - 1, each with the gap before it."""
        first = self.first[start : stop + 1]
        low, high = (bounds[first[0] : first[-1]] for bounds in (self.low, self.high))
        return Observations(first - first[0], low, high, self.gap_min[start:stop], self.gap_max[start:stop])

    def turned(self) -> Observations:
        """Newest draw first; the gap of a draw is the one to the newer draw, of the newest none."""
        counts = np.diff(self.first)[::-1]
        first = _offsets(counts)
        # Ranges of a draw stay ascending.
        order = np.repeat(self.first[:-1][::-1] - first[:-1], counts) + np.arange(len(self.low))
        gaps = (np.concatenate(([0], gap[::-1]))[: len(gap)] for gap in (self.gap_min, self.gap_max))
        return Observations(first, self.low[order], self.high[order], *gaps)

    def accepts(self, values: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Whether draw i may be values[..., i]: bool, the shape of values, whose last axis has length n."""
        row = np.arange(len(self)) << 32
        # The last range that starts at or below the value is the draw's own, or one of the draw before.
        at = np.searchsorted(np.repeat(row, np.diff(self.first)) + self.low, row + values, side="right") - 1
        accepted: npt.NDArray[np.bool_] = (at >= self.first[:-1]) & (values <= self.high[at])
        return accepted

    def chances(
        self, between: Callable[[npt.NDArray[np.uint32], npt.NDArray[np.uint32]], npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.float64]:
        """P(a random output is as draw i is known), f8 (n,), from between(low, high) = P(low <= output <= high), elementwise;
        Recipe.between is one."""
        each = between(self.low, self.high)
        return np.minimum(np.add.reduceat(each, self.first[:-1]), 1.0) if len(self) else each

    def ranges(self, i: int) -> Ranges:
        """The ranges of draw i as plain integers."""
        part = slice(int(self.first[i]), int(self.first[i + 1]))
        return tuple(zip(self.low[part].tolist(), self.high[part].tolist(), strict=True))

    def text(self, i: int) -> str:
        """Draw i as a word of the language, without its gap."""
        ranges = self.ranges(i)
        if len(ranges) == 1:
            (low, high) = ranges[0]
            return str(low) if low == high else f"[{low},{high}]"
        return "{" + ",".join(str(value) for low, high in ranges for value in range(low, high + 1)) + "}"

    def plain(self) -> dict[str, list[int]]:
        """The same as lists, for what is hashed or written as JSON."""
        return {name: getattr(self, name).tolist() for name in ("first", "low", "high", "gap_min", "gap_max")}


def pack(words: Iterable[int | Seen]) -> Observations:
    """The draws among the words, with the unknown calls before each; those after the last draw are not kept."""
    first, low, high, gap_min, gap_max = [0], [], [], [], []
    least = most = 0
    for word in words:
        if isinstance(word, int):
            low.append(word)
            high.append(word)
        elif word.ranges:
            low.extend(bounds[0] for bounds in word.ranges)
            high.extend(bounds[1] for bounds in word.ranges)
        else:
            least, most = least + word.calls[0], most + word.calls[1]
            continue
        first.append(len(low))
        gap_min.append(least)
        gap_max.append(most)
        least = most = 0
    return Observations(
        np.array(first, "<i8"),
        np.array(low, "<u4"),
        np.array(high, "<u4"),
        np.array(gap_min, "<i8"),
        np.array(gap_max, "<i8"),
    )


def _offsets(counts: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
