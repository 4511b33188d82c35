"""The built-in piece says with numbers what it means to say with sound."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models import load_bundle
from valaro.streamer import Engine
from valaro.streamer.sources.demo import SECTIONS, DemoSource, demo_piece

RATE = 24000
Sound = NDArray[np.float32]


@pytest.fixture(scope="module")
def piece() -> Sound:
    return demo_piece(RATE)


@pytest.fixture(scope="module")
def sections(piece: Sound) -> dict[str, Sound]:
    # The first two seconds are left out: the section before rings out there.
    return {section.name: piece[round((section.start + 2) * RATE) : round(section.end * RATE)] for section in SECTIONS}


def level(sound: Sound) -> float:
    return 10 * float(np.log10(np.mean(np.square(sound, dtype=np.float64))))


def spectrum(sound: Sound) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    return np.arange(len(power)) * RATE / len(sound), power.astype(np.float64)


def centroid(sound: Sound) -> float:
    frequency, power = spectrum(sound)
    magnitude = np.sqrt(power)
    return float(np.sum(frequency * magnitude) / np.sum(magnitude))


def chroma(sound: Sound) -> NDArray[np.float64]:
    """(12,) share of each pitch class, C first, of the power between 100 and 2,000 Hz."""
    frequency, power = spectrum(sound)
    chosen = (frequency > 100) & (frequency < 2000)
    pitch = 69 + 12 * np.log2(frequency[chosen] / 440)
    near = np.abs(pitch - np.rint(pitch)) < 0.2
    classes = np.bincount(np.rint(pitch[near]).astype(int) % 12, power[chosen][near], 12)
    return classes / np.sum(classes)


def onsets(sound: Sound) -> float:
    """Mean rise of the log spectrum from one 20 ms frame to the next: how much is struck."""
    frames = sound[: len(sound) // 480 * 480].reshape(-1, 480) * np.hanning(480)
    log = np.log10(np.abs(np.fft.rfft(frames, axis=1)) ** 2 + 1e-4 * np.mean(np.square(sound)) * 480)
    return float(np.mean(np.maximum(np.diff(log, axis=0), 0)))


def test_it_is_clean_sound(piece: Sound) -> None:
    assert piece.dtype == np.float32
    assert piece.shape == (64 * RATE,)
    assert np.all(np.isfinite(piece))
    assert np.max(np.abs(piece)) == pytest.approx(0.9, abs=1e-4)
    assert abs(float(np.mean(piece))) < 1e-3
    assert abs(piece[-1]) < 1e-3  # it begins again without a click
    assert np.max(np.abs(piece[:5])) < 0.1


def test_sections_cover_it_one_mood_after_the_other() -> None:
    assert [section.quadrant for section in SECTIONS] == [1, 2, 3, 4]
    assert SECTIONS[0].start == 0
    assert SECTIONS[-1].end == 64
    assert all(one.end == other.start for one, other in itertools.pairwise(SECTIONS))


def test_it_is_the_same_every_time_and_another_with_another_seed(piece: Sound) -> None:
    assert np.array_equal(piece, demo_piece(RATE))
    assert not np.array_equal(piece, demo_piece(RATE, seed=1))


def test_energy_is_loud_and_struck_calm_is_soft_and_smooth(sections: dict[str, Sound]) -> None:
    levels = {name: level(sound) for name, sound in sections.items()}
    assert levels["tense"] > levels["happy"] + 2
    assert levels["happy"] > max(levels["sad"], levels["calm"]) + 6
    strikes = {name: onsets(sound) for name, sound in sections.items()}
    assert min(strikes["happy"], strikes["tense"]) > 1.5 * max(strikes["sad"], strikes["calm"])


def test_energy_is_bright_and_sadness_darkest(sections: dict[str, Sound]) -> None:
    centres = {name: centroid(sound) for name, sound in sections.items()}
    assert min(centres["happy"], centres["tense"]) > 1.5 * max(centres["sad"], centres["calm"])
    assert centres["calm"] > 1.2 * centres["sad"]


def best_triad(sound: Sound) -> tuple[str, str]:
    """The major or minor triad that holds most of the chroma: the key, for music that stays at home."""
    share = chroma(sound)
    names = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
    sums = {
        (names[root], mode): share[root] + share[(root + third) % 12] + share[(root + 7) % 12]
        for root in range(12)
        for mode, third in (("major", 4), ("minor", 3))
    }
    return max(sums, key=lambda triad: sums[triad])


def test_keys_can_be_read_from_a_plain_chroma(sections: dict[str, Sound]) -> None:
    assert best_triad(sections["happy"]) == ("C", "major")
    assert best_triad(sections["sad"]) == ("A", "minor")
    assert best_triad(sections["calm"]) == ("F", "major")


def test_tension_is_chromatic(sections: dict[str, Sound]) -> None:
    def evenness(sound: Sound) -> float:
        share = chroma(sound)
        return float(-np.sum(share * np.log(share)) / np.log(12))

    assert evenness(sections["tense"]) > 1.05 * max(evenness(sections[name]) for name in ("happy", "sad", "calm"))


def test_no_section_is_a_hum_or_a_hiss(sections: dict[str, Sound]) -> None:
    for sound in sections.values():
        crest = 20 * np.log10(np.max(np.abs(sound))) - level(sound)
        assert 8 < crest < 20
        seconds = sound[: 14 * RATE].reshape(14, RATE)
        assert min(level(part) for part in seconds) > level(sound) - 12  # no hole in it


def test_another_rate_is_the_same_music() -> None:
    assert len(demo_piece(16000)) == 64 * 16000
    other = DemoSource(16000, paced=False, repeat=False)
    assert np.array_equal(np.concatenate(list(other.blocks()))[:, 0], demo_piece(16000))
    with pytest.raises(ValueError, match="8000"):
        demo_piece(100)


def test_the_source_hands_on_the_piece(piece: Sound) -> None:
    source = DemoSource(RATE, paced=False, repeat=False)
    for _ in range(2):
        np.testing.assert_allclose(np.concatenate(list(source.blocks()))[:, 0], piece, rtol=0, atol=1e-6)
    assert source.channels == 1
    repeating = DemoSource(RATE, paced=False).blocks()
    blocks = [next(repeating) for _ in range(64 * 50 + 1)]
    assert np.array_equal(blocks[0], blocks[-1])


def test_the_shipped_model_hears_each_mood_as_it_is_meant(piece: Sound) -> None:
    emissions = Engine(load_bundle(), RATE).push(piece)
    for section in SECTIONS:
        # The model remembers some seconds: what it says of a section counts once it has forgotten the one before.
        heard = [emission for emission in emissions if section.start + 5 < emission.time <= section.end]
        valence, arousal = np.mean([(each.valence, each.arousal) for each in heard], axis=0)
        pleasant, excited = section.quadrant in (1, 4), section.quadrant in (1, 2)
        assert (valence > 0) == pleasant, f"{section.name}: valence {valence:.2f}"
        assert (arousal > 0) == excited, f"{section.name}: arousal {arousal:.2f}"
        mass = np.mean([each.quadrants for each in heard], axis=0)
        assert np.argmax(mass) == section.quadrant - 1, f"{section.name}: {mass.round(2)}"
        assert min(abs(valence), abs(arousal)) > 0.05, section.name
