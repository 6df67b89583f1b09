"""Lifted networks, and the algorithms of the paper that train them.

`layers`, `activations` and `losses` hold the parts of a network. `solvers` holds the steps of one
block of variables, and `experts` the candidates and averages that predict together with a network.
Each name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fenchel_stream.lazy import lazy_names

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


__getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
