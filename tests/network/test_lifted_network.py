"""`LiftedNetwork` against a reference implementation of the paper's algorithm and objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from fenchel_stream import LiftedNetwork
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.network.activations import ACTIVATIONS
from fenchel_stream.network.arrays import as_numpy, is_tensor
from fenchel_stream.network.layers import Dense
from fenchel_stream.network.losses import LOSSES
from tests import oracle
from tests.oracle import Matrix
from tests.tensors import DEVICES, LIBRARIES, needs_torch, tensor, torch

ORDERS: tuple[Literal["top_down", "paper"], ...] = ("top_down", "paper")
EVERY_ACTIVATION = pytest.mark.parametrize("activation", ACTIVATIONS)
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
EVERY_ORDER = pytest.mark.parametrize("order", ORDERS)


def batch(
    loss: str, m: int = 8, inputs: int = 3, outputs: int = 2, seed: int = 0
) -> tuple[Matrix, Matrix]:
    """Inputs, and targets as a matrix: values, or rows of probabilities."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(m, inputs))
    if loss == "squared_error":
        return x, np.tanh(x @ rng.normal(size=(inputs, outputs))) + 0.1 * rng.normal(
            size=(m, outputs)
        )
    y = rng.dirichlet(np.ones(outputs), m)
    y[::2] = np.eye(outputs)[rng.integers(0, outputs, len(y[::2]))]
    return x, y


def reference(network: LiftedNetwork) -> oracle.Network:
    return oracle.Network(
        [as_numpy(w).astype(float) for w in network.weights],
        next(name for name, value in ACTIVATIONS.items() if value is network.problem.activation),
        next(name for name, value in LOSSES.items() if value is network.problem.loss),
        network.lam,
        network.gamma,
        network.rho,
        network.problem.gamma_unit == "absolute",
    )


def state(network: LiftedNetwork) -> list[bytes]:
    mixture = [network.mixture.weights, network.mixture.expert_weights] if network.mixture else []
    return [as_numpy(w).tobytes() for w in [*network.weights, *mixture]]


def close(network: LiftedNetwork, weights: Sequence[Matrix], tolerance: float) -> None:
    for w, expected in zip(network.weights, weights, strict=True):
        np.testing.assert_allclose(as_numpy(w), expected, atol=tolerance)


class TestReport:
    @EVERY_ACTIVATION
    @EVERY_LOSS
    @EVERY_ORDER
    @pytest.mark.parametrize("unit", ["sample", "absolute"])
    def test_against_the_reference(
        self,
        activation: str,
        loss: str,
        order: Literal["top_down", "paper"],
        unit: str,
    ) -> None:
        x, y = batch(loss)
        network = LiftedNetwork.dense(
            [3, 5, 4, 2],
            activation=activation,
            loss=loss,
            lam=[0.5, 2.0],
            gamma=[0.1, 0.3, 1.0],
            gamma_unit=unit,
            rho=[0.01, 0.0, 0.02],
            order=order,
            dtype="float64",
        )
        network.learn_batch(x, y)  # away from the zero biases of the start
        before = reference(network)
        report = network.learn_batch(x, y)
        gammas = before.gammas(x)
        start = before.objective(y, before.forward(x)[:-1], before.weights, gammas)
        assert report.objective_before == pytest.approx(start, rel=1e-10)
        after = [a[:, 1:] for a in report.after.inputs]
        end = before.objective(y, after, report.after.weights, gammas)
        assert report.objective_after == pytest.approx(end, rel=1e-9)
        assert report.objective_after < report.objective_before

        us = [oracle.ones(z) @ w.T for z, w in zip(after, report.after.weights, strict=True)]
        divergences = [
            before.pair.divergence(z, u).sum() for z, u in zip(after[1:], us[:-1], strict=True)
        ]
        assert report.divergence == pytest.approx(divergences, rel=1e-8)
        moved = [
            math.dist(w.ravel(), w0.ravel())
            for w, w0 in zip(network.weights, before.weights, strict=True)
        ]
        assert report.displacement == pytest.approx(moved, rel=1e-12)
        assert min(moved) > 0

    @EVERY_LOSS
    def test_the_objective_without_learning(self, loss: str) -> None:
        x, y = batch(loss)
        network = LiftedNetwork.dense(
            [3, 5, 2], loss=loss, gamma=1.0, rho=[0.1, 0.2], dtype="float64"
        )
        decay = sum(r * (w**2).sum() for r, w in zip((0.1, 0.2), network.weights, strict=True))
        expected = oracle.loss_value(loss, y, reference(network).forward(x)[-1]) + decay
        before = state(network)
        assert network.objective(x, y) == pytest.approx(expected, rel=1e-12)
        assert network.objective(x, y) == network.learn_batch(x, y).objective_before
        assert state(network) != before

    def test_stays_as_it_was_when_the_network_learns_on(self) -> None:
        x, y = batch("cross_entropy")
        networks = [LiftedNetwork.dense([3, 5, 2], seed=1) for _ in range(2)]
        late, early = (network.learn_batch(x, y) for network in networks)
        figures = early.objective_before, early.objective_after, early.displacement
        for _ in range(3):
            networks[0].learn_batch(x[::-1].copy(), y)
        assert (late.objective_before, late.objective_after, late.displacement) == figures
        assert late.divergence == early.divergence


