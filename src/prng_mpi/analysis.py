"""Floor 0: tests of randomness, on many sequences at once.

Outputs are a matrix of integers in [0, M), shape (n, samples), a row for each seed. `xp` is the array library that holds
them: numpy, or one with its interface (cupy), and then all work that grows with the samples is done where they lie.
Statistics are small; they come back as numpy arrays. A p-value is P(a random sequence does as badly or worse).

Knuth: D. E. Knuth, The Art of Computer Programming 2 (3rd ed.), 3.3.1 and 3.3.2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi.errors import UsageError

Floats = npt.NDArray[np.float64]

# Below this no test has its five expected counts in enough cells (Knuth 3.3.1).
LEAST_SAMPLES = 100
LEAST_EXPECTED = 5
MOST_CELLS = 256
MOST_GAP = 64


@dataclass(frozen=True, eq=False)
class Statistic:
    """A test's statistic and p-value for each sequence, both (n,)."""

    value: Floats
    p: Floats


def chi_square(outputs: Any, modulus: int, xp: Any = np) -> Statistic:
    """Equidistribution (Knuth 3.3.2 A): counts of at most 256 equal parts of [0, M), each expected five times or more."""
    samples = _samples(outputs)
    count = min(modulus, samples // LEAST_EXPECTED, MOST_CELLS)
    observed = _counts(_cells(outputs, modulus, count, xp), count, xp)
    return _pearson(observed, _shares(modulus, count))


def serial(outputs: Any, modulus: int, xp: Any = np) -> Statistic:
    """Pairs (Knuth 3.3.2 B): counts of d x d cells of pairs that do not overlap, each expected five times or more."""
    pairs = _samples(outputs) // 2
    d = min(modulus, math.isqrt(pairs // LEAST_EXPECTED), math.isqrt(MOST_CELLS))
    cells = _cells(outputs[:, : 2 * pairs], modulus, d, xp)
    shares = _shares(modulus, d)
    observed = _counts(cells[:, ::2] * d + cells[:, 1::2], d * d, xp)
    return _pearson(observed, np.outer(shares, shares).ravel())


def gap(outputs: Any, modulus: int, xp: Any = np) -> Statistic:
    """Gaps (Knuth 3.3.2 D) between values of the lowest quarter of [0, M): their lengths are geometric."""
    samples = _samples(outputs)
    low = max(1, modulus // 4)
    p = low / modulus
    last = int(math.log(samples * p / LEAST_EXPECTED) / -math.log1p(-p))
    last = min(max(last, 1), MOST_GAP)
    row, place = xp.nonzero(outputs < low)
    inside = row[1:] == row[:-1]
    length = xp.minimum(place[1:] - place[:-1] - 1, last)
    flat = (row[1:] * (last + 1) + length)[inside]
    observed = _host(xp.bincount(flat, minlength=len(outputs) * (last + 1)), xp).reshape(len(outputs), last + 1)
    shares: Floats = p * (1 - p) ** np.arange(last + 1, dtype=np.float64)
    shares[last] = (1 - p) ** last
    return _pearson(observed, shares)


def runs(outputs: Any, modulus: int, xp: Any = np) -> Statistic:
    """Runs of values below and from M/2 on, given how many there are of each: A. Wald, J. Wolfowitz, Ann. Math. Statist. 11
    (1940) 147. The statistic is the runs' number in standard deviations from its mean."""
    samples = _samples(outputs)
    high = outputs >= (modulus + 1) // 2
    n1 = _host(high.sum(axis=1), xp).astype(np.float64)
    observed = 1.0 + _host((high[:, 1:] != high[:, :-1]).sum(axis=1), xp)
    pairs = 2 * n1 * (samples - n1)
    spread = np.sqrt(pairs * (pairs - samples) / (samples - 1.0)).clip(min=1e-300) / samples
    # Of one kind alone: no run is random, and no spread to measure by.
    z = np.where(pairs > samples, (observed - 1 - pairs / samples) / spread, np.inf)
    return Statistic(z, _two_sided(z))


TESTS = {"chi_square": chi_square, "runs": runs, "serial": serial, "gap": gap}


def autocorrelation(outputs: Any, lags: int, xp: Any = np) -> tuple[Floats, Statistic]:
    """Autocorrelations at lags 1 to `lags`, (n, lags), 1 for a constant sequence; and whether any is too large, by
    G. M. Ljung, G. E. P. Box, Biometrika 65 (1978) 297. UsageError where there are not ten samples a lag."""
    samples = _samples(outputs)
    if not 1 <= lags <= samples // 10:
        raise UsageError(f"{lags} lags of {samples} samples: give 1 to {samples // 10} lags, or more samples")
    centred = outputs - outputs.mean(axis=1, keepdims=True)
    power = _host((centred * centred).sum(axis=1), xp)
    products = [_host((centred[:, lag:] * centred[:, :-lag]).sum(axis=1), xp) for lag in range(1, lags + 1)]
    r = np.where(power[:, None] > 0, np.stack(products, axis=1) / np.maximum(power, 1e-300)[:, None], 1.0)
    q = samples * (samples + 2) * (r * r / (samples - np.arange(1, lags + 1))).sum(axis=1)
    return r, Statistic(q, chi_square_tail(q, lags))


def grid_correlation(outputs: Any, size: int, xp: Any = np) -> tuple[Floats, Statistic]:
    """The sequence laid row by row on a grid of `size` columns: correlations between columns, (n, size, size), 1 where a
    column is constant; and whether any pair is too large (the sum of squares is chi-square with a degree a pair:
    T. W. Anderson, Multivariate Statistical Analysis, 9.5). UsageError where there are not 25 rows."""
    samples = _samples(outputs)
    rows = samples // size if size > 0 else 0
    if size < 2 or rows < 25:
        raise UsageError(f"a grid of {size} columns for {samples} samples: give 2 to {samples // 25} columns")
    grid = outputs[:, : rows * size].reshape(len(outputs), rows, size)
    centred = grid - grid.mean(axis=1, keepdims=True)
    covariance = _host(xp.matmul(centred.transpose(0, 2, 1), centred), xp)
    power = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    scale = power[:, :, None] * power[:, None, :]
    r = np.where(scale > 0, covariance / np.maximum(scale, 1e-300), 1.0)
    upper = np.triu_indices(size, 1)
    q = (rows - 1) * (r[:, upper[0], upper[1]] ** 2).sum(axis=1)
    return r, Statistic(q, chi_square_tail(q, size * (size - 1) // 2))


def holm(p: npt.ArrayLike) -> Floats:
    """p-values adjusted for their number, same shape: S. Holm, Scand. J. Statist. 6 (1979) 65.

    Rejecting those up to alpha makes any false rejection at all no likelier than alpha, however the tests depend on
    each other; ours share their outputs, so the procedures that limit the rate of false ones (Benjamini-Hochberg) would
    need an assumption that does not hold."""
    flat = np.asarray(p, dtype=np.float64)
    values = flat.ravel()
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    steps = values[order] * np.arange(values.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if values.size else steps
    return adjusted.reshape(flat.shape)


def chi_square_tail(x: npt.ArrayLike, degrees: int) -> Floats:
    """P(chi-square of so many degrees >= x), same shape: the upper incomplete gamma function Q(degrees/2, x/2).

    By its series below a + 1 and its continued fraction above (DLMF 8.7.1, 8.9.2), right to about 1e-13 of itself or,
    near 1, of 1."""
    a, values = degrees / 2, np.atleast_1d(np.asarray(x, dtype=np.float64)) / 2
    tail = np.ones_like(values)
    finite = np.isfinite(values)
    tail[~finite] = 0.0
    small, large = finite & (values > 0) & (values < a + 1), finite & (values >= a + 1)
    for chosen, form in ((small, _gamma_series), (large, _gamma_fraction)):
        if chosen.any():
            z = values[chosen]
            tail[chosen] = form(a, z, np.exp(a * np.log(z) - z - math.lgamma(a)))
    return tail.reshape(np.shape(x))


def _gamma_series(a: float, x: Floats, scale: Floats) -> Floats:
    term = np.full_like(x, 1 / a)
    total, n = term.copy(), a
    while bool((term > 1e-16 * total).any()):
        n += 1
        term = term * x / n
        total += term
    return np.asarray(np.clip(1 - scale * total, 0.0, 1.0))


def _gamma_fraction(a: float, x: Floats, scale: Floats) -> Floats:
    # Lentz's method; for x >= a + 1 no denominator is ever near zero.
    b = x + 1 - a
    c, d = np.full_like(x, np.inf), 1 / b
    h, n = d.copy(), 0
    while True:
        n += 1
        b = b + 2
        d = 1 / (n * (a - n) * d + b)
        c = b + n * (a - n) / c
        h = h * c * d
        if not bool((np.abs(c * d - 1) > 1e-15).any()) or n > 10_000:
            return np.asarray(scale * h)


def _two_sided(z: Floats) -> Floats:
    return np.array([math.erfc(abs(value) / math.sqrt(2)) for value in z])


def _samples(outputs: Any) -> int:
    samples = int(outputs.shape[1])
    if samples < LEAST_SAMPLES:
        raise UsageError(f"{samples} samples are too few to test; give at least {LEAST_SAMPLES}")
    return samples


def _host(values: Any, xp: Any) -> npt.NDArray[Any]:
    return np.asarray(values) if xp is np else np.asarray(xp.asnumpy(values))


def _cells(outputs: Any, modulus: int, count: int, xp: Any) -> Any:
    """The part of [0, M) that each output lies in, of `count` nearly equal ones."""
    return (outputs.astype(xp.int64) * count) // modulus


def _shares(modulus: int, count: int) -> Floats:
    """How much of [0, M) each part of `_cells` holds, (count,)."""
    edges = np.array([-(-part * modulus // count) for part in range(count + 1)], dtype=np.float64)
    return np.asarray(np.diff(edges) / modulus)


def _counts(cells: Any, count: int, xp: Any) -> npt.NDArray[Any]:
    rows = len(cells)
    flat = (cells + count * xp.arange(rows, dtype=xp.int64)[:, None]).ravel()
    return _host(xp.bincount(flat, minlength=rows * count), xp).reshape(rows, count)


def _pearson(observed: npt.NDArray[Any], shares: Floats) -> Statistic:
    """Pearson's chi-square of counts (n, c) against shares (c,). A sequence without counts fails."""
    total = observed.sum(axis=1, keepdims=True)
    expected = np.maximum(total, 1e-300) * shares
    value = np.where(total[:, 0] > 0, ((observed - expected) ** 2 / expected).sum(axis=1), np.inf)
    return Statistic(value, chi_square_tail(value, len(shares) - 1))
