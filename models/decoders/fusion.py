"""The log-linear pool of the decoders' heatmaps, and how each is calibrated."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..grid import CELLS, SIDE


def normalised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (..., 121) -> log heatmaps: their exponentials sum to 1."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@lru_cache(maxsize=16)
def smoothing(blur: float) -> NDArray[np.float64]:
    """Gaussian of ``blur`` cells along one axis: (11, 11), column = where a point is, row = where its mass goes.

    Columns sum to 1: what would fall off the plane stays on it. ``blur`` 0 is the identity. Read-only.
    """
    steps = np.subtract.outer(np.arange(SIDE), np.arange(SIDE))
    kernel = np.exp(-0.5 * (steps / blur) ** 2) if blur > 0 else np.eye(SIDE)
    kernel = kernel / kernel.sum(axis=0)
    kernel.flags.writeable = False
    return kernel


def smoothed(log_heatmaps: NDArray[np.float64], blur: float) -> NDArray[np.float64]:
    """Log heatmaps (..., 121) -> those of the heatmaps blurred by ``blur`` cells, finite."""
    if blur == 0.0:
        return log_heatmaps
    return _blurred(np.exp(log_heatmaps), blur)


def _blurred(heatmaps: NDArray[np.float64], blur: float) -> NDArray[np.float64]:
    kernel = smoothing(blur)
    plane = heatmaps.reshape(*heatmaps.shape[:-1], SIDE, SIDE)
    return np.log(np.maximum(kernel @ plane @ kernel.T, 1e-300)).reshape(heatmaps.shape)


@dataclass(frozen=True, eq=False)
class Pool:
    """For each kind g of sound h_g ~ exp(bias_g + sum_d exponents_gd log h_gd); the heatmap is sum_g share_g h_g.

    h_gd is the heatmap of decoder ``names[d]``, blurred by blur_g cells. An exponent is at once a decoder's weight and
    its temperature: below 1 it flattens (Genest & Zidek, "Combining probability distributions", Statistical Science
    1(1), 1986). The kinds of sound (recordings, piano renders) were labelled in different ways, so what is calibrated
    for one is not for the other; the topic posterior says which it is. Only the piano sets have raters' points, which
    the decoders follow cell by cell; where labels were no finer than quadrants, the blur takes out what they would
    make up inside them.

    Parameters
    ----------
    kinds
        (K,), 0..G-1: the kind of each component of the acoustic mixture.
    exponents
        (G, D), 0 or more.
    bias
        (G, 121), what the decoders together get wrong everywhere.
    blur
        (G,), cells, 0 or more; none unless given.

    Raises
    ------
    ValueError
        For shapes that do not belong together or values that cannot be.
    """

    names: tuple[str, ...]
    kinds: NDArray[np.int64]
    exponents: NDArray[np.float64]
    bias: NDArray[np.float64]
    blur: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if self.blur.size == 0:
            object.__setattr__(self, "blur", np.zeros(len(self.exponents)))
        for name in ("kinds", "exponents", "bias", "blur"):
            kind = np.int64 if name == "kinds" else np.float64
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=kind))
        groups = len(self.exponents)
        if self.exponents.shape != (groups, len(self.names)) or self.bias.shape != (groups, CELLS) or not self.names:
            raise ValueError(f"a pool of {self.names}, exponents {self.exponents.shape}, bias {self.bias.shape}")
        if self.blur.shape != (groups,) or not np.all((self.blur >= 0) & (self.blur < SIDE)):
            raise ValueError(f"blur of a pool must be 0 to {SIDE} cells, one a kind")
        if self.kinds.ndim != 1 or not 0 <= self.kinds.min(initial=0) <= self.kinds.max(initial=0) < groups:
            raise ValueError(f"kinds of a pool must be 0 to {groups - 1}, one a component")
        if not (np.all(self.exponents >= 0) and np.isfinite(self.exponents).all() and np.isfinite(self.bias).all()):
            raise ValueError("exponents of a pool must be 0 or more, its bias finite")

    def without(self, names: Collection[str]) -> "Pool | None":
        """The pool of the others, the exponents of ``names`` given to them in proportion; None if nobody is left."""
        if not set(names) & set(self.names):
            return self
        kept = [d for d, name in enumerate(self.names) if name not in names]
        if not kept:
            return None
        total = self.exponents.sum(axis=1, keepdims=True)
        rest = self.exponents[:, kept]
        left = rest.sum(axis=1, keepdims=True)
        exponents = np.where(left > 0, rest * (total / np.where(left > 0, left, 1.0)), total / len(kept))
        return replace(self, names=tuple(self.names[d] for d in kept), exponents=exponents)

    def shares(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much each kind is heard: theta (..., K), sums to 1 -> (..., G), sums to 1."""
        return theta @ self._membership

    @cached_property
    def _membership(self) -> NDArray[np.float64]:
        """(K, G): 1 where a component is of a kind."""
        return (self.kinds[:, None] == np.arange(len(self.exponents))).astype(np.float64)

    def __call__(self, log_heatmaps: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """(D, ..., 121) and shares (..., G) -> the pooled heatmap (..., 121): positive, sums to 1."""
        decoders, heatmaps = len(log_heatmaps), np.exp(log_heatmaps)
        pooled = np.zeros(log_heatmaps.shape[1:])
        for g, blur in enumerate(self._blurs):
            blurred = log_heatmaps if blur == 0.0 else _blurred(heatmaps, blur)
            scores = (self.exponents[g] @ blurred.reshape(decoders, -1)).reshape(pooled.shape)
            scores += self.bias[g]
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            pooled += shares[..., g, None] / scores.sum(axis=-1, keepdims=True) * scores
        return pooled

    @cached_property
    def _blurs(self) -> list[float]:
        return self.blur.tolist()


def alone(name: str, components: int) -> Pool:
    """One decoder's heatmap as it is."""
    return Pool((name,), np.zeros(components, dtype=np.int64), np.ones((1, 1)), np.zeros((1, CELLS)))
