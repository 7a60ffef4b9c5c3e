"""Floor 0: what is seen of a survivor: its stream laid beside the draws up to a cut, told in numbers.

One registry has each feature's name, unit, formula and function. In formulas p is the stream, d the draws, t a draw's index,
M the modulus, and c = cos(2 pi (p - d) / M) the agreement of a draw: 1 where p = d, 0 on average by chance. `all` are the
draws from the window's first on, `after` those after the window, which did not choose the survivor. One text serves every
array library with the Python array API (numpy, torch, cupy): work is done where the streams lie."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from prng_mpi import analysis
from prng_mpi.errors import UsageError
from prng_mpi.statistics import log10_tails

Floats = npt.NDArray[np.float32]
# An array of whatever library holds the streams.
Array = Any

# Values have tables of what they look like: residues, digits, angles.
MODULUS_MOST = 2**20
# Of fewer draws no test of randomness says anything.
LEAST_DRAWS = analysis.LEAST_SAMPLES
# Lags of the autocorrelations of streams and of agreement, and of the history.
STREAM_LAGS, AGREEMENT_LAGS, HISTORY_LAGS = 10, 5, 5
# Draws that a value is looked for in before it counts as unseen.
UNSEEN_DRAWS = 500
# Correlation above which of two columns one is enough, survivors below which no such thing can be said, and that say it.
SAME, FEW, MANY = 0.999, 30, 20_000


@dataclass(frozen=True)
class Scorer:
    """The parameters of the features. moduli: residues of values; lags: draws by which a stream may be out of step; windows:
    draws of a stretch of time, the shortest counts as the recent past; floor: standard deviations above chance from which
    the score counts a channel.

    Raises UsageError for values that have no meaning."""

    moduli: tuple[int, ...] = (8, 125)
    lags: tuple[int, ...] = (1, 2, 3)
    windows: tuple[int, ...] = (50, 200)
    floor: float = 2.0

    def __post_init__(self) -> None:
        for name, least in (("moduli", 2), ("lags", 1), ("windows", 2)):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)) or values[0] < least:
                raise UsageError(f"scorer: {name} {list(values)} must be different, ascending, and at least {least}")
        if not 0 <= self.floor < math.inf:
            raise UsageError(f"scorer: a floor of {self.floor} standard deviations has no meaning")

    def residues(self, modulus: int) -> tuple[int, ...]:
        """The moduli that say something of values below `modulus`."""
        return tuple(m for m in self.moduli if m < modulus)

    def to_json(self) -> str:
        """As a result file keeps it."""
        return json.dumps(asdict(self), sort_keys=True)


def scorer_from(text: str) -> Scorer:
    """The inverse of `Scorer.to_json`. Raises UsageError."""
    try:
        values: dict[str, Any] = json.loads(text)
        values |= {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return Scorer(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{text!r} is no scorer ({error}); run scorer_meta again") from error


class View:
    """n streams beside T draws: p and d are int32 (n, T) and (T,); the first k columns are the window, and of these the first
    `behind` lie behind its boundary. What several features need is made once."""

    def __init__(self, p: Array, d: npt.NDArray[Any], k: int, behind: int, modulus: int, scorer: Scorer) -> None:
        self.xp: Any = array_namespace(p)
        self.p, self.k, self.behind, self.modulus, self.scorer = p, k, behind, modulus, scorer
        self.host_d = np.asarray(d, np.int32)
        self.d = self.put(self.host_d)
        self.draws = len(d)
        self._made: dict[Any, Array] = {}

    def put(self, values: npt.NDArray[Any]) -> Array:
        """A numpy array where the streams are."""
        return self.xp.asarray(values, device=device(self.p))

    def once(self, key: Any, make: Callable[[], Array]) -> Array:
        """What `make` gives, made when it is first wanted under this key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @property
    def equal(self) -> Array:
        """p = d: bool (n, T)."""
        return self.once("equal", lambda: self.p == self.d)

    @property
    def hits(self) -> Array:
        """p = d as numbers."""
        return self.once("hits", lambda: self.real(self.equal))

    @property
    def difference(self) -> Array:
        """(p - d) mod M: int32 (n, T)."""

        def make() -> Array:
            apart = self.p - self.d
            return self.xp.where(apart < 0, apart + self.modulus, apart)

        return self.once("difference", make)

    @property
    def agreement(self) -> Array:
        """c: f4 (n, T)."""
        return self.once("agreement", lambda: self.of(_angles(self.modulus, self.modulus)[0], self.difference))

    @property
    def stream(self) -> Array:
        """p with mean 0 and variance 1: f4 (n, T)."""
        return self.once("stream", lambda: self.standard(self.real(self.p)))

    @property
    def spectrum(self) -> Array:
        """Power of p at each frequency above 0, in units of their mean: f4 (n, L / 2)."""
        return self.once("spectrum", lambda: self.power(self.stream))

    @property
    def walk(self) -> Array:
        """Sums of the standardised p, in units of their end's standard deviation: f4 (n, T)."""
        return self.once("walk", lambda: self.xp.cumulative_sum(self.stream, axis=1) / math.sqrt(self.draws))

    def of(self, table: npt.NDArray[Any], values: Array) -> Array:
        """table[values]."""
        return self.put(table)[values]

    def real(self, values: Array) -> Array:
        """As f4."""
        return self.xp.astype(values, self.xp.float32)

    def share(self, matches: Array, first: int = 0) -> Array:
        """Share of true among columns from `first` on: f4 (n,); 0 where there are none."""
        if matches.shape[1] <= first:
            return self.xp.zeros_like(self.stream[:, 0])
        return self.xp.mean(self.real(matches[:, first:]), axis=1)

    def same(self, key: Any, table: npt.NDArray[Any]) -> Array:
        """Whether a property that a table has of each value is equal of p and d: bool (n, T)."""
        return self.once(key, lambda: self.of(table, self.p) == self.put(table[self.host_d]))

    def standard(self, x: Array) -> Array:
        """Rows with mean 0 and variance 1; zeros where a row is constant."""
        centred = x - self.xp.mean(x, axis=-1, keepdims=True)
        spread = self.xp.sqrt(self.xp.mean(centred * centred, axis=-1, keepdims=True))
        return centred / self.xp.where(spread > 0, spread, self.xp.ones_like(spread))

    def power(self, x: Array) -> Array:
        """Periodogram of the last columns, as many as a fast transform has, without the mean, in units of its own mean."""
        f = self.xp.fft.rfft(x[:, -_fast_length(x.shape[1]) :])[:, 1:]
        power = self.xp.real(f) ** 2 + self.xp.imag(f) ** 2
        mean = self.xp.mean(power, axis=1, keepdims=True)
        return power / self.xp.where(mean > 0, mean, self.xp.ones_like(mean))

    def stretches(self, x: Array, w: int) -> Array:
        """Means of the stretches of w columns that end at the cut, oldest first: f4 (n, T // w)."""
        w = min(w, self.draws)
        count = self.draws // w
        return self.xp.mean(self.xp.reshape(x[:, self.draws - count * w :], (x.shape[0], count, w)), axis=2)

    def correlation(self, x: Array, y: Array, lag: int = 0) -> Array:
        """Of standardised rows, y[t] with x[t + lag]: f4 (n,)."""
        y = self.xp.broadcast_to(y, x.shape)
        return self.xp.vecdot(x[:, lag:], y[:, : y.shape[1] - lag]) / x.shape[1]


