"""Floor 3: the supervisor. Starts mpirun, judges what became of it, starts it again without the hosts that are gone.

python -m prng_mpi.supervise -- mpirun -hostfile hostfile -np 26 python -m prng_mpi.sieve ... --output-dir DIR

It holds no MPI and no device, so that nothing which ends a rank ends it. Python and not a shell script, since it reads
the ledger. It runs on root's host, the first of the hostfile. mpirun ends a whole job when a host dies, and its exit code is
0 then, so only `summary.json` and root's own last word count."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from prng_mpi import config, hostfile
from prng_mpi.config import option
from prng_mpi.display import say
from prng_mpi.errors import ExitCode, PrngError, UsageError
from prng_mpi.ledger import Ledger

# Ends after which another start gives nothing new.
FINAL = frozenset(ExitCode) - {ExitCode.ABORTED, ExitCode.LOST_HOSTS}
# Seconds: between looks; for a host to answer; for the end that was asked for; between a loss and the next start.
LOOK, ANSWER, GRACE, PAUSE = 0.1, 6.0, 10.0, 1.0
HOSTFILE_FLAGS = ("-hostfile", "--hostfile", "-machinefile", "--machinefile")
RANKS_FLAGS = ("-np", "--np", "-n")


@dataclass(frozen=True)
class SuperviseOptions:
    """Run an mpirun command to its end, over lost hosts: supervise [OPTIONS] -- mpirun ... --output-dir DIR"""

    STEP: ClassVar[str] = "supervise"

    relaunches: int = option(5, "give up after so many starts in a row without one more seed done", minimum=0)
    retry: float = option(60.0, "seconds after which a host that was gone is tried again; twice as long each time it goes",
                          minimum=0.1)  # fmt: skip
    silence: float = option(600.0, "seconds without a line in events.jsonl after which a run counts as hung", minimum=1)


@dataclass
class Host:
    """A line of the hostfile. away: asked at this time (monotonic seconds) next, None while it is in use."""

    name: str
    slots: int
    line: str
    away: float | None = None
    losses: int = 0


@dataclass(frozen=True)
class Command:
    """An mpirun command taken apart: where its hostfile and its number of ranks stand, and the run's folder."""

    words: tuple[str, ...]
    folder: Path
    hostfile: int | None
    ranks: int | None

    def on(self, hostfile: Path, missing: int) -> list[str]:
        """The command with another hostfile that has `missing` slots less."""
        words = list(self.words)
        if self.hostfile is not None:
            words[self.hostfile] = str(hostfile)
        if self.ranks is not None:
            words[self.ranks] = str(max(1, int(words[self.ranks]) - missing))
        return words


def parse(words: Sequence[str]) -> Command:
    """Take an mpirun command apart. Raises UsageError."""
    if not words:
        raise UsageError(
            "no command to supervise; write it after --: supervise -- mpirun -hostfile hostfile -np 26 ..."
        )
    if "--output-dir" not in words[:-1]:
        raise UsageError("the supervised command has no --output-dir DIR; the supervisor reads that folder")
    folder = Path(words[words.index("--output-dir") + 1])
    hostfile = next((i + 1 for i, word in enumerate(words[:-1]) if word in HOSTFILE_FLAGS), None)
    ranks = next((i + 1 for i, word in enumerate(words[:-1]) if word in RANKS_FLAGS), None)
    if ranks is not None and not words[ranks].isdecimal():
        raise UsageError(f"{words[ranks - 1]} {words[ranks]}: not a number of ranks")
    return Command(tuple(words), folder, hostfile, ranks)


