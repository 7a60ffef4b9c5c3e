"""Floor 3: predict, step 6 of the pipeline. The outputs of a found seed at any distance, before or after the draws that it
explains; or the next draws by a pool of survivors that a model ranks first.

python -m prng_mpi.predict --recipe java.nextInt --modulus 1000 --seed 42 --from 0 --count 20
python -m prng_mpi.predict --run results/java.nextInt-1a2b3c4d
python -m prng_mpi.predict --models results/anti_overfit-1a2b3c4d"""

from __future__ import annotations

import json
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from prng_mpi import config, pools, step
from prng_mpi.comm import Comm
from prng_mpi.config import option
from prng_mpi.devices.predict import Predictor
from prng_mpi.display import duration, say
from prng_mpi.errors import ExitCode, IntegrityError, NoSignal, UsageError
from prng_mpi.history import read_history
from prng_mpi.learning import merged, ranking
from prng_mpi.ledger import Ledger, identity_hash
from prng_mpi.recipes import recipe
from prng_mpi.statistics import clopper_pearson, format_log10
from prng_mpi.store import EventLog, open_tables, read_results, to_json, write_json, write_tables
from prng_mpi.streams import Streams
from prng_mpi.windows import calls_to_the_end

PER_LINE = 20
# Values of the next draw that are said; results.h5 has all.
SHOWN = 10

PREDICTED = np.dtype(
    [
        ("draw", "<u8"),
        ("place", "<u4"),
        ("value", "<u4"),
        ("probability", "<f8"),
        ("chance", "<f8"),
        ("survivors", "<u4"),
    ]
)
PREDICTED_COLUMNS = (
    "one row for each draw after the history and each distinct value that the pool names, the likeliest first; draw: index in the history; "
    "survivors: of the pool that name it"
)


@dataclass(frozen=True)
class PredictOptions:
    """The outputs of a seed at any distance: draw i is output o + s + i (s + 1) for every integer i, below 0 too."""

    STEP: ClassVar[str] = "predict"

    recipe: str = option("", "what makes the draws; python -m prng_mpi lists recipes", metavar="NAME", section="Seed")
    param: dict[str, int] = option({}, "a parameter of the recipe's family", section="Seed")
    modulus: int = option(1000, "draws are in [0, M)", metavar="M", section="Seed")
    seed: int | None = option(None, "the seed", minimum=0, section="Seed")
    skip: int = option(0, "outputs discarded before every draw", minimum=0, section="Seed")
    offset: int = option(0, "outputs discarded once, at the start", minimum=0, section="Seed")
    run: Path | None = option(
        None, "or the folder of a sieve: all of these from its best survivor; draw 0 is the window's first",
        metavar="DIR", section="Seed",
    )  # fmt: skip
    models: Path | None = option(
        None, "or the folder of an anti_overfit: the draws after the history by the survivors that it ranks first", metavar="DIR",
        section="Seed",
    )  # fmt: skip
    start: int | None = option(
        None, "first draw, such as 10**12 or --from=-20; not set: 0, or with --run the one after the history", flag="--from",
        metavar="I", section="Draws",
    )  # fmt: skip
    count: int = option(20, "how many draws", minimum=1, maximum=10**6, section="Draws")
    output_dir: Path | None = option(
        None, "with --models, folder of the run; not set: results/predict-HASH", metavar="DIR", section="Run"
    )
    show_config: bool = option(False, "print every value and where it comes from, and exit", section="Run")
    json: bool = option(False, "print all as JSON", section="Run")


@dataclass(frozen=True)
class Stream:
    """A seed's draws: recipe, modulus, the parameters a user gave, seed, skip, offset, and the first draw wanted."""

    recipe: str
    modulus: int
    given: dict[str, int]
    seed: int
    skip: int
    offset: int
    start: int


