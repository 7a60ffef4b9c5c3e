"""Floor 2: the course of a study: root asks it for trials, the farm's ranks run them, an outcome is a file.

Results are told in the order of their numbers, whole batches at a time, so what a study tries next depends on nothing else: any
number of ranks and any kills on the way give the same table of trials."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from prng_mpi import step, study
from prng_mpi.admission import Admission, limits_of
from prng_mpi.comm import Comm
from prng_mpi.config import RunOptions, option, parse_seconds, parse_size
from prng_mpi.display import Display, duration, farewell, say, wind_up
from prng_mpi.errors import ExitCode, IntegrityError
from prng_mpi.farm import UNFINISHED, Card, Compute, Farm, Finished, State
from prng_mpi.ledger import Ledger, identity_hash, merge
from prng_mpi.records import HIT
from prng_mpi.scheduler import Lease, Policy, Scheduler
from prng_mpi.store import EventLog, write_bytes, write_json, write_tables

# Seconds past a trial's time after which its rank is taken to hang, and of the first wait before a retry.
LEASE_MARGIN = 60.0
BACKOFF = 1.0

Result = dict[str, Any]


class Trial(Protocol):
    """What a study chooses: a frozen dataclass of plain values."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def number(self) -> int: ...


T = TypeVar("T", bound=Trial)


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: its number; what its result file says, plain values, among them `trial` (the trial as a dict) and
    `seconds`; files: what else it leaves, by path within the folder. Of one
    that ended for lack of memory the result has `max_per_host`, how many of its kind that host can bear."""

    number: int
    result: Result
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Terms(Generic[T]):
    """What a study is.

    step: number in the pipeline, whose limits hold; folder: of the run; identity: all that its answers depend on, its hash
    names it; config: the options as TOML; trials: how many; batch: so many are asked for at a time; seed: of the choices;
    teaches: an objective above this is worth learning from; choose: a trial of a number from the suggestions of an optuna
    Trial; words: a trial for people; objectives: of a result by name, all of them shown, the first is maximised; row: a
    result as a row of dtype, a table whose columns are described by columns; dtype has a column `seconds`.

    finals: so many of the trials, the last, are asked for once all others are done; final: one of these, from its number and the
    results of the others. failed: the result of a trial that failed for good, and why; None: the study ends there."""

    step: int
    folder: Path
    identity: dict[str, Any]
    config: str
    trials: int
    batch: int
    seed: int
    teaches: float
    choose: Callable[[int, Any], T]
    words: Callable[[T], str]
    objectives: Callable[[Result], dict[str, float]]
    row: Callable[[Result], tuple[Any, ...]]
    dtype: np.dtype[Any]
    columns: str
    finals: int = 0
    final: Callable[[int, Mapping[int, Result]], T] | None = None
    failed: Callable[[T, str], Result] | None = None

    def path(self, number: int) -> Path:
        """The file of a trial's outcome."""
        return self.folder / "trials" / f"{number:04d}.json"


@dataclass(frozen=True)
class StudyOptions(RunOptions):
    """What every step can be told that runs a study."""

    batch: int = option(
        8, "trials that are asked for at a time, whatever the number of ranks; more ranks have nothing to do", minimum=1,
        section="Study",
    )  # fmt: skip
    study_seed: int = option(
        0,
        "of the study's choices and of all else in it that is left to chance",
        minimum=0,
        maximum=2**32 - 1,
        section="Study",
    )
    trial_timeout: float = option(600.0, "time for a trial", parse=parse_seconds, metavar="TIME", section="Study")
    memory_reserve: float = option(
        1.5e9, "memory of a host to leave alone; one with more than this skips its cool-downs", parse=parse_size, metavar="SIZE",
        section="Devices",
    )  # fmt: skip


@dataclass(frozen=True)
class Conclusion:
    """What a step makes of its study. code: of the process if all trials are done; summary: of summary.json; said: rows for
    people; attributes: of results.h5; tables: of it beside the trials, as `write_tables` takes them."""

    code: ExitCode
    summary: dict[str, Any]
    said: list[tuple[str, str]]
    attributes: dict[str, Any] = field(default_factory=dict)
    tables: Mapping[str, tuple[npt.NDArray[np.void], str]] = field(default_factory=dict)


