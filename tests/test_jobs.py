"""Job files: read and judged, run on ranks, failing in every documented way, killed and resumed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import support
from prng_mpi.errors import UsageError
from prng_mpi.farm import WorkFailed
from prng_mpi.jobfile import AnalysisWork, Job, ScriptWork, SieveWork, read_jobs, rehome
from prng_mpi.router import Outcome, Router, last_object, script_environment
from prng_mpi.store import write_json
from support import Ended, events, uniform, until, write_draws

# -- reading ----------------------------------------------------------------------------------------------------------


def file_of(folder: Path, jobs: Any, name: str = "jobs.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(jobs))
    return path


def sieve(folder: Path, **more: Any) -> dict[str, Any]:
    """The sieve job of the replaced system's description, over few seeds."""
    draws = folder / "draws.json"
    if not draws.exists():
        write_draws(folder, uniform(1, 60, 1000))
    return {
        "job_id": "sieve_000", "search_type": "residue_sieve", "dataset_path": str(draws), "seed_start": 0,
        "seed_end": 3000, "window_size": 8, "min_match_threshold": 0.25, "skip_range": [5, 56], "offset": 43,
        "prng_families": ["java_lcg"], "hybrid": False, "phase1_threshold": None, "phase2_threshold": None,
        "strategies": None, **more,
    }  # fmt: skip


def analysis(**more: Any) -> dict[str, Any]:
    return {
        "job_id": "analysis_0", "prng_type": "mt", "mapping_type": "mod", "seeds": [1, 2, 3], "samples": 2000, "lmax": 8,
        "grid_size": 4, "mining_mode": False, "job_type": "standard_analysis", "analysis_type": "analysis", **more,
    }  # fmt: skip


def script(folder: Path, code: str = "", **more: Any) -> dict[str, Any]:
    """A script job; its script writes {} to where it is told, after `code`."""
    name = more.get("job_id", "script_0")
    path = folder / f"{name}.py"
    path.write_text(f"import json, os, signal, sys, time\n{code}\nopen(sys.argv[2], 'w').write('{{}}')\n")
    out = str(folder / "out" / f"{name}.json")
    return {
        "job_id": name, "script": str(path), "args": ["--output-file", out], "chunk_file": "chunk.json", "seed_count": 7,
        "expected_output": out, "timeout": 60, **more,
    }  # fmt: skip


def only(folder: Path, job: dict[str, Any], name: str = "jobs.json") -> Job:
    (job_,) = read_jobs(file_of(folder, [job], name), 100.0)
    return job_


def test_both_forms_of_a_file(tmp_path: Path) -> None:
    jobs = [analysis(), sieve(tmp_path)]
    read = [read_jobs(file_of(tmp_path, form), 100.0) for form in (jobs, {"jobs": jobs})]
    assert [[job.id for job in each] for each in read] == [["analysis_0", "sieve_000"]] * 2
    assert [job.hash for job in read[0]] == [job.hash for job in read[1]]


def test_the_old_sieve_job(tmp_path: Path) -> None:
    job = only(tmp_path, sieve(tmp_path))
    assert isinstance(job.work, SieveWork) and (job.kind, job.timeout, job.limits) == ("sieve", 100.0, None)
    (part,) = job.work.parts
    s = part.search
    assert (part.family, s.recipe.name, s.modulus, part.ranges) == ("java_lcg", "orig.java_lcg", 1000, ((0, 3000),))
    # `offset` moves the data and the generator by the same number.
    assert (s.window_start, s.offsets, s.skips, s.need) == (43, (43, 43), (5, 56), 2)
    assert s.draws.tolist() == uniform(1, 60, 1000)[43:51]
    assert part.plan.n_hypotheses == 3000 * 52


def test_a_window_past_the_end_begins_earlier_and_the_generator_does_not(tmp_path: Path) -> None:
    work = only(tmp_path, sieve(tmp_path, offset=58)).work
    assert isinstance(work, SieveWork)
    assert (work.parts[0].search.window_start, work.parts[0].search.offsets) == (52, (58, 58))


def test_defaults_are_the_old_ones(tmp_path: Path) -> None:
    raw = sieve(tmp_path)
    keep = ("job_id", "search_type", "dataset_path", "seed_start", "seed_end")
    work = only(tmp_path, {key: raw[key] for key in keep}).work
    assert isinstance(work, SieveWork)
    assert [part.search.recipe.name for part in work.parts] == ["orig.xorshift32", "orig.pcg32", "orig.mt19937"]
    s = work.parts[0].search
    assert (len(s.draws), s.skips, s.need, s.offsets) == (10, (0, 16), 3, (0, 0))
    raw = sieve(tmp_path, analysis_type="reverse_sieve", candidate_seeds=[5, 4, {"seed": 9, "skip": 3}, 5])
    keep = ("job_id", "analysis_type", "dataset_path", "prng_families", "candidate_seeds")
    work = only(tmp_path, {key: raw[key] for key in keep} | {"offset": 99}).work
    assert isinstance(work, SieveWork) and work.fields["direction"] == "reverse"
    assert [(part.search.skips, part.ranges) for part in work.parts] == [((0, 16), ((4, 6),)), ((3, 3), ((9, 10),))]
    (behind,) = work.parts[0].search.sides
    assert behind.behind and behind.need == 1 and behind.draws.tolist() == uniform(1, 60, 1000)[29::-1]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"analysis_type": "correlation"}, "correlation"), ({"analysis_type": "standard_analysis"}, "analysis"),
        ({"analysis_type": None, "type": "correlation"}, "correlation"), ({"analysis_type": None}, "analysis"),
    ],
)  # fmt: skip
def test_types_of_analysis(change: dict[str, Any], kind: str, tmp_path: Path) -> None:
    job = only(tmp_path, analysis(**change))
    assert isinstance(job.work, AnalysisWork) and job.kind == kind
    assert (job.work.tests, job.work.lags, job.work.grid) == (kind == "analysis", 8, 4)


