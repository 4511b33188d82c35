"""An emission as MIDI: controllers sent on change, and a note for the dominant quadrant. No device in here."""

import math
from dataclasses import dataclass, replace

from ..core.affect import Affect
from ..errors import InputError

NOTE_OFF, NOTE_ON, CONTROL = 0x80, 0x90, 0xB0  # plus the channel, 0 to 15
LAST_CHANNEL = 16
LAST_CONTROLLER = 119  # 120 and above are channel mode messages, such as "all notes off"
LAST_FINE = 31  # the last controller that has a low half, at n + 32
LONGEST_REFRESH = 3600.0  # s
SLACK = 0.2  # of a step: how far a value may go past the middle between two steps before the next one is sent


@dataclass(frozen=True, slots=True)
class MidiSettings:
    """Channel, controllers and notes.

    Parameters
    ----------
    channel : 1 to 16.
    valence, arousal, confidence, quadrants : controller numbers, all different: 0 to 119, or 0 to 31 when ``fine``.
        ``quadrants`` are four: V+A+, V-A+, V-A-, V+A-.
    fine : 14 bits: the high half on controller n, then the low half on n + 32.
    notes : of the four quadrants, 0 to 127; empty for none.
    velocity : 1 to 127.
    hysteresis : 0 to 1, the share of the heatmap by which another quadrant must lead before the note changes.
    refresh : s after which every controller is sent again, though it has not changed, for a receiver that came late or
        was reset; 0: never. The note is not: it would be struck again.

    Raises
    ------
    InputError
        A value is out of range, or a controller is used twice.
    """

    channel: int = 1
    valence: int = 20
    arousal: int = 21
    confidence: int = 22
    quadrants: tuple[int, ...] = (23, 24, 25, 26)
    fine: bool = False
    notes: tuple[int, ...] = (60, 61, 62, 63)
    velocity: int = 100
    hysteresis: float = 0.1
    refresh: float = 5.0

    def __post_init__(self) -> None:
        _check("channel", self.channel, 1, LAST_CHANNEL)
        if len(self.quadrants) != 4:
            raise InputError(f"MIDI quadrants must be four controllers, not {len(self.quadrants)}")
        last = LAST_FINE if self.fine else LAST_CONTROLLER
        for controller in self.controllers:
            _check("controllers" + (" with fine = true" if self.fine else ""), controller, 0, last)
        twice = sorted({number for number in self.controllers if self.controllers.count(number) > 1})
        if twice:
            raise InputError(f"MIDI controller {twice[0]} is given twice: each value needs one of its own")
        if len(self.notes) not in (0, 4):
            raise InputError(f"MIDI notes must be four, one for each quadrant, or none, not {len(self.notes)}")
        for note in self.notes:
            _check("notes", note, 0, 127)
        _check("velocity", self.velocity, 1, 127)
        if not 0.0 <= self.hysteresis <= 1.0:  # NaN is not
            raise InputError(f"MIDI hysteresis must be from 0 to 1, not {self.hysteresis}")
        if not 0.0 <= self.refresh <= LONGEST_REFRESH:
            raise InputError(f"MIDI refresh must be from 0 to {LONGEST_REFRESH:,.0f} s, not {self.refresh}")

    @property
    def controllers(self) -> tuple[int, ...]:
        """The numbers of valence, arousal, confidence and the four quadrants."""
        return (self.valence, self.arousal, self.confidence, *self.quadrants)


@dataclass(frozen=True, slots=True)
class MidiState:
    """What was sent: the steps of the seven controllers (None: not sent yet), and whose note sounds (0 to 3)."""

    steps: tuple[int | None, ...] = (None,) * 7
    sounding: int | None = None


def messages(
    settings: MidiSettings, state: MidiState, affect: Affect, *, refresh: bool = False
) -> tuple[MidiState, list[bytes]]:
    """The messages that bring the receiver from ``state`` to this emission, and the new state.

    With ``refresh`` every controller is among them, changed or not.

    A controller is sent when its value has moved 0.7 of a step from the one that was sent, so that nothing flickers
    between two steps; of 14 bits the high half goes out only when it changed, the low half always, since a receiver
    sets it to 0 with each high half. The notes come last, the old one's end before the new one; silence has none.
    """
    out: list[bytes] = []
    steps: list[int | None] = []
    for controller, value, last in zip(settings.controllers, _shares(affect), state.steps, strict=True):
        step = _step(value, last, 16_383 if settings.fine else 127)
        if step is not None and (refresh or step != last):
            out += _control(settings, controller, step, None if refresh else last)
        steps.append(step)
    sounding = _dominant(settings, state.sounding, affect)
    if sounding != state.sounding:
        out += closing(settings, state)
        if sounding is not None:
            out.append(bytes([NOTE_ON + settings.channel - 1, settings.notes[sounding], settings.velocity]))
    return MidiState(tuple(steps), sounding), out


def everything(settings: MidiSettings, state: MidiState, affect: Affect) -> tuple[MidiState, list[bytes]]:
    """As :func:`messages`, for a receiver in an unknown state: every controller, and the note begun again.

    All notes are ended first: one that was only unplugged, or was left alone by a program that was killed, may still be
    playing any of them.
    """
    fresh, out = messages(settings, replace(state, sounding=None), affect, refresh=True)
    return fresh, silencing(settings) + out


def silencing(settings: MidiSettings) -> list[bytes]:
    """The end of every note that may ever have been sent with these settings."""
    return [bytes([NOTE_OFF + settings.channel - 1, note, 0]) for note in dict.fromkeys(settings.notes)]


def closing(settings: MidiSettings, state: MidiState) -> list[bytes]:
    """The end of the note that sounds, if one does."""
    if state.sounding is None:
        return []
    return [bytes([NOTE_OFF + settings.channel - 1, settings.notes[state.sounding], 0])]


def _shares(affect: Affect) -> tuple[float, ...]:
    """The seven values, each as a share of its range."""
    return ((affect.valence + 1) / 2, (affect.arousal + 1) / 2, affect.confidence, *map(float, affect.quadrants))


def _step(share: float, last: int | None, top: int) -> int | None:
    """The step to send for ``share``; the last one while it is near, and for NaN."""
    if math.isnan(share):
        return last
    exact = min(max(share, 0.0), 1.0) * top
    if last is not None and abs(exact - last) <= 0.5 + SLACK:
        return last
    return math.floor(exact + 0.5)


def _control(settings: MidiSettings, controller: int, step: int, last: int | None) -> list[bytes]:
    status = CONTROL + settings.channel - 1
    if not settings.fine:
        return [bytes([status, controller, step])]
    low = bytes([status, controller + 32, step % 128])
    if last is not None and last // 128 == step // 128:
        return [low]
    return [bytes([status, controller, step // 128]), low]


def _dominant(settings: MidiSettings, sounding: int | None, affect: Affect) -> int | None:
    """The quadrant whose note is to sound."""
    if not settings.notes or affect.activity in ("silence", "lost"):
        return None
    masses = [float(mass) for mass in affect.quadrants]
    best = max(range(4), key=masses.__getitem__)
    if sounding is None or masses[best] - masses[sounding] > settings.hysteresis:
        return best
    return sounding


def _check(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:  # True is an int too
        raise InputError(f"MIDI {name} must be whole numbers from {low} to {high}, not {value!r}")
