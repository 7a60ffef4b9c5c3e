"""Floor 0: recipes, what a caller really wrote: family + seeding + words per output + mapping to [0, M) + version."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from prng_mpi import kernels
from prng_mpi.errors import UsageError, suggestion

# One known answer: seed, modulus, first outputs.
Known = tuple[int, int, tuple[int, ...]]


@dataclass(frozen=True)
class Mapping:
    """How a raw value becomes a value in [0, M); `function` is in kernels/mapping.h. Uniform mappings give every value
    with probability 1/M exactly (or to 2^-53); the plain modulo does not where M does not divide the word's range."""

    function: str
    rejects: bool = False
    words: int = 1
    max_modulus: int = 2**32
    uniform: bool = True
    # Width of what is divided by M, where a rejection is a value above the last full multiple of it.
    bits: int | None = None
    hint: bool = False


MAPPINGS = {
    "mod": Mapping("map_mod", uniform=False, hint=True),
    "java": Mapping("map_java", rejects=True, max_modulus=2**31 - 1, bits=31, hint=True),
    "top_bits": Mapping("map_top_bits", rejects=True, max_modulus=2**32 - 1),
    "masked": Mapping("map_masked", rejects=True),
    "php": Mapping("map_php", rejects=True, bits=32, hint=True),
    "unit_27_26": Mapping("map_unit_27_26", words=2),
    "unit_26_27": Mapping("map_unit_26_27", words=2, max_modulus=2**31 - 1),
}


@dataclass(frozen=True)
class Recipe:
    """The unit users name. `verified`: the runtime or text its vectors come from; `seed_bits` None: the family's."""

    name: str
    title: str
    family: str
    mapping: str
    verified: str
    seeding: str = "seed"
    _seed_bits: int | None = None
    low_first: bool = False
    fixed: dict[str, int] = field(default_factory=dict)
    known: tuple[Known, ...] = ()

    @property
    def map(self) -> Mapping:
        return MAPPINGS[self.mapping]

    def params(self, given: dict[str, int]) -> dict[str, int]:
        """The family's parameters: its defaults, what the recipe fixes, what the user gave, in [0, 2^64).
        Raises UsageError on an unknown or out-of-range one."""
        fam = kernels.family(self.family)
        free = {key: value for key, value in fam.params.items() if key not in self.fixed}
        for key, value in given.items():
            if key not in free:
                hint = suggestion(key, free) or (f"; it has {', '.join(free)}" if free else "; it has none")
                raise UsageError(f"recipe {self.name} has no parameter {key!r}{hint}")
            if not 0 <= value < 2**64:
                raise UsageError(f"parameter {key}={value} of recipe {self.name} is outside [0, 2^64)")
        params = {**fam.params, **self.fixed, **given}
        if "bits" in params and not (1 <= params["bits"] <= 64 and params["shift"] < params["bits"]):
            raise UsageError(f"recipe {self.name} needs 1 <= bits <= 64 and shift < bits, not {params}")
        return params

    def seed_limit(self, params: dict[str, int]) -> int:
        """Seeds are below this (at most 2^64)."""
        bits = self._seed_bits
        return 1 << (bits if bits is not None else kernels.family(self.family).seed_bits(params))

    @property
    def source(self) -> str:
        """The kernel text of the sieve."""
        return self.text("sieve.h")

    def text(self, method: str, options: tuple[str, ...] = ()) -> str:
        """The kernel text of a method, a file of kernels/; options: names that it has to define (see kernels/platform.h)."""
        # A seeding that takes 64-bit seeds needs the wide form even where the family's own seeding does not.
        bits = self._seed_bits or 0
        try:
            bits = max(bits, int(kernels.family(self.family)._seed_bits))
        except ValueError:
            bits = 64
        defines: dict[str, int | str] = {
            "SEED_BITS": 64 if bits > 32 else 32,
            "WORDS": self.map.words,
            "SEEDING": self.seeding,
            "MAPPING": self.map.function,
        }
        defines |= {"REJECTS": 1} if self.map.rejects else {}
        defines |= {"HINT": f"{self.map.function}_hint"} if self.map.hint else {}
        defines |= {"REFUSES": f"{self.map.function}_refuses"} if self.map.hint and self.map.rejects else {}
        defines |= {"LOW_WORD_FIRST": 1} if self.low_first else {}
        defines |= dict.fromkeys(options, 1)
        return kernels.source(self.family, tuple(defines.items()), method)

    def chances(self, draws: npt.NDArray[np.uint32], modulus: int, params: dict[str, int]) -> npt.NDArray[np.float64]:
        """P(a random output equals draw i), shape (k,): exact for a uniform word within the family's word range."""
        return self.between(draws, draws, modulus, params)

    def between(
        self, low: npt.NDArray[np.uint32], high: npt.NDArray[np.uint32], modulus: int, params: dict[str, int]
    ) -> npt.NDArray[np.float64]:
        """P(low <= a random output <= high), elementwise, for low <= high < modulus: exact as `chances` is."""
        values: npt.NDArray[np.float64] = high.astype(np.float64) - low + 1
        if self.map.uniform:
            return values / modulus
        least, most = kernels.family(self.family).word_range(params)
        # Words from 0 to below either end: some times all of [0, modulus), then the first few of it.
        (full, few), (full_before, few_before) = divmod(most + 1, modulus), divmod(least, modulus)
        part = np.clip(float(few) - low, 0, values) - np.clip(float(few_before) - low, 0, values)
        chances: npt.NDArray[np.float64] = (float(full - full_before) * values + part) / float(most + 1 - least)
        return chances

    def check_modulus(self, modulus: int) -> None:
        """Raises UsageError unless 2 <= modulus <= what the called function takes."""
        if not 2 <= modulus <= self.map.max_modulus:
            raise UsageError(f"--modulus {modulus}: recipe {self.name} takes 2 to {self.map.max_modulus}")


