"""Floor 3: the report of a run, one HTML file that needs nothing else: verdict first, then why, then how it was had.

python -m prng_mpi.report results/java.nextInt-b690a51f"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from prng_mpi import figures, page, runs, step, study_pages
from prng_mpi.config import option
from prng_mpi.display import duration, rate
from prng_mpi.errors import ExitCode, UsageError
from prng_mpi.figures import Figure
from prng_mpi.page import ROWS, Page
from prng_mpi.runs import Run
from prng_mpi.statistics import format_count, format_log10, verdict, z_score
from prng_mpi.store import Results, open_results, write_text


@dataclass(frozen=True)
class ReportOptions:
    """Write the report of a run: one HTML file with verdict, evidence, figures and provenance, which needs no network."""

    STEP: ClassVar[str] = "report"

    folder: tuple[Path, ...] = option((), "folder of a run (--output-dir)", metavar="DIR", words=True)
    output: Path | None = option(None, "the file to write; not set: report.html in that folder", metavar="FILE")
    figures: bool = option(
        False, "also write each figure as SVG with its numbers as CSV, into a folder beside the report"
    )
    show_config: bool = option(False, "print every value and where it comes from, and exit")


@dataclass(frozen=True)
class Evidence:
    """What a report says about a run. results: None where the run has not written them, for then the ledger speaks.

    survivors: records with at least seed, skip, offset, matches, best first; log10_e: of each; tails: log10 of the chance of
    m or more matches, m = 0..k, or None where the run did not say."""

    run: Run
    results: Results | None
    survivors: npt.NDArray[np.void]
    log10_e: npt.NDArray[np.float64]
    best: dict[str, Any] | None
    tails: npt.NDArray[np.float64] | None

    @property
    def hypotheses(self) -> float:
        """Hypotheses that are searched so far."""
        return float(self.run.start.get("n_hypotheses", 0)) * self.run.n_done / self.run.n_asked

    @property
    def expected(self) -> float:
        return float(self.run.start.get("expected_by_chance", 0.0)) * self.run.n_done / self.run.n_asked

    @property
    def sigma(self) -> float:
        return float(self.run.start.get("sigma", 0.0)) * math.sqrt(self.run.n_done / self.run.n_asked)

    @property
    def best_e(self) -> str:
        """E of a match on all draws: what a true seed would have shown."""
        if self.tails is None:
            return "unknown"
        return format_log10(float(self.tails[-1]) + math.log10(self.run.start["n_hypotheses"]))

    @property
    def label(self) -> str:
        """The verdict's one word."""
        if self.run.summary is not None:
            return str(self.run.summary["verdict"])
        return verdict(self.best["log10_E"], False, False) if self.best else "chance"


def gather(run: Run) -> Evidence:
    """What the folder of a search says. Raises UsageError, IntegrityError."""
    folder = run.folder
    if run.unit != "seeds":
        raise UsageError(f"{folder} is no search of seeds; summary.json has what its step found")
    if not run.start:
        raise UsageError(
            f"{folder} has a ledger but no events.jsonl that says what was searched; give the run's command again"
        )
    # Without a summary a run did not finish, and results of an earlier one must not speak for it.
    results = open_results(folder) if run.summary is not None else None
    survivors = run.hits.copy() if results is None else results.survivors
    if results is None:
        survivors["seed"] = run.seeds
    survivors = survivors[np.argsort(-survivors["matches"].astype(np.int64), kind="stable")]
    tails = np.array([-np.inf if v is None else v for v in run.start["log10_p1"]], np.float64)
    log10_e = tails[survivors["matches"]] + math.log10(run.start["n_hypotheses"])
    return Evidence(run, results, survivors, log10_e, runs.best(run), tails)


def run(o: ReportOptions) -> ExitCode:
    """Write the report. Raises UsageError, IntegrityError."""
    if len(o.folder) != 1:
        raise UsageError(f"{len(o.folder)} folders are named; name the folder of one run")
    made = compose(o.folder[0])
    path = o.output or o.folder[0] / "report.html"
    write_text(path, page.html(made))
    print(f"report       {path}")
    if o.figures:
        beside = path.parent / f"{path.stem}-figures"
        beside.mkdir(exist_ok=True)
        for figure in made.figures:
            write_text(beside / f"{figure.name}.svg", figure.svg)
            write_text(beside / f"{figure.name}.csv", figure.csv)
        print(f"figures      {beside}: {', '.join(figure.name for figure in made.figures)}")
    return ExitCode.FOUND


def compose(folder: Path) -> Page:
    """The report of a run, whatever its step. Raises UsageError, IntegrityError."""
    said = runs.summary(folder / "summary.json")
    if said is not None and "steps" in said:
        return study_pages.pipeline(folder, said)
    run = runs.read(folder)
    if make := study_pages.PAGES.get(run.identity.get("step", "")):
        return make(run)
    evidence = gather(run)
    return search(evidence, draw(evidence))


