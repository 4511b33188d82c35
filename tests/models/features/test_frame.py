import librosa
import numpy as np
import pytest
from scipy.fft import dct
from valaro.models.features.frame import (
    BLOCK,
    BLOCK_COLUMNS,
    BLOCK_SIZE,
    HOP,
    HOP_COLUMNS,
    HOP_SIZE,
    HOPS,
    RATE,
    FeatureExtractor,
    Features,
)

EXTRACTOR = FeatureExtractor()


def extract(samples: np.ndarray, state=None) -> list[Features]:  # noqa: ANN001 - FeatureState or None
    state = EXTRACTOR.init() if state is None else state
    rows = []
    for start in range(0, samples.size - BLOCK + 1, BLOCK):
        state, features = EXTRACTOR.step(state, samples[start : start + BLOCK])
        rows.append(features)
    return rows


def tones(seconds: float, *hz: float, beat: float = 0.5) -> np.ndarray:
    """Decaying harmonic notes struck together, once every ``beat`` seconds."""
    t = np.arange(round(seconds * RATE)) / RATE
    envelope = np.exp(-6 * (t % beat))
    partials = sum(np.sin(2 * np.pi * f * h * t) / h for f in hz for h in range(1, 6))
    return (0.05 * envelope * partials).astype(np.float32)


def block_feature(rows: list[Features], name: str) -> np.ndarray:
    return np.stack([row.block[BLOCK_COLUMNS[name]] for row in rows])


C_MAJOR, A_MINOR = (261.6, 329.6, 392.0), (220.0, 261.6, 329.6)


def test_shapes_and_finiteness_for_any_sound() -> None:
    rng = np.random.default_rng(0)
    for sound in (
        np.zeros(3 * BLOCK, np.float32),
        np.full(3 * BLOCK, 0.5, np.float32),
        rng.standard_normal(3 * BLOCK).astype(np.float32),
        np.sign(tones(0.3, 440.0)),
        np.eye(1, 3 * BLOCK, 100, dtype=np.float32)[0],
        np.full(3 * BLOCK, 1e-30, np.float32),
    ):
        for row in extract(sound):
            assert row.hops.shape == (HOPS, HOP_SIZE)
            assert row.block.shape == (BLOCK_SIZE,)
            assert np.isfinite(row.hops).all()
            assert np.isfinite(row.block).all()


def test_silence_and_dc_are_not_active_and_music_is() -> None:
    assert not any(row.active for row in extract(np.zeros(5 * BLOCK, np.float32)))
    # The step at the start of a constant is a click; what follows is nothing.
    assert not any(row.active for row in extract(np.full(10 * BLOCK, 0.5, np.float32))[2:])
    assert all(row.active for row in extract(tones(2, *C_MAJOR)))


def test_mfcc_are_librosas_on_the_same_frames() -> None:
    x = tones(3, *C_MAJOR) + 0.01 * np.random.default_rng(1).standard_normal(3 * RATE).astype(np.float32)
    hops = np.concatenate([row.hops for row in extract(x)])
    # Hop h is the window of 2,048 samples that ends with sample 480 (h + 1).
    padded = np.concatenate([np.zeros(2048 - HOP, np.float32), x])
    mel = librosa.feature.melspectrogram(
        y=padded, sr=RATE, n_fft=2048, hop_length=HOP, center=False, n_mels=64, fmin=20.0
    )
    full = slice(HOP_COLUMNS["log_mel"].start, HOP_COLUMNS["log_mel"].stop)
    ours, theirs = hops[:, full], np.log(mel.T + 1e-12)
    # We divide by the running reference: the same for all bands of a hop. The floor only touches the faintest.
    loud = ours > np.log(1e-6) + 4
    difference = np.where(loud, ours - theirs, np.nan)
    assert loud.mean() > 0.5
    spread = np.nanmax(difference, axis=1) - np.nanmin(difference, axis=1)
    assert np.nanmax(spread) < 0.03
    np.testing.assert_allclose(hops[:, HOP_COLUMNS["mfcc"]], dct(ours, norm="ortho", axis=1)[:, :20], atol=2e-3)


