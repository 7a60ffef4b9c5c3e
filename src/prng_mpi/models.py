"""Floor 1: the models that learn, each behind the same few words. It alone owns torch, lightgbm, xgboost and catboost.

    python -m prng_mpi.models REQUEST.json

fits one model in this process, which is fresh and sees one GPU or none; no rank imports a library of these. All of them minimise
the same loss, the binomial likelihood of the hits (cross-entropy of shares, weighted by draws), so that probabilities come out
and a leaf's or a batch's weight is counted in draws."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi import learning
from prng_mpi.errors import DeviceError, PrngError, UsageError
from prng_mpi.learning import Counts, Floats

Matrix = npt.NDArray[np.float32]
Params = Mapping[str, float]

# Most trees of an ensemble, and of rounds without a gain after which fitting ends, the share of the most.
TREES = 400
PATIENCE = 0.1
# Bins of a feature that trees tell apart, as many as all of them can on any device; of these at each end for one value each, since
# the few survivors that matter stand there.
BINS, ENDS = 254, 16
# A leaf moves a logit by at most so much: where hits are rare, a whole Newton step leads far past the answer.
STEP = 3.0
# Where the bins of an ensemble lie, beside its own file.
BINS_SUFFIX = ".bins.npy"
BATCH = 1024


@dataclass(frozen=True, eq=False)
class Rows:
    """features '<f4' (n, F), hits u4 (n,) of so many draws f8 (n,)."""

    features: Matrix
    hits: Counts
    draws: Floats

    @property
    def share(self) -> Floats:
        """Shares of hits (n,)."""
        return np.asarray(self.hits / self.draws, np.float64)

    @property
    def base(self) -> float:
        """The share of all together: what predicts the mean."""
        return float(self.hits.sum() / self.draws.sum())


class Learner(ABC):
    """A model that is fitted once. threads: of the CPU; kind: of the device that this process sees, 'cpu', 'cuda' or 'rocm'."""

    library: str
    suffix: str

    def __init__(self, threads: int, kind: str) -> None:
        self.threads, self.kind = threads, kind

    @property
    def device(self) -> str:
        """Where it is fitted."""
        return "cpu"

    @abstractmethod
    def fit(self, rows: Rows, judge: Rows | None, params: Params, rounds: int, seed: int) -> int:
        """Fit at most `rounds` trees or epochs, with `judge` until it no longer gains on those; how many were best."""

    @abstractmethod
    def seen(self, features: Matrix) -> Matrix:
        """Features as the fitted model sees them, each column by itself: '<f4' (n, F)."""

    @abstractmethod
    def predict_seen(self, seen: Matrix) -> Floats:
        """The probability of a hit, (n,)."""

    def predict(self, features: Matrix) -> Floats:
        """The probability of a hit, (n,)."""
        return self.predict_seen(self.seen(features))

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the fitted model."""

    @abstractmethod
    def load(self, path: Path) -> None:
        """Become the model of a file."""


def _patience(rounds: int) -> int:
    return max(5, round(PATIENCE * rounds))


def _sigmoid(logits: npt.ArrayLike) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.asarray(logits, np.float64))))


