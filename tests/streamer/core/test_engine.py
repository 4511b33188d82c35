import gc
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from valaro.models import Bundle, load_bundle
from valaro.models.features.frame import BLOCK
from valaro.models.tracker import Tracker
from valaro.streamer import Affect, Engine
from valaro.streamer.errors import BundleError, InputError
from valaro.streamer.sources.demo import demo_piece

from ...models.synthetic_bundle import full_bundle, synthetic_bundle

BUNDLE = load_bundle()
RATE = 24_000


def music(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Chords struck twice a second over a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    roots = 220 * 2 ** (rng.integers(0, 12, 64) / 12)
    hz = roots[(t * 2).astype(int) % 64]
    phase = 2 * np.pi * np.cumsum(hz) / rate
    x = sum(np.sin(ratio * phase) / ratio for ratio in (1.0, 1.25, 1.5, 2.0)) * np.exp(-4 * (t % 0.5))
    return (0.1 * x + 0.002 * rng.standard_normal(t.size)).astype(np.float32)


def run(
    samples: np.ndarray,
    rate: int = RATE,
    chunks: list[int] | None = None,
    bundle: Bundle = BUNDLE,
    decoder: str = "fusion",
) -> list[Affect]:
    engine = Engine(bundle, rate, decoder)
    if chunks is None:
        return engine.push(samples) + engine.finish()
    emissions, start, i = [], 0, 0
    while start < len(samples):
        emissions += engine.push(samples[start : start + chunks[i % len(chunks)]])
        start += chunks[i % len(chunks)]
        i += 1
    return emissions + engine.finish()


def assert_same(a: list[Affect], b: list[Affect]) -> None:
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x.heatmap, y.heatmap)
        assert (x.time, x.valence, x.level, x.activity) == (y.time, y.valence, y.level, y.activity)


@pytest.mark.parametrize("rate", [24_000, 48_000, 44_100])
@settings(max_examples=12, deadline=None)
@given(chunks=st.lists(st.integers(1, 9_000), min_size=1, max_size=6))
def test_any_chunking_gives_the_same_emissions(rate: int, chunks: list[int]) -> None:
    samples = music(2.2, rate)
    chunks = [*chunks, 960]  # however small the drawn ones, the test ends
    assert_same(run(samples, rate), run(samples, rate, chunks))


@pytest.mark.parametrize("decoder", ["fusion", "aeg", "crf", "lstm"])
@pytest.mark.parametrize("chunks", [[480], [1, 11_999, 4_001], [30_000, 7]])
def test_any_chunking_is_the_same_to_every_decoder(decoder: str, chunks: list[int]) -> None:
    samples = np.concatenate([music(2.2), np.zeros(RATE, np.float32), music(1.3, seed=2)])
    whole = run(samples, bundle=full_bundle(), decoder=decoder)
    assert_same(whole, run(samples, chunks=chunks, bundle=full_bundle(), decoder=decoder))


@pytest.mark.parametrize("decoder", ["fusion", "aeg", "crf", "lstm"])
def test_a_reset_repeats_and_without_it_every_decoder_s_answer_differs(decoder: str) -> None:
    samples = music(2)
    engine = Engine(full_bundle(), RATE, decoder)
    first = engine.push(samples) + engine.finish()
    assert_same(first, engine.push(samples) + engine.finish())
    engine.push(music(3, seed=5))
    assert not np.allclose(first[-1].heatmap, engine.push(samples)[3].heatmap, atol=1e-6)


def test_the_decoder_is_chosen_by_name_and_is_the_fusion_unless_one_is() -> None:
    samples = music(2)
    heatmaps = {
        decoder: run(samples, bundle=full_bundle(), decoder=decoder)[-1].heatmap for decoder in ("aeg", "crf", "lstm")
    }
    for one, other in pairwise(heatmaps.values()):
        assert np.abs(one - other).max() > 1e-3
    fused = Engine(full_bundle(), RATE).push(samples)
    assert_same(fused, run(samples, bundle=full_bundle(), decoder="fusion"))
    with pytest.raises(BundleError, match="no decoder 'crf' in this bundle: choose one of fusion, aeg"):
        Engine(synthetic_bundle(), RATE, "crf")


def test_emission_k_is_due_at_exactly_12000_k_samples() -> None:
    engine = Engine(BUNDLE, RATE)
    samples = music(3)
    counts = [len(engine.push(samples[i : i + 1])) for i in range(24_001)]
    assert [i + 1 for i, n in enumerate(counts) if n] == [12_000, 24_000]
    assert [e.time for e in run(samples)] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 96_000, 192_000])
