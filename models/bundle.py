"""A model on disk: a directory of plain arrays and one manifest that vouches for every byte of them.

``manifest.json`` names the schema, the feature layout and the sha256 of each file; arrays are ``.npz`` read
without pickle, the network is ONNX. Whatever is missing, altered or of another version is refused with one line.
"""

import hashlib
import io
import json
import logging
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import regular_file
from .acoustic.activity import ActivityClassifier
from .acoustic.gmm import GMM
from .acoustic.topics import Topics
from .decoders.aeg import AEG, AffectiveGMM
from .decoders.base import SHAPES, Decoder, Evidence
from .decoders.crf import CRF, ChainDecoder
from .decoders.fusion import Pool, alone
from .decoders.lstm import LSTM
from .decoders.registry import GuardedDecoder, Weights, make
from .errors import BundleError, PluginError
from .features import texture
from .features.frame import BLOCK, LAYOUT, RATE
from .grid import CELLS

log = logging.getLogger(__name__)

SCHEMA = 2
FUSION = "fusion"  # the pool of all, by name
_OWN = ("aeg", "crf", "lstm")  # decoders that a bundle has fields for
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_MANIFEST = "manifest.json"
_AEG, _CRF, _LSTM, _POOL, _ACTIVITY = "aeg.npz", "crf.npz", "lstm.onnx", "pools.npz", "activity.npz"
_RETRAIN = "reinstall Valaro, or train one with `valaro train`"
_LONGEST_PRIOR = 1e9  # s
_MOST_MANIFEST = 10_000_000  # bytes
# How an ONNX tensor names the file that holds its values: the field 1, a key, of that text, in protobuf.
_EXTERNAL = b"\x0a\x08location"
_MOST = 500_000_000  # bytes of arrays in one file, far more than any has: what is small on disk may unpack to any size


