"""Base classes of layers: maps that are linear in their input, and linear in their weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod, sqrt
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from fenchel_stream.network.arrays import Array

Shape: TypeAlias = tuple[int, ...]
"""Shape of one sample: (units,), or (height, width, channels) of an image."""


class LinearMap(ABC):
    """A linear map between two shapes, with weights (`Layer`) or without (`AveragePool2d`)."""

    inputs: Shape
    """Shape of the input; () before the map is `bound` to one."""

    @property
    @abstractmethod
    def outputs(self) -> Shape:
        """Shape of the output."""

    @abstractmethod
    def bound(self, inputs: Shape) -> LinearMap:
        """Return this map for inputs of a given shape.

        Raises
        ------
        ConfigError
            The map does not take this shape; the message names both shapes.
        """


class Layer(LinearMap):
    """A linear map ``U = A(X) W^T`` with a design matrix ``A(X)`` that is linear in ``X``.

    Samples are rows. The input of every layer is ``a = [1, X]``; images are flattened in the order
    height, width, channels. ``W`` is units x (1 + inputs of one unit), with the biases first.

    To add a layer, write one subclass. In a dense layer ``A(X)`` has one row for each sample; in a
    convolution it has one row for each place of each image.
    """

    compiled = False
    """Whether the compiled loops for single rows can compute the layer."""
    shares_weights = False
    """Whether the design matrix has several rows for each sample."""

    @abstractmethod
    def bound(self, inputs: Shape) -> Layer: ...

    @property
    @abstractmethod
    def weight_shape(self) -> tuple[int, int]:
        """Units x (1 + inputs of one unit)."""

    def first_weights(self, rng: np.random.Generator) -> Array:
        """Return Xavier weights with biases of 0 (Glorot & Bengio, 2010)."""
        units, inputs = self.weight_shape[0], self.weight_shape[1] - 1
        # Each input enters every unit; in a convolution, once for each place of the window.
        outgoing = units * inputs // max(self.inputs[-1], 1)
        limit = sqrt(6.0 / max(inputs + outgoing, 1))
        w = np.zeros(self.weight_shape)
        w[:, 1:] = rng.uniform(-limit, limit, (units, inputs))
        return w

    @abstractmethod
    def n_inputs(self, w: Array) -> int:
        """Return the number of inputs of one sample, for weights `w`."""

    @abstractmethod
    def forward(self, a: Array, w: Array) -> Array:
        """Return ``U`` (samples x outputs) of input `a` (samples x (1 + inputs))."""

    @abstractmethod
    def adjoint(self, g: Array, weights: Array) -> Array:
        """Return the gradient in ``X`` (samples x inputs) for the gradient `g` in ``U``.

        `weights` have no column of biases.
        """

    @abstractmethod
    def weight_gradient(self, g: Array, a: Array) -> Array:
        """Return the gradient ``G^T A`` in ``W`` for the gradient `g` in ``U``."""

    @abstractmethod
    def gram(self, a: Array) -> Array:
        """Return ``A^T A``, the metric of all weights (1 + inputs of one unit, squared)."""

    @abstractmethod
    def squared_norm(self, a: Array) -> Array:
        """Return ``||A||_F^2``."""

    @abstractmethod
    def norm_bound(self, weights: Array) -> Array:
        """Return an upper bound of the squared norm of the map from ``X`` to ``U``.

        `weights` have no column of biases.
        """

    def reduced(self, a: Array) -> tuple[Layer, Array]:
        """Return the part of the layer that has weights, and its input for the input `a`."""
        return self, a

    def spread(self, g: Array) -> Array:
        """Return the gradient in ``X`` for the gradient `g` in the `reduced` input."""
        return g


def is_count(number: Any, least: int = 0) -> bool:
    """Return whether `number` is a whole number of at least `least`."""
    return isinstance(number, Integral) and int(number) >= least


def size(shape: Shape) -> int:
    """Return the number of elements of a sample of `shape`."""
    return prod(shape)