SIZES = st.lists(st.integers(1, 6), min_size=2, max_size=5)
WEIGHTS = st.sampled_from([0.01, 0.3, 1.0, 20.0])


class TestObjective:
    @given(
        sizes=SIZES,
        m=st.integers(1, 12),
        activation=st.sampled_from(list(ACTIVATIONS)),
        loss=st.sampled_from(list(LOSSES)),
        order=st.sampled_from(ORDERS),
        alternations=st.integers(1, 3),
        unit=st.sampled_from(["sample", "absolute"]),
        lam=WEIGHTS,
        gamma=WEIGHTS,
        rho=st.sampled_from([0.0, 0.5]),
        scale=st.sampled_from([0.1, 1.0, 5.0]),
        seed=st.integers(0, 10**6),
    )
    @settings(max_examples=100)
    def test_never_rises(
        self,
        sizes: list[int],
        m: int,
        activation: str,
        loss: str,
        order: Literal["top_down", "paper"],
        alternations: int,
        unit: str,
        lam: float,
        gamma: float,
        rho: float,
        scale: float,
        seed: int,
    ) -> None:
        x, y = batch(loss, m, sizes[0], sizes[-1], seed)
        network = LiftedNetwork.dense(
            sizes,
            seed=seed,
            activation=activation,
            loss=loss,
            order=order,
            alternations=alternations,
            gamma_unit=unit,
            lam=lam,
            gamma=gamma,
            rho=rho,
            dtype="float64",
        )
        for _ in range(2):
            report = network.learn_batch(scale * x, y)
            rounding = 1e-11 * (1 + report.objective_before)
            assert report.objective_after <= report.objective_before + rounding
            assert min([0.0, *report.divergence]) >= -rounding

    @EVERY_ACTIVATION
    @EVERY_ORDER
    def test_falls_further_with_every_alternation(
        self, activation: str, order: Literal["top_down", "paper"]
    ) -> None:
        x, y = batch("cross_entropy", m=20)
        ends = []
        for alternations in (1, 2, 4, 8):
            network = LiftedNetwork.dense(
                [3, 6, 4, 2],
                activation=activation,
                lam=1.0,
                gamma=0.5,
                alternations=alternations,
                order=order,
                dtype="float64",
            )
            report = network.learn_batch(x, y)
            ends.append(report.objective_after)
        assert report.objective_before > ends[0]
        assert ends == sorted(ends, reverse=True)
        assert ends[0] > ends[-1]

    @EVERY_ACTIVATION
    def test_falls_in_single_precision(self, activation: str) -> None:
        x, y = batch("cross_entropy", m=20)
        network = LiftedNetwork.dense([3, 16, 2], activation=activation, gamma=0.5)
        for _ in range(5):
            report = network.learn_batch(x, y)
            assert report.objective_after < report.objective_before


