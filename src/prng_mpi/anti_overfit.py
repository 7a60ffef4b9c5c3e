"""Floor 3: learning from survivors, step 5 of the pipeline. Four models, one split, one look at the test, and a gate.

mpirun -np 4 python -m prng_mpi.anti_overfit --scores results/full_scoring-1a2b3c4d --plan results/adaptive_meta-5e6f7a8b"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import math
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from prng_mpi import (
    config,
    course,
    devices,
    figures,
    learning,
    memory,
    models,
    pools,
    spawn,
    statistics,
    step,
    streams,
    study,
)
from prng_mpi.admission import limits_of, room_for
from prng_mpi.comm import Comm
from prng_mpi.config import format_size, option, parse_seconds
from prng_mpi.course import Conclusion, Course, StudyOptions, Terms
from prng_mpi.devices.team import share_of_cores
from prng_mpi.display import say
from prng_mpi.errors import ExitCode, IntegrityError, UsageError
from prng_mpi.farm import Card, serve
from prng_mpi.fits import MODELS, Fit, Ground, Runner
from prng_mpi.learning import Judgement, PoolHits, Split
from prng_mpi.ledger import Ledger, identity_hash
from prng_mpi.statistics import format_count, format_log10
from prng_mpi.store import Scores, open_attributes, open_scores, write_json, write_text
from prng_mpi.streams import Streams

# The pipeline's step, whose limits hold.
STEP_NUMBER = 5
# log10 of a likelihood ratio that is worth learning from, and the objective of a fit that failed.
TEACHES = 3.0
FAILED = -1e9
PARAMETERS = ("rate", "depth", "width", "dropout", "decay", "l2", "columns", "leaf")

TRIAL = np.dtype(
    [("number", "<u4"), ("model", "S16"), ("final", "u1"), *((name, "<f8") for name in PARAMETERS), ("rounds", "<u4"),
     ("objective", "<f8"), ("r2", "<f8"), ("fit_r2", "<f8"), ("device", "S8"), ("failed", "S200"), ("seconds", "<f8")]
)  # fmt: skip
COLUMNS = (
    "one row for each fit; parameters that a model does not have are nan; rounds: trees or epochs; objective: log10 likelihood ratio "
    "against the mean, on the cut that models are chosen on; r2 there, and on the rows that it was fitted on; seconds with its start"
)
SCORE = np.dtype(
    [("seed", "<u8"), ("skip", "<u4"), ("offset", "<u4"), ("window_start", "<u4"), ("score", "<f8"), ("tested", "<f8")]
)
METRIC = np.dtype(
    [("model", "S16"), ("chosen", "u1"), ("objective", "<f8"), ("log10_gain", "<f8"),
     *((name + end, "<f8") for name in ("r2", "auc", "spearman", "top") for end in ("", "_low", "_high", "_p")),
     ("fit_r2", "<f8"), ("overfit_ratio", "<f8"), ("mean_error", "<f8"), ("error", "<f8")]
)  # fmt: skip
IMPORTANCE = np.dtype([("model", "S16"), ("feature", "S64"), ("log10_lost", "<f8")])


@dataclass(frozen=True)
class LearnOptions(StudyOptions):
    """Fit four kinds of model to scored survivors, choose on one cut, look once at another: is there a signal?"""

    STEP: ClassVar[str] = "anti_overfit"

    scores: Path | None = option(None, "folder of a full_scoring", metavar="DIR", section="Data")
    plan: Path | None = option(None, "folder of an adaptive_meta of these scores", metavar="DIR", section="Data")
    draws: str = option("", "draw history; not set: the file that the scores name", metavar="FILE", section="Data")
    models: tuple[str, ...] = option(
        (), "models to try; not set: all whose library is installed", metavar="NAME", choices=tuple(models.LEARNERS), section="Study"
    )  # fmt: skip
    trials: int | None = option(
        None, "settings to try, of all models together; not set: as planned", minimum=1, section="Study"
    )
    pool_size: int | None = option(
        None, "survivors of the pool that is tested; not set: as planned", minimum=1, section="Study"
    )
    trial_timeout: float = option(1800.0, "time for a fit", parse=parse_seconds, metavar="TIME", section="Study")
    device: str = option(
        "auto",
        "what fits models: torch, and with CUDA xgboost and catboost",
        choices=devices.KINDS[:4],
        section="Devices",
    )


@dataclass(frozen=True, eq=False)
class Plan:
    """A study that is ready to start. ground: without the labels of the test, which root reads when all is chosen; models: to try;
    trials: without the final ones; width, depth, epochs: of networks; streams: of the survivors."""

    ground: Ground
    models: tuple[str, ...]
    trials: int
    pool_size: int
    width: int
    depth: int
    epochs: int
    split: Split
    streams: Streams
    identity: dict[str, Any]
    folder: Path
    config: str

    @property
    def finals(self) -> dict[str, int]:
        """The number of each model's final fit."""
        return {name: self.trials + i for i, name in enumerate(self.models)}


