"""States from draws: seconds of one core for MT19937 from clean draws, and for small states with wrong ones.

python benchmarks/recover.py [--json FILE]"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import common
import numpy as np

from prng_mpi.devices.gf2 import Attempt, Gf2Device, trials_needed, view
from prng_mpi.recipes import recipe

MODULUS = 1000
MT_DRAWS, MT_SKIPS = 7000, (0, 1, 5, 16)
NOISY = (("xorshift64.mod", 0.1), ("xorshift64.mod", 0.2), ("xorshift64.mod", 0.3), ("xorshift32.mod", 0.5))
NOISY_DRAWS, NOISY_CASES = 100, 11


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about = common.machine()
    print(about, "\n")
    rows = [clean(skip) for skip in MT_SKIPS] + [noisy(name, wrong) for name, wrong in NOISY]
    print(
        common.table(
            ["work", "median", "most"], [[r["work"], f"{r['median']:.3g} s", f"{r['most']:.3g} s"] for r in rows]
        )
    )
    common.write_json(arguments.json, about, rows)


def timed(work: Callable[[], Attempt]) -> tuple[float, Attempt]:
    """CPU seconds of this process, and what the work gave."""
    began = time.process_time()
    attempt = work()
    return time.process_time() - began, attempt


def clean(skip: int) -> dict[str, object]:
    """MT19937's whole state from clean draws mod 1000; the state must give the later draws."""
    what = recipe("mt19937.mod")
    device, seen = Gf2Device(what), view(what, MODULUS)
    assert not isinstance(seen, str)
    words = device.seeded(20)
    stream = device.values(MODULUS, words, skip, skip + 1, MT_DRAWS + 100)
    took = []
    for _ in range(3):
        spent, attempt = timed(
            functools.partial(device.solve, MODULUS, seen, stream[:MT_DRAWS], skip, skip + 1, MT_DRAWS)
        )
        took.append(spent)
        solved = attempt.words
        if solved is None or (device.values(MODULUS, solved, skip, skip + 1, MT_DRAWS + 100) != stream).any():
            raise SystemExit(f"MT19937 at skip {skip}: the state is not found")
    work = f"MT19937, 19937 bits, {MT_DRAWS} clean draws mod {MODULUS}, skip {skip}"
    return {"work": work, "median": statistics.median(took), "most": max(took)}


def noisy(name: str, wrong: float) -> dict[str, object]:
    """A small state from draws some of which are wrong."""
    what = recipe(name)
    device, seen = Gf2Device(what), view(what, MODULUS)
    assert not isinstance(seen, str)
    need = NOISY_DRAWS - round(wrong * NOISY_DRAWS)
    # One draw more than the state has bits for, as the step takes: it tells a wrong set by its contradiction.
    per_set = -(-device.unknowns // seen.bits) + 1
    took = []
    for case in range(NOISY_CASES):
        rng = np.random.default_rng(case)
        draws = device.values(MODULUS, device.seeded(int(rng.integers(1, 2**32))), 3, 4, NOISY_DRAWS)
        spoilt = rng.permutation(NOISY_DRAWS)[need:]
        draws[spoilt] = (draws[spoilt] + rng.integers(1, MODULUS, len(spoilt))) % MODULUS
        # As the step mixes them; small numbers would begin alike.
        mix = (case + 1) * 0x9E3779B97F4A7C15 % 2**64
        trials = trials_needed(NOISY_DRAWS, need, per_set, 2.0**-seen.bits, 1e-3)
        spent, attempt = timed(functools.partial(device.decode, MODULUS, seen, draws, 3, 4, need, trials, mix))
        took.append(spent)
        if attempt.words is None or attempt.matches < need:
            raise SystemExit(f"{name}, {wrong:.0%} wrong, case {case}: the state is not found")
    work = f"{name}, {NOISY_DRAWS} draws mod {MODULUS}, {wrong:.0%} wrong"
    return {"work": work, "median": statistics.median(took), "most": max(took)}


if __name__ == "__main__":
    main()
