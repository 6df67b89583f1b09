"""Kafka: records of a topic as a stream, and predictions as records of a topic, by kafka-python."""

from fenchel_connectors.kafka.sink import KafkaSink
from fenchel_connectors.kafka.source import KafkaSource

__all__ = ["KafkaSink", "KafkaSource"]
