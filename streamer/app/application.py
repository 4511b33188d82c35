"""A session from its settings: source, engine, listeners, outputs and upkeep put together, run, and summed up."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .._util.stderr import libraries_silenced
from ..core.signals import Stoppable, stop_on_signals
from ..errors import InputError
from . import plugins
from .console import Notices, compiling_told
from .monitoring.logs import Repeats
from .outputs import Outputs
from .plugins import SOURCES
from .settings import Input, Settings

if TYPE_CHECKING:
    from ...models import Bundle
    from ..core.affect import Affect
    from ..core.controls import Rating
    from ..core.multichannel import MultichannelEngine
    from ..core.protocols import EngineLike, ResumableEngine, Source
    from ..core.session import Session

MOST_LOADING = 2.0  # s that the start waits for the listeners' earlier ratings


def run(settings: Settings) -> str:
    """Run a session, or a replay, to its end, Ctrl-C or SIGTERM; from the main thread.

    Returns
    -------
    str
        What was done and what was lost, in one line.

    Raises
    ------
    ValaroError
        It cannot begin, or cannot go on.
    """
    return _replay(settings) if settings.input.kind == "replay" else _live(settings)


def _live(settings: Settings) -> str:
    with libraries_silenced(), Notices(Repeats()) as notices, ExitStack() as stack:
        outputs = Outputs(settings, notices)
        stack.callback(outputs.close)
        source = open_source(settings.input)
        with compiling_told():
            from ...models import load_bundle
            from ..core.session import Session
            from .monitoring.sinks import Facts, upkeep_sinks
        bundle = outputs.bundle = load_bundle(settings.model)
        engine, heard_as = _engine(settings, bundle, source, outputs)
        listening: EngineLike = engine
        if settings.save_audio is not None:
            from ..sinks.audio_recorder import AudioRecorder

            listening = outputs.audio_recorder = AudioRecorder(
                engine, settings.save_audio, source.rate, source.channels
            )
        stopping = _Stopping()
        sinks = outputs.open(f"{source.name}{heard_as}", stopping.stop)
        upkeep = upkeep_sinks(
            engine,
            Facts(bundle, settings.model, f"{settings.decoder}{_of(heard_as)}", source.rate),
            lambda: outputs.counters(),  # noqa: PLW0108  whoever is asked changes once there is a session
            outputs.faults,
            checkpoint=settings.checkpoint,
            metrics=settings.metrics,
        )
        for sink in upkeep:
            stack.callback(sink.close)
        sinks += upkeep
        if settings.seconds is not None:
            sinks.append(_Until(settings.seconds, stopping.stop))
        session = Session(source, listening, sinks)
        stopping.reach(session)
        outputs.counters = lambda: session.counters
        outputs.losses_of_sound = lambda: losses_of_sound(session, source.rate)
        with stop_on_signals(session):
            session.run()
    counters = session.counters
    lost = [*losses_of_sound(session, source.rate), *outputs.losses()]
    return f"heard {counters.frames / source.rate:.1f} s, sent {counters.emissions} emissions, " + (
        f"lost {', '.join(lost)}" if lost else "lost nothing"
    )


def _replay(settings: Settings) -> str:
    from ..core.replay import Replay
    from ..core.session import Counters

    with Notices() as notices, ExitStack() as stack:
        path = cast(Path, settings.input.name)
        player = Replay(path, settings.input.speed, loop=settings.input.loop)
        outputs = Outputs(settings, notices)
        stack.callback(outputs.close)
        sinks = outputs.open(f"replay of {path}", player.stop)
        outputs.counters = lambda: Counters(0, 0, 0, 0, emissions=player.sent, sink_faults=0)
        with stop_on_signals(player):
            sent = player.run(sinks)
    lost = outputs.losses()
    return f"sent {sent} emissions" + (f", lost {', '.join(lost)}" if lost else "")


def open_source(wanted: Input) -> "Source":
    """The source that an input names, opened as far as its rate and channels are known.

    Raises
    ------
    ValaroError
        There is no such device, file or plugin, or it cannot be used.
    """
    if wanted.kind == "plugin":
        from .steady_source import SteadySource

        return SteadySource(plugins.find(SOURCES, str(wanted.name)), wanted.table)
    if wanted.kind == "file":
        return plugins.own(SOURCES, "file")(wanted.name, paced=True)
    if wanted.kind == "device":
        return plugins.own(SOURCES, "device")(wanted.name, wanted.channels)
    return plugins.own(SOURCES, "demo")()


def _engine(settings: Settings, bundle: "Bundle", source: "Source", outputs: Outputs) -> "tuple[ResumableEngine, str]":
    """The engine, and what the title says of its channels."""
    if settings.channels_apart is None:
        from ..core.engine import Engine
        from ..listeners.adaptation import LAG, OnlineAdaptation

        lag = LAG if settings.lag is None else settings.lag
        adaptation = outputs.adaptation = OnlineAdaptation(bundle, outputs.controls, lag=lag)
        outputs.controls.hear_ratings(adaptation.rate)
        adaptation.load(MOST_LOADING)  # the rest of a grown store comes as it is read
        return Engine(bundle, source.rate, settings.decoder, adaptation, settings.policy), ""
    engine = _multichannel(settings, bundle, source)
    outputs.controls.hear_ratings(_refuse)
    return engine, f", channels {', '.join(map(str, engine.engines))}"


def _multichannel(settings: Settings, bundle: "Bundle", source: "Source") -> "MultichannelEngine":
    from ..core.multichannel import MultichannelEngine

    channels = settings.channels_apart or range(1, source.channels + 1)
    return MultichannelEngine(bundle, source.rate, channels, settings.decoder, settings.policy)


def _refuse(_rating: "Rating") -> None:
    raise InputError("ratings have no say while channels are tracked separately")


def _of(heard_as: str) -> str:
    """What a checkpoint is of, where channels are tracked separately."""
    return heard_as.replace(", channels", " of channels", 1)


class _Stopping:
    """Asks the session to end, also before there is one."""

    def __init__(self) -> None:
        self._asked = False
        self._session: Stoppable | None = None

    def reach(self, session: Stoppable) -> None:
        """From here on it is there."""
        self._session = session
        if self._asked:
            session.stop()

    def stop(self) -> None:
        """Ask; returns at once."""
        self._asked = True
        if self._session is not None:
            self._session.stop()


class _Until:
    """A sink that ends the session once so much of the stream has been heard."""

    def __init__(self, seconds: float, stop: Callable[[], None]) -> None:
        self._seconds = seconds
        self._stop = stop

    def send(self, affect: "Affect") -> None:
        """Look at the stream's time."""
        if affect.time >= self._seconds:
            self._stop()

    def close(self) -> None:
        """Nothing to release."""


def losses_of_sound(session: "Session", rate: float) -> list[str]:
    """What went wrong with the sound so far, in words; ``rate`` in samples per second."""
    counters = session.counters
    counts = [
        (counters.dropped / rate, "s of sound"),
        (counters.losses, "times the input"),
        (counters.filled / rate, "s of it filled with silence"),
        (counters.flags, "device faults"),
        (counters.bad_samples, "samples that were no numbers"),
        (counters.sink_faults, "times an output"),
    ]
    return [f"{count:.3g} {what}" for count, what in counts if count]
