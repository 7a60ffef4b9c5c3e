"""Floor 0: a skip that may differ before every draw. Strategies, a seed's best path, and what chance alone makes of it.

A path gives every draw of a side an output within reach; see kernels/hybrid.h, which finds the number of matches of the
best one. Here are the same meaning in NumPy, the path itself, and the null: outputs that are uniform in [0, M)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from prng_mpi.search import Search, Side
from prng_mpi.statistics import STRONG_LOG10, Chance, Floats, Plan, joint_tails, side_tails

Ints = npt.NDArray[np.int64]
Values = npt.NDArray[np.uint32]

# Simulated null seeds, and about how many (event, event) pairs may be looked at in all.
MOST_SEEDS = 100_000
PAIRS = 3e7
BATCH = 2000
# Fewer simulated survivors than this say little: the bound speaks.
LEAST_SURVIVORS = 30


@dataclass(frozen=True)
class Strategy:
    """misses: draws in a row that a path may miss; tolerance: how far a skip may be from CENTRE."""

    misses: int
    tolerance: int

    @property
    def skips(self) -> tuple[int, int]:
        return max(0, CENTRE - self.tolerance), CENTRE + self.tolerance


# The skip that the replaced system expected, and its five strategies, of which these two numbers had an effect.
CENTRE = 5
STRATEGIES = {
    "strict_continuous": Strategy(3, 5),
    "lenient_continuous": Strategy(10, 20),
    "aggressive_reseed": Strategy(5, 5),
    "balanced_hybrid": Strategy(7, 10),
    "extreme_tolerance": Strategy(20, 50),
}


def _scan(outputs: Values, first: int, search: Search, s: Side) -> tuple[Values, int]:
    """A side's outputs in the order in which it meets them, shape (n, x), and how many offsets shift it.

    outputs: '<u4' (n, ...), of which column 0 is output `first` of each seed."""
    low, high = search.offsets
    length = int(search.reach_of(s).max()) + 1 + high - low
    if s.behind:
        begin = high - 1 - first
        return outputs[:, begin - length + 1 : begin + 1][:, ::-1], high - low
    return outputs[:, low - first : low - first + length], high - low


def span(search: Search) -> tuple[int, int]:
    """The first output that some path can use, which may be negative, and the number of outputs up to the last."""
    far = [(s.behind, int(search.reach_of(s).max())) for s in search.sides]
    first = min([search.offsets[0], *(search.offsets[0] - 1 - most for behind, most in far if behind)])
    last = max([search.offsets[1] - 1, *(search.offsets[1] + most for behind, most in far if not behind)])
    return first, last - first + 1


def _events(values: Values, search: Search, s: Side, shifts: int) -> tuple[Ints, Ints, Ints]:
    """(output of the scan, draw) of every event of each seed, in order of output, and how many each seed has: shapes
    (n, e), (n, e), (n,); rows are filled up with events that no path can reach."""
    reach, found = search.reach_of(s), []
    for i in range(len(s.draws)):
        begin, end = int(reach[i, 0]), int(reach[i, 1]) + shifts + 1
        part, hit = values[:, begin:end], np.zeros((len(values), max(0, end - begin)), bool)
        for r in range(s.first[i], s.first[i + 1]):
            hit |= (part >= s.low[r]) & (part <= s.high[r])
        row, at = np.nonzero(hit)
        found.append(np.stack([row, at + begin, np.full(len(row), i)]))
    row, y, draw = np.concatenate(found, axis=1)
    order = np.lexsort((draw, y, row))
    row, y, draw = row[order], y[order], draw[order]
    count = np.bincount(row, minlength=len(values))
    place = np.arange(len(row)) - (np.cumsum(count) - count)[row]
    # An event of the last draw at an output far past the end.
    padded_y = np.full((len(values), int(count.max(initial=0))), 2**40, np.int64)
    padded_draw = np.full(padded_y.shape, len(s.draws) - 1, np.int64)
    padded_y[row, place], padded_draw[row, place] = y, draw
    return padded_y, padded_draw, count


def _follows(reach: Ints, misses: int, y: Ints, i: Ints, y_before: Ints, j: Ints) -> npt.NDArray[np.bool_]:
    """Whether event (y, i) may come right after event (y_before, j) on a path; all of one shape."""
    apart = y - y_before
    near = (i > j) & (i - j <= misses + 1)
    return np.asarray(near & (apart >= reach[i, 0] - reach[j, 0]) & (apart <= reach[i, 1] - reach[j, 1]))


def _chains(y: Ints, draw: Ints, reach: Ints, misses: int, shift: int) -> Ints:
    """The longest chain of events that ends at each event, at an offset `shift` past the scan's first: shape (n, e)."""
    length = np.zeros(y.shape, np.int64)
    x = y - shift
    for e in range(y.shape[1]):
        within = (x[:, e] >= reach[draw[:, e], 0]) & (x[:, e] <= reach[draw[:, e], 1])
        best = (draw[:, e] <= misses).astype(np.int64)
        for f in range(e):
            follows = _follows(reach, misses, y[:, e], draw[:, e], y[:, f], draw[:, f])
            better = follows & (length[:, f] > 0) & (length[:, f] >= best)
            best = np.where(better, length[:, f] + 1, best)
        length[:, e] = np.where(within, best, 0)
    return length


