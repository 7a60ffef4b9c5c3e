"""Floor 0: what chance alone would give, so that no count is ever shown without its expectation.

The null hypothesis everywhere: the outputs compared are independent of the draws, and an output equals draw i with
probability p[i], taken from the recipe's exact output distribution. Equal draws have equal p. Probabilities are
kept as logarithms, since a real match lies far below the smallest double.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import UsageError

Floats = NDArray[np.float64]
Verdict = Literal["chance", "candidate", "strong", "found"]

CONFIRM_LOG10 = -6.0
STRONG_LOG10 = -3.0
FOUND_LOG10 = -6.0
MAX_DRAWS_NEEDED = 20_000

# Bounds on the work and memory of one plan, in (hypothesis, draw) pairs: under a second and some tens of megabytes.
_MAX_INTERVALS = 300_000
_MAX_SAMPLED_PAIRS = 500_000
_SAMPLING_BUDGET = 25_000_000
_LN10 = math.log(10.0)


def need_for(threshold: float | str | Fraction, k: int) -> int:
    """Least integer m >= threshold * k, at least 1, from the decimal text of `threshold` (0.7 of 10 is 7).

    UsageError unless 0 < threshold <= 1 and k >= 1.
    """
    try:
        share = Fraction(str(threshold))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"threshold {threshold!r} is not a number; give one above 0 and at most 1") from None
    if not 0 < share <= 1:
        raise UsageError(f"threshold {threshold} is out of range; give one above 0 and at most 1")
    if k < 1:
        raise UsageError(f"a window of {k} draws can't be matched; give at least 1")
    return math.ceil(share * k)


def log10_tails(p: ArrayLike) -> Floats:
    """log10 P(K >= m) for m = 0..k, shape (k+1,), where K counts matches of the k draws with probabilities `p`.

    Binomial where all p are equal, Poisson-binomial otherwise (O(k^2)); right to about 1e-9 at any depth.
    UsageError for a p outside [0, 1].
    """
    # Summed from the far end, so that each tail is a sum of positive terms of its own size.
    tails = np.logaddexp.accumulate(_log_pmf(_probabilities(p))[::-1])[::-1]
    tails[0] = 0.0
    return np.asarray(np.minimum(tails, 0.0) / _LN10)


def joint_tails(parts: Sequence[tuple[NDArray[Any], int]]) -> Floats:
    """log10 of the chance that each side reaches its need and all together m matches, m = 0..k, shape (k+1,).

    parts: for each side the chances (or expected numbers, for a bound) of 0..k matches, and its need. Sides are
    independent, as they share no output. At most 0.
    """
    total = np.ones(1, np.longdouble)
    for pmf, need in parts:
        reached = np.where(np.arange(len(pmf)) >= need, pmf, 0).astype(np.longdouble)
        total = np.convolve(total, reached)
    tails = np.add.accumulate(total[::-1])[::-1]
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(np.log10(tails), 0.0), dtype=np.float64)


def expected_histogram(p: ArrayLike, n_hyp: int) -> Floats:
    """Expected number of `n_hyp` hypotheses with exactly m matches, m = 0..k, shape (k+1,)."""
    return np.asarray(np.exp(_log_pmf(_probabilities(p)) + math.log(n_hyp))) if n_hyp else np.zeros(np.size(p) + 1)


def _probabilities(p: ArrayLike) -> Floats:
    values = np.atleast_1d(np.asarray(p, dtype=np.float64))
    if values.ndim != 1 or not bool(np.all((values >= 0) & (values <= 1))):
        raise UsageError("match probabilities must be one row of numbers from 0 to 1")
    return values


def _logs(p: Floats) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore"):
        return np.log(p), np.log1p(-p)


def _log_factorials(n: int) -> Floats:
    return np.fromiter((math.lgamma(i + 1.0) for i in range(n + 1)), np.float64, n + 1)


def _log_pmf(p: Floats) -> Floats:
    k = p.size
    log_hit, log_miss = _logs(p)
    if k and p[0] == p[-1] and 0 < p[0] < 1 and bool(np.all(p == p[0])):
        m, fact = np.arange(k + 1), _log_factorials(k)
        return np.asarray(fact[k] - fact - fact[::-1] + m * log_hit[0] + (k - m) * log_miss[0])
    pmf = np.full(k + 1, -np.inf)
    pmf[0] = 0.0
    for hit, miss in zip(log_hit, log_miss, strict=True):
        pmf[1:] = np.logaddexp(pmf[1:] + miss, pmf[:-1] + hit)
        pmf[0] += miss
    return pmf


@dataclass(frozen=True)
class Chance:
    """Probability that one seed survives by chance, through any of its hypotheses.

    `kind` says how it was had: 'exact'; 'sampled', with a standard error of `relative_error` of its value;
    'independent', as if no two hypotheses shared an output, which is too high where many do; or 'bound', at most so.
    """

    log10_p: float
    kind: Literal["exact", "sampled", "independent", "bound"]
    relative_error: float = 0.0

    @property
    def p(self) -> float:
        """The probability itself; 0 where it is below the smallest double."""
        return math.pow(10.0, self.log10_p)


def chance_per_seed(
    p: ArrayLike,
    need: int,
    draws: ArrayLike,
    *,
    skips: tuple[int, int],
    offsets: tuple[int, int],
    seeds: int,
    calls: ArrayLike | None = None,
    sides: Sequence[tuple[int, int]] = (),
) -> Chance:
    """Chance that one seed reaches `need` matches at some skip and offset (both ranges inclusive).

    calls: the call of each draw, counted from the boundary, 1..k unless given. sides: where a hypothesis must hold on
    each of several groups of draws, (how many draws, need) of each. Hypotheses share outputs, since the draw of call u is
    compared with output o - 1 + u*(s+1). One match is computed exactly;
    more are sampled, to a tenth of the Poisson spread of `seeds` seeds where the budget allows. The same arguments
    give the same number. UsageError for empty ranges, or p that doesn't fit the draws.
    """
    prob, values = _probabilities(p), np.asarray(draws).ravel()
    n_skips, n_offsets = _span("skip", skips), _span("offset", offsets)
    _, first, code = np.unique(values, return_index=True, return_inverse=True)
    if prob.size != values.size or not prob.size:
        raise UsageError(f"{prob.size} match probabilities for {values.size} draws; there must be one for each draw")
    weight = prob[first]
    if not np.array_equal(weight[code], prob) or weight.sum() > 1 + 1e-9:
        raise UsageError("match probabilities disagree: equal draws need equal ones, distinct ones at most 1 in sum")
    if not 1 <= need <= prob.size:
        raise UsageError(f"{need} matches of {prob.size} draws can't be asked for; give 1 to {prob.size}")

    k, n_hyp = prob.size, n_skips * n_offsets
    turns = np.arange(1, k + 1) if calls is None else np.asarray(calls, np.int64)
    groups = list(sides) or [(k, need)]
    log_p1 = float(side_tails(prob, groups)[need]) * _LN10
    log_sum = log_p1 + math.log(n_hyp)
    if n_hyp == 1 or log_p1 in (-math.inf, 0.0):
        return Chance(log_p1 / _LN10, "exact")
    if need == 1 and len(groups) == 1 and k * n_skips <= _MAX_INTERVALS:
        return Chance(_log_any_match(weight, code, turns, skips, offsets) / _LN10, "exact")
    # Below one survivor in a thousand runs the sum over hypotheses says all there is to say.
    worth_it = log_sum + math.log(max(seeds, 1)) > STRONG_LOG10 * _LN10
    if worth_it and need > 1 and k * max(n_hyp, need) <= _MAX_SAMPLED_PAIRS:
        likely = seeds * math.exp(min(log_sum, 0.0))
        log_share, error = _log_share(weight, code, turns, groups, skips=skips, offsets=offsets, expected=likely)
        return Chance(min(log_sum + log_share, 0.0) / _LN10, "sampled", error)
    # 1 - (1 - p1)^H; a sum below the rounding of a double needs no power.
    if log_sum > -37:
        log_sum = math.log(-math.expm1(n_hyp * math.log1p(-math.exp(log_p1))))
    return Chance(log_sum / _LN10, "independent")


def expected_survivors(
    p: ArrayLike, need: int, draws: ArrayLike, *, skips: tuple[int, int], offsets: tuple[int, int], seeds: int
) -> float:
    """Expected number of `seeds` seeds that survive by chance; see `chance_per_seed`."""
    return seeds * chance_per_seed(p, need, draws, skips=skips, offsets=offsets, seeds=seeds).p


def _span(name: str, bounds: tuple[int, int]) -> int:
    low, high = bounds
    if not 0 <= low <= high:
        raise UsageError(f"{name}s from {low} to {high} are no range; give 0 <= least <= greatest")
    return high - low + 1


def side_tails(p: ArrayLike, sides: Sequence[tuple[int, int]]) -> Floats:
    """As `log10_tails`, where each side, (how many of the draws, need), has to reach its need besides."""
    prob = _probabilities(p)
    if len(sides) == 1:
        return log10_tails(prob)
    parts, at = [], 0
    for k, need in sides:
        parts.append((np.exp(_log_pmf(prob[at : at + k]).astype(np.longdouble)), need))
        at += k
    return joint_tails(parts)


def _positions(calls: NDArray[np.int64], skips: tuple[int, int], offset: int) -> NDArray[np.int64]:
    """Output index compared with each call's draw at each skip, shape (skips, k)."""
    skip = np.arange(skips[0], skips[1] + 1, dtype=np.int64)[:, None]
    return np.asarray(offset - 1 + calls * (skip + 1))


