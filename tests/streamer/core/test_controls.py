"""The settings that may change while a session runs."""

import threading

import pytest
from valaro.streamer.core.controls import Controls, Rating
from valaro.streamer.errors import InputError

from ..fakes import neutral


def heard(time: float = 12.5) -> Controls:
    controls = Controls(listener="ana")
    controls.newest = neutral(time)
    return controls


@pytest.mark.parametrize("seconds", [0, 0.25, 30.0])
def test_an_offset_within_its_range_is_kept(seconds: float) -> None:
    controls = Controls()
    controls.offset = seconds
    assert controls.offset == seconds


@pytest.mark.parametrize("seconds", [-0.001, 30.001, float("nan"), float("inf")])
def test_an_offset_out_of_range_is_refused_and_changes_nothing(seconds: float) -> None:
    controls = Controls(offset=1.5)
    with pytest.raises(InputError, match="offset must be from 0 to 30 seconds"):
        controls.offset = seconds
    assert controls.offset == 1.5
    with pytest.raises(InputError):
        Controls(offset=seconds)


@pytest.mark.parametrize(("given", "kept"), [("ana", "ana"), ("  Zoë K. ", "Zoë K."), ("", ""), ("x" * 64, "x" * 64)])
def test_a_listener_is_kept_without_space_around_it(given: str, kept: str) -> None:
    assert Controls(listener=given).listener == kept


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", "\x1b[2J", "a\u202eb"])
def test_a_name_that_would_spoil_a_display_is_refused_and_changes_nothing(name: str) -> None:
    controls = Controls(listener="ana")
    with pytest.raises(InputError, match="64 printable characters"):
        controls.listener = name
    assert controls.listener == "ana"


def test_a_rating_is_of_what_was_heard_last_and_everyone_hears_of_it() -> None:
    controls = heard(12.5)
    first: list[Rating] = []
    second: list[Rating] = []
    controls.hear_ratings(first.append)
    controls.hear_ratings(second.append)
    rating = controls.rate(-1.0, 0.25)
    assert rating == Rating(time=12.5, valence=-1.0, arousal=0.25, listener="ana")
    assert first == second == [rating]
    assert controls.ratings == 1


def test_nothing_can_be_rated_before_anything_was_heard() -> None:
    controls = Controls()
    with pytest.raises(InputError, match="nothing was heard yet"):
        controls.rate(0.0, 0.0)
    assert controls.ratings == 0


@pytest.mark.parametrize(
    ("valence", "arousal", "named"),
    [(1.01, 0.0, "valence"), (0.0, -1.01, "arousal"), (float("nan"), 0.0, "valence"), (0.0, float("inf"), "arousal")],
)
def test_a_rating_out_of_range_is_refused(valence: float, arousal: float, named: str) -> None:
    controls = heard()
    taken: list[Rating] = []
    controls.hear_ratings(taken.append)
    with pytest.raises(InputError, match=f"{named} must be from -1 to 1"):
        controls.rate(valence, arousal)
    assert taken == []
    assert controls.ratings == 0


def test_ratings_from_several_threads_are_all_counted_and_heard() -> None:
    controls = heard()
    taken: list[Rating] = []
    controls.hear_ratings(taken.append)

    def rate_often() -> None:
        for _ in range(500):
            controls.rate(0.5, 0.5)

    threads = [threading.Thread(target=rate_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert controls.ratings == len(taken) == 2_000
