"""Functions that a configuration names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fenchel_stream.errors import ConfigError


def find_function(name: object, key: str) -> Callable[..., Any]:
    """Return what the setting `key` names as ``module:function``.

    A module in the working directory is found as by ``python -m``.

    Raises
    ------
    ConfigError
        The name has another form, or there is no such function.

    Examples
    --------
    >>> from fenchel_stream.streams.registry import find_function
    >>> find_function("math:hypot", "model.factory")(3, 4)
    5.0
    """
    module, colon, function = str(name).partition(":")
    if not (module and colon and function):
        raise ConfigError(f"{key} {name!r} is not of the form module:function")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key} {name!r}: {error}") from error
    if not callable(found):
        raise ConfigError(f"{key} {name!r}: {function} cannot be called")
    return found
