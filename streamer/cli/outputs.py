"""What `listen`, `demo` and `replay` send, show and take: the options they share, and the parts that these ask for."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..app.config.schema import Config
    from ..app.console import Notices
    from ..core.protocols import Sink
    from ..core.session import Counters
    from ..core.signals import Stoppable
    from ..listeners.adaptation import OnlineAdaptation
    from ..midi.receiver import MidiIn
    from ..osc.query import OscQuery
    from ..osc.receiver import OscIn, Status
    from ..sinks import Midi, Recorder, Terminal
    from ..sinks.audio_recorder import AudioRecorder
    from ..sinks.scheduler import OutputScheduler

log = logging.getLogger(__name__)

VIRTUAL = "virtual"  # as --midi: a port of our own
VIRTUAL_NAME = "Valaro"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options ask for; where they say nothing, the config file speaks. ``osc`` adds to the file's."""

    config: "Config | None" = None
    osc: tuple[str, ...] = ()
    bundle: bool = True
    rate: float | None = None
    midi: str | None = None
    osc_in: str | None = None
    oscquery: int | None = None
    offset: float | None = None
    record: Path | None = None
    display: bool = True
    listener: str | None = None
    midi_in: str | None = None


def read_config(path: Path | None) -> "Config | None":
    """The file's settings, if there is a file; its reader is only loaded then."""
    if path is None:
        return None
    from ..app.config.schema import load_config

    return load_config(path)


