"""JSON in the wire format of schema registries, held to its JSON Schema by jsonschema-rs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import jsonschema_rs

from fenchel_connectors.decoding import decode
from fenchel_connectors.formats.registered import RegisteredFormat, RejectedError
from fenchel_connectors.formats.registry import Schema
from fenchel_connectors.formats.schemas import Parser, UnusableSchemaError

BASE = "json-schema:///"
"""The address of a schema that says none."""


class JsonSchemaFormat(RegisteredFormat):
    """JSON objects, decoded as those of `JsonlSource`.

    One that its schema does not allow is set aside as ``invalid``. A reference of a schema is
    looked up among those that the registry names with it, and nowhere else.
    """

    kind = "JSON"
    decoder = "json_schema"

    def parser(self, schema: Schema) -> Parser:
        try:
            document = json.loads(schema.text)
            texts = {name: json.loads(text) for name, text in schema.references.items()}
        except (ValueError, RecursionError) as error:
            raise UnusableSchemaError(f"is no JSON ({error})") from error
        known = _addresses(document, texts)

        def retrieve(address: str) -> Any:
            if address not in known:
                raise LookupError(f"{address} is not among its references")
            return known[address]

        try:
            validator = jsonschema_rs.validator_for(document, retriever=retrieve)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            words = str(error).partition("\n")[0]
            raise UnusableSchemaError(f"is no usable JSON Schema ({words})") from error

        def parse(body: bytes) -> dict[str, Any]:
            row, fault, detail = decode(body)
            if fault:
                raise RejectedError(fault, detail)
            if not validator.is_valid(row):
                raise RejectedError("invalid", _first_error(validator, row))
            return row

        return parse


def _addresses(document: Any, references: Mapping[str, Any]) -> dict[str, Any]:
    """Return the references under each address by which a schema may mean one of them.

    The name of a reference is an address of its own, or relative to that of the schema that refers.
    """
    known = {BASE + name: schema for name, schema in references.items()}
    for schema in (document, *references.values()):
        if isinstance(schema, dict) and isinstance(base := schema.get("$id"), str):
            known |= {urljoin(base, name): schema for name, schema in references.items()}
    return {**known, **references}


def _first_error(validator: jsonschema_rs.Validator, row: dict[str, Any]) -> str:
    error = next(iter(validator.iter_errors(row)))
    place = ".".join(map(str, error.instance_path))
    return f"{place}: {error.message}" if place else error.message
