"""Directions, varying skips, draws known in part and seed spaces, started as a user does."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from prng_mpi.recipes import recipe
from support import Ended, run_sieve, survivors, uniform, write_draws
from test_directions import PATTERN, planted

JAVA = recipe("java.nextInt")
SEED = 54_321


def ended(folder: Path, draws: Path, *more: object, np_: int | None = None) -> Ended:
    """A search of a hundred thousand seeds; a flag given again takes the place of the first."""
    common = ("--draws", draws, "--recipe", "java.nextInt", "--device", "cpu", "--output-dir", folder / "run")
    return run_sieve([*common, *more], np_)


SEEDS = ("--seed-end", 100_000)


def found(run: Ended) -> dict[str, Any]:
    """The best survivor of a run that found its seed."""
    assert (run.code, run.summary["verdict"]) == (0, "found"), run.stdout + run.stderr
    assert run.complaints == [] and "FOUND" in run.stdout
    best: dict[str, Any] = run.summary["best"]
    assert best["confirmed"] and best["verified"]
    return best


def refused(run: Ended) -> str:
    """The one sentence of a run that did not start."""
    assert (run.code, len(run.complaints)) == (2, 1), run.stderr
    assert "Traceback" not in run.stderr
    return run.complaints[0]


def write_text(folder: Path, words: list[object]) -> Path:
    path = folder / "draws.txt"
    path.write_text(" ".join(map(str, words)))
    return path


# ------------------------------------------------------------------------------------------------------------- directions


@pytest.fixture(scope="module")
def middle() -> list[int]:
    return planted(JAVA, 1000, SEED, skips=(3,), offset=2, before=30, after=30)


def test_reverse_explains_the_draws_before_the_windows_start(tmp_path: Path, middle: list[int]) -> None:
    # Those after it are another generator's.
    draws = write_draws(tmp_path, middle[:30] + uniform(1, 30, 1000))
    asked = (*SEEDS, "--window-start", 30, "--window", 10, "--skip-max", 5, "--offset-max", 3)
    run = ended(tmp_path, draws, *asked, "--direction", "reverse")
    best = found(run)
    assert (best["seed"], best["skip"], best["offset"], best["window_start"]) == (SEED, 3, 2, 30)
    assert (best["matches"], best["heldout"], best["heldout_matches"]) == (10, 20, 20)
    assert "draws 29 back to 20 of 60" in run.stdout
    # The other directions do not find it, and are other searches.
    for other in ("forward", "both", "turned"):
        assert "another search" in refused(ended(tmp_path, draws, *asked, "--direction", other))
        nothing = ended(tmp_path / other, draws, *asked, "--direction", other)
        assert (nothing.code, nothing.summary["survivors"]) == (1, 0)


def test_reverse_goes_on_where_the_history_ends(tmp_path: Path, middle: list[int]) -> None:
    """Seeded after the last draw: nothing lies ahead, and what comes next is output `offset` + skip on."""
    run = ended(
        tmp_path, write_draws(tmp_path, middle[:30]), *SEEDS, "--window-start", 30, "--window", 12, "--direction", "reverse",
        "--skip-max", 3, "--offset-max", 2,
    )  # fmt: skip
    assert found(run)["next_outputs"] == planted(JAVA, 1000, SEED, skips=(3,), offset=2, before=0, after=20)


def test_both_directions_at_once(tmp_path: Path, middle: list[int]) -> None:
    asked = (*SEEDS, "--window-start", 30, "--window", 10, "--skip-max", 5, "--offset-max", 3, "--direction", "both")
    run = ended(tmp_path, write_draws(tmp_path, middle), *asked)
    best = found(run)
    assert (best["seed"], best["skip"], best["offset"]) == (SEED, 3, 2)
    assert (best["matches"], best["draws"], best["heldout_matches"]) == (20, 20, 20)
    assert "draws 30 to 39 and draws 29 back to 20" in run.stdout
    assert "10 of 10 draws and 10 of 10 draws behind" in run.stdout


def test_a_turned_window_is_said_to_be_a_null(tmp_path: Path, middle: list[int]) -> None:
    run = ended(tmp_path, write_draws(tmp_path, middle), *SEEDS, "--window-start", 30, "--direction", "turned")
    assert (run.code, run.summary["verdict"], run.summary["survivors"]) == (1, "chance", 0)
    assert "null" in run.stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--direction", "reverse"), ("--direction reverse", "--window-start", "1 to 60")),
        (("--direction", "both"), ("--direction both", "at least 1")),
        (("--direction", "backward"), ("--direction", "reverse")),
        (("--direction", "reverse", "--window-start", 61), ("61", "1 to 60")),
        (("--direction", "reverse", "--window-start", 9, "--recipe", "lcg.mod", "--param", "a=2"),
         ("can't run backwards", "--direction forward")),
        (("--max-misses", 2), ("--max-misses", "--hybrid")),
        (("--hybrid", "strict"), ("--hybrid", "strict_continuous")),
        (("--hybrid", "strict_continuous", "--skip-min", 11), ("--skip-min 11", "strict_continuous", "--skip-max")),
        (("--method", "lift", "--direction", "reverse", "--window-start", 9), ("--method lift", "use --method lanes")),
        (("--method", "invert", "--hybrid", "strict_continuous"), ("--method invert", "use --method lanes")),
        (("--seeds", "bits:16", "--seed-start", 5), ("--seeds", "leave out --seed-start and --seed-end")),
        (("--seeds", "bits:16", "--seed-end", 5), ("--seeds", "leave out --seed-start and --seed-end")),
        (("--seeds", "bits:49"), ("--seeds bits:49", str(2**48))),
        (("--seeds", "byts:16"), ("did you mean 'bits'",)),
        (("--seeds", "unix:2024-02-30..2024-03-01"), ("2024-02-30",)),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_in_one_sentence(
    more: tuple[object, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    draws = write_draws(tmp_path, uniform(1, 60, 1000))
    if not words:
        # A least skip above the strategy's largest is a range of one.
        assert ended(tmp_path, draws, *SEEDS, *more, "--dry-run").code == 0
        return
    said = refused(ended(tmp_path, draws, *more))
    assert all(word in said for word in words), said


# ------------------------------------------------------------------------------------------------------------------ hybrid


@pytest.fixture(scope="module")
def varying() -> list[int]:
    return planted(JAVA, 10**6, SEED, skips=PATTERN, offset=1, before=30, after=30)


HYBRID = ("--hybrid", "strict_continuous", "--offset-min", 1, "--window-start", 30, "--window", 12, "--modulus", 10**6)


def _paths(folder: Path) -> dict[str, Any]:
    with h5py.File(folder / "results.h5") as file:
        return {name: file["paths"][name][:] for name in ("survivor", "skips", "matched")}


def _paths_fit(folder: Path, k: int, skips: tuple[int, int], misses: int) -> int:
    """/paths holds the path of each survivor: its matches, skips within range, no more misses in a row. Their number."""
    paths, rows = _paths(folder), survivors(folder)
    assert paths["skips"].shape == paths["matched"].shape == (len(paths["survivor"]), k)
    assert len(np.unique(paths["survivor"])) == len(paths["survivor"])
    assert (paths["matched"].sum(axis=1) == rows["matches"][paths["survivor"]]).all()
    assert (paths["skips"] >= skips[0]).all() and (paths["skips"] <= skips[1]).all()
    for matched in paths["matched"]:
        assert max(map(len, "".join(map(str, matched)).split("1"))) <= misses
    return len(paths["survivor"])


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_a_skip_that_varies(direction: str, tmp_path: Path, varying: list[int]) -> None:
    run = ended(tmp_path, write_draws(tmp_path, varying), "--seed-end", 60_000, *HYBRID, "--direction", direction)
    best = found(run)
    path = [*PATTERN, *PATTERN] if direction == "forward" else [0, *PATTERN[::-1], *PATTERN[:0:-1]]
    assert (best["seed"], best["offset"], best["path"]) == (SEED, 1, path)
    assert best["heldout_matches"] == best["heldout"] == 18
    assert "skips " + " ".join(map(str, path)) in run.stdout
    assert "any skip of 0 to 10 before each draw, at most 3 misses in a row" in run.stdout
    paths = _paths(tmp_path / "run")
    assert paths["skips"].tolist() == [path] and paths["matched"].all() and paths["survivor"].tolist() == [0]


def test_a_hybrid_search_on_one_rank_and_two_and_resumed_gives_the_same(tmp_path: Path) -> None:
    draws = write_draws(tmp_path, uniform(8, 40, 100))
    loose = (
        "--hybrid", "strict_continuous", "--skip-min", 2, "--skip-max", 4, "--max-misses", 2, "--modulus", 100,
        "--window-start", 20, "--window", 8, "--threshold", 0.3, "--seed-end", 60_000, "--chunk-seconds", 0.05,
        "--offset-max", 2, "--direction", "reverse",
    )  # fmt: skip
    one = ended(tmp_path / "one", draws, *loose)
    two = ended(tmp_path / "two", draws, *loose, np_=2)
    assert (one.code, two.code) == (1, 1), one.stderr + two.stderr
    assert one.summary["survivors"] > 50
    assert one.summary["payload_hash"] == two.summary["payload_hash"]
    for name in ("one", "two"):
        # Behind, the draw next to the boundary has no skip of its own.
        assert _paths_fit(tmp_path / name / "run", 8, (0, 4), 2) == one.summary["survivors"]
    tables = [_paths(tmp_path / name / "run") for name in ("one", "two")]
    assert all((tables[0][key] == tables[1][key]).all() for key in tables[0])
    # Stopped at once and gone on with, by another number of ranks.
    stopped = ended(tmp_path / "three", draws, *loose, "--time-limit", 0)
    assert stopped.code == 4 and stopped.summary["seeds_done"] < 60_000
    rest = ended(tmp_path / "three", draws, *loose, "--resume", np_=2)
    assert rest.summary["seeds_done"] == 60_000
    assert rest.summary["payload_hash"] == one.summary["payload_hash"]
    assert "another search" in refused(ended(tmp_path / "three", draws, *loose, "--max-misses", 1))


def test_a_constant_skip_has_no_paths(tmp_path: Path, middle: list[int]) -> None:
    found(ended(tmp_path, write_draws(tmp_path, middle[30:]), *SEEDS, "--skip-min", 3, "--offset-min", 2))
    with h5py.File(tmp_path / "run" / "results.h5") as file:
        assert "paths" not in file


# ---------------------------------------------------------------------------------------------------- draws known in part


def _partly(draws: list[int]) -> list[object]:
    """The words of someone who saw some calls only in part: one to eight of ten draws in full."""
    words: list[object] = [*draws]
    words[1] = f"{{{draws[1]},{(draws[1] + 500) % 1000}, 3}}"
    words[2] = f"[{max(0, draws[2] - 40)}, {min(999, draws[2] + 9)}]"
    words[4] = "?"
    words[6] = f">{draws[6] - 1}" if draws[6] else ">=0"
    words[7] = f"<={draws[7]}"
    words[9:14] = ["?x5"]
    return words


def test_draws_known_in_part(tmp_path: Path, middle: list[int]) -> None:
    draws = middle[30:]
    run = ended(
        tmp_path, write_text(tmp_path, _partly(draws)), *SEEDS, "--window", 12, "--skip-max", 5, "--offset-max", 3
    )
    best = found(run)
    # Of 30 calls six are unknown.
    assert (best["seed"], best["skip"], best["offset"], best["matches"]) == (SEED, 3, 2, 12)
    assert (best["heldout"], best["heldout_matches"]) == (12, 12)
    assert "known in part" in run.stdout
    longer = planted(JAVA, 1000, SEED, skips=(3,), offset=2, before=0, after=50)
    assert best["next_outputs"] == longer[30:]


def test_draws_known_in_part_behind_the_boundary(tmp_path: Path, middle: list[int]) -> None:
    words = [*_partly(middle[:30]), *middle[30:]]
    # Twenty-four draws are left of the first thirty calls.
    asked = ("--window-start", 24, "--window", 20, "--skip-max", 5, "--offset-max", 3)
    for direction, matches in (("reverse", 20), ("both", 40)):
        run = ended(tmp_path / direction, write_text(tmp_path, words), *SEEDS, *asked, "--direction", direction)
        best = found(run)
        assert (best["seed"], best["skip"], best["offset"], best["matches"]) == (SEED, 3, 2, matches)


def test_a_gap_of_unknown_length_needs_a_skip_that_varies(tmp_path: Path, middle: list[int]) -> None:
    words: list[object] = [*middle[30:]]
    words[5:9] = ["?x2..6"]
    draws = write_text(tmp_path, words)
    said = refused(ended(tmp_path, draws, *SEEDS, "--window", 12, "--skip-max", 3))
    assert "add --hybrid" in said
    best = found(
        ended(
            tmp_path, draws, *SEEDS, "--window", 12, "--hybrid", "strict_continuous", "--skip-min", 3, "--skip-max", 3,
            "--offset-min", 2,
        )
    )  # fmt: skip
    assert (best["seed"], best["matches"]) == (SEED, 12)
    # Four calls lie in the gap: five times four outputs less one are discarded.
    assert best["path"] == [3] * 5 + [19] + [3] * 6
    assert best["heldout_matches"] == best["heldout"] == 14


# ------------------------------------------------------------------------------------------------------------- seed spaces

HOUR = 1_709_164_800  # 2024-02-29 00:00 UTC


@pytest.mark.parametrize(
    ("seeds", "seed", "hypotheses"),
    [
        ("unix:2024-02-28..2024-03-01", HOUR + 4000, 3 * 86_400),
        ("unix:2024-02-29T01:00:00+01:00..2024-02-29T02:00:00Z", HOUR, 7201),
        (f"unix-ms:{1000 * HOUR}..{1000 * HOUR + 99_999}", 1000 * HOUR + 54_321, 100_000),
        ("day-ms", 54_321_987, 86_400_000),
        ("bits:16", 54_321, 65_536),
        ("50_000:60_000", 54_321, 10_000),
        (f"unix+pid:{HOUR}..{HOUR + 99}", HOUR + 50 + 4711, 100 + 32_767),
        (f"unix^pid:{HOUR}..{HOUR + 99}", HOUR + 50 ^ 4711, 65_536),
        (f"unix+pid:{HOUR}..{HOUR + 99},pid=1000..1999", HOUR + 99 + 1999, 100 + 999),
    ],
)
def test_seed_spaces(seeds: str, seed: int, hypotheses: int, tmp_path: Path) -> None:
    draws = write_draws(tmp_path, planted(JAVA, 1000, seed, skips=(0,), offset=0, before=0, after=25))
    run = ended(tmp_path, draws, "--seeds", seeds, "--window", 10)
    assert found(run)["seed"] == seed
    assert run.summary["seeds_asked"] == run.summary["n_hypotheses"] == hypotheses


@pytest.mark.parametrize("name", ["php71.mt_rand", "java.nextInt"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "both"])
def test_a_clock_times_a_process_id(name: str, direction: str, tmp_path: Path) -> None:
    """PHP's way to seed; process ids are 1000 to 1999, so that indices are padded."""
    which, time, pid = recipe(name), HOUR + 77, 1999
    seed = time * pid % 2**32
    draws = write_draws(tmp_path, planted(which, 1000, seed, skips=(1,), offset=0, before=25, after=25))
    space = f"unix*pid:{HOUR}..{HOUR + 99},pid=1000..1999"
    asked = ("--recipe", name, "--seeds", space, "--window-start", 25, "--window", 10, "--skip-max", 2)
    run = ended(tmp_path, draws, *asked, "--direction", direction)
    best = found(run)
    assert (best["seed"], best["skip"], run.summary["survivors"]) == (seed, 1, 1)
    assert run.summary["n_hypotheses"] == 3 * 100 * 1000
    assert survivors(tmp_path / "run")["seed"].tolist() == [seed]
    assert "100 000 pairs of a time and a process id" in run.stdout


