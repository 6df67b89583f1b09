"""A dense layer: every unit takes every input."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import Array, squared_norm_bound
from fenchel_stream.network.layers.layer import Layer, Shape, is_count, size


@dataclass(frozen=True)
class Dense(Layer):
    """``U = [1, X] W^T``.

    Images are flattened. Its weights determine the size of the layer, so that it can grow while it
    learns.

    Parameters
    ----------
    units
        Number of outputs at the start.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.layers import Dense
    >>> layer = Dense(2).bound((3,))
    >>> layer.weight_shape
    (2, 4)
    >>> layer.forward(np.array([[1.0, 2.0, 0.0, 5.0]]), np.ones((2, 4))).tolist()
    [[8.0, 8.0]]
    """

    units: int
    inputs: Shape = ()

    compiled = True

    @property
    def outputs(self) -> Shape:
        return (self.units,)

    def bound(self, inputs: Shape) -> Dense:
        if not is_count(self.units):
            raise ConfigError(f"a dense layer has a whole number of units, not {self.units!r}")
        return replace(self, inputs=(size(inputs),))

    @property
    def weight_shape(self) -> tuple[int, int]:
        return self.units, 1 + self.inputs[0]

    def n_inputs(self, w: Array) -> int:
        return int(w.shape[1]) - 1

    def forward(self, a: Array, w: Array) -> Array:
        return a @ w.mT

    def adjoint(self, g: Array, weights: Array) -> Array:
        return g @ weights

    def weight_gradient(self, g: Array, a: Array) -> Array:
        return g.mT @ a

    def gram(self, a: Array) -> Array:
        return a.T @ a

    def squared_norm(self, a: Array) -> Array:
        flat = a.reshape(-1)
        return flat.dot(flat)

    def norm_bound(self, weights: Array) -> Array:
        return squared_norm_bound(weights)
