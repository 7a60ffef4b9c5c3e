"""The report of a run: what it says is what the run found, its figures show the numbers, and it needs nothing but itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from prng_mpi import figures, report, runs
from prng_mpi.errors import UsageError
from prng_mpi.figures import Figure
from prng_mpi.ledger import Attempt
from prng_mpi.statistics import clopper_pearson, log10_tails
from prng_mpi.store import open_results
from report_cases import MOST_BYTES, Reader, assert_shown, assert_whole, browse, needs_chromium, table, written
from support import TOP, Run, environment, run_sieve, uniform, until, write_draws

JAVA = ("--recipe", "java.nextInt", "--method", "lanes", "--chunk-seconds", 0.01)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs by what came of them."""
    base = tmp_path_factory.mktemp("runs")
    noise, found = write_draws(base, uniform(5, 400, 1000)), TOP / "examples" / "java_nextint.json"
    argv: dict[str, list[object]] = {
        "found": ["--draws", found, "--seed-start", 195_900_000, "--seed-end", 196_000_000, "--skip-max", 4],
        "null": ["--draws", noise, "--seed-end", 2**18, "--skip-max", 4],
        "loose": ["--draws", noise, "--seed-end", 2**22, "--window", 10, "--threshold", 0.2, "--skip-max", 4],
        "hybrid": ["--draws", found, "--seeds", "195936000:195937000", "--hybrid", "balanced_hybrid", "--skip-min", 0,
                   "--skip-max", 4, "--window", 20, "--threshold", 0.3],
    }  # fmt: skip
    codes = {}
    for name, words in argv.items():
        codes[name] = run_sieve([*JAVA, *words, "--output-dir", base / name]).code
    assert codes == {"found": 0, "null": 1, "loose": 1, "hybrid": 0}
    # One that is killed on its way.
    with Run(
        [*JAVA, *argv["loose"], "--seed-end", 2**32, "--max-survivors", 1e9, "--output-dir", base / "killed"]
    ) as run:
        until(
            lambda: (base / "killed" / "ledger.sqlite").exists() and runs.read(base / "killed").n_done > 2**20,
            30,
            "no run",
        )
        run.kill()
    return {name: base / name for name in (*argv, "killed")}


def drawn(folder: Path) -> dict[str, Figure]:
    return {figure.name: figure for figure in report.compose(folder).figures}


NAMES = ("found", "null", "loose", "hybrid", "killed")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_whole_and_needs_nothing_else(name: str, folders: dict[str, Path]) -> None:
    assert_whole(written(folders[name]))


@pytest.mark.parametrize(
    ("name", "verdict", "title", "words"),
    [
        ("found", "found", "A seed is found", ("Seed 195936478 (0xbadc0de)", "skip 3", "30 of 30", "60 other draws", "501 411 974")),
        ("null", "chance", "Nothing found", ("None of 1.3e6 hypotheses", "A true seed", "E = 1.3e-84")),
        ("loose", "chance", "No more than chance gives", ("seeds survive where chance alone leaves", "z = ", "A true seed")),
        ("hybrid", "found", "A seed is found", ("195936478", "skips 3 3 3", "Paths: the skip before each draw")),
        ("killed", "chance", "No more than chance gives, so far", ("(killed); the same command goes on from here", "the run was killed")),
    ],
)  # fmt: skip
def test_the_verdict_comes_first_and_is_the_run_s(
    name: str, verdict: str, title: str, words: tuple[str, ...], folders: dict[str, Path]
) -> None:
    text = written(folders[name])
    read = Reader(text)
    assert read.verdict == verdict
    if name != "killed":
        assert json.loads((folders[name] / "summary.json").read_text())["verdict"] == verdict
    assert f"<h2>{title}</h2>" in text
    assert text.index("data-verdict") < text.index("<figure>")
    for word in words:
        assert word in read.text


