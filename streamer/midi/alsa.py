"""What is connected to a port of ALSA's sequencer, by the kernel's list of clients: rtmidi does not tell."""

import re
from pathlib import Path

_LIST = Path("/proc/asound/seq/clients")  # where there is no sequencer, or no Linux, it is not there
_CLIENT = re.compile(r'^Client +\d+ : "(.*)" \[')
_PORT = re.compile(r'^  Port +\d+ : "(.*)" \(')
_TARGETS = re.compile(r"^    Connecting To: (.*)$")


def connections(client: str, port: str, listing: Path = _LIST) -> set[str]:
    """The addresses ("128:0") that the ports of these names send to, of all clients of the name together."""
    try:
        lines = listing.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    found: set[str] = set()
    at = ("", "")
    for line in lines:
        if (match := _CLIENT.match(line)) is not None:
            at = match[1], ""
        elif (match := _PORT.match(line)) is not None:
            at = at[0], match[1]
        elif (match := _TARGETS.match(line)) is not None and at == (client, port):
            # Each may be followed by what the subscription is like: "128:0[ex]".
            found |= {target.partition("[")[0].strip() for target in match[1].split(",")}
    return found
