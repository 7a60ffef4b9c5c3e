"""The supervisor over commands that stand in for mpirun: what it believes, when it starts again, when it gives up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from prng_mpi import supervise
from prng_mpi.errors import UsageError
from prng_mpi.ledger import Ledger
from support import TOP, environment, until


def script(folder: Path, text: str) -> Path:
    """An `mpirun` in place of the real one; $RUN is the run's folder, $N how often it was started."""
    path = folder / "mpirun"
    run = folder / "run"
    run.mkdir(exist_ok=True)
    path.write_text(
        f'#!/usr/bin/env bash\nRUN={run}\necho "$@" >> {folder}/calls\nN=$(wc -l < {folder}/calls)\n{text}\n'
    )
    path.chmod(0o755)
    return path


def call(folder: Path, *options: object, words: tuple[object, ...] = ()) -> list[str]:
    given = [sys.executable, "-m", "prng_mpi.supervise", *options, "--", folder / "mpirun", *words]
    return [str(word) for word in (*given, "--output-dir", folder / "run")]


@dataclass
class Supervised:
    """Runs the supervisor in this process, with the pauses of a test."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(
        self, folder: Path, text: str, *options: object, words: tuple[object, ...] = (), **env: str
    ) -> tuple[int, str, int]:
        """(exit code, stderr, starts) of a supervisor over that script."""
        script(folder, text)
        self.monkeypatch.setattr(supervise, "PAUSE", 0.01)
        self.monkeypatch.setattr(signal, "signal", lambda *_: None)
        for key, value in env.items():
            self.monkeypatch.setenv(key, value)
        with pytest.raises(SystemExit) as ended:
            supervise.main(call(folder, *options, words=words)[3:])
        return ended.value.code, self.capsys.readouterr().err, len((folder / "calls").read_text().splitlines())  # type: ignore[return-value]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Supervised:
    return Supervised(monkeypatch, capsys)


def summary(code: int) -> str:
    return f"echo '{{\"exit_code\": {code}}}' > $RUN/summary.json"


@pytest.mark.parametrize("code", [0, 1, 4, 5, 6, 7, 9])
def test_the_summary_is_believed_and_not_the_exit_code_of_mpirun(code: int, tmp_path: Path, run: Supervised) -> None:
    assert run(tmp_path, f"{summary(code)}; exit 77") == (code, "", 1)


@pytest.mark.parametrize(("word", "starts"), [("", 3), ("echo 0 > $PRNG_MPI_EXIT", 3), ("echo 3 > $PRNG_MPI_EXIT", 3)])
def test_no_summary_is_no_result_whatever_mpirun_says(word: str, starts: int, tmp_path: Path, run: Supervised) -> None:
    code, said, started = run(tmp_path, f"{word}; exit 0", "--relaunches", 2)
    assert (code, started) == (3, starts)
    assert "gave up after 3 starts without a seed more" in said


def test_a_summary_of_an_earlier_run_is_not_believed(tmp_path: Path, run: Supervised) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text('{"exit_code": 0}')
    assert run(tmp_path, "exit 0", "--relaunches", 0)[0] == 3


@pytest.mark.parametrize("code", [2, 9])
def test_what_another_start_would_not_change_is_passed_on(code: int, tmp_path: Path, run: Supervised) -> None:
    assert run(tmp_path, f"echo {code} > $PRNG_MPI_EXIT") == (code, "", 1)


def test_starts_again_until_there_is_a_result(tmp_path: Path, run: Supervised) -> None:
    code, said, started = run(tmp_path, f"if [ $N = 3 ]; then {summary(1)}; fi; kill -9 $$", "--relaunches", 2)
    assert (code, started) == (1, 3)
    assert said.count("starting again") == 2


def test_starts_with_progress_are_not_counted(tmp_path: Path, run: Supervised) -> None:
    path = tmp_path / "run" / "ledger.sqlite"
    more = (
        "from prng_mpi.ledger import Ledger; from prng_mpi.records import HIT; import sys, numpy, pathlib; n = int(sys.argv[1])\n"
        f"with Ledger.open(pathlib.Path('{path}'), {{'search': 1}}) as ledger:\n"
        "    if n < 4: ledger.issue(n, 100 * n, 100 * n + 100, 0); ledger.commit(100 * n, 100 * n + 100, 0, numpy.zeros(0, HIT), lease=n)"
    )
    code, _, started = run(tmp_path, f'{sys.executable} -c "{more}" $N', "--relaunches", 1)
    # Three starts that did something, and two that did not.
    assert (code, started) == (3, 5)
    with Ledger.peek(path) as ledger:
        assert ledger.seeds_done() == 300


def test_hosts_that_do_not_answer_are_left_out(tmp_path: Path, run: Supervised) -> None:
    agent = tmp_path / "agent"
    agent.write_text("#!/usr/bin/env bash\n[ $1 != rig2 ]\n")
    agent.chmod(0o755)
    (tmp_path / "hosts").write_text("localhost slots=2\nrig1 slots=8 max_slots=9 # the first\n\nrig2 slots=8\n")
    keep = f"cp $2 {tmp_path}/used; {summary(1)}"
    words = ("-hostfile", tmp_path / "hosts", "-np", 18)
    code, said, _ = run(tmp_path, keep, words=words, PRTE_MCA_plm_ssh_agent=str(agent))
    assert code == 1
    assert "rig2 does not answer; going on without its 8 ranks" in said
    assert (tmp_path / "used").read_text() == "localhost slots=2\nrig1 slots=8 max_slots=9\n"
    assert (tmp_path / "calls").read_text().split()[2:4] == ["-np", "10"]


def test_lost_hosts_are_the_reason_for_giving_up(tmp_path: Path, run: Supervised) -> None:
    agent = tmp_path / "agent"
    agent.write_text("#!/usr/bin/env bash\nexit 255\n")
    agent.chmod(0o755)
    (tmp_path / "hosts").write_text("localhost slots=2\nrig1 slots=8\n")
    words = ("-hostfile", tmp_path / "hosts")
    assert run(tmp_path, "exit 0", "--relaunches", 0, words=words, PRTE_MCA_plm_ssh_agent=str(agent))[0] == 8


def test_what_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the summary mpirun waits for a host that is gone, deaf to SIGTERM, with a child in its group."""
    monkeypatch.setattr(supervise, "GRACE", 0.3)
    path = script(tmp_path, f"trap '' TERM; {summary(0)}; sleep 321.5 & while true; do sleep 0.1; done")
    command = supervise.parse([str(path), "--output-dir", str(tmp_path / "run")])
    began = time.monotonic()
    assert supervise.Supervisor(supervise.SuperviseOptions(), command, [], tmp_path).run() == 0
    assert time.monotonic() - began < 5
    assert subprocess.run(["pgrep", "-f", "sleep 321.5"], capture_output=True, check=False).returncode == 1


