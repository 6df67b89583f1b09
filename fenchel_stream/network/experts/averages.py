"""Averaged weights of a network, as further experts for prediction.

Exact steps fit each batch closely, and fit its noise too. Averages of the weights over the last 100
and the last 1000 rows have less noise, but follow a change of the stream later. Therefore the
predictions of the network and of its averages are averaged, and each of them has an expert weight
that depends on its past losses. Learning does not depend on the averages.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

import numpy as np

from fenchel_stream.network import compiled
from fenchel_stream.network.arrays import Array, append_to_each, as_array, namespace
from fenchel_stream.network.experts.shares import WORST, Experts
from fenchel_stream.network.losses import Loss

HORIZONS = (100, 1000)
"""Number of rows that each average covers."""

SCORED = 32
"""At most this many rows of a batch are scored; more would cost time and change little."""

SURPRISE = 3.0
"""The stream has changed if even the best expert's loss exceeds this multiple of the typical loss.

The network learns the change from the whole batch, but its averages follow slowly."""

FEW = 10
"""A batch of fewer rows is no proof of a change: its rows may be outliers."""


def sample(rows: int) -> slice:
    """Return a slice that selects the rows of a batch that are scored."""
    return slice(None, None, -(-rows // SCORED))


class Averages(Experts):
    """Averages of a network's weights; the first expert is the network itself.

    Parameters
    ----------
    weights
        The network's weights, by layer.

    Attributes
    ----------
    weights
        The averages, by layer (horizons x units x inputs).
    learnt
        Number of rows learnt.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.experts import Averages
    >>> averages = Averages([np.zeros((1, 1))])
    >>> for w in (1.0, 2.0, 3.0):
    ...     averages.follow([np.full((1, 1), w)], rows=1)
    >>> averages.weights[0].tolist()
    [[[2.0]], [[2.0]]]
    """

    def __init__(self, weights: Sequence[Array]) -> None:
        super().__init__(1 + len(HORIZONS), like=weights[-1])
        self.weights = [namespace(w).stack([w] * len(HORIZONS)) for w in weights]
        self.learnt = 0

    def score(self, loss: Loss, targets: Array, outputs: Array) -> Array:
        """Move the expert weights by a batch; after a change the network alone predicts."""
        xp, typical_loss = namespace(outputs), self.typical_loss
        losses = super().score(loss, targets, outputs)
        if len(targets) >= FEW:
            best = losses.clip(None, WORST * typical_loss).mean(1).min()
            alone = as_array(np.eye(len(self.expert_weights))[0], like=self.expert_weights)
            self.expert_weights = xp.where(
                best > SURPRISE * typical_loss, alone, self.expert_weights
            )
        return losses

    def follow(self, weights: Sequence[Array], rows: int) -> None:
        """Move the averages towards the network's weights after a batch of `rows` rows."""
        steps = self._steps(rows)
        for averages, w in zip(self.weights, weights, strict=True):
            if type(w) is np.ndarray:
                compiled.kernels.move_towards(averages, w, steps)
                continue
            # Each step is a number and not an array: a copy to a GPU waits for the GPU.
            for average, step in zip(averages, steps, strict=True):
                average.lerp_(w, step)

    def follow_row(
        self,
        codes: tuple[int, int],
        target: Array,
        a: Array,
        outputs: Array,
        weights: Sequence[Array],
    ) -> Array:
        """Score the experts by one row, and move the averages, by compiled loops.

        Parameters
        ----------
        codes
            Codes of the activation and of the loss.
        target, a
            Target of the row, and its input with its 1 (1 + inputs,).
        outputs
            The network's outputs before the row was learnt.
        weights
            The network's weights after the row was learnt.

        Returns
        -------
        predicted
            The average outputs of the network and its averages, before the row was learnt.
        """
        predicted, self.expert_weights, self.typical_loss = compiled.rows.follow(
            codes, *self._row(), self._steps(1), target, a, outputs, tuple(weights),
            tuple(self.weights), self.expert_weights,
        )  # fmt: skip
        return predicted

    def _steps(self, rows: int) -> tuple[float, ...]:
        """Count `rows` further rows, and return the step of each average to the new weights."""
        self.learnt += rows
        # Until the horizon is reached, the average is the plain mean over all rows.
        return tuple([max(1.0 - exp(-rows / h), rows / self.learnt) for h in HORIZONS])

    def grow_inputs(self, columns: Array) -> None:
        """Append inputs with weights `columns` (units x k)."""
        self.weights[0] = append_to_each(self.weights[0], columns, axis=-1)

    def grow_outputs(self, rows: Array) -> None:
        """Append outputs with weights `rows` (k x inputs)."""
        self.weights[-1] = append_to_each(self.weights[-1], rows, axis=-2)

    def rescale_outputs(self, factor: Array, shift: Array) -> None:
        """Let every output ``u`` become ``factor * u + shift``."""
        self.weights[-1] = rescaled(self.weights[-1], factor, shift)


def rescaled(w: Array, factor: Array, shift: Array) -> Array:
    """Return the output weights that turn every output ``u`` into ``factor * u + shift``."""
    w = w * as_array(factor, like=w)[:, None]
    w[..., 0] += as_array(shift, like=w)
    return w
