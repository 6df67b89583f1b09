"""Fenchel pairs that are built from a function alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from fenchel_stream import LiftedNetwork
from fenchel_stream.errors import ConfigError
from fenchel_stream.network.activations import Activation
from fenchel_stream.network.arrays import namespace
from tests.oracle import PAIRS
from tests.tensors import tensor

FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "arctan": (np.arctan, np.tan),
    "arcsinh": (np.arcsinh, np.sinh),
    "tanh": (np.tanh, None),
    "sigmoid": (PAIRS["sigmoid"].phi, PAIRS["sigmoid"].inverse),
    "relu": (lambda u: np.maximum(u, 0.0), None),
    "softplus": (lambda u: np.logaddexp(0.0, u), None),
    "bent": (lambda u: u + 0.5 * np.tanh(3 * u), None),
}
BUILT = {name: Activation.from_callable(phi, inverse) for name, (phi, inverse) in FUNCTIONS.items()}
EACH = pytest.mark.parametrize("name", FUNCTIONS)


@EACH
class TestPair:
    @given(u=st.floats(-30, 30), other=st.floats(-15, 15))
    def test_divergence_is_zero_at_phi_and_positive_elsewhere(
        self, name: str, u: float, other: float
    ) -> None:
        pair = BUILT[name]
        us, v = np.array([u, u]), pair.phi(np.array([u, other]))
        at_phi, elsewhere = pair.divergence(v, us)
        rounding = 1e-7 * (1 + u * u + other * other)
        assert abs(at_phi) <= rounding
        assert elsewhere >= (v[1] - v[0]) ** 2 / (2 * pair.curvature) - rounding

    @pytest.mark.parametrize("u", [-200.0, -7.0, -0.3, 0.0, 1e-3, 2.0, 50.0])
    def test_dual_against_quadrature(self, name: str, u: float) -> None:
        phi = FUNCTIONS[name][0]
        bends = [0.0, *np.geomspace(0.01, 100, 9).tolist()]
        cuts = sorted({min(b, abs(u)) for b in bends} | {abs(u)})
        exact = sum(
            quad(lambda t: float(phi(np.sign(u) * t)), a, b, epsabs=1e-13)[0]
            for a, b in pairwise(cuts)
        )
        found = float(BUILT[name].dual(np.array([u]))[0])
        assert found == pytest.approx(np.sign(u) * exact, rel=1e-7, abs=1e-9)

    def test_its_range_and_curvature(self, name: str) -> None:
        pair = BUILT[name]
        expected = {
            "arctan": (-np.pi / 2, np.pi / 2, 1.0),
            "tanh": (-1, 1, 1.0),
            "sigmoid": (0, 1, 0.25),
            "relu": (0, np.inf, 1.0),
            "softplus": (0, np.inf, 1.0),
            "bent": (-np.inf, np.inf, 2.5),
        }
        if name in expected:
            lower, upper, curvature = expected[name]
            assert (pair.lower, pair.upper) == pytest.approx((lower, upper), abs=1e-12)
            assert curvature * (1 - 1e-9) <= pair.curvature <= 1.02 * curvature

    def test_networks_learn_with_it(self, name: str) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(40, 3))
        y = (x[:, 0] * x[:, 1] > 0).astype(int)
        network = LiftedNetwork.dense(
            [3, 8, 2], activation=BUILT[name], lam=0.3, gamma=0.3, dtype="float64"
        )
        for m in (40, 40, 1):
            report = network.learn_batch(x[:m], y[:m])
            assert report.objective_after < report.objective_before


def test_agrees_with_the_closed_form() -> None:
    u = np.linspace(-20, 20, 401)
    for name in ("tanh", "sigmoid", "relu", "softplus"):
        shift = PAIRS[name].dual(np.zeros(1))  # an antiderivative is one up to a constant
        np.testing.assert_allclose(BUILT[name].dual(u) + shift, PAIRS[name].dual(u), atol=1e-7)


def test_of_a_function_of_torch() -> None:
    def phi(u: Any) -> Any:
        return namespace(u).tanh(u)

    pair = Activation.from_callable(phi)
    u = tensor(np.linspace(-5, 5, 11))
    np.testing.assert_allclose(pair.divergence(pair.phi(u), u), 0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("phi", "settings", "message"),
    [
        (np.sin, {}, r"phi is not increasing: it falls from 1 at 1\.57.* to 0\.99"),
        (lambda u: -u, {}, "phi is not increasing: it falls from"),
        (lambda u: 0.0 * u + 2.0, {}, "phi is not increasing: it is 2 everywhere"),
        (lambda u: u / (u - u), {}, "but at 0 it is nan"),
        (np.exp, {}, "phi must be finite up to 10000, but at 71[0-9].* it is inf"),
        (lambda u: u[:3], {}, r"array, \(\d+,\); it gave \(3,\)"),
        (math.tanh, {}, "phi must be a function of NumPy arrays"),
        (np.tanh, {"inverse": np.tan}, "inverse does not undo phi"),
        (np.tanh, {"curvature": 0.5}, "slope of .*, more than curvature=0.5"),
    ],
)
def test_what_is_no_activation_is_refused(
    phi: Callable[[Any], Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Activation.from_callable(phi, **settings)
