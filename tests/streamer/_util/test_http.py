"""Seats and the Host header: no socket."""

import socket

import pytest
from valaro.streamer._util.http import Seats, is_own_host


def test_a_newcomer_takes_the_seat_of_who_has_asked_for_longest() -> None:
    seats: Seats[int] = Seats(3)
    assert [seats.enter(number, "one") for number in (1, 2, 3)] == [None] * 3
    seats.asked(1)
    assert seats.enter(4, "one") == 2
    assert seats.enter(5, "one") == 3
    seats.leave(1)
    seats.leave(1)
    assert seats.enter(6, "one") is None


def test_the_address_with_the_most_gives_way_first() -> None:
    seats: Seats[int] = Seats(3)
    seats.enter(1, "other")
    seats.enter(2, "crowd")
    seats.enter(3, "crowd")
    assert seats.enter(4, "crowd") == 2
    assert seats.enter(5, "third") == 3


def test_where_all_are_being_served_the_newcomer_has_to_go() -> None:
    seats: Seats[int] = Seats(2)
    for number in (1, 2):
        seats.enter(number, "one")
        seats.asked(number)
    assert seats.enter(3, "other") == 3
    seats.asked(3)  # too late
    seats.leave(2)
    assert seats.enter(4, "other") is None


@pytest.mark.parametrize(
    ("header", "own"),
    [
        (None, True),
        ("127.0.0.1:9123", True),
        ("[::1]:9123", True),
        ("[fe80::1%25eth0]", True),
        ("192.168.1.7", True),
        ("LOCALHOST", True),
        ("localhost.:80", True),
        ("stage", True),
        ("stage.local", True),
        ("stage.fritz.home", True),
        ("stage.home.arpa", True),
        (socket.gethostname(), True),
        ("site.8.b.d.0.1.0.0.2.ip6.arpa", False),
        ("site.example", False),
        ("127.0.0.1.site.example", False),
        ("localhost.site.example:9123", False),
        ("127.0.0.1@site.example", False),
        ("", False),
        ("[::1", False),
        ("site.example/127.0.0.1", False),
    ],
)
def test_a_host_header_is_this_machine_or_a_site(header: str | None, own: bool) -> None:
    assert is_own_host(header) is own
