"""A function of the user's that makes rows of bytes: ``decoder = "module:function"``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fenchel_connectors.formats.format import Decoded, Format


class FunctionFormat(Format):
    """Calls a function for each value.

    Parameters
    ----------
    function
        Makes a row of the bytes of a value. Any exception that it raises sets the value aside as
        ``undecodable``.
    """

    def __init__(self, function: Callable[[bytes], Mapping[str, Any]]) -> None:
        self.function = function

    def decode_all(self, values: Sequence[bytes]) -> list[dict[str, Any]]:
        return []  # so that the function is called once for each value, by `decode`

    def decode(self, value: bytes) -> Decoded:
        try:
            return dict(self.function(value)), "", ""
        except Exception as error:  # noqa: BLE001 - it runs any code
            return {}, "undecodable", f"{type(error).__name__}: {error}"
