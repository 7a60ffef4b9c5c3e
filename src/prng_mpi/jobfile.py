"""Floor 0: job files: what the coordinators of the replaced system handed out, read, judged and made ready to run.

A file is a JSON array of jobs, or {"jobs": [...]}. A job's type is its `analysis_type` (or `type`), else its `search_type`;
one with a `script` and no type is a script. Every key is honoured, or refused with a reason; a refused key whose value
asks for nothing (null, false, empty) passes.

Families of the replaced system mean our recipes orig.FAMILY, whatever other recipe has that name; names of recipes
mean themselves."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from prng_mpi import hybrid, windows
from prng_mpi.admission import STEPS, Limits, limits_of, step_named
from prng_mpi.analysis import LEAST_SAMPLES
from prng_mpi.errors import UsageError, suggestion
from prng_mpi.history import History, read_history
from prng_mpi.hybrid import STRATEGIES
from prng_mpi.recipes import Recipe, recipe, recipes
from prng_mpi.search import Search
from prng_mpi.statistics import Plan, format_count
from prng_mpi.windows import DIRECTIONS, Asked

T = TypeVar("T")

KINDS = ("sieve", "reverse_sieve", "correlation", "analysis", "script")
_KIND_NAMES = {kind: kind for kind in KINDS} | {
    "residue_sieve": "sieve",
    "standard_analysis": "analysis",
    "statistical": "analysis",
}
_COMMON = {"job_id", "type", "analysis_type", "search_type", "job_type", "step", "timeout"}
_SIEVE = {"dataset_path", "seed_start", "seed_end", "window_size", "min_match_threshold", "skip_range", "offset",
          "prng_families", "sessions", "modulus", "direction", "hybrid", "strategies", "phase2_threshold"}  # fmt: skip
_ANALYSIS = {"prng_type", "mapping_type", "seeds", "seed_start", "seed_end", "samples", "lmax", "grid_size", "modulus"}
HONOURED = {
    "sieve": _SIEVE,
    "reverse_sieve": _SIEVE | {"candidate_seeds"},
    "correlation": _ANALYSIS,
    "analysis": _ANALYSIS,
    "script": {"script", "args", "chunk_file", "seed_count", "expected_output"},
}
REFUSED = {
    "phase1_threshold": "a hybrid search is exact in one pass; its threshold is phase2_threshold",
    "mining_mode": "the profile of a device knows what its host needs",
    "target_draw": "one draw is no evidence of a seed; hold a window of draws against seeds in a sieve job",
    "target_file": "one draw is no evidence of a seed; hold a window of draws against seeds in a sieve job",
    "payload": "nothing reads it",
    "attempt": "the scheduler counts attempts (--max-retries)",
}
PRNG_TYPES = {"mt": "orig.mt19937", "xorshift": "orig.xorshift32", "lcg": "orig.lcg32"}

# Survivors that one job's result may be expected to hold by chance, and seeds of one analysis.
MOST_SURVIVORS = 1e6
MOST_SEEDS = 1_000_000
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
# A result is JOB_ID.json, and these are files of the run.
_TAKEN = ("summary",)


@dataclass(frozen=True, eq=False)
class Part:
    """A search over ranges of seeds (end excluded), and what chance makes of it. family: the name that the job gives it;
    strategy: of a hybrid search."""

    family: str
    strategy: str | None
    search: Search
    plan: Plan
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class SieveWork:
    """parts: what is searched; `fields`: what of the job its result repeats."""

    parts: tuple[Part, ...]
    fields: dict[str, Any]


@dataclass(frozen=True, eq=False)
class AnalysisWork:
    """search: whose outputs; seeds: '<u8' (n,); tests: whether distributions are tested; lags, grid: None leaves them out."""

    family: str
    search: Search
    seeds: npt.NDArray[np.uint64]
    samples: int
    tests: bool
    lags: int | None
    grid: int | None


@dataclass(frozen=True)
class ScriptWork:
    """What is started, and which file it must write; texts as the job has them, or re-homed."""

    script: str
    args: tuple[str, ...]
    expected_output: str | None
    chunk_file: str | None
    seed_count: int | None


@dataclass(frozen=True, eq=False)
class Job:
    """A job that is ready to run; `hash` is of all that its result depends on. most: such jobs at once on a host, where the
    user wants fewer than the step's limits."""

    id: str
    kind: str
    step: int | None
    timeout: float
    hash: str
    work: SieveWork | AnalysisWork | ScriptWork
    most: int | None = None

    @property
    def limits(self) -> Limits | None:
        """A script starts a process, so it has its step's limits, or those of other jobs; what else runs inside its rank
        has limits only if it names a step."""
        if self.kind != "script" and self.step is None:
            return None
        limits = limits_of(self.step)
        return replace(limits, max_per_host=min(limits.max_per_host, self.most)) if self.most else limits


