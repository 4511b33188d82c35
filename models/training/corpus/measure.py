"""What the live chain measures of a clip, block by block, kept in the cache."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...features import texture
from ...features.frame import BLOCK, BLOCKS, HOP_COLUMNS, HOPS
from ...tracker import FeatureChain
from ..source_digest import source_digest

_MELS = HOP_COLUMNS["log_mel"].stop
_COLUMNS = texture.SIZE + 2 + HOPS * _MELS  # texture, its weight, whether there was sound, log-mel


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """What the live chain measures of one clip, block by block (100 ms): a file of the cache, mapped while in use."""

    path: Path

    def __getstate__(self) -> dict[str, Path]:
        return {"path": self.path}  # to another process goes the name, not the numbers

    @property
    def rows(self) -> NDArray[np.float32]:
        """(blocks, ·), read-only; the views below say what is in them."""
        # Not kept: a map holds a file open, and there are more clips than most systems let a process open.
        return np.load(self.path, mmap_mode="r")

    @cached_property
    def emissions(self) -> int:
        """How many heatmaps the live chain gives for it."""
        return len(self.rows) // BLOCKS

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(blocks, texture.SIZE): the running texture."""
        return self.rows[:, : texture.SIZE]

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """(blocks,), 0..1: how much each vector counts; 0 in silence."""
        return self.rows[:, texture.SIZE].astype(np.float64)

    @property
    def textures(self) -> NDArray[np.float32]:
        """(emissions, texture.SIZE): the texture that each emission is given."""
        return self.vectors[BLOCKS - 1 :: BLOCKS][: self.emissions]

    @cached_property
    def sounding(self) -> NDArray[np.bool_]:
        """(emissions,): whether there was any sound since the last emission."""
        active = self.rows[: self.emissions * BLOCKS, texture.SIZE + 1] > 0
        return np.asarray(active.reshape(-1, BLOCKS).any(axis=1))

    @property
    def log_mel(self) -> NDArray[np.float32]:
        """(emissions * 25, 64): every hop's."""
        blocks = self.rows[: self.emissions * BLOCKS, texture.SIZE + 2 :]
        return np.ascontiguousarray(blocks).reshape(-1, _MELS)


def measure(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """24 kHz mono sound (n,) -> the rows of ``ClipFeatures``: the fold of the live chain's own step."""
    chain = FeatureChain()
    state = chain.init()
    rows = np.empty((samples.size // BLOCK, _COLUMNS), dtype=np.float32)
    for row, block in zip(rows, samples[: rows.shape[0] * BLOCK].reshape(-1, BLOCK), strict=True):
        state, (features, row[: texture.SIZE], row[texture.SIZE]) = chain.step(state, block)
        row[texture.SIZE + 1] = features.active
        row[texture.SIZE + 2 :] = features.hops[:, HOP_COLUMNS["log_mel"]].ravel()
    return rows


def layout() -> str:
    """Changes with any code that the rows come from: a cache cannot outlive what filled it."""
    return source_digest(measure)
