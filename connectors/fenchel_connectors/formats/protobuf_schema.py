"""From the text of a Protobuf schema to its descriptor, by the compiler in grpcio-tools."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from fenchel_connectors.formats.registry import Schema
from fenchel_connectors.formats.schemas import UnusableSchemaError

MAIN = "fenchel_stream_main.proto"

PATIENCE = 60.0
"""Seconds that the compiler may take."""

BUILT_IN = {
    "confluent/type/decimal.proto": """syntax = "proto3";
package confluent.type;
message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }
""",
    "confluent/meta.proto": """syntax = "proto3";
package confluent;
import "google/protobuf/descriptor.proto";
message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }
""",
}
"""What schemas may import without a reference, beside Google's own types: registries have it."""


def compiled(schema: Schema) -> FileDescriptor:
    """Return the descriptor of a schema, in a pool of its own.

    The compiler is a process of its own: what the text does to it stays there.

    Raises
    ------
    UnusableSchemaError
        The text is no Protobuf schema, or imports what is not among its references.
    """
    files = {**BUILT_IN, **schema.references, MAIN: schema.text}
    with TemporaryDirectory(prefix="fenchel-stream-") as folder:
        _write(Path(folder), files)
        output = Path(folder, "descriptors")
        compiler = [sys.executable, "-P", "-m", "grpc_tools.protoc"]
        options = [f"-I{folder}", "--include_imports", f"--descriptor_set_out={output}"]
        try:
            done = subprocess.run(  # noqa: S603 - the text of a schema is no part of the command
                [*compiler, *options, str(Path(folder, MAIN))],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UnusableSchemaError(f"does not compile within {PATIENCE:g} s") from None
        if done.returncode:
            words = done.stderr.replace(f"{folder}/", "").replace(f"{MAIN}:", "line ")
            raise UnusableSchemaError(f"does not compile: {' '.join(words.split())[:500]}")
        descriptors = FileDescriptorSet.FromString(output.read_bytes())
    pool = DescriptorPool()
    try:
        for descriptor in descriptors.file:  # each stands after those that it imports
            pool.Add(descriptor)
        return pool.FindFileByName(MAIN)
    except (TypeError, KeyError) as error:
        raise UnusableSchemaError(f"is no usable Protobuf schema ({error})") from error


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = PurePosixPath(name)
        # A name comes from the registry, and must not lead out of the folder.
        if path.is_absolute() or ".." in path.parts or "\0" in name or not path.name:
            raise UnusableSchemaError(f"refers to {name!r}, which is no name of a file")
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except (OSError, UnicodeEncodeError) as error:
            raise UnusableSchemaError(f"{name!r} cannot be written as a file: {error}") from error
