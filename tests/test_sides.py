"""Draws on both sides of a boundary, known in part, at one skip or at any: every device against the meaning in plain loops."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import GPU
from kernel_cases import VALUES, u64
from prng_mpi import hybrid, kernels
from prng_mpi.devices import cpu
from prng_mpi.devices.base import Device
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.recipes import recipe
from prng_mpi.search import Search, Side
from side_cases import LOW_FIRST, SideCase, device, fits, recipe_named, stream
from test_prev import Walker

HOST = ("cpu", "reference", "emulated")
# Each mapping, with jumps and without, in lanes of 32 and 64 bits, from seeds of 31 to 64 bits.
RECIPES = (
    "java.mod", "java.nextInt", "java.nextDouble", "lcg.mod", "minstd.mod", "pcg32.mod", "philox4x32.mod", "splitmix64.mod",
    "xorshift32.mod", "xorshift128plus.mod", "sfc64.mod", "mt19937.mod", "python.randrange", "python.random",
    "numpy.RandomState.randint", "php71.mt_rand", "orig.lcg32", "orig.philox4x32", LOW_FIRST,
)  # fmt: skip


def test_every_way_to_map_is_among_the_recipes() -> None:
    chosen = [recipe_named(name) for name in RECIPES]
    assert {r.mapping for r in chosen} == {"mod", "java", "top_bits", "masked", "php", "unit_27_26", "unit_26_27"}
    assert {kernels.family(r.family).lane_bits for r in chosen} == {32, 64}
    assert any(r.low_first for r in chosen)


def _case(draw: Any) -> SideCase:
    which = recipe_named(draw(st.sampled_from(RECIPES), label="recipe"))
    varies = draw(st.booleans(), label="hybrid")
    large = st.sampled_from([2**31 - 1, 2**31 + 1, 2**32 - 1, 2**32])
    modulus = min(draw(st.sampled_from([2, 3, 7, 10, 24, 256, 1000]) | large, label="modulus"), which.map.max_modulus)
    limit = which.seed_limit(which.params({}))
    count = draw(st.integers(1, 40), label="count")
    edges = [0, limit - count, min(limit, 2**32) - count, *([2**32 - count // 2] if limit > 2**32 else [])]
    skip = draw(st.integers(0, 3), label="skip")
    offset = draw(st.integers(0, 5) | st.just(640 if which.family == "mt19937" and not varies else 40), label="offset")
    ahead = draw(st.integers(0, 5), label="ahead")
    return SideCase(
        which.name, modulus, ahead, draw(st.integers(not ahead, 5), label="behind"),
        skips=(skip, skip + draw(st.integers(0, 2), label="skips")),
        offsets=(offset, offset + draw(st.integers(0, 2), label="offsets")),
        misses=draw(st.integers(0, 3), label="misses") if varies else None,
        start=draw(st.sampled_from(edges) | st.integers(0, limit - count), label="start"),
        count=count,
        gaps=draw(st.integers(0, 2), label="gaps"),
        short=draw(st.integers(0, 3), label="short"),
        wild=draw(st.sampled_from([0, 0.2]), label="wild"),
        vague=draw(st.sampled_from([0, 0.4]), label="vague"),
        slices=draw(st.sampled_from([4096, 33]), label="slices"),
        mix=draw(st.integers(0, 99), label="mix"),
    )  # fmt: skip


def _opened(kind: str, search: Search) -> Device:
    opened: Device = device(kind, search.recipe, search.form)
    return opened


@pytest.mark.parametrize("kinds", [HOST, *([pytest.param((GPU,), marks=pytest.mark.gpu)] if GPU else [])])
@given(data=st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_sieve_finds_what_plain_loops_find(kinds: tuple[str, ...], data: Any) -> None:
    case = _case(data.draw)
    search, expected = case.expected
    for kind in kinds:
        assert case.hits(_opened(kind, search), search).tolist() == expected.tolist(), kind
    if search.misses is not None:
        _paths_are_the_best(case, search, expected)


def _paths_are_the_best(case: SideCase, search: Search, expected: npt.NDArray[np.void]) -> None:
    """NumPy finds as many matches at the same offset, and a path that has them."""
    first, width = hybrid.span(search)
    seeds = range(case.start, case.start + case.count)
    rows = np.array([stream(search.recipe, search.modulus, z, first, width) for z in seeds], np.uint32)
    matches, offsets = hybrid.best_matches(rows, first, search)
    found = [(z, 0, int(o), 7, int(m)) for z, m, o in zip(seeds, matches, offsets, strict=True) if m]
    assert found == expected.tolist()
    for hit in expected:
        row, offset = rows[int(hit["seed"]) - case.start], int(hit["offset"])
        paths = [hybrid.best_path(row, first, search, s, offset) for s in search.sides]
        assert sum(int(path.matched.sum()) for path in paths) == hit["matches"]
        for s, path in zip(search.sides, paths, strict=True):
            assert path.matched.sum() >= s.need
            _legal(search, s, path, offset, row[path.outputs - first])


def _legal(search: Search, s: Side, path: hybrid.Path, offset: int, values: npt.NDArray[np.uint32]) -> None:
    """Each draw stands ahead of, or behind, its neighbour by calls that all have a skip of the range; what matches does."""
    away = np.diff((path.outputs - (offset - 1)) * (-1 if s.behind else 1), prepend=0)
    calls = np.diff(s.calls, axis=0, prepend=np.zeros((1, 2), np.int64))
    assert (away >= calls[:, 0] * (search.skips[0] + 1)).all() and (away <= calls[:, 1] * (search.skips[1] + 1)).all()
    assert path.matched.tolist() == [path.matched[i] and fits(s, i, int(values[i])) for i in range(len(values))]
    missed = "".join(".x"[int(m)] for m in path.matched).split("x")
    assert max(map(len, missed)) <= (search.misses or 0)


CASES = (
    SideCase("java.nextInt", 1000, 5, 5, (0, 3), (0, 3), short=2, count=90),
    SideCase("java.mod", 10, 4, 4, (1, 3), (2, 4), start=2**48 - 77, count=77, gaps=2, short=1),
    SideCase("xorshift32.mod", 7, 5, 0, (0, 2), (0, 2), count=300, gaps=1, short=1, mix=2),
    SideCase("mt19937.mod", 100, 0, 6, (1, 2), (0, 1), count=70, short=3),
    SideCase("numpy.RandomState.randint", 24, 4, 3, (0, 2), (0, 2), start=2**32 - 90, count=90, short=1),
    SideCase("python.random", 37, 3, 3, (0, 2), (1, 2), start=2**32 - 20, count=60, short=1),
    SideCase("java.nextInt", 1000, 5, 5, (0, 3), (0, 2), misses=1, count=90, gaps=2, short=2),
    SideCase("lcg.mod", 10, 6, 0, (1, 2), (3, 4), misses=2, start=2**32 - 99, count=99, short=2),
    SideCase("xorshift32.mod", 24, 0, 6, (0, 2), (0, 2), misses=3, count=130, gaps=1, short=3),
    SideCase("php71.mt_rand", 1000, 5, 4, (0, 2), (0, 1), misses=1, count=70, short=1, wild=0),
    SideCase("sfc64.mod", 3, 4, 4, (0, 1), (0, 1), misses=0, count=70),
    SideCase("java.nextDouble", 8, 4, 4, (0, 2), (0, 1), misses=1, start=2**32 - 30, count=60, gaps=1, short=1),
    # Needs so low that either side alone, or a path with too many misses, has as many matches.
    SideCase("java.nextInt", 5, 4, 6, (0, 1), (0, 1), count=400, short=5),
    SideCase("minstd.mod", 5, 4, 6, (0, 1), (0, 1), misses=2, count=200, short=5, mix=18),
    SideCase("minstd.mod", 5, 4, 6, (0, 1), (0, 1), misses=2, count=200, short=5, mix=23),
    SideCase("xorshift32.mod", 8, 6, 0, (0, 1), misses=1, count=200, short=4, mix=5),
    # More values than the kernel has buckets for them.
    SideCase("sfc64.mod", 10**6, 3, 0, (0, 5), (0, 1), misses=2, count=900, short=2, mix=2),
)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.recipe}-{c.ahead}-{c.behind}-{c.misses}")
def test_the_chosen_cases_have_survivors_and_others(case: SideCase) -> None:
    search, expected = case.expected
    assert 0 < len(expected) < case.count
    assert case.hits(_opened("cpu", search), search).tolist() == expected.tolist()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="registers of x86-64")
@pytest.mark.parametrize(("march", "feature", "width"), [("x86-64-v3", "avx2", 256), ("x86-64", "sse2", 128)])
def test_narrower_registers_find_the_same(
    march: str, feature: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if feature not in cpu._cpuinfo("flags").split():
        pytest.skip(f"this processor has no {feature}")
    monkeypatch.setattr(cpu, "_FLAGS", [f"-march={march}" if flag == "-march=native" else flag for flag in cpu._FLAGS])
    for case in CASES:
        search, expected = case.expected
        narrow = CpuDevice(search.recipe, "cpu", search.form)
        assert narrow.lanes == width // kernels.family(search.recipe.family).lane_bits
        assert case.hits(narrow, search).tolist() == expected.tolist(), case
        assert narrow.check() > 0


# --------------------------------------------------------------------------------------------------- before the seeded state

# Words walked back: past MT19937's array.
BACK = 1500


def _mapped_back(name: str, modulus: int, seed: int) -> list[int]:
    """Outputs -1, -2, ... of a seed: the words that the inverse step gives, mapped by Python."""
    which = recipe_named(name)
    walker = Walker(which, "reference")
    assert walker.seed(seed) == [seed]
    words = walker.back(BACK)[:, 0].tolist()
    if which.map.words == 1:
        values = [VALUES[which.mapping](modulus, word) for word in words]
    else:
        # In time order the words of one call are (words[i + 1], words[i]); a mapping sees the high one first.
        calls = [(words[i + 1], words[i]) for i in range(0, BACK, 2)]
        values = [VALUES[which.mapping](modulus, *(call[::-1] if which.low_first else call)) for call in calls]
    return [value for value in values if value is not None]


@pytest.mark.parametrize("name", RECIPES)
def test_outputs_with_negative_indices_are_the_words_of_the_inverse_step_mapped(device_kind: str, name: str) -> None:
    which = recipe_named(name)
    for modulus in (3, 1000, 2**30 + 1):
        search = Search(which, modulus, np.zeros(1, np.uint32), 0, 1)
        for form in (("LOOKS",), ("HYBRID",)):
            opened = device(device_kind, which, form)
            seeds = [1, 42, 2**31 - 3, *([2**33 + 1] if which.seed_limit(which.params({})) > 2**33 else [])]
            right = [_mapped_back(name, modulus, seed) for seed in seeds]
            n = min(map(len, right))
            assert n >= 200
            got = opened.outputs(search, u64(seeds), -n, n + 20)
            assert got[:, :n].tolist() == [row[:n][::-1] for row in right]
            # The same wherever the first one lies, and from 0 on as of a program that knows no way back.
            assert opened.outputs(search, u64(seeds), -7, 5).tolist() == got[:, n - 7 : n - 2].tolist()
            ahead = device(device_kind, which, ()).outputs(search, u64(seeds), 0, 20)
            assert got[:, n:].tolist() == ahead.tolist()


def test_java_goes_back_by_its_own_arithmetic() -> None:
    """java.util.Random, undone by Python: the state before is (state - 11) / 0x5DEECE66D modulo 2^48."""
    a, mask, modulus = 0x5DEECE66D, 2**48 - 1, 1000
    state, outputs = (777 ^ a) & mask, []
    for _ in range(50):
        outputs.append(VALUES["java"](modulus, state >> 16))
        state = (state - 11) * pow(a, -1, 2**48) & mask
    assert None not in outputs
    assert stream(recipe("java.nextInt"), modulus, 777, -50, 50) == outputs[::-1]
