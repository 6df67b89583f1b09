"""Neural networks that learn streams by exact proximal block-coordinate steps.

`FenchelClassifier` and the regressors are River estimators, `LiftedNetwork` is one network alone,
and `evaluate` tests a model on a stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fenchel_stream.lazy import lazy_names

if TYPE_CHECKING:
    from fenchel_stream.estimators.classifier import FenchelClassifier
    from fenchel_stream.estimators.regressor import FenchelMultiTargetRegressor, FenchelRegressor
    from fenchel_stream.evaluation.evaluate import evaluate
    from fenchel_stream.network.lifted_network import LiftedNetwork

__version__ = "0.1.0"

__all__ = [
    "FenchelClassifier",
    "FenchelMultiTargetRegressor",
    "FenchelRegressor",
    "LiftedNetwork",
    "evaluate",
]

_MODULES = {
    "FenchelClassifier": "estimators.classifier",
    "FenchelMultiTargetRegressor": "estimators.regressor",
    "FenchelRegressor": "estimators.regressor",
    "LiftedNetwork": "network.lifted_network",
    "evaluate": "evaluation.evaluate",
}


__getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
