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
        rows.append([name, quadrant, f"Artist {index // 2}", "Calm; Rainy Day", "Pop/Rock", split, fold])
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


def write_agreement(folder: Path, listeners: int = 3, clips: int = 2) -> None:
    """Listener l rates emotion e of clip c with 1 + (l + c + e) % 5."""
    emotions = [
        "anger",
        "bitter",
        "fear",
        "joy",
        "peace",
        "power",
        "sad",
        "surprise",
        "tender",
        "tension",
        "transcendence",
    ]
    header = ["language", *emotions, "preference", "familiarity", "understanding", "clip", "listener"]
    rows = [
        ["german", *(1 + (one + clip + e) % 5 for e in range(11)), 1 + one, 5, 3, f"MT{clip}", f"de{one:03d}"]
        for one in range(listeners)
        for clip in range(clips)
    ]
    table(folder / "ratings.csv", header, rows)


def write_emotify(folder: Path, clips: int = 3) -> None:
    """Two listeners a clip: the first feels amazement, tension and sadness, the second tenderness and sadness."""
    feelings = [
        "amazement",
        "solemnity",
        "tenderness",
        "nostalgia",
        "calmness",
        "power",
        "joyful_activation",
        "tension",
        "sadness",
    ]
    header = ["clip", "genre", *feelings, "mood", "liked", "disliked", "age", "gender", "mother tongue"]
    rows = []
    for clip in range(1, clips + 1):
        rows.append([f"{clip:03d}", "rock", 1, 0, 0, 0, 0, 0, 0, 1, 1, 3, 1, 0, 21, 1, "Dutch"])
        rows.append([f"{clip:03d}", "rock", 0, 0, 1, 0, 0, 0, 0, 0, 1, 5, 0, 1, 34, 0, "English"])
        opus(folder / "audio" / f"{clip:03d}.opus", np.zeros(480, dtype=np.float32))
    table(folder / "ratings.csv", header, rows)


def write_soundtracks(folder: Path) -> None:
    header = ["id", "Track", "Valence", "Energy", "Tension", "Gender", "Age", "Musicianship"]
    rows = [
        [2, 1, 3.0, 8.0, 9.0, "Female", 27, 3.0],
        [2, 2, 5.0, 1.0, 9.0, "Female", 27, 3.0],
        [7, 2, 9.0, 5.0, 1.0, "Male", 31, ""],
    ]
    table(folder / "ratings.csv", header, rows)
    table(
        folder / "features.csv", ["Track", "File", "RMS", "MFCC1"], [[1, "001.mp3", 0.1, -90], [2, "002.mp3", 0.2, 5]]
    )


def write_liris(folder: Path) -> None:
    header = ["id", "name", "valenceValue", "arousalValue", "valenceVariance", "arousalVariance", "set"]
    names = [f"ACCEDE{clip:05d}.mp4" for clip in range(3)]
    table(folder / "ratings.csv", header, [[i, name, 1 + i, 5 - i, 0.16, 0.04, i] for i, name in enumerate(names)])
    compress(folder / "ratings.csv")
    features = folder / "ACCEDEfeaturesValence_TAC2015.csv"
    table(features, ["id", "name", "alpha", "zcr"], [[i, names[i], 10 * i, 0.5] for i in (2, 0, 1)])
    compress(features)
    (folder / "continuous").mkdir()
    for axis, seconds in (("Valence", 4), ("Arousal", 3)):
        lines = ["Time\tMean\tStd", *(f"{second}\t{0.1 * second:.2f}\t0.25" for second in range(seconds))]
        (folder / "continuous" / f"A_Film_{axis}.txt").write_text("\n".join(lines) + "\n")


def write_teacher(folder: Path) -> None:
    folder.mkdir(parents=True)
    mean, scale = np.full(200, 0.5, np.float32), np.full(200, 0.01, np.float32)
    clips = {"MT1": np.full((3, 200), 100, np.int8), "MT2": np.full((1, 200), -50, np.int8)}
    np.savez(folder / "musicnn_4q.npz", mean=mean, scale=scale, **clips)  # pyright: ignore[reportArgumentType]


def write_open_music(folder: Path) -> None:
    folder.mkdir(parents=True)
    notes = {
        "A_Song": "A Song by Ann Author is licensed under a Creative Commons Attribution License.\nFrom somewhere\n"
        "CC-BY https://creativecommons.org/licenses/by/3.0/\n",
        "12-3": "A Book / Chapter 1 / Read by Bob Voice\nFrom the LibriSpeech SLR12 collection\n"
        "CC-BY 4.0 https://creativecommons.org/licenses/by/4.0/\n",
    }
    for name, text in notes.items():
        (folder / f"{name}.txt").write_text(text)
        (folder / f"{name}.hq.ogg").touch()
    (folder / "Gold Rush.mp3").touch()
    (folder / "found on the street.mp3").touch()


def compress(path: Path) -> None:
    """path -> path.gz"""
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


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
