"""Floor 1: the ledger of a search, one SQLite file on root's disk; with store.py it alone touches the files of a run.

Seeds reach 2**64 and SQLite's integers don't, so both ends of a range are text of 20 digits, which sorts as numbers do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import socket
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from prng_mpi.errors import IntegrityError, PrngError, UsageError
from prng_mpi.records import HIT

SCHEMA_VERSION = 2
SEED_END = 1 << 64
_APPLICATION_ID = 0x70726E67
_SCHEMA = f"""
PRAGMA application_id={_APPLICATION_ID};
PRAGMA user_version={SCHEMA_VERSION};
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE chunks (start TEXT NOT NULL, stop TEXT NOT NULL, rank INTEGER NOT NULL, host TEXT NOT NULL,
    device TEXT NOT NULL, attempt INTEGER NOT NULL, seconds REAL NOT NULL, hits BLOB NOT NULL, crc INTEGER NOT NULL,
    run INTEGER NOT NULL);
CREATE TABLE attempts (run INTEGER NOT NULL, lease INTEGER NOT NULL, start TEXT NOT NULL, stop TEXT NOT NULL,
    rank INTEGER NOT NULL, host TEXT NOT NULL, device TEXT NOT NULL, attempt INTEGER NOT NULL, issued REAL NOT NULL,
    seconds REAL, outcome TEXT, reason TEXT NOT NULL, PRIMARY KEY (run, lease)) WITHOUT ROWID;
CREATE TABLE audits (run INTEGER NOT NULL, kind TEXT NOT NULL, start TEXT NOT NULL, stop TEXT NOT NULL, rank INTEGER NOT NULL,
    host TEXT NOT NULL, device TEXT NOT NULL, other TEXT NOT NULL, seen INTEGER NOT NULL, vals INTEGER NOT NULL,
    at_end INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL);
