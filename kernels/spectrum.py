"""Framing, power spectra, and what is read off the shape of one spectrum."""

import numpy as np

from ._jit import C64, F32, I64, Real, kernel


@kernel("void(float32[::1], float32[::1], int64, float32[:, ::1])")
def window_frames(samples: F32, window: F32, hop: int, out: F32) -> None:
    """``out[i] = samples[i * hop : i * hop + N] * window``; out (n, N), samples at least (n - 1) * hop + N."""
    frames, size = out.shape
    for i in range(frames):
        # A slice's indices are known not to be negative: without that look at each of them the loop is vectorised.
        frame = samples[i * hop : i * hop + size]
        for j in range(size):
            out[i, j] = frame[j] * window[j]


@kernel("void(complex64[:, ::1], int64, float32, float32[:, ::1], float32[::1])")
def power_spectrum(spectrum: C64, first: int, scale: Real, out: F32, energy: F32) -> None:
    """``out = scale * |spectrum|^2``, both (n, bins); energy (n,): its sum from bin ``first`` up."""
    frames, bins = out.shape
    for i in range(frames):
        for j in range(bins):
            re = spectrum[i, j].real
            im = spectrum[i, j].imag
            out[i, j] = scale * (re * re + im * im)
        total = np.float32(0.0)
        for j in range(first, bins):
            total += out[i, j]
        energy[i] = total


@kernel("void(float32[::1], float32[::1], float32[:, ::1])")
def window_quarters(samples: F32, window: F32, out: F32) -> None:
    """Every fourth windowed sample: samples and window (4 n,) -> ``out[r, i] = samples[4 i + r] * window[4 i + r]``."""
    for i in range(out.shape[1]):
        for r in range(4):
            out[r, i] = samples[4 * i + r] * window[4 * i + r]


@kernel("void(complex64[:, ::1], complex64[:, ::1], int64, float32, float32[::1], float32[::1])")
def power_of_quarters(quarters: C64, twiddles: C64, first: int, scale: Real, out: F32, energy: F32) -> None:
    """:func:`power_spectrum` of one frame of 4 n samples, from the spectra of its :func:`window_quarters`.

    quarters (4, n / 2 + 1), twiddles (3, n / 2 + 1) of :func:`filterbanks.twiddles` -> out (2 n + 1,), energy (1,).
    The last step of a radix-4 FFT (Cooley & Tukey 1965): four short transforms in one call cost half of a long one.
    """
    half = quarters.shape[1] - 1
    n = 2 * half
    parts = np.empty((4, half + 1), np.float32)
    for k in range(half + 1):
        a = quarters[0, k]
        b = twiddles[0, k] * quarters[1, k]
        c = twiddles[1, k] * quarters[2, k]
        d = twiddles[2, k] * quarters[3, k]
        even, odd = a + c, b + d
        even_turned, odd_turned = a - c, b - d
        # X[k] = even + odd, X[2n - k] = even - odd, X[n + k] and X[n - k] = even_turned -+ i odd_turned, as far as
        # their powers go: a real frame's X[4n - j] has that of X[j].
        parts[0, k] = scale * ((even.real + odd.real) ** 2 + (even.imag + odd.imag) ** 2)
        parts[1, k] = scale * ((even.real - odd.real) ** 2 + (even.imag - odd.imag) ** 2)
        parts[2, k] = scale * ((even_turned.real + odd_turned.imag) ** 2 + (even_turned.imag - odd_turned.real) ** 2)
        parts[3, k] = scale * ((even_turned.real - odd_turned.imag) ** 2 + (even_turned.imag + odd_turned.real) ** 2)
    out[: half + 1] = parts[0]
    out[n + half :] = parts[1, ::-1]
    out[n : n + half + 1] = parts[2]
    out[half : n + 1] = parts[3, ::-1]
    total = np.float32(0.0)
    for j in range(first, 2 * n + 1):
        total += out[j]
    energy[0] = total


