from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from math import nan
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel_stream.validation.columns import to_seconds
from fenchel_stream.validation.times import to_time

NEW_YEAR = 1_704_067_200.0  # 2024-01-01, a Monday, in UTC


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-01 00:00:01+00", 1),
        ("2024-01-01 05:30:01.25+05:30", 1.25),
        ("2024-01-01T05:00:01+05", 1),
        ("2023-12-31T19:00:01-0500", 1),
        ("2023-12-31T19:00:01\N{MINUS SIGN}05:00", 1),
        ("1890-01-01 05:53:28+05:53:28", datetime(1890, 1, 1, tzinfo=UTC).timestamp() - NEW_YEAR),
        ("2024-01-01 00:00:01 +0000", 1),
        ("20240101T000001Z", 1),
        ("20240101T000001,5", 1.5),
        ("20240101T0000Z", 0),
        ("2024-01-01t00:00:01z", 1),
        ("2024-01-01T00:00:01,5Z", 1.5),
        ("2024-01-01T00:00:01.123456789Z", 1.123456),
        ("2024-01-01T00:00:01+0000", 1),
        ("2024-01-01T00:01", 60),
        ("2024-01-01T01", 3600),
        ("2024-01-01", 0),
        (" 2024-01-01\n", 0),
        ("2024-W01-1", 0),
        ("2024W011T000001Z", 1),
        ("2024-W02", 7 * 86_400),
        ("2024-366", 365 * 86_400),
        ("2023-12-31T24:00", 0),
        ("2023-12-31T23:59:60Z", 0),
    ],
)
def test_forms_of_iso_8601(text: str, seconds: float) -> None:
    for column in (pl.Series([text]), pl.Series([text], dtype=pl.Object)):
        times, wrong = to_seconds(column)
        assert (times.to_list(), wrong) == ([NEW_YEAR + seconds], None)
    assert to_seconds(pl.Series([text], dtype=pl.Categorical))[0][0] == to_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2024-13-01",
        "2024-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2023-366",
        "2023-W53-1",
        "2024-01-01T25:00",
        "2024-01-01T24:00:01Z",
        "2024-01-01T00:60",
        "2024-01-01T00:00:61Z",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+05:60",
        "2024-01-01T00:00:00+",
        "2024-01-01x00:00",
        "2024-01-01T",
        "2024-1-1",
        "\u0662\u0660\u0662\u0664-01-01",
        "\ud800",
        "inf",
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert to_time(text) is None
    column = pl.Series([text, 5], dtype=pl.Object)
    times, wrong = to_seconds(column)
    assert wrong is not None
    assert (times.to_list(), wrong.to_list()) == ([None, 5.0], [True, False])


@pytest.mark.parametrize("value", [time(1), timedelta(1), [1], {"a": 1}, b"2024-01-01"])
def test_values_of_other_types_are_no_times(value: Any) -> None:
    for column in (pl.Series([value, None], dtype=pl.Object), pl.Series([value, None])):
        times, wrong = to_seconds(column)
        assert wrong is not None
        assert (times.null_count(), wrong.to_list()) == (2, [True, False])


def test_types_may_mix() -> None:
    plus = timezone(timedelta(hours=1))
    values = [
        datetime(1970, 1, 1, 1, tzinfo=plus),
        datetime(1970, 1, 1),  # noqa: DTZ001 - without a zone it is UTC
        date(1970, 1, 2),
        "1970-01-01",
        "60",
        60.5,
        None,
        " ",
        float("nan"),
    ]
    times, wrong = to_seconds(pl.Series(values, dtype=pl.Object))
    assert times.to_list() == [0.0, 0.0, 86_400.0, 0.0, 60.0, 60.5, None, None, None]
    assert wrong is None


zones = st.none() | st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
moments = st.datetimes(timezones=zones)


@given(st.lists(moments, min_size=1, max_size=5), st.sampled_from([" ", "T"]), st.booleans())
def test_a_column_gives_the_times_of_its_values(
    times: list[datetime], separator: str, comma: bool
) -> None:
    texts = [time.isoformat(separator) for time in times]
    texts = [text.replace(".", ",") for text in texts] if comma else texts
    expected = [(time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() for time in times]
    assert to_seconds(pl.Series(texts))[0].to_list() == pytest.approx(expected, rel=1e-14, abs=1e-6)
    assert list(map(to_time, texts)) == pytest.approx(expected, rel=1e-14, abs=1e-6)


shapes = st.from_regex(
    r"\d{4}-?(\d\d-?\d\d|W\d\d-?\d|\d{3})"
    r"([T ]\d\d:?\d\d(:?\d\d([.,]\d{1,9})?)?([zZ]|[+-]\d\d(:?\d\d)?)?)?",
    fullmatch=True,
    alphabet=st.sampled_from("0123456789-W:.,TzZ+ "),
).filter(lambda text: not text.isdigit())  # digits alone are a number of seconds


@given(st.lists(shapes, min_size=1, max_size=5))
def test_a_column_knows_exactly_the_times_that_its_values_are(texts: list[str]) -> None:
    times, wrong = to_seconds(pl.Series(texts))
    expected = [nan if (time := to_time(text)) is None else time for text in texts]
    assert times.fill_null(nan).to_list() == pytest.approx(expected, rel=1e-14, nan_ok=True)
    assert wrong is None or wrong.to_list() == [time != time for time in expected]