class Network(Learner):
    """A torch network: Linear, ReLU and Dropout by `depth`, then one logit. Standardised features go through asinh, so that a
    true seed, a hundred deviations out, is far away and not beyond all bounds."""

    library, suffix = "torch", ".pt"

    @property
    def device(self) -> str:
        # torch calls both vendors' GPUs by this name.
        return "cpu" if self.kind == "cpu" else "cuda"

    def _build(self, inputs: int, params: Params) -> Any:
        import torch
        from torch import nn

        torch.set_num_threads(self.threads)
        if self.device == "cuda" and not torch.cuda.is_available():
            raise DeviceError(
                f"torch {torch.__version__} sees no {self.kind} GPU; install its build for it, or give --device cpu"
            )
        layers: list[Any] = []
        width = inputs
        for _ in range(int(params["depth"])):
            layers += [nn.Linear(width, int(params["width"])), nn.ReLU(), nn.Dropout(params["dropout"])]
            width = int(params["width"])
        return nn.Sequential(*layers, nn.Linear(width, 1)).to(self.device)

    def seen(self, features: Matrix) -> Matrix:
        return np.asarray(np.arcsinh((features - self._mean) / self._spread), np.float32)

    def _there(self, features: Matrix) -> Any:
        import torch

        return torch.from_numpy(self.seen(features)).to(self.device)

    def fit(self, rows: Rows, judge: Rows | None, params: Params, rounds: int, seed: int) -> int:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        torch.manual_seed(seed)
        spread = rows.features.std(axis=0)
        self._mean, self._spread = rows.features.mean(axis=0), np.where(spread > 0, spread, 1).astype(np.float32)
        self._params = {name: float(params[name]) for name in ("width", "depth", "dropout")}
        self._net = net = self._build(rows.features.shape[1], params)
        base = float(learning.sure(rows.base))
        with torch.no_grad():
            net[-1].weight.zero_()
            net[-1].bias.fill_(float(np.log(base / (1 - base))))
        optimiser = torch.optim.AdamW(net.parameters(), lr=params["rate"], weight_decay=params["decay"])
        x, y, w = self._there(rows.features), *self._labels(rows)
        checked = (self._there(judge.features), *self._labels(judge)) if judge else None
        best, lowest, kept = rounds, np.inf, None
        for epoch in range(1, rounds + 1):
            net.train()
            order = torch.randperm(len(x), device=x.device)
            for chosen in (order[at : at + BATCH] for at in range(0, len(x), BATCH)):
                optimiser.zero_grad(set_to_none=True)
                loss: Any = cross_entropy(net(x[chosen])[:, 0], y[chosen], w[chosen])
                loss.backward()
                optimiser.step()
            if checked is None:
                continue
            net.eval()
            with torch.no_grad():
                now = float(cross_entropy(net(checked[0])[:, 0], checked[1], checked[2]))
            if now < lowest:
                best, lowest, kept = epoch, now, {name: value.clone() for name, value in net.state_dict().items()}
            elif epoch - best >= _patience(rounds):
                break
        if kept:
            net.load_state_dict(kept)
        return best

    def _labels(self, rows: Rows) -> tuple[Any, Any]:
        """Shares, and weights of mean 1."""
        import torch

        weight = rows.draws / rows.draws.mean()
        return tuple(torch.from_numpy(each.astype(np.float32)).to(self.device) for each in (rows.share, weight))  # type: ignore[return-value]

    def predict_seen(self, seen: Matrix) -> Floats:
        import torch

        self._net.eval()
        with torch.no_grad():
            return _sigmoid(self._net(torch.from_numpy(seen).to(self.device))[:, 0].cpu().numpy())

    def save(self, path: Path) -> None:
        import torch

        scale = {"mean": torch.from_numpy(self._mean), "spread": torch.from_numpy(self._spread)}
        torch.save({"params": self._params, "state": self._net.state_dict(), **scale}, path)

    def load(self, path: Path) -> None:
        import torch

        kept = torch.load(path, map_location=self.device, weights_only=True)
        self._mean, self._spread, self._params = kept["mean"].numpy(), kept["spread"].numpy(), kept["params"]
        self._net = self._build(len(self._mean), self._params)
        self._net.load_state_dict(kept["state"])


class Trees(Learner):
    """An ensemble of trees over bins. Libraries put a split at a value of the training rows, so that a true seed which is a little
    weaker in the next cut falls to the wrong side; here it lies half way to the next bin, the same for all of them."""

    _edges: Floats

    def fit(self, rows: Rows, judge: Rows | None, params: Params, rounds: int, seed: int) -> int:
        self._edges = edges(rows.features)
        held = replace(judge, features=self.seen(judge.features)) if judge else None
        return self._fit(replace(rows, features=self.seen(rows.features)), held, params, rounds, seed)

    def seen(self, features: Matrix) -> Matrix:
        """The number of each value's bin."""
        columns = [np.searchsorted(each, values) for each, values in zip(self._edges, features.T, strict=True)]
        return np.stack(columns, axis=1).astype(np.float32)

    def save(self, path: Path) -> None:
        """In the library's own format, and the bins beside it."""
        np.save(path.with_suffix(BINS_SUFFIX), self._edges)
        self._save(path)

    def load(self, path: Path) -> None:
        self._edges = np.load(path.with_suffix(BINS_SUFFIX))
        self._load(path)

    @abstractmethod
    def _fit(self, rows: Rows, judge: Rows | None, params: Params, rounds: int, seed: int) -> int: ...

    @abstractmethod
    def _save(self, path: Path) -> None: ...

    @abstractmethod
    def _load(self, path: Path) -> None: ...


