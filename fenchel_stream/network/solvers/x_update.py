"""The X-step (14)-(16): ``min_Z  f(Z) + mu (F(Z) - <U, Z>)``.

``f(Z) = h(Z W^T + b)`` is the term of the layer above and ``U`` the fixed pre-activation of the
layer below. A step of the Bregman proximal gradient method with the kernel ``F`` has a closed form
for every activation, if it moves the pre-activation ``S`` of ``Z``:

    ``Z = phi(S),      S <- (mu U + M S - grad f(Z)) / (mu + M)``

``M = sup phi' * curvature(h) * ||W||^2`` is an upper bound of the curvature of ``f`` relative to
``F``, and ``||W||`` is the norm of the layer's map. ``Z`` stays in the range of ``phi`` by
construction, and no scalar equation has to be solved. For ReLU, ``Z`` is the projection of ``S``,
and each step continues from ``S`` itself. The objective never rises, and converges at the linear
rate ``M / (mu + M)``.
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
        The pre-activation, the new X-variable with its column of ones, and the pre-activation of
        the layer above.
    """
    weights = w[:, 1:]
    m = activation.curvature * term.curvature * layer.norm_bound(weights)
    keep = m / (mu + m)
    weights = weights / (mu + m)
    # S is the sum of three parts: U, the first S - U, which shrinks in each step, and the gradients
    # from above. The gradients are summed in pooled images, which are smaller than the images.
    offset = None if s is u_below else s - u_below
    core, _ = layer.reduced(a[:1])
    gradients: Array = 0.0
    a = a + 0.0  # A copy, because the loop writes to it.
    for _ in range(iterations):
        gradients = keep * gradients - core.adjoint(term.gradient(u), weights)
        s = u_below + layer.spread(gradients)
        if offset is not None:
            offset = keep * offset
            s = s + offset
        a[..., 1:] = activation.phi(s)
        u = layer.forward(a, w)
    return s, a, u