_REPLACED = "description of the replaced system"

_ORIG: dict[str, tuple[str, str, int | None, dict[str, int]]] = {
    "xorshift32": ("xorshift32", "seed", None, {}),
    "xorshift64": ("orig.xorshift64", "seed", None, {}),
    "xorshift128": ("xorshift128", "seed", None, {}),
    "minstd": ("minstd", "seed", None, {}),
    "lcg32": ("orig.lcg32", "seed", None, {}),
    "java_lcg": ("java", "seed_raw", None, {}),
    # Increment 2 * sequence + 1 = 1442695040888963407.
    "pcg32": ("pcg32", "seed_raw", 32, {"sequence": 721347520444481703}),
    "mt19937": ("mt19937", "seed", None, {}),
    "xoshiro256pp": ("xoshiro256pp", "seed_first_word", None, {}),
    "philox4x32": ("orig.philox4x32", "seed", None, {}),
    "sfc64": ("sfc64", "seed_first_word", None, {}),
}

# Known answers of seedings that only the replaced system has; the other orig.* share their family's.
_ORIG_KNOWN: dict[str, tuple[Known, ...]] = {
    "java_lcg": (
        (42, 1000, (453, 599, 394, 276, 318)),
        (12345, 4294967296, (454757875, 3428499331, 68972694, 2852015737, 184400468)),
        (4294967295, 4294967291, (3865518355, 1334370253, 4207187779, 1499331736, 2945619379)),
    ),
    "pcg32": (
        (42, 1000, (0, 493, 394, 919, 659)),
        (12345, 4294967296, (0, 1882538953, 1534987090, 1894995461, 2528358703)),
        (4294967295, 4294967291, (31, 2224047822, 2546688412, 3837674210, 1994938371)),
    ),
    "xoshiro256pp": (
        (42, 1000, (969, 81, 760, 503, 188)),
        (12345, 4294967296, (3126715408, 1059145316, 1888001112, 877722282, 2621660580)),
        (4294967295, 4294967291, (3987320447, 2667722036, 566005492, 940274141, 309023911)),
    ),
    "sfc64": (
        (42, 1000, (528, 908, 251, 142, 795)),
        (12345, 4294967296, (2135600207, 3658000036, 1789627658, 520629567, 1590736730)),
        (4294967295, 4294967291, (2522864838, 2491278239, 600444109, 3601457600, 383094130)),
    ),
}

