"""What one batch minimises: objective (13) with its settings, and the variables that move.

Rows are samples, and ``U_l = A_l W_l^T``. In a dense layer ``A_l`` is ``[1, X_l]``; in a
convolution it is the unfolding (11) of ``X_l``. The biases are the first column of ``W_l``. At the
feed-forward point ``X_{l+1} = phi(U_l)``. From this point the steps of a batch descend on

    ``L(Y, U_L) + sum_l lam_l B(X_{l+1}, U_l) + rho_l ||W_l||^2 + gamma_l ||W_l - W_l^0||^2``.

A `Problem` is everything about a network except its weights. The algorithms take a problem and
weights, and do not depend on `LiftedNetwork`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Literal, TypeAlias

import numpy as np

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.activations import Activation, get_activation
from fenchel_stream.network.arrays import Array, with_ones
from fenchel_stream.network.layers import Layer
from fenchel_stream.network.losses import Loss, get_loss
from fenchel_stream.network.solvers import ProximalMetric

HIDDEN_GAMMA = 0.1
"""Gamma of hidden layers where it is ``auto``, in samples: the best one on nearly all streams."""

ITERATIONS = {"W": 3, "X": 5}
"""Steps of each solver for one block, unless the settings say otherwise."""

ROW_ITERATIONS = {"W": 1, "X": 2}
"""The same for a batch of one row. More steps gave better results on no stream."""

Kind: TypeAlias = Literal["X", "W"]
Block: TypeAlias = tuple[Kind, int]
"""A block of variables: its kind and its layer."""


@dataclass(slots=True)
class Variables:
    """The variables of one batch, by layer; steps replace arrays and never overwrite them.

    Attributes
    ----------
    weights, inputs, outputs
        ``W_l``, ``A_l = [1, X_l]`` and ``U_l = A_l W_l^T``.
    sources
        ``S_l`` with ``X_l = phi(S_l)``, at index ``l``. The item at index 0 is not used.
    metrics
        The factorised metric of each input ``A_l``. It is removed when the input moves.
    candidates, expert_weights
        Where gamma is ``auto``, the output weights of the candidates (candidates x outputs x
        inputs) and the weight of each candidate in the average; otherwise None.
    """

    weights: list[Array]
    inputs: list[Array]
    outputs: list[Array]
    sources: list[Array]
    metrics: dict[int, ProximalMetric]
    candidates: Array = None
    expert_weights: Array = None

    def copy(self) -> Variables:
        """Return new lists of the same arrays, without sources and metrics."""
        lists = list(self.weights), list(self.inputs), list(self.outputs)
        return Variables(*lists, [], {}, self.candidates, self.expert_weights)


@dataclass(frozen=True)
class Problem:
    """Layers, activation, loss and the settings of objective (13); it never changes.

    Build a problem with `Problem.of`. `configured` and `dataclasses.replace` return a problem with
    other settings.

    Attributes
    ----------
    layers
        The linear map of each layer.
    activation, loss
        The activation of the hidden layers, and the loss of the outputs.
    gamma_unit
        ``sample`` or ``absolute``: see `Problem.of`.
    x_iterations, w_iterations
        Steps of the two solvers for one block. None chooses `ROW_ITERATIONS` for a batch of one row
        and `ITERATIONS` for other batches.
    lam, gamma, rho
        `lam` has one number for each hidden layer; `gamma` and `rho` have one for each layer.
    tuned
        Whether gamma is ``auto``. The output layer then has several candidates.
    schedule
        The blocks of variables in the order in which a batch moves them.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.layers import Dense
    >>> from fenchel_stream.network.problem import Problem
    >>> problem = Problem.of([Dense(2), Dense(1)], loss="squared_error", lam=0.5, gamma=1.0)
    >>> problem.lam, problem.schedule
    ((0.5,), (('W', 1), ('X', 1), ('W', 0)))
    >>> weights = [np.ones((2, 2)), np.ones((1, 3))]
    >>> problem.forward(weights, np.array([[1.0, 2.0]])).outputs[-1].tolist()
    [[7.0]]
    """

    layers: tuple[Layer, ...]
    activation: Activation
    loss: Loss
    gamma_unit: str
    x_iterations: int | None
    w_iterations: int | None
    lam: tuple[float, ...] = ()
    gamma: tuple[float, ...] = ()
    rho: tuple[float, ...] = ()
    tuned: bool = False
    schedule: tuple[Block, ...] = ()

    @classmethod
    def of(
        cls,
        layers: Sequence[Layer],
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
    ) -> Problem:
        """Return the problem with the given settings, which `LiftedNetwork` takes too.

        Parameters
        ----------
        layers
            The linear map of each layer.
        activation
            Activation of the hidden layers: relu, leaky_relu, tanh, sigmoid, softplus, elu,
            identity, or an `Activation` of your own.
        loss
            ``cross_entropy`` or ``squared_error``.
        lam
            Weight of the Fenchel divergence, one number or one per hidden layer.
        gamma
            Weight of the proximal term, one number or one per layer. In the unit ``sample`` it
            counts in samples: at 1 a layer's old weights weigh as much as one row of the batch,
            whatever the scale of the data. In the unit ``absolute`` it is the paper's gamma.
            ``auto`` means 0.1 samples for hidden layers; for the output layer gamma is tuned while
            the network learns (see `GammaMixture`).
        gamma_unit
            ``sample`` or ``absolute``.
        rho
            Weight of the squared norm of the weights, one number or one per layer.
        alternations
            Passes over the blocks in each batch, the paper's K.
        order
            ``top_down``: ``W_L, X_L, W_{L-1}, ... W_0``; ``paper``: all X, then all W. See Notes.
        x_iterations, w_iterations
            Inner steps of the two solvers; by default 5 and 3, and for a batch of one row 2 and 1.

        Raises
        ------
        ConfigError
            A setting is unknown or out of range.

        Notes
        -----
        In the paper's order, the features move towards the labels before the last layer is fitted
        to them. The network does not produce such features when it predicts. In the top-down order,
        the last layer is fitted to the features that the network produces.
        """
        if gamma_unit not in ("sample", "absolute"):
            raise ConfigError(f"gamma_unit is 'sample' or 'absolute', not {gamma_unit!r}")
        pair, output_loss = get_activation(activation), get_loss(loss)
        problem = cls(tuple(layers), pair, output_loss, gamma_unit, None, None)
        problem = problem.iterated(x_iterations, w_iterations)
        return problem.configured(lam, gamma, rho, alternations, order)

    def configured(
        self,
        lam: float | Sequence[float],
        gamma: float | Sequence[float] | str,
        rho: float | Sequence[float],
        alternations: int,
        order: str,
    ) -> Problem:
        """Return the problem with new values of the settings that may change between two batches.

        Raises
        ------
        ConfigError
            A value is out of range, or a sequence does not have one number for each layer.
        """
        depth = len(self.layers)
        tuned = isinstance(gamma, str)
        if isinstance(gamma, str):
            if gamma != "auto":
                raise ConfigError(f"gamma is a number, one per layer, or 'auto', not {gamma!r}")
            if self.gamma_unit != "sample":
                raise ConfigError("gamma='auto' counts in samples; gamma_unit must be 'sample'")
            gamma = [HIDDEN_GAMMA] * depth
        if alternations < 1:
            raise ConfigError(f"alternations must be at least 1, not {alternations!r}")
        return replace(
            self,
            lam=per_layer("lam", lam, depth - 1),
            gamma=per_layer("gamma", gamma, depth),
            rho=per_layer("rho", rho, depth, zero=True),
            tuned=tuned,
            schedule=alternations * block_order(order, depth),
        )

    def iterated(self, x_iterations: int | None, w_iterations: int | None) -> Problem:
        """Return the problem with other numbers of inner steps.

        Raises
        ------
        ConfigError
            A number is less than 1.
        """
        for name, count in (("x_iterations", x_iterations), ("w_iterations", w_iterations)):
            if count is not None and count < 1:
                raise ConfigError(f"{name} must be at least 1, not {count!r}")
        return replace(self, x_iterations=x_iterations, w_iterations=w_iterations)

    def relaxed(self) -> Problem:
        """Return the Lagrange relaxation (7), which is (13) without the proximal terms.

        It is ``L(Y, U_L) + sum_l lam_l B(X_{l+1}, U_l) + sum_l rho_l ||W_l||^2``.
        """
        return replace(self, gamma=(0.0,) * len(self.layers), gamma_unit="absolute", tuned=False)

    @property
    def last(self) -> int:
        """Number of the output layer."""
        return len(self.layers) - 1

    def iterations(self, kind: Kind, rows: int) -> int:
        """Return the number of inner steps for a block in a batch of `rows` rows."""
        chosen = self.w_iterations if kind == "W" else self.x_iterations
        return chosen or (ROW_ITERATIONS if rows == 1 else ITERATIONS)[kind]

    def curvature(self, layer: int) -> float:
        """Return the curvature ``c`` of the term of the objective in a layer's outputs ``U_l``."""
        if layer == self.last:
            return self.loss.curvature
        return self.lam[layer] * self.activation.curvature

    def forward(self, weights: Sequence[Array], a: Array) -> Variables:
        """Return all variables at the feed-forward point of the input `a` (m x (1 + inputs))."""
        inputs, outputs = [a], [self.layers[0].forward(a, weights[0])]
        for layer, w in zip(self.layers[1:], weights[1:], strict=True):
            a = with_ones(self.activation.phi(outputs[-1]))
            inputs.append(a)
            outputs.append(layer.forward(a, w))
        return Variables(list(weights), inputs, outputs, [None, *outputs[:-1]], {})


