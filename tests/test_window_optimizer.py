"""The window optimiser: what a trial looks at and what it is worth, the same table whatever happens on the way, and signal
told from noise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import support
from prng_mpi import spaces
from prng_mpi.errors import UsageError
from prng_mpi.history import read_history
from prng_mpi.recipes import recipe
from prng_mpi.study import EXPLORE, Study
from prng_mpi.trials import CONSTANT, Ground, Look, Runner, Trial, confirmed, decoy
from prng_mpi.window_optimizer import ALL, Space, _split, above_decoys
from support import TOP, Ended, events, uniform, until, write_draws

# Draws of a real java.util.Random, three calls before each.
SEED = 195936478
JAVA = [each["draw"] for each in json.loads((TOP / "examples" / "java_nextint.json").read_text())]
# Trials asked for at a time, unless a study says otherwise.
BATCH = 8
# So many draws of something else before them.
NOISE = 37
SEEDS = (195_900_000, 196_000_000)


class Run(support.Run):
    STEP = "window_optimizer"


def run(argv: list[object], np_: int | None = None, timeout: float = 200) -> Ended:
    return Run(argv, np_).wait(timeout)


# -- one trial ----------------------------------------------------------------------------------------------------------


def trial(**more: Any) -> Trial:
    """A trial at the first of the real draws."""
    values: dict[str, Any] = {
        "number": 0, "recipe": "java.nextInt", "session": ALL, "direction": "forward", "strategy": CONSTANT, "window": 20,
        "window_start": NOISE, "skip_min": 0, "skip_max": 5, "offset_max": 0, "threshold": 1.0,
    }  # fmt: skip
    return Trial(**values | more)


def ground(folder: Path, draws: Any, looks: int = 10, share: float = 0.2) -> tuple[Ground, dict[str, Any]]:
    """What trials over a history share, and the draws held out."""
    path = folder / "history.json"
    path.write_text(json.dumps(draws))
    seen, heldout = _split(read_history(path), (), share)
    seeds = {"java.nextInt": spaces.interval(SEED - 20_000, SEED + 20_000)}
    return Ground(seen, seeds, 1000, looks, 0, 1e5, 60.0), heldout


def look(ground_: Ground, trial_: Trial, history: str = "real") -> Look:
    outcome = Runner(ground_, "cpu", 0)(trial_.number, trial_, lambda: False)
    assert outcome is not None
    return Look(**outcome.result[history])


@pytest.fixture
def planted(tmp_path: Path) -> Ground:
    return ground(tmp_path, uniform(3, NOISE, 1000) + JAVA)[0]


def test_the_objective_is_evidence_over_all_trials(planted: Ground) -> None:
    found = look(planted, trial())
    # 40,000 seeds, 6 skips, 10 trials; each of 20 draws has a chance of 1 in 1000, up to Java's rounding of ranges.
    assert (found.seed, found.skip, found.offset, found.matches, found.hypotheses) == (SEED, 3, 0, 20, 240_000)
    assert found.objective == pytest.approx(60 - np.log10(240_000 * 10), abs=1e-4)
    assert look(replace(planted, looks=1000), trial()).objective == pytest.approx(found.objective - 2)


def test_more_survivors_are_no_better(planted: Ground) -> None:
    loose = trial(window=10, window_start=0, threshold=0.1, skip_max=16)
    many = look(replace(planted, most=1e9), loose)
    assert many.matches and many.objective < planted.nothing < 0
    hopeless = look(planted, replace(loose, offset_max=63))
    assert "hopeless" in hopeless.note and hopeless.objective < many.objective


@pytest.mark.parametrize(("later", "offset_max", "offset"), [(0, 0, 0), (3, 12, 12), (3, 11, None), (5, 63, 20)])
def test_a_window_that_begins_later_is_that_many_outputs_on(
    later: int, offset_max: int, offset: int | None, planted: Ground
) -> None:
    found = look(planted, trial(window_start=NOISE + later, offset_max=offset_max))
    assert (found.offset if found.matches else None) == offset


@pytest.mark.parametrize("direction", ["reverse", "both"])
def test_directions(direction: str, planted: Ground) -> None:
    found = look(planted, trial(direction=direction, window=12, window_start=NOISE + 12, offset_max=48))
    assert (found.seed, found.offset, found.matches) == (SEED, 48, 12 if direction == "reverse" else 24)


def test_the_threshold_is_the_trials(tmp_path: Path) -> None:
    noisy = [d if i % 4 else (d + 1) % 1000 for i, d in enumerate(JAVA)]
    ground_, _ = ground(tmp_path, uniform(3, NOISE, 1000) + noisy)
    assert look(ground_, trial(threshold=0.75)).matches == 15
    assert look(ground_, trial(threshold=0.76)) == Look(ground_.nothing, 240_000, 20, 16)


def test_the_session_is_the_trials(tmp_path: Path) -> None:
    noise = iter(uniform(3, 200, 1000))
    rows = [{"draw": next(noise), "session": "evening"} for _ in range(NOISE)]
    for draw in JAVA:
        rows += [{"draw": next(noise), "session": "morning"}, {"draw": draw, "session": "evening"}]
    ground_, heldout = ground(tmp_path, rows)
    assert {name: len(history.draws) for name, history in ground_.histories.items()} == {
        ALL: 174,
        "evening": 105,
        "morning": 69,
    }
    assert look(ground_, trial(session="evening")).seed == SEED
    assert not look(ground_, trial()).matches
    found = confirmed(trial(session="evening"), look(ground_, trial(session="evening")), ground_, heldout["evening"])
    assert (found["heldout"], found["heldout_matches"], found["confirmed"]) == (22, 22, True)


def test_confirmed_on_draws_that_no_trial_sees(tmp_path: Path) -> None:
    ground_, heldout = ground(tmp_path, uniform(3, NOISE, 1000) + JAVA)
    assert heldout[ALL].tolist() == JAVA[-25:] and len(ground_.histories[ALL].draws) == NOISE + 65
    for one in (trial(), trial(direction="reverse", window=10, window_start=50, offset_max=52)):
        found = confirmed(one, look(ground_, one), ground_, heldout[ALL])
        assert (found["heldout_matches"], found["verified"]) == (25, True)
    varies = trial(strategy="strict_continuous", skip_max=10)
    assert confirmed(varies, look(ground_, varies), ground_, heldout[ALL])["confirmed"]
    others, _ = ground(tmp_path, uniform(3, NOISE, 1000) + JAVA[:-25] + uniform(4, 25, 1000))
    assert look(others, trial()) == look(ground_, trial())
    assert (
        confirmed(trial(), look(others, trial()), others, np.array(uniform(4, 25, 1000), np.uint32))["confirmed"]
        is False
    )


def test_a_decoy_is_the_same_draws_in_another_order(planted: Ground) -> None:
    history = planted.histories[ALL]
    shuffled = [decoy(history, seed, number).draws for seed, number in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert all(sorted(each) == sorted(history.draws) for each in shuffled)
    assert len({each.tobytes() for each in [history.draws, *shuffled]}) == 4
    assert shuffled[0].tobytes() == shuffled[3].tobytes()
    assert look(planted, trial(), "decoy") == Look(planted.nothing, 240_000, 20, 20)


def test_a_thousand_times_the_evidence_of_decoys_stands_out() -> None:
    assert above_decoys(4.0, 1.0) and not above_decoys(3.9, 1.0) and not above_decoys(80.0, 80.0)


# -- the space ----------------------------------------------------------------------------------------------------------


class Ends:
    """Suggests the least or the greatest of everything."""

    def __init__(self, last: bool) -> None:
        self.last = last

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return choices[-1 if self.last else 0]

    def suggest_int(self, name: str, low: int, high: int) -> int:
        assert low <= high
        return high if self.last else low

    suggest_float = suggest_int


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "both"])
@pytest.mark.parametrize("start", [(0, 1000), (30, 30), (0, 8)])
def test_every_corner_of_the_space_is_a_search(
    last: bool, direction: str, start: tuple[int, int], planted: Ground
) -> None:
    sizes = {ALL: len(planted.histories[ALL].draws)}
    space = Space(("java.nextInt",), sizes, (direction,), (CONSTANT,), (8, 500), start, (2, 5), (0, 9), (0.4, 1.0))
    space.check(planted)
    chosen = space.choose(7, Ends(last))
    search = chosen.search(planted.histories[ALL], 1000)
    assert start[0] <= search.window_start <= start[1] and len(search.sides[0].draws) == chosen.window
    assert (search.skips, search.offsets) == (((5, 5), (0, 9)) if last else ((2, 2), (0, 0)))


def test_no_window_that_fits(planted: Ground) -> None:
    space = Space(
        ("java.nextInt",), {ALL: 102}, ("forward",), (CONSTANT,), (8, 9), (95, 200), (0, 0), (0, 0), (1.0, 1.0)
    )
    with pytest.raises(UsageError, match="no window of 8 draws fits 102 draws"):
        space.check(planted)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--recipe NAME[,NAME] is missing"),
        (["--recipe", "java.nextInt", "--window", "9:8"], "--window 9:8: needs 1 <= least <= most"),
        (["--recipe", "java.nextInt", "--skip", "few"], "--skip few: write one number"),
        (["--recipe", "java.nextInt", "--threshold", "0.5:2"], "--threshold 0.5:2: needs 0.01 <= least <= most <= 1.0"),
        (["--recipe", "java.nextInt", "--sessions", "noon"], "--sessions noon"),
        (["--recipe", "java.nextInt", "--trials", "0"], "--trials: 0 is below the least allowed, 1"),
        (["--recipe", "java.nextInt", "--window", "500"], "no window of 500 draws fits"),
    ],
)  # fmt: skip
def test_bad_input_starts_nothing(flags: list[str], said: str, tmp_path: Path) -> None:
    draws = write_draws(tmp_path, uniform(1, 60, 1000))
    ended = run(["--draws", draws, *flags, "--output-dir", tmp_path / "run"])
    assert ended.code == 2 and said in ended.stderr and len(ended.complaints) == 1
    assert not (tmp_path / "run").exists()


# -- the study's choices ------------------------------------------------------------------------------------------------


def choices(folder: Path, count: int, value: Callable[[int, int], float]) -> list[Any]:
    """What a study tries when trial n with parameter a is worth value(n, a)."""
    study_ = Study(folder / "journal", "name", 5, 0.0)
    tried: list[Any] = []
    while len(tried) < count:
        batch = [
            study_.ask(lambda _, t: (t.suggest_int("a", 0, 999), t.suggest_float("b", 0, 1))) for _ in range(BATCH)
        ]
        for number, (a, _) in enumerate(batch, len(tried)):
            study_.tell(number, value(number, a))
        tried += batch
    return tried


def test_a_study_repeats_and_learns_from_evidence_only(tmp_path: Path) -> None:
    random = choices(tmp_path, 48, lambda number, a: -a)
    assert choices(tmp_path, 24, lambda number, a: -2.0) == random[:24] and len({*random}) == 48
    taught = choices(tmp_path, 48, lambda number, a: 1.0 + a)
    assert choices(tmp_path, 24, lambda number, a: 1.0 + a) == taught[:24]
    same = [number for number in range(48) if taught[number] == random[number]]
    assert same == [number for number in range(48) if number < BATCH or number % EXPLORE == 0]
    assert np.mean([a for a, _ in taught[24:]]) > np.mean([a for a, _ in random[24:]]) + 100


# -- studies ------------------------------------------------------------------------------------------------------------


def study(folder: Path, name: str, *more: object) -> list[object]:
    """A study that finds the planted seed."""
    draws = write_draws(folder, uniform(3, NOISE, 1000) + JAVA)
    space = (
        "--window-start",
        "0:60",
        "--window",
        "8:30",
        "--skip",
        "0:6",
        "--offset",
        "0:63",
        "--direction",
        "forward",
    )
    seeds = ("--seed-start", SEEDS[0], "--seed-end", SEEDS[1], "--trials", 36, "--study-seed", 2)
    run_ = ("--device", "cpu", "--output-dir", folder / name)
    return ["--draws", draws, "--recipe", "java.nextInt", *space, *seeds, *run_, *more]


def table(folder: Path) -> dict[str, Any]:
    """The trials of results.h5 by column, without what differs from run to run."""
    with h5py.File(folder / "results.h5") as file:
        rows = file["trials"][:]
    return {name: rows[name].tolist() for name in rows.dtype.names if name != "seconds"}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    """The study on one rank where nothing disturbs it."""
    folder = tmp_path_factory.mktemp("calm")
    return run(study(folder, "run")), folder / "run"


def test_a_planted_seed_is_found_in_few_trials(calm: tuple[Ended, Path]) -> None:
    ended, folder = calm
    best, decoys = ended.summary["best"], ended.summary["decoys"]
    assert (ended.code, ended.summary["verdict"], ended.summary["trials_done"]) == (0, "found", 36)
    assert (best["survivor"]["seed"], best["survivor"]["skip"], best["survivor"]["heldout_matches"]) == (SEED, 3, 25)
    assert best["survivor"]["offset"] == 4 * (best["trial"]["window_start"] - NOISE)
    assert decoys["real_above"] and decoys["best_objective"] < 0 and ended.summary["warning"] == ""
    rows = table(folder)
    assert rows["number"] == list(range(36)) and max(rows["objective"]) == best["objective"]
    with h5py.File(folder / "results.h5") as file:
        assert file.attrs["payload_hash"] == ended.summary["payload_hash"] and "trials = 36" in file.attrs["config"]
    assert events(folder)[-1]["kind"] == "final"


@pytest.mark.parametrize("ranks", [2, 3])
def test_any_number_of_ranks_gives_the_same_table(ranks: int, calm: tuple[Ended, Path], tmp_path: Path) -> None:
    ended = run(study(tmp_path, "run"), ranks)
    assert ended.code == 0, ended.stderr
    assert table(tmp_path / "run") == table(calm[1])
    assert ended.summary["payload_hash"] == calm[0].summary["payload_hash"]
    assert len({each["rank"] for each in events(tmp_path / "run") if each["kind"] == "trial_done"}) == ranks


def test_killed_stopped_and_failed_studies_end_as_undisturbed_ones(calm: tuple[Ended, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ended = run(study(tmp_path, "run", "--time-limit", 0))
    assert (ended.code, ended.summary["verdict"]) == (4, "chance"), ended.stderr
    for done, ranks in ((3, 2), (BATCH + 5, None)):
        with Run(study(tmp_path, "run"), ranks) as killed:
            until(lambda done=done: len(list((folder / "trials").glob("*.json"))) >= done, 100, "no trials done")
            killed.kill()
    # A line that a kill has torn off, and a lock that it left.
    with open(folder / "study.journal", "a") as journal:
        journal.write('{"op_code": 5, "wor')
    (folder / "study.journal.lock").symlink_to("study.journal")
    ended = run(study(tmp_path, "run", "--trial-timeout", 0))
    assert ended.code == 6 and "was not through after 0 s" in ended.summary["parked"][0], ended.stderr
    # The draws held out are not looked at before the end.
    assert ended.summary["best"]["survivor"]["seed"] == SEED and ended.summary["best"]["survivor"]["heldout"] == 0
    ended = run(study(tmp_path, "run", "--resume"))
    assert ended.code == 0 and "trials were done before" in ended.stdout
    assert table(folder) == table(calm[1])
    assert ended.summary["payload_hash"] == calm[0].summary["payload_hash"]
    other = run(study(tmp_path, "run", "--trials", 40))
    assert other.code == 2 and "trials" in other.stderr


def test_an_outcome_of_another_trial_is_refused(tmp_path: Path) -> None:
    assert run(study(tmp_path, "run", "--time-limit", 0)).code == 4
    place = tmp_path / "run" / "trials" / "0002.json"
    look_ = asdict(Look(99.0))
    foreign = {"trial": asdict(trial(number=2)), "real": look_, "decoy": look_, "seconds": 0.0}
    for text, said in (
        (json.dumps(foreign), "is not of trial 2 of this study"),
        ('{"trial": ', "is no outcome of a trial"),
    ):
        place.write_text(text)
        ended = run(study(tmp_path, "run"))
        assert ended.code == 9 and f"0002.json {said}" in ended.stderr


def test_real_draws_have_no_signal(tmp_path: Path) -> None:
    draws = TOP / "examples" / "tx_pick3_morning.json"
    # So that chance leaves some seeds in most trials.
    loose = ("--window", "4:6", "--threshold", 0.34, "--seed-end", 40_000)
    flags = ("--recipe", "java.nextInt,mt19937.mod", "--trials", 24, "--device", "cpu", *loose)
    ended = run(["--draws", draws, *flags, "--output-dir", tmp_path / "run"], 2)
    assert (ended.code, ended.summary["trials_done"]) == (1, 24), ended.stderr
    assert ended.summary["verdict"] in ("chance", "candidate") and "NO SIGNAL" in ended.stdout
    assert ended.summary["warning"] == "objective equal on decoys: the optimiser fits noise"
    rows = table(tmp_path / "run")
    for name in ("matches", "decoy_matches"):
        assert sum(map(bool, rows[name])) > 2, "chance survivors on both sides"
    assert abs(max(rows["objective"]) - max(rows["decoy_objective"])) < 3


def test_what_shuffled_draws_give_as_well_is_no_signal(tmp_path: Path) -> None:
    # xorshift's state 0 gives zeros for ever, in whatever order the draws stand.
    draws = write_draws(tmp_path, [0] * 60)
    flags = (
        "--recipe",
        "xorshift32.mod",
        "--trials",
        3,
        "--seed-end",
        1000,
        "--device",
        "cpu",
        "--skip",
        0,
        "--offset",
        0,
    )
    ended = run(["--draws", draws, *flags, "--output-dir", tmp_path / "run"])
    best = ended.summary["best"]
    assert recipe("xorshift32.mod").seed_limit({}) > 1000 and best["survivor"]["confirmed"] and best["objective"] > 6
    assert (ended.code, ended.summary["verdict"]) == (1, "candidate")
    assert "objective equal on decoys" in ended.stdout and "shuffled draws give as much" in ended.stdout


def test_a_hundred_trials_on_four_ranks_within_the_default_limits(tmp_path: Path) -> None:
    ended = run(study(tmp_path, "run", "--trials", 100, "--seed-start", SEED - 500, "--seed-end", SEED + 500), 4)
    assert (ended.code, ended.summary["trials_done"], ended.summary["verdict"]) == (0, 100, "found"), ended.stderr
    assert "limits: max_per_host=6 cooldown=5.0 s (step 1)" in ended.stdout
    started = [each["trial"] for each in events(tmp_path / "run") if each["kind"] == "trial_started"]
    assert sorted(started) == list(range(100))
    # None is begun before the batch before it is told.
    assert [number // BATCH for number in started] == sorted(number // BATCH for number in started)
