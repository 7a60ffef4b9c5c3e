"""Floor 0: recipes, what a caller really wrote: family + seeding + words per output + mapping to [0, M) + version."""

from __future__ import annotations

import bisect
import dataclasses
import functools
from collections.abc import Callable
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
    # How many of a word's high bits are divided by M; a rejection is a value above the last full multiple of it.
    bits: int | None = None
    hint: bool = False
    # Where a value rises with its word: how many values the word's lead takes, its high bits, which the glance looks at.
    leads: int | None = None
    # Value of (those bits of) a word and M, where it never falls as the word grows and the words are too few to be uniform.
    rising: Callable[[int, int], int] | None = None
    # The word at which the values begin again, where one does.
    again: int | None = None


def _single24(x: int, m: int) -> int:
    return int(np.float32(x) * (np.float32(m) * np.float32(2.0**-24)))


MAPPINGS = {
    "mod": Mapping("map_mod", uniform=False, hint=True),
    "java": Mapping("map_java", rejects=True, max_modulus=2**31 - 1, bits=31, hint=True),
    "java_range": Mapping("map_java_range", rejects=True, max_modulus=2**31 - 1, bits=31, hint=True),
    "top_bits": Mapping("map_top_bits", rejects=True, max_modulus=2**32 - 1),
    "masked": Mapping("map_masked", rejects=True),
    "php": Mapping("map_php", rejects=True, bits=32, hint=True),
    "mod31": Mapping("map_mod31", uniform=False, max_modulus=2**31, bits=31, hint=True),
    "php52": Mapping(
        "map_php52", uniform=False, max_modulus=2**31, bits=31, leads=2**32, rising=lambda x, m: int(m * (x / 2**31))
    ),
    "single24": Mapping("map_single24", uniform=False, max_modulus=2**24, bits=24, leads=2**32, rising=_single24),
    # With a Long, above 32767, VBA reckons in doubles.
    "vba": Mapping("map_single24", uniform=False, max_modulus=2**15 - 1, bits=24, leads=2**32, rising=_single24),
    "unit52": Mapping("map_unit52", uniform=False, bits=52, leads=2**32, rising=lambda x, m: int(x * 2.0**-52 * m)),
    "unit53": Mapping("map_unit53", leads=2**32),
    "dotnet": Mapping(
        "map_dotnet",
        uniform=False,
        max_modulus=2**31 - 1,
        leads=2**31 - 1,
        rising=lambda x, m: int(x * (1.0 / (2**31 - 1)) * m),
    ),
    "mysql": Mapping("map_mysql", uniform=False, leads=2**30 - 1, rising=lambda x, m: int(x / (2**30 - 1) * m)),
    "multiply": Mapping("map_multiply", uniform=False, leads=2**32, rising=lambda x, m: x * m >> 32),
    "unit_27_26": Mapping("map_unit_27_26", words=2, leads=2**32),
    "unit_26_27": Mapping("map_unit_26_27", words=2, max_modulus=2**31 - 1, leads=2**32),
    "lemire": Mapping("map_lemire", rejects=True, bits=32, hint=True),
    "lemire64": Mapping("map_lemire64", rejects=True, bits=64),
    "divided": Mapping("map_divided", rejects=True, max_modulus=2**31 - 2),
    "go": Mapping("map_go", rejects=True, max_modulus=2**31 - 1, bits=31, hint=True),
    "canonical": Mapping("map_canonical", words=2, max_modulus=2**31, leads=2**32),
    "top53": Mapping("map_top53", leads=2**32),
    "scaled31": Mapping(
        "map_scaled31", uniform=False, max_modulus=2**31, leads=2**31, rising=lambda x, m: int(x * 2.0**-31 * m)
    ),
    "scaled48": Mapping("map_scaled48", uniform=False, leads=2**32, rising=lambda x, m: int(x * 2.0**-48 * m)),
    "scaled52": Mapping("map_scaled52", uniform=False, leads=2**32, rising=lambda x, m: int(x * 2.0**-52 * m)),
    "rand_max": Mapping(
        "map_rand_max",
        uniform=False,
        max_modulus=2**31 - 1,
        leads=2**31 - 1,
        rising=lambda x, m: int(x / (2**31 - 1) * m),
        again=2**31 - 1,
    ),
}


