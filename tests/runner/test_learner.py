"""A run that is cut anywhere and resumed is the run that was never cut, bit for bit."""

from __future__ import annotations

import json
import random
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from river import metrics
from threadpoolctl import threadpool_info, threadpool_limits

from fenchel_stream.checkpoint import CheckpointStore
from fenchel_stream.checkpoint.manifest import NAME, write_manifest
from fenchel_stream.errors import CheckpointError, ConfigError, DataError
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner
from fenchel_stream.streams.source import Batch, Position, Source
from tests.runs import SEA, WRITERS, assert_same, kept, learn, read_lines, rows, tables


def make(folder: Path, kind: str, count: int) -> str:
    """Write a stream of a kind, and return its URL."""
    if kind == "river":
        return f"{SEA}&n={count}"
    return WRITERS[kind](folder / f"data.{kind}", rows(count))


class TestResume:
    @pytest.mark.parametrize(
        ("size", "delay", "count"), [(1, 0, 30), (7, 30, 150), (20, 0, 200), (64, 5, 200)]
    )
    @pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "river"])
    def test_a_cut_changes_nothing(
        self, kind: str, size: int, delay: int, count: int, tmp_path: Path
    ) -> None:
        url = make(tmp_path, kind, count)
        run = {"batch_size": size, "delay": delay}
        checkpoint = {"every": 3}
        expected = learn(tmp_path / "whole", url, run=run, checkpoint=checkpoint)
        for limit in sorted(random.Random(kind).sample(range(1, count), 2)):
            learn(tmp_path / "cut", url, run={**run, "limit": limit}, checkpoint=checkpoint)
        result = learn(tmp_path / "cut", url, run=run, checkpoint=checkpoint)
        assert_same(kept(tmp_path / "cut"), kept(tmp_path / "whole"))
        assert result.metrics == expected.metrics
        assert result.curve.equals(expected.curve)
        assert (result.rows, result.rejected) == (expected.rows, expected.rejected)
        assert expected.rejected > 0 or kind == "river"

    @pytest.mark.parametrize("every", [1, 4, 1000])
    def test_checkpoints_change_nothing(self, every: int, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 300)
        run = {"delay": 13}
        settings = tables(tmp_path / "none", url, run=run)
        del settings["checkpoint"]
        learner = Learner(parse(settings))
        expected = learner.run()
        result = learn(tmp_path / "some", url, run=run, checkpoint={"every": every})
        assert result.metrics == expected.metrics
        assert result.curve.equals(expected.curve)
        # What the run without checkpoints knows at its end, stored for the comparison.
        meta = CheckpointStore(tmp_path / "some" / "checkpoints").verify().meta
        state = {"test": learner.test, "curve": learner.curve, "counts": learner.rejects.counts}
        with CheckpointStore(tmp_path / "none" / "checkpoints") as store:
            store.save(state, meta)
        assert_same(kept(tmp_path / "some"), kept(tmp_path / "none"))

    @pytest.mark.parametrize(("state", "positions"), [("new", "old"), ("old", "new")])
    def test_the_comparison_can_fail(self, state: str, positions: str, tmp_path: Path) -> None:
        """Two files that are each written at once, but not both: a checkpoint of mixed halves."""
        url = make(tmp_path, "csv", 300)
        learn(tmp_path / "whole", url)
        learn(tmp_path / "cut", url, run={"limit": 160})
        old, new = CheckpointStore(tmp_path / "cut" / "checkpoints").list()[-2:]
        assert old.meta["records"] + 20 == new.meta["records"] == 160
        meta = {"old": old, "new": new}[positions].meta
        (new.path / NAME).unlink()
        if state == "old":
            for file in ("state.json", "arrays.npz"):
                shutil.copy(old.path / file, new.path / file)
        write_manifest(new.path, meta)
        learn(tmp_path / "cut", url)
        cut, whole = kept(tmp_path / "cut"), kept(tmp_path / "whole")
        assert cut.meta["records"] == whole.meta["records"] == 300
        assert cut.meta["position"] == whole.meta["position"]
        assert cut.arrays != whole.arrays

    def test_a_run_at_its_limit_learns_no_more(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 100)
        for limit in (50, 60, 41):
            learn(tmp_path, url, run={"limit": limit})
            assert kept(tmp_path).meta["records"] == 60
        names = [info.name for info in CheckpointStore(tmp_path / "checkpoints").list()]
        learn(tmp_path, url, run={"limit": 10})
        assert [i.name for i in CheckpointStore(tmp_path / "checkpoints").list()] == names

    def test_a_longer_file_is_learnt_on(self, tmp_path: Path) -> None:
        data = rows(100)
        url = WRITERS["csv"](tmp_path / "data.csv", data[:60])
        learn(tmp_path, url)
        WRITERS["csv"](tmp_path / "data.csv", data)
        assert learn(tmp_path, url).rejected + learn(tmp_path, url).rows == 100
        assert len(read_lines(tmp_path / "predictions.jsonl")) == learn(tmp_path, url).rows

    def test_another_configuration(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 100)
        learn(tmp_path, url)
        before = kept(tmp_path)
        other = make(tmp_path, "jsonl", 100)
        for changes, message in (
            ({"model": {"hidden": [9]}}, r"model\.hidden = \[8\], and this run has \[9\]"),
            ({"model": {"lam": 2}}, r"model\.lam = None, and this run has 2"),
            ({"source": {"url": other}}, r"source\.url = 'csv:.*', and this run has 'jsonl:"),
            ({"run": {"batch_size": 21}}, r"run\.batch_size = 20, and this run has 21"),
            ({"run": {"delay": 1}}, r"run\.delay = 0, and this run has 1"),
            ({"features": {"one_hot": []}}, r"features\.one_hot = \['c'\], and this run has \[\]"),
            ({"metrics": {"window": 71}}, r"metrics\.window = 70, and this run has 71"),
        ):
            with pytest.raises(CheckpointError, match=message) as error:
                learn(tmp_path, url, **changes)
            assert "restore the setting, or choose another" in str(error.value)
        (tmp_path / "data.jsonl").unlink()
        # What does not decide what is learnt may change.
        learn(tmp_path, url, checkpoint={"every": 7, "keep": 2}, run={"max_error_rate": 0.9})
        assert_same(kept(tmp_path), before)

    def test_a_checkpoint_of_something_else(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 100)
        with CheckpointStore(tmp_path / "checkpoints") as store:
            store.save({"numbers": [1, 2]}, {})
        with pytest.raises(CheckpointError, match=r"made with source\.url = None"):
            learn(tmp_path, url)

    def test_predictions_that_are_gone(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 100)
        learn(tmp_path, url, run={"limit": 60})
        (tmp_path / "predictions.jsonl").unlink()
        with pytest.raises(CheckpointError, match=r"predictions\.jsonl: holds 0 bytes, but"):
            learn(tmp_path, url)