"""
_CHUNK = "start, stop, rank, host, device, attempt, seconds"


@dataclass(frozen=True)
class Chunk:
    """One committed range of seeds [start, stop), who searched it in how many seconds, and how many hits it gave."""

    start: int
    stop: int
    rank: int
    host: str
    device: str
    attempt: int
    seconds: float
    hits: int


@dataclass(frozen=True)
class Attempt:
    """One lease of [start, stop): `run` counts the starts of this search, `issued` is Unix time in seconds.

    `outcome` is None while the lease runs and "lost" once the run that issued it is over without an answer.
    """

    run: int
    lease: int
    start: int
    stop: int
    rank: int
    host: str
    device: str
    attempt: int
    issued: float
    seconds: float | None
    outcome: str | None
    reason: str


@dataclass(frozen=True)
class Audited:
    """A device's work on the chunk [start, stop), held against `other`. kind: "canary", "audit", "re-run", or "survivors".

    seen: survivors that it found and had to find; values: outputs of which none had a wrong bit; end: whether one of the seen
    was the chunk's last seed. outcome: "passed", or "caught", with why.
    """

    run: int
    kind: str
    start: int
    stop: int
    rank: int
    host: str
    device: str
    other: str
    seen: int
    values: int
    end: bool
    outcome: str
    reason: str


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def identity_hash(identity: dict[str, Any]) -> str:
    """Hex SHA-256 of the canonical JSON of what makes two searches the same search."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def merge(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open ranges, sorted, with those that touch or overlap joined."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def gaps(done: Iterable[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """What of [start, stop) is in none of the ranges `done`, which are sorted and disjoint."""
    left, at = [], start
    for a, b in [*done, (stop, stop)]:
        if (end := min(a, stop)) > at:
            left.append((at, end))
        at = max(at, b)
    return left


def sort_hits(hits: NDArray[np.void]) -> NDArray[np.void]:
    """`hits` (n, of HIT or SURVIVOR) sorted by seed, skip, offset, and window start."""
    return hits[np.lexsort((hits["window_start"], hits["offset"], hits["skip"], hits["seed"]))]


def running_pid(path: Path) -> int | None:
    """Process id of the run that holds the ledger at `path`, None if none does; never blocks and never disturbs."""
    try:
        with open(_beside(path, ".lock")) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(_holder(path)[0] or 0)
    except OSError:
        return None
    return None


class Ledger:
    """The record of truth of one search: which seeds are done, by whom, with which hits.

    One process holds it for writing (`open`); any number read beside it (`peek`). What `commit` returned from is
    on the disk. Every method raises IntegrityError when the file can't be trusted.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, lock: TextIO | None) -> None:
        self.path = path
        self._db = db
        self._lock = lock
        self.identity = _identity(db)
        self._run = int(db.execute("SELECT coalesce(max(run), 0) FROM attempts").fetchone()[0]) + (lock is not None)
        self._done = self._stored()
        self._doubted: set[tuple[int, int]] = set()

    @classmethod
    def open(cls, path: Path, identity: dict[str, Any], *, resume: bool = False) -> Self:
        """Create the ledger at `path`, or continue the one there if it is of the same search.

        `resume` demands that there is one.

        Raises:
            UsageError: another search or another process holds the folder, it can't be written, nothing to resume.
            IntegrityError: the file is no ledger, of another schema, or damaged; it is left untouched.
        """
        if resume and not os.path.lexists(path):
            raise UsageError(f"{path.parent} holds no ledger to resume; check the folder, or start without --resume")
        lock = _take_lock(path)
        try:
            if not os.path.lexists(path):
                _create(path, identity)
            with contextlib.closing(cls.peek(path)) as view:
                view._verify()
                _refuse_other(path, view.identity, identity)
            return cls(path, _connect(path, "rw"), lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def peek(cls, path: Path) -> Self:
        """A read-only view of the ledger at `path`, without a lock, while a run goes on or after it.

        Raises:
            UsageError: no ledger there, or not readable.
            IntegrityError: not a ledger of this schema.
        """
        if not path.is_file():
            raise UsageError(f"{path} is no ledger; name the --output-dir of a run")
        with _trusting(path), contextlib.ExitStack() as stack:
            db = stack.enter_context(contextlib.closing(_connect(path, "ro")))
            _check_schema(path, db)
            view = cls(path, db, None)
            stack.pop_all()
            return view

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let go of the folder; may be called again."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    def issue(
        self, lease: int, start: int, stop: int, rank: int, *, host: str = "", device: str = "", attempt: int = 1
    ) -> None:
        """Note that `rank` was given [start, stop) under `lease`, a number not used before in this run."""
        row = (self._run, lease, *_texts(start, stop), rank, host, device, attempt, time.time(), None, None, "")
        # Not worth a wait for the disk: a power cut that loses this loses a chunk in flight, which is lost anyway.
        with self._transaction(f"the lease of seeds {start} to {stop}", durable=False):
            self._db.execute(f"INSERT INTO attempts VALUES ({','.join('?' * len(row))})", row)

    def outcome(self, lease: int, outcome: str, *, seconds: float | None = None, reason: str = "") -> None:
        """Note how a lease of this run ended without a result ("failed", "expired", ...), and why."""
        with self._transaction(f"the end of lease {lease}"):
            self._end(lease, outcome, seconds, reason)

    def commit(
        self, start: int, stop: int, rank: int, hits: NDArray[np.void], *,
        lease: int | None = None, host: str = "", device: str = "", attempt: int = 1, seconds: float = 0.0,
    ) -> bool:  # fmt: skip
        """Record [start, stop) as done with its `hits` (n, of HIT, any order), once: False if it was done before.

        A `lease` given ends as "done"; as "duplicate" if the range was done; as "differs" if it was done with other
        hits, which one of two devices got wrong. What was `doubted` is replaced.

        Raises:
            IntegrityError: part of the range is done and part not, or a hit lies outside of it.
            PrngError: the disk is full or fails; all that was committed before is safe.
        """
        ends, hits = _texts(start, stop), sort_hits(np.ascontiguousarray(hits, dtype=HIT))
        if len(hits) and not start <= int(hits["seed"][0]) <= int(hits["seed"][-1]) < stop:
            raise IntegrityError(f"rank {rank} reported a seed outside its chunk {start} to {stop}; nothing recorded")
        done = sum(max(0, min(stop, b) - max(start, a)) for a, b in self._done)
        if 0 < done < stop - start:
            raise IntegrityError(f"{self.path}: seeds {start} to {stop} overlap a range that is done already")
        again = (start, stop) in self._doubted
        end, reason = ("done", "") if not done else self._compare(start, stop, hits)
        with self._transaction(f"seeds {start} to {stop}"):
            if again:
                self._db.execute("DELETE FROM chunks WHERE start=?", ends[:1])
                end = "done"
            if again or not done:
                fields = (*ends, int(rank), str(host), str(device), int(attempt), float(seconds))
                row = (*fields, hits.tobytes(), _crc(fields, hits.tobytes()), self._run)
                self._db.execute(f"INSERT INTO chunks VALUES ({','.join('?' * len(row))})", row)
                self._done = merge([*self._done, (start, stop)])
            if lease is not None:
                self._end(lease, end, seconds, reason)
        self._doubted.discard((start, stop))
        return again or not done

    def audited(self, audited: Audited) -> None:
        """Note that a device has passed; the number of the run is filled in."""
        # A power cut that loses this makes a device look less sure than it is.
        with self._transaction(f"the {audited.kind} of rank {audited.rank}", durable=False):
            self._note(audited)

    def withdraw(self, audited: Audited) -> list[Chunk]:
        """Note that a device is caught, and take out, in one transaction, its `unchecked` chunks of all runs; their leases end as
        "withdrawn". Those chunks, sorted by start.

        Raises:
            PrngError: the disk is full or fails; nothing is taken out.
        """
        with self._transaction(f"the chunks that rank {audited.rank} did wrongly"):
            self._note(audited)
            mine = (audited.rank, audited.host, audited.device)
            wrong = [chunk for chunk in self.unchecked() if (chunk.rank, chunk.host, chunk.device) == mine]
            reason = f"{audited.kind}: {audited.reason}"
            for start, _ in (_texts(chunk.start, chunk.stop) for chunk in wrong):
                self._db.execute(
                    "UPDATE attempts SET outcome='withdrawn', reason=? WHERE start=? AND rank=? AND outcome='done'",
                    (reason, start, audited.rank),
                )
                self._db.execute("DELETE FROM chunks WHERE start=?", (start,))
        self._done = self._stored()
        return wrong

    def unchecked(self) -> list[Chunk]:
        """The chunks of each device that it has done since the last one of the same run whose "audit" or "re-run" it has passed,
        sorted by start."""
        return self._unchecked("1")

    def doubt(self) -> list[tuple[int, int]]:
        """The `unchecked` chunks of devices that were checked in an earlier run, which was cut off before it checked them again:
        ranges to search once more, sorted. They stay done until they are committed anew."""
        self._doubted = {(c.start, c.stop) for c in self._unchecked(f"last IS NOT NULL AND run < {self._run}")}
        return sorted(self._doubted)

    def _unchecked(self, where: str) -> list[Chunk]:
        # Rows are numbered in the order of their commits.
        sql = f"""WITH good AS (SELECT run, rank, host, device, max(chunks.rowid) AS last
                FROM chunks JOIN audits USING (run, start, rank, host, device)
                WHERE outcome='passed' AND kind != 'canary' GROUP BY run, rank, host, device)
            SELECT {_CHUNK}, length(hits) / {HIT.itemsize} FROM chunks LEFT JOIN good USING (run, rank, host, device)
            WHERE chunks.rowid > coalesce(last, 0) AND {where} ORDER BY start"""
        with _trusting(self.path):
            return _chunks(self._db.execute(sql).fetchall())

    def audits(self) -> list[Audited]:
        """What devices were put to, in order."""
        with _trusting(self.path):
            rows: list[tuple[Any, ...]] = self._db.execute("SELECT * FROM audits ORDER BY rowid").fetchall()
            names = [f.name for f in dataclasses.fields(Audited)]
            plain = [dict(zip(names, row, strict=True)) for row in rows]
            return [
                Audited(**(r | {"start": int(r["start"]), "stop": int(r["stop"]), "end": bool(r["end"])}))
                for r in plain
            ]

    def _note(self, a: Audited) -> None:
        row = (self._run, a.kind, *_texts(a.start, a.stop), a.rank, a.host, a.device, a.other, a.seen, a.values, a.end,
               a.outcome, a.reason)  # fmt: skip
        self._db.execute(f"INSERT INTO audits VALUES ({','.join('?' * len(row))})", row)

    def done(self) -> list[tuple[int, int]]:
        """Done ranges [start, stop), sorted, as few as possible."""
        return list(self._done) if self._lock is not None else self._stored()

    def seeds_done(self) -> int:
        """How many seeds are done."""
        return sum(stop - start for start, stop in self.done())

    def hits(self) -> NDArray[np.void]:
        """All hits (n, of HIT) sorted by seed, skip, offset."""
        with _trusting(self.path):
            blobs = b"".join(blob for _, blob in _checked(self._db))
        return sort_hits(np.frombuffer(blobs, dtype=HIT))

    def chunks(self) -> list[Chunk]:
        """The committed chunks, sorted by start."""
        with _trusting(self.path):
            sql = f"SELECT {_CHUNK}, length(hits) / {HIT.itemsize} FROM chunks ORDER BY start"
            return _chunks(self._db.execute(sql).fetchall())

    def attempts(self) -> list[Attempt]:
        """All attempts of all runs of this search, in order of run and lease."""
        over = self._run if self._lock is not None or running_pid(self.path) is not None else self._run + 1
        with _trusting(self.path):
            sql = f"""SELECT run, lease, start, stop, rank, host, device, attempt, issued, seconds,
                coalesce(outcome, iif(run < {over}, 'lost', NULL)), reason FROM attempts ORDER BY run, lease"""
            rows: list[tuple[Any, ...]] = self._db.execute(sql).fetchall()
            return [Attempt(row[0], row[1], int(row[2]), int(row[3]), *row[4:]) for row in rows]

    def _stored(self) -> list[tuple[int, int]]:
        with _trusting(self.path):
            return merge((int(a), int(b)) for a, b in self._db.execute("SELECT start, stop FROM chunks"))

    def _verify(self) -> None:
        with _trusting(self.path):
            found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise ValueError(found.replace("\n", " "))
            for _ in _checked(self._db):
                pass
        self.attempts()
        self.audits()

    def _compare(self, start: int, stop: int, hits: NDArray[np.void]) -> tuple[str, str]:
        known = self.hits()
        inside = (known["seed"] >= np.uint64(start)) & (known["seed"] <= np.uint64(stop - 1))
        if np.array_equal(known[inside], hits):
            return "duplicate", "done before"
        return "differs", f"{len(hits)} hits, not the {int(inside.sum())} that were committed before"

    def _end(self, lease: int, outcome: str, seconds: float | None, reason: str) -> None:
        sql = "UPDATE attempts SET outcome=?, seconds=?, reason=? WHERE run=? AND lease=?"
        self._db.execute(sql, (outcome, seconds, reason, self._run, lease))

    @contextlib.contextmanager
    def _transaction(self, what: str, *, durable: bool = True) -> Iterator[None]:
        try:
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # An interrupt may come just after the commit, so the file says what is done.
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                with contextlib.suppress(PrngError):
                    self._done = self._stored()
                raise
        except sqlite3.OperationalError as error:
            raise PrngError(
                f"{self.path}: can't record {what} ({error}); all that was committed before is safe: "
                "free some space, then give the same command again"
            ) from error
        except sqlite3.DatabaseError as error:
            # Its subclasses tell of a wrong call, not of a wrong file.
            if type(error) is sqlite3.DatabaseError:
                raise _untrusted(self.path, str(error)) from error
            raise


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _texts(start: int, stop: int) -> tuple[str, str]:
    if not 0 <= start < stop <= SEED_END:
        raise ValueError(f"not a range of seeds: {start} to {stop}")
    return f"{int(start):020d}", f"{int(stop):020d}"


def _chunks(rows: Iterable[tuple[Any, ...]]) -> list[Chunk]:
    return [Chunk(int(row[0]), int(row[1]), *row[2:]) for row in rows]


def _crc(fields: tuple[object, ...], blob: bytes) -> int:
    return zlib.crc32(blob, zlib.crc32(repr(fields).encode()))


def _untrusted(path: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"{path} can't be trusted ({why}); it was left as it is: restore a copy of it, or choose another --output-dir"
    )


@contextlib.contextmanager
def _trusting(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
        raise _untrusted(path, str(error)) from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # Not open() and close() as a trial: closing any handle would drop the locks SQLite holds in this process.
    for right, verb in ((os.R_OK, "read"), (os.W_OK, "written")):
        if (right == os.R_OK or mode == "rw") and not os.access(path, right, effective_ids=True):
            raise UsageError(f"{path} can't be {verb}; check its owner and permissions")
    # A reader makes helper files beside the ledger; a finished one in a folder that is read-only does without.
    fixed = not os.access(path.parent, os.W_OK, effective_ids=True) and not _beside(path, "-wal").exists()
    uri = f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' if fixed else ''}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _holder(path: Path) -> list[str]:
    with open(_beside(path, ".lock")) as handle:
        return [*handle.read().split(), "", ""][:2]


def _take_lock(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Held open for the life of the run: the lock ends with the process, however that ends.
        lock = open(_beside(path, ".lock"), "a+")  # noqa: SIM115
    except OSError as error:
        raise UsageError(
            f"can't write to the folder {path.parent} ({error.strerror}); choose another --output-dir"
        ) from error
    # More than one try, since `running_pid` holds the lock for an instant.
    for tries_left in range(4, -1, -1):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if tries_left and isinstance(error, BlockingIOError):
                time.sleep(0.05)
                continue
            lock.close()
            if not isinstance(error, BlockingIOError):
                raise UsageError(
                    f"can't lock {path.parent} ({error.strerror}); choose a folder on a local disk"
                ) from error
            pid, host = _holder(path)
            raise UsageError(
                f"{path.parent} is in use by process {pid or '(just starting)'} {f'on {host}' if host else ''}; "
                "wait until it ends, or choose another --output-dir"
            ) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()} {socket.gethostname()}\n")
    lock.flush()
    return lock


def _create(path: Path, identity: dict[str, Any]) -> None:
    # Built whole under another name: a kill on the way leaves no half ledger. A log without its file is of no use,
    # and SQLite would replay it into the new one.
    new = _beside(path, ".new")
    try:
        for stale in (new, *(_beside(name, end) for name in (new, path) for end in ("-wal", "-shm", "-journal"))):
            stale.unlink(missing_ok=True)
        text = canonical_json(identity)
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.executescript(_SCHEMA)
            db.executemany("INSERT INTO meta VALUES (?, ?)", [("identity", text), ("hash", identity_hash(identity))])
            if db.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
                raise UsageError(f"{path.parent} can't hold a ledger; choose a folder on a local disk")
        os.replace(new, path)
        sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise UsageError(f"can't create {path} ({error}); free some space or choose another --output-dir") from error


def sync_folder(folder: Path) -> None:
    """Put a rename within `folder` on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_schema(path: Path, db: sqlite3.Connection) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise _untrusted(path, "it is not a ledger of this program")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise _untrusted(path, f"it has schema {version}, and this program reads {SCHEMA_VERSION}")


def _identity(db: sqlite3.Connection) -> dict[str, Any]:
    stored = dict(db.execute("SELECT key, value FROM meta"))
    if hashlib.sha256(stored["identity"].encode()).hexdigest() != stored["hash"]:
        raise ValueError("the identity of the search is damaged")
    return dict(json.loads(stored["identity"]))


def _checked(db: sqlite3.Connection) -> Iterator[tuple[tuple[int, int], bytes]]:
    last = 0
    for *fields, blob, crc in db.execute(f"SELECT {_CHUNK}, hits, crc FROM chunks ORDER BY start"):
        if _crc(tuple(fields), blob) != crc:
            raise ValueError(f"the checksum of the chunk at seed {fields[0]} is wrong")
        start, stop = int(fields[0]), int(fields[1])
        if start < last:
            raise ValueError(f"two chunks hold seed {start}")
        last = stop
        yield (start, stop), blob


def _flat(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _short(values: dict[str, object], key: str) -> str:
    if key not in values:
        return "absent"
    text = canonical_json(values[key])
    return text if len(text) <= 60 else f"{text[:40]}... (sha256 {hashlib.sha256(text.encode()).hexdigest()[:8]})"


def _refuse_other(path: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    if identity_hash(there) == identity_hash(here):
        return
    old, new = dict(_flat(there)), dict(_flat(here))
    changed = [key for key in sorted({*old, *new}) if _short(old, key) != _short(new, key)]
    # Of a part that one of the two does not have at all its name says enough.
    said = {}
    for key in changed:
        part = key.partition(".")[0]
        if part == key or (part in there and part in here):
            said[key] = f"{key} is {_short(old, key)} there and {_short(new, key)} here"
        else:
            said[part] = f"{part} is only {'there' if part in there else 'here'}"
    raise UsageError(f"{path.parent} holds another search: {'; '.join(said.values())}; choose another --output-dir")
