"""`Curve`: the metrics of a run over time, in a bounded number of points."""

from __future__ import annotations

import polars as pl

from fenchel_stream.evaluation.scores import Scores

LIMIT = 2000
"""When there are this many points, every second one is dropped, so that memory is bounded."""


class Curve:
    """Windowed and cumulative metrics, one point about every `every` rows.

    When points are dropped, `every` doubles.

    Examples
    --------
    >>> from river import metrics
    >>> from fenchel_stream.evaluation.curve import Curve
    >>> from fenchel_stream.evaluation.scores import Scores
    >>> curve, scores = Curve(every=100), Scores(metrics.MAE(), window=100)
    >>> curve.follow(150, scores)
    >>> curve.to_frame(200, scores)["row"].to_list()
    [150, 200]
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.points: list[dict[str, float]] = []

    @property
    def end(self) -> float:
        """The number of rows at the last point; 0 without points."""
        return self.points[-1]["row"] if self.points else 0

    def follow(self, row: int, scores: Scores) -> None:
        """Add a point for `row` learnt rows if `every` rows have passed since the last point."""
        if row - self.end >= self.every:
            self.points.append(_point(row, scores))
            if len(self.points) >= LIMIT:
                self.points = self.points[1::2]
                self.every *= 2

    def to_frame(self, row: int, scores: Scores) -> pl.DataFrame:
        """Return the points as rows of a frame, with a last point at `row` learnt rows."""
        last = [_point(row, scores)] if row > self.end else []
        return pl.DataFrame([*self.points, *last], infer_schema_length=None)


def _point(row: int, scores: Scores) -> dict[str, float]:
    cumulative = {f"all {name}": value for name, value in scores.cumulative.items()}
    return {"row": row, **scores.windowed, **cumulative}
