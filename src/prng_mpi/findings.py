"""Floor 2: from hits to a verdict. Survivors are checked by the plain build, the best is held against draws that the
search has not seen, and what was found is said in words and in records."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import hybrid, siblings, statistics
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.display import duration, rate
from prng_mpi.errors import DeviceError, IntegrityError
from prng_mpi.records import HIT, SURVIVOR
from prng_mpi.search import Form, Search, Side
from prng_mpi.statistics import Plan, format_count, format_log10
from prng_mpi.windows import Later

# Survivors that the plain build holds against the window once more, best first.
VERIFY_MOST = 100_000
# Outputs predicted after the history's end.
PREDICT = 20
# Survivors of a hybrid search whose paths are kept, best first.
PATHS_MOST = 1000


@dataclass(frozen=True, eq=False)
class Paths:
    """Of n survivors: row '<i8' (n,) in the survivors; skips '<u4' (n, k), outputs discarded since the draw before (behind:
    since the newer one), matched u1 (n, k), whether the draw is on the path. Draws of the side ahead come first."""

    row: npt.NDArray[np.int64]
    skips: npt.NDArray[np.uint32]
    matched: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Findings:
    """What a search has found so far.

    survivors: SURVIVOR (n,), sorted by seed; paths: of a hybrid search the skip before each draw and whether it matched,
    of each survivor that was verified, else None; best: the one with most matches as plain values, or None; expected: what
    chance alone gives for the seeds that are done, and its spread."""

    survivors: npt.NDArray[np.void]
    paths: Paths | None
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


def judge(search: Search, plan: Plan, hits: npt.NDArray[np.void], later: Later, share: float) -> Findings:
    """Check and weigh hits, HIT (n,) sorted by seed. share: of the seeds that are done. Raises IntegrityError if the plain
    build does not find a hit: some device computes wrongly."""
    survivors = np.zeros(len(hits), SURVIVOR)
    for name in HIT.names or ():
        survivors[name] = hits[name]
    if search.space:
        survivors["seed"] = search.space.seed(hits["seed"])
    survivors["draws"] = search.k
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
    paths = _paths(search, survivors, order) if search.misses is not None else None
    best = weigh(search, survivors[order[0]], later) if len(order) else None
    return Findings(
        survivors=survivors,
        paths=paths,
        best=best,
        verdict=statistics.verdict(best["log10_E"], best["confirmed"], best["verified"]) if best else "chance",
        expected=plan.expected_survivors * share,
        sigma=plan.sigma * share**0.5,
    )


def verify(search: Search, hits: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Whether the plain build finds each of these hits exactly so: bool (n,)."""
    device = _plain_build(search, search.form)
    verified = np.zeros(len(hits), bool)
    for i, hit in enumerate(hits):
        seed = int(hit["seed"])
        again = device.sieve(search, seed, seed + 1)
        verified[i] = again is not None and len(again) == 1 and again[0] == hit
    return verified


def prove(device: str, search: Search, hits: npt.NDArray[np.void]) -> None:
    """Raises DeviceError, which names the device, unless the plain build finds each of its hits."""
    wrong = hits["seed"][~verify(search, hits)]
    if len(wrong):
        raise DeviceError(f"{device} reports seed {wrong[0]}, which the plain build does not find")


@functools.lru_cache(maxsize=4)
def _plain_build(search: Search, form: Form) -> CpuDevice:
    """The reference device, opened once for all survivors of a search."""
    return CpuDevice(search.recipe, "reference", form)


def stream(search: Search, seed: int, first: int, count: int) -> npt.NDArray[np.uint32]:
    """Outputs `first`, which may be negative, to first + count - 1 of a seed: '<u4' (count,)."""
    device = _plain_build(search, ("LOOKS",) if first < 0 else search.form)
    outputs: npt.NDArray[np.uint32] = device.outputs(search, np.array([seed], np.uint64), first, count)[0]
    return outputs


