"""From sound to heatmaps: the stateful chain that the engine steps through."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .acoustic import activity
from .acoustic.activity import MUSIC, ActivityState
from .acoustic.topics import TopicState
from .bundle import FUSION, Bundle
from .decoders.base import Evidence
from .decoders.fusion import Pool
from .features import dc_offset, texture
from .features.dc_offset import DCOffsetState
from .features.frame import BLOCKS, EMISSION, HOP_COLUMNS, RATE, FeatureExtractor, Features, FeatureState
from .features.texture import TextureState
from .grid import CELLS
from .snapshot import is_finite

# What speech and noise may do: nothing, while what the music said last fades to the neutral heatmap, as it does in
# silence; nothing, while that stays; or as much as music.
Policy = Literal["drift", "hold", "pass"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

# Emissions that it takes, at most times, to notice that the music is over: what they said is taken back then.
_UNNOTICED = 6

_NO_SOUND = np.zeros(texture.SIZE, dtype=np.float32)
_SILENT = 1e-8  # mean square: -80 dBFS, as the features have it
_MOMENT = RATE // 200  # 5 ms
_STEP = 1e-4  # 40 dB: a resampler's filter rings that softly before a sound begins


def begins_late(block: NDArray[np.float32]) -> bool:
    """Whether the sound begins inside the block.

    The first block of all is left out then: the step from nothing to something in its midst is like nothing in the
    music, and would colour the running texture for seconds.
    """
    power = np.square(block.reshape(-1, _MOMENT), dtype=np.float64).mean(axis=1)
    loudest = power.max()
    return bool(loudest > _SILENT and power[0] <= max(_SILENT, _STEP * loudest))


class FeatureChainState(NamedTuple):
    """What the features need to know of the past."""

    dc_offset: DCOffsetState
    features: FeatureState
    texture: TextureState


class BlockEvidence(NamedTuple):
    """What one block of 100 ms says."""

    features: Features
    vector: NDArray[np.float32]  # (texture.SIZE,): the running texture
    weight: float  # 0..1: how much the vector counts; 0 in silence


class FeatureChain:
    """Sound to features: the DC filter, the wait for the first whole block, the extractor, the running texture.

    ``init() -> state``, ``step(state, block) -> (state, BlockEvidence)``; holds constant tables only. The tracker steps
    it live, training folds it over whole clips.
    """

    def __init__(self) -> None:
        self._extractor = FeatureExtractor()

    def init(self) -> FeatureChainState:
        """Nothing heard."""
        return FeatureChainState(dc_offset.init(), self._extractor.init(), texture.init())

    def step(self, state: FeatureChainState, block: NDArray[np.float32]) -> tuple[FeatureChainState, BlockEvidence]:
        """Take the next 100 ms of 24 kHz mono sound, (2400,) float32, finite; ``state`` is left as it was."""
        offset, block = dc_offset.step(state.dc_offset, block)
        if state.texture.blocks == 0 and begins_late(block):
            block = np.zeros_like(block)
        extracted, features = self._extractor.step(state.features, block)
        textured, vector, weight = texture.step(state.texture, features)
        return FeatureChainState(offset, extracted, textured), BlockEvidence(features, vector, weight)


class DecoderMemory(NamedTuple):
    """What the decoders remember, and their latest output."""

    states: tuple[Any, ...]  # one a decoder
    log_heatmaps: NDArray[np.float64]  # (D, 121): each decoder's latest
    presence: float  # 1 while there is sound; falls towards 0 in silence


class DecoderChain:
    """Features to log heatmaps: the topic posterior, and decoders side by side that wait in silence.

    The tracker steps it live, with the policy on speech and noise around it; training folds it over measured clips.

    Parameters
    ----------
    bundle
        The model.
    names
        Which of its decoders, in the order of ``DecoderMemory.states``.

    Attributes
    ----------
    neutral : NDArray[np.float64]
        (121,), the heatmap of the prior over topics: what is said of nothing.
    """

    def __init__(self, bundle: Bundle, names: Sequence[str]) -> None:
        self._bundle = bundle
        self._decoders = [bundle.decoders[name] for name in names]
        self._fading = 2.0 ** (-EMISSION / RATE / bundle.half_life)
        self.neutral = bundle.affective.heatmap(bundle.topics.theta(bundle.topics.init()))

    def init(self) -> DecoderMemory:
        """Nothing heard."""
        states = tuple(decoder.init() for decoder in self._decoders)
        return DecoderMemory(states, np.zeros((len(self._decoders), CELLS)), 0.0)

    def topics(self, state: TopicState, vectors: NDArray[np.float32], weights: NDArray[np.float64]) -> TopicState:
        """Take blocks, oldest first, into the topic posterior: vectors (n, texture.SIZE), weights (n,) in 0..1."""
        return self._bundle.topics.step(
            state, self._bundle.acoustic.posteriors(self._bundle.projection(vectors)), weights
        )

    def theta(self, state: TopicState) -> NDArray[np.float64]:
        """The topic posterior (K,) now (AEG Eq. 3, with forgetting)."""
        return self._bundle.topics.theta(state)

    def step(self, memory: DecoderMemory, evidence: Evidence, sounding: bool) -> DecoderMemory:
        """Take one emission: decode it, or, where nothing sounded, let the last heatmaps fade by the half-life."""
        if not sounding:
            return memory._replace(presence=memory.presence * self._fading)
        steps = [decoder.step(state, evidence) for decoder, state in zip(self._decoders, memory.states, strict=True)]
        states, log_heatmaps = zip(*steps, strict=True)
        return DecoderMemory(states, np.stack(log_heatmaps), 1.0)


def pooled_heatmap(
    pool: Pool,
    log_heatmaps: NDArray[np.float64],
    theta: NDArray[np.float64],
    presence: float | NDArray[np.float64],
    neutral: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What is emitted: the pool of the decoders' heatmaps, faded to the neutral one by what their presence lacks.

    Parameters
    ----------
    pool
        Of decoders in the order of ``log_heatmaps``.
    log_heatmaps
        (D, ..., 121).
    theta
        (..., K): the topic posterior.
    presence
        (...), 0..1.
    neutral
        (121,).

    Returns
    -------
    NDArray[np.float64]
        (..., 121), non-negative, sums to 1.
    """
    share = np.asarray(presence)[..., None]
    return share * pool(log_heatmaps, pool.shares(theta)) + (1.0 - share) * neutral