def best_matches(outputs: Values, first: int, search: Search) -> tuple[Ints, Ints]:
    """Matches of each seed's best path, 0 where it does not survive, and its offset: two arrays (n,).

    outputs: '<u4' (n, x), outputs `first` to `first` + x - 1 of each seed, at least those of `span`."""
    n, misses = len(outputs), search.misses or 0
    total = np.zeros((search.n_offsets, n), np.int64)
    alive = np.ones((search.n_offsets, n), bool)
    for s in search.sides:
        values, shifts = _scan(outputs, first, search, s)
        reach = search.reach_of(s)
        y, draw, count = _events(values, search, s, shifts)
        hopeful = np.flatnonzero((count >= s.need) & alive.any(axis=0))
        ends = len(s.draws) - 1 - draw[hopeful] <= misses
        for o in range(search.n_offsets):
            length = _chains(y[hopeful], draw[hopeful], reach, misses, shifts - o if s.behind else o)
            matches = np.zeros(n, np.int64)
            matches[hopeful] = np.where(ends, length, 0).max(axis=1, initial=0)
            alive[o] &= matches >= s.need
            total[o] += matches
    total[~alive] = 0
    offset = total.argmax(axis=0)
    return total.max(axis=0), offset + search.offsets[0]


@dataclass(frozen=True, eq=False)
class Path:
    """outputs: '<i8' (k,), the output that each draw of a side is; matched: bool (k,), whether it is the draw's value. A draw
    that is missed stands as evenly as can be between its neighbours, at the ends as near to the path as it may."""

    outputs: Ints
    matched: npt.NDArray[np.bool_]


def best_path(outputs: Values, first: int, search: Search, s: Side, offset: int) -> Path:
    """The best path of one seed over a side at an offset; outputs: '<u4' (x,), from output `first` on.

    Of paths with as many matches the one that ends first, then the one whose matches lie nearest to its end."""
    at = replace(search, offsets=(offset, offset))
    values, shifts = _scan(outputs[None, :], first, at, s)
    reach, misses = at.reach_of(s), search.misses or 0
    y, draw, count = _events(values, at, s, shifts)
    length = _chains(y, draw, reach, misses, 0)[0]
    y, draw = y[0], draw[0]
    k = len(s.draws)
    place, matched = np.full(k, -1, np.int64), np.zeros(k, bool)
    ends = np.where(k - 1 - draw <= misses, length, 0)
    e = int(ends.argmax()) if count[0] else -1
    while e >= 0 and length[e]:
        place[draw[e]], matched[draw[e]] = y[e], True
        before = [
            f
            for f in range(e)
            if length[f] == length[e] - 1 and length[f] and _follows(reach, misses, y[e], draw[e], y[f], draw[f])
        ]
        e = before[-1] if before and length[e] > 1 else -1
    place = _between(place, matched, reach)
    return Path(offset - 1 - place if s.behind else offset + place, matched)


def _between(place: Ints, matched: npt.NDArray[np.bool_], reach: Ints) -> Ints:
    """Places for missed draws, between those of matched ones."""
    known = np.flatnonzero(matched)
    if not len(known):
        return np.asarray(reach[:, 0].copy())
    place = place.copy()
    for i in range(len(place)):
        if matched[i]:
            continue
        after = known[known > i]
        if not len(after):
            place[i] = place[i - 1] + reach[i, 0] - reach[i - 1, 0]
            continue
        j = int(after[0])
        if i == 0:
            even = place[j] - (place[j] + 1) * (j - i) // (j + 1)
            low, high = reach[0, 0], reach[0, 1]
        else:
            even = place[i - 1] + (place[j] - place[i - 1]) // (j - i + 1)
            low, high = place[i - 1] + reach[i] - reach[i - 1]
        # What is left for the draws up to the next match bounds it as well.
        low = max(low, place[j] - (reach[j, 1] - reach[i, 1]))
        high = min(high, place[j] - (reach[j, 0] - reach[i, 0]))
        place[i] = min(max(even, low), high)
    return place


