"""Options, configuration file and defaults, merged into settings: the one place that decides which of them counts.

An option counts before the configuration file, and the file before the default.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import InputError
from .settings import (
    DEFAULT_DECODER,
    DEFAULT_OSC,
    Input,
    Kind,
    MidiInput,
    MidiOutput,
    Options,
    OscDestination,
    PluginSink,
    QueryServer,
    Settings,
)

if TYPE_CHECKING:
    from ...models.tracker import Policy
    from .config.schema import Config

log = logging.getLogger(__name__)

POLICIES = ("drift", "hold", "pass")  # as models.tracker has them, whose import brings all compiled code
VIRTUAL = "virtual"  # as --midi: a port of our own
VIRTUAL_NAME = "Valaro"
SLOWEST_REPLAY, FASTEST_REPLAY = 0.1, 1000.0  # times the show's own pace

# What has no say in a replay, which has no sound and learns nothing, in the words of the command line.
_NO_SAY: dict[Kind, tuple[str, ...]] = {
    "replay": (
        "channels",
        "checkpoint",
        "metrics",
        "model",
        "decoder",
        "policy",
        "save_audio",
        "midi_in",
        "lag",
        "separate",
    ),
    "file": ("channels",),
    "plugin": ("channels",),
}
# Keys of the file that say something of a sound card, or of a tracker that is left alone for months.
_OF_LISTENING = ("device", "channels", "separate", "policy", "checkpoint", "metrics", "source")
_PASSED_OVER: dict[Kind, tuple[str, ...]] = {"demo": (*_OF_LISTENING, "log"), "replay": _OF_LISTENING}


def merge(options: Options, *, demo: bool = False) -> Settings:
    """Options, else the configuration file, else the defaults.

    Parameters
    ----------
    options : what is asked for in words.
    demo : the built-in piece is the source, and what the file says of listening to a device is passed over.

    Raises
    ------
    InputError
        For what cannot be meant, in one line, before anything is opened.
    """
    kind = _kind(options, demo)
    config = None if options.config is None else _read(options.config)
    if kind == "device" and options.device is None and config is not None and config.source is not None:
        kind = "plugin"
    for name in _NO_SAY.get(kind, ()):
        if getattr(options, name) is not None and getattr(options, name) is not False:
            raise InputError(f"{_option(name)} has no say in {_A[kind]}: leave it out")
    pick = _Picker(options, config, _PASSED_OVER.get(kind, ()))
    settings = Settings(
        input=_input(kind, options, pick),
        osc=_destinations(options, config, demo=demo),
        midi=_midi(options.midi, config),
        midi_in=None if kind == "replay" else _midi_in(options.midi_in, config),
        osc_in=pick("osc_in", options.osc_in, None if config is None or not config.osc_in else config.osc_in.listen),
        oscquery=_oscquery(options.oscquery, config),
        plugin_sinks=_plugin_sinks(options, config),
        offset=pick("offset") or 0.0,
        listener=pick("listener") or "",
        lag=options.lag,
        record=options.record if kind == "replay" else pick("record"),  # the file's recording is what is played
        save_audio=options.save_audio,
        display=not options.no_display,
        model=pick("model"),
        decoder=pick("decoder") or DEFAULT_DECODER,
        policy=_policy(pick("policy")),
        seconds=_seconds(options.seconds),
        checkpoint=pick("checkpoint"),
        metrics=_metrics(pick("metrics")),
        log=_log(pick("log")),
    )
    if kind == "replay":
        return settings
    if pick("separate"):
        return replace(settings, channels_apart=_channels_apart(settings))
    _refuse_channel_maps(config)
    return settings


class _Picker:
    """The option, else the file's key of the same name, unless that has no say here."""

    def __init__(self, options: Options, config: "Config | None", passed_over: Sequence[str]) -> None:
        self._options = options
        self._config = config
        self._passed_over = passed_over

    def __call__(self, name: str, *candidates: Any) -> Any:
        if not candidates:
            of_file = None if name in self._passed_over else getattr(self._config, name, None)
            candidates = (getattr(self._options, name), of_file)
        return next((value for value in candidates if value is not None and value is not False), None)

    def tables(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """The file's tables of plugins, by the plugins' names."""
        return getattr(self._config, name, {})


_A: dict[Kind, str] = {
    "demo": "the demo",
    "device": "an audio input",
    "file": "a file, whose channels are mixed",
    "plugin": "a plugin's sound",
    "replay": "a replay",
}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _kind(options: Options, demo: bool) -> Kind:
    if demo:
        return "demo"
    kinds: dict[str, Kind] = {"device": "device", "file": "file", "replay": "replay", "source": "plugin"}
    named = [name for name in kinds if getattr(options, name) is not None]
    if len(named) > 1:
        raise InputError(f"{' and '.join(map(_option, named))} exclude each other: choose one")
    return kinds[named[0]] if named else "device"


def _read(path: Path) -> "Config":
    from .config.schema import load_config  # it brings pydantic, which a show without a file can spare

    return load_config(path)


def _input(kind: Kind, options: Options, pick: _Picker) -> Input:
    if kind == "device":
        chosen = None if options.channels is None else tuple(channel_numbers(options.channels))
        return Input("device", pick("device"), pick("channels") if chosen is None else chosen)
    if kind == "file":
        return Input("file", options.file)
    if kind == "replay":
        if not SLOWEST_REPLAY <= options.speed <= FASTEST_REPLAY:  # NaN is not
            raise InputError(f"--speed must be from {SLOWEST_REPLAY:g} to {FASTEST_REPLAY:g}, not {options.speed:g}")
        return Input("replay", options.replay, speed=options.speed, loop=options.loop)
    if kind == "plugin":
        from .plugins import SOURCES, find

        tables = pick.tables("sources")
        for name in tables:
            find(SOURCES, name)  # a table that nobody reads is a misspelt one
        name = find(SOURCES, pick("source")).name
        return Input("plugin", name, table=tables.get(name, {}))
    return Input("demo")


def channel_numbers(text: str) -> list[int]:
    """``1,2`` -> [1, 2]. Raises InputError for anything but numbers from 1."""
    parts = [part.strip() for part in text.split(",")]
    # Four digits are more than any device has; Python refuses to read some thousands of them.
    if not all(part.isascii() and part.isdigit() and len(part) <= 4 and int(part) >= 1 for part in parts):
        raise InputError(f"--channels {text!r}: write numbers from 1, such as 1,2")
    return [int(part) for part in parts]


def _destinations(options: Options, config: "Config | None", *, demo: bool) -> tuple[OscDestination, ...]:
    from ..sinks.scheduler import FASTEST, SLOWEST

    named = tuple(options.osc or ())
    of_file = () if config is None else config.osc
    wanted = not demo or bool(named or of_file)
    if not wanted:
        named = (DEFAULT_OSC,)
    rate = options.osc_rate
    if rate is not None and not SLOWEST <= rate <= FASTEST:
        raise InputError(f"--osc-rate must be from {SLOWEST:g} to {FASTEST:g} Hz, not {rate:g}")
    if not named and (rate is not None or options.osc_messages):
        option, key = ("--osc-messages", "bundle = false") if rate is None else ("--osc-rate", "rate = 60")
        raise InputError(f"{option} is for what --osc names: give one, or write {key} under [[osc]] in a config")
    destinations = [
        OscDestination(
            destination=table.to,
            bundle=table.bundle,
            contract=table.contract,
            cells=table.cells,
            rate=table.rate,
            maps=table.maps,
            channel_maps=table.channel_maps if any(entry.for_channels for entry in table.entries) else None,
        )
        for table in of_file
    ]
    found: list[OscDestination] = []
    by_option = [OscDestination(to, not options.osc_messages, rate=rate, wanted=wanted) for to in named]
    for each in (*destinations, *by_option):
        if any(_says_all_of(each, other) for other in found):
            log.warning("OSC to %s is asked for twice: it is sent once", each.destination)
        else:
            found.append(each)
    return tuple(found)


def _says_all_of(each: OscDestination, other: OscDestination) -> bool:
    """Whether ``other`` sends all that ``each`` does to the same place, in the same way."""
    from .._util.address import place

    if not each.contract or each.maps() or each.channel_maps is not None:
        return False
    if (each.bundle, each.rate) != (other.bundle, other.rate):
        return False
    return other.contract and other.cells >= each.cells and place(each.destination) == place(other.destination)


def _midi(named: str | None, config: "Config | None") -> MidiOutput | None:
    table = None if config is None else config.midi
    if named is None and table is None:
        return None
    from ..midi.messages import MidiSettings

    settings = MidiSettings() if table is None else table.settings()
    if named is not None:
        own = VIRTUAL_NAME if table is None else table.virtual or VIRTUAL_NAME
        return MidiOutput(None, own, settings) if named == VIRTUAL else MidiOutput(named, None, settings)
    assert table is not None
    if table.port is None and table.virtual is None:
        raise InputError('the config\'s [midi] names no port: give it with --midi PORT, or as port = "..." there')
    return MidiOutput(table.port, table.virtual, settings)


def _midi_in(named: str | None, config: "Config | None") -> MidiInput | None:
    table = None if config is None else config.midi_in
    if named is None and table is None:
        return None
    from ..midi.receiver import MidiInSettings

    settings = MidiInSettings() if table is None else table.settings()
    port, virtual = (None, None) if table is None else (table.port, table.virtual)
    if named is not None:
        port, virtual = (None, virtual or VIRTUAL_NAME) if named == VIRTUAL else (named, None)
    if port is None and virtual is None:
        raise InputError('the config\'s [midi_in] names no port: give it with --midi-in PORT, or as port = "..."')
    return MidiInput(port, virtual, settings)


def _oscquery(port: int | None, config: "Config | None") -> QueryServer | None:
    table = None if config is None else config.oscquery
    if table is None:
        return None if port is None else QueryServer(port)
    return QueryServer(table.port if port is None else port, table.host, table.name)


def _plugin_sinks(options: Options, config: "Config | None") -> tuple[PluginSink, ...]:
    """One for each table of the file and each ``--sink NAME`` or ``--sink NAME=VALUE``."""
    tables = {} if config is None else config.sinks
    named = dict(_name_and_value(text) for text in options.sink or ())
    names = dict.fromkeys([*tables, *named])
    if not names:
        return ()
    from .plugins import SINKS, VALUE, find

    sinks = []
    for name in names:
        table = {key: value for key, value in tables.get(name, {}).items() if key != VALUE}
        value = named.get(name)
        sinks.append(PluginSink(find(SINKS, name), table, tables.get(name, {}).get(VALUE) if value is None else value))
    return tuple(sinks)


def _name_and_value(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name, value if equals else None


def _policy(named: str | None) -> "Policy":
    if named is not None and named not in POLICIES:
        raise InputError(f"--policy {named!r}: choose drift, hold or pass")
    return cast("Policy", named or POLICIES[0])


def _seconds(seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds < float("inf"):  # NaN is not
        raise InputError(f"--seconds must be above zero, not {seconds:g}")
    return seconds


def _metrics(target: str | None) -> str | None:
    if target is not None:
        from .monitoring.metrics import parse_target

        parse_target(target)
    return target


def _log(form: str | None) -> str:
    from .monitoring.logs import FORMS

    if form is not None and form not in FORMS:
        raise InputError(f"--log {form!r}: choose one of {', '.join(FORMS)}")
    return form or FORMS[0]


def _channels_apart(settings: Settings) -> tuple[int, ...]:
    """The numbers of the channels that are tracked separately; empty for all of the source's.

    Nothing then belongs to a listener's ratings, which are of one stream.
    """
    channels = settings.input.channels or ()
    twice = [number for number in channels if channels.count(number) > 1]
    if twice:
        raise InputError(f"channel {twice[0]} is named twice: it can be tracked separately once")
    for name in ("listener", "midi_in", "lag"):
        value = getattr(settings, name)
        if value is not None and value != "":
            raise InputError(f"--separate learns from nobody: leave {_option(name)}, or the config's, out")
    return channels


def _refuse_channel_maps(config: "Config | None") -> None:
    """A map has nothing to send, ever, where no channel is tracked separately."""
    entries = () if config is None else (entry for table in config.osc for entry in table.entries)
    entry = next((entry for entry in entries if entry.for_channels), None)
    if entry is not None:
        raise InputError(f'the map to "{entry.to}" is for channels that are tracked separately: add --separate')
