"""Where emissions go: OSC, MIDI, the terminal, a recording."""

from ..core.replay import Replay
from ..osc.sink import Osc
from .midi import Midi
from .recorder import Recorder
from .terminal import Terminal

__all__ = ["Midi", "Osc", "Recorder", "Replay", "Terminal"]
