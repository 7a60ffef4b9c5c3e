"""Floor 1: the shape of a launch. Which one suits a device and a program is measured on the first launches of real work, so
nothing is computed twice, and remembered in a file for the next run."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

# (threads of a block, blocks of a processor on a GPU or in all on an emulated one).
Shape = tuple[int, int]

# Launches of each shape that are measured, in turn, so that a slow moment meets all of them.
ROUNDS = 2


class Tuner:
    """One program on one device. `shape` is what to launch with next."""

    def __init__(self, shapes: tuple[Shape, ...], memory: Path) -> None:
        """memory: the file in which the choice is kept; a missing or unreadable one means to measure."""
        self._shapes, self._memory = shapes, memory
        self._rates: list[list[float]] = [[] for _ in shapes]
        self._best: Shape | None = shapes[0] if len(shapes) == 1 else None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = tuple(json.loads(memory.read_text())["shape"])
            self._best = kept if kept in shapes else self._best

    @property
    def shape(self) -> Shape:
        """The best shape, or the one whose turn it is to be measured."""
        if self._best is not None:
            return self._best
        return min(zip(self._rates, self._shapes, strict=True), key=lambda pair: len(pair[0]))[1]

    @property
    def settled(self) -> bool:
        """Whether the shape is chosen."""
        return self._best is not None

    def measured(self, shape: Shape, rate: float) -> None:
        """A launch of that shape went at `rate` seeds/s; after the last one the fastest is kept."""
        if self._best is not None:
            return
        self._rates[self._shapes.index(shape)].append(rate)
        if min(map(len, self._rates)) < ROUNDS:
            return
        self._best = max(zip(self._rates, self._shapes, strict=True), key=lambda pair: max(pair[0]))[1]
        # A choice that can't be kept is measured again by the next run.
        with contextlib.suppress(OSError):
            part = self._memory.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps({"shape": self._best, "rates": self._rates}))
            part.rename(self._memory)
