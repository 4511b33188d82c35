"""From a folder of annotated sound to a bundle and its figures, on sounds whose moods no one could mistake."""

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from valaro.models import Bundle, load_bundle
from valaro.models.errors import DataError
from valaro.models.features import BLOCK, BLOCKS
from valaro.models.tracker import Tracker
from valaro.models.training import evaluate, train
from valaro.models.training.cache import load_audio
from valaro.models.training.corpus import Example, gather
from valaro.streamer import Engine
from valaro.streamer.cli import run

from . import synthetic

CLIPS = 20
SECONDS = 6.0


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of these tests' own, and a model of a size for twenty clips."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALARO_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(train, "COMPONENTS", {"recordings": 8, "piano": 4})
        patch.setattr(train, "RIDGE", 1.0)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    synthetic.write_4q(root / "4q", CLIPS, SECONDS)
    return root


@pytest.fixture(scope="module")
def examples(folder: Path) -> list[Example]:
    return gather(folder, say=lambda _: None)


@pytest.fixture(scope="module")
def bundle(examples: list[Example]) -> Bundle:
    return train.fit(examples, seed=3)


def copied(folder: Path, tmp_path: Path) -> Path:
    """The same clips at the same times of modification: what was measured of them is still known."""
    return Path(shutil.copytree(folder, tmp_path / "data"))


def sound(folder: Path, example: Example) -> np.ndarray:
    return load_audio(folder / "4q" / "audio" / f"{example.id}.opus")


def arrays(bundle: Bundle) -> list[np.ndarray]:
    acoustic, affective = bundle.acoustic, bundle.affective
    projection = bundle.projection.mean, bundle.projection.matrix
    mixture = acoustic.weights, acoustic.means, acoustic.covariances
    return [*projection, *mixture, affective.means, affective.covariances]


def test_each_clip_comes_with_its_label_and_the_agreement_clip_is_left_out(examples: list[Example]) -> None:
    assert len(examples) == CLIPS
    for index, example in enumerate(examples):
        assert (example.set, example.quadrant, example.points) == ("4q", index % 4, None)
        assert example.group == f"Artist {index // 2}"
        assert example.fold == index // 4  # ten folds, joined in pairs
        assert example.vectors.shape[0] == example.weights.size == round(SECONDS * 10)
        assert np.all(np.isfinite(example.vectors))
        assert example.weights[0] == 0.0
        assert example.weights.max() == 1.0


def test_moods_that_differ_are_told_apart_on_artists_that_were_not_heard_before(examples: list[Example]) -> None:
    figures = evaluate.cross_validate(examples, progress=lambda _: None)
    assert list(figures) == ["4q"]
    assert len(figures["4q"]["accuracy"]["folds"]) == 5
    assert figures["4q"]["accuracy"]["mean"] >= 0.9
    assert figures["4q"]["macro_f1"]["mean"] >= 0.9


def test_with_the_labels_dealt_anew_nothing_is_learnt(examples: list[Example]) -> None:
    """Else the test above would measure a leak."""
    order = np.random.default_rng(5).permutation(CLIPS)
    dealt = [relabelled(example, examples[k].quadrant) for example, k in zip(examples, order, strict=True)]
    figures = evaluate.cross_validate(dealt, progress=lambda _: None)
    assert figures["4q"]["accuracy"]["mean"] < 0.6


def relabelled(example: Example, quadrant: int | None) -> Example:
    return Example(
        example.id, example.set, example.group, example.fold, example.vectors, example.weights, quadrant=quadrant
    )


def test_the_same_seed_gives_the_same_model(examples: list[Example], bundle: Bundle) -> None:
    for one, other in zip(arrays(bundle), arrays(train.fit(examples, seed=3)), strict=True):
        np.testing.assert_array_equal(one, other)
    means = train.fit(examples, seed=4).acoustic.means
    assert not np.array_equal(means, bundle.acoustic.means)


def test_the_figures_are_those_of_the_live_chain(folder: Path, examples: list[Example], bundle: Bundle) -> None:
    """What is scored, from vectors in the cache, is what an engine says of the same sound."""
    for example in examples[:4]:
        samples = sound(folder, example)
        scored = evaluate.heatmaps(bundle, example)
        theta = train.stream_theta(bundle.projection, bundle.acoustic, bundle.topics, example)
        tracker = Tracker(bundle)
        state = tracker.init()
        for block in range(len(example.vectors)):
            state, _ = tracker.step(state, samples[block * BLOCK : (block + 1) * BLOCK])
            if (block + 1) % BLOCKS == 0:
                now = block // BLOCKS
                np.testing.assert_allclose(theta[now], tracker.theta(state), atol=1e-6)
                np.testing.assert_allclose(scored[now], tracker.heatmap(state), atol=1e-6)
        engine = Engine(bundle, 24_000)
        live = np.stack([affect.heatmap.ravel() for affect in engine.push(samples) + engine.finish()])
        np.testing.assert_allclose(scored, live, atol=1e-6)
        assert np.ptp(scored, axis=0).max() > 0.01  # it is no constant that was compared


