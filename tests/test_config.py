"""Layered configuration: which layer wins, where a value came from, what is refused, and the way to TOML and back."""

from __future__ import annotations

import math
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prng_mpi.config import (
    Loaded,
    describe,
    from_toml,
    load,
    option,
    parse_int,
    parse_seconds,
    parse_size,
    show,
    to_toml,
)
from prng_mpi.errors import UsageError


def minutes(text: str) -> float:
    if not text.endswith("m"):
        raise ValueError(f"{text!r} does not end in m")
    return 60 * float(text[:-1])


@dataclass(frozen=True)
class Example:
    """An example of a step at 100 % of its size."""

    STEP: ClassVar[str] = "example"

    seed_end: int = option(2**32, "end of the seeds, excluded", section="Search", minimum=1)
    threshold: float = option(0.5, "share of matches, 50 %", section="Search", maximum=1)
    recipe: str = option("java.nextInt", "what a caller wrote", section="Search")
    sessions: tuple[str, ...] = option((), "sessions to keep", section="Input")
    primes: tuple[int, ...] = option((2, 3), "numbers", section="Input")
    device: str = option("auto", "what computes", choices=("auto", "cpu", "cuda"))
    params: dict[str, int] = option({"a": 5}, "parameters", flag="--param")
    output_dir: Path = option(Path("out"), "folder", env="PRNG_MPI_OUT")
    resume: bool = option(True, "go on")
    time_limit: float | None = option(None, "time, such as 2m", parse=minutes)
    note: str | None = option(None, "words")


