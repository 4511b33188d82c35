"""A tiny data folder in the layout of the real one: seconds of synthesised sound, small MIDI files, true labels."""

import csv
import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import mido
import numpy as np
import soundfile

RATE = 24_000
QUADRANTS = ("Q1", "Q2", "Q3", "Q4")
RATERS = 5


def write_data(root: Path, clips: int = 20, pieces: int = 5, seconds: float = 3.0) -> Path:
    """All five sets: ``clips`` of 4q (one more for agreement) and emopia, ``pieces`` of vgmidi, two of the others."""
    write_4q(root / "4q", clips, seconds)
    write_emopia(root / "emopia", clips)
    write_vgmidi(root / "vgmidi", pieces)
    write_emomusic(root / "emomusic", seconds)
    write_pmemo(root / "pmemo", seconds)
    return root


def write_4q(folder: Path, clips: int, seconds: float) -> None:
    rows = []
    for index in range(clips + 1):
        name, quadrant = f"MT{index:010d}", QUADRANTS[index % 4]
        opus(folder / "audio" / f"{name}.opus", chord(quadrant, seconds, seed=index))
        agreement = index == clips
        # Two clips an artist, always in the same of the ten folds.
        fold = -1 if agreement else index // 2 % 10
        split = "agreement" if agreement else "train"
        rows.append([name, quadrant, f"Artist {index // 2}", "Calm", "Pop/Rock", split, fold])
    table(folder / "clips.csv", ["clip", "quadrant", "artist", "moods", "genres", "split", "fold"], rows)


def write_emopia(folder: Path, clips: int) -> None:
    rows = []
    for index in range(clips):
        quadrant, song = QUADRANTS[index % 4], f"song_{index // 2}"
        name = f"{quadrant}_{song}_{index % 2}.mid"
        midi(folder / "midi" / name, quarters=4, bpm=160 if quadrant in ("Q1", "Q2") else 70, pitch=60 + index % 12)
        rows.append([name, quadrant, song, index // 2 % 5])
    table(folder / "folds.csv", ["midi", "quadrant", "song", "fold"], rows)


def write_vgmidi(folder: Path, pieces: int, bars: int = 3) -> None:
    generator = np.random.default_rng(1)
    traces, rows = {}, []
    for index in range(pieces):
        name, piece = f"Game_{index}.mid", f"1-{index}"
        midi(folder / "midi" / name, quarters=4 * bars, bpm=120, pitch=48 + index)
        centre = generator.uniform(-0.8, 0.8, (1, 1, 2))
        va = np.clip(centre + generator.normal(0, 0.1, (RATERS, bars, 2)), -1, 1).round(2)
        raters = [
            {"valence": one[:, 0].tolist(), "arousal": one[:, 1].tolist(), "musicianship": 1, "known": False}
            for one in va
        ]
        traces[piece] = {
            "midi": name,
            "seconds": 2.0 * bars,
            "bar_seconds": [2.0 * bar for bar in range(bars)],
            "raters": raters,
        }
        rows.append([piece, name, index % 5])
    write_traces(folder, traces)
    table(folder / "folds.csv", ["piece", "midi", "fold"], rows)


def write_traces(folder: Path, traces: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "traces.json.gz", "wt", encoding="utf-8") as file:
        json.dump(traces, file)


def read_traces(folder: Path) -> dict:
    with gzip.open(folder / "traces.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


def write_emomusic(folder: Path, seconds: float) -> None:
    header = ["song_id", *(f"sample_{ms}ms" for ms in (15000, 15500, 16000))]
    for axis, level in (("valence", 0.2), ("arousal", -0.3)):
        table(folder / f"{axis}_cont_average.csv", header, [[song, level, level + 0.1, level] for song in (2, 3)])
        table(folder / f"{axis}_cont_std.csv", header, [[song, 0.2, 0.3, 0.2] for song in (2, 3)])
    opus(folder / "audio" / "2.opus", chord("Q4", seconds))


def write_pmemo(folder: Path, seconds: float) -> None:
    header = ["musicId", "frameTime", "Arousal(mean)", "Valence(mean)", "Arousal(std)", "Valence(std)"]
    table(folder / "dynamic.csv", header, [[song, t, 0.25, 0.75, 0.1, 0.2] for song in (4, 5) for t in (15.5, 16.0)])
    opus(folder / "audio" / "4.opus", chord("Q1", seconds))


def chord(quadrant: str, seconds: float, seed: int = 0) -> np.ndarray:
    """Float32 (n,): major or minor for valence, fast bright pulses or a dark slow swell for arousal."""
    t = np.arange(int(seconds * RATE)) / RATE
    major, lively = quadrant in ("Q1", "Q4"), quadrant in ("Q1", "Q2")
    root = 220.0 * 2 ** (seed % 12 / 12)
    sound = sum(
        np.sin(2 * np.pi * root * harmonic * 2 ** (step / 12) * t) / harmonic
        for step in (0, 4 if major else 3, 7)
        for harmonic in range(1, 9 if lively else 2)
    )
    envelope = np.exp(-8 * (t * (4 if lively else 1) % 1.0))
    noise = np.random.default_rng(seed).normal(0, 0.01, t.size)
    return (0.1 * sound * envelope + noise).astype(np.float32)


def opus(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, format="OGG", subtype="OPUS")


def midi(
    path: Path, quarters: int, bpm: float, pitch: int = 60, meter: tuple[int, int] = (4, 4), tempi: Sequence = ()
) -> None:
    """One quarter note after another; ``tempi``: (quarter, bpm) pairs where the tempo changes."""
    track = mido.MidiTrack([mido.MetaMessage("time_signature", numerator=meter[0], denominator=meter[1])])
    changes = {0: bpm, **dict(tempi)}
    for quarter in range(quarters):
        if quarter in changes:
            track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(changes[quarter])))
        note = pitch + (0, 4, 7)[quarter % 3]
        track.append(mido.Message("note_on", note=note, velocity=90, time=0))
        track.append(mido.Message("note_off", note=note, time=480))
    path.parent.mkdir(parents=True, exist_ok=True)
    mido.MidiFile(tracks=[track], ticks_per_beat=480).save(path)


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
