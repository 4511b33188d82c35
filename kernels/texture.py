"""Running statistics of feature rows: what a few seconds of sound are like."""

import numpy as np

from ._jit import F32, F64, I64, Real, kernel


@kernel(
    "void(float32[:, ::1], float32[::1], int64[::1], int64[::1], float64, float64[::1], float64[::1], float64[::1])"
)
def accumulate(
    hops: F32, block: F32, hop_columns: I64, block_columns: I64, rate: Real, mean: F64, variance: F64, within: F64
) -> None:
    """Fold one block into running mean, variance and within-block deviation, in place.

    A block's row is the mean over its hops (n, *) of ``hop_columns`` (h,), then ``block[block_columns]`` (b,).
    ``mean`` and ``variance`` (h + b,) follow that row with weight ``rate`` in (0, 1] (West's incremental form, so
    that nothing cancels); ``within`` (h,) follows the standard deviation among the block's hops.
    """
    n = hops.shape[0]
    h = hop_columns.shape[0]
    for i in range(h + block_columns.shape[0]):
        if i < h:
            c = hop_columns[i]
            x = 0.0
            for t in range(n):
                x += hops[t, c]
            x /= n
            spread = 0.0
            for t in range(n):
                spread += (hops[t, c] - x) ** 2
            within[i] += rate * (np.sqrt(spread / n) - within[i])
        else:
            x = float(block[block_columns[i - h]])
        gap = x - mean[i]
        mean[i] += rate * gap
        variance[i] = (1.0 - rate) * (variance[i] + rate * gap * gap)
