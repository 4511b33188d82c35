"""The stateful chain with all decoders: against its parts folded by hand, against what is scored, through silence."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from valaro.models import Bundle
from valaro.models.bundle import FUSION
from valaro.models.decoders.base import HOPS_PER_EMISSION, MELS, SHAPES, Evidence, chain_features
from valaro.models.errors import BundleError
from valaro.models.features import texture
from valaro.models.features.frame import BLOCK, BLOCKS, EMISSION, HOP_COLUMNS, RATE, FeatureExtractor
from valaro.models.grid import CELLS
from valaro.models.tracker import Tracker, TrackerState
from valaro.models.training.corpus.decoding import decode, pooled, stream_theta
from valaro.models.training.corpus.measure import ClipFeatures, measure
from valaro.streamer import Engine

from .synthetic_bundle import folded_heatmaps, full_bundle, random_evidence, synthetic_classifier

F32, F64 = NDArray[np.float32], NDArray[np.float64]
DECODERS = ("aeg", "crf", "lstm")


def music(seconds: float, seed: int = 0) -> F32:
    """Chords struck twice a second over a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    hz = (220 * 2 ** (rng.integers(0, 12, 64) / 12))[(t * 2).astype(int) % 64]
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    x = sum(np.sin(ratio * phase) / ratio for ratio in (1.0, 1.25, 1.5, 2.0)) * np.exp(-4 * (t % 0.5))
    return (0.1 * x + 0.002 * rng.standard_normal(t.size)).astype(np.float32)


def silence(seconds: float) -> F32:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return full_bundle()


# Silence at the start, music, silence that begins and ends within an emission, other music.
SOUND = np.concatenate([silence(1), music(3.3), silence(2.9), music(2.8, seed=5)])
EMISSIONS = SOUND.size // EMISSION


