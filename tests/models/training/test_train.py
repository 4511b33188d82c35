"""From a folder of annotated sound to a bundle of all decoders, on sounds whose moods no one could mistake."""

import importlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models import Bundle, load_bundle
from valaro.models.bundle import FUSION
from valaro.models.errors import DataError
from valaro.models.training import train
from valaro.models.training.cache import load_audio
from valaro.models.training.corpus.examples import NEVER, Example
from valaro.models.training.corpus.measure import ClipFeatures
from valaro.models.training.datasets.labels import Points
from valaro.models.training.evaluation import cross_validation
from valaro.models.training.fit import aeg, bundle
from valaro.models.training.synthesis.speech import PROGRAM
from valaro.streamer import Engine
from valaro.streamer.cli import run

from ..synthetic_bundle import folded_heatmaps
from .conftest import CLIPS, SMALL, own_cache

pytestmark = pytest.mark.usefixtures("small")
JUDGED = shutil.which(PROGRAM) is not None
FILES = ("aeg.npz", "crf.npz", "lstm.onnx", "pools.npz", *(["activity.npz"] if JUDGED else []))


def quietly(_: str) -> None:
    pass


def learnt(said: Sequence[str]) -> int:
    """How many networks were told of."""
    return sum(line.startswith("network, epoch 1 of ") for line in said)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory, small: None) -> tuple[Path, list[str]]:
    """The bundle of a whole training, and what was said meanwhile."""
    said: list[str] = []
    path = tmp_path_factory.mktemp("model") / "bundle"
    assert train.train(folder, path, seed=3, recipe=SMALL, progress=said.append) == path
    return path, said


def arrays(bundle: Bundle) -> list[NDArray]:
    acoustic, affective, chain = bundle.acoustic, bundle.affective, bundle.crf
    assert chain is not None
    projection = bundle.projection.mean, bundle.projection.matrix
    mixture = acoustic.weights, acoustic.means, acoustic.covariances
    weights = (getattr(chain, field.name) for field in fields(chain))
    return [*projection, *mixture, affective.means, affective.covariances, *weights]


def model(bundle: Bundle) -> bytes:
    assert bundle.lstm is not None
    return bundle.lstm.model


def assert_same(one: Bundle, other: Bundle) -> None:
    for ours, theirs in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert model(one) == model(other)


def test_the_bundle_has_every_decoder_and_says_what_it_was_trained_on(trained: tuple[Path, list[str]]) -> None:
    bundle = load_bundle(trained[0])
    assert list(bundle.decoders) == ["aeg", "crf", "lstm"]
    assert set(bundle.pools) == {FUSION, "aeg", "crf", "lstm"}
    assert bundle.pools[FUSION].names == ("aeg", "crf", "lstm")
    assert bundle.pools["crf"].names == ("crf",)
    assert bundle.card["trained_on"] == {"4q": CLIPS}
    assert bundle.card["seed"] == 3
    assert "non-commercial" in bundle.card["licence"]
    figures = bundle.card["figures"]
    assert set(figures) >= {FUSION, "aeg", "crf", "lstm"}
    assert figures["aeg"]["4q"]["accuracy"] >= 0.9
    assert figures[FUSION]["4q"]["accuracy"] >= 0.9


def test_what_is_missing_and_what_is_done_is_said(trained: tuple[Path, list[str]]) -> None:
    path, said = trained
    for name in ("emopia", "vgmidi", "teacher"):
        assert any(line.startswith(f"missing: {name}: ") for line in said)
    assert learnt(said) == 6  # one for each fold, one for all
    judged = "fitted the classifier of music, speech and noise" if JUDGED else "the model will take all sound for music"
    assert any(line.startswith(judged) for line in said)
    assert (load_bundle(path).activity_classifier is not None) == JUDGED
    assert said[-1] == f"wrote {path}"
    assert all("\n" not in line for line in said)


def test_a_second_run_learns_nothing_anew_and_writes_the_same_bytes(
    folder: Path, trained: tuple[Path, list[str]], tmp_path: Path
) -> None:
    said: list[str] = []
    train.train(folder, tmp_path / "again", seed=3, recipe=SMALL, progress=said.append)
    assert learnt(said) == 0
    for name in (*FILES, "manifest.json"):
        assert (tmp_path / "again" / name).read_bytes() == (trained[0] / name).read_bytes(), name


