"""Emissions as MIDI: controllers and a note for the dominant quadrant, for Ableton, Resolume, synths and lights."""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ..core.affect import Affect
from ..errors import ValaroError
from .messages import LAST_CHANNEL, MidiSettings, MidiState, closing, everything, messages, silencing
from .ports import Port

log = logging.getLogger(__name__)

# s between two checks of the ports' names and connections, since no driver reports when they go or come. While it is
# there: often, because one that goes and is back before the next check has lost its connection unnoticed. While it is
# gone: less work.
_LOOK, _SEEK = 0.25, 1.0
_PATIENCE = 3.0  # s for the last messages to leave at the end


class Midi:
    """Sends the changes of each emission to one MIDI port, in a thread of its own.

    Parameters
    ----------
    port : the port's name, or an unambiguous part of it; "jack:NAME" for a port of JACK. It has to be there at the
        start, so that a mistyped name is an error at once.
    settings : channel, controllers, notes.
    virtual : instead of ``port``, the name of a port to create, for other programs to connect to.

    Attributes
    ----------
    skipped : how many emissions were replaced by a newer one before they were sent.
    faults : how many emissions met no port, or had no MIDI channel.

    Raises
    ------
    InputError, DeviceError
        As :class:`.ports.Port`.

    Notes
    -----
    Channels of the input that are tracked separately each have a MIDI channel, in the order in which they come: that of
    ``settings`` and those after it, up to 16; emissions of further ones count as faults.

    A port that goes away is looked for every second and opened again by its name; it then gets every value again. So
    does whatever connects to a virtual port, within a quarter of a second, where the system tells (JACK and Linux). All
    notes are ended then and at the start: one may still sound from a program that was killed. With the emissions every
    controller is repeated each ``refresh`` seconds, so a pause is a pause.
    """

    def __init__(self, port: str | None, settings: MidiSettings | None = None, virtual: str | None = None) -> None:
        self.faults = 0
        self.skipped = 0
        self._settings = settings or MidiSettings()
        self._streams: dict[int | None, _Stream] = {}  # by channel of the input
        self._newest: dict[int | None, Affect] = {}  # not taken yet
        self._changed = threading.Condition()
        self._closed = False
        self._full = False  # reported that there are more channels than MIDI has
        self._refusal: ValaroError | None = None
        opened = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, virtual, opened), name="midi", daemon=True)
        self._thread.start()
        opened.wait()
        if self._refusal is not None:
            raise self._refusal

    @property
    def connected(self) -> bool:
        """Whether the port was there when last checked."""
        return self._port.is_open

    @property
    def port_name(self) -> str:
        """The port's full name."""
        return self._port.name

    def send(self, affect: Affect) -> None:
        """Pass an emission to the thread; never waits."""
        with self._changed:
            if self._closed:
                return
            self.skipped += affect.channel in self._newest
            self._newest[affect.channel] = affect
            self._changed.notify()

    def close(self) -> None:
        """Send what is left and end the note; may be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_PATIENCE)

    def _run(self, port: str | None, virtual: str | None, opened: threading.Event) -> None:
        # A driver's objects belong to the thread that created them, above all on macOS: this one does everything.
        try:
            self._port = Port(port, virtual)
        except ValaroError as refusal:
            self._refusal = refusal
            return
        finally:
            opened.set()
        self._start(self._settings)
        look_at = time.monotonic() + _LOOK
        while self._newest or not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._newest or self._closed, max(0.0, look_at - time.monotonic()))
                newest, self._newest = self._newest, {}
            changed = [stream for affect in newest.values() if (stream := self._take(affect)) is not None]
            if time.monotonic() >= look_at:
                self._look()
                look_at = time.monotonic() + (_LOOK if self._port.is_open else _SEEK)
            for stream in changed:
                self._put(stream)
        with suppress(OSError):
            for stream in self._streams.values():
                if self._port.is_open:
                    self._port.send(closing(stream.settings, stream.state))
        self._port.close()

    def _take(self, affect: Affect) -> "_Stream | None":
        """The emission's stream, updated; None where no MIDI channel is left for it."""
        stream = self._streams.get(affect.channel)
        if stream is None:
            number = self._settings.channel + len(self._streams)
            if number > LAST_CHANNEL:
                self.faults += 1
                if not self._full:
                    log.warning("MIDI %s: no MIDI channel is left for channel %s", self.port_name, affect.channel)
                self._full = True
                return None
            settings = replace(self._settings, channel=number)
            if self._streams:  # the first channel's notes were ended at the start
                self._start(settings)
            stream = self._streams[affect.channel] = _Stream(settings, affect)
        stream.last = affect
        return stream

    def _start(self, settings: MidiSettings) -> None:
        """End the notes that a program which was killed may have left."""
        if self._port.is_open:
            self._send(silencing(settings))

    def _put(self, stream: "_Stream") -> None:
        """Send what changed, and every controller when it is time."""
        if not self._port.is_open:
            self.faults += 1
            return
        now, every = time.monotonic(), stream.settings.refresh
        due = 0.0 < every <= now - stream.full_at
        self._transmit(stream, *messages(stream.settings, stream.state, stream.last, refresh=due))
        if due:
            stream.full_at = now

    def _look(self) -> None:
        """Check whether the port went or came back, or another connected to it; if so, send every value."""
        was_open, before = self._port.is_open, self._port.receivers
        if self._port.look() and not was_open:
            log.info("MIDI %s: found again", self.port_name)
            self._put_everything()
        elif was_open and not self._port.is_open:
            log.warning("MIDI %s: lost; looking for it every second", self.port_name)
        elif self._port.receivers - before:
            self._put_everything()

    def _put_everything(self) -> None:
        if not self._streams:
            self._start(self._settings)
        for stream in self._streams.values():
            if self._port.is_open:
                self._transmit(stream, *everything(stream.settings, stream.state, stream.last))
                stream.full_at = time.monotonic()

    def _transmit(self, stream: "_Stream", state: MidiState, out: list[bytes]) -> None:
        if self._send(out):
            stream.state = state

    def _send(self, out: list[bytes]) -> bool:
        """Whether the port took it."""
        try:
            self._port.send(out)
        except OSError as fault:
            self.faults += 1
            log.warning("MIDI %s: lost (%s); looking for it every second", self.port_name, fault)
            return False
        return True


@dataclass(slots=True)
class _Stream:
    """The state of one channel, or of all sound where channels are not tracked separately."""

    settings: MidiSettings
    last: Affect  # the newest emission
    state: MidiState = field(default_factory=MidiState)
    full_at: float = field(default_factory=time.monotonic)  # when every controller was last sent
