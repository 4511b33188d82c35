"""``valaro demo`` and ``valaro listen``: a source through the engine to the sinks until Ctrl-C."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..messages import Affect
    from ..protocols import Sink, Source
    from ..saving import Saving
    from ..session import Session, Stoppable
    from ..sinks import Recorder, Terminal
    from ._notices import Notices

DEFAULT_OSC = "127.0.0.1:9000"

OscOption = Annotated[
    list[str] | None,
    typer.Option("--osc", metavar="HOST:PORT", help="Send OSC there; may be given several times. IPv6: \\[::1]:9000."),
]
PlainOption = Annotated[
    bool, typer.Option("--osc-messages", metavar="", help="Plain OSC messages, for receivers that mishandle bundles.")
]
RecordOption = Annotated[
    Path | None, typer.Option("--record", metavar="FILE", help="Write every emission to a new file, as JSON lines.")
]
SaveOption = Annotated[
    Path | None,
    typer.Option("--save-audio", metavar="FILE", help="Write what was heard to a new sound file (WAV), exactly."),
]
ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="BUNDLE", help="Use this model bundle instead of the built-in one.")
]
NoDisplayOption = Annotated[bool, typer.Option("--no-display", metavar="", help="Show nothing.")]


def demo(
    seconds: Annotated[float | None, typer.Option(help="End after so much music; without it, at Ctrl-C.")] = None,
    osc: OscOption = None,
    osc_messages: PlainOption = False,
    record: RecordOption = None,
    save_audio: SaveOption = None,
    model: ModelOption = None,
    no_display: NoDisplayOption = False,
) -> None:
    """Play the built-in four-mood piece through the whole chain: no hardware needed.

    The sound is not played aloud: the live heatmap shows what is heard, and --save-audio keeps it.
    OSC goes to 127.0.0.1:9000 unless --osc says otherwise.
    """
    from ..demo import DemoSource
    from ..errors import InputError

    if seconds is not None and not 0 < seconds < float("inf"):
        raise InputError(f"--seconds must be above zero, not {seconds:g}")
    _live(DemoSource, osc or [DEFAULT_OSC], not osc_messages, record, save_audio, model, not no_display, seconds)


def listen(
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME|INDEX", help="Audio input (see `valaro devices`); the system's default otherwise."),
    ] = None,
    channels: Annotated[
        str | None, typer.Option(metavar="1,2", help="Which channels of the input, counted from 1; all otherwise.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Hear a sound file instead, paced as live, to its end.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Send a recording of --record again, at its own pace, instead of listening."),
    ] = None,
    osc: OscOption = None,
    osc_messages: PlainOption = False,
    record: RecordOption = None,
    save_audio: SaveOption = None,
    model: ModelOption = None,
    no_display: NoDisplayOption = False,
) -> None:
    """Track live music until Ctrl-C.

    In a terminal the live heatmap is shown; without one (a pipe, a log) each emission is a line of text.
    """
    from ..errors import InputError

    given = [
        name for name, value in (("--device", device), ("--file", file), ("--replay", replay)) if value is not None
    ]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other: choose one")
    if channels is not None and (file or replay):
        raise InputError("--channels belongs to an audio input: leave it out")
    if replay is not None:
        if model is not None:
            raise InputError("--model has no say in a replay: leave it out")
        if save_audio is not None:
            raise InputError("--save-audio: a replay has no sound to save; leave it out")
        _replay(replay, osc or [], not osc_messages, record, not no_display)
        return
    chosen = None if channels is None else _channel_numbers(channels)

    def source() -> "Source":
        from ..sources import AudioFile, Microphone

        return AudioFile(file, paced=True) if file is not None else Microphone(device, chosen)

    _live(source, osc or [], not osc_messages, record, save_audio, model, not no_display)


class Outputs:
    """The sinks that the options ask for, and what the picture's foot says about them."""

    def __init__(self, osc: list[str], bundle: bool, notices: "Notices") -> None:
        from ..sinks import Osc

        self.notices = notices
        self._oscs: list[Osc] = [Osc(destination, bundle) for destination in osc]
        self._recorder: Recorder | None = None
        self._terminal: Terminal | None = None
        self.saving: Saving | None = None
        self.losses: Callable[[], list[str]] = list

    def open(self, title: str, record: Path | None, display: bool, running: "Callable[[], Stoppable]") -> list["Sink"]:
        """Open the recording and the screen, last of all, when everything else is known to work."""
        from ..sinks import Recorder, Terminal

        self._recorder = None if record is None else Recorder(record)
        if display:
            self._terminal = Terminal(title, self.status, unread=lambda: running().stop())
            self.notices.held = self._terminal.live
        return [sink for sink in (*self._oscs, self._recorder, self._terminal) if sink is not None]

    def close(self) -> None:
        """Close all; the screen is given back."""
        for each in (*self._oscs, self._recorder, self._terminal, self.saving):
            if each is not None:
                each.close()
        self.notices.held = False

    def status(self) -> list[str]:
        """Lines for the foot: where things go, what was lost, the newest notice, how to end."""
        lines = [_with_faults(f"OSC to {osc.destination}", osc.faults) for osc in self._oscs]
        if self._recorder is not None:
            lines.append(_with_faults(f"recording {self._recorder.path}", self._recorder.faults))
        if self.saving is not None:
            lines.append(f"saving the sound to {self.saving.path}{'  (failed)' if self.saving.failed else ''}")
        lines += [f"lost: {', '.join(lost)}"] if (lost := self.losses()) else []
        lines += [self.notices.latest] if self.notices.latest else []
        return [*lines, "Ctrl-C ends"]