def read_jobs(path: Path, timeout: float) -> list[Job]:
    """The jobs of a file, in its order. timeout: seconds for a job that names none.

    Raises UsageError, which names the job, for the first one that could not run; no job of such a file is ready."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UsageError(f"--jobs-file {path} can't be read: {e.strerror or e}") from e
    except (ValueError, RecursionError) as e:
        raise UsageError(f"--jobs-file {path} is not valid JSON: {e}") from e
    if isinstance(content, dict):
        if set(content) != {"jobs"}:
            raise UsageError(f"{path}: an object must have the one key 'jobs', it has {', '.join(map(repr, content))}")
        content = content["jobs"]
    if not isinstance(content, list) or not content:
        raise UsageError(f"{path}: it holds no list of jobs")
    jobs: dict[str, Job] = {}
    cache = _Cache()
    for place, raw in enumerate(content):
        reader = _Reader(raw, f"{path}: job {place} (counted from 0)")
        name = reader.name()
        reader.where = f"{path}: job {name!r}"
        if name in jobs:
            raise UsageError(f"{reader.where}: an earlier job has the same job_id")
        try:
            jobs[name] = _job(reader, name, path.name, timeout, cache)
        except UsageError as e:
            text = str(e)
            raise UsageError(text if text.startswith(reader.where) else f"{reader.where}: {text}") from e
    return list(jobs.values())


def rehome(work: ScriptWork, folder: Path) -> ScriptWork:
    """A script that writes below `folder` what it would have written elsewhere.

    The output is the expected_output, or where there is none the value of --output-file. It becomes folder/NAME, in
    every argument that is that path, and in the value of --output-file. A script none of whose arguments names its
    output decides itself where it writes; then nothing changes."""
    flag = next((i for i, arg in enumerate(work.args) if arg.partition("=")[0] == "--output-file"), None)
    named = None
    if flag is not None:
        _, mark, value = work.args[flag].partition("=")
        named = value if mark else work.args[flag + 1] if flag + 1 < len(work.args) else None
    old = work.expected_output or named
    if old is None:
        return work
    new = str(folder / Path(old).name)
    places = {os.path.normpath(path) for path in (old, named) if path}
    args = []
    for arg in work.args:
        head, mark, value = arg.partition("=")
        if os.path.normpath(arg) in places:
            args.append(new)
        else:
            args.append(f"{head}={new}" if mark and head == "--output-file" else arg)
    moved = tuple(args) != work.args
    return dataclasses.replace(work, args=tuple(args), expected_output=new if moved else old)


class _Reader:
    """Takes values out of a job's object; every complaint names the job and the key."""

    def __init__(self, raw: Any, where: str) -> None:
        self.where = where
        if not isinstance(raw, dict):
            self.fail(f"{_brief(raw)} is not an object")
        self.raw: dict[str, Any] = raw

    def fail(self, what: str) -> Any:
        raise UsageError(f"{self.where}: {what}")

    def name(self) -> str:
        value = self.raw.get("job_id")
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not _ID.fullmatch(value) or value in _TAKEN:
            self.fail(
                f"job_id {_brief(value)} names no file; give each job one of letters, digits, '.', '_' and '-', "
                f"other than {', '.join(map(repr, _TAKEN))}"
            )
        return str(value)

    def get(self, key: str, default: T, good: Callable[[Any], bool], what: str) -> T:
        value = self.raw.get(key)
        if value is None:
            return default
        if not good(value):
            self.fail(f"{key} {_brief(value)} is not {what}")
        return value  # type: ignore[no-any-return]

    def integer(self, key: str, default: int | None, low: int = 0, high: int = 2**64) -> int:
        value = self.get(key, default, lambda v: _is_int(v) and low <= v <= high, f"an integer from {low} to {high}")
        return int(self.fail(f"{key} is missing") if value is None else value)

    def optional(self, key: str, low: int) -> int | None:
        return self.integer(key, None, low) if self.raw.get(key) is not None else None

    def number(self, key: str, default: float, what: str = "a number above 0") -> float:
        good = lambda v: _is_number(v) and 0 < v < math.inf  # noqa: E731
        return float(self.get(key, default, good, what))

    def text(self, key: str) -> str | None:
        return self.get(key, None, lambda v: isinstance(v, str) and v != "", "a text")

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        good = lambda v: isinstance(v, list) and all(isinstance(item, str) for item in v)  # noqa: E731
        return tuple(self.get(key, default, good, "a list of texts"))


