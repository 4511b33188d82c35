"""What a model is fitted to: every clip as the live chain hears it, clean and altered, with the labels it has."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..cache import Extractor, extract_all, file_stamp, load_audio
from ..datasets.folder import DataFolder, Points, Trace, read_folder
from ..datasets.unlabelled import read_teacher
from ..recipe import SETS
from ..source_digest import source_digest
from ..synthesis.augment import random_augmentation, under
from ..synthesis.midi_render import render_all
from .measure import ClipFeatures, layout, measure
from .splits import joined_in_pairs
from .targets import histogram

Progress = Callable[[str], None]

NEVER = -1  # the fold of a clip that is in no test, for it has no label that a heatmap could be held against


@dataclass(frozen=True, eq=False)
class Example:
    """One clip and its labels.

    ``quadrant`` is 0..3; ``points`` has one row a rating; ``trace`` means over raters; ``moods`` are tags, ``feelings``
    shares of listeners; ``teacher`` (n, 200) as ``unlabelled.teacher_times`` has it. What a clip lacks is None.
    ``altered``: the same clip in other rooms, through other devices.
    """

    id: str
    set: str
    group: str
    fold: int
    features: ClipFeatures
    quadrant: int | None = None
    points: Points | None = None
    trace: Trace | None = None
    moods: tuple[str, ...] | None = None
    feelings: tuple[float, ...] | None = None
    teacher: NDArray[np.float32] | None = None
    altered: tuple[ClipFeatures, ...] = ()

    @cached_property
    def histogram(self) -> NDArray[np.float32]:
        """The raters' shares of the cells at each emission: (emissions, 121); rows sum to 1, or 0 if nobody rated."""
        return histogram(self.features.emissions, self.points, self.trace)


def gather(
    data: Path,
    progress: Progress = print,
    *,
    altered: int = 0,
    condition: str | None = None,
    processes: int | None = None,
) -> list[Example]:
    """Read, render and measure all annotated clips under ``data``; what is missing or broken is said and left out.

    Parameters
    ----------
    data
        The folder of all data sets.
    progress
        Takes a line for each step, and for each clip that is left out.
    altered
        How many altered copies of each clip of ``SETS`` and of Emotify to measure too.
    condition
        Hear every clip as ``augment.CONDITIONS`` has it, instead of as it is.
    processes
        How many measure at a time; None: one a processor.

    Raises
    ------
    DataError
        Nothing usable, or labels that cannot be true.
    """
    folder = read_folder(data)
    for line in folder.missing:
        if line.split(":")[0] in (*SETS, "emotify", "teacher", "emomusic", "pmemo"):
            progress(f"missing: {line}")
    midi = _rendered([(clip.id, clip.path) for clip in (*folder.emopia, *folder.vgmidi)], progress)
    traced = {f"{t.set}-{t.id}": t for t in (*folder.emomusic, *folder.pmemo, *folder.deam, *folder.mediaeval)}
    traced = {name: t for name, t in traced.items() if t.path is not None}
    recordings = [(clip.id, clip.path) for clip in folder.four_q]
    felt = [] if condition else [(f"emotify-{clip.id}", clip.path) for clip in folder.emotify]
    audio = [*recordings, *midi.items(), *felt, *((name, t.path) for name, t in traced.items() if t.path is not None)]
    if not audio:
        raise DataError(f"{data}: none of the annotated clips can be read")
    speech = tuple(r.path for r in folder.open_music if r.kind == "speech")
    make: Callable[[], Extractor] = partial(_conditioned, condition) if condition else _extractor
    measured = _measured(audio, make, condition or "", progress, condition or "clean", processes)
    copies: dict[str, list[ClipFeatures]] = {}
    for k in range(altered):
        readable = [(name, path) for name, path in (*recordings, *midi.items(), *felt) if name in measured]
        drawn_from = f"altered {k} {[file_stamp(path) for path in speech]}"
        made = _measured(
            readable, partial(_altering, k, speech), drawn_from, progress, f"altered copy {k + 1}", processes
        )
        for name, heard in made.items():
            copies.setdefault(name, []).append(heard)
    return list(_examples(folder, measured, copies, traced, progress))


