"""Floor 2: what the person at the terminal sees while a farm runs: a screen on a terminal, quiet lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TextIO

import numpy as np

from prng_mpi.comm import launched
from prng_mpi.errors import ExitCode
from prng_mpi.farm import End, Farm, RankState, State
from prng_mpi.progress import RECENT, SETTLED, STRETCHES, Device, Forecast, Progress, forecast, shares
from prng_mpi.scheduler import Scheduler
from prng_mpi.statistics import format_count, z_score
from prng_mpi.store import EventLog

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
    """A rate with a metric prefix, three digits: 176 k, 21.0 M, 3.40 G."""
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if (value := per_second / size) >= 1:
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {prefix}"
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


def total(p: Progress) -> str:
    """A run in one line."""
    parts = [f"{p.done / p.asked:6.1%}", *_speeds(p), f"survivors {_survivors(p)}"]
    return "  ".join(parts if p.expected is not None else parts[:-1])


def picture(p: Progress, width: int, height: int) -> list[str]:
    """A run as a screen of at most that height: the whole, then a line for each device; where not all have room those in
    trouble and the slowest for what they are."""
    bar = "#" * int(30 * p.done / p.asked)
    rows = [
        f"[{bar:.<30}] {p.done / p.asked:6.1%}  {format_count(p.done)} of {format_count(p.asked)} {p.unit}, {duration(p.elapsed)}",
        *([f"{'speed':<12} {'  '.join(_speeds(p))}"] if p.per_second is not None else []),
        *([f"{'survivors':<12} {_survivors(p)}"] if p.expected is not None else []),
    ]
    shown = list(p.devices)
    if (room := max(height - len(rows) - 2, 1)) < len(shown):
        kept = sorted(shown, key=lambda d: (not d.troubled, d.share if d.share is not None else 1.0))[: room - 1]
        shown = [d for d in shown if d in kept]
    rows += table(shown, p.unit, width)
    if hidden := len(p.devices) - len(shown):
        troubled = sum(d.troubled for d in p.devices) - sum(d.troubled for d in shown)
        rows.append(f"      and {hidden} more{f', {troubled} of them in trouble' if troubled else ', all well'}")
    return rows


def table(devices: list[Device], unit: str, width: int) -> list[str]:
    """A header and a line for each device."""
    # What the other columns leave.
    room = max(width - 68 - max([4, *(len(d.host[:12]) for d in devices)]), 12)
    rows = [("rank", "host", "device", f"{unit}/s", "vs.prof", "ok/retry/fail", "audits", "idle", "state")]
    for d in devices:
        speed = rate(d.per_second) if d.per_second else "-"
        share, idle = (f"{x:.0%}" if x is not None else "-" for x in (d.share, d.idle))
        counts = f"{d.done}/{d.retried}/{d.failed}" if d.name else "-"
        audits = str(d.audits) if d.name else "-"
        rows.append((str(d.rank), d.host[:12], d.name[:room], speed, share, counts, audits, idle, d.state))
    return columns(rows)


def _speeds(p: Progress) -> list[str]:
    """What is done a second, and how long the rest takes."""
    if p.per_second is None:
        return []
    parts = [f"{rate(p.per_second)}{p.unit}/s"]
    if p.hypotheses > 1:
        parts.append(f"{rate(p.per_second * p.hypotheses)}hypotheses/s")
    eta = "unknown" if p.rest is None else duration(p.rest.seconds)
    if p.rest and p.rest.least is not None and p.rest.most is not None and eta != "unknown":
        eta += f" ({duration(p.rest.least)} to {duration(p.rest.most)})"
    return [*parts, f"ETA {eta}"]


def _survivors(p: Progress) -> str:
    if p.expected is None:
        return format_count(p.survivors)
    z = f", z = {z_score(p.survivors, p.expected, p.sigma):+.1f}" if p.expected >= 5 else ""
    return f"{format_count(p.survivors)}, by chance {format_count(float(p.expected))}{z}"


class Display:
    """Draws the farm's state. `before`: seeds and hits that earlier runs of this search have done; `sigma`: spread of the
    `expected` survivors; `looks`: how often someone asked to see the screen now, where there is no terminal."""

    def __init__(
        self,
        scheduler: Scheduler,
        asked: int,
        per_seed: int,
        expected: float,
        before: tuple[int, int],
        stream: TextIO | None = None,
        log: Callable[..., None] | None = None,
        sigma: float | None = None,
        looks: Callable[[], int] = lambda: 0,
    ) -> None:
        self.scheduler, self.asked, self.per_seed = scheduler, asked, per_seed
        self.expected, self.sigma = expected, expected**0.5 if sigma is None else sigma
        self.seeds_before, self.hits_before = before
        self.stream = stream or sys.stdout
        self.screen = on_terminal(self.stream)
        self._log = log
        self._drawn, self._events, self._next_log = 0, 0, 0.0
        self._looks, self._looked = looks, looks()
        self._state: State | None = None
        # When how many seeds were done, for the speed of the recent past.
        self._past: deque[tuple[float, int]] = deque()
        self._announced: set[int] = set()
        # The first chunks are small and tell little of the speed to come.
        self._next = 0.0 if self.screen else time.monotonic() + 3

    def show(self, state: State) -> None:
        """Draw if it is time to."""
        now, self._state = time.monotonic(), state
        self._remember(now)
        if now >= self._next_log:
            self._next_log = now + LINE_SECONDS
            self.note(state, now)
        self._announce(state, now)
        fresh, self._events = state.events[self._events :], len(state.events)
        for event in fresh:
            self._erase()
            print(f"! {event.kind}: {event.detail}", file=self.stream, flush=True)
        looked, self._looked = self._looked, self._looks()
        if self.screen:
            if now >= self._next or fresh:
                self._next = now + SCREEN_SECONDS
                self._draw(state, now)
        elif self._looked > looked:
            print("\n".join(self.lines(state, now)), file=self.stream, flush=True)
        elif now >= self._next and self.scheduler.seeds_done:
            self._next = now + LINE_SECONDS
            print(self.total(state, now), file=self.stream, flush=True)

    def note(self, state: State, now: float) -> None:
        """Put where the run is into its log."""
        if self._log:
            self._log("progress", **self.numbers(state, now), memory_available=dict(state.memory))

    def _announce(self, state: State, now: float) -> None:
        """Say which devices compute and why those, once all have reported or some keep the others waiting."""
        reported = {rank for rank, r in state.ranks.items() if r.card or r.trouble or r.lost}
        if reported == self._announced or (len(reported) < len(state.ranks) and now - state.began < ANNOUNCE_SECONDS):
            return
        groups: dict[tuple[str, str], list[int]] = {}
        for rank in sorted(reported - self._announced):
            r = state.ranks[rank]
            lost = ", the token was lost before it" if r.card and r.card.token_lost else ""
            text = f"{r.card.device} on {r.card.host}" if r.card else f"not used: {r.trouble or r.lost}"
            groups.setdefault((text, f" ({r.card.why}{lost})" if r.card else ""), []).append(rank)
        self._erase()
        for (text, why), ranks in groups.items():
            many = f"{len(ranks)} x " if len(ranks) > 1 else ""
            print(f"{'devices':<12} {many}{text}{why}", file=self.stream, flush=True)
        self._announced = reported

    def end(self) -> None:
        """Draw a last time, and leave that standing."""
        if self._drawn and self._state:
            self._draw(self._state, time.monotonic())
        self._drawn = 0

    def _draw(self, state: State, now: float) -> None:
        self._erase()
        width, height = shutil.get_terminal_size((100, 24))
        rows = [line[: max(width, 40) - 1] for line in self.lines(state, now)[: height - 1]]
        print("\n".join(rows), file=self.stream, flush=True)
        self._drawn = len(rows)

    def _erase(self) -> None:
        if self._drawn:
            self.stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def numbers(self, state: State, now: float) -> dict[str, float | int | None]:
        """The same facts for a machine; times in seconds, None while unknown."""
        p = self.progress(state, now)
        return {
            "seeds_done": p.done,
            "seeds_asked": p.asked,
            "seeds_per_second": p.per_second,
            "hypotheses_per_second": (p.per_second or 0.0) * p.hypotheses,
            "eta_seconds": p.rest.seconds if p.rest else None,
            "eta_least": p.rest.least if p.rest else None,
            "eta_most": p.rest.most if p.rest else None,
            "survivors": p.survivors,
            "expected_by_chance": p.expected,
            "ranks": len(self.scheduler.live),
        }

    def total(self, state: State, now: float) -> str:
        """The whole run in one line."""
        return total(self.progress(state, now))

    def lines(self, state: State, now: float) -> list[str]:
        """The screen: the whole, then one line for each rank."""
        width, height = shutil.get_terminal_size((100, 24))
        return picture(self.progress(state, now), width, height if self.screen else len(state.ranks) + 8)

    def progress(self, state: State, now: float) -> Progress:
        """The run as it is now."""
        done = self.seeds_before + self.scheduler.seeds_done
        share = done / self.asked
        speeds = {rank: self.scheduler.speed(rank) or 0.0 for rank, r in state.ranks.items() if r.card}
        weights = {rank: r.card.weight for rank, r in state.ranks.items() if r.card and speeds[rank]}
        parts = shares({rank: speeds[rank] for rank in weights}, weights)
        devices = [self._device(rank, r, speeds.get(rank), parts.get(rank), now) for rank, r in state.ranks.items()]
        return Progress(
            "seeds", self.asked, done, now - state.began, self.per_seed, self.scheduler.total_speed, self._rest(now),
            self.hits_before + state.hits, self.expected * share, self.sigma * share**0.5, tuple(devices),
        )  # fmt: skip

    def _device(self, rank: int, r: RankState, speed: float | None, share: float | None, now: float) -> Device:
        if r.card is None:
            condition = f"LOST: {r.lost}" if r.lost else f"NOT USED: {r.trouble}" if r.trouble else "starting"
            return Device(rank, "", "", condition)
        if r.lost:
            condition = f"LOST: {r.lost}"
        elif r.trouble:
            condition = f"SET ASIDE: {r.trouble}"
        elif rank in self.scheduler.silent:
            condition = "SILENT"
        else:
            condition = "run" if r.given is not None else "idle"
        return Device(
            rank, r.card.host, r.card.device, condition, speed or None, share, r.idle(now), r.chunks, r.retried, r.failed,
            r.seconds, r.audits,
        )  # fmt: skip

    def _remember(self, now: float) -> None:
        if not self._past or now - self._past[-1][0] >= 0.5:
            self._past.append((now, self.scheduler.seeds_done))
            while now - self._past[0][0] > RECENT:
                self._past.popleft()

    def _rest(self, now: float) -> Forecast | None:
        """How long the rest takes: by the speed of the devices, once that has settled by what was really done."""
        left, speed = self.scheduler.remaining, self.scheduler.total_speed
        if not speed:
            return None
        times, counts = np.array(self._past, np.float64).T
        if now - times[0] < SETTLED:
            return Forecast(left / speed)
        edges = np.linspace(times[0], now, STRETCHES + 1)
        return forecast(left, np.diff(np.interp(edges, times, counts)) / np.diff(edges))


def wind_up(farm: Farm, end: End, display: Display, events: EventLog, out: TextIO) -> bool:
    """After `Farm.lead`: end the job at once where the user asked so, else dismiss the ranks and close the screen. Whether
    every rank will hear of it."""
    if end is End.INTERRUPTED:
        # Someone is about to kill this process; what is done is on the disk.
        events.close({"reason": end.value, "exit_code": int(ExitCode.ABORTED)})
        display.end()
        say(out, [("stopped", "at once; the same command goes on where this run ended")])
        farm.comm.abort(ExitCode.ABORTED)
    heard = farm.dismiss()
    display.show(farm.state)
    display.note(farm.state, time.monotonic())
    display.end()
    return heard


def farewell(farm: Farm, end: End, heard: bool, code: ExitCode, none_left: str) -> None:
    """A run's last words to the person, where no rank was left to compute, or some never answered: for these the job ends."""
    if end in (End.NO_DEVICE, End.LOST):
        why = next((text for r in farm.state.ranks.values() if (text := r.lost or r.trouble)), "none reported in time")
        print(f"prng_mpi: {none_left} ({why}); the same command goes on from here", file=sys.stderr)
    if not heard:
        print("prng_mpi: some ranks never answered; the job is ended for them", file=sys.stderr, flush=True)
        farm.comm.abort(code)
