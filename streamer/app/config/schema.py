"""The config file: what ``valaro listen --config F`` reads, in TOML, checked before anything is opened.

pydantic comes with this module only: its start takes time and memory that a show without a config can spare.
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

from ..._util.address import parse_destination
from ...core.affect import MOST_CHANNELS
from ...core.controls import MOST_OFFSET, listener_name
from ...errors import InputError
from ...midi.messages import LAST_CONTROLLER, LAST_FINE, MidiSettings
from ...midi.receiver import MidiInSettings
from ...sinks.expressions import compile_expression
from ...sinks.mapping import Mapped, check_address, check_curve, check_range, check_seconds
from ..monitoring.metrics import parse_target
from ..plugins import SINKS, VALUE, by_name
from .errors import Misplaced, read_toml, refusal, shown

CHANNEL = "{channel}"  # in the address of a map: the number of a channel that is tracked separately

T = TypeVar("T")


def _checked(check: Callable[[T], object]) -> AfterValidator:
    """Have pydantic collect what ``check`` raises."""

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
            raise ValueError(f"must be from {low:g} to {high:g}{why}, not {shown(value)}")
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
        parse_destination(text if ":" in text else f"127.0.0.1:{text}")
    except InputError as error:
        raise ValueError('must be "PORT" or "HOST:PORT", the port from 1 to 65535') from error
    return text.strip()


def _beside(path: Path, info: ValidationInfo) -> Path:
    """A config moves together with the files that it names."""
    if not path.name:
        raise ValueError("must be the name of a file")
    folder: Path = (info.context or {}).get("folder", Path())
    try:
        return folder / path.expanduser()
    except RuntimeError as error:  # ~ of an unknown user
        raise ValueError("names a home folder that is not known") from error


# A number without quotes is plain enough where a name or a port is asked for.
NumberOrText = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
Name = Annotated[str, AfterValidator(_name)]
File = Annotated[Path, Field(strict=False), AfterValidator(_beside)]  # strict would take Path objects only
Ends = Annotated[tuple[float, ...], Field(strict=False), _checked(check_range)]  # strict would take no lists
Controller = Annotated[int, _between(0, LAST_CONTROLLER, " (MIDI keeps 120 to 127 for itself)")]
Note = Annotated[int, _between(0, 127)]
Seconds = Annotated[float, _checked(check_seconds)]
Channel = Annotated[int, _between(1, MOST_CHANNELS)]


class Table(BaseModel):
    """What every table has: no key but the known ones, every value of its own kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OscMap(Table):
    """``[[osc.map]]``: one value to one address. ``source_range`` None: the natural one of the source.

    Where channels are tracked separately it is of ``channel``, or of each, its number in the place of ``{channel}``
    in ``to``, or else of the first.
    """

    source: Annotated[str, _checked(compile_expression)] = Field(alias="from")
    to: Annotated[str, _checked(_address)]
    channel: Channel | None = None
    source_range: Ends | None = Field(None, alias="in")
    out_range: Ends = Field((0.0, 1.0), alias="out")
    curve: Annotated[float, _checked(check_curve)] = 1.0
    attack: Seconds = 0.0
    release: Seconds = 0.0

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.source_range is None and compile_expression(self.source).natural is None:
            raise Misplaced("in", f"is missing, for {self.source.strip()} has no natural range: such as [0.0, 3600.0]")
        return self

    @property
    def for_channels(self) -> bool:
        """Whether it has no say where they are not tracked separately."""
        return self.channel is not None or CHANNEL in self.to

    def mapped(self, channel: int | None = None) -> Mapped:
        """A fresh one, with a smoothing of its own."""
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

    to: Annotated[str, _checked(parse_destination)]
    bundle: bool = True
    contract: bool = True
    cells: bool = False
    rate: Annotated[float, _between(1, 120, " Hz")] | None = None
    entries: Annotated[tuple[OscMap, ...], Field(strict=False)] = Field((), alias="map")

    @model_validator(mode="after")
    def _sends_something(self) -> Self:
        if not (self.contract or self.cells or self.entries):
            raise Misplaced("contract", "is false, and so nothing is sent: add an [[osc.map]]")
        return self

    def maps(self) -> list[Mapped]:
        """The map's entries, fresh: each destination smooths for itself."""
        return [entry.mapped() for entry in self.entries if not entry.for_channels]

    def channel_maps(self, number: int) -> list[Mapped]:
        """Those of a channel that is tracked separately, fresh."""
        found = [entry for entry in self.entries if entry.for_channels and entry.channel in (None, number)]
        return [entry.mapped(number) for entry in found]


