"""What a session sends, shows and takes: the parts that its settings ask for, and what is to be said about them."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

from ..core.controls import Controls
from ..core.protocols import Sink
from . import plugins
from .isolation import IsolatedSink, Running, begin_together
from .losses import Losses
from .plugins import SINKS
from .settings import Settings

if TYPE_CHECKING:
    from ..core.session import Counters
    from ..listeners.adaptation import OnlineAdaptation
    from ..midi.receiver import MidiIn
    from ..midi.sink import Midi
    from ..osc.query import OscQuery
    from ..osc.receiver import OscIn, Status
    from ..osc.sink import Osc
    from ..sinks.audio_recorder import AudioRecorder
    from ..sinks.recorder import Recorder
    from ..sinks.terminal.sink import Terminal
    from .console import Notices

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")

# When each kind of part is closed: inputs first, for what they still take is kept by the ratings, which come last; the
# outlet, which closes what it sends to once its thread has ended, before all that.
_CLOSING = {"midi_in": 0, "osc_in": 0, "outlet": 1, "ratings": 3}
_MIDDLE = 2


class Closable(Protocol):
    """A part; ``close`` may be called twice."""

    def close(self) -> None:
        """Flush and release."""
        ...


class Outputs:
    """The parts that the settings ask for.

    Each is held by :meth:`hold`, which has it closed and what it loses told: there is no other way in.

    Attributes
    ----------
    losses : all that they lose; whoever makes the session adds the session itself.
    counters : asked for the session's own numbers; whoever makes the session sets it.

    Raises
    ------
    InputError
        For what cannot be meant, before any device is opened.
    """

    def __init__(self, settings: Settings, notices: "Notices") -> None:
        self.controls = Controls(offset=settings.offset, listener=settings.listener)
        self.notices = notices
        self.losses = Losses()
        self.counters: Callable[[], Counters | None] = lambda: None
        self.losses.watch("session", lambda: self.counters())  # noqa: PLW0108  whoever is asked changes
        self._settings = settings
        self._held: list[tuple[int, Closable]] = []  # with when it is closed, the lowest first
        self._oscs: list[tuple[Osc, float | None]] = []
        for destination in settings.osc:
            osc: Osc = plugins.own(SINKS, "osc")(**destination.table())
            self.hold("osc", osc, osc.destination, wanted=destination.wanted)
            self._oscs.append((osc, destination.rate))
        self._plugins = [IsolatedSink(wanted.plugin, wanted.table, wanted.value) for wanted in settings.plugin_sinks]
        for plugin in self._plugins:
            self.hold("plugin", plugin, plugin.name)
        self._midi: Midi | None = None
        self._midi_in: MidiIn | None = None
        self._osc_in: OscIn | None = None
        self._query: OscQuery | None = None
        self._recorder: Recorder | None = None
        self._audio_recorder: AudioRecorder | None = None
        self._adaptation: OnlineAdaptation | None = None

    def hold(self, part: str, held: "Closable", name: str = "", *, wanted: bool = True) -> None:
        """Close it at the end, and tell what it loses meanwhile.

        Parameters
        ----------
        part : its row of ``losses.ACCOUNTS``.
        held : the part.
        name, wanted : as of :meth:`.losses.Losses.watch`.
        """
        self.losses.watch(part, lambda: held, name, wanted=wanted)
        self._held.append((_CLOSING.get(part, _MIDDLE), held))

    def keep_sound(self, recorder: "AudioRecorder") -> None:
        """The sound of the session is kept too."""
        self._audio_recorder = recorder
        self.hold("sound", recorder, str(recorder.path))

    def learn(self, adaptation: "OnlineAdaptation") -> None:
        """Ratings are learnt from and kept."""
        self._adaptation = adaptation
        self.controls.hear_ratings(adaptation.rate)
        self.hold("ratings", adaptation)

    def open(self, title: str, stop: Callable[[], None]) -> list[Sink]:
        """Open all that the settings ask for, the recording and the screen last of all, when everything else works.

        Parameters
        ----------
        title : what is being heard, for the first line of the picture.
        stop : asks the session to end.
        """
        from ..sinks.scheduler import OutputScheduler

        settings = self._settings
        as_emitted: list[Sink | None] = [self._open_midi()]
        self._open_midi_in()
        self._open_osc_in()
        as_emitted.append(self._open_query())
        running = Running(settings, self.controls, self.numbers, self.status, stop)
        begin_together(self._plugins, running)
        if settings.record is not None:
            recorder: Recorder = plugins.own(SINKS, "record")(settings.record)
            self._recorder = recorder
            self.hold("record", recorder, str(recorder.path))
            self.controls.hear_ratings(recorder.rate)
            as_emitted.append(recorder)
        as_emitted += self._plugins
        scheduler = OutputScheduler(
            [*self._oscs, *((sink, None) for sink in as_emitted if sink is not None)], self.controls
        )
        self.hold("outlet", scheduler)
        if not settings.display:
            return [scheduler]
        terminal: Terminal = plugins.own(SINKS, "terminal")(title, self.status, unread=stop)
        self.hold("screen", terminal)
        self.notices.held = terminal.live
        return [scheduler, terminal]

    def close(self) -> None:
        """Close all; the screen is given back."""
        for _, held in sorted(self._held, key=lambda entry: entry[0]):  # in the order in which they were opened
            held.close()
        self.notices.held = False

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
        if self._audio_recorder is not None:
            failed = "  (failed)" if self._audio_recorder.failed else ""
            lines.append(f"saving the sound to {self._audio_recorder.path}{failed}")
        lines += [state] if (state := self._state()) else []
        lines += [f"lost: {', '.join(lost)}"] if (lost := self.losses.lost()) else []
        lines += [f"told: {', '.join(told)}"] if (told := self.losses.told()) else []
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
            lost=self.losses.total("frames"),
            faults=self.losses.total("times"),
        )

    def traffic(self) -> dict[str, dict[str, int]]:
        """What came in, by kind and by what became of it: messages over OSC, and ratings."""
        ratings = {"taken": self.controls.ratings}
        if self._adaptation is not None:
            ratings |= {"kept": self._adaptation.stored, "lost": self._adaptation.lost}
        if self._osc_in is None:
            return {"ratings": ratings}
        counts = asdict(self._osc_in.counters)  # None where the system does not count
        return {"osc_in_messages": {what: n for what, n in counts.items() if n is not None}, "ratings": ratings}

    def _state(self) -> str:
        controls = self.controls
        words = ["paused: nothing goes out"] if controls.paused else []
        words += [f"everything {controls.offset:g} s later"] if controls.offset else []
        words += [f"listening: {controls.listener}"] if controls.listener else []
        words += [f"{controls.ratings} ratings"] if controls.ratings else []
        return ", ".join(words)

    def _open_midi(self) -> "Midi | None":
        wanted = self._settings.midi
        if wanted is None:
            return None
        midi: Midi = plugins.own(SINKS, "midi")(wanted.port, wanted.settings, wanted.virtual)
        self._midi = midi
        self.hold("midi", midi, midi.port_name)
        return midi

    def _open_midi_in(self) -> None:
        wanted = self._settings.midi_in
        if self._adaptation is None or wanted is None:
            return  # what learns nothing has no use for ratings
        from ..midi.receiver import MidiIn

        self._midi_in = MidiIn(wanted.port, wanted.settings, self.controls, wanted.virtual)
        self.hold("midi_in", self._midi_in)

    def _open_osc_in(self) -> None:
        if self._settings.osc_in is None:
            return
        from ..osc.receiver import OscIn

        self._osc_in = OscIn(self._settings.osc_in, self.controls, self.numbers)
        self.hold("osc_in", self._osc_in)

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
        self._query = query
        self.hold("oscquery", query)
        log.info("OSCQuery on %s", query.url)  # where is not known before, when any free port was asked for
        return query


def _at(rate: float | None) -> str:
    return "" if rate is None else f" at {rate:g} Hz"


def _with_faults(words: str, faults: int) -> str:
    return f"{words}  ({faults} not delivered)" if faults else words
