from itertools import pairwise

import librosa
import numpy as np
import pytest
from scipy.fft import rfft
from valaro.kernels import filterbanks, spectrum

RATE, SIZE = 24_000, 2048


@pytest.fixture(scope="module")
def power() -> np.ndarray:
    """Power spectra of a decaying chord in noise."""
    rng = np.random.default_rng(1)
    t = np.arange(RATE) / RATE
    x = sum(np.sin(2 * np.pi * f * t) * np.exp(-2 * t) for f in (220, 277, 330, 1800)) + 0.05 * rng.standard_normal(
        RATE
    )
    frames = librosa.util.frame(x.astype(np.float32), frame_length=SIZE, hop_length=480).T * np.hanning(SIZE)
    return (np.abs(np.fft.rfft(frames, axis=1)) ** 2).astype(np.float32)


def test_window_frames_is_windowed_slices() -> None:
    rng = np.random.default_rng(0)
    samples, window = (rng.standard_normal(n).astype(np.float32) for n in (300, 64))
    out = np.empty((10, 64), np.float32)
    spectrum.window_frames(samples, window, 20, out)
    np.testing.assert_array_equal(out, np.stack([samples[i * 20 : i * 20 + 64] * window for i in range(10)]))


def test_power_spectrum() -> None:
    rng = np.random.default_rng(0)
    z = (rng.standard_normal((3, 33)) + 1j * rng.standard_normal((3, 33))).astype(np.complex64)
    out, energy = np.empty((3, 33), np.float32), np.empty(3, np.float32)
    spectrum.power_spectrum(z, 2, np.float32(0.25), out, energy)
    np.testing.assert_allclose(out, 0.25 * np.abs(z) ** 2, rtol=1e-5)
    np.testing.assert_allclose(energy, 0.25 * (np.abs(z[:, 2:]) ** 2).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("size", [16, 8192])
def test_four_quarters_make_the_spectrum_of_the_whole(size: int) -> None:
    rng = np.random.default_rng(4)
    samples, window = rng.standard_normal(size).astype(np.float32), np.hanning(size).astype(np.float32)
    frames = np.empty((4, size // 4), np.float32)
    spectrum.window_quarters(samples, window, frames)
    np.testing.assert_array_equal(frames, (samples * window).reshape(-1, 4).T)
    out, energy = np.empty(size // 2 + 1, np.float32), np.empty(1, np.float32)
    spectrum.power_of_quarters(rfft(frames, axis=1), filterbanks.twiddles(size), 2, 0.5, out, energy)
    expected = 0.5 * np.abs(np.fft.rfft(samples.astype(float) * window)) ** 2
    np.testing.assert_allclose(out, expected, atol=1e-6 * expected.max())
    assert energy[0] == pytest.approx(expected[2:].sum(), rel=1e-5)


def test_the_newest_samples_make_short_spectra_and_a_long_one() -> None:
    """Hops of 3 over short frames of 16: the last of them, and the long frame of 64, end with the samples."""
    rng = np.random.default_rng(5)
    samples, long_window = (rng.standard_normal(n).astype(np.float32) for n in (70, 64))
    window = rng.standard_normal(16).astype(np.float32)
    frames = np.empty((3 + 4, 16), np.float32)
    spectrum.window_newest(samples, window, long_window, 3, frames)
    short, long = np.empty((3, 9), np.float32), np.empty(33, np.float32)
    energy = np.empty(4, np.float32)
    spectrum.powers(rfft(frames, axis=1), filterbanks.twiddles(64), 2, 0.5, 0.25, short, long, energy)
    expected = [0.5 * np.abs(np.fft.rfft(samples[70 - end - 16 : 70 - end] * window)) ** 2 for end in (6, 3, 0)]
    np.testing.assert_allclose(short, expected, rtol=1e-4, atol=1e-5)
    whole = 0.25 * np.abs(np.fft.rfft(samples[-64:] * long_window)) ** 2
    np.testing.assert_allclose(long, whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(energy, [*(each[2:].sum() for each in expected), whole[2:].sum()], rtol=1e-5)


def test_levels_are_decibels_over_the_reference_with_a_floor() -> None:
    out = np.empty(4, np.float32)
    spectrum.levels(np.array([0.02, 0.2, 0.002, 0.0], np.float32), np.float32(0.02), out)
    np.testing.assert_allclose(out, [0, 10, -10, -60], atol=1e-4)


def octaves(hz: np.ndarray) -> np.ndarray:
    return np.log2(np.maximum(hz, 20) / 1000)


def test_shape_against_librosa(power: np.ndarray) -> None:
    power = power.copy()
    power[:, :2] = 0
    out = np.empty((len(power), 4), np.float32)
    spectrum.spectral_shape(power, 2, np.float32(RATE / SIZE), out)
    magnitude = np.sqrt(power).T
    centroid = librosa.feature.spectral_centroid(S=magnitude, sr=RATE, n_fft=SIZE)[0]
    spread = librosa.feature.spectral_bandwidth(S=magnitude, sr=RATE, n_fft=SIZE)[0]
    rolloff = librosa.feature.spectral_rolloff(S=magnitude, sr=RATE, n_fft=SIZE, roll_percent=0.85)[0]
    flatness = librosa.feature.spectral_flatness(S=power[:, 2:].T, power=1.0, amin=1e-30)[0]
    np.testing.assert_allclose(out[:, 0], octaves(centroid), atol=2e-4)
    np.testing.assert_allclose(out[:, 1], octaves(spread), atol=2e-4)
    np.testing.assert_allclose(out[:, 2], np.log(flatness + 1e-6), atol=1e-3)
    # A bin, where the two round the sum differently.
    assert np.abs(1000 * 2 ** out[:, 3] - rolloff).max() <= 1.01 * RATE / SIZE


@pytest.mark.parametrize("bins", [5, 40, 1025])
def test_shape_is_that_of_sums_and_logarithms_one_by_one(bins: int) -> None:
    """Over 24 orders of magnitude, and with fewer bins than are taken at a time."""
    power = (10 ** np.random.default_rng(6).uniform(-20, 4, (6, bins))).astype(np.float32)
    power[1] = 10 ** np.linspace(4, -20, bins)
    power[2] = 10 ** np.linspace(-20, 4, bins)
    out = np.empty((6, 4), np.float32)
    spectrum.spectral_shape(power, 2, np.float32(RATE / SIZE), out)
    for row, (centroid, spread, flatness, rolloff) in zip(power[:, 2:].astype(float), out, strict=True):
        magnitude, hz = np.sqrt(row), np.arange(2, bins) * RATE / SIZE
        mean = np.average(hz, weights=magnitude)
        deviation = np.sqrt(np.average((hz - mean) ** 2, weights=magnitude))
        last = int(np.argmax(np.cumsum(magnitude) >= 0.85 * magnitude.sum()))
        expected = [np.log2(max(each, 20) / 1000) for each in (mean, deviation, hz[last])]
        np.testing.assert_allclose([centroid, spread, rolloff], expected, rtol=1e-4, atol=1e-4)
        assert flatness == pytest.approx(np.log(np.exp(np.log(row).mean()) / row.mean() + 1e-6), rel=1e-4, abs=1e-4)


def test_shape_of_nothing_and_of_white_noise() -> None:
    out = np.empty((2, 4), np.float32)
    spectra = np.stack([np.zeros(1025), np.ones(1025)]).astype(np.float32)
    spectrum.spectral_shape(spectra, 2, np.float32(RATE / SIZE), out)
    lowest = np.log2(20 / 1000)
    np.testing.assert_allclose(out[0], [lowest, lowest, 0, lowest], atol=1e-5)
    np.testing.assert_allclose(out[1, 0], np.log2(6), atol=0.01)
    np.testing.assert_allclose(out[1, 2], 0, atol=1e-4)


def test_the_bound_of_the_smallest_has_just_so_many_below() -> None:
    rng = np.random.default_rng(5)
    for n in (1, 2, 15, 751):
        values = (rng.random(n) ** 8).astype(np.float32)
        for k in {1, max(1, n // 5), n}:
            assert np.count_nonzero(values <= spectrum.bound_of_smallest(values, k)) == k
    tied = np.array([0, 0, 0, 0.5, 0.5, 1], np.float32)
    assert [spectrum.bound_of_smallest(tied, k) for k in (1, 2, 4)] == [0, 0, 0.5]


EDGES = np.array([2, 17, 34, 68, 137, 273, 1024])


def contrast(power: np.ndarray) -> np.ndarray:
    out = np.empty(6, np.float32)
    spectrum.spectral_contrast(power, EDGES, np.float32(0.2), out)
    return out


def test_contrast_is_peak_over_valley(power: np.ndarray) -> None:
    tied = np.zeros((5, 1025), np.float32)
    tied[:, ::3] = 1.0
    tied[:, ::7] = 0.5
    for hops in (power[3:8], tied):
        out = contrast(hops)
        for b, (low, high) in enumerate(pairwise(EDGES)):
            band = np.sort(hops.astype(float).mean(axis=0)[low:high])
            k = max(1, round(0.2 * band.size))
            expected = np.log(band[-k:].mean() + 1e-20) - np.log(band[:k].mean() + 1e-20)
            assert out[b] == pytest.approx(expected, rel=1e-3)


def test_contrast_of_nothing_and_of_a_flat_spectrum_is_zero() -> None:
    np.testing.assert_array_equal(contrast(np.zeros((5, 1025), np.float32)), 0)
    np.testing.assert_allclose(contrast(np.full((5, 1025), 0.3, np.float32)), 0, atol=1e-6)


def test_zero_crossings_of_a_sine() -> None:
    t = np.arange(2401) / RATE
    out = np.empty(5, np.float32)
    spectrum.zero_crossings(np.sin(2 * np.pi * 1000 * t + 0.1).astype(np.float32), 480, out)
    np.testing.assert_allclose(out, 2 * 1000 / RATE, atol=2 / 480)
