"""Floor 3: the bench. How fast each rank's device is for each recipe and method; what it measures, a sieve can start from.

mpirun -np 2 python -m prng_mpi.bench --recipes java.nextInt,mt19937.mod
python -m prng_mpi.bench --recipes php71.mt_rand --seed-end 2**32 --against './php_mt_seed 1328851649'"""

from __future__ import annotations

import json
import shlex
import statistics as stats
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TextIO

import numpy as np

from prng_mpi import config, devices, profiles, spawn, statistics, step
from prng_mpi.comm import Comm, Tag
from prng_mpi.config import option
from prng_mpi.devices import invert, lift
from prng_mpi.devices.base import Device
from prng_mpi.display import duration, rate
from prng_mpi.errors import ExitCode, PrngError, UsageError
from prng_mpi.recipes import recipe, recipes
from prng_mpi.search import Search
from prng_mpi.startup import in_turn
from prng_mpi.store import write_json


@dataclass(frozen=True)
class BenchOptions:
    """Measure hypotheses/s and seeds/s of recipes and methods on every rank's device; write the profile a sieve starts from."""

    STEP: ClassVar[str] = "bench"

    recipes: tuple[str, ...] = option((), "recipes to measure; not set: all", metavar="NAME", section="Work")
    modulus: int = option(1000, "draws are in [0, M)", metavar="M", section="Work")
    window: int = option(30, "draws in the window (k)", minimum=1, metavar="K", section="Work")
    skip_max: int = option(0, "skips 0 to this", minimum=0, section="Work")
    thresholds: tuple[float, ...] = option((1.0, 0.5, 0.05), "thresholds to measure", section="Work")
    seconds: float = option(0.5, "time of one measurement; the median of three counts", minimum=0.01, section="Work")
    device: str = option("auto", "what computes", choices=devices.KINDS, section="Devices")
    startup_timeout: float = option(120.0, "seconds for one device to start", minimum=1, section="Devices")
    output_dir: Path = option(
        Path("results/bench"), "folder of bench.json, which --profile of a sieve reads", metavar="DIR", section="Run"
    )
    against: str = option("", "a command that does the same work as the first recipe over --seed-end seeds, run in turn", metavar="CMD",
                          section="Anchor")  # fmt: skip
    seed_end: int = option(2**32, "seeds of the work that --against compares", minimum=1, section="Anchor")
    rounds: int = option(5, "rounds of --against; medians count", minimum=1, section="Anchor")
    show_config: bool = option(False, "print every value and where it comes from, and exit", section="Run")
    json: bool = option(False, "print bench.json at the end; all else goes to stderr", section="Run")


def prepare(loaded: config.Loaded[BenchOptions]) -> tuple[str, ...]:
    """The recipes to measure. Raises UsageError."""
    o = loaded.value
    names = tuple(recipe(name).name for name in o.recipes) or tuple(recipes())
    if o.against and len(names) != 1:
        raise UsageError("--against compares one piece of work: name one recipe with --recipes")
    return names


def search_for(name: str, o: BenchOptions, threshold: float) -> Search | None:
    """A search in random draws that nothing explains, the same on every rank; None where the recipe can't have the modulus."""
    chosen = recipe(name)
    if o.modulus > chosen.map.max_modulus:
        return None
    draws = np.random.default_rng(20).integers(0, o.modulus, o.window).astype(np.uint32)
    return Search(chosen, o.modulus, draws, 0, statistics.need_for(threshold, o.window), (0, o.skip_max))


def measure(device: Device, search: Search, limit: int, seconds: float) -> float:
    """Seeds/s of a device, the median of three runs of about so many seconds."""
    count, took = min(1 << 12, limit), 0.0
    while True:
        began = time.perf_counter()
        device.sieve(search, 0, count)
        took = time.perf_counter() - began
        if took >= seconds / 2 or count == limit:
            break
        count = min(limit, max(2 * count, int(count * min(16.0, 0.7 * seconds / max(took, 1e-6)))))
    runs = [took]
    for _ in range(2):
        began = time.perf_counter()
        device.sieve(search, 0, count)
        runs.append(time.perf_counter() - began)
    return count / stats.median(runs)


def run(comm: Comm, o: BenchOptions, names: tuple[str, ...]) -> ExitCode:
    """Every rank measures; root prints, gathers and writes."""
    out = sys.stderr if o.json else sys.stdout
    if o.against:
        return _against(o, names[0], out) if comm.rank == 0 else ExitCode.FOUND
    kind, why = devices.choose(o.device)
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        try:
            delay = profiles.profile(kind).delay if number == 0 else 0.0
            mine = in_turn(comm, lambda name=name: _rows(comm, o, name, kind, why), delay, o.startup_timeout)[0]  # type: ignore[misc]
        except PrngError as e:
            mine = [{"rank": comm.rank, "host": comm.host, "recipe": name, "error": str(e)}]
        if comm.rank:
            comm.send(0, Tag.RESULT, mine)
            continue
        rows += _gather(comm, mine, name)
        _print([row for row in rows if row["recipe"] == name], number, len(names), out)
    if comm.rank:
        return ExitCode.FOUND
    try:
        o.output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UsageError(f"can't make the folder {o.output_dir} ({e.strerror}); choose another --output-dir") from e
    write_json(o.output_dir / "bench.json", {"rows": rows})
    print(f"profile      {o.output_dir}/bench.json; a sieve starts from it with --profile", file=out)
    if o.json:
        print(json.dumps({"rows": rows}))
    return ExitCode.FOUND


