"""The config file: every wrong one is refused in one line that names the file, the line and what was meant."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valaro.streamer.app.config.schema import load_config
from valaro.streamer.app.config.toml_lines import key_lines
from valaro.streamer.errors import InputError
from valaro.streamer.midi.messages import MidiSettings
from valaro.streamer.midi.receiver import MidiInSettings

from ...fakes import neutral

WHOLE = """\
listener = "ana"
device = "Scarlett"
channels = [1, 2]
model = "bundle"
decoder = "crf"
record = "tonight.jsonl"
offset = 0.25

[[osc]]
to = "127.0.0.1:7000"
bundle = false
contract = false
cells = true
rate = 60

[[osc.map]]
from = "valence"
to = "/composition/layers/1/video/opacity"
in = [-1, 1.0]
out = [1.0, 0]
curve = 2
attack = 0.2
release = 1.5

[[osc.map]]
from = "q1"
to = "/b"

[[osc]]
to = "[::1]:9000"
map = [{ from = 'tag("dark")', to = "/c" }]

[osc_in]
listen = "127.0.0.1:9001"

[midi]
port = "IAC Driver Bus 1"
channel = 16
valence = 1
arousal = 2
confidence = 3
quadrants = [4, 5, 6, 7]
fine = true
notes = []
velocity = 127
hysteresis = 0.0
refresh = 10.0

[midi_in]
virtual = "Stage left"
channel = 2
valence = 8
arousal = 9

[oscquery]
port = 8080
host = "0.0.0.0"
name = "Valaro on stage"
"""


@pytest.fixture
def show(tmp_path: Path) -> Path:
    return tmp_path / "show.toml"


def refused(path: Path, text: str | bytes) -> str:
    """What load_config says about such a file, without its folder."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError) as error:
        load_config(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.replace(str(path), path.name)


def test_every_setting_is_read(show: Path) -> None:
    show.write_text(WHOLE)
    config = load_config(show)
    assert (config.listener, config.device, config.channels) == ("ana", "Scarlett", (1, 2))
    assert (config.model, config.record) == (show.parent / "bundle", show.parent / "tonight.jsonl")
    assert (config.decoder, config.offset) == ("crf", 0.25)
    first, second = config.osc
    assert (first.to, first.bundle, first.contract, first.cells, first.rate) == (
        "127.0.0.1:7000",
        False,
        False,
        True,
        60,
    )
    entry = first.entries[0]
    assert (entry.source, entry.to) == ("valence", "/composition/layers/1/video/opacity")
    assert (entry.source_range, entry.out_range) == ((-1.0, 1.0), (1.0, 0.0))
    assert (entry.curve, entry.attack, entry.release) == (2.0, 0.2, 1.5)
    assert (second.to, second.bundle, second.contract, second.cells, second.rate) == (
        "[::1]:9000",
        True,
        True,
        False,
        None,
    )
    assert second.entries[0].source == 'tag("dark")'
    assert config.osc_in is not None
    assert config.osc_in.listen == "127.0.0.1:9001"
    assert config.midi is not None
    assert config.midi.model_dump() == {
        "port": "IAC Driver Bus 1",
        "virtual": None,
        "channel": 16,
        "valence": 1,
        "arousal": 2,
        "confidence": 3,
        "quadrants": (4, 5, 6, 7),
        "fine": True,
        "notes": (),
        "velocity": 127,
        "hysteresis": 0.0,
        "refresh": 10.0,
    }
    assert config.midi.settings() == MidiSettings(16, 1, 2, 3, (4, 5, 6, 7), True, (), 127, 0.0, 10.0)
    assert config.midi_in is not None
    assert (config.midi_in.port, config.midi_in.virtual) == (None, "Stage left")
    assert config.midi_in.settings() == MidiInSettings(2, 8, 9)
    assert config.oscquery is not None
    assert config.oscquery.model_dump() == {"port": 8080, "host": "0.0.0.0", "name": "Valaro on stage"}


def test_what_is_left_out_has_the_contracts_values(show: Path) -> None:
    show.write_text("[midi]\n[midi_in]\n[oscquery]\n")
    config = load_config(show)
    assert config.midi is not None
    assert config.midi.port is config.midi.virtual is None
    assert config.midi.settings() == MidiSettings()
    assert config.midi_in is not None
    assert config.midi_in.port is config.midi_in.virtual is None
    assert config.midi_in.settings() == MidiInSettings()
    assert config.oscquery is not None
    assert config.oscquery.port == 0
    assert config.osc == ()
    assert config.osc_in is config.listener is config.offset is config.record is None


def test_maps_become_mapped_values_with_a_smoothing_of_their_own(show: Path) -> None:
    show.write_text(WHOLE)
    out = load_config(show).osc[0]
    first, again = out.maps()[0], out.maps()[0]
    assert [mapped.address for mapped in out.maps()] == ["/composition/layers/1/video/opacity", "/b"]
    assert first(neutral(1.0)) == 0.75  # halfway, squared, from 1 to 0
    assert again is not first


def test_numbers_stand_for_a_device_and_a_port(show: Path) -> None:
    show.write_text("device = 3\nosc_in.listen = 9001")
    config = load_config(show)
    assert config.device == "3"
    assert config.osc_in is not None
    assert config.osc_in.listen == "9001"


def test_files_are_sought_beside_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))  # Windows' name for it
    show = tmp_path / "show.toml"
    show.write_text(f"model = '{tmp_path / 'elsewhere'}'\nrecord = '~/tonight.jsonl'")
    config = load_config(show)
    assert config.model == tmp_path / "elsewhere"
    assert config.record == tmp_path / "home" / "tonight.jsonl"


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(show: Path) -> None:
    show.write_bytes(b'\xef\xbb\xbflistener = "ana"\r\n[midi]\r\n')
    assert load_config(show).listener == "ana"
    message = refused(show, b'\xef\xbb\xbf# hello\r\nlistener = "ana"\r\n[midi]\r\nchanel = 1\r\n')
    assert message == 'show.toml, line 4: midi.chanel: unknown key; did you mean "channel"?'


