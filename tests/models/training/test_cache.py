import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.models.errors import DataError
from valaro.models.training import cache

from . import synthetic

# A factory that a fresh interpreter can import whatever the tests' own path is: sound (n,) -> (1, n).
as_one_frame: Callable[[], cache.Extractor] = functools.partial(functools.partial, np.atleast_2d)  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VALARO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_clips(folder: Path, count: int) -> list[tuple[str, Path]]:
    items = []
    for index in range(count):
        path = folder / f"{index}.wav"
        soundfile.write(path, np.full(1000 + index, 0.25), cache.RATE, subtype="FLOAT")
        items.append((f"clip {index}", path))
    return items


def test_cached_computes_once_for_a_key() -> None:
    calls = []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(3)

    for key in (["a", 1], ["a", 1], ["a", "1"], ["a", 2]):
        assert cache.cached(key, compute).tolist() == [0, 1, 2]
    assert len(calls) == 3


def test_a_damaged_entry_is_computed_again(own_cache: Path) -> None:
    assert cache.cached(["k"], lambda: np.arange(3)).tolist() == [0, 1, 2]
    (entry,) = (own_cache / "arrays").iterdir()
    entry.write_bytes(entry.read_bytes()[:20])
    assert cache.cached(["k"], lambda: np.arange(3)).tolist() == [0, 1, 2]


def test_a_failed_computation_leaves_nothing_behind(own_cache: Path) -> None:
    def fail() -> np.ndarray:
        raise DataError("no")

    with pytest.raises(DataError):
        cache.cached(["k"], fail)
    assert list((own_cache / "arrays").iterdir()) == []


def test_a_cache_that_cannot_be_written_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VALARO_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set VALARO_CACHE"):
        cache.cached(["k"], lambda: np.arange(3))


def test_audio_comes_mono_at_24_khz(tmp_path: Path) -> None:
    t = np.arange(44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 440 * t)
    soundfile.write(tmp_path / "a.wav", np.stack([2 * tone, 0 * tone], 1) * 0.9, 44_100, subtype="FLOAT")
    samples = cache.load_audio(tmp_path / "a.wav")
    assert samples.dtype == np.float32
    assert samples.shape == (24_000,)
    expected = 0.45 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)
    assert np.abs(samples - expected)[1000:-1000].max() < 1e-3


def test_opus_is_read(tmp_path: Path) -> None:
    synthetic.opus(tmp_path / "a.opus", synthetic.chord("Q1", 0.5))
    assert cache.load_audio(tmp_path / "a.opus").shape == (12_000,)


def broken(folder: Path) -> dict[str, Path]:
    paths = {name: folder / f"{name}.wav" for name in ("absent", "empty", "noise", "hollow", "not finite")}
    paths["empty"].touch()
    paths["noise"].write_bytes(bytes(range(256)) * 8)
    soundfile.write(paths["hollow"], np.zeros(0), cache.RATE)
    soundfile.write(paths["not finite"], np.array([0.0, np.nan]), cache.RATE, subtype="FLOAT")
    return paths


@pytest.mark.parametrize("name", ["absent", "empty", "noise", "hollow", "not finite"])
def test_broken_audio_is_one_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=name):
        cache.load_audio(broken(tmp_path)[name])


def test_extraction_over_processes_keeps_order_and_names_what_it_skipped(tmp_path: Path) -> None:
    items = write_clips(tmp_path, 4)
    items[1:1] = list(broken(tmp_path).items())
    seen: list[tuple[int, int]] = []
    result = cache.extract_all(items, as_one_frame, "v1", processes=2, progress=lambda *p: seen.append(p))
    assert {clip: result.features(clip).shape for clip in sorted(result.paths)} == {
        f"clip {i}": (1, 1000 + i) for i in range(4)
    }
    assert np.all(result.features("clip 2") == np.float32(0.25))
    assert sorted(result.skipped) == ["absent", "empty", "hollow", "noise", "not finite"]
    assert seen == [(i, 9) for i in range(10)]


def test_extraction_reuses_the_cache_until_the_sound_or_the_layout_changes(tmp_path: Path) -> None:
    items = write_clips(tmp_path, 2)
    calls = []

    def make() -> cache.Extractor:
        def extract(samples: np.ndarray) -> np.ndarray:
            calls.append(samples.size)
            return samples[:, None]

        return extract

    cache.extract_all(items, make, "v1", processes=1)
    again = cache.extract_all(items, make, "v1", processes=1)
    assert sorted(calls) == [1000, 1001]
    assert again.features("clip 1").shape == (1001, 1)
    cache.extract_all(items, make, "v2", processes=1)
    assert len(calls) == 4
    status = items[0][1].stat()
    os.utime(items[0][1], ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))  # a copy of the same
    cache.extract_all(items, make, "v2", processes=1)
    assert len(calls) == 4
    soundfile.write(items[0][1], np.full(1000, 0.5, np.float32), cache.RATE, subtype="FLOAT")
    cache.extract_all(items, make, "v2", processes=1)
    assert calls[4:] == [1000]


def test_too_short_is_skipped_and_a_defect_of_the_extractor_is_not(tmp_path: Path) -> None:
    items = write_clips(tmp_path, 1)
    result = cache.extract_all(items, lambda: lambda samples: samples[:0, None], "short", processes=1)
    assert result.paths == {}
    assert "too short" in result.skipped["clip 0"]
    with pytest.raises(ZeroDivisionError):
        cache.extract_all(items, lambda: lambda samples: samples / (1 // 0), "defect", processes=1)


def test_nothing_to_extract_is_no_work() -> None:
    assert cache.extract_all([], as_one_frame, "v1") == cache.Extracted({}, {})
