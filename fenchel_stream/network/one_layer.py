"""One layer as a convex regression (Appendix B): ``min_W B(Y, [1, X] W^T)``."""

from __future__ import annotations

from math import sqrt

from fenchel_stream.errors import DataError
from fenchel_stream.network.activations import Activation, get_activation
from fenchel_stream.network.arrays import Array, as_array, eye, with_ones
from fenchel_stream.network.solvers.inverse import inverse_spd


def fit_layer(
    X: Array,
    Y: Array,
    activation: str | Activation,
    tolerance: float = 1e-10,
    iterations: int = 100_000,
) -> Array:
    """Return the weights (outputs x (1 + inputs), biases first) with the least divergence.

    ``B`` is convex in ``W`` and 0 exactly where ``phi([1, X] W^T) = Y``, which squared error is
    not: a layer that made `Y` is found again, wherever the search begins. Its weights are unique
    if the rows that an output is not flat at span all inputs. Steps are those of the W-step,
    accelerated (Nesterov), and begun anew whenever they would climb.

    Parameters
    ----------
    X
        Inputs (m x inputs).
    Y
        Outputs (m x outputs), in the closed range of the activation.
    activation
        Its name, or one of your own.
    tolerance
        Stop when a step moves no weight by more than this.
    iterations
        Stop after so many, anyway.

    Raises
    ------
    DataError
        `Y` has values that the activation cannot give.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.one_layer import fit_layer
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> fit_layer(X, np.tanh(0.5 - 2 * X), "tanh").round(6).tolist()
    [[0.5, -2.0]]
    """
    pair = get_activation(activation)
    a = with_ones(X)
    y = as_array(Y, like=a)
    if not ((y >= pair.lower) & (y <= pair.upper)).all():
        raise DataError(
            f"the activation gives values between {pair.lower:g} and {pair.upper:g}; "
            f"Y has some between {float(y.min()):g} and {float(y.max()):g}"
        )
    gram = pair.curvature * (a.mT @ a)
    # Where inputs depend on each other; the metric of a step may always be larger.
    inverse = inverse_spd(gram + 1e-12 * float(gram.trace()) * eye(gram))
    w = start = (0.0 * y).mT @ a
    pace = 1.0
    for _ in range(iterations):
        step = ((pair.phi(a @ start.mT) - y).mT @ a) @ inverse
        new = start - step
        climbs = float(((start - new) * (new - w)).sum()) > 0.0
        faster = 1.0 if climbs else 0.5 * (1.0 + sqrt(1.0 + 4.0 * pace * pace))
        start = new if climbs else new + (pace - 1.0) / faster * (new - w)
        w, pace = new, faster
        if float(abs(step).max()) <= tolerance:
            break
    return w
