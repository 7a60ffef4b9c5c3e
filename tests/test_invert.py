"""Invert finds what the lanes find, over whole spaces and parts of them, and refuses what it can't."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom

from prng_mpi import kernels
from prng_mpi.devices import invert
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.devices.invert import InvertDevice, forecast, plan
from prng_mpi.recipes import recipe
from prng_mpi.records import HIT
from prng_mpi.search import Search

P31 = 2**31 - 1


def planted(
    name: str, seed: int, modulus: int, k: int, at: tuple[int, int], wrong: int, rng: np.random.Generator, **given: int
) -> np.ndarray:
    """Draws of a seed at (skip, offset), `wrong` of them replaced by others."""
    skip, offset = at
    empty = Search(recipe(name), modulus, np.zeros(1, np.uint32), 0, 1, given=given)
    plain = CpuDevice(empty.recipe, "reference")
    span = (k - 1) * (skip + 1) + 1
    draws = plain.outputs(empty, np.array([seed], np.uint64), offset + skip, span)[0][:: skip + 1].astype(np.uint32)
    bad = rng.choice(k, wrong, replace=False)
    draws[bad] = (draws[bad] + rng.integers(1, modulus, wrong)) % modulus
    return draws


def both(search: Search, start: int, stop: int) -> np.ndarray:
    """What invert finds, after the lanes have found the same."""
    lanes = CpuDevice(search.recipe).sieve(search, start, stop)
    hits = InvertDevice(search.recipe).sieve(search, start, stop)
    assert lanes is not None and hits is not None
    np.testing.assert_array_equal(hits, lanes)
    return hits


@pytest.mark.parametrize("case", range(40))
def test_small_spaces_agree_with_the_lanes(case: int) -> None:
    """Every hit of a whole space of 2^16 to 2^20 seeds, with random constants, moduli, skips and thresholds."""
    rng = np.random.default_rng(case)
    bits = 20 if case < 2 else int(rng.integers(14, 17))
    modulus = int(rng.choice([2, 3, 7, 64, 100, 999, 1000, 4096, 65536, 2**20, 3000001, 2**32]))
    # A multiplier near 1, or one near the modulus's inverse, makes hits that lie close and gaps as wide as the space.
    a = int(rng.choice([1, 3, modulus | 1, int(rng.integers(0, 2**bits)) | 1, pow(modulus | 1, -1, 2**bits)]))
    given = {"a": a, "c": int(rng.integers(0, 2**bits)), "bits": bits}
    skips, offsets = (0, int(rng.integers(0, 4))), (0, int(rng.integers(0, 3)))
    k = int(rng.integers(1, 14))
    need = int(rng.integers(1, k + 1))
    while binom.sf(need - 1, k, 1 / modulus) * 2**bits > 500:
        need, k = need + 1, max(k, need + 1)
    seed = int(rng.integers(0, 2**bits))
    draws = planted("lcg.mod", seed, modulus, k, (skips[1], offsets[1]), k - need, rng, **given)
    search = Search(recipe("lcg.mod"), modulus, draws, 0, need, skips, offsets, given)
    hits = both(search, 0, 2**bits)
    assert seed in hits["seed"]
    part = InvertDevice(search.recipe).sieve(search, seed, seed + 777)
    np.testing.assert_array_equal(part, hits[(hits["seed"] >= seed) & (hits["seed"] < seed + 777)])
    assert len(InvertDevice(search.recipe).sieve(search, seed + 1, seed + 1)) == 0


def test_blocks_meet_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invert, "BLOCK", 1000)
    draws = np.random.default_rng(3).integers(0, 50, 20).astype(np.uint32)
    search = Search(recipe("lcg.mod"), 50, draws, 0, 3, given={"bits": 16})
    assert len(both(search, 0, 2**16)) > 100


@pytest.mark.parametrize("k", [300, 700])
@pytest.mark.parametrize("name", ["lcg.mod", "xorshift32.mod"])
def test_a_count_of_more_than_eight_bits(name: str, k: int) -> None:
    """A true seed that matches 256 to 400 of the draws that are enumerated, of many wrong ones."""
    given = {"bits": 18} if name == "lcg.mod" else {}
    for matches in (256, 257, 270):
        draws = planted(name, 4711, 5003, k, (1, 0), k - matches, np.random.default_rng(k + matches), **given)
        search = Search(recipe(name), 5003, draws, 0, 40, (1, 1), (0, 0), given)
        hits = both(search, 0, 2**14)
        assert hits["matches"][hits["seed"] == 4711] >= matches


@pytest.mark.parametrize("need", [1, 2, 4, 7])
@pytest.mark.parametrize("name", ["xorshift32.mod", "orig.xorshift32", "orig.lcg32", "minstd.mod", "minstd0.mod"])
def test_parts_of_a_space_agree_with_the_lanes(name: str, need: int) -> None:
    rng = np.random.default_rng(need)
    modulus = {1: 70000, 2: 1024, 4: 128, 7: 1000}[need]
    start = int(rng.integers(0, 2**32 - 2**16))
    seed = int(rng.integers(start, start + 2**16))
    draws = planted(name, seed, modulus, 10, (2, 1), 10 - need, rng)
    search = Search(recipe(name), modulus, draws, 0, need, (0, 3), (0, 2))
    assert seed in both(search, start, start + 2**16)["seed"]


@pytest.mark.parametrize("name", ["minstd.mod", "minstd0.mod", "orig.lcg32", "ansi_lcg.mod", "orig.minstd"])
def test_seeds_about_multiples_of_the_states_agree_with_the_lanes(name: str) -> None:
    """Two or three seeds make one stream, and minstd takes 1 for 0; ranges that hold some of them only."""
    for seed in (0, 1, P31 - 1, P31, P31 + 1, 2**31, 2 * P31 - 1, 2 * P31, 2 * P31 + 1):
        draws = planted(name, seed, 1000, 8, (1, 0), 2, np.random.default_rng(seed))
        search = Search(recipe(name), 1000, draws, 0, 6, (0, 1))
        for start, stop in ((0, 5), (0, 1), (P31 - 3, P31 + 4), (P31, P31 + 1), (2**32 - 9, 2**32)):
            assert (seed in both(search, start, stop)["seed"]) >= (start <= seed < stop)


@pytest.mark.parametrize(
    ("name", "seed", "alike"),
    [
        ("ansi_lcg.mod", 5, [5, 5 + 2**31]),
        ("orig.lcg32", 2**32 - 1, [1, 2**31, 2**32 - 1]),
        ("minstd.mod", 2**32 - 2, [0, 1, P31, 2**31, 2**32 - 2, 2**32 - 1]),
    ],
)
@pytest.mark.parametrize("threshold", [1.0, 0.5])
def test_whole_spaces_of_31_bits(name: str, seed: int, alike: list[int], threshold: float) -> None:
    rng = np.random.default_rng(seed)
    draws = planted(name, seed, 1000, 30, (3, 2), 30 - round(30 * threshold), rng)
    search = Search(recipe(name), 1000, draws, 0, round(30 * threshold), (3, 3), (2, 2))
    hits = InvertDevice(search.recipe).sieve(search, 0, 2**32)
    assert hits["seed"].tolist() == alike
    assert set(hits["skip"]) == {3} and set(hits["offset"]) == {2} and set(hits["matches"]) == {search.need}


@pytest.mark.parametrize(("name", "k", "need"), [("lcg.mod", 100, 50), ("xorshift32.mod", 30, 28)])
def test_whole_spaces_of_32_bits(name: str, k: int, need: int) -> None:
    rng = np.random.default_rng(k)
    seed = int(rng.integers(2**31, 2**32))
    draws = planted(name, seed, 1000, k, (5, 0), k - need, rng)
    search = Search(recipe(name), 1000, draws, 0, need, (5, 5))
    hits = InvertDevice(search.recipe).sieve(search, 0, 2**32)
    assert hits.tolist() == [(seed, 5, 0, 0, need)]


def test_ties_go_to_the_smallest_skip_then_offset() -> None:
    """A constant stream matches at every skip and offset."""
    draws = np.full(6, 7, np.uint32)
    given = {"a": 1, "c": 0, "bits": 16}
    hits = both(Search(recipe("lcg.mod"), 10, draws, 3, 4, (1, 3), (2, 4), given), 0, 2**16)
    assert hits.dtype == HIT and len(hits) == len(range(7, 2**16, 10))
    assert {tuple(hit)[1:] for hit in hits.tolist()} == {(1, 2, 3, 6)}


def test_hits_that_crowd_into_few_buckets_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for far fewer hits than there are, the buckets overflow and the part is split."""
    draws = np.random.default_rng(8).integers(0, 64, 12).astype(np.uint32)
    search = Search(recipe("xorshift32.mod"), 64, draws, 0, 3)
    monkeypatch.setattr(invert, "BUCKET_BITS", 16)
    monkeypatch.setattr(invert, "_capacity", lambda modulus, p, bits: 64)
    assert len(both(search, 5, 5 + 2**18)) > 100


