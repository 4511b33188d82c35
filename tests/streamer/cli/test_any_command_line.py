"""Whatever is typed after ``valaro``: a code, and a line that a person can use."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ...fuzz.command_lines import ENDS, held
from ..fakes import neutral

LONG = "x" * 70_000
# Each broke a program of this kind somewhere: NUL, half a surrogate, bytes that are no UTF-8, too long, too many dots,
# no number, screen codes, folders in the place of files. Nothing outside the tests' own folder: they may run as root.
NASTY = (
    *("", " ", "\0", "a\0b", "\ud800", "\udcff", "é", "\u202e", "\x1b[2J", "a\nb", "'", '"', "\\", "*", "~"),
    *(LONG, "9" * 5_000, "a" * 300, "./" * 300, "a/" * 2_000, "-", "--", "-1", "0", "1e999", "nan", "inf", "-inf"),
    *("0,5", "²", "1_0", "~nobody/x", ".", "music/", "song.wav/x", "./show.toml/../x"),
    *("music", "song.wav", "show.toml", "show.prom", "no/such", "127.0.0.1:9000", "127.0.0.1", ":9000", "9000"),
    *("65536", "[::1]:9000", "[::1%lo]:9", "[]:9", "256.1.1.1:9", "a..b:9000", ".:9000", "xn--a:9000"),
    *(f"{'a' * 64}:9000", f"{'a.' * 200}:9000", "\udcff:9000", "ü" * 80 + ":9000", "a\0:9", "x:٣", "0x7f.1:9000"),
    *("virtual", "osc=", "osc=x", "=", "json", "csv", "hold", "ana,ben", ",", "ana" * 100),
)
OPTIONS = (
    *("--seconds", "--config", "--osc", "--osc-messages", "--osc-rate", "--midi", "--midi-in", "--osc-in"),
    *("--oscquery", "--sink", "--offset", "--listener", "--lag", "--record", "--save-audio", "--model", "--decoder"),
    *("--policy", "--checkpoint", "--metrics", "--log", "--device", "--channels", "--separate", "--file", "--source"),
    *("--replay", "--no-display", "--speed", "--loop", "--format", "--output", "--jobs", "--skip-existing", "--plot"),
    *("--at", "--valence", "--arousal", "--data", "--json", "--yes", "--load", "-o", "-h", "--help", "--version"),
)
WORDS = st.one_of(st.sampled_from(NASTY), st.text(max_size=20), st.floats().map(str), st.integers().map(str))
PAIRS = st.tuples(st.sampled_from(OPTIONS), WORDS).flatmap(
    lambda pair: st.sampled_from(([*pair], [f"{pair[0]}={pair[1]}"], [pair[0]]))
)
SECOND = {"listeners": ("list", "show", "undo", "forget", "export", "import", "x"), "presets": ("list", "write", "x")}


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command, perhaps its arguments, some options with values that fit or do not."""
    command = draw(st.sampled_from(sorted(ENDS)))
    words = [command]
    if command in SECOND:
        words.append(draw(st.sampled_from(SECOND[command])))
    words += draw(st.lists(WORDS, max_size=2))
    return words + [word for pair in draw(st.lists(PAIRS, max_size=4)) for word in pair]


@settings(max_examples=150)
@given(command_lines())
@example([LONG])
@example(["\udcff"])
def test_any_command_line_ends_with_a_code_and_a_line(words: list[str]) -> None:
    held(words)


@pytest.mark.parametrize("option", ["--config", "--osc", "--osc-in", "--metrics", "--listener", "--channels", "--sink"])
def test_a_nasty_value_of_an_option_that_is_read_before_the_start(option: str) -> None:
    for value in NASTY:
        held(["listen", option, value])


@pytest.mark.parametrize("words", ["replay", "analyze", "rate", "listeners show", "listeners import", "presets write"])
def test_a_nasty_name(words: str) -> None:
    for value in NASTY:
        held([*words.split(), value])


@pytest.mark.parametrize("option", ["--osc", "--oscquery", "--osc-in", "--midi", "--sink", "--config"])
def test_a_nasty_value_of_a_session_that_begins(option: str, tmp_path: Path) -> None:
    show = tmp_path / "show.jsonl"
    show.write_text(json.dumps(neutral(0.5).record("a song")) + "\n")
    for value in NASTY:
        held(["replay", str(show), "--speed", "1000", "--no-display", f"{option}={value}"], ends=())