class TrackerState(NamedTuple):
    """All that the chain remembers."""

    dc_offset: DCOffsetState
    features: FeatureState
    texture: TextureState
    topics: TopicState
    log_mel: tuple[NDArray[np.float32], ...]  # of the blocks since the last emission, (5, 64) each
    active: bool  # whether any of them had sound
    decoders: DecoderMemory
    heatmap: NDArray[np.float64]  # (121,) at the last emission
    vector: NDArray[np.float32]  # (texture.SIZE,) at the last block
    activity: ActivityState  # whether it is music; where the bundle has no activity classifier, all sound is
    past: tuple[tuple[DecoderMemory, TopicState], ...]  # of the last emissions that were taken for music


class Tracker:
    """``init() -> state``, ``step(state, block) -> (state, Features)``; every fifth block is an emission.

    In silence the decoders wait, and their last heatmaps fade to the neutral heatmap at the rate of the bundle's
    half-life. While the bundle's activity classifier hears speech or noise, ``policy`` decides what becomes of it.
    Training and scoring (``models.training.corpus.decoding``) know no activity classifier: they hear everything as
    ``pass`` does.

    Parameters
    ----------
    bundle
        The model.
    decoder
        One of the bundle's by name, or the fusion of them.
    policy
        ``"drift"``, ``"hold"`` or ``"pass"``.

    Raises
    ------
    BundleError
        The bundle has no such decoder.
    """

    def __init__(self, bundle: Bundle, decoder: str = FUSION, policy: Policy = "drift") -> None:
        self._bundle = bundle
        self._policy = policy
        self._pool = bundle.pool(decoder)
        self._features = FeatureChain()
        self._decoders = DecoderChain(bundle, self._pool.names)

    def init(self) -> TrackerState:
        """Nothing heard: the heatmap is the neutral prior."""
        return TrackerState(
            **self._features.init()._asdict(),
            topics=self._bundle.topics.init(),
            log_mel=(),
            active=False,
            decoders=self._decoders.init(),
            heatmap=self._decoders.neutral,
            vector=_NO_SOUND,
            activity=activity.init(),
            past=(),
        )

    def step(self, state: TrackerState, block: NDArray[np.float32]) -> tuple[TrackerState, Features]:
        """Take the next 100 ms of 24 kHz mono sound, (2400,) float32, finite."""
        past = FeatureChainState(state.dc_offset, state.features, state.texture)
        chain, (features, vector, weight) = self._features.step(past, block)
        new = state._replace(
            dc_offset=chain.dc_offset,
            features=chain.features,
            texture=chain.texture,
            topics=self._topics(state, vector, weight),
            log_mel=(*state.log_mel, features.hops[:, HOP_COLUMNS["log_mel"]]),
            active=state.active or features.active,
            vector=vector,
        )
        return (self._emit(new, weight) if len(new.log_mel) == BLOCKS else new), features

    def _gate_open(self, belief: ActivityState) -> bool:
        """Whether what sounds may move the heatmap."""
        return self._policy == "pass" or belief.verdict == MUSIC

    def _topics(self, state: TrackerState, vector: NDArray[np.float32], weight: float) -> TopicState:
        if self._gate_open(state.activity):
            return self._decoders.topics(state.topics, vector[None, :], np.array([weight]))
        if self._policy == "hold":
            return state.topics
        return self._bundle.topics.step(state.topics, np.zeros((1, state.topics.mass.size)), np.zeros(1))

    def _emit(self, state: TrackerState, weight: float) -> TrackerState:
        belief, memory, topics, past = state.activity, state.decoders, state.topics, state.past
        classifier = self._bundle.activity_classifier
        if classifier is not None:
            belief = classifier.step(belief, state.vector, weight)
        is_open = self._gate_open(belief)
        if not is_open and past:
            memory, topics = past[0]
            past = ()
        evidence = Evidence(np.concatenate(state.log_mel), state.vector, self._decoders.theta(topics))
        if is_open or self._policy == "drift":  # a pause of a talk that holds holds too
            memory = self._decoders.step(memory, evidence, sounding=state.active and is_open)
        if is_open and classifier is not None:
            past = (*past[1 - _UNNOTICED :], (memory, topics))
        neutral = self._decoders.neutral
        return state._replace(
            topics=topics,
            log_mel=(),
            active=False,
            decoders=memory,
            heatmap=pooled_heatmap(self._pool, memory.log_heatmaps, evidence.theta, memory.presence, neutral),
            activity=belief,
            past=past,
        )

    @property
    def neutral(self) -> NDArray[np.float64]:
        """(121,), what is said of nothing."""
        return self._decoders.neutral

    def healed(self, state: TrackerState) -> TrackerState:
        """The state without numbers that are none: each part, and each decoder, that holds one begins afresh."""
        fresh = self.init()
        memory = state.decoders
        pairs = zip(memory.states, fresh.decoders.states, strict=True)
        decoders = DecoderMemory(
            tuple(own if is_finite(own) else new for own, new in pairs),
            np.where(np.isfinite(memory.log_heatmaps).all(axis=1, keepdims=True), memory.log_heatmaps, 0.0),
            memory.presence if np.isfinite(memory.presence) else 0.0,
        )
        rest = {
            name: getattr(fresh, name)
            for name in state._fields
            if name != "decoders" and not is_finite(getattr(state, name))
        }
        # The half second that has begun goes on, or the emissions would no longer come by the clock.
        if "log_mel" in rest:
            rest["log_mel"] = tuple(np.nan_to_num(part, posinf=0.0, neginf=0.0) for part in state.log_mel)
        return state._replace(decoders=decoders, **rest)

    def theta(self, state: TrackerState) -> NDArray[np.float64]:
        """The topic posterior (K,) now (AEG Eq. 3, with forgetting)."""
        return self._decoders.theta(state.topics)

    def heatmap(self, state: TrackerState) -> NDArray[np.float64]:
        """The heatmap (121,) of the last emission: non-negative, sums to 1; the neutral one before the first."""
        return state.heatmap
