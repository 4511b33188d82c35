"""The running program: ``Engine`` turns samples into :class:`Affect`; ``Session`` joins a source, engine and sinks.

- ``core``: Engine, session, ring, replay, and the protocols of sources and sinks.
- ``sources``: Where the sound comes from: devices, files, the demo piece.
- ``sinks``: Where emissions go: scheduling, mapping, recording, the terminal.
- ``osc``: OSC out and in, and OSCQuery.
- ``midi``: MIDI out and in.
- ``listeners``: Ratings, their store, and online adaptation.
- ``catalogue``: The analysis of many files.
- ``app``: A session from its settings: configuration, outputs, plugins, monitoring.
- ``cli``: The command line.
"""

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
