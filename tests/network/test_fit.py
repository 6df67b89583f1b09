"""Algorithm 1, its Lagrange bound, and the scaling of variables to a single lambda."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.datasets import load_digits

from fenchel_stream import LiftedNetwork
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.network.activations import ACTIVATIONS
from fenchel_stream.network.arrays import as_numpy
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.fit import FitReport
from fenchel_stream.network.layers import AveragePool2d, Conv2d, Dense
from fenchel_stream.network.losses import LOSSES
from fenchel_stream.network.single_lambda import with_single_lambda
from tests import oracle
from tests.oracle import Matrix, ones
from tests.tensors import ALL_DEVICES, needs_torch

QUIET: dict[str, Any] = {"progress": False}


def data(loss: str, m: int = 12, inputs: int = 3, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(m, inputs))
    return x, rng.dirichlet([1, 1], m) if loss == "cross_entropy" else rng.normal(size=(m, 2))


def all_reports(last: FitReport) -> list[FitReport]:
    return [*last.earlier, last]


def never_rises(values: list[float]) -> bool:
    return all(later <= before + 1e-11 * (1 + abs(before)) for before, later in pairwise(values))


class TestFit:
    @given(
        hidden=st.lists(st.integers(1, 5), max_size=3),
        m=st.integers(2, 15),
        activation=st.sampled_from(list(ACTIVATIONS)),
        loss=st.sampled_from(list(LOSSES)),
        order=st.sampled_from(["top_down", "paper"]),
        lam=st.sampled_from([0.01, 1.0, 20.0]),
        rho=st.sampled_from([1e-3, 0.1, 2.0]),
        gamma=st.sampled_from(["auto", 0.5]),
        device=st.sampled_from(ALL_DEVICES),
        ascents=st.integers(0, 2),
        seed=st.integers(0, 10**6),
    )
    @settings(max_examples=60)
    def test_the_objective_never_rises(
        self,
        hidden: list[int],
        m: int,
        activation: str,
        loss: str,
        order: str,
        lam: float,
        rho: float,
        gamma: Any,
        device: str,
        ascents: int,
        seed: int,
    ) -> None:
        network = LiftedNetwork.dense(
            [3, *hidden, 2],
            seed=seed,
            activation=activation,
            loss=loss,
            order=order,
            lam=lam,
            rho=rho,
            gamma=gamma,
            device=device,
            dtype="float64",
        )
        x, y = data(loss, m, seed=seed)
        before = network.objective(x, y)
        last = network.fit(x, y, sweeps=8, tolerance=0.0, ascents=ascents, **QUIET)
        reports = all_reports(last)
        assert len(reports) == 1 + ascents
        assert reports[0].objectives[0] == pytest.approx(before, rel=1e-12)
        for report in reports:
            assert never_rises(report.objectives)
            bound = report.bound
            assert bound.stationary == report.objectives[-1]
            # Weak duality, as far as it is certain.
            assert 0 <= bound.certified <= bound.stationary * (1 + 1e-12)
            assert bound.certified <= bound.feasible * (1 + 1e-12)
            assert min([0.0, *bound.residuals]) >= -1e-10
        assert reports[-1].bound.feasible == pytest.approx(network.objective(x, y), rel=1e-12)
        assert network.lam == last.lam

    @needs_torch
    def test_convolutions(self) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(10, 6, 6, 1)), rng.integers(0, 2, 10)
        layers = [Conv2d(3, 3), AveragePool2d(2), Dense(2)]
        network = LiftedNetwork.of(layers, (6, 6, 1), rho=0.01, lam=0.1, dtype="float64")
        report = network.fit(x, y, sweeps=20, **QUIET)
        assert never_rises(report.objectives)
        assert report.objectives[-1] < 0.7 * report.objectives[0]

    def test_stops_when_a_sweep_gains_little(self) -> None:
        x, y = data("squared_error")
        settings: Any = {"loss": "squared_error", "rho": 0.1, "lam": 1.0, "dtype": "float64"}
        seen: list[int] = []
        report = LiftedNetwork.dense([3, 6, 2], **settings).fit(
            x, y, tolerance=1e-3, sweeps=500, on_sweep=seen.append, **QUIET
        )
        gains = [(a - b) / abs(a) for a, b in pairwise(report.objectives)]
        assert report.converged
        assert gains[-1] <= 1e-3 < min(gains[:-1])
        assert seen == list(range(1, len(report.objectives)))
        short = LiftedNetwork.dense([3, 6, 2], **settings).fit(x, y, tolerance=0, sweeps=2, **QUIET)
        assert not short.converged
        assert short.objectives == report.objectives[:3]

    def test_ends_where_no_block_gains(self) -> None:
        # Every sub-problem at the end is solved, says SciPy.
        x, y = data("cross_entropy", m=8)
        network = LiftedNetwork.dense(
            [3, 4, 2], activation="tanh", lam=0.5, rho=0.05, dtype="float64"
        )
        report = network.fit(x, y, tolerance=1e-13, sweeps=5000, **QUIET)
        relaxed = network.problem.relaxed()
        now = relaxed.forward(network.weights, ones(x))
        descent = Descent(relaxed, y, now.copy(), now)
        for _ in range(200):
            descent.move(("X", 1))
        z = now.inputs[1][:, 1:]
        pair = oracle.PAIRS["tanh"]
        output = oracle.Above.output("cross_entropy", y)
        best = oracle.solve_w(output, ones(z), network.weights[1], 0.0, 0.05)
        np.testing.assert_allclose(network.weights[1], best, atol=1e-3)
        hidden = oracle.Above.hidden(pair, z, 0.5)
        best = oracle.solve_w(hidden, ones(x), network.weights[0], 0.0, 0.05)
        np.testing.assert_allclose(network.weights[0], best, atol=1e-3)
        assert float(descent.objective(now)) == pytest.approx(report.objectives[-1], rel=1e-6)

    def test_dual_ascent_closes_the_constraints(self) -> None:
        x, y = data("squared_error", m=20)
        network = LiftedNetwork.dense(
            [3, 6, 2], loss="squared_error", lam=0.02, rho=0.01, dtype="float64"
        )
        last = network.fit(x, y, ascents=6, ascent_step=5.0, sweeps=200, tolerance=1e-5, **QUIET)
        reports = all_reports(last)
        lams = [report.lam[0] for report in reports]
        assert lams == sorted(lams)
        assert lams[0] == 0.02 < lams[-1]
        for earlier, later in pairwise(reports):
            step = 5.0 * earlier.bound.residuals[0] / 20
            assert later.lam[0] == pytest.approx(earlier.lam[0] + step)
        assert last.bound.residuals[0] < 0.5 * reports[0].bound.residuals[0]
        assert last.bound.stationary > reports[0].bound.stationary

    @pytest.mark.parametrize("loss", LOSSES)
    def test_without_a_hidden_layer_the_bound_is_certified(self, loss: str) -> None:
        x, y = data(loss)
        above, rho = oracle.Above.output(loss, y), 0.3

        def problem(flat: Matrix) -> tuple[float, Matrix]:
            w = flat.reshape(2, 4)
            gradient = above.gradient(ones(x) @ w.T).T @ ones(x) + 2 * rho * w
            return above.value(ones(x) @ w.T) + rho * float((w**2).sum()), gradient.ravel()

        best = minimize(problem, np.zeros(8), jac=True, method="BFGS", options={"gtol": 1e-9}).fun
        bounds = []
        for sweeps in (1, 3, 100):
            network = LiftedNetwork.dense([3, 2], loss=loss, rho=rho, dtype="float64")
            report = network.fit(x, y, sweeps=sweeps, tolerance=0.0, **QUIET)
            bounds.append(report.bound.certified)
            assert (
                report.bound.certified <= best * (1 + 1e-9) <= report.bound.stationary * (1 + 2e-9)
            )
        assert bounds == sorted(bounds)
        assert bounds[-1] == pytest.approx(best, rel=1e-6)

    def test_goes_on_in_batches_where_the_fit_ended(self) -> None:
        x, y = load_digits(return_X_y=True)
        x = x / 16 - 0.3
        network = LiftedNetwork.dense([64, 32, 10], rho=1e-3, lam=0.1)
        network.fit(x[:800], y[:800], sweeps=15, **QUIET)
        assert (network.predict(x[800:]).argmax(axis=1) == y[800:]).mean() > 0.85
        report = network.learn_batch(x[800:900], y[800:900])
        assert report.objective_after < report.objective_before

    def test_refusals(self) -> None:
        x, y = data("squared_error")
        network = LiftedNetwork.dense([3, 4, 2], loss="squared_error", rho=[0.1, 0.0])
        with pytest.raises(ConfigError, match="positive rho for every layer"):
            network.fit(x, y, **QUIET)
        network = LiftedNetwork.dense([3, 4, 2], loss="squared_error", rho=0.1)
        for wrong in ({"sweeps": 0}, {"ascents": -1}, {"tolerance": -1.0}, {"ascent_step": 0.0}):
            with pytest.raises(ConfigError, match="sweeps must be at least 1"):
                network.fit(x, y, **{**QUIET, **wrong})
        with pytest.raises(DataError, match="X has 12 rows, Y has 11"):
            network.fit(x, y[:11], **QUIET)

    def test_shows_its_progress(self, capsys: pytest.CaptureFixture[str]) -> None:
        x, y = data("squared_error")
        network = LiftedNetwork.dense([3, 4, 2], loss="squared_error", rho=0.1)
        network.fit(x, y, sweeps=3, tolerance=0.0)
        assert "objective=" in capsys.readouterr().err


HOMOGENEOUS = ["relu", "leaky_relu", "identity"]


class TestSingleLambda:
    @given(
        activation=st.sampled_from(HOMOGENEOUS),
        loss=st.sampled_from(list(LOSSES)),
        lam=st.tuples(*[st.floats(0.01, 100.0)] * 2),
        single=st.none() | st.floats(0.01, 100.0),
        gamma=st.sampled_from(["auto", 1.0]),
        seed=st.integers(0, 10**6),
    )
    @settings(max_examples=40)
    def test_objectives_and_predictions_agree(
        self,
        activation: str,
        loss: str,
        lam: tuple[float, float],
        single: float | None,
        gamma: Any,
        seed: int,
    ) -> None:
        x, y = data(loss, seed=seed)
        network = LiftedNetwork.dense(
            [3, 5, 4, 2],
            seed=seed,
            activation=activation,
            loss=loss,
            lam=lam,
            gamma=gamma,
            rho=[0.2, 0.0, 0.0],
            dtype="float64",
        )
        network.learn_batch(x, y)
        scaled = with_single_lambda(network, single)
        assert scaled.lam == (single or lam[0],) * 2
        np.testing.assert_allclose(scaled.predict(x), network.predict(x), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(scaled.predict(x[:1]), network.predict(x[:1]), atol=1e-9)
        assert scaled.objective(x, y) == pytest.approx(network.objective(x, y), rel=1e-9)

        # At any X-variables, not only those of the feed-forward point.
        rng = np.random.default_rng(seed)
        pair, scales = ACTIVATIONS[activation], [np.sqrt(own / scaled.lam[0]) for own in lam]
        zs = [pair.phi(rng.normal(size=(len(x), units))) for units in (5, 4)]
        values = []
        for net, variables in (
            (network, zs),
            (scaled, [s * z for s, z in zip(scales, zs, strict=True)]),
        ):
            relaxed = net.problem.relaxed()
            at = relaxed.forward(net.weights, ones(x))
            at.inputs = [ones(x), *map(ones, variables)]
            at.outputs = [a @ w.T for a, w in zip(at.inputs, net.weights, strict=True)]
            values.append(float(Descent(relaxed, y, at, at).objective(at)))
        assert values[1] == pytest.approx(values[0], rel=1e-9)
        assert network.lam == lam

    @needs_torch
    def test_convolutions(self) -> None:
        layers = [Conv2d(3, 3), AveragePool2d(2), Conv2d(2, 2), Dense(2)]
        network = LiftedNetwork.of(layers, (6, 6, 1), lam=[0.1, 7.0], dtype="float64")
        x = np.random.default_rng(0).normal(size=(5, 36))
        scaled = with_single_lambda(network, 2.0)
        np.testing.assert_allclose(scaled.predict(x), network.predict(x), rtol=1e-10, atol=1e-12)
        assert not np.allclose(as_numpy(scaled.weights[1]), as_numpy(network.weights[1]))

    def test_refusals(self) -> None:
        with pytest.raises(ConfigError, match="homogeneous"):
            with_single_lambda(LiftedNetwork.dense([3, 4, 2], activation="tanh"))
        network = LiftedNetwork.dense([3, 4, 4, 2], lam=[1.0, 2.0], rho=0.1)
        with pytest.raises(ConfigError, match=r"layer 2 has rho 0\.1"):
            with_single_lambda(network)
