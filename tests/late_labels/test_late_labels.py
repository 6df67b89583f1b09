"""Labels on a stream of their own: what is learnt, in which order, and across crashes."""

from __future__ import annotations

import json
import queue
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.estimators.classifier import FenchelClassifier
from fenchel_stream.late_labels import Interleaved
from fenchel_stream.late_labels.timed_batch import TimedBatch
from fenchel_stream.preprocessing.pipeline import pipeline
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner
from fenchel_stream.streams import Batch, Position, Source
from fenchel_stream.validation.columns import to_seconds
from tests.runs import PATIENCE, assert_same, kept, learn, read_lines, rows, start, tables

TTL = 400.0


def write(folder: Path, count: int = 400, seed: int = 1) -> dict[str, Any]:
    """Write events and noisy labels with faults of every kind; return the tables that name them."""
    rng = random.Random(seed)
    events, labels = [], []
    for number, row in enumerate(rows(count, seed)):
        y, key, time = row.pop("y"), f"e{number}", 10.0 * number
        events.append({"id": key, "t": time, **row})
        labels.append({"id": key, "t": time + rng.choice([-30, 5, 90, 300, 900]), "y": y})
        if number % 29 == 3:
            labels.append({**labels[-1], "t": time + 350})  # a duplicate
        if number % 31 == 4:
            events.append(events[-1])
        if number % 37 == 5:
            labels.append({"id": f"other {number}", "t": time, "y": "no"})
        if number % 41 == 6:
            events.append({**row, "t": time})
            labels.append({"id": f"bare {number}", "t": time})
        if number % 43 == 7:
            events.append({**row, "id": [key], "t": time})
            events.append({**row, "id": f"late {key}", "t": "soon"})
    labels.sort(key=lambda label: label["t"])
    for name, made in (("events", events), ("labels", labels)):
        lines = [json.dumps(one) for one in made]
        lines[50::97] = ["{"] * len(lines[50::97])
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    labels_table = {
        "source": f"jsonl:{folder / 'labels.jsonl'}",
        "key": "id",
        "time": "t",
        "ttl": TTL,
    }
    return {"labels": labels_table, "run": {"batch_size": 20, "progress": False}}


def figures(folder: Path) -> list[dict[str, int]]:
    """Return how the join stood at each checkpoint."""
    return [info.meta["labels"] for info in CheckpointStore(folder / "checkpoints").list()]


def assert_conserved(result: dict[str, int]) -> None:
    assert result["matched"] + result["expired"] + result["pending"] == result["predictions"]
    assert (
        result["matched"] + result["duplicates"] + result["orphans"] + result["early"]
        == result["labels"]
    )


