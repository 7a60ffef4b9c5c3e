"""Floor 1: the study of an optimiser, what to try next after what was tried. It alone owns Optuna, and root alone loads it.

A study repeats: each value depends on the study's seed, the trial's number, the parameter's name, and the trials told before.
The journal is for people and optuna-dashboard; the record of truth is the caller's, who asks and tells again after a
kill. So a torn last line, a stale lock or a trial left running can't matter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from prng_mpi.errors import UsageError

P = TypeVar("P")


def version() -> str:
    """Optuna's version, on which a study's choices depend. Raises UsageError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError(f"this step needs Optuna ({error}): pip install 'prng-mpi[models]'") from error
    return str(optuna.__version__)


# One trial of so many stays random, to look where no other has.
EXPLORE = 4


class Study:
    """Maximises. Trials are random until one has told more than `teaches`, then a tree-structured Parzen estimator chooses:
    of values that mean nothing it would take the first for the best, and stay there."""

    def __init__(self, journal: Path, name: str, seed: int, teaches: float) -> None:
        """journal: a file on this host's disk, written anew. The caller holds its folder."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        for old in (journal, journal.with_name(journal.name + ".lock")):
            old.unlink(missing_ok=True)
        self._teaches, self._taught = teaches, False
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=name, direction="maximize", sampler=_sampler(seed, lambda: self._taught),
        )  # fmt: skip
        self._asked: dict[int, Any] = {}

    def ask(self, space: Callable[[int, Any], P]) -> P:
        """The next trial as `space` makes it of its number and the suggestions of an optuna Trial."""
        trial = self._study.ask()
        self._asked[trial.number] = trial
        return space(trial.number, trial)

    def tell(self, number: int, value: float) -> None:
        """What came of a trial. Tell trials in one order, always the same, or the study does not repeat."""
        self._study.tell(self._asked.pop(number), value)
        self._taught |= value > self._teaches


def _sampler(seed: int, taught: Callable[[], bool]) -> Any:
    """A sampler without a state of its own: a fresh one for each value."""
    import optuna

    class Repeatable(optuna.samplers.BaseSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            digest = hashlib.sha256(f"{seed} {trial.number} {param_name}".encode()).digest()
            own = int.from_bytes(digest[:4], "little")
            one: Any = optuna.samplers.RandomSampler(own)
            if taught() and trial.number % EXPLORE:
                one = optuna.samplers.TPESampler(seed=own, n_startup_trials=1)
            return one.sample_independent(study, trial, param_name, param_distribution)

    return Repeatable()
