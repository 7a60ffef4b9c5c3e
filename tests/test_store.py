"""The ledger and the product files: what was committed stays, what is damaged is refused, equal finds hash equal."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from prng_mpi import ledger as ledger_module
from prng_mpi import store
from prng_mpi.errors import ExitCode, IntegrityError, PrngError, UsageError
from prng_mpi.ledger import SEED_END, Ledger, identity_hash, merge, running_pid
from prng_mpi.records import HIT, SURVIVOR

IDENTITY = {"recipe": "java.nextInt", "modulus": 1000, "seeds": [0, 2**64], "window": {"start": 0, "k": 30}}
SRC = Path(ledger_module.__file__).parents[1]


def hits_of(start: int, stop: int) -> np.ndarray:
    """Some hits of [start, stop) that depend on the range, unsorted."""
    seeds = sorted({stop - 1, start, start + (stop - start) // 3}, reverse=True)
    return np.array([(seed, seed % 7, seed % 5, 3, 4 + seed % 3) for seed in seeds], dtype=HIT)


def python(code: str, *args: object) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": f"{SRC}:{Path(__file__).parent}"}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def snapshot(folder: Path) -> dict[str, bytes]:
    names = ("ledger.sqlite", "ledger.sqlite-wal")
    # A reader leaves an empty log behind.
    return {n: (folder / n).read_bytes() for n in names if (folder / n).exists() and (folder / n).stat().st_size}


@contextlib.contextmanager
def file_size_limit(size: int):
    """A full disk: no file of this process may grow past `size` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "ledger.sqlite"


def filled(path: Path, chunks: int = 40, size: int = 100) -> None:
    with Ledger.open(path, IDENTITY) as ledger:
        for i in range(chunks):
            ledger.issue(i, i * size, (i + 1) * size, rank=i % 3, host="zeus", device="cpu")
            assert ledger.commit(i * size, (i + 1) * size, i % 3, hits_of(i * size, (i + 1) * size), lease=i)


# --- the ledger -------------------------------------------------------------------------------------------------------


def test_merge_joins_what_touches_or_overlaps() -> None:
    assert merge([(5, 7), (0, 2), (2, 3), (6, 9), (1, 2)]) == [(0, 3), (5, 9)]
    assert merge([]) == []


def test_a_range_is_recorded_exactly_once(path: Path) -> None:
    with Ledger.open(path, IDENTITY) as ledger:
        assert ledger.commit(100, 200, 0, hits_of(100, 200))
        assert ledger.commit(200, 300, 1, hits_of(200, 300))
        assert not ledger.commit(100, 200, 1, hits_of(100, 200))
        assert not ledger.commit(150, 250, 1, hits_of(100, 200)[:0])
        for start, stop in ((50, 101), (299, 301), (0, 1000)):
            with pytest.raises(IntegrityError, match=f"{start} to {stop} overlap"):
                ledger.commit(start, stop, 0, hits_of(start, stop))
        assert ledger.commit(300, 301, 0, hits_of(300, 301)) and ledger.commit(99, 100, 0, hits_of(99, 100))
        assert ledger.done() == [(99, 301)] and ledger.seeds_done() == 202
        wanted = np.concatenate([hits_of(a, b) for a, b in ((99, 100), (100, 200), (200, 300), (300, 301))])
        np.testing.assert_array_equal(ledger.hits(), np.sort(wanted, order=["seed", "skip", "offset"]))
        assert [(c.start, c.stop, c.rank, c.hits) for c in ledger.chunks()] == [
            (99, 100, 0, 1), (100, 200, 0, 3), (200, 300, 1, 3), (300, 301, 0, 1)]  # fmt: skip


@pytest.mark.parametrize(("start", "stop", "seed"), [(10, 20, 9), (10, 20, 20), (SEED_END - 5, SEED_END, 0)])
def test_a_hit_outside_its_chunk_is_refused(path: Path, start: int, stop: int, seed: int) -> None:
    hits = np.concatenate([hits_of(start, stop), np.array([(seed, 0, 0, 0, 4)], dtype=HIT)])
    with Ledger.open(path, IDENTITY) as ledger:
        with pytest.raises(IntegrityError, match="outside its chunk"):
            ledger.commit(start, stop, 2, hits)
        assert ledger.done() == [] and len(ledger.hits()) == 0


