"""The acoustic Gaussian mixture (AEG Eqs. 1-2): a universal background model of feature frames."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...kernels import gmm as kernels

Kind = Literal["full", "diag"]


@dataclass(frozen=True, eq=False)
class GMM:
    """p(x) = sum_k pi_k N(x | m_k, S_k), Eq. 1, over D-dimensional frames.

    The posteriors are the true ones, pi_k N_k(x) / sum_h pi_h N_h(x). The paper's Eq. 2 as printed leaves out the
    priors pi; with equal weights the two are the same, so `GMM(np.full(K, 1 / K), means, covariances)` gives the
    printed form.

    float32 frames are projected in float32 and summed in float64: on frames of unit variance and covariances of
    condition up to 1e4, posteriors are within 1e-3 of the float64 path, which agrees with scikit-learn to 1e-10.

    Parameters
    ----------
    weights
        (K,), non-negative, scaled to sum to 1.
    means
        (K, D).
    covariances
        (K, D, D) for kind "full", (K, D) variances for "diag"; positive definite.

    Raises
    ------
    ValueError
        For shapes that do not belong together, and at its first use for a covariance that is not positive definite.
    """

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]
    kind: Kind = "full"

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        K, D = self.means.shape
        expected = {"full": (K, D, D), "diag": (K, D)}.get(self.kind)
        if self.weights.shape != (K,) or self.covariances.shape != expected:
            raise ValueError(
                f"weights {self.weights.shape}, means {self.means.shape} and covariances "
                f"{self.covariances.shape} do not make a mixture of kind {self.kind!r}"
            )
        if not (self.weights.min() >= 0 and self.weights.sum() > 0):
            raise ValueError("the weights of a mixture must be non-negative and not all zero")
        object.__setattr__(self, "weights", self.weights / self.weights.sum())

    @property
    def components(self) -> int:
        """K."""
        return self.means.shape[0]

    @property
    def dimensions(self) -> int:
        """D."""
        return self.means.shape[1]

    @cached_property
    def precision_cholesky(self) -> NDArray[np.float64]:
        """As scikit-learn stores it: upper U with precision = U U^T, (K, D, D); 1 / standard deviation, (K, D)."""
        if self.kind == "diag":
            if not self.covariances.min() > 0:
                raise ValueError("a variance is not positive: fit with a larger variance floor")
            return 1.0 / np.sqrt(self.covariances)
        try:
            lower = np.linalg.cholesky(self.covariances)
        except np.linalg.LinAlgError as error:
            raise ValueError("a covariance is not positive definite: fit with a larger variance floor") from error
        # At once: a triangular solve for each waits for the linear algebra's threads, milliseconds on a busy machine.
        inverse = np.tril(np.linalg.inv(lower)).astype(np.float64)
        return np.ascontiguousarray(inverse.transpose(0, 2, 1))

    @cached_property
    def _constants(self) -> NDArray[np.float64]:
        diagonal = self.precision_cholesky
        if self.kind == "full":
            diagonal = np.diagonal(diagonal, axis1=1, axis2=2)
        with np.errstate(divide="ignore"):  # a weight of 0 is a log weight of minus infinity, and that is right
            log_weights = np.log(self.weights)
        return log_weights + np.log(diagonal).sum(axis=1) - 0.5 * self.dimensions * np.log(2 * np.pi)

    @cached_property
    def _packed(self) -> dict[Any, tuple[NDArray, NDArray]]:
        """Means and factors as the kernels want them, component last, for both precisions."""
        if self.kind == "full":
            column, row = np.tril_indices(self.dimensions)
            factors = self.precision_cholesky[:, row, column].T
        else:
            factors = self.precision_cholesky.T
        return {
            dtype: (
                np.ascontiguousarray(self.means.T, dtype=dtype),
                np.ascontiguousarray(factors, dtype=dtype),
            )
            for dtype in (np.dtype(np.float32), np.dtype(np.float64))
        }

    def log_joint(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """The joint log pi_k + log N(x | m_k, S_k): frames (n, D), float32 or float64 -> (n, K)."""
        x = _frames(x)
        if x.shape[1] != self.dimensions:
            raise ValueError(f"frames have {x.shape[1]} features, the mixture {self.dimensions}")
        out = np.empty((x.shape[0], self.components))
        kernel = kernels.log_densities_full if self.kind == "full" else kernels.log_densities_diag
        kernel(x, *self._packed[x.dtype], self._constants, out)
        return out

    def posteriors(self, x: NDArray[np.floating], out: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """p(A_k | x): frames (n, D) -> (n, K), each row sums to 1; written to out (C-contiguous float64) if given.

        A frame's row does not depend on the other frames of the call, bit for bit. A frame so far away that its
        density underflows to zero under every component gets the uniform posterior.
        """
        joint = self.log_joint(x)
        out = joint if out is None else out
        kernels.posteriors(joint, out, np.empty(joint.shape[0]))
        return out


def _frames(x: ArrayLike) -> NDArray[np.floating]:
    x = np.asarray(x)
    if x.ndim != 2:
        raise ValueError(f"frames must be an (n, D) array, not {x.shape}")
    return np.ascontiguousarray(x, dtype=np.float32 if x.dtype == np.float32 else np.float64)