class Gate(Admission):
    """Admits trials only once the study has asked for them. asked: how many it has."""

    asked = 0

    def admits(self, rank: int, job: int, now: float) -> bool:
        return job < self.asked and super().admits(rank, job, now)


class Course(Generic[T]):
    """Root's books, a farm's Log. One rename puts an outcome there whole; after a kill the study is asked and told again from
    these files, and asks for the same trials.

    trials: those asked for; results: of those done, by number; parked: some trial failed for good."""

    def __init__(self, terms: Terms[T], ledger: Ledger, events: EventLog, gate: Gate) -> None:
        """Raises IntegrityError where a file is no outcome."""
        self.terms, self.ledger, self.events, self.gate = terms, ledger, events, gate
        self.trials: list[T] = []
        self.results: dict[int, Result] = {}
        self.parked = False
        self._told = 0
        (terms.folder / "trials").mkdir(exist_ok=True)
        for path in sorted((terms.folder / "trials").glob("*.json")):
            try:
                self.results[int(path.stem)] = json.loads(path.read_text())
                terms.row(self.results[int(path.stem)])
            except (OSError, ValueError, LookupError, TypeError) as error:
                raise IntegrityError(
                    f"{path} is no outcome of a trial ({error}): remove it, and the trial runs again"
                ) from error
        name = identity_hash(terms.identity)[:8]
        self._study = study.Study(terms.folder / "study.journal", name, terms.seed, terms.teaches)

    @property
    def complete(self) -> bool:
        """Whether all trials are done."""
        return len(self.results) == self.terms.trials

    def advance(self) -> None:
        """Tell the study each batch that is whole, and ask for the next. Raises IntegrityError."""
        first_final = self.terms.trials - self.terms.finals
        while self._told < self.terms.trials:
            end = first_final if self._told < first_final else self.terms.trials
            batch = range(self._told, min(self._told + self.terms.batch, end))
            while (number := len(self.trials)) < batch.stop:
                final = self.terms.final if number >= first_final else None
                self.trials.append(final(number, self.results) if final else self._study.ask(self.terms.choose))
            done = [number for number in batch if number in self.results]
            for number in done:
                if self.results[number]["trial"] != asdict(self.trials[number]):
                    raise IntegrityError(f"{self.terms.path(number)} is not of trial {number} of this study: remove it")
            if len(done) < len(batch):
                break
            for number in batch:
                if number < first_final:
                    self._study.tell(number, next(iter(self.terms.objectives(self.results[number]).values())))
            self._told = batch.stop
        self.gate.asked = len(self.trials)

    def told(self, lease: Lease) -> tuple[int, T]:
        """What a rank is told of a lease."""
        return lease.start, self.trials[lease.start]

    def objectives(self, name: str) -> dict[int, float]:
        """One of the objectives of each trial that is done, by number."""
        return {number: self.terms.objectives(self.results[number])[name] for number in sorted(self.results)}

    def best(self, name: str = "objective") -> tuple[int, float] | None:
        """The trial with the greatest objective of that name, and that; of equals the first."""
        values = self.objectives(name)
        return max(values.items(), key=lambda pair: (pair[1], -pair[0])) if values else None

    def table(self) -> npt.NDArray[np.void]:
        """The trials that are done, a row each in the order of numbers: of the terms' dtype, (n,)."""
        return np.array([self.terms.row(self.results[number]) for number in sorted(self.results)], self.terms.dtype)

    # -- a farm's Log ---------------------------------------------------------------------------------------------------

    def issued(self, lease: Lease, card: Card) -> None:
        self.ledger.issue(
            lease.id, lease.start, lease.stop, lease.rank, host=card.host, device=card.device, attempt=lease.attempt
        )
        self.events.write("trial_started", trial=lease.start, rank=lease.rank, host=card.host, attempt=lease.attempt)

    def commit(self, lease: Lease, card: Card, finished: Finished) -> None:
        outcome: Outcome = finished.hits
        number = outcome.number
        self.gate.measured(lease.rank, finished.memory)
        if number not in self.results:
            for name, content in outcome.files.items():
                write_bytes(self.terms.folder / name, content)
            self._keep(number, outcome.result, {"rank": lease.rank, "host": card.host})
        self.ledger.commit(
            lease.start, lease.stop, lease.rank, np.zeros(0, HIT), lease=lease.id, host=card.host, device=card.device,
            attempt=lease.attempt, seconds=finished.seconds,
        )  # fmt: skip
        objectives = self.terms.objectives(outcome.result)
        self.events.write("trial_done", trial=number, rank=lease.rank, seconds=finished.seconds, **objectives)
        self.advance()

    def _keep(self, number: int, result: Result, ran: dict[str, Any]) -> None:
        write_json(self.terms.path(number), result | {"ran": ran})
        self.results[number] = result

    def give_up(self, numbers: Iterable[int], why: str) -> None:
        """Trials that failed for good: an outcome too, where the terms have one for it."""
        for number in numbers:
            if self.terms.failed and number not in self.results:
                self._keep(number, self.terms.failed(self.trials[number], why), {})
                self.advance()

    def ended(self, lease: Lease, outcome: str, finished: Finished | None, reason: str) -> None:
        if finished is not None and isinstance(finished.hits, Outcome):
            self.gate.measured(lease.rank, finished.memory)
            if most := finished.hits.result.get("max_per_host"):
                self.gate.limit(lease.rank, most)
                self.events.write("limits", text=f"limits: max_per_host={most} from now on", rank=lease.rank)
        self.ledger.outcome(lease.id, outcome, seconds=finished.seconds if finished else None, reason=reason)

    def event(self, kind: str, **fields: Any) -> None:
        # Without this trial the study can't go on as it would.
        self.parked |= kind == "parked"
        self.events.write(kind, **fields)


