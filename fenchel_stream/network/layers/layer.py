"""What a layer is to the solvers: a map that is linear in its input, and linear in its weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod, sqrt
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from fenchel_stream.network.arrays import Array

Shape: TypeAlias = tuple[int, ...]
"""Of one sample: (units,), or (height, width, channels) of an image."""


class LinearMap(ABC):
    """Something linear between two shapes, with weights (`Layer`) or without (`AveragePool2d`)."""

    inputs: Shape
    """Shape of what comes in, once `bound` to it."""

    @property
    @abstractmethod
    def outputs(self) -> Shape:
        """Shape of what goes out."""

    @abstractmethod
    def bound(self, inputs: Shape) -> LinearMap:
        """Return this map of inputs of a given shape.

        Raises
        ------
        ConfigError
            It does not fit them; the message names both shapes.
        """


class Layer(LinearMap):
    """A linear map ``U = A(X) W^T`` with a design matrix ``A(X)`` that is linear in ``X``.

    Samples are rows. The input of every layer is ``a = [1, X]``, with its image, if it is one,
    flattened in the order height, width, channels; ``W`` is units x (1 + inputs of one unit) with
    the biases first.

    To add a layer, write one subclass. Where the rows of ``A(X)`` are those of ``X`` it is a
    `Dense`; a convolution has one row for each place of each image.
    """

    compiled = False
    """Whether `kernels` have a form of it for single rows."""
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
        # An input number meets every unit, in a convolution once at each place of the window.
        met = units * inputs // max(self.inputs[-1], 1)
        limit = sqrt(6.0 / max(inputs + met, 1))
        w = np.zeros(self.weight_shape)
        w[:, 1:] = rng.uniform(-limit, limit, (units, inputs))
        return w

    @abstractmethod
    def n_inputs(self, w: Array) -> int:
        """Return how many numbers one sample has."""

    @abstractmethod
    def forward(self, a: Array, w: Array) -> Array:
        """Return ``U`` (samples x outputs) of input `a` (samples x (1 + inputs))."""

    @abstractmethod
    def adjoint(self, g: Array, weights: Array) -> Array:
        """Return the gradient in ``X`` (samples x inputs), from that in ``U``.

        `weights` are those without biases.
        """

    @abstractmethod
    def weight_gradient(self, g: Array, a: Array) -> Array:
        """Return the gradient in ``W``, ``G^T A``, from that in ``U``."""

    @abstractmethod
    def design(self, a: Array) -> Array:
        """Return ``A(X)``, one row for each unit's place in each sample."""

    @abstractmethod
    def gram(self, a: Array) -> Array:
        """Return ``A^T A``, the metric of all weights (1 + inputs of one unit, squared)."""

    @abstractmethod
    def squared_norm(self, a: Array) -> Array:
        """Return ``||A||_F^2``."""

    @abstractmethod
    def norm_bound(self, weights: Array) -> Array:
        """Return an upper bound of the squared norm of the map from ``X`` to ``U``.

        `weights` are those without biases.
        """

    def reduced(self, a: Array) -> tuple[Layer, Array]:
        """Return the layer and its input with what needs no weights already applied."""
        return self, a

    def spread(self, g: Array) -> Array:
        """Return the gradient in ``X`` from that in the `reduced` input, both without the ones."""
        return g


def is_count(number: Any, least: int = 0) -> bool:
    """Return whether `number` is a whole number of at least `least`."""
    return isinstance(number, Integral) and int(number) >= least


def size(shape: Shape) -> int:
    """Return how many numbers a sample of `shape` has."""
    return prod(shape)