@dataclass(frozen=True)
class Feature:
    """One column: function(view, *of), f4 (n,)."""

    name: str
    unit: str
    formula: str
    function: Callable[..., Array]
    of: tuple[Any, ...] = ()


def registry(scorer: Scorer, modulus: int, behind: bool) -> tuple[Feature, ...]:
    """All features of such streams; behind: whether the window also has draws behind its boundary."""
    groups = (_matches(scorer), _lags(scorer), _residues(scorer, modulus), _digits(modulus), _stability(scorer), _levels(),
              _spectra(), _autocorrelations(), _walks(), _sides() if behind else iter(()), _score(scorer))  # fmt: skip
    return tuple(feature for group in groups for feature in group)


def schema(scorer: Scorer, modulus: int, behind: bool) -> list[dict[str, str]]:
    """Name, unit and formula of each column, those of survivors, then of runs, then of histories."""
    columns: list[Feature | Skip] = [*registry(scorer, modulus, behind), *SKIPS]
    per = [{"name": f.name, "unit": f.unit, "formula": f.formula, "of": "survivor"} for f in columns]
    return per + [{**each, "of": "history"} for each in _history_schema(scorer, modulus)]


def schema_hash(columns: list[dict[str, str]]) -> str:
    """Hex SHA-256 of a schema."""
    return hashlib.sha256(json.dumps(columns, sort_keys=True).encode()).hexdigest()


