"""prng_mpi.open_results gives what the file holds; docs/results.md says of every file, dataset and key what is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import prng_mpi
from prng_mpi import coverage, runs, status, store
from prng_mpi.errors import IntegrityError, UsageError
from prng_mpi.ledger import Ledger
from prng_mpi.store import CHUNK, SURVIVOR
from support import TOP, environment, run_sieve

DOCUMENT = (TOP / "docs" / "results.md").read_text()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A plain run and a hybrid one, each with a seed to find."""
    base = tmp_path_factory.mktemp("runs")
    draws = (
        "--draws",
        TOP / "examples" / "java_nextint.json",
        "--recipe",
        "java.nextInt",
        "--seeds",
        "195936000:195937000",
    )
    assert run_sieve([*draws, "--skip-max", 4, "--output-dir", base / "plain"]).code == 0
    more = ("--hybrid", "balanced_hybrid", "--skip-min", 0, "--skip-max", 4, "--window", 20, "--threshold", 0.3)
    assert run_sieve([*draws, *more, "--output-dir", base / "hybrid"]).code == 0
    return {name: base / name for name in ("plain", "hybrid")}


def section(title: str) -> str:
    """The text under a heading, to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/results.md has no {title}"
    return found[1]


def documented(title: str) -> dict[str, str]:
    """Names in the first column of a section's table, with their types where it has some."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section(title).splitlines() if line.startswith("|")][2:]
    names = {}
    for row in rows:
        assert row[-1].strip(), f"{title}: {row[0]} has no meaning"
        for name in row[0].split(","):
            names[name.strip()] = row[1].strip().strip("`").replace("\\", "") if len(row) == 3 else ""
    return names


def types_of(values: Any) -> dict[str, str]:
    return {name: "text" if values[name].dtype.kind == "S" else values[name].dtype.str for name in values.dtype.names}


# -- the reader -----------------------------------------------------------------------------------------------------


def test_the_reader_gives_what_the_file_holds(folders: dict[str, Path]) -> None:
    run = prng_mpi.open_results(folders["plain"])
    assert run.path == folders["plain"] / "results.h5"
    assert run.survivors.dtype == SURVIVOR and run.chunks.dtype == CHUNK
    assert run.survivors["seed"].tolist() == [195936478] and run.survivors["matches"].tolist() == [30]
    assert int(run.chunks["last"][-1]) == 195936999 and run.chunks["survivors"].sum() == 1
    assert run.ranks["seeds"].sum() == 1000 and run.ranks["chunks"].sum() == len(run.chunks)
    assert run.histogram["observed"].tolist() == [1] and run.histogram["matches"].tolist() == [30]
    assert run.paths == {} and run.attributes["recipe"] == "java.nextInt"
    same = prng_mpi.open_results(str(run.path))
    assert same.survivors.tobytes() == run.survivors.tobytes()
    # The file is closed: it may be written again.
    with h5py.File(run.path, "r+"):
        pass


def test_paths_of_a_hybrid_run(folders: dict[str, Path]) -> None:
    run = prng_mpi.open_results(folders["hybrid"])
    row = int(np.flatnonzero(run.survivors["seed"] == 195936478)[0])
    at = int(np.flatnonzero(run.paths["survivor"] == row)[0])
    assert run.paths["skips"][at].tolist() == [3] * 20 and run.paths["matched"][at].tolist() == [1] * 20


def test_frames_come_from_pandas_alone(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run = prng_mpi.open_results(folders["plain"])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"pandas is not installed.*\.ranks"):
        run.frame("ranks")
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=dict))  # type: ignore[arg-type]
    assert list(run.frame("survivors")) == list(SURVIVOR.names or ())
    assert run.frame("ranks")["host"][0] == run.ranks["host"][0].decode()
    with pytest.raises(UsageError, match="did you mean 'survivors'"):
        run.frame("survivor")


