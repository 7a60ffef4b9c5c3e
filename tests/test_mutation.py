"""Known answers and the sieve's tests must notice a wrong kernel: each text is changed in one place at a time.

Mutants of families are made by rule; those of the mapping and the sieve, where a rule would make harmless ones, by hand."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernel_cases import CASES, MAPPED, Case, mapping_recipe, wrong_mappings
from prng_mpi import kernels
from prng_mpi.devices import cpu
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import Recipe, recipe, recipes
from side_cases import SideCase
from test_prev import Walker, philox_block, predecessor_is_wrong
from test_sides import CASES as SIDE_CASES

PRISTINE = kernels.folder()
FAMILIES = sorted(path.name for path in (PRISTINE / "families").glob("*.h"))
# Texts that several families share, each with a recipe that needs all of it.
SHARED = {
    "mix.h": ["splitmix64.mod"],
    "philox.h": ["philox4x32.mod"],
    "affine.h": ["lcg.mod", "orig.lcg32"],
    "twister.h": ["mt19937.mod"],
    "browser.h": ["v8.mod", "jsc.mod"],
    "pool.h": ["v8.mod"],
    "seedsequence.h": ["pcg64.mod"],
    "fold31.h": ["orig.lcg32"],
}

# What no mutant may change: comments, what other builds see, indices of memory (a crash would end the tests), and the
# high half of a block's counter, which is 0 until output 2^34.
_KEPT = re.compile(
    r"/\*.*?\*/|^#if LANES > 1.*?^#endif|^[^\n]*\b(?:MT_[NM]|MT64_[NM]|RAND_N|ALFG_N|ALFG_TAP)\b[^\n]*|block >> 32",
    re.S | re.M,
)
_FUNCTION = re.compile(r"^FN \w+ (\w+)\(", re.M)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _plus_one(match: re.Match[str]) -> str:
    return str(int(match.group()) + 1)


def _flipped(match: re.Match[str]) -> str:
    value = int(match.group(), 0)
    return hex(value ^ (value & -value))


# What is changed at every place where it stands, and how.
RULES: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"(?<=<< )\d+|(?<=>> )\d+|(?<=, )\d+(?=\) [+^*])", _plus_one),
    (r"\b0x[0-9A-Fa-f]{5,}|(?<!\.)\b[0-9]{5,}", _flipped),
    (r" \^ ", lambda match: " | "),
    (r" \* ", lambda match: " + "),
    (r"(?<=\S) \+ (?=\S)", lambda match: " ^ "),
    (r"(?<=seed\(state \*g, wseed z, const u64 \*param\) \{)", lambda match: " z = z + 1u;"),
)


def mutants(text: str) -> Iterator[tuple[str, str, str]]:
    """(what was changed, the function it stands in, the whole text with the change)."""
    code = _KEPT.sub(_blank, text)
    for pattern, change in RULES:
        for match in re.finditer(pattern, code):
            before = [*_FUNCTION.finditer(code[: match.end()])]
            line = text.count("\n", 0, match.start()) + 1
            label = f"line {line}: {match.group()!r} -> {change(match)!r}"
            mutant = text[: match.start()] + change(match) + text[match.end() :]
            yield label, before[-1].group(1) if before else "", mutant


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the kernels that devices are built from; compiled quickly, kept nowhere."""
    for case in CASES:
        # Made by the text as it is, before anything is changed.
        assert len(case.expected[1]) > 0
    for side_case in SIDE_CASES:
        assert len(side_case.expected[1]) > 0
    copy = tmp_path / "kernels"
    shutil.copytree(PRISTINE, copy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kernels, "folder", lambda: copy)
    monkeypatch.setitem(cpu._BUILDS, "reference", ["-O0", "-DSCALAR"])
    monkeypatch.setitem(cpu._BUILDS, "emulated", ["-O0", "-DEMULATE"])
    monkeypatch.setitem(cpu._BUILDS, "cpu", ["-O1"])
    kernels.source.cache_clear()
    yield copy
    kernels.source.cache_clear()


@contextlib.contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """The file with another text for a while."""
    before = path.read_text()
    assert text != before
    path.write_text(text)
    kernels.source.cache_clear()
    yield
    path.write_text(before)
    kernels.source.cache_clear()


def _refused(which: Recipe, kind: str = "reference") -> bool:
    try:
        CpuDevice(which, kind).check()
    except DeviceError as error:
        # A mutant that does not compile proves nothing.
        assert "can't compile" not in str(error), str(error)
        return True
    return False


