"""Floor 2: the router: a rank runs one job of any type on its device, or starts the job's script.

Devices are opened when a job first needs them, one for each recipe, and give back their memory before a script runs. A
rank that has run scripts only has never imported a GPU library."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import analysis, devices, findings, memory, spawn
from prng_mpi.config import ENV_PREFIX
from prng_mpi.errors import DeviceError, PrngError
from prng_mpi.farm import WorkFailed
from prng_mpi.hybrid import STRATEGIES
from prng_mpi.jobfile import AnalysisWork, Job, Part, ScriptWork, SieveWork
from prng_mpi.records import HIT
from prng_mpi.search import Search

# Why a job failed, and what to do about it.
REMEDIES = {
    "FILE_MISSING": "make the script write its expected_output, or correct that path",
    "FILE_EMPTY": "make the script write its whole output before it ends",
    "INVALID_JSON": "make the script write JSON",
    "TIMEOUT": "raise the job's timeout, or give it less to do",
    "KILLED": "see who ends it; out of memory: a lower --max-per-host, or less in each job",
    "EXECUTION_ERROR": "its result file says more",
}
# Outputs that an analysis makes at a time, survivors that the plain build re-derives, hybrid ones whose skips are told,
# characters of a script's output and bytes of its file that a result keeps.
BLOCK = 1 << 22
VERIFY_MOST = 1000
PATHS_MOST = 1000
LOG_MOST = 4000
CONTENT_MOST = 1 << 26
ALPHA = 0.01

Halted = Callable[[], bool]
Result = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of a job: its id, and what its result file says."""

    job: str
    result: Result


class JobFailed(PrngError):
    """mode: a key of REMEDIES; reason: without the remedy; more: what the result file says beside the reason."""

    def __init__(self, mode: str, reason: str, more: Result | None = None) -> None:
        super().__init__(f"{mode}: {reason}; {REMEDIES[mode]}")
        self.mode, self.reason, self.more = mode, reason, more or {}


class _Stopped(Exception):
    """The run ends, and with it this job; nothing is said of it."""


