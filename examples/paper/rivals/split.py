"""What the rivals share: one block of variables per layer and kind, moved exactly in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from examples.paper.data import Images, Labels
from examples.paper.learners import State, scaled
from fenchel_stream.network.arrays import as_numpy


class SplitNetwork:
    """A ReLU network trained over the whole training set; one pass moves every block once.

    Weights (outputs x (1 + inputs)) have the biases in their first column. A subclass defines
    `iterate` and lists in `blocks` the attributes that hold its variables, one tensor per layer.

    Parameters
    ----------
    sizes
        Inputs, hidden units of each layer, outputs.
    scale
        Standard deviation of the initial weights.
    bias
        Initial biases.
    seed
        Of the initial weights.
    """

    blocks: ClassVar[tuple[str, ...]] = ()

    def __init__(self, sizes: Sequence[int], scale: float, bias: float, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.weights: list[Tensor] = []
        for p, q in pairwise(sizes):
            w = scale * torch.randn(q, 1 + p, generator=self.generator)
            w[:, 0] = bias
            self.weights.append(w)
        self._pixels: Tensor | None = None

    def iterate(self, x: Tensor, y: Tensor, number: int) -> None:
        """Move every block once; `y` are targets (n x outputs), `number` counts from 0."""
        raise NotImplementedError

    def learn(self, x: Images, y: Labels, number: int) -> None:
        """See `examples.paper.learners.Learner`."""
        wanted = torch.nn.functional.one_hot(torch.from_numpy(y), len(self.weights[-1])).float()
        self.iterate(torch.from_numpy(scaled(x)), wanted, number)

    def predict(self, x: Images) -> NDArray[Any]:
        """See `examples.paper.learners.Learner`."""
        found: NDArray[Any] = self.outputs(torch.from_numpy(scaled(x)))[-1].argmax(1).numpy()
        return found

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of each layer, fed forward, before the ReLU."""
        found = []
        for w in self.weights:
            found.append(with_ones(x) @ w.T)
            x = found[-1].clamp(min=0.0)
        return found

    def activations(self, x: Tensor) -> list[Tensor]:
        """Return the activations of each hidden layer, fed forward."""
        return [u.clamp(min=0.0) for u in self.outputs(x)[:-1]]

    def descend(
        self,
        layer: int,
        below: Tensor,
        slope: Callable[[Tensor], Tensor],
        steps: int,
        ridge: float,
        accelerated: bool = False,
    ) -> None:
        """Move the weights of a layer down a loss of its outputs, whose derivative is `slope`.

        If it rises nowhere faster than by 1, ``a^T a + ridge I`` of the inputs majorises the loss
        for all units at once. The steps are monotone; Nesterov's, from the third on, need not be.
        """
        matrix = self.inverse(layer, below, ridge)
        before = w = self.weights[layer]
        for step in range(steps):
            ahead = w + (step - 1) / (step + 2) * (w - before) if accelerated else w
            before, w = w, ahead - (slope(below @ ahead.T).T @ below) @ matrix
        self.weights[layer] = w

    def inverse(self, layer: int, a: Tensor, ridge: float) -> Tensor:
        """Return ``(a^T a + ridge I)^+`` of a layer's input; that of the pixels is kept."""
        if layer or self._pixels is None:
            gram = (a.T @ a).double()
            gram.diagonal().add_(ridge)
            found: Tensor = torch.linalg.pinv(gram, hermitian=True, rtol=1e-9).to(a.dtype)
            if layer:
                return found
            self._pixels = found
        return self._pixels

    def state(self) -> State:
        """See `examples.paper.learners.Learner`."""
        return {
            f"{name}.{layer}": as_numpy(tensor)
            for name in ("weights", *self.blocks)
            for layer, tensor in enumerate(getattr(self, name))
        }

    def restore(self, state: State) -> None:
        """See `examples.paper.learners.Learner`."""
        for name in ("weights", *self.blocks):
            count = sum(key.startswith(f"{name}.") for key in state)
            setattr(self, name, [torch.from_numpy(state[f"{name}.{i}"]) for i in range(count)])


def with_ones(x: Tensor) -> Tensor:
    """Put a column of ones in front of `x`, for the biases."""
    return torch.cat([x.new_ones(len(x), 1), x], dim=1)


def solve(wanted: Tensor, w: Tensor, centre: Tensor, beta: float, gamma: float) -> Tensor:
    """Return the minimiser in ``a`` of ``beta ||wanted - [1, a] w^T||^2 + gamma ||a - centre||^2``.

    Examples
    --------
    >>> import torch
    >>> from examples.paper.rivals.split import solve
    >>> w = torch.tensor([[1.0, 2.0]])
    >>> solve(torch.tensor([[5.0]]), w, torch.tensor([[2.0]]), 1.0, 1.0).tolist()
    [[2.0]]
    """
    bias, w = w[:, 0], w[:, 1:]
    system = beta * (w.T @ w)
    system.diagonal().add_(gamma)
    right = beta * (wanted - bias) @ w + gamma * centre
    return torch.cholesky_solve(right.T, torch.linalg.cholesky(system)).T.contiguous()


def split_relu(a: Tensor, m: Tensor, gamma: float, beta: float) -> Tensor:
    """Return the minimiser in ``z`` of ``gamma (a - max(z, 0))^2 + beta (z - m)^2``.

    It is the better one of the minimisers over ``z >= 0`` and over ``z <= 0``.

    Examples
    --------
    >>> import torch
    >>> from examples.paper.rivals.split import split_relu
    >>> split_relu(torch.tensor([2.0, -1.0]), torch.tensor([1.0, -3.0]), 1.0, 1.0).tolist()
    [1.5, -3.0]
    """
    above = ((gamma * a + beta * m) / (gamma + beta)).clamp(min=0.0)
    below = m.clamp(max=0.0)

    def value(z: Tensor) -> Tensor:
        return gamma * (a - z.clamp(min=0.0)) ** 2 + beta * (z - m) ** 2

    return torch.where(value(above) <= value(below), above, below)
