"""What is imported when, and what a network says where PyTorch or a device is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fenchel_stream import LiftedNetwork
from fenchel_stream.errors import ConfigError
from fenchel_stream.network.layers import AveragePool2d, Conv2d, Dense
from tests.tensors import needs_torch

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None\n"
"""Python then refuses to import it, as where it is not installed."""


def run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("model", "slow"),
    [
        ("FenchelClassifier()", {"torch", "numba"}),
        ("FenchelRegressor()", {"torch", "numba"}),
        ("LiftedNetwork.dense([3, 4, 2])", {"torch", "numba", "scipy", "river", "tqdm"}),
    ],
)
def test_a_model_is_imported_and_built_without_slow_packages(model: str, slow: set[str]) -> None:
    code = f"import sys, fenchel_stream; fenchel_stream.{model}; print(*sys.modules)"
    assert not slow & set(run(code).split())


def test_learning_needs_no_torch() -> None:
    code = WITHOUT_TORCH + (
        "import numpy as np\n"
        "from fenchel_stream import FenchelClassifier, LiftedNetwork\n"
        "model = FenchelClassifier()\n"
        "for i in range(40): model.learn_one({'a': i % 2}, i % 2 > 0)\n"
        "print(model.predict_one({'a': 1}))\n"
        "network = LiftedNetwork.dense([2, 3, 2], rho=0.1)\n"
        "X, y = np.eye(2), np.arange(2)\n"
        "network.learn_batch(X, y), network.fit(X, y, progress=False, sweeps=2)\n"
        "print(network.predict(X).shape, network.predict(X, rule='lifted').shape)\n"
    )
    assert run(code).split("\n") == ["True", "(2, 2) (2, 2)"]


@pytest.mark.parametrize(
    ("expression", "feature"),
    [
        ("LiftedNetwork.dense([2, 2], device='cuda')", "device 'cuda' cannot be used: it needs"),
        ("LiftedNetwork.dense([2, 2], device='cpu:0')", "device 'cpu:0' cannot be used: it needs"),
        ("LiftedNetwork.lenet5()", "layer 0: a convolution needs"),
        ("LiftedNetwork.of([AveragePool2d(2), Dense(1)], (2, 2, 1))", "layer 1: pooling needs"),
    ],
)
def test_without_torch_the_message_says_what_to_install(expression: str, feature: str) -> None:
    code = WITHOUT_TORCH + (
        "from fenchel_stream import LiftedNetwork\n"
        "from fenchel_stream.errors import ConfigError\n"
        "from fenchel_stream.network.layers import AveragePool2d, Dense\n"
        f"try: {expression}\n"
        "except ConfigError as error: print(error)\n"
    )
    message = run(code)
    assert message.startswith(f"{feature} PyTorch: pip install 'fenchel-stream[torch]'")


@pytest.mark.parametrize("device", ["cuda:77", "gpu9", "meta", "hpu:5"])
def test_a_device_that_cannot_be_used(device: str) -> None:
    with pytest.raises(ConfigError, match=f"device '{device}' cannot be used: "):
        LiftedNetwork.dense([2, 3, 2], device=device)


@needs_torch
def test_layers_are_described_without_torch_and_bound_with_it() -> None:
    layers = [Conv2d(2, 3), AveragePool2d(2), Dense(3)]
    assert LiftedNetwork.of(layers, (6, 6, 1)).n_outputs == 3
