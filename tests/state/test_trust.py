"""Crafted states: whoever can write a checkpoint chooses its text, and never what runs."""

from __future__ import annotations

import functools
import json
import pickle
from base64 import b64encode
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from river import compose, datasets, linear_model, metrics, preprocessing, stats

from fenchel_stream import FenchelClassifier
from fenchel_stream.errors import CheckpointError
from fenchel_stream.evaluation.prequential import Prequential
from fenchel_stream.state import objects, pack, restore, trust
from fenchel_stream.state.classes import STATELESS

REFUSED = "which a newly built object does not have there"


def new_test() -> Prequential:
    """Return what a run builds: a model of ours in a pipeline of River's, and metrics."""
    model = compose.Pipeline(
        preprocessing.StandardScaler(),
        compose.FuncTransformer(halved),
        FenchelClassifier(hidden=(4,)),
    )
    return Prequential(model, metrics.Accuracy() + metrics.MacroF1(), delay=20)


def halved(x: Any) -> Any:
    """Return half of every feature, of a row or of a frame."""
    return {name: x[name] / 2 for name in x} if isinstance(x, dict) else x / 2


@functools.cache
def stored_run() -> tuple[str, dict[str, Any]]:
    """Return the state of a run after 60 rows."""
    rows = [row for _, row in zip(range(60), datasets.Phishing(), strict=False)]
    test = new_test()
    for start in range(0, 60, 10):
        part = rows[start : start + 10]
        test.step(pl.DataFrame([x for x, _ in part]), pl.Series([y for _, y in part]))
    tree, arrays = pack({"test": test})
    return json.dumps(tree), {name: array.copy() for name, array in arrays.items()}


class State:
    """A stored run, which a test may change as an attacker would."""

    def __init__(self) -> None:
        text, arrays = stored_run()
        self.tree = json.loads(text)
        self.arrays = dict(arrays)
        self.nodes: list[dict[str, Any]] = self.tree["nodes"]

    def restored(self) -> Prequential:
        """Return the run that the state restores."""
        tree = json.loads(json.dumps(self.tree))
        test = restore({"test": new_test()}, tree, self.arrays)["test"]
        assert isinstance(test, Prequential)
        return test

    def add(self, node: dict[str, Any]) -> list[int]:
        """Append a node and return a reference to it."""
        self.nodes.append(node)
        return [len(self.nodes) - 1]

    def an_object(self, cls: str, **attributes: Any) -> list[int]:
        """Append an object of a class."""
        return self.add({"kind": "object", "class": cls, "attributes": attributes})

    def a_list(self, *items: Any) -> list[int]:
        """Append a list."""
        return self.add({"kind": "object", "class": "list", "items": list(items)})

    def a_dict(self, *pairs: Any) -> list[int]:
        """Append a dictionary of keys and values in turn."""
        return self.add({"kind": "object", "class": "dict", "pairs": list(pairs)})

    def a_table(self, factory: Any) -> list[int]:
        """Append a table that makes its values with a factory."""
        return self.add({"kind": "object", "class": "defaultdict", "factory": factory, "pairs": []})

    def node(self, cls: str) -> dict[str, Any]:
        """Return the first node of a class."""
        return next(node for node in self.nodes if node.get("class", "").endswith(f":{cls}"))

    def put(self, cls: str, attribute: str, packed: Any) -> None:
        """Set an attribute of the first object of a class."""
        self.node(cls).setdefault("attributes", {})[attribute] = packed


def test_a_run_that_nobody_changed_goes_on() -> None:
    assert isinstance(State().restored(), Prequential)


Gadget = Callable[[State], None]
GADGETS: dict[str, Gadget] = {}


def gadget(craft: Gadget) -> Gadget:
    """Register a change of a state that would run code, were it believed."""
    GADGETS[craft.__name__] = craft
    return craft


@gadget
def a_data_set_that_evaluates_its_names(s: State) -> None:
    evil = s.an_object(
        "river.datasets.synth.agrawal:Agrawal",
        feature_names=s.a_list("__import__('os').abort()"),
        _classification_functions=s.a_list({"class": "river.compose.select:Select"}),
        classification_function=0,
        balance_classes=False,
        perturbation=0.0,
        seed=1,
    )
    s.put("Scores", "metrics", evil)


