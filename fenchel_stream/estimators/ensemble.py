"""`Ensemble`: networks that learn side by side, each in its own order of steps, and their average.

In the top-down order the output layer corrects the error of a batch before the hidden layers do.
Such a network follows a stream whose rows resemble the last ones. In the paper's order the hidden
layers move first. Such a network learns nonlinear shapes sooner. Neither order is better on all
streams. Therefore a network learns in each order, and the predictions of the two are averaged, with
weights that depend on their losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from math import isnan
from typing import Any

import numpy as np

from fenchel_stream.errors import ConfigError
from fenchel_stream.network.arrays import Array, as_array, stacked
from fenchel_stream.network.experts.averages import sample
from fenchel_stream.network.experts.shares import Experts
from fenchel_stream.network.form import check_experts, require
from fenchel_stream.network.lifted_network import LiftedNetwork
from fenchel_stream.network.report import StepReport

LAM = {"top_down": 0.01, "paper": 0.1}
"""Lambda for each order, if it is ``auto``."""

INNER = ((None, None), (2, 1))
"""Inner steps for X and for W, of the first and of the second network. The first network has the
defaults of `LiftedNetwork`. In the paper's order, more steps than these improved nothing."""


class Ensemble(Experts):
    """One network, or one in each order if order and gamma are ``auto``.

    Parameters
    ----------
    sizes
        Numbers of inputs, of units of each hidden layer, and of outputs.
    lam
        As in `LiftedNetwork`, or ``auto``: 0.01 top-down, and 0.1 in the paper's order.
    order
        As in `LiftedNetwork`, or ``auto``.
    gamma, rho, alternations
        As in `LiftedNetwork`.
    settings
        Further parameters of `LiftedNetwork.dense`.

    Attributes
    ----------
    networks
        The one or two networks.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.arrays import with_ones
    >>> from fenchel_stream.estimators.ensemble import Ensemble
    >>> ensemble = Ensemble((2, 8, 1), loss="squared_error")
    >>> [network.lam for network in ensemble.networks]
    [(0.01,), (0.1,)]
    >>> rng = np.random.default_rng(0)
    >>> for _ in range(300):
    ...     x = rng.normal(size=(1, 2)).astype("float32")
    ...     report = ensemble.step(with_ones(x), x[:, :1] * x[:, 1:])
    >>> round(float(ensemble.outputs(np.ones((1, 3), "float32"))[0, 0]))
    1
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        lam: float | Sequence[float] | str = "auto",
        gamma: float | Sequence[float] | str = "auto",
        rho: float | Sequence[float] = 0.0,
        alternations: int = 1,
        order: str = "auto",
        **settings: Any,
    ) -> None:
        tunable = _each(len(sizes) - 1, lam, gamma, rho, alternations, order)
        self.networks = [
            LiftedNetwork.dense(sizes, x_iterations=x, w_iterations=w, **values, **settings)
            for values, (x, w) in zip(tunable, INNER, strict=False)
        ]
        super().__init__(len(self.networks), like=self.networks[0].weights[-1])

    def check_restored(self) -> None:
        """Make sure that the networks fit each other, in a state that a checkpoint brought."""
        networks = self.networks
        require(type(networks) is list and 0 < len(networks) <= len(LAM), "networks")
        require(all(type(network) is LiftedNetwork for network in networks), "networks")
        forms = {(net.dtype, net.n_inputs, net.n_outputs) for net in networks}
        require(len(forms) == 1, "networks")
        check_experts(self, len(networks), networks[0].dtype, "ensemble")

    def configure(
        self,
        lam: float | Sequence[float] | str,
        gamma: float | Sequence[float] | str,
        rho: float | Sequence[float],
        alternations: int,
        order: str,
    ) -> None:
        """Set parameters that may change between two batches; an error changes nothing.

        If one of two networks is no longer needed, the one with the larger weight stays. If a
        second one is needed, it begins as a copy of the first.

        Raises
        ------
        ConfigError
            A value is out of range, or the number of values is not that of the layers.
        """
        tunable = _each(len(self.networks[0].weights), lam, gamma, rho, alternations, order)
        networks = self.networks
        if len(tunable) < len(networks):
            networks = [networks[int(self.expert_weights.argmax())]]
        elif len(tunable) > len(networks):
            networks = [networks[0], deepcopy(networks[0])]
        for network, values in zip(networks, tunable, strict=True):
            network.configure(**values)
        for network, (x, w) in zip(networks, INNER, strict=False):
            network.problem = network.problem.iterated(x, w)
        if len(networks) != len(self.networks):
            self.networks = networks
            super().__init__(len(networks), like=networks[0].weights[-1])

    def step(self, a: Array, y: Array) -> StepReport:
        """Learn a batch, and return the report of the first network.

        Parameters
        ----------
        a
            Input (m x (1 + inputs)), checked, with its column of ones.
        y
            Targets (m x outputs), NaN where one is missing: each network then takes its own
            output for the target.
        """
        # This one number tests all targets at little cost: it is NaN only if a target is NaN.
        missing = np.isnan(y) if isnan(np.vdot(y, y)) else None
        reports: list[StepReport] = []
        for network in self.networks:
            targets = y
            if missing is not None:
                targets = np.where(missing, network.outputs(a, averaged=False), y)
            # Without decay, the metric of layer 0 does not depend on lambda: networks share it.
            metrics = reports[0].after.metrics if reports and not network.rho[0] else {}
            reports.append(network.step(a, targets, metrics.get(0)))
        if len(reports) > 1:
            self._score(reports, missing)
        return reports[0]

    def _score(self, reports: list[StepReport], missing: Array | None) -> None:
        outputs = stacked([report.predicted for report in reports])
        targets, loss = reports[0].targets, self.networks[0].problem.loss
        if targets.ndim == 1:
            if missing is not None:
                outputs = np.where(missing[0], targets, outputs)
            self.score_row(loss.code, targets, outputs)
            return
        rows = sample(len(targets))
        targets = targets[rows]
        if missing is not None:
            present = as_array((~missing[rows]).astype(float), like=outputs)
            outputs = present * outputs + (1.0 - present) * targets
        self.score(loss, targets, outputs)

    def outputs(self, a: Array) -> Array:
        """Return the outputs for an input `a` with its column of ones (m x outputs)."""
        if len(self.networks) == 1:
            return self.networks[0].outputs(a)
        each = [network.outputs(a, like=self.expert_weights) for network in self.networks]
        return as_array(self.average(stacked(each)), like=a)

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self.networks[0].n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return self.networks[0].n_outputs

    def grow_inputs(self, columns: Array) -> None:
        """Append inputs with weights `columns` (units x k)."""
        for network in self.networks:
            network.grow_inputs(columns)

    def grow_outputs(self, count: int) -> None:
        """Append `count` outputs whose weights are 0."""
        for network in self.networks:
            network.grow_outputs(count)

    def rescale_outputs(self, factor: Array, shift: Array) -> None:
        """Let every output ``u`` become ``factor * u + shift``."""
        for network in self.networks:
            network.rescale_outputs(factor, shift)


def _each(
    depth: int,
    lam: float | Sequence[float] | str,
    gamma: float | Sequence[float] | str,
    rho: float | Sequence[float],
    alternations: int,
    order: str,
) -> list[dict[str, Any]]:
    """Return the tunable settings of each network."""
    if isinstance(lam, str) and lam != "auto":
        raise ConfigError(f"lam is a number or 'auto', not {lam!r}")
    if order not in (*LAM, "auto"):
        raise ConfigError(f"order is 'auto', 'top_down' or 'paper', not {order!r}")
    orders = [order]
    if order == "auto":
        # A network without a hidden layer has only one block of variables, and needs no order.
        orders = list(LAM) if isinstance(gamma, str) and depth > 1 else ["top_down"]
    others = {"gamma": gamma, "rho": rho, "alternations": alternations}
    return [{"order": o, "lam": LAM[o] if isinstance(lam, str) else lam, **others} for o in orders]
