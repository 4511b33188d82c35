"""Several programs that send to one session."""

from ..oscdump import free_port
from .oscin_helper import Hand, Room


def test_each_sender_is_answered_by_itself() -> None:
    port = free_port()
    room, one, other = Room("ana, ben", str(port)), Hand(), Hand()
    to = ("127.0.0.1", port)
    try:
        one.say("/valaro/rate", 0.5, -0.25, "ana", to=to)
        other.say("/valaro/rate", 2.0, 0.0, "ben", to=to)
        [status], [error] = one.hears(), other.hears()
        assert status[:3] == ("/valaro/status", "listening", "ana, ben")
        assert error[:2] == ("/valaro/error", "/valaro/rate")
        assert room.ratings == [("ana", 0.5, -0.25)]
    finally:
        room.osc.close()
        one.socket.close()
        other.socket.close()
