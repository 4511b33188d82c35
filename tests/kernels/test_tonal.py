import itertools

import librosa
import numpy as np
import pytest
from valaro.kernels import filterbanks, tonal

RATE, SIZE = 24_000, 8192
BIN = np.float32(RATE / SIZE)


def spectrum_of(*hz: float, amplitudes: tuple[float, ...] | None = None) -> np.ndarray:
    t = np.arange(SIZE) / RATE
    x = sum(a * np.sin(2 * np.pi * f * t) for f, a in zip(hz, amplitudes or (1.0,) * len(hz), strict=True))
    window = np.hanning(SIZE)
    return (np.abs(np.fft.rfft(x * window)) ** 2 * 4 / window.sum() ** 2).astype(np.float32)


def peaks(power: np.ndarray, capacity: int = 24) -> tuple[np.ndarray, np.ndarray, int]:
    hz, amplitude = (np.empty(capacity, np.float32) for _ in range(2))
    found = tonal.spectral_peaks(power, 17, 1706, BIN, np.float32(1e-5), hz, amplitude)
    return hz, amplitude, found


def rough(power: np.ndarray) -> float:
    return tonal.roughness(*peaks(power))


def test_chroma_against_librosa() -> None:
    filters = filterbanks.chroma_filters(RATE, SIZE, high=5000.0)
    power = spectrum_of(220.0, 277.2, 329.6, 1000.0)
    out = np.empty(12, np.float32)
    tonal.chroma(power, filters, out)
    magnitude = np.sqrt(power)[:, None].copy()
    magnitude[filters.shape[1] :] = 0  # we stop at 5 kHz
    theirs = librosa.feature.chroma_stft(S=magnitude, sr=RATE, n_fft=SIZE, norm=1, tuning=0)[:, 0]
    np.testing.assert_allclose(out, theirs, atol=1e-4)


def test_chroma_of_silence_is_zero() -> None:
    out = np.empty(12, np.float32)
    tonal.chroma(np.zeros(4097, np.float32), filterbanks.chroma_filters(RATE, SIZE, high=5000.0), out)
    np.testing.assert_array_equal(out, 0)


def test_template_correlation_is_pearsons_r_on_each_root() -> None:
    rng = np.random.default_rng(3)
    chroma = rng.random(12).astype(np.float32)
    raw = rng.random((2, 12))
    unit = raw - raw.mean(axis=1, keepdims=True)
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    out = np.empty((2, 12), np.float32)
    tonal.template_correlation(chroma, unit, out)
    for t, root in itertools.product(range(2), range(12)):
        assert out[t, root] == pytest.approx(np.corrcoef(np.roll(raw[t], root), chroma)[0, 1], abs=1e-5)


def test_following_goes_part_of_the_way_and_ends_at_nothing() -> None:
    rng = np.random.default_rng(8)
    before, now = rng.random((2, 12)).astype(np.float32)
    out = np.empty(12, np.float32)
    way = tonal.follow(before, now, 0.25, out)
    np.testing.assert_allclose(out, before + 0.25 * (now - before), rtol=1e-6)
    assert way == pytest.approx(0.25 * np.abs(now - before).sum(), rel=1e-5)
    assert tonal.follow(np.full(12, 1.1e-30, np.float32), np.zeros(12, np.float32), 0.25, out) > 0
    np.testing.assert_array_equal(out, 0)


def test_key_and_chord_cues_are_read_off_the_correlations() -> None:
    rng = np.random.default_rng(9)
    templates = rng.random((2, 12))
    templates -= templates.mean(axis=1, keepdims=True)
    templates = (templates / np.linalg.norm(templates, axis=1, keepdims=True)).astype(np.float32)
    for chroma in rng.random((20, 12)).astype(np.float32):
        fits = np.array([[np.corrcoef(np.roll(t, root), chroma)[0, 1] for root in range(12)] for t in templates])
        key, chords = np.empty(2, np.float32), np.empty(2, np.float32)
        tonal.key_cues(chroma, templates, key)
        tonal.chord_cues(chroma, templates, chords)
        tonic = fits.max(axis=0).argmax()
        np.testing.assert_allclose(key, [fits[0, tonic] - fits[1, tonic], fits.max()], atol=1e-5)
        np.testing.assert_allclose(chords, fits.max(axis=1), atol=1e-5)


def test_cues_of_silence() -> None:
    key = np.empty(2, np.float32)
    tonal.key_cues(np.zeros(12, np.float32), np.eye(2, 12, dtype=np.float32), key)
    np.testing.assert_array_equal(key, 0)


