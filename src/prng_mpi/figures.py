"""Floor 2: the figures of a report, drawn by matplotlib, each with the numbers it shows; it alone owns matplotlib.

Colours are Okabe and Ito's, told apart by the colour-blind and, by shape or place, without any colour. A page replaces
them by variables of its own (`themed`), so one drawing serves on light and on dark."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from prng_mpi.errors import UsageError
from prng_mpi.learning import Measure
from prng_mpi.ledger import Attempt, gaps
from prng_mpi.progress import spread
from prng_mpi.statistics import clopper_pearson, format_count, format_log10, poisson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Floats = npt.NDArray[np.float64]

COLOURS = {
    "ink": "#1b1d21", "faint": "#7d838c", "grid": "#d3d7dd", "band": "#c9d3e0",
    "blue": "#0072b2", "orange": "#e69f00", "red": "#d55e00", "green": "#009e73",
    "paper": "#fefefe",
}  # fmt: skip
INK, FAINT, GRID, BAND, BLUE, ORANGE, RED, GREEN, PAPER = COLOURS.values()
WIDTH = 9.0
# Rows of devices that a figure has room for, bins of time, cells of a strip, candidates, paths, and features.
ROWS, BINS, CELLS, CANDIDATES, PATHS, FEATURES = 32, 100, 400, 15, 12, 20
# The least that a logarithmic axis of counts shows: 1 stands clear of it.
FLOOR = 0.3

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.5, "axes.edgecolor": FAINT, "axes.labelcolor": INK,
    "text.color": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False,
    "legend.fontsize": 9, "hatch.linewidth": 0.6, "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.facecolor": "none",
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A drawing as SVG, its title, what to expect of it if nothing is there, and its numbers as CSV."""

    name: str
    title: str
    note: str
    svg: str
    csv: str


def themed(figure: Figure) -> str:
    """The drawing for a page: its colours are var(--ink), ..., and no name of it is that of another drawing's part."""
    svg = figure.svg[figure.svg.index("<svg") :]
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{figure.name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    label = f'<svg role="img" aria-label="{figure.title}" preserveAspectRatio="xMidYMid meet"'
    return re.sub(r'\s(width|height)="[\d.]+pt"', "", svg.replace("<svg", label, 1), count=2)


@contextlib.contextmanager
def _drawing(
    height: float, rows: int = 1, columns: int = 1, **more: Any
) -> Iterator[tuple[Canvas, list[Axes], Callable[[], str]]]:
    """A canvas with axes in rows and columns, and what it looks like as SVG."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise UsageError(
            "a report needs matplotlib: pip install 'prng-mpi[report]', or launch/setup.sh mpi,report"
        ) from error
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "prng_mpi"}):
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        axes = [ax for row in canvas.subplots(rows, columns, squeeze=False, **more) for ax in row]

        def svg() -> str:
            out = io.StringIO()
            canvas.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
            return out.getvalue()

        yield canvas, axes, svg


def _csv(**columns: Any) -> str:
    """Columns of equal length as CSV with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True))
    return out.getvalue()


# -- what was found ---------------------------------------------------------------------------------------------------


