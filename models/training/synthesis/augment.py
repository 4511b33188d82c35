"""Music as it reaches a live tracker: through codecs, equalisers, rooms, crowds, telephones and cheap microphones.

Every effect takes and gives float32 mono (n,) at 24 kHz, of the same length and aligned in time to within 10 ms, so
that labels stay where they are. All chance comes from the generator given: a seed repeats a sound.
"""

import io
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, correlate, get_window, lfilter, sosfilt

from ...errors import DataError
from ..cache import RATE
from .acoustics import (
    Samples,
    Speech,
    add_noise,
    babble,
    checked,
    filtered,
    hum,
    pink,
    reverberate,
    rms,
    room_response,
    white,
)

# Container and coding of libsndfile, and what else they ask for. Only with a variable rate does the MP3 encoder always
# write the header by which the decoder takes its delay of 46 ms out again.
_CODECS: dict[str, tuple[str, str, str | None]] = {
    "opus": ("OGG", "OPUS", None),
    "vorbis": ("OGG", "VORBIS", None),
    "mp3": ("MP3", "MPEG_LAYER_III", "VARIABLE"),
}
_SHORTEST = RATE // 10  # what the encoders are given at least: some lose shorter sounds
_PORTION = 10 * RATE
_PHONE_RATE = 8_000
_GRAIN = 1_200  # samples: 50 ms
_SLACK = 240  # samples: 10 ms, how far a grain may move to fit the one before: a whole period at 50 Hz


def gain(samples: Samples, decibels: float) -> Samples:
    """Louder or softer; nothing is clipped."""
    return checked(samples) * np.float32(10 ** (decibels / 20))


def tilt(samples: Samples, decibels: float) -> Samples:
    """The spectrum turned about 1 kHz by ``decibels`` a decade, from 20 Hz on."""
    return filtered(
        checked(samples), lambda hertz: np.maximum(hertz, 20.0) ** (decibels / 20) / 1000 ** (decibels / 20)
    )


def peaks(samples: Samples, hertz: NDArray[np.float64], decibels: NDArray[np.float64], octaves: float = 1.0) -> Samples:
    """Boosts and cuts, bells over log frequency: ``decibels[i]`` at ``hertz[i]``, half of it ``octaves`` / 2 off."""
    grid = np.geomspace(10, RATE / 2, 400)
    bells = 0.5 ** np.square(np.log2(grid[:, None] / hertz) / (octaves / 2))
    curve = 10 ** (bells @ decibels / 20)
    return filtered(checked(samples), lambda f: np.interp(f, grid, curve))


def codec(samples: Samples, kind: str, level: float) -> Samples:
    """Encoded and decoded again: ``kind`` is opus, vorbis or mp3.

    ``level``: libsndfile's compression level, 0 (best) to 1 (smallest). At 0.9 each gives about 32 kbit/s, 1 is opus at
    7 kbit/s. DataError if the sound library here lacks the codec.
    """
    if kind not in _CODECS:
        raise DataError(f"no codec {kind!r}: take one of {', '.join(_CODECS)}")
    sound = checked(samples)
    # Encoders clip beyond full scale, as a master in a file never does.
    scale = np.float32(max(1.0, np.abs(sound).max()))
    padded = np.pad(sound / scale, (0, max(0, _SHORTEST - sound.size)))
    container, subtype, mode = _CODECS[kind]
    memory = io.BytesIO()
    try:
        # MP3's highest level is refused: there is no such bit rate.
        with soundfile.SoundFile(
            memory,
            "w",
            RATE,
            1,
            subtype,
            format=container,
            compression_level=min(level, 0.99),
            bitrate_mode=mode,
        ) as file:
            for start in range(0, padded.size, _PORTION):  # Vorbis takes its room for a whole call from the stack
                file.write(padded[start : start + _PORTION])
        memory.seek(0)
        decoded, _ = soundfile.read(memory, dtype="float32")
    except (soundfile.SoundFileError, ValueError) as error:
        raise DataError(f"the sound library cannot encode {kind} ({error}): pip install -U soundfile") from error
    return _fit(np.asarray(decoded, dtype=np.float32), sound.size) * scale


