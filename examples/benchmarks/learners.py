"""What the suite asks of a model, and the models that are no River estimators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from river import base

from examples.benchmarks.gradient import Matrix, Networks, Recipe
from fenchel_stream.evaluation.batch_model import BatchModel
from fenchel_stream.preprocessing import OneHot
from fenchel_stream.preprocessing.moments import Moments
from fenchel_stream.preprocessing.scaling import FeatureScaler

HIDDEN = 64


@dataclass(frozen=True)
class Task:
    """What a model may know of a stream beforehand.

    Attributes
    ----------
    inputs
        Number of features once all categories have a column.
    classes
        In order; empty for regression.
    """

    classifies: bool
    categories: tuple[str, ...]
    inputs: int
    classes: tuple[Any, ...]
    seed: int


@dataclass(frozen=True)
class Part:
    """Rows that are predicted, then learnt together: as they are and as numbers."""

    features: pl.DataFrame
    rows: list[dict[str, Any]]
    matrix: Matrix
    targets: list[Any]


class Learner(Protocol):
    """A model, or several that differ in one setting and learn side by side."""

    def predict(self, part: Part) -> list[list[Any]]:
        """Return the predictions of each setting; None where there is nothing to say yet."""
        ...

    def learn(self, part: Part) -> None:
        """Learn rows with their targets."""
        ...


def matrix(features: pl.DataFrame, categories: tuple[str, ...]) -> Matrix:
    """Return `features` as numbers, with a column for each category that there is."""
    encoder = OneHot(categories)
    encoder.learn_many(features)
    encoded = encoder.transform_many(features) if categories else features
    return np.asarray(encoded.cast(pl.Float64).to_numpy())


class RiverLearner:
    """A River estimator, row by row or in batches."""

    def __init__(self, model: base.Estimator, *, batches: bool) -> None:
        self.model: Any = model
        self.batch_model = BatchModel(model) if batches else None

    def predict(self, part: Part) -> list[list[Any]]:
        """See `Learner`."""
        if self.batch_model:
            return [self.batch_model.predict(part.features).labels]
        return [[self.model.predict_one(row) for row in part.rows]]

    def learn(self, part: Part) -> None:
        """See `Learner`."""
        if self.batch_model:
            self.batch_model.learn(part.features, pl.Series(part.targets))
            return
        for row, target in zip(part.rows, part.targets, strict=True):
            self.model.learn_one(row, target)


class Scaled:
    """Features in standard units, as our estimators scale them; targets as numbers."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.numbers = {label: i for i, label in enumerate(task.classes)}
        self.scaler = FeatureScaler()
        self.scaler.grow(task.inputs)
        self.moments = Moments()
        self.moments.grow(1)

    def learn(self, part: Part) -> tuple[Matrix, NDArray[np.generic]]:
        """Take in the rows, and return them scaled."""
        self.scaler.update(part.matrix)
        x = self.scaler.scale(part.matrix)
        if self.task.classifies:
            return x, np.array([self.numbers[label] for label in part.targets])
        targets = np.array(part.targets, np.float64)
        self.moments.update(targets[:, None])
        return x, (targets - self.moments.mean) / (self.moments.deviation + 1e-12)

    def labels(self, outputs: Matrix) -> list[Any]:
        """Return what outputs (rows x outputs) mean."""
        if self.task.classifies:
            return [self.task.classes[i] for i in outputs.argmax(axis=1)]
        unscaled = outputs[:, 0] * self.moments.deviation + self.moments.mean
        return list(unscaled.tolist())


class GradientLearner:
    """The networks of one grid of rates."""

    def __init__(self, task: Task, recipe: Recipe) -> None:
        outputs = len(task.classes) or 1
        self.scaled = Scaled(task)
        self.networks = Networks(
            (task.inputs, HIDDEN, outputs), recipe, classifies=task.classifies, seed=task.seed
        )

    def predict(self, part: Part) -> list[list[Any]]:
        """See `Learner`."""
        outputs = self.networks.outputs(self.scaled.scaler.scale(part.matrix))
        return [self.scaled.labels(of_one) for of_one in outputs]

    def learn(self, part: Part) -> None:
        """See `Learner`."""
        self.networks.learn(*self.scaled.learn(part))


class SklearnLearner:
    """scikit-learn's perceptron with its default optimizer, Adam at 0.001, by `partial_fit`."""

    def __init__(self, task: Task) -> None:
        from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: PLC0415

        kind = MLPClassifier if task.classifies else MLPRegressor
        self.scaled = Scaled(task)
        self.model = kind(hidden_layer_sizes=(HIDDEN,), random_state=task.seed)
        self.known = {"classes": range(len(task.classes))} if task.classifies else {}
        self.ready = False

    def predict(self, part: Part) -> list[list[Any]]:
        """See `Learner`."""
        if not self.ready:
            return [[None] * len(part.targets)]
        said = self.model.predict(self.scaled.scaler.scale(part.matrix))
        if self.scaled.task.classifies:
            return [[self.scaled.task.classes[i] for i in said]]
        return [self.scaled.labels(said[:, None])]

    def learn(self, part: Part) -> None:
        """See `Learner`."""
        self.model.partial_fit(*self.scaled.learn(part), **({} if self.ready else self.known))
        self.ready = True


class VowpalWabbitLearner:
    """Vowpal Wabbit's linear learner with its defaults, one against all for classes."""

    def __init__(self, task: Task) -> None:
        from vowpalwabbit import Workspace  # noqa: PLC0415

        self.task = task
        kind = f"--oaa {len(task.classes)}" if task.classifies else ""
        self.workspace = Workspace(f"--quiet --random_seed {task.seed} {kind}")
        self.numbers = {label: i + 1 for i, label in enumerate(task.classes)}

    def predict(self, part: Part) -> list[list[Any]]:
        """See `Learner`."""
        said = [self.workspace.predict(self._text(row)) for row in part.rows]
        return [[self.task.classes[n - 1] for n in said] if self.task.classifies else said]

    def learn(self, part: Part) -> None:
        """See `Learner`."""
        for row, target in zip(part.rows, part.targets, strict=True):
            label = self.numbers[target] if self.task.classifies else target
            self.workspace.learn(f"{label} {self._text(row)}")

    def _text(self, row: Mapping[str, Any]) -> str:
        # A category is a feature of its own, of value 1.
        return "| " + " ".join(
            f"{name}={value}" if name in self.task.categories else f"{name}:{value}"
            for name, value in row.items()
        )
