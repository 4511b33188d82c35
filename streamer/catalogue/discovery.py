"""Which sound files there are under what was named."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

# By which a folder's sound files are known: those that libsndfile decodes, but for raw samples without a header.
SUFFIXES = frozenset(
    (
        *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc"),
        *(".au", ".snd", ".caf", ".voc", ".sd2", ".paf", ".sph", ".nist"),
    )
)


class Found(NamedTuple):
    """``files`` with the names of their results; ``left_out``: how many others lie in the folders, by what they are."""

    files: list[tuple[Path, Path]]
    left_out: Counter[str]
    faults: list[str]


def find(paths: Sequence[Path]) -> Found:
    """The files among ``paths`` and the sound files in the folders among them, at any depth, in order of their names.

    A file's results have its own name; of a folder they are ordered as the folder is. Hidden files and folders (of a
    name that begins with a dot) are left out, folders that are only linked from there (they may lead in a circle), and
    files that are no sound by their suffix. Where two results would have the same name, but for upper and lower case,
    the later one has a number: for most systems beside Linux, and its USB sticks, these would be one file.
    """
    found = Found([], Counter(), [])
    taken: dict[str, int] = {}  # each name, and the last number that it was given
    for path in paths:
        inside = _inside(path, found) if os.path.isdir(path) else [(path, Path(path.name))]  # never raises, as Path's
        for file, name in inside:
            wanted, free = str(name).casefold(), name
            number = taken.get(wanted, 1)
            while str(free).casefold() in taken:
                number += 1
                free = name.with_name(f"{name.name}-{number}")
            taken[str(free).casefold()] = 1
            taken[wanted] = number
            found.files.append((file, free))
    return found


def _inside(folder: Path, found: Found) -> Iterator[tuple[Path, Path]]:
    def unreadable(fault: OSError) -> None:
        found.faults.append(f"{fault.filename}: cannot be read ({fault.strerror})")

    before, any_yet = len(found.faults), False
    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if linked := sum(os.path.islink(os.path.join(place, name)) for name in folders):  # which the walk passes by
            found.left_out["linked folder"] += linked
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                found.left_out["hidden"] += 1
            elif suffix not in SUFFIXES:
                found.left_out[suffix or "no suffix"] += 1
            else:
                any_yet = True
                path = Path(place, name)
                yield path, path.relative_to(folder)
    if not any_yet and len(found.faults) == before:
        found.faults.append(f"{folder}: a directory without sound files")
