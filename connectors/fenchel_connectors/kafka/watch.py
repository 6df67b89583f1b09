"""Watches whether the cluster of a topic answers, and whether the topic is still the same one.

kafka-python retries in silence: while a broker is away or a topic is gone, its consumer returns no
records and no error. A thread with a connection of its own therefore asks about the topic now and
then, without delaying the reader.
"""

from __future__ import annotations

import threading
from typing import Self

from fenchel_connectors.kafka.client import ClientOptions
from fenchel_connectors.kafka.topic import Topic, TopicFinder, UnknownTopicError
from fenchel_stream.errors import ConfigError, DataError, UnavailableError

RETRY = 0.5
"""Seconds until the next question while the cluster does not answer."""

GONE = 10.0
"""Seconds for which a cluster must not know a topic before the topic counts as deleted: a broker
that has just started may not know its topics for a moment."""

CLOSING = 2.0
"""Seconds that the last question may take when the watch ends."""


class Watch:
    """Asks about a topic in a thread of its own, from `__enter__` to `__exit__`.

    Parameters
    ----------
    name
        Of the topic.
    options
        Of the client; its ``metadata_max_age_ms`` is the time between two questions.
    known
        The topic is known from earlier: it counts as deleted only after `GONE` seconds.

    Attributes
    ----------
    topic
        The topic as it was described last; None before the first description.
    error
        Why the last question had no answer; None if it had one.
    """

    def __init__(self, name: str, options: ClientOptions, *, known: bool = False) -> None:
        self.topic: Topic | None = None
        self.error: ConfigError | None = None
        self.known = known
        self._first: Topic | None = None
        self._age = options.values["metadata_max_age_ms"] / 1000
        self._finder = TopicFinder(name, options)
        self._changed = threading.Condition()
        self._asked, self._answered = 0, -1  # numbers of the last question and the last answer
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"watch-{name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSING)

    def find(self) -> Topic:
        """Wait for the first answer, and return the topic.

        Raises
        ------
        UnavailableError
            No broker answers in time.
        ConfigError
            The topic does not exist, or the brokers refuse the user.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.topic or self.error)
        if self.error is not None:
            raise self.error
        if self.topic is None:
            raise UnavailableError(f"topic {self._finder.name!r} was not asked about")
        return self.topic

    def ask(self, seconds: float) -> None:
        """Ask at once, and wait at most so many seconds for the answer."""
        with self._changed:
            self._asked += 1
            question = self._asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._answered >= question, seconds)

    def check(self) -> None:
        """Raise the error of the last answer unless it passes, or DataError for another topic."""
        name, error = self._finder.name, self.error
        if isinstance(error, UnknownTopicError):
            raise DataError(
                f"topic {name!r} was deleted while it was read: make it again, and choose another "
                "checkpoint directory for its new records"
            )
        if error is not None and not isinstance(error, UnavailableError):
            raise error
        if self.topic and self._first and self.topic.difference(self._first.identity()):
            raise DataError(
                f"topic {name!r} was deleted and made again while it was read: its offsets mean "
                "other records now; choose another checkpoint directory for them"
            )

    def _run(self) -> None:
        unknown = 0.0  # seconds for which the topic has not been known
        with self._finder as finder:
            while not self._closing:
                question = self._asked
                topic, error = None, None
                try:
                    topic = finder.find()
                except ConfigError as raised:
                    error = raised
                unknown = unknown + RETRY if isinstance(error, UnknownTopicError) else 0.0
                if self.known and 0.0 < unknown < GONE:
                    error = UnavailableError(str(error))
                with self._changed:
                    self.topic, self.error = topic or self.topic, error
                    self._first = self._first or topic
                    self.known = self.known or topic is not None
                    self._answered = question
                    self._changed.notify_all()
                    pause = self._age if error is None else min(self._age, RETRY)
                    self._changed.wait_for(
                        lambda: self._closing or self._asked > self._answered, pause
                    )