def test_seeds_of_an_analysis(tmp_path: Path) -> None:
    for change, seeds in (({"seeds": 3, "seed_start": 5}, [5, 6, 7]), ({"seeds": None, "seed_end": 2}, [0, 1])):
        work = only(tmp_path, analysis(**change)).work
        assert isinstance(work, AnalysisWork) and work.seeds.tolist() == seeds


@pytest.mark.parametrize(
    ("change", "file", "step"),
    [
        ({}, "jobs.json", None), ({"step": 3}, "jobs.json", 3), ({"step": "full_scoring"}, "jobs.json", 3),
        ({"job_type": "scorer_trial"}, "full_scoring_jobs.json", 2), ({}, "full_scoring_jobs.json", 3),
        ({"job_id": "anti_overfit_trial_worker"}, "full_scoring_jobs.json", 5),
    ],
)  # fmt: skip
def test_step_of_a_script(change: dict[str, Any], file: str, step: int | None, tmp_path: Path) -> None:
    job = only(tmp_path, script(tmp_path, **change), file)
    assert job.kind == "script" and job.step == step
    assert job.limits is not None and job.limits.max_per_host == (2 if step == 3 else 6)


def bad(text: str, *words: str) -> Any:
    return pytest.param(text, words, id=words[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        bad("[", "not valid JSON"),
        bad("[]", "no list of jobs"),
        bad('{"jobs": [], "more": 1}', "the one key 'jobs'"),
        bad("[7]", "job 0", "7 is not an object"),
        bad("[{}]", "job 0", "job_id"),
        bad('[{"job_id": "a/b"}]', "a/b", "names no file"),
        bad('[{"job_id": "summary"}]', "'summary'"),
        bad('[{"job_id": "a"}]', "job 'a'", "it has no type"),
        bad('[{"job_id": "a", "type": "sive"}]', "job 'a'", "did you mean 'sieve'"),
        bad('[{"job_id": "a", "type": "script", "script": "nowhere.py"}]', "nowhere.py"),
        bad('[{"job_id": "a", "search_type": "draw_match"}]', "draw_match"),
    ],
)
def test_files_that_are_refused(text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_jobs(path, 1.0)
    for word in ("jobs.json", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"skip_rang": [0, 1]}, ("unknown key 'skip_rang'", "did you mean 'skip_range'")),
        ({"lmax": 3}, ("unknown key 'lmax' of a sieve job",)),
        ({"hybrid": 1}, ("hybrid 1",)),
        ({"hybrid": True, "strategies": ["balanced"]}, ("did you mean 'balanced_hybrid'",)),
        ({"strategies": ["balanced_hybrid"]}, ("strategies is for a job whose hybrid is true",)),
        ({"phase2_threshold": 0.5}, ("phase2_threshold is for a job whose hybrid is true",)),
        ({"phase1_threshold": 0.2}, ("phase1_threshold is not offered", "one pass")),
        ({"direction": "backwards"}, ("direction 'backwards'",)),
        ({"direction": "reverse"}, ("direction 'reverse'",)),
        ({"direction": "both", "offset": 0}, ("offset 0 leaves none",)),
        ({"mining_mode": True}, ("mining_mode is not offered", "profile")),
        ({"target_draw": [1, 2, 3]}, ("target_draw is not offered", "sieve job")),
        ({"attempt": 2}, ("attempt is not offered", "--max-retries")),
        ({"dataset_path": "nowhere.json"}, ("nowhere.json",)),
        ({"dataset_path": None}, ("dataset_path is missing",)),
        ({"seed_end": None}, ("seed_end is missing",)),
        ({"seed_end": 0}, ("empty range",)),
        ({"seed_end": 2**48 + 1}, ("past the last seed of orig.java_lcg",)),
        ({"seed_start": -1}, ("seed_start -1",)),
        ({"window_size": 61}, ("has 60 draws",)),
        ({"min_match_threshold": 0}, ("min_match_threshold 0",)),
        ({"min_match_threshold": 1.5}, ("1.5",)),
        ({"skip_range": [5]}, ("skip_range [5]",)),
        ({"skip_range": [5, 4]}, ("skip_range [5, 4]",)),
        ({"prng_families": []}, ("prng_families",)),
        ({"prng_families": ["java_lgc"]}, ("java_lgc",)),
        ({"prng_families": ["java_lcg_reverse"]}, ("java_lcg_reverse", "another direction")),
        ({"sessions": ["evening"]}, ("session",)),
        ({"modulus": 500}, ("not in [0, 500)",)),
        ({"timeout": 0}, ("timeout 0",)),
        ({"step": 9}, ("step 9",)),
        ({"job_type": "full_scorin"}, ("full_scorin", "did you mean 'full_scoring'")),
        ({"seed_end": 2**32}, ("hopeless", "chance alone would leave")),
        ({"candidate_seeds": [1], "analysis_type": "reverse_sieve"}, ("both candidate_seeds and a range",)),
        ({"candidate_seeds": [1]}, ("unknown key 'candidate_seeds' of a sieve job",)),
    ],
    ids=str,
)
def test_sieve_jobs_that_are_refused(change: dict[str, Any], words: tuple[str, ...], tmp_path: Path) -> None:
    path = file_of(tmp_path, [analysis(), sieve(tmp_path, **change)])
    with pytest.raises(UsageError) as error:
        read_jobs(path, 1.0)
    for word in ("job 'sieve_000'", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prng_type": None}, ("prng_type is missing",)), ({"prng_type": "mtt"}, ("mtt",)),
        ({"mapping_type": "scale"}, ("mapping_type 'scale'",)), ({"samples": 99}, ("samples 99",)),
        ({"samples": None}, ("samples is missing",)), ({"seeds": []}, ("seeds",)), ({"seeds": [2**32]}, ("4294967296",)),
        ({"seeds": 3, "seed_end": 9}, ("both seeds and seed_end",)), ({"lmax": 300}, ("lmax 300",)),
        ({"grid_size": 100}, ("grid_size 100",)), ({"job_type": "advanced_draw_matching"}, ("advanced_draw_matching",)),
        ({"job_id": "twice"}, ("same job_id",)),
    ],
    ids=str,
)  # fmt: skip
def test_analysis_jobs_that_are_refused(change: dict[str, Any], words: tuple[str, ...], tmp_path: Path) -> None:
    path = file_of(tmp_path, [analysis(job_id="twice"), analysis(**change)])
    with pytest.raises(UsageError) as error:
        read_jobs(path, 1.0)
    for word in words:
        assert word in str(error.value)