@gadget
def a_learner_where_a_function_is_called(s: State) -> None:
    evil = s.an_object(
        "river.compose.target_transform:TargetTransformRegressor",
        regressor=s.an_object("river.dummy:StatisticRegressor"),
        func={"class": "float"},
        inverse_func={"class": "fenchel_stream.runner.learner:Learner"},
    )
    s.put("BatchModel", "model", evil)


@gadget
def a_cache_that_unpickles_a_file(s: State) -> None:
    s.put("Scores", "metrics", s.an_object("river.stream.cache:Cache", directory="somewhere"))


@gadget
def a_class_as_the_function_of_a_transformer(s: State) -> None:
    s.put("FuncTransformer", "func", {"class": "river.datasets.synth.agrawal:Agrawal"})


@gadget
def another_class_of_ours_as_the_function_of_a_transformer(s: State) -> None:
    s.put("FuncTransformer", "func", {"class": "fenchel_stream.estimators.classifier:X"})


@gadget
def a_class_that_the_model_has_elsewhere_as_a_function(s: State) -> None:
    name = s.node("FenchelClassifier")["class"]
    s.put("FuncTransformer", "func", {"class": name})


@gadget
def the_function_of_a_transformer_elsewhere(s: State) -> None:
    code = next(i for i, node in enumerate(s.nodes) if node["kind"] == "callable")
    s.put("StandardScaler", "learn_one", [code])


@gadget
def a_function_in_a_list_that_two_objects_hold(s: State) -> None:
    code = next(i for i, node in enumerate(s.nodes) if node["kind"] == "callable")
    shared = s.a_list([code])
    s.put("Pipeline", "steps", s.a_dict("a", shared))
    s.put("StandardScaler", "counts", shared)


@gadget
def a_method_of_its_own_in_the_place_of_another(s: State) -> None:
    s.put("StandardScaler", "transform_one", {"method": "learn_one"})


@gadget
def a_function_of_its_own_in_the_place_of_another(s: State) -> None:
    s.put("FenchelClassifier", "predict_proba_one", {"function": "learn_one"})


@gadget
def a_system_function(s: State) -> None:
    code = {"kind": "callable", "path": "func", "name": "posix.system", "holds": []}
    s.put("FuncTransformer", "func", s.add(code))


@gadget
def a_partial_application_that_makes_the_values_of_a_table(s: State) -> None:
    held = ["id > x"]
    code = {"kind": "callable", "path": "t", "name": "partial of posix.system()", "holds": held}
    s.put("StandardScaler", "counts", s.a_table(s.add(code)))


@gadget
def a_class_of_ours_that_makes_the_values_of_a_table(s: State) -> None:
    s.put("StandardScaler", "counts", s.a_table({"class": "fenchel_stream.runner.learner:Learner"}))


@gadget
def a_table_of_tables_of_data_sets(s: State) -> None:
    factory = {"table of": {"class": "river.datasets.synth.agrawal:Agrawal"}}
    s.put("StandardScaler", "counts", s.a_table(factory))


@gadget
def a_class_as_a_key(s: State) -> None:
    s.put("StandardScaler", "counts", s.a_dict({"class": "river.datasets.phishing:Phishing"}, 1))


@gadget
def a_selector_that_calls_its_keys(s: State) -> None:
    evil = s.an_object(
        "river.compose.select:Select", keys=s.a_list({"class": "river.datasets.phishing:Phishing"})
    )
    s.put("StandardScaler", "counts", evil)


@gadget
def a_bag_of_words_that_calls_its_steps(s: State) -> None:
    steps = s.a_list({"class": "river.stream.cache:Cache"})
    s.put(
        "StandardScaler",
        "counts",
        s.an_object("river.feature_extraction.vectorize:BagOfWords", processing_steps=steps),
    )


@gadget
def a_search_that_calls_its_distance(s: State) -> None:
    evil = s.an_object(
        "river.neighbors.lazy:LazySearch", dist_func={"class": "river.datasets.phishing:Phishing"}
    )
    s.put("StandardScaler", "counts", evil)


@gadget
def a_clusterer_that_calls_its_method_by_name(s: State) -> None:
    s.put(
        "StandardScaler", "counts", s.an_object("river.cluster.textclust:TextClust", type="clone")
    )


