"""need: the least windows that decide are those worked out by hand, and what a person gets wrong is said."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest

from prng_mpi import config
from prng_mpi.need import NeedOptions, prepare
from support import TOP, environment


def need(*argv: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prng_mpi.need", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=TOP, timeout=60, check=False)


def told(*argv: object) -> dict[str, Any]:
    done = need(*argv, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def least(*argv: str) -> tuple[int | None, int | None]:
    return prepare(config.load(NeedOptions, [*argv, "--threshold", "1", "--window", "4"], {})).least[1.0]


@pytest.mark.parametrize(
    ("seeds", "skips", "draws"),
    [("2**32", 1, 5), ("2**32", 242, 6), ("2**48", 1, 6), ("2**48", 242, 7), ("2**64", 1, 8)],
)
def test_exact_draws_of_three_digits(seeds: str, skips: int, draws: int) -> None:
    """ceil((log2 N + log2 1000) / log2 M), worked out outside this program."""
    assert least("--seeds", seeds, "--skip-max", str(skips - 1))[0] == draws


def test_a_recipe_brings_its_seed_space() -> None:
    assert least("--recipe", "java.nextInt") == least("--seeds", "2**48") == (6, 7)
    assert least("--recipe", "php71.mt_rand", "--skip-max", "241")[0] == 6
    assert least("--recipe", "lcg.mod", "--param", "bits=16") == least("--seeds", "2**16")


def test_a_seed_space_may_be_named() -> None:
    assert least("--seeds", "bits:32") == least("--seeds", "2**32")
    assert told("--seeds", "unix:2024-01-01..2024-01-02")["seeds"] == 2 * 86400


def test_a_recipe_brings_its_chances() -> None:
    """Two of the 2^31 - 2 words of minstd give a 1 modulo 2^30 + 1; a word of 32 bits gives some values once more."""
    answer = prepare(config.load(NeedOptions, ["--recipe", "minstd.mod", "--modulus", "2**30 + 1"], {}))
    assert answer.p == 2 / (2**31 - 2)
    uneven = prepare(config.load(NeedOptions, ["--recipe", "mt19937.mod", "--modulus", "3000"], {}))
    assert uneven.p == math.ceil(2**32 / 3000) / 2**32


def test_the_worked_table() -> None:
    """(k, threshold, 242 skips of 2^32 seeds): expected survivors, worked out outside this program."""
    rows = {
        (row["threshold"], window["k"]): window
        for row in told("--seeds", "2**32", "--skip-max", 241, "--threshold", "0.482,0.25,1", "--window", "4,6,8,16,30")["thresholds"]
        for window in row["windows"]
    }  # fmt: skip
    for (threshold, k), needed, expected in [
        ((0.482, 4), 2, 6.2e6),
        ((0.25, 8), 2, 2.9e7),
        ((0.25, 16), 4, 1.87e3),
        ((0.25, 30), 8, 6e-6),
        ((1.0, 4), 4, 1.04),
        ((1.0, 6), 6, 1e-6),
    ]:
        assert rows[threshold, k]["need"] == needed
        assert rows[threshold, k]["expected_survivors"] == pytest.approx(expected, rel=0.05)


def test_the_least_windows_stand_in_the_table_and_decide() -> None:
    for row in told("--recipe", "java.nextInt", "--skip-max", 16)["thresholds"]:
        by_k = {window["k"]: window["log10_E"] for window in row["windows"]}
        assert by_k[row["least_strong"]] < -3 and by_k[row["least_found"]] < -6
    assert {row["threshold"] for row in told("--seeds", 1000)["thresholds"]} == {1.0, 0.7, 0.5, 0.25, 0.05}


def test_no_window_decides_below_the_chance_of_a_match() -> None:
    done = need("--seeds", "2**32", "--modulus", 2, "--threshold", 0.5)
    assert done.returncode == 0
    assert "threshold 0.5: no window up to 20 000 draws for E < 1e-3" in done.stdout


def test_the_table_for_people() -> None:
    lines = need("--seeds", "2**32", "--skip-min", 5, "--skip-max", 246).stdout.splitlines()
    assert "threshold 1: 6 draws for E < 1e-3, 7 draws for E < 1e-6" in lines
    assert "  6     6   1e-18    1e-6" in "\n".join(lines)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), ("--seeds N", "--recipe NAME")),
        (("--recipe", "java.nextint"), ("did you mean 'java.nextInt'?",)),
        (("--recipe", "java.nextInt", "--modulus", 2**31), ("--modulus 2147483648", "2 to 2147483647")),
        (("--seeds", 0), ("--seeds 0",)),
        (("--seeds", "unx:1..2"), ("unx",)),
        (("--seeds", 9, "--skip-min", 4, "--skip-max", 3), ("--skip-min 4 --skip-max 3",)),
        (("--seeds", 9, "--threshold", 1.5), ("threshold 1.5",)),
        (("--seeds", 9, "--modulus", 1), ("--modulus",)),
        (("--seeds", 9, "--param", "bits=3"), ("--recipe",)),
    ],
)
def test_bad_input(argv: tuple[object, ...], words: tuple[str, ...]) -> None:
    done = need(*argv)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
