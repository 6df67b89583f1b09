"""Predictions and labels as columns, and back."""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any

import polars as pl

from fenchel_stream.evaluation.batch_model import Predictions
from fenchel_stream.validation.row_check import Kind


class PredictionColumns:
    """Turns predictions into a frame that can be cut, joined and stored, and a part of it back.

    Classes stand there by number, so that 1, ``"1"`` and True stay what they are.

    Parameters
    ----------
    kind
        ``"classification"``, ``"regression"`` or ``"multi-target"``.

    Attributes
    ----------
    classes
        Every class so far, at its number; number 0 is no class.

    Examples
    --------
    >>> from fenchel_stream.evaluation.batch_model import Predictions
    >>> from fenchel_stream.late_labels.prediction_columns import PredictionColumns
    >>> columns = PredictionColumns("classification")
    >>> frame = columns.encode(Predictions(["b", "a"], [{"a": 0.2, "b": 0.8}, {"a": 1.0}]))
    >>> columns.decode(frame[1:])
    Predictions(labels=['a'], probabilities=[{'a': 1.0}])
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.classes: list[Any] = [None]

    def encode(self, said: Predictions) -> pl.DataFrame:
        """Return one row per prediction; what a row lacks is null."""
        if self.kind == "regression":
            return pl.DataFrame({"label": pl.Series(said.labels, dtype=pl.Float64)})
        if self.kind == "multi-target":
            rows = [label or {} for label in said.labels]
            names = dict.fromkeys(chain.from_iterable(rows))
            return pl.DataFrame(
                {"label": [label is not None for label in said.labels]}
                | {f"of {name}": _values(rows, name) for name in names}
            )
        columns = {"label": pl.Series(self._numbers(said.labels), dtype=pl.Int32)}
        if said.probabilities is not None:
            there = list(dict.fromkeys(chain.from_iterable(said.probabilities)))
            columns["asked"] = pl.Series([True]).new_from_index(0, len(said))
            for number, one in zip(self._numbers(there), there, strict=True):
                columns[f"of {number}"] = _values(said.probabilities, one)
        return pl.DataFrame(columns)

    def decode(self, frame: pl.DataFrame) -> Predictions:
        """Return the predictions that some rows of such frames stand for.

        A column that is null in all rows may be left out.
        """
        labels = frame["label"].to_list() if "label" in frame.columns else [None] * frame.height
        if self.kind == "regression":
            return Predictions(labels)
        if self.kind == "multi-target":
            rows = _dicts(frame, str)
            there = zip(labels, rows, strict=True)
            return Predictions([row if label else None for label, row in there])
        labels = list(map(self.classes.__getitem__, labels))
        if "asked" not in frame.columns:
            return Predictions(labels)
        return Predictions(labels, _dicts(frame, lambda number: self.classes[int(number)]))

    def _numbers(self, labels: list[Any]) -> list[int]:
        """Return the numbers of classes, new ones for those that are new."""
        known = {(type(label), label): number for number, label in enumerate(self.classes)}
        asked = list(zip(map(type, labels), labels, strict=True))
        for one in dict.fromkeys(asked):
            if one not in known:
                known[one] = len(self.classes)
                self.classes.append(one[1])
        return list(map(known.__getitem__, asked))


def _values(rows: list[dict[Any, Any]], name: Any) -> pl.Series:
    return pl.Series(list(map(dict.get, rows, repeat(name))), dtype=pl.Float64)


def _dicts(frame: pl.DataFrame, name: Any) -> list[dict[Any, float]]:
    """Return the columns ``of ...`` row by row, without what is null."""
    chosen = [column for column in frame.columns if column.startswith("of ")]
    keys = [name(column[3:]) for column in chosen]
    found = []
    for row in frame.select(chosen).rows() if chosen else repeat((), frame.height):
        pairs = zip(keys, row, strict=True)
        found.append({key: value for key, value in pairs if value is not None})
    return found