@gadget
def another_model(s: State) -> None:
    s.put("BatchModel", "model", s.an_object("river.linear_model.log_reg:LogisticRegression"))


@gadget
def a_sink_that_empties_a_file(s: State) -> None:
    s.put("Scores", "metrics", s.an_object("fenchel_connectors.jsonl_sink:JsonlSink", path="/x"))


@gadget
def a_store_of_checkpoints(s: State) -> None:
    s.put("StandardScaler", "vars", s.an_object("fenchel_stream.checkpoint.store:CheckpointStore"))


@gadget
def a_numpy_type_that_reserves_memory(s: State) -> None:
    s.put("FuncTransformer", "func", {"class": "numpy:void"})


@gadget
def a_class_of_the_standard_library(s: State) -> None:
    s.put("StandardScaler", "counts", s.an_object("subprocess:Popen", args="id"))


@gadget
def a_module_that_runs_code_when_it_is_imported(s: State) -> None:
    s.put("StandardScaler", "counts", s.an_object("antigravity:X"))


@gadget
def an_evaluation_of_river(s: State) -> None:
    s.put("Scores", "metrics", s.an_object("river.evaluate.tracks:Track"))


@gadget
def a_compiled_class_as_a_function(s: State) -> None:
    s.put("FuncTransformer", "func", {"class": "river._river_rust.vectordict:VectorDict"})


@pytest.mark.parametrize("name", GADGETS)
def test_nothing_is_named_that_a_new_object_does_not_have(name: str) -> None:
    state = State()
    GADGETS[name](state)
    with pytest.raises(CheckpointError, match=REFUSED):
        state.restored()


CALLS: list[str] = []


class Exploit:
    """Notes that it was unpickled."""

    def __reduce__(self) -> Any:
        return CALLS.append, ("unpickled",)


def test_an_object_in_the_place_of_a_device_is_not_constructed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s = State()
    s.put("LiftedNetwork", "device", s.an_object("river.stats.shift:Shift", amount=1))
    calls: list[Any] = []
    monkeypatch.setattr(stats.Shift, "__init__", lambda *arguments: calls.append(arguments))
    s.restored()
    assert calls == []


@pytest.mark.parametrize("name", [*trust.GROWN, *STATELESS])
def test_what_is_named_exists(name: str) -> None:
    module, _, cls = name.partition(":")
    loaded = import_module(module)
    assert not cls or isinstance(getattr(loaded, cls), type)


