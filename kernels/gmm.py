"""Loops of the Gaussian mixtures: log densities, posteriors, sufficient statistics, topic mass.

Mixtures are laid out with the component last, so that the innermost loop runs over components: one frame is then as
fast as many, and a frame's numbers do not depend, in any bit, on the frames that come with it. Inputs may be
read-only. Log densities and everything derived from them are float64, whatever the frames are.
"""

from math import exp, log
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ._jit import F64, kernel

Frames = NDArray[np.floating[Any]]
_F32, _F64 = types.float32, types.float64


def _given(dtype: types.Type, ndim: int) -> types.Array:
    return types.Array(dtype, ndim, "C", readonly=True)


def _result(dtype: types.Type, ndim: int) -> types.Array:
    return types.Array(dtype, ndim, "C")


@kernel(
    *[types.void(_given(f, 2), _given(f, 2), _given(f, 2), _given(_F64, 1), _result(_F64, 2)) for f in (_F32, _F64)]
)
def log_densities_full(frames: Frames, means: Frames, factors: Frames, constants: F64, out: F64) -> None:
    """Log density of each frame under each full-covariance Gaussian, plus a constant per component.

    frames (n, D); means (D, K); factors (D (D + 1) / 2, K): the upper triangle of the precision's Cholesky factor U
    (precision = U U^T) column by column, U[0, 0], U[0, 1], U[1, 1], U[0, 2] ...; constants (K,): log det U
    - D/2 log 2 pi, and log pi_k where the joint density is wanted; out (n, K) = constants - |U^T (x - m)|^2 / 2.
    """
    n, dimensions = frames.shape
    components = means.shape[1]
    centred = np.empty((dimensions, components), frames.dtype)
    projection = np.empty(components, frames.dtype)
    squared = np.empty(components, np.float64)
    for t in range(n):
        for d in range(dimensions):
            x = frames[t, d]
            for k in range(components):
                centred[d, k] = x - means[d, k]
        for k in range(components):
            squared[k] = 0.0
        entry = 0
        for column in range(dimensions):
            for k in range(components):
                projection[k] = 0
            for d in range(column + 1):
                for k in range(components):
                    projection[k] += factors[entry, k] * centred[d, k]
                entry += 1
            for k in range(components):
                squared[k] += projection[k] * projection[k]
        for k in range(components):
            out[t, k] = constants[k] - 0.5 * squared[k]


@kernel(
    *[types.void(_given(f, 2), _given(f, 2), _given(f, 2), _given(_F64, 1), _result(_F64, 2)) for f in (_F32, _F64)]
)
def log_densities_diag(frames: Frames, means: Frames, factors: Frames, constants: F64, out: F64) -> None:
    """As log_densities_full for diagonal covariances: factors (D, K) = 1 / standard deviation."""
    n, dimensions = frames.shape
    components = means.shape[1]
    squared = np.empty(components, np.float64)
    for t in range(n):
        for k in range(components):
            squared[k] = 0.0
        for d in range(dimensions):
            x = frames[t, d]
            for k in range(components):
                z = (x - means[d, k]) * factors[d, k]
                squared[k] += z * z
        for k in range(components):
            out[t, k] = constants[k] - 0.5 * squared[k]


@kernel(types.void(_given(_F64, 2), _result(_F64, 2), _result(_F64, 1)))
def posteriors(log_joint: F64, out: F64, log_evidence: F64) -> None:
    """Normalise joint log densities (n, K) by log-sum-exp: out (n, K) sums to 1 by row, log_evidence (n,).

    out may be log_joint itself. A frame so far out that its density is zero under every component says nothing:
    it gets the uniform posterior and an evidence of minus infinity.
    """
    n, components = log_joint.shape
    for t in range(n):
        peak = log_joint[t, 0]
        for k in range(1, components):
            peak = max(peak, log_joint[t, k])
        if not peak > -np.inf:
            for k in range(components):
                out[t, k] = 1.0 / components
            log_evidence[t] = -np.inf
            continue
        total = 0.0
        for k in range(components):
            p = exp(log_joint[t, k] - peak)
            out[t, k] = p
            total += p
        for k in range(components):
            out[t, k] /= total
        log_evidence[t] = peak + log(total)


