"""MIDI files played to audio by the FluidSynth program: 24 kHz mono, kept in the cache as FLAC.

The level says nothing to the models, so each file is rendered as floating point at half gain (nothing can clip)
and brought to the same peak. The start is left alone, labels are aligned to it; the reverberation's tail is cut.

One score in many sounds, for training: ``find_soundfonts`` lists the soundfonts of this machine, ``INSTRUMENTS`` the
instruments that a score can be played on instead of its own.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from ...errors import DataError
from .. import parallel
from ..cache import RATE, CountProgress, cache_dir, digest
from ..datasets.midi_score import need_mido

_PEAK = 0.9
_TAIL_FLOOR = 1e-3  # of the peak: -60 dB
_SILENCE = 1e-6  # full scale is 1: the reverberation's own noise lies at 2e-8, the softest single note at 6e-6
_OPTIONS = ("-n", "-i", "-q", "-g", "0.5", "-r", str(RATE), "-T", "wav", "-O", "float")

# Program numbers of General MIDI, from 0.
INSTRUMENTS = {
    "piano": 0,
    "electric piano": 4,
    "organ": 19,
    "guitar": 24,
    "distorted guitar": 30,
    "strings": 48,
    "brass": 61,
    "flute": 73,
    "synth lead": 81,
    "synth pad": 89,
}
_DRUMS = 9  # the channel of General MIDI's percussion
_BANK_SELECT = (0, 32)  # controllers: other banks hold other instruments under the same numbers

# In order of preference: the bundle that ships was trained on the first.
_NAMES = ("FluidR3_GM.sf2", "FluidR3_GM.sf3", "MuseScore_General.sf2", "MuseScore_General.sf3")
_LAST_RESORTS = ("default-GM.sf2", "default.sf2", "TimGM6mb.sf2")
_FOLDERS = (
    "/usr/share/sounds/sf2",  # Debian, Ubuntu
    "/usr/share/sounds/sf3",
    "/usr/share/soundfonts",  # Fedora, Arch
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
    "~/Library/Audio/Sounds/Banks",
    "~/.local/share/soundfonts",
    "~/.local/share/sounds/sf2",
    "%ProgramData%/soundfonts",
    "C:/soundfonts",
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """``paths``: id -> FLAC file; ``failed``: id -> why there is none; ``soundfont``: the file name of the sounds."""

    paths: dict[str, Path]
    failed: dict[str, str]
    soundfont: str


def find_soundfont() -> Path:
    """The file that VALARO_SOUNDFONT names, else the first General MIDI soundfont in the usual places."""
    if named := os.environ.get("VALARO_SOUNDFONT"):
        if not Path(named).is_file():
            raise DataError(f"VALARO_SOUNDFONT is {named}: there is no such file")
        return Path(named)
    if fonts := find_soundfonts():
        return fonts[0]
    raise DataError(f"no soundfont to play MIDI with: {_install_command()}, or set VALARO_SOUNDFONT to an .sf2 file")


def find_soundfonts() -> list[Path]:
    """The General MIDI soundfonts in the usual places, best first, each but once; none may be there."""
    folders = [Path(os.path.expandvars(folder)).expanduser() for folder in _FOLDERS]
    fonts: dict[Path, Path] = {}  # by the file itself: distributions link default names to it
    for name in _NAMES + _LAST_RESORTS:
        for folder in folders:
            if (folder / name).is_file():
                fonts.setdefault((folder / name).resolve(), folder / name)
    return list(fonts.values())


def find_fluidsynth() -> str:
    """Path of the ``fluidsynth`` program; DataError with the command that installs it."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise DataError(f"rendering MIDI needs the fluidsynth program: {_install_command()}")
    return program


def render_all(
    items: Sequence[tuple[str, Path]],
    soundfont: Path | None = None,
    processes: int | None = None,
    progress: CountProgress | None = None,
    timeout: float = 300.0,
    instrument: str | None = None,
) -> Rendered:
    """Render many MIDI files, (id, path) each; those in the cache are not played again.

    ``processes`` play at a time; None: one a processor.

    ``instrument``: one of ``INSTRUMENTS`` for all channels but the drums; None: as the score has it. Each soundfont
    and instrument has its own place in the cache. A file that cannot be rendered, or takes longer than ``timeout``
    seconds, is skipped and named in ``failed``.

    Raises
    ------
    DataError
        If the program or a soundfont is missing, for an unknown instrument, or for lack of the ``mido`` package that
        puts an instrument into a score.
    """
    number = None if instrument is None else _program_number(instrument)
    program = find_fluidsynth()
    font = soundfont if soundfont is not None else find_soundfont()
    if not font.is_file():
        raise DataError(f"no soundfont {font}: {_install_command()}")
    paths: dict[str, Path] = {}
    failed: dict[str, str] = {}
    # Threads are enough: the work is done by the program and by the FLAC encoder.
    with ThreadPoolExecutor(max(1, parallel.PROCESSES if processes is None else processes)) as pool:
        futures = {pool.submit(_render, path, program, font, timeout, number): name for name, path in items}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                name = futures[future]
                try:
                    paths[name] = future.result()
                except DataError as error:
                    failed[name] = str(error)
                if progress:
                    progress(done, len(items))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return Rendered(paths, failed, font.name)