def draw(e: Evidence) -> list[Figure]:
    """The figures that this run has something for."""
    run, drawn = e.run, []
    if e.tails is not None and e.hypotheses:
        drawn.append(
            figures.survivors(e.survivors["matches"].astype(np.int64), e.tails, run.start["need"], e.hypotheses)
        )
    if len(e.survivors) and e.tails is not None:
        top = e.survivors[: figures.CANDIDATES]
        names, matches = [f"{int(s['seed']):#x}" for s in top], [int(s["matches"]) for s in top]
        draws, seen = [run.start["draws"]] * len(top), [True] * len(top)
        if e.best and e.best.get("heldout"):
            names.insert(0, f"{e.best['seed']:#x}, other draws")
            matches.insert(0, e.best["heldout_matches"])
            draws.insert(0, e.best["heldout"])
            seen.insert(0, False)
        # The geometric mean over the draws, which are alike or nearly so.
        drawn.append(figures.rates(names, matches, draws, seen, 10.0 ** float(e.tails[-1] / (len(e.tails) - 1))))
    if e.results is not None and e.results.paths and len(e.results.paths["survivor"]):
        rows, stored = e.results.paths["survivor"], e.results.survivors
        order = np.argsort(-stored["matches"][rows].astype(np.int64), kind="stable")[: figures.PATHS]
        names = [f"{int(seed):#x}" for seed in stored["seed"][rows[order]]]
        drawn.append(figures.paths(names, e.results.paths["skips"][order], e.results.paths["matched"][order]))
    if any(a.outcome == "done" for a in run.attempts):
        time = figures.timeline(run.attempts)
        drawn += [figures.throughput(time), figures.chunks(time)]
    if any(len(seen) > 1 for seen in run.memory.values()):
        drawn.append(figures.memory(run.memory, tomllib.loads(run.start["config"])["memory_reserve"]))
    drawn.append(figures.coverage(run.done, run.asked))
    return drawn


# -- words ------------------------------------------------------------------------------------------------------------

_SAID = {
    "found": ("A seed is found", "It explains the window and draws that it was not chosen by."),
    "strong": ("Not chance under the model", "Draws after the window would confirm it."),
    "candidate": ("A candidate", "One such survivor is no surprise; it needs more draws."),
    "chance": ("No more than chance gives", ""),
}


def headline(e: Evidence) -> tuple[str, list[str]]:
    """The verdict as a title and sentences."""
    run, best = e.run, e.best
    title, sentence = _SAID[e.label]
    draws, need = run.start["draws"], run.start["need"]
    survivors, chance = format_count(len(e.survivors)), format_count(e.expected)
    rows = []
    if best is None:
        title = "Nothing found"
        rows.append(
            f"None of {format_count(e.hypotheses)} hypotheses matches {need} of {draws} draws; chance alone would leave {chance} seeds."
        )
        rows.append(f"A true seed among those searched would have shown {draws} of {draws}, with E = {e.best_e}.")
    else:
        meaning = f": {best['meaning']}" if "meaning" in best else ""
        # Of a skip that varies the chance is a bound.
        most = "at most " if "misses" in run.identity else ""
        of_chance = e.label in ("chance", "candidate")
        counts = f"{survivors} seeds survive where chance alone leaves {chance}{_sigmas(e)}."
        if of_chance:
            rows += [counts, f"A true seed would have shown {draws} of {draws}, with E = {e.best_e}."]
        rows.append(
            f"{'The best is seed' if of_chance else 'Seed'} {best['seed']} ({best['seed']:#x}{meaning}) of {run.identity['recipe']}, "
            f"{_where(best)}: it matches {best['matches']} of {draws} draws. Chance alone gives {most}{format_log10(best['log10_E'])} "
            "survivors this good (that is E)."
        )
        if best.get("heldout"):
            p = format_log10(best["heldout_log10_p"])
            rows.append(
                f"Of {best['heldout']} other draws, which did not choose it, it matches {best['heldout_matches']} (by chance p = {p})."
            )
        rows.append(sentence)
        if not of_chance and len(e.survivors) > 1:
            rows.append(counts)
    missed = (run.summary or {}).get("missed_by_method", 0.0)
    if missed:
        rows.append(f"The method misses a true seed with probability {missed:.1e}.")
    if run.gaps:
        title = f"{title}, so far"
        rows.append(
            f"Only {run.n_done / run.n_asked:.1%} of the seeds are searched ({run.state}); the same command goes on from here."
        )
    return title, [row for row in rows if row]


def _where(best: dict[str, Any]) -> str:
    if "path" in best:
        return f"skips {' '.join(map(str, best['path']))}, offset {best['offset']}"
    return f"skip {best['skip']}, offset {best['offset']}"


def _sigmas(e: Evidence) -> str:
    if e.expected < 5:
        return ""
    return f" ± {format_count(e.sigma)} (z = {z_score(len(e.survivors), e.expected, e.sigma):+.1f})"


