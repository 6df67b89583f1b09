"""`FenchelEstimator`, the base of the River estimators: parameters, growth, and batches of rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping
from hashlib import blake2b
from math import sqrt
from numbers import Integral
from typing import Any

import numpy as np
import polars as pl
from river.utils import dataframe

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.estimators.ensemble import Ensemble
from fenchel_stream.estimators.exclusive import Exclusive
from fenchel_stream.estimators.schema import Schema, frame_values, row_values
from fenchel_stream.network.arrays import Array
from fenchel_stream.network.form import require
from fenchel_stream.network.report import StepReport
from fenchel_stream.preprocessing.scaling import FeatureScaler

TUNABLE = ("lam", "gamma", "rho", "alternations", "order")
"""Parameters that may change while a model learns, by River's `mutate`."""


class FenchelEstimator(Exclusive):
    """An `Ensemble` that grows with the features and outputs of a stream.

    The networks get a new feature or output when they learn the first batch that contains it. The
    first weights of a feature depend on its name and the seed, not on the time of its arrival.
    Features that a row lacks, and features not learnt yet, are 0. A prediction changes no state.
    Several threads may use one model: a lock lets one call at a time read or change it.

    `FenchelClassifier` and `FenchelRegressor` describe the parameters.

    Attributes
    ----------
    ensemble
        The networks.
    schema
        The features learnt so far.
    scaler
        Their means and deviations.
    report
        Report on the last batch; None before the first batch, and after a restore.
    """

    _loss: str

    def __init__(
        self,
        hidden: tuple[int, ...] = (64,),
        activation: str = "relu",
        lam: float | str = "auto",
        gamma: float | tuple[float, ...] | str = "auto",
        rho: float = 0.0,
        alternations: int = 1,
        order: str = "auto",
        scale: bool = True,
        batch_size: int = 1,
        device: str = "cpu",
        dtype: str = "float32",
        seed: int = 0,
    ) -> None:
        if not isinstance(hidden, (tuple, list)):
            raise ConfigError(
                f"hidden is the number of units of each layer, such as hidden=(64,), not {hidden!r}"
            )
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            *(("hidden", units, 1) for units in hidden),
        ):
            if not isinstance(value, Integral):
                raise ConfigError(f"{name} must be a whole number, not {value!r}")
            if value < least:
                raise ConfigError(f"{name} must be at least {least}, not {value!r}")
        self.hidden = hidden
        self.activation = activation
        self.lam = lam
        self.gamma = gamma
        self.rho = rho
        self.alternations = alternations
        self.order = order
        self.scale = scale
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.seed = seed
        self.ensemble = Ensemble(
            (0, *hidden, 0),
            activation=activation,
            loss=self._loss,
            lam=lam,
            gamma=gamma,
            rho=rho,
            alternations=alternations,
            order=order,
            device=device,
            dtype=dtype,
            seed=seed,
        )
        self.schema = Schema()
        self.scaler = FeatureScaler()
        self.report: StepReport | None = None
        self._gathered: list[tuple[dict[Hashable, Any], Any]] = []
        self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Create the state that depends on the kind of target."""

    @property
    def _mutable_attributes(self) -> set[str]:
        return set(TUNABLE)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in TUNABLE or "ensemble" not in self.__dict__:
            super().__setattr__(name, value)
            return
        # River's `mutate` sets attributes. The networks take the new value, or raise an error.
        with self._lock:
            self.ensemble.configure(**{**{n: getattr(self, n) for n in TUNABLE}, name: value})
            super().__setattr__(name, value)

    def _state(self) -> dict[str, Any]:
        # The report keeps the last batch in memory, and is no part of what the model has learnt.
        return {**super()._state(), "report": None}

    def check_restored(self) -> None:
        """Make sure that all parts have as many features and outputs as the networks.

        Raises
        ------
        CheckpointError
            They have not, in a state that a checkpoint brought.
        """
        features, outputs = self.ensemble.n_inputs, self.ensemble.n_outputs
        require(self.dtype == self.ensemble.networks[0].dtype, "dtype")
        require(len(self.schema.columns) == features, "schema")
        require(len(self.scaler.moments.mean) == features, "scaler")
        require(self._n_outputs() == outputs, "outputs")
        require(type(self._gathered) is list and len(self._gathered) < self.batch_size, "rows")
        for x, _ in self._gathered:
            row_values(x)

    @abstractmethod
    def _n_outputs(self) -> int:
        """Return the number of outputs that are known, -1 if what is known contradicts itself."""

    @abstractmethod
    def _targets(self, y: list[Any]) -> Array:
        """Return targets as a matrix, NaN where one is missing; new outputs grow the networks."""

    def _learn_one(self, x: Mapping[Any, Any], y: Any) -> None:
        values = row_values(x)
        if self.batch_size == 1:
            self._learn(tuple(x), values, [y])
            return
        self._gathered.append((dict(zip(x, values, strict=True)), y))
        if len(self._gathered) >= self.batch_size:
            self._learn_gathered()

    def _learn_many(self, X: Any, y: list[Any]) -> None:
        names, values = frame_values(X)
        if len(values) != len(y):
            raise DataError(f"X has {len(values)} rows, y has {len(y)}")
        if not len(y):
            return
        self._learn_gathered()
        self._learn(names, values, y)

    def _learn_gathered(self) -> None:
        if self._gathered:
            rows, y = zip(*self._gathered, strict=True)
            names = tuple(dict.fromkeys(name for row in rows for name in row))
            values = np.array([[row.get(name, 0.0) for name in names] for row in rows])
            self._gathered = []
            self._learn(names, values, list(y))

    def _learn(self, names: tuple[Hashable, ...], values: Any, y: list[Any]) -> None:
        new = self.schema.extend(names)
        if new:
            columns = [self._first_weights(name) for name in new]
            self.ensemble.grow_inputs(np.stack(columns, axis=1))
            self.scaler.grow(len(new))
        x = self.schema.place(names, values)
        if self.scale:
            self.scaler.update(x)
        self.report = self.ensemble.step(self._input(x), self._targets(y))

    def _outputs_one(self, x: Mapping[Any, Any]) -> Array:
        return self.ensemble.outputs(self._input(self.schema.place(tuple(x), row_values(x))))

    def _outputs_many(self, X: Any) -> Array:
        return self.ensemble.outputs(self._input(self.schema.place(*frame_values(X))))

    def _input(self, x: Array) -> Array:
        """Return the input of the networks: scaled features after a column of ones for biases."""
        a = np.empty((len(x), x.shape[1] + 1), self.dtype)
        a[:, 0] = 1.0
        if self.scale:
            self.scaler.scale(x, out=a[:, 1:])
        else:
            a[:, 1:] = np.nan_to_num(x)
        return a

    def _first_weights(self, name: Hashable) -> Array:
        """Return the first weights of a feature: 0 without a hidden layer, else random by name."""
        if not self.hidden:
            return np.zeros(self.ensemble.n_outputs)
        text = f"{self.seed} {type(name).__name__} {name!r}"
        key = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
        # Xavier's bound for as many inputs as units: the final number of inputs is unknown.
        limit = sqrt(3.0 / self.hidden[0])
        return np.random.default_rng(key).uniform(-limit, limit, self.hidden[0])


def label_list(y: Any) -> list[Any]:
    """Return a native series, array or sequence of labels as a list of Python objects.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.estimators.base import label_list
    >>> label_list(np.array([1, 2]))
    [1, 2]
    """
    if isinstance(y, (list, tuple)):
        return list(y)
    if isinstance(y, np.ndarray):
        return list(y.tolist())
    # A polars series is not wrapped by narwhals, which would take ten times as long.
    series = y if isinstance(y, pl.Series) else dataframe.into_series(y)
    return list(series.to_list())