def test_the_whole_of_64_bits(path: Path, tmp_path: Path) -> None:
    half, last = 1 << 63, SEED_END - 1
    with Ledger.open(path, IDENTITY) as ledger:
        ledger.issue(0, half, SEED_END, 0)
        assert ledger.commit(last, SEED_END, 0, hits_of(last, SEED_END), lease=0)
        assert ledger.commit(0, 9, 0, hits_of(0, 9))
        assert ledger.commit(half, last, 0, hits_of(half, last))
        assert not ledger.commit(last, SEED_END, 0, hits_of(last, SEED_END))
        for bad in ((0, SEED_END + 1), (-1, 4), (4, 4), (5, 4)):
            with pytest.raises(ValueError, match="not a range"):
                ledger.commit(*bad, 0, hits_of(0, 1)[:0])
    with Ledger.open(path, IDENTITY, resume=True) as ledger:
        assert ledger.done() == [(0, 9), (half, SEED_END)] and ledger.seeds_done() == half + 9
        assert int(ledger.hits()["seed"][-1]) == last and ledger.attempts()[0].stop == SEED_END
        assert store.chunk_table(ledger.chunks())[-1].tolist()[:2] == (last, last)
    with Ledger.open(tmp_path / "all.sqlite", IDENTITY) as ledger:
        assert ledger.commit(0, SEED_END, 0, hits_of(0, 3))
        assert ledger.seeds_done() == SEED_END
        assert store.rank_table(ledger.chunks(), [])["seeds"].tolist() == [2.0**64]


def test_attempts_tell_how_each_lease_ended(path: Path) -> None:
    before = time.time()
    with Ledger.open(path, IDENTITY) as ledger:
        for lease in range(5):
            ledger.issue(lease, 0, 10, rank=lease, host="rig1", device="RX 6600", attempt=lease + 1)
        ledger.outcome(0, "failed", seconds=2.5, reason="launch failed")
        ledger.commit(0, 10, 1, hits_of(0, 10), lease=1, seconds=0.25)
        ledger.commit(0, 10, 2, hits_of(0, 10)[::-1], lease=2, seconds=0.5)
        ledger.commit(0, 10, 3, hits_of(0, 10)[:1], lease=3)
        rows = ledger.attempts()
        assert [row.outcome for row in rows] == ["failed", "done", "duplicate", "differs", None]
        assert [row.seconds for row in rows] == [2.5, 0.25, 0.5, 0.0, None]
        assert rows[0].reason == "launch failed" and "1 hits, not the 3" in rows[3].reason
        assert (rows[4].host, rows[4].device, rows[4].rank, rows[4].attempt) == ("rig1", "RX 6600", 4, 5)
        assert before <= rows[4].issued <= time.time()
        np.testing.assert_array_equal(ledger.hits(), hits_of(0, 10)[::-1])
    assert Ledger.peek(path).attempts()[4].outcome == "lost"
    with Ledger.open(path, IDENTITY) as ledger:
        ledger.issue(0, 10, 20, rank=0)
        ledger.outcome(0, "expired")
        assert [(row.run, row.lease, row.outcome) for row in ledger.attempts()][4:] == [
            (1, 4, "lost"),
            (2, 0, "expired"),
        ]
        assert ledger.attempts()[0].outcome == "failed"


def test_the_same_search_continues_and_another_is_refused_by_name(path: Path) -> None:
    filled(path, chunks=3)
    before = snapshot(path.parent)
    other = {**IDENTITY, "recipe": "pcg32.mod", "window": {"start": 0, "k": 31}, "extra": True}
    with pytest.raises(UsageError) as caught:
        Ledger.open(path, other)
    text = str(caught.value)
    for part in ('recipe is "java.nextInt" there and "pcg32.mod" here', "window.k is 30 there and 31 here",
                 "extra is absent there and true here"):  # fmt: skip
        assert part in text
    assert "modulus" not in text and "window.start" not in text and caught.value.exit_code == ExitCode.USAGE
    assert snapshot(path.parent) == before
    for resume in (False, True):
        with Ledger.open(path, dict(reversed(IDENTITY.items())), resume=resume) as ledger:
            assert ledger.done() == [(0, 300)] and ledger.identity == IDENTITY