def test_outputs_get_a_home() -> None:
    def moved(args: list[str], expected: str | None) -> tuple[list[str], str | None]:
        work = rehome(ScriptWork("s.py", tuple(args), expected, None, None), Path("/run/outputs/j"))
        return list(work.args), work.expected_output

    new = "/run/outputs/j/c.json"
    assert moved(["--output-file", "full/c.json", "--x", "full/c.jsonl"], "full/c.json") == (
        ["--output-file", new, "--x", "full/c.jsonl"], new,
    )  # fmt: skip
    assert moved(["--output-file=./full/c.json", "full/c.json"], "full/c.json") == ([f"--output-file={new}", new], new)
    assert moved(["--output-file", "full/c.json"], None) == (["--output-file", new], new)
    # The script decides where it writes: a path that it never hears of stays.
    assert moved(["0", "{params}"], "trials/c.json") == (["0", "{params}"], "trials/c.json")
    assert moved(["0"], None) == (["0"], None)


# -- the router, without ranks ----------------------------------------------------------------------------------------


def outcome(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """What a rank makes of a job, well or not."""
    router = Router([only(folder, job)], "cpu", 0)
    try:
        done = router(0, 1, lambda: False)
    except WorkFailed as e:
        assert str(e) == e.content.result["error"]
        done = e.content
    assert isinstance(done, Outcome)
    write_json(folder / "result.json", done.result)
    return done.result


def test_a_sieve_job_finds_what_the_definition_says(tmp_path: Path) -> None:
    """Against the replaced system's java_lcg and its meaning of offset, written down once more."""
    first, count = 10**14, 2000
    change = {"skip_range": [5, 9], "min_match_threshold": 0.125, "offset": 7}
    result = outcome(tmp_path, sieve(tmp_path, seed_start=first, seed_end=first + count, **change))
    draws, expected = uniform(1, 60, 1000)[7:15], []
    for seed in range(first, first + count):
        state, outputs = seed, []
        for _ in range(7 + 9 + 8 * 10):
            state = (0x5DEECE66D * state + 11) % 2**48
            outputs.append((state >> 16) % 2**32 % 1000)
        found = [(sum(outputs[7 + s + i * (s + 1)] == d for i, d in enumerate(draws)), -s) for s in range(5, 10)]
        if max(found)[0] >= 1:
            expected.append((seed, max(found)[0], -max(found)[1]))
    got = [(each["seed"], each["matches"], each["best_skip"]) for each in result["survivors"]]
    assert got == expected and len(got) > 20
    assert abs(len(got) - result["expected_by_chance"]) < 5 * result["expected_by_chance"] ** 0.5
    assert result["seeds_analyzed"] == result["stats"]["total_seeds_tested"] == count
    assert result["n_hypotheses"] == count * 5 and result["per_family"]["java_lcg"]["survivors"] == len(got)
    assert result["seed_range"] == {"start": first, "end": first + count} and (result["k"], result["offset"]) == (8, 7)


A, C, M = 0x5DEECE66D, 11, 2**48


def java_lcg(seed: int, positions: list[int]) -> list[int]:
    """Outputs of the replaced system's java_lcg at these positions, which may be before the seed."""
    found, outputs = {}, (min(positions), max(positions))
    state = seed
    for _ in range(-outputs[0]):
        state = (state - C) * pow(A, -1, M) % M
    for at in range(min(outputs[0], 0), outputs[1] + 1):
        state = (A * state + C) % M
        found[at] = (state >> 16) % 2**32 % 1000
    return [found[at] for at in positions]


def planted(folder: Path, skips: list[int], before: int) -> dict[str, Any]:
    """A job over draws of seed 777: before the window at skip 3, then with these skips before each draw."""
    places = [before - 1 - 4 * i for i in reversed(range(before))]
    for skip in skips:
        places.append(places[-1] + skip + 1)
    draws = folder / "planted.json"
    draws.write_text(json.dumps(java_lcg(777, places)))
    change = {"window_size": len(skips), "seed_end": 2000, "min_match_threshold": 0.75, "skip_range": [0, 5]}
    return sieve(folder, dataset_path=str(draws), offset=before, **change)


def test_candidates_are_held_against_the_draws_before_the_window(tmp_path: Path) -> None:
    forward = planted(tmp_path, [3] * 20, 20)
    (found,) = outcome(tmp_path, forward)["survivors"]
    assert (found["seed"], found["best_skip"], found["matches"]) == (777, 3, 20)
    raw = {key: value for key, value in forward.items() if key not in ("seed_start", "seed_end")}
    reverse = {**raw, "analysis_type": "reverse_sieve", "candidate_seeds": [5, 777, {"seed": 778, "skip": 2}]}
    result = outcome(tmp_path, reverse)
    assert result["survivors"] == [found] and result["direction"] == "reverse"
    assert result["n_hypotheses"] == 2 * 6 + 1 and result["seeds_analyzed"] == 3
    (both,) = outcome(tmp_path, {**forward, "direction": "both"})["survivors"]
    assert (both["seed"], both["matches"], both["total"]) == (777, 40, 40)
    # The replaced system's reverse: the window turned round, which no seed explains.
    assert outcome(tmp_path, {**forward, "direction": "turned"})["survivors"] == []


def test_a_hybrid_job_tells_the_skips(tmp_path: Path) -> None:
    pattern = [5, 5, 7, 7, 3, 3] * 4
    job = planted(tmp_path, pattern, 1)
    assert outcome(tmp_path, job)["survivors"] == []
    del job["skip_range"]
    hybrid = {**job, "hybrid": True, "strategies": ["strict_continuous", "balanced_hybrid"], "phase2_threshold": 0.75}
    result = outcome(tmp_path, hybrid)
    (found,) = result["survivors"]
    assert (found["seed"], found["strategy_name"], found["matches"]) == (777, "strict_continuous", 24)
    # The offset of one output comes before the first skip.
    assert found["skip_pattern"] == pattern and found["skip_stats"]["max"] == 7
    assert (result["hybrid"], result["expected_by_chance_is"], result["skip_range"]) == (True, "at most", [0, 15])
    assert result["expected_by_chance"] < 1e-3 and result["seeds_analyzed"] == 2000


def test_correlation_and_analysis(tmp_path: Path) -> None:
    fair = outcome(tmp_path, analysis(seeds=200))
    assert set(fair["tests"]) == {"chi_square", "runs", "serial", "gap", "autocorrelation", "grid"}
    assert fair["n_tests"] == 200 * 6 and fair["rejected"] == []
    assert np.shape(fair["tests"]["autocorrelation"]["r"]) == (200, 8)
    # xorshift32 never leaves state 0, and its first outputs from small seeds are no random ones.
    stuck = outcome(tmp_path, analysis(prng_type="xorshift", seeds=[0, 12345], analysis_type="correlation"))
    assert {each["seed"] for each in stuck["rejected"]} == {0} and set(stuck["tests"]) == {"autocorrelation", "grid"}
    assert np.shape(stuck["tests"]["grid"]["r"]) == (2, 4, 4)


WAYS: dict[str, tuple[str, str]] = {
    "missing": ("sys.exit(0)", "FILE_MISSING"),
    "empty": ("open(sys.argv[2], 'w').close(); sys.exit(0)", "FILE_EMPTY"),
    "invalid": ("open(sys.argv[2], 'w').write('{'); sys.exit(0)", "INVALID_JSON"),
    "timeout": ("time.sleep(99)", "TIMEOUT"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "KILLED"),
    "status": ("print('no such chunk'); sys.exit(3)", "EXECUTION_ERROR"),
    "raises": ("raise ValueError('what')", "EXECUTION_ERROR"),
}
WORDS = {"killed": "was killed by signal 9 (no sign of the OOM killer); see who ends it", "status": "status 3 (no such chunk)", "raises": "ValueError: what",
         "timeout": "no end after 0.5 s; raise the job's timeout"}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_each_way_a_script_fails(way: str, tmp_path: Path) -> None:
    code, mode = WAYS[way]
    result = outcome(tmp_path, script(tmp_path, code, timeout=0.5 if way == "timeout" else 60))
    assert (result["success"], result["mode"]) == (False, mode)
    assert result["error"].startswith(f"{mode}: ") and WORDS.get(way, "") in result["error"]


def test_a_script_that_succeeds(tmp_path: Path) -> None:
    code = "print('working'); open(sys.argv[2], 'w').write(json.dumps({'score': [1, 2]})); sys.exit(0)"
    result = outcome(tmp_path, script(tmp_path, code))
    assert result["success"] and result["output"] == {"score": [1, 2]} and result["log"] == "working\n"
    assert (result["seeds_analyzed"], result["chunk_file"], result["status"]) == (7, "chunk.json", 0)


def test_an_output_of_an_earlier_run_is_no_output(tmp_path: Path) -> None:
    job = script(tmp_path, "sys.exit(0)")
    out = Path(job["expected_output"])
    out.parent.mkdir()
    out.write_text("{}")
    result = outcome(tmp_path, job)
    assert result["mode"] == "FILE_MISSING" and "as it was before" in result["error"] and out.read_text() == "{}"


def test_a_script_without_an_output_speaks_by_its_last_line(tmp_path: Path) -> None:
    code = "print('{\"score\": 3}'); print('bye'); sys.exit(0)"
    result = outcome(tmp_path, {"job_id": "s", **script(tmp_path, code, expected_output=None)})
    assert result["success"] and result["output"] == {"score": 3}
    assert last_object("{ no\nno") is None


def test_a_job_that_takes_too_long_or_is_not_wanted(tmp_path: Path) -> None:
    long = sieve(tmp_path, seed_end=2**40, min_match_threshold=1.0, timeout=0.3)
    result = outcome(tmp_path, long)
    assert result["mode"] == "TIMEOUT" and "not through after 0.3 s" in result["error"]
    assert Router([only(tmp_path, long)], "cpu", 0)(0, 1, lambda: True) is None
    assert Router([only(tmp_path, script(tmp_path, "time.sleep(99)"))], "cpu", 0)(0, 1, lambda: True) is None


def test_what_a_script_sees() -> None:
    environ = {
        "PATH": "p",
        "OMPI_COMM_WORLD_RANK": "1",
        "PMIX_RANK": "1",
        "PRNG_MPI_JOBS_FILE": "f",
        "CUDA_VISIBLE_DEVICES": "4,6",
    }
    assert script_environment(environ, "cpu", 1) == {"PATH": "p", "CUDA_VISIBLE_DEVICES": "4,6"}
    assert script_environment(environ, "cuda", 1) == {"PATH": "p", "CUDA_VISIBLE_DEVICES": "6"}
    rocm = script_environment(environ, "rocm", 1)
    assert rocm["ROCR_VISIBLE_DEVICES"] == "1" and rocm["HSA_OVERRIDE_GFX_VERSION"] == "10.3.0"


# -- whole runs -------------------------------------------------------------------------------------------------------


class Run(support.Run):
    STEP = "jobs"


def run_jobs(argv: list[object], np_: int | None = None, timeout: float = 90, patch: str = "", **env: str) -> Ended:
    return Run([*argv, "--device", "cpu"] if "--device" not in argv else argv, np_, patch, **env).wait(timeout)


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json") if path.stem != "summary"}


def failing(folder: Path) -> list[dict[str, Any]]:
    """One job for each way a script fails, and one sieve that does not come to its end."""
    jobs = [script(folder, code, job_id=way, timeout=1 if way == "timeout" else 60) for way, (code, _) in WAYS.items()]
    return [*jobs, sieve(folder, job_id="slow_sieve", seed_end=2**40, min_match_threshold=1.0, timeout=0.5)]


def working(folder: Path) -> list[dict[str, Any]]:
    """Two jobs of each type."""
    reverse = sieve(folder, analysis_type="reverse_sieve", candidate_seeds=[3, 5, 8], min_match_threshold=0.1)
    del reverse["seed_start"], reverse["seed_end"]
    return [
        {**job, "job_id": f"{name}_{i}"}
        for i in range(2)
        for name, job in {
            "sieve": sieve(folder), "reverse": reverse, "correlation": analysis(analysis_type="correlation"),
            "analysis": analysis(), "script": script(folder),
        }.items()
    ]  # fmt: skip


def test_every_type_on_four_ranks_with_one_job_failing_in_each_way(tmp_path: Path) -> None:
    bad, good = failing(tmp_path), working(tmp_path)
    jobs = file_of(tmp_path, [job for pair in zip(bad, good, strict=False) for job in pair] + good[len(bad) :])
    folder = tmp_path / "run"
    ended = run_jobs(["--jobs-file", jobs, "--output-dir", folder, "--max-retries", 1], 4)
    assert ended.code == 6, ended.stderr
    assert ended.complaints == []
    s = ended.summary
    assert (s["jobs_expected"], s["completed"], s["unfinished"], s["exit_code"]) == (18, 10, 0, 6)
    modes = {way: mode for way, (_, mode) in WAYS.items()} | {"slow_sieve": "TIMEOUT"}
    assert {each["job_id"]: each["mode"] for each in s["failed"]} == modes
    assert all(len(each["attempts"]) == 2 for each in s["failed"])
    found = results(folder)
    assert {name for name, result in found.items() if result["success"]} == {job["job_id"] for job in good}
    assert {name: found[name]["mode"] for name in modes} == modes
    started = [event for event in events(folder) if event["kind"] == "job_started"]
    assert {event["rank"] for event in started} == {0, 1, 2, 3}
    # What does not depend on who ran it is the same in both jobs of a type.
    assert found["sieve_0"]["survivors"] == found["sieve_1"]["survivors"]
    assert found["analysis_0"]["tests"] == found["analysis_1"]["tests"]
    searches = [result for result in found.values() if result["success"] and "survivors" in result]
    assert s["survivors"] == sum(len(result["survivors"]) for result in searches) > 0
    assert s["expected_by_chance"] == pytest.approx(sum(result["expected_by_chance"] for result in searches))
    assert s["best"]["log10_E"] > -3
    # A second try goes to another rank.
    tries = [(event["job"], event["rank"]) for event in started if event["job"] in modes]
    assert len(set(tries)) == len(tries) == 16
    assert "limits: max_per_host=6 cooldown=5.0 s (other jobs)" in ended.stdout.splitlines()
    assert (
        "killed by signal 9 (no sign of the OOM killer)" in ended.stdout and "raise the job's timeout" in ended.stdout
    )
    assert events(folder)[-1]["kind"] == "final" and events(folder)[-1]["exit_code"] == 6
    # The same command tries only those again.
    for way, _ in WAYS.items():
        (tmp_path / f"{way}.py").write_text("import sys; open(sys.argv[2], 'w').write('{}')")
    before = {name: (folder / f"{name}.json").stat().st_mtime_ns for name in found}
    again = run_jobs(["--jobs-file", jobs, "--output-dir", folder, "--max-retries", 0, "--resume"], 2)
    assert (again.code, again.summary["completed"]) == (6, 17)
    assert [each["job_id"] for each in again.summary["failed"]] == ["slow_sieve"]
    same = {name for name in found if (folder / f"{name}.json").stat().st_mtime_ns == before[name]}
    assert same == {job["job_id"] for job in good}


def test_one_rank_without_mpi(tmp_path: Path) -> None:
    jobs = file_of(tmp_path, {"jobs": [*working(tmp_path), *failing(tmp_path)[:1]]})
    ended = run_jobs(["--jobs-file", jobs, "--output-dir", tmp_path / "run", "--max-retries", 1])
    assert (ended.code, ended.summary["completed"]) == (6, 10), ended.stderr
    (failed,) = ended.summary["failed"]
    assert failed["mode"] == "FILE_MISSING" and len(failed["attempts"]) == 2


LOOK = """
names = sorted(name for name in os.environ if 'MPI' in name or name.startswith(('PMIX', 'PRTE', 'PMI')))
import cupy, torch
said = dict(names=names, gpu=os.environ.get('CUDA_VISIBLE_DEVICES'), session=os.getsid(0), pid=os.getpid(), cupy=cupy.HERE)
time.sleep(2)
open(sys.argv[2], 'w').write(json.dumps(said))
sys.exit(0)
"""
# Every rank says after each job which GPU libraries it has imported.
TELL = """
import sys, types
from prng_mpi import farm, router
farm.profile = lambda kind: types.SimpleNamespace(delay=0.1)
honest = router.Router.__call__
def telling(self, *arguments):
    outcome = honest(self, *arguments)
    outcome.result["imported"] = [name for name in ("cupy", "torch") if name in sys.modules]
    return outcome
router.Router.__call__ = telling
"""


def test_a_script_gets_its_ranks_gpu_and_nothing_of_mpi_and_its_rank_no_gpu_library(tmp_path: Path) -> None:
    for library in ("cupy", "torch"):
        (tmp_path / "libraries" / library).mkdir(parents=True)
        (tmp_path / "libraries" / library / "__init__.py").write_text("HERE = True\n")
    jobs = file_of(tmp_path, [script(tmp_path, LOOK, job_id=f"look_{i}") for i in range(3)])
    folder = tmp_path / "run"
    argv: list[object] = ["--jobs-file", jobs, "--output-dir", folder, "--device", "cuda"]
    ended = run_jobs(argv, 3, patch=TELL, PYTHONPATH=f"{support.TOP / 'src'}:{tmp_path / 'libraries'}")
    assert ended.code == 0, ended.stderr
    found = list(results(folder).values())
    assert [result["imported"] for result in found] == [[], [], []]
    assert [result["output"]["names"] for result in found] == [[], [], []]
    assert [result["output"]["cupy"] for result in found] == [True] * 3
    assert all(result["output"]["session"] == result["output"]["pid"] for result in found)
    # One host: the local rank is the rank.
    assert {result["output"]["gpu"]: result["ran"]["rank"] for result in found} == {"0": 0, "1": 1, "2": 2}


def test_step_3_on_a_host_short_of_memory(tmp_path: Path) -> None:
    """Two at a time; between batches ten seconds, here made two."""
    jobs = file_of(
        tmp_path, [script(tmp_path, "time.sleep(0.5)", job_id=f"full_scoring_{i:04}") for i in range(5)],
        "full_scoring_jobs.json",
    )  # fmt: skip
    folder = tmp_path / "run"
    patch = "from prng_mpi import jobfile, admission\njobfile.limits_of = lambda step: admission.Limits(step, 2, 2.0)"
    ended = run_jobs(["--jobs-file", jobs, "--output-dir", folder, "--memory-reserve", "1 TB"], 4, patch=patch)
    assert ended.code == 0, ended.stderr
    assert "limits: max_per_host=2 cooldown=2.0 s (step 3)" in ended.stdout.splitlines()
    starts, ends = ([e["elapsed"] for e in events(folder) if e["kind"] == kind] for kind in ("job_started", "job_done"))
    assert all(sum(e < at for e in ends) >= i - 1 for i, at in enumerate(starts))
    # A job is over before its result is on the disk and its end in the log.
    assert starts[2] - ends[1] >= 1.0 and starts[4] - ends[3] >= 1.0
    # With memory to spare nobody rests.
    ended = run_jobs(["--jobs-file", jobs, "--output-dir", tmp_path / "ample", "--memory-reserve", "0"], 4, patch=patch)
    starts, ends = (
        [e["elapsed"] for e in events(tmp_path / "ample") if e["kind"] == kind] for kind in ("job_started", "job_done")
    )
    assert starts[2] - ends[0] < 1.0


def many(folder: Path, count: int, seconds: float) -> Path:
    log = folder / "log"
    code = f"open({str(log)!r}, 'a').write(os.path.basename(sys.argv[2]) + '\\n'); time.sleep({seconds})"
    return file_of(folder, [script(folder, code, job_id=f"job_{i:02}") for i in range(count)])


def ran(folder: Path) -> list[str]:
    log = folder / "log"
    return [line.removesuffix(".json") for line in log.read_text().split()] if log.exists() else []


@pytest.mark.parametrize("np_", [None, 3])
def test_killed_at_any_time_and_resumed(np_: int | None, tmp_path: Path) -> None:
    jobs, folder = many(tmp_path, 12, 0.3), tmp_path / "run"
    argv: list[object] = ["--jobs-file", jobs, "--output-dir", folder, "--device", "cpu"]
    completed: set[str] = set()
    for kill in range(2):
        with Run(argv, np_) as run:
            until(lambda: len(results(folder)) >= len(completed) + 2, 30, "no job ends")  # noqa: B023
            run.kill()
        now = {name for name, result in results(folder).items() if result["success"]}
        assert completed < now, kill
        assert not (folder / "summary.json").exists()
        completed, before = now, ran(tmp_path)
    ended = run_jobs(argv, np_)
    assert (ended.code, ended.summary["completed"], "resumed" in ended.stdout) == (0, 12, True), ended.stderr
    # What was done is not done again; what was in flight is.
    assert not completed & set(ran(tmp_path)[len(before) :])
    assert set(ran(tmp_path)) == {f"job_{i:02}" for i in range(12)}
    reasons = [event.get("reason") for event in events(folder) if event["kind"] == "final"]
    assert reasons == ["killed", "killed", "complete"]
    # A result that is deleted is made again, and nothing else.
    (folder / "job_03.json").unlink()
    lines = len(ran(tmp_path))
    assert run_jobs(argv, np_).code == 0 and ran(tmp_path)[lines:] == ["job_03"]


def test_ends_that_people_ask_for(tmp_path: Path) -> None:
    jobs, folder = many(tmp_path, 6, 0.4), tmp_path / "run"
    argv: list[object] = ["--jobs-file", jobs, "--output-dir", folder, "--device", "cpu"]
    ended = run_jobs([*argv, "--time-limit", "0.2"])
    assert (ended.code, ended.summary["completed"], ended.summary["unfinished"]) == (4, 1, 5)
    with Run(argv) as run:
        until(lambda: len(ran(tmp_path)) >= 2, 20, "no start")
        run.process.send_signal(signal.SIGINT)
        ended = run.wait(20)
    assert (ended.code, ended.summary["end"]) == (5, "drained") and ended.summary["completed"] >= 2
    before = ended.summary["completed"]
    with Run(argv) as run:
        until(lambda: len(ran(tmp_path)) > before, 20, "no start")
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.55)
        run.process.send_signal(signal.SIGINT)
        assert run.wait(20).code in (3, 5)
        until(lambda: not run.processes(), 10, "a script lives on")
    assert run_jobs(argv).code == 0


