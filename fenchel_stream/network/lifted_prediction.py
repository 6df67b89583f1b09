"""Prediction by rule (12): the output with the least objective over all X-variables."""

from __future__ import annotations

from collections.abc import Sequence

from fenchel_stream.network.arrays import Array, as_array, namespace
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.losses import SquaredError
from fenchel_stream.network.problem import Problem

SWEEPS = 10
"""Passes over the X-variables of all layers for each class."""


def lifted_outputs(problem: Problem, weights: Sequence[Array], a: Array, like: Array) -> Array:
    """Return the outputs (m x outputs) by rule (12), in the library of `like`.

    For fixed weights, rule (12) looks for the output ``y`` and the X-variables that minimise

        ``L(y, U_L) + sum_l lam_l B(X_{l+1}, U_l)``.

    All terms are at least 0. With squared error the feed-forward point has the value 0: it is
    optimal, and its outputs are returned. With cross-entropy the value is always positive. Then
    block descent moves the X-variables for each class, starting from the feed-forward point. The
    output for the class is minus the value that the descent reaches, so that the largest output
    belongs to the predicted class. The time is proportional to the number of classes.

    The larger lambda is, the more often rule (12) and feed-forward predict the same class. On 397
    handwritten digits that a 64-32-16-10 network had not learnt, they agreed on 86 %, 89 %, 95 %
    and 99 % after training with a lambda of 0.01, 0.1, 1 and 10. Where they differed, feed-forward
    was right more often.

    Parameters
    ----------
    problem, weights
        The problem and the weights of the network.
    a
        Input with its column of ones (m x (1 + inputs)).
    like
        An array or a tensor: the outputs are of the same kind.
    """
    problem = problem.relaxed()
    forward = problem.forward(weights, a)
    outputs = forward.outputs[-1]
    if isinstance(problem.loss, SquaredError) or not problem.lam:
        return as_array(outputs, like=like)
    xp = namespace(outputs)
    energies = []
    for number in range(outputs.shape[-1]):
        targets = xp.zeros_like(outputs)
        targets[:, number] = 1.0
        now = forward.copy()
        now.sources = list(forward.sources)
        descent = Descent(problem, targets, forward, now)
        for _ in range(SWEEPS):
            for layer in range(problem.last, 0, -1):
                descent.move(("X", layer))
        energies.append(descent.rows(now))
    return as_array(-xp.stack(energies, -1), like=like)