def test_a_clock_times_a_process_id_with_a_skip_that_varies_on_two_ranks(tmp_path: Path) -> None:
    seed = (HOUR + 5) * 4999 % 2**32
    draws = write_draws(tmp_path, planted(JAVA, 10**6, seed, skips=PATTERN, offset=0, before=0, after=25))
    asked = ("--modulus", 10**6, "--window", 10, "--hybrid", "strict_continuous")
    space = f"unix*pid:{HOUR}..{HOUR + 9},pid=4000..4999"
    runs = [ended(tmp_path / str(n), draws, *asked, "--seeds", space, np_=n) for n in (None, 2)]
    assert [found(run)["seed"] for run in runs] == [seed, seed]
    assert len({run.summary["payload_hash"] for run in runs}) == 1


def test_chance_counts_of_a_padded_space_are_of_its_pairs(tmp_path: Path) -> None:
    """Padding is searched by the kernel but is no hypothesis, so it must not survive."""
    draws = write_draws(tmp_path, uniform(random.Random(3).randrange(99), 20, 50))
    run = ended(
        tmp_path, draws, "--modulus", 50, "--window", 4, "--threshold", 0.5, "--seeds", f"unix*pid:{HOUR}..{HOUR + 99},pid=1..1025",
    )  # fmt: skip
    summary = run.summary
    assert summary["n_hypotheses"] == 100 * 1025
    assert abs(summary["survivors"] - summary["expected_by_chance"]) < 5 * summary["expected_by_chance"] ** 0.5