def survivors(matches: npt.NDArray[np.int64], tails: Floats, need: int, hypotheses: float) -> Figure:
    """Survivors by matches over what chance gives.

    matches: of each survivor (n,); tails: log10 P(m or more), m = 0..k; hypotheses: that were searched."""
    k = len(tails) - 1
    observed = np.bincount(matches, minlength=k + 1)
    above = np.append(tails[1:], -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(np.isfinite(tails), 1 - 10.0 ** (above - tails), 0.0)
        log10_expected = tails + np.log10(rest) + np.log10(hypotheses)
    expected = 10.0**log10_expected
    low, high = (np.array([poisson_interval(e, 1.96)[side] for e in expected]) for side in (0, 1))
    last = k if k <= 80 else min(k, max(int(matches.max(initial=0)), need) + 10)
    m = np.arange(last + 1)
    kept = m >= need
    top = 4 * max(float(expected[: last + 1].max()), float(observed.max()), 25.0)
    with _drawing(3.7) as (_, (ax,), svg):
        ax.set(
            yscale="log",
            ylim=(FLOOR, top),
            xlim=(-0.7, last + 0.7),
            xlabel="draws of the window that a seed matches",
            ylabel="how many",
        )
        if need:
            ax.axvspan(-0.7, need - 0.5, color=GRID, alpha=0.45, lw=0)
            ax.axvline(need - 0.5, color=FAINT, lw=1, ls="--")
            ax.text(need - 0.6, top * 0.6, f"kept from {need} on ", ha="right", va="top", color=FAINT, fontsize=8.5)
        ax.fill_between(
            m,
            np.maximum(low, FLOOR)[m],
            np.maximum(high, FLOOR)[m],
            where=kept,
            step="mid",
            color=BAND,
            lw=0,
            label="95 % of what chance gives",
        )
        ax.plot(m, expected[m], color=INK, lw=1.3, marker=".", ms=5, label="expected by chance")
        bars = kept & (observed[m] > 0)
        ax.bar(
            m[bars],
            observed[m][bars] - FLOOR,
            0.62,
            bottom=FLOOR,
            color=BLUE,
            alpha=0.85,
            label="observed" if bars.any() else "",
        )
        empty = kept & (observed[m] == 0)
        for at in m[empty] if empty.sum() <= 45 else ():
            ax.text(at, FLOOR * 1.15, "0", ha="center", va="bottom", color=BLUE, fontsize=8)
        best = int(matches.max(initial=-1))
        if best >= 0:
            ax.annotate(f"best: {best} of {k}, where chance\ngives {format_log10(float(log10_expected[best]))}", (best, max(observed[best], 1)),
                        xytext=(-12 if best > last / 2 else 12, 26), textcoords="offset points",
                        ha="right" if best > last / 2 else "left", fontsize=9, arrowprops={"arrowstyle": "-", "color": FAINT})  # fmt: skip
        elif last > need - 1:
            ax.annotate("a true seed\nwould stand here", (k if k <= last else last, FLOOR * 2), xytext=(-10, 34), textcoords="offset points",
                        ha="right", fontsize=9, color=FAINT, arrowprops={"arrowstyle": "->", "color": FAINT})  # fmt: skip
        ax.locator_params(axis="x", integer=True)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        ax.grid(visible=False, axis="x")
        drawing = svg()
    return Figure(
        "survivors", "Survivors by matches, over what chance gives",
        "If nothing is there, the bars follow the line inside the band, and none stands alone to the right of it.",
        drawing, _csv(matches=m, observed=observed[m], expected=expected[m], band_low=low[m], band_high=high[m], kept=kept.astype(int)),
    )  # fmt: skip


def rates(
    names: Sequence[str], matches: Sequence[int], draws: Sequence[int], seen: Sequence[bool], chance: float
) -> Figure:
    """Share of draws that each candidate matches, with its 95 % interval. seen: whether it was chosen by these draws."""
    share = np.array(matches) / np.array(draws)
    ends = np.array([clopper_pearson(m, n) for m, n in zip(matches, draws, strict=True)])
    at = np.arange(len(names))[::-1]
    with _drawing(1.25 + 0.27 * len(names)) as (_, (ax,), svg):
        ax.axvline(chance, color=INK, lw=1.3, ls="--", label=f"chance: {chance:.2g}")
        for chosen, colour, marker, label in (
            (True, ORANGE, "D", "on the draws it was chosen by"),
            (False, BLUE, "o", "on draws it was not chosen by"),
        ):
            rows = np.array(seen) == chosen
            if rows.any():
                spans = np.abs(ends[rows].T - share[rows])
                ax.errorbar(
                    share[rows],
                    at[rows],
                    xerr=spans,
                    fmt=marker,
                    ms=6,
                    color=colour,
                    mfc="none" if chosen else colour,
                    capsize=3,
                    lw=1.4,
                    label=label,
                )
        ax.set(
            xlim=(-0.02, 1.02), ylim=(-0.7, len(names) - 0.3), xlabel="share of draws matched, with its 95 % interval"
        )
        ax.set_yticks(at, list(names), fontfamily="monospace", fontsize=8.5)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        ax.grid(visible=False, axis="y")
        drawing = svg()
    return Figure(
        "rates", "Match rate of the best survivors",
        "If nothing is there, a filled point (draws that did not choose the seed) holds the dashed line in its interval. Open "
        "points lie above it even then, since the seeds were chosen for that.",
        drawing, _csv(candidate=list(names), chosen_by_these=np.array(seen).astype(int), matches=list(matches), draws=list(draws),
                      rate=share, low=ends[:, 0], high=ends[:, 1], chance=[chance] * len(names)),
    )  # fmt: skip


def paths(names: Sequence[str], skips: npt.NDArray[np.uint32], matched: npt.NDArray[np.uint8]) -> Figure:
    """The skip before each draw, of the best survivors of a hybrid search; (n, k) each."""
    n, k = skips.shape
    with _drawing(1.2 + 0.32 * n) as (_, (ax,), svg):
        for row, column in itertools.product(range(n), range(k)):
            hit = bool(matched[row, column])
            ax.add_patch(
                _box(column, n - 1 - row, BLUE if hit else "none", BLUE if hit else FAINT, 0.18 if hit else 1.0)
            )
            ax.text(
                column,
                n - 1 - row,
                str(skips[row, column]) if hit else "x",
                ha="center",
                va="center",
                fontsize=min(8.5, 330 / k),
                color=INK if hit else RED,
            )
        ax.set(
            xlim=(-0.7, k - 0.3),
            ylim=(-0.7, n - 0.3),
            xlabel="draw of the window; outputs discarded before it, x where it is missed",
        )
        ax.set_yticks(np.arange(n)[::-1], list(names), fontfamily="monospace", fontsize=8.5)
        ax.grid(visible=False)
        ax.locator_params(axis="x", integer=True)
        drawing = svg()
    flat = {
        "candidate": np.repeat(np.array(names), k),
        "draw": np.tile(np.arange(k), n),
        "skip": skips.ravel(),
        "matched": matched.ravel(),
    }
    return Figure(
        "paths", "Paths: the skip before each draw",
        "If nothing is there, misses are spread over all rows, and the skips of a row have no pattern.", drawing, _csv(**flat),
    )  # fmt: skip


def _box(x: float, y: float, face: str, edge: str, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, facecolor=face, edgecolor=edge, lw=0.7, alpha=alpha)


# -- who did it, and when ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timeline:
    """Attempts of all runs on one axis of time on which pauses between runs are left out.

    rows: names of devices, those in the figure; row: of each attempt, begin, end: seconds on that axis, all (n,); seams:
    where a later run begins; left_out: devices that have no row."""

    attempts: tuple[Attempt, ...]
    rows: tuple[str, ...]
    row: npt.NDArray[np.int64]
    begin: Floats
    end: Floats
    seams: tuple[float, ...]
    left_out: int

    @property
    def length(self) -> float:
        return max(float(self.end.max(initial=0.0)), 1e-3)


def timeline(attempts: Sequence[Attempt]) -> Timeline:
    """Put attempts on an axis of time; devices with failures come first where not all have a row."""
    own: dict[tuple[int, str, str], int] = {}
    for a in attempts:
        own[a.rank, a.host, a.device] = own.get((a.rank, a.host, a.device), 0) + (
            a.outcome not in (None, "done", "duplicate")
        )
    shown = sorted(sorted(own, key=lambda key: -own[key])[:ROWS])
    kept = [a for a in attempts if (a.rank, a.host, a.device) in shown]
    issued = np.array([a.issued for a in kept], np.float64)
    # A lease without an answer counts to its run's end.
    ended = issued + np.array([a.seconds or 0.0 for a in kept])
    of_run = np.array([a.run for a in kept])
    seams, shift, at = [], np.zeros(len(kept)), 0.0
    for run in np.unique(of_run):
        mine = of_run == run
        first, last = float(issued[mine].min()), float(max(ended[mine].max(), issued[mine].max()))
        shift[mine] = at - first
        lost = mine & np.array([a.seconds is None for a in kept])
        ended[lost] = last
        seams.append(at)
        at += last - first
    row = np.array([shown.index((a.rank, a.host, a.device)) for a in kept], np.int64)
    names = tuple(f"{rank}  {host}  {device}"[:38] for rank, host, device in shown)
    return Timeline(tuple(kept), names, row, issued + shift, ended + shift, tuple(seams[1:]), len(own) - len(shown))


def _time_axis(t: Timeline) -> tuple[float, str]:
    """(seconds of a unit, its name) in which the axis reads well."""
    return next(
        (
            (size, name)
            for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))
            if t.length > 2 * size
        ),
        (1.0, "seconds"),
    )


