"""Experts that predict side by side, and their weights, which depend on their past losses.

Before a batch is learnt, the weight of each expert is multiplied, for each row, by
``exp(-eta loss / typical loss)``. The typical loss is a running mean: dividing by it makes the
weights independent of the noise of the targets and of their units. A small part of all weights is
spread evenly, so that an expert can return when the stream changes (Herbster & Warmuth, "Tracking
the best expert", 1998).
"""

from __future__ import annotations

from math import inf

import numpy as np

from fenchel_stream.network import compiled
from fenchel_stream.network.arrays import Array, as_array, namespace
from fenchel_stream.network.losses import Loss

ETA = 0.5
"""Learning rate of the weights. At 1/2 the factor of a squared error is a Gaussian likelihood."""

SPREAD = 1e-4
"""Part of the weights that is spread evenly, per row."""

STAY = 0.99
"""At least this part is not spread, however many rows a batch has."""

WORST = 10.0
"""A row's loss counts as at most this multiple of the typical loss: one outlier does not decide."""

HORIZON = 1000
"""Number of rows over which the typical loss is a running mean."""

SETTLED = 100
"""After this many rows, one row can at most double the typical loss."""

TINY = 1e-12
"""Added to the typical loss, which is 0 where all losses were 0."""


class Experts:
    """Weights of a fixed number of experts.

    Parameters
    ----------
    count
        Number of experts.
    like
        An array of the kind, precision and device that the weights are to have.

    Attributes
    ----------
    expert_weights
        Weight of each expert; positive, with sum 1.
    typical_loss
        Running mean of the loss of a row, averaged over the experts by their weights.
    rows
        Number of rows of which `typical_loss` is the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.experts import Experts
    >>> from fenchel_stream.network.losses import LOSSES
    >>> experts = Experts(2, like=np.zeros(1))
    >>> outputs = np.array([[[0.1]], [[1.0]]])
    >>> losses = experts.score(LOSSES["squared_error"], np.zeros((1, 1)), outputs)
    >>> experts.expert_weights.round(2).tolist()
    [0.73, 0.27]
    """

    def __init__(self, count: int, like: Array) -> None:
        self.expert_weights = as_array(np.full(count, 1.0 / count), like=like)
        self.typical_loss: Array | float = 0.0
        self.rows = 0

    def score(self, loss: Loss, targets: Array, outputs: Array) -> Array:
        """Move the weights by the experts' outputs for a batch (experts x rows x outputs).

        Returns
        -------
        losses
            The loss of each expert in each row.
        """
        xp = namespace(outputs)
        losses = loss.rows(targets, outputs)
        count = losses.shape[1]
        typical = self.expert_weights @ losses
        if self.rows >= SETTLED:
            typical = typical.clip(None, self.rows * (self.typical_loss + TINY))
        self.rows = min(self.rows + count, max(HORIZON, count))
        self.typical_loss = self.typical_loss + (typical - self.typical_loss).sum() / self.rows
        ratios = (losses / (self.typical_loss + TINY)).clip(None, WORST).sum(1)
        weights = self.expert_weights * xp.exp(-ETA * (ratios - ratios.min()))
        stay = max((1.0 - SPREAD) ** count, STAY)
        self.expert_weights = stay / weights.sum() * weights + (1.0 - stay) / len(weights)
        return losses

    def score_row(self, loss: int, target: Array, outputs: Array) -> None:
        """Move the weights by the outputs for one row (experts x outputs), by compiled loops.

        `loss` is the code of the loss.
        """
        self.expert_weights, self.typical_loss = compiled.kernels.score(
            loss, *self._row(), target, outputs, self.expert_weights
        )

    def _row(self) -> tuple[tuple[float, float, float, float], tuple[float, int, float]]:
        """Count one row, and return the arguments `constants` and `usual` of `kernels.score`."""
        largest = inf if self.rows < SETTLED else float(self.rows * (self.typical_loss + TINY))
        self.rows = min(self.rows + 1, HORIZON)
        return (ETA, SPREAD, WORST, TINY), (largest, self.rows, float(self.typical_loss))

    def average(self, values: Array) -> Array:
        """Return the average of the experts' `values` by their weights."""
        return average(self.expert_weights, values)


def average(expert_weights: Array, values: Array) -> Array:
    """Return the average of `values` along the first axis, weighted by `expert_weights`."""
    shape = values.shape
    return (expert_weights @ values.reshape(shape[0], -1)).reshape(shape[1:])
