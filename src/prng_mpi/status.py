"""Floor 3: the status of a run, from any shell, while it goes on or after: how far, how fast, what it found, what went wrong.

python -m prng_mpi.status results/java.nextInt-b690a51f --follow"""

from __future__ import annotations

import dataclasses
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from prng_mpi import runs, step
from prng_mpi.config import option
from prng_mpi.display import on_terminal, picture, total
from prng_mpi.errors import ExitCode, UsageError
from prng_mpi.runs import Run
from prng_mpi.statistics import format_log10, z_score
from prng_mpi.store import to_json

SCHEMA_VERSION = 2
# Troubles that are told in words; --json has all.
TOLD = 10


@dataclass(frozen=True)
class StatusOptions:
    """Say how far a run is, how fast, what it found and what went wrong; from any shell, without MPI, disturbing nothing."""

    STEP: ClassVar[str] = "status"

    folder: tuple[Path, ...] = option((), "folder of a run (--output-dir)", metavar="DIR", words=True)
    follow: bool = option(False, "go on until the run ends: a screen on a terminal, a line each time elsewhere")
    interval: float = option(2.0, "seconds between two looks of --follow", minimum=0.1)
    json: bool = option(False, "one JSON object a look, on one line")
    show_config: bool = option(False, "print every value and where it comes from, and exit")


def run(o: StatusOptions) -> ExitCode:
    """Look once, or until the run ends. Raises UsageError, IntegrityError."""
    if len(o.folder) != 1:
        raise UsageError(f"{len(o.folder)} folders are named; name the folder of one run (coverage takes several)")
    screen, drawn = o.follow and not o.json and on_terminal(sys.stdout), 0
    while True:
        look = runs.read(o.folder[0])
        goes_on = o.follow and look.pid is not None
        if o.json:
            print(to_json(record(look)), flush=True)
        elif goes_on and not screen:
            print(total(runs.progress(look)), flush=True)
        else:
            width, height = shutil.get_terminal_size((120, 50))
            rows = lines(look, width, height if screen else 10_000)
            if screen:
                rows = [row[: max(width, 40) - 1] for row in rows[: height - 1]]
                print(f"\x1b[{drawn}A\x1b[J" if drawn else "", end="")
            print("\n".join(rows), flush=True)
            drawn = len(rows)
        if not goes_on:
            return ExitCode.FOUND
        time.sleep(o.interval)


def record(look: Run) -> dict[str, Any]:
    """A look as plain values, schema SCHEMA_VERSION; docs/results.md describes each. Times in seconds; None: not known."""
    p, summary = runs.progress(look), look.summary or {}
    expected = p.expected
    return {
        "schema": SCHEMA_VERSION,
        "kind": "status",
        "time": datetime.fromtimestamp(look.now, UTC).isoformat(timespec="milliseconds"),
        "folder": str(look.folder),
        "search": look.search,
        "step": look.identity.get("step", "sieve"),
        "recipe": look.identity.get("recipe"),
        "state": look.state,
        "process": look.pid,
        "exit_code": summary.get("exit_code"),
        "verdict": summary.get("verdict"),
        "unit": p.unit,
        "asked": p.asked,
        "done": p.done,
        "gaps": look.gaps,
        "per_second": p.per_second,
        "hypotheses_per_second": None if p.per_second is None else p.per_second * p.hypotheses,
        "eta_seconds": p.rest.seconds if p.rest else None,
        "eta_least": p.rest.least if p.rest else None,
        "eta_most": p.rest.most if p.rest else None,
        "wall_seconds": p.elapsed,
        "device_seconds": sum(chunk.seconds for chunk in look.chunks),
        "n_hypotheses": look.start.get("n_hypotheses"),
        "survivors": p.survivors,
        "expected_by_chance": expected,
        "z": None if expected is None else z_score(p.survivors, expected, p.sigma),
        "best": runs.best(look),
        "trust": runs.trust(look.audits, look.chunks, look.unchecked),
        "devices": [dataclasses.asdict(device) for device in p.devices],
        "troubles": [dataclasses.asdict(trouble) for trouble in runs.troubles(look)],
    }


def lines(look: Run, width: int, height: int) -> list[str]:
    """A look for people."""
    who = f", process {look.pid}" if look.pid else ""
    ended = "" if look.pid else f", {datetime.fromtimestamp(look.ended).astimezone():%Y-%m-%d %H:%M:%S}"
    rows = [("run", f"{look.folder}: {look.state.upper()}{who}{ended}"), ("search", _search(look))]
    after = []
    if best := runs.best(look):
        chance = "" if best["log10_E"] is None else f", E = {format_log10(best['log10_E'])}"
        draws = "" if best["draws"] is None else f" of {best['draws']}"
        meaning = f": {best['meaning']}" if "meaning" in best else ""
        where = f"skip {best['skip']}, offset {best['offset']}"
        after.append(
            (
                "best",
                f"seed {best['seed']} ({best['seed']:#x}{meaning}), {where}: {best['matches']}{draws} draws{chance}",
            )
        )
    if look.summary:
        after.append(("verdict", f"{look.summary['verdict'].upper()}, exit code {look.summary['exit_code']}"
                      if "verdict" in look.summary else f"exit code {look.summary.get('exit_code')}"))  # fmt: skip
    if look.audits:
        after += [("trust", text) for text in runs.trust_lines(runs.trust(look.audits, look.chunks, look.unchecked))]
    troubles = runs.troubles(look)
    for trouble in troubles[:TOLD]:
        times = f" ({trouble.count} times)" if trouble.count > 1 else ""
        after.append(("trouble", f"{trouble.what}{times}: {trouble.todo}"))
    if len(troubles) > TOLD:
        after.append(("trouble", f"and {len(troubles) - TOLD} more; --json has all"))
    head, tail = ([f"{key:<12} {text}" for key, text in part] for part in (rows, after))
    return [*head, *picture(runs.progress(look), width, height - len(head) - len(tail)), *tail]


def _search(look: Run) -> str:
    i = look.identity
    if "skips" not in i:
        return f"{i.get('step', 'a step')}, {look.n_asked} {look.unit}  [{look.search[:8]}]"
    need = f", {look.start['need']} of {look.start['draws']} draws must match" if "need" in look.start else ""
    return (
        f"{i['recipe']}, modulus {i['modulus']}, skips {i['skips'][0]} to {i['skips'][1]}, "
        f"offsets {i['offsets'][0]} to {i['offsets'][1]}{need}  [{look.search[:8]}]"
    )


if __name__ == "__main__":
    step.alone(StatusOptions, run)
