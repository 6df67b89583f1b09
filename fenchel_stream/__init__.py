"""Neural networks that learn streams by exact proximal block-coordinate steps."""

from fenchel_stream.classifier import FenchelClassifier
from fenchel_stream.network import LiftedNetwork
from fenchel_stream.regressor import FenchelMultiTargetRegressor, FenchelRegressor

__version__ = "0.1.0"

__all__ = [
    "FenchelClassifier",
    "FenchelMultiTargetRegressor",
    "FenchelRegressor",
    "LiftedNetwork",
]