OSC = '# a comment\n[[osc]]\nto = "127.0.0.1:7000"\n'  # three lines
MAP = OSC + '[[osc.map]]\nfrom = "q1"\nto = "/a"\n'  # six lines


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # unknown keys
        ('listner = "ana"', 'line 1: listner: unknown key; did you mean "listener"?'),
        (MAP + "\natack = 1", 'line 8: osc.map.atack: unknown key; did you mean "attack"?'),
        (MAP + "[oscin]", 'line 7: oscin: unknown key; did you mean "osc_in"?'),
        ("[midi]\nwidth = 1", "line 2: midi.width: unknown key: there are port, virtual, channel"),
        (OSC + 'listener = "ana"', "line 4: osc.listener: unknown key here; it belongs at the top of the file"),
        (OSC + "attack = 1", "line 4: osc.attack: unknown key here; it belongs under [[osc.map]]"),
        ('"two\\nwords" = 1', 'line 1: "two\\nwords": unknown key'),
        # what is missing
        ("[[osc]]\nbundle = true", "line 1: osc.to: is missing"),
        (MAP + "[[osc.map]]\nfrom = 'q1'", "line 7: osc.map.to: is missing"),
        ("[osc_in]", "line 1: osc_in.listen: is missing"),
        # wrong tables
        ('[osc]\nto = "a:1"', "line 1: osc: there may be several: write [[osc]]"),
        (OSC + '[osc.map]\nfrom = "q1"', "line 4: osc.map: there may be several: write [[osc.map]]"),
        ('osc = "127.0.0.1:9000"', "line 1: osc: must be a table: write [[osc]]"),
        ("[[midi]]", "line 1: midi: there is only one: write [midi]"),
        ("midi = true", "line 1: midi: must be a table, not true"),
        # wrong kinds
        ("listener = 3", 'line 1: listener: must be text in "quotes", not 3'),
        ("offset = true", "line 1: offset: must be a number, not true"),
        ("offset = '1'", 'line 1: offset: must be a number, not "1"'),
        ("offset = 1979-05-27", 'line 1: offset: must be a number, not "1979-05-27"'),
        (f"offset = {'9' * 400}", "line 1: offset: must be a number, not a number so large"),
        (OSC + "bundle = 1", "line 4: osc.bundle: must be true or false, not 1"),
        ("channels = 1", "line 1: channels: must be a list in [brackets], not 1"),
        ("channels = [\n1,\n\n'2']", 'line 4: channels: must be a whole number, not "2"'),
        ("[midi]\nchannel = 1.0", "line 2: midi.channel: must be a whole number, not 1.0"),
        ("record = 1", 'line 1: record: must be text in "quotes", not 1'),
        # the top level
        ("listener = '" + "a" * 65 + "'", "line 1: listener: a listener's name has at most 64"),
        ("channels = []", "line 1: channels: must hold the numbers of the channels"),
        ("channels = [1, 1]", "line 1: channels: must hold the numbers of the channels, each once"),
        ("channels = [0]", "line 1: channels: must be from 1 to 9999, not 0"),
        ("offset = 30.5", "line 1: offset: must be from 0 to 30 seconds, not 30.5"),
        ("offset = nan", "line 1: offset: must be from 0 to 30 seconds, not NaN"),
        ("model = ''", "line 1: model: must be the name of a file"),
        ("decoder = ''", "line 1: decoder: must be a name"),
        # OSC
        ("[[osc]]\nto = '127.0.0.1'", "line 2: osc.to: OSC destination '127.0.0.1' has no port"),
        (OSC + "rate = 121", "line 4: osc.rate: must be from 1 to 120 Hz, not 121"),
        (OSC + "rate = 0.5", "line 4: osc.rate: must be from 1 to 120 Hz, not 0.5"),
        (OSC + "contract = false", "line 4: osc.contract: is false, and so nothing is sent"),
        (
            OSC + "[[osc.map]]\nfrom = 'valance'\nto = '/a'",
            'line 5: osc.map.from: unknown name "valance"; did you mean',
        ),
        (OSC + "[[osc.map]]\nto = '/a'\nfrom = '''\n\nq1 +'''", "line 6: osc.map.from: the expression"),
        (
            OSC + "[[osc.map]]\nto = 'opacity'\nfrom = 'q1'",
            'line 5: osc.map.to: an OSC address begins with /: "/opacity"',
        ),
        (
            OSC + "[[osc.map]]\nto = '/a b'\nfrom = 'q1'",
            'line 5: osc.map.to: an OSC address may not hold a space: "/a b"',
        ),
        (
            OSC + "[[osc.map]]\nto = '/a'\nfrom = 'time'",
            "line 4: osc.map.in: is missing, for time has no natural range",
        ),
        (MAP + "in = [0.0, 1.0, 2.0]", "line 7: osc.map.in: a range has two ends"),
        (MAP + "out = [1.0]", "line 7: osc.map.out: a range has two ends"),
        (MAP + "out = [1.0, 1.0]", "line 7: osc.map.out: a range's ends must be different"),
        (MAP + "out = [0.0, inf]", "line 7: osc.map.out: a range's ends must be finite"),
        (MAP + "out = [0.0, '1']", 'line 7: osc.map.out: must be a number, not "1"'),
        (MAP + "curve = 0", "line 7: osc.map.curve: a curve must be a number above 0"),
        (MAP + "attack = -0.1", "line 7: osc.map.attack: attack and release are seconds, 0 or more, not -0.1"),
        (MAP + "release = inf", "line 7: osc.map.release: attack and release are seconds"),
        (
            OSC + "map = [\n {from='q1', to='/a'},\n {from='q1', to='a'},\n]",
            "line 6: osc.map.to: an OSC address begins",
        ),
        ("[osc_in]\nlisten = '0.0.0.0:'", 'line 2: osc_in.listen: must be "PORT" or "HOST:PORT"'),
        ("[osc_in]\nlisten = 70000", 'line 2: osc_in.listen: must be "PORT" or "HOST:PORT"'),
        # MIDI
        ("[midi]\nport = 'a'\n\nvirtual = 'b'", 'line 4: midi.virtual: excludes "port": choose one'),
        ("[midi]\nport = ''", "line 2: midi.port: must be a name"),
        ("[midi]\nchannel = 0", "line 2: midi.channel: must be from 1 to 16, not 0"),
        ("[midi]\nchannel = 17", "line 2: midi.channel: must be from 1 to 16, not 17"),
        ("[midi]\narousal = -1", "line 2: midi.arousal: must be from 0 to 119"),
        ("[midi]\narousal = 120", "line 2: midi.arousal: must be from 0 to 119 (MIDI keeps 120 to 127 for itself)"),
        ("[midi]\nvalence = 21", "line 2: midi.valence: has the controller 21, as arousal has"),
        ("[midi]\nquadrants = [1, 2, 3, 3]", "line 2: midi.quadrants: has the controller 3, as quadrants has"),
        ("[midi]\nquadrants = [1, 2, 3]", "line 2: midi.quadrants: must hold four numbers"),
        (
            "[midi]\nfine = true\nquadrants = [1, 2, 3, 32]",
            "line 3: midi.quadrants: with fine = true must be from 0 to 31",
        ),
        ("[midi]\nnotes = [1]", "line 2: midi.notes: must hold four numbers, one for each quadrant, or none"),
        ("[midi]\nnotes = [1, 2, 3, 128]", "line 2: midi.notes: must be from 0 to 127, not 128"),
        ("[midi_in]\nport = 'a'\nvirtual = 'b'", 'line 3: midi_in.virtual: excludes "port": choose one'),
        ("[midi_in]\nchannel = 17", "line 2: midi_in.channel: must be from 0 to 16, not 17"),
        ("[midi_in]\narousal = 120", "line 2: midi_in.arousal: must be from 0 to 119 (MIDI keeps"),
        ("[midi_in]\nvalence = 103", "line 2: midi_in.valence: has the controller 103, as the other axis has"),
        ("[midi_in]\nvalence = 1\narousal = 1", "line 3: midi_in.arousal: has the controller 1, as the other axis"),
        ("[midi_in]\nfine = true", "line 2: midi_in.fine: unknown key: there are port, virtual, channel"),
        ("[midi]\nvelocity = 0", "line 2: midi.velocity: must be from 1 to 127, not 0"),
        ("[midi]\nhysteresis = 1.5", "line 2: midi.hysteresis: must be from 0 to 1, not 1.5"),
        # OSCQuery
        ("[oscquery]\nport = 65536", "line 2: oscquery.port: must be from 0 to 65535"),
        ("[oscquery]\nhost = '127.0.0.1:80'", "line 2: oscquery.host: must be a host alone"),
        ("[oscquery]\nhost = ''", "line 2: oscquery.host: must be a host alone"),
        ("[oscquery]\nname = '" + "é" * 32 + "'", "line 2: oscquery.name: must have at most 63 bytes"),
        # no TOML
        ("[midi]\nport = IAC", 'line 2: not TOML: a value that cannot be read: text stands in "quotes"'),
        ('model = "C:\\shows"', "line 1: not TOML: a lone \\ in text: write paths with /"),
        (
            r'record = "C:\users\x.jsonl"',
            "line 1: not TOML: a lone \\ in text: write paths with / or in 'single quotes'",
        ),
        (
            r'record = "C:\U0001\x.jsonl"',
            "line 1: not TOML: a lone \\ in text: write paths with / or in 'single quotes'",
        ),
        (r"record = C:\x.jsonl", "line 1: not TOML: a lone \\ in text: write paths with / or in 'single quotes'"),
        (r'record = "C:\x\"', "line 1: not TOML: a lone \\ in text: write paths with / or in 'single quotes'"),
        (r'record = "C:\new\train.jsonl"', "line 1: record: has a \\ in quotes that stands for no letter"),
        ("[[osc]]\nto = 'a:1'\nrate = 59,94", "line 3: not TOML: a number has a point, not a comma: write 59.94"),
        ("offset = -0,5  # s", "line 1: not TOML: a number has a point, not a comma: write -0.5"),
        ("offset = '0,5'", 'line 1: offset: must be a number with a point and no quotes, not "0,5"'),
        (
            "osc = 127.0.0.1:9000",
            'line 1: not TOML: an address is text, of a table: write [[osc]], and below it to = "127',
        ),
        ("[[osc]]\nto = 127.0.0.1:9000", 'line 2: not TOML: an address is text: write "127.0.0.1:9000", in quotes'),
        ("[[osc]]\nto = localhost:9000", 'line 2: not TOML: an address is text: write "localhost:9000", in quotes'),
        ("[[osc]]\nto = [::1]:9000 # pc", 'line 2: not TOML: an address is text: write "[::1]:9000", in quotes'),
        ("[oscquery]\nhost = 10.0.0.1", 'line 2: not TOML: an address is text: write "10.0.0.1", in quotes'),
        ("metrics = :9100", 'line 1: not TOML: an address is text: write ":9100", in quotes'),
        ("device = “Scarlett”", 'line 1: not TOML: text stands in straight "quotes"'),
        ("offset = 1\noffset = 2", "line 2: not TOML: a key or table that is there already"),
        ("[midi]\n\n[midi]", "line 3: not TOML: a table that is there already"),
        ("[midi\nchannel = 1", "line 1: not TOML: "),
        ("[midi]\nport = 'a\n[oscquery]\nport = 1", "line 2: not TOML: what begins here is not finished"),
        ('[midi]\nport = """a\n[oscquery]\nport = 1\n', "line 2: not TOML: what begins here is not finished"),
        ("[midi]\n\n# none\nnotes = [\n\n", "line 4: not TOML: what begins here is not finished"),
        ("notes = ", "line 1: not TOML: what begins here is not finished"),
        ("offset = 1\n\noffset = 2\n", "line 3: not TOML: a key or table that is there already"),
        (b"[midi]\nport = '\xff'", "line 2: is not UTF-8 text: save it as UTF-8"),
        ("[midi]\n".encode("utf-16"), "line 1: is not UTF-8 text"),
    ],
)
def test_each_fault_is_told_with_its_line(show: Path, text: str | bytes, says: str) -> None:
    assert refused(show, text).startswith(f"show.toml, {says}")


