"""Programs that ranks start, with a helper and without: ended whole, on time, on request, and with their rank."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prng_mpi import spawn
from prng_mpi.errors import DeviceError
from support import until


@pytest.fixture(params=["helper", "alone"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., spawn.Finished]]:
    monkeypatch.setattr(spawn, "_helper", None)
    if request.param == "helper":
        # In a process that tests have given threads a fork is only safe because the helper does so little.
        spawn.start_helper()
    yield lambda code, *more, **named: spawn.run([sys.executable, "-c", code], *more, **named)


def gone(path: Path) -> bool:
    try:
        os.kill(int(path.read_text()), 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{path.read_text()}/stat").read_text().split()[2] == "Z"


def test_status_and_output(run: Callable[..., spawn.Finished]) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True); sys.exit(3)"
    assert run(code) == spawn.Finished(3, "out\nerr\n")
    assert run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").status == -signal.SIGKILL
    assert spawn.run(["/nowhere/program"]).status == 127


def test_only_the_end_of_a_long_output_is_kept(run: Callable[..., spawn.Finished]) -> None:
    done = run("import sys\nfor i in range(300000): print(i, 'x' * 20)")
    assert done.status == 0 and done.output.endswith(f"299999 {'x' * 20}\n") and len(done.output) == spawn.OUTPUT_MOST


def test_environment_is_what_is_given(run: Callable[..., spawn.Finished]) -> None:
    assert run("import os; print(os.environ.get('HOME'), os.environ['A'])", env={"A": "1"}).output == "None 1\n"


CHILD = "import os, subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\nopen({path!r}, 'w').write(str(child.pid))\n"


def test_time_ends_the_whole_group(run: Callable[..., spawn.Finished], tmp_path: Path) -> None:
    path = tmp_path / "pid"
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    began = time.monotonic()
    done = run(deaf + CHILD.format(path=str(path)) + "print('begun', flush=True)\ntime.sleep(99)", 2.0)
    assert (done.status, done.timed_out, done.stopped, done.output) == (-signal.SIGKILL, True, False, "begun\n")
    assert 2.0 <= time.monotonic() - began < 2.0 + 3 * spawn.GRACE
    until(lambda: gone(path), 2, "its child lives on")


def test_a_polite_end_comes_first(run: Callable[..., spawn.Finished]) -> None:
    code = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit('goodbye'))\ntime.sleep(99)"
    done = run(code, 2.0)
    assert done.timed_out and "goodbye" in done.output


def test_what_a_program_leaves_behind_ends_with_it(run: Callable[..., spawn.Finished], tmp_path: Path) -> None:
    path = tmp_path / "pid"
    began = time.monotonic()
    assert run(CHILD.format(path=str(path))).status == 0
    assert time.monotonic() - began < 20
    until(lambda: gone(path), 2, "its child lives on")


def test_stop_on_request_and_the_next_program_runs(run: Callable[..., spawn.Finished]) -> None:
    for _ in range(2):
        end = time.monotonic() + 0.3
        done = run("import time; time.sleep(99)", stopped=lambda: time.monotonic() > end)  # noqa: B023
        assert (done.stopped, done.timed_out, done.status) == (True, False, -signal.SIGTERM)
        assert run("print(1)", stopped=lambda: False) == spawn.Finished(0, "1\n")


def test_a_rank_that_is_killed_takes_its_programs_along(tmp_path: Path) -> None:
    path, script = tmp_path / "pid", tmp_path / "script.py"
    script.write_text(CHILD.format(path=str(path)) + "time.sleep(99)")
    code = f"from prng_mpi import spawn\nspawn.start_helper()\nspawn.run([{sys.executable!r}, {str(script)!r}])"
    with subprocess.Popen([sys.executable, "-c", code]) as rank:
        until(lambda: path.exists() and path.read_text(), 20, "no start")
        rank.kill()
    until(lambda: gone(path), spawn.GRACE + 5, "its child lives on")


def test_a_helper_that_is_killed_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawn, "_helper", None)
    spawn.start_helper()
    path = tmp_path / "pid"
    code = f"import os, signal, time\nopen({str(path)!r}, 'w').write(str(os.getpid()))\ntime.sleep(0.2)\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(99)"
    for _ in range(2):
        with pytest.raises(DeviceError, match="was killed, likely out of memory"):
            spawn.run([sys.executable, "-c", code])
    until(lambda: gone(path), 5, "its program lives on")


def test_no_launcher_in_a_programs_environment() -> None:
    ours = {"PATH": "p", "CUDA_VISIBLE_DEVICES": "1", "SLURM_JOB_ID": "7", "SLURMISH": "x", "OMP_NUM_THREADS": "1"}
    theirs = ("OMPI_COMM_WORLD_RANK", "OMPI_MCA_pml", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "PRTE_MCA_x", "MPI_LOCALRANKID",
              "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID", "SLURM_STEPID", "SLURM_LOCALID", "HYDI_CONTROL_FD")  # fmt: skip
    assert spawn.without_launcher(ours | dict.fromkeys(theirs, "1")) == ours
