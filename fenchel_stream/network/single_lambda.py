"""Variable scaling (Appendix A): one lambda serves as well as one for each layer."""

from __future__ import annotations

from copy import copy
from math import sqrt

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import as_array, namespace
from fenchel_stream.network.lifted_network import LiftedNetwork


def with_single_lambda(network: LiftedNetwork, lam: float | None = None) -> LiftedNetwork:
    """Return an equivalent network that has the same lambda in every hidden layer.

    Where ``phi(s u) = s phi(u)`` for ``s > 0``, ``B(s v, s u) = s^2 B(v, u)``. So with

        ``X'_{l+1} = s_l X_{l+1},    s_l = sqrt(lam_l / lam)``

    and weights scaled accordingly, ``lam B(X'_{l+1}, U'_l) = lam_l B(X_{l+1}, U_l)``. The
    relaxation (7) has the same value at corresponding points, and all predictions are the same.
    Where gamma is ``auto``, this holds for the network without its `Averages`, which are started
    again. The weight decay has the same value too; where this is impossible, an error is raised.
    The proximal terms are not scaled, so that the two networks take different steps.

    Parameters
    ----------
    network
        A network with the activation relu, leaky_relu or identity; it does not change.
    lam
        The single lambda, by default that of the first hidden layer.

    Raises
    ------
    ConfigError
        The activation is not homogeneous; or a layer with a positive rho has scaled inputs, so
        that its weights and its biases would need different rhos.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream import LiftedNetwork
    >>> from fenchel_stream.network.single_lambda import with_single_lambda
    >>> network = LiftedNetwork.dense([3, 5, 4, 2], lam=[0.1, 10.0], gamma=1.0)
    >>> single = with_single_lambda(network)
    >>> single.lam
    (0.1, 0.1)
    >>> X = np.ones((1, 3))
    >>> bool(np.allclose(single.predict(X), network.predict(X)))
    True
    """
    if not network.problem.activation.homogeneous:
        raise ConfigError(
            "variables can be scaled only with a homogeneous activation: relu, leaky_relu, identity"
        )
    if lam is None:
        lam = network.lam[0] if network.lam else 1.0
    scales = [1.0, *(sqrt(old / lam) for old in network.lam), 1.0]
    weights, rhos = [], []
    layers = zip(network.weights, network.rho, scales, scales[1:], strict=False)
    for number, (w, rho, below, above) in enumerate(layers):
        if rho and below != 1.0:
            raise ConfigError(
                f"layer {number} has rho {rho:g} and inputs that are scaled by {below:g}: "
                "its weights and its biases would need different rhos"
            )
        columns = namespace(w).ones_like(w[:1])
        columns[:, 1:] = 1.0 / below
        weights.append(w * as_array(columns, like=w) * above)
        rhos.append(rho / above**2)
    scaled = copy(network)
    scaled.replace(weights, (lam,) * len(network.lam), rhos)
    return scaled
