"""Self-tuning gamma: output layers that differ in gamma only, averaged by how well they predict.

The best gamma differs from stream to stream by two orders of magnitude, and nearly all of that is
the output layer's. So several output layers, the *candidates*, learn side by side on the same
features, each with its own gamma, and are experts with shares (see `experts`). The network's output
layer is the candidates' average.

Within a batch the shares stand still, and all steps descend on one objective: (13) with the output
layer's terms averaged over the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fenchel_stream.network.arrays import Array, append_to_each, as_array, namespace
from fenchel_stream.network.experts.shares import Experts
from fenchel_stream.network.losses import Loss

GAMMAS = (0.1, 1.0, 10.0, 100.0)
"""Candidates, in samples."""


@dataclass(slots=True)
class MixtureTerm:
    """``sum_e share_e L(Y, U_e)`` of the scaled outputs ``sqrt(share_e) U_e``, side by side.

    In these variables its curvature is that of the loss.
    """

    loss: Loss
    targets: Array
    roots: Array

    @property
    def curvature(self) -> float:
        """See `Term`."""
        return self.loss.curvature

    def value(self, u: Array) -> Array:
        """See `Term`."""
        rows = self.loss.rows(self.targets[..., None, :], self._apart(u) / self.roots)
        return (self.roots[:, 0] ** 2 * rows).sum()

    def gradient(self, u: Array) -> Array:
        """See `Term`."""
        gradient = self.loss.gradient(self.targets[..., None, :], self._apart(u) / self.roots)
        return (self.roots * gradient).reshape(u.shape)

    def _apart(self, u: Array) -> Array:
        return u.reshape(*u.shape[:-1], len(self.roots), -1)


class GammaMixture(Experts):
    """The candidates' weights and shares.

    Parameters
    ----------
    weights
        Of the output layer at the start (outputs x inputs).

    Attributes
    ----------
    weights
        Of the candidates (candidates x outputs x inputs).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.losses import LOSSES
    >>> from fenchel_stream.network.experts.gamma_mixture import GammaMixture
    >>> mixture = GammaMixture(np.zeros((2, 3)))
    >>> outputs = np.zeros((4, 1, 2))
    >>> outputs[0, 0, 1] = 3.0
    >>> losses = mixture.score(LOSSES["cross_entropy"], np.array([[0.0, 1.0]]), outputs)
    >>> int(mixture.shares.argmax()), round(mixture.gamma)
    (0, 23)
    """

    def __init__(self, weights: Array) -> None:
        count = len(GAMMAS)
        super().__init__(count, like=weights)
        self.gammas = as_array(np.array(GAMMAS).reshape(-1, 1, 1), like=weights)
        self.weights = namespace(weights).stack([weights] * count)

    def side_by_side(self, weights: Array) -> tuple[Array, Array]:
        """Return the roots of the shares, and the candidates' `weights` scaled by them, stacked."""
        roots = self.shares[:, None] ** 0.5
        return roots, (roots[..., None] * weights).reshape(-1, weights.shape[-1])

    def grow_inputs(self, columns: Array) -> None:
        """Append inputs with weights `columns` (outputs x k)."""
        self.weights = append_to_each(self.weights, columns, axis=-1)

    def grow_outputs(self, rows: Array) -> None:
        """Append outputs with weights `rows` (k x inputs)."""
        self.weights = append_to_each(self.weights, rows, axis=-2)

    @property
    def gamma(self) -> float:
        """The average of the candidates' gammas, in samples, by their shares."""
        return float((self.shares * self.gammas.reshape(-1)).sum())
