"""The compiled steps for one row against those for matrices, which have oracles of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel_stream import LiftedNetwork
from fenchel_stream.network.activations import ACTIVATIONS, Activation
from fenchel_stream.network.losses import LOSSES
from fenchel_stream.preprocessing.scaling import FeatureScaler
from tests.oracle import Matrix
from tests.tensors import needs_torch


def rows(loss: str, inputs: int, outputs: int, seed: int) -> list[tuple[Matrix, Matrix]]:
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(6, outputs))
    if loss == "cross_entropy":
        targets = rng.dirichlet(np.ones(outputs), 6)
        targets[::2] = np.eye(outputs)[rng.integers(0, outputs, 3)]
    return [(rng.normal(size=(1, inputs)), target[None]) for target in targets]


def agree(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def without_kernels(network: LiftedNetwork) -> LiftedNetwork:
    other = deepcopy(network)
    vars(other)["row_descent"] = None
    return other


class TestNetwork:
    @given(
        activation=st.sampled_from(list(ACTIVATIONS)),
        loss=st.sampled_from(list(LOSSES)),
        hidden=st.lists(st.integers(1, 5), max_size=3),
        outputs=st.integers(1, 9),
        gamma=st.sampled_from(["auto", 0.1, 10.0]),
        gamma_unit=st.sampled_from(["sample", "absolute"]),
        lam=st.sampled_from([0.01, 1.0]),
        rho=st.sampled_from([0.0, 0.05]),
        order=st.sampled_from(["top_down", "paper"]),
        alternations=st.integers(1, 2),
        iterations=st.sampled_from([None, 3]),
        seed=st.integers(0, 1000),
    )
    @settings(max_examples=150)
    def test_learns_a_row_as_a_batch_of_one(
        self,
        activation: str,
        loss: str,
        hidden: list[int],
        outputs: int,
        gamma: float | str,
        gamma_unit: str,
        lam: float,
        rho: float,
        order: str,
        alternations: int,
        iterations: int | None,
        seed: int,
    ) -> None:
        compiled = LiftedNetwork.dense(
            [3, *hidden, outputs],
            activation=activation,
            loss=loss,
            lam=lam,
            gamma=gamma,
            gamma_unit="sample" if gamma == "auto" else gamma_unit,
            rho=rho,
            order=order,
            alternations=alternations,
            x_iterations=iterations,
            w_iterations=iterations,
            dtype="float64",
            seed=seed,
        )
        plain = without_kernels(compiled)
        for x, y in rows(loss, 3, outputs, seed):
            expected, found = plain.learn_batch(x, y), compiled.learn_batch(x, y)
            for w, v in zip(compiled.weights, plain.weights, strict=True):
                agree(w, v)
            agree(compiled.predict(x), plain.predict(x))
            agree(found.objective_before, expected.objective_before)
            agree(found.objective_after, expected.objective_after)
            agree(found.divergence, expected.divergence)
            agree(found.displacement, expected.displacement)
            if compiled.mixture is not None and plain.mixture is not None:
                agree(compiled.mixture.weights, plain.mixture.weights)
                agree(compiled.mixture.expert_weights, plain.mixture.expert_weights)
                assert compiled.mixture.typical_loss == pytest.approx(plain.mixture.typical_loss)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("loss", LOSSES)
    def test_never_raises_the_objective(self, activation: str, loss: str) -> None:
        network = LiftedNetwork.dense(
            [3, 8, 4, 3], activation=activation, loss=loss, lam=1.0, dtype="float64"
        )
        for x, y in rows(loss, 3, 3, seed=1):
            report = network.learn_batch(10 * x, y)
            assert report.objective_after <= report.objective_before * (1 + 1e-12)

    def test_is_used_for_one_row_on_the_cpu_alone(self) -> None:
        assert LiftedNetwork.dense([2, 3, 2]).row_descent is not None
        own = Activation.from_callable(np.arctan)
        assert LiftedNetwork.dense([2, 3, 2], activation=own).row_descent is None

    @needs_torch
    def test_is_not_used_for_tensors(self) -> None:
        assert LiftedNetwork.dense([2, 3, 2], device="cpu:0").row_descent is None

    def test_follows_a_change_of_settings(self) -> None:
        x, y = rows("cross_entropy", 3, 2, seed=0)[0]
        changed = LiftedNetwork.dense([3, 4, 2], lam=1.0, dtype="float64")
        changed.configure(lam=0.1, gamma=1.0, rho=0.1, alternations=2, order="paper")
        plain = without_kernels(changed)
        changed.learn_batch(x, y)
        plain.learn_batch(x, y)
        np.testing.assert_allclose(changed.weights[0], plain.weights[0], rtol=1e-9)

    def test_extreme_outputs_stay_finite(self) -> None:
        network = LiftedNetwork.dense([2, 4, 2])
        for value in (1e6, -1e6, 1e-30):
            network.learn_batch(np.full((1, 2), value), np.array([1]))
            assert all(np.isfinite(w).all() for w in network.weights)


class TestScaling:
    def test_a_row_is_scaled_as_in_a_batch(self) -> None:
        rng = np.random.default_rng(0)
        scaler = FeatureScaler()
        scaler.grow(4)
        scaler.update(rng.normal(3.0, 2.0, (50, 4)))
        x = np.array([[1.0, np.nan, 1e9, -1e9], [0.0, 3.0, 5.0, 2.0]])
        both = scaler.scale(x)
        np.testing.assert_array_equal(both, np.vstack([scaler.scale(x[:1]), scaler.scale(x[1:])]))
        assert both[0].tolist()[1:] == [0.0, 10.0, -10.0]


def test_they_work_where_nothing_can_be_kept_on_disk() -> None:
    code = (
        "from fenchel_stream import FenchelClassifier as C\n"
        "from fenchel_stream.network.compiled import kernels\n"
        "m = C()\n"
        "for _ in range(20):\n"
        "    m.learn_one({'a': 1.0}, True); m.learn_one({'a': -1.0}, False)\n"
        "print(m.predict_one({'a': 1.0}), type(kernels.w_step._cache).__name__)"
    )
    # No finder of a place for the cache applies: as in a container whose disk is read-only.
    environment = {**os.environ, "NUMBA_CACHE_LOCATOR_CLASSES": "_IPythonCacheLocator"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.split() == ["True", "NullCache"], run.stderr
