"""Framing, power spectra, and what is read off the shape of one spectrum."""

import numpy as np

from ._jit import C64, F32, I64, Real, kernel


@kernel("void(float32[::1], float32[::1], int64, float32[:, ::1])")
def window_frames(samples: F32, window: F32, hop: int, out: F32) -> None:
    """``out[i] = samples[i * hop : i * hop + N] * window``; out (n, N), samples at least (n - 1) * hop + N."""
    frames, size = out.shape
    for i in range(frames):
        start = i * hop
        for j in range(size):
            out[i, j] = samples[start + j] * window[j]


@kernel("void(complex64[:, ::1], float32, float32[:, ::1])")
def power_spectrum(spectrum: C64, scale: Real, out: F32) -> None:
    """``out = scale * |spectrum|^2``, both (n, bins)."""
    frames, bins = out.shape
    for i in range(frames):
        for j in range(bins):
            re = spectrum[i, j].real
            im = spectrum[i, j].imag
            out[i, j] = scale * (re * re + im * im)


@kernel("void(float32[:, ::1], int64, float32, float32[:, ::1])")
def spectral_shape(power: F32, first: int, bin_hz: Real, out: F32) -> None:
    """Centroid, spread, flatness and roll-off of power spectra (n, bins) from bin ``first`` up -> out (n, 4).

    Centroid and spread (its standard deviation) are in Hz, weighted by magnitude; flatness is the geometric over
    the arithmetic mean of the power, in 0..1; roll-off is the lowest frequency in Hz that has 85 % of the
    magnitude below or at it. A spectrum without energy gives 0, 0, 1, 0.
    """
    tiny = 1e-30
    frames, bins = power.shape
    for i in range(frames):
        total = 0.0
        moment = 0.0
        second = 0.0
        energy = 0.0
        logs = 0.0
        product = 1.0
        mantissas = 0
        for j in range(first, bins):
            p = power[i, j]
            m = np.sqrt(p)
            f = np.float32(j) * bin_hz
            total += m
            moment += m * f
            second += m * f * f
            energy += p
            # One logarithm for eight bins: the product of eight float32 stays far inside float64's range.
            product *= p + tiny
            mantissas += 1
            if mantissas == 8:
                logs += np.log(product)
                product = 1.0
                mantissas = 0
        logs += np.log(product)
        if total <= 1e-15:
            out[i, 0] = 0.0
            out[i, 1] = 0.0
            out[i, 2] = 1.0
            out[i, 3] = 0.0
            continue
        centroid = moment / total
        out[i, 0] = centroid
        out[i, 1] = np.sqrt(max(second / total - centroid * centroid, 0.0))
        count = bins - first
        out[i, 2] = np.exp(logs / count) / (energy / count + tiny)
        threshold = 0.85 * total
        below = 0.0
        j = first
        while j < bins - 1:
            below += np.sqrt(power[i, j])
            if below >= threshold:
                break
            j += 1
        out[i, 3] = np.float32(j) * bin_hz


@kernel("void(float32[::1], int64[::1], float32, float32[::1], float32[::1])")
def spectral_contrast(power: F32, edges: I64, quantile: Real, scratch: F32, out: F32) -> None:
    """Peak over valley of each band of one power spectrum, in natural-log units -> out (bands,).

    Band b covers bins ``edges[b]`` to ``edges[b + 1]``. Its peak is the mean of the strongest ``quantile`` of the
    bins, its valley that of the weakest (Jiang et al., "Music type classification by spectral contrast feature",
    ICME 2002). ``scratch`` holds at least the widest band.
    """
    for b in range(out.shape[0]):
        low = edges[b]
        n = edges[b + 1] - low
        band = scratch[:n]
        band[:] = power[low : low + n]
        band.sort()
        k = max(1, int(np.round(quantile * n)))
        valley = 0.0
        peak = 0.0
        for j in range(k):
            valley += band[j]
            peak += band[n - 1 - j]
        out[b] = np.log(peak / k + 1e-20) - np.log(valley / k + 1e-20)


@kernel("void(float32[::1], int64, float32[::1])")
def zero_crossings(samples: F32, hop: int, out: F32) -> None:
    """Share of neighbouring samples of opposite sign in each hop: samples (n * hop + 1,) -> out (n,), 0..1.

    ``samples[0]`` is the last sample of the hop before.
    """
    for i in range(out.shape[0]):
        crossings = 0
        for j in range(i * hop, (i + 1) * hop):
            if (samples[j] < 0.0) != (samples[j + 1] < 0.0):
                crossings += 1
        out[i] = crossings / hop
