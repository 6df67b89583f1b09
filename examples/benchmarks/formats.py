r"""Rows per second from a topic to a frame, by the format and the compression of its records.

Ten numbers and a class in each record, batches of 128, one partition. A pass fetches, unpacks and
decodes all records of a topic and makes frames of them; nothing is learnt. The passes take turns;
each figure is of the best one. The last column has what becomes of bad values.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m examples.benchmarks.formats

A broker from PyPI and a schema registry are started on loopback. The figures are rows per second
of CPU, the client's own thread included: they depend less than those of the clock on who else is
busy on the machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import message_factory
from kafka import KafkaProducer, codec

from fenchel_connectors.formats import choose_format
from fenchel_connectors.formats.protobuf_schema import compiled
from fenchel_connectors.formats.registry import Schema
from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.reader import Reader
from fenchel_connectors.kafka.rows import Rows
from tests.brokers import Broker
from tests.connectors.formats.helpers import avro, framed
from tests.connectors.formats.registry_server import RegistryServer

RESULTS = Path(__file__).parent / "results"
FEATURES, BATCH, PASSES = 10, 128, 5

CODECS: dict[str, Callable[[], bool]] = {
    "none": lambda: True,
    "gzip": codec.has_gzip,
    "snappy": codec.has_snappy,
    "lz4": codec.has_lz4,
    "zstd": codec.has_zstd,
}
"""Compressions of a topic, and whether the library of each is installed."""

NAMES = [f"x{i}" for i in range(FEATURES)]
AVRO = {
    "type": "record",
    "name": "Row",
    "fields": [{"name": name, "type": "double"} for name in NAMES]
    + [{"name": "y", "type": "boolean"}],
}
PROTOBUF = (
    'syntax = "proto3"; message Row { '
    + " ".join(f"double {name} = {i};" for i, name in enumerate(NAMES, 1))
    + f" bool y = {FEATURES + 1}; }}"
)
JSON_SCHEMA = {
    "type": "object",
    "properties": {**{name: {"type": "number"} for name in NAMES}, "y": {"type": "boolean"}},
    "required": [*NAMES, "y"],
}

BAD = {"other format": b"??", "unknown schema": framed(999, b"\xff\xff"), "bytes cut off": b""}
"""Values that no format reads; the last one is what is left of a good one without its end."""


def main() -> None:
    """Measure, print the tables and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--broker", default="tansu", choices=("noida", "tansu"))
    parser.add_argument("--rows", type=int, default=100 * BATCH)
    parser.add_argument("--machine", default="2 shared x86-64 cores", help="in words")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Broker(options.broker, Path(folder)) as broker,
        RegistryServer() as registry,
    ):
        formats = _formats(options.rows, registry)
        topics = {
            (name, compression): _fill(broker, values, compression)
            for name, (_, values) in formats.items()
            for compression, installed in CODECS.items()
            if installed()
        }
        best = dict.fromkeys(topics, inf)
        for _ in range(PASSES):
            for (name, compression), topic in topics.items():
                seconds = _read(broker.bootstrap, topic, formats[name][0](), options.rows)
                best[name, compression] = min(best[name, compression], seconds)
        bad = {name: _bad(make(), values[0]) for name, (make, values) in formats.items()}
    text = _report(options, best, bad)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "formats.md").write_text(text)
    print(text)


def _formats(
    count: int, registry: RegistryServer
) -> dict[str, tuple[Callable[[], Rows], list[bytes]]]:
    """Return what reads each format, and the same records in it."""
    records = list(_records(count))
    numbers = {
        "avro": registry.register(AVRO),
        "protobuf": registry.register(PROTOBUF, "PROTOBUF"),
        "json_schema": registry.register(JSON_SCHEMA, "JSON"),
    }
    descriptor = compiled(Schema("PROTOBUF", PROTOBUF)).message_types_by_name["Row"]
    message = message_factory.GetMessageClass(descriptor)
    texts = [json.dumps(record).encode() for record in records]
    values = {
        "avro": [avro(numbers["avro"], AVRO, record) for record in records],
        "protobuf": [
            framed(numbers["protobuf"], b"\0" + message(**record).SerializeToString())
            for record in records
        ],
        "json_schema": [framed(numbers["json_schema"], text) for text in texts],
    }

    def reader(decoder: str) -> Callable[[], Rows]:
        return lambda: Rows(choose_format(decoder, registry.url))

    return {
        "JSON": (Rows, texts),
        "Avro": (reader("avro"), values["avro"]),
        "Protobuf": (reader("protobuf"), values["protobuf"]),
        "JSON Schema": (reader("json_schema"), values["json_schema"]),
    }


def _records(count: int) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(0)
    for x in rng.normal(size=(count, FEATURES)):
        row = {name: round(value, 6) for name, value in zip(NAMES, x.tolist(), strict=True)}
        yield {**row, "y": bool(x[0] > 0)}


def _fill(broker: Broker, values: list[bytes], compression: str) -> str:
    """Return a topic with the values, compressed in batches as large as a producer's are."""
    topic = broker.topic()
    producer = KafkaProducer(
        **broker.client,
        compression_type=None if compression == "none" else compression,
        linger_ms=50,
    )
    for value in values:
        producer.send(topic, value, partition=0)
    producer.flush()
    producer.close()
    return topic


def _read(bootstrap: str, topic: str, rows: Rows, count: int) -> float:
    """Return the CPU seconds that reading and decoding a topic takes."""
    with Reader(topic, {0: "earliest"}, ClientOptions({}, bootstrap)) as reader:
        records = reader.poll(BATCH)
        while not (records and rows.ready(records)):
            time.sleep(0.01)
            records = records or reader.poll(BATCH)
        done, begin = 0, time.process_time()
        while done < count:
            if records:
                done += len(rows.batch(records, {}).rows)
            records = reader.poll(BATCH)
        return time.process_time() - begin


def _bad(rows: Rows, good: bytes) -> str:
    """Return the reasons why bad values are set aside."""
    values = [value or good[: len(good) // 2] for value in BAD.values()]
    while not rows.format.ready(values):
        time.sleep(0.01)
    return ", ".join(f"`{rows.format.decode(value)[1]}`" for value in values)


def _report(
    options: argparse.Namespace, best: dict[tuple[str, str], float], bad: dict[str, str]
) -> str:
    lines = []
    for name, reasons in bad.items():
        cells = [
            f"{options.rows / best[name, compression]:,.0f}" if (name, compression) in best else "-"
            for compression in CODECS
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {reasons} |")
    return f"""# Formats and compressions of a topic

{options.rows:,} records of {FEATURES} numbers and a class, batches of {BATCH}, from the broker to
frames; rows per second of CPU, the best of {PASSES} passes, {options.broker} as the
broker, {time.strftime("%Y-%m-%d")}, {options.machine}. "-": the library of the compression is not
installed. The last column says how bad values are set aside: {", ".join(BAD)}.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m examples.benchmarks.formats

| format | {" | ".join(CODECS)} | bad values |
| --- |{" ---: |" * len(CODECS)} --- |
{chr(10).join(lines)}
"""


if __name__ == "__main__":
    main()
