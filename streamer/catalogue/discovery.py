"""Discovery of sound files among the named paths and in the named folders."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

# Suffixes of a folder's sound files: those that libsndfile decodes, except raw samples without a header.
SUFFIXES = frozenset(
    (
        *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc"),
        *(".au", ".snd", ".caf", ".voc", ".sd2", ".paf", ".sph", ".nist"),
    )
)


class DiscoveredFiles(NamedTuple):
    """The result of a discovery.

    Parameters
    ----------
    files : each file with the relative name of its results.
    left_out : how many other files and folders there are, by kind.
    faults : folders that cannot be read or hold no sound, a line each.
    """

    files: list[tuple[Path, Path]]
    left_out: Counter[str]
    faults: list[str]


def discover(paths: Sequence[Path]) -> DiscoveredFiles:
    """The files among ``paths`` and the sound files in the folders among them, at any depth, in order of their names.

    A file's results have its own name; those of a folder keep its structure. Left out are hidden files and folders
    (with a name that begins with a dot), linked folders (they may lead in a circle), and files whose suffix is not
    that of a sound file. Where the names of two results differ in case at most, the later one gets a number: on most
    systems other than Linux, and on USB sticks, they would be one file.
    """
    discovered = DiscoveredFiles([], Counter(), [])
    taken: dict[str, int] = {}  # the last number that each name was given
    for path in paths:
        inside = (
            _inside(path, discovered) if os.path.isdir(path) else [(path, Path(path.name))]
        )  # never raises, as Path's
        for file, name in inside:
            folded, unique = str(name).casefold(), name
            number = taken.get(folded, 1)
            while str(unique).casefold() in taken:
                number += 1
                unique = name.with_name(f"{name.name}-{number}")
            taken[str(unique).casefold()] = 1
            taken[folded] = number
            discovered.files.append((file, unique))
    return discovered


def _inside(folder: Path, discovered: DiscoveredFiles) -> Iterator[tuple[Path, Path]]:
    def unreadable(fault: OSError) -> None:
        discovered.faults.append(f"{fault.filename}: cannot be read ({fault.strerror})")

    faults_before, any_sound = len(discovered.faults), False
    for directory, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if links := sum(
            os.path.islink(os.path.join(directory, name)) for name in folders
        ):  # which os.walk does not enter
            discovered.left_out["linked folder"] += links
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                discovered.left_out["hidden"] += 1
            elif suffix not in SUFFIXES:
                discovered.left_out[suffix or "no suffix"] += 1
            else:
                any_sound = True
                path = Path(directory, name)
                yield path, path.relative_to(folder)
    if not any_sound and len(discovered.faults) == faults_before:
        discovered.faults.append(f"{folder}: a directory without sound files")
