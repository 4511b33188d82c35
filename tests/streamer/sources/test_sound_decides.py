"""All the sound that a file holds is heard, whatever its header says, and any difference is told."""

import re
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from valaro.streamer.core.engine import _RATES
from valaro.streamer.errors import AudioFileError
from valaro.streamer.sources import AudioFile
from valaro.streamer.sources.audio_file import RATES
from valaro.streamer.sources.containers.sections import sections
from valaro.streamer.sources.containers.splice import Splice

RATE = 24_000
Log = pytest.LogCaptureFixture


def tone(seconds: float = 2.0, rate: int = RATE, channels: int = 1) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.02, (len(time), 1))
    return (noise + 0.3 * np.sin(2 * np.pi * 330 * time)[:, None] * np.ones(channels)).astype("f4")


def encoded(samples: np.ndarray, form: str, subtype: str, rate: int = RATE, **more: object) -> bytes:
    file = BytesIO()
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], subtype, format=form, **more) as sound:  # type: ignore
        for start in range(0, len(samples), 4_800):  # the encoder of Vorbis crashes at a whole minute at once
            sound.write(samples[start : start + 4_800])
    return file.getvalue()


def heard(path: Path, content: bytes) -> tuple[np.ndarray, bool]:
    path.write_bytes(content)
    file = AudioFile(path)
    return np.concatenate(list(file.blocks())), file.broke_off


# Where the length stands: the chunk's name, what follows it before the number, and how the number is written.
CHUNKED = [
    ("WAV", "PCM_16", b"data", "<I", 0),
    ("WAV", "FLOAT", b"data", "<I", 0),
    ("WAVEX", "PCM_24", b"data", "<I", 0),
    ("WAV", "IMA_ADPCM", b"data", "<I", 0),
    ("RF64", "PCM_16", b"ds64", "<Q", 12),
    ("W64", "PCM_16", b"data", "<Q", 12),
    ("AIFF", "PCM_16", b"SSND", ">I", 0),
    ("AIFF", "FLOAT", b"SSND", ">I", 0),
    ("CAF", "PCM_16", b"data", ">Q", 0),
    ("AU", "PCM_16", b".snd", ">I", 4),
]


