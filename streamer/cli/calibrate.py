"""``valaro calibrate``: asks a listener about the few moments of some music whose ratings are most informative."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ..app.settings import DEFAULT_DECODER
from ..listeners.file_rating import EvidenceRecorder
from ._options import DecoderOption, ModelOption
from .listeners import opened, rating_count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...models import Bundle
    from ..core.affect import Affect
    from ..listeners.active_learning import Moment, QuestionSelector
    from ..listeners.evidence import RatedEvidence
    from ..sources.base import ThreadedSource
    from ..sources.devices.playback import Player

SUFFIXES = frozenset(
    (".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".w64", ".wav")
)
MAX_FILES = 30  # that are analysed at most, spread evenly over a larger folder
MAX_SECONDS = 7200.0  # of sound that are analysed at most, shared among the files: half a minute of work
MAX_COUNT = 20  # ratings in a session; the store accepts no more at once
EXCERPT_SECONDS = 6.0  # s before the moment
DEMO_RATE = 24_000
_ELSEWHERE = "listen elsewhere, to what is named here"
_MAX_ANSWERS = 20  # to one question; more come from a program, not a person


class Question(NamedTuple):
    """A question to the listener: the title of the piece, its sound, and the moment to rate."""

    title: str
    sound: "ThreadedSource"
    moment: "Moment"


def calibrate(
    listener: Annotated[str, typer.Option(metavar="NAME", help="Who is asked.")],
    music: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE|FOLDER", help="Sound files, or folders of them; the built-in piece otherwise."),
    ] = None,
    count: Annotated[int, typer.Option(help="How many ratings, 1 to 20.")] = 6,
    silent: Annotated[
        bool, typer.Option("--silent", metavar="", help="Play nothing: only say what to listen to.")
    ] = False,
    model: ModelOption = None,
    decoder: DecoderOption = None,
) -> None:
    """Get to know a listener by asking about the few moments that would tell the most.

    The six seconds before each are played, where there is an audio output. The answer is two numbers, valence and
    arousal, from -1 to 1; or s to skip the moment, r to hear it again, q to end. Each rating is kept at once.
    """
    from ..app.console import Notices, compiling_told, notify
    from ..errors import ExitCode, InputError

    if not 1 <= count <= MAX_COUNT:
        raise InputError(f"--count must be from 1 to {MAX_COUNT}, not {count}")
    with Notices(), opened() as store:
        store.count(listener)  # an invalid name is refused before any analysis
        left_out: list[str] = []  # files that cannot be used, a line for each
        pieces = _pieces(music or [], left_out)
        with compiling_told():
            from ...models import load_bundle
        from ..listeners.active_learning import QuestionSelector

        bundle = load_bundle(model)
        moments = _candidates(pieces, bundle, decoder or DEFAULT_DECODER, left_out)
        if not moments:
            raise InputError("there is no moment to ask about: none of it sounds for 5 s on end")
        selector = QuestionSelector(
            moments, bundle, store.ratings(listener, unreadable=lambda fault: notify(f"{fault}; left out"))
        )

        def keep(moment: "Moment", valence: float, arousal: float) -> None:
            store.add(listener, valence, arousal, moment.evidence, time=moment.time, source="cli")
            selector.rate(moment, valence, arousal)

        player = None if silent else _player(demo=not music)
        _ask(selector, pieces, count, player, keep)
        typer.echo(_estimate_text(listener, store.count(listener), selector))
    if left_out:
        raise typer.Exit(ExitCode.LOST)


def _pieces(music: Sequence[Path], left_out: list[str]) -> "dict[str, ThreadedSource]":
    """The pieces to ask about, by path. Raises InputError for a path that is no sound file, or a folder without any."""
    from ..app.console import notify
    from ..errors import AudioFileError, InputError
    from ..sources import AudioFile, Memory
    from ..sources.demo import demo_piece

    if not music:
        return {"": Memory(demo_piece(DEMO_RATE), DEMO_RATE, name="the built-in piece")}
    paths: dict[Path, bool] = {}  # with whether it was named itself
    for path in music:
        inside = _sound_files(path) if path.is_dir() else None
        if inside is not None and not inside:
            raise InputError(f"{path}: there is no sound file in this folder")
        paths |= {file: False for file in inside or [] if file not in paths} if inside else {path: True}
    chosen = list(paths)
    if len(chosen) > MAX_FILES:
        chosen = [chosen[index * len(chosen) // MAX_FILES] for index in range(MAX_FILES)]
        notify(f"{MAX_FILES} of {len(paths)} files are heard, spread over all of them")
    pieces: dict[str, ThreadedSource] = {}
    for path in chosen:
        try:
            pieces[str(path)] = AudioFile(path)
        except AudioFileError as fault:
            if paths[path]:
                raise
            left_out.append(str(fault))
            notify(f"{fault}; it is left out")
    return pieces


def _sound_files(folder: Path) -> list[Path]:
    """The sound files in a folder and its subfolders, by name, except hidden ones (macOS leaves such files)."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _candidates(
    pieces: "dict[str, ThreadedSource]", bundle: "Bundle", decoder: str, left_out: list[str]
) -> "list[Moment]":
    """Analyse all pieces, with a progress line. Raises BundleError for an unknown decoder."""
    from rich.console import Console
    from rich.text import Text

    from ..app.console import notify
    from ..errors import AudioFileError
    from ..listeners.active_learning import candidates

    bundle.pool(decoder)
    moments: list[Moment] = []
    with Console(stderr=True).status("") as line:
        for number, (file, sound) in enumerate(pieces.items(), start=1):
            which = f"hearing {number} of {len(pieces)}: {_printable(sound.name)}"
            emissions = _emissions(sound, bundle, decoder, MAX_SECONDS / len(pieces))
            try:
                moments += candidates(
                    file, emissions, lambda time, which=which: line.update(Text(f"{which} {_clock(time)}"))
                )
            except AudioFileError as fault:
                left_out.append(str(fault))
                notify(f"{fault}; it is left out")
    return moments


