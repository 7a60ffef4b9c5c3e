"""Floor 0: what is known of a device before it was measured: weight, start-up delay, environment. Only a start."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Profile:
    """weight: speed relative to an RX 6600; delay: seconds between the device starts of one host; outputs_per_second: a
    rough rate for a plan before anything is measured; environment: set before the GPU library is imported."""

    kind: str
    match: str
    weight: float
    delay: float
    outputs_per_second: float
    environment: dict[str, str] = field(default_factory=dict)


# HSA_OVERRIDE_GFX_VERSION: RX 6600 is gfx1032, which ROCm runs as gfx1030. HSA_ENABLE_SDMA=0: cards on x1 risers freeze
# in the copy engine. The allocator's setting is for torch, where one follows in the same process.
_ROCM = {
    "HSA_OVERRIDE_GFX_VERSION": "10.3.0",
    "HSA_ENABLE_SDMA": "0",
    "ROCM_PATH": "/opt/rocm",
    "HIP_PATH": "/opt/rocm",
    "PYTORCH_HIP_ALLOC_CONF": "garbage_collection_threshold:0.6,max_split_size_mb:128",
}

# The first whose kind is right and whose `match` is part of the device's name. Weights of the reference cluster: 6 : 1
# in its documents, 2.8 : 1 as measured later; the farm corrects either within seconds.
PROFILES = (
    Profile("cuda", "RTX 3080 Ti", 6.0, 3.0, 2e10),
    Profile("cuda", "H200", 18.0, 0.5, 1e11),
    Profile("cuda", "", 4.0, 3.0, 1e10),
    Profile("rocm", "RX 6600", 1.0, 0.5, 4e9, _ROCM),
    Profile("rocm", "", 1.0, 0.5, 4e9, _ROCM),
    Profile("cpu", "", 0.1, 0.0, 2e8),
    Profile("emulated", "", 0.005, 0.0, 2e7),
)


# What weight 1 is in outputs/s.
BASE = 4e9


def weight(kind: str, name: str, measured: dict[str, float]) -> float:
    """A device's speed relative to an RX 6600: as `measured` (outputs/s by device name) says, else as its profile does."""
    return measured[name] / BASE if name in measured else profile(kind, name).weight


def profile(kind: str, name: str = "") -> Profile:
    """The profile of a device of that kind and name."""
    return next(p for p in PROFILES if p.kind == kind and p.match in name)
