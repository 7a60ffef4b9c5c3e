"""The laws of the layout: imports point down only, each foreign library has one owner, a rank loads what it needs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import prng_mpi
from prng_mpi import kernels

PACKAGE = Path(prng_mpi.__file__).parent
FLOORS = {
    0: "admission analysis checks errors records config history hybrid jobfile kernels observations progress recipes scheduler "
    "features learning search spaces statistics profiles windows",
    1: "comm spawn hostfile memory segment ledger store study devices models",
    2: "startup farm audits display step findings siblings router runs figures facts trials course streams shares fits pools page study_pages",
    3: "sieve bench recover need predict identify jobs status coverage report doctor window_optimizer full_scoring scorer_meta adaptive_meta anti_overfit pipeline supervise __main__ __init__",
}
FLOOR = {module: floor for floor, modules in FLOORS.items() for module in modules.split()}
# Imports within a floor. Floor 0 is free; a step never imports a step.
BESIDE = {("store", "ledger"), ("audits", "farm"), ("comm", "memory"), ("comm", "segment"), ("devices", "spawn"), ("memory", "spawn"), ("hostfile", "spawn"),
          ("display", "farm"), ("findings", "display"), ("findings", "siblings"), ("router", "farm"), ("router", "findings"), ("trials", "course"),
          ("trials", "farm"), ("trials", "findings"), ("trials", "router"), ("course", "display"), ("course", "farm"),
          ("course", "step"), ("shares", "step"), ("shares", "display"), ("fits", "course"), ("fits", "farm"), ("fits", "router"),
          ("pools", "streams"), ("page", "display"), ("page", "figures"), ("page", "runs"), ("study_pages", "display"), ("study_pages", "figures"),
          ("study_pages", "page"), ("study_pages", "runs")}  # fmt: skip
OWNERS = {"mpi4py": {"comm"}, "h5py": {"store"}, "cupy": {"devices.gpu"}, "matplotlib": {"figures"}, "optuna": {"study"},
          "torch": {"full_scoring", "models"}, "lightgbm": {"models"}, "xgboost": {"models"}, "catboost": {"models"}, "array_api_compat": {"features"},
          "numpy": None}  # fmt: skip


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name within it."""
    paths = {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in PACKAGE.rglob("*.py")}
    return {name.replace("/", ".").removesuffix(".__init__"): path for name, path in sorted(paths.items())}


