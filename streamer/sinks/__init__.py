"""Where emissions go: OSC, the terminal, a recording."""

from .osc import Osc
from .recorder import Recorder, Replay
from .terminal import Terminal

__all__ = ["Osc", "Recorder", "Replay", "Terminal"]
