"""Where emissions go; OSC and MIDI have packages of their own.

- ``scheduler``: Pause, delay and interpolated output, between the session and the sinks.
- ``interpolation``: Blends two emissions.
- ``mapping``: One entry of an OSC map: scaled, bent and smoothed.
- ``expressions``: The expressions in a map's ``from``.
- ``recorder``: A session as JSON lines.
- ``audio_recorder``: The sound of a session as a file.
- ``wave_writer``: A WAV whose header is kept up to date.
- ``colormap``: A heatmap as a picture.
- ``terminal``: The live picture in a terminal.
"""

from ..core.replay import Replay
from ..midi.sink import Midi
from ..osc.sink import Osc
from .recorder import Recorder
from .terminal.sink import Terminal

__all__ = ["Midi", "Osc", "Recorder", "Replay", "Terminal"]
