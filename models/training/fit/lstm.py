"""Teaching the recurrent decoder's network: all labels at once, and a teacher's view of the sound where there is one.

The heatmap learns from quadrants and raters' points, by the likelihoods of ``training.corpus.targets``. Beside it the
same layers learn to say what MusiCNN (trained on a million songs) would, window by window, which needs no human label,
which mood tags 4Q's clips carry, and what Emotify's listeners felt:
what ten hours of labelled music cannot teach alone.
"""

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from llvmlite.binding import get_host_cpu_features
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...decoders.base import HOPS_PER_EMISSION, MELS
from ...features.texture import SIZE
from ...grid import CELLS
from ..cache import cached, is_cached
from ..corpus.examples import Example, Progress
from ..corpus.measure import ClipFeatures
from ..corpus.targets import quadrant_region
from ..datasets.unlabelled import TEACHER_SIZE, teacher_times
from ..parallel import quietly, side_by_side
from ..recipe import LSTMSettings
from ..source_digest import source_digest
from .network import Network, exported

_SETTLED = 4  # emissions until a label counts in full: the first half second says little
_QUIET = -13.8  # log-mel of silence
# Where the processor does not multiply bfloat16 itself a step takes twelve times as long as with float32.
_BFLOAT16 = any(get_host_cpu_features().get(name) for name in ("avx512bf16", "amx-bf16", "bf16"))


class _Crop(NamedTuple):
    """One crop of an example, padded to ``settings.emissions`` = E; or a batch of them, (B, ·) each."""

    log_mel: NDArray[np.float32]
    texture: NDArray[np.float32]
    weight: NDArray[np.float32]  # (E,): 0 where there is nothing, or only silence
    cells: NDArray[np.float32]  # (E, 121): what the raters said; zero where nobody rated
    region: NDArray[np.float32]  # (E, 121): the quadrant's share of each cell; zero for no quadrant
    importance: NDArray[np.float32]  # (): of its set to the heatmap
    teacher: NDArray[np.float32]
    taught: NDArray[np.float32]  # (E,): 1 where there is a teacher's window
    moods: NDArray[np.float32]  # 1 for each tag that the clip has
    tagged: NDArray[np.float32]  # (): 1 if its tags are known
    feelings: NDArray[np.float32]  # the shares of listeners who felt each
    felt: NDArray[np.float32]  # (): 1 if they are known


class _Known(NamedTuple):
    """What all examples together say: the mood tags there are, how many feelings, the teacher's mean and deviation."""

    tags: tuple[str, ...]
    feelings: int
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]


def learnt(examples: Sequence[Example], settings: LSTMSettings, seed: int, progress: Progress) -> bytes:
    """The network fitted to ``examples``, as ONNX; kept in the cache by all that it depends on."""

    def compute() -> NDArray[np.uint8]:
        return np.frombuffer(exported([fit_network(examples, settings, seed, progress)]), dtype=np.uint8)

    return bytes(cached(_key(examples, settings, seed), compute, "networks"))


def learn_all(
    parts: Sequence[Sequence[Example]], settings: LSTMSettings, seed: int, progress: Progress, processes: int
) -> None:
    """Have ``learnt`` ready for each of several selections of examples, ``processes`` of them at a time."""
    waiting = [part for part in parts if not is_cached(_key(part, settings, seed), "networks")]
    if len(waiting) < 2 or processes < 2:
        for part in waiting:
            learnt(part, settings, seed, progress)
        return
    progress(f"learning {len(waiting)} networks, {processes} at a time: a quarter of an hour or more each")
    for done, _ in enumerate(side_by_side(partial(_learn, settings, seed), waiting, processes), 1):
        progress(f"learnt {done} of {len(waiting)} networks")


def _learn(settings: LSTMSettings, seed: int, examples: Sequence[Example]) -> None:
    learnt(examples, settings, seed, quietly)


def _key(examples: Sequence[Example], settings: LSTMSettings, seed: int) -> tuple[object, ...]:
    """Changes with the code, the sound of the clips, their order, their labels and the recipe."""
    content = hashlib.sha256(source_digest(fit_network, exported).encode())
    for e in examples:
        heard = (e.features.path.name, *(other.path.name for other in e.altered))  # named by what was measured, and how
        content.update(repr((e.set, e.id, e.quadrant, e.moods, e.feelings, heard)).encode())
        if e.points is not None or e.trace is not None:
            content.update(e.histogram.tobytes())
        if e.teacher is not None:
            content.update(e.teacher.tobytes())
    return content.hexdigest(), settings, seed


