"""Protobuf: rows of messages that Google's library has written, and of bytes written by hand."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel_connectors.formats.protobuf import ProtobufFormat
from fenchel_connectors.formats.registry import Registry
from tests.connectors.formats.helpers import fault, framed, row
from tests.connectors.formats.registry_server import RegistryServer
from tests.runs import until

TEXT = """
syntax = "proto3";
package shop;
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

enum Colour { UNKNOWN = 0; RED = 1; }

message Order {
  double price = 1;
  int64 amount = 2;
  string name = 3;
  bool gift = 4;
  Colour colour = 5;
  optional int32 rebate = 6;
  bytes token = 7;
  google.protobuf.Timestamp at = 8;
  google.protobuf.Duration wait = 9;
  google.protobuf.Int64Value count = 10;
  google.protobuf.Struct more = 11;
  repeated Colour colours = 12;
  map<int32, double> weights = 13;
  Place place = 14;
  repeated Order parts = 15;
  oneof payment { string card = 16; int32 cash = 17; }
  float small = 18;
  uint64 large = 19;
  message Place { double lat = 1; }
}

message Refund { string why = 1; message Inner { message Deep { int32 n = 1; } } }
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as running:
        yield running


@pytest.fixture(scope="module")
def shared(server: RegistryServer) -> tuple[int, ProtobufFormat]:
    """The number of the schema above, and a format that has compiled it."""
    number, form = server.register(TEXT, "PROTOBUF"), ProtobufFormat(Registry(server.url))
    until(lambda: form.ready([framed(number, b"\0")]))
    return number, form


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The class of `Order`, as a producer has it."""
    folder = tmp_path_factory.mktemp("proto")
    (folder / "shop.proto").write_text(TEXT)
    return _message_class(folder, "shop.proto", "shop.Order")


def _message_class(folder: Path, file: str, name: str) -> Any:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", "--include_imports"]
    subprocess.run([*command, f"--descriptor_set_out={folder}/set", file], check=True)
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString((folder / "set").read_bytes())
    for one in files.file:
        pool.Add(one)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


NOTHING: dict[str, Any] = {
    "price": 0.0,
    "amount": 0,
    "name": "",
    "gift": False,
    "colour": "UNKNOWN",
    "rebate": None,
    "token": b"",
    "at": None,
    "wait": None,
    "count": None,
    "more": None,
    "colours": [],
    "weights": {},
    "place": None,
    "parts": [],
    "card": None,
    "cash": None,
    "small": 0.0,
    "large": 0,
}


def test_what_is_not_set(shared: tuple[int, ProtobufFormat]) -> None:
    number, form = shared
    assert row(form, framed(number, b"\0")) == NOTHING


def test_every_kind_of_field(shared: tuple[int, ProtobufFormat], order: Any) -> None:
    number, form = shared
    message = order(price=1.5, amount=-(2**60), name="ä", gift=True, colour=1, rebate=0)
    message.token = b"\xff"
    message.at.FromJsonString("2024-01-31T08:05:00.25Z")
    message.wait.FromJsonString("-1.5s")
    message.count.value = 0
    message.more.update({"a": [1, None, {"b": "c"}]})
    message.colours.extend([1, 0, 7])
    message.weights[-3] = 0.5
    message.place.lat = 2.5
    message.parts.add(name="inner").parts.add(name="innermost")
    message.cash = 7
    message.small = 0.25
    message.large = 2**64 - 1
    expected = {
        **NOTHING,
        "price": 1.5,
        "amount": -(2**60),
        "name": "ä",
        "gift": True,
        "colour": "RED",
        "rebate": 0,
        "token": b"\xff",
        "at": "2024-01-31T08:05:00.250Z",
        "wait": -1.5,
        "count": 0,
        "more": {"a": [1.0, None, {"b": "c"}]},
        "colours": ["RED", "UNKNOWN", 7],
        "weights": {"-3": 0.5},
        "place": {"lat": 2.5},
        "parts": [{**NOTHING, "name": "inner", "parts": [{**NOTHING, "name": "innermost"}]}],
        "cash": 7,
        "small": 0.25,
        "large": 2**64 - 1,
    }
    assert row(form, framed(number, b"\0" + message.SerializeToString())) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"\0", "Order"),
        (b"\x02\0", "Order"),
        (b"\x02\x02", {"why": "x"}),
        (b"\x06\x02\0\0", {"n": 1}),
    ],
)
def test_the_path_to_the_type(
    shared: tuple[int, ProtobufFormat], path: bytes, expected: Any
) -> None:
    number, form = shared
    body = {"Order": b"", 1: b"\x0a\x01x", 3: b"\x08\x01"}
    message = body["Order"] if expected == "Order" else body[1 if "why" in expected else 3]
    found = row(form, framed(number, path + message))
    assert found == (NOTHING if expected == "Order" else expected)


def test_maps_are_no_types_that_are_counted(server: RegistryServer) -> None:
    """The compiler makes a type of each map, which the text of a schema does not have."""
    text = 'syntax = "proto3"; message M { map<string, int32> m = 1; message In { int32 n = 1; } }'
    number = server.register(text, "PROTOBUF")
    form = ProtobufFormat(Registry(server.url))
    assert row(form, framed(number, b"\x04\0\0\x08\x07")) == {"n": 7}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01",
        b"\x02",
        b"\x02\x63",
        b"\x02\x7e",
        b"\x80\x80\x80\x80\x80\x80",
        b"\xfe\xff\xff\xff\x0f",
        b"\x0a\0\0\0\0\0",
        b"\0\x0a\xff",
        b"\0\x1a\x01\xff",
        b"\0" + b"\x7a\x7f" * 200,
    ],
)
def test_bytes_that_are_no_message(shared: tuple[int, ProtobufFormat], body: bytes) -> None:
    number, form = shared
    reason, detail = fault(form, framed(number, body))
    assert reason == "undecodable"
    assert f"does not fit schema {number}" in detail


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names message type [0]"),
        ('syntax = "proto3"; message A {', "does not compile: line 1:"),
        ('syntax = "proto3"; import "there.proto";', "there.proto: File not found"),
    ],
)
def test_schemas_that_are_none(server: RegistryServer, text: str, words: str) -> None:
    form = ProtobufFormat(Registry(server.url))
    _, detail = fault(form, framed(server.register(text, "PROTOBUF"), b"\0"))
    assert words in detail


def test_a_reference_stays_in_its_folder(server: RegistryServer, tmp_path: Path) -> None:
    server.register('syntax = "proto3";', "PROTOBUF", subject="evil")
    for name in (f"../../..{tmp_path}/x.proto", f"{tmp_path}/x.proto"):
        refer = {"name": name, "subject": "evil", "version": 1}
        number = server.register('syntax = "proto3"; message A {}', "PROTOBUF", [refer])
        form = ProtobufFormat(Registry(server.url))
        reason, detail = fault(form, framed(number, b"\0"))
        assert (reason, list(tmp_path.iterdir())) == ("unusable_schema", [])
        assert "which is no name of a file" in detail


def test_references_and_what_registries_have(server: RegistryServer) -> None:
    server.register(
        'syntax = "proto3"; package a; message Id { int32 n = 1; }', "PROTOBUF", subject="id"
    )
    server.register(
        'syntax = "proto3"; package a; import "a/id.proto"; message Place { Id id = 1; }',
        "PROTOBUF",
        [{"name": "a/id.proto", "subject": "id", "version": 1}],
        subject="place",
    )
    text = """syntax = "proto3";
    import "a/place.proto"; import "confluent/meta.proto"; import "confluent/type/decimal.proto";
    message M {
      a.Place place = 1;
      confluent.type.Decimal price = 2 [(confluent.field_meta).doc = "in euros"];
      confluent.type.Decimal whole = 3;
    }"""
    refer = {"name": "a/place.proto", "subject": "place", "version": 1}
    number = server.register(text, "PROTOBUF", [refer])
    body = bytes.fromhex("00 0a040a020807 1206 0a0204d21802 1a03 0a01ff")
    form = ProtobufFormat(Registry(server.url))
    expected = {"place": {"id": {"n": 7}}, "price": 12.34, "whole": -1}
    assert row(form, framed(number, body)) == expected


def test_proto2(server: RegistryServer) -> None:
    text = (
        'syntax = "proto2"; message M { optional int32 a = 1 [default = 5]; required int32 b = 2; }'
    )
    form = ProtobufFormat(Registry(server.url))
    assert row(form, framed(server.register(text, "PROTOBUF"), b"\0\x10\x02")) == {
        "a": None,
        "b": 2,
    }


@settings(max_examples=200)
@given(
    price=st.floats(),
    amount=st.integers(-(2**63), 2**63 - 1),
    name=st.text(st.characters(codec="utf-8")),
    gift=st.booleans(),
    rebate=st.none() | st.integers(-(2**31), 2**31 - 1),
    weights=st.dictionaries(st.integers(-(2**31), 2**31 - 1), st.floats(allow_nan=False)),
)
def test_any_message(
    shared: tuple[int, ProtobufFormat], order: Any, price: float, **fields: Any
) -> None:
    number, form = shared
    message = order(price=price, **fields)
    found = row_of(form, framed(number, b"\0" + message.SerializeToString()))
    fields["weights"] = {str(key): value for key, value in fields["weights"].items()}
    assert math.isnan(found["price"]) if math.isnan(price) else found["price"] == price
    assert found == {**NOTHING, **fields, "price": found["price"]}


@settings(max_examples=200)
@given(body=st.binary(max_size=30))
def test_any_bytes_are_a_row_or_have_a_fault(
    shared: tuple[int, ProtobufFormat], body: bytes
) -> None:
    number, form = shared
    found, reason, detail = form.decode(framed(number, body))
    assert bool(reason) == bool(detail)
    assert not (found and reason)


def row_of(form: ProtobufFormat, value: bytes) -> dict[str, Any]:
    """Return the row of a good value, in which NaN may be."""
    one, reason, detail = form.decode(value)
    assert not reason, detail
    return one
