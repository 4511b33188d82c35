import librosa
import numpy as np
import pytest
from valaro.kernels import filterbanks, mel

RATE, SIZE, BANDS = 24_000, 2048, 64


@pytest.fixture(scope="module")
def power() -> np.ndarray:
    rng = np.random.default_rng(2)
    x = rng.standard_normal(RATE) * np.linspace(0.001, 1, RATE)
    frames = librosa.util.frame(x.astype(np.float32), frame_length=SIZE, hop_length=480).T * np.hanning(SIZE)
    return (np.abs(np.fft.rfft(frames, axis=1)) ** 2).astype(np.float32)


def log_mel(power: np.ndarray, gain: float = 1.0, floor: float = 1e-6) -> np.ndarray:
    out = np.empty((len(power), BANDS), np.float32)
    triangles = filterbanks.mel_triangles(RATE, SIZE, BANDS, 20.0, RATE / 2)
    mel.log_mel(power, *triangles, np.float32(gain), np.float32(floor), out)
    return out


def test_log_mel_against_librosa(power: np.ndarray) -> None:
    theirs = librosa.feature.melspectrogram(S=power.T, sr=RATE, n_fft=SIZE, n_mels=BANDS, fmin=20).T
    np.testing.assert_allclose(log_mel(power, 0.5, 1e-4), np.log(0.5 * theirs + 1e-4), atol=1e-4)


def test_mfcc_against_librosa(power: np.ndarray) -> None:
    rows = log_mel(power)
    out = np.empty((len(rows), 20), np.float32)
    mel.cepstrum(rows, filterbanks.dct_matrix(BANDS, 20), out)
    np.testing.assert_allclose(out, librosa.feature.mfcc(S=rows.T, n_mfcc=20).T, atol=2e-3)


def test_slope_is_librosas_delta_four_rows_late(power: np.ndarray) -> None:
    rows = log_mel(power)[:, :20].copy()
    out = np.empty((len(rows) - 8, 20), np.float32)
    mel.slope(rows, out)
    np.testing.assert_allclose(out, librosa.feature.delta(rows.T, width=9).T[4:-4], atol=1e-4)


def test_onset_strength_against_the_definition(power: np.ndarray) -> None:
    rows = log_mel(power)
    rise = np.maximum(np.diff(rows.astype(float), axis=0), 0)
    groups = np.array([(0, BANDS), (0, 6), (40, BANDS)])
    out = np.empty((len(rows) - 1, 3), np.float32)
    mel.onset_strength(rows, groups, out)
    expected = np.stack([rise[:, low:high].mean(axis=1) for low, high in groups], axis=1)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-6)


def test_mel_scale_round_trip() -> None:
    hz = np.array([0.0, 100.0, 999.0, 1000.0, 5000.0, 12000.0])
    np.testing.assert_allclose(filterbanks.mel_to_hz(filterbanks.mel_scale(hz)), hz, atol=1e-9)
    np.testing.assert_allclose(filterbanks.mel_scale(hz), librosa.hz_to_mel(hz))


def test_too_many_bands_are_refused() -> None:
    with pytest.raises(ValueError, match="holds no bin"):
        filterbanks.mel_triangles(RATE, 256, 128, 20.0, 12_000.0)
