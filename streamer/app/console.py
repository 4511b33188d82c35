"""Notices: single lines on stderr, held back while the live display has the screen."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .monitoring.logs import Repeats

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # in a file's name they could clear the screen
_TEXT_FORMATTER = logging.Formatter("valaro: %(message)s")
_output = SimpleNamespace(formatter=_TEXT_FORMATTER)  # of the whole process, as stderr is


def set_notice_format(notice_format: str) -> None:
    """Write notices as ``text``, or as ``json``: one object a line (``monitoring.logs.JsonLines``)."""
    if notice_format == "json":
        from .monitoring.logs import JsonLines

        _output.formatter = JsonLines()
    else:
        _output.formatter = _TEXT_FORMATTER


def notify(text: str, level: int = logging.INFO) -> None:
    """Write one line to stderr."""
    _write(logging.makeLogRecord({"name": "valaro", "levelno": level, "levelname": logging.getLevelName(level)}), text)


def _write(record: logging.LogRecord, text: str) -> None:
    printable = _CONTROL_CHARACTERS.sub("\ufffd", " ".join(text.split()))
    line = logging.makeLogRecord(vars(record) | {"msg": printable, "args": None})
    with suppress(OSError, ValueError):  # stderr may be closed
        print(_output.formatter.format(line), file=sys.stderr, flush=True)


class Notices(logging.Handler):
    """A context manager that writes the package's log to stderr, a line a record; then the log is as it was.

    Parameters
    ----------
    repeats : suppresses lines that were written a short while before; None: all are written.

    Attributes
    ----------
    held : while true, lines are held back and written at the end.
    latest : the newest line that was held back, for the foot of the live display.
    """

    def __init__(self, repeats: "Repeats | None" = None) -> None:
        super().__init__(logging.INFO)
        self.held = False
        self.latest = ""
        self._repeats = repeats
        self._logger_before = logging.NOTSET, True
        self._held_records: list[tuple[logging.LogRecord, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record of the log, or hold it back."""
        text = record.getMessage() if self._repeats is None else self._repeats.line(record)
        if not text:
            return
        if not self.held:
            _write(record, text)
            return
        self.latest = text
        self._held_records = [*self._held_records[-19:], (record, text)]  # bounded, for sessions that run for months

    def __enter__(self) -> "Notices":
        logger = logging.getLogger("valaro")
        self._logger_before = logger.level, logger.propagate
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("valaro")
        logger.removeHandler(self)
        level, logger.propagate = self._logger_before
        logger.setLevel(level)
        for record, text in self._held_records:
            _write(record, text)


@contextmanager
def compiling_told() -> Iterator[None]:
    """Within it a notice precedes the first compilation of a kernel: on a machine's first run only."""
    from numba.core import event

    class CompileListener(event.Listener):
        notified = False

        def on_start(self, event: object) -> None:  # not called for code from the cache
            if not self.notified:
                notify("compiling for this machine, once: about 15 s")
            self.notified = True

        def on_end(self, event: object) -> None:
            pass

    with event.install_listener("numba:compile", CompileListener()):
        yield
