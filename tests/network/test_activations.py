"""Each activation is the gradient of a convex function whose conjugate it comes with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.activations import ACTIVATIONS, Activation, get_activation
from tests import tensors
from tests.oracle import PAIRS

EACH = pytest.mark.parametrize("name", ACTIVATIONS)
PRE_ACTIVATIONS = st.floats(-30, 30)
METHODS = ("phi", "inverse", "dual", "primal")


def at(function: Callable[[Any], Any], value: float) -> float:
    return float(function(np.array([value]))[0])


def inside(activation: Activation, position: float) -> float:
    """A point of the open range, from a position in (0, 1)."""
    lower, upper = max(activation.lower, -20.0), min(activation.upper, 20.0)
    return lower + position * (upper - lower)


def ends(activation: Activation) -> list[float]:
    return [end for end in (activation.lower, activation.upper) if np.isfinite(end)]


def test_all_are_covered() -> None:
    assert set(PAIRS) == set(ACTIVATIONS)


def test_an_unknown_one_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'gelu' is unknown.*relu"):
        get_activation("gelu")


@EACH
class TestPair:
    @given(position=st.floats(0.0, 1.0), u=PRE_ACTIVATIONS)
    def test_divergence_is_never_negative(self, name: str, position: float, u: float) -> None:
        activation = ACTIVATIONS[name]
        v = np.array([inside(activation, position)])
        rounding = 1e-14 * (1 + u * u + float(v[0]) ** 2)
        assert activation.divergence(v, np.array([u]))[0] >= -rounding

    @given(u=PRE_ACTIVATIONS)
    def test_divergence_is_zero_at_phi(self, name: str, u: float) -> None:
        activation = ACTIVATIONS[name]
        v = activation.phi(np.array([u]))
        assert abs(activation.divergence(v, np.array([u]))[0]) <= 1e-13 * (1 + u * u)

    @given(u=PRE_ACTIVATIONS, away=st.floats(0.01, 5.0))
    def test_divergence_is_positive_elsewhere(self, name: str, u: float, away: float) -> None:
        # F is 1/c-strongly convex, so that B grows at least like this away from phi(u).
        activation = ACTIVATIONS[name]
        phi = at(activation.phi, u)
        for v in (phi - away, phi + away):
            if activation.lower <= v <= activation.upper:
                bound = away**2 / (2 * activation.curvature)
                found = activation.divergence(np.array([v]), np.array([u]))[0]
                assert found >= bound * (1 - 1e-9) - 1e-13 * (1 + u * u)

    @given(position=st.floats(0.02, 0.98))
    def test_primal_is_the_conjugate_of_dual(self, name: str, position: float) -> None:
        activation = ACTIVATIONS[name]
        v = inside(activation, position)
        found = minimize_scalar(
            lambda u: at(activation.dual, u) - u * v,
            bounds=(-3000, 100),
            method="bounded",
            options={"xatol": 1e-9, "maxiter": 500},
        )
        assert at(activation.primal, v) == pytest.approx(-found.fun, rel=1e-7, abs=1e-7)

    @given(u=st.floats(-8, 8))
    def test_dual_is_the_conjugate_of_primal(self, name: str, u: float) -> None:
        activation = ACTIVATIONS[name]
        found = minimize_scalar(
            lambda v: at(activation.primal, v) - u * v,
            bounds=(max(activation.lower, -20), min(activation.upper, 20)),
            method="bounded",
            options={"xatol": 1e-9, "maxiter": 500},
        )
        assert at(activation.dual, u) == pytest.approx(-found.fun, rel=1e-6, abs=1e-6)

    @given(u=PRE_ACTIVATIONS)
    def test_phi_is_the_derivative_of_dual(self, name: str, u: float) -> None:
        activation = ACTIVATIONS[name]
        step = 1e-4
        slope = (at(activation.dual, u + step) - at(activation.dual, u - step)) / (2 * step)
        assert at(activation.phi, u) == pytest.approx(slope, abs=1e-4)

    @given(position=st.floats(0.02, 0.98))
    def test_inverse_is_the_derivative_of_primal(self, name: str, position: float) -> None:
        activation = ACTIVATIONS[name]
        v = inside(activation, position)
        step = 1e-5
        slope = (at(activation.primal, v + step) - at(activation.primal, v - step)) / (2 * step)
        assert at(activation.inverse, v) == pytest.approx(slope, rel=1e-4, abs=1e-3)

    @given(u=PRE_ACTIVATIONS)
    def test_inverse_undoes_phi(self, name: str, u: float) -> None:
        activation = ACTIVATIONS[name]
        v = at(activation.phi, u)
        if activation.lower < v < activation.upper:
            assert at(activation.phi, at(activation.inverse, v)) == pytest.approx(v, rel=1e-12)

    @given(u=PRE_ACTIVATIONS, step=st.floats(1e-3, 10))
    def test_phi_rises_no_faster_than_its_curvature(self, name: str, u: float, step: float) -> None:
        activation = ACTIVATIONS[name]
        rise = at(activation.phi, u + step) - at(activation.phi, u)
        assert -1e-15 <= rise <= activation.curvature * step * (1 + 1e-9) + 1e-14

    @given(
        points=st.tuples(*[st.floats(0.0, 1.0)] * 2),
        us=st.tuples(PRE_ACTIVATIONS, PRE_ACTIVATIONS),
        along=st.floats(0.0, 1.0),
    )
    def test_divergence_is_biconvex(
        self, name: str, points: tuple[float, float], us: tuple[float, float], along: float
    ) -> None:
        # Convex in v with u held, and in u with v held, along any segment.
        activation = ACTIVATIONS[name]
        v, u = [inside(activation, p) for p in points], list(us)
        rounding = 1e-12 * (1 + sum(x * x for x in v + u))

        def b(v: float, u: float) -> float:
            return float(activation.divergence(np.array([v]), np.array([u]))[0])

        def between(pair: list[float]) -> float:
            low, high = min(pair), max(pair)
            return min(max((1 - along) * pair[0] + along * pair[1], low), high)

        chord = (1 - along) * b(v[0], u[0]) + along * b(v[1], u[0])
        assert b(between(v), u[0]) <= chord + rounding
        chord = (1 - along) * b(v[0], u[0]) + along * b(v[0], u[1])
        assert b(v[0], between(u)) <= chord + rounding

    @given(position=st.floats(0.02, 0.98), u=st.floats(-8, 8))
    def test_gradients_of_the_divergence(self, name: str, position: float, u: float) -> None:
        # dB/du = phi(u) - v and dB/dv = phi^-1(v) - u.
        activation, step = ACTIVATIONS[name], 1e-5
        v = inside(activation, position)
        vs, us = np.array([v, v, v + step, v - step]), np.array([u + step, u - step, u, u])
        b = activation.divergence(vs, us)
        assert (b[0] - b[1]) / (2 * step) == pytest.approx(at(activation.phi, u) - v, abs=1e-4)
        slope = at(activation.inverse, v) - u
        assert (b[2] - b[3]) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-3)

    @given(u=PRE_ACTIVATIONS, beyond=st.floats(1e-6, 100.0))
    def test_divergence_is_infinite_beyond_the_range(
        self, name: str, u: float, beyond: float
    ) -> None:
        activation = ACTIVATIONS[name]
        kinds: list[Any] = [np.array, tensors.torch().tensor] if tensors.INSTALLED else [np.array]
        for kind in kinds:
            pre = kind([u])
            if activation.lower > -np.inf:
                assert activation.divergence(kind([activation.lower - beyond]), pre)[0] == np.inf
            if activation.upper < np.inf:
                assert activation.divergence(kind([activation.upper + beyond]), pre)[0] == np.inf
            for end in ends(activation):
                found = float(activation.divergence(kind([end]), pre)[0])
                assert 0 <= found + 1e-12 * (1 + u * u) < np.inf

    def test_curvature_is_the_least_bound(self, name: str) -> None:
        u = np.linspace(-10, 40, 50_001)
        slopes = np.diff(ACTIVATIONS[name].phi(u)) / np.diff(u)
        assert slopes.max() == pytest.approx(ACTIVATIONS[name].curvature, rel=1e-6)

    def test_the_range_is_as_declared(self, name: str) -> None:
        activation = ACTIVATIONS[name]
        low, high = activation.phi(np.array([-1e4, 1e4]))
        assert activation.lower <= low < high <= activation.upper
        assert low == pytest.approx(activation.lower) if activation.lower > -np.inf else low <= -100
        assert high == pytest.approx(activation.upper) if activation.upper < np.inf else high >= 100


@EACH
def test_against_scipy(name: str) -> None:
    activation, pair = ACTIVATIONS[name], PAIRS[name]
    u = np.concatenate([np.linspace(-35, 35, 2001), [0.0, 1e-9, -1e-9, 1e-300]])
    np.testing.assert_allclose(activation.phi(u), pair.phi(u), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(activation.dual(u), pair.dual(u), rtol=1e-12, atol=1e-14)
    v = pair.phi(np.linspace(-6, 6, 501))
    np.testing.assert_allclose(activation.primal(v), pair.primal(v), rtol=1e-11, atol=1e-12)
    inner = v[v > activation.lower]
    np.testing.assert_allclose(activation.inverse(inner), pair.inverse(inner), rtol=1e-11)


@pytest.mark.parametrize("u", [-700.0, -40.0, -5.0, -1e-8, 0.0, 1e-8, 0.3, 5.0, 40.0, 700.0])
def test_softplus_dual_against_quadrature(u: float) -> None:
    pieces = [max(u - 40, -740), u] if u <= 0 else [-40, 0, u]
    exact = sum(
        quad(lambda t: np.logaddexp(0, t), a, b, epsabs=0, epsrel=1e-13, limit=200)[0]
        for a, b in pairwise(pieces)
    )
    assert at(ACTIVATIONS["softplus"].dual, u) == pytest.approx(exact, rel=1e-13, abs=0)


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestExtremes:
    def test_at_the_ends_of_the_range(self, name: str, dtype: str) -> None:
        activation = ACTIVATIONS[name]
        u = np.array([-50, -1, 0, 1, 50], dtype)
        for end in ends(activation):
            v = np.full_like(u, end)
            near = np.nextafter(v, np.full_like(v, 0.5))
            assert np.isfinite(activation.primal(v)).all()
            # F is continuous there, and may fall off as a square root does.
            step = 2 * np.sqrt(np.finfo(dtype).eps)
            np.testing.assert_allclose(activation.primal(v), activation.primal(near), atol=step)
            assert (activation.divergence(v, u) >= -1e-3).all()

    def test_saturated(self, name: str, dtype: str) -> None:
        activation = ACTIVATIONS[name]
        u = np.array([0, 1e-30, 1, 20, 90, 200, 1e4, 1e9, 1e15], dtype)
        u = np.concatenate([-u, u])
        v = activation.phi(u)
        for x in (v, activation.dual(u), activation.primal(v), activation.divergence(v, u)):
            assert x.dtype == dtype
            assert np.isfinite(x).all()
        # Relative to the terms whose difference it is.
        scale = 1 + np.abs(activation.dual(u)) + np.abs(u * v)
        assert (np.abs(activation.divergence(v, u)) <= 4 * np.finfo(dtype).eps * scale).all()

    @tensors.needs_torch
    def test_torch_gives_the_same(self, name: str, dtype: str) -> None:
        activation = ACTIVATIONS[name]
        u = np.concatenate([np.linspace(-40, 40, 401), [-1e4, 1e4]]).astype(dtype)
        v = activation.phi(np.linspace(-5, 5, 403).astype(dtype))
        epsilon = 20 * float(np.finfo(dtype).eps)
        for method in METHODS:
            at_v = method in ("inverse", "primal")
            x = v[v > activation.lower] if at_v else u
            ours = getattr(activation, method)(x)
            theirs = getattr(activation, method)(tensors.tensor(x))
            assert theirs.dtype == getattr(tensors.torch(), dtype)
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=epsilon, atol=epsilon)
        for end in ends(activation):
            v = np.full(3, end, dtype)
            theirs = activation.primal(tensors.tensor(v)).numpy()
            np.testing.assert_allclose(activation.primal(v), theirs, rtol=epsilon, atol=epsilon)