def test_long_values_that_begin_alike_are_told_apart(path: Path) -> None:
    draws = list(range(100))
    Ledger.open(path, {"draws": draws}).close()
    with pytest.raises(UsageError, match=r"draws is \[0,1,.*sha256 (\w+).*and \[0,1,.*sha256 (?!\1)"):
        Ledger.open(path, {"draws": [*draws[:-1], 7]})


def test_identity_hash_ignores_order_and_sees_every_value() -> None:
    assert identity_hash({"a": 1, "b": {"c": 2, "d": 3}}) == identity_hash({"b": {"d": 3, "c": 2}, "a": 1})
    hashes = {identity_hash(i) for i in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": [1]}, {"a": 2**64}, {})}
    assert len(hashes) == 7
    assert identity_hash({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_nothing_to_resume(path: Path) -> None:
    with pytest.raises(UsageError, match="no ledger to resume"):
        Ledger.open(path, IDENTITY, resume=True)
    assert not path.parent.exists()
    with pytest.raises(UsageError, match="is no ledger"):
        Ledger.peek(path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match=r"can't write to the folder .*file.*choose another --output-dir"):
            Ledger.open(folder / "ledger.sqlite", IDENTITY)
    (tmp_path / "ledger.sqlite").mkdir()
    with pytest.raises(PrngError, match=r"ledger\.sqlite"):
        Ledger.open(tmp_path / "ledger.sqlite", IDENTITY)


@contextlib.contextmanager
def nobody():
    """Without root's rights where the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_without_permission() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "ledger.sqlite"
        filled(path, chunks=2)
        path.with_name("ledger.sqlite.lock").chmod(0o666)
        for path_mode, folder_mode, why in ((0o444, 0o777, "can't be written"), (0o000, 0o777, "can't be read")):
            path.chmod(path_mode)
            folder.chmod(folder_mode)
            with nobody(), pytest.raises(UsageError, match=f"ledger.sqlite {why}"):
                Ledger.open(path, IDENTITY)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        folder.chmod(0o555)
        path.chmod(0o444)
        with nobody(), contextlib.closing(Ledger.peek(path)) as view:
            assert view.done() == [(0, 200)]
        with nobody(), pytest.raises(UsageError, match="can't write to the folder"):
            Ledger.open(folder / "new" / "ledger.sqlite", IDENTITY)
        with nobody(), pytest.raises(UsageError, match="can't write"):
            store.EventLog(folder / "events.jsonl")
        folder.chmod(0o755)
        path.chmod(0o644)


def alien(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE chunks (start, stop)")


def sql(statement: str):
    def change(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            assert db.execute(statement).rowcount != 0

    return change


def lose_a_row(path: Path) -> None:
    """One cell fewer in the header of the page of chunks: a whole row is gone, and no checksum of a row can tell."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name='chunks'").fetchone()[0]
        at = (page - 1) * db.execute("PRAGMA page_size").fetchone()[0]
    data = bytearray(path.read_bytes())
    assert (data[at], data[at + 4]) == (13, 12)
    data[at + 4] -= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.write_bytes(b""), "not a ledger"),
        (lambda path: path.write_bytes(b"no database at all " * 99), "not a database"),
        (lambda path: path.write_bytes(path.read_bytes()[:-4096]), "trusted"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "trusted"),
        (alien, "not a ledger"),
        (lose_a_row, "page"),
        (sql("PRAGMA user_version=7"), "schema 7, and this program reads 2"),
        (sql("UPDATE chunks SET stop='00000000000000000099' WHERE start LIKE '%0000'"), "checksum"),
        (sql("UPDATE chunks SET hits=zeroblob(28) WHERE start LIKE '%0200'"), "checksum .* seed 0*200 is"),
        (sql("INSERT INTO chunks SELECT * FROM chunks LIMIT 1"), "two chunks hold seed 0"),
        (sql("UPDATE meta SET value='{}' WHERE key='identity'"), "identity"),
        (sql("DELETE FROM meta"), "identity"),
        (sql("DROP TABLE attempts"), "attempts"),
    ],
)
def test_a_damaged_ledger_is_refused_and_left_alone(path: Path, damage, why: str) -> None:
    filled(path, chunks=12)
    damage(path)
    before = snapshot(path.parent)
    for resume in (False, True):
        with pytest.raises(IntegrityError, match=why) as caught:
            Ledger.open(path, IDENTITY, resume=resume)
        assert caught.value.exit_code == ExitCode.INTEGRITY and "\n" not in str(caught.value)
    assert snapshot(path.parent) == before


