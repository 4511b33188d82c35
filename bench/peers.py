"""All frame features beside the libraries that others take for them: `python -m bench.peers [FILE] [--json]`.

Everyone gets the same sound at 24 kHz, mono, in memory, and one thread, and gives its features of every 20 ms:

- Valaro: all that it computes, driven as it is live, in blocks of 100 ms. That is more than the others are asked for:
  keys, chords, intervals, roughness, register, pulse, and the running reference that takes the gain out.
- librosa: power spectra (2048), log-mel (64), MFCC (20) and their slopes, centroid, spread, roll-off and flatness,
  onset strength, zero crossings; contrast, and chroma of spectra of 8192, every 100 ms. Each in one call for all.
- essentia: the same without the slopes, which it has not, by its "standard" algorithms in a loop over the frames, as
  its users write it. It is AGPL: installed for this comparison alone, and shipped with nothing.
- openSMILE: the low-level descriptors of two sets of its own, eGeMAPS (25) and ComParE 2016 (65): other features, of
  speech rather than of harmony, taken for the same ends. Their step of 10 ms is made 20.

Costs are CPU time; medians of rounds in which all take turns, and the medians of the rounds' ratios.
"""

import argparse
import importlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from valaro.models.features.frame import BLOCK, HOP, HOPS, RATE, FeatureExtractor

from .families import LONG, MELS, MFCC, SHORT, by_librosa
from .material import Float32, blocks, costs, minute, song_path

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_PACKAGES = {
    "librosa": "librosa",
    "essentia": "essentia",
    "openSMILE eGeMAPS": "opensmile",
    "openSMILE ComParE": "opensmile",
}


@dataclass(frozen=True)
class Speed:
    """``speed`` and ``ours`` in times real time; ``ratio``: how many times as fast Valaro is, in the same rounds."""

    name: str
    version: str
    speed: float
    ours: float
    ratio: float


def sides(samples: Float32) -> dict[str, Callable[[], object]]:
    """Who is installed, Valaro first: each a function that computes all its features of ``samples`` (n,) at 24 kHz."""
    found: dict[str, Callable[[], object]] = {"Valaro": _ours(samples), "librosa": lambda: by_librosa(samples)}
    for make in (_essentia, _opensmile):
        try:
            found |= make(samples)
        except ImportError:
            continue  # its absence is seen in the table
    return found


def compared(runs: dict[str, Callable[[], object]], rounds: int, seconds: float) -> list[Speed]:
    """Run all in turns; the first is Valaro."""
    taken = costs(runs, rounds)
    ours = next(iter(taken.values()))
    return [
        Speed(
            name,
            _version(_PACKAGES.get(name, "valaro")),
            seconds / float(np.median(each)),
            seconds / float(np.median(ours)),
            float(np.median(each / ours)),
        )
        for name, each in taken.items()
    ]


def _ours(samples: Float32) -> Callable[[], object]:
    extractor, pieces = FeatureExtractor(), blocks(samples)

    def run() -> None:
        state = extractor.init()
        for piece in pieces:
            state, _ = extractor.step(state, piece)

    return run


