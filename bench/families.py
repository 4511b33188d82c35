"""Each family of features by itself, by Valaro's kernels and by librosa, on the same frames of the same minute.

Both get the whole minute in one call, which suits librosa best.
"""

from collections.abc import Callable
from typing import NamedTuple

import librosa
import numpy as np
from scipy.fft import rfft
from valaro.kernels import filterbanks, mel, spectrum, tonal
from valaro.models.features.frame import BLOCK, HOP, HOPS, RATE

from .material import Float32

SHORT, LONG = 2048, 8192  # timbre every 20 ms, pitch every 100 ms
MELS, MFCC, SLOPE = 64, 20, 9


class Family(NamedTuple):
    """One kind of features, computed by either side."""

    name: str
    valaro: Callable[[], object]
    librosa: Callable[[], object]


def families(samples: Float32) -> list[Family]:
    """Kernels beside librosa's functions, each from the same input: samples, or spectra made beforehand."""
    power = np.ascontiguousarray(_power(samples, SHORT, HOP).T)
    long_power = np.ascontiguousarray(_power(samples, LONG, BLOCK).T)
    log_mel = np.ascontiguousarray(_log_mel(power.T).T)
    power_t, long_power_t, magnitude_t, log_mel_t = power.T, long_power.T, np.sqrt(power).T, log_mel.T
    return [
        Family("power spectrum", lambda: _our_power(samples), lambda: _power(samples, SHORT, HOP)),
        Family("log-mel", lambda: _our_log_mel(power), lambda: _log_mel(power_t)),
        Family("MFCC and slopes", lambda: _our_mfcc(log_mel), lambda: _mfcc(log_mel_t)),
        Family("spectral shape", lambda: _our_shape(power), lambda: _shape(magnitude_t)),
        Family("onset strength", lambda: _our_onsets(log_mel), lambda: _onsets(log_mel_t)),
        Family("zero crossings", lambda: _our_crossings(samples), lambda: _crossings(samples)),
        Family("spectral contrast", lambda: _our_contrast(power), lambda: _contrast(power_t)),
        Family("chroma", lambda: _our_chroma(long_power), lambda: _chroma(long_power_t)),
    ]


def by_librosa(samples: Float32) -> None:
    """All these families of one sound by librosa, each spectrum made once."""
    power = _power(samples, SHORT, HOP)
    log_mel = _log_mel(power)
    _mfcc(log_mel)
    _shape(np.sqrt(power))
    _onsets(log_mel)
    _crossings(samples)
    _contrast(power)
    _chroma(_power(samples, LONG, BLOCK))


def _power(samples: Float32, size: int, hop: int) -> Float32:
    return np.abs(librosa.stft(samples, n_fft=size, hop_length=hop, center=False)) ** 2


def _log_mel(power: Float32) -> Float32:
    return np.log(librosa.feature.melspectrogram(S=power, sr=RATE, n_fft=SHORT, n_mels=MELS, fmin=20.0) + 1e-6)


def _mfcc(log_mel: Float32) -> Float32:
    mfcc = librosa.feature.mfcc(S=log_mel, n_mfcc=MFCC)
    return librosa.feature.delta(mfcc, width=SLOPE)


def _shape(magnitude: Float32) -> None:
    centroid = librosa.feature.spectral_centroid(S=magnitude, sr=RATE, n_fft=SHORT)
    librosa.feature.spectral_bandwidth(S=magnitude, sr=RATE, n_fft=SHORT, centroid=centroid)
    librosa.feature.spectral_rolloff(S=magnitude, sr=RATE, n_fft=SHORT)
    librosa.feature.spectral_flatness(S=magnitude)


def _onsets(log_mel: Float32) -> Float32:
    return librosa.onset.onset_strength(S=log_mel, sr=RATE, hop_length=HOP)


def _crossings(samples: Float32) -> Float32:
    return librosa.feature.zero_crossing_rate(samples, frame_length=HOP, hop_length=HOP, center=False)


def _contrast(power: Float32) -> Float32:
    blocks_of_hops = power[:, : power.shape[1] // HOPS * HOPS].reshape(len(power), -1, HOPS)
    return librosa.feature.spectral_contrast(
        S=blocks_of_hops.mean(axis=2), sr=RATE, n_fft=SHORT, n_bands=5, quantile=0.2
    )


def _chroma(power: Float32) -> Float32:
    return librosa.feature.chroma_stft(S=power, sr=RATE, n_fft=LONG, tuning=0.0)


def _our_power(samples: Float32) -> Float32:
    window = np.hanning(SHORT + 1)[:-1].astype(np.float32)
    frames = np.empty(((samples.size - SHORT) // HOP + 1, SHORT), dtype=np.float32)
    spectrum.window_frames(samples, window, HOP, frames)
    power = np.empty((len(frames), SHORT // 2 + 1), dtype=np.float32)
    spectrum.power_spectrum(rfft(frames, axis=1), 2, 1.0, power, np.empty(len(frames), dtype=np.float32))
    return power


def _our_log_mel(power: Float32) -> Float32:
    out = np.empty((len(power), MELS), dtype=np.float32)
    mel.log_mel(power, *filterbanks.mel_triangles(RATE, SHORT, MELS, 20.0, RATE / 2), 1.0, 1e-6, out)
    return out


def _our_mfcc(log_mel: Float32) -> Float32:
    mfcc = np.empty((len(log_mel), MFCC), dtype=np.float32)
    mel.cepstrum(log_mel, filterbanks.dct_matrix(MELS, MFCC), mfcc)
    slopes = np.empty((len(mfcc) - SLOPE + 1, MFCC), dtype=np.float32)
    mel.slope(mfcc, slopes)
    return slopes


def _our_shape(power: Float32) -> Float32:
    out = np.empty((len(power), 4), dtype=np.float32)
    spectrum.spectral_shape(power, 2, RATE / SHORT, out)
    return out


def _our_onsets(log_mel: Float32) -> Float32:
    out = np.empty((len(log_mel) - 1, 1), dtype=np.float32)
    mel.onset_strength(log_mel, np.array([[0, MELS]]), out)
    return out


def _our_crossings(samples: Float32) -> Float32:
    out = np.empty(samples.size // HOP - 1, dtype=np.float32)
    spectrum.zero_crossings(samples[HOP - 1 :], HOP, out)
    return out


def _our_contrast(power: Float32) -> Float32:
    hops = power[: len(power) // HOPS * HOPS].reshape(-1, HOPS, power.shape[1])
    edges = np.round(np.array([24.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, RATE / 2]) * SHORT / RATE).astype(np.int64)
    out = np.empty((len(hops), edges.size - 1), dtype=np.float32)
    for block, contrast in zip(hops, out, strict=True):
        spectrum.spectral_contrast(block, edges, 0.2, contrast)
    return out


def _our_chroma(power: Float32) -> Float32:
    filters = filterbanks.chroma_filters(RATE, LONG, high=5000.0)
    out = np.empty((len(power), 12), dtype=np.float32)
    for row, chroma in zip(power, out, strict=True):
        tonal.chroma(row, filters, chroma)
    return out
