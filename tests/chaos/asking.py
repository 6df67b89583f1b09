"""What a run serves, asked over HTTP."""

from __future__ import annotations

import re
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.runs import Process


def ask(process: Process, path: str) -> tuple[int, str]:
    """Return the status and the text of a page that a run serves."""
    match = process.until(lambda: re.search(r"metrics at (\S+)/metrics", process.err.read_text()))
    try:
        with urlopen(match[1] + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def figure(process: Process, name: str) -> float:
    """Return a metric of a run."""
    page = ask(process, "/metrics")[1]
    match = re.search(rf"^fenchel_stream_{name} (\S+)", page, re.MULTILINE)
    assert match is not None, page
    return float(match[1])
