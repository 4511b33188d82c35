"""What several senders do to one another: the table without a clock, and several programs that send to one session."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from valaro.streamer.osc.senders import HOLD, MOST_HOSTS, MOST_SENDERS, OWN, SHARED, STRANGERS, Sender, Senders

from ..oscdump import free_port, wait_for
from .oscin_helper import Hand, Room

BEN = ("10.0.0.2", 5000)


class Traffic:
    """A table, a clock that goes on when it is told to, and how many of a sender's packets were read."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.table = Senders(lambda: self.now)

    def sends(self, *senders: Sender) -> int:
        """How many of these packets, of one message each, are read."""
        seats = [seat for sender in senders if (seat := self.admitted(sender))]
        return len(seats)

    def admitted(self, sender: Sender) -> bool:
        seat = self.table.admit(sender)
        if seat is None:
            return False
        self.table.take(seat, 1)
        return True


def test_a_sender_has_its_own_allowance_and_some_of_its_host() -> None:
    traffic = Traffic()
    read = traffic.sends(*[BEN] * 10_000)
    assert read == pytest.approx(OWN[1] + SHARED[1], abs=1)
    traffic.now += 1.0
    assert traffic.sends(*[BEN] * 10_000) == pytest.approx(OWN[0] + SHARED[1], abs=1)


@pytest.mark.parametrize("flooding", [1, 5, MOST_SENDERS - 1])
def test_floods_from_the_same_host_leave_a_sender_what_is_its_own(flooding: int) -> None:
    """Ten seconds at 10,000 packets/s, and ten a second of somebody else."""
    traffic = Traffic()
    ports = [(BEN[0], 6000 + number) for number in range(flooding)]
    assert traffic.sends(BEN) == 1
    read = 0
    for step in range(10_000):
        traffic.now += 0.001
        traffic.sends(*(ports[(10 * step + number) % flooding] for number in range(10)))
        if step % 100 == 50:
            read += traffic.sends(BEN)
    assert read == 100


def test_ever_new_ports_get_no_more_than_one_host_may_have_and_push_nobody_out() -> None:
    traffic = Traffic()
    assert traffic.sends(BEN) == 1
    traffic.table.seat(BEN).reply_port = 7000
    read = ben = 0
    for step in range(10_000):
        traffic.now += 0.001
        read += traffic.sends(*((BEN[0], 10_000 + (10 * step + number) % 50_000) for number in range(10)))
        if step % 1000 == 500:
            ben += traffic.sends(BEN)
    assert ben == 10
    assert traffic.table.seat(BEN).reply_port == 7000
    assert read <= 10 * STRANGERS[0] + STRANGERS[1] + MOST_SENDERS  # who have a seat came round once more


def test_a_host_with_ever_new_ports_does_not_keep_silent_ones_in_the_table() -> None:
    traffic = Traffic()
    for number in range(MOST_HOSTS):
        traffic.now += 0.1
        assert traffic.sends((f"10.0.1.{number}", 5000)) == 1
    for number in range(4):
        traffic.now += HOLD / 3
        assert traffic.sends(("10.0.1.0", 6000 + number)) == 1
    assert traffic.sends(("10.0.2.0", 5000)) == 1


def test_forged_hosts_push_nobody_out_either() -> None:
    traffic = Traffic()
    ben = traffic.sends(BEN)
    for number in range(20_000):
        traffic.now += 0.001
        traffic.sends((f"10.{1 + number // 65_536}.{number // 256 % 256}.{number % 256}", 9000))
        if number % 1000 == 0:
            ben += traffic.sends(BEN)
    assert ben == 21
    assert len(traffic.table._hosts) == MOST_HOSTS


def test_who_was_silent_for_long_makes_room() -> None:
    traffic = Traffic()
    first = [(BEN[0], 6000 + number) for number in range(MOST_SENDERS)]
    assert traffic.sends(*first) == MOST_SENDERS
    assert traffic.sends(BEN) == 1
    assert not traffic.table.seat(BEN).lasting
    traffic.now += HOLD
    assert traffic.sends(BEN) == 1
    assert traffic.table.seat(BEN).lasting
    assert not traffic.table.seat(first[0]).lasting
    assert traffic.table.seat(first[1]).lasting


def test_tools_that_take_a_new_port_for_each_message_are_read() -> None:
    traffic = Traffic()
    read = 0
    for number in range(2_000):
        traffic.now += 0.05
        read += traffic.sends((BEN[0], 20_000 + number))
    assert read == 2_000


def test_two_networks_link_local_addresses_are_two_hosts() -> None:
    traffic = Traffic()
    traffic.sends(*[("fe80::1", 5000, 0, 2)] * 10_000)
    assert traffic.sends(("fe80::1", 5000, 0, 3)) == 1


class Table:
    """A room and two programs of one machine."""

    def __init__(self, listeners: str, hands: int = 2) -> None:
        port = free_port()
        self.to = ("127.0.0.1", port)
        self.room = Room(listeners, str(port))
        self.hands = [Hand() for _ in range(hands)]

    def close(self) -> None:
        self.room.osc.close()
        for hand in self.hands:
            hand.socket.close()


