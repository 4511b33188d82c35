import numpy as np
from valaro.models.features import texture
from valaro.models.features.frame import BLOCK_SIZE, HOP_SIZE, HOPS, Features


def blocks(n: int, seed: int = 0) -> list[Features]:
    rng = np.random.default_rng(seed)
    return [
        Features(
            rng.standard_normal((HOPS, HOP_SIZE)).astype(np.float32),
            rng.standard_normal(BLOCK_SIZE).astype(np.float32),
            0.01,
            True,
        )
        for _ in range(n)
    ]


def run(rows: list[Features], state: texture.TextureState | None = None) -> tuple[texture.TextureState, np.ndarray]:
    state = texture.init() if state is None else state
    vector = np.zeros(texture.SIZE, np.float32)
    for row in rows:
        state, vector, _ = texture.step(state, row)
    return state, vector


def test_vector_has_its_size_and_forgets() -> None:
    state, vector = run(blocks(10))
    assert vector.shape == (texture.SIZE,)
    assert np.isfinite(vector).all()
    rest = blocks(600, seed=1)
    # After a minute nothing of the first second is left.
    np.testing.assert_allclose(run(rest, state)[1], run(rest)[1], atol=1e-4)


def test_silence_leaves_the_texture_alone() -> None:
    state, vector = run(blocks(10))
    silent = blocks(1, seed=2)[0]._replace(active=False)
    after, same, weight = texture.step(state, silent)
    assert weight == 0
    np.testing.assert_array_equal(vector, same)
    assert after.blocks == state.blocks


def test_step_leaves_its_state_alone() -> None:
    state, _ = run(blocks(3))
    before = [np.copy(part) for part in state]
    run(blocks(1, seed=3), state)
    for kept, part in zip(before, state, strict=True):
        np.testing.assert_array_equal(kept, part)


def test_a_texture_counts_once_it_says_something() -> None:
    state, weights = texture.init(), []
    for row in blocks(40):
        state, _, weight = texture.step(state, row)
        weights.append(weight)
    assert weights[:10] == [0.0] * 10
    assert weights == sorted(weights)
    assert weights[29:] == [1.0] * 11
