"""What one batch did to the network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fenchel_stream.network.arrays import Array

if TYPE_CHECKING:
    from fenchel_stream.network.descent import Descent
    from fenchel_stream.network.variables import Variables


@dataclass(frozen=True, repr=False)
class StepReport:
    """Figures of one call of `LiftedNetwork.learn_batch`, computed when they are read.

    Nothing is computed, and no GPU waited for, unless a figure is asked for.
    """

    descent: Descent
    predicted: Array | None = None
    """What the network and its `Averages` said of the batch's `averages.sample` before."""

    def __repr__(self) -> str:
        # Without the variables, which are the whole network.
        before, after = self.objective_before, self.objective_after
        return f"StepReport(objective_before={before:.6g}, objective_after={after:.6g})"

    @property
    def targets(self) -> Array:
        """What the outputs should have been."""
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
