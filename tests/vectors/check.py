"""Hold the vector files against values which others have published, and against their own form.

Run it by hand or through make_all.sh: python3 check.py. It needs the standard library only.
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PCG_DEMO = [0xA15C02B7, 0x7B47F409, 0xBA1D3330, 0x83D2F293, 0xBFA4784B, 0xCBED606E]
# (file, seed, first output number from 1, values, where they are published)
PUBLISHED = [
    ("xorshift32", 2463534242, 1, [723471715], "Marsaglia 2003, the default seed of the xorshift paper"),
    ("xorshift64", 88172645463325252, 4, [16431732851926010853, 8204724074003728306], "tests of others' libraries"),
    ("xorshift128", 123456789, 1, [3701687786], "Marsaglia 2003, the default state of xor128"),
    ("minstd", 1, 10000, [399268537], "C++ standard, [rand.predef]"),
    ("minstd0", 1, 10000, [1043618065], "C++ standard, [rand.predef]"),
    ("mt19937", 5489, 10000, [4123659995], "C++ standard, [rand.predef]"),
    ("mt19937", 5489, 1, [3499211612], "mt19937ar.c, the default seed"),
    ("pcg32", 42, 1, PCG_DEMO, "pcg-c-basic, pcg32-demo, round 1"),
    ("java", 42, 1, [3124862261], "description of the replaced system, 1.2"),
    ("splitmix64", 1234567, 1, [6457827717110365317, 3203168211198807973, 9817491932198370423], "Rosetta Code"),
    ("philox4x32", 0, 1, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8], "Random123, kat_vectors"),
    ("orig.minstd", 1, 10000, [399268537], "C++ standard, [rand.predef]"),
    ("orig.java_lcg", 42, 1, [16159453], "description of the replaced system, 1.2"),
    ("orig.philox4x32", 0, 1, [0x6627E8D5], "Random123, kat_vectors"),
]
# The replaced system's families that are the published ones, wherever both files have the seed.
SAME = ["xorshift32", "xorshift128", "minstd", "mt19937"]


def value_at(case: dict[str, Any], number: int) -> int:
    """Output `number`, counted from 1."""
    outputs: list[int] = case["outputs"]
    return outputs[number - 1] if number <= len(outputs) else case["at"][str(number)]


def check_form(path: Path, entry: dict[str, Any]) -> None:
    assert entry["name"] == path.stem, path
    assert entry["kind"] in ("family", "recipe") and entry["source"] and entry["made_by"], path
    recipe = entry["kind"] == "recipe"
    for case in entry["cases"]:
        assert len(case["outputs"]) == (64 if recipe else 16), (path, case["seed"])
        assert all(0 <= v < case.get("modulus", 2**64) for v in case["outputs"]), (path, case["seed"])
        assert recipe == ("modulus" in case) and recipe != ("at" in case), (path, case["seed"])


def main() -> None:
    entries = {path.stem: (path, json.loads(path.read_text())) for path in sorted(HERE.glob("*.json"))}
    for path, entry in entries.values():
        check_form(path, entry)
    for name, seed, number, values, where in PUBLISHED:
        case = next(c for c in entries[name][1]["cases"] if c["seed"] == seed)
        found = [value_at(case, number + i) for i in range(len(values))]
        assert found == values, f"{name}, seed {seed}: {found} instead of {values} ({where})"
    for name in SAME:
        ours, theirs = ({c["seed"]: c for c in entries[n][1]["cases"]} for n in (name, f"orig.{name}"))
        both = ours.keys() & theirs.keys()
        assert len(both) >= 5 and all(ours[seed] == theirs[seed] for seed in both), f"{name} and orig.{name} differ"
    cases = sum(len(entry["cases"]) for _, entry in entries.values())
    print(f"{len(entries)} files, {cases} cases, {len(PUBLISHED)} published values: in order")


main()
