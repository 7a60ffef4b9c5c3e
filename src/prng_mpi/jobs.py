"""Floor 3: job files. Every job of a file on some rank: sieve, reverse_sieve, correlation, analysis, script.

mpirun -np 4 python -m prng_mpi.jobs --jobs-file jobs.json"""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from prng_mpi import config, devices, memory, spawn, step
from prng_mpi.admission import Admission, Limits
from prng_mpi.comm import Comm
from prng_mpi.config import RunOptions, option, parse_seconds, parse_size
from prng_mpi.display import Display, duration, farewell, rate, say, wind_up
from prng_mpi.errors import ExitCode, PrngError, UsageError
from prng_mpi.farm import UNFINISHED, Card, Compute, End, Farm, Finished, State, serve
from prng_mpi.jobfile import KINDS, Job, ScriptWork, SieveWork, count_kinds, read_jobs, rehome
from prng_mpi.ledger import Ledger, identity_hash, merge
from prng_mpi.records import HIT
from prng_mpi.router import Outcome, Router
from prng_mpi.scheduler import Lease, Policy, Scheduler
from prng_mpi.statistics import format_count, format_log10
from prng_mpi.store import EventLog, write_json

# Seconds past a job's time after which its rank is taken to hang, and of the first wait before a retry.
LEASE_MARGIN = 60.0
BACKOFF = 1.0
# Running jobs that the screen names.
SHOWN = 12


@dataclass(frozen=True)
class JobsOptions(RunOptions):
    """Run a file of jobs, each whole on some rank: searches and tests on the rank's device, scripts with its GPU bound."""

    STEP: ClassVar[str] = "jobs"

    jobs_file: Path | None = option(None, 'JSON: an array of jobs, or {"jobs": [...]}', metavar="FILE", section="Jobs")
    preserve_paths: bool = option(
        False, "let scripts write where their jobs say, not into the run's folder", section="Jobs"
    )
    max_retries: int = option(
        Policy.attempts - 1, "how often a job that failed is tried again, elsewhere where there is a rank", minimum=0,
        section="Jobs",
    )  # fmt: skip
    job_timeout: float = option(
        7200.0, "time for a job that names no timeout of its own", parse=parse_seconds, metavar="TIME", section="Jobs"
    )
    max_per_host: int | None = option(
        None, "scripts that run at once on a host, at most; not set: by pipeline step", minimum=1, section="Jobs"
    )
    memory_reserve: float = option(
        1.5e9, "a host with more available memory than this skips its cool-downs", parse=parse_size, metavar="SIZE",
        section="Jobs",
    )  # fmt: skip
    drop_page_cache: bool = option(
        False, "between batches have each host forget the files it has in memory (root); they are read anew from disk then",
        section="Jobs",
    )  # fmt: skip
    device: str = option("auto", "what computes", choices=devices.KINDS, section="Devices")


@dataclass(frozen=True)
class Batch:
    """The jobs of a run, as every rank needs them, and the run's folder."""

    jobs: list[Job]
    folder: Path
    identity: dict[str, Any]


def prepare(loaded: config.Loaded[JobsOptions]) -> Batch:
    """Read and judge the jobs, say the plan. Raises UsageError; step.Done after a dry run."""
    o = loaded.value
    if o.jobs_file is None:
        raise UsageError("--jobs-file FILE is missing: name the file of jobs")
    if o.drop_page_cache and not memory.may_drop_page_cache():
        raise UsageError(
            f"--drop-page-cache: this user may not write {memory.DROP_CACHES}; run as root, or leave it out"
        )
    jobs = read_jobs(o.jobs_file, o.job_timeout)
    # Other jobs, or outputs elsewhere, are another run.
    content = identity_hash({"jobs": [job.hash for job in jobs]})
    identity = {"step": "jobs", "jobs": len(jobs), "content": content, "preserve_paths": o.preserve_paths}
    folder = o.output_dir or Path("results") / f"jobs-{identity_hash(identity)[:8]}"
    if not o.preserve_paths:
        jobs = [
            replace(job, work=rehome(job.work, folder.absolute() / "outputs" / job.id))
            if isinstance(job.work, ScriptWork) else job
            for job in jobs
        ]  # fmt: skip
    jobs = [replace(job, most=o.max_per_host) for job in jobs]
    batch = Batch(jobs, folder, identity)
    _say_plan(batch, o)
    if o.dry_run:
        raise step.Done(ExitCode.FOUND)
    Ledger.open(folder / "ledger.sqlite", identity, resume=o.resume).close()
    return batch


