"""What a run does with rejected records: it counts, logs, stores and limits them."""

from __future__ import annotations

import json
import logging
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.evaluation.refusals import Refusal
from fenchel_stream.streams.sink import Sink
from fenchel_stream.streams.source import RAW_LIMIT, Batch, Reject
from fenchel_stream.validation.row_check import reject_row

log = logging.getLogger(__name__)

MIN_RECORDS = 100
"""`max_error_rate` is applied from this number of records on, because one bad row of three says
little about a stream. A rate of 0 is applied from the first record on."""


def letter_of(reject: Reject) -> dict[str, str]:
    r"""Return the dead letter of a reject: the record, its place, and why it was set aside.

    The field ``raw`` is the text of the record. If its bytes are not UTF-8, the field ``base64``
    holds them.

    Examples
    --------
    >>> from fenchel_stream.runner.dead_letters import letter_of
    >>> from fenchel_stream.streams.source import Reject
    >>> letter_of(Reject("t:0:7", "invalid_utf8", "?", original=b"\xff", key=b"k"))
    {'where': 't:0:7', 'reason': 'invalid_utf8', 'raw': '?', 'detail': '', 'base64': '/w==',
     'key': 'k'}
    """
    letter = {name: getattr(reject, name) for name in ("where", "reason", "raw", "detail")}
    if reject.original is not None:
        try:
            letter["raw"] = reject.original.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            letter["base64"] = b64encode(reject.original).decode()
    if reject.key is not None:
        letter["key"] = reject.key.decode("utf-8", "backslashreplace")
    return letter


def refused_record(batch: Batch, refusal: Refusal) -> Reject:
    """Return the reject of a row that the model refuses.

    It holds the record, if that is one of the batch. Otherwise the row has waited for its label,
    and the reject holds the features and the target with which it waited.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.evaluation.refusals import Refusal
    >>> from fenchel_stream.runner.dead_letters import refused_record
    >>> from fenchel_stream.streams import Batch
    >>> batch = Batch(pl.DataFrame({"x": [9.0], "y": [0]}), ["a.csv:7"], {})
    >>> refused_record(batch, Refusal("a.csv:2", {"x": 1.0, "y": 2}, "no such class")).raw
    '{"x": 1.0, "y": 2}'
    """
    if refusal.where in batch.where:
        number = batch.where.index(refusal.where)
        return reject_row(batch, number, "refused", refusal.detail)
    raw = json.dumps(refusal.row, default=str, skipkeys=True)[:RAW_LIMIT]
    return Reject(refusal.where, "refused", raw, refusal.detail)


@dataclass
class _Window:
    """How many rejects of one reason were logged and suppressed since `start`."""

    start: float
    logged: int = 0
    suppressed: int = 0


class RejectLog:
    """Counts, logs, stores and limits the records from which a run cannot learn.

    Parameters
    ----------
    sink
        Gets one dead letter for each reject, see `letter_of`. None: no dead letters are written.
    max_error_rate
        Largest share of rejected records, from 0 to 1, of all records so far. It is applied from
        the 100th record on. With 0 the first reject ends the run.
    per_reason, interval
        At most `per_reason` rejects of one reason are logged in `interval` seconds. The number of
        the others is logged afterwards.
    clock
        Function that returns a time in seconds, which never goes back.

    Attributes
    ----------
    counts
        Number of rejected records by reason. A resumed run restores it from the checkpoint.
    accepted
        Number of records that were not rejected. A resumed run restores it too.

    Examples
    --------
    >>> from fenchel_stream.runner.dead_letters import RejectLog
    >>> from fenchel_stream.streams.source import Reject
    >>> rejects = RejectLog(max_error_rate=0.1)
    >>> rejects.record([Reject("flights.csv:17", "ragged", "1,2")], accepted=127)
    >>> rejects.counts["ragged"], rejects.accepted
    (1, 127)
    """

    def __init__(
        self,
        sink: Sink | None = None,
        *,
        max_error_rate: float = 1.0,
        per_reason: int = 5,
        interval: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= max_error_rate <= 1:
            raise ConfigError(f"max_error_rate: {max_error_rate} is not between 0 and 1")
        self.sink = sink
        self.max_error_rate = max_error_rate
        self.per_reason = per_reason
        self.interval = interval
        self.clock = clock
        self.counts: Counter[str] = Counter()
        self.accepted = 0
        self._windows: dict[str, _Window] = {}

    def record(self, rejects: Sequence[Reject], accepted: int) -> None:
        """Take the rejects of one batch and the number of its accepted records.

        Raises
        ------
        DataError
            More than `max_error_rate` of the records so far were rejected. The dead letters have
            been written nevertheless.
        """
        self.accepted += accepted
        if not rejects:
            return
        for reject in rejects:
            self.counts[reject.reason] += 1
            self._log(reject)
        if self.sink is not None:
            self.sink.write(map(letter_of, rejects))
        self._check_rate(rejects[-1])

    def close(self) -> None:
        """Log how many rejects were suppressed. The sink stays open."""
        for reason in self._windows:
            self._log_suppressed(reason)
        self._windows.clear()

    def _log(self, reject: Reject) -> None:
        now = self.clock()
        window = self._windows.get(reject.reason)
        if window is None or now - window.start >= self.interval:
            self._log_suppressed(reject.reason)
            window = self._windows[reject.reason] = _Window(now)
        if window.logged < self.per_reason:
            window.logged += 1
            detail = f" ({reject.detail})" if reject.detail else ""
            log.warning("%s: rejected as %s%s", reject.where, reject.reason, detail)
        else:
            window.suppressed += 1

    def _log_suppressed(self, reason: str) -> None:
        window = self._windows.get(reason)
        if window is not None and window.suppressed:
            log.warning("%d more rejected as %s (suppressed)", window.suppressed, reason)

    def _check_rate(self, last: Reject) -> None:
        rejected = self.counts.total()
        records = rejected + self.accepted
        applies = records >= MIN_RECORDS or self.max_error_rate == 0
        if applies and rejected > self.max_error_rate * records:
            if self.sink is not None:
                self.sink.flush()
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.counts.most_common())
            raise DataError(
                f"{rejected} of {records} records were rejected ({reasons}), more than "
                f"max_error_rate = {self.max_error_rate:g} allows; the last one is {last.where}"
                + (f": {last.detail}" if last.detail else "")
            )
