"""Adapts a device's present rate and channels to those that it had when the session began."""

from collections.abc import Sequence

import numpy as np
import soxr

from ...core.protocols import Block
from ...errors import InputError
from .listing import AudioInput

MIX_LIMIT = 8  # channels: more are a sound server that offers any number, or a stage box whose channels 1-2 are the mix


def choose(device: AudioInput, channels: Sequence[int] | None) -> tuple[list[int] | None, int]:
    """Which columns of the device's blocks to keep (None: all of them), and how many channels to open.

    Parameters
    ----------
    device : the input.
    channels : counted from 1; None takes all, and the first two of a device that offers more than MIX_LIMIT.

    Raises
    ------
    InputError
        The device does not have these channels.
    """
    if channels is None:
        return None, device.channels if device.channels <= MIX_LIMIT else 2
    wrong = [number for number in channels if not 1 <= number <= device.channels]
    if wrong or not channels:
        which = ", ".join(map(str, wrong)) or "none"
        raise InputError(f"audio input {device.name!r} has channels 1 to {device.channels}, not {which}")
    return [number - 1 for number in channels], max(channels)


class FormatAdapter:
    """Converts blocks of ``device`` as it is now to the session's rate and channels.

    Another rate is resampled. Where the device has fewer channels than before, each channel of the session is the mean
    of those that it has.

    Parameters
    ----------
    device : the input as it is now.
    rate : the session's samples per second.
    picks, opened : what :func:`choose` gave for the session.
    """

    def __init__(self, device: AudioInput, rate: int, picks: list[int] | None, opened: int) -> None:
        self.channels = opened if opened <= device.channels else choose(device, None)[1]  # to open now
        self.rate = device.rate  # to open at
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
