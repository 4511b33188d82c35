import hashlib
import os
import shutil
import stat
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from valaro.models.errors import DataError
from valaro.models.training.cache import digest
from valaro.models.training.synthesis import midi_render

from .. import synthetic


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
        return midi_render.find_soundfont()
    except DataError as error:
        pytest.skip(str(error))


def test_notes_are_where_the_score_has_them_at_a_common_peak(tmp_path: Path, small_font: Path) -> None:
    synthetic.midi(tmp_path / "a.mid", quarters=4, bpm=120)
    result = midi_render.render_all([("a", tmp_path / "a.mid")], small_font)
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
    first = midi_render.render_all([("a", tmp_path / "a.mid")], small_font)
    monkeypatch.setattr(midi_render, "_play", None)
    again = midi_render.render_all([("a", tmp_path / "a.mid"), ("b", tmp_path / "same notes.mid")], small_font)
    assert again.paths == {"a": first.paths["a"], "b": first.paths["a"]}


def score_with_drums(path: Path, *choices: mido.Message) -> None:
    """Two tracks: four notes half a second apart, with ``choices`` of a sound before them; two drum beats."""
    melody = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000), *choices])
    for note in (60, 64, 67, 72):
        melody += [mido.Message("note_on", note=note, velocity=90), mido.Message("note_off", note=note, time=120)]
        melody.append(mido.Message("program_change", program=5, time=360))
    drums = mido.MidiTrack([mido.Message("program_change", channel=9, program=0)])
    for _ in range(2):
        drums.append(mido.Message("note_on", channel=9, note=38, velocity=110, time=240))
    mido.MidiFile(tracks=[melody, drums], ticks_per_beat=480).save(path)


def onsets(path: Path) -> np.ndarray:
    """Where each of the four notes is first heard, s: a fifth of the peak within its own half second."""
    samples, rate = soundfile.read(path)
    notes = np.abs(samples[: 2 * rate]).reshape(4, -1)
    return np.argmax(notes > 0.2 * notes.max(axis=1, keepdims=True), axis=1) / rate


def likeness(first: Path, second: Path) -> float:
    """Cosine of the magnitude spectra of the first two seconds, 1 for the same sound."""
    a, b = (np.abs(np.fft.rfft(soundfile.read(path)[0][:48_000])) for path in (first, second))
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_instruments_sound_unlike_each_other_with_every_note_in_its_place(tmp_path: Path, small_font: Path) -> None:
    synthetic.midi(tmp_path / "a.mid", quarters=4, bpm=120)
    items = [("a", tmp_path / "a.mid")]
    own = midi_render.render_all(items, small_font).paths["a"]
    paths = {
        one: midi_render.render_all(items, small_font, instrument=one).paths["a"] for one in midi_render.INSTRUMENTS
    }
    assert len({own, *paths.values()}) == 1 + len(paths)  # each has its place in the cache
    # A score that names no instrument is a piano's.
    np.testing.assert_array_equal(soundfile.read(own)[0], soundfile.read(paths["piano"])[0])
    for one in paths.keys() - {"piano"}:
        assert likeness(own, paths[one]) < 0.95, one
    for one in ("electric piano", "guitar", "distorted guitar", "organ", "synth lead"):  # that speak at once
        assert np.all(onsets(paths[one]) < 0.05), one
    assert np.all(onsets(paths["strings"]) < 0.2)


def test_an_instrument_overrides_what_the_score_chooses_but_not_the_drums(tmp_path: Path, small_font: Path) -> None:
    bank = mido.Message("control_change", control=0, value=8)
    score_with_drums(tmp_path / "plain.mid")
    score_with_drums(tmp_path / "choosy.mid", bank, mido.Message("program_change", program=56))
    for name in ("plain", "choosy"):
        midi_render._put_instrument(tmp_path / f"{name}.mid", 48, tmp_path / f"{name} strings.mid")
    plain, choosy = (mido.MidiFile(tmp_path / f"{name} strings.mid") for name in ("plain", "choosy"))
    assert list(plain) == list(choosy)
    programs = {message.channel: message.program for message in plain if message.type == "program_change"}
    assert programs == {channel: 0 if channel == 9 else 48 for channel in range(16)}

    def notes(path: Path) -> list[tuple[float, int, int]]:
        now, found = 0.0, []
        for message in mido.MidiFile(path):
            now += message.time
            if message.type == "note_on":
                found.append((round(now, 9), message.channel, message.note))
        return found

    assert notes(tmp_path / "plain strings.mid") == notes(tmp_path / "plain.mid")
    assert mido.MidiFile(tmp_path / "plain strings.mid").length == mido.MidiFile(tmp_path / "plain.mid").length


