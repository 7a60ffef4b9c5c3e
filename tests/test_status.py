"""What `status` and `coverage` say of a folder: beside a run that goes on, after one that ended or was killed, over several."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prng_mpi import coverage, display, progress, runs, status
from prng_mpi.coverage import CoverageOptions
from prng_mpi.errors import IntegrityError, UsageError
from prng_mpi.ledger import Ledger, gaps
from prng_mpi.progress import Device, Forecast, Progress
from prng_mpi.records import HIT
from support import TOP, Ended, Run, environment, run_sieve, uniform, until, write_draws

SEEDS = 2**16
# Every chunk takes its time, so that a run can be looked at.
SLOW = """
import time
from prng_mpi.devices.cpu import CpuDevice
honest = CpuDevice.sieve
def slow(self, search, start, stop, stopped=lambda: False):
    if stop - start >= 500:
        time.sleep(2e-5 * (stop - start))
    return honest(self, search, start, stop, stopped)
CpuDevice.sieve = slow
"""


def flags(tmp_path: Path, name: str, *more: object) -> list[object]:
    """A search with hundreds of survivors by chance."""
    draws = write_draws(tmp_path, uniform(5, 40, 200))
    filters = ("--modulus", 200, "--window", 8, "--threshold", 0.25, "--skip-max", 8, "--recipe", "java.nextInt")
    return [
        "--draws",
        draws,
        *filters,
        "--seed-end",
        SEEDS,
        "--method",
        "lanes",
        "--output-dir",
        tmp_path / name,
        *more,
    ]


def ask(module: str, *words: object) -> Ended:
    """Run a step that needs no ranks, as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", f"prng_mpi.{module}", *map(str, words)],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr, {}, 0.0)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    assert run_sieve(flags(folder, "run", "--chunk-seconds", 0.01)).code == 1
    return folder / "run"


# -- status ---------------------------------------------------------------------------------------------------------

# The schema: every key with the types its value may have. A change here is a new SCHEMA_VERSION.
NUMBER = (int, float)
STATUS: dict[str, tuple[type, ...]] = {
    "schema": (int,), "kind": (str,), "time": (str,), "folder": (str,), "search": (str,), "step": (str,),
    "recipe": (str, type(None)), "state": (str,), "process": (int, type(None)), "exit_code": (int, type(None)),
    "verdict": (str, type(None)), "unit": (str,), "asked": (int,), "done": (int,), "gaps": (list,),
    "per_second": (*NUMBER, type(None)), "hypotheses_per_second": (*NUMBER, type(None)),
    "eta_seconds": (*NUMBER, type(None)), "eta_least": (*NUMBER, type(None)), "eta_most": (*NUMBER, type(None)),
    "wall_seconds": NUMBER, "device_seconds": NUMBER, "n_hypotheses": (int, type(None)), "survivors": (int,),
    "expected_by_chance": (*NUMBER, type(None)), "z": (*NUMBER, type(None)), "best": (dict, type(None)),
    "trust": (dict,), "devices": (list,), "troubles": (list,),
}  # fmt: skip
DEVICE: dict[str, tuple[type, ...]] = {
    "rank": (int,), "host": (str,), "name": (str,), "state": (str,), "per_second": (*NUMBER, type(None)),
    "share": (*NUMBER, type(None)), "idle": (*NUMBER, type(None)), "done": (int,), "retried": (int,), "failed": (int,),
    "seconds": NUMBER, "audits": (int,),
}  # fmt: skip
TROUBLE: dict[str, tuple[type, ...]] = {"what": (str,), "count": (int,), "todo": (str,)}


def assert_fits(value: dict[str, Any], schema: dict[str, tuple[type, ...]]) -> None:
    assert list(value) == list(schema)
    wrong = {key: value[key] for key, types in schema.items() if not isinstance(value[key], types)}
    assert not wrong


def look(folder: Path) -> dict[str, Any]:
    """What --json says."""
    ended = ask("status", folder, "--json")
    assert (ended.code, ended.stderr) == (0, ""), ended.stderr
    value: dict[str, Any] = json.loads(ended.stdout)
    assert_fits(value, STATUS)
    for device in value["devices"]:
        assert_fits(device, DEVICE)
    for trouble in value["troubles"]:
        assert_fits(trouble, TROUBLE)
    assert (value["schema"], value["kind"]) == (status.SCHEMA_VERSION, "status")
    return value


