"""Which format the options `decoder` and `registry` of a source name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from fenchel_connectors.formats.format import Format
from fenchel_connectors.formats.function import FunctionFormat
from fenchel_connectors.formats.plain_json import PlainJson
from fenchel_connectors.formats.registry import Registry
from fenchel_stream.errors import ConfigError
from fenchel_stream.streams.registry import find_function

REGISTERED = {"avro": "AvroFormat", "protobuf": "ProtobufFormat", "json_schema": "JsonSchemaFormat"}
"""The formats of schema registries. Each is a module of its name here, and an extra of the project
that brings its library."""


def choose_format(
    decoder: str | None = None, registry: str | Mapping[str, Any] | None = None
) -> Format:
    """Return the format that the options of a source name.

    Parameters
    ----------
    decoder
        ``"avro"``, ``"protobuf"``, ``"json_schema"``, or ``module:function``; plain JSON if None.
    registry
        The address of a schema registry, or a table of options, see `Registry`.

    Raises
    ------
    ConfigError
        The options do not go together, or a library is not installed.

    Examples
    --------
    >>> from fenchel_connectors.formats import choose_format
    >>> type(choose_format()).__name__
    'PlainJson'
    """
    if decoder in REGISTERED:
        if registry is None:
            raise ConfigError(
                f'decoder = "{decoder}" needs the address of a schema registry: '
                'registry = "http://host:8081"'
            )
        extra = decoder.replace("_", "-")
        try:
            module = import_module(f"fenchel_connectors.formats.{decoder}")
        except ImportError as error:
            raise ConfigError(
                f'decoder = "{decoder}": {error}; pip install "fenchel-stream[{extra}]"'
            ) from error
        registered: Format = getattr(module, REGISTERED[decoder])(Registry(registry))
        return registered
    if registry is not None:
        raise ConfigError(f"registry goes with decoder = {', '.join(map(repr, REGISTERED))}")
    return PlainJson() if decoder is None else FunctionFormat(find_function(decoder, "decoder"))
