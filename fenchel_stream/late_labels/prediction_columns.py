"""Converts predictions and labels to the columns of a frame, and back.

The join of late labels keeps predictions and labels in this form while they wait.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any

import polars as pl

from fenchel_stream.evaluation.batch_model import Predictions
from fenchel_stream.validation.row_check import Kind


class PredictionColumns:
    """Turns predictions into a frame that can be sliced, joined and stored, and turns it back.

    A class is stored as its number, so that the classes 1, ``"1"`` and True stay different.

    Parameters
    ----------
    kind
        ``"classification"``, ``"regression"`` or ``"multi-target"``.

    Attributes
    ----------
    classes
        Every class so far, at its number. Number 0 means no class.

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

    def encode(self, predictions: Predictions) -> pl.DataFrame:
        """Return one row per prediction; null where a row lacks a value."""
        if self.kind == "regression":
            return pl.DataFrame({"label": pl.Series(predictions.labels, dtype=pl.Float64)})
        if self.kind == "multi-target":
            rows = [label or {} for label in predictions.labels]
            names = dict.fromkeys(chain.from_iterable(rows))
            return pl.DataFrame(
                {"label": [label is not None for label in predictions.labels]}
                | {f"of {name}": _values(rows, name) for name in names}
            )
        columns = {"label": pl.Series(self._numbers(predictions.labels), dtype=pl.Int32)}
        if predictions.probabilities is not None:
            classes = list(dict.fromkeys(chain.from_iterable(predictions.probabilities)))
            # Says that the row has probabilities, even if it has none for any class.
            columns["asked"] = pl.Series([True]).new_from_index(0, len(predictions))
            for number, label in zip(self._numbers(classes), classes, strict=True):
                columns[f"of {number}"] = _values(predictions.probabilities, label)
        return pl.DataFrame(columns)

    def decode(self, frame: pl.DataFrame) -> Predictions:
        """Return the predictions of some rows of such frames.

        A column that is null in all rows may be absent.
        """
        labels = frame["label"].to_list() if "label" in frame.columns else [None] * frame.height
        if self.kind == "regression":
            return Predictions(labels)
        if self.kind == "multi-target":
            rows = _dicts(frame, str)
            pairs = zip(labels, rows, strict=True)
            return Predictions([row if label else None for label, row in pairs])
        labels = list(map(self.classes.__getitem__, labels))
        if "asked" not in frame.columns:
            return Predictions(labels)
        return Predictions(labels, _dicts(frame, lambda number: self.classes[int(number)]))

    def _numbers(self, labels: list[Any]) -> list[int]:
        """Return the numbers of classes; a class that is new gets the next number."""
        known = {(type(label), label): number for number, label in enumerate(self.classes)}
        typed = list(zip(map(type, labels), labels, strict=True))
        for pair in dict.fromkeys(typed):
            if pair not in known:
                known[pair] = len(self.classes)
                self.classes.append(pair[1])
        return list(map(known.__getitem__, typed))


def _values(rows: list[dict[Any, Any]], name: Any) -> pl.Series:
    return pl.Series(list(map(dict.get, rows, repeat(name))), dtype=pl.Float64)


def _dicts(frame: pl.DataFrame, to_key: Any) -> list[dict[Any, float]]:
    """Return the columns ``of ...`` as one dict per row, without nulls."""
    chosen = [column for column in frame.columns if column.startswith("of ")]
    keys = [to_key(column[3:]) for column in chosen]
    dicts = []
    for row in frame.select(chosen).rows() if chosen else repeat((), frame.height):
        pairs = zip(keys, row, strict=True)
        dicts.append({key: value for key, value in pairs if value is not None})
    return dicts
