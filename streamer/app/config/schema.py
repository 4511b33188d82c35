"""The config file: what ``valaro listen --config F`` reads, in TOML, checked before anything is opened.

Only this module imports pydantic, whose start-up time and memory a show without a config can do without.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from ..._util.address import parse_destination, parse_listening
from ...core.affect import MOST_CHANNELS
from ...core.controls import MOST_OFFSET, listener_name
from ...errors import InputError
from ...midi.messages import LAST_CONTROLLER, LAST_FINE, LONGEST_REFRESH, MidiSettings
from ...midi.receiver import MidiInSettings
from ...sinks.expressions import compile_expression
from ...sinks.mapping import Mapped, check_address, check_curve, check_range, check_seconds
from ..monitoring.metrics import parse_target
from ..plugins import SINKS, VALUE, by_name
from .errors import Misplaced, as_toml, read_toml, refusal
from .syntax import PATHS

CHANNEL = "{channel}"  # in the address of a map: the number of a channel that is tracked separately

T = TypeVar("T")


def _checked(check: Callable[[T], object]) -> AfterValidator:
    """A validator that reports the InputError of ``check``."""

    def validate(value: T) -> T:
        try:
            check(value)
        except InputError as error:
            raise ValueError(str(error)) from error
        return value

    return AfterValidator(validate)


def _between(low: float, high: float, why: str = "") -> AfterValidator:
    def validate(value: float) -> float:
        if not low <= value <= high:  # NaN is not
            raise ValueError(f"must be from {low:g} to {high:g}{why}, not {as_toml(value)}")
        return value

    return AfterValidator(validate)


def _address(text: str) -> str:
    check_address(text.replace(CHANNEL, "1"))
    return text


def _four_or_none(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(numbers) not in {0, 4}:
        raise ValueError(f"must hold four numbers, one for each quadrant, or none: [], not {len(numbers)}")
    return numbers


def _four(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(numbers) != 4:
        raise ValueError(f"must hold four numbers, one for each quadrant, not {len(numbers)}")
    return numbers


def _some(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if not numbers or len(set(numbers)) != len(numbers):
        raise ValueError("must hold the numbers of the channels, each once, such as [1, 2]")
    return numbers


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be a name of printable characters")
    return text.strip()


def _service_name(text: str) -> str:
    if len(_name(text).encode()) > 63:  # RFC 6763, section 4.1.1
        raise ValueError("must have at most 63 bytes, for it is announced on the network")
    return text.strip()


def _host(text: str) -> str:
    if not text.isprintable() or not text or " " in text or text.count(":") == 1:
        raise ValueError('must be a host alone, without its port, such as "127.0.0.1"')
    return text


def _listen(text: str) -> str:
    try:
        parse_listening(text, "OSC input")
    except InputError as error:
        raise ValueError('must be "PORT" or "HOST:PORT", the port from 1 to 65535') from error
    return text.strip()


def _beside(path: Path, info: ValidationInfo) -> Path:
    """Resolve a path from the config's own folder, so that both can be moved together."""
    if not path.name:
        raise ValueError("must be the name of a file")
    if any(letter < " " for letter in str(path)):  # "C:\\new" holds a line feed
        raise ValueError(f"has a \\ in quotes that stands for no letter, as \\n and \\t do: {PATHS}")
    folder: Path = (info.context or {}).get("folder", Path())
    try:
        return folder / path.expanduser()
    except RuntimeError as error:  # ~ of an unknown user
        raise ValueError("names a home folder that is not known") from error


# Where a name or a port is asked for, a number may stand without quotes.
NumberOrText = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
Name = Annotated[str, AfterValidator(_name)]
File = Annotated[Path, Field(strict=False), AfterValidator(_beside)]  # strict would take Path objects only
Ends = Annotated[tuple[float, ...], Field(strict=False), _checked(check_range)]  # strict would take no lists
Controller = Annotated[int, _between(0, LAST_CONTROLLER, " (MIDI keeps 120 to 127 for itself)")]
Note = Annotated[int, _between(0, 127)]
Seconds = Annotated[float, _checked(check_seconds)]
Channel = Annotated[int, _between(1, MOST_CHANNELS)]


