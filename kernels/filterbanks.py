"""The constant tables that the loops read: mel triangles, the DCT, chroma filters, an FFT's twiddles."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct as _dct

Float32 = NDArray[np.float32]


def mel_scale(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, dtype=np.float64)
    return np.where(hz < 1000.0, hz * 3 / 200, 15.0 + 27.0 * np.log(np.maximum(hz, 1.0) / 1000.0) / np.log(6.4))


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of :func:`mel_scale`."""
    return np.where(mel < 15.0, mel * 200 / 3, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


def mel_triangles(
    rate: float, fft_size: int, bands: int, low: float, high: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float32]:
    """Area-normalised mel triangles, stored end to end: (first bin (bands,), offset (bands + 1,), weights).

    The same filters as librosa's default (Slaney scale and norm) between ``low`` and ``high`` Hz.
    """
    hz = np.fft.rfftfreq(fft_size, 1 / rate)
    corners = mel_to_hz(np.linspace(mel_scale(low), mel_scale(high), bands + 2))
    first = np.zeros(bands, dtype=np.int64)
    offset = np.zeros(bands + 1, dtype=np.int64)
    pieces = []
    for b in range(bands):
        left, centre, right = corners[b : b + 3]
        triangle = np.maximum(0.0, np.minimum((hz - left) / (centre - left), (right - hz) / (right - centre)))
        inside = np.flatnonzero(triangle)
        if inside.size == 0:
            raise ValueError(f"mel band {b} holds no bin: fewer bands, or a longer FFT")
        first[b] = inside[0]
        piece = triangle[inside[0] : inside[-1] + 1] * 2.0 / (right - left)
        pieces.append(piece)
        offset[b + 1] = offset[b] + piece.size
    return first, offset, np.concatenate(pieces).astype(np.float32)


def dct_matrix(bands: int, coefficients: int) -> Float32:
    """Orthonormal DCT-II as a matrix (bands, coefficients): cepstrum = log_mel @ matrix."""
    return np.ascontiguousarray(_dct(np.eye(bands), type=2, norm="ortho", axis=1)[:, :coefficients], dtype=np.float32)


def chroma_filters(
    rate: float, fft_size: int, *, high: float, centre_octave: float = 5.0, octave_width: float = 2.0
) -> Float32:
    """Weights of each FFT bin in each pitch class (C first): (12, bins up to ``high`` Hz).

    A Gaussian bump of a semitone around each pitch class, columns of unit length, and a Gaussian over octaves that
    favours the middle of the range (Ellis, "Chroma feature analysis and synthesis", 2007); A = 440 Hz.
    """
    bins = int(high * fft_size / rate) + 1
    hz = np.arange(1, fft_size) * rate / fft_size
    octaves = np.log2(hz / (440.0 / 16))
    # Bin 0 has no pitch: set it an octave and a half below bin 1, where the octave weight all but removes it.
    pitch = 12 * np.concatenate([[octaves[0] - 1.5], octaves])
    width = np.concatenate([np.maximum(np.diff(pitch), 1.0), [1.0]])
    distance = np.remainder(pitch[None, :] - np.arange(12.0)[:, None] + 6 + 120, 12) - 6
    weights = np.exp(-0.5 * (2 * distance / width) ** 2)
    weights /= np.sqrt(np.sum(weights**2, axis=0, keepdims=True))
    weights *= np.exp(-0.5 * ((pitch / 12 - centre_octave) / octave_width) ** 2)
    return np.ascontiguousarray(np.roll(weights, -3, axis=0)[:, :bins], dtype=np.float32)


def twiddles(fft_size: int) -> NDArray[np.complex64]:
    """``exp(-2 pi i r k / fft_size)`` for quarters r = 1, 2, 3 and k up to an eighth of the size: (3, size / 8 + 1)."""
    turns = np.outer(np.arange(1, 4), np.arange(fft_size // 8 + 1)) / fft_size
    return np.exp(-2j * np.pi * turns).astype(np.complex64)
