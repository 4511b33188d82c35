"""The weights that ship: a smoke test on clips that they were trained on, and so no figure of their accuracy."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.models import load_bundle
from valaro.streamer import Engine

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
