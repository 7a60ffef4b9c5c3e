"""Floor 0: draw histories and the window cut out of one. Records are counted from 0 in every message."""

from __future__ import annotations

import csv
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

from prng_mpi.errors import UsageError, suggestion

# Room for every modulus up to 2**32.
DRAW_DTYPE = np.dtype("<u4")
DRAW_LIMIT = 1 << 32

# A window without a stated length takes this many draws, or half of what there is.
DEFAULT_WINDOW = 30

Draws = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class History:
    """Draws in time order, oldest first.

    draws: '<u4' (n,), read-only. dates, sessions: one text per draw, or None where the source has none.
    source: its name for messages. dropped: records the session filter left out. records: '<u4' (n,), the
    place of each draw in the source, dropped records counted.
    """

    draws: Draws
    dates: tuple[str, ...] | None
    sessions: tuple[str, ...] | None
    source: str
    dropped: int
    records: Draws


@dataclass(frozen=True, eq=False)
class Window:
    """k consecutive draws from history index `start`, and what follows them.

    draws: '<u4' (k,), each below modulus. heldout: '<u4' (n - start - k,), the draws after the window, on which a
    find is confirmed. Both read-only.
    """

    start: int
    draws: Draws
    modulus: int
    heldout: Draws


class _Record(NamedTuple):
    draw: int
    date: str | None = None
    session: str | None = None


def read_history(source: str | Path, sessions: tuple[str, ...] = (), stdin: TextIO | None = None) -> History:
    """Read a history from a file, or from standard input where source is '-'; the content says which format.

    JSON: a list of draws or of objects {draw, date or timestamp, session}, or {"draws": such a list}.
    CSV: a header with a 'draw' column; 'date' or 'timestamp' and 'session' are optional, others are not read.
    Text: integers separated by white space or commas; '#' starts a comment.
    Dates are ISO 8601, or numbers in any one unit; where there are dates, they ascend (equal ones are fine).
    `sessions` keeps the draws of those sessions only. Raises UsageError, which names source and record.
    """
    name, text = _read_text(source, sys.stdin if stdin is None else stdin)
    records = _parse(name, text)
    if not records:
        raise UsageError(f"{name}: it holds no draws.")
    names = _column(name, "session", [record.session for record in records])
    kept = _select(name, names, sessions, len(records))
    dates = _column(name, "date", [records[i].date for i in kept], kept)
    if dates is not None:
        _check_order(name, dates, kept)
    return History(
        draws=_array(records[i].draw for i in kept),
        dates=dates,
        sessions=None if names is None else tuple(names[i] for i in kept),
        source=name,
        dropped=len(records) - len(kept),
        records=_array(kept),
    )


def cut_window(history: History, start: int, k: int | None, modulus: int) -> Window:
    """The window of k draws from history index start; k=None takes 30, or half of the rest where that is less.

    The default leaves at least as many draws for confirmation as it takes, up to 30. Raises UsageError where any
    draw of the history is not below modulus, or where the window does not fit.
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
        raise UsageError(
            f"{name}: record {int(history.records[first])}: draw {int(history.draws[first])} is not in "
            f"[0, {modulus}); {high.size} of {size} draws are not. Correct the modulus or the history."
        )
    return Window(start, history.draws[start : start + length], modulus, history.draws[start + length :])


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
    if text.lstrip()[:1] in ("[", "{"):
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
    for i, row in enumerate(rows[1:]):
        if len(row) != len(columns):
            _fail(name, i, f"{len(row)} fields under a header of {len(columns)}")
        cells: dict[str, object] = dict(zip(columns, map(str.strip, row), strict=True))
        cells["draw"] = _number(cells["draw"])
        records.append(_record(name, i, cells))
    return records


def _parse_text(name: str, lines: list[str]) -> list[_Record]:
    text = " ".join(line.partition("#")[0] for line in lines).strip().removesuffix(",").rstrip()
    words = re.split(r"\s*,\s*|\s+", text) if text else []
    return [_record(name, i, {"draw": _number(word)}) for i, word in enumerate(words)]


def _number(cell: object) -> object:
    """The integer that a cell spells in plain decimal digits (leading zeros allowed: 007), or the cell unchanged."""
    # Twenty digits are past every valid draw, and far below the length that int() refuses.
    return int(cell) if isinstance(cell, str) and re.fullmatch(r"[0-9]{1,20}", cell) else cell


def _record(name: str, i: int, item: Mapping[str, object]) -> _Record:
    if "draw" not in item:
        _fail(name, i, f"no 'draw' (it has {', '.join(map(repr, item)) or 'nothing'})")
    draw = item["draw"]
    # bool is an int to Python, never a draw.
    if type(draw) is not int or not 0 <= draw < DRAW_LIMIT:
        _fail(name, i, f"draw {_brief(draw)} is not an integer in [0, 2**32)")
    date = _label(name, i, "date", item.get("date"))
    if date is None:
        date = _label(name, i, "timestamp", item.get("timestamp"))
    return _Record(draw, date, _label(name, i, "session", item.get("session")))


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
