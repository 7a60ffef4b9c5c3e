"""Floor 3: predict. The outputs of a found seed at any distance, before or after the draws that it explains.

python -m prng_mpi.predict --recipe java.nextInt --modulus 1000 --seed 42 --from 0 --count 20
python -m prng_mpi.predict --run results/java.nextInt-1a2b3c4d"""

from __future__ import annotations

import json
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from prng_mpi import config, step
from prng_mpi.comm import Comm
from prng_mpi.config import option
from prng_mpi.devices.predict import Predictor
from prng_mpi.display import duration, say
from prng_mpi.errors import ExitCode, IntegrityError, UsageError
from prng_mpi.history import read_history
from prng_mpi.recipes import recipe
from prng_mpi.store import read_results
from prng_mpi.windows import calls_to_the_end

PER_LINE = 20


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
    start: int | None = option(
        None, "first draw, such as 10**12 or --from=-20; not set: 0, or with --run the one after the history", flag="--from",
        metavar="I", section="Draws",
    )  # fmt: skip
    count: int = option(20, "how many draws", minimum=1, maximum=10**6, section="Draws")
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


def prepare(loaded: config.Loaded[PredictOptions]) -> Stream:
    """Find out what stream is meant. Raises UsageError, or IntegrityError for a damaged run; step.Done."""
    o = loaded.value
    if o.run is not None:
        given = [
            name
            for name in ("recipe", "param", "modulus", "seed", "skip", "offset")
            if loaded.origins[name] != "default"
        ]
        if given:
            raise UsageError(f"--run {o.run} brings its own --{given[0]}; leave one of the two out")
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


def run(comm: Comm, o: PredictOptions, stream: Stream) -> ExitCode:
    """Root's part; other ranks have none."""
    if comm.rank:
        return ExitCode.FOUND
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


if __name__ == "__main__":
    step.main(PredictOptions, prepare, run)
