"""identify: draws of the real runtimes are named, those of none are not, and what can't be is said with the reason."""

from __future__ import annotations

import json
import random
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernel_cases import VECTORS
from prng_mpi.devices.predict import Predictor
from prng_mpi.identify import arguments
from prng_mpi.recipes import recipe
from support import TOP, environment, mpirun, uniform, write_draws

# Enough for the seeds of the vectors, on a busy machine too.
BRIEF = ("--seconds-per-recipe", 0.05)
# With their siblings some of every kind; all of them take longer than most tests are worth.
SOME = (
    "--recipe",
    "java.nextInt,python.random,numpy.RandomState.randint,pcg32.mod,xorshift32.mod,xorshift128.mod,minstd.mod,lcg.mod",
)


def identify(*argv: object, np: int | None = None) -> subprocess.CompletedProcess[str]:
    launcher = [mpirun(), "-np", str(np)] if np else []
    command = [*launcher, sys.executable, "-m", "prng_mpi.identify", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=TOP, timeout=280, check=False)


def told(*argv: object, code: int = 0, np: int | None = None) -> dict[str, Any]:
    done = identify(*argv, "--json", np=np)
    assert done.returncode == code, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def by_name(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["recipe"]: row for row in answer["results"]}


def real(name: str, modulus: int, seed: int) -> list[int]:
    """What the real runtime gave: 64 draws of a recipe, 16 of a family's words."""
    case = next(c for c in VECTORS[name]["cases"] if c["seed"] == seed and c.get("modulus", modulus) == modulus)
    return [int(w) % modulus for w in case["outputs"]]


@pytest.mark.parametrize(
    ("name", "modulus", "seed"),
    [
        ("java.nextInt", 1000, 4294967297),
        ("java.nextInt", 6, 42),
        ("java.nextDouble", 1000, 12345),
        ("php71.mt_rand", 1000, 42),
        ("python.randrange", 1000, 42),
        ("python.random", 1000, 12345),
        ("numpy.RandomState.randint", 1000, 42),
        ("xorshift32", 1000, 12345),
        ("pcg32", 1000, 42),
    ],
)
def test_the_real_runtimes_are_named(name: str, modulus: int, seed: int, tmp_path: Path) -> None:
    draws = real(name, modulus, seed)
    every = () if name == "php71.mt_rand" else SOME
    answer = told(write_draws(tmp_path, draws), "--modulus", modulus, *BRIEF, *every)
    first, *others = answer["results"]
    assert first["recipe"] == (name if name in by_name(answer) else f"{name}.mod")
    # The state of 32 bits is solved from 15 of 16 draws, and one draw alone confirms nothing.
    assert first["verdict"] == ("strong" if name == "xorshift32" else "found")
    assert (first["best"]["seed"], first["best"]["skip"], first["best"]["offset"]) == (seed, 0, 0)
    assert first["best"]["matches"] + first["best"]["heldout_matches"] == len(draws)
    # Others may give the very same draws, and that is all that may be said of them.
    assert {row["verdict"] for row in others} <= {"nothing", "chance", "candidate", "same", "sibling"}
    assert every or not any(row["verdict"] == "sibling" for row in others)
    same = [row["said"] for row in others if row["verdict"] == "same"]
    assert all(text == f"gives the same draws as {first['recipe']}" for text in same)


@pytest.mark.parametrize("draws", ["examples/tx_pick3_morning.json", "random"])
def test_draws_of_no_generator_are_not_identified(draws: str, tmp_path: Path) -> None:
    path = TOP / draws if draws != "random" else write_draws(tmp_path, uniform(3, 200, 1000))
    answer = told(path, *BRIEF, *(SOME if draws == "random" else ()), code=1)
    assert len(answer["results"]) > (5 if draws == "random" else 20)
    assert {row["verdict"] for row in answer["results"]} <= {"nothing", "chance", "candidate"}
    for row in answer["results"]:
        assert row["seeds_done"] > 0 and row["searched"], row
        # What is not finished says what that takes.
        assert (row["seconds_to_finish"] > 0) == (row["seeds_done"] < row["seeds"]), row
    assert any("prng_mpi.sieve" in text for text in answer["next"])


@pytest.mark.parametrize(
    ("truth", "asked"),
    [
        ("java.nextInt", "java.mod"),
        ("python.random", "python.randrange"),
        ("python.randrange", "python.random"),
        ("numpy.RandomState.randint", "php71.mt_rand"),
    ],
)
def test_the_wrong_recipe_of_a_family_leads_to_the_right_one(truth: str, asked: str, tmp_path: Path) -> None:
    answer = told(write_draws(tmp_path, real(truth, 1000, 42)), "--recipe", asked, *BRIEF)
    rows = by_name(answer)
    assert rows[truth]["verdict"] == "found"
    assert rows[asked]["said"] == f"right generator, wrong mapping: try recipe {truth} (64 of 64)"
    assert "java.nextInt" in rows or not asked.startswith("java")
    assert "minstd.mod" not in rows