@dataclass(frozen=True)
class Projection:
    """Acoustic vector -> the mixture's input: ``(x - mean) @ matrix``; mean (V,), matrix (V, D), both float32."""

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project vectors (n, V) -> (n, D)."""
        return np.matmul(x - self.mean, self.matrix, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model: the acoustic mixture, the decoders, and the pool that joins them.

    ``half_life`` (of the topic posterior) is in seconds; ``prior_seconds`` is how many seconds of music outweigh the
    prior over topics. ``crf`` and ``lstm`` may be absent. ``pools``: the calibrated heatmap by name, of one decoder
    (its own name) or of several (``fusion``). ``activity_classifier`` tells music from speech and noise; without one
    all sound is music. ``others``: what it holds of decoders of other packages, by name; those that are not installed,
    or not to be had, are ``missing``, and their weight in a pool goes to the rest in proportion.
    ``card`` holds what the manifest says beside that: what it was trained on, its figures, its licence.

    Raises
    ------
    ValueError
        For a pool of decoders that are not there, or of another mixture.
    """

    projection: Projection
    acoustic: GMM
    affective: AffectiveGMM
    half_life: float
    prior_seconds: float
    crf: CRF | None = None
    lstm: LSTM | None = None
    pools: dict[str, Pool] = field(default_factory=dict)
    activity_classifier: ActivityClassifier | None = None
    others: dict[str, Weights] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.others:
            if name in (FUSION, *_OWN) or not _PLAIN_NAME.fullmatch(name):
                raise ValueError(f"a decoder of another package named {name}")
        for name, pool in self.pools.items():
            if absent := set(pool.names) - {*self._own_decoders, *self.others}:
                raise ValueError(f"pool {name} names decoders that are not there: {', '.join(sorted(absent))}")
            if pool.kinds.size != self.acoustic.components:
                raise ValueError(f"pool {name} is of a mixture of {pool.kinds.size} components")

    @cached_property
    def topics(self) -> Topics:
        """The topic posterior's recursion at one frame a block."""
        period = BLOCK / RATE
        return Topics(self.acoustic.weights, self.half_life, period, self.prior_seconds / period)

    @cached_property
    def _own_decoders(self) -> dict[str, Decoder[Any]]:
        decoders: dict[str, Decoder[Any]] = {"aeg": AEG(self.affective)}
        if self.crf is not None:
            decoders["crf"] = ChainDecoder(self.crf)
        if self.lstm is not None:
            decoders["lstm"] = self.lstm
        return decoders

    @cached_property
    def _made(self) -> tuple[dict[str, Decoder[Any]], dict[str, str]]:
        """The other packages' decoders, and why the rest of them are not there."""
        made: dict[str, Decoder[Any]] = {}
        missing: dict[str, str] = {}
        for name, weights in self.others.items():
            try:
                made[name] = make(weights)
            except PluginError as fault:
                missing[name] = str(fault)
            except (KeyError, ValueError, TypeError, IndexError) as fault:  # one of Valaro's own kinds
                missing[name] = f"what the bundle holds of it does not fit together ({_plain(fault)})"
        return made, missing

    @property
    def decoders(self) -> dict[str, Decoder[Any]]:
        """The decoders by name: ``aeg``, ``crf`` and ``lstm`` where there are such, and those of other packages."""
        return self._own_decoders | self._made[0]

    @property
    def missing(self) -> dict[str, str]:
        """Decoders that the bundle holds and that cannot be had here, each with the reason in one line."""
        return self._made[1]

    @property
    def decoder_faults(self) -> int:
        """How often other packages' decoders gave no heatmap so far."""
        return sum(decoder.faults for decoder in self._made[0].values() if isinstance(decoder, GuardedDecoder))

    def pool(self, decoder: str = FUSION) -> Pool:
        """How the heatmap of one decoder, or the fusion of all, is made.

        Where nothing was calibrated a decoder's heatmap is taken as it is, and the fusion is the AEG decoder's.

        Raises
        ------
        BundleError
            For a decoder that is not there.
        """
        if decoder in self.missing:
            raise BundleError(f"the decoder {decoder} of this bundle: {self.missing[decoder]} (see `valaro plugins`)")
        if decoder in self.pools and (pool := self.pools[decoder].without(self.missing)) is not None:
            return pool
        name = "aeg" if decoder == FUSION else decoder
        if name not in self.decoders:
            near = get_close_matches(decoder, [FUSION, *self.decoders], 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise BundleError(
                f"no decoder {decoder!r} in this bundle: {hint}choose one of {', '.join([FUSION, *self.decoders])}"
            )
        return alone(name, self.acoustic.components)

    def save(self, path: Path) -> None:
        """Write the bundle into directory ``path`` (made if absent); an older bundle there is replaced."""
        files = {
            _AEG: _packed(
                projection_mean=self.projection.mean,
                projection_matrix=self.projection.matrix,
                acoustic_weights=self.acoustic.weights,
                acoustic_means=self.acoustic.means,
                acoustic_covariances=self.acoustic.covariances,
                affective_means=self.affective.means,
                affective_covariances=self.affective.covariances,
            )
        }
        if self.crf is not None:
            files[_CRF] = _packed(**{part.name: getattr(self.crf, part.name) for part in fields(self.crf)})
        if self.lstm is not None:
            files[_LSTM] = self.lstm.model
        if self.pools:
            parts = {
                f"{name}.{part.name}": getattr(pool, part.name)
                for name, pool in sorted(self.pools.items())
                for part in fields(pool)
            }
            files[_POOL] = _packed(**{key: np.asarray(value) for key, value in parts.items()})
        if self.activity_classifier is not None:
            files[_ACTIVITY] = _packed(
                **{part.name: getattr(self.activity_classifier, part.name) for part in fields(self.activity_classifier)}
            )
        table = {
            "aeg": {"kind": "aeg", "files": [_AEG]},
            **({"crf": {"kind": "crf", "files": [_CRF]}} if self.crf is not None else {}),
            **({"lstm": {"kind": "lstm", "files": [_LSTM]}} if self.lstm is not None else {}),
        }
        for name, weights in sorted(self.others.items()):
            own = dict(weights.files) | ({f"{name}.npz": _packed(**weights.arrays)} if weights.arrays else {})
            if taken := own.keys() & files.keys():
                raise BundleError(f"the decoder {name} has a file of another's name, {min(taken)}")
            files |= own
            table[name] = {"kind": weights.kind, "files": list(own), "settings": dict(weights.settings)}
        manifest = {
            "schema": SCHEMA,
            "layout": LAYOUT,
            "half_life": self.half_life,
            "prior_seconds": self.prior_seconds,
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
            "decoders": table,
            "card": self.card,
        }
        path.mkdir(parents=True, exist_ok=True)
        for name in dict.fromkeys((_AEG, _CRF, _LSTM, _POOL, _ACTIVITY, *files)):
            if name in files:
                (path / name).write_bytes(files[name])
            else:
                (path / name).unlink(missing_ok=True)
        (path / _MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _packed(**arrays: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def default_path() -> Path:
    """Where the bundle lies that ships with Valaro."""
    return Path(__file__).parent / "weights"


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Read and verify a bundle; None reads the default one.

    Raises
    ------
    BundleError
        It is missing, altered, incomplete, or of another version.
    """
    root = default_path() if path is None else Path(path)
    manifest = _manifest(root)
    try:
        arrays = _unpacked(root, manifest, _AEG)
        weights = {name: _weights(root, manifest, name, entry) for name, entry in _decoder_table(manifest).items()}
        own: dict[str, Any] = {name: make(weights.pop(name)) for name in _OWN if name in weights}
        acoustic_covariances = arrays["acoustic_covariances"]
        bundle = Bundle(
            projection=Projection(arrays["projection_mean"], arrays["projection_matrix"]),
            acoustic=GMM(
                arrays["acoustic_weights"],
                arrays["acoustic_means"],
                acoustic_covariances,
                kind="full" if acoustic_covariances.ndim == 3 else "diag",
            ),
            affective=own["aeg"].affective,
            half_life=float(manifest["half_life"]),
            prior_seconds=float(manifest["prior_seconds"]),
            crf=own["crf"].crf if "crf" in own else None,
            lstm=own.get("lstm"),
            pools=_pools(root, manifest) if _POOL in manifest["files"] else {},
            activity_classifier=_activity_classifier(root, manifest) if _ACTIVITY in manifest["files"] else None,
            others=weights,
            card=dict(manifest.get("card", {})),
        )
        _check_shapes(bundle)
        _check_heatmaps(bundle)
        bundle.topics  # noqa: B018 - raises for a half-life that cannot be
        bundle.acoustic.precision_cholesky  # noqa: B018 - raises for a covariance that is not positive definite
    except KeyError as error:
        raise BundleError(f"{root}: the bundle lacks {_plain(error.args[0])}: {_RETRAIN}") from error
    except (TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        raise BundleError(f"{root}: the bundle does not fit together ({_plain(error)}): {_RETRAIN}") from error
    for name, reason in bundle.missing.items():
        log.warning("%s: the decoder %s is left out, and its weight goes to the others: %s", root, name, reason)
    return bundle


def _decoder_table(manifest: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The manifest's table of decoders; what bundles without one hold is told by their files."""
    if "decoders" in manifest:
        return {str(name): dict(entry) for name, entry in dict(manifest["decoders"]).items()}
    known = {"aeg": _AEG, "crf": _CRF, "lstm": _LSTM}
    return {name: {"kind": name, "files": [file]} for name, file in known.items() if file in manifest["files"]}


def _weights(root: Path, manifest: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> Weights:
    if name in _OWN and entry["kind"] != name:
        raise ValueError(f"a decoder named {name} of the kind {entry['kind']}")
    arrays: dict[str, NDArray[Any]] = {}
    files: dict[str, bytes] = {}
    for file in map(str, entry["files"]):
        if file.endswith(".npz"):
            arrays |= _unpacked(root, manifest, file)
        else:
            files[file] = _verified(root, manifest, file)
    return Weights(str(entry["kind"]), arrays, files, dict(entry.get("settings", {})))


def _activity_classifier(root: Path, manifest: Mapping[str, Any]) -> ActivityClassifier:
    arrays = _unpacked(root, manifest, _ACTIVITY)
    return ActivityClassifier(**{part.name: arrays[part.name] for part in fields(ActivityClassifier)})


def _pools(root: Path, manifest: Mapping[str, Any]) -> dict[str, Pool]:
    arrays = _unpacked(root, manifest, _POOL)
    pools = {}
    for name in sorted({key.split(".")[0] for key in arrays}):
        names, *values = (arrays[f"{name}.{part.name}"] for part in fields(Pool))
        pools[name] = Pool(tuple(names.tolist()), *values)
    return pools


def _manifest(root: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads(regular_file.read(root / _MANIFEST, _MOST_MANIFEST).decode("utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{root}: no model bundle here (no {_MANIFEST}): {_RETRAIN}") from error
    except OSError as error:
        raise BundleError(f"{root / _MANIFEST}: cannot be read ({error.strerror}): {_RETRAIN}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{root / _MANIFEST}: not UTF-8: {_RETRAIN}") from error
    except json.JSONDecodeError as error:
        raise BundleError(f"{root / _MANIFEST}: not JSON (line {error.lineno}): {_RETRAIN}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets without end
        raise BundleError(f"{root / _MANIFEST}: not a bundle's manifest: {_RETRAIN}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise BundleError(f"{root / _MANIFEST}: not a bundle's manifest: {_RETRAIN}")
    if manifest.get("schema") != SCHEMA:
        raise BundleError(
            f"{root}: bundle of schema {manifest.get('schema')!r}, this Valaro reads {SCHEMA}: {_RETRAIN}"
        )
    if manifest.get("layout") != LAYOUT:
        raise BundleError(
            f"{root}: trained on feature layout {manifest.get('layout')!r}, this Valaro computes {LAYOUT!r}: {_RETRAIN}"
        )
    return manifest


def _verified(root: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    """The bytes of one of the bundle's files, which are those that the manifest vouches for."""
    expected = manifest["files"].get(name)
    if Path(name).name != name:
        raise BundleError(f"{root / _MANIFEST}: names a file outside the bundle, {_plain(name)}: {_RETRAIN}")
    if expected is None:
        raise BundleError(f"{root / _MANIFEST}: vouches for no {name}: {_RETRAIN}")
    try:
        data = regular_file.read(root / name, _MOST)
    except OSError as error:
        raise BundleError(f"{root / name}: cannot be read ({error.strerror}): {_RETRAIN}") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise BundleError(f"{root / name}: altered since it was trained (sha256 differs): {_RETRAIN}")
    if name.endswith(".onnx") and _EXTERNAL in data:
        raise BundleError(f"{root / name}: keeps weights in a file that nobody vouches for: {_RETRAIN}")
    return data


def _unpacked(root: Path, manifest: Mapping[str, Any], name: str) -> dict[str, NDArray[Any]]:
    data = _verified(root, manifest, name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST:
                raise ValueError("too large")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        if odd := [key for key, array in arrays.items() if array.dtype.kind not in "fiuU"]:
            raise ValueError(f"{odd[0]} holds no numbers")
        if wild := [key for key, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]:
            raise ValueError(f"{wild[0]} holds a value that is not finite")
        return arrays
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on what is no such file
        raise BundleError(f"{root / name}: not an array file ({_plain(error)}): {_RETRAIN}") from error


def _plain(error: object) -> str:
    """What is wrong on one line of text that a terminal can show."""
    words = " ".join(str(error).split())[:300]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in words)


def _check_shapes(bundle: Bundle) -> None:
    vector, dimensions = bundle.projection.matrix.shape
    if vector != texture.SIZE or bundle.projection.mean.shape != (vector,):
        raise ValueError(f"projection of {vector} features, this Valaro computes {texture.SIZE}")
    if dimensions != bundle.acoustic.dimensions:
        raise ValueError(f"projection to {dimensions} dimensions, mixture of {bundle.acoustic.dimensions}")
    if bundle.affective.means.shape != (bundle.acoustic.components, 2):
        raise ValueError("acoustic and affective mixtures differ in their number of components")
    if bundle.crf is not None and bundle.crf.dimensions != texture.SIZE + bundle.acoustic.components:
        raise ValueError(f"a chain over {bundle.crf.dimensions} features")
    values = (*vars(bundle.projection).values(), bundle.acoustic.means, bundle.affective.means)
    if not all(np.isfinite(array).all() for array in values):  # also after they were made 32-bit floats
        raise ValueError("a value is not finite")
    if not (0.0 <= bundle.prior_seconds <= _LONGEST_PRIOR and 0.0 < bundle.half_life <= _LONGEST_PRIOR):  # NaN is not
        raise ValueError("a half-life, or a prior, that cannot be")


def _check_heatmaps(bundle: Bundle) -> None:
    """ValueError where one of Valaro's own decoders says of the neutral evidence what is no heatmap."""
    theta = bundle.topics.theta(bundle.topics.init())
    evidence = Evidence(np.zeros(SHAPES["log_mel"], np.float32), np.zeros(SHAPES["texture"], np.float32), theta)
    for name, decoder in bundle._own_decoders.items():
        with np.errstate(all="ignore"):
            _, log_heatmap = decoder.step(decoder.init(), evidence)
            heatmap = np.exp(log_heatmap)
        if heatmap.shape != (CELLS,) or not abs(heatmap.sum() - 1.0) < 1e-6:
            raise ValueError(f"the decoder {name} gives numbers that are none")
