"""Floor 2: what the person at the terminal sees while a farm runs: a screen on a terminal, quiet lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from prng_mpi.comm import launched
from prng_mpi.farm import State
from prng_mpi.scheduler import Scheduler
from prng_mpi.statistics import format_count, z_score

SCREEN_SECONDS = 0.5
LINE_SECONDS = 10.0
ANNOUNCE_SECONDS = 5.0


def on_terminal(stream: TextIO) -> bool:
    """Whether `stream` ends at a person's terminal. mpirun gives every rank a terminal of its own, so the launch
    scripts look before and say so in PRNG_MPI_TTY."""
    said = os.environ.get("PRNG_MPI_TTY")
    return said == "1" if said is not None else launched() is None and stream.isatty()


def duration(seconds: float) -> str:
    """3 s, 4 m 05 s, 2 h 07 m, 3 d 04 h; `unknown` for what is longer than a century."""
    if not seconds < 3.2e9:
        return "unknown"
    s = round(seconds)
    for unit, size, below, small in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if s >= size:
            return f"{s // size} {unit} {s % size // small:02d} {below}"
    return f"{s} s" if seconds >= 10 else f"{seconds:.1f} s"


def rate(per_second: float) -> str:
    """A rate with a metric prefix: 176 k, 2.1 M, 3.40 G."""
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if per_second >= size:
            return f"{per_second / size:.3g} {prefix}"
    return f"{per_second:.3g} "


def say(stream: TextIO, rows: list[tuple[str, str]]) -> None:
    """Print rows of a key and a text; a key that repeats is printed once."""
    last = ""
    for key, text in rows:
        print(f"{key if key != last else '':<12} {text}", file=stream, flush=True)
        last = key


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of as many cells each as lines of aligned columns: a column of numbers to the right, others to the left."""
    lines = [""] * len(rows)
    for cells in zip(*rows, strict=True):
        width = max(map(len, cells))
        numbers = all(cell[:1].isdigit() or cell in ("", "-") for cell in cells[1:])
        lines = [
            f"{line}  {cell:>{width}}" if numbers else f"{line}  {cell:<{width}}"
            for line, cell in zip(lines, cells, strict=True)
        ]
    return [line.rstrip() for line in lines]


class Display:
    """Draws the farm's state. `before`: seeds and hits that earlier runs of this search have done."""

    def __init__(
        self,
        scheduler: Scheduler,
        asked: int,
        per_seed: int,
        expected: float,
        before: tuple[int, int],
        stream: TextIO | None = None,
        log: Callable[..., None] | None = None,
    ) -> None:
        self.scheduler, self.asked, self.per_seed, self.expected = scheduler, asked, per_seed, expected
        self.seeds_before, self.hits_before = before
        self.stream = stream or sys.stdout
        self.screen = on_terminal(self.stream)
        self._log = log
        self._drawn, self._events, self._next_log = 0, 0, 0.0
        self._announced: set[int] = set()
        # The first chunks are small and tell little of the speed to come.
        self._next = 0.0 if self.screen else time.monotonic() + 3

    def show(self, state: State) -> None:
        """Draw if it is time to."""
        now = time.monotonic()
        if now >= self._next_log and self._log:
            self._next_log = now + LINE_SECONDS
            self._log("progress", **self.numbers(state, now))
        self._announce(state, now)
        fresh, self._events = state.events[self._events :], len(state.events)
        for event in fresh:
            self._erase()
            print(f"! {event.kind}: {event.detail}", file=self.stream, flush=True)
        if self.screen:
            if now >= self._next or fresh:
                self._next = now + SCREEN_SECONDS
                self._erase()
                lines = self.lines(state, now)
                width = shutil.get_terminal_size((100, 24)).columns
                print("\n".join(line[: max(width, 40) - 1] for line in lines), file=self.stream, flush=True)
                self._drawn = len(lines)
        elif now >= self._next and self.scheduler.seeds_done:
            self._next = now + LINE_SECONDS
            print(self.total(state, now), file=self.stream, flush=True)

    def _announce(self, state: State, now: float) -> None:
        """Say which devices compute and why those, once all have reported or some keep the others waiting."""
        reported = {rank for rank, r in state.ranks.items() if r.card or r.trouble}
        if reported == self._announced or (len(reported) < len(state.ranks) and now - state.began < ANNOUNCE_SECONDS):
            return
        groups: dict[tuple[str, str], list[int]] = {}
        for rank in sorted(reported - self._announced):
            r = state.ranks[rank]
            lost = ", the token was lost before it" if r.card and r.card.token_lost else ""
            text = f"{r.card.device} on {r.card.host}" if r.card else f"not used: {r.trouble}"
            groups.setdefault((text, f" ({r.card.why}{lost})" if r.card else ""), []).append(rank)
        self._erase()
        for (text, why), ranks in groups.items():
            many = f"{len(ranks)} x " if len(ranks) > 1 else ""
            print(f"{'devices':<12} {many}{text}{why}", file=self.stream, flush=True)
        self._announced = reported

    def end(self) -> None:
        """Leave the last picture standing."""
        self._drawn = 0

    def _erase(self) -> None:
        if self._drawn:
            self.stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def numbers(self, state: State, now: float) -> dict[str, float | int | None]:
        """The same facts for a machine; eta in seconds, None while unknown."""
        done = self.seeds_before + self.scheduler.seeds_done
        speed = self.scheduler.total_speed
        return {
            "seeds_done": done,
            "seeds_asked": self.asked,
            "seeds_per_second": speed,
            "hypotheses_per_second": speed * self.per_seed,
            "eta_seconds": self.scheduler.remaining / speed if speed else None,
            "survivors": self.hits_before + state.hits,
            "expected_by_chance": self.expected * done / self.asked,
            "ranks": len(self.scheduler.live),
        }

    def total(self, state: State, now: float) -> str:
        """The whole run in one line."""
        n = self.numbers(state, now)
        done, expected, survivors = n["seeds_done"] or 0, n["expected_by_chance"] or 0.0, n["survivors"] or 0
        share, speed = done / self.asked, n["seeds_per_second"] or 0.0
        eta = duration(n["eta_seconds"]) if n["eta_seconds"] is not None else "unknown"
        z = f", z = {z_score(survivors, expected):+.1f}" if expected >= 5 else ""
        return (
            f"{share:6.1%}  {rate(speed)}seeds/s  {rate(speed * self.per_seed)}hypotheses/s  "
            f"ETA {eta}  survivors {format_count(int(survivors))}, by chance {format_count(float(expected))}{z}"
        )

    def lines(self, state: State, now: float) -> list[str]:
        """The screen: the whole, then one line for each rank."""
        share = (self.seeds_before + self.scheduler.seeds_done) / self.asked
        bar = "#" * int(30 * share)
        rows = [f"[{bar:.<30}] {duration(now - state.began)}", self.total(state, now)]
        rows.append(f"{'rank':>4}  {'host':<10} {'device':<26} {'seeds/s':>9}  {'ok/failed':>9}  {'idle':>5}  state")
        for rank, r in state.ranks.items():
            if r.card is None:
                rows.append(f"{rank:>4}  {r.trouble or 'starting'}")
                continue
            speed = self.scheduler.speed(rank)
            condition = r.trouble or ("silent" if rank in self.scheduler.silent else "run")
            rows.append(
                f"{rank:>4}  {r.card.host:<10.10} {r.card.device:<26.26} {rate(speed) if speed else '-':>9}  "
                f"{f'{r.chunks}/{r.failed}':>9}  {r.idle(now):5.0%}  {condition}"
            )
        return rows
