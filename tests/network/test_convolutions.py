"""Networks with convolutions: sub-problems and steps against SciPy, and training that works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from fenchel_stream import LiftedNetwork
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.network.activations import ACTIVATIONS
from fenchel_stream.network.arrays import as_numpy
from fenchel_stream.network.layers import AveragePool2d, Conv2d, Dense, chained
from fenchel_stream.network.losses import LOSSES
from fenchel_stream.network.solvers import HiddenTerm, ProximalMetric, w_update, x_update
from tests.oracle import PAIRS, Above, Matrix, ones, solve_w, solve_x, w_objective
from tests.tensors import ALL_DEVICES, DEVICES, REASON

torch = pytest.importorskip("torch", reason=REASON)
avg_pool2d, conv2d = torch.nn.functional.avg_pool2d, torch.nn.functional.conv2d
unfold = torch.nn.functional.unfold

SOME_ACTIVATIONS = pytest.mark.parametrize("activation", ["relu", "tanh", "softplus"])
SIDES, DEPTH = (6, 4), 2  # of the images
POOL, CONVOLUTION = AveragePool2d(2), Conv2d(3, 2, stride=1, padding=1)


def images(x: Matrix, *shape: int) -> Any:
    return torch.from_numpy(x).reshape(len(x), *shape).permute(0, 3, 1, 2)


def windows(x: Any) -> Matrix:
    """The design matrix by torch's own unfolding, its columns in our order."""
    size, depth = CONVOLUTION.kernel, x.shape[1]
    rows = unfold(x, size, padding=CONVOLUTION.padding).permute(0, 2, 1).reshape(-1, depth, size**2)
    return ones(rows.permute(0, 2, 1).reshape(len(rows), -1).numpy())


def as_dense(w: Matrix, *shape: int, pool: bool = False) -> Matrix:
    """The matrix of the convolution on images of `shape`, biases first."""
    size = CONVOLUTION.kernel
    kernel = torch.from_numpy(w[:, 1:].copy()).reshape(len(w), size, size, -1).permute(0, 3, 1, 2)

    def apply(rows: Matrix, biases: Any = None) -> Matrix:
        x = images(rows, *shape)
        if pool:
            x = avg_pool2d(x, POOL.window)
        u = conv2d(x, kernel, biases, CONVOLUTION.stride, CONVOLUTION.padding)
        return as_numpy(u.permute(0, 2, 3, 1).reshape(len(x), -1))  # type: ignore[no-any-return]

    inputs = int(np.prod(shape))
    biases = apply(np.zeros((1, inputs)), torch.from_numpy(w[:, 0].copy()))
    return np.vstack([biases, apply(np.eye(inputs))]).T


