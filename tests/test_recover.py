"""recover: planted states come back from their draws, clean and noisy; what can't be solved is refused or shown as open."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import hypergeom

from prng_mpi.devices import gf2
from prng_mpi.devices.gf2 import Gf2Device, View, draws_needed, trials_needed, view
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import recipe
from support import TOP, Ended, environment, mpirun, uniform, write_draws

M64 = 2**64 - 1


def xorshift32(state: Sequence[int]) -> Iterator[int]:
    (x,) = state
    while True:
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        yield x


def xorshift64(state: Sequence[int]) -> Iterator[int]:
    (x,) = state
    while True:
        x ^= x << 13 & M64
        x ^= x >> 7
        x ^= x << 17 & M64
        yield x


def xorshift128(state: Sequence[int]) -> Iterator[int]:
    x, y, z, w = state
    while True:
        t = x ^ x << 11 & 0xFFFFFFFF
        x, y, z = y, z, w
        w ^= w >> 19 ^ t ^ t >> 8
        yield w


# Re-typed from the paper, so that no text under test makes the draws: (generator, bits of a word, words).
SMALL = {"xorshift32": (xorshift32, 32, 1), "xorshift64": (xorshift64, 64, 1), "xorshift128": (xorshift128, 32, 4)}


def planted(family: str, state: Sequence[int], modulus: int, k: int, skip: int, offset: int = 0) -> np.ndarray:
    words = islice(SMALL[family][0](state), offset + skip, None, skip + 1)
    return np.array([word % modulus for word in islice(words, k)], np.uint32)


def random_state(family: str, rng: np.random.Generator) -> list[int]:
    _, bits, words = SMALL[family]
    return [int(rng.integers(1, 2**bits, dtype=np.uint64)) for _ in range(words)]


def spoil(draws: np.ndarray, wrong: Sequence[int], modulus: int, rng: np.random.Generator) -> np.ndarray:
    """The draws with others in those places."""
    draws = draws.copy()
    for i in wrong:
        draws[i] = (int(draws[i]) + int(rng.integers(1, modulus))) % modulus
    return draws


def mt_words(seed: int, count: int, burn: int = 0) -> np.ndarray:
    """Words of NumPy's MT19937 after init_genrand(seed)."""
    generator = np.random.MT19937()
    generator._legacy_seeding(seed)
    generator.random_raw(burn) if burn else None
    return generator.random_raw(count)


def mt_draws(seed: int, k: int, skip: int, modulus: int, burn: int = 0) -> list[int]:
    return [int(w) % modulus for w in mt_words(seed, k * (skip + 1), burn)[skip :: skip + 1]]


_devices: dict[tuple[str, str], Gf2Device] = {}


def opened(name: str, kind: str = "cpu") -> Gf2Device:
    if (name, kind) not in _devices:
        _devices[name, kind] = Gf2Device(recipe(name), kind)
    return _devices[name, kind]


def seen_by(name: str, modulus: int) -> View:
    seen = view(recipe(name), modulus)
    assert isinstance(seen, View)
    return seen


