"""Factories of models for configurations of tests: ``factory = "tests.models:logistic"``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from river import base, linear_model, multiclass, optim, preprocessing, tree

from fenchel_stream import FenchelClassifier

NOT_A_FUNCTION = 1


def logistic(rate: float = 0.01) -> base.Estimator:
    """Return a model that learns in mini-batches."""
    return preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(rate))


def hoeffding(grace_period: int = 200, seed: int | None = None) -> base.Estimator:
    """Return a model that learns row by row."""
    return tree.HoeffdingTreeClassifier(grace_period)


def only_pickle(**options: Any) -> base.Estimator:
    """Return a model whose state only pickle can store."""
    known: dict[str, Any] = {"code_size": 4, "coding_method": "exact", "seed": 1}
    return multiclass.OutputCodeClassifier(linear_model.LogisticRegression(), **known | options)


def shape(sizes: tuple[int, ...], names: list[str] | None = None) -> base.Estimator:
    """Return a model if the list of the configuration has become a tuple."""
    if not isinstance(sizes, tuple):
        raise TypeError(f"sizes is a {type(sizes).__name__}")
    return logistic()


def nothing() -> None:
    """Return None, which is no model."""


def slow(folder: str) -> base.Estimator:
    """Return a model that creates a file ``at hand`` at each batch, and waits for a file ``go``."""
    return Slow(folder) | linear_model.LogisticRegression()


class Slow(base.MiniBatchTransformer):
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def learn_many(self, X: Any) -> None:
        folder = Path(self.folder)
        (folder / "at hand").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)

    def transform_many(self, X: Any) -> Any:
        return X

    def transform_one(self, x: dict[Any, Any]) -> dict[Any, Any]:
        return x


def decode_pairs(raw: bytes) -> dict[str, float]:
    """Decode a value like ``a=1``."""
    name, value = raw.decode().split("=")
    return {name: float(value)}


def sluggish(folder: str, seconds: float) -> base.Estimator:
    """Return a model that needs `seconds` for a batch until the folder has a file ``fast``."""
    return Sluggish(folder, seconds) | FenchelClassifier(hidden=(8,))


class Sluggish(base.MiniBatchTransformer):
    def __init__(self, folder: str, seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds

    def learn_many(self, X: Any) -> None:
        if not (Path(self.folder) / "fast").exists():
            time.sleep(self.seconds)

    def transform_many(self, X: Any) -> Any:
        return X

    def transform_one(self, x: dict[Any, Any]) -> dict[Any, Any]:
        return x
