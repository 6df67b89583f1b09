"""Options of the Kafka client, with secrets from environment variables and files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fenchel_connectors.kafka.client_log import install
from fenchel_connectors.secrets import Secrets
from fenchel_stream.errors import ConfigError

DEFAULTS: dict[str, Any] = {
    "allow_auto_create_topics": False,
    "bootstrap_timeout_ms": 5000,
    "isolation_level": "read_committed",
    "metadata_max_age_ms": 10_000,
    "reconnect_backoff_max_ms": 1000,
}
"""Defaults that differ from kafka-python's: a misspelt topic is not created, records of an aborted
transaction are not learnt, a broker that returns is reached within a second, and partitions that
are added are found within ten."""

FORCED: dict[str, Any] = {"auto_offset_reset": "none", "enable_auto_commit": False}
"""Options that cannot be set: any other value would lose records or learn them twice."""

_SERVER = re.compile(r"(\[[^\[\]\s]+\]|[^\[\]\s]*)(:[0-9]+)?")
"""A broker in an address; nothing if the table ``[kafka]`` names the brokers."""

_INSTEAD = {
    "auto_offset_reset": "start and reset in [source.options] say where to read",
    "enable_auto_commit": "positions are in the checkpoint, and are committed after each",
    "key_deserializer": "keys stay bytes",
    "value_deserializer": "decoder in [source.options] names a format",
}


class ClientOptions:
    """Options for clients of one cluster.

    Parameters
    ----------
    table
        Options by the names of kafka-python. In text, ``${NAME}`` stands for a variable of the
        environment; ``NAME_file = "PATH"`` stands for ``NAME`` with the content of a file.
    servers
        ``host:port``, with commas between several, or empty if the table has `bootstrap_servers`.

    Raises
    ------
    ConfigError
        A variable is not set, a file cannot be read, or an option would break the promise that
        each record is learnt once.

    Examples
    --------
    >>> from fenchel_connectors.kafka.client import ClientOptions
    >>> options = ClientOptions({"client_id": "delays", "sasl_plain_password": "s3cret"}, "a:9092")
    >>> options.values["bootstrap_servers"], options.values["isolation_level"]
    (['a:9092'], 'read_committed')
    >>> options.scrub("wrong password: s3cret")
    'wrong password: ***'
    """

    def __init__(self, table: Mapping[str, Any], servers: str) -> None:
        self._secrets = Secrets("kafka")
        values = self._secrets.resolve(table)
        for key in values.keys() & _INSTEAD.keys():
            raise ConfigError(f"kafka.{key} cannot be set: {_INSTEAD[key]}")
        if servers and "bootstrap_servers" in values:
            raise ConfigError("kafka.bootstrap_servers: the address names brokers already")
        if servers:
            values["bootstrap_servers"] = servers.split(",")
        if "bootstrap_servers" not in values:
            raise ConfigError(
                "no broker is named: kafka://host:9092/topic does, or kafka.bootstrap_servers"
            )
        for key in ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile"):
            # The client's own error does not name the file.
            if values.get(key) is not None and not Path(values[key]).is_file():
                raise ConfigError(self.scrub(f"kafka.{key}: no such file: {values[key]}"))
        if isinstance(values.get("api_version"), list):  # TOML has no tuples
            values["api_version"] = tuple(values["api_version"])
        self.values = {**DEFAULTS, **values, **FORCED}
        install()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(sorted(self.values))})"

    @property
    def servers(self) -> str:
        """The brokers to ask first, in words."""
        servers = self.values["bootstrap_servers"]
        return servers if isinstance(servers, str) else ",".join(servers)

    def of(self, client: Any) -> dict[str, Any]:
        """Return the options that a class of clients takes."""
        return {key: value for key, value in self.values.items() if key in client.DEFAULT_CONFIG}

    def scrub(self, text: object) -> str:
        """Return a text without the secrets."""
        return self._secrets.scrub(text)


def split_address(address: str) -> tuple[str, str]:
    """Return the brokers and the topic of an address.

    Raises
    ------
    ConfigError
        The address is not of the form ``//host:port/topic``, or holds a password.

    Examples
    --------
    >>> from fenchel_connectors.kafka.client import split_address
    >>> split_address("//one:9092,two:9092/flights")
    ('one:9092,two:9092', 'flights')
    """
    if "@" in address:
        raise ConfigError("an address holds no password: put it into the table [kafka]")
    servers, slash, topic = address.removeprefix("//").partition("/")
    well_formed = address.startswith("//") and slash and topic and "/" not in topic
    if not well_formed or not all(map(_SERVER.fullmatch, servers.split(","))):
        raise ConfigError(f"kafka:{address} is not of the form kafka://host:9092/topic")
    return servers, topic
