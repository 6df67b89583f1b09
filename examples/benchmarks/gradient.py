"""The peers of the same shape: networks trained by Adam or SGD, all rates of a grid at once.

The networks of a grid differ in their rate only. They start alike, stand side by side in stacked
weights, and take the steps of one optimizer of torch, each scaled by its own rate: what Adam and
SGD do is proportional to the rate. So a whole grid costs little more than one network.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Matrix = NDArray[np.float64]

# The first optimizer imports much of torch: now, so that no process of the suite does it again.
torch.optim.SGD([torch.zeros(1)])


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
        Minimise cross-entropy; otherwise half the squared error.

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
        generator = torch.Generator().manual_seed(seed)
        self.parameters = []
        for inputs, outputs in pairwise(sizes):
            # The first weights of torch.nn.Linear.
            limit = inputs**-0.5
            for shape in ((inputs, outputs), (1, outputs)):
                first = torch.empty(shape).uniform_(-limit, limit, generator=generator)
                stacked = first.repeat(len(recipe.rates), 1, 1)
                self.parameters.append(stacked.requires_grad_())
        self.rates = torch.tensor(recipe.rates)[:, None, None]
        self.steps = recipe.steps
        self.optimizer: torch.optim.Optimizer = getattr(torch.optim, recipe.optimizer)(
            self.parameters, lr=1.0
        )
        self.classifies = classifies

    def outputs(self, x: Matrix) -> Matrix:
        """Return what each network says (rates x rows x outputs)."""
        with torch.no_grad():
            said: Matrix = self._outputs(torch.from_numpy(x.astype(np.float32))).numpy()
        return said

    def learn(self, x: Matrix, targets: NDArray[np.generic]) -> None:
        """Learn one batch: `targets` are numbers of classes, or values (rows)."""
        inputs = torch.from_numpy(x.astype(np.float32))
        kind = np.int64 if self.classifies else np.float32
        truth = torch.from_numpy(targets.astype(kind)).repeat(len(self.rates))
        for _ in range(self.steps):
            self.optimizer.zero_grad()
            said = self._outputs(inputs).flatten(0, 1)
            # The mean over the rows, summed over the networks: none depends on another.
            if self.classifies:
                loss = functional.cross_entropy(said, truth, reduction="sum")
            else:
                loss = 0.5 * ((said[:, 0] - truth) ** 2).sum()
            torch.autograd.backward(loss / len(x))
            before = [parameter.detach().clone() for parameter in self.parameters]
            self.optimizer.step()
            with torch.no_grad():
                for parameter, old in zip(self.parameters, before, strict=True):
                    parameter.copy_(torch.lerp(old, parameter, self.rates))

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        w1, b1, w2, b2 = self.parameters
        return torch.relu(x @ w1 + b1) @ w2 + b2
