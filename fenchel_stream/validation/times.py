"""What a time is: a date and time of Python, or a text of ISO 8601.

Read this module to learn which values of a stream count as times, beside numbers of seconds. The
conversion of columns asks it for what it cannot convert at once.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DATE = r"""
    (?P<year>\d{4}) (?:
        -(?P<month>\d\d)-(?P<day>\d\d) | (?P<basic_month>\d\d)(?P<basic_day>\d\d)
      | -?W(?P<week>\d\d) (?:-?(?P<weekday>[1-7]))?
      | -?(?P<ordinal>\d{3})
    )"""
_CLOCK = r"""
    (?P<hour>\d\d) (?: :?(?P<minute>\d\d) (?: :?(?P<second>\d\d) (?:[.,](?P<part>\d+))? )? )?
    \s? (?P<zone> [Zz] | [+-]\d\d (?: :?\d\d (?: :?\d\d )? )? )?"""
_ISO = re.compile(rf"{_DATE} (?: [Tt\ ] {_CLOCK} )?", re.VERBOSE | re.ASCII)


def to_time(value: Any) -> float | None:
    """Return a date and time as seconds since 1970; None if a value is none.

    Text is a date of ISO 8601, in the calendar, by weeks or by days of the year, with or without a
    time of day. The extended form (``2024-01-31T05:00:01``) and the basic one
    (``20240131T050001``) are read, a fraction after a point or a comma, and an offset of ``Z``,
    ``+05``, ``+0530`` or ``+05:30``. Without an offset a time is in UTC, and without a time of day
    it is midnight.

    Examples
    --------
    >>> from fenchel_stream.validation.times import to_time
    >>> [to_time(text) for text in ("1970-01-01 01:00:00+01", "19700101T000000,5Z", "1970-W01-5")]
    [0.0, 0.5, 86400.0]
    """
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (moment - EPOCH) / timedelta(seconds=1)
    if isinstance(value, date):
        return float((value.toordinal() - EPOCH.toordinal()) * 86_400)
    return _seconds(value.strip()) if isinstance(value, str) else None


def _seconds(text: str) -> float | None:
    match = _ISO.fullmatch(text.replace("\N{MINUS SIGN}", "-"))
    if match is None:
        return None
    try:
        day = _day(match)
        hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
        offset = _offset(match["zone"] or "Z")
    except ValueError:
        return None
    whole = hour * 3600 + minute * 60 + second
    part = int((match["part"] or "0")[:6].ljust(6, "0"))
    # The end of a day is 24:00, and a minute may have a leap second.
    if minute > 59 or second > 60 or whole > 86_400 or (hour == 24 and part):
        return None
    days = day.toordinal() - EPOCH.toordinal()
    return ((days * 86_400 + whole - offset) * 1_000_000 + part) / 1e6


def _day(match: re.Match[str]) -> date:
    year = int(match["year"])
    if match["week"]:
        return date.fromisocalendar(year, int(match["week"]), int(match["weekday"] or 1))
    if match["ordinal"]:
        day = date(year, 1, 1) + timedelta(days=int(match["ordinal"]) - 1)
        if day.year != year:
            raise ValueError(f"{year} has no day {match['ordinal']}")
        return day
    return date(
        year,
        int(match["month"] or match["basic_month"]),
        int(match["day"] or match["basic_day"]),
    )


def _offset(zone: str) -> int:
    """Return the seconds that an offset lies before UTC."""
    if zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = (int(digits[i : i + 2]) for i in (0, 2, 4))
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"{zone} is no offset")
    offset = hours * 3600 + minutes * 60 + seconds
    return -offset if zone[0] == "-" else offset
