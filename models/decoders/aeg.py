"""Acoustic Emotion Gaussians: the affective mixture over the valence-arousal plane (AEG Eq. 4) and its decoder."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...kernels.gaussian_grid import cell_masses, mix_cells, renormalise_cells
from ..grid import CELLS, EDGES
from .base import Evidence

if TYPE_CHECKING:
    from .registry import Weights

LOG_FLOOR = 1e-9  # per cell, mixed into the decoder's heatmap so that its logarithm is finite


@dataclass(frozen=True, eq=False)
class AffectiveGMM:
    """p(e | theta) = sum_k theta_k G(e | mu_k, Sigma_k), Eq. 4: one Gaussian of the plane per acoustic component.

    Parameters
    ----------
    means
        (K, 2) as (valence, arousal), in [-1, 1].
    covariances
        (K, 2, 2), positive definite, |correlation| <= 0.999.

    Raises
    ------
    ValueError
        For shapes that do not belong together or a covariance that is not positive definite.
    """

    means: NDArray[np.float64]
    covariances: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("means", "covariances"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        K = self.means.shape[0]
        if self.means.shape != (K, 2) or self.covariances.shape != (K, 2, 2):
            raise ValueError(
                f"means {self.means.shape} and covariances {self.covariances.shape} do not make a mixture on the plane"
            )
        S = self.covariances
        if not (S[:, 0, 0].min() > 0 and np.linalg.det(S).min() > 0 and np.isfinite(self.means).all()):
            raise ValueError("every covariance of the affective mixture must be positive definite")

    @property
    def components(self) -> int:
        """K."""
        return self.means.shape[0]

    @cached_property
    def _cell_masses(self) -> NDArray[np.float64]:
        masses = np.empty((self.components, CELLS))
        cell_masses(self.means, self.covariances, EDGES, masses)
        renormalise_cells(self.means, EDGES, masses)
        masses.flags.writeable = False
        return masses

    def cell_masses(self) -> NDArray[np.float64]:
        """Each component's mass in each cell, (K, 121), rows sum to 1: the plane ends at +-1. Computed once."""
        return self._cell_masses

    def heatmap(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Eq. 4 on the grid: theta (K,), non-negative -> (121,), non-negative, sums to 1; uniform for a theta of 0."""
        if theta.shape != (self.components,):
            raise ValueError(f"theta has shape {theta.shape}, the affective mixture {self.components} components")
        out = np.empty(CELLS)
        mix_cells(np.ascontiguousarray(theta, dtype=np.float64), self._cell_masses, out)
        return out


@dataclass(frozen=True, eq=False)
class AEG:
    """The AEG decoder. It has no memory of its own (theta already remembers): its state is the empty tuple."""

    affective: AffectiveGMM

    def init(self) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def step(self, state: tuple[()], evidence: Evidence) -> tuple[tuple[()], NDArray[np.float64]]:
        """The same state, and the log heatmap (121,) of the evidence's theta, finite; its exponential sums to 1."""
        heatmap = self.affective.heatmap(evidence.theta)
        return state, np.log((heatmap + LOG_FLOOR) / (1.0 + CELLS * LOG_FLOOR))


def from_weights(weights: "Weights") -> AEG:
    """Make it from what a bundle holds: the arrays ``affective_means`` and ``affective_covariances``."""
    return AEG(AffectiveGMM(weights.arrays["affective_means"], weights.arrays["affective_covariances"]))