class StudyDisplay(Display):
    """The screen of a study."""

    def __init__(self, course: Course[Any], scheduler: Scheduler, log: Callable[..., None]) -> None:
        super().__init__(scheduler, course.terms.trials, 0, 0.0, (len(course.results), 0), sys.stdout, log)
        self.course = course

    def numbers(self, state: State, now: float) -> dict[str, float | int | None]:
        done, elapsed = self.scheduler.seeds_done, now - state.began
        return {
            "trials_asked": self.asked, "trials_done": self.seeds_before + done,
            **{f"best_{name}": value for name, value in self._bests().items()},
            "eta_seconds": self.scheduler.remaining * elapsed / done if done else None, "ranks": len(self.scheduler.live),
        }  # fmt: skip

    def total(self, state: State, now: float) -> str:
        n = self.numbers(state, now)
        eta = duration(n["eta_seconds"]) if n["eta_seconds"] is not None else "unknown"
        bests = ", ".join(f"best {name.replace('_', ' ')} {value:.3g}" for name, value in self._bests().items())
        running = len(self.scheduler.in_flight)
        return f"{n['trials_done']} of {self.asked} trials done, {running} running, {bests or 'none yet'}  ETA {eta}"

    def lines(self, state: State, now: float) -> list[str]:
        share = (self.seeds_before + self.scheduler.seeds_done) / self.asked
        rows = [f"[{'#' * int(30 * share):.<30}] {duration(now - state.began)}", self.total(state, now)]
        for lease in sorted(self.scheduler.in_flight, key=lambda lease: lease.rank):
            trial = self.course.trials[lease.start]
            rows.append(f"{lease.rank:>4}  trial {trial.number}: {self.course.terms.words(trial)}")
        return rows

    def _bests(self) -> dict[str, float]:
        results = self.course.results.values()
        found = [self.course.terms.objectives(result) for result in results]
        return {name: max(each[name] for each in found) for name in found[0]} if found else {}


