"""A MIDI port on JACK, in or out, in a process of its own.

When JACK's server dies or stops, for example with its sound card, its library can bring a program down: a message
beyond its buffer waits for ever with Python's lock held (RtMidi waits for the server to make room), and a new
connection frees what the old one still uses. The process that may hang and crash is therefore this module run as a
program, which is why it imports nothing of Valaro. It also keeps libjack's 110 MB of locked memory to itself.
"""

import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

LIMIT = 5  # s that one call may take before the process is ended
# s for the last message to be read: it leaves with the next cycle, of up to 0.2 s, and is lost if the port goes then.
LINGER = 0.4
QUEUE = 8192  # messages that the library keeps for an input until they are read; when it is full, new ones are lost


class JackPort:
    """The part of ``rtmidi.MidiOut`` or ``MidiIn`` that is needed, with the same names.

    Parameters
    ----------
    name : of the JACK client, to which JACK adds a number if there is such a client already.
    incoming : whether it is an input.

    Raises
    ------
    OSError
        No server answers; none is ever started. So do the methods once the server is gone.
    """

    def __init__(self, name: str, incoming: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, name, *(["incoming"] if incoming else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libjack's messages
            env=os.environ | {"JACK_NO_START_SERVER": "1"},
            start_new_session=True,  # Ctrl-C must not end it: the last note is still to be ended
            text=True,
        )
        try:
            self._answer()
        except OSError:
            self.delete()
            raise

    def get_ports(self) -> list[str]:
        """The names of the ports that take MIDI, or give it to an input, "client:port"."""
        return self._call("get_ports")

    def open_port(self, port: int, name: str) -> None:
        """Create a port called ``name`` and connect it to the one of this index."""
        self._call("open_port", port, name)

    def open_virtual_port(self, name: str) -> None:
        """Create a port called ``name`` for other programs to connect to."""
        self._call("open_virtual_port", name)

    def close_port(self) -> None:
        """Remove the port."""
        self._call("close_port")

    def send_message(self, message: Sequence[int]) -> None:
        """Send one message of bytes."""
        self._call("send_message", list(message))

    def receive(self, most: int) -> list[bytes]:
        """As the function :func:`receive`, of an input."""
        return [bytes(message) for message in self._call("receive", most)]

    def delete(self) -> None:
        """Remove the port, once what was sent has left, and end the process; may be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(2 * LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _call(self, method: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OSError("the JACK server stopped answering")
        answer = json.loads(line)
        if "fault" in answer:
            raise OSError(answer["fault"])
        return answer["result"]


def receive(source: Any, most: int) -> list[bytes]:
    """The messages that an ``rtmidi.MidiIn`` has queued, in order, at most so many; never waits."""
    messages: list[bytes] = []
    while len(messages) < most and (event := source.get_message()) is not None:
        messages.append(bytes(event[0]))
    return messages


def serve(name: str, incoming: bool) -> None:
    """Execute the lines on standard input, each ``[method, argument...]``, and answer each with one line."""
    import rtmidi

    # Its default action ends the process, from within a library's endless loop too.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LIMIT)
    library: Any = rtmidi
    jack = library.API_UNIX_JACK
    try:
        port = library.MidiIn(jack, name, QUEUE) if incoming else library.MidiOut(jack, name)
    except Exception as fault:  # noqa: BLE001  rtmidi's errors have no common base below Exception
        _reply({"fault": str(fault)})
        return
    sockets = _server_sockets()
    _reply({"result": None})
    signal.alarm(0)
    sent = False
    for line in sys.stdin:
        signal.alarm(LIMIT)
        method, *arguments = json.loads(line)
        try:
            if sockets.poll(0):
                raise OSError("the JACK server went away")
            sent = sent or method == "send_message"
            _reply({"result": _call_port(port, method, arguments)})
        except Exception as fault:  # noqa: BLE001
            _reply({"fault": str(fault)})
        signal.alarm(0)
    signal.alarm(LIMIT)
    time.sleep(LINGER if sent else 0.0)
    port.delete()


def _call_port(port: Any, method: str, arguments: list[Any]) -> list[Any] | None:
    if method == "receive":
        return [list(message) for message in receive(port, *arguments)]
    result = getattr(port, method)(*arguments)
    return result if method == "get_ports" else None


def _server_sockets() -> select.poll:
    """The sockets of this process, which are libjack's, to poll for a hang-up of the server."""
    sockets = select.poll()
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # the listing's own is closed by now
            if descriptor > 2 and stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                sockets.register(descriptor, 0)  # a hang-up is always reported
    return sockets


def _reply(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        serve(sys.argv[1], incoming="incoming" in sys.argv[2:])
