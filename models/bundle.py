"""A model on disk: a directory of plain arrays and one manifest that vouches for every byte of them.

``manifest.json`` names the schema, the feature layout and the sha256 of each file; arrays are ``.npz`` read
without pickle. Whatever is missing, altered or of another version is refused with one line.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import texture
from .aeg import AffectiveGMM
from .errors import BundleError
from .features import BLOCK, LAYOUT, RATE
from .gmm import GMM
from .topics import Topics

SCHEMA = 1
_MANIFEST = "manifest.json"
_ARRAYS = "aeg.npz"
_RETRAIN = "reinstall Valaro, or train one with `valaro train`"


@dataclass(frozen=True)
class Projection:
    """Acoustic vector -> the mixture's input: ``(x - mean) @ matrix``; mean (V,), matrix (V, D), both float32."""

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project vectors (n, V) -> (n, D)."""
        return np.matmul(x - self.mean, self.matrix, dtype=np.float32)


@dataclass(frozen=True)
class Bundle:
    """A trained model: the acoustic mixture, the affective Gaussians, and how the topic posterior forgets.

    ``half_life`` is in seconds; ``prior_seconds`` is how many seconds of music outweigh the prior over topics.
    ``card`` holds what the manifest says beside that: what it was trained on, its figures, its licence.
    """

    projection: Projection
    acoustic: GMM
    affective: AffectiveGMM
    half_life: float
    prior_seconds: float
    card: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def topics(self) -> Topics:
        """The topic posterior's recursion at one frame a block."""
        period = BLOCK / RATE
        return Topics(self.acoustic.weights, self.half_life, period, self.prior_seconds / period)

    def save(self, path: Path) -> None:
        """Write the bundle into directory ``path`` (made if absent); an older bundle there is replaced."""
        path.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            projection_mean=self.projection.mean,
            projection_matrix=self.projection.matrix,
            acoustic_weights=self.acoustic.weights,
            acoustic_means=self.acoustic.means,
            acoustic_covariances=self.acoustic.covariances,
            affective_means=self.affective.means,
            affective_covariances=self.affective.covariances,
        )
        data = buffer.getvalue()
        manifest = {
            "schema": SCHEMA,
            "layout": LAYOUT,
            "half_life": self.half_life,
            "prior_seconds": self.prior_seconds,
            "files": {_ARRAYS: hashlib.sha256(data).hexdigest()},
            "card": self.card,
        }
        (path / _ARRAYS).write_bytes(data)
        (path / _MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def default_path() -> Path:
    """Where the bundle lies that ships with Valaro."""
    return Path(__file__).parent / "weights"


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Read and verify a bundle; None reads the default one.

    Raises:
        BundleError: it is missing, altered, incomplete, or of another version.
    """
    root = default_path() if path is None else Path(path)
    manifest = _manifest(root)
    arrays = _arrays(root, manifest)
    try:
        acoustic_covariances = arrays["acoustic_covariances"]
        bundle = Bundle(
            projection=Projection(arrays["projection_mean"], arrays["projection_matrix"]),
            acoustic=GMM(
                arrays["acoustic_weights"],
                arrays["acoustic_means"],
                acoustic_covariances,
                kind="full" if acoustic_covariances.ndim == 3 else "diag",
            ),
            affective=AffectiveGMM(arrays["affective_means"], arrays["affective_covariances"]),
            half_life=float(manifest["half_life"]),
            prior_seconds=float(manifest["prior_seconds"]),
            card=dict(manifest.get("card", {})),
        )
        _check_shapes(bundle)
        bundle.topics  # noqa: B018 - raises for a half-life that cannot be
        bundle.acoustic.precision_cholesky  # noqa: B018 - raises for a covariance that is not positive definite
    except KeyError as error:
        raise BundleError(f"{root}: the bundle lacks {error.args[0]}: {_RETRAIN}") from error
    except (TypeError, ValueError) as error:
        raise BundleError(f"{root}: the bundle does not fit together ({error}): {_RETRAIN}") from error
    return bundle


def _manifest(root: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads((root / _MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{root}: no model bundle here (no {_MANIFEST}): {_RETRAIN}") from error
    except OSError as error:
        raise BundleError(f"{root / _MANIFEST}: cannot be read ({error.strerror}): {_RETRAIN}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{root / _MANIFEST}: not UTF-8: {_RETRAIN}") from error
    except json.JSONDecodeError as error:
        raise BundleError(f"{root / _MANIFEST}: not JSON (line {error.lineno}): {_RETRAIN}") from error
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


def _arrays(root: Path, manifest: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    expected = manifest["files"].get(_ARRAYS)
    if expected is None:
        raise BundleError(f"{root / _MANIFEST}: vouches for no {_ARRAYS}: {_RETRAIN}")
    try:
        data = (root / _ARRAYS).read_bytes()
    except OSError as error:
        raise BundleError(f"{root / _ARRAYS}: cannot be read ({error.strerror}): {_RETRAIN}") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise BundleError(f"{root / _ARRAYS}: altered since it was trained (sha256 differs): {_RETRAIN}")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{root / _ARRAYS}: not an array file ({error}): {_RETRAIN}") from error


def _check_shapes(bundle: Bundle) -> None:
    vector, dimensions = bundle.projection.matrix.shape
    if vector != texture.SIZE or bundle.projection.mean.shape != (vector,):
        raise ValueError(f"projection of {vector} features, this Valaro computes {texture.SIZE}")
    if dimensions != bundle.acoustic.dimensions:
        raise ValueError(f"projection to {dimensions} dimensions, mixture of {bundle.acoustic.dimensions}")
    if bundle.affective.means.shape != (bundle.acoustic.components, 2):
        raise ValueError("acoustic and affective mixtures differ in their number of components")
    values = (*vars(bundle.projection).values(), bundle.acoustic.means, bundle.affective.means)
    if not all(np.isfinite(array).all() for array in values):
        raise ValueError("a value is not finite")