@pytest.mark.parametrize("decibels", [-30.0, 12.0])
def test_gain_falls_out(decibels: float) -> None:
    rng = np.random.default_rng(2)
    x = tones(6, *A_MINOR) + 0.003 * rng.standard_normal(6 * RATE).astype(np.float32)
    gain = np.float32(10 ** (decibels / 20))
    for a, b in zip(extract(x), extract(x * gain), strict=True):
        np.testing.assert_allclose(a.hops, b.hops, atol=0.02)
        np.testing.assert_allclose(a.block, b.block, atol=0.02)


def test_a_change_of_gain_in_the_middle_is_forgotten() -> None:
    x = tones(60, *A_MINOR)
    changed = x.copy()
    changed[5 * RATE :] *= np.float32(10 ** (-20 / 20))
    level = HOP_COLUMNS["level"]
    late = slice(-50, None)
    before, after = (np.concatenate([r.hops[:, level] for r in extract(s)[late]]).mean() for s in (x, changed))
    assert abs(before - after) < 1.0  # dB, of a change of 20


def test_whole_is_streamed_is_repeated_after_a_reset() -> None:
    x = tones(2, *C_MAJOR)
    first = extract(x)
    again = extract(x)
    state, _ = EXTRACTOR.step(EXTRACTOR.init(), x[:BLOCK])
    carried = extract(x[BLOCK:], state)
    not_reset = extract(x, state)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.hops, b.hops)
    for a, b in zip(first[1:], carried, strict=True):
        np.testing.assert_array_equal(a.hops, b.hops)
        np.testing.assert_array_equal(a.block, b.block)
    assert not np.array_equal(first[0].block, not_reset[0].block)


def test_step_leaves_its_state_alone() -> None:
    state, _ = EXTRACTOR.step(EXTRACTOR.init(), tones(0.1, 440.0))
    before = [np.copy(part) for part in state]
    EXTRACTOR.step(state, tones(0.1, 550.0))
    for kept, part in zip(before, state, strict=True):
        np.testing.assert_array_equal(kept, part)


def test_mode_and_chords_tell_major_from_minor() -> None:
    scale = {"major": (0, 2, 4, 5, 7, 9, 11, 12), "minor": (0, 2, 3, 5, 7, 8, 10, 12)}
    mode = {}
    for name, steps in scale.items():
        tonic = (0, steps[2], 7)
        notes = [tones(0.5, *(220 * 2 ** (s / 12) for s in (step, *tonic))) for step in steps]
        mode[name] = block_feature(extract(np.concatenate(notes)), "key")[-1, 0]
    assert mode["major"] > 0.05
    assert mode["minor"] < -0.05
    chords = {
        name: block_feature(extract(tones(1, *hz)), "chords")[-1]
        for name, hz in {"major": C_MAJOR, "minor": A_MINOR}.items()
    }
    assert chords["major"][0] > chords["major"][1]
    assert chords["minor"][1] > chords["minor"][0]


def test_pulse_finds_the_beat() -> None:
    clarity, period, _ = block_feature(extract(tones(8, 440.0, beat=0.4)), "pulse")[-1]
    assert clarity > 0.6
    # Any multiple of the beat up to two seconds is a period of it.
    beats = 0.5 * 2**period / 0.4
    assert abs(beats - round(beats)) < 0.05
    assert round(beats) >= 1


def test_roughness_register_and_tonalness_order_sounds() -> None:
    noise = (0.1 * np.random.default_rng(3).standard_normal(RATE)).astype(np.float32)
    low, high = extract(tones(1, 110.0))[-1].block, extract(tones(1, 880.0))[-1].block
    cluster, fifth = extract(tones(1, 440.0, 466.2, 494.0))[-1].block, extract(tones(1, 440.0, 660.0))[-1].block
    register, rough, tonal = (BLOCK_COLUMNS[name].start for name in ("register", "roughness", "tonalness"))
    assert high[register] > low[register] + 2
    assert cluster[rough] > 2 * fifth[rough]
    assert fifth[tonal] > extract(noise)[-1].block[tonal] + 3
