"""The package as a stranger installs it: wheel and sdist in empty environments, the command prng-mpi, types."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import prng_mpi
from prng_mpi.__main__ import STEPS
from support import TOP, environment


def command(*words: object, cwd: Path = TOP) -> subprocess.CompletedProcess[str]:
    """What prng-mpi does with these words."""
    call = [sys.executable, "-m", "prng_mpi", *map(str, words)]
    return subprocess.run(call, env=environment(), cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the sdist of this checkout, by their endings."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=TOP, check=True, capture_output=True)
    return {path.suffix: path for path in folder.iterdir()}


def test_the_lists_name_every_step_and_filter(tmp_path: Path) -> None:
    whole = command(cwd=tmp_path)
    assert (whole.returncode, whole.stderr) == (0, "")
    for part in (*STEPS, "java.nextInt", "mt19937", "emulated"):
        assert f"\n  {part} " in whole.stdout
    some = command("php71", "mt_rand", cwd=tmp_path).stdout
    assert "php71.mt_rand_mod" in some and "php71.rand " not in some and "steps" not in some
    assert command("--version").stdout == f"prng_mpi {prng_mpi.__version__}\n"


def test_a_step_is_run_as_its_own_program() -> None:
    ours, theirs = (
        command("need", "--recipe", "java.nextInt"),
        subprocess.run(
            [sys.executable, "-m", "prng_mpi.need", "--recipe", "java.nextInt"],
            env=environment(), capture_output=True, text=True, check=False,
        ),
    )  # fmt: skip
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert ours.returncode == 0 and "java.nextInt" in ours.stdout
    refused = command("sieve", "--nonsense")
    assert refused.returncode == 2 and "--nonsense" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [(("seive",), "did you mean 'sieve'?"), (("--nonsense",), "a step comes first"), (("java", "qqq"), "'java qqq'")],
)
def test_what_there_is_not_is_said(words: tuple[str, ...], said: str) -> None:
    ended = command(*words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("prng_mpi: ") and said in ended.stderr and ended.stderr.count("\n") == 1


def test_a_step_starts_without_what_the_lists_need() -> None:
    code = (
        "import runpy, sys\nsys.argv = ['prng-mpi', 'supervise', '--help']\n"
        "from prng_mpi import __main__\nprint([m for m in ('numpy', 'prng_mpi.recipes') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_wheel_holds_the_kernels_and_is_typed(built: dict[str, Path]) -> None:
    held = set(zipfile.ZipFile(built[".whl"]).namelist())
    kernels = {f"prng_mpi/kernels/{path.relative_to(TOP / 'kernels')}" for path in (TOP / "kernels").rglob("*.h")}
    modules = {f"prng_mpi/{path.relative_to(TOP / 'src/prng_mpi')}" for path in (TOP / "src/prng_mpi").rglob("*.py")}
    assert (
        kernels
        and kernels | modules | {"prng_mpi/py.typed", "prng_mpi/launch/env.sh", "prng_mpi/launch/supervise.sh"} <= held
    )
    assert not [name for name in held if not name.startswith(("prng_mpi/", "prng_mpi-"))]


@pytest.mark.parametrize("suffix", [".whl", ".gz"])
def test_installs_and_finds_a_seed_in_an_empty_environment(suffix: str, built: dict[str, Path], tmp_path: Path) -> None:
    venv, away = tmp_path / "venv", tmp_path / "away"
    away.mkdir()
    shutil.copy(TOP / "examples" / "java_nextint.json", away)
    # Nothing of this environment: its packages and variables would hide what the package lacks.
    clean = {
        name: os.environ[name]
        for name in os.environ
        if name in ("PATH", "HOME", "LANG") or name.startswith(("PIP_", "SSL_"))
    }
    clean |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, env=clean)
    # pip keeps its own cache, so that a second time costs no download.
    pip = [venv / "bin" / "pip", "install", "-q", "--disable-pip-version-check", built[suffix]]
    subprocess.run(pip, check=True, env={**clean, "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", "")}, cwd=away)
    flags = "--draws java_nextint.json --recipe java.nextInt --seeds 195000000:196000000 --skip-max 4 --output-dir run"
    done = subprocess.run(
        [venv / "bin" / "prng-mpi", "sieve", *flags.split()],
        env=clean,
        cwd=away,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "FOUND" in done.stdout
    assert json.loads((away / "run" / "summary.json").read_text())["best"]["seed"] == 195936478
