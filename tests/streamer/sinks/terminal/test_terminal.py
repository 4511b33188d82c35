"""The live picture and its plain form, drawn by rich into memory."""

import io
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rich.console import Console
from valaro.models import grid
from valaro.streamer.core.affect import Activity, Affect
from valaro.streamer.sinks.colormap import Exposure, colours, enlarge
from valaro.streamer.sinks.terminal.sink import Picture, Terminal, plain_line


def an_affect(valence: float = 0.5, arousal: float = 0.5, time: float = 0.5, activity: Activity = "music") -> Affect:
    """All mass in the cell at (valence, arousal)."""
    heatmap = np.zeros(121)
    heatmap[grid.cell_of(valence, arousal)] = 1.0
    heatmap = heatmap.reshape(11, 11)
    mean, covariance = grid.moments(heatmap)
    return Affect(
        time,
        float(mean[0]),
        float(mean[1]),
        covariance,
        heatmap,
        grid.quadrants(heatmap),
        1.0,
        0.8,
        activity,
    )


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def drawn(picture: Picture, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    options = console.options.update(width=width, height=height)
    return ["".join(part.text for part in line) for line in console.render_lines(picture, options, pad=False)]


def settled(affect: Affect) -> Picture:
    clock = Clock()
    picture = Picture("a song", lambda: ["OSC 127.0.0.1:9000"], clock)
    picture.take(affect)
    for _ in range(50):
        drawn(picture)
        clock.now += 0.1
    return picture


def test_everything_stands_within_80_by_24() -> None:
    lines = drawn(settled(an_affect(time=3725.5)))
    assert len(lines) <= 24
    assert all(len(line) == 80 for line in lines)
    text = "\n".join(lines).replace("▀", " ")
    for words in (
        *("a song", "1:02:05.5", "energetic", "calm", "unpleasant", "pleasant"),
        *("tense · angry", "happy · excited", "sad · gloomy", "calm · tender"),
        *("valence", "+0.5", "arousal", "100%", "confidence", "level", "-12 dB", "music", "OSC 127.0.0.1:9000"),
    ):
        assert words in text


def test_channels_that_are_tracked_separately_have_a_line_each() -> None:
    picture = Picture("a band", lambda: ["OSC 127.0.0.1:9000"])
    for time in (0.5, 1.0):
        for number, valence in ((1, 0.9), (2, -0.9)):
            picture.take(replace(an_affect(valence, 0.5, time), channel=number))
        picture.take(replace(an_affect(0.0, 0.5, time, "silence"), channel=12))
    for width in (40, 60, 80, 200):
        assert all(len(line) == width for line in drawn(picture, width))
    lines = [line for line in drawn(picture) if line.strip()]
    assert len(lines) == 6
    for line, words in zip(
        lines,
        [
            ("a band", "0:01.0"),
            ("channel", "mood", "valence", "arousal", "level"),
            ("  1 ", "happy · excited", "+0.91", "+0.55"),
            ("  2 ", "tense · angry", "-0.91", "+0.55"),
            ("  12 ", "silence", "+0.00", "+0.55"),
            ("OSC 127.0.0.1:9000",),
        ],
        strict=True,
    ):
        assert all(word in line for word in words), line


def test_channels_that_have_no_room_are_counted() -> None:
    picture = Picture("a stage", tuple)
    for number in range(1, 65):
        picture.take(replace(an_affect(), channel=number))
    lines = drawn(picture, height=24)
    assert len(lines) <= 24
    shown = [line for line in lines if "+0.55" in line]
    assert f"and {64 - len(shown)} more" in "".join(lines)
    assert len(shown) > 15


def test_a_line_of_a_log_says_the_channel() -> None:
    affect = an_affect()
    assert "channel" not in plain_line(affect)
    assert " channel 12 valence:" in plain_line(replace(affect, channel=12))


@pytest.mark.parametrize(
    ("valence", "arousal", "top", "left"),
    [(0.9, 0.9, True, False), (-0.9, 0.9, True, True), (-0.9, -0.9, False, True), (0.9, -0.9, False, False)],
)
def test_the_marker_and_the_light_are_where_the_mood_is(valence: float, arousal: float, top: bool, left: bool) -> None:
    picture = settled(an_affect(valence, arousal))
    lines = [line[2:38] for line in drawn(picture)[2:20]]
    row = next(k for k, line in enumerate(lines) if "●" in line)
    assert (row < 9) == top
    assert (lines[row].index("●") < 18) == left
    pixels = picture._brightness(an_affect(valence, arousal), 36)
    line, column = np.unravel_index(np.argmax(pixels), pixels.shape)
    assert (line < 18) == top
    assert (column < 18) == left


def test_a_new_mood_is_reached_within_a_second() -> None:
    clock = Clock()
    picture = Picture("a song", clock=clock)
    picture.take(an_affect(-0.9, -0.9))
    drawn(picture)
    target = an_affect(0.9, 0.9)
    picture.take(target)
    for _ in range(10):
        clock.now += 0.1
        drawn(picture)
    assert picture._heatmap == pytest.approx(target.heatmap, abs=0.01)


def test_silence_is_named() -> None:
    text = "\n".join(drawn(settled(an_affect(activity="silence"))))
    assert text.count("silence") == 2


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20, 5), (40, 10), (60, 15), (200, 60), (30, 100)])
def test_any_size_of_terminal_is_filled_and_not_overrun(width: int, height: int) -> None:
    for picture in (Picture("a song with a very long name " * 9), settled(an_affect())):
        lines = drawn(picture, width, height)
        assert len(lines) <= height
        assert all(len(line) <= width for line in lines)


