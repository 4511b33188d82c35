"""SIGINT, SIGTERM and SIGHUP, handled at a safe moment."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


@contextmanager
def between_steps() -> Iterator[Callable[[], None]]:
    """Within it the first SIGINT or SIGTERM is held back, and takes effect when the yielded function is called.

    Their handlers raise, and an exception that is raised while C++ calls back into Python aborts the process (soxr's
    nanobind cannot pass it on), or is swallowed (in a finaliser). A second signal takes effect at once. At the end, and
    in other threads than the main one, which are never interrupted, nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    pending: list[int] = []
    old_handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in old_handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def hold_back(number: int, _frame: FrameType | None) -> None:
        restore()
        pending.append(number)

    def let_through() -> None:
        if pending:
            signal.raise_signal(pending.pop())

    for number in old_handlers:
        signal.signal(number, hold_back)
    try:
        yield let_through
    finally:
        restore()
    let_through()


class Stoppable(Protocol):
    """Something that runs until it is asked to end: a session, or a replay of a recording."""

    def stop(self) -> None:
        """Ask it to end; returns at once, and is safe in a signal handler."""
        ...


@contextlib.contextmanager
def stop_on_signals(running: Stoppable) -> Iterator[None]:
    """Within it SIGINT (Ctrl-C), SIGTERM and SIGHUP call ``running.stop()``.

    SIGHUP comes when the terminal is closed; where it is ignored (nohup), it stays so. The first signal restores the
    old handlers, so that a second Ctrl-C interrupts at once whatever still hangs.

    Raises
    ------
    ValueError
        Not called from the main thread.
    """
    old_handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Windows has none
        old_handlers[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)

    def restore() -> None:
        for number, handler in old_handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        restore()
        running.stop()

    try:
        for number in old_handlers:
            signal.signal(number, stop)
        yield
    finally:
        restore()
