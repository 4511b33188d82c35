"""Pitch classes, keys, chords and sensory dissonance, from one long spectrum at a time."""

import numpy as np

from ._jit import F32, Real, kernel


@kernel("void(float32[::1], float32[:, ::1], float32[::1])")
def chroma(power: F32, filters: F32, out: F32) -> None:
    """Magnitude in each pitch class: power (>= bins,), filters (12, bins) -> out (12,), summing to 1 (0 if silent)."""
    classes, bins = filters.shape
    for c in range(classes):
        out[c] = 0.0
    total = np.float32(0.0)
    for c in range(classes):
        s = np.float32(0.0)
        for j in range(bins):
            s += filters[c, j] * np.sqrt(power[j])
        out[c] = s
        total += s
    if total > 1e-12:
        for c in range(classes):
            out[c] /= total


@kernel("void(float32[::1], float32[:, ::1], float32[:, ::1])")
def template_correlation(chroma: F32, templates: F32, out: F32) -> None:
    """Pearson correlation of a chroma (12,) with each template on each of 12 roots -> out (templates, 12).

    ``templates`` (t, 12) are written for root 0, with zero mean and unit length. A flat chroma correlates 0.
    """
    mean = np.float32(0.0)
    for c in range(12):
        mean += chroma[c] / np.float32(12.0)
    norm = np.float32(0.0)
    for c in range(12):
        norm += (chroma[c] - mean) ** 2
    norm = np.sqrt(norm)
    for t in range(templates.shape[0]):
        for root in range(12):
            s = np.float32(0.0)
            for c in range(12):
                s += templates[t, c] * (chroma[(c + root) % 12] - mean)
            out[t, root] = s / norm if norm > 1e-9 else np.float32(0.0)


@kernel("void(float32[::1], float32[::1])")
def interval_classes(chroma: F32, out: F32) -> None:
    """How much of the sounding pitch classes lies 1..6 semitones apart: chroma (12,) -> out (6,).

    ``out[d - 1] = sum_c chroma[c] * chroma[c + d] / sum_c chroma[c]^2``: independent of key and of level.
    """
    norm = np.float32(1e-12)
    for c in range(12):
        norm += chroma[c] * chroma[c]
    for d in range(1, 7):
        s = np.float32(0.0)
        for c in range(12):
            s += chroma[c] * chroma[(c + d) % 12]
        out[d - 1] = s / norm


@kernel("int64(float32[::1], int64, int64, float32, float32, float32[::1], float32[::1])")
def spectral_peaks(power: F32, first: int, last: int, bin_hz: Real, floor: Real, hz: F32, amplitude: F32) -> int:
    """The strongest local maxima of one power spectrum between two bins; returns how many, strongest not first.

    Only peaks above ``floor`` times the largest count. Frequencies (Hz) and amplitudes are refined by a parabola
    through the log power. ``hz`` and ``amplitude`` (capacity,): once full, a stronger peak takes the weakest's place.
    """
    capacity = hz.shape[0]
    largest = np.float32(0.0)
    for j in range(first, last):
        largest = max(largest, power[j])
    threshold = largest * floor
    found = 0
    if largest <= 1e-20:
        return found
    weakest = 0
    for j in range(first, last):
        p = power[j]
        if p < threshold or p <= power[j - 1] or p < power[j + 1]:
            continue
        slot = found
        if found == capacity:
            if np.sqrt(p) <= amplitude[weakest]:
                continue
            slot = weakest
        else:
            found += 1
        left = np.log(power[j - 1] + 1e-20)
        mid = np.log(p)
        right = np.log(power[j + 1] + 1e-20)
        bend = left - 2.0 * mid + right
        shift = 0.5 * (left - right) / bend if bend < -1e-9 else 0.0
        hz[slot] = (j + shift) * bin_hz
        amplitude[slot] = np.exp(0.5 * (mid - 0.25 * (left - right) * shift))
        if found == capacity:
            weakest = 0
            for k in range(1, capacity):
                if amplitude[k] < amplitude[weakest]:
                    weakest = k
    return found


@kernel("float32(float32[::1], float32[::1], int64)")
def roughness(hz: F32, amplitude: F32, count: int) -> float:
    """Sensory dissonance of ``count`` partials, relative to their energy: 0 for one partial or wide spacings.

    Every pair adds its lesser amplitude squared times the Plomp-Levelt curve as parametrised by Sethares ("Local
    consonance and the relationship between timbre and scale", JASA 94(3), 1993, Eq. 3); divided by the summed
    squared amplitudes, so that the level falls out.
    """
    energy = 1e-20
    total = 0.0
    for i in range(count):
        energy += amplitude[i] * amplitude[i]
        for j in range(i):
            low = min(hz[i], hz[j])
            gap = abs(hz[i] - hz[j])
            x = 0.24 / (0.0207 * low + 18.96) * gap
            if x > 3.0:
                continue
            lesser = min(amplitude[i], amplitude[j])
            total += lesser * lesser * (np.exp(-3.51 * x) - np.exp(-5.75 * x))
    return total / energy
