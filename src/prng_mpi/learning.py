"""Floor 0: what learning from survivors rests on: splits in time order, the loss, measures beside what luck gives, a pool's worth.

A label is a number of hits among the draws of a span: binomial, with chance 1/M for a survivor that knows nothing. So the loss
is the binomial likelihood, a prediction is the probability of a hit, and everything is held against the share that all
training rows have in common ("predict the mean")."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi.errors import UsageError
from prng_mpi.statistics import log10_tails, poisson_interval

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint32]

# No model is surer than this, so that one surprise can't cost an infinite likelihood.
SUREST = 1e-6
# Permutations of labels: the least p-value is one in a thousand.
PERMUTATIONS = 999
# What lies between these quantiles of permuted labels is luck.
BAND = (0.005, 0.995)
_LN10 = np.log(10.0)

CALIBRATION = np.dtype(
    [("model", "S16"), ("first", "<u4"), ("last", "<u4"), ("predicted", "<f8"), ("observed", "<f8"), ("hits", "<u8"),
     ("expected", "<f8"), ("low", "<f8"), ("high", "<f8")]
)  # fmt: skip

ROC = np.dtype([("model", "S16"), ("ranked", "<u4"), ("positive", "<u4")])
# Points of a curve, at most.
POINTS = 400


@dataclass(frozen=True)
class Split:
    """Cuts by what they are for. fit: models learn on them; judge: the next, on which models and their parameters are chosen;
    test: the last with labels, looked at once; now: the last of all, which has no labels yet."""

    fit: tuple[int, ...]
    judge: int
    test: int
    now: int


def split(cuts: npt.NDArray[np.void]) -> Split:
    """The split of cuts (C,), with used_start, used_end, label_start, label_end, in time order. The same for all models.

    Raises:
        UsageError: fewer than three cuts with labels, labels that overlap or that features have seen, no last cut for now.
    """
    start, end, used = (cuts[name].astype(np.int64) for name in ("label_start", "label_end", "used_end"))
    if len(cuts) < 4 or (end <= start)[:-1].any() or end[-1] > start[-1]:
        raise UsageError(
            f"{len(cuts)} cuts: learning needs at least three with labels (fit, choose, test) and a last one without; "
            "score the survivors at more cuts"
        )
    if (start < used).any() or (start[1:-1] < end[:-2]).any():
        raise UsageError("labels overlap, or are of draws that the features have seen: score the survivors again")
    last = len(cuts) - 1
    return Split(tuple(range(last - 2)), last - 2, last - 1, last)


# -- measures -----------------------------------------------------------------------------------------------------------


def sure(p: npt.ArrayLike) -> Floats:
    """Predictions as probabilities that a likelihood can be taken of."""
    return np.clip(np.asarray(p, np.float64), SUREST, 1 - SUREST)


def gain(p: npt.ArrayLike, hits: npt.ArrayLike, draws: npt.ArrayLike, base: float) -> float:
    """log10 of the likelihood ratio of predictions against the one probability `base` for all; hits of draws, each (n,).

    A strictly proper score, so that no dishonest probability gains (T. Gneiting, A. E. Raftery, JASA 102 (2007) 359)."""
    q, h, n = sure(p), np.asarray(hits, np.float64), np.asarray(draws, np.float64)
    b = float(sure(base))
    return float((h * np.log(q / b) + (n - h) * np.log((1 - q) / (1 - b))).sum() / _LN10)


def ranks(values: npt.ArrayLike) -> Floats:
    """Ranks from 1, ties share their mean: (n,)."""
    _, place, count = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place], np.float64)


def ranking(scores: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Rows from the greatest score down, of equals the first: (n,)."""
    return np.argsort(-scores, kind="stable")


@dataclass(frozen=True)
class Measure:
    """A measure, where it would lie if the labels belonged to other survivors, and how often these do as well."""

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Judgement:
    """What predictions are worth on draws that they were not made from. log10_gain: see `gain`; r2: 1 - squared error over
    that of the mean; auc: chance that a survivor with more hits than luck gives on average stands before one with fewer;
    spearman: rank correlation; top: hits of the first-ranked."""

    log10_gain: float
    r2: Measure
    auc: Measure
    spearman: Measure
    top: Measure

    def row(self) -> dict[str, float]:
        """All values by name, r2_low and so on."""
        flat: dict[str, float] = {"log10_gain": self.log10_gain}
        for name in ("r2", "auc", "spearman", "top"):
            flat |= {name if key == "value" else f"{name}_{key}": v for key, v in asdict(getattr(self, name)).items()}
        return flat


