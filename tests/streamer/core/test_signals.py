import os
import signal
import threading
from collections.abc import Iterator

import pytest
from valaro.streamer.core.signals import between_steps

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def acted() -> Iterator[list[int]]:
    """The signals that reached the handlers that were there before; those are put back at the end."""
    reached: list[int] = []
    old = {each: signal.signal(each, lambda number, _frame: reached.append(number)) for each in BOTH}
    yield reached
    for each, handler in old.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", BOTH)
def test_the_first_signal_waits_for_the_step_and_acts_once(number: signal.Signals, acted: list[int]) -> None:
    before = [signal.getsignal(each) for each in BOTH]
    with between_steps() as let_through:
        let_through()
        os.kill(os.getpid(), number)
        assert acted == []
        let_through()
        assert acted == [number]
        let_through()
    assert acted == [number]
    assert [signal.getsignal(each) for each in BOTH] == before


def test_a_second_signal_acts_at_once_and_the_first_at_the_end(acted: list[int]) -> None:
    with between_steps():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert acted == [signal.SIGINT]
    assert acted == [signal.SIGINT, signal.SIGTERM]


def test_other_threads_hold_nothing_back(acted: list[int]) -> None:
    before = [signal.getsignal(each) for each in BOTH]
    seen = []

    def aside() -> None:
        with between_steps() as let_through:
            let_through()
            seen.append([signal.getsignal(each) for each in BOTH])

    thread = threading.Thread(target=aside)
    thread.start()
    thread.join()
    assert seen == [before]
    assert acted == []
