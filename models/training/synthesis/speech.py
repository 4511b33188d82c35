"""People who talk: readers of ``open_music``, and voices that eSpeak NG makes, of many languages.

eSpeak NG (the program ``espeak-ng``) reads made-up words, so that no text and no recording is needed. A voice is a
language in one of its timbres.
"""

import io
import shutil
import subprocess

import numpy as np
import soundfile
import soxr

from ...errors import DataError
from ..cache import RATE, cached
from .acoustics import Samples
from .noises import level

PROGRAM = "espeak-ng"

_LANGUAGES = "en-us en-gb de fr-fr es it pt-br nl sv pl cs hu ro el ru tr fi hi ar id sw cmn ja ko vi fa he bn ta da"
_TIMBRES = (
    "Adam Alex Alicia Andrea Andy Annie Antonio aunty belinda benjamin boris caleb david Denis Diogo ed Gene Henrique "
    "Hugo iven Jacky John linda marcelo Marco Mario max Michael Mike Nguyen Pablo paul pedro quincy rob robert sandro "
    "shelby steph Storm travis victor zac m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt3 klatt4"
)
_SPOKEN = _LANGUAGES.split()
VOICES = tuple(
    f"{_SPOKEN[(7 * k + turn) % len(_SPOKEN)]}+{timbre}"
    for turn in (0, 11)
    for k, timbre in enumerate(_TIMBRES.split())
)
_CONSONANTS, _VOWELS = tuple("bcdfghjklmnprstvwz"), ("a", "e", "i", "o", "u", "ai", "ou", "er", "an", "in")


def require_program() -> None:
    """DataError if eSpeak NG is not installed."""
    if shutil.which(PROGRAM) is None:
        raise DataError(f"the voices that teach what speech is need eSpeak NG: install {PROGRAM}")


def voice(number: int, seconds: int) -> Samples:
    """``seconds`` of voice ``VOICES[number]``, RMS 1; from the cache where it was made before."""
    return level(cached((PROGRAM, VOICES[number], number, seconds), lambda: _spoken(number, seconds), "voices"))


def varied(samples: Samples, rng: np.random.Generator) -> Samples:
    """As of another body: played up to 15 % slower or 20 % faster, which moves pitch and formants together."""
    return soxr.resample(samples, RATE * rng.uniform(0.85, 1.2), RATE)


def _spoken(number: int, seconds: int) -> Samples:
    rng = np.random.default_rng(number)
    parts: list[Samples] = []
    while sum(part.size for part in parts) < seconds * RATE:
        pace, pitch = int(rng.integers(120, 210)), int(rng.integers(20, 80))
        asked = [PROGRAM, "-v", VOICES[number], "-s", str(pace), "-p", str(pitch), "--stdout", _words(rng)]
        try:
            spoken = subprocess.run(asked, capture_output=True, check=True, timeout=60)
            sound, rate = soundfile.read(io.BytesIO(spoken.stdout), dtype="float32")
        except (OSError, subprocess.SubprocessError, soundfile.SoundFileError) as error:
            raise DataError(f"{PROGRAM} cannot speak as {VOICES[number]} ({error}): install it anew") from error
        parts.append(soxr.resample(sound, rate, RATE))
    return np.concatenate(parts)[: seconds * RATE]


def _words(rng: np.random.Generator) -> str:
    """Made-up ones, each read as its language would, with numbers and the stops that give a sentence its melody."""
    words = []
    for _ in range(25):
        count = int(rng.integers(1, 4))
        word = "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(count))
        word = str(rng.integers(10, 3000)) if rng.random() < 0.12 else word
        words.append(word + (str(rng.choice([",", ".", "?", ";"])) if rng.random() < 0.18 else ""))
    return " ".join(words) + "."