def prepare(loaded: config.Loaded[LearnOptions]) -> Plan:
    """Read the inputs, say the plan. Raises UsageError, IntegrityError for a damaged file; step.Done after a dry run."""
    o = loaded.value
    if o.scores is None or o.plan is None:
        raise UsageError("name what to learn from: --scores DIR of a full_scoring and --plan DIR of an adaptive_meta")
    version = study.version()
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("this step draws a figure, and matplotlib is missing: pip install 'prng-mpi[models]'")
    chosen, left_out = _models(o.models)
    scores, planned = open_scores(o.scores), open_attributes(o.plan, "adaptive_meta")
    if planned["scores_hash"] != scores.content_hash:
        raise UsageError(f"{o.plan} was planned for other scores than {o.scores}: run adaptive_meta on these")
    parts = learning.split(scores.cuts)
    read = _streams(scores, o.draws)
    spans = (scores.cuts["label_end"] - scores.cuts["label_start"]).astype(np.float64)
    before = parts.test
    ground = Ground(
        learning.within_cuts(scores.features), scores.labels[:before], spans[:before], parts.fit, parts.judge, (parts.test, parts.now), o.study_seed,
        o.trial_timeout,
    )  # fmt: skip
    pool_size = min(o.pool_size or int(planned["pool_size"]), len(scores.survivors))
    network = {name: int(planned[name]) for name in ("width", "depth", "epochs")}
    identity = {
        "step": o.STEP, "scores": scores.content_hash, "plan": planned["identity_hash"], **network, "pool_size": pool_size,
        "models": {name: models.version(name) for name in chosen}, "trials": o.trials or int(planned["trials"]), "batch": o.batch,
        "study_seed": o.study_seed, "optuna": version, "draws": read.history.digest,
    }  # fmt: skip
    folder = o.output_dir or Path("results") / f"anti_overfit-{identity_hash(identity)[:8]}"
    plan = Plan(
        ground, chosen, identity["trials"], pool_size, **network, split=parts, streams=read, identity=identity, folder=folder,
        config=config.to_toml(o),
    )  # fmt: skip
    _say_plan(plan, scores, left_out)
    if o.dry_run:
        raise step.Done(ExitCode.FOUND)
    Ledger.open(folder / "ledger.sqlite", identity, resume=o.resume).close()
    return plan


