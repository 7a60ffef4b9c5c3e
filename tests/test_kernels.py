"""Families, recipes and the sieve: every device against outputs of the real runtimes and against the definition."""

from __future__ import annotations

import ctypes
import dataclasses
import platform
import runpy
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_cases import (
    CASES,
    MAPPED,
    MODULI,
    VECTORS,
    Case,
    mapping_recipe,
    opened,
    recipe_of,
    search_of,
    u64,
    wrong_mappings,
)
from prng_mpi import kernels
from prng_mpi.devices import cpu
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.errors import IntegrityError, UsageError
from prng_mpi.recipes import MAPPINGS, recipe, recipes
from prng_mpi.search import Search, side
from prng_mpi.spaces import space

LAST_SHOWN = 9999


def _batches(name: str) -> dict[tuple[int, tuple[tuple[str, int], ...]], list[tuple[int, int, list[int]]]]:
    """(modulus, params) -> (seed, first index, outputs)."""
    batches = defaultdict(list)
    for case in VECTORS[name]["cases"]:
        for modulus in [case["modulus"]] if "modulus" in case else MODULI:
            key = (modulus, tuple(case.get("params", {}).items()))
            batches[key].append((case["seed"], 0, [word % modulus for word in case["outputs"]]))
            # Files count from 1.
            batches[key] += [(case["seed"], int(at) - 1, [w % modulus]) for at, w in case.get("at", {}).items()]
    return batches


@pytest.mark.parametrize("name", VECTORS)
def test_outputs_are_those_of_the_real_runtime(device_kind: str, name: str) -> None:
    which = recipe_of(name)
    device, held = opened(device_kind, which), 0
    for (modulus, params), answers in _batches(name).items():
        search = search_of(which, modulus, dict(params))
        for first in sorted({at for _, at, _ in answers}):
            rows = [(seed, outputs) for seed, at, outputs in answers if at == first]
            got = device.outputs(search, u64([seed for seed, _ in rows]), first, len(rows[0][1]))
            assert got.tolist() == [outputs for _, outputs in rows], f"{modulus=}, {params=}, {first=}"
            held += got.size
    assert held >= 6 * 17


def test_every_vectors_file_holds_a_recipe_and_every_recipe_a_file() -> None:
    used = {recipe_of(name).name for name in VECTORS}
    assert used - set(recipes()) == {"mt19937_by_array"}
    assert set(recipes()) - used == set()


@pytest.mark.parametrize("name", kernels.families())
def test_known_answers_of_a_head_are_the_stored_vectors(name: str) -> None:
    family = kernels.family(name)
    cases = {case["seed"]: case for case in reversed(VECTORS[name]["cases"])}
    assert len(family.known) >= 2 and len(family.known_at) >= 1
    for seed, words in family.known:
        assert list(words) == cases[seed]["outputs"][: len(words)] and len(words) >= 5
    for seed, at, word in family.known_at:
        assert at == LAST_SHOWN and word == cases[seed]["at"][str(at + 1)]


@pytest.mark.parametrize("name", [r.name for r in recipes().values() if r.known])
def test_known_answers_of_a_recipe_are_the_stored_vectors(name: str) -> None:
    cases = [(case, case.get("modulus")) for case in VECTORS[name]["cases"]]
    for seed, modulus, outputs in recipe(name).known:
        stored = [c["outputs"] for c, m in cases if c["seed"] == seed and m in (None, modulus)]
        assert [[word % modulus for word in words[: len(outputs)]] for words in stored] == [list(outputs)]


@pytest.mark.parametrize("name", recipes())
def test_every_device_proves_itself_on_every_recipe(device_kind: str, name: str) -> None:
    assert opened(device_kind, recipe(name)).check() >= 10


@pytest.mark.parametrize("mapping", MAPPED)
def test_mappings_are_exact_at_their_bounds(device_kind: str, mapping: str) -> None:
    assert set(MAPPED) == set(MAPPINGS)
    assert wrong_mappings(opened(device_kind, mapping_recipe(mapping)), MAPPED[mapping]) == []


def test_the_low_word_may_come_first(device_kind: str) -> None:
    which = mapping_recipe("unit_27_26", low_first=True)
    assert wrong_mappings(opened(device_kind, which), MAPPED["unit_27_26"]) == []
    assert wrong_mappings(opened(device_kind, mapping_recipe("unit_27_26")), (1000,)) == []


