"""Each kind of noise is what its name says, as far as numbers tell."""

import numpy as np
import pytest
from valaro.models.training.synthesis import noises
from valaro.models.training.synthesis.acoustics import Samples, rms
from valaro.models.training.synthesis.noises import NOISES, level

RATE = 24_000
N = 4 * RATE


def made(name: str, seed: int = 1) -> Samples:
    return NOISES[name](N, np.random.default_rng(seed))


def below(sound: Samples, hertz: float) -> float:
    """The share of its energy under a frequency."""
    power = np.square(np.abs(np.fft.rfft(sound)))
    return float(power[: int(hertz * N / RATE)].sum() / power.sum())


def peaked(sound: Samples) -> float:
    """Kurtosis: 3 for a steady rush, more for what is struck."""
    return float(np.mean(sound.astype(np.float64) ** 4))


@pytest.mark.parametrize("name", NOISES)
def test_every_noise_is_of_its_seed_finite_and_of_level_one(name: str) -> None:
    sound = made(name)
    assert sound.shape == (N,)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert rms(sound) == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_array_equal(sound, made(name))
    assert np.abs(sound - made(name, seed=2)).max() > 0.1


def test_they_lie_where_they_are_heard() -> None:
    assert np.median([below(made("traffic", seed), 1000) for seed in range(5)]) > 0.5
    assert below(made("wind"), 1000) > 0.8
    assert below(made("humming"), 1100) > 0.5
    assert below(made("rain"), 500) < 0.3
    assert np.median([below(made("applause", seed), 500) for seed in range(5)]) < 0.4


def test_what_is_struck_is_more_peaked_than_what_rushes() -> None:
    struck = np.median([peaked(made("clatter", seed)) for seed in range(5)])
    assert struck > 2 * peaked(made("hiss"))
    assert peaked(made("hiss")) == pytest.approx(3.0, abs=0.2)


def test_chatter_is_of_the_voices_given() -> None:
    """All of them high: so is the crowd."""
    high = level(np.sin(2 * np.pi * 5000 * np.arange(N) / RATE))
    crowd = noises.chatter(N, np.random.default_rng(0), [high])
    assert below(crowd, 4000) < 0.05
    assert below(made("chatter"), 4000) > 0.5
