"""The pulse of the onsets: a running autocorrelation that forgets."""

import numpy as np

from ._jit import F32, Real, kernel


@kernel("void(float32[::1], int64, float32, float32[::1])")
def leaky_autocorrelation(onsets: F32, lags: int, decay: Real, acf: F32) -> None:
    """Fold new onset values into ``acf`` (lags + 1,): ``acf[l] <- decay * acf[l] + x_t * x_(t-l)``, hop by hop.

    ``onsets`` (lags + n,) holds the last ``lags`` values and then the n new ones.
    """
    for t in range(lags, onsets.shape[0]):
        x = onsets[t]
        for lag in range(lags + 1):
            acf[lag] = decay * acf[lag] + x * onsets[t - lag]


@kernel("void(float32[::1], int64, float32[::1])")
def pulse(acf: F32, shortest: int, out: F32) -> None:
    """Pulse clarity (0..1) and period in hops, from an autocorrelation -> out (2,).

    The period is the lag from ``shortest`` up with the largest local maximum of ``acf[lag] / acf[0]``, refined by a
    parabola; clarity is that maximum. Without energy or without a maximum: 0 and 0.
    """
    out[0] = 0.0
    out[1] = 0.0
    if acf[0] <= 1e-9:
        return
    best = np.float32(0.0)
    for lag in range(shortest, acf.shape[0] - 1):
        a = acf[lag]
        if a > best and a >= acf[lag - 1] and a >= acf[lag + 1]:
            best = a
            bend = acf[lag - 1] - 2.0 * a + acf[lag + 1]
            shift = 0.5 * (acf[lag - 1] - acf[lag + 1]) / bend if bend < -1e-12 else 0.0
            out[1] = lag + shift
    out[0] = min(best / acf[0], 1.0)