@pytest.fixture
def table() -> Iterator[Table]:
    with ExitStack() as stack:
        table = Table("ana, ben")
        stack.callback(table.close)
        yield table


def test_each_sender_is_answered_by_itself(table: Table) -> None:
    one, other = table.hands
    one.say("/valaro/rate", 0.5, -0.25, "ana", to=table.to)
    other.say("/valaro/rate", 2.0, 0.0, "ben", to=table.to)
    [status], [error] = one.hears(), other.hears()
    assert status[:3] == ("/valaro/status", "listening", "ana, ben")
    assert error[:2] == ("/valaro/error", "/valaro/rate")
    assert table.room.ratings == [("ana", 0.5, -0.25)]


def test_a_rating_says_which_sender_it_is_of(table: Table) -> None:
    senders: list[str] = []
    table.room.controls.hear_ratings(lambda rating: senders.append(rating.sender))
    for hand in table.hands:
        hand.say("/valaro/rate", 0.5, -0.25, "ana", to=table.to)
        hand.say("/valaro/rate/xy", 0.5, 0.25, "ana", to=table.to)
        hand.say("/valaro/rate/z", 0, to=table.to)
    wait_for(lambda: len(senders) == 4)
    assert senders == [f"127.0.0.1:{hand.socket.getsockname()[1]}" for hand in table.hands for _ in range(2)]


def test_two_fingers_of_one_machine_are_two_ratings(table: Table) -> None:
    ana, ben = table.hands
    ana.say("/valaro/rate/xy", 0.9, 0.9, "ana", to=table.to)
    ben.say("/valaro/rate/xy", 0.1, 0.1, "ben", to=table.to)
    wait_for(lambda: len(table.room.ratings) == 2)
    assert sorted(table.room.ratings) == [("ana", 0.8, 0.8), ("ben", -0.8, -0.8)]


def test_a_lift_is_of_the_finger_that_lifted(table: Table) -> None:
    ana, ben = table.hands
    ana.say("/valaro/rate/xy", 0.9, 0.9, "ana", to=table.to)
    ben.say("/valaro/rate/z", 0.0, to=table.to)
    ben.say("/valaro/rate/xy", 0.1, 0.1, "ben", to=table.to)
    ben.say("/valaro/rate/z", 0.0, to=table.to)
    wait_for(lambda: len(table.room.ratings) == 2)
    assert table.room.ratings == [("ben", -0.8, -0.8), ("ana", 0.8, 0.8)]


def test_a_lift_may_say_whose_finger_it_was(table: Table) -> None:
    hub, _ = table.hands
    hub.say("/valaro/rate/xy", 0.9, 0.9, "ana", to=table.to)
    hub.say("/valaro/rate/xy", 0.1, 0.1, "ben", to=table.to)
    hub.say("/valaro/rate/z", 0.0, "ben", to=table.to)
    wait_for(lambda: len(table.room.ratings) == 2)
    assert table.room.ratings == [("ben", -0.8, -0.8), ("ana", 0.8, 0.8)]


def test_a_reply_port_is_that_of_one_sender() -> None:
    table = Table("", hands=3)
    try:
        one, other, ears = table.hands
        one.say("/valaro/reply", ears.socket.getsockname()[1], to=table.to)
        assert len(ears.hears()) == 1
        other.say("/valaro/status", to=table.to)
        one.say("/valaro/status", to=table.to)
        assert [len(each.hears()) for each in (other, ears, one)] == [1, 1, 0]
    finally:
        table.close()


def test_answers_to_one_are_not_taken_from_another(table: Table) -> None:
    flooder, ben = table.hands
    for _ in range(90):
        flooder.say("/valaro/status", to=table.to)
    wait_for(lambda: table.room.osc.counters.obeyed == 90)
    assert table.room.osc.counters.unanswered > 0
    ben.say("/valaro/status", to=table.to)
    assert len(ben.hears()) == 1


def test_a_warning_about_one_does_not_silence_that_about_another(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = table.hands
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            one.say("/valaro/pause", to=table.to)
        wait_for(lambda: table.room.osc.counters.refused == 50)
        other.say("/valaro/offset", 31.0, to=table.to)
        wait_for(lambda: table.room.osc.counters.refused == 51)
        wait_for(lambda: len(caplog.records) == 2)
    assert "/valaro/pause" in caplog.text
    assert f"127.0.0.1:{other.socket.getsockname()[1]}" in caplog.records[1].message


def test_what_a_bucket_refuses_and_what_the_system_drops_is_counted(table: Table) -> None:
    one, _ = table.hands
    for _ in range(2_000):
        one.say("/valaro/status", to=table.to)

    def accounted() -> bool:
        counters = table.room.osc.counters
        return counters.messages + counters.over + (counters.dropped or 0) == 2_000

    wait_for(accounted)
    assert table.room.osc.counters.over > 0
    table.room.osc.close()
    assert accounted()
