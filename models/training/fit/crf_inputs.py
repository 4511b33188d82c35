"""What the CRF is fitted to: texture and theta of every labelled clip, raters' own paths and quadrants."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from ...acoustic.gmm import GMM
from ...acoustic.topics import Topics
from ...bundle import Bundle, Projection
from ...decoders.base import Evidence, chain_features
from ...decoders.crf import CRF
from ...tracker import DecoderChain
from ..cache import cached
from ..corpus.decoding import stream_theta
from ..corpus.examples import Example
from ..corpus.targets import paths_of, quadrant_region
from ..recipe import CRFSettings
from ..source_digest import source_digest
from .crf import Labelled, fit_crf


def fitted_chain(bundle: Bundle, examples: Sequence[Example], settings: CRFSettings) -> CRF:
    """The CRF on texture and theta, from raters' own labels and from quadrants; kept in the cache."""
    labelled = [e for e in examples if e.set in settings.weights and _heard(e).any()]
    code = source_digest(fit_crf, CRF, _labelled, chain_inputs, paths_of, DecoderChain, GMM, Topics, Projection)
    content = hashlib.sha256(code.encode())
    mixture, projection = bundle.acoustic, bundle.projection
    for array in (mixture.weights, mixture.means, mixture.covariances, projection.mean, projection.matrix):
        content.update(array.tobytes())
    for e in labelled:
        content.update(repr((e.set, e.quadrant, e.features.path.name)).encode())
        if e.points is not None:
            content.update(paths_of(e.points).tobytes())
    key = (content.hexdigest(), settings)

    def compute() -> NDArray[np.uint8]:
        chain = fit_crf([_labelled(bundle, e, settings.weights[e.set]) for e in labelled], settings)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{part.name: getattr(chain, part.name) for part in fields(CRF)})
        return np.frombuffer(buffer.getvalue(), dtype=np.uint8)

    with np.load(io.BytesIO(bytes(cached(key, compute, "chains"))), allow_pickle=False) as arrays:
        return CRF(**{part.name: arrays[part.name] for part in fields(CRF)})


def _labelled(bundle: Bundle, example: Example, weight: float) -> Labelled:
    """The clip as the chain will hear it: in silence it waits."""
    heard = _heard(example)
    x = chain_inputs(bundle, example)[: heard.size][heard]
    if example.points is None:
        evidence = quadrant_region(example.quadrant or 0, len(x))
        return Labelled(x, evidence=evidence, weight=weight)
    return Labelled(x, labels=paths_of(example.points)[:, heard], weight=weight)


def _heard(example: Example) -> NDArray[np.bool_]:
    """Which of the labelled emissions have sound: (emissions that have a label,)."""
    last = example.features.emissions if example.points is None else int(example.points.emission.max(initial=-1)) + 1
    return example.features.sounding[:last]


def chain_inputs(bundle: Bundle, example: Example) -> NDArray[np.float32]:
    """What the chain sees of a clip: (emissions, F)."""
    theta, textures = stream_theta(bundle, example.features), example.features.textures
    nothing = np.zeros((0, 0), dtype=np.float32)
    return np.stack([chain_features(Evidence(nothing, t, k)) for t, k in zip(textures, theta, strict=True)])
