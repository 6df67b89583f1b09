"""Predictions and dead letters as records of a topic, each published once.

The checkpoint holds what a run has learnt, and the topic holds what it has published. The two
cannot be written in one step. When the process dies, one of them is ahead, and recovery must
adapt the other. Here the topic is ahead, and published records are never taken back:

- Each record names the place of its source record (``where``). Prediction and place are one record
  and become visible together. With `transactional`, a whole batch becomes visible together.
- A batch is committed before the next checkpoint is renamed into place. A checkpoint thus never
  counts a prediction that was not published.
- A checkpoint keeps the end of the topic. A resumed run reads the records after that end, and skips
  each prediction that it finds among them.

The process may die

- before a transaction is committed: the broker aborts it when the next process asks for the same
  transactional id, and that process publishes the batch;
- after the commit and before the checkpoint: the batch is predicted again, and not published again;
- while the checkpoint is written: either the old checkpoint counts or the new one, and each knows
  the end of the topic at its time;
- during recovery: nothing has changed yet.

A process that hangs and is replaced cannot write later: of two producers with one transactional id,
the broker refuses the older. Without `transactional`, readers may see a part of a batch. Records in
flight when the process is killed may then arrive after the next process has read the topic.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any, ClassVar

from kafka.errors import KafkaError

from fenchel_connectors.kafka.client import ClientOptions, split_address
from fenchel_connectors.kafka.failures import explain, failure
from fenchel_connectors.kafka.patience import Patience, StuckError
from fenchel_connectors.kafka.published import find_published
from fenchel_connectors.kafka.publisher import Publisher
from fenchel_connectors.kafka.topic import find_topic
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.streams.sink import RawRecord, Sink
from fenchel_stream.streams.source import Position

log = logging.getLogger(__name__)

STUCK = 60.0
"""Seconds for which the cluster may answer while a transaction does not end. After all brokers had
died at once, kafka-python 3.0.12 has waited for ever."""

RESENDER = "dead letters"
"""The `writer` of records that `KafkaSink.resend` publishes."""


class KafkaSink(Sink):
    """A topic that takes one JSON object a record.

    Parameters
    ----------
    address
        ``//host:port/topic``, as that of `KafkaSource`. The topic must exist.
    client
        Options of the Kafka client, see `ClientOptions`.
    key
        The field of a record that becomes its key in the topic.
    writer
        Name of the run, which marks its records among those of other runs in the same topic.
    transactional
        Commit each batch as one transaction, with `writer` as transactional id.

    Raises
    ------
    ConfigError
        No broker answers, or the topic does not exist.

    Notes
    -----
    A position is the identity of the topic, the end of each partition, and the places of those
    records of this run (``ahead``) that the topic holds and the resumed run has not reached yet.

    Examples
    --------
    >>> from fenchel_connectors import KafkaSink
    >>> KafkaSink("//localhost/flights/late")
    Traceback (most recent call last):
        ...
    fenchel_stream.errors.ConfigError: kafka://localhost/flights/late is not of the form ...
    """

    client_table: ClassVar[str | None] = "kafka"
    shared: ClassVar[bool] = True

    def __init__(
        self,
        address: str,
        *,
        client: dict[str, Any] | None = None,
        key: str = "where",
        writer: str = "",
        transactional: bool = False,
    ) -> None:
        servers, self.name = split_address(address)
        self.client = ClientOptions(client or {}, servers)
        self.transactional = transactional
        self.writer = writer
        self.topic = find_topic(self.name, self.client)
        self._ahead: set[str] = set()
        self._closed = False
        self._patience = Patience(self.name, self.client)
        self._open = partial(
            Publisher, self.name, self.client, writer=writer, key=key, transactional=transactional
        )
        try:
            self._publisher = self._open()
        except KafkaError as error:
            raise failure(
                error, self.client, topic=self.name, action="write", kind=ConfigError
            ) from None
        try:
            self.truncate(None)
        except BaseException:
            self.close()
            raise

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Publish the records that the topic does not hold yet; wait while the brokers are away.

        Raises
        ------
        DataError
            The brokers refuse them.
        """
        begin = dict(self._publisher.ends)
        stuck_after = STUCK if self.transactional else inf
        new = [record for record in records if not self._published(record["where"])]
        while new:
            publish = partial(self._publisher.publish, new)
            try:
                self._patience.wait_for(publish, stuck_after=stuck_after)
            except StuckError:
                self._replace_publisher(begin)
                new = [record for record in new if not self._published(record["where"])]
            except KafkaError as error:
                raise self._refused(error) from None
            else:
                return

    def flush(self) -> None:
        """Return once the brokers have everything written so far.

        Raises
        ------
        DataError
            The brokers refuse a record.
        """
        try:
            self._patience.wait_for(self._publisher.settle)
        except KafkaError as error:
            raise self._refused(error) from None

    def on_outage(self, call: Callable[[float], None]) -> None:
        """Call a function about twice a second while the brokers are away."""
        self._patience.while_waiting = call

    @property
    def position(self) -> Position:
        """The identity and the end of the topic, and the records ahead of the run."""
        ends = {str(number): end for number, end in sorted(self._publisher.ends.items())}
        return {**self.topic.identity(), "offsets": ends, "ahead": sorted(self._ahead)}

    def truncate(self, position: Position | None) -> None:
        """Skip from now on the records that this run has published after `position`.

        Nothing is dropped, because readers have seen it. If `position` is None, the run begins
        anew, and publishes again what an earlier run has published.

        Raises
        ------
        CheckpointError
            `position` is of another topic.
        DataError
            The topic cannot be read to its end.
        """
        self._ahead.clear()
        if position is not None:
            self.topic.check(position)
            self._ahead.update(position["ahead"])
        try:
            if position is None:
                # A run that begins should end soon if its brokers do not answer.
                _, self._publisher.ends = find_published(self.topic, self.client, self.writer, None)
            else:
                self._look_after(position["offsets"])
        except KafkaError as error:
            why = explain(error, self.client, topic=self.name)
            raise DataError(
                f"{self.name} must be read to learn what this run has published, and cannot be: "
                f"{why}"
            ) from None

    def close(self) -> None:
        """Wait for the records in flight and close the client; a second call does no harm.

        Raises
        ------
        DataError
            The brokers refuse a record.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._publisher.close()
        except KafkaError as error:
            raise self._refused(error) from None

    @classmethod
    def resend(cls, address: str, records: Sequence[RawRecord], **options: Any) -> int:
        """Publish the raw records that the topic does not hold yet, and return their number.

        Raises
        ------
        ConfigError
            No broker answers, or the topic does not exist.
        DataError
            The brokers refuse a record.
        """
        sink = cls(address, key="key", writer=RESENDER, **options)
        try:
            # Only the topic itself knows for certain which records were sent before.
            sink.truncate({**sink.position, "offsets": {}, "ahead": []})
            new = [record for record in records if not sink._published(record.where)]
            for record in new:
                sink._publisher.send({"where": record.where, "key": record.key}, record.value)
            sink.flush()
        except KafkaError as error:
            raise sink._refused(error) from None
        finally:
            sink.close()
        return len(new)

    def _published(self, where: str) -> bool:
        """Return whether the topic holds the record of a place already, and forget the place."""
        if where not in self._ahead:
            return False
        self._ahead.remove(where)
        return True

    def _look_after(self, offsets: Mapping[str, int]) -> None:
        """Note which records of this run the topic holds after `offsets`, and where it ends."""
        look = partial(find_published, self.topic, self.client, self.writer, offsets)
        published, self._publisher.ends = self._patience.repeat(look)
        self._ahead |= published

    def _replace_publisher(self, ends: Mapping[int, int]) -> None:
        """Go on with another producer than one that is stuck.

        The brokers abort the transaction that the first has begun, if it has not committed it.
        """
        log.warning("%s: a transaction does not end; another producer begins it anew", self.name)
        stuck, self._publisher = self._publisher, self._patience.repeat(self._open)
        stuck.abandon()
        # The first producer may have published to partitions that were added since.
        self.topic = self._patience.repeat(partial(find_topic, self.name, self.client))
        self._look_after({str(number): end for number, end in ends.items()})

    def _refused(self, error: KafkaError) -> DataError:
        why = explain(error, self.client, topic=self.name, action="write")
        return DataError(f"{self.name} cannot be written: {why}")