def side_expectations(p: Floats, reach: Ints, misses: int) -> npt.NDArray[np.longdouble]:
    """Expected number of paths' sets of matches of each size under the null at one offset, shape (k + 1,); from it P(best
    path has at least m) <= sum from m on, since a best path is one of them. p: chance of a match for each draw, (k,).

    Exact by linearity; reach: (k, 2). Kept as long doubles, whose exponents go to 10^4932."""
    k = len(p)
    sizes = np.zeros(k + 1, np.longdouble)
    # before[j][r - 1, x]: expected sets of r matches that end with draw j at an output below reach[j, 0] + x.
    before: dict[int, npt.NDArray[np.longdouble]] = {}
    for i in range(k):
        begin, width = int(reach[i, 0]), int(reach[i, 1] - reach[i, 0]) + 1
        mine = np.zeros((i + 1, width), np.longdouble)
        for j in range(max(0, i - misses - 1), i):
            # Output begin + x may come after outputs from begin + x - far to begin + x - near of draw j.
            near, far = reach[i] - reach[j]
            above = _shifted(before[j], begin - int(near) + 1 - int(reach[j, 0]), width)
            above -= _shifted(before[j], begin - int(far) - int(reach[j, 0]), width)
            mine[1 : j + 2] += above
        mine *= p[i]
        if i <= misses:
            mine[0] += p[i]
        before[i] = np.concatenate([np.zeros((i + 1, 1), np.longdouble), np.cumsum(mine, axis=1)], axis=1)
        before.pop(i - misses - 1, None)
        if k - 1 - i <= misses:
            sizes[1 : i + 2] += mine.sum(axis=1)
    # Differences of sums may leave a rounding below zero.
    np.maximum(sizes, 0, out=sizes)
    sizes[0] = 1
    return sizes


def _shifted(sums: npt.NDArray[np.longdouble], start: int, width: int) -> npt.NDArray[np.longdouble]:
    """Columns start to start + width - 1; those before the first are 0, those past the last are the last."""
    low = np.clip(np.arange(start, start + width), 0, sums.shape[1] - 1)
    if start >= 0 and start + width <= sums.shape[1]:
        return sums[:, start : start + width].copy()
    return np.asarray(sums[:, low])


def tails(search: Search) -> Floats:
    """log10 of what one hypothesis has of reaching each side's need and m matches in all, m = 0..k, shape (k + 1,): its chance
    at a constant skip, an upper bound for the best path at an offset."""
    p, at, parts = search.chances(), 0, []
    if search.misses is None:
        return side_tails(p, [(len(s.draws), s.need) for s in search.sides])
    for s in search.sides:
        parts.append((side_expectations(p[at : at + len(s.draws)], search.reach_of(s), search.misses), s.need))
        at += len(s.draws)
    return joint_tails(parts)


def plan_of(search: Search, threshold: float, seeds: int) -> Plan:
    """What chance alone makes of any search over `seeds` seeds."""
    return search.plan(threshold, seeds) if search.misses is None else plan(search, seeds)


def plan(search: Search, seeds: int, looks: int = 1) -> Plan:
    """What chance alone makes of a hybrid search over `seeds` seeds; tails are upper bounds, the expected count simulated
    where chance survivors are many enough, else the bound as well."""
    chances = tails(search)
    n_hyp = seeds * search.per_seed * looks
    log10_n = math.log10(n_hyp)
    chance = _chance(search, float(chances[search.least]) + math.log10(search.n_offsets), seeds)
    expected = seeds * chance.p
    return Plan(
        seeds=seeds, skips=1, offsets=search.n_offsets, looks=looks, n_hypotheses=n_hyp, k=search.k, need=search.least,
        log10_p1=float(chances[search.least]), log10_E=float(chances[search.least]) + log10_n,
        best_log10_E=float(chances[-1]) + log10_n, expected_survivors=expected,
        sigma=math.hypot(math.sqrt(expected * (1 - chance.p)), expected * chance.relative_error),
        chance=chance, draws_needed=0, tails=chances,
    )  # fmt: skip


def _chance(search: Search, log10_bound: float, seeds: int) -> Chance:
    """Chance that one seed survives: by simulation if it is likely enough for one, else the bound."""
    bound = Chance(min(log10_bound, 0.0), "bound")
    if log10_bound < math.log10(LEAST_SURVIVORS / MOST_SEEDS) or log10_bound + math.log10(seeds) < STRONG_LOG10:
        return bound
    rng = np.random.Generator(np.random.PCG64(20_240_602))
    first, width = span(search)
    events = sum(
        float((np.diff(search.reach_of(s), axis=1)[:, 0] + search.n_offsets) @ search.side_chances(s))
        for s in search.sides
    )
    pairs = search.n_offsets * max(events, 1.0) ** 2
    goal = int(min(MOST_SEEDS, max(BATCH, PAIRS / pairs)))
    done = survived = 0
    while done < goal:
        n = min(BATCH, goal - done)
        outputs = rng.integers(0, search.modulus, (n, width), np.uint64).astype(np.uint32)
        survived += int(np.count_nonzero(best_matches(outputs, first, search)[0]))
        done += n
    if survived < LEAST_SURVIVORS:
        return bound
    share = survived / done
    return Chance(math.log10(share), "sampled", math.sqrt((1 - share) / survived))
