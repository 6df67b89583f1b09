"""Protobuf in the wire format of schema registries, by Google's library.

A reader needs this module to know what the fields of a message become in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass

from fenchel_connectors.formats.decimals import decimal_number
from fenchel_connectors.formats.protobuf_schema import compiled
from fenchel_connectors.formats.registered import RegisteredFormat
from fenchel_connectors.formats.registry import Schema
from fenchel_connectors.formats.schemas import Parser

Convert = Callable[[Any], Any]


class ProtobufFormat(RegisteredFormat):
    """Messages of Protobuf as rows.

    Fields keep the names of the schema. A field that can tell that it is not set, as an
    ``optional`` one, a message or one of a ``oneof``, is a missing value then; any other has its
    default. An enum is the text of its value, a ``Timestamp`` text of ISO 8601, a ``Duration`` a
    number of seconds, ``confluent.type.Decimal`` a number as in Avro, a wrapper such as
    ``Int64Value`` what it holds, a ``Struct`` an object. Bytes stay bytes, which are neither number
    nor class. Other messages, repeated fields and maps are nested objects and lists.
    """

    kind = "PROTOBUF"
    decoder = "protobuf"

    def parser(self, schema: Schema) -> Parser:
        file = compiled(schema)
        parsers: dict[bytes, Parser] = {}

        def parse(body: bytes) -> Any:
            end = _end_of_path(body)
            path = body[:end]
            if path not in parsers:
                parsers[path] = _message_parser(_descriptor(file, _path(path)))
            return parsers[path](body[end:])

        return parse


def _end_of_path(body: bytes) -> int:
    """Return where the message begins, behind the path to its type in the file."""
    if body[:1] == b"\0":  # the first type of the file, as nearly always
        return 1
    left, end = _varint(body, 0)
    for _ in range(left):
        _, end = _varint(body, end)
    return end


def _path(path: bytes) -> list[int]:
    """Return the numbers of a type: of a message in the file, of one in that message, and so on."""
    count, end = _varint(path, 0)
    numbers = []
    for _ in range(count):
        number, end = _varint(path, end)
        numbers.append(number)
    return numbers or [0]


def _varint(body: bytes, start: int) -> tuple[int, int]:
    """Return the number that begins at `start`, zigzag-encoded, and where it ends."""
    number = 0
    for place, byte in enumerate(body[start : start + 5]):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            if number % 2 or number > 2 * len(body):
                break  # negative, or more types than fit
            return number >> 1, start + place + 1
    raise ValueError("the path to the type of the message is damaged")


def _descriptor(file: FileDescriptor, path: list[int]) -> Descriptor:
    types = list(file.message_types_by_name.values())
    for depth, number in enumerate(path):
        if number >= len(types):
            raise ValueError(f"it names message type {path}, and {file.name} has none such")
        descriptor = types[number]
        # The text of a schema does not have the types that the compiler makes of maps.
        types = [one for one in descriptor.nested_types if not one.GetOptions().map_entry]
        if depth == len(path) - 1:
            return descriptor
    raise ValueError("the path to the type of the message is empty")


def _message_parser(descriptor: Descriptor) -> Parser:
    parse = GetMessageClass(descriptor).FromString
    convert = _converter(descriptor, {})
    return lambda body: convert(parse(body))


def _converter(descriptor: Descriptor, converters: dict[str, Convert]) -> Convert:
    """Return what makes a row of a message; `converters` has those of other types so far."""
    name = descriptor.full_name
    if name in WELL_KNOWN:
        return WELL_KNOWN[name]
    if name in converters:
        return converters[name]
    plain = [field.name for field in descriptor.fields if _is_plain(field)]
    values = _getter(plain)
    others: list[tuple[str, bool, Convert]] = []

    def convert(message: Any) -> dict[str, Any]:
        row = dict(zip(plain, values(message), strict=True))
        for field, optional, of in others:
            missing = optional and not message.HasField(field)
            row[field] = None if missing else of(getattr(message, field))
        return row

    converters[name] = convert  # before the fields, since a message may hold others of its type
    others += [
        (field.name, field.has_presence, _field(field, converters))
        for field in descriptor.fields
        if not _is_plain(field)
    ]
    return convert


def _is_plain(field: FieldDescriptor) -> bool:
    """Return whether the value that the library gives is always the one for the row."""
    kinds = {FieldDescriptor.CPPTYPE_MESSAGE, FieldDescriptor.CPPTYPE_ENUM}
    return not (field.is_repeated or field.has_presence or field.cpp_type in kinds)


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what takes the attributes of a message in as few calls as can be."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda message: tuple(getattr(message, name) for name in names)


def _field(field: FieldDescriptor, converters: dict[str, Convert]) -> Convert:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        of = _one(kind.fields_by_name["value"], converters)
        return lambda values: {_key(key): of(values[key]) for key in values}
    of = _one(field, converters)
    return (lambda values: list(map(of, values))) if field.is_repeated else of


def _one(field: FieldDescriptor, converters: dict[str, Convert]) -> Convert:
    """Return what converts one value of a field, be the field repeated or not."""
    if field.message_type is not None:
        return _converter(field.message_type, converters)
    if field.enum_type is None:
        return lambda value: value
    names = {value.number: value.name for value in field.enum_type.values}
    return lambda number: names.get(number, number)  # a newer producer may know more values


def _key(key: Any) -> str:
    """Return the key of a map as JSON has it."""
    return str(key).lower() if isinstance(key, bool) else str(key)


_WRAPPED = ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")

WELL_KNOWN: dict[str, Convert] = {
    "google.protobuf.Timestamp": lambda message: message.ToJsonString(),
    "google.protobuf.Duration": lambda message: message.seconds + message.nanos / 1e9,
    "confluent.type.Decimal": lambda message: decimal_number(message.value, message.scale),
    **{f"google.protobuf.{name}": MessageToDict for name in ("Struct", "Value", "ListValue")},
    **{f"google.protobuf.{name}Value": attrgetter("value") for name in _WRAPPED},
}
"""What becomes of the types that mean more than their fields say."""
