"""``valaro demo`` and ``valaro listen``: a source through the engine to the sinks until Ctrl-C."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..app.monitoring.sinks import Upkeep
from ._options import (
    CheckpointOption,
    ConfigOption,
    DecoderOption,
    LagOption,
    ListenerOption,
    LogOption,
    MetricsOption,
    MidiInOption,
    MidiOption,
    ModelOption,
    NoDisplayOption,
    OffsetOption,
    OscInOption,
    OscOption,
    PlainOption,
    PolicyOption,
    QueryOption,
    RateOption,
    RecordOption,
    SaveOption,
    SeparateOption,
)
from ._separate import channels_apart, engine_apart, refuse_channel_maps
from .outputs import Outputs, Wanted, read_config
from .replay import send_again

if TYPE_CHECKING:
    from ...models.tracker import Policy
    from ..app.config.schema import Config
    from ..core.affect import Affect
    from ..core.protocols import Source
    from ..core.session import Counters, Session
    from ..core.signals import Stoppable

DEFAULT_OSC = "127.0.0.1:9000"

DEFAULT_DECODER = "fusion"


def demo(
    seconds: Annotated[float | None, typer.Option(help="End after so much music; without it, at Ctrl-C.")] = None,
    config: ConfigOption = None,
    osc: OscOption = None,
    osc_messages: PlainOption = False,
    osc_rate: RateOption = None,
    midi: MidiOption = None,
    midi_in: MidiInOption = None,
    osc_in: OscInOption = None,
    oscquery: QueryOption = None,
    offset: OffsetOption = None,
    listener: ListenerOption = None,
    lag: LagOption = None,
    record: RecordOption = None,
    save_audio: SaveOption = None,
    model: ModelOption = None,
    decoder: DecoderOption = None,
    no_display: NoDisplayOption = False,
) -> None:
    """Play the built-in four-mood piece through the whole chain: no hardware needed.

    The sound is not played aloud: the live heatmap shows what is heard, and --save-audio keeps it.
    OSC goes to 127.0.0.1:9000 unless --osc or --config says otherwise.
    """
    from ..errors import InputError
    from ..sources.demo import DemoSource

    if seconds is not None and not 0 < seconds < float("inf"):
        raise InputError(f"--seconds must be above zero, not {seconds:g}")
    settings = read_config(config)
    if not osc and (settings is None or not settings.osc):
        osc = [DEFAULT_OSC]
    wanted = Wanted(
        settings,
        osc=tuple(osc or ()),
        bundle=not osc_messages,
        rate=osc_rate,
        midi=midi,
        osc_in=osc_in,
        oscquery=oscquery,
        offset=offset,
        record=record,
        display=not no_display,
        listener=listener,
        midi_in=midi_in,
    )
    _live(DemoSource, wanted, save_audio, _model(model, decoder, settings), lag, seconds)


def listen(
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME|INDEX", help="Audio input (see `valaro devices`); the system's default otherwise."),
    ] = None,
    channels: Annotated[
        str | None, typer.Option(metavar="1,2", help="Which channels of the input, counted from 1; all otherwise.")
    ] = None,
    separate: SeparateOption = False,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Hear a sound file instead, paced as live, to its end.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Send a recording of --record again, at its own pace, instead of listening."),
    ] = None,
    config: ConfigOption = None,
    osc: OscOption = None,
    osc_messages: PlainOption = False,
    osc_rate: RateOption = None,
    midi: MidiOption = None,
    midi_in: MidiInOption = None,
    osc_in: OscInOption = None,
    oscquery: QueryOption = None,
    offset: OffsetOption = None,
    listener: ListenerOption = None,
    lag: LagOption = None,
    record: RecordOption = None,
    save_audio: SaveOption = None,
    model: ModelOption = None,
    decoder: DecoderOption = None,
    policy: PolicyOption = None,
    checkpoint: CheckpointOption = None,
    metrics: MetricsOption = None,
    log: LogOption = None,
    no_display: NoDisplayOption = False,
) -> None:
    """Track live music until Ctrl-C.

    In a terminal the live heatmap is shown; without one (a pipe, a log) each emission is a line of text.
    What an option leaves open, the config file says; --osc adds to the file's destinations.
    """
    from ..app.console import speak
    from ..errors import InputError

    speak(log or "text")  # what is wrong with the config is said so too
    given = [
        name for name, value in (("--device", device), ("--file", file), ("--replay", replay)) if value is not None
    ]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other: choose one")
    if channels is not None and (file or replay):
        raise InputError("--channels belongs to an audio input: leave it out")
    settings = read_config(config)
    wanted = Wanted(
        settings,
        osc=tuple(osc or ()),
        bundle=not osc_messages,
        rate=osc_rate,
        midi=midi,
        osc_in=osc_in,
        oscquery=oscquery,
        offset=offset,
        record=record,
        display=not no_display,
        listener=listener,
        midi_in=midi_in,
    )
    upkeep = Upkeep.wanted(settings, checkpoint, metrics, log)
    speak(upkeep.log)
    if replay is not None:
        if checkpoint is not None or metrics is not None:
            raise InputError("--checkpoint and --metrics have no say in a replay: leave them out")
        if model is not None:
            raise InputError("--model has no say in a replay: leave it out")
        if decoder is not None:
            raise InputError("--decoder has no say in a replay: leave it out")
        if policy is not None:
            raise InputError("--policy has no say in a replay: leave it out")
        if save_audio is not None:
            raise InputError("--save-audio: a replay has no sound to save; leave it out")
        if midi_in is not None:
            raise InputError("--midi-in has no say in a replay, which learns nothing: leave it out")
        if lag is not None:
            raise InputError("--lag has no say in a replay, which learns nothing: leave it out")
        if separate:
            raise InputError("--separate has no say in a replay, which has the channels that it has: leave it out")
        send_again(replay, wanted)
        return
    chosen = None if channels is None else _channel_numbers(channels)
    if settings is not None:
        separate = separate or settings.separate
        if file is None:
            device = settings.device if device is None else device
            chosen = list(settings.channels) if chosen is None and settings.channels is not None else chosen
    apart = channels_apart(chosen, wanted, lag) if separate else None

    def source() -> "Source":
        from ..sources import AudioFile, Microphone

        return AudioFile(file, paced=True) if file is not None else Microphone(device, chosen)

    chosen_model = _model(model, decoder, settings)
    judged = _policy(policy, settings)
    _live(source, wanted, save_audio, chosen_model, lag, upkeep=upkeep, separate=apart, policy=judged)


def _model(path: Path | None, decoder: str | None, settings: "Config | None") -> tuple[Path | None, str]:
    """The bundle and the decoder: the options', else the config's, else the built-in one and the fusion."""
    if settings is not None:
        path = settings.model if path is None else path
        decoder = settings.decoder if decoder is None else decoder
    return path, decoder or DEFAULT_DECODER


def _policy(named: str | None, settings: "Config | None") -> "Policy":
    """The option's, else the config's, else to drift."""
    from ..errors import InputError

    if named is None:
        return (settings.policy if settings is not None else None) or "drift"
    if named in ("drift", "hold", "pass"):
        return named
    raise InputError(f"--policy {named!r}: choose drift, hold or pass")


def _live(
    make_source: Callable[[], "Source"],
    wanted: Wanted,
    save_audio: Path | None,
    model: tuple[Path | None, str],
    lag: float | None,
    seconds: float | None = None,
    upkeep: Upkeep | None = None,
    separate: Sequence[int] | None = None,
    policy: "Policy" = "drift",
) -> None:
    """``separate``: the numbers of the source's channels, each to be tracked by itself; empty: as they are counted."""
    from .._util.stderr import libraries_silenced
    from ..app.console import Notices, compiling_told, tell
    from ..app.monitoring.logs import Repeats
    from ..core.protocols import EngineLike
    from ..core.session import Session
    from ..core.signals import stop_on_signals

    if separate is None and wanted.config is not None:
        refuse_channel_maps(wanted.config)
    upkeep = upkeep or Upkeep()
    with libraries_silenced(), Notices(Repeats()) as notices, ExitStack() as stack:
        outputs = Outputs(wanted, notices)
        stack.callback(outputs.close)
        source = make_source()
        with compiling_told():
            from ...models import load_bundle
            from ..core.engine import Engine
            from ..listeners.adaptation import LAG, OnlineAdaptation
        bundle_path, decoder = model
        bundle = load_bundle(bundle_path)
        if separate is None:
            learning = outputs.learning = OnlineAdaptation(bundle, outputs.controls, lag=LAG if lag is None else lag)
            outputs.controls.hear_ratings(learning.rate)
            learning.load()
            tracker, title, whose = Engine(bundle, source.rate, decoder, learning, policy), source.name, decoder
        else:
            tracker = engine_apart(bundle, source, separate, decoder, outputs.controls, policy)
            numbers_apart = ", ".join(map(str, tracker.engines))
            title, whose = f"{source.name}, channels {numbers_apart}", f"{decoder} of channels {numbers_apart}"
        engine: EngineLike = tracker
        if save_audio is not None:
            from ..sinks.audio_recorder import AudioRecorder

            engine = outputs.saving = AudioRecorder(engine, save_audio, source.rate, source.channels)
        sinks = outputs.open(title, lambda: session)

        def numbers() -> "Counters | None":
            return outputs.counters()  # there is no session yet

        kept = upkeep.sinks(tracker, bundle, bundle_path, whose, source.rate, numbers, outputs.faults)
        for each in kept:
            stack.callback(each.close)
        sinks += kept
        if seconds is not None:
            sinks.append(_Until(seconds, lambda: session))
        session = Session(source, engine, sinks)
        outputs.counters = lambda: session.counters
        outputs.losses_of_sound = lambda: _losses(session, source.rate)
        with stop_on_signals(session):
            session.run()
    counters = session.counters
    lost = [*_losses(session, source.rate), *outputs.losses()]
    tell(
        f"heard {counters.frames / source.rate:.1f} s, sent {counters.emissions} emissions, "
        + (f"lost {', '.join(lost)}" if lost else "lost nothing")
    )


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
        (counters.losses, "times the input"),
        (counters.filled / rate, "s of it filled with silence"),
        (counters.flags, "device faults"),
        (counters.bad_samples, "samples that were no numbers"),
        (counters.sink_faults, "times an output"),
    ]
    return [f"{count:.3g} {what}" for count, what in found if count]


def _channel_numbers(text: str) -> list[int]:
    from ..errors import InputError

    parts = [part.strip() for part in text.split(",")]
    # Four digits are more than any device has; Python refuses to read some thousands of them.
    if not all(part.isascii() and part.isdigit() and len(part) <= 4 and int(part) >= 1 for part in parts):
        raise InputError(f"--channels {text!r}: write numbers from 1, such as 1,2")
    return [int(part) for part in parts]
