"""Floor 2: devices start one after another on each host, hosts in parallel: a token goes along the ranks of a host.

Many runtimes that start at once on one host have frozen rigs. MPI starts first, so that the token can be a message and
root can tell everyone what to start; compilers run in the helper that was forked before (see spawn)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from prng_mpi.comm import Message, Tag

T = TypeVar("T")


@dataclass
class Load:
    """What the token carries along a host's ranks: each finds here what the one before left, and leaves what it likes."""

    content: Any = None


class Neighbours(Protocol):
    """What of a Comm the token needs."""

    rank: int
    local_rank: int
    local_ranks: list[int]

    def send(self, dest: int, tag: Tag, content: object = None) -> None: ...

    def poll(self, source: int | None = None, tag: Tag | None = None) -> Message | None: ...


def in_turn(
    comm: Neighbours,
    work: Callable[[], T],
    delay: float,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    load: Load | None = None,
) -> tuple[T, bool]:
    """Run `work` when the token comes, pass it on `delay` seconds after; (what work returned, whether the token was lost).

    A rank waits for the nearest before it that is not gone, `timeout` + `delay` seconds for each. Then the token is lost (a
    rank before it hangs), and this rank goes on with a new one; the ranks after it wait longer, so they get that one.
    Passed on even when `work` raises, and to all ranks after it, since the next may be gone. load: filled with what the token
    carries before `work`, and sent on as `work` leaves it."""
    before, after = comm.local_ranks[: comm.local_rank], comm.local_ranks[comm.local_rank + 1 :]
    began, lost, load = clock(), False, load or Load()
    while before:
        message = comm.poll(before[-1], Tag.TOKEN)
        if message is not None and message.tag is Tag.TOKEN:
            load.content = message.content or load.content
            break
        if message is not None:
            # It is gone: the token it had is as good as passed on.
            before.pop()
        elif clock() >= began + len(before) * (timeout + delay):
            lost = True
            break
        else:
            sleep(0.005)
    try:
        return work(), lost
    finally:
        if after:
            sleep(delay)
        for rank in after:
            comm.send(rank, Tag.TOKEN, load.content)
