"""Sets that keep their listeners apart: for adaptation to a person, and for how much listeners differ.

- Agreement: 100 listeners, 22 clips of 4Q, eleven emotions (Gómez-Cañón et al., "Joyful for you and tender for us",
  ISMIR 2020). For evaluation only: these clips are never trained on.
- Emotify: what listeners felt (GEMS) at the start of 360 songs (Aljanaki, Wiering & Veltkamp, IP&M 52, 2016).
- Soundtracks: film music (Eerola & Vuoskoski, Psychology of Music 39, 2011), with clip features, without audio.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from .labels import once, report
from .tables import header, number, numeric, rows, whole

EMOTIONS = (
    "anger", "bitter", "fear", "joy", "peace", "power", "sad", "surprise", "tender", "tension", "transcendence",
)  # fmt: skip
FEELINGS = (
    "amazement", "solemnity", "tenderness", "nostalgia", "calmness", "power", "joyful_activation", "tension", "sadness",
)  # fmt: skip
_ANSWERS = ("preference", "familiarity", "understanding")


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Every listener on every clip, on scales of 1 to 5.

    ``emotions`` is (listeners, clips, 11) in the order of EMOTIONS; ``preference``, ``familiarity`` and
    ``understanding`` (of the words) are (listeners, clips); ``language`` is each listener's.
    """

    listeners: tuple[str, ...]
    language: tuple[str, ...]
    clips: tuple[str, ...]
    emotions: NDArray[np.int64]
    preference: NDArray[np.int64]
    familiarity: NDArray[np.int64]
    understanding: NDArray[np.int64]


def read_agreement(folder: Path, missing: list[str]) -> Agreement:
    """``ratings.csv``. DataError if a rating is not 1 to 5, or a listener left out a clip or rated one twice."""
    del missing
    table = folder / "ratings.csv"
    answers: dict[tuple[str, str], list[int]] = {}
    language: dict[str, str] = {}
    for where, row in rows(table, ("listener", "clip", "language", *EMOTIONS, *_ANSWERS)):
        key = row["listener"], row["clip"]
        if key in answers:
            raise DataError(f"{where}: listener {key[0]} has rated clip {key[1]} before")
        if language.setdefault(key[0], row["language"]) != row["language"]:
            raise DataError(f"{where}: listener {key[0]} speaks {language[key[0]]} in an earlier row")
        answers[key] = [whole(row[column], where, column, 1, 5) for column in (*EMOTIONS, *_ANSWERS)]
    clips = tuple(dict.fromkeys(clip for _, clip in answers))
    for listener in language:
        if lacking := [clip for clip in clips if (listener, clip) not in answers]:
            raise DataError(f"{table}: listener {listener} has no rating of clip {lacking[0]}")
    cube = np.array([[answers[listener, clip] for clip in clips] for listener in language], dtype=np.int64)
    count = len(EMOTIONS)
    return Agreement(
        tuple(language), tuple(language.values()), clips, cube[..., :count], *np.moveaxis(cube[..., count:], -1, 0)
    )


@dataclass(frozen=True, slots=True, eq=False)
class FeltClip:
    """One clip of Emotify and its listeners (one row each, in the file's order).

    ``feelings`` (listeners, 9) 0/1 in the order of FEELINGS, ``felt`` (9,) their mean; ``mood`` 1..5 before listening;
    ``liked``, ``disliked`` bool; ``age`` years; ``gender`` 0/1 as coded by the source; ``language`` mother tongue.
    """

    id: str
    path: Path
    genre: str
    feelings: NDArray[np.float64]
    felt: NDArray[np.float64]
    mood: NDArray[np.int64]
    liked: NDArray[np.bool_]
    disliked: NDArray[np.bool_]
    age: NDArray[np.int64]
    gender: NDArray[np.int64]
    language: tuple[str, ...]


