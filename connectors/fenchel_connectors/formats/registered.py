"""What the formats of schema registries share: a header, a schema for each number, and faults."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from fenchel_connectors.decoding import decode
from fenchel_connectors.formats.format import HEADER, MAGIC, OTHER_FORMAT, Decoded, Format
from fenchel_connectors.formats.registry import Registry, Schema
from fenchel_connectors.formats.schemas import Fault, Parser, Schemas
from fenchel_connectors.lines import LINE_LIMIT


class RejectedError(Exception):
    """A value fits its schema's encoding and is set aside all the same.

    Parameters
    ----------
    reason, detail
        As of a `Reject`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class RegisteredFormat(Format):
    """A format whose values begin with a magic byte and the number of their schema.

    Each value is decoded by the schema that it was written with, so that the schema of a topic may
    change in the middle. A value is set aside as

    - ``other_format``: it has no magic byte, or its schema is of another format,
    - ``unknown_schema``: the registry has no schema of its number,
    - ``unusable_schema``: the schema is not valid, or refers to one that is not there,
    - ``undecodable``: the bytes do not fit the schema,
    - ``too_deep``: nested more than some hundred times,
    - ``non_object``: it is a number, a text or a list and no record,
    - ``oversized``: longer than 16 MiB.

    Parameters
    ----------
    registry
        Has the schemas. While it is away, `ready` returns False.
    """

    kind: ClassVar[str]
    """What registries call the format."""

    decoder: ClassVar[str]
    """What the option `decoder` calls it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.schemas = Schemas(registry, self._parser)

    @abstractmethod
    def parser(self, schema: Schema) -> Parser:
        """Return what makes rows of values of a schema.

        Raises
        ------
        UnusableSchemaError
            The schema is not valid.
        """

    def begin(self, fresh: bool) -> None:
        if fresh:
            self.registry.ping()

    def ready(self, values: Sequence[bytes | None]) -> bool:
        headers = {value[:HEADER] for value in values if value is not None and _has_header(value)}
        return self.schemas.ready(headers)

    @property
    def outage_seconds(self) -> float:
        return self.schemas.outage_seconds

    def close(self) -> None:
        self.schemas.close()

    def decode_all(self, values: Sequence[bytes]) -> list[dict[str, Any]]:
        parsers = self.schemas.parsers
        try:
            rows = [parsers[value[:HEADER]](value[HEADER:]) for value in values]  # type: ignore[operator]
        except Exception:  # noqa: BLE001 - `decode` finds out which value is to blame, and why
            return []
        if set(map(type, rows)) != {dict} or max(map(len, values)) >= LINE_LIMIT:
            return []
        return rows

    def decode(self, value: bytes) -> Decoded:
        if not _has_header(value):
            return {}, OTHER_FORMAT, self._headless(value)
        if len(value) >= LINE_LIMIT:
            return {}, "oversized", f"longer than {LINE_LIMIT} bytes"
        parser = self.schemas.parsers[value[:HEADER]]
        if isinstance(parser, Fault):
            return {}, parser.reason, parser.detail
        number = int.from_bytes(value[1:HEADER])
        try:
            row = parser(value[HEADER:])
        except RejectedError as error:
            return {}, error.reason, f"schema {number}: {error.detail}"
        except RecursionError:
            return {}, "too_deep", f"nested too deeply, by schema {number}, to be read"
        except Exception as error:  # noqa: BLE001 - the bytes may be any
            words = str(error) or type(error).__name__
            return {}, "undecodable", f"does not fit schema {number}: {words}"
        if not isinstance(row, dict):
            return {}, "non_object", f"{type(row).__name__} where a record belongs"
        return row, "", ""

    def _parser(self, schema: Schema) -> Parser | Fault:
        if schema.kind == self.kind:
            return self.parser(schema)
        return Fault(
            OTHER_FORMAT,
            f'its schema is of the format {schema.kind}, and decoder = "{self.decoder}" reads '
            f"{self.kind}",
        )

    def _headless(self, value: bytes) -> str:
        what = f"does not begin with a magic byte and a number, as decoder = {self.decoder!r} needs"
        _, fault, _ = decode(value)
        return what if fault else f"{what}; it is plain JSON, for which decoder is left out"


def _has_header(value: bytes) -> bool:
    return value[:1] == MAGIC and len(value) >= HEADER
