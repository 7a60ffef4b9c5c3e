"""Floor 1: the product files of a run: results.h5, summary.json, events.jsonl. It alone owns h5py."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib
import io
import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from prng_mpi.errors import IntegrityError, PrngError, UsageError, suggestion
from prng_mpi.ledger import Attempt, Chunk, sync_folder
from prng_mpi.records import CUT, SURVIVOR

# Root alone writes results, so no other rank pays for HDF5: 13 MB and a twentieth of a second.
if TYPE_CHECKING:
    import h5py

SCHEMA_VERSION = 1
EVENTS_SCHEMA = 1
TABLES = ("survivors", "chunks", "ranks", "histogram")
PAYLOAD = ("seed", "skip", "offset", "window_start", "matches", "draws")

# The last seed and not the end of the range, which may be 2**64.
CHUNK = np.dtype(
    [("first", "<u8"), ("last", "<u8"), ("rank", "<u4"), ("attempt", "<u4"), ("seconds", "<f8"), ("survivors", "<u8")]
)
_COLUMNS = {
    "survivors": "one row for each surviving seed, sorted by seed; log10_p1: chance of one random hypothesis; "
    "log10_E: survivors of this kind that chance alone gives; verified: 1 if the CPU device found the same",
    "chunks": "one row for each range of seeds first..last (last included) that was searched; seconds on the device",
    "ranks": "one row for each rank and device; failed: leases without a result; seconds on the device",
    "cuts": "one row for each moment, in the order of time: features use draws [used_start, used_end) of the history, labels draws "
    "[label_start, label_end); the last is the history's end, and has no label",
}


def payload_hash(survivors: NDArray[np.void], identity_hash: str) -> str:
    """Hex SHA-256 over the search and what it found: the columns PAYLOAD of `survivors` (n, of SURVIVOR), in any order.

    The same for any number of ranks, chunking, kind of device, or faults on the way.
    """
    columns = [np.ascontiguousarray(survivors[name]) for name in PAYLOAD]
    order = np.lexsort(columns[::-1])
    digest = hashlib.sha256(f"prng_mpi payload 1 {identity_hash} {len(survivors)}\n".encode())
    for name, column in zip(PAYLOAD, columns, strict=True):
        digest.update(column[order].astype(SURVIVOR[name]).tobytes())
    return digest.hexdigest()


def chunk_table(chunks: Iterable[Chunk]) -> NDArray[np.void]:
    """Rows (n, of CHUNK) for /chunks."""
    return np.array([(c.start, c.stop - 1, c.rank, c.attempt, c.seconds, c.hits) for c in chunks], dtype=CHUNK)


def rank_table(chunks: Iterable[Chunk], attempts: Iterable[Attempt]) -> NDArray[np.void]:
    """Rows for /ranks, one for each (rank, host, device) that held a lease, sorted.

    Columns rank u4, host and device (UTF-8 of fixed width), chunks u8, failed u8, seeds f8 (2**64 fits), survivors u8,
    seconds f8.
    """
    rows: dict[tuple[int, str, str], list[float]] = {}
    for c in chunks:
        row = rows.setdefault((c.rank, c.host, c.device), [0, 0, 0, 0, 0])
        row[:] = [row[0] + 1, row[1], row[2] + c.stop - c.start, row[3] + c.hits, row[4] + c.seconds]
    for a in attempts:
        row = rows.setdefault((a.rank, a.host, a.device), [0, 0, 0, 0, 0])
        row[1] += a.outcome not in (None, "done", "duplicate")
    host, device = (_text_dtype(key[1] for key in rows), _text_dtype(key[2] for key in rows))
    counts = [("chunks", "<u8"), ("failed", "<u8"), ("seeds", "<f8"), ("survivors", "<u8"), ("seconds", "<f8")]
    table = [(rank, h.encode(), d.encode(), *rows[rank, h, d]) for rank, h, d in sorted(rows)]
    return np.array(table, dtype=np.dtype([("rank", "<u4"), ("host", host), ("device", device), *counts]))


def write_results(
    path: Path,
    survivors: NDArray[np.void],
    chunks: NDArray[np.void],
    ranks: NDArray[np.void],
    *,
    histogram: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    paths: Mapping[str, NDArray[Any]] | None = None,
    attributes: Mapping[str, Any],
) -> None:
    """Write results.h5 whole or not at all: to `path`.tmp, onto the disk, then renamed.

    Args:
        survivors: (n, of SURVIVOR), in any order; stored sorted by seed, skip, offset.
        chunks: (n, of CHUNK), see `chunk_table`.
        ranks: see `rank_table`.
        histogram: matches (b,), and how many hypotheses reached so many: observed (b,) and expected by chance (b,).
        paths: of a hybrid search: survivor, the rows (m,) whose paths these are; skips, matched (m, k).
        attributes: of the root; integers from 2**63 on become decimal text, mappings and lists become JSON.

    Raises:
        PrngError: the disk is full or fails; an earlier file at `path` is left as it was.
    """
    import h5py

    order = np.lexsort((survivors["window_start"], survivors["offset"], survivors["skip"], survivors["seed"]))
    tables = {"survivors": survivors[order].astype(SURVIVOR), "chunks": chunks, "ranks": ranks}
    # Made in memory: HDF5 crashes the process some time after it met a full disk. Attributes past 64 KB (a long
    # configuration) need the layout of HDF5 1.10.
    with h5py.File(path.name, "w", driver="core", backing_store=False, libver="v110") as file:
        for name, table in tables.items():
            _write_table(file, name, table, _COLUMNS[name])
        if paths:
            # Rows of the survivors as they are stored.
            _write_paths(file.create_group("paths"), {**paths, "survivor": np.argsort(order)[paths["survivor"]]})
        _write_histogram(file.create_group("match_histogram"), *histogram)
        file.attrs.update({"NX_class": "NXroot", "default": "match_histogram"})
        image = _image(file, attributes)
    _replace(path, image)


def write_tables(path: Path, tables: Mapping[str, tuple[NDArray[np.void], str]], attributes: Mapping[str, Any]) -> None:
    """Write an HDF5 file of tables whole or not at all. tables: by name, rows (n,) and what they mean; attributes: as those of
    `write_results`, which see for what it raises."""
    import h5py

    with h5py.File(path.name, "w", driver="core", backing_store=False, libver="v110") as file:
        for name, (table, long_name) in tables.items():
            _write_table(file, name, table, long_name)
        image = _image(file, attributes)
    _replace(path, image)


@dataclass(frozen=True, eq=False)
class Results:
    """The content of a results.h5; docs/results.md describes every column and attribute.

    survivors: (n, of SURVIVOR); chunks: (n, of CHUNK); ranks: see `rank_table`, with text as bytes; histogram: matches,
    observed, expected (b,); paths: of a hybrid search survivor '<i8' (m,), skips '<u4' and matched u1 (m, k), else empty;
    attributes: numbers and text, what was a mapping or list as JSON.
    """

    path: Path
    survivors: NDArray[np.void]
    chunks: NDArray[np.void]
    ranks: NDArray[np.void]
    histogram: NDArray[np.void]
    paths: dict[str, NDArray[Any]]
    attributes: dict[str, Any]

    def frame(self, table: str) -> Any:
        """ "survivors", "chunks", "ranks" or "histogram" as a pandas.DataFrame.

        Raises:
            UsageError: no such table, or pandas is not installed.
        """
        if table not in TABLES:
            raise UsageError(f"there is no table {table!r}{suggestion(table, TABLES)}; there are {', '.join(TABLES)}")
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError as error:
            raise UsageError(f"pandas is not installed; pip install pandas, or use .{table}, a NumPy array") from error
        values: NDArray[np.void] = getattr(self, table)
        names = values.dtype.names or ()
        columns = {name: values[name] for name in names}
        return pandas.DataFrame({n: np.char.decode(c) if c.dtype.kind == "S" else c for n, c in columns.items()})


@contextlib.contextmanager
def _reading(path: Path | str, step: str) -> Iterator[tuple[Path, h5py.File, dict[str, Any]]]:
    """A results.h5, given as that file or as the folder of the run, its path and root attributes; what goes wrong while it is
    open means that it can't be trusted.

    Raises:
        UsageError: no such file.
        IntegrityError: not such a file, or damaged.
    """
    import h5py

    path = Path(path)
    if path.is_dir():
        path /= "results.h5"
    if not path.is_file():
        raise UsageError(f"{path} does not exist; name the results.h5 of a finished {step}")
    try:
        with h5py.File(path, "r") as file:
            attributes = {name: _plain(value) for name, value in file.attrs.items()}
            version = attributes.get("schema_version")
            if version != SCHEMA_VERSION:
                raise ValueError(f"it has schema {version}, and this program reads {SCHEMA_VERSION}")
            yield path, file, attributes
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{path} can't be trusted ({error}); give the run's command again to rewrite it"
        ) from error


def open_results(path: Path | str) -> Results:
    """Read a results.h5, given as that file or as the folder of the run. The file is closed again.

    Raises:
        UsageError: no such file.
        IntegrityError: not such a file, damaged, or its payload_hash does not hold.
    """
    with _reading(path, "run") as (place, file, attributes):
        if file["survivors"].dtype != SURVIVOR:
            raise ValueError("its survivors have other columns")
        tables = {name: file[name][:] for name in ("survivors", "chunks", "ranks")}
        bars = {name: file["match_histogram"][name][:] for name in ("matches", "observed", "expected")}
        paths = {name: values[:] for name, values in file["paths"].items()} if "paths" in file else {}
        known = attributes.get("payload_hash")
        if known is not None and known != payload_hash(tables["survivors"], attributes["identity_hash"]):
            raise ValueError("its survivors are not those its payload_hash was made of")
        histogram = np.zeros(len(bars["matches"]), [(name, values.dtype) for name, values in bars.items()])
        for name, values in bars.items():
            histogram[name] = values
    return Results(place, **tables, histogram=histogram, paths=paths, attributes=attributes)


def read_results(path: Path) -> tuple[NDArray[np.void], dict[str, Any]]:
    """The survivors (n, of SURVIVOR) and root attributes of a results.h5; see `open_results`."""
    results = open_results(path)
    return results.survivors, results.attributes


@dataclass(frozen=True, eq=False)
class Scores:
    """The content of a full_scoring's results.h5: N survivors as they looked at C moments; docs/scoring.md has the columns.

    survivors: (N, of SURVIVOR), rows of the sieve's file; cuts: (C, of CUT) in the order of time, the last is the history's
    end and has no label; names, units: (F,) of the columns of features, '<f4' (C, N, F); history_names: (H,) of the columns
    of history, '<f4' (C, H), the same for all survivors; labels: '<u4' (C, N), hits among the draws of a cut's label;
    attributes: of the root, what was a mapping or list as JSON."""

    path: Path
    survivors: NDArray[np.void]
    cuts: NDArray[np.void]
    names: tuple[str, ...]
    units: tuple[str, ...]
    features: NDArray[np.float32]
    history_names: tuple[str, ...]
    history: NDArray[np.float32]
    labels: NDArray[np.uint32]
    attributes: dict[str, Any]

    def __post_init__(self) -> None:
        """Raises ValueError where the shapes disagree, or a label reaches back into what is not to be known for it."""
        c, n = len(self.cuts), len(self.survivors)
        shapes = (self.features.shape, self.history.shape, self.labels.shape, len(self.units))
        if shapes != ((c, n, len(self.names)), (c, len(self.history_names)), (c, n), len(self.names)):
            raise ValueError(f"its tables have shapes {shapes} for {c} cuts and {n} survivors")
        cuts = self.cuts
        if c and not (
            (cuts["used_start"] < cuts["used_end"]).all()
            and (cuts["used_end"] <= cuts["label_start"]).all()
            and (cuts["label_start"] <= cuts["label_end"]).all()
            and (cuts["label_end"][:-1] <= cuts["label_start"][1:]).all()
            and cuts["label_start"][-1] == cuts["label_end"][-1]
        ):
            raise ValueError("its cuts are not in the order of time, with labels after all that was used for them")

    @property
    def content_hash(self) -> str:
        """Hex SHA-256 of all that can be learned from."""
        digest = hashlib.sha256(json.dumps(self.names).encode())
        for table in (self.survivors, self.cuts, self.features, self.labels):
            digest.update(np.ascontiguousarray(table).tobytes())
        return digest.hexdigest()


def write_scores(scores: Scores) -> None:
    """Write the file at `scores.path` whole or not at all; features may be a memory map. Raises PrngError: the disk is full or
    fails; an earlier file is left as it was."""
    import h5py

    path, temporary = scores.path, scores.path.with_name(scores.path.name + ".tmp")
    need, room = scores.features.nbytes + scores.labels.nbytes + scores.survivors.nbytes, shutil.disk_usage(path.parent)
    try:
        # Looked at before, as HDF5 crashes the process some time after it met a full disk.
        if room.free < 1.1 * need + 1e6:
            raise OSError(f"{need / 1e6:.0f} MB are needed, {room.free / 1e6:.0f} MB are free")
        with h5py.File(temporary, "w", libver="v110") as file:
            for name, table, meaning in (
                ("survivors", scores.survivors, _COLUMNS["survivors"]), ("cuts", scores.cuts, _COLUMNS["cuts"]),
            ):  # fmt: skip
                _write_table(file, name, table, meaning)
            features = file.create_dataset("features", data=scores.features)
            features.attrs.update({"names": list(scores.names), "units": list(scores.units)})
            features.attrs["long_name"] = "what is seen of each survivor at each cut: (cuts, survivors, features)"
            history = file.create_dataset("history", data=scores.history)
            history.attrs["names"] = list(scores.history_names)
            history.attrs["long_name"] = "what is seen of the history at each cut: (cuts, features)"
            labels = file.create_dataset("labels", data=scores.labels)
            labels.attrs["long_name"] = "hits of each survivor among the draws of each cut's label: (cuts, survivors)"
            for name, value in {**scores.attributes, "schema_version": SCHEMA_VERSION}.items():
                file.attrs[name] = _attribute(value)
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise PrngError(f"can't write {path} ({error}); free some space, then give the same command again") from error


def open_scores(path: Path | str) -> Scores:
    """Read the results.h5 of a full_scoring, given as that file or as the folder of the run. The file is closed again.

    Raises:
        UsageError: no such file.
        IntegrityError: not such a file, or damaged.
    """
    with _reading(path, "full_scoring") as (place, file, attributes):
        if (file["survivors"].dtype, file["cuts"].dtype) != (SURVIVOR, CUT):
            raise ValueError("its survivors or cuts have other columns")
        texts = [
            tuple(map(str, file[where].attrs[what]))
            for where, what in (("features", "names"), ("features", "units"), ("history", "names"))
        ]
        return Scores(
            place, file["survivors"][:], file["cuts"][:], texts[0], texts[1], file["features"][:], texts[2],
            file["history"][:], file["labels"][:], attributes,
        )  # fmt: skip


def open_attributes(path: Path | str, step: str) -> dict[str, Any]:
    """The root attributes of a step's results.h5; as `open_tables`."""
    return open_tables(path, step, tables=False)[1]