def test_a_partial_match_is_no_find_and_names_the_sibling(tmp_path: Path) -> None:
    """PHP rejects half of the values at this modulus. Without that the stream is right for a few draws, E is tiny, and still
    it is the wrong recipe."""
    path = write_draws(tmp_path, real("php71.mt_rand", 2**31 + 1, 12345))
    answer = told(path, "--modulus", 2**31 + 1, "--recipe", "mt19937.mod,java.nextInt", *BRIEF)
    rows = by_name(answer)
    assert rows["mt19937.mod"]["verdict"] == "sibling" and rows["mt19937.mod"]["best"]["log10_E"] < -6
    assert rows["mt19937.mod"]["said"].startswith("right state, wrong mapping: try recipe")
    assert "(64 of 64)" in rows["mt19937.mod"]["said"]
    # At this modulus NumPy masks to 32 bits, and so gives what PHP gives.
    assert [rows[name]["verdict"] for name in ("numpy.RandomState.randint", "php71.mt_rand")] == ["found", "same"]
    assert answer["excluded"]["java.nextInt"] == "the call takes a range of 2 to 2147483647, not 2147483649"


def test_skips_and_offsets_are_found(tmp_path: Path) -> None:
    draws = real("java.nextInt", 1000, 12345)[2 + 1 :: 2]
    best = told(write_draws(tmp_path, draws), *BRIEF, *SOME)["results"][0]["best"]
    assert (best["seed"], best["skip"], best["offset"]) == (12345, 1, 2)


def test_a_state_that_no_seed_gives_is_solved_for(tmp_path: Path) -> None:
    """xorshift128 from four random words, re-typed from the paper."""
    x, y, z, w = (int(v) for v in np.random.default_rng(8).integers(1, 2**32, 4))
    draws = []
    for _ in range(120):
        t = x ^ x << 11 & 0xFFFFFFFF
        x, y, z = y, z, w
        w ^= w >> 19 ^ t ^ t >> 8
        draws.append(w % 1000)
    first, *others = told(write_draws(tmp_path, draws), *BRIEF, *SOME)["results"]
    assert (first["recipe"], first["method"], first["verdict"]) == ("xorshift128.mod", "solve", "found")
    assert first["best"]["seed"] is None
    assert {row["verdict"] for row in others} == {"nothing"}


def test_a_long_history_gives_the_state_of_mt19937_and_its_seed(tmp_path: Path) -> None:
    """A seed far beyond what lanes reach in the time."""
    draws = np.random.RandomState(4_000_000_123).randint(0, 1024, 3500).tolist()
    argv = ["--modulus", 1024, "--recipe", "numpy.RandomState.randint", "--skip-max", 0, "--seconds-per-recipe", 4]
    first = told(write_draws(tmp_path, draws), *argv)["results"][0]
    assert (first["recipe"], first["method"], first["verdict"]) == ("numpy.RandomState.randint", "solve", "found")
    assert (first["best"]["seed"], first["best"]["offset"]) == (4_000_000_123, 0)


def test_draws_that_are_known_in_part_are_enough(tmp_path: Path) -> None:
    """Every third draw is only known to the hundred, and two calls not at all."""
    draws = real("php71.mt_rand", 1000, 42)
    words = [str(d) if i % 3 else f"[{d // 100 * 100},{d // 100 * 100 + 99}]" for i, d in enumerate(draws)]
    path = tmp_path / "draws.txt"
    path.write_text(" ".join([*words[:10], "?x2", *words[12:50]]))
    answer = told(path, "--recipe", "php71.mt_rand", *BRIEF)
    best = answer["results"][0]["best"]
    assert (answer["results"][0]["verdict"], best["seed"]) == ("found", 42)
    assert best["matches"] + best["heldout_matches"] == 48
    # Draw 50 follows, two of the calls before it being unknown.
    assert answer["next"][1].endswith("--from 50")
    # Nobody can say where the draws after such a gap stand.
    path.write_text(" ".join([*words[:40], "?x1..9", *words[45:]]))
    best = told(path, "--recipe", "php71.mt_rand", *BRIEF)["results"][0]["best"]
    assert best["seed"] == 42 and best["matches"] + best["heldout_matches"] == 40


def test_a_seed_from_the_clock_is_found_by_the_dates(tmp_path: Path) -> None:
    begun = datetime(2024, 3, 5, 12, 30, 7, tzinfo=UTC)
    random.seed(int(begun.timestamp()))
    rows = [
        {"date": (begun + timedelta(hours=i)).isoformat(), "draw": random.randrange(1000)} for i in range(60)
    ]  # fmt: skip
    path = tmp_path / "draws.json"
    path.write_text(json.dumps(rows))
    answer = told(path, "--recipe", "python.randrange", "--seconds-per-recipe", 4)
    assert answer["results"][0]["best"]["seed"] == int(begun.timestamp())
    assert answer["results"][0]["verdict"] == "found"
    path.write_text(json.dumps([row["draw"] for row in rows]))
    assert told(path, "--recipe", "python.randrange", *BRIEF, code=1)["results"][0]["best"] is None


