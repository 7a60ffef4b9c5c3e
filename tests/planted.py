"""A history with a true seed in it: draws of a real java.util.Random, some of them replaced by noise."""

from __future__ import annotations

import json

import numpy as np

from support import TOP, uniform

_STORED = json.loads((TOP / "tests" / "vectors" / "histories" / "java.nextInt.json").read_text())
DRAWS: list[int] = _STORED["draws"]
SEED, SKIP, MODULUS = int(_STORED["seed"]), int(_STORED["skip"]), int(_STORED["modulus"])


def noisy(count: int = len(DRAWS), noise: float = 0.3, seed: int = 0) -> list[int]:
    """The first `count` draws, each replaced by one of chance with probability `noise`."""
    replaced = np.random.Generator(np.random.PCG64([seed, count])).random(count) < noise
    return [
        chance if r else draw for r, draw, chance in zip(replaced, DRAWS, uniform(seed, count, MODULUS), strict=False)
    ]
