"""Records an audio input in a process of its own, which can be killed and replaced.

PortAudio lists the devices once for the life of a process, a driver may hang in opening, reading or closing, and
libjack can bring its host down. The process that all this may happen to is this module run as a program, which is why
it imports nothing of Valaro, nor NumPy. It first lists the inputs, then reads which one to open, then writes the sound
of that one.

What it writes to its standard output: :data:`HEAD`, then as many bytes as that gives. ``REPORT``: an object in JSON, as
in :class:`Capture`. ``SOUND``: :data:`STAMP`, then interleaved float32 samples. It reads one line of JSON, the
arguments of :meth:`Capture.open`, and ends when its standard input does, also when its parent process died.
"""

import contextlib
import faulthandler
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any, BinaryIO, NamedTuple

LIMIT = 20.0  # s that it may take to list the inputs, and to open one, on a busy machine
CLOSING = 2.0  # s that a driver may take to close
ROOM = 1.0  # s of sound that wait when the parent does not read; more is dropped, and counted

NO_LIBRARY = "no PortAudio library"  # the fault on a machine without it

HEAD = struct.Struct("<cI")
REPORT, SOUND = b"T", b"S"
STAMP = struct.Struct("<dQQQ")


class Sound(NamedTuple):
    """A block of sound; the counts are those since the input was opened.

    Parameters
    ----------
    at : when it came, in seconds on the monotonic clock of this machine.
    overflows : callbacks with an input overflow (the driver lost sound).
    underflows : callbacks with an input underflow (the driver filled a gap).
    dropped : blocks that were dropped because the parent did not read.
    samples : interleaved float32.
    """

    at: float
    overflows: int
    underflows: int
    dropped: int
    samples: bytes


Message = dict[str, Any] | Sound | None