def _program_number(instrument: str) -> int:
    if instrument not in INSTRUMENTS:
        raise DataError(f"no instrument {instrument!r}: take one of {', '.join(INSTRUMENTS)}")
    need_mido()
    return INSTRUMENTS[instrument]


def _render(midi: Path, program: str, font: Path, timeout: float, number: int | None) -> Path:
    try:
        content = hashlib.sha256(midi.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{midi} cannot be read ({error.strerror})") from error
    key = (content, font.name, font.stat().st_size, _OPTIONS, _PEAK, _TAIL_FLOOR)
    if number is not None:  # added only then: what was rendered before there were instruments is found again
        key = (*key, "program", number)
    folder = cache_dir("midi")
    target = folder / f"{digest(key)}.flac"
    if target.is_file():
        return target
    with tempfile.TemporaryDirectory(dir=folder, prefix="rendering-") as scratch:
        wave, flac = Path(scratch, "out.wav"), Path(scratch, "out.flac")
        score = midi
        if number is not None:
            score = Path(scratch, "score.mid")
            _put_instrument(midi, number, score)
        message = _play([program, *_OPTIONS, "-F", str(wave), str(font.resolve()), str(score.resolve())], midi, timeout)
        if not wave.is_file():
            raise DataError(f"{midi.name}: fluidsynth failed ({message})")
        soundfile.write(flac, _finish(wave, midi, message), RATE, subtype="PCM_16")
        flac.replace(target)  # atomic: the cache never holds half a file
    return target


def _put_instrument(source: Path, number: int, target: Path) -> None:
    """Write ``source`` with one program for all channels but the drums from its start on, every note where it was."""
    import mido
    from mido.midifiles.meta import KeySignatureError

    try:
        midi = mido.MidiFile(source)
    except (OSError, EOFError, ValueError, LookupError, KeySignatureError) as error:
        raise DataError(f"{source.name} is not a readable MIDI file ({error})") from error
    for track in midi.tracks:
        kept = mido.MidiTrack()
        waited = 0
        for message in track:
            waited += message.time
            if not _chooses_sound(message):
                kept.append(message.copy(time=waited))
                waited = 0
        track[:] = kept
    # The player takes what is due at the same moment track by track: the first one's start is before every note.
    channels = [channel for channel in range(16) if channel != _DRUMS]
    first = [mido.Message("program_change", channel=channel, program=number) for channel in channels]
    midi.tracks[:1] = [mido.MidiTrack([*first, *track]) for track in midi.tracks[:1]]
    midi.save(target)


def _chooses_sound(message: Any) -> bool:  # mido's messages have their fields at run time only
    if message.is_meta or getattr(message, "channel", _DRUMS) == _DRUMS:
        return False
    bank = message.type == "control_change" and message.control in _BANK_SELECT
    return bank or message.type == "program_change"


def _play(command: list[str], midi: Path, timeout: float) -> str:
    """Run fluidsynth; returns the last line it said. Its exit code is 0 even for a file that is not MIDI."""
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=timeout,
            check=False,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{midi.name}: fluidsynth did not finish within {timeout:g} s") from error
    except OSError as error:
        raise DataError(f"{command[0]} cannot be run ({error.strerror}): {_install_command()}") from error
    message = (result.stderr.strip() or f"exit code {result.returncode}").splitlines()[-1]
    if result.returncode:
        raise DataError(f"{midi.name}: fluidsynth failed ({message})")
    return message


def _finish(wave: Path, midi: Path, message: str) -> NDArray[np.float32]:
    """Mono (n,) at the common peak, without the tail. DataError if there is nothing to hear."""
    try:
        stereo, _ = soundfile.read(wave, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"{midi.name}: fluidsynth wrote no readable sound ({message})") from error
    mono = stereo.mean(axis=1)
    level = np.abs(mono)
    peak = level.max(initial=0.0)
    if peak < _SILENCE:
        raise DataError(f"{midi.name}: renders to silence, it holds no notes or is not MIDI ({message})")
    last = int(np.flatnonzero(level > _TAIL_FLOOR * peak)[-1])
    return mono[: last + 1] * np.float32(_PEAK / peak)


def _install_command() -> str:
    if sys.platform == "darwin":
        return "brew install fluid-synth, and put FluidR3_GM.sf2 into ~/Library/Audio/Sounds/Banks"
    if sys.platform == "win32":
        return "choco install fluidsynth, and put FluidR3_GM.sf2 into C:\\soundfonts"
    return "sudo apt install fluidsynth fluid-soundfont-gm"
