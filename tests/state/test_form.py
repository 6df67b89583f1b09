"""Crafted states of our own models: no compiled loop is entered with shapes that do not fit."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from river import compose, datasets, drift, stats

from fenchel_stream import FenchelClassifier, FenchelRegressor
from fenchel_stream.errors import CheckpointError
from fenchel_stream.preprocessing import OneHot, Standardize
from fenchel_stream.state import pack, restore

Nodes = list[dict[str, Any]]
Arrays = dict[str, Any]


def learnt(model: Any, rows: int = 12) -> Any:
    """Return a model after a few rows."""
    data: Any = datasets.TrumpApproval() if "Regressor" in str(model) else datasets.Phishing()
    for _, (x, y) in zip(range(rows), data, strict=False):
        model.learn_one(x, y)
    return model


def packed(model: Any) -> tuple[dict[str, Any], Arrays]:
    """Return a state that a test may change."""
    tree, arrays = pack(model)
    return json.loads(json.dumps(tree)), {name: array.copy() for name, array in arrays.items()}


@pytest.mark.parametrize(
    "make",
    [
        FenchelClassifier,
        FenchelRegressor,
        lambda: FenchelClassifier(hidden=()),
        lambda: FenchelClassifier(hidden=(3, 4), gamma=1.0, dtype="float64"),
        lambda: FenchelClassifier(order="paper", alternations=2, batch_size=5),
        lambda: FenchelRegressor(activation="tanh", scale=False, lam=0.5, rho=0.1),
    ],
)
@pytest.mark.parametrize("rows", [0, 12])
def test_what_learning_leads_to_is_taken(make: Callable[[], Any], rows: int) -> None:
    tree, arrays = packed(learnt(make(), rows))
    model = restore(make(), tree, arrays)
    assert learnt(model) is model


def test_parameters_that_were_changed_while_it_learnt_are_taken() -> None:
    model = learnt(FenchelClassifier())
    model.mutate({"order": "paper", "lam": (0.3,), "alternations": 3})
    restored = restore(FenchelClassifier(), *packed(model))
    x, _ = next(iter(datasets.Phishing()))
    assert restored.predict_proba_one(x) == model.predict_proba_one(x)


def node_of(nodes: Nodes, cls: str, number: int = 0) -> dict[str, Any]:
    return [node for node in nodes if node.get("class", "").endswith(f":{cls}")][number]


def arrays_by_name() -> Arrays:
    return packed(learnt(FenchelRegressor()))[1]


def forms(array: Any) -> dict[str, Any]:
    """Return the array in other shapes, types and orders of its axes."""
    other = {
        "fewer": array[..., :-1].copy(),
        "more": np.repeat(array, 2, axis=-1),
        "flat": array.reshape(*array.shape, 1),
        "other type": array.astype("c16"),
        "text": array.astype("U9"),
    }
    if np.squeeze(array).ndim > 1:
        other["other order"] = np.asfortranarray(array)
    return other


@pytest.mark.parametrize("name", sorted(arrays_by_name()))
def test_an_array_of_another_form(name: str) -> None:
    for how, changed in forms(arrays_by_name()[name]).items():
        tree, arrays = packed(learnt(FenchelRegressor()))
        (node,) = [n for n in tree["nodes"] if n.get("data") == name]
        node.update(numpy=changed.dtype.str, shape=list(changed.shape))
        if how == "other order":
            node["axes"] = list(range(changed.ndim))[::-1]
        arrays[name] = changed
        with pytest.raises(CheckpointError):
            restore(FenchelRegressor(), tree, arrays)


def put(cls: str, name: str, value: Any, number: int = 0) -> Callable[[Nodes], None]:
    def craft(nodes: Nodes) -> None:
        node_of(nodes, cls, number)["attributes"][name] = value

    craft.__name__ = f"{cls}.{name}"
    return craft


def a_schedule_of_a_layer_that_is_not_there(nodes: Nodes) -> None:
    last = next(n for n in reversed(nodes) if n.get("items") and n["items"][0] in ("W", "X"))
    last["items"][1] = 7


def a_schedule_of_broken_layers(nodes: Nodes) -> None:
    last = next(n for n in reversed(nodes) if n.get("items") and n["items"][0] in ("W", "X"))
    last["items"][1] = {"float": "000000000000f03f"}


def a_compiled_step_of_the_file(nodes: Nodes) -> None:
    network = node_of(nodes, "LiftedNetwork")
    network["attributes"]["row_descent"] = network["attributes"]["_problem"]


def networks_of_two_sizes(nodes: Nodes) -> None:
    networks = node_of(nodes, "Ensemble")["attributes"]["networks"]
    nodes[networks[0]]["items"] = nodes[networks[0]]["items"][:1]


def a_column_beyond_the_last(nodes: Nodes) -> None:
    columns = node_of(nodes, "Schema")["attributes"]["columns"]
    nodes[columns[0]]["pairs"][1] = 1000


def a_class_too_many(nodes: Nodes) -> None:
    classes = node_of(nodes, "FenchelClassifier")["attributes"]["classes"]
    nodes[classes[0]]["pairs"] += [7, 2]


def rows_that_are_not_rows(nodes: Nodes) -> None:
    gathered = node_of(nodes, "FenchelClassifier")["attributes"]["_gathered"]
    nodes[gathered[0]]["items"] = [1, 2]


CRAFTS = (
    a_schedule_of_a_layer_that_is_not_there,
    a_schedule_of_broken_layers,
    a_compiled_step_of_the_file,
    networks_of_two_sizes,
    a_column_beyond_the_last,
    a_class_too_many,
    rows_that_are_not_rows,
    put("Problem", "x_iterations", 10**15),
    put("Problem", "w_iterations", -1),
    put("Problem", "tuned", False),
    put("Problem", "gamma_unit", "absolut"),
    put("Problem", "lam", 1),
    put("Problem", "schedule", None),
    put("LiftedNetwork", "mixture", None),
    put("LiftedNetwork", "averages", None, 1),
    put("LiftedNetwork", "dtype", "float64"),
    put("LiftedNetwork", "dtype", "object"),
    put("LiftedNetwork", "weights", None),
    put("GammaMixture", "rows", -5),
    put("GammaMixture", "typical_loss", "x"),
    put("Averages", "learnt", -1),
    put("Averages", "weights", 3),
    put("Moments", "horizon", "x"),
    put("Moments", "count", None),
    put("Dense", "compiled", False),
    put("Ensemble", "networks", None),
    put("FenchelClassifier", "dtype", "float64"),
    put("FenchelClassifier", "classes", 3),
    put("FenchelClassifier", "learn_one", 3),
)


@pytest.mark.parametrize("craft", CRAFTS, ids=lambda craft: craft.__name__)
def test_a_state_that_learning_does_not_lead_to(craft: Callable[[Nodes], None]) -> None:
    tree, arrays = packed(learnt(FenchelClassifier()))
    craft(tree["nodes"])
    with pytest.raises(CheckpointError):
        restore(FenchelClassifier(), tree, arrays)


def test_moments_of_fewer_columns_than_names() -> None:
    def make() -> Any:
        return compose.Pipeline(OneHot(("a",)), Standardize(), FenchelClassifier(scale=False))

    tree, arrays = packed(learnt(make()))
    index = node_of(tree["nodes"], "Standardize")["attributes"]["index"]
    tree["nodes"][index[0]]["pairs"] += ["more", 9]
    with pytest.raises(CheckpointError, match="index has another form"):
        restore(make(), tree, arrays)


# ---- River's compiled objects


def rolling() -> Any:
    quantile = stats.RollingQuantile(0.5, window_size=5)
    for value in (3.0, 1.0, 2.0):
        quantile.update(value)
    return quantile


def window() -> Any:
    adwin = drift.ADWIN()
    for value in range(50):
        adwin.update(value)
    return adwin


def iqr() -> Any:
    return stats.RollingIQR(window_size=5)


RUST = {
    "a quantile beyond its window": (rolling, 88, 99),
    "an oldest value that is not in the window": (rolling, 40, 0x4059000000000000),
    "a window of another size": (rolling, 120, 2**60),
    "a range beyond its window": (iqr, 48, 99),
    "a clock that stands still": (window, 8, 5 << 32),
    "a bucket with more than fits": (window, 100, 10**6),
}


@pytest.mark.parametrize("name", RUST)
def test_a_state_of_rust_that_panics_later(name: str) -> None:
    make, offset, number = RUST[name]
    tree, arrays = packed(make())
    node = next(node for node in tree["nodes"] if node["kind"] == "rust")
    state = bytearray(b64decode(node["state"]))
    state[offset : offset + 8] = number.to_bytes(8, "little")
    node["state"] = b64encode(state).decode()
    with pytest.raises(CheckpointError):
        restore(make(), tree, arrays)


@pytest.mark.parametrize("make", [rolling, window, iqr, stats.Quantile, stats.EWMean])
def test_a_state_of_rust_that_is_sound(make: Callable[[], Any]) -> None:
    restored, other = restore(make(), *packed(make())), make()
    for value in range(100):
        restored.update(value / 7)
        other.update(value / 7)
    assert vars(restored).keys() == vars(other).keys()
    assert str(restored) == str(other)