def read_emotify(folder: Path, missing: list[str]) -> tuple[FeltClip, ...]:
    """``ratings.csv`` and ``audio/<clip>.opus``; clips whose audio is absent are reported and left out."""
    columns = ("clip", "genre", *FEELINGS, "mood", "liked", "disliked", "age", "gender", "mother tongue")
    given: dict[str, list[list[int]]] = {}
    tongues: dict[str, list[str]] = {}
    genres: dict[str, str] = {}
    for where, row in rows(folder / "ratings.csv", columns):
        flags = [whole(row[name], where, name, 0, 1) for name in (*FEELINGS, "liked", "disliked", "gender")]
        others = [whole(row["mood"], where, "mood", 1, 5), whole(row["age"], where, "age", 0, 120)]
        if genres.setdefault(row["clip"], row["genre"]) != row["genre"]:
            raise DataError(f"{where}: clip {row['clip']} is {genres[row['clip']]} in an earlier row")
        given.setdefault(row["clip"], []).append(flags + others)
        tongues.setdefault(row["clip"], []).append(row["mother tongue"])
    clips, absent = [], []
    for clip, answers in given.items():
        path = folder / "audio" / f"{clip}.opus"
        if not path.is_file():
            absent.append(path.name)
            continue
        table = np.array(answers, dtype=np.int64)
        feelings = table[:, : len(FEELINGS)].astype(np.float64)
        liked, disliked, gender, mood, age = table[:, len(FEELINGS) :].T
        clips.append(
            FeltClip(
                clip, path, genres[clip], feelings, feelings.mean(axis=0), mood, liked == 1, disliked == 1, age,
                gender, tuple(tongues[clip]),
            )
        )  # fmt: skip
    report("emotify", "files are absent", absent, len(given), missing)
    return tuple(clips)


@dataclass(frozen=True, slots=True, eq=False)
class Soundtracks:
    """One row a rating, arrays (ratings,): ``rater`` and ``track`` are indices into the tables of raters and tracks.

    ``raw`` (ratings, 3) are the source's Valence, Energy and Tension, 1 to 9; ``valence``, ``arousal`` (its Energy) and
    ``tension`` the same in -1..1. ``features`` (tracks, len(feature_names)) describe each clip. Of the raters:
    ``gender``, ``age`` in years, ``musicianship`` 1 to 3 (NaN: not given).
    """

    raters: tuple[str, ...]
    tracks: tuple[str, ...]
    rater: NDArray[np.intp]
    track: NDArray[np.intp]
    raw: NDArray[np.float64]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]
    tension: NDArray[np.float64]
    gender: tuple[str, ...]
    age: NDArray[np.int64]
    musicianship: NDArray[np.float64]
    feature_names: tuple[str, ...]
    features: NDArray[np.float64]


def read_soundtracks(folder: Path, missing: list[str]) -> Soundtracks:
    """``ratings.csv`` and ``features.csv``. DataError for a scale outside 1 to 9 or a rated track without features."""
    del missing
    names, values = _track_features(folder / "features.csv")
    tracks = {track: index for index, track in enumerate(values)}
    people: dict[str, tuple[str, int, float]] = {}
    seen: dict[tuple[str, str], list[float]] = {}
    columns = ("id", "Track", "Valence", "Energy", "Tension", "Gender", "Age", "Musicianship")
    for where, row in rows(folder / "ratings.csv", columns):
        if row["Track"] not in tracks:
            raise DataError(f"{where}: track {row['Track']} is not in {folder / 'features.csv'}")
        key = row["id"], row["Track"]
        if key in seen:
            raise DataError(f"{where}: rater {key[0]} has rated track {key[1]} before")
        scales = [number(row[name], where, name) for name in columns[2:5]]
        if not all(1.0 <= scale <= 9.0 for scale in scales):
            raise DataError(f"{where}: a rating is outside 1..9")
        seen[key] = scales
        skill = number(row["Musicianship"], where, "Musicianship") if row["Musicianship"] else np.nan
        people.setdefault(row["id"], (row["Gender"], whole(row["Age"], where, "Age", 0, 120), skill))
    rank = {rater: index for index, rater in enumerate(people)}
    raw = np.array(list(seen.values()))
    valence, arousal, tension = (raw.T - 5.0) / 4.0
    gender, age, skill = zip(*people.values(), strict=True)
    return Soundtracks(
        raters=tuple(people),
        tracks=tuple(tracks),
        rater=np.array([rank[rater] for rater, _ in seen], dtype=np.intp),
        track=np.array([tracks[track] for _, track in seen], dtype=np.intp),
        raw=raw,
        valence=valence,
        arousal=arousal,
        tension=tension,
        gender=tuple(gender),
        age=np.array(age, dtype=np.int64),
        musicianship=np.array(skill, dtype=np.float64),
        feature_names=names,
        features=np.array(list(values.values())),
    )


def _track_features(table: Path) -> tuple[tuple[str, ...], dict[str, NDArray[np.float64]]]:
    names = tuple(name for name in header(table) if name not in ("Track", "File"))
    tracks, values = numeric(table, "Track", names)
    once(tracks, "track", str(table))
    return names, dict(zip(tracks, values, strict=True))
