"""Text for people: without secrets, and without characters that a terminal obeys.

Every error, log line and line of output passes through here. Its parts may come from anywhere: a
record, a file name, an answer of a server.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote, urlsplit

SHORTEST = 4
"""A shorter secret is not looked for in every text: it would be found in most of them."""

SECRET_NAME = re.compile("password|passphrase|secret|token|credential|api_?key", re.IGNORECASE)
"""Names of settings whose values are secret wherever they come from."""

_secrets: set[str] = set()
_hosts: set[str] = set()


def conceal(value: str) -> None:
    """Show a value, and its parts that tell where a server or a file is, in no text from now on.

    The parts are those between commas and spaces, the host of an address, and the name of a file.

    Examples
    --------
    >>> from fenchel_stream.display import conceal, printable
    >>> conceal("broker-17.internal:9092,broker-18.internal:9092")
    >>> printable("broker-18.internal:9092 refuses; cannot look up broker-17.internal")
    '*** refuses; cannot look up ***'
    """
    for part in {value, *value.splitlines(), *re.split(r"[,\s]+", value)}:
        _add(part)
        if (address := _address(part)) is not None:
            netloc, host = address
            _add(netloc)
            _hosts.add(host)
        elif "/" in part:
            _add(part.rpartition("/")[2])
        elif match := re.fullmatch(r"([^/:\s]+):[0-9]+", part):
            _hosts.add(match[1])


def scrub(text: str) -> str:
    """Return a text with ``***`` in place of every secret."""
    for secret in sorted(_secrets, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, "***")
    for host in _hosts:
        if len(host) >= SHORTEST and host in text:
            # Not as a part of a longer name: a host may be called "kafka".
            text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)", "***", text)
    return text


def printable(text: object) -> str:
    r"""Return a text on one line, without secrets, with escapes for what cannot be printed.

    Examples
    --------
    >>> from fenchel_stream.display import printable
    >>> print(printable("a\x1b[31m\n\u202eb, 90 °C"))
    a\x1b[31m\n\u202eb, 90 °C
    """
    clean = scrub(str(text))
    if clean.isprintable():
        return clean
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in clean
    )


def _add(secret: str) -> None:
    if len(secret) >= SHORTEST:
        # As it is, and as messages quote it.
        _secrets.update({secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, "")})


def _address(text: str) -> tuple[str, str] | None:
    """Return the network location and the host of a URL; None if the text is none."""
    if "://" not in text:
        return None
    try:
        parts = urlsplit(text)
        return parts.netloc, parts.hostname or ""
    except ValueError:
        return None
