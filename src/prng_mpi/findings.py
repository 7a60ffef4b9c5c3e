"""Floor 2: from hits to a verdict. Survivors are checked by the plain build, the best is held against draws that the
search has not seen, and what was found is said in words and in records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import statistics
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.display import duration, rate
from prng_mpi.errors import IntegrityError
from prng_mpi.records import HIT, SURVIVOR
from prng_mpi.search import Search
from prng_mpi.statistics import Plan, format_count, format_log10

# Survivors that the plain build holds against the window once more, best first.
VERIFY_MOST = 100_000
# Draws after the window that confirm a find, and outputs predicted after the history's end.
HELDOUT_MOST = 1000
PREDICT = 20


@dataclass(frozen=True)
class Findings:
    """What a search has found so far.

    survivors: SURVIVOR (n,), sorted by seed; best: the one with most matches as plain values, or None; expected: what
    chance alone gives for the seeds that are done, and its spread."""

    survivors: npt.NDArray[np.void]
    best: dict[str, Any] | None
    verdict: statistics.Verdict
    expected: float
    sigma: float

    @property
    def strong(self) -> bool:
        """Whether the best survivor is no chance hit under the model (E <= 1e-3)."""
        return self.best is not None and self.best["log10_E"] <= statistics.STRONG_LOG10

    @property
    def z(self) -> float:
        """How many sigma the survivors are above what chance gives."""
        return statistics.z_score(len(self.survivors), self.expected, self.sigma)


def judge(
    search: Search, plan: Plan, hits: npt.NDArray[np.void], heldout: npt.NDArray[np.uint32], share: float
) -> Findings:
    """Check and weigh hits, HIT (n,) sorted by seed. heldout: the draws after the window, '<u4'; share: of the seeds
    that are done. Raises IntegrityError if the plain build does not find a hit: some device computes wrongly."""
    survivors = np.zeros(len(hits), SURVIVOR)
    for name in HIT.names or ():
        survivors[name] = hits[name]
    survivors["draws"] = len(search.draws)
    survivors["log10_p1"] = plan.tails[survivors["matches"]]
    survivors["log10_E"] = plan.log10_E_at(survivors["matches"])
    order = np.argsort(-survivors["matches"].astype(np.int64), kind="stable")[:VERIFY_MOST]
    survivors["verified"][order] = verify(search, hits[order])
    wrong = [int(survivors["seed"][i]) for i in order if not survivors["verified"][i]]
    if wrong:
        raise IntegrityError(
            f"the CPU device does not find {len(wrong)} of {len(order)} survivors (first: seed {wrong[0]}): a device "
            f"computed wrongly; the chunks table of the ledger names it, leave it out and search in another folder"
        )
    best = weigh(search, survivors[order[0]], heldout) if len(order) else None
    return Findings(
        survivors=survivors,
        best=best,
        verdict=statistics.verdict(best["log10_E"], best["confirmed"], best["verified"]) if best else "chance",
        expected=plan.expected_survivors * share,
        sigma=plan.sigma * share**0.5,
    )


def verify(search: Search, hits: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Whether the plain build finds each of these hits exactly so: bool (n,)."""
    device = CpuDevice(search.recipe, "reference")
    verified = np.zeros(len(hits), bool)
    for i, hit in enumerate(hits):
        seed = int(hit["seed"])
        again = device.sieve(search, seed, seed + 1)
        verified[i] = again is not None and len(again) == 1 and again[0] == hit
    return verified


def continued(search: Search, hit: np.void, first: int, count: int) -> npt.NDArray[np.uint32]:
    """What the seed of a hit gives for draws first .. first + count - 1 of the window continued: '<u4' (count,)."""
    stride, start = int(hit["skip"]) + 1, int(hit["offset"]) + int(hit["skip"])
    device = CpuDevice(search.recipe, "reference")
    span = (count - 1) * stride + 1
    seeds = np.array([hit["seed"]], np.uint64)
    outputs: npt.NDArray[np.uint32] = device.outputs(search, seeds, start + first * stride, span)[0][::stride]
    return outputs


