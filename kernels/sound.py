"""What a sound card or a file delivers, made fit for measuring."""

import numpy as np
from numba import types

from ._jit import F32, Real, kernel


# What arrives may be read-only.
@kernel(types.int64(types.Array(types.float32, 2, "C", readonly=True), types.float32, types.float32[::1]))
def mix_down(samples: F32, limit: Real, out: F32) -> int:
    """Mean over the channels: samples (n, channels) -> out (n,); returns how many were no sound.

    Those are NaN, infinite or beyond ``limit`` either way, and count as 0.
    """
    n, channels = samples.shape
    bad = 0
    if channels == 2:  # by far the most common; with the stride known the loop is vectorised
        for i in range(n):
            left, right = samples[i, 0], samples[i, 1]
            bad += (not abs(left) <= limit) + (not abs(right) <= limit)
            left = left if abs(left) <= limit else np.float32(0.0)
            right = right if abs(right) <= limit else np.float32(0.0)
            out[i] = (left + right) / np.float32(2.0)
        return bad
    for i in range(n):
        total = np.float32(0.0)
        for c in range(channels):
            x = samples[i, c]
            if abs(x) <= limit:  # not so for NaN
                total += x
            else:
                bad += 1
        out[i] = total / np.float32(channels)
    return bad
