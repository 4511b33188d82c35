"""Log-mel energies, MFCC, their slopes, and the onset strength read off the log-mel."""

import numpy as np

from ._jit import F32, I64, Real, kernel


@kernel("void(float32[:, ::1], int64[::1], int64[::1], float32[::1], float32, float32, float32[:, ::1])")
def log_mel(power: F32, first: I64, offset: I64, weights: F32, gain: Real, floor: Real, out: F32) -> None:
    """``out[i, b] = log(gain * sum_j weights_b[j] * power[i, first[b] + j] + floor)``; power (n, bins), out (n, bands).

    The triangles are stored end to end: band b's weights are ``weights[offset[b] : offset[b + 1]]``.
    """
    frames, bands = out.shape
    for i in range(frames):
        for b in range(bands):
            start = offset[b]
            bin_ = first[b]
            energy = np.float32(0.0)
            for j in range(offset[b + 1] - start):
                energy += weights[start + j] * power[i, bin_ + j]
            out[i, b] = np.log(gain * energy + floor)


@kernel("void(float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def cepstrum(log_mel: F32, dct: F32, out: F32) -> None:
    """``out = log_mel @ dct``: (n, bands), (bands, coefficients) -> (n, coefficients)."""
    frames, bands = log_mel.shape
    coefficients = dct.shape[1]
    for i in range(frames):
        for c in range(coefficients):
            out[i, c] = 0.0
        for b in range(bands):
            x = log_mel[i, b]
            for c in range(coefficients):
                out[i, c] += x * dct[b, c]


@kernel("void(float32[:, ::1], float32[:, :])")
def slope(rows: F32, out: F32) -> None:
    """Least-squares slope per row over the last w rows: rows (n + w - 1, d) -> out (n, d), w odd.

    Causal: ``out[i]`` uses ``rows[i : i + w]``, so it is the textbook (centred) delta of (w - 1) / 2 rows before.
    """
    frames, dims = out.shape
    width = rows.shape[0] - frames + 1
    half = width // 2
    norm = np.float32(0.0)
    for k in range(-half, half + 1):
        norm += np.float32(k * k)
    for i in range(frames):
        for d in range(dims):
            out[i, d] = 0.0
        for k in range(width):
            g = np.float32(k - half) / norm
            for d in range(dims):
                out[i, d] += g * rows[i + k, d]


@kernel("void(float32[:, ::1], int64[:, ::1], float32[:, :])")
def onset_strength(log_mel: F32, groups: I64, out: F32) -> None:
    """Mean rise of the log-mel from hop to hop, over groups of bands: log_mel (n + 1, bands) -> out (n, g).

    Group g covers bands ``groups[g, 0]`` to ``groups[g, 1]``; falls count as 0 (half-wave rectified flux;
    Dixon, "Onset detection revisited", DAFx 2006, on log-mel as in SuperFlux). ``log_mel[0]`` is the hop before.
    """
    for i in range(out.shape[0]):
        for g in range(groups.shape[0]):
            low, high = groups[g]
            rise = np.float32(0.0)
            for b in range(low, high):
                rise += max(log_mel[i + 1, b] - log_mel[i, b], np.float32(0.0))
            out[i, g] = rise / np.float32(high - low)