def test_a_gadget_works_where_every_name_is_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So that the tests above would notice if `trust` let one pass."""
    canary = tmp_path / "canary"
    state = State()
    a_data_set_that_evaluates_its_names(state)
    names = next(n for n in state.nodes if n.get("items") == ["__import__('os').abort()"])
    names["items"] = [f"__import__('pathlib').Path({str(canary)!r}).touch()"]
    monkeypatch.setattr(trust._Trust, "admits", lambda self, use: True)
    monkeypatch.setattr(objects, "_check_attributes", lambda fresh, state: None)
    evil = state.restored().scores.metrics
    assert not canary.exists()
    next(iter(evil))
    assert canary.exists()


def test_what_grows_is_where_it_may_grow() -> None:
    """A tree with leaves, and a model for each class, in a new object that has neither."""
    from river import multiclass, tree

    model = multiclass.OneVsRestClassifier(tree.HoeffdingTreeClassifier(grace_period=10))
    for _, (x, y) in zip(range(100), datasets.Phishing(), strict=False):
        model.learn_one(x, y)
    tree_, arrays = pack(model)
    fresh = multiclass.OneVsRestClassifier(tree.HoeffdingTreeClassifier(grace_period=10))
    assert len(restore(fresh, tree_, arrays).classifiers) == 2
    with pytest.raises(CheckpointError, match=REFUSED):
        restore(multiclass.OneVsRestClassifier(linear_model.Perceptron()), tree_, arrays)


def tuples(s: State, depth: int, width: int = 1) -> list[int]:
    """Append tuples in tuples and return the outermost."""
    ref = s.add({"kind": "object", "class": "tuple", "items": []})
    for _ in range(depth):
        ref = s.add({"kind": "object", "class": "tuple", "items": [ref] * width})
    return ref


def a_deep_key(s: State) -> list[int]:
    return s.a_dict(tuples(s, 100_000), 1)


def deep_keys_one_after_the_other(s: State) -> list[int]:
    refs, ref = [], tuples(s, 0)
    for _ in range(3_000):
        for _ in range(90):
            ref = s.add({"kind": "object", "class": "tuple", "items": [ref]})
        refs.append(ref)
    return s.a_dict(*(part for ref in refs for part in (ref, 1)))


def a_key_that_shares_its_parts(s: State) -> list[int]:
    return s.a_dict(tuples(s, 60, width=2), 1)


def a_deep_member_of_a_set(s: State) -> list[int]:
    return s.add({"kind": "object", "class": "frozenset", "items": [tuples(s, 100_000)]})


def a_tuple_that_holds_itself(s: State) -> list[int]:
    return s.add({"kind": "object", "class": "tuple", "items": [[len(s.nodes)]]})


def a_twister_beyond_its_end(s: State) -> list[int]:
    state = {"bit_generator": "MT19937", "state": {"key": [1] * 624, "pos": 10**9}}
    return s.add({"kind": "generator", "numpy": {**state, "has_gauss": 0, "gauss": 0.0}})


def a_python_twister_beyond_its_end(s: State) -> list[int]:
    return s.add({"kind": "generator", "python": [3, [1] * 624 + [10**9], None]})


def containers_that_hold_each_other(s: State) -> list[int]:
    count = 700
    first = len(s.nodes) + 1
    holders = [[first + i] for i in range(count)]
    outer = s.a_list(*holders)
    for i in range(count):
        s.add({"kind": "object", "class": "tuple", "items": holders[i + 1 :]})
    return outer


def an_array_of_objects(s: State) -> list[int]:
    s.arrays["objects"] = np.array([b"x"], dtype=object)
    node = {"kind": "array", "numpy": "|O", "shape": [1], "data": "objects"}
    return s.add(node)


def an_array_with_odd_axes(s: State) -> list[int]:
    name = next(iter(s.arrays))
    array = s.arrays[name]
    node = {"numpy": array.dtype.str, "shape": list(array.shape), "data": name}
    return s.add({"kind": "array", "axes": [7] * array.ndim, **node})


def rust(s: State, cls: str, new: list[Any], state: bytes) -> list[int]:
    text = b64encode(state).decode()
    name = f"river._river_rust.stats:{cls}"
    return s.add({"kind": "rust", "class": name, "new": new, "state": text})


def a_short_state_of_rust(s: State) -> list[int]:
    return rust(s, "RsQuantile", [], b"\xff" * 3)


def a_window_of_rust_that_fills_the_memory(s: State) -> list[int]:
    return rust(s, "RsRollingQuantile", [0.5, 2**40], b"")


def a_compiled_object_made_as_any_other(s: State) -> list[int]:
    return s.an_object("river._river_rust.stats:RsMean")


HOSTILE = (
    a_deep_key,
    deep_keys_one_after_the_other,
    a_key_that_shares_its_parts,
    a_deep_member_of_a_set,
    a_tuple_that_holds_itself,
    a_twister_beyond_its_end,
    a_python_twister_beyond_its_end,
    an_array_of_objects,
    an_array_with_odd_axes,
    a_short_state_of_rust,
    a_window_of_rust_that_fills_the_memory,
    a_compiled_object_made_as_any_other,
)


@pytest.mark.parametrize("craft", HOSTILE, ids=lambda craft: craft.__name__)
def test_a_hostile_state_is_one_error(craft: Callable[[State], Any]) -> None:
    state = State()
    state.put("StandardScaler", "counts", craft(state))
    with pytest.raises(CheckpointError):
        state.restored()


def test_nothing_unpickles(tmp_path: Path) -> None:
    content = pickle.dumps(Exploit())
    state = State()
    state.arrays["evil"] = np.frombuffer(content, np.uint8)
    shape = [len(content)]
    node = {"kind": "array", "numpy": "|O", "shape": shape, "data": "evil"}
    state.put("StandardScaler", "counts", state.add(node))
    with pytest.raises(CheckpointError, match="not what its description says"):
        state.restored()
    assert CALLS == []


def test_many_containers_that_hold_each_other_end() -> None:
    state = State()
    state.put("StandardScaler", "counts", containers_that_hold_each_other(state))
    state.restored()
