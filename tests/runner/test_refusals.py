"""A model or a metric that refuses a record costs that record, and a wrong start ends the run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from river import dummy, linear_model

from fenchel_stream.cli import main
from fenchel_stream.errors import DataError
from tests.runs import learn, read_lines

SEVEN = 7.0


class RefusesToLearn(dummy.NoChangeClassifier):
    """Does not learn rows whose feature is 7."""

    def learn_one(self, x: Any, y: Any) -> None:
        if x["a"] == SEVEN:
            raise ZeroDivisionError("a seven")
        super().learn_one(x, y)


class RefusesToPredict(linear_model.LogisticRegression):
    """Predicts in mini-batches, but none that has a 7."""

    def predict_proba_many(self, X: Any) -> Any:
        if (X["a"] == SEVEN).any():
            raise LookupError("a seven")
        return super().predict_proba_many(X)


class RefusesAll(dummy.NoChangeClassifier):
    """Learns nothing."""

    def learn_one(self, x: Any, y: Any) -> None:
        raise RuntimeError("no")


class RefusesNegative(dummy.StatisticRegressor):
    """Predicts what it has learnt last, without the sign of a loss."""

    def __init__(self) -> None:
        self.last = 0.0

    def learn_one(self, x: Any, y: float) -> None:
        self.last = x["a"]

    def predict_one(self, x: Any) -> float:
        return self.last


def write(folder: Path, count: int = 40) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "data.jsonl"
    rows = [{"a": SEVEN if n in {13, 30} else n % 5, "y": n % 2 == 1} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"jsonl:{path}"


@pytest.mark.parametrize("delay", [0, 5])
@pytest.mark.parametrize("model", ["RefusesToLearn", "RefusesToPredict"])
def test_a_record_that_a_model_refuses_is_a_dead_letter(
    tmp_path: Path, model: str, delay: int
) -> None:
    result = learn(
        tmp_path,
        write(tmp_path),
        features={"one_hot": [], "scale": False},
        model={"factory": f"{__name__}:{model}"},
        metrics={"names": ["Accuracy", "LogLoss"]},
        checkpoint={"allow_pickle": True},
        run={"batch_size": 10, "delay": delay},
    )
    letters = read_lines(tmp_path / "rejects.jsonl")
    assert [letter["where"] for letter in letters] == ["data.jsonl:14", "data.jsonl:31"]
    assert {letter["reason"] for letter in letters} == {"refused"}
    assert all("a seven" in letter["detail"] for letter in letters)
    assert all(json.loads(letter["raw"])["a"] == SEVEN for letter in letters)
    assert (result.rows, result.rejected) == (38 - delay, 2)


def test_late_labels_of_rows_that_a_model_refuses(tmp_path: Path) -> None:
    for name, keys in (("e", ["k", "a"]), ("l", ["k", "y"])):
        rows = [{"k": n, "a": SEVEN if n == 13 else n % 5, "y": n % 2 == 1} for n in range(40)]
        lines = [json.dumps({key: row[key] for key in keys}) + "\n" for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    result = learn(
        tmp_path,
        f"jsonl:{tmp_path / 'e.jsonl'}",
        features={"one_hot": [], "scale": False},
        labels={"source": f"jsonl:{tmp_path / 'l.jsonl'}", "key": "k"},
        model={"factory": f"{__name__}:RefusesToLearn"},
        metrics={"names": ["Accuracy"]},
        checkpoint={"allow_pickle": True},
    )
    (letter,) = read_lines(tmp_path / "rejects.jsonl")
    assert (letter["where"], letter["reason"]) == ("l.jsonl:14", "refused")
    assert (result.rows, result.rejected) == (39, 1)


def test_a_model_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the first 40 records is taken by the model"):
        learn(
            tmp_path,
            write(tmp_path),
            features={"one_hot": [], "scale": False},
            model={"factory": f"{__name__}:RefusesAll"},
            metrics={"names": ["Accuracy"]},
            checkpoint={"allow_pickle": True},
        )


def test_a_metric_that_fails_is_undefined_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "data.jsonl"
    values = [1.0, 2.0, -5.0, 3.0, -6.0, 4.0] + [1.0] * 80
    path.write_text("".join(json.dumps({"a": v, "y": 1.0}) + "\n" for v in values))
    with caplog.at_level(logging.WARNING):
        result = learn(
            tmp_path,
            f"jsonl:{path}",
            source={"kind": "regression"},
            features={"one_hot": [], "scale": False},
            model={"factory": f"{__name__}:RefusesNegative"},
            metrics={"names": ["MAE", "RMSLE"], "window": 10},
            checkpoint={"allow_pickle": True, "every": 20},
            run={"batch_size": 1},
        )
    assert result.metrics["RMSLE"] != result.metrics["RMSLE"]
    assert result.metrics["MAE"] > 0
    (message,) = [m for m in caplog.messages if "RMSLE is undefined" in m]
    assert message.endswith("label 1.0, prediction -5.0: ValueError: math domain error")
    # Once the row has left the window, the metric is defined again.
    assert result.curve["RMSLE"][-1] == 0.0


@pytest.mark.parametrize(("low", "high"), [(2, 3), (-1, 1), (1.5, 2.5)])
def test_binary_metrics_name_the_class_they_need(
    tmp_path: Path, low: float, high: float, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"a": 5 if n % 2 else -5, "y": high if n % 2 else low} for n in range(200)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["run", "--source", f"jsonl:{path}", "--target", "y", "--set", "run.progress=false"]
    command += ["--set", "model.hidden=[4]", "--set", 'metrics.names=["Accuracy","F1","LogLoss"]']
    assert main(command) == 2
    assert f"source.positive = {high}" in capsys.readouterr().err


def test_a_class_that_comes_later_leaves_binary_metrics_undefined(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"a": n % 2, "y": 2 if n == 150 else n % 2} for n in range(200)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = learn(
        tmp_path,
        f"jsonl:{path}",
        features={"one_hot": []},
        metrics={"names": ["Accuracy", "F1"]},
    )
    assert result.metrics["Accuracy"] > 0.5
    assert result.metrics["F1"] != result.metrics["F1"]


def jsonl(row: Callable[[int], Any], count: int = 30) -> str:
    return "".join(json.dumps(row(n)) + "\n" for n in range(count))


WRONG: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "class of lists": (
        "jsonl", jsonl(lambda n: {"a": n, "y": [n]}), {}, 3, "column 'y': a class is needed"),
    "targets of text": (
        "jsonl", jsonl(lambda n: {"a": n, "y": "u"}),
        {"source": {"kind": "regression"}, "metrics": {"names": ["MAE"]}}, 3,
        "column 'y': a number is needed"),
    "features of text": (
        "jsonl", jsonl(lambda n: {"a": "far", "y": n % 2}), {}, 3, "name it in one_hot"),
    "one-hot of dicts": (
        "jsonl", jsonl(lambda n: {"a": n, "c": {"d": n}, "y": n % 2}),
        {"features": {"one_hot": ["c"]}}, 3, "column 'c': a category is needed"),
    "array on a line": (
        "jsonl", json.dumps([{"a": 1, "y": 0}] * 30), {}, 3, "an array where an object belongs"),
    "array over lines": (
        "jsonl", "[\n" + ",\n".join([json.dumps({"a": 1, "y": 0})] * 300) + "\n]\n", {}, 2,
        "begins with a JSON array"),
    "one object over lines": (
        "jsonl", json.dumps({"a": 1, "y": 0}, indent=1), {}, 3, "none of the first 3 records can"),
    "other delimiter": (
        "csv", "a;y\n" + "1;u\n" * 30, {}, 3, "set source.options.delimiter to ';'"),
    "header of another delimiter": (
        "csv", "a,y\n" + "1;u\n" * 30, {}, 3, "30 ragged"),
    "no target anywhere": (
        "jsonl", jsonl(lambda n: {"a": n}), {}, 3, "30 missing_target"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("batch", [1, 100])
def test_a_stream_that_is_wrong_from_its_start_ends_every_run(
    tmp_path: Path, fault: str, batch: int
) -> None:
    form, content, changes, code, message = WRONG[fault]
    path = tmp_path / f"data.{form}"
    path.write_text(content)
    settings: dict[str, Any] = {"features": {"one_hot": []}, "run": {"batch_size": batch}} | changes
    for _ in range(2):  # a run that begins where this one has ended finds the same
        with pytest.raises(Exception, match=message) as error:
            learn(tmp_path, f"{form}:{path}", **settings)
        assert getattr(error.value, "exit_code", None) == code


@pytest.mark.parametrize("column", ["t", "k"])
def test_late_labels_that_are_wrong_from_their_start(tmp_path: Path, column: str) -> None:
    for name in "el":
        row: dict[str, Any] = {"k": 1, "t": 1, "a": 1, "y": 0}
        if name == "l":
            row[column] = "soon" if column == "t" else [1]
        (tmp_path / f"{name}.jsonl").write_text((json.dumps(row) + "\n") * 30)
    labels = {"source": f"jsonl:{tmp_path / 'l.jsonl'}", "key": "k", "time": "t"}
    needed = {"t": "a time", "k": "a key"}[column]
    with pytest.raises(DataError, match=f"column '{column}': {needed} is needed"):
        learn(tmp_path, f"jsonl:{tmp_path / 'e.jsonl'}", labels=labels, features={"one_hot": []})
