"""Topics of Kafka as sources and sinks, by kafka-python."""

from fenchel_connectors.kafka.sink import KafkaSink
from fenchel_connectors.kafka.source import KafkaSource

__all__ = ["KafkaSink", "KafkaSource"]