def weigh(search: Search, survivor: np.void, heldout: npt.NDArray[np.uint32]) -> dict[str, Any]:
    """A survivor held against the draws after the window, as plain values; with what it would give next."""
    k, seen = len(search.draws), heldout[:HELDOUT_MOST]
    matched, log10_p = 0, 0.0
    if len(seen):
        matched = int((continued(search, survivor, k, len(seen)) == seen).sum())
        log10_p = statistics.confirmation(search.chances(seen), matched)
    values = {name: int(survivor[name]) for name in ("seed", "skip", "offset", "window_start", "matches", "draws")}
    return values | {
        "log10_p1": float(survivor["log10_p1"]),
        "log10_E": float(survivor["log10_E"]),
        "verified": bool(survivor["verified"]),
        "heldout": len(seen),
        "heldout_matches": matched,
        "heldout_log10_p": log10_p,
        "confirmed": log10_p <= statistics.CONFIRM_LOG10,
        "next_outputs": [int(v) for v in continued(search, survivor, k + len(heldout), PREDICT)],
    }


def histogram(search: Search, plan: Plan, found: Findings, share: float) -> tuple[npt.NDArray[Any], ...]:
    """Matches from need to k, seeds that reached so many, and hypotheses that would by chance; three arrays (k-need+1,)."""
    k = len(search.draws)
    observed = np.bincount(found.survivors["matches"], minlength=k + 1)[search.need :]
    expected = statistics.expected_histogram(search.chances(), plan.n_hypotheses)[search.need :] * share
    return np.arange(search.need, k + 1), observed, expected


_VERDICTS = {
    "found": "FOUND: the seed explains the window and draws that it was not chosen by",
    "strong": "STRONG: not chance under the model; more draws after the window would confirm it",
    "candidate": "CANDIDATE: one such survivor is no surprise; it needs more draws",
    "chance": "CHANCE: no more than luck gives",
}


def lines(
    search: Search, plan: Plan, found: Findings, asked: int, gaps: list[tuple[int, int]], fresh: int, wall: float
) -> list[tuple[str, str]]:
    """What to tell people: (key, text). gaps: not searched; fresh: seeds this run has done in `wall` seconds."""
    done = asked - sum(stop - start for start, stop in gaps)
    speed = f" ({rate(fresh / wall)}seeds/s)" if fresh else ""
    rows = [("searched", f"{format_count(done)} of {format_count(asked)} seeds, in {duration(wall)}{speed}")]
    rows += [("gap", f"seeds {start} to {stop - 1} are not searched") for start, stop in gaps[:5]]
    if len(gaps) > 5:
        rows.append(("gap", f"and {len(gaps) - 5} more; summary.json has all"))
    z = f", z = {found.z:+.1f}" if found.expected >= 5 else ""
    chance = format_count(float(found.expected))
    rows.append(("survivors", f"{format_count(len(found.survivors))}, where chance alone gives {chance}{z}"))
    best = found.best
    if best is None:
        hypotheses = format_log10(float(np.log10(float(plan.n_hypotheses))))
        text = f"none of {hypotheses} hypotheses reaches {search.need} of {len(search.draws)} matches; a true one would have"
        return [
            *rows,
            ("verdict", f"NOTHING so far: {done / asked:.1%} is searched" if gaps else f"NOTHING FOUND: {text}"),
        ]
    rows.append((
        "best", f"seed {best['seed']} ({best['seed']:#x}), skip {best['skip']}, offset {best['offset']}: "
        f"{best['matches']} of {best['draws']} draws, E = {format_log10(best['log10_E'])}"
    ))  # fmt: skip
    if best["heldout"]:
        p = format_log10(best["heldout_log10_p"])
        rows.append(("held out", f"{best['heldout_matches']} of {best['heldout']} later draws, by chance p = {p}"))
    if found.strong:
        rows.append(("next", " ".join(map(str, best["next_outputs"]))))
    return [*rows, ("verdict", _VERDICTS[found.verdict])]
