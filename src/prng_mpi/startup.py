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

    A rank waits `timeout` + `delay` seconds for each rank before it. Then the token is lost (a rank before it died or
    hangs), and this rank goes on with a new one; the ranks after it wait longer, so they get that one. Passed on
    even when `work` raises. load: filled with what the token carries before `work`, and sent on as `work` leaves it."""
    place, ranks = comm.local_rank, comm.local_ranks
    lost, load = False, load or Load()
    if place > 0:
        deadline = clock() + place * (timeout + delay)
        # Any rank before may hand it over: the nearest may be the one that is lost, and an older token is as good.
        while not (tokens := [m for source in ranks[:place] if (m := comm.poll(source, Tag.TOKEN))]):
            if clock() >= deadline:
                lost = True
                break
            sleep(0.005)
        for token in tokens:
            load.content = token.content or load.content
    try:
        return work(), lost
    finally:
        if place + 1 < len(ranks):
            sleep(delay)
            comm.send(ranks[place + 1], Tag.TOKEN, load.content)
