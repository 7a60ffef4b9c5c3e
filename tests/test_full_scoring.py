"""Full scoring: streams stand where their survivors' skips and offsets say, nothing of later draws is in a feature, nothing of
earlier ones in a label, and the run survives what happens to runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import support
from kernel_cases import gpu_kind
from prng_mpi import devices, features, full_scoring, streams
from prng_mpi.devices.predict import Predictor
from prng_mpi.errors import IntegrityError, UsageError
from prng_mpi.features import Scorer, View, measure, registry
from prng_mpi.full_scoring import Plan, Scoring, cuts_of
from prng_mpi.recipes import recipe
from prng_mpi.store import open_scores, write_tables
from prng_mpi.streams import Streams
from scoring_cases import NOISE, SEED, SKIP, scoring, sieve, some
from support import TOP, Ended, planted, until, write_draws


class Run(support.Run):
    STEP = "full_scoring"


def run(argv: list[object], np_: int | None = None, timeout: float = 200) -> Ended:
    return Run(argv, np_).wait(timeout)


def plan(read: Streams, spans: int = 3) -> Plan:
    return Plan(read, cuts_of(read.window, len(read.history.draws), 0, spans), Scorer(), {}, Path(), "")


def scored(read: Streams, arrays: str = "numpy", spans: int = 3) -> Any:
    made = Scoring(plan(read, spans), "cpu", 0, 1, arrays, 0.0, 1)(0, len(read.survivors), lambda: False)
    assert made is not None
    return made


GPU = gpu_kind()


# -- streams ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("boundary", "behind"), [(0, 0), (25, 0), (25, 20)])
def test_a_stream_stands_where_skip_and_offset_say(boundary: int, behind: int) -> None:
    read = some(planted(SEED, 200, SKIP, 0.0), 40, boundary, behind)
    device = devices.open_device("cpu", recipe("java.nextInt"), 0, form=read.search().form)
    start = read.window[0]
    p = read.outputs(device, read.survivors, start, 200)
    # The true one shows the draws themselves, those behind the boundary too.
    assert p.dtype == np.int32 and p[0].tolist() == read.history.draws[start:].tolist()
    one = Predictor(recipe("java.nextInt"), 1000)
    for row, survivor in list(zip(p, read.survivors, strict=True))[1:12]:
        skip, offset = int(survivor["skip"]), int(survivor["offset"])
        first = offset + skip + (start - boundary) * (skip + 1)
        assert row.tolist() == one.outputs(int(survivor["seed"]), first, 200 - start, skip + 1).tolist()  # type: ignore[union-attr]


def test_draws_before_the_first_output_have_no_stream() -> None:
    read = some(planted(SEED, 200, SKIP, 0.0), 5, 25)
    device = devices.open_device("cpu", recipe("java.nextInt"), 0)
    with pytest.raises(UsageError, match="before the first output"):
        read.outputs(device, read.survivors, 0, 100)


# -- cuts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [0, 20, 300, 700, 900])
@pytest.mark.parametrize("spans", [1, 4])
@pytest.mark.parametrize("window", [(0, 30), (200, 260)])
def test_labels_come_after_all_that_was_seen(seen: int, spans: int, window: tuple[int, int]) -> None:
    cuts = cuts_of(window, 1000, seen, spans)
    length = int(cuts["label_end"][0] - cuts["label_start"][0])
    assert len(cuts) == spans + 1 and length > 0 and (cuts["used_start"] == window[0]).all()
    assert (cuts["used_end"] == cuts["label_start"]).all() and (cuts["label_end"][:-1] == cuts["label_start"][1:]).all()
    # What is labelled ends with the history, and leaves a span after the window for features to tell chance by.
    assert tuple(cuts[-1])[1:] == (1000, 1000, 1000)
    first = int(cuts["label_start"][0])
    assert first >= max(seen, window[1] + length) and first - max(seen, window[1] + length) < spans + 1


def test_too_short_a_history_has_no_cuts() -> None:
    for window, draws, seen in (((0, 30), 110, 0), ((0, 30), 1000, 1000), ((0, 997), 1000, 0)):
        with pytest.raises(UsageError, match="give a longer history"):
            cuts_of(window, draws, seen, 4)


# -- leakage ------------------------------------------------------------------------------------------------------------


def shuffled(read: Streams, start: int, stop: int) -> Streams:
    draws = read.history.draws.copy()
    draws[start:stop] = np.random.Generator(np.random.PCG64(9)).permutation(draws[start:stop])
    assert (draws != read.history.draws).any()
    return replace(read, history=replace(read.history, draws=draws))


def test_later_draws_are_in_no_feature_and_earlier_ones_in_no_label() -> None:
    read = some(planted(SEED, 600, SKIP, NOISE), 60)
    cuts, calm = plan(read).cuts, scored(read)
    for c, cut in enumerate(cuts[:-1]):
        after, before = (
            scored(shuffled(read, *span)) for span in ((cut["used_end"], 600), (cut["used_start"], cut["label_start"]))
        )
        assert after.features[: c + 1].tobytes() == calm.features[: c + 1].tobytes()
        assert (after.features[c + 1 :] != calm.features[c + 1 :]).any() and (
            before.features[c] != calm.features[c]
        ).any()
        assert before.labels[c:].tobytes() == calm.labels[c:].tobytes()
    p, d = features_of(read), read.history.draws
    for c, cut in enumerate(cuts):
        span = slice(int(cut["label_start"]), int(cut["label_end"]))
        assert calm.labels[c].tolist() == (p[:, span] == d[span]).sum(axis=1).tolist()


def features_of(read: Streams) -> Any:
    device = devices.open_device("cpu", recipe("java.nextInt"), 0)
    return read.outputs(device, read.survivors, 0, len(read.history.draws))


def test_blocks_threads_and_torch_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read = some(planted(SEED, 400, SKIP, NOISE), 50)
    calm = scored(read)
    monkeypatch.setattr(full_scoring, "CORE_VALUES", 7 * 400)
    many = Scoring(plan(read), "cpu", 0, 3, "numpy", 0.0, 1)
    part = many(10, 45, lambda: False)
    assert part is not None and part.labels.tobytes() == calm.labels[:, 10:45].tobytes()
    assert part.features == pytest.approx(calm.features[:, 10:45], rel=1e-3, abs=1e-4)
    assert many(0, 50, lambda: True) is None
    pytest.importorskip("torch")
    assert scored(read, "torch").labels.tobytes() == calm.labels.tobytes()


@pytest.mark.parametrize("kind", ["emulated", *([pytest.param(GPU, marks=pytest.mark.gpu)] if GPU else [])])
def test_a_card_scores_as_a_processor_does(kind: str) -> None:
    pytest.importorskip("torch")
    read = some(planted(SEED, 400, SKIP, NOISE), 50)
    work, calm = Scoring(plan(read), kind, 0, 1, "auto" if kind == GPU else "torch", 0.0, 1), scored(read)
    there = work(0, 50, lambda: False)
    assert there is not None and there.labels.tobytes() == calm.labels.tobytes()
    apart = np.abs(there.features - calm.features) / (1e-3 + np.abs(calm.features))
    assert np.quantile(apart, 0.999) < 0.01


# -- planted and null truth -----------------------------------------------------------------------------------------------


def test_the_true_seed_among_ten_thousand_has_the_greatest_recent_match_rate() -> None:
    read, scorer = some(planted(SEED, 5000, SKIP, NOISE), 10_001), Scorer()
    p, d = features_of(read), read.history.draws
    recent = [f for f in registry(scorer, 1000, False) if f.name in ("match_recent_200", "match_after")]
    rates = np.concatenate(
        [measure(tuple(recent), View(part, d, 30, 0, 1000, scorer)) for part in np.array_split(p, 50)]
    )
    for column in rates.T:
        assert column.argmax() == 0 and column[0] > 0.6 and np.sort(column)[-2] < 0.05


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sieve's folder, the true seed beside hundreds by chance, and its history."""
    folder = tmp_path_factory.mktemp("planted")
    draws = write_draws(folder, planted(SEED, 1200, SKIP, NOISE))
    seeds = ("--seed-start", SEED - 60_000, "--seed-end", SEED + 60_000)
    return sieve(folder / "sieve", draws, "--threshold", 0.05, *seeds), draws


