"""PyTorch, which is optional: how it is imported, and how its tensors are told without it."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from fenchel_stream.errors import ConfigError, FenchelStreamError


def import_torch(feature: str, error: type[FenchelStreamError] = ConfigError) -> Any:
    """Return the module ``torch``.

    Raises
    ------
    FenchelStreamError
        PyTorch is not installed. The class is `error`; the message says that `feature` needs it,
        and how to install it.

    Examples
    --------
    >>> from importlib.util import find_spec
    >>> from fenchel_stream.pytorch import import_torch
    >>> find_spec("torch") is None or import_torch("this example").__name__ == "torch"
    True
    """
    try:
        return import_module("torch")
    except ImportError as cause:
        raise error(
            f"{feature} needs PyTorch: pip install 'fenchel-stream[torch]' ({cause})"
        ) from cause


def is_tensor(x: Any) -> bool:
    """Return whether `x` is a tensor, without importing PyTorch.

    Examples
    --------
    >>> from fenchel_stream.pytorch import is_tensor
    >>> is_tensor([1.0])
    False
    """
    # Before PyTorch is imported, no value can be a tensor. While another thread imports it, the
    # module has no such name yet.
    tensor: Any = getattr(sys.modules.get("torch"), "Tensor", None)
    return tensor is not None and isinstance(x, tensor)
