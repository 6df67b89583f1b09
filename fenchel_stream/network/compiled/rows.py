"""Compiled functions that predict or learn a whole row in one call.

One call from Python costs as much as one step of a small network. Therefore each row needs only one
call. The weights of a network are a tuple of arrays, one for each layer. The docstrings name the
arrays that a function overwrites.
"""

from __future__ import annotations

import numpy as np

from fenchel_stream.network.arrays import Array
from fenchel_stream.network.compiled.jit import compiled
from fenchel_stream.network.compiled.kernels import (
    _apply,
    _phi,
    move_towards,
    score,
    w_step,
    x_step,
)


@compiled
def _above(activation: int, u: Array) -> Array:
    """Return the input ``[1, phi(u)]`` of the layer above."""
    a = np.empty(u.shape[0] + 1, u.dtype)
    a[0] = 1.0
    for i in range(u.shape[0]):
        a[i + 1] = _phi(activation, u[i])
    return a


@compiled
def outputs(activation: int, weights: tuple[Array, ...], a: Array) -> Array:
    """Return the outputs of a network for the row `a` (1 + inputs,)."""
    for layer in range(len(weights)):
        u = np.empty(weights[layer].shape[0], a.dtype)
        _apply(weights[layer], a, u)
        if layer == len(weights) - 1:
            break
        a = _above(activation, u)
    return u


@compiled
def outputs_each(activation: int, stacks: tuple[Array, ...], a: Array, first: Array) -> Array:
    """Return the outputs `first`, and after them the outputs of several networks for the row `a`.

    `stacks` holds the weights of the networks (networks x units x inputs) for each layer.
    """
    count = stacks[0].shape[0]
    each = np.empty((1 + count, first.shape[0]), first.dtype)
    each[0] = first
    for e in range(count):
        x = a
        for layer in range(len(stacks)):
            u = np.empty(stacks[layer].shape[1], a.dtype)
            _apply(stacks[layer][e], x, u)
            if layer == len(stacks) - 1:
                each[e + 1] = u
            else:
                x = _above(activation, u)
    return each


@compiled
def mean(shares: Array, each: Array) -> Array:
    """Return the average of the rows `each`, weighted by `shares`."""
    total = np.zeros(each.shape[1], each.dtype)
    for e in range(each.shape[0]):
        for i in range(each.shape[1]):
            total[i] += shares[e] * each[e, i]
    return total


@compiled
def averaged_outputs(
    activation: int,
    weights: tuple[Array, ...],
    stacks: tuple[Array, ...],
    shares: Array,
    a: Array,
) -> Array:
    """Return the common prediction of a network and its averages for the row `a`."""
    alone = outputs(activation, weights, a)
    return mean(shares, outputs_each(activation, stacks, a, alone))


@compiled
def follow(
    kinds: tuple[int, int],
    constants: tuple[float, float, float, float],
    usual: tuple[float, int, float],
    steps: tuple[float, ...],
    target: Array,
    a: Array,
    first: Array,
    weights: tuple[Array, ...],
    stacks: tuple[Array, ...],
    shares: Array,
) -> tuple[Array, Array, float]:
    """Score the network and its averages by a row, and move the averages towards `weights`.

    `first` holds the network's own outputs before the row was learnt, `weights` its weights after
    the row was learnt. The averages in `stacks` are overwritten.

    Returns
    -------
    predicted, shares, level
        The common prediction before the row was learnt, and the results of `kernels.score`.
    """
    each = outputs_each(kinds[0], stacks, a, first)
    predicted = mean(shares, each)
    moved, level = score(kinds[1], constants, usual, target, each, shares)
    for layer in range(len(weights)):
        move_towards(stacks[layer], weights[layer], steps)
    return predicted, moved, level


@compiled
def forward(
    activation: int, weights: tuple[Array, ...], inputs: tuple[Array, ...], us: tuple[Array, ...]
) -> None:
    """Write the outputs `us` of all layers, and the `inputs` of all layers but the first."""
    for layer in range(len(weights)):
        _apply(weights[layer], inputs[layer], us[layer])
        if layer < len(weights) - 1:
            inputs[layer + 1][:] = _above(activation, us[layer])


@compiled
def descend(
    kinds: tuple[int, int],
    blocks: Array,
    lam: Array,
    curvatures: Array,
    slope: float,
    gammas: tuple[Array, ...],
    rho: Array,
    in_samples: bool,
    iterations: tuple[int, int],
    target: Array,
    weights: tuple[Array, ...],
    inputs: tuple[Array, ...],
    candidates: Array,
    shares: Array,
    new_weights: tuple[Array, ...],
    new_inputs: tuple[Array, ...],
    us: tuple[Array, ...],
    sources: tuple[Array, ...],
    new_candidates: Array,
) -> None:
    """Move the blocks of variables in the given order; the last five arguments are overwritten.

    `blocks` has one row for each move: 1 for W or 0 for X, and the layer. `candidates` is empty
    where gamma is fixed.
    """
    last, mixed = len(weights) - 1, candidates.shape[0] > 0
    alone = np.ones(1, shares.dtype)
    for layer in range(1, last + 1):
        sources[layer][:] = us[layer - 1]
    for block in range(blocks.shape[0]):
        layer = blocks[block, 1]
        w0, w, weight = weights[layer], new_weights[layer], alone
        first = w0.reshape((1, w0.shape[0], w0.shape[1]))
        stack = w.reshape((1, w.shape[0], w.shape[1]))
        goal = target
        if layer < last:
            goal = new_inputs[layer + 1][1:]
        elif mixed:
            first, stack, weight = candidates, new_candidates, shares
        if blocks[block, 0]:
            moved, average, u = w_step(
                kinds[0], kinds[1], lam[layer], curvatures[layer], gammas[layer], rho[layer],
                in_samples, iterations[0], goal, inputs[layer], new_inputs[layer], first, stack,
                weight,
            )  # fmt: skip
            stack[:] = moved
            w[:] = average
        else:
            source, x, u = x_step(
                kinds[0], kinds[1], lam[layer], slope * curvatures[layer], lam[layer - 1],
                iterations[1], goal, us[layer - 1], sources[layer], new_inputs[layer], stack,
                weight, w,
            )  # fmt: skip
            sources[layer][:] = source
            new_inputs[layer][:] = x
        us[layer][:] = u