def _emissions(
    sound: "ThreadedSource", bundle: "Bundle", decoder: str, seconds: float
) -> "Iterator[tuple[Affect, RatedEvidence | None]]":
    """A piece's emissions in its first ``seconds``, and the evidence of each."""
    from ..core.engine import Engine
    from ..core.signals import between_steps

    recorder = EvidenceRecorder(bundle)
    engine = Engine(bundle, sound.rate, decoder, recorder)
    with between_steps() as let_signals_through:
        for block in sound.blocks():
            for affect in engine.push(block):
                if affect.time > seconds:
                    return
                yield affect, recorder.history.at(affect.time)
            let_signals_through()


def _player(*, demo: bool) -> "Player | None":
    """The audio output; None, after a notice, where there is none."""
    from ..app.console import notify
    from ..errors import DeviceError
    from ..sources.devices.playback import Player

    try:
        return Player()
    except DeviceError as fault:
        notify(f"{fault}: " + ("`valaro demo --seconds 64 --save-audio FILE` writes the piece" if demo else _ELSEWHERE))
        return None


def _ask(
    selector: "QuestionSelector",
    pieces: "dict[str, ThreadedSource]",
    count: int,
    player: "Player | None",
    keep: "Callable[[Moment, float, float], None]",
) -> None:
    """Ask until there are ``count`` ratings, nothing is left to ask about, or the listener ends it."""
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # invalid bytes are a wrong answer, not a fault
    typer.echo("Valence: -1 unpleasant, 1 pleasant. Arousal: -1 calm, 1 excited.")
    ratings = 0
    while ratings < count:
        moment = selector.next()
        if moment is None:
            typer.echo("there is no other moment to ask about")
            return
        sound = pieces[moment.file]
        title = f"{ratings + 1} of {count}: {_printable(sound.name)}"
        answer = _answer(Question(title, sound, moment), player)
        if answer is None:
            return
        if answer:
            keep(moment, *answer)
            ratings += 1


