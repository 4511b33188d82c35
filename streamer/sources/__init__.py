"""Where sound comes from; each is a :class:`~valaro.streamer.core.protocols.Source`.

- ``base``: The thread and the pacing that sources other than devices share.
- ``audio_file``: A sound file.
- ``containers``: What a sound file really holds.
- ``cancelling``: Channels that cancel each other.
- ``refit``: Sound of another rate or number of channels.
- ``memory``: Samples in memory.
- ``microphone``: An audio input, found again after it was lost.
- ``demo``: The built-in piece of four moods.
- ``demo_synth``: The synthesizer that plays it.
- ``devices``: Audio inputs and outputs.
"""

from .audio_file import AudioFile
from .memory import Memory
from .microphone import Microphone

__all__ = ["AudioFile", "Memory", "Microphone"]
