"""One family of errors: each message is one line that says what to do (``exit_code`` is the shell's)."""

from ..models.errors import BundleError, DataError, PluginError, ValaroError


class InputError(ValaroError):
    """An argument that cannot be meant: an unknown name, a value out of range, a malformed address."""

    exit_code = 2


class AudioFileError(InputError):
    """A file that is missing, empty, not audio, or too short to say anything about."""


class DeviceError(ValaroError):
    """An audio or MIDI device that is absent, unknown, busy or refuses the format."""


class SinkError(ValaroError):
    """An output that cannot be opened: an unresolvable host, an unwritable file."""


class StoreError(ValaroError):
    """The file of listeners' ratings cannot be used: locked, unwritable, on a full disk or of a newer version."""


class DamagedError(StoreError):
    """The file of listeners' ratings is not whole."""


class MissingExtraError(ValaroError):
    """A part of Valaro that needs packages which are not installed; the message holds the pip command."""


__all__ = [
    "AudioFileError",
    "BundleError",
    "DamagedError",
    "DataError",
    "DeviceError",
    "InputError",
    "MissingExtraError",
    "PluginError",
    "SinkError",
    "StoreError",
    "ValaroError",
]
