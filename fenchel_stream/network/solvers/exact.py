"""The X-sub-problems (14)-(16), solved to a tolerance.

Training takes only a few steps of `x_update` for each sub-problem. The functions here repeat the
steps until they converge. Each step is extrapolated: with ``q = mu / (mu + M)`` it begins at
``S + (1 - sqrt q) / (1 + sqrt q) (S - S_before)``. For nonlinear activations there is no proof that
extrapolation converges. Therefore a step that raises the objective is undone, and taken again
without extrapolation. Without extrapolation a step never raises the objective.
"""

from __future__ import annotations

from math import sqrt

from fenchel_stream.network.activations import ACTIVATIONS, Activation
from fenchel_stream.network.arrays import Array, with_ones
from fenchel_stream.network.layers import Layer
from fenchel_stream.network.losses import LOSSES
from fenchel_stream.network.solvers.terms import OutputTerm, Term
from fenchel_stream.network.solvers.w_update import DENSE
from fenchel_stream.network.solvers.x_update import x_update


def solve_x(
    term: Term,
    activation: Activation,
    mu: float,
    u: Array,
    w: Array,
    tolerance: float = 1e-8,
    iterations: int = 10_000,
    layer: Layer = DENSE,
) -> Array:
    """Return the minimiser ``Z`` of ``h(Z W^T + b) + mu (F(Z) - <U, Z>)``.

    Parameters
    ----------
    term
        The function ``h``.
    activation
        The activation of the layer below; ``F`` is a function of its pair.
    mu
        Weight lambda of the layer below.
    u
        Pre-activation of the layer below (m x q), where the search begins.
    w
        Weights of the layer above, biases first.
    tolerance
        Stop when no pre-activation moves by more than this, relative to the largest of them.
    iterations
        The largest number of steps.
    layer
        The layer above.
    """
    m = float(activation.curvature * term.curvature * layer.norm_bound(w[:, 1:]))
    root = sqrt(mu / (mu + m))
    momentum = (1.0 - root) / (1.0 + root)

    def value(s: Array, out: Array) -> float:
        z = activation.phi(s)
        return float(term.value(out) + mu * (activation.primal(z) - u * z).sum())

    s = before = u
    lowest = value(s, layer.forward(with_ones(activation.phi(s)), w))
    for _ in range(iterations):
        start = s + momentum * (s - before)
        a = with_ones(activation.phi(start))
        new, _, out = x_update(term, activation, mu, u, start, a, w, layer.forward(a, w), 1, layer)
        reached = value(new, out)
        if reached > lowest and before is not s:
            before = s
            continue
        moved = float(abs(new - start).max())
        before, s, lowest = s, new, min(reached, lowest)
        if moved <= tolerance * (1.0 + float(abs(s).max())):
            break
    return activation.phi(s)


def nonnegative_least_squares(
    y: Array, u: Array, w: Array, mu: float, tolerance: float = 1e-8
) -> Array:
    """Return the minimiser of (15), the X-sub-problem of ReLU below squared error.

    For each row it is the nonnegative least-squares problem
    ``min_{Z >= 0} ||[1, Z] W^T - Y||^2 / 2 + mu ||Z - U||^2 / 2``.

    Parameters
    ----------
    y
        Targets (m x p).
    u
        Pre-activation of the layer below (m x q).
    w
        Weights of the output layer (p x (1 + q)), biases first.
    mu
        Weight lambda of the layer below, positive.
    tolerance
        See `solve_x`.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.solvers import nonnegative_least_squares
    >>> w = np.array([[0.0, 1.0, 1.0]])
    >>> y, u = np.array([[3.0]]), np.array([[0.0, -5.0]])
    >>> nonnegative_least_squares(y, u, w, mu=1.0).round(6).tolist()
    [[1.5, 0.0]]
    """
    term = OutputTerm(LOSSES["squared_error"], y)
    return solve_x(term, ACTIVATIONS["relu"], mu, u, w, tolerance)


def cross_entropy_features(
    y: Array, u: Array, w: Array, mu: float, tolerance: float = 1e-8
) -> Array:
    """Return the minimiser of (16), the X-sub-problem of ReLU below softmax cross-entropy.

    For each row it is ``min_{Z >= 0} L(Y, [1, Z] W^T) + mu ||Z - U||^2 / 2``.

    Parameters
    ----------
    y
        Probabilities of the classes (m x p).
    u, w, mu, tolerance
        As for `nonnegative_least_squares`.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.solvers import cross_entropy_features
    >>> w = np.array([[0.0, 1.0], [0.0, 0.0]])
    >>> z = cross_entropy_features(np.array([[1.0, 0.0]]), np.zeros((1, 1)), w, mu=1.0)
    >>> bool(abs(1 / (1 + np.exp(z)) - z) < 1e-6)  # where the gradient is 0
    True
    """
    term = OutputTerm(LOSSES["cross_entropy"], y)
    return solve_x(term, ACTIVATIONS["relu"], mu, u, w, tolerance)
