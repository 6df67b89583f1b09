"""A schema registry over HTTP: what a number in front of a value stands for.

The interface is the one that Confluent's registry, Karapace, Redpanda and Apicurio (under
``/apis/ccompat/v7``) share: ``GET /schemas/ids/{id}`` and, for the schemas that a schema refers to,
``GET /subjects/{subject}/versions/{version}``.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from fenchel_connectors.secrets import Secrets
from fenchel_stream.display import conceal
from fenchel_stream.errors import ConfigError, UnavailableError

TIMEOUT = 5.0
"""Seconds that a registry may be silent before it counts as away."""

LARGEST = 1 << 24
"""Bytes of the longest answer that is read."""

RETRIABLE = {408, 425, 429}
"""Answers below 500 that another attempt may change."""

OPTIONS = ("url", "user", "password", "token", "cafile")

_ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"


class AwayError(Exception):
    """The registry does not answer now, or says that it cannot."""


class UnknownSchemaError(Exception):
    """The registry answers that it has no such schema."""


class _ForbiddenError(ConfigError):
    """The registry knows who asks, and does not let them read this."""


@dataclass(frozen=True)
class Schema:
    """A schema as it is registered.

    Attributes
    ----------
    kind
        ``"AVRO"``, ``"PROTOBUF"`` or ``"JSON"``.
    text
        The schema itself.
    references
        The texts of the schemas that it refers to, directly or not, under the names by which they
        are referred to. Each stands after those that it refers to itself.
    """

    kind: str
    text: str
    references: dict[str, str] = field(default_factory=dict)


class Registry:
    """A client of a schema registry.

    Parameters
    ----------
    options
        The address of the registry, or a table with the keys `url` (the address), `user` and
        `password`, or `token` (sent as ``Authorization: Bearer``), and `cafile` (the PEM file of
        the authority that signed the registry's certificate). ``${NAME}`` in a value stands for a
        variable of the environment, ``password_file`` and ``token_file`` for files that hold the
        value. Proxies come from the environment, as ``https_proxy``.

    Raises
    ------
    ConfigError
        An option is unknown, or cannot be used.

    Examples
    --------
    >>> from fenchel_connectors.formats.registry import Registry
    >>> Registry({"url": "https://schemas:8081", "user": "reader", "password": "s3cret"})
    Registry('https://schemas:8081')
    """

    def __init__(self, options: str | Mapping[str, Any]) -> None:
        self._secrets = Secrets("registry")
        table = {"url": options} if isinstance(options, str) else options
        values = self._secrets.resolve(table)
        for key, value in values.items():
            if key not in OPTIONS:
                raise ConfigError(f"registry: unknown key {key!r}; known: {', '.join(OPTIONS)}")
            if not isinstance(value, str):
                raise ConfigError(
                    f"registry.{key} must be text, and is of type {type(value).__name__}"
                )
        self.url = values.get("url", "").rstrip("/")
        self.name = self._secrets.scrub(self.url)  # for messages
        _check_address(self.url, self.name)
        self._headers = {"Accept": _ACCEPT, **_authorization(values)}
        context = ssl.create_default_context()
        if (cafile := values.get("cafile")) is not None:
            if not Path(cafile).is_file():
                raise ConfigError(f"registry.cafile: no such file: {self._secrets.scrub(cafile)}")
            try:
                context = ssl.create_default_context(cafile=cafile)
            except ssl.SSLError as error:
                text = self._secrets.scrub(f"registry.cafile: {cafile} is no PEM file: {error}")
                raise ConfigError(text) from error
        self._opener = build_opener(HTTPSHandler(context=context), _NoRedirect())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def ping(self) -> None:
        """Return if the registry answers.

        Raises
        ------
        UnavailableError
            It does not answer.
        ConfigError
            It refuses the credentials.
        """
        try:
            self._get("/schemas/types")
        except AwayError as error:
            raise UnavailableError(str(error)) from None
        except (UnknownSchemaError, _ForbiddenError):
            pass  # not every registry has this path, and not everybody may read it

    def schema(self, number: int) -> Schema:
        """Return the schema of a number, with all that it refers to.

        Raises
        ------
        UnknownSchemaError
            The registry has no such schema.
        AwayError
            The registry does not answer now.
        ConfigError
            It refuses the credentials, or is no schema registry.
        """
        answer = self._get(f"/schemas/ids/{number}")
        texts: dict[str, str] = {}
        self._follow(answer, texts, set())
        return Schema(answer.get("schemaType") or "AVRO", _text(self.name, answer), texts)

    def _follow(
        self, answer: Mapping[str, Any], texts: dict[str, str], met: set[tuple[str, int]]
    ) -> None:
        for reference in answer.get("references") or ():
            subject, version = reference["subject"], reference["version"]
            if (subject, version) in met:
                continue
            met.add((subject, version))
            # A subject may hold slashes, and "." or ".." would be taken for steps of the path.
            name = quote(subject, safe="").replace(".", "%2E")
            found = self._get(f"/subjects/{name}/versions/{int(version)}")
            self._follow(found, texts, met)
            texts.setdefault(reference["name"], _text(self.name, found))

    def _get(self, path: str) -> dict[str, Any]:
        """Return the object that the registry answers with."""
        request = Request(self.url + path, headers=self._headers)  # noqa: S310 - checked at first
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                content = response.read(LARGEST + 1)
        except HTTPError as error:
            with error:
                self._refuse(path, error)
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise ConfigError(
                    f"schema registry {self.name}: its certificate is not trusted "
                    f"({reason.verify_message}): registry.cafile names the authority's PEM file"
                ) from None
            plain = isinstance(reason, ssl.SSLError) and reason.reason == "WRONG_VERSION_NUMBER"
            hint = ": is its address http://?" if plain else ""
            raise AwayError(
                f"schema registry {self.name} does not answer: {_words(reason)}{hint}"
            ) from None
        try:
            answer = json.loads(content) if len(content) <= LARGEST else None
        except (ValueError, RecursionError):
            answer = None
        return answer if isinstance(answer, dict) else {}

    def _refuse(self, path: str, error: HTTPError) -> None:
        """Raise what an answer that is no success means."""
        what = f"schema registry {self.name}: {path} gives {error.code} {error.reason}"
        if error.code >= 500 or error.code in RETRIABLE:
            raise AwayError(what) from None
        if error.code in {401, 403}:
            raise (ConfigError if error.code == 401 else _ForbiddenError)(
                f"{what}: check registry.user and registry.password, or registry.token, and what "
                "they may read"
            ) from None
        if 300 <= error.code < 400:
            raise ConfigError(
                f"{what}: give the address to which it sends, {error.headers.get('Location')}"
            ) from None
        raise UnknownSchemaError(
            f"{what}: is it the registry of this topic, with the whole path?"
        ) from None


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: the credentials would go along, to whatever host it names."""

    def redirect_request(self, *args: Any) -> None:
        return None


def _check_address(url: str, name: str) -> None:
    if "@" in url:
        raise ConfigError(
            "the address of a registry holds no password: "
            'registry = { url = "...", user = "...", password = "${NAME}" }'
        )
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise ConfigError(f"registry {name!r} is not of the form http://host:8081")


def _authorization(values: Mapping[str, str]) -> dict[str, str]:
    if "token" in values and values.keys() & {"user", "password"}:
        raise ConfigError("registry: give user and password, or token")
    if ("user" in values) != ("password" in values):
        raise ConfigError("registry: user and password belong together")
    if "token" in values:
        value = f"Bearer {values['token']}"
    elif "user" in values:
        pair = f"{values['user']}:{values['password']}"
        value = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        return {}
    conceal(value.partition(" ")[2])
    if not value.isprintable() or not value.isascii():
        raise ConfigError("registry.token holds a character that a header cannot have")
    return {"Authorization": value}


def _text(url: str, answer: Mapping[str, Any]) -> str:
    text = answer.get("schema")
    if not isinstance(text, str):
        raise ConfigError(
            f"{url} answers, but not as a schema registry does: check the address and its path "
            "(Apicurio's is http://host:8080/apis/ccompat/v7)"
        )
    return text


def _words(reason: object) -> str:
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