def clip(samples: Samples, share: float, hard: bool = True) -> Samples:
    """The loudest ``share`` (0-1) of all samples cut off flat, or squashed by a tanh that bends there."""
    sound = checked(samples)
    limit = np.quantile(np.abs(sound), 1 - share)
    if not limit:
        return sound.copy()
    return np.clip(sound, -limit, limit) if hard else limit * np.tanh(sound / limit)


def compress(samples: Samples, seconds: float, ratio: float, rate: int = RATE) -> Samples:
    """Dynamics narrowed ``ratio`` : 1 about the clip's own level, by at most 12 dB: an automatic gain control.

    ``seconds``: the time constant of the level that it follows.
    """
    sound = checked(samples)
    level = rms(sound)
    if not level:
        return sound.copy()
    keep = np.exp(-1 / (seconds * rate))
    power, _ = lfilter([1 - keep], [1, -keep], np.square(sound / level, dtype=np.float64), zi=[keep])
    change = np.clip(np.maximum(power, 1e-6) ** (0.5 * (1 / ratio - 1)), 0.25, 4.0)
    return (sound * change).astype(np.float32)


def phone(samples: Samples) -> Samples:
    """A telephone line: 8 kHz, 300-3400 Hz, dynamics narrowed 2 : 1."""
    sound = checked(samples)
    narrow = _band(soxr.resample(sound, RATE, _PHONE_RATE), 300, 3400, _PHONE_RATE)
    if narrow.size:  # a few samples may leave none at the lower rate
        narrow = compress(narrow, 0.1, 2.0, _PHONE_RATE)
    return _fit(soxr.resample(narrow, _PHONE_RATE, RATE), sound.size)


def microphone(samples: Samples, rng: np.random.Generator) -> Samples:
    """A cheap one: 150-7000 Hz, three resonances, its own noise 25-45 dB down, and a slow automatic gain control."""
    hertz = np.exp(rng.uniform(np.log(200), np.log(6000), 3))
    sound = peaks(_band(checked(samples), 150, 7000), hertz, rng.uniform(-6, 9, 3), 0.7)
    sound = add_noise(sound, _band(white(sound.size, rng), 150, 7000), rng.uniform(25, 45))
    return compress(sound, rng.uniform(0.3, 2.0), rng.uniform(1.5, 4.0))


def pitch_shift(samples: Samples, semitones: float) -> Samples:
    """Higher or lower at the same tempo, by at most one semitone.

    Resampled, then brought back to its length by WSOLA (Verhelst & Roelands, 1993): onsets stay within 10 ms.
    """
    if not -1 <= semitones <= 1:
        raise DataError(f"the pitch may be shifted by at most one semitone, not {semitones:g}")
    sound = checked(samples)
    factor = 2 ** (semitones / 12)
    played = soxr.resample(sound, RATE * factor, RATE)
    margin = _GRAIN + _SLACK
    source = np.pad(played, (margin, 3 * margin))
    squares = np.concatenate([[0.0], np.cumsum(np.square(source, dtype=np.float64))])
    window = get_window("hann", 2 * _GRAIN).astype(np.float32)
    grains = sound.size // _GRAIN + 2
    result = np.zeros((grains + 1) * _GRAIN, dtype=np.float32)
    chosen = margin - _GRAIN
    for grain in range(grains):
        if grain:
            first = min(round(grain * _GRAIN / factor), played.size) + margin - _GRAIN - _SLACK
            goal = source[chosen + _GRAIN : chosen + 3 * _GRAIN]  # how the last grain would go on
            zone = source[first : first + 2 * (_GRAIN + _SLACK)]
            energy = squares[first + 2 * _GRAIN :][: 2 * _SLACK + 1] - squares[first:][: 2 * _SLACK + 1]
            match = correlate(zone, goal, "valid", "fft") / np.sqrt(np.maximum(energy, 1e-12))
            chosen = first + int(np.argmax(match))
        result[grain * _GRAIN :][: 2 * _GRAIN] += window * source[chosen : chosen + 2 * _GRAIN]
    return result[_GRAIN:][: sound.size]