@dataclass(frozen=True)
class Recipe:
    """The unit users name. `verified`: the runtime or text its vectors come from; `seed_bits` None: the family's; `halves`:
    a word of 64 bits serves two calls, its low half first; `max_modulus` None: the mapping's."""

    name: str
    title: str
    family: str
    mapping: str
    verified: str
    seeding: str = "seed"
    _seed_bits: int | None = None
    low_first: bool = False
    halves: bool = False
    max_modulus: int | None = None
    fixed: dict[str, int] = field(default_factory=dict)
    known: tuple[Known, ...] = ()

    @property
    def map(self) -> Mapping:
        found = MAPPINGS[self.mapping]
        return found if self.max_modulus is None else dataclasses.replace(found, max_modulus=self.max_modulus)

    @property
    def word_bits(self) -> int:
        """Width of the words that the mapping sees."""
        return 32 if self.halves else kernels.family(self.family).word_bits

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
        defines |= {"LEAD": f"{self.map.function}_lead"} if self.map.leads else {}
        defines |= {"STRAIN": f"{self.map.function}_strain"} if self.map.hint and self.map.rejects else {}
        defines |= {"LOW_WORD_FIRST": 1} if self.low_first else {}
        defines |= {"HALVES": 1} if self.halves else {}
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
        dropped = most.bit_length() - self.map.bits if self.map.bits else 0
        least, most = least >> dropped, most >> dropped
        if (rising := self.map.rising) is not None:
            again = self.map.again or most + 1
            stretches = (range(least, again), range(most + 1 - again))

            def below(value: int) -> int:
                # Words that give less.
                return sum(bisect.bisect_left(words, value, key=lambda x: rising(x, modulus)) for words in stretches)

            words = [below(b + 1) - below(a) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
            return np.array(words, np.float64) / float(most + 1 - least)
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
    Recipe("java17.nextIntRange", "new java.util.Random(seed).nextInt(a, a + M) or .ints(n, a, a + M), JDK 17 and later", "java",
           "java_range", "JDK 17",
           known=(
               (42, 1000, (130, 763, 248, 884, 970)),
               (12345, 1024, (214, 817, 290, 888, 398)),
               (281474976710655, 2147483647, (577549913, 943952225, 26349579, 1176895439, 1421815604)),
           )),
    Recipe("java.nextFloat", "(int)(new java.util.Random(seed).nextFloat() * M)", "java", "single24", "JDK 17",
           known=(
               (42, 1000, (727, 54, 683, 47, 308)),
               (12345, 1024, (370, 525, 955, 939, 853)),
               (281474976710655, 16777216, (4512108, 7374626, 205856, 9194495, 11107934)),
               (1, 1000003, (730880, 100473, 410082, 407441, 207715)),
           )),
    Recipe("python.randrange", "random.seed(seed); random.randrange(M); choice and shuffle draw the same way", "mt19937",
           "top_bits", "CPython 3.11",
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
    Recipe("php71.rand", "srand(seed); rand(0, M - 1) or rand(M - 1, 0), PHP 7.1 and later", "mt19937", "php", "PHP 8.2",
           known=(
               (42, 1000, (542, 67, 876, 414, 26)),
               (12345, 1024, (482, 485, 285, 129, 420)),
               (4294967295, 4294967296, (419326371, 479346978, 3918654476, 2416749639, 3388880820)),
               (1, 4294967295, (1791095845, 4282876139, 3093770124, 4005303368, 491263)),
           )),
    Recipe("php71.mt_rand_mod", "mt_srand(seed); mt_rand() % M, PHP 7.1 and later; --modulus 2147483648 for mt_rand() itself",
           "mt19937", "mod31", "PHP 8.2",
           known=(
               (42, 1000, (771, 33, 438, 207, 13)),
               (12345, 1024, (241, 754, 654, 64, 722)),
               (4294967295, 2147483648, (209663185, 239673489, 1959327238, 1208374819, 1694440410)),
               (1, 2147483647, (895547922, 2141438069, 1546885062, 2002651684, 245631)),
           )),
    Recipe("php52.mt_rand", "mt_srand(seed); mt_rand(0, M - 1), PHP 5.2.1 to 7.0", "mt19937php", "php52",
           "PHP 8.2, MT_RAND_PHP",
           known=(
               (42, 1000, (630, 796, 950, 814, 273)),
               (12345, 1024, (77, 117, 697, 895, 188)),
               (4294967295, 2147483648, (209663185, 1896011239, 1959327238, 927834965, 464842412)),
               (1, 2147483647, (1244335971, 15217922, 1546885061, 2002651683, 2135443976)),
           )),
    Recipe("php52.mt_rand_mod", "mt_srand(seed); mt_rand() % M, PHP 5.2.1 to 7.0; --modulus 2147483648 for mt_rand() itself",
           "mt19937php", "mod31", "PHP 8.2, MT_RAND_PHP",
           known=(
               (42, 1000, (493, 33, 438, 97, 251)),
               (12345, 1024, (391, 900, 1016, 310, 722)),
               (4294967295, 2147483648, (209663185, 1896011239, 1959327238, 927834965, 464842412)),
               (1, 2147483647, (1244335972, 15217923, 1546885062, 2002651684, 2135443977)),
           )),
    Recipe("v8_12.random", "Math.floor(Math.random() * M), V8 12 and earlier: Node 12 to 23, --random-seed=seed", "v8", "unit52",
           "Node.js 22",
           known=(
               (42, 1000, (793, 525, 351, 963, 539)),
               (12345, 1024, (926, 578, 63, 481, 1021)),
               (18446744073709551615, 4294967296, (4280319604, 3786172722, 2873300331, 1613220949, 3456137226)),
               (1, 4294967295, (632240932, 1177396388, 3811968768, 4200967870, 34974774)),
           )),
    Recipe("v8_13.random", "Math.floor(Math.random() * M), V8 13 to 14.1: Node 24 and 25, --random-seed=seed", "v8", "unit53",
           "Node.js 24",
           known=(
               (42, 1000, (793, 525, 351, 963, 539)),
               (12345, 1024, (926, 578, 63, 481, 1021)),
               (18446744073709551615, 4294967296, (4280319604, 3786172722, 2873300331, 1613220949, 3456137226)),
               (1, 4294967295, (632240932, 1177396388, 3811968768, 4200967870, 34974774)),
           )),
    Recipe("v8_14.random", "Math.floor(Math.random() * M), V8 14.6: Node 26, --random-seed=seed", "v8_plus", "unit53",
           "Node.js 26",
           known=(
               (42, 1000, (615, 319, 877, 314, 502)),
               (12345, 1024, (803, 480, 641, 544, 479)),
               (18446744073709551615, 4294967296, (2261438253, 3771525030, 2364505757, 191553985, 774390880)),
               (1, 4294967295, (1467097787, 1809637321, 694397861, 3717969343, 4235942644)),
           )),
    Recipe("jsc.random", "Math.floor(Math.random() * M), JavaScriptCore: Safari, WebKit, Bun", "jsc", "unit53",
           "WebKitGTK 2.50",
           known=(
               (42, 1000, (0, 328, 656, 656, 330)),
               (12345, 1024, (0, 456, 912, 960, 505)),
               (4294967295, 4294967296, (4294838019, 4253155075, 2063841536, 4286708416, 70398439)),
               (1, 4294967295, (4, 33554435, 67108868, 67125248, 37765152)),
           )),
    Recipe("ruby.rand", "Random.new(seed).rand(M), or srand(seed); rand(M)", "mt19937", "masked", "Ruby 3.1",
           known=(
               (42, 1000, (102, 435, 860, 270, 106)),
               (12345, 1024, (482, 485, 285, 129, 420)),
               (4294967295, 4294967296, (419326371, 479346978, 3918654476, 2416749639, 3388880820)),
               (1, 2147483649, (1791095845, 491263, 550290313, 1298508491, 630311759)),
           )),
    Recipe("ruby.rand_float", "(Random.new(seed).rand * M).to_i", "mt19937", "unit_27_26", "Ruby 3.1",
           known=(
               (42, 1000, (374, 950, 731, 598, 156)),
               (12345, 1024, (951, 323, 188, 209, 581)),
               (4294967295, 2147483649, (209663185, 1959327241, 1694440409, 1675044973, 38525156)),
           )),
    Recipe("dotnet.Next", "new System.Random(seed).Next(M), or (int)(NextDouble() * M)", "dotnet", "dotnet",
           "Mono 6.8, .NET Core 3.1",
           known=(
               (42, 1000, (668, 140, 125, 522, 168)),
               (12345, 1024, (68, 71, 793, 523, 816)),
               (2147483647, 2147483647, (1559595546, 1755192844, 1649316172, 1198642031, 442452829)),
           )),
    Recipe("mysql.RAND", "FLOOR(RAND(seed) * M) in a query's rows, MySQL and MariaDB", "mysql", "mysql", "MariaDB 10.11",
           known=(
               (42, 1000, (662, 151, 769, 392, 654)),
               (12345, 1024, (681, 934, 580, 98, 800)),
               (4294967295, 4294967296, (3887105699, 1589779229, 582546476, 2438362122, 1854236721)),
               (1, 1073741825, (435298733, 935888600, 152321360, 101424682, 50159363)),
           )),
    Recipe("msvc.rand", "srand(seed); rand() % M, Microsoft C (seeds that differ by 2^31 are one)", "lcg", "mod",
           "from source", fixed={"a": 214013, "c": 2531011, "bits": 31, "shift": 16},
           known=(
               (42, 1000, (175, 400, 869, 56, 83)),
               (12345, 1024, (416, 732, 195, 621, 708)),
               (2147483647, 32768, (35, 29739, 3374, 11141, 31308)),
               (1, 32767, (41, 18467, 6334, 26500, 19169)),
           )),
    Recipe("delphi.Random", "RandSeed := seed; Random(M), Delphi", "lcg", "multiply", "from source",
           fixed={"a": 134775813, "c": 1, "bits": 32, "shift": 0},
           known=(
               (42, 1000, (317, 877, 205, 156, 19)),
               (12345, 1024, (394, 296, 81, 566, 648)),
               (4294967295, 2147483647, (2080095741, 433171958, 1115652048, 283984661, 1877304683)),
           )),
    Recipe("vba.Rnd", "Int(Rnd * M), Visual Basic 6 and VBA: the seed is the 24-bit state, 327680 at a program's start", "lcg",
           "vba", "from source", fixed={"a": 1140671485, "c": 12820163, "bits": 24, "shift": 0},
           known=(
               (42, 1000, (315, 674, 369, 907, 611)),
               (12345, 1024, (924, 81, 856, 916, 173)),
               (16777215, 32767, (25388, 7570, 31382, 5864, 8156)),
           )),
    Recipe("numpy.RandomState.random_sample",
           "int(numpy.random.RandomState(seed).random_sample() * M)",
           "mt19937", "unit_27_26", "NumPy 2",
           known=(
               (42, 1000, (374, 950, 731, 598, 156)),
               (12345, 1024, (951, 323, 188, 209, 581)),
               (4294967295, 4294967296, (419326371, 3918654482, 3388880816, 3350089944, 77050313)),
           )),
    Recipe("numpy.default_rng.integers", "numpy.random.default_rng(seed).integers(M)", "pcg64", "lemire", "NumPy 2",
           halves=True,
           known=(
               (42, 1000, (89, 773, 654, 438, 433)),
               (12345, 1024, (715, 232, 807, 324, 209)),
               (18446744073709551615, 1431655766, (973564115, 1360180851, 1210195452, 513164824, 10598664)),
           )),
    Recipe("numpy.default_rng.random",
           "int(numpy.random.default_rng(seed).random() * M)",
           "pcg64", "top53", "NumPy 2",
           known=(
               (42, 1000, (773, 438, 858, 697, 94)),
               (12345, 1024, (232, 324, 816, 692, 400)),
               (18446744073709551615, 4294967296, (2920692346, 3630586357, 31795993, 3842140847, 553901464)),
           )),
    Recipe("numpy.Philox.integers",
           "numpy.random.Generator(Philox(seed)).integers(M)",
           "philox4x64", "lemire", "NumPy 2",
           halves=True,
           known=(
               (42, 1000, (925, 86, 140, 141, 407)),
               (12345, 1024, (898, 430, 629, 668, 274)),
               (18446744073709551615, 1431655766, (847842098, 1347959840, 1328031838, 1109064894, 925236582)),
           )),
    Recipe("numpy.Philox.random",
           "int(numpy.random.Generator(Philox(seed)).random() * M)",
           "philox4x64", "top53", "NumPy 2",
           known=(
               (42, 1000, (86, 141, 270, 874, 170)),
               (12345, 1024, (430, 668, 443, 551, 720)),
               (18446744073709551615, 4294967296, (2543526294, 4043879521, 3984095515, 2775709746, 1704789574)),
           )),
    Recipe("numpy.SFC64.integers", "numpy.random.Generator(SFC64(seed)).integers(M)", "sfc64", "lemire", "NumPy 2",
           seeding="seed_sequenced", halves=True,
           known=(
               (42, 1000, (245, 529, 427, 378, 609)),
               (12345, 1024, (620, 195, 991, 313, 950)),
               (18446744073709551615, 1431655766, (1012137817, 960757132, 218999288, 731126224, 243275779)),
           )),
    Recipe("numpy.SFC64.random",
           "int(numpy.random.Generator(SFC64(seed)).random() * M)",
           "sfc64", "top53", "NumPy 2",
           seeding="seed_sequenced",
           known=(
               (42, 1000, (529, 378, 945, 421, 641)),
               (12345, 1024, (195, 313, 503, 587, 969)),
               (18446744073709551615, 4294967296, (205613844, 2882271397, 2193378672, 3591873800, 466279752)),
           )),
    Recipe("torch.randint",
           "torch.manual_seed(seed); torch.randint(0, M, ()) on the CPU",
           "mt19937", "mod", "PyTorch 2.13",
           max_modulus=2**28 - 1,
           known=(
               (42, 1000, (542, 67, 876, 414, 26)),
               (12345, 1024, (482, 485, 285, 129, 420)),
               (4294967295, 268435455, (150890916, 210911523, 160558106, 830544, 167655360)),
           )),
    Recipe("glibc.rand", "srand(seed); rand() % M, C on glibc", "glibc_rand", "mod", "glibc 2.36",
           known=(
               (42, 1000, (166, 740, 881, 241, 12)),
               (12345, 1024, (71, 405, 1005, 827, 609)),
               (4294967295, 2147483648, (254925627, 1205188300, 366127624, 1401405153, 76053476)),
           )),
    Recipe("glibc.rand_scaled",
           "srand(seed); (int)(rand() / (RAND_MAX + 1.0) * M), C on glibc",
           "glibc_rand", "scaled31", "glibc 2.36",
           known=(
               (42, 1000, (33, 329, 690, 422, 206)),
               (12345, 1024, (182, 409, 170, 217, 63)),
               (4294967295, 2147483648, (254925627, 1205188300, 366127624, 1401405153, 76053476)),
           )),
    Recipe("glibc.lrand48", "srand48(seed); lrand48() % M, C", "drand48", "mod", "glibc 2.36",
           fixed={"shift": 17},
           known=(
               (42, 1000, (263, 821, 827, 6, 913)),
               (12345, 1024, (144, 625, 561, 245, 923)),
               (4294967295, 2147483648, (644300343, 97305740, 768640432, 869611528, 1265120434)),
           )),
    Recipe("glibc.drand48", "srand48(seed); (int)(drand48() * M), C", "drand48", "scaled48", "glibc 2.36",
           fixed={"shift": 0},
           known=(
               (42, 1000, (744, 342, 111, 422, 81)),
               (12345, 1024, (230, 941, 211, 742, 749)),
               (4294967295, 2147483648, (644300343, 97305740, 768640432, 869611528, 1265120434)),
           )),
    Recipe("libstdcxx.mt19937.uniform_int",
           "std::mt19937(seed), uniform_int_distribution<int>(0, M - 1), libstdc++ 10 and later",
           "mt19937", "lemire", "libstdc++ 12",
           max_modulus=2**31,
           known=(
               (42, 1000, (374, 796, 950, 183, 731)),
               (12345, 1024, (951, 911, 323, 133, 188)),
               (4294967295, 1431655766, (805583213, 1129626940, 753510933, 1116696647, 1103255038)),
           )),
    Recipe("libstdcxx.mt19937.uniform_real",
           "std::mt19937(seed), (int)uniform_real_distribution<double>(0, M), libstdc++",
           "mt19937", "canonical", "libstdc++ 12",
           low_first=True,
           known=(
               (42, 1000, (796, 183, 779, 596, 445)),
               (12345, 1024, (911, 133, 40, 846, 544)),
               (4294967295, 2147483647, (239673488, 1208374819, 1130266399, 1654882556, 608944015)),
           )),
    Recipe("libstdcxx.mt19937_64.uniform_int",
           "std::mt19937_64(seed), uniform_int_distribution<int>(0, M - 1), libstdc++ 10 and later",
           "mt19937_64", "lemire64", "libstdc++ 12",
           max_modulus=2**31,
           known=(
               (42, 1000, (755, 639, 752, 136, 903)),
               (12345, 1024, (366, 410, 705, 573, 588)),
               (18446744073709551615, 1431655766, (37099731, 1027802541, 55043959, 735914699, 1341034385)),
           )),
    Recipe("libstdcxx.default_random_engine.uniform_int",
           "std::default_random_engine(seed), uniform_int_distribution<int>(0, M - 1), libstdc++",
           "minstd0", "divided", "libstdc++ 12",
           known=(
               (42, 1000, (0, 524, 735, 263, 376)),
               (12345, 1024, (98, 854, 970, 36, 11)),
               (4294967295, 1073741825, (16806, 282475248, 984943657, 470211271, 101027543)),
           )),
    Recipe("perl.rand", "srand(seed); int(rand(M)), Perl 5.20 and later", "drand48", "scaled48", "Perl 5.36",
           fixed={"shift": 0},
           known=(
               (42, 1000, (744, 342, 111, 422, 81)),
               (12345, 1024, (230, 941, 211, 742, 749)),
               (4294967295, 4294967295, (1288600687, 194611480, 1537280863, 1739223056, 2530240867)),
           )),
    Recipe("go.Intn", "rand.New(rand.NewSource(seed)).Intn(M), math/rand", "alfg607", "go", "Go 1.19",
           known=(
               (42, 1000, (305, 987, 668, 750, 423)),
               (12345, 1024, (75, 607, 368, 604, 857)),
               (4294967295, 1073741825, (939984059, 911902081, 140954425, 336122540, 208240456)),
           )),
    Recipe("lua51.random",
           "math.randomseed(seed); math.random(0, M - 1), Lua 5.1 on glibc",
           "glibc_rand", "rand_max", "Lua 5.1.5",
           known=(
               (42, 1000, (33, 329, 690, 422, 206)),
               (12345, 1024, (182, 409, 170, 217, 63)),
               (2147483647, 2147483647, (1065668062, 2142264300, 1066566375, 1064012770, 2141034222)),
           )),
    Recipe("lua53.random",
           "math.randomseed(seed); math.random(0, M - 1), Lua 5.3 on glibc",
           "glibc_rand", "scaled31", "Lua 5.3.6",
           seeding="seed_and_discard",
           known=(
               (42, 1000, (329, 690, 422, 206, 250)),
               (12345, 1024, (409, 170, 217, 63, 55)),
               (4294967295, 2147483647, (1205188299, 366127623, 1401405152, 76053475, 1604170157)),
           )),
    Recipe("lua54.random",
           "math.randomseed(seed); math.random(0, M - 1), Lua 5.4",
           "xoshiro256ss", "masked", "Lua 5.4.4",
           seeding="seed_lua",
           known=(
               (42, 1000, (741, 49, 331, 341, 949)),
               (12345, 1024, (105, 374, 14, 118, 254)),
               (9223372036854775807, 2147483647, (1171608633, 1491451752, 1263118056, 107559245, 1214443337)),
           )),
    Recipe("luajit.random",
           "math.randomseed(seed); math.random(0, M - 1), LuaJIT",
           "tausworthe223", "scaled52", "LuaJIT 2.1",
           known=(
               (42, 1000, (956, 8, 538, 434, 719)),
               (12345, 1024, (366, 210, 810, 427, 52)),
               (4294967295, 2147483647, (2136574116, 2090909993, 1252106092, 56251176, 941285568)),
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
