"""Floor 0: how far a run is and how long the rest takes; what the screen, the lines of a log and `status` show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Stretches of the recent past whose speeds are held beside each other, and how many seconds that past is long at most.
STRETCHES = 10
RECENT = 300.0
# Below this many seconds the speed of the past says little of the speed to come.
SETTLED = 20.0


@dataclass(frozen=True)
class Device:
    """One rank and its device.

    state: "run", "idle" and "starting" are as they should be, "ended" where no run goes on; anything else is trouble.
    per_second: seeds/s now, None if it has no speed. share: that speed over what its profile promises beside the others,
    None for a device alone. idle: share of the time that it did not compute. done, retried, failed: chunks; retried ones
    are done too, and were taken from elsewhere. seconds: on the device. audits: probes that it has passed."""

    rank: int
    host: str
    name: str
    state: str
    per_second: float | None = None
    share: float | None = None
    idle: float | None = None
    done: int = 0
    retried: int = 0
    failed: int = 0
    seconds: float = 0.0
    audits: int = 0

    @property
    def troubled(self) -> bool:
        return self.state not in ("run", "idle", "starting", "ended")


@dataclass(frozen=True)
class Forecast:
    """Seconds that the rest takes, and a range; infinite where nothing moves, a range of None where too little is known."""

    seconds: float
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Progress:
    """A run at one moment. unit: what is counted; hypotheses: of each unit; expected, sigma: survivors that chance alone
    gives in what is done, None where that is not known; per_second, rest: None where nothing runs or is known."""

    unit: str
    asked: int
    done: int
    elapsed: float
    hypotheses: int
    per_second: float | None
    rest: Forecast | None
    survivors: int
    expected: float | None
    sigma: float | None
    devices: tuple[Device, ...]


def forecast(left: int, rates: npt.ArrayLike) -> Forecast:
    """When `left` more are done, from how many a second (n,) were in equal stretches of the past.

    The range is for the 5 % and 95 % quantiles of those: it is of the past's unrest, not of what may still go wrong."""
    if not left:
        return Forecast(0.0, 0.0, 0.0)
    speeds = np.asarray(rates, np.float64)
    wanted = (speeds.mean(), *np.quantile(speeds, (0.95, 0.05)))
    middle, least, most = (left / float(r) if r > 0 else math.inf for r in wanted)
    return Forecast(middle, least, most)


def spread(begin: npt.ArrayLike, end: npt.ArrayLike, amount: npt.ArrayLike, edges: npt.ArrayLike) -> Floats:
    """How much of `amount` (n,) was done between neighbours of `edges` (m,): shape (m-1,).

    Each is done evenly over its begin to end, or at once where these are equal."""
    starts, counts, at = np.asarray(begin, np.float64), np.asarray(amount, np.float64), np.asarray(edges, np.float64)
    lengths = np.maximum(np.asarray(end, np.float64) - starts, 1e-9)
    # A row at a time: a hundred edges times a hundred thousand chunks need no table.
    passed = [float(np.dot(np.clip((edge - starts) / lengths, 0.0, 1.0), counts)) for edge in at]
    return np.diff(np.array(passed))


def shares(speeds: Mapping[int, float], weights: Mapping[int, float]) -> dict[int, float]:
    """By rank, its part of the speed of all over its part of their weights; empty for fewer than two ranks with both."""
    ranks = [rank for rank in speeds if weights.get(rank, 0.0) > 0]
    speed, weight = sum(speeds[rank] for rank in ranks), sum(weights[rank] for rank in ranks)
    if len(ranks) < 2 or speed <= 0:
        return {}
    return {rank: speeds[rank] / speed / (weights[rank] / weight) for rank in ranks}