def edges(features: Matrix) -> Floats:
    """Edges of at most BINS bins for each column of (n, F), ascending, half way between values; what is not needed is infinite:
    (F, BINS - 1)."""
    found = np.full((features.shape[1], BINS - 1), np.inf)
    for column, values in zip(found, features.T, strict=True):
        kept = np.unique(values.astype(np.float64))
        if len(kept) > BINS:
            places = np.linspace(0, len(values) - 1, BINS - 2 * ENDS).round().astype(np.int64)
            kept = np.unique(np.concatenate([kept[:ENDS], np.sort(values)[places], kept[-ENDS:]]))
        column[: len(kept) - 1] = (kept[1:] + kept[:-1]) / 2
    return found


class LightGbm(Trees):
    """LightGBM; on the CPU, as its wheels have no CUDA or ROCm."""

    library, suffix = "lightgbm", ".txt"

    def _fit(self, rows: Rows, judge: Rows | None, params: Params, rounds: int, seed: int) -> int:
        import lightgbm

        # One value may be a bin, and one row a leaf: `leaf` is the weight that it needs.
        fixed = {
            "objective": "cross_entropy", "metric": "cross_entropy", "max_bin": BINS + 1, "min_data_in_bin": 1, "min_data_in_leaf": 1,
            "max_delta_step": STEP, "num_threads": self.threads, "seed": seed, "deterministic": True, "force_row_wise": True,
            "verbosity": -1,
        }  # fmt: skip
        chosen = {
            "learning_rate": params["rate"], "max_depth": int(params["depth"]), "num_leaves": 2 ** int(params["depth"]),
            "min_sum_hessian_in_leaf": params["leaf"], "lambda_l2": params["l2"], "feature_fraction": params["columns"],
        }  # fmt: skip
        data = lightgbm.Dataset(rows.features, rows.share, weight=rows.draws)
        checked = [data.create_valid(judge.features, judge.share, weight=judge.draws)] if judge else []
        stop: list[Any] = [lightgbm.early_stopping(_patience(rounds), verbose=False)] if judge else []
        self._booster = lightgbm.train({**fixed, **chosen}, data, rounds, valid_sets=checked, callbacks=stop)
        return int(self._booster.best_iteration) if judge else rounds

    def predict_seen(self, seen: Matrix) -> Floats:
        return np.asarray(self._booster.predict(seen, num_threads=self.threads), np.float64)

    def _save(self, path: Path) -> None:
        self._booster.save_model(str(path))

    def _load(self, path: Path) -> None:
        import lightgbm

        self._booster = lightgbm.Booster(model_file=str(path))


class XgBoost(Trees):
    """XGBoost."""

    library, suffix = "xgboost", ".json"

    @property
    def device(self) -> str:
        return "cuda" if self.kind == "cuda" else "cpu"

    def _fit(self, rows: Rows, judge: Rows | None, params: Params, rounds: int, seed: int) -> int:
        import xgboost

        if self.device == "cuda" and not xgboost.build_info().get("USE_CUDA"):
            raise DeviceError(
                "this xgboost is built for CPUs only; pip install xgboost in place of xgboost-cpu, or give --device cpu"
            )
        fixed = {
            "objective": "reg:logistic", "eval_metric": "logloss", "tree_method": "hist", "max_bin": BINS + 1, "max_delta_step": STEP,
            "base_score": float(learning.sure(rows.base)), "nthread": self.threads, "device": self.device, "seed": seed,
        }  # fmt: skip
        chosen = {
            "eta": params["rate"], "max_depth": int(params["depth"]), "min_child_weight": params["leaf"],
            "lambda": params["l2"], "colsample_bytree": params["columns"],
        }  # fmt: skip
        data = xgboost.DMatrix(rows.features, rows.share, weight=rows.draws, nthread=self.threads)
        checked, stop = [], None
        if judge:
            checked = [
                (xgboost.DMatrix(judge.features, judge.share, weight=judge.draws, nthread=self.threads), "judge")
            ]
            stop = _patience(rounds)
        self._booster = xgboost.train(
            {**fixed, **chosen}, data, rounds, evals=checked, early_stopping_rounds=stop, verbose_eval=False
        )
        if judge:
            self._booster = self._booster[: self._booster.best_iteration + 1]
        return int(self._booster.num_boosted_rounds())

    def predict_seen(self, seen: Matrix) -> Floats:
        import xgboost

        return np.asarray(self._booster.predict(xgboost.DMatrix(seen, nthread=self.threads)), np.float64)

    def _save(self, path: Path) -> None:
        self._booster.save_model(str(path))

    def _load(self, path: Path) -> None:
        import xgboost

        self._booster = xgboost.Booster(model_file=str(path))