class Outputs:
    """The parts that the options ask for, and what the picture's foot says about them."""

    def __init__(self, wanted: Wanted, notices: "Notices") -> None:
        """Raises InputError for what cannot be meant, before any device is opened."""
        from ..core.controls import Controls
        from ..errors import InputError
        from ..sinks import Osc
        from ..sinks.scheduler import FASTEST, SLOWEST

        config = wanted.config
        offset = wanted.offset if wanted.offset is not None or config is None else config.offset
        listener = wanted.listener if wanted.listener is not None or config is None else config.listener
        self.controls: Controls = Controls(offset=offset or 0.0, listener=listener or "")
        self.notices = notices
        self.counters: Callable[[], Counters | None] = lambda: None
        self.losses_of_sound: Callable[[], list[str]] = list
        self.saving: AudioRecorder | None = None
        self.learning: OnlineAdaptation | None = None
        self._wanted = wanted
        if wanted.rate is not None and not SLOWEST <= wanted.rate <= FASTEST:
            raise InputError(f"--osc-rate must be from {SLOWEST:g} to {FASTEST:g} Hz, not {wanted.rate:g}")
        if not wanted.osc and (wanted.rate is not None or not wanted.bundle):
            option, key = ("--osc-messages", "bundle = false") if wanted.rate is None else ("--osc-rate", "rate = 60")
            raise InputError(f"{option} is for what --osc names: give one, or write {key} under [[osc]] in a config")
        self._oscs: list[tuple[Osc, float | None]] = [
            (
                Osc(
                    each.to,
                    each.bundle,
                    contract=each.contract,
                    cells=each.cells,
                    maps=each.maps(),
                    channel_maps=each.channel_maps,
                ),
                each.rate,
            )
            for each in (() if config is None else config.osc)
        ]
        self._oscs += [(Osc(destination, wanted.bundle), wanted.rate) for destination in wanted.osc]
        self._midi: Midi | None = None
        self._midi_in: MidiIn | None = None
        self._osc_in: OscIn | None = None
        self._query: OscQuery | None = None
        self._recorder: Recorder | None = None
        self._outlet: OutputScheduler | None = None
        self._terminal: Terminal | None = None

    def open(self, title: str, running: "Callable[[], Stoppable]") -> list["Sink"]:
        """Open all that the options ask for, the recording and the screen last of all, when everything else works."""
        from ..sinks import Recorder, Terminal
        from ..sinks.scheduler import OutputScheduler

        wanted, config = self._wanted, self._wanted.config
        self._midi = self._open_midi()
        self._midi_in = self._open_midi_in()
        self._osc_in = self._open_osc_in()
        self._query = self._open_query()
        record = wanted.record if wanted.record is not None or config is None else config.record
        if record is not None:
            self._recorder = Recorder(record)
            self.controls.hear_ratings(self._recorder.rate)
        as_emitted = [sink for sink in (self._midi, self._query, self._recorder) if sink is not None]
        self._outlet = OutputScheduler([*self._oscs, *((sink, None) for sink in as_emitted)], self.controls)
        if not wanted.display:
            return [self._outlet]
        self._terminal = Terminal(title, self.status, unread=lambda: running().stop())
        self.notices.held = self._terminal.live
        return [self._outlet, self._terminal]

    def close(self) -> None:
        """Close all; the screen is given back."""
        inner = [] if self._outlet is not None else [*(osc for osc, _ in self._oscs), self._midi, self._query]
        inputs = (self._midi_in, self._osc_in)  # these first: what they still take is kept by the last one
        for each in (*inputs, self._outlet, *inner, self._terminal, self.saving, self.learning):
            if each is not None:
                each.close()
        self.notices.held = False

    def losses(self) -> list[str]:
        """What went wrong so far beside the sound, in words."""
        faults = 0 if self._outlet is None else self._outlet.faults
        unsent = 0 if self._outlet is None else self._outlet.unsent
        refused = 0 if self._osc_in is None else self._osc_in.counters.refused
        unrated = 0 if self._midi_in is None else self._midi_in.refused + self._midi_in.faults
        unkept = 0 if self.learning is None else self.learning.lost
        found = [
            (faults, "times an output"),
            (unsent, "emissions that were to go out later"),
            (refused, "OSC messages that asked for what cannot be"),
            (unrated, "ratings over MIDI that could not be taken"),
            (unkept, "ratings that could not be kept"),
        ]
        return [f"{count} {what}" for count, what in found if count]

    def status(self) -> list[str]:
        """Lines for the foot: where things go, what was lost, the newest notice, how to end."""
        lines = [_with_faults(f"OSC to {osc.destination}{_at(rate)}", osc.faults) for osc, rate in self._oscs]
        if self._midi is not None:
            gone = "" if self._midi.connected else "  (gone; waiting for it)"
            late = f"  ({self._midi.skipped} overtaken)" if self._midi.skipped else ""
            lines.append(_with_faults(f"MIDI to {self._midi.port_name}{gone}{late}", self._midi.faults))
        if self._midi_in is not None:
            gone = "" if self._midi_in.connected else "  (gone; waiting for it)"
            lines.append(f"MIDI in from {self._midi_in.port_name}{gone}")
        if self._osc_in is not None:
            lines.append(f"OSC in on port {self._osc_in.port}")
        if self._query is not None:
            lines.append(f"OSCQuery on {self._query.url}")
        if self._recorder is not None:
            lines.append(_with_faults(f"recording {self._recorder.path}", self._recorder.faults))
        if self.saving is not None:
            lines.append(f"saving the sound to {self.saving.path}{'  (failed)' if self.saving.failed else ''}")
        lines += [state] if (state := self._state()) else []
        lines += [f"lost: {', '.join(lost)}"] if (lost := [*self.losses_of_sound(), *self.losses()]) else []
        lines += [self.notices.latest] if self.notices.latest else []
        return [*lines, "Ctrl-C ends"]

    def _state(self) -> str:
        controls = self.controls
        words = ["paused: nothing goes out"] if controls.paused else []
        words += [f"everything {controls.offset:g} s later"] if controls.offset else []
        words += [f"listening: {controls.listener}"] if controls.listener else []
        words += [f"{controls.ratings} ratings"] if controls.ratings else []
        return ", ".join(words)

    def _open_midi(self) -> "Midi | None":
        named, config = self._wanted.midi, self._wanted.config
        table = None if config is None else config.midi
        if named is None and table is None:
            return None
        from ..errors import InputError
        from ..midi.messages import MidiSettings
        from ..sinks import Midi

        settings = MidiSettings() if table is None else table.settings()
        if named is not None:
            own = VIRTUAL_NAME if table is None else table.virtual or VIRTUAL_NAME
            return Midi(None, settings, own) if named == VIRTUAL else Midi(named, settings)
        assert table is not None
        if table.port is None and table.virtual is None:
            raise InputError('the config\'s [midi] names no port: give it with --midi PORT, or as port = "..." there')
        return Midi(table.port, settings, table.virtual)

    def _open_midi_in(self) -> "MidiIn | None":
        named, config = self._wanted.midi_in, self._wanted.config
        table = None if config is None else config.midi_in
        if self.learning is None or (named is None and table is None):
            return None  # a replay learns nothing, and at home the knobs of its config are not there
        from ..errors import InputError
        from ..midi.receiver import MidiIn, MidiInSettings

        settings = MidiInSettings() if table is None else table.settings()
        port, virtual = (None, None) if table is None else (table.port, table.virtual)
        if named is not None:
            port, virtual = (None, virtual or VIRTUAL_NAME) if named == VIRTUAL else (named, None)
        if port is None and virtual is None:
            raise InputError('the config\'s [midi_in] names no port: give it with --midi-in PORT, or as port = "..."')
        return MidiIn(port, settings, self.controls, virtual)

    def _open_osc_in(self) -> "OscIn | None":
        address, config = self._wanted.osc_in, self._wanted.config
        if address is None:
            if config is None or config.osc_in is None:
                return None
            address = config.osc_in.listen
        from ..osc.receiver import OscIn

        return OscIn(address, self.controls, self._told)

    def _open_query(self) -> "OscQuery | None":
        port, config = self._wanted.oscquery, self._wanted.config
        table = None if config is None else config.oscquery
        if port is None and table is None:
            return None
        from ..osc.query import OscQuery

        host, name = ("127.0.0.1", "Valaro") if table is None else (table.host, table.name)
        chosen = port if port is not None else 0 if table is None else table.port
        incoming = None if self._osc_in is None else self._osc_in.port
        if self._osc_in is not None and self._osc_in.host in LOOPBACK and host not in LOOPBACK:
            log.info("OSC in is heard from this machine only, and so not announced: 0.0.0.0:%s is from all", incoming)
            incoming = None
        query = OscQuery(self.controls, host=host, port=chosen, name=name, osc_port=incoming)
        log.info("OSCQuery on %s", query.url)  # where is not known before, when any free port was asked for
        return query

    def _told(self) -> "Status":
        """The session's numbers, for whoever asks over OSC."""
        from ..osc.receiver import Status

        counters, newest, controls = self.counters(), self.controls.newest, self.controls
        return Status(
            state="paused" if controls.paused else "listening",
            listener=controls.listener,
            offset=controls.offset,
            time=0.0 if newest is None else newest.time,
            emissions=0 if counters is None else counters.emissions,
            lost=0 if counters is None else counters.dropped,
            faults=(0 if counters is None else counters.sink_faults + counters.flags) + sum(self.faults().values()),
        )

    def faults(self) -> dict[str, int]:
        """Times that each kind of output failed so far."""
        kinds = {"outlet": (self._outlet,), "midi": (self._midi,), "record": (self._recorder,)}
        kinds["osc"] = tuple(osc for osc, _ in self._oscs)
        return {kind: sum(each.faults for each in parts if each is not None) for kind, parts in kinds.items()}


def _at(rate: float | None) -> str:
    return "" if rate is None else f" at {rate:g} Hz"


def _with_faults(words: str, faults: int) -> str:
    return f"{words}  ({faults} not delivered)" if faults else words