def test_what_can_not_be_is_excluded_with_the_reason(tmp_path: Path) -> None:
    excluded = told(write_draws(tmp_path, uniform(4, 60, 1000)), *BRIEF, *SOME, code=1)["excluded"]
    assert "odd and even with period 2" in excluded["lcg.mod"]
    draws = write_draws(tmp_path, [*uniform(5, 29, 2**31), 2**32 - 1])
    excluded = told(draws, "--modulus", 2**32, *BRIEF, *SOME, code=1)["excluded"]
    assert "it never gives 4294967295, which is draw 29" in excluded["minstd.mod"]
    assert "the call takes a range of 2 to 2147483647" in excluded["java.nextInt"]
    few = told(write_draws(tmp_path, [1, 2, 3, 4]), *BRIEF, code=1)
    assert not few["results"]
    # Recipes that give the same draws stand together.
    why = next(why for names, why in few["excluded"].items() if "php71.mt_rand" in names.split())
    assert "4 draws can't tell it from chance: E < 1e-3 takes 6 draws" in why


def test_an_lcg_is_not_excluded_by_its_own_pattern(tmp_path: Path) -> None:
    draws = Predictor(recipe("lcg.mod"), 1000).outputs(77, 5, 60, 3)
    assert draws is not None
    first = told(write_draws(tmp_path, draws), *BRIEF, *SOME)["results"][0]
    assert (first["recipe"], first["best"]["seed"], first["best"]["skip"]) == ("lcg.mod", 77, 2)


def test_the_proposed_commands_do_what_they_say(tmp_path: Path) -> None:
    answer = told(write_draws(tmp_path, real("java.nextInt", 1000, 42)[:50]), *BRIEF, *SOME)
    sieve, predict = (shlex.split(text) for text in answer["next"])

    def call(words: Sequence[str]) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, *words[1:], "--json"], capture_output=True, text=True, env=environment(), cwd=tmp_path,
            timeout=60, check=True,
        )  # fmt: skip
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    assert call(sieve)["best"]["seed"] == 42
    assert call(predict)["draws"][:14] == real("java.nextInt", 1000, 42)[50:]


def test_the_table_for_people(tmp_path: Path) -> None:
    done = identify(write_draws(tmp_path, real("java.nextInt", 1000, 42)), "--recipe", "java.nextInt", *BRIEF)
    lines = done.stdout.splitlines()
    header = next(i for i, line in enumerate(lines) if line.split()[:2] == ["recipe", "searched"])
    words = ("java.nextInt", "all 2^48 seeds (lift)", "42, skip 0, offset 0", "64 of 64", "found")
    assert all(word in lines[header + 1] for word in words), lines[header + 1]


def test_ranks_share_the_recipes(tmp_path: Path) -> None:
    answer = told(write_draws(tmp_path, real("php71.mt_rand", 1000, 42)), *BRIEF, *SOME, np=2)
    assert answer["results"][0]["recipe"] == "php71.mt_rand"
    assert len(answer["results"]) > 5


def test_it_stops_as_asked(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prng_mpi.identify", write_draws(tmp_path, uniform(9, 60, 1000))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as run:
        assert run.stdout is not None and run.stdout.readline().startswith("data")
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=60)
    assert run.returncode == 5 and "stopped as asked" in stderr


def test_the_first_word_is_the_history() -> None:
    assert arguments(["a.json", "--json"]) == ["--draws", "a.json", "--json"]
    assert arguments(["-", "--json"]) == ["--draws", "-", "--json"]
    assert arguments(["--draws", "a.json"]) == ["--draws", "a.json"]
    assert arguments([]) == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), ("identify FILE",)),
        (("nowhere.json",), ("nowhere.json", "No such file")),
        (("draws.json", "--modulus", 500), ("is not in [0, 500)",)),
        (("draws.json", "--recipe", "java.nextint"), ("did you mean 'java.nextInt'?",)),
        (("draws.json", "--skip-min", 4), ("--skip-min 4 --skip-max 3",)),
        (("draws.json", "--threshold", 0), ("threshold 0",)),
        (("draws.json", "--seconds-per-recipe", 0), ("--seconds-per-recipe",)),
        (("draws.json", "more.json"), ("more.json", "options start with --")),
    ],
)
def test_bad_input(argv: tuple[object, ...], words: tuple[str, ...], tmp_path: Path) -> None:
    write_draws(tmp_path, uniform(1, 60, 1000))
    done = identify(*(tmp_path / word if word == "draws.json" else word for word in argv))
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