def fit_network(examples: Sequence[Example], settings: LSTMSettings, seed: int, progress: Progress) -> Network:
    """One network, from random weights; deterministic given the seed."""
    torch.set_num_threads(1)  # several learn at once better than one on several processors
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    known = _known(examples)
    network = Network(len(known.tags), known.feelings, settings.dropout)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.decay)
    per_epoch = max(int(sum(settings.crops[e.set] for e in examples)) // settings.batch, 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.epochs * per_epoch, pct_start=0.15
    )
    weights = torch.tensor([settings.teacher, settings.heatmap, settings.moods, settings.feelings])
    network.train()
    for epoch in range(settings.epochs):
        order = _order(examples, settings, rng)[: per_epoch * settings.batch]
        totals = torch.zeros(len(weights))
        for start in range(0, len(order), settings.batch):
            crops = [_crop(examples[i], settings, rng, known) for i in order[start : start + settings.batch]]
            batch = _Crop(*(np.stack(arrays) for arrays in zip(*crops, strict=True)))
            log_mel, textures, share, others = _mixed(batch, settings, rng)
            with torch.autocast("cpu", torch.bfloat16, enabled=_BFLOAT16):
                outputs = network(_disguised(log_mel, rng), textures)
            losses = share * _losses(outputs, batch) + (1 - share) * _losses(outputs, others)
            optimiser.zero_grad()
            (weights * losses).sum().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            totals += losses.detach()
        named = zip(("teacher", "heatmap", "moods", "feelings"), totals.tolist(), strict=True)
        shown = ", ".join(f"{name} {total / per_epoch:.4f}" for name, total in named)
        progress(f"network, epoch {epoch + 1} of {settings.epochs}: losses {shown}")
    return network.eval()


def _order(examples: Sequence[Example], settings: LSTMSettings, rng: np.random.Generator) -> NDArray[np.intp]:
    """Which examples an epoch takes, shuffled: the crops of each, the fractions drawn."""
    wanted = np.array([settings.crops[e.set] for e in examples])
    times = np.floor(wanted) + (rng.random(len(wanted)) < wanted % 1)
    order = rng.permutation(np.repeat(np.arange(len(examples)), times.astype(np.intp)))
    return np.concatenate(
        [order, order[: settings.batch]]
    )  # where the draw came out short, its front fills the last batch


def _mixed(batch: _Crop, settings: LSTMSettings, rng: np.random.Generator) -> tuple[Tensor, Tensor, float, _Crop]:
    """Crops played over one another, at the same level (mixup; Zhang et al., ICLR 2018).

    Returns
    -------
    tuple
        Log-mel and texture, the share of each crop in its own mixture, and the crops that have the rest of it.
    """
    log_mel, textures = torch.from_numpy(batch.log_mel), torch.from_numpy(batch.texture)
    if rng.random() >= settings.mixed:
        return log_mel, textures, 1.0, batch
    share = float(rng.beta(settings.mixup, settings.mixup))
    share = max(share, 1.0 - share)
    others = _Crop(*(np.roll(array, 1, axis=0) for array in batch))
    other = torch.from_numpy(others.log_mel)
    other = other + (log_mel.mean((1, 2), keepdim=True) - other.mean((1, 2), keepdim=True))
    log_mel = torch.logaddexp(log_mel + np.log(share), other + np.log(max(1.0 - share, 1e-6)))
    textures = share * textures + (1.0 - share) * torch.from_numpy(others.texture)
    return log_mel, textures, share, others._replace(weight=np.minimum(batch.weight, others.weight))


def _losses(outputs: dict[str, Tensor], batch: _Crop) -> Tensor:
    """Of the teacher's view, the heatmap, the moods and the feelings: (4,)."""
    weight, taught, importance = (torch.from_numpy(a) for a in (batch.weight, batch.taught, batch.importance))
    missed = (outputs["teacher"].float() - torch.from_numpy(batch.teacher)).square().mean(-1)
    teacher = (missed * taught).sum() / taught.sum().clamp(min=1)
    heatmap = (_unlikelihood(outputs["heatmap"], batch) * importance).sum() / importance.sum().clamp(min=1e-6)
    over_clip = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))[..., None]
    logits, moods = (outputs["moods"].float() * over_clip).sum(1), torch.from_numpy(batch.moods)
    wrong = functional.binary_cross_entropy_with_logits(logits, moods, reduction="none").mean(-1)
    shares = torch.sigmoid((outputs["feelings"].float() * over_clip).sum(1))
    off = (shares - torch.from_numpy(batch.feelings)).square().mean(-1)
    tagged, felt = torch.from_numpy(batch.tagged), torch.from_numpy(batch.felt)
    return torch.stack([teacher, heatmap, (wrong * tagged).mean(), (off * felt).mean()])


