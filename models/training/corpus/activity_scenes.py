"""What a microphone may hear that is music, speech or noise, or one over the other, with the right answer.

Everything belongs to one of five folds: a fold's music is of artists, its speech of voices, its noise of seeds that no
other fold has. A scene is made from its kind, fold and number alone.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...acoustic.activity import CLASSES
from ...errors import DataError
from ...features import texture
from ...features.frame import BLOCKS, EMISSION
from ..cache import RATE, cached, file_stamp, load_audio
from ..datasets.folder import read_folder
from ..recipe import ActivitySettings
from ..source_digest import source_digest
from ..synthesis import augment, speech
from ..synthesis.acoustics import Samples
from ..synthesis.augment import microphone, phone, random_augmentation
from ..synthesis.noises import NOISES, chatter, decibels, level
from .examples import Progress
from .measure import layout, measure
from .splits import joined_in_pairs

FOLDS = 5
MUSIC, SPEECH, NOISE = range(len(CLASSES))
OPEN = -1  # as well the one as the other, or just after a change: nothing to learn from, nothing to judge by
SETTLING = 3  # emissions after a change of scene in which either is right

# "music" is a clip as it is, "altered" the same in other rooms and through other devices.
KINDS = ("music", "altered", "speech", "noise", "talk over", "noise over", "talk in noise", "show")
WITH_NOISE = ("noise", "noise over", "talk in noise", "show")

# Decibels over the music up to which talk or noise still leaves it music, and from which on it takes over.
_TALK_OVER, _NOISE_OVER = (4.0, 12.0), (3.0, 12.0)
_NOISE_OVER_TALK = (-3.0, 6.0)
Made: TypeAlias = tuple[Samples, NDArray[np.int64]]  # sound, and the label of each of its emissions

_SOFTEST = -35.0  # dB, in a show: what is softer than what was before may be a room in a pause, or the next piece
_READER = 0.35  # of the talk is by a reader, where the fold has one


@dataclass(frozen=True)
class Material:
    """What one fold's scenes are made of.

    Parameters
    ----------
    music, readers
        Paths.
    voices
        Numbers of ``speech.VOICES``.
    voice_seconds
        Of each voice.
    """

    fold: int
    music: tuple[Path, ...]
    readers: tuple[Path, ...]
    voices: tuple[int, ...]
    voice_seconds: int

    def piece(self, n: int, rng: np.random.Generator) -> Samples:
        """Music (n,), RMS 1."""
        sound = level(load_audio(self.music[int(rng.integers(len(self.music)))]))
        start = int(rng.integers(max(1, sound.size - n + 1)))
        return level(np.resize(sound[start : start + n], n))

    def talk(self, n: int, rng: np.random.Generator) -> Samples:
        """One to three people (n,) who take turns, with pauses, RMS 1 while they talk."""
        people = [self._talker(rng) for _ in range(int(rng.choice([1, 1, 1, 2, 3])))]
        parts, size = [], 0
        while size < n:
            who = people[int(rng.integers(len(people)))]
            turn = int(rng.uniform(2, 9) * RATE)
            start = int(rng.integers(max(1, who.size - turn)))
            pause = int(rng.uniform(0.1, 1.2) * RATE) if rng.random() < 0.4 else 0
            parts += [level(who[start : start + turn]), np.zeros(pause, dtype=np.float32)]
            size += parts[-2].size + pause
        return np.concatenate(parts)[:n]

    def noise(self, name: str, n: int, rng: np.random.Generator) -> Samples:
        """One of ``NOISES`` (n,), RMS 1; the fold's people are those who chatter."""
        if name == chatter.__name__ and rng.random() < 0.6:
            return chatter(n, rng, [self._talker(rng) for _ in range(6)])
        return NOISES[name](n, rng)

    def _talker(self, rng: np.random.Generator) -> Samples:
        if self.readers and rng.random() < _READER:
            return speech.varied(load_audio(self.readers[int(rng.integers(len(self.readers)))]), rng)
        return speech.varied(speech.voice(int(rng.choice(self.voices)), self.voice_seconds), rng)


class Scenes(NamedTuple):
    """Emissions of scenes one after another, as the live chain has them."""

    textures: NDArray[np.float32]  # (E, texture.SIZE)
    weight: NDArray[np.float64]  # (E,), 0..1: how much each counts
    sounding: NDArray[np.bool_]  # (E,)
    label: NDArray[np.int64]  # (E,): MUSIC, SPEECH, NOISE or OPEN
    scene: NDArray[np.int64]  # (E,): its number

    def where(self, chosen: NDArray[np.bool_]) -> "Scenes":
        """The emissions chosen."""
        textures, weight, sounding, label, scene = self
        return Scenes(textures[chosen], weight[chosen], sounding[chosen], label[chosen], scene[chosen])

    def streams(self) -> Iterator["Scenes"]:
        """Each scene by itself."""
        for number in np.unique(self.scene):
            yield self.where(self.scene == number)


def materials(data: Path, settings: ActivitySettings, progress: Progress = print) -> list[Material]:
    """What is under ``data``, in folds.

    Raises
    ------
    DataError
        If there is no music of five folds, or no eSpeak NG.
    """
    speech.require_program()
    folder = read_folder(data)
    music: list[list[Path]] = [[] for _ in range(FOLDS)]
    for clip, fold in zip(folder.four_q, joined_in_pairs([clip.fold for clip in folder.four_q]), strict=True):
        music[int(fold)].append(clip.path)
    for clip in folder.emotify:
        music[zlib.crc32(clip.id.encode()) % FOLDS].append(clip.path)
    readers = [recording.path for recording in folder.open_music if recording.kind == "speech"]
    if not all(music):
        raise DataError("no activity classifier can be taught: 4q and emotify give no music for each of five folds")
    voices = len(speech.VOICES[: settings.voices])
    progress(f"{sum(map(len, music))} clips of music, {len(readers)} readers, {voices} voices")
    return [
        Material(
            fold,
            tuple(music[fold]),
            tuple(readers[fold::FOLDS]),
            tuple(range(fold, voices, FOLDS)),
            settings.voice_seconds,
        )
        for fold in range(FOLDS)
    ]


