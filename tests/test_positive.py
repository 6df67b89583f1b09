from __future__ import annotations

import polars as pl
import pytest

from fenchel_stream.positive import ENOUGH, Positive


def test_a_class_that_never_comes_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    positive = Positive("yes")
    half = pl.Series(["Yes", "no", None] * (ENOUGH // 4))
    assert not positive(half).any()
    assert caplog.messages == []
    for _ in range(3):
        positive(half)
    positive.warn()
    (message,) = caplog.messages
    assert message == (
        f"source.positive = 'yes': none of the first {ENOUGH} labels is that class; "
        "they are: 'Yes', 'no'"
    )


def test_a_short_stream_is_told_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    positive = Positive(1)
    positive(pl.Series([2, 3] * 20))
    positive.warn()
    positive.warn()
    (message,) = caplog.messages
    assert message.endswith("positive = 1: none of the first 40 labels is that class; they are: "
                            "'2', '3'")  # fmt: skip


def test_many_labels_are_not_all_listed(caplog: pytest.LogCaptureFixture) -> None:
    positive = Positive("none")
    positive(pl.Series([f"{number:02}" for number in range(30)]))
    positive.warn()
    assert caplog.messages[0].endswith("'08', '09', ...")


def test_nothing_is_told_of_a_class_that_comes_or_where_nothing_came(
    caplog: pytest.LogCaptureFixture,
) -> None:
    positive = Positive("1")
    positive(pl.Series([0] * (ENOUGH - 1)))
    assert positive(pl.Series([0, 1])).to_list() == [False, True]
    positive(pl.Series([0] * ENOUGH))
    positive.warn()
    Positive("1").warn()
    assert caplog.messages == []
