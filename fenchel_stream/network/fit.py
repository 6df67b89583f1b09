"""Algorithm 1: all data at once, block after block, until the objective no longer falls.

Without batches there is no proximal term to hold weights where they were, and the X-variables are
kept from one sweep over the blocks to the next. What falls is the Lagrange relaxation (7)

    ``L(Y, U_L) + sum_l lam_l B(X_{l+1}, U_l) + sum_l rho_l ||W_l||^2``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqdm import tqdm

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import Array, as_array
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.lagrangian import LagrangeBound

if TYPE_CHECKING:
    from fenchel_stream.network.lifted_network import LiftedNetwork


@dataclass(frozen=True)
class FitReport:
    """How a fit went.

    Attributes
    ----------
    objectives
        Of (7), at the feed-forward point and after every sweep; they never rise.
    converged
        Whether the last sweep lowered it by less than the tolerance.
    lam
        The multipliers of the hidden layers.
    bound
        The relaxation and its constraints where the fit ended.
    earlier
        With dual ascent, the fits for the multipliers before.
    """

    objectives: list[float]
    converged: bool
    lam: tuple[float, ...]
    bound: LagrangeBound
    earlier: tuple[FitReport, ...] = ()


def fit(
    network: LiftedNetwork,
    a: Array,
    y: Array,
    tolerance: float,
    sweeps: int,
    ascents: int,
    ascent_step: float,
    progress: bool,
    on_sweep: Callable[[int], object] | None,
) -> FitReport:
    """Fit a network to all data at once.

    Called as ``network.fit(X, Y, ...)``, which checks `X` and `Y` first.

    Parameters
    ----------
    network
        Its gamma plays no part, and the rho of every layer must be positive: nothing else holds
        the weights.
    a, y
        Input with its column of ones, and targets.
    tolerance
        Stop when a sweep over all blocks lowers the objective by a smaller part of its value.
    sweeps
        Stop after so many, anyway.
    ascents
        Steps of dual ascent on the multipliers. After each fit ``lam_l`` grows by `ascent_step`
        times the mean of ``B_l`` over samples, which is a supergradient of the dual ``G`` at a
        global minimum, and the next fit goes on from the same point. `sweeps` is for each fit.
    ascent_step
        Length of those steps.
    progress
        Show a progress bar with the objective.
    on_sweep
        Called after every sweep with the number done; the network has the new weights by then.

    Raises
    ------
    ConfigError
        A rho is 0, or a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream import LiftedNetwork
    >>> X = np.linspace(-2, 2, 50)[:, None]
    >>> settings = {"loss": "squared_error", "lam": 1.0, "rho": 1e-3}
    >>> network = LiftedNetwork.dense([1, 20, 1], **settings)
    >>> report = network.fit(X, X**2, sweeps=300, progress=False)
    >>> report.objectives[-1] < 0.1 * report.objectives[0]
    True
    """
    if not all(network.rho):
        raise ConfigError(f"fit needs a positive rho for every layer; got {network.rho!r}")
    if sweeps < 1 or ascents < 0 or not tolerance >= 0 or not ascent_step > 0:
        raise ConfigError(
            "sweeps is at least 1, ascents and tolerance at least 0, and ascent_step positive"
        )
    relaxed = network.relaxed()
    now = relaxed.feed_forward(a)
    targets = network.loss.encode(as_array(y, like=a), now.outputs[-1])
    descent = Descent(relaxed, targets, now.copy(), now)
    reports: list[FitReport] = []
    done = 0
    with tqdm(total=sweeps * (1 + ascents), unit=" sweeps", disable=not progress) as bar:
        for ascent in range(1 + ascents):
            if ascent:
                steps = [
                    ascent_step * residual / len(a) for residual in reports[-1].bound.residuals
                ]
                relaxed.lam = tuple(lam + s for lam, s in zip(relaxed.lam, steps, strict=True))
                now.metrics.clear()  # they depend on the multipliers
            objectives = [float(descent.objective(now))]
            converged = False
            while not converged and len(objectives) <= sweeps:
                for block in relaxed.schedule:
                    descent.move(block)
                objectives.append(float(descent.objective(now)))
                network.replace(now.weights)
                bar.set_postfix(objective=f"{objectives[-1]:.6g}", refresh=False)
                bar.update()
                done += 1
                if on_sweep is not None:
                    on_sweep(done)
                converged = objectives[-2] - objectives[-1] <= tolerance * abs(objectives[-2])
            bound = LagrangeBound.at(descent)
            reports.append(FitReport(objectives, converged, relaxed.lam, bound, tuple(reports)))
    network.replace(lam=relaxed.lam)
    return reports[-1]