_LANGUAGES = (
    Recipe("java.nextInt", "new java.util.Random(seed).nextInt(M)", "java", "java", "JDK 17",
           known=(
               (42, 1000, (130, 763, 248, 884, 970)),
               (12345, 1024, (370, 525, 955, 939, 853)),
               (1, 1073741825, (215764588, 880641847, 874970313, 446064254, 77814904)),
           )),
    Recipe("java.nextDouble", "(int)(new java.util.Random(seed).nextDouble() * M)", "java", "unit_26_27", "JDK 17",
           known=(
               (42, 1000, (727, 683, 308, 277, 665)),
               (12345, 1024, (370, 955, 853, 334, 241)),
           )),
    Recipe("python.randrange", "random.seed(seed); random.randrange(M)", "mt19937", "top_bits", "CPython 3.11",
           seeding="seed_by_array", _seed_bits=64,
           known=(
               (42, 1000, (654, 114, 25, 759, 281)),
               (4294967297, 1000, (236, 513, 524, 862, 424)),
               (12345, 2147483649, (1789368711, 43676229, 1282648386, 1582316135, 831769172)),
           )),
    Recipe("python.random", "random.seed(seed); int(random.random() * M)", "mt19937", "unit_27_26", "CPython 3.11",
           seeding="seed_by_array", _seed_bits=64,
           known=(
               (42, 1000, (639, 25, 275, 223, 736)),
               (4294967297, 1000, (230, 512, 414, 91, 605)),
           )),
    Recipe("numpy.RandomState.randint", "numpy.random.RandomState(seed).randint(M)", "mt19937", "masked", "NumPy 2",
           known=(
               (42, 1000, (102, 435, 860, 270, 106)),
               (12345, 1024, (482, 485, 285, 129, 420)),
               (1, 2147483649, (1791095845, 491263, 550290313, 1298508491, 630311759)),
           )),
    Recipe("php71.mt_rand", "mt_srand(seed); mt_rand(0, M - 1), PHP 7.1 and later", "mt19937", "php", "PHP 8.2",
           known=(
               (42, 1000, (542, 67, 876, 414, 26)),
               (12345, 1024, (482, 485, 285, 129, 420)),
               (1, 2147483649, (1791095845, 491263, 550290313, 1298508491, 630311759)),
           )),
)  # fmt: skip


@functools.cache
def recipes() -> dict[str, Recipe]:
    """Every recipe by name: languages first, then `orig.<family>`, then `<family>.mod`."""
    table = {r.name: r for r in _LANGUAGES}
    for name, (family, seeding, bits, fixed) in _ORIG.items():
        table[f"orig.{name}"] = Recipe(
            f"orig.{name}", f"{name} of the replaced system, output % M", family, "mod", _REPLACED, seeding, bits,
            fixed=fixed, known=_ORIG_KNOWN.get(name, ()),
        )  # fmt: skip
    for name, fam in kernels.families().items():
        if not name.startswith("orig."):
            table[f"{name}.mod"] = Recipe(f"{name}.mod", f"{fam.title}, output % M", name, "mod", fam.verified)
    return table


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises UsageError with a suggestion."""
    if name not in recipes():
        near = suggestion(name, recipes()) or (f" (did you mean '{name}.mod'?)" if name in kernels.families() else "")
        raise UsageError(f"there is no recipe {name!r}{near}; python -m prng_mpi lists them")
    return recipes()[name]