def without_generators(state: str) -> str:
    tree = json.loads(state)
    nodes = [node for node in tree["nodes"] if node.get("kind") != "generator"]
    assert len(nodes) < len(tree["nodes"])
    return json.dumps(nodes)


class TestFactory:
    @pytest.mark.parametrize(
        "model",
        [
            {"factory": "tests.models:logistic", "rate": 0.5},
            {"factory": "tests.models:hoeffding", "grace_period": 20},
        ],
    )
    def test_plain_state_is_stored_as_such(self, model: dict[str, Any], tmp_path: Path) -> None:
        url = make(tmp_path, "river", 300)
        changes: dict[str, Any] = {"model": model, "metrics": {"names": ["Accuracy", "ROCAUC"]}}
        expected = learn(tmp_path / "whole", url, **changes)
        for limit in (37, 180):
            learn(tmp_path / "cut", url, **changes, run={"limit": limit})
        assert learn(tmp_path / "cut", url, **changes).metrics == expected.metrics
        cut, whole = kept(tmp_path / "cut"), kept(tmp_path / "whole")
        # Each node of a tree has a random generator that is never seeded and never used.
        if "hoeffding" in model["factory"]:
            cut.state, whole.state = (without_generators(one.state) for one in (cut, whole))
        assert_same(cut, whole)
        assert not list(tmp_path.rglob("*.pkl"))
        records = read_lines(tmp_path / "cut" / "predictions.jsonl")
        assert {record["prediction"] for record in records} >= {True, False}

    def test_other_state_is_pickled_only_if_the_user_says_so(self, tmp_path: Path) -> None:
        url = make(tmp_path, "river", 300)
        changes: dict[str, Any] = {
            "model": {"factory": "tests.models:only_pickle"},
            "metrics": {"names": ["Accuracy"]},
        }
        with pytest.raises(CheckpointError, match=r"set allow_pickle = true if you accept that"):
            learn(tmp_path / "cut", url, **changes)
        assert (tmp_path / "cut" / "predictions.jsonl").read_text() == "", "nothing was learnt yet"
        pickle = {"allow_pickle": True}
        expected = learn(tmp_path / "whole", url, **changes, checkpoint=pickle)
        for limit in (37, 180):
            learn(tmp_path / "cut", url, **changes, run={"limit": limit}, checkpoint=pickle)
        with pytest.raises(CheckpointError, match="loading a pickle runs whatever code it names"):
            learn(tmp_path / "cut", url, **changes)
        result = learn(tmp_path / "cut", url, **changes, checkpoint=pickle)
        assert result.metrics == expected.metrics
        cut, whole = kept(tmp_path / "cut"), kept(tmp_path / "whole")
        assert (cut.meta, cut.files) == (whole.meta, whole.files)
        assert len(list(tmp_path.rglob("test.pkl"))) > 1