def continued(search: Search, hit: np.void, calls: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """What the seed of a hit gives at calls, counted from the boundary before the window (1 is the first of it): '<u4' (n,)."""
    if not len(calls):
        return np.zeros(0, np.uint32)
    at = int(hit["offset"]) - 1 + calls * (int(hit["skip"]) + 1)
    first = int(at.min())
    return stream(search, int(hit["seed"]), first, int(at.max()) - first + 1)[at - first]


def weigh(search: Search, survivor: np.void, later: Later) -> dict[str, Any]:
    """A survivor held against draws that the search has not seen, as plain values; with what it would give next."""
    values = {name: int(survivor[name]) for name in ("seed", "skip", "offset", "window_start", "matches", "draws")} | {
        "log10_p1": float(survivor["log10_p1"]),
        "log10_E": float(survivor["log10_E"]),
        "verified": bool(survivor["verified"]),
    }
    seen = later.seen
    path: dict[str, Any] = {}
    after: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
    if search.misses is None:
        outputs = continued(search, survivor, seen.calls[:, 0] * (-1 if seen.behind else 1))
        matched = int(seen.accepts(outputs).sum())
        log10_p = statistics.confirmation(search.side_chances(seen), matched) if len(outputs) else 0.0
        if later.next_call is not None:
            after = continued(search, survivor, later.next_call + np.arange(PREDICT))
    else:
        walked = path_of(search, survivor)
        matched, log10_p = _walk_on(search, survivor, walked, seen)
        # Where the next draw stands depends on its skip: these are the outputs that it is one of.
        last = int(walked[0].outputs[-1]) if not search.sides[0].behind else int(survivor["offset"]) - 1
        after = stream(search, int(survivor["seed"]), last + 1, PREDICT)
        path = {"path": [int(s) for s in skips_of(search, survivor, walked)[0]]}
    return values | path | {
        "heldout": len(seen.draws),
        "heldout_matches": matched,
        "heldout_log10_p": log10_p,
        "confirmed": log10_p <= statistics.CONFIRM_LOG10,
        "next_outputs": [int(v) for v in after],
    }  # fmt: skip


def path_of(search: Search, survivor: np.void) -> list[hybrid.Path]:
    """The best path of a hybrid search's survivor over each side."""
    first, count = hybrid.span(search)
    outputs = stream(search, int(survivor["seed"]), first, count)
    return [hybrid.best_path(outputs, first, search, s, int(survivor["offset"])) for s in search.sides]


def skips_of(search: Search, survivor: np.void, paths: list[hybrid.Path]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(outputs discarded before each draw since its neighbour nearer to the boundary, or the offset; whether it matched)."""
    skips = []
    for s, path in zip(search.sides, paths, strict=True):
        away = path.outputs - int(survivor["offset"]) if not s.behind else int(survivor["offset"]) - 1 - path.outputs
        skips.append(np.diff(away, prepend=-1) - 1)
    return np.concatenate(skips), np.concatenate([path.matched for path in paths])


def _paths(search: Search, survivors: npt.NDArray[np.void], rows: npt.NDArray[np.int64]) -> Paths:
    rows = np.sort(rows[:PATHS_MOST])
    found = [skips_of(search, survivors[i], path_of(search, survivors[i])) for i in rows]
    shape = (len(rows), search.k)
    skips, matched = (np.array([f[j] for f in found], np.uint32).reshape(shape) for j in (0, 1))
    return Paths(rows, skips, matched.astype(np.uint8))


def _walk_on(search: Search, survivor: np.void, walked: list[hybrid.Path], seen: Side) -> tuple[int, float]:
    """(matches of the best way on from the survivor's path over draws it has not seen, log10 of what chance gives at most)."""
    near = [(s, path) for s, path in zip(search.sides, walked, strict=True) if s.behind == seen.behind]
    if not len(seen.draws) or not near:
        return 0, 0.0
    (side, path), misses = near[0], search.misses or 0
    # The path's last output takes the place of the boundary, with room below it for what lies behind.
    on = replace(seen, calls=seen.calls - side.calls[-1], need=1)
    room = int(on.calls.max()) * (search.skips[1] + 1) if seen.behind else 0
    rest = replace(search, offsets=(room, room), ahead=None if seen.behind else on, behind=on if seen.behind else None)
    first, count = hybrid.span(rest)
    outputs = stream(search, int(survivor["seed"]), first + int(path.outputs[-1]) + 1 - room, count)
    matches = int(hybrid.best_matches(outputs[None, :], first, rest)[0][0])
    expected = hybrid.side_expectations(search.side_chances(seen), rest.reach_of(on), misses)
    return matches, float(statistics.joint_tails([(expected, 0)])[matches])


def histogram(search: Search, plan: Plan, found: Findings, share: float) -> tuple[npt.NDArray[Any], ...]:
    """Matches from need to k, seeds that reached so many, and hypotheses that would by chance; three arrays (k-need+1,)."""
    k, least = search.k, search.least
    observed = np.bincount(found.survivors["matches"], minlength=k + 1)[least:]
    if search.plain:
        expected = statistics.expected_histogram(search.chances(), plan.n_hypotheses)[least:] * share
    else:
        tails = 10.0 ** plan.tails[least:]
        expected = -np.diff(tails, append=0.0) * float(plan.n_hypotheses) * share
    return np.arange(least, k + 1), observed, expected


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
    bound = plan.chance.kind == "bound"
    z = f", z = {found.z:+.1f}" if found.expected >= 5 and not bound else ""
    chance = "at most " * bound + format_count(float(found.expected))
    rows.append(("survivors", f"{format_count(len(found.survivors))}, where chance alone gives {chance}{z}"))
    best = found.best
    if best is None:
        hypotheses = format_log10(float(np.log10(float(plan.n_hypotheses))))
        text = f"none of {hypotheses} hypotheses reaches {search.least} of {search.k} matches; a true one would have"
        return [
            *rows,
            ("verdict", f"NOTHING so far: {done / asked:.1%} is searched" if gaps else f"NOTHING FOUND: {text}"),
        ]
    meaning = f": {best['meaning']}" if "meaning" in best else ""
    skip = f"skip {best['skip']}" if search.misses is None else f"skips {' '.join(map(str, best['path']))}"
    rows.append((
        "best", f"seed {best['seed']} ({best['seed']:#x}{meaning}), {skip}, offset {best['offset']}: "
        f"{best['matches']} of {best['draws']} draws, E {'=' if search.misses is None else '<='} {format_log10(best['log10_E'])}"
    ))  # fmt: skip
    if best["heldout"]:
        p = format_log10(best["heldout_log10_p"])
        rows.append(("held out", f"{best['heldout_matches']} of {best['heldout']} other draws, by chance p = {p}"))
    if found.strong and best["matches"] < best["draws"] and (clue := siblings.hint(search, best["seed"])):
        rows.append(("hint", clue))
    if found.strong:
        rows.append(("next" if search.misses is None else "stream", " ".join(map(str, best["next_outputs"]))))
    return [*rows, ("verdict", _VERDICTS[found.verdict])]
