"""The codec of state: what goes in comes out, what cannot be seen is refused, nothing is run."""

from __future__ import annotations

import array
import datetime as dt
import functools
import json
import random
import struct
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from river import compose, datasets, feature_extraction, metrics, proba, stats, utils

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state import pack, restore

ALLOW = ("river", "fenchel_stream", __name__)


class Thing:
    """An object whose constructor must not run again."""

    def __init__(self, **attributes: Any) -> None:
        assert attributes, "called by the codec"
        vars(self).update(attributes)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __reduce__(self) -> Any:
        raise AssertionError("called by the codec")

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("called by the codec")


class Slotted:
    __slots__ = ("__private", "unset", "x")

    unset: int

    def __init__(self, x: Any) -> None:
        self.x = x
        self.__private = -x


class SlottedAndMore(Slotted):
    """Slots of the base and a dict of its own."""


class Point(NamedTuple):
    x: float
    y: Any


class Names(list[str]):
    title = ""


class Colour(Enum):
    RED = 1


class Stepper:
    """Chooses one of its methods, as many of River's models do."""

    def __init__(self, up: bool) -> None:
        self.n = 0
        self.step = self._up if up else self._down
        self.shown = Stepper.shout if up else str

    def _up(self) -> int:
        self.n += 1
        return self.n

    def _down(self) -> int:
        self.n -= 1
        return self.n

    @staticmethod
    def shout(n: int) -> str:
        return f"{n}!"


def through_json(obj: Any, fresh: Any = None) -> Any:
    """Pack `obj`, write its tree as JSON, and restore it from copies of its arrays."""
    tree, arrays = pack(obj, allow=ALLOW)
    text = json.dumps(tree, allow_nan=False)
    return restore(fresh, json.loads(text), {k: v.copy() for k, v in arrays.items()}, allow=ALLOW)


def same(a: Any, b: Any) -> bool:
    """Say whether two values are of one type and equal bit by bit, order included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.generic) and not isinstance(a, str):
        return bool(a.dtype == b.dtype and a.tobytes() == b.tobytes())
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    if isinstance(a, (list, tuple, deque)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dt.datetime):
        return (a.replace(tzinfo=None), a.fold, repr(a.tzinfo)) == (
            b.replace(tzinfo=None),
            b.fold,
            repr(b.tzinfo),
        )
    return bool(a == b)


ZONES = [dt.UTC, dt.timezone(dt.timedelta(hours=-3, seconds=7), "home"), ZoneInfo("Europe/Oslo")]
HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.text(st.characters(), max_size=5),
    st.sampled_from(["\ud83d\ude00", "\ud800", "", "\0", "\N{GRINNING FACE}"]),
    st.binary(max_size=5),
    st.datetimes(timezones=st.none() | st.sampled_from(ZONES)),
    st.dates(),
    st.timedeltas(),
    st.builds(np.float32, st.floats(width=32, allow_nan=False)),
    st.builds(np.int8, st.integers(-128, 127)),
    st.builds(np.str_, st.text(max_size=3)),
    st.builds(np.bool_, st.booleans()),
)
KEYS = st.recursive(
    HASHABLE,
    lambda s: (
        st.tuples(s, s)
        | st.frozensets(s, max_size=3)
        | st.builds(Point, st.floats(allow_nan=False), s)
    ),
    max_leaves=3,
)
VALUES = st.recursive(
    KEYS | st.floats() | st.builds(np.float64, st.floats()) | st.sets(KEYS, max_size=4),
    lambda s: st.one_of(
        st.lists(s, max_size=4),
        st.tuples(s, s),
        st.dictionaries(KEYS, s, max_size=4),
        st.dictionaries(KEYS, s, max_size=4).map(OrderedDict),
        st.dictionaries(KEYS, st.integers(), max_size=4).map(Counter),
        st.builds(deque, st.lists(s, max_size=4), st.none() | st.integers(0, 3)),
    ),
    max_leaves=12,
)


class TestValues:
    @given(VALUES)
    def test_come_back_bit_by_bit(self, value: Any) -> None:
        back = through_json(value)
        assert same(back, value)
        if isinstance(value, deque):
            assert back.maxlen == value.maxlen

    @pytest.mark.parametrize("bits", ["000000000000f87f", "010000000000f0ff", "efbeaddeefbef87f"])
    def test_nan_keeps_its_payload(self, bits: str) -> None:
        (value,) = struct.unpack("<d", bytes.fromhex(bits))
        assert struct.pack("<d", through_json([value])[0]).hex() == bits

    def test_numbers_are_not_limited_in_digits(self) -> None:
        assert through_json([7**9000]) == [7**9000]

    def test_nesting_is_not_limited_in_depth(self) -> None:
        value: Any = []
        for depth in range(20_000):
            value = (value, depth) if depth % 2 else [value]
        back = through_json(value)
        for depth in reversed(range(20_000)):
            value, back = value[0], back[0]
            assert type(back) is type(value), depth

    def test_types_of_arrays(self) -> None:
        value = [np.dtype("<f4"), np.float32]
        assert through_json(value, list(value)) == value

    def test_a_fold_in_time_stays(self) -> None:
        twice = dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Oslo"))
        assert through_json([twice])[0].utcoffset() == dt.timedelta(hours=1)


def layouts(a: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield `a` in memory layouts that a matrix product may treat differently."""
    yield a
    yield np.asfortranarray(a)
    yield a[..., ::2]
    yield a[::-1].copy()[::-1]
    yield np.moveaxis(np.moveaxis(a, 0, -1).copy(), -1, 0)
    yield a[:0]


