"""Any River model, asked and taught in batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
from river import base, compose
from river.utils import dataframe

from fenchel_stream.errors import ConfigError


@dataclass(frozen=True)
class Predictions:
    """What a model says about some rows.

    Attributes
    ----------
    labels
        One item per row: a class, a number, or for several targets a dict; None where the model
        has nothing to say yet.
    probabilities
        One dict per row from class to probability, empty where the model has nothing to say yet;
        None if they were not asked for.
    """

    labels: list[Any]
    probabilities: list[dict[Any, float]] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> Predictions:
        chosen = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.labels[rows], chosen)

    def of_rows(self, numbers: list[int]) -> Predictions:
        """Return the predictions of some of the rows."""
        chosen = self.probabilities and [self.probabilities[i] for i in numbers]
        return Predictions([self.labels[i] for i in numbers], chosen)


class BatchModel:
    """A River model or pipeline, with mini-batch methods or without.

    Without them the rows of a batch are predicted, or learnt, one by one; null features are left
    out, as River models expect it. The same goes for models whose mini-batch methods take only
    pandas frames, which are River's naive Bayes.

    Parameters
    ----------
    model
        A classifier or regressor, for one or several targets, or a pipeline that ends in one.
    probabilities
        Ask a classifier for the probabilities of all classes; labels are then the most probable.

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
        """The model itself, or what its pipeline ends in."""
        last = self.model
        while isinstance(last, compose.Pipeline):
            last = last[-1]
        return last

    def predict(self, X: Any, like: Any = "") -> Predictions:
        """Return what the model says about the rows of `X`.

        Parameters
        ----------
        X
            Features (m x p), any eager narwhals frame.
        like
            A label of the type that a classifier's have. Frames name their columns by text, so
            that the classes 1 and ``"1"`` look the same in a frame of probabilities.

        Raises
        ------
        ConfigError
            Probabilities were asked for, and the model has none.
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

    def learn(self, X: Any, y: Any) -> None:
        """Learn the rows of `X` with targets `y`."""
        if self.in_batches:
            self.model.learn_many(X, y)
            return
        for x, target in zip(_rows(X), to_list(y), strict=True):
            self.model.learn_one(x, target)

    def _predict_batch(self, X: Any, like: Any) -> Predictions:
        if not self.probabilities:
            return Predictions(to_list(self.model.predict_many(X)) or [None] * len(X))
        frame = self.model.predict_proba_many(X)
        if not isinstance(frame, pl.DataFrame):
            frame = dataframe.into_frame(frame)
        # Our classifier knows its classes; of another only their names and one label are known.
        known = {str(label): label for label in getattr(self.last, "classes", ())}
        classes = [known.get(name, _class(name, like)) for name in frame.columns]
        if not classes:
            return Predictions([None] * len(X), [{}] * len(X))
        values = frame.to_numpy()
        labels = [classes[i] for i in values.argmax(axis=1).tolist()]
        return Predictions(labels, [dict(zip(classes, p, strict=True)) for p in values.tolist()])


def to_list(data: Any) -> list[Any]:
    """Return a native series as a list, and a native frame as a list of dicts."""
    # Polars is asked at once: it is the kind of the runner, and to wrap it takes longer.
    if not isinstance(data, (pl.Series, pl.DataFrame)):
        data = nw.from_native(data, allow_series=True, eager_only=True)
    if isinstance(data, (pl.DataFrame, nw.DataFrame)):
        return list(data.iter_rows(named=True))
    found: list[Any] = data.to_list()
    return found


def _learns_batches(part: Any) -> bool:
    if isinstance(part, compose.Pipeline):
        return all(map(_learns_batches, part.steps.values()))
    if isinstance(part, compose.TransformerUnion):
        return all(map(_learns_batches, part.transformers.values()))
    wrapped = getattr(part, "_wrapped_model", None)
    return hasattr(part, "learn_many") and (wrapped is None or _learns_batches(wrapped))


def _predicts_batches(model: Any) -> bool:
    # What a classifier inherits from River takes pandas frames only; so does naive Bayes.
    predict = getattr(type(model), "predict_many", None)
    return predict not in (None, base.MiniBatchClassifier.predict_many)


def _rows(X: Any) -> Iterable[dict[str, Any]]:
    for row in dataframe.into_frame(X).iter_rows(named=True):
        yield {name: value for name, value in row.items() if value is not None}


def _most_probable(probabilities: list[dict[Any, float]]) -> Predictions:
    labels = [max(p, key=p.__getitem__) if p else None for p in probabilities]
    return Predictions(labels, probabilities)


def _class(name: Any, like: Any) -> Any:
    """Return the class that a column is named after."""
    if not isinstance(name, str) or not isinstance(like, (bool, int, float)):
        return name
    if name in ("False", "True"):
        return name == "True"
    try:
        return type(like)(name)
    except ValueError:
        return name
