"""What a person can get wrong: one sentence on stderr that says what to do, the documented exit code, nothing lost."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from prng_mpi.ledger import Ledger
from support import Ended, Run, events, run_sieve, uniform, until, write_draws

USAGE, NO_DEVICE, INTEGRITY = 2, 7, 9


@pytest.fixture
def draws(tmp_path: Path) -> Path:
    return write_draws(tmp_path, uniform(1, 60, 1000))


def flags(draws: Path | str, folder: Path, *more: object) -> list[object]:
    """A small search in folder/run; a flag given again in `more` takes the place of the first."""
    small = ("--recipe", "java.nextInt", "--seed-end", 2000, "--output-dir", folder / "run")
    return ["--draws", draws, *small, *more]


def assert_refused(ended: Ended, code: int, *words: str) -> None:
    """It ended with that code and with one sentence, which holds these words."""
    assert ended.code == code, ended.stderr
    assert len(ended.complaints) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.complaints[0]


def fingerprints(folder: Path) -> dict[str, str]:
    """What lies in a folder, by name; SQLite's helper files come and go with readers."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if not path.name.endswith(("-wal", "-shm", ".lock"))
    }


BAD_FLAGS: list[tuple[Sequence[object], tuple[str, ...]]] = [
    (("--draws", "nowhere.json"), ("nowhere.json", "No such file")),
    (("--modulus", 500), ("is not in [0, 500)", "record")),
    (("--modulus", 1), ("--modulus 1", "2 to 2147483647")),
    (("--modulus", 2**31), ("--modulus 2147483648", "2 to 2147483647")),
    (("--window", 61), ("61 draws", "the history has 60")),
    (("--window", 0), ("--window",)),
    (("--window-start", 60), ("history index 60",)),
    (("--window-start", 50, "--window", 11), ("needs 61 draws",)),
    (("--recipe", "java.nextint"), ("did you mean 'java.nextInt'?",)),
    (("--recipe", "xorshift32"), ("did you mean", "xorshift32")),
    (("--recipe", "qqq"), ("no recipe 'qqq'", "lists them")),
    (("--sesions", "midday"), ("--sesions", "did you mean '--sessions'?")),
    (("--sessions", "midday"), ("session",)),
    (("--param", "seed=3"), ("java.nextInt", "'seed'")),
    (("--seed-start", 2000), ("--seed-start 2000 --seed-end 2000", "empty")),
    (("--seed-start", 10, "--seed-end", 5), ("--seed-start 10 --seed-end 5",)),
    (("--seed-start", -1), ("--seed-start",)),
    (("--seed-end", 2**48 + 1), (str(2**48),)),
    (("--seed-end", "many"), ("--seed-end", "many")),
    (("--skip-min", -1), ("--skip-min",)),
    (("--skip-min", 4, "--skip-max", 3), ("--skip-min 4 --skip-max 3",)),
    (("--offset-min", 4, "--offset-max", 3), ("--offset-min 4 --offset-max 3",)),
    (("--skip-max", 2**31), ("--skip-max",)),
    (("--threshold", 0), ("threshold 0",)),
    (("--threshold", 1.5), ("threshold 1.5",)),
    (("--threshold", "nan"), ("threshold",)),
    (("--device", "gpu"), ("--device", "cuda")),
    (("--method", "lift", "--recipe", "mt19937.mod"), ("--method lift", "use --method lanes")),
    (("--profile", "nowhere.json"), ("--profile nowhere.json", "prng_mpi.bench")),
    (("--time-limit", "soon"), ("--time-limit", "10m")),
    (("--resume",), ("no ledger to resume",)),
    (("--config", "nowhere.toml"), ("nowhere.toml",)),
    (("--max-survivors", 1, "--threshold", 0.01), ("hopeless", "--max-survivors 1")),
]


@pytest.mark.parametrize(("bad", "words"), BAD_FLAGS, ids=[" ".join(map(str, bad)) for bad, _ in BAD_FLAGS])
def test_bad_flag(bad: Sequence[object], words: tuple[str, ...], draws: Path, tmp_path: Path) -> None:
    assert_refused(run_sieve(flags(draws, tmp_path, *bad)), USAGE, *words)
    assert not (tmp_path / "run" / "ledger.sqlite").exists()


