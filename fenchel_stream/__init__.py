"""Neural networks that learn streams by exact proximal block-coordinate steps.

`FenchelClassifier` and the regressors are River estimators, `LiftedNetwork` is one network alone,
and `evaluate` tests a model on a stream.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    # A name is imported when it is first used. The imports are slow, and the command line must
    # react to Ctrl-C before they begin.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
