"""Fenchel lifted networks: the batched algorithm (Algorithm 2 of the paper).

Rows are samples. ``U_l = A_l W_l^T``, where in a dense layer ``A_l = [1, X_l]`` and in a
convolution its unfolding (11), so that biases are the first column of ``W_l``; and
``X_{l+1} = phi(U_l)`` in feed-forward. A batch descends on the objective (13)

    ``L(Y, U_L) + sum_l lam_l B(X_{l+1}, U_l) + rho_l ||W_l||^2 + gamma_l ||W_l - W_l^0||^2``

from the feed-forward point, one block of variables at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.network.activations import Activation, get_activation
from fenchel_stream.network.arrays import (
    Array,
    append,
    as_array,
    as_numbers,
    empty,
    namespace,
    with_ones,
)
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.experts.averages import Averages, rescaled, sample
from fenchel_stream.network.experts.gamma_mixture import GammaMixture
from fenchel_stream.network.fit import FitReport, fit
from fenchel_stream.network.layers import Dense, Layer, LinearMap, Shape, chained, lenet5
from fenchel_stream.network.lifted_prediction import lifted_outputs
from fenchel_stream.network.losses import Loss, get_loss
from fenchel_stream.network.problem import block_order, per_layer
from fenchel_stream.network.report import StepReport
from fenchel_stream.network.row_descent import RowStep
from fenchel_stream.network.solvers import ProximalMetric
from fenchel_stream.network.variables import Variables

LARGEST = 1e15
"""Inputs must not be larger, so that their squares stay finite in single precision."""

HIDDEN_GAMMA = 0.1
"""Gamma of hidden layers where it is ``auto``, in samples: the best on nearly every stream."""


class LiftedNetwork:
    """A network trained by exact proximal block-coordinate steps.

    Build one with `LiftedNetwork.dense`, `LiftedNetwork.lenet5`, or `LiftedNetwork.of` a list of
    layers.

    Parameters
    ----------
    weights
        One array (outputs x (1 + inputs)) per layer, biases first.
    layers
        The map of each, by default all dense.
    activation
        Of the hidden layers: relu, leaky_relu, tanh, sigmoid, softplus, elu or identity, or one of
        your own.
    loss
        ``cross_entropy`` or ``squared_error``.
    lam
        Weight of the Fenchel divergence, one number or one per hidden layer.
    gamma
        Weight of the proximal term, one number or one per layer. In the unit ``sample`` it counts
        in samples: at 1 a layer's old weights weigh as much as one row of the batch, whatever
        the scale of the data. In the unit ``absolute`` it is the paper's gamma. With ``auto`` it
        is 0.1 samples for hidden layers and tunes itself for the output layer (`GammaMixture`).
    gamma_unit
        ``sample`` or ``absolute``.
    rho
        Weight of the squared norm of the weights, one number or one per layer.
    alternations
        Passes over the blocks in each batch, the paper's K.
    order
        ``top_down``: ``W_L, X_L, W_{L-1}, ... W_0``; ``paper``: all X, then all W. See Notes.
    x_iterations, w_iterations
        Inner steps of the two solvers; by default 5 and 3, and for a batch of one row 2 and 1,
        where more gained nothing on any stream.
    device
        ``cpu`` computes in NumPy, which on a CPU is faster than torch by a third or more; a torch
        device, as ``cuda`` or ``cpu:0``, computes in torch.
    dtype
        ``float32`` or ``float64``.

    Notes
    -----
    In the paper's order the last layer is fitted to features already moved towards the labels,
    which the network cannot produce; top-down it is fitted to those that it does produce.

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
        activation: str | Activation = "relu",
        loss: str = "cross_entropy",
        lam: float | Sequence[float] = 0.01,
        gamma: float | Sequence[float] | str = "auto",
        gamma_unit: str = "sample",
        rho: float | Sequence[float] = 0.0,
        alternations: int = 1,
        order: str = "top_down",
        x_iterations: int | None = None,
        w_iterations: int | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.activation: Activation = get_activation(activation)
        self.loss: Loss = get_loss(loss)
        if gamma_unit not in ("sample", "absolute"):
            raise ConfigError(f"gamma_unit is 'sample' or 'absolute', not {gamma_unit!r}")
        if isinstance(gamma, str) and gamma_unit == "absolute":
            raise ConfigError("gamma='auto' counts in samples; gamma_unit must be 'sample'")
        self.gamma_unit = gamma_unit
        for name, count in (("x_iterations", x_iterations), ("w_iterations", w_iterations)):
            if count is not None and count < 1:
                raise ConfigError(f"{name} must be at least 1, not {count!r}")
        self.x_iterations = x_iterations
        self.w_iterations = w_iterations
        try:
            torch.device(device)
        except RuntimeError as error:
            raise ConfigError(f"device {device!r}: torch knows no such device") from error
        self.device = device
        self.dtype = getattr(dtype, "__name__", str(dtype)).removeprefix("torch.")
        if self.dtype not in ("float32", "float64"):
            raise ConfigError(f"dtype is 'float32' or 'float64', not {dtype!r}")
        if any(np.ndim(w) != 2 for w in weights):
            raise ConfigError(
                "weights are a matrix per layer; LiftedNetwork.dense([10, 16, 2]) makes them of "
                "sizes, LiftedNetwork.of of layers"
            )
        try:
            self.weights: list[Array] = [self._placed(np.array(w)) for w in weights]
        except (AssertionError, RuntimeError) as error:  # what torch raises
            raise ConfigError(f"device {device!r} cannot be used: {error}") from error
        self.layers: list[Layer] = [Dense(len(w)) for w in weights] if layers is None else [*layers]
        self.mixture: GammaMixture | None = None
        self.averages: Averages | None = None
        self.configure(lam, gamma, rho, alternations, order)

    def configure(
        self,
        lam: float | Sequence[float],
        gamma: float | Sequence[float] | str,
        rho: float | Sequence[float],
        alternations: int,
        order: str,
    ) -> None:
        """Set what may change between two batches; an error changes nothing.

        Raises
        ------
        ConfigError
            A value is out of range, or there is not one for each layer.
        """
        auto = isinstance(gamma, str)
        if isinstance(gamma, str):
            if gamma != "auto":
                raise ConfigError(f"gamma is a number, one per layer, or 'auto', not {gamma!r}")
            gamma = [HIDDEN_GAMMA] * self.depth
        if alternations < 1:
            raise ConfigError(f"alternations must be at least 1, not {alternations!r}")
        settings = (
            per_layer("lam", lam, self.depth - 1),
            per_layer("gamma", gamma, self.depth),
            per_layer("rho", rho, self.depth, zero=True),
            alternations * block_order(order, self.depth),
        )
        self.lam, self.gamma, self.rho, self.schedule = settings
        if not auto:
            self.mixture = self.averages = None
        elif self.mixture is None:
            self.mixture = GammaMixture(self.weights[-1])
            self.averages = Averages(self.weights)
        self.row_step = RowStep(self) if RowStep.serves(self) else None

    def iterate(self, x_iterations: int | None, w_iterations: int | None) -> None:
        """Set the inner steps of the two solvers."""
        self.x_iterations, self.w_iterations = x_iterations, w_iterations
        self.row_step = RowStep(self) if RowStep.serves(self) else None

    @classmethod
    def dense(cls, sizes: Sequence[int], *, seed: int = 0, **settings: Any) -> LiftedNetwork:
        """Return a network of dense layers with Xavier weights (Glorot & Bengio, 2010).

        Parameters
        ----------
        sizes
            Inputs, hidden units of each layer, outputs: ``[784, 300, 10]``.
        seed
            Of the initial weights.
        settings
            The parameters of `LiftedNetwork`.
        """
        if len(sizes) < 2 or min(sizes) < 0 or 0 in sizes[1:-1]:
            raise ConfigError(f"sizes are inputs, hidden units, outputs; got {sizes!r}")
        return cls.of([Dense(units) for units in sizes[1:]], (sizes[0],), seed=seed, **settings)

    @classmethod
    def of(
        cls,
        layers: Sequence[LinearMap],
        inputs: Shape,
        *,
        seed: int = 0,
        **settings: Any,
    ) -> LiftedNetwork:
        """Return a network of the given layers with Xavier weights.

        Parameters
        ----------
        layers
            From the inputs to the outputs; the last is dense. All but the last are followed by
            the activation; a pooling acts on what the activation of the layer below it gives.
        inputs
            Shape of one sample: (units,), or (height, width, channels).
        seed
            Of the initial weights.
        settings
            The parameters of `LiftedNetwork`.

        Raises
        ------
        ConfigError
            A layer does not fit onto the one below; the message names both shapes.

        Examples
        --------
        >>> from fenchel_stream import LiftedNetwork
        >>> from fenchel_stream.network.layers import AveragePool2d, Conv2d, Dense
        >>> network = LiftedNetwork.of([Conv2d(8, 3), AveragePool2d(2), Dense(5)], (8, 8, 1))
        >>> [w.shape for w in network.weights]
        [(8, 10), (5, 73)]
        """
        rng = np.random.default_rng(seed)
        bound = chained(layers, inputs)
        return cls([layer.first_weights(rng) for layer in bound], bound, **settings)

    @classmethod
    def lenet5(
        cls,
        inputs: Shape = (28, 28, 1),
        outputs: int = 10,
        *,
        seed: int = 0,
        **settings: Any,
    ) -> LiftedNetwork:
        """Return LeNet-5 (LeCun et al., 1998) with average pooling, as in figures 3 and 4.

        Parameters
        ----------
        inputs
            (height, width, channels) of an image. Smaller ones are padded to 32 x 32, for which
            LeNet-5 is made.
        outputs
            Classes.
        seed
            Of the initial weights.
        settings
            The parameters of `LiftedNetwork`.

        Examples
        --------
        >>> from fenchel_stream import LiftedNetwork
        >>> network = LiftedNetwork.lenet5((32, 32, 3))
        >>> [w.shape for w in network.weights]
        [(6, 76), (16, 151), (120, 401), (84, 121), (10, 85)]
        """
        return cls.of(lenet5(inputs, outputs), inputs, seed=seed, **settings)

    def learn_batch(self, X: Array, Y: Array) -> StepReport:
        """Learn one mini-batch.

        Parameters
        ----------
        X
            Inputs (m x inputs), array or tensor.
        Y
            With cross-entropy integer classes (m,) or one row of probabilities per sample;
            with squared error targets (m x outputs), or (m,) for one output.

        Returns
        -------
        StepReport
            Objective before and after, divergences and displacements, computed when read.

        Raises
        ------
        DataError
            The shapes do not fit the network, or a value is not finite.
        """
        return self.step(*self._checked(X, Y))

    def _checked(self, X: Array, Y: Array) -> tuple[Array, Array]:
        """Return the input of `X` with its column of ones, and targets of its own memory."""
        X, Y = as_numbers(X, "X"), as_numbers(Y, "Y")
        with np.errstate(over="ignore"):
            a = self._placed(self._inputs(X))
            # A copy: the report reads the targets later, and the caller may reuse the array.
            y = as_array(Y.clone() if isinstance(Y, torch.Tensor) else np.array(Y), like=a)
        if not len(a):
            raise DataError("the batch has no rows")
        if len(y) != len(a):
            raise DataError(f"X has {len(a)} rows, Y has {len(y)}")
        for name, values in (("X", a), ("Y", y)):
            if not ((values <= LARGEST) & (values >= -LARGEST)).all():
                raise DataError(
                    f"{name} holds values that are not finite or beyond {LARGEST:g}; "
                    "nothing was learnt"
                )
        return a, y

    def step(self, a: Array, y: Array, metric: ProximalMetric | None = None) -> StepReport:
        """Learn a batch whose input `a` carries its column of ones and was checked.

        `metric` is that of layer 0, where it is known.
        """
        a = self._placed(a)
        if self.row_step is not None and len(a) == 1:
            return self._learn_row(self.row_step, a, as_array(y, like=a))
        now = self.feed_forward(a)
        if metric is not None:
            now.metrics[0] = metric
        targets = self.loss.encode(as_array(y, like=a), now.outputs[-1])
        if self.mixture is not None:
            now.candidates = self.mixture.weights
            candidates = self.layers[-1].forward(now.inputs[-1], now.candidates)
            self.mixture.score(self.loss, targets, candidates)
            now.shares = self.mixture.shares
        predicted = None
        if self.averages is not None:
            some = sample(len(a))
            said = self._side_by_side(self.averages, a[some], now.outputs[-1][some])
            predicted = self.averages.average(said)
            self.averages.score(self.loss, targets[some], said)
        descent = Descent(self, targets, now.copy(), now)
        for block in self.schedule:
            descent.move(block)
        if self.averages is not None:
            self.averages.follow(now.weights, len(a))
        self._take(now)
        return StepReport(descent, predicted)

    def _learn_row(self, row_step: RowStep, a: Array, y: Array) -> StepReport:
        targets = self.loss.encode(y, empty(a, 1, self.n_outputs))[0]
        before, now = row_step.learn(self.weights, self.mixture, a[0], targets)
        predicted = None
        if self.averages is not None:
            said = before.outputs[-1]
            predicted = self.averages.follow_row(row_step.kinds, targets, a[0], said, now.weights)
        self._take(now)
        return StepReport(Descent(self, targets, before, now), predicted)

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
        """Learn all data at once by Algorithm 1: see `fenchel_stream.network.fit.fit`."""
        a, y = self._checked(X, Y)
        return fit(self, a, y, tolerance, sweeps, ascents, ascent_step, progress, on_sweep)

    def predict(self, X: Array, rule: str = "feed_forward") -> Array:
        """Return the outputs (m x outputs): values, or logits with cross-entropy.

        An array comes back for an array, a tensor for a tensor.

        Parameters
        ----------
        X
            Inputs (m x inputs), array or tensor.
        rule
            ``feed_forward``, or ``lifted`` for the paper's (12): see
            `fenchel_stream.network.lifted_prediction.lifted_outputs`. That one is of the network
            alone, without the `Averages` that predict beside it where gamma is ``auto``.
        """
        X = as_numbers(X, "X")
        if rule == "lifted":
            return lifted_outputs(self, self._placed(self._inputs(X)), like=X)
        if rule != "feed_forward":
            raise ConfigError(f"rule is 'feed_forward' or 'lifted', not {rule!r}")
        return self.outputs(self._inputs(X), like=X)

    def outputs(self, a: Array, like: Array | None = None, *, averaged: bool = True) -> Array:
        """Return the outputs of an input `a` that carries its column of ones, as `like` or `a`.

        Where gamma is ``auto``, they are averages over the network and its `Averages`, unless
        `averaged` is False.
        """
        placed = self._placed(a)
        others = self.averages if averaged else None
        if self.row_step is not None and len(placed) == 1:
            outputs = self.row_step.outputs(self.weights, others, placed[0])[None]
        else:
            outputs = self.feed_forward(placed).outputs[-1]
            if others is not None:
                outputs = others.average(self._side_by_side(others, placed, outputs))
        return as_array(outputs, like=a if like is None else like)

    def _side_by_side(self, averages: Averages, a: Array, outputs: Array) -> Array:
        """Return `outputs`, those of the network, with those of its averages behind them."""
        every = zip(*averages.weights, strict=True)
        others = [self.feed_forward(a, weights).outputs[-1] for weights in every]
        return namespace(outputs).stack([outputs, *others])

    def _take(self, now: Variables) -> None:
        self.weights = list(now.weights)  # the report keeps the other list as it is
        if self.mixture is not None:
            self.mixture.weights = now.candidates

    def objective(self, X: Array, Y: Array) -> float:
        """Return the objective at the feed-forward point: loss, summed over rows, and decay."""
        now = self.feed_forward(self._placed(self._inputs(X)))
        outputs = now.outputs[-1]
        targets = self.loss.encode(as_array(Y, like=outputs), outputs)
        decay = sum(rho * (w * w).sum() for rho, w in zip(self.rho, self.weights, strict=True))
        return float(self.loss.value(targets, outputs) + decay)

    def feed_forward(self, a: Array, weights: Sequence[Array] | None = None) -> Variables:
        """Return all variables at the feed-forward point of a placed input `a` with its ones."""
        weights = list(self.weights if weights is None else weights)
        inputs, outputs = [a], [self.layers[0].forward(a, weights[0])]
        for layer, w in zip(self.layers[1:], weights[1:], strict=True):
            a = with_ones(self.activation.phi(outputs[-1]))
            inputs.append(a)
            outputs.append(layer.forward(a, w))
        return Variables(weights, inputs, outputs, [None, *outputs[:-1]], {})

    def relaxed(self) -> LiftedNetwork:
        """Return a network of the same weights whose objective has no proximal terms.

        It is the Lagrange relaxation (7): ``L(Y, U_L) + sum_l lam_l B_l + rho_l ||W_l||^2``.
        """
        network = copy(self)
        network.weights = list(self.weights)
        network.gamma, network.gamma_unit = (0.0,) * len(self.weights), "absolute"
        network.mixture = network.averages = network.row_step = None
        return network

    def replace(
        self,
        weights: Sequence[Array] | None = None,
        lam: Sequence[float] | None = None,
        rho: Sequence[float] | None = None,
    ) -> None:
        """Set weights, lambda or rho of each layer; for new weights gamma begins to tune anew."""
        if weights is not None:
            self.weights = [self._placed(w) + 0.0 for w in weights]
            self.mixture = self.mixture and GammaMixture(self.weights[-1])
            self.averages = self.averages and Averages(self.weights)
        self.lam = self.lam if lam is None else tuple(lam)
        self.rho = self.rho if rho is None else tuple(rho)
        self.row_step = RowStep(self) if RowStep.serves(self) else None

    def _placed(self, a: Array) -> Array:
        """Return `a` in the network's library, precision and place."""
        if self.device == "cpu":
            a = a.numpy(force=True) if isinstance(a, torch.Tensor) else a
            return a.astype(self.dtype, copy=False)
        dtype = getattr(torch, self.dtype)
        return torch.as_tensor(a, dtype=dtype, device=self.device).detach()

    def _inputs(self, X: Array) -> Array:
        """Return X with its column of ones."""
        shape = tuple(getattr(X, "shape", ()))
        images = self.layers[0].inputs
        if len(images) == 3 and shape[1:] == images:
            X = X.reshape(len(X), -1)
        elif len(shape) != 2 or shape[1] != self.n_inputs:
            takes = f"(rows, {self.n_inputs})"
            if len(images) == 3:
                takes += f" or (rows, {', '.join(map(str, images))})"
            raise DataError(f"X has shape {shape}; the network takes {takes}")
        return with_ones(X)

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.weights)

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self.layers[0].n_inputs(self.weights[0])

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return int(self.weights[-1].shape[0])

    def grow_inputs(self, columns: Array) -> None:
        """Append inputs with weights `columns` (units x k); where they are 0 nothing changes.

        Raises
        ------
        ConfigError
            The inputs are images.
        """
        if len(self.layers[0].inputs) == 3:
            raise ConfigError(f"images of shape {self.layers[0].inputs} have no more inputs")
        self.weights[0] = append(self.weights[0], columns, axis=-1)
        if self.mixture is not None and len(self.weights) == 1:
            self.mixture.grow_inputs(columns)
        if self.averages is not None:
            self.averages.grow_inputs(columns)

    def grow_outputs(self, count: int) -> None:
        """Append `count` outputs whose weights are 0."""
        rows = np.zeros((count, self.weights[-1].shape[-1]))
        self.weights[-1] = append(self.weights[-1], rows, axis=-2)
        if self.mixture is not None:
            self.mixture.grow_outputs(rows)
        if self.averages is not None:
            self.averages.grow_outputs(rows)

    def rescale_outputs(self, factor: Array, shift: Array) -> None:
        """Let every output ``u`` become ``factor * u + shift``."""
        self.weights[-1] = rescaled(self.weights[-1], factor, shift)
        if self.mixture is not None:
            self.mixture.weights = rescaled(self.mixture.weights, factor, shift)
        if self.averages is not None:
            self.averages.rescale_outputs(factor, shift)