def _recipes_of(family: str, function: str) -> list[Recipe]:
    """The recipes that see a change in that function of a family: those of a seeding, or those that show its words."""
    of_family = [r for r in recipes().values() if r.family == family]
    seeded = [r for r in of_family if r.seeding == function]
    return seeded or [r for r in of_family if r.mapping == "mod"]


def _walks_wrongly(which: Recipe) -> bool:
    """Whether steps back and ahead again, or ahead and back, do not bring back the same words: the inverse step's answer."""
    walk = Walker(which, "reference")
    if not kernels.family(which.family).invertible(which.params({})):
        return bool(predecessor_is_wrong(walk))
    for seed in (42, 2**32 - 1, *([2**64 - 5] if which.family == "philox4x32" else [])):
        walk.seed(seed)
        back = walk.back(700)
        if (walk.ahead(700) != back[::-1]).any() or (walk.ahead(30) != walk.back(30)[::-1]).any():
            return True
        # Blocks before the first have counters of their own.
        if which.family == "philox4x32" and back[:4, 0].tolist() != philox_block(2**128 - 1, seed)[::-1]:
            return True
    return False


def _survivors(path: Path, choose: Callable[[str], list[Recipe]]) -> tuple[list[str], int]:
    """Mutants of a file that no known answer notices, and how many mutants there were."""
    alive, count = [], 0
    for label, function, text in mutants(path.read_text()):
        count += 1
        with changed(path, text):
            alive += [] if any(_refused(which) or _walks_wrongly(which) for which in choose(function)) else [label]
    return alive, count


@pytest.mark.parametrize("name", FAMILIES)
def test_known_answers_notice_every_mutant_of_a_family(folder: Path, name: str) -> None:
    family = name.removesuffix(".h")
    assert not any(_refused(which) for which in _recipes_of(family, ""))
    alive, count = _survivors(folder / "families" / name, functools.partial(_recipes_of, family))
    assert not alive and count >= 1


@pytest.mark.parametrize("name", SHARED)
def test_known_answers_notice_every_mutant_of_a_shared_text(folder: Path, name: str) -> None:
    alive, count = _survivors(folder / name, lambda function: [recipe(r) for r in SHARED[name]])
    assert not alive and count >= 4


@pytest.mark.parametrize(
    ("name", "seeding"),
    [
        ("java.mod", "seed_raw"),
        ("orig.java_lcg", "seed"),
        ("pcg32.mod", "seed_raw"),
        ("orig.pcg32", "seed"),
        ("sfc64.mod", "seed_first_word"),
        ("orig.sfc64", "seed"),
        ("xoshiro256pp.mod", "seed_first_word"),
        ("orig.xoshiro256pp", "seed"),
        ("mt19937.mod", "seed_by_array"),
        ("python.randrange", "seed"),
    ],
)
def test_known_answers_notice_another_seeding(name: str, seeding: str) -> None:
    which = recipe(name)
    assert which.seeding != seeding
    assert _refused(dataclasses.replace(which, seeding=seeding, _seed_bits=64))


# ---------------------------------------------------------------------------------------------- the mapping and the sieve

