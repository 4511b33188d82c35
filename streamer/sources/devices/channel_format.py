"""Adapts a device's present rate and channels to those that it had when the session began."""

from collections.abc import Sequence

import numpy as np
import soxr

from ...core.protocols import Block
from ...errors import InputError
from .listing import AudioInput

MIX_LIMIT = 8  # channels: more are a sound server that offers any number, or a stage box whose channels 1-2 are the mix


def choose(
    device: AudioInput, channels: Sequence[int] | None, source: tuple[str, int] | None = None
) -> tuple[list[int] | None, int]:
    """Which columns of the device's blocks to keep (None: all of them), and how many channels to open.

    Parameters
    ----------
    device : the input.
    channels : counted from 1; None takes all, and the first two of a device that offers more than MIX_LIMIT.
    source : name and number of channels of what is behind an input of a sound server, which offers any number, and
        copies or mixes those that the source has.

    Raises
    ------
    InputError
        The device, or the source behind it, does not have these channels.
    """
    most = device.channels if source is None else min(device.channels, source[1])
    if channels is None:
        return None, most if most <= MIX_LIMIT else 2
    wrong = [number for number in channels if not 1 <= number <= most]
    if wrong or not channels:
        which = ", ".join(map(str, wrong)) or "none"
        there = "channel 1" if most == 1 else f"channels 1 to {most}"
        behind = "" if source is None else f" records {source[0]!r}, which"
        raise InputError(f"audio input {device.name!r}{behind} has {there}, not {which}")
    # Of a sound server all: asked for fewer than the source has, it would mix them.
    return [number - 1 for number in channels], max(channels) if source is None else most


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
