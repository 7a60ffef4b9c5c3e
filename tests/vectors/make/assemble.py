"""Turn the lines of the producers into one JSON file per family or recipe.

Usage: assemble.py LINES_DIR OUT_DIR. LINES_DIR holds a file <script>.lines per producer, of tab-separated lines
    source  NAME  RUNTIME
    case    NAME  SEED  MODULUS|-  OUTPUT_10000|-  OUTPUT OUTPUT ...
NAME is `lcg:a,c,bits` for the parametric generator. A case which two producers made must be the same in both.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPLITMIX = "state = successive splitmix64 outputs of the seed"
PRACTRAND = "a = b = c = seed, counter = 1, 12 outputs discarded (PractRand, src/RNGs/sfc.cpp, seed(Uint64))"
NUMPY_SEED = "numpy.random.SeedSequence(seed)"
# name -> what the outputs are, how a seed becomes a state
FAMILIES = {
    "xorshift32": ("state after the step (Marsaglia 2003, shifts 13, 17, 5)", "state = seed, not 0"),
    "xorshift64": ("state after the step (Marsaglia 2003, shifts 13, 7, 17)", "state = seed, not 0"),
    "xorshift64star": ("state * 2685821657736338717 after the step (shifts 12, 25, 27)", "state = seed, not 0"),
    "xorshift128": (
        "w after the step (Marsaglia 2003, xor128)",
        "x = seed, y = 362436069, z = 521288629, w = 88675123",
    ),
    "xorshift128plus": (
        "s[0] + s[1] before the step, shifts 23, 18, 5 (Vigna, xorshift128plus.c of 2016)",
        f"s[0], s[1]: {SPLITMIX}",
    ),
    "minstd": ("state after the step (multiplier 48271)", "state = seed mod (2^31 - 1), 0 becomes 1"),
    "minstd0": ("state after the step (multiplier 16807)", "state = seed mod (2^31 - 1), 0 becomes 1"),
    "ansi_lcg": ("whole 31-bit state after the step, (1103515245 s + 12345) mod 2^31", "state = seed"),
    "lcg": ("whole state after the step, (a s + c) mod 2^bits", "state = seed"),
    "java": ("java.util.Random.nextInt() as an unsigned 32-bit word", "new java.util.Random(seed)"),
    "pcg32": ("XSH-RR 64/32", "pcg32_srandom_r(seed, 54)"),
    "splitmix64": ("64-bit word", "state = seed"),
    "mt19937": ("tempered 32-bit word", "init_genrand(seed)"),
    "mt19937_by_array": (
        "tempered 32-bit word",
        "init_by_array of the seed's 32-bit words, lowest first; 0 is one word",
    ),
    "mt19937_64": ("tempered 64-bit word", "std::mt19937_64(seed)"),
    "glibc_rand": ("rand(), 31 bits", "srand(seed)"),
    "drand48": ("whole 48-bit state after the step", "srand48(seed): state = seed 2^16 + 0x330E"),
    "pcg64": ("XSL-RR 128/64", NUMPY_SEED),
    "philox4x64": ("the four words of each Philox4x64-10 block in turn, the counter from 1", NUMPY_SEED),
    "alfg607": ("64-bit word, math/rand's Uint64()", "Go's rand.NewSource(seed)"),
    "tausworthe223": ("low 52 bits of the word, math.random() 2^52", "LuaJIT's math.randomseed(seed)"),
    "xoshiro256pp": ("64-bit word", SPLITMIX),
    "xoshiro256ss": ("64-bit word", SPLITMIX),
    "philox4x32": (
        "x0, x1, x2, x3 of each Philox4x32-10 block in turn",
        "key = (low 32 bits, high 32 bits) of the seed; 128-bit counter from 0",
    ),
    "sfc64": ("64-bit word", PRACTRAND),
    "mt19937php": ("tempered 32-bit word of the twist of PHP 5.2.1 to 7.0", "init_genrand(seed)"),
    "v8": ("Math.random() * 2^53, V8 13 to 14.1", "--random-seed"),
    "v8_plus": ("Math.random() * 2^53, V8 14.6", "--random-seed"),
    "jsc": ("Math.random() * 2^53, JavaScriptCore", "--forcedWeakRandomSeed"),
    "dotnet": ("Next() of a seeded System.Random", "new System.Random(seed)"),
    "mysql": ("RAND(seed) (2^30 - 1)", "RAND(seed)"),
}
# name -> what was called
RECIPES = {
    "java.nextInt": "new Random(seed).nextInt(modulus)",
    "java.nextDouble": "(int)(new Random(seed).nextDouble() * modulus)",
    "java17.nextIntRange": "new Random(seed).nextInt(-1, modulus - 1) + 1",
    "java.nextFloat": "(int)(new Random(seed).nextFloat() * modulus)",
    "python.randrange": "random.seed(seed); random.randrange(modulus)",
    "python.random": "random.seed(seed); int(random.random() * modulus)",
    "numpy.RandomState.randint": "RandomState(seed).randint(0, modulus), default dtype",
    "php71.mt_rand": "mt_srand(seed); mt_rand(0, modulus - 1)",
    "php71.rand": "srand(seed); rand(0, modulus - 1)",
    "php71.mt_rand_mod": "mt_srand(seed); mt_rand() % modulus",
    "php52.mt_rand": "mt_srand(seed, MT_RAND_PHP); mt_rand(0, modulus - 1)",
    "php52.mt_rand_mod": "mt_srand(seed, MT_RAND_PHP); mt_rand() % modulus",
    "v8_12.random": "Math.floor(Math.random() * modulus) of V8 12",
    "v8_13.random": "Math.floor(Math.random() * modulus) of V8 13",
    "v8_14.random": "Math.floor(Math.random() * modulus) of V8 14.6",
    "jsc.random": "Math.floor(Math.random() * modulus) of JavaScriptCore",
    "ruby.rand": "Random.new(seed).rand(modulus)",
    "ruby.rand_float": "(Random.new(seed).rand * modulus).to_i",
    "dotnet.Next": "new System.Random(seed).Next(modulus)",
    "mysql.RAND": "FLOOR(RAND(seed) * modulus)",
    "msvc.rand": "srand(seed); rand() % modulus",
    "delphi.Random": "RandSeed := seed; Random(modulus)",
    "vba.Rnd": "Int(Rnd * modulus) after the state seed",
    "numpy.RandomState.random_sample": "(int)(RandomState(seed).random_sample() * modulus)",
    "numpy.default_rng.integers": "default_rng(seed).integers(modulus), default dtype",
    "numpy.default_rng.random": "(int)(default_rng(seed).random() * modulus)",
    "numpy.Philox.integers": "Generator(Philox(seed)).integers(modulus), default dtype",
    "numpy.Philox.random": "(int)(Generator(Philox(seed)).random() * modulus)",
    "numpy.SFC64.integers": "Generator(SFC64(seed)).integers(modulus), default dtype",
    "numpy.SFC64.random": "(int)(Generator(SFC64(seed)).random() * modulus)",
    "torch.randint": "torch.manual_seed(seed); torch.randint(0, modulus, ())",
    "glibc.rand": "srand(seed); rand() % modulus",
    "glibc.rand_scaled": "srand(seed); (unsigned)(rand() / (RAND_MAX + 1.0) * modulus)",
    "glibc.lrand48": "srand48(seed); lrand48() % modulus",
    "glibc.drand48": "srand48(seed); (unsigned)(drand48() * modulus)",
    "libstdcxx.mt19937.uniform_int": "std::uniform_int_distribution<int>(0, modulus - 1)(std::mt19937(seed))",
    "libstdcxx.mt19937.uniform_real": "(unsigned)std::uniform_real_distribution<double>(0, modulus)(std::mt19937(seed))",
    "libstdcxx.mt19937_64.uniform_int": "std::uniform_int_distribution<int>(0, modulus - 1)(std::mt19937_64(seed))",
    "libstdcxx.default_random_engine.uniform_int": (
        "std::uniform_int_distribution<int>(0, modulus - 1)(std::default_random_engine(seed))"
    ),
    "perl.rand": "srand(seed); int(rand(modulus))",
    "go.Intn": "rand.New(rand.NewSource(seed)).Intn(modulus), math/rand",
    "lua51.random": "math.randomseed(seed); math.random(0, modulus - 1)",
    "lua53.random": "math.randomseed(seed); math.random(0, modulus - 1)",
    "lua54.random": "math.randomseed(seed); math.random(0, modulus - 1)",
    "luajit.random": "math.randomseed(seed); math.random(0, modulus - 1)",
}
ORIG = "raw output word, skip 0, offset 0; GPU semantics where CPU and GPU differed"


@dataclass
class Entry:
    sources: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    cases: dict[tuple[str, int, int], dict[str, Any]] = field(default_factory=dict)


def read_case(params: str, fields: list[str]) -> dict[str, Any]:
    seed, modulus, nth, outputs = fields
    case: dict[str, Any] = {"seed": int(seed)}
    if params:
        a, c, bits = params.split(",")
        case["params"] = {"a": int(a), "c": int(c), "bits": int(bits)}
    if modulus != "-":
        case["modulus"] = int(modulus)
    case["outputs"] = [int(v) for v in outputs.split(" ")]
    if nth != "-":
        case["at"] = {"10000": int(nth)}
    return case


def read(lines_dir: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for path in sorted(lines_dir.glob("*.lines")):
        script = path.name.removesuffix(".lines")
        for line in path.read_text(encoding="ascii").splitlines():
            kind, name, *rest = line.split("\t")
            name, _, params = name.partition(":")
            entry = entries.setdefault(name, Entry())
            if kind == "source":
                entry.sources += [s for s in rest if s not in entry.sources]
                entry.scripts += [s for s in [f"make/{script}"] if s not in entry.scripts]
                continue
            case = read_case(params, rest)
            key = (params, case.get("modulus", 0), case["seed"])
            if entry.cases.setdefault(key, case) != case:
                raise SystemExit(f"{name}, case {key}: two producers disagree; the last is {script}")
    return entries


def render(name: str, entry: Entry) -> str:
    orig = (ORIG, None) if name.startswith("orig.") else (RECIPES.get(name), None)
    what, seeding = FAMILIES.get(name, orig)
    head: dict[str, Any] = {
        "name": name,
        "kind": "recipe" if name in RECIPES else "family",
        "source": "; ".join(entry.sources),
        "made_by": ", ".join(entry.scripts),
        "outputs_are": what,
    }
    if seeding:
        head["seeding"] = seeding
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    cases = ",\n".join("  " + json.dumps(entry.cases[key]) for key in sorted(entry.cases))
    return "{\n" + "\n".join(lines) + '\n "cases": [\n' + cases + "\n ]\n}\n"


def main(lines_dir: Path, out_dir: Path) -> None:
    entries = read(lines_dir)
    missing = (FAMILIES.keys() | RECIPES.keys()) - entries.keys()
    if missing:
        raise SystemExit(f"no producer made: {', '.join(sorted(missing))}")
    for name, entry in entries.items():
        (out_dir / f"{name}.json").write_text(render(name, entry), encoding="ascii")
    print(f"{len(entries)} files in {out_dir}")


main(Path(sys.argv[1]), Path(sys.argv[2]))