def test_draws_and_recipe_have_no_default() -> None:
    assert_refused(run_sieve(["--recipe", "java.nextInt"]), USAGE, "--draws FILE is missing")
    assert_refused(run_sieve(["--draws", "-"], stdin="1 2 3"), USAGE, "--recipe NAME is missing")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("holds no draws",)),
        ("[]", ("holds no draws",)),
        ("[1, 2", ("draws.json",)),
        ("[1, 2.5, 3]", ("record 1",)),
        ("[1, -2, 3]", ("record 1",)),
        ('[{"date": "2020-01-01", "drow": 3}]', ("record 0", "draw")),
        ("1 2 three 4", ("three",)),
        ("\x00\x01\x02", ("draws.json",)),
    ],
)
def test_draws_that_are_none(text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "draws.json"
    path.write_text(text)
    assert_refused(run_sieve(flags(path, tmp_path)), USAGE, *words)


def test_draws_that_are_bytes(tmp_path: Path) -> None:
    path = tmp_path / "draws.json"
    path.write_bytes(bytes(range(128, 256)))
    assert_refused(run_sieve(flags(path, tmp_path)), USAGE, "UTF-8")


def test_standard_input_is_read_and_named(tmp_path: Path) -> None:
    ended = run_sieve(flags("-", tmp_path), stdin=" ".join(map(str, uniform(1, 40, 1000))))
    assert (ended.code, ended.complaints) == (1, [])
    assert "standard input: draws 0 to 19 of 40" in ended.stdout
    (ready,) = (event for event in events(tmp_path / "run") if event["kind"] == "device_ready")
    assert ready["why"].startswith("auto: ")
    assert ready["why"] in ended.stdout
    assert_refused(run_sieve(flags("-", tmp_path), stdin="1 2 3000"), USAGE, "standard input: record 2")


def test_unknown_key_of_the_file_and_unknown_variable(draws: Path, tmp_path: Path) -> None:
    config = tmp_path / "sieve.toml"
    config.write_text("[sieve]\nskip_maximum = 3\n")
    assert_refused(
        run_sieve(flags(draws, tmp_path, "--config", config)), USAGE, "skip_maximum", "did you mean 'skip_max'?", "sieve.toml"
    )  # fmt: skip
    config.write_text("[sieve\n")
    assert_refused(run_sieve(flags(draws, tmp_path, "--config", config)), USAGE, "sieve.toml")
    assert_refused(
        run_sieve(flags(draws, tmp_path), PRNG_MPI_SKIP_MAXX="3"), USAGE, "PRNG_MPI_SKIP_MAXX", "PRNG_MPI_SKIP_MAX"
    )


@pytest.mark.parametrize("np", [None, 2])
def test_folder_that_can_not_be_made(np: int | None, draws: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here before")
    ended = run_sieve(flags(draws, tmp_path, "--output-dir", tmp_path / "file" / "run"), np)
    assert_refused(ended, USAGE, "can't write to the folder", "--output-dir")
    assert (tmp_path / "file").read_text() == "here before"


@pytest.mark.parametrize("np", [None, 2])
def test_another_search_in_the_folder(np: int | None, draws: Path, tmp_path: Path) -> None:
    assert run_sieve(flags(draws, tmp_path)).code == 1
    before = fingerprints(tmp_path / "run")
    for more in (("--skip-max", 1), ("--seed-end", 2001), ("--threshold", 0.9), ("--recipe", "java.mod")):
        assert_refused(run_sieve(flags(draws, tmp_path, *more), np), USAGE, "another search", "--output-dir")
        assert fingerprints(tmp_path / "run") == before
    again = run_sieve(flags(draws, tmp_path, "--resume"), np)
    assert (again.code, again.summary["seeds_done"]) == (1, 2000)


@pytest.mark.parametrize("np", [None, 2])
@pytest.mark.parametrize("damage", ["garbage", "truncated", "one chunk", "another schema"])
def test_damaged_ledger(damage: str, np: int | None, draws: Path, tmp_path: Path) -> None:
    assert run_sieve(flags(draws, tmp_path)).code == 1
    ledger = tmp_path / "run" / "ledger.sqlite"
    if damage == "garbage":
        ledger.write_bytes(b"no ledger at all" * 100)
    elif damage == "truncated":
        ledger.write_bytes(ledger.read_bytes()[:5000])
    else:
        sql = "UPDATE chunks SET seconds = seconds + 1" if damage == "one chunk" else "PRAGMA user_version = 99"
        with sqlite3.connect(ledger, isolation_level=None) as db:
            db.execute(sql)
        db.close()
    before = fingerprints(tmp_path / "run")
    assert_refused(run_sieve(flags(draws, tmp_path), np), INTEGRITY, "can't be trusted", "left as it is")
    assert fingerprints(tmp_path / "run") == before


def test_folder_in_use(draws: Path, tmp_path: Path) -> None:
    long = ("--recipe", "mt19937.mod", "--method", "lanes", "--seed-end", 2**32, "--chunk-seconds", 0.1)
    with Run(flags(draws, tmp_path, *long)) as first:
        until(lambda: "device_ready" in str(events(tmp_path / "run")), 30, "no start")
        assert_refused(run_sieve(flags(draws, tmp_path, *long)), USAGE, "in use by process", str(first.process.pid))
        first.process.send_signal(signal.SIGINT)
        ended = first.wait()
    assert (ended.code, ended.summary["end"]) == (5, "drained")
    with Ledger.peek(tmp_path / "run" / "ledger.sqlite") as ledger:
        assert 0 < ledger.seeds_done() == ended.summary["seeds_done"] < 2**32


# A host without cupy, and one whose cupy finds no GPU.
NO_CUPY = "import sys; sys.modules['cupy'] = None"
NO_GPU = """
import sys
class Cupy:
    def __getattr__(self, name):
        return OSError if name.endswith(("Error", "Exception")) else self
    def __call__(self, *_):
        return False
sys.modules["cupy"] = Cupy()
"""


@pytest.mark.parametrize("np", [None, 2])
@pytest.mark.parametrize(
    ("patch", "more", "words"),
    [
        ("pass", ("--require-gpu", "--device", "cpu"), ("--require-gpu", "cpu")),
        (NO_CUPY, ("--device", "rocm"), ("rocm", "pip install 'prng_mpi[rocm]'")),
        (NO_GPU, ("--device", "rocm"), ("no rocm GPU",)),
        (NO_GPU, ("--device", "cuda"), ("no cuda GPU",)),
    ],
)
def test_no_trustworthy_device(
    patch: str, more: Sequence[object], words: tuple[str, ...], np: int | None, draws: Path, tmp_path: Path
) -> None:
    ended = run_sieve(flags(draws, tmp_path, *more), np, patch=patch)
    assert_refused(ended, NO_DEVICE, "no device is left", *words)
    # Nothing else stepped in.
    assert (ended.summary["exit_code"], ended.summary["seeds_done"], ended.summary["devices"]) == (7, 0, [])
    assert len(ended.summary["refused"]) == (np or 1)
    assert ended.summary["gaps"] == [[0, 2000]]
    assert events(tmp_path / "run")[-1]["exit_code"] == NO_DEVICE
    resumed = run_sieve(flags(draws, tmp_path, "--resume"), np)
    assert (resumed.code, resumed.summary["seeds_done"]) == (1, 2000)


@pytest.mark.parametrize(
    "bad", [("--bogus",), ("--recipe", "qqq"), ("--skip-min", 4, "--skip-max", 3), ("--resume",)], ids=str
)
def test_bad_input_under_mpirun_ends_every_rank(bad: Sequence[object], draws: Path, tmp_path: Path) -> None:
    ended = run_sieve(flags(draws, tmp_path, *bad), np=2, timeout=20)
    assert_refused(ended, USAGE)
    assert "MPI_ABORT" not in ended.stderr


@pytest.mark.parametrize("np", [None, 2])
def test_what_only_looks_leaves_nothing_behind(np: int | None, draws: Path, tmp_path: Path) -> None:
    for look, text in (("--help", "--recipe"), ("--show-config", "recipe"), ("--dry-run", "hypotheses")):
        ended = run_sieve(flags(draws, tmp_path, look), np)
        assert (ended.code, ended.complaints) == (0, [])
        assert ended.stdout.count(text) and not (tmp_path / "run").exists()


def test_json_alone_on_standard_output(draws: Path, tmp_path: Path) -> None:
    ended = run_sieve(flags(draws, tmp_path, "--json"))
    assert json.loads(ended.stdout) == ended.summary
    assert "hypotheses" in ended.stderr


@pytest.mark.parametrize("np", [None, 2])
def test_a_crash_while_preparing_does_not_pass_for_a_search(np: int | None, draws: Path, tmp_path: Path) -> None:
    ended = run_sieve(flags(draws, tmp_path), np, timeout=20, patch="sieve.read_history = lambda *_, **__: 1 // 0")
    assert (ended.code, len(ended.complaints)) == (3, 1)
    assert "ZeroDivisionError" in ended.complaints[0]


@pytest.mark.parametrize(
    ("recipe", "instead"), [("xorshift64.mod", "prng_mpi.recover"), ("pcg32.mod", "narrow the seeds")]
)
def test_a_hopeless_search_is_refused_with_what_would_work(tmp_path: Path, recipe: str, instead: str) -> None:
    draws = tmp_path / "draws.txt"
    draws.write_text(" ".join(map(str, range(60))))
    ended = run_sieve(["--draws", draws, "--recipe", recipe, "--seed-end", "2**64", "--skip-max", 16])
    assert_refused(ended, 2, "out of reach", instead)