def test_survivors_stand_over_what_chance_gives(folders: dict[str, Path]) -> None:
    shown, results = table(drawn(folders["loose"])["survivors"]), open_results(folders["loose"])
    assert sum(shown["observed"]) == len(results.survivors) > 500
    by_matches = {
        int(m): (o, e) for m, o, e in zip(shown["matches"], shown["observed"], shown["expected"], strict=True)
    }
    for row in results.histogram:
        assert by_matches[int(row["matches"])] == (row["observed"], pytest.approx(row["expected"], rel=1e-6))
    assert [m for m, kept in zip(shown["matches"], shown["kept"], strict=True) if kept] == list(range(2, 11))
    for expected, low, high in zip(shown["expected"], shown["band_low"], shown["band_high"], strict=True):
        if expected < 1e4:
            assert stats.poisson.cdf(low - 1, expected) <= 0.0251 and stats.poisson.sf(high, expected) <= 0.0251
    # Empty bins are there to be seen.
    null = drawn(folders["null"])["survivors"]
    assert re.search(r">\s*0\s*</text>", null.svg) and "a true seed" in null.svg
    assert table(drawn(folders["null"])["survivors"])["observed"] == [0.0] * 31


def test_rates_show_draws_that_did_not_choose(folders: dict[str, Path]) -> None:
    shown = table(drawn(folders["found"])["rates"])
    assert shown["candidate"][0] == "0xbadc0de, other draws" and shown["chosen_by_these"][:2] == [0, 1]
    assert (shown["matches"][0], shown["draws"][0], shown["rate"][0]) == (60, 60, 1)
    assert shown["chance"][0] == pytest.approx(0.001, rel=0.01)
    loose = table(drawn(folders["loose"])["rates"])
    assert loose["low"][0] <= loose["chance"][0] <= loose["high"][0]
    assert min(loose["low"][1:]) > loose["chance"][0]


def test_throughput_and_chunks_hold_every_seed(folders: dict[str, Path]) -> None:
    for name in ("found", "loose", "killed"):
        run, shown = runs.read(folders[name]), drawn(folders[name])
        speed = table(shown["throughput"])
        width = np.diff(speed["seconds"][: figures.BINS])[0]
        assert sum(speed["seeds_per_second"]) * width == pytest.approx(run.n_done, rel=1e-6)
        chunks = table(shown["chunks"])
        assert len(chunks["first"]) == len(run.attempts)
        assert chunks["outcome"].count("done") == len(run.chunks)
        strip = table(shown["coverage"])
        assert np.mean(strip["share_done"]) == pytest.approx(run.n_done / run.n_asked, rel=0.02)
        assert (strip["first"][0], strip["last"][-1]) == (run.asked[0], run.asked[1] - 1)


def test_memory_of_each_host_over_time(folders: dict[str, Path], tmp_path: Path) -> None:
    # A run says it every ten seconds and at its end; this one was shorter.
    shutil.copytree(folders["found"], tmp_path / "run")
    path = tmp_path / "run" / "events.jsonl"
    *before, final = path.read_text().splitlines()
    said = [json.loads(line) for line in before if '"progress"' in line][-1]
    ((host, available),) = said["memory_available"].items()
    assert 1e8 < available < 1e13
    later = said | {"elapsed": said["elapsed"] + 10, "memory_available": {host: 2e9, "rig1": 1e9}}
    path.write_text("\n".join([*before, json.dumps(later), final]) + "\n")
    assert "memory" not in drawn(folders["found"])
    shown = table(drawn(tmp_path / "run")["memory"])
    assert shown["host"] == [host, host, "rig1"]
    assert shown["bytes_available"] == [available, 2e9, 1e9]
    assert shown["seconds"] == pytest.approx([said["elapsed"], *[said["elapsed"] + 10] * 2])


def test_the_path_of_a_hybrid_survivor_is_drawn(folders: dict[str, Path]) -> None:
    shown = table(drawn(folders["hybrid"])["paths"])
    assert shown["skip"] == [3.0] * 20 and shown["matched"] == [1.0] * 20
    assert set(shown["candidate"]) == {"0xbadc0de"}
    assert "paths" not in drawn(folders["found"])


def attempt(
    run: int, lease: int, rank: int, issued: float, seconds: float | None, outcome: str | None, number: int = 1
) -> Attempt:
    return Attempt(
        run,
        lease,
        lease * 100,
        lease * 100 + 100,
        rank,
        f"rig{rank // 8}",
        "AMD Radeon RX 6600",
        number,
        issued,
        seconds,
        outcome,
        "",
    )


