"""Where emissions go: OSC, MIDI, the terminal, a recording."""

from ..core.replay import Replay
from ..midi.sink import Midi
from ..osc.sink import Osc
from .recorder import Recorder
from .terminal.sink import Terminal

__all__ = ["Midi", "Osc", "Recorder", "Replay", "Terminal"]