@kernel("void(float32[::1], float32[::1], float32[::1], int64, float32[:, ::1])")
def window_newest(samples: F32, window: F32, long_window: F32, hop: int, out: F32) -> None:
    """The newest samples as an FFT wants them: out (n + 4, N), n short frames and the quarters of a long one.

    window (N,), long_window (4 N,); the last of the n :func:`window_frames`, ``hop`` apart, and the long frame of
    :func:`window_quarters` both end with the samples, of which there are max(4 N, (n - 1) * hop + N) at least.
    """
    total, size = samples.shape[0], out.shape[1]
    frames = out.shape[0] - 4
    window_frames(samples[total - size - (frames - 1) * hop :], window, hop, out[:frames])
    window_quarters(samples[total - 4 * size :], long_window, out[frames:])


@kernel(
    "void(complex64[:, ::1], complex64[:, ::1], int64, float32, float32, float32[:, ::1], float32[::1], float32[::1])"
)
def powers(
    spectra: C64, twiddles: C64, first: int, scale: Real, long_scale: Real, out: F32, long_out: F32, energy: F32
) -> None:
    """Power of the spectra (n + 4, bins) of what :func:`window_newest` left: out (n, bins), long_out (4 bins - 3,).

    energy (n + 1,): that of the short ones, then that of the long one, as :func:`power_spectrum` has it.
    """
    frames = out.shape[0]
    power_spectrum(spectra[:frames], first, scale, out, energy[:frames])
    power_of_quarters(spectra[frames:], twiddles, first, long_scale, long_out, energy[frames:])


@kernel("void(float32[::1], float32, float32[:])")
def levels(power: F32, reference: Real, out: F32) -> None:
    """Decibels of each power over ``reference``, not below -60: (n,) -> out (n,)."""
    for i in range(power.shape[0]):
        out[i] = 10.0 * np.log10(power[i] / reference + 1e-6)


_LOWEST = 20.0  # Hz: no centroid, spread or roll-off is taken for less


@kernel("int64(float32[::1], float64)")
def _reaching(values: F32, enough: float) -> int:
    """The index at which the sum of the values reaches ``enough``, the last one at most.

    By 32 at a time as long as these do not reach it: one by one, each addition would wait for the one before.
    """
    last = values.shape[0] - 1
    below = 0.0
    j = 0
    while j + 32 <= last:
        few = values[j : j + 32]
        more = 0.0
        for k in range(32):
            more += few[k]
        if below + more >= enough:
            break
        below += more
        j += 32
    while j < last:
        below += values[j]
        if below >= enough:
            break
        j += 1
    return j


