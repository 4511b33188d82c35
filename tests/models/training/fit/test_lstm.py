"""Teaching the network: that it learns, that it learns the same again, and what its cache is keyed by."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from valaro.models.decoders.lstm import LSTM
from valaro.models.features import texture
from valaro.models.features.frame import BLOCKS
from valaro.models.grid import quadrants
from valaro.models.training.corpus.examples import NEVER, Example, Progress
from valaro.models.training.corpus.measure import ClipFeatures
from valaro.models.training.datasets.labels import Points, Trace
from valaro.models.training.fit import lstm
from valaro.models.training.fit.network import Network
from valaro.models.training.recipe import LSTMSettings

EMISSIONS = 10
QUICK = LSTMSettings(epochs=1, emissions=EMISSIONS)
COLUMNS = texture.SIZE + 2 + 5 * 64


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALARO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def heard(folder: Path, name: str, quadrant: int, seed: int) -> ClipFeatures:
    """Rows as if a clip had been measured: low, high, all or no bands, and a texture that says the same."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 0.3, (EMISSIONS * BLOCKS, COLUMNS)).astype(np.float32)
    rows[:, :20] += quadrant
    rows[:, texture.SIZE : texture.SIZE + 2] = 1
    bands = rows[:, texture.SIZE + 2 :].reshape(len(rows), 5, 64)
    bands -= 5
    bands[..., :32] += 3 * (quadrant % 2)
    bands[..., 32:] += 3 * (quadrant // 2)
    np.save(folder / f"{name}.npy", rows)
    return ClipFeatures(folder / f"{name}.npy")


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """Sixteen clips of the four quadrants, tagged and taught, and one of each other kind of label."""
    folder = tmp_path_factory.mktemp("toys")
    rng = np.random.default_rng(0)
    examples = []
    for i in range(16):
        quadrant, moods = i % 4, ("Calm",) if i % 4 > 1 else ("Angry", "Loud")
        teacher = np.full((2, 200), quadrant, np.float32) + rng.normal(0, 0.1, (2, 200)).astype(np.float32)
        own = heard(folder, f"q{i}", quadrant, i)
        examples.append(Example(f"q{i}", "4q", f"a{i}", i % 5, own, quadrant=quadrant, moods=moods, teacher=teacher))
    points = Points(np.repeat(np.arange(8), 2), np.tile([0, 1], 8), np.full(16, 0.8), np.full(16, 0.8))
    examples.append(Example("v", "vgmidi", "v", 0, heard(folder, "v", 0, 30), points=points))
    examples.append(Example("f", "emotify", "f", NEVER, heard(folder, "f", 2, 31), feelings=(0.1,) * 9))
    flat = np.full(4, 0.1)
    trace = Trace("7", "emomusic", None, np.array([1.0, 1.5, 2.0, 2.5]), flat, -flat, flat + 0.1, flat + 0.1)
    examples.append(Example("emomusic-7", "emomusic", "7", 2, heard(folder, "t", 3, 32), trace=trace))
    return examples


def losses(said: Sequence[str]) -> dict[str, list[float]]:
    """Each head's loss, epoch by epoch."""
    found = [dict(re.findall(r"(\w+) (\d+\.\d+)", line)) for line in said if line.startswith("network, epoch")]
    return {name: [float(row[name]) for row in found] for name in found[0]}


def quietly(_: str) -> None:
    pass


def test_all_losses_fall_and_the_quadrants_are_told_apart(toys: list[Example]) -> None:
    said: list[str] = []
    network = lstm.fit_network(toys, replace(QUICK, epochs=40, dropout=0.0), 0, said.append)
    fell = losses(said)
    assert set(fell) == {"teacher", "heatmap", "moods", "feelings"}
    for name, values in fell.items():
        assert np.mean(values[-4:]) < 0.7 * np.mean(values[:3]), name
    clips = [toy for toy in toys if toy.quadrant is not None]
    with torch.no_grad():
        log_mel = torch.from_numpy(np.stack([clip.features.log_mel for clip in clips]))
        textures = torch.from_numpy(np.stack([clip.features.textures for clip in clips]))
        heatmaps = torch.softmax(network(log_mel, textures)["heatmap"], dim=-1).double().numpy()
    guessed = quadrants(heatmaps[:, 4:]).mean(axis=1).argmax(axis=1)
    assert np.mean(guessed == [clip.quadrant for clip in clips]) >= 0.9


def test_the_same_seed_learns_the_same_and_another_does_not(toys: list[Example]) -> None:
    once, again, other = (lstm.fit_network(toys, QUICK, seed, quietly).state_dict() for seed in (1, 1, 2))
    for name, values in once.items():
        assert torch.equal(values, again[name]), name
    assert not torch.equal(once["heatmap.weight"], other["heatmap.weight"])


def test_what_was_learnt_is_kept_and_can_be_stepped(toys: list[Example]) -> None:
    said: list[str] = []
    model = lstm.learnt(toys, QUICK, 0, said.append)
    assert len(said) == QUICK.epochs
    assert lstm.learnt(toys, QUICK, 0, said.append) == model
    assert len(said) == QUICK.epochs  # nothing was learnt anew
    LSTM(model).init()


def test_several_parts_are_each_learnt_once(toys: list[Example], monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[int] = []
    fit = lstm.fit_network

    def counted(examples: Sequence[Example], settings: LSTMSettings, seed: int, progress: Progress) -> Network:
        learnt.append(len(examples))
        return fit(examples, settings, seed, progress)

    monkeypatch.setattr(lstm, "fit_network", counted)
    parts = [toys[:6], toys[6:11]]
    lstm.learn_all(parts, QUICK, 5, quietly, 1)
    assert learnt == [6, 5]
    lstm.learn_all([*parts, toys[11:15]], QUICK, 5, quietly, 1)
    assert learnt == [6, 5, 4]
    for part in parts:
        lstm.learnt(part, QUICK, 5, quietly)
    assert len(learnt) == 3


def changed(example: Example, kind: str) -> Example:
    """The same clip with a little of one label changed."""
    if kind == "points":
        assert example.points is not None
        return replace(example, points=example.points._replace(valence=-example.points.valence))
    if kind == "trace":
        assert example.trace is not None
        return replace(example, trace=replace(example.trace, arousal=example.trace.arousal + 0.1))
    if kind == "teacher":
        assert example.teacher is not None
        return replace(example, teacher=example.teacher + 1)
    values = {"quadrant": 3, "moods": ("Calm", "Loud"), "feelings": (0.2,) * 9, "altered": (example.features,)}
    return replace(example, **{kind: values[kind]})


@pytest.mark.parametrize(
    ("index", "kind"),
    [(0, "quadrant"), (0, "moods"), (0, "teacher"), (0, "altered"), (16, "points"), (17, "feelings"), (18, "trace")],
)
def test_the_key_changes_with_every_label(toys: list[Example], index: int, kind: str) -> None:
    other = [changed(toy, kind) if i == index else toy for i, toy in enumerate(toys)]
    assert lstm._key(other, QUICK, 0) != lstm._key(toys, QUICK, 0)


def test_the_key_changes_with_the_clips_and_the_seed_and_not_with_what_a_test_knows(toys: list[Example]) -> None:
    key = lstm._key(toys, QUICK, 0)
    assert lstm._key(toys, QUICK, 1) != key
    assert lstm._key(toys[1:], QUICK, 0) != key
    # Neither fold nor group is learnt from: a clip's network is the same, wherever it is tested.
    assert lstm._key([replace(toy, fold=4 - toy.fold, group="other") for toy in toys], QUICK, 0) == key
    assert lstm._key(toys, replace(QUICK, decay=0.03), 0) != key


def test_clips_without_teacher_or_tags_are_enough(toys: list[Example]) -> None:
    bare = [replace(toy, moods=None, teacher=None) for toy in toys[:6]]
    said: list[str] = []
    lstm.fit_network(bare, QUICK, 0, said.append)
    assert losses(said)["teacher"] == [0.0]
    assert losses(said)["moods"] == [0.0]
    assert losses(said)["heatmap"][0] > 0


def test_a_clip_longer_or_shorter_than_a_crop_is_cut_or_padded(toys: list[Example]) -> None:
    rng = np.random.default_rng(0)
    known = lstm._known(toys[:16])
    for emissions in (4, EMISSIONS, 16):
        crop = lstm._crop(toys[0], replace(QUICK, emissions=emissions), rng, known)
        assert crop.log_mel.shape == (25 * emissions, 64)
        assert crop.weight.shape == (emissions,)
        heard = min(emissions, EMISSIONS)
        assert np.all(crop.weight[:heard] > 0)
        assert not crop.weight[heard:].any()
        assert crop.weight[0] == 0.25  # the first half second says little
        assert not crop.region[heard:].any()
    # The padded end: silence, and no label. Teacher's windows end at 3.01 and 4.01 s: in the 6th and 8th half second.
    assert np.all(crop.log_mel[25 * EMISSIONS :] < -13)
    assert np.flatnonzero(crop.taught).tolist() == [5, 7]


def batch_of(clips: Sequence[Example]) -> lstm._Crop:
    crops = [lstm._crop(clip, QUICK, np.random.default_rng(0), lstm._known(clips)) for clip in clips]
    return lstm._Crop(*(np.stack(arrays) for arrays in zip(*crops, strict=True)))


def test_crops_are_played_over_one_another_at_one_level(toys: list[Example]) -> None:
    batch = batch_of(toys[:4])
    log_mel, textures, share, others = lstm._mixed(batch, replace(QUICK, mixed=1.0), np.random.default_rng(0))
    assert 0.5 <= share < 1
    np.testing.assert_array_equal(others.region, batch.region[[3, 0, 1, 2]])
    np.testing.assert_allclose(textures, share * batch.texture + (1 - share) * others.texture, rtol=1e-6)
    mixed = np.exp(log_mel.numpy().astype(np.float64))
    level = batch.log_mel.mean(axis=(1, 2), keepdims=True) - others.log_mel.mean(axis=(1, 2), keepdims=True)
    summed = share * np.exp(batch.log_mel) + (1 - share) * np.exp(others.log_mel + level)
    np.testing.assert_allclose(mixed, summed, rtol=1e-4)

    log_mel, textures, share, _ = lstm._mixed(batch, replace(QUICK, mixed=0.0), np.random.default_rng(0))
    assert share == 1.0
    np.testing.assert_array_equal(log_mel, batch.log_mel)
    np.testing.assert_array_equal(textures, batch.texture)


def test_a_quadrant_asks_less_of_single_moments_than_of_the_average(toys: list[Example]) -> None:
    batch = batch_of(toys[:1])  # in Q1
    inside = torch.log(torch.from_numpy(batch.region[0, 0]).clamp(min=1e-6))
    outside = torch.log((1 - torch.from_numpy(batch.region[0, 0])).clamp(min=1e-6))
    settled, nothing = EMISSIONS // 2, torch.zeros_like(inside)
    steady = lstm._unlikelihood(nothing.expand(1, EMISSIONS, -1), batch)
    torn = torch.stack([inside] * (EMISSIONS - settled) + [outside] * settled)[None]
    moments = -torch.log(torch.tensor([1.0, 1e-6])).mean()
    assert float(steady) == pytest.approx(np.log(4), rel=0.05)
    assert float(lstm._unlikelihood(torn, batch)) < float(moments)  # by the average alone it would be about log 2
