"""Loops that lay bivariate Gaussians on the grid by the mass of each cell, not by the density at its centre."""

from math import ceil, erf, exp, pi, sqrt

import numpy as np
from numba import types

from ._jit import F64, kernel

_F64 = types.float64
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_REACH = 8.0  # standard deviations: beyond lies 1e-15
_MAX_PANELS = 512


def _given(ndim: int) -> types.Array:
    return types.Array(_F64, ndim, "C", readonly=True)


def _result(ndim: int) -> types.Array:
    return types.Array(_F64, ndim, "C")


@kernel(types.void(_given(2), _given(3), _given(1), _result(2)), error_model="numpy")
def cell_masses(means: F64, covariances: F64, edges: F64, out: F64) -> None:
    """Probability of each cell under each Gaussian: out (K, S * S), cell S * a + v; a row sums to the mass inside.

    means (K, 2) as (valence, arousal); covariances (K, 2, 2), positive definite; edges (S + 1,), rising, the same for
    both axes. Over valence: composite Gauss-Legendre in each cell; over arousal: the conditional normal's exact
    interval by erf. The conditional mean sweeps through an edge within sqrt(1 - rho^2) / |rho| standard deviations
    of valence, so the panels are made as fine as that. Absolute error under 1e-6 for |rho| <= 0.999.
    """
    side = edges.shape[0] - 1
    below = np.empty(side + 1, np.float64)
    for k in range(means.shape[0]):
        for c in range(side * side):
            out[k, c] = 0.0
        sigma_v, sigma_a = sqrt(covariances[k, 0, 0]), sqrt(covariances[k, 1, 1])
        rho = covariances[k, 0, 1] / (sigma_v * sigma_a)
        narrowness = sqrt(max(1.0 - rho * rho, 1e-12))
        panel = min(1.5, 3.0 * narrowness / max(abs(rho), 1e-12))
        to_units = 1.0 / (sqrt(2.0) * sigma_a * narrowness)
        for v in range(side):
            start = max((edges[v] - means[k, 0]) / sigma_v, -_REACH)
            stop = min((edges[v + 1] - means[k, 0]) / sigma_v, _REACH)
            if stop <= start:
                continue
            panels = min(ceil((stop - start) / panel), _MAX_PANELS)
            half = 0.5 * (stop - start) / panels
            for p in range(panels):
                middle = start + (2 * p + 1) * half
                for q in range(_NODES.shape[0]):
                    u = middle + half * _NODES[q]
                    # The halves are of phi = exp / sqrt(2 pi) times the difference of erf / 2.
                    weight = half * _WEIGHTS[q] * exp(-0.5 * u * u) / (2.0 * sqrt(2.0 * pi))
                    centre = means[k, 1] + rho * sigma_a * u
                    for a in range(side + 1):
                        below[a] = erf((edges[a] - centre) * to_units)
                    for a in range(side):
                        out[k, side * a + v] += weight * (below[a + 1] - below[a])


@kernel(types.void(_given(2), _given(1), _result(2)))
def renormalise_cells(means: F64, edges: F64, masses: F64) -> None:
    """Scale each row of masses (K, S * S) to sum to 1, in place: the plane ends at its edges.

    A component with less than 1e-9 of its mass inside has no shape left to scale: all goes to the cell nearest to
    its mean (K, 2).
    """
    side = edges.shape[0] - 1
    for k in range(masses.shape[0]):
        total = 0.0
        for c in range(side * side):
            total += masses[k, c]
        if total > 1e-9:
            for c in range(side * side):
                masses[k, c] /= total
            continue
        column, row = 0, 0
        for i in range(1, side):
            if means[k, 0] >= edges[i]:
                column = i
            if means[k, 1] >= edges[i]:
                row = i
        for c in range(side * side):
            masses[k, c] = 0.0
        masses[k, side * row + column] = 1.0


@kernel(types.void(_given(1), _given(2), _result(1)))
def mix_cells(theta: F64, masses: F64, out: F64) -> None:
    """Write out (C,) = theta (K,) @ masses (K, C), scaled to sum to 1; uniform where there is nothing to scale."""
    cells = masses.shape[1]
    for c in range(cells):
        out[c] = 0.0
    for k in range(masses.shape[0]):
        weight = theta[k]
        for c in range(cells):
            out[c] += weight * masses[k, c]
    total = 0.0
    for c in range(cells):
        total += out[c]
    if total > 0.0:
        for c in range(cells):
            out[c] /= total
    else:
        for c in range(cells):
            out[c] = 1.0 / cells