def association(values: npt.NDArray[Any], objective: npt.NDArray[np.float64], seed: int) -> Measure:
    """How closely an objective (n,) follows a parameter (n,): 0 to 1, beside permutations of the objective.

    |Spearman's rho| of numbers; of words the correlation ratio of the objective's ranks, whose square times n - 1 is Kruskal and
    Wallis's H (W. H. Kruskal, W. A. Wallis, JASA 47 (1952) 583), and which is above 0 even if nothing is there."""
    if values.dtype.kind in "SU":
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        basis = np.eye(len(count))[place] / np.sqrt(count)
    else:
        basis = _standard(ranks(values))[:, None]
    z = _standard(ranks(objective))
    rng = np.random.Generator(np.random.PCG64(seed))
    luck = np.array([np.linalg.norm(rng.permutation(z) @ basis) for _ in range(PERMUTATIONS)])
    real = float(np.linalg.norm(z @ basis))
    low, high = np.quantile(luck, BAND)
    return Measure(real, float(low), float(high), float((1 + (luck >= real - 1e-12).sum()) / (1 + PERMUTATIONS)))


def r_squared(p: npt.ArrayLike, hits: npt.ArrayLike, draws: npt.ArrayLike, base: float) -> float:
    """1 - squared error of predicted shares over that of predicting `base` for all; above 0 beats the mean."""
    share = np.asarray(hits, np.float64) / np.asarray(draws, np.float64)
    rest = float(((share - base) ** 2).sum())
    return 1 - float(((share - np.asarray(p)) ** 2).sum()) / rest if rest else 0.0


def judge(p: Floats, hits: Counts, draws: int, base: float, chance: float, k: int, seed: int) -> Judgement:
    """Judge predictions (n,) of the hits (n,) among so many draws.

    base: share of hits of all training rows; chance: of one draw; k: survivors that are first-ranked; seed: of permutations.
    Under the null the labels of survivors are exchangeable, so that permuting them is exact (E. S. Edgington, Randomization
    Tests; p counts the labels themselves: B. Phipson, G. K. Smyth, SAGMB 9 (2010) 39)."""
    share = hits / draws
    rest = ((share - base) ** 2).sum()
    constant = ((p - base) ** 2).sum()
    order, ranked = ranks(p), ranks(hits)
    order_z, ranked_z = _standard(order), _standard(ranked)
    above = (hits > draws * chance).astype(np.float64)
    many = above.sum()
    pairs = many * (len(p) - many)
    first = ranking(p)[:k]
    deviation = p - base

    def measures(perm: npt.NDArray[np.int64]) -> tuple[float, float, float, float]:
        squared = rest - 2 * float(np.dot(deviation, share[perm] - base)) + constant
        wins = float(np.dot(order, above[perm])) - many * (many + 1) / 2
        return (
            1 - squared / rest if rest else 0.0, wins / pairs if pairs else 0.5, float(np.dot(order_z, ranked_z[perm])),
            float(hits[perm[first]].sum()),
        )  # fmt: skip

    real = measures(np.arange(len(p)))
    rng = np.random.Generator(np.random.PCG64(seed))
    luck = np.array([measures(rng.permutation(len(p))) for _ in range(PERMUTATIONS)])
    low, high = np.quantile(luck, BAND, axis=0)
    # What rounding alone tells apart is equal.
    reached = (luck >= np.array(real) - 1e-12).sum(axis=0)
    found = [
        Measure(*(float(v) for v in each))
        for each in zip(real, low, high, (1 + reached) / (1 + PERMUTATIONS), strict=True)
    ]
    return Judgement(gain(p, hits, np.full(len(p), draws), base), *found)


def _standard(values: Floats) -> Floats:
    centred = values - values.mean()
    size = float(np.sqrt((centred**2).sum()))
    return np.asarray(centred / size if size else centred)


def calibration(model: str, p: Floats, hits: Counts, draws: int) -> npt.NDArray[np.void]:
    """Predicted probabilities against shares of hits, by rank: the first, to the tenth, to the hundredth, ...: CALIBRATION (g,).

    low, high: hits that calibrated predictions leave in one of twenty cases, by Poisson's law, which is the wider."""
    order, rows, first = ranking(p), [], 0
    while first < len(p):
        last = min(max(1, 10 * first), len(p))
        group = order[first:last]
        expected = float(p[group].sum() * draws)
        low, high = poisson_interval(expected, 1.96)
        found = int(hits[group].sum())
        rows.append((
            model.encode(), first + 1, last, expected / (len(group) * draws), found / (len(group) * draws), found, expected, low, high,
        ))  # fmt: skip
        first = last
    return np.array(rows, CALIBRATION)