def test_what_can_t_be_read_is_said(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        prng_mpi.open_results(tmp_path)
    (tmp_path / "results.h5").write_bytes((folders["plain"] / "results.h5").read_bytes())
    with h5py.File(tmp_path / "results.h5", "r+") as file:
        del file["match_histogram/expected"]
    with pytest.raises(IntegrityError, match="can't be trusted"):
        prng_mpi.open_results(tmp_path)


def test_importing_the_package_costs_nothing() -> None:
    code = (
        "import sys, prng_mpi\nassert prng_mpi.__version__\nprint([m for m in ('numpy', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_example_runs(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(line[4:] for line in section("Read it").splitlines() if line.startswith("    "))
    exec(code.replace("results/java.nextInt-b690a51f", str(folders["plain"])), {})
    out = capsys.readouterr().out
    assert "0xbadc0de 30 of 30 log10 E" in out and "1 survivors, by chance" in out


# -- NeXus ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["match_histogram", "paths"])
def test_groups_are_nxdata_with_units(group: str, folders: dict[str, Path]) -> None:
    with h5py.File(folders["hybrid"] / "results.h5") as file:
        data = file[group]
        assert data.attrs["NX_class"] == "NXdata" and data.attrs["title"]
        signal = data[data.attrs["signal"]]
        axes = list(data.attrs["axes"])
        # One name for each dimension, "." where it has no values of its own; an axis is as long as its dimension.
        assert len(axes) == signal.ndim
        for length, name in zip(signal.shape, axes, strict=True):
            assert name == "." or data[name].shape == (length,)
        for dataset in data.values():
            assert dataset.attrs["long_name"] and "units" in dataset.attrs
        for name in data.attrs.get("auxiliary_signals", []):
            assert data[name].shape == signal.shape


def test_a_viewer_finds_the_plot_by_the_chain_of_defaults(folders: dict[str, Path]) -> None:
    with h5py.File(folders["plain"] / "results.h5") as file:
        at: Any = file
        assert at.attrs["NX_class"] == "NXroot"
        while "default" in at.attrs:
            at = at[at.attrs["default"]]
        assert (at.name, at.attrs["NX_class"]) == ("/match_histogram", "NXdata")
        assert json.loads(at.attrs["SILX_style"]) == {"signal_scale_type": "log"}


# -- the document ---------------------------------------------------------------------------------------------------


def test_every_dataset_is_documented_with_its_type(folders: dict[str, Path]) -> None:
    with h5py.File(folders["hybrid"] / "results.h5") as file:
        for name, item in file.items():
            held = (
                {key: values.dtype.str for key, values in item.items()}
                if isinstance(item, h5py.Group)
                else types_of(item[:])
            )
            assert documented(f"/{name}") == held, name
        assert set(documented("Attributes")) == set(file.attrs)
        assert f"| schema_version | {store.SCHEMA_VERSION};" in section("Attributes")


def test_every_key_is_documented(folders: dict[str, Path]) -> None:
    look = runs.read(folders["plain"])
    summary = json.loads((folders["plain"] / "summary.json").read_text())
    assert set(documented("summary.json")) == set(summary)
    said = status.record(look)
    assert set(documented("status --json")) == set(said)
    for key in said["devices"][0]:
        assert f"`{key}`" in section("status --json")
    assert f"| schema, kind | {status.SCHEMA_VERSION}, `status`" in section("status --json")
    covered = coverage.record([look], coverage.together([look]))
    assert set(documented("coverage --json")) == set(covered)
    assert f"| schema, kind | {coverage.SCHEMA_VERSION}, `coverage`" in section("coverage --json")
    for name in (*summary["best"], "path"):
        assert f"`{name}`" in section("summary.json") or name in documented("/survivors")


def test_every_file_is_documented(folders: dict[str, Path]) -> None:
    held = {path.name for path in folders["plain"].iterdir() if not path.name.endswith((".lock", "-wal", "-shm"))}
    assert held == {"summary.json", "results.h5", "ledger.sqlite", "events.jsonl"}
    for name in held:
        assert section(name)
    with Ledger.peek(folders["plain"] / "ledger.sqlite") as ledger:
        assert ledger.seeds_done() == 1000
