"""A rating over OSC is answered once: when it is stored, or with why it is not."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing

import pytest
from valaro.streamer.core.controls import Controls, Rating
from valaro.streamer.errors import StoreError
from valaro.streamer.osc.receiver import OscIn, Status

from ..fakes import neutral
from ..oscdump import PATIENCE, free_port, wait_for
from .oscin_helper import Hand

FULL = "the disk is full"


class Desk:
    """An input whose ratings are stored when the test says so."""

    def __init__(self) -> None:
        self.controls = Controls(listener="ana")
        self.controls.newest = neutral(10.0)
        self.waiting: list[Future[None]] = []
        self.controls.hear_ratings(self._store)
        self.osc = OscIn(str(free_port()), self.controls, lambda: Status("listening", "ana", 0.0, 10.0, 20, 0, 0))

    def _store(self, _rating: Rating) -> "Future[None]":
        future: Future[None] = Future()
        self.waiting.append(future)
        return future

    def taken(self, count: int = 1) -> None:
        wait_for(lambda: len(self.waiting) == count)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    with closing(desk.osc):
        yield desk
        for future in desk.waiting:
            if not future.done():
                future.set_result(None)


@pytest.fixture
def hand() -> Iterator[Hand]:
    hand = Hand()
    with hand.socket:
        yield hand


def rate(desk: Desk, hand: Hand, *values: float) -> None:
    hand.say("/valaro/rate", *(values or (0.5, 0.5)), to=("127.0.0.1", desk.osc.port))


def test_it_is_answered_when_it_is_stored_and_not_before(desk: Desk, hand: Hand) -> None:
    rate(desk, hand)
    desk.taken()
    assert hand.hears() == []
    desk.waiting[0].set_result(None)
    assert [address for address, *_ in hand.hears()] == ["/valaro/status"]
    assert (desk.osc.counters.obeyed, desk.osc.counters.faults) == (1, 0)


def test_what_is_not_stored_is_answered_with_the_reason_and_counted(desk: Desk, hand: Hand) -> None:
    rate(desk, hand)
    desk.taken()
    desk.waiting[0].set_exception(StoreError(FULL))
    assert hand.hears() == [("/valaro/error", "/valaro/rate", f"not kept: {FULL}")]
    assert (desk.osc.counters.obeyed, desk.osc.counters.lost) == (0, 1)


def test_others_are_answered_while_a_rating_waits(desk: Desk, hand: Hand) -> None:
    rate(desk, hand)
    desk.taken()
    hand.say("/valaro/status", to=("127.0.0.1", desk.osc.port))
    assert [address for address, *_ in hand.hears()] == ["/valaro/status"]


def test_of_a_pad_the_rating_is_answered_when_it_is_stored(desk: Desk, hand: Hand) -> None:
    to = ("127.0.0.1", desk.osc.port)
    hand.say("/valaro/rate/xy", 0.5, 0.5, to=to)
    hand.say("/valaro/rate/z", 0, to=to)
    desk.taken()
    assert hand.hears() == []
    desk.waiting[0].set_exception(StoreError(FULL))
    assert hand.hears() == [("/valaro/error", "/valaro/rate/z", f"not kept: {FULL}")]


def test_at_the_end_what_was_sent_has_its_answer_too(desk: Desk, hand: Hand) -> None:
    rate(desk, hand)
    desk.taken()
    closing_ = threading.Thread(target=desk.osc.close)
    closing_.start()
    assert hand.hears() == []  # and it waits for the disk
    desk.waiting[0].set_result(None)
    closing_.join(PATIENCE)
    assert not closing_.is_alive()
    assert [address for address, *_ in hand.hears()] == ["/valaro/status"]


def test_two_who_hear_ratings_are_one_answer(desk: Desk, hand: Hand) -> None:
    desk.controls.hear_ratings(desk._store)
    rate(desk, hand)
    desk.taken(2)
    desk.waiting[1].set_exception(StoreError(FULL))
    assert hand.hears() == []
    desk.waiting[0].set_result(None)
    assert hand.hears() == [("/valaro/error", "/valaro/rate", f"not kept: {FULL}")]
    assert hand.hears() == []


def test_a_refused_rating_is_answered_at_once_and_waits_for_nothing(desk: Desk, hand: Hand) -> None:
    rate(desk, hand, 2.0, 0.0)
    desk.controls.newest = None
    rate(desk, hand)
    assert [address for address, *_ in hand.hears()] == ["/valaro/error"] * 2
    desk.osc.close()
    assert desk.waiting == []
