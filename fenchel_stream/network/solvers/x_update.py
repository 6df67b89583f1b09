"""The X-step (14)-(16): ``min_Z  f(Z) + mu (F(Z) - <U, Z>)``.

``f(Z) = h(Z W^T + b)`` is the term of the layer above and ``U`` the fixed pre-activation of the
layer below. Bregman proximal gradient with kernel ``F`` is closed form for every activation when
it runs on the pre-activation ``S`` of ``Z``:

    ``Z = phi(S),      S <- (mu U + M S - grad f(Z)) / (mu + M)``

with ``M = sup phi' * curvature(h) * ||W||^2``, where ``||W||`` is the norm of the layer's map, an
upper bound of the curvature of ``f`` relative to ``F``. ``Z`` stays in the range of ``phi`` by
construction, no scalar equation is solved, and for ReLU it is projected gradient that keeps what
the projection cut off. The objective never rises, and it converges at the linear rate
``M / (mu + M)``.
"""

from __future__ import annotations

from fenchel_stream.network.activations import Activation
from fenchel_stream.network.arrays import Array
from fenchel_stream.network.layers import Layer
from fenchel_stream.network.solvers.terms import Term
from fenchel_stream.network.solvers.w_update import DENSE


def x_update(
    term: Term,
    activation: Activation,
    mu: float,
    u_below: Array,
    s: Array,
    a: Array,
    w: Array,
    u: Array,
    iterations: int,
    layer: Layer = DENSE,
) -> tuple[Array, Array, Array]:
    """Descend on the X-sub-problem from ``Z = phi(s)``.

    Parameters
    ----------
    term
        The function ``h`` of the layer above.
    activation
        ``phi``, of the layer below.
    mu
        Weight lambda of the layer below.
    u_below
        Pre-activation of the layer below (m x q).
    s
        Pre-activation of the current X-variable (m x q).
    a
        The current X-variable with its column of ones (m x (1 + q)).
    w, u
        Weights of the layer above and its pre-activation ``a w^T``.
    iterations
        Bregman proximal gradient steps.
    layer
        The layer above.

    Returns
    -------
    s, a, u
        The same for the new X-variable.
    """
    weights = w[:, 1:]
    m = activation.curvature * term.curvature * layer.norm_bound(weights)
    keep = m / (mu + m)
    weights = weights / (mu + m)
    # S = U + (S - U at the start, which fades) + the sum of the gradients from above. That sum is
    # kept behind a pooling, where it is several times smaller than before it.
    away = None if s is u_below else s - u_below
    core, _ = layer.reduced(a[:1])
    moved: Array = 0.0
    a = a + 0.0
    for _ in range(iterations):
        moved = keep * moved - core.adjoint(term.gradient(u), weights)
        s = u_below + layer.spread(moved)
        if away is not None:
            away = keep * away
            s = s + away
        a[..., 1:] = activation.phi(s)
        u = layer.forward(a, w)
    return s, a, u