def measure(features: tuple[Feature, ...], view: View) -> Floats:
    """All columns of a view: f4 (n, F) on the host."""
    return host(view.xp.stack([feature.function(view, *feature.of) for feature in features], axis=1))


def host(values: Array) -> npt.NDArray[Any]:
    """An array of any library as one of numpy."""
    # cupy refuses the protocol that numpy asks by.
    return np.asarray(values.get() if hasattr(values, "get") else values.cpu() if hasattr(values, "cpu") else values)


# -- matches -----------------------------------------------------------------------------------------------------------


def _matches(scorer: Scorer) -> Iterator[Feature]:
    yield Feature("match_window", "share", "mean of [p = d] over the window", lambda v: v.share(v.equal[:, : v.k]))
    yield Feature(
        "match_after", "share", "mean of [p = d] over the draws after the window", lambda v: v.share(v.equal, v.k)
    )
    yield Feature("match_all", "share", "mean of [p = d] over all draws", lambda v: v.share(v.equal))
    for w in scorer.windows:
        yield Feature(
            f"match_recent_{w}", "share", f"mean of [p = d] over the last {w} draws",
            lambda v, w: v.share(v.equal, max(0, v.draws - w)), (w,),
        )  # fmt: skip
    yield Feature(
        "match_evidence", "log10", "-log10 P(Binomial(draws after, 1/M) >= matches after)", lambda v: v.of(
            -log10_tails(np.full(v.draws - v.k, 1 / v.modulus)).astype(np.float32), _count(v, v.equal[:, v.k :])
        )
    )  # fmt: skip
    yield Feature(
        "match_decayed", "share", f"weighted mean of [p = d], weights halve every {scorer.windows[0]} draws back",
        lambda v: v.xp.matmul(v.hits, v.put(_weights(v.draws, scorer.windows[0]))),
    )  # fmt: skip
    yield Feature(
        "match_age", "share", "draws since the last with p = d, share of all; 1 if there is none",
        lambda v: 1 - v.xp.max(v.hits * v.put(np.arange(1, v.draws + 1, dtype=np.float32)), axis=1) / v.draws,
    )  # fmt: skip
    yield Feature(
        "match_near", "share", "mean of [p is at most M / 100 from d, around the circle], after the window",
        lambda v: v.share(_apart(v) <= v.modulus // 100, v.k),
    )  # fmt: skip


def _count(v: View, matches: Array) -> Array:
    return v.xp.sum(v.xp.astype(matches, v.xp.int32), axis=1)


def _weights(count: int, half: int) -> Floats:
    weights = 0.5 ** (np.arange(count)[::-1] / half)
    return np.asarray(weights / weights.sum(), np.float32)


def _apart(v: View) -> Array:
    """Distance of p and d around the circle."""
    return v.once("apart", lambda: v.xp.minimum(v.difference, v.modulus - v.difference))


def _shifted(v: View, lag: int, ahead: bool) -> Array:
    """[p[t + lag] = d[t]] where ahead, else [p[t] = d[t + lag]], after the window: bool (n, T - k - lag)."""

    def make() -> Array:
        p, d, size = v.p[:, v.k :], v.d[v.k :], max(v.draws - v.k - lag, 0)
        return p[:, lag:] == d[:size] if ahead else p[:, :size] == d[lag:]

    return v.once(("shifted", lag, ahead), make)


def _lags(scorer: Scorer) -> Iterator[Feature]:
    for lag in scorer.lags:
        for ahead, word, formula in (
            (True, "ahead", f"p[t + {lag}] = d[t]"),
            (False, "behind", f"p[t] = d[t + {lag}]"),
        ):
            yield Feature(
                f"match_{word}_{lag}", "share", f"mean of [{formula}], after the window",
                lambda v, lag, ahead: v.share(_shifted(v, lag, ahead)), (lag, ahead),
            )  # fmt: skip


# -- residues, digits ----------------------------------------------------------------------------------------------------


def _angles(modulus: int, m: int) -> tuple[Floats, Floats]:
    """cos and sin of 2 pi v / m for v in [0, M)."""
    angle = 2 * np.pi * (np.arange(modulus) % m) / m
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _residue(modulus: int, m: int) -> npt.NDArray[np.int32]:
    return np.arange(modulus, dtype=np.int32) % m


def _coherence(v: View, m: int) -> Array:
    at = v.xp.remainder(v.p - v.d, m) if v.modulus % m else v.difference
    cosine, sine = _angles(v.modulus, m)
    return v.xp.hypot(v.xp.mean(v.of(cosine, at), axis=1), v.xp.mean(v.of(sine, at), axis=1))


def _divergence(v: View, m: int) -> Array:
    """KL of the histograms, each count with a half more (H. Jeffreys), so that empty cells are finite."""
    n = v.p.shape[0]
    rows = v.put(np.arange(n, dtype=np.int32)[:, None] * m)
    counts = v.xp.bincount(v.xp.reshape(v.of(_residue(v.modulus, m), v.p) + rows, (-1,)), minlength=n * m)
    stream = (v.real(v.xp.reshape(counts, (n, m))) + 0.5) / (v.draws + 0.5 * m)
    drawn = (np.bincount(v.host_d % m, minlength=m) + 0.5) / (v.draws + 0.5 * m)
    return v.xp.sum(stream * (v.xp.log(stream) - v.put(np.log(drawn).astype(np.float32))), axis=1)


def _residues(scorer: Scorer, modulus: int) -> Iterator[Feature]:
    for m in (*scorer.residues(modulus), modulus):
        if m != modulus:
            yield Feature(
                f"residue_{m}_match", "share", f"mean of [p mod {m} = d mod {m}] over all draws",
                lambda v, m: v.share(v.same(("residue", m), _residue(v.modulus, m))), (m,),
            )  # fmt: skip
        yield Feature(
            f"residue_{m}_coherence", "length", f"|mean of exp(2 pi i (p - d) / {m})| over all draws",
            _coherence, (m,),
        )  # fmt: skip
        yield Feature(
            f"residue_{m}_kl", "nats", f"sum P ln(P / D), shares P of p and D of d in the classes mod {m}, each count + 1/2",
            _divergence, (m,),
        )  # fmt: skip


def _digit(modulus: int, place: int) -> npt.NDArray[np.int32]:
    return np.asarray(np.arange(modulus, dtype=np.int32) // 10**place % 10)


def _digits(modulus: int) -> Iterator[Feature]:
    places = len(str(modulus - 1))
    digits = [_digit(modulus, place) for place in range(places)]

    def equal(v: View, place: int) -> Array:
        return v.same(("digit", place), digits[place])

    for place in reversed(range(places)):
        yield Feature(
            f"digit_{10**place}", "share", f"mean of [equal digit of {10**place}s] over all draws",
            lambda v, place: v.share(equal(v, place)), (place,),
        )  # fmt: skip
    if places > 2:
        for name, last in (("front", 1), ("back", 0)):
            yield Feature(
                f"digits_{name}", "share", f"mean of [equal {'first' if last else 'last'} {places - 1} digits] over all draws",
                lambda v, last: v.share(
                    v.same(("digits", last), np.arange(v.modulus, dtype=np.int32) // 10**last % 10 ** (places - 1))
                ), (last,),
            )  # fmt: skip
        # One number for each multiset of digits.
        box = np.sort(np.stack(digits), axis=0)
        box = (box * 10 ** np.arange(places)[:, None]).sum(axis=0).astype(np.int32)
        yield Feature(
            "digits_box", "share", "mean of [equal digits in any order] over all draws",
            lambda v: v.share(v.same("box", box)),
        )  # fmt: skip
    for bit in range((modulus - 1).bit_length()):
        yield Feature(
            f"bit_{bit}", "share", f"mean of [equal bit {bit}, 0 the lowest] over all draws",
            lambda v, bit: 1 - v.share((v.once("xor", lambda: v.p ^ v.d) >> bit) & 1), (bit,),
        )  # fmt: skip


# -- time ----------------------------------------------------------------------------------------------------------------


def _trend(v: View, means: Array) -> Array:
    """Least-squares slope from the first to the last of the stretches."""
    count = means.shape[1]
    time = np.linspace(-0.5, 0.5, count) if count > 1 else np.zeros(1)
    return v.xp.matmul(means, v.put((time / max(float((time**2).sum()), 1e-12)).astype(np.float32)))


def _stability(scorer: Scorer) -> Iterator[Feature]:
    def means(v: View, w: int) -> Array:
        return v.once(("means", w), lambda: v.stretches(v.agreement, w))

    def hits(v: View, w: int) -> Array:
        return v.once(("hits", w), lambda: v.stretches(v.hits, w))

    for w in scorer.windows:
        over = f"over the stretches of {w} draws that end at the cut"
        yield Feature(
            f"stability_{w}_std", "agreement", f"standard deviation of the mean of c {over}",
            lambda v, w: v.xp.std(means(v, w), axis=1), (w,),
        )  # fmt: skip
        yield Feature(
            f"stability_{w}_min", "agreement", f"least mean of c {over}",
            lambda v, w: v.xp.min(means(v, w), axis=1), (w,),
        )  # fmt: skip
        yield Feature(
            f"stability_{w}_max", "agreement", f"greatest mean of c {over}",
            lambda v, w: v.xp.max(means(v, w), axis=1), (w,),
        )  # fmt: skip
        yield Feature(
            f"stability_{w}_trend", "agreement", f"slope of the mean of c, last less first, {over}",
            lambda v, w: _trend(v, means(v, w)), (w,),
        )  # fmt: skip
        yield Feature(
            f"stability_{w}_last", "agreement", f"mean of c in the last stretch of {w} draws",
            lambda v, w: means(v, w)[:, -1], (w,),
        )  # fmt: skip
        yield Feature(
            f"stability_{w}_hits", "share", f"greatest mean of [p = d] {over}",
            lambda v, w: v.xp.max(hits(v, w), axis=1), (w,),
        )  # fmt: skip
        yield Feature(
            f"stability_{w}_hits_trend", "share", f"slope of the mean of [p = d], last less first, {over}",
            lambda v, w: _trend(v, hits(v, w)), (w,),
        )  # fmt: skip


# -- levels, spectra, autocorrelations, walks ------------------------------------------------------------------------------


def _levels() -> Iterator[Feature]:
    def drawn(v: View) -> Array:
        return v.once("drawn", lambda: v.standard(v.real(v.d)))

    def steps(v: View) -> Array:
        apart = v.standard(v.stream[:, 1:] - v.stream[:, :-1])
        return v.correlation(apart, v.standard(drawn(v)[1:] - drawn(v)[:-1]))

    yield Feature("stream_mean", "values", "mean of p", lambda v: v.xp.mean(v.real(v.p), axis=1))
    yield Feature("stream_std", "values", "standard deviation of p", lambda v: v.xp.std(v.real(v.p), axis=1))
    yield Feature(
        "stream_skewness", "", "mean of the cubes of standardised p",
        lambda v: v.xp.mean(v.stream * v.stream * v.stream, axis=1),
    )  # fmt: skip
    yield Feature(
        "stream_kurtosis", "", "mean of the 4th powers of standardised p",
        lambda v: v.xp.mean((v.stream * v.stream) ** 2, axis=1),
    )  # fmt: skip
    yield Feature("error_mean", "values", "mean of |p - d|", lambda v: v.xp.mean(v.real(v.xp.abs(v.p - v.d)), axis=1))
    yield Feature(
        "error_circular", "values", "mean distance of p and d around the circle of M",
        lambda v: v.xp.mean(v.real(_apart(v)), axis=1),
    )  # fmt: skip
    yield Feature("agreement_mean", "agreement", "mean of c after the window", lambda v: (
        v.xp.mean(v.agreement[:, v.k :], axis=1) if v.draws > v.k else v.share(v.equal, v.draws)
    ))  # fmt: skip
    yield Feature("correlation", "", "Pearson's correlation of p and d", lambda v: v.correlation(v.stream, drawn(v)))
    yield Feature("correlation_steps", "", "Pearson's correlation of p[t] - p[t-1] and d[t] - d[t-1]", steps)


def _spectra() -> Iterator[Feature]:
    def entropy(v: View, power: Array) -> Array:
        share = power / power.shape[1] + 1e-12
        return -v.xp.sum(share * v.xp.log(share), axis=1) / math.log(max(power.shape[1], 2))

    def steps(v: View) -> Array:
        return v.once("spectrum of steps", lambda: v.power(v.stream[:, 1:] - v.stream[:, :-1]))

    def agreed(v: View) -> Array:
        return v.once("spectrum of c", lambda: v.power(v.agreement))

    def second(v: View) -> Array:
        peak = v.xp.max(v.spectrum, axis=1, keepdims=True)
        return v.xp.max(v.xp.where(v.spectrum < peak, v.spectrum, v.xp.zeros_like(v.spectrum)), axis=1)

    def shift(v: View) -> Array:
        size = _fast_length(v.draws)
        drawn = v.xp.fft.rfft(v.standard(v.real(v.d))[-size:])
        both = v.xp.fft.irfft(v.xp.fft.rfft(v.stream[:, -size:]) * v.xp.conj(drawn), n=size)
        return v.xp.max(both, axis=1) / math.sqrt(size)

    yield Feature("spectrum_peak", "mean power", "greatest power of p", lambda v: v.xp.max(v.spectrum, axis=1))
    yield Feature("spectrum_second", "mean power", "second greatest power of p", second)
    yield Feature(
        "spectrum_entropy", "", "entropy of the power of p, 1 for white noise", lambda v: entropy(v, v.spectrum)
    )
    yield Feature(
        "spectrum_low", "mean power", "mean power of p in the lowest tenth of frequencies",
        lambda v: v.xp.mean(v.spectrum[:, : max(1, v.spectrum.shape[1] // 10)], axis=1),
    )  # fmt: skip
    yield Feature(
        "spectrum_steps_peak", "mean power", "greatest power of p[t] - p[t-1]", lambda v: v.xp.max(steps(v), axis=1)
    )
    yield Feature("spectrum_steps_entropy", "", "entropy of the power of p[t] - p[t-1]", lambda v: entropy(v, steps(v)))
    yield Feature("spectrum_agreement_peak", "mean power", "greatest power of c", lambda v: v.xp.max(agreed(v), axis=1))
    yield Feature("spectrum_agreement_entropy", "", "entropy of the power of c", lambda v: entropy(v, agreed(v)))
    yield Feature(
        "shift_peak", "standard deviations", "greatest correlation of p and d over all shifts around the circle of draws",
        shift,
    )  # fmt: skip


def _fast_length(count: int) -> int:
    """The greatest number up to `count` without a prime factor above 5, which transforms fast."""
    left = n = count
    while left > 1:
        left = n
        for prime in (2, 3, 5):
            while left % prime == 0:
                left //= prime
        n -= left > 1
    return n


def _autocorrelations() -> Iterator[Feature]:
    def of_stream(v: View, lag: int) -> Array:
        return v.once(("autocorrelation", lag), lambda: v.correlation(v.stream, v.stream, lag))

    def table(v: View) -> Array:
        return v.xp.abs(v.xp.stack([of_stream(v, lag) for lag in range(1, STREAM_LAGS + 1)], axis=1))

    def agreed(v: View) -> Array:
        return v.once("standard agreement", lambda: v.standard(v.agreement))

    for lag in range(1, STREAM_LAGS + 1):
        yield Feature(f"autocorrelation_{lag}", "", f"of p at lag {lag}", of_stream, (lag,))
    yield Feature(
        "autocorrelation_decay", "", f"slope of |autocorrelation of p|, last less first, over lags 1 to {STREAM_LAGS}",
        lambda v: _trend(v, table(v)),
    )  # fmt: skip
    yield Feature(
        "autocorrelation_large", "lags", f"lags of 1 to {STREAM_LAGS} with |autocorrelation of p| > 2 / sqrt(draws)",
        lambda v: v.xp.sum(v.real(table(v) > 2 / math.sqrt(v.draws)), axis=1),
    )  # fmt: skip
    for lag in range(1, AGREEMENT_LAGS + 1):
        yield Feature(
            f"agreement_autocorrelation_{lag}", "", f"of c at lag {lag}",
            lambda v, lag: v.correlation(agreed(v), agreed(v), lag), (lag,),
        )  # fmt: skip


def _walks() -> Iterator[Feature]:
    def agreed(v: View) -> Array:
        return v.once("walk of c", lambda: v.xp.abs(
            v.xp.cumulative_sum(v.standard(v.agreement), axis=1) / math.sqrt(v.draws)
        ))  # fmt: skip

    yield Feature(
        "walk_most", "standard deviations", "greatest |sum of standardised p up to t| / sqrt(draws)",
        lambda v: v.xp.max(v.xp.abs(v.walk), axis=1),
    )  # fmt: skip
    yield Feature(
        "walk_mean", "standard deviations", "mean of |sum of standardised p up to t| / sqrt(draws)",
        lambda v: v.xp.mean(v.xp.abs(v.walk), axis=1),
    )  # fmt: skip
    yield Feature(
        "walk_crossings", "share", "share of t at which the sum of standardised p changes its sign",
        lambda v: v.share((v.walk[:, 1:] > 0) != (v.walk[:, :-1] > 0)),
    )  # fmt: skip
    yield Feature(
        "walk_agreement_most", "standard deviations", "greatest |sum of standardised c up to t| / sqrt(draws): a change of level",
        lambda v: v.xp.max(agreed(v), axis=1),
    )  # fmt: skip
    yield Feature(
        "walk_agreement_place", "share", "t, of all draws, at which that sum is greatest",
        lambda v: v.real(v.xp.argmax(agreed(v), axis=1)) / v.draws,
    )  # fmt: skip


def _sides() -> Iterator[Feature]:
    yield Feature(
        "match_side_behind", "share", "mean of [p = d] over the window behind its boundary",
        lambda v: v.share(v.equal[:, : v.behind]),
    )  # fmt: skip
    yield Feature(
        "match_side_ahead", "share", "mean of [p = d] over the window ahead of its boundary",
        lambda v: v.share(v.equal[:, : v.k], v.behind),
    )  # fmt: skip
    yield Feature(
        "match_side_least", "share", "the lesser of the two", lambda v: v.xp.minimum(
            v.share(v.equal[:, : v.behind]), v.share(v.equal[:, : v.k], v.behind)
        )
    )  # fmt: skip


# -- the score -------------------------------------------------------------------------------------------------------------


def _z(v: View, matches: Array, q: float) -> Array:
    """Matches in standard deviations above what chance gives with probability q each."""
    size = matches.shape[1]
    if not size or not 0 < q < 1:
        return v.xp.zeros_like(v.stream[:, 0])
    return (v.xp.sum(v.real(matches), axis=1) - size * q) / math.sqrt(size * q * (1 - q))


def _by_chance(v: View, m: int) -> float:
    """Chance that a uniform value has the residue of a draw after the window."""
    drawn = np.bincount(v.host_d[v.k :] % m, minlength=m) / max(v.draws - v.k, 1)
    return float((drawn * np.bincount(_residue(v.modulus, m), minlength=m)).sum() / v.modulus)


def score(v: View) -> Array:
    """Over the channels (matches after the window, in the recent past, of residues, out of step), the sum of what each has
    above the floor, in standard deviations: f4 (n,)."""
    exact, s = 1 / v.modulus, v.scorer
    channels = [_z(v, v.equal[:, v.k :], exact)]
    channels += [_z(v, v.equal[:, max(v.k, v.draws - w) :], exact) for w in s.windows]
    channels += [
        _z(v, v.same(("residue", m), _residue(v.modulus, m))[:, v.k :], _by_chance(v, m)) for m in s.residues(v.modulus)
    ]
    channels += [_z(v, _shifted(v, lag, ahead), exact) for lag in s.lags for ahead in (True, False)]
    above = v.xp.stack(channels, axis=1) - s.floor
    return v.xp.sum(v.xp.where(above > 0, above, v.xp.zeros_like(above)), axis=1)


def _score(scorer: Scorer) -> Iterator[Feature]:
    yield Feature(
        "score", "standard deviations",
        f"sum over channels of max(z - {scorer.floor:g}, 0), z = (matches - n q) / sqrt(n q (1 - q)) after the window; channels: p = d; "
        f"the same in the last {', '.join(map(str, scorer.windows))} draws; p = d mod {', '.join(map(str, scorer.moduli))}; p = d out of step by "
        f"{', '.join(map(str, scorer.lags))} draws, ahead and behind; q: chance of a uniform p",
        score,
    )  # fmt: skip


# -- of the run, of the history ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Skip:
    """One column of what the sieve says of survivors: of their skips and offsets, '<u4' (N,) each, f4 (N,)."""

    name: str
    unit: str
    formula: str
    function: Callable[[npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[Any]]


def _crowd(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(counts[which] / len(values))


SKIPS = (
    Skip("skip", "outputs", "outputs discarded before every draw", lambda skip, offset: skip),
    Skip("offset", "outputs", "outputs discarded once", lambda skip, offset: offset),
    Skip("skip_crowd", "share", "share of all survivors that have this skip", lambda skip, offset: _crowd(skip)),
    Skip("offset_crowd", "share", "share of all survivors that have this offset", lambda skip, offset: _crowd(offset)),
)


def _history_columns(d: npt.NDArray[Any], modulus: int, scorer: Scorer) -> Iterator[tuple[str, str, str, float]]:
    row = d[None].astype(np.float64)
    yield "draws", "draws", "draws from the window's first to the cut", float(len(d))
    yield "draws_mean", "values", "mean of d", float(d.mean())
    yield "draws_std", "values", "standard deviation of d", float(d.std())
    for m in (*scorer.residues(modulus), modulus):
        share = np.bincount(d % m, minlength=m) / len(d)
        seen = share[share > 0]
        yield (
            f"draws_entropy_{m}",
            "",
            f"entropy of d mod {m}, 1 if uniform",
            float(-(seen * np.log(seen)).sum() / math.log(m)),
        )
    for name, test in analysis.TESTS.items():
        p = test(d[None].astype(np.int64), modulus).p[0]
        yield (
            f"draws_{name}",
            "log10",
            f"-log10 p of the {name} test of d (Knuth 3.3.2; runs: Wald, Wolfowitz)",
            -math.log10(max(p, 1e-300)),
        )
    r, _ = analysis.autocorrelation(row, HISTORY_LAGS)
    for lag in range(1, HISTORY_LAGS + 1):
        yield f"draws_autocorrelation_{lag}", "", f"of d at lag {lag}", float(r[0, lag - 1])
    unseen = 1 - len(np.unique(d[-UNSEEN_DRAWS:])) / modulus
    yield "draws_unseen", "share", f"share of values not among the last {UNSEEN_DRAWS} draws", unseen
    half, cells = len(d) // 2, min(modulus, 10)
    old, new = (
        (np.bincount(part * cells // modulus, minlength=cells) + 0.5)
        for part in (d[:half].astype(np.int64), d[half:].astype(np.int64))
    )
    old, new = old / old.sum(), new / new.sum()
    yield "draws_regime", "nats", f"KL of the second half of d from the first, in {cells} equal parts of [0, M), each count + 1/2", float(
        (new * np.log(new / old)).sum()
    )  # fmt: skip


def _history_schema(scorer: Scorer, modulus: int) -> list[dict[str, str]]:
    rows = _history_columns(np.arange(LEAST_DRAWS) % 2, modulus, scorer)
    return [{"name": name, "unit": unit, "formula": formula} for name, unit, formula, _ in rows]


def of_history(d: npt.NDArray[Any], modulus: int, scorer: Scorer) -> tuple[tuple[str, ...], Floats]:
    """Names (H,) and values f4 (H,) of a history up to a cut. Raises UsageError below LEAST_DRAWS draws."""
    rows = list(_history_columns(d, modulus, scorer))
    return tuple(row[0] for row in rows), np.array([row[3] for row in rows], np.float32)


# -- columns that say something ------------------------------------------------------------------------------------------------


def dropped(names: tuple[str, ...], columns: Floats) -> dict[str, str]:
    """Which columns of (N, F) say nothing, and why: constant, or one before them over again (|r| > SAME, outliers, 2 % on
    each side, brought in, as one true seed would correlate all columns). None of fewer than FEW survivors; of many the first
    MANY tell."""
    if len(columns) < FEW:
        return {}
    values = columns[:MANY].astype(np.float64)
    # What float32 leaves of a constant.
    varies = values.std(axis=0) > 1e-6 * (np.abs(values).max(axis=0) + 1e-30)
    low, high = np.quantile(values, 0.02, axis=0, method="higher"), np.quantile(values, 0.98, axis=0, method="lower")
    inside = np.clip(values, low, high)
    inside = np.where(inside.std(axis=0) > 0, inside, values)
    centred = inside - inside.mean(axis=0)
    scaled = centred / np.where(varies, centred.std(axis=0), 1)
    r = np.abs(scaled.T @ scaled) / len(values)
    gone = {name: "constant" for name, moves in zip(names, varies, strict=True) if not moves}
    for j, name in enumerate(names):
        twin = next((names[i] for i in range(j) if r[i, j] > SAME and names[i] not in gone), None)
        if name not in gone and twin:
            gone[name] = f"as {twin}"
    return gone