def refused(*argv: str, env: dict[str, str] | None = None, file: str | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        loaded(*argv, env=env, file=file)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and len(message) < 300
    return message


def loaded(*argv: str, env: dict[str, str] | None = None, file: str | None = None) -> Loaded[Example]:
    flags = list(argv) if file is None else ["--config", "run.toml", *argv]
    return load(Example, flags, env or {}, lambda path: {"run.toml": file or ""}[path])


def one(*argv: str, env: dict[str, str] | None = None, file: str | None = None) -> Example:
    return loaded(*argv, env=env, file=file).value


def test_defaults_stand_alone() -> None:
    found = load(Example, [], {"PATH": "x"})
    assert found.value == Example()
    assert set(found.origins.values()) == {"default"} and set(found.origins) == {e.name for e in describe(Example)}
    assert found.file is None


LAYERS: dict[str, tuple[dict[str, Any], str]] = {
    "file": ({"file": "seed_end = 1"}, "file run.toml"),
    "table": ({"file": "[example]\nseed_end = 2"}, "file run.toml"),
    "environment": ({"env": {"PRNG_MPI_SEED_END": "3"}}, "environment PRNG_MPI_SEED_END"),
    "flag": ({"argv": ("--seed-end", "4")}, "flag"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_beats_the_default(name: str) -> None:
    given_, origin = LAYERS[name]
    found = loaded(*given_.get("argv", ()), env=given_.get("env"), file=given_.get("file"))
    assert found.value.seed_end == list(LAYERS).index(name) + 1
    assert found.origins.pop("seed_end") == origin
    assert set(found.origins.values()) == {"default"}


@pytest.mark.parametrize(("low", "high"), list(combinations(LAYERS, 2)))
def test_layers_pairwise(low: str, high: str) -> None:
    both = [LAYERS[low][0], LAYERS[high][0]]
    files = [layer["file"] for layer in both if "file" in layer]
    argv = [word for layer in both for word in layer.get("argv", ())]
    env = {key: value for layer in both for key, value in layer.get("env", {}).items()}
    found = loaded(*argv, env=env, file="\n".join(files) if files else None)
    assert found.value.seed_end == list(LAYERS).index(high) + 1
    assert found.origins["seed_end"] == LAYERS[high][1]


def test_a_layer_replaces_lists_and_tables_whole() -> None:
    file = 'sessions = ["a"]\nparams = {m = 1}\n'
    assert one(file=file).sessions == ("a",) and one(file=file).params == {"m": 1}
    assert one("--sessions", "b", "--param", "c=2", file=file) == Example(sessions=("b",), params={"c": 2})
    assert one(env={"PRNG_MPI_SESSIONS": "", "PRNG_MPI_PARAMS": ""}, file=file) == Example(params={})


def test_texts_of_every_type() -> None:
    argv = ["--seed-end=2**40", "--threshold", "1e-3", "--recipe", "", "--sessions", "a, b", "--sessions", "c"]
    argv += ["--primes", "5,0x7", "--device", "cpu", "--param", "a=1664525,c=-1", "--param", "m=2**64"]
    argv += ["--output-dir", "x/y", "--no-resume", "--time-limit", "2m", "--note", "a = b, c"]
    expected = Example(
        seed_end=2**40,
        threshold=0.001,
        recipe="",
        sessions=("a", "b", "c"),
        primes=(5, 7),
        device="cpu",
        params={"a": 1664525, "c": -1, "m": 2**64},
        output_dir=Path("x/y"),
        resume=False,
        time_limit=120.0,
        note="a = b, c",
    )
    assert one(*argv) == expected
    names = [("SESSIONS", "a,b,c"), ("PRIMES", "5,7"), ("PARAMS", "a=1664525, c=-1, m=0x10000000000000000")]
    names += [("SEED_END", "1_099_511_627_776"), ("THRESHOLD", ".001"), ("RECIPE", ""), ("DEVICE", "cpu")]
    names += [("OUT", "x/y"), ("RESUME", "No"), ("TIME_LIMIT", "2m"), ("NOTE", "a = b, c")]
    assert one(env={f"PRNG_MPI_{name}": text for name, text in names}) == expected


def test_file_types_and_kebab_keys() -> None:
    file = (
        'seed-end = 4.3e9\nthreshold = 1\noutput-dir = "x"\nresume = false\ntime_limit = 90\nnote = "none"\n'
        'primes = ["2**70", 9007199254740993.0]\n[params]\na = "0x10"\n'
    )
    value = one(file=file)
    assert value.seed_end == 4_300_000_000 and type(value.seed_end) is int
    assert type(value.threshold) is float and type(value.time_limit) is float
    assert (value.output_dir, value.resume, value.time_limit, value.note) == (Path("x"), False, 90.0, "none")
    assert (value.primes, value.params) == ((2**70, 2**53 + 1), {"a": 16})
    assert one(file='time_limit = "1.5m"').time_limit == 90.0


def test_tables_of_other_steps_are_left_to_them() -> None:
    assert one(file="[predict]\nanything = 1\n[example]\nseed_end = 9") == Example(seed_end=9)


def test_none_unsets_what_a_lower_layer_set() -> None:
    found = loaded("--note", "none", env={"PRNG_MPI_TIME_LIMIT": "none"}, file='note = "x"\ntime_limit = 5')
    assert (found.value.note, found.value.time_limit) == (None, None)
    assert (found.origins["note"], found.origins["time_limit"]) == ("flag", "environment PRNG_MPI_TIME_LIMIT")
    assert one("--recipe", "none").recipe == "none"


def test_the_last_scalar_flag_counts() -> None:
    assert one("--seed-end", "5", "--seed-end", "6", "--no-resume", "--resume") == Example(seed_end=6)


def test_the_file_is_named_by_flag_before_environment(tmp_path: Path) -> None:
    first, second = tmp_path / "1.toml", tmp_path / "2.toml"
    first.write_text("\ufeffseed_end = 11")
    second.write_text("seed_end = 12")
    env = {"PRNG_MPI_CONFIG": str(first)}
    assert load(Example, [], env).value.seed_end == 11
    found = load(Example, ["--config", str(second)], env)
    assert (found.value.seed_end, found.file) == (12, str(second))
    assert found.origins["seed_end"] == f"file {second}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-5", -5),
        (" 12 ", 12),
        ("1_000_000", 10**6),
        ("0x1_F", 31),
        ("-0x10", -16),
        ("0b101", 5),
        ("2**32", 2**32),
        ("2**32-1", 2**32 - 1),
        ("-2**31 + 7", -(2**31) + 7),
        ("2**64", 2**64),
        ("1e6", 10**6),
        ("4.3e9", 4_300_000_000),
        ("1E+3", 1000),
        ("1.5e1", 15),
        ("20e-1", 2),
        ("3.0", 3),
        ("1.8446744073709551615e19", 2**64 - 1),
        ("115792089237316195423570985008687907853269984665640564039457584007913129639935", 2**256 - 1),
    ],
)
def test_integers_as_people_write_them(text: str, value: int) -> None:
    assert parse_int(text) == value


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not an integer"),
        ("x", "not an integer"),
        ("1.5", "not an integer"),
        ("4.35e1", "not an integer"),
        ("1e-3", "not an integer"),
        ("010", "not an integer"),
        ("1 000", "not an integer"),
        ("1,000", "not an integer"),
        ("٣", "not an integer"),
        ("inf", "not an integer"),
        ("2**-1", "not an integer"),
        ("9**9**9", "not an integer"),
        ("1e999999999", "too large"),
        ("2**257", "too large"),
        ("2**99999999999999999999999", "too large"),
        ("9" * 5000, "not an integer"),
        ("10k", "1000 or of 1024"),
        ("4G", "1000 or of 1024"),
        ("1.5Mi", "1000 or of 1024"),
    ],
)
def test_what_is_no_integer(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what) as caught:
        parse_int(text)
    assert len(str(caught.value)) < 160


