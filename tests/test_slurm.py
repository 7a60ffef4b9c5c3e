"""launch/slurm.sh under a real Slurm, whose daemons run on hosts of the simulated cluster: requeue, and on from the ledger."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import simulated
from simulated import Cluster
from support import (
    INJECT,
    MARK,
    TOP,
    Ended,
    environment,
    events,
    parent,
    searching,
    small,
    survivors,
    until,
    with_environment,
)


def _missing() -> str:
    if shutil.which("slurmctld") is None or shutil.which("slurmd") is None:
        return "there is no Slurm here (as root: apt-get install slurm-wlm libpmix-dev)"
    return simulated.missing()


pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(_missing()), reason=_missing() or "-")]
Slurm = Callable[..., str]
SCRIPT = simulated.SCRIPT.with_name("slurm.sh")


@pytest.fixture
def slurm() -> Iterator[Slurm]:
    """Runs a command on the first of two hosts with Slurm; what it printed."""

    def run(*words: object) -> str:
        command = cluster.on("zeus", "env", f"--chdir={TOP}", "SLURM_CONF=/var/tmp/slurm/slurm.conf", *words)
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with Cluster() as cluster:
        words = cluster.on("zeus", SCRIPT, "bash", "-c", "echo up; cat")
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as daemons:
            assert daemons.stdout is not None and daemons.stdout.readline() == b"up\n"
            yield run
            daemons.communicate(timeout=30)


@pytest.mark.parametrize("how", ["warned", "a rank is killed"])
def test_job_goes_back_into_the_queue_and_then_on(
    how: str, slurm: Slurm, calm: tuple[Ended, Any], tmp_path: Path
) -> None:
    folder, mark = tmp_path / "run", uuid.uuid4().hex
    # The sieve of the launch script, but slow enough for something to happen meanwhile.
    driver = tmp_path / "driver.py"
    slowly = INJECT + "def wrong(calls): time.sleep(0.1)\n"
    main = "step.main(sieve.SieveOptions, sieve.prepare, sieve.run)"
    driver.write_text(f"from prng_mpi import sieve, step\n{slowly}\n{main}\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\nshift 2\nexec {sys.executable} {driver} "$@"\n')
    python.chmod(0o755)
    environments = tmp_path / "environments"
    environments.write_text(f"* {python}\n")
    own = {"ENVIRONMENTS": environments, "PRNG_MPI_OUTPUT": folder, "VENV": Path(sys.executable).parents[1], MARK: mark}
    slurm(
        *(f"{name}={value}" for name, value in own.items()),
        *("sbatch", "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=1", "--time=5", "--output", tmp_path / "log"),
        *(TOP / "launch" / "slurm.sh", *small(tmp_path, "run", "--chunk-seconds", 0.1)),
    )
    until(lambda: searching(folder), 60, "no search")
    if how == "warned":
        # As Slurm itself does with --signal=B:USR1@..., some time before the job's time is up.
        slurm("scancel", "--batch", "--signal=USR1", 1)
    else:
        family = set(with_environment(f"{MARK}={mark}")) & set(with_environment("SLURM_PROCID=1"))
        (rank,) = (pid for pid in family if parent(pid) not in family)
        os.kill(rank, signal.SIGKILL)
    # The code of a search without a find.
    until(lambda: "ExitCode=1:0" in slurm("scontrol", "show", "job", 1), 90, "the job has no end")
    assert "Restarts=1" in slurm("scontrol", "show", "job", 1)
    kinds = [event["kind"] for event in events(folder)]
    assert kinds.count("start") == 2
    assert ("resumed" in (tmp_path / "log").read_text()) and survivors(folder).tobytes() == calm[1].tobytes()