def order_of_axes(a: NDArray[Any]) -> list[int]:
    """Return the axes that are longer than 1, the slowest in memory first."""
    axes = [axis for axis in range(a.ndim) if a.shape[axis] > 1]
    return sorted(axes, key=lambda axis: -abs(a.strides[axis]))


class TestArrays:
    @given(
        hnp.arrays(
            st.one_of(
                hnp.boolean_dtypes(),
                hnp.integer_dtypes(endianness="?"),
                hnp.floating_dtypes(),
                hnp.complex_number_dtypes(),
                hnp.datetime64_dtypes(),
                hnp.unicode_string_dtypes(max_len=3),
                hnp.byte_string_dtypes(max_len=3),
            ),
            hnp.array_shapes(max_dims=3, max_side=4),
        )
    )
    def test_keep_every_bit_and_the_order_of_the_axes(self, a: NDArray[Any]) -> None:
        for kept in layouts(a):
            back = through_json({"a": kept})["a"]
            assert (back.dtype, back.shape) == (kept.dtype, kept.shape)
            assert order_of_axes(back) == order_of_axes(kept) or not kept.size
            assert back.tobytes() == kept.tobytes()

    def test_values_repeated_by_stride_are_stored_as_they_look(self) -> None:
        (plain,) = through_json([np.broadcast_to(2.0, (2, 3))])
        plain[0, 0] = 5
        assert plain.tolist() == [[5, 2, 2], [2, 2, 2]]

    def test_memory_that_two_arrays_share_is_refused(self) -> None:
        base = np.arange(12.0).reshape(3, 4)
        for pair in ([base, base[1:]], [base[:, :3], base[:, 1:]]):
            with pytest.raises(CheckpointError, match=r"\[[01]\] shares memory with \[[01]\]"):
                pack(pair)
        tree, arrays = pack([base, base, base[:0], base[0].copy()])
        back = restore(None, tree, arrays)
        assert back[0] is back[1]
        base.flags.writeable = False
        pack([base, base[1:]])

    def test_arrays_are_named_by_where_they_are(self) -> None:
        model = Thing(weights=[np.zeros(1), np.zeros(2)], scale={"a b": np.zeros(3)})
        _, arrays = pack({"model": model}, allow=ALLOW)
        assert sorted(arrays) == ["model.scale['a_b']", "model.weights[0]", "model.weights[1]"]

    def test_names_that_look_alike_stay_apart(self) -> None:
        value = {f"a{'!' * i}": np.full(1, i) for i in range(3)} | {"x" * 500: np.ones(2)}
        assert {k: v.tolist() for k, v in through_json(value).items()} == {
            k: v.tolist() for k, v in value.items()
        }

    def test_restored_arrays_are_copies(self) -> None:
        a = np.zeros(3)
        tree, arrays = pack([a])
        (back,) = restore(None, tree, arrays)
        back[0] = 1
        assert a[0] == 0


