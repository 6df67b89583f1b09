from __future__ import annotations

import polars as pl
import pytest

from fenchel_stream.errors import ConfigError
from fenchel_stream.validation.positive_class import ENOUGH, PositiveClass


def test_a_class_that_never_comes_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    positive = PositiveClass("maybe")
    half = pl.Series(["yes", "no", None] * (ENOUGH // 4))
    assert not positive(half).any()
    assert caplog.messages == []
    for _ in range(3):
        positive(half)
    positive.warn_of_absence()
    (message,) = caplog.messages
    assert message == (
        "none of 1,000 labels equals source.positive = 'maybe'; the labels are: 'no', 'yes'"
    )
    assert positive.absence == "none of 2,000 labels equals source.positive = 'maybe'"
    positive(pl.Series(["maybe"]))
    assert positive.absence == ""


def test_a_short_stream_is_told_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    positive = PositiveClass(1)
    positive(pl.Series([2, 3] * 20))
    positive.warn_of_absence()
    positive.warn_of_absence()
    (message,) = caplog.messages
    assert message == "none of 40 labels equals source.positive = 1; the labels are: '2', '3'"


@pytest.mark.parametrize(
    ("value", "label"), [("yes", "Yes"), ("yes", " yes"), (1, "1.0"), ("1", "01"), (True, "True")]
)
def test_a_class_written_in_another_way_is_an_error(value: str | int, label: str) -> None:
    positive = PositiveClass(value)
    positive(pl.Series([label, "other"] * 20))
    with pytest.raises(ConfigError, match=f"but some equal '{label}': spell the class like"):
        positive.warn_of_absence()


def test_a_resumed_run_is_only_warned(caplog: pytest.LogCaptureFixture) -> None:
    positive = PositiveClass("yes")
    positive.resumed = True
    positive(pl.Series(["Yes"] * ENOUGH))
    assert len(caplog.messages) == 1


def test_many_labels_are_not_all_listed(caplog: pytest.LogCaptureFixture) -> None:
    positive = PositiveClass("none")
    positive(pl.Series([f"{number:02}" for number in range(30)]))
    positive.warn_of_absence()
    assert caplog.messages[0].endswith("'08', '09', ...")


def test_nothing_is_told_of_a_class_that_comes_or_where_nothing_came(
    caplog: pytest.LogCaptureFixture,
) -> None:
    positive = PositiveClass("1")
    positive(pl.Series([0] * (ENOUGH - 1)))
    assert positive(pl.Series([0, 1])).to_list() == [False, True]
    positive(pl.Series([0] * ENOUGH))
    positive.warn_of_absence()
    PositiveClass("1").warn_of_absence()
    assert caplog.messages == []
    assert positive.absence == PositiveClass("1").absence == ""
