"""The names of a package that are imported when they are first used.

Libraries such as Numba and River take long to import. A program that does not need them starts
without them, and the command line reacts to Ctrl-C before they are imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the function ``__getattr__`` of a package.

    Parameters
    ----------
    package
        Name of the package.
    modules
        For each name, the module of the package that defines it.

    Examples
    --------
    >>> from fenchel_stream.lazy import lazy_names
    >>> lazy_names("json", {"JSONDecoder": "decoder"})("JSONDecoder")
    <class 'json.decoder.JSONDecoder'>
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return get
