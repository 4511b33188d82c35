"""What a folder of annotated sound becomes: examples with their labels, measured as the live chain hears them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from valaro.models.errors import DataError
from valaro.models.features import texture
from valaro.models.features.frame import BLOCK, BLOCKS, HOP_COLUMNS, FeatureExtractor
from valaro.models.grid import CELLS, cell_of
from valaro.models.training.cache import load_audio
from valaro.models.training.corpus.examples import NEVER, Example, gather
from valaro.models.training.datasets.labels import Points, Trace

from .. import synthetic
from ..conftest import CLIPS, SECONDS, own_cache

pytestmark = pytest.mark.usefixtures("small")
EMISSIONS = round(2 * SECONDS)


def quietly(_: str) -> None:
    pass


def copied(folder: Path, tmp_path: Path) -> Path:
    """The same clips at the same times of modification: what was measured of them is still known."""
    return Path(shutil.copytree(folder, tmp_path / "data"))


def test_each_clip_comes_with_its_label_and_the_agreement_clip_is_left_out(examples: list[Example]) -> None:
    assert len(examples) == CLIPS
    for index, example in enumerate(examples):
        assert (example.set, example.quadrant, example.points) == ("4q", index % 4, None)
        assert example.group == f"Artist {index // 2}"
        assert example.fold == index // 4  # ten folds, joined in pairs
        assert example.moods == ("Calm", "Rainy Day")
        assert (example.feelings, example.teacher, example.trace, example.altered) == (None, None, None, ())


def test_what_is_heard_is_what_the_features_and_the_texture_say(folder: Path, examples: list[Example]) -> None:
    example = examples[3]
    heard = example.features
    samples = load_audio(folder / "4q" / "audio" / f"{example.id}.opus")
    extractor = FeatureExtractor()
    state, textured = extractor.init(), texture.init()
    log_mel = []
    assert heard.emissions == EMISSIONS
    for i in range(EMISSIONS * BLOCKS):
        state, features = extractor.step(state, samples[i * BLOCK : (i + 1) * BLOCK])
        textured, vector, weight = texture.step(textured, features)
        np.testing.assert_array_equal(heard.vectors[i], vector)
        assert heard.weights[i] == pytest.approx(weight, abs=1e-7)
        log_mel.append(features.hops[:, HOP_COLUMNS["log_mel"]])
        if (i + 1) % BLOCKS == 0:
            np.testing.assert_array_equal(heard.textures[i // BLOCKS], vector)
    np.testing.assert_array_equal(heard.log_mel, np.concatenate(log_mel))
    assert heard.weights[0] == 0.0
    assert heard.weights.max() == 1.0
    assert heard.sounding.all()


def test_silence_is_known_to_be_silent(tmp_path: Path) -> None:
    synthetic.write_4q(tmp_path / "4q", 1, 3.0)
    path = sorted((tmp_path / "4q" / "audio").iterdir())[0]
    still = synthetic.chord("Q1", 3.0)
    still[24_000:] = 0
    synthetic.opus(path, still)
    (example,) = gather(tmp_path, quietly, processes=1)
    assert example.features.sounding.tolist()[:2] == [True, True]
    assert not example.features.sounding[3:].any()
    assert not example.features.weights[20:].any()


def test_a_broken_clip_is_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    data = copied(folder, tmp_path)
    broken = sorted((data / "4q" / "audio").iterdir())[1]
    broken.write_bytes(b"OggS and nothing of the kind")
    said: list[str] = []
    found = gather(data, said.append, processes=1)
    assert len(found) == CLIPS - 1
    assert broken.stem not in {example.id for example in found}
    (line,) = [each for each in said if each.startswith("skipped: ")]
    assert broken.name in line
    assert "\n" not in line


def test_a_clip_without_one_emission_is_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    data = copied(folder, tmp_path)
    short = sorted((data / "4q" / "audio").iterdir())[0]
    synthetic.opus(short, synthetic.chord("Q1", 0.3))
    said: list[str] = []
    assert len(gather(data, said.append, processes=1)) == CLIPS - 1
    (line,) = [each for each in said if each.startswith("skipped: ")]
    assert short.stem in line
    assert "shorter than half a second" in line


def test_what_is_missing_is_said(folder: Path) -> None:
    said: list[str] = []
    gather(folder, said.append, processes=1)
    for name in ("emopia", "vgmidi", "emotify", "teacher"):
        assert any(line.startswith(f"missing: {name}: ") for line in said)


def test_a_label_out_of_range_is_refused_with_file_and_row(folder: Path, tmp_path: Path) -> None:
    data = copied(folder, tmp_path)
    clips = data / "4q" / "clips.csv"
    clips.write_text(clips.read_text().replace(",Q3,", ",Q5,", 1))
    with pytest.raises(DataError, match=r"clips\.csv.*4.*Q5"):
        gather(data, quietly, processes=1)


def test_a_folder_whose_clips_can_none_be_read_is_one_line(tmp_path: Path) -> None:
    synthetic.write_4q(tmp_path / "4q", 2, 1.0)
    shutil.rmtree(tmp_path / "4q" / "audio")
    with pytest.raises(DataError) as caught:
        gather(tmp_path, quietly, processes=1)
    assert "\n" not in str(caught.value)


def test_altered_copies_differ_from_the_clip_and_from_each_other_but_never_from_themselves(tmp_path: Path) -> None:
    synthetic.write_4q(tmp_path / "4q", 2, 2.0)

    def altered(cache: str) -> list[np.ndarray]:
        with own_cache(tmp_path / cache):
            examples = gather(tmp_path, quietly, altered=2, processes=1)
            assert all(len(example.altered) == 2 for example in examples)
            one = examples[0]
            return [np.array(heard.rows) for heard in (one.features, *one.altered)]

    first = altered("one")
    for i in range(3):
        for j in range(i):
            assert not np.array_equal(first[i], first[j])
    for once, again in zip(first, altered("two"), strict=True):
        np.testing.assert_array_equal(once, again)


def test_under_a_condition_every_clip_is_another_sound(folder: Path, examples: list[Example]) -> None:
    """A gain is taken out by the features; a phone is not."""
    phoned = gather(folder, quietly, condition="phone band", processes=1)
    assert [e.id for e in phoned] == [e.id for e in examples]
    for changed, plain in zip(phoned, examples, strict=True):
        top = slice(-8, None)
        assert (changed.features.log_mel[:, top] < plain.features.log_mel[:, top] - 2).mean() > 0.9


def test_a_path_goes_to_another_process_and_not_what_is_in_it(examples: list[Example]) -> None:
    heard = examples[0].features
    assert heard.rows.shape[0] > 0
    assert heard.__getstate__() == {"path": heard.path}


def test_a_histogram_is_the_raters_shares_of_the_cells(examples: list[Example]) -> None:
    clip = examples[0]
    assert not clip.histogram.any()
    points = Points(np.array([1, 1, 1, 4]), np.array([0, 1, 2, 0]), np.array([0.9, 0.9, -0.9, 0.0]), np.zeros(4))
    rated = Example("x", "vgmidi", "x", 0, clip.features, points=points)
    assert rated.histogram.shape == (EMISSIONS, CELLS)
    assert rated.histogram[1, cell_of(0.9, 0.0)] == pytest.approx(2 / 3)
    assert rated.histogram[1, cell_of(-0.9, 0.0)] == pytest.approx(1 / 3)
    assert rated.histogram[4, cell_of(0.0, 0.0)] == 1.0
    np.testing.assert_allclose(rated.histogram.sum(axis=1), np.isin(np.arange(EMISSIONS), [1, 4]))


def test_a_histogram_of_means_is_the_raters_gaussian(examples: list[Example]) -> None:
    clip = examples[0]
    labels = np.full(3, 0.5), np.full(3, -0.5), np.full(3, 0.1), np.full(3, 0.3)
    trace = Trace("7", "emomusic", None, np.array([1.0, 1.5, 2.0]), *labels)
    histogram = Example("emomusic-7", "emomusic", "7", 0, clip.features, trace=trace).histogram
    rated = histogram.sum(axis=1) > 0
    assert rated.sum() == 3
    np.testing.assert_allclose(histogram[rated].sum(axis=1), 1.0, rtol=1e-5)
    assert histogram[rated].argmax(axis=1).tolist() == [int(cell_of(0.5, -0.5))] * 3


def test_every_kind_of_label_finds_its_clip(tmp_path: Path) -> None:
    """Felt emotions, means over raters and a teacher's windows: none of them in a test by quadrant."""
    synthetic.write_4q(tmp_path / "4q", 4, 1.0)
    synthetic.write_emotify(tmp_path / "emotify")
    for path in (tmp_path / "emotify" / "audio").iterdir():
        synthetic.opus(path, synthetic.chord("Q2", 1.0))
    synthetic.write_emomusic(tmp_path / "emomusic", 1.0)
    synthetic.write_pmemo(tmp_path / "pmemo", 1.0)
    synthetic.write_teacher(tmp_path / "teacher")
    with np.load(tmp_path / "teacher" / "musicnn_4q.npz") as file:
        windows = {name: file[name] for name in file.files}
    windows["MT0000000001"] = windows.pop("MT1")
    np.savez(tmp_path / "teacher" / "musicnn_4q.npz", **windows)  # pyright: ignore[reportArgumentType]
    found = {example.id: example for example in gather(tmp_path, quietly, processes=1)}
    felt = found["emotify-001"]
    assert (felt.fold, felt.quadrant) == (NEVER, None)
    assert felt.feelings is not None
    assert len(felt.feelings) == 9
    assert felt.feelings[-1] == 1.0  # sadness, by both
    assert felt.feelings[0] == 0.5
    for name in ("emomusic-2", "pmemo-4"):
        assert found[name].trace is not None
        assert 0 <= found[name].fold < 5
    taught = found["MT0000000001"].teacher
    assert taught is not None
    assert taught.shape == (3, 200)
    np.testing.assert_allclose(taught, 1.5)
    assert found["MT0000000000"].teacher is None