class CatBoost(Trees):
    """CatBoost: symmetric trees."""

    library, suffix = "catboost", ".cbm"

    @property
    def device(self) -> str:
        return "cuda" if self.kind == "cuda" else "cpu"

    def _fit(self, rows: Rows, judge: Rows | None, params: Params, rounds: int, seed: int) -> int:
        import catboost

        fixed: dict[str, Any] = {
            "loss_function": "CrossEntropy", "boost_from_average": True, "thread_count": self.threads, "random_seed": seed,
            "border_count": BINS, "allow_writing_files": False, "logging_level": "Silent", "iterations": rounds,
        }  # fmt: skip
        chosen = {"learning_rate": params["rate"], "depth": int(params["depth"]), "l2_leaf_reg": params["l2"]}
        # On a GPU it takes all columns for such a loss.
        fixed |= {"task_type": "GPU", "devices": "0"} if self.device == "cuda" else {"rsm": params["columns"]}
        checked = catboost.Pool(judge.features, judge.share, weight=judge.draws) if judge else None
        self._model = catboost.CatBoost({**fixed, **chosen})
        self._model.fit(
            catboost.Pool(rows.features, rows.share, weight=rows.draws), eval_set=checked,
            early_stopping_rounds=_patience(rounds) if judge else None,
        )  # fmt: skip
        return int(self._model.tree_count_)

    def predict_seen(self, seen: Matrix) -> Floats:
        return _sigmoid(self._model.predict(seen, prediction_type="RawFormulaVal", thread_count=self.threads))

    def _save(self, path: Path) -> None:
        self._model.save_model(str(path))

    def _load(self, path: Path) -> None:
        import catboost

        self._model = catboost.CatBoost()
        self._model.load_model(str(path))


LEARNERS: dict[str, type[Learner]] = {
    "neural_net": Network, "lightgbm": LightGbm, "xgboost": XgBoost, "catboost": CatBoost,
}  # fmt: skip


def missing(name: str) -> str:
    """Why a model can't be fitted in this environment; empty if it can. Imports nothing."""
    library = LEARNERS[name].library
    return "" if importlib.util.find_spec(library) else f"{name} needs {library}: pip install 'prng-mpi[models]'"


def version(name: str) -> str:
    """The version of a model's library, which is installed. Imports nothing."""
    # A library may come in one of several packages.
    package = importlib.metadata.packages_distributions()[LEARNERS[name].library][0]
    return importlib.metadata.version(package)


