"""`Evaluation`: the metrics and the curve of a prequential evaluation, with a plot."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fenchel_stream.errors import ConfigError
from fenchel_stream.evaluation.scores import spell
from fenchel_stream.files import replace

MARK = "fenchel-stream"

MARKED: dict[str, dict[str, Any]] = {
    "eps": {"metadata": {"Creator": MARK}},
    "jpeg": {"pil_kwargs": {"comment": MARK}},
    "jpg": {"pil_kwargs": {"comment": MARK}},
    "pdf": {"metadata": {"Creator": MARK}},
    "png": {"metadata": {"Software": MARK}},
    "ps": {"metadata": {"Creator": MARK}},
    "svg": {"metadata": {"Creator": MARK}},
    "tif": {"pil_kwargs": {"software": MARK}},
    "tiff": {"pil_kwargs": {"software": MARK}},
    "webp": {"pil_kwargs": {"xmp": MARK.encode()}},
}
"""How a picture of each format says who has drawn it, so that the next run may replace it."""

_ENDS = 1 << 13  # bytes at each end of a picture among which the mark is


def is_plot(path: Path) -> bool:
    """Return whether a file is a picture that `Evaluation.save_plot` has drawn.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_ENDS)
        file.seek(max(file.seek(0, io.SEEK_END) - _ENDS, 0))
        return MARK.encode() in head or MARK.encode() in file.read(_ENDS)


@dataclass(frozen=True)
class Evaluation:
    """The result of a prequential evaluation.

    Attributes
    ----------
    metrics
        The value of each metric over all rows.
    curve
        About one row for every `window` rows of the stream. Its columns are the number of rows
        learnt (``row``), each metric over the last `window` of these rows (``Accuracy``), and each
        metric over all of them (``all Accuracy``).
    window
        Number of last rows for windowed metrics.
    rows
        Number of rows that were predicted.
    rejected
        Number of records that could not be read or had no target.
    seconds
        Duration, reading included.
    notes
        Further remarks, such as the number of labels without a prediction.

    Examples
    --------
    >>> from river import datasets, metrics, naive_bayes
    >>> from fenchel_stream import evaluate
    >>> data = datasets.Phishing()
    >>> result = evaluate(naive_bayes.GaussianNB(), data, metrics.Accuracy(), progress=False)
    >>> print(result)
    Accuracy 0.8948 over 1,250 rows, ... rows/s
    >>> result.curve.row(0, named=True)
    {'row': 1000, 'Accuracy': 0.892..., 'all Accuracy': 0.892...}
    """

    metrics: dict[str, float]
    curve: pl.DataFrame
    window: int
    rows: int
    rejected: int
    seconds: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        speed = self.rows / self.seconds if self.seconds else 0.0
        return self._line(f", {speed:,.0f} rows/s")

    @property
    def figures(self) -> str:
        """The metrics, the number of rows, and the notes, as text."""
        return self._line()

    def _line(self, speed: str = "") -> str:
        rejected = f", {self.rejected:,} rejected" if self.rejected else ""
        notes = "".join(f"; {note}" for note in self.notes)
        return f"{spell(self.metrics)} over {self.rows:,} rows{rejected}{speed}{notes}"

    def plot(self, ax: Any = None) -> Any:
        """Draw the curve of each metric, over the last `window` rows and over all rows.

        Parameters
        ----------
        ax
            The matplotlib axes to draw on, or a sequence of them for several metrics. If None, new
            axes are created.

        Returns
        -------
        axes
            The axes with the curves: one object, or a list of them for several metrics.

        Raises
        ------
        ConfigError
            matplotlib is not installed, or the number of axes is not that of the metrics.
        """
        _, pyplot, ticker = _matplotlib()
        names = list(self.metrics)
        if ax is None:
            _, ax = pyplot.subplots(len(names), sharex=True, **self._page())
        axes = list(np.ravel(ax))
        if len(axes) != len(names):
            raise ConfigError(f"{len(names)} metrics need the same number of axes, not {len(axes)}")
        marker = "." if len(self.curve) < 30 else ""
        for axis, name in zip(axes, names, strict=True):
            axis.set_ylabel(name)
            axis.grid(alpha=0.3)
            for column, label, style in (
                (name, f"last {self.window:,} rows", "-"),
                (f"all {name}", "all rows so far", "--"),
            ):
                if len(self.curve):
                    rows = self.curve["row"]
                    axis.plot(rows, self.curve[column], style, marker=marker, label=label)
        if len(self.curve):
            axes[0].legend()
        axes[-1].set_xlabel("rows learnt")
        axes[-1].xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        return axes[0] if len(axes) == 1 else axes

    def save_plot(self, path: Path) -> None:
        """Draw the curves into a file, whose suffix selects the format.

        A missing folder is created. A file of that name is replaced. Without a suffix the format is
        PNG.

        Raises
        ------
        ConfigError
            matplotlib is not installed or does not know the format, or the file cannot be written.
        """
        figure, _, _ = _matplotlib()
        page = figure.Figure(**self._page())
        self.plot(page.subplots(len(self.metrics), sharex=True))
        try:
            picture = io.BytesIO()
            form = path.suffix[1:].lower() or "png"
            page.savefig(picture, format=form, dpi=150, **MARKED.get(form, {}))
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path if path.suffix else path.with_suffix(".png"), picture.getvalue())
        except (OSError, ValueError) as error:
            raise ConfigError(f"plot {path}: {error}") from error

    def _page(self) -> dict[str, Any]:
        return {"figsize": (7.0, 0.6 + 2.7 * len(self.metrics)), "layout": "constrained"}


def _matplotlib() -> tuple[Any, Any, Any]:
    try:
        from matplotlib import figure, pyplot, ticker  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install fenchel-stream[plots]") from error
    return figure, pyplot, ticker