def test_it_stops_when_told() -> None:
    search = Search(recipe("lcg.mod"), 10, np.arange(9, dtype=np.uint32), 0, 9, (0, 5), given={"bits": 16})
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(True)
        return len(asked) == 3

    assert InvertDevice(search.recipe).sieve(search, 0, 2**16, stopped) is None
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("java.nextInt", {}, "not the words modulo M"),
        ("java.mod", {}, "not known to be the word"),
        ("lcg.mod", {"shift": 1}, "not known to be the word"),
        ("lcg.mod", {"bits": 33}, "more than 32 bits"),
        ("lcg.mod", {"a": 2}, "two states lead to one"),
        ("mt19937.mod", {}, "not known to be the word"),
        ("xorshift128.mod", {}, "not known to be the word"),
    ],
)
def test_what_can_not_be_inverted_says_why(name: str, given: dict[str, int], why: str) -> None:
    search = Search(recipe(name), 1000, np.arange(10, dtype=np.uint32), 0, 10, given=given)
    assert why in forecast(search, 2**32).why_not


def test_the_forecast_weighs_range_and_threshold() -> None:
    def of(name: str, need: int, seeds: int, k: int = 100) -> invert.Forecast:
        return forecast(Search(recipe(name), 1000, np.zeros(k, np.uint32), 0, need), seeds)

    for name in ("lcg.mod", "minstd.mod", "xorshift32.mod"):
        assert of(name, 50, 2**32).seconds < of(name, 5, 2**32).seconds
        assert of(name, 50, 2**32).seconds > 3 * of(name, 50, 2**28).seconds
        assert of(name, 5, 2**32, 512).memory < 256e6
    # A part of xorshift32 still looks at all hits, a part of an LCG at those of its seeds.
    assert of("xorshift32.mod", 50, 1000).seconds > 1e-2
    assert of("lcg.mod", 50, 1000).seconds < 1e-3


def test_the_draws_that_are_enumerated_name_every_survivor() -> None:
    for k, need in ((30, 30), (100, 50), (100, 5), (512, 6), (600, 600)):
        p = plan(Search(recipe("lcg.mod"), 1000, np.zeros(k, np.uint32), 0, need))
        assert p.scan - p.least == k - need and 1 <= p.least <= invert.MAX_LEAST and p.scan <= k
        assert p.candidates < 1e-4


@pytest.mark.parametrize(
    "name", ["xorshift32.mod", "orig.xorshift32", "minstd.mod", "minstd0.mod", "orig.lcg32", "ansi_lcg.mod", "lcg.mod"]
)
def test_it_proves_itself_before_use(name: str) -> None:
    assert InvertDevice(recipe(name)).check() > 0


def test_heads_declare_what_the_text_computes() -> None:
    for family in kernels.families().values():
        algebra = family.modular(family.params, "seed")
        for _, words in family.known if algebra else ():
            for before, after in pairwise(words):
                assert (before * algebra.a + algebra.c) % algebra.modulus == after
