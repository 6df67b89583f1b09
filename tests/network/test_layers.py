"""Layers as linear maps: against torch's own convolutions, and against their definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import as_numpy
from fenchel_stream.network.layers import AveragePool2d, Conv2d, Dense, Layer, chained
from fenchel_stream.network.layers import conv2d as conv2d_module
from tests.oracle import Matrix, ones
from tests.tensors import REASON

torch = pytest.importorskip("torch", reason=REASON)
avg_pool2d, conv2d = torch.nn.functional.avg_pool2d, torch.nn.functional.conv2d
EACH_KIND = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])


@dataclass
class Case:
    """A layer with some input, weights and gradient."""

    layers: list[Any]
    shape: tuple[int, ...]
    samples: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        self.layer: Layer = chained([*self.layers, Dense(1)], self.shape)[0]
        rng = np.random.default_rng(self.seed)
        self.x = rng.normal(size=(self.samples, int(np.prod(self.shape))))
        self.a = ones(self.x)
        self.w = rng.normal(size=self.layer.weight_shape)
        self.g = rng.normal(size=(self.samples, int(np.prod(self.layer.outputs))))

    def design(self) -> Matrix:
        """The unfolded input (11), by loops: of each place a one and the window there."""
        images = self.x.reshape(self.samples, *self.shape)
        for layer in self.layers:
            if isinstance(layer, AveragePool2d):
                n, (m, height, width, depth) = layer.window, images.shape
                blocks = images.reshape(m, height // n, n, width // n, n, depth)
                images = blocks.mean(axis=(2, 4))
            elif isinstance(layer, Conv2d):
                border, n = (layer.padding, layer.padding), layer.kernel
                padded = np.pad(images, ((0, 0), border, border, (0, 0)))
                tops, lefts = (range(0, k - n + 1, layer.stride) for k in padded.shape[1:3])
                places = [(image, i, j) for image in padded for i in tops for j in lefts]
                return ones(np.array([x[i : i + n, j : j + n].ravel() for x, i, j in places]))
        return ones(images.reshape(self.samples, -1))

    def torchs(self) -> Matrix:
        """What torch's functions make of the images, flattened in our order."""
        x = torch.from_numpy(self.x).reshape(-1, *self.shape).permute(0, 3, 1, 2)
        for layer in self.layers:
            if isinstance(layer, AveragePool2d):
                x = avg_pool2d(x, layer.window)
            else:
                w = torch.from_numpy(self.w[:, 1:]).reshape(
                    len(self.w), layer.kernel, layer.kernel, -1
                )
                biases = torch.from_numpy(self.w[:, 0].copy())
                x = conv2d(x, w.permute(0, 3, 1, 2), biases, layer.stride, layer.padding)
        rows: Matrix = x.permute(0, 2, 3, 1).reshape(self.samples, -1).numpy()
        return rows


def convolution(
    channels: int, kernel: int, stride: int, padding: int, sides: list[int], pool: int, seed: int
) -> Case:
    below: list[Any] = [AveragePool2d(pool)] if pool > 1 else []
    height, width, depth = sides
    assume(min(height, width) + 2 * padding >= kernel)
    shape = (height * pool, width * pool, depth)
    return Case([*below, Conv2d(channels, kernel, stride, padding)], shape, seed=seed)


CONVOLUTIONS = st.builds(
    convolution,
    channels=st.integers(1, 4),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    sides=st.lists(st.integers(1, 7), min_size=3, max_size=3),
    pool=st.sampled_from([1, 1, 2, 3]),
    seed=st.integers(0, 10**6),
)
CASES = CONVOLUTIONS | st.builds(
    lambda units, seed: Case([AveragePool2d(2), Dense(units)], (4, 6, 2), seed=seed),
    units=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)