@dataclass
class Supervisor:
    """Runs one command to its end.

    asked: how often the user asked to stop; ended_at: when they asked to end at once, monotonic seconds; regain: whether a
    host is back, for which the run is being stopped."""

    options: SuperviseOptions
    command: Command
    hosts: list[Host]
    scratch: Path
    asked: int = 0
    ended_at: float | None = None
    regain: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def run(self) -> ExitCode:
        """Start until there is an end that another start would not change; the exit code of it all."""
        idle, before = 0, self._progress()
        while True:
            if self.asked:
                return ExitCode.STOPPED
            self._probe([host for host in self.hosts if not host.away or time.monotonic() >= host.away])
            code = self._once()
            gone = [host.name for host in self.hosts if host.away is not None]
            regain, self.regain = self.regain, False
            if self.asked or (code in FINAL and not (regain and code is ExitCode.STOPPED)):
                return code
            done = self._progress()
            idle = 0 if done > before or regain else idle + 1
            before = done
            if idle > self.options.relaunches:
                self._say(f"gave up after {idle} starts without a seed more; the same command resumes")
                return ExitCode.LOST_HOSTS if gone else code
            why = "a host is back" if regain else f"it ended with {int(code)} ({code.name.lower().replace('_', ' ')})"
            self._say(f"{why}, {done} seeds are done; starting again")
            time.sleep(PAUSE)

    def ask(self, number: int, _: Any) -> None:
        """A signal for the supervisor: the first Ctrl-C drains the run, what follows ends it."""
        self.asked += 1 if number in (signal.SIGINT, signal.SIGUSR1) else 2
        if self.asked > 1:
            self.ended_at = time.monotonic()
        if self.process is not None:
            self.process.send_signal(signal.SIGUSR1 if self.asked == 1 else signal.SIGTERM)

    def _once(self) -> ExitCode:
        """Start mpirun on the hosts that answer, wait for its end, judge it."""
        live = [host for host in self.hosts if host.away is None]
        if self.hosts and not live:
            self._say("no host answers")
            return ExitCode.LOST_HOSTS
        hostfile, word = self.scratch / "hostfile", self.scratch / "exit"
        hostfile.write_text("".join(f"{host.line}\n" for host in live))
        word.unlink(missing_ok=True)
        old = self._stamp()
        missing = sum(host.slots for host in self.hosts) - sum(host.slots for host in live)
        # In a group of its own, so that no Ctrl-C reaches it but ours, and all of it can be ended.
        self.process = subprocess.Popen(
            self.command.on(hostfile, missing),
            env={**os.environ, "PRNG_MPI_EXIT": str(word), "TMPDIR": str(self.scratch)},
            start_new_session=True,
        )
        self._watch(self.process, old)
        self._end(self.process)
        self.process = None
        if self._stamp() != old and self._stamp() is not None:
            return ExitCode(json.loads((self.command.folder / "summary.json").read_text())["exit_code"])
        said = ExitCode(int(word.read_text())) if word.exists() else ExitCode.ABORTED
        # Only a summary says that a search is through.
        return ExitCode.ABORTED if said in (ExitCode.FOUND, ExitCode.NOTHING_FOUND) else said

    def _watch(self, process: subprocess.Popen[bytes], old: int | None) -> None:
        """Wait until mpirun ends, or should have: after the summary, or a long silence. Ask after hosts that were gone."""
        heard = time.monotonic()
        finished: float | None = None
        size = -1
        while process.poll() is None:
            time.sleep(LOOK)
            now = time.monotonic()
            if (grown := self._size()) != size:
                size, heard = grown, now
            if finished is None and self._stamp() not in (None, old):
                finished = now
            if finished is not None and now - finished > GRACE:
                return
            if self.ended_at is not None and now - self.ended_at > GRACE:
                return
            if now - heard > self.options.silence:
                self._say(f"nothing is heard of the run for {self.options.silence:g} s; ending it")
                return
            due = [host for host in self.hosts if host.away is not None and now >= host.away]
            if due and not self.regain and not self.asked:
                self._probe(due)
                if any(host.away is None for host in due):
                    self._say("stopping the run in good order to take the host in")
                    self.regain = True
                    process.send_signal(signal.SIGUSR1)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """See to it that nothing of mpirun's group lives on this host: TERM, then KILL."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._say(f"mpirun has not ended {GRACE:g} s after SIGTERM; killing it")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _probe(self, hosts: list[Host]) -> None:
        """Ask hosts, all at once, and note who is there."""
        with ThreadPoolExecutor(max(1, len(hosts))) as pool:
            there = list(pool.map(_answers, hosts))
        for host, answered in zip(hosts, there, strict=True):
            if answered and host.away is not None:
                self._say(f"{host.name} answers again")
            if not answered and host.away is None:
                host.losses += 1
                self._say(f"{host.name} does not answer; going on without its {host.slots} ranks")
            host.away = None if answered else time.monotonic() + self.options.retry * 2 ** max(0, host.losses - 1)

    def _progress(self) -> int:
        """Seeds done so far, 0 without a ledger."""
        try:
            with Ledger.peek(self.command.folder / "ledger.sqlite") as ledger:
                return ledger.seeds_done()
        except PrngError:
            return 0

    def _stamp(self) -> int | None:
        try:
            return (self.command.folder / "summary.json").stat().st_mtime_ns
        except OSError:
            return None

    def _size(self) -> int:
        try:
            return (self.command.folder / "events.jsonl").stat().st_size
        except OSError:
            return -1

    @staticmethod
    def _say(text: str) -> None:
        say(sys.stderr, [("supervise", text)])


def _answers(host: Host) -> bool:
    return hostfile.is_here(host.name) or hostfile.ask(host.name, "true", os.environ, ANSWER).status == 0


def main(argv: list[str] | None = None) -> NoReturn:
    """Supervise the command after --."""
    words = sys.argv[1:] if argv is None else argv
    cut = words.index("--") if "--" in words else len(words)
    scratch = Path(tempfile.mkdtemp(prefix="supervise"))
    try:
        # Variables PRNG_MPI_... are for the step.
        options = config.load(SuperviseOptions, words[:cut], environ={}).value
        command = parse(words[cut + 1 :])
        lines = hostfile.read(Path(command.words[command.hostfile])) if command.hostfile is not None else []
        hosts = [Host(line.host, line.slots, line.text) for line in lines]
        supervisor = Supervisor(options, command, hosts, scratch)
        for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, supervisor.ask)
        code = supervisor.run()
    except PrngError as e:
        print(f"prng_mpi: {e}", file=sys.stderr)
        code = ExitCode(e.exit_code)
    except OSError as e:
        print(f"prng_mpi: can't start the supervised command ({e})", file=sys.stderr)
        code = ExitCode.USAGE
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    raise SystemExit(int(code))


if __name__ == "__main__":
    main()
