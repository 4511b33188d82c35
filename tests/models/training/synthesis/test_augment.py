"""Each effect does to the numbers what its name says, and nothing to the time axis."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy.signal import correlate
from valaro.models.errors import DataError
from valaro.models.training.synthesis import acoustics, augment
from valaro.models.training.synthesis.acoustics import Samples

RATE = 24_000
N = 4 * RATE
TIME = np.arange(N) / RATE


@cache
def music() -> Samples:
    """Four seconds of plucked notes, eight a second at random moments, over soft noise; never changed."""
    rng = np.random.default_rng(1)
    sound = 0.002 * rng.standard_normal(N)
    for start in np.sort(rng.uniform(0, 3.8, 32)):
        pitch, since = 110 * 2 ** rng.uniform(0, 4), np.maximum(TIME - start, 0)
        sound += 0.1 * np.exp(-6 * since) * np.sin(2 * np.pi * pitch * since) * (start <= TIME)
    return sound.astype(np.float32)


def sine(hertz: float, level: float = 0.5) -> Samples:
    return (level * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


def db(samples: Samples) -> float:
    return 20 * np.log10(acoustics.rms(samples))


def response_db(effect: Callable[[Samples], Samples], hertz: float) -> float:
    """How much louder a sine comes out than it went in, away from the ends."""
    inner = slice(RATE, -RATE)
    return db(effect(sine(hertz))[inner]) - db(sine(hertz)[inner])


def lag(first: Samples, second: Samples) -> float:
    """How much later ``second`` is, s, by their cross-correlation."""
    return (int(np.argmax(correlate(second, first, method="fft"))) - (first.size - 1)) / RATE


EFFECTS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "gain": lambda x, _: augment.gain(x, -12),
    "tilt": lambda x, _: augment.tilt(x, 5),
    "peaks": lambda x, _: augment.peaks(x, np.array([300.0, 3000.0]), np.array([6.0, -6.0])),
    "opus": lambda x, _: augment.codec(x, "opus", 0.9),
    "vorbis": lambda x, _: augment.codec(x, "vorbis", 0.9),
    "mp3": lambda x, _: augment.codec(x, "mp3", 0.9),
    "hard clip": lambda x, _: augment.clip(x, 0.02),
    "soft clip": lambda x, _: augment.clip(x, 0.02, hard=False),
    "compress": lambda x, _: augment.compress(x, 0.5, 3.0),
    "phone": lambda x, _: augment.phone(x),
    "microphone": augment.microphone,
    "pitch up": lambda x, _: augment.pitch_shift(x, 1.0),
    "pitch down": lambda x, _: augment.pitch_shift(x, -0.7),
    "random": lambda x, rng: augment.random_augmentation(rng, x),
    **augment.CONDITIONS,
}


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize(
    "sound",
    [np.zeros(5000, np.float32), music()[:1], music()[:100], music()[:5000], 1e4 * music()[:50_000], sine(0)],
    ids=["silence", "one sample", "100 samples", "short", "loud", "long silence"],
)
def test_any_sound_comes_out_finite_and_as_long_as_it_went_in(name: str, sound: Samples) -> None:
    before = sound.copy()
    for seed in range(8 if name == "random" else 1):
        result = EFFECTS[name](sound, np.random.default_rng(seed))
        assert result.shape == sound.shape
        assert result.dtype == np.float32
        assert np.all(np.isfinite(result))
    np.testing.assert_array_equal(sound, before)  # the caller's own is left as it was


@pytest.mark.parametrize("name", EFFECTS)
def test_sound_that_is_none_is_refused_in_one_line(name: str) -> None:
    for sound in (np.zeros(0, np.float32), np.zeros((100, 2), np.float32), np.full(100, np.nan, np.float32)):
        with pytest.raises(DataError, match=r"^sound to be altered") as caught:
            EFFECTS[name](sound, np.random.default_rng(0))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["microphone", "random", "noise 10 dB", "room"])
def test_a_seed_repeats_an_effect_and_another_gives_another(name: str) -> None:
    first, again, other = (EFFECTS[name](music(), np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_gain_is_in_decibels_and_clips_nothing() -> None:
    assert db(augment.gain(music(), 12)) - db(music()) == pytest.approx(12, abs=1e-3)
    assert np.abs(augment.gain(sine(100), 12)).max() == pytest.approx(0.5 * 10**0.6, rel=1e-3)


@pytest.mark.parametrize("decibels", [-6.0, 6.0])
def test_tilt_turns_the_spectrum_about_1_khz(decibels: float) -> None:
    heard = [response_db(lambda x: augment.tilt(x, decibels), hertz) for hertz in (100, 1000, 10_000)]
    assert heard == pytest.approx([-decibels, 0, decibels], abs=0.1)


def test_peaks_are_as_high_and_as_wide_as_asked() -> None:
    def effect(x: Samples) -> Samples:
        return augment.peaks(x, np.array([500.0, 4000.0]), np.array([9.0, -6.0]), octaves=1.0)

    heard = [response_db(effect, hertz) for hertz in (500, 500 * 2**0.5, 60, 4000, 11_000)]
    assert heard == pytest.approx([9, 4.5, 0, -6, 0], abs=0.2)


@pytest.mark.parametrize("kind", ["opus", "vorbis", "mp3"])
@pytest.mark.parametrize("level", [0.5, 0.7, 0.9, 0.95])
def test_a_codec_loses_detail_but_no_time_and_no_level(kind: str, level: float) -> None:
    decoded = augment.codec(music(), kind, level)
    assert abs(lag(music(), decoded)) < 0.001
    assert db(decoded) == pytest.approx(db(music()), abs=0.5)
    assert 8 < db(music()) - db(decoded - music()) < 60
    assert not np.array_equal(decoded, music())


@pytest.mark.parametrize("kind", ["opus", "vorbis", "mp3"])
def test_a_codec_at_a_lower_rate_loses_more(kind: str) -> None:
    errors = [db(augment.codec(music(), kind, level) - music()) for level in (0.3, 0.95)]
    assert errors[1] > errors[0] + 3


def test_a_codec_does_not_clip_what_is_over_full_scale() -> None:
    loud = 20 * music()
    assert db(loud) - db(augment.codec(loud, "vorbis", 0.5) - loud) > 8


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(DataError, match=r"no codec 'amr': take one of opus, vorbis, mp3"):
        augment.codec(music(), "amr", 0.5)


def test_clipping_takes_the_share_asked() -> None:
    flat = augment.clip(music(), 0.02)
    limit = np.abs(flat).max()
    assert np.mean(np.abs(music()) > limit) == pytest.approx(0.02, abs=0.001)
    under = np.abs(music()) < limit
    np.testing.assert_array_equal(flat[under], music()[under])
    soft = augment.clip(music(), 0.02, hard=False)
    assert np.abs(soft).max() < limit
    softly = np.abs(music()) < 0.1 * limit
    np.testing.assert_allclose(soft[softly], music()[softly], rtol=0.01)


def test_compression_brings_loud_and_soft_together() -> None:
    loud, soft = np.split(augment.compress(np.where(TIME < 2, sine(440), sine(440, 0.05)), 0.1, 2.0), 2)
    apart = db(loud[RATE:]) - db(soft[RATE:])
    assert apart == pytest.approx(10, abs=1)  # 20 dB went in, at 2 : 1


def test_a_phone_passes_voices_only() -> None:
    heard = {hertz: response_db(augment.phone, hertz) for hertz in (50, 150, 500, 1000, 3000, 3900, 6000)}
    assert all(abs(heard[hertz]) < 1.5 for hertz in (500, 1000, 3000))
    assert heard[50] < -20  # its own gain brings back some of what the filter takes from a lone sine
    assert heard[150] < -6
    assert heard[6000] < -60
    assert abs(lag(music(), augment.phone(music()))) < 0.003


def test_a_cheap_microphone_is_narrow_noisy_and_levels_out() -> None:
    heard = augment.microphone(np.where(TIME < 2, music(), 0), np.random.default_rng(1))
    spectrum = np.square(np.abs(np.fft.rfft(heard)))
    hertz = np.fft.rfftfreq(N, 1 / RATE)
    assert spectrum[hertz < 75].sum() < 0.005 * spectrum.sum()
    assert spectrum[hertz > 10_000].sum() < 1e-4 * spectrum.sum()
    assert -60 < db(heard[-RATE:]) - db(heard) < -8  # the music stops, its hiss is brought up
    assert abs(lag(music(), augment.microphone(music(), np.random.default_rng(1)))) < 0.003


@pytest.mark.parametrize("semitones", [-1.0, -0.3, 0.0, 0.5, 1.0])
def test_a_pitch_shift_is_true_and_keeps_level_and_tempo(semitones: float) -> None:
    shifted = augment.pitch_shift(sine(440), semitones)
    spectrum = np.abs(np.fft.rfft(shifted * np.hanning(N)))
    heard = np.argmax(spectrum) * RATE / N
    assert 12 * np.log2(heard / 440) == pytest.approx(semitones, abs=0.02)
    assert db(shifted) == pytest.approx(db(sine(440)), abs=0.3)
    clicks = np.zeros(N, dtype=np.float32)
    clicks[2000::12_000] = 1.0
    moved = np.abs(augment.pitch_shift(clicks, semitones)[: 8 * 12_000].reshape(8, -1))
    assert np.all(np.abs(np.argmax(moved, axis=1) - 2000) < 0.011 * RATE)


def test_a_pitch_shift_by_nothing_changes_nothing() -> None:
    np.testing.assert_allclose(augment.pitch_shift(music(), 0.0), music(), atol=1e-5)


@pytest.mark.parametrize("semitones", [1.5, -2.0, float("nan")])
def test_a_pitch_shift_beyond_a_semitone_is_refused(semitones: float) -> None:
    with pytest.raises(DataError, match="at most one semitone"):
        augment.pitch_shift(music(), semitones)


def test_the_conditions_are_those_that_are_reported() -> None:
    rng = np.random.default_rng(1)
    assert list(augment.CONDITIONS) == ["gain", "noise 10 dB", "room", "phone band"]
    assert db(augment.under("gain", music(), rng)) - db(music()) == pytest.approx(-20, abs=0.01)
    noise = augment.under("noise 10 dB", music(), rng) - music()
    assert db(music()) - db(noise) == pytest.approx(10, abs=0.5)
    assert db(augment.under("room", music(), rng)) == pytest.approx(db(music()), abs=0.01)
    np.testing.assert_array_equal(augment.under("phone band", music(), rng), augment.phone(music()))
    with pytest.raises(DataError, match=r"no condition 'rain': take one of gain, noise 10 dB, room, phone band"):
        augment.under("rain", music(), rng)


def test_random_chains_range_from_nearly_clean_to_far_off() -> None:
    """Level aside: what of the clip's short-time spectrum is still there, 1 for all of it."""

    def spectrogram(sound: Samples) -> np.ndarray:
        return np.abs(np.fft.rfft(sound.reshape(-1, 960) * np.hanning(960))).ravel()

    clip = music()[: N // 2]
    own = spectrogram(clip)
    kept = []
    for seed in range(50):
        heard = spectrogram(augment.random_augmentation(np.random.default_rng(seed), clip))
        kept.append(own @ heard / np.sqrt((own @ own) * (heard @ heard)))
    assert 0.15 < np.mean(np.array(kept) > 0.999) < 0.5
    assert np.mean(np.array(kept) < 0.99) > 0.5
    assert min(kept) > 0.3  # never beyond recognition


def test_given_speech_is_heard_in_random_chains() -> None:
    clip, tone = music()[: N // 4], sine(777)
    found = 0
    for seed in range(40):
        heard = augment.random_augmentation(np.random.default_rng(seed), clip, [tone])
        plain = augment.random_augmentation(np.random.default_rng(seed), clip)
        found += not np.array_equal(heard, plain)
    assert 3 <= found <= 15  # chatter is in about 15 % of them
