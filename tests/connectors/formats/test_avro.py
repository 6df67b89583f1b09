"""Avro: rows as JSON would have given them, whoever wrote the bytes and whatever they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel_connectors.formats.avro import AvroFormat
from fenchel_connectors.formats.plain_json import PlainJson
from fenchel_connectors.formats.registry import Registry
from tests.connectors.formats.helpers import avro, fault, framed, record, row
from tests.connectors.formats.registry_server import RegistryServer


@pytest.fixture(scope="module")
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as running:
        yield running


@pytest.fixture
def form(server: RegistryServer) -> AvroFormat:
    return AvroFormat(Registry(server.url))


def test_the_example_of_the_specification(server: RegistryServer, form: AvroFormat) -> None:
    """Its bytes, and those of an optional field, an enum and a map, are written by hand."""
    number = server.register(record("test", [("a", "long"), ("b", "string")]))
    assert row(form, framed(number, bytes.fromhex("3606666f6f"))) == {"a": 27, "b": "foo"}
    symbols = {"type": "enum", "name": "Foo", "symbols": ["A", "B", "C", "D"]}
    fields = [("e", symbols), ("u", ["null", "string"]), ("m", {"type": "map", "values": "int"})]
    number = server.register(record("test", fields))
    body = bytes.fromhex("0602026102026b0100")
    assert row(form, framed(number, body)) == {"e": "D", "u": "a", "m": {"k": -1}}


def logical(kind: str, logical_type: str, /, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


WHEN = datetime(2024, 1, 31, 8, 5, 0, 123456, UTC)

LOGICAL: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "decimal": (logical("bytes", "decimal", precision=9, scale=2), Decimal("12.34"), 12.34),
    "whole": (logical("bytes", "decimal", precision=30), Decimal(10**25 + 1), 10**25 + 1),
    "fixed": (
        logical("fixed", "decimal", name="F", size=4, precision=9, scale=3),
        Decimal("-7.125"),
        -7.125,
    ),
    "date": (logical("int", "date"), date(2024, 1, 31), "2024-01-31"),
    "long ago": (logical("int", "date"), date(1, 1, 1), "0001-01-01"),
    "time": (logical("int", "time-millis"), time(8, 5), "08:05:00"),
    "time of micros": (logical("long", "time-micros"), time(8, 5, 0, 7), "08:05:00.000007"),
    "millis": (logical("long", "timestamp-millis"), WHEN, "2024-01-31T08:05:00.123000Z"),
    "micros": (logical("long", "timestamp-micros"), WHEN, "2024-01-31T08:05:00.123456Z"),
    "nanos": (logical("long", "timestamp-nanos"), 1_999, "1970-01-01T00:00:00.000001Z"),
    "local": (
        logical("long", "local-timestamp-millis"),
        WHEN.replace(tzinfo=None),
        "2024-01-31T08:05:00.123000",
    ),
    "uuid": (
        logical("string", "uuid"),
        UUID("12345678-1234-5678-1234-567812345678"),
        "12345678-1234-5678-1234-567812345678",
    ),
    "unknown": (logical("long", "parsecs"), 7, 7),
    "invalid": (logical("int", "decimal", precision=3), 7, 7),
}


@pytest.mark.parametrize("name", LOGICAL)
def test_logical_types(server: RegistryServer, form: AvroFormat, name: str) -> None:
    kind, value, expected = LOGICAL[name]
    schema = record("R", [("a", kind), ("b", ["null", "string"])])
    value = avro(server.register(schema), schema, {"a": value, "b": None})
    assert row(form, value) == {"a": expected, "b": None}
    assert type(row(form, value)["a"]) is type(expected)


def test_a_uuid_in_sixteen_bytes(server: RegistryServer, form: AvroFormat) -> None:
    kind = logical("fixed", "uuid", name="U", size=16)
    number = server.register(record("R", [("a", kind)]))
    value = framed(number, bytes.fromhex("12345678123456781234567812345678"))
    assert row(form, value) == {"a": "12345678-1234-5678-1234-567812345678"}


def test_bytes_stay_bytes(server: RegistryServer, form: AvroFormat) -> None:
    schema = record("R", [("a", "bytes"), ("b", {"type": "fixed", "name": "F", "size": 2})])
    value = avro(server.register(schema), schema, {"a": b"\xff\0", "b": b"ab"})
    assert row(form, value) == {"a": b"\xff\0", "b": b"ab"}


class TestReferences:
    def test_of_references(self, server: RegistryServer, form: AvroFormat) -> None:
        """Two schemas refer to the same third one, and one of them stands for the whole value."""
        place = record("Place", [("lat", "double")], namespace="geo")
        trip = record("Trip", [("start", "geo.Place"), ("end", "geo.Place")])
        server.register(place, subject="geo/Place.v1")
        refer = {"name": "geo.Place", "subject": "geo/Place.v1", "version": 1}
        server.register(trip, references=[refer], subject="trip")
        both = [{"name": "Trip", "subject": "trip", "version": 1}, refer]
        value = {"start": {"lat": 1.5}, "end": {"lat": 2.5}}
        whole = record("Trip", [("start", place), ("end", "geo.Place")])
        for main in ("Trip", ["null", "geo.Place", "Trip"]):
            number = server.register(json.dumps(main), references=both)
            branch = b"" if main == "Trip" else b"\x04"
            body = branch + avro(0, whole, value)[5:]
            assert row(form, framed(number, body)) == value

    def test_one_that_is_not_there(self, server: RegistryServer, form: AvroFormat) -> None:
        number = server.register(record("R", [("a", "Nowhere")]))
        reason, detail = fault(form, framed(number, b""))
        assert reason == "unusable_schema"
        assert f"schema {number}: is no schema of Avro (UnknownType: Nowhere)" in detail
        refer = {"name": "Nowhere", "subject": "nowhere", "version": 1}
        number = server.register(record("R", [("a", "Nowhere")]), references=[refer])
        reason, detail = fault(form, framed(number, b""))
        assert reason == "unknown_schema"
        assert "/subjects/nowhere/versions/1 gives 404" in detail


PLAIN = record("R", [("a", "long"), ("b", "string")])


class TestBad:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", ": its 0 bytes are too few"),
            (b"\x02", ": its 1 bytes are too few"),
            (b"\x02\x7fab", "does not fit schema"),
            (b"\x02\x02\xff", "utf-8"),
            (b"\x02\x02a!", "1 bytes are left over"),
            (b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "does not fit schema"),
        ],
    )
    def test_bytes(self, server: RegistryServer, form: AvroFormat, body: bytes, words: str) -> None:
        reason, detail = fault(form, framed(server.register(PLAIN), body))
        assert reason == "undecodable"
        assert words in detail
        assert " object at 0x" not in detail

    def test_a_date_beyond_the_calendar(self, server: RegistryServer, form: AvroFormat) -> None:
        number = server.register(record("R", [("a", logical("long", "timestamp-millis"))]))
        body = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
        assert fault(form, framed(number, body))[0] == "undecodable"

    def test_no_record(self, server: RegistryServer, form: AvroFormat) -> None:
        assert fault(form, framed(server.register('"long"'), b"\x02")) == (
            "non_object",
            "int where a record belongs",
        )

    @pytest.mark.parametrize("text", ["", "{", '"nothing"', '{"type": "record"}', "{}"])
    def test_schemas(self, server: RegistryServer, form: AvroFormat, text: str) -> None:
        assert fault(form, framed(server.register(text), b"\x02"))[0] == "unusable_schema"

    def test_other_formats(self, server: RegistryServer, form: AvroFormat) -> None:
        number = server.register('syntax = "proto3";', "PROTOBUF")
        reason, detail = fault(form, framed(number, b"\x02"))
        assert reason == "other_format"
        assert 'of the format PROTOBUF, and decoder = "avro" reads AVRO' in detail
        reason, detail = fault(form, b'{"a": 1}')
        assert reason == "other_format"
        assert "it is plain JSON, for which decoder is left out" in detail
        for value in (b"", b"\0\0\0\0", b"\1\0\0\0\1ab"):
            assert fault(form, value)[0] == "other_format"

    def test_a_value_nested_without_end(self, server: RegistryServer, form: AvroFormat) -> None:
        """Calls that are nested as deeply would overflow the stack and end the process."""
        number = server.register(record("Node", [("next", ["null", "Node"])]))
        assert row(form, framed(number, b"\x02\x02\0")) == {"next": {"next": {"next": None}}}
        assert fault(form, framed(number, b"\x02" * 1_000_000 + b"\0"))[0] == "too_deep"

    def test_schemas_nested_without_end(self, server: RegistryServer, form: AvroFormat) -> None:
        chain: list[Any] = [record("N0", [("a", "long")])]
        chain += [record(f"N{n}", [("next", f"N{n - 1}")]) for n in range(1, 20_000)]
        number = server.register(chain)
        assert fault(form, framed(number, b"\xbe\xb8\x02\x02"))[0] == "too_deep"

    @pytest.mark.parametrize(
        "items", ["null", record("E", []), {"type": "fixed", "name": "F", "size": 0}]
    )
    def test_an_array_without_end(
        self, server: RegistryServer, form: AvroFormat, items: Any
    ) -> None:
        """Ten bytes would make a list that no memory holds."""
        number = server.register(record("R", [("a", {"type": "array", "items": items})]))
        body = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0"
        reason, detail = fault(form, framed(number, body))
        assert reason == "unusable_schema"
        assert detail.endswith("has an array of items that take no bytes")


NAMES = st.text("abcdefgh", min_size=1, max_size=3)
TEXT = st.text(st.characters(codec="utf-8"), max_size=5)


def _decimals(scale: int) -> st.SearchStrategy[tuple[Any, Any, Any]]:
    kind = logical("bytes", "decimal", precision=20, scale=scale)
    return st.integers(-(10**18), 10**18).map(
        lambda n: (kind, Decimal(n).scaleb(-scale), float(f"{n}e-{scale}") if scale else n)
    )


def _moments(name: str, unit: int, zone: Any, end: str) -> st.SearchStrategy[tuple[Any, Any, Any]]:
    """Generate timestamps of so many microseconds, with or without a zone."""
    kind = logical("long", name)
    moments = st.datetimes().map(
        lambda when: when.replace(microsecond=when.microsecond // unit * unit)
    )
    return moments.map(lambda when: (kind, when.replace(tzinfo=zone), when.isoformat() + end))


SIMPLE = st.one_of(
    st.just(("null", None, None)),
    st.booleans().map(lambda v: ("boolean", v, v)),
    st.integers(-(2**31), 2**31 - 1).map(lambda v: ("int", v, v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: ("long", v, v)),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda v: ("double", v, v)),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda v: ("float", v, v)),
    TEXT.map(lambda v: ("string", v, v)),
    st.integers(0, 20).flatmap(_decimals),
    st.dates().map(lambda v: (logical("int", "date"), v, v.isoformat())),
    st.times().map(lambda v: (logical("long", "time-micros"), v, v.isoformat())),
    _moments("timestamp-millis", 1000, UTC, "Z"),
    _moments("timestamp-micros", 1, UTC, "Z"),
    _moments("local-timestamp-micros", 1, None, ""),
    st.uuids().map(lambda v: (logical("string", "uuid"), v, str(v))),
)
"""Schema, what fastavro writes by it, and the value that JSON would have."""


def _nested(
    inner: st.SearchStrategy[tuple[Any, Any, Any]],
) -> st.SearchStrategy[tuple[Any, Any, Any]]:
    return st.one_of(
        inner.filter(lambda one: one[0] != "null" and not isinstance(one[0], list)).map(
            lambda one: (["null", one[0]], one[1], one[2])
        ),
        st.tuples(inner.filter(lambda one: one[0] != "null"), st.integers(0, 3)).map(
            lambda pair: (
                {"type": "array", "items": pair[0][0]},
                [pair[0][1]] * pair[1],
                [pair[0][2]] * pair[1],
            )
        ),
        st.tuples(inner, st.sets(TEXT, max_size=3)).map(
            lambda pair: (
                {"type": "map", "values": pair[0][0]},
                dict.fromkeys(pair[1], pair[0][1]),
                dict.fromkeys(pair[1], pair[0][2]),
            )
        ),
    )


FIELDS = st.dictionaries(NAMES, st.recursive(SIMPLE, _nested, max_leaves=4), max_size=6)


@settings(max_examples=100)
@given(fields=FIELDS)
def test_any_record_is_the_row_that_json_would_have_given(
    server: RegistryServer, fields: dict[str, tuple[Any, Any, Any]]
) -> None:
    schema = record("R", [(name, kind) for name, (kind, _, _) in fields.items()])
    value = avro(server.register(schema), schema, {k: v for k, (_, v, _) in fields.items()})
    expected = json.dumps({name: plain for name, (_, _, plain) in fields.items()})
    by_json, failed, _ = PlainJson().decode(expected.encode())
    assert not failed
    assert repr(row(AvroFormat(Registry(server.url)), value)) == repr(by_json)


@settings(max_examples=100)
@given(body=st.binary(max_size=40))
def test_any_bytes_are_a_row_or_have_a_fault(server: RegistryServer, body: bytes) -> None:
    kinds = [kind for kind, _, _ in LOGICAL.values()]
    fields: list[tuple[str, Any]] = [
        ("n", ["null", "double"]),
        ("s", {"type": "array", "items": "string"}),
    ]
    fields += [(f"l{n}", ["null", kind]) for n, kind in enumerate(kinds)]
    number = server.register(record("R", fields))
    form = AvroFormat(Registry(server.url))
    value = framed(number, body)
    while not form.ready([value]):
        pass
    found, reason, detail = form.decode(value)
    assert bool(found) != bool(reason)
    assert bool(reason) == bool(detail)
