"""Floor 3: which seeds of a search are done, over one folder or several, and which are not.

python -m prng_mpi.coverage here/run there/run --into merged"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from prng_mpi import runs, step
from prng_mpi.config import option
from prng_mpi.display import say
from prng_mpi.errors import ExitCode, IntegrityError, UsageError
from prng_mpi.ledger import Chunk, Ledger, gaps, identity_hash, merge, sort_hits
from prng_mpi.runs import Run
from prng_mpi.statistics import STRONG_LOG10, format_count, format_log10, z_score
from prng_mpi.store import to_json

SCHEMA_VERSION = 1
# Gaps that are told in words, and cells of the strip; --json has all.
TOLD, CELLS = 10, 60


@dataclass(frozen=True)
class CoverageOptions:
    """Show which seeds of a search are done and which are not; several folders of the same search count together."""

    STEP: ClassVar[str] = "coverage"

    folder: tuple[Path, ...] = option((), "folders of runs (--output-dir)", metavar="DIR", words=True)
    into: Path | None = option(None, "put what is done in all of them into this new folder; the sieve's command goes on from there",
                               metavar="DIR")  # fmt: skip
    json: bool = option(False, "print one JSON object on one line")
    show_config: bool = option(False, "print every value and where it comes from, and exit")


@dataclass(frozen=True)
class Coverage:
    """What several runs of one search have done together. identity: that of a run over all their seeds; twice: seeds that
    more than one of them has done; hits: HIT (n,), each once."""

    identity: dict[str, Any]
    asked: tuple[int, int]
    done: list[tuple[int, int]]
    twice: int
    hits: npt.NDArray[np.void]
    expected: float | None
    sigma: float | None
    log10_E: float | None  # noqa: N815

    @property
    def gaps(self) -> list[tuple[int, int]]:
        return gaps(self.done, *self.asked)

    @property
    def seeds_done(self) -> int:
        return sum(stop - start for start, stop in self.done)

    @property
    def exit_code(self) -> ExitCode:
        """6 with gaps; else 0 where a survivor is no chance hit (E <= 1e-3), 1 where none is."""
        if self.gaps:
            return ExitCode.GAPS
        strong = self.log10_E is not None and self.log10_E <= STRONG_LOG10
        return ExitCode.FOUND if strong else ExitCode.NOTHING_FOUND


def together(looks: Sequence[Run]) -> Coverage:
    """Runs of one search taken together.

    Raises:
        UsageError: they are of different searches; the seeds asked for may differ, and nothing else.
        IntegrityError: two of them have other survivors of the same seeds.
    """
    first = looks[0]
    for other in looks:
        if other.unit != "seeds":
            raise UsageError(f"{other.folder} is no search of seeds; coverage has nothing to say of it")
        _same(first, other)
    for one, other in itertools.combinations(looks, 2):
        _agree(one, other)
    asked = (min(look.asked[0] for look in looks), max(look.asked[1] for look in looks))
    hits = np.unique(sort_hits(np.concatenate([look.hits for look in looks])))
    done = merge(pair for look in looks for pair in look.done)
    total = sum(stop - start for start, stop in done)
    # Chance is the same for every seed, so what one run expects of its seeds tells what all do.
    told = next((look for look in looks if "log10_p1" in look.start), None)
    expected = sigma = e = None
    if told is not None:
        expected = told.start["expected_by_chance"] * total / told.n_asked
        sigma = told.start["sigma"] * (total / told.n_asked) ** 0.5
        if len(hits):
            there = runs.log10_e(told.start, int(hits["matches"].max()))
            e = None if there is None else there + float(np.log10((asked[1] - asked[0]) / told.n_asked))
    identity = {**first.identity, "seeds": list(asked)}
    return Coverage(identity, asked, done, sum(look.n_done for look in looks) - total, hits, expected, sigma, e)


def merge_into(folder: Path, looks: Sequence[Run], covered: Coverage) -> None:
    """A new ledger of all that is done in `looks`, each seed once, with who did it. Raises UsageError if there is one."""
    path = folder / "ledger.sqlite"
    if path.exists():
        raise UsageError(f"{folder} holds a run already; name a new folder with --into")
    with Ledger.open(path, covered.identity) as ledger:
        for look in looks:
            for chunk in look.chunks:
                for start, stop in gaps(ledger.done(), chunk.start, chunk.stop):
                    _copy(ledger, chunk, start, stop, look.hits)


def _copy(ledger: Ledger, chunk: Chunk, start: int, stop: int, hits: npt.NDArray[np.void]) -> None:
    """What [start, stop) of a chunk gave."""
    ledger.commit(
        start, stop, chunk.rank, _inside(hits, start, stop), host=chunk.host, device=chunk.device, attempt=chunk.attempt,
        seconds=chunk.seconds * (stop - start) / (chunk.stop - chunk.start),
    )  # fmt: skip


def _inside(hits: npt.NDArray[np.void], start: int, stop: int) -> npt.NDArray[np.void]:
    # `hits` are sorted by seed; the last seed and not the end, which may be 2**64.
    first, last = (
        np.searchsorted(hits["seed"], np.uint64(start)),
        np.searchsorted(hits["seed"], np.uint64(stop - 1), "right"),
    )
    return hits[first:last]


def _same(one: Run, other: Run) -> None:
    here, there = ({k: v for k, v in run.identity.items() if k != "seeds"} for run in (one, other))
    if identity_hash(here) != identity_hash(there):
        differ = sorted(key for key in {*here, *there} if here.get(key) != there.get(key))
        raise UsageError(
            f"{one.folder} and {other.folder} are different searches ({', '.join(differ)} differ); only runs of the same "
            "search count together"
        )


def _agree(one: Run, other: Run) -> None:
    both = merge((max(a, c), min(b, d)) for a, b in one.done for c, d in other.done if max(a, c) < min(b, d))
    for start, stop in both:
        if not np.array_equal(_inside(one.hits, start, stop), _inside(other.hits, start, stop)):
            raise IntegrityError(
                f"{one.folder} and {other.folder} have other survivors of the same seeds {start} to {stop - 1}: a device "
                "computed wrongly; search these seeds again on another device and leave that folder out"
            )


def strip(covered: Coverage) -> str:
    """The range asked for as a line of cells: # done, + in part, . not done."""
    first, end = covered.asked
    cells = min(CELLS, end - first)
    edges = [first + (end - first) * i // cells for i in range(cells + 1)]
    left = [
        sum(b - a for a, b in gaps(covered.done, start, stop) if a < b) for start, stop in itertools.pairwise(edges)
    ]
    full = [b - a for a, b in itertools.pairwise(edges)]
    return "".join("#" if not gone else "." if gone == whole else "+" for gone, whole in zip(left, full, strict=True))


def run(o: CoverageOptions) -> ExitCode:
    """Tell what is done; the exit code of a run that had done so much. Raises UsageError, IntegrityError."""
    if not o.folder:
        raise UsageError("no folder is named; name the folders of runs of one search")
    looks = [runs.read(folder) for folder in o.folder]
    covered = together(looks)
    if o.into is not None:
        merge_into(o.into, looks, covered)
    if o.json:
        print(to_json(record(looks, covered)))
    else:
        say(sys.stdout, lines(looks, covered, o.into))
    return covered.exit_code


def record(looks: Sequence[Run], covered: Coverage) -> dict[str, Any]:
    """Coverage as plain values, schema SCHEMA_VERSION; docs/results.md describes each."""
    return {
        "schema": SCHEMA_VERSION,
        "kind": "coverage",
        "folders": [str(look.folder) for look in looks],
        "search": identity_hash(covered.identity),
        "recipe": covered.identity["recipe"],
        "asked": covered.asked,
        "seeds_asked": covered.asked[1] - covered.asked[0],
        "seeds_done": covered.seeds_done,
        "seeds_done_twice": covered.twice,
        "done": covered.done,
        "gaps": covered.gaps,
        "survivors": len(covered.hits),
        "expected_by_chance": covered.expected,
        "best_log10_E": covered.log10_E,
        "exit_code": int(covered.exit_code),
    }


def lines(looks: Sequence[Run], covered: Coverage, into: Path | None) -> list[tuple[str, str]]:
    """Coverage for people."""
    asked, done = covered.asked[1] - covered.asked[0], covered.seeds_done
    again = f", {format_count(covered.twice)} of them more than once, with the same survivors" if covered.twice else ""
    rows = [
        (
            "search",
            f"{covered.identity['recipe']}, modulus {covered.identity['modulus']}  [{identity_hash(covered.identity)[:8]}]",
        ),
        *(
            ("folder", f"{look.folder}: {look.state}, {format_count(look.n_done)} of {format_count(look.n_asked)}")
            for look in looks
        ),
        ("asked", f"seeds {covered.asked[0]} to {covered.asked[1] - 1}: {format_count(asked)}"),
        ("done", f"{format_count(done)} ({done / asked:.1%}){again}"),
        ("", f"[{strip(covered)}]"),
    ]
    left = covered.gaps
    rows += [("gap", f"seeds {a} to {b - 1}: {format_count(b - a)}") for a, b in left[:TOLD]]
    if len(left) > TOLD:
        rows.append(("gap", f"and {len(left) - TOLD} more; --json has all"))
    z = ""
    if covered.expected is not None:
        z = f", where chance alone gives {format_count(float(covered.expected))}"
        if covered.expected >= 5:
            z += f", z = {z_score(len(covered.hits), covered.expected, covered.sigma):+.1f}"
    best = "" if covered.log10_E is None else f"; the best has E = {format_log10(covered.log10_E)}"
    rows.append(("survivors", f"{format_count(len(covered.hits))}{z}{best}"))
    if into is not None:
        first, end = covered.asked
        rows.append(
            (
                "merged",
                f"{into}: the sieve's command with --seed-start {first} --seed-end {end} --output-dir {into} goes on there",
            )
        )
    return rows


if __name__ == "__main__":
    step.alone(CoverageOptions, run)
