"""predict: the real runtimes' outputs come at any index, forward and back, near and far; what can't be is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernel_cases import VECTORS, recipe_of
from prng_mpi.devices.predict import Predictor
from prng_mpi.errors import UsageError
from prng_mpi.recipes import recipe, recipes
from support import TOP, environment, run_sieve, write_draws

M64 = 2**64


def predict(*argv: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prng_mpi.predict", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=TOP, timeout=120, check=False)


def draws_of(*argv: object) -> list[int]:
    done = predict(*argv, "--json")
    assert done.returncode == 0, done.stderr
    told: list[int] = json.loads(done.stdout)["draws"]
    return told


def cases(name: str) -> list[tuple[int, int, dict[str, int], list[int], dict[int, int]]]:
    """(seed, modulus, params, first outputs, outputs by index) of a vectors file."""
    found = []
    for case in VECTORS[name]["cases"]:
        m = case.get("modulus", 2**32)
        outputs, far = [w % m for w in case["outputs"]], {int(n) - 1: w % m for n, w in case.get("at", {}).items()}
        found.append((case["seed"], m, case.get("params", {}), outputs, far))
    return found


@pytest.mark.parametrize("name", VECTORS)
def test_the_stored_vectors_come_from_both_sides(name: str) -> None:
    """Output n is reached from the seed, and from 50 outputs before the seed: as many steps back as forward, rejected
    values not counted."""
    for seed, modulus, given, expected, far in cases(name):
        predictor = Predictor(recipe_of(name), modulus, given)
        got = predictor.outputs(seed, 0, len(expected))
        assert got is not None and got.tolist() == expected
        for at, value in far.items():
            assert predictor.outputs(seed, at, 1) == [value]
        if not predictor.invertible:
            continue
        for before in (1, 2, 50):
            both = predictor.outputs(seed, -before, before + len(expected))
            assert both is not None and both[before:].tolist() == expected


def test_every_recipe_proves_itself() -> None:
    for each in recipes().values():
        assert Predictor(each, 10).check() > 0


def test_earlier_outputs_of_java_are_the_real_ones() -> None:
    """The state after 64 words of a seed is the state of another seed, whose earlier outputs are then known."""
    for seed, modulus, _, expected, _ in cases("java.nextInt"):
        if modulus & (modulus - 1) and 2**31 % modulus > 2**20:
            # A rejected value would make it more than 64 words.
            continue
        state = seed ^ 0x5DEECE66D
        for _ in range(64):
            state = (state * 0x5DEECE66D + 11) % 2**48
        earlier = Predictor(recipe("java.nextInt"), modulus).outputs(state ^ 0x5DEECE66D, -64, 64)
        assert earlier is not None and earlier.tolist() == expected


def test_earlier_outputs_of_two_words() -> None:
    """nextDouble after 32 of its calls: the words of each pair come later word first."""
    seed, modulus, _, expected, _ = cases("java.nextDouble")[0]
    state = seed ^ 0x5DEECE66D
    for _ in range(64):
        state = (state * 0x5DEECE66D + 11) % 2**48
    earlier = Predictor(recipe("java.nextDouble"), modulus).outputs(state ^ 0x5DEECE66D, -32, 32)
    assert earlier is not None and earlier.tolist() == expected[:32]


def lcg_at(x: int, a: int, c: int, n: int) -> int:
    """State n steps on, n < 0 too, by the closed form a^n x + c (a^n - 1) / (a - 1): nothing like the kernel's doubling."""
    power = pow(a, n, (a - 1) * M64)
    return (power * x + c * ((power - 1) % ((a - 1) * M64) // (a - 1))) % M64


@pytest.mark.parametrize("far", [10**12, 10**18, -1, -64, -(10**12), -(10**15)])
def test_far_outputs_of_pcg32(far: int) -> None:
    """XSH RR from the paper, re-typed."""
    a, c = 6364136223846793005, 109
    state = lcg_at((42 + c) * a + c, a, c, far)
    word, turn = (state >> 18 ^ state) >> 27 & 0xFFFFFFFF, state >> 59
    expected = (word >> turn | word << (-turn & 31)) & 0xFFFFFFFF
    assert Predictor(recipe("pcg32.mod"), 2**32).outputs(42, far, 1) == [expected]


@pytest.mark.parametrize("far", [10**12, -(10**12)])
def test_far_outputs_of_next_double(far: int) -> None:
    """Two words each, from the JDK's definition."""
    high, low = (
        lcg_at(42 ^ 0x5DEECE66D, 0x5DEECE66D, 11, 2 * far + i) % 2**48 >> shift for i, shift in ((1, 22), (2, 21))
    )
    expected = int((high * 2**27 + low) * 2.0**-53 * 1000)
    assert draws_of("--recipe", "java.nextDouble", "--seed", 42, f"--from={far}", "--count", 1) == [expected]


def test_a_modulus_of_2_31_minus_1_goes_back_by_steps() -> None:
    """Its jumps form no group of 2^64 elements; a^(p - 1 - n) is a^-n by Fermat."""
    p = 2**31 - 1
    for far in (-1, -1000, -(10**6)):
        expected = 42 * pow(48271, p - 1 + far + 1, p) % p
        assert Predictor(recipe("minstd.mod"), 2**32).outputs(42, far, 1) == [expected]


def test_skip_and_offset_count_for_all_integers() -> None:
    """Draw i is output o + s + i (s + 1)."""
    for name in ("java.nextInt", "xorshift128.mod", "python.random"):
        plain = draws_of("--recipe", name, "--seed", 7, "--from=-40", "--count", 80)
        got = draws_of("--recipe", name, "--seed", 7, "--skip", 3, "--offset", 2, "--from=-9", "--count", 17)
        assert got == [plain[40 + 2 + 3 + i * 4] for i in range(-9, 8)]


def test_a_run_is_continued_after_its_history(tmp_path: Path) -> None:
    """The next outputs are those of the sieve's summary, the draws from 0 on those of the window."""
    stream = draws_of(
        "--recipe", "php71.mt_rand", "--modulus", 500, "--seed", 4321, "--skip", 2, "--offset", 1, "--count", 90
    )
    draws, folder = write_draws(tmp_path, stream[:60]), tmp_path / "run"
    search = ["--recipe", "php71.mt_rand", "--modulus", 500, "--seed-end", 5000, "--skip-max", 3, "--offset-max", 16]
    ended = run_sieve(["--draws", draws, *search, "--window-start", 5, "--window", 20, "--output-dir", folder])
    assert ended.summary["best"]["seed"] == 4321
    assert draws_of("--run", folder, "--count", 20) == ended.summary["best"]["next_outputs"]
    assert draws_of("--run", folder, "--count", 30) == stream[60:]
    assert draws_of("--run", folder, "--from=-5", "--count", 60) == stream[:60]
    (tmp_path / "draws.json").rename(tmp_path / "moved.json")
    assert_refused(predict("--run", folder), "draws.json", "--from")
    assert draws_of("--run", folder, "--from", 15, "--count", 3) == stream[20:23]
    write_draws(tmp_path, stream[1:])
    assert_refused(predict("--run", folder), "no longer holds the window")
    assert_refused(predict("--run", folder, "--seed", 3), "--run", "--seed")


def test_a_run_of_another_direction_or_of_partial_draws_is_continued(tmp_path: Path) -> None:
    stream = draws_of("--recipe", "php71.mt_rand", "--modulus", 500, "--seed", 4321, "--count", 90)
    search = ["--recipe", "php71.mt_rand", "--modulus", 500, "--seed-end", 5000, "--offset-max", 60]
    draws = write_draws(tmp_path, stream[:60])
    reverse = ["--direction", "reverse", "--window-start", 60, "--window", 20, "--output-dir", tmp_path / "reverse"]
    assert run_sieve(["--draws", draws, *search, *reverse]).summary["best"]["offset"] == 60
    assert draws_of("--run", tmp_path / "reverse", "--count", 30) == stream[60:]
    assert draws_of("--run", tmp_path / "reverse", "--from=-60", "--count", 60) == stream[:60]
    # A range, and two calls that nobody saw.
    draws.write_text(" ".join([*map(str, stream[:30]), "[0,499]", "?x2", *map(str, stream[33:60])]))
    run_sieve(["--draws", draws, *search, "--window", 40, "--output-dir", tmp_path / "partial"])
    assert draws_of("--run", tmp_path / "partial", "--count", 30) == stream[60:]
    draws.write_text(" ".join([*map(str, stream[:40]), "?x1..2", *map(str, stream[41:60])]))
    run_sieve(["--draws", draws, *search, "--window", 40, "--output-dir", tmp_path / "gap"])
    assert_refused(predict("--run", tmp_path / "gap"), "unknown calls", "--from")
    hybrid = ["--hybrid", "strict_continuous", "--skip-max", 1, "--output-dir", tmp_path / "hybrid"]
    write_draws(tmp_path, stream[:60])
    run_sieve(["--draws", draws, *search, *hybrid])
    assert_refused(predict("--run", tmp_path / "hybrid"), "varies", "--seed 4321")


def test_a_run_without_survivors(tmp_path: Path) -> None:
    draws, folder = write_draws(tmp_path, range(60)), tmp_path / "run"
    run_sieve(["--draws", draws, "--recipe", "java.nextInt", "--seed-end", 99, "--output-dir", folder])
    assert_refused(predict("--run", folder), "no seed survived")
    assert_refused(predict("--run", tmp_path / "none"), "results.h5 does not exist")


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), ("--recipe NAME", "--run DIR")),
        (("--recipe", "java.nextInt"), ("--seed S",)),
        (("--recipe", "java.nextint", "--seed", 1), ("did you mean 'java.nextInt'?",)),
        (("--recipe", "java.nextInt", "--seed", 2**48), ("seeds of recipe java.nextInt end at",)),
        (("--recipe", "java.nextInt", "--seed", 1, "--modulus", 2**31), ("2 to 2147483647",)),
        (("--recipe", "java.nextDouble", "--seed", 1, "--from", 2**62), ("out of reach",)),
        (("--recipe", "java.nextInt", "--seed", 1, "--from", 10**15), ("too far", "rejects values", "minutes")),
        (("--recipe", "xorshift32.mod", "--seed", 1, "--from=-1e15"), ("too far", "no jump", "minutes")),
        (("--recipe", "xorshift32.mod", "--seed", 1, "--skip", 10**14), ("too far",)),
        (("--recipe", "lcg.mod", "--param", "a=6", "--seed", 1, "--from=-1"), ("can't go back", "two of its states")),
    ],
)
def test_bad_input(argv: tuple[object, ...], words: tuple[str, ...]) -> None:
    assert_refused(predict(*argv), *words)


def test_a_far_walk_can_be_stopped() -> None:
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 2

    assert Predictor(recipe("mt19937.mod"), 1000).outputs(1, 10**10, 5, stopped=stopped) is None


def test_the_patience_is_what_it_says() -> None:
    predictor = Predictor(recipe("mt19937.mod"), 1000)
    with pytest.raises(UsageError, match="too far"):
        predictor.outputs(1, 10**9, 1, patience=0.01)
    assert predictor.outputs(1, 10**5, 1, patience=10.0) is not None


def test_many_draws_with_a_skip() -> None:
    predictor = Predictor(recipe("splitmix64.mod"), 1000)
    whole: Any = predictor.outputs(9, 0, 3000)
    strided: Any = predictor.outputs(9, 2, 999, 3)
    np.testing.assert_array_equal(strided, whole[2 : 2 + 999 * 3 : 3])