def _examples(
    folder: DataFolder,
    measured: dict[str, ClipFeatures],
    copies: dict[str, list[ClipFeatures]],
    traced: dict[str, Trace],
    progress: Progress,
) -> Sequence[Example]:
    taught = {name: read_teacher(path) for name, path in folder.teacher.items()}

    def teacher(name: str, clip: str) -> NDArray[np.float32] | None:
        return taught.get(name, {}).get(clip)

    examples = []
    for clips, folds in (
        (folder.four_q, joined_in_pairs([clip.fold for clip in folder.four_q])),
        (folder.emopia, [clip.fold for clip in folder.emopia]),
    ):
        for clip, fold in zip(clips, folds, strict=True):
            if heard := measured.get(clip.id):
                examples.append(
                    Example(
                        clip.id,
                        clip.set,
                        clip.group,
                        int(fold),
                        heard,
                        quadrant=clip.quadrant,
                        moods=tuple(clip.moods) or None,
                        teacher=teacher(clip.set, clip.id),
                        altered=tuple(copies.get(clip.id, ())),
                    )
                )
    for piece in folder.vgmidi:
        if heard := measured.get(piece.id):
            points = piece.points(emissions=heard.emissions)
            if not points.emission.size:
                progress(f"skipped: {piece.id} is over before its first emission")
                continue
            known, others = teacher("vgmidi", piece.path.stem), tuple(copies.get(piece.id, ()))
            examples.append(
                Example(piece.id, "vgmidi", piece.id, piece.fold, heard, points=points, teacher=known, altered=others)
            )
    for clip in folder.emotify:
        name = f"emotify-{clip.id}"
        if heard := measured.get(name):
            known, others = teacher("emotify", clip.id), tuple(copies.get(name, ()))
            felt = tuple(float(share) for share in clip.felt)
            examples.append(Example(name, "emotify", name, NEVER, heard, feelings=felt, teacher=known, altered=others))
    for name, trace in traced.items():
        if heard := measured.get(name):
            fold = zlib.crc32(trace.group.encode()) % 5  # no folds are fixed for these
            examples.append(Example(name, trace.set, trace.group, fold, heard, trace=trace))
    return examples


def _extractor() -> Extractor:
    return measure


def _conditioned(condition: str) -> Extractor:
    return lambda samples: measure(under(condition, samples, _drawn(samples, condition)))


def _altering(copy: int, speech: Sequence[Path]) -> Extractor:
    voices = [load_audio(path) for path in speech]
    return lambda samples: measure(random_augmentation(_drawn(samples, f"copy {copy}"), samples, voices or None))


def _drawn(samples: NDArray[np.float32], purpose: str) -> np.random.Generator:
    """Random numbers that belong to the clip itself, so that neither order nor company of the clips matters."""
    return np.random.default_rng([zlib.crc32(samples.tobytes()), zlib.crc32(purpose.encode())])


def _rendered(midi: Sequence[tuple[str, Path]], progress: Progress) -> dict[str, Path]:
    if not midi:
        return {}
    try:
        rendered = render_all(midi, progress=partial(_count, progress, "rendered"))
    except DataError as error:
        progress(f"missing: {len(midi)} MIDI files cannot be rendered: {error}")
        return {}
    for line in rendered.failed.values():
        progress(f"skipped: {line}")
    return rendered.paths


def _measured(
    audio: Sequence[tuple[str, Path]],
    make: Callable[[], Extractor],
    what: str,
    progress: Progress,
    shown: str,
    processes: int | None,
) -> dict[str, ClipFeatures]:
    count = partial(_count, progress, f"measured ({shown})")
    extracted = extract_all(
        audio,
        make,
        layout() + (source_digest(random_augmentation, under, _drawn) + what if what else ""),
        processes,
        progress=count,
    )
    for line in extracted.skipped.values():
        progress(f"skipped: {line}")
    measured = {}
    for clip in extracted.paths:
        heard = ClipFeatures(extracted.paths[clip])
        if heard.emissions:
            measured[clip] = heard
        else:
            progress(f"skipped: {clip} is shorter than half a second, which is one emission")
    return measured


def _count(progress: Progress, what: str, done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        progress(f"{what} {done} of {total}")