@pytest.mark.parametrize("kind", ["cpu", "reference"])
def test_the_largest_words_of_cpp_stay_below_one(kind: str) -> None:
    which = recipe("libstdcxx.mt19937.uniform_real")
    value_of = """
    u32 value_of(u64 x, const search *q) {
        w32 value;
        map_canonical(all64(x), &value, q);
        return LANE(value, 0);
    }"""
    library = ctypes.CDLL(str(cpu.build(which.text("mapping.h") + value_of, kind)))
    for modulus in (2, 1000, 2**31):
        record = search_of(which, modulus).record()
        for word in (2**64 - 1, 2**64 - 1024, 2**64 - 1025, 2**63):
            value = library.value_of(ctypes.c_uint64(word), cpu.pointer(record)) & 2**32 - 1
            assert value == (modulus // 2 if word == 2**63 else modulus - 1)


# ------------------------------------------------------------------------------------------------------------- the sieve


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c.recipe}-{c.modulus}-{c.k}-{c.start}{'-plain' * (not c.square)}"
)
def test_sieve_finds_what_the_definition_says(device_kind: str, case: Case) -> None:
    search, expected = case.expected
    assert len(expected) > 0
    got = case.hits(opened(device_kind, search.recipe), search)
    assert got.dtype == expected.dtype and got.tolist() == expected.tolist()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="registers of x86-64")