def lead(
    comm: Comm,
    o: StudyOptions,
    terms: Terms[T],
    compute: Compute,
    card: Card,
    conclude: Callable[[Course[T]], Conclusion],
    rest: Callable[[], None],
) -> ExitCode:
    """Root's part of a study, to its end; the exit code. compute: of root's own device, as a farm's that is told (number,
    trial) and answers with an Outcome; conclude: what the trials done so far say, asked once, when no more run;
    rest: between batches.

    Raises IntegrityError, and what a full disk raises."""
    began = time.monotonic()
    with (
        Ledger.open(terms.folder / "ledger.sqlite", terms.identity, resume=o.resume) as ledger,
        EventLog(terms.folder / "events.jsonl") as events,
    ):
        # A run without a summary did not finish; an older one must not speak for this one.
        (terms.folder / "summary.json").unlink(missing_ok=True)
        limits = limits_of(terms.step)
        names = [str(number) for number in range(terms.trials)]
        gate = Gate(names, [limits] * terms.trials, [o.trial_timeout] * terms.trials, o.memory_reserve)
        course = Course(terms, ledger, events, gate)
        before = len(course.results)
        events.write(
            "start", study=identity_hash(terms.identity), trials=terms.trials, trials_done=before, ranks=comm.size,
            limits=f"{limits}", config=terms.config,
        )  # fmt: skip
        if before:
            say(sys.stdout, [("resumed", f"{before} of {terms.trials} trials were done before")])
        course.advance()
        todo = merge((number, number + 1) for number in range(terms.trials) if number not in course.results)
        scheduler = Scheduler(todo, Policy(lease_margin=LEASE_MARGIN, backoff=BACKOFF), gate)
        display = StudyDisplay(course, scheduler, events.write)

        def show(state: State) -> None:
            if course.parked and terms.failed is None:
                scheduler.drain()
            if course.parked and terms.failed:
                course.parked = False
                for start, stop, why in scheduler.parked:
                    course.give_up(range(start, stop), why[-1])
            display.show(state)

        farm = Farm(
            comm, scheduler, course, show, step.requests,
            check=lambda lease, outcome: "" if outcome.number == lease.start else "its answer is not one to its trial",
            told=course.told,
        )  # fmt: skip
        end = farm.lead(compute, card, o.time_limit, o.startup_timeout + 60, rest)
        heard = wind_up(farm, end, display, events, sys.stdout)
        made = conclude(course)
        code = made.code if course.complete else UNFINISHED.get(end, ExitCode.ABORTED)
        wall = time.monotonic() - began
        _write(course, made, {
            "exit_code": int(code), "end": end.value, "lost": list(farm.lost.values()), "refused": farm.refused,
            "parked": [f"trial {start}: {'; '.join(why)}" for start, _, why in scheduler.parked], "wall_seconds": wall,
        })  # fmt: skip
        events.close({"reason": end.value, "exit_code": int(code)})
    farewell(farm, end, heard, code, "no device is left to run trials with")
    return code


def _write(course: Course[Any], made: Conclusion, ending: dict[str, Any]) -> None:
    """The product files of a study, and its last words."""
    terms, rows = course.terms, course.table()
    identity = identity_hash(terms.identity)
    payload = table_hash(rows, identity)
    attributes = {
        "config": terms.config, "identity": terms.identity, "identity_hash": identity, "payload_hash": payload,
        **step.provenance("optuna"),
    }  # fmt: skip
    tables = {"trials": (rows, terms.columns), **made.tables}
    write_tables(terms.folder / "results.h5", tables, attributes | made.attributes)
    write_json(terms.folder / "summary.json", made.summary | ending | {
        "trials": terms.trials, "trials_done": len(rows), "limits": f"{limits_of(terms.step)}", "payload_hash": payload,
        "device_seconds": float(rows["seconds"].sum()),
    })  # fmt: skip
    said = [("tried", f"{len(rows)} of {terms.trials} trials, in {duration(ending['wall_seconds'])}"), *made.said]
    for key, words in (("parked", "parked"), ("refused", "not used"), ("lost", "lost")):
        said += [(words, text) for text in ending[key]]
    if not course.complete:
        said.append(("ended", f"{ending['end']}; the same command goes on from here"))
    say(sys.stdout, [*said, ("results", f"{terms.folder}/results.h5")])


def table_hash(rows: npt.NDArray[np.void], identity: str) -> str:
    """Hex SHA-256 over a study and all its trials but the time they took: the same for any number of ranks, after any kills."""
    digest = hashlib.sha256(f"prng_mpi trials 1 {identity} {len(rows)}\n".encode())
    for name in rows.dtype.names or ():
        if name != "seconds":
            digest.update(np.ascontiguousarray(rows[name]).tobytes())
    return digest.hexdigest()
