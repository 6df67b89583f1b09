"""Shares of experts that predict side by side, moved by how well each of them does.

Before a batch is learnt, the share of each expert is multiplied by ``exp(-eta loss / level)`` of
what it said of each row, where the level is the typical loss of late, so that neither the noise of
the targets nor their units matter. A small part of all shares is spread evenly, so that an expert
can come back when the stream changes (Herbster & Warmuth, "Tracking the best expert", 1998).
"""

from __future__ import annotations

from math import inf

import numpy as np

from fenchel_stream.network.arrays import Array, as_array, namespace
from fenchel_stream.network.compiled import kernels
from fenchel_stream.network.losses import Loss

ETA = 0.5
"""How fast shares follow the losses; with squared error, 1/2 makes of them Gaussian likelihoods."""

SPREAD = 1e-4
"""Part of the shares that is spread evenly, per row."""

STAY = 0.99
"""So much of them stays at least, however many rows a batch has."""

WORST = 10.0
"""A row's loss counts at most so many times the level: one outlier does not decide."""

HORIZON = 1000
"""Rows that the level looks back on."""

SETTLED = 100
"""From so many rows on a single one can at most double the level."""

TINY = 1e-12
"""Where all losses were 0, the level is taken for this."""


class Experts:
    """Shares of a fixed number of experts.

    Parameters
    ----------
    count
        How many there are.
    like
        An array of the kind, precision and device that the shares are to have.

    Attributes
    ----------
    shares
        Positive, with sum 1.
    level
        Running mean of the average expert's loss of a row, over `rows` rows.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.experts.shares import Experts
    >>> from fenchel_stream.network.losses import LOSSES
    >>> experts = Experts(2, like=np.zeros(1))
    >>> outputs = np.array([[[0.1]], [[1.0]]])
    >>> losses = experts.score(LOSSES["squared_error"], np.zeros((1, 1)), outputs)
    >>> experts.shares.round(2).tolist()
    [0.73, 0.27]
    """

    def __init__(self, count: int, like: Array) -> None:
        self.shares = as_array(np.full(count, 1.0 / count), like=like)
        self.level: Array | float = 0.0
        self.rows = 0

    def score(self, loss: Loss, targets: Array, outputs: Array) -> Array:
        """Move the shares by what each expert said of a batch (experts x rows x outputs).

        Returns
        -------
        losses
            Of each expert in each row.
        """
        xp = namespace(outputs)
        losses = loss.rows(targets, outputs)
        count = losses.shape[1]
        typical = self.shares @ losses
        if self.rows >= SETTLED:
            typical = typical.clip(None, self.rows * (self.level + TINY))
        self.rows = min(self.rows + count, max(HORIZON, count))
        self.level = self.level + (typical - self.level).sum() / self.rows
        ratios = (losses / (self.level + TINY)).clip(None, WORST).sum(1)
        shares = self.shares * xp.exp(-ETA * (ratios - ratios.min()))
        stay = max((1.0 - SPREAD) ** count, STAY)
        self.shares = stay / shares.sum() * shares + (1.0 - stay) / len(shares)
        return losses

    def score_row(self, loss: int, target: Array, outputs: Array) -> None:
        """Do the same for a row (experts x outputs), by compiled loops; `loss` is its code."""
        self.shares, self.level = kernels.score(loss, *self._row(), target, outputs, self.shares)

    def _row(self) -> tuple[tuple[float, float, float, float], tuple[float, int, float]]:
        """Count a row; return what `kernels.score` takes of the constants and of the level."""
        most = inf if self.rows < SETTLED else float(self.rows * (self.level + TINY))
        self.rows = min(self.rows + 1, HORIZON)
        return (ETA, SPREAD, WORST, TINY), (most, self.rows, float(self.level))

    def average(self, values: Array) -> Array:
        """Return the average of the experts' `values` by their shares."""
        shape = values.shape
        return (self.shares @ values.reshape(shape[0], -1)).reshape(shape[1:])