def _live(
    make_source: Callable[[], "Source"],
    osc: list[str],
    bundle: bool,
    record: Path | None,
    save_audio: Path | None,
    model: Path | None,
    display: bool,
    seconds: float | None = None,
) -> None:
    from ..session import EngineLike, Session, stop_on_signals
    from ._notices import Notices, compiling_told, libraries_silenced, tell

    with libraries_silenced(), Notices() as notices, ExitStack() as stack:
        outputs = Outputs(osc, bundle, notices)
        stack.callback(outputs.close)
        source = make_source()
        with compiling_told():
            from ...models import load_bundle
            from ..engine import Engine
        engine: EngineLike = Engine(load_bundle(model), source.rate)
        if save_audio is not None:
            from ..saving import Saving

            engine = outputs.saving = Saving(engine, save_audio, source.rate, source.channels)
        sinks = outputs.open(source.name, record, display, lambda: session)
        if seconds is not None:
            sinks.append(_Until(seconds, lambda: session))
        session = Session(source, engine, sinks)
        outputs.losses = lambda: _losses(session, source.rate)
        with stop_on_signals(session):
            session.run()
    counters = session.counters
    lost = _losses(session, source.rate)
    tell(
        f"heard {counters.frames / source.rate:.1f} s, sent {counters.emissions} emissions, "
        + (f"lost {', '.join(lost)}" if lost else "lost nothing")
    )


def _replay(path: Path, osc: list[str], bundle: bool, record: Path | None, display: bool) -> None:
    from ..session import stop_on_signals
    from ..sinks import Replay
    from ._notices import Notices, tell

    with Notices() as notices, ExitStack() as stack:
        outputs = Outputs(osc, bundle, notices)
        stack.callback(outputs.close)
        player = Replay(path)
        sinks = outputs.open(f"replay of {path}", record, display, lambda: player)
        with stop_on_signals(player):
            sent = player.run(sinks)
    tell(f"sent {sent} emissions")


class _Until:
    """A sink that ends the session once so much of the stream has been heard."""

    def __init__(self, seconds: float, running: "Callable[[], Stoppable]") -> None:
        self._seconds = seconds
        self._running = running

    def send(self, affect: "Affect") -> None:
        """Look at the stream's time."""
        if affect.time >= self._seconds:
            self._running().stop()

    def close(self) -> None:
        """Nothing to release."""


def _losses(session: "Session", rate: int) -> list[str]:
    counters = session.counters
    found = [
        (counters.dropped / rate, "s of sound"),
        (counters.flags, "device faults"),
        (counters.bad_samples, "samples that were no numbers"),
        (counters.sink_faults, "times an output"),
    ]
    return [f"{count:.3g} {what}" for count, what in found if count]


def _with_faults(words: str, faults: int) -> str:
    return f"{words}  ({faults} not delivered)" if faults else words


def _channel_numbers(text: str) -> list[int]:
    from ..errors import InputError

    parts = [part.strip() for part in text.split(",")]
    # Four digits are more than any device has; Python refuses to read some thousands of them.
    if not all(part.isascii() and part.isdigit() and len(part) <= 4 and int(part) >= 1 for part in parts):
        raise InputError(f"--channels {text!r}: write numbers from 1, such as 1,2")
    return [int(part) for part in parts]
