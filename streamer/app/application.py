"""A session from its settings: source, engine, listeners, outputs and upkeep put together, run, and summed up."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .._util.process import version
from .._util.stderr import libraries_silenced
from ..core.signals import Stoppable, stop_on_signals
from ..errors import ExitCode, InputError, ValaroError
from . import plugins
from .console import Notices, compiling_told, log_event, notify
from .losses import Outcome
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

MOST_LOADING = 2.0  # s that the start waits for the listeners' earlier ratings


def run(settings: Settings) -> Outcome:
    """Run a session, or a replay, to its end, Ctrl-C or SIGTERM; from the main thread.

    Returns
    -------
    Outcome
        What was done and what was lost, in one line, and the exit code that says the same.

    Raises
    ------
    ValaroError
        It cannot begin, or cannot go on.
    """
    return _replay(settings) if settings.input.kind == "replay" else _live(settings)


@contextmanager
def _begun(settings: Settings, of: str, outcome: Callable[[], Outcome], emissions: Callable[[], int]) -> Iterator[None]:
    """Everything is open, and it begins: in JSON, the start object; and if a fault breaks it off, the closing line."""
    log_event("start", event="start", version=version(), pid=os.getpid(), input=settings.input.kind, source=of)
    try:
        yield
    except Exception as fault:
        if emissions() and isinstance(fault, ValaroError):
            fault.exit_code = ExitCode.BROKE_OFF  # it had begun, whatever is wrong with the input
        code = fault.exit_code if isinstance(fault, ValaroError) else ExitCode.BROKE_OFF
        ended = outcome()
        told = notify if emissions() else log_event
        told(ended.line, event="stop", exit_code=int(code), lost=dict(ended.lost), reason=str(fault))
        raise


def finished(outcome: Outcome) -> ExitCode:
    """Write the closing line, which as JSON is the stop object too; returns the exit code."""
    notify(outcome.line, event="stop", exit_code=int(outcome.exit_code), lost=dict(outcome.lost))
    return outcome.exit_code


def _live(settings: Settings) -> Outcome:
    with libraries_silenced(), Notices(Repeats()) as notices, ExitStack() as stack:
        outputs = Outputs(settings, notices)
        stack.callback(outputs.close)
        source = open_source(settings.input)
        with compiling_told():
            from ...models import load_bundle
            from ..core.session import Session
            from .monitoring.sinks import Facts, upkeep_sinks
        bundle = load_bundle(settings.model)
        outputs.losses.watch("decoder", lambda: bundle)
        outputs.losses.rate = source.rate
        if settings.input.kind == "file":
            outputs.losses.watch("file", lambda: source, str(settings.input.name))
        engine, heard_as = _engine(settings, bundle, source, outputs)
        outputs.losses.watch("engine", lambda: engine)
        listening: EngineLike = engine
        if source.live and source.channels > 1 and settings.channels_apart is None:
            from ..sources.cancelling import CancellingWatch

            listening = CancellingWatch(listening, source.name, source.channels, source.rate)
        if settings.save_audio is not None:
            from ..sinks.audio_recorder import AudioRecorder

            listening = recorder = AudioRecorder(listening, settings.save_audio, source.rate, source.channels)
            outputs.keep_sound(recorder)
        stopping = _Stopping()
        sinks = outputs.open(f"{source.name}{heard_as}", stopping.stop)
        upkeep = upkeep_sinks(
            engine,
            Facts(bundle, settings.model, f"{settings.decoder}{_of(heard_as)}", source.rate),
            lambda: outputs.counters(),  # noqa: PLW0108  whoever is asked changes once there is a session
            outputs.losses,
            outputs.traffic,
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

        def outcome() -> Outcome:
            counters = session.counters
            done = f"heard {counters.frames / source.rate:.1f} s, sent {counters.emissions} emissions"
            return outputs.losses.outcome(done)

        beginning = _begun(settings, source.name, outcome, lambda: session.counters.emissions)
        with beginning, stop_on_signals(session):
            session.run()
    return outcome()


def _replay(settings: Settings) -> Outcome:
    from ..core.replay import Replay
    from ..core.session import Counters

    with Notices(Repeats()) as notices, ExitStack() as stack:
        path = cast(Path, settings.input.name)
        player = Replay(path, settings.input.speed, loop=settings.input.loop)
        outputs = Outputs(settings, notices)
        stack.callback(outputs.close)
        outputs.losses.watch("replay", lambda: player)
        sinks = outputs.open(f"replay of {path}", player.stop)
        outputs.counters = lambda: Counters(0, 0, 0, 0, emissions=player.sent, sink_faults=0)

        def outcome() -> Outcome:
            return outputs.losses.outcome(f"sent {player.sent} emissions")

        with _begun(settings, str(path), outcome, lambda: player.sent), stop_on_signals(player):
            player.run(sinks)
    return outcome()


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
        adaptation = OnlineAdaptation(bundle, outputs.controls, lag=lag)
        outputs.learn(adaptation)
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