def _seams(ax: Axes, t: Timeline, unit: float) -> None:
    for seam in t.seams:
        ax.axvline(seam / unit, color=FAINT, lw=1, ls=":")


def throughput(t: Timeline) -> Figure:
    """Seeds/s of each device over time, same scale, with failures and retries."""
    unit, name = _time_axis(t)
    edges = np.linspace(0, t.length, BINS + 1)
    done = np.array([a.outcome == "done" for a in t.attempts])
    seeds = np.array([a.stop - a.start for a in t.attempts], np.float64)
    of_row = [done & (t.row == row) for row in range(len(t.rows))]
    speed = np.array([spread(t.begin[own], t.end[own], seeds[own], edges) for own in of_row]) / np.diff(edges)
    prefix = next(
        ((size, p) for size, p in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")) if speed.max() >= size), (1.0, "")
    )
    with _drawing(0.95 + 0.62 * len(t.rows), len(t.rows), sharex=True, sharey=True) as (canvas, axes, svg):
        for row, ax in enumerate(axes):
            ax.stairs(speed[row] / prefix[0], edges / unit, fill=True, color=BLUE, alpha=0.75, lw=0)
            for outcomes, colour, marker, size in ((_failed, RED, "x", 34.0), (_retried, ORANGE, "^", 26.0)):
                at = np.array([outcomes(a) for a in t.attempts]) & (t.row == row)
                ax.scatter(
                    t.end[at] / unit,
                    np.full(at.sum(), speed.max() / prefix[0] * 0.92),
                    s=size,
                    color=colour,
                    marker=marker,
                    zorder=3,
                )
            ax.text(0.004, 0.97, t.rows[row], transform=ax.transAxes, va="top", fontsize=8.5)
            ax.set(ylim=(0, speed.max() / prefix[0] * 1.45), xlim=(0, t.length / unit))
            ax.locator_params(axis="y", nbins=2)
            _seams(ax, t, unit)
        axes[-1].set_xlabel(
            f"{name} of computing (x: a chunk failed, triangle: one was taken over; dotted: a later run)"
        )
        canvas.supylabel(f"{prefix[1]}seeds/s", fontsize=9.5)
        drawing = svg()
    middle = (edges[1:] + edges[:-1]) / 2
    rest = f" {t.left_out} more devices have no row here." if t.left_out else ""
    return Figure(
        "throughput", "Throughput of each device",
        f"If nothing is wrong, every row is flat and without crosses; gaps are time in which the device did not compute.{rest}", drawing,
        _csv(device=np.repeat(np.array(t.rows), BINS), seconds=np.tile(middle, len(t.rows)), seeds_per_second=speed.ravel()),
    )  # fmt: skip


def _failed(a: Attempt) -> bool:
    return a.outcome not in (None, "done", "duplicate", "lost")


def _retried(a: Attempt) -> bool:
    return a.outcome == "done" and a.attempt > 1


def chunks(t: Timeline, what: str = "Chunks", but: str = "") -> Figure:
    """When each device computed which chunk, and how it ended. what: chunks are, to people;
    but: when devices may pause."""
    unit, name = _time_axis(t)
    kinds = (("done", BLUE, "", lambda a: a.outcome in ("done", "duplicate") and a.attempt == 1), ("done after a failure elsewhere", ORANGE, "//", _retried),
             ("failed or late", RED, "xx", _failed), ("cut off with its run", FAINT, "--", lambda a: a.outcome == "lost"), ("running", GREEN, "..", lambda a: a.outcome is None))  # fmt: skip
    with _drawing(1.3 + 0.3 * len(t.rows)) as (_, (ax,), svg):
        for label, colour, hatch, is_kind in kinds:
            chosen = np.array([is_kind(a) for a in t.attempts])
            for row in range(len(t.rows)):
                bars = _joined(t.begin[chosen & (t.row == row)], t.end[chosen & (t.row == row)], t.length / 1500)
                if len(bars):
                    ax.broken_barh(
                        [(float(a), float(b - a)) for a, b in bars / unit], (len(t.rows) - 1 - row - 0.36, 0.72),
                        facecolor=colour, edgecolor=PAPER, lw=0.4, hatch=hatch or None,
                    )  # fmt: skip
            if chosen.any():
                ax.fill_between([], [], [], facecolor=colour, edgecolor=PAPER, hatch=hatch or None, label=label)
        _seams(ax, t, unit)
        ax.set(xlim=(0, t.length / unit), ylim=(-0.6, len(t.rows) - 0.4), xlabel=f"{name} of computing")
        ax.set_yticks(np.arange(len(t.rows))[::-1], list(t.rows), fontsize=8.5)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
        ax.grid(visible=False, axis="y")
        drawing = svg()
    table = {
        "device": [t.rows[r] for r in t.row], "run": [a.run for a in t.attempts], "lease": [a.lease for a in t.attempts], "first": [str(a.start) for a in t.attempts],
        "last": [str(a.stop - 1) for a in t.attempts], "begin": t.begin, "end": t.end, "attempt": [a.attempt for a in t.attempts],
        "outcome": [a.outcome or "running" for a in t.attempts],
    }  # fmt: skip
    return Figure(
        "chunks", f"{what}: who computed when",
        f"If nothing is wrong, rows are filled from end to end{but}, and all end at nearly the same time.", drawing, _csv(**table),
    )  # fmt: skip


def _joined(begin: Floats, end: Floats, near: float) -> Floats:
    """Bars (n, 2), those closer than `near` as one: a picture has no room for ten thousand."""
    if not len(begin):
        return np.zeros((0, 2))
    order = np.argsort(begin)
    begin, end = begin[order], np.maximum(end[order], begin[order] + near / 3)
    breaks = np.flatnonzero(begin[1:] > np.maximum.accumulate(end)[:-1] + near) + 1
    firsts, lasts = np.insert(breaks, 0, 0), np.append(breaks, len(begin)) - 1
    return np.stack([begin[firsts], np.maximum.accumulate(end)[lasts]], axis=1)


def memory(hosts: Mapping[str, Sequence[tuple[float, float]]], reserve: float) -> Figure:
    """Memory that hosts had available. hosts: of each (seconds, bytes); reserve: bytes that ranks leave alone."""
    shown = dict(itertools.islice(hosts.items(), ROWS))
    last = max(points[-1][0] for points in shown.values())
    styles = list(itertools.product(("-", "--", ":", "-."), (BLUE, ORANGE, GREEN, RED)))
    with _drawing(2.2) as (_, (ax,), svg):
        for number, (host, points) in enumerate(shown.items()):
            at, available = np.array(points).T
            line, colour = styles[number % len(styles)]
            ax.plot(at, available / 1e9, ls=line, marker="o", ms=3, color=colour, label=host)
        ax.axhline(reserve / 1e9, color=INK, lw=1, ls="--", label="left alone")
        ax.set(xlim=(0, last * 1.02), ylim=(0, None), xlabel="seconds of the last run", ylabel="available, GB")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6)
        drawing = svg()
    rest = f" {len(hosts) - len(shown)} more hosts have no line here." if len(hosts) > len(shown) else ""
    rows = [(host, *point) for host, points in shown.items() for point in points]
    return Figure(
        "memory", "Memory of the hosts",
        f"If nothing is wrong, lines are level and above the dashed one; one that falls will meet the OOM killer.{rest}", drawing,
        _csv(host=[r[0] for r in rows], seconds=[r[1] for r in rows], bytes_available=[r[2] for r in rows]),
    )  # fmt: skip


