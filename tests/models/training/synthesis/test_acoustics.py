"""Rooms decay as they are told to, and noises have the spectra and levels of what they stand for."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt
from valaro.models.errors import DataError
from valaro.models.training.synthesis import acoustics
from valaro.models.training.synthesis.acoustics import Samples

RATE = 24_000
SECONDS = 8
N = SECONDS * RATE


def band_db(samples: Samples, low: float, high: float) -> float:
    """Power between two frequencies, dB beside a full-scale square wave."""
    power = np.square(np.abs(np.fft.rfft(samples))) * 2 / samples.size**2
    hertz = np.fft.rfftfreq(samples.size, 1 / RATE)
    return float(10 * np.log10(power[(hertz >= low) & (hertz < high)].sum()))


def decay_time(response: Samples, octave: float) -> float:
    """RT60 in an octave by Schroeder's backward integration: the slope from -8 to -28 dB."""
    edges = (octave / np.sqrt(2), octave * np.sqrt(2))
    band = sosfiltfilt(butter(3, edges, "bandpass", fs=RATE, output="sos"), np.pad(response, RATE // 4))[RATE // 4 :]
    left = np.cumsum(np.square(band[: response.size])[::-1])[::-1]
    level = 10 * np.log10(left / left[0])
    part = np.flatnonzero((level < -8) & (level > -28))
    return -60 / np.polyfit(part / RATE, level[part], 1)[0]


@pytest.mark.parametrize("rt60", [0.3, 0.8, 1.5])
def test_a_room_decays_as_long_as_it_is_told_and_its_treble_sooner(rt60: float) -> None:
    responses = [acoustics.room_response(np.random.default_rng(seed), rt60) for seed in range(5)]
    assert [decay_time(one, 1000) for one in responses] == pytest.approx([rt60] * 5, rel=0.2)
    assert np.mean([decay_time(one, 1000) for one in responses]) == pytest.approx(rt60, rel=0.1)
    assert np.mean([decay_time(one, 8000) for one in responses]) == pytest.approx(0.55 * rt60, rel=0.2)
    assert np.mean([decay_time(one, 500) for one in responses]) == pytest.approx(1.05 * rt60, rel=0.2)


@pytest.mark.parametrize("direct_db", [-3.0, 0.0, 12.0])
def test_the_direct_sound_stands_out_by_what_is_asked(direct_db: float) -> None:
    response = acoustics.room_response(np.random.default_rng(1), 0.8, direct_db)
    assert np.argmax(np.abs(response)) == 0
    rest = np.sum(np.square(response[1:]))
    assert 10 * np.log10(response[0] ** 2 / rest) == pytest.approx(direct_db, abs=0.3)
    early = np.sum(np.square(response[1:1200]))
    assert 0.3 < early / rest < 0.8  # 58 % of a decay of 0.8 s lies in its first 50 ms


def test_a_room_keeps_the_energy_and_the_moment_and_rings_on() -> None:
    click = np.zeros(N, dtype=np.float32)
    click[RATE] = 1.0
    wet = acoustics.reverberate(click, acoustics.room_response(np.random.default_rng(1), 0.8))
    assert wet.shape == click.shape
    assert wet.dtype == np.float32
    assert acoustics.rms(wet) == pytest.approx(acoustics.rms(click), rel=1e-5)
    assert np.argmax(np.abs(wet)) == RATE
    assert np.abs(wet[: RATE - 10]).max() < 1e-6  # nothing is heard before it is played
    assert acoustics.rms(wet[RATE + 2400 : RATE + 4800]) > 1e-3


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
@pytest.mark.parametrize("kind", [acoustics.white, acoustics.pink, acoustics.hum, acoustics.babble])
def test_noise_is_as_far_below_the_music_as_asked(kind: Callable, snr_db: float) -> None:
    music = 0.2 * np.sin(np.arange(N) * 0.1).astype(np.float32)
    noisy = acoustics.add_noise(music, kind(N, np.random.default_rng(1)), snr_db)
    assert 20 * np.log10(acoustics.rms(music) / acoustics.rms(noisy - music)) == pytest.approx(snr_db, abs=0.1)
    assert noisy.dtype == np.float32


def test_noises_have_their_spectra() -> None:
    rng = np.random.default_rng(1)
    octaves = [(low, 2 * low) for low in (125, 250, 500, 1000, 2000, 4000)]
    even = [band_db(acoustics.pink(N, rng), *octave) for octave in octaves]
    assert np.ptp(even) < 0.5
    rising = [band_db(acoustics.white(N, rng), *octave) for octave in octaves]
    assert np.diff(rising) == pytest.approx(np.full(5, 3.01), abs=0.4)
    spectrum = np.abs(np.fft.rfft(acoustics.hum(N, rng)))
    peaks = np.flatnonzero(spectrum > 1e-3 * spectrum.max()) / SECONDS
    mains = min(peaks)
    assert mains in (50, 60)
    assert np.all(peaks % mains == 0)
    assert max(peaks) <= 1000


def test_chatter_has_the_bands_and_the_rhythm_of_speech() -> None:
    """Most of speech lies at 100-1200 Hz, its hiss 15-25 dB below, and it swells with the syllables at 1-8 Hz."""
    crowd = acoustics.babble(N, np.random.default_rng(1))
    one = acoustics.babble(N, np.random.default_rng(1), talkers=1)
    for sound in (crowd, one):
        assert acoustics.rms(sound) == pytest.approx(1.0, abs=1e-3)
        assert band_db(sound, 100, 1200) > -1.5
        assert -27 < band_db(sound, 4800, 12_000) < -15
        assert band_db(sound, 0, 60) < -20

    def envelope(sound: Samples) -> np.ndarray:
        return np.sqrt(np.mean(np.square(sound.reshape(-1, 480)), axis=1))  # 50 a second

    def unevenness(sound: Samples) -> float:
        return float(np.std(envelope(sound)) / np.mean(envelope(sound)))

    swell = np.square(np.abs(np.fft.rfft(envelope(one) - envelope(one).mean())))
    hertz = np.fft.rfftfreq(swell.size * 2 - 2, 0.02)
    assert swell[(hertz >= 1) & (hertz < 8)].sum() > 0.5 * swell.sum()
    assert unevenness(one) > 0.6
    assert unevenness(crowd) < 0.4


def test_given_speech_is_what_the_crowd_says() -> None:
    tone = np.sin(2 * np.pi * 600 * np.arange(5000) / RATE).astype(np.float32)
    crowd = acoustics.babble(N, np.random.default_rng(1), [tone], talkers=3)
    assert crowd.shape == (N,)
    assert band_db(crowd, 590, 610) > -0.5


@pytest.mark.parametrize("make", [acoustics.white, acoustics.pink, acoustics.hum, acoustics.babble])
def test_a_seed_repeats_a_noise_and_another_gives_another(make: Callable) -> None:
    first, again, other = (make(4800, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert first.shape == (4800,)
    assert first.dtype == np.float32


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros(0), r"mono.*\(0,\)"),
        (np.zeros((4, 2)), r"mono.*\(4, 2\)"),
        (np.array([0.0, np.nan]), "not finite"),
        (np.array([0.0, np.inf]), "not finite"),
    ],
)
def test_what_is_no_sound_is_refused(sound: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        acoustics.checked(sound)


@pytest.mark.parametrize("rt60", [0.0, 5.0, float("nan")])
def test_an_impossible_room_is_refused(rt60: float) -> None:
    with pytest.raises(DataError, match=r"RT60 must be 0.1-3 s"):
        acoustics.room_response(np.random.default_rng(1), rt60)
