"""The session's numbers for Prometheus: served over HTTP, or written to a file for the node exporter to collect.

The text format takes twenty lines here; prometheus_client, whose parser reads them in the tests, would add a package
and a megabyte, and its server, of unbounded threads, would have to be replaced.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ..._util.address import parse_listening
from ..._util.files import AtomicFile, reason
from ..._util.process import open_files, resident_bytes
from ...core.affect import ACTIVITIES, Affect
from ...core.session import Counters
from ...errors import InputError
from ..losses import Losses

log = logging.getLogger(__name__)

WRITE_INTERVAL = 15.0  # s between two writings of the file
_CLOCK_STEP = 1.0  # s of difference between two clocks that mean that the wall clock was set

_COUNTERS = {
    "emissions": ("emissions_total", "Emissions made."),
    "frames": ("frames_total", "Frames of sound that were heard."),
    "dropped": ("dropped_frames_total", "Frames lost because the tracker was behind."),
    "flags": ("device_flags_total", "Faults that the audio device reported."),
    "bad_samples": ("bad_samples_total", "Samples that were no numbers, or far over full scale."),
    "losses": ("input_losses_total", "Times that the audio input was lost."),
    "filled": ("input_filled_frames_total", "Frames of silence that stood in for a lost input."),
}
_TRAFFIC = {
    "osc_in_messages": "Messages that came in over OSC, by what became of them; `messages` is all that were read.",
    "ratings": "Ratings by listeners: taken, and of these kept on disk or lost.",
}
_GAUGES = {
    "valence": "Mean valence, -1 to 1.",
    "arousal": "Mean arousal, -1 to 1.",
    "confidence": "How sure the heatmap is, 0 to 1.",
    "level": "Loudness, 0 at -60 dBFS to 1 at full scale.",
}


class Page:
    """Metrics in Prometheus' text format, version 0.0.4."""

    def __init__(self) -> None:
        self._families: dict[str, list[str]] = {}

    def add(self, name: str, kind: str, help_text: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Add one sample of a metric.

        Parameters
        ----------
        name : of the metric.
        kind : ``counter`` or ``gauge``.
        help_text : what the metric is.
        value : of the sample.
        labels : of the sample, by name.
        """
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in (labels or {}).items())
        lines = self._families.setdefault(name, [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"])
        lines.append(f"{name}{{{pairs}}} {value!r}" if pairs else f"{name} {value!r}")

    def __str__(self) -> str:
        return "\n".join([line for lines in self._families.values() for line in lines]) + "\n"


class _Exporter(Protocol):
    @property
    def where(self) -> str: ...

    @property
    def faults(self) -> int: ...

    def close(self) -> None: ...


class Metrics:
    """A sink that serves the session's numbers or writes them to a file.

    Parameters
    ----------
    target : ``[HOST:]PORT`` for ``GET /metrics``, this machine's own by default, or a file that ends in ``.prom``,
        written every 15 s and removed at the end.
    counters : returns the session's counters, None before it begins; called from another thread for each page.
    losses : all that may be lost; asked likewise.
    facts : the labels of ``valaro_build_info``.
    rate : frames a second of the input, to give the time without input in seconds.
    traffic : returns what came in, by kind and by what became of it; called likewise.

    Attributes
    ----------
    faults : how many times the file could not be written.

    Raises
    ------
    InputError
        There is no such target.
    SinkError
        The port is taken, or the folder cannot be created.
    """

    def __init__(
        self,
        target: str,
        counters: Callable[[], Counters | None],
        losses: Losses | None = None,
        facts: Mapping[str, str] | None = None,
        rate: float | None = None,
        traffic: Callable[[], Mapping[str, Mapping[str, int]]] = dict,
    ) -> None:
        self._counters = counters
        self._losses = Losses() if losses is None else losses
        self._traffic = traffic
        self._facts = dict(facts or {})
        self._rate = rate
        self._began = time.monotonic()
        self._start_time = time.time()
        self._newest: dict[int | None, tuple[Affect, float]] = {}  # by channel, with when it came
        parsed = parse_target(target)
        if isinstance(parsed, Path):
            self._exporter: _Exporter = _Textfile(parsed, self.text)
        else:
            from .metrics_server import MetricsServer

            self._exporter = MetricsServer(*parsed, self.text)

    @property
    def faults(self) -> int:
        """How many times the file could not be written."""
        return self._exporter.faults

    @property
    def where(self) -> str:
        """The address to scrape, or the file."""
        return self._exporter.where

    def send(self, affect: Affect) -> None:
        """Keep the newest emission of each channel."""
        self._newest[affect.channel] = affect, time.time()

    def close(self) -> None:
        """End the server or the writing; may be called twice."""
        self._exporter.close()

    def text(self) -> str:
        """The page as of now; from any thread."""
        page, now, counters = Page(), time.monotonic(), self._counters()
        up = now - self._began
        page.add("valaro_build_info", "gauge", "Which Valaro runs, and what with.", 1, self._facts)
        page.add("valaro_uptime_seconds", "gauge", "Seconds since the start, by a clock that nobody sets.", up)
        if counters is not None:
            _add_counters(page, counters, self._rate)
        _add_losses(page, self._losses)
        for kind, counts in self._traffic().items():
            for outcome, count in counts.items():
                page.add(f"valaro_{kind}_total", "counter", _TRAFFIC[kind], count, {"outcome": outcome})
        for channel, (affect, came) in self._newest.copy().items():
            _add_gauges(page, affect, came, {} if channel is None else {"channel": str(channel)})
        page.add("process_cpu_seconds_total", "counter", "Processor time used, in seconds.", time.process_time())
        page.add("process_start_time_seconds", "gauge", "When it began, s since 1970.", self._start(up))
        if (resident := resident_bytes()) is not None:
            page.add("process_resident_memory_bytes", "gauge", "Resident memory, in bytes.", resident)
        if (opened := open_files()) is not None:
            page.add("process_open_fds", "gauge", "Open files and sockets.", opened)
        return str(page)

    def _start(self, up: float) -> float:
        """The start time, the same for the whole run, since a change means a restart, unless the wall clock was set."""
        if abs(by := time.time() - up - self._start_time) > _CLOCK_STEP:
            self._start_time += by
        return self._start_time


def parse_target(text: str) -> Path | tuple[str, int]:
    """The target of ``--metrics``: a file that ends in ``.prom``, or host and port; else InputError."""
    if text.endswith(".prom"):
        return Path(text)
    try:
        return parse_listening(text, "metrics to", "9100")
    except InputError as error:
        raise InputError(f"{error}; write PORT, HOST:PORT, or a file that ends in .prom") from error


def _add_counters(page: Page, counters: Counters, rate: float | None) -> None:
    for field, (name, help_text) in _COUNTERS.items():
        page.add(f"valaro_{name}", "counter", help_text, getattr(counters, field))
    if rate is not None:
        lost = counters.filled / rate
        page.add("valaro_input_lost_seconds_total", "counter", "Seconds without the audio input.", lost)


def _add_losses(page: Page, losses: Losses) -> None:
    """Each count by part, by what it counts and by destination or file: as many as the configuration names."""
    gone = "What is gone, in times, or in frames of sound (see unit); the closing line says the same."
    told = "What was refused or overtaken, and is no loss."
    for loss in losses.all():
        labels = {"part": loss.part, "what": loss.field.rpartition(".")[2], "name": loss.name}
        if loss.lost:
            page.add("valaro_lost_total", "counter", gone, loss.count, labels | {"unit": loss.unit})
        else:
            page.add("valaro_told_total", "counter", told, loss.count, labels)
    for part, count in losses.by_part().items():
        help_text = "Times that a part of this kind failed."
        page.add("valaro_sink_faults_total", "counter", help_text, count, {"sink": part})


def _add_gauges(page: Page, affect: Affect, came: float, labels: dict[str, str]) -> None:
    for name, help_text in _GAUGES.items():
        page.add(f"valaro_{name}", "gauge", help_text, getattr(affect, name), labels)
    for activity in ACTIVITIES:
        now = labels | {"activity": activity}
        page.add(
            "valaro_activity", "gauge", "What is heard: 1 for the one that is.", int(activity == affect.activity), now
        )
    lost = int(affect.activity == "lost")
    page.add("valaro_input_lost", "gauge", "1 while the audio input is lost and looked for.", lost, labels)
    page.add(
        "valaro_last_emission_timestamp_seconds", "gauge", "When the last emission was, s since 1970.", came, labels
    )


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class _Textfile:
    """Writes ``text`` to ``path`` every 15 s, first at once, from a thread."""

    def __init__(self, path: Path, text: Callable[[], str]) -> None:
        self.where = str(path)
        self.faults = 0
        self._file = AtomicFile(path, durable=False)  # numbers from before a power failure are of no use
        self._text = text
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop writing and remove the file: a session that has ended has no numbers."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join(2.0)
        with suppress(OSError):
            self._file.path.unlink()

    def _run(self) -> None:
        failing = False
        while True:
            try:
                self._file.write(self._text().encode())
                failing = False
            except OSError as fault:
                self.faults += 1
                if not failing:
                    log.warning("metrics to %s: %s; tried again every %g s", self.where, reason(fault), WRITE_INTERVAL)
                failing = True
            if self._closed.wait(WRITE_INTERVAL):
                return