def test_no_drift_at_any_rate(rate: int) -> None:
    emissions = run(music(12, rate), rate)
    assert [e.time for e in emissions] == [0.5 * k for k in range(1, 25)]


def test_a_reset_repeats_and_without_it_all_differs() -> None:
    samples = music(2)
    engine = Engine(BUNDLE, RATE)
    first = engine.push(samples) + engine.finish()
    assert_same(first, engine.push(samples) + engine.finish())
    engine.push(music(3, seed=5))
    without = engine.push(samples)
    assert not np.allclose(first[-1].heatmap, without[3].heatmap, atol=1e-6)


def test_an_emission_is_what_the_contract_says() -> None:
    for emission in run(music(3)):
        assert emission.heatmap.shape == (11, 11)
        assert emission.heatmap.min() >= 0
        assert emission.heatmap.sum() == pytest.approx(1)
        centres = (np.arange(11) - 5) * 2 / 11
        assert emission.valence == pytest.approx(emission.heatmap.sum(axis=0) @ centres)
        assert emission.arousal == pytest.approx(emission.heatmap.sum(axis=1) @ centres)
        assert emission.quadrants.sum() == pytest.approx(1)
        entropy = -np.sum(emission.heatmap * np.log(emission.heatmap))
        assert emission.confidence == pytest.approx(1 - entropy / np.log(121))
        assert np.linalg.eigvalsh(emission.covariance).min() > 0
        assert 0 < emission.level < 1
        assert emission.activity == "music"


@pytest.mark.parametrize("decibels", [-40.0, -12.0, 12.0])
def test_gain_does_not_move_the_mean(decibels: float) -> None:
    samples = music(12)
    plain, louder = run(samples), run(samples * np.float32(10 ** (decibels / 20)))
    for a, b in zip(plain[4:], louder[4:], strict=True):
        assert abs(a.valence - b.valence) < 0.05
        assert abs(a.arousal - b.arousal) < 0.05


@pytest.mark.parametrize("offset", [0.1, -0.01])
def test_the_offset_of_a_sound_card_is_no_sound_and_does_not_move_the_mean(offset: float) -> None:
    samples = music(8)
    plain, shifted = run(samples), run(samples + np.float32(offset))
    for a, b in zip(plain, shifted, strict=True):
        assert abs(a.valence - b.valence) < 0.02
        assert abs(a.arousal - b.arousal) < 0.02
    for emission in run(np.full(2 * RATE, offset, np.float32)):
        assert emission.activity == "silence"


def test_a_fader_moved_during_the_show_is_forgotten() -> None:
    samples = music(80)
    moved = samples.copy()
    moved[10 * RATE :] *= np.float32(10 ** (-24 / 20))
    for a, b in zip(run(samples)[-10:], run(moved)[-10:], strict=True):
        assert abs(a.valence - b.valence) < 0.05
        assert abs(a.arousal - b.arousal) < 0.05


@pytest.mark.parametrize("bundle", [BUNDLE, full_bundle()], ids=["default", "synthetic"])
def test_silence_drifts_to_the_neutral_prior(bundle: Bundle) -> None:
    tracker = Tracker(bundle)
    prior = tracker.heatmap(tracker.init())
    emissions = run(np.concatenate([music(10), np.zeros(60 * RATE, np.float32)]), bundle=bundle)
    distance = [0.5 * np.abs(e.heatmap.ravel() - prior).sum() for e in emissions]
    assert emissions[19].activity == "music"
    assert all(e.activity == "silence" for e in emissions[22:])
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(distance[22:]))
    assert distance[-1] < 0.02
    assert emissions[-1].level == 0


def test_from_the_first_moment_silence_is_the_prior() -> None:
    tracker = Tracker(BUNDLE)
    for emission in run(np.zeros(2 * RATE, np.float32)):
        assert emission.activity == "silence"
        np.testing.assert_allclose(emission.heatmap.ravel(), tracker.heatmap(tracker.init()))


