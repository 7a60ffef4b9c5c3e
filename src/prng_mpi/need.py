"""Floor 3: need. How many draws make a search decisive, before there are any draws.

python -m prng_mpi.need --recipe java.nextInt --modulus 1000 --skip-max 241"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from prng_mpi import config, spaces, statistics, step
from prng_mpi.comm import Comm
from prng_mpi.config import option, parse_int
from prng_mpi.display import columns
from prng_mpi.errors import ExitCode, UsageError
from prng_mpi.recipes import recipe
from prng_mpi.statistics import MAX_DRAWS_NEEDED, format_count, format_log10

# Values of a draw whose chances are looked at where there are more.
VALUES = 2**16


@dataclass(frozen=True)
class NeedOptions:
    """How many draws make a search decisive: what chance alone gives, for windows of several lengths and thresholds."""

    STEP: ClassVar[str] = "need"

    modulus: int = option(1000, "draws are in [0, M)", metavar="M", section="Data", minimum=2, maximum=2**32)
    window: tuple[int, ...] = option(
        (4, 8, 16, 30, 60, 120), "window lengths (k) to show beside the least that decide", metavar="K", minimum=1,
        maximum=MAX_DRAWS_NEEDED, section="Data",
    )  # fmt: skip
    recipe: str = option(
        "", "what made the draws: its seed space, its chances; not set: every value is equally likely", metavar="NAME",
        section="Hypotheses",
    )  # fmt: skip
    param: dict[str, int] = option({}, "a parameter of the recipe's family", section="Hypotheses")
    seeds: str = option(
        "", "how many seeds are searched, or which: a number, or a seed space as the sieve takes it; not set: the recipe's "
        "seed space", metavar="N", section="Hypotheses",
    )  # fmt: skip
    skip_min: int = option(0, "least skip: outputs discarded before every draw", minimum=0, section="Hypotheses")
    skip_max: int | None = option(None, "largest skip; not set: the least", minimum=0, section="Hypotheses")
    offset_min: int = option(0, "least offset: outputs discarded once, at the start", minimum=0, section="Hypotheses")
    offset_max: int | None = option(None, "largest offset; not set: the least", minimum=0, section="Hypotheses")
    threshold: tuple[float, ...] = option(
        (1.0, 0.7, 0.5, 0.25, 0.05), "least share of the window's draws that a survivor matches", section="Hypotheses"
    )
    show_config: bool = option(False, "print every value and where it comes from, and exit", section="Run")
    json: bool = option(False, "print the table as JSON", section="Run")


@dataclass(frozen=True)
class Answer:
    """what: what makes the draws; p: the chance of one match; least: by threshold the windows that give E < 1e-3 and E < 1e-6, None where none up to
    MAX_DRAWS_NEEDED does; plans: what chance leaves of each window, by threshold and then length."""

    what: str
    p: float
    seeds: int
    skips: tuple[int, int]
    offsets: tuple[int, int]
    n_hypotheses: int
    least: dict[float, tuple[int | None, int | None]]
    plans: dict[float, list[statistics.Plan]]


def prepare(loaded: config.Loaded[NeedOptions]) -> Answer:
    """All there is to compute. Raises UsageError; step.Done after --show-config."""
    o = loaded.value
    if not o.recipe and (not o.seeds or o.param):
        raise UsageError("name the seeds: --seeds N, or --recipe NAME for all that a recipe takes (with its --param)")
    if not o.threshold or not o.window:
        raise UsageError("--threshold and --window need at least one number each")
    skips, offsets = _range("skip", o.skip_min, o.skip_max), _range("offset", o.offset_min, o.offset_max)
    p, seeds, what = 1.0 / o.modulus, _seeds(o.seeds), "every value equally likely"
    if o.recipe:
        chosen = recipe(o.recipe)
        chosen.check_modulus(o.modulus)
        params = chosen.params(o.param)
        seeds = seeds or chosen.seed_limit(params)
        values = np.unique(np.linspace(0, o.modulus - 1, min(o.modulus, VALUES)).astype(np.uint32))
        p, what = float(chosen.chances(values, o.modulus, params).max()), f"{chosen.name}: {chosen.title}"
    n_hyp = seeds * (skips[1] - skips[0] + 1) * (offsets[1] - offsets[0] + 1)
    least, plans = {}, {}
    for threshold in o.threshold:
        strong, found = (
            statistics.draws_needed(threshold, p, n_hyp, log10_below=below)
            for below in (statistics.STRONG_LOG10, statistics.FOUND_LOG10)
        )
        least[threshold] = (strong, found)
        lengths = sorted({*o.window, *(k for k in (strong, found) if k)})
        plans[threshold] = [_plan(p, k, threshold, seeds, skips, offsets) for k in lengths]
    return Answer(what, p, seeds, skips, offsets, n_hyp, least, plans)


def _seeds(text: str) -> int:
    """How many seeds a number or a seed space means; 0 for an empty text. Raises UsageError."""
    try:
        seeds = parse_int(text) if text else 0
    except ValueError:
        return spaces.space(text).hypotheses
    if text and not 1 <= seeds <= 2**64:
        raise UsageError(f"--seeds {text}: give 1 to 2**64")
    return seeds


def _plan(
    p: float, k: int, threshold: float, seeds: int, skips: tuple[int, int], offsets: tuple[int, int]
) -> statistics.Plan:
    # The draws are not known yet. Draws that all differ, as far as there are values, have the most ways to match.
    draws = np.arange(k) % max(1, math.floor(1 / p))
    return statistics.plan_evidence(np.full(k, p), draws, threshold, seeds=seeds, skips=skips, offsets=offsets)


def _range(name: str, low: int, high: int | None) -> tuple[int, int]:
    if high is not None and high < low:
        raise UsageError(f"--{name}-min {low} --{name}-max {high}: needs min <= max")
    return low, low if high is None else high


def run(comm: Comm, o: NeedOptions, answer: Answer) -> ExitCode:
    """Root says the table."""
    if comm.rank == 0:
        print(json.dumps(_plain(o, answer), indent=1) if o.json else "\n".join(_lines(o, answer)), flush=True)
    return ExitCode.FOUND


def _plain(o: NeedOptions, answer: Answer) -> dict[str, Any]:
    return {
        "modulus": o.modulus,
        "recipe": o.recipe or None,
        "p": answer.p,
        "seeds": answer.seeds,
        "n_hypotheses": answer.n_hypotheses,
        "thresholds": [
            {
                "threshold": threshold,
                "least_strong": answer.least[threshold][0],
                "least_found": answer.least[threshold][1],
                "windows": [
                    {
                        "k": plan.k,
                        "need": plan.need,
                        "log10_p1": plan.log10_p1,
                        "log10_E": plan.log10_E,
                        "expected_survivors": plan.expected_survivors,
                    }
                    for plan in plans
                ],
            }
            for threshold, plans in answer.plans.items()
        ],
    }


def _lines(o: NeedOptions, answer: Answer) -> list[str]:
    hypotheses, seeds = (format_log10(math.log10(n)) for n in (answer.n_hypotheses, answer.seeds))
    lines = [
        f"modulus {o.modulus}, {answer.what}; a draw matches by chance with p = {format_log10(math.log10(answer.p))}",
        f"{seeds} seeds, skips {answer.skips[0]} to {answer.skips[1]}, offsets {answer.offsets[0]} to {answer.offsets[1]}: "
        f"{hypotheses} hypotheses",
    ]
    for threshold, plans in answer.plans.items():
        strong, found = (
            f"{format_count(k)} draws" if k else f"no window up to {format_count(MAX_DRAWS_NEEDED)} draws"
            for k in answer.least[threshold]
        )
        lines += ["", f"threshold {threshold:g}: {strong} for E < 1e-3, {found} for E < 1e-6"]
        rows = [("draws", "need", "p1", "E", "seeds by chance", "a survivor is at best")]
        for plan in plans:
            log10_seeds = plan.chance.log10_p + math.log10(plan.seeds)
            rows.append((
                *(format_count(plan.k), format_count(plan.need), format_log10(plan.log10_p1), format_log10(plan.log10_E)),
                *(format_log10(log10_seeds), statistics.verdict(plan.log10_E, True, True)),
            ))  # fmt: skip
        lines += columns(rows)
    return lines


if __name__ == "__main__":
    step.main(NeedOptions, prepare, run)