def roc(model: str, p: Floats, hits: Counts, draws: int, chance: float) -> npt.NDArray[np.void]:
    """How many of the first-ranked have more hits than luck gives on average, from none to all: ROC (g,), ties in one step.

    p: predictions (n,) of the hits (n,) among so many draws; chance: of one."""
    order = ranking(p)
    positive = np.insert(np.cumsum(hits[order] > draws * chance), 0, 0)
    ends = np.append(np.flatnonzero(np.diff(p[order])) + 1, len(p))
    kept = np.unique(ends[np.linspace(0, len(ends) - 1, POINTS).astype(np.int64)])
    rows = [(model.encode(), k, positive[k]) for k in (0, *kept)]
    return np.array(rows, ROC)


# -- features -------------------------------------------------------------------------------------------------------------


def within_cuts(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each column of each cut with mean 0 and variance 1 over its survivors, 0 where it does not vary: '<f4' (C, N, F).

    Many features change with the number of draws that they see (the spread of a rate shrinks), and a model would take a later
    cut for a trait of its survivors. What is left is how a survivor stands among the others at that moment; no label is used."""
    scaled = np.empty(features.shape, np.float32)
    for cut, own in zip(features, scaled, strict=True):
        spread = cut.std(axis=0, dtype=np.float64)
        own[:] = (cut - cut.mean(axis=0, dtype=np.float64)) / np.where(spread > 0, spread, 1.0)
    return scaled


def effective_rank(features: npt.NDArray[np.floating[Any]]) -> float:
    """How many directions the rows (n, F) really have: exp of the entropy of the singular values of the standardised columns,
    1 to F; 0 if nothing varies. O. Roy, M. Vetterli, EUSIPCO 2007, 606."""
    x = features.astype(np.float64)
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    if not x.size:
        return 0.0
    # Singular values of the columns are roots of eigenvalues of their products, of which there are few.
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(x.T @ x), 0.0))
    weight = values / values.sum()
    weight = weight[weight > 1e-9]
    return float(np.exp(-(weight * np.log(weight)).sum()))


# -- pools ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PoolHits:
    """A pool held against draws. sizes: distinct values it names for each draw, '<i8' (n,); hit: whether the draw is one of
    them, bool (n,); log10_p: of so many hits or more by chance; chance: expected hits."""

    sizes: npt.NDArray[np.int64]
    hit: npt.NDArray[np.bool_]
    log10_p: float
    chance: float

    @property
    def hits(self) -> int:
        """Draws that the pool named."""
        return int(self.hit.sum())


def pool_hits(predicted: Counts, draws: Counts, chances: Floats) -> PoolHits:
    """A pool's predictions (k, n) against the draws (n,), each of which an output equals with its chance (n,).

    Survivors that name the same value count once, so that each draw is hit or not: with m distinct outputs the chance is m
    times that of one, draws are independent of the streams and of each other, and the sum is Poisson-binomial, exactly,
    however much the streams have in common."""
    ordered = np.sort(predicted, axis=0)
    sizes = 1 + (ordered[1:] != ordered[:-1]).sum(axis=0)
    hit = (predicted == draws).any(axis=0)
    p = np.minimum(sizes * chances, 1.0)
    return PoolHits(sizes, hit, float(log10_tails(p)[int(hit.sum())]), float(p.sum()))


def merged(values: Counts, p: Floats, chance: float) -> tuple[Counts, Floats]:
    """The distinct values that survivors name for one draw, the likeliest first, and the probability of each.

    values, p: what each names and how likely it is to be right, (k,). A survivor that knows nothing is right with `chance`; what it
    has above, e = (p - chance) / (1 - chance), is its probability of knowing, each on its own. A value that several name is known
    if any of them knows; values of which only one can be the draw share what is known by their probabilities; where nobody
    knows, each distinct value has its chance, once."""
    knows = np.clip((p - chance) / (1 - chance), 0.0, 1.0)
    distinct, place = np.unique(values, return_inverse=True)
    ignorant = np.ones(len(distinct))
    np.multiply.at(ignorant, place, 1 - knows)
    known, nobody = 1 - ignorant, float(np.prod(ignorant))
    share = known / known.sum() if known.any() else known
    probability = (1 - nobody) * share + nobody * chance
    order = np.lexsort((distinct, -probability))
    return distinct[order].astype(np.uint32), probability[order]