def open_tables(path: Path | str, step: str, tables: bool = True) -> tuple[dict[str, NDArray[np.void]], dict[str, Any]]:
    """The tables (n,) by name, unless they are not wanted, and the root attributes of a step's results.h5, given as that file or as
    the folder of the run; what was a mapping or list as JSON.

    Raises:
        UsageError: no such file, or one of another step.
        IntegrityError: not such a file, or damaged.
    """
    import h5py

    with _reading(path, step) as (place, file, attributes):
        there = json.loads(attributes["identity"]).get("step", "sieve")
        if there != step:
            raise UsageError(f"{place} is of {there}; name the folder of a finished {step}")
        found = {name: values[:] for name, values in file.items() if tables and isinstance(values, h5py.Dataset)}
        return found, attributes


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays by name as .npz, whole or not at all. Raises PrngError: the disk is full or fails."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    _replace(path, content.getvalue())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write one JSON object whole or not at all; numpy numbers become plain ones, what is not finite becomes null.

    Raises:
        PrngError: the disk is full or fails; an earlier file at `path` is left as it was.
    """
    write_text(path, to_json(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8 whole or not at all. Raises PrngError: the disk is full or fails."""
    _replace(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, its folder too where it is not there. Raises PrngError: the disk is full or fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, content)


