"""Sound from an audio input, through PortAudio (the sounddevice package)."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DeviceError, InputError
from ..protocols import Block
from . import devices

log = logging.getLogger(__name__)

MIX_LIMIT = 8  # channels: beyond it, a sound server that offers any number, or a stage box of which 1-2 are the mix
STALL = 3.0  # s without a callback after which an input counts as gone; blocks come every few to 100 ms
GRACE = 1.0  # s more, from when that was seen: a process that was suspended sees its own pause first
CLOSING = 2.0  # s that a driver may take to close


class Microphone:
    """An audio input at its native rate, in blocks of the device's own size.

    ``device``: a name or part of one, an index, or None for the system's default. ``channels``: which ones, counted
    from 1, in the order wanted; None takes all, up to eight (the engine mixes them to mono), and the first two of a
    device that offers more. Raises DeviceError, one line that says what to do, when PortAudio is missing, there is no
    input, or none or several answer to the name; InputError for channels that it does not have. :meth:`start` raises
    DeviceError when it is busy or refuses.

    The callback copies the block, counts and returns. When the input goes away while it is open (PortAudio ends the
    stream, or the callbacks just stop) ``failure`` says so and ``finished`` is true.
    """

    live = True

    def __init__(self, device: str | int | None = None, channels: Sequence[int] | None = None) -> None:
        self._library = devices.portaudio()
        # The sound server is asked only for what looks like its own, because it takes a process.
        monitor = isinstance(device, str) and device.casefold().endswith(".monitor")
        inputs = devices.inputs() if monitor else devices.portaudio_inputs()
        found = devices.find(device, inputs, devices.default_index())
        self._device = found
        self._picks, self._opened = _choose(found, channels)
        self._stream: Any = None
        self._stopping = False
        self._ended = False
        self._failure: BaseException | None = None
        self._last = 0.0
        self._suspected: float | None = None
        self._overflows = 0
        self._underflows = 0

    @property
    def name(self) -> str:
        """The device's name, as PortAudio has it."""
        return self._device.name

    @property
    def rate(self) -> int:
        """The device's native samples per second."""
        return self._device.rate

    @property
    def channels(self) -> int:
        """Channels of each block."""
        return self._opened if self._picks is None else len(self._picks)

    @property
    def flags(self) -> int:
        """How many callbacks came with a fault of the device, of any kind."""
        return sum(self.flag_counts.values())

    @property
    def flag_counts(self) -> dict[str, int]:
        """The device's faults by kind: sound that was lost before it came here, and gaps that were filled."""
        return {"input overflow": self._overflows, "input underflow": self._underflows}

    @property
    def callback_age(self) -> float:
        """Seconds since the last callback, or since the start before the first; 0 while not started."""
        return time.monotonic() - self._last if self._stream is not None else 0.0

    @property
    def failure(self) -> BaseException | None:
        """Why no more sound comes, if the input went away by itself."""
        if self._failure is None and self._stream is not None and not self._stopping:
            if self._ended:
                self._failure = DeviceError(
                    f"audio input {self.name!r} went away: connect it or restart the sound server, then start again"
                )
            elif self._stalled():
                self._failure = DeviceError(
                    f"audio input {self.name!r} sends nothing any more: connect it again, then start again"
                )
        return self._failure

    @property
    def finished(self) -> bool:
        """True once no further block will come."""
        return self._stopping or self.failure is not None

    def start(self, write: Callable[[Block], int]) -> None:
        """Open the device and have its thread call ``write``. Once only. DeviceError when it is busy or refuses."""
        if self._stream is not None or self._stopping:
            raise RuntimeError(f"{self.name}: a source is started once")
        picks = self._picks

        def callback(block: NDArray[np.float32], _frames: int, _time: Any, status: Any) -> None:
            if status:
                self._overflows += bool(status.input_overflow)
                self._underflows += bool(status.input_underflow)
            self._last = time.monotonic()
            write(block if picks is None else block[:, picks])

        def ended() -> None:
            self._ended = True

        try:
            with devices.quiet_stderr():
                stream = self._library.InputStream(
                    samplerate=self.rate,
                    device=self._device.index,
                    channels=self._opened,
                    dtype="float32",
                    callback=callback,
                    finished_callback=ended,
                )
                self._last = time.monotonic()
                self._stream = stream
                stream.start()
        except self._library.PortAudioError as error:
            self.stop()
            raise refusal(self.name, error) from error

    def stop(self) -> None:
        """Close the device; may be called twice, and before ``start``. A driver that hangs in it is left behind."""
        already, self._stopping = self._stopping, True
        if already or self._stream is None:
            return
        closer = threading.Thread(target=self._stream.close, name=f"closing {self.name}", daemon=True)
        closer.start()
        closer.join(CLOSING)
        if closer.is_alive():
            log.warning("audio input %r does not close within %g s and is left behind", self.name, CLOSING)

    def _stalled(self) -> bool:
        now = time.monotonic()
        if now - self._last < STALL:
            self._suspected = None
        elif self._suspected is None:
            self._suspected = now
        return self._suspected is not None and now - self._suspected > GRACE


def refusal(name: str, error: Exception) -> DeviceError:
    """What a PortAudioError at the opening of the input ``name`` means, in one line."""
    code = error.args[1] if len(error.args) > 1 else None
    if code == -9985:  # paDeviceUnavailable
        return DeviceError(f"audio input {name!r} is busy: close the program that uses it, or choose another input")
    reason = str(error.args[0] if error.args else error).rsplit(": ", 1)[-1]
    return DeviceError(f"audio input {name!r} refuses to open ({reason}): see `valaro devices` for others")


def _choose(device: devices.AudioInput, channels: Sequence[int] | None) -> tuple[list[int] | None, int]:
    """Which columns of the device's blocks to keep (None: all of them), and how many channels to open."""
    if channels is None:
        return None, device.channels if device.channels <= MIX_LIMIT else 2
    wrong = [each for each in channels if not 1 <= each <= device.channels]
    if wrong or not channels:
        which = ", ".join(map(str, wrong)) or "none"
        raise InputError(f"audio input {device.name!r} has channels 1 to {device.channels}, not {which}")
    return [each - 1 for each in channels], max(channels)