@pytest.mark.parametrize(("march", "feature", "width"), [("x86-64-v3", "avx2", 256), ("x86-64", "sse2", 128)])
def test_narrower_registers_find_the_same(
    march: str, feature: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if feature not in cpu._cpuinfo("flags").split():
        pytest.skip(f"this processor has no {feature}")
    monkeypatch.setattr(cpu, "_FLAGS", [f"-march={march}" if flag == "-march=native" else flag for flag in cpu._FLAGS])
    built: dict[str, CpuDevice] = {}
    for case in CASES:
        search, expected = case.expected
        if case.recipe not in built:
            built[case.recipe] = CpuDevice(search.recipe, "cpu")
        device = built[case.recipe]
        assert device.lanes == width // kernels.family(search.recipe.family).lane_bits
        assert case.hits(device, search).tolist() == expected.tolist(), case
    assert all(device.check() > 0 for device in built.values())


def _range(which: Any, draw: Any) -> tuple[int, int]:
    limit = which.seed_limit(which.params({}))
    count = draw(st.integers(1, 60) | st.integers(1, 900), label="count")
    edges = [0, limit - count, min(limit, 2**32) - count, *([2**32 - count // 2] if limit > 2**32 else [])]
    start = draw(st.sampled_from(edges) | st.integers(0, limit - count), label="start")
    return start, count


@given(data=st.data())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_sieve_finds_what_the_definition_says(device_kind: str, data: Any) -> None:
    which = recipe(data.draw(st.sampled_from(sorted(recipes())), label="recipe"))
    small = st.sampled_from([2, 3, 8, 10, 125, 1000, 1024])
    large = st.sampled_from([2**30 + 1, 2**31 - 1, 2**31 + 1, 2**32 - 1, 2**32])
    modulus = min(data.draw(small | large | st.integers(2, 5000), label="modulus"), which.map.max_modulus)
    start, count = _range(which, data.draw)
    k = data.draw(st.integers(1, 8), label="k")
    need = data.draw(st.integers(1, k), label="need")
    far = 200 if which.family == "mt19937" else 20
    skip, offset = data.draw(st.integers(0, 5), label="skip"), data.draw(st.integers(0, far), label="offset")
    skips, offsets = (skip, skip + data.draw(st.integers(0, 2))), (offset, offset + data.draw(st.integers(0, 2)))
    stride = data.draw(st.sampled_from([None, True, False]), label="stride")
    slices = data.draw(st.sampled_from([4096, 100, 33]), label="slice")
    mix, square = data.draw(st.integers(0, 99), label="mix"), data.draw(st.booleans(), label="square")
    case = Case(which.name, modulus, k, need, skips, offsets, start, count, stride, slices, mix, square=square)
    search, expected = case.expected
    assert len(expected) > 0
    assert case.hits(opened(device_kind, which), search).tolist() == expected.tolist()


def test_both_ways_to_make_outputs_are_chosen() -> None:
    chosen = {case.search().stride for case in CASES if case.stride is None}
    assert chosen == {True, False}
    # One skip and offset: jumping costs no more than making all; many that share their outputs: it does.
    alone = search_of(recipe("java.mod"), 1000, draws=[1] * 8, skips=(50, 50))
    many = search_of(recipe("java.mod"), 1000, draws=[1] * 8, need=2, skips=(0, 3), offsets=(0, 30))
    assert alone.stride and not many.stride
    assert not search_of(recipe("xorshift32.mod"), 1000, draws=[1] * 8, skips=(50, 50)).stride


def test_a_jump_to_any_output_is_as_good_as_walking(device_kind: str) -> None:
    for name in (
        "java.mod",
        "lcg.mod",
        "minstd.mod",
        "pcg32.mod",
        "splitmix64.mod",
        "philox4x32.mod",
        "java.nextDouble",
    ):
        which = recipe(name)
        device, search = opened(device_kind, which), search_of(which, 1000)
        assert search.jumps
        walked = device.outputs(search, u64([1, 2**31 + 5]), 0, 40)
        for first in (1, 2, 3, 17, 39):
            assert (device.outputs(search, u64([1, 2**31 + 5]), first, 1)[:, 0] == walked[:, first]).all(), (
                name,
                first,
            )


def test_a_far_skip_is_jumped_over_where_too_many_outputs_would_be_kept(device_kind: str) -> None:
    which = recipe("java.mod")
    row = opened("reference", which).outputs(search_of(which, 1000), u64([77]), 0, 1)
    skip, draws = 10**6, []
    for i in range(4):
        at = search_of(which, 1000)
        draws.append(int(opened("reference", which).outputs(at, u64([77]), skip + i * (skip + 1), 1)[0, 0]))
    search = search_of(which, 1000, draws=draws, skips=(skip, skip))
    hits = opened(device_kind, which).sieve(search, 0, 200)
    assert row.shape == (1, 1) and hits is not None
    assert hits.tolist() == [(77, skip, 0, 0, 4)]


# ----------------------------------------------------------------------------------------------------- recipes, searches


def test_chances_of_plain_modulo_are_counted_exactly() -> None:
    # All words of a small generator, counted one by one.
    which, words = recipe("lcg.mod"), np.arange(2**10)
    for modulus in (3, 7, 1000, 1023, 1024):
        counted = np.bincount(words % modulus, minlength=modulus) / 2**10
        got = which.chances(np.arange(modulus, dtype=np.uint32), modulus, which.params({"bits": 10}))
        assert got.tolist() == counted.tolist()
    shifted = which.chances(np.arange(4, dtype=np.uint32), 4, which.params({"bits": 10, "shift": 9}))
    assert shifted.tolist() == [0.5, 0.5, 0, 0]


def test_chances_of_words_of_which_the_last_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Lua 5.1 has rand() % RAND_MAX; here with few words, counted one by one.
    def value(x: Any, m: int) -> Any:
        return np.floor(x / 1000 * m).astype(int)

    small = dataclasses.replace(MAPPINGS["rand_max"], rising=lambda x, m: int(value(x, m)), again=1000)
    monkeypatch.setitem(MAPPINGS, "rand_max", small)
    which, words = dataclasses.replace(recipe("lcg.mod"), mapping="rand_max"), np.arange(2**10)
    for modulus in (3, 7, 999, 1000, 1024, 5000):
        counted = np.bincount(value(words % 1000, modulus), minlength=modulus) / 2**10
        got = which.chances(np.arange(modulus, dtype=np.uint32), modulus, which.params({"bits": 10}))
        assert got.tolist() == counted.tolist()


@pytest.mark.parametrize("name", ["glibc.rand_scaled", "perl.rand", "lua51.random", "luajit.random"])
def test_chances_of_scaled_words_are_one_in_all(name: str) -> None:
    which = recipe(name)
    for modulus in (2, 3, 1000, 1024):
        chances = which.chances(np.arange(modulus, dtype=np.uint32), modulus, which.params({}))
        assert chances.sum() == pytest.approx(1, abs=1e-15)
        assert chances == pytest.approx(np.full(modulus, 1 / modulus), rel=1e-6)


def test_chances_of_rand_max_itself() -> None:
    # RAND_MAX % RAND_MAX is Lua 5.1's second 0; of C's values below RAND_MAX the first has a second word.
    for name in ("lua51.random", "glibc.rand_scaled"):
        chances = recipe(name).chances(np.array([0, 1, 2**31 - 2], np.uint32), 2**31 - 1, {})
        assert (chances * 2**31).tolist() == [2, 1, 1]


def test_gos_table_is_what_its_own_program_would_print_after_days() -> None:
    script = runpy.run_path(str(Path(__file__).parent / "vectors" / "make" / "cooked607.py"))
    assert (kernels.folder() / "cooked607.h").read_text() == script["header"]()


def test_chances_respect_the_least_and_largest_word() -> None:
    # minstd gives 1 .. 2^31 - 2: 2^31 - 2 words, of which 2147483 are multiples of 1000.
    chances = recipe("minstd.mod").chances(np.array([0, 1, 646, 647], np.uint32), 1000, {})
    assert chances == pytest.approx(
        [2147483 / (2**31 - 2), 2147484 / (2**31 - 2), 2147484 / (2**31 - 2), 2147483 / (2**31 - 2)]
    )
    assert recipe("java.nextInt").chances(np.array([3], np.uint32), 1000, {}).tolist() == [1e-3]


def test_chances_of_scaled_words_are_counted_exactly() -> None:
    # All words of the small generators, each mapped as the language does, and counted one by one.
    words = np.arange(2**24, dtype=np.uint32)
    singles = words.astype(np.float32) * np.float32(2**-24)
    for name, modulus in (("vba.Rnd", 1000), ("vba.Rnd", 32767), ("java.nextFloat", 2**24 - 1)):
        counted = np.bincount((singles * np.float32(modulus)).astype(np.int64), minlength=modulus) / 2**24
        some = np.unique(np.concatenate([np.arange(500), np.linspace(0, modulus - 1, 500).astype(int)]))
        assert (
            recipe(name).chances(some.astype(np.uint32), modulus, recipe(name).params({})).tolist()
            == counted[some].tolist()
        )
    for name, span in (
        ("php52.mt_rand", 2**31),
        ("delphi.Random", 2**32),
        ("dotnet.Next", 2**31 - 1),
        ("mysql.RAND", 2**30 - 1),
    ):
        which, modulus = recipe(name), 3 * 2**16
        # Which words give d: those in [d span / M, (d + 1) span / M).
        count = [-(-(d + 1) * span // modulus) - -(-d * span // modulus) for d in (0, 1, 2, 77, modulus - 1)]
        got = which.chances(np.array([0, 1, 2, 77, modulus - 1], np.uint32), modulus, which.params({}))
        assert got == pytest.approx(np.array(count) / span, rel=1e-15, abs=1 / span)
        everything = which.chances(np.arange(1000, dtype=np.uint32), 1000, which.params({}))
        assert everything.sum() == pytest.approx(1, abs=1e-12)
    # Half of the values of a modulus just above half the words have two words each, the others one.
    some = recipe("php52.mt_rand").chances(np.arange(9, dtype=np.uint32), 3 << 29, {})
    assert set((some * 2**31).tolist()) == {1.0, 2.0}


def test_chances_of_words_that_lose_a_bit() -> None:
    # mt_rand() has 31 bits.
    chances = recipe("php71.mt_rand_mod").chances(np.array([0, 1, 2**30], np.uint32), 2**30 + 1, {})
    assert (chances * 2**31).tolist() == [2, 2, 1]
    # MSVC's rand has 15.
    which = recipe("msvc.rand")
    assert (which.chances(np.array([0, 767, 768], np.uint32), 1000, which.params({})) * 2**15).tolist() == [33, 33, 32]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: recipe("java.nextint"), "did you mean 'java.nextInt'"),
        (lambda: recipe("java"), "did you mean 'java."),
        (lambda: kernels.family("xorshit32"), "did you mean 'xorshift32'"),
        (lambda: recipe("lcg.mod").params({"bit": 3}), "did you mean 'bits'"),
        (lambda: recipe("java.mod").params({"zzz": 3}), "it has none"),
        (lambda: recipe("lcg.mod").params({"a": 2**64}), "outside"),
        (lambda: recipe("lcg.mod").params({"a": -1}), "outside"),
        (lambda: recipe("lcg.mod").params({"bits": 0}), "1 <= bits <= 64"),
        (lambda: recipe("lcg.mod").params({"bits": 65}), "1 <= bits <= 64"),
        (lambda: recipe("lcg.mod").params({"bits": 8, "shift": 8}), "shift < bits"),
        (lambda: recipe("orig.pcg32").params({"sequence": 1}), "no parameter 'sequence'"),
        (lambda: search_of(recipe("java.nextInt"), 2**31), "--modulus 2147483648"),
        (lambda: search_of(recipe("java.mod"), 1), "--modulus 1"),
        (lambda: search_of(recipe("java.mod"), 9, skips=(3, 2)), "--skip-min 3 --skip-max 2"),
        (lambda: search_of(recipe("java.mod"), 9, skips=(-1, 2)), "--skip-min -1"),
        (lambda: search_of(recipe("java.mod"), 9, offsets=(0, 2**31)), "--offset-max"),
        (lambda: search_of(recipe("java.nextInt"), 9, skips=(0, 2**20)), "narrow the ranges"),
        (lambda: search_of(recipe("java.mod"), 9, skips=(0, 2**30)), "jumps at hand"),
        (lambda: search_of(recipe("mt19937.mod"), 9, offsets=(2**20, 2**20)), "narrow the ranges"),
    ],
)
def test_bad_input_is_one_sentence(call: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_parameters_come_from_the_family_the_recipe_and_the_user_in_this_order() -> None:
    assert recipe("lcg.mod").params({"c": 5}) == {"a": 1664525, "c": 5, "bits": 32, "shift": 0}
    assert recipe("pcg32.mod").params({}) == {"sequence": 54}
    assert recipe("orig.pcg32").params({}) == {"sequence": 721347520444481703}


def test_seed_limits() -> None:
    limits = {name: recipe(name).seed_limit(recipe(name).params({})) for name in recipes()}
    assert limits["java.nextInt"] == limits["java.mod"] == 2**48
    assert limits["orig.pcg32"] == limits["mt19937.mod"] == limits["php71.mt_rand"] == 2**32
    assert limits["dotnet.Next"] == limits["msvc.rand"] == 2**31 and limits["vba.Rnd"] == 2**24
    assert limits["jsc.random"] == limits["mysql.RAND"] == limits["ruby.rand"] == limits["php52.mt_rand"] == 2**32
    assert limits["v8_14.random"] == limits["python.randrange"] == limits["pcg32.mod"] == 2**64
    assert recipe("lcg.mod").seed_limit(recipe("lcg.mod").params({"bits": 48})) == 2**48


def test_identity_tells_searches_apart() -> None:
    base = search_of(recipe("lcg.mod"), 1000, draws=[1, 2, 3], need=2)
    changes: list[dict[str, Any]] = [
        {"recipe": recipe("java.mod")}, {"modulus": 999}, {"draws": np.array([1, 2, 4], np.uint32)}, {"need": 3},
        {"window_start": 1}, {"skips": (0, 1)}, {"offsets": (0, 1)}, {"given": {"a": 5}},
        {"ahead": side([1, 2, 3], 2)}, {"ahead": side([1, 2, 3], 3)}, {"behind": side([1, 2, 3], 2, behind=True)}, {"misses": 0},
        {"misses": 1}, {"space": space("unix*pid:0..9,pid=1..2")}, {"space": space("unix*pid:0..9,pid=1..3")},
    ]  # fmt: skip
    identities = [base.identity(), *(dataclasses.replace(base, **change).identity() for change in changes)]
    assert all(a != b for i, a in enumerate(identities) for b in identities[:i])
    assert {f.name for f in dataclasses.fields(Search)} == {key for change in changes for key in change}


def test_identity_holds_the_kernel_text(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = search_of(recipe("lcg.mod"), 1000).identity()
    monkeypatch.setattr(kernels, "source", lambda *a, **k: "another text")
    assert search_of(recipe("lcg.mod"), 1000).identity() != before


def test_an_installation_without_kernels_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "a" / "b" / "kernels.py"))
    with pytest.raises(IntegrityError, match="install prng_mpi again"):
        kernels.folder.__wrapped__()


def test_a_family_without_a_head_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "families").mkdir()
    (tmp_path / "families" / "new.h").write_text("int x;")
    monkeypatch.setattr(kernels, "folder", lambda: tmp_path)
    with pytest.raises(IntegrityError, match=r"families/new\.h"):
        kernels.families.__wrapped__()


def test_seeds_whose_brief_seeding_goes_wrong_are_all_known() -> None:
    """An addition may wait at step i, a multiple of 4, unless the word x there has x mod 2^30 < i, of 4 i words each. A step can be
    undone, so each word comes from one seed: as many as there are words must be listed, and each listed seed meet such a word."""
    listed = opened("cpu", recipe("php71.mt_rand"))._exceptions
    x, carries = listed.astype(np.uint64), np.zeros(len(listed), np.int64)
    for i in range(1, 393):
        x = ((x ^ x >> np.uint64(30)) * np.uint64(1812433253) + np.uint64(i)) % np.uint64(2**32)
        if i % 4 == 0:
            carries += x % np.uint64(2**30) < i
    assert (np.diff(listed.astype(np.int64)) > 0).all() and carries.all()
    assert carries.sum() == sum(4 * i for i in range(4, 393, 4))
