"""siblings: a seed under the wrong recipe of its family leads to the right one, by draws of the real runtimes."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_cases import VECTORS, search_of
from prng_mpi.recipes import recipe, recipes
from prng_mpi.search import side
from prng_mpi.siblings import hint, hold, siblings
from support import uniform


def real(name: str, modulus: int, least: int = 2) -> tuple[int, np.ndarray]:
    """The first seed of at least so much and the real runtime's draws of it."""
    case = next(c for c in VECTORS[name]["cases"] if c["modulus"] == modulus and c["seed"] >= least)
    return case["seed"], np.array(case["outputs"], np.uint32)


@pytest.mark.parametrize(
    ("truth", "searched"),
    [
        ("java.nextInt", "java.mod"),
        ("java.nextInt", "java.nextDouble"),
        ("java.nextDouble", "java.nextInt"),
        ("python.random", "python.randrange"),
        ("python.randrange", "python.random"),
        ("numpy.RandomState.randint", "php71.mt_rand"),
        ("php71.mt_rand", "numpy.RandomState.randint"),
        ("numpy.RandomState.randint", "orig.mt19937"),
    ],
)
def test_the_right_sibling_is_named(truth: str, searched: str) -> None:
    seed, draws = real(truth, 1000)
    search = search_of(recipe(searched), 1000, draws=draws)
    held = hold(search, recipe(truth), seed)
    assert held is not None and (held.matches, held.draws) == (64, 64) and held.log10_p < -150
    assert hint(search, seed) == f"right state, wrong mapping: try recipe {truth} (64 of 64)"


def test_skips_and_offsets_of_the_search_are_tried() -> None:
    seed, draws = real("java.nextInt", 1000)
    search = search_of(recipe("java.mod"), 1000, draws=draws[3::3][:20], skips=(0, 4), offsets=(0, 2))
    held = hold(search, recipe("java.nextInt"), seed)
    assert held is not None and (held.skip, held.offset, held.matches) == (2, 1, 20)
    assert "java.nextInt (20 of 20)" in hint(search, seed)
    assert hint(search_of(recipe("java.mod"), 1000, draws=search.draws), seed) == ""


def test_a_rejection_that_is_left_out_is_a_partial_match() -> None:
    """Half of PHP's values are rejected at this modulus: the plain modulo is right until the first of them, and its best
    offset is another."""
    seed, draws = real("php71.mt_rand", 2**31 + 1, 12345)
    search = search_of(recipe("mt19937.mod"), 2**31 + 1, draws=draws, offsets=(0, 3))
    own = hold(search, search.recipe, seed)
    assert own is not None and 4 <= own.matches < 20 and own.offset > 0
    assert "(64 of 64)" in hint(search, seed)


def test_no_hint_where_chance_gives_as_much_or_nothing_is_better() -> None:
    draws = np.array(uniform(5, 60, 1000), np.uint32)
    for name in ("java.mod", "python.random", "php71.mt_rand"):
        assert hint(search_of(recipe(name), 1000, draws=draws, skips=(0, 9)), 12345) == ""
    seed, true = real("php71.mt_rand", 1000)
    # The plain modulo gives the same draws, for no value is rejected here.
    assert hint(search_of(recipe("php71.mt_rand"), 1000, draws=true), seed) == ""


def test_siblings_share_family_and_seeding_and_differ_in_the_mapping() -> None:
    assert {r.name for r in siblings(recipe("python.random"))} >= {"python.randrange"}
    for each in recipes().values():
        for other in siblings(each):
            assert (other.family, other.seeding) == (each.family, each.seeding)
            assert (other.mapping, other.low_first, other.halves) != (each.mapping, each.low_first, each.halves)
            assert each.mapping in {s.mapping for s in siblings(other)} or each.low_first != other.low_first
    assert not siblings(recipe("sfc64.mod"))


def test_a_sibling_that_takes_no_such_modulus_or_seed_is_left_out() -> None:
    assert hold(search_of(recipe("java.mod"), 2**31 + 11), recipe("java.nextInt"), 1) is None
    assert hold(search_of(recipe("java.mod"), 1000), recipe("java.nextInt"), 2**48) is None


def test_draws_before_the_window_and_partial_ones_count_too() -> None:
    seed, draws = real("java.nextInt", 1000)
    ahead, behind = side(draws[20:], 1), side(draws[19::-1], 1, behind=True)
    search = search_of(recipe("java.mod"), 1000, draws=[], ahead=ahead, behind=behind, offsets=(0, 20))
    assert hint(search, seed) == "right state, wrong mapping: try recipe java.nextInt (64 of 64)"
    hybrid = search_of(recipe("java.mod"), 1000, draws=[], ahead=ahead, misses=1, skips=(0, 1))
    assert hint(hybrid, seed) == ""
