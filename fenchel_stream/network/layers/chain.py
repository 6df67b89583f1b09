"""`chained`: the layers of a network, each bound to the output shape of the layer below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.layers.average_pool2d import AveragePool2d, Pooled
from fenchel_stream.network.layers.dense import Dense
from fenchel_stream.network.layers.layer import Layer, LinearMap, Shape, is_count, size


def chained(layers: Sequence[LinearMap], inputs: Shape) -> list[Layer]:
    """Return the layers, each bound to the shape of its input.

    Parameters
    ----------
    layers
        The layers in order, from the inputs to the outputs. A pooling becomes part of the layer
        above it.
    inputs
        Shape of one sample, (units,) or (height, width, channels).

    Raises
    ------
    ConfigError
        A layer does not take the output of the layer below, or the last layer is not dense.

    Examples
    --------
    >>> from fenchel_stream.network.layers import AveragePool2d, Conv2d, Dense, chained
    >>> layers = chained([Conv2d(6, 5), AveragePool2d(2), Dense(10)], (28, 28, 1))
    >>> [layer.weight_shape for layer in layers]
    [(6, 26), (10, 865)]
    """
    given: Any = inputs
    if not isinstance(given, Sequence) or not given or not all(map(is_count, given)):
        raise ConfigError(
            "inputs is the shape of one sample, such as (10,) or (height, width, channels), "
            f"not {inputs!r}"
        )
    given = layers
    if not isinstance(given, Sequence) or not given or not isinstance(layers[-1], Dense):
        raise ConfigError(f"layers must be a list that ends in a Dense layer; got {layers!r}")
    bound: list[Layer] = []
    pools: list[AveragePool2d] = []
    for number, layer in enumerate(layers):
        if isinstance(layer, AveragePool2d):
            pools.append(layer)
            continue
        if not isinstance(layer, Layer):
            raise ConfigError(
                f"layer {number} must be a layer with weights, such as Dense(10), or a pooling; "
                f"got {layer!r}"
            )
        for pool in reversed(pools):
            layer = Pooled(pool, layer)  # noqa: PLW2901 - the layer with the pooling below it
        pools = []
        try:
            bound.append(layer.bound(inputs))
        except ConfigError as error:
            raise ConfigError(f"layer {number}: {error}") from error
        inputs = bound[-1].outputs
        if not size(inputs) and number + 1 < len(layers):
            raise ConfigError(f"layer {number} has no units: {layer!r}")
    return bound
