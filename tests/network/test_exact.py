"""The sub-problems that the paper names, and the regression of one layer, against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from fenchel_stream.errors import DataError
from fenchel_stream.network.activations import ACTIVATIONS, Activation
from fenchel_stream.network.one_layer import fit_layer
from fenchel_stream.network.solvers import (
    HiddenTerm,
    cross_entropy_features,
    nonnegative_least_squares,
    solve_x,
)
from tests.oracle import PAIRS, Above, Matrix, ones
from tests.oracle import solve_x as scipy_x
from tests.tensors import LIBRARIES, tensor

PROBLEMS = {
    "seed": st.integers(0, 10**6),
    "m": st.integers(1, 5),
    "q": st.integers(1, 6),
    "p": st.integers(1, 4),
    "mu": st.sampled_from([0.01, 1.0, 30.0]),
}


def problem(seed: int, m: int, q: int, p: int) -> tuple[Matrix, Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    y = np.eye(p)[rng.integers(0, p, m)]
    return y, 2 * rng.normal(size=(m, q)), rng.normal(size=(p, 1 + q))


class TestNamed:
    @given(**PROBLEMS)
    @settings(max_examples=50)
    def test_squared_error_is_nnls(self, seed: int, m: int, q: int, p: int, mu: float) -> None:
        y, u, w = problem(seed, m, q, p)
        found = nonnegative_least_squares(y, u, w, mu, tolerance=1e-11)
        design = np.vstack([w[:, 1:], np.sqrt(mu) * np.eye(q)])
        for i in range(m):
            best, _ = nnls(design, np.concatenate([y[i] - w[:, 0], np.sqrt(mu) * u[i]]))
            np.testing.assert_allclose(found[i], best, atol=1e-6)

    @given(**PROBLEMS)
    @settings(max_examples=15)
    def test_cross_entropy(self, seed: int, m: int, q: int, p: int, mu: float) -> None:
        y, u, w = problem(seed, m, q, p)
        found = cross_entropy_features(y, u, w, mu, tolerance=1e-11)
        best, _ = scipy_x(Above.output("cross_entropy", y), PAIRS["relu"], u, w, u, mu)
        np.testing.assert_allclose(found, best, atol=1e-5)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @LIBRARIES
    def test_hidden(self, activation: str, library: str) -> None:
        kind = tensor if library == "torch" else np.asarray
        rng = np.random.default_rng(0)
        pair = PAIRS[activation]
        u, w, v = rng.normal(size=(4, 5)), rng.normal(size=(3, 6)), rng.normal(size=(4, 3))
        v = pair.phi(v)
        term = HiddenTerm(ACTIVATIONS[activation], kind(v), 0.6)
        found = solve_x(term, ACTIVATIONS[activation], 0.1, kind(u), kind(w), 1e-11)
        best, _ = scipy_x(Above.hidden(pair, v, 0.6), pair, u, w, u, 0.1)
        np.testing.assert_allclose(found, best, atol=1e-5)


def planted(phi: Any, seed: int, m: int = 200, scale: float = 1.0) -> tuple[Matrix, Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(m, 4)), scale * rng.normal(size=(3, 5))
    w[:, 0] *= 0.3
    return x, phi(ones(x) @ w.T), w


class TestOneLayer:
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("seed", range(3))
    def test_a_planted_layer_is_found(self, activation: str, seed: int) -> None:
        x, y, w = planted(PAIRS[activation].phi, seed)
        if activation == "relu":  # identified by the rows that a unit is active on, if they do
            assert all(np.linalg.matrix_rank(ones(x)[column > 0]) == 5 for column in y.T)
        np.testing.assert_allclose(fit_layer(x, y, activation), w, atol=1e-6)

    def test_an_activation_of_ones_own(self) -> None:
        x, y, w = planted(np.arctan, 5)
        own = Activation.from_callable(np.arctan, inverse=np.tan)
        np.testing.assert_allclose(fit_layer(x, y, own), w, atol=1e-6)

    def test_in_torch(self) -> None:
        x, y, w = planted(np.tanh, 6)
        found = fit_layer(tensor(x), tensor(y), "tanh")
        np.testing.assert_allclose(found.numpy(), w, atol=1e-6)

    def test_a_unit_that_is_never_active_is_not_identified(self) -> None:
        # What cannot be told from the data is left where the search finds B = 0.
        x, _, w = planted(PAIRS["relu"].phi, 0)
        w[0, 0] = -50.0
        y = PAIRS["relu"].phi(ones(x) @ w.T)
        found = fit_layer(x, y, "relu")
        np.testing.assert_allclose(found[1:], w[1:], atol=1e-6)
        np.testing.assert_allclose(PAIRS["relu"].phi(ones(x) @ found.T), y, atol=1e-6)
        assert np.abs(found[0] - w[0]).max() > 1

    def test_inputs_that_depend_on_each_other(self) -> None:
        x, y, _ = planted(np.tanh, 1, scale=0.5)
        twice = np.column_stack([x, x[:, :1]])
        found = fit_layer(twice, y, "tanh")
        np.testing.assert_allclose(np.tanh(ones(twice) @ found.T), y, atol=1e-6)

    def test_outputs_beyond_the_range(self) -> None:
        with pytest.raises(DataError, match="between 0 and 1; Y has values between -1 and 3"):
            fit_layer(np.ones((2, 1)), np.array([[-1.0], [3.0]]), "sigmoid")
