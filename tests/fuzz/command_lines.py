"""The command line itself: any words after ``valaro`` end with a code and a line that a person can use.

No device, port or long work is begun: each command is given a file or a bundle that is not there, as its last word.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from valaro.streamer.cli import run
from valaro.streamer.cli._streams import errors_of_output

from .targets import Target, as_file, folder, text_of

CODES = {0, 1, 2, 3, 130}
MOST_WORDS = 40
# What keeps each command from beginning; doctor and devices, which take no values, ask the machine.
ENDS = {
    "demo": ["--model", "no-such-bundle"],
    "listen": ["--file", "no-such-file.wav"],
    "replay": ["no-such-file.jsonl"],
    "analyze": ["--model", "no-such-bundle"],
    "rate": ["--model", "no-such-bundle"],
    "calibrate": ["--model", "no-such-bundle"],
    "train": ["--output", "song.wav/model"],
    "evaluate": ["--data", "no-such-folder"],
    "doctor": ["--no-such-option"],
    "devices": ["--no-such-option"],
    "plugins": ["--no-such-option"],
    "listeners": [],
    "presets": [],
}
SEEDS = (
    "demo --seconds 1 --osc 127.0.0.1:9000",
    "demo --osc nowhere:9000 --osc-rate 30 --offset 0.5 --midi virtual",
    "listen --device Scarlett --channels 1,2 --osc [::1]:9000 --config show.toml",
    "listen --osc-in 0.0.0.0:9001 --listener ana,ben --lag 2 --record show.jsonl --save-audio heard.wav",
    "listen --oscquery 0 --metrics 127.0.0.1:9100 --log json --checkpoint state --separate --policy hold",
    "listen --sink osc=127.0.0.1:1 --source demo --replay show.jsonl --decoder aeg",
    "replay show.jsonl --speed 5 --loop",
    "analyze music song.wav --format csv --output out --jobs 2 --skip-existing --plot",
    "rate song.wav --at 1 --valence 0.5 --arousal -0.5 --listener ana",
    "calibrate music --listener ana",
    "listeners list",
    "listeners show ana",
    "listeners forget ana --yes",
    "listeners export ana --output ana.json",
    "listeners import ana.json",
    "listeners undo ana",
    "presets list",
    "presets write resolume --output new.toml",
    "train --data clips --output model",
    "evaluate --data clips --json",
    "doctor --json",
    "plugins --load",
    "--version",
    "--help",
)


def run_command_line(data: bytes) -> None:
    """A command line, a word for each line of ``data``."""
    held([text_of(word) for word in data.split(b"\n")[:MOST_WORDS]])


def held(words: Sequence[str], ends: Sequence[str] | None = None) -> None:
    """Run ``valaro WORDS`` as far as it may go, and look at how it ends.

    ``ends``: what keeps it from beginning; None: as in ENDS.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    words = [*words, *(ENDS.get(command, ["--no-such-option"]) if ends is None else ends)]
    with _in_a_place_of_its_own(), _captured() as (out, err):
        code = run(words)
        written, told = text_in(out), text_in(err)
    assert code in CODES, (code, words)
    assert "unexpected fault" not in told, (told, words)
    assert "Traceback" not in told + written, (told, words)
    lines = told.splitlines()
    assert all(line.startswith(("valaro: ", '{"time": ')) for line in lines), (told, words)
    assert len(lines) <= 5, (told, words)
    assert code == 0 or lines, (code, words)


@contextlib.contextmanager
def _in_a_place_of_its_own() -> Iterator[None]:
    """A folder with a file of each kind, which is the data directory, too."""
    before, variables = Path.cwd(), dict(os.environ)
    place = folder() / "place"
    (place / "music").mkdir(parents=True, exist_ok=True)
    as_file(b"no sound\n", "place/song.wav")
    as_file(b"[[osc]]\nto = 1\n", "place/show.toml")
    os.chdir(place)
    os.environ["XDG_DATA_HOME"] = str(place / "data")
    os.environ.pop("VALARO_DEBUG", None)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(variables)


@contextlib.contextmanager
def _captured() -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    """The standard streams as the program sets them up, in memory; an empty standard input."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors_of_output(), newline="\n")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", newline="\n")
    stdin, sys.stdin = sys.stdin, io.StringIO()
    handlers = logging.getLogger("valaro").handlers[:]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
    finally:
        sys.stdin = stdin
    assert logging.getLogger("valaro").handlers == handlers, "a handler of the log is left behind"


def text_in(file: io.TextIOWrapper) -> str:
    """What was written to a file in memory."""
    file.flush()
    return cast(io.BytesIO, file.buffer).getvalue().decode("utf-8", "replace")


def seeds() -> list[bytes]:
    """Command lines that are well formed."""
    return [seed.replace(" ", "\n").encode() for seed in SEEDS]


TARGETS = {"command_line": Target(run_command_line, seeds)}