def _job(reader: _Reader, name: str, file: str, timeout: float, cache: _Cache) -> Job:
    kind = _kind(reader)
    known = _COMMON | HONOURED[kind]
    for key, value in reader.raw.items():
        if key in REFUSED and key not in known:
            if value:
                reader.fail(f"{key} is not offered: {REFUSED[key]}; remove it")
        elif key not in known:
            reader.fail(f"unknown key {key!r}{suggestion(key, known)} of a {kind} job; remove or correct it")
    step = _step(reader, kind, file)
    work: SieveWork | AnalysisWork | ScriptWork
    content: list[Any] = []
    if kind == "script":
        work = _script(reader)
    elif kind in ("sieve", "reverse_sieve"):
        work = _sieve(reader, kind, cache)
        content = [[part.search.identity(), part.ranges] for part in work.parts]
    else:
        work = _analysis(reader, kind)
        content = [[work.search.identity(), work.seeds.tolist()]]
    text = json.dumps([reader.raw, content], sort_keys=True, default=str)
    return Job(
        name, kind, step, reader.number("timeout", timeout), hashlib.sha256(text.encode()).hexdigest(), work
    )  # fmt: skip


def _kind(reader: _Reader) -> str:
    for key in ("analysis_type", "type", "search_type"):
        value = reader.text(key)
        if value is not None and key == "search_type" and value != "residue_sieve":
            reader.fail(f"search_type {value!r} is not offered; there is 'residue_sieve'")
        if value is not None:
            if value not in _KIND_NAMES:
                reader.fail(
                    f"{key} {value!r} is no type of job{suggestion(value, KINDS)}; there are {', '.join(KINDS)}"
                )
            return _KIND_NAMES[value]
    if "script" in reader.raw:
        return "script"
    if reader.raw.get("job_type") == "standard_analysis":
        return "analysis"
    return str(reader.fail(f"it has no type; give analysis_type, one of {', '.join(KINDS)}"))


def _step(reader: _Reader, kind: str, file: str) -> int | None:
    """The pipeline step: of `step` or `job_type`; else, of a script, from its name or that of the job file."""
    given, job_type = reader.raw.get("step"), reader.text("job_type")
    names = [*STEPS, "standard_analysis"]
    if given is not None:
        number: int | None = given if _is_int(given) else step_named(str(given))
        if number not in range(7):
            reader.fail(f"step {_brief(given)} is none; give 0 to 6 or one of {', '.join(STEPS)}")
        return number
    if job_type is not None and job_type != "standard_analysis":
        step = step_named(job_type)
        if step is None:
            reader.fail(
                f"job_type {job_type!r} is not offered{suggestion(job_type, names)}; there are {', '.join(names)}"
            )
        return step
    if kind != "script":
        return None
    return step_named(Path(str(reader.raw.get("script"))).name) or step_named(file)


