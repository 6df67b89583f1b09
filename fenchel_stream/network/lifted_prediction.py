"""The prediction rule (12): the output whose best X-variables cost least."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fenchel_stream.network.arrays import Array, as_array, namespace
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.losses import SquaredError

if TYPE_CHECKING:
    from fenchel_stream.network.lifted_network import LiftedNetwork

SWEEPS = 10
"""Passes over the X-variables of all layers for each class."""


def lifted_outputs(network: LiftedNetwork, a: Array, like: Array) -> Array:
    """Return what (12) says of an input `a` with its column of ones (m x outputs).

    With weights held fixed, (12) looks for the output ``y`` and the X-variables with the least

        ``L(y, U_L) + sum_l lam_l B(X_{l+1}, U_l)``.

    All terms are at least 0. With squared error the feed-forward point has the value 0, so that it
    is optimal and its outputs are returned. Cross-entropy is never 0; for each class the
    X-variables are moved from the feed-forward point by block descent, and what is returned is
    minus the value reached, so that the largest output is the predicted class. The costs grow with
    the number of classes.

    Both rules differ the less, the larger lambda is. Of 397 handwritten digits that a 64-32-16-10
    network had not seen, they agreed on 86 %, 89 %, 95 % and 99 % when it was trained with a
    lambda of 0.01, 0.1, 1 and 10, and where they did not, feed-forward was right more often.
    """
    network = network.relaxed()
    forward = network.feed_forward(a)
    outputs = forward.outputs[-1]
    if isinstance(network.loss, SquaredError) or not network.lam:
        return as_array(outputs, like=like)
    xp = namespace(outputs)
    energies = []
    for number in range(outputs.shape[-1]):
        targets = xp.zeros_like(outputs)
        targets[:, number] = 1.0
        now = forward.copy()
        now.sources = list(forward.sources)
        descent = Descent(network, targets, forward, now)
        for _ in range(SWEEPS):
            for layer in range(len(network.lam), 0, -1):
                descent.move(("X", layer))
        energies.append(descent.rows(now))
    return as_array(-xp.stack(energies, -1), like=like)