def test_without_a_terminal_each_emission_is_one_plain_line() -> None:
    out = io.StringIO()
    sink = Terminal("a song", console=Console(file=out))
    assert not sink.live
    sent = [an_affect(0.9, -0.9, 0.5), an_affect(-0.9, 0.9, 61.0)]
    for affect in sent:
        sink.send(affect)
    sink.close()
    sink.close()
    sink.send(sent[0])
    assert out.getvalue() == "".join(plain_line(affect) + "\n" for affect in sent)
    assert "\x1b" not in out.getvalue()
    assert "1:01.0 valence:-0.91 arousal:+0.91 happy  0 tense 100 sad  0 calm  0 music\n" in out.getvalue()


@pytest.mark.parametrize("time", [0.5, 3_600.0, 359_999.5, 360_000.0, 35_999_999.5])
@pytest.mark.parametrize("activity", ["music", "silence", "speech", "noise", "lost"])
def test_a_plain_line_fits_into_80_columns_and_names_the_moods(time: float, activity: str) -> None:
    for valence, arousal in ((-0.9, 0.9), (0.9, 0.9), (0.0, 0.0)):
        affect = an_affect(valence, arousal, time, activity=activity)  # pyright: ignore[reportArgumentType]
        line = plain_line(affect)
        assert len(line) <= 80
        assert all(f" {name} " in line for name in ("happy", "tense", "sad", "calm"))
        assert line.endswith(f" {activity}")
        assert len(plain_line(replace(affect, channel=32))) <= 80


