"""Floor 2: devices start one after another on each host, hosts in parallel: a token goes along the ranks of a host.

Many runtimes that start at once on one host have frozen rigs. MPI starts first, so that the token can be a message and
root can tell everyone what to start; compilers run in the helper that was forked before (see spawn)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from prng_mpi.comm import Message, Tag

T = TypeVar("T")


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
) -> tuple[T, bool]:
    """Run `work` when the token comes, pass it on `delay` seconds after; (what work returned, whether the token was lost).

    A rank waits `timeout` + `delay` seconds for each rank before it. Then the token is lost (a rank before it died or
    hangs), and this rank goes on with a new one; the ranks after it wait longer, so they get that one. Passed on
    even when `work` raises."""
    place, ranks = comm.local_rank, comm.local_ranks
    lost = False
    if place > 0:
        began = clock()
        while True:
            # Any rank before may hand it over: the nearest may be the one that is lost, and an older token is as good.
            heard = [message.tag for source in ranks[:place] if (message := comm.poll(source, Tag.TOKEN))]
            if Tag.TOKEN in heard:
                break
            # What MPI says is gone need not be waited for.
            if clock() >= began + (place - len(heard)) * (timeout + delay):
                lost = True
                break
            sleep(0.005)
    try:
        return work(), lost
    finally:
        if place + 1 < len(ranks):
            sleep(delay)
            comm.send(ranks[place + 1], Tag.TOKEN)
