"""Conditional random field: a linear chain over the 121 cells, filtered forward as the music comes.

    p(y | x) ~ exp( start[y_1] + sum_t (bias[y_t] + z_t . unary[:, y_t]) + sum_t pair[y_t-1, y_t] )

with z the standardised features (Lafferty, McCallum & Pereira 2001; Schmidt & Kim, "Learning emotion-based acoustic
features", on the 11 x 11 grid). A cell leads only to those within a radius, the extension that Schmidt & Kim propose.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...kernels import crf as kernels
from ..grid import CELLS, SIDE
from .base import Evidence, chain_features

if TYPE_CHECKING:
    from .registry import Weights

LIMIT = 6.0  # a feature of unheard sound counts for no more than this many deviations
_FLOOR = 1e-300  # of a cell's mass, so that its logarithm is finite


def near_pairs(radius: float | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ordered pairs of cells no further apart than ``radius`` (in cells, Euclidean), each cell with itself too.

    Returns source and target (P,), ordered by target, then source; all 121 x 121 for None.

    Raises
    ------
    ValueError
        For a negative radius.
    """
    if radius is not None and not radius >= 0:
        raise ValueError(f"the radius of a chain must be 0 or more, not {radius}")
    row, column = np.divmod(np.arange(CELLS), SIDE)
    squared = np.subtract.outer(row, row) ** 2 + np.subtract.outer(column, column) ** 2
    near = squared >= 0 if radius is None else squared <= radius**2 + 1e-9
    target, source = np.nonzero(near)
    return source.astype(np.int64), target.astype(np.int64)


class CRFState(NamedTuple):
    """What reaches each cell of the next step from those so far: (121,), non-negative, not all zero."""

    reach: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CRF:
    """The chain's weights, and its decoder: ``init`` and ``step`` filter it online.

    Parameters
    ----------
    mean, scale
        (F,), scale positive: z = (x - mean) / scale, held within +-LIMIT.
    unary
        (F, 121).
    bias
        (121,).
    start
        (121,), added at the first step. All finite.
    pair_from, pair_to
        (P,) cells 0..120
    pair_weight
        (P,). A pair that is not listed is forbidden.

    Raises
    ------
    ValueError
        For shapes that do not belong together, for weights that are not finite, for a pair outside the grid or listed
        twice, and for a cell that leads nowhere.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    unary: NDArray[np.float64]
    bias: NDArray[np.float64]
    start: NDArray[np.float64]
    pair_from: NDArray[np.int64]
    pair_to: NDArray[np.int64]
    pair_weight: NDArray[np.float64]

    def __post_init__(self) -> None:
        for field in fields(self):
            kind = np.int64 if field.name in ("pair_from", "pair_to") else np.float64
            object.__setattr__(self, field.name, np.ascontiguousarray(getattr(self, field.name), dtype=kind))
        F, P = self.mean.size, self.pair_weight.size
        shapes = {"mean": (F,), "scale": (F,), "unary": (F, CELLS), "bias": (CELLS,), "start": (CELLS,)}
        shapes |= dict.fromkeys(("pair_from", "pair_to", "pair_weight"), (P,))
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} of a chain has shape {getattr(self, name).shape}, expected {shape}")
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} of a chain has values that are not finite")
        if not np.all(self.scale > 0):
            raise ValueError("scale of a chain must be positive")
        ends = np.concatenate([self.pair_from, self.pair_to])
        if P and not 0 <= ends.min() <= ends.max() < CELLS:
            raise ValueError(f"pairs of a chain must join cells 0 to {CELLS - 1}")
        if np.unique(CELLS * self.pair_from + self.pair_to).size != P:
            raise ValueError("a pair of a chain is listed twice")
        if np.unique(self.pair_from).size != CELLS:
            raise ValueError("a cell of a chain leads nowhere")

    @property
    def dimensions(self) -> int:
        """F, the number of features."""
        return self.mean.size

    @cached_property
    def _links(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        return self.pair_from, self.pair_to, np.exp(self.pair_weight)

    def potentials(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """The scores bias + z . unary: features (F,) -> (121,), or (T, F) -> (T, 121).

        Raises
        ------
        ValueError
            For another number of features.
        """
        x = np.asarray(x, dtype=np.float64)
        if x.shape[-1:] != (self.dimensions,):
            raise ValueError(f"features have shape {x.shape}, the chain expects {self.dimensions} of them")
        z = x - self.mean
        z /= self.scale
        np.minimum(z, LIMIT, out=z)
        np.maximum(z, -LIMIT, out=z)  # the two of them cost a third of np.clip
        return z @ self.unary + self.bias

    def init(self) -> CRFState:
        """Before the first step."""
        return CRFState(np.exp(self.start))

    def step(self, state: CRFState, x: NDArray[np.floating]) -> tuple[CRFState, NDArray[np.float64]]:
        """Features (F,) of the next step -> the new state and log p(y_t | x_1..t), (121,), finite.

        Its exponential sums to 1. The state given is left as it was.
        """
        filtered, onward = np.empty(CELLS), np.empty(CELLS)
        kernels.filter_step(self.potentials(x), state.reach, *self._links, filtered, onward)
        return CRFState(onward), np.log(np.maximum(filtered, _FLOOR))

    def filter(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """p(y_t | x_1..t) of a whole sequence: (T, F) -> (T, 121), the fold of ``step``."""
        out = np.empty((len(x), CELLS))
        state = self.init()
        for t, row in enumerate(x):
            state, log_heatmap = self.step(state, row)
            out[t] = np.exp(log_heatmap)
        return out

    def smooth(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """p(y_t | x_1..T), the whole sequence known: (T, F) -> (T, 121). Its last row is the filter's."""
        potentials = self.potentials(x)
        out, _ = self._forward(potentials)
        kernels.backward(potentials, *self._links, 0.0, out, np.zeros(self.pair_weight.size))
        return out

    def _forward(self, potentials: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        out, reach = np.empty_like(potentials), np.empty((len(potentials) + 1, CELLS))
        reach[0] = np.exp(self.start)
        return out, kernels.forward(potentials, *self._links, reach, out)


@dataclass(frozen=True, eq=False)
class ChainDecoder:
    """The CRF as a decoder: it sees the texture and the topic posterior of the evidence."""

    crf: CRF

    def init(self) -> CRFState:
        """Nothing heard."""
        return self.crf.init()

    def step(self, state: CRFState, evidence: Evidence) -> tuple[CRFState, NDArray[np.float64]]:
        """Filter one emission forward."""
        return self.crf.step(state, chain_features(evidence))


def from_weights(weights: "Weights") -> ChainDecoder:
    """Make it from what a bundle holds: the arrays that :class:`CRF` is named by."""
    return ChainDecoder(CRF(**{part.name: weights.arrays[part.name] for part in fields(CRF)}))
