"""What lets a session run for months with nobody there: checkpoint, sign of life, metrics, systemd's watchdog."""

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
    """Whose memory it is: the ``bundle``, where it lies (None: the default one), the decoder, samples per second."""

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
    """The last of a session's sinks; ``engine`` goes on from the checkpoint, if there is one that fits.

    Parameters
    ----------
    engine : it has not heard anything yet.
    facts : what the engine was made from.
    counters, faults : asked for the session's numbers (None before it begins), and for how often each kind of output
        failed.
    checkpoint, metrics : where these go; None: nowhere.
    """
    from .checkpoint import Checkpoint, bundle_digest
    from .logs import Heartbeat
    from .systemd import Watchdog

    digest = bundle_digest(facts.path)
    all_faults = faults
    sinks: list[Sink] = []
    if checkpoint is not None:
        kept = Checkpoint(checkpoint, engine, digest, facts.decoder)
        kept.resume()
        sinks.append(kept)
        all_faults = lambda: faults() | {"checkpoint": kept.faults}  # noqa: E731
    sinks.append(Heartbeat(counters, all_faults))
    if metrics is not None:
        from ..._util.process import version
        from .metrics import Metrics

        provider = "none" if facts.bundle.lstm is None else facts.bundle.lstm.provider
        about = {"version": version(), "bundle": digest[:12], "decoder": facts.decoder, "provider": provider}
        sinks.append(Metrics(metrics, counters, all_faults, about, facts.rate))
    return [*sinks, Watchdog()]  # last: it says that all others took the emission
