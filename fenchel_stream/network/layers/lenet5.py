"""LeNet-5 (LeCun et al., 1998), the network of figures 3 and 4."""

from __future__ import annotations

from fenchel_stream.network.layers.average_pool2d import AveragePool2d
from fenchel_stream.network.layers.conv2d import Conv2d
from fenchel_stream.network.layers.dense import Dense
from fenchel_stream.network.layers.layer import LinearMap, Shape


def lenet5(inputs: Shape, outputs: int) -> list[LinearMap]:
    """Return the layers: two convolutions, each pooled by averages, and three dense ones.

    The network takes images of 32 x 32; smaller images are padded to that size with zeros.

    Examples
    --------
    >>> from fenchel_stream.network.layers import chained, lenet5
    >>> [layer.outputs for layer in chained(lenet5((28, 28, 1), 10), (28, 28, 1))]
    [(28, 28, 6), (10, 10, 16), (120,), (84,), (10,)]
    """
    padding = max(32 - inputs[0], 0) // 2
    return [
        Conv2d(6, 5, padding=padding),
        AveragePool2d(2),
        Conv2d(16, 5),
        AveragePool2d(2),
        Dense(120),
        Dense(84),
        Dense(outputs),
    ]