def test_flipped_bytes_never_change_what_is_done(path: Path) -> None:
    filled(path)
    whole, rng, refused = path.read_bytes(), random.Random(5), 0
    with Ledger.open(path, IDENTITY) as ledger:
        done, hits, chunks = ledger.done(), ledger.hits(), ledger.chunks()
    for _ in range(100):
        at = rng.randrange(len(whole))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        damaged = whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :]
        path.write_bytes(damaged)
        try:
            with Ledger.open(path, IDENTITY) as ledger:
                assert (ledger.done(), ledger.chunks()) == (done, chunks)
                np.testing.assert_array_equal(ledger.hits(), hits)
        except IntegrityError:
            refused += 1
            assert path.read_bytes() == damaged
    assert refused > 20


def test_a_full_disk_loses_nothing_committed(path: Path) -> None:
    with Ledger.open(path, IDENTITY) as ledger:
        ledger.commit(0, 10, 0, hits_of(0, 10))
        ledger.issue(1, 10, 99_999, 0)
        many = np.zeros(50_000, HIT)
        many["seed"] = np.arange(10, 50_010)
        with (
            file_size_limit(200_000),
            pytest.raises(PrngError, match=r"can't record seeds 10 to 99999.*safe") as caught,
        ):
            ledger.commit(10, 99_999, 0, many, lease=1)
        assert caught.value.exit_code == ExitCode.ABORTED
        assert ledger.done() == [(0, 10)] and ledger.attempts()[0].outcome is None
        assert ledger.commit(10, 99_999, 0, many, lease=1)
        assert ledger.attempts()[0].outcome == "done"
    assert Ledger.peek(path).done() == [(0, 99_999)]