def recover(argv: Sequence[object], np_: int | None = None, patch: str = "", timeout: float = 60) -> Ended:
    """Run `python -m prng_mpi.recover ARGV` to its end, under mpirun where np_ is given; patch: Python to run before."""
    call = ["-m", "prng_mpi.recover"]
    if patch:
        main = "step.main(recover.RecoverOptions, recover.prepare, recover.run)"
        call = ["-c", f"from prng_mpi import recover, step\n{patch}\n{main}"]
    words = [str(word) for word in argv]
    launcher = [mpirun(), "-np", str(np_)] if np_ else []
    done = subprocess.run(
        [*launcher, sys.executable, *call, *words],
        env=environment(), cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    path = Path(words[words.index("--output-dir") + 1]) / "summary.json"
    summary = json.loads(path.read_text()) if path.is_file() else {}
    return Ended(done.returncode, done.stdout, done.stderr, summary, 0.0)


# ------------------------------------------------------------------------------------------------- the linear algebra


def rank_and_solution(rows: list[int], columns: int) -> tuple[int, int | None]:
    """(first column without a pivot, solution) of rows whose bit `columns` is the right-hand side, in plain integers."""
    left, solved = list(rows), []
    for c in range(columns):
        pivot = next((row for row in left if row >> c & 1), None)
        if pivot is None:
            return c, None
        left.remove(pivot)
        left = [row ^ pivot if row >> c & 1 else row for row in left]
        solved.append(pivot)
    if any(left):
        return columns, None
    x = 0
    for c in reversed(range(columns)):
        right = solved[c] >> columns & 1
        x |= (((solved[c] & x) & (1 << columns) - 1).bit_count() + right & 1) << c
    return columns, x


@pytest.mark.parametrize("case", range(30))
def test_elimination_against_plain_integers(case: int) -> None:
    rng = np.random.default_rng(case)
    columns = int(rng.choice([1, 7, 8, 63, 64, 65, 200, 511, 512, 513, 700]))
    rows = columns + int(rng.integers(0, 12))
    # Sparse ones have columns without a pivot, and pivots far down.
    share = float(rng.choice([0.5, 0.05, 3 / columns]))
    table = rng.random((rows, columns)) < share
    truth = rng.integers(0, 2, columns)
    right = (table @ truth) % 2
    if case % 3 == 0:
        right[int(rng.integers(rows))] ^= 1
    strips = columns // 512 + 1
    whole = np.zeros((rows, strips * 512), np.uint8)
    whole[:, :columns], whole[:, -1] = table, right
    packed = np.packbits(whole, axis=1, bitorder="little").view(np.uint64).reshape(rows, strips, 8)
    matrix = gf2._room(rows * strips * 64)
    matrix[:] = packed.transpose(1, 0, 2).ravel()
    settled, pivots, solution, contradictions = opened("xorshift32.mod").eliminate(matrix, rows, columns)
    plain = [sum(int(b) << i for i, b in enumerate([*table[r], right[r]])) for r in range(rows)]
    expected, expected_solution = rank_and_solution(plain, columns)
    assert settled == expected
    if settled == columns:
        assert (contradictions == 0) == (expected_solution is not None)
        if expected_solution is not None:
            assert solution == expected_solution
        # Each pivot row settles one unknown, and together they settle all.
        assert len(set(pivots.tolist())) == columns
        assert rank_and_solution([plain[r] for r in pivots], columns)[0] == columns


@pytest.mark.parametrize("name", ["xorshift32.mod", "xorshift64.mod", "xorshift128.mod", "mt19937.mod"])
def test_equations_of_lanes_are_those_of_plain_integers(name: str) -> None:
    seen = View(2, 5, 0.0)
    draws = np.arange(3, dtype=np.uint32)
    one = opened(name)._equations(seen, draws, 2, 3)[1]
    other = opened(name, "reference")._equations(seen, draws, 2, 3)[1]
    assert one.any()
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize(("modulus", "skip", "offset"), [(1000, 0, 0), (8, 16, 3), (2**32, 3, 0), (6, 1, 700)])
def test_clean_draws_give_the_state(family: str, modulus: int, skip: int, offset: int) -> None:
    rng = np.random.default_rng([skip, modulus])
    state, seen = random_state(family, rng), seen_by(f"{family}.mod", modulus)
    device = opened(f"{family}.mod")
    k = draws_needed(device.unknowns, seen.bits) + 12
    draws = planted(family, state, modulus, k, skip, offset)
    found = device.solve(modulus, seen, draws, offset + skip, skip + 1, k)
    assert found.words is not None and found.used is not None
    assert found.words.tolist() == state and found.matches == k
    # The draws that settled the state do so alone, and the others are evidence.
    assert device.unknowns / seen.bits <= found.used.sum() < k
    after = device.values(modulus, found.words, offset + skip + k * (skip + 1), skip + 1, 20)
    assert after.tolist() == planted(family, state, modulus, k + 20, skip, offset)[k:].tolist()
    for wrong_skip in range(skip + 2):
        if wrong_skip != skip:
            other = device.solve(modulus, seen, draws, offset + wrong_skip, wrong_skip + 1, k)
            assert other.words is None or other.matches < k
    bad = spoil(draws, [int(np.flatnonzero(found.used)[0])], modulus, rng)
    spoiled = device.solve(modulus, seen, bad, offset + skip, skip + 1, k)
    assert spoiled.words is None or spoiled.matches < k


@pytest.mark.parametrize(
    ("family", "k", "wrong", "trials"),
    [("xorshift32", 100, 50, 20_000), ("xorshift64", 100, 30, 60_000), ("xorshift128", 200, 30, 30_000)],
)
@pytest.mark.parametrize("skip", [0, 5])
def test_wrong_draws_are_left_out(family: str, k: int, wrong: int, trials: int, skip: int) -> None:
    rng = np.random.default_rng([k, wrong, skip])
    state, device = random_state(family, rng), opened(f"{family}.mod")
    bad = rng.choice(k, wrong, replace=False)
    draws = spoil(planted(family, state, 1000, k, skip), bad, 1000, rng)
    seen = seen_by(f"{family}.mod", 1000)
    found = device.decode(1000, seen, draws, skip, skip + 1, k - wrong, trials, 12345)
    assert found.words is not None and found.used is not None
    assert (found.words.tolist(), found.matches) == (state, k - wrong)
    assert 1 <= found.tried < trials
    # A wrong draw among those that settled it shows the right bits.
    right = planted(family, state, 1000, k, skip)
    assert ((draws[found.used] - right[found.used]) % 8 == 0).all()
    again = device.decode(1000, seen, draws, skip, skip + 1, k - wrong, trials, 12345)
    assert (again.tried, again.used.tolist()) == (found.tried, found.used.tolist())
    # One match more than there is, or another skip, is not found.
    assert device.decode(1000, seen, draws, skip, skip + 1, k - wrong + 1, 2000, 1).words is None
    assert device.decode(1000, seen, draws, skip + 1, skip + 2, k - wrong, 2000, 1).words is None


def test_decoding_tells_an_open_state() -> None:
    draws = np.zeros(9, np.uint32)
    assert opened("xorshift32.mod").decode(1000, View(0, 3, 0.0), draws, 0, 1, 8, 100, 1).settled == 0


@pytest.mark.parametrize(("k", "need", "per_set"), [(100, 70, 23), (60, 55, 12), (40, 20, 5)])
def test_trials_leave_the_chance_to_miss_that_was_asked(k: int, need: int, per_set: int) -> None:
    clean = hypergeom(k, need, per_set).pmf(per_set)
    trials = trials_needed(k, need, per_set, 0.0, 1e-3)
    assert (1 - clean) ** trials <= 1e-3 < (1 - clean) ** (trials * 0.99 - 1)
    assert trials_needed(k, need, per_set, 0.124, 1e-3) < trials
    assert trials_needed(k, per_set - 1, per_set, 0.0, 1e-3) == float("inf")


def test_the_promised_number_of_trials_finds_what_it_should() -> None:
    """With a chance of 0.3 to miss, about 14 of 20 planted states are found, and not all."""
    device, seen, found, rounds = opened("xorshift32.mod"), seen_by("xorshift32.mod", 1000), 0, 200
    trials = trials_needed(60, 36, 12, 124 / 999, 0.3)
    for case in range(rounds):
        rng = np.random.default_rng(case)
        state = random_state("xorshift32", rng)
        draws = spoil(planted("xorshift32", state, 1000, 60, 0), rng.choice(60, 24, replace=False), 1000, rng)
        found += device.decode(1000, seen, draws, 0, 1, 36, int(trials), case + 1).words is not None
    assert 0.55 * rounds < found < 0.9 * rounds


# ------------------------------------------------------------------------------------------------- MT19937


def test_mt19937_from_numpy(tmp_path: Path) -> None:
    """7,000 draws mod 1000 of a stream that was already 100 words old, at an unknown skip: state, seed and next outputs."""
    draws = mt_draws(20_240_601, 6721, 1, 1000, burn=100)
    flags = ("--family", "mt19937", "--skip-max", 2, "--output-dir", tmp_path / "run")
    history = write_draws(tmp_path, draws[:6700])
    ended = recover(["--draws", history, *flags])
    summary, best = ended.summary, ended.summary["best"]
    # Skip 0 needs more draws than that.
    assert (ended.code, summary["verdict"], summary["gaps"], summary["survivors_at"]) == (0, "found", [0], [1])
    assert (best["skip"], best["matches"], best["heldout_matches"]) == (1, 6670, 30)
    assert (best["seed"], best["words_since_seed"]) == (20_240_601, 100)
    assert summary["next_outputs"] == draws[6700:6720]
    assert best["unused"] > 0 and best["unused_matches"] == best["unused"]
    # NumPy goes on from the state that was found.
    again = np.random.RandomState()
    again.set_state(("MT19937", [int(word, 16) for word in summary["state"]], 624))
    words = again.randint(0, 2**32, 13_400, dtype=np.uint64)
    assert [int(w) % 1000 for w in words[1::2]] == draws[:6700]


def test_mt19937_that_is_not_enough_or_not_it(tmp_path: Path) -> None:
    draws = mt_draws(1, 7000, 0, 1000)
    few = write_draws(tmp_path / "few", draws[:6700])
    flags = ("--family", "mt19937", "--output-dir", tmp_path / "run")
    ended = recover(["--draws", few, *flags])
    assert (ended.code, ended.summary["gaps"], ended.summary["verdict"]) == (6, [0], "chance")
    assert "leave the state open" in ended.stdout
    # Clean, but of another skip: the equations left over contradict.
    one = opened("mt19937.mod").solve(1000, View(0, 3, 0.0), np.array(draws, np.uint32), 1, 2, 7000)
    assert one.settled == 19937 and one.words is None
    # All but one of 7,000.
    spoiled = [*draws[:500], (draws[500] + 1) % 1000, *draws[501:]]
    two = opened("mt19937.mod").solve(1000, View(0, 3, 0.0), np.array(spoiled, np.uint32), 0, 1, 7000)
    assert two.settled == 19937 and two.words is None


def test_unseeding() -> None:
    device = opened("mt19937.mod")
    for seed in (0, 1, 5489, 2**31, 2**32 - 1):
        assert device.unseed(device.seeded(seed), 0) == (seed, "init_genrand", 0)
    generator = np.random.RandomState(77)
    generator.randint(0, 2**32, 624 * 3 + 5, dtype=np.uint64)
    key = np.array(generator.get_state()[1], np.uint64)
    # NumPy keeps the state that its fourth twist made.
    assert device.unseed(key, 5000) == (77, "init_genrand", 624 * 4)
    assert device.unseed(key, 624 * 4 - 1) is None
    for seed in (0, 1, 2**32 - 1, 2**32, 2**64 - 1, 123456789012345):
        python = random.Random(seed)
        assert device.unseed(np.array(python.getstate()[1][:624], np.uint64), 0) == (seed, "init_by_array", 0)
        python.getrandbits(32 * 1249)
        assert device.unseed(np.array(python.getstate()[1][:624], np.uint64), 2000) == (seed, "init_by_array", 624 * 3)
    # One word in the middle is not the seeding's.
    for key in (device.seeded(5), np.array(random.Random(5).getstate()[1][:624], np.uint64)):
        assert device.unseed(key, 0) is not None
        key[300] ^= np.uint64(1)
        assert device.unseed(key, 0) is None
    other = np.random.default_rng(3).integers(0, 2**32, 624, dtype=np.uint64)
    assert device.unseed(other, 5000) is None
    assert opened("xorshift128.mod").unseed(np.array([5, 362436069, 521288629, 88675123], np.uint64), 0) == (
        5,
        "seed",
        0,
    )
    assert opened("xorshift128.mod").unseed(np.array([5, 362436069, 521288629, 88675124], np.uint64), 0) is None


def runtimes() -> dict[str, Any]:
    """(recipe, modulus, draws) made by the languages themselves."""
    python, other, numpy = random.Random(99), random.Random(99), np.random.RandomState(98)
    return {
        "python.random": (1024, [int(python.random() * 1024) for _ in range(3600)]),
        "numpy.RandomState.randint": (2048, numpy.randint(0, 2048, 3400).tolist()),
        # Numbers just below a power of two are rejected so rarely that the top bits are all there.
        "python.randrange": (2**20 - 1, [other.randrange(2**20 - 1) for _ in range(1700)]),
    }


@pytest.mark.parametrize("name", runtimes())
def test_languages(name: str) -> None:
    modulus, draws = runtimes()[name]
    seen, device = seen_by(name, modulus), opened(name)
    k = len(draws) - 20
    found = device.solve(modulus, seen, np.array(draws[:k], np.uint32), 0, 1, k)
    assert found.words is not None and found.matches == k
    assert device.values(modulus, found.words, k, 1, 20).tolist() == draws[k:]
    seed = (98, "init_genrand", 0) if name.startswith("numpy") else (99, "init_by_array", 0)
    assert device.unseed(found.words, 10) == seed


def test_what_draws_show() -> None:
    assert view(recipe("php71.mt_rand"), 1000) == View(0, 3, 2**32 % 1000 / 2**32)
    assert view(recipe("php71.mt_rand"), 1024) == View(0, 10, 0.0)
    assert view(recipe("mt19937.mod"), 24) == View(0, 3, 0.0)
    assert view(recipe("numpy.RandomState.randint"), 1000) == View(0, 10, 24 / 1024)
    assert view(recipe("python.randrange"), 1024) == View(21, 11, 0.5)
    assert isinstance(view(recipe("mt19937.mod"), 125), str)
    assert isinstance(view(recipe("python.random"), 1000), str)
    assert isinstance(view(recipe("xoshiro256pp.mod"), 8), str)


@pytest.mark.parametrize("name", ["xorshift64.mod", "php71.mt_rand", "python.random"])
def test_known_answers_are_asked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Gf2Device(recipe(name))
    answers = gf2.known_answers(recipe(name))
    assert device.check() == sum(len(a[3]) for a in answers)
    seed, modulus, first, (head, *rest) = answers[-1]
    wrong = [*answers[:-1], (seed, modulus, first, ((head + 1) % modulus, *rest))]
    monkeypatch.setattr(gf2, "known_answers", lambda _: wrong)
    with pytest.raises(DeviceError, match="wrongly"):
        device.check()


# ------------------------------------------------------------------------------------------------- the step


@pytest.fixture
def noisy(tmp_path: Path) -> tuple[Path, list[int], list[int]]:
    """(file, state, next outputs) of 100 draws of xorshift64 at skip 2, 30 of them wrong, and 30 clean ones after."""
    rng = np.random.default_rng(11)
    state = random_state("xorshift64", rng)
    clean = planted("xorshift64", state, 1000, 150, 2)
    draws = spoil(clean, rng.choice(100, 30, replace=False), 1000, rng)
    return write_draws(tmp_path, draws[:130].tolist()), state, clean[130:].tolist()


@pytest.mark.parametrize("np_", [1, 2])
def test_any_ranks_the_same_result(tmp_path: Path, noisy: tuple[Path, list[int], list[int]], np_: int) -> None:
    path, state, after = noisy
    flags = ("--family", "xorshift64", "--modulus", 1000, "--skip-max", 4, "--max-wrong", 0.3, "--window", 100)
    alone = recover(["--draws", path, *flags, "--output-dir", tmp_path / "alone"])
    ended = recover(["--draws", path, *flags, "--output-dir", tmp_path / "run"], np_)
    assert (alone.code, ended.code) == (0, 0), ended.stderr
    summary = ended.summary
    assert (summary["verdict"], summary["survivors_at"], summary["state"]) == ("found", [2], [f"{state[0]:#018x}"])
    assert (summary["next_outputs"], summary["ranks"]) == (after, np_)
    best = summary["best"]
    # At least the draws that settled the state were right in their low bits.
    assert best["unused"] <= 100 - 22 and best["unused_matches"] <= best["matches"] == 70
    assert -150 < best["log10_E"] < -100 and best["seed"] == state[0]
    for one in (alone.summary, summary):
        for key in ("wall_seconds", "device_seconds", "ranks"):
            del one[key]
    assert summary == alone.summary


def test_random_draws_give_nothing(tmp_path: Path) -> None:
    draws = write_draws(tmp_path, uniform(8, 130, 1000))
    flags = ("--family", "xorshift32", "--max-wrong", 0.3, "--skip-max", 3, "--output-dir", tmp_path / "run")
    ended = recover(["--draws", draws, *flags])
    assert (ended.code, ended.summary["survivors"], ended.summary["best"]) == (1, 0, None)
    assert ended.summary["n_hypotheses"] > 4 and ended.summary["gaps"] == []
    assert "NOTHING FOUND" in ended.stdout


def test_few_spare_draws_are_no_proof(tmp_path: Path) -> None:
    """A window of a 32-bit state mod 2: 36 draws, of which 32 settle it; the rest match by luck once in 16."""
    draws = planted("xorshift32", [77], 2, 36, 0).tolist()
    flags = (
        "--family",
        "xorshift32",
        "--modulus",
        2,
        "--window",
        36,
        "--skip-max",
        9,
        "--output-dir",
        tmp_path / "run",
    )
    ended = recover(["--draws", write_draws(tmp_path, draws), *flags])
    assert (ended.code, ended.summary["verdict"], ended.summary["best"]["seed"]) == (1, "candidate", 77)
    assert ended.summary["best"]["log10_E"] == pytest.approx(np.log10(10 / 16), abs=1e-6)


def test_json_and_folders(tmp_path: Path, noisy: tuple[Path, list[int], list[int]]) -> None:
    flags = ["--draws", noisy[0], "--family", "xorshift64", "--skip-min", 2, "--max-wrong", 0.3, "--window", 100]
    first = recover([*flags, "--output-dir", tmp_path / "run", "--json"])
    assert json.loads(first.stdout) == first.summary and first.code == 0
    again = recover([*flags, "--output-dir", tmp_path / "run"])
    assert again.code == 0 and again.summary["state"] == first.summary["state"]
    other = recover([*flags, "--skip-min", 3, "--output-dir", tmp_path / "run"])
    assert other.code == 2 and "another search" in other.stderr and other.summary == again.summary
    dry = recover([*flags, "--output-dir", tmp_path / "dry", "--dry-run"])
    assert dry.code == 0 and not (tmp_path / "dry").exists()


REFUSED: list[tuple[Sequence[object], tuple[str, ...]]] = [
    (("--family", "xorshift33"), ("did you mean 'xorshift32'?",)),
    (("--family", "xorshift32", "--recipe", "xorshift32.mod"), ("either --family", "or --recipe")),
    ((), ("either --family",)),
    (("--family", "java"), ("not linear", "--recipe java.mod --method lift")),
    (("--family", "pcg32"), ("not linear", "prng_mpi.sieve --recipe pcg32.mod")),
    (("--family", "xoshiro256pp"), ("not linear", "prng_mpi.sieve")),
    (("--family", "xorshift64star"), ("not linear", "prng_mpi.sieve")),
    (("--family", "xorshift32", "--modulus", 1001), ("odd modulus", "prng_mpi.sieve")),
    (("--recipe", "python.random"), ("power of two",)),
    (("--recipe", "python.randrange"), ("reject", "prng_mpi.sieve")),
    (("--family", "mt19937"), ("19937 bits", "6915 draws", "never fewer than 6646")),
    (("--family", "xorshift128", "--window", 40), ("40 draws", "never fewer than 43")),
    (("--family", "xorshift128", "--max-wrong", 0.5), ("--max-trials", "wrong draws of 90 would do")),
    (("--family", "xorshift32", "--max-wrong", 1), ("no draw that is right",)),
    (("--family", "xorshift32", "--skip-min", 4, "--skip-max", 3), ("min <= max",)),
    (("--family", "xorshift32", "--window", 121), ("121 draws", "has 120")),
    (("--family", "xorshift32", "--draws", "nowhere.json"), ("nowhere.json",)),
]


@pytest.mark.parametrize(("more", "words"), REFUSED)
def test_what_can_not_work_is_refused(tmp_path: Path, more: Sequence[object], words: tuple[str, ...]) -> None:
    draws = write_draws(tmp_path, uniform(1, 120, 1000))
    ended = recover(["--draws", draws, "--output-dir", tmp_path / "run", *more])
    assert ended.code == 2, ended.stderr
    assert len(ended.complaints) == 1 and "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.complaints[0]
    assert not (tmp_path / "run").exists()


def test_noise_in_mt19937_is_refused(tmp_path: Path) -> None:
    draws = write_draws(tmp_path, uniform(1, 7000, 1000))
    ended = recover(["--draws", draws, "--family", "mt19937", "--max-wrong", 0.1, "--output-dir", tmp_path / "run"])
    assert ended.code == 2 and "--max-wrong 0" in ended.complaints[0]


FAIL = """
from prng_mpi.comm import launched
from prng_mpi.errors import DeviceError
honest = recover.attempt_at
def broken(device, job, skip):
    if (launched() or (0, 1))[0] == 1:
        FAILS
    return honest(device, job, skip)
recover.attempt_at = broken
"""


@pytest.mark.parametrize(
    ("fails", "code", "words"),
    [
        ("raise DeviceError('the lamp is out')", 7, "the lamp is out"),
        ("raise ValueError('a slip')", 3, "a slip"),
        ("import time; time.sleep(60)", 3, "no rank has answered for 1 s, skip 1 is still open"),
    ],
)
def test_a_rank_that_fails_ends_the_job_with_its_cause(
    tmp_path: Path, noisy: tuple[Path, list[int], list[int]], fails: str, code: int, words: str
) -> None:
    flags = ("--family", "xorshift64", "--skip-max", 3, "--max-wrong", 0.3, "--window", 100, "--answer-timeout", 1)
    argv = ["--draws", noisy[0], *flags, "--output-dir", tmp_path / "run"]
    ended = recover(argv, 2, FAIL.replace("FAILS", fails), timeout=30)
    assert ended.code == code, ended.stderr
    assert words in ended.stderr
    assert ended.summary == {}


def test_ctrl_c_ends_it(tmp_path: Path, noisy: tuple[Path, list[int], list[int]]) -> None:
    press = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    patch = FAIL.replace("[0] == 1", "[0] == 0").replace("FAILS", press)
    flags = ("--family", "xorshift64", "--skip-max", 3, "--max-wrong", 0.3, "--window", 100)
    ended = recover(["--draws", noisy[0], *flags, "--output-dir", tmp_path / "run"], patch=patch)
    assert (ended.code, ended.summary) == (5, {}) and "stopped as asked" in ended.stderr
