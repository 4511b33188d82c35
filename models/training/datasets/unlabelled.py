"""Material without emotion labels: a teacher's embeddings, and recordings that may be redistributed."""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError

TEACHER_SIZE = 200
TEACHER_FIRST, TEACHER_STEP = 3.01, 1.0  # s: where the first window ends, and how far apart they are
_TAUGHT = ("4q", "emotify", "vgmidi")
_AUDIO = (".mp3", ".ogg", ".opus", ".wav", ".flac")
_BY_NAME = {  # these come without a note of their own
    "Gold Rush": ("Kevin MacLeod", "CC BY 4.0"),
    "Krampus Workshop": ("Kevin MacLeod", "CC BY 4.0"),
}


def find_teacher(folder: Path, missing: list[str]) -> dict[str, Path]:
    """Which of ``musicnn_{4q,emotify,vgmidi}.npz`` are there, by set: the teacher is large, read_teacher opens it."""
    paths = {name: path for name in _TAUGHT if (path := folder / f"musicnn_{name}.npz").is_file()}
    if not paths:
        raise FileNotFoundError(2, "absent", str(folder / f"musicnn_{_TAUGHT[0]}.npz"))
    if lacking := [name for name in _TAUGHT if name not in paths]:
        missing.append(f"teacher: no embeddings for {', '.join(lacking)}")
    return paths


def read_teacher(path: Path) -> dict[str, NDArray[np.float32]]:
    """The embeddings of every clip (vgmidi: MIDI stem), each (n, 200) float32, row k ending at 3.01 + k seconds.

    MusiCNN's penultimate layer (Pons & Serra, 2019) on causal windows of 3 s, a second apart; stored as
    mean + scale * int8. DataError if the file is absent, damaged or of another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            mean, scale = file["mean"], file["scale"]
            stored = {name: file[name] for name in file.files if name not in ("mean", "scale")}
    except FileNotFoundError as error:
        raise DataError(f"{path} is absent: there is no teacher for this set") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch it again") from error
    if mean.shape != (TEACHER_SIZE,) or scale.shape != (TEACHER_SIZE,):
        raise DataError(f"{path}: mean or scale is not of shape ({TEACHER_SIZE},)")
    for name, values in stored.items():
        if values.dtype != np.int8 or values.ndim != 2 or values.shape[1] != TEACHER_SIZE:
            raise DataError(f"{path}, clip {name}: {values.dtype} {values.shape}, expected int8 (n, {TEACHER_SIZE})")
    return {name: (mean + scale * values).astype(np.float32) for name, values in stored.items()}


def teacher_times(count: int) -> NDArray[np.float64]:
    """When each of ``count`` embeddings has heard its last sample, in seconds: (count,)."""
    return TEACHER_FIRST + TEACHER_STEP * np.arange(count, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that may be redistributed under ``licence`` if ``author`` is named."""

    path: Path
    author: str
    licence: str
    kind: Literal["music", "speech"]


def read_open_music(folder: Path, missing: list[str]) -> tuple[Recording, ...]:
    """Each recording with the author and licence of its ``.txt``; one that says neither is reported and left out."""
    if not folder.is_dir():
        raise FileNotFoundError(2, "absent", str(folder))
    recordings = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in _AUDIO):
        stem = path.stem.removesuffix(".hq")
        note = folder / f"{stem}.txt"
        if note.is_file():
            text = note.read_text(encoding="utf-8", errors="replace")
            author, licence = _author(text), _licence(text)
        else:
            text, (author, licence) = "", _BY_NAME.get(stem, ("", ""))
        if author and licence:
            speech = re.search(r"librispeech|librivox", text, re.IGNORECASE)
            recordings.append(Recording(path, author, licence, "speech" if speech else "music"))
        else:
            missing.append(f"open_music: {path.name} comes without author and licence, it is left out")
    return tuple(recordings)


def _author(text: str) -> str:
    first = text.strip().partition("\n")[0]
    read = re.search(r"(?:read|narrated) by (.+)$", first, re.IGNORECASE)
    made = re.search(r"\bby (.+?) is (?:licensed|in the public domain)", first, re.IGNORECASE)
    match = read or made
    return match.group(1).strip(" .") if match else ""


def _licence(text: str) -> str:
    line = next((line for line in text.splitlines() if "creativecommons.org" in line), "")
    return line.partition("http")[0].strip()
