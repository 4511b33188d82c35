"""The weights that ship: a smoke test on clips that they were trained on, and so no figure of their accuracy."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.models import load_bundle
from valaro.models.training.synthesis.noises import NOISES
from valaro.streamer import Engine
from valaro.streamer.sources.demo import demo_piece

EACH = 8  # clips of each quadrant
SECONDS = 20


def chosen(data: Path) -> list[tuple[Path, bool]]:
    """Clips of each quadrant, spread over all of them by name: where each lies, and whether its arousal is high."""
    with (data / "4q" / "clips.csv").open(encoding="utf-8", newline="") as table:
        rows = sorted((row["quadrant"], row["clip"]) for row in csv.DictReader(table) if row["split"] == "train")
    audio = data / "4q" / "audio"
    picks = []
    for name in ("Q1", "Q2", "Q3", "Q4"):
        clips = [clip for quadrant, clip in rows if quadrant == name]
        picks += [(audio / f"{clips[k * len(clips) // EACH]}.opus", name in ("Q1", "Q2")) for k in range(EACH)]
    return picks


def test_it_hears_which_real_music_is_aroused(data: Path) -> None:
    bundle = load_bundle()
    right = 0
    clips = chosen(data)
    for path, high in clips:
        with soundfile.SoundFile(path) as sound:
            samples = np.asarray(sound.read(SECONDS * sound.samplerate, dtype="float32"), dtype=np.float32)
            engine = Engine(bundle, sound.samplerate)
        mass = np.sum([affect.quadrants for affect in engine.push(samples)], axis=0)
        right += (mass[0] + mass[1] > mass[2] + mass[3]) == high
    assert len(clips) == 4 * EACH
    assert right >= 25  # guessing gets there once in a thousand times


@pytest.mark.parametrize("decibels", [-30.0, 12.0])
def test_the_rooms_gain_does_not_move_real_music(data: Path, decibels: float) -> None:
    bundle = load_bundle()
    for path, _ in chosen(data)[::2]:
        with soundfile.SoundFile(path) as sound_file:
            samples = np.asarray(sound_file.read(dtype="float32"), dtype=np.float32)
            rate = sound_file.samplerate
        plain, moved = (
            np.array([(affect.valence, affect.arousal) for affect in Engine(bundle, rate).push(sound)])
            for sound in (samples, samples * np.float32(10 ** (decibels / 20)))
        )
        # Settled after twenty seconds, two time constants of the reference: a soft beginning that at this gain fell
        # under (or rose over) the threshold of silence is forgotten by then.
        assert np.abs(plain - moved)[40:].max() < 0.05


def heard(samples: np.ndarray, rate: int) -> list[str]:
    return [affect.activity for affect in Engine(load_bundle(), rate).push(samples)]


def test_real_music_is_music_and_real_readers_speak(data: Path) -> None:
    said = []
    for path, _ in chosen(data)[::4]:
        samples, rate = soundfile.read(path, dtype="float32")
        said += heard(samples, rate)
    assert len(said) > 400
    assert np.mean([activity in ("music", "silence") for activity in said]) > 0.99
    for reader in ("198-209-0000", "3436-172162-0000", "5703-47212-0000"):
        samples, rate = soundfile.read(data / "open_music" / f"{reader}.hq.ogg", dtype="float32")
        activities = heard(samples, rate)
        assert "speech" in activities[:8]
        assert activities[8:].count("music") == 0


@pytest.mark.parametrize("name", ["applause", "chatter", "fan", "rain"])
@pytest.mark.parametrize("decibels", [-20.0, -45.0])
def test_what_a_room_makes_does_not_steer_the_show(name: str, decibels: float) -> None:
    """A minute of it after the music, however loud: told within four seconds, and the heatmap is the neutral one."""
    rate = 24_000
    piece, noise = demo_piece(rate)[: 15 * rate], NOISES[name](45 * rate, np.random.default_rng(4))
    sound = np.concatenate([piece, np.float32(10 ** (decibels / 20)) * noise])
    affects = Engine(load_bundle(), rate).push(sound)
    assert {affect.activity for affect in affects[:30]} == {"music"}
    assert {affect.activity for affect in affects[38:]} <= {"noise", "speech", "silence"}
    assert abs(affects[-1].valence) < 0.1
    assert abs(affects[-1].arousal) < 0.1


def test_a_soft_pad_over_a_room_that_hums_stays_music() -> None:
    """A minute of one chord that never moves, 15 dB over a fan."""
    rate = 24_000
    time = np.arange(60 * rate) / rate
    pad = sum(np.sin(2 * np.pi * hertz * k * time) / k for hertz in (130.8, 164.8, 196.0) for k in range(1, 6))
    fan = NOISES["fan"](time.size, np.random.default_rng(1))
    sound = 10 ** (-45 / 20) * pad / np.std(pad) + 10 ** (-60 / 20) * fan
    assert set(heard(sound.astype(np.float32), rate)) == {"music"}


@pytest.mark.parametrize("lead", [0.25, 0.42, 1.37, 2.05, 2.09])
def test_silence_of_any_length_before_the_music_makes_no_other_mood(lead: float) -> None:
    """Sound that began in the midst of a block once coloured the running texture for ten seconds."""
    bundle, rate = load_bundle(), 44_100
    sound = demo_piece(rate)[20 * rate : 28 * rate]  # of one mood: at a change the mean hangs on where emissions fall

    def mood(before: float) -> np.ndarray:
        engine = Engine(bundle, rate)
        engine.push(np.zeros(round(before * rate), np.float32))
        heard = engine.push(sound) + engine.finish()
        start = round(before * 2) - int(before * 2)
        return np.mean([(each.valence, each.arousal) for each in heard[start:][:16]], axis=0)

    assert mood(lead) == pytest.approx(mood(0.0), abs=0.1)
