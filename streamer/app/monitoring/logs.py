"""The log of an unattended session: one line an event, as text or JSON, repeats suppressed, an hourly heartbeat."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from ..._util.process import resident_bytes
from ...core.affect import Affect
from ...core.session import Counters

log = logging.getLogger(__name__)

FORMS = ("text", "json")
HOUR = 3600.0

_WINDOW = 60.0  # s in which the same line is logged once
_MAX_LINES = 5  # lines of one template in that time, when they differ: two outputs may fail at once, a hundred not
_MAX_TEMPLATES = 256  # that are remembered at a time
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object: ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message``, and what ``extra`` added."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, ASCII only."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        added = {key: value for key, value in vars(record).items() if key not in _RECORD_FIELDS}
        return json.dumps(added | line, default=str)


@dataclass(slots=True)
class _Template:
    """The lines of one message template since the beginning of its window, and how many were suppressed."""

    since: float
    lines: set[str]
    held: int = 0


@dataclass(slots=True)
class Repeats:
    """Suppresses lines that repeat within a minute; for one thread at a time, as a logging handler's ``emit`` is.

    Of one template (the message before its arguments are put in) five different lines a minute pass, each once; the
    first of the next minute says how many were suppressed.

    >>> repeats, again = Repeats(), logging.makeLogRecord({"msg": "%s is gone", "args": ("it",)})
    >>> [repeats.line(again), repeats.line(again)]
    ['it is gone', '']
    """

    clock: Callable[[], float] = time.monotonic
    _templates: dict[tuple[str, str], _Template] = field(default_factory=dict)

    def line(self, record: logging.LogRecord) -> str:
        """The line to log for a record; "" when it is suppressed."""
        line = " ".join(record.getMessage().split())
        now, key = self.clock(), (record.name, str(record.msg))
        template = self._templates.get(key)
        if template is not None and now - template.since < _WINDOW:
            if line in template.lines or len(template.lines) >= _MAX_LINES:
                template.held += 1
                return ""
            template.lines.add(line)
            return line
        self._templates.pop(key, None)  # the newest goes to the end
        self._templates[key] = _Template(now, {line})
        if len(self._templates) > _MAX_TEMPLATES:
            del self._templates[next(iter(self._templates))]
        if template is None or not template.held:
            return line
        return f"{line} ({template.held} more in the last {max(1, round((now - template.since) / 60))} min)"


class Heartbeat:
    """A sink that logs the session's numbers once an hour, so that a journal shows that it ran, and how.

    The numbers are fields of the record too: those of ``core.session.Counters``, ``uptime_seconds``,
    ``resident_bytes`` and ``faults``.

    Parameters
    ----------
    counters : returns the session's counters; None before it begins.
    faults : returns how often each kind of output failed.
    interval : s between two records.
    clock : a monotonic clock, s.
    """

    def __init__(
        self,
        counters: Callable[[], Counters | None],
        faults: Callable[[], dict[str, int]] = dict,
        interval: float = HOUR,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self._faults = faults
        self._interval = interval
        self._clock = clock
        self._began = clock()
        self._due = self._began + interval

    def send(self, affect: Affect) -> None:
        """Log the numbers when an hour is over."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + self._interval
        counters, resident = self._counters(), resident_bytes()
        numbers = {} if counters is None else asdict(counters)
        faults = {kind: count for kind, count in self._faults().items() if count}
        parts = [f"{name.replace('_', ' ')} {value}" for name, value in numbers.items()]
        parts += [f"{kind} faults {count}" for kind, count in faults.items()]
        parts += [] if resident is None else [f"{resident / 1e6:.0f} MB resident"]
        hours = (now - self._began) / HOUR
        fields = numbers | {
            "uptime_seconds": round(now - self._began, 1),
            "resident_bytes": resident,
            "faults": faults,
        }
        log.info("alive for %.4g h, %s: %s", hours, affect.activity, ", ".join(parts), extra=fields)

    def close(self) -> None:
        """Nothing to release."""