@dataclass(frozen=True, eq=False)
class Pool:
    """Survivors that a model ranks first. now, tested: rows of the streams' survivors (k,), first-ranked first, as of the history's end and
    as of the test, draws first to end - 1, which had no part in that ranking; p: probability of each of now to be right."""

    streams: Streams
    model: str
    now: npt.NDArray[np.int64]
    tested: npt.NDArray[np.int64]
    p: npt.NDArray[np.float64]
    first: int
    end: int
    identity: dict[str, Any]
    folder: Path
    config: str


def prepare(loaded: config.Loaded[PredictOptions]) -> Stream | Pool:
    """Find out what stream is meant, or which pool. Raises UsageError, NoSignal, or IntegrityError for a damaged run; step.Done."""
    o = loaded.value
    for name, folder in (("run", o.run), ("models", o.models)):
        more = ("run", "start") if name == "models" else ()
        taken = ("recipe", "param", "modulus", "seed", "skip", "offset", *more)
        given = [other for other in taken if loaded.origins[other] != "default"]
        if folder is not None and given:
            flag = "from" if given[0] == "start" else given[0]
            raise UsageError(f"--{name} {folder} brings its own --{flag}; leave one of the two out")
    if o.models is not None:
        return _of_models(o.models, o, config.to_toml(o))
    if o.run is not None:
        return _of_run(o.run, o.start)
    if not o.recipe or o.seed is None:
        raise UsageError("name the stream: --recipe NAME and --seed S, or --run DIR for the best survivor of a sieve")
    chosen = recipe(o.recipe)
    chosen.check_modulus(o.modulus)
    limit = chosen.seed_limit(chosen.params(o.param))
    if o.seed >= limit:
        raise UsageError(f"--seed {o.seed}: seeds of recipe {o.recipe} end at {limit}")
    return Stream(o.recipe, o.modulus, o.param, o.seed, o.skip, o.offset, o.start or 0)


def _of_run(folder: Path, start: int | None) -> Stream:
    """The stream of a sieve's best survivor. Raises UsageError where it has none, or the history's end is not known."""
    survivors, attributes = read_results(folder / "results.h5")
    try:
        identity, stored = json.loads(attributes["identity"]), tomllib.loads(attributes["config"])
        chosen, params, modulus = recipe(identity["recipe"]), identity["params"], identity["modulus"]
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"{folder}/results.h5 does not say what was searched ({error}); run the sieve again"
        ) from error
    if not len(survivors):
        raise UsageError(f"{folder}: no seed survived, so there is nothing to predict from")
    # The first of those with most matches, as the sieve's summary has it.
    best = survivors[np.argmax(survivors["matches"])]
    if "misses" in identity:
        raise UsageError(
            f"the skip of {folder} varies, so no later draw has a place of its own; its outputs are those of --recipe "
            f"{chosen.name} --modulus {modulus} --seed {best['seed']}"
        )
    given = {key: value for key, value in params.items() if key not in chosen.fixed}
    return Stream(
        chosen.name, modulus, given, int(best["seed"]), int(best["skip"]), int(best["offset"]),
        _after(folder, stored, identity) if start is None else start,
    )  # fmt: skip


def _after(folder: Path, stored: dict[str, Any], identity: dict[str, Any]) -> int:
    """The index of the draw that follows a run's history, counted from the window's start. Raises UsageError if it can't be
    known."""
    hint = "say with --from where to begin, counted from the window's first draw"
    source, first, draws = stored.get("draws", "-"), identity["window_start"], identity["draws"]
    if source == "-":
        raise UsageError(f"{folder} read its draws from standard input, so the history's end is not known; {hint}")
    try:
        history = read_history(source, tuple(stored.get("sessions", ())), partial=True)
    except UsageError as error:
        raise UsageError(f"{error} The history's end is not known without it; {hint}") from error
    # A search that is not plain has its draws elsewhere, and none here.
    if history.draws[first : first + len(draws)].tolist() != draws or first > len(history.draws):
        raise UsageError(f"{source} no longer holds the window of {folder}; {hint}")
    call = calls_to_the_end(history, first)
    if call is None:
        raise UsageError(f"{source} has unknown calls, nobody knows how many, before its end; {hint}")
    return call - 1


