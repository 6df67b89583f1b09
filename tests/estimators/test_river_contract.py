"""River's own contract suite on our estimators."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from river import base, checks

from fenchel_stream import FenchelClassifier, FenchelMultiTargetRegressor, FenchelRegressor

SKIPPED = {
    "check_learn_many_matches_learn_one": (
        "learn_many takes one exact step on all rows, learn_one a step per row: another algorithm"
    ),
}

MODELS = [FenchelClassifier(), FenchelRegressor(), FenchelMultiTargetRegressor()]


def contract() -> Iterator[Any]:
    for model in MODELS:
        for number, check in enumerate(checks.yield_checks(model)):
            name = f"{type(model).__name__}-{number}-{check.__name__}"
            marks = [pytest.mark.skip(reason=r) for n, r in SKIPPED.items() if n == check.__name__]
            yield pytest.param(model, check, id=name, marks=marks)


@pytest.mark.parametrize(("model", "check"), list(contract()))
def test_contract(model: base.Estimator, check: Callable[[base.Estimator], None]) -> None:
    check(copy.deepcopy(model))