@pytest.mark.parametrize(("form", "subtype", "name", "number", "further"), CHUNKED)
def test_the_length_in_a_header_does_not_decide(
    tmp_path: Path, caplog: Log, form: str, subtype: str, name: bytes, number: str, further: int
) -> None:
    whole, path = encoded(tone(), form, subtype), tmp_path / "sound"
    expected, _ = soundfile.read(BytesIO(whole), dtype="float32", always_2d=True)
    at, size = whole.index(name) + 4 + further, struct.calcsize(number)
    stated = int.from_bytes(whole[at : at + size], "big" if number[0] == ">" else "little")
    unknown = (1 << 8 * size) - 1
    for length, told in ((stated, 0), (0, 1), (stated // 2 // 64 * 64, 1), (unknown, None)):
        caplog.clear()
        found, broke_off = heard(path, whole[:at] + struct.pack(number, length) + whole[at + size :])
        np.testing.assert_array_equal(found, expected)
        if told is not None:
            assert [record.getMessage().count("all of it is heard") for record in caplog.records] == [1] * told
            assert not broke_off
    caplog.clear()
    found, broke_off = heard(path, whole[: len(whole) // 2 // 4 * 4])
    assert 0.9 * RATE < len(found) < 1.1 * RATE
    np.testing.assert_array_equal(found[:20_000], expected[:20_000])
    assert broke_off
    assert re.search(r"sound: breaks off after (0\.9|1\.0) s \(its header says (1\.9|2\.0) s", caplog.text)


@pytest.mark.parametrize(
    ("form", "subtype"), [(row[0], row[1]) for row in CHUNKED if row[0] != "AU"] + [("FLAC", "PCM_16")]
)
def test_files_that_were_joined_are_heard_one_after_the_other(tmp_path: Path, form: str, subtype: str) -> None:
    one = encoded(tone(1.0), form, subtype)
    expected, _ = soundfile.read(BytesIO(one), dtype="float32", always_2d=True)
    found, broke_off = heard(tmp_path / "sound", one + one)
    np.testing.assert_array_equal(found, np.concatenate([expected, expected]))
    assert not broke_off


def test_a_joined_file_of_another_rate_is_converted(tmp_path: Path) -> None:
    joined = encoded(tone(1.0), "OGG", "VORBIS") + encoded(tone(2.0, 48_000, 2), "OGG", "VORBIS", 48_000)
    found, broke_off = heard(tmp_path / "radio.ogg", joined)
    assert len(found) == pytest.approx(3 * RATE, abs=2)
    for second in range(3):
        part = found[second * RATE + 2_400 : (second + 1) * RATE - 2_400]
        assert np.sqrt(np.mean(part**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)
    assert not broke_off


@pytest.mark.parametrize(
    "behind",
    [
        b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf61.1.100\0\0",
        b"bext\x04\0\0\0\1\2\3\4",
        b"id3 \x04\0\0\0ID3\3LIST\x04\0\0\0INFO",
        b"TAG" + bytes(range(125)),
        bytes(4_096),  # space that was set aside
    ],
)
def test_what_follows_the_sound_and_is_none_is_not_heard(tmp_path: Path, caplog: Log, behind: bytes) -> None:
    whole = encoded(tone(), "WAV", "PCM_16")
    found, broke_off = heard(tmp_path / "sound.wav", whole + behind)
    assert (len(found), broke_off, caplog.text) == (2 * RATE, False, "")


def test_a_chunk_behind_the_sound_of_wave64_is_not_heard(tmp_path: Path) -> None:
    whole = encoded(tone(), "W64", "PCM_16")
    name = b"levl" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
    found, _ = heard(tmp_path / "sound.w64", whole + name + struct.pack("<Q", 24 + 4_000) + b"\1" * 4_000)
    assert len(found) == 2 * RATE


def test_an_unfinished_wav_beyond_four_gigabytes_is_heard_to_its_end(tmp_path: Path) -> None:
    path, whole = tmp_path / "hours.wav", encoded(tone(), "WAV", "PCM_16")
    path.write_bytes(whole[:40] + bytes(4) + whole[44:])
    with path.open("r+b") as file:
        file.truncate(5 << 30)  # a hole: it takes no space
    with path.open("rb") as raw:
        (section,) = sections(raw, ".wav")
        with soundfile.SoundFile(Splice(raw, section.pieces)) as sound:  # type: ignore[arg-type]
            assert sound.frames == ((5 << 30) - 44) // 2


@pytest.mark.parametrize("stated", [0, 2 * RATE // 2, 1 << 35])
def test_a_flac_of_another_length_than_it_states(tmp_path: Path, caplog: Log, stated: int) -> None:
    whole = encoded(tone(), "FLAC", "PCM_16")
    number = int.from_bytes(whole[21:26], "big") >> 36 << 36 | stated
    found, broke_off = heard(tmp_path / "a.flac", whole[:21] + number.to_bytes(5, "big") + whole[26:])
    expected, _ = soundfile.read(BytesIO(whole), dtype="float32", always_2d=True)
    np.testing.assert_array_equal(found, expected)
    assert broke_off == (stated > 2 * RATE)
    assert ("its header says" in caplog.text) == bool(stated)


def test_a_flac_that_breaks_off_is_heard_up_to_there(tmp_path: Path) -> None:
    whole = encoded(tone(), "FLAC", "PCM_16")
    for more in (b"", b"TAG" + bytes(125)):
        assert heard(tmp_path / "a.flac", whole + more)[1] is False
    found, broke_off = heard(tmp_path / "a.flac", whole[: len(whole) // 2])
    assert len(found) == pytest.approx(RATE, abs=4_096)
    assert broke_off


def mp3(seconds: float, rate: int = 44_100) -> bytes:
    """A second of noise, then silence but for a tone: a guess from the first frame is far off."""
    samples = 0.1 * tone(seconds, rate)
    samples[:rate] += np.random.default_rng(1).normal(0, 0.2, (rate, 1)).astype("f4")
    return encoded(samples, "MP3", "MPEG_LAYER_III", rate, bitrate_mode="VARIABLE", compression_level=0.5)


def without_length(whole: bytes) -> bytes:
    """Without the frame that holds it: up to the next head of the same kind."""
    assert b"Xing" in whole[:64] or b"Info" in whole[:64]
    return whole[whole.index(whole[:2], 64) :]


@pytest.mark.parametrize("tagged", [b"", b"ID3\4\0\0\0\0\1\0" + bytes(128)])
def test_an_mp3_without_a_length_is_heard_to_its_end(tmp_path: Path, caplog: Log, tagged: bytes) -> None:
    whole, path = mp3(16.0), tmp_path / "rip.mp3"
    found, broke_off = heard(path, tagged + without_length(whole))
    assert len(found) == pytest.approx(16 * 44_100, abs=2_400)
    assert np.abs(found[-44_100:]).max() > 0.02
    assert (broke_off, caplog.text) == (False, "")
    (section,) = sections(path.open("rb"), ".mp3")
    assert section.pieces  # libmpg123's own guess was off


def test_an_mp3_that_states_another_number_of_frames(tmp_path: Path, caplog: Log) -> None:
    whole, path = mp3(4.0), tmp_path / "song.mp3"
    at = (whole.index(b"Xing") if b"Xing" in whole[:64] else whole.index(b"Info")) + 8
    frames = int.from_bytes(whole[at : at + 4], "big")
    expected, broke_off = heard(path, whole)
    assert (broke_off, caplog.text) == (False, "")
    few, broke_off = heard(path, whole[:at] + (frames // 3).to_bytes(4, "big") + whole[at + 4 :])
    assert "its sound goes on to 4.0 s: all of it is heard" in caplog.text
    np.testing.assert_allclose(few[: len(expected) - 2_304], expected[:-2_304], atol=1e-5)
    assert not broke_off
    assert heard(path, whole[:at] + (3 * frames).to_bytes(4, "big") + whole[at + 4 :])[1]
    assert heard(path, whole[: len(whole) // 2])[1]


def test_joined_mp3_with_tags_and_junk_between_them(tmp_path: Path, caplog: Log) -> None:
    one = mp3(3.0)
    cover = b"ID3\4\0\0\0\1\0\0" + bytes([255, 0xFB]) * 8_192
    found, _ = heard(tmp_path / "mix.mp3", cover + one + cover + one + b"TAG" + bytes(125) + b"\1junk" * 3_000 + one)
    assert len(found) == pytest.approx(9 * 44_100, abs=6_000)
    assert "15000 bytes up to 9.1 s are no sound" in caplog.text


def test_what_looks_like_frames_everywhere_is_searched_once(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="no MP3"):
        heard(tmp_path / "noise.mp3", b"\xff" * 300_000)


def test_an_mp3_gives_the_same_in_blocks_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(mp3(2.0))
    whole = np.concatenate(list(AudioFile(path).blocks()))
    for block in (480, 5_000):
        np.testing.assert_array_equal(np.concatenate(list(AudioFile(path, block=block).blocks())), whole)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_that_breaks_off_is_told(tmp_path: Path, caplog: Log, subtype: str) -> None:
    whole, path = encoded(tone(4.0), "OGG", subtype), tmp_path / "song.ogg"
    found, broke_off = heard(path, whole)
    assert (len(found), broke_off, caplog.text) == (4 * RATE, False, "")
    assert heard(path, whole[: 3 * len(whole) // 4])[1]
    assert "breaks off after" in caplog.text


@pytest.mark.parametrize("delay", [0, 1])
def test_channels_that_cancel_give_what_one_gives(tmp_path: Path, caplog: Log, delay: int) -> None:
    left = tone()[:, 0]
    swapped = np.stack([left, -left], axis=1)
    found, _ = heard(tmp_path / "swapped.wav", encoded(swapped, "WAV", "FLOAT"))
    np.testing.assert_array_equal(found.mean(axis=1), left)
    assert "its channels cancel when they are mixed (one leg swapped?): channel 2" in caplog.text
    caplog.clear()
    usual = np.stack([left, np.roll(left, delay) * 0.5], axis=1)
    found, _ = heard(tmp_path / "usual.wav", encoded(usual, "WAV", "FLOAT"))
    np.testing.assert_array_equal(found, usual)
    assert caplog.text == ""


PAGE = b"<!DOCTYPE html>\n<html><body>404</body></html>\n" * 20


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("song.m4a", b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(400), "m4a.*ffmpeg"),
        ("clip.webm", b"\x1aE\xdf\xa3" + bytes(400), "WebM.*ffmpeg"),
        ("page.mp3", PAGE, "no MP3, but a web page"),
        ("page.wav", PAGE, "web page"),
        ("noise.mp3", b"abcdef" * 999, "no MP3"),
        ("list.wav", b"#EXTM3U\nsong.mp3\n", "playlist"),
    ],
)
def test_a_refusal_names_the_file_and_what_to_do(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=rf"{name}: is .*?{told}") as caught:
        AudioFile(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""  # nothing of the decoders' own


def test_a_rate_that_the_engine_does_not_take_is_refused_by_the_file_s_name(tmp_path: Path) -> None:
    path = tmp_path / "slow.wav"
    path.write_bytes(encoded(tone(rate=100), "WAV", "PCM_16", 100))
    with pytest.raises(AudioFileError, match=r"slow\.wav: a sample rate of 100 Hz: Valaro takes 1000 to 768000 Hz"):
        AudioFile(path)
    assert RATES == _RATES


def test_a_splice_is_read_as_the_file_that_it_stands_for() -> None:
    raw = BytesIO(bytes(range(100)))
    splice = Splice(raw, [b"head", (10, 20), b"", (50, 5)])
    whole = b"head" + bytes(range(10, 30)) + bytes(range(50, 55))
    assert splice.seek(0, 2) == len(whole)
    take: Callable[[int], bytes] = splice.read
    for at in range(len(whole)):
        assert splice.seek(at) == at
        assert take(7) == whole[at : at + 7]
        assert splice.tell() == min(at + 7, len(whole))
    splice.seek(3)
    assert splice.read() == whole[3:]
    assert splice.read(1) == b""
