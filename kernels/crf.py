"""The chain of a conditional random field: filtering, forward-backward, and the gradient of the filter's own fit.

Cells are linked by a list of ordered pairs, so that a step costs as many products as there are pairs. Arrays:
log_potentials (T, n), minus infinity allowed for cells that are ruled out; source and target (P,): pair p leads from
source[p] to target[p]; factor (P,): the exponential of its weight; reach (T + 1, n): what reaches each cell from the
step before, the exponential of the start weights in its first row. Every step is scaled by its own greatest term, so
that only cells 1e-300 below the best of their step are lost.
"""

from math import exp, log

import numpy as np
from numba import types

from ._jit import F64, I64, kernel


def _given(dtype: types.Type, ndim: int) -> types.Array:
    return types.Array(dtype, ndim, "C", readonly=True)


_F64, _V, _M = types.float64, _given(types.float64, 1), _given(types.float64, 2)
_I = _given(types.int64, 1)
_OUT1, _OUT2 = types.Array(types.float64, 1, "C"), types.Array(types.float64, 2, "C")


@kernel(_F64(_V, _V, _I, _I, _V, _OUT1, _OUT1))
def filter_step(log_potentials: F64, reach: F64, source: I64, target: I64, factor: F64, out: F64, onward: F64) -> float:
    """One step of the filter: log_potentials and reach (n,) -> out and onward (n,); returns the log of its scale.

    Parameters
    ----------
    out
        p(y_t | x_1..t), sums to 1
    onward
        What reaches each cell of the next step. Where no cell is possible, both are all zero and the return value is
        minus infinity.
    """
    cells = out.shape[0]
    peak = -np.inf
    for y in range(cells):
        out[y] = log_potentials[y] + log(reach[y]) if reach[y] > 0.0 else -np.inf
        peak = max(peak, out[y])
        onward[y] = 0.0
    total = 0.0
    for y in range(cells):
        out[y] = exp(out[y] - peak) if peak > -np.inf else 0.0
        total += out[y]
    if total == 0.0:
        return -np.inf
    for y in range(cells):
        out[y] /= total
    for p in range(source.shape[0]):
        onward[target[p]] += out[source[p]] * factor[p]
    return peak + log(total)


@kernel(_F64(_M, _I, _I, _V, _OUT2, _OUT2))
def forward(log_potentials: F64, source: I64, target: I64, factor: F64, reach: F64, out: F64) -> float:
    """The log partition function log Z of a chain; the first row of reach is given, the others are written.

    out (T, n): p(y_t | x_1..t). Returns minus infinity, with out unfinished, where no path is possible.
    """
    log_z = 0.0
    for t in range(log_potentials.shape[0]):
        log_z += filter_step(log_potentials[t], reach[t], source, target, factor, out[t], reach[t + 1])
        if log_z == -np.inf:
            break
    return log_z


@kernel(types.void(_M, _I, _I, _V, _F64, _OUT2, _OUT1))
def backward(log_potentials: F64, source: I64, target: I64, factor: F64, weight: float, out: F64, counts: F64) -> None:
    """Turn what forward left in out (T, n) into the marginals p(y_t | x_1..T).

    counts (P,) grows by weight times the number of times that each pair is expected to be used.
    """
    steps, cells = log_potentials.shape
    ahead = np.empty(cells, np.float64)
    beta = np.ones(cells, np.float64)
    for t in range(steps - 2, -1, -1):
        peak = -np.inf
        for y in range(cells):
            ahead[y] = log_potentials[t + 1, y] + log(beta[y]) if beta[y] > 0.0 else -np.inf
            peak = max(peak, ahead[y])
        for y in range(cells):
            ahead[y] = exp(ahead[y] - peak)
            beta[y] = 0.0
        for p in range(source.shape[0]):
            beta[source[p]] += factor[p] * ahead[target[p]]
        total = 0.0
        for y in range(cells):
            total += out[t, y] * beta[y]
        scale = weight / total
        for p in range(source.shape[0]):
            counts[p] += scale * out[t, source[p]] * factor[p] * ahead[target[p]]
        for y in range(cells):
            out[t, y] *= beta[y] / total


@kernel(types.void(_M, _M, _M, _I, _I, _V, _OUT2, _OUT1))
def filter_gradient(
    filtered: F64, reach: F64, pull: F64, source: I64, target: I64, factor: F64, out: F64, counts: F64
) -> None:
    """Back through the filter: the gradient of a sum over steps of some function of p(y_t | x_1..t).

    filtered and reach as forward left them; pull (T, n): p(y_t) times the function's derivative in p(y_t). out
    (T, n): the derivative in the log potentials, its first row also in the start weights; counts (P,) grows by the
    derivative in the pairs' weights.
    """
    steps, cells = filtered.shape
    later = np.zeros(cells, np.float64)  # what the steps to come add to pull
    behind = np.empty(cells, np.float64)
    for t in range(steps - 1, -1, -1):
        total = 0.0
        for y in range(cells):
            total += pull[t, y] + later[y]
        for y in range(cells):
            out[t, y] = pull[t, y] + later[y] - filtered[t, y] * total
            behind[y] = out[t, y] / reach[t, y] if reach[t, y] > 0.0 else 0.0
            later[y] = 0.0
        if t > 0:
            for p in range(source.shape[0]):
                flow = filtered[t - 1, source[p]] * factor[p] * behind[target[p]]
                later[source[p]] += flow
                counts[p] += flow
