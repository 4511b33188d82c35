import numpy as np
from valaro.kernels import texture


def test_plain_statistics_then_exponential_ones() -> None:
    rng = np.random.default_rng(6)
    hops = rng.standard_normal((40, 5, 4)).astype(np.float32)
    blocks = rng.standard_normal((40, 3)).astype(np.float32)
    hop_columns, block_columns = np.array([0, 2]), np.array([1])
    mean, variance, within = np.zeros(3), np.zeros(3), np.zeros(2)
    for i in range(30):
        texture.accumulate(hops[i], blocks[i], hop_columns, block_columns, 1 / (i + 1), mean, variance, within)
    rows = np.concatenate([hops[:, :, hop_columns].mean(axis=1), blocks[:, block_columns]], axis=1)
    np.testing.assert_allclose(mean, rows[:30].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(variance, rows[:30].var(axis=0), atol=1e-6)
    np.testing.assert_allclose(within, hops[:30][:, :, hop_columns].std(axis=1).mean(axis=0), atol=1e-6)

    weights = np.full(30, 1 / 30)
    for i in range(30, 40):
        texture.accumulate(hops[i], blocks[i], hop_columns, block_columns, 0.1, mean, variance, within)
        weights = np.append(0.9 * weights, 0.1)
    expected = weights @ rows
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    np.testing.assert_allclose(variance, weights @ (rows - expected) ** 2, atol=1e-6)