def blocks(samples: F32) -> list[F32]:
    return list(samples[: samples.size // BLOCK * BLOCK].reshape(-1, BLOCK))


def tracked(tracker: Tracker, samples: F32, state: TrackerState | None = None) -> tuple[TrackerState, F64]:
    """The state at the end and the heatmap of each emission."""
    state, rows = state or tracker.init(), []
    for i, block in enumerate(blocks(samples)):
        state, _ = tracker.step(state, block)
        if (i + 1) % BLOCKS == 0:
            rows.append(tracker.heatmap(state))
    return state, np.stack(rows)


class Moment(NamedTuple):
    """An emission as the parts see it."""

    evidence: Evidence
    active: bool


@pytest.fixture(scope="module")
def moments(bundle: Bundle) -> list[Moment]:
    """Features, texture and topics of SOUND, each stepped by itself."""
    extractor = FeatureExtractor()
    heard, textured, topics = extractor.init(), texture.init(), bundle.topics.init()
    found, log_mel, active = [], [], []
    for block in blocks(SOUND):
        heard, features = extractor.step(heard, block)
        textured, vector, weight = texture.step(textured, features)
        posteriors = bundle.acoustic.posteriors(bundle.projection(vector[None]))
        topics = bundle.topics.step(topics, posteriors, np.array([weight]))
        log_mel.append(features.hops[:, HOP_COLUMNS["log_mel"]])
        active.append(features.active)
        if len(log_mel) == BLOCKS:
            evidence = Evidence(np.concatenate(log_mel), vector, bundle.topics.theta(topics))
            found.append(Moment(evidence, any(active)))
            log_mel, active = [], []
    return found


def folded(bundle: Bundle, moments: list[Moment], decoder: str, *, forget_at: int | None = None) -> F64:
    """What the tracker's docstring says, spelled out: waiting in silence, fading by the half-life."""
    pool = bundle.pools[decoder]
    parts = [bundle.decoders[name] for name in pool.names]
    states: list[Any] = [part.init() for part in parts]
    rest = bundle.affective.heatmap(bundle.acoustic.weights)
    told: list[F64] = []
    rows, silent = [], 0.0
    for i, (evidence, active) in enumerate(moments):
        if i == forget_at:
            states = [part.init() for part in parts]
        silent = 0.0 if active else silent + EMISSION / RATE
        if active:
            stepped = [part.step(state, evidence) for part, state in zip(parts, states, strict=True)]
            states, told = [state for state, _ in stepped], [log_heatmap for _, log_heatmap in stepped]
        if told:
            now = pool(np.stack(told), pool.shares(evidence.theta))
            presence = 0.5 ** (silent / bundle.half_life)
            rows.append(presence * now + (1 - presence) * rest)
        else:
            rows.append(rest)
    return np.stack(rows)


def test_the_sound_of_these_tests_stops_and_goes_on(moments: list[Moment]) -> None:
    active = [moment.active for moment in moments]
    assert len(active) == EMISSIONS == 20
    assert not any(active[:2])
    assert all(active[2:8])
    assert sum(active[8:15]) in (1, 2, 3)  # the edges of the silence
    assert all(active[15:])


@pytest.mark.parametrize("decoder", [*DECODERS, FUSION])
def test_the_tracker_is_its_parts_folded(bundle: Bundle, moments: list[Moment], decoder: str) -> None:
    _, rows = tracked(Tracker(bundle, decoder), SOUND)
    np.testing.assert_allclose(rows, folded(bundle, moments, decoder), atol=1e-12)
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-9)
    assert rows.min() >= 0


def test_decoders_say_different_things_and_the_fusion_is_the_default(bundle: Bundle) -> None:
    rows = {decoder: tracked(Tracker(bundle, decoder), SOUND)[1] for decoder in (*DECODERS, FUSION)}
    for one, other in pairwise(rows.values()):
        assert np.abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(tracked(Tracker(bundle), SOUND)[1], rows[FUSION])


def test_an_unknown_decoder_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no decoder 'dbn'"):
        Tracker(bundle, "dbn")
    with pytest.raises(BundleError, match="no decoder 'dbn'"):
        Engine(bundle, RATE, decoder="dbn")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> ClipFeatures:
    """SOUND as training has it: rows in a file of the cache."""
    path = tmp_path_factory.mktemp("heard") / "rows.npy"
    np.save(path, measure(SOUND))
    return ClipFeatures(path)


@pytest.mark.parametrize("decoder", [*DECODERS, FUSION])
def test_what_is_scored_is_what_the_live_chain_says(bundle: Bundle, heard: ClipFeatures, decoder: str) -> None:
    scored = folded_heatmaps(bundle, heard, decoder)
    _, rows = tracked(Tracker(bundle, decoder), SOUND)
    np.testing.assert_allclose(scored, rows, atol=1e-5)
    engine = Engine(bundle, RATE, decoder)
    live = np.stack([affect.heatmap.ravel() for affect in engine.push(SOUND) + engine.finish()])
    np.testing.assert_allclose(scored, live, atol=1e-5)
    assert np.ptp(scored, axis=0).max() > 0.01  # it is no constant that was compared


def test_what_was_heard_comes_back_from_the_file(bundle: Bundle, heard: ClipFeatures, moments: list[Moment]) -> None:
    assert heard.emissions == EMISSIONS
    assert heard.log_mel.shape == (EMISSIONS * HOPS_PER_EMISSION, MELS)
    log_mel = heard.log_mel.reshape(EMISSIONS, *SHAPES["log_mel"])
    theta = stream_theta(bundle, heard)
    for i, (evidence, active) in enumerate(moments):
        np.testing.assert_array_equal(log_mel[i], evidence.log_mel)
        np.testing.assert_array_equal(heard.textures[i], evidence.texture)
        np.testing.assert_allclose(theta[i], evidence.theta, atol=1e-6)
        assert bool(heard.sounding[i]) == active


def test_one_telling_serves_every_pool(bundle: Bundle, heard: ClipFeatures) -> None:
    told = decode(bundle, heard)
    assert told.names == DECODERS
    assert told.log_heatmaps.shape == (3, EMISSIONS, CELLS)
    for decoder in (*DECODERS, FUSION):
        np.testing.assert_array_equal(pooled(told, bundle.pool(decoder)), folded_heatmaps(bundle, heard, decoder))


def test_before_any_sound_and_in_silence_from_the_start_all_is_rest(bundle: Bundle) -> None:
    rest = bundle.affective.heatmap(bundle.acoustic.weights)
    for decoder in (*DECODERS, FUSION):
        tracker = Tracker(bundle, decoder)
        np.testing.assert_allclose(tracker.heatmap(tracker.init()), rest, atol=1e-12)
        _, rows = tracked(tracker, silence(2))
        np.testing.assert_allclose(rows, np.tile(rest, (4, 1)), atol=1e-12)


def test_in_silence_what_was_said_last_fades_by_the_half_life(bundle: Bundle) -> None:
    """Of one kind of sound: with two, the shares move while theta goes back to its prior."""
    tracker = Tracker(bundle, "lstm")
    state, rows = tracked(tracker, music(3))
    _, after = tracked(tracker, silence(30), state)
    rest = tracker.heatmap(tracker.init())
    distance = np.abs(after - rest).sum(axis=1)
    assert np.abs(rows[-1] - rest).sum() > 0.1
    assert distance[-1] < 0.01 * np.abs(rows[-1] - rest).sum()
    half = round(bundle.half_life * RATE / EMISSION)  # emissions
    np.testing.assert_allclose(distance[20 + half], distance[20] / 2, rtol=0.05)
    assert all(later < earlier for earlier, later in pairwise(distance[2:]))


def test_when_music_resumes_the_decoders_go_on_from_where_they_were(bundle: Bundle, moments: list[Moment]) -> None:
    resumed = next(i for i in range(9, EMISSIONS) if moments[i].active and not moments[i - 1].active)
    for decoder in ("crf", "lstm"):
        _, rows = tracked(Tracker(bundle, decoder), SOUND)
        anew = folded(bundle, moments, decoder, forget_at=resumed)
        assert np.abs(rows[resumed] - anew[resumed]).max() > 1e-4


def test_the_length_of_a_silence_does_not_move_a_decoder_s_memory(bundle: Bundle) -> None:
    tracker = Tracker(bundle)
    state, _ = tracked(tracker, np.concatenate([music(3), silence(1)]))
    later, _ = tracked(tracker, silence(5), state)
    for one, other in zip(state.decoders.states, later.decoders.states, strict=True):
        for part, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, same)
    np.testing.assert_array_equal(state.decoders.log_heatmaps, later.decoders.log_heatmaps)
    assert later.decoders.presence < state.decoders.presence < 1