# -- refusals ---------------------------------------------------------------------------------------------------------


def refused(ended: Ended, *words: str) -> bool:
    """Whether it ended as bad input does: code 2, one sentence with those words."""
    return ended.code == 2 and len(ended.complaints) == 1 and all(word in ended.complaints[0] for word in words)


def test_a_file_with_a_bad_job_starts_nothing(tmp_path: Path) -> None:
    jobs = file_of(tmp_path, [script(tmp_path), analysis(samplse=3)])
    for np_ in (None, 2):
        ended = run_jobs(["--jobs-file", jobs, "--output-dir", tmp_path / "run"], np_)
        assert refused(ended, "job 'analysis_0'", "'samplse'", "did you mean 'samples'"), ended.stderr
    assert not (tmp_path / "run").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda jobs: jobs[:1], "jobs is 2 there and 1 here"),
        (lambda jobs: [jobs[0], {**jobs[1], "samples": 3000}], "content"),
    ],
)
def test_another_file_in_the_same_folder(change: Callable[[list[Any]], list[Any]], words: str, tmp_path: Path) -> None:
    jobs, folder = [analysis(), analysis(job_id="b")], tmp_path / "run"
    argv: list[object] = ["--jobs-file", file_of(tmp_path, jobs), "--output-dir", folder]
    assert refused(run_jobs([*argv, "--resume"]), "no ledger to resume")
    assert run_jobs(argv).code == 0
    file_of(tmp_path, change(jobs))
    assert refused(run_jobs(argv), words, "choose another --output-dir")


