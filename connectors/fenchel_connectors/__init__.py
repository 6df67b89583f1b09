"""Sources and sinks for fenchel-stream."""

from fenchel_connectors.csv import CsvSource
from fenchel_connectors.iterable import IterableSource
from fenchel_connectors.jsonl import JsonlSource
from fenchel_connectors.jsonl_sink import JsonlSink
from fenchel_connectors.kafka import KafkaSink, KafkaSource
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
    "RiverSource",
]
