"""Floor 0: the kernel text. Families are the files of kernels/families/, each with a TOML head; a source is one text.

The text lies in `prng_mpi/kernels` of an installed wheel and in `kernels` at the top of a checkout."""

from __future__ import annotations

import functools
import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prng_mpi.errors import IntegrityError, UsageError, suggestion

_HEAD = re.compile(r"/\*---\n(.*?)\n---\*/", re.S)
_INCLUDE = re.compile(r'^#include "([\w./]+)"$', re.M)


@functools.cache
def folder() -> Path:
    """The folder of the kernel text. Raises IntegrityError if this installation has none."""
    here = Path(__file__).resolve().parent
    for place in (here / "kernels", here.parents[1] / "kernels"):
        if (place / "platform.h").is_file():
            return place
    raise IntegrityError(f"no kernels/ beside {here}: this installation is incomplete, install prng_mpi again")


@dataclass(frozen=True)
class Affine:
    """state -> a state + c (mod 2^bits); a word is state >> shift; a seed's state is seed ^ seed_xor."""

    bits: int
    a: int
    c: int
    shift: int
    seed_xor: int


def affine_power(a: int, c: int, n: int, modulus: int) -> tuple[int, int]:
    """(a, c) of n steps of state -> a state + c (mod modulus), which are one such map."""
    power = (1, 0)
    while n:
        if n & 1:
            power = (power[0] * a % modulus, (power[1] * a + c) % modulus)
        a, c, n = a * a % modulus, (c * a + c) % modulus, n >> 1
    return power


@dataclass(frozen=True)
class Modular:
    """state -> a state + c (mod modulus); a word is the state; a seed's state is the seed (mod modulus), or `zero`, where
    that is not None, in place of 0."""

    modulus: int
    a: int
    c: int
    zero: int | None = None


@dataclass(frozen=True)
class Linear:
    """A generator that is linear over GF(2): the state's words are `bits` unknowns, after the `unused` lowest bits of the
    first word, on which no output depends; the state's struct begins with its words."""

    bits: int
    unused: int


@dataclass(frozen=True)
class Family:
    """A generator as its file's head declares it.

    word_bits: 32 or 64, what one step yields; lane_bits: its widest arithmetic; seed_bits: seeds are below 2^seed_bits;
    verified: whose outputs its vectors are; word_min, word_max: least and largest word; words_at_once: how many a step of it makes;
    seeding_looks: how many looks at outputs a seeding costs as much as; params: integers a user may set; known: (seed, first words) by the
    published definition. seed_bits, the word range and invertible, whether a step can be undone, may depend on the params,
    as expressions."""

    name: str
    title: str
    source: str
    verified: str
    algebra: str
    lane_bits: int
    word_bits: int
    _seed_bits: str
    _word_min: str
    _word_max: str
    _invertible: str
    words_at_once: int = 1
    seeding_looks: dict[str, int] = field(default_factory=dict)
    params: dict[str, int] = field(default_factory=dict)
    _affine: dict[str, Any] = field(default_factory=dict)
    _modular: dict[str, Any] = field(default_factory=dict)
    linear: Linear | None = None
    known: tuple[tuple[int, tuple[int, ...]], ...] = ()
    known_at: tuple[tuple[int, int, int], ...] = ()

    def _evaluate(self, expression: str | int, params: dict[str, int]) -> int:
        if isinstance(expression, int):
            return expression
        # The expression stands in our own kernel file and sees nothing but the parameters.
        return int(eval(expression, {"__builtins__": {}}, {**self.params, **params}))

    def affine(self, params: dict[str, int], seeding: str) -> Affine | None:
        """The family's algebra where it is affine modulo a power of two and the seeding is a mere xor; else None."""
        table = self._affine
        if not table or seeding not in table["seed_xor"]:
            return None
        values = {key: self._evaluate(table[key], params) for key in ("bits", "a", "c", "shift")}
        return Affine(**values, seed_xor=table["seed_xor"][seeding])

    def modular(self, params: dict[str, int], seeding: str) -> Modular | None:
        """The family's algebra where it is affine, the word is the whole state and the seed the state; else None."""
        table, affine = self._modular, self.affine(params, seeding)
        if affine is not None and not affine.shift and not affine.seed_xor:
            n = 1 << affine.bits
            return Modular(n, affine.a % n, affine.c % n)
        if not table or seeding not in table["seedings"]:
            return None
        values = {key: self._evaluate(table[key], params) for key in ("modulus", "a", "c")}
        return Modular(**values, zero=table.get("zero"))

    def seed_bits(self, params: dict[str, int]) -> int:
        return self._evaluate(self._seed_bits, params)

    def invertible(self, params: dict[str, int]) -> bool:
        """Whether `prev` undoes `next`: no two states step to the same one."""
        return bool(self._evaluate(self._invertible, params))

    def word_range(self, params: dict[str, int]) -> tuple[int, int]:
        """(least, largest) word."""
        return self._evaluate(self._word_min, params), self._evaluate(self._word_max, params)