# What is wrong, the text, its replacement, the build, the mapping that is held against Python.
MAPPING = (
    ("remainder of 32 bits", "x % m : x", "(x + 1) % m : x", "reference", "mod"),
    ("reciprocal of 32 bits", "return least(r, r - m);", "return r;", "cpu", "mod"),
    ("reciprocal of 32 bits", "return least(r, r - m);", "return r;", "emulated", "java"),
    ("java: shift", "w32 u = x >> 1;", "w32 u = x >> 2;", "reference", "java"),
    ("java: power of two", "u >> (u32)(31 - q->bits)", "u >> (u32)(30 - q->bits)", "reference", "java"),
    ("java: bound", "return upto(u, all32((u32)q->limit));", "return upto(u + 1, all32((u32)q->limit));", "reference", "java"),
    ("java: no bound", "return upto(u, all32((u32)q->limit));", "return all32(~0u);", "cpu", "java"),
    ("top_bits: shift", "x >> (u32)(32 - q->bits);\n    return", "x >> (u32)(31 - q->bits);\n    return", "reference", "top_bits"),
    ("top_bits: bound", "above(all32((u32)q->modulus), *value)", "~above(*value, all32((u32)q->modulus))", "reference", "top_bits"),
    ("masked: mask", "x & (u32)q->mask;", "x & (u32)q->mask >> 1;", "reference", "masked"),
    ("masked: bound", "above(*value, all32((u32)(q->modulus - 1)))", "above(*value, all32((u32)q->modulus))", "reference", "masked"),
    ("php: power of two", "*value = x & (u32)(q->modulus - 1);", "*value = x >> 1 & (u32)(q->modulus - 1);", "reference", "php"),
    ("php: bound", "return upto(x, all32((u32)q->limit));", "return ~upto(all32((u32)q->limit), x);", "reference", "php"),
    ("php: no bound", "return upto(x, all32((u32)q->limit));", "return all32(~0u);", "emulated", "php"),
    ("unit_27_26: shift", "(x >> 37) << 26", "(x >> 36) << 26", "reference", "unit_27_26"),
    ("unit_27_26: low word", "(x & 0xffffffffull) >> 6", "(x & 0xffffffffull) >> 7", "cpu", "unit_27_26"),
    ("unit_26_27: shift", "(x >> 38) << 27", "(x >> 38) << 26", "reference", "unit_26_27"),
    ("unit_26_27: low word", "(x & 0xffffffffull) >> 5", "(x & 0xffffffffull) >> 4", "emulated", "unit_26_27"),
    ("java_range: power of two", "x & (u32)(q->modulus - 1);\n        return all32(~0u);\n    }\n    return map_java", "x >> 1;\n        return all32(~0u);\n    }\n    return map_java", "reference", "java_range"),
    ("mod31: shift", "reduce32(x >> 1, q)", "reduce32(x >> 2, q)", "cpu", "mod31"),
    ("php52: unit", "#define UNIT31 (1.0 / 2147483648.0)", "#define UNIT31 (1.0 / 2147483647.0)", "reference", "php52"),
    ("unit52: as unit53", "scaled(x >> 1, 2 * UNIT53", "scaled(x, UNIT53", "cpu", "unit52"),
    ("unit53: as unit52", "scaled(x, UNIT53", "scaled(x >> 1, 2 * UNIT53", "emulated", "unit53"),
    ("single24: as doubles", "scaled_single(x >> 8, UNIT24 * (float)q->modulus)", "scaled(wide(x >> 8), (double)UNIT24 * q->modulus)", "cpu", "single24"),
    ("vba: as doubles", "scaled_single(low(x), UNIT24 * (float)q->modulus)", "scaled(x, (double)UNIT24 * q->modulus)", "cpu", "vba"),
    ("dotnet: one product", "scaled_twice(wide(x), 1.0 / 2147483647.0, (double)q->modulus)", "scaled(wide(x), 1.0 / 2147483647.0 * (double)q->modulus)", "reference", "dotnet"),
    ("mysql: a product", "divided_scaled(wide(x), 1073741823.0, (double)q->modulus)", "scaled_twice(wide(x), 1.0 / 1073741823.0, (double)q->modulus)", "cpu", "mysql"),
    ("multiply: shift", "low(x * q->modulus >> 32)", "low(x * q->modulus >> 31)", "cpu", "multiply"),
    ("lemire: power of two", "*value = x >> (u32)(33 - q->bits);", "*value = x >> (u32)(32 - q->bits);", "reference", "lemire"),
    ("lemire: bound", "above(all32(~(u32)q->limit), x * (u32)q->modulus);\n}", "above(all32(~(u32)q->limit + 1), x * (u32)q->modulus);\n}", "reference", "lemire"),
    ("lemire64: no bound", "return upto64(all64(~q->limit), x * q->modulus);", "return all32(~0u);", "cpu", "lemire64"),
    ("lemire64: bound", "return upto64(all64(~q->limit), x * q->modulus);", "return upto64(all64(~q->limit + 1), x * q->modulus);", "reference", "lemire64"),
    ("divided: reciprocal", "v - upto(all32((u32)q->share), u - v * (u32)q->share)", "v", "cpu", "divided"),
    ("divided: bound", "above(all32((u32)q->modulus), *value);\n}\n#endif", "~above(*value, all32((u32)q->modulus));\n}\n#endif", "emulated", "divided"),
    ("go: shift", "w32 u = high(x) & 0x7fffffffu;", "w32 u = high(x);", "cpu", "go"),
    ("top53: shift", "scaled(x >> 11,", "scaled(x >> 12 << 1,", "reference", "top53"),
    ("scaled48: unit", "32 * UNIT53", "31 * UNIT53", "cpu", "scaled48"),
    ("rand_max: RAND_MAX itself", "wide(least(x, x - 0x7fffffffu))", "wide(x)", "cpu", "rand_max"),
    ("rand_max: a product", "divided_scaled(wide(least(x, x - 0x7fffffffu)), 2147483647.0,", "scaled_twice(wide(least(x, x - 0x7fffffffu)), 1.0 / 2147483647.0,", "cpu", "rand_max"),
    ("canonical: half the range", "nearest(x)", "real(x >> 12 << 12)", "cpu", "canonical"),
    ("order of two words", "return a << 32 | b;", "return b << 32 | a;", "reference", "unit_27_26"),
)  # fmt: skip