def _steps(jobs: list[Job]) -> dict[Limits, int]:
    """How many jobs have which limits."""
    return Counter(job.limits for job in jobs if job.limits)


def _say_plan(batch: Batch, o: JobsOptions) -> None:
    jobs = batch.jobs
    kinds = ", ".join(f"{count} {kind}" for kind, count in count_kinds(jobs).items())
    rows = [("jobs", f"{o.jobs_file}: {format_count(len(jobs))} jobs, {kinds}")]
    sieves = [job.work for job in jobs if isinstance(job.work, SieveWork)]
    if sieves:
        parts = [part.plan for work in sieves for part in work.parts]
        hypotheses = format_count(float(sum(plan.n_hypotheses for plan in parts)))
        left = format_count(float(sum(plan.expected_survivors for plan in parts)))
        rows.append(("chance", f"{hypotheses} hypotheses; chance alone would leave {left} seeds"))
    inside = sum(job.limits is None for job in jobs)
    if inside:
        rows.append(("ranks", f"{format_count(inside)} jobs run inside their rank, one at a time, without limits"))
    say(sys.stdout, rows)
    for limits, count in _steps(jobs).items():
        print(f"limits: {limits}", flush=True)
        rest = f"{count} jobs, at most {limits.max_in_all} at once; no cool-down on a host with more than {o.memory_reserve / 1e9:g} GB available"
        say(sys.stdout, [("", rest)])
    if any(job.kind == "script" for job in jobs):
        where = "as their jobs say" if o.preserve_paths else f"{batch.folder}/outputs/JOB_ID/"
        say(sys.stdout, [("outputs", f"scripts write {where}")])
    say(sys.stdout, [("results", f"{batch.folder}/JOB_ID.json")])


def run(comm: Comm, o: JobsOptions, batch: Batch) -> ExitCode:
    """Every rank's part; root's exit code."""
    # On one rank there was no need of it before, and nothing has started a thread or a runtime yet.
    spawn.start_helper()
    kind, why = devices.choose(o.device)
    work: Router | None = None
    introduction: Card | str
    try:
        drops = o.drop_page_cache and comm.local_rank == 0
        work = Router(batch.jobs, kind, comm.local_rank, o.memory_reserve, drops)
        comm.device = kind
        introduction = Card(comm.rank, comm.host, kind, kind, why, 1.0)
    except PrngError as e:
        introduction = f"rank {comm.rank} on {comm.host}: {e}"
    give_back = work.rest if work else lambda: None
    if comm.rank:
        serve(comm, work, introduction, give_back)
        return ExitCode.FOUND
    return _lead(comm, o, batch, work, introduction, give_back)