def _facts(e: Evidence) -> list[tuple[str, str]]:
    run, identity = e.run, e.run.identity
    device_seconds = sum(chunk.seconds for chunk in run.chunks)
    least, most = identity["skips"]
    skips = f"skips {least} to {most}" + (", another before each draw" if "misses" in identity else "")
    return [
        ("recipe", f"{identity['recipe']}, modulus {identity['modulus']}: {run.start.get('title', '')}"),
        ("seeds", f"{run.asked[0]} to {run.asked[1] - 1}: {format_count(run.n_done)} of {format_count(run.n_asked)} searched"),
        ("hypotheses", f"{format_count(e.hypotheses)}: {skips}, offsets {identity['offsets'][0]} to {identity['offsets'][1]}; "
                       f"{run.start['need']} of {run.start['draws']} draws must match"),
        ("survivors", f"{format_count(len(e.survivors))}, by chance {format_count(e.expected)}{_sigmas(e)}"),
        ("method", str(run.start.get("method", ""))),
        ("trust", "; ".join(runs.trust_lines(runs.trust(run.audits, run.chunks, run.unchecked)))),
        ("time", f"{duration(run.ended - run.began)} in the last run, {duration(device_seconds)} on devices"
                 + (f", {rate(run.n_done / device_seconds)}seeds/s a device" if device_seconds else "")),
        page.ended(run),
    ]  # fmt: skip


# -- the page ---------------------------------------------------------------------------------------------------------


def search(e: Evidence, drawn: Sequence[Figure]) -> Page:
    """The report of a search."""
    title, sentences = headline(e)
    run, outputs = e.run, ""
    if e.best and e.best.get("next_outputs") and e.label in ("strong", "found"):
        what = (
            "Outputs after the last draw; the next draws are among them" if "path" in e.best else "What it gives next"
        )
        outputs = f'<h2>{what}</h2><p class="next">{" ".join(map(str, e.best["next_outputs"]))}</p>'
    attributes = e.results.attributes if e.results is not None else {}
    return Page(
        f"{run.identity['recipe']} [{run.search[:8]}], {run.folder}", e.label, e.label, title, tuple(sentences), tuple(_facts(e)), tuple(drawn),
        outputs, _candidates(e) + _missing(run) + page.troubles(run) + page.devices(run) + page.provenance(run, attributes, "search"),
    )  # fmt: skip


def _candidates(e: Evidence) -> str:
    if not len(e.survivors):
        return ""
    run, best = e.run, e.best or {}
    size = f"{math.log2(run.start['n_hypotheses']):.1f}"
    verified = e.survivors["verified"] if e.results is not None else np.zeros(len(e.survivors), np.uint8)
    rows = []
    for i, s in enumerate(e.survivors[:ROWS]):
        is_best = (int(s["seed"]), int(s["matches"])) == (best.get("seed"), best.get("matches"))
        held = best.get("heldout") if is_best else 0
        judged = e.label if is_best else verdict(float(e.log10_e[i]), False, bool(verified[i]))
        rows.append((
            f"{int(s['seed']):#x}", judged, run.identity["recipe"], "path" if "path" in best else int(s["skip"]), int(s["offset"]), run.start["draws"],
            int(s["matches"]), f"{e.tails[s['matches']]:.1f}" if e.tails is not None else "", size, format_log10(float(e.log10_e[i])),
            f"{best['heldout_matches']}/{held}" if held else "", f"{best['heldout_log10_p']:.1f}" if held else "",
            "yes" if verified[i] else "no", " ".join(map(str, best.get("next_outputs", [])[:5])) if is_best else "",
        ))  # fmt: skip
    heads = (
        "seed", "label", "recipe", "skip", "offset", "n", "k", "log10 p1", "log2 N", "E", "other draws", "log10 p", "verified",
        "next outputs",
    )  # fmt: skip
    more = (
        f"<p>The {ROWS} best of {format_count(len(e.survivors))}; results.h5 has all.</p>"
        if len(e.survivors) > ROWS
        else ""
    )
    note = "<p>n: draws in the window; k: matched; p1: chance of one hypothesis; N: hypotheses; E: N times p1; other draws: matched of those that did not choose it, with its chance p.</p>"
    return f"<h2>Candidates</h2>{page.table(heads, rows, {0, 1, 2, 13})}{note}{more}"


def _missing(run: Run) -> str:
    gaps = [f"seeds {a} to {b - 1}: {format_count(b - a)}" for a, b in run.gaps]
    listed = "".join(f"<li>{gap}</li>" for gap in gaps[: page.GAPS])
    more = f"<li>and {len(gaps) - page.GAPS} more</li>" if len(gaps) > page.GAPS else ""
    return f"<h2>Not searched</h2><ul>{listed}{more}</ul>" if gaps else ""


if __name__ == "__main__":
    step.alone(ReportOptions, run)
