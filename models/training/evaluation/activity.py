"""How well music, speech and noise are told apart, on voices, artists and random numbers that were not learnt from."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...acoustic.activity import CLASSES, ActivityClassifier
from ...errors import DataError
from ...features.frame import EMISSION
from ..cache import RATE, load_audio
from ..corpus.activity_scenes import (
    KINDS,
    MUSIC,
    NOISE,
    SPEECH,
    WITH_NOISE,
    Made,
    Material,
    Scenes,
    kept,
    materials,
    noise_of,
)
from ..corpus.examples import Progress
from ..datasets.folder import read_folder
from ..fit.activity import fit_activity_classifier, gather_scenes, verdicts
from ..recipe import RECIPE, ActivitySettings
from ..synthesis.acoustics import Samples
from ..synthesis.augment import CONDITIONS, under
from ..synthesis.midi_render import render_all
from ..synthesis.noises import NOISES, decibels, level

AS_IT_IS = "as it is"
PLACES = (AS_IT_IS, *CONDITIONS)
NOISY = (AS_IT_IS, "room", "phone band")  # where noises are tried: louder, or in other noise, they are as noisy
RATIOS = (-10, -5, 0, 5, 10, 20)  # dB of talk or noise over music
SECONDS_HEARD = (1, 2, 3, 5)
EVERY = 8  # of the clips of music is tried
PIANO = 30  # clips of EMOPIA
SETTLED = 6  # emissions after which an answer must be right
_LENGTH = 20 * RATE
_BEFORE = 24  # emissions before a change, and as many after it

Makes: TypeAlias = Iterator[Made]
Counts: TypeAlias = NDArray[np.int64]  # (3, 3): truth by verdict
Report: TypeAlias = dict[str, Any]


def evaluate_activity(
    data: Path, *, seed: int = 0, settings: ActivitySettings = RECIPE.activity, progress: Progress = print
) -> Report:
    """``valaro evaluate --activity``: five folds, each judged by a classifier that was fitted to the other four.

    Returns shares, 0..1, by table:
        ``music``: {set: {place: not taken for music}}; ``others``: {sound: {place: {"right", "not music"}}};
        ``never_heard``: {kind of noise: not taken for music by a classifier that never heard the kind};
        ``confusion``: (3, 3) truth by verdict, settled, as it is; ``onset``: {class: {s: right then}};
        ``mixtures``: {over the music: {dB: shares of music, speech, noise}};
        ``changes``: {change: {"median", "p90" in s, "missed"}}.

    Raises
    ------
    DataError
        There is no music of five folds, eSpeak NG or PyTorch is not installed.
    """
    folds = materials(data, settings, progress)
    heard = gather_scenes(folds, KINDS, settings, progress)
    tally, changes = _Tally(), dict[str, list[float]]()
    for material in folds:
        parts = [part for fold, parts_of_fold in heard.items() if fold != material.fold for part in parts_of_fold]
        classifier = fit_activity_classifier(parts, settings, seed)
        progress(f"fold {material.fold}: listening")
        for name, place, scenes in _probes(material, data):
            tally.add(name, place, scenes, classifier)
        for name, scenes in _changes(material):
            changes.setdefault(name, []).extend(_waits(classifier, scenes))
    return tally.report() | {
        "changes": {name: _spread(waits) for name, waits in changes.items()},
        "never_heard": _never_heard(heard, folds[0], settings, seed, progress),
    }


class _Tally:
    """Verdicts by sound and place."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Counts] = {}
        self.onset = {name: np.zeros((len(SECONDS_HEARD), 2)) for name in CLASSES}

    def add(self, name: str, place: str, scenes: Scenes, classifier: ActivityClassifier) -> None:
        counts = self.counts.setdefault((name, place), np.zeros((3, 3), dtype=np.int64))
        for stream in scenes.streams():
            verdict, label = verdicts(classifier, stream), int(stream.label[0])
            # Music must be right from its first moment.
            asked = stream.sounding & (np.arange(verdict.size) >= (0 if label == MUSIC else SETTLED))
            np.add.at(counts, (stream.label[asked], verdict[asked]), 1)
            if place == AS_IT_IS and not name.startswith("over"):
                for row, seconds in enumerate(SECONDS_HEARD):
                    if 2 * seconds <= verdict.size:
                        self.onset[CLASSES[label]][row] += verdict[2 * seconds - 1] == label, 1

    def report(self) -> Report:
        music, others, mixtures = dict[str, Any](), dict[str, Any](), dict[str, Any]()
        confusion = np.zeros((3, 3), dtype=np.int64)
        for (name, place), counts in self.counts.items():
            label = int(counts.sum(axis=1).argmax())
            shares = [_share(count, counts[label].sum()) for count in counts[label]]
            if name.startswith("over "):
                mixtures.setdefault(name[5:], {})[place] = shares
                continue
            if label == MUSIC:
                music.setdefault(name, {})[place] = round(1 - shares[MUSIC], 4)
            else:
                others.setdefault(name, {})[place] = {"right": shares[label], "not music": round(1 - shares[MUSIC], 4)}
            if place == AS_IT_IS:
                confusion += counts
        onset = {
            name: {
                str(s): round(float(right / max(total, 1)), 4)
                for s, (right, total) in zip(SECONDS_HEARD, rows, strict=True)
            }
            for name, rows in self.onset.items()
        }
        return {
            "music": music,
            "others": others,
            "confusion": [[_share(count, row.sum()) for count in row] for row in confusion],
            "emissions": confusion.sum(axis=1).tolist(),
            "onset": onset,
            "mixtures": mixtures,
        }


