"""Kafka: records of a topic as a stream, by kafka-python."""

from fenchel_connectors.kafka.source import KafkaSource

__all__ = ["KafkaSource"]
