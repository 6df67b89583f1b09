"""JSON objects as they are: the format of a topic unless its source has a `decoder`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fenchel_connectors.decoding import decode, decode_all
from fenchel_connectors.formats.format import HEADER, MAGIC, OTHER_FORMAT, Decoded, Format


class PlainJson(Format):
    r"""JSON objects, set aside for what `JsonlSource` names.

    A value that begins as those with a schema registry do is set aside as ``other_format``.

    Examples
    --------
    >>> from fenchel_connectors.formats.plain_json import PlainJson
    >>> PlainJson().decode(b'{"a": 1}')
    ({'a': 1}, '', '')
    >>> PlainJson().decode(b'\0\0\0\0\7{"a": 1}')[1:]
    ('other_format', 'begins with the magic byte of a schema registry, schema 7: set decoder =
      "json_schema" and registry = "http://..." in the options of the source')
    """

    def decode_all(self, values: Sequence[bytes]) -> list[dict[str, Any]]:
        return decode_all(values)

    def decode(self, value: bytes) -> Decoded:
        row, fault, detail = decode(value)
        if not fault or value[:1] != MAGIC or len(value) <= HEADER:
            return row, fault, detail
        _, fault, _ = decode(value[HEADER:])
        decoder = '"avro" or "protobuf"' if fault else '"json_schema"'
        number = int.from_bytes(value[1:HEADER])
        detail = (
            f"begins with the magic byte of a schema registry, schema {number}: set decoder = "
            f'{decoder} and registry = "http://..." in the options of the source'
        )
        return {}, OTHER_FORMAT, detail
