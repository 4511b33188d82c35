"""One family of errors: each message is one line that says what to do (``exit_code`` is the shell's)."""

from enum import IntEnum

from ..models.errors import BundleError, DataError, PluginError, ValaroError


class ExitCode(IntEnum):
    """What a command's exit code says, the same in every command."""

    DONE = 0  # all that was wanted was done; what was skipped counts as done
    BROKE_OFF = 1  # it could not go on
    BAD_INPUT = 2  # nothing could be started because of the input
    LOST = 3  # it ran to its end, but a file, destination, rating or recording was lost


class InputError(ValaroError):
    """An argument that cannot be meant: an unknown name, a value out of range, a malformed address."""

    exit_code = ExitCode.BAD_INPUT


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


class LockedError(StoreError):
    """Another program holds the file of listeners' ratings: what failed may be tried again."""


class MissingExtraError(ValaroError):
    """A part of Valaro that needs packages which are not installed; the message holds the pip command."""


__all__ = [
    "AudioFileError",
    "BundleError",
    "DamagedError",
    "DataError",
    "DeviceError",
    "ExitCode",
    "InputError",
    "LockedError",
    "MissingExtraError",
    "PluginError",
    "SinkError",
    "StoreError",
    "ValaroError",
]