def _unlikelihood(logits: Tensor, batch: _Crop) -> Tensor:
    """Minus the mean log-likelihood of each crop's labels, (B,): 0 for a crop without.

    A quadrant is the clip's: half of its likelihood is that of the mass averaged over the crop, by which single
    moments may lie elsewhere.
    """
    log_heatmap = functional.log_softmax(logits.float(), dim=-1)
    region, cells, weight = (torch.from_numpy(a) for a in (batch.region, batch.cells, batch.weight))
    inside = torch.logsumexp(log_heatmap + torch.log(region.clamp(min=1e-9)), dim=-1)
    has_region, has_cells = (region.sum(-1) > 0).float() * weight, cells.sum(-1) * weight
    likelihood = inside * has_region + (log_heatmap * cells).sum(-1) * weight
    moments = likelihood.sum(1) / (has_region + has_cells).sum(1).clamp(min=1e-6)
    average = (inside.exp() * has_region).sum(1) / has_region.sum(1).clamp(min=1e-6)
    whole = torch.where(has_region.sum(1) > 0, torch.log(average.clamp(min=1e-9)), moments)
    return -(moments + whole) / 2


def _crop(example: Example, settings: LSTMSettings, rng: np.random.Generator, known: _Known) -> _Crop:
    heard: ClipFeatures = example.features
    if example.altered and rng.random() < settings.altered:
        heard = example.altered[rng.integers(len(example.altered))]
    n, size = heard.emissions, settings.emissions
    start = int(rng.integers(0, n - size + 1)) if n > size else 0
    end = min(start + size, n)
    length = end - start
    crop = _Crop(
        np.full((size * HOPS_PER_EMISSION, MELS), _QUIET, np.float32),
        np.zeros((size, SIZE), np.float32),
        np.zeros(size, np.float32),
        np.zeros((size, CELLS), np.float32),
        np.zeros((size, CELLS), np.float32),
        np.array(settings.sets.get(example.set, 0.0), np.float32),
        np.zeros((size, TEACHER_SIZE), np.float32),
        np.zeros(size, np.float32),
        np.array([tag in (example.moods or ()) for tag in known.tags or ("",)], np.float32),
        np.array(example.moods is not None, np.float32),
        np.array(example.feelings or [0.0] * max(known.feelings, 1), np.float32),
        np.array(example.feelings is not None, np.float32),
    )
    crop.log_mel[: length * HOPS_PER_EMISSION] = heard.log_mel[start * HOPS_PER_EMISSION : end * HOPS_PER_EMISSION]
    crop.texture[:length] = heard.textures[start:end]
    crop.weight[:length] = heard.sounding[start:end] * np.minimum(np.arange(1, length + 1) / _SETTLED, 1.0)
    if example.quadrant is not None:
        crop.region[:length] = quadrant_region(example.quadrant, length)
    if example.points is not None or example.trace is not None:
        crop.cells[:length] = example.histogram[start:end]
    if example.teacher is not None:
        at = np.round(teacher_times(len(example.teacher)) * 2).astype(int) - 1 - start
        # A window that began before the crop holds sound that the network has not heard.
        inside = (at >= (5 if start else 0)) & (at < length)
        crop.teacher[at[inside]] = (example.teacher[inside] - known.mean) / known.scale
        crop.taught[at[inside]] = 1.0
    return crop


def _disguised(log_mel: Tensor, rng: np.random.Generator) -> Tensor:
    """Other gains and equalisers, noise floors, a band up or down, and holes in frequency and time (SpecAugment)."""
    count, hops, bands = log_mel.shape
    across = torch.linspace(-1.0, 1.0, bands)
    draws = torch.randn(4, count, 1, 1)
    curve = 0.35 * draws[0] * across + 0.25 * draws[1] * torch.cos(np.pi * across)
    curve = curve + 0.2 * draws[2] * torch.cos(2 * np.pi * across) + 0.3 * draws[3]
    log_mel = log_mel + curve
    floor = -9 + 7 * torch.rand(count, 1, 1) - across * torch.rand(count, 1, 1)
    noisy = torch.rand(count, 1, 1) < 0.3
    log_mel = torch.where(noisy, torch.logaddexp(log_mel, floor + 0.3 * torch.randn_like(log_mel)), log_mel)
    for clip in log_mel:
        average = clip.mean()
        if rng.random() < 0.5:
            clip.copy_(torch.roll(clip, int(rng.integers(-1, 2)), 1))
        if rng.random() < 0.5:
            width = int(rng.integers(1, 9))
            first = int(rng.integers(0, bands - width))
            clip[:, first : first + width] = average
        for _ in range(2):
            width = int(rng.integers(5, 40))
            first = int(rng.integers(0, hops - width))
            clip[first : first + width] = average
    return log_mel


def _known(examples: Sequence[Example]) -> _Known:
    tags = tuple(sorted({mood for e in examples for mood in e.moods or ()}))
    feelings = max((len(e.feelings) for e in examples if e.feelings is not None), default=0)
    rows = [e.teacher for e in examples if e.teacher is not None and len(e.teacher)]
    if not rows:
        return _Known(tags, feelings, np.zeros(TEACHER_SIZE, np.float32), np.ones(TEACHER_SIZE, np.float32))
    every = np.concatenate(rows)
    return _Known(tags, feelings, every.mean(axis=0), every.std(axis=0) + np.float32(1e-6))
