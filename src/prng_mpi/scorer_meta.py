"""Floor 3: the scorer's parameters, step 2.5 of the pipeline: those whose score ranks planted seeds above chance survivors.

mpirun -np 4 python -m prng_mpi.scorer_meta --survivors results/java.nextInt-1a2b3c4d --draws draws.json --trials 64"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from prng_mpi import config, course, devices, features, step, streams, study
from prng_mpi.comm import Comm
from prng_mpi.config import option
from prng_mpi.course import Conclusion, Course, Outcome, StudyOptions, Terms
from prng_mpi.display import say
from prng_mpi.errors import ExitCode, UsageError
from prng_mpi.farm import Card, WorkFailed, serve
from prng_mpi.features import Scorer, View
from prng_mpi.ledger import Ledger, identity_hash
from prng_mpi.recipes import recipe
from prng_mpi.streams import Streams

Draws = npt.NDArray[np.int32]

# The pipeline's step, whose limits hold.
STEP_NUMBER = 2
# A ranking by nothing puts a seed above half of the others.
BY_CHANCE = 0.5
# Draws beside which streams are laid, at most.
DRAWS_MOST = 2000
# How a planted seed shows: in all draws, in the last of them, in residues, out of step.
KINDS = ("all", "recent", "residue", "step")
# Strength of a plant in its own channel, standard deviations; draws of a recent one; lags of one out of step.
STRENGTHS, RECENT, STEPS = (1.5, 6.0), (30, 400), (1, 10)
# Standard errors by which histories without a plant may differ from chance.
ODD = 5.0

TRIAL = np.dtype(
    [
        ("number", "<u4"), ("modulus_small", "<u4"), ("modulus_large", "<u4"), ("lag_most", "<u4"), ("window", "<u4"),
        ("window_ratio", "<u4"), ("floor", "<f8"), ("objective", "<f8"), ("planted", "<f8"), ("decoy", "<f8"), ("seconds", "<f8"),
    ]
)  # fmt: skip
COLUMNS = (
    "one row for each trial; planted: share of chance survivors that a planted seed's score is above, ties count half, mean over the "
    "planted histories; decoy: the same before anything was planted, 0.5 by chance; objective: planted less decoy; seconds on the device"
)


@dataclass(frozen=True)
class ScorerOptions(StudyOptions):
    """Find the parameters of the features whose score ranks seeds planted into decoy histories above chance survivors."""

    STEP: ClassVar[str] = "scorer_meta"

    survivors: Path | None = option(None, "folder of the sieve", metavar="DIR", section="Data")
    draws: str = option("", "draw history of that sieve; shuffled, it gives the decoys", metavar="FILE", section="Data")
    trials: int = option(64, "trials", minimum=1, section="Study")
    plants: int = option(96, "histories with a planted seed, the same for all trials", minimum=4, section="Study")
    chance: int = option(
        32, "chance survivors that a planted seed is ranked among, at most", minimum=8, section="Study"
    )
    device: str = option("auto", "what makes the streams", choices=devices.KINDS, section="Devices")


@dataclass(frozen=True)
class Trial:
    """One choice of parameters: two moduli, lags 1 to lag_most, windows of two lengths, the floor."""

    number: int
    modulus_small: int
    modulus_large: int
    lag_most: int
    window: int
    window_ratio: int
    floor: float

    @property
    def scorer(self) -> Scorer:
        return Scorer(
            (self.modulus_small, self.modulus_large), tuple(range(1, self.lag_most + 1)),
            (self.window, self.window * self.window_ratio), self.floor,
        )  # fmt: skip


@dataclass(frozen=True)
class Space:
    """What a study chooses from, for draws below a modulus."""

    modulus: int

    def choose(self, number: int, trial: Any) -> Trial:
        """A trial, from the suggestions of an optuna Trial."""
        # Below 8 the classes of two moduli would be nearly those of the draws themselves.
        small = trial.suggest_int("modulus_small", 2, max(2, min(20, self.modulus // 4)))
        return Trial(
            number, small, trial.suggest_int("modulus_large", small + 1, max(small + 1, min(500, self.modulus // 2))),
            trial.suggest_int("lag_most", 1, 15), trial.suggest_int("window", 20, 150, log=True),
            trial.suggest_int("window_ratio", 2, 4), round(trial.suggest_float("floor", 0.0, 5.0), 2),
        )  # fmt: skip


# -- planted histories ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plant:
    """One planted history. row: survivor whose skip and offset the seed has; kind: see KINDS; share: of draws that show the
    stream; first: the first of them; modulus: of residues, else 0; lag: draws by which the history is ahead of the stream,
    behind it if negative; noise: of the decoy and of which draws show it."""

    seed: int
    row: int
    kind: str
    share: float
    first: int
    modulus: int
    lag: int
    noise: int


@dataclass(frozen=True, eq=False)
class Ground:
    """What all trials share. streams: chance survivors and the history; plants: those of the study, and as many fresh ones;
    patience: seconds of a trial."""

    streams: Streams
    plants: tuple[Plant, ...]
    fresh: tuple[Plant, ...]
    patience: float

    @property
    def draws(self) -> int:
        """Draws from the window's first on that streams are laid beside."""
        read = self.streams
        return min(len(read.history.draws) - read.window[0], read.behind + read.ahead + DRAWS_MOST)


