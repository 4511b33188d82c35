"""Many files at once: which there are, what is done with each, and what became of it.

Nothing heavy is loaded here before a ``FileAnalyzer`` is made, so that a process may say first how it wants to run.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from ..errors import AudioFileError, ValaroError
from . import writers
from .writers import Form

if TYPE_CHECKING:
    from ...models import Bundle
    from ..core.affect import Affect
    from ..core.protocols import EngineLike, Listener
    from ..listeners.adaptation import OnlineAdaptation

WORTH = 1_200.0  # s of sound from which on processes of their own earn the two seconds that they take to come up


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done with every file. ``listener``: one or several names, "" for nobody's heatmap but the model's."""

    model: Path | None = None
    decoder: str = "fusion"
    listener: str = ""
    form: Form = Form.JSONL
    plot: bool = False
    separate: bool = False


class Task(NamedTuple):
    """One file. ``into``: where its records go, None for a stream; ``picture``: where its plot goes, if any.

    ``header``: whether a table in a stream begins here.
    """

    number: int
    path: Path
    into: Path | None
    picture: Path | None = None
    header: bool = True

    @property
    def outputs(self) -> list[Path]:
        """The files that it leaves."""
        return [path for path in (self.into, self.picture) if path is not None]


class Done(NamedTuple):
    """What became of a file: ``seconds`` of sound were heard; ``fault`` in one line, if it could not be used."""

    seconds: float = 0.0
    fault: str = ""
    exit_code: int = 0
    notices: tuple[str, ...] = ()


def worth_processes(paths: Sequence[Path]) -> bool:
    """Whether there is more sound than one process is done with before others have come up; looks at few files."""
    import soundfile

    from ..sources.audio_file import UNDECODABLE

    seconds = 0.0
    for path in paths:
        try:
            seconds += soundfile.info(os.fspath(path)).duration if path.is_file() else 0.0
        except (*UNDECODABLE, OSError):
            continue
        if seconds >= WORTH:
            return True
    return False


def in_order(finished: Iterator[tuple[Task, Done]]) -> Iterator[tuple[Task, Done]]:
    """Hold back what is done before its turn; the tasks are numbered from 0."""
    waiting: dict[int, tuple[Task, Done]] = {}
    due = 0
    for task, done in finished:
        waiting[task.number] = task, done
        while due in waiting:
            yield waiting.pop(due)
            due += 1


def emissions(
    path: Path,
    bundle: "Bundle",
    decoder: str = "fusion",
    listener: "Listener | None" = None,
    *,
    separate: bool = False,
    between: Callable[[], object] = _nothing,
) -> "Iterator[Affect]":
    """The emissions of one file, each as soon as its sound is read; ``between`` is called after each block.

    ``separate``: of each channel by itself. Raises AudioFileError when there are none.
    """
    from ..core.engine import Engine
    from ..core.multichannel import MultichannelEngine
    from ..sources.audio_file import AudioFile

    sound = AudioFile(path)
    engine: EngineLike
    if separate:
        engine = MultichannelEngine(bundle, sound.rate, range(1, sound.channels + 1), decoder)
    else:
        engine = Engine(bundle, sound.rate, decoder, listener)
    count = 0
    for block in sound.blocks():
        for affect in engine.push(block):
            count += 1
            yield affect
        between()
    for affect in engine.finish():
        count += 1
        yield affect
    if not count:
        raise AudioFileError(f"{path}: is shorter than half a second, the least that an emission needs")


class FileAnalyzer:
    """The model of a plan, loaded once, and what is done with a file.

    Raises BundleError for the model or the decoder, InputError for a listener who is not known, StoreError.
    """

    def __init__(self, plan: Plan) -> None:
        from ...models import load_bundle

        self._plan = plan
        self._bundle = load_bundle(plan.model)
        self._bundle.pool(plan.decoder)
        self._listener = _listening(self._bundle, plan.listener) if plan.listener else None

    def do(self, task: Task, stream: IO[str] | None = None, between: Callable[[], object] = _nothing) -> Done:
        """Analyse one file; what is wrong with it is said, not raised. ``stream``: for a task without ``into``.

        ``between`` is called between the file's blocks, and may raise to end it: no half file is left then. Raises
        OSError for a ``stream`` that cannot be written.
        """
        reached = [0.0]
        try:
            with closing(self._heard(task.path, reached, between)) as heard:
                self._save(task, heard, stream)
        except ValaroError as fault:
            return Done(reached[0], str(fault), fault.exit_code)
        except Exception as fault:
            if os.environ.get("VALARO_DEBUG") or (isinstance(fault, OSError) and stream is not None):
                raise
            what = f"unexpected fault, please report it: {type(fault).__name__}: {fault} (VALARO_DEBUG=1 shows where)"
            return Done(reached[0], f"{task.path}: {what}", ValaroError.exit_code)
        return Done(reached[0])

    def _heard(
        self, path: Path, reached: list[float], between: Callable[[], object]
    ) -> "Generator[Affect, None, None]":
        """The emissions; ``reached`` is set to the time of the last."""
        plan = self._plan
        found = emissions(path, self._bundle, plan.decoder, self._listener, separate=plan.separate, between=between)
        for affect in found:
            reached[0] = affect.time
            yield affect

    def _save(self, task: Task, heard: "Iterator[Affect]", stream: IO[str] | None) -> None:
        form, name = self._plan.form, str(task.path)
        kept: list[Affect] = []
        if task.picture is not None or form is Form.NPZ:
            heard = _keeping(heard, kept)
        if task.into is None:
            assert stream is not None
            writers.write(heard, name, form, stream, task.header)
        elif form is Form.NPZ:
            for _ in heard:
                pass
            writers.into(task.into, lambda part: writers.save_npz(kept, name, part))
        else:
            writers.into(task.into, lambda part: writers.save_text(heard, name, form, part))
        if task.picture is not None:
            from .plot import plot

            writers.into(task.picture, lambda part: plot(kept, task.path.name, part))


def in_turn(
    analyst: FileAnalyzer, tasks: Iterable[Task], stream: IO[str], between: Callable[[], object] = _nothing
) -> Iterator[tuple[Task, Done]]:
    """Do one task after the other, here; a table's header is written to ``stream`` once."""
    header = True
    for each in tasks:
        task = each._replace(header=header)
        done = analyst.do(task, stream if task.into is None else None, between)
        header = header and bool(done.fault)
        yield task, done


def _keeping(heard: "Iterator[Affect]", kept: "list[Affect]") -> "Iterator[Affect]":
    for affect in heard:
        kept.append(affect)
        yield affect


def _listening(bundle: "Bundle", names: str) -> "OnlineAdaptation":
    """The profiles of one or several listeners, as they stand. InputError for one who is not known."""
    from ..core.controls import Controls
    from ..listeners.adaptation import OnlineAdaptation
    from ..listeners.store import Listeners

    controls = Controls(listener=names)
    with Listeners() as store:
        for name in controls.listeners:
            store.require(name)
    learning = OnlineAdaptation(bundle, controls)
    learning.load()
    learning.close()  # what was read stays
    return learning