def to_json(content: Mapping[str, Any], indent: int | None = None) -> str:
    """One JSON object; numpy numbers become plain ones, what is not finite becomes null."""
    return json.dumps(_plain(content), indent=indent, allow_nan=False)


class EventLog:
    """events.jsonl: one JSON object a line, with schema, time (UTC), elapsed (seconds), kind, and the event's fields.

    The file always ends in a record of kind "final": that of `close`, else one with reason "aborted" from the exit of
    the process; where the process had no exit (kill -9, MPI abort), the next run adds one with reason "killed". Open
    it while holding the folder's ledger.
    """

    def __init__(self, path: Path) -> None:
        """Raises UsageError if `path` can't be written."""
        self.path = path
        self._start = time.monotonic()
        try:
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise UsageError(f"can't write {path} ({error.strerror}); choose another --output-dir") from error
        self._finish_previous()
        atexit.register(self._abort)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            self.close({"reason": "aborted", "error": f"{type(error).__name__}: {error}"})
        self._abort()

    def write(self, kind: str, /, **fields: Any) -> None:
        """Append one event, at once.

        Raises:
            ValueError: a field has the name of one that every event has.
            PrngError: the disk is full or fails; no part of a line stays behind.
        """
        head = {
            "schema": EVENTS_SCHEMA,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "elapsed": round(time.monotonic() - self._start, 6),
            "kind": kind,
        }
        if head.keys() & fields.keys():
            raise ValueError(f"an event can't have its own {sorted(head.keys() & fields.keys())}")
        self._append(head | fields)

    def close(self, final: Mapping[str, Any]) -> None:
        """Append the final record and close; only the first call counts."""
        if self._file.closed:
            return
        atexit.unregister(self._abort)
        try:
            self.write("final", **final)
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _abort(self) -> None:
        self.close({"reason": "aborted"})

    def _append(self, record: dict[str, Any]) -> None:
        line = (to_json(record) + "\n").encode()
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError("no space left for a whole line")
        except OSError as error:
            os.ftruncate(self._file.fileno(), size)
            raise PrngError(
                f"can't write {self.path} ({error}); free some space, then give the same command again"
            ) from error

    def _finish_previous(self) -> None:
        last, size = b"", 0
        with open(self.path, "rb") as file:
            for line in file:
                # A line without an end was cut off by a kill: that event never was.
                if line.endswith(b"\n"):
                    last, size = line, size + len(line)
        os.ftruncate(self._file.fileno(), size)
        try:
            record = json.loads(last or b'{"kind": "final"}')
        except ValueError:
            record = {}
        if record.get("kind") != "final":
            self.write("final", reason="killed")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise PrngError(
            f"can't write {path} ({error}); what was searched is safe in the ledger: free some space, "
            "then give the same command again"
        ) from error


