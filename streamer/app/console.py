"""What the program says beside its output: single lines on stderr, held back while a picture has the screen."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .monitoring.logs import Repeats

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # a file's name may hold what clears a screen, or sets its title
_TEXT = logging.Formatter("valaro: %(message)s")
_spoken = SimpleNamespace(form=_TEXT)  # of the whole process, as stderr is


def speak(form: str) -> None:
    """From here on lines are ``text``, or ``json``: one object each (``monitoring.logs.JsonLines``)."""
    if form == "json":
        from .monitoring.logs import JsonLines

        _spoken.form = JsonLines()
    else:
        _spoken.form = _TEXT


def tell(words: str, level: int = logging.INFO) -> None:
    """One line on stderr."""
    _write(logging.makeLogRecord({"name": "valaro", "levelno": level, "levelname": logging.getLevelName(level)}), words)


def _write(record: logging.LogRecord, words: str) -> None:
    plain = _CONTROLS.sub("\ufffd", " ".join(words.split()))
    line = logging.makeLogRecord(vars(record) | {"msg": plain, "args": None})
    with suppress(OSError, ValueError):  # nobody may be there to read it
        print(_spoken.form.format(line), file=sys.stderr, flush=True)


class Notices(logging.Handler):
    """The package's log as lines on stderr, from ``with`` to its end; then the log is as it was.

    While ``held``, the newest is kept in ``latest`` for the picture's foot, and all are told at the end. ``repeats``:
    what holds back a line that was told just before; None tells all.
    """

    def __init__(self, repeats: "Repeats | None" = None) -> None:
        super().__init__(logging.INFO)
        self.held = False
        self.latest = ""
        self._repeats = repeats
        self._before = logging.NOTSET, True
        self._kept: list[tuple[logging.LogRecord, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of the log."""
        words = record.getMessage() if self._repeats is None else self._repeats.words(record)
        if not words:
            return
        if not self.held:
            _write(record, words)
            return
        self.latest = words
        self._kept = [*self._kept[-19:], (record, words)]  # a show of months must not pile them up

    def __enter__(self) -> "Notices":
        logger = logging.getLogger("valaro")
        self._before = logger.level, logger.propagate
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("valaro")
        logger.removeHandler(self)
        level, logger.propagate = self._before
        logger.setLevel(level)
        for record, words in self._kept:
            _write(record, words)


@contextmanager
def compiling_told() -> Iterator[None]:
    """Within it, what imports the models says so before it compiles anything: on a machine's first run only."""
    from numba.core import event

    class Tell(event.Listener):
        told = False

        def on_start(self, event: object) -> None:  # not reached for code that the cache holds
            if not self.told:
                tell("compiling for this machine, once: about 15 s")
            self.told = True

        def on_end(self, event: object) -> None:
            pass

    with event.install_listener("numba:compile", Tell()):
        yield
