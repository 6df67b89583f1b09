"""The River estimators: neural networks that learn streams row by row or in batches."""

from fenchel_stream.estimators.base import FenchelEstimator
from fenchel_stream.estimators.classifier import FenchelClassifier
from fenchel_stream.estimators.ensemble import Ensemble
from fenchel_stream.estimators.regressor import FenchelMultiTargetRegressor, FenchelRegressor

__all__ = [
    "Ensemble",
    "FenchelClassifier",
    "FenchelEstimator",
    "FenchelMultiTargetRegressor",
    "FenchelRegressor",
]