class TestObjects:
    def test_all_that_an_object_holds_comes_back(self) -> None:
        names = Names(["a"])
        names.title = "t"
        slotted = SlottedAndMore(3)
        slotted.extra = 4  # type: ignore[attr-defined]
        back = through_json(Thing(slotted=slotted, names=names, point=Point(1.0, names)))
        assert isinstance(back.slotted, SlottedAndMore)
        assert back.slotted.x == 3
        assert back.slotted._Slotted__private == -3  # type: ignore[attr-defined]
        assert back.slotted.extra == 4  # type: ignore[attr-defined]
        assert not hasattr(back.slotted, "unset")
        assert (back.names, back.names.title, type(back.names)) == (["a"], "t", Names)
        assert back.point == Point(1.0, ["a"])
        assert back.point.y is back.names

    def test_what_is_shared_stays_shared(self) -> None:
        cm = metrics.ConfusionMatrix()
        pair = [metrics.F1(cm=cm), metrics.Accuracy(cm=cm)]
        pair[0].update(True, True)
        fresh_cm = metrics.ConfusionMatrix()
        fresh = [metrics.F1(cm=fresh_cm), metrics.Accuracy(cm=fresh_cm)]
        back = through_json(pair, fresh)
        back[0].update(True, False)
        assert [m.get() for m in back] == pytest.approx([2 / 3, 1 / 2])

    def test_what_was_apart_stays_apart_even_if_fresh_objects_share(self) -> None:
        shared = Thing(n=0)
        back = through_json([Thing(n=1), Thing(n=2)], [shared, shared])
        assert [thing.n for thing in back] == [1, 2]

    def test_circles(self) -> None:
        a, b = Thing(name="a"), Thing(name="b")
        vars(a).update(other=b, all={"pair": (a, [b])})
        vars(b).update(other=a)
        back = through_json(a)
        assert back.other.other is back
        assert back.all["pair"][0] is back
        assert back.all["pair"][1][0] is back.other

    def test_the_fresh_object_is_kept_with_its_parts(self) -> None:
        fresh = Thing(part=Thing(n=0), items=[1], extra=5)
        part, items = fresh.part, fresh.items
        back = through_json(Thing(part=Thing(n=3), items=[2, 3]), fresh)
        assert back is fresh
        assert back.part is part
        assert part.n == 3
        assert back.items is items
        assert items == [2, 3]
        assert not hasattr(back, "extra")

    def test_an_object_as_a_key(self) -> None:
        key = Slotted(1)
        back = through_json({"key": key, "table": {key: "value"}, "set": {key}})
        assert back["table"][back["key"]] == "value"
        assert back["key"] in back["set"]

    def test_a_table_keeps_the_factory_of_the_fresh_one(self) -> None:
        fresh = defaultdict(lambda: 7, a=1)
        back = through_json(defaultdict(int, b=2), fresh)
        assert back is fresh
        assert dict(back) == {"b": 2}
        assert back["new"] == 7

    def test_tables_that_have_no_fresh_counterpart_know_their_factory(self) -> None:
        grown = {"cm": metrics.ConfusionMatrix(), "beta": defaultdict(proba.Beta)}
        back = through_json(grown)
        back["cm"].update("x", "y")
        assert back["cm"].data["x"]["y"] == 1
        assert isinstance(back["beta"]["new"], proba.Beta)

    def test_a_slot_that_was_empty_is_emptied(self) -> None:
        fresh = Slotted(5)
        fresh.unset = 1
        back = through_json(Slotted(3), fresh)
        assert back is fresh
        assert back.x == 3
        assert not hasattr(back, "unset")

    def test_another_kind_of_object_is_refused(self) -> None:
        with pytest.raises(CheckpointError, match="that of a Mean, not Var"):
            through_json(stats.Mean(), stats.Var())

    def test_packing_changes_nothing(self) -> None:
        cm = metrics.ConfusionMatrix()
        cm.update("a", "b")
        before = repr((cm.data, cm.sum_row, list(vars(cm))))
        pack(cm)
        assert repr((cm.data, cm.sum_row, list(vars(cm)))) == before