def _rows(comm: Comm, o: BenchOptions, name: str, kind: str, why: str) -> list[dict[str, Any]]:
    rows = []
    for threshold in o.thresholds:
        search = search_for(name, o, threshold)
        if search is None:
            continue
        limit = search.recipe.seed_limit(search.params)
        ahead = {"lift": lift.forecast(search), "invert": invert.forecast(search, min(limit, 2**32))}
        others = [m for m, f in ahead.items() if not f.why_not and f.seconds < 10 * o.seconds]
        for method in ("lanes", *others):
            device = devices.open_device(kind if method == "lanes" else "cpu", search.recipe, comm.local_rank, method)
            # The others cost nearly the same for any range, so they are measured on a whole seed space.
            space = limit if method == "lift" else min(limit, 2**32)
            once = method != "lanes"
            seeds = space / _once(device, search, space) if once else measure(device, search, limit, o.seconds)
            looks = len(search.draws) - search.need + 1
            row = {
                "rank": comm.rank,
                "host": comm.host,
                "kind": device.kind,
                "why": why,
                "device": device.name,
                "recipe": name,
            }
            row |= {"method": method, "threshold": threshold, "seeds_per_second": seeds}
            rows.append(
                row
                | {
                    "hypotheses_per_second": seeds * search.per_seed,
                    "outputs_per_second": seeds * search.per_seed * looks,
                }
            )
            device.close()
    return rows


def _once(device: Device, search: Search, limit: int) -> float:
    began = time.perf_counter()
    device.sieve(search, 0, limit)
    return time.perf_counter() - began


def _gather(comm: Comm, mine: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    rows, missing = list(mine), set(range(1, comm.size))
    while missing - comm.lost.keys():
        message = comm.poll(tag=Tag.RESULT)
        if message is None:
            time.sleep(0.005)
        elif message.tag is Tag.RESULT:
            rows += message.content
            missing.remove(message.source)
    gone = [
        {"rank": rank, "host": comm.hosts[rank], "recipe": name, "error": comm.lost[rank]} for rank in sorted(missing)
    ]
    return rows + gone


def _print(rows: list[dict[str, Any]], number: int, of: int, out: TextIO) -> None:
    if number == 0:
        print(
            f"{'':>7} {'recipe':<26} {'method':<6} {'threshold':>9} {'seeds/s':>9} {'hypotheses/s':>12}  ranks",
            file=out,
        )
    for row in rows:
        if "error" in row:
            print(f"{number + 1:>3}/{of:<3} {row['recipe']:<26} rank {row['rank']}: {row['error']}", file=out)
    for method, threshold in dict.fromkeys((r["method"], r["threshold"]) for r in rows if "error" not in r):
        same = [r for r in rows if r.get("method") == method and r.get("threshold") == threshold]
        speed, hypotheses = (sum(r[key] for r in same) for key in ("seeds_per_second", "hypotheses_per_second"))
        spread = (
            ", ".join(f"{rate(r['seeds_per_second']).strip()}" for r in same) if len(same) > 1 else same[0]["device"]
        )
        print(f"{number + 1:>3}/{of:<3} {same[0]['recipe']:<26} {method:<6} {threshold:>9g} {rate(speed):>9} {rate(hypotheses):>12}  {spread}",
              file=out, flush=True)  # fmt: skip


def _against(o: BenchOptions, name: str, out: TextIO) -> ExitCode:
    """The same work in turn: the anchor's command, then this program's device over seeds 0 to --seed-end."""
    search = search_for(name, o, o.thresholds[0])
    if search is None or o.seed_end > search.recipe.seed_limit(search.params):
        raise UsageError(f"recipe {name} has no such work: check --modulus and --seed-end")
    kind, why = devices.choose(o.device)
    device = devices.open_device(kind, search.recipe, 0)
    print(f"{name} over {o.seed_end} seeds on {device.name} ({why}) against: {o.against}", file=out, flush=True)
    ratios = []
    for number in range(o.rounds):
        began = time.perf_counter()
        done = spawn.run(shlex.split(o.against), timeout=86400)
        theirs = time.perf_counter() - began
        if done.status:
            raise UsageError(f"--against: {o.against} ended with status {done.status}: {done.output.strip()[-200:]}")
        began = time.perf_counter()
        device.sieve(search, 0, o.seed_end)
        ours = time.perf_counter() - began
        ratios.append(theirs / ours)
        print(
            f"round {number + 1}: {duration(theirs)} against {duration(ours)}: {ratios[-1]:.2f} x", file=out, flush=True
        )
    print(f"median {stats.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})", file=out)
    return ExitCode.FOUND


if __name__ == "__main__":
    step.main(BenchOptions, prepare, run)