def imported(source: str, name: str = "") -> set[str]:
    """The modules that a text imports at any depth, in full: numpy, prng_mpi.store, ..."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # Relative to prng_mpi, or to prng_mpi.devices inside it.
            above = ["prng_mpi", *name.split(".")[:-1]][: None if node.level < 2 else 1 - node.level]
            base = ".".join([*(above if node.level else []), *([node.module] if node.module else [])])
            inside = base in ("prng_mpi", "prng_mpi.devices")
            known = {
                f"{base}.{alias.name}"
                for alias in node.names
                if f"{base}.{alias.name}".removeprefix("prng_mpi.") in modules()
            }
            found |= known if inside and known else {base}
            found |= {base} if inside and len(known) < len(node.names) else set()
    return found


def owned(name: str) -> str:
    """The module of the floor table that a dotted name belongs to: devices.cpu is part of devices."""
    return name.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("name", modules())
def test_imports_point_down_only(name: str) -> None:
    assert owned(name) in FLOOR, f"{name} is on no floor: put it into the table above"
    floor, wrong = FLOOR[owned(name)], []
    for target in imported(modules()[name].read_text(), name):
        if not target.startswith("prng_mpi."):
            continue
        to = owned(target.removeprefix("prng_mpi."))
        down = FLOOR[to] < floor or floor == FLOOR[to] == 0
        if not (down or to == owned(name) or (owned(name), to) in BESIDE):
            wrong.append(target)
    assert not wrong, f"{name} (floor {floor}) imports {wrong}"


@pytest.mark.parametrize("name", modules())
def test_each_foreign_library_has_one_owner(name: str) -> None:
    for target in imported(modules()[name].read_text(), name):
        top = target.split(".", maxsplit=1)[0]
        if top != "prng_mpi" and top not in sys.stdlib_module_names:
            assert top in OWNERS, f"{name} imports {target}"
            assert OWNERS[top] is None or name in (OWNERS[top] or ()), f"{name} imports {target}"


def test_architecture_draws_each_module_on_its_floor() -> None:
    text = (kernels.folder().parent / "ARCHITECTURE.md").read_text()
    drawn = re.split(r"floor (\d)", text[text.index("floor 3") : text.index("└──")])
    for floor, part in zip(drawn[1::2], drawn[2::2], strict=True):
        wanted = {module for module in FLOORS[int(floor)].split() if not module.startswith("__")}
        assert wanted <= set(re.findall(r"\w+", part)), f"floor {floor} of ARCHITECTURE.md"
    assert len(drawn[1::2]) == len(FLOORS)


def test_the_reader_of_imports_sees_them_all() -> None:
    text = "import a.b, c\nfrom prng_mpi import store, comm\ndef f():\n    from prng_mpi.farm import Farm\n    from .errors import E\n"
    assert imported(text) == {"a.b", "c", "prng_mpi.store", "prng_mpi.comm", "prng_mpi.farm", "prng_mpi.errors"}
    assert imported("from prng_mpi import __version__") == {"prng_mpi"}
    assert imported("from . import cpu\nfrom .. import spawn", "devices.gpu") == {
        "prng_mpi.devices.cpu",
        "prng_mpi.spawn",
    }


@pytest.mark.parametrize("name", modules())
def test_no_python_asks_which_family_it_has(name: str) -> None:
    """Kernels know families; Python knows what their heads declare."""
    names = set(kernels.families())
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if isinstance(node, ast.Compare) and "family" in ast.unparse(node):
            constants = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            assert not constants & names, f"{name}, line {node.lineno}: {ast.unparse(node)}"


def _loaded(code: str) -> set[str]:
    heavy = "('mpi4py', 'cupy', 'torch', 'lightgbm', 'xgboost', 'catboost', 'scipy', 'h5py', 'optuna', 'sqlite3', 'matplotlib')"
    tell = f"import sys\nprint('LOADED', *[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_a_rank_that_only_searches_loads_no_library_it_does_not_need() -> None:
    assert _loaded("import prng_mpi.sieve") <= {"sqlite3"}
    assert _loaded("import prng_mpi.jobs") <= {"sqlite3"}
    assert _loaded("import prng_mpi.window_optimizer") <= {"sqlite3"}
    assert _loaded("import prng_mpi.anti_overfit") <= {"sqlite3"}
    search = (
        "import numpy as np\nfrom prng_mpi import devices, recipes, sieve\nfrom prng_mpi.search import Search\n"
        "r = recipes.recipe('java.nextInt')\nd = devices.open_device('cpu', r, 0)\n"
        "d.sieve(Search(r, 1000, np.array([1, 2], np.uint32), 0, 2), 0, 100)"
    )
    assert _loaded(search) <= {"sqlite3"}


def test_help_needs_no_library_and_no_mpi() -> None:
    code = (
        "import sys, runpy\nsys.argv = ['sieve', '--help']\n"
        "try:\n    runpy.run_module('prng_mpi.sieve', run_name='__main__', alter_sys=True)\nexcept SystemExit as e:\n    assert e.code == 0"
    )
    assert _loaded(code) <= {"sqlite3"}


def test_results_load_hdf5_when_they_are_written(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom prng_mpi import errors, store\n"
        f"try:\n    store.read_results(Path({str(tmp_path / 'none.h5')!r}))\nexcept errors.UsageError:\n    pass"
    )
    assert "h5py" in _loaded(code)
