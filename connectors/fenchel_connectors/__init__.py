"""Sources, sinks and the monitor that come with fenchel-stream.

A class is imported when it is first used, so that a run loads only the connectors that it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fenchel_stream.lazy import lazy_names

if TYPE_CHECKING:
    from fenchel_connectors.csv import CsvSource
    from fenchel_connectors.iterable import IterableSource
    from fenchel_connectors.jsonl import JsonlSource
    from fenchel_connectors.jsonl_sink import JsonlSink
    from fenchel_connectors.kafka import KafkaSink, KafkaSource
    from fenchel_connectors.monitoring import PrometheusExporter
    from fenchel_connectors.parquet import ParquetSource
    from fenchel_connectors.river import RiverSource

__all__ = [
    "CsvSource",
    "IterableSource",
    "JsonlSink",
    "JsonlSource",
    "KafkaSink",
    "KafkaSource",
    "ParquetSource",
    "PrometheusExporter",
    "RiverSource",
]

_MODULES = {
    "CsvSource": "csv",
    "IterableSource": "iterable",
    "JsonlSink": "jsonl_sink",
    "JsonlSource": "jsonl",
    "KafkaSink": "kafka",
    "KafkaSource": "kafka",
    "ParquetSource": "parquet",
    "PrometheusExporter": "monitoring",
    "RiverSource": "river",
}


__getattr__ = lazy_names(__name__, _MODULES)