class Table(BaseModel):
    """The base of all tables: unknown keys and values of another type are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OscMap(Table):
    """``[[osc.map]]``: one value to one address.

    Where channels are tracked separately, it is the value of ``channel``; without that, of each channel whose number
    replaces ``{channel}`` in ``to``, or else of the first. Without ``source_range`` the natural range is used.
    """

    source: Annotated[str, _checked(compile_expression)] = Field(alias="from")
    """What is sent: a value of the emission, or arithmetic over several (see Expressions, below)."""
    to: Annotated[str, _checked(_address)]
    """The OSC address, such as `/composition/layers/1/video/opacity`; `{channel}` in it is the channel's number."""
    channel: Channel | None = None
    """With `separate`: whose value. Left out: each channel's where `to` holds `{channel}`, else the first's."""
    source_range: Ends | None = Field(None, alias="in")
    """The ends of the range of `from`; what lies outside is clipped. Without it: that of a bare name, else 0 to 1."""
    out_range: Ends = Field((0.0, 1.0), alias="out")
    """What the ends of `in` become; the second may be the smaller."""
    curve: Annotated[float, _checked(check_curve)] = 1.0
    """Exponent of the share between the ends, above 0: over 1 it stays low longer, under 1 it rises sooner."""
    attack: Seconds = 0.0
    """Seconds to cover 63 % of a rise; 0 follows at once."""
    release: Seconds = 0.0
    """Seconds to cover 63 % of a fall; 0 follows at once."""

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.source_range is None and compile_expression(self.source).natural is None:
            raise Misplaced("in", f"is missing, for {self.source.strip()} has no natural range: such as [0.0, 3600.0]")
        return self

    @property
    def for_channels(self) -> bool:
        """Whether it applies only where channels are tracked separately."""
        return self.channel is not None or CHANNEL in self.to

    def mapped(self, channel: int | None = None) -> Mapped:
        """A new mapping, with a smoothing state of its own."""
        return Mapped(
            self.source,
            self.to.replace(CHANNEL, str(channel)),
            source_range=None if self.source_range is None else (self.source_range[0], self.source_range[1]),
            out_range=(self.out_range[0], self.out_range[1]),
            curve=self.curve,
            attack=self.attack,
            release=self.release,
        )


class OscOut(Table):
    """``[[osc]]``: one destination. ``rate`` in Hz is that of the interpolated output; None: one an emission."""

    to: Annotated[NumberOrText, _checked(parse_destination)]
    """Where to, `HOST:PORT`, or `PORT` of this machine; IPv6 as `[::1]:9000`."""
    bundle: bool = True
    """One OSC bundle an emission; `false`: plain messages, for receivers that mishandle bundles."""
    contract: bool = True
    """Whether the addresses of Valaro are sent; `false`: only what the maps (and `cells`) say."""
    cells: bool = False
    """Also each cell of the heatmap by itself, `/valaro/cell/A/V`."""
    rate: Annotated[float, _between(1, 120, " Hz")] | None = None
    """Interpolated values, so many a second, half a second later than otherwise. Without it: one an emission."""
    entries: Annotated[tuple[OscMap, ...], Field(strict=False)] = Field((), alias="map")
    """Values of the emission at addresses of your own, a table each (see `[[osc.map]]`)."""

    @model_validator(mode="after")
    def _sends_something(self) -> Self:
        if not (self.contract or self.cells or self.entries):
            raise Misplaced("contract", "is false, and so nothing is sent: add an [[osc.map]]")
        return self

    def maps(self) -> list[Mapped]:
        """New mappings of the entries, each with a smoothing state of its own."""
        return [entry.mapped() for entry in self.entries if not entry.for_channels]

    def channel_maps(self, number: int) -> list[Mapped]:
        """New mappings for a channel that is tracked separately."""
        entries = [entry for entry in self.entries if entry.for_channels and entry.channel in (None, number)]
        return [entry.mapped(number) for entry in entries]


class OscInput(Table):
    """``[osc_in]``: where OSC messages are taken."""

    listen: Annotated[NumberOrText, AfterValidator(_listen)]
    """`PORT` (heard from this machine only) or `HOST:PORT`; `0.0.0.0:PORT` takes messages from the network, and
    `*:PORT` over IPv6 too."""


