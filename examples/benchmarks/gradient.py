"""The peers of the same shape: networks trained by Adam or SGD, all rates of a grid at once.

The networks of a grid differ in their rate only: they start alike and stand side by side in stacked
weights, so that a whole grid costs little more than one network. Like ours they compute in NumPy,
which takes a fraction of the time of torch for a single row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fenchel_stream.network.losses import softmax

Matrix = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Recipe:
    """How a network learns a batch: so many steps of an optimizer, at each of some rates."""

    optimizer: str
    steps: int
    rates: tuple[float, ...]


class Networks:
    """Networks with one hidden layer of ReLUs, one for each rate.

    Parameters
    ----------
    sizes
        Inputs, hidden units, outputs.
    classifies
        Minimise cross-entropy; otherwise half the squared error. Both are means over the rows.

    Attributes
    ----------
    hidden, last
        Weights of both layers (rates x inputs x outputs); the first input is the bias's one.

    Examples
    --------
    >>> import numpy as np
    >>> from examples.benchmarks.gradient import Networks, Recipe
    >>> networks = Networks((1, 8, 2), Recipe("SGD", 50, (0.0, 0.5)), classifies=True)
    >>> x = np.array([[-1.0], [1.0]])
    >>> before = networks.outputs(x)
    >>> networks.learn(x, np.array([1, 0]))
    >>> after = networks.outputs(x)
    >>> after.shape, bool((before[0] == after[0]).all()), after[1].argmax(axis=1).tolist()
    ((2, 2, 2), True, [1, 0])
    """

    def __init__(
        self, sizes: tuple[int, int, int], recipe: Recipe, *, classifies: bool, seed: int = 0
    ) -> None:
        rng = np.random.default_rng(seed)
        inputs, hidden, outputs = sizes
        shapes = (inputs + 1, hidden), (hidden + 1, outputs)
        # The first weights of torch.nn.Linear.
        first = [rng.uniform(-1.0, 1.0, shape) * (shape[0] - 1) ** -0.5 for shape in shapes]
        flat = np.concatenate([weights.ravel() for weights in first]).astype(np.float32)
        self._weights = np.tile(flat, (len(recipe.rates), 1))
        self._gradient = np.empty_like(self._weights)
        self.hidden, self.last = _layers(self._weights, *shapes)
        self._slopes = _layers(self._gradient, *shapes)
        self._rates = np.array(recipe.rates, np.float32)[:, None]
        self._steps = recipe.steps
        self._step = (Adam() if recipe.optimizer == "Adam" else Sgd()).step
        self._classifies = classifies

    def outputs(self, x: Matrix) -> Matrix:
        """Return what each network says (rates x rows x outputs)."""
        return self._forward(_with_ones(x))[1]

    def learn(self, x: Matrix, targets: NDArray[np.generic]) -> None:
        """Learn one batch: `targets` are numbers of classes, or values (rows)."""
        inputs = _with_ones(x)
        truth = targets[:, None].astype(np.float32)
        if self._classifies:
            truth = np.eye(self.last.shape[-1], dtype=np.float32)[targets.astype(np.intp)]
        of_hidden, of_last = self._slopes
        for _ in range(self._steps):
            features, outputs = self._forward(inputs)
            error = (softmax(outputs) if self._classifies else outputs) - truth
            error /= len(x)
            np.matmul(features.swapaxes(1, 2), error, out=of_last)
            back = (error @ self.last[:, 1:].swapaxes(1, 2)) * (features[..., 1:] > 0)
            np.matmul(inputs.T, back, out=of_hidden)
            self._weights -= self._rates * self._step(self._gradient)

    def _forward(self, inputs: Matrix) -> tuple[Matrix, Matrix]:
        """Return the last layer's input and the outputs."""
        features = _with_ones(np.maximum(inputs @ self.hidden, 0.0))
        return features, features @ self.last


class Sgd:
    """Plain gradient descent."""

    def step(self, gradient: Matrix) -> Matrix:
        """Return the step at rate 1."""
        return gradient


class Adam:
    """Adam with its usual constants (Kingma and Ba, 2015)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Matrix | float = 0.0
        self.square: Matrix | float = 0.0

    def step(self, gradient: Matrix) -> Matrix:
        """Return the step at rate 1."""
        self.count += 1
        self.mean = self.mean + 0.1 * (gradient - self.mean)
        self.square = self.square + 0.001 * (gradient * gradient - self.square)
        mean = self.mean / (1.0 - 0.9**self.count)
        return mean / (np.sqrt(self.square / (1.0 - 0.999**self.count)) + 1e-8)


def _layers(flat: Matrix, hidden: tuple[int, int], last: tuple[int, int]) -> tuple[Matrix, Matrix]:
    """Return views of the networks' numbers (rates x numbers) as matrices."""
    end = hidden[0] * hidden[1]
    return flat[:, :end].reshape(-1, *hidden), flat[:, end:].reshape(-1, *last)


def _with_ones(x: Matrix) -> Matrix:
    filled = np.ones((*x.shape[:-1], x.shape[-1] + 1), np.float32)
    filled[..., 1:] = x
    return filled
