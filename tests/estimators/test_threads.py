"""Several threads that use one growing model: no torn result, and the process lives."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from fenchel_stream import FenchelClassifier, FenchelMultiTargetRegressor, FenchelRegressor
from fenchel_stream.state import pack, restore

ROWS = 80


@pytest.fixture(autouse=True)
def hasty() -> Iterator[None]:
    """Let Python switch threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def row(i: int) -> dict[str, float]:
    """Return a row of a stream whose rows get wider, up to 40 features."""
    return {f"f{j}": float((i * 7 + j) % 11) for j in range(5 + i % 36)}


def label(model: Any, i: int) -> Any:
    if isinstance(model, FenchelClassifier):
        return f"c{i % 12}"
    return float(i) if isinstance(model, FenchelRegressor) else {f"t{i % 9}": float(i)}


def restored(model: Any) -> Any:
    return restore(type(model)(hidden=(8,)), *pack(model))


def whole(model: Any, i: int) -> None:
    """Predict a row and a frame; a torn result has another width, or is no distribution."""
    if isinstance(model, FenchelClassifier):
        shares = model.predict_proba_one(row(i))
        assert sum(shares.values()) == pytest.approx(1 if shares else 0, abs=1e-3)
        frame = model.predict_proba_many(pl.DataFrame([row(i), row(i)]))
        assert frame.sum_horizontal().to_list() == pytest.approx([1] * len(frame), abs=1e-3)
    model.predict_one(row(i))
    model.predict_many(pl.DataFrame([row(i)]))


USES: dict[str, Callable[[Any, int], Any]] = {
    "predict": whole,
    "learn": lambda model, i: model.learn_one(row(i * 5), label(model, i * 5)),
    "mutate": lambda model, i: setattr(model, "rho", 0.001 * (i % 2)),
    "copy": lambda model, i: whole(copy.copy(model), i),
    "deepcopy": lambda model, i: whole(copy.deepcopy(model), i),
    "pickle": lambda model, i: whole(pickle.loads(pickle.dumps(model)), i),
    "checkpoint": lambda model, i: whole(restored(model), i),
}


@pytest.mark.parametrize("kind", [FenchelClassifier, FenchelRegressor, FenchelMultiTargetRegressor])
def test_threads_that_use_one_model(kind: Any) -> None:
    model = kind(hidden=(8,))
    model.learn_one(row(0), label(model, 0))
    errors: list[BaseException] = []
    learnt = threading.Event()

    def learn() -> None:
        for i in range(ROWS):
            model.learn_one(row(i), label(model, i))

    def use(name: str) -> None:
        i = 0
        while not learnt.is_set():
            i += 1
            USES[name](model, i)

    def noting(call: Callable[..., None], *args: str) -> threading.Thread:
        def guarded() -> None:
            try:
                call(*args)
            except BaseException as error:  # noqa: BLE001 - whatever a thread dies of
                errors.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    users = [noting(use, name) for name in USES]
    learner = noting(learn)
    learner.join(60)
    learnt.set()
    for thread in (learner, *users):
        thread.join(60)
        assert not thread.is_alive()
    assert not errors
    whole(model, 1)


def test_a_copy_shares_neither_lock_nor_networks_with_its_original() -> None:
    model = FenchelClassifier(hidden=(8,))
    model.learn_one(row(0), "a")
    for other in (copy.copy(model), copy.deepcopy(model), model.clone(include_attributes=True)):
        other.learn_one(row(1), "b")
        assert other._lock is not model._lock
        assert list(model.classes) == ["a"]


def test_the_lock_is_no_part_of_the_state() -> None:
    model = FenchelClassifier(hidden=(8,))
    model.learn_one(row(0), "a")
    tree, _ = pack(model)
    assert "_lock" in vars(model)
    assert "_lock" not in str(tree)
    assert "_lock" not in model.__getstate__()