@kernel("void(float32[:, ::1], int64, float32, float32[:, :])")
def spectral_shape(power: F32, first: int, bin_hz: Real, out: F32) -> None:
    """Centroid, spread, flatness and roll-off of power spectra (n, bins) from bin ``first`` up -> out (n, 4).

    Centroid and spread (its standard deviation) are weighted by magnitude; roll-off is the lowest frequency that has
    85 % of the magnitude below or at it: all three in octaves over 1 kHz, 20 Hz at least. Flatness is the logarithm
    of the geometric over the arithmetic mean of the power. A spectrum without energy counts as 20 Hz, and as flat.
    """
    tiny = 1e-30
    frames, bins = power.shape
    count = bins - first
    eighth = count // 8
    magnitude = np.empty(count, np.float32)
    products = np.empty(eighth, np.float64)
    bits = products.view(np.int64)
    for i in range(frames):
        total = 0.0
        moment = 0.0
        second = 0.0
        energy = 0.0
        row = power[i, first:]
        for j in range(count):
            p = row[j]
            m = np.sqrt(p)
            magnitude[j] = m
            f = np.float32(first + j) * bin_hz
            total += m
            moment += m * f
            second += m * f * f
            energy += p
        centroid, spread, flatness, rolloff = 0.0, 0.0, 1.0, 0.0
        if total > 1e-15:
            centroid = moment / total
            spread = np.sqrt(max(second / total - centroid * centroid, 0.0))
            # One logarithm for all bins: the product of eight float32 stays far inside float64's range, and of the
            # products the exponents are added up and the significands, 1 to 2 each, multiplied.
            products[:] = 1.0
            for k in range(8):
                part = row[k * eighth : (k + 1) * eighth]
                for j in range(eighth):
                    products[j] *= part[j] + tiny
            exponents = 0
            for j in range(eighth):
                exponents += bits[j] >> 52
                bits[j] = (bits[j] & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000
            product = 1.0
            for j in range(eighth):
                product *= products[j]
            logs = np.log(product) + (exponents - 1023 * eighth) * np.log(2.0)
            product = 1.0
            for p in row[8 * eighth :]:
                product *= p + tiny
            logs += np.log(product)
            flatness = np.exp(logs / count) / (energy / count + tiny)
            rolloff = np.float32(first + _reaching(magnitude, 0.85 * total)) * bin_hz
        out[i, 0] = np.log2(max(centroid, _LOWEST) / 1000.0)
        out[i, 1] = np.log2(max(spread, _LOWEST) / 1000.0)
        out[i, 2] = np.log(flatness + 1e-6)
        out[i, 3] = np.log2(max(rolloff, _LOWEST) / 1000.0)


@kernel("float32(float32[::1], int64)")
def bound_of_smallest(values: F32, k: int) -> float:
    """A bound with just k of the non-negative values (n,) at or below it; where values tie, with as few more as can be.

    Non-negative floats are ordered as their bit patterns are, so that these can be bisected: at most 31 quick passes,
    mostly half of that, where sorting or partitioning would stumble over its own branches.
    """
    bits = np.zeros(1, np.int32)
    bound = bits.view(np.float32)
    low, high = 0, 0x7F800000
    while low < high:
        bits[0] = (low + high) // 2
        count = np.float32(0.0)
        for j in range(values.shape[0]):
            count += np.float32(1.0) if values[j] <= bound[0] else np.float32(0.0)
        if count == k:
            return bound[0]
        if count > k:
            high = bits[0]
        else:
            low = bits[0] + 1
    bits[0] = low
    return bound[0]


@kernel("void(float32[:, ::1], int64[::1], float32, float32[::1])")
def spectral_contrast(power: F32, edges: I64, quantile: Real, out: F32) -> None:
    """Peak over valley of each band of the mean of power spectra (n, bins), in natural-log units -> out (bands,).

    Band b covers bins ``edges[b]`` to ``edges[b + 1]``. Its peak is the mean of the strongest ``quantile`` of the
    bins, its valley that of the weakest (Jiang et al., "Music type classification by spectral contrast feature",
    ICME 2002).
    """
    frames, bins = power.shape
    mean = np.zeros(bins, np.float32)
    for i in range(frames):
        for j in range(bins):
            mean[j] += power[i, j]
    for j in range(bins):
        mean[j] /= np.float32(frames)
    for b in range(out.shape[0]):
        band = mean[edges[b] : edges[b + 1]]
        n = band.shape[0]
        k = max(1, int(np.round(quantile * n)))
        low, high = bound_of_smallest(band, k), bound_of_smallest(band, n - k)
        valley, peak = 0.0, 0.0
        up_to_low, up_to_high = 0, 0
        for j in range(n):
            x = band[j]
            if x <= low:
                valley += x
                up_to_low += 1
            if x <= high:
                up_to_high += 1
            else:
                peak += x
        # Where values tie at a bound, as many of them as make up k.
        valley -= (up_to_low - k) * low
        peak += (up_to_high - (n - k)) * high
        out[b] = np.log(peak / k + 1e-20) - np.log(valley / k + 1e-20)


@kernel("void(float32[::1], int64, float32[:])")
def zero_crossings(samples: F32, hop: int, out: F32) -> None:
    """Share of neighbouring samples of opposite sign in each hop: samples (n * hop + 1,) -> out (n,), 0..1.

    ``samples[0]`` is the last sample of the hop before.
    """
    for i in range(out.shape[0]):
        before, now = samples[i * hop : (i + 1) * hop], samples[i * hop + 1 : (i + 1) * hop + 1]
        crossings = 0
        for j in range(hop):
            if (before[j] < 0.0) != (now[j] < 0.0):
                crossings += 1
        out[i] = crossings / hop
