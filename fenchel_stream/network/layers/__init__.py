"""Layers as linear maps of their input: the ``U_l`` of (10) and (11)."""

from fenchel_stream.network.layers.average_pool2d import AveragePool2d
from fenchel_stream.network.layers.chain import chained
from fenchel_stream.network.layers.conv2d import Conv2d
from fenchel_stream.network.layers.dense import Dense
from fenchel_stream.network.layers.layer import Layer, LinearMap, Shape
from fenchel_stream.network.layers.lenet5 import lenet5

__all__ = ["AveragePool2d", "Conv2d", "Dense", "Layer", "LinearMap", "Shape", "chained", "lenet5"]