@EVERY_LOSS
class TestAgainstTheReference:
    """With many inner steps the network takes the step whose sub-problems SciPy solves."""

    @EVERY_ACTIVATION
    @EVERY_ORDER
    def test_one_step(
        self, loss: str, activation: str, order: Literal["top_down", "paper"]
    ) -> None:
        x, y = batch(loss, m=6)
        network = LiftedNetwork.dense(
            [3, 4, 2],
            activation=activation,
            loss=loss,
            lam=1.0,
            gamma=0.5,
            order=order,
            x_iterations=300,
            w_iterations=300,
            dtype="float64",
        )
        expected = reference(network).step(x, y, order, 1)
        network.learn_batch(x, y)
        close(network, expected, 1e-5)

    @EVERY_ORDER
    @pytest.mark.parametrize(
        ("activation", "unit"), [("relu", "absolute"), ("sigmoid", "sample"), ("elu", "sample")]
    )
    def test_a_deep_step_with_a_number_per_layer(
        self, loss: str, activation: str, unit: str, order: Literal["top_down", "paper"]
    ) -> None:
        x, y = batch(loss, m=5)
        network = LiftedNetwork.dense(
            [3, 4, 3, 2],
            activation=activation,
            loss=loss,
            lam=[0.7, 1.5],
            gamma=[0.4, 0.8, 1.2],
            gamma_unit=unit,
            rho=[0.1, 0.0, 0.3],
            alternations=2,
            order=order,
            x_iterations=300,
            w_iterations=300,
            dtype="float64",
        )
        learnt = reference(network)
        for _ in range(2):
            learnt = learnt.learnt(x, y, order, 2)
            network.learn_batch(x, y)
        close(network, learnt.weights, 1e-4)

    def test_without_a_hidden_layer_a_step_is_ridge_or_softmax_regression(self, loss: str) -> None:
        x, y = batch(loss)
        network = LiftedNetwork.dense(
            [3, 2], loss=loss, gamma=0.2, rho=0.1, w_iterations=300, dtype="float64"
        )
        a, w0 = oracle.ones(x), network.weights[0]
        gamma = reference(network).gammas(x)[0]
        above = oracle.Above.output(loss, y)
        expected = oracle.solve_w(above, a, w0, gamma, 0.1)
        if loss == "squared_error":
            metric = a.T @ a + 2 * (gamma + 0.1) * np.eye(4)
            np.testing.assert_allclose(
                expected, np.linalg.solve(metric, a.T @ y + 2 * gamma * w0.T).T, atol=1e-8
            )
        report = network.learn_batch(x, y)
        close(network, [expected], 1e-7)
        assert report.divergence == []

    def test_a_single_row(self, loss: str) -> None:
        x, y = batch(loss, m=1)
        network = LiftedNetwork.dense(
            [3, 4, 2],
            loss=loss,
            lam=1.0,
            gamma=[0.1, 1.0],
            x_iterations=300,
            w_iterations=300,
            dtype="float64",
        )
        expected = reference(network).step(x, y, "top_down", 1)
        network.learn_batch(x, y)
        close(network, expected, 1e-5)


