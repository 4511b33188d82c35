"""Frame features of a 24 kHz mono stream: one pure step per block of five hops (100 ms).

Work is done in blocks of fixed size, so that how the sound was cut up on its way here cannot change a number.
Everything is measured against a slow running reference of the stream's own loudness: the room's gain falls out.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from ...kernels import filterbanks, mel, rhythm, spectrum, tonal

Float32 = NDArray[np.float32]

RATE = 24_000
HOP = 480  # 20 ms
HOPS = 5
BLOCK = HOP * HOPS  # 100 ms
BLOCKS = 5
EMISSION = BLOCK * BLOCKS  # 0.5 s

_SHORT = 2048  # 85 ms: timbre and onsets
_LONG = 8192  # 341 ms: pitch, down to 3 Hz a bin
_MELS = 64
_MFCC = 20
_SLOPE = 9  # hops that a slope looks at
_FIRST_BIN = 2  # below lies DC, which a Hann window smears over bins 0 and 1
_PULSE_LAGS = 100  # 2 s
_SHORTEST_PULSE = 12  # 0.24 s = 250 beats a minute

# Loudness grows about as the fourth root of power; averaging that instead of power settles after a drop of gain
# as fast as after a rise.
_LOUDNESS = 0.25
_REFERENCE_BLOCKS = 100.0  # 10 s
_SILENT_POWER = 1e-8  # -80 dBFS
_SILENT_RELATIVE = 1e-5  # 50 dB under the stream's reference
_REFERENCE_LEAK = 0.9997  # a block of such silence: a source that went quiet for good is heard again in minutes
_MEL_FLOOR = 1e-6

_CHROMA_SMOOTH = 1 - np.exp(-0.1 / 0.3)  # chords: 0.3 s
_KEY_SMOOTH = 1 - np.exp(-0.1 / 4.0)  # keys: 4 s
_ONSET_SMOOTH = 1 - np.exp(-0.02 / 2.0)
_PULSE_DECAY = np.float32(np.exp(-0.02 / 4.0))
_PEAKS = 24  # partials at most
_LOWEST_PEAK, _HIGHEST_PEAK = int(50 * _LONG / RATE), int(5000 * _LONG / RATE)  # bins


def _columns(*groups: tuple[str, int]) -> dict[str, slice]:
    ends = np.cumsum([size for _, size in groups])
    return {name: slice(int(end) - size, int(end)) for (name, size), end in zip(groups, ends, strict=True)}


HOP_COLUMNS = _columns(
    ("log_mel", _MELS),
    ("mfcc", _MFCC),
    ("mfcc_slope", _MFCC),
    ("shape", 4),  # centroid and spread in octaves re 1 kHz, log flatness, roll-off in octaves re 1 kHz
    ("onset", 3),  # all bands, below 300 Hz, above 3 kHz
    ("level", 1),  # dB over the stream's running reference
    ("zero_crossings", 1),
)
BLOCK_COLUMNS = _columns(
    ("contrast", 6),
    ("chroma", 12),
    ("intervals", 6),
    ("key", 2),  # mode (major minus minor correlation on the likeliest tonic), clarity
    ("chords", 4),  # best correlation with a major, minor, diminished, augmented triad
    ("tonal_change", 1),
    ("roughness", 1),
    ("tonalness", 1),  # energy in peaks over all, dB
    ("register", 2),  # amplitude-weighted mean and spread of the peaks' pitch, octaves re 440 Hz
    ("pulse", 3),  # clarity, period in octaves re 0.5 s, mean onset strength
)
HOP_SIZE = HOP_COLUMNS["zero_crossings"].stop
BLOCK_SIZE = BLOCK_COLUMNS["pulse"].stop

# What one kernel writes at once.
_HARMONY = slice(BLOCK_COLUMNS["intervals"].start, BLOCK_COLUMNS["chords"].stop)
_PARTIALS = slice(BLOCK_COLUMNS["roughness"].start, BLOCK_COLUMNS["register"].stop)

# Named so that a bundle can say what it was trained on; change it whenever a number below would change.
LAYOUT = "1"


class FeatureState(NamedTuple):
    """All that the next block needs to know of the past."""

    samples: Float32  # (_LONG - BLOCK + 1,): the newest samples so far
    loudness: float  # running mean of block power ** 0.25
    weight: float  # blocks that this mean stands for
    log_mel: Float32  # (_MELS,) of the last hop
    mfcc: Float32  # (_SLOPE - 1, _MFCC) of the last hops
    chroma: Float32  # (12,) smoothed over a chord
    key_chroma: Float32  # (12,) smoothed over a phrase
    onset_mean: float
    onsets: Float32  # (_PULSE_LAGS,), mean removed
    acf: Float32  # (_PULSE_LAGS + 1,)


class Features(NamedTuple):
    """One block's features."""

    hops: Float32  # (HOPS, HOP_SIZE), columns as HOP_COLUMNS
    block: Float32  # (BLOCK_SIZE,), columns as BLOCK_COLUMNS
    power: float  # mean square of the block's newest hops, full scale = 1
    active: bool  # False: silence; the numbers are then finite and mean nothing


