"""The living program: ``Engine`` turns samples into :class:`Affect`; ``Session`` joins a source, engine and sinks."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .core.affect import Affect
    from .core.engine import Engine
    from .core.session import Counters, Session
else:
    _HOMES = {
        "Affect": ".core.affect",
        "Counters": ".core.session",
        "Engine": ".core.engine",
        "Session": ".core.session",
    }

    # Loaded when first asked for: the engine brings all compiled code, which `valaro --help` has no use for.
    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name], __name__), name)


__all__ = ["Affect", "Counters", "Engine", "Session"]
