"""JSON Schema: JSON objects behind a header, held to their schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fenchel_connectors.formats.json_schema import JsonSchemaFormat
from fenchel_connectors.formats.plain_json import PlainJson
from fenchel_connectors.formats.registry import Registry
from tests.connectors.formats.helpers import fault, framed, row
from tests.connectors.formats.registry_server import RegistryServer

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "number", "minimum": 0}, "b": {"type": ["string", "null"]}},
    "required": ["a"],
}


@pytest.fixture(scope="module")
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as running:
        yield running


@pytest.fixture
def form(server: RegistryServer) -> JsonSchemaFormat:
    return JsonSchemaFormat(Registry(server.url))


def test_rows_are_those_of_json(server: RegistryServer, form: JsonSchemaFormat) -> None:
    number = server.register(SCHEMA, "JSON")
    body = b'{"a": 1.5, "b": null, "c": {"d": [1]}, "e": 12345678901234567}'
    assert row(form, framed(number, body)) == PlainJson().decode(body)[0]


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b'{"a": -1}', "invalid", "a: -1 is less than the minimum of 0"),
        (b'{"b": "x"}', "invalid", '"a" is a required property'),
        (b'{"a": 1', "malformed", ""),
        (b'{"a": NaN}', "non_finite", ""),
        (b'{"a": 1, "a": 2}', "duplicate_keys", "twice"),
        (b"[1]", "non_object", "an array"),
        (b'{"b": "\xff"}', "invalid_utf8", ""),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep", ""),
        (b"", "malformed", ""),
    ],
)
def test_bad_values(
    server: RegistryServer, form: JsonSchemaFormat, body: bytes, reason: str, words: str
) -> None:
    number = server.register(SCHEMA, "JSON")
    found, detail = fault(form, framed(number, body))
    assert found == reason
    assert words in detail
    assert f"schema {number}: " in detail


@pytest.mark.parametrize("base", [None, "http://example.org/dir/main.json"])
def test_references_of_references(
    server: RegistryServer, form: JsonSchemaFormat, base: str | None
) -> None:
    main: dict[str, Any] = {"properties": {"p": {"$ref": "place.json"}}}
    if base is not None:
        main["$id"] = base
    server.register({"type": "number", "maximum": 90}, "JSON", subject="degree")
    server.register(
        {"properties": {"lat": {"$ref": "degree.json"}}},
        "JSON",
        [{"name": "degree.json", "subject": "degree", "version": 1}],
        subject="place",
    )
    refer = {"name": "place.json", "subject": "place", "version": 1}
    number = server.register(main, "JSON", [refer])
    assert row(form, framed(number, b'{"p": {"lat": 1}}')) == {"p": {"lat": 1}}
    assert fault(form, framed(number, b'{"p": {"lat": 91}}'))[0] == "invalid"


def test_no_schema_makes_a_request_of_its_own(
    server: RegistryServer, form: JsonSchemaFormat
) -> None:
    """What it refers to comes from the registry's references, not from where an address leads."""
    elsewhere = f"{server.url}/elsewhere.json"
    number = server.register({"$ref": elsewhere}, "JSON")
    reason, detail = fault(form, framed(number, b"{}"))
    assert reason == "unusable_schema"
    assert f"{elsewhere} is not among its references" in detail
    assert not server.asked["/elsewhere.json"]


@pytest.mark.parametrize("text", ["{", "3", json.dumps({"type": "objekt"}), '{"$ref": "#/no"}'])
def test_schemas_that_are_none(server: RegistryServer, form: JsonSchemaFormat, text: str) -> None:
    assert fault(form, framed(server.register(text, "JSON"), b"{}"))[0] == "unusable_schema"


def test_a_schema_that_contains_itself(server: RegistryServer, form: JsonSchemaFormat) -> None:
    number = server.register({"type": "object", "additionalProperties": {"$ref": "#"}}, "JSON")
    deep = b'{"n":' * 900 + b"{}" + b"}" * 900
    assert list(row(form, framed(number, deep))) == ["n"]
    assert fault(form, framed(number, deep.replace(b"{}", b"1")))[0] == "invalid"
