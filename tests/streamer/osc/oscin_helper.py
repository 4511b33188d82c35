"""A session's OSC input without sound, and programs that send to it: for what several senders do to one another."""

import socket
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from valaro.streamer.core.controls import Controls, Rating
from valaro.streamer.osc.receiver import OscIn, Status

from ..fakes import neutral


class Room:
    """An input at ``at`` whose ratings are kept as (listener, valence, arousal); an emission at 10 s is the newest."""

    def __init__(self, listeners: str = "", at: str = "9301") -> None:
        self.controls = Controls(listener=listeners)
        self.controls.newest = neutral(10.0)
        self.ratings: list[tuple[str, float, float]] = []
        self.controls.hear_ratings(self._keep)
        self.osc = OscIn(at, self.controls, self._status)

    def _keep(self, rating: Rating) -> None:
        self.ratings.append((rating.listener, round(rating.valence, 2), round(rating.arousal, 2)))

    def _status(self) -> Status:
        return Status("listening", self.controls.listener, self.controls.offset, 10.0, 20, 0, 0)


class Hand:
    """A program with a socket of its own, which sends and is answered."""

    def __init__(self, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.socket.settimeout(0.4)

    def say(self, address: str, *values: Any, to: tuple[str, int] = ("127.0.0.1", 9301)) -> None:
        """Send one message."""
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)
        self.socket.sendto(builder.build().dgram, to)

    def hears(self) -> list[tuple[Any, ...]]:
        """All answers until 0.4 s of silence: address, then values."""
        answers: list[tuple[Any, ...]] = []
        while True:
            try:
                message = OscMessage(self.socket.recv(4096))
            except TimeoutError:
                return answers
            answers.append((message.address, *message.params))
