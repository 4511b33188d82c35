"""The monitoring sinks of a session: checkpoint, heartbeat, metrics, systemd's watchdog."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....models import Bundle
    from ...core.protocols import Resumable, Sink
    from ...core.session import Counters


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
    faults: Callable[[], dict[str, int]],
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
    faults : returns how often each kind of output failed.
    checkpoint : the file of the checkpoint; None: none is written.
    metrics : the target of the metrics; None: there are none.
    """
    from .checkpoint import Checkpoint, bundle_digest
    from .logs import Heartbeat
    from .systemd import Watchdog

    digest = bundle_digest(facts.path)
    all_faults = faults
    sinks: list[Sink] = []
    if checkpoint is not None:
        checkpoint_sink = Checkpoint(checkpoint, engine, digest, facts.decoder)
        checkpoint_sink.resume()
        sinks.append(checkpoint_sink)
        all_faults = lambda: faults() | {"checkpoint": checkpoint_sink.faults}  # noqa: E731
    sinks.append(Heartbeat(counters, all_faults))
    if metrics is not None:
        from ..._util.process import version
        from .metrics import Metrics

        provider = "none" if facts.bundle.lstm is None else facts.bundle.lstm.provider
        labels = {"version": version(), "bundle": digest[:12], "decoder": facts.decoder, "provider": provider}
        sinks.append(Metrics(metrics, counters, all_faults, labels, facts.rate))
    return [*sinks, Watchdog()]  # last: it says that all others took the emission
