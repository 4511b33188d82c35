"""A MIDI port on JACK, in or out, in a process of its own.

When JACK's server dies or stops, for example with its sound card, its library can bring a program down: a message
beyond its buffer waits for ever with Python's lock held (RtMidi waits for the server to make room), and a new
connection frees what the old one still uses. The process that may hang and crash is therefore this module run as a
program, which is why it imports nothing of Valaro. It also keeps libjack's 110 MB of locked memory to itself.
"""

import ctypes
import json
import os
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
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

    def connections(self, name: str) -> list[str]:
        """The ports that are connected to outputs called ``name`` of clients called as this one; none if unknown."""
        return self._call("connections", name)

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
    connections = _Connections(name)
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
            if method == "connections":
                _reply({"result": connections.of(*arguments)})
            else:
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


class _Connections:
    """Asks the server what is connected, which rtmidi cannot: by the same libjack, as a client without ports."""

    def __init__(self, client: str) -> None:
        self._name = client
        self._library: Any = None
        self._client: int | None = None
        self._tried = False

    def of(self, port: str) -> list[str]:
        """The ports that are connected to ``port`` of the clients of this name; JACK numbers namesakes "-01"."""
        if not self._tried:
            self._tried = True
            self._open()
        if not self._client:
            return []
        ours = f"^{re.escape(self._name)}(-[0-9]+)?:{re.escape(port)}$"
        names = self._names(self._library.jack_get_ports(self._client, None, None, 0))
        found: list[str] = []
        for name in names:
            if re.match(ours, name):
                own = self._library.jack_port_by_name(self._client, name.encode())
                found += self._names(self._library.jack_port_get_all_connections(self._client, own)) if own else []
        return found

    def _open(self) -> None:
        with suppress(OSError, IndexError, AttributeError):
            maps = Path("/proc/self/maps").read_text()  # rtmidi may have brought a libjack of its own
            library = ctypes.CDLL(next(word for word in maps.split() if "libjack" in word))
            pointer, text = ctypes.c_void_p, ctypes.c_char_p
            signatures = {
                "jack_client_open": (pointer, [text, ctypes.c_int, pointer]),
                "jack_get_ports": (pointer, [pointer, text, text, ctypes.c_ulong]),
                "jack_port_by_name": (pointer, [pointer, text]),
                "jack_port_get_all_connections": (pointer, [pointer, pointer]),
                "jack_free": (None, [pointer]),
            }
            for function, (result, arguments) in signatures.items():
                entry = getattr(library, function)
                entry.restype, entry.argtypes = result, arguments
            self._library = library
            self._client = library.jack_client_open(
                f"{self._name} connections".encode(), 1, None
            )  # 1: starts no server

    def _names(self, listing: int | None) -> list[str]:
        """The strings of a list that JACK made, which is freed."""
        if not listing:
            return []
        entries = ctypes.cast(listing, ctypes.POINTER(ctypes.c_char_p))
        names: list[str] = []
        while (entry := entries[len(names)]) is not None:
            names.append(entry.decode(errors="replace"))
        self._library.jack_free(listing)
        return names


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
