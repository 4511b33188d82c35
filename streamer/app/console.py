"""Notices: single lines on stderr, held back while the live display has the screen."""

import gc
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

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


def notify(text: str, level: int = logging.INFO, **fields: object) -> None:
    """Write one line to stderr; ``fields`` are of the object in JSON, and not of the text."""
    head = {"name": "valaro", "levelno": level, "levelname": logging.getLevelName(level)}
    _write(logging.makeLogRecord(head | fields), text)


def log_event(text: str, event: str, **fields: Any) -> None:
    """Write an object of its own, such as that of the start, if it is JSON; as text nothing is written."""
    if _output.formatter is not _TEXT_FORMATTER:
        notify(text, event=event, **fields)


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
    """Within it the first kernel that is not in the cache has all of them compiled, and that is told: once a machine.

    In a terminal there is a bar, elsewhere a line. What is loaded within it stays, and is not looked through for
    garbage, which takes a tenth of the time.
    """
    from numba.core import event

    class CompileListener(event.Listener):
        asked = False

        def on_start(self, event: Any) -> None:  # not called for code from the cache
            kernel = event.data["dispatcher"]
            if self.asked or not kernel.py_func.__module__.startswith("valaro.kernels."):
                return
            self.asked = True
            if kernel.stats.cache_path is None:
                notify("compiling, as at each start: no cache can be written to; give NUMBA_CACHE_DIR a folder")
            else:
                _compile_all()

        def on_end(self, event: Any) -> None:
            pass

    collecting = gc.isenabled()
    gc.disable()
    try:
        with event.install_listener("numba:compile", CompileListener()):
            yield
    finally:
        if collecting:
            gc.enable()


def _compile_all() -> None:
    from ...kernels.compilation import compile_all

    with suppress(OSError):  # then each kernel is compiled where it is used
        if _output.formatter is not _TEXT_FORMATTER or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            notify("compiling for this machine, once; it may take a minute")
            compile_all()
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = TextColumn("valaro: compiling for this machine, once"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            bar = bars.add_task("", total=None)
            compile_all(lambda done, total: bars.update(bar, completed=done, total=total))
