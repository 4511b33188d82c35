"""What is dear to compute, kept on disk: arrays by the digest of everything they depend on, and feature extraction.

The cache lies in the user's cache directory, or where VALARO_CACHE says. Any file in it may be deleted at any time.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import numpy as np
import platformdirs
import soundfile
import soxr
from numpy.typing import NDArray

from ..errors import DataError
from . import parallel

RATE = 24_000

# Sound, float32 mono (n,) at 24 kHz -> features (frames, D); they are kept as float32.
Extractor: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.floating]]
CountProgress: TypeAlias = Callable[[int, int], None]  # (done, of how many)


@dataclass(frozen=True, slots=True)
class Extracted:
    """``paths``: id -> .npy file of the clip's features; ``skipped``: id -> why there are none."""

    paths: dict[str, Path]
    skipped: dict[str, str]

    def features(self, clip: str) -> NDArray[np.float32]:
        """(frames, D), mapped from disk and read-only: the whole collection need not fit in memory."""
        return np.load(self.paths[clip], mmap_mode="r")


def cache_dir(*parts: str) -> Path:
    """A directory of the cache, made if need be; DataError if it cannot be."""
    root = os.environ.get("VALARO_CACHE") or platformdirs.user_cache_dir("valaro", appauthor=False)
    folder = Path(root, *parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot write to the cache {folder} ({error.strerror}): set VALARO_CACHE to another folder"
        ) from error
    return folder


def digest(key_parts: Sequence[object]) -> str:
    """A file name for whatever is determined by these parts: by their repr, so that 1 and "1" differ."""
    return hashlib.sha256("\n".join(repr(part) for part in key_parts).encode()).hexdigest()[:32]


def file_stamp(path: Path) -> tuple[str, str]:
    """Name and digest of what is in it, so that a copy of the data is the same data. DataError if absent."""
    try:
        with path.open("rb") as content:
            return path.name, hashlib.file_digest(content, "blake2b").hexdigest()[:32]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error


def cached(key_parts: Sequence[object], compute: Callable[[], NDArray], folder: str = "arrays") -> NDArray:
    """``compute()``, or what it gave the last time for the same key; a damaged cache file is computed again."""
    return np.load(_stored(key_parts, compute, folder), mmap_mode="r")


def is_cached(key_parts: Sequence[object], folder: str = "arrays") -> bool:
    """Whether ``cached`` would find what it looks for."""
    return _readable(_path_of(key_parts, folder))


def load_audio(path: Path) -> NDArray[np.float32]:
    """A sound file as float32 mono (n,) at 24 kHz. DataError if it is absent, empty, broken or not finite."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise DataError(f"{path} is not readable audio ({error})") from error
    mono = samples.mean(axis=1, dtype=np.float32)
    if not mono.size:
        raise DataError(f"{path} holds no sound")
    if not np.all(np.isfinite(mono)):
        raise DataError(f"{path} holds samples that are not finite numbers")
    return mono if rate == RATE else soxr.resample(mono, rate, RATE)


def extract_all(
    items: Sequence[tuple[str, Path]],
    make_extractor: Callable[[], Extractor],
    layout: str,
    processes: int | None = None,
    progress: CountProgress | None = None,
) -> Extracted:
    """The features of many sound files, (id, path) each, in ``processes``, one a processor if None, through the cache.

    ``layout`` stands for all that the extractor does: another layout, another cache entry. ``make_extractor`` is called
    once in each process and must be importable there (a function of a module, or a partial of one). Sound that cannot
    be read, or is too short for a frame, is skipped and named; any other error of the extractor is raised.
    """
    processes = parallel.PROCESSES if processes is None else processes
    paths: dict[str, Path] = {}
    skipped: dict[str, str] = {}
    waiting: list[tuple[str, Path]] = []
    for clip, source in items:
        stored = _path_of(_feature_key(source, layout), "features") if source.is_file() else None
        if stored is not None and _readable(stored):
            paths[clip] = stored
        else:
            waiting.append((clip, source))
    done = len(paths)
    if progress:
        progress(done, len(items))

    def take(clip: str, result: Path | str) -> None:
        nonlocal done
        if isinstance(result, Path):
            paths[clip] = result
        else:
            skipped[clip] = result
        done += 1
        if progress:
            progress(done, len(items))

    if not waiting:
        return Extracted(paths, skipped)
    if processes <= 1 or len(waiting) == 1:
        extractor = make_extractor()
        for clip, source in waiting:
            take(clip, _extract(extractor, source, layout))
        return Extracted(paths, skipped)
    # spawn: the same on every platform, and a forked child of a process with threads may hang.
    with ProcessPoolExecutor(processes, get_context("spawn"), _start_worker, (make_extractor,)) as pool:
        futures = {pool.submit(_work, source, layout): clip for clip, source in waiting}
        try:
            for future in as_completed(futures):
                take(futures[future], future.result())
        except BrokenProcessPool as error:
            raise DataError("a feature process died (out of memory?): try again with one process") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return Extracted(paths, skipped)


_worker_extractor: Extractor | None = None  # one a worker process, made at its start


def _start_worker(make_extractor: Callable[[], Extractor]) -> None:
    global _worker_extractor  # noqa: PLW0603  (a pool's initialiser has no other way to hand something on)
    _worker_extractor = make_extractor()


def _work(source: Path, layout: str) -> Path | str:
    assert _worker_extractor is not None
    return _extract(_worker_extractor, source, layout)


def _extract(extractor: Extractor, source: Path, layout: str) -> Path | str:
    """The file with the features of ``source``, or one line that says why there are none."""

    def compute() -> NDArray[np.float32]:
        features = np.asarray(extractor(load_audio(source)), dtype=np.float32)
        if features.ndim != 2 or not len(features):
            raise DataError(f"{source} is too short for one frame")
        return features

    try:
        return _stored(_feature_key(source, layout), compute, "features")
    except DataError as error:
        return str(error)


def _feature_key(source: Path, layout: str) -> tuple[object, ...]:
    return (*file_stamp(source), layout)


def _path_of(key_parts: Sequence[object], folder: str) -> Path:
    return cache_dir(folder) / f"{digest(key_parts)}.npy"


def _readable(path: Path) -> bool:
    try:
        np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return True


def _stored(key_parts: Sequence[object], compute: Callable[[], NDArray], folder: str) -> Path:
    path = _path_of(key_parts, folder)
    if not _readable(path):
        array = compute()
        partial = path.with_name(f"{path.stem}.{uuid4().hex}.tmp")
        try:
            with partial.open("wb") as file:
                np.save(file, array, allow_pickle=False)
            partial.replace(path)  # atomic: a reader sees the whole file or none
        except OSError as error:
            raise DataError(f"cannot write {path} ({error.strerror}): free some space or set VALARO_CACHE") from error
        finally:
            partial.unlink(missing_ok=True)
    return path
