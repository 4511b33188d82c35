"""The synthesizer of the demo piece: plucked strings (Karplus-Strong), wavetables, bells, drums, and a reverb.

Each voice has what a bare oscillator lacks: a hammer, a breath, a bow, two strings that beat.
"""

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Sound = NDArray[np.float64]

_TABLE = 8192  # points of one period
# The first three formants of sung vowels, Hz: rounded from Peterson & Barney, "Control methods used in a study of the
# vowels", JASA 24(2), 1952.
_VOWELS = {
    "a": (750, 1200, 2600),
    "o": (500, 850, 2500),
    "u": (320, 800, 2300),
    "e": (520, 1850, 2500),
    "i": (290, 2250, 3000),
}


class Synthesizer:
    """Places notes on a track of ``seconds`` at ``rate``; times in seconds, pitches as MIDI numbers (A4 = 69).

    Parameters
    ----------
    rate : samples per second.
    seconds : length of the track.
    chance : the source of all random numbers.
    """

    def __init__(self, rate: int, seconds: float, chance: RandomState) -> None:
        self.chance = chance
        self._rate = rate
        self._track = np.zeros(round(seconds * rate))
        self._strings: dict[tuple[float, float], Sound] = {}

    def mix(self, reverb: float, air: float, drive: float) -> Sound:
        """Mix the track.

        Parameters
        ----------
        reverb : 0..1, the share of a reverb of about two seconds.
        air : background noise relative to the music (ratio of root mean squares).
        drive : tape saturation: 0 leaves the sound as it is.

        Returns
        -------
        ndarray
            The track, of root mean square 1, without offset.
        """
        seconds = 2.2
        t = self._time(seconds)
        impulse = self.chance.standard_normal(len(t)) * np.exp(-6.9 * t / seconds) * np.minimum(t / 0.01, 1.0)
        impulse = _lowpass(impulse, 4000 / self._rate)
        impulse /= np.sqrt(np.sum(impulse**2))
        size = 1 << (len(self._track) + len(impulse)).bit_length()
        wet = np.fft.irfft(np.fft.rfft(self._track, size) * np.fft.rfft(impulse, size), size)[: len(self._track)]
        sound = (1 - reverb) * self._track + reverb * wet
        sound /= _level(sound)
        noise = self.chance.standard_normal(len(sound))
        noise = 0.04 * noise + _lowpass(noise, 1500 / self._rate) + 2 * _lowpass(noise, 200 / self._rate)
        sound += air / _level(noise) * noise
        if drive:
            sound = np.tanh(drive * sound)
        sound -= np.mean(sound)
        return sound / _level(sound)

    def struck(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """A soft piano: a felted hammer, two slightly detuned strings, whose high partials decay first."""
        t = self._time(seconds + 0.2)
        frequency = _hertz(pitch)
        sound = np.zeros(len(t))
        for detune in (0.9996, 1.0004):
            turns = frequency * detune * t
            bright = _wave(turns, self._partials(frequency, 18, 1.6))
            sound += bright * np.exp(-4.0 * t) + _wave(turns, self._partials(frequency, 6, 1.6)) * np.exp(-0.9 * t)
        hammer = 0.5 * self._burst(0.03, 2500)
        sound[: len(hammer)] += hammer
        self._place(at, gain / 2 * sound * self._envelope(len(t), 0.006, 0.2))

    def bowed(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """Two slightly detuned string players with a slow attack and vibrato, and the noise of the bow."""
        t = self._time(seconds)
        frequency = _hertz(pitch)
        envelope = self._envelope(len(t), 1.0, min(0.5, seconds / 3))
        sound = 0.08 * self._noise(seconds, 3500)
        for detune in (0.9985, 1.0015):
            bend = 0.003 / (2 * np.pi * 5.3) * np.sin(2 * np.pi * 5.3 * t + 900 * detune) * np.minimum(t / 0.7, 1)
            sound += _wave(frequency * detune * (t + bend), self._partials(frequency, 24, 1.5))
        self._place(at, gain / 2 * sound * envelope)

    def sung(
        self, at: float, pitch: float, seconds: float, gain: float, vowels: str = "oa", rough: float = 0.0
    ) -> None:
        """A voice that goes from one vowel to another ("aeiou"), after a breathy consonant.

        ``rough`` (0..1) adds roughness, up to a scream.
        """
        t = self._time(seconds)
        frequency = _hertz(pitch)
        scoop = 0.02 * 0.04 * (np.exp(-t / 0.04) - 1)  # from 2 % below
        vibrato = 0.006 / (2 * np.pi * 5.7) * np.sin(2 * np.pi * 5.7 * t) * np.minimum(t / 0.5, 1)
        turns = frequency * (t + scoop + vibrato)
        partials = np.arange(1.0, 1 + int(min(0.45 * self._rate, 6000) / frequency))
        first, last = (_wave(turns, _vowel(partials * frequency, name) / partials**0.5) for name in vowels)
        mouth = np.clip(t / seconds * 1.6 - 0.3, 0, 1)
        sound = (1 - mouth) * first + mouth * last
        if rough:
            sound *= 1 + rough * np.sign(np.sin(np.pi * turns + 2 * self._noise(seconds, 200)))
            sound = np.tanh((1 + 5 * rough) * sound)
        sound += (0.06 + rough) * self._noise(seconds, 5000 if rough else 2000)
        consonant = self._burst(0.07, 9000 if rough else 4000)
        sound[: len(consonant)] += 0.6 * consonant[: len(sound)]
        self._place(at, gain * sound * self._envelope(len(t), 0.02, min(0.12, seconds / 3)))

    def brass(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """A section of two: bright at the attack, rounder after it."""
        t = self._time(seconds)
        frequency = _hertz(pitch)
        sound = 0.05 * self._noise(seconds, 4000)
        for detune in (0.998, 1.002):
            turns = frequency * detune * t
            sound += _wave(turns, self._partials(frequency, 24, 0.8)) * (0.5 + 0.5 * np.exp(-6 * t))
        self._place(at, gain / 2 * sound * self._envelope(len(t), 0.025, min(0.06, seconds / 3)))

    def pad(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """Three soft voices that beat slowly against each other."""
        t = self._time(seconds)
        sound = np.zeros(len(t))
        for detune in (0.998, 1.0, 1.002):
            turns = _hertz(pitch) * detune * t + self.chance.uniform()
            sound += _wave(turns, self._partials(_hertz(pitch), 10, 1.8))
        self._place(at, gain / 3 * sound * self._envelope(len(t), seconds * 0.2, seconds * 0.4))

    def bell(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """Frequency modulation at an inharmonic ratio, as in Chowning's bells."""
        t = self._time(seconds)
        phase = 2 * np.pi * _hertz(pitch) * t
        sound = np.sin(phase + 1.2 * np.exp(-4 * t) * np.sin(3.51 * phase)) * np.exp(-2 * t)
        self._place(at, gain * sound * self._envelope(len(t), 0.004, 0.2))

    def bass(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """A round electric bass."""
        t = self._time(seconds)
        frequency = _hertz(pitch)
        sound = np.tanh(1.5 * _wave(frequency * t, self._partials(frequency, 10, 1.2)))
        self._place(at, gain * sound * np.exp(-1.5 * t) * self._envelope(len(t), 0.005, 0.04))

    def pluck(self, at: float, pitch: float, seconds: float, gain: float) -> None:
        """A plucked string: noise in a loop of one period, averaged in every cycle (Karplus & Strong, 1983)."""
        key = (pitch, seconds)
        if key not in self._strings:
            self._strings[key] = self._string(_hertz(pitch), seconds)
        self._place(at, gain * self._strings[key])

    def strum(self, at: float, pitches: tuple[int, ...], seconds: float, gain: float, up: bool = False) -> None:
        """A guitar chord, string after string."""
        for turn, pitch in enumerate(reversed(pitches) if up else pitches):
            self.pluck(at + 0.009 * turn, pitch, seconds, gain)

    def distorted(self, at: float, pitches: tuple[int, ...], seconds: float, gain: float, muted: bool = False) -> None:
        """An overdriven guitar: saws added before the clipping, so that they grind against each other."""
        t = self._time(seconds)
        sound = 0.05 * self.chance.standard_normal(len(t))
        for pitch in pitches:
            for detune in (0.996, 1.004):
                turn = _hertz(pitch) * detune * t + self.chance.uniform()
                sound += 2 * (turn - np.floor(turn)) - 1
        if muted:  # by the palm: dull and short
            sound *= np.exp(-9 * t)
        sound = np.tanh(3.0 * _lowpass(np.tanh(2.5 * sound), 3800 / self._rate))
        self._place(at, gain * sound * self._envelope(len(t), 0.003, 0.02))

    def kick(self, at: float, gain: float) -> None:
        """A bass drum: a sine that falls from 150 to 45 Hz, and the beater's click."""
        t = self._time(0.3)
        phase = 2 * np.pi * (45 * t + 105 / 28 * (1 - np.exp(-28 * t)))
        sound = np.sin(phase) * np.exp(-11 * t)
        click = 0.5 * self._burst(0.02, 5000)
        sound[: len(click)] += click
        self._place(at, gain * sound * self._envelope(len(t), 0.001, 0.05))

    def snare(self, at: float, gain: float, decay: float = 18.0) -> None:
        """A snare drum: noise over a short tone."""
        t = self._time(0.25)
        noise = self.chance.standard_normal(len(t)) * np.exp(-decay * t)
        tone = np.sin(2 * np.pi * 190 * t) * np.exp(-25 * t)
        self._place(at, gain * (0.4 * noise + 0.6 * tone) * self._envelope(len(t), 0.001, 0.03))

    def clap(self, at: float, gain: float) -> None:
        """Some hands, not quite together."""
        for late in (0.0, 0.011, 0.021, 0.03):
            self._place(at + late, gain * self._burst(0.12, 3000))

    def cymbal(self, at: float, gain: float, decay: float = 60.0) -> None:
        """The top of a noise: a closed cymbal at a decay of 60 a second, an open one at 10, a crash at 3."""
        t = self._time(min(5 / decay, 1.6))
        noise = np.diff(self.chance.standard_normal(len(t) + 2), n=2) / 2
        self._place(at, gain * noise * np.exp(-decay * t) * self._envelope(len(t), 0.001, 0.01))

    def _string(self, frequency: float, seconds: float) -> Sound:
        period = max(int(self._rate / frequency), 2)
        loop = self.chance.uniform(-1, 1, period)
        loop -= np.mean(loop)
        length = round(seconds * self._rate)
        turns = np.empty((length // period + 3, period))
        for turn in turns:
            turn[:] = loop
            loop = 0.498 * (loop + np.concatenate([loop[-1:], loop[:-1]]))
        # The average delays by half a sample a cycle, and a period is a whole number: resample to the right pitch.
        step = frequency * (period + 0.5) / self._rate
        reading = np.arange(length) * step
        string = turns.ravel()
        reading = reading[reading < len(string) - 1]
        sound = np.interp(reading, np.arange(len(string)), string)
        return sound * self._envelope(len(sound), 0.002, min(0.15, seconds / 3))

    def _place(self, at: float, sound: Sound) -> None:
        start = round(at * self._rate)
        sound = sound[max(-start, 0) :]
        start = max(start, 0)
        part = self._track[start : start + len(sound)]
        part += sound[: len(part)]

    def _time(self, seconds: float) -> Sound:
        return np.arange(round(seconds * self._rate)) / self._rate

    def _noise(self, seconds: float, cutoff: float) -> Sound:
        """Noise up to ``cutoff`` Hz, of root mean square 1."""
        noise = self.chance.standard_normal(round(seconds * self._rate))
        noise = _lowpass(noise, min(cutoff / self._rate, 0.45))
        return noise / _level(noise)

    def _burst(self, seconds: float, cutoff: float) -> Sound:
        """Noise as in :meth:`_noise` that decays."""
        return self._noise(seconds, cutoff) * np.exp(-5 * self._time(seconds) / seconds)

    def _partials(self, frequency: float, most: int, fall: float) -> Sound:
        """Weights 1 / k**fall of the partials below the Nyquist frequency."""
        return np.arange(1.0, 1 + min(most, int(0.45 * self._rate / frequency))) ** -fall

    def _envelope(self, length: int, attack: float, release: float) -> Sound:
        rise, fall = round(attack * self._rate), round(release * self._rate)
        k = np.arange(length)
        return np.clip(k / max(rise, 1), 0, 1) * np.clip((length - 1 - k) / max(fall, 1), 0, 1)


def _wave(turns: Sound, weights: Sound) -> Sound:
    """Sum over k of weights[k - 1] * sin(2 pi k turns), read from a table of one period."""
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    spectrum[1 : 1 + len(weights)] = -0.5j * _TABLE * weights
    table = np.fft.irfft(spectrum)
    return table[(turns * _TABLE).astype(np.int64) & (_TABLE - 1)]


def _vowel(hertz: Sound, name: str) -> Sound:
    """The vocal tract's gain at each frequency: higher formants are wider and weaker."""
    gain = np.full(len(hertz), 0.04)
    for order, formant in enumerate(_VOWELS[name]):
        gain += 0.6**order / (1 + ((hertz - formant) / (90 + 50 * order)) ** 2)
    return gain


def _hertz(pitch: float) -> float:
    return 440.0 * 2 ** ((pitch - 69) / 12)


def _level(sound: Sound) -> float:
    return float(np.sqrt(np.mean(sound**2))) + 1e-12


def _lowpass(sound: Sound, cutoff: float) -> Sound:
    """Gaussian smoothing that is 3 dB down at ``cutoff`` cycles per sample."""
    sigma = 0.1325 / cutoff
    reach = max(int(4 * sigma), 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    if len(sound) <= len(kernel):
        return sound
    return np.convolve(sound, kernel / np.sum(kernel), mode="same").astype(np.float64)
