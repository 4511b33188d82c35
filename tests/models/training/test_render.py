import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.models.errors import DataError
from valaro.models.training import render

from . import synthetic


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VALARO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_font(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smallest soundfont of the machine: what it sounds like is not the matter here."""
    if shutil.which("fluidsynth") is None:
        pytest.skip("no fluidsynth on this machine")
    monkeypatch.delenv("VALARO_SOUNDFONT", raising=False)
    small = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
    if small.is_file():
        return small
    try:
        return render.find_soundfont()
    except DataError as error:
        pytest.skip(str(error))


def test_notes_are_where_the_score_has_them_at_a_common_peak(tmp_path: Path, small_font: Path) -> None:
    synthetic.midi(tmp_path / "a.mid", quarters=4, bpm=120)
    result = render.render_all([("a", tmp_path / "a.mid")], small_font)
    assert result.failed == {}
    assert result.soundfont == small_font.name
    samples, rate = soundfile.read(result.paths["a"])
    assert rate == 24_000
    assert samples.ndim == 1
    assert np.abs(samples).max() == pytest.approx(0.9, abs=0.001)
    assert 2.0 <= samples.size / rate < 6.0  # two seconds of notes and the room's tail
    energy = np.array([np.sum(samples[i : i + 480] ** 2) for i in range(0, 48_000, 480)])
    assert energy[0] + energy[1] > 0.01 * energy.max()  # it begins at once: labels stay aligned
    assert np.abs(samples[-2400:]).max() < 0.05  # and ends when nothing is to be heard


def test_what_is_in_the_cache_is_not_played_again(tmp_path: Path, small_font: Path, monkeypatch) -> None:  # noqa: ANN001
    synthetic.midi(tmp_path / "a.mid", quarters=2, bpm=200)
    shutil.copy(tmp_path / "a.mid", tmp_path / "same notes.mid")
    first = render.render_all([("a", tmp_path / "a.mid")], small_font)
    monkeypatch.setattr(render, "_play", None)
    again = render.render_all([("a", tmp_path / "a.mid"), ("b", tmp_path / "same notes.mid")], small_font)
    assert again.paths == {"a": first.paths["a"], "b": first.paths["a"]}


def test_what_cannot_be_rendered_is_named_and_the_rest_is_done(
    tmp_path: Path, small_font: Path, own_cache: Path
) -> None:
    synthetic.midi(tmp_path / "good.mid", quarters=2, bpm=200)
    synthetic.midi(tmp_path / "no notes.mid", quarters=0, bpm=120)
    (tmp_path / "noise.mid").write_bytes(b"MThd garbage")
    (tmp_path / "empty.mid").touch()
    items = [(name, tmp_path / f"{name}.mid") for name in ("no notes", "noise", "empty", "absent", "good")]
    seen: list[tuple[int, int]] = []
    result = render.render_all(items, small_font, progress=lambda *p: seen.append(p))
    assert list(result.paths) == ["good"]
    assert sorted(result.failed) == ["absent", "empty", "no notes", "noise"]
    assert all(f"{name}.mid" in why and "\n" not in why for name, why in result.failed.items())
    assert seen == [(i, 5) for i in range(1, 6)]
    assert [path.suffix for path in (own_cache / "midi").iterdir()] == [".flac"]  # no scratch is left


@pytest.mark.skipif(os.name != "posix", reason="the stand-in program is a shell script")
@pytest.mark.parametrize(
    ("script", "timeout", "message"),
    [
        ("exec sleep 60", 0.3, "did not finish within 0.3 s"),
        ("echo out of memory >&2; exit 3", 60.0, "failed (out of memory)"),
    ],
)
def test_a_hung_or_failing_program_is_given_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, timeout: float, message: str
) -> None:
    program = tmp_path / "bin" / "fluidsynth"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    synthetic.midi(tmp_path / "a.mid", quarters=1, bpm=120)
    font = tmp_path / "any.sf2"
    font.touch()
    result = render.render_all([("a", tmp_path / "a.mid")], font, timeout=timeout)
    assert result.paths == {}
    assert message in result.failed["a"]


def test_a_missing_program_comes_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"fluidsynth.*install"):
        render.render_all([])


def test_the_named_soundfont_is_taken_or_said_to_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    font = tmp_path / "mine.sf2"
    monkeypatch.setenv("VALARO_SOUNDFONT", str(font))
    with pytest.raises(DataError, match=r"VALARO_SOUNDFONT is .*mine\.sf2"):
        render.find_soundfont()
    font.touch()
    assert render.find_soundfont() == font


def test_no_soundfont_anywhere_comes_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VALARO_SOUNDFONT", raising=False)
    monkeypatch.setattr(render, "_FOLDERS", (str(tmp_path),))
    with pytest.raises(DataError, match=r"no soundfont.*VALARO_SOUNDFONT"):
        render.find_soundfont()
    (tmp_path / "TimGM6mb.sf2").touch()
    (tmp_path / "FluidR3_GM.sf2").touch()
    assert render.find_soundfont().name == "FluidR3_GM.sf2"
