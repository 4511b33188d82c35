"""The monitoring sinks of a session: checkpoint, heartbeat, metrics, systemd's watchdog."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....models import Bundle
    from ...core.protocols import Resumable, Sink
    from ...core.session import Counters
    from ..losses import Losses


@dataclass(frozen=True, slots=True)
class Facts:
    """What an engine was made from.

    Parameters
    ----------
    bundle : the model.
    path : of the bundle; None: the default one.
    decoder : whose heatmap it is.
    rate : frames a second of the input.
    """

    bundle: "Bundle"
    path: Path | None
    decoder: str
    rate: float


def upkeep_sinks(
    engine: "Resumable",
    facts: Facts,
    counters: "Callable[[], Counters | None]",
    losses: "Losses",
    traffic: Callable[[], Mapping[str, Mapping[str, int]]] = dict,
    *,
    checkpoint: Path | None = None,
    metrics: str | None = None,
) -> "list[Sink]":
    """The last of a session's sinks; the engine resumes from the checkpoint, if there is one that fits.

    Parameters
    ----------
    engine : it has not heard anything yet.
    facts : what the engine was made from.
    counters : returns the session's counters; None before it begins.
    losses : all that may be lost; what is written here is added.
    traffic : returns what came in, by kind and by what became of it.
    checkpoint : the file of the checkpoint; None: none is written.
    metrics : the target of the metrics; None: there are none.
    """
    from .checkpoint import Checkpoint, bundle_digest
    from .logs import Heartbeat
    from .systemd import Watchdog

    digest = bundle_digest(facts.path)
    sinks: list[Sink] = []
    if checkpoint is not None:
        checkpoint_sink = Checkpoint(checkpoint, engine, digest, facts.decoder)
        checkpoint_sink.resume()
        sinks.append(checkpoint_sink)
        losses.watch("checkpoint", lambda: checkpoint_sink, str(checkpoint))
    sinks.append(Heartbeat(counters, losses.by_part))
    if metrics is not None:
        from ..._util.process import version
        from .metrics import Metrics

        provider = "none" if facts.bundle.lstm is None else facts.bundle.lstm.provider
        labels = {"version": version(), "bundle": digest[:12], "decoder": facts.decoder, "provider": provider}
        metrics_sink = Metrics(metrics, counters, losses, labels, facts.rate, traffic)
        losses.watch("metrics", lambda: metrics_sink, metrics)
        sinks.append(metrics_sink)
    return [*sinks, Watchdog()]  # last: it says that all others took the emission