def _unit(templates: list[list[float]]) -> Float32:
    t = np.asarray(templates, dtype=np.float64)
    t -= t.mean(axis=1, keepdims=True)
    return np.ascontiguousarray(t / np.linalg.norm(t, axis=1, keepdims=True), dtype=np.float32)


# How often each degree sounds in major and in minor: Albrecht & Shanahan, "The use of large corpora to train a new
# type of key-finding algorithm", Music Perception 31(1), 2013. Against the probe-tone profiles of Krumhansl they
# tell the mode better: area under the curve for valence .62 against .59 on the 4Q clips.
_KEYS = _unit(
    [
        [0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081],
        [0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052],
    ]
)
_CHORDS = _unit([[float(c in triad) for c in range(12)] for triad in ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8))])


class FeatureExtractor:
    """``init() -> state``, ``step(state, block) -> (state, Features)``; holds constant tables only."""

    def __init__(self) -> None:
        self._window = np.hanning(_SHORT + 1)[:-1].astype(np.float32)
        self._long_window = np.hanning(_LONG + 1)[:-1].astype(np.float32)
        # Scaled so that a spectrum's sum is the mean square of the frame (one-sided: twice).
        self._scale = np.float32(2.0 / (_SHORT * np.sum(np.square(self._window, dtype=np.float64))))
        self._long_scale = np.float32(2.0 / (_LONG * np.sum(np.square(self._long_window, dtype=np.float64))))
        self._twiddles = filterbanks.twiddles(_LONG)
        self._mel = filterbanks.mel_triangles(RATE, _SHORT, _MELS, 20.0, RATE / 2)
        self._dct = filterbanks.dct_matrix(_MELS, _MFCC)
        self._chroma = filterbanks.chroma_filters(RATE, _LONG, high=5000.0)
        centres = filterbanks.mel_to_hz(
            np.linspace(filterbanks.mel_scale(20.0), filterbanks.mel_scale(RATE / 2), _MELS + 2)
        )[1:-1]
        low, high = (int(np.searchsorted(centres, hz)) for hz in (300.0, 3000.0))
        self._onset_groups = np.array([(0, _MELS), (0, low), (high, _MELS)], dtype=np.int64)
        octaves = np.array([0.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, RATE / 2])
        self._contrast_edges = np.maximum(np.round(octaves * _SHORT / RATE).astype(np.int64), _FIRST_BIN)
        # "Spectrum power per mel band" of a full-scale sine is of order one per Hz; undo the area norm's 1 / Hz.
        self._mel_gain = 100.0

    def init(self) -> FeatureState:
        """The state before any sound."""
        return FeatureState(
            samples=np.zeros(_LONG - BLOCK + 1, dtype=np.float32),
            loudness=0.0,
            weight=0.0,
            log_mel=np.full(_MELS, np.log(_MEL_FLOOR), dtype=np.float32),
            mfcc=np.zeros((_SLOPE - 1, _MFCC), dtype=np.float32),
            chroma=np.zeros(12, dtype=np.float32),
            key_chroma=np.zeros(12, dtype=np.float32),
            onset_mean=0.0,
            onsets=np.zeros(_PULSE_LAGS, dtype=np.float32),
            acf=np.zeros(_PULSE_LAGS + 1, dtype=np.float32),
        )

    def step(self, state: FeatureState, block: Float32) -> tuple[FeatureState, Features]:
        """Take the next 100 ms (2400,) float32, finite; ``state`` is left as it was."""
        samples = np.concatenate((state.samples, block))
        power, hop_power, long_power, long_energy = self._spectra(samples)
        mean_power = sum(hop_power.tolist()) / HOPS
        active = mean_power > max(_SILENT_POWER, _SILENT_RELATIVE * state.loudness ** (1 / _LOUDNESS))
        if active:
            weight = min(state.weight + 1.0, _REFERENCE_BLOCKS)
            loudness = state.loudness + (mean_power**_LOUDNESS - state.loudness) / weight
        else:
            weight, loudness = state.weight, state.loudness * _REFERENCE_LEAK
        reference = max(loudness ** (1 / _LOUDNESS), _SILENT_POWER)

        hops = np.empty((HOPS, HOP_SIZE), dtype=np.float32)
        log_mels, mfccs = self._timbre(state, power, reference, hops)
        spectrum.levels(hop_power, reference, hops[:, HOP_COLUMNS["level"].start])
        spectrum.zero_crossings(samples[-BLOCK - 1 :], HOP, hops[:, HOP_COLUMNS["zero_crossings"].start])
        features = np.empty(BLOCK_SIZE, dtype=np.float32)
        spectrum.spectral_contrast(power, self._contrast_edges, 0.2, features[BLOCK_COLUMNS["contrast"]])
        chroma, key_chroma = self._tonal(state, long_power, long_energy, features)
        onset_mean, onsets, acf = self._pulse(state, hops[:, HOP_COLUMNS["onset"].start], features)
        new = FeatureState(
            samples=samples[BLOCK:],
            loudness=loudness,
            weight=weight,
            log_mel=log_mels[-1],
            mfcc=mfccs[HOPS:],
            chroma=chroma,
            key_chroma=key_chroma,
            onset_mean=onset_mean,
            onsets=onsets,
            acf=acf,
        )
        return new, Features(hops, features, mean_power, active)

    def _spectra(self, samples: Float32) -> tuple[Float32, Float32, Float32, float]:
        """Power and energy of the short spectra (HOPS, bins), (HOPS,), and of the long one (bins,), float."""
        # The long frame joins the short ones as four of their length: one call of the FFT for all.
        frames = np.empty((HOPS + 4, _SHORT), dtype=np.float32)
        spectrum.window_newest(samples, self._window, self._long_window, HOP, frames)
        power = np.empty((HOPS, _SHORT // 2 + 1), dtype=np.float32)
        long_power = np.empty(_LONG // 2 + 1, dtype=np.float32)
        energy = np.empty(HOPS + 1, dtype=np.float32)
        spectrum.powers(
            rfft(frames, axis=1),
            self._twiddles,
            _FIRST_BIN,
            self._scale,
            self._long_scale,
            power,
            long_power,
            energy,
        )
        return power, energy[:HOPS], long_power, float(energy[HOPS])

    def _timbre(self, state: FeatureState, power: Float32, reference: float, out: Float32) -> tuple[Float32, Float32]:
        log_mels = np.empty((HOPS + 1, _MELS), dtype=np.float32)
        log_mels[0] = state.log_mel
        first, offset, weights = self._mel
        mel.log_mel(power, first, offset, weights, self._mel_gain / reference, _MEL_FLOOR, log_mels[1:])
        mfccs = np.empty((_SLOPE - 1 + HOPS, _MFCC), dtype=np.float32)
        mfccs[: _SLOPE - 1] = state.mfcc
        mel.cepstrum(log_mels[1:], self._dct, mfccs[_SLOPE - 1 :])
        if state.weight == 0.0:
            # Nothing was heard yet: the step from nothing to something is no onset of the music.
            log_mels[0] = log_mels[1]
            mfccs[: _SLOPE - 1] = mfccs[_SLOPE - 1]
        out[:, HOP_COLUMNS["log_mel"]] = log_mels[1:]
        out[:, HOP_COLUMNS["mfcc"]] = mfccs[_SLOPE - 1 :]
        mel.slope(mfccs, out[:, HOP_COLUMNS["mfcc_slope"]])
        spectrum.spectral_shape(power, _FIRST_BIN, RATE / _SHORT, out[:, HOP_COLUMNS["shape"]])
        mel.onset_strength(log_mels, self._onset_groups, out[:, HOP_COLUMNS["onset"]])
        return log_mels, mfccs

    def _tonal(self, state: FeatureState, power: Float32, energy: float, out: Float32) -> tuple[Float32, Float32]:
        now, chroma, key_chroma = np.empty((3, 12), dtype=np.float32)
        tonal.chroma(power, self._chroma, now)
        change = tonal.follow(state.chroma, now, _CHROMA_SMOOTH, chroma)
        # A plain mean until the time constant is reached: the first seconds count in full.
        tonal.follow(state.key_chroma, now, max(_KEY_SMOOTH, 1.0 / (state.weight + 1.0)), key_chroma)
        out[BLOCK_COLUMNS["chroma"]] = chroma
        out[BLOCK_COLUMNS["tonal_change"]] = change
        tonal.harmony(chroma, key_chroma, _KEYS, _CHORDS, out[_HARMONY])
        tonal.partials(power, _LOWEST_PEAK, _HIGHEST_PEAK, RATE / _LONG, 1e-5, energy, _PEAKS, out[_PARTIALS])
        return chroma, key_chroma

    def _pulse(self, state: FeatureState, onset: Float32, out: Float32) -> tuple[float, Float32, Float32]:
        centred = np.empty(_PULSE_LAGS + HOPS, dtype=np.float32)
        centred[:_PULSE_LAGS] = state.onsets
        onset_mean = rhythm.remove_running_mean(
            onset, state.onset_mean, HOPS * state.weight, _ONSET_SMOOTH, centred[_PULSE_LAGS:]
        )
        acf = state.acf.copy()
        rhythm.leaky_autocorrelation(centred, _PULSE_LAGS, _PULSE_DECAY, acf)
        clarity, period, mean = range(BLOCK_COLUMNS["pulse"].start, BLOCK_COLUMNS["pulse"].stop)
        rhythm.pulse(acf, _SHORTEST_PULSE, out[clarity:mean])
        out[period] = np.log2(out[period] / 25.0) if out[period] > 0 else 0.0
        out[mean] = onset_mean
        return onset_mean, centred[HOPS:], acf
