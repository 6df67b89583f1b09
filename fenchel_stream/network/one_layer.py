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

    ``B`` is convex in ``W``, and 0 exactly where ``phi([1, X] W^T) = Y``. If a layer produced `Y`,
    its weights are therefore recovered from any start. The squared error between the activation and
    `Y` is not convex in ``W``, and may not recover them. The weights of an output are unique if the
    rows at which its activation is not flat span all inputs. The steps are those of the W-step with
    Nesterov's acceleration, which restarts where it would raise the objective.

    Parameters
    ----------
    X
        Inputs (m x inputs).
    Y
        Outputs (m x outputs), in the closed range of the activation.
    activation
        Name of an activation, or an `Activation`.
    tolerance
        Stop when a step moves no weight by more than this.
    iterations
        The largest number of steps.

    Raises
    ------
    DataError
        `Y` has values outside the range of the activation.

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
            f"the values of the activation lie between {pair.lower:g} and {pair.upper:g}; "
            f"Y has values between {float(y.min()):g} and {float(y.max()):g}"
        )
    gram = pair.curvature * (a.mT @ a)
    # The small multiple of the identity keeps the matrix invertible if inputs are linearly
    # dependent. The steps stay valid, because a metric may be larger than the curvature.
    inverse = inverse_spd(gram + 1e-12 * float(gram.trace()) * eye(gram))
    w = start = (0.0 * y).mT @ a
    t = 1.0
    for _ in range(iterations):
        step = ((pair.phi(a @ start.mT) - y).mT @ a) @ inverse
        new = start - step
        restart = float(((start - new) * (new - w)).sum()) > 0.0
        t_next = 1.0 if restart else 0.5 * (1.0 + sqrt(1.0 + 4.0 * t * t))
        start = new if restart else new + (t - 1.0) / t_next * (new - w)
        w, t = new, t_next
        if float(abs(step).max()) <= tolerance:
            break
    return w