@pytest.mark.parametrize("mutant", MAPPING, ids=lambda m: f"{m[0]}-{m[3]}")
def test_a_wrong_mapping_is_noticed(folder: Path, mutant: tuple[str, str, str, str, str]) -> None:
    _, text, replacement, kind, mapping = mutant
    path, which = folder / "mapping.h", mapping_recipe(mapping)
    whole = path.read_text()
    assert text in whole, "the kernel is written otherwise now: write this mutant anew"
    assert not wrong_mappings(CpuDevice(which, kind), MAPPED[mapping])
    with changed(path, whole.replace(text, replacement)):
        assert wrong_mappings(CpuDevice(which, kind), MAPPED[mapping])


JUMPING, ONCE, REJECTING = "lcg.mod pcg32.mod java.mod", "mt19937.mod xorshift32.mod", "java.nextInt python.randrange"
EVERY = "xorshift32.mod java.mod"
GROUPS = "mt19937.mod xoshiro256ss.mod"
SQUARES = "xorshift32.mod java.mod ansi_lcg.mod lcg.mod orig.pcg32"
FULL, ENOUGH = (
    "best b = {all32((u32)q->need - 1), all32(0), all32(0)};",
    "best b = {all32((u32)q->need), all32(0), all32(0)};",
)
# What is wrong, the file, the text, its replacement, the build, the recipes whose cases tell.
SIEVE = (
    ("first position", "sieve.h", "o + s - (u32)q->first, i = 0", "o + (u32)q->skip_min - (u32)q->first, i = 0", "reference", ONCE),
    ("step between positions", "sieve.h", "p += s + 1;\n            }\n            if (i == k)", "p += s;\n            }\n            if (i == k)", "reference", ONCE),
    ("jump to the first", "sieve.h", "to[o + s - q->first]);", "to[o + q->skip_min - q->first]);", "reference", JUMPING),
    ("jump between draws", "sieve.h", "if (s) leap(&g, over);\n            }\n            if", "if (s > 1) leap(&g, over);\n            }\n            if", "reference", JUMPING),
    ("no jump to the first kept output", "sieve.h", "    leap(&t.g, jumps[q->skip_max - q->skip_min + 1]);", "", "reference", "java.mod"),
    ("early end by one", "sieve.h", "all32(need - left - 1))", "all32(need - left))", "reference", EVERY),
    ("early end with all to come", "sieve.h", "return left < need && !any(above(matches", "return left <= need && !any(above(matches", "reference", EVERY),
    ("need by one", "sieve.h", FULL, ENOUGH, "reference", EVERY),
    ("ties go to the last", "sieve.h", "w32 better = above(matches, b->matches);", "w32 better = ~above(b->matches, matches);", "reference", EVERY),
    ("ties go to the last", "sieve.h", "w32 better = above(matches, b->matches);", "w32 better = ~above(b->matches, matches);", "cpu", EVERY),
    ("skip for offset", "sieve.h", "pick(better, all32(skip), b->skip)", "pick(better, all32(offset), b->skip)", "reference", EVERY),
    ("survivors need one more", "sieve.h", "LANE(b.matches, i) < least_matches(&local)", "LANE(b.matches, i) <= least_matches(&local)", "cpu", EVERY),
    ("window start", "sieve.h", "(u32)local.window_start", "0", "reference", EVERY),
    ("seed of a lane", "sieve.h", "{start + n + i, LANE", "{start + n, LANE", "cpu", EVERY),
    ("past the end", "sieve.h", "n + i < count; i++", "n + i <= count; i++", "cpu", EVERY),
    ("lanes that part", "sieve.h", "if (!t->apart && !any(~accepted))", "if (!any(~accepted))", "cpu", REJECTING),
    ("rejected values are kept", "sieve.h", "at += accepted[i] & 1;", "at += 1;", "cpu", REJECTING),
    ("outputs before lanes part", "sieve.h", "t->count[i] = t->have;", "t->count[i] = 0;", "cpu", REJECTING),
    ("slowest lane", "sieve.h", "least_count = at < least_count ? at : least_count;", "least_count = at;", "cpu", REJECTING),
    ("grid: stride", "sieve.h", "n < count; n += slots)", "n < count; n += slots + 1)", "emulated", EVERY),
    ("grid: first seed", "sieve.h", "for (u64 n = slot;", "for (u64 n = slot + 1;", "emulated", EVERY),
    ("grid: need", "sieve.h", "if (b.matches < least_matches(q)) continue;", "if (b.matches <= least_matches(q)) continue;", "emulated", EVERY),
    ("glance: early end", "sieve.h", "!any_above(size, hopes, need - left - 1, REFUSED)", "!any_above(size, hopes, need - left, REFUSED)", "cpu", GROUPS),
    ("glance: rejection not seen", "sieve.h", "#define STRAINED(x) strain = most(strain, STRAIN(x, q))", "#define STRAINED(x) (void)(x)", "cpu", "java.nextInt php71.mt_rand"),
    ("glance: one hypothesis, step", "sieve.h", "p += s + 1;\n    }\n}", "p += s + 2;\n    }\n}", "cpu", "xorshift32.mod mt19937.mod"),
    ("glance: one hypothesis, skipped outputs", "sieve.h", "for (; have < p; have++) ALL {", "for (; have + 1 < p; have++) ALL {", "cpu", "java.nextInt xorshift32.mod"),
    ("glance: one hypothesis, blocks", "sieve.h", "hopes[b], all32(need - 1)) | REFUSED) << b", "hopes[b], all32(need)) | REFUSED) << b", "cpu", "xorshift32.mod mt19937.mod"),
    ("glance: step between positions", "sieve.h", "p += s + 1;\n            }\n        }", "p += s + 2;\n            }\n        }", "cpu", "xorshift32.mod mt19937.mod"),
    ("glance: jump between draws", "sieve.h", "if (s) ALL leap(&g[b], over);", "", "cpu", "java.mod lcg.mod"),
    ("glance: block passed over", "sieve.h", "n += (u64)__builtin_ctz(rest) * LANES;", "n += (u64)(__builtin_ctz(rest) + 1) * LANES;", "cpu", EVERY),
    ("glance: hint of 32 bits", "mapping.h", "x * inverse - d * inverse", "x * inverse + d * inverse", "cpu", "mt19937.mod"),
    ("glance: hint of 64 bits", "mapping.h", "(u32)q->twos), all64(q->quotient)", "0), all64(q->quotient)", "cpu", "java.mod xoshiro256ss.mod lcg.mod"),
    ("glance: java's hint", "mapping.h", "hint32(hopes, x >> 1, d, q)", "hint32(hopes, x, d, q)", "cpu", "java.nextInt"),
    ("glance: lemire's hint", "mapping.h", "hopes - equal(mul_high32(x, (u32)q->modulus), all32(d))", "hopes - equal(mul_high32(x, (u32)q->modulus), all32(d + 1))", "cpu", "numpy.default_rng.integers numpy.Philox.integers"),
    ("glance: greatest strain", "mapping.h", "FN w32 map_lemire_strain(raw x, const search *q) { return ~", "FN w32 map_lemire_strain(raw x, const search *q) { return ", "cpu", "libstdcxx.mt19937.uniform_int"),
    ("glance: rejection before the window", "sieve.h", "n <= (u32)q->shifts", "n < (u32)q->shifts", "cpu", "php71.mt_rand"),
    ("glance: draws that come later", "sieve.h", "draws, p + n, p + n)", "draws, p, p)", "cpu", "php71.mt_rand"),
    ("glance: words kept", "twister.h", "i < (from); i++", "i <= (from) + 1; i++", "cpu", "php71.mt_rand"),
    ("glance: any word at once", "twister.h", "BRIEF_FAR(words, reach, p)))", "BRIEF_FAR(words, reach, (p) + 1)))", "cpu", "mt19937.mod"),
    ("glance: go's hint", "mapping.h", "hint32(hopes, high(x) & 0x7fffffffu, d, q)", "hint32(hopes, high(x) & 0x7fffffffu, d + 1, q)", "cpu", "go.Intn"),
    ("halves: order", "halves.h", "h->second = h->ahead = 1;\n    return low", "h->second = h->ahead = 1;\n    return high", "cpu", "numpy.SFC64.integers"),
    ("glance: reach of the seeding", "twister.h", "i < MT_M + (reach); i++", "i < MT_M + (reach) - 1; i++", "cpu", "mt19937.mod"),
    ("team: seeds", "sieve.h", "EACH z[b] = seeds_at(start + b * LANES, q);", "EACH z[b] = seeds_at(start + b, q);", "cpu", "python.randrange"),
    ("team: block of a team", "sieve.h", "&team[TEAM - (team_end - n) / LANES]", "&team[(team_end - n) / LANES - 1]", "cpu", "numpy.RandomState.randint"),
    ("team: keys of two words", "families/mt19937.h", "key[(i - 1) % words]", "key[0]", "cpu", "python.randrange"),
    ("team: last word of the first pass", "families/mt19937.h", "key[(MT_N - 1) % words][b]", "key[0][b]", "cpu", "python.randrange"),
    ("glance: addition that waited", "twister.h", "MT_A * (i) + (i) + 1", "MT_A * (i) + 1", "cpu", "mt19937.mod"),
    ("glance: exceptions", "sieve.h", " | exceptional_blocks(v, from)", "", "cpu", "php71.mt_rand"),
    ("glance: exceptions by their steps", "twister.h", "MT_A_INVERSE 2520285293u", "MT_A_INVERSE 2520285291u", "cpu", "php71.mt_rand"),
    ("glance: exceptions by their top bits", "twister.h", "top < 4", "top < 3", "cpu", "php71.mt_rand"),
    ("glance: block of an exception", "sieve.h", "(v->exceptions[v->passed] - from) / LANES", "(v->exceptions[v->passed] - from) / LANES + 1", "cpu", "php71.mt_rand"),
    ("glance: lead, width", "mapping.h", "(u32)(q->unit >> 32) + 2 * SLACK", "(u32)(q->unit >> 32)", "cpu", "php52.mt_rand"),
    ("glance: lead, first", "mapping.h", "(u32)((u64)d * q->unit >> 32)", "(u32)((u64)(d + 1) * q->unit >> 32)", "cpu", "php52.mt_rand"),
    ("glance: leading word of two", "sieve.h", "LEADING ? b : a", "LEADING ? a : b", "cpu", "ruby.rand_float"),
    ("glance: leading word of two, brief", "sieve.h", "WORDS * (p) + LEADING", "WORDS * (p)", "cpu", "libstdcxx.mt19937.uniform_real"),
    ("square: where the first begins", "sieve.h", "head = -start % (SIDE * SIDE);", "head = 15;", "cpu", SQUARES),
    ("square: seeds before the first", "sieve.h", "next = n < head && n + LANES > head ? head : n + LANES;", "next = n < head ? head : n + LANES;", "cpu", SQUARES),
    ("square: rows apart", "platform.h", "all32((u32)start) + ramp32() * step", "all32((u32)start) + ramp32()", "cpu", "xorshift32.mod"),
    ("square: parts of a column", "square.h", "z[part] = seeds_from(part * LANES);", "z[part] = seeds_from(part);", "cpu", "java.mod"),
    ("square: parts of the rows", "square.h", "start + part * LANES * SIDE", "start + part * LANES", "cpu", "java.mod"),
    ("square: not apart", "square.h", "[part] = APART(x[part], all_core(first));", "[part] = x[part];", "cpu", "java.mod"),
    ("square: field", "square.h", "(core1)1 << (32 - sq->shift)", "(core1)1 << (31 - sq->shift)", "cpu", "java.mod"),
    ("square: scale of a state", "square.h", "mode == NARROW ? (core1)sq->scale", "mode == NARROW ? 1", "cpu", "lcg.mod ansi_lcg.mod"),
    ("square: scale of an increment", "square.h", "j.c *= times(mode, sq);", "", "cpu", "lcg.mod java.mod"),
    ("square: first position", "square.h", "sq->positions[0] + ADDS", "sq->positions[0]", "cpu", "java.mod"),
    ("square: step between positions", "square.h", "sq->positions[n - 1] : -1ull", "sq->positions[n - 1] + 1 : -1ull", "cpu", "xorshift32.mod"),
    ("square: draw of a field", "square.h", "(core1)((u64)d << 32)", "(core1)((u64)d << 31)", "cpu", "java.mod java.nextInt"),
    ("square: draw of a word", "square.h", "(u32)sq->scale - at.off", "(u32)sq->scale + at.off", "cpu", "xorshift32.mod orig.pcg32"),
    ("square: rotation", "square.h", "return turn_right(t, all_full((u32)sq->turn));", "return t;", "cpu", SQUARES),
    ("square: all match, bound", "square.h", "all_full((u32)sq->bound) + 1, least", "all_full((u32)sq->bound), least", "cpu", SQUARES),
    ("square: early end", "square.h", "if (!any_more(most, all_full(need - left - 1))) break;", "if (!any_more(most, all_full(need - left))) break;", "cpu", SQUARES),
    ("square: blocks of a row", "square.h", "!!(lanes & 0x3333) | !!(lanes & 0xcccc) << 1", "!!(lanes & 0xcccc) | !!(lanes & 0x3333) << 1", "cpu", "java.mod java.nextInt"),
    ("square: next hypothesis", "square.h", "h++, looks += depth", "h++, looks += depth - 1", "cpu", SQUARES),
    ("square: next square", "square.h", "start += SIDE * SIDE)", "start += SIDE * SIDE / 2)", "cpu", SQUARES),
    ("square: words refused", "square.h", "blocks[seed / (SIDE * SIDE)] |=", "blocks[seed / (SIDE * SIDE)] &=", "cpu", "java.nextInt"),
    ("square: seeds of refused words", "square.h", "u64 seed = t ^ swap;", "u64 seed = t;", "cpu", "java.nextInt"),
    ("square: outputs of refused words", "square.h", "p <= last && width", "p < 1 && width", "cpu", "java.nextInt"),
    ("square: states of refused words", "square.h", "64 - sq->shift - sq->bits", "60 - sq->shift - sq->bits", "cpu", "java.nextInt"),
    ("square: Euclid, rounds", "square.h", "a - 1 - (high - 1) % a, a - 1 - (low - 1) % a", "a - 1 - (high - 1) % a, a - 1 - (high - 1) % a", "cpu", "java.nextInt"),
    ("square: Euclid, from the other side", "square.h", "m - a, m - high, m - low", "m - a, low, high", "cpu", "java.nextInt"),
)  # fmt: skip