class TestBeginAgain:
    def test_nothing_learnt_is_nothing_to_resume(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 100)
        for _ in range(2):
            # The category that is not declared is noticed each time, not only the first.
            with pytest.raises(DataError, match="one_hot"):
                learn(tmp_path, url, features={"one_hot": []})
        assert learn(tmp_path, url).rows > 0

    def test_an_output_left_out_for_a_while_keeps_what_it_had(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 150)
        learn(tmp_path, url, run={"limit": 40})
        had = read_lines(tmp_path / "predictions.jsonl")
        learn(tmp_path, url, run={"limit": 80}, output={"predictions": None})
        learn(tmp_path, url)
        result = read_lines(tmp_path / "predictions.jsonl")
        assert result[: len(had)] == had
        assert len(result) > len(had)

    def test_another_file_is_not_cut(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 100)
        learn(tmp_path, url, run={"limit": 40})
        other = tmp_path / "other.jsonl"
        other.write_text('{"where": "a", "prediction": 1, "model": "b"}\n' * 1000)
        learn(tmp_path, url, output={"predictions": str(other)})
        assert len(read_lines(other)) > 1000


class TestOutput:
    def test_every_row_is_predicted_once_and_in_order(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 150)
        result = learn(tmp_path, url, run={"delay": 25})
        predictions = read_lines(tmp_path / "predictions.jsonl")
        rejects = read_lines(tmp_path / "rejects.jsonl")
        lines = [int(record["where"].removeprefix("data.csv:")) for record in predictions]
        assert lines == sorted(lines)
        wrong = [int(record["where"].removeprefix("data.csv:")) for record in rejects]
        assert sorted(lines + wrong) == list(range(2, 152))
        assert {record["reason"] for record in rejects} == {
            "missing_target",
            "non_numeric",
            "ragged",
        }
        assert result.rejected == len(rejects)
        assert result.rows == len(predictions) - 25
        for record in predictions[60:]:
            assert record["prediction"] in {"yes", "no"}
            assert sum(record["probabilities"].values()) == pytest.approx(1)
            best = max(record["probabilities"], key=record["probabilities"].__getitem__)
            assert record["prediction"] == best

    def test_regression(self, tmp_path: Path) -> None:
        url = make(tmp_path, "parquet", 100)
        result = learn(
            tmp_path,
            url,
            source={"target": "b", "kind": "regression"},
            features={"one_hot": ["c"], "ignore": ["y"]},
            metrics={"names": ["MAE", "RMSE"]},
        )
        assert 0 < result.metrics["MAE"] <= result.metrics["RMSE"]
        records = read_lines(tmp_path / "predictions.jsonl")
        assert all(type(record["prediction"]) is float for record in records[20:])
        assert all("probabilities" not in record for record in records)

    def test_several_targets(self, tmp_path: Path) -> None:
        url = make(tmp_path, "parquet", 100)
        changes: dict[str, Any] = {
            "source": {"target": ["a", "b"], "kind": "multi-target"},
            "features": {"one_hot": ["c"], "ignore": ["y"]},
            "metrics": {"names": ["MAE"]},
        }
        expected = learn(tmp_path / "whole", url, **changes)
        learn(tmp_path / "cut", url, **changes, run={"limit": 55})
        assert learn(tmp_path / "cut", url, **changes).metrics == expected.metrics
        assert_same(kept(tmp_path / "cut"), kept(tmp_path / "whole"))
        last = read_lines(tmp_path / "cut" / "predictions.jsonl")[-1]
        assert last["prediction"].keys() == {"a", "b"}

    def test_the_positive_class_is_true(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 400)
        changes: dict[str, Any] = {"metrics": {"names": ["F1", "ROCAUC"]}}
        with pytest.raises(ConfigError, match=r"F1 compares one class .* source\.positive = \"yes"):
            learn(tmp_path / "without", url, **changes)
        result = learn(tmp_path / "with", url, **changes, source={"positive": "yes"})
        assert result.metrics["ROCAUC"] > 0.6
        records = read_lines(tmp_path / "with" / "predictions.jsonl")
        assert {record["prediction"] for record in records[20:]} == {True, False}
        # River's own answer, from what was written.
        f1 = metrics.F1()
        truth = {f"data.csv:{line}": row["y"] for line, row in enumerate(rows(400), 2)}
        for record in records:
            if record["prediction"] is not None:
                f1.update(truth[record["where"]] == "yes", record["prediction"])
        assert f1.get() == result.metrics["F1"]

    def test_a_plot(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 100)
        plot = tmp_path / "new" / "plot.png"
        learn(tmp_path, url, output={"plot": str(plot)})
        assert plot.read_bytes().startswith(b"\x89PNG")

    def test_too_many_rejects(self, tmp_path: Path) -> None:
        data = rows(300)
        for row in data[150:]:
            row["a"] = "far"
        url = WRITERS["csv"](tmp_path / "data.csv", data)
        with pytest.raises(DataError, match=r"(\d+) of (\d+) records were rejected") as error:
            learn(tmp_path, url, run={"max_error_rate": 0.2})
        rejected = len(read_lines(tmp_path / "rejects.jsonl"))
        assert f"{rejected} of 180 records" in str(error.value)
        # It ends there every time, until the user allows more.
        with pytest.raises(DataError, match=f"{rejected} of 180 records"):
            learn(tmp_path, url, run={"max_error_rate": 0.2})
        assert learn(tmp_path, url, run={"max_error_rate": 0.9}).rejected > rejected
        where = [record["where"] for record in read_lines(tmp_path / "rejects.jsonl")]
        assert len(where) == len(set(where))

    def test_an_output_that_cannot_be_written(self, tmp_path: Path) -> None:
        """No prediction is dropped: the run ends, and goes on when there is room again."""
        cut, whole = tmp_path / "cut", tmp_path / "whole"
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                learn(cut, SEA, run={"limit": 1000}, checkpoint={"every": 10})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert 0 < kept(cut).meta["records"] < 1000
        for folder in (cut, whole):
            learn(folder, SEA, run={"limit": 1000}, checkpoint={"every": 10})
        assert_same(kept(cut), kept(whole))