def suggest(name: str, trial: Any, width: int, depth: int) -> dict[str, float]:
    """Parameters of a model from the suggestions of an optuna Trial; each model has its own. width, depth: of the network that was
    planned: half as wide to twice, and up to that deep."""

    def real(what: str, low: float, high: float, log: bool = False) -> float:
        return float(trial.suggest_float(f"{name} {what}", low, high, log=log))

    def whole(what: str, low: int, high: int) -> float:
        return float(trial.suggest_int(f"{name} {what}", low, high))

    if name == "neural_net":
        return {
            "width": max(1.0, float(width * 2 ** whole("width", -1, 1) // 1)), "depth": whole("depth", 1, depth), "dropout": real("dropout", 0.0, 0.3),
            "rate": real("rate", 1e-3, 1e-2, log=True), "decay": real("decay", 1e-6, 1e-2, log=True),
        }  # fmt: skip
    found = {
        "rate": real("rate", 0.03, 0.3, log=True), "depth": whole("depth", 2, 8), "l2": real("l2", 0.1, 30.0, log=True),
        "columns": real("columns", 0.4, 1.0),
    }  # fmt: skip
    return found if name == "catboost" else found | {"leaf": real("leaf", 0.1, 10.0, log=True)}


# -- a fit in a process of its own -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """What a process is to fit.

    model: of LEARNERS; params: see `suggest`; rounds: most trees or epochs; fit: cuts whose rows it learns on; judge: the cut
    that it is chosen on; final: None, or the cuts to predict once it has learned on fit and judge together; data: the folder with
    features.npy '<f4' (C, N, F), hits.npy u4 (c, N) and draws.npy f8 (c,) of the first c cuts; folder: where results go."""

    model: str
    params: dict[str, float]
    rounds: int
    fit: tuple[int, ...]
    judge: int
    final: tuple[int, ...] | None
    seed: int
    threads: int
    kind: str
    data: str
    folder: str


def rows_of(data: Path, cuts: tuple[int, ...]) -> Rows:
    """The rows of cuts that have labels, one cut after the other."""
    features = np.load(data / "features.npy", mmap_mode="r")
    hits, draws = np.load(data / "hits.npy"), np.load(data / "draws.npy")
    return Rows(
        np.concatenate([features[cut] for cut in cuts]), np.concatenate([hits[cut] for cut in cuts]),
        np.repeat(draws[list(cuts)], features.shape[1]),
    )  # fmt: skip


def carry_out(request: Request) -> dict[str, Any]:
    """Fit, and say what came of it as plain values; a final fit leaves model, predictions and importance in the folder."""
    learner, data, folder = (
        LEARNERS[request.model](request.threads, request.kind),
        Path(request.data),
        Path(request.folder),
    )
    began = time.perf_counter()
    rows, held = rows_of(data, request.fit), rows_of(data, (request.judge,))
    best = learner.fit(rows, held, request.params, request.rounds, request.seed)
    p = learner.predict(held.features)
    said: dict[str, Any] = {
        "rounds": best, "objective": learning.gain(p, held.hits, held.draws, rows.base),
        "r2": learning.r_squared(p, held.hits, held.draws, rows.base),
        "fit_r2": learning.r_squared(learner.predict(rows.features), rows.hits, rows.draws, rows.base),
        "device": learner.device, "version": version(request.model),
    }  # fmt: skip
    if request.final is not None:
        said["importance"] = _importance(learner, held, rows.base, request.seed)
        learner = LEARNERS[request.model](request.threads, request.kind)
        rows = rows_of(data, (*request.fit, request.judge))
        learner.fit(rows, None, request.params, best, request.seed)
        features = np.load(data / "features.npy", mmap_mode="r")
        predictions = np.stack([learner.predict(np.asarray(features[cut])) for cut in request.final])
        learner.save(folder / f"{request.model}{learner.suffix}")
        np.save(folder / f"{request.model}.npy", predictions)
        names = sorted(path.name for path in folder.glob(f"{request.model}.*"))
        said |= {
            "base": rows.base, "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
            "fit_r2": learning.r_squared(learner.predict(rows.features), rows.hits, rows.draws, rows.base),
        }  # fmt: skip
    return said | {
        "seconds": time.perf_counter() - began, "memory": 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    }  # fmt: skip


def _importance(learner: Learner, held: Rows, base: float, seed: int) -> list[float]:
    """How much of the gain each feature's column (F,) carries: what is lost where the column is shuffled, by rows that the model
    was not fitted on. The same for every model (L. Breiman, Machine Learning 45 (2001) 5)."""
    seen = learner.seen(held.features)
    whole = learning.gain(learner.predict_seen(seen), held.hits, held.draws, base)
    rng, x, lost = np.random.Generator(np.random.PCG64(seed)), seen.copy(), []
    for column in range(x.shape[1]):
        x[:, column] = seen[rng.permutation(len(x)), column]
        lost.append(whole - learning.gain(learner.predict_seen(x), held.hits, held.draws, base))
        x[:, column] = seen[:, column]
    return lost


def main(argv: list[str]) -> int:
    """Carry out the request of a file and leave result.json beside it; the status of the process."""
    content = json.loads(Path(argv[0]).read_text())
    final = content["final"]
    request = Request(**content | {"fit": tuple(content["fit"]), "final": None if final is None else tuple(final)})
    try:
        said = carry_out(request)
    except PrngError as e:
        print(f"prng_mpi: {e}", file=sys.stderr)
        return int(e.exit_code)
    except ImportError as e:
        print(f"prng_mpi: {missing(request.model) or e}", file=sys.stderr)
        return int(UsageError.exit_code)
    Path(request.folder, "result.json").write_text(json.dumps(said))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
