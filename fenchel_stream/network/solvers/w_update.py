"""The W-step (17)-(20): ``min_W  h(A W^T) + gamma ||W - W0||^2 + rho ||W||^2``.

If the curvature of ``h`` is at most ``c``, the matrix ``c A^T A + 2 (gamma + rho) I`` majorises the
Hessian of every row of ``W``. Therefore the step

    ``W <- W - grad (c A^T A + 2 (gamma + rho) I)^-1``

never raises the objective. It can be computed in two forms with the same result. The *primal* form
factorises this p x p matrix. In the *dual* form ``W = W~ + Q^T A`` with one row of ``Q`` per
sample, and

    ``Q <- (A A^T + tau I)^-1 (U - U~ - grad_U h / c),      U <- U~ + A A^T Q,``

where ``tau = 2 (gamma + rho) / c``, ``U~ = A W~^T`` and ``W~ = gamma W0 / (gamma + rho)`` is the
centre of both quadratic terms. An iteration then costs m^2 q operations and does not use ``W``.

In a convolution ``A`` is the unfolded input (11), which has far more rows than columns. Therefore
the primal form is used, which needs only the Gram matrix of ``A``.
"""

from __future__ import annotations

from dataclasses import dataclass

from fenchel_stream.network.arrays import Array, eye
from fenchel_stream.network.layers import Dense, Layer
from fenchel_stream.network.solvers.inverse import Factors, inverse_spd
from fenchel_stream.network.solvers.terms import Term

DENSE = Dense(0)
"""A dense layer of any size, which its weights determine."""


@dataclass(slots=True)
class ProximalMetric:
    """The factorised metric of a W-step, which stays valid until its input ``A`` changes.

    Attributes
    ----------
    layer
        The map from ``A`` to ``U``.
    a
        Layer input with its column of ones (m x p).
    gram
        ``A A^T`` in the dual form, ``A^T A`` in the primal form.
    inverse
        ``(gram + tau I)^-1``; for several ``tau``, a stack of inverses or their `Factors`.
    tau
        ``2 (gamma + rho) / c``.
    shrink
        ``gamma / (gamma + rho)``: the centre of the two quadratic terms is ``shrink W0``. None if
        there is no decay.
    dual
        Whether the step has the dual form.
    """

    layer: Layer
    a: Array
    gram: Array
    inverse: Array | Factors
    tau: Array | float
    shrink: Array | float | None
    dual: bool

    @classmethod
    def of(
        cls,
        a: Array,
        weight: float | Array,
        decay: float = 0.0,
        dual: bool | None = None,
        layer: Layer = DENSE,
    ) -> ProximalMetric:
        """Factorise the metric of input `a`, in the cheaper form unless `dual` names one.

        Parameters
        ----------
        a
            Layer input with its column of ones (m x p).
        weight
            ``2 gamma / c``, or several (k x 1 x 1).
        decay
            ``2 rho / c``.
        dual
            For a dense layer: True for the dual form, False for the primal form, None for the
            cheaper one.
        layer
            The layer whose input `a` is.
        """
        tau = weight + decay
        shrink = weight / tau if decay else None
        layer, a = layer.reduced(a)
        if dual is None:
            dual = not layer.shares_weights and a.shape[0] <= a.shape[1]
        gram = a @ a.T if dual else layer.gram(a)
        return cls(layer, a, gram, inverse_spd(gram + tau * eye(gram)), tau, shrink, dual)


def w_update(
    term: Term, metric: ProximalMetric, w: Array, w0: Array, u: Array, iterations: int
) -> tuple[Array, Array]:
    """Descend on the W-sub-problem from `w`.

    Parameters
    ----------
    term
        The function ``h``.
    metric
        Factorised metric of the layer's input ``A``.
    w, w0
        Current weights, and the weights before this batch (q x p); or stacks of both.
    u
        ``A w^T`` (m x q), or a stack.
    iterations
        Number of steps, none of which raises the objective.

    Returns
    -------
    w, u
        The new weights and ``A w^T``.
    """
    a, gram, inverse = metric.a, metric.gram, metric.inverse
    scale = 1.0 / term.curvature
    if not metric.dual:
        centre = w0 if metric.shrink is None else metric.shrink * w0
        for _ in range(iterations):
            gradient = scale * metric.layer.weight_gradient(term.gradient(u), a)
            w = w - (inverse @ (gradient + metric.tau * (w - centre)).mT).mT
            u = metric.layer.forward(a, w)
        return w, u
    # The first step moves any w into the set W~ + Q^T A, so that its value is not needed.
    base = u if w is w0 else a @ w0.mT
    if metric.shrink is not None:
        base, w0 = metric.shrink * base, metric.shrink * w0
    for _ in range(iterations - 1):
        r = u - base - scale * term.gradient(u)
        # This is base + gram @ q, because (gram + tau I) q = r. It saves a product.
        u = base + r - metric.tau * (inverse @ r)
    q = inverse @ (u - base - scale * term.gradient(u))
    u = base + gram @ q
    w = q.mT @ a
    w += w0  # In place, which saves a pass over new memory.
    return w, u