class MidiOut(Table):
    """``[midi]``: ``port`` to find by name, or ``virtual`` to make; neither: the command line names the port."""

    port: Name | None = None
    """The port to send to, by its name or a part of it."""
    virtual: Name | None = None
    """A port of this name is made instead (not on Windows). One of the two, or `--midi`."""
    channel: Annotated[int, _between(1, 16)] = 1
    """The MIDI channel."""
    valence: Controller = 20
    """Controller of valence."""
    arousal: Controller = 21
    """Controller of arousal."""
    confidence: Controller = 22
    """Controller of confidence."""
    quadrants: Annotated[tuple[Controller, ...], Field(strict=False), AfterValidator(_four)] = (23, 24, 25, 26)
    """Four controllers, for the shares of happy, tense, sad and calm."""
    fine: bool = False
    """14 bits: the high half on controller n, from 0 to 31, the low half on n + 32."""
    notes: Annotated[tuple[Note, ...], Field(strict=False), AfterValidator(_four_or_none)] = (60, 61, 62, 63)
    """Four notes, one for each quadrant, for the strongest mood; `[]`: none."""
    velocity: Annotated[int, _between(1, 127)] = 100
    """Velocity of the notes."""
    hysteresis: Annotated[float, _between(0, 1)] = 0.1
    """By how much of the heatmap another quadrant must lead before the note changes."""
    refresh: Annotated[float, _between(0, LONGEST_REFRESH)] = 5.0
    """Seconds after which every controller is sent again, changed or not, for hosts that came late; 0: never."""

    @model_validator(mode="after")
    def _means_one_thing(self) -> Self:
        if self.port is not None and self.virtual is not None:
            raise Misplaced("virtual", 'excludes "port": choose one')
        numbers = [("valence", self.valence), ("arousal", self.arousal), ("confidence", self.confidence)]
        numbers += [("quadrants", number) for number in self.quadrants]
        seen: dict[int, str] = {}
        # Report a key that the file holds, before one with its default.
        for key, number in sorted(numbers, key=lambda entry: entry[0] in self.model_fields_set):
            if self.fine and number > LAST_FINE:
                raise Misplaced(
                    key, f"with fine = true must be from 0 to {LAST_FINE} (n + 32 is taken too), not {number}"
                )
            if number in seen:
                raise Misplaced(key, f"has the controller {number}, as {seen[number]} has: choose another")
            seen[number] = key
        return self

    def settings(self) -> MidiSettings:
        """All but the port."""
        return MidiSettings(**self.model_dump(exclude={"port", "virtual"}))


class MidiInput(Table):
    """``[midi_in]``: two controllers that rate; ``port`` and ``virtual`` as in ``[midi]``. ``channel`` 0 is any.

    ``listener``: whose they are, where several are in the room.
    """

    port: Name | None = None
    """The port to listen to, by its name or a part of it."""
    virtual: Name | None = None
    """A port of this name is made instead (not on Windows). One of the two, or `--midi-in`."""
    channel: Annotated[int, _between(0, 16)] = 0
    """The MIDI channel; 0: any."""
    valence: Controller = 102
    """Controller of valence."""
    arousal: Controller = 103
    """Controller of arousal."""
    listener: Annotated[str, _checked(listener_name)] = ""
    """Whose knobs they are, where several listeners are in the room."""

    @model_validator(mode="after")
    def _means_one_thing(self) -> Self:
        if self.port is not None and self.virtual is not None:
            raise Misplaced("virtual", 'excludes "port": choose one')
        if self.valence == self.arousal:
            later = "arousal" if "arousal" in self.model_fields_set else "valence"
            raise Misplaced(later, f"has the controller {self.valence}, as the other axis has: choose another")
        return self

    def settings(self) -> MidiInSettings:
        """All but the port."""
        return MidiInSettings(self.channel, self.valence, self.arousal, self.listener)


class QueryServer(Table):
    """``[oscquery]``: OSCQuery, by HTTP and web socket."""

    port: Annotated[int, _between(0, 65535)] = 0
    """Port of the server; 0: any that is free."""
    host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    """`127.0.0.1` is reached from this machine only, `0.0.0.0` from the network, `*` over IPv6 too."""
    name: Annotated[str, AfterValidator(_service_name)] = "Valaro"
    """What it is called where it is announced, 63 bytes at most."""


