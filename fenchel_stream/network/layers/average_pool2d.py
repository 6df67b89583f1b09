"""Average pooling, which has no weights: `Pooled` joins it to the layer above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import (
    Array,
    as_array,
    is_tensor,
    namespace,
    with_ones,
)
from fenchel_stream.network.layers.layer import Layer, LinearMap, Shape, size
from fenchel_stream.pytorch import import_torch


@dataclass(frozen=True)
class AveragePool2d(LinearMap):
    """The mean of each window of an image, computed by PyTorch. Windows do not overlap.

    Parameters
    ----------
    window
        Height and width of a window. It must divide the height and the width of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.layers import AveragePool2d
    >>> pool = AveragePool2d(2).bound((2, 4, 1))
    >>> pool.forward(np.arange(8.0)[None]).tolist()
    [[2.5, 4.5]]
    >>> pool.adjoint(np.array([[4.0, 8.0]])).tolist()
    [[1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]]
    """

    window: int
    inputs: Shape = ()

    @property
    def outputs(self) -> Shape:
        height, width, channels = self.inputs
        return height // self.window, width // self.window, channels

    def bound(self, inputs: Shape) -> AveragePool2d:
        window = f"{self.window} x {self.window}"
        if len(inputs) != 3:
            raise ConfigError(
                f"pooling with windows of {window} takes images (height, width, channels); "
                f"its input has shape {inputs}"
            )
        if self.window < 1 or inputs[0] % self.window or inputs[1] % self.window:
            raise ConfigError(f"windows of {window} do not divide an image of shape {inputs}")
        import_torch("pooling")
        return replace(self, inputs=inputs)

    def forward(self, x: Array) -> Array:
        """Return the pooled images (samples x outputs) of `x` (samples x inputs)."""
        height, width, channels = self.outputs
        # Sums of slices of whole rows take a third of the time of PyTorch's own pooling.
        tensor = x if is_tensor(x) else import_torch("pooling").from_numpy(x)
        rows = tensor.unflatten(1, (height, self.window, width * self.window * channels))
        columns = _sum(rows.unbind(2)).unflatten(2, (width, self.window, channels))
        pooled = _sum(columns.unbind(3)).flatten(1)
        return as_array(pooled * self.window**-2.0, like=x)

    def adjoint(self, g: Array) -> Array:
        """Return the gradient in ``X`` for the gradient `g` in the pooled images."""
        height, width, channels = self.outputs
        concatenate = namespace(g).concatenate
        x = (g * self.window**-2.0).reshape(len(g), height, width, channels)
        rows = concatenate([x] * self.window, -1).reshape(len(g), height, -1)
        return concatenate([rows] * self.window, -1).reshape(len(g), -1)


def _sum(slices: Sequence[Array]) -> Array:
    return reduce(add, slices)


class Pooled(Layer):
    """A layer that takes pooled images: the pooling and the layer are one linear map."""

    def __init__(self, pool: AveragePool2d, layer: Layer) -> None:
        self.pool = pool
        self.layer = layer
        self.inputs = pool.inputs
        self.shares_weights = layer.shares_weights

    @property
    def outputs(self) -> Shape:
        return self.layer.outputs

    def bound(self, inputs: Shape) -> Pooled:
        pool = self.pool.bound(inputs)
        return Pooled(pool, self.layer.bound(pool.outputs))

    @property
    def weight_shape(self) -> tuple[int, int]:
        return self.layer.weight_shape

    def first_weights(self, rng: np.random.Generator) -> Array:
        return self.layer.first_weights(rng)

    def n_inputs(self, w: Array) -> int:
        return size(self.inputs)

    def forward(self, a: Array, w: Array) -> Array:
        layer, a = self.reduced(a)
        return layer.forward(a, w)

    def adjoint(self, g: Array, weights: Array) -> Array:
        return self.pool.adjoint(self.layer.adjoint(g, weights))

    def spread(self, g: Array) -> Array:
        return self.pool.adjoint(self.layer.spread(g))

    def weight_gradient(self, g: Array, a: Array) -> Array:
        layer, a = self.reduced(a)
        return layer.weight_gradient(g, a)

    def gram(self, a: Array) -> Array:
        layer, a = self.reduced(a)
        return layer.gram(a)

    def squared_norm(self, a: Array) -> Array:
        layer, a = self.reduced(a)
        return layer.squared_norm(a)

    def norm_bound(self, weights: Array) -> Array:
        # Means of w^2 numbers have at most 1 / w^2 of the squared length of these numbers.
        return self.layer.norm_bound(weights) * self.pool.window**-2.0

    def reduced(self, a: Array) -> tuple[Layer, Array]:
        return self.layer.reduced(with_ones(self.pool.forward(a[:, 1:])))