def coverage(done: Sequence[tuple[int, int]], asked: tuple[int, int]) -> Figure:
    """Which part of each cell of the range of seeds is done."""
    first, end = asked
    cells = min(CELLS, end - first)
    edges = [first + (end - first) * i // cells for i in range(cells + 1)]
    share = np.array(
        [1 - sum(b - a for a, b in gaps(done, lo, hi)) / (hi - lo) for lo, hi in itertools.pairwise(edges)]
    )
    with _drawing(1.35) as (_, (ax,), svg):
        ax.stairs(np.ones(cells), np.arange(cells + 1), fill=True, facecolor="none", edgecolor=RED, hatch="xx", lw=0)
        ax.stairs(share, np.arange(cells + 1), fill=True, color=BLUE, lw=0)
        ax.set(xlim=(0, cells), ylim=(0, 1), yticks=[], xlabel="seed (crossed: not searched)")
        places = [0, cells // 4, cells // 2, 3 * cells // 4, cells] if cells >= 4 else [0, cells]
        ax.set_xticks(places, [format_count(edges[i] - (i == cells)) for i in places])
        ax.grid(visible=False)
        drawing = svg()
    return Figure(
        "coverage", "Coverage of the seeds", "If nothing is missing, the strip is filled from end to end.", drawing,
        _csv(first=[str(e) for e in edges[:-1]], last=[str(e - 1) for e in edges[1:]], share_done=share),
    )  # fmt: skip


# -- what a study tried ------------------------------------------------------------------------------------------------------


def history(
    real: Floats, decoy: Floats | None, says: Sequence[str], line: float, line_says: str, unit: str, note: str
) -> Figure:
    """Objectives of trials in their order, nan where a trial failed, and the best so far.

    real, decoy: (n,), and what they are; line: a value to hold them against, and what it says; unit: of
    the objective; note: what to expect if nothing is there."""
    at = np.arange(len(real))
    kinds = [(says[0], real, BLUE, "o", BLUE, 4.5)]
    if decoy is not None:
        kinds.append((says[1], decoy, ORANGE, "D", "none", 6.5))
    values = np.concatenate([each for _, each, *_ in kinds])
    values = np.append(values[np.isfinite(values)], line)
    # A few that are worth much less than nothing do not push the others together.
    top, tenth = float(values.max()), float(np.quantile(values, 0.1))
    least = min(max(float(values.min()), tenth - 0.5 * (top - tenth)), line)
    room = 0.08 * (top - least) or 1.0
    with _drawing(3.7) as (_, (ax,), svg):
        ax.axhline(line, color=INK, lw=1.3, ls="--", label=line_says)
        for label, each, colour, marker, face, size in kinds:
            ax.step(
                at,
                np.fmax.accumulate(each),
                where="post",
                color=colour,
                lw=1.3,
                alpha=0.8,
                ls="-" if face == colour else ":",
            )
            shown = each >= least
            ax.plot(at[shown], each[shown], marker, ms=size, color=colour, mfc=face, ls="", label=label)
            below = each < least
            ax.plot(at[below], np.full(below.sum(), least - room / 2), "v", ms=size, color=colour, mfc=face, ls="")
        ax.set(ylim=(least - room, top + room), xlim=(-0.7, max(len(real) - 0.3, 1)), ylabel=unit,
               xlabel="trial (lines: the best so far; triangle: below the axis)")  # fmt: skip
        ax.locator_params(axis="x", integer=True)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        ax.grid(visible=False, axis="x")
        drawing = svg()
    columns = {"trial": at, "objective": real, "best": np.fmax.accumulate(real)}
    if decoy is not None:
        columns |= {"decoy": decoy, "decoy_best": np.fmax.accumulate(decoy)}
    return Figure("history", "Trials in their order", note, drawing, _csv(**columns, line=np.full(len(real), line)))


def parameters(
    names: Sequence[str], real: Sequence[Measure], decoy: Sequence[Measure], says: Sequence[str], note: str
) -> Figure:
    """How closely the objective follows each parameter of a study, and that of decoys; says: what these are."""
    order = np.argsort([-each.value for each in real], kind="stable")
    at = np.arange(len(names))[::-1]
    mine, theirs = [real[i] for i in order], [decoy[i] for i in order]
    with _drawing(1.3 + 0.3 * len(names)) as (_, (ax,), svg):
        ax.barh(at, [each.high for each in mine], 0.78, color=BAND, label="99 % of permuted objectives")
        ax.barh(at, [each.value for each in mine], 0.36, color=BLUE, alpha=0.85, label=says[0])
        ax.plot([each.value for each in theirs], at, "D", ms=6, color=ORANGE, mfc="none", mew=1.5, ls="", label=says[1])
        ax.set(xlim=(0, 1), ylim=(-0.7, len(names) - 0.3), xlabel="rank correlation of parameter and objective")
        ax.set_yticks(at, [names[i] for i in order], fontsize=8.5)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        ax.grid(visible=False, axis="y")
        drawing = svg()
    return Figure(
        "parameters", "Importance of the study's parameters",
        note,
        drawing, _csv(parameter=[names[i] for i in order], real=[each.value for each in mine], band_high=[each.high for each in mine],
                      p=[each.p for each in mine], decoy=[each.value for each in theirs]),
    )  # fmt: skip


# -- what models are worth -----------------------------------------------------------------------------------------------------

MEASURES = {
    "r2": "R², above 0 beats the mean", "auc": "AUC", "spearman": "Spearman's rank corr.", "top": "hits of the first-ranked",
}  # fmt: skip


def models(metrics: npt.NDArray[np.void]) -> Figure:
    """Measures of each model beside what permuted labels give. metrics: rows with model, chosen, and of each of MEASURES value,
    _low, _high, _p."""
    rows = metrics[np.argsort(-metrics["chosen"].astype(np.int64), kind="stable")]
    names = [name.decode() for name in rows["model"]]
    at = np.arange(len(rows))[::-1]
    with _drawing(1.5 + 0.42 * len(rows), columns=len(MEASURES), sharey=True) as (canvas, axes, svg):
        for ax, (measure, says) in zip(axes, MEASURES.items(), strict=True):
            low, high = rows[f"{measure}_low"], rows[f"{measure}_high"]
            ax.barh(at, high - low, 0.5, left=low, color=BAND, edgecolor=FAINT, lw=0.7, label="99 % of permuted labels")
            for chosen, marker, label in ((1, "o", "chosen before"), (0, "D", "others")):
                own = rows["chosen"] == chosen
                ax.plot(rows[measure][own], at[own], marker, ms=7, color=BLUE if chosen else ORANGE, ls="", label=label if own.any() else "",
                        mfc=BLUE if chosen else "none", mew=1.5)  # fmt: skip
            for y, p in zip(at, rows[f"{measure}_p"], strict=True):
                ax.text(
                    0.5,
                    y + 0.3,
                    f"p = {p:.2g}",
                    transform=ax.get_yaxis_transform(),
                    ha="center",
                    va="bottom",
                    fontsize=7.5,
                    color=FAINT,
                )
            ax.set(ylim=(-0.5, len(rows) - 0.3), xlabel=says)
            ax.margins(x=0.12)
            ax.locator_params(axis="x", nbins=3)
            ax.grid(visible=False, axis="y")
        axes[0].set_yticks(at, names, fontsize=9)
        canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
        drawing = svg()
    columns = [f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high", "_p")]
    return Figure(
        "models", "Models on the test, beside luck",
        "If nothing is there, points lie within their bands; one p in a hundred is below 0.01 by chance. One true stream among thousands "
        "moves R² and the first-ranked only.",
        drawing, _csv(model=names, chosen=rows["chosen"], **{name: rows[name] for name in columns}),
    )  # fmt: skip


def roc(curves: Mapping[str, npt.NDArray[np.void]], chosen: str) -> Figure:
    """Receiver operating characteristic of each model. curves: rows with ranked, positive, the last of them for all survivors."""
    total, positives = (int(curves[chosen][name][-1]) for name in ("ranked", "positive"))
    share = positives / max(total, 1)
    ranked = np.linspace(0, total, 101)
    # Of permuted labels the positives among the first-ranked are hypergeometric.
    spread = 2.576 * np.sqrt(ranked * share * (1 - share) * (total - ranked) / max(total - 1, 1))
    rates = {
        name: (
            (each["ranked"].astype(np.float64) - each["positive"]) / max(total - positives, 1),
            each["positive"] / max(positives, 1),
        )
        for name, each in curves.items()
    }
    with _drawing(4.6) as (_, (ax,), svg):
        ends = []
        for side in (1, -1):
            positive = np.clip(
                ranked * share + side * spread,
                np.maximum(0, ranked - (total - positives)),
                np.minimum(ranked, positives),
            )
            ends.append(
                np.stack([(ranked - positive) / max(total - positives, 1), positive / max(positives, 1)], axis=1)
            )
        ax.fill(*np.concatenate([ends[0], ends[1][::-1]]).T, color=BAND, lw=0, label="99 % of permuted labels")
        ax.plot([0, 1], [0, 1], color=INK, lw=1.2, ls="--", label="by chance")
        others = zip(
            [name for name in rates if name != chosen], ((ORANGE, "--"), (RED, ":"), (GREEN, "-.")), strict=False
        )
        for name, (colour, style) in others:
            ax.plot(*rates[name], color=colour, lw=1.2, ls=style, label=name)
        ax.plot(*rates[chosen], color=BLUE, lw=2, label=f"{chosen} (chosen)")
        ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel=f"share of the {total - positives} others",
               ylabel=f"share of the {positives} with more hits than luck")  # fmt: skip
        ax.legend(loc="center left", bbox_to_anchor=(1.03, 0.5))
        drawing = svg()
    names = np.repeat(np.array(list(rates)), [len(x) for x, _ in rates.values()])
    return Figure(
        "roc", "ROC: survivors with many hits against the others",
        "If nothing is there, the curve stays in the band around the dashed line. One true stream among thousands does not move it.",
        drawing, _csv(model=names, false_positive_rate=np.concatenate([x for x, _ in rates.values()]),
                      true_positive_rate=np.concatenate([y for _, y in rates.values()])),
    )  # fmt: skip


def calibration(groups: npt.NDArray[np.void], chosen: str) -> Figure:
    """Predicted and observed hits of survivors by rank. groups: (g,) of learning.CALIBRATION, of the chosen model."""
    at = np.arange(len(groups))
    names = [f"{a}" if a == b else f"{a} to {b}" for a, b in zip(groups["first"], groups["last"], strict=True)]
    floor, top = FLOOR, 3 * max(float(groups["high"].max()), float(groups["hits"].max()), 3.0)
    with _drawing(3.7) as (_, (ax,), svg):
        low = np.maximum(groups["low"], floor)
        ax.bar(
            at,
            np.maximum(groups["high"], floor) - low,
            0.6,
            bottom=low,
            color=BAND,
            lw=0,
            label="95 % if predictions are right",
        )
        ax.plot(at, np.maximum(groups["expected"], floor), "_", ms=26, mew=1.6, color=INK, ls="", label="predicted")
        ax.plot(at, np.maximum(groups["hits"], floor), "o", ms=7, color=BLUE, ls="", label="observed")
        for x, row in zip(at, groups, strict=True):
            ax.annotate(
                f"{row['hits']}",
                (x, max(row["hits"], floor)),
                xytext=(16, 0),
                textcoords="offset points",
                va="center",
                color=BLUE,
                fontsize=8.5,
            )
        ax.set(yscale="log", ylim=(0.8 * floor, top), xlim=(-0.6, len(at) - 0.4), ylabel="hits on the test",
               xlabel=f"survivors by the rank that {chosen} gives them")  # fmt: skip
        ax.set_xticks(at, names)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        ax.grid(visible=False, axis="x")
        drawing = svg()
    columns = ("first", "last", "predicted", "observed", "hits", "expected", "low", "high")
    return Figure(
        "calibration", "Calibration: predicted and observed hits",
        "If nothing is there, predictions of all ranks are those of chance, and points lie in their bands.",
        drawing, _csv(**{name: groups[name] for name in columns}),
    )  # fmt: skip


# -- what models look at ------------------------------------------------------------------------------------------------------


def importance(lost: Mapping[str, Floats], names: Sequence[str], chosen: str) -> Figure:
    """What models lose where a feature is shuffled. lost: of each model, log10 likelihood (F,); chosen: the model whose greatest
    FEATURES features are drawn, the greatest on top."""
    order = np.argsort(-lost[chosen], kind="stable")[:FEATURES]
    at = np.arange(len(order))[::-1]
    with _drawing(1.3 + 0.24 * len(order)) as (_, (ax,), svg):
        ax.axvline(0, color=INK, lw=1)
        ax.barh(at, lost[chosen][order], 0.62, color=BLUE, alpha=0.85, label=f"{chosen} (chosen)")
        markers = zip(
            [name for name in lost if name != chosen], ((ORANGE, "D"), (RED, "x"), (GREEN, "^")), strict=False
        )
        for name, (colour, marker) in markers:
            ax.plot(lost[name][order], at, marker, ms=5, color=colour, ls="", label=name)
        ax.set(ylim=(-0.7, len(order) - 0.3), xlabel="log10 likelihood lost where the feature is shuffled")
        ax.set_yticks(at, [names[i] for i in order], fontsize=8.5)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
        ax.grid(visible=False, axis="y")
        drawing = svg()
    models = list(lost)
    return Figure(
        "importance", "Importance of features",
        "If nothing is there, bars and marks lie on both sides of the line, a unit or two from it.", drawing,
        _csv(model=np.repeat(np.array(models), len(names)), feature=list(names) * len(models),
             log10_lost=np.concatenate([lost[name] for name in models])),
    )  # fmt: skip
