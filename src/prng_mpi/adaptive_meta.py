"""Floor 3: the capacity planner, step 4 of the pipeline. How large a pool, a network and a study do these survivors bear?

python -m prng_mpi.adaptive_meta --scores results/full_scoring-1a2b3c4d"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from prng_mpi import config, step
from prng_mpi.comm import Comm
from prng_mpi.config import option
from prng_mpi.display import say
from prng_mpi.errors import ExitCode, UsageError
from prng_mpi.learning import effective_rank, split, within_cuts
from prng_mpi.ledger import Ledger, identity_hash
from prng_mpi.models import BATCH
from prng_mpi.statistics import STRONG_LOG10, format_count, log10_tails
from prng_mpi.store import EventLog, Scores, open_scores, write_json, write_tables

# Of the weakest share of hits that any pool could show, a larger pool may need so many times as much.
WORSE = 2.0
# Hits in the labels for each parameter of a network, and hidden layers at most.
EVENTS = 10
LAYERS = 4
# Settings among the best this share of all are good enough, where labels can tell so few apart; with this much certainty.
GOOD, CERTAIN = 0.05, 0.95
# The learning rate of the network that epochs are planned for: the middle of what is tried.
RATE = 10**-2.5
EPOCHS_LEAST, EPOCHS_MOST = 10, 500

CAPACITY = np.dtype([("name", "S16"), ("value", "<u4"), ("why", "S160")])
MEASURED = np.dtype([("name", "S16"), ("value", "<f8"), ("meaning", "S96")])


@dataclass(frozen=True)
class AdaptiveOptions:
    """Plan pool size, network and study from what the survivors, their features and the history measure."""

    STEP: ClassVar[str] = "adaptive_meta"

    scores: Path | None = option(None, "folder of a full_scoring", metavar="DIR", section="Data")
    output_dir: Path | None = option(
        None, "folder of the run; not set: results/adaptive_meta-HASH", metavar="DIR", section="Run"
    )
    resume: bool = option(False, "insist that the folder holds this plan already", section="Run")
    dry_run: bool = option(False, "print the plan and exit; nothing is written", section="Run")
    show_config: bool = option(False, "print every value and where it comes from, and exit", section="Run")


@dataclass(frozen=True)
class Measured:
    """What a plan rests on. survivors: how many; features: columns; rank: directions that these really have; rows: that models
    are fitted on; events: hits in the labels of these rows; used: draws that features of the test cut see; span: draws of its
    label; chance: that one output equals one draw; judged: hits that chance gives in the label that models are chosen by."""

    survivors: int
    features: int
    rank: float
    rows: int
    events: int
    used: int
    span: int
    chance: float
    judged: float

    MEANING: ClassVar[dict[str, str]] = {
        "survivors": "survivors that were scored", "features": "columns of features",
        "rank": "effective rank of the features: directions that they really have",
        "rows": "survivors times cuts that models are fitted on", "events": "hits in the labels of these rows",
        "used": "draws that the features of the test cut see", "span": "draws of the label of the test cut",
        "chance": "that one output equals one draw",
        "judged": "hits that chance gives in the label that models are chosen by",
    }  # fmt: skip


@dataclass(frozen=True)
class Capacity:
    """What step 5 reads: survivors of a pool, width and depth of the network, its most epochs, trials of the study."""

    pool_size: int
    width: int
    depth: int
    epochs: int
    trials: int

    WHY: ClassVar[dict[str, str]] = {
        "pool_size": "most survivors with which the gate still sees a stream half as strong as it could at best",
        "width": "effective rank of the features and four more, to the next power of two",
        "depth": "as many layers as leave ten hits for each parameter",
        "epochs": "steps of Adam from chance to even odds, in passes over the rows",
        "trials": "one of so many is among the best twentieth; fewer where labels hold few hits",
    }  # fmt: skip


def measure(scores: Scores, modulus: int) -> Measured:
    """Measure scores; labels of the test cut are not looked at. Raises UsageError: too few cuts."""
    parts = split(scores.cuts)
    cuts = scores.cuts.astype([(name, "<i8") for name in scores.cuts.dtype.names or ()])
    spans = cuts["label_end"] - cuts["label_start"]
    n, fit = len(scores.survivors), list(parts.fit)
    test = cuts[parts.test]
    return Measured(
        survivors=n, features=len(scores.names), rank=effective_rank(np.concatenate(within_cuts(scores.features[fit]))),
        rows=n * len(fit), events=int(scores.labels[fit].sum()), used=int(test["used_end"] - test["used_start"]),
        span=int(spans[parts.test]), chance=1 / modulus, judged=n * float(spans[parts.judge]) / modulus,
    )  # fmt: skip


def plan(m: Measured) -> Capacity:
    """The capacity that was measured to be there."""
    width = width_of(m)
    return Capacity(pool_of(m), width, depth_of(m, width), epochs_of(m), trials_of(m))


def pool_of(m: Measured) -> int:
    """The largest pool with which a stream can be seen whose share of hits is at most WORSE times that which the best pool
    needs, so that a model has room to err and several streams have room.

    A true stream is seen if two things hold. It stands among the first k: chance survivors with as many hits among the draws
    that features use are fewer than k, and their number is N P(Bin(used, p) >= hits). And the gate, at p = 10^STRONG_LOG10, then
    tells k streams from luck: its hits and the luck of the k - 1 others reach the critical number of Bin(span, k p). The first
    asks for a large pool where survivors are many, the second for a small one where the span is short. No pool names more than half
    of the values."""
    most = max(1, min(m.survivors, int(0.5 / m.chance)))
    luck = m.survivors * 10.0 ** log10_tails(np.full(m.used, m.chance))
    shares = []
    for k in range(1, most + 1):
        # Half of the time such a stream stands above the k-th of the others.
        place = int(np.argmax(luck <= max(k - 1, 0.5)))
        ranked = place / m.used
        gate = int(np.argmax(log10_tails(np.full(m.span, min(k * m.chance, 1.0))) <= STRONG_LOG10)) or m.span + 1
        share = max(ranked, (gate - m.span * (k - 1) * m.chance) / m.span)
        shares.append(share)
        # Past this, luck alone asks for more.
        if k > 1 and share > 2 * WORSE * min(shares):
            break
    return max(k for k, share in enumerate(shares, 1) if share <= WORSE * min(shares))


def width_of(m: Measured) -> int:
    """Neurons of a layer: ReLU networks four wider than their input approximate any function of it (Z. Lu et al., NIPS 2017,
    6231); the input has as many dimensions as its effective rank, and a power of two is easy to halve and to double."""
    return int(2 ** math.ceil(math.log2(m.rank + 4)))


def depth_of(m: Measured, width: int) -> int:
    """Hidden layers, at least one: as many as leave EVENTS hits for each parameter (P. Peduzzi et al., J. Clin. Epidemiol. 49
    (1996) 1373: below ten events for each, coefficients are no longer to be trusted)."""
    first, further = m.features * width + 2 * width + 1, width * (width + 1)
    return int(min(LAYERS, max(1, 1 + (m.events / EVENTS - first) // further)))


def epochs_of(m: Measured) -> int:
    """Most passes over the rows: enough for a logit to come from chance to even odds, ln(1 / p - 1) away. A step of Adam moves a
    weight by no more than its rate (D. P. Kingma, J. Ba, ICLR 2015, section 2.1), and a pass has a step for each batch."""
    steps = math.log(1 / m.chance - 1) / RATE
    return min(EPOCHS_MOST, max(EPOCHS_LEAST, math.ceil(steps / math.ceil(m.rows / BATCH))))


def trials_of(m: Measured) -> int:
    """Settings to try, of all models together: so many that one is among the best GOOD of all with certainty CERTAIN if they were
    drawn at random (J. Bergstra, Y. Bengio, JMLR 13 (2012) 281). The labels that they are chosen by hold a number of hits h that
    chance spreads by sqrt(h): what differs by less they can't tell apart, so of few hits fewer trials are worth it."""
    good = min(0.5, max(GOOD, 1 / math.sqrt(max(m.judged, 1.0))))
    return math.ceil(math.log(1 - CERTAIN) / math.log(1 - good))