class TestMap:
    @given(case=CONVOLUTIONS)
    @settings(max_examples=40)
    def test_forward_is_torchs_convolution(self, case: Case) -> None:
        found = case.layer.forward(case.a, case.w)
        np.testing.assert_allclose(found, case.torchs(), rtol=1e-10, atol=1e-12)

    @given(case=CASES)
    @settings(max_examples=40)
    def test_forward_is_the_design_matrix_times_the_weights(self, case: Case) -> None:
        found = case.design() @ case.w.T
        expected = case.layer.forward(case.a, case.w)
        np.testing.assert_allclose(
            found.reshape(case.samples, -1), expected, rtol=1e-10, atol=1e-12
        )

    @given(case=CASES)
    @settings(max_examples=40)
    def test_adjoint_by_inner_products(self, case: Case) -> None:
        # <U(X), G> = <X, adjoint(G)> for the map without biases.
        without = case.w.copy()
        without[:, 0] = 0.0
        left = (case.layer.forward(case.a, without) * case.g).sum()
        right = (case.x * case.layer.adjoint(case.g, case.w[:, 1:])).sum()
        assert right == pytest.approx(left, rel=1e-9, abs=1e-10)

    @given(case=CASES)
    @settings(max_examples=40)
    def test_weight_gradient_by_inner_products(self, case: Case) -> None:
        left = (case.layer.forward(case.a, case.w) * case.g).sum()
        right = (case.w * case.layer.weight_gradient(case.g, case.a)).sum()
        assert right == pytest.approx(left, rel=1e-9, abs=1e-10)

    @given(case=CASES)
    @settings(max_examples=40)
    def test_gram_and_norm_are_those_of_the_design_matrix(self, case: Case) -> None:
        design = case.design()
        np.testing.assert_allclose(case.layer.gram(case.a), design.T @ design, atol=1e-10)
        assert case.layer.squared_norm(case.a) == pytest.approx((design**2).sum(), rel=1e-12)

    @given(case=CASES, decay=st.sampled_from([1.0, 0.01]))
    @settings(max_examples=50)
    def test_norm_bound_bounds_from_above_and_closely(self, case: Case, decay: float) -> None:
        weights = case.w[:, 1:] * decay ** np.arange(len(case.w))[:, None]
        columns = [case.layer.adjoint(row[None], weights)[0] for row in np.eye(case.g.shape[1])]
        true = np.linalg.norm(np.array(columns), 2) ** 2
        found = float(case.layer.norm_bound(weights))
        assert found >= true * (1 - 1e-12)
        # The frequency that is worst for a torus need not meet the image, the stride skips places.
        core = case.layer.reduced(case.a)[0]
        stride = core.stride if isinstance(core, Conv2d) else 1
        if stride == 1 and min(core.outputs[:-1], default=9) > 3:
            assert found <= 4 * true

    @given(case=CONVOLUTIONS)
    @settings(max_examples=20)
    def test_torch_gives_the_same(self, case: Case) -> None:
        layer = case.layer
        a, w, g = (torch.from_numpy(x) for x in (case.a, case.w, case.g))
        pairs = [
            (layer.forward(a, w), layer.forward(case.a, case.w)),
            (layer.adjoint(g, w[:, 1:]), layer.adjoint(case.g, case.w[:, 1:])),
            (layer.weight_gradient(g, a), layer.weight_gradient(case.g, case.a)),
            (layer.gram(a), layer.gram(case.a)),
            (layer.squared_norm(a), layer.squared_norm(case.a)),
            (layer.norm_bound(w[:, 1:]), layer.norm_bound(case.w[:, 1:])),
        ]
        for theirs, ours in pairs:
            assert isinstance(theirs, torch.Tensor)
            assert not isinstance(ours, torch.Tensor)
            assert theirs.dtype == torch.float64 == torch.from_numpy(np.asarray(ours)).dtype
            np.testing.assert_allclose(as_numpy(theirs), ours, rtol=1e-10, atol=1e-12)

    @EACH_KIND
    def test_single_precision_stays(self, kind: Callable[[Matrix], Any]) -> None:
        case = Case([AveragePool2d(2), Conv2d(4, 3, 2, 1)], (8, 6, 2))
        a, w, g = (kind(x.astype("float32")) for x in (case.a, case.w, case.g))
        for found in (
            case.layer.forward(a, w),
            case.layer.adjoint(g, w[:, 1:]),
            case.layer.weight_gradient(g, a),
            case.layer.gram(a),
            case.layer.squared_norm(a),
            case.layer.norm_bound(w[:, 1:]),
        ):
            assert str(found.dtype).removeprefix("torch.") == "float32"

    def test_a_gram_matrix_in_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        case = Case([Conv2d(4, 3, padding=1)], (6, 5, 2), samples=7)
        whole = case.layer.gram(case.a)
        monkeypatch.setattr(conv2d_module, "CHUNK", 1500)  # two images at a time, of 570 elements
        np.testing.assert_allclose(case.layer.gram(case.a), whole, rtol=1e-12)

    def test_two_poolings_are_one_of_both_windows(self) -> None:
        twice = Case([AveragePool2d(2), AveragePool2d(3), Conv2d(2, 2)], (12, 18, 2))
        once = Case([AveragePool2d(6), Conv2d(2, 2)], (12, 18, 2))
        found = twice.layer.forward(twice.a, twice.w)
        np.testing.assert_allclose(found, once.layer.forward(once.a, once.w), rtol=1e-10)
        g = twice.layer.adjoint(twice.g, twice.w[:, 1:])
        np.testing.assert_allclose(g, once.layer.adjoint(once.g, once.w[:, 1:]), rtol=1e-10)