def test_silence_is_an_end(tmp_path: Path, run: Supervised) -> None:
    text = f"if [ $N = 2 ]; then {summary(1)}; exit; fi; echo start >> $RUN/events.jsonl; exec sleep 60"
    code, said, started = run(tmp_path, text, "--silence", 1)
    assert (code, started) == (1, 2)
    assert "nothing is heard of the run for 1 s" in said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 5), (signal.SIGTERM, 3)])
def test_the_user_stops_it(number: signal.Signals, code: int, tmp_path: Path) -> None:
    # The one request drains, which leaves a summary; the other leaves nothing. Neither is a reason to start again.
    script(tmp_path, f"stop() {{ {summary(5)}; exit; }}; trap stop USR1; touch $RUN/up; while true; do sleep 0.1; done")
    process = subprocess.Popen(call(tmp_path), env=environment(), cwd=TOP)
    try:
        until((tmp_path / "run" / "up").exists, 20, "not started")
        os.kill(process.pid, number)
        assert process.wait(20) == code
    finally:
        process.kill()
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no command to supervise"),
        (["mpirun", "-np", "2", "python"], "no --output-dir"),
        (["mpirun", "-np", "two", "--output-dir", "x"], "-np two: not a number of ranks"),
    ],
)
def test_commands_that_can_not_be_supervised(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        supervise.parse(words)


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        call(tmp_path), env=environment(), cwd=TOP, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "can't start the supervised command" in done.stderr


# -- the sample for Slurm -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "restarts", "code", "requeued"),
    [
        ("echo '{\n \"exit_code\": 1\n}' > $4/summary.json; exit 1", 0, 1, False),
        ("exit 2", 0, 2, False),
        ("kill -9 $$", 0, 0, True),
        ("kill -9 $$", 5, 137, False),
        # The warning, as Slurm sends it to the script, which passes it on.
        ("trap 'echo \\\"exit_code\\\": 5, > $4/summary.json; exit 5' USR1; kill -USR1 $PPID; while true; do sleep 0.1; done", 0, 0, True),
    ],
)  # fmt: skip
def test_slurm_script_requeues_what_did_not_end(
    ends: str, restarts: int, code: int, requeued: bool, tmp_path: Path
) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    folder = tmp_path / "run"
    folder.mkdir()
    # As in Slurm a stale summary is there after a drain.
    (folder / "summary.json").write_text('{\n "exit_code": 5\n}')
    (commands / "srun").write_text(
        f'#!/usr/bin/env bash\nwhile [ "$1" != --output-dir ]; do shift; done\nset -- x x x "$2"\n{ends}\n'
    )
    (commands / "scontrol").write_text(f'#!/usr/bin/env bash\necho "$@" > {tmp_path}/requeued\n')
    for command in commands.iterdir():
        command.chmod(0o755)
    path = f"{commands}:{os.environ['PATH']}"
    env = {"SLURM_JOB_ID": "77", "SLURM_RESTART_COUNT": str(restarts), "SLURM_SUBMIT_DIR": str(TOP)}
    done = subprocess.run(
        [TOP / "launch" / "slurm.sh", "--draws", "x"], capture_output=True, text=True, timeout=30, check=False,
        env=environment(PRNG_MPI_OUTPUT=str(folder), PATH=path, VENV="none") | env,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert (tmp_path / "requeued").exists() == requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "requeue 77\n"
