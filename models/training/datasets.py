"""The annotated music that a model is trained on, read from a folder that the user names.

Every label comes out in the project's own terms: valence and arousal in [-1, 1], quadrants 0..3 for Q1 V+A+, Q2 V-A+,
Q3 V-A-, Q4 V+A-. A set or a file that is absent is reported in ``DataFolder.missing``; a label that cannot be true
(out of range, another length than its time axis) raises DataError with its file and row.

Sources: 4Q (Panda, Malheiro & Paiva 2018), VGMIDI (Ferreira & Whitehead 2019), EMOPIA (Hung et al. 2021),
emoMusic (Soleymani et al. 2013), PMEmo (Zhang et al. 2018).
"""

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .score import Score, need_mido, read_score
from .tables import number, rows, whole

EMISSION_SECONDS = 0.5
QUADRANTS = ("Q1", "Q2", "Q3", "Q4")
_EXPECTED = (
    "4q/clips.csv, vgmidi/traces.json.gz, emopia/folds.csv, emomusic/valence_cont_average.csv or pmemo/dynamic.csv"
)


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip with one quadrant for its whole length.

    ``path`` is audio (4q) or MIDI (emopia); clips of one ``group`` (artist, song) share one ``fold``.
    """

    id: str
    path: Path
    quadrant: int
    group: str
    fold: int
    set: str


class Points(NamedTuple):
    """One row a rating: at emission ``emission`` (time (emission + 1) / 2 s) rater ``rater`` stood at (v, a)."""

    emission: NDArray[np.intp]
    rater: NDArray[np.intp]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A MIDI piece rated bar by bar: ``valence`` and ``arousal`` are (raters, bars), ``bar_edges`` (bars + 1,) seconds.

    ``seconds`` is the length of the MIDI file; the piece's id is its group.
    """

    id: str
    path: Path
    fold: int
    seconds: float
    bar_edges: NDArray[np.float64]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]

    def bar_at_emissions(self, annotator_lag: float = 0.0) -> NDArray[np.intp]:
        """The bar being rated at emission times 0.5, 1.0, ... s, to the last bar's end: (emissions,), always < bars.

        ``annotator_lag`` (seconds) pairs the music at t with the rating entered at t + lag. The raters of VGMIDI trail
        the music by about 4 s (the notes played correlate best with the arousal entered then), but so does a causal
        tracker, which at t knows the seconds before t: hence 0 by default, what is felt now from what was heard so far.
        """
        end = min(float(self.bar_edges[-1]), self.seconds) - annotator_lag
        times = EMISSION_SECONDS * np.arange(1, int(end / EMISSION_SECONDS) + 1) + annotator_lag
        # side="left": an emission exactly on a bar line has heard the bar before it and nothing of the next one.
        return np.clip(np.searchsorted(self.bar_edges, times, side="left") - 1, 0, self.valence.shape[1] - 1)

    def points(self, annotator_lag: float = 0.0, emissions: int | None = None) -> Points:
        """Every rater's position at every rated emission, emission by emission: arrays (emissions * raters,).

        ``emissions`` (how many the audio gave) leaves out ratings of silence after the last sound.
        """
        bars = self.bar_at_emissions(annotator_lag)[:emissions]
        raters = self.valence.shape[0]
        return Points(
            np.repeat(np.arange(bars.size), raters),
            np.tile(np.arange(raters), bars.size),
            self.valence[:, bars].T.ravel(),
            self.arousal[:, bars].T.ravel(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Mean and standard deviation over raters of VA in [-1, 1], every half second: arrays (n,), ``times`` in seconds.

    ``path`` is the audio, or None: most of these clips are here as labels only.
    """

    id: str
    set: str
    path: Path | None
    times: NDArray[np.float64]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]
    valence_std: NDArray[np.float64]
    arousal_std: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DataFolder:
    """All that was found under ``root``. ``agreement`` (4q's clips with 100 listeners each) is never for training."""

    root: Path
    four_q: tuple[Clip, ...]
    agreement: tuple[Clip, ...]
    emopia: tuple[Clip, ...]
    vgmidi: tuple[Piece, ...]
    emomusic: tuple[Trace, ...]
    pmemo: tuple[Trace, ...]
    missing: list[str]


_Item = TypeVar("_Item", Clip, Piece, Trace)


def load(data: Path) -> DataFolder:
    """Read the label files under ``data`` (no audio is opened; the scores of vgmidi are, for their bar times).

    Raises DataError if there is none of the sets, or a label is out of range or out of step with its time axis.
    """
    missing: list[str] = []

    def take(name: str, read: Callable[[Path, list[str]], tuple[_Item, ...]]) -> tuple[_Item, ...]:
        try:
            return read(data / name, missing)
        except FileNotFoundError as error:
            missing.append(f"{name}: {Path(error.filename or name).name} is absent, the set is left out")
            return ()

    clips = take("4q", _read_4q)
    folder = DataFolder(
        root=data,
        four_q=tuple(clip for clip in clips if clip.set == "4q"),
        agreement=tuple(clip for clip in clips if clip.set == "agreement"),
        emopia=take("emopia", _read_emopia),
        vgmidi=take("vgmidi", _read_vgmidi),
        emomusic=take("emomusic", _read_emomusic),
        pmemo=take("pmemo", _read_pmemo),
        missing=missing,
    )
    if not (clips or folder.emopia or folder.vgmidi or folder.emomusic or folder.pmemo):
        raise DataError(f"no training data in {data}: expected {_EXPECTED} below it")
    return folder


def _read_4q(folder: Path, missing: list[str]) -> tuple[Clip, ...]:
    table = folder / "clips.csv"
    clips = []
    for where, row in rows(table, ("clip", "quadrant", "artist", "split", "fold")):
        if row["split"] not in ("train", "agreement"):
            raise DataError(f"{where}: split is {row['split']!r}, expected train or agreement")
        name = "4q" if row["split"] == "train" else "agreement"
        path = folder / "audio" / f"{row['clip']}.opus"
        fold = whole(row["fold"], where, "fold")
        if name == "4q" and fold < 0:
            raise DataError(f"{where}: a clip to train on has fold {fold}")
        clips.append(Clip(row["clip"], path, _quadrant(row["quadrant"], where), row["artist"], fold, name))
    return _present(clips, "4q", missing)


def _read_emopia(folder: Path, missing: list[str]) -> tuple[Clip, ...]:
    clips = []
    for where, row in rows(folder / "folds.csv", ("midi", "quadrant", "song", "fold")):
        path = folder / "midi" / row["midi"]
        if not row["midi"].startswith(row["quadrant"] + "_"):
            raise DataError(f"{where}: {row['midi']} is said to be {row['quadrant']}, its name says otherwise")
        quadrant, fold = _quadrant(row["quadrant"], where), whole(row["fold"], where, "fold")
        clips.append(Clip(path.stem, path, quadrant, row["song"], fold, "emopia"))
    return _present(clips, "emopia", missing)


def _read_vgmidi(folder: Path, missing: list[str]) -> tuple[Piece, ...]:
    traces = folder / "traces.json.gz"
    try:
        with gzip.open(traces, "rt", encoding="utf-8") as file:
            need_mido()  # not before: who has no such set needs no mido
            records: dict[str, Any] = json.load(file)
    except (gzip.BadGzipFile, EOFError, ValueError) as error:
        raise DataError(f"{traces} cannot be read ({error}): fetch it again") from error
    folds = {
        row["piece"]: whole(row["fold"], where, "fold") for where, row in rows(folder / "folds.csv", ("piece", "fold"))
    }
    if strangers := sorted(records.keys() - folds.keys()):
        raise DataError(f"{folder / 'folds.csv'}: no fold for {_name_some(strangers)}")
    pieces, absent, broken = [], [], []
    for name, record in records.items():
        path, valence, arousal = _piece_labels(folder, name, record)
        try:
            score = read_score(path)
        except FileNotFoundError:
            absent.append(path.name)
        except DataError:
            broken.append(path.name)
        else:
            edges = _bar_edges(score, valence.shape[1])
            pieces.append(Piece(name, path, folds[name], score.seconds, edges, valence, arousal))
    _report("vgmidi", "MIDI files are absent", absent, len(records), missing)
    _report("vgmidi", "MIDI files cannot be read", broken, len(records), missing)
    return tuple(pieces)


def _piece_labels(folder: Path, name: str, record: Any) -> tuple[Path, NDArray[np.float64], NDArray[np.float64]]:
    """MIDI path, valence and arousal (raters, bars) of one entry of traces.json.gz."""
    where = f"{folder / 'traces.json.gz'}, piece {name}"
    try:
        return (
            folder / "midi" / record["midi"],
            _rater_bars(record, "valence", where),
            _rater_bars(record, "arousal", where),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not a piece with midi, bar_seconds and raters ({error!r})") from error


def _bar_edges(score: Score, bars: int) -> NDArray[np.float64]:
    """Bar lines (bars + 1,) in seconds: VGMIDI's "bars" are four quarter notes each, whatever the time signature.

    The number of values a rater gave is the piece's length in quarters / 4, rounded up, for 162 of 170 pieces (off by
    one in 7, by three in 1). The ``bar_seconds`` in the file follow the notated bars instead and put the ratings of a
    piece in 3/4 up to a minute early. In 4/4 both are the same; within the 42 pieces where they differ by over half
    a second, the arousal correlates with the notes played 4 s before at r = .41 on the lines used here, .23 on those.
    """
    return score.seconds_at(4.0 * np.arange(bars + 1))


def _rater_bars(record: dict[str, Any], axis: str, where: str) -> NDArray[np.float64]:
    bars = len(record["bar_seconds"])
    given = [rater[axis] for rater in record["raters"]]
    for index, row in enumerate(given):
        if len(row) != bars:
            raise DataError(f"{where}, rater {index}: {len(row)} values of {axis} for {bars} bars")
    if bars == 0 or not given:
        raise DataError(f"{where}: no bars or no raters")
    return _within_one(np.array(given, dtype=float), axis, where)


def _read_emomusic(folder: Path, missing: list[str]) -> tuple[Trace, ...]:
    tables = {}
    for axis in ("valence", "arousal"):
        for kind in ("average", "std"):
            table = folder / f"{axis}_cont_{kind}.csv"
            lines = list(rows(table, ("song_id",)))
            # A column is named for its time: sample_15500ms.
            times = np.array([float(name[7:-2]) / 1000 for name in lines[0][1] if name.startswith("sample_")])
            values = {row["song_id"]: _series(row, "sample_", axis, where) for where, row in lines}
            tables[axis, kind] = times, values
    times, songs = tables["valence", "average"]
    for (axis, kind), (other_times, other) in tables.items():
        if other.keys() != songs.keys() or not np.array_equal(other_times, times):
            raise DataError(f"{folder / f'{axis}_cont_{kind}.csv'}: other songs or times than valence_cont_average.csv")
    traces = [
        Trace(
            song,
            "emomusic",
            _audio(folder, song),
            times,
            songs[song],
            tables["arousal", "average"][1][song],
            tables["valence", "std"][1][song],
            tables["arousal", "std"][1][song],
        )
        for song in songs
    ]
    _report("emomusic", "clips have labels but no audio", [t.id for t in traces if not t.path], len(traces), missing)
    return tuple(traces)


def _read_pmemo(folder: Path, missing: list[str]) -> tuple[Trace, ...]:
    table = folder / "dynamic.csv"
    columns = ("frameTime", "Valence(mean)", "Arousal(mean)", "Valence(std)", "Arousal(std)")
    songs: dict[str, list[list[float]]] = {}
    for where, row in rows(table, ("musicId", *columns)):
        time, *values = (number(row[column], where, column) for column in columns)
        if not all(0.0 <= value <= 1.0 for value in values):
            raise DataError(f"{where}: a valence, arousal or deviation is outside 0..1")
        songs.setdefault(row["musicId"], []).append([time, *values])
    traces = []
    for song, samples in songs.items():
        time, valence, arousal, valence_std, arousal_std = np.array(samples).T
        if np.any(np.diff(time) <= 0):
            raise DataError(f"{table}: the times of song {song} do not rise")
        means, deviations = (2 * valence - 1, 2 * arousal - 1), (2 * valence_std, 2 * arousal_std)
        traces.append(Trace(song, "pmemo", _audio(folder, song), time, *means, *deviations))
    _report("pmemo", "clips have labels but no audio", [t.id for t in traces if not t.path], len(traces), missing)
    return tuple(traces)


def _series(row: dict[str, str], prefix: str, axis: str, where: str) -> NDArray[np.float64]:
    values = [number(value, where, name) for name, value in row.items() if name.startswith(prefix)]
    return _within_one(np.array(values), axis, where)


def _within_one(values: NDArray[np.float64], axis: str, where: str) -> NDArray[np.float64]:
    if not np.all(np.abs(values) <= 1.0):  # so written, NaN is refused too
        raise DataError(f"{where}: {axis} outside -1..1 (or missing)")
    return values


def _quadrant(text: str, where: str) -> int:
    if text not in QUADRANTS:
        raise DataError(f"{where}: quadrant is {text!r}, expected one of {', '.join(QUADRANTS)}")
    return QUADRANTS.index(text)


def _audio(folder: Path, song: str) -> Path | None:
    path = folder / "audio" / f"{song}.opus"
    return path if path.is_file() else None


def _present(clips: list[Clip], name: str, missing: list[str]) -> tuple[Clip, ...]:
    """The clips whose file is there; the others are reported."""
    absent = [clip.path.name for clip in clips if not clip.path.is_file()]
    _report(name, "files are absent", absent, len(clips), missing)
    return tuple(clip for clip in clips if clip.path.is_file()) if absent else tuple(clips)


def _report(name: str, what: str, absent: Sequence[str], total: int, missing: list[str]) -> None:
    if absent:
        missing.append(f"{name}: {len(absent)} of {total} {what} ({_name_some(absent)})")


def _name_some(names: Iterable[str]) -> str:
    first, more = list(names)[:3], len(list(names)) - 3
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")
