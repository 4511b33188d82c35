"""Many files at once: which there are, what is done with each, and what became of it.

Nothing heavy is loaded here before an :class:`Analyst` is made, so that a process may say first how it wants to run.
"""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from . import results
from .errors import AudioFileError, ValaroError
from .results import Form

if TYPE_CHECKING:
    from ..models import Bundle
    from .core.affect import Affect
    from .core.protocols import EngineLike, Listener
    from .listeners.adaptation import Learning

# By which a folder's sound files are known: those that libsndfile decodes, but for raw samples without a header.
SUFFIXES = frozenset(
    (
        *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc"),
        *(".au", ".snd", ".caf", ".voc", ".sd2", ".paf", ".sph", ".nist"),
    )
)
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


class Found(NamedTuple):
    """``files`` with the names of their results; ``left_out``: how many others lie in the folders, by what they are."""

    files: list[tuple[Path, Path]]
    left_out: Counter[str]
    faults: list[str]


def find(paths: Sequence[Path]) -> Found:
    """The files among ``paths`` and the sound files in the folders among them, at any depth, in order of their names.

    A file's results have its own name; of a folder they are ordered as the folder is. Hidden files and folders (of a
    name that begins with a dot) are left out, folders that are only linked from there (they may lead in a circle), and
    files that are no sound by their suffix. Where two results would have the same name, but for upper and lower case,
    the later one has a number: for most systems beside Linux, and its USB sticks, these would be one file.
    """
    found = Found([], Counter(), [])
    taken: dict[str, int] = {}  # each name, and the last number that it was given
    for path in paths:
        inside = _inside(path, found) if os.path.isdir(path) else [(path, Path(path.name))]  # never raises, as Path's
        for file, name in inside:
            wanted, free = str(name).casefold(), name
            number = taken.get(wanted, 1)
            while str(free).casefold() in taken:
                number += 1
                free = name.with_name(f"{name.name}-{number}")
            taken[str(free).casefold()] = 1
            taken[wanted] = number
            found.files.append((file, free))
    return found


def _inside(folder: Path, found: Found) -> Iterator[tuple[Path, Path]]:
    def unreadable(fault: OSError) -> None:
        found.faults.append(f"{fault.filename}: cannot be read ({fault.strerror})")

    before, any_yet = len(found.faults), False
    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if linked := sum(os.path.islink(os.path.join(place, name)) for name in folders):  # which the walk passes by
            found.left_out["linked folder"] += linked
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                found.left_out["hidden"] += 1
            elif suffix not in SUFFIXES:
                found.left_out[suffix or "no suffix"] += 1
            else:
                any_yet = True
                path = Path(place, name)
                yield path, path.relative_to(folder)
    if not any_yet and len(found.faults) == before:
        found.faults.append(f"{folder}: a directory without sound files")


def worth_processes(paths: Sequence[Path]) -> bool:
    """Whether there is more sound than one process is done with before others have come up; looks at few files."""
    import soundfile

    from .sources.audio_file import UNDECODABLE

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
    from .core.engine import Engine
    from .core.multichannel import Separate
    from .sources.audio_file import AudioFile

    sound = AudioFile(path)
    engine: EngineLike
    if separate:
        engine = Separate(bundle, sound.rate, range(1, sound.channels + 1), decoder)
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


class Analyst:
    """The model of a plan, loaded once, and what is done with a file.

    Raises BundleError for the model or the decoder, InputError for a listener who is not known, StoreError.
    """

    def __init__(self, plan: Plan) -> None:
        from ..models import load_bundle

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
            results.write(heard, name, form, stream, task.header)
        elif form is Form.NPZ:
            for _ in heard:
                pass
            results.into(task.into, lambda part: results.save_npz(kept, name, part))
        else:
            results.into(task.into, lambda part: results.save_text(heard, name, form, part))
        if task.picture is not None:
            from .plot import plot

            results.into(task.picture, lambda part: plot(kept, task.path.name, part))


def in_turn(
    analyst: Analyst, tasks: Iterable[Task], stream: IO[str], between: Callable[[], object] = _nothing
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


def _listening(bundle: "Bundle", names: str) -> "Learning":
    """The profiles of one or several listeners, as they stand. InputError for one who is not known."""
    from .core.controls import Controls
    from .listeners.adaptation import Learning
    from .listeners.store import Listeners

    controls = Controls(listener=names)
    with Listeners() as store:
        for name in controls.listeners:
            store.require(name)
    learning = Learning(bundle, controls)
    learning.load()
    learning.close()  # what was read stays
    return learning
