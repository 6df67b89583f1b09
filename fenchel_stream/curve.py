"""How the metrics of a run went, in a bounded number of points."""

from __future__ import annotations

import polars as pl

from fenchel_stream.scores import Scores

MOST = 2000
"""At this many points every other one is dropped, so that an endless stream fits in memory."""


class Curve:
    """Windowed and cumulative metrics, one point about every `every` rows.

    Examples
    --------
    >>> from river import metrics
    >>> from fenchel_stream.curve import Curve
    >>> from fenchel_stream.scores import Scores
    >>> curve = Curve(every=100)
    >>> curve.follow(150, Scores(metrics.MAE(), window=100))
    >>> curve.to_frame().columns
    ['row', 'MAE', 'all MAE']
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.points: list[dict[str, float]] = []

    @property
    def end(self) -> float:
        """The row of the last point."""
        return self.points[-1]["row"] if self.points else 0

    def follow(self, row: int, scores: Scores) -> None:
        """Add a point if `every` rows have passed since the last."""
        if row - self.end >= self.every:
            self.add(row, scores)
            if len(self.points) >= MOST:
                self.points = self.points[1::2]
                self.every *= 2

    def add(self, row: int, scores: Scores) -> None:
        """Add a point."""
        total = {f"all {name}": value for name, value in scores.cumulative.items()}
        self.points.append({"row": row, **scores.windowed, **total})

    def to_frame(self) -> pl.DataFrame:
        """Return the points, one per row."""
        return pl.DataFrame(self.points, infer_schema_length=None)