class TestRun:
    def test_its_last_line_tells_what_was_lost(self, tmp_path: Path) -> None:
        changes = write(tmp_path, 300)
        changes["labels"] |= {"ttl": 60.0}
        result = str(learn(tmp_path, f"jsonl:{tmp_path / 'events.jsonl'}", **changes))
        kept = figures(tmp_path)[-1]
        assert kept["expired"]
        assert kept["orphans"]
        names = ("matched", "expired", "pending", "orphans", "duplicates", "early")
        assert result.partition("; late labels: ")[2].split(", ") == [
            f"{kept[name]:,} {name}" for name in names if kept[name]
        ]

    def test_it_learns_what_dictionaries_say(self, tmp_path: Path) -> None:
        """Another program for the same: rows in dictionaries, one after the other."""
        changes = write(tmp_path, 300)
        url = f"jsonl:{tmp_path / 'events.jsonl'}"
        result = learn(tmp_path, url, **changes)

        def read(name: str) -> list[list[Any]]:
            lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
            batches = [lines[i : i + 20] for i in range(0, len(lines), 20)]
            return [[json.loads(one) for one in batch if one != "{"] for batch in batches]

        def when(batch: list[Any]) -> float:
            times: list[float] = sorted(one["t"] for one in batch if not isinstance(one["t"], str))
            middle = len(times) // 2
            return times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2

        order = sorted(
            [(when(batch), 0, "event", batch) for batch in read("events")]
            + [(when(batch), 1, "label", batch) for batch in read("labels")],
            key=lambda one: one[:2],
        )
        model = pipeline(FenchelClassifier(hidden=(8,)), scale=True, one_hot=["c"])
        waiting: dict[str, Any] = {}
        early: dict[str, Any] = {}
        done: dict[str, Any] = {}
        right = scored = learnt = predicted = 0
        for now, _, what, batch in order:
            for table in (waiting, early, done):
                for key in [key for key, (time, *_) in table.items() if time < now - TTL]:
                    del table[key]
            due: list[Any] = []
            if what == "event":
                good = [one for one in batch if isinstance(one.get("id"), str)]
                good = [one for one in good if not isinstance(one["t"], str)]
                predicted += len(good)
                X = pl.DataFrame([{n: one[n] for n in "abc"} for one in good])
                chances = model.predict_proba_many(X)
                for number, one in enumerate(good):
                    key, predicted_class = one["id"], None
                    if chances.columns:
                        row = chances.row(number)
                        predicted_class = chances.columns[row.index(max(row))]
                    if key in waiting or key in done:
                        continue
                    if key in early:
                        due.append((one, predicted_class, early.pop(key)[1]))
                        done[key] = (one["t"],)
                    else:
                        waiting[key] = (one["t"], one, predicted_class)
            else:
                for one in batch:
                    key = one["id"]
                    if "y" not in one or key in early or key in done:
                        continue
                    if key in waiting:
                        time, x, predicted_class = waiting.pop(key)
                        due.append((x, predicted_class, one["y"]))
                        done[key] = (time,)
                    else:
                        early[key] = (one["t"], one["y"])
            if due:
                scored += sum(predicted_class is not None for _, predicted_class, _ in due)
                right += sum(predicted_class == y for _, predicted_class, y in due)
                learnt += len(due)
                X = pl.DataFrame([{n: x[n] for n in "abc"} for x, _, _ in due])
                model.learn_many(X, pl.Series([y for *_, y in due]))
        (last,) = figures(tmp_path)[-1:]
        assert (last["matched"], last["pending"], last["early"]) == (
            learnt,
            len(waiting),
            len(early),
        )
        assert result.rows == learnt
        assert result.metrics["Accuracy"] == right / scored
        assert last["predictions"] == predicted
        assert len(read_lines(tmp_path / "predictions.jsonl")) == predicted
        assert min(last.values()) > 0 or last["pending"] == 0, "a case of each kind"

    def test_a_cut_changes_nothing(self, tmp_path: Path) -> None:
        changes = write(tmp_path)
        url = f"jsonl:{tmp_path / 'events.jsonl'}"
        checkpoint = {"every": 3, "keep": 1000}
        expected = learn(tmp_path / "whole", url, **changes, checkpoint=checkpoint)
        for limit in (130, 350, 351, 600):
            cut = changes | {"run": changes["run"] | {"limit": limit}}
            learn(tmp_path / "cut", url, **cut, checkpoint=checkpoint)
        result = learn(tmp_path / "cut", url, **changes, checkpoint=checkpoint)
        assert_same(kept(tmp_path / "cut"), kept(tmp_path / "whole"))
        assert result.metrics == expected.metrics
        for one in (*figures(tmp_path / "cut"), *figures(tmp_path / "whole")):
            assert_conserved(one)
        last = figures(tmp_path / "whole")[-1]
        assert all(last[name] > 3 for name in last if name not in {"early", "pending"}), last

    def test_kills_change_nothing(self, tmp_path: Path) -> None:
        changes = write(tmp_path)
        url = f"jsonl:{tmp_path / 'events.jsonl'}"
        learn(tmp_path / "whole", url, **changes)
        for records in (100, 300, 500):
            with start(tmp_path / "cut", url, **changes) as process:
                process.checkpoint_after(records)
                process.signal(signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
        with start(tmp_path / "cut", url, **changes) as process:
            assert process.wait() == 0
        assert_same(kept(tmp_path / "cut"), kept(tmp_path / "whole"))

    @pytest.mark.parametrize("kind", ["regression", "multi-target"])
    def test_other_kinds(self, kind: str, tmp_path: Path) -> None:
        changes = write(tmp_path, 200)
        for name in ("events", "labels"):
            path = tmp_path / f"{name}.jsonl"
            path.write_text(path.read_text().replace('"yes"', "1.5").replace('"no"', "-1"))
        source = {"target": "y" if kind == "regression" else ["y"], "kind": kind}
        changes |= {"source": source, "metrics": {"names": ["MAE"]}}
        url = f"jsonl:{tmp_path / 'events.jsonl'}"
        expected = learn(tmp_path / "whole", url, **changes)
        cut = changes | {"run": changes["run"] | {"limit": 200}}
        learn(tmp_path / "cut", url, **cut)
        assert learn(tmp_path / "cut", url, **changes).metrics == expected.metrics
        assert_same(kept(tmp_path / "cut"), kept(tmp_path / "whole"))
        assert 0 < expected.metrics[next(iter(expected.metrics))] < 1.3

    def test_the_targets_of_events_are_not_seen(self, tmp_path: Path) -> None:
        events = [{"id": n, "t": n, "x": 0.5, "y": "yes" if n % 2 else "no"} for n in range(300)]
        labels = [{"id": str(one["id"]), "t": one["t"], "y": one["y"]} for one in events]
        for name, made in (("events", events), ("labels", labels)):
            (tmp_path / name).write_text("\n".join(map(json.dumps, made)))
        changes: dict[str, Any] = {
            "labels": {"source": f"jsonl:{tmp_path / 'labels'}", "key": ["id"], "time": "t"},
            "features": {"one_hot": []},
        }
        result = learn(tmp_path, f"jsonl:{tmp_path / 'events'}", **changes)
        assert result.rows == 300
        assert 0.4 < result.metrics["Accuracy"] < 0.6

    def test_a_key_of_several_columns(self, tmp_path: Path) -> None:
        events = [{"k": a, "l": b, "x": 1.0} for a in ("a", "a,b") for b in ("c", "b,c")]
        labels = [{"k": one["k"], "l": one["l"], "y": str(i)} for i, one in enumerate(events)]
        for name, made in (("events", events), ("labels", [labels[1], labels[2], labels[1]])):
            (tmp_path / name).write_text("\n".join(map(json.dumps, made)))
        table = {"source": f"jsonl:{tmp_path / 'labels'}", "key": ["k", "l"]}
        learn(tmp_path, f"jsonl:{tmp_path / 'events'}", labels=table, features={"one_hot": []})
        last = figures(tmp_path)[-1]
        assert (last["matched"], last["pending"], last["duplicates"]) == (2, 2, 1)

    def test_the_times_of_a_batch_are_read_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However often a batch is compared with the next batch of the other stream."""
        changes = write(tmp_path)
        read: list[int] = []
        batches: list[str] = []

        def counted(column: pl.Series) -> Any:
            read.append(len(column))
            return to_seconds(column)

        class Watched(Learner):
            def _learn(self, batch: Batch) -> None:
                batches.append(batch.where[0])
                super()._learn(batch)

        monkeypatch.setattr("fenchel_stream.late_labels.timed_batch.to_seconds", counted)
        Watched(parse(tables(tmp_path, f"jsonl:{tmp_path / 'events.jsonl'}", **changes))).run()
        assert len(read) == len(batches) > 30


class TestFaults:
    @pytest.mark.parametrize("form", ["csv", "jsonl"])
    def test_a_target_that_labels_do_not_have(self, tmp_path: Path, form: str) -> None:
        made = pl.DataFrame({"id": range(120), "x": 0.5, "y": "no"})
        path = tmp_path / f"data.{form}"
        (made.write_csv if form == "csv" else made.write_ndjson)(path)
        with pytest.raises(DataError, match="target column 'z' does not exist; .* has: id, x, y"):
            learn(
                tmp_path,
                f"{form}:{path}",
                source={"target": "z"},
                features={"ignore": ["y"], "one_hot": []},
                labels={"source": f"{form}:{path}", "key": "id"},
            )

    def test_a_key_that_nobody_has(self, tmp_path: Path) -> None:
        changes = write(tmp_path, 200)
        changes["labels"]["key"] = "nr"
        with pytest.raises(DataError, match=r"none of the first 1\d\d events has a key \(nr\)"):
            learn(tmp_path, f"jsonl:{tmp_path / 'events.jsonl'}", **changes)

    def test_a_column_that_a_file_lacks(self, tmp_path: Path) -> None:
        changes = write(tmp_path, 200)
        pl.DataFrame({"id": ["e1"], "a": [0.5]}).write_csv(tmp_path / "events.csv")
        with pytest.raises(DataError, match=r"events have no column 't', which \[labels\] names"):
            learn(tmp_path, f"csv:{tmp_path / 'events.csv'}", **changes, features={"one_hot": []})

    def test_mistakes_in_the_configuration(self, tmp_path: Path) -> None:
        changes = write(tmp_path, 50)
        url = f"jsonl:{tmp_path / 'events.jsonl'}"
        with pytest.raises(ConfigError, match="two ways for labels to come late"):
            parse(tables(tmp_path, url, **{**changes, "run": {"delay": 3}}))
        with pytest.raises(ConfigError, match="'id' joins labels to events and cannot be a fea"):
            Learner(parse(tables(tmp_path, url, **changes, features={"one_hot": ["id"]})))
        changes["labels"]["source"] = "jsonl:nowhere"
        with pytest.raises(ConfigError, match="no such file"):
            Learner(parse(tables(tmp_path, url, **changes)))

    def test_bad_rows_are_set_aside_with_their_reason(self, tmp_path: Path) -> None:
        changes = write(tmp_path, 200)
        learn(tmp_path, f"jsonl:{tmp_path / 'events.jsonl'}", **changes)
        reasons = {one["reason"] for one in read_lines(tmp_path / "rejects.jsonl")}
        assert reasons == {
            "malformed",
            "missing_key",
            "missing_target",
            "nested_key",
            "unparsable_time",
        }


class Live(Source):
    """A source without end, such as a topic; it must be used in one thread alone."""

    live = True

    def __init__(self) -> None:
        self.queue: queue.Queue[Any] = queue.Queue()
        self.heard: list[Position] = []
        self.closed = False
        self.threads: set[int] = set()

    def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
        try:
            while True:
                self.threads.add(threading.get_ident())
                try:
                    item = self.queue.get(timeout=0.05)
                except queue.Empty:
                    yield Batch(pl.DataFrame(), [], {"n": -1})
                    continue
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                yield Batch(pl.DataFrame({"t": [item]}), [f"{item}"], {"n": item})
        finally:
            self.threads.add(threading.get_ident())
            self.closed = True

    def saved(self, position: Position) -> None:
        self.threads.add(threading.get_ident())
        self.heard.append(position)


def next_batch(batches: Iterator[Batch]) -> TimedBatch:
    return next(batch for batch in batches if isinstance(batch, TimedBatch))


class TestLive:
    def test_one_stream_does_not_wait_for_the_other(self) -> None:
        events, labels = Live(), Live()
        both = Interleaved(events, labels, "t")
        assert both.live
        batches = both.batches(1)
        for time in (1.0, 2.0, 3.0):
            events.queue.put(time)
            result = next_batch(batches)
            assert (result.stream, result.where) == ("events", [f"{time}"])
        assert result.position == {"events": {"n": 3.0}, "labels": {"n": -1}}
        # Both have something: the earlier one comes first, whichever it is.
        labels.queue.put(2.5)
        assert next_batch(batches).stream == "labels"
        for item in (9.0, 8.0, 7.0):
            labels.queue.put(item)
        events.queue.put(8.5)
        head = both._readers
        deadline = threading.Event()
        for _ in range(int(PATIENCE / 0.01)):
            if head["events"].head and head["labels"].head:
                break
            deadline.wait(0.01)
        assert [next_batch(batches).where for _ in range(4)] == [["8.5"], ["9.0"], ["8.0"], ["7.0"]]
        both.saved({"events": {"n": 8.5}, "labels": None})
        # A source that has given out nothing yet has nothing to hear.
        while not events.heard:
            next(batches)
        assert events.heard == [{"n": 8.5}]
        assert labels.heard == []
        batches.close()  # type: ignore[attr-defined]
        assert events.closed
        assert labels.closed
        for source in (events, labels):
            assert len(source.threads) == 1
            assert threading.get_ident() not in source.threads

    def test_it_ends_when_both_do(self) -> None:
        events, labels = Live(), Live()
        events.queue.put(1.0)
        events.queue.put(None)
        labels.queue.put(None)
        both = Interleaved(events, labels, None)
        assert [batch.where for batch in both.batches(1) if batch.where] == [["1.0"]]

    def test_an_error_is_raised_where_the_batches_are_read(self) -> None:
        events, labels = Live(), Live()
        labels.queue.put(DataError("gone"))
        batches = Interleaved(events, labels, None).batches(1)
        with pytest.raises(DataError, match="gone"):
            next_batch(batches)
        assert events.closed