def block_order(order: str, depth: int) -> tuple[Block, ...]:
    """Return the blocks of one alternation, in the order in which they move.

    Raises
    ------
    ConfigError
        The order is unknown.
    """
    down = range(depth - 1, -1, -1)
    if order == "top_down":
        moves: list[Block] = [(kind, layer) for layer in down for kind in ("W", "X")]
        return tuple(moves[:-1])
    if order == "paper":
        return tuple([("X", layer) for layer in down[:-1]] + [("W", layer) for layer in down])
    raise ConfigError(f"order is 'top_down' or 'paper', not {order!r}")


def per_layer(
    name: str, value: float | Sequence[float], count: int, *, zero: bool = False
) -> tuple[float, ...]:
    """Return `value`, one number or a sequence, as `count` positive numbers.

    Raises
    ------
    ConfigError
        A number is not positive (with `zero`: it is negative), or a sequence does not have `count`
        numbers.
    """
    values: list[Any] = np.ravel(value).tolist() if np.ndim(value) else [value] * count
    if len(values) != count:
        raise ConfigError(f"{name} needs one number or {count}, one per layer; got {value!r}")
    if not all(isfinite(v) and (v > 0 or (zero and v == 0)) for v in values):
        raise ConfigError(f"{name} must be {'at least 0' if zero else 'positive'}; got {value!r}")
    return tuple(map(float, values))
