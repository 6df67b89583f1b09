"""The output losses against SciPy and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.network.losses import LOSSES, get_loss, softmax
from tests.oracle import LOSS_CURVATURE, Matrix, loss_gradient, loss_value
from tests.tensors import LIBRARIES, needs_torch, tensor

EACH = pytest.mark.parametrize("name", LOSSES)
CASES = {"seed": st.integers(0, 10**6), "m": st.integers(1, 5), "p": st.integers(1, 6)}
SCALES = st.sampled_from([1e-3, 1.0, 30.0, 800.0])


def case(name: str, seed: int, m: int, p: int, scale: float) -> tuple[Matrix, Matrix]:
    """Targets and outputs; with cross-entropy some rows are pure classes, some are mixed."""
    rng = np.random.default_rng(seed)
    u = scale * rng.normal(size=(m, p))
    if name == "squared_error":
        return scale * rng.normal(size=(m, p)), u
    y = rng.dirichlet(np.full(p, 0.5), m)
    y[::2] = np.eye(p)[rng.integers(0, p, len(y[::2]))]
    return y, u


def test_an_unknown_one_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'hinge' is unknown.*cross_entropy"):
        get_loss("hinge")


@EACH
class TestFunction:
    @given(**CASES, scale=SCALES)
    def test_against_scipy(self, name: str, seed: int, m: int, p: int, scale: float) -> None:
        y, u = case(name, seed, m, p, scale)
        loss = LOSSES[name]
        assert loss.value(y, u) == pytest.approx(loss_value(name, y, u), rel=1e-12, abs=1e-12)
        np.testing.assert_allclose(
            loss.gradient(y, u), loss_gradient(name, y, u), rtol=1e-11, atol=1e-13
        )

    @given(**CASES, scale=SCALES)
    def test_rows_of_a_stack(self, name: str, seed: int, m: int, p: int, scale: float) -> None:
        y, u = case(name, seed, m, p, scale)
        stack = np.stack([u, u + 1.0, 0.0 * u])
        rows = LOSSES[name].rows(y, stack)
        assert rows.shape == (3, m)
        for k, i in np.ndindex(3, m):
            expected = loss_value(name, y[i : i + 1], stack[k, i : i + 1])
            assert rows[k, i] == pytest.approx(expected, rel=1e-12, abs=1e-12)

    @given(**CASES)
    def test_gradient_by_differences(self, name: str, seed: int, m: int, p: int) -> None:
        y, u = case(name, seed, m, p, 1.0)
        loss = LOSSES[name]
        error = check_grad(
            lambda flat: float(loss.value(y, flat.reshape(m, p))),
            lambda flat: loss.gradient(y, flat.reshape(m, p)).ravel(),
            u.ravel(),
        )
        assert error < 1e-5

    @given(**CASES, scale=st.sampled_from([0.01, 1.0, 5.0]))
    def test_curvature_bounds_the_hessian(
        self, name: str, seed: int, m: int, p: int, scale: float
    ) -> None:
        y, u = case(name, seed, 1, p, scale)
        loss, step = LOSSES[name], 1e-5
        moved = u + step * np.eye(p)
        hessian = (loss.gradient(np.tile(y, (p, 1)), moved) - loss.gradient(y, u)) / step
        largest = np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1]
        assert largest <= loss.curvature + 1e-4

    def test_curvature_is_the_least_bound(self, name: str) -> None:
        # Two equal logits, all others far below: the worst case of Boehning's bound.
        u = np.array([[0.0, 0.0, -50.0]])
        y = np.array([[1.0, 0.0, 0.0]])
        step = 1e-5 * np.array([[1.0, -1.0, 0.0]]) / np.sqrt(2)
        rise = LOSSES[name].gradient(y, u + step) - LOSSES[name].gradient(y, u)
        largest = (rise * step).sum() / (step * step).sum()
        assert largest == pytest.approx(LOSSES[name].curvature, rel=1e-6)
        assert LOSSES[name].curvature == LOSS_CURVATURE[name]

    @needs_torch
    @given(**CASES, scale=SCALES)
    def test_torch_gives_the_same(self, name: str, seed: int, m: int, p: int, scale: float) -> None:
        y, u = case(name, seed, m, p, scale)
        loss = LOSSES[name]
        tensors = tensor(y), tensor(u)
        assert float(loss.value(*tensors)) == pytest.approx(float(loss.value(y, u)), rel=1e-12)
        np.testing.assert_allclose(
            loss.gradient(*tensors).numpy(), loss.gradient(y, u), rtol=1e-11, atol=1e-13
        )

    def test_far_out_in_single_precision(self, name: str) -> None:
        u = np.array([[1e4, -1e4, 0.0], [-1e10, 1e10, 1e10]], "float32")
        y = np.eye(3, dtype="float32")[:2]
        for value in (LOSSES[name].value(y, u), LOSSES[name].gradient(y, u)):
            assert np.isfinite(value).all()


@given(**CASES, scale=SCALES)
def test_softmax_is_a_distribution(seed: int, m: int, p: int, scale: float) -> None:
    _, u = case("squared_error", seed, m, p, scale)
    found = softmax(u)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(softmax(u + 7.0), found, rtol=1e-10, atol=1e-300)


INTEGERS = ["int64", "int32", "int8", "uint8", "uint16"]


def like(library: str) -> Any:
    """Outputs of three rows, of another precision in each library."""
    return tensor(np.zeros((3, 4))) if library == "torch" else np.zeros((3, 4), "float32")


def of(library: str, y: np.ndarray[Any, Any]) -> Any:
    return tensor(y) if library == "torch" else y


@LIBRARIES
class TestEncode:
    @pytest.mark.parametrize("dtype", INTEGERS)
    def test_classes(self, library: str, dtype: str) -> None:
        outputs = like(library)
        encoded = LOSSES["cross_entropy"].encode(of(library, np.array([3, 0, 1], dtype)), outputs)
        assert type(encoded) is type(outputs)
        assert encoded.dtype == outputs.dtype
        assert encoded.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]

    def test_two_classes_as_booleans(self, library: str) -> None:
        y = of(library, np.array([True, False, True]))
        encoded = LOSSES["cross_entropy"].encode(y, like(library)[:, :2])
        assert encoded.tolist() == [[0, 1], [1, 0], [0, 1]]

    def test_probabilities(self, library: str) -> None:
        y = np.array([[0.5, 0.5, 0, 0], [0.25, 0.25, 0.5, 0], [0, 0, 0, 1]])
        encoded = LOSSES["cross_entropy"].encode(of(library, y), like(library))
        assert encoded.dtype == like(library).dtype
        assert encoded.tolist() == y.tolist()

    @pytest.mark.parametrize("dtype", ["int64", "bool"])
    def test_rows_of_indicators(self, library: str, dtype: str) -> None:
        y = np.eye(4)[[2, 0, 3]].astype(dtype)
        encoded = LOSSES["cross_entropy"].encode(of(library, y), like(library))
        assert encoded.dtype == like(library).dtype
        assert encoded.tolist() == np.eye(4)[[2, 0, 3]].tolist()

    @pytest.mark.parametrize("classes", [[0, 4, 1], [0, -1, 1]])
    def test_classes_beyond_the_outputs(self, library: str, classes: list[int]) -> None:
        with pytest.raises(DataError, match=r"classes must lie in 0 \.\.\. 3.*found"):
            LOSSES["cross_entropy"].encode(of(library, np.array(classes)), like(library))

    def test_classes_that_are_no_integers(self, library: str) -> None:
        with pytest.raises(DataError, match="integer"):
            LOSSES["cross_entropy"].encode(of(library, np.array([0.0, 1.0, 2.0])), like(library))

    @EACH
    def test_the_wrong_shape(self, name: str, library: str) -> None:
        with pytest.raises(DataError, match=r"\(3, 2\).*\(3, 4\)"):
            LOSSES[name].encode(of(library, np.zeros((3, 2))), like(library))

    def test_values(self, library: str) -> None:
        loss = LOSSES["squared_error"]
        flat = loss.encode(of(library, np.array([1, 2, 3])), like(library)[:, :1])
        assert flat.dtype == like(library).dtype
        assert flat.tolist() == [[1], [2], [3]]
        y = np.arange(12.0).reshape(3, 4)
        assert loss.encode(of(library, y), like(library)).tolist() == y.tolist()