def _write_table(file: h5py.File, name: str, table: NDArray[np.void], long_name: str) -> None:
    dataset = file.create_dataset(
        name, data=table, maxshape=(None,), chunks=(max(1, min(len(table), 1 << 14)),), compression="gzip", shuffle=True
    )
    dataset.attrs["long_name"] = long_name


def _image(file: h5py.File, attributes: Mapping[str, Any]) -> bytes:
    """The bytes of a file made in memory, with its attributes."""
    for name, value in {**attributes, "schema_version": SCHEMA_VERSION}.items():
        file.attrs[name] = _attribute(value)
    file.flush()
    image: bytes = file.id.get_file_image()
    return image


def _write_histogram(group: h5py.Group, matches: NDArray[Any], observed: NDArray[Any], expected: NDArray[Any]) -> None:
    # https://manual.nexusformat.org/classes/base_classes/NXdata.html; SILX_style is read by silx and h5web.
    group.attrs.update({"NX_class": "NXdata", "signal": "observed", "axes": ["matches"]})
    group.attrs["auxiliary_signals"] = ["expected"]
    group.attrs["title"] = "Survivors by matches, observed and expected by chance"
    group.attrs["SILX_style"] = json.dumps({"signal_scale_type": "log"})
    columns = {
        "matches": (np.asarray(matches, "<u4"), "draws matched", "draws"),
        "observed": (np.asarray(observed, "<u8"), "survivors observed", "survivors"),
        "expected": (np.asarray(expected, "<f8"), "survivors expected by chance", "survivors"),
    }
    for name, (values, long_name, units) in columns.items():
        dataset = group.create_dataset(name, data=values)
        dataset.attrs.update({"long_name": long_name, "units": units})


def _write_paths(group: h5py.Group, paths: Mapping[str, NDArray[Any]]) -> None:
    group.attrs.update({"NX_class": "NXdata", "signal": "skips", "axes": ["survivor", "."]})
    group.attrs["title"] = "Outputs discarded before each draw, of the best survivors"
    texts = {
        "survivor": ("row of /survivors", ""),
        "skips": ("outputs discarded before the draw", "outputs"),
        "matched": ("whether the draw is on the path", ""),
    }
    for name, (long_name, units) in texts.items():
        dataset = group.create_dataset(name, data=paths[name])
        dataset.attrs.update({"long_name": long_name, "units": units})


def _text_dtype(texts: Iterable[str]) -> Any:
    import h5py

    return h5py.string_dtype("utf-8", max((len(text.encode()) for text in texts), default=0) or 1)


def _attribute(value: Any) -> Any:
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(_plain(value), sort_keys=True)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return "" if value is None else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
