"""Self-tuning gamma: output layers that differ in gamma only, averaged by how well they predict.

The best gamma differs from stream to stream by two orders of magnitude, mostly in the output layer.
So several output layers, the *candidates*, learn side by side on the same features, each with its
own gamma. Each has an expert weight, which depends on its past losses. The network's output layer
is the weighted average of the candidates.

Within a batch the expert weights are constant, and all steps descend on one objective: (13) with
the output layer's terms averaged over the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

from fenchel_stream.network.arrays import Array, append_to_each, constants, namespace
from fenchel_stream.network.experts.averages import rescaled
from fenchel_stream.network.experts.shares import Experts
from fenchel_stream.network.losses import Loss

GAMMAS = (0.1, 1.0, 10.0, 100.0)
"""Gamma of each candidate, in samples."""


@dataclass(slots=True)
class MixtureTerm:
    """``sum_e p_e L(Y, U_e)`` as a function of the scaled outputs ``sqrt(p_e) U_e``, side by side.

    ``p_e`` is the weight of candidate ``e``, and `roots` holds ``sqrt(p_e)``. As a function of the
    scaled outputs, the term has the curvature of the loss.
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
        rows = self.loss.rows(self.targets[..., None, :], self._by_candidate(u) / self.roots)
        return (self.roots[:, 0] ** 2 * rows).sum()

    def gradient(self, u: Array) -> Array:
        """See `Term`."""
        gradient = self.loss.gradient(
            self.targets[..., None, :], self._by_candidate(u) / self.roots
        )
        return (self.roots * gradient).reshape(u.shape)

    def _by_candidate(self, u: Array) -> Array:
        return u.reshape(*u.shape[:-1], len(self.roots), -1)


class GammaMixture(Experts):
    """The candidates of the output layer as experts.

    Parameters
    ----------
    weights
        Weights of the output layer at the start (outputs x inputs).

    Attributes
    ----------
    weights
        Output weights of the candidates (candidates x outputs x inputs).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.losses import LOSSES
    >>> from fenchel_stream.network.experts import GammaMixture
    >>> mixture = GammaMixture(np.zeros((2, 3)))
    >>> outputs = np.zeros((4, 1, 2))
    >>> outputs[0, 0, 1] = 3.0
    >>> losses = mixture.score(LOSSES["cross_entropy"], np.array([[0.0, 1.0]]), outputs)
    >>> int(mixture.expert_weights.argmax()), round(mixture.gamma)
    (0, 23)
    """

    def __init__(self, weights: Array) -> None:
        super().__init__(len(GAMMAS), like=weights)
        self.weights = namespace(weights).stack([weights] * len(GAMMAS))

    def grow_inputs(self, columns: Array) -> None:
        """Append inputs with weights `columns` (outputs x k)."""
        self.weights = append_to_each(self.weights, columns, axis=-1)

    def grow_outputs(self, rows: Array) -> None:
        """Append outputs with weights `rows` (k x inputs)."""
        self.weights = append_to_each(self.weights, rows, axis=-2)

    def rescale_outputs(self, factor: Array, shift: Array) -> None:
        """Let every output ``u`` become ``factor * u + shift``."""
        self.weights = rescaled(self.weights, factor, shift)

    @property
    def gamma(self) -> float:
        """The average of the candidates' gammas, in samples, by their expert weights."""
        gammas = candidate_gammas(like=self.expert_weights)
        return float((self.expert_weights * gammas).sum())


def candidate_gammas(like: Array) -> Array:
    """Return the candidates' gammas (candidates,), an array of the kind of `like`."""
    return constants(GAMMAS, like=like)


def side_by_side(expert_weights: Array, weights: Array) -> tuple[Array, Array]:
    """Return the roots of `expert_weights`, and the candidates' `weights` scaled by the roots.

    The scaled weights (candidates * outputs x inputs) map the last features to the variables of
    `MixtureTerm`.
    """
    roots = expert_weights[:, None] ** 0.5
    return roots, (roots[..., None] * weights).reshape(-1, weights.shape[-1])
