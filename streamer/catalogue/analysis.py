"""The analysis of sound files: the plan for all, the task of one, and its result.

Nothing heavy is loaded here before a ``FileAnalyzer`` is made, so that a process can first set its environment.
"""

import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from .._util.stderr import quiet_stderr
from ..errors import AudioFileError, ExitCode, ValaroError
from . import writers
from .writers import OutputFormat

if TYPE_CHECKING:
    from ...models import Bundle
    from ..core.affect import Affect
    from ..core.protocols import Listener
    from ..listeners.adaptation import OnlineAdaptation

log = logging.getLogger(__name__)

MIN_PARALLEL_SECONDS = 1_200.0  # s of sound above which more processes are worth their two seconds of start-up


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done with every file.

    Parameters
    ----------
    model : the bundle; None: the built-in one.
    decoder : whose heatmap it is.
    listener : whose heatmap it is adapted to, one or several names; "": the model's own.
    output_format : of the records.
    plot : also draw a picture of each file.
    separate : track each channel by itself.
    """

    model: Path | None = None
    decoder: str = "fusion"
    listener: str = ""
    output_format: OutputFormat = OutputFormat.JSONL
    plot: bool = False
    separate: bool = False


class Task(NamedTuple):
    """One file to analyse.

    Parameters
    ----------
    number : its place in the order of all.
    path : the sound file.
    output : the file that its records go to; None: a stream.
    plot_path : the file that its plot goes to, if any.
    header : whether a table in a stream begins here.
    """

    number: int
    path: Path
    output: Path | None
    plot_path: Path | None = None
    header: bool = True

    @property
    def outputs(self) -> list[Path]:
        """The files that it writes."""
        return [path for path in (self.output, self.plot_path) if path is not None]


class FileResult(NamedTuple):
    """The outcome of one task.

    Parameters
    ----------
    seconds : of sound that were analysed.
    fault : in one line, if the file could not be used; else "".
    exit_code : of the fault; 0: none, 3: without a fault, but a part of the file was lost.
    notices : the log's lines meanwhile.
    """

    seconds: float = 0.0
    fault: str = ""
    exit_code: int = 0
    notices: tuple[str, ...] = ()


def worth_processes(paths: Sequence[Path]) -> bool:
    """Whether there is enough sound for more processes to be worth their start-up; looks at few files."""
    import soundfile

    from ..sources.audio_file import UNDECODABLE

    seconds = 0.0
    for path in paths:
        try:
            with quiet_stderr():
                seconds += soundfile.info(os.fspath(path)).duration if path.is_file() else 0.0
        except (*UNDECODABLE, OSError):
            continue
        if seconds >= MIN_PARALLEL_SECONDS:
            return True
    return False


def in_order(finished: Iterator[tuple[Task, FileResult]]) -> Iterator[tuple[Task, FileResult]]:
    """Put results in the order of their tasks, which are numbered from 0; early ones are held back."""
    waiting: dict[int, tuple[Task, FileResult]] = {}
    due = 0
    for task, result in finished:
        waiting[task.number] = task, result
        while due in waiting:
            yield waiting.pop(due)
            due += 1


@dataclass(slots=True)
class Heard:
    """What came of a file besides its emissions.

    Parameters
    ----------
    lost : something was lost that a show counts, too: the end of a file that breaks off, samples or heatmaps that were
        none, a decoder.
    """

    lost: bool = False


def emissions(
    path: Path,
    bundle: "Bundle",
    decoder: str = "fusion",
    listener: "Listener | None" = None,
    *,
    separate: bool = False,
    between: Callable[[], object] = _nothing,
    heard: Heard | None = None,
) -> "Iterator[Affect]":
    """The emissions of one file, each as soon as its sound is read.

    Parameters
    ----------
    path : the sound file.
    bundle : the model.
    decoder : whose heatmap it is.
    listener : adapts the heatmap; None: it stays the model's.
    separate : track each channel by itself, without a listener.
    between : called after each block of sound.
    heard : is filled in at the end.

    Raises
    ------
    AudioFileError
        The file cannot be used, or is too short for an emission.
    """
    from ..core.engine import Engine
    from ..core.multichannel import MultichannelEngine
    from ..sources.audio_file import AudioFile, no_sound

    sound = AudioFile(path)
    engine: Engine | MultichannelEngine
    if separate:
        engine = MultichannelEngine(bundle, sound.rate, range(1, sound.channels + 1), decoder)
    else:
        engine = Engine(bundle, sound.rate, decoder, listener)
    count = samples = 0
    faults = bundle.decoder_faults
    for block in sound.blocks():
        samples += block.size
        for affect in engine.push(block):
            count += 1
            yield affect
        between()
    for affect in engine.finish():
        count += 1
        yield affect
    if engine.bad_samples:
        log.warning("%s: %s", path, no_sound(engine.bad_samples, samples))
    faults = bundle.decoder_faults - faults
    if engine.bad_heatmaps:
        log.warning("%s: %d heatmaps were no numbers: others stand for them", path, engine.bad_heatmaps)
    if faults:
        log.warning("%s: a decoder failed %d times: its weight went to the others", path, faults)
    if heard is not None:
        heard.lost = any((sound.broke_off, engine.bad_samples, engine.bad_heatmaps, faults, bundle.missing))
    if not count:
        raise AudioFileError(f"{path}: is shorter than half a second, the least that an emission needs")


class FileAnalyzer:
    """Analyses files by a plan, with its model loaded once.

    Raises
    ------
    BundleError
        The model or the decoder cannot be used.
    InputError
        A listener is not known.
    StoreError
        The store of ratings cannot be opened.
    """

    def __init__(self, plan: Plan) -> None:
        from ...models import load_bundle

        self._plan = plan
        self._bundle = load_bundle(plan.model)
        self._bundle.pool(plan.decoder)
        self._listener = _adaptation_to(self._bundle, plan.listener) if plan.listener else None

    def analyze(
        self, task: Task, stream: IO[str] | None = None, between: Callable[[], object] = _nothing
    ) -> FileResult:
        """Analyse one file; its faults are returned in the result, not raised.

        Parameters
        ----------
        task : the file.
        stream : takes the records of a task without ``output``.
        between : called between the file's blocks; may raise to end the analysis, which leaves no partial file.

        Raises
        ------
        OSError
            The stream cannot be written.
        """
        reached, heard = [0.0], Heard()
        try:
            with closing(self._emissions(task.path, reached, between, heard)) as affects:
                self._save(task, affects, stream)
        except ValaroError as fault:
            return FileResult(reached[0], str(fault), fault.exit_code)
        except Exception as fault:
            if os.environ.get("VALARO_DEBUG") or (isinstance(fault, OSError) and stream is not None):
                raise
            what = f"unexpected fault, please report it: {type(fault).__name__}: {fault} (VALARO_DEBUG=1 shows where)"
            return FileResult(reached[0], f"{task.path}: {what}", ValaroError.exit_code)
        return FileResult(reached[0], exit_code=ExitCode.LOST if heard.lost else ExitCode.DONE)

    def _emissions(
        self, path: Path, reached: list[float], between: Callable[[], object], heard: Heard
    ) -> "Generator[Affect, None, None]":
        """The emissions; ``reached[0]`` is set to the time of the last."""
        plan = self._plan
        options = {"separate": plan.separate, "between": between, "heard": heard}
        affects = emissions(path, self._bundle, plan.decoder, self._listener, **options)
        for affect in affects:
            reached[0] = affect.time
            yield affect

    def _save(self, task: Task, affects: "Iterator[Affect]", stream: IO[str] | None) -> None:
        output_format, name = self._plan.output_format, str(task.path)
        collected: list[Affect] = []
        if task.plot_path is not None or output_format is OutputFormat.NPZ:
            affects = _collecting(affects, collected)
        if task.output is None:
            assert stream is not None
            writers.write(affects, name, output_format, stream, task.header)
        elif output_format is OutputFormat.NPZ:
            for _ in affects:
                pass
            writers.write_atomically(task.output, lambda partial: writers.save_npz(collected, name, partial))
        else:
            writers.write_atomically(
                task.output, lambda partial: writers.save_text(affects, name, output_format, partial)
            )
        if task.plot_path is not None:
            from .plot import plot

            writers.write_atomically(task.plot_path, lambda partial: plot(collected, task.path.name, partial))


def in_turn(
    analyzer: FileAnalyzer, tasks: Iterable[Task], stream: IO[str], between: Callable[[], object] = _nothing
) -> Iterator[tuple[Task, FileResult]]:
    """Run one task after the other in this process; a table's header is written to ``stream`` once."""
    header = True
    for planned in tasks:
        task = planned._replace(header=header)
        result = analyzer.analyze(task, stream if task.output is None else None, between)
        header = header and bool(result.fault)
        yield task, result


def _collecting(affects: "Iterator[Affect]", collected: "list[Affect]") -> "Iterator[Affect]":
    for affect in affects:
        collected.append(affect)
        yield affect


def _adaptation_to(bundle: "Bundle", names: str) -> "OnlineAdaptation":
    """The adaptation to one or several listeners from their stored ratings. InputError for one who is not known."""
    from ..core.controls import Controls
    from ..listeners.adaptation import OnlineAdaptation
    from ..listeners.store import Listeners

    controls = Controls(listener=names)
    with Listeners() as store:
        for name in controls.listeners:
            store.require(name)
    adaptation = OnlineAdaptation(bundle, controls)
    adaptation.load()
    adaptation.close()  # what was read stays
    return adaptation
