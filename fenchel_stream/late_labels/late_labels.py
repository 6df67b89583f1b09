"""Labels that come later than their events, on a stream of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from fenchel_stream.errors import ConfigError
from fenchel_stream.evaluation.prequential import Prequential, Step
from fenchel_stream.late_labels.interleaved import Interleaved
from fenchel_stream.late_labels.join import LabelJoin
from fenchel_stream.late_labels.join_check import JoinCheck, KeyedCheckedRows
from fenchel_stream.late_labels.labels import Labels
from fenchel_stream.streams.source import Batch, Source
from fenchel_stream.validation.row_check import CheckedRows, Kind, RowCheck


class LateLabels(Labels):
    """Events are predicted when they come; they are scored and learnt when their labels come.

    Parameters
    ----------
    events, labels
        The two sources.
    target, kind, positive, one_hot, ignore
        As for `RowCheck`.
    key, time
        As for `JoinCheck`. These columns are not features.
    ttl, limit
        As for `LabelJoin`.

    Attributes
    ----------
    join
        The predictions and labels that wait for each other.

    Raises
    ------
    ConfigError
        A column has two roles, or a number is out of range.
    """

    def __init__(
        self,
        events: Source,
        labels: Source,
        target: str | Sequence[str],
        kind: Kind,
        *,
        key: str | Sequence[str] = (),
        time: str | None = None,
        ttl: float | None = None,
        limit: int = 100_000,
        positive: str | int | None = None,
        one_hot: Iterable[str] = (),
        ignore: Iterable[str] = (),
    ) -> None:
        keys = [key] if isinstance(key, str) else list(key)
        joining = {*keys, *([] if time is None else [time])}
        if shared := joining.intersection(one_hot):
            raise ConfigError(
                f"column {min(shared)!r} joins labels to events and cannot be a feature"
            )
        self.join = LabelJoin(kind, ttl=ttl, limit=limit)
        self._check = JoinCheck(
            RowCheck(target, kind, one_hot=one_hot, ignore={*ignore, *joining}, labelled=False),
            RowCheck(target, kind, positive=positive),
            keys,
            time,
        )
        self.source = Interleaved(events, labels, time)
        self.targets = self._check.checks["labels"].targets
        self.joining = joining

    def check(self, batch: Batch) -> KeyedCheckedRows:
        return self._check(batch)

    def step(self, test: Prequential, checked: CheckedRows) -> Step:
        """Predict events, or take labels; then score and learn the rows that have both."""
        if not isinstance(checked, KeyedCheckedRows):
            raise TypeError("LateLabels needs rows that its own check has returned")
        if checked.now is not None:
            self.join.expire(checked.now)
        if checked.stream == "events":
            predictions = test.predict(checked.X)
            matched = self.join.predicted(
                checked.keys, checked.times, checked.X, predictions, checked.where
            )
            return test.settle([matched] if len(matched.predictions) else [], predictions)
        matched = self.join.labelled(checked.keys, checked.times, checked.y, checked.where)
        return test.settle([matched] if len(matched.predictions) else [])

    def keys(self, batch: Batch, checked: CheckedRows) -> pl.Series | None:
        return checked.keys if isinstance(checked, KeyedCheckedRows) else None

    def resume(self) -> None:
        for stream, count in (("events", "predictions"), ("labels", "labels")):
            if self.join.counts[count]:
                self._check.resume(stream)

    def end(self, stopped: bool) -> None:
        for check in self._check.checks.values():
            if not stopped:
                check.first.end()
            check.end()

    @property
    def notes(self) -> list[str]:
        return [*self._check.checks["labels"].notes, str(self.join)]

    @property
    def state(self) -> Mapping[str, Any]:
        return {"join": self.join}

    @property
    def figures(self) -> Mapping[str, int]:
        return self.join.figures