class OscInput(Table):
    """``[osc_in]``: where messages are heard, "PORT" or "HOST:PORT"."""

    listen: Annotated[NumberOrText, AfterValidator(_listen)]


class MidiOut(Table):
    """``[midi]``: ``port`` to find by name, or ``virtual`` to make; neither: the command line names the port."""

    port: Name | None = None
    virtual: Name | None = None
    channel: Annotated[int, _between(1, 16)] = 1
    valence: Controller = 20
    arousal: Controller = 21
    confidence: Controller = 22
    quadrants: Annotated[tuple[Controller, ...], Field(strict=False), AfterValidator(_four)] = (23, 24, 25, 26)
    fine: bool = False
    notes: Annotated[tuple[Note, ...], Field(strict=False), AfterValidator(_four_or_none)] = (60, 61, 62, 63)
    velocity: Annotated[int, _between(1, 127)] = 100
    hysteresis: Annotated[float, _between(0, 1)] = 0.1

    @model_validator(mode="after")
    def _means_one_thing(self) -> Self:
        if self.port is not None and self.virtual is not None:
            raise Misplaced("virtual", 'excludes "port": choose one')
        numbers = [("valence", self.valence), ("arousal", self.arousal), ("confidence", self.confidence)]
        numbers += [("quadrants", number) for number in self.quadrants]
        seen: dict[int, str] = {}
        # What is written in the file is to blame, before the defaults.
        for key, number in sorted(numbers, key=lambda each: each[0] in self.model_fields_set):
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
    virtual: Name | None = None
    channel: Annotated[int, _between(0, 16)] = 0
    valence: Controller = 102
    arousal: Controller = 103
    listener: Annotated[str, _checked(listener_name)] = ""

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
    """``[oscquery]``: HTTP and web socket; port 0 takes any free one."""

    port: Annotated[int, _between(0, 65535)] = 0
    host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    name: Annotated[str, AfterValidator(_service_name)] = "Valaro"


class Config(Table):
    """The whole file; whatever it leaves out is None, or empty. ``model`` and ``record`` are beside the file."""

    listener: Annotated[str, _checked(listener_name)] | None = None
    device: Annotated[NumberOrText, AfterValidator(_name)] | None = None
    channels: Annotated[tuple[Channel, ...], Field(strict=False), AfterValidator(_some)] | None = None
    separate: bool = False
    model: File | None = None
    decoder: Name | None = None
    record: File | None = None
    policy: Literal["drift", "hold", "pass"] | None = None
    checkpoint: File | None = None
    metrics: Annotated[NumberOrText, _checked(parse_target)] | None = None
    log: Literal["text", "json"] | None = None
    offset: Annotated[float, _between(0, MOST_OFFSET, " seconds")] | None = None
    osc: Annotated[tuple[OscOut, ...], Field(strict=False)] = ()
    osc_in: OscInput | None = None
    midi: MidiOut | None = None
    midi_in: MidiInput | None = None
    oscquery: QueryServer | None = None
    source: Name | None = None
    sources: dict[str, dict[str, Any]] = Field(default_factory=dict)
    sinks: dict[str, dict[str, Any]] = Field(default_factory=dict)

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


def _with_plugins(content: dict[str, Any]) -> dict[str, Any]:
    """A key at the top that is a plugin's name is its table, or what its option would say."""
    strange = content.keys() - set(Config.model_fields)
    names = strange & {plugin.name for plugin in by_name(SINKS)} if strange else set()
    if not names or not isinstance(content.get("sinks", {}), dict):
        return content
    tables = {name: content[name] if isinstance(content[name], dict) else {VALUE: content[name]} for name in names}
    kept = {key: value for key, value in content.items() if key not in names}
    return kept | {"sinks": tables | kept.get("sinks", {})}


def load_config(path: Path) -> Config:
    """Read and check a config file. A relative path in it counts from the file's own folder.

    Raises InputError, in one line, for a file that cannot be read and for the first fault in it, with file, line and
    what was meant; how many more there are is told.
    """
    text, content = read_toml(path)
    content = _with_plugins(content)
    try:
        return Config.model_validate(content, context={"folder": path.parent})
    except ValidationError as invalid:
        raise refusal(path, text, invalid, TABLES) from invalid