def test_after_a_run(calm: Path) -> None:
    said, summary = look(calm), json.loads((calm / "summary.json").read_text())
    assert (said["state"], said["process"], said["exit_code"], said["verdict"]) == ("complete", None, 1, "chance")
    assert (said["asked"], said["done"], said["gaps"]) == (SEEDS, SEEDS, [])
    for key in ("survivors", "best", "n_hypotheses", "z", "expected_by_chance"):
        assert (
            said[key] == pytest.approx(summary[key]) if isinstance(summary[key], float) else said[key] == summary[key]
        )
    (device,) = said["devices"]
    assert (device["rank"], device["state"], device["failed"], device["retried"]) == (0, "ended", 0, 0)
    assert device["done"] > 3
    assert (said["per_second"], said["eta_seconds"], said["troubles"]) == (None, None, [])

    text = ask("status", calm).stdout
    assert "COMPLETE" in text and "100.0%" in text and "CHANCE, exit code 1" in text
    assert f"seed {summary['best']['seed']}" in text and f"{summary['best']['matches']} of 8 draws" in text


def test_beside_a_run_that_goes_on(tmp_path: Path) -> None:
    argv = flags(tmp_path, "run", "--chunk-seconds", 0.05, "--seed-end", 2**26)
    with Run(argv, np=2, patch=SLOW) as run:
        until((tmp_path / "run" / "events.jsonl").exists, 20, "no run")
        said = until(
            lambda: (s := look(tmp_path / "run")) and s["per_second"] and len(s["devices"]) == 2
            and all(d["done"] > 3 and d["per_second"] for d in s["devices"]) and s, 40, "no speed",
        )  # fmt: skip
        assert said["state"] == "running" and said["process"] == run.rank(0)
        assert 0 < said["done"] < said["asked"] == 2**26
        # Each device sleeps 20 us a seed.
        for device in said["devices"]:
            assert 5_000 < device["per_second"] < 50_000 and device["state"] in ("run", "idle")
            assert 0.2 < device["share"] < 5
        assert sum(d["per_second"] for d in said["devices"]) == pytest.approx(said["per_second"], rel=0.3)
        assert said["eta_seconds"] == pytest.approx((2**26 - said["done"]) / said["per_second"], rel=0.01)
        assert said["hypotheses_per_second"] == pytest.approx(9 * said["per_second"])
        assert abs(said["z"]) < 6 and said["best"]["matches"] >= 2 and said["best"]["log10_E"] is not None

        follow = subprocess.Popen(
            [sys.executable, "-m", "prng_mpi.status", str(tmp_path / "run"), "--follow", "--json", "--interval", "0.1"],
            env=environment(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert follow.stdout is not None
        first, second = (json.loads(follow.stdout.readline()) for _ in range(2))
        assert first["state"] == second["state"] == "running" and second["done"] >= first["done"]
        run.kill()
        rest, _ = follow.communicate(timeout=20)
    assert json.loads(rest.splitlines()[-1])["state"] == "killed"
    said = look(tmp_path / "run")
    assert said["state"] == "killed" and said["verdict"] is None
    assert any("killed" in t["what"] and "goes on" in t["todo"] for t in said["troubles"])
    assert "KILLED" in ask("status", tmp_path / "run").stdout


def test_what_went_wrong_is_told_with_what_to_do(tmp_path: Path) -> None:
    patch = """
import time
from dataclasses import dataclass
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.comm import launched
@dataclass(frozen=True)
class Impatient(sieve.Policy):
    backoff: float = 0.1
sieve.Policy = Impatient
honest = CpuDevice.sieve
def torn(self, search, start, stop, stopped=lambda: False):
    if stop - start >= 500 and launched()[0] == 1:
        raise RuntimeError("out of resources")
    if stop - start >= 500:
        time.sleep(2e-5 * (stop - start))
    return honest(self, search, start, stop, stopped)
CpuDevice.sieve = torn
"""
    run_sieve(flags(tmp_path, "run", "--chunk-seconds", 0.002), np=2, patch=patch)
    said = look(tmp_path / "run")
    bad = next(d for d in said["devices"] if d["rank"] == 1)
    good = next(d for d in said["devices"] if d["rank"] == 0)
    assert (bad["done"], bad["failed"], bad["state"]) == (0, 3, "SET ASIDE")
    assert good["retried"] == 3 and good["failed"] == 0
    failures = [
        t for t in said["troubles"] if "failed: RuntimeError: out of resources" in t["what"] and " on " in t["what"]
    ]
    assert [t["count"] for t in failures] == [3] and "driver" in failures[0]["todo"]
    text = ask("status", tmp_path / "run").stdout
    assert "(3 times)" in text and "SET ASIDE" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "0 folders are named"), (("a", "b"), "2 folders are named"), (("nowhere",), "nowhere holds no run"),
     (("x", "--folow"), "did you mean '--follow'")],
)  # fmt: skip
def test_refusals_of_status(words: tuple[str, ...], said: str) -> None:
    ended = ask("status", *words)
    assert ended.code == 2 and len(ended.complaints) == 1 and said in ended.complaints[0]