def _of_models(folder: Path, o: PredictOptions, stored: str) -> Pool:
    """The pool of what a model ranks first. Raises NoSignal where its gate is closed, UsageError where it is no such folder or its
    study is not through."""
    tables, attributes = open_tables(folder, "anti_overfit")
    gate = attributes.get("gate")
    if gate is None:
        raise UsageError(f"{folder}: the study is not through; give its command again, then predict")
    identity = {"step": "predict", "models": attributes["payload_hash"], "count": o.count}
    own = o.output_dir or Path("results") / f"predict-{identity_hash(identity)[:8]}"
    if gate != "open":
        # An answer, so it has a summary.
        own.mkdir(parents=True, exist_ok=True)
        write_json(own / "summary.json", {"exit_code": int(ExitCode.NOTHING_FOUND), "verdict": "no signal"})
        raise NoSignal(
            f"{folder}: its gate is closed, p = {format_log10(float(attributes['log10_p']))}: there is no signal, and no pool is better "
            "than any other"
        )
    scores = tables["scores"]
    read = pools.kept(
        scores, tables["draws"]["draw"], attributes["recipe"], int(attributes["modulus"]), json.loads(attributes["params"]),
        tuple(json.loads(attributes["window"])),
    )  # fmt: skip
    k = int(attributes["pool_size"])
    now, tested = ranking(scores["score"])[:k], ranking(scores["tested"])[:k]
    return Pool(
        read, str(attributes["chosen"]), now, tested, scores["score"][now], int(attributes["test_start"]), int(attributes["test_end"]),
        identity, own, stored,
    )  # fmt: skip


def run(comm: Comm, o: PredictOptions, asked: Stream | Pool) -> ExitCode:
    """Root's part; other ranks have none."""
    if comm.rank:
        return ExitCode.FOUND
    return _run_stream(o, asked) if isinstance(asked, Stream) else _run_pool(o, asked)


def _run_stream(o: PredictOptions, stream: Stream) -> ExitCode:
    began = time.monotonic()
    chosen = recipe(stream.recipe)
    predictor = Predictor(chosen, stream.modulus, stream.given)
    if not predictor.check():
        raise UsageError(f"recipe {chosen.name} has no known answers, so {predictor.name} can't prove itself")
    stride = stream.skip + 1
    first = stream.offset + stream.skip + stream.start * stride
    outputs = predictor.outputs(stream.seed, first, o.count, stride, stopped=lambda: step.requests() > 0)
    if outputs is None:
        print("prng_mpi: stopped as asked", file=sys.stderr)
        return ExitCode.STOPPED
    draws, seconds = outputs.tolist(), time.monotonic() - began
    if o.json:
        told = {
            "recipe": stream.recipe,
            "modulus": stream.modulus,
            "params": stream.given,
            "seed": stream.seed,
            "skip": stream.skip,
        }
        told |= {"offset": stream.offset, "first": stream.start, "draws": draws, "seconds": seconds}
        print(json.dumps(told), flush=True)
        return ExitCode.FOUND
    rows = [
        ("stream", f"{stream.recipe}, modulus {stream.modulus}, seed {stream.seed} ({stream.seed:#x}), skip {stream.skip}, offset {stream.offset}"),
        ("draws", f"{stream.start} to {stream.start + o.count - 1}, in {duration(seconds)}"),
    ]  # fmt: skip
    for at in range(0, o.count, PER_LINE):
        rows.append((f"{stream.start + at}", " ".join(map(str, draws[at : at + PER_LINE]))))
    say(sys.stdout, rows)
    return ExitCode.FOUND


