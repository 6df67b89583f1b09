"""What learns a figure: lifted networks, batch by batch, and networks trained by gradients.

All read images as bytes and scale them to 0 ... 1; those with a schedule know how many passes they
will make. A learner can be cut after any pass and restored: its state is a dictionary of arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from examples.paper.data import Images, Labels
from fenchel_stream import LiftedNetwork
from fenchel_stream.network.arrays import as_array, as_numpy
from fenchel_stream.network.problem import per_layer

State = dict[str, Any]
"""Arrays by name."""


class Learner(Protocol):
    """A network that learns in passes: epochs, or iterations over the whole training set."""

    def learn(self, x: Images, y: Labels, number: int) -> None:
        """Make pass `number`, from 0, over the training set."""
        ...

    def predict(self, x: Images) -> NDArray[Any]:
        """Return classes (n,)."""
        ...

    def state(self) -> State:
        """Return all that changes while learning."""
        ...

    def restore(self, state: State) -> None:
        """Go back to a state."""
        ...


class Lifted:
    """Our network, by Algorithm 2 with a gamma that grows as the passes end, and extrapolation.

    After a share ``t`` of all steps gamma is ``gamma / (1 - t)``, so that the size of a step falls
    linearly to 0: the stochastic approximation of a minimum asks for falling steps, and this rule
    adds no number of its own. A batch begins, and its proximal terms are centred, not at the last
    weights ``W`` but at ``W + extrapolation (W - the W before)`` (Xu & Yin, 2013; Pock & Sabach,
    2016). Both are ours; the paper keeps gamma and begins at ``W``.

    Parameters
    ----------
    network
        To be trained.
    passes, batch
        Epochs and rows per batch; a batch of 0 is the whole training set.
    gamma
        Of each layer at the beginning, in samples.
    lam, alternations, order, rho
        As of `LiftedNetwork`. A batch weighs ``rho`` against its own sum of losses, so that the
        same number holds more in small batches.
    extrapolation
        Of each layer's weights; 0 is none.
    averaged
        Steps over which the weights that predict are averaged; 1 are the last weights alone.
    seed
        Of the order of the rows, anew in each pass.
    """

    def __init__(
        self,
        network: LiftedNetwork,
        passes: int,
        batch: int,
        gamma: Sequence[float],
        lam: float | Sequence[float] = 1.0,
        alternations: int = 1,
        order: str = "top_down",
        rho: float | Sequence[float] = 0.0,
        extrapolation: Sequence[float] | None = None,
        averaged: int = 1,
        seed: int = 0,
    ) -> None:
        self.network, self.inertia = network, Inertia(network, extrapolation)
        self.averaged, self.mean = averaged, network.weights
        self.passes, self.batch, self.seed = passes, batch, seed
        self.gamma, self.lam, self.rho = gamma, lam, rho
        self.alternations, self.order = alternations, order

    def learn(self, x: Images, y: Labels, number: int) -> None:
        """See `Learner`."""
        rows = [*batches(len(x), self.batch, self.seed, number)]
        for done, chosen in enumerate(rows):
            left = 1.0 - (number + done * self.batch / len(x)) / self.passes
            gamma = [g / left for g in self.gamma]
            self.network.configure(self.lam, gamma, self.rho, self.alternations, self.order)
            self.inertia.extrapolate()
            self.network.learn_batch(scaled(x[chosen]), y[chosen])
            # Fewer where there were fewer steps, so that the initial weights do not count.
            steps = min(self.averaged, number * len(rows) + done + 1)
            both = zip(self.mean, self.network.weights, strict=True)
            self.mean = [mean + (w - mean) / steps if steps > 1 else w for mean, w in both]

    def predict(self, x: Images) -> NDArray[Any]:
        """See `Learner`."""
        network = copy(self.network)
        network.weights = self.mean
        return classes(network, x)

    def state(self) -> State:
        """See `Learner`."""
        means = {f"mean.{i}": as_numpy(w) for i, w in enumerate(self.mean)}
        return self.inertia.state() | means

    def restore(self, state: State) -> None:
        """See `Learner`."""
        self.inertia.restore(state)
        self.mean = [as_array(state[f"mean.{i}"], like=w) for i, w in enumerate(self.mean)]


class Inertia:
    """The weights of a network and those before them, from which it is led on.

    Parameters
    ----------
    network
        It learns; its weights are replaced by extrapolated ones.
    extrapolation
        Of each layer; by default none.
    """

    def __init__(self, network: LiftedNetwork, extrapolation: Sequence[float] | None) -> None:
        self.network = network
        self.extrapolation = extrapolation or [0.0] * len(network.weights)
        self.before = network.weights

    def extrapolate(self) -> None:
        """Go on from the weights by a part of the way that led to them."""
        weights = self.network.weights
        self.network.weights = [
            w + part * (w - before) if part else w
            for part, w, before in zip(self.extrapolation, weights, self.before, strict=True)
        ]
        self.before = weights

    def state(self) -> State:
        """Return weights by layer, those before them too."""
        both = {"now": self.network.weights, "before": self.before}
        return {f"{name}.{i}": as_numpy(w) for name, ws in both.items() for i, w in enumerate(ws)}

    def restore(self, state: State) -> None:
        """Go back to a state."""
        old = self.network.weights
        self.before = [as_array(state[f"before.{i}"], like=w) for i, w in enumerate(old)]
        self.network.weights = [as_array(state[f"now.{i}"], like=w) for i, w in enumerate(old)]


class Gradient:
    """A torch model trained by SGD or Adam, at a rate that falls linearly to 0.

    Parameters
    ----------
    model
        To be trained.
    name, rate
        A class of ``torch.optim`` and its learning rate at the beginning.
    passes, batch
        Epochs and rows per batch; a batch of 0 is the whole training set.
    loss
        ``cross_entropy``, or ``squared_error``: summed over outputs, halved, mean over rows.
    seed
        Of the order of the rows, anew in each pass.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        name: str,
        rate: float,
        passes: int,
        batch: int,
        loss: str = "cross_entropy",
        seed: int = 0,
    ) -> None:
        self.model = model
        self.optimizer: torch.optim.Optimizer = getattr(torch.optim, name)(model.parameters(), rate)
        self.rate, self.passes, self.batch, self.loss, self.seed = rate, passes, batch, loss, seed

    def learn(self, x: Images, y: Labels, number: int) -> None:
        """See `Learner`."""
        for done, chosen in enumerate(batches(len(x), self.batch, self.seed, number)):
            left = 1.0 - (number + done * self.batch / len(x)) / self.passes
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate * left
            outputs = self.model(torch.from_numpy(scaled(x[chosen])))
            self.optimizer.zero_grad()
            torch.autograd.backward(self._loss(outputs, torch.from_numpy(y[chosen])))
            self.optimizer.step()

    def _loss(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self.loss == "cross_entropy":
            return torch.nn.functional.cross_entropy(outputs, y)
        wanted = torch.nn.functional.one_hot(y, outputs.shape[1])
        return 0.5 * ((outputs - wanted) ** 2).sum(1).mean()

    def predict(self, x: Images) -> NDArray[Any]:
        """See `Learner`."""
        with torch.no_grad():
            parts = [
                self.model(torch.from_numpy(scaled(x[i : i + 1000]))).argmax(1)
                for i in range(0, len(x), 1000)
            ]
        return np.asarray(torch.cat(parts).numpy())

    def state(self) -> State:
        """See `Learner`."""
        found = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
        return {name: as_numpy(value).copy() for name, value in found.items() if value is not None}

    def restore(self, state: State) -> None:
        """See `Learner`."""
        slots: dict[int, dict[str, torch.Tensor]] = {}
        weights: dict[str, torch.Tensor] = {}
        for key, value in state.items():
            kind, _, name = key.partition(".")
            tensor = torch.from_numpy(np.array(value))
            if kind == "model":
                weights[name] = tensor
            else:
                index, _, slot = name.partition(".")
                slots.setdefault(int(index), {})[slot] = tensor
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})