def test_unknown_names_get_suggestions() -> None:
    assert "Unknown option --seed-ends (did you mean '--seed-end'?)" in refused("--seed-ends=5")
    assert "Unknown option --seed-e (did you mean '--seed-end'?)" in refused("--seed-e", "5")
    assert "(did you mean '--no-resume'?)" in refused("--no-resme")
    assert "'stray'" in refused("stray")
    env = {"PRNG_MPI_SEEDEND": "5"}
    assert "PRNG_MPI_SEEDEND (did you mean 'PRNG_MPI_SEED_END'?)" in refused(env=env)
    assert load(Example, [], env, other_env=["PRNG_MPI_SEEDEND"]).value == Example()
    assert "PRNG_MPI_OUTPUT_DIR" in refused(env={"PRNG_MPI_OUTPUT_DIR": "x"})
    assert "file run.toml: unknown key 'seed-ent' (did you mean 'seed_end'?)" in refused(file="seed-ent = 5")
    assert "[example]: unknown key 'recipes' (did you mean 'recipe'?)" in refused(file='[example]\nrecipes = "x"')
    assert "unknown key 'predicts'" in refused(file="[predicts]\nx = 1")
    assert "'cdua' is not one of auto, cpu, cuda (did you mean 'cuda'?)" in refused("--device", "cdua")


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (("--seed-end",), "--seed-end: expected one argument"),
        (("--seed-end", "many"), "--seed-end: 'many' is not an integer"),
        (("--seed-end", "0"), "--seed-end: 0 is below the least allowed, 1"),
        (("--threshold", "1.01"), "--threshold: 1.01 is above the most allowed, 1"),
        (("--threshold", "nan"), "--threshold: 'nan' is not a number"),
        (("--threshold", "half"), "--threshold: 'half' is not a number"),
        (("--resume=1",), "--resume"),
        (("--sessions", "a,,b"), "empty item"),
        (("--primes", "2,x"), "--primes: 'x' is not an integer"),
        (("--param", "a"), "--param: 'a' does not read name=value"),
        (("--param", "=1"), "does not read name=value"),
        (("--param", "a=1", "--param", "a=2"), "'a' is given twice"),
        (("--param", "a=k"), "--param: 'k' is not an integer"),
        (("--time-limit", "2h"), "--time-limit: '2h' does not end in m"),
        (("--output-dir", ""), "--output-dir: the path is empty"),
        (("--recipe", "\udcff"), "not UTF-8"),
    ],
)
def test_bad_flags_are_named(argv: tuple[str, ...], what: str) -> None:
    assert what in refused(*argv)


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("seed_end = ", "not valid TOML"),
        ("seed_end = " + "9" * 5000, "not valid TOML"),
        ("seed_end = 1\nseed-end = 2", "twice"),
        ("seed_end = true", "True is not an integer"),
        ("seed_end = 1.5", "'1.5' is not an integer"),
        ("seed_end = inf", "not an integer"),
        ("seed_end = 0", "below the least"),
        ("seed_end = [1]", "[1] is not an integer"),
        ("seed_end = 2020-01-01", "2020-01-01 is not an integer"),
        ("threshold = nan", "not a number"),
        ("threshold = false", "False is not a number"),
        ('resume = "true"', "without quotes"),
        ("resume = 1", "without quotes"),
        ("recipe = 5", "5 is not text in quotes"),
        ("output_dir = 5", "5 is not text in quotes"),
        ('sessions = "a"', "not a list"),
        ("primes = [1, true]", "True is not an integer"),
        ("params = 5", "not a table"),
        ("[params]\nx = {y = 1}", "is not an integer"),
        ('device = "gpu"', "'gpu' is not one of"),
    ],
)
def test_bad_files_are_named(file: str, what: str) -> None:
    message = refused(file=file)
    assert what in message and message.startswith("file run.toml: ")


def test_bad_variables_are_named() -> None:
    assert refused(env={"PRNG_MPI_RESUME": "maybe"}).startswith("environment PRNG_MPI_RESUME: 'maybe' is neither")
    assert refused(env={"PRNG_MPI_OUT": ""}).startswith("environment PRNG_MPI_OUT: the path is empty")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff")
    for name, what in [("absent", "No such file"), ("latin", "UTF-8")]:
        with pytest.raises(UsageError, match=what) as caught:
            load(Example, ["--config", str(tmp_path / name)], {})
        assert str(tmp_path / name) in str(caught.value)


