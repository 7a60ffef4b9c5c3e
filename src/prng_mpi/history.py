"""Floor 0: draw histories and the window cut out of one. Records are counted from 0 in every message."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

import numpy as np
import numpy.typing as npt

from prng_mpi import observations
from prng_mpi.errors import UsageError, suggestion
from prng_mpi.observations import DRAW_LIMIT, UNKNOWN, Observations, Seen

DRAW_DTYPE = np.dtype("<u4")

# A window without a stated length takes this many draws, or half of what there is.
DEFAULT_WINDOW = 30

# A set is never JSON, and neither is a range that more follows.
_WORD_FIRST = re.compile(r"\s*(\{\s*[0-9]|\[\s*[0-9]+\s*,\s*[0-9]+\s*\]\s*\S)")

Draws = npt.NDArray[np.uint32]
Steps = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class History:
    """Draws in time order, oldest first. Unknown calls are no draws, only gaps between them.

    draws: '<u4' (n,), read-only, each the value or the least it may be. dates, sessions: one text per draw, or None
    where the source has none. source: its name for messages. dropped: records the session filter left out. records:
    '<u4' (n,), the place of each draw in the source, dropped records and unknown calls counted. partial: what is known of
    the n draws, or None where all are exact and follow each other.
    """

    draws: Draws
    dates: tuple[str, ...] | None
    sessions: tuple[str, ...] | None
    source: str
    dropped: int
    records: Draws
    partial: Observations | None = None

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the draws, by which results know the history that they are of."""
        return hashlib.sha256(self.draws.tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class Window:
    """k draws from history index `start`, and what stands around them. Its first call is the one right after draw
    start - 1, or the first of the history: unknown calls before the first draw belong to the window.

    draws: '<u4' (k,), each, or the least it may be, below modulus. heldout: '<u4' (n - start - k,), the draws after the
    window, on which a find is confirmed. before: '<u4' (start,), the draws before the window, newest first. All
    read-only. partial, heldout_partial, before_partial: what is known of these draws, clipped to [0, modulus), or None
    where the history is exact.
    """

    start: int
    draws: Draws
    modulus: int
    heldout: Draws
    before: Draws
    partial: Observations | None = None
    heldout_partial: Observations | None = None
    before_partial: Observations | None = None

    @property
    def steps(self) -> Steps:
        """Calls from the window's first call to each draw, '<i8': 0, 1, 2, ... where there are no gaps. As for the two below,
        only the draws up to the first gap of several lengths have one: all k where no gap varies."""
        return _steps(self.draws, self.partial)

    @property
    def heldout_steps(self) -> Steps:
        """The same for the draws after the window, counted from the window's first call; none after a varying gap in it."""
        steps = self.steps
        behind = _steps(self.heldout, self.heldout_partial)
        return behind + (steps[-1] + 1) if len(steps) == len(self.draws) else behind[:0]

    @property
    def before_steps(self) -> Steps:
        """The same for the draws before the window, newest first: -1, -2, ... where there are no gaps."""
        steps: Steps = -1 - _steps(self.before, self.before_partial)
        return steps


class _Record(NamedTuple):
    draw: int | Seen
    date: str | None = None
    session: str | None = None


def read_history(
    source: str | Path, sessions: tuple[str, ...] = (), stdin: TextIO | None = None, partial: bool = False
) -> History:
    """Read a history from a file, or from standard input where source is '-'; the content says which format.

    JSON: a list of draws or of objects {draw, date or timestamp, session}, or {"draws": such a list}.
    CSV: a header with a 'draw' column; 'date' or 'timestamp' and 'session' are optional, others are not read.
    Text: draws separated by white space or commas; '#' starts a comment.
    A draw is an integer or a word of `observations`; in JSON also null for an unknown call and a list for a set. A file
    that is [3,9] and nothing else is JSON, two draws. Where `partial` is false, draws must be exact, without gaps.
    Dates are ISO 8601, or numbers in any one unit; where there are dates, they ascend (equal ones are fine).
    `sessions` keeps the draws of those sessions only. Raises UsageError, which names source and record.
    """
    name, text = _read_text(source, sys.stdin if stdin is None else stdin)
    records = _parse(name, text)
    if not records:
        raise UsageError(f"{name}: it holds no draws.")
    names = _column(name, "session", [record.session for record in records])
    kept = _select(name, names, sessions, len(records))
    dropped = len(records) - len(kept)
    dates = _column(name, "date", [records[i].date for i in kept], kept)
    if dates is not None:
        _check_order(name, dates, kept)
    draws, known = [records[i].draw for i in kept], None
    if any(isinstance(draw, Seen) for draw in draws):
        if not partial:
            _refuse_partial(name, draws, kept)
        told = [j for j, draw in enumerate(draws) if isinstance(draw, int) or draw.ranges]
        if not told:
            raise UsageError(f"{name}: it holds unknown calls only, no draws.")
        known = observations.pack(draws)
        kept = [kept[j] for j in told]
        dates = dates and tuple(dates[j] for j in told)
    return History(
        draws=_array(draw for draw in draws if isinstance(draw, int)) if known is None else known.lowest,
        dates=dates,
        sessions=None if names is None else tuple(names[i] for i in kept),
        source=name,
        dropped=dropped,
        records=_array(kept),
        partial=None if known is None or (known.exact.all() and not known.gap_max.any()) else known,
    )


def cut_window(history: History, start: int, k: int | None, modulus: int) -> Window:
    """The window of k draws from history index start; k=None takes 30, or half of the rest where that is less.

    Only draws count, not unknown calls, in start and in k. The default leaves at least as many draws for confirmation
    as it takes, up to 30. Raises UsageError where any draw of the history is not below modulus (of a partly known one, no
    value that it may have), or where the window does not fit.
    """
    name, size = history.source, len(history.draws)
    if not 1 <= modulus <= DRAW_LIMIT:
        raise UsageError(f"A modulus of {modulus} is not in [1, 2**32].")
    if not 0 <= start < size:
        raise UsageError(f"{name}: a window can't start at history index {start}; {size} draws have 0 to {size - 1}.")
    length = max(1, min(DEFAULT_WINDOW, (size - start) // 2)) if k is None else k
    if length < 1:
        raise UsageError(f"A window of {length} draws is empty; give at least 1.")
    if start + length > size:
        raise UsageError(
            f"{name}: a window of {length} draws from history index {start} needs {start + length} draws, "
            f"the history has {size}; give a shorter window or an earlier start."
        )
    high = np.flatnonzero(history.draws >= np.uint64(modulus))
    if high.size:
        first = int(high[0])
        draw = history.partial.text(first) if history.partial else str(int(history.draws[first]))
        raise UsageError(
            f"{name}: record {int(history.records[first])}: draw {draw} is not in "
            f"[0, {modulus}); {high.size} of {size} draws are not. Correct the modulus or the history."
        )
    stop, known = start + length, history.partial and history.partial.clipped(modulus)
    return Window(
        start=start,
        draws=history.draws[start:stop],
        modulus=modulus,
        heldout=history.draws[stop:],
        before=history.draws[:start][::-1],
        partial=known and known.cut(start, stop),
        heldout_partial=known and known.cut(stop, size),
        before_partial=known and known.cut(0, start).turned(),
    )


def _steps(draws: Draws, partial: Observations | None) -> Steps:
    return np.arange(len(draws)) if partial is None else partial.steps


def _array(values: Iterable[int]) -> Draws:
    array = np.fromiter(values, dtype=DRAW_DTYPE)
    array.flags.writeable = False
    return array


def _read_text(source: str | Path, stdin: TextIO) -> tuple[str, str]:
    name = "standard input" if str(source) == "-" else str(source)
    try:
        text = stdin.read() if str(source) == "-" else Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{name}: the draw history can't be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageError(f"{name}: the draw history is not UTF-8 text ({error}).") from error
    return name, text.removeprefix("\ufeff")


def _parse(name: str, text: str) -> list[_Record]:
    if text.lstrip()[:1] in ("[", "{") and not _WORD_FIRST.match(text):
        return _parse_json(name, text)
    lines = [line for line in text.splitlines(keepends=True) if line.strip() and not line.lstrip().startswith("#")]
    header = lines[0].strip() if lines else ""
    if header[:1].isalpha() or header[:1] == '"':
        return _parse_csv(name, lines, next((mark for mark in ",;\t" if mark in header), ","))
    return _parse_text(name, lines)


def _parse_json(name: str, text: str) -> list[_Record]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: it starts like JSON but is not valid: {error}.") from error
    if isinstance(data, dict):
        if "draws" not in data:
            raise UsageError(f"{name}: the JSON object has no 'draws'{suggestion('draws', data)}; put the list there.")
        data = data["draws"]
    if not isinstance(data, list):
        raise UsageError(f"{name}: 'draws' is not a list.")
    return [_record(name, i, item if isinstance(item, dict) else {"draw": item}) for i, item in enumerate(data)]


def _parse_csv(name: str, lines: list[str], delimiter: str) -> list[_Record]:
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise UsageError(f"{name}: it is not valid CSV: {error}.") from error
    columns = [cell.strip().lower() for cell in rows[0]]
    if columns.count("draw") != 1:
        raise UsageError(f"{name}: the CSV header needs one column 'draw', it has {', '.join(map(repr, columns))}.")
    records = []
    for i, cut in enumerate(rows[1:]):
        row = cut if len(cut) == len(columns) else _rejoined(cut, delimiter)
        if len(row) != len(columns):
            _fail(name, i, f"{len(cut)} fields under a header of {len(columns)}")
        cells: dict[str, object] = dict(zip(columns, map(str.strip, row), strict=True))
        cells["draw"] = _number(cells["draw"])
        records.append(_record(name, i, cells))
    return records


def _rejoined(row: list[str], delimiter: str) -> list[str]:
    """A row whose sets and ranges stand unquoted, so that the delimiter has cut them."""
    whole: list[str] = []
    for cell in row:
        if whole and re.fullmatch(r"[\[{][0-9, ]*", whole[-1]):
            whole[-1] += f"{delimiter}{cell}"
        else:
            whole.append(cell)
    return whole


def _parse_text(name: str, lines: list[str]) -> list[_Record]:
    text = " ".join(line.partition("#")[0] for line in lines).strip().removesuffix(",").rstrip()
    return [_record(name, i, {"draw": _number(word)}) for i, word in enumerate(observations.split(text))]


def _number(cell: object) -> object:
    """The integer that a cell spells in plain decimal digits (leading zeros allowed: 007), or the cell unchanged."""
    # Twenty digits are past every valid draw, and far below the length that int() refuses.
    return int(cell) if isinstance(cell, str) and re.fullmatch(r"[0-9]{1,20}", cell) else cell


def _record(name: str, i: int, item: Mapping[str, object]) -> _Record:
    if "draw" not in item:
        _fail(name, i, f"no 'draw' (it has {', '.join(map(repr, item)) or 'nothing'})")
    draw = item["draw"]
    # bool is an int to Python, never a draw.
    known = draw if type(draw) is int and 0 <= draw < DRAW_LIMIT else _observation(name, i, draw)
    date = _label(name, i, "date", item.get("date"))
    if date is None:
        date = _label(name, i, "timestamp", item.get("timestamp"))
    return _Record(known, date, _label(name, i, "session", item.get("session")))


def _observation(name: str, i: int, draw: object) -> int | Seen:
    try:
        if isinstance(draw, str):
            return observations.parse(draw)
        if isinstance(draw, list) and all(type(value) is int for value in draw):
            return observations.one_of(draw)
    except ValueError as error:
        _fail(name, i, f"draw {_brief(draw)} {error}")
    if draw is None:
        return UNKNOWN
    _fail(name, i, f"draw {_brief(draw)} is not an integer in [0, 2**32)")


def _refuse_partial(name: str, draws: list[int | Seen], kept: list[int]) -> NoReturn:
    i, draw = next((i, draw) for i, draw in zip(kept, draws, strict=True) if isinstance(draw, Seen))
    what = "a set or range of values" if draw.ranges else "unknown"
    _fail(name, i, f"its draw is {what}; here every draw must be exact, python -m prng_mpi.sieve takes others")


def _label(name: str, i: int, key: str, value: object) -> str | None:
    """A date or session as text; None where it is absent, null or empty."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        _fail(name, i, f"{key} {_brief(value)} is neither text nor a number")
    return str(value)


def _column(name: str, key: str, values: list[str | None], kept: list[int] | None = None) -> tuple[str, ...] | None:
    """All values, or None where there are none. A hole among them is an error: it would be guesswork to fill it."""
    present = tuple(value for value in values if value is not None)
    if present and len(present) < len(values):
        hole = values.index(None)
        _fail(name, hole if kept is None else kept[hole], f"no {key}, while other records have one")
    return present or None


def _select(name: str, names: tuple[str, ...] | None, wanted: tuple[str, ...], size: int) -> list[int]:
    """Places of the records of the wanted sessions; all of them where none is asked for."""
    if not wanted:
        return list(range(size))
    if names is None:
        raise UsageError(f"{name}: its records have no session, so sessions can't be chosen; leave the filter out.")
    present = Counter(names)
    for session in wanted:
        if session not in present:
            raise UsageError(
                f"{name}: no session is called {session!r}{suggestion(session, present)}; "
                f"there are {', '.join(f'{key!r} ({count} draws)' for key, count in present.items())}."
            )
    return [i for i, session in enumerate(names) if session in wanted]


def _check_order(name: str, dates: tuple[str, ...], kept: list[int]) -> None:
    times = [_time(name, i, date) for i, date in zip(kept, dates, strict=True)]
    for j in range(1, len(times)):
        if times[j] < times[j - 1]:
            _fail(
                name,
                kept[j],
                f"its date {dates[j]} is before {dates[j - 1]} of record {kept[j - 1]}; draws must stand oldest first",
            )


def _time(name: str, i: int, date: str) -> float:
    """A number that orders dates: seconds since 1970 for ISO 8601 (UTC unless it says otherwise), or itself."""
    try:
        moment = datetime.fromisoformat(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        pass
    try:
        number = float(date)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        _fail(name, i, f"date {_brief(date)} is neither ISO 8601 (such as 2024-12-31) nor a number")
    return number


def _brief(value: object) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _fail(name: str, i: int, what: str) -> NoReturn:
    raise UsageError(f"{name}: record {i} (counted from 0): {what}.")
