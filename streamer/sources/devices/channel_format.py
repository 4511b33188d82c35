"""The sound of an input as it is now, made into that which it gave when the session began."""

from collections.abc import Sequence

import numpy as np
import soxr

from ...core.protocols import Block
from ...errors import InputError
from .listing import AudioInput

MIX_LIMIT = 8  # channels: beyond it, a sound server that offers any number, or a stage box of which 1-2 are the mix


def choose(device: AudioInput, channels: Sequence[int] | None) -> tuple[list[int] | None, int]:
    """Which columns of the device's blocks to keep (None: all of them), and how many channels to open.

    ``channels`` counts from 1; None takes all, and the first two of a device that offers very many. InputError for
    channels that it does not have.
    """
    if channels is None:
        return None, device.channels if device.channels <= MIX_LIMIT else 2
    wrong = [each for each in channels if not 1 <= each <= device.channels]
    if wrong or not channels:
        which = ", ".join(map(str, wrong)) or "none"
        raise InputError(f"audio input {device.name!r} has channels 1 to {device.channels}, not {which}")
    return [each - 1 for each in channels], max(channels)


class FormatAdapter:
    """Blocks of ``device`` as it is now, at ``rate`` samples per second and with the channels of the session.

    ``picks`` and ``opened`` are what :func:`choose` gave for the session. Another rate is resampled. Where the device
    has not as many channels any more, each channel of the session is the mean of those that it has.
    """

    def __init__(self, device: AudioInput, rate: int, picks: list[int] | None, opened: int) -> None:
        self.channels = opened if opened <= device.channels else choose(device, None)[1]  # to be opened now
        self.rate = device.rate  # to be opened at
        self._picks = picks
        self._wanted = opened if picks is None else len(picks)
        self._fewer = self.channels < opened
        self._resampler = None
        if device.rate != rate:
            self._resampler = soxr.ResampleStream(device.rate, rate, self._wanted, "float32", "HQ")

    def seconds(self, samples: bytes) -> float:
        """How long a block of these interleaved float32 samples sounds."""
        return len(samples) / (4 * self.channels * self.rate)

    def block(self, samples: bytes) -> Block:
        """These interleaved float32 samples of the device as frames (n, channels) of the session."""
        frames = np.frombuffer(samples, dtype=np.float32).reshape(-1, self.channels)
        if self._fewer:
            frames = np.repeat(frames.mean(axis=1, keepdims=True), self._wanted, axis=1)
        elif self._picks is not None:
            frames = frames[:, self._picks]
        return frames if self._resampler is None else self._resampler.resample_chunk(np.ascontiguousarray(frames))