class _Log:
    """Root's books. A job is done when its result file stands there and bears the job's hash: one rename puts it there whole,
    people can read it, and deleting it has the job run again. The ledger keeps the folder for one run, and who did what."""

    def __init__(self, batch: Batch, ledger: Ledger, events: EventLog, admission: Admission) -> None:
        self.batch, self.ledger, self.events, self.admission = batch, ledger, events, admission
        self.failures: dict[int, list[tuple[Lease, Finished]]] = {}

    def issued(self, lease: Lease, card: Card) -> None:
        self.ledger.issue(
            lease.id, lease.start, lease.stop, lease.rank, host=card.host, device=card.device, attempt=lease.attempt
        )
        self.events.write("job_started", job=self._name(lease), rank=lease.rank, host=card.host, attempt=lease.attempt)

    def commit(self, lease: Lease, card: Card, finished: Finished) -> None:
        outcome: Outcome = finished.hits
        self.admission.measured(lease.rank, finished.memory)
        job, path = self.batch.jobs[lease.start], result_path(self.batch, lease.start)
        if not is_done(path, job):
            who = {"rank": lease.rank, "host": card.host, "device": card.device, "attempt": lease.attempt}
            write_json(path, outcome.result | {"ran": {**who, "seconds": finished.seconds}})
        self.ledger.commit(
            lease.start, lease.stop, lease.rank, np.zeros(0, HIT), lease=lease.id, host=card.host, device=card.device,
            attempt=lease.attempt, seconds=finished.seconds,
        )  # fmt: skip
        self.events.write("job_done", job=job.id, rank=lease.rank, host=card.host, seconds=finished.seconds)

    def ended(self, lease: Lease, outcome: str, finished: Finished | None, reason: str) -> None:
        if finished is not None:
            self.failures.setdefault(lease.start, []).append((lease, finished))
            if finished.hits is not None:
                self.admission.measured(lease.rank, finished.memory)
                if most := finished.hits.result.get("max_per_host"):
                    self.admission.limit(lease.rank, most)
                    self.events.write("limits", text=f"limits: max_per_host={most} from now on", rank=lease.rank)
        self.ledger.outcome(lease.id, outcome, seconds=finished.seconds if finished else None, reason=reason)

    def event(self, kind: str, **fields: Any) -> None:
        self.events.write(kind, **fields)

    def _name(self, lease: Lease) -> str:
        return self.batch.jobs[lease.start].id


class JobsDisplay(Display):
    """The screen of a run of jobs. `before`: how many earlier runs have done."""

    def __init__(self, batch: Batch, admission: Admission, scheduler: Scheduler, before: int, log: Any) -> None:
        super().__init__(scheduler, len(batch.jobs), 0, 0.0, (before, 0), sys.stdout, log)
        self.jobs, self.admission = batch.jobs, admission

    def numbers(self, state: State, now: float) -> dict[str, float | int | None]:
        done, elapsed = self.scheduler.seeds_done, now - state.began
        parked = len(self.scheduler.parked)
        left = self.scheduler.remaining - parked
        speed = done / elapsed if elapsed > 0 else 0.0
        return {
            "jobs_expected": self.asked, "jobs_done": self.seeds_before + done, "jobs_failed": parked,
            "jobs_running": len(self.scheduler.in_flight), "jobs_per_second": speed,
            "eta_seconds": left / speed if speed else None, "ranks": len(self.scheduler.live),
        }  # fmt: skip

    def total(self, state: State, now: float) -> str:
        n = self.numbers(state, now)
        eta = duration(n["eta_seconds"]) if n["eta_seconds"] is not None else "unknown"
        rests = "".join(f", {host} rests {duration(left)}" for host, left in self.admission.resting(now).items())
        types = Counter(self.jobs[lease.start].kind for lease in self.scheduler.in_flight)
        running = ", ".join(f"{count} {kind}" for kind, count in sorted(types.items())) or "none"
        return (
            f"{n['jobs_done']} of {self.asked} jobs done, {n['jobs_failed']} failed, running: {running}  "
            f"{rate(n['jobs_per_second'] or 0.0)}jobs/s  ETA {eta}{rests}"
        )

    def lines(self, state: State, now: float) -> list[str]:
        share = (self.seeds_before + self.scheduler.seeds_done) / self.asked
        rows = [f"[{'#' * int(30 * share):.<30}] {duration(now - state.began)}", self.total(state, now)]
        leases = sorted(self.scheduler.in_flight, key=lambda lease: lease.issued)
        for lease in leases[:SHOWN]:
            job, card = self.jobs[lease.start], state.ranks[lease.rank].card
            host = card.host if card else ""
            rows.append(
                f"{lease.rank:>4}  {host:<10.10} {job.kind:<13} {job.id:<24.24} attempt {lease.attempt}  "
                f"{duration(now - lease.issued)} of at most {duration(job.timeout)}"
            )
        return rows


def result_path(batch: Batch, number: int) -> Path:
    """Where the result of a job stands."""
    return batch.folder / f"{batch.jobs[number].id}.json"