def _wrong_case(kind: str, names: str) -> Case | None:
    """The first case of some recipes that a device does not sieve right."""
    for case in CASES:
        if case.recipe in names.split():
            search, expected = case.expected
            if case.hits(CpuDevice(search.recipe, kind), search).tolist() != expected.tolist():
                return case
    return None


@pytest.mark.parametrize("mutant", SIEVE, ids=lambda m: f"{m[0]}-{m[4]}")
def test_a_wrong_sieve_is_noticed(folder: Path, mutant: tuple[str, str, str, str, str, str]) -> None:
    _, file, text, replacement, kind, names = mutant
    path = folder / file
    whole = path.read_text()
    assert text in whole, "the kernel is written otherwise now: write this mutant anew"
    with changed(path, whole.replace(text, replacement)):
        assert _wrong_case(kind, names) is not None


# ------------------------------------------------------------------------------------------- both sides, a skip that varies

ENDS = "length = i <= misses;"
# What is wrong, the file, the text, its replacement, the build, whether the cases' skip varies.
SIDES = (
    ("behind begins an output early", "looks.h", "(i64)o - 1 + way", "(i64)o - 2 + way", "reference", False),
    ("skip not counted", "looks.h", "(i64)d->from[i] * (s + 1)", "(i64)d->from[i] * s", "reference", False),
    ("behind runs ahead", "looks.h", "side_matches(&behind, -1,", "side_matches(&behind, 1,", "reference", False),
    ("first range only", "looks.h", "r < d->range[i + 1]; r++", "r < d->range[i] + 1; r++", "reference", False),
    ("upper end excluded", "looks.h", "all32(d->bounds[2 * r + 1]));", "all32(d->bounds[2 * r + 1] - 1));", "cpu", False),
    ("need of a side by one", "looks.h", "all32(d->need - 1)), matches", "all32(d->need)), matches", "cpu", False),
    ("early end by one", "looks.h", "hopeless(matches, i + 1, d->n, d->need)", "hopeless(matches, i + 2, d->n, d->need)", "reference", False),
    ("one side is enough", "looks.h", "if (ahead.n) both &= above(matches, all32(0));", "", "cpu", False),
    ("matches of one side", "looks.h", "matches = (matches + more) & both;", "matches = more & both;", "cpu", False),
    ("ahead failed in some lane", "looks.h", "if (!any(above(matches, all32(0)))) continue;", "if (any(~above(matches, all32(0)))) continue;", "cpu", False),
    ("output 0 twice", "sides.h", "u32 b = (u32)(-1 - a);", "u32 b = (u32)(-a);", "reference", False),
    ("behind over ahead's slots", "sides.h", "t->behind.base = (u32)q->positions;", "t->behind.base = 0;", "emulated", False),
    ("behind runs ahead", "sides.h", "t->behind.back = 1;", "", "reference", False),
    ("two words in the other order", "mapping.h", "w64 b = wide(prev(g)), a = wide(prev(g));", "w64 a = wide(prev(g)), b = wide(prev(g));", "reference", False),
    ("a lane's base", "sieve.h", "CELL(t->base + at, i) = value[i];", "CELL(at, i) = value[i];", "cpu", False),
    ("need behind", "sieve.h", "(u32)(q->need + q->need_behind)", "(u32)q->need", "reference", True),
    ("upper end excluded", "hybrid.h", "<= d->bounds[2 * r + 1]) return 1;", "< d->bounds[2 * r + 1]) return 1;", "reference", True),
    ("first range only", "hybrid.h", "r < d->range[i + 1]; r++", "r < d->range[i] + 1; r++", "reference", True),
    ("dead too early", "hybrid.h", "d->to[misses < spare ? misses : spare] + shifts;", "d->to[0] + shifts;", "reference", True),
    ("dead after a match", "hybrid.h", "alive = alive > reach ? alive : reach;", "", "reference", True),
    ("reach by one draw", "hybrid.h", "? i + misses + 1 : length + spare;", "? i + misses : length + spare;", "reference", True),
    ("last offset not scanned", "hybrid.h", "y > d->to[i] + shifts ||", "y > d->to[i] ||", "reference", True),
    ("behind from the first offset", "hybrid.h", "(i64)q->offset_max - 1 - y", "(i64)q->offset_min - 1 - y", "reference", True),
    ("value not held against the draw", "hybrid.h", " || !inside(LANE(value, lane), d, i)) continue;", ") continue;", "reference", True),
    ("first draws may not be missed", "hybrid.h", ENDS, "length = i == 0;", "reference", True),
    ("any draw may be the first", "hybrid.h", ENDS, "length = 1;", "reference", True),
    ("too near", "hybrid.h", "apart >= d->from[i] - d->from[j]", "apart > d->from[i] - d->from[j]", "reference", True),
    ("too far", "hybrid.h", "apart <= d->to[i] - d->to[j];", "apart < d->to[i] - d->to[j];", "reference", True),
    ("ahead of the boundary by any distance", "hybrid.h", "y >= d->from[i] + shift && y <= d->to[i] + shift", "y <= d->to[i] + shift", "reference", True),
    ("one miss more", "hybrid.h", "i - j <= misses + 1", "i - j <= misses + 2", "reference", True),
    ("one miss less", "hybrid.h", "i - j <= misses + 1", "i - j <= misses", "reference", True),
    ("dead ends are gone on from", "hybrid.h", "if (before && before >= length &&", "if (before >= length &&", "reference", True),
    ("the last draws may be missed", "hybrid.h", "if (d->n - 1 - i <= misses && length > most)", "if (length > most)", "cpu", True),
    ("looks no further back", "hybrid.h", "u32 far = d->to[i] - d->to[i > misses ? i - misses - 1 : 0];", "u32 far = d->to[i] - d->to[i ? i - 1 : 0];", "reference", True),
    ("offset of the other side", "hybrid.h", "(u32)q->offset_max - o, misses", "o - (u32)q->offset_min, misses", "reference", True),
    ("need ahead", "hybrid.h", "if (matches < ahead.need) continue;", "", "emulated", True),
    ("need behind", "hybrid.h", "if (more < behind.need) continue;", "", "reference", True),
    ("ties go to the last", "hybrid.h", "if (matches + more <= most) continue;", "if (matches + more < most) continue;", "reference", True),
    ("both lists in one place", "hybrid.h", "other = list + (ahead.n ? 3 * (u32)q->events : 0);", "other = list;", "reference", True),
    ("a lane's offset", "hybrid.h", "LANE(b.offset, lane) = o;", "LANE(b.offset, 0) = o;", "cpu", True),
    ("hopeful by one lane", "hybrid.h", "hopeful |= n_ahead[lane] >= ahead.need;", "hopeful = n_ahead[lane] >= ahead.need;", "cpu", True),
)  # fmt: skip


def _wrong_side_case(kind: str, varies: bool) -> SideCase | None:
    """The first case, with a skip that varies or without, that a device does not sieve right."""
    for case in SIDE_CASES:
        if (case.misses is not None) == varies:
            search, expected = case.expected
            if case.hits(CpuDevice(search.recipe, kind, search.form), search).tolist() != expected.tolist():
                return case
    return None


@pytest.mark.parametrize("mutant", SIDES, ids=lambda m: f"{m[1]}-{m[0]}-{m[4]}")
def test_a_wrong_sieve_of_both_sides_is_noticed(folder: Path, mutant: tuple[str, str, str, str, str, bool]) -> None:
    _, file, text, replacement, kind, varies = mutant
    path = folder / file
    whole = path.read_text()
    assert text in whole, "the kernel is written otherwise now: write this mutant anew"
    with changed(path, whole.replace(text, replacement)):
        assert _wrong_side_case(kind, varies) is not None
