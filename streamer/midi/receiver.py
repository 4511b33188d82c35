"""Ratings from two knobs or an XY pad over MIDI: one controller for valence and one for arousal."""

import logging
import threading
import time
from dataclasses import dataclass

from ..core.controls import Controls, listener_name
from ..errors import InputError, ValaroError
from .messages import CONTROL, LAST_CONTROLLER
from .ports import Port

log = logging.getLogger(__name__)

REST = 0.5  # s without movement after which the pair counts as resting
TURN = 0.1  # s between two readings, and at most the delay of a rating
MOST = 2048  # messages of one reading: more are left for the next, and those beyond the driver's queue are lost
LOOK, SEEK = 0.25, 1.0  # s between two checks of the ports' names, while the port is there and while it is gone
MOST_REPORTED = 32  # different faults that are logged

Place = tuple[float, float]  # valence, arousal


@dataclass(frozen=True, slots=True)
class MidiInSettings:
    """Which controllers rate.

    Parameters
    ----------
    channel : 1 to 16, or 0 for all.
    valence, arousal : controller numbers, 0 to 119, not the same.
    listener : whose ratings they are; "": those of the only listener.

    Raises
    ------
    InputError
        A value is out of range, or both controllers are the same.
    """

    channel: int = 0
    valence: int = 102
    arousal: int = 103
    listener: str = ""

    def __post_init__(self) -> None:
        listener_name(self.listener)
        for name, value, last in (
            ("channel", self.channel, 16),
            ("controllers", self.valence, LAST_CONTROLLER),
            ("controllers", self.arousal, LAST_CONTROLLER),
        ):
            if type(value) is not int or not 0 <= value <= last:  # True is an int too
                raise InputError(f"MIDI in: {name} must be whole numbers from 0 to {last}, not {value!r}")
        if self.valence == self.arousal:
            raise InputError(f"MIDI in: valence and arousal are both controller {self.valence}: choose another for one")


class Pair:
    """The positions of the two controllers; no port and no clock in here.

    Nothing is rated until both were moved, since the position of a knob is unknown until then. From then on moving one
    is enough, and the other keeps its last position. A repeated value is not a movement: some devices send their
    positions again and again.
    """

    def __init__(self, settings: MidiInSettings) -> None:
        self._settings = settings
        self._axes: dict[int, int] = {}  # controller -> 0 to 127
        self._moved: float | None = None  # when, None once it was rated

    def take(self, message: bytes, now: float) -> None:
        """Take one MIDI message, which came at ``now`` s; others than those of the two controllers are ignored."""
        if len(message) != 3 or message[0] & 0xF0 != CONTROL or max(message[1:]) > 0x7F:
            return
        channel, controller, value = message[0] - CONTROL + 1, message[1], message[2]
        if self._settings.channel not in (0, channel) or controller not in (
            self._settings.valence,
            self._settings.arousal,
        ):
            return
        if self._axes.get(controller) != value:
            self._axes[controller] = value
            self._moved = now

    def rested(self, now: float) -> Place | None:
        """Valence and arousal once both are known and nothing has moved for REST seconds, once; else None."""
        if self._moved is None or len(self._axes) < 2 or now - self._moved < REST:
            return None
        self._moved = None
        return bipolar(self._axes[self._settings.valence]), bipolar(self._axes[self._settings.arousal])


def bipolar(value: int) -> float:
    """0 to 127 as -1 to 1 with 64 as 0, so that a knob in the middle is neutral (MIDI 2.0's min-center-max scaling)."""
    return (value - 64) / (64 if value < 64 else 63)