class TestChain:
    @pytest.mark.parametrize(
        ("layers", "inputs", "message"),
        [
            ([Conv2d(6, 5), Dense(2)], (4, 8, 1), r"layer 0: .*5 x 5.*\(4, 8, 1\)"),
            ([Conv2d(6, 5), Dense(2)], (64,), r"layer 0: .*5 x 5.*\(64,\)"),
            ([Dense(6), Conv2d(6, 5), Dense(2)], (8, 8, 1), r"layer 1: .*5 x 5.*\(6,\)"),
            (
                [Conv2d(6, 4), AveragePool2d(2), Dense(2)],
                (8, 8, 1),
                r"layer 2: .*2 x 2.*\(5, 5, 6\)",
            ),
            ([AveragePool2d(2), Dense(2)], (8,), r"layer 1: .*2 x 2.*\(8,\)"),
            ([Conv2d(0, 5), Dense(2)], (8, 8, 1), "channels, kernel and stride are whole"),
            ([Conv2d(1, 5, padding="same"), Dense(2)], (8, 8, 1), "at least 0: .*'same'"),  # type: ignore[arg-type]
            ([Conv2d(1, 5, stride=0), Dense(2)], (8, 8, 1), "at least 1"),
            ([Conv2d(1, 5, padding=-1), Dense(2)], (8, 8, 1), "padding of at least 0"),
            ([AveragePool2d(0), Dense(2)], (8, 8, 1), "0 x 0"),
            ([Conv2d(6, 5)], (8, 8, 1), "layers must be a list that ends in a Dense layer"),
            (
                [Dense(2), AveragePool2d(2)],
                (8, 8, 1),
                "layers must be a list that ends in a Dense layer",
            ),
            ([], (8,), "layers must be a list that ends in a Dense layer"),
            (Dense(2), (8,), "layers must be a list that ends in a Dense layer"),
            ([torch.nn.Flatten(), Dense(2)], (8,), "layer 0 must be a layer"),
            ([32, Dense(2)], (8,), r"layer 0 must be a layer with weights, such as Dense\(10\)"),
            ([Dense(0), Dense(2)], (8,), "layer 0 has no units"),
            ([Dense(-3), Dense(2)], (8,), "layer 0: a dense layer has a whole number of units"),
            ([Dense(2.5), Dense(2)], (8,), "layer 0: .*not 2.5"),  # type: ignore[arg-type]
            ([Dense(2)], (), "inputs is the shape of one sample"),
            ([Dense(2)], (8, -8, 1), "inputs is the shape of one sample"),
        ],
    )
    def test_what_does_not_fit_is_named_with_both_shapes(
        self, layers: list[Any], inputs: tuple[int, ...], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            chained(layers, inputs)

    def test_xavier_weights_count_the_places_that_an_input_is_seen_at(self) -> None:
        layers = chained([Conv2d(50, 5, padding=2), AveragePool2d(2), Dense(300)], (8, 8, 40))
        rng = np.random.default_rng(0)
        for layer, inputs, outputs in zip(layers, (1000, 800), (1250, 300), strict=True):
            w, limit = layer.first_weights(rng), np.sqrt(6 / (inputs + outputs))
            assert (w[:, 0] == 0).all()
            assert limit * 0.98 < np.abs(w[:, 1:]).max() <= limit
