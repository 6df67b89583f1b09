"""Averaged weights: what a network was over some time, as further experts for prediction.

Learning by exact steps follows each batch closely, its noise included. Averages of all weights over
the last 100 and the last 1000 rows do not, and lag behind a change; so the network and its averages
predict together, with shares that follow how well each does. Learning itself never looks at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

import numpy as np

from fenchel_stream.network.arrays import Array, append_to_each, as_array, namespace
from fenchel_stream.network.compiled import kernels
from fenchel_stream.network.compiled import rows as row_kernels
from fenchel_stream.network.experts.shares import WORST, Experts
from fenchel_stream.network.losses import Loss

HORIZONS = (100, 1000)
"""Rows that the averages look back on."""

SCORED = 32
"""So many rows of a batch decide on the shares: a forward pass of all would cost more than it
tells."""

SURPRISE = 3.0
"""Where even the best expert's loss in a batch is so many times the usual one, the stream has
changed: the network is about to learn that from the whole batch, its averages are not."""

FEW = 10
"""Fewer rows may be outliers, and are no sign of a change."""


def sample(rows: int) -> slice:
    """Return which of a batch's rows decide on shares."""
    return slice(None, None, -(-rows // SCORED))


class Averages(Experts):
    """Averages of a network's weights; the first expert is the network as it is.

    Parameters
    ----------
    weights
        Of the network's layers.

    Attributes
    ----------
    weights
        Of the layers (horizons x units x inputs).
    learnt
        Rows that the averages have seen.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.experts.averages import Averages
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
        """Move the shares by what each said of a batch; after a change trust the network alone."""
        xp, usual = namespace(outputs), self.level
        losses = super().score(loss, targets, outputs)
        if len(targets) >= FEW:
            best = losses.clip(None, WORST * usual).mean(1).min()
            alone = as_array(np.eye(len(self.shares))[0], like=self.shares)
            self.shares = xp.where(best > SURPRISE * usual, alone, self.shares)
        return losses

    def follow(self, weights: Sequence[Array], rows: int) -> None:
        """Take in the weights after a batch of `rows` rows; they weigh as much as its rows do."""
        steps = self._steps(rows)
        for averages, w in zip(self.weights, weights, strict=True):
            if namespace(w) is np:
                kernels.move_towards(averages, w, steps)
                continue
            # Numbers and no array of them: to copy one to a GPU is to wait for it.
            for average, step in zip(averages, steps, strict=True):
                average.lerp_(w, step)

    def follow_row(
        self, kinds: tuple[int, int], target: Array, a: Array, said: Array, weights: Sequence[Array]
    ) -> Array:
        """Do both for a row `a` (1 + inputs,), by compiled loops.

        `kinds` are the codes of activation and loss, `said` is what the network said before, and
        `weights` are its weights after the row. Return what all together said before.
        """
        predicted, self.shares, self.level = row_kernels.follow(
            kinds, *self._row(), self._steps(1), target, a, said, tuple(weights),
            tuple(self.weights), self.shares,
        )  # fmt: skip
        return predicted

    def _steps(self, rows: int) -> tuple[float, ...]:
        """Count rows; return how far each average goes towards the weights after them."""
        self.learnt += rows
        # The plain average, until it would look back on more rows than the horizon.
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
    """Return output weights with which ``u`` is ``factor * u + shift``."""
    w = w * as_array(factor, like=w)[:, None]
    w[..., 0] += as_array(shift, like=w)
    return w