def test_intervals_of_a_fifth_and_in_any_key() -> None:
    chroma = np.zeros(12, np.float32)
    chroma[[0, 7]] = 0.5
    out = np.empty(6, np.float32)
    tonal.interval_classes(chroma, out)
    np.testing.assert_allclose(out, [0, 0, 0, 0, 0.5, 0], atol=1e-6)
    moved = np.empty(6, np.float32)
    tonal.interval_classes(np.roll(chroma, 3), moved)
    np.testing.assert_array_equal(out, moved)


def test_peaks_are_found_between_the_bins() -> None:
    hz, amplitude, found = peaks(spectrum_of(441.3, 900.0, amplitudes=(1.0, 0.3)))
    order = np.argsort(hz[:found])
    np.testing.assert_allclose(hz[:found][order], [441.3, 900.0], atol=0.3)
    np.testing.assert_allclose(amplitude[:found][order], [1.0, 0.3], rtol=0.03)


def test_only_the_strongest_peaks_are_kept() -> None:
    partials = tuple(100.0 * k for k in range(1, 40))
    amplitudes = tuple(1.0 / k for k in range(1, 40))
    hz, _, found = peaks(spectrum_of(*partials, amplitudes=amplitudes), capacity=5)
    assert found == 5
    np.testing.assert_allclose(np.sort(hz), [100, 200, 300, 400, 500], atol=0.5)


def test_no_peaks_in_silence() -> None:
    assert peaks(np.zeros(4097, np.float32))[2] == 0


def test_roughness_against_the_formula() -> None:
    hz = np.array([440.0, 466.2, 1200.0], np.float32)
    a = np.array([1.0, 0.5, 0.25], np.float32)
    expected = 0.0
    for i, j in itertools.combinations(range(3), 2):
        x = 0.24 / (0.0207 * min(hz[i], hz[j]) + 18.96) * abs(hz[i] - hz[j])
        expected += min(a[i], a[j]) ** 2 * (np.exp(-3.51 * x) - np.exp(-5.75 * x))
    assert tonal.roughness(hz, a, 3) == pytest.approx(expected / (a**2).sum(), rel=1e-3, abs=1e-6)


def test_a_semitone_is_rougher_than_a_fifth_at_any_level() -> None:
    semitone, fifth = spectrum_of(440.0, 466.2), spectrum_of(440.0, 660.0)
    assert rough(semitone) > 5 * rough(fifth)
    assert rough(semitone * np.float32(1e-4)) == pytest.approx(rough(semitone), rel=1e-3)


def test_tonalness_is_the_share_of_the_partials() -> None:
    a = np.array([0.3, 0.4, 9.0], np.float32)
    assert tonal.tonalness(a, 2, 1.0) == pytest.approx(10 * np.log10(1.5 * 0.25 + 1e-3), rel=1e-5)
    assert tonal.tonalness(a, 0, 1.0) == pytest.approx(-30, rel=1e-5)


def test_register_is_the_weighted_mean_and_spread_of_pitch() -> None:
    hz, a = np.array([220.0, 880.0, 1760.0, 5.0], np.float32), np.array([1.0, 2.0, 0.5, 9.0], np.float32)
    out = np.empty(2, np.float32)
    tonal.register(hz, a, 3, out)
    pitch = np.array([-1.0, 1.0, 2.0])
    mean = np.average(pitch, weights=a[:3])
    np.testing.assert_allclose(out, [mean, np.sqrt(np.average((pitch - mean) ** 2, weights=a[:3]))], rtol=1e-5)
    tonal.register(hz, a, 0, out)
    np.testing.assert_array_equal(out, 0)


def test_harmony_and_partials_are_what_their_parts_say() -> None:
    rng = np.random.default_rng(3)
    chroma, slow = (rng.dirichlet(np.ones(12)).astype(np.float32) for _ in range(2))
    profiles, chords = (rng.standard_normal((n, 12)).astype(np.float32) for n in (2, 4))
    intervals, key, fits = np.empty(6, np.float32), np.empty(2, np.float32), np.empty(4, np.float32)
    tonal.interval_classes(chroma, intervals)
    tonal.key_cues(slow, profiles, key)
    tonal.chord_cues(chroma, chords, fits)
    out = np.empty(12, np.float32)
    tonal.harmony(chroma, slow, profiles, chords, out)
    np.testing.assert_allclose(out, np.concatenate((intervals, key, fits)), rtol=1e-5)

    power = spectrum_of(220.0, 233.0, 700.0, 1300.0)
    found, place = peaks(power), np.empty(2, np.float32)
    tonal.register(*found, place)
    four, energy = np.empty(4, np.float32), np.float32(power.sum())
    tonal.partials(power, 17, 1706, BIN, np.float32(1e-5), energy, 24, four)
    two = [tonal.roughness(*found), tonal.tonalness(*found[1:], energy)]
    np.testing.assert_allclose(four, np.concatenate((two, place)), rtol=1e-5)
