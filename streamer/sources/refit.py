"""Sound of another rate and number of channels, made to fit that of the file that it was joined to."""

import numpy as np
import soxr

from ..core.protocols import Block


class Refit:
    """Converts blocks, one after the other.

    Parameters
    ----------
    rate : of the blocks.
    wanted : the rate that comes out.
    channels : how many come out: the mean of the block's in each.
    """

    def __init__(self, rate: int, wanted: int, channels: int) -> None:
        self._channels = channels
        self._resampler = None if rate == wanted else soxr.ResampleStream(rate, wanted, channels, "float32", "HQ")

    def __call__(self, block: Block) -> Block:
        """Convert the next block (n, any channels) to one (m, channels)."""
        if block.shape[1] != self._channels:
            block = np.repeat(block.mean(axis=1, keepdims=True), self._channels, axis=1)
        return block if self._resampler is None else self._resampler.resample_chunk(block)

    def rest(self) -> Block:
        """What the resampler still holds."""
        nothing = np.zeros((0, self._channels), dtype=np.float32)
        return nothing if self._resampler is None else self._resampler.resample_chunk(nothing, last=True)
