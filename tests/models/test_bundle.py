import hashlib
import io
import json
import os
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models import Bundle, load_bundle
from valaro.models.bundle import FUSION, default_path
from valaro.models.decoders.fusion import Pool
from valaro.models.errors import BundleError
from valaro.models.grid import CELLS

from .synthetic_bundle import full_bundle, synthetic_bundle, synthetic_chain, synthetic_classifier

FILES = {"aeg.npz", "crf.npz", "lstm.onnx", "pools.npz", "activity.npz", "manifest.json"}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    synthetic_bundle().save(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A bundle of all decoders, and an activity classifier."""
    replace(full_bundle(), activity_classifier=synthetic_classifier()).save(tmp_path / "whole")
    return tmp_path / "whole"


def edit(saved: Path, **changes: object) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps(manifest | changes))


def vouch(saved: Path, name: str, data: bytes) -> None:
    """Replace a file, and have the manifest say that this is how it should be."""
    (saved / name).write_bytes(data)
    manifest = json.loads((saved / "manifest.json").read_text())
    edit(saved, files=manifest["files"] | {name: hashlib.sha256(data).hexdigest()})


def swap(saved: Path, name: str, lacking: str = "", **changes: object) -> None:
    """The same for some of the arrays in a file."""
    with np.load(saved / name) as file:
        arrays = {key: value for key, value in file.items() if key != lacking}
    buffer = io.BytesIO()
    np.savez(buffer, **(arrays | changes))  # type: ignore[arg-type]
    vouch(saved, name, buffer.getvalue())


def refused(path: Path, says: str) -> None:
    """In one line that says what to do about it."""
    with pytest.raises(BundleError, match=says) as caught:
        load_bundle(path)
    assert "\n" not in str(caught.value)
    assert "`valaro train`" in str(caught.value)


def arrays(bundle: Bundle) -> dict[str, NDArray]:
    """All numbers of the decoders and pools, by name."""
    parts = {
        "projection": bundle.projection,
        "affective": bundle.affective,
        "crf": bundle.crf,
        "judge": bundle.activity_classifier,
    }
    found = {
        f"{name}.{field.name}": getattr(part, field.name) for name, part in parts.items() for field in fields(part)
    }  # pyright: ignore[reportArgumentType]
    for name in ("weights", "means", "covariances"):
        found[f"acoustic.{name}"] = getattr(bundle.acoustic, name)
    for name, pool in bundle.pools.items():
        found |= {f"{name}.{field.name}": np.asarray(getattr(pool, field.name)) for field in fields(pool)}
    return found


def test_what_was_saved_is_what_is_read(saved: Path) -> None:
    ours, theirs = synthetic_bundle(), load_bundle(saved)
    np.testing.assert_array_equal(ours.acoustic.means, theirs.acoustic.means)
    np.testing.assert_array_equal(ours.affective.covariances, theirs.affective.covariances)
    np.testing.assert_array_equal(ours.projection.matrix, theirs.projection.matrix)
    assert (ours.half_life, ours.prior_seconds, ours.card) == (theirs.half_life, theirs.prior_seconds, theirs.card)
    assert (theirs.crf, theirs.lstm, theirs.pools, theirs.activity_classifier) == (None, None, {}, None)


def test_all_decoders_and_pools_come_back_bit_for_bit(whole: Path) -> None:
    ours, theirs = replace(full_bundle(), activity_classifier=synthetic_classifier()), load_bundle(whole)
    expected, found = arrays(ours), arrays(theirs)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        assert values.dtype == found[name].dtype, name
        np.testing.assert_array_equal(values, found[name], err_msg=name)
    assert ours.lstm is not None
    assert theirs.lstm is not None
    assert ours.lstm.model == theirs.lstm.model
    assert list(theirs.decoders) == ["aeg", "crf", "lstm"]
    assert {path.name for path in whole.iterdir()} == FILES


def test_the_same_bundle_makes_the_same_files(whole: Path, tmp_path: Path) -> None:
    load_bundle(whole).save(tmp_path / "again")
    for name in FILES:
        assert (whole / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_a_bundle_of_less_leaves_nothing_of_the_older_one(whole: Path) -> None:
    synthetic_bundle().save(whole)
    assert {path.name for path in whole.iterdir()} == {"aeg.npz", "manifest.json"}
    bundle = load_bundle(whole)
    assert list(bundle.decoders) == ["aeg"]


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_each_file_must_be_there_and_unaltered(whole: Path, name: str) -> None:
    data = bytearray((whole / name).read_bytes())
    data[len(data) // 2] ^= 1
    (whole / name).write_bytes(data)
    refused(whole, rf"{name}: altered")
    (whole / name).unlink()
    refused(whole, rf"{name}: cannot be read")


def test_a_network_that_is_none_is_refused_in_one_line(whole: Path) -> None:
    vouch(whole, "lstm.onnx", b"no graph at all")
    refused(whole, "the network cannot be read")


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("crf.npz", {"lacking": "unary"}, "lacks unary"),
        ("crf.npz", {"scale": np.zeros(171)}, "scale of a chain"),
        ("crf.npz", {"bias": np.zeros(120)}, "bias of a chain"),
        (
            "crf.npz",
            {"mean": np.zeros(9), "scale": np.ones(9), "unary": np.zeros((9, CELLS))},
            "over 9 features",
        ),
        ("activity.npz", {"lacking": "hidden"}, "lacks hidden"),
        ("activity.npz", {"scale": np.zeros(163)}, "scale of an activity classifier"),
        ("activity.npz", {"output": np.zeros((4, 2))}, "output of an activity classifier"),
        ("pools.npz", {"lacking": "crf.bias"}, r"lacks crf\.bias"),
        ("pools.npz", {"crf.names": np.array(["dbn"])}, "pool crf names decoders that are not there: dbn"),
        ("pools.npz", {"crf.kinds": np.zeros(9, dtype=np.int64)}, "pool crf is of a mixture of 9 components"),
        ("pools.npz", {"crf.exponents": np.array([[-1.0], [1.0]])}, "0 or more"),
        ("pools.npz", {"crf.bias": np.array([{"a": 1}], dtype=object)}, "not an array file"),
    ],
)
def test_a_chain_or_a_pool_that_does_not_fit_is_refused(
    whole: Path, name: str, changes: dict[str, object], says: str
) -> None:
    swap(whole, name, **changes)  # pyright: ignore[reportArgumentType]
    refused(whole, says)


def test_a_pool_of_a_decoder_that_the_manifest_leaves_out_is_refused(whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    edit(whole, files={name: value for name, value in manifest["files"].items() if name != "lstm.onnx"})
    refused(whole, "vouches for no lstm.onnx")
    edit(whole, decoders={name: entry for name, entry in manifest["decoders"].items() if name != "lstm"})
    refused(whole, "decoders that are not there: lstm")


def test_a_bundle_of_before_the_table_of_decoders_is_the_same(whole: Path) -> None:
    with_table = load_bundle(whole)
    manifest = json.loads((whole / "manifest.json").read_text())
    del manifest["decoders"]
    (whole / "manifest.json").write_text(json.dumps(manifest))
    assert list(load_bundle(whole).decoders) == list(with_table.decoders) == ["aeg", "crf", "lstm"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"aeg": {"kind": "crf", "files": ["aeg.npz"]}}, "a decoder named aeg of the kind crf"),
        ({"fusion": {"kind": "x", "files": []}}, "a decoder of another package named fusion"),
        ({"../x": {"kind": "x", "files": []}}, "a decoder of another package named ../x"),
        ({"x": {"kind": "x", "files": ["../aeg.npz"]}}, "names a file outside the bundle"),
        ({"x": {"files": []}}, "lacks kind"),
        ({"x": {"kind": "x", "files": ["new.npz"]}}, "vouches for no new.npz"),
        ({"x": 3}, "does not fit together"),
        (["x"], "does not fit together"),
    ],
)
def test_a_table_of_decoders_that_cannot_be_is_refused(saved: Path, table: object, says: str) -> None:
    aeg = {"aeg": {"kind": "aeg", "files": ["aeg.npz"]}}
    edit(saved, decoders=aeg | table if isinstance(table, dict) else table)
    refused(saved, says)


def test_a_bundle_is_not_even_made_of_parts_that_do_not_fit() -> None:
    strange = Pool(("aeg", "crf"), np.zeros(8, dtype=np.int64), np.ones((1, 2)), np.zeros((1, CELLS)))
    with pytest.raises(ValueError, match="decoders that are not there: crf"):
        replace(synthetic_bundle(), pools={FUSION: strange})
    replace(synthetic_bundle(), crf=synthetic_chain(8), pools={FUSION: strange})
    with pytest.raises(ValueError, match="mixture of 8 components"):
        replace(synthetic_bundle(components=5), crf=synthetic_chain(5), pools={FUSION: strange})


def test_the_fusion_is_its_pool_or_where_there_is_none_the_aeg_decoder() -> None:
    full, plain = full_bundle(), synthetic_bundle()
    assert full.pool() is full.pools[FUSION]
    assert full.pool("lstm") is full.pools["lstm"]
    assert plain.pool().names == plain.pool("aeg").names == ("aeg",)
    uncalibrated = replace(full, pools={})
    assert uncalibrated.pool("crf").names == ("crf",)
    np.testing.assert_array_equal(uncalibrated.pool("crf").exponents, [[1.0]])


def test_an_unknown_decoder_is_answered_with_those_there_are() -> None:
    with pytest.raises(BundleError, match=r"no decoder 'dbn' in this bundle: choose one of fusion, aeg, crf, lstm$"):
        full_bundle().pool("dbn")
    with pytest.raises(BundleError, match=r"choose one of fusion, aeg$"):
        synthetic_bundle().pool("lstm")


def test_the_default_bundle_is_whole_and_small() -> None:
    bundle = load_bundle()
    assert bundle.card["licence"]
    assert bundle.card["trained_on"]
    size = sum(path.stat().st_size for path in default_path().iterdir())
    assert size < 20_000_000


def test_the_default_bundle_has_every_decoder_and_pools_of_each_and_of_all() -> None:
    bundle = load_bundle()
    assert list(bundle.decoders) == ["aeg", "crf", "lstm"]
    assert set(bundle.pools) == {FUSION, "aeg", "crf", "lstm"}
    assert bundle.pools[FUSION].names == ("aeg", "crf", "lstm")
    assert bundle.activity_classifier is not None


def test_one_flipped_bit_is_refused(saved: Path) -> None:
    data = bytearray((saved / "aeg.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (saved / "aeg.npz").write_bytes(data)
    with pytest.raises(BundleError, match="altered"):
        load_bundle(saved)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 99}, "schema 99, this Valaro reads 2"),
        ({"schema": 1}, "schema 1, this Valaro reads 2"),
        ({"schema": "2"}, "schema '2', this Valaro reads 2"),
        ({"layout": "0"}, "feature layout '0'"),
        ({"files": {}}, "vouches for no"),
        ({"files": 3}, "not a bundle's manifest"),
        ({"half_life": "soon"}, "does not fit together"),
        ({"half_life": -1.0}, "does not fit together"),
    ],
)
def test_a_strange_manifest_is_refused(saved: Path, change: dict[str, object], says: str) -> None:
    edit(saved, **change)
    refused(saved, says)


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


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"affective_means": np.zeros((3, 2))}, "does not fit together"),
        ({"acoustic_means": np.full((8, 3), np.nan)}, "not finite"),
        ({"acoustic_covariances": -np.tile(np.eye(3), (8, 1, 1))}, "not positive definite"),
        ({"acoustic_means": np.array([{"a": 1}], dtype=object)}, "not an array file"),
        ({"lacking": "projection_mean"}, "lacks projection_mean"),
    ],
)
def test_arrays_of_other_shapes_or_pickles_are_refused(saved: Path, changes: dict[str, object], says: str) -> None:
    swap(saved, "aeg.npz", **changes)  # pyright: ignore[reportArgumentType]
    refused(saved, says)


def test_half_an_archive_is_refused(saved: Path) -> None:
    vouch(saved, "aeg.npz", (saved / "aeg.npz").read_bytes()[:-10])  # begins as an archive does
    refused(saved, "not an array file")


def test_an_archive_that_unpacks_to_more_than_any_bundle_holds_is_refused_unread(saved: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("acoustic_means.npy", b"x")
    claimed = bytearray(buffer.getvalue())
    at = claimed.index(b"PK\x01\x02") + 24  # the directory's word for the size: no need to fill the test's memory
    claimed[at : at + 4] = (2**31).to_bytes(4, "little")
    vouch(saved, "aeg.npz", bytes(claimed))
    refused(saved, "not an array file .too large.")


@pytest.mark.parametrize("name", ["manifest.json", "aeg.npz", "lstm.onnx"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
def test_what_is_no_file_of_a_likely_size_is_refused_at_once(whole: Path, name: str, kind: str) -> None:
    """Nothing is read of it: a pipe that nobody writes to, or a device without end, would hold it up for ever."""
    path = whole / name
    path.unlink()
    match kind:
        case "pipe":
            if not hasattr(os, "mkfifo"):
                pytest.skip("no pipes with names here")
            os.mkfifo(path)
        case "device":
            if not Path("/dev/zero").exists():
                pytest.skip("no such device here")
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case _:
            with path.open("wb") as file:
                file.truncate(10 * 1024**3)  # a hole: it takes no space
    says = {"pipe": "a device, pipe", "device": "a device, pipe", "folder": "directory", "huge": "larger than"}[kind]
    refused(whole, says)


def test_a_network_with_weights_in_another_file_is_refused(whole: Path) -> None:
    """A tensor names the file: in protobuf, the field 13 of two texts, the key first."""
    graph = (whole / "lstm.onnx").read_bytes()
    entry = b"\x0a\x08location" + b"\x12\x0a/etc/hosts"
    vouch(whole, "lstm.onnx", graph + b"\x6a" + bytes([len(entry)]) + entry)
    refused(whole, "keeps weights in a file that nobody vouches for")


@pytest.mark.parametrize("name", ["aeg.npz", "crf.npz", "activity.npz"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_weight_may_be_a_number_that_is_none(whole: Path, name: str, value: float) -> None:
    with np.load(whole / name) as file:
        keys = [key for key in file.files if file[key].dtype.kind == "f" and file[key].size]
        arrays = {key: file[key] for key in keys}
    for key, array in arrays.items():
        bad = array.copy()
        bad.flat[-1] = value
        swap(whole, name, **{key: bad})
        refused(whole, f"{key} holds a value that is not finite")
        swap(whole, name, **{key: array})
    load_bundle(whole)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e300])
@pytest.mark.parametrize("key", ["half_life", "prior_seconds"])
def test_times_of_the_manifest_are_held_to_what_can_be(saved: Path, key: str, value: float) -> None:
    edit(saved, **{key: value})
    refused(saved, "does not fit together")


def test_a_network_that_gives_nan_is_refused(whole: Path) -> None:
    graph = (whole / "lstm.onnx").read_bytes()
    name = b"networks.0.heatmap.bias"
    begin = graph.rindex(name) + len(name) + 3  # the tensor's values lie behind its name, as they are in memory
    vouch(whole, "lstm.onnx", graph[:begin] + np.float32(np.nan).tobytes() + graph[begin + 4 :])
    refused(whole, "the decoder lstm gives numbers that are none")
