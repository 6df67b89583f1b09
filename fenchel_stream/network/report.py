"""`StepReport`: how one batch changed a network, for monitoring and tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from fenchel_stream.network.arrays import Array
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.problem import Variables


@dataclass(frozen=True, repr=False)
class StepReport:
    """Figures of one call of `LiftedNetwork.learn_batch`.

    A figure is computed when it is read. Until then the report costs nothing, and does not wait
    for a GPU.

    Attributes
    ----------
    descent
        The problem, the targets, and the variables before and after the batch.
    predicted
        The average outputs of the network and its `Averages`, computed before the batch was learnt,
        for the rows that `averages.sample` selects. None if the network has no averages.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream import LiftedNetwork
    >>> network = LiftedNetwork.dense([1, 1], loss="squared_error", gamma=1.0, dtype="float64")
    >>> report = network.learn_batch(np.zeros((1, 1)), np.ones((1, 1)))
    >>> round(report.objective_before, 6), round(report.objective_after, 6)
    (0.5, 0.25)
    """

    descent: Descent
    predicted: Array | None = None

    def __repr__(self) -> str:
        # The variables are left out, because they hold all weights of the network.
        before, after = self.objective_before, self.objective_after
        return f"StepReport(objective_before={before:.6g}, objective_after={after:.6g})"

    @property
    def targets(self) -> Array:
        """Targets of the outputs."""
        return self.descent.targets

    @property
    def before(self) -> Variables:
        """All variables at the feed-forward point."""
        return self.descent.before

    @property
    def after(self) -> Variables:
        """All variables where the alternations ended."""
        return self.descent.now

    @cached_property
    def objective_before(self) -> float:
        """Objective (13) at the feed-forward point, summed over the batch."""
        return self._objective(self.before)

    @cached_property
    def objective_after(self) -> float:
        """Objective (13) where the alternations ended, proximal term included."""
        return self._objective(self.after)

    @cached_property
    def divergence(self) -> list[float]:
        """Fenchel divergence ``B_l(X_{l+1}, U_l)`` of each hidden layer after the batch."""
        return [float(b) for b in self.descent.divergences(self.after)]

    @cached_property
    def displacement(self) -> list[float]:
        """Distance ``||W_l - W_l^0||_F`` that each layer's weights moved."""
        pairs = zip(self.after.weights, self.before.weights, strict=True)
        return [float(((w - w0) ** 2).sum()) ** 0.5 for w, w0 in pairs]

    def _objective(self, variables: Variables) -> float:
        return float(self.descent.objective(variables))
