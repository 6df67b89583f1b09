"""The two convex sub-problems of block-coordinate descent, and the terms that they share."""

from fenchel_stream.network.solvers.exact import (
    cross_entropy_features,
    nonnegative_least_squares,
    solve_x,
)
from fenchel_stream.network.solvers.terms import HiddenTerm, OutputTerm, Term
from fenchel_stream.network.solvers.w_update import ProximalMetric, w_update
from fenchel_stream.network.solvers.x_update import x_update

__all__ = [
    "HiddenTerm",
    "OutputTerm",
    "ProximalMetric",
    "Term",
    "cross_entropy_features",
    "nonnegative_least_squares",
    "solve_x",
    "w_update",
    "x_update",
]