class TestThreads:
    @pytest.mark.parametrize("threads", [1, 2])
    def test_a_run_has_its_own_number_of_threads(self, threads: int, tmp_path: Path) -> None:
        seen: set[int] = set()

        class Watched(Learner):
            def _learn(self, batch: Batch) -> None:
                seen.update(pool["num_threads"] for pool in threadpool_info())
                super()._learn(batch)

        with threadpool_limits(3):
            before = [pool["num_threads"] for pool in threadpool_info()]
            Watched(parse(tables(tmp_path, f"{SEA}&n=50", run={"threads": threads}))).run()
            assert (
                [pool["num_threads"] for pool in threadpool_info()] == before == [3] * len(before)
            )
        assert seen == {threads}


class TestSilence:
    def test_a_source_without_news_changes_nothing(self, tmp_path: Path) -> None:
        """Batches without any record, as an idle topic gives them, are no batches."""
        turns = []

        class Halting(Source):
            def __init__(self, source: Source) -> None:
                self.source = source

            def batches(self, size: int, position: Position | None = None) -> Iterator[Batch]:
                for batch in self.source.batches(size, position):
                    yield from [Batch(pl.DataFrame(), [], position or {})] * 3
                    yield batch

        class Watched(Learner):
            def _turn(self) -> None:
                turns.append(self.records)
                super()._turn()

        url = make(tmp_path, "csv", 200)
        changes: dict[str, Any] = {"checkpoint": {"every": 4}}
        learn(tmp_path / "whole", url, **changes)
        learner = Watched(parse(tables(tmp_path / "cut", url, **changes)))
        learner.labels.source = Halting(learner.labels.source)
        learner.run()
        assert_same(kept(tmp_path / "cut"), kept(tmp_path / "whole"))
        assert len(turns) == 4 * 10 + 1


