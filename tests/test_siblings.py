"""siblings: a seed under the wrong recipe of its family leads to the right one, by draws of the real runtimes."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_cases import VECTORS, recipe_of, search_of
from prng_mpi.devices.predict import Predictor
from prng_mpi.recipes import recipe, recipes
from prng_mpi.siblings import hint, hold, siblings
from support import uniform


def real(name: str, modulus: int) -> tuple[int, np.ndarray]:
    """A seed that is not trivial and the real runtime's draws of it."""
    case = next(c for c in VECTORS[name]["cases"] if c["modulus"] == modulus and c["seed"] > 1)
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
    best = hold(search, seed, 0, 0, draws)[0]
    assert (best.recipe, best.matches, best.draws) == (truth, 64, 64)
    assert hint(search, seed, 0, 0, draws, 3) == f"right state, wrong mapping: try recipe {truth} (64 of 64)"


def test_skip_and_offset_are_kept() -> None:
    seed, draws = real("java.nextInt", 1000)
    search = search_of(recipe("java.mod"), 1000, draws=draws)
    assert "java.nextInt (20 of 20)" in hint(search, seed, 2, 1, draws[3::3][:20], 0)


def test_a_rejection_that_is_left_out_is_a_partial_match() -> None:
    """Half of PHP's values are rejected at this modulus: the plain modulo is right until the first of them."""
    seed, draws = real("php71.mt_rand", 2**31 + 1)
    plain = Predictor(recipe("mt19937.mod"), 2**31 + 1).outputs(seed, 0, 64)
    matches = int((plain == draws).sum())
    search = search_of(recipe("mt19937.mod"), 2**31 + 1, draws=draws)
    assert matches < 64 and "(64 of 64)" in hint(search, seed, 0, 0, draws, matches)


def test_no_hint_where_chance_gives_as_much_or_nothing_is_better() -> None:
    draws = np.array(uniform(5, 60, 1000), np.uint32)
    for name in ("java.mod", "python.random", "php71.mt_rand"):
        assert hint(search_of(recipe(name), 1000, draws=draws), 12345, 0, 0, draws, 0) == ""
    seed, true = real("php71.mt_rand", 1000)
    # The plain modulo gives the same draws, for no value is rejected here.
    assert hint(search_of(recipe("php71.mt_rand"), 1000, draws=true), seed, 0, 0, true, 64) == ""


def test_siblings_share_family_and_seeding_and_differ_in_the_mapping() -> None:
    assert {r.name for r in siblings(recipe("python.random"))} >= {"python.randrange"}
    for each in recipes().values():
        for other in siblings(each):
            assert (other.family, other.seeding) == (each.family, each.seeding)
            assert (other.mapping, other.low_first) != (each.mapping, each.low_first)
            assert each.mapping in {s.mapping for s in siblings(other)} or each.low_first != other.low_first
    assert not siblings(recipe("sfc64.mod"))


def test_a_sibling_that_takes_no_such_modulus_is_left_out() -> None:
    modulus = 2**31 + 11
    names = {s.recipe for s in hold(search_of(recipe("java.mod"), modulus), 1, 0, 0, np.array([1], np.uint32))}
    assert "java.nextInt" not in names
    assert recipe_of("java") not in siblings(recipe("java.mod"))