class Capture:
    """The process, seen from its parent.

    Attributes
    ----------
    messages : a queue of what it reports, in this order:

        - ``{"inputs": [...], "default": index}``, each input with index, name, host_api, channels, rate;
        - ``{"opened": True}`` once :meth:`open` is done, then each block as a :class:`Sound`;
        - ``{"fault": "...", "code": PortAudio's or None}`` instead of these, or after them, when it fails;
        - None when it has ended, whatever ended it.

    Raises
    ------
    OSError
        The process cannot be started.
    """

    def __init__(self) -> None:
        self.messages: SimpleQueue[Message] = SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("VALARO_DEBUG") else subprocess.DEVNULL,  # ALSA's and libjack's messages
            env=os.environ | {"JACK_NO_START_SERVER": "1"},
            start_new_session=True,  # Ctrl-C must not reach it
        )
        # Not a method: the thread would keep this object, and so the process, alive when nothing else refers to it.
        threading.Thread(target=_read, args=(self._process.stdout, self.messages), name="capture", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process runs; after :meth:`end` it may, while a driver holds it in the kernel."""
        return self._process.poll() is None

    def open(self, index: int, channels: int, rate: int) -> None:
        """Have it open an input, by the index that it reported, and send its sound; returns at once."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, and has reported why
            self._process.stdin.write(json.dumps([index, channels, rate]).encode() + b"\n")
            self._process.stdin.flush()

    def end(self, patience: float = 0.0) -> bool:
        """End it, by force after ``patience`` s; return whether it ended by itself. May be called again."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        for limit, by_itself in ((patience, True), (CLOSING, False)):
            try:
                self._process.wait(limit)
                return by_itself
            except subprocess.TimeoutExpired:
                self._process.kill()
        return False  # a driver holds it in the kernel: it ends when that returns


def _read(pipe: Any, messages: SimpleQueue[Message]) -> None:
    with pipe:
        while (message := _message(pipe)) is not None:
            messages.put(message)
    messages.put(None)


def _message(pipe: Any) -> Message:
    head = pipe.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, size = HEAD.unpack(head)
    body = pipe.read(size)
    if len(body) < size:
        return None
    if kind == REPORT:
        return json.loads(body)
    at, overflows, underflows, dropped = STAMP.unpack_from(body)
    return Sound(at, overflows, underflows, dropped, body[STAMP.size :])


def serve() -> None:
    """Run as the capture process."""
    for number in (signal.SIGINT, signal.SIGTERM):  # for the parent, which then closes the pipe
        signal.signal(number, signal.SIG_IGN)
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not go into the pipe
    faulthandler.dump_traceback_later(LIMIT, exit=True)  # also while a library holds Python's lock
    try:
        import sounddevice as library
    except OSError:
        _report(pipe, {"fault": NO_LIBRARY, "code": None})
        return
    _report(pipe, {"inputs": _inputs(library), "default": library.default.device[0]})
    faulthandler.cancel_dump_traceback_later()
    if line := sys.stdin.readline():
        _capture(pipe, library, *json.loads(line))


def _inputs(library: Any) -> list[dict[str, Any]]:
    apis = [api["name"] for api in library.query_hostapis()]
    return [
        {
            "index": index,
            "name": device["name"],
            "host_api": apis[device["hostapi"]],
            "channels": device["max_input_channels"],
            "rate": round(device["default_samplerate"]),
        }
        for index, device in enumerate(library.query_devices())
        if device["max_input_channels"] > 0
    ]


def _capture(pipe: BinaryIO, library: Any, index: int, channels: int, rate: int) -> None:
    """Open the input, and write its blocks until standard input ends."""
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    blocks = Blocks(round(ROOM * rate) * channels * 4)
    try:
        stream = library.RawInputStream(
            samplerate=rate,
            device=index,
            channels=channels,
            dtype="float32",
            callback=blocks.take,
            finished_callback=blocks.end,
        )
        stream.start()
    except library.PortAudioError as error:
        reason = str(error.args[0] if error.args else error).split(" [PaErrorCode")[0]
        _report(pipe, {"fault": reason.rsplit(": ", 1)[-1], "code": error.args[1] if len(error.args) > 1 else None})
        return
    _report(pipe, {"opened": True})
    faulthandler.cancel_dump_traceback_later()
    threading.Thread(target=blocks.write, args=(pipe,), daemon=True).start()
    sys.stdin.read()
    faulthandler.dump_traceback_later(CLOSING, exit=True)
    blocks.closing = True
    stream.close()


class Blocks:
    """The queue between PortAudio's thread and the writing one: at most ``capacity`` bytes of sound."""

    def __init__(self, capacity: int) -> None:
        self.closing = False  # the stream is being closed on purpose
        self._capacity = capacity
        self._offered = 0  # bytes; written by PortAudio's thread
        self._written = 0  # bytes; written by the writer
        self._overflows = self._underflows = self._dropped = 0
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()

    def take(self, block: Any, _frames: int, _time: Any, status: Any) -> None:
        """PortAudio's callback: stamp, copy, count."""
        if status:
            self._overflows += bool(status.input_overflow)
            self._underflows += bool(status.input_underflow)
        size = len(block)
        if self._offered - self._written + size > self._capacity:
            self._dropped += 1
            return
        self._offered += size
        stamp = STAMP.pack(time.monotonic(), self._overflows, self._underflows, self._dropped)
        self._queue.put(stamp + bytes(block))

    def end(self) -> None:
        """PortAudio's callback when the stream has ended."""
        self._queue.put(None)

    def write(self, pipe: BinaryIO) -> None:
        """Write blocks until the pipe closes; if the stream ends by itself, end the process."""
        with contextlib.suppress(OSError):
            while (message := self._queue.get()) is not None:
                pipe.write(HEAD.pack(SOUND, len(message)) + message)
                pipe.flush()
                self._written += len(message) - STAMP.size
            if not self.closing:
                _report(pipe, {"fault": "it went away", "code": None})
                os._exit(0)  # closing a stream whose device is gone may hang


def _report(pipe: BinaryIO, message: dict[str, Any]) -> None:
    body = json.dumps(message).encode()
    pipe.write(HEAD.pack(REPORT, len(body)) + body)
    pipe.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        serve()
