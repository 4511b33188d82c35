"""The pulse of the onsets: a running autocorrelation that forgets."""

import numpy as np

from ._jit import F32, Real, kernel


@kernel("float64(float32[:], float64, float64, float64, float32[::1])")
def remove_running_mean(values: F32, mean: Real, heard: Real, rate: Real, out: F32) -> float:
    """Follow the mean of values (n,), and write what they are above it: out (n,); returns the new mean.

    Each value moves the mean by ``rate`` of its distance; until ``1 / rate`` values were heard, ``heard`` of them
    before these, the mean is the plain one.
    """
    for i in range(values.shape[0]):
        mean += max(rate, 1.0 / (heard + i + 1.0)) * (values[i] - mean)
        out[i] = values[i] - mean
    return float(mean)


@kernel("void(float32[::1], int64, float32, float32[::1])")
def leaky_autocorrelation(onsets: F32, lags: int, decay: Real, acf: F32) -> None:
    """Fold new onset values into ``acf`` (lags + 1,): ``acf[l] <- decay * acf[l] + x_t * x_(t-l)``, hop by hop.

    ``onsets`` (lags + n,) holds the last ``lags`` values and then the n new ones. What has faded to below 1e-30
    becomes exactly 0: silence would end in subnormal numbers, which are slow.
    """
    for t in range(lags, onsets.shape[0]):
        x = onsets[t]
        for lag in range(lags + 1):
            a = decay * acf[lag] + x * onsets[t - lag]
            acf[lag] = a if abs(a) > np.float32(1e-30) else np.float32(0.0)


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
