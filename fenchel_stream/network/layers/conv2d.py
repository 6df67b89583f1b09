"""A convolution (10), its Gram matrix by unfolding (11), and a bound of its norm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import Array, as_array, is_tensor
from fenchel_stream.network.layers.layer import Layer, Shape, is_count, size
from fenchel_stream.pytorch import import_torch

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1 << 22
"""Largest number of elements of the unfolded input in memory: Gram matrices are sums of chunks."""


@dataclass(frozen=True)
class Conv2d(Layer):
    """A two-dimensional convolution with zero padding, over all channels.

    PyTorch computes it, also for NumPy arrays, in their own memory. If the stride leaves a
    remainder, the last rows and columns are ignored, as is usual.

    Parameters
    ----------
    channels
        Number of output channels.
    kernel
        Height and width of the window.
    stride
        Step of the window.
    padding
        Zeros on each side of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.layers import Conv2d
    >>> layer = Conv2d(6, 5, padding=2).bound((28, 28, 1))
    >>> layer.outputs, layer.weight_shape
    ((28, 28, 6), (6, 26))
    >>> layer.forward(np.ones((3, 1 + 28 * 28)), np.ones((6, 26))).shape
    (3, 4704)
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    inputs: Shape = ()

    shares_weights = True

    @property
    def outputs(self) -> Shape:
        height, width, _ = self.inputs
        return self._places(height), self._places(width), self.channels

    def _places(self, length: int) -> int:
        return (length + 2 * self.padding - self.kernel) // self.stride + 1

    def bound(self, inputs: Shape) -> Conv2d:
        window = f"{self.kernel} x {self.kernel}"
        if len(inputs) != 3:
            raise ConfigError(
                f"a convolution with a window of {window} takes images (height, width, channels); "
                f"its input has shape {inputs}"
            )
        positive = self.channels, self.kernel, self.stride
        if not all(is_count(number, 1) for number in positive) or not is_count(self.padding):
            raise ConfigError(
                "channels, kernel and stride are whole numbers of at least 1, padding of at least "
                f"0: {self}"
            )
        layer = replace(self, inputs=inputs)
        if min(layer.outputs) < 1:
            raise ConfigError(
                f"a window of {window} does not fit into an image of shape {inputs} "
                f"with {self.padding} zeros on each side"
            )
        import_torch("a convolution")
        return layer

    @property
    def weight_shape(self) -> tuple[int, int]:
        return self.channels, 1 + self.kernel**2 * self.inputs[-1]

    def n_inputs(self, w: Array) -> int:
        return size(self.inputs)

    def forward(self, a: Array, w: Array) -> Array:
        kernel = _channels_last(self._kernel(w[:, 1:]))
        biases = _tensor(w[:, 0])
        u = _functions().conv2d(self._images(a), kernel, biases, self.stride, self.padding)
        return _rows(u, like=a)

    def adjoint(self, g: Array, weights: Array) -> Array:
        # In this order of memory PyTorch's transposed convolution is fast.
        gradient = _channels_first(_tensor(g), self.outputs).contiguous()
        kernel = self._kernel(weights).contiguous()
        return _rows(self._transposed(gradient, kernel), like=g)

    def _transposed(self, gradient: Tensor, kernel: Tensor) -> Tensor:
        lengths = zip(self.inputs[:2], self.outputs, strict=False)
        ignored = [n + 2 * self.padding - (p - 1) * self.stride - self.kernel for n, p in lengths]
        u: Tensor = _functions().conv_transpose2d(
            gradient, kernel, None, self.stride, self.padding, output_padding=ignored
        )
        return u

    def weight_gradient(self, g: Array, a: Array) -> Array:
        images, gradient = self._images(a), _channels_first(_tensor(g), self.outputs)
        shape = (self.channels, images.shape[1], self.kernel, self.kernel)
        grad = import_module("torch.nn.grad")
        kernel = grad.conv2d_weight(images, shape, gradient, self.stride, self.padding)
        biases = gradient.sum((0, 2, 3))[:, None]
        torch = import_torch("a convolution")
        return as_array(torch.cat([biases, _rows(kernel, like=kernel)], 1), like=a)

    def gram(self, a: Array) -> Array:
        images = self._images(a)
        units, columns = self.weight_shape
        rows = max(CHUNK // (size(self.outputs) // units * columns), 1)
        return as_array(sum(_square(self._unfolded(x)) for x in images.split(rows)), like=a)

    def squared_norm(self, a: Array) -> Array:
        images = self._images(a)
        places = images.new_ones((1, 1, *self.outputs[:2]))
        window = images.new_ones((1, 1, self.kernel, self.kernel))
        times = self._transposed(places, window)  # The number of windows that hold each pixel.
        squares = (images * images).sum((0, 1))
        return as_array((squares * times).sum() + len(images) * places.numel(), like=a)

    def norm_bound(self, weights: Array) -> Array:
        """Return an upper bound of the squared norm of the map from ``X`` to ``U``.

        The outputs are a part of the outputs of the circular convolution on the padded image. The
        Fourier transform of the kernel is a matrix (channels out x channels in) for each frequency,
        and the largest norm of these matrices is the norm of the circular convolution. For the Gram
        matrix ``G`` of such a matrix, ``sigma_max^2 <= trace(G^8)^(1/8)``.
        """
        height, width, _ = self.inputs
        grid = (height + 2 * self.padding, width + 2 * self.padding)
        kernel = self._kernel(weights).double()  # High powers overflow in single precision.
        matrices = import_torch("a convolution").fft.rfft2(kernel, grid).permute(2, 3, 0, 1)
        wide = matrices.shape[2] < matrices.shape[3]
        gram = matrices @ matrices.mH if wide else matrices.mH @ matrices
        gram = gram @ gram
        gram = gram @ gram
        bound = (gram.abs() ** 2).sum((-2, -1)).amax() ** 0.125
        return as_array(bound, like=weights)

    def _images(self, a: Array) -> Tensor:
        """Return the images of `a` (samples x channels x height x width)."""
        # With channels last in memory, the results have them last too, and need no reordering.
        return _channels_last(_channels_first(_tensor(a)[:, 1:], self.inputs))

    def _kernel(self, weights: Array) -> Tensor:
        shape = (self.kernel, self.kernel, self.inputs[-1])
        return _channels_first(_tensor(weights), shape)

    def _unfolded(self, images: Tensor) -> Tensor:
        """Return the unfolded input (11): for each place one row, which is a 1 and the window."""
        x = images.permute(0, 2, 3, 1)
        if self.padding:
            x = _functions().pad(x, (0, 0, *[self.padding] * 4))
        samples, down, along, across = x.stride()
        height, width, _ = self.outputs
        rows = x.new_empty((len(x), height, width, self.weight_shape[1]))
        rows[..., 0] = 1.0
        # One line of a window, with all its channels, is contiguous in the images and in the rows.
        run = self.kernel * x.shape[-1]
        windows = x.as_strided(
            (len(x), height, width, self.kernel, run),
            (samples, self.stride * down, self.stride * along, down, across),
            x.storage_offset(),
        )
        rows[..., 1:].unflatten(-1, (self.kernel, run)).copy_(windows)
        return rows.flatten(0, 2)


def _functions() -> Any:
    return import_torch("a convolution").nn.functional


def _tensor(x: Array) -> Tensor:
    """Return `x` as a tensor; a tensor made of an array shares its memory."""
    tensor: Tensor = x if is_tensor(x) else import_torch("a convolution").from_numpy(x)
    return tensor


def _square(rows: Tensor) -> Tensor:
    """Return ``A^T A``; on the CPU by NumPy, which computes only one half of the matrix."""
    if rows.device.type != "cpu":
        return rows.T @ rows
    array = rows.numpy()
    return _tensor(array.T @ array)


def _channels_last(images: Tensor) -> Tensor:
    """Return images whose memory has the channels last; the axes stay."""
    return images.contiguous(memory_format=import_torch("a convolution").channels_last)


def _channels_first(rows: Tensor, shape: Shape) -> Tensor:
    """Return rows as images (samples x channels x height x width), in the same memory."""
    images: Tensor = rows.unflatten(1, shape)
    return images.permute(0, 3, 1, 2)


def _rows(x: Tensor, like: Array) -> Array:
    """Return images (samples x channels x height x width) as rows again."""
    return as_array(x.permute(0, 2, 3, 1).flatten(1), like=like)
