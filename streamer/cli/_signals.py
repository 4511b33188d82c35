"""Signals that would interrupt native code at the wrong moment wait for the right one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


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