def test_options_that_are_wrong_and_a_dry_run(tmp_path: Path) -> None:
    assert refused(run_jobs([]), "--jobs-file FILE is missing")
    assert refused(run_jobs(["--jobs-file", tmp_path / "no.json"]), "no.json")
    jobs = file_of(tmp_path, [script(tmp_path, step=3), analysis()])
    assert refused(run_jobs(["--jobs-file", jobs, "--memory-reserve", "much"]), "--memory-reserve", "1.5 GB")
    ended = run_jobs(["--jobs-file", jobs, "--output-dir", tmp_path / "run", "--dry-run"])
    assert ended.code == 0 and not (tmp_path / "run").exists()
    assert "2 jobs, 1 analysis, 1 script" in ended.stdout
    assert "limits: max_per_host=2 cooldown=10.0 s (step 3)" in ended.stdout.splitlines()


@pytest.mark.parametrize("preserve", [False, True])
def test_where_scripts_write(preserve: bool, tmp_path: Path) -> None:
    job = script(tmp_path)
    argv: list[object] = ["--jobs-file", file_of(tmp_path, [job]), "--output-dir", tmp_path / "run"]
    assert run_jobs([*argv, *(["--preserve-paths"] if preserve else [])]).code == 0
    home = tmp_path / "run" / "outputs" / "script_0" / "script_0.json"
    assert (Path(job["expected_output"]).exists(), home.exists()) == (preserve, not preserve)


