"""`BatchModel` lets any River model predict and learn batches; `Predictions` are its results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
from river import base, compose
from river.utils import dataframe

from fenchel_stream.errors import ConfigError, panics_as_errors
from fenchel_stream.evaluation.refusals import FATAL, refused_rows
from fenchel_stream.values import class_names


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model for some rows.

    Attributes
    ----------
    labels
        One item per row: a class, a number, or for several targets a dict; None where the model
        has no prediction yet.
    probabilities
        One dict per row from class to probability, empty where the model has no prediction yet;
        None if probabilities were not requested.
    """

    labels: list[Any]
    probabilities: list[dict[Any, float]] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> Predictions:
        chosen = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.labels[rows], chosen)

    def of_rows(self, numbers: list[int]) -> Predictions:
        """Return the predictions for the rows with these numbers."""
        chosen = self.probabilities and [self.probabilities[i] for i in numbers]
        return Predictions([self.labels[i] for i in numbers], chosen)


class BatchModel:
    """A River model or pipeline, with mini-batch methods or without.

    A model without mini-batch methods predicts or learns the rows of a batch one by one. Null
    features are then left out, as River models expect. A model whose mini-batch methods take only
    pandas frames, such as River's naive Bayes, is treated in the same way.

    Parameters
    ----------
    model
        A classifier or regressor, for one or several targets, or a pipeline that ends in one.
    probabilities
        Whether a classifier predicts the probabilities of all classes. Its labels are then the
        most probable classes.

    Examples
    --------
    >>> import polars as pl
    >>> from river import tree
    >>> from fenchel_stream.evaluation.batch_model import BatchModel
    >>> model = BatchModel(tree.HoeffdingTreeClassifier(), probabilities=True)
    >>> X, y = pl.DataFrame({"x": [1.0, 1.2, 9.0, 9.1]}), pl.Series(["few", "few", "many", "many"])
    >>> model.predict(X)[:1]
    Predictions(labels=[None], probabilities=[{}])
    >>> model.learn(X, y)
    >>> model.predict(X).labels
    ['few', 'few', 'many', 'many']
    """

    def __init__(self, model: base.Estimator, *, probabilities: bool = False) -> None:
        self.model: Any = model
        self.classifies = isinstance(self.last, base.Classifier)
        self.probabilities = self.classifies and probabilities
        self.in_batches = _learns_batches(model) and _predicts_batches(self.last)

    @property
    def last(self) -> Any:
        """The model itself, or the last model of a pipeline."""
        last = self.model
        while isinstance(last, compose.Pipeline):
            last = last[-1]
        return last

    @panics_as_errors()
    def predict(self, X: Any, like: Any = "") -> Predictions:
        """Return the predictions of the model for the rows of `X`.

        Parameters
        ----------
        X
            Features (m x p), any eager narwhals frame.
        like
            A label of the same type as the classes. The columns of a frame of probabilities have
            names that are text, so that the classes 1 and ``"1"`` have the same name. The type of
            this label decides which of them is meant.

        Raises
        ------
        ConfigError
            Probabilities were requested, and the model has none.
        """
        try:
            if self.in_batches:
                return self._predict_batch(X, like)
            rows = _rows(X)
            if not self.probabilities:
                return Predictions([self.model.predict_one(x) for x in rows])
            return _most_probable([self.model.predict_proba_one(x) for x in rows])
        except NotImplementedError as error:
            raise ConfigError(
                f"{self.model} gives no probabilities; choose metrics that need none"
            ) from error

    @panics_as_errors()
    def learn(self, X: Any, y: Any) -> None:
        """Learn the rows of `X` with targets `y`."""
        if self.in_batches:
            self.model.learn_many(X, y)
            return
        for x, target in zip(_rows(X), to_list(y), strict=True):
            self.model.learn_one(x, target)

    def learn_willing(self, X: Any, y: Any) -> dict[int, str]:
        """Learn the rows that the model takes; return what it said of the others, by number.

        A mini-batch method that refuses a batch is called again for each row alone. If it has
        learnt a part of the batch before it raised its exception, it learns that part twice.
        """
        if not self.in_batches:
            pairs = list(zip(_rows(X), to_list(y), strict=True))
            return refused_rows(lambda n: self.model.learn_one(*pairs[n]), len(pairs))
        try:
            self.learn(X, y)
        except FATAL:
            raise
        except Exception:  # noqa: BLE001 - a model may be any code
            return refused_rows(
                lambda n: self.model.learn_many(rows_of(X, n, n + 1), rows_of(y, n, n + 1)), len(X)
            )
        return {}

    def _predict_batch(self, X: Any, like: Any) -> Predictions:
        if not self.probabilities:
            return Predictions(to_list(self.model.predict_many(X)) or [None] * len(X))
        frame = self.model.predict_proba_many(X)
        if not isinstance(frame, pl.DataFrame):
            frame = dataframe.into_frame(frame)
        # `FenchelClassifier` knows its classes. Other models give only their names.
        known = {} if _is_pandas(frame) else dict(_named_classes(self.last))
        classes = [known.get(name, _class(name, like)) for name in frame.columns]
        if not classes:
            return Predictions([None] * len(X), [{}] * len(X))
        values = frame.to_numpy()
        labels = [classes[i] for i in values.argmax(axis=1).tolist()]
        return Predictions(labels, [dict(zip(classes, p, strict=True)) for p in values.tolist()])


