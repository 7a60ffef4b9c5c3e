"""Floor 2: short work that is divided once: task number i is that of rank i mod size, and root's where that rank is lost.

For tasks that need no lease and no ledger, since a run of them is over in minutes. What is long goes through the farm."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import TextIO, TypeVar

from prng_mpi import step
from prng_mpi.comm import Comm, Tag
from prng_mpi.display import duration, say
from prng_mpi.errors import ExitCode, PrngError

T = TypeVar("T")
R = TypeVar("R")

# Seconds between two words about progress, and between two looks for answers.
TELL, NAP = 2.0, 0.002


def share(
    comm: Comm,
    tasks: Sequence[T],
    work: Callable[[T], R],
    *,
    name: Callable[[T], str],
    done: Callable[[Collection[R]], str],
    patience: float,
    remedy: str,
    out: TextIO,
) -> list[R]:
    """What `work` makes of each task, in their order; root's alone, the other ranks' list is empty.

    name: of a task; done: what results are called and hold, as in "skips, 2 with a state". patience: seconds without an answer
    after which root gives up; remedy: what else than other ranks would help then. out: where root tells its progress.

    Raises PrngError when the patience ends. Ends the job with STOPPED when the user asks for it: nothing is kept."""
    began = last = heard = time.monotonic()
    results: dict[int, R] = {}
    mine = list(range(comm.rank, len(tasks), comm.size))
    while len(results) < len(tasks) if comm.rank == 0 else mine:
        if mine:
            number = mine.pop(0)
            result = work(tasks[number])
            if comm.rank:
                comm.send(0, Tag.RESULT, (number, result))
                continue
            results[number] = result
            heard = time.monotonic()
        while message := comm.poll(tag=Tag.RESULT):
            heard = time.monotonic()
            if message.tag is Tag.LOST:
                print(f"prng_mpi: {comm.name(message.source)} is lost: {message.content}", file=sys.stderr, flush=True)
                continue
            number, results[number] = message.content
        if step.requests():
            print(
                "prng_mpi: stopped as asked; nothing is kept, the same command begins again",
                file=sys.stderr,
                flush=True,
            )
            comm.abort(ExitCode.STOPPED)
        now, missing = time.monotonic(), [number for number in range(len(tasks)) if number not in results]
        if now - last > TELL and results and missing:
            left = duration((now - began) / len(results) * len(missing))
            say(out, [("progress", f"{len(results)} of {len(tasks)} {done(results.values())}, about {left} left")])
            last = now
        if not mine:
            # One at a time, so that root goes on to hear the others.
            mine = [number for number in missing if number % comm.size in comm.lost][:1]
        if not mine and missing:
            if now - heard > patience:
                raise PrngError(
                    f"no rank has answered for {patience:g} s, {name(tasks[missing[0]])} is still open; start again without rank "
                    f"{missing[0] % comm.size}'s host, or {remedy}"
                )
            time.sleep(NAP)
    return [results[number] for number in sorted(results)]
