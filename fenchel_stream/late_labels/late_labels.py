"""A run whose labels come later, on a stream of their own."""

from __future__ import annotations

from fenchel_stream.errors import ConfigError
from fenchel_stream.evaluation.prequential import Prequential, Step
from fenchel_stream.late_labels.interleaved import interleave
from fenchel_stream.late_labels.join import LabelJoin
from fenchel_stream.late_labels.join_check import CheckedPart, JoinCheck
from fenchel_stream.runner.config import Config
from fenchel_stream.streams.source import Batch, Source, open_source
from fenchel_stream.validation.row_check import RowCheck


class LateLabels:
    """Events are predicted when they come; they are scored and learnt when their labels come.

    Parameters
    ----------
    config
        With a table ``[labels]``.
    events
        The source of the events.

    Attributes
    ----------
    source
        Events and labels as one stream.
    check
        Of both.
    join
        What waits. It belongs to the state of a run.

    Raises
    ------
    ConfigError
        The source of labels cannot be opened, or a column has two parts to play.
    """

    def __init__(self, config: Config, events: Source) -> None:
        labels, source, features = config.labels, config.source, config.features
        if labels is None:
            raise ConfigError("labels: the configuration has no table [labels]")
        key = [labels.key] if isinstance(labels.key, str) else labels.key
        apart = {*key, labels.time} - {None}
        if twice := apart & {*features.one_hot}:
            raise ConfigError(
                f"column {min(map(str, twice))!r} joins labels to events and cannot be a feature"
            )
        self.join = LabelJoin(source.kind, ttl=labels.ttl, limit=labels.limit)
        self.check = JoinCheck(
            RowCheck(
                source.target,
                source.kind,
                one_hot=features.one_hot,
                ignore={*features.ignore, *map(str, apart)},
                labelled=False,
            ),
            RowCheck(source.target, source.kind, positive=source.positive),
            key,
            labels.time,
        )
        late = open_source(labels.source, **labels.options, **config.client(labels.source))
        self.source = interleave(events, late, self.check.when)

    def step(self, test: Prequential, batch: Batch, checked: CheckedPart) -> Step:
        """Predict events, or take labels; score and learn the rows that have both by now."""
        if (now := self.check.when(batch)) is not None:
            self.join.expire(now)
        if batch.part == "events":
            said = test.predict(checked.X)
            found = self.join.predicted(checked.keys, checked.times, checked.X, said)
            return test.settle([found] if len(found.said) else [], said)
        found = self.join.labelled(checked.keys, checked.times, checked.y)
        return test.settle([found] if len(found.said) else [])