@SOME_ACTIVATIONS
class TestSubProblems:
    def test_the_w_step_reaches_the_minimiser(self, activation: str) -> None:
        rng = np.random.default_rng(1)
        (layer, _) = chained([POOL, CONVOLUTION, Dense(1)], (*SIDES, DEPTH))
        x = rng.normal(size=(3, 48))
        v = PAIRS[activation].phi(rng.normal(size=(3, int(np.prod(layer.outputs)))))
        w0, gamma, rho, lam = rng.normal(size=layer.weight_shape), 0.3, 0.2, 0.7
        above = Above.hidden(PAIRS[activation], v.reshape(-1, CONVOLUTION.channels), lam)
        design = windows(avg_pool2d(images(x, *SIDES, DEPTH), POOL.window))
        best = solve_w(above, design, w0, gamma, rho)

        term = HiddenTerm(ACTIVATIONS[activation], v, lam)
        a, c = ones(x), term.curvature
        metric = ProximalMetric.of(a, 2 * gamma / c, 2 * rho / c, layer=layer)
        w, values = w0, [w_objective(above, design, w0, w0, gamma, rho)]
        for _ in range(5):
            w, u = w_update(term, metric, w, w0, layer.forward(a, w), 1)
            values.append(w_objective(above, design, w, w0, gamma, rho))
        assert values == sorted(values, reverse=True)
        w, u = w_update(term, metric, w0, w0, layer.forward(a, w0), 500)
        np.testing.assert_allclose(w, best, atol=1e-6)
        np.testing.assert_allclose(u.reshape(len(design), -1), design @ w.T, atol=1e-10)

    def test_the_x_step_reaches_the_minimiser(self, activation: str) -> None:
        rng = np.random.default_rng(2)
        (layer, _) = chained([POOL, CONVOLUTION, Dense(1)], (*SIDES, DEPTH))
        pair, lam, mu = PAIRS[activation], 0.7, 0.4
        v = pair.phi(rng.normal(size=(3, int(np.prod(layer.outputs)))))
        w, u_below = rng.normal(size=layer.weight_shape), rng.normal(size=(3, 48))
        above = Above.hidden(pair, v, lam)
        best, _ = solve_x(above, pair, u_below, as_dense(w, *SIDES, DEPTH, pool=True), u_below, mu)
        a = ones(pair.phi(u_below))
        _, a, u = x_update(
            HiddenTerm(ACTIVATIONS[activation], v, lam),
            ACTIVATIONS[activation],
            mu,
            u_below,
            u_below,
            a,
            w,
            layer.forward(a, w),
            500,
            layer,
        )
        np.testing.assert_allclose(a[:, 1:], best, atol=1e-6)
        np.testing.assert_allclose(u, layer.forward(a, w), atol=1e-12)

    @pytest.mark.parametrize("order", ["top_down", "paper"])
    def test_a_whole_step(self, activation: str, order: str) -> None:
        rng = np.random.default_rng(3)
        x, y = rng.normal(size=(4, 48)), rng.normal(size=(4, 2))
        gamma, lam = 0.5, 0.8
        network = LiftedNetwork.of(
            [CONVOLUTION, Dense(2)],
            (*SIDES, DEPTH),
            activation=activation,
            loss="squared_error",
            lam=lam,
            gamma=gamma,
            gamma_unit="absolute",
            order=order,
            x_iterations=1000,
            w_iterations=300,
            dtype="float64",
        )
        w0, w1 = (w.copy() for w in network.weights)
        network.learn_batch(x, y)

        pair, output = PAIRS[activation], Above.output("squared_error", y)
        u0 = ones(x) @ as_dense(w0, *SIDES, DEPTH).T
        z, new1 = pair.phi(u0), w1
        if order == "top_down":
            new1 = solve_w(output, ones(z), w1, gamma)
            z, _ = solve_x(output, pair, u0, new1, u0, lam)
        else:
            z, _ = solve_x(output, pair, u0, w1, u0, lam)
            new1 = solve_w(output, ones(z), w1, gamma)
        hidden = Above.hidden(pair, z.reshape(-1, CONVOLUTION.channels), lam)
        new0 = solve_w(hidden, windows(images(x, *SIDES, DEPTH)), w0, gamma)
        np.testing.assert_allclose(network.weights[1], new1, atol=1e-5)
        np.testing.assert_allclose(network.weights[0], new0, atol=1e-5)


SIZES = st.integers(1, 3)


