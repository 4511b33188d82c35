import numpy as np
import pytest
from valaro.kernels import rhythm


def test_autocorrelation_is_the_discounted_sum_of_products() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal(60).astype(np.float32)
    lags, decay = 10, 0.95
    acf = np.zeros(lags + 1, np.float32)
    for start in range(0, 50, 5):
        rhythm.leaky_autocorrelation(x[start : start + lags + 5].copy(), lags, np.float32(decay), acf)
    expected = [
        sum(decay ** (59 - t) * float(x[t]) * float(x[t - lag]) for t in range(lags, 60)) for lag in range(lags + 1)
    ]
    np.testing.assert_allclose(acf, expected, rtol=1e-4, atol=1e-4)


def test_pulse_of_a_click_train_and_of_nothing() -> None:
    clicks = np.zeros(1100, np.float32)
    clicks[::24] = 1
    clicks -= clicks.mean()
    acf, out = np.zeros(101, np.float32), np.empty(2, np.float32)
    rhythm.leaky_autocorrelation(clicks, 100, np.float32(0.995), acf)
    rhythm.pulse(acf, 12, out)
    assert out[0] > 0.8
    assert out[1] == pytest.approx(24, abs=0.5)
    rhythm.pulse(np.zeros(101, np.float32), 12, out)
    np.testing.assert_array_equal(out, 0)


def test_noise_has_no_clear_pulse() -> None:
    noise = np.random.default_rng(5).standard_normal(2000).astype(np.float32)
    acf, out = np.zeros(101, np.float32), np.empty(2, np.float32)
    rhythm.leaky_autocorrelation(noise, 100, np.float32(0.995), acf)
    rhythm.pulse(acf, 12, out)
    assert out[0] < 0.4


def test_the_running_mean_is_plain_at_first_and_then_forgets() -> None:
    rng = np.random.default_rng(7)
    x = rng.random(400).astype(np.float32)
    out = np.empty(400, np.float32)
    middle = rhythm.remove_running_mean(x[:100], 0.0, 0.0, 0.01, out[:100])
    assert middle == pytest.approx(x[:100].mean(), rel=1e-6)
    last = rhythm.remove_running_mean(x[100:], middle, 100.0, 0.01, out[100:])
    mean, expected = 0.0, []
    for t, value in enumerate(x.tolist()):
        mean += max(0.01, 1 / (t + 1)) * (value - mean)
        expected.append(value - mean)
    assert last == pytest.approx(mean)
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_what_has_faded_is_nothing() -> None:
    acf = np.full(101, 2e-30, np.float32)
    rhythm.leaky_autocorrelation(np.zeros(300, np.float32), 100, np.float32(0.99), acf)
    np.testing.assert_array_equal(acf, 0)
