"""The hostfile as mpirun reads it, and whom its hosts are asked by."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from prng_mpi import hostfile
from prng_mpi.errors import UsageError
from prng_mpi.hostfile import Line


def test_lines_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "hostfile"
    path.write_text("# all\nzeus slots=2\nrig1 slots=8 max_slots=9 # a rig\n\nlone\nzeus slots=1\n")
    assert hostfile.read(path) == [
        Line("zeus", 2, "zeus slots=2"), Line("rig1", 8, "rig1 slots=8 max_slots=9"), Line("lone", 1, "lone"),
        Line("zeus", 1, "zeus slots=1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"rig1 slots=many", "slots=many is no number of ranks"), (b"rig1 slots=0", "no number of ranks"),
     (b"# nothing", "names no host"), (b"\xff", "can't be read"), (None, "can't be read")],
)  # fmt: skip
def test_what_is_no_hostfile(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "hostfile").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        hostfile.read(tmp_path / "hostfile")


def test_this_host_needs_no_login() -> None:
    assert hostfile.is_here("localhost") and hostfile.is_here(socket.gethostname())
    assert not hostfile.is_here("rig1.nowhere")


def test_the_first_agent_of_mpirun_is_asked_without_questions(tmp_path: Path) -> None:
    """A program named ssh gets ssh's options, any other those that it comes with."""
    for name, options in (
        ("ssh", "-o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes "),
        ("agent", "-x "),
    ):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "$*"; exit 3\n')
        program.chmod(0o755)
        words = f"{program} -x" if name == "agent" else str(program)
        done = hostfile.ask("rig1", "true", {"PRTE_MCA_plm_ssh_agent": f"{words} : rsh"}, 5)
        assert (done.status, done.output) == (3, f"{options}rig1 true\n")
    gone = hostfile.ask("rig1", "true", {"PRTE_MCA_plm_ssh_agent": "/nowhere/ssh:rsh"}, 5)
    assert (gone.status, gone.output) == (127, "there is no program /nowhere/ssh")
