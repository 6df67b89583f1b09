"""The models of the suite: how each is made for a stream, and its grid of settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from river import (
    base,
    dummy,
    ensemble,
    forest,
    linear_model,
    neighbors,
    optim,
    preprocessing,
    stats,
    tree,
)

from examples.benchmarks.gradient import Recipe
from examples.benchmarks.learners import (
    HIDDEN,
    GradientLearner,
    Learner,
    RiverLearner,
    SklearnLearner,
    Task,
    VowpalWabbitLearner,
)
from fenchel_stream import FenchelClassifier, FenchelRegressor
from fenchel_stream.preprocessing import pipeline

OURS = "fenchel-stream"
RATES = {
    "Adam": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    "SGD": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
}
STEPS = (1, 5)
LINEAR_RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
OUTPUT_GAMMAS = (0.1, 1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Model:
    """A model under test.

    Attributes
    ----------
    name
        Shared by the settings of one grid.
    settings
        What each of the predictions of its learner is; one that is empty has no grid.
    make
        Return the learner for a task and a size of batches.
    batches
        Whether it learns several rows as one batch.
    alone
        Where settings learn side by side, the learner of one of them, for its speed.
    """

    name: str
    settings: tuple[str, ...]
    make: Callable[[Task, int], Learner]
    batches: bool = False
    alone: Callable[[Task, int], Learner] | None = None


def _river(
    classifier: Callable[..., base.Estimator],
    regressor: Callable[..., base.Estimator],
    task: Task,
    batch: int,
    *,
    scale: bool = False,
    seeded: bool = False,
    **settings: Any,
) -> Learner:
    if seeded:
        settings["seed"] = task.seed
    model = (classifier if task.classifies else regressor)(**settings)
    if scale or task.categories:
        model = pipeline(model, scale=scale, one_hot=task.categories)
    return RiverLearner(model, batches=batch > 1)


def _linear(rate: float, task: Task, batch: int) -> Learner:
    optimizer = optim.SGD(rate)
    return _river(
        partial(linear_model.SoftmaxRegression, optimizer),
        lambda: preprocessing.TargetStandardScaler(linear_model.LinearRegression(optimizer)),
        task,
        batch,
        scale=True,
    )


def _gradient(recipe: Recipe, task: Task, batch: int) -> Learner:
    return GradientLearner(task, recipe)


def _plain(kind: Callable[[Task], Learner], task: Task, batch: int) -> Learner:
    return kind(task)


def _models() -> list[Model]:
    ours = partial(_river, FenchelClassifier, FenchelRegressor, seeded=True, hidden=(HIDDEN,))
    latest = partial(dummy.StatisticRegressor, stats.Shift(0))
    found = [
        Model(OURS, ("",), ours, batches=True),
        *(
            Model(f"{OURS}, gamma fixed", (f"{g:g}",), partial(ours, gamma=(0.1, g)), batches=True)
            for g in OUTPUT_GAMMAS
        ),
        *(Model("linear", (f"{rate:g}",), partial(_linear, rate)) for rate in LINEAR_RATES),
        Model("no change", ("",), partial(_river, dummy.NoChangeClassifier, latest)),
    ]
    river = {
        "Hoeffding adaptive tree": (
            tree.HoeffdingAdaptiveTreeClassifier,
            tree.HoeffdingAdaptiveTreeRegressor,
        ),
        "ARF (10)": (forest.ARFClassifier, forest.ARFRegressor),
        "AMF (10)": (forest.AMFClassifier, forest.AMFRegressor),
        "SRP (10)": (ensemble.SRPClassifier, ensemble.SRPRegressor),
    }
    for name, kinds in river.items():
        found.append(Model(name, ("",), partial(_river, *kinds, seeded=True)))
    nearest = partial(_river, neighbors.KNNClassifier, neighbors.KNNRegressor, scale=True)
    found.append(Model("nearest neighbours", ("",), nearest))
    for steps in STEPS:
        for name, rates in RATES.items():
            grid = Recipe(name, steps, rates)
            found.append(
                Model(
                    name if steps == 1 else f"{name}, {steps} steps",
                    tuple(f"{rate:g}" for rate in rates),
                    partial(_gradient, grid),
                    batches=True,
                    alone=partial(_gradient, Recipe(name, steps, rates[:1])),
                )
            )
    found.append(Model("scikit-learn MLP", ("",), partial(_plain, SklearnLearner), batches=True))
    found.append(Model("Vowpal Wabbit", ("",), partial(_plain, VowpalWabbitLearner)))
    return found


MODELS = {
    model.name
    if len(model.settings) > 1
    else " ".join((model.name, *model.settings)).strip(): model
    for model in _models()
}
"""By name, and by setting where each setting is a learner of its own."""