def _int(value: int | str) -> int:
    # TOML's integers end at 2^63, so larger ones are texts.
    return int(value, 0) if isinstance(value, str) else value


@functools.cache
def families() -> dict[str, Family]:
    """Every family by name, sorted: a listing of kernels/families."""
    found = {}
    for path in sorted((folder() / "families").glob("*.h")):
        name = path.name.removesuffix(".h")
        head = _HEAD.search(path.read_text())
        if head is None:
            raise IntegrityError(f"kernels/families/{path.name} has no /*--- head ---*/ that declares the family")
        keys: dict[str, Any] = tomllib.loads(head.group(1))
        found[name] = Family(
            name=name,
            title=keys["title"],
            source=keys["source"],
            verified=keys["verified"],
            algebra=keys["algebra"],
            lane_bits=keys["lane_bits"],
            word_bits=keys["word_bits"],
            _seed_bits=str(keys["seed_bits"]),
            _word_min=keys.get("word_min", "0"),
            _word_max=keys.get("word_max", f"2**{keys['word_bits']} - 1"),
            _invertible=keys.get("invertible", "True"),
            words_at_once=keys.get("words_at_once", 1),
            seeding_looks=keys.get("seeding_looks", {}),
            params=keys.get("params", {}),
            _affine=keys.get("affine", {}),
            _modular=keys.get("modular", {}),
            linear=Linear(keys["linear"]["bits"], keys["linear"].get("unused", 0)) if "linear" in keys else None,
            known=tuple((_int(seed), tuple(map(_int, words))) for seed, words in keys.get("known", [])),
            known_at=tuple((_int(seed), index, _int(word)) for seed, index, word in keys.get("known_at", [])),
        )
    return found


def family(name: str) -> Family:
    """The family of that name. Raises UsageError with a suggestion."""
    if name not in families():
        raise UsageError(f"there is no family {name!r}{suggestion(name, families())}; python -m prng_mpi lists them")
    return families()[name]


def _inline(path: str, seen: set[str]) -> str:
    if path in seen:
        return ""
    seen.add(path)
    base = Path(path).parent
    text = (folder() / path).read_text()

    def include(match: re.Match[str]) -> str:
        name = match.group(1)
        return _inline(name if (folder() / name).is_file() else str(base / name), seen)

    return _INCLUDE.sub(include, text)


@functools.cache
def source(family_name: str, defines: tuple[tuple[str, int | str], ...], method: str = "sieve.h") -> str:
    """One self-contained text for any of the compilers: what the recipe defines, platform, family, mapping, and the method."""
    fam = family(family_name)
    all_defines = (("LANE_BITS", fam.lane_bits), ("WORD_BITS", fam.word_bits), *defines)
    seen: set[str] = set()
    parts = ["".join(f"#define {key} {value}\n" for key, value in all_defines)]
    parts += [_inline(path, seen) for path in ("platform.h", f"families/{family_name}.h", "mapping.h", method)]
    return "\n".join(parts)


def digest(text: str) -> str:
    """What a ledger remembers of the text that searched: 16 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
