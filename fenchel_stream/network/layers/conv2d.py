"""A convolution (10), its design matrix by unfolding (11), and its norm."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn.functional import conv2d, conv_transpose2d, pad
from torch.nn.grad import conv2d_weight

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import Array, as_array
from fenchel_stream.network.layers.layer import Layer, Shape, is_count, size

CHUNK = 1 << 22
"""Elements of the design matrix that exist at a time when its Gram matrix is summed."""


@dataclass(frozen=True)
class Conv2d(Layer):
    """A two-dimensional convolution with zero padding, over all channels.

    Torch computes it, for arrays too: they share their memory. Where the stride leaves a
    remainder, the last rows and columns are not seen, as is usual.

    Parameters
    ----------
    channels
        Channels that go out.
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
    >>> a = np.ones((3, 1 + 28 * 28))
    >>> layer.design(a).shape
    (2352, 26)
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
                f"what comes in has shape {inputs}"
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
        return layer

    @property
    def weight_shape(self) -> tuple[int, int]:
        return self.channels, 1 + self.kernel**2 * self.inputs[-1]

    def n_inputs(self, w: Array) -> int:
        return size(self.inputs)

    def forward(self, a: Array, w: Array) -> Array:
        kernel = self._kernel(w[:, 1:]).contiguous(memory_format=torch.channels_last)
        biases = _tensor(w[:, 0])
        u = conv2d(self._images(a), kernel, biases, self.stride, self.padding)
        return _rows(u, like=a)

    def adjoint(self, g: Array, weights: Array) -> Array:
        # This order of memory is the one in which torch's transposed convolution is fast.
        gradient = _channels_first(_tensor(g), self.outputs).contiguous()
        kernel = self._kernel(weights).contiguous()
        return _rows(self._transposed(gradient, kernel), like=g)

    def _transposed(self, gradient: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        lengths = zip(self.inputs[:2], self.outputs, strict=False)
        unseen = [n + 2 * self.padding - (p - 1) * self.stride - self.kernel for n, p in lengths]
        return conv_transpose2d(
            gradient, kernel, None, self.stride, self.padding, output_padding=unseen
        )

    def weight_gradient(self, g: Array, a: Array) -> Array:
        images, gradient = self._images(a), _channels_first(_tensor(g), self.outputs)
        shape = (self.channels, images.shape[1], self.kernel, self.kernel)
        kernel = conv2d_weight(images, shape, gradient, self.stride, self.padding)
        biases = gradient.sum((0, 2, 3))[:, None]
        return as_array(torch.cat([biases, _rows(kernel, like=kernel)], 1), like=a)

    def design(self, a: Array) -> Array:
        return as_array(self._unfolded(self._images(a)), like=a)

    def gram(self, a: Array) -> Array:
        images = self._images(a)
        units, columns = self.weight_shape
        rows = max(CHUNK // (size(self.outputs) // units * columns), 1)
        return as_array(sum(_square(self._unfolded(x)) for x in images.split(rows)), like=a)

    def squared_norm(self, a: Array) -> Array:
        images = self._images(a)
        places = images.new_ones((1, 1, *self.outputs[:2]))
        window = images.new_ones((1, 1, self.kernel, self.kernel))
        times = self._transposed(places, window)  # how often the windows meet each pixel
        squares = (images * images).sum((0, 1))
        return as_array((squares * times).sum() + len(images) * places.numel(), like=a)

    def norm_bound(self, weights: Array) -> Array:
        """Return an upper bound of the squared norm of the map from ``X`` to ``U``.

        The outputs are some of those of the circular convolution on the padded image, whose norm
        is the largest of those of the kernel's matrices (channels out x channels in), one for
        each frequency. With ``G`` the Gram matrix of one, ``sigma_max^2 <= trace(G^8)^(1/8)``.
        """
        height, width, _ = self.inputs
        grid = (height + 2 * self.padding, width + 2 * self.padding)
        kernel = self._kernel(weights).double()  # where high powers do not overflow
        matrices = torch.fft.rfft2(kernel, grid).permute(2, 3, 0, 1)
        wide = matrices.shape[2] < matrices.shape[3]
        gram = matrices @ matrices.mH if wide else matrices.mH @ matrices
        gram = gram @ gram
        gram = gram @ gram
        bound = (gram.abs() ** 2).sum((-2, -1)).amax() ** 0.125
        return as_array(bound, like=weights)

    def _images(self, a: Array) -> torch.Tensor:
        """Return the images of `a` (samples x channels x height x width)."""
        images = _channels_first(_tensor(a)[:, 1:], self.inputs)
        # So that what torch returns has its channels last, too, and need not be turned.
        return images.contiguous(memory_format=torch.channels_last)

    def _kernel(self, weights: Array) -> torch.Tensor:
        shape = (self.kernel, self.kernel, self.inputs[-1])
        return _channels_first(_tensor(weights), shape)

    def _unfolded(self, images: torch.Tensor) -> torch.Tensor:
        """Return the design matrix (11): of each place its window, behind a one."""
        x = images.permute(0, 2, 3, 1)
        if self.padding:
            x = pad(x, (0, 0, *[self.padding] * 4))
        samples, down, along, across = x.stride()
        height, width, _ = self.outputs
        rows = x.new_empty((len(x), height, width, self.weight_shape[1]))
        rows[..., 0] = 1.0
        # A window's row is one piece of memory for all channels, in the images and in the matrix.
        run = self.kernel * x.shape[-1]
        windows = x.as_strided(
            (len(x), height, width, self.kernel, run),
            (samples, self.stride * down, self.stride * along, down, across),
            x.storage_offset(),
        )
        rows[..., 1:].unflatten(-1, (self.kernel, run)).copy_(windows)
        return rows.flatten(0, 2)


def _tensor(x: Array) -> torch.Tensor:
    """Return `x` as a tensor, of an array one that shares its memory."""
    return x if isinstance(x, torch.Tensor) else torch.from_numpy(x)


def _square(rows: torch.Tensor) -> torch.Tensor:
    """Return ``A^T A``; on the CPU NumPy's, which computes one half of it only."""
    if rows.device.type != "cpu":
        return rows.T @ rows
    array = rows.numpy()
    return torch.from_numpy(array.T @ array)


def _channels_first(rows: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Return rows as images (samples x channels x height x width), in the same memory."""
    images: torch.Tensor = rows.unflatten(1, shape)
    return images.permute(0, 3, 1, 2)


def _rows(x: torch.Tensor, like: Array) -> Array:
    """Return images (samples x channels x height x width) as rows again."""
    return as_array(x.permute(0, 2, 3, 1).flatten(1), like=like)