def test_the_first_of_several_faults_is_told_and_the_others_counted(show: Path) -> None:
    message = refused(show, "[midi]\nvelocity = 0\nchannel = 0\nchanel = 1\n[oscquery]\nport = -1\n")
    assert message == "show.toml, line 2: midi.velocity: must be from 1 to 127, not 0 (and 3 more)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "[" * 50_000, "show.toml: is nested too deeply"),
        (
            "a = " + "[" * 300 + "]" * 300,
            "show.toml, line 1: a: unknown key: there are listener, device, channels, separate, model, ",
        ),
        ("a = " + "9" * 5_000, "show.toml: holds a number that is too long"),
        ("#" * 10_000_000, "show.toml: is larger than 256 KB: is it a config file?"),
    ],
)
def test_monsters_are_refused(show: Path, text: str, says: str) -> None:
    assert refused(show, text).startswith(says)


def test_a_number_beyond_all_bounds_is_refused(show: Path) -> None:
    assert "not a number so large" in refused(show, f"channels = [0x{'f' * 50_000}]")


def test_no_file_a_folder_and_no_name(tmp_path: Path) -> None:
    for path, says in [
        (tmp_path / "absent.toml", "there is no such file"),
        (tmp_path, "is a folder"),
        (Path("a\0b"), "is no name of a file"),
        (tmp_path / ("a" * 5_000), "cannot be read"),
    ]:
        with pytest.raises(InputError, match=says) as error:
            load_config(path)
        assert str(error.value).isprintable()


