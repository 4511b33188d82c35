"""What a room makes of itself while no music plays: applause, chatter, machines, weather, things that are knocked.

Sound is float32 mono (n,) at 24 kHz, RMS 1; all chance comes from the generator given, so a seed repeats a sound.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

from ..cache import RATE
from .acoustics import Samples, Speech, babble, filtered, hum, pink, reverberate, rms, room_response, white

_CLAP = int(0.06 * RATE)
_CLAPS = 60  # different ones at most: among more nobody can tell
_CROWD = (4, 400)  # people


def level(samples: ArrayLike) -> Samples:
    """Scaled to RMS 1; nothing at all stays nothing."""
    sound = np.asarray(samples, dtype=np.float32)
    power = rms(sound)
    return sound / np.float32(power) if power else sound


def decibels(value: float) -> np.float32:
    """The factor that is so many decibels."""
    return np.float32(10 ** (value / 20))


def applause(n: int, rng: np.random.Generator) -> Samples:
    """A few people to a hall full, each at a pace of their own, some of them shouting, in a room.

    Claps are short bursts through one broad resonance of the hands (Peltola, Erkut, Cook & Valimaki, "Synthesis of hand
    clapping sounds", IEEE TASLP 15(3), 2007).
    """
    people = int(np.exp(rng.uniform(*np.log(_CROWD))))
    claps = [_clap(rng) for _ in range(min(2 * people, _CLAPS))]
    sound = np.zeros(n + _CLAP, dtype=np.float32)
    for _ in range(people):
        period = 1 / rng.uniform(2.0, 5.5)
        times = rng.uniform(0, period) + np.cumsum(
            period * np.maximum(rng.normal(1, 0.12, 4 + int(1.3 * n / RATE / period)), 0.2)
        )
        clap, loudness = claps[int(rng.integers(len(claps)))], decibels(rng.uniform(-14, 0))
        for start in (times[times < n / RATE] * RATE).astype(int):
            sound[start : start + _CLAP] += loudness * np.float32(rng.uniform(0.6, 1.0)) * clap
    sound = level(sound[:n])
    if rng.random() < 0.4:
        shouts = babble(n, rng, None, 8) + level(_band_of_noise(n, rng, 1200, 1.2))
        sound = sound + np.float32(rng.uniform(0.1, 0.8)) * level(shouts)
    sound = sound * _wavering(n, rng, 2.0, 8.0)
    return level(reverberate(sound, room_response(rng, rng.uniform(0.3, 2.5), rng.uniform(-10, 6))))


def _clap(rng: np.random.Generator) -> Samples:
    burst = rng.standard_normal(_CLAP) * np.exp(-np.arange(_CLAP) / RATE / rng.uniform(0.002, 0.012))
    low = rng.uniform(400, 1500)
    edges = (low, min(low * rng.uniform(1.5, 4), 11_000))
    return level(sosfilt(butter(1, edges, "bandpass", fs=RATE, output="sos"), burst) + 0.15 * burst)


def fan(n: int, rng: np.random.Generator) -> Samples:
    """Air through a grille: coloured noise with one broad hump, the blades' tone in it or not."""
    slope, hump = rng.uniform(0.3, 1.5), rng.uniform(100, 1500)
    air = level(
        filtered(white(n, rng), lambda hertz: np.maximum(hertz, 30) ** -slope * (1 + 2 * _bell(hertz, hump, 0.5)))
    )
    time = np.arange(n) / RATE
    air *= 1 + rng.uniform(0, 0.15) * np.sin(2 * np.pi * rng.uniform(0.3, 12) * time)
    return level(air + float(rng.choice([0, 0.1, 0.3])) * _buzz(n, rng, rng.uniform(20, 180)))


def humming(n: int, rng: np.random.Generator) -> Samples:
    """Mains hum over the hiss of amplifiers."""
    return level(hum(n, rng) + decibels(rng.uniform(-30, 0)) * pink(n, rng))


def rain(n: int, rng: np.random.Generator) -> Samples:
    """Drops, a score to thousands a second, over a rush."""
    drops = (rng.random(n) < rng.uniform(20, 2000) / RATE) * rng.exponential(1, n) * rng.choice([-1, 1], n)
    edges = (rng.uniform(500, 1500), rng.uniform(4000, 9000))
    struck = level(sosfilt(butter(1, edges, "bandpass", fs=RATE, output="sos"), drops))
    rush = filtered(white(n, rng), lambda hertz: np.sqrt(np.maximum(hertz, 50)) / (1 + np.square(hertz / 6000)))
    return level(struck + rng.uniform(0.1, 1.5) * level(rush))


def traffic(n: int, rng: np.random.Generator) -> Samples:
    """A street: a far rumble, and every few seconds something that passes."""
    slope = rng.uniform(0.7, 1.2)
    sound = 0.3 * level(filtered(white(n, rng), lambda hertz: np.maximum(hertz, 40) ** -slope)).astype(np.float64)
    time = np.arange(n) / RATE
    for _ in range(max(1, int(n / RATE / rng.uniform(2, 8)))):
        since = (time - rng.uniform(0, n / RATE)) / rng.uniform(0.6, 3)
        near = 1 / (1 + np.square(since))
        engine = _buzz(n, rng, rng.uniform(30, 120) * (1 - 0.12 * np.tanh(since)))  # as Doppler has it
        tyres = level(_band_of_noise(n, rng, 900, 2.0))
        sound += near * (rng.uniform(0.3, 1) * tyres + rng.uniform(0, 0.5) * engine)
    return level(sound)


def clatter(n: int, rng: np.random.Generator) -> Samples:
    """Glasses, cutlery, steps, chairs: at random moments, over the room's own noise."""
    sound = rng.uniform(0.03, 0.1) * pink(n, rng)
    rest, start = rng.uniform(0.08, 0.6), 0
    while (start := start + 1 + int(rng.exponential(rest) * RATE)) < n:
        size = min(int(rng.uniform(0.03, 0.4) * RATE), n - start)
        time = np.arange(size) / RATE
        if rng.random() < 0.5:
            hertz, decay = rng.uniform(1500, 9000, (2, int(rng.integers(3, 9)), 1))
            knock = (np.sin(2 * np.pi * hertz * time) * np.exp(-time * decay / 90)).sum(axis=0)
        else:
            dull = butter(2, rng.uniform(150, 3000), fs=RATE, output="sos")
            knock = sosfilt(dull, rng.standard_normal(size) * np.exp(-time / rng.uniform(0.005, 0.08)))
        sound[start : start + size] += decibels(rng.uniform(-20, 0)) * level(knock)
    return level(reverberate(sound, room_response(rng, rng.uniform(0.2, 1.2), rng.uniform(-3, 10))))


def wind(n: int, rng: np.random.Generator) -> Samples:
    """Gusts on the microphone."""
    edge, gusts = rng.uniform(150, 600), _wavering(n, rng, 0.5, 15.0)
    rumble = filtered(white(n, rng), lambda hertz: 1 / (1 + (hertz / edge) ** 1.5))
    return level(rumble * gusts + 0.2 * _band_of_noise(n, rng, 700, 0.4) * np.square(gusts))


def machine(n: int, rng: np.random.Generator) -> Samples:
    """A compressor, a printer, a projector: knocks at a steady pace, and their fan."""
    knocks = np.diff(np.floor(rng.uniform(3, 40) * np.arange(n) / RATE), prepend=0.0)
    shape = rng.standard_normal(_CLAP) * np.exp(-np.arange(_CLAP) / RATE / 0.004)
    return level(rng.uniform(0.1, 1) * level(oaconvolve(knocks, shape)[:n]) + fan(n, rng))


def hiss(n: int, rng: np.random.Generator) -> Samples:
    """White or pink noise, as a line without a source has it."""
    return level(white(n, rng) if rng.random() < 0.5 else pink(n, rng))


def chatter(n: int, rng: np.random.Generator, speech: Speech | None = None) -> Samples:
    """A crowd that talks, five voices or more: of the recordings ``speech``, or synthesised ones."""
    return babble(n, rng, speech, int(rng.integers(5, 30)))


NOISES: dict[str, Callable[[int, np.random.Generator], Samples]] = {
    function.__name__: function
    for function in (applause, chatter, fan, humming, rain, traffic, clatter, wind, machine, hiss)
}


def _buzz(n: int, rng: np.random.Generator, hertz: float | NDArray[np.float64]) -> Samples:
    """Eight harmonics of a tone that may glide, RMS 1."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, n)) / RATE
    return level(sum(rng.uniform(0, 1) / k * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, 9)))


def _bell(hertz: NDArray[np.float64], centre: float, octaves: float) -> NDArray[np.float64]:
    return np.exp(-np.square(np.log2(np.maximum(hertz, 20) / centre) / octaves))


def _band_of_noise(n: int, rng: np.random.Generator, centre: float, octaves: float) -> Samples:
    return level(filtered(white(n, rng), lambda hertz: _bell(hertz, centre, octaves)))


def _wavering(n: int, rng: np.random.Generator, seconds: float, width: float) -> Samples:
    """A gain (n,) that wanders over ``width`` decibels, a turn every so many seconds."""
    turns = 2 + int(n / RATE / seconds)
    smooth = lfilter([0.5], [1, -0.5], rng.uniform(-width, 0, turns))
    return (10 ** (np.interp(np.arange(n) / RATE / seconds, np.arange(turns), smooth) / 20)).astype(np.float32)