def test_another_soundfont_is_another_sound(tmp_path: Path, small_font: Path) -> None:
    others = [font for font in midi_render.find_soundfonts() if font.resolve() != small_font.resolve()]
    if not others:
        pytest.skip("only one soundfont on this machine")
    synthetic.midi(tmp_path / "a.mid", quarters=4, bpm=120)
    items = [("a", tmp_path / "a.mid")]
    first = midi_render.render_all(items, small_font)
    other = midi_render.render_all(items, others[0])
    assert other.soundfont == others[0].name
    assert likeness(first.paths["a"], other.paths["a"]) < 0.99
    assert np.all(onsets(other.paths["a"]) < 0.05)


def test_what_was_rendered_before_there_were_instruments_is_found_again(
    tmp_path: Path, small_font: Path, own_cache: Path
) -> None:
    synthetic.midi(tmp_path / "a.mid", quarters=1, bpm=120)
    content = hashlib.sha256((tmp_path / "a.mid").read_bytes()).hexdigest()
    options = ("-n", "-i", "-q", "-g", "0.5", "-r", "24000", "-T", "wav", "-O", "float")
    key = digest((content, small_font.name, small_font.stat().st_size, options, 0.9, 1e-3))
    rendered = midi_render.render_all([("a", tmp_path / "a.mid")], small_font)
    assert rendered.paths["a"] == own_cache / "midi" / f"{key}.flac"


def test_an_unknown_instrument_is_refused_with_those_there_are(tmp_path: Path, small_font: Path) -> None:
    with pytest.raises(DataError, match=r"^no instrument 'kazoo': take one of piano, .*organ") as caught:
        midi_render.render_all([("a", tmp_path / "a.mid")], small_font, instrument="kazoo")
    assert "\n" not in str(caught.value)


def test_a_broken_score_is_named_for_an_instrument_too(tmp_path: Path, small_font: Path) -> None:
    (tmp_path / "noise.mid").write_bytes(b"MThd garbage")
    mido.MidiFile().save(tmp_path / "no track.mid")
    names = ("noise", "no track", "absent")
    items = [(name, tmp_path / f"{name}.mid") for name in names]
    result = midi_render.render_all(items, small_font, instrument="organ")
    assert result.paths == {}
    assert all(f"{name}.mid" in result.failed[name] for name in names)


def test_what_cannot_be_rendered_is_named_and_the_rest_is_done(
    tmp_path: Path, small_font: Path, own_cache: Path
) -> None:
    synthetic.midi(tmp_path / "good.mid", quarters=2, bpm=200)
    synthetic.midi(tmp_path / "no notes.mid", quarters=0, bpm=120)
    (tmp_path / "noise.mid").write_bytes(b"MThd garbage")
    (tmp_path / "empty.mid").touch()
    items = [(name, tmp_path / f"{name}.mid") for name in ("no notes", "noise", "empty", "absent", "good")]
    seen: list[tuple[int, int]] = []
    result = midi_render.render_all(items, small_font, progress=lambda *p: seen.append(p))
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
    result = midi_render.render_all([("a", tmp_path / "a.mid")], font, timeout=timeout)
    assert result.paths == {}
    assert message in result.failed["a"]


def test_a_missing_program_comes_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"fluidsynth.*install"):
        midi_render.render_all([])


def test_the_named_soundfont_is_taken_or_said_to_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    font = tmp_path / "mine.sf2"
    monkeypatch.setenv("VALARO_SOUNDFONT", str(font))
    with pytest.raises(DataError, match=r"VALARO_SOUNDFONT is .*mine\.sf2"):
        midi_render.find_soundfont()
    font.touch()
    assert midi_render.find_soundfont() == font


def test_no_soundfont_anywhere_comes_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VALARO_SOUNDFONT", raising=False)
    monkeypatch.setattr(midi_render, "_FOLDERS", (str(tmp_path),))
    with pytest.raises(DataError, match=r"no soundfont.*VALARO_SOUNDFONT"):
        midi_render.find_soundfont()
    (tmp_path / "TimGM6mb.sf2").touch()
    (tmp_path / "FluidR3_GM.sf2").touch()
    (tmp_path / "default-GM.sf2").symlink_to(tmp_path / "FluidR3_GM.sf2")
    assert midi_render.find_soundfont().name == "FluidR3_GM.sf2"
    assert [font.name for font in midi_render.find_soundfonts()] == ["FluidR3_GM.sf2", "TimGM6mb.sf2"]
