"""The columnar join does, batch by batch, what dictionaries do row by row."""

from __future__ import annotations

import itertools
from typing import Any

import polars as pl
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fenchel_stream.errors import ConfigError
from fenchel_stream.evaluation.batch_model import Predictions, to_list
from fenchel_stream.late_labels.join import LabelJoin, Matched
from fenchel_stream.late_labels.keyed_rows import SLACK, KeyedRows
from fenchel_stream.state import pack, restore

FEATURES = {"a": pl.Float64, "b": pl.Float64, "c": pl.String}
CLASSES = ["1", 1, True, "no", None]


class Model:
    """The same with dictionaries, which keep the order in which keys come."""

    def __init__(self, ttl: float | None, limit: int) -> None:
        self.ttl, self.limit = ttl, limit
        self.waiting: dict[str, Any] = {}
        self.early: dict[str, Any] = {}
        self.matched: dict[str, Any] = {}
        self.counts = dict.fromkeys(LabelJoin("regression").counts, 0)

    def expire(self, now: float) -> None:
        if self.ttl is None:
            return
        for name, kept in (("expired", self.waiting), ("orphans", self.early), ("", self.matched)):
            for key, (time, *_) in list(kept.items()):
                if time is not None and time < now - self.ttl:
                    del kept[key]
                    if name:
                        self.counts[name] += 1

    def predicted(self, rows: list[tuple[str, float | None, Any, Any]]) -> list[Any]:
        matched = []
        for key, time, x, predicted in rows:
            self.counts["predictions"] += 1
            if key in self.waiting or key in self.matched:
                self.counts["repeated"] += 1
                self.counts["expired"] += 1
            elif key in self.early:
                matched.append((x, self.early.pop(key)[1], predicted))
                self.matched[key] = (time,)
                self.counts["matched"] += 1
            else:
                self.waiting[key] = (time, x, predicted)
        self.shorten(self.matched, "")
        self.shorten(self.waiting, "expired")
        return matched

    def labelled(self, rows: list[tuple[str, float | None, Any]]) -> list[Any]:
        matched = []
        for key, time, y in rows:
            self.counts["labels"] += 1
            if key in self.early or key in self.matched:
                self.counts["duplicates"] += 1
            elif key in self.waiting:
                of_event, x, predicted = self.waiting.pop(key)
                matched.append((x, y, predicted))
                self.matched[key] = (of_event,)
                self.counts["matched"] += 1
            else:
                self.early[key] = (time, y)
        self.shorten(self.matched, "")
        self.shorten(self.early, "orphans")
        return matched

    def shorten(self, kept: dict[str, Any], name: str) -> None:
        while len(kept) > self.limit:
            del kept[next(iter(kept))]
            if name:
                self.counts[name] += 1