class TestParameters:
    def test_one_number_stands_for_every_layer(self) -> None:
        x, y = batch("cross_entropy")
        one = LiftedNetwork.dense([3, 4, 4, 2], lam=2.0, gamma=0.3, rho=0.1)
        each = LiftedNetwork.dense(
            [3, 4, 4, 2], lam=[2.0, 2.0], gamma=(0.3, 0.3, 0.3), rho=[0.1] * 3
        )
        one.learn_batch(x, y)
        each.learn_batch(x, y)
        assert state(one) == state(each)

    @pytest.mark.parametrize("gamma", [0.1, 1.0, 20.0])
    @pytest.mark.parametrize("scale", [1e-2, 1.0, 1e4])
    def test_gamma_counts_in_samples(self, gamma: float, scale: float) -> None:
        # Seven times the same row against old weights that weigh as much as gamma rows.
        x, y = batch("squared_error", m=1)
        x *= scale
        network = LiftedNetwork.dense([3, 2], loss="squared_error", gamma=gamma, dtype="float64")
        old = network.predict(x)
        network.learn_batch(np.repeat(x, 7, axis=0), np.repeat(y, 7, axis=0))
        mean = (7 * y + gamma * old) / (7 + gamma)
        np.testing.assert_allclose(network.predict(x), mean, rtol=1e-9, atol=1e-9 * scale)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"lam": [1.0, 2.0]}, "lam needs one number or 1"),
            ({"gamma": [1.0]}, "gamma needs one number or 2"),
            ({"rho": (0.0, 0.0, 0.0)}, "rho needs one number or 2"),
            ({"lam": 0.0}, "lam must be positive"),
            ({"gamma": [1.0, 0.0]}, "gamma must be positive"),
            ({"gamma": -1.0}, "gamma must be positive"),
            ({"rho": -0.1}, "rho must be at least 0"),
            ({"lam": math.inf}, "lam must be positive"),
            ({"gamma": math.nan}, "gamma must be positive"),
            ({"gamma": "Auto"}, "gamma is a number, one per layer, or 'auto', not 'Auto'"),
            ({"gamma": "auto", "gamma_unit": "absolute"}, "gamma_unit must be 'sample'"),
            ({"gamma_unit": "rows"}, "gamma_unit is 'sample' or 'absolute', not 'rows'"),
            ({"order": "bottom_up"}, "order is 'top_down' or 'paper', not 'bottom_up'"),
            ({"alternations": 0}, "alternations must be at least 1"),
            ({"x_iterations": 0}, "x_iterations must be at least 1"),
            ({"w_iterations": -1}, "w_iterations must be at least 1"),
            ({"activation": "step"}, "activation 'step' is unknown"),
            ({"loss": "hinge"}, "loss 'hinge' is unknown"),
            ({"dtype": "float16"}, "dtype is 'float32' or 'float64', not 'float16'"),
        ],
    )
    def test_what_cannot_be_is_named(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            LiftedNetwork.dense([3, 4, 2], **settings)

    @pytest.mark.parametrize("sizes", [[], [3], [3, 0, 2], [3, -1], [-3, 2]])
    def test_sizes_that_make_no_network(self, sizes: list[int]) -> None:
        with pytest.raises(ConfigError, match="sizes must be inputs, hidden units, outputs"):
            LiftedNetwork.dense(sizes)

    def test_xavier_weights(self) -> None:
        network = LiftedNetwork.dense([300, 200, 10], seed=3)
        for w, limit in zip(network.weights, (math.sqrt(6 / 500), math.sqrt(6 / 210)), strict=True):
            assert (w[:, 0] == 0).all()
            assert limit * 0.98 < np.abs(w[:, 1:]).max() <= limit
            assert w[:, 1:].std() == pytest.approx(limit / math.sqrt(3), rel=0.05)
        assert state(LiftedNetwork.dense([300, 200, 10], seed=3)) == state(network)
        assert state(LiftedNetwork.dense([300, 200, 10], seed=4)) != state(network)

    @needs_torch
    def test_a_precision_of_torch_that_cannot_be(self) -> None:
        with pytest.raises(ConfigError, match="dtype is 'float32' or 'float64', not torch.bfloat"):
            LiftedNetwork.dense([3, 4, 2], dtype=torch().bfloat16)

    @pytest.mark.parametrize("name", ["float32", "float64"])
    @LIBRARIES
    @DEVICES
    def test_precision(self, name: str, library: str, device: str) -> None:
        dtype: Any = getattr(torch() if library == "torch" else np, name)
        x, y = batch("squared_error")
        network = LiftedNetwork.dense([3, 4, 2], loss="squared_error", dtype=dtype, device=device)
        for _ in range(2):
            report = network.learn_batch(x, y)
        arrays = [*network.weights, *report.after.inputs, *report.after.outputs, report.targets]
        assert {str(w.dtype).removeprefix("torch.") for w in arrays} == {name}
        assert {is_tensor(w) for w in arrays} == {device == "cpu:0"}


class TestKinds:
    @DEVICES
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @LIBRARIES
    def test_outputs_are_of_the_kind_of_the_inputs(
        self, device: str, dtype: str, library: str
    ) -> None:
        x, y = batch("cross_entropy")
        x = x.astype(dtype)
        inputs: Any = tensor(x) if library == "torch" else x
        targets: Any = tensor(y) if library == "torch" else y
        network = LiftedNetwork.dense([3, 4, 2], device=device)
        network.learn_batch(inputs, targets)
        outputs = network.predict(inputs)
        assert type(outputs) is type(inputs)
        assert outputs.dtype == inputs.dtype
        expected = reference(network).forward(x.astype(float))[-1]
        np.testing.assert_allclose(as_numpy(outputs), expected, atol=1e-5)

    @DEVICES
    @pytest.mark.parametrize("dtype", ["uint8", "int64", "int32", "bool"])
    @LIBRARIES
    def test_inputs_that_are_no_floats(self, device: str, dtype: str, library: str) -> None:
        x = np.random.default_rng(0).integers(0, 200, (12, 3)).astype(dtype)
        y = np.random.default_rng(1).integers(0, 2, 12)
        network, expected = (LiftedNetwork.dense([3, 4, 2], device=device) for _ in range(2))
        inputs: Any = tensor(x) if library == "torch" else x
        network.learn_batch(inputs, y)
        expected.learn_batch(x.astype("float32"), y)
        close(network, [as_numpy(w) for w in expected.weights], 1e-5)
        outputs = network.predict(inputs)
        assert type(outputs) is type(inputs)
        np.testing.assert_allclose(
            as_numpy(outputs), expected.predict(x.astype("float32")), rtol=1e-3, atol=1e-4
        )

    @DEVICES
    @pytest.mark.parametrize("dtype", ["int64", "uint8", "int8", "bool", "list"])
    @LIBRARIES
    def test_classes_of_every_type(self, device: str, dtype: str, library: str) -> None:
        x, _ = batch("cross_entropy")
        y = np.random.default_rng(1).integers(0, 2, len(x))
        network, expected = (LiftedNetwork.dense([3, 4, 2], device=device) for _ in range(2))
        classes: Any = y.tolist() if dtype == "list" else y.astype(dtype)
        if library == "torch" and dtype != "list":
            classes = tensor(classes)
        network.learn_batch(x, classes)
        expected.learn_batch(x, np.eye(2)[y])
        assert state(network) == state(expected)

    @DEVICES
    @LIBRARIES
    def test_one_output_takes_a_flat_target(self, device: str, library: str) -> None:
        x, y = batch("squared_error", outputs=1)
        flat, column = (
            LiftedNetwork.dense([3, 4, 1], loss="squared_error", device=device) for _ in range(2)
        )
        targets: Any = tensor(y[:, 0].copy()) if library == "torch" else y[:, 0]
        flat.learn_batch(x, targets)
        column.learn_batch(x, y)
        assert state(flat) == state(column)

    @needs_torch
    @EVERY_ACTIVATION
    @EVERY_LOSS
    @EVERY_ORDER
    @pytest.mark.parametrize("gamma", ["auto", 0.5])
    def test_torch_learns_as_numpy_does(
        self, activation: str, loss: str, order: Literal["top_down", "paper"], gamma: Any
    ) -> None:
        ours, theirs = (
            LiftedNetwork.dense(
                [3, 5, 4, 2],
                activation=activation,
                loss=loss,
                order=order,
                gamma=gamma,
                alternations=2,
                device=device,
                dtype="float64",
            )
            for device in ("cpu", "cpu:0")
        )
        for m in (30, 4, 1):
            x, y = batch(loss, m=m, seed=m)
            found, expected = (
                [
                    report.objective_before,
                    report.objective_after,
                    *report.divergence,
                    *report.displacement,
                ]
                for report in (theirs.learn_batch(x, y), ours.learn_batch(x, y))
            )
            assert {type(figure) for figure in found + expected} == {float}
            assert found == pytest.approx(expected, rel=1e-7, abs=1e-12)
        close(theirs, ours.weights, 1e-9)
        np.testing.assert_allclose(theirs.predict(x), ours.predict(x), rtol=1e-8)

    @needs_torch
    def test_keeps_no_graph_of_the_inputs(self) -> None:
        x, y = batch("squared_error")
        network = LiftedNetwork.dense([3, 4, 2], loss="squared_error", device="cpu:0")
        inputs = tensor(x).requires_grad_()
        network.learn_batch(inputs, tensor(y).requires_grad_())
        assert not any(w.requires_grad for w in network.weights)
        assert not network.predict(inputs).requires_grad

    @DEVICES
    def test_layouts_of_memory(self, device: str) -> None:
        x, y = batch("squared_error")
        read_only = x.copy()
        read_only.setflags(write=False)
        expected = LiftedNetwork.dense([3, 4, 2], loss="squared_error", device=device)
        expected.learn_batch(x, y)
        for other in (np.asfortranarray(x), x[:, ::-1].copy()[:, ::-1], read_only):
            network = LiftedNetwork.dense([3, 4, 2], loss="squared_error", device=device)
            network.learn_batch(other, y)
            close(network, [as_numpy(w) for w in expected.weights], 1e-6)

    @DEVICES
    def test_shares_no_memory_with_the_batch(self, device: str) -> None:
        x, y = batch("squared_error")
        copies = x.copy(), y.copy()
        network, other = (
            LiftedNetwork.dense([3, 4, 2], loss="squared_error", device=device, dtype="float64")
            for _ in range(2)
        )
        report, expected = network.learn_batch(x, y), other.learn_batch(*copies)
        assert np.array_equal(x, copies[0])
        assert np.array_equal(y, copies[1])
        x[:], y[:] = 7.0, 7.0  # a reader that fills the same buffer again
        assert state(network) == state(other)
        assert report.objective_before == expected.objective_before


class TestRefusals:
    def test_sizes_and_shapes_that_are_none(self) -> None:
        with pytest.raises(ConfigError, match=r"LiftedNetwork\.dense\(\[10, 16, 2\]\) creates"):
            LiftedNetwork([10, 16, 2])
        with pytest.raises(ConfigError, match=r"inputs is the shape .* \(10,\) or .* not 10"):
            LiftedNetwork.of([Dense(2)], inputs=10)  # type: ignore[arg-type]

    @pytest.mark.parametrize("learn", ["learn_batch", "fit"])
    def test_what_holds_no_numbers(self, learn: str) -> None:
        network = LiftedNetwork.dense([2, 3, 2], rho=0.1)
        with pytest.raises(DataError, match="Y holds text, not numbers"):
            getattr(network, learn)(np.ones((2, 2)), ["a", "b"])
        with pytest.raises(DataError, match="X holds object, not numbers"):
            getattr(network, learn)([[1.0, None], [2.0, 3.0]], [0, 1])
        with pytest.raises(DataError, match="X is no array"):
            getattr(network, learn)([[1.0], [2.0, 3.0]], [0, 1])

    def test_lists_will_do(self) -> None:
        lists, arrays = LiftedNetwork.dense([2, 3, 2]), LiftedNetwork.dense([2, 3, 2])
        x, y = [[1.0, 2.0], [3.0, 4.0]], [0, 1]
        lists.learn_batch(x, y)
        arrays.learn_batch(np.array(x), np.array(y))
        assert (lists.predict(x) == arrays.predict(np.array(x))).all()

    @pytest.mark.parametrize("where", ["X", "Y"])
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    @LIBRARIES
    def test_values_that_are_not_finite(self, where: str, value: float, library: str) -> None:
        x, y = batch("squared_error")
        network = LiftedNetwork.dense([3, 4, 2], loss="squared_error")
        network.learn_batch(x, y)
        before = state(network)
        (x if where == "X" else y)[2, 1] = value
        if library == "torch":
            x, y = tensor(x), tensor(y)
        with pytest.raises(DataError, match=f"{where} holds values that are not finite"):
            network.learn_batch(x, y)
        assert state(network) == before

    @pytest.mark.parametrize("where", ["X", "Y"])
    @DEVICES
    def test_values_beyond_single_precision(self, where: str, device: str) -> None:
        x, y = batch("squared_error")
        network = LiftedNetwork.dense([3, 4, 2], loss="squared_error", device=device)
        before = state(network)
        (x if where == "X" else y)[2, 1] = 1e140
        with pytest.raises(DataError, match=f"{where} holds values"):
            network.learn_batch(x, y)
        assert state(network) == before
        exact = LiftedNetwork.dense([3, 4, 2], loss="squared_error", dtype="float64")
        (x if where == "X" else y)[2, 1] = 1e14
        exact.learn_batch(x, y)
        assert all(np.isfinite(as_numpy(w)).all() for w in exact.weights)

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (np.zeros((4, 2)), r"X has shape \(4, 2\); the network takes \(rows, 3\)"),
            (np.zeros(3), r"X has shape \(3,\)"),
            (np.zeros((2, 3, 3)), r"X has shape \(2, 3, 3\)"),
            (np.zeros((4, 4)), r"X has shape \(4, 4\)"),
        ],
    )
    def test_inputs_of_the_wrong_shape(self, x: Any, message: str) -> None:
        network = LiftedNetwork.dense([3, 4, 2])
        for call in (
            lambda: network.learn_batch(x, np.zeros(len(x), int)),
            lambda: network.predict(x),
            lambda: network.objective(x, np.zeros(len(x), int)),
        ):
            with pytest.raises(DataError, match=message):
                call()

    def test_targets_that_do_not_fit(self) -> None:
        x, y = batch("cross_entropy")
        network = LiftedNetwork.dense([3, 4, 2])
        before = state(network)
        with pytest.raises(DataError, match="X has 8 rows, Y has 7"):
            network.learn_batch(x, y[:7])
        with pytest.raises(DataError, match=r"\(8, 3\).*\(8, 2\)"):
            network.learn_batch(x, np.ones((8, 3)))
        with pytest.raises(DataError, match=r"classes must lie in 0 \.\.\. 1.*0 \.\.\. 7"):
            network.learn_batch(x, np.arange(8))
        with pytest.raises(DataError, match="integer"):
            network.learn_batch(x, y[:, 0])
        assert state(network) == before

    def test_an_empty_batch(self) -> None:
        network = LiftedNetwork.dense([3, 4, 2])
        before = state(network)
        with pytest.raises(DataError, match="no rows"):
            network.learn_batch(np.zeros((0, 3)), np.zeros(0, int))
        assert state(network) == before
        assert network.predict(np.zeros((0, 3))).shape == (0, 2)


