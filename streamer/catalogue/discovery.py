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


class Found(NamedTuple):
    """A file, and its path below the folder that was named; of a file that was named itself, its own name."""

    path: Path
    name: Path


class DiscoveredFiles(NamedTuple):
    """The result of a discovery.

    Parameters
    ----------
    files : in order.
    left_out : how many other files and folders there are, by kind.
    faults : folders that cannot be read or hold no sound, a line each.
    """

    files: list[Found]
    left_out: Counter[str]
    faults: list[str]


def discover(paths: Sequence[Path]) -> DiscoveredFiles:
    """The files among ``paths`` and the sound files in the folders among them, at any depth, in order of their names.

    Left out are hidden files and folders (with a name that begins with a dot), linked folders (they may lead in a
    circle), and files whose suffix is not that of a sound file.
    """
    discovered = DiscoveredFiles([], Counter(), [])
    for path in paths:
        if os.path.isdir(path):  # never raises, as Path's
            discovered.files.extend(_inside(path, discovered))
        else:
            discovered.files.append(Found(path, Path(path.name)))
    return discovered


def _inside(folder: Path, discovered: DiscoveredFiles) -> Iterator[Found]:
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
                yield Found(path, path.relative_to(folder))
    if not any_sound and len(discovered.faults) == faults_before:
        discovered.faults.append(f"{folder}: a directory without sound files")