def test_a_reader_of_a_pipe_may_leave(calm: Path) -> None:
    command = f"{sys.executable} -m prng_mpi.status {calm} | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_status_needs_neither_mpi_nor_hdf5(calm: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom prng_mpi import runs, status\n"
        f"status.record(runs.read(Path({str(calm)!r})))\n"
        "print([m for m in ('mpi4py', 'h5py', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- the screen -----------------------------------------------------------------------------------------------------


def screen_of(fd: int, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """What comes through a pseudo terminal of 90 columns and 30 rows until the process ends."""
    while True:
        ready, _, _ = select.select([fd], [], [], 0.2)
        if ready:
            try:
                data = os.read(fd, 65536)
            except OSError:
                return
            if not data:
                return
            yield data
        elif process.poll() is not None:
            return


def test_the_screen_is_redrawn_in_place_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    argv = flags(tmp_path, "run", "--chunk-seconds", 0.05, "--seed-end", 2**17)
    main = f"from prng_mpi import sieve, step\n{SLOW}\nstep.main(sieve.SieveOptions, sieve.prepare, sieve.run)"
    with subprocess.Popen(
        [sys.executable, "-c", main, *map(str, argv)], env=environment(COLUMNS="90", LINES="30"), cwd=TOP,
        stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        os.close(theirs)
        text = b"".join(screen_of(ours, process)).decode()
    os.close(ours)
    assert process.returncode == 1
    assert text.isascii()
    redraws = re.findall(r"\x1b\[(\d+)A\x1b\[J", text)
    # A bar, speed, survivors, header, one device.
    assert len(redraws) >= 2 and set(redraws) <= {"4", "5"}
    # Nothing but "up" and "erase" goes to the terminal: no colour, so NO_COLOR has nothing to take away.
    assert not re.sub(r"\x1b\[\d+A\x1b\[J", "", text).count("\x1b")
    frame = text.split("\x1b[J")[-1]
    rows = frame.splitlines()
    assert max(map(len, rows[:5])) < 90
    assert rows[0].startswith("[##############################] 100.0%")
    header = next(row for row in rows if row.startswith("  rank"))
    device = rows[rows.index(header) + 1]
    assert header.split() == [
        "rank",
        "host",
        "device",
        "seeds/s",
        "vs.prof",
        "ok/retry/fail",
        "audits",
        "idle",
        "state",
    ]
    # Numbers stand right-aligned under their heads.
    for word in ("ok/retry/fail", "audits", "idle", "vs.prof"):
        assert device[header.index(word) + len(word) - 1] != " " and device[header.index(word) + len(word)] == " "


def test_the_launch_script_sees_the_terminal_behind_mpirun(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    argv = flags(tmp_path, "run", "--recipe", "mt19937.mod", "--seed-end", 2**32, "--threshold", 1, "--time-limit", 3)
    without = {key: value for key, value in environment().items() if key not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [TOP / "launch" / "sieve.sh", *map(str, argv)], env={**without, "NP": "2", "VENV": sys.prefix}, cwd=tmp_path,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        frames = b"".join(screen_of(ours, process)).decode().split("\x1b[J")
    os.close(ours)
    assert process.returncode == 4 and len(frames) > 3
    last = frames[-1].splitlines()
    assert last[0].startswith("[") and max(map(len, last[:6])) < 90
    assert [row.split()[0] for row in last[3:6]] == ["rank", "0", "1"]


def test_rates_have_three_digits() -> None:
    said = [display.rate(x) for x in (0, 12, 1000, 9_994, 9_996, 21e6, 99.96e6, 3.4e9, 2e15)]
    assert said == ["0 ", "12 ", "1.00 k", "9.99 k", "10.0 k", "21.0 M", "100 M", "3.40 G", "2.00 P"]


def test_plain_lines_off_a_terminal_and_the_screen_on_request(tmp_path: Path) -> None:
    argv = flags(tmp_path, "run", "--chunk-seconds", 0.05, "--seed-end", 2**18, "--threads", 1)
    with Run(argv, patch=SLOW) as run:
        until(
            lambda: look(tmp_path / "run")["done"] if (tmp_path / "run" / "ledger.sqlite").exists() else 0, 30, "no run"
        )
        os.kill(run.process.pid, 12)
        ended = run.wait()
    assert ended.code == 1 and "\x1b" not in ended.stdout
    assert ended.stdout.count("ok/retry/fail") == 1
    assert re.search(r"^ *\d+\.\d%  [\d.]+ kseeds/s  .*ETA", ended.stdout, re.MULTILINE)


def shown(devices: list[Device], **more: Any) -> Progress:
    rest = Forecast(16080, 15600, 17700)
    whole = Progress("seeds", 2**32, 2**30, 61, 242, 176_200.0, rest, 2_122_270, 2_122_800.0, 1457.0, tuple(devices))
    return replace(whole, **more)


def test_picture() -> None:
    devices = [Device(0, "zeus", "NVIDIA GeForce RTX 3080 Ti", "run", 28_800.0, 0.99, 0.01, 212, 0, 0, 212.0, 31),
               Device(19, "rig2", "AMD Radeon RX 6600", "SET ASIDE: rank 19 failed 3 chunks and gets no more", None, None, 0.5, 11, 3, 1)]  # fmt: skip
    assert display.picture(shown(devices), 100, 24) == [
        "[#######.......................]  25.0%  1 073 741 824 of 4 294 967 296 seeds, 1 m 01 s",
        "speed        176 kseeds/s  42.6 Mhypotheses/s  ETA 4 h 28 m (4 h 20 m to 4 h 55 m)",
        "survivors    2 122 270, by chance 2.1e6, z = -0.4",
        "  rank  host  device                      seeds/s  vs.prof  ok/retry/fail  audits  idle  state",
        "     0  zeus  NVIDIA GeForce RTX 3080 Ti   28.8 k      99%        212/0/0      31    1%  run",
        "    19  rig2  AMD Radeon RX 6600                -        -         11/3/1       0   50%  SET ASIDE: rank 19 failed 3 chunks and gets no more",
    ]  # fmt: skip
    assert "ETA unknown" in display.total(shown(devices, rest=Forecast(float("inf"))))
    assert "survivors" not in display.total(shown(devices, expected=None))


def test_a_picture_of_more_devices_than_rows_shows_those_in_trouble() -> None:
    devices = [
        Device(rank, "rig", "RX 6600", "LOST" if rank == 17 else "run", 4e3, 0.5 if rank == 9 else 1.0)
        for rank in range(26)
    ]
    rows = display.picture(shown(devices), 100, 12)
    assert len(rows) <= 11
    assert any(row.startswith("    17") and "LOST" in row for row in rows) and any(
        row.startswith("     9") for row in rows
    )
    assert rows[-1].strip() == "and 20 more, all well"


def test_forecast() -> None:
    even = progress.forecast(1000, np.full(10, 10.0))
    assert (even.seconds, even.least, even.most) == (100, 100, 100)
    uneven = progress.forecast(1000, [5, 15] * 5)
    assert uneven.seconds == 100 and uneven.least == pytest.approx(1000 / 15) and uneven.most == 200
    assert progress.forecast(0, [0.0]).seconds == 0
    assert progress.forecast(5, [0.0, 0.0]).seconds == float("inf")


def test_spread_keeps_every_seed() -> None:
    rng = np.random.default_rng(1)
    begin = rng.random(500) * 100
    end, amount = begin + rng.random(500) * 5, rng.integers(1, 1000, 500)
    end[:10] = begin[:10]
    parts = progress.spread(begin, end, amount, np.linspace(0, 106, 54))
    assert parts.sum() == pytest.approx(amount.sum()) and parts.min() >= 0
    # One that began and ended inside a bin is all there.
    assert progress.spread([1.0], [2.0], [7], [0, 1, 1.5, 3]).tolist() == pytest.approx([0, 3.5, 3.5])


def test_shares() -> None:
    assert progress.shares({0: 60.0, 1: 5.0}, {0: 6.0, 1: 1.0}) == pytest.approx({0: 60 / 65 * 7 / 6, 1: 5 / 65 * 7})
    assert progress.shares({0: 60.0}, {0: 6.0}) == {} == progress.shares({0: 0.0, 1: 0.0}, {0: 1.0, 1: 1.0})


# -- coverage -------------------------------------------------------------------------------------------------------

COVERAGE: dict[str, tuple[type, ...]] = {
    "schema": (int,), "kind": (str,), "folders": (list,), "search": (str,), "recipe": (str,), "asked": (list,),
    "seeds_asked": (int,), "seeds_done": (int,), "seeds_done_twice": (int,), "done": (list,), "gaps": (list,),
    "survivors": (int,), "expected_by_chance": (*NUMBER, type(None)), "best_log10_E": (*NUMBER, type(None)),
    "exit_code": (int,),
}  # fmt: skip


def part(folder: Path, start: int, end: int, *done: tuple[int, int], recipe: str = "r", base: int = 0) -> Path:
    """A folder whose ledger has these ranges, with a hit at every multiple of 100 (and `base`) in them."""
    with Ledger.open(folder / "ledger.sqlite", {"recipe": recipe, "modulus": 10, "seeds": [start, end]}) as ledger:
        for a, b in done:
            seeds = [seed + base for seed in range(-(-a // 100) * 100, b, 100)]
            hits = np.zeros(len(seeds), HIT)
            hits["seed"], hits["matches"] = np.array(seeds, np.uint64), 3
            ledger.commit(a, b, 0, hits, host="h", device="d", seconds=1.0)
    return folder


def test_coverage_of_one_run(calm: Path) -> None:
    ended = ask("coverage", calm, "--json")
    said = json.loads(ended.stdout)
    assert_fits(said, COVERAGE)
    assert ended.code == said["exit_code"] == 1 and said["schema"] == coverage.SCHEMA_VERSION
    assert (said["seeds_done"], said["gaps"]) == (SEEDS, [])
    assert said["survivors"] == json.loads((calm / "summary.json").read_text())["survivors"]
    text = ask("coverage", calm).stdout
    assert "[" + "#" * coverage.CELLS + "]" in text and "100.0%" in text


def test_runs_of_one_search_count_together_and_merge(tmp_path: Path) -> None:
    assert run_sieve(flags(tmp_path, "whole")).code == 1
    for name, start, end in (("one", 0, 30_000), ("two", 20_000, 50_000)):
        assert run_sieve(flags(tmp_path, name, "--seed-start", start, "--seed-end", end)).code == 1
    ended = ask("coverage", tmp_path / "one", tmp_path / "two", tmp_path / "whole")
    assert ended.code == 1 and "65 536 (100.0%), 60 000 of them more than once, with the same survivors" in ended.stdout
    ended = ask("coverage", tmp_path / "one", tmp_path / "two", "--into", tmp_path / "merged", "--json")
    said = json.loads(ended.stdout)
    assert (said["asked"], said["seeds_done"], said["seeds_done_twice"], ended.code) == ([0, 50_000], 50_000, 10_000, 1)
    # The sieve has nothing left to search there, and what it says is what one run over all would have said.
    fresh = run_sieve(flags(tmp_path, "fresh", "--seed-end", 50_000))
    merged = run_sieve(flags(tmp_path, "merged", "--seed-end", 50_000))
    assert "nothing is left to search" in merged.stdout
    assert merged.summary["payload_hash"] == fresh.summary["payload_hash"]
    assert merged.summary["survivors"] == said["survivors"]
    again = ask("coverage", tmp_path / "one", "--into", tmp_path / "merged")
    assert again.code == 2 and "holds a run already" in again.complaints[0]


def test_gaps_are_shown_and_counted(tmp_path: Path) -> None:
    one = part(tmp_path / "one", 0, 10_000, (0, 1000), (5000, 6000))
    two = part(tmp_path / "two", 0, 10_000, (800, 2000), (9000, 10_000))
    covered = coverage.together([runs.read(one), runs.read(two)])
    assert covered.done == [(0, 2000), (5000, 6000), (9000, 10_000)] and covered.twice == 200
    assert covered.gaps == [(2000, 5000), (6000, 9000)] and covered.exit_code == 6
    assert sorted(covered.hits["seed"].tolist()) == [
        *range(0, 2000, 100),
        *range(5000, 6000, 100),
        *range(9000, 10_000, 100),
    ]
    assert coverage.strip(covered) == "#" * 12 + "." * 18 + "#" * 6 + "." * 18 + "#" * 6
    ended = ask("coverage", one, two)
    assert ended.code == 6 and "seeds 2000 to 4999: 3 000" in ended.stdout
    coverage.merge_into(tmp_path / "merged", [runs.read(one), runs.read(two)], covered)
    with Ledger.peek(tmp_path / "merged" / "ledger.sqlite") as ledger:
        assert ledger.done() == covered.done and np.array_equal(ledger.hits(), covered.hits)
        assert sum(c.seconds for c in ledger.chunks()) == pytest.approx(3 + 1000 / 1200)


def test_other_searches_and_other_survivors_are_refused(tmp_path: Path) -> None:
    one = part(tmp_path / "one", 0, 1000, (0, 1000))
    other = part(tmp_path / "other", 0, 1000, (0, 1000), recipe="q")
    wrong = part(tmp_path / "wrong", 0, 2000, (500, 1500), base=1)
    with pytest.raises(UsageError, match=r"different searches \(recipe differ"):
        coverage.together([runs.read(one), runs.read(other)])
    with pytest.raises(IntegrityError, match="same seeds 500 to 999"):
        coverage.together([runs.read(one), runs.read(wrong)])
    assert ask("coverage", one, other).code == 2
    assert ask("coverage", one, wrong).code == 9
    assert ask("coverage").code == 2


def test_all_of_the_seeds_there_are(tmp_path: Path) -> None:
    top = part(tmp_path / "top", 2**64 - 1000, 2**64, (2**64 - 1000, 2**64 - 1), (2**64 - 1, 2**64))
    covered = coverage.together([runs.read(top)])
    assert covered.gaps == [] and covered.seeds_done == 1000 and len(covered.hits) == 10
    coverage.merge_into(tmp_path / "merged", [runs.read(top)], covered)
    assert runs.read(tmp_path / "merged").n_done == 1000


def test_gaps_looks_inside_its_range_only() -> None:
    done = [(0, 10), (20, 30), (40, 50)]
    assert gaps(done, 12, 15) == [(12, 15)] and gaps(done, 5, 25) == [(10, 20)]
    assert gaps(done, 22, 28) == [] and gaps(done, 45, 60) == [(50, 60)]


def test_options_take_words() -> None:
    from prng_mpi import config

    said = config.load(CoverageOptions, ["a,b", "--json", "c", "--folder", "d"], environ={})
    assert said.value.folder == (Path("d"), Path("a,b"), Path("c")) and said.origins["folder"] == "flag"
    with pytest.raises(UsageError, match="did you mean '--into'"):
        config.load(CoverageOptions, ["a", "--int"], environ={})


def test_a_damaged_event_log_is_named(calm: Path, tmp_path: Path) -> None:
    for path in calm.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write("nonsense\n")
    with pytest.raises(IntegrityError, match="is no event"):
        runs.read(tmp_path)
    # A line without its end is being written, or was cut off.
    text = (calm / "events.jsonl").read_text()
    (tmp_path / "events.jsonl").write_text(text + '{"schema": 1, "ki')
    assert runs.read(tmp_path).state == "complete"
    began = time.monotonic()
    assert look(tmp_path)["done"] == SEEDS and time.monotonic() - began < 10
