"""A topic of Kafka as a source."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from math import inf
from typing import Any

import polars as pl

from fenchel_connectors.formats import choose_format
from fenchel_connectors.kafka.client import ClientOptions, split_address
from fenchel_connectors.kafka.order import InOrder
from fenchel_connectors.kafka.reader import Place, Reader
from fenchel_connectors.kafka.rows import Rows
from fenchel_connectors.kafka.topic import Topic, find_topic
from fenchel_stream.errors import CheckpointError, ConfigError
from fenchel_stream.streams.source import Batch, Position

TICK = 0.5
"""Seconds without a batch after which an empty one is given out."""

NAPS = 0.001, 0.05
"""Seconds to sleep while nothing arrives, at first and at most: some brokers answer at once that
there is nothing, and waiting for them in the client would keep a core busy."""


class KafkaSource:
    """Records of a topic, of all its partitions or of some.

    A value is a JSON object, and a record is set aside for what `JsonlSource` names, and as
    ``null_value`` and ``undecodable``. It is found by topic, partition and offset
    (``flights:0:17``). A batch comes when it is full, or when its first record has waited for
    `max_age` seconds; while nothing comes, a batch without records comes about twice a second, and
    before all others one that says where reading begins.

    Parameters
    ----------
    address
        ``//host:port/topic``; several hosts are parted by commas. ``///topic`` takes them from
        `bootstrap_servers` of `client`.
    client
        Options of kafka-python's consumer, see `ClientOptions`. With a `group_id`, offsets are
        committed after each checkpoint, for those who watch the group's lag; they are never read.
    partitions
        Which to read; all by default.
    worker, workers
        Instead of `partitions`: the share of one of several runs, those whose number modulo
        `workers` is `worker`.
    start
        Where a first run begins: ``"earliest"`` or ``"latest"``.
    reset
        Where to go on if the broker no longer has the next record. By default that is an error.
    max_age
        Seconds.
    deterministic
        Cut batches by offsets alone, in an order that does not depend on when records arrive, so
        that a run that was killed ends with the same bits as one that was not. Every batch is
        full then, whatever `max_age` says, and a partition that gets nothing holds up the others.
    decoder
        The format of values that are no JSON objects: ``"avro"``, ``"protobuf"`` or
        ``"json_schema"`` in the wire format of schema registries, or ``module:function`` that makes
        a dict of the bytes of a value.
    registry
        The address of the schema registry, or a table of it and of what it asks for, see
        `Registry`. While it is away, records wait.
    key, timestamp
        Columns for a record's key, as text, and its time, in milliseconds since 1970.
    headers
        Headers that become columns, as text.

    Raises
    ------
    ConfigError
        An option makes no sense.

    Notes
    -----
    A position is the next offset of each partition, with what tells the topic from another one of
    the same name. As long as nothing was read it also says by which `start` it was found: with
    another `start`, reading begins there.

    Examples
    --------
    >>> from fenchel_connectors import KafkaSource
    >>> source = KafkaSource("//localhost:9092/flights", client={"group_id": "delays"})
    >>> source.name, source.total
    ('flights', None)
    """

    def __init__(
        self,
        address: str,
        *,
        client: dict[str, Any] | None = None,
        partitions: Sequence[int] | None = None,
        worker: int | None = None,
        workers: int | None = None,
        start: Place = "earliest",
        reset: Place | None = None,
        max_age: float = 1.0,
        deterministic: bool = False,
        decoder: str | None = None,
        registry: str | Mapping[str, Any] | None = None,
        key: str | None = None,
        timestamp: str | None = None,
        headers: Sequence[str] = (),
    ) -> None:
        servers, self.name = split_address(address)
        if (worker is None) != (workers is None) or (partitions is not None and workers):
            raise ConfigError("give worker and workers, or partitions, or neither")
        if workers is not None and not 0 <= (worker or 0) < workers:
            raise ConfigError(f"worker is {worker}, but {workers} workers count from 0")
        for option, value in {"start": start, "reset": reset}.items():
            if value not in {"earliest", "latest", None}:
                raise ConfigError(f'{option} is {value!r}, not "earliest" or "latest"')
        self.client = ClientOptions(client or {}, servers)
        self.partitions = partitions
        self.worker, self.workers = worker, workers
        self.start: Place = start
        self.reset = reset
        self.max_age = max_age
        self.deterministic = deterministic
        self.rows = Rows(
            choose_format(decoder, registry),
            key=key,
            timestamp=timestamp,
            headers=headers,
        )
        self._reader: Reader | None = None

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        """Yield batches of at most `size` records, from `position` on or from the start.

        Raises
        ------
        ConfigError
            No broker answers, the topic or a partition is not there, or the schema registry does
            not answer or refuses to.
        CheckpointError
            `position` is of another topic, or of partitions that are not read now.
        DataError
            The next record is no longer there.
        """
        topic = find_topic(self.name, self.client)
        offsets = self._offsets(topic, position)
        self.rows.begin(fresh=position is None)
        with (
            closing(self.rows),
            Reader(self.name, offsets, self.client, self.reset) as reader,
        ):
            self._reader = reader
            arrivals = InOrder(reader) if self.deterministic else reader
            max_age = inf if self.deterministic else self.max_age
            held: list[Any] = []
            since = quiet = time.monotonic()
            nap, longest = NAPS
            last = _position(topic, arrivals.offsets)
            if position is None or "start" in position:
                last = {**last, "start": self.start}  # until something was read
            yield Batch(pl.DataFrame(), [], last)
            while True:
                # A full batch waits where its schemas cannot be had.
                new = arrivals.poll(size - len(held)) if len(held) < size else []
                now = time.monotonic()
                if new:
                    since = since if held else now
                    held += new
                    nap = NAPS[0]
                due = held and (len(held) == size or now - since >= max_age)
                if due and self.rows.ready(held):
                    last = _position(topic, arrivals.offsets)
                    yield self.rows.batch(held, last)
                    held, quiet = [], time.monotonic()
                elif now - quiet >= TICK:
                    yield Batch(pl.DataFrame(), [], last)
                    quiet = time.monotonic()
                elif not new:
                    time.sleep(nap)
                    nap = min(2 * nap, longest)

    @property
    def total(self) -> int | None:
        """Not known: a topic goes on."""
        return None

    def saved(self, position: Position) -> None:
        """Commit the offsets of a checkpoint to the group, if the client has one."""
        if self._reader is not None:
            self._reader.commit({int(number): n for number, n in position["offsets"].items()})

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return the partitions to be read, for a run of each.

        Raises
        ------
        ConfigError
            No broker answers, or the topic or a partition is not there.
        """
        wanted = self._wanted(find_topic(self.name, self.client))
        return {f"partition-{number}": {"partitions": [number]} for number in wanted}

    def _offsets(self, topic: Topic, position: Position | None) -> dict[int, int | Place]:
        """Return where to begin in each partition that is to be read."""
        wanted = self._wanted(topic)
        if position is not None:
            topic.check(position)
        if position is None or position.get("start", self.start) != self.start:
            return dict.fromkeys(wanted, self.start)
        found = {int(number): offset for number, offset in position["offsets"].items()}
        if not found.keys() <= set(wanted):
            raise CheckpointError(
                f"{self.name}: the checkpoint was made of partitions {_listed(found)}, and this "
                f"run reads {_listed(wanted)}: read the same, or choose another directory"
            )
        # A partition that was added since has been read by nobody.
        return {number: found.get(number, "earliest") for number in wanted}

    def _wanted(self, topic: Topic) -> list[int]:
        known = range(topic.partitions)
        if self.partitions is not None:
            wanted = sorted(set(self.partitions))
        else:
            wanted = [n for n in known if self.workers is None or n % self.workers == self.worker]
        if not wanted or not set(wanted) <= set(known):
            what = f"partitions {_listed(wanted)}" if wanted else f"worker {self.worker} gets none"
            raise ConfigError(f"{what}: topic {self.name!r} has partitions {_listed(known)}")
        return wanted


def _position(topic: Topic, offsets: dict[int, int]) -> Position:
    return {**topic.identity(), "offsets": {str(n): offsets[n] for n in sorted(offsets)}}


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