@dataclass(frozen=True)
class Prepared:
    """A plan, what it rests on, and where it goes."""

    measured: Measured
    capacity: Capacity
    identity: dict[str, Any]
    folder: Path
    config: str


def prepare(loaded: config.Loaded[AdaptiveOptions]) -> Prepared:
    """Read the scores and plan. Raises UsageError, IntegrityError; step.Done after a dry run."""
    o = loaded.value
    if o.scores is None:
        raise UsageError("--scores DIR is missing: name the folder of a full_scoring")
    scores = open_scores(o.scores)
    measured = measure(scores, int(scores.attributes["modulus"]))
    capacity = plan(measured)
    identity = {"step": o.STEP, "scores": scores.content_hash, "measured": asdict(measured)}
    folder = o.output_dir or Path("results") / f"adaptive_meta-{identity_hash(identity)[:8]}"
    say(sys.stdout, [
        ("scores", f"{scores.path}: {format_count(measured.survivors)} survivors, {measured.features} features of effective rank "
         f"{measured.rank:.1f}, {measured.events} hits in {format_count(measured.rows)} rows, a label of {measured.span} draws"),
        *((name.replace("_", " "), f"{value}") for name, value in asdict(capacity).items()),
        ("results", f"{folder}/results.h5"),
    ])  # fmt: skip
    if o.dry_run:
        raise step.Done(ExitCode.FOUND)
    return Prepared(measured, capacity, identity, folder, config.to_toml(o))


def run(comm: Comm, o: AdaptiveOptions, made: Prepared) -> ExitCode:
    """Root's part; other ranks have none."""
    if comm.rank:
        return ExitCode.FOUND
    values = asdict(made.capacity)
    rows = np.array([(name.encode(), value, Capacity.WHY[name].encode()) for name, value in values.items()], CAPACITY)
    measured = asdict(made.measured)
    inputs = np.array(
        [(name.encode(), value, Measured.MEANING[name].encode()) for name, value in measured.items()], MEASURED
    )
    with (
        Ledger.open(made.folder / "ledger.sqlite", made.identity, resume=o.resume),
        EventLog(made.folder / "events.jsonl") as events,
    ):
        attributes = {
            "config": made.config, "identity": made.identity, "identity_hash": identity_hash(made.identity),
            "scores_hash": made.identity["scores"], **values, "measured": measured, **step.provenance(),
        }  # fmt: skip
        tables = {
            "capacity": (rows, "what step 5 reads, and why it is so much"), "measured": (inputs, "what the plan rests on"),
        }  # fmt: skip
        write_tables(made.folder / "results.h5", tables, attributes)
        write_json(made.folder / "summary.json", {"exit_code": 0, "verdict": "planned", **values, "measured": measured})
        events.close({"reason": "complete", "exit_code": 0, **values})
    return ExitCode.FOUND


if __name__ == "__main__":
    step.main(AdaptiveOptions, prepare, run)
