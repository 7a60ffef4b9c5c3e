"""Fixtures of more than one test file."""

from __future__ import annotations

from typing import Any

import pytest

from kernel_cases import gpu_kind
from support import SEEDS, Ended, run_sieve, small, survivors

GPU = gpu_kind()


@pytest.fixture(
    scope="session",
    params=["cpu", "reference", "emulated", *([pytest.param(GPU, marks=pytest.mark.gpu)] if GPU else [])],
)
def device_kind(request: pytest.FixtureRequest) -> str:
    """Every kind of device that this host has: three builds for its processor, and its GPU."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Any]:
    """How the small search ends on one rank where nothing disturbs it, and its survivors."""
    folder = tmp_path_factory.mktemp("calm")
    ended = run_sieve(small(folder, "run"))
    assert (ended.code, ended.summary["seeds_done"]) == (1, SEEDS)
    assert ended.summary["survivors"] > 1000
    return ended, survivors(folder / "run")
