"""Under which name each file's result is kept, so that no two files share one and each finds its own again.

A result has its file's path below the folder that was named. Where that is not enough (two folders with an ``01.wav``
each, names that differ in case or composition alone, names too long for a result), a digest of the file's whole path
marks it. So a name depends on the file, on the others of the same call and on whose results are there already, and
neither on the order of the folders nor on how many processes work.
"""

import csv
import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from .discovery import Found

_LONGEST = 255  # bytes of a name in nearly all file systems
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # Windows: devices

_Listings = dict[Path, list[str]]  # of a folder, its results with a number


class Named(NamedTuple):
    """A file and where its results are kept.

    Parameters
    ----------
    path : the sound file.
    name : of its results, below the folder of all, without their suffixes.
    """

    path: Path
    name: Path


def name_results(files: Sequence[Found], folder: Path | None, suffixes: Sequence[str]) -> list[Named]:
    """Name the results of each file; a file that was found twice is listed once where there is a folder.

    Parameters
    ----------
    files : what was found.
    folder : of all results; None: they are streamed.
    suffixes : of a file's results; by the first it is looked up whose result there is already.
    """
    if folder is not None:
        files = list({_identity(file): file for file in reversed(files)}.values())[::-1]
    if not suffixes:
        return [Named(file.path, file.name) for file in files]
    longest = max(len(suffix) for suffix in suffixes)
    plain = [_fitting(file, longest) for file in files]
    claims = Counter(map(_folded, plain))
    found: _Listings = {}
    return [
        Named(file.path, _name(file, name, claims[_folded(name)] == 1, folder, suffixes[0], longest, found))
        for file, name in zip(files, plain, strict=True)
    ]


def _name(
    file: Found,
    plain: Path,
    alone: bool,
    folder: Path | None,
    suffix: str,
    longest: int,
    found: _Listings,
) -> Path:
    marked = _fitting(file, longest, mark=True)
    if folder is None:
        return plain if alone else marked
    if os.path.lexists(folder / f"{marked}{suffix}"):
        return marked
    for name in (plain, *_numbered(folder, plain, suffix, found)):
        owner = _owner(folder / f"{name}{suffix}") if os.path.lexists(folder / f"{name}{suffix}") else ""
        if owner and _same(owner, file, alone):
            return name
        if name == plain and alone and not owner:  # free, or nobody's
            return plain
    return marked


def _numbered(folder: Path, plain: Path, suffix: str, found: _Listings) -> list[Path]:
    """The names with a number that an earlier version gave, where there are such results."""
    place = (folder / plain).parent
    if place not in found:
        numbered = re.compile(rf".*-\d+{re.escape(suffix)}", re.DOTALL)
        found[place] = sorted(filter(numbered.fullmatch, os.listdir(place))) if os.path.isdir(place) else []
    mine = re.compile(rf"{re.escape(plain.name)}-\d+{re.escape(suffix)}", re.IGNORECASE)
    return [plain.with_name(name[: -len(suffix)]) for name in found[place] if mine.fullmatch(name)]


def _fitting(file: Found, longest: int, mark: bool = False) -> Path:
    """The file's path below its folder, its name changed where no result could have it, or ``mark``-ed by a digest."""
    name = file.name.name
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    room = _LONGEST - longest
    if mark or len(os.fsencode(name)) > room:
        digest = hashlib.sha256(os.fsencode(_identity(file))).hexdigest()[:8]
        while len(os.fsencode(name)) > room - len(digest) - 1:
            name = name[:-1]
        name = f"{name}-{digest}"
    return file.name.with_name(name)


def _identity(file: Found) -> str:
    """The file's whole path, with its folder as it really lies; the file itself may be a link."""
    path = os.path.abspath(file.path)
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _folded(name: Path) -> str:
    """What a name is to systems that tell neither capital letters nor ways of composing them apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(name)).casefold())


def _same(owner: str, file: Found, alone: bool) -> bool:
    """Whether a result's file, as it was named then, is this one; a relative name may be of another place."""
    identity = _identity(file)
    if _identity(Found(Path(owner), Path())) == identity:
        return True
    recorded = Path(owner)
    if recorded.is_absolute() or os.path.lexists(owner) or not alone:
        return False
    return Path(identity).parts[-len(recorded.parts) :] == recorded.parts


def _owner(result: Path) -> str:
    """The sound file that a result says it is of; "": it does not say."""
    try:
        if result.suffix == ".npz":
            import numpy as np

            with closing(np.load(result, allow_pickle=False)) as arrays:
                return str(arrays["path"])
        with result.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
            if result.suffix == ".csv":
                row = next(csv.DictReader(text), None)
                return (row or {}).get("file") or ""
            return str(json.loads(text.readline(1 << 20))["file"])
    except Exception:  # noqa: BLE001  a damaged archive raises what it likes
        return ""
