"""What a model is fitted to: acoustic vectors of every clip, streamed, with the labels that belong to them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import texture
from ..errors import DataError
from ..features import BLOCK, BLOCKS, FeatureExtractor
from . import datasets
from .cache import extract_all
from .datasets import Points
from .render import render_all
from .splits import joined_in_pairs

Say = Callable[[str], None]

SETS = ("4q", "emopia", "vgmidi")  # what a model is fitted to


@dataclass(frozen=True, eq=False)
class Example:
    """One clip: its acoustic vectors, one row a block (100 ms), and its label.

    ``quadrant`` is 0..3, or None where ``points`` (one row a rating) say more.
    """

    id: str
    set: str
    group: str
    fold: int
    vectors: NDArray[np.float32]  # (blocks, texture.SIZE)
    weights: NDArray[np.float64]  # (blocks,), 0..1: how much each vector counts; 0 in silence
    quadrant: int | None = None
    points: Points | None = None


def acoustic_vectors(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """24 kHz mono sound -> (blocks, texture.SIZE + 1): what the live chain computes, and how much it counts."""
    extractor = FeatureExtractor()
    state, textured = extractor.init(), texture.init()
    rows = np.empty((samples.size // BLOCK, texture.SIZE + 1), dtype=np.float32)
    for i in range(len(rows)):
        state, features = extractor.step(state, samples[i * BLOCK : (i + 1) * BLOCK])
        textured, rows[i, :-1], rows[i, -1] = texture.step(textured, features)
    return rows


def _extractor() -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    return acoustic_vectors


def gather(data: Path, say: Say = print) -> list[Example]:
    """Read, render and measure all annotated clips under ``data``; what is missing or broken is said and left out.

    Raises:
        DataError: nothing usable, or labels that cannot be true.
    """
    folder = datasets.load(data)
    for line in folder.missing:
        if line.split(":")[0] in SETS:
            say(f"missing: {line}")
    midi = [(clip.id, clip.path) for clip in (*folder.emopia, *folder.vgmidi)]
    rendered = _rendered(midi, say)
    audio = [(clip.id, clip.path) for clip in folder.four_q] + list(rendered.items())
    if not audio:
        raise DataError(f"{data}: none of the annotated clips can be read")
    measured = _measured(audio, say)
    examples = [
        Example(clip.id, clip.set, clip.group, fold, *measured[clip.id], quadrant=clip.quadrant)
        for clips, folds in (
            (folder.four_q, joined_in_pairs([clip.fold for clip in folder.four_q])),
            (folder.emopia, [clip.fold for clip in folder.emopia]),
        )
        for clip, fold in zip(clips, folds, strict=True)
        if clip.id in measured
    ]
    for piece in folder.vgmidi:
        if piece.id in measured:
            vectors, weights = measured[piece.id]
            points = piece.points(emissions=len(vectors) // BLOCKS)
            examples.append(Example(piece.id, "vgmidi", piece.id, piece.fold, vectors, weights, points=points))
    return examples


def _rendered(midi: Sequence[tuple[str, Path]], say: Say) -> dict[str, Path]:
    if not midi:
        return {}
    try:
        rendered = render_all(midi, progress=partial(_progress, say, "rendered"))
    except DataError as error:
        say(f"missing: {len(midi)} MIDI files cannot be rendered: {error}")
        return {}
    for line in rendered.failed.values():
        say(f"skipped: {line}")
    return rendered.paths


def _measured(
    audio: Sequence[tuple[str, Path]], say: Say
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float64]]]:
    extracted = extract_all(audio, _extractor, _layout(), progress=partial(_progress, say, "measured"))
    for line in extracted.skipped.values():
        say(f"skipped: {line}")
    measured = {}
    for clip in extracted.paths:
        rows = extracted.features(clip)
        if len(rows) < BLOCKS:
            say(f"skipped: {clip} is shorter than half a second, which is one emission")
            continue
        measured[clip] = (rows[:, :-1], rows[:, -1].astype(np.float64))
    return measured


def _layout() -> str:
    """Changes with any line of code that the vectors come from: a cache can't outlive what filled it."""
    models = Path(texture.__file__).parent
    sources = [*sorted((models.parent / "kernels").glob("*.py")), models / "features.py", models / "texture.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _progress(say: Say, what: str, done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        say(f"{what} {done} of {total}")