class Config(Table):
    """The whole file; whatever it leaves out is None, or empty. ``model`` and ``record`` are beside the file."""

    listener: Annotated[str, _checked(listener_name)] | None = None
    """Whose heatmap it is, and whose the ratings are; for several people there is `--listener`."""
    device: Annotated[NumberOrText, AfterValidator(_name)] | None = None
    """The audio input: a part of its name, or its number, as `valaro devices` prints them."""
    channels: Annotated[tuple[Channel, ...], Field(strict=False), AfterValidator(_some)] | None = None
    """Which channels of the input, counted from 1; without it all are mixed."""
    separate: bool = False
    """Track each channel by itself, at addresses `/valaro/N/...`."""
    model: File | None = None
    """A model bundle to use instead of the built-in one."""
    decoder: Name | None = None
    """Whose heatmap it is: a decoder of the bundle by name, or their `fusion`."""
    record: File | None = None
    """A new file for all that goes out, as JSON lines."""
    policy: Literal["drift", "hold", "pass"] | None = None
    """What talk and noise do: the heatmap may `drift` to the neutral one, `hold`, or `pass` them as music."""
    checkpoint: File | None = None
    """A file for what the chain remembers; a restart within a minute goes on from it."""
    metrics: Annotated[NumberOrText, _checked(parse_target)] | None = None
    """Numbers for Prometheus: `[HOST:]PORT`, or a file whose name ends in `.prom`."""
    log: Literal["text", "json"] | None = None
    """What the lines on stderr are."""
    offset: Annotated[float, _between(0, MOST_OFFSET, " seconds")] | None = None
    """Seconds by which everything goes out later, to meet a delayed video."""
    osc: Annotated[tuple[OscOut, ...], Field(strict=False)] = ()
    """OSC destinations, a table each (see `[[osc]]`)."""
    osc_in: OscInput | None = None
    """Messages that are taken (see `[osc_in]`)."""
    midi: MidiOut | None = None
    """MIDI that is sent (see `[midi]`)."""
    midi_in: MidiInput | None = None
    """Ratings over MIDI (see `[midi_in]`)."""
    oscquery: QueryServer | None = None
    """The OSCQuery server (see `[oscquery]`)."""
    source: Name | None = None
    """The sound of a plugin instead of a device's, by the plugin's name (`valaro plugins`)."""
    sources: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """A plugin's source, `[sources.NAME]`: what it is made from, in keys of its own."""
    sinks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """A plugin's sink, `[sinks.NAME]`: it is sent to, and made from these keys; `[NAME]` at the top does as well."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.source is not None and (self.device is not None or self.channels is not None):
            raise Misplaced("source", 'is a plugin\'s sound, and excludes "device" and "channels"')
        return self


TABLES: dict[tuple[str, ...], type[Table]] = {
    (): Config,
    ("osc",): OscOut,
    ("osc", "map"): OscMap,
    ("osc_in",): OscInput,
    ("midi",): MidiOut,
    ("midi_in",): MidiInput,
    ("oscquery",): QueryServer,
}


def _with_plugins(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Move top-level keys that are names of plugins into ``sinks``: a table, or the value of its option."""
    unknown = content.keys() - set(Config.model_fields)
    names = unknown & {plugin.name for plugin in by_name(SINKS)} if unknown else set()
    names = {name for name in names if not isinstance(content[name], list)}
    sinks = content.get("sinks", {})
    if not names or not isinstance(sinks, dict):
        return content
    if twice := sorted(names & sinks.keys()):
        raise InputError(f"{path}: {twice[0]} and [sinks.{twice[0]}] are the same table: write one of them")
    tables = {name: content[name] if isinstance(content[name], dict) else {VALUE: content[name]} for name in names}
    return {key: value for key, value in content.items() if key not in names} | {"sinks": tables | sinks}


def load_config(path: Path) -> Config:
    """Read and check a config file. A relative path in it counts from the file's own folder.

    Raises
    ------
    InputError
        The file cannot be read or has faults: one line with the first one, and how many more there are.
    """
    text, content = read_toml(path)
    content = _with_plugins(path, content)
    try:
        return Config.model_validate(content, context={"folder": path.parent})
    except ValidationError as invalid:
        raise refusal(path, text, invalid, TABLES) from invalid