def _run_pool(o: PredictOptions, pool: Pool) -> ExitCode:
    """Predict, hold the pool against draws that had no part in it, and keep both."""
    read, k, span = pool.streams, len(pool.now), pool.end - pool.first
    chance = 1 / read.modulus
    rows, after = [], len(read.history.draws)
    for i, values in enumerate(pools.predicted(read, pool.now, after, o.count).T):
        distinct, p = merged(values, pool.p, chance)
        for place, (value, probability) in enumerate(zip(distinct.tolist(), p.tolist(), strict=True)):
            rows.append((after + i, place, value, probability, chance, int((values == value).sum())))
    table = np.array(rows, PREDICTED)
    past = pools.held_against(read, pool.tested, pool.first, span)
    alone = pools.held_against(read, pool.tested[:1], pool.first, span)
    luck = pools.random_pools(read, k, pool.first, span, seed=0)
    backtest = {
        "draws": span, "first": pool.first, "hits": past.hits, "rate": past.hits / span, "interval": clopper_pearson(past.hits, span),
        "by_chance": past.chance, "log10_p": past.log10_p, "first_ranked_hits": alone.hits,
        "first_ranked_interval": clopper_pearson(alone.hits, span), "random_pools": len(luck), "random_median": float(np.median(luck)),
        "random_most": int(luck.max()), "random_reach": int((luck >= past.hits).sum()),
    }  # fmt: skip
    head = table[table["draw"] == after]
    expected = float(head["probability"].sum())
    first_ranked = read.survivors[pool.now[0]]
    summary = {
        "exit_code": 0, "verdict": "predicted", "model": pool.model, "pool_size": k, "draw": after, "values": len(head),
        "probability": expected, "chance": len(head) * chance, "backtest": backtest,
        "likeliest": [{"value": int(row["value"]), "probability": float(row["probability"])} for row in head[:SHOWN]],
        "first_ranked": {name: int(first_ranked[name]) for name in ("seed", "skip", "offset", "window_start")},
    }  # fmt: skip
    with Ledger.open(pool.folder / "ledger.sqlite", pool.identity), EventLog(pool.folder / "events.jsonl") as events:
        attributes = {
            "config": pool.config, "identity": pool.identity, "identity_hash": identity_hash(pool.identity), "model": pool.model,
            "backtest": backtest, **step.provenance(),
        }  # fmt: skip
        tables = {
            "pool": (table, PREDICTED_COLUMNS),
            "luck": (luck.astype([("hits", "<u4")]), "hits of pools drawn at random, on the same draws"),
        }
        write_tables(pool.folder / "results.h5", tables, attributes)
        write_json(pool.folder / "summary.json", summary)
        events.close({"reason": "complete", "exit_code": 0})
    if o.json:
        told = [dict(zip(PREDICTED.names or (), row, strict=True)) for row in table.tolist()]
        print(to_json(summary | {"pool": told}), flush=True)
        return ExitCode.FOUND
    said = [
        ("pool", f"{k} survivors, ranked by {pool.model}; first seed {first_ranked['seed']}, skip {first_ranked['skip']}, offset {first_ranked['offset']}"),
        ("backtest", _rate(past.hits, span) + f" draws {pool.first} to {pool.end - 1}, which had no part in the ranking, are among the {k}; by "
         f"chance {past.chance:.2g}, {len(luck)} random pools: {np.median(luck):g} in the middle, {luck.max()} at most"),
        ("", _rate(alone.hits, span) + f" by the first alone, by chance {alone.chance:.2g}"),
        ("next draw", f"number {after}: one of {len(head)} values with probability {expected:.3g}, by chance {len(head) * chance:.3g}"),
        *(("value", f"{row['value']:>6}  probability {row['probability']:.3g}, by chance {chance:.3g}, of {row['survivors']} survivors")
          for row in head[:SHOWN]),
    ]  # fmt: skip
    best = table[(table["place"] == 0) & (table["draw"] > after)]["value"].tolist()
    said += [("then", " ".join(map(str, best[at : at + PER_LINE]))) for at in range(0, len(best), PER_LINE)]
    say(sys.stdout, [*said, ("results", f"{pool.folder}/results.h5")])
    return ExitCode.FOUND


def _rate(hits: int, draws: int) -> str:
    low, high = clopper_pearson(hits, draws)
    return f"{hits} of {draws} ({hits / draws:.1%}, 95 % interval {low:.1%} to {high:.1%})"


if __name__ == "__main__":
    step.main(PredictOptions, prepare, run)
