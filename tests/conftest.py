"""Fixtures of more than one test file."""

from __future__ import annotations

import pytest

from kernel_cases import gpu_kind

GPU = gpu_kind()


@pytest.fixture(
    scope="session",
    params=["cpu", "reference", "emulated", *([pytest.param(GPU, marks=pytest.mark.gpu)] if GPU else [])],
)
def device_kind(request: pytest.FixtureRequest) -> str:
    """Every kind of device that this host has: three builds for its processor, and its GPU."""
    kind: str = request.param
    return kind
