import json
from pathlib import Path

import numpy as np
import pytest
from valaro.models import load_bundle
from valaro.models.bundle import default_path
from valaro.models.errors import BundleError

from .synthetic_bundle import synthetic_bundle


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    synthetic_bundle().save(tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(saved: Path, **changes: object) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps(manifest | changes))


def test_what_was_saved_is_what_is_read(saved: Path) -> None:
    ours, theirs = synthetic_bundle(), load_bundle(saved)
    np.testing.assert_array_equal(ours.acoustic.means, theirs.acoustic.means)
    np.testing.assert_array_equal(ours.affective.covariances, theirs.affective.covariances)
    np.testing.assert_array_equal(ours.projection.matrix, theirs.projection.matrix)
    assert (ours.half_life, ours.prior_seconds, ours.card) == (theirs.half_life, theirs.prior_seconds, theirs.card)


def test_the_default_bundle_is_whole_and_small() -> None:
    bundle = load_bundle()
    assert bundle.card["licence"]
    assert bundle.card["trained_on"]
    size = sum(path.stat().st_size for path in default_path().iterdir())
    assert size < 10_000_000


def test_one_flipped_bit_is_refused(saved: Path) -> None:
    data = bytearray((saved / "aeg.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (saved / "aeg.npz").write_bytes(data)
    with pytest.raises(BundleError, match="altered"):
        load_bundle(saved)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 99}, "schema 99"),
        ({"layout": "0"}, "feature layout '0'"),
        ({"files": {}}, "vouches for no"),
        ({"files": 3}, "not a bundle's manifest"),
        ({"half_life": "soon"}, "does not fit together"),
        ({"half_life": -1.0}, "does not fit together"),
    ],
)
def test_a_strange_manifest_is_refused(saved: Path, change: dict[str, object], says: str) -> None:
    edit(saved, **change)
    with pytest.raises(BundleError, match=says):
        load_bundle(saved)


def test_missing_parts_are_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model bundle here"):
        load_bundle(tmp_path / "nowhere")
    (saved / "aeg.npz").unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(saved)
    (saved / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="not JSON"):
        load_bundle(saved)


def test_a_file_instead_of_a_bundle_is_refused_in_one_plain_line(saved: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: cannot be read") as caught:
        load_bundle(saved / "aeg.npz")
    assert "Errno" not in str(caught.value)
    (saved / "manifest.json").write_bytes(b"\xff")
    with pytest.raises(BundleError, match="not UTF-8"):
        load_bundle(saved)


def test_arrays_of_other_shapes_or_pickles_are_refused(saved: Path) -> None:
    import hashlib
    import io

    with np.load(saved / "aeg.npz") as file:
        arrays = dict(file)

    def swap(**changes: np.ndarray) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, **(arrays | changes))  # type: ignore[arg-type]
        (saved / "aeg.npz").write_bytes(buffer.getvalue())
        edit(saved, files={"aeg.npz": hashlib.sha256(buffer.getvalue()).hexdigest()})

    swap(affective_means=np.zeros((3, 2)))
    with pytest.raises(BundleError, match="does not fit together"):
        load_bundle(saved)
    swap(acoustic_means=np.full_like(arrays["acoustic_means"], np.nan))
    with pytest.raises(BundleError, match="not finite"):
        load_bundle(saved)
    swap(acoustic_covariances=-arrays["acoustic_covariances"])
    with pytest.raises(BundleError, match="not positive definite"):
        load_bundle(saved)
    swap(acoustic_means=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleError, match="not an array file"):
        load_bundle(saved)
    cut = (saved / "aeg.npz").read_bytes()[:-10]  # begins as an archive does
    (saved / "aeg.npz").write_bytes(cut)
    edit(saved, files={"aeg.npz": hashlib.sha256(cut).hexdigest()})
    with pytest.raises(BundleError, match="not an array file"):
        load_bundle(saved)
