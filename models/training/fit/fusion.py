"""The calibrated log-linear fusion of decoders, fitted to labels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from ...errors import DataError
from ...grid import CELLS
from ..corpus.targets import Targets

_TINY = np.finfo(float).tiny


class PoolWeights(NamedTuple):
    """h proportional to exp(bias + sum_d exponents_d log h_d): ``exponents`` (D,) >= 0, ``bias`` (121,)."""

    exponents: NDArray[np.float64]
    bias: NDArray[np.float64]

    def __call__(self, log_heatmaps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """D log heatmaps (..., 121) -> their pool, log and normalised (..., 121)."""
        mixed = self.bias + np.tensordot(self.exponents, np.stack(log_heatmaps), axes=1)
        return mixed - logsumexp(mixed, axis=-1, keepdims=True)


def fit_pool(
    log_heatmaps: Sequence[NDArray[np.float64]],
    targets: Targets,
    *,
    start: ArrayLike | None = None,
    ridge: float = 1e-3,
    bias_ridge: float | None = None,
) -> PoolWeights:
    """The log-linear pool of D decoders' ``log_heatmaps``, (n, 121) each, that gives ``targets`` the most likelihood.

    L-BFGS-B on the weighted mean loss in nats, exact gradient, plus ``ridge`` times the squared distance of the
    exponents from ``start`` (1/D each unless given). With ``bias_ridge`` a bias map is fitted too, held to zero by it;
    without, it is zero.

    Raises
    ------
    DataError
        No row counts, or rows that do not match.
    """
    stack, counting = _counting(log_heatmaps, targets)
    count = len(stack)
    first = np.full(count, 1.0 / count) if start is None else np.asarray(start, dtype=float)
    free = CELLS if bias_ridge is not None else 0
    stiffness = np.concatenate([np.full(count, ridge), np.full(free, bias_ridge or 0.0)])
    origin = np.concatenate([first, np.zeros(free)])

    def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        bias = x[count:] if free else np.zeros(CELLS)
        value, exponents_slope, bias_slope = _loss(x[:count], bias, stack, counting)
        slope = np.concatenate([exponents_slope, bias_slope[:free]])
        away = x - origin
        return value + float(np.sum(stiffness * away**2)), slope + 2 * stiffness * away

    bounds = [(0.0, None)] * count + [(None, None)] * free
    solution = minimize(loss, origin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 300})
    return PoolWeights(solution.x[:count], solution.x[count:] if free else np.zeros(CELLS))


def _counting(log_heatmaps: Sequence[NDArray[np.float64]], targets: Targets) -> tuple[NDArray[np.float64], Targets]:
    """The rows that count, regions first, stacked (D, n, 121), and their targets with weights that sum to 1."""
    if any(rows.shape != targets.mask.shape for rows in log_heatmaps):
        shapes = ", ".join(str(rows.shape) for rows in log_heatmaps)
        raise DataError(f"heatmaps of shape {shapes} for targets of shape {targets.mask.shape}: one row each is needed")
    some = targets.weight > 0
    if not some.any():
        raise DataError("no label counts: give the targets a positive weight")
    order = np.concatenate([np.flatnonzero(some & targets.region), np.flatnonzero(some & ~targets.region)])
    weight = targets.weight[order]
    stack = np.stack([rows[order] for rows in log_heatmaps])
    return stack, Targets(targets.mask[order], targets.region[order], weight / weight.sum())


def _loss(
    exponents: NDArray[np.float64], bias: NDArray[np.float64], stack: NDArray[np.float64], targets: Targets
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean of the negative log-likelihood, and its slopes: (D,) of the exponents, (121,) of the bias.

    For both kinds of row the slope of the likelihood in the unnormalised log heatmap is target - heatmap: the target
    of a region is the heatmap as it is once one knows that the label lies there. Rows as ``_counting`` orders them.
    """
    mixed = bias + np.tensordot(exponents, stack, axes=1)
    mixed -= mixed.max(axis=1, keepdims=True)
    heatmap = np.exp(mixed)
    total = heatmap.sum(axis=1, keepdims=True)
    heatmap /= total
    regions = np.count_nonzero(targets.region)
    mask, spots = targets.mask[:regions], targets.mask[regions:]
    inside = np.maximum(np.einsum("ij,ij->i", mask, heatmap[:regions]), _TINY)
    at_spots = np.einsum("ij,ij->i", spots, mixed[regions:]) - np.log(total[regions:, 0])
    likelihood = np.concatenate([np.log(inside), at_spots])
    heatmap[:regions] *= 1.0 - mask / inside[:, None]
    heatmap[regions:] -= spots
    heatmap *= targets.weight[:, None]  # now the slope of the loss
    slopes = stack.reshape(len(stack), -1) @ heatmap.ravel()
    return -float(targets.weight @ likelihood), slopes, heatmap.sum(axis=0)