@pytest.fixture(scope="module")
def calm(found: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    folder = tmp_path_factory.mktemp("calm")
    return run(scoring(found, folder / "run")), folder / "run"


def test_the_whole_step_finds_the_planted_seed(calm: tuple[Ended, Path]) -> None:
    ended, folder = calm
    assert ended.code == 0, ended.stderr
    best, scores = ended.summary["best"], open_scores(folder)
    assert (best["seed"], best["skip"], best["draws"]) == (SEED, SKIP, 1160) and best["log10_E"] < -1000
    assert 0.65 < best["matches"] / best["draws"] < 0.75
    row = int(np.flatnonzero(scores.survivors["seed"] == SEED)[0])
    assert (scores.labels[:-1].argmax(axis=1) == row).all() and not scores.labels[-1].any()
    for name in ("match_recent_200", "match_after", "score"):
        assert (scores.features[:, :, scores.names.index(name)].argmax(axis=1) == row).all()
    # Offsets were none, and the first cut holds one stretch of 200 draws: such columns say nothing.
    gone = ended.summary["dropped"]
    assert {name for name, why in gone.items() if why == "constant"} == {
        "offset", "offset_crowd", "stability_200_std", "stability_200_trend", "stability_200_hits_trend",
    }  # fmt: skip
    schema = [row["name"] for row in json.loads(scores.attributes["schema"]) if row["of"] == "survivor"]
    assert [name for name in schema if name not in gone] == list(scores.names) and len(schema) >= 91
    attributes = scores.attributes
    assert attributes["schema_hash"] and attributes["recipe"] == "java.nextInt"
    assert attributes["payload_hash"] == ended.summary["payload_hash"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "events.jsonl", "ledger.sqlite", "ledger.sqlite.lock", "parts", "results.h5", "summary.json",
    ]  # fmt: skip


def test_ranks_and_kills_change_nothing(found: tuple[Path, Path], calm: tuple[Ended, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ended = run(scoring(found, folder, "--time-limit", 0))
    assert ended.code == 4 and "are left" in ended.stdout and not (folder / "results.h5").exists(), ended.stderr
    with Run(scoring(found, folder, "--chunk-seconds", 0.05), 2) as killed:
        until(lambda: len(list((folder / "parts").glob("*.npz"))) >= 2, 100, "no parts")
        killed.kill()
    ended = run(scoring(found, folder, "--resume"), 2)
    assert ended.code == 0 and "were scored before" in ended.stdout, ended.stderr
    assert ended.summary["payload_hash"] == calm[0].summary["payload_hash"]
    assert open_scores(folder).features == pytest.approx(open_scores(calm[1]).features, rel=1e-3, abs=1e-4)


def test_parts_that_are_not_those_of_the_ledger_are_refused(calm: tuple[Ended, Path], tmp_path: Path) -> None:
    from prng_mpi.ledger import Ledger
    from prng_mpi.store import EventLog

    folder = tmp_path / "run"
    shutil.copytree(calm[1], folder)
    parts = sorted((folder / "parts").iterdir())
    with Ledger.peek(folder / "ledger.sqlite") as view:
        identity, done = view.identity, view.done()
    whole = replace(plan(some(planted(SEED, 1200, SKIP, NOISE), done[-1][1]), 4), folder=folder, identity=identity)
    content = parts[0].read_bytes()
    with Ledger.open(folder / "ledger.sqlite", identity) as ledger, EventLog(folder / "events.jsonl") as events:
        assert full_scoring.Parts(whole, ledger, events).done == done
        for damage in (lambda: parts[0].write_bytes(content[:-99]), parts[0].unlink):
            damage()
            with pytest.raises(IntegrityError, match="score again"):
                full_scoring.Parts(whole, ledger, events)


def test_real_draws_stand_out_nowhere(tmp_path: Path) -> None:
    draws = TOP / "examples" / "tx_pick3_morning.json"
    folder = sieve(tmp_path / "sieve", draws, "--threshold", 0.05, "--seed-end", 100_000)
    ended = run(
        ["--survivors", folder, "--draws", draws, "--device", "cpu", "--spans", 2, "--output-dir", tmp_path / "run"]
    )
    assert ended.code == 0 and ended.summary["best"]["log10_E"] > -3, ended.stderr
    scores = open_scores(tmp_path / "run")
    n = scores.labels.shape[1]
    for mean, chance in zip(ended.summary["labels_mean"], ended.summary["labels_by_chance"], strict=True):
        assert abs(mean - chance) < 5 * np.sqrt(chance / n)
    for table in scores.features.astype(np.float64):
        assert (table.std(axis=0) > 0).all()
        r = np.abs(np.corrcoef(table.T)) - np.eye(len(scores.names))
        assert r.max() < features.SAME, [scores.names[i] for i in np.argwhere(r > features.SAME)[0]]
    assert scores.history.shape == (3, len(scores.history_names))


# -- inputs ---------------------------------------------------------------------------------------------------------------


def test_labels_come_after_what_the_optimiser_saw(found: tuple[Path, Path], tmp_path: Path) -> None:
    read = streams.read(found[0], str(found[1]))
    digest = hashlib.sha256(read.history.draws.tobytes()).hexdigest()

    def optimised(**more: Any) -> Path:
        rows = np.zeros(1, [("number", "<u4")])
        identity = {"step": "window_optimizer", "holdout": 0.2, "draws": digest} | more
        write_tables(tmp_path / "results.h5", {"trials": (rows, "")}, {"identity": identity, "payload_hash": "ab"})
        return tmp_path

    assert full_scoring._seen(optimised(), str(found[1]), read) == (960, "ab")
    # Every second draw of the streams' session.
    half = replace(read, history=replace(read.history, records=read.history.records[1::2]))
    assert full_scoring._seen(tmp_path, str(found[1]), half) == (480, "ab")
    with pytest.raises(UsageError, match="another history"):
        full_scoring._seen(optimised(draws="0"), str(found[1]), read)
    with pytest.raises(UsageError, match="is of sieve"):
        full_scoring._seen(found[0], str(found[1]), read)


@pytest.mark.parametrize(("direction", "window"), [("both", (18, 42)), ("reverse", (18, 30))])
def test_both_sides_have_columns_of_their_own(direction: str, window: tuple[int, int], tmp_path: Path) -> None:
    draws = write_draws(tmp_path, planted(SEED, 600, SKIP, 0.2))
    both = ("--direction", direction, "--window", 12, "--window-start", 30, "--offset-min", 120, "--offset-max", 120)
    seeds = ("--seed-start", SEED - 2000, "--seed-end", SEED + 2000)
    folder = sieve(tmp_path / "sieve", draws, "--threshold", 0.08, *both, *seeds)
    read = streams.read(folder, str(draws))
    assert (read.window, read.behind, read.ahead) == (window, 12, window[1] - 30)
    names = [f.name for f in registry(Scorer(), 1000, True)]
    table, row = scored(read).features[-1], int(np.flatnonzero(read.survivors["seed"] == SEED)[0])
    assert table[row, names.index("match_after")] > 0.7
    for side in ("behind", "ahead", "least"):
        there = direction == "both" or side == "behind"
        assert (table[row, names.index(f"match_side_{side}")] > 0.4) == there


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--survivors DIR is missing"),
        (["--survivors", "here"], "--draws FILE is missing"),
        (["--survivors", "FOUND", "--draws", "OTHER"], "does not hold the window"),
        (["--survivors", "FOUND", "--draws", "DRAWS", "--spans", 2000], "give a longer history"),
        (["--survivors", "FOUND", "--draws", "DRAWS", "--scorer", "FOUND"], "is of sieve; name the folder of a finished scorer_meta"),
        (["--survivors", "OTHER", "--draws", "DRAWS"], "can't be trusted"),
    ],
)  # fmt: skip
def test_bad_input_starts_nothing(
    flags: list[object], said: str, found: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from prng_mpi import config
    from prng_mpi.errors import PrngError

    other = write_draws(tmp_path, planted(SEED + 1, 1200, SKIP, NOISE))
    words = {"FOUND": found[0], "DRAWS": found[1], "OTHER": other}
    argv = [str(words.get(str(flag), flag)) for flag in flags] + ["--output-dir", str(tmp_path / "run")]
    with pytest.raises(PrngError, match=said):
        full_scoring.prepare(config.load(full_scoring.ScoringOptions, argv, environ={}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "said"), [(("--hybrid", "strict_continuous"), "varies"), (("--direction", "turned"), "turned round")]
)
def test_survivors_without_a_stream_are_refused(flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    draws = write_draws(tmp_path, support.uniform(1, 200, 1000))
    folder = sieve(tmp_path / "sieve", draws, "--threshold", 0.2, "--seed-end", 1000, *flags)
    with pytest.raises(UsageError, match=said):
        streams.read(folder, str(draws))
