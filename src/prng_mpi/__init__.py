"""Which generator, seed, skip and offset produced a draw history, or how sure it is that none did.

prng_mpi.open_results("results/RUN") reads what a run found into NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from prng_mpi.store import Results

__version__ = "0.1.0"


def open_results(path: Path | str) -> Results:
    """Read the results.h5 of a run, given as that file or as its folder, into NumPy arrays: survivors, chunks, ranks,
    histogram, paths, attributes; `.frame(table)` gives a pandas.DataFrame where pandas is installed.

    Raises:
        UsageError: no such file.
        IntegrityError: not such a file, damaged, or its payload_hash does not hold.
    """
    # Whoever imports prng_mpi for its version shall not wait for NumPy.
    from prng_mpi import store

    return store.open_results(path)
