"""Which generator, seed, skip and offset produced a draw history, or how sure it is that none did."""

__version__ = "0.1.0"
