from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from fenchel_connectors import JsonlSink
from fenchel_stream.errors import ConfigError, DataError
from fenchel_stream.runner.dead_letters import RejectLog
from fenchel_stream.streams.source import Reject


def some(count: int, reason: str = "ragged", start: int = 1) -> list[Reject]:
    return [Reject(f"a.csv:{start + n}", reason, "raw", "why") for n in range(count)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_counts_and_file(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    sink = JsonlSink(str(path))
    rejects = RejectLog(sink)
    rejects.record([], accepted=10)
    rejects.record([*some(2), *some(1, "nul")], accepted=7)
    rejects.close()
    sink.close()
    assert rejects.counts == {"ragged": 2, "nul": 1}
    assert rejects.accepted == 17
    assert json.loads(path.read_text().splitlines()[0]) == {
        "where": "a.csv:1",
        "reason": "ragged",
        "raw": "raw",
        "detail": "why",
    }
    assert path.read_text().count("\n") == 3


def test_log_is_bounded_by_reason_and_time(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    rejects = RejectLog(per_reason=2, interval=60, clock=clock)
    with caplog.at_level(logging.WARNING, "fenchel_stream.runner.dead_letters"):
        rejects.record(some(100), accepted=0)
        rejects.record(some(1, "nul"), accepted=0)
        clock.now = 59.9
        rejects.record(some(1), accepted=0)
        clock.now = 60.0
        rejects.record(some(1, start=7), accepted=0)
        rejects.close()
        rejects.close()
    assert caplog.messages == [
        "a.csv:1: rejected as ragged (why)",
        "a.csv:2: rejected as ragged (why)",
        "a.csv:1: rejected as nul (why)",
        "99 more rejected as ragged (suppressed)",
        "a.csv:7: rejected as ragged (why)",
    ]


def test_what_is_suppressed_last_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    rejects = RejectLog(per_reason=0)
    rejects.record(some(3), accepted=0)
    rejects.close()
    assert caplog.messages == ["3 more rejected as ragged (suppressed)"]


def test_too_many_rejects_end_the_run(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    sink = JsonlSink(str(path))
    rejects = RejectLog(sink, max_error_rate=0.1)
    rejects.record(some(9), accepted=90)  # 99 records are too few to judge
    rejects.record(some(1), accepted=0)  # a tenth of them is allowed
    with pytest.raises(DataError, match=r"12 of 102 .*\(10 ragged, 2 nul\).*0\.1.*a\.csv:2: why"):
        rejects.record(some(2, "nul"), accepted=0)
    assert path.read_text().count("\n") == 12
    rejects.close()
    sink.close()


def test_first_reject_ends_a_run_that_allows_none() -> None:
    rejects = RejectLog(max_error_rate=0)
    rejects.record([], accepted=5)
    with pytest.raises(DataError, match="1 of 6 records"):
        rejects.record(some(1), accepted=0)


def test_any_number_is_allowed_by_default() -> None:
    rejects = RejectLog()
    rejects.record(some(1000), accepted=0)
    assert rejects.counts.total() == 1000


def test_resumed_run_judges_the_whole_stream() -> None:
    rejects = RejectLog(max_error_rate=0.1)
    rejects.counts.update({"ragged": 10})
    rejects.accepted = 90
    with pytest.raises(DataError, match="11 of 101"):
        rejects.record(some(1), accepted=0)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_impossible_rate(rate: float) -> None:
    with pytest.raises(ConfigError, match="max_error_rate"):
        RejectLog(max_error_rate=rate)