def random_augmentation(rng: np.random.Generator, samples: Samples, speech: Speech | None = None) -> Samples:
    """One way that a clip might have come: file, mixing desk, room, crowd, microphone, input level, in this order.

    Each step is left out at random; a quarter of the clips keep all but their level. ``speech``: recordings for the
    crowd, synthesised voices without them. DataError if ``samples`` are empty, not mono or not finite.
    """
    sound = checked(samples)
    if rng.random() < 0.75:
        if rng.random() < 0.3:
            sound = pitch_shift(sound, rng.uniform(-1, 1))
        if rng.random() < 0.2:
            sound = codec(sound, str(rng.choice(list(_CODECS), p=[0.2, 0.3, 0.5])), rng.uniform(0.5, 0.95))
        if rng.random() < 0.5:
            sound = tilt(sound, rng.uniform(-6, 6))
        if rng.random() < 0.3:
            count = rng.integers(1, 4)
            sound = peaks(sound, np.exp(rng.uniform(np.log(80), np.log(8000), count)), rng.uniform(-9, 9, count))
        if rng.random() < 0.4:
            sound = reverberate(sound, room_response(rng, rng.uniform(0.2, 1.5), rng.uniform(-3, 12)))
        if rng.random() < 0.4:
            sound = add_noise(sound, _random_noise(rng, sound.size, speech), rng.uniform(0, 30))
        device = rng.random()
        if device < 0.08:
            sound = phone(sound)
        elif device < 0.25:
            sound = microphone(sound, rng)
        if rng.random() < 0.15:
            sound = clip(sound, 10 ** rng.uniform(-3.5, -1.3), bool(rng.random() < 0.5))
    return gain(sound, rng.uniform(-30, 12))


def _random_noise(rng: np.random.Generator, n: int, speech: Speech | None) -> Samples:
    kind = rng.random()
    if kind < 0.5:
        return babble(n, rng, speech, int(rng.integers(1, 8)))
    if kind < 0.75:
        return pink(n, rng)
    return white(n, rng) if kind < 0.85 else hum(n, rng)


def _crowd_at_10_db(samples: Samples, rng: np.random.Generator) -> Samples:
    sound = checked(samples)
    return add_noise(sound, pink(sound.size, rng) + babble(sound.size, rng), 10.0)


# The conditions under which accuracy is reported.
CONDITIONS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "gain": lambda samples, _: gain(samples, -20.0),
    "noise 10 dB": _crowd_at_10_db,
    "room": lambda samples, rng: reverberate(samples, room_response(rng, 0.8)),
    "phone band": lambda samples, _: phone(samples),
}


def under(condition: str, samples: Samples, rng: np.random.Generator) -> Samples:
    """``samples`` under one of ``CONDITIONS``; DataError names them all if there is no such one."""
    if condition not in CONDITIONS:
        raise DataError(f"no condition {condition!r}: take one of {', '.join(CONDITIONS)}")
    return CONDITIONS[condition](samples, rng)


def _band(samples: Samples, low: float, high: float, rate: int = RATE) -> Samples:
    if not samples.size:
        return samples
    return sosfilt(butter(4, (low, high), "bandpass", fs=rate, output="sos"), samples).astype(np.float32)


def _fit(samples: Samples, n: int) -> Samples:
    """Cut, or filled with silence, to (n,)."""
    return np.pad(samples[:n], (0, max(0, n - samples.size)))