def _script(reader: _Reader) -> ScriptWork:
    script = reader.text("script")
    if script is None:
        reader.fail("script is missing: name the program to run")
    elif not Path(script).is_file():
        reader.fail(f"script {script} is no file on root's host; correct the path or the folder of the run")
    good = lambda v: isinstance(v, list) and all(isinstance(a, str) or _is_number(a) for a in v)  # noqa: E731
    args: list[Any] = reader.get("args", [], good, "a list of texts and numbers")
    return ScriptWork(
        str(script), tuple(map(str, args)), reader.text("expected_output"), reader.text("chunk_file"),
        reader.optional("seed_count", 0),
    )  # fmt: skip


def _recipe(reader: _Reader, name: str) -> Recipe:
    for suffix in ("_hybrid_reverse", "_hybrid", "_reverse"):
        if name.endswith(suffix):
            reader.fail(
                f"family {name!r} is {name.removesuffix(suffix)!r} in another direction or mode; name that family, "
                "the direction by a reverse_sieve job, the mode by hybrid: true"
            )
    if f"orig.{name}" in recipes():
        return recipe(f"orig.{name}")
    return recipe(PRNG_TYPES.get(name, name))


def _seed_range(reader: _Reader, start: int | None, end: int | None) -> tuple[int, int]:
    low, high = reader.integer("seed_start", start), reader.integer("seed_end", end)
    if not low < high:
        reader.fail(f"seeds {low} to {high} are an empty range: the end is excluded and must be larger")
    return low, high


def _fits(reader: _Reader, chosen: Recipe, last: int) -> None:
    limit = chosen.seed_limit(chosen.params({}))
    if last >= limit:
        reader.fail(f"seed {last} is past the last seed of {chosen.name}, {limit - 1}")


def _sieve(reader: _Reader, kind: str, cache: _Cache) -> SieveWork:
    reverse = kind == "reverse_sieve"
    families = reader.texts("prng_families", ("xorshift32", "pcg32", "mt19937"))
    if not families or len(set(families)) < len(families):
        reader.fail(f"prng_families {list(families)} is empty or names one twice")
    direction = reader.text("direction") or ("reverse" if reverse else "forward")
    if direction not in DIRECTIONS or reverse != (direction == "reverse"):
        reader.fail(f"direction {direction!r} is not one of a {kind} job; leave it out, or give 'both' to a sieve")
    low, high = _pair(reader, "skip_range", (0, 16))
    offset, modulus = reader.integer("offset", 0, high=2**31 - 1), reader.integer("modulus", 1000, 2)
    strategies, threshold = _strategies(reader), reader.number("min_match_threshold", 0.01 if reverse else 0.25)
    if None not in strategies:
        threshold = reader.number("phase2_threshold", 0.5)
    history, k = cache.history(reader), reader.integer("window_size", 30 if reverse else 10, 1)
    if len(history.draws) < k:
        reader.fail(f"window_size {k}, but {history.source} has {len(history.draws)} draws")
    # As the replaced system did: a window that would reach past the end of the file begins earlier.
    start = min(offset, len(history.draws) - k)
    if direction in ("reverse", "both") and not start:
        reader.fail(f"direction {direction} explains the draws before the window, and offset {offset} leaves none")
    candidates = _candidates(reader) if "candidate_seeds" in reader.raw else {None: [_seed_range(reader, 0, None)]}
    parts = []
    for name, strategy in itertools.product(families, strategies):
        chosen = _recipe(reader, name)
        for skip, ranges in candidates.items():
            _fits(reader, chosen, ranges[-1][1] - 1)
            skips = (skip, skip) if skip is not None else (low, high)
            if strategy is not None and skip is None and reader.raw.get("skip_range") is None:
                skips = STRATEGIES[strategy].skips
            misses = None if strategy is None else STRATEGIES[strategy].misses
            asked = Asked(modulus, threshold, start, k, direction, skips, (offset, offset), misses)
            search, plan = cache.search(chosen, history, asked, sum(stop - start for start, stop in ranges))
            parts.append(Part(name, strategy, search, plan, tuple(ranges)))
    expected = sum(part.plan.expected_survivors for part in parts)
    if expected > MOST_SURVIVORS:
        reader.fail(
            f"this filter is hopeless: chance alone would leave {format_count(expected)} seeds, more than "
            f"{format_count(MOST_SURVIVORS)} in one job; raise the threshold, lengthen window_size, or search fewer seeds"
        )
    fields = {
        "prng_families": list(families),
        "seed_range": {
            "start": min(start for ranges in candidates.values() for start, _ in ranges),
            "end": max(stop for ranges in candidates.values() for _, stop in ranges),
        },
        "direction": direction,
        "hybrid": None not in strategies,
        "k": parts[0].search.k,
        "skip_range": [min(part.search.skips[0] for part in parts), max(part.search.skips[1] for part in parts)],
        "min_match_threshold": threshold,
        "offset": offset,
        "window_start": start,
    }
    return SieveWork(tuple(parts), fields)


