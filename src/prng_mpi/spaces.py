"""Floor 0: seed spaces, the seeds that a search goes through, by index 0, 1, 2, ...

    A:B                     integers from A, B excluded
    bits:N                  every N-bit seed
    unix:FROM..TO           seconds since 1970; FROM, TO are dates, date-times (UTC without an offset) or integers
    unix-ms:FROM..TO        the same in milliseconds
    day-ms                  milliseconds since midnight
    unix+pid:FROM..TO       a time in seconds plus a process id; unix^pid: their xor; unix*pid: their product modulo 2^32.
                            `,pid=A..B` at the end names the process ids, 1..32768 if not set

`..` includes both ends, and a date as the end is that whole day."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from prng_mpi.config import parse_int
from prng_mpi.errors import UsageError, suggestion

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Seconds at which dates stop having four digits.
_CALENDAR_END = 253_402_300_800
_DAY_MS = 86_400_000
_PIDS = (1, 32768)
# Ticks of a second.
_CLOCKS = {"unix": 1, "unix-ms": 1000, "unix+pid": 1, "unix^pid": 1, "unix*pid": 1}

Indices = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Space:
    """Seeds by index. text: the canonical way to write it; size: indices, at most 2^64.

    An interval, pids None: index i is seed start + i. Times x process ids, pids (least, largest): index i is seed
    (start + (i >> bits)) * (least + (i & mask)) mod 2^32; indices whose process id is past the largest are padding and no
    hypotheses. ticks: of a second, where a seed of an interval is a time; note: what the interval covers besides, or ''.
    """

    text: str
    start: int
    size: int
    pids: tuple[int, int] | None = None
    ticks: int = 0
    note: str = ""

    @property
    def identity(self) -> bool:
        """Whether the seeds are an interval."""
        return self.pids is None

    @property
    def bits(self) -> int:
        """Low bits of an index that count process ids from the least."""
        return 0 if self.pids is None else (self.pids[1] - self.pids[0]).bit_length()

    @property
    def mask(self) -> int:
        return (1 << self.bits) - 1

    @property
    def hypotheses(self) -> int:
        """Indices that are no padding."""
        return self.size if self.pids is None else (self.size >> self.bits) * (self.pids[1] - self.pids[0] + 1)

    @property
    def end(self) -> int:
        """Seeds are below this."""
        return self.start + self.size if self.identity else 2**32

    def seed(self, indices: Indices) -> Indices:
        """Seeds of indices below size, '<u8' of the same shape."""
        start = np.uint64(self.start)
        if self.pids is None:
            return indices + start
        times, pids = (
            start + (indices >> np.uint64(self.bits)),
            np.uint64(self.pids[0]) + (indices & np.uint64(self.mask)),
        )
        # The product modulo 2^64 is right modulo 2^32.
        return (times * pids) & np.uint64(2**32 - 1)

    def real(self, indices: Indices) -> npt.NDArray[np.bool_]:
        """Whether an index is a hypothesis and no padding: bool, of the same shape."""
        most = np.uint64(self.mask if self.pids is None else self.pids[1] - self.pids[0])
        return (indices & np.uint64(self.mask)) <= most

    def index(self, seed: int) -> int:
        """The index of a seed of an interval. Raises ValueError for a seed outside, and where a seed has no one index."""
        if not self.identity:
            raise ValueError(f"{self.text}: several times and process ids can give one seed")
        if not self.start <= seed < self.end:
            raise ValueError(f"seed {seed} is not in {self.text}")
        return seed - self.start

    def describe(self, index: int) -> str:
        """What index stands for: a time, or a time and a process id; '' where the seed says it all."""
        if self.pids is not None:
            return f"{_moment(self.start + (index >> self.bits), 1)}, pid {self.pids[0] + (index & self.mask)}"
        return _moment(self.start + index, self.ticks) if self.ticks else ""

    def check(self, limit: int, recipe: str) -> None:
        """Raises UsageError unless every seed is below limit, the end of the recipe's seeds."""
        if self.end > limit:
            raise UsageError(f"--seeds {self.text}: seeds of recipe {recipe} end at {limit}, these at {self.end}")


def interval(start: int, end: int) -> Space:
    """Seeds start .. end - 1. Raises ValueError for an empty range or one outside [0, 2^64]."""
    if not 0 <= start < end <= 2**64:
        raise ValueError("it needs 0 <= A < B <= 2**64; B is excluded and must be larger")
    return Space(f"{start}:{end}", start, end - start)


def space(text: str) -> Space:
    """The space that a text names. Raises UsageError."""
    try:
        return _parse(text)
    except ValueError as error:
        shown = repr(text) if len(text) <= 80 else repr(text[:77]) + "..."
        raise UsageError(f"--seeds {shown}: {error}") from error


