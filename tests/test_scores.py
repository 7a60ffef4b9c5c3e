"""The file of scores: what is written is read, what can't be trusted is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from prng_mpi import store
from prng_mpi.errors import IntegrityError, PrngError, UsageError
from prng_mpi.records import CUT, SURVIVOR
from prng_mpi.store import Scores, open_scores, write_scores


def scores(path: Path, cuts: int = 3, survivors: int = 40, columns: int = 5) -> Scores:
    """Scores of nothing in particular: labels from draw 100 on, 50 draws each."""
    rng = np.random.default_rng(1)
    rows = np.zeros(survivors, SURVIVOR)
    rows["seed"] = np.arange(survivors)
    ends = 100 + 50 * np.arange(cuts, dtype=np.uint64)
    when = np.zeros(cuts, CUT)
    when["used_start"], when["used_end"], when["label_start"], when["label_end"] = 10, ends, ends, ends + 50
    when["label_end"][-1] = ends[-1]
    return Scores(
        path, rows, when, tuple(f"f{i}" for i in range(columns)), ("share",) * columns,
        rng.normal(size=(cuts, survivors, columns)).astype(np.float32), ("draws", "entropy"),
        rng.normal(size=(cuts, 2)).astype(np.float32), rng.poisson(2.0, (cuts, survivors)).astype(np.uint32),
        {"recipe": "java.nextInt", "params": {"a": 1}, "schema_hash": "12ab"},
    )  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = scores(tmp_path / "results.h5")
    write_scores(written)
    for place in (tmp_path, tmp_path / "results.h5"):
        read = open_scores(place)
        for name in ("survivors", "cuts", "features", "history", "labels"):
            assert getattr(read, name).dtype == getattr(written, name).dtype
            assert getattr(read, name).tobytes() == getattr(written, name).tobytes()
        assert (read.names, read.units, read.history_names) == (written.names, written.units, written.history_names)
        assert read.attributes == {
            "recipe": "java.nextInt", "params": '{"a": 1}', "schema_hash": "12ab", "schema_version": 1,
        }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["results.h5"]


@pytest.mark.parametrize(
    ("column", "row", "value"),
    [("label_start", 0, 99), ("label_end", 0, 151), ("used_start", 1, 150), ("label_end", 2, 201)],
)
def test_a_label_that_reaches_back_is_refused(column: str, row: int, value: int, tmp_path: Path) -> None:
    good = scores(tmp_path / "results.h5")
    cuts = good.cuts.copy()
    cuts[column][row] = value
    with pytest.raises(ValueError, match="order of time"):
        replace(good, cuts=cuts)


def _drop(file: Any) -> None:
    del file["labels"]


def _cut(file: Any) -> None:
    file["cuts"][0] = (10, 100, 50, 150)


def _fewer(file: Any) -> None:
    rows = file["features"][:, :-1]
    attributes = dict(file["features"].attrs)
    del file["features"]
    file.create_dataset("features", data=rows).attrs.update(attributes)


def _other_schema(file: Any) -> None:
    file.attrs["schema_version"] = 9


@pytest.mark.parametrize("damage", [_drop, _cut, _fewer, _other_schema])
def test_a_damaged_file_is_refused(damage: Any, tmp_path: Path) -> None:
    write_scores(scores(tmp_path / "results.h5"))
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        damage(file)
    with pytest.raises(IntegrityError, match="can't be trusted"):
        open_scores(tmp_path)


def test_no_file_and_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        open_scores(tmp_path)
    usage = store.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(PrngError, match="MB are needed"):
        write_scores(scores(tmp_path / "results.h5"))
    assert not list(tmp_path.iterdir())
