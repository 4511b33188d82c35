"""The parsers of binary files: bundles, checkpoints and sound."""

import hashlib
import io
import json
import struct
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from valaro.models import load_bundle
from valaro.models.bundle import Bundle
from valaro.streamer.app.monitoring.checkpoint import Checkpoint
from valaro.streamer.core.engine import Engine
from valaro.streamer.sources.audio_file import AudioFile

from ..models.synthetic_bundle import synthetic_bundle, synthetic_chain, synthetic_classifier
from .targets import Target, as_file, folder, refused_or

_MOST = 20_000_000  # frames of a file of some kilobytes, beyond which it is no use to read on
_FILES = ("manifest.json", "aeg.npz", "crf.npz", "pools.npz", "activity.npz")
_ODD = [0.0, -1.0, np.nan, np.inf, 1e300, -1e300, 1e-300, 2.0**31, 2.0**63, 121.0, 0.5]
_KINDS = [
    *(
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_16"),
    ),
    *(("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "ALAW"), ("CAF", "ALAC_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")),
    *(("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("VOC", "PCM_U8"), ("SVX", "PCM_S8"), ("NIST", "PCM_16")),
]
_SOUND = (0.1 * np.random.default_rng(0).standard_normal(12_000)).astype(np.float32)


def edited(packed: bytes, edits: bytes) -> bytes:
    """An ``.npz`` with some of its arrays changed, and its checksums right: what mutation alone would never reach.

    Of each four bytes the first says which array, the second how it is changed, and the others where or to what.
    """
    with np.load(io.BytesIO(packed)) as file:
        arrays = dict(file.items())
    names = sorted(arrays)
    for which, how, where, what in struct.iter_unpack("4B", edits[: len(edits) // 4 * 4]):
        name = names[which % len(names)]
        arrays[name] = _changed(arrays[name], how, where, what)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _changed(array: NDArray[Any], how: int, where: int, what: int) -> NDArray[Any]:
    kinds = ("<f4", "<f8", "<i8", "?", "<c16", "<U3", "<M8[s]", "S4")
    match how % 5:
        case 0 if array.size and array.dtype.kind in "fiu":
            array = array.copy()
            with np.errstate(all="ignore"):
                array.flat[where % array.size] = np.array(_ODD[what % len(_ODD)]).astype(array.dtype)
        case 1:
            array = np.zeros([where % 5] * (what % 4), dtype=array.dtype)
        case 2 if array.ndim:
            array = array[: where % (len(array) + 1)]
        case 3:
            with np.errstate(all="ignore"):
                array = np.zeros(array.shape, dtype=kinds[what % len(kinds)])
        case 4:
            array = array[None] if what % 2 else array.T
    return array


@cache
def bundle_folder() -> Path:
    path = folder() / "bundle"
    plain = synthetic_bundle()
    replace(plain, crf=synthetic_chain(plain.acoustic.components), activity_classifier=synthetic_classifier()).save(
        path
    )
    return path


@cache
def whole() -> dict[str, bytes]:
    """The bundle's files as they should be."""
    return {path.name: path.read_bytes() for path in bundle_folder().iterdir()}


def run_bundle(data: bytes) -> None:
    """The first byte says which file is replaced, and whether by the rest of the bytes or by edits of what it was."""
    kind = data[0] if data else 0
    name, content = _FILES[kind % len(_FILES)], data[1:]
    if kind >= 0x80 and name in whole() and name != "manifest.json":
        content = edited(whole()[name], content)
    for each, good in whole().items():
        (bundle_folder() / each).write_bytes(good)
    (bundle_folder() / name).write_bytes(content)
    if name != "manifest.json":
        manifest = json.loads(whole()["manifest.json"])
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
        (bundle_folder() / "manifest.json").write_text(json.dumps(manifest))
    bundle = refused_or(lambda: load_bundle(bundle_folder()))
    if bundle is not None:
        hears(bundle)


def hears(bundle: Bundle) -> None:
    """A bundle that was taken must take sound; numbers without sense may make a heatmap without sense."""
    for decoder in ("fusion", *bundle.decoders):
        with np.errstate(all="ignore"):
            (affect,) = Engine(bundle, 24_000, decoder).push(_SOUND)
        assert affect.heatmap.shape == (11, 11)


def bundle_seeds() -> list[bytes]:
    files = whole()
    edits = [bytes([0x80 + kind, *range(8)]) for kind in range(5)]
    return [b"\x00" + files["manifest.json"], b"\x01" + files["aeg.npz"][:4_096], b"\x02" + small_npz(), *edits]


def small_npz() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, mean=np.zeros(3), scale=np.ones(3))
    return buffer.getvalue()


@cache
def engine_bundle() -> Bundle:
    plain = synthetic_bundle()
    return replace(plain, crf=synthetic_chain(plain.acoustic.components))


def _engine() -> Engine:
    return Engine(engine_bundle(), 24_000, "crf")


@cache
def checkpointed() -> bytes:
    """What an engine leaves after some seconds of sound."""
    path = folder() / "good.npz"
    engine = _engine()
    checkpoint = _checkpoint(path, engine)
    for _ in range(4):
        for affect in engine.push(_SOUND):
            checkpoint.send(affect)
    checkpoint.close()
    return path.read_bytes()


def _checkpoint(path: Path, engine: Engine) -> Checkpoint:
    return Checkpoint(path, engine, "digest", "crf", wall=lambda: 1e9)


def run_checkpoint(data: bytes) -> None:
    """The first byte says whether the rest is a file, or edits of a good one, which are only read."""
    whole_file = data[:1] < b"\x80"
    content = data[1:] if whole_file else edited(checkpointed(), data[1:])
    engine = _engine()
    _checkpoint(as_file(content, "checkpoint.npz"), engine).resume()
    for _ in range(3 if whole_file else 0):
        (affect,) = engine.push(_SOUND)
        assert np.isfinite(affect.heatmap).all()
        assert affect.heatmap.min() >= 0.0
        assert abs(float(affect.heatmap.sum()) - 1.0) < 1e-6
    (folder() / "checkpoint.npz.bad").unlink(missing_ok=True)


def checkpoint_seeds() -> list[bytes]:
    edits = [b"\x80" + bytes([which, 0, 0, odd]) for which in range(0, 40, 3) for odd in range(2, 10, 3)]
    return [b"\x00" + checkpointed(), b"\x80", *edits]


def run_audio(data: bytes) -> None:
    path = as_file(data, "sound")
    sound = refused_or(lambda: AudioFile(path))
    if sound is None:
        return

    def played() -> None:
        frames = 0
        for block in sound.blocks():
            assert block.dtype == np.float32
            assert block.ndim == 2
            assert block.shape[1] == sound.channels
            frames += len(block)
            if frames > _MOST:
                return

    refused_or(played)


def audio_seeds() -> list[bytes]:
    found = []
    tone = 0.5 * np.sin(np.arange(8_000 * 6 // 10) / 5)
    for kind, subtype in _KINDS:
        if kind in soundfile.available_formats() and subtype in soundfile.available_subtypes(kind):
            buffer = io.BytesIO()
            soundfile.write(buffer, tone, 8_000, format=kind, subtype=subtype)
            found.append(buffer.getvalue())
    return found


TARGETS: dict[str, Target] = {
    "bundle": Target(run_bundle, bundle_seeds),
    "checkpoint": Target(run_checkpoint, checkpoint_seeds),
    "audio": Target(run_audio, audio_seeds),
}