@pytest.mark.parametrize("milliseconds", [10, 20, 25, 80])
def test_where_in_a_block_the_sound_begins_does_not_matter(milliseconds: int) -> None:
    """At a rate that is resampled: the filter rings before the sound does, so that what precedes it is not nothing."""
    rate = 44_100
    sound = demo_piece(rate)[11 * rate : 19 * rate]
    late = np.concatenate([np.zeros(rate * milliseconds // 1000, dtype=np.float32), sound])
    at_once, later = run(sound, rate), run(late, rate)
    for axis in ("valence", "arousal"):
        apart = np.mean([getattr(a, axis) - getattr(b, axis) for a, b in zip(at_once, later, strict=False)])
        assert abs(apart) < 0.04  # was up to .17


def test_an_engine_resumes_from_what_another_remembered() -> None:
    sound = music(20)
    first, second, fresh = (Engine(BUNDLE, RATE) for _ in range(3))
    whole = first.push(sound)
    first = Engine(BUNDLE, RATE)
    first.push(sound[: 10 * RATE + 3 * BLOCK])
    second.resume(first.state)
    same, other = second.push(sound[10 * RATE :]), fresh.push(sound[10 * RATE :])
    assert [each.time for each in same] == [each.time for each in other]
    kept = np.array([np.abs(a.heatmap - b.heatmap).sum() for a, b in zip(whole[20:], same, strict=True)])
    lost = np.array([np.abs(a.heatmap - b.heatmap).sum() for a, b in zip(whole[20:], other, strict=True)])
    assert np.all(kept[:6] < 0.2 * lost[:6])


def test_channels_are_averaged() -> None:
    samples = music(1)
    stereo = np.stack([2 * samples, np.zeros_like(samples)], axis=1)
    for a, b in zip(run(samples), run(stereo), strict=True):
        np.testing.assert_allclose(a.heatmap, b.heatmap, atol=1e-9)


def test_resampled_sound_gives_nearly_the_same_answer() -> None:
    samples = music(4)
    up = soxr.resample(samples, RATE, 48_000)
    for a, b in zip(run(samples), run(up, 48_000), strict=True):
        assert abs(a.valence - b.valence) < 0.05
        assert abs(a.arousal - b.arousal) < 0.05


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_bad_samples_are_counted_and_harm_nobody(bad: float) -> None:
    samples = music(2)
    samples[1000:1100] = bad
    engine = Engine(BUNDLE, RATE)
    emissions = engine.push(samples)
    assert engine.bad_samples == 100
    assert all(np.isfinite(e.heatmap).all() for e in emissions)
    mended = music(2)
    mended[1000:1100] = 0
    assert_same(emissions, Engine(BUNDLE, RATE).push(mended))


@pytest.mark.long
def test_nothing_grows_in_the_steady_state() -> None:
    minute = music(60)
    engine = Engine(BUNDLE, RATE)

    def held() -> int:
        for start in range(0, minute.size, 480):
            engine.push(minute[start:][:480])
        gc.collect()  # also empties Python's stores of small tuples and floats
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        sizes = [held() for _ in range(8)]
    finally:
        tracemalloc.stop()
    # NumPy's and ONNX Runtime's stores of small blocks fill up at moments of their own, to a bound (447 blocks after
    # 36,000 steps); a leak grows in every minute, and a single float an emission would be 24 bytes.
    assert min(np.diff(sizes)) < 120 * 16


def leaves(state: object) -> Iterator[np.ndarray]:
    """All numbers of a state that is made of named tuples."""
    if isinstance(state, tuple):
        for part in state:
            yield from leaves(part)
    else:
        yield np.asarray(state)


def test_twenty_minutes_of_music_and_silence_leave_a_state_of_normal_numbers() -> None:
    """Silence lets means fade; were they to end as subnormal numbers, each block would cost many times as much."""
    tracker = Tracker(BUNDLE)
    sound = music(60).reshape(-1, BLOCK)
    state = tracker.init()
    for silence in (0, 4, 10, 0):  # minutes
        for block in sound:
            state, _ = tracker.step(state, block)
        for _ in range(silence * len(sound)):
            state, _ = tracker.step(state, np.zeros(BLOCK, np.float32))
        for numbers in leaves(state):
            assert np.isfinite(numbers).all()
            if numbers.dtype.kind == "f":
                assert not ((numbers != 0) & (np.abs(numbers) < np.finfo(numbers.dtype).tiny)).any()
    assert tracker.heatmap(state).sum() == pytest.approx(1)


def test_warm_up_leaves_no_trace() -> None:
    samples = music(1)
    engine = Engine(BUNDLE, RATE)
    engine.warm_up()
    assert_same(engine.push(samples), Engine(BUNDLE, RATE).push(samples))
    assert engine.bad_samples == 0


@pytest.mark.parametrize("rate", [0, -48_000, 10, 10_000_000, float("nan")])
def test_a_rate_that_cannot_be_meant(rate: float) -> None:
    with pytest.raises(InputError, match="sample rate"):
        Engine(BUNDLE, rate)


def test_odd_shapes() -> None:
    engine = Engine(BUNDLE, RATE)
    assert engine.push(np.zeros(0, np.float32)) == []
    assert engine.push(np.zeros((0, 2), np.float32)) == []
    with pytest.raises(ValueError, match="shape"):
        engine.push(np.zeros((2, 2, 2), np.float32))
