"""From sound to heatmaps: the stateful chain that the engine steps through."""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .acoustic import activity
from .acoustic.activity import MUSIC, ActivityState
from .acoustic.topics import TopicState
from .bundle import FUSION, Bundle
from .decoders.base import Evidence
from .features import dc_offset, texture
from .features.dc_offset import RoomState
from .features.frame import BLOCKS, EMISSION, HOP_COLUMNS, RATE, FeatureExtractor, Features, FeatureState
from .features.texture import TextureState
from .grid import CELLS

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


class DecoderMemory(NamedTuple):
    """What the decoders remember, and what they said last."""

    states: tuple[Any, ...]  # one a decoder
    told: NDArray[np.float64]  # (D, 121): each decoder's latest log heatmap
    presence: float  # 1 while there is sound; falls towards 0 in silence


class TrackerState(NamedTuple):
    """All that the chain remembers."""

    dc_offset: RoomState
    features: FeatureState
    texture: TextureState
    topics: TopicState
    log_mel: tuple[NDArray[np.float32], ...]  # of the blocks since the last emission, (5, 64) each
    active: bool  # whether any of them had sound
    decoders: DecoderMemory
    heatmap: NDArray[np.float64]  # (121,) at the last emission
    vector: NDArray[np.float32]  # (texture.SIZE,) at the last block
    judge: ActivityState  # whether it is music; where the bundle has no judge, all sound is
    past: tuple[tuple[DecoderMemory, TopicState], ...]  # of the last emissions that were taken for music


class Tracker:
    """``init() -> state``, ``step(state, block) -> (state, Features)``; every fifth block is an emission.

    ``decoder``: one of the bundle's by name, or the fusion of them. Raises BundleError for one that is not there.
    In silence the decoders wait, and what they said last fades to the neutral heatmap at the rate of the bundle's
    half-life. While the bundle's judge hears speech or noise, ``policy`` says what becomes of it. Training and scoring
    (``models.training.streams``) know no judge: they hear everything as ``pass`` does.
    """

    def __init__(self, bundle: Bundle, decoder: str = FUSION, policy: Policy = "drift") -> None:
        self._bundle = bundle
        self._policy = policy
        self._extractor = FeatureExtractor()
        self._pool = bundle.pool(decoder)
        self._decoders = [bundle.decoders[name] for name in self._pool.names]
        self._rest = bundle.affective.heatmap(bundle.topics.theta(bundle.topics.init()))
        self._fading = 2.0 ** (-EMISSION / RATE / bundle.half_life)

    def init(self) -> TrackerState:
        """Nothing heard: the heatmap is the neutral prior."""
        memory = DecoderMemory(
            tuple(decoder.init() for decoder in self._decoders), np.zeros((len(self._decoders), CELLS)), 0.0
        )
        return TrackerState(
            dc_offset=dc_offset.init(),
            features=self._extractor.init(),
            texture=texture.init(),
            topics=self._bundle.topics.init(),
            log_mel=(),
            active=False,
            decoders=memory,
            heatmap=self._rest,
            vector=_NO_SOUND,
            judge=activity.init(),
            past=(),
        )

    def step(self, state: TrackerState, block: NDArray[np.float32]) -> tuple[TrackerState, Features]:
        """Take the next 100 ms of 24 kHz mono sound, (2400,) float32, finite."""
        offset, block = dc_offset.step(state.dc_offset, block)
        if state.texture.blocks == 0 and begins_late(block):
            block = np.zeros_like(block)
        extracted, features = self._extractor.step(state.features, block)
        textured, vector, weight = texture.step(state.texture, features)
        topics = self._topics(state, vector, weight)
        new = state._replace(
            dc_offset=offset,
            features=extracted,
            texture=textured,
            topics=topics,
            log_mel=(*state.log_mel, features.hops[:, HOP_COLUMNS["log_mel"]]),
            active=state.active or features.active,
            vector=vector,
        )
        return (self._emit(new, weight) if len(new.log_mel) == BLOCKS else new), features

    def _steered(self, judge: ActivityState) -> bool:
        """Whether what sounds may say anything."""
        return self._policy == "pass" or judge.verdict == MUSIC

    def _topics(self, state: TrackerState, vector: NDArray[np.float32], weight: float) -> TopicState:
        if self._steered(state.judge):
            posteriors = self._bundle.acoustic.posteriors(self._bundle.projection(vector[None, :]))
            return self._bundle.topics.step(state.topics, posteriors, np.array([weight]))
        if self._policy == "hold":
            return state.topics
        return self._bundle.topics.step(state.topics, np.zeros((1, state.topics.mass.size)), np.zeros(1))

    def _emit(self, state: TrackerState, weight: float) -> TrackerState:
        judge, memory, topics, past = state.judge, state.decoders, state.topics, state.past
        if self._bundle.judge is not None:
            judge = self._bundle.judge.step(judge, state.vector, weight)
        steered = self._steered(judge)
        if not steered and past:
            memory, topics = past[0]
            past = ()
        evidence = Evidence(np.concatenate(state.log_mel), state.vector, self._bundle.topics.theta(topics))
        if state.active and steered:
            memory = self._decoded(memory, evidence)
        elif steered or self._policy == "drift":  # a pause of a talk that holds holds too
            memory = memory._replace(presence=memory.presence * self._fading)
        if steered and self._bundle.judge is not None:
            past = (*past[1 - _UNNOTICED :], (memory, topics))
        heatmap = self._pool(memory.told, self._pool.shares(evidence.theta))
        return state._replace(
            topics=topics,
            log_mel=(),
            active=False,
            decoders=memory,
            heatmap=memory.presence * heatmap + (1.0 - memory.presence) * self._rest,
            judge=judge,
            past=past,
        )

    def _decoded(self, memory: DecoderMemory, evidence: Evidence) -> DecoderMemory:
        stepped = [decoder.step(state, evidence) for decoder, state in zip(self._decoders, memory.states, strict=True)]
        return DecoderMemory(tuple(state for state, _ in stepped), np.stack([told for _, told in stepped]), 1.0)

    def theta(self, state: TrackerState) -> NDArray[np.float64]:
        """The topic posterior (K,) now (AEG Eq. 3, with forgetting)."""
        return self._bundle.topics.theta(state.topics)

    def heatmap(self, state: TrackerState) -> NDArray[np.float64]:
        """The heatmap (121,) of the last emission: non-negative, sums to 1; the neutral one before the first."""
        return state.heatmap
