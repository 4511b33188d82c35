"""Every parser that takes bytes from outside, as a function of bytes that may return or raise AssertionError alone.

Whatever comes in, a parser gives a value that the rest of the program can use, or one of Valaro's own errors with a
message of one line. Each target also makes the seeds that mutation begins with, by the program itself.
"""

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from valaro.streamer._util.address import parse_destination
from valaro.streamer.app.config import presets
from valaro.streamer.app.config.schema import load_config
from valaro.streamer.app.monitoring.metrics import parse_target
from valaro.streamer.core.affect import Affect
from valaro.streamer.core.controls import Controls, listener_names
from valaro.streamer.core.replay import Replay
from valaro.streamer.errors import ValaroError
from valaro.streamer.listeners.salvage import salvaged
from valaro.streamer.listeners.store import Listeners
from valaro.streamer.midi.messages import MidiSettings, MidiState, messages
from valaro.streamer.midi.receiver import MidiInSettings, Pair
from valaro.streamer.osc.commands import Command, Ignored, Refusal, handle
from valaro.streamer.osc.packets import cells, packets
from valaro.streamer.osc.query.client import command
from valaro.streamer.osc.query.namespace import answer, emitted, host_info, may_write, settings
from valaro.streamer.sinks.expressions import compile_expression
from valaro.streamer.sinks.mapping import FLOAT32

from ..streamer.fakes import neutral
from ..streamer.ratings import exported

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """``run`` takes any bytes; ``seeds`` makes some that are well formed, or nearly."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def refused_or(parse: Callable[[], T]) -> T | None:
    """What ``parse`` gives; None if it raises one of Valaro's errors, whose message must be one line for people."""
    try:
        return parse()
    except ValaroError as refusal:
        text = str(refusal)
        assert text.strip()
        assert text.isprintable(), text
        assert len(text) < 2_000, text
        return None


