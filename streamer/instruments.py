"""The band that plays the demo piece: additive, plucked (Karplus-Strong), FM and noise voices, and a room."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Sound = NDArray[np.float64]


class Band:
    """Places notes on a track of ``seconds`` at ``rate``; times in seconds, pitches as MIDI numbers (A4 = 69)."""

    def __init__(self, rate: int, seconds: float, chance: Generator) -> None:
        self.chance = chance
        self._rate = rate
        self._track = np.zeros(round(seconds * rate))

    def mix(self, reverb: float) -> Sound:
        """The track with ``reverb`` (0..1) of a room of about two seconds, cut to its length, without offset."""
        seconds = 2.0
        t = self._time(seconds)
        room = self.chance.standard_normal(len(t)) * np.exp(-6.9 * t / seconds) * np.minimum(t / 0.01, 1.0)
        room = _lowpass(room, 4000 / self._rate)
        room /= np.sqrt(np.sum(room**2))
        size = 1 << (len(self._track) + len(room)).bit_length()
        wet = np.fft.irfft(np.fft.rfft(self._track, size) * np.fft.rfft(room, size), size)[: len(self._track)]
        sound = (1 - reverb) * self._track + reverb * wet
        return sound - np.mean(sound)

    def struck(self, at: float, pitch: float, seconds: float, gain: float, soft: bool = False) -> None:
        """A piano-like note: high partials die first."""
        t = self._time(seconds + 0.15)
        frequency = _hertz(pitch)
        weights = self._partials(frequency, 5, 2.0) if soft else self._partials(frequency, 12, 1.1)
        sound = _harmonics(2 * np.pi * frequency * t, weights, np.exp(-1.2 * t))
        self._place(at, gain * sound * np.exp(-1.2 * t) * self._envelope(len(t), 0.02 if soft else 0.003, 0.15))

    def bowed(
        self,
        at: float,
        pitch: float,
        seconds: float,
        gain: float,
        attack: float,
        vibrato: float = 0.002,
        tremolo: float = 0.0,
    ) -> None:
        """A string section: two players a little apart, with vibrato (share of the frequency) and tremolo (Hz)."""
        t = self._time(seconds)
        sound = np.zeros(len(t))
        for detune in (0.9985, 1.0015):
            frequency = _hertz(pitch) * detune
            wander = vibrato * frequency / 5.2 * (1 - np.cos(2 * np.pi * 5.2 * t + detune * 400))
            weights = self._partials(frequency, 14, 1.0) if tremolo else self._partials(frequency, 8, 1.8)
            sound += _harmonics(2 * np.pi * frequency * t + wander, weights)
        if tremolo:
            sound *= 0.65 + 0.35 * np.sign(np.sin(2 * np.pi * tremolo * t))
        self._place(at, gain / 2 * sound * self._envelope(len(t), attack, min(0.5, seconds / 3)))

    def pad(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """Three soft voices that beat slowly against each other."""
        t = self._time(seconds)
        sound = np.zeros(len(t))
        for detune in (0.998, 1.0, 1.002):
            phase = 2 * np.pi * _hertz(pitch) * detune * t + self.chance.uniform(0, 2 * np.pi)
            sound += _harmonics(phase, np.array([1.0, 0.25, 0.06]))
        self._place(at, gain / 3 * sound * self._envelope(len(t), seconds * 0.35, seconds * 0.35))

    def bell(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """Frequency modulation at an inharmonic ratio, as in Chowning's bells."""
        t = self._time(seconds)
        phase = 2 * np.pi * _hertz(pitch) * t
        sound = np.sin(phase + 1.2 * np.exp(-4 * t) * np.sin(3.51 * phase)) * np.exp(-2 * t)
        self._place(at, gain * sound * self._envelope(len(t), 0.004, 0.2))

    def bass(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """A short round bass."""
        t = self._time(seconds)
        phase = 2 * np.pi * _hertz(pitch) * t
        sound = np.tanh(1.5 * _harmonics(phase, np.array([1.0, 0.5, 0.2])))
        self._place(at, gain * sound * np.exp(-3 * t) * self._envelope(len(t), 0.004, 0.04))

    def pluck(self, at: float, pitch: float, seconds: float, gain: float, soft: bool = False) -> None:
        """A plucked string: noise in a loop of one period, averaged at every turn (Karplus & Strong, 1983)."""
        frequency = _hertz(pitch)
        period = max(int(self._rate / frequency), 2)
        loop = self.chance.uniform(-1, 1, period)
        if soft:
            for _ in range(4):
                loop = (loop + np.roll(loop, 1)) / 2
            loop *= 0.6 / max(np.max(np.abs(loop)), 1e-9)
        loop -= np.mean(loop)
        length = round(seconds * self._rate)
        turns = np.empty((length // period + 3, period))
        for turn in turns:
            turn[:] = loop
            loop = 0.498 * (loop + np.concatenate([loop[-1:], loop[:-1]]))
        # The average delays by half a sample a turn, and a period is a whole number: read at the speed that tunes it.
        step = frequency * (period + 0.5) / self._rate
        reading = np.arange(length) * step
        string = turns.ravel()
        reading = reading[reading < len(string) - 1]
        sound = np.interp(reading, np.arange(len(string)), string)
        self._place(at, gain * sound * self._envelope(len(sound), 0.002, min(0.15, seconds / 3)))

    def distorted(self, at: float, pitches: tuple[int, ...], seconds: float, gain: float) -> None:
        """An overdriven guitar: saws added before the clipping, so that they grind against each other."""
        t = self._time(seconds)
        sound = np.zeros(len(t))
        for pitch in pitches:
            for detune in (0.996, 1.004):
                turn = _hertz(pitch) * detune * t + detune * 30
                sound += 2 * (turn - np.floor(turn)) - 1
        sound = np.tanh(3.0 * _lowpass(np.tanh(2.5 * sound), 5000 / self._rate))
        self._place(at, gain * sound * np.exp(-2 * t) * self._envelope(len(t), 0.003, 0.02))

    def kick(self, at: float, gain: float) -> None:
        """A bass drum: a sine that falls from 150 to 45 Hz."""
        t = self._time(0.3)
        phase = 2 * np.pi * (45 * t + 105 / 28 * (1 - np.exp(-28 * t)))
        self._place(at, gain * np.sin(phase) * np.exp(-11 * t) * self._envelope(len(t), 0.001, 0.05))

    def snare(self, at: float, gain: float) -> None:
        """A snare drum: noise over a short tone."""
        t = self._time(0.22)
        noise = self.chance.standard_normal(len(t)) * np.exp(-18 * t)
        tone = np.sin(2 * np.pi * 190 * t) * np.exp(-25 * t)
        self._place(at, gain * (0.4 * noise + 0.6 * tone) * self._envelope(len(t), 0.001, 0.03))

    def hat(self, at: float, gain: float) -> None:
        """A closed cymbal: the top of a noise."""
        t = self._time(0.07)
        noise = np.diff(self.chance.standard_normal(len(t) + 2), n=2) / 2
        self._place(at, gain * noise * np.exp(-60 * t) * self._envelope(len(t), 0.001, 0.01))

    def _place(self, at: float, sound: Sound) -> None:
        start = round(at * self._rate)
        sound = sound[max(-start, 0) :]
        start = max(start, 0)
        part = self._track[start : start + len(sound)]
        part += sound[: len(part)]

    def _time(self, seconds: float) -> Sound:
        return np.arange(round(seconds * self._rate)) / self._rate

    def _partials(self, frequency: float, most: int, fall: float) -> Sound:
        """Weights 1 / k**fall of the partials below the Nyquist frequency."""
        return np.arange(1.0, 1 + min(most, int(0.45 * self._rate / frequency))) ** -fall

    def _envelope(self, length: int, attack: float, release: float) -> Sound:
        rise, fall = round(attack * self._rate), round(release * self._rate)
        k = np.arange(length)
        return np.clip(k / max(rise, 1), 0, 1) * np.clip((length - 1 - k) / max(fall, 1), 0, 1)


def _harmonics(phase: Sound, weights: Sound, damping: Sound | float = 1.0) -> Sound:
    """Sum over k of weights[k - 1] * damping**k * sin(k * phase), by Chebyshev's recurrence."""
    before, now = np.zeros(len(phase)), damping * np.sin(phase)
    turn, shrink = 2 * damping * np.cos(phase), damping**2
    sound = weights[0] * now
    for weight in weights[1:]:
        before, now = now, turn * now - shrink * before
        sound += weight * now
    return sound


def _hertz(pitch: float) -> float:
    return 440.0 * 2 ** ((pitch - 69) / 12)


def _lowpass(sound: Sound, cutoff: float) -> Sound:
    """Gaussian smoothing that is 3 dB down at ``cutoff`` cycles per sample."""
    sigma = 0.1325 / cutoff
    reach = max(int(4 * sigma), 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    if len(sound) <= len(kernel):
        return sound
    return np.convolve(sound, kernel / np.sum(kernel), mode="same").astype(np.float64)
