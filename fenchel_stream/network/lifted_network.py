"""`LiftedNetwork`: the weights of a network, and what a user does with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from fenchel_stream.errors import ConfigError
from fenchel_stream.network import step
from fenchel_stream.network.arrays import Array, append, as_array, as_numbers, check_device, placed
from fenchel_stream.network.batch import checked_batch, checked_inputs
from fenchel_stream.network.experts.averages import Averages, rescaled
from fenchel_stream.network.experts.gamma_mixture import GammaMixture
from fenchel_stream.network.fit import FitReport, fit
from fenchel_stream.network.form import check_network, require
from fenchel_stream.network.layers import Dense, Layer, LinearMap, Shape, chained, lenet5
from fenchel_stream.network.lifted_prediction import lifted_outputs
from fenchel_stream.network.problem import Problem
from fenchel_stream.network.report import StepReport
from fenchel_stream.network.row_descent import RowDescent
from fenchel_stream.network.solvers import ProximalMetric


class LiftedNetwork:
    """A network trained by exact proximal block-coordinate steps.

    Build one with `LiftedNetwork.dense`, `LiftedNetwork.lenet5`, or `LiftedNetwork.of` a list of
    layers.

    Parameters
    ----------
    weights
        One array (outputs x (1 + inputs)) per layer, biases first.
    layers
        The linear map of each layer; by default all are dense.
    device
        ``cpu`` computes in NumPy. On a CPU, NumPy takes at most two thirds of the time of PyTorch.
        Any other device, such as ``cuda`` or ``cpu:0``, computes in PyTorch.
    dtype
        ``float32`` or ``float64``.
    settings
        The parameters of `Problem.of`: activation, loss, lam, gamma, rho and others.

    Raises
    ------
    ConfigError
        A setting is unknown or out of range, or the device cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream import LiftedNetwork
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> network = LiftedNetwork.dense([2, 32, 2], loss="cross_entropy")
    >>> for _ in range(50):
    ...     report = network.learn_batch(X, y)
    >>> report.objective_after < report.objective_before
    True
    >>> bool((network.predict(X).argmax(axis=1) == y).mean() > 0.9)
    True
    """

    def __init__(
        self,
        weights: Sequence[Array],
        layers: Sequence[Layer] | None = None,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        **settings: Any,
    ) -> None:
        if any(np.ndim(w) != 2 for w in weights):
            raise ConfigError(
                "weights must be one matrix for each layer; LiftedNetwork.dense([10, 16, 2]) "
                "creates them from sizes, LiftedNetwork.of creates them from layers"
            )
        self.device = device
        self.dtype = getattr(dtype, "__name__", str(dtype)).removeprefix("torch.")
        if self.dtype not in ("float32", "float64"):
            raise ConfigError(f"dtype is 'float32' or 'float64', not {dtype!r}")
        check_device(device)
        self.weights: list[Array] = [self._placed(np.array(w)) for w in weights]
        self.mixture: GammaMixture | None = None
        self.averages: Averages | None = None
        layers = [Dense(len(w)) for w in weights] if layers is None else layers
        self.problem = Problem.of(layers, **settings)

    @classmethod
    def dense(cls, sizes: Sequence[int], *, seed: int = 0, **settings: Any) -> LiftedNetwork:
        """Return a network of dense layers with Xavier weights (Glorot & Bengio, 2010).

        Parameters
        ----------
        sizes
            Inputs, hidden units of each layer, outputs: ``[784, 300, 10]``.
        seed
            Seed of the initial weights.
        settings
            The other parameters of `LiftedNetwork`, such as ``loss="squared_error"``.
        """
        if len(sizes) < 2 or min(sizes) < 0 or 0 in sizes[1:-1]:
            raise ConfigError(f"sizes must be inputs, hidden units, outputs; got {sizes!r}")
        return cls.of([Dense(units) for units in sizes[1:]], (sizes[0],), seed=seed, **settings)

    @classmethod
    def of(
        cls, layers: Sequence[LinearMap], inputs: Shape, *, seed: int = 0, **settings: Any
    ) -> LiftedNetwork:
        """Return a network of the given layers with Xavier weights.

        Parameters
        ----------
        layers
            The layers in order, from the inputs to the outputs. The last layer must be dense. The
            activation follows each layer except the last one. A pooling takes the values of the
            activation below it.
        inputs
            Shape of one sample: (units,), or (height, width, channels).
        seed, settings
            See `dense`.

        Raises
        ------
        ConfigError
            A layer does not take the output of the layer below; the message names both shapes.
        """
        rng = np.random.default_rng(seed)
        bound = chained(layers, inputs)
        return cls([layer.first_weights(rng) for layer in bound], bound, **settings)

    @classmethod
    def lenet5(
        cls, inputs: Shape = (28, 28, 1), outputs: int = 10, *, seed: int = 0, **settings: Any
    ) -> LiftedNetwork:
        """Return LeNet-5 (LeCun et al., 1998) with average pooling: figures 3 and 4.

        Parameters
        ----------
        inputs
            (height, width, channels) of an image. LeNet-5 takes images of 32 x 32; smaller images
            are padded to that size.
        outputs
            Number of classes.
        seed, settings
            See `dense`.
        """
        return cls.of(lenet5(inputs, outputs), inputs, seed=seed, **settings)

    @property
    def problem(self) -> Problem:
        """Layers, activation, loss and settings. Assign another `Problem` to change them."""
        return self._problem

    @problem.setter
    def problem(self, problem: Problem) -> None:
        self._problem = problem
        self.__dict__.pop("row_descent", None)
        if not problem.tuned:
            self.mixture = self.averages = None
        elif self.mixture is None:
            self.mixture = GammaMixture(self.weights[-1])
            self.averages = Averages(self.weights)

    @cached_property
    def row_descent(self) -> RowDescent | None:
        """The compiled step for one row; None if a part of the network has no compiled form."""
        compiled = self.device == "cpu" and RowDescent.serves(self._problem)
        return RowDescent(self._problem, self.dtype) if compiled else None

    def __getstate__(self) -> dict[str, Any]:
        # The compiled step is derived from the problem, and is created again at its next use.
        return {name: value for name, value in self.__dict__.items() if name != "row_descent"}

    def check_restored(self) -> None:
        """Make sure that compiled loops may use this state, which a checkpoint brought."""
        require("row_descent" not in vars(self), "the compiled step")
        check_network(self)

    def configure(
        self,
        lam: float | Sequence[float],
        gamma: float | Sequence[float] | str,
        rho: float | Sequence[float],
        alternations: int,
        order: str,
    ) -> None:
        """Set the parameters that may change between two batches: see `Problem.configured`.

        If a value is refused, no parameter changes.
        """
        self.problem = self._problem.configured(lam, gamma, rho, alternations, order)

    def replace(
        self,
        weights: Sequence[Array] | None = None,
        lam: Sequence[float] | None = None,
        rho: Sequence[float] | None = None,
    ) -> None:
        """Set the weights, lambda or rho of each layer. New weights restart the tuning of gamma."""
        if weights is not None:
            self.weights = [self._placed(w) + 0.0 for w in weights]
            self.mixture = self.mixture and GammaMixture(self.weights[-1])
            self.averages = self.averages and Averages(self.weights)
        lam, rho = self.lam if lam is None else lam, self.rho if rho is None else rho
        self.problem = replace(self._problem, lam=tuple(lam), rho=tuple(rho))

    def learn_batch(self, X: Array, Y: Array) -> StepReport:
        """Learn one mini-batch, and return a report of the step.

        Parameters
        ----------
        X
            Inputs (m x inputs), array or tensor.
        Y
            With cross-entropy: integer classes (m,), or probabilities (m x outputs). With squared
            error: targets (m x outputs), or (m,) for one output.

        Raises
        ------
        DataError
            The shapes do not fit the network, or a value is not finite.
        """
        return self.step(*self._checked(X, Y))

    def step(self, a: Array, y: Array, metric: ProximalMetric | None = None) -> StepReport:
        """Learn a batch that has been checked: input `a` with its column of ones, and targets `y`.

        `metric` is the metric of layer 0, if another network has computed it for the same input.
        """
        a = self._placed(a)
        row_descent, mixture, averages = self.row_descent, self.mixture, self.averages
        if row_descent is not None and len(a) == 1:
            y = as_array(y, like=a)
            report = row_descent.learn(self.weights, mixture, averages, a[0], y)
        else:
            report = step.learn(self._problem, self.weights, mixture, averages, a, y, metric)
        self.weights = list(report.after.weights)  # A copy: the list in the report stays.
        if mixture is not None:
            mixture.weights = report.after.candidates
        return report

    def fit(
        self,
        X: Array,
        Y: Array,
        *,
        tolerance: float = 1e-4,
        sweeps: int = 100,
        ascents: int = 0,
        ascent_step: float = 1.0,
        progress: bool = True,
        on_sweep: Callable[[int], object] | None = None,
    ) -> FitReport:
        """Learn all data at once by Algorithm 1: see `fenchel_stream.network.fit.fit`.

        `on_sweep` is called after every sweep with the number of sweeps so far. The network then
        has the new weights already.
        """

        def after_sweep(sweep: int, weights: list[Array]) -> None:
            self.replace(weights)
            if on_sweep is not None:
                on_sweep(sweep)

        a, y = self._checked(X, Y)
        data = self._problem, self.weights, a, y
        report = fit(*data, tolerance, sweeps, ascents, ascent_step, progress, after_sweep)
        self.replace(lam=report.lam)
        return report

    def predict(self, X: Array, rule: str = "feed_forward") -> Array:
        """Return the outputs (m x outputs): values, or logits with cross-entropy.

        The outputs are an array where `X` is an array, and a tensor where it is a tensor.

        Parameters
        ----------
        X
            Inputs (m x inputs), array or tensor.
        rule
            ``feed_forward``, or ``lifted`` for the paper's rule (12): see
            `fenchel_stream.network.lifted_prediction.lifted_outputs`. Where gamma is ``auto``,
            feed-forward outputs are averaged with those of the `Averages`; rule (12) does not use
            the `Averages`.
        """
        X = as_numbers(X, "X")
        a = self._inputs(X)
        if rule == "lifted":
            return lifted_outputs(self._problem, self.weights, self._placed(a), like=X)
        if rule != "feed_forward":
            raise ConfigError(f"rule is 'feed_forward' or 'lifted', not {rule!r}")
        return self.outputs(a, like=X)

    def outputs(self, a: Array, like: Array | None = None, *, averaged: bool = True) -> Array:
        """Return the outputs for the input `a`, which has its column of ones.

        The outputs are an array or a tensor, as `like` is; by default `like` is `a`. Where gamma is
        ``auto``, the outputs are averaged over the network and its `Averages`, unless `averaged` is
        False.
        """
        inputs = self._placed(a)
        averages, row_descent = self.averages if averaged else None, self.row_descent
        if row_descent is not None and len(inputs) == 1:
            outputs = row_descent.outputs(self.weights, averages, inputs[0])[None]
        else:
            outputs = step.outputs(self._problem, self.weights, averages, inputs)
        return as_array(outputs, like=a if like is None else like)

    def objective(self, X: Array, Y: Array) -> float:
        """Return the loss summed over rows, plus the weight decay, at the feed-forward point."""
        loss, a = self._problem.loss, self._placed(self._inputs(X))
        outputs = self._problem.forward(self.weights, a).outputs[-1]
        targets = loss.encode(as_array(Y, like=outputs), outputs)
        decay = sum(rho * (w * w).sum() for rho, w in zip(self.rho, self.weights, strict=True))
        return float(loss.value(targets, outputs) + decay)

    def _placed(self, a: Array) -> Array:
        """Return `a` in the library and precision and on the device of the network."""
        return placed(a, self.device, self.dtype)

    def _inputs(self, X: Array) -> Array:
        return checked_inputs(X, self.n_inputs, self._problem.layers[0].inputs)

    def _checked(self, X: Array, Y: Array) -> tuple[Array, Array]:
        shape = self._problem.layers[0].inputs
        return checked_batch(X, Y, self.n_inputs, shape, self.device, self.dtype)

    @property
    def lam(self) -> tuple[float, ...]:
        """Weight of the divergence of each hidden layer."""
        return self._problem.lam

    @property
    def gamma(self) -> tuple[float, ...]:
        """Weight of the proximal term of each layer."""
        return self._problem.gamma

    @property
    def rho(self) -> tuple[float, ...]:
        """Weight of the squared norm of each layer's weights."""
        return self._problem.rho

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self._problem.layers[0].n_inputs(self.weights[0])

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return int(self.weights[-1].shape[0])

    @property
    def _experts(self) -> list[GammaMixture | Averages]:
        return [experts for experts in (self.mixture, self.averages) if experts is not None]

    def grow_inputs(self, columns: Array) -> None:
        """Append k inputs with weights `columns` (units x k).

        Inputs with weights of 0 leave the outputs unchanged.

        Raises
        ------
        ConfigError
            The inputs of the network are images.
        """
        shape = self._problem.layers[0].inputs
        if len(shape) == 3:
            raise ConfigError(f"no inputs can be added to images of shape {shape}")
        self.weights[0] = append(self.weights[0], columns, axis=-1)
        if self.mixture is not None and len(self.weights) == 1:
            self.mixture.grow_inputs(columns)
        if self.averages is not None:
            self.averages.grow_inputs(columns)

    def grow_outputs(self, count: int) -> None:
        """Append `count` outputs whose weights are 0."""
        rows = np.zeros((count, self.weights[-1].shape[-1]))
        self.weights[-1] = append(self.weights[-1], rows, axis=-2)
        for experts in self._experts:
            experts.grow_outputs(rows)

    def rescale_outputs(self, factor: Array, shift: Array) -> None:
        """Let every output ``u`` become ``factor * u + shift``."""
        self.weights[-1] = rescaled(self.weights[-1], factor, shift)
        for experts in self._experts:
            experts.rescale_outputs(factor, shift)
