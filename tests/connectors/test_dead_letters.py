"""Records that cannot be learnt: all of them are set aside, none is learnt, no other is lost."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from fenchel_stream.cli import main
from fenchel_stream.cli.dlq import content_of
from fenchel_stream.errors import DataError
from fenchel_stream.runner.config import parse
from fenchel_stream.runner.learner import Learner
from tests.brokers import Broker
from tests.connectors.test_kafka_sink import committed, killed
from tests.runs import learn, read_lines, rows, tables, write_csv

HUGE = "".join(random.Random(1).choices("0123456789abcdef", k=900_000))

BAD: dict[str, tuple[bytes | None, str]] = {
    "malformed": (b'{"a": 1,', "malformed"),
    "empty": (b"", "malformed"),
    "no object": (b"[1, 2]", "non_object"),
    "deep nesting": (b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "too_deep"),
    "NaN": (b'{"a": NaN, "b": 1, "c": "u", "y": "yes"}', "non_finite"),
    "beyond floats": (b'{"a": 1e999, "b": 1, "c": "u", "y": "yes"}', "non_finite"),
    "wrong type": (b'{"a": "far", "b": 1, "c": "u", "y": "yes"}', "non_numeric"),
    "nested": (b'{"a": {"b": 1}, "b": 1, "c": "u", "y": "yes"}', "non_numeric"),
    "missing key": (b'{"a": 1, "b": 1, "c": "u"}', "missing_target"),
    "null target": (b'{"a": 1, "b": 1, "c": "u", "y": null}', "missing_target"),
    "huge value": (b'{"a": "%s", "y": "yes"}' % HUGE.encode(), "non_numeric"),
    "invalid UTF-8": (b'{"a": 1, "c": "\xff\xfe", "y": "yes"}', "invalid_utf8"),
    "null value": (None, "null_value"),
    "duplicate keys": (b'{"a": 1, "a": 2, "b": 1, "c": "u", "y": "yes"}', "duplicate_keys"),
    "text": (b'"far"', "non_object"),
    "number": (b"17", "non_object"),
    "null": (b"null", "non_object"),
    "text behind an object": (b'{"a": 1, "b": 1, "c": "u", "y": "yes"} far', "malformed"),
    "open text": (b'{"a": 1, "c": "', "malformed"),
    "single quotes": (b"{'a': 1, 'y': 'yes'}", "malformed"),
    "lone surrogate": (b'{"a": 1, "b": 1, "c": "\\ud800", "y": "yes"}', "malformed"),
    "deep object": (b'{"a": ' * 20_000, "too_deep"),
    "Infinity": (b'{"a": 1, "b": -Infinity, "c": "u", "y": "yes"}', "non_finite"),
    "long integer": (b'{"a": 1%s, "b": 1, "c": "u", "y": "yes"}' % (b"0" * 400), "non_finite"),
    "infinite text": (b'{"a": "inf", "b": 1, "c": "u", "y": "yes"}', "non_finite"),
    "UTF-16": ('{"a": 1, "y": "yes"}'.encode("utf-16"), "invalid_utf8"),
    "list as category": (b'{"a": 1, "b": 1, "c": ["u"], "y": "yes"}', "nested"),
    "list as class": (b'{"a": 1, "b": 1, "c": "u", "y": ["yes"]}', "unparsable_target"),
    "no columns": (b"{}", "missing_target"),
    "duplicate keys below": (
        b'{"a": 1, "b": 1, "c": "u", "y": "yes", "d": {"e": 1, "e": 2}}',
        "duplicate_keys",
    ),
}


@pytest.fixture
def mixed(broker: Broker, tmp_path: Path) -> tuple[dict[str, Any], dict[int, str], str, str]:
    """Return a configuration, which offsets are bad and how, and two topics for the outcome."""
    events, predictions, letters = (broker.topic() for _ in range(3))
    good, bad = iter(rows(300)), iter(BAD)
    made, kinds = [], {}
    for offset in range(300 + len(BAD)):
        if offset % 10 == 7 and (kind := next(bad, None)) is not None:
            kinds[offset] = kind
            value = BAD[kind][0]
        else:
            value = json.dumps(next(good)).encode()
        made.append({"value": value, "key": f"k{offset}".encode()})
    assert len(kinds) == len(BAD)
    broker.send(events, made)
    url = f"kafka://{broker.bootstrap}/"
    settings = tables(tmp_path, url + events)
    settings["source"]["options"] = {"max_age": 60.0}
    settings["run"] |= {"limit": len(made), "batch_size": 10}
    settings["checkpoint"]["every"] = 7
    settings["output"] = {
        "predictions": url + predictions,
        "rejects": url + letters,
        "transactional": True,
    }
    settings["run"]["limit"] = len(made) // 10 * 10
    return (
        settings,
        {o: k for o, k in kinds.items() if o < settings["run"]["limit"]},
        *(
            predictions,
            letters,
        ),
    )


def test_every_kind_in_a_file(tmp_path: Path) -> None:
    kinds = {kind: one for kind, one in BAD.items() if one[0] and b"\n" not in one[0]}
    assert len(BAD) >= 30
    good = [json.dumps(row).encode() for row in rows(100)]
    path = tmp_path / "data.jsonl"
    bad = [value for value, _ in kinds.values() if value is not None]
    path.write_bytes(b"\n".join([*good[:50], *bad, *good[50:], b""]))
    result = learn(tmp_path, f"jsonl:{path}")
    letters = read_lines(tmp_path / "rejects.jsonl")
    found = {
        letter["where"]: ((content_of(letter) or b"").rstrip(b"\n"), letter["reason"])
        for letter in letters
    }
    places = [f"data.jsonl:{line}" for line in range(51, 51 + len(kinds))]
    assert [found[place] for place in places] == list(kinds.values())
    assert (result.rows, result.rejected) == (100, len(kinds))


def check(
    broker: Broker, events: str, kinds: dict[int, str], predictions: str, letters: str, limit: int
) -> list[dict[str, Any]]:
    stored = committed(broker, letters, len(kinds))
    assert {one["where"]: one["reason"] for one in stored} == {
        f"{events}:0:{offset}": BAD[kind][1] for offset, kind in kinds.items()
    }
    for one in stored:
        offset = int(one["where"].rpartition(":")[2])
        assert content_of(one) == (BAD[kinds[offset]][0] or None)
        assert one["as key"] == one["where"].encode()
        assert one["key"] == f"k{offset}"
    good = [offset for offset in range(limit) if offset not in kinds]
    published = committed(broker, predictions, len(good))
    assert [one["where"] for one in published] == [f"{events}:0:{offset}" for offset in good]
    return stored


def test_every_kind_from_topic_to_topic_and_back(
    broker: Broker, mixed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, kinds, predictions, letters = mixed
    learner = Learner(parse(settings))
    result = learner.run()
    limit = settings["run"]["limit"]
    assert (result.rows, result.rejected) == (limit - len(kinds), len(kinds))
    events = settings["source"]["url"].rpartition("/")[2]
    stored = check(broker, events, kinds, predictions, letters, limit)

    target, url = broker.topic(), f"kafka://{broker.bootstrap}/"
    # The letter that marked the end is none: it must not be taken for one.
    copy = tmp_path / "letters.jsonl"
    copy.write_text("".join(json.dumps(one | {"as key": ""}) + "\n" for one in stored))
    have = [one for one in stored if content_of(one) is not None]
    for sent in (len(have), 0):
        assert main(["dlq", "replay", str(copy), url + target]) == 0
        output = capsys.readouterr().out
        assert f"{len(stored)} letters: {sent} records sent, {len(have) - sent} were at" in output
    back = broker.read(target, len(have))
    assert [record.value for record in back] == [content_of(one) for one in have]
    assert [record.key for record in back] == [one["key"].encode() for one in have]
    # One that was mended goes back once, under its old key, with what is new.
    mended = {**stored[0], "where": "elsewhere:0:1", "mended": rows(1)[0]}
    with copy.open("a") as file:
        file.write(json.dumps(mended | {"as key": ""}) + "\n")
    assert main(["dlq", "replay", str(copy), url + target]) == 0
    assert "1 records sent" in capsys.readouterr().out
    assert json.loads(broker.read(target, len(have) + 1)[-1].value) == rows(1)[0]


def test_a_kill_doubles_no_letter(broker: Broker, mixed: Any) -> None:
    settings, kinds, predictions, letters = mixed
    killed("committed", 12, settings)
    Learner(parse(settings)).run()
    events = settings["source"]["url"].rpartition("/")[2]
    check(broker, events, kinds, predictions, letters, settings["run"]["limit"])


def test_letters_in_a_topic_are_read_to_their_end(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = broker.topic()
    first = {"where": "t:0:1", "reason": "malformed", "raw": "{", "detail": ""}
    second = first | {"where": "t:0:2", "reason": "missing_target", "raw": '{"a": 1}'}
    broker.send(letters, [json.dumps(one).encode() for one in (first, second, first)])
    target = tmp_path / "back.jsonl"
    command = ["dlq", "replay", f"kafka://{broker.bootstrap}/{letters}", str(target)]
    for _ in range(2):
        assert main([*command, "--reason", "missing_target", "--patience", "1"]) == 0
        assert target.read_text() == '{"a": 1}\n'
        assert capsys.readouterr().out.startswith("2 letters: 1 records sent")


def test_from_a_file_to_a_file(tmp_path: Path) -> None:
    url = write_csv(tmp_path / "data.csv", rows(150))
    learn(tmp_path, url)
    letters = read_lines(tmp_path / "rejects.jsonl")
    target = tmp_path / "back.csv"
    assert main(["dlq", "replay", str(tmp_path / "rejects.jsonl"), str(target)]) == 0
    assert target.read_text().splitlines() == [letter["raw"] for letter in letters]


def test_what_is_no_letter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"where": 1}\n')
    assert main(["dlq", "replay", str(tmp_path / "a.jsonl"), str(tmp_path / "b")]) == 3
    assert "a.jsonl:1: not a dead letter" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_too_many_stop_the_run(broker: Broker, mixed: Any) -> None:
    settings, *_ = mixed
    settings["run"]["max_error_rate"] = 0.01
    with pytest.raises(DataError, match=r"more than max_error_rate = 0\.01 allows"):
        Learner(parse(settings)).run()