def _log_any_match(
    weight: Floats, code: NDArray[Any], calls: NDArray[np.int64], skips: tuple[int, int], offsets: tuple[int, int]
) -> float:
    """ln P(some output equals a draw it is compared with): 1 - prod over outputs of (1 - sum of p of its draws)."""
    # At one skip, a draw is compared with as many consecutive outputs as there are offsets. Cutting each such
    # interval where the next of the same value begins makes every (output, value) count once.
    length = offsets[1] - offsets[0] + 1
    start = _positions(calls, skips, offsets[0]).ravel()
    value = np.tile(code, skips[1] - skips[0] + 1)
    order = np.lexsort((start, value))
    start, value = start[order], value[order]
    end = start + length
    end[:-1] = np.where(value[1:] == value[:-1], np.minimum(end[:-1], start[1:]), end[:-1])

    edge = np.concatenate((start, end))
    step = np.concatenate((weight[value], -weight[value]))
    order = np.argsort(edge, kind="stable")
    run = np.diff(edge[order])
    cover = np.clip(np.cumsum(step[order])[:-1][run > 0], 0.0, 1.0)
    with np.errstate(divide="ignore"):
        log_none = float(np.dot(run[run > 0], np.log1p(-cover)))
        return float(np.log(-np.expm1(log_none)))


