import numpy as np
import pytest
from valaro.kernels import sound


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_mix_down_is_the_mean_with_what_is_no_sound_as_zero(channels: int) -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((500, channels)).astype(np.float32)
    samples[7:10, 0] = np.nan, np.inf, -np.inf
    samples[100, -1] = -16.5
    samples[101, -1] = 16.0
    samples.flags.writeable = False
    out = np.empty(500, np.float32)
    assert sound.mix_down(samples, np.float32(16.0), out) == 4
    mended = np.where(np.abs(samples) <= 16, samples, 0)
    np.testing.assert_allclose(out, mended.mean(axis=1, dtype=np.float64), atol=1e-6)