def test_the_name_of_a_preset_and_a_name_without_its_ending_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("resolume", "resolume.toml", "shows/resolume"):
        with pytest.raises(InputError, match=r"no such file; `valaro presets write resolume` makes resolume\.toml"):
            load_config(Path(name))
    Path("resolume.toml").touch()
    with pytest.raises(InputError, match=r"^resolume: there is no such file: did you mean resolume\.toml\?"):
        load_config(Path("resolume"))


def paths_in(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Every path that leads to something in what tomllib found."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path} | {below for key, item in inner for below in paths_in(item, (*path, key))}


TRICKY = '''\
# [[osc]]
a.b."c.d" = 1  # x = 2
text = """
b = [1]
"""""
raw = \'\'\'
[table] """ #\'\'\'\'
list = [ # ]
  """a"""", "]", [2, 3],
  { x = 1, y.z = "}" },
]
when = 1979-05-27 07:32:00
[ one . "two" ]
"three=" = \'#\'
[[one.many]]
[[one.many]]
k = true
[one.many.deep]
k = -1e-3
[[one.many.inner]]
k = {}
[[one.many]]
k = []
'''


def test_the_lines_of_a_tricky_text() -> None:
    lines = key_lines(TRICKY)
    assert set(lines) | {()} == paths_in(tomllib.loads(TRICKY))
    assert lines["a", "b", "c.d"] == 2
    assert lines["text",] == 3
    assert lines["raw",] == 6
    assert lines["list",] == 8
    assert lines["list", 0] == lines["list", 2, 1] == 9
    assert lines["list", 3, "y", "z"] == 10
    assert lines["when",] == 12
    assert lines["one", "two"] == 13
    assert lines["one", "two", "three="] == 14
    assert lines["one", "many", 0] == 15
    assert lines["one", "many", 1, "k"] == 17
    assert lines["one", "many", 1, "deep", "k"] == 19
    assert lines["one", "many", 1, "inner", 0, "k"] == 21
    assert lines["one", "many", 2, "k"] == 23


PIECES = [
    *("[[osc]]", "[osc]", "[[osc.map]]", "[midi]", "[osc_in]", "[oscquery]", "[", "]", "{", "}", "=", ",", ".", "\n"),
    *("to", "from", "in", "out", "map", "notes", "port", "fine", "channels", "listener", "offset", "model", '"a"'),
    *("1", "-1", "0.5", "true", "nan", "[1, 2]", "[0, 1]", '"/a"', '"127.0.0.1:1"', '"q1"', "'", '"', '"""', "# ", " "),
]
tomlish = st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join)
keys = st.sampled_from([piece for piece in PIECES if piece.isalpha() and piece not in {"true", "nan"}])
values = st.sampled_from(
    ["1", "-1", "0.5", "true", "nan", "[1, 2]", "[{}]", "{}", '"/a"', '"127.0.0.1:1"', '"q1"', "''"]
)
statements = st.sampled_from(PIECES[:6]) | st.tuples(keys, values).map(" = ".join)
nearly = st.lists(statements, max_size=12).map("\n".join)


