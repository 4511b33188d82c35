"""An audio input in a process of its own, which can be thrown away.

PortAudio lists the devices once for the life of a process, a driver may hang in opening, reading or closing, and
libjack can bring its host down. The process that all this may happen to is this module run as a program, which is why
it imports nothing of Valaro, nor NumPy. It first tells which inputs there are, then waits to be told which to open,
then hands on what that gives.

What it writes to its standard output: :data:`HEAD`, then as many bytes as that says. ``TOLD``: an object in JSON, as
in :class:`Capture`. ``SOUND``: :data:`STAMP`, then interleaved float32 samples. It reads one line of JSON, the
arguments of :meth:`Capture.open`, and ends when its standard input does: who started it need not live to end it.
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
ROOM = 1.0  # s of sound that wait when the other side does not read; what comes then is lost, and counted

NO_LIBRARY = "no PortAudio library"  # the fault of a machine without it

HEAD = struct.Struct("<cI")
TOLD, SOUND = b"T", b"S"
STAMP = struct.Struct("<dQQQ")


class Sound(NamedTuple):
    """A block as it came: interleaved float32 ``samples``, and when it came on the monotonic clock of this machine.

    Counted since the opening: callbacks with an ``overflow`` (the driver lost sound), with an ``underflow`` (it filled
    a gap), and blocks ``dropped`` because nobody read.
    """

    at: float
    overflows: int
    underflows: int
    dropped: int
    samples: bytes


Message = dict[str, Any] | Sound | None


class Capture:
    """The process, from the side of the one who starts it. Raises OSError when it cannot be started.

    ``news`` is what it says, in this order:

    - ``{"inputs": [...], "default": index}``, each input with index, name, host_api, channels, rate;
    - ``{"opened": True}`` once :meth:`open` is done, then each block as a :class:`Sound`;
    - ``{"fault": "...", "code": PortAudio's or None}`` instead of these, or after them, when it cannot be;
    - None when it has ended, whatever ended it.
    """

    def __init__(self) -> None:
        self.news: SimpleQueue[Message] = SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("VALARO_DEBUG") else subprocess.DEVNULL,  # ALSA's and libjack's chatter
            env=os.environ | {"JACK_NO_START_SERVER": "1"},
            start_new_session=True,  # Ctrl-C is not for it
        )
        # Not a method: the thread would keep this object, and so the process, alive when nobody else does.
        threading.Thread(target=_read, args=(self._process.stdout, self.news), name="capture", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; after :meth:`end` it is while a driver holds it in the kernel."""
        return self._process.poll() is None

    def open(self, index: int, channels: int, rate: int) -> None:
        """Have it open an input by PortAudio's index, as it was told, and hand on its sound; returns at once."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, and will have told so
            self._process.stdin.write(json.dumps([index, channels, rate]).encode() + b"\n")
            self._process.stdin.flush()

    def end(self, patience: float = 0.0) -> bool:
        """End it, and by force when it takes longer than ``patience`` s; whether it went by itself. May be repeated."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        for limit, by_itself in ((patience, True), (CLOSING, False)):
            try:
                self._process.wait(limit)
                return by_itself
            except subprocess.TimeoutExpired:
                self._process.kill()
        return False  # a driver holds it in the kernel: it ends when that lets go


def _read(pipe: Any, news: SimpleQueue[Message]) -> None:
    with pipe:
        while (message := _message(pipe)) is not None:
            news.put(message)
    news.put(None)


def _message(pipe: Any) -> Message:
    head = pipe.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, size = HEAD.unpack(head)
    body = pipe.read(size)
    if len(body) < size:
        return None
    if kind == TOLD:
        return json.loads(body)
    at, overflows, underflows, dropped = STAMP.unpack_from(body)
    return Sound(at, overflows, underflows, dropped, body[STAMP.size :])


def serve() -> None:
    """Be the process."""
    for each in (signal.SIGINT, signal.SIGTERM):  # for whoever started it, who then closes the pipe
        signal.signal(each, signal.SIG_IGN)
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print there is no message
    faulthandler.dump_traceback_later(LIMIT, exit=True)  # also while a library holds Python's lock
    try:
        import sounddevice as library
    except OSError:
        _tell(pipe, {"fault": NO_LIBRARY, "code": None})
        return
    _tell(pipe, {"inputs": _inputs(library), "default": library.default.device[0]})
    faulthandler.cancel_dump_traceback_later()
    if line := sys.stdin.readline():
        _hand_on(pipe, library, *json.loads(line))


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


def _hand_on(pipe: BinaryIO, library: Any, index: int, channels: int, rate: int) -> None:
    """Open the input, and write its blocks until nobody wants them any more."""
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
        _tell(pipe, {"fault": reason.rsplit(": ", 1)[-1], "code": error.args[1] if len(error.args) > 1 else None})
        return
    _tell(pipe, {"opened": True})
    faulthandler.cancel_dump_traceback_later()
    threading.Thread(target=blocks.write, args=(pipe,), daemon=True).start()
    sys.stdin.read()
    faulthandler.dump_traceback_later(CLOSING, exit=True)
    blocks.closing = True
    stream.close()


class Blocks:
    """What passes from PortAudio's thread to the writing one: at most ``room`` bytes of sound."""

    def __init__(self, room: int) -> None:
        self.closing = False  # the stream's end is then wanted
        self._room = room
        self._offered = 0  # bytes; PortAudio's thread's
        self._written = 0  # the writer's
        self._overflows = self._underflows = self._dropped = 0
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()

    def take(self, block: Any, _frames: int, _time: Any, status: Any) -> None:
        """PortAudio's callback: stamp, copy, count."""
        if status:
            self._overflows += bool(status.input_overflow)
            self._underflows += bool(status.input_underflow)
        size = len(block)
        if self._offered - self._written + size > self._room:
            self._dropped += 1
            return
        self._offered += size
        stamp = STAMP.pack(time.monotonic(), self._overflows, self._underflows, self._dropped)
        self._queue.put(stamp + bytes(block))

    def end(self) -> None:
        """PortAudio's callback when the stream has ended."""
        self._queue.put(None)

    def write(self, pipe: BinaryIO) -> None:
        """Write blocks until nobody reads, or until the stream ends by itself, and the process with it."""
        with contextlib.suppress(OSError):
            while (message := self._queue.get()) is not None:
                pipe.write(HEAD.pack(SOUND, len(message)) + message)
                pipe.flush()
                self._written += len(message) - STAMP.size
            if not self.closing:
                _tell(pipe, {"fault": "it went away", "code": None})
                os._exit(0)  # closing a stream whose device is gone may hang


def _tell(pipe: BinaryIO, what: dict[str, Any]) -> None:
    body = json.dumps(what).encode()
    pipe.write(HEAD.pack(TOLD, len(body)) + body)
    pipe.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        serve()
