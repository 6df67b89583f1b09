"""The form of a network: which arrays it has, of which shapes and types.

Compiled loops read and write without looking at bounds. Learning keeps the form; a checkpoint may
hold anything. Therefore `check_network` holds all that the compiled loops rely on, in one place,
and whoever restores a network asks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fenchel_stream.errors import CheckpointError
from fenchel_stream.network.activations import Activation
from fenchel_stream.network.arrays import Array, is_tensor
from fenchel_stream.network.experts.averages import HORIZONS, Averages
from fenchel_stream.network.experts.gamma_mixture import GAMMAS, GammaMixture
from fenchel_stream.network.experts.shares import Experts
from fenchel_stream.network.layers.layer import Layer, size
from fenchel_stream.network.losses import Loss
from fenchel_stream.network.problem import Problem, block_order

if TYPE_CHECKING:
    from fenchel_stream.network.lifted_network import LiftedNetwork

MOST_STEPS = 10_000
"""The most inner steps for one block: more would look like a run that hangs."""


def check_network(network: LiftedNetwork) -> None:
    """Make sure that the parts of a network fit each other, before a compiled loop uses them.

    Raises
    ------
    CheckpointError
        A part has another form; the message names it.

    Examples
    --------
    >>> from fenchel_stream import LiftedNetwork
    >>> from fenchel_stream.network.form import check_network
    >>> network = LiftedNetwork.dense([2, 8, 1])
    >>> check_network(network)
    >>> network.averages.weights[0] = network.averages.weights[0][:, :4]
    >>> check_network(network)
    Traceback (most recent call last):
    fenchel_stream.errors.CheckpointError: averages.weights[0] has another form than its network
    """
    problem, weights = network.problem, network.weights
    check_problem(problem)
    require(network.dtype in ("float32", "float64"), "dtype")
    require(type(weights) is list and len(weights) == len(problem.layers), "weights")
    below: int | None = None
    for number, (layer, w) in enumerate(zip(problem.layers, weights, strict=True)):
        shape: tuple[Any, ...] = np.shape(w)[:1] + np.shape(w)[1:2]
        if not layer.compiled:
            shape, outputs = layer.weight_shape, size(layer.outputs)
        else:
            # A dense layer may have grown: its inputs are the outputs of the layer below it.
            shape = shape if below is None else (*shape[:1], 1 + below)
            outputs = shape[0] if shape else 0
        check_array(w, shape, network.dtype, f"weights[{number}]")
        below = outputs
    require(weights[0].shape[1] > 0, "weights[0]")
    mixture, averages = network.mixture, network.averages
    kinds = (GammaMixture, Averages) if problem.tuned else (type(None), type(None))
    require((type(mixture), type(averages)) == kinds, "gamma")
    if mixture is not None:
        check_experts(mixture, len(GAMMAS), network.dtype, "mixture")
        shape = (len(GAMMAS), *weights[-1].shape)
        check_array(mixture.weights, shape, network.dtype, "mixture.weights")
    if averages is not None:
        check_experts(averages, 1 + len(HORIZONS), network.dtype, "averages")
        require(type(averages.learnt) is int and averages.learnt >= 0, "averages.learnt")
        stacks = averages.weights
        require(type(stacks) is list and len(stacks) == len(weights), "averages.weights")
        for number, (stack, w) in enumerate(zip(stacks, weights, strict=True)):
            shape = (len(HORIZONS), *w.shape)
            check_array(stack, shape, network.dtype, f"averages.weights[{number}]")


def check_experts(experts: Experts, count: int, dtype: str, where: str) -> None:
    """Make sure that there are `count` experts with weights of a type.

    Raises
    ------
    CheckpointError
        They have another form.
    """
    check_array(experts.expert_weights, (count,), dtype, f"{where}.expert_weights")
    require(type(experts.rows) is int and experts.rows >= 0, f"{where}.rows")
    loss = experts.typical_loss
    number = isinstance(loss, (float, np.floating)) or (np.ndim(loss) == 0 and is_tensor(loss))
    require(number, f"{where}.typical_loss")


def check_problem(problem: Problem) -> None:
    """Make sure that a problem is one that `Problem.of` could have made.

    Raises
    ------
    CheckpointError
        A setting is not.
    """
    layers, depth = problem.layers, len(problem.layers)
    require(depth > 0 and all(isinstance(layer, Layer) for layer in layers), "layers")
    require(isinstance(problem.activation, Activation), "activation")
    require(isinstance(problem.loss, Loss), "loss")
    for part in (problem.activation, problem.loss, *layers):
        # Whether compiled loops serve a part is said by its class.
        require(not {"code", "compiled"} & vars(part).keys(), type(part).__name__)
    require(problem.gamma_unit in ("sample", "absolute"), "gamma_unit")
    for steps in (problem.x_iterations, problem.w_iterations):
        require(steps is None or (type(steps) is int and steps <= MOST_STEPS), "iterations")
    gamma: Any = "auto" if problem.tuned else problem.gamma
    rounds = max(1, len(problem.schedule) // (2 * depth - 1))
    made = [
        problem.iterated(problem.x_iterations, problem.w_iterations).configured(
            problem.lam, gamma, problem.rho, rounds, order
        )
        for order in ("top_down", "paper")
        if repr(rounds * block_order(order, depth)) == repr(problem.schedule)
    ]
    # Texts differ where types do: a layer of number 1.0 would be compiled as another program.
    require(any(repr(one) == repr(problem) for one in made), "the problem")


def check_array(x: Array, shape: tuple[int, ...], dtype: str, where: str) -> None:
    """Make sure that an array has a shape, a type of numbers, and no gaps in memory.

    Raises
    ------
    CheckpointError
        It has another form.
    """
    if is_tensor(x):
        fits = tuple(x.shape) == shape and str(x.dtype) == f"torch.{dtype}"
    else:
        fits = type(x) is np.ndarray and x.shape == shape and x.dtype == dtype
        fits = fits and x.flags.c_contiguous and x.flags.aligned
    require(fits, where)


def require(fits: bool, where: str) -> None:
    """Raise a `CheckpointError` about `where` unless it `fits`."""
    if not fits:
        raise CheckpointError(f"{where} has another form than its network")
