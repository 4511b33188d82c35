"""Where sound comes from: an audio input, a file, memory. Each is a :class:`~valaro.streamer.core.protocols.Source`."""

from .audio_file import AudioFile
from .memory import Memory
from .microphone import Microphone

__all__ = ["AudioFile", "Memory", "Microphone"]
