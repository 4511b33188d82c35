"""What a session sends, shows and takes: the parts that its settings ask for, and what is to be said about them."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.controls import Controls
from ..core.protocols import Sink
from . import plugins
from .isolation import IsolatedSink, Running, begin_together
from .plugins import SINKS
from .settings import Settings

if TYPE_CHECKING:
    from ...models import Bundle
    from ..core.session import Counters
    from ..listeners.adaptation import OnlineAdaptation
    from ..midi.receiver import MidiIn
    from ..midi.sink import Midi
    from ..osc.query import OscQuery
    from ..osc.receiver import OscIn, Status
    from ..osc.sink import Osc
    from ..sinks.audio_recorder import AudioRecorder
    from ..sinks.recorder import Recorder
    from ..sinks.scheduler import OutputScheduler
    from ..sinks.terminal.sink import Terminal
    from .console import Notices

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Outputs:
    """The parts that the settings ask for.

    ``counters`` and ``losses_of_sound`` are asked for the session's own numbers, ``bundle`` for what its decoders did;
    ``audio_recorder`` and ``adaptation`` are closed with the rest. Whoever makes the session sets them.

    Raises
    ------
    InputError
        For what cannot be meant, before any device is opened.
    """

    def __init__(self, settings: Settings, notices: "Notices") -> None:
        self.controls = Controls(offset=settings.offset, listener=settings.listener)
        self.notices = notices
        self.counters: Callable[[], Counters | None] = lambda: None
        self.losses_of_sound: Callable[[], list[str]] = list
        self.bundle: Bundle | None = None
        self.audio_recorder: AudioRecorder | None = None
        self.adaptation: OnlineAdaptation | None = None
        self._settings = settings
        self._oscs: list[tuple[Osc, float | None]] = [
            (plugins.own(SINKS, "osc")(**destination.table()), destination.rate) for destination in settings.osc
        ]
        self._plugins = [IsolatedSink(wanted.plugin, wanted.table, wanted.value) for wanted in settings.plugin_sinks]
        self._midi: Midi | None = None
        self._midi_in: MidiIn | None = None
        self._osc_in: OscIn | None = None
        self._query: OscQuery | None = None
        self._recorder: Recorder | None = None
        self._scheduler: OutputScheduler | None = None
        self._terminal: Terminal | None = None

    def open(self, title: str, stop: Callable[[], None]) -> list[Sink]:
        """Open all that the settings ask for, the recording and the screen last of all, when everything else works.

        Parameters
        ----------
        title : what is being heard, for the first line of the picture.
        stop : asks the session to end.
        """
        from ..sinks.scheduler import OutputScheduler

        settings = self._settings
        self._midi = self._open_midi()
        self._midi_in = self._open_midi_in()
        self._osc_in = self._open_osc_in()
        self._query = self._open_query()
        running = Running(settings, self.controls, self.numbers, self.status, stop)
        begin_together(self._plugins, running)
        if settings.record is not None:
            recorder: Recorder = plugins.own(SINKS, "record")(settings.record)
            self._recorder = recorder
            self.controls.hear_ratings(recorder.rate)
        as_emitted: list[Sink | None] = [self._midi, self._query, self._recorder, *self._plugins]
        self._scheduler = OutputScheduler(
            [*self._oscs, *((sink, None) for sink in as_emitted if sink is not None)], self.controls
        )
        if not settings.display:
            return [self._scheduler]
        terminal: Terminal = plugins.own(SINKS, "terminal")(title, self.status, unread=stop)
        self._terminal = terminal
        self.notices.held = terminal.live
        return [self._scheduler, terminal]

    def close(self) -> None:
        """Close all; the screen is given back."""
        unscheduled = [] if self._scheduler is not None else [*self._destinations(), self._midi, self._query]
        unscheduled += [] if self._scheduler is not None else self._plugins
        inputs = (self._midi_in, self._osc_in)  # these first: what they still take is kept by the last one
        kept = (self._scheduler, *unscheduled, self._terminal, self.audio_recorder, self.adaptation)
        for part in (*inputs, *kept):
            if part is not None:
                part.close()
        self.notices.held = False

    def losses(self) -> list[str]:
        """What went wrong so far beside the sound, in words."""
        counts = [
            (0 if self._scheduler is None else self._scheduler.faults, "times an output"),
            (0 if self._scheduler is None else self._scheduler.unsent, "emissions that were to go out later"),
            (len(self._missing()), "decoders that could not be had"),
            (self._decoder_faults(), "times a decoder"),
            (sum(plugin.faults for plugin in self._plugins), "times a plugin"),
            (sum(plugin.skipped for plugin in self._plugins), "emissions that a plugin did not take"),
            (
                0 if self._osc_in is None else self._osc_in.counters.refused,
                "OSC messages that asked for what cannot be",
            ),
            (
                0 if self._midi_in is None else self._midi_in.refused + self._midi_in.faults,
                "ratings over MIDI that could not be taken",
            ),
            (0 if self.adaptation is None else self.adaptation.lost, "ratings that could not be kept"),
        ]
        return [f"{count} {what}" for count, what in counts if count]

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
        lines += [_with_faults(f"{plugin.name}: {plugin.state}", plugin.faults) for plugin in self._plugins]
        if self._recorder is not None:
            lines.append(_with_faults(f"recording {self._recorder.path}", self._recorder.faults))
        if self.audio_recorder is not None:
            failed = "  (failed)" if self.audio_recorder.failed else ""
            lines.append(f"saving the sound to {self.audio_recorder.path}{failed}")
        lines += [state] if (state := self._state()) else []
        lines += [f"lost: {', '.join(lost)}"] if (lost := [*self.losses_of_sound(), *self.losses()]) else []
        lines += [self.notices.latest] if self.notices.latest else []
        return [*lines, "Ctrl-C ends"]

    def numbers(self) -> "Status":
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
        parts: dict[str, list[Any]] = {
            "outlet": [self._scheduler],
            "midi": [self._midi],
            "record": [self._recorder],
            "osc": self._destinations(),
            "plugin": [*self._plugins],
        }
        faults = {kind: sum(part.faults for part in found if part is not None) for kind, found in parts.items()}
        lost = 0 if self.adaptation is None else self.adaptation.lost
        return faults | {"decoder": len(self._missing()) + self._decoder_faults(), "ratings": lost}

    def _missing(self) -> dict[str, str]:
        """Decoders that the bundle holds and that cannot be had here."""
        return {} if self.bundle is None else self.bundle.missing

    def _decoder_faults(self) -> int:
        return 0 if self.bundle is None else self.bundle.decoder_faults

    def _destinations(self) -> "list[Osc]":
        return [osc for osc, _ in self._oscs]

    def _state(self) -> str:
        controls = self.controls
        words = ["paused: nothing goes out"] if controls.paused else []
        words += [f"everything {controls.offset:g} s later"] if controls.offset else []
        words += [f"listening: {controls.listener}"] if controls.listener else []
        words += [f"{controls.ratings} ratings"] if controls.ratings else []
        return ", ".join(words)

    def _open_midi(self) -> "Midi | None":
        wanted = self._settings.midi
        return None if wanted is None else plugins.own(SINKS, "midi")(wanted.port, wanted.settings, wanted.virtual)

    def _open_midi_in(self) -> "MidiIn | None":
        wanted = self._settings.midi_in
        if self.adaptation is None or wanted is None:
            return None  # what learns nothing has no use for ratings
        from ..midi.receiver import MidiIn

        return MidiIn(wanted.port, wanted.settings, self.controls, wanted.virtual)

    def _open_osc_in(self) -> "OscIn | None":
        if self._settings.osc_in is None:
            return None
        from ..osc.receiver import OscIn

        return OscIn(self._settings.osc_in, self.controls, self.numbers)

    def _open_query(self) -> "OscQuery | None":
        wanted = self._settings.oscquery
        if wanted is None:
            return None
        incoming = None if self._osc_in is None else self._osc_in.port
        if self._osc_in is not None and self._osc_in.host in LOOPBACK and wanted.host not in LOOPBACK:
            log.info("OSC in is heard from this machine only, and so not announced: 0.0.0.0:%s is from all", incoming)
            incoming = None
        query: OscQuery = plugins.own(SINKS, "oscquery")(
            self.controls,
            host=wanted.host,
            port=wanted.port,
            name=wanted.name,
            osc_port=incoming,
            osc_host=None if self._osc_in is None else self._osc_in.host,
        )
        log.info("OSCQuery on %s", query.url)  # where is not known before, when any free port was asked for
        return query


def _at(rate: float | None) -> str:
    return "" if rate is None else f" at {rate:g} Hz"


def _with_faults(words: str, faults: int) -> str:
    return f"{words}  ({faults} not delivered)" if faults else words