def test_an_interrupted_commit_leaves_memory_and_file_agreed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(path, IDENTITY) as ledger:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(ledger, "_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.commit(0, 10, 0, hits_of(0, 10), lease=0)
        monkeypatch.undo()
        assert ledger.done() == [] == Ledger.peek(path).done()
        assert ledger.commit(0, 10, 0, hits_of(0, 10))


def test_a_log_left_without_its_ledger_is_not_replayed(path: Path) -> None:
    with Ledger.open(path, IDENTITY) as ledger:
        ledger.commit(0, 10, 0, hits_of(0, 10))
        wal = path.with_name("ledger.sqlite-wal").read_bytes()
    path.unlink()
    path.with_name("ledger.sqlite-wal").write_bytes(wal)
    path.with_name("ledger.sqlite.new").write_bytes(b"half a ledger")
    with Ledger.open(path, {"other": 1}) as ledger:
        assert ledger.done() == []
    assert not path.with_name("ledger.sqlite.new").exists()


WRITER = """
import os, sys
from pathlib import Path
from prng_mpi.ledger import Ledger
from test_store import IDENTITY, hits_of
ledger = Ledger.open(Path(sys.argv[1]), IDENTITY)
start = ledger.done()[-1][1] if ledger.done() else 0
os.write(1, b"open\\n")
for i in range(start // 50, 1_000_000):
    ledger.issue(i, i * 50, i * 50 + 50, 0)
    ledger.commit(i * 50, i * 50 + 50, 0, hits_of(i * 50, i * 50 + 50), lease=i)
    os.write(1, b"%d\\n" % i)
"""


def test_kill_9_at_any_instant_loses_nothing_acknowledged(path: Path) -> None:
    rng, acknowledged = random.Random(9), set()
    for _ in range(10):
        writer = python(WRITER, path)
        assert writer.stdout is not None
        assert select.select([writer.stdout], [], [], 30)[0]
        time.sleep(rng.uniform(0, 0.08))
        writer.kill()
        lines = writer.communicate()[0].split("\n")
        assert writer.returncode == -signal.SIGKILL and lines[0] == "open"
        # The text after the last line end was cut off by the kill.
        acknowledged |= {int(line) for line in lines[1:-1]}
        with contextlib.closing(Ledger.peek(path)) as view:
            done, hits = view.done(), view.hits()
        assert len(done) <= 1 and acknowledged <= set(range((done[0][1] if done else 0) // 50))
        wanted = [hits_of(i * 50, i * 50 + 50)[::-1] for i in range(done[0][1] // 50 if done else 0)]
        np.testing.assert_array_equal(hits, np.concatenate([np.empty(0, HIT), *wanted]))
    assert len(acknowledged) > 20
    with Ledger.open(path, IDENTITY, resume=True) as ledger:
        assert ledger.seeds_done() // 50 - len(acknowledged) in range(11)


HOLDER = """
import sys
from pathlib import Path
from prng_mpi.ledger import Ledger
from test_store import IDENTITY, hits_of
with Ledger.open(Path(sys.argv[1]), IDENTITY) as ledger:
    ledger.commit(0, 10, 0, hits_of(0, 10))
    ledger.issue(7, 10, 20, 0)
    print("held", flush=True)
    for line in sys.stdin:
        a, b = map(int, line.split())
        ledger.commit(a, b, 0, hits_of(a, b), lease=7)
        print("ok", flush=True)
"""


def test_one_run_holds_a_folder_while_others_look_on(path: Path) -> None:
    holder = python(HOLDER, path)
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"in use by process {holder.pid} on "):
            Ledger.open(path, IDENTITY)
        with pytest.raises(UsageError, match="in use"):
            Ledger.open(path, {"other": 1})
        assert running_pid(path) == holder.pid

        # The same view sees what is committed after it was opened, and doesn't stand in the way of it.
        view = Ledger.peek(path)
        assert view.identity == IDENTITY and view.done() == [(0, 10)] and view.attempts()[0].outcome is None
        for a, b in ((10, 20), (30, 40)):
            holder.stdin.write(f"{a} {b}\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == "ok\n"
        assert view.done() == [(0, 20), (30, 40)] and view.seeds_done() == 30 and view.attempts()[0].outcome == "done"
        with pytest.raises(PrngError):
            view.commit(50, 60, 0, hits_of(50, 60))
        view.close()
    finally:
        holder.kill()
        holder.communicate()
    assert running_pid(path) is None
    with Ledger.open(path, IDENTITY, resume=True) as ledger:
        assert ledger.done() == [(0, 20), (30, 40)] and running_pid(path) == os.getpid()
    assert running_pid(path) is None


# --- results.h5 and summary.json --------------------------------------------------------------------------------------


def survivors_of(count: int, rng: np.random.Generator) -> np.ndarray:
    rows = np.zeros(count, SURVIVOR)
    for name in SURVIVOR.names or ():
        rows[name] = rng.integers(0, 4, count) if name != "seed" else rng.integers(0, 2**64, count, np.uint64)
    rows["log10_p1"], rows["log10_E"] = -rng.random(count) * 300, np.linspace(-9, 9, count)
    return rows


HISTOGRAM = (np.arange(5), np.array([0, 0, 7, 2, 1]), np.array([0.0, 0.0, 6.5, 1.5, 1e-3]))


def write(path: Path, survivors: np.ndarray, **attributes: object) -> None:
    chunks = [
        ledger_module.Chunk(0, 10, 0, "zeus", "cpu", 1, 0.5, 2),
        ledger_module.Chunk(10, SEED_END, 1, "r", "é", 2, 1, 0),
    ]
    attempts = [
        ledger_module.Attempt(1, n, 0, 10, 1, "r", "é", 1, 0.0, None, outcome, "")
        for n, outcome in enumerate(("failed", "lost", "done", None))
    ]
    tables = store.chunk_table(chunks), store.rank_table(chunks, attempts)
    store.write_results(path, survivors, *tables, histogram=HISTOGRAM, attributes=attributes)


@pytest.mark.parametrize("count", [0, 1, 40_000])
def test_results_round_trip(tmp_path: Path, count: int) -> None:
    survivors = survivors_of(count, np.random.default_rng(1))
    attributes = {
        "recipe": "java.nextInt", "config": "x = 1\n" * 20_000, "n_hypotheses": 2**70, "expected_by_chance": 1.5e-7,
        "versions": {"numpy": "2"}, "resumed": True, "seed_end": 2**63 - 1, "revision": None,
    }  # fmt: skip
    write(tmp_path / "results.h5", survivors, **attributes)
    back, found = store.read_results(tmp_path / "results.h5")
    assert back.dtype == SURVIVOR
    np.testing.assert_array_equal(back, np.sort(survivors, order=["seed", "skip", "offset", "window_start"]))
    assert found.pop("NX_class") == "NXroot" and found.pop("default") == "match_histogram"
    changed = {"n_hypotheses": str(2**70), "versions": '{"numpy": "2"}', "revision": "", "schema_version": 1}
    assert found == {**attributes, **changed}
    assert os.listdir(tmp_path) == ["results.h5"]


def test_chunks_and_ranks_hold_what_the_ledger_says(tmp_path: Path) -> None:
    write(tmp_path / "results.h5", survivors_of(3, np.random.default_rng(1)))
    with h5py.File(tmp_path / "results.h5") as file:
        assert file["chunks"][:].tolist() == [(0, 9, 0, 1, 0.5, 2), (10, SEED_END - 1, 1, 2, 1.0, 0)]
        assert file["ranks"].dtype.names == (
            "rank",
            "host",
            "device",
            "chunks",
            "failed",
            "seeds",
            "survivors",
            "seconds",
        )
        assert file["ranks"][:].tolist() == [
            (0, b"zeus", b"cpu", 1, 0, 10.0, 2, 0.5), (1, b"r", "é".encode(), 1, 2, 2.0**64, 0, 1.0)]  # fmt: skip
        assert all(file[name].attrs["long_name"] for name in ("survivors", "chunks", "ranks"))


def test_a_viewer_finds_the_plot(tmp_path: Path) -> None:
    write(tmp_path / "results.h5", survivors_of(3, np.random.default_rng(1)))
    with h5py.File(tmp_path / "results.h5") as file:
        group = file[file.attrs["default"]]
        assert group.attrs["NX_class"] == "NXdata"
        names = [group.attrs["signal"], *group.attrs["auxiliary_signals"], *group.attrs["axes"]]
        for name, values in zip(names, (HISTOGRAM[1], HISTOGRAM[2], HISTOGRAM[0]), strict=True):
            np.testing.assert_array_equal(group[name][:], values)
            assert group[name].attrs["units"] and group[name].attrs["long_name"]
        assert json.loads(group.attrs["SILX_style"]) == {"signal_scale_type": "log"}


def test_a_torn_file_of_a_killed_run_is_harmless(tmp_path: Path) -> None:
    for name in ("results.h5", "summary.json"):
        (tmp_path / f"{name}.tmp").write_bytes(b"\x89HDF\r\n\x1a\n torn")
    survivors = survivors_of(3, np.random.default_rng(1))
    write(tmp_path / "results.h5", survivors)
    store.write_json(tmp_path / "summary.json", {"a": 1})
    assert sorted(os.listdir(tmp_path)) == ["results.h5", "summary.json"]
    assert len(store.read_results(tmp_path / "results.h5")[0]) == 3


def test_a_full_disk_leaves_the_earlier_results(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    write(tmp_path / "results.h5", survivors_of(3, rng))
    store.write_json(tmp_path / "summary.json", {"a": 1})
    with file_size_limit(100_000):
        with pytest.raises(PrngError, match=r"can't write .*results\.h5 .*safe in the ledger") as caught:
            write(tmp_path / "results.h5", survivors_of(30_000, rng))
        with pytest.raises(PrngError, match=r"can't write .*summary\.json"):
            store.write_json(tmp_path / "summary.json", {"a": "x" * 200_000})
    assert caught.value.exit_code == ExitCode.ABORTED and "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["results.h5", "summary.json"]
    assert len(store.read_results(tmp_path / "results.h5")[0]) == 3


def test_damaged_results_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.h5"
    survivors = survivors_of(300, np.random.default_rng(1))
    good = store.payload_hash(survivors, "ab")
    write(path, survivors, identity_hash="ab", payload_hash=good)
    assert store.read_results(path)[1]["payload_hash"] == good
    whole = path.read_bytes()
    with h5py.File(path) as file:
        at = file["survivors"].id.get_chunk_info(0).byte_offset + 50
    for damaged in (whole[:-10], whole[:3000], b"nothing", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match=r"results\.h5 can't be trusted"):
            store.read_results(path)
        assert path.read_bytes() == damaged
    for name, value in (("payload_hash", good[::-1]), ("schema_version", 9)):
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            file.attrs[name] = value
        with pytest.raises(IntegrityError, match=name.split("_")[0]):
            store.read_results(path)
    with pytest.raises(UsageError, match="does not exist"):
        store.read_results(tmp_path / "none.h5")


def test_payload_hash_sees_the_search_and_the_findings_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    survivors = survivors_of(500, rng)
    survivors["seed"] %= 20
    first = store.payload_hash(survivors, "aa")
    assert first == store.payload_hash(rng.permutation(survivors), "aa")
    assert first == store.payload_hash(np.concatenate([survivors[300:], survivors[:300]]), "aa")
    for name in ("log10_p1", "log10_E", "verified"):
        changed = survivors.copy()
        changed[name] += 1
        assert store.payload_hash(changed, "aa") == first
    seen = {first, store.payload_hash(survivors, "ab"), store.payload_hash(survivors[:-1], "aa")}
    for name in store.PAYLOAD:
        changed = survivors.copy()
        changed[name][77] += 1
        seen.add(store.payload_hash(changed, "aa"))
    assert len(seen) == 3 + len(store.PAYLOAD)


def test_json_holds_numpy_numbers_and_no_nan(tmp_path: Path) -> None:
    content = {"a": np.uint64(2**64 - 1), "b": [np.float64(0.5), float("nan"), -np.inf], "c": np.arange(2), "d": None}
    store.write_json(tmp_path / "summary.json", {**content, "e": np.bool_(True)})
    text = (tmp_path / "summary.json").read_text()
    assert json.loads(text) == {"a": 2**64 - 1, "b": [0.5, None, None], "c": [0, 1], "d": None, "e": True}


# --- events.jsonl -----------------------------------------------------------------------------------------------------


def events(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_events_are_lines_and_end_in_one_final(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = store.EventLog(path)
    log.write("progress", share=np.float32(0.5), rank=3)
    assert events(path)[0].keys() == {"schema", "time", "elapsed", "kind", "share", "rank"}
    with pytest.raises(ValueError, match="elapsed"):
        log.write("progress", elapsed=1)
    log.close({"reason": "done", "exit_code": 0})
    log.close({"reason": "other"})
    assert [(e["kind"], e.get("reason")) for e in events(path)] == [("progress", None), ("final", "done")]
    first, last = events(path)
    assert (
        first["schema"] == 1 and str(first["time"]).endswith("+00:00") and 0 <= first["elapsed"] <= last["elapsed"] < 5
    )
    with store.EventLog(path) as log:
        log.write("start")
    with pytest.raises(RuntimeError), store.EventLog(path):
        raise RuntimeError("boom")
    kinds = [(e["kind"], e.get("reason")) for e in events(path)][2:]
    assert kinds == [("start", None), ("final", "aborted"), ("final", "aborted")]
    assert events(path)[-1]["error"] == "RuntimeError: boom"


EVENTS = """
import os, signal, sys
from pathlib import Path
from prng_mpi.store import EventLog
log = EventLog(Path(sys.argv[1]))
log.write("start")
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "raise":
    raise SystemExit(3)
log.close({"reason": "done"})
"""


def test_events_are_final_whatever_ended_the_run(tmp_path: Path) -> None:
    path, wanted = tmp_path / "events.jsonl", []
    for how, reason in (("raise", "aborted"), ("kill", "killed"), ("close", "done"), ("kill", "killed")):
        python(EVENTS, path, how).communicate()
        if how == "kill":
            assert events(path)[-1]["kind"] == "start"
            with open(path, "a") as file:
                file.write('{"schema": 1, "kind": "fin')
        wanted += [("start", None), ("final", reason)]
    store.EventLog(path).close({"reason": "done"})
    assert [(e["kind"], e.get("reason")) for e in events(path)] == [*wanted, ("final", "done")]


def test_events_on_a_full_disk_and_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = store.EventLog(path)
    log.write("start")
    with file_size_limit(os.path.getsize(path) + 50), pytest.raises(PrngError, match="free some space"):
        log.write("progress", text="x" * 100)
    log.close({"reason": "done"})
    assert [e["kind"] for e in events(path)] == ["start", "final"]
    with pytest.raises(UsageError, match="can't write"):
        store.EventLog(path / "below.jsonl")