@pytest.mark.parametrize(
    "variables", [{"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}, {"NO_COLOR": "1"}, {"TERM": "dumb"}]
)
def test_what_is_no_terminal_gets_plain_lines_whatever_the_environment_asks(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    sink = Terminal("a song")
    assert not sink.live
    sink.send(an_affect())
    sink.close()
    assert out.buffer.getvalue().decode() == plain_line(an_affect()) + "\n"  # type: ignore[attr-defined]


def test_a_terminal_whose_encoding_has_no_half_blocks_gets_plain_lines() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    sink = Terminal("a song", console=Console(file=out, force_terminal=True, color_system="truecolor"))
    assert not sink.live
    sink.send(an_affect())
    assert out.buffer.getvalue().decode("ascii") == plain_line(an_affect()) + "\n"  # type: ignore[attr-defined]


def test_no_name_of_a_file_can_break_the_picture() -> None:
    name = "new\nline\x1b[2J\udcff"
    picture = Picture(name, lambda: [f"recording {name}"])
    lines = drawn(picture)
    assert lines[0].startswith("  valaro  new�line�[2J�")
    assert sum("recording new�line�[2J�" in line for line in lines) == 1


class FullDisk(io.StringIO):
    """A log that can't be written, but for its last line."""

    full = True

    def write(self, text: str, /) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_log_on_a_full_disk_loses_its_lines_and_nothing_else() -> None:
    calls: list[bool] = []
    out = FullDisk()
    sink = Terminal("a song", unread=lambda: calls.append(True), console=Console(file=out))
    sink.send(an_affect())
    out.full = False
    sink.send(an_affect(time=1.0))
    assert out.getvalue() == plain_line(an_affect(time=1.0)) + "\n"
    assert calls == []


class Unread(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, _text: str, /) -> int:
        raise BrokenPipeError


def test_a_pipe_that_nobody_reads_is_reported_once() -> None:
    calls: list[bool] = []
    sink = Terminal("a song", unread=lambda: calls.append(True), console=Console(file=Unread()))
    sink.send(an_affect())
    sink.send(an_affect())
    assert calls == [True]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot tell whether a pipe is full")
def test_a_pipe_that_is_full_loses_lines_and_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w", encoding="utf-8") as pipe:
        sink = Terminal("a song", console=Console(file=pipe))
        for k in range(5_000):  # several times what a pipe holds
            sink.send(an_affect(time=0.5 * k))
        os.set_blocking(reading, False)
        held = reader.read().decode().splitlines()
        assert 10 < len(held) < 5_000
        assert held == [plain_line(an_affect(time=0.5 * k)) for k in range(len(held))]
        sink.send(an_affect(time=9_999.0))  # there is room again
        assert reader.read().decode() == plain_line(an_affect(time=9_999.0)) + "\n"


def test_a_terminal_is_given_back_as_it_was() -> None:
    out = io.StringIO()
    sink = Terminal(
        "a song", console=Console(file=out, force_terminal=True, width=80, height=24, color_system="truecolor")
    )
    assert sink.live
    sink.send(an_affect())
    sink.close()
    sink.close()
    text = out.getvalue()
    assert text.count("\x1b[?1049h") == text.count("\x1b[?1049l") == 1  # the other screen, and back
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again
    assert "\x1b[38;2;" in text  # 24-bit colour


heatmaps = hnp.arrays(np.float64, (11, 11), elements=st.floats(0, 1, allow_subnormal=False))


@given(heatmaps, st.integers(11, 90))
def test_an_enlarged_heatmap_keeps_its_mass_and_is_never_negative(heatmap: np.ndarray, size: int) -> None:
    picture = enlarge(heatmap, size)
    assert picture.shape == (size, size)
    assert np.all(picture >= 0)
    assert picture.max(initial=0) <= 1.7 * heatmap.max(initial=0)  # what the cubic may overshoot, both ways


def test_an_enlarged_heatmap_passes_through_the_cells() -> None:
    heatmap = np.random.default_rng(3).random((11, 11))
    assert enlarge(heatmap, 33)[1::3, 1::3] == pytest.approx(heatmap)  # each cell's middle pixel
    assert enlarge(np.full((11, 11), 0.25), 40) == pytest.approx(0.25)


def test_exposure_follows_a_peak_up_at_once_and_down_slowly() -> None:
    expose = Exposure(release=8.0)
    assert np.max(expose(np.array([0.2]), 0.0)) == pytest.approx(1.0)
    assert np.max(expose(np.array([0.1]), 0.1)) == pytest.approx(0.5, abs=0.01)
    assert np.max(expose(np.array([0.1]), 100.0)) == pytest.approx(1.0, abs=0.01)
    assert np.max(expose(np.zeros(1), 0.0)) == 0.0


def test_colours_run_from_dark_to_light() -> None:
    ramp = colours(np.linspace(-0.5, 1.5, 400)).astype(float) @ (0.2126, 0.7152, 0.0722)
    assert np.all(np.diff(ramp) >= -1.0)  # rounding
    assert ramp[0] < 5
    assert ramp[-1] > 240
