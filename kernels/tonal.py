"""Pitch classes, keys, chords and sensory dissonance, from one long spectrum at a time."""

import numpy as np

from ._jit import F32, Real, kernel


@kernel("void(float32[::1], float32[:, ::1], float32[::1])")
def chroma(power: F32, filters: F32, out: F32) -> None:
    """Magnitude in each pitch class: power (>= bins,), filters (12, bins) -> out (12,), summing to 1 (0 if silent)."""
    classes, bins = filters.shape
    magnitude = np.sqrt(power[:bins])
    total = np.float32(0.0)
    for c in range(classes):
        s = np.float32(0.0)
        for j in range(bins):
            s += filters[c, j] * magnitude[j]
        out[c] = s
        total += s
    for c in range(classes):
        out[c] = out[c] / total if total > 1e-12 else np.float32(0.0)


@kernel("float32(float32[::1], float32[::1], float32, float32[::1])")
def follow(before: F32, now: F32, rate: Real, out: F32) -> float:
    """``out = before + rate * (now - before)``, all (n,); returns how far it went, the sum of absolute steps.

    What has faded to below 1e-30 becomes exactly 0: silence would end in subnormal numbers, which are slow.
    """
    way = np.float32(0.0)
    for c in range(out.shape[0]):
        x = before[c] + rate * (now[c] - before[c])
        out[c] = x if x > np.float32(1e-30) else np.float32(0.0)
        way += abs(out[c] - before[c])
    return float(way)


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


@kernel("void(float32[::1], float32[:, ::1], float32[::1])")
def key_cues(chroma: F32, profiles: F32, out: F32) -> None:
    """Mode and clarity of the key of a chroma (12,) -> out (2,).

    The tonic is that of the major or minor profile (2, 12, as for :func:`template_correlation`) that fits best. Mode:
    how much better major fits there than minor, -2..2; clarity: how well the better one fits, -1..1.
    """
    fits = np.empty((2, 12), np.float32)
    template_correlation(chroma, profiles, fits)
    best = np.float32(-2.0)
    for tonic in range(12):
        major, minor = fits[0, tonic], fits[1, tonic]
        if max(major, minor) > best:
            best = max(major, minor)
            out[0] = major - minor
    out[1] = best


@kernel("void(float32[::1], float32[:, ::1], float32[::1])")
def chord_cues(chroma: F32, chords: F32, out: F32) -> None:
    """How well each chord (t, 12, as for :func:`template_correlation`) fits on its best root: out (t,), -1..1."""
    fits = np.empty((out.shape[0], 12), np.float32)
    template_correlation(chroma, chords, fits)
    for t in range(out.shape[0]):
        out[t] = fits[t].max()


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


@kernel("void(float32[::1], float32[::1], float32[:, ::1], float32[:, ::1], float32[::1])")
def harmony(chroma: F32, key_chroma: F32, profiles: F32, chords: F32, out: F32) -> None:
    """:func:`interval_classes` of a chroma, :func:`key_cues` of a slower one, :func:`chord_cues` of the first.

    out (6 + 2 + t,).
    """
    interval_classes(chroma, out[:6])
    key_cues(key_chroma, profiles, out[6:8])
    chord_cues(chroma, chords, out[8:])


@kernel("int64(float32[::1], int64, int64, float32, float32, float32[::1], float32[::1])")
def spectral_peaks(power: F32, first: int, last: int, bin_hz: Real, floor: Real, hz: F32, amplitude: F32) -> int:
    """The strongest local maxima of one power spectrum between two bins; returns how many, strongest not first.

    Only peaks above ``floor`` times the largest count. Frequencies (Hz) and amplitudes are refined by a parabola
    through the log power. ``hz`` and ``amplitude`` (capacity,): once full, a stronger peak takes the weakest's place.
    """
    capacity = hz.shape[0]
    before, at, after = power[first - 1 : last - 1], power[first:last], power[first + 1 : last + 1]
    largest = np.float32(0.0)
    for j in range(at.shape[0]):
        largest = max(largest, at[j])
    count = 0
    if largest <= 1e-20:
        return count
    least = largest * floor
    weakest = 0
    for j in range(at.shape[0]):
        p = at[j]
        if p < least or p <= before[j] or p < after[j]:
            continue
        slot = count
        if count == capacity:
            if np.sqrt(p) <= amplitude[weakest]:
                continue
            slot = weakest
        else:
            count += 1
        left = np.log(before[j] + 1e-20)
        mid = np.log(p)
        right = np.log(after[j] + 1e-20)
        bend = left - 2.0 * mid + right
        shift = 0.5 * (left - right) / bend if bend < -1e-9 else 0.0
        hz[slot] = (first + j + shift) * bin_hz
        amplitude[slot] = np.exp(0.5 * (mid - 0.25 * (left - right) * shift))
        if count == capacity:
            weakest = 0
            for k in range(1, capacity):
                if amplitude[k] < amplitude[weakest]:
                    weakest = k
            # What is surely weaker need not be looked at: a branch that is foreseen, where a maximum is not.
            least = max(least, np.float32(0.999999) * amplitude[weakest] * amplitude[weakest])
    return count


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


@kernel("float32(float32[::1], int64, float32)")
def tonalness(amplitude: F32, count: int, power: Real) -> float:
    """Decibels of ``count`` partials of Hann-windowed sound over the whole ``power`` of the spectrum, -30 at least."""
    energy = 0.0
    for i in range(count):
        energy += amplitude[i] * amplitude[i]
    # A windowed partial's energy is that of its peak times 1.5 bins' worth of leakage.
    return 10.0 * np.log10(1.5 * energy / (power + 1e-12) + 1e-3)


@kernel("void(float32[::1], float32[::1], int64, float32[::1])")
def register(hz: F32, amplitude: F32, count: int, out: F32) -> None:
    """Amplitude-weighted mean and spread of the pitch of ``count`` partials -> out (2,), octaves over 440 Hz."""
    weight, mean, second = 1e-12, 0.0, 0.0
    for i in range(count):
        pitch = np.log2(max(hz[i], np.float32(20.0)) / np.float32(440.0))
        weight += amplitude[i]
        mean += amplitude[i] * pitch
        second += amplitude[i] * pitch * pitch
    mean /= weight
    out[0] = mean
    out[1] = np.sqrt(max(second / weight - mean * mean, 0.0))


@kernel("void(float32[::1], int64, int64, float32, float32, float32, int64, float32[::1])")
def partials(
    power: F32, first: int, last: int, bin_hz: Real, floor: Real, energy: Real, capacity: int, out: F32
) -> None:
    """:func:`roughness`, :func:`tonalness` and :func:`register` of the :func:`spectral_peaks` -> out (4,).

    At most ``capacity`` of them; ``energy`` is that of the whole spectrum.
    """
    hz, amplitude = np.empty(capacity, np.float32), np.empty(capacity, np.float32)
    count = spectral_peaks(power, first, last, bin_hz, floor, hz, amplitude)
    out[0] = roughness(hz, amplitude, count)
    out[1] = tonalness(amplitude, count, energy)
    register(hz, amplitude, count, out[2:])