def is_done(path: Path, job: Job) -> bool:
    """Whether a result file is of this very job, and of its success."""
    try:
        result = json.loads(path.read_text())
        return bool(result["job_hash"] == job.hash and result["success"] is True)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _mismatch(batch: Batch, lease: Lease, outcome: Any) -> str:
    job = batch.jobs[lease.start].id
    return "" if isinstance(outcome, Outcome) and outcome.job == job else f"its answer is not one to job {job}"


def _lead(
    comm: Comm,
    o: JobsOptions,
    batch: Batch,
    compute: Compute | None,
    introduction: Card | str,
    give_back: Callable[[], None],
) -> ExitCode:
    began, jobs = time.monotonic(), batch.jobs
    with Ledger.open(batch.folder / "ledger.sqlite", batch.identity, resume=o.resume) as ledger:
        done = {number for number, job in enumerate(jobs) if is_done(result_path(batch, number), job)}
        with EventLog(batch.folder / "events.jsonl") as events:
            # A run without a summary did not finish; an older one must not speak for this one.
            (batch.folder / "summary.json").unlink(missing_ok=True)
            events.write(
                "start", jobs_expected=len(jobs), jobs_done=len(done), ranks=comm.size, types=count_kinds(jobs)
            )
            for limits in _steps(jobs):
                events.write("limits", text=f"limits: {limits}", jobs=_steps(jobs)[limits])
            if done:
                rest = f"{len(jobs) - len(done)} to go" if len(done) < len(jobs) else "nothing is left to do"
                say(sys.stdout, [("resumed", f"{len(done)} jobs were done before, {rest}")])
            admission = Admission(
                [job.id for job in jobs], [job.limits for job in jobs], [job.timeout for job in jobs], o.memory_reserve
            )
            attempts = o.max_retries + 1
            policy = Policy(attempts=attempts, park_devices=attempts, lease_margin=LEASE_MARGIN, backoff=BACKOFF)
            todo = merge((number, number + 1) for number in range(len(jobs)) if number not in done)
            scheduler = Scheduler(todo, policy, admission)
            log = _Log(batch, ledger, events, admission)
            display = JobsDisplay(batch, admission, scheduler, len(done), events.write)
            farm = Farm(
                comm, scheduler, log, display.show, step.requests,
                check=lambda lease, outcome: _mismatch(batch, lease, outcome),
            )  # fmt: skip
            end = farm.lead(compute, introduction, o.time_limit, o.startup_timeout + 60, give_back)
            heard = wind_up(farm, end, display, events, sys.stdout)
            code = _conclude(batch, log, end, farm, time.monotonic() - began)
            events.close({"reason": end.value, "exit_code": int(code)})
    farewell(farm, end, heard, code, "no rank is left to run jobs")
    return code


def _conclude(batch: Batch, log: _Log, end: End, farm: Farm, wall: float) -> ExitCode:
    """Write what became of each job, then the summary; say it; the exit code."""
    jobs, failed = batch.jobs, []
    for number, _, reasons in farm.scheduler.parked:
        result = _failure(jobs[number], log.failures.get(number, []), reasons)
        write_json(result_path(batch, number), result)
        failed.append({key: result[key] for key in ("job_id", "type", "mode", "error", "attempts")})
    completed = [job for number, job in enumerate(jobs) if is_done(result_path(batch, number), job)]
    unfinished = len(jobs) - len(completed) - len(failed)
    code = ExitCode.FOUND if len(completed) == len(jobs) else UNFINISHED.get(end, ExitCode.ABORTED)
    hosts = _hosts(log.ledger)
    summary = {
        "exit_code": int(code), "end": end.value, "jobs_expected": len(jobs), "completed": len(completed),
        "failed": failed, "unfinished": unfinished, "types": _by_kind(jobs, completed, failed), "hosts": hosts,
        "limits": [f"limits: {limits}" for limits in _steps(jobs)],
        "refused": farm.refused,
        "lost": list(farm.lost.values()),
        "preserve_paths": batch.identity["preserve_paths"], "content": batch.identity["content"], "wall_seconds": wall,
    }  # fmt: skip
    found = _evidence(batch, completed)
    write_json(batch.folder / "summary.json", summary | found)
    rows = [("jobs", f"{len(completed)} of {len(jobs)} done, {len(failed)} failed, in {duration(wall)}")]
    if found:
        chance = format_count(float(found["expected_by_chance"]))
        rows.append(("survivors", f"{format_count(found['survivors'])}, where chance alone gives about {chance}"))
    if "best" in found:
        best = found["best"]
        rows.append(
            ("best", f"job {best['job_id']}, {best['family']}: E = {format_log10(best['log10_E'])} over all jobs")
        )
    rows += [("failed", f"{each['job_id']}: {each['error']}") for each in failed[:20]]
    if len(failed) > 20:
        rows.append(("failed", f"and {len(failed) - 20} more; summary.json has all"))
    for host, counts in hosts.items():
        rows.append(("hosts", f"{host}: {counts['completed']} done, {counts['failed']} attempts failed"))
    rows += [("not used", text) for text in summary["refused"]] + [("lost", text) for text in summary["lost"]]
    if unfinished or failed:
        rest = f"{end.value}; " if unfinished else ""
        rows.append(("ended", f"{rest}the same command runs what is not done ({unfinished + len(failed)})"))
    say(sys.stdout, [*rows, ("results", f"{batch.folder}/summary.json")])
    return code


