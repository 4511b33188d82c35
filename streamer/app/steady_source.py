"""Other packages' sources, watched: whatever they do, the stream goes on at the clock's pace."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..core.protocols import Block, Source
from ..core.standstill import Standstill
from ..errors import InputError, PluginError
from ..sources.devices.gap_filler import GapFiller
from . import plugins
from .plugins import Plugin, words

log = logging.getLogger(__name__)

LOADING = 60.0  # s for its import and its making: without a source there is no show
STARTING = 10.0  # s in which its ``start`` is to return
CLOSING = 2.0  # s that it may take to end
QUIET = 0.7  # s without a block after which silence stands in for a live source
TICK = 0.05  # s between two looks for that
_RATES = (1_000, 768_000)  # samples per second, as the engine takes them
_MOST_CHANNELS = 256


class SteadySource:
    """A plugin's source whose stream goes on whatever becomes of it.

    While a live one hands on nothing, silence takes its place at the pace of the monotonic clock and ``lost`` is true,
    as it is with an audio input that goes away. A block that is no such thing (another shape, no numbers) is left out
    and counted in ``flags``.

    Raises
    ------
    InputError
        It was told what it cannot mean.
    PluginError
        It cannot be loaded, or states a rate or channels that cannot be.
    """

    def __init__(self, plugin: Plugin, table: Mapping[str, Any]) -> None:
        self._source: Source = _made(plugin, table)
        try:
            self.name = str(self._source.name)
            self.live = bool(self._source.live)
            rate, channels = self._source.rate, self._source.channels
        except Exception as fault:
            raise PluginError(f"{plugin} does not say what it is: {words(fault)}") from fault
        self.rate = _whole(plugin, "rate", rate, *_RATES)
        self.channels = _whole(plugin, "channels", channels, 1, _MOST_CHANNELS)
        self.losses = 0
        self.filled = 0
        self._own_flags = 0
        self._lost = False
        self._last = 0.0
        self._longest = 0.0  # s of the longest block so far
        self._gaps = GapFiller(self.rate)
        self._standstill = Standstill()
        self._write: Callable[[Block], int] | None = None
        self._writing = threading.Lock()  # the ring behind has one writer
        self._over = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def lost(self) -> bool:
        """Whether silence stands in for it now, here or within it."""
        return self._lost or bool(self._asked("lost", False))

    @property
    def flags(self) -> int:
        """Its own faults, and the blocks that were none."""
        reported = self._asked("flags", 0)
        return self._own_flags + (reported if isinstance(reported, int) else 0)

    @property
    def failure(self) -> BaseException | None:
        """Why its thread ended, if a fault ended it."""
        return self._asked("failure", None)

    @property
    def finished(self) -> bool:
        """True once no further block will come."""
        return bool(self._asked("finished", False))

    def start(self, write: Callable[[Block], int]) -> None:
        """Have it begin, and watch it if it is live.

        Raises
        ------
        PluginError
            It raises, or its ``start`` does not return within 10 s: blocks are to come from a thread of its own.
        """
        self._write = write
        self._last = time.monotonic()
        self._standstill.seconds()
        fault = _aside(lambda: self._source.start(self._take), f"source {self.name}", STARTING)
        if isinstance(fault, InputError):
            raise fault
        if fault is not None:
            raise PluginError(f"the source {self.name} does not start: {words(fault)}") from fault
        if self.live:
            self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)
            self._watcher.start()

    def stop(self) -> None:
        """End it; one that hangs in it is left behind after 2 s. May be called twice, and before ``start``."""
        self._over.set()
        fault = _aside(self._source.stop, f"stop {self.name}", CLOSING)
        if fault is not None:
            self._note(fault)
        if self._watcher is not None and self._watcher.is_alive():
            self._watcher.join(CLOSING)

    def _asked(self, name: str, otherwise: Any) -> Any:
        """An attribute of the plugin's, which may be a property that raises."""
        try:
            return getattr(self._source, name)
        except Exception as fault:  # noqa: BLE001  it may be anyone's code, and the show goes on
            self._note(fault)
            return otherwise

    def _note(self, fault: BaseException) -> None:
        self._own_flags += 1
        if self._own_flags == 1:
            log.warning("the source %s: %s (told once, counted from here on)", self.name, words(fault))

    def _take(self, block: Block) -> int:
        assert self._write is not None
        frames = len(block) if np.ndim(block) else 0
        try:
            block = np.asarray(block, dtype=np.float32)
            if block.ndim != 2 or block.shape[1] != self.channels:
                raise ValueError(f"a block of shape {block.shape}, which is left out")
        except (ValueError, TypeError) as fault:
            self._note(fault)
            return frames
        with self._writing:
            if self._over.is_set():
                return frames
            return self._write_live(block) if self.live else self._write(block)

    def _write_live(self, block: Block) -> int:
        assert self._write is not None
        now, seconds = time.monotonic(), len(block) / self.rate
        self._notice_standstill(now)
        missing = self._gaps.heard(seconds, now)
        self._last = now
        self._longest = max(self._longest, seconds)
        if missing is None:  # silence has stood in for it already
            return len(block)
        if missing:
            self._silence(missing)
        if self._lost:
            self._lost = False
            log.info("the source %s is back", self.name)
        return self._write(block)

    def _watch(self) -> None:
        while not self._over.wait(TICK):
            with self._writing:
                now = time.monotonic()
                self._notice_standstill(now)
                if self.finished or now - self._last <= max(QUIET, 2.0 * self._longest):
                    continue
                if not self._lost:
                    self._lost = True
                    self.losses += 1
                    # Numbered, or the next within a minute would be held back as a repeat.
                    log.warning("the source %s sends nothing: silence stands in (loss %d)", self.name, self.losses)
                self._silence(self._gaps.silence(now))

    def _notice_standstill(self, now: float) -> None:
        """After a standstill of the program go on in the present; the session counts what was not heard.

        The watcher comes here every 50 ms, if anybody does.
        """
        if self._standstill.seconds(TICK):
            self._gaps.resume(now)
            self._last = now

    def _silence(self, frames: int) -> None:
        assert self._write is not None
        if frames > 0:
            self.filled += frames
            self._write(np.zeros((frames, self.channels), dtype=np.float32))


def _made(plugin: Plugin, table: Mapping[str, Any]) -> Source:
    """Loaded and made in a thread, so that one that hangs ends in a line."""
    made: list[Source] = []
    fault = _aside(lambda: made.append(plugins.make(plugin, table)), f"source {plugin.name}", LOADING)
    if isinstance(fault, (InputError, PluginError)):
        raise fault
    if fault is not None:
        raise PluginError(f"{plugin} is not ready: {words(fault)}") from fault
    return made[0]


def _aside(call: Callable[[], object], name: str, seconds: float) -> BaseException | None:
    """Call it in a thread, which is left behind after so many seconds; what it raised, or that it did not return."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as fault:  # noqa: BLE001  handed to who called
            raised.append(fault)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return TimeoutError(f"{name} does not return within {seconds:g} s, and is left behind")
    return raised[0] if raised else None


def _whole(plugin: Plugin, what: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise PluginError(f"{plugin} states a {what} of {value!r}: {low} to {high} are possible")
    return int(value)
