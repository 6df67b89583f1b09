"""`RowDescent`: the step for a batch of one row, by compiled loops over NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fenchel_stream.network import compiled
from fenchel_stream.network.arrays import Array
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.experts.averages import Averages
from fenchel_stream.network.experts.gamma_mixture import GAMMAS, GammaMixture
from fenchel_stream.network.problem import Problem, Variables
from fenchel_stream.network.report import StepReport


class RowDescent:
    """The descent of one row: the same steps as `Descent`, in compiled loops.

    Parameters
    ----------
    problem
        A problem for which `RowDescent.serves` is true.
    dtype
        Precision of the weights, ``float32`` or ``float64``.

    Attributes
    ----------
    codes
        The numbers of the activation and of the loss in the compiled loops.
    """

    def __init__(self, problem: Problem, dtype: str) -> None:
        self.problem = problem
        activation, loss = problem.activation, problem.loss
        self.codes = activation.code, loss.code
        self.blocks = np.array([(kind == "W", layer) for kind, layer in problem.schedule])
        # One number for each layer. A lambda of 0 marks the output layer in the compiled loops.
        self.lam = np.array([*problem.lam, 0.0])
        self.slope = activation.curvature
        self.curvatures = np.array([problem.curvature(i) for i in range(len(problem.layers))])
        gammas = [np.array([gamma], dtype) for gamma in problem.gamma]
        if problem.tuned:
            gammas[-1] = np.array(GAMMAS, dtype)
        self.gammas = tuple(gammas)
        self.rho = np.array(problem.rho)
        self.in_samples = problem.gamma_unit == "sample"
        self.iterations = problem.iterations("W", rows=1), problem.iterations("X", rows=1)
        self.no_candidates = np.empty((0, 0, 0), dtype), np.empty(0, dtype)

    @staticmethod
    def serves(problem: Problem) -> bool:
        """Return whether the activation, the loss and all layers have a compiled form."""
        codes = problem.activation.code, problem.loss.code
        return min(codes) >= 0 and all(layer.compiled for layer in problem.layers)

    def outputs(self, weights: Sequence[Array], averages: Averages | None, a: Array) -> Array:
        """Return the outputs for the row `a` (1 + inputs,), averaged over `averages` if given."""
        rows = compiled.rows
        if averages is None:
            return rows.outputs(self.codes[0], tuple(weights), a)
        return rows.averaged_outputs(
            self.codes[0], tuple(weights), tuple(averages.weights), averages.expert_weights, a
        )

    def learn(
        self,
        weights: Sequence[Array],
        mixture: GammaMixture | None,
        averages: Averages | None,
        a: Array,
        y: Array,
    ) -> StepReport:
        """Learn the row `a` (1 + inputs,) with targets `y`, as `step.learn` learns a batch."""
        targets = self.problem.loss.encode(y, np.empty((1, len(weights[-1])), a.dtype))[0]
        before, now = self._descend(weights, mixture, a, targets)
        predicted = None
        if averages is not None:
            outputs = before.outputs[-1]
            predicted = averages.follow_row(self.codes, targets, a, outputs, now.weights)
        return StepReport(Descent(self.problem, targets, before, now), predicted)

    def _descend(
        self, weights: Sequence[Array], mixture: GammaMixture | None, a: Array, targets: Array
    ) -> tuple[Variables, Variables]:
        """Return the variables before and after the row, and move the weights of the experts."""
        rows = compiled.rows
        old = tuple(weights)
        inputs = (a, *[np.empty(1 + len(w), a.dtype) for w in old[:-1]])
        outputs = tuple([np.empty(len(w), a.dtype) for w in old])
        rows.forward(self.codes[0], old, inputs, outputs)
        before = Variables(list(old), list(inputs), list(outputs), [], {})
        candidates, expert_weights = self.no_candidates
        if mixture is not None:
            candidates = mixture.weights
            mixture.score_row(self.codes[1], targets, candidates @ inputs[-1])
            expert_weights = mixture.expert_weights
            before.candidates, before.expert_weights = candidates, expert_weights
        new_weights = tuple([w.copy() for w in old])
        new_inputs = (a, *[x.copy() for x in inputs[1:]])
        new_outputs = tuple([u.copy() for u in outputs])
        new_candidates = candidates.copy()
        sources = (a, *[np.empty_like(u) for u in outputs[:-1]])
        rows.descend(
            self.codes, self.blocks, self.lam, self.curvatures, self.slope, self.gammas, self.rho,
            self.in_samples, self.iterations, targets, old, inputs, candidates, expert_weights,
            new_weights, new_inputs, new_outputs, sources, new_candidates,
        )  # fmt: skip
        now = Variables(list(new_weights), list(new_inputs), list(new_outputs), list(sources), {})
        if mixture is not None:
            now.candidates, now.expert_weights = new_candidates, expert_weights
        return before, now
