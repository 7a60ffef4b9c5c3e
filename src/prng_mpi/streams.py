"""Floor 2: the streams of a sieve's survivors, each aligned with the history that it explains: draw t is output
o + s + (t - w)(s + 1) of a survivor with skip s and offset o, w the draw after the window's boundary."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import devices, store
from prng_mpi.errors import IntegrityError, UsageError
from prng_mpi.history import History, read_history
from prng_mpi.recipes import recipe
from prng_mpi.search import Search, in_form

# Outputs that are made at a time, and that one stream may have to go through.
BLOCK, FARTHEST = 1 << 22, 1 << 27


@dataclass(frozen=True, eq=False)
class Streams:
    """Survivors of a sieve and the draws that they were found in.

    survivors: (N, of SURVIVOR), rows of the sieve's file; recipe, modulus, given: of the search, its name and the parameters
    that a user gave; history: of the sieve's sessions; boundary: index of the first draw after it; behind, ahead: draws of
    the window on its sides; payload_hash: of the sieve."""

    survivors: npt.NDArray[np.void]
    recipe: str
    modulus: int
    given: dict[str, int]
    history: History
    boundary: int
    behind: int
    ahead: int
    payload_hash: str

    @property
    def window(self) -> tuple[int, int]:
        """The window's draws, [first, end)."""
        return self.boundary - self.behind, self.boundary + self.ahead

    def search(self) -> Search:
        """One for whose device outputs can be asked; it finds nothing. Both ways, where the window has draws behind."""
        plain = Search(recipe(self.recipe), self.modulus, np.zeros(1, np.uint32), 0, 1, given=self.given)
        return in_form(plain, ("LOOKS",)) if self.behind else plain

    def first(self, skip: int, offset: int, t: int) -> int:
        """The output that is draw t."""
        return offset + skip + (t - self.boundary) * (skip + 1)

    def outputs(self, device: devices.Device, rows: npt.NDArray[np.void], start: int, stop: int) -> Any:
        """What survivors give as draws [start, stop): int32 (n, stop - start), in the device's array library.

        rows: (n, of SURVIVOR). Raises UsageError where they are too far apart, or a draw is before the first output."""
        search, xp, draws = self.search(), device.xp, stop - start
        out = xp.empty((len(rows), draws), xp.int32)
        places, which = np.unique(rows[["skip", "offset"]], return_inverse=True)
        for number, (skip, offset) in enumerate(places.tolist()):
            first, count = self.first(skip, offset, start), (draws - 1) * (skip + 1) + 1
            if first < 0 and not self.behind:
                raise UsageError(f"draw {start} is before the first output of skip {skip} and offset {offset}")
            if max(first, 0) + count > FARTHEST:
                raise UsageError(
                    f"{draws} draws at skip {skip} are {count} outputs of each survivor, more than {FARTHEST}"
                )
            mine = np.flatnonzero(which == number)
            most = max(1, BLOCK // count)
            for at in range(0, len(mine), most):
                block = mine[at : at + most]
                made = device.outputs_there(search, rows["seed"][block], first, count)
                out[block] = made[:, :: skip + 1]
        return out


def read(folder: Path, draws: str) -> Streams:
    """The survivors of a sieve's folder, and its history, read from the file `draws`.

    Raises:
        UsageError: no survivors, or such as have no stream; a history that does not hold the sieve's window.
        IntegrityError: a results.h5 that can't be trusted, or does not say what was searched.
    """
    results = store.open_results(folder)
    try:
        attributes = results.attributes
        identity, stored = json.loads(attributes["identity"]), tomllib.loads(attributes["config"])
        chosen, modulus, boundary = recipe(identity["recipe"]), int(identity["modulus"]), int(identity["window_start"])
        given = {key: value for key, value in identity["params"].items() if key not in chosen.fixed}
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{folder} does not say what was searched ({error}); run the sieve again") from error
    if "misses" in identity:
        raise UsageError(
            f"the skip of {folder} varies, so its survivors give no later draw; run a sieve without --hybrid"
        )
    if stored.get("direction") == "turned":
        raise UsageError(f"{folder} searched the window turned round, which no stream explains; run another direction")
    if not len(results.survivors):
        raise UsageError(f"{folder}: no seed survived, so there is nothing to score")
    history = read_history(draws, tuple(stored.get("sessions", ())))
    sides = {name: np.array(identity[name]["low"], np.uint32) for name in ("behind", "ahead") if name in identity}
    ahead = sides.get("ahead", np.array(identity["draws"], np.uint32))
    behind = sides.get("behind", ahead[:0])
    there = history.draws[max(0, boundary - len(behind)) : boundary + len(ahead)]
    if not np.array_equal(there, np.concatenate([behind[::-1], ahead])):
        raise UsageError(f"{draws} does not hold the window of {folder}: give the history that the sieve was given")
    return Streams(
        results.survivors,
        chosen.name,
        modulus,
        given,
        history,
        boundary,
        len(behind),
        len(ahead),
        attributes["payload_hash"],
    )