def _log_share(
    weight: Floats,
    code: NDArray[Any],
    calls: NDArray[np.int64],
    sides: Sequence[tuple[int, int]],
    *,
    skips: tuple[int, int],
    offsets: tuple[int, int],
    expected: float,
) -> tuple[float, float]:
    """ln of P(any hypothesis holds) / sum of P(hypothesis), and its relative standard error.

    R. M. Karp, M. Luby, J. Complexity 1 (1985) 45: the ratio is the mean of 1/N over outputs drawn given that a
    hypothesis picked at random holds, N being how many hypotheses then hold. Rare events cost no more than others.
    """
    k = code.size
    shifts = np.arange(offsets[1] - offsets[0] + 1)
    compared = (_positions(calls, skips, 0)[:, None, :] + shifts[:, None]).reshape(-1, k)
    used, index = np.unique(compared, return_inverse=True)
    index = index.reshape(compared.shape)
    upper = np.cumsum(weight)
    p, lower = weight[code], (upper - weight)[code]
    ends = np.cumsum([0, *(n for n, _ in sides)])
    groups = [(slice(a, b), need) for a, b, (_, need) in zip(ends[:-1], ends[1:], sides, strict=True)]
    tables = [_conditional_hits(p[part], need) for part, need in groups]

    rng = np.random.Generator(np.random.PCG64(20_240_601))
    most = min(20_000, max(100, _SAMPLING_BUDGET // compared.size))
    target = 0.1 / math.sqrt(max(expected, 100.0))
    count, total, square, batch = 0, 0.0, 0.0, 100
    while True:
        hits = np.concatenate(
            [_hit_patterns(t, need, batch, rng) for t, (_, need) in zip(tables, groups, strict=True)], 1
        )
        for picked, hit in zip((rng.random(batch) * len(index)).astype(int), hits, strict=True):
            # Outputs as points in [0, 1): value v owns [lower, upper) of it, the rest is no draw's. On the picked
            # hypothesis a match takes the draw's own code, a miss any point but those of its draw.
            point = rng.random(used.size)
            mine = index[picked]
            other = point[mine] * (1 - p)
            point[mine] = np.where(other >= lower, other + p, other)
            output = np.searchsorted(upper, point, side="right")
            output[mine[hit]] = code[hit]
            same = output[index] == code
            holds = np.logical_and.reduce([same[:, part].sum(axis=1) >= need for part, need in groups])
            share = 1.0 / int(np.count_nonzero(holds))
            total, square = total + share, square + share * share
        count += batch
        mean = total / count
        # No spread among the first samples is no proof of none: 1/count stands for the one not yet seen.
        error = math.sqrt((max(square / count - mean * mean, 0.0) + 1.0 / count) / count) / mean
        if count >= most or error <= target:
            return math.log(mean), float(error)
        batch = min(batch, most - count)


def _conditional_hits(p: Floats, need: int) -> Floats:
    """P(draw i matches | r more matches are needed from draw i on), shape (k, need+1)."""
    log_hit, log_miss = _logs(p)
    tail = np.full((p.size + 1, need + 1), -np.inf)
    tail[:, 0] = 0.0
    for i in reversed(range(p.size)):
        tail[i, 1:] = np.logaddexp(log_hit[i] + tail[i + 1, :-1], log_miss[i] + tail[i + 1, 1:])
    table = np.tile(p[:, None], need + 1)
    with np.errstate(invalid="ignore"):
        table[:, 1:] = np.nan_to_num(np.exp(log_hit[:, None] + tail[1:, :-1] - tail[:-1, 1:]))
    return table


def _hit_patterns(table: Floats, need: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Random sets of matching draws with at least `need` members, shape (count, k)."""
    hits = np.empty((count, len(table)), dtype=bool)
    left = np.full(count, need)
    for i, row in enumerate(table):
        hits[:, i] = rng.random(count) < row[left]
        left = np.maximum(left - hits[:, i], 0)
    return hits


@dataclass(frozen=True)
class Plan:
    """What chance alone makes of a search, known before it starts.

    Counts are of seeds, skips, offsets and looks; `looks` multiplies the hypotheses by the other windows, recipes and
    trials that see the same data. `log10_E` is for a hypothesis that just reaches `need`, `best_log10_E` for a match
    on all k draws. `sigma` is the spread of the survivor count, seeds' chance and sampling error together.
    `tails[m]` is log10 P(m or more matches), shape (k+1,). draws_needed: None if no window is long enough, 0 if that was
    not asked.
    """

    seeds: int
    skips: int
    offsets: int
    looks: int
    n_hypotheses: int
    k: int
    need: int
    log10_p1: float
    log10_E: float  # noqa: N815
    best_log10_E: float  # noqa: N815
    expected_survivors: float
    sigma: float
    chance: Chance
    draws_needed: int | None
    tails: Floats = field(repr=False, compare=False)

    def log10_E_at(self, matches: ArrayLike) -> Floats:  # noqa: N802
        """log10 E of hypotheses with these numbers of matches, same shape as `matches`."""
        return np.asarray(self.tails[np.asarray(matches)] + _log10_int(self.n_hypotheses))

    def lines(self) -> list[str]:
        """The plan in plain words, one statement a line."""
        return [
            f"{format_log10(_log10_int(self.n_hypotheses))} hypotheses, each reaching {self.need} of {self.k} matches "
            f"by chance with p = {format_log10(self.log10_p1)}",
            self.sentence(),
            f"a match on {self.k} of {self.k} draws would have E = {format_log10(self.best_log10_E)}",
            *([] if self.draws_needed == 0 else [self._window()]),
        ]

    def _window(self) -> str:
        if self.draws_needed is None:
            return f"no window up to {format_count(MAX_DRAWS_NEEDED)} draws gives E < 1e-3 at this threshold"
        return f"E < 1e-3 needs a window of {self.draws_needed} draws at this threshold"

    def sentence(self) -> str:
        """How many survivors chance alone would leave."""
        about = (
            "at most about " if self.chance.kind in ("independent", "bound") and self.expected_survivors >= 1 else ""
        )
        if self.expected_survivors >= 1:
            return f"chance alone would leave {about}{format_count(self.expected_survivors)} +- " + (
                f"{format_count(self.sigma)} seeds"
            )
        log10_expected = self.chance.log10_p + _log10_int(self.seeds)
        most = "at most " if self.chance.kind == "bound" else ""
        return f"chance alone would leave {most}{format_log10(log10_expected)} seeds"


def plan_evidence(
    p: ArrayLike,
    draws: ArrayLike,
    threshold: float | str | Fraction,
    *,
    seeds: int,
    skips: tuple[int, int],
    offsets: tuple[int, int],
    looks: int = 1,
    calls: ArrayLike | None = None,
    sides: Sequence[int] = (),
    known: bool = True,
) -> Plan:
    """The plan of one sieve over `seeds` seeds; skip and offset ranges are inclusive.

    `p` and `draws` have shape (k,). calls, sides: see `chance_per_seed`, but of each side its number of draws only; each
    has to reach the threshold. known: whether the draws are single values. UsageError for a bad threshold, no seeds, empty
    ranges or a p that doesn't fit.
    """
    if seeds < 1 or looks < 1:
        raise UsageError(f"{seeds} seeds in {looks} looks leave nothing to search; give at least one of each")
    prob = _probabilities(p)
    groups = [(n, need_for(threshold, n)) for n in sides or [prob.size]]
    need = sum(least for _, least in groups)
    if known:
        chance = chance_per_seed(
            prob, need, draws, skips=skips, offsets=offsets, seeds=seeds, calls=calls, sides=groups
        )
    else:
        n_hyp = _span("skip", skips) * _span("offset", offsets)
        log10_p = min(float(side_tails(prob, groups)[need]) + _log10_int(n_hyp), 0.0)
        chance = Chance(log10_p, "exact" if n_hyp == 1 else "bound")
    n_skips, n_offsets = _span("skip", skips), _span("offset", offsets)
    n_hyp = seeds * n_skips * n_offsets * looks
    tails, log10_n = side_tails(prob, groups), _log10_int(n_hyp)
    expected = seeds * chance.p
    return Plan(
        seeds=seeds,
        skips=n_skips,
        offsets=n_offsets,
        looks=looks,
        n_hypotheses=n_hyp,
        k=prob.size,
        need=need,
        log10_p1=float(tails[need]),
        log10_E=float(tails[need]) + log10_n,
        best_log10_E=float(tails[-1]) + log10_n,
        expected_survivors=expected,
        sigma=math.hypot(math.sqrt(expected * (1 - chance.p)), expected * chance.relative_error),
        chance=chance,
        draws_needed=draws_needed(threshold, float(prob.mean()), n_hyp),
        tails=tails,
    )


def draws_needed(
    threshold: float | str | Fraction,
    p: float,
    n_hyp: int,
    limit: int = MAX_DRAWS_NEEDED,
    log10_below: float = STRONG_LOG10,
) -> int | None:
    """Least window length, up to `limit`, at which a hypothesis that just reaches the threshold has E < 10^log10_below.

    `p` is the chance of one match. None where no such window exists.
    """
    need_for(threshold, 1)
    share, goal = Fraction(str(threshold)), (log10_below - _log10_int(n_hyp)) * _LN10
    if p <= 0:
        return 1
    if p >= 1:
        return None
    log_hit, log_miss = math.log(p), math.log1p(-p)
    fact = _log_factorials(limit)
    # Of the windows that need m matches the shortest has the smallest tail, so only those are tried.
    for need in range(1, limit + 1):
        k = math.floor((need - 1) / share) + 1
        if k > limit:
            return None
        # A tail is at least its first term, which is cheap and rules out nearly all.
        if fact[k] - fact[need] - fact[k - need] + need * log_hit + (k - need) * log_miss >= goal:
            continue
        m = np.arange(need, k + 1)
        terms = fact[k] - fact[m] - fact[k - m] + m * log_hit + (k - m) * log_miss
        if float(np.logaddexp.reduce(terms)) < goal:
            return k
    return None


def verdict(log10_E: float | None, confirmed: bool, verified: bool) -> Verdict:  # noqa: N803
    """What the best survivor's E allows to be said; None stands for no survivor.

    `confirmed`: on draws that no step has looked at; `verified`: the CPU device found the same.
    """
    if log10_E is None or not log10_E <= 0:
        return "chance"
    if log10_E <= FOUND_LOG10 and confirmed and verified:
        return "found"
    return "strong" if log10_E <= STRONG_LOG10 else "candidate"


def confirmation(p_heldout: ArrayLike, matches: int) -> float:
    """log10 P(that many or more held-out draws match) at one hypothesis; CONFIRM_LOG10 or less confirms it."""
    tails = log10_tails(p_heldout)
    if not 0 <= matches < tails.size:
        raise UsageError(f"{matches} matches can't come from {tails.size - 1} held-out draws")
    return float(tails[matches])


def z_score(observed: float, expected: float, sigma: float | None = None) -> float:
    """(observed - expected) / sigma, sigma being sqrt(expected) of a Poisson count unless given."""
    spread = math.sqrt(expected) if sigma is None else sigma
    if observed == expected:
        return 0.0
    return (observed - expected) / spread if spread > 0 else math.copysign(math.inf, observed - expected)


# Ways in which a device may be wrong, and how much of its work that spoils.
FAULTS = {
    "lanes": "5 % of its lanes dropped",
    "bits": "a bit wrong in 1e-3 of its outputs",
    "block": "its last block missing",
}
_DROPPED_LANES, _WRONG_BITS = 0.05, 1e-3


def unnoticed(seen: int, values: int, end: bool) -> dict[str, float]:
    """Chance that a device with each of FAULTS passes what it has passed.

    seen: survivors that it had to find, each in a lane of its own; values: outputs of which each wrong bit would have shown;
    end: whether it had to find a survivor in the last block of a launch."""
    return {
        "lanes": (1 - _DROPPED_LANES) ** seen,
        "bits": (1 - _WRONG_BITS) ** values,
        "block": 0.0 if end else 1.0,
    }


def poisson_interval(expected: float, sigmas: float = 5.0) -> tuple[int, int]:
    """Least and greatest count, both included, that a Poisson count leaves no more often than a normal one `sigmas`.

    Exact up to an expectation of 10,000; above, normal with the first skewness term (Cornish-Fisher).
    """
    spread = sigmas * math.sqrt(expected)
    if expected > 1e4:
        skew = (sigmas**2 - 1) / 6
        return math.floor(expected - spread + skew), math.ceil(expected + spread + skew)
    outside = math.erfc(sigmas / math.sqrt(2)) / 2
    m = np.arange(int(expected + 2 * spread + 10 * sigmas + 10))
    pmf = np.exp(m * math.log(expected) - expected - _log_factorials(m[-1])) if expected > 0 else (m == 0).astype(float)
    below, above = np.cumsum(pmf), np.cumsum(pmf[::-1])[::-1]
    return int(np.count_nonzero(below <= outside)), int(np.count_nonzero(above > outside)) - 1


def clopper_pearson(matches: int, draws: int, level: float = 0.95) -> tuple[float, float]:
    """The rates of match, each draw alike, under which so many matches are no surprise: C. J. Clopper, E. S. Pearson,
    Biometrika 26 (1934) 404. Each end leaves (1 - level) / 2 outside.

    Raises:
        UsageError: not 0 <= matches <= draws, or no draws.
    """
    if not 0 <= matches <= draws or draws < 1:
        raise UsageError(f"{matches} matches of {draws} draws are none; give 0 to as many as there are draws")
    goal = math.log10((1 - level) / 2)

    def solve(least: int, tail: float) -> float:
        """The p at which log10 P(K >= least) = tail; it grows with p."""
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            above = log10_tails(np.full(draws, middle))[least] >= tail
            low, high = (low, middle) if above else (middle, high)
        return (low + high) / 2

    lower = solve(matches, goal) if matches else 0.0
    # P(K <= m) = a is P(K >= m + 1) = 1 - a.
    upper = solve(matches + 1, math.log10(1 - (1 - level) / 2)) if matches < draws else 1.0
    return lower, upper


def format_count(x: float) -> str:
    """An int in full, digits in groups of three (7 245); a float likewise below a million, else as 6.2e6 or 9e-5."""
    if isinstance(x, int | np.integer) or x == 0 or 999.5 <= abs(x) < 999_999.5:
        return f"{round(x):,}".replace(",", " ")
    if 0.001 <= abs(x) < 999.5:
        return f"{x:.0f}" if abs(x) >= 99.5 else f"{x:.2g}"
    return format_log10(math.log10(x)) if math.isfinite(x) and x > 0 else str(x)


def format_log10(v: float) -> str:
    """10**v for people, two digits at most: 1e-78, 0.12, 7 245; v may be far below the range of a double."""
    if v == -math.inf:
        return "0"
    if -3 <= v < math.log10(999_999.5):
        return format_count(float(10.0**v))
    exponent = math.floor(v)
    digits = f"{10 ** (v - exponent):.1f}".removesuffix(".0")
    return f"1e{exponent + 1}" if digits == "10" else f"{digits}e{exponent}"


def _log10_int(n: int) -> float:
    return math.log10(n) if n > 0 else -math.inf
