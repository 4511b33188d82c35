"""The annotated music that a model is trained on, read from a folder that the user names.

Every label comes out in the project's own terms (see labels.py). A set or a file that is absent is reported in
``DataFolder.missing``; a label that cannot be true (out of range, another length than its time axis) raises DataError
with its file and row.

The folders below the one that is named, in any case of letters: ``4q``, ``agreement``, ``vgmidi``, ``emopia``,
``emotify``, ``soundtracks``, ``liris``, ``teacher``, ``open_music``; and, as their authors publish them (songs.py,
moodswings.py), all that begin with ``emomusic`` or ``1000songs``, ``pmemo``, ``deam``, ``mediaeval`` or
``emotioninmusic``, ``moodswings``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ...errors import DataError
from .labels import EMISSION_SECONDS, QUADRANTS, Clip, Overall, Piece, Points, RatedSong, Trace
from .liris import Footage, read_liris
from .listeners import Agreement, FeltClip, Soundtracks, read_agreement, read_emotify, read_soundtracks
from .moodswings import read_moodswings
from .quadrants import read_4q, read_emopia
from .static_annotations import read_overall
from .traces import read_traces
from .unlabelled import Recording, find_teacher, read_open_music
from .vgmidi import read_vgmidi

__all__ = [
    "EMISSION_SECONDS", "QUADRANTS", "Agreement", "Clip", "DataFolder", "FeltClip", "Footage", "Overall", "Piece",
    "Points", "RatedSong", "Recording", "Soundtracks", "Trace", "read_folder",
]  # fmt: skip

_EXPECTED = (
    "4q/clips.csv, vgmidi/traces.json.gz, emopia/folds.csv, emomusic/valence_cont_average.csv or pmemo/dynamic.csv"
)
_PUBLISHED = {  # how the folder names of users' own copies begin, letters and digits only
    "emomusic": ("emomusic", "1000songs"),
    "pmemo": ("pmemo",),
    "deam": ("deam",),
    "mediaeval": ("mediaeval", "emotioninmusic"),
    "moodswings": ("moodswings",),
}


@dataclass(frozen=True, slots=True, eq=False)
class DataFolder:
    """All that was found under ``root``; a set that is absent is () or None.

    ``agreement`` (4q's clips with 100 listeners each, whose answers are ``ratings``) is never for training.
    ``teacher``: embeddings by set, opened by unlabelled.read_teacher. ``overall``: static annotations of the songs.
    """

    root: Path
    four_q: tuple[Clip, ...]
    agreement: tuple[Clip, ...]
    emopia: tuple[Clip, ...]
    vgmidi: tuple[Piece, ...]
    emomusic: tuple[Trace, ...]
    pmemo: tuple[Trace, ...]
    deam: tuple[Trace, ...]
    mediaeval: tuple[Trace, ...]
    overall: tuple[Overall, ...]
    moodswings: tuple[RatedSong, ...]
    ratings: Agreement | None
    emotify: tuple[FeltClip, ...]
    soundtracks: Soundtracks | None
    liris: Footage | None
    teacher: dict[str, Path]
    open_music: tuple[Recording, ...]
    missing: list[str]


_Found = TypeVar("_Found")


def read_folder(data: Path) -> DataFolder:
    """Read the label files under ``data`` (no audio is opened; the scores of vgmidi are, for their bar times).

    Raises
    ------
    DataError
        If there is none of the sets to train on, or a label is out of range or out of step with its time axis.
    """
    if data.exists() and not data.is_dir():
        raise DataError(f"{data} is a file: name the folder that holds the annotated music")
    missing: list[str] = []

    def take(name: str, read: Callable[[Path, list[str]], _Found]) -> _Found | None:
        folders = _folders(data, name)
        try:
            return read(folders[0] if folders else data / name, missing)
        except FileNotFoundError as error:
            missing.append(f"{name}: {Path(error.filename or name).name} is absent, the set is left out")
            return None

    traces, overall = {}, []
    for name in ("emomusic", "pmemo", "deam", "mediaeval"):
        traces[name], static = _songs(data, name, missing)
        overall += static
    clips = take("4q", read_4q) or ()
    folder = DataFolder(
        root=data,
        four_q=tuple(clip for clip in clips if clip.set == "4q"),
        agreement=tuple(clip for clip in clips if clip.set == "agreement"),
        emopia=take("emopia", read_emopia) or (),
        vgmidi=take("vgmidi", read_vgmidi) or (),
        **traces,
        overall=tuple(overall),
        moodswings=take("moodswings", read_moodswings) or (),
        ratings=take("agreement", read_agreement),
        emotify=take("emotify", read_emotify) or (),
        soundtracks=take("soundtracks", read_soundtracks),
        liris=take("liris", read_liris),
        teacher=take("teacher", find_teacher) or {},
        open_music=take("open_music", read_open_music) or (),
        missing=missing,
    )
    if not (clips or folder.emopia or folder.vgmidi or folder.moodswings or any(traces.values())):
        raise DataError(f"no training data in {data}: expected {_EXPECTED} below it")
    return folder


def _songs(data: Path, name: str, missing: list[str]) -> tuple[tuple[Trace, ...], list[Overall]]:
    """The songs of every copy of a set, each song once: from the first copy that has its audio, else from the first."""
    songs: dict[str, Trace] = {}
    overall: dict[str, Overall] = {}
    copies = _folders(data, name) or [data / name]
    for folder in copies:
        try:
            traces = read_traces(folder, name, missing)
        except FileNotFoundError as error:
            absent = Path(error.filename or name).name if folder.is_dir() else "its folder"
            missing.append(f"{name}: {absent} is absent, the set is left out")
            continue
        for trace in traces:
            if trace.id not in songs or (songs[trace.id].path is None and trace.path is not None):
                songs[trace.id] = trace
        overall.update((song.id, song) for song in read_overall(folder, name, traces, missing))
    return tuple(songs.values()), list(overall.values())


def _folders(data: Path, name: str) -> list[Path]:
    """The folders directly below ``data`` that hold the set; whether in upper or lower case."""
    if not data.is_dir():
        return []
    starts = _PUBLISHED.get(name)
    return sorted(
        path
        for path in data.iterdir()
        if path.is_dir() and (path.name.lower() == name if starts is None else _plain(path.name).startswith(starts))
    )


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))