def draws(generator: Any) -> list[float]:
    """Return some numbers that depend on all of a generator's state."""
    if isinstance(generator, random.Random):
        return [generator.gauss(0, 1) for _ in range(701)]
    return [float(x) for x in (*generator.normal(size=701), *generator.permutation(9))]


class TestGenerators:
    @pytest.mark.parametrize("reuse", [False, True])
    @pytest.mark.parametrize("make", [random.Random, np.random.RandomState])
    def test_go_on_with_the_next_number(self, make: Callable[[int], Any], reuse: bool) -> None:
        original = make(3)
        draws(original)  # an odd number of them: half a pair of normal numbers waits
        fresh = [make(4)] if reuse else None
        (back,) = through_json([original], fresh)
        if fresh is not None:
            assert back is fresh[0]
        assert draws(back) == draws(original)


def twice(x: Any) -> Any:
    return x


class TestFunctions:
    def test_come_from_the_fresh_object(self) -> None:
        def first(x: Any) -> Any:
            return x

        stored = compose.Pipeline(compose.FuncTransformer(twice), stats.Mean())
        tree, arrays = pack(stored)
        assert "twice" in json.dumps(tree)
        back = restore(compose.Pipeline(compose.FuncTransformer(twice), stats.Mean()), tree, arrays)
        assert back.steps["twice"].func is twice
        with pytest.raises(CheckpointError, match=r"twice.*does not have there"):
            restore(compose.Pipeline(compose.FuncTransformer(first), stats.Mean()), tree, arrays)

    def test_a_function_that_a_new_object_may_lack_is_refused_when_packing(self) -> None:
        model = stats.Mean()
        model.hook = twice  # type: ignore[attr-defined]
        with pytest.raises(CheckpointError, match=r"model\.hook is .*twice.*allow_pickle"):
            pack({"model": model})

    def test_what_they_hold_on_to_is_state(self) -> None:
        def make(seed: int) -> Thing:
            rng = random.Random(seed)
            count = [0]

            def counted() -> int:
                count[0] += 1
                return count[0]

            return Thing(draw=functools.partial(rng.gauss, 0), random=rng.random, count=counted)

        original, fresh = make(1), make(2)
        original.draw(1), original.random(), original.count()
        tree, arrays = _pack_unverified(original)
        back = restore(fresh, tree, arrays, allow=ALLOW)
        assert [back.draw(1), back.random(), back.count()] == [
            original.draw(1),
            original.random(),
            original.count(),
        ]

    def test_another_argument_is_another_configuration(self) -> None:
        tree, arrays = _pack_unverified(Thing(f=functools.partial(twice, 1)))
        restore(Thing(f=functools.partial(twice, 1)), tree, arrays, allow=ALLOW)
        with pytest.raises(CheckpointError, match="holds 2 in a newly built object where 1 was"):
            restore(Thing(f=functools.partial(twice, 2)), tree, arrays, allow=ALLOW)

    def test_a_method_that_an_object_chose_among_its_own(self) -> None:
        stored = Stepper(up=True)
        stored.step()
        back = through_json([stored])[0]
        assert (back.step(), back.step.__self__ is back) == (2, True)
        assert back.shown(3) == "3!"
        assert stored.n == 1


def _pack_unverified(obj: Any) -> tuple[Any, Any]:
    """Pack an object that River's `clone` cannot make anew."""
    from fenchel_stream.state.codec import KINDS
    from fenchel_stream.state.packer import Packer

    packer = Packer(KINDS, ALLOW)
    return packer.run(obj, ""), packer.arrays


class Hidden(array.array):  # type: ignore[type-arg]
    """An extension type's subclass: its numbers are where no attribute shows them."""


class Local(threading.local):
    pass


