"""What lets ``listen`` run for months with nobody there: checkpoint, metrics, the form of the log, sign of life."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....models import Bundle
    from ...core.protocols import Resumable, Sink
    from ...core.session import Counters
    from ..config.schema import Config


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What the options ask for; where they say nothing, the config file speaks. InputError for what cannot be meant."""

    checkpoint: Path | None = None
    metrics: str | None = None
    log: str = "text"

    def __post_init__(self) -> None:
        from ...errors import InputError
        from .logs import FORMS
        from .metrics import parse_target

        if self.log not in FORMS:
            raise InputError(f"--log {self.log!r}: choose one of {', '.join(FORMS)}")
        if self.metrics is not None:
            parse_target(self.metrics)

    @classmethod
    def wanted(cls, config: "Config | None", checkpoint: Path | None, metrics: str | None, log: str | None) -> "Upkeep":
        """The options' word, else the config's."""
        if config is not None:
            checkpoint = config.checkpoint if checkpoint is None else checkpoint
            metrics = config.metrics if metrics is None else metrics
            log = config.log if log is None else log
        return cls(checkpoint, metrics, log or "text")

    def sinks(
        self,
        engine: "Resumable",
        bundle: "Bundle",
        path: Path | None,
        decoder: str,
        rate: float,
        counters: "Callable[[], Counters | None]",
        faults: Callable[[], dict[str, int]],
    ) -> "list[Sink]":
        """The last of a session's sinks; ``engine`` goes on from the checkpoint, if there is one that fits.

        ``path`` of the bundle (None: the default one), ``decoder`` and ``rate`` as the engine has them.
        """
        from .checkpoint import Checkpoint, bundle_digest
        from .logs import Heartbeat
        from .systemd import Watchdog

        digest = bundle_digest(path)
        every = faults
        found: list[Sink] = []
        if self.checkpoint is not None:
            checkpoint = Checkpoint(self.checkpoint, engine, digest, decoder)
            checkpoint.resume()
            found.append(checkpoint)
            every = lambda: faults() | {"checkpoint": checkpoint.faults}  # noqa: E731
        found.append(Heartbeat(counters, every))
        if self.metrics is not None:
            from ..._util.process import version
            from .metrics import Metrics

            provider = "none" if bundle.lstm is None else bundle.lstm.provider
            facts = {"version": version(), "bundle": digest[:12], "decoder": decoder, "provider": provider}
            found.append(Metrics(self.metrics, counters, every, facts, rate))
        return [*found, Watchdog()]  # last: it says that all others took the emission
