"""Test-then-train evaluation: predictions are scored with River's metrics, then rows are learnt."""

from fenchel_stream.evaluation.batch_model import BatchModel, Predictions
from fenchel_stream.evaluation.curve import Curve
from fenchel_stream.evaluation.delayed_rows import DelayedRows
from fenchel_stream.evaluation.evaluate import evaluate
from fenchel_stream.evaluation.prequential import Prequential, Step
from fenchel_stream.evaluation.result import Evaluation
from fenchel_stream.evaluation.scores import Scores

__all__ = [
    "BatchModel",
    "Curve",
    "DelayedRows",
    "Evaluation",
    "Predictions",
    "Prequential",
    "Scores",
    "Step",
    "evaluate",
]