def refused() -> dict[str, Any]:
    return {
        "a lock": threading.Lock(),
        "an iterator": iter([1]),
        "a generator": (x for x in [1]),
        "a module": json,
        "an unknown class": utils.pretty.__spec__,
        "hidden numbers": Hidden("d", [1.0]),
        "hidden attributes": Local(),
        "an array of objects": np.array([object()]),
        "records": np.zeros(1, [("a", "f4")]),
        "a subclass of array": np.ma.zeros(1),
        "an exception": CheckpointError("x"),
        "a member of an enumeration": Colour.RED,
        "a data set": datasets.Phishing(),
        "a generator of NumPy": np.random.default_rng(0),
        "a function": twice,
        "a class from elsewhere": threading.Thread,
        "a time zone of its own": dt.datetime(2020, 1, 1, tzinfo=_Zone()),
    }


class _Zone(dt.tzinfo):
    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta()

    def dst(self, when: dt.datetime | None) -> None:
        return None

    def tzname(self, when: dt.datetime | None) -> str:
        return "here"


class TestRefusals:
    @pytest.mark.parametrize("what", refused())
    def test_name_the_place_and_the_way_out(self, what: str) -> None:
        model = Thing(steps={"scale": Thing(x=[0, refused()[what]])})
        with pytest.raises(CheckpointError) as error:
            pack({"model": model}, allow=ALLOW)
        assert str(error.value).startswith("model.steps['scale'].x[1] is ")
        assert "allow_pickle = true" in str(error.value)

    def test_a_class_outside_the_packages(self) -> None:
        with pytest.raises(CheckpointError, match=r"model is a test_codec\.Thing, whose state"):
            pack({"model": Thing(x=1)})

    def test_a_class_that_cannot_be_found_by_name(self) -> None:
        class Local:
            pass

        with pytest.raises(CheckpointError, match="Local"):
            pack([Local()], allow=ALLOW)

    def test_addresses_of_memory(self) -> None:
        model = feature_extraction.RandomTreesEmbedding(n_trees=1, height=1, seed=1)
        model.learn_one({"a": 0.5})
        with pytest.raises(CheckpointError, match=r"_leaf_indices\[0\] is the memory address of"):
            pack(model)


class TestFilesThatSomebodyElseWrote:
    @pytest.mark.parametrize(
        "atom",
        [
            {"class": "os:system"},
            {"class": "subprocess:Popen"},
            {"class": "river.utils.pretty:np.ndarray"},
            {"class": "riverbed.x:Y"},
            {"class": "river.nothing:Here"},
            {"class": "river.stats:Mean"},  # known there by import only
            {"class": "fenchel_stream.state.codec:pack"},
            {"numpy type": "load"},
            {"numpy type": "ndarray"},
            {"numpy": ["|O", "AAAAAAAAAAA="]},
            {"member": ["river.stats.mean:Mean", "get"]},
            {"eval": "1"},
        ],
    )
    def test_name_nothing_but_data(self, atom: Any) -> None:
        with pytest.raises(CheckpointError):
            restore(None, {"root": atom, "nodes": []}, {})

    @pytest.mark.parametrize(
        "node",
        [
            {"kind": "nothing"},
            {"kind": "object", "class": "os:system"},
            {"kind": "object", "class": "list", "items": [[7]]},
            {"kind": "object", "class": "list"},
            {"kind": "object", "class": "int"},
            {"kind": "object", "class": "set", "items": [[0]]},
            {
                "kind": "object",
                "class": "river.stats.mean:Mean",
                "attributes": {"x": {"method": "no"}},
            },
            {"kind": "callable", "path": "x", "name": "os.system", "holds": []},
            {"kind": "rust", "class": "river.stats.mean:Mean", "new": [], "state": ""},
            {"kind": "array", "numpy": "|O", "shape": [1], "data": "a"},
            {"kind": "array", "numpy": "<f8", "shape": [9], "data": "a"},
            {"kind": "array", "numpy": "<f8", "shape": [1], "data": "none"},
        ],
    )
    def test_fit_or_are_refused(self, node: Any) -> None:
        owner = {"kind": "array", "numpy": "<f8", "shape": [1], "data": "a"}
        with pytest.raises(CheckpointError):
            restore(None, {"root": [0], "nodes": [node, owner]}, {"a": np.zeros(1)})


def test_a_number_called_device_stays_a_number() -> None:
    assert through_json(Thing(device=7), Thing(device=0)).device == 7
