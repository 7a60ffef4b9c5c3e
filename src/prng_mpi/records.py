"""Floor 0: the records that travel unchanged between kernel, MPI and HDF5 (little endian, no hidden padding)."""

from __future__ import annotations

import numpy as np

# One surviving seed as a kernel writes it; `struct hit` in kernels/sieve.h.
HIT = np.dtype([("seed", "<u8"), ("skip", "<u4"), ("offset", "<u4"), ("window_start", "<u4"), ("matches", "<u4")])

# One surviving seed as a result file holds it: the hit, how many draws it was held against, what chance
# says of it, and whether the CPU device found the same.
SURVIVOR = np.dtype(
    [
        *((name, HIT[name].str) for name in HIT.names or ()),
        ("draws", "<u4"),
        ("log10_p1", "<f8"),
        ("log10_E", "<f8"),
        ("verified", "u1"),
    ]
)

# One moment at which survivors are scored: features see draws [used_start, used_end) of the history only, labels count hits
# among draws [label_start, label_end), which come after those and after all that earlier steps have seen.
CUT = np.dtype([("used_start", "<u8"), ("used_end", "<u8"), ("label_start", "<u8"), ("label_end", "<u8")])
