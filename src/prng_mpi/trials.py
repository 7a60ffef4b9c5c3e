"""Floor 2: one trial of the window optimiser: a window and its hypotheses, searched on a rank's device in the real draws and,
beside them, in a decoy, the same draws shuffled."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import devices, findings, hybrid, windows
from prng_mpi.course import Outcome
from prng_mpi.errors import UsageError
from prng_mpi.farm import WorkFailed
from prng_mpi.history import History
from prng_mpi.ledger import sort_hits
from prng_mpi.recipes import recipe
from prng_mpi.records import SURVIVOR
from prng_mpi.search import Search, side
from prng_mpi.spaces import Space
from prng_mpi.statistics import format_log10
from prng_mpi.windows import Asked, Later

Halted = Callable[[], bool]
# Instead of a strategy: the skip is constant.
CONSTANT = "none"


@dataclass(frozen=True)
class Trial:
    """What one trial looks for. window_start: index among the draws of its session of the first draw after the boundary;
    window: draws on each side; strategy: of a skip that varies, or CONSTANT; offset_max: offsets are 0 to this."""

    number: int
    recipe: str
    session: str
    direction: str
    strategy: str
    window: int
    window_start: int
    skip_min: int
    skip_max: int
    offset_max: int
    threshold: float

    def search(self, history: History, modulus: int) -> Search:
        """What every seed is held against. Raises UsageError where the history does not have such a window."""
        varies = None if self.strategy == CONSTANT else hybrid.STRATEGIES[self.strategy].misses
        asked = Asked(
            modulus=modulus, threshold=self.threshold, start=self.window_start, k=self.window, direction=self.direction,
            skips=(self.skip_min, self.skip_max), offsets=(0, self.offset_max), misses=varies,
        )  # fmt: skip
        return windows.search(recipe(self.recipe), {}, history, asked)[0]


@dataclass(frozen=True, eq=False)
class Ground:
    """What all trials share. histories: by session, without the draws held out; seeds: by recipe; looks: trials planned;
    study_seed: of the decoys; most: survivors by chance above which a filter is hopeless; patience: seconds of a trial."""

    histories: dict[str, History]
    seeds: dict[str, Space]
    modulus: int
    looks: int
    study_seed: int
    most: float
    patience: float

    @property
    def nothing(self) -> float:
        """The objective of a search without a survivor: as of one that each trial gives by chance."""
        return 0.0 - math.log10(self.looks)


@dataclass(frozen=True)
class Look:
    """What a trial saw in one history. objective: -log10 E of the best survivor, E counting the hypotheses of all trials
    planned; matches 0: there was none. draws, need: of the search; note: why it was not worth a search."""

    objective: float
    hypotheses: int = 0
    draws: int = 0
    need: int = 0
    matches: int = 0
    seed: int = 0
    skip: int = 0
    offset: int = 0
    log10_p1: float = 0.0
    note: str = ""


def decoy(history: History, study_seed: int, number: int) -> History:
    """The same draws in another order, which no generator has made: one for each trial of a study."""
    rng = np.random.Generator(np.random.PCG64([study_seed, number]))
    return replace(history, draws=history.draws[rng.permutation(len(history.draws))])


class Runner:
    """Runs trials on the rank's device, as a farm's Compute that is told (number, trial)."""

    def __init__(self, ground: Ground, kind: str, local_rank: int, threads: int = 1) -> None:
        """kind: of device, not 'auto'; threads: of a CPU."""
        self._ground = ground
        self._devices = devices.Devices(kind, local_rank, threads)

    def __call__(self, number: int, trial: Trial, stopped: Halted) -> Outcome | None:
        """The outcome of a trial; None if `stopped` said so. Raises WorkFailed where it takes too long, DeviceError where
        this rank is to blame."""
        ground, began = self._ground, time.monotonic()

        def halted() -> bool:
            if time.monotonic() - began >= ground.patience:
                raise WorkFailed(f"trial {number} was not through after {ground.patience:g} s; search fewer seeds")
            return stopped()

        history = ground.histories[trial.session]
        looks = []
        for draws in (history, decoy(history, ground.study_seed, number)):
            look = self._look(trial, draws, halted)
            if look is None:
                return None
            looks.append(asdict(look))
        seconds = time.monotonic() - began
        result = {"trial": asdict(trial), "real": looks[0], "decoy": looks[1], "seconds": seconds}
        return Outcome(number, result)

    def rest(self) -> None:
        """Between batches: give back what the devices keep."""
        self._devices.close()

    def _look(self, trial: Trial, history: History, halted: Halted) -> Look | None:
        """The best survivor in a history; None if `halted` said so."""
        ground = self._ground
        try:
            search = trial.search(history, ground.modulus)
        except UsageError as e:
            # Not every combination that a study may choose is a search.
            return Look(ground.nothing, note=str(e))
        space = ground.seeds[trial.recipe]
        hypotheses = space.hypotheses * search.per_seed
        log10_p = hybrid.tails(search)
        log10_e = log10_p + math.log10(hypotheses * ground.looks)
        look = Look(ground.nothing, hypotheses, search.k, search.least)
        expected = float(log10_p[search.least]) + math.log10(hypotheses)
        if expected > math.log10(ground.most):
            # Chance alone gives more than it could find: worth less than nothing.
            note = f"hopeless: chance alone would leave up to {format_log10(expected)} seeds"
            return replace(look, objective=-float(log10_e[search.least]), note=note)
        if space.pids is not None:
            search = replace(search, space=space)
        device = self._devices.of(search)
        start, end = (space.start, space.end) if space.identity else (0, space.size)
        hits = device.sieve(search, start, end, halted)
        if hits is None:
            return None
        if not len(hits):
            return look
        hits = sort_hits(hits)
        # Of equals the one of the lowest seed, so that the answer does not depend on a device's order.
        best = hits[[int(hits["matches"].argmax())]]
        findings.prove(device.name, search, best)
        matches = int(best["matches"][0])
        return replace(
            look, objective=-float(log10_e[matches]), matches=matches, log10_p1=float(log10_p[matches]),
            seed=int((search.space.seed(best["seed"]) if search.space else best["seed"])[0]),
            skip=int(best["skip"][0]), offset=int(best["offset"][0]),
        )  # fmt: skip


def confirmed(trial: Trial, look: Look, ground: Ground, heldout: npt.NDArray[np.uint32]) -> dict[str, Any]:
    """The survivor of a look at the real draws, held against the draws that no trial has seen, as plain values; with what
    it would give next. heldout: '<u4' (n,), those of the trial's session, right after its history."""
    history = ground.histories[trial.session]
    search = trial.search(history, ground.modulus)
    values = (
        look.seed,
        look.skip,
        look.offset,
        search.window_start,
        look.matches,
        search.k,
        look.log10_p1,
        -look.objective,
        1,
    )
    survivor = np.array([values], SURVIVOR)[0]
    ahead = side(heldout[: windows.heldout_most(search.misses)], 1)
    gap = len(history.draws) - trial.window_start
    later = Later(replace(ahead, calls=ahead.calls + gap), gap + len(heldout) + 1)
    return findings.weigh(search, survivor, later)
