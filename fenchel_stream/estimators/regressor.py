"""`FenchelRegressor` and `FenchelMultiTargetRegressor`: lifted networks with squared error."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from river import base
from river.utils import dataframe

from fenchel_stream.errors import DataError
from fenchel_stream.estimators.base import FenchelEstimator, label_list
from fenchel_stream.estimators.exclusive import exclusive
from fenchel_stream.network.arrays import Array
from fenchel_stream.preprocessing.frames import into_frame
from fenchel_stream.preprocessing.scaling import TargetScaler
from fenchel_stream.values import HUGE, is_missing, to_target


class _FenchelRegression(FenchelEstimator):
    """A network with one output per target name, whose targets are scaled online."""

    _loss = "squared_error"

    def _begin(self) -> None:
        self.outputs: list[Hashable] = []
        self.target_scaler = TargetScaler()

    def _n_outputs(self) -> int:
        count = len(set(self.outputs))
        moments = self.target_scaler.moments
        return count if count == len(self.outputs) == len(moments.mean) else -1

    def _targets(self, y: list[dict[Hashable, float]]) -> Array:
        """Return scaled targets, NaN where one is missing."""
        names = dict.fromkeys(name for row in y for name in row)
        self._grow([name for name in names if name not in self.outputs])
        targets = np.array([[row.get(name, np.nan) for name in self.outputs] for row in y])
        self.ensemble.rescale_outputs(*self.target_scaler.update(targets))
        return self.target_scaler.scale(targets)

    def _grow(self, new: list[Hashable]) -> None:
        if new:
            self.outputs.extend(new)
            self.ensemble.grow_outputs(len(new))
            self.target_scaler.grow(len(new))

    def _values_one(self, x: Mapping[Any, Any]) -> list[float]:
        values: list[float] = self.target_scaler.unscale(self._outputs_one(x))[0].tolist()
        return values

    def _values_many(self, X: Any) -> Array:
        return self.target_scaler.unscale(self._outputs_many(X))


class FenchelRegressor(_FenchelRegression, base.MiniBatchRegressor):
    """Neural network for regression that learns by exact proximal steps, not gradients.

    It needs no learning rate. Features and target are standardised online by their running means
    and standard deviations, so that their units do not matter. When the mean or the deviation of
    the target changes, the output weights are rescaled so that every prediction stays the same (see
    `TargetScaler`). Several threads may use one model: a lock lets one call at a time read or
    change it.

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
    >>> from fenchel_stream import FenchelRegressor
    >>> model = FenchelRegressor()
    >>> evaluate.progressive_val_score(datasets.TrumpApproval(), model, metrics.MAE())
    MAE: 0.242887
    """

    @exclusive
    def learn_one(self, x: Mapping[Any, Any], y: float) -> None:
        """Learn one row: at once, or together with others when `batch_size` rows have gathered.

        Raises
        ------
        DataError
            A feature is not a number or is infinite, or the target is not a finite number.
        """
        self._learn_one(x, {"y": _target(y)})

    @exclusive
    def learn_many(self, X: Any, y: Any) -> None:
        """Learn a frame of features and a series of targets as one batch.

        Raises
        ------
        DataError
            A column is not numeric or holds infinite values, or a target is not a finite number.
        """
        targets = [{"y": _target(value)} for value in label_list(y)]
        self._learn_many(X, targets)

    @exclusive
    def predict_one(self, x: Mapping[Any, Any]) -> float:
        """Return the prediction; 0 before the first target."""
        return self._values_one(x)[0] if self.outputs else 0.0

    @exclusive
    def predict_many(self, X: Any) -> Any:
        """Return a series of predictions, in the library of `X`."""
        frame = into_frame(X)
        values = self._values_many(X)[:, 0] if self.outputs else np.zeros(len(frame))
        return dataframe.to_native_series(values, name=None, like=frame)


class FenchelMultiTargetRegressor(_FenchelRegression, base.MultiTargetRegressor):
    """Neural network for several regression targets, with the parameters of `FenchelRegressor`.

    Targets may appear at any time and be missing in a row: each network then takes its own
    prediction for the missing target. Each target is scaled online, independently of the others.
    Several threads may use one model: a lock lets one call at a time read or change it.

    Examples
    --------
    >>> from fenchel_stream import FenchelMultiTargetRegressor
    >>> model = FenchelMultiTargetRegressor()
    >>> for _ in range(200):
    ...     model.learn_one({"a": 1.0}, {"up": 1000.0, "down": -3.0})
    ...     model.learn_one({"a": -1.0}, {"up": 2000.0})
    >>> {name: round(value) for name, value in model.predict_one({"a": 1.0}).items()}
    {'up': 1000, 'down': -3}
    """

    @exclusive
    def learn_one(self, x: Mapping[Any, Any], y: Mapping[Any, float], **kwargs: Any) -> None:
        """Learn one row: at once, or together with others when `batch_size` rows have gathered.

        A target that is None or NaN is missing.

        Raises
        ------
        DataError
            A feature is not a number or is infinite, a target is not a finite number, or `y` is
            no dict.
        """
        self._learn_one(x, _present(y))

    @exclusive
    def learn_many(self, X: Any, y: Any) -> None:
        """Learn a frame of features and one of targets as one batch; null and NaN are missing."""
        rows = into_frame(y).iter_rows(named=True)
        self._learn_many(X, [_present(row) for row in rows])

    @exclusive
    def predict_one(self, x: Mapping[Any, Any], **kwargs: Any) -> dict[Hashable, float]:
        """Return a prediction for each target learnt so far."""
        if not self.outputs:
            return {}
        return dict(zip(self.outputs, self._values_one(x), strict=True))

    @exclusive
    def predict_many(self, X: Any) -> Any:
        """Return a frame of predictions, one column per target, in the library of `X`."""
        frame = into_frame(X)
        values = self._values_many(X).T if self.outputs else ()
        return dataframe.to_native_frame(dict(zip(self.outputs, values, strict=True)), like=frame)


def _present(y: Any) -> dict[Hashable, float]:
    """Return the targets of a row that are not missing."""
    if not isinstance(y, Mapping):
        raise DataError(f"several targets are a dict such as {{'up': 1.0, 'down': 2.0}}, not {y!r}")
    return {name: _target(value, name) for name, value in y.items() if not is_missing(value)}


def _target(y: Any, name: Hashable = None) -> float:
    number = to_target(y)
    if number is None:
        which = "the target" if name is None else f"target {name!r}"
        raise DataError(f"{which} is {repr(y)[:50]}, not a number below {HUGE:g}")
    return number
