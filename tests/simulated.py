"""A cluster of simulated hosts for tests, as tests/cluster/cluster.sh makes it; and why there may be none here."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from prng_mpi import memory
from support import MARK, TOP, ULFM, mpirun, parent, until, with_environment

SCRIPT = TOP / "tests" / "cluster" / "cluster.sh"
# Remote ranks get nothing of our environment but this. A cut cable is noticed after 2 + 2 x 1 seconds.
ENVIRONMENT = {
    "OMPI_MCA_mca_base_env_list": f"PYTHONPATH;{MARK}",
    "PRTE_MCA_oob_tcp_keepalive_time": "2",
    "PRTE_MCA_oob_tcp_keepalive_intvl": "1",
    "PRTE_MCA_oob_tcp_keepalive_probes": "2",
}


@functools.cache
def missing() -> str:
    """Why simulated hosts can't be made here; empty where they can."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "simulated hosts need unshare and nsenter (Linux)"
    tried = subprocess.run([SCRIPT, "true"], capture_output=True, text=True, check=False, timeout=30)
    return "" if tried.returncode == 0 else f"simulated hosts can't be made: {tried.stderr.strip() or tried.returncode}"


class Cluster:
    """The shipped hostfile's hosts, until `close` or the end of this process, whatever that is."""

    def __init__(self) -> None:
        # `cat` ends when nobody holds the other end of the pipe, and with it the cluster.
        self._process = subprocess.Popen([SCRIPT, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"up\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"up\n"
        self._groups = contextlib.ExitStack()
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self._init = int(children.read_text().split()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take all hosts down, with all that runs on them."""
        self._process.kill()
        self._process.communicate()
        self._groups.close()

    def inside(self, *words: object) -> list[str]:
        """A command within the cluster's namespaces."""
        enter = ["nsenter", f"--target={self._init}", "--mount", "--net", "--pid"]
        agent = f"PRTE_MCA_plm_ssh_agent={TOP}/tests/cluster/ssh.sh"
        return [*enter, "env", agent, *(str(word) for word in words)]

    def on(self, host: str, *words: object) -> list[str]:
        """A command on a host."""
        return self.inside(SCRIPT.with_name("on.sh"), host, *words)

    def memory(self, host: str, size: int) -> Path:
        """Give a host so many bytes, for all that starts there from now on; its memory cgroup. Skips the test where none can
        be made."""
        group = self._groups.enter_context(memory_group(size))
        subprocess.run(self.inside("bash", "-c", f"echo {group} > /run/netns/.{host}-memory"), check=True)
        return group

    def cable(self, host: str, state: str) -> None:
        """Cut (down) or mend (up) a host's cable."""
        subprocess.run(self.inside("env", "SIMULATED_CLUSTER=1", SCRIPT, "link", host, state), check=True)

    def kill(self, host: str) -> None:
        """SIGKILL to every process of a host."""
        subprocess.run(self.inside("env", "SIMULATED_CLUSTER=1", SCRIPT, "kill", host), check=True)

    def processes(self, host: str) -> int:
        """How many processes a host has."""
        told = subprocess.run(self.inside("ip", "netns", "pids", host), capture_output=True, text=True, check=True)
        return len(told.stdout.split())


def launcher(hostfile: Path, ranks: int) -> list[object]:
    """mpirun over a hostfile, as launch/env.sh starts it."""
    return [mpirun(), *ULFM, "-hostfile", hostfile, "-np", ranks]


def supervised(*options: object) -> list[object]:
    """The supervisor, before an mpirun command."""
    return [sys.executable, "-m", "prng_mpi.supervise", *options, "--"]


def rank_process(mark: str, number: int) -> int:
    """The process of a rank of a run, on whatever host."""
    family = set(with_environment(f"{MARK}={mark}")) & set(with_environment(f"OMPI_COMM_WORLD_RANK={number}"))
    (first,) = (pid for pid in family if parent(pid) not in family)
    return first


@contextlib.contextmanager
def memory_group(size: int) -> Iterator[Path]:
    """A memory cgroup of so many bytes, v2 or v1, while the block runs. Skips the test where none can be made."""
    top = next((f for f in (memory.CGROUPS, memory.CGROUPS / "unified") if _delegates(f)), memory.CGROUPS / "memory")
    folder = top / f"prng-mpi-test-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
        limit = next(name for name, *_ in memory._FILES if (folder / name).exists())
        (folder / limit).write_text(str(size))
        with contextlib.suppress(OSError):
            (folder / "memory.swap.max").write_text("0")
    except (OSError, StopIteration) as e:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(
            f"no memory cgroup can be made here ({e or 'no memory controller'}): root and a writable cgroup file system"
        )
    yield folder
    # Of processes that were just killed some are still on their way out.
    until(lambda: not (folder / "cgroup.procs").read_text(), 20, f"processes live on in {folder}")
    folder.rmdir()


def _delegates(top: Path) -> bool:
    with contextlib.suppress(OSError):
        return "memory" in (top / "cgroup.subtree_control").read_text().split()
    return False
