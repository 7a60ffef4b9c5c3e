"""Floor 0: from a history and what is asked of it to a search: which draws are explained, in which direction, and which are
kept to confirm a find."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from prng_mpi.errors import UsageError
from prng_mpi.history import DEFAULT_WINDOW, History, Window, cut_window
from prng_mpi.recipes import Recipe
from prng_mpi.search import Search, Side, head, side_of
from prng_mpi.statistics import need_for

# reverse: the draws before the window's start, by running the generator backwards; both: one seed, skip and offset
# explains the draws before and after; turned: the window turned round, which no seed explains: a null.
DIRECTIONS = ("forward", "reverse", "both", "turned")
# Draws kept to confirm a find; the ways on of a path through many would take long, and few are decisive.
HELDOUT_MOST = 1000
PATH_HELDOUT_MOST = 40
NO_DRAWS = np.zeros(0, np.uint32)


def heldout_most(misses: int | None) -> int:
    """Draws that confirm a find, at most; misses: as of a search."""
    return HELDOUT_MOST if misses is None else PATH_HELDOUT_MOST


@dataclass(frozen=True)
class Asked:
    """What to look at. start: history index of the first draw after the boundary; k: draws on each side, None for 30 or half
    of what there is; skips, offsets: (least, largest); misses: None for a constant skip, else how many draws in a row a
    path may miss."""

    modulus: int
    threshold: float
    start: int
    k: int | None
    direction: str
    skips: tuple[int, int]
    offsets: tuple[int, int]
    misses: int | None


@dataclass(frozen=True, eq=False)
class Later:
    """What a history holds beside the window. seen: draws that the search does not look at, which confirm a find, on the
    side where the window is; next_call: the call after the history's last draw, counted from the boundary as a side's are,
    or None if that is not known."""

    seen: Side
    next_call: int | None


def search(recipe: Recipe, params: dict[str, int], history: History, asked: Asked) -> tuple[Search, Later]:
    """The search, and the draws beside its window. Raises UsageError where the window does not fit the history."""
    if asked.direction == "reverse":
        ahead: Side | None = None
        behind: Side | None
        behind, seen = _behind(history, asked)
    else:
        cut = cut_window(history, asked.start, asked.k, asked.modulus)
        ahead, seen = _ahead(cut, asked)
        behind = _before(cut, asked) if asked.direction == "both" else None
    if asked.misses is None and not seen.fixed:
        # At a constant skip a draw behind a gap of unknown length stands nowhere.
        seen = head(seen, int(np.argmax(seen.calls[:, 0] != seen.calls[:, 1])))
    turned = asked.direction == "turned"
    later = Later(
        head(seen, 0 if turned else heldout_most(asked.misses)),
        None if turned else calls_to_the_end(history, asked.start),
    )
    ranges = (asked.skips, asked.offsets, params)
    if ahead is not None and ahead.plain and behind is None and asked.misses is None:
        return Search(recipe, asked.modulus, ahead.draws, asked.start, ahead.need, *ranges), later
    return Search(
        recipe, asked.modulus, NO_DRAWS, asked.start, 0, *ranges, ahead=ahead, behind=behind, misses=asked.misses
    ), later


def _ahead(cut: Window, asked: Asked) -> tuple[Side, Side]:
    """(the window, the draws after it)."""
    draws, known = cut.draws, cut.partial
    if asked.direction == "turned":
        draws, known = draws[::-1], known and known.turned()
    ahead = side_of(draws, known, need_for(asked.threshold, len(draws)))
    after = side_of(cut.heldout, cut.heldout_partial, 1)
    return ahead, replace(after, calls=after.calls + ahead.calls[-1])


def _before(cut: Window, asked: Asked) -> Side:
    """As many draws before a window as it has, newest first."""
    if not cut.start:
        raise UsageError("--direction both also explains draws before --window-start, which is 0: give at least 1")
    n = min(len(cut.draws), cut.start)
    known = cut.before_partial and cut.before_partial.cut(0, n)
    return side_of(cut.before[:n], known, need_for(asked.threshold, n), behind=True)


def _behind(history: History, asked: Asked) -> tuple[Side, Side]:
    """(draws before the start, newest first; those before them). The start may be the history's end."""
    size = len(history.draws)
    if not 1 <= asked.start <= size:
        raise UsageError(
            f"--direction reverse explains the draws before --window-start, which is {asked.start}: give 1 to {size}"
        )
    k = min(asked.k or DEFAULT_WINDOW, asked.start)
    cut = cut_window(history, asked.start - k, k, asked.modulus)
    behind = side_of(cut.draws[::-1], cut.partial and cut.partial.turned(), need_for(asked.threshold, k), behind=True)
    older = side_of(cut.before, cut.before_partial, 1, behind=True)
    gap = np.array([cut.partial.gap_min[0], cut.partial.gap_max[0]]) if cut.partial else 0
    return behind, replace(older, calls=older.calls + behind.calls[-1] + 1 + gap)


def calls_to_the_end(history: History, start: int) -> int | None:
    """Which call from the boundary before draw `start` comes after the last draw; None where that is not known."""
    count = len(history.draws) - start
    if history.partial is None:
        return count + 1
    gaps = history.partial.cut(start, len(history.draws))
    return int(gaps.gap_min.sum()) + count + 1 if (gaps.gap_min == gaps.gap_max).all() else None