@cache
def folder() -> Path:
    """Where inputs become files, until the end of the program."""
    path = Path(tempfile.mkdtemp(prefix="valaro-fuzz-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def as_file(data: bytes, name: str) -> Path:
    """``data`` as a file."""
    path = folder() / name
    path.write_bytes(data)
    return path


def text_of(data: bytes) -> str:
    """``data`` as the text that a terminal or a socket would hand over."""
    return data.decode("utf-8", "surrogateescape")


def run_osc(data: bytes) -> None:
    controls = Controls()
    controls.newest = neutral(1.0)
    for message in handle(data):
        match message:
            case Command(address, values):
                refused_or(lambda address=address, values=values: obey(controls, address, values))
            case Refusal(address, expected):
                OscMessageBuilder("/valaro/error").add_arg(address)
                assert len(address) <= 64
                assert expected.isprintable()
            case Ignored(why):
                assert why in {"foreign", "malformed"}
    assert 0.0 <= controls.offset <= 30.0


def obey(controls: Controls, address: str, values: tuple[float | str, ...]) -> None:
    """What the two inputs do with a command."""
    match address, values:
        case "/valaro/rate" | "/valaro/rate/xy", (float(valence), float(arousal), *name):
            controls.rate(valence, arousal, str(*name) or None)
        case "/valaro/listener", (str(name),):
            controls.listener = name
        case "/valaro/offset", (float(seconds),):
            controls.offset = seconds
        case "/valaro/reply", (float(port),):
            assert 1 <= int(port) <= 65_535
        case _, values:
            assert all(isinstance(value, float) and 0.0 <= value <= 1.0 for value in values)


def osc_seeds() -> list[bytes]:
    found = []
    for address, arguments in (
        ("/valaro/rate", [(0.5, "f"), (-1.0, "d"), ("ana", "s")]),
        ("/valaro/rate/xy", [(0.5, "f"), (1, "i")]),
        ("/valaro/rate/z", [(True, "T")]),
        ("/valaro/listener", [("ana, b", "s")]),
        ("/valaro/offset", [(3, "h")]),
        ("/valaro/pause", [(False, "F")]),
        ("/valaro/reply", [(9000.0, "f")]),
        ("/valaro/status", []),
        ("/other", [(b"blob", "b"), ("text", "s")]),
    ):
        builder = OscMessageBuilder(address)
        for value, tag in arguments:
            builder.add_arg(value, tag)
        found.append(builder.build())
    inner = OscBundleBuilder(IMMEDIATELY)
    outer = OscBundleBuilder(IMMEDIATELY)
    for message in found[:2]:
        inner.add_content(message)
    outer.add_content(inner.build())
    outer.add_content(found[3])
    return [*(each.dgram for each in found), outer.build().dgram]


def run_midi(data: bytes) -> None:
    """Each byte says how long the next message is and how long after the one before it comes."""
    pair = Pair(MidiInSettings(channel=data[0] % 17 if data else 0))
    at, now = 1, 0.0
    while at < len(data):
        length = data[at] & 7
        now += (data[at] >> 3) / 16
        pair.take(data[at + 1 : at + 1 + length], now)
        place = pair.rested(now)
        assert place is None or all(-1.0 <= each <= 1.0 for each in place)
        at += 1 + length


def midi_seeds() -> list[bytes]:
    turns = [bytes([0xB0, controller, value]) for controller, value in ((102, 0), (103, 127), (102, 64), (7, 1))]
    return [
        b"\x00" + b"".join(b"\x43" + turn for turn in turns),
        b"\x01\x83\xb0\x66\x40\x83\xb0\x67\x00\xf8\x02\xc0\x01",
    ]


def run_oscquery(data: bytes) -> None:
    """A target or an Origin as a request's head has them; a web socket's words."""
    text = data.decode("latin-1")
    controls = Controls()
    for values in (settings(controls), settings(controls) | emitted(neutral(1.0))):
        status, node = answer(text, host_info("Valaro", "127.0.0.1", 9000), values)
        assert status in {200, 204, 400, 404}
        json.dumps(node)
    may_write([text])
    verb = refused_or(lambda: command(text_of(data)))
    assert verb is None or verb[0] in {"LISTEN", "IGNORE"}


def oscquery_seeds() -> list[bytes]:
    targets = [
        "/",
        "/?HOST_INFO",
        "/valaro/va?VALUE",
        "/valaro/rate?VALUE",
        "/valaro%2Fva?RANGE#x",
        "/valaro/?CONTENTS",
    ]
    origins = ["http://localhost:8080", "https://example.org", "file://", "null", "http://[::1]:80"]
    words = ['{"COMMAND": "LISTEN", "DATA": "/valaro/va"}', '{"COMMAND": "IGNORE", "DATA": "/x"}', "[[[1e5, null]]]"]
    return [each.encode() for each in (*targets, *origins, *words)]


def run_config(data: bytes) -> None:
    path = as_file(data, "show.toml")
    config = refused_or(lambda: load_config(path))
    if config is None:
        return
    for out in config.osc:
        parse_destination(out.to)
        for line in out.maps():
            assert all(abs(line(affect)) <= FLOAT32 for affect in (neutral(0.5), neutral(1.0, level=0.7)))
    for table in (config.midi, config.midi_in):
        if table is not None:
            table.settings()
    listener_names(config.listener or "")


def config_seeds() -> list[bytes]:
    written = [presets.text(name).encode() for name in presets.names()]
    return [
        *written,
        b'listener = "ana"\nchannels = [1, 2]\noffset = 0.5\nrecord = "show.jsonl"\n[osc_in]\nlisten = 9001\n'
        b'[midi]\nvirtual = "Valaro"\nquadrants = [1, 2, 3, 4]\n[midi_in]\nport = "x"\n[oscquery]\nport = 0\n',
        b'[[osc]]\nto = "127.0.0.1:9000"\nrate = 60\nmap = [{from = "max(q1, level)", to = "/a", out = [1.0, 0.0]}]\n',
        b'a.b."c d" = """x\n"""\n[[osc]]\n[[osc.map]]\nfrom = \'valence\'\n',
    ]


def run_expression(data: bytes) -> None:
    compiled = refused_or(lambda: compile_expression(text_of(data)))
    if compiled is not None:
        assert all(np.isfinite(compiled.value(affect)) for affect in (neutral(0.5), neutral(1e9, level=0.7)))


def expression_seeds() -> list[bytes]:
    return [
        each.encode()
        for each in (
            "valence",
            "max(q1, q4) - 2 * level / 3",
            "abs(-cell(10, 0))",
            'tag("x") + 1e3',
            "time",
            "-(1 - sad)",
        )
    ]


def run_replay(data: bytes) -> None:
    path = as_file(data, "show.jsonl")
    refused_or(lambda: [sendable(affect) for affect in Replay(path)])


def sendable(affect: Affect) -> None:
    """What every output does with an emission."""
    packets(affect)
    cells(affect)
    messages(MidiSettings(), MidiState(), affect)
    json.dumps(affect.record(), allow_nan=False)


def replay_seeds() -> list[bytes]:
    lines = [json.dumps(neutral(0.5 * k).record() | {"sent": 0.5 * k}) for k in (1, 2)]
    rating = json.dumps({"rating": {"time": 1.0, "valence": 0, "arousal": 0, "listener": "ana"}, "sent": 1})
    tagged = json.dumps(neutral(0.5).record("song.wav") | {"tags": {"bright": 0.5}, "activity": "lost"})
    return [f"{lines[0]}\n{rating}\n\n{lines[1]}\n".encode(), f"{tagged}\n{lines[1][:100]}".encode()]


def run_profile(data: bytes) -> None:
    """As ``valaro listeners import`` does: a file, its JSON, and the ratings in it."""
    from valaro.streamer.cli.listeners import _read

    path = as_file(data, "ana.json")
    with store() as listeners:

        def imported() -> None:
            name, _ = listeners.import_(_read(path))
            for rated in listeners.ratings(name):
                json.dumps(rated.valence + rated.arousal + float(rated.evidence.heatmap.sum()))
            listeners.forget(name)

        refused_or(imported)


def store() -> Listeners:
    """In a file of its own each time."""
    for left in folder().glob("listeners.db*"):
        left.unlink()
    return Listeners(folder() / "listeners.db")


def profile_seeds() -> list[bytes]:
    return [json.dumps(exported(count)).encode() for count in (0, 1)]


def run_salvage(data: bytes) -> None:
    """As a damaged store is read: the file, or, of an odd first byte, the log beside one that is empty."""
    path, log = as_file(b"", "bad.sqlite3"), as_file(b"", "bad.sqlite3-wal")
    (log if data[:1] and data[0] & 1 else path).write_bytes(data[1:])
    for rating in salvaged(path):
        json.dumps((rating.uid, rating.listener, rating.valence + rating.arousal + rating.time, rating.id))
        assert abs(float(rating.evidence.heatmap.sum()) - 1.0) < 1e-2


def salvage_seeds() -> list[bytes]:
    path = folder() / "whole.sqlite3"
    with Listeners(path) as listeners:
        listeners.import_(exported(2))
        log = path.with_name(f"{path.name}-wal").read_bytes()
    seeds = [b"\0" + path.read_bytes(), b"\1" + log]
    path.unlink()
    return seeds


def run_words(data: bytes) -> None:
    """What stands on the command line, or in a field of a config."""
    from valaro.streamer.app.merge import channel_numbers

    text = text_of(data[:80])
    destination = refused_or(lambda: parse_destination(text))
    assert destination is None or 1 <= destination[1] <= 65_535
    refused_or(lambda: listener_names(text))
    refused_or(lambda: parse_target(text))
    refused_or(lambda: channel_numbers(text))
    refused_or(lambda: MidiInSettings(listener=text))


def words_seeds() -> list[bytes]:
    return [each.encode() for each in ("127.0.0.1:9000", "[::1]:57120", "ana, Ünal", "1,2,5", "example.local:1")]


TARGETS: dict[str, Target] = {
    "osc": Target(run_osc, osc_seeds),
    "midi": Target(run_midi, midi_seeds),
    "oscquery": Target(run_oscquery, oscquery_seeds),
    "config": Target(run_config, config_seeds),
    "expression": Target(run_expression, expression_seeds),
    "replay": Target(run_replay, replay_seeds),
    "profile": Target(run_profile, profile_seeds),
    "salvage": Target(run_salvage, salvage_seeds),
    "words": Target(run_words, words_seeds),
}