def _strategies(reader: _Reader) -> tuple[str | None, ...]:
    """The strategies of a hybrid job, all five where it names none; (None,) for a constant skip."""
    varies = reader.get("hybrid", False, lambda v: isinstance(v, bool), "true or false")
    names = reader.texts("strategies", ())
    if not varies:
        for key in ("strategies", "phase2_threshold"):
            if reader.raw.get(key):
                reader.fail(f"{key} is for a job whose hybrid is true")
        return (None,)
    for name in names:
        if name not in STRATEGIES:
            reader.fail(
                f"there is no strategy {name!r}{suggestion(name, STRATEGIES)}; there are {', '.join(STRATEGIES)}"
            )
    return tuple(dict.fromkeys(names)) or tuple(STRATEGIES)


class _Cache:
    """What the jobs of a file share: mostly one search over ranges of one size."""

    def __init__(self) -> None:
        self._histories: dict[tuple[str, tuple[str, ...]], History] = {}
        self._searches: dict[tuple[str, str, Asked], Search] = {}
        self._plans: dict[tuple[str, str, Asked, int], Plan] = {}

    def history(self, reader: _Reader) -> History:
        source, sessions = reader.text("dataset_path"), reader.texts("sessions", ())
        if source is None:
            return reader.fail("dataset_path is missing: name the draw history")  # type: ignore[no-any-return]
        if (source, sessions) not in self._histories:
            self._histories[source, sessions] = read_history(source, sessions, partial=True)
        return self._histories[source, sessions]

    def search(self, chosen: Recipe, history: History, asked: Asked, seeds: int) -> tuple[Search, Plan]:
        """What every seed of a job is held against, and what chance makes of so many.

        The replaced system's `offset` moves window and generator by the same number, whatever the skip: the window is
        draws offset to offset + k - 1 of the file, and draw i of it is output offset + skip + i (skip + 1). In reverse,
        draw offset - 1 - i is output offset - 1 - i (skip + 1)."""
        key = (chosen.name, f"{history.source} {history.dropped}", asked)
        if key not in self._searches:
            self._searches[key] = windows.search(chosen, {}, history, asked)[0]
        search = self._searches[key]
        if (*key, seeds) not in self._plans:
            self._plans[*key, seeds] = hybrid.plan_of(search, asked.threshold, seeds)
        return search, self._plans[*key, seeds]