def plants_of(count: int, seed: int, read: Streams, draws: int) -> tuple[Plant, ...]:
    """Planted histories of all kinds in turn, each of a strength between STRENGTHS in its own channel; repeatable."""
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen, k = recipe(read.recipe), read.behind + read.ahead
    limit = chosen.seed_limit(chosen.params(read.given))
    divisors = [m for m in range(2, read.modulus // 2 + 1) if read.modulus % m == 0] or list(range(2, read.modulus))
    planted = []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        strength = math.exp(rng.uniform(*np.log(STRENGTHS)))
        recent = int(math.exp(rng.uniform(*np.log(RECENT))))
        modulus, lag = int(rng.choice(divisors)), int(rng.integers(STEPS[0], STEPS[1] + 1) * rng.choice([-1, 1]))
        size = min(recent, draws - k) if kind == "recent" else draws - k
        q = 1 / (modulus if kind == "residue" else read.modulus)
        planted.append(Plant(
            int(rng.integers(0, limit, dtype=np.uint64)), int(rng.integers(len(read.survivors))), kind,
            min(1.0, strength * math.sqrt(q / (1 - q) / size)), draws - size, modulus if kind == "residue" else 0,
            lag if kind == "step" else 0, int(rng.integers(2**63)),
        ))  # fmt: skip
    return tuple(planted)


def plant(decoy: Draws, stream: Draws, what: Plant) -> Draws:
    """A decoy history that shows a stream, both int32 (T,); the number of draws that show it is a matter of chance."""
    rng, draws = np.random.Generator(np.random.PCG64([what.noise, 1])), decoy.copy()
    shown = np.flatnonzero((rng.random(len(decoy)) < what.share) & (np.arange(len(decoy)) >= what.first))
    shown = shown[(shown + what.lag >= 0) & (shown + what.lag < len(stream))]
    values = stream[shown + what.lag]
    if what.modulus:
        values = draws[shown] - draws[shown] % what.modulus + values % what.modulus
    draws[shown] = values
    return draws


class Planted:
    """The streams of chance survivors and of planted seeds, and the histories, on a rank; ranks scorers by them."""

    def __init__(self, ground: Ground, device: devices.Device, plants: tuple[Plant, ...]) -> None:
        read, size = ground.streams, ground.draws
        self._read, start = read, read.window[0]
        rows = read.survivors[[each.row for each in plants]]
        rows["seed"] = [each.seed for each in plants]
        chance, seeded = (features.host(read.outputs(device, r, start, start + size)) for r in (read.survivors, rows))
        self._streams = seeded
        # The last row is for the planted seed.
        self._all = np.concatenate([chance, seeded[:1]])
        self._decoys = [self._shuffled(each, size) for each in plants]
        self._shown = [plant(d, p, each) for d, p, each in zip(self._decoys, seeded, plants, strict=True)]

    def _shuffled(self, what: Plant, size: int) -> Draws:
        rng = np.random.Generator(np.random.PCG64([what.noise, 0]))
        return rng.permutation(self._read.history.draws)[:size].astype(np.int32)

    def ranks(
        self, scorer: Scorer, decoys: bool, halted: Callable[[], bool] = lambda: False
    ) -> npt.NDArray[np.float64] | None:
        """Of each planted history the share of chance survivors that the planted seed is above, ties half: f8 (plants,);
        decoys: in the same histories before anything was planted. None if `halted` said so."""
        found = np.zeros(len(self._streams))
        for i, d in enumerate(self._decoys if decoys else self._shown):
            if halted():
                return None
            self._all[-1] = self._streams[i]
            view = View(
                self._all, d, self._read.behind + self._read.ahead, self._read.behind, self._read.modulus, scorer
            )
            scores = features.score(view)
            others, own = scores[:-1], scores[-1]
            found[i] = (others < own).mean() + (others == own).mean() / 2
        return found

    def added(self, scorer: Scorer) -> npt.NDArray[np.float64]:
        """What planting adds to the rank of each planted seed: f8 (plants,)."""
        planted, decoy = self.ranks(scorer, False), self.ranks(scorer, True)
        assert planted is not None and decoy is not None
        return planted - decoy


class Runner:
    """Runs trials on the rank's device, as a farm's Compute that is told (number, trial)."""

    def __init__(self, ground: Ground, kind: str, local_rank: int) -> None:
        """kind: of device, not 'auto'."""
        self._ground, self._devices = ground, devices.Devices(kind, local_rank)
        self._planted: Planted | None = None

    def planted(self, plants: tuple[Plant, ...]) -> Planted:
        """Those plants on this rank's device."""
        return Planted(self._ground, self._devices.of(self._ground.streams.search()), plants)

    def rest(self) -> None:
        """Between batches: give back what the devices keep."""
        self._devices.close()

    def __call__(self, number: int, trial: Trial, stopped: Callable[[], bool]) -> Outcome | None:
        """The outcome of a trial; None if `stopped` said so. Raises WorkFailed where it takes too long, DeviceError where
        this rank is to blame."""
        began = time.monotonic()

        def halted() -> bool:
            if time.monotonic() - began >= self._ground.patience:
                raise WorkFailed(
                    f"trial {number} was not through after {self._ground.patience:g} s; give fewer --plants"
                )
            return stopped()

        self._planted = self._planted or self.planted(self._ground.plants)
        planted, decoy = (self._planted.ranks(trial.scorer, decoys, halted) for decoys in (False, True))
        if planted is None or decoy is None:
            return None
        means = {"planted": float(planted.mean()), "decoy": float(decoy.mean())}
        result = {"trial": asdict(trial), **means, "seconds": time.monotonic() - began}
        return Outcome(number, result)


# -- the step --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Plan:
    """A study that is ready to start."""

    ground: Ground
    space: Space
    identity: dict[str, Any]
    folder: Path
    config: str


def prepare(loaded: config.Loaded[ScorerOptions]) -> Plan:
    """Read the inputs, say the plan. Raises UsageError, IntegrityError for a damaged input; step.Done after a dry run."""
    o = loaded.value
    if o.survivors is None:
        raise UsageError("--survivors DIR is missing: name the folder of a sieve")
    if not o.draws:
        raise UsageError("--draws FILE is missing: name the draw history that the sieve was given")
    version, read = study.version(), streams.read(o.survivors, o.draws)
    if not 8 <= read.modulus <= features.MODULUS_MOST:
        raise UsageError(
            f"draws below {read.modulus} have no residues to choose from; they may be below 8 to {features.MODULUS_MOST}"
        )
    rng = np.random.Generator(np.random.PCG64([o.study_seed, 0]))
    some = rng.permutation(len(read.survivors))[: o.chance]
    ground = Ground(replace(read, survivors=read.survivors[np.sort(some)]), (), (), o.trial_timeout)
    after = ground.draws - read.behind - read.ahead
    if after < features.LEAST_DRAWS:
        raise UsageError(
            f"{after} draws come after the window, and at least {features.LEAST_DRAWS} are needed to score by; give a longer history"
        )
    seeds = np.random.SeedSequence([o.study_seed, 1]).generate_state(2).tolist()
    plants, fresh = (plants_of(o.plants, seed, ground.streams, ground.draws) for seed in seeds)
    ground = replace(ground, plants=plants, fresh=fresh)
    identity = {
        "step": o.STEP, "payload_hash": read.payload_hash, "recipe": read.recipe, "params": read.given, "modulus": read.modulus,
        "draws": read.history.digest, "trials": o.trials, "batch": o.batch,
        "plants": o.plants, "chance": len(some), "study_seed": o.study_seed, "optuna": version,
    }  # fmt: skip
    folder = o.output_dir or Path("results") / f"scorer_meta-{identity_hash(identity)[:8]}"
    say(sys.stdout, [
        ("study", f"{o.trials} trials in batches of {o.batch}, seed {o.study_seed}  [{identity_hash(identity)[:8]}]"),
        ("plants", f"{o.plants} decoy histories of {ground.draws} shuffled draws, a seed of {read.recipe} planted in each: {', '.join(KINDS)}"),
        ("objective", f"share of {len(some)} chance survivors that the planted seed is above, less the same before it was planted"),
        ("results", str(folder)),
    ])  # fmt: skip
    if o.dry_run:
        raise step.Done(ExitCode.FOUND)
    Ledger.open(folder / "ledger.sqlite", identity, resume=o.resume).close()
    return Plan(ground, Space(read.modulus), identity, folder, config.to_toml(o))


def run(comm: Comm, o: ScorerOptions, plan: Plan) -> ExitCode:
    """Every rank's part; root's exit code."""
    kind, why = devices.choose(o.device)
    work = Runner(plan.ground, kind, comm.local_rank)
    comm.device = kind
    card = Card(comm.rank, comm.host, kind, kind, why, 1.0)
    if comm.rank:
        serve(comm, work, card, work.rest)
        return ExitCode.FOUND
    terms = Terms(
        step=STEP_NUMBER, folder=plan.folder, identity=plan.identity, config=plan.config, trials=o.trials, batch=o.batch,
        seed=o.study_seed, teaches=0.0, choose=plan.space.choose, words=_words,
        objectives=_objectives, row=_row, dtype=TRIAL, columns=COLUMNS,
    )  # fmt: skip
    return course.lead(comm, o, terms, work, card, lambda done: _conclude(plan, work, done), work.rest)


def _words(t: Trial) -> str:
    return (
        f"moduli {t.modulus_small} and {t.modulus_large}, lags to {t.lag_most}, windows {t.window} and "
        f"{t.window * t.window_ratio}, floor {t.floor:g}"
    )


def _objectives(result: dict[str, Any]) -> dict[str, float]:
    """What planting adds to a seed's rank: the luck that it has without is the same in both."""
    return {"objective": result["planted"] - result["decoy"], "decoy_objective": result["decoy"] - BY_CHANCE}


def _row(result: dict[str, Any]) -> tuple[Any, ...]:
    """A row of TRIAL."""
    values = result | result["trial"] | _objectives(result)
    return tuple(values[name] for name in TRIAL.names or ())


def _conclude(plan: Plan, work: Runner, done: Course[Trial]) -> Conclusion:
    """The best trial's scorer against the defaults, on fresh plants that chose neither: the better of the two is the optimum."""
    best = done.best()
    if best is None or not done.complete:
        return Conclusion(ExitCode.FOUND, {}, [])
    trial = Trial(**done.results[best[0]]["trial"])
    fresh = work.planted(plan.ground.fresh)
    optimum, defaults = (fresh.added(scorer) for scorer in (trial.scorer, Scorer()))
    error = float((optimum - defaults).std() / math.sqrt(len(optimum)))
    scorer = trial.scorer if optimum.mean() > defaults.mean() else Scorer()
    decoys = np.array([*done.objectives("decoy_objective").values()])
    # A rank by chance is uniform on [0, 1].
    spread = math.sqrt(1 / 12 / plan.identity["plants"])
    odd = bool((np.abs(decoys) > ODD * spread).any())
    warning = "scores rank seeds that were not planted: the objective is not to be trusted" if odd else ""
    said = [
        ("best", f"trial {best[0]}: {_words(trial)}"),
        ("objective", f"{best[1]:.3f}; with nothing planted {decoys.min():+.3f} to {decoys.max():+.3f}, by chance 0 +- {spread:.3f}"),
        ("fresh", f"on fresh plants {optimum.mean():.3f}, the defaults {defaults.mean():.3f}, difference {optimum.mean() - defaults.mean():+.3f} +- {error:.3f}"),
        ("scorer", scorer.to_json() + ("" if scorer == trial.scorer else " (the defaults, which rank fresh plants better)")),
        *([("warning", warning)] if warning else []),
    ]  # fmt: skip
    summary = {
        "best": {"trial": asdict(trial), "objective": best[1]}, "scorer": asdict(scorer), "warning": warning,
        "fresh": {"optimum": float(optimum.mean()), "defaults": float(defaults.mean()), "error": error},
        "decoys": {"least": float(decoys.min()), "greatest": float(decoys.max()), "by_chance": 0.0, "spread": spread},
    }  # fmt: skip
    return Conclusion(ExitCode.FOUND, summary, said, {"scorer": scorer.to_json()})


if __name__ == "__main__":
    step.main(ScorerOptions, prepare, run)
