"""What a checked command asks of a running session, whichever way it came in."""

from ..core.controls import Controls
from .commands import Command


def apply_command(command: Command, controls: Controls) -> bool:
    """Have the session do what a command asks.

    Parameters
    ----------
    command : a message of the right form, from :func:`~valaro.streamer.osc.commands.handle`.
    controls : the session's.

    Returns
    -------
    bool
        False for what concerns one way of coming in alone (a pad's finger, where answers go), and is not done here.

    Raises
    ------
    InputError
        What the controls refuse; so does whoever hears of ratings.
    """
    match command.address, command.values:
        case "/valaro/rate", (float(valence), float(arousal)):
            controls.rate(valence, arousal, source="osc")
        case "/valaro/rate", (float(valence), float(arousal), str(name)):
            controls.rate(valence, arousal, name, source="osc")
        case "/valaro/listener", (str(name),):
            controls.listener = name
        case "/valaro/offset", (float(seconds),):
            controls.offset = seconds
        case "/valaro/pause", (float(on),):
            controls.paused = on >= 0.5
        case "/valaro/status", ():
            pass
        case _:
            return False
    return True