def test_without_a_cache_the_same_seed_gives_the_same_model_and_another_seed_another(
    examples: list[Example], trained: tuple[Path, list[str]], tmp_path: Path
) -> None:
    kept = load_bundle(trained[0])
    with own_cache(tmp_path / "empty"):
        said: list[str] = []
        assert_same(bundle.fit(examples, recipe=SMALL, seed=3, progress=said.append), kept)
        assert learnt(said) == 1
        other = bundle.fit(examples, recipe=SMALL, seed=4, progress=quietly)
    assert not np.array_equal(other.acoustic.means, kept.acoustic.means)
    assert model(other) != model(kept)


def relabelled(examples: Sequence[Example], fold: int) -> list[Example]:
    """The clips of one fold said to be of the next quadrant."""
    return [
        replace(e, quadrant=((e.quadrant or 0) + 1) % 4) if e.fold == fold and e.quadrant is not None else e
        for e in examples
    ]


def test_a_fold_s_decoders_never_saw_it(examples: list[Example], trained: tuple[Path, list[str]]) -> None:
    """Whatever its labels are and whatever its sound: the same decoders, and nothing to learn anew."""
    bundle = cross_validation.fold_bundle(examples, 2, 3, SMALL, quietly)
    said: list[str] = []
    assert_same(cross_validation.fold_bundle(relabelled(examples, 2), 2, 3, SMALL, said.append), bundle)
    swapped = [replace(e, features=examples[0].features) if e.fold == 2 else e for e in examples]
    assert_same(cross_validation.fold_bundle(swapped, 2, 3, SMALL, said.append), bundle)
    assert learnt(said) == 0
    other = cross_validation.fold_bundle(relabelled(examples, 1), 2, 3, SMALL, said.append)
    assert learnt(said) == 1
    assert not np.array_equal(other.affective.means, bundle.affective.means)
    assert not np.array_equal(arrays(other)[9], arrays(bundle)[9])  # the chain's unary weights
    assert model(other) != model(bundle)


def test_clips_told_out_of_fold_are_the_fold_s_and_told_by_the_decoders_without_it(examples: list[Example]) -> None:
    bundle = cross_validation.fold_bundle(examples, 1, 3, SMALL, quietly)
    rows = list(cross_validation.out_of_fold(bundle, examples, 1))
    assert [row.example.id for row in rows] == [e.id for e in examples if e.fold == 1]
    for row in rows:
        log_heatmap = row.outputs.log_heatmaps[row.outputs.names.index("aeg")]
        np.testing.assert_allclose(np.exp(log_heatmap), folded_heatmaps(bundle, row.example.features, "aeg"), atol=1e-5)


def test_the_figures_are_those_of_the_live_chain(
    folder: Path, examples: list[Example], trained: tuple[Path, list[str]]
) -> None:
    """What is scored, from what lies in the cache, is what an engine says of the same sound."""
    bundle = load_bundle(trained[0])
    for decoder in (FUSION, "aeg", "crf", "lstm"):
        samples = load_audio(folder / "4q" / "audio" / f"{examples[5].id}.opus")
        scored = folded_heatmaps(bundle, examples[5].features, decoder)
        engine = Engine(bundle, 24_000, decoder)
        live = np.stack([affect.heatmap.ravel() for affect in engine.push(samples) + engine.finish()])
        np.testing.assert_allclose(scored, live, atol=1e-5)
        assert np.ptp(scored, axis=0).max() > 1e-4  # it is no constant that was compared


def test_pools_are_of_the_kinds_that_were_heard(examples: list[Example], trained: tuple[Path, list[str]]) -> None:
    bundle = load_bundle(trained[0])
    for pool in bundle.pools.values():
        np.testing.assert_array_equal(pool.kinds, np.zeros(bundle.acoustic.components))
        assert len(pool.exponents) == 1
    for name in ("aeg", "crf", "lstm"):
        assert not bundle.pools[name].bias.any()  # one decoder is tempered, not taught
    assert bundle.pools[FUSION].bias.any()


def piece(example: Example, seed: int) -> Example:
    """The clip as a piece of VGMIDI: five raters who agree more or less."""
    rng = np.random.default_rng(seed)
    emission = np.repeat(np.arange(example.features.emissions), 5)
    rater = np.tile(np.arange(5), example.features.emissions)
    valence, arousal = np.clip(rng.uniform(-0.8, 0.8, (2, 1)) + rng.normal(0, 0.1, (2, emission.size)), -1, 1)
    points = Points(emission, rater, valence, arousal)
    return replace(example, id=f"v{seed}", set="vgmidi", group=f"v{seed}", quadrant=None, moods=None, points=points)


