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

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
"""Values of ``security_protocol``. The client takes any other for PLAINTEXT, without a word."""

_INSTEAD = {
    "auto_offset_reset": "start and reset in [source.options] say where to read",
    "enable_auto_commit": "positions are in the checkpoint, and are committed after each",
    "key_deserializer": "keys stay bytes",
    "value_deserializer": "decoder in [source.options] names a format",
}


_BROKER = re.compile(r"([^\s:/@\[\]]+|\[[0-9a-fA-F:.]+\])(:(?P<port>[0-9]{1,5}))?")

_TOPIC = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")


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
        A variable is not set, a file cannot be read, a broker is not of the form ``host:port``, or
        an option would break the promise that each record is learnt once, or that of encryption.

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
            values["bootstrap_servers"] = servers
        if not values.get("bootstrap_servers"):
            raise ConfigError(
                "no broker is named: kafka://host:9092/topic does, or kafka.bootstrap_servers"
            )
        values["bootstrap_servers"] = _brokers(values["bootstrap_servers"])
        if (protocol := values.get("security_protocol", PROTOCOLS[0])) not in PROTOCOLS:
            raise ConfigError(
                f"kafka.security_protocol is {protocol!r}, and must be one of "
                f"{', '.join(PROTOCOLS)}"
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
        return ",".join(self.values["bootstrap_servers"])

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
        The address is not of the form ``//host:port/topic``, or holds a password, or no topic can
        have that name.

    Examples
    --------
    >>> from fenchel_connectors.kafka.client import split_address
    >>> split_address("//one:9092,two:9092/flights")
    ('one:9092,two:9092', 'flights')
    """
    if "@" in address:
        raise ConfigError("an address holds no password: put it into the table [kafka]")
    servers, slash, topic = address.removeprefix("//").partition("/")
    if not (address.startswith("//") and slash and topic) or "/" in topic:
        raise ConfigError(f"kafka:{address} is not of the form kafka://host:9092/topic")
    if _TOPIC.fullmatch(topic) is None:
        raise ConfigError(
            f"no topic can be called {topic!r}: a name has at most 249 letters of ASCII, digits, "
            "'.', '_' and '-'"
        )
    return servers, topic


def _brokers(value: Any) -> list[str]:
    """Return the addresses of a list, or of a text with commas between them."""
    brokers = value.split(",") if isinstance(value, str) else value
    if not isinstance(brokers, list):
        raise ConfigError(f"kafka.bootstrap_servers is {value!r}, and must be a list of host:port")
    brokers = [one.strip() if isinstance(one, str) else one for one in brokers]
    for broker in brokers:
        match = _BROKER.fullmatch(broker) if isinstance(broker, str) else None
        if match is None or not 0 < int(match["port"] or 1) < 1 << 16:
            raise ConfigError(f"broker {broker!r} is not of the form host:9092")
    return brokers
