"""A small bundle that needs no training: for tests of the chain, not of its taste."""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from valaro.models import Bundle, load_bundle
from valaro.models.acoustic.activity import CLASSES, ActivityClassifier
from valaro.models.acoustic.gmm import GMM
from valaro.models.bundle import FUSION, Projection
from valaro.models.decoders.aeg import AffectiveGMM
from valaro.models.decoders.base import HOPS_PER_EMISSION, MELS, Evidence
from valaro.models.decoders.crf import CRF, near_pairs
from valaro.models.decoders.fusion import Pool
from valaro.models.decoders.lstm import LSTM
from valaro.models.features import texture
from valaro.models.grid import CELLS
from valaro.models.training.corpus.decoding import decode, pooled
from valaro.models.training.corpus.measure import ClipFeatures


def synthetic_bundle(components: int = 8, dimensions: int = 3, seed: int = 0) -> Bundle:
    """Random acoustic directions, affective Gaussians spread over the plane; the AEG decoder alone."""
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


@cache
def full_bundle() -> Bundle:
    """The same with a chain of random weights, a network, and pools of two kinds of sound."""
    plain = synthetic_bundle()
    components = plain.acoustic.components
    kinds = np.arange(components) % 2
    rng = np.random.default_rng(7)
    alone = {
        name: Pool((name,), kinds, rng.uniform(0.5, 1.5, (2, 1)), np.zeros((2, CELLS)))
        for name in ("aeg", "crf", "lstm")
    }
    bias = 0.1 * rng.standard_normal((2, CELLS))
    exponents = np.array([[0.5, 0.3, 0.6], [0.2, 0.7, 0.4]])
    fusion = Pool(("aeg", "crf", "lstm"), kinds, exponents, bias, np.array([0.0, 0.8]))
    return replace(plain, crf=synthetic_chain(components), lstm=synthetic_lstm(), pools={**alone, FUSION: fusion})


def synthetic_chain(components: int, seed: int = 1) -> CRF:
    """Random weights, pairs that mostly stay."""
    rng = np.random.default_rng(seed)
    source, target = near_pairs(1.5)
    features = texture.SIZE + components
    return CRF(
        mean=np.zeros(features),
        scale=np.ones(features),
        unary=0.1 * rng.standard_normal((features, CELLS)),
        bias=rng.standard_normal(CELLS),
        start=rng.standard_normal(CELLS),
        pair_from=source,
        pair_to=target,
        pair_weight=np.where(source == target, 2.0, 0.0),
    )


@cache
def synthetic_lstm() -> LSTM:
    """The shipped network: one of random weights takes PyTorch to make, which these tests do without."""
    lstm = load_bundle().lstm
    assert lstm is not None
    return lstm


def synthetic_classifier(hidden: int = 4, seed: int = 5) -> ActivityClassifier:
    """Random weights: it says something of everything, and means nothing."""
    rng = np.random.default_rng(seed)
    shapes = ((texture.SIZE,), (texture.SIZE, hidden), (hidden,), (hidden, len(CLASSES)), (len(CLASSES),))
    mean, slopes, *others = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    scale = rng.uniform(0.5, 2.0, texture.SIZE).astype(np.float32)
    return ActivityClassifier(mean, scale, np.float32(0.1) * slopes, *others)


def random_evidence(emissions: int, components: int = 8, seed: int = 3) -> list[Evidence]:
    """Numbers of the size that music gives."""
    rng = np.random.default_rng(seed)
    return [
        Evidence(
            rng.normal(-5, 2, (HOPS_PER_EMISSION, MELS)).astype(np.float32),
            rng.standard_normal(texture.SIZE).astype(np.float32),
            rng.dirichlet(np.ones(components)),
        )
        for _ in range(emissions)
    ]


def path_log_likelihood(model: CRF, x: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """log p(y | x) of whole paths: features (T, F), cells (R, T) -> (R,); -inf for a path with a forbidden pair."""
    potentials = model.potentials(x)
    pairs = np.full((CELLS, CELLS), -np.inf)
    pairs[model.pair_from, model.pair_to] = model.pair_weight
    score = potentials[np.arange(labels.shape[1]), labels].sum(axis=1) + model.start[labels[:, 0]]
    return score + pairs[labels[:, :-1], labels[:, 1:]].sum(axis=1) - model._forward(potentials)[1]


def folded_heatmaps(bundle: Bundle, features: ClipFeatures, decoder: str = FUSION) -> NDArray[np.float64]:
    """The heatmap at each emission of a measured clip: (emissions, 121)."""
    return pooled(decode(bundle, features), bundle.pool(decoder))
