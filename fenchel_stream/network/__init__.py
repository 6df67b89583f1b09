"""Lifted networks, and the algorithms of the paper that train them.

`layers`, `activations` and `losses` hold the parts of a network. `solvers` holds the steps of one
block of variables, and `experts` the candidates and averages that predict together with a network.
Each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fenchel_stream.network.activations import Activation
    from fenchel_stream.network.fit import FitReport, LagrangeBound
    from fenchel_stream.network.lifted_network import LiftedNetwork
    from fenchel_stream.network.one_layer import fit_layer
    from fenchel_stream.network.problem import Problem
    from fenchel_stream.network.report import StepReport
    from fenchel_stream.network.single_lambda import with_single_lambda

__all__ = [
    "Activation",
    "FitReport",
    "LagrangeBound",
    "LiftedNetwork",
    "Problem",
    "StepReport",
    "fit_layer",
    "with_single_lambda",
]

_MODULES = {
    "Activation": "activations",
    "FitReport": "fit",
    "LagrangeBound": "fit",
    "LiftedNetwork": "lifted_network",
    "Problem": "problem",
    "StepReport": "report",
    "fit_layer": "one_layer",
    "with_single_lambda": "single_lambda",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
