"""What a network's state holds, and that every way to copy it keeps the network."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any

import numpy as np
import pytest

from fenchel_stream import LiftedNetwork
from fenchel_stream.network.arrays import as_numpy, is_tensor
from fenchel_stream.state import pack, restore
from tests.tensors import DEVICES

SETTINGS: dict[str, Any] = {"lam": 0.3, "rho": 0.01, "alternations": 2, "order": "paper"}


def learnt(gamma: Any, device: str, **settings: Any) -> LiftedNetwork:
    network = LiftedNetwork.dense([3, 5, 2], gamma=gamma, device=device, **settings)
    rng = np.random.default_rng(0)
    for rows in (1, 4, 1):
        network.learn_batch(rng.normal(size=(rows, 3)), rng.integers(0, 2, rows))
    return network


def through_pickle(network: LiftedNetwork) -> LiftedNetwork:
    copied: LiftedNetwork = pickle.loads(pickle.dumps(network))
    return copied


def through_codec(network: LiftedNetwork) -> LiftedNetwork:
    gamma = "auto" if network.problem.tuned else network.gamma
    fresh = LiftedNetwork.dense([3, 5, 2], gamma=gamma, device=network.device)
    tree, arrays = pack(network)
    restored: LiftedNetwork = restore(fresh, tree, arrays)
    return restored


@DEVICES
@pytest.mark.parametrize("gamma", ["auto", 0.5])
class TestState:
    def test_holds_weights_and_what_was_learnt(self, gamma: Any, device: str) -> None:
        network = learnt(gamma, device)
        _, arrays = pack(network)
        learnt_arrays = list(network.weights)
        for experts in (network.mixture, network.averages):
            if experts is not None:
                learnt_arrays += [experts.expert_weights, *experts.weights]
                if is_tensor(experts.typical_loss):
                    learnt_arrays.append(experts.typical_loss)
        elements = sum(as_numpy(array).size for array in learnt_arrays)
        assert sum(array.size for array in arrays.values()) == elements
        assert not any("problem" in name for name in arrays)

    @pytest.mark.parametrize("way", [copy, deepcopy, through_pickle, through_codec])
    def test_a_copy_learns_on_as_the_network(
        self, gamma: Any, device: str, way: Callable[[LiftedNetwork], LiftedNetwork]
    ) -> None:
        network = learnt(gamma, device, **SETTINGS)
        other = way(network)
        assert other.problem.schedule == network.problem.schedule
        assert (other.lam, other.rho) == (network.lam, network.rho)
        assert other.problem.layers == network.problem.layers
        # A shallow copy shares its experts with the network: only one of both may learn on.
        expected = learnt(gamma, device, **SETTINGS) if way is copy else network
        rng = np.random.default_rng(1)
        for rows in (1, 3, 1):
            x, y = rng.normal(size=(rows, 3)), rng.integers(0, 2, rows)
            expected.learn_batch(x, y)
            other.learn_batch(x, y)
            assert np.array_equal(other.predict(x), expected.predict(x))
        for w, v in zip(other.weights, expected.weights, strict=True):
            assert np.array_equal(as_numpy(w), as_numpy(v))


def test_the_step_of_a_row_follows_the_problem() -> None:
    network = learnt("auto", "cpu")
    before = network.row_descent
    assert before is not None
    assert network.row_descent is before
    network.configure(1.0, "auto", 0.0, 1, "top_down")
    assert network.row_descent is not None
    assert network.row_descent is not before
    assert network.row_descent.lam.tolist() == [1.0, 0.0]
