"""Options, configuration file and defaults, merged once: which of them counts, and what cannot be meant."""

from pathlib import Path
from typing import Any

import pytest
from valaro.streamer.app.merge import merge
from valaro.streamer.app.settings import DEFAULT_OSC, Input, Options, Settings
from valaro.streamer.errors import InputError

CONFIG = """
device = "Scarlett"
channels = [3, 4]
decoder = "crf"
policy = "hold"
record = "show.jsonl"
checkpoint = "state.npz"
metrics = 9464
log = "json"
offset = 1.5
listener = "ana"
osc_in = { listen = 9001 }
oscquery = { port = 9123, name = "Stage" }
midi = { virtual = "Lights", channel = 3 }
midi_in = { port = "Knobs" }

[[osc]]
to = "127.0.0.1:7000"
rate = 30
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "show.toml"
    path.write_text(CONFIG)
    return path


def test_nothing_said_is_the_default_input_seen_in_the_terminal() -> None:
    assert merge(Options()) == Settings(input=Input("device"))


def test_what_options_leave_open_the_file_says(config: Path) -> None:
    settings = merge(Options(config=config))
    assert settings.input == Input("device", "Scarlett", (3, 4))
    assert (settings.decoder, settings.policy, settings.log) == ("crf", "hold", "json")
    assert settings.record == config.parent / "show.jsonl"
    assert settings.checkpoint == config.parent / "state.npz"
    assert (settings.metrics, settings.offset, settings.listener) == ("9464", 1.5, "ana")
    assert settings.osc_in == "9001"
    assert settings.oscquery is not None
    assert (settings.oscquery.port, settings.oscquery.name) == (9123, "Stage")
    assert settings.midi is not None
    assert (settings.midi.port, settings.midi.virtual, settings.midi.settings.channel) == (None, "Lights", 3)
    assert settings.midi_in is not None
    assert settings.midi_in.port == "Knobs"
    [destination] = settings.osc
    assert (destination.destination, destination.rate) == ("127.0.0.1:7000", 30.0)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("decoder", "aeg", "aeg"),
        ("policy", "pass", "pass"),
        ("log", "text", "text"),
        ("record", Path("other.jsonl"), Path("other.jsonl")),
        ("checkpoint", Path("other.npz"), Path("other.npz")),
        ("metrics", "9465", "9465"),
        ("offset", 0.0, 0.0),
        ("listener", "", ""),
        ("osc_in", "9002", "9002"),
    ],
)
def test_an_option_counts_before_the_file(config: Path, name: str, value: Any, says: Any) -> None:
    assert getattr(merge(Options(config=config, **{name: value})), name) == says


def test_a_named_port_keeps_the_rest_of_its_table(config: Path) -> None:
    settings = merge(Options(config=config, midi="IAC", midi_in="virtual", oscquery=0))
    assert settings.midi is not None
    assert (settings.midi.port, settings.midi.virtual, settings.midi.settings.channel) == ("IAC", None, 3)
    assert settings.midi_in is not None
    assert (settings.midi_in.port, settings.midi_in.virtual) == (None, "Valaro")
    assert settings.oscquery is not None
    assert (settings.oscquery.port, settings.oscquery.name) == (0, "Stage")


def test_destinations_add_up(config: Path) -> None:
    settings = merge(Options(config=config, osc=["127.0.0.1:7001"], osc_messages=True, osc_rate=60.0))
    assert [(each.destination, each.bundle, each.rate) for each in settings.osc] == [
        ("127.0.0.1:7000", True, 30.0),
        ("127.0.0.1:7001", False, 60.0),
    ]


def test_a_named_device_has_the_files_channels_unless_some_are_named(config: Path) -> None:
    assert merge(Options(config=config, device="Other")).input == Input("device", "Other", (3, 4))
    assert merge(Options(config=config, channels="1")).input == Input("device", "Scarlett", (1,))


def test_a_file_is_not_heard_through_the_configs_device(config: Path) -> None:
    assert merge(Options(config=config, file=Path("song.flac"))).input == Input("file", Path("song.flac"))


def test_the_demo_takes_the_files_outputs_and_none_of_its_listening(config: Path) -> None:
    settings = merge(Options(config=config), demo=True)
    assert settings.input == Input("demo")
    assert (settings.checkpoint, settings.metrics, settings.policy, settings.log) == (None, None, "drift", "text")
    assert (settings.decoder, [each.destination for each in settings.osc]) == ("crf", ["127.0.0.1:7000"])
    [default] = merge(Options(), demo=True).osc
    assert default.destination == DEFAULT_OSC


def test_a_replay_overwrites_no_recording_and_takes_no_ratings_from_knobs(config: Path) -> None:
    settings = merge(Options(config=config, replay=Path("show.jsonl"), speed=2.0, loop=True))
    assert settings.input == Input("replay", Path("show.jsonl"), speed=2.0, loop=True)
    assert (settings.record, settings.midi_in, settings.checkpoint) == (None, None, None)
    assert settings.log == "json"
    assert merge(Options(replay=Path("show.jsonl"), record=Path("new.jsonl"))).record == Path("new.jsonl")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "x", "file": Path("y")}, "--device and --file exclude each other"),
        ({"file": Path("y"), "channels": "1"}, "--channels has no say in a file"),
        ({"channels": "0"}, "--channels '0': write numbers from 1"),
        ({"channels": "1,1", "separate": True}, "channel 1 is named twice"),
        ({"separate": True, "listener": "ana"}, "--separate learns from nobody: leave --listener"),
        ({"separate": True, "lag": 0.0}, "--separate learns from nobody: leave --lag"),
        ({"osc_rate": 0.5, "osc": ["a:1"]}, "--osc-rate must be from 1 to 120 Hz, not 0.5"),
        ({"osc_messages": True}, "--osc-messages is for what --osc names"),
        ({"policy": "forget"}, "--policy 'forget': choose drift, hold or pass"),
        ({"log": "xml"}, "--log 'xml': choose one of text, json"),
        ({"metrics": "nowhere"}, "nowhere"),
        ({"seconds": float("nan")}, "--seconds must be above zero"),
        ({"replay": Path("x"), "speed": 0.0}, "--speed must be from 0.1 to 1000"),
    ],
)
def test_what_cannot_be_meant_is_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        merge(Options(**options))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("checkpoint", Path("x")), ("metrics", "9464"), ("model", Path("x")), ("decoder", "aeg"), ("policy", "hold")),
        *(("channels", "1"), ("metrics", ""), ("lag", 0.0)),
        *(("save_audio", Path("x")), ("midi_in", "x"), ("lag", 1.0), ("separate", True)),
    ],
)
def test_what_has_no_say_in_a_replay_is_said(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} has no say in a replay: leave it out"):
        merge(Options(replay=Path("show.jsonl"), **{name: value}))


def test_a_map_of_channels_needs_channels_apart(tmp_path: Path) -> None:
    (tmp_path / "show.toml").write_text(
        '[[osc]]\nto = "127.0.0.1:7000"\nmap = [{ from = "valence", to = "/{channel}/v" }]\n'
    )
    with pytest.raises(InputError, match="add --separate"):
        merge(Options(config=tmp_path / "show.toml"))
    assert merge(Options(config=tmp_path / "show.toml", separate=True)).channels_apart == ()


def test_each_destination_smooths_for_itself(config: Path) -> None:
    config.write_text('[[osc]]\nto = "127.0.0.1:7000"\nmap = [{ from = "valence", to = "/v", attack = 1.0 }]\n')
    [destination] = merge(Options(config=config)).osc
    first, second = destination.table()["maps"], destination.table()["maps"]
    assert first[0] is not second[0]


def test_two_equal_destinations_are_told_and_sent_once(caplog: pytest.LogCaptureFixture) -> None:
    settings = merge(Options(osc=["9000", "127.0.0.1:9001", "localhost:9000", "127.0.0.1:9000"]))
    assert [each.destination for each in settings.osc] == ["9000", "127.0.0.1:9001"]
    assert [record.getMessage() for record in caplog.records] == [
        f"OSC to {text} is asked for twice: it is sent once" for text in ("localhost:9000", "127.0.0.1:9000")
    ]


def test_a_destination_with_maps_of_its_own_is_another(tmp_path: Path) -> None:
    config = tmp_path / "show.toml"
    config.write_text("""
[[osc]]
to = 9000
[[osc.map]]
from = "valence"
to = "/one"
[[osc]]
to = "127.0.0.1:9000"
contract = false
[[osc.map]]
from = "valence"
to = "/two"
""")
    assert len(merge(Options(osc=["localhost:9000"], config=config)).osc) == 2
    assert len(merge(Options(osc=["localhost:9000"], osc_messages=True, config=config)).osc) == 3