def _essentia(samples: Float32) -> dict[str, Callable[[], object]]:
    essentia: Any = importlib.import_module("essentia")
    essentia.log.infoActive = essentia.log.warningActive = False
    es: Any = importlib.import_module("essentia.standard")
    window, spectrum = es.Windowing(type="hann", size=SHORT, zeroPhase=False), es.PowerSpectrum(size=SHORT)
    bands = es.MelBands(
        numberBands=MELS, sampleRate=RATE, inputSize=SHORT // 2 + 1, lowFrequencyBound=20, highFrequencyBound=RATE / 2
    )
    dct, flux = es.DCT(inputSize=MELS, outputSize=MFCC), es.Flux(halfRectify=True)
    centroid, moments = es.Centroid(range=RATE / 2), es.CentralMoments(range=RATE / 2)
    flatness, rolloff, crossings = es.Flatness(), es.RollOff(sampleRate=RATE), es.ZeroCrossingRate()
    contrast = es.SpectralContrast(frameSize=SHORT, sampleRate=RATE, lowFrequencyBound=20, highFrequencyBound=11_000)
    long_window, long_spectrum = es.Windowing(type="hann", size=LONG, zeroPhase=False), es.Spectrum(size=LONG)
    peaks = es.SpectralPeaks(sampleRate=RATE, maxPeaks=60, minFrequency=50, maxFrequency=5000)
    chroma = es.HPCP(sampleRate=RATE)

    def run() -> None:
        for i, frame in enumerate(es.FrameGenerator(samples, frameSize=SHORT, hopSize=HOP, startFromZero=True)):
            power = spectrum(window(frame))
            log_mel = np.log(bands(power) + 1e-6)
            magnitude = np.sqrt(power)
            dct(log_mel)
            flux(log_mel)
            for shape in (centroid, moments, rolloff):
                shape(magnitude)
            flatness(power)
            crossings(frame)
            if i % HOPS == 0:
                contrast(magnitude)
        for frame in es.FrameGenerator(samples, frameSize=LONG, hopSize=BLOCK, startFromZero=True):
            chroma(*peaks(long_spectrum(long_window(frame))))

    return {"essentia": run}


def _opensmile(samples: Float32) -> dict[str, Callable[[], object]]:
    opensmile: Any = importlib.import_module("opensmile")
    folder = tempfile.TemporaryDirectory()  # as long as the functions: a set is read afresh in each call
    sets = Path(folder.name) / "config"
    shutil.copytree(Path(opensmile.__file__).parent / "core" / "config", sets)
    for path in sets.rglob("*.inc"):
        text = path.read_text(encoding="utf-8", errors="replace")
        path.write_text(re.sub(r"(frameStep\s*=\s*)0\.010\b", rf"\g<1>{HOP / RATE:.3f}", text), encoding="utf-8")

    def side(path: str) -> Callable[[], object]:
        smile = opensmile.Smile(feature_set=str(sets / path), feature_level="lld", num_workers=1)
        rows = len(smile.process_signal(samples, RATE))
        if not 0.9 < rows * HOP / samples.size < 1.1:
            raise RuntimeError(f"openSMILE's {path} gives {rows} rows: its step is no longer set where it was")
        return lambda: (folder, smile.process_signal(samples, RATE))

    return {
        "openSMILE eGeMAPS": side("egemaps/v02/eGeMAPSv02.conf"),
        "openSMILE ComParE": side("compare/ComParE_2016.conf"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _table(clip: str, seconds: float, speeds: list[Speed]) -> Table:
    table = Table(title=f"frame features of {clip}, {seconds:.0f} s, one thread", title_justify="left")
    table.add_column("")
    for head in ("version", "x real time", "Valaro is"):
        table.add_column(head, justify="right")
    for speed in speeds:
        ratio = "" if speed is speeds[0] else f"{speed.ratio:.1f} x as fast"
        table.add_row(speed.name, speed.version, f"{speed.speed:,.0f}", ratio)
    for name in _PACKAGES.keys() - {speed.name for speed in speeds}:
        table.add_row(name, "not installed", "", escape("pip install 'valaro[bench]'"))
    return table


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, help="what to measure on; a minute of music otherwise")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    if options.file is None:
        song = song_path()
        clip, samples = "the built-in piece" if song is None else song.stem, minute()
    else:
        sound, native = soundfile.read(options.file, dtype="float32", always_2d=True)
        clip = options.file.stem
        samples = np.ascontiguousarray(soxr.resample(sound.mean(axis=1), native, RATE), dtype=np.float32)
    seconds = samples.size / RATE
    speeds = compared(sides(samples), options.rounds, seconds)
    if options.json:
        print(json.dumps({"clip": clip, "seconds": seconds, "speeds": [asdict(speed) for speed in speeds]}))
    else:
        Console().print(_table(clip, seconds, speeds))


if __name__ == "__main__":
    if any(os.environ.get(name) != "1" for name in _THREADS):  # they are read when the libraries are loaded
        os.execve(
            sys.executable,
            [sys.executable, "-m", "bench.peers", *sys.argv[1:]],
            {**os.environ, **dict.fromkeys(_THREADS, "1")},
        )
    main()
