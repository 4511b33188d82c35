"""What a place adds to music on its way to a microphone: the room's reverberation, noise, hum and people talking.

Sound is float32 mono (n,) at 24 kHz; all chance comes from the generator given, so a seed repeats a sound.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import butter, istft, oaconvolve, sosfilt, stft

from ...errors import DataError
from ..cache import RATE

Samples: TypeAlias = NDArray[np.float32]
Speech: TypeAlias = Sequence[Samples]  # recordings of people talking, each float32 mono (n,) at 24 kHz

# RT60 of each octave (Hz) beside that of 1 kHz: the air and soft furnishings take the treble first.
_DECAY = {125: 1.2, 250: 1.1, 500: 1.05, 1000: 1.0, 2000: 0.9, 4000: 0.75, 8000: 0.55}
_EARLY = 0.05  # s: until then single reflections are heard, from then on a diffuse tail
_REFLECTIONS = 14
_VOICE = 6 * RATE  # samples: a voice begins again after so long: among others nobody can tell
# Lowest and highest centre (Hz), half the width (Hz), level: the chest, three formants, and the hiss of consonants.
_FORMANTS = (
    (100, 250, 120, 1.3),
    (300, 800, 80, 1.0),
    (900, 2300, 120, 0.33),
    (2400, 3100, 180, 0.12),
    (5000, 7000, 1500, 0.05),
)


def checked(samples: ArrayLike) -> Samples:
    """Float32 (n,). DataError for what is not mono, holds no sample, or holds one that is not a finite number."""
    sound = np.asarray(samples, dtype=np.float32)
    if sound.ndim != 1 or not sound.size:
        raise DataError(f"sound to be altered must be mono, (n,) with n > 0, not of shape {sound.shape}")
    if not np.all(np.isfinite(sound)):
        raise DataError("sound to be altered holds samples that are not finite numbers")
    return sound


def rms(samples: ArrayLike) -> float:
    """Root mean square, 1 for a square wave at full scale."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def filtered(samples: Samples, gain: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Samples:
    """``samples`` with each frequency multiplied by ``gain(Hz)``, at zero phase: nothing moves in time."""
    size = next_fast_len(samples.size + RATE // 2, real=True)  # so that the end does not wrap to the start
    spectrum = rfft(samples, size)
    spectrum *= gain(rfftfreq(size, 1 / RATE)).astype(np.float32)
    return irfft(spectrum, size)[: samples.size].astype(np.float32, copy=False)


def room_response(rng: np.random.Generator, rt60: float, direct_db: float = 0.0) -> Samples:
    """The impulse response of a random room, float32 (1.2 rt60 * 24,000,), its direct sound 1 at index 0.

    Single reflections for 50 ms, then noise that decays exponentially in each octave (Moorer, "About this
    reverberation business", 1979). ``rt60``: seconds to -60 dB at 1 kHz, 0.1-3, longer below and shorter above;
    ``direct_db``: energy of the direct sound beside all the rest.
    """
    if not 0.1 <= rt60 <= 3.0:
        raise DataError(f"a room's RT60 must be 0.1-3 s, not {rt60:g}")
    time = np.arange(int(max(_DECAY.values()) * rt60 * RATE)) / RATE
    white = rng.standard_normal(time.size)
    late = np.zeros(time.size)
    for octave, share in _DECAY.items():
        edges = (octave / np.sqrt(2), octave * np.sqrt(2))
        late += sosfilt(butter(2, edges, "bandpass", fs=RATE, output="sos"), white) * 10 ** (-3 * time / (share * rt60))
    rise = np.minimum(1.0, time / _EARLY)
    before = np.sum(np.square(late) * (1 - rise**2))
    late *= rise
    # The reflections hold the energy that the rise took, later ones less, as in a tail of the same decay.
    arrival = rng.integers(int(0.002 * RATE), int(_EARLY * RATE), _REFLECTIONS)
    level = rng.normal(size=_REFLECTIONS) * 10 ** (-3 * time[arrival] / rt60) * (1 - rise[arrival] ** 2)
    np.add.at(late, arrival, level * np.sqrt(before / np.sum(level**2)))
    late *= np.sqrt(10 ** (-direct_db / 10) / np.sum(late**2))
    late[0] += 1.0
    return late.astype(np.float32)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """``samples`` in the room of ``response``, at the same energy; the reverberation after the end is cut off."""
    sound = checked(samples)
    wet = np.asarray(oaconvolve(sound, response)[: sound.size], dtype=np.float32)
    level = rms(wet)
    return wet * np.float32(rms(sound) / level) if level else wet


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """``samples`` plus ``noise`` (n,), their powers over the whole clip ``snr_db`` decibels apart."""
    sound = checked(samples).copy()
    level = rms(noise)
    if level:
        sound += noise * np.float32(rms(sound) / level * 10 ** (-snr_db / 20))
    return sound


def white(n: int, rng: np.random.Generator) -> Samples:
    """White noise (n,), RMS about 1."""
    return rng.standard_normal(n, dtype=np.float32)


def pink(n: int, rng: np.random.Generator) -> Samples:
    """Noise (n,) of equal power in each octave above 20 Hz, RMS 1."""
    return _normal(filtered(white(n, rng), lambda hertz: 1 / np.sqrt(np.maximum(hertz, 20.0))))


def hum(n: int, rng: np.random.Generator) -> Samples:
    """Mains hum (n,) of 50 or 60 Hz and its harmonics to 1 kHz, falling by 6-12 dB an octave, RMS 1."""
    period = RATE // int(rng.choice([50, 60]))
    harmonics = np.arange(1, 17)
    level = harmonics ** -rng.uniform(1.0, 2.0) * rng.uniform(0.2, 1.0, harmonics.size)
    cycles = harmonics[:, None] * np.arange(period) / period + rng.random((harmonics.size, 1))
    return _normal(np.resize(level @ np.sin(2 * np.pi * cycles), n).astype(np.float32))


def babble(n: int, rng: np.random.Generator, speech: Speech | None = None, talkers: int = 6) -> Samples:
    """A crowd's chatter (n,), RMS 1: ``talkers`` voices at random levels within 6 dB.

    Each is one of the recordings ``speech`` from a random moment on; without them it is synthesised: pulses of a
    gliding pitch and some breath through formants that move from syllable to syllable, with pauses.
    """
    crowd = np.zeros(n, dtype=np.float32)
    for _ in range(talkers):
        voice = checked(speech[int(rng.integers(len(speech)))]) if speech else _voice(min(max(n, RATE), _VOICE), rng)
        voice = np.resize(np.roll(voice, -int(rng.integers(voice.size))), n)
        crowd += _normal(voice) * np.float32(10 ** (rng.uniform(-6, 0) / 20))
    return _normal(crowd)


def _voice(n: int, rng: np.random.Generator) -> Samples:
    """One talker (n,), at a level of its own."""
    marks = np.cumsum(rng.uniform(0.06, 0.2, 1 + int(n / RATE / 0.06)))  # syllables, with the gaps between them
    syllables = np.arange(marks.size) % 2 == 0
    loudness = np.where(syllables, rng.uniform(0.3, 1.0, marks.size) * (rng.random(marks.size) > 0.2), 0.05)
    pitch = rng.uniform(90, 230) * 2 ** rng.normal(0, 0.15, marks.size)
    time = np.arange(n) / RATE
    pulses = np.diff(np.floor(np.cumsum(np.interp(time, marks, pitch)) / RATE), prepend=0.0)
    source = (pulses + 0.03 * rng.standard_normal(n)).astype(np.float32)
    hertz, at, spectrum = stft(source, RATE, nperseg=1024, noverlap=512)
    shape = np.zeros(spectrum.shape)
    for low, high, width, level in _FORMANTS:
        centre = np.interp(at, marks, rng.uniform(low, high, marks.size))
        shape += level / (1 + np.square((hertz[:, None] - centre) / width))
    shape *= np.interp(at, marks, loudness) * (hertz[:, None] > 70)
    _, voice = istft(spectrum * shape.astype(np.float32), RATE, nperseg=1024, noverlap=512)
    return np.resize(voice, n).astype(np.float32)


def _normal(samples: Samples) -> Samples:
    level = rms(samples)
    return samples / np.float32(level) if level else samples
