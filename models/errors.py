"""The root of Valaro's errors, and those that the models raise.

They live here because imports only go down; users catch them from ``valaro.streamer.errors``, which lists all.
"""


class ValaroError(Exception):
    """Something the user can act on: the message is one line that says what to do.

    ``exit_code`` is what the command line exits with: 1 for a failure, 2 for bad input.
    """

    exit_code = 1


class BundleError(ValaroError):
    """A model bundle that is missing, altered, incomplete or of another version."""

    exit_code = 2


class DataError(ValaroError):
    """A data set that cannot be used: missing files, labels out of range, too few groups."""

    exit_code = 2


class PluginError(ValaroError):
    """Another package's source, sink or decoder that cannot be loaded, or that does what none may do."""
