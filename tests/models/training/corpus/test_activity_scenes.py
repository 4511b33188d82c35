"""Scenes of music, speech and noise: of their fold alone, labelled as they sound, heard as the live chain hears."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from valaro.models.errors import DataError
from valaro.models.features import texture
from valaro.models.features.frame import BLOCK, EMISSION, RATE
from valaro.models.tracker import Tracker
from valaro.models.training.corpus import activity_scenes
from valaro.models.training.corpus.activity_scenes import FOLDS, KINDS, MUSIC, NOISE, OPEN, SPEECH, Material
from valaro.models.training.evaluation import activity as activity_evaluation
from valaro.models.training.evaluation import activity_report
from valaro.models.training.fit import activity
from valaro.models.training.recipe import RECIPE, ActivitySettings
from valaro.models.training.synthesis import speech
from valaro.models.training.synthesis.acoustics import rms
from valaro.models.training.synthesis.noises import NOISES

from ...synthetic_bundle import synthetic_bundle
from .. import synthetic

if shutil.which(speech.PROGRAM) is None and os.environ.get("CI") != "true":
    pytest.skip(f"{speech.PROGRAM} is not installed", allow_module_level=True)


SETTINGS = ActivitySettings(scenes=dict.fromkeys(RECIPE.activity.scenes, 1), voices=10, voice_seconds=8)


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Material]]:
    root = tmp_path_factory.mktemp("scenes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALARO_CACHE", str(root / "cache"))
        synthetic.write_4q(root / "data" / "4q", clips=20, seconds=3.0)
        yield activity_scenes.materials(root / "data", SETTINGS, lambda _: None)


def test_what_one_fold_is_made_of_no_other_is(folds: list[Material]) -> None:
    assert len(folds) == FOLDS
    for parts in ([fold.music for fold in folds], [fold.voices for fold in folds]):
        members = [member for part in parts for member in part]
        assert len(members) == len(set(members))
        assert all(parts)
    assert sum(len(fold.music) for fold in folds) == 20  # and not the clip that is kept for judging personalisation


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_of_its_number_and_its_labels_of_its_kind(folds: list[Material], kind: str) -> None:
    sound, labels = activity_scenes.scene(kind, folds[1], 0)
    again, same = activity_scenes.scene(kind, folds[1], 0)
    np.testing.assert_array_equal(sound, again)
    np.testing.assert_array_equal(labels, same)
    assert np.isfinite(sound).all()
    assert labels.shape == (sound.size // EMISSION,)
    allowed = {
        "music": {MUSIC},
        "altered": {MUSIC},
        "speech": {SPEECH},
        "noise": {NOISE},
        "talk over": {MUSIC, SPEECH, OPEN},
        "noise over": {MUSIC, NOISE, OPEN},
        "talk in noise": {SPEECH, NOISE, OPEN},
        "show": {MUSIC, SPEECH, NOISE, OPEN},
    }[kind]
    assert set(labels) <= allowed


def test_the_louder_one_gives_its_name(folds: list[Material]) -> None:
    """Whatever the decibels that are drawn."""
    for number in range(12):
        sound, label = activity_scenes._alone_or_over("talk over", folds[0], "fan", RATE, np.random.default_rng(number))
        over = np.random.default_rng(number).uniform(-20, 20)
        assert label == (MUSIC if over <= 4 else SPEECH if over >= 12 else OPEN)
        assert rms(sound) > 0


def test_measured_scenes_are_what_the_tracker_hears(folds: list[Material]) -> None:
    found = activity_scenes.scenes("speech", folds[0], SETTINGS)
    sound, labels = activity_scenes.scene("speech", folds[0], 0)
    tracker = Tracker(synthetic_bundle())
    state, vectors = tracker.init(), []
    for i, block in enumerate(sound[: found.label.size * EMISSION].reshape(-1, BLOCK)):
        state, _ = tracker.step(state, block)
        if i % 5 == 4:
            vectors.append(state.vector)
    assert found.textures.shape == (labels.size, texture.SIZE)
    np.testing.assert_allclose(found.textures, np.stack(vectors), atol=1e-4)
    np.testing.assert_array_equal(found.label, labels)
    (only,) = found.streams()
    np.testing.assert_array_equal(only.weight, found.weight)


def test_a_voice_speaks_as_long_as_it_should_and_no_two_alike(folds: list[Material]) -> None:
    one, other = speech.voice(0, 8), speech.voice(1, 8)
    assert one.size == other.size == 8 * RATE
    assert np.abs(one - other).max() > 0.1
    np.testing.assert_array_equal(one, speech.voice(0, 8))


@pytest.mark.train
def test_a_judge_of_a_few_scenes_knows_them_and_the_report_can_be_read(folds: list[Material]) -> None:
    heard = activity.gather_scenes(folds[:2], KINDS, SETTINGS, lambda _: None)
    parts = [part for each in heard.values() for part in each]
    judge = activity.fit_activity_classifier(parts, SETTINGS, seed=1)
    for kind, label in (("music", MUSIC), ("speech", SPEECH)):
        (stream,) = dict(heard[0])[kind].where(dict(heard[0])[kind].scene == 0).streams()
        said = activity.verdicts(judge, stream)
        assert said[0] == MUSIC  # from which all begins
        assert said[-1] == label
    again = activity.fit_activity_classifier(parts, SETTINGS, seed=1)
    np.testing.assert_array_equal(judge.hidden, again.hidden)
    tally = activity_evaluation._Tally()
    for name, place, label in (("4q", "as it is", "music"), ("fan", "room", "noise"), ("over talk", "10", "music")):
        tally.add(name, place, dict(heard[0])[label], judge)
    found = tally.report() | {
        "changes": {"music to talk": activity_evaluation._spread([2.0, 2.5, float("inf")])},
        "never_heard": dict.fromkeys(NOISES, 1.0),
    }
    text = activity_report.activity_markdown(found)
    assert "| 4q |" in text
    assert "| talk |" in text
    assert found["changes"]["music to talk"] == {"median": 2.5, "p90": 2.5, "missed": 0.3333}


def test_without_the_program_or_the_music_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic.write_4q(tmp_path / "4q", clips=2, seconds=1.0)
    with pytest.raises(DataError, match="no music for each of five folds"):
        activity_scenes.materials(tmp_path, SETTINGS, lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="install espeak-ng"):
        activity_scenes.materials(tmp_path, SETTINGS, lambda _: None)
