"""Where sound comes from: an audio input, a file, memory. Each is a :class:`~valaro.streamer.protocols.Source`.

A source may also say ``live``: True means that what finds no room is lost at that moment, so that the ring counts it as
dropped; False (and where it says nothing) that it waits and writes the rest again.
"""

from .audio_file import AudioFile
from .memory import Memory
from .microphone import Microphone

__all__ = ["AudioFile", "Memory", "Microphone"]