def test_show_is_aligned_toml_with_origins() -> None:
    found = loaded("--param", "a=1", env={"PRNG_MPI_THRESHOLD": "0.25"}, file='recipe = "# = x"')
    text = show(found)
    lines = text.splitlines()
    assert lines[0].split("  # ")[0].rstrip() == "seed_end   = 4294967296"
    assert len({line.rindex("  # ") for line in lines}) == 1
    origins = {line.partition(" ")[0]: line.rpartition("  # ")[2] for line in lines}
    assert origins["recipe"] == "file run.toml"
    assert origins["threshold"] == "environment PRNG_MPI_THRESHOLD"
    assert (origins["params"], origins["primes"]) == ("flag", "default")
    assert any(line.startswith("# note is not set ") for line in lines)
    assert one(file=text) == found.value
    assert tomllib.loads(text)["recipe"] == "# = x"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
integers = st.integers(-(2**70), 2**70)
examples = st.builds(
    Example,
    seed_end=st.integers(1, 2**70),
    threshold=st.floats(max_value=1, allow_nan=False),
    recipe=texts,
    sessions=st.lists(texts, max_size=3).map(tuple),
    primes=st.lists(integers, max_size=3).map(tuple),
    device=st.sampled_from(["auto", "cpu", "cuda"]),
    params=st.dictionaries(texts, integers, max_size=3),
    output_dir=texts.map(Path),
    resume=st.booleans(),
    time_limit=st.none() | st.floats(allow_nan=False),
    note=st.none() | texts,
)


@settings(max_examples=200, deadline=None)
@given(examples)
def test_toml_round_trip(example: Example) -> None:
    text = to_toml(example)
    assert from_toml(Example, text) == example
    assert not any(line.startswith("note") for line in text.splitlines()) or example.note is not None
    found = Loaded(example, dict.fromkeys((e.name for e in describe(Example)), "file a\nb"), None)
    assert one(file=show(found)) == example


def test_toml_spells_defaults_and_wide_integers() -> None:
    lines = to_toml(Example(seed_end=2**64, primes=(2**63 - 1, 2**63, -(2**63), -(2**63) - 1))).splitlines()
    assert lines[0] == 'seed_end = "0x10000000000000000"'
    assert 'primes = [9223372036854775807, "0x8000000000000000", -9223372036854775808, "-0x8000000000000001"]' in lines
    assert "threshold = 0.5" in lines and "params = {a = 5}" in lines
    assert math.isinf(from_toml(Example, "threshold = -inf").threshold)
    with pytest.raises(UsageError, match="stored configuration: unknown key 'x'"):
        from_toml(Example, "x = 1")


def test_rules_for_option_classes() -> None:
    @dataclass(frozen=True)
    class Bare:
        x: int = 3

    @dataclass(frozen=True)
    class Null:
        x: int | None = option(3, "x")

    @dataclass(frozen=True)
    class Odd:
        x: tuple[int, int] = option((1, 2), "x")

    @dataclass(frozen=True)
    class Taken:
        config: str = option("", "x")

    for cls, what in [(Bare, "option()"), (Null, "only None"), (Odd, "type"), (Taken, "--config")]:
        with pytest.raises(TypeError) as caught:
            describe(cls)
        assert what in str(caught.value)


def test_help_is_grouped_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load(Example, ["--help"], {"PRNG_MPI_NONSENSE": "1"})
    assert ended.value.code == 0
    printed = capsys.readouterr()
    text = " ".join(printed.out.split())
    assert printed.err == "" and "python -m prng_mpi.example [options]" in text
    order = ["100 % of its size", "Search:", "--seed-end INT", "50 %", "Input:", "--sessions STR", "Options:"]
    order += ["--device {auto,cpu,cuda}", "--param NAME=INT", "--resume, --no-resume", "General:", "--config FILE"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "(default: 4294967296)" in text and "(default: {a = 5}; separated by commas, or repeated)" in text


def test_help_costs_no_mpi_and_no_numpy() -> None:
    code = (
        "import sys, dataclasses\n"
        "from prng_mpi.config import load, option\n"
        "cls = dataclasses.make_dataclass('E', [('x', int, option(1, 'help of x'))], frozen=True)\n"
        "try: load(cls, ['--help'], {})\n"
        "except SystemExit as end: status = end.code\n"
        "print(status, [m for m in ('numpy', 'scipy', 'h5py', 'mpi4py') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "help of x" in done.stdout and done.stdout.endswith("\n0 []\n")


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("10m", 600), (" 3h", 10800), ("2d", 172800), ("0.5", 0.5)]
)
def test_times(text: str, value: float) -> None:
    assert parse_seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1.5 GB", 1.5e9), ("800MB", 8e8), ("5", 5), ("2 kB", 2000), ("1 TB", 1e12)]
)
def test_sizes(text: str, value: float) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "inf", "1e99", "3 GB", "m"])
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError, match="write 90, 90s, 10m, 3h or 2d"):
        parse_seconds(text)
    with pytest.raises(ValueError, match=r"write 1\.5 GB"):
        parse_size(text.replace("GB", "GiB"))
