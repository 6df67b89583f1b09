"""Algorithm 1: all data at once, block after block, until the objective no longer falls.

Without batches there is no proximal term, and the X-variables are kept from one sweep over the
blocks to the next. The objective is the Lagrange relaxation (7)

    ``L(Y, U_L) + sum_l lam_l B(X_{l+1}, U_l) + sum_l rho_l ||W_l||^2``.

Training a network is a problem with the constraints ``B_l(X_{l+1}, U_l) = 0`` (6). The relaxation
replaces each constraint by the penalty ``lam_l B_l``. For any ``lam >= 0``, its global minimum
``G(lam)`` is never above the minimum of the training problem (8). The dual problem (9) looks for
the largest of these bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import Array, as_array
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.problem import Problem


@dataclass(frozen=True)
class LagrangeBound:
    """The relaxation (7) at a point.

    Attributes
    ----------
    stationary
        The value of the relaxation. Where block descent has converged, no step in a single block
        can lower this value. It is never below ``G(lam)``. With hidden layers it may be above
        ``G(lam)``, because the relaxation is convex in each block but not in all blocks together.
        Then it only estimates the bound.
    certified
        A value that is certainly not above ``G(lam)``, and so not above the minimum of the training
        problem. Without a hidden layer the relaxation is strongly convex, and the value is
        ``stationary - ||gradient||^2 / (4 rho)``, which approaches ``G(lam)`` as block descent
        converges. With hidden layers the value is 0, because no term is negative.
    feasible
        The value of the training problem at the feed-forward point of the weights, which is never
        below its minimum: ``certified <= G(lam) <= minimum <= feasible``.
    residuals
        ``B_l`` of each hidden layer, summed over samples and units: the violation of its
        constraint.
    """

    stationary: float
    certified: float
    feasible: float
    residuals: list[float]

    @classmethod
    def at(cls, descent: Descent) -> LagrangeBound:
        """Return the bound at the current point of a descent without proximal terms."""
        problem, now = descent.problem, descent.now
        stationary = float(descent.objective(now))
        certified = 0.0
        if len(now.weights) == 1:
            gap = float((_gradient(descent) ** 2).sum()) / (4.0 * problem.rho[0])
            certified = max(stationary - gap, 0.0)
        feasible = float(descent.objective(problem.forward(now.weights, now.inputs[0])))
        residuals = [float(b) for b in descent.divergences(now)]
        return cls(stationary, certified, feasible, residuals)


def _gradient(descent: Descent) -> Array:
    """Return the gradient of (7) in the weights of the only layer."""
    problem, now = descent.problem, descent.now
    gradient = problem.loss.gradient(descent.targets, now.outputs[0])
    w = now.weights[0]
    return problem.layers[0].weight_gradient(gradient, now.inputs[0]) + 2.0 * problem.rho[0] * w


@dataclass(frozen=True)
class FitReport:
    """The objectives during a fit, and the point where the fit ended.

    Attributes
    ----------
    objectives
        Values of (7) at the feed-forward point and after every sweep; they never rise.
    converged
        Whether the last sweep lowered the objective by no more than the tolerance.
    lam
        The multipliers of the hidden layers.
    bound
        The bound at the point where the fit ended.
    earlier
        With dual ascent, the fits for the earlier multipliers.
    """

    objectives: list[float]
    converged: bool
    lam: tuple[float, ...]
    bound: LagrangeBound
    earlier: tuple[FitReport, ...] = ()


def fit(
    problem: Problem,
    weights: Sequence[Array],
    a: Array,
    y: Array,
    tolerance: float,
    sweeps: int,
    ascents: int,
    ascent_step: float,
    progress: bool,
    on_sweep: Callable[[int, list[Array]], object],
) -> FitReport:
    """Fit weights to all data at once.

    `LiftedNetwork.fit` checks the data, calls this function, and stores the weights.

    Parameters
    ----------
    problem
        The problem of the network. Its gamma has no effect. The rho of every layer must be
        positive, because no other term bounds the weights.
    weights
        The initial weights.
    a, y
        Input with its column of ones, and targets.
    tolerance
        Stop when a sweep over all blocks lowers the objective by at most this part of its value.
    sweeps
        The largest number of sweeps for each fit.
    ascents
        Steps of dual ascent on the multipliers. After each fit ``lam_l`` grows by `ascent_step`
        times the mean of ``B_l`` over samples, and the next fit continues from the same point. At a
        global minimum that mean is a supergradient of the dual ``G``.
    ascent_step
        Length of those steps.
    progress
        Show a progress bar with the objective.
    on_sweep
        Called after every sweep, with the number of sweeps and the new weights.

    Raises
    ------
    ConfigError
        A rho is 0, or a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream import LiftedNetwork
    >>> X = np.linspace(-2, 2, 50)[:, None]
    >>> network = LiftedNetwork.dense([1, 20, 1], loss="squared_error", lam=1.0, rho=1e-3)
    >>> report = network.fit(X, X**2, sweeps=300, progress=False)
    >>> report.objectives[-1] < 0.1 * report.objectives[0]
    True
    """
    from tqdm import tqdm  # noqa: PLC0415 - only a fit needs it

    if not all(problem.rho):
        raise ConfigError(f"fit needs a positive rho for every layer; got {problem.rho!r}")
    if sweeps < 1 or ascents < 0 or not tolerance >= 0 or not ascent_step > 0:
        raise ConfigError(
            "sweeps must be at least 1, ascents and tolerance at least 0, and ascent_step positive"
        )
    problem = problem.relaxed()
    now = problem.forward(weights, a)
    targets = problem.loss.encode(as_array(y, like=a), now.outputs[-1])
    descent = Descent(problem, targets, now.copy(), now)
    reports: list[FitReport] = []
    done = 0
    with tqdm(total=sweeps * (1 + ascents), unit=" sweeps", disable=not progress) as bar:
        for ascent in range(1 + ascents):
            if ascent:
                residuals = zip(problem.lam, reports[-1].bound.residuals, strict=True)
                lam = tuple(old + ascent_step * b / len(a) for old, b in residuals)
                descent.problem = problem = replace(problem, lam=lam)
                now.metrics.clear()  # The metrics depend on the multipliers.
            objectives = [float(descent.objective(now))]
            converged = False
            while not converged and len(objectives) <= sweeps:
                for block in problem.schedule:
                    descent.move(block)
                objectives.append(float(descent.objective(now)))
                bar.set_postfix(objective=f"{objectives[-1]:.6g}", refresh=False)
                bar.update()
                done += 1
                on_sweep(done, now.weights)
                converged = objectives[-2] - objectives[-1] <= tolerance * abs(objectives[-2])
            bound = LagrangeBound.at(descent)
            reports.append(FitReport(objectives, converged, problem.lam, bound, tuple(reports)))
    return reports[-1]