def chosen(text: str, start: int | None, end: int | None, limit: int, most: int, recipe: str) -> Space:
    """The seeds that the options --seeds, --seed-start and --seed-end ask for. limit: the end of the recipe's seeds; most: the
    end that is taken where none is given. Raises UsageError."""
    if text:
        if start is not None or end is not None:
            raise UsageError("--seeds says which seeds; leave out --seed-start and --seed-end")
        named = space(text)
        named.check(limit, recipe)
        return named
    start, end = start or 0, end if end is not None else min(limit, most)
    if not start < end:
        raise UsageError(
            f"--seed-start {start} --seed-end {end} is an empty range: the end is excluded and must be larger"
        )
    if end > limit:
        raise UsageError(f"--seed-end {end}: seeds of recipe {recipe} end at {limit}")
    return interval(start, end)


def _parse(text: str) -> Space:
    name, colon, rest = (part.strip() for part in text.partition(":"))
    if text.strip() == "day-ms":
        return Space("day-ms", 0, _DAY_MS)
    if name == "bits" and colon:
        bits = parse_int(rest)
        if not 1 <= bits <= 64:
            raise ValueError("seeds have 1 to 64 bits")
        return Space(f"bits:{bits}", 0, 2**bits)
    if name in _CLOCKS and colon:
        return _clock(name, rest)
    if colon and re.match("[-+0-9]", name):
        return interval(parse_int(name), parse_int(rest))
    raise ValueError(
        f"it is none of A:B, bits:N, day-ms, {', '.join(f'{clock}:FROM..TO' for clock in _CLOCKS)}"
        f"{suggestion(name, ('bits', 'day-ms', *_CLOCKS))}"
    )


def _clock(name: str, rest: str) -> Space:
    ticks = _CLOCKS[name]
    times, comma, which = rest.partition(",")
    first, last = _range(times, lambda text, end: _tick(text, ticks, end), "times FROM..TO")
    text = f"{name}:{_moment(first, ticks)}..{_moment(last, ticks)}"
    if not name.endswith("pid"):
        if comma:
            raise ValueError(f"{name} has no {which.strip()!r}")
        if last >= 2**64:
            raise ValueError("it goes past 2**64")
        return Space(text, first, last - first + 1, ticks=ticks)
    pids = _pids(which) if comma else _PIDS
    if max(last, pids[1]) >= 2**32:
        raise ValueError("times and process ids must be below 2**32")
    text += f",pid={pids[0]}..{pids[1]}"
    if name == "unix+pid":
        return Space(text, first + pids[0], last + pids[1] - first - pids[0] + 1, note="every sum once")
    if name == "unix^pid":
        # A process id changes low bits only, so the blocks of these hold every seed and little else.
        bits = pids[1].bit_length()
        start, end = first >> bits << bits, (last >> bits) + 1 << bits
        return Space(text, start, end - start, note=f"every seed once, in whole blocks of 2**{bits}")
    product = Space(text, first, last - first + 1 << (pids[1] - pids[0]).bit_length(), pids)
    if product.size < 2**32:
        return product
    return Space(text, 0, 2**32, note="all 2**32 seeds, fewer than there are times and process ids")


def _range(text: str, value: Callable[[str, bool], int], what: str) -> tuple[int, int]:
    """(first, last) of FIRST..LAST; value takes a text and whether it is the last."""
    ends = text.split("..")
    if len(ends) != 2:
        raise ValueError(f"{text.strip()!r} is not {what}")
    first, last = value(ends[0].strip(), False), value(ends[1].strip(), True)
    if first > last:
        raise ValueError(f"{text.strip()!r} ends before it starts")
    return first, last


def _pids(text: str) -> tuple[int, int]:
    key, equals, numbers = text.partition("=")
    if key.strip() != "pid" or not equals:
        raise ValueError(f"{text.strip()!r} is not pid=A..B")
    pids = _range(numbers, lambda number, _: parse_int(number), "process ids A..B")
    if pids[0] < 0:
        raise ValueError("process ids start at 0")
    return pids


def _tick(text: str, ticks: int, end: bool) -> int:
    """Ticks since 1970 at an integer, a date or a date-time; at the end of a date where `end`."""
    if re.match(r"[0-9]+-", text):
        tick = (_datetime(text) - _EPOCH) // timedelta(milliseconds=1000 // ticks)
        tick += 86400 * ticks - 1 if end and _DATE.fullmatch(text) else 0
    else:
        tick = parse_int(text)
    if tick < 0:
        raise ValueError(f"{text!r} is before 1970")
    return tick


def _datetime(text: str) -> datetime:
    try:
        # Python takes 2024-W05 too, which is no one day.
        if _DATE.match(text):
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is neither a date such as 2024-12-31, a date-time nor an integer")


def _moment(tick: int, ticks: int) -> str:
    """An instant as ISO 8601 in UTC, or as the integer where calendars end."""
    second, rest = divmod(tick, ticks)
    if second >= _CALENDAR_END:
        return str(tick)
    part = f".{rest:03}" if ticks == 1000 else ""
    return f"{_EPOCH + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}{part}Z"
