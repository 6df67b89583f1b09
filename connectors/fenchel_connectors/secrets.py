"""Secrets in a table of options: from the environment or a file, and never in a message.

A connector needs this module where users give it passwords: a Kafka client, a schema registry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fenchel_stream.display import SECRET_NAME, conceal, scrub
from fenchel_stream.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Secrets:
    """Resolves the values of a table, and conceals those that must not be shown.

    They are concealed in every error and log line of the process, see `conceal`, and those too
    short for that in the texts that `scrub` returns.

    In text, ``${NAME}`` stands for a variable of the environment; ``NAME_file = "PATH"`` stands for
    ``NAME`` with the content of a file.

    Parameters
    ----------
    table
        What messages call the table.

    Examples
    --------
    >>> from fenchel_connectors.secrets import Secrets
    >>> secrets = Secrets("kafka")
    >>> secrets.resolve({"client_id": "delays", "sasl_plain_password": "s3cret"})
    {'client_id': 'delays', 'sasl_plain_password': 's3cret'}
    >>> secrets.scrub("wrong password: s3cret")
    'wrong password: ***'
    """

    def __init__(self, table: str) -> None:
        self.table = table
        self._values: set[str] = set()

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with every variable and file replaced by what it holds.

        Raises
        ------
        ConfigError
            A variable is not set, or a file cannot be read.
        """
        return dict(self._resolve(key, value) for key, value in options.items())

    def scrub(self, text: object) -> str:
        """Return a text without the secrets."""
        clean = scrub(str(text))
        for secret in sorted(self._values, key=len, reverse=True):
            clean = clean.replace(secret, "***")
        return clean

    def _resolve(self, key: str, value: Any) -> tuple[str, Any]:
        secret = SECRET_NAME.search(key) is not None
        if isinstance(value, str) and key.endswith("_file"):
            key, value, secret = key.removesuffix("_file"), self._read(key, value), True
        elif isinstance(value, str) and _VARIABLE.search(value):
            secret = True
            value = _VARIABLE.sub(lambda match: self._variable(key, match[1]), value)
        if secret and isinstance(value, str) and value:
            self._values.add(value)
            conceal(value)
        return key, value

    def _variable(self, key: str, name: str) -> str:
        try:
            value = os.environ[name]
        except KeyError:
            raise ConfigError(f"{self.table}.{key}: the variable {name} is not set") from None
        if value:
            self._values.add(value)
            conceal(value)
        return value

    def _read(self, key: str, path: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.table}.{key}: {path}: {error}") from error