def _evidence(batch: Batch, completed: list[Job]) -> dict[str, Any]:
    """What the sieves that are done found, beside what chance gives them; E of the best counts the hypotheses of all."""
    survivors, expected, hypotheses = 0, 0.0, 0
    bests: list[tuple[float, str, str]] = []
    for job in completed:
        if isinstance(job.work, SieveWork):
            result = json.loads((batch.folder / f"{job.id}.json").read_text())
            survivors += result["stats"]["total_survivors"]
            expected += result["expected_by_chance"]
            hypotheses += result["n_hypotheses"]
            bests += [
                (said["best_log10_E"] - math.log10(said["n_hypotheses"]), job.id, family)
                for family, said in result["per_family"].items()
                if said["best_log10_E"] is not None
            ]
    if not hypotheses:
        return {}
    found = {"survivors": survivors, "expected_by_chance": expected, "n_hypotheses": hypotheses}
    if not bests:
        return found
    log10_p, name, family = min(bests)
    return found | {"best": {"job_id": name, "family": family, "log10_E": log10_p + math.log10(hypotheses)}}


def _failure(job: Job, attempts: list[tuple[Lease, Finished]], reasons: tuple[str, ...]) -> dict[str, Any]:
    """The result file of a job that was given up: what its last attempt left, and why each failed."""
    last: dict[str, Any] = next((done.hits.result for _, done in reversed(attempts) if done.hits is not None), {})
    head = {"job_id": job.id, "job_hash": job.hash, "type": job.kind, "success": False}
    # Without an outcome no job failed: a device did, or its rank was not heard of.
    error = last.get("error") or (reasons[-1] if reasons else "no rank finished it")
    return {**last, **head, "mode": last.get("mode", "NO_ANSWER"), "error": error, "attempts": list(reasons)}


def _by_kind(jobs: list[Job], completed: list[Job], failed: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    done, bad = Counter(job.kind for job in completed), Counter(each["type"] for each in failed)
    asked = count_kinds(jobs)
    return {
        kind: {"expected": asked[kind], "completed": done[kind], "failed": bad[kind]} for kind in KINDS if kind in asked
    }


def _hosts(ledger: Ledger) -> dict[str, dict[str, float]]:
    """What each host has done, over all runs of these jobs."""
    hosts: dict[str, dict[str, float]] = {}
    for attempt in ledger.attempts():
        row = hosts.setdefault(attempt.host, {"completed": 0, "failed": 0, "seconds": 0.0})
        row["completed"] += attempt.outcome == "done"
        row["failed"] += attempt.outcome not in (None, "done", "duplicate", "lost")
        row["seconds"] += attempt.seconds or 0.0
    return hosts


if __name__ == "__main__":
    step.main(JobsOptions, prepare, run)
