"""The judge of music, speech and noise: fitted to scenes, and what it makes of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...acoustic import activity
from ...acoustic.activity import CLASSES, LIMIT, ActivityClassifier
from ..corpus.activity_scenes import KINDS, MUSIC, OPEN, Material, Scenes, materials, scenes
from ..corpus.examples import Progress

NETWORKS = 4  # averaged: what one makes up where nothing was heard, the others do not
HIDDEN = 32  # units of each
EPOCHS = 16
BATCH = 512
LEARNING_RATE, DECAY = 6e-3, 1e-2
STRIDE = {"music": 4, "altered": 4}  # emissions of music between those that are learnt from
FEWEST = 2  # emissions heard before an answer is asked for
# Said of music in favour, in nats: to call music noise spoils the show, to call a moment's noise music hardly does.
FAVOUR = 1.0


class _Network(NamedTuple):
    """As in ``ActivityClassifier``."""

    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output: NDArray[np.float32]
    output_bias: NDArray[np.float32]


def fit_judge(parts: Sequence[tuple[str, Scenes]], seed: int = 0) -> ActivityClassifier:
    """The network that tells the classes apart, fitted to scenes of the kinds named; deterministic given the seed."""
    textures, labels = _chosen(parts)
    mean, scale = textures.mean(axis=0), textures.std(axis=0) + 1e-6
    z = np.clip((textures - mean) / scale, -LIMIT, LIMIT)
    networks = [_learnt(z, labels, NETWORKS * seed + k) for k in range(NETWORKS)]
    bias = np.stack([each.output_bias for each in networks]).mean(axis=0)
    bias[MUSIC] += FAVOUR
    # Side by side they are one network of all their units.
    return ActivityClassifier(
        mean,
        scale,
        np.concatenate([each.hidden for each in networks], axis=1),
        np.concatenate([each.hidden_bias for each in networks]),
        np.concatenate([each.output for each in networks]) / np.float32(NETWORKS),
        bias,
    )


def _chosen(parts: Sequence[tuple[str, Scenes]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    textures, labels = [], []
    for kind, each in parts:
        for stream in each.streams():
            asked = stream.sounding & (stream.label != OPEN) & (np.arange(len(stream.label)) >= FEWEST)
            asked &= np.arange(len(stream.label)) % STRIDE.get(kind, 1) == 0
            textures.append(stream.textures[asked])
            labels.append(stream.label[asked])
    return np.concatenate(textures), np.concatenate(labels)


def _learnt(z: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> _Network:
    """Weights and biases of both layers, by cross-entropy in which the classes weigh alike."""
    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(z.shape[1], HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, len(CLASSES)))
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=DECAY)
        steps = EPOCHS * -(-len(z) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
        share = np.bincount(labels, minlength=len(CLASSES)) / labels.size
        loss = nn.CrossEntropyLoss(weight=torch.tensor(1 / share, dtype=torch.float32))
        x, y = torch.from_numpy(z.astype(np.float32)), torch.from_numpy(labels)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(z)).split(BATCH):
                optimiser.zero_grad()
                loss(network(x[rows]), y[rows]).backward()
                optimiser.step()
                schedule.step()
    hidden, hidden_bias, output, output_bias = (each.detach().numpy() for each in network.parameters())
    return _Network(hidden.T, hidden_bias, output.T, output_bias)


def train_judge(data: Path, *, seed: int = 0, progress: Progress = print) -> ActivityClassifier:
    """The judge that a bundle ships, fitted to all folds.

    Raises:
        DataError: no music of five folds, no eSpeak NG, or PyTorch is not installed.
    """
    parts = gather_scenes(materials(data, progress), KINDS, progress)
    return fit_judge([part for fold in parts.values() for part in fold], seed)


def gather_scenes(
    folds: Sequence[Material], kinds: Sequence[str], progress: Progress
) -> dict[int, list[tuple[str, Scenes]]]:
    """The scenes of each kind, by fold."""
    found: dict[int, list[tuple[str, Scenes]]] = {}
    for material in folds:
        found[material.fold] = [(kind, scenes(kind, material)) for kind in kinds]
        progress(f"heard the scenes of fold {material.fold}")
    return found


def verdicts(judge: ActivityClassifier, stream: Scenes) -> NDArray[np.int64]:
    """What the live chain would say at each emission of one scene: (E,), silence as what was said before it."""
    state, said = activity.init(), np.empty(len(stream.label), dtype=np.int64)
    scores = judge.scores(stream.textures)
    for i, weight in enumerate(stream.weight):
        state = judge.believe(state, scores[i], float(weight))
        said[i] = state.verdict
    return said
