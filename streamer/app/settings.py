"""What a session is asked for, in words (:class:`Options`), and what it is made from (:class:`Settings`).

The command line translates its words into options, and so does whoever else starts a session; ``merge`` makes settings
of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ...models.doors import Plugin
    from ...models.tracker import Policy
    from ..midi.messages import MidiSettings
    from ..midi.receiver import MidiInSettings
    from ..osc.sink import OscMapping

DEFAULT_OSC = "127.0.0.1:9000"  # of the demo, where most receivers listen
DEFAULT_DECODER = "fusion"

Kind = Literal["demo", "device", "file", "plugin", "replay"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for in words; None, False and () say nothing, and leave it to the file or the default."""

    config: Path | None = None
    seconds: float | None = None
    device: str | None = None
    channels: str | None = None
    separate: bool = False
    file: Path | None = None
    replay: Path | None = None
    source: str | None = None
    speed: float = 1.0
    loop: bool = False
    osc: Sequence[str] | None = None
    osc_messages: bool = False
    osc_rate: float | None = None
    midi: str | None = None
    midi_in: str | None = None
    osc_in: str | None = None
    oscquery: int | None = None
    sink: Sequence[str] | None = None
    offset: float | None = None
    listener: str | None = None
    lag: float | None = None
    record: Path | None = None
    save_audio: Path | None = None
    model: Path | None = None
    decoder: str | None = None
    policy: str | None = None
    checkpoint: Path | None = None
    metrics: str | None = None
    log: str | None = None
    no_display: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    """Where emissions come from: ``name`` is a device's, a file's or a plugin's, None for the system's default device.

    ``channels``: which of a device's, counted from 1; None takes all. ``table``: a plugin's own settings. ``speed``
    and ``loop`` are of a replay.
    """

    kind: Kind
    name: str | Path | None = None
    channels: tuple[int, ...] | None = None
    table: Mapping[str, Any] = field(default_factory=dict)
    speed: float = 1.0
    loop: bool = False


@dataclass(frozen=True, slots=True)
class OscDestination:
    """One destination, as :class:`~valaro.streamer.osc.sink.Osc` takes it; ``rate`` in Hz of interpolated output.

    ``wanted``: somebody named it; the demo's own choice is nobody's loss.
    """

    destination: str
    bundle: bool = True
    contract: bool = True
    cells: bool = False
    rate: float | None = None
    maps: Callable[[], "Sequence[OscMapping]"] = tuple
    channel_maps: "Callable[[int], Sequence[OscMapping]] | None" = None
    wanted: bool = True

    def table(self) -> dict[str, Any]:
        """The keywords of the sink, with maps of its own: each destination smooths for itself."""
        names = ("destination", "bundle", "contract", "cells", "channel_maps")
        return {name: getattr(self, name) for name in names} | {"maps": self.maps()}


@dataclass(frozen=True, slots=True)
class MidiOutput:
    """A port to find by name, or (``port`` None) one of our own to make, named ``virtual``."""

    port: str | None
    virtual: str | None
    settings: "MidiSettings"


@dataclass(frozen=True, slots=True)
class MidiInput:
    """The same for two controllers that rate."""

    port: str | None
    virtual: str | None
    settings: "MidiInSettings"


@dataclass(frozen=True, slots=True)
class QueryServer:
    """OSCQuery at ``host`` and ``port`` (0: any free one), announced as ``name``."""

    port: int
    host: str = "127.0.0.1"
    name: str = "Valaro"


@dataclass(frozen=True, slots=True)
class PluginSink:
    """A sink that another package brings, and the table that it is made from.

    ``value``: what its own option says, if that was given; the plugin knows which of its keys that is.
    """

    plugin: "Plugin"
    table: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a session is made from; what it holds has been checked, and needs no second look.

    ``channels_apart``: the numbers of the channels that are tracked each by itself, empty for all of the source's;
    None: all are mixed. ``seconds``: the stream time at which the session ends by itself.
    """

    input: Input
    osc: tuple[OscDestination, ...] = ()
    midi: MidiOutput | None = None
    midi_in: MidiInput | None = None
    osc_in: str | None = None
    oscquery: QueryServer | None = None
    plugin_sinks: tuple[PluginSink, ...] = ()
    offset: float = 0.0
    listener: str = ""
    lag: float | None = None
    record: Path | None = None
    save_audio: Path | None = None
    display: bool = True
    model: Path | None = None
    decoder: str = DEFAULT_DECODER
    policy: "Policy" = "drift"
    channels_apart: tuple[int, ...] | None = None
    seconds: float | None = None
    checkpoint: Path | None = None
    metrics: str | None = None
    log: str = "text"


OPTION_NAMES = frozenset(field_.name for field_ in fields(Options))
