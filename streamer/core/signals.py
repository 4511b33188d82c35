"""Signals that would interrupt native code at the wrong moment wait for the right one."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


@contextmanager
def between_steps() -> Iterator[Callable[[], None]]:
    """Within it the first SIGINT or SIGTERM is only noted, and acts as ever when the yielded function is called.

    Their handlers raise, and an exception that is raised while C++ calls back into Python aborts the process (soxr's
    nanobind has no way out of there), or is swallowed (in a finaliser). A second signal acts at once. At the end, and
    in other threads than the main one, which are never interrupted, nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    noted: list[int] = []
    old = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for each, handler in old.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)

    def note(number: int, _frame: FrameType | None) -> None:
        restore()
        noted.append(number)

    def let_through() -> None:
        if noted:
            signal.raise_signal(noted.pop())

    for each in old:
        signal.signal(each, note)
    try:
        yield let_through
    finally:
        restore()
    let_through()


class Stoppable(Protocol):
    """What runs until it is asked to end: a session, or a replay of a recording."""

    def stop(self) -> None:
        """Ask it to end; returns at once, and is safe in a signal handler."""
        ...


@contextlib.contextmanager
def stop_on_signals(running: Stoppable) -> Iterator[None]:
    """Within it SIGINT (Ctrl-C), SIGTERM and SIGHUP end ``running`` in good order.

    SIGHUP comes when the terminal is closed; where it is ignored (nohup), it stays so. The first signal puts the old
    handlers back, so that a second Ctrl-C interrupts at once whatever still hangs. From the main thread only (else
    ValueError).
    """
    old = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Windows has none
        old[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)

    def restore() -> None:
        for each, handler in old.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        restore()
        running.stop()

    try:
        for each in old:
            signal.signal(each, stop)
        yield
    finally:
        restore()
