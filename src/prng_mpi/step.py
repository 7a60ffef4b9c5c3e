"""Floor 2: the order every step follows: flags, then MPI, then root's inputs, then the work; one way out for errors."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from typing import Any, NoReturn, TypeVar

import prng_mpi
from prng_mpi import comm as comms
from prng_mpi import config, kernels, spawn
from prng_mpi.errors import ExitCode, PrngError, UsageError

P = TypeVar("P")

# What launch/env.sh says to ranks; no option of a step.
LAUNCH_VARIABLES = ("PRNG_MPI_TTY", "PRNG_MPI_TOP", "PRNG_MPI_RANKS", "PRNG_MPI_EXIT")


def provenance(*libraries: str) -> dict[str, Any]:
    """Root attributes of a result file that say what made it: versions of this program, Python, numpy and more installed
    packages by name, and the commit of a checkout, empty for an installed package."""
    versions = {"prng_mpi": prng_mpi.__version__, "python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in ("numpy", *libraries)}
    top, revision = kernels.folder().parent, ""
    if (top / ".git").exists():
        done = spawn.run(["git", "-C", str(top), "rev-parse", "HEAD"], 10)
        revision = done.output.strip() if done.status == 0 else ""
    return {"versions": versions, "git_revision": revision}


class Done(Exception):
    """A step that has said all it has to say while preparing (a dry run, --show-config): end with this code."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


_asked, _asked_last, _looks = 0, -10.0, 0


def requests() -> int:
    """How often this run was asked to stop: 1, finish the chunks that run; 2 or more, end at once."""
    return _asked


def looks() -> int:
    """How often this run was asked to show where it is (SIGUSR2)."""
    return _looks


def _look(number: int, frame: Any) -> None:
    global _looks  # noqa: PLW0603
    _looks += 1


def _hear(number: int, frame: Any) -> None:
    global _asked, _asked_last  # noqa: PLW0603
    now = time.monotonic()
    if number == signal.SIGTERM:
        # mpirun kills a fraction of a second after it.
        _asked = 2
    elif now - _asked_last > 0.5:
        # A terminal and a launcher may both pass on one Ctrl-C.
        _asked += 1
    _asked_last = now


def listen_for_signals(rank: int) -> None:
    """Root counts what the user asks; the others hear it from root, as mpirun passes SIGUSR1 and SIGUSR2 to every rank."""
    for number, handler in ((signal.SIGINT, _hear), (signal.SIGUSR1, _hear), (signal.SIGUSR2, _look)):
        signal.signal(number, signal.SIG_IGN if rank else handler)
    if not rank:
        signal.signal(signal.SIGTERM, _hear)


def main(
    options: type[Any],
    prepare: Callable[[config.Loaded[Any]], P],
    run: Callable[[comms.Comm, Any, P], ExitCode],
    argv: list[str] | None = None,
) -> NoReturn:
    """Run a step and end the process with its exit code.

    options: its configuration class. prepare: root alone, before any device: reads inputs, prints the plan; what it
    returns goes to every rank, as options do. run: every rank; root's answer is the exit code. Every rank parses the
    flags, so --help and a bad flag end the job without MPI; the file and the environment are root's alone."""
    rank, size = comms.launched() or (0, 1)
    spawn.die_with_parent()
    listen_for_signals(rank)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere if rank else sys.stdout):
        try:
            config.load(options, argv, environ={}, read_file=lambda _: "")
        except UsageError as e:
            _leave(e.exit_code, rank, str(e))
        except SystemExit:
            # --help is printed.
            if rank == 0:
                comms.last_word(ExitCode.FOUND)
            raise
    code, loaded, prepared, error = None, None, None, ""
    if rank == 0:
        try:
            loaded = _load(options, argv)
            prepared = prepare(loaded)
        except Done as e:
            code = e.code
        except PrngError as e:
            code, error = e.exit_code, str(e)
        # Python's own exit code for it is 1, which would say that the search is done and nothing was found.
        except Exception as e:  # noqa: BLE001
            traceback.print_exc()
            code, error = ExitCode.ABORTED, f"{type(e).__name__} while preparing, see above; nothing was started"
        if error:
            print(f"prng_mpi: {error}", file=sys.stderr, flush=True)
    if size > 1:
        spawn.start_helper()
    comm = _connect(rank)
    try:
        code, loaded, prepared = comm.bcast((code, loaded, prepared))
        if code is None:
            code = run(comm, loaded.value, prepared)
        comm.finish(int(code))
    except PrngError as e:
        comm.die(e.exit_code, str(e))
    # The last resort: one rank that ends without a word would leave the others waiting for ever.
    except BaseException as e:  # noqa: BLE001
        traceback.print_exc()
        comm.die(ExitCode.ABORTED, f"{type(e).__name__}: {e}; the same command resumes")


def options_of(name: str) -> type[Any]:
    """The options of the step of that name, which need neither MPI nor a device."""
    module = importlib.import_module(f"prng_mpi.{name}")
    options: type[Any] = next(each for each in vars(module).values() if getattr(each, "STEP", "") == name)
    return options


def _load(options: type[Any], argv: list[str] | None) -> config.Loaded[Any]:
    """The options of a step from all layers. Raises UsageError; Done where they were to be shown only."""
    loaded = config.load(options, argv, other_env=LAUNCH_VARIABLES)
    if loaded.value.show_config:
        print(config.show(loaded), end="")
        raise Done(ExitCode.FOUND)
    return loaded


def _connect(rank: int) -> comms.Comm:
    try:
        return comms.Comm()
    # A library that is missing, or ranks that MPI can't connect.
    except Exception as e:  # noqa: BLE001
        text = f"rank {rank} on {socket.gethostname()}: MPI can't start ({type(e).__name__}: {e})"
        print(f"prng_mpi: {text}; nothing was started", file=sys.stderr, flush=True)
        if rank == 0:
            comms.last_word(ExitCode.ABORTED)
        raise SystemExit(int(ExitCode.ABORTED)) from None


def alone(options: type[Any], run: Callable[[Any], ExitCode], argv: list[str] | None = None) -> NoReturn:
    """Run a step that needs no ranks, such as one that reads what a run has written, and end the process with its code."""
    try:
        code = run(_load(options, argv).value)
        sys.stdout.flush()
    except Done as e:
        code = e.code
    except PrngError as e:
        _leave(e.exit_code, 0, str(e))
    except KeyboardInterrupt:
        code = ExitCode.STOPPED
    except BrokenPipeError:
        # The reader of a pipe has seen enough; nothing may be flushed into it at the exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.STOPPED
    except Exception as e:  # noqa: BLE001
        traceback.print_exc()
        _leave(ExitCode.ABORTED, 0, f"{type(e).__name__}, see above; nothing was changed")
    raise SystemExit(int(code))


def _leave(code: ExitCode, rank: int, message: str) -> NoReturn:
    if rank == 0:
        print(f"prng_mpi: {message}", file=sys.stderr)
        comms.last_word(code)
    # Of a rank that fails mpirun makes an end of the job; root, which may be slower, has still to say why.
    raise SystemExit(0 if rank else int(code))