def _answer(question: Question, player: "Player | None") -> "tuple[float, float] | tuple[()] | None":
    """Valence and arousal; () to skip the moment, None to end. InputError after too many invalid answers."""
    from ..app.console import notify
    from ..errors import InputError

    moment = question.moment
    typer.echo(f"{question.title}, {_clock(max(0.0, moment.time - EXCERPT_SECONDS))} to {_clock(moment.time)}")
    again = True
    for _ in range(_MAX_ANSWERS):
        if again and player is not None:
            _play(question, player)
        line = _line("valence and arousal (s skip, r again, q end): ")
        word = "" if line is None else line.strip().lower()
        if line is None or word in ("q", "quit"):
            return None
        if word in ("s", "skip"):
            return ()
        again = word in ("r", "again")
        if not again:
            answer = _numbers(word)
            if answer is not None:
                return answer
            notify("write two numbers from -1 to 1, valence and arousal, such as: 0.5 -0.2")
    raise InputError(f"{_MAX_ANSWERS} answers, and none is a rating: valaro calibrate --help says what is asked")


def _line(prompt: str) -> str | None:
    """The line that the listener types, or the next line of a pipe, without a prompt; None at the end."""
    if sys.stdin is None:  # a program without a console
        return None
    person = sys.stdin.isatty()
    if person:
        typer.echo(prompt, nl=False)
    line = sys.stdin.readline(1000)
    if not line and person:
        typer.echo()
    return line or None


def _numbers(text: str) -> tuple[float, float] | None:
    try:
        valence, arousal = map(float, re.split(r"[\s,;]+", text))
    except ValueError:
        return None
    return (valence, arousal) if all(-1.0 <= value <= 1.0 for value in (valence, arousal)) else None  # NaN is not


def _play(question: Question, player: "Player") -> None:
    from .._util.stderr import libraries_silenced
    from ..app.console import notify
    from ..errors import ValaroError

    try:
        sound = excerpt(question.sound, question.moment.time)
        with libraries_silenced():
            player.play(sound, question.sound.rate)
    except ValaroError as fault:  # the output or the file was lost: the listener can play it elsewhere
        notify(f"{fault}: {_ELSEWHERE}")


def excerpt(sound: "ThreadedSource", end: float) -> "NDArray[np.float32]":
    """The 6 s (or fewer) of a piece before ``end`` s: (n, channels). AudioFileError for a file that became shorter."""
    import numpy as np

    from ..errors import AudioFileError

    last = round(end * sound.rate)
    first = max(0, last - round(EXCERPT_SECONDS * sound.rate))
    parts: list[NDArray[np.float32]] = []
    for start, block in _positioned(sound):
        if start >= last:
            break
        if start + len(block) > first:
            parts.append(block[max(0, first - start) : last - start])
    if not parts:
        raise AudioFileError(f"{sound.name}: is not what it was any more")
    return np.concatenate(parts)


def _positioned(sound: "ThreadedSource") -> "Iterator[tuple[int, NDArray[np.float32]]]":
    start = 0
    for block in sound.blocks():
        yield start, block
        start += len(block)


def _estimate_text(listener: str, count: int, selector: "QuestionSelector") -> str:
    mean, deviation, prior_deviation = (array.tolist() for array in selector.estimate())
    shifts = [
        f"{name} {shift:+.2f} ± {now:.2f} (± {then:.2f} of a stranger)"
        for name, shift, now, then in zip(("valence", "arousal"), mean, deviation, prior_deviation, strict=True)
    ]
    return f"{listener}: {rating_count(count)} by now; this music moves by {', '.join(shifts)}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"


def _printable(path: str) -> str:
    """A file's name with its unprintable characters replaced."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in Path(path).name)
