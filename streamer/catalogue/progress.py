"""The progress of an analysis of many files: a bar in a terminal, else a line every ten seconds."""

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from ..app.console import notify

if TYPE_CHECKING:
    from .analysis import FileResult

_EVERY = 10.0  # s between two lines


class Progress:
    """Counts finished files and shows the progress on standard error, as a context manager.

    Parameters
    ----------
    total : the number of files.
    bar : show a progress bar in a terminal; elsewhere, and without it, a line is written every 10 s.
    summary : always end with a line about the whole; otherwise only when several files took longer than 10 s.
    """

    def __init__(self, total: int, *, bar: bool, summary: bool) -> None:
        self.files = self.failed = 0
        self.seconds = 0.0
        self._total = total
        self._bar_wanted = bar and total > 1 and sys.stderr.isatty()
        self._summary = summary
        self._stack = ExitStack()
        self._draw: Any = None
        self._began = self._last_line_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar_wanted:
            self._draw = self._open_bar()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()
        long = self._total > 1 and time.monotonic() - self._began >= _EVERY
        if kind is None and self._total and (self._summary or long):
            failed = f"; {self.failed} could not be used" if self.failed else ""
            notify(f"{self.files:,} files, {_span(self.seconds)} of sound in {self._speed()}{failed}")

    def take(self, result: "FileResult") -> None:
        """Count one file."""
        self.files += 1
        self.failed += bool(result.fault)
        self.seconds += result.seconds
        now = time.monotonic()
        if self._draw is not None:
            self._draw()
        elif now - self._last_line_at >= _EVERY and self.files < self._total:
            self._last_line_at = now
            remaining = (now - self._began) / self.files * (self._total - self.files)
            notify(
                f"{self.files:,} of {self._total:,} files, {_span(self.seconds)} of sound in {self._speed()}; "
                f"about {_span(remaining)} left"
            )

    def _speed(self) -> str:
        elapsed = max(time.monotonic() - self._began, 1e-3)
        return f"{_span(elapsed)}, {self.seconds / elapsed:,.0f} x real time"

    def _open_bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            BarColumn(),
            *(MofNCompleteColumn(), TextColumn("files  {task.fields[heard]}"), TimeRemainingColumn()),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,  # the records go there
        )
        self._stack.enter_context(bars)
        line = bars.add_task("", total=self._total, heard="")
        return lambda: bars.update(line, advance=1, heard=f"{_span(self.seconds)} of sound in {self._speed()}  left:")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