class Router:
    """Runs jobs by their number, as a farm's Compute. Make it before any device is opened: it looks at the environment."""

    def __init__(
        self, jobs: Sequence[Job], kind: str, local_rank: int, reserve: float = 0.0, drops: bool = False
    ) -> None:
        """kind: of device, not 'auto'; reserve: bytes of memory that scripts should leave; drops: `rest` also drops the host's
        page cache. Raises DeviceError if the rank has no GPU of its own."""
        self._jobs = jobs
        self._reserve, self._drops = reserve, drops
        self._environment = script_environment(os.environ, kind, local_rank)
        self._devices = devices.Devices(kind, local_rank)
        self._run: dict[type, Callable[[Any, Halted], Result]] = {
            SieveWork: self._sieve, AnalysisWork: self._analysis, ScriptWork: self._script,
        }  # fmt: skip

    def __call__(self, start: int, stop: int, stopped: Halted) -> Outcome | None:
        """The outcome of job `start`; None if `stopped` said so. Raises WorkFailed with the outcome of a job that failed,
        DeviceError where this rank is to blame."""
        job, began = self._jobs[start], time.monotonic()

        def halted() -> bool:
            if stopped():
                raise _Stopped
            return time.monotonic() - began >= job.timeout

        head = {"job_id": job.id, "job_hash": job.hash, "type": job.kind}
        try:
            result = self._run[type(job.work)](job, halted)
        except _Stopped:
            return None
        except DeviceError:
            raise
        # Whatever a job brings about is that job's failure.
        except Exception as e:
            failure = e if isinstance(e, JobFailed) else JobFailed("EXECUTION_ERROR", f"{type(e).__name__}: {e}")
            failed = {**head, "success": False, "mode": failure.mode, "error": str(failure), "seeds_analyzed": 0}
            raise WorkFailed(str(failure), Outcome(job.id, failed | failure.more)) from e
        return Outcome(job.id, {**head, "success": True, **result})

    def rest(self) -> None:
        """Between batches: give back what the devices keep."""
        self._devices.close()
        if self._drops:
            memory.drop_page_cache()

    # -- sieve, reverse_sieve -------------------------------------------------------------------------------------

    def _sieve(self, job: Job, halted: Halted) -> Result:
        work: SieveWork = job.work  # type: ignore[assignment]
        began = time.perf_counter()
        survivors: dict[tuple[str, int], Result] = {}
        per_family: dict[str, dict[str, Any]] = {}
        for part in work.parts:
            hits = self._search(part, job, halted)
            said = per_family.setdefault(part.family, {
                "recipe": part.search.recipe.name, "survivors": 0, "expected_by_chance": 0.0, "n_hypotheses": 0,
                "seeds": 0, "best_log10_E": None,
            })  # fmt: skip
            for row in _survivors(part, hits):
                known = survivors.setdefault((part.family, row["seed"]), row)
                # Of several strategies the first that matches most.
                if row["matches"] > known["matches"]:
                    survivors[part.family, row["seed"]] = row
            said["survivors"] = sum(family == part.family for family, _ in survivors)
            said["expected_by_chance"] += part.plan.expected_survivors
            said["n_hypotheses"] += part.plan.n_hypotheses
            said["seeds"] += part.plan.seeds if part.strategy == work.parts[0].strategy else 0
            if len(hits):
                best = float(part.plan.log10_E_at(hits["matches"].max()))
                said["best_log10_E"] = best if said["best_log10_E"] is None else min(best, said["best_log10_E"])
        seconds, seeds = time.perf_counter() - began, sum(said["seeds"] for said in per_family.values())
        return {
            **work.fields,
            "device": self._devices.of(work.parts[0].search).name,
            "survivors": list(survivors.values()),
            "expected_by_chance": sum(part.plan.expected_survivors for part in work.parts),
            "expected_by_chance_is": "at most" if _bounded(work) else "about",
            "n_hypotheses": sum(part.plan.n_hypotheses for part in work.parts),
            "stats": {
                "total_seeds_tested": seeds,
                "total_survivors": len(survivors),
                "duration_ms": 1000 * seconds,
                "avg_seeds_per_sec": seeds / max(seconds, 1e-9),
            },
            "per_family": per_family,
            "seeds_analyzed": seeds,
        }

    def _search(self, part: Part, job: Job, halted: Halted) -> npt.NDArray[np.void]:
        """Survivors of all ranges, HIT (n,); the best are derived once more by the plain build."""
        device, found = self._devices.of(part.search), [np.zeros(0, HIT)]
        for start, stop in part.ranges:
            hits = device.sieve(part.search, start, stop, halted)
            if hits is None:
                raise _too_long(job)
            found.append(hits)
        hits = np.concatenate(found)
        best = hits[np.argsort(-hits["matches"].astype(np.int64), kind="stable")[:VERIFY_MOST]]
        findings.prove(device.name, part.search, best)
        return hits

    # -- correlation, analysis ------------------------------------------------------------------------------------

    def _analysis(self, job: Job, halted: Halted) -> Result:
        work: AnalysisWork = job.work  # type: ignore[assignment]
        device, blocks = self._devices.of(work.search), []
        rows = max(1, BLOCK // work.samples)
        for at in range(0, len(work.seeds), rows):
            if halted():
                raise _too_long(job)
            outputs = device.outputs_there(work.search, work.seeds[at : at + rows], 0, work.samples)
            blocks.append(_tests(work, outputs, device.xp))
        return {"device": device.name} | _weighed(
            work, {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
        )

    # -- script ---------------------------------------------------------------------------------------------------

    def _script(self, job: Job, halted: Halted) -> Result:
        work: ScriptWork = job.work  # type: ignore[assignment]
        self._devices.close()
        output = Path(work.expected_output) if work.expected_output else None
        before = _stamp(output)
        if output and not output.parent.exists():
            output.parent.mkdir(parents=True, exist_ok=True)
        interpreter = [sys.executable, "-u"] if work.script.endswith(".py") else []
        argv = [*interpreter, os.path.abspath(work.script), *work.args]
        began = time.monotonic()
        done, failure = run_program(
            argv, work.script, job.timeout, self._environment, self._reserve, lambda: _asks_to_stop(halted)
        )
        if done.stopped:
            raise _Stopped
        said: Result = {
            "script": work.script, "args": list(work.args), "chunk_file": work.chunk_file, "seed_count": work.seed_count,
            "expected_output": work.expected_output, "host": socket.gethostname(), "status": done.status,
            "seconds": time.monotonic() - began, "log": done.output[-LOG_MOST:],
        }  # fmt: skip
        if failure:
            failure.more = said | failure.more
            raise failure
        said["seeds_analyzed"] = work.seed_count or 0
        if output is None:
            return said | {"output": last_object(done.output)}
        return said | {"output": _read(output, before, said)}


def run_program(
    argv: list[str],
    name: str,
    timeout: float,
    environment: Mapping[str, str],
    reserve: float,
    stopped: Callable[[], bool],
) -> tuple[spawn.Finished, JobFailed | None]:
    """Run a program to its end: how it ended, and why that is a failure; None where it is not, or it was asked to stop.

    name: for people; timeout: seconds; environment: all of it; reserve: bytes of memory that it should leave. Of one that the
    out-of-memory killer ended the failure has max_per_host, how many of its kind the host has room for."""
    with contextlib.closing(memory.Watch()) as watch:
        done = spawn.run(argv, timeout, environment, stopped)
        by_force = done.status == -signal.SIGKILL and not (done.stopped or done.timed_out)
        killed = watch.cause(done.pid, reserve) if by_force else None
    if done.stopped:
        return done, None
    if done.timed_out:
        return done, JobFailed("TIMEOUT", f"{name} had no end after {timeout:g} s")
    if killed:
        remedy = f"; set max_per_host = {killed.most}" if killed.most else ""
        return done, JobFailed("KILLED", f"{name} was {killed.text}{remedy}", {"max_per_host": killed.most})
    if done.status < 0:
        word = signal.strsignal(-done.status) or "a signal"
        with contextlib.suppress(ValueError):
            word = signal.Signals(-done.status).name
        return done, JobFailed("KILLED", f"{name} was killed by {word}")
    if done.status:
        last = (done.output.strip().splitlines() or ["no output"])[-1]
        return done, JobFailed("EXECUTION_ERROR", f"{name} ended with status {done.status} ({last[-200:]})")
    return done, None


def script_environment(environ: Mapping[str, str], kind: str, local_rank: int) -> dict[str, str]:
    """What a script sees of a rank's environment: no launcher, no options of this run, and the rank's GPU alone.
    Raises DeviceError."""
    clean = {key: value for key, value in spawn.without_launcher(environ).items() if not key.startswith(ENV_PREFIX)}
    if kind in ("cuda", "rocm"):
        from prng_mpi.devices.gpu import binding

        clean |= binding(kind, local_rank, environ)
    return clean


def last_object(output: str) -> Any:
    """The last line of a script's output that is a JSON object, or None."""
    for line in reversed(output.splitlines()):
        if line.lstrip().startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                continue
    return None


def _asks_to_stop(halted: Halted) -> bool:
    # The script's own time is kept by who started it.
    try:
        halted()
    except _Stopped:
        return True
    return False


def _too_long(job: Job) -> JobFailed:
    return JobFailed("TIMEOUT", f"it was not through after {job.timeout:g} s")


def _bounded(work: SieveWork) -> bool:
    """Whether fewer survivors than expected are no surprise: seeds that several strategies find count once."""
    several = len({part.strategy for part in work.parts}) > 1
    return several or any(part.plan.chance.kind in ("bound", "independent") for part in work.parts)


def _survivors(part: Part, hits: npt.NDArray[np.void]) -> list[Result]:
    """Rows of a result; those of a hybrid search with most matches have their skips."""
    total, rows = part.search.k, []
    walked = set(np.argsort(-hits["matches"].astype(np.int64), kind="stable")[:PATHS_MOST].tolist())
    for i, hit in enumerate(hits):
        matches = int(hit["matches"])
        row: Result = {
            "seed": int(hit["seed"]), "family": part.family, "match_rate": matches / total, "matches": matches,
            "total": total,
        }  # fmt: skip
        if part.strategy is None:
            row["best_skip"] = int(hit["skip"])
        else:
            row |= {"strategy_id": list(STRATEGIES).index(part.strategy), "strategy_name": part.strategy}
            row |= _pattern(part.search, hit) if i in walked else {}
        rows.append(row)
    return rows


def _pattern(search: Search, hit: np.void) -> Result:
    """The skip before each draw on a seed's best path, draws ahead first, then those behind from the boundary on."""
    skips = findings.skips_of(search, hit, findings.path_of(search, hit))[0].tolist()
    return {
        "skip_pattern": skips,
        "skip_stats": {
            "min": min(skips), "max": max(skips), "avg": float(np.mean(skips)), "variance": float(np.var(skips)),
            "std_dev": float(np.std(skips)),
        },
    }  # fmt: skip


def _tests(work: AnalysisWork, outputs: Any, xp: Any) -> dict[str, npt.NDArray[Any]]:
    """Statistics and p-values by name, each with a row for each seed of the block."""
    modulus, found = work.search.modulus, {}
    statistics = {name: test(outputs, modulus, xp) for name, test in analysis.TESTS.items()} if work.tests else {}
    if work.lags:
        found["r autocorrelation"], statistics["autocorrelation"] = analysis.autocorrelation(outputs, work.lags, xp)
    if work.grid:
        found["r grid"], statistics["grid"] = analysis.grid_correlation(outputs, work.grid, xp)
    for name, statistic in statistics.items():
        found[f"value {name}"], found[f"p {name}"] = statistic.value, statistic.p
    return found


def _weighed(work: AnalysisWork, found: dict[str, npt.NDArray[Any]]) -> Result:
    names = [key.removeprefix("p ") for key in found if key.startswith("p ")]
    p = np.stack([found[f"p {name}"] for name in names], axis=1)
    adjusted = analysis.holm(p)
    rejected = [
        {"seed": int(work.seeds[i]), "test": names[j], "p": float(p[i, j]), "p_adjusted": float(adjusted[i, j])}
        for i, j in np.argwhere(adjusted <= ALPHA)
    ]
    tests = {
        name: {"statistic": found[f"value {name}"], "p": p[:, j], "p_adjusted": adjusted[:, j]}
        | ({"r": found[f"r {name}"]} if f"r {name}" in found else {})
        for j, name in enumerate(names)
    }
    return {
        "prng_type": work.family, "recipe": work.search.recipe.name, "modulus": work.search.modulus,
        "samples": work.samples, "seeds": work.seeds, "tests": tests, "n_tests": p.size, "alpha": ALPHA,
        "correction": "Holm: P(any false rejection) <= alpha, whatever the dependence", "rejected": rejected,
        "expected_by_chance": f"any rejection at all: at most {ALPHA:g}", "seeds_analyzed": len(work.seeds),
    }  # fmt: skip


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes when a file is written: its number and time."""
    try:
        stat = path.stat() if path else None
    except OSError:
        return None
    return (stat.st_ino, stat.st_mtime_ns) if stat else None


def _read(path: Path, before: tuple[int, int] | None, said: Result) -> Any:
    """The JSON that a script wrote. Raises JobFailed."""
    stamp = _stamp(path)
    if stamp is None:
        raise JobFailed("FILE_MISSING", f"{path} was not written", said)
    if stamp == before:
        raise JobFailed("FILE_MISSING", f"{path} is as it was before the job", said)
    size = path.stat().st_size
    if size == 0:
        raise JobFailed("FILE_EMPTY", f"{path} has no content", said)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as e:
        raise JobFailed("INVALID_JSON", f"{path}: {e}", said) from e
    return content if size <= CONTENT_MOST else {"too_large_to_repeat": size}
