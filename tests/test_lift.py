"""The lift finds what the lanes find, over whole spaces and parts of them, and refuses what it can't."""

from __future__ import annotations

import numpy as np
import pytest

from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.devices.lift import LiftDevice, forecast
from prng_mpi.recipes import recipe
from prng_mpi.search import Search


def planted(
    name: str,
    seed: int,
    modulus: int,
    k: int,
    skip: int,
    offset: int,
    wrong: int,
    rng: np.random.Generator,
    **given: int,
):
    """Draws of a seed, `wrong` of them replaced by others."""
    chosen = recipe(name)
    plain = CpuDevice(chosen, "reference")
    empty = Search(chosen, modulus, np.zeros(1, np.uint32), 0, 1, given=given)
    span = (k - 1) * (skip + 1) + 1
    draws = plain.outputs(empty, np.array([seed], np.uint64), offset + skip, span)[0][:: skip + 1].astype(np.uint32)
    bad = rng.choice(k, wrong, replace=False)
    draws[bad] = (draws[bad] + rng.integers(1, modulus, wrong)) % modulus
    return draws


@pytest.mark.parametrize("case", range(24))
def test_small_spaces_agree_with_the_lanes(case: int) -> None:
    """Every hit of a whole space of 2^18 to 2^22 seeds, with random constants, moduli, skips and thresholds."""
    rng = np.random.default_rng(case)
    bits, modulus = int(rng.integers(18, 23)), int(rng.choice([6, 10, 12, 24, 100, 1000, 1400]))
    shift = int(rng.integers(0, 5))
    given = {
        "a": int(rng.integers(1, 2**20)) * 8 + 5,
        "c": int(rng.integers(0, 2**20)) * 2 + 1,
        "bits": bits,
        "shift": shift,
    }
    k = int(rng.integers(6, 14))
    need = int(rng.integers(max(3, k // 2), k + 1))
    skips, offsets = (1, int(rng.integers(1, 5))), (0, int(rng.integers(0, 3)))
    seed = int(rng.integers(0, 2**bits))
    draws = planted("lcg.mod", seed, modulus, k, skips[1], offsets[1], k - need, rng, **given)
    search = Search(recipe("lcg.mod"), modulus, draws, 0, need, skips, offsets, given)
    assert not forecast(search).why_not
    lanes = CpuDevice(search.recipe).sieve(search, 0, 2**bits)
    lifted = LiftDevice(search.recipe).sieve(search, 0, 2**bits)
    assert lanes is not None and lifted is not None
    assert seed in lanes["seed"]
    np.testing.assert_array_equal(lifted, lanes)
    part = LiftDevice(search.recipe).sieve(search, seed, seed + 1)
    np.testing.assert_array_equal(part, lanes[lanes["seed"] == seed])
    assert len(LiftDevice(search.recipe).sieve(search, seed + 1, seed + 1)) == 0


def test_seeds_beyond_the_state_are_all_found() -> None:
    """ANSI's state has 31 bits and its seed 32: two seeds make one stream."""
    draws = planted("ansi_lcg.mod", 5, 1000, 12, 0, 0, 0, np.random.default_rng(0))
    search = Search(recipe("ansi_lcg.mod"), 1000, draws, 0, 12)
    hits = LiftDevice(search.recipe).sieve(search, 0, 2**32)
    assert hits["seed"].tolist() == [5, 5 + 2**31]


@pytest.mark.parametrize("name", ["java.nextInt", "java17.nextIntRange", "java.mod", "orig.java_lcg"])
@pytest.mark.parametrize(("k", "need"), [(12, 12), (40, 28), (100, 30)])
def test_the_whole_48_bit_space(name: str, k: int, need: int) -> None:
    rng = np.random.default_rng(k)
    seed, skip = int(rng.integers(2**47, 2**48)), int(rng.integers(0, 17))
    draws = planted(name, seed, 1000, k, skip, 2, k - need, rng)
    search = Search(recipe(name), 1000, draws, 0, need, (0, 16), (2, 2))
    hits = LiftDevice(search.recipe).sieve(search, 0, 2**48)
    best = hits[np.argmax(hits["matches"])]
    assert (int(best["seed"]), int(best["skip"]), int(best["offset"])) == (seed, skip, 2)
    assert best["matches"] >= need


def test_random_draws_leave_nothing() -> None:
    draws = np.random.default_rng(1).integers(0, 1000, 30).astype(np.uint32)
    search = Search(recipe("java.nextInt"), 1000, draws, 0, 15, (0, 16))
    assert len(LiftDevice(search.recipe).sieve(search, 0, 2**48)) == 0


@pytest.mark.parametrize(
    ("name", "modulus", "why"),
    [
        ("java.nextInt", 1024, "power of two"),
        ("java.nextInt", 999, "not even"),
        ("java.nextInt", 2**30 + 2, "reject"),
        ("xorshift32.mod", 1000, "no power-of-two LCG"),
        ("java.nextDouble", 1000, "no power-of-two LCG"),
        ("orig.lcg32", 1000, "no power-of-two LCG"),
    ],
)
def test_what_can_not_be_lifted_says_why(name: str, modulus: int, why: str) -> None:
    search = Search(recipe(name), modulus, np.arange(10, dtype=np.uint32), 0, 10)
    assert why in forecast(search).why_not


def test_it_proves_itself_before_use() -> None:
    for name in ("java.nextInt", "java.mod", "lcg.mod", "ansi_lcg.mod", "orig.java_lcg"):
        assert LiftDevice(recipe(name)).check() > 0