class TestPrediction:
    @EVERY_ACTIVATION
    def test_is_the_forward_pass(self, activation: str) -> None:
        x, _ = batch("squared_error")
        network = LiftedNetwork.dense([3, 5, 4, 2], activation=activation, dtype="float64")
        expected = reference(network).forward(x)[-1]
        np.testing.assert_allclose(network.predict(x), expected, rtol=1e-12)

    @DEVICES
    def test_changes_nothing(self, device: str) -> None:
        x, y = batch("cross_entropy", m=3)
        network = LiftedNetwork.dense([3, 4, 2], device=device)
        network.learn_batch(x, y)
        before, held = state(network), list(network.weights)
        network.predict(x)
        network.objective(x, y)
        assert state(network) == before
        assert all(w is kept for w, kept in zip(network.weights, held, strict=True))

    @DEVICES
    @LIBRARIES
    def test_can_be_written_to(self, device: str, library: str) -> None:
        ones = np.ones((4, 3), "float32")
        x = tensor(ones) if library == "torch" else ones
        network = LiftedNetwork.dense([3, 2], device=device)
        before = state(network)
        network.predict(x)[:] = 7.0
        assert state(network) == before
        assert (ones == 1).all()


class TestGrowth:
    @DEVICES
    @pytest.mark.parametrize("gamma", ["auto", 1.0])
    def test_without_a_hidden_layer(self, device: str, gamma: Any) -> None:
        x, y = batch("squared_error")
        network = LiftedNetwork.dense(
            [2, 2], loss="squared_error", gamma=gamma, device=device, dtype="float64"
        )
        network.learn_batch(x[:, :2], y)
        before = network.predict(x[:, :2])
        network.grow_inputs(np.zeros((2, 1)))
        np.testing.assert_allclose(network.predict(x), before, rtol=1e-12)
        report = network.learn_batch(x, y)
        assert report.objective_after < report.objective_before

    @DEVICES
    @pytest.mark.parametrize("gamma", ["auto", 1.0])
    def test_new_inputs_of_weight_zero_and_new_outputs(self, device: str, gamma: Any) -> None:
        x, y = batch("squared_error")
        network = LiftedNetwork.dense(
            [3, 4, 2], loss="squared_error", gamma=gamma, device=device, dtype="float64"
        )
        network.learn_batch(x, y)
        before = network.predict(x)
        network.grow_inputs(np.zeros((4, 2)))
        network.grow_outputs(3)
        assert (network.n_inputs, network.n_outputs) == (5, 5)
        wide = np.column_stack([x, np.random.default_rng(9).normal(size=(8, 2))])
        np.testing.assert_allclose(network.predict(wide)[:, :2], before, rtol=1e-12)
        assert (network.predict(wide)[:, 2:] == 0).all()
        report = network.learn_batch(wide, np.column_stack([y, wide[:, :3]]))
        assert report.objective_after < report.objective_before

    @DEVICES
    @pytest.mark.parametrize("gamma", ["auto", 1.0])
    def test_rescaled_outputs(self, device: str, gamma: Any) -> None:
        x, y = batch("squared_error")
        network = LiftedNetwork.dense(
            [3, 4, 2], loss="squared_error", gamma=gamma, device=device, dtype="float64"
        )
        network.learn_batch(x, y)
        factor, shift = np.array([2.0, -0.5]), np.array([0.0, 30.0])
        expected = network.predict(x) * factor + shift
        network.rescale_outputs(factor, shift)
        np.testing.assert_allclose(network.predict(x), expected, rtol=1e-12, atol=1e-12)
        if network.mixture is not None:
            candidates = zip(network.mixture.expert_weights, network.mixture.weights, strict=True)
            average = sum(as_numpy(share * w) for share, w in candidates)
            np.testing.assert_allclose(as_numpy(network.weights[-1]), average, rtol=1e-12)


