"""`FenchelClassifier`: a lifted network with softmax cross-entropy, as a River classifier."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import polars as pl
from river import base
from river.utils import dataframe

from fenchel_stream.errors import DataError
from fenchel_stream.estimators.base import FenchelEstimator, label_list
from fenchel_stream.estimators.exclusive import exclusive
from fenchel_stream.network.arrays import Array
from fenchel_stream.network.losses import softmax
from fenchel_stream.preprocessing.frames import into_frame
from fenchel_stream.values import class_names, is_missing, to_text


class FenchelClassifier(FenchelEstimator, base.MiniBatchClassifier):
    """Neural network for two or more classes that learns by exact proximal steps, not gradients.

    It needs no learning rate. Features are standardised online. Features and classes may appear at
    any time. Several threads may use one model: a lock lets one call at a time read or change it.

    Parameters
    ----------
    hidden
        Number of units of each hidden layer; ``()`` is a linear model.
    activation
        relu, leaky_relu, tanh, sigmoid, softplus, elu or identity.
    lam
        Lambda: weight of the Fenchel divergence between layers. ``auto`` is 0.01 in the
        top-down order, and 0.1 in the paper's order.
    gamma
        Weight of the old weights, counted in samples; one number or one per layer. A larger gamma
        is more stable, a smaller one follows a change faster. With ``auto``, gamma is tuned while
        the model learns (see `GammaMixture`).
    rho
        Weight decay.
    alternations
        Passes over the blocks of variables per batch: K in the paper.
    order
        ``top_down`` or ``paper`` (see `Problem.of`), or ``auto``. If order and gamma are
        ``auto``, one network learns in each order, and they predict together (see `Ensemble`).
    scale
        Standardise features online and clip them at ten standard deviations; False takes them as
        they are.
    batch_size
        Number of rows that `learn_one` gathers before it learns them as one batch. With 1, it
        learns each row at once. `learn_many` always learns its rows at once, as one batch.
    device
        ``cpu``, or a torch device such as ``cuda``.
    dtype
        ``float32`` or ``float64``.
    seed
        Seed of the initial weights.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics
    >>> from fenchel_stream import FenchelClassifier
    >>> model = FenchelClassifier()
    >>> evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    Accuracy: 89.27%
    """

    _loss = "cross_entropy"

    def _begin(self) -> None:
        self.classes: dict[base.typing.ClfTarget, int] = {}

    @property
    def _multiclass(self) -> bool:
        return True

    @exclusive
    def learn_one(self, x: Mapping[Any, Any], y: base.typing.ClfTarget) -> None:
        """Learn one row: at once, or together with others when `batch_size` rows have gathered.

        Raises
        ------
        DataError
            A feature is not a number or is infinite, or the label is missing.
        """
        self._learn_one(x, _label(y))

    @exclusive
    def learn_many(self, X: Any, y: Any) -> None:
        """Learn a frame of features and a series of labels as one batch.

        Raises
        ------
        DataError
            A column is not numeric or holds infinite values, or a label is missing.
        """
        self._learn_many(X, _labels(label_list(y)))

    @exclusive
    def predict_proba_one(
        self, x: Mapping[Any, Any], **kwargs: Any
    ) -> dict[base.typing.ClfTarget, float]:
        """Return the probability of each class learnt so far."""
        if not self.classes:
            return {}
        probabilities = softmax(self._outputs_one(x).astype(np.float64))
        return dict(zip(self.classes, probabilities[0].tolist(), strict=True))

    @exclusive
    def predict_one(self, x: Mapping[Any, Any], **kwargs: Any) -> base.typing.ClfTarget | None:
        """Return the most probable class; None before the first label."""
        if not self.classes:
            return None
        return list(self.classes)[int(self._outputs_one(x).argmax())]

    @exclusive
    def predict_proba_many(self, X: Any) -> Any:
        """Return a frame of probabilities, one column per class, in the library of `X`.

        The columns are in the order of `classes`. Frames of pandas have the classes themselves as
        names, all others the names that `class_names` gives them.
        """
        frame = into_frame(X)
        if not self.classes:
            return dataframe.to_native_frame({}, like=frame)
        probabilities = softmax(self._outputs_many(X).astype(np.float64))
        pandas = frame.implementation.is_pandas_like()
        names = list(self.classes) if pandas else class_names(self.classes)
        columns = zip(names, probabilities.T, strict=True)
        return dataframe.to_native_frame(dict(columns), like=frame)

    @exclusive
    def predict_many(self, X: Any) -> Any:
        """Return a series of the most probable classes, in the library of `X`.

        A series of pyarrow cannot hold classes of several types: it holds their names, which are
        those of the columns of `predict_proba_many`.
        """
        frame = into_frame(X)
        if not self.classes:
            return dataframe.to_native_series([None] * len(frame), name=None, like=frame)
        classes: list[Any] = list(self.classes)
        places = self._outputs_many(X).argmax(axis=1).tolist()
        mixed = not _fits_column(classes)
        if mixed and frame.implementation.is_pyarrow():
            classes = class_names(classes)
        labels = [classes[place] for place in places]
        if mixed and frame.implementation.is_polars():
            return pl.Series(labels, dtype=pl.Object)
        return dataframe.to_native_series(labels, name=None, like=frame)

    def _n_outputs(self) -> int:
        count = len(self.classes)
        return count if list(self.classes.values()) == list(range(count)) else -1

    def _targets(self, y: list[Any]) -> Array:
        new = [label for label in dict.fromkeys(y) if label not in self.classes]
        if new:
            for label in new:
                self.classes[label] = len(self.classes)
            self.ensemble.grow_outputs(len(new))
        count = len(self.classes)
        targets = np.zeros((len(y), count), self.dtype)
        targets.put([row * count + self.classes[label] for row, label in enumerate(y)], 1.0)
        return targets


def _labels(y: list[Any]) -> list[Any]:
    try:
        distinct = dict.fromkeys(y)
    except TypeError:
        return [_label(label) for label in y]  # Raises an error that names the label.
    clean = {label: _label(label) for label in distinct}
    return [clean[label] for label in y]


def _fits_column(classes: list[Any]) -> bool:
    """Return whether a column of any library can hold these classes as they are."""
    types = set(map(type, classes))
    if types == {int}:
        return all(-(2**63) <= label < 2**63 for label in classes)
    return len(types) == 1 and types <= {bool, float, str, dt.date}


def _label(y: Any) -> Any:
    if is_missing(y):
        raise DataError("a label is missing; rows without a label cannot be learnt")
    if isinstance(y, np.generic):
        y = y.item()
    if isinstance(y, str) and to_text(y) != y:
        raise DataError(f"label {y!r} cannot be a class: it holds half a surrogate pair")
    if not isinstance(y, Hashable):
        raise DataError(f"label {y!r} cannot be a class: it is not hashable")
    return y
