"""Sound from an audio input, whatever happens to it: a disposable process captures, this one watches it."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from queue import Empty
from typing import Any

import numpy as np

from ..core.protocols import Block
from ..core.standstill import Standstill
from ..errors import DeviceError
from .devices import listing, pulseaudio
from .devices.capture import CLOSING, LIMIT, Capture, Message, Sound
from .devices.channel_format import FormatAdapter, choose
from .devices.gap_filler import GapFiller
from .devices.identity import Identity

log = logging.getLogger(__name__)

TICK = 0.05  # s between two checks while nothing comes, and between two pieces of silence
PATIENCE = 0.7  # s without a block after which silence replaces it; blocks come every few to 100 ms
STALL = 4.0  # s without a block after which the input is reopened; a sound server's first block may take two
FIRST, LAST = 0.25, 5.0  # s from a loss to the first attempt, then twice as long each time, and at most
STEADY = 2.0  # s of sound after which the next loss counts as a new one
PIECE = 0.25  # s of silence that are written at once; the ring holds several of these
MOST_HELD = 8  # processes that a driver keeps from ending; each attempt might add one, for months
BREATH = 0.02  # s between such pieces, so that the engine keeps up


class Microphone:
    """An audio input at its native rate, in blocks of the device's own size.

    Parameters
    ----------
    device : a name or part of one, an index, or None for the system's default.
    channels : which ones, counted from 1, in the order wanted; None takes all, up to eight (the engine mixes them to
        mono), and the first two of a device that offers more.

    Raises
    ------
    DeviceError
        PortAudio is missing, there is no input, or none or several match the name; one line that says what to do. So
        does :meth:`start` when the input is busy or cannot be opened.
    InputError
        The input, or the source that a sound server has behind it, does not have these channels.

    Notes
    -----
    Once started, only :meth:`stop` ends it. When no sound comes (unplugged, the sound server died or hangs, the driver
    hangs) silence replaces it at the pace of the monotonic clock, ``lost`` is true, and the input is looked for by its
    name and opened again, at once, then less and less often, every five seconds at least. It may come back under
    another index or card number, at another rate, which is resampled, or with other channels, which are mapped. Each
    loss and each return is logged once.

    After this program stood still (stopped, or suspended with its machine) it goes on in the present: neither the sound
    that waited nor silence in its place comes. The session counts what was not heard.
    """

    live = True

    def __init__(self, device: str | int | None = None, channels: Sequence[int] | None = None) -> None:
        self._capture: Capture | None = listing.start_capture()
        weakref.finalize(self, self._capture.end)  # leaves no process behind when it is never started
        try:
            inputs, default = listing.read_listing(listing.answer(self._capture))
            # The sound server is asked only for what looks like one of its monitors, because that takes a process.
            monitor = isinstance(device, str) and device.casefold().endswith(".monitor")
            self._device = listing.find(device, listing.with_monitors(inputs) if monitor else inputs, default)
            source = pulseaudio.source_behind(self._device.name) if self._device.host_api == "ALSA" else None
            self._picks, self._opened = choose(self._device, channels, source)
        except BaseException:
            self._capture.end()
            raise
        self._held: list[Capture] = []  # discarded, but kept from ending by a driver
        self._identity = Identity(self._device, inputs)
        self._format = FormatAdapter(self._device, self.rate, self._picks, self._opened)
        self._gaps = GapFiller(self.rate)
        self._quiet_block = np.zeros((max(1, round(PIECE * self.rate)), self.channels), dtype=np.float32)
        self._write: Callable[[Block], int] | None = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._reading = True  # whether the capture was opened
        self._waited = 0.0  # s that its next message was waited for
        self._last = self._since = self._retry = 0.0  # when the last block came, the loss, the next attempt
        self._delay = FIRST
        self._steady_at = 0.0
        self._lost = False
        self._losses = self._filled = 0
        self._standstill = Standstill()
        self._present = 0.0  # what was captured before it is not heard any more
        self._excusing = False  # after a standstill, until the first sound that came later
        self._faults = [0, 0, 0]  # of previous captures
        self._counts = [0, 0, 0]  # of the current one

    @property
    def name(self) -> str:
        """The device's name, as PortAudio had it at the beginning."""
        return self._device.name

    @property
    def rate(self) -> int:
        """The device's native samples per second, as it was at the beginning."""
        return self._device.rate

    @property
    def channels(self) -> int:
        """Channels of each block."""
        return self._opened if self._picks is None else len(self._picks)

    @property
    def lost(self) -> bool:
        """Whether silence replaces the input now."""
        return self._lost

    @property
    def losses(self) -> int:
        """How many times it was lost so far."""
        return self._losses

    @property
    def filled(self) -> int:
        """Frames of silence that replaced the input so far."""
        return self._filled

    @property
    def flags(self) -> int:
        """How many callbacks came with a fault of the device, of any kind."""
        return sum(self.flag_counts.values())

    @property
    def flag_counts(self) -> dict[str, int]:
        """The device's faults by kind: overflows, underflows and blocks that the capture process dropped."""
        total = [old + new for old, new in zip(self._faults, self._counts, strict=True)]
        return dict(zip(("input overflow", "input underflow", "block dropped"), total, strict=True))

    @property
    def failure(self) -> BaseException | None:
        """The defect that ended the thread, if any."""
        return self._failure

    @property
    def finished(self) -> bool:
        """True once no further block will come."""
        return self._over.is_set()

    def start(self, write: Callable[[Block], int]) -> None:
        """Open the device and have a thread call ``write``. Once only.

        Raises
        ------
        DeviceError
            The input is busy or cannot be opened.
        RuntimeError
            It was started or stopped before.
        """
        if self._thread is not None or self._over.is_set() or self._capture is None:
            raise RuntimeError(f"{self.name}: a source is started once")
        assert self._device.index is not None
        self._capture.open(self._device.index, self._format.channels, self._format.rate)
        answer = listing.answer(self._capture)
        if "fault" in answer:
            self.stop()
            raise refusal(self.name, answer["fault"], answer["code"])
        self._write = write
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"source {self.name}", daemon=True)
        self._thread.start()
        if (source := pulseaudio.source()) is not None and self._device.host_api == "ALSA":
            watch = pulseaudio.PulseSourceWatch(source)
            threading.Thread(target=self._watch, args=(watch,), name="pulse source", daemon=True).start()

    def stop(self) -> None:
        """Close the device; may be called twice, and before ``start``. A driver that hangs is not waited for."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        capture, self._capture = self._capture, None
        if capture is not None and not capture.end(0.0 if self._lost else CLOSING) and not self._lost:
            log.warning("audio input %r does not close within %g s: it was closed by force", self.name, CLOSING)

    def _run(self) -> None:
        self._standstill.seconds()  # it began when this was made
        try:
            while not self._over.is_set():
                self._step()
        except Exception as error:  # noqa: BLE001  the session raises it
            self._failure = error
            self._over.set()

    def _step(self) -> None:
        """Take the capture's next message, or check on it when there is none."""
        if self._capture is None:
            self._over.wait(TICK)
            self._notice_standstill()
            if time.monotonic() >= self._retry:
                self._attempt()
        else:
            began = time.monotonic()
            try:
                message = self._capture.messages.get(timeout=TICK)
                self._notice_standstill()
                self._take(message)
                self._waited = 0.0
            except Empty:
                self._notice_standstill()
                # Not by the clock: a program that was suspended would count its own pause, though messages wait for it.
                self._waited += min(time.monotonic() - began, 2 * TICK)
                self._check_silent_capture()
        if self._lost:
            self._silence(self._gaps.silence(time.monotonic()))
        self._standstill.seconds()  # a driver that ends slowly is none

    def _notice_standstill(self) -> None:
        """After a standstill of this program go on in the present; the session counts what was not heard."""
        if self._standstill.seconds(TICK):
            self._present = time.monotonic()
            self._excusing = True
            self._gaps.resume(self._present)

    def _take(self, message: Message) -> None:
        if isinstance(message, Sound):
            self._take_sound(message)
        elif message is None:
            self._give_up("the process that reads it ended")
        elif "fault" in message:
            self._give_up(message["fault"])
        elif "inputs" in message:
            self._reopen(message)
        else:
            self._reading = True

    def _take_sound(self, sound: Sound) -> None:
        self._last = sound.at
        counts = [sound.overflows, sound.underflows, sound.dropped]
        if self._excusing:  # what the capture process lost while nobody read it is counted already
            self._faults = [
                fault + old - new for fault, old, new in zip(self._faults, self._counts, counts, strict=True)
            ]
        self._counts = counts
        if sound.at < self._present:  # captured while nobody listened
            return
        self._excusing = False
        missing = self._gaps.heard(self._format.seconds(sound.samples), sound.at)
        if missing is None:
            return
        self._silence(missing)
        if self._lost:
            self._lost = False
            self._steady_at = sound.at + STEADY
            log.info("audio input %r is back after %.1f s", self.name, sound.at - self._since)
        elif sound.at >= self._steady_at:
            self._delay = FIRST
        assert self._write is not None
        self._write(self._format.block(sound.samples))

    def _silence(self, frames: int) -> None:
        """Write so many frames of silence, not faster than the engine takes them."""
        assert self._write is not None
        self._filled += frames
        while frames > 0 and not self._over.is_set():
            piece = self._quiet_block[:frames]
            frames -= len(piece)
            self._write(piece)
            if frames:
                self._over.wait(BREATH)

    def _check_silent_capture(self) -> None:
        """Decide, by how long the capture has sent nothing, whether the input is lost."""
        if not self._reading:
            if self._waited > LIMIT:
                self._give_up("it does not answer")
        elif self._waited > STALL:
            self._give_up("it sends nothing")
        elif self._waited > PATIENCE and self._gaps.begun:
            self._lose("it sends nothing")

    def _lose(self, why: str) -> None:
        if not self._lost:
            self._lost = True
            self._losses += 1
            self._since = self._last
            # Numbered: otherwise the next one within a minute would be suppressed as a repeat.
            log.warning("audio input %r is lost (%s): looking for it (loss %d)", self.name, why, self._losses)

    def _give_up(self, why: str) -> None:
        """Discard the capture, and try again later."""
        self._lose(why)
        self._discard()
        self._retry = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, LAST)

    def _discard(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.end()
            self._held.append(capture)
        self._faults = [old + new for old, new in zip(self._faults, self._counts, strict=True)]
        self._counts = [0, 0, 0]

    def _attempt(self) -> None:
        self._reading = False
        self._waited = 0.0
        self._held = [capture for capture in self._held if capture.running]
        if len(self._held) >= MOST_HELD:
            self._give_up("a driver holds the processes that read it")
            return
        try:
            self._capture = Capture()
        except OSError as error:
            self._give_up(f"no process can be started for it: {error}")

    def _reopen(self, message: dict[str, Any]) -> None:
        device = self._identity.find(listing.read_listing(message)[0])
        if device is None or device.index is None or self._capture is None:
            self._give_up("it is not there")
            return
        self._format = FormatAdapter(device, self.rate, self._picks, self._opened)
        self._capture.open(device.index, self._format.channels, self._format.rate)

    def _watch(self, watch: pulseaudio.PulseSourceWatch) -> None:
        while not self._over.is_set():
            capture = self._capture
            if capture is not None and self._reading and watch.strayed(capture.pid):
                capture.messages.put({"fault": "the sound server put another in its place"})
            self._over.wait(pulseaudio.LOOK)


def refusal(name: str, reason: str, code: int | None) -> DeviceError:
    """The error, in one line, when the input ``name`` does not open, by PortAudio's reason and code."""
    if code == -9985:  # paDeviceUnavailable
        return DeviceError(f"audio input {name!r} is busy: close the program that uses it, or choose another input")
    return DeviceError(f"audio input {name!r} refuses to open ({reason}): see `valaro devices` for others")