def _models(named: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """(models to try, why others are not). Raises UsageError where one that was named, or every one, is missing."""
    why = {name: models.missing(name) for name in dict.fromkeys(named or models.LEARNERS)}
    left_out = [reason for reason in why.values() if reason]
    if left_out and (named or len(left_out) == len(why)):
        raise UsageError(left_out[0])
    return tuple(name for name, reason in why.items() if not reason), left_out


def _streams(scores: Scores, draws: str) -> Streams:
    """The streams of the scored survivors, beside the history that they were found in. Raises UsageError, IntegrityError."""
    try:
        stored = tomllib.loads(scores.attributes["config"])
        sieve, source = Path(stored["survivors"]), draws or stored["draws"]
        known = (scores.attributes["survivors_hash"], scores.attributes["data_hash"])
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{scores.path} does not say what was scored ({error}); run full_scoring again") from error
    read = streams.read(sieve, source)
    if (read.payload_hash, read.history.digest) != known:
        raise UsageError(
            f"{sieve} or {source} is not what {scores.path} was made of: run full_scoring again, or give --draws"
        )
    return read


def _say_plan(plan: Plan, scores: Scores, left_out: list[str]) -> None:
    cuts, parts = scores.cuts, plan.split

    def labels(which: tuple[int, ...]) -> str:
        return f"draws {cuts['label_start'][which[0]]} to {cuts['label_end'][which[-1]] - 1}"

    rows = [
        ("study", f"{plan.trials} trials of {', '.join(plan.models)}, then {len(plan.models)} final fits  "
         f"[{identity_hash(plan.identity)[:8]}]"),
        *(("left out", reason) for reason in left_out),
        ("data", f"{scores.path}: {format_count(len(scores.survivors))} survivors, {len(scores.names)} features"),
        ("split", f"labels of {labels(parts.fit)} to learn, of {labels((parts.judge,))} to choose, of {labels((parts.test,))} to test, once"),
        ("network", f"{plan.width} wide, {plan.depth} deep, {plan.epochs} epochs at most; ensembles of {models.TREES} trees at most"),
        ("pool", f"the first {plan.pool_size} by the chosen model; by chance each draw is among them in {plan.pool_size} of "
         f"{plan.streams.modulus} cases; the gate opens at p = {10**statistics.STRONG_LOG10:g}"),
    ]  # fmt: skip
    say(sys.stdout, rows)
    print(f"limits: {limits_of(STEP_NUMBER)}", flush=True)
    say(sys.stdout, [("results", str(plan.folder))])


# -- the run ----------------------------------------------------------------------------------------------------------------


def run(comm: Comm, o: LearnOptions, plan: Plan) -> ExitCode:
    """Every rank's part; root's exit code."""
    # On one rank there was no need of it before, and nothing has started a thread or a runtime yet.
    spawn.start_helper()
    kind, why = devices.choose(o.device)
    room = room_for(memory.available(), o.memory_reserve, plan.ground.memory)
    if comm.local_rank and room is not None and comm.local_rank >= room:
        serve(comm, None, (
            f"memory: {comm.host} has {format_size(memory.available())} available, {format_size(o.memory_reserve)} is kept, and a "
            f"fit takes about {format_size(plan.ground.memory)}: {max(room, 1)} of its ranks fit models"
        ))  # fmt: skip
        return ExitCode.FOUND
    runner = Runner(plan.ground, kind, comm.local_rank, share_of_cores(len(comm.local_ranks)), o.memory_reserve)
    comm.device = kind
    card = Card(comm.rank, comm.host, kind, kind, why, 1.0)
    try:
        if comm.rank:
            serve(comm, runner, card)
            return ExitCode.FOUND
        # A rank holds nothing between fits.
        return course.lead(comm, o, _terms(plan), runner, card, lambda done: _conclude(done, o, plan), lambda: None)
    finally:
        runner.close()


def _terms(plan: Plan) -> Terms[Fit]:
    def choose(number: int, trial: Any) -> Fit:
        # By turns, so that each model has an equal part.
        name = plan.models[number % len(plan.models)]
        rounds = plan.epochs if name == "neural_net" else models.TREES
        return Fit(number, name, models.suggest(name, trial, plan.width, plan.depth), rounds)

    def final(number: int, results: Mapping[int, dict[str, Any]]) -> Fit:
        name = plan.models[number - plan.trials]
        tried = [
            r for n, r in sorted(results.items()) if n < plan.trials and r["trial"]["model"] == name and not r["failed"]
        ]
        best = max(tried, key=lambda r: float(r["objective"]), default=None)
        if best is None:
            return Fit(number, name, {}, 0, True)
        return Fit(number, name, best["trial"]["params"], best["trial"]["rounds"], True)

    def failed(fit: Fit, why: str) -> dict[str, Any]:
        return {"trial": asdict(fit), "failed": why, "seconds": 0.0}

    return Terms(
        STEP_NUMBER, plan.folder, plan.identity, plan.config, plan.trials + len(plan.models), plan.identity["batch"],
        plan.identity["study_seed"], TEACHES, choose, _words, lambda result: {"objective": float(result.get("objective", FAILED))},
        _row, TRIAL, COLUMNS, len(plan.models), final, failed,
    )  # fmt: skip


def _words(fit: Fit) -> str:
    settings = ", ".join(f"{name} {value:.3g}" for name, value in fit.params.items())
    return f"{fit.model}{', final' if fit.final else ''}: {settings}"


def _row(result: dict[str, Any]) -> tuple[Any, ...]:
    """A row of TRIAL."""
    fit = result["trial"]
    values = {
        "rounds": 0, "objective": FAILED, "r2": math.nan, "fit_r2": math.nan, "device": "", **dict.fromkeys(PARAMETERS, math.nan),
        **fit["params"], **{name: result[name] for name in result if name in (TRIAL.names or ())}, "number": fit["number"],
        "model": fit["model"], "final": fit["final"],
    }  # fmt: skip
    return tuple(v.encode() if isinstance(v := values[name], str) else v for name in TRIAL.names or ())


# -- what came of it ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tested:
    """A model after its final fit: what that said, and predictions f8 (N,) as of the test and as of now; judged on the test."""

    said: dict[str, Any]
    test: npt.NDArray[np.float64]
    now: npt.NDArray[np.float64]
    judged: Judgement

    @property
    def overfit(self) -> float:
        """Squared error on the test over that on the rows of the fit, each in units of the mean's: 1 where nothing was overfitted."""
        fitted = 1 - float(self.said["fit_r2"])
        return (1 - self.judged.r2.value) / fitted if fitted > 0 else math.inf

    @property
    def measures(self) -> dict[str, float]:
        """All that is measured of it, by name."""
        own = {
            "objective": float(self.said["objective"]),
            "fit_r2": float(self.said["fit_r2"]),
            "overfit_ratio": self.overfit,
        }
        return own | self.judged.row()


@dataclass(frozen=True, eq=False)
class Look:
    """The one look at the test. chosen: the model that was chosen before; hits: u4 (N,) of the survivors among its draws, first to
    first + draws - 1; chance: of one of them; tested: every model; pool: what the chosen one ranks first."""

    plan: Plan
    scores: Scores
    chosen: str
    hits: npt.NDArray[np.uint32]
    first: int
    draws: int
    chance: float
    tested: dict[str, Tested]
    pool: PoolHits

    @property
    def gate(self) -> str:
        """Whether chance does not explain what the pool hits."""
        return "open" if self.pool.log10_p <= statistics.STRONG_LOG10 else "closed"

    @property
    def permutation_p(self) -> float:
        """How often permuted labels give the first-ranked as many hits."""
        return self.tested[self.chosen].judged.top.p


def _conclude(done: Course[Fit], o: LearnOptions, plan: Plan) -> Conclusion:
    """Choose, look at the test, open the gate or not."""
    failed = [f"trial {n}: {r['failed']}" for n, r in sorted(done.results.items()) if r["failed"] and n < plan.trials]
    finals = {name: done.results[number] for name, number in plan.finals.items() if number in done.results}
    failed += [f"{name}: {result['failed']}" for name, result in finals.items() if result["failed"]]
    summary, said = {"verdict": "unfinished", "gate": None, "failed": failed}, [("failed", text) for text in failed]
    good = {name: result for name, result in finals.items() if not result["failed"]}
    if not done.complete or not good:
        why = "no model is left" if done.complete else "trials are missing"
        return Conclusion(ExitCode.GAPS, summary, [*said, ("gate", f"the test was not looked at: {why}")])
    look = _look(plan, o, good)
    write_json(plan.folder / MODELS / "card.json", _card(look) | {"failed": failed})
    lost = {name: np.array(each.said["importance"]) for name, each in look.tested.items()}
    write_text(plan.folder / "importance.svg", figures.importance(lost, look.scores.names, look.chosen).svg)
    code = ExitCode.FOUND if look.gate == "open" else ExitCode.NOTHING_FOUND
    return Conclusion(code, summary | _summary(look), [*said, *_told(look)], _attributes(look), _tables(look))


def _look(plan: Plan, o: LearnOptions, good: dict[str, dict[str, Any]]) -> Look:
    """Choose, by the cut that is there for it, and then look. good: what the final fits said. Nothing but this reads the labels of
    the test. Raises IntegrityError."""
    chosen = max(good, key=lambda name: float(good[name]["objective"]))
    predictions = {name: _predictions(plan, name, result) for name, result in good.items()}
    _record(plan, chosen, {name: result["files"][f"{name}.npy"] for name, result in good.items()})
    assert o.scores is not None
    scores = open_scores(o.scores)
    if scores.content_hash != plan.identity["scores"]:
        raise IntegrityError(f"{scores.path} has changed since this study began: start another in a new folder")
    cut, hits = scores.cuts[plan.split.test], scores.labels[plan.split.test]
    first, draws = int(cut["label_start"]), int(cut["label_end"] - cut["label_start"])
    chance = float(pools.chances(plan.streams, first, draws).mean())
    tested = {}
    for name, (then, now) in predictions.items():
        base = float(good[name]["base"])
        judged = learning.judge(then, hits, draws, base, chance, plan.pool_size, plan.ground.seed)
        tested[name] = Tested(good[name], then, now, judged)
    rows = learning.ranking(tested[chosen].test)[: plan.pool_size]
    return Look(plan, scores, chosen, hits, first, draws, chance, tested, _pool(plan, rows, hits[rows], first, draws))


def _predictions(plan: Plan, name: str, result: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Of a final fit, as of the test and as of now: f8 (2, N). Raises IntegrityError where the file is not that fit's."""
    path = plan.folder / MODELS / f"{name}.npy"
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content).hexdigest() != result["files"][path.name]:
        raise IntegrityError(
            f"{path} is not what the final fit left: remove {plan.folder}/trials/{result['trial']['number']:04d}.json, and it runs again"
        )
    loaded: npt.NDArray[np.float64] = np.load(io.BytesIO(content))
    return loaded


def _record(plan: Plan, chosen: str, predictions: dict[str, str]) -> None:
    """Record the look at the test, with the hash of each model's predictions, before it is taken. Raises IntegrityError where
    another was taken in this folder before."""
    path, wanted = plan.folder / "test.json", {"chosen": chosen, "predictions": predictions}
    if not path.exists():
        write_json(path, wanted)
    elif json.loads(path.read_text()) != wanted:
        raise IntegrityError(
            f"{path}: the test was looked at with other fits, and a second look is no test; start in a new folder, on later draws"
        )


def _pool(plan: Plan, rows: npt.NDArray[np.int64], hits: npt.NDArray[np.uint32], first: int, draws: int) -> PoolHits:
    """Survivors `rows` (k,) held against the draws of the test. Raises IntegrityError where these are not the draws that their
    hits (k,) were counted in."""
    predicted = pools.predicted(plan.streams, rows, first, draws)
    there = plan.streams.history.draws[first : first + draws]
    if ((predicted == there).sum(axis=1) != hits).any():
        raise IntegrityError(
            "the streams of the pool do not give the hits that the scores have; run full_scoring again"
        )
    return learning.pool_hits(predicted, there, pools.chances(plan.streams, first, draws))


def _summary(look: Look) -> dict[str, Any]:
    pool = {
        "size": look.plan.pool_size, "draws": look.draws, "hits": look.pool.hits, "by_chance": look.pool.chance,
        "log10_p": look.pool.log10_p, "permutation_p": look.permutation_p,
    }  # fmt: skip
    more = ("rounds", "device", "version")
    return {
        "verdict": "signal" if look.gate == "open" else "no signal", "gate": look.gate, "chosen": look.chosen, "pool": pool,
        "test_looks": 1,
        "models": {name: each.measures | {"params": each.said["trial"]["params"]} | {key: each.said[key] for key in more}
                   for name, each in look.tested.items()},
    }  # fmt: skip


def _attributes(look: Look) -> dict[str, Any]:
    """Of results.h5: what predict needs, and what the look was."""
    plan, read = look.plan, look.plan.streams
    return {
        "gate": look.gate, "chosen": look.chosen, "pool_size": plan.pool_size, "log10_p": look.pool.log10_p,
        "permutation_p": look.permutation_p, "test_start": look.first, "test_end": look.first + look.draws, "recipe": read.recipe,
        "modulus": read.modulus, "params": read.given, "window": [read.boundary, read.behind, read.ahead],
        "scores_hash": plan.identity["scores"], "schema_hash": look.scores.attributes["schema_hash"],
    }  # fmt: skip


def _tables(look: Look) -> dict[str, tuple[npt.NDArray[np.void], str]]:
    """The tables of results.h5 beside the trials."""
    survivors, names, best = look.scores.survivors, look.scores.names, look.tested[look.chosen]
    score = np.zeros(len(survivors), SCORE)
    for column in ("seed", "skip", "offset", "window_start"):
        score[column] = survivors[column]
    score["score"], score["tested"] = best.now, best.test
    share, metrics, importance = look.hits / look.draws, [], []
    for name, each in look.tested.items():
        errors = {"error": ((share - each.test) ** 2).mean(), "mean_error": ((share - each.said["base"]) ** 2).mean()}
        row = each.measures | errors | {"model": name.encode(), "chosen": name == look.chosen}
        metrics.append(tuple(row[column] for column in METRIC.names or ()))
        importance += [
            (name.encode(), *pair) for pair in zip(map(str.encode, names), each.said["importance"], strict=True)
        ]
    groups = [learning.calibration(name, each.test, look.hits, look.draws) for name, each in look.tested.items()]
    curves = [learning.roc(name, each.test, look.hits, look.draws, look.chance) for name, each in look.tested.items()]
    return {
        "scores": (score, "one row for each survivor, as the sieve has them; score: probability that the next draw is what it predicts, by the "
                   "chosen model as of the history's end; tested: the same as of the test cut"),
        "metrics": (np.array(metrics, METRIC), "one row for each model, on the test; _low, _high: where 99 % of permuted labels lie, _p: how often "
                    "these do as well; top: hits of the pool; error: mean squared error of shares, mean_error: that of predicting the mean"),
        "calibration": (np.concatenate(groups), "survivors by rank: predicted and observed share of hits; low, high: hits that calibrated "
                        "predictions leave in one of twenty cases"),
        "roc": (np.concatenate(curves), "survivors by rank, on the test: ranked: so many first; positive: of these, with more hits than luck gives on average"),
        "importance": (np.array(importance, IMPORTANCE), "log10 likelihood that is lost on the cut of choice where a feature is shuffled"),
        "draws": (look.plan.streams.history.draws.astype([("draw", "<u4")]), "the history"),
    }  # fmt: skip


def _card(look: Look) -> dict[str, Any]:
    """What someone who did not see it made should know of the models (M. Mitchell et al., FAT* 2019, 220)."""
    plan, scores, parts = look.plan, look.scores, look.plan.split
    spans = {
        what: [[int(scores.cuts["label_start"][cut]), int(scores.cuts["label_end"][cut])] for cut in cuts]
        for what, cuts in (("fit", parts.fit), ("choose", (parts.judge,)), ("test", (parts.test,)))
    }
    return {
        "purpose": "the probability that a survivor's stream gives the next draw; a rank, no forecast, unless the gate is open",
        "limits": "holds for draws that are made as those of the labels; no model knows when a generator is seeded anew",
        "data": {
            "scores_hash": plan.identity["scores"], "schema_hash": scores.attributes["schema_hash"],
            "draws_hash": plan.identity["draws"], "survivors": len(scores.survivors), "features": list(scores.names), "scale": "each feature less its mean, over its deviation, among the survivors of a cut",
            "recipe": plan.streams.recipe, "modulus": plan.streams.modulus, "labels": spans,
        },
        "loss": "binomial likelihood of hits", "seed": plan.ground.seed, "trials": plan.trials,
        "files": {name: each.said["files"] for name, each in look.tested.items()}, **_summary(look), **step.provenance("optuna"),
    }  # fmt: skip


def _told(look: Look) -> list[tuple[str, str]]:
    rows = []
    for name, each in look.tested.items():
        j = each.judged
        rows.append((
            "models", f"{name:<11} gain {j.log10_gain:.1f}, R^2 {j.r2.value:.4f} (luck {j.r2.low:.4f} to {j.r2.high:.4f}), AUC {j.auc.value:.3f} "
            f"({j.auc.low:.3f} to {j.auc.high:.3f}), Spearman {j.spearman.value:.3f} ({j.spearman.low:.3f} to {j.spearman.high:.3f}), overfit "
            f"ratio {each.overfit:.2f}{'  <- chosen' if name == look.chosen else ''}"
        ))  # fmt: skip
    rows.append((
        "pool", f"{look.pool.hits} of {look.draws} draws of the test are among the {look.plan.pool_size} that it ranks first, by chance "
        f"{look.pool.chance:.2g}: p = {format_log10(look.pool.log10_p)}; permuted labels do as well with p = {look.permutation_p:.2g}"
    ))  # fmt: skip
    words = {
        "open": "OPEN: what is ranked first hits more than chance explains",
        "closed": "CLOSED, no signal: what is ranked first hits no more than luck does",
    }
    return [*rows, ("gate", words[look.gate])]


if __name__ == "__main__":
    step.main(LearnOptions, prepare, run)
