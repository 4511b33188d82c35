"""The sets that give each clip one quadrant: 4Q (audio, with mood tags) and EMOPIA (piano scores).

Sources: Panda, Malheiro & Paiva, "Musical texture and expressivity features for music emotion recognition", ISMIR 2018;
Hung et al., "EMOPIA: a multi-modal pop piano dataset for emotion recognition", ISMIR 2021.
"""

from pathlib import Path

from ...errors import DataError
from .labels import Clip, present, quadrant_of
from .tables import rows, whole


def read_4q(folder: Path, missing: list[str]) -> tuple[Clip, ...]:
    """``clips.csv`` and ``audio/<clip>.opus``; the clips of split ``agreement`` carry that as their set."""
    clips = []
    for where, row in rows(folder / "clips.csv", ("clip", "quadrant", "artist", "moods", "genres", "split", "fold")):
        if row["split"] not in ("train", "agreement"):
            raise DataError(f"{where}: split is {row['split']!r}, expected train or agreement")
        name = "4q" if row["split"] == "train" else "agreement"
        fold = whole(row["fold"], where, "fold")
        if name == "4q" and fold < 0:
            raise DataError(f"{where}: a clip to train on has fold {fold}")
        clips.append(
            Clip(
                id=row["clip"],
                path=folder / "audio" / f"{row['clip']}.opus",
                quadrant=quadrant_of(row["quadrant"], where),
                group=row["artist"],
                fold=fold,
                set=name,
                moods=_tags(row["moods"]),
                genres=_tags(row["genres"]),
            )
        )
    return present(clips, "4q", missing)


def read_emopia(folder: Path, missing: list[str]) -> tuple[Clip, ...]:
    """``folds.csv`` and ``midi/Q3_<song>_<n>.mid``."""
    clips = []
    for where, row in rows(folder / "folds.csv", ("midi", "quadrant", "song", "fold")):
        path = folder / "midi" / row["midi"]
        if not row["midi"].startswith(row["quadrant"] + "_"):
            raise DataError(f"{where}: {row['midi']} is said to be {row['quadrant']}, its name says otherwise")
        quadrant, fold = quadrant_of(row["quadrant"], where), whole(row["fold"], where, "fold")
        clips.append(Clip(path.stem, path, quadrant, row["song"], fold, "emopia"))
    return present(clips, "emopia", missing)


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag for tag in (part.strip() for part in text.split(";")) if tag)
