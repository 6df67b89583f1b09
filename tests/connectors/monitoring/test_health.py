from __future__ import annotations

import json
import platform
from importlib.metadata import version
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from fenchel_connectors.monitoring.health import Health
from fenchel_connectors.monitoring.prometheus import PrometheusExporter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(stuck_after=10, clock=clock)


def test_a_loop_that_turns_lives(health: Health, clock: Clock) -> None:
    for _ in range(5):
        health.turn()
        clock.now += 10
        assert health.live() == (True, "running")
    clock.now += 0.5
    assert health.live() == (False, "stuck: the loop has not turned for 10 s")
    health.turn()
    assert health.live() == (True, "running")


def test_a_wait_that_may_be_long_is_not_stuck_but_what_follows_is(
    health: Health, clock: Clock
) -> None:
    health.turn(waits=True)
    clock.now += 10_000
    assert health.live() == (True, "waiting for the source")
    health.turn()
    clock.now += 11
    assert not health.live()[0]


@pytest.mark.parametrize("state", ["starting", "stopping"])
def test_a_start_or_an_end_that_takes_too_long_is_stuck(
    state: str, health: Health, clock: Clock
) -> None:
    if state == "stopping":
        health.turn(waits=True)
        clock.now += 100
        health.stop()
    assert health.ready() == (False, state)
    clock.now += 9
    assert health.live() == (True, state)
    clock.now += 2
    assert not health.live()[0]


def test_what_is_served() -> None:
    with PrometheusExporter(port=0, stuck_after=0.01) as exporter:

        def get(path: str) -> tuple[int, str]:
            try:
                with urlopen(exporter.url.replace("/metrics", path), timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except HTTPError as error:
                with error:
                    return error.code, error.read().decode()

        assert get("/readyz") == (503, "starting\n")
        exporter.turn()
        assert get("/readyz") == (200, "running\n")
        while get("/livez")[0] == 200:  # a hundredth of a second
            pass
        assert get("/livez") == (503, "stuck: the loop has not turned for 0 s\n")
        exporter.turn(waits=True)
        assert get("/livez") == (200, "waiting for the source\n")
        exporter.stop()
        assert get("/readyz") == (503, "stopping\n")
        status, text = get("/version")
        assert (status, json.loads(text)) == (
            200,
            {"version": version("fenchel-stream"), "python": platform.python_version()},
        )
