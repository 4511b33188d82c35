"""The recurrent decoder's network in PyTorch, and its way into ONNX.

Front end: four convolutions on log-mel, causal, unpadded in time, so that a whole clip at once and half a second at a
time with the last hops before it give the same numbers. An LSTM joins it with the running texture, one step an
emission. Only the heatmap is exported; the other heads are what the network is taught beside it.
"""

import io
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...decoders.base import HOPS_PER_EMISSION, MELS
from ...decoders.lstm import INPUTS, OUTPUTS
from ...features import texture
from ...features.frame import HOPS
from ...grid import CELLS
from ..datasets.unlabelled import TEACHER_SIZE

CONTEXT = 7 * HOPS  # hops that an emission looks back on: one frame more for the first filter, two for each of three
_CHANNELS = (32, 48, 64, 96)
_EMBEDDING = 256
_HIDDEN = 256
_TEXTURE = 96
_OPSET = 18


class FrontEnd(nn.Module):
    """Log-mel (B, CONTEXT + 25 n, 64) -> (B, n, 512): mean and maximum over the five frames of each emission."""

    def __init__(self) -> None:
        super().__init__()
        first, *others = _CHANNELS
        self.levels = nn.BatchNorm1d(MELS)
        # The first filters span 200 ms and a third of an octave or more, and step on by 100 ms.
        self.filters = nn.Conv2d(1, first, (2 * HOPS, 5), stride=(HOPS, 2), padding=(0, 2), bias=False)
        self.filters_norm = nn.BatchNorm2d(first)
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        for before, after in zip(_CHANNELS, others, strict=False):
            self.convolutions.append(nn.Conv2d(before, after, 3, padding=(0, 1), bias=False))
            self.norms.append(nn.BatchNorm2d(after))
        self.join = nn.Linear(_CHANNELS[-1] * MELS // 2 // 2 ** len(others), _EMBEDDING)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Take the log-mel of B clips."""
        x = self.levels(log_mel.transpose(1, 2)).transpose(1, 2).unsqueeze(1)
        x = functional.relu(self.filters_norm(self.filters(x)))
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = functional.max_pool2d(functional.relu(norm(convolution(x))), (1, 2))
        x = functional.relu(self.join(x.permute(0, 2, 1, 3).flatten(2)))  # (B, 5 n, 256)
        x = x.unflatten(1, (-1, HOPS_PER_EMISSION // HOPS))
        return torch.cat([x.mean(2), x.amax(2)], dim=-1)


class Network(nn.Module):
    """Log-mel and texture of whole clips -> what each head says at each emission.

    ``moods`` and ``feelings``: how many mood tags and how many felt emotions it learns beside the heatmap.
    """

    def __init__(self, moods: int, feelings: int, dropout: float) -> None:
        super().__init__()
        self.front = FrontEnd()
        self.front_join = nn.Linear(2 * _EMBEDDING, _HIDDEN)
        self.texture_norm = nn.BatchNorm1d(texture.SIZE)
        self.texture_join = nn.Linear(texture.SIZE, _TEXTURE)
        self.lstm = nn.LSTM(_HIDDEN + _TEXTURE, _HIDDEN, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.teacher = nn.Linear(2 * _HIDDEN, TEACHER_SIZE)
        seen = 2 * _HIDDEN + _TEXTURE
        self.heatmap = nn.Linear(seen, CELLS)
        self.moods = nn.Linear(seen, max(moods, 1))
        self.feelings = nn.Linear(seen, max(feelings, 1))

    def seen(self, log_mel: Tensor, textures: Tensor, past: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(B, CONTEXT + 25 n, 64), (B, n, 163) -> what the heads see (B, n, 608), and the LSTM's h and c."""
        front = functional.relu(self.front_join(self.dropout(self.front(log_mel))))
        scaled = self.texture_norm(textures.flatten(0, 1)).unflatten(0, textures.shape[:2])
        running = functional.relu(self.texture_join(self.dropout(scaled)))
        joined, (h, c) = self.lstm(torch.cat([front, running], dim=-1), past)
        return torch.cat([joined, front, running], dim=-1), h, c

    def forward(self, log_mel: Tensor, textures: Tensor) -> dict[str, Tensor]:
        """(B, 25 n, 64), (B, n, 163) -> the heads' outputs by name, (B, n, ·); logits of the heatmap."""
        before = log_mel[:, :1].expand(-1, CONTEXT, -1)
        nothing = torch.zeros(1, len(log_mel), _HIDDEN, dtype=log_mel.dtype)
        seen, _, _ = self.seen(torch.cat([before, log_mel], dim=1), textures, (nothing, nothing))
        kept = self.dropout(seen)
        return {
            "heatmap": self.heatmap(kept),
            "moods": self.moods(kept),
            "feelings": self.feelings(kept),
            "teacher": self.teacher(seen[..., : 2 * _HIDDEN]),
        }


class _Step(nn.Module):
    """One emission of several networks of the same shape, with all memory passed in and out; their logits' mean."""

    def __init__(self, networks: list[Network]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(
        self, log_mel: Tensor, context: Tensor, textures: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        heard = torch.cat([context, log_mel], dim=1)
        logits, hs, cs = [], [], []
        for i, network in enumerate(self.networks):
            assert isinstance(network, Network)
            past = h[i : i + 1], c[i : i + 1]
            seen, next_h, next_c = network.seen(heard, textures.unsqueeze(1), past)
            logits.append(functional.log_softmax(network.heatmap(seen[:, 0]), dim=-1))
            hs.append(next_h)
            cs.append(next_c)
        return torch.stack(logits).mean(0), heard[:, -CONTEXT:], torch.cat(hs), torch.cat(cs)


def exported(networks: list[Network]) -> bytes:
    """The networks as one ONNX graph of a single step, INPUTS -> OUTPUTS of ``models.decoders.lstm``."""
    step = _Step(networks).eval()
    count = len(networks)
    example = (
        torch.zeros(1, HOPS_PER_EMISSION, MELS),
        torch.zeros(1, CONTEXT, MELS),
        torch.zeros(1, texture.SIZE),
        torch.zeros(count, 1, _HIDDEN),
        torch.zeros(count, 1, _HIDDEN),
    )
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes about its own future
        torch.onnx.export(
            step,
            example,
            buffer,  # type: ignore[arg-type] # a file is taken as well
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamo=False,
            opset_version=_OPSET,
        )
    return buffer.getvalue()