def batches(rows: int, size: int, seed: int, number: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each batch of pass `number`, in random order; a size of 0 is all rows."""
    order = np.random.default_rng((seed, number)).permutation(rows)
    size = size or rows
    for start in range(0, rows, size):
        yield order[start : start + size]


def scaled(x: Images) -> NDArray[np.float32]:
    """Return pixels as numbers from 0 to 1, one row per image."""
    return x.reshape(len(x), -1).astype(np.float32) / np.float32(255)


def classes(network: LiftedNetwork, x: Images) -> NDArray[Any]:
    """Return the classes that a network predicts, a thousand images at a time."""
    parts = [network.predict(scaled(x[i : i + 1000])) for i in range(0, len(x), 1000)]
    return np.asarray(np.concatenate(parts).argmax(axis=1))


def dense_model(sizes: Sequence[int], seed: int) -> torch.nn.Module:
    """Return a ReLU network in torch, with torch's initial weights."""
    torch.manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def dense_network(
    sizes: Sequence[int], seed: int, scale: float | Sequence[float], **settings: Any
) -> LiftedNetwork:
    """Return a lifted network whose initial weights are `scale` times Xavier's, by layer.

    It computes in torch, which for these matrices is several times faster than NumPy.
    """
    network = LiftedNetwork.dense(sizes, seed=seed, device="cpu:0", **settings)
    scales = per_layer("scale", scale, len(network.weights))
    network.replace([s * w for s, w in zip(scales, network.weights, strict=True)])
    return network
