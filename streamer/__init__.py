"""The living program: ``Engine`` turns samples into :class:`Affect`; ``Session`` joins a source, an engine and sinks."""

from .engine import Engine
from .messages import Affect
from .session import Counters, Session

__all__ = ["Affect", "Counters", "Engine", "Session"]
