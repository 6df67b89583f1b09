"""Algorithm 1, one sweep over all blocks of variables at a time, on the whole training set.

`LiftedNetwork.fit` makes all its sweeps in one call, and keeps the X-variables from one to the
next. Here a run can be cut after any sweep, and the X-variables may begin anew in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from numpy.typing import NDArray

from examples.paper.data import Images, Labels
from examples.paper.learners import Inertia, State, classes, scaled
from fenchel_stream import LiftedNetwork
from fenchel_stream.network.arrays import Array, as_array, as_numpy, with_ones
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.problem import Variables


class Sweeps:
    """Our network, by Algorithm 1; a pass is a sweep.

    With X-variables that are kept, as in the paper, each W-step asks the network for what the last
    X-step wanted of an older one, and the more X has left the feed-forward point, the less it
    says of the network. With X-variables that begin anew, the output layer is fitted to features
    that the network does produce. That is ours, as is the extrapolation.

    Parameters
    ----------
    network
        To be trained, with squared error; its rho must be positive, its gamma plays no part.
    anew
        Whether X begins each sweep at the feed-forward point.
    extrapolation
        Of each layer's weights before X begins anew: see `Inertia`. None where it is kept.
    """

    def __init__(
        self,
        network: LiftedNetwork,
        anew: bool = True,
        extrapolation: Sequence[float] | None = None,
    ) -> None:
        self.network, self.anew = network, anew
        self.inertia = Inertia(network, extrapolation if anew else None)
        self.now: Variables | None = None
        self._sources: list[Array] = []

    def learn(self, x: Images, y: Labels, number: int) -> None:
        """See `examples.paper.learners.Learner`."""
        network, now = self.network, self.now
        if now is None or self.anew:
            self.inertia.extrapolate()
            now = self.now = self._begin(x)
        targets = torch.nn.functional.one_hot(torch.from_numpy(y), network.n_outputs)
        problem = network.problem.relaxed()
        targets = problem.loss.encode(targets, now.outputs[-1])
        descent = Descent(problem, targets, now.copy(), now)
        for block in problem.schedule:
            descent.move(block)
        network.weights = list(now.weights)

    def predict(self, x: Images) -> NDArray[Any]:
        """See `examples.paper.learners.Learner`."""
        alone = copy(self.network)
        alone.averages = None  # Where gamma is auto, they would predict too.
        return classes(alone, x)

    def state(self) -> State:
        """See `examples.paper.learners.Learner`."""
        found = self.inertia.state()
        if self.now is not None and not self.anew:
            sources = self.now.sources[1:]
            found |= {f"source.{layer}": as_numpy(s) for layer, s in enumerate(sources, 1)}
        return found

    def restore(self, state: State) -> None:
        """See `examples.paper.learners.Learner`."""
        self.inertia.restore(state)
        count = sum(key.startswith("source.") for key in state)
        self._sources = [torch.from_numpy(state[f"source.{i + 1}"]) for i in range(count)]

    def _begin(self, x: Images) -> Variables:
        """Return the feed-forward point, or the X-variables of a restored state."""
        network, problem, last = self.network, self.network.problem, self.now
        if last is not None:
            now = problem.forward(network.weights, last.inputs[0])
            now.metrics[0] = last.metrics[0]  # that of the pixels
            return now
        a = with_ones(as_array(scaled(x), like=network.weights[0]))
        now = problem.forward(network.weights, a)
        for layer, s in enumerate(self._sources, 1):
            a = with_ones(problem.activation.phi(s))
            now.sources[layer], now.inputs[layer] = s, a
            now.outputs[layer] = problem.layers[layer].forward(a, now.weights[layer])
        return now