def test_fewer_jobs_a_host_on_request_and_after_one_was_killed_for_its_memory(tmp_path: Path) -> None:
    job = only(tmp_path, script(tmp_path, "sys.exit(0)"))
    assert job.limits is not None and job.limits.max_per_host == 6
    assert [replace(job, most=most).limits.max_per_host for most in (4, 8)] == [4, 6]
    jobs = file_of(tmp_path, [script(tmp_path)])
    ended = run_jobs(["--jobs-file", jobs, "--output-dir", tmp_path / "run", "--max-per-host", 3, "--dry-run"])
    assert ended.code == 0 and "limits: max_per_host=3 cooldown=5.0 s (other jobs)" in ended.stdout


def test_a_script_killed_for_its_memory_lowers_the_limit_of_its_host(tmp_path: Path) -> None:
    """Two of three scripts, whose memory the kernel is made to seem short of: then one at a time, and all are done."""
    log = "Out of memory: Killed process %d (python) total-vm:1kB, anon-rss:900000kB, file-rss:0kB"
    code = (
        f"mark = {str(tmp_path / 'mark')!r} + sys.argv[2].rsplit('/', 1)[1]\n"
        "if not os.path.exists(mark) and 'script_2' not in mark:\n    open(mark, 'w').close(); time.sleep(1); os.kill(os.getpid(), signal.SIGKILL)\n"
        f"open({str(tmp_path / 'log')!r}, 'a').write('+ ')\ntime.sleep(0.7)\nopen({str(tmp_path / 'log')!r}, 'a').write('- ')"
    )
    jobs = [script(tmp_path, code, job_id=f"script_{i}") for i in range(3)]
    patch = (
        "from prng_mpi import memory\n"
        f"memory.Watch.cause = lambda self, pid, reserve: memory.cause(pid, {log!r} % pid, 1, 1.5e9)"
    )
    argv = ["--jobs-file", file_of(tmp_path, jobs), "--output-dir", tmp_path / "run", "--memory-reserve", "0"]
    ended = run_jobs(argv, 3, patch=patch)
    assert ended.code == 0, ended.stderr
    texts = [event["text"] for event in events(tmp_path / "run") if event["kind"] == "limits"]
    assert "limits: max_per_host=1 from now on" in texts
    said = (tmp_path / "log").read_text().split()
    # The third ran beside the first two; those, again, ran one after the other.
    assert said.count("+") == 3 and "".join(said).endswith("+-+-")


