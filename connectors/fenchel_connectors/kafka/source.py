"""A topic of Kafka as a source."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Any, ClassVar

import polars as pl

from fenchel_connectors.kafka.client import ClientOptions, split_address
from fenchel_connectors.kafka.reader import Place
from fenchel_connectors.kafka.rows import Rows
from fenchel_connectors.kafka.session import Session
from fenchel_connectors.kafka.topic import Topic, find_topic
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.streams.registry import find_function
from fenchel_stream.streams.source import Batch, Position, Source

TICK = 0.5
"""Seconds without a batch after which a batch without records is yielded."""

NAPS = 0.001, 0.05
"""Seconds to sleep while no record arrives, at first and at most. Some brokers answer at once that
they have no record, so that waiting in the client would keep a core busy."""


class KafkaSource(Source):
    """Records of all partitions of a topic, or of some.

    A value is a JSON object. A record is set aside for the reasons of `JsonlSource`, and as
    ``null_value`` or ``undecodable``. Its label is topic, partition and offset (``flights:0:17``).
    A batch comes when it is full, or when its first record has waited for `max_age` seconds. While
    no record arrives, a batch without records comes about twice a second. The first batch has no
    records; its position says where reading begins.

    Parameters
    ----------
    address
        ``//host:port/topic``, with commas between several hosts. ``///topic`` takes the hosts from
        `bootstrap_servers` of `client`.
    client
        Options of kafka-python's consumer, see `ClientOptions`. With a `group_id`, offsets are
        committed after each checkpoint, so that tools can show the lag; they are never read.
    partitions
        Numbers of the partitions to read; all by default.
    start
        Where a first run begins: ``"earliest"`` or ``"latest"``.
    reset
        Where to resume if the broker has dropped the next record: ``"earliest"`` or ``"latest"``.
        By default that is an error. If an unclean election has cut the log, reading resumes where
        it was cut.
    max_age
        Seconds that the first record of a batch waits for the batch to become full.
    deterministic
        Order records and cut batches by offsets alone, not by the moment at which records arrive.
        A run that was killed and resumed then ends with the same bits as an uninterrupted run.
        Every batch is full, whatever `max_age` is, and a partition without new records makes the
        others wait.
    decoder
        ``module:function`` that decodes the bytes of a value to a dict.
    key, timestamp
        Names of columns for the key of a record, as text, and for its time in milliseconds since
        1970.
    headers
        Names of headers that become columns, as text.

    Raises
    ------
    ConfigError
        An option has an unknown value.

    Notes
    -----
    A position is the identity of the topic and the next offset of each partition. Until a record
    was read it also keeps `start`: if `start` has changed since, reading begins at the new one.

    Examples
    --------
    >>> from fenchel_connectors import KafkaSource
    >>> source = KafkaSource("//localhost:9092/flights", client={"group_id": "delays"})
    >>> source.name, source.total
    ('flights', None)
    """

    client_table: ClassVar[str | None] = "kafka"
    live = True

    def __init__(
        self,
        address: str,
        *,
        client: dict[str, Any] | None = None,
        partitions: Sequence[int] | None = None,
        start: Place = "earliest",
        reset: Place | None = None,
        max_age: float = 1.0,
        deterministic: bool = False,
        decoder: str | None = None,
        key: str | None = None,
        timestamp: str | None = None,
        headers: Sequence[str] = (),
    ) -> None:
        servers, self.name = split_address(address)
        for option, value in {"start": start, "reset": reset}.items():
            if value not in {"earliest", "latest", None}:
                raise ConfigError(f'{option} is {value!r}, not "earliest" or "latest"')
        self.client = ClientOptions(client or {}, servers)
        self.chosen = None if partitions is None else sorted(set(partitions))
        self.start: Place = start
        self.reset = reset
        self.max_age = max_age
        self.deterministic = deterministic
        self.rows = Rows(
            None if decoder is None else find_function(decoder, "decoder"),
            key=key,
            timestamp=timestamp,
            headers=headers,
        )
        self._reading: Session | None = None

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield batches of at most `size` records, from `position` on or from the start.

        Raises
        ------
        ConfigError
            No broker answers, or the topic or a partition does not exist.
        CheckpointError
            `position` is of another topic, or of partitions that are not read now.
        DataError
            The broker has dropped the next record.
        """
        with self._session(position) as session:
            self._reading = session
            while not session.connect():
                yield Batch(pl.DataFrame(), [], session.position())
                time.sleep(TICK)
            max_age = inf if self.deterministic else self.max_age
            held: list[Any] = []
            since = quiet = time.monotonic()
            nap, longest = NAPS
            last = session.position()
            if position is None or "start" in position:
                last = {**last, "start": self.start}  # until a record was read
            yield Batch(pl.DataFrame(), [], last)
            while True:
                new = session.poll(size - len(held))
                now = time.monotonic()
                if new:
                    since = since if held else now
                    held += new
                    nap = NAPS[0]
                if held and (len(held) == size or now - since >= max_age):
                    last = session.position()
                    yield self.rows.batch(held, last)
                    held, quiet = [], time.monotonic()
                elif now - quiet >= TICK:
                    yield Batch(pl.DataFrame(), [], last)
                    quiet = time.monotonic()
                elif not new:
                    time.sleep(nap)
                    nap = min(2 * nap, longest)

    @property
    def outage_seconds(self) -> float:
        """How long the brokers have not served the topic; 0 while they do."""
        return 0.0 if self._reading is None else self._reading.outage.seconds

    def saved(self, position: Position) -> None:
        """Commit the offsets of a checkpoint to the group, if the client has one."""
        if self._reading is not None:
            self._reading.commit(position)

    def partitions(self) -> dict[str, dict[str, Any]]:
        """Return the partitions to be read, each with the options of a source of it alone.

        Raises
        ------
        ConfigError
            No broker answers, or the topic or a partition does not exist.
        """
        wanted = self._wanted(find_topic(self.name, self.client))
        return {f"partition-{number}": {"partitions": [number]} for number in wanted}

    def _session(self, position: Position | None) -> Session:
        return Session(
            self.name,
            self.client,
            lambda topic: self._offsets(topic, position),
            position,
            reset=self.reset,
            deterministic=self.deterministic,
        )

    def _offsets(self, topic: Topic, position: Position | None) -> dict[int, int | Place]:
        """Return the offset or place at which reading begins, for each partition to be read."""
        wanted = self._wanted(topic)
        if position is not None:
            topic.check(position)
        if position is None or position.get("start", self.start) != self.start:
            return dict.fromkeys(wanted, self.start)
        offsets = {int(number): offset for number, offset in position["offsets"].items()}
        if not offsets.keys() <= set(wanted):
            raise CheckpointError(
                f"{self.name}: the checkpoint was made of partitions {_listed(offsets)}, and this "
                f"run reads {_listed(wanted)}: read the same, or choose another directory"
            )
        # A partition that was added since is read from its first record.
        return {number: offsets.get(number, "earliest") for number in wanted}

    def _wanted(self, topic: Topic) -> list[int]:
        known = range(topic.partitions)
        wanted = list(known) if self.chosen is None else self.chosen
        if not wanted or not set(wanted) <= set(known):
            raise ConfigError(
                f"partitions {_listed(wanted) or 'none'}: topic {self.name!r} has partitions "
                f"{_listed(known)}"
            )
        return wanted


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