@kernel(
    *[
        types.void(
            _given(f, 2), _given(_F64, 2), _given(_F64, 1), _F64,
            _result(_F64, 1), _result(_F64, 2), _result(_F64, 3),
        )
        for f in (_F32, _F64)
    ],
)  # fmt: skip
def add_statistics(
    frames: Frames, responsibilities: F64, origin: F64, threshold: float, count: F64, first: F64, second: F64
) -> None:
    """Add the frames' sufficient statistics to count (K,), first (K, D) and second (K, D, D).

    Moments are taken about origin (D,) so that little is lost to cancellation. Responsibilities under threshold are
    passed over: after a few iterations nearly all are, and that is what makes a large K affordable.
    """
    n, dimensions = frames.shape
    components = count.shape[0]
    centred = np.empty(dimensions, np.float64)
    for t in range(n):
        for d in range(dimensions):
            centred[d] = frames[t, d] - origin[d]
        for k in range(components):
            r = responsibilities[t, k]
            if r < threshold:
                continue
            count[k] += r
            for i in range(dimensions):
                weighted = r * centred[i]
                first[k, i] += weighted
                for j in range(dimensions):
                    second[k, i, j] += weighted * centred[j]


# With leave to reorder sums, the compiler may combine frames, and chunks would differ in the last bit.
@kernel(types.void(_given(_F64, 2), _given(_F64, 1), _F64, _result(_F64, 1), _result(_F64, 1)), reorder=False)
def add_forgetting(posterior: F64, weights: F64, decay: float, mass: F64, total: F64) -> None:
    """Frame by frame: mass = decay * mass + weight * posterior, total = decay * total + weight.

    posterior (n, K); weights (n,); mass (K,) and total (1,) are updated in place. What has been forgotten to
    below 1e-30 becomes exactly 0, for subnormal numbers are slow and hours of silence would end in them.
    """
    n, components = posterior.shape
    for t in range(n):
        w = weights[t]
        for k in range(components):
            m = decay * mass[k] + w * posterior[t, k]
            mass[k] = m if m > 1e-30 else 0.0
        total[0] = decay * total[0] + w
        if total[0] < 1e-30:
            total[0] = 0.0


@kernel(
    _F64(
        _given(_F64, 2), _given(types.intp, 1), _given(_F64, 2), _given(_F64, 1),
        _given(_F64, 2), _given(_F64, 2), _result(_F64, 2),
    ),
)  # fmt: skip
def add_plane_statistics(
    log_theta: F64, rows: NDArray[np.intp], points: F64, weights: F64, means: F64, quadratics: F64, out: F64
) -> float:
    """E-step of the affective mixture on points of the plane; returns the weighted log-likelihood.

    log_theta (M, K): log topic posteriors, minus infinity allowed, but not for a whole row; rows (N,): each point's
    row of log_theta; points (N, 2); weights (N,); means (K, 2); quadratics (K, 4): P_vv, P_va, P_aa of the
    precision and the log normaliser. Adds to out (K, 6), summed over points with weight times responsibility:
    1, v, a, v^2, v a, a^2.
    """
    components = means.shape[0]
    log_joint = np.empty(components, np.float64)
    likelihood = 0.0
    for i in range(rows.shape[0]):
        v, a, row = points[i, 0], points[i, 1], rows[i]
        peak = -np.inf
        for k in range(components):
            dv, da = v - means[k, 0], a - means[k, 1]
            distance = quadratics[k, 0] * dv * dv + 2.0 * quadratics[k, 1] * dv * da + quadratics[k, 2] * da * da
            log_joint[k] = log_theta[row, k] + quadratics[k, 3] - 0.5 * distance
            peak = max(peak, log_joint[k])
        total = 0.0
        for k in range(components):
            log_joint[k] = exp(log_joint[k] - peak)
            total += log_joint[k]
        likelihood += weights[i] * (peak + log(total))
        scale = weights[i] / total
        for k in range(components):
            r = scale * log_joint[k]
            out[k, 0] += r
            out[k, 1] += r * v
            out[k, 2] += r * a
            out[k, 3] += r * v * v
            out[k, 4] += r * v * a
            out[k, 5] += r * a * a
    return likelihood