class TestNetwork:
    @given(
        channels=st.tuples(SIZES, SIZES),
        kernel=SIZES,
        stride=st.integers(1, 2),
        padding=st.integers(0, 1),
        samples=st.integers(1, 6),
        activation=st.sampled_from(list(ACTIVATIONS)),
        loss=st.sampled_from(list(LOSSES)),
        order=st.sampled_from(["top_down", "paper"]),
        gamma=st.sampled_from(["auto", 0.01, 1.0]),
        lam=st.sampled_from([0.01, 1.0, 20.0]),
        rho=st.sampled_from([0.0, 0.1]),
        device=st.sampled_from(ALL_DEVICES),
        seed=st.integers(0, 10**6),
    )
    @settings(max_examples=60)
    def test_the_objective_never_rises(
        self,
        channels: tuple[int, int],
        kernel: int,
        stride: int,
        padding: int,
        samples: int,
        activation: str,
        loss: str,
        order: str,
        gamma: Any,
        lam: float,
        rho: float,
        device: str,
        seed: int,
    ) -> None:
        network = LiftedNetwork.of(
            [
                Conv2d(channels[0], 3, padding=1),
                AveragePool2d(2),
                Conv2d(channels[1], kernel, stride, padding),
                Dense(4),
                Dense(2),
            ],
            (8, 6, 2),
            seed=seed,
            activation=activation,
            loss=loss,
            order=order,
            gamma=gamma,
            lam=lam,
            rho=rho,
            alternations=2,
            device=device,
            dtype="float64",
        )
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(samples, 8, 6, 2)), rng.dirichlet([1, 1], samples)
        for _ in range(2):
            report = network.learn_batch(x, y)
            rounding = 1e-11 * (1 + report.objective_before)
            assert report.objective_after <= report.objective_before + rounding
            assert min([0.0, *report.divergence]) >= -rounding

    def test_gamma_counts_in_samples(self) -> None:
        # Against a step with the paper's gamma, from the lengths of the unfolded images.
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(5, 48)), rng.normal(size=(5, 2))
        lengths = [(windows(images(x, *SIDES, DEPTH)) ** 2).sum() / 5]
        networks = []
        for unit in ("sample", "absolute"):
            network = LiftedNetwork.of(
                [CONVOLUTION, Dense(2)],
                (*SIDES, DEPTH),
                loss="squared_error",
                lam=0.4,
                gamma=0.3
                if unit == "sample"
                else [0.5 * 0.3 * 0.4 * lengths[0], 0.15 * lengths[1]],
                gamma_unit=unit,
                dtype="float64",
            )
            hidden = as_dense(network.weights[0], *SIDES, DEPTH)
            lengths.append((ones(PAIRS["relu"].phi(ones(x) @ hidden.T)) ** 2).sum() / 5)
            network.learn_batch(x, y)
            networks.append(network)
        for w, expected in zip(networks[0].weights, networks[1].weights, strict=True):
            np.testing.assert_allclose(w, expected, rtol=1e-9, atol=1e-12)

    @DEVICES
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_images_or_their_rows(self, device: str, dtype: str) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(6, 28, 28, 1)), rng.integers(0, 10, 6)
        one, other = (LiftedNetwork.lenet5(device=device, dtype=dtype) for _ in range(2))
        one.learn_batch(x, y)
        other.learn_batch(x.reshape(6, -1), y)
        for w, expected in zip(one.weights, other.weights, strict=True):
            assert str(w.dtype).removeprefix("torch.") == dtype
            assert isinstance(w, torch.Tensor) == (device == "cpu:0")
            assert np.array_equal(as_numpy(w), as_numpy(expected))
        outputs = one.predict(torch.from_numpy(x))
        assert isinstance(outputs, torch.Tensor)
        assert np.array_equal(outputs.numpy(), one.predict(x.reshape(6, -1)))

    def test_images_of_the_wrong_shape(self) -> None:
        network = LiftedNetwork.lenet5((32, 32, 3))
        for shape in ((2, 3, 32, 32), (2, 3000), (32, 32, 3)):
            with pytest.raises(DataError) as caught:
                network.predict(np.zeros(shape))
            assert str(caught.value) == (
                f"X has shape {shape}; the network takes (rows, 3072) or (rows, 32, 32, 3)"
            )

    def test_images_do_not_grow(self) -> None:
        network = LiftedNetwork.lenet5()
        with pytest.raises(ConfigError, match=r"\(28, 28, 1\)"):
            network.grow_inputs(np.zeros((6, 1)))
        assert network.n_inputs == 784
        network.grow_outputs(2)
        assert network.predict(np.zeros((3, 784))).shape == (3, 12)

    @DEVICES
    def test_handwritten_digits_in_one_pass(self, device: str) -> None:
        x, y = load_digits(return_X_y=True)
        shuffled = np.random.default_rng(0).permutation(len(x))
        x, y = x[shuffled].reshape(-1, 8, 8, 1) / 16, y[shuffled]
        layers = [Conv2d(8, 3, padding=1), AveragePool2d(2), Conv2d(16, 3), Dense(32), Dense(10)]
        network = LiftedNetwork.of(layers, (8, 8, 1), device=device, lam=0.1)
        for start in range(0, 1500, 50):
            network.learn_batch(x[start : start + 50], y[start : start + 50])
        accuracy = (network.predict(x[1500:]).argmax(axis=1) == y[1500:]).mean()
        assert accuracy > 0.93