@given(
    st.binary(max_size=200) | (st.text(max_size=100) | tomlish | nearly).map(lambda text: text.encode(errors="ignore"))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_raises_anything_but_an_input_error(show: Path, raw: bytes) -> None:
    show.write_bytes(raw)
    try:
        load_config(show)
    except InputError as refused:
        message = str(refused)
    else:
        message = ""
    assert message.isprintable()


@given(tomlish | nearly)
def test_the_scanner_finds_whatever_tomllib_finds(text: str) -> None:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(key_lines(text)) | {()} == paths_in(content)


def test_pydantic_comes_with_the_config_only() -> None:
    code = """
import sys
import valaro.streamer, valaro.streamer.cli, valaro.streamer.sinks.mapping, valaro.streamer.sinks
print("pydantic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "False"


def test_a_key_of_parts_without_end_is_refused_before_it_takes_the_memory(tmp_path: Path) -> None:
    message = refused(tmp_path / "show.toml", f"# x\n{'a.' * 600}a = 1\n")  # 130,000 parts would take 70 GB
    assert message.endswith("line 2: holds more than 500 dots: is it a config file?")


def test_a_value_without_end_is_not_repeated_whole(tmp_path: Path) -> None:
    message = refused(tmp_path / "show.toml", f'[[osc]]\nto = "{"x" * 100_000}"\n')
    assert "line 2: osc.to: OSC destination 'xxx" in message
    assert len(message) < 1_000


def test_a_quote_left_open_in_a_long_file_is_told_of(tmp_path: Path) -> None:
    message = refused(tmp_path / "show.toml", "# x\n" * 20_000 + 'y = """\n' + "z\n" * 2_000)
    assert "not finished" in message
