"""What tests of formats share: values as producers write them, and rows as sources make them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import fastavro

from fenchel_connectors.formats import Decoded, Format
from tests.runs import until


def framed(number: int, body: bytes) -> bytes:
    """Return a value in the wire format: magic byte, number of the schema, body."""
    return b"\0" + number.to_bytes(4, "big") + body


def avro(number: int, schema: Any, record: Any) -> bytes:
    """Return a record as fastavro writes it."""
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return framed(number, out.getvalue())


def decode(form: Format, *values: bytes) -> list[Decoded]:
    """Return what becomes of each value, once the registry has said what it must."""
    until(lambda: form.ready(values))
    return list(map(form.decode, values))


def row(form: Format, value: bytes) -> dict[str, Any]:
    """Return the row of a good value, which is the same by itself and among others."""
    ((one, fault, detail),) = decode(form, value)
    assert not fault, detail
    assert form.decode_all([value, value]) == [one, one]
    return one


def fault(form: Format, value: bytes) -> tuple[str, str]:
    """Return why a value is set aside, of which decoding many at once says nothing."""
    ((one, reason, detail),) = decode(form, value)
    assert reason
    assert one == {}
    assert form.decode_all([value]) == []
    return reason, detail


def record(name: str, fields: Sequence[tuple[str, Any]], **more: Any) -> dict[str, Any]:
    """Return the schema of a record of Avro."""
    listed = [{"name": field, "type": kind} for field, kind in fields]
    return {"type": "record", "name": name, "fields": listed, **more}
