"""What the Lagrange relaxation says about the network that it relaxes, (6)-(9).

Training a network is a problem with the constraints ``B_l(X_{l+1}, U_l) = 0`` (6). The relaxation
(7) pays ``lam_l B_l`` instead, and its global minimum ``G(lam)`` is never above the value of the
problem (8), for any ``lam >= 0``; the best such bound is the dual problem (9).
"""

from __future__ import annotations

from dataclasses import dataclass

from fenchel_stream.network.arrays import Array
from fenchel_stream.network.descent import Descent


@dataclass(frozen=True)
class LagrangeBound:
    """The relaxation (7) at a point.

    Attributes
    ----------
    stationary
        Its value. Where block descent has converged it is a *stationary* value: no block alone
        can lower it. It is not below ``G(lam)``, but with hidden layers it may be above, as the
        relaxation is convex in each block and not in all of them. So it is an estimate of the
        bound and not a bound.
    certified
        A value that is certainly not above ``G(lam)``, hence neither above that of the training
        problem. Without a hidden layer the relaxation is strongly convex, and this is
        ``stationary - ||gradient||^2 / (4 rho)``, which block descent makes as close as one
        likes. With hidden layers it is 0, below which no term can fall.
    feasible
        The value of the training problem at the feed-forward point of the weights, which is never
        below its minimum: ``certified <= G(lam) <= minimum <= feasible``.
    residuals
        ``B_l`` of each hidden layer, summed over samples and units: how far its constraint is
        from being met.
    """

    stationary: float
    certified: float
    feasible: float
    residuals: list[float]

    @classmethod
    def at(cls, descent: Descent) -> LagrangeBound:
        """Return the bound where a descent without proximal terms has arrived."""
        network, now = descent.network, descent.now
        stationary = float(descent.objective(now))
        certified = 0.0
        if len(now.weights) == 1:
            gap = float((_gradient(descent) ** 2).sum()) / (4.0 * network.rho[0])
            certified = max(stationary - gap, 0.0)
        network.weights = list(now.weights)
        forward = network.feed_forward(now.inputs[0])
        feasible = float(descent.objective(forward))
        residuals = [float(b) for b in descent.divergences(now)]
        return cls(stationary, certified, feasible, residuals)


def _gradient(descent: Descent) -> Array:
    """Return the gradient of (7) in the weights of the only layer."""
    network, now = descent.network, descent.now
    gradient = network.loss.gradient(descent.targets, now.outputs[0])
    w = now.weights[0]
    return network.layers[0].weight_gradient(gradient, now.inputs[0]) + 2.0 * network.rho[0] * w
