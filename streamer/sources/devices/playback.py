"""Plays sound on the default output, for a person to rate it."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DeviceError
from .listing import portaudio

FADE = 0.05  # s at both ends: an excerpt does not begin with a click
LATENCY = 0.2  # s: latency does not matter here, and a busy machine does not stutter
_PATIENCE = 10.0  # s beyond twice the sound's length until an output counts as stuck


class Player:
    """The system's default audio output.

    Raises
    ------
    DeviceError
        There is none.
    """

    def __init__(self) -> None:
        self._library: Any = portaudio()
        try:
            device = self._library.query_devices(kind="output")
        except (self._library.PortAudioError, ValueError) as error:
            raise DeviceError("no audio output was found") from error
        self._rate = round(device["default_samplerate"])
        self._channels = min(2, device["max_output_channels"])

    def play(self, samples: NDArray[np.float32], rate: int) -> None:
        """Play samples (n, channels) at ``rate`` to their end; full scale is ±1.

        Drivers may print on file descriptor 2 meanwhile.

        Raises
        ------
        DeviceError
            The output fails.
        """
        sound = self._converted(samples, rate)
        deadline = time.monotonic() + 2 * len(sound) / self._rate + _PATIENCE
        try:
            self._library.play(sound, self._rate, latency=LATENCY)
            while self._library.get_stream().active:
                if time.monotonic() > deadline:
                    raise DeviceError("the audio output takes no more sound")
                time.sleep(0.02)
        except self._library.PortAudioError as error:
            reason = str(error.args[0] if error.args else error).rsplit(": ", 1)[-1]
            raise DeviceError(f"the audio output refuses ({reason})") from error
        finally:
            self._library.stop(ignore_errors=True)

    def _converted(self, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """Convert to the output's own rate and to its stereo or mono, and fade both ends."""
        import soxr

        sound = samples if samples.shape[1] == self._channels else samples.mean(axis=1, keepdims=True)
        if rate != self._rate:
            sound = soxr.resample(sound, rate, self._rate)
        sound = np.repeat(sound, self._channels // sound.shape[1], axis=1)
        fade = np.minimum(1.0, np.arange(len(sound)) / (FADE * self._rate))
        return (np.clip(sound, -1.0, 1.0) * (fade * fade[::-1])[:, np.newaxis]).astype(np.float32)
