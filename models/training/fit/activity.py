"""The classifier of music, speech and noise: fitted to scenes, and what it makes of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...acoustic import activity
from ...acoustic.activity import CLASSES, LIMIT, ActivityClassifier
from ..corpus.activity_scenes import KINDS, MUSIC, OPEN, Material, Scenes, materials, scenes
from ..corpus.examples import Progress
from ..recipe import ActivitySettings


class _Network(NamedTuple):
    """As in ``ActivityClassifier``."""

    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output: NDArray[np.float32]
    output_bias: NDArray[np.float32]


def fit_activity_classifier(
    parts: Sequence[tuple[str, Scenes]], settings: ActivitySettings, seed: int = 0
) -> ActivityClassifier:
    """The network that tells the classes apart, fitted to scenes of the kinds named; deterministic given the seed."""
    textures, labels = _chosen(parts, settings)
    mean, scale = textures.mean(axis=0), textures.std(axis=0) + 1e-6
    z = np.clip((textures - mean) / scale, -LIMIT, LIMIT)
    count = settings.networks
    networks = [_learnt(z, labels, settings, count * seed + k) for k in range(count)]
    bias = np.stack([network.output_bias for network in networks]).mean(axis=0)
    bias[MUSIC] += settings.favour
    # Side by side they are one network of all their units.
    return ActivityClassifier(
        mean,
        scale,
        np.concatenate([network.hidden for network in networks], axis=1),
        np.concatenate([network.hidden_bias for network in networks]),
        np.concatenate([network.output for network in networks]) / np.float32(count),
        bias,
    )


def _chosen(
    parts: Sequence[tuple[str, Scenes]], settings: ActivitySettings
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    textures, labels = [], []
    for kind, scenes_of_kind in parts:
        for stream in scenes_of_kind.streams():
            asked = stream.sounding & (stream.label != OPEN) & (np.arange(len(stream.label)) >= settings.fewest)
            asked &= np.arange(len(stream.label)) % settings.stride.get(kind, 1) == 0
            textures.append(stream.textures[asked])
            labels.append(stream.label[asked])
    return np.concatenate(textures), np.concatenate(labels)


def _learnt(z: NDArray[np.float32], labels: NDArray[np.int64], settings: ActivitySettings, seed: int) -> _Network:
    """Weights and biases of both layers, by cross-entropy in which the classes weigh alike."""
    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(z.shape[1], settings.hidden), nn.Tanh(), nn.Linear(settings.hidden, len(CLASSES))
        )
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=settings.decay)
        steps = settings.epochs * -(-len(z) // settings.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=steps)
        share = np.bincount(labels, minlength=len(CLASSES)) / labels.size
        loss = nn.CrossEntropyLoss(weight=torch.tensor(1 / share, dtype=torch.float32))
        x, y = torch.from_numpy(z.astype(np.float32)), torch.from_numpy(labels)
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(z)).split(settings.batch):
                optimiser.zero_grad()
                loss(network(x[rows]), y[rows]).backward()
                optimiser.step()
                schedule.step()
    hidden, hidden_bias, output, output_bias = (values.detach().numpy() for values in network.parameters())
    return _Network(hidden.T, hidden_bias, output.T, output_bias)


def train_activity_classifier(
    data: Path, settings: ActivitySettings, *, seed: int = 0, progress: Progress = print
) -> ActivityClassifier:
    """The classifier that a bundle ships, fitted to all folds.

    Raises
    ------
    DataError
        No music of five folds, no eSpeak NG, or PyTorch is not installed.
    """
    parts = gather_scenes(materials(data, settings, progress), KINDS, settings, progress)
    return fit_activity_classifier([part for fold in parts.values() for part in fold], settings, seed)


def gather_scenes(
    folds: Sequence[Material], kinds: Sequence[str], settings: ActivitySettings, progress: Progress
) -> dict[int, list[tuple[str, Scenes]]]:
    """The scenes of each kind, by fold."""
    by_fold: dict[int, list[tuple[str, Scenes]]] = {}
    for material in folds:
        by_fold[material.fold] = [(kind, scenes(kind, material, settings)) for kind in kinds]
        progress(f"heard the scenes of fold {material.fold}")
    return by_fold


def verdicts(classifier: ActivityClassifier, stream: Scenes) -> NDArray[np.int64]:
    """What the live chain would say at each emission of one scene: (E,), silence as what was said before it."""
    state, verdict = activity.init(), np.empty(len(stream.label), dtype=np.int64)
    scores = classifier.scores(stream.textures)
    for i, weight in enumerate(stream.weight):
        state = classifier.believe(state, scores[i], float(weight))
        verdict[i] = state.verdict
    return verdict
