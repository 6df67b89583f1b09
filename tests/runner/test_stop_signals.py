from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fenchel_stream.runner.signals import StopSignals

NUMBERS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Whatever a test does, the handlers are in the end what they were."""
    before = [signal.getsignal(number) for number in NUMBERS]
    yield
    assert [signal.getsignal(number) for number in NUMBERS] == before


def kill(number: int) -> None:
    os.kill(os.getpid(), number)


def test_without_a_signal_it_is_a_plain_iterator() -> None:
    with StopSignals() as signals:
        items = iter([1, 2])
        assert [signals.next(items), signals.next(items), signals.next(items)] == [1, 2, None]
        assert signals.received is None


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_between_two_items(number: signal.Signals) -> None:
    with StopSignals() as signals:
        items = iter([1, 2])
        assert signals.next(items) == 1
        kill(number)
        assert signals.received is number
        assert signals.next(items) is None
    assert list(items) == [2], "nothing was taken that nobody got"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_in_the_midst_of_reading(number: signal.Signals) -> None:
    steps = []

    def items() -> Iterator[int]:
        try:
            kill(number)
            steps.append("went on")
        except Exception:  # noqa: BLE001 - as a source may do
            steps.append("took it for a fault")
        finally:
            steps.append("tidied up")
        yield 1

    with StopSignals() as signals:
        assert signals.next(items()) is None
        assert signals.received is number
    assert steps == ["tidied up"]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_while_the_system_waits(number: signal.Signals) -> None:
    reading, writing = os.pipe()

    stat = Path(f"/proc/self/task/{threading.get_native_id()}/stat")

    def kill_when_asleep() -> None:
        while " S " not in stat.read_text():
            pass
        kill(number)

    thread = threading.Thread(target=kill_when_asleep)

    def items() -> Iterator[bytes]:
        thread.start()
        yield os.read(reading, 1)

    with StopSignals() as signals:
        assert signals.next(items()) is None
    thread.join()
    os.close(reading)
    os.close(writing)


def test_a_signal_after_the_last_wait_interrupts_nothing() -> None:
    with StopSignals() as signals:
        assert signals.next(iter([1])) == 1
        kill(signal.SIGTERM)
        done = sum(range(1000))
    assert done == 499500


def test_errors_pass_and_leave_no_trap_behind() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with StopSignals() as signals:
        numbers = items()
        assert signals.next(numbers) == 1
        with pytest.raises(OSError, match="gone"):
            signals.next(numbers)
        kill(signal.SIGTERM)
        assert signals.received is signal.SIGTERM


def test_the_second_signal_does_what_it_did_before() -> None:
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with StopSignals() as signals:
            kill(signal.SIGINT)
            assert signals.received is signal.SIGINT
            kill(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt):
                kill(signal.SIGINT)
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_signals_stay_as_they_are() -> None:
    results: list[object] = []

    def run() -> None:
        with StopSignals() as signals:
            results.extend([signals.next(iter([1])), signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results == [1, signal.getsignal(signal.SIGTERM)]