def to_list(data: Any) -> list[Any]:
    """Return a native series as a list, and a native frame as a list of dicts.

    Examples
    --------
    >>> import polars as pl
    >>> from fenchel_stream.evaluation.batch_model import to_list
    >>> to_list(pl.Series([1, 2])), to_list(pl.DataFrame({"a": [1, 2]}))
    ([1, 2], [{'a': 1}, {'a': 2}])
    """
    # Polars, which the runner uses, is not wrapped: wrapping takes longer than the conversion.
    if not isinstance(data, (pl.Series, pl.DataFrame)):
        data = nw.from_native(data, allow_series=True, eager_only=True)
    if isinstance(data, (pl.DataFrame, nw.DataFrame)):
        return list(data.iter_rows(named=True))
    items: list[Any] = data.to_list()
    return items


def rows_of(data: Any, start: int, stop: int | None) -> Any:
    """Return the rows from `start` to `stop` of a native series or frame."""
    return nw.from_native(data, allow_series=True, eager_only=True)[start:stop].to_native()


def _is_pandas(frame: Any) -> bool:
    return isinstance(frame, nw.DataFrame) and frame.implementation.is_pandas_like()


def _named_classes(model: Any) -> Iterable[tuple[str, Any]]:
    classes = list(getattr(model, "classes", ()))
    return zip(class_names(classes), classes, strict=True)


def _learns_batches(model: Any) -> bool:
    if isinstance(model, compose.Pipeline):
        return all(map(_learns_batches, model.steps.values()))
    if isinstance(model, compose.TransformerUnion):
        return all(map(_learns_batches, model.transformers.values()))
    wrapped = getattr(model, "_wrapped_model", None)
    return hasattr(model, "learn_many") and (wrapped is None or _learns_batches(wrapped))


def _predicts_batches(model: Any) -> bool:
    # The method that River's classifiers inherit takes only pandas frames. Naive Bayes inherits it.
    predict = getattr(type(model), "predict_many", None)
    return predict not in (None, base.MiniBatchClassifier.predict_many)


def _rows(X: Any) -> Iterable[dict[str, Any]]:
    for row in dataframe.into_frame(X).iter_rows(named=True):
        yield {name: value for name, value in row.items() if value is not None}


def _most_probable(probabilities: list[dict[Any, float]]) -> Predictions:
    labels = [max(p, key=p.__getitem__) if p else None for p in probabilities]
    return Predictions(labels, probabilities)


def _class(name: Any, like: Any) -> Any:
    """Return the class that a column name stands for, of the type of the label `like`."""
    if not isinstance(name, str) or not isinstance(like, (bool, int, float)):
        return name
    if name in ("False", "True"):
        return name == "True"
    try:
        return type(like)(name)
    except ValueError:
        return name