@pytest.fixture(scope="module")
def mixed(examples: list[Example]) -> list[Example]:
    """4Q's clips, and half of them again as pieces that raters have moved through."""
    return [*examples, *(piece(example, i) for i, example in enumerate(examples[::2]))]


def test_both_kinds_of_sound_have_components_and_pools_of_their_own(mixed: list[Example]) -> None:
    outside: list[cross_validation.OutOfFold] = []
    for fold in (0, 1):
        bundle = cross_validation.fold_bundle(mixed, fold, 0, SMALL, quietly)
        assert bundle.acoustic.components == 12
        outside += cross_validation.out_of_fold(bundle, mixed, fold)
    pool = cross_validation.fit_pools(outside, SMALL)[FUSION]
    np.testing.assert_array_equal(pool.kinds, [0] * 8 + [1] * 4)
    assert pool.exponents.shape == (2, 3)
    assert not np.allclose(pool.exponents[0], pool.exponents[1])


def test_one_group_alone_cannot_be_tested_on(examples: list[Example]) -> None:
    said: list[str] = []
    with pytest.raises(DataError, match="two groups in two folds"):
        cross_validation.split([example for example in examples if example.group == "Artist 0"], said.append)
    (line,) = said
    assert line.startswith("4q is trained on but not tested: fewer than two groups")


def test_a_set_that_cannot_be_tested_is_in_every_training_and_in_no_test(mixed: list[Example]) -> None:
    lone = [e for e in mixed if e.set == "4q"] + [e for e in mixed if e.id == "v0"]
    said: list[str] = []
    kept, folds = cross_validation.split(lone, said.append)
    assert folds == [0, 1, 2, 3, 4]
    assert [(e.id, e.set) for e in kept] == [(e.id, e.set) for e in lone]
    assert [e.fold for e in kept if e.set == "vgmidi"] == [NEVER]
    assert [e.fold for e in kept if e.set == "4q"] == [e.fold for e in lone if e.set == "4q"]
    assert said == ["vgmidi is trained on but not tested: " + said[0].split(": ", 1)[1]]


def test_a_group_that_lies_in_two_folds_is_refused(examples: list[Example]) -> None:
    spread = [replace(e, group="one") if i in (0, 19) else e for i, e in enumerate(examples)]
    with pytest.raises(DataError, match="two groups in two folds"):
        cross_validation.split(spread, quietly)


@pytest.mark.parametrize("chosen", [[], [0]])
def test_too_little_to_fit_is_one_line(examples: list[Example], chosen: Sequence[int], tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", examples[0].features.rows[:7])
    few = [replace(examples[i], features=ClipFeatures(tmp_path / "short.npy")) for i in chosen]
    with pytest.raises(DataError) as caught:
        bundle.fit(few, recipe=SMALL, progress=quietly)
    assert "\n" not in str(caught.value)


def test_the_aeg_decoder_can_be_fitted_alone(examples: list[Example], trained: tuple[Path, list[str]]) -> None:
    bundle = aeg.fit_aeg(examples, SMALL.aeg, seed=3)
    assert list(bundle.decoders) == ["aeg"]
    np.testing.assert_array_equal(bundle.affective.means, load_bundle(trained[0]).affective.means)


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has none."""
    rooms = importlib.import_module("valaro.models.training.fit")
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("lstm", "network"):
        monkeypatch.delitem(sys.modules, f"valaro.models.training.fit.{name}", raising=False)
        monkeypatch.delattr(rooms, name, raising=False)


@pytest.mark.usefixtures("no_torch")
def test_without_torch_one_line_says_what_to_install_before_anything_is_measured(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    with pytest.raises(DataError, match=r"^training the network needs torch: pip install 'valaro\[train\]'$"):
        train.train(folder, tmp_path / "model", progress=said.append)
    assert said == []
    assert run(["train", "--data", str(folder), "--output", str(tmp_path / "model")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == "valaro: training the network needs torch: pip install 'valaro[train]'"
    assert not (tmp_path / "model").exists()


def test_the_command_line_trains_and_names_the_bundle(
    folder: Path,
    trained: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "train", partial(train.train, recipe=SMALL))
    assert run(["train", "--data", str(folder), "--output", str(tmp_path / "model"), "--seed", "3"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(tmp_path / "model")
    assert "valaro: missing: emopia: " in captured.err
    assert "Traceback" not in captured.err
    assert_same(load_bundle(tmp_path / "model"), load_bundle(trained[0]))