def _probes(material: Material, data: Path) -> Iterator[tuple[str, str, Scenes]]:
    """Name, place and scenes of all that one fold is asked."""
    for place in PLACES:
        for name, paths in _music(material, data).items():
            if paths:
                make = partial(_files, paths, place, MUSIC)
                yield name, place, kept(f"{name} {place} {len(paths)}", material, make)
        if material.readers:
            yield "readers", place, kept(f"readers {place}", material, partial(_read, material, place))
        yield "eSpeak NG", place, kept(f"voices {place}", material, partial(_talk, material, place))
        for name in NOISES if place in NOISY else ():
            yield name, place, _kept_noise(material, name, place)
    for name in ("talk", "chatter", "applause"):
        for ratio in RATIOS:
            make = partial(_over, material, name, ratio)
            yield f"over {name}", str(ratio), kept(f"{name} {ratio} dB over music", material, make)


def _music(material: Material, data: Path) -> dict[str, Sequence[Path]]:
    paths: dict[str, Sequence[Path]] = {}
    for path in material.music[::EVERY]:
        paths[path.parent.parent.name] = [*paths.get(path.parent.parent.name, ()), path]
    if material.fold == 0:  # learnt from in no fold
        folder = read_folder(data)
        paths["open_music"] = [recording.path for recording in folder.open_music if recording.kind == "music"]
        scores = folder.emopia[:: max(1, len(folder.emopia) // PIANO)]
        with suppress(DataError):  # no FluidSynth
            paths["emopia"] = list(render_all([(clip.id, clip.path) for clip in scores]).paths.values())
    return paths


def _placed(sound: Samples, place: str, seed: Sequence[int]) -> Samples:
    return sound if place == AS_IT_IS else under(place, sound, np.random.default_rng(seed))


def _files(paths: Sequence[Path], place: str, label: int) -> Makes:
    for number, path in enumerate(paths):
        sound = _placed(load_audio(path), place, [number])
        yield sound, np.full(sound.size // EMISSION, label)


def _read(material: Material, place: str) -> Makes:
    """Each reader as recorded, twice over."""
    for number, path in enumerate(material.readers):
        sound = decibels(-20) * level(np.tile(load_audio(path), 2))
        yield _placed(sound, place, [number]), np.full(sound.size // EMISSION, SPEECH)


def _talk(material: Material, place: str) -> Makes:
    yield from _made(replace(material, readers=()).talk, material.fold, place, SPEECH, 5)


def _kept_noise(material: Material, name: str, place: str) -> Scenes:
    return kept(f"{name} {place}", material, partial(_noise, material, name, place))


def _noise(material: Material, name: str, place: str) -> Makes:
    yield from _made(partial(material.noise, name), material.fold, place, NOISE, 3)


def _made(make: Callable[[int, np.random.Generator], Samples], fold: int, place: str, label: int, count: int) -> Makes:
    for number in range(count):
        sound = decibels(-20) * make(_LENGTH, np.random.default_rng([fold, label, number, 1]))
        yield _placed(sound, place, [fold, number]), np.full(_LENGTH // EMISSION, label)


def _over(material: Material, name: str, ratio: int) -> Makes:
    for number in range(5):
        rng = np.random.default_rng([material.fold, number, zlib.crc32(name.encode())])  # at each ratio the same
        music = material.piece(_LENGTH, rng)
        other = material.talk(_LENGTH, rng) if name == "talk" else material.noise(name, _LENGTH, rng)
        sound = decibels(-20) * (music + decibels(ratio) * other)
        yield sound.astype(np.float32), np.full(_LENGTH // EMISSION, MUSIC)


def _changes(material: Material) -> Iterator[tuple[str, Scenes]]:
    for before, after in (("music", "talk"), ("music", "applause"), ("talk", "music"), ("applause", "music")):
        name = f"{before} to {after}"
        yield name, kept(f"{name} {_BEFORE}", material, partial(_changing, material, before, after))


def _changing(material: Material, before: str, after: str) -> Makes:
    labels = {"music": MUSIC, "talk": SPEECH, "applause": NOISE}
    for number in range(10):
        rng = np.random.default_rng([material.fold, number, zlib.crc32(f"{before} {after}".encode())])
        make = {"music": material.piece, "talk": material.talk, "applause": NOISES["applause"]}
        sounds = [decibels(rng.uniform(-26, -14)) * make[name](_BEFORE * EMISSION, rng) for name in (before, after)]
        yield np.concatenate(sounds).astype(np.float32), np.repeat([labels[before], labels[after]], _BEFORE)


def _waits(classifier: ActivityClassifier, scenes: Scenes) -> list[float]:
    """Seconds from each change until music is told from what is none; infinite where it never was."""
    waits = []
    for stream in scenes.streams():
        right = (verdicts(classifier, stream)[_BEFORE:] == MUSIC) == (stream.label[-1] == MUSIC)
        waits.append((int(right.argmax()) + 1) * EMISSION / RATE if right.any() else float("inf"))
    return waits


def _spread(waits: Sequence[float]) -> Mapping[str, float | None]:
    median, p90 = np.percentile(waits, [50, 90], method="lower")
    missed = float(np.mean(np.isinf(waits)))
    return {"median": float(median), "p90": float(p90) if np.isfinite(p90) else None, "missed": round(missed, 4)}


def _never_heard(
    heard: Mapping[int, Sequence[tuple[str, Scenes]]],
    material: Material,
    settings: ActivitySettings,
    seed: int,
    progress: Progress,
) -> dict[str, float]:
    """Each kind of noise, judged by one that was fitted to the other folds' scenes without any of that kind."""
    others = [part for fold, parts in heard.items() for part in parts if fold != material.fold]
    shares = {}
    for number, name in enumerate(NOISES):
        classifier = fit_activity_classifier(
            [(kind, _without(number, kind, part)) for kind, part in others], settings, seed
        )
        tally = _Tally()
        tally.add(name, AS_IT_IS, _kept_noise(material, name, AS_IT_IS), classifier)
        counts = tally.counts[name, AS_IT_IS][NOISE]
        shares[name] = _share(counts[SPEECH] + counts[NOISE], counts.sum())
        progress(f"{name}, never heard before: {shares[name]:.3f} not taken for music")
    return shares


def _without(noise: int, kind: str, scenes: Scenes) -> Scenes:
    return scenes.where(noise_of(scenes.scene) != noise) if kind in WITH_NOISE else scenes


def _share(part: float, whole: float) -> float:
    return round(float(part / max(whole, 1)), 4)