def test_pauses_between_runs_are_left_out_of_the_time() -> None:
    tries = [attempt(1, 0, 0, 1000.0, 5.0, "done"), attempt(1, 1, 0, 1005.0, None, "lost"),
             attempt(2, 0, 0, 90_000.0, 2.0, "failed"), attempt(2, 1, 1, 90_001.0, 4.0, "done", 2)]  # fmt: skip
    t = figures.timeline(tries)
    assert t.seams == (5.0,) and t.length == 10.0
    assert t.begin.tolist() == [0, 5, 5, 6] and t.end.tolist() == [5, 5, 7, 10]
    assert len(t.rows) == 2 and t.row.tolist() == [0, 0, 0, 1]


def test_a_cluster_of_many_chunks_stays_small() -> None:
    rng = np.random.default_rng(2)
    tries = [
        attempt(1, lease, lease % 40, 1000.0 + lease // 40 * 2, float(rng.uniform(1.0, 2.0)), "failed" if lease % 999 == 0 else "done")
        for lease in range(20_000)
    ]  # fmt: skip
    t = figures.timeline(tries)
    # Devices with failures have a row before others.
    bad = {a.rank for a in tries if a.outcome == "failed"}
    assert len(t.rows) == figures.ROWS and t.left_out == 8 and bad <= {int(name.split()[0]) for name in t.rows}
    assert sum(len(figures.themed(f)) for f in (figures.throughput(t), figures.chunks(t))) < MOST_BYTES


def test_a_drawing_is_the_same_each_time_and_well_formed(folders: dict[str, Path]) -> None:
    first, again = drawn(folders["found"]), drawn(folders["found"])
    assert {name: figure.svg for name, figure in first.items()} == {name: figure.svg for name, figure in again.items()}
    for figure in first.values():
        root = ET.fromstring(figure.svg)
        assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 5
        assert list(root.iter("{http://www.w3.org/2000/svg}text"))
        assert figure.note.startswith("If nothing is")


def test_what_users_wrote_is_text(folders: dict[str, Path], tmp_path: Path) -> None:
    odd = tmp_path / "<script>alert(1)</script>"
    shutil.copytree(folders["null"], odd)
    read = Reader(written(odd))
    assert "script" not in read.tags and "<script>alert(1)" in read.text


@pytest.mark.parametrize(("matches", "draws"), [(0, 1), (0, 30), (1, 30), (3, 10), (29, 30), (30, 30), (7, 802)])
def test_clopper_pearson(matches: int, draws: int) -> None:
    low, high = clopper_pearson(matches, draws)
    exact = stats.binomtest(matches, draws).proportion_ci(0.95, "exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert log10_tails(np.full(draws, high))[matches] <= 0


def test_clopper_pearson_refuses() -> None:
    for matches, draws in ((2, 1), (-1, 3), (0, 0)):
        with pytest.raises(UsageError):
            clopper_pearson(matches, draws)


# -- as a user ------------------------------------------------------------------------------------------------------


def ask(*words: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prng_mpi.report", *map(str, words)],
        env=environment(**env), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_command_writes_the_page_and_the_figures(folders: dict[str, Path], tmp_path: Path) -> None:
    done = ask(folders["found"], "--output", tmp_path / "r.html", "--figures")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(tmp_path / "r.html") in done.stdout
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    names = ("survivors", "rates", "throughput", "chunks", "coverage")
    assert {path.name for path in (tmp_path / "r-figures").iterdir()} == {
        f"{n}.{end}" for n in names for end in ("svg", "csv")
    }


@pytest.mark.parametrize(("words", "said"), [((), "0 folders"), (("nowhere",), "holds no run")])
def test_refusals(words: tuple[str, ...], said: str) -> None:
    done = ask(*words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_without_matplotlib_it_says_what_to_install(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"prng-mpi\[report\]"):
        report.compose(folders["null"])


@needs_chromium
@pytest.mark.parametrize("name", NAMES)
def test_in_a_browser(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    assert_shown(written(folders[name]), tmp_path)


@needs_chromium
def test_in_a_dark_browser(folders: dict[str, Path], tmp_path: Path) -> None:
    assert (
        browse(written(folders["found"]), tmp_path, "--blink-settings=preferredColorScheme=0")["paper"]
        == "rgb(21, 23, 26)"
    )


@needs_chromium
def test_the_browser_would_tell(tmp_path: Path) -> None:
    text = "<html><head></head><body><img src='none.png'><script>console.error('x'); nothing()</script></body></html>"
    seen = browse(text, tmp_path)
    assert seen["errors"] and seen["console"] and len(seen["requests"]) == 1