def test_a_folder_that_lacks_sets_trains_on_what_is_there_and_says_what_is_missing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--data", str(folder), "--output", str(tmp_path / "model"), "--seed", "7"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(tmp_path / "model")
    for name in ("emopia", "vgmidi"):
        assert f"valaro: missing: {name}: " in captured.err
    assert "Traceback" not in captured.err
    trained = load_bundle(tmp_path / "model")
    assert trained.card["trained_on"] == {"4q": CLIPS}
    assert trained.card["seed"] == 7
    assert trained.card["figures"]["4q"]["accuracy"] >= 0.9
    assert "non-commercial" in trained.card["licence"]


def test_a_broken_clip_is_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    data = copied(folder, tmp_path)
    broken = sorted((data / "4q" / "audio").iterdir())[1]
    broken.write_bytes(b"OggS and nothing of the kind")
    said: list[str] = []
    found = gather(data, said.append)
    assert len(found) == CLIPS - 1
    assert broken.stem not in {example.id for example in found}
    (line,) = [each for each in said if each.startswith("skipped: ")]
    assert broken.name in line
    assert len(arrays(train.fit(found))) == 7


def test_a_clip_without_one_emission_is_in_nobodys_way(folder: Path, tmp_path: Path) -> None:
    data = copied(folder, tmp_path)
    synthetic.opus(sorted((data / "4q" / "audio").iterdir())[0], synthetic.chord("Q1", 0.3))
    figures = evaluate.cross_validate(gather(data, lambda _: None), progress=lambda _: None)
    assert all(np.isfinite(value["mean"]) for value in figures["4q"].values())
    assert figures["4q"]["accuracy"]["mean"] >= 0.9


def test_one_group_alone_cannot_be_tested_on(examples: list[Example]) -> None:
    said: list[str] = []
    with pytest.raises(DataError, match="two groups in two folds"):
        evaluate.cross_validate([each for each in examples if each.group == "Artist 0"], progress=said.append)
    (line,) = said
    assert line.startswith("4q is trained on but not tested: fewer than two groups")


@pytest.mark.parametrize("chosen", [[], [0]])
def test_too_little_to_fit_is_one_line(examples: list[Example], chosen: Sequence[int]) -> None:
    few = [
        Example(e.id, e.set, e.group, e.fold, e.vectors[:7], e.weights[:7], 0) for e in (examples[i] for i in chosen)
    ]
    with pytest.raises(DataError):
        train.fit(few)


def test_the_tables_say_what_was_measured(
    folder: Path, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle.save(tmp_path / "model")
    arguments = ["evaluate", "--data", str(folder), "--model", str(tmp_path / "model")]
    assert run([*arguments, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    page = io.StringIO()
    console = Console(file=page, width=120)
    for table in evaluate.tables(figures):
        console.print(table)
    text = page.getvalue()
    assert "4q, streamed and causal, unseen artists" in text
    for label in ("macro-F1", "accuracy", "sign of valence", "sign of arousal", "after 5 s"):
        assert label in text
    assert f"{figures['4q']['accuracy']['mean']:.3f}" in text
    assert run(arguments) == 0
    assert "macro-F1" in capsys.readouterr().out


def test_all_sets_together(tmp_path: Path) -> None:
    """MIDI is rendered, raters' points are scored: their log-likelihoods beside those of the priors."""
    if shutil.which("fluidsynth") is None:
        pytest.skip("no fluidsynth on this machine")
    synthetic.write_4q(tmp_path / "4q", 8, 3.0)
    synthetic.write_emopia(tmp_path / "emopia", 8)
    synthetic.write_vgmidi(tmp_path / "vgmidi", 5)
    said: list[str] = []
    found = gather(tmp_path, said.append)
    if any("cannot be rendered" in line for line in said):
        pytest.skip(next(line for line in said if "cannot be rendered" in line))
    assert {name: sum(e.set == name for e in found) for name in ("4q", "emopia", "vgmidi")} == {
        "4q": 8,
        "emopia": 8,
        "vgmidi": 5,
    }
    bundle = train.fit(found)
    assert bundle.acoustic.components == 12
    assert bundle.acoustic.weights.sum() == pytest.approx(1.0)
    figures = evaluate.cross_validate(found, bundle=bundle, progress=said.append)
    assert set(figures) == {"4q", "emopia", "vgmidi"}
    scored = figures["vgmidi"]
    assert scored["uniform_log_likelihood"]["mean"] == pytest.approx(-np.log(121))
    assert scored["log_likelihood"]["mean"] > scored["uniform_log_likelihood"]["mean"]  # on what it was fitted to
    json.loads(json.dumps(figures), parse_constant=pytest.fail)  # no NaN, which is no JSON