class TestBeginning:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"output": {"plot": "plot.abc"}}, r"plot plot\.abc"),
            ({"output": {"rejects": "data.csv/below"}}, r"data\.csv/below cannot be written"),
            ({"metrics": {"port": 0, "host": "192.0.2.1"}}, "cannot be served at 192.0.2.1"),
        ],
    )
    def test_what_cannot_be_fails_before_anything_is_lost(
        self,
        changes: dict[str, Any],
        message: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        url = make(tmp_path, "csv", 100)
        earlier = '{"where": "a", "prediction": 1, "model": "of an earlier run"}\n'
        (tmp_path / "predictions.jsonl").write_text(earlier)
        for _ in range(2):  # and leaves nothing locked or open
            with pytest.raises(ConfigError, match=message):
                learn(tmp_path, url, **changes)
        assert (tmp_path / "predictions.jsonl").read_text() == earlier
        learn(tmp_path, url)

    def test_a_checkpoint_directory_in_use(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 100)
        with (
            CheckpointStore(tmp_path / "checkpoints"),
            pytest.raises(CheckpointError, match="process .* is writing checkpoints there"),
        ):
            learn(tmp_path, url)
        learn(tmp_path, url)

    def test_a_damaged_checkpoint(self, tmp_path: Path) -> None:
        url = make(tmp_path, "csv", 100)
        learn(tmp_path, url)
        arrays = CheckpointStore(tmp_path / "checkpoints").list()[-1].path / "arrays.npz"
        content = bytearray(arrays.read_bytes())
        content[len(content) // 2] ^= 1
        arrays.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"arrays\.npz: its sha256 is not .* is whole"):
            learn(tmp_path, url)
        # The advice of the message.
        arrays.parent.rename(tmp_path / "damaged")
        learn(tmp_path, url)
        learn(tmp_path / "whole", url)
        assert_same(kept(tmp_path), kept(tmp_path / "whole"))

    def test_nothing_is_written_that_was_not_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "empty").mkdir()
        monkeypatch.chdir(tmp_path / "empty")
        settings = tables(tmp_path, make(tmp_path, "csv", 100))
        del settings["checkpoint"], settings["output"]
        Learner(parse(settings)).run()
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["data.csv", "empty"]