class MidiIn:
    """Reads one MIDI port in a thread of its own and rates by a pair of controllers, until :meth:`close`.

    Parameters
    ----------
    port : the name of the port that sends MIDI, or an unambiguous part of it; "jack:NAME" for a port of JACK. It has
        to be there at the start.
    settings : which controllers, and of which channel.
    controls : whose ``rate`` is called, with ``source`` "midi", each time the pair has come to rest for 0.5 s.
    virtual : instead of ``port``, the name of a port to create, for other programs to connect to.

    Attributes
    ----------
    ratings : how many were taken, and stored if they are to be.
    refused : how many were not, such as before anything was heard.
    lost : how many could not be stored, as ``OnlineAdaptation.lost`` counts them too.
    faults : our own, of a callback for ratings. Each kind of refusal or fault is logged once.

    Raises
    ------
    InputError, DeviceError
        As :class:`.ports.Port`.

    Notes
    -----
    A port that goes away is looked for every second and opened again by its name; both controllers have to be moved
    again then. At most 20,000 messages a second are read, several times what a cable or a controller can send. Of what
    comes faster for long, some is lost, possibly the last position.
    """

    def __init__(
        self, port: str | None, settings: MidiInSettings, controls: Controls, virtual: str | None = None
    ) -> None:
        self.ratings = 0
        self.refused = 0
        self.lost = 0
        self.faults = 0
        self._settings = settings
        self._controls = controls
        self._pair = Pair(settings)
        self._reported: set[str] = set()
        self._counting = threading.Lock()
        self._closing = threading.Event()
        self._refusal: ValaroError | None = None
        opened = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, virtual, opened), name="MIDI in", daemon=True)
        self._thread.start()
        opened.wait()
        if self._refusal is not None:
            self._thread.join()
            raise self._refusal

    @property
    def connected(self) -> bool:
        """Whether the port was there when last checked."""
        return self._port.is_open

    @property
    def port_name(self) -> str:
        """The port's full name."""
        return self._port.name

    def close(self) -> None:
        """Stop listening and wait for the thread; may be called twice."""
        self._closing.set()
        self._thread.join()

    def _run(self, port: str | None, virtual: str | None, opened: threading.Event) -> None:
        # A driver's objects belong to the thread that created them, above all on macOS: this one does everything.
        try:
            self._port = Port(port, virtual, incoming=True)
        except ValaroError as refusal:
            self._refusal = refusal
            return
        finally:
            opened.set()
        look_at = time.monotonic() + LOOK
        while not self._closing.wait(TURN):
            if time.monotonic() >= look_at:
                self._look()
                look_at = time.monotonic() + (LOOK if self._port.is_open else SEEK)
            if self._port.is_open:
                self._read()
            place = self._pair.rested(time.monotonic())
            if place is not None:
                self._rate(*place)
        self._port.close()

    def _read(self) -> None:
        try:
            messages = self._port.receive(MOST)
        except OSError as fault:
            self._lost(f" ({fault})")
            return
        now = time.monotonic()
        for message in messages:
            self._pair.take(message, now)

    def _look(self) -> None:
        """Check whether the port went or came back."""
        was_open = self._port.is_open
        if self._port.look() and not was_open:
            log.info("MIDI in from %s: found again", self.port_name)
        elif was_open and not self._port.is_open:
            self._lost()

    def _lost(self, why: str = "") -> None:
        log.warning("MIDI in from %s: lost%s; looking for it every second", self.port_name, why)
        self._pair = Pair(self._settings)  # knobs may be turned while it is gone

    def _rate(self, valence: float, arousal: float) -> None:
        try:
            self._controls.rate(
                valence, arousal, self._settings.listener or None, "midi", ago=REST, answer=self._answered
            )
        except InputError as refusal:
            self.refused += 1
            self._report(str(refusal))
        except Exception as fault:  # noqa: BLE001  a callback for ratings may be any code
            self.faults += 1
            self._report(f"{type(fault).__name__}: {fault}")

    def _answered(self, fault: BaseException | None) -> None:
        """A rating was stored or lost, which whoever stores it has told; in any thread."""
        with self._counting:
            self.ratings += fault is None
            self.lost += fault is not None

    def _report(self, text: str) -> None:
        line = " ".join(text.split())
        if line not in self._reported and len(self._reported) < MOST_REPORTED:
            self._reported.add(line)
            log.warning("MIDI in from %s: not rated: %s (told once, counted always)", self.port_name, line)