def test_a_state_is_not_changed_by_stepping_on_and_repeats(bundle: Bundle) -> None:
    tracker = Tracker(bundle)
    state, _ = tracked(tracker, music(2.3))  # in the middle of an emission
    first, rows = tracked(tracker, music(1, seed=2), state)
    again, same = tracked(tracker, music(1, seed=2), state)
    np.testing.assert_array_equal(rows, same)
    np.testing.assert_array_equal(first.decoders.log_heatmaps, again.decoders.log_heatmaps)
    _, anew = tracked(tracker, music(1, seed=2))
    assert np.abs(rows - anew).max() > 1e-3


def test_evidence_is_of_the_shapes_that_decoders_are_told(moments: list[Moment]) -> None:
    evidence = moments[5].evidence
    for name, shape in SHAPES.items():
        assert getattr(evidence, name).shape == shape
        assert getattr(evidence, name).dtype == np.float32
    assert [each.log_mel.shape for each in random_evidence(1)] == [evidence.log_mel.shape]
    features = chain_features(evidence)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features[: texture.SIZE], evidence.texture)
    np.testing.assert_allclose(features[texture.SIZE :], evidence.theta, rtol=1e-6)


def test_the_scored_stream_of_a_clip_that_ends_within_an_emission_has_only_whole_ones(
    bundle: Bundle, tmp_path: Path
) -> None:
    samples = music(1.8)
    np.save(tmp_path / "rows.npy", measure(samples))
    scored = folded_heatmaps(bundle, ClipFeatures(tmp_path / "rows.npy"))
    assert scored.shape == (3, CELLS)
    np.testing.assert_allclose(scored, tracked(Tracker(bundle), samples)[1], atol=1e-5)


@pytest.mark.parametrize("decoder", [*DECODERS, FUSION])
def test_the_cached_evidence_folded_gives_the_heatmaps_of_a_tracker_that_lets_all_pass(
    bundle: Bundle, tmp_path: Path, decoder: str
) -> None:
    """With a DC offset, which the filter takes out, and an activity classifier, which ``pass`` does not ask.

    Weights and log heatmaps are kept as float32, 6e-8 of their size: a cell's mass is within 5e-7 of the live one.
    """
    samples = SOUND + np.float32(0.02)
    np.save(tmp_path / "rows.npy", measure(samples))
    tracker = Tracker(replace(bundle, activity_classifier=synthetic_classifier()), decoder, "pass")
    _, live = tracked(tracker, samples)
    np.testing.assert_allclose(
        folded_heatmaps(bundle, ClipFeatures(tmp_path / "rows.npy"), decoder), live, rtol=0, atol=5e-7
    )
    vectors = ClipFeatures(tmp_path / "rows.npy").textures
    state = tracker.init()
    for i, block in enumerate(blocks(samples)):
        state, _ = tracker.step(state, block)
        if (i + 1) % BLOCKS == 0:
            np.testing.assert_array_equal(vectors[i // BLOCKS], state.vector)
    np.save(tmp_path / "clean.npy", measure(SOUND))
    clean = ClipFeatures(tmp_path / "clean.npy").textures
    assert np.abs(vectors - clean).max() < 0.1 * np.ptp(clean)  # the offset was taken out
