"""Floor 0: every error a person can act on, each with the exit code that the process ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """How a step ended; EXIT_MEANINGS says what that is."""

    FOUND = 0
    NOTHING_FOUND = 1
    USAGE = 2
    ABORTED = 3
    TIME_LIMIT = 4
    STOPPED = 5
    GAPS = 6
    NO_DEVICE = 7
    LOST_HOSTS = 8
    INTEGRITY = 9


EXIT_MEANINGS = {
    ExitCode.FOUND: "all is done and something is found: of a search, E <= 1e-3",
    ExitCode.NOTHING_FOUND: "all is done and nothing is found, which is a result too",
    ExitCode.USAGE: "wrong usage or input; nothing was started (doctor: a run would stop or go wrong)",
    ExitCode.ABORTED: "aborted; the same command resumes",
    ExitCode.TIME_LIMIT: "stopped by --time-limit; the same command resumes",
    ExitCode.STOPPED: "stopped by the user after finishing what ran; the same command resumes",
    ExitCode.GAPS: "finished with gaps, which are listed (jobs: some failed for good; doctor: warnings only)",
    ExitCode.NO_DEVICE: "no trustworthy device is left",
    ExitCode.LOST_HOSTS: "hosts were lost; the same command resumes",
    ExitCode.INTEGRITY: "a ledger or a result can't be trusted; it is left as it is",
}


class PrngError(Exception):
    """One clear sentence: what is wrong, where, what to do. `exit_code` is what the process returns."""

    exit_code = ExitCode.ABORTED


class UsageError(PrngError):
    """Bad input or bad options; nothing was started."""

    exit_code = ExitCode.USAGE


class NoSignal(PrngError):
    """What was asked for needs a signal, and none was found: the answer, and not a failure."""

    exit_code = ExitCode.NOTHING_FOUND


class DeviceError(PrngError):
    """A device can't be opened, compiled for, or trusted."""

    exit_code = ExitCode.NO_DEVICE


class IntegrityError(PrngError):
    """A ledger or result file that can't be trusted; it is left untouched."""

    exit_code = ExitCode.INTEGRITY


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of `known`, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
