"""PyTorch for tests, which skip without it and say so."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

INSTALLED = find_spec("torch") is not None
REASON = "PyTorch is not installed: pip install 'fenchel-stream[torch]'"

needs_torch = pytest.mark.skipif(not INSTALLED, reason=REASON)
IN_TORCH = pytest.param("cpu:0", marks=needs_torch, id="in PyTorch")
DEVICES = pytest.mark.parametrize("device", [pytest.param("cpu", id="in NumPy"), IN_TORCH])
LIBRARIES = pytest.mark.parametrize("library", ["numpy", pytest.param("torch", marks=needs_torch)])
ALL_DEVICES = ["cpu", "cpu:0"] if INSTALLED else ["cpu"]
"""Devices for strategies of Hypothesis, which take no marks."""


def torch() -> Any:
    """Return the module, or skip the test."""
    return pytest.importorskip("torch", reason=REASON)


def tensor(x: Any) -> Any:
    """Return a tensor that shares the memory of an array, or skip the test."""
    return torch().from_numpy(x)
