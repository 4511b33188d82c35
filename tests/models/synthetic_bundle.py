"""A small bundle that needs no training: for tests of the chain, not of its taste."""

import numpy as np
from valaro.models import Bundle, texture
from valaro.models.aeg import AffectiveGMM
from valaro.models.bundle import Projection
from valaro.models.gmm import GMM


def synthetic_bundle(components: int = 8, dimensions: int = 3, seed: int = 0) -> Bundle:
    """Random acoustic directions, affective Gaussians spread over the plane."""
    rng = np.random.default_rng(seed)
    matrix = 0.02 * rng.standard_normal((texture.SIZE, dimensions))
    return Bundle(
        projection=Projection(rng.standard_normal(texture.SIZE).astype(np.float32), matrix.astype(np.float32)),
        acoustic=GMM(
            np.full(components, 1 / components),
            rng.standard_normal((components, dimensions)),
            np.tile(0.3 * np.eye(dimensions), (components, 1, 1)),
        ),
        affective=AffectiveGMM(rng.uniform(-0.8, 0.8, (components, 2)), np.tile(0.05 * np.eye(2), (components, 1, 1))),
        half_life=4.0,
        prior_seconds=1.0,
        card={"licence": "none: random numbers"},
    )
