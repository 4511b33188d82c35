"""Applies a checked command to the session's controls, whichever way it came in."""

from ..core.controls import Answer, Controls
from .commands import Command


def apply_command(command: Command, controls: Controls, sender: str = "", answer: Answer | None = None) -> bool:
    """Apply one command.

    Parameters
    ----------
    command : a message of the right form, from :func:`~valaro.streamer.osc.commands.handle`.
    controls : the session's.
    sender : which program it came from, such as "10.0.0.2:5000".
    answer : called once when a rating is stored or lost, as ``Controls.rate`` says; for no other command.

    Returns
    -------
    bool
        False for a command that only one kind of input handles (a finger on a pad, the port for answers); it is not
        applied here.

    Raises
    ------
    InputError
        The controls, or a callback for ratings, refuse it.
    """
    match command.address, command.values:
        case "/valaro/rate", (float(valence), float(arousal)):
            controls.rate(valence, arousal, source="osc", sender=sender, answer=answer)
        case "/valaro/rate", (float(valence), float(arousal), str(name)):
            controls.rate(valence, arousal, name, source="osc", sender=sender, answer=answer)
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
