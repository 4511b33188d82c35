"""The ring keeps order and accounts for every frame, whatever the interleaving."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from valaro.streamer.core.ring import Ring

Step = tuple[str, int]
steps = st.lists(st.tuples(st.sampled_from(["write", "write_or_drop", "read"]), st.integers(0, 12)), max_size=60)


def ramp(begin: int, count: int, channels: int) -> np.ndarray:
    """Frames numbered from ``begin``; channel c of frame i is i + c / 8, exact in float32."""
    return (np.arange(begin, begin + count)[:, np.newaxis] + np.arange(channels) / 8).astype(np.float32)


@given(st.integers(1, 9), st.integers(1, 3), steps)
def test_any_interleaving_is_first_in_first_out_and_accounts_for_each_frame(
    capacity: int, channels: int, todo: list[Step]
) -> None:
    ring = Ring(capacity, channels)
    held: list[np.ndarray] = []  # the plain twin: a list of frames
    following = dropped = written = taken = 0
    for what, count in todo:
        if what == "read":
            block = ring.read(count)
            expected, held = held[:count], held[count:]
            np.testing.assert_array_equal(block, np.reshape(expected, (-1, channels)))
            taken += len(expected)
        else:
            block = ramp(following, count, channels)
            room = min(count, capacity - len(held))
            assert getattr(ring, what)(block) == room
            held += list(block[:room])
            following += count
            written += room
            dropped += count - room if what == "write_or_drop" else 0
        assert (ring.available, ring.written, ring.taken, ring.dropped) == (len(held), written, taken, dropped)


def consume(ring: Ring, done: threading.Event) -> np.ndarray:
    blocks = []
    while True:
        last = done.is_set()
        ring.wait(0.01)
        block = ring.read(37)
        blocks.append(block)
        if last and not len(block):
            return np.concatenate(blocks)


def test_two_threads_lose_nothing_under_back_pressure() -> None:
    ring, done, total = Ring(101, 2), threading.Event(), 50_000

    def produce() -> None:
        sent = 0
        while sent < total:
            sent += ring.write(ramp(sent, min(29, total - sent), 2))
        done.set()

    thread = threading.Thread(target=produce)
    thread.start()
    heard = consume(ring, done)
    thread.join()
    np.testing.assert_array_equal(heard, ramp(0, total, 2))
    assert ring.dropped == 0


def test_two_threads_count_exactly_what_they_drop() -> None:
    ring, done, total = Ring(64, 1), threading.Event(), 50_000

    def produce() -> None:
        for begin in range(0, total, 50):
            ring.write_or_drop(ramp(begin, 50, 1))
        done.set()

    thread = threading.Thread(target=produce)
    thread.start()
    heard = consume(ring, done)[:, 0]
    thread.join()
    assert np.all(np.diff(heard) > 0)  # in order, nothing twice
    assert len(heard) + ring.dropped == total
    assert ring.dropped > 0


def test_a_read_is_a_copy_that_later_writes_leave_alone() -> None:
    ring = Ring(4, 1)
    ring.write(ramp(0, 4, 1))
    block = ring.read(4)
    ring.write(ramp(10, 4, 1))
    np.testing.assert_array_equal(block, ramp(0, 4, 1))


def test_the_consumer_is_woken_by_a_write() -> None:
    ring = Ring(8, 1)
    assert not ring.wait(0)
    waiting = threading.Thread(target=ring.wait, args=(60,), daemon=True)
    waiting.start()
    ring.write(ramp(0, 1, 1))
    waiting.join(30)
    assert not waiting.is_alive()
    assert ring.wait(0)


@pytest.mark.parametrize(("capacity", "channels"), [(0, 1), (1, 0)])
def test_a_ring_without_room_is_refused(capacity: int, channels: int) -> None:
    with pytest.raises(ValueError, match="room and channels"):
        Ring(capacity, channels)


def test_what_is_discarded_is_taken_and_never_read() -> None:
    ring = Ring(10, 1)
    ring.write(ramp(0, 6, 1))
    assert ring.discard() == 6
    assert (ring.taken, ring.available, ring.discard()) == (6, 0, 0)
    ring.write(ramp(6, 8, 1))
    np.testing.assert_array_equal(ring.read(10), ramp(6, 8, 1))