class TestRealData:
    @EVERY_ACTIVATION
    @pytest.mark.parametrize("gamma", ["auto", (0.1, 1.0)])
    def test_one_pass_over_handwritten_digits(self, activation: str, gamma: Any) -> None:
        x, y = load_digits(return_X_y=True)
        shuffled = np.random.default_rng(0).permutation(len(x))
        x, y = x[shuffled] / 16 - 0.3, y[shuffled]
        network = LiftedNetwork.dense([64, 64, 10], activation=activation, gamma=gamma)
        for start in range(0, 1500, 25):
            network.learn_batch(x[start : start + 25], y[start : start + 25])
        accuracy = (network.predict(x[1500:]).argmax(axis=1) == y[1500:]).mean()
        assert accuracy > 0.85

    @EVERY_LOSS
    def test_a_deep_network_recovers_from_swapped_labels(self, loss: str) -> None:
        x, y = load_digits(return_X_y=True)
        x = x / 16 - 0.3
        network = LiftedNetwork.dense([64, 48, 32, 10], loss=loss)
        accuracies = []
        for number, start in enumerate(range(0, 1750, 50)):
            targets = (y + (number >= 20)) % 10
            inputs = x[start : start + 50]
            right = network.predict(inputs).argmax(axis=1) == targets[start : start + 50]
            accuracies.append(right.mean())
            network.learn_batch(inputs, np.eye(10)[targets[start : start + 50]])
        assert np.mean(accuracies[15:20]) > 0.8
        assert accuracies[20] < 0.2
        assert np.mean(accuracies[25:30]) > 0.7
