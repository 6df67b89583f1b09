"""Algorithm 2: learn one batch from the feed-forward point, and predict with the experts."""

from __future__ import annotations

from collections.abc import Sequence

from fenchel_stream.network.arrays import Array, as_array, namespace
from fenchel_stream.network.descent import Descent
from fenchel_stream.network.experts.averages import Averages, sample
from fenchel_stream.network.experts.gamma_mixture import GammaMixture
from fenchel_stream.network.problem import Problem
from fenchel_stream.network.report import StepReport
from fenchel_stream.network.solvers import ProximalMetric


def learn(
    problem: Problem,
    weights: Sequence[Array],
    mixture: GammaMixture | None,
    averages: Averages | None,
    a: Array,
    y: Array,
    metric: ProximalMetric | None = None,
) -> StepReport:
    """Learn a batch; the new weights are those of the report's variables `after`.

    Parameters
    ----------
    problem, weights
        The problem and the weights of the network.
    mixture, averages
        The experts where gamma is ``auto``, otherwise None. Their expert weights and the averages
        are updated. The candidates of `mixture` are not: the report holds the new candidates.
    a, y
        Input with its column of ones, and targets.
    metric
        The metric of layer 0, if another network has computed it for the same input.
    """
    now = problem.forward(weights, a)
    if metric is not None:
        now.metrics[0] = metric
    targets = problem.loss.encode(as_array(y, like=a), now.outputs[-1])
    if mixture is not None:
        now.candidates = mixture.weights
        outputs = problem.layers[-1].forward(now.inputs[-1], now.candidates)
        mixture.score(problem.loss, targets, outputs)
        now.expert_weights = mixture.expert_weights
    predicted = None
    if averages is not None:
        rows = sample(len(a))
        each = _outputs_each(problem, averages, a[rows], now.outputs[-1][rows])
        predicted = averages.average(each)
        averages.score(problem.loss, targets[rows], each)
    descent = Descent(problem, targets, now.copy(), now)
    for block in problem.schedule:
        descent.move(block)
    if averages is not None:
        averages.follow(now.weights, len(a))
    return StepReport(descent, predicted)


def outputs(
    problem: Problem, weights: Sequence[Array], averages: Averages | None, a: Array
) -> Array:
    """Return the outputs for the input `a`, averaged over the network and `averages` if given."""
    alone = problem.forward(weights, a).outputs[-1]
    if averages is None:
        return alone
    return averages.average(_outputs_each(problem, averages, a, alone))


def _outputs_each(problem: Problem, averages: Averages, a: Array, alone: Array) -> Array:
    """Return the network's outputs `alone` and those of each of its averages, stacked."""
    networks = zip(*averages.weights, strict=True)
    others = [problem.forward(weights, a).outputs[-1] for weights in networks]
    return namespace(alone).stack([alone, *others])