def frame_of(xs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a batch of these rows means: null where a row lacks what another has."""
    names = sorted(set(itertools.chain.from_iterable(xs)))
    # A category that no row has is the same as none.
    names = [n for n in names if n != "c" or any(x.get(n) is not None for x in xs)]
    return [{name: x.get(name) for name in names} for x in xs]


def assert_same(matched: Matched, expected: list[Any]) -> None:
    xs, ys, predicted = zip(*expected, strict=True) if expected else ((), (), ())
    assert matched.X.height == len(matched.y) == len(matched.predictions) == len(expected)
    if expected:
        assert matched.X.to_dicts() == frame_of(list(xs)) or matched.X.width == 0
        assert matched.X.width == len(frame_of(list(xs))[0])
    # True is not 1 here, and 1 not "1".
    assert list(map(repr, to_list(matched.y))) == list(map(repr, ys))
    assert list(map(repr, matched.predictions.labels)) == [repr(label) for label, _ in predicted]
    assert (matched.predictions.probabilities or []) == [chances for _, chances in predicted]


def check_counts(join: LabelJoin, model: Model) -> None:
    assert join.counts == model.counts
    assert (join.pending, join.early) == (len(model.waiting), len(model.early))
    c = join.counts
    assert c["matched"] + c["expired"] + join.pending == c["predictions"]
    assert c["matched"] + c["duplicates"] + c["orphans"] + join.early == c["labels"]
    assert max(join.pending, join.early, len(join._matched)) <= join.limit


KEYS = st.sampled_from("abcdefghij")
TIMES = st.none() | st.integers(0, 20).map(float)
NUMBERS = st.none() | st.integers(-9, 9).map(float)
PROBABILITIES = st.dictionaries(st.sampled_from(CLASSES[:4]), st.sampled_from([0.25, 0.5, 1.0]))
EVENTS = st.sets(st.sampled_from(list(FEATURES))).flatmap(
    lambda names: st.lists(
        st.tuples(
            KEYS,
            TIMES,
            st.fixed_dictionaries(
                {
                    n: st.sampled_from(["u", "", None]) if n == "c" else NUMBERS
                    for n in sorted(names)
                }
            ),
            st.tuples(st.sampled_from(CLASSES), PROBABILITIES),
        ),
        min_size=1,
        max_size=6,
    )
)
LABELS = st.lists(st.tuples(KEYS, TIMES, st.sampled_from(CLASSES[:4])), min_size=1, max_size=6)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 30).map(float),
        EVENTS.map(lambda rows: ("predicted", rows))
        | LABELS.map(lambda rows: ("labelled", rows))
        | st.just(("stored", [])),
    ),
    max_size=25,
)


def series(values: list[Any], kind: Any) -> pl.Series:
    return pl.Series(values, dtype=kind)


@settings(max_examples=100)
@given(steps=STEPS, ttl=st.none() | st.integers(1, 15).map(float), limit=st.integers(1, 8))
def test_it_equals_dictionaries(steps: list[Any], ttl: float | None, limit: int) -> None:
    join, model = LabelJoin("classification", ttl=ttl, limit=limit), Model(ttl, limit)
    for now, (what, rows) in steps:
        join.expire(now)
        model.expire(now)
        if what == "stored":
            tree, arrays = pack(join)
            join = restore(LabelJoin("classification", ttl=ttl, limit=limit), tree, arrays)
            again, arrays_again = pack(join)
            assert again == tree
            assert {k: a.tobytes() for k, a in arrays.items()} == {
                k: a.tobytes() for k, a in arrays_again.items()
            }
            check_counts(join, model)
            continue
        names, seconds, *rest = map(list, zip(*rows, strict=True))
        keys, times = series(names, pl.String), series(seconds, pl.Float64)
        if what == "predicted":
            xs, predicted = rest
            names = list(xs[0])
            X = pl.DataFrame(xs, {n: FEATURES[n] for n in names}) if names else pl.DataFrame()
            X = X if names else pl.DataFrame(height=len(keys))
            labels, probabilities = map(list, zip(*predicted, strict=True))
            matched = join.predicted(keys, times, X, Predictions(labels, probabilities))
            assert_same(matched, model.predicted(rows))
        else:
            (ys,) = rest
            y = pl.Series(ys, dtype=pl.Object if len(set(map(type, ys))) > 1 else None)
            matched = join.labelled(keys, times, y)
            assert_same(matched, model.labelled(rows))
        event(f"{what}: {'matched' if len(matched.predictions) else 'nothing'}")
        check_counts(join, model)


@pytest.mark.parametrize(
    ("kind", "labels", "y"),
    [
        ("regression", [1.5, None], pl.Series([2.5, 3.5])),
        (
            "multi-target",
            [{"u": 1.0, "v": 2.0}, None],
            pl.DataFrame({"u": [5.0, 6.0], "v": [7.0, 8.0]}),
        ),
    ],
)
@pytest.mark.parametrize("early", [True, False])
def test_numbers_come_back_as_they_were(kind: Any, labels: list[Any], y: Any, early: bool) -> None:
    join = LabelJoin(kind)
    keys, times = pl.Series(["1", "2"]), series([None, None], pl.Float64)
    X = pl.DataFrame({"x": [0.5, None]})
    calls = [
        lambda: join.predicted(keys, times, X, Predictions(labels)),
        lambda: join.labelled(keys, times, y),
    ]
    first, second = reversed(calls) if early else calls
    assert len(first().predictions) == 0
    join = restore(LabelJoin(kind), *pack(join))
    matched = second()
    assert matched.X.equals(X)
    assert matched.predictions.labels == labels
    assert to_list(matched.y) == to_list(y)


def test_a_repeated_key_is_forgotten_with_its_age() -> None:
    join = LabelJoin("regression", ttl=10.0)
    key, y, X = pl.Series(["k"]), pl.Series([1.0]), pl.DataFrame({"x": [1.0]})
    for begin in (0.0, 20.0):
        join.expire(begin)
        time = pl.Series([begin])
        join.predicted(key, time, X, Predictions([None]))
        join.predicted(key, time, X, Predictions([None]))
        assert len(join.labelled(key, time, y).predictions) == 1
        assert len(join.labelled(key, time, y).predictions) == 0
    assert (join.counts["matched"], join.counts["repeated"], join.counts["duplicates"]) == (2, 2, 2)


@pytest.mark.parametrize("options", [{"ttl": 0.0}, {"ttl": float("nan")}, {"limit": 0}])
def test_numbers_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        LabelJoin("regression", **options)


def test_memory_does_not_grow_with_what_has_gone() -> None:
    rows = KeyedRows()
    for start in range(0, 200_000, 1000):
        keys = pl.Series(map(str, range(start, start + 1000)))
        gone = pl.DataFrame({f"only in {start}": [1.0] * 1000, "x": range(1000)})
        rows.add(keys, keys.cast(pl.Float64), gone)
        rows.drop_over(500)
        assert rows._content.height <= 4 * 500 + SLACK + 1000
        assert rows._content.width <= 7
    assert len(rows) == 500
    last = rows.take(pl.Series(["199500", "199999", "0"]))
    assert last["x"].to_list() == [500, 999]