def _candidates(reader: _Reader) -> dict[int | None, list[tuple[int, int]]]:
    """Ranges of the candidate seeds, ascending and disjoint, by the one skip they are to be held at (None: the range)."""
    if "seed_start" in reader.raw or "seed_end" in reader.raw:
        reader.fail("it has both candidate_seeds and a range of seeds; keep one")
    good = lambda v: isinstance(v, list) and len(v) > 0  # noqa: E731
    given: list[Any] = reader.get("candidate_seeds", [], good, "a list of seeds")
    by_skip: dict[int | None, set[int]] = {}
    for item in given:
        pair: dict[str, Any] = item if isinstance(item, dict) else {"seed": item}
        seed, skip = pair.get("seed", -1), pair.get("skip")
        right = _is_int(seed) and 0 <= seed < 2**64 and (skip is None or (_is_int(skip) and 0 <= skip < 2**31))
        if not right or not pair.keys() <= {"seed", "skip"}:
            reader.fail(f"candidate {_brief(item)} is neither a seed nor an object of seed and skip")
        by_skip.setdefault(skip, set()).add(seed)
    return {skip: _ranges(seeds) for skip, seeds in by_skip.items()}


def _ranges(seeds: set[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for seed in sorted(seeds):
        if ranges and ranges[-1][1] == seed:
            ranges[-1] = (ranges[-1][0], seed + 1)
        else:
            ranges.append((seed, seed + 1))
    return ranges


def _analysis(reader: _Reader, kind: str) -> AnalysisWork:
    name = reader.text("prng_type")
    if name is None:
        return reader.fail("prng_type is missing: name a family or recipe")  # type: ignore[no-any-return]
    chosen = _recipe(reader, name)
    mapping = reader.text("mapping_type")
    if mapping not in (None, "mod"):
        reader.fail(f"mapping_type {mapping!r} is not offered: name as prng_type the recipe of the call that scales")
    modulus = reader.integer("modulus", 1000, 2)
    search = Search(chosen, modulus, np.zeros(1, np.uint32), 0, 1)
    seeds = _seeds(reader)
    _fits(reader, chosen, int(seeds.max()))
    samples = reader.integer("samples", None, LEAST_SAMPLES, 2**24)
    own = kind == "correlation"
    lags = reader.integer("lmax", 8, 1) if own or reader.raw.get("lmax") is not None else None
    grid = reader.integer("grid_size", 4, 2) if own or reader.raw.get("grid_size") is not None else None
    if lags is not None and lags > samples // 10:
        reader.fail(f"lmax {lags} wants at least {10 * lags} samples, not {samples}")
    if grid is not None and grid > samples // 25:
        reader.fail(f"grid_size {grid} wants at least {25 * grid} samples, not {samples}")
    return AnalysisWork(name, search, seeds, samples, not own, lags, grid)


def _seeds(reader: _Reader) -> npt.NDArray[np.uint64]:
    """`seeds` is a list of them, or how many from seed_start on; or there is a range."""
    given = reader.raw.get("seeds")
    if isinstance(given, list):
        if not given or not all(_is_int(seed) and 0 <= seed < 2**64 for seed in given) or len(given) > MOST_SEEDS:
            reader.fail(f"seeds {_brief(given)} is not a list of 1 to {MOST_SEEDS} seeds")
        return np.array(given, np.uint64)
    start = reader.integer("seed_start", 0)
    end = start + reader.integer("seeds", None, 1, MOST_SEEDS) if given is not None else None
    if given is not None and "seed_end" in reader.raw:
        reader.fail("it has both seeds and seed_end; keep one")
    low, high = _seed_range(reader, 0, end)
    if high - low > MOST_SEEDS:
        reader.fail(f"{high - low} seeds are more than {MOST_SEEDS} in one job; make several jobs of it")
    return np.arange(low, high, dtype=np.uint64)


def _pair(reader: _Reader, key: str, default: tuple[int, int]) -> tuple[int, int]:
    good = lambda v: isinstance(v, list) and len(v) == 2 and all(_is_int(n) for n in v) and 0 <= v[0] <= v[1] < 2**31  # noqa: E731
    low, high = reader.get(key, default, good, "a list of least and largest")
    return int(low), int(high)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _brief(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def count_kinds(jobs: list[Job]) -> Mapping[str, int]:
    """How many jobs of each type there are, in the order of KINDS."""
    return {kind: n for kind in KINDS if (n := sum(job.kind == kind for job in jobs))}