def test_between_batches_ranks_give_back_memory(tmp_path: Path) -> None:
    """Two scripts, one at a time on a host that is short of memory: it rests between them, and its ranks too."""
    jobs = [script(tmp_path, "time.sleep(0.1)", job_id=f"script_{i}") for i in range(2)]
    dropped = tmp_path / "drop_caches"
    patch = (
        "from prng_mpi import admission, farm, memory\nfrom prng_mpi.devices import Devices\n"
        f"admission.Limits.__init__.__defaults__ = (6, 1.5, 20)\nfarm.REST, memory.DROP_CACHES = 0.3, jobs.Path({str(dropped)!r})\n"
        f"def told(*_): open({str(tmp_path / 'rests')!r}, 'a').write('rest ')\n"
        "memory.give_back = Devices.close = told"
    )
    argv = ["--jobs-file", file_of(tmp_path, jobs), "--max-per-host", 1, "--memory-reserve", "1000 GB"]
    refused = run_jobs([*argv, "--output-dir", tmp_path / "none", "--drop-page-cache"], patch=patch)
    assert refused.code == 2 and refused.stderr.startswith("prng_mpi: --drop-page-cache: this user may not write")
    for drop in (False, True):
        dropped.write_text("")
        (tmp_path / "rests").unlink(missing_ok=True)
        more = ["--drop-page-cache"] if drop else []
        ended = run_jobs([*argv, "--output-dir", tmp_path / f"run{drop}", *more], patch=patch)
        assert ended.code == 0, ended.stderr
        # Both scripts had the device closed before them, and the rest between them closed it once more.
        assert (tmp_path / "rests").read_text().split() == ["rest"] * 4
        assert dropped.read_text() == ("1\n" if drop else "")


def test_another_signal_is_named(tmp_path: Path) -> None:
    result = outcome(tmp_path, script(tmp_path, "os.kill(os.getpid(), signal.SIGTERM)"))
    assert result["mode"] == "KILLED" and "was killed by SIGTERM" in result["error"]
