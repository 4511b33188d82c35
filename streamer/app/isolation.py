"""Other packages' sinks and sources, held at arm's length: whatever they do, emissions go on and stay on time."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.affect import Affect
from ..core.protocols import Block, Sink, Source
from ..errors import InputError, PluginError
from ..sources.devices.gap_filler import GapFiller
from . import plugins
from .plugins import Plugin, words

if TYPE_CHECKING:
    from ..core.controls import Controls
    from ..osc.receiver import Status
    from .settings import Settings

log = logging.getLogger(__name__)

LOADING = 3.0  # s that a sink's import may hold up the start; one that takes longer joins the show when it is ready
LOADING_SOURCE = 60.0  # s for a source, without which there is no show
MOST_WAITING = 64  # emissions that wait for a slow sink; then the oldest are passed over
CLOSING = 2.0  # s that it may take to end
QUIET = 0.7  # s without a block after which silence stands in for a live source
TICK = 0.05  # s between two looks for that
_RATES = (1_000, 768_000)  # samples per second, as the engine takes them
_MOST_CHANNELS = 256
_BLOCKED = 2.0  # s in one ``send`` after which the foot says so


@dataclass(frozen=True, slots=True)
class Running:
    """A running session, as a plugin may see and steer it.

    ``controls`` may be set at any time, from any thread. ``status`` gives the session's numbers now, ``lines`` what
    the foot of the picture says; ``stop`` asks the session to end, and returns at once.
    """

    settings: "Settings"
    controls: "Controls"
    status: "Callable[[], Status]"
    lines: Callable[[], list[str]]
    stop: Callable[[], None]


class IsolatedSink:
    """A plugin's sink in a thread of its own, where it is loaded, made, given emissions and closed.

    ``faults`` counts what it raised, the first of a row of which is logged; ``skipped`` the emissions that it never
    took, because it was not ready, was too slow, or is stuck. Nothing here waits for it but :meth:`open` and
    :meth:`close`, each for a bounded time.
    """

    def __init__(self, plugin: Plugin, table: Mapping[str, Any], value: str | None = None) -> None:
        self.name = plugin.name
        self.faults = 0
        self.skipped = 0
        self._plugin = plugin
        self._table = table
        self._value = value
        self._waiting: deque[Affect] = deque()
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._refusal: InputError | None = None  # raised by open(), unless it came too late for that
        self._begun = False  # the show has
        self._failure = ""
        self._since: float | None = None  # when the ``send`` that is under way began
        self._failing = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def open(self, running: Running) -> None:
        """Begin to load it; returns when it is ready, or has failed, or after 3 s.

        Raises
        ------
        InputError
            It was told what it cannot mean.
        """
        self._thread = threading.Thread(target=self._run, args=(running,), name=f"sink {self.name}", daemon=True)
        self._thread.start()
        self._ready.wait(LOADING)
        with self._changed:
            self._begun = True
            if self._refusal is not None:
                raise self._refusal
        if not self._ready.is_set():
            log.warning("the sink %s is still loading after %g s: the show begins without it", self.name, LOADING)

    @property
    def state(self) -> str:
        """In a word or two, for the foot of the picture: ``loading``, ``ready``, ``stuck`` or ``failed: why``."""
        if self._failure:
            return f"failed: {self._failure}"
        if not self._ready.is_set():
            return "loading"
        since = self._since
        return "stuck" if since is not None and time.monotonic() - since > _BLOCKED else "ready"

    def send(self, affect: Affect) -> None:
        """Leave it for the thread; never waits."""
        with self._changed:
            if self._failure or self._closed:
                self.skipped += 1
                return
            self._waiting.append(affect)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self.skipped += 1
            self._changed.notify()

    def close(self) -> None:
        """Have it take what waits, and end; after 2 s it is left behind. May be called twice."""
        with self._changed:
            closed, self._closed = self._closed, True
            self._changed.notify()
        if closed or self._thread is None:
            return
        self._thread.join(CLOSING)
        if self._thread.is_alive():
            log.warning("the sink %s does not end within %g s and is left behind", self.name, CLOSING)
        with self._changed:
            self.skipped += len(self._waiting) + (self._thread.is_alive() and self._since is not None)
            self._waiting.clear()

    def _run(self, running: Running) -> None:
        try:
            sink: Sink = plugins.make(self._plugin, self._table, self._value)
            if hasattr(sink, "attach"):
                sink.attach(running)  # type: ignore[attr-defined]  only some have it
        except InputError as refusal:
            with self._changed:
                self._refusal, late = refusal, self._begun
            if late:
                self._fail(str(refusal))
            self._ready.set()
            return
        except BaseException as fault:  # noqa: BLE001  it may be anyone's code, and the show goes on
            self.faults += 1
            self._fail(str(fault) if isinstance(fault, PluginError) else words(fault))
            return
        self._ready.set()
        while (affect := self._next()) is not None:
            self._pass_on(sink, affect)
        try:
            sink.close()
        except BaseException as fault:  # noqa: BLE001  the same
            self._fault(fault)

    def _next(self) -> Affect | None:
        """The oldest that waits; None when there will be no other."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popleft() if self._waiting else None

    def _pass_on(self, sink: Sink, affect: Affect) -> None:
        self._since = time.monotonic()
        try:
            sink.send(affect)
            self._failing = False
        except BaseException as fault:  # noqa: BLE001  the same
            self._fault(fault)
        finally:
            self._since = None

    def _fault(self, fault: BaseException) -> None:
        self.faults += 1
        if not self._failing:
            log.warning("the sink %s: %s (told once, counted from here on)", self.name, words(fault))
        self._failing = True

    def _fail(self, why: str) -> None:
        log.warning("%s: the show goes on without the sink %s", why, self.name)
        with self._changed:
            self._failure = why
            self.skipped += len(self._waiting)
            self._waiting.clear()
        self._ready.set()


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
        self.name = str(self._source.name)
        self.live = bool(self._source.live)
        self.rate = _whole(plugin, "rate", self._source.rate, *_RATES)
        self.channels = _whole(plugin, "channels", self._source.channels, 1, _MOST_CHANNELS)
        self.losses = 0
        self.filled = 0
        self._own_flags = 0
        self._lost = False
        self._last = 0.0
        self._gaps = GapFiller(self.rate)
        self._write: Callable[[Block], int] | None = None
        self._writing = threading.Lock()  # the ring behind has one writer
        self._over = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def lost(self) -> bool:
        """Whether silence stands in for it now, here or within it."""
        return self._lost or bool(self._source.lost)

    @property
    def flags(self) -> int:
        """Its own faults, and the blocks that were none."""
        return self._own_flags + int(self._source.flags)

    @property
    def failure(self) -> BaseException | None:
        """Why its thread ended, if a fault ended it."""
        return self._source.failure

    @property
    def finished(self) -> bool:
        """True once no further block will come."""
        return bool(self._source.finished)

    def start(self, write: Callable[[Block], int]) -> None:
        """Have it begin, and watch it if it is live."""
        self._write = write
        self._last = time.monotonic()
        if self.live:
            self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)
        try:
            self._source.start(self._take)
        except (KeyboardInterrupt, InputError):
            raise
        except BaseException as fault:
            raise PluginError(f"the source {self.name} does not start: {words(fault)}") from fault
        if self._watcher is not None:
            self._watcher.start()

    def stop(self) -> None:
        """End it; one that hangs in it is left behind after 2 s. May be called twice, and before ``start``."""
        self._over.set()
        ending = threading.Thread(target=self._source.stop, name=f"stop {self.name}", daemon=True)
        ending.start()
        ending.join(CLOSING)
        if ending.is_alive():
            log.warning("the source %s does not end within %g s and is left behind", self.name, CLOSING)
        if self._watcher is not None and self._watcher.is_alive():
            self._watcher.join(CLOSING)

    def _take(self, block: Block) -> int:
        assert self._write is not None
        try:
            block = np.asarray(block, dtype=np.float32)
            if block.ndim != 2 or block.shape[1] != self.channels:
                raise ValueError(f"a block of shape {block.shape}")
        except (ValueError, TypeError) as fault:
            self._own_flags += 1
            if self._own_flags == 1:
                log.warning("the source %s: %s: left out (told once, counted from here on)", self.name, words(fault))
            return len(block) if hasattr(block, "__len__") else 0
        if not self.live:
            return self._write(block)
        with self._writing:
            if self._over.is_set():
                return len(block)
            now = time.monotonic()
            missing = self._gaps.heard(len(block) / self.rate, now)
            self._last = now
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
                if self._source.finished or now - self._last <= QUIET:
                    continue
                if not self._lost:
                    self._lost = True
                    self.losses += 1
                    # Numbered, or the next within a minute would be held back as a repeat.
                    log.warning("the source %s sends nothing: silence stands in (loss %d)", self.name, self.losses)
                self._silence(self._gaps.silence(now))

    def _silence(self, frames: int) -> None:
        assert self._write is not None
        if frames > 0:
            self.filled += frames
            self._write(np.zeros((frames, self.channels), dtype=np.float32))


def _made(plugin: Plugin, table: Mapping[str, Any]) -> Source:
    """Loaded and made in a thread, so that one that hangs ends in a line."""
    made: list[Source] = []
    refusals: list[BaseException] = []

    def make() -> None:
        try:
            made.append(plugins.make(plugin, table))
        except BaseException as fault:  # noqa: BLE001  raised again below
            refusals.append(fault)

    thread = threading.Thread(target=make, name=f"source {plugin.name}", daemon=True)
    thread.start()
    thread.join(LOADING_SOURCE)
    if thread.is_alive():
        raise PluginError(f"{plugin} is not ready after {LOADING_SOURCE:g} s")
    if refusals:
        raise refusals[0]
    return made[0]


def _whole(plugin: Plugin, what: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise PluginError(f"{plugin} states a {what} of {value!r}: {low} to {high} are possible")
    return int(value)