def scenes(kind: str, material: Material, settings: ActivitySettings) -> Scenes:
    """All scenes of a kind in a fold, measured; from the cache where that was done before."""
    count = settings.scenes.get(kind, len(material.music))
    return kept(f"{kind} {count}", material, partial(_made, kind, material, count))


def _made(kind: str, material: Material, count: int) -> Iterator[Made]:
    return (scene(kind, material, number) for number in range(count))


def kept(name: str, material: Material, make: "partial[Iterator[Made]]") -> Scenes:
    """What the live chain measures of scenes that ``make`` makes of the material.

    ``make`` is a partial of a function at the top level of a module, whose code is in the cache's key; what it is given
    is not: that must be told by ``name``.
    """
    files = [file_stamp(path) for path in (*material.music, *material.readers)]
    key = (
        layout(),
        source_digest(make.func, Material),
        name,
        material.fold,
        material.voices,
        material.voice_seconds,
        files,
    )
    rows = cached(key, lambda: np.concatenate([_rows(*made, k) for k, made in enumerate(make())]), "scenes")
    textures, (weight, active, label, number) = rows[:, : texture.SIZE], rows[:, texture.SIZE :].T
    return Scenes(textures, weight.astype(np.float64), active > 0, label.astype(np.int64), number.astype(np.int64))


def _rows(samples: Samples, labels: NDArray[np.int64], scene: int) -> NDArray[np.float32]:
    rows = measure(samples)
    emissions = len(rows) // BLOCKS
    ends = rows[BLOCKS - 1 :: BLOCKS][:emissions]
    active = rows[: emissions * BLOCKS, texture.SIZE + 1].reshape(-1, BLOCKS).any(axis=1)
    columns = np.stack([active, labels[:emissions], np.full(emissions, scene)], axis=1)
    return np.concatenate([ends[:, : texture.SIZE + 1], columns], axis=1, dtype=np.float32)


def noise_of(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of ``NOISES``, by its place among them, is heard in the scenes of these numbers, if any noise is."""
    return number % len(NOISES)


def scene(kind: str, material: Material, number: int) -> Made:
    """Sound, and the label of each of its emissions."""
    noise = list(NOISES)[number % len(NOISES)]
    rng = np.random.default_rng([number, material.fold, zlib.crc32(kind.encode())])
    if kind in ("music", "altered"):
        sound = load_audio(material.music[number])
        labels = np.full(sound.size // EMISSION, MUSIC)
        return (sound, labels) if kind == "music" else (_altered(sound, rng), labels)
    if kind == "show":
        sound, labels = _show(material, noise, rng)
        return augment.gain(sound, rng.uniform(-30, -10)), labels
    n = (30 if kind in ("speech", "noise") else 20) * RATE
    sound, label = _alone_or_over(kind, material, noise, n, rng)
    return _altered(decibels(-20) * sound, rng), np.full(n // EMISSION, label)


def _alone_or_over(kind: str, material: Material, noise: str, n: int, rng: np.random.Generator) -> tuple[Samples, int]:
    if kind == "speech":
        return material.talk(n, rng), SPEECH
    if kind == "noise":
        return material.noise(noise, n, rng), NOISE
    over = rng.uniform(-20, 20)
    below, above, (under_limit, over_limit) = {
        "talk over": (MUSIC, SPEECH, _TALK_OVER),
        "noise over": (MUSIC, NOISE, _NOISE_OVER),
        "talk in noise": (SPEECH, NOISE, _NOISE_OVER_TALK),
    }[kind]
    first = material.piece(n, rng) if below == MUSIC else material.talk(n, rng)
    second = material.talk(n, rng) if above == SPEECH else material.noise(noise, n, rng)
    label = below if over <= under_limit else above if over >= over_limit else OPEN
    return np.add(first, decibels(over) * second, dtype=np.float32), label


def _show(material: Material, noise: str, rng: np.random.Generator, parts: int = 6) -> Made:
    """Music, announcements and noise one after another: loud, soft, in a pause."""
    sounds, labels, before = [], [], OPEN
    for _ in range(parts):
        # Music is half of a show.
        label = int(rng.choice([one for one in (MUSIC, MUSIC, SPEECH, NOISE) if one != before]))
        n = int(rng.integers(8, 24)) * EMISSION
        sound = (material.piece, material.talk, partial(material.noise, noise))[label](n, rng)
        # Each is altered by itself: noise over the whole show would bury its soft parts.
        sounds.append(decibels(rng.uniform(_SOFTEST, 8)) * level(_altered(sound, rng)))
        part_labels = np.full(n // EMISSION, label)
        part_labels[:SETTLING] = OPEN
        labels.append(part_labels)
        before = label
    return np.concatenate(sounds), np.concatenate(labels)


def _altered(sound: Samples, rng: np.random.Generator) -> Samples:
    """A third stays as it is but for its level; phones and cheap microphones are more frequent than for the moods."""
    way = rng.random()
    if way < 0.35:
        return augment.gain(sound, rng.uniform(-20, 6))
    if way < 0.7:
        return random_augmentation(rng, sound)
    return phone(sound) if way < 0.85 else microphone(sound, rng)
