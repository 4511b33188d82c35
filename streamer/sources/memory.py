"""Samples in memory as a source: for tests, for embedding, and for pieces made in code."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from ..core.protocols import Block
from ..errors import InputError
from .base import ThreadedSource


class Memory(ThreadedSource):
    """Samples in memory, passed on in blocks.

    Parameters
    ----------
    samples : (n,) or (n, channels).
    rate : samples per second.
    block : frames of a block.
    paced : each block comes when it would have sounded; otherwise as fast as it is taken.
    name : what a person would call it.

    Raises
    ------
    InputError
        Another shape, or a rate or block size below 1.
    """

    def __init__(
        self, samples: ArrayLike, rate: int, block: int = 960, *, paced: bool = False, name: str = "memory"
    ) -> None:
        frames = np.asarray(samples, dtype=np.float32)
        frames = frames[:, np.newaxis] if frames.ndim == 1 else frames
        if frames.ndim != 2 or frames.shape[1] < 1:
            raise InputError(f"samples must be (n,) or (n, channels), not {np.shape(samples)}")
        if rate < 1 or block < 1:
            raise InputError(f"rate and block size must be at least 1, not {rate} and {block}")
        super().__init__(name, rate, frames.shape[1], paced)
        self._frames = frames
        self._block = block

    def blocks(self) -> Iterator[Block]:
        """Views of the samples, ``block`` frames each, the last one shorter."""
        for begin in range(0, len(self._frames), self._block):
            yield self._frames[begin : begin + self._block]
